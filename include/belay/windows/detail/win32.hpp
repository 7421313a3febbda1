// SPDX-License-Identifier: MIT
/// \file belay/windows/detail/win32.hpp
/// win32_code, last_error: the errors of Windows as std::error_code; and <windows.h>.
///
/// <windows.h> is included as a whole because some enums of the file functions cannot be declared
/// a second time. It defines neither min nor max here. It leaves out winsock.h, which would exclude
/// the winsock2.h of asio. A program that needs more of it includes it first.
/// Handle: owns a handle of an open file or directory.
/// WidePath: a path in UTF-8 as Windows takes it. narrow: text of Windows in UTF-8.
#pragma once

#if !defined(_WIN32)
#    error "belay/windows needs Windows. On POSIX use belay/posix.hpp."
#endif

#include <algorithm>     // std::copy_n, std::replace
#include <array>         // std::array
#include <cstddef>       // std::size_t
#include <memory>        // std::unique_ptr
#include <new>           // std::nothrow
#include <string>        // std::string
#include <string_view>   // std::string_view, std::wstring_view
#include <system_error>  // std::error_code

#include <belay/core/assert.hpp>
#include <belay/core/result.hpp>

#pragma push_macro("NOMINMAX")
#pragma push_macro("WIN32_LEAN_AND_MEAN")
#undef NOMINMAX
#undef WIN32_LEAN_AND_MEAN
#define NOMINMAX
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#undef NOMINMAX
#undef WIN32_LEAN_AND_MEAN
#pragma pop_macro("WIN32_LEAN_AND_MEAN")
#pragma pop_macro("NOMINMAX")

namespace belay { inline namespace BELAY_ABI { namespace windows::detail {

/// Returns the condition that an error of Windows stands for, or std::errc{} for none.
///
/// Not by std::system_category(): in some standard libraries it takes the numbers of Windows for
/// those of errno.
[[nodiscard]] constexpr std::errc condition_of(unsigned long code) noexcept {
    switch (code) {
        case ERROR_FILE_NOT_FOUND:
        case ERROR_PATH_NOT_FOUND:
        case ERROR_INVALID_DRIVE:
        case ERROR_BAD_NETPATH:
        case ERROR_BAD_NET_NAME:
        case ERROR_DELETE_PENDING:
            return std::errc::no_such_file_or_directory;
        case ERROR_ACCESS_DENIED:
        case ERROR_PRIVILEGE_NOT_HELD:
            return std::errc::permission_denied;
        case ERROR_WRITE_PROTECT:
            return std::errc::read_only_file_system;
        case ERROR_SHARING_VIOLATION:
        case ERROR_LOCK_VIOLATION:
        case ERROR_BUSY:
        case ERROR_USER_MAPPED_FILE:
            return std::errc::device_or_resource_busy;
        case ERROR_DISK_FULL:
        case ERROR_HANDLE_DISK_FULL:
        case 1295:  // ERROR_DISK_QUOTA_EXCEEDED, which MinGW-w64 lacks
            return std::errc::no_space_on_device;
        case ERROR_FILE_TOO_LARGE:
            return std::errc::file_too_large;
        case ERROR_FILE_EXISTS:
        case ERROR_ALREADY_EXISTS:
            return std::errc::file_exists;
        case ERROR_DIRECTORY:
            return std::errc::not_a_directory;
        case ERROR_TOO_MANY_OPEN_FILES:
            return std::errc::too_many_files_open;
        case ERROR_NOT_ENOUGH_MEMORY:
        case ERROR_OUTOFMEMORY:
        case ERROR_NO_SYSTEM_RESOURCES:
            return std::errc::not_enough_memory;
        case ERROR_FILENAME_EXCED_RANGE:
            return std::errc::filename_too_long;
        case ERROR_INVALID_PARAMETER:
        case ERROR_INVALID_NAME:
        case ERROR_BAD_PATHNAME:
            return std::errc::invalid_argument;
        case ERROR_NO_UNICODE_TRANSLATION:
            return std::errc::illegal_byte_sequence;
        case ERROR_NOT_SUPPORTED:
        case ERROR_INVALID_FUNCTION:
            return std::errc::function_not_supported;
        default:
            // The numbers of errno end before 200. Windows has errors of devices below that number,
            // such as 27, a sector that is not found.
            return code < 200 || code == ERROR_IO_DEVICE ? std::errc::io_error : std::errc{};
    }
}

/// Returns an error of Windows: in std::generic_category() if it has a condition, otherwise its
/// number in std::system_category().
///
/// Pre: it is an error, and not 0.
[[nodiscard]] inline std::error_code win32_code(unsigned long code) noexcept {
    const std::errc condition = condition_of(code);
    if (condition != std::errc{}) return std::make_error_code(condition);
    return {static_cast<int>(code), std::system_category()};
}
/// Returns the error of the last failed call of this thread.
[[nodiscard]] inline std::error_code last_error() noexcept { return win32_code(::GetLastError()); }
/// Returns the error of a call that has just returned `done`.
[[nodiscard]] inline std::error_code error_unless(BOOL done) noexcept {
    return done == 0 ? last_error() : std::error_code{};
}

/// Owns a handle of an open file or directory; null for none.
struct CloseHandle {
    void operator()(HANDLE handle) const noexcept { ::CloseHandle(handle); }
};
using Handle = std::unique_ptr<void, CloseHandle>;

/// Memory for a path. Paths of usual lengths need no allocation.
class WideBuffer {
public:
    /// Returns memory for `length` characters, or nullptr if there is none.
    [[nodiscard]] wchar_t* reserve(std::size_t length) noexcept {
        if (length <= small_.size()) return small_.data();
        large_.reset(new (std::nothrow) wchar_t[length]);
        return large_.get();
    }

private:
    std::array<wchar_t, 300> small_{};
    std::unique_ptr<wchar_t[]> large_;
};

/// The longest path that Windows opens, with its terminating null.
inline constexpr std::size_t path_length_max = 32768;

/// A path in UTF-8, with '/' or '\' between names, as a full path in UTF-16.
///
/// Full paths of 248 characters or more get the prefix "\\?\", which lifts the limit of 260.
class WidePath {
public:
    explicit WidePath(std::string_view path) noexcept : error_{convert(path)} {}
    WidePath(const WidePath&) = delete;
    WidePath& operator=(const WidePath&) = delete;
    ~WidePath() = default;

