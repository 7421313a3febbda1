// SPDX-License-Identifier: MIT
/// \file belay/windows/detail/win32.hpp
/// win32_code, last_error: the errors of Windows as std::error_code; and <windows.h>.
///
/// <windows.h> is included as a whole because some enums of the file functions cannot be declared
/// a second time. It defines neither min nor max here. It leaves out winsock.h, which would exclude
/// the winsock2.h of asio. A program that needs more of it includes it first.
#pragma once

#if !defined(_WIN32)
#    error "belay/windows needs Windows. On POSIX use belay/posix.hpp."
#endif

#include <system_error>  // std::error_code

#include <belay/core/assert.hpp>

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

}}}  // namespace belay::windows::detail