    /// Errors: no_such_file_or_directory for an empty path; invalid_argument for one with a null;
    ///         illegal_byte_sequence; filename_too_long; not_enough_memory; those of the system.
    [[nodiscard]] const std::error_code& error() const noexcept { return error_; }
    /// Returns the path, which ends with a null.   Pre: there is no error().
    [[nodiscard]] const wchar_t* get() const noexcept { return begin_; }

private:
    [[nodiscard]] std::error_code convert(std::string_view path) noexcept {
        if (path.empty()) return std::make_error_code(std::errc::no_such_file_or_directory);
        if (path.find('\0') != path.npos) return std::make_error_code(std::errc::invalid_argument);
        if (path.size() >= 3 * path_length_max) return too_long();
        const int bytes = static_cast<int>(path.size());
        const int length =
            ::MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path.data(), bytes, nullptr, 0);
        if (length <= 0) return last_error();
        const auto units = static_cast<std::size_t>(length);
        wchar_t* const given = given_.reserve(units + 2);
        if (given == nullptr) return std::make_error_code(std::errc::not_enough_memory);
        ::MultiByteToWideChar(CP_UTF8, 0, path.data(), bytes, given, length);
        std::replace(given, given + units, L'/', L'\\');
        // "C:" is the working directory of that drive. It comes from a parent path: "C:/outbox".
        const bool is_drive = units == 2 && given[1] == L':';
        if (is_drive) given[2] = L'\\';
        given[units + (is_drive ? 1 : 0)] = L'\0';
        begin_ = given;
        return std::wstring_view{given}.starts_with(L"\\\\?\\") ? std::error_code{} : expand();
    }

    /// Makes the full path of the given one.
    [[nodiscard]] std::error_code expand() noexcept {
        constexpr std::wstring_view prefix = L"\\\\?\\";
        constexpr std::wstring_view network = L"\\\\?\\UNC";
        const DWORD size = ::GetFullPathNameW(begin_, 0, nullptr, nullptr);
        if (size == 0) return last_error();
        if (size + network.size() > path_length_max) return too_long();
        wchar_t* const space = full_.reserve(network.size() + size);
        if (space == nullptr) return std::make_error_code(std::errc::not_enough_memory);
        wchar_t* full = space + network.size();
        const DWORD length = ::GetFullPathNameW(begin_, size, full, nullptr);
        if (length == 0) return last_error();
        // Another thread has changed the working directory in between.
        if (length >= size) return std::make_error_code(std::errc::device_or_resource_busy);
        const std::wstring_view text{full, length};
        const bool is_device = text.starts_with(L"\\\\.\\") || text.starts_with(prefix);
        if (length >= 248 && !is_device) {
            // "\\server\share" becomes "\\?\UNC\server\share".
            const bool on_network = text.starts_with(L"\\\\");
            const std::wstring_view added = on_network ? network : prefix;
            full = full + (on_network ? 1 : 0) - added.size();
            std::copy_n(added.data(), added.size(), full);
        }
        begin_ = full;
        return {};
    }
    [[nodiscard]] static std::error_code too_long() noexcept {
        return std::make_error_code(std::errc::filename_too_long);
    }

    WideBuffer given_;
    WideBuffer full_;
    const wchar_t* begin_ = nullptr;
    std::error_code error_;
};

/// Returns a text of Windows in UTF-8.   Throws: std::bad_alloc.
[[nodiscard]] inline std::string narrow(std::wstring_view text) {
    const int length = static_cast<int>(text.size());
    const int bytes =
        ::WideCharToMultiByte(CP_UTF8, 0, text.data(), length, nullptr, 0, nullptr, nullptr);
    std::string out(static_cast<std::size_t>(bytes), '\0');
    ::WideCharToMultiByte(CP_UTF8, 0, text.data(), length, out.data(), bytes, nullptr, nullptr);
    return out;
}

}}}  // namespace belay::windows::detail
