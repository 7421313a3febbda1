// SPDX-License-Identifier: MIT
/// \file belay/windows/files.hpp
/// windows::Files: the files of a Windows machine, with the calls that a Journal needs.
#pragma once

#include <algorithm>  // std::min
#include <array>      // std::array
#include <cstddef>    // std::size_t
#include <cstdint>    // std::uint64_t
#include <cstring>    // std::memcpy
#include <utility>    // std::move

#include <belay/core/detail/scope_exit.hpp>
#include <belay/journal/file_system_like.hpp>
#include <belay/queue/queue_errc.hpp>
#include <belay/windows/detail/win32.hpp>

namespace belay { inline namespace BELAY_ABI { namespace windows {

namespace detail {

/// Other handles may read, write, rename and remove the file meanwhile.
inline constexpr DWORD shared_by_all = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;

/// Opens a path, but not what a link at its end leads to.
[[nodiscard]] inline Handle open_handle(const WidePath& path, DWORD access, DWORD sharing,
                                        DWORD creation, DWORD flags = 0) noexcept {
    const DWORD attributes = FILE_ATTRIBUTE_NORMAL | FILE_FLAG_OPEN_REPARSE_POINT | flags;
    const HANDLE handle =
        ::CreateFileW(path.get(), access, sharing, nullptr, creation, attributes, nullptr);
    return Handle{handle == INVALID_HANDLE_VALUE ? nullptr : handle};
}

[[nodiscard]] inline bool is_directory(const WidePath& path) noexcept {
    const DWORD attributes = ::GetFileAttributesW(path.get());
    return attributes != INVALID_FILE_ATTRIBUTES && (attributes & FILE_ATTRIBUTE_DIRECTORY) != 0;
}

/// Opens a regular file; refuses a link to one, and everything else.
///
/// Errors: too_many_symbolic_link_levels for a link or another reparse point; is_a_directory;
///         foreign_file for anything that is neither a directory nor a file; those of the system.
[[nodiscard]] inline Result<Handle> open_file(const std::string& path, DWORD access,
                                              DWORD creation) noexcept {
    const WidePath wide{path};
    if (wide.error()) return wide.error();
    Handle handle = open_handle(wide, access, shared_by_all, creation);
    if (!handle) {
        const DWORD code = ::GetLastError();
        // Windows denies the access to a directory without a reason.
        if (code == ERROR_ACCESS_DENIED && is_directory(wide)) {
            return std::make_error_code(std::errc::is_a_directory);
        }
        return win32_code(code);
    }
    if (::GetFileType(handle.get()) != FILE_TYPE_DISK) {
        return make_error_code(QueueErrc::foreign_file);
    }
    BY_HANDLE_FILE_INFORMATION found{};
    if (::GetFileInformationByHandle(handle.get(), &found) == 0) return last_error();
    if ((found.dwFileAttributes & FILE_ATTRIBUTE_REPARSE_POINT) != 0) {
        return std::make_error_code(std::errc::too_many_symbolic_link_levels);
    }
    return handle;
}

/// Locks a file until this handle to it is closed.
///
/// Locks of Windows keep other handles from reading and writing. So the lock is on one byte that no
/// file reaches.
///
/// Errors: already_locked; those of the system.
[[nodiscard]] inline std::error_code lock_file(HANDLE file) noexcept {
    OVERLAPPED place{};
    place.Offset = 0xFFFFFFFEU;
    place.OffsetHigh = 0x7FFFFFFFU;
    constexpr DWORD how = LOCKFILE_EXCLUSIVE_LOCK | LOCKFILE_FAIL_IMMEDIATELY;
    if (::LockFileEx(file, how, 0, 1, 0, &place) != 0) return {};
    const DWORD code = ::GetLastError();
    if (code == ERROR_LOCK_VIOLATION || code == ERROR_IO_PENDING) {
        return make_error_code(QueueErrc::already_locked);
    }
    return win32_code(code);
}

/// Returns the volume and the number of an open file.
///
/// The number has 128 bits on ReFS. On other file systems its upper half is 0.
[[nodiscard]] inline Result<std::array<std::uint64_t, 2>> identity_of(HANDLE file) noexcept {
    FILE_ID_INFO id{};
    if (::GetFileInformationByHandleEx(file, FileIdInfo, &id, sizeof id) != 0) {
        std::uint64_t halves[2]{};
        static_assert(sizeof halves == sizeof id.FileId);
        std::memcpy(halves, &id.FileId, sizeof halves);
        return std::array<std::uint64_t, 2>{id.VolumeSerialNumber ^ halves[1], halves[0]};
    }
    // A file system without such numbers, such as FAT.
    BY_HANDLE_FILE_INFORMATION found{};
    if (::GetFileInformationByHandle(file, &found) == 0) return last_error();
    return std::array<std::uint64_t, 2>{
        found.dwVolumeSerialNumber,
        (std::uint64_t{found.nFileIndexHigh} << 32U) | found.nFileIndexLow};
}

/// An open file.
///
/// Models:        the `File` of FileSystemLike.
/// Thread safety: reads, writes and syncs of one file may run at the same time. Windows executes
///                them one after the other.
class File {
public:
    File(Handle handle, const std::array<std::uint64_t, 2>& identity) noexcept
        : handle_{std::move(handle)}, identity_{identity} {}

    /// Fills `into` from `offset` on; returns less only at the end of the file.   Blocks: on the
    /// disk.
    [[nodiscard]] Result<std::size_t> read(std::uint64_t offset,
                                           std::span<std::byte> into) const noexcept {
        std::size_t done = 0;
        while (done < into.size()) {
            OVERLAPPED place = place_of(offset + done);
            DWORD n = 0;
            if (::ReadFile(handle_.get(), into.data() + done, at_once(into.size() - done), &n,
                           &place) == 0) {
                const DWORD code = ::GetLastError();
                if (code == ERROR_HANDLE_EOF) break;
                return win32_code(code);
            }
            if (n == 0) break;
            done += n;
        }
        return done;
    }

    /// Writes all of `from` at `offset`, or fails.   Blocks: on the disk.
    [[nodiscard]] std::error_code write(std::uint64_t offset, BytesView from) noexcept {
        std::size_t done = 0;
        while (done < from.size()) {
            OVERLAPPED place = place_of(offset + done);
            DWORD n = 0;
            if (::WriteFile(handle_.get(), from.data() + done, at_once(from.size() - done), &n,
                            &place) == 0) {
                return last_error();
            }
            // A write that accepts nothing and gives no reason would loop for ever.
            if (n == 0) return std::make_error_code(std::errc::io_error);
            done += n;
        }
        return {};
    }

    /// Returns when everything written is on the medium, as far as Windows and the drive confirm
    /// it.   Blocks: on the disk.
    [[nodiscard]] std::error_code sync() noexcept {
        return error_unless(::FlushFileBuffers(handle_.get()));
    }

    [[nodiscard]] Result<std::uint64_t> size() const noexcept {
        LARGE_INTEGER bytes{};
        if (::GetFileSizeEx(handle_.get(), &bytes) == 0) return last_error();
        return static_cast<std::uint64_t>(bytes.QuadPart);
    }

    /// Locks the file until it is closed.   Errors: already_locked; those of the system.
    [[nodiscard]] std::error_code lock() noexcept {
        // Windows refuses a second lock also to the same handle.
        if (locked_) return {};
        const std::error_code error = lock_file(handle_.get());
        locked_ = !error;
        return error;
    }

    /// Returns the identity at opening, which lasts as long as the file.
    [[nodiscard]] Result<std::array<std::uint64_t, 2>> identity() const noexcept {
        return identity_;
    }

    /// Reserves the first `bytes` bytes of the file, which read as zero until they are written.
    ///
    /// Pre: the file is empty.   Blocks: on the disk.
    [[nodiscard]] std::error_code preallocate(std::uint64_t bytes) noexcept {
        FILE_END_OF_FILE_INFO end{};
        end.EndOfFile.QuadPart = static_cast<LONGLONG>(bytes);
        return error_unless(
            ::SetFileInformationByHandle(handle_.get(), FileEndOfFileInfo, &end, sizeof end));
    }

private:
    static OVERLAPPED place_of(std::uint64_t offset) noexcept {
        OVERLAPPED place{};
        place.Offset = static_cast<DWORD>(offset & 0xFFFFFFFFU);
        place.OffsetHigh = static_cast<DWORD>(offset >> 32U);
        return place;
    }
    static DWORD at_once(std::size_t bytes) noexcept {
        return static_cast<DWORD>(std::min(bytes, std::size_t{1} << 30U));
    }

    Handle handle_;
    // Read once: Wine 8 forgets the volume of a file that is renamed while it is open.
    std::array<std::uint64_t, 2> identity_;
    bool locked_ = false;
};

/// Gives a file another name. Returns when that is on the medium, as far as Windows confirms it.
[[nodiscard]] inline std::error_code move_file(const WidePath& from, const WidePath& to) noexcept {
    constexpr DWORD how = MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH;
    return error_unless(::MoveFileExW(from.get(), to.get(), how));
}

/// Frees the name of a file. The file stays until its last handle is closed.
[[nodiscard]] inline std::error_code remove_file(const std::string& path) noexcept {
    const WidePath wide{path};
    if (wide.error()) return wide.error();
    // A file that no other handle has open disappears when this handle is closed.
    if (const Handle alone = open_handle(wide, DELETE, 0, OPEN_EXISTING)) {
        FILE_DISPOSITION_INFO removal{};
        removal.DeleteFile = TRUE;
        return error_unless(::SetFileInformationByHandle(alone.get(), FileDispositionInfo, &removal,
                                                         sizeof removal));
    }
    if (::GetLastError() != ERROR_SHARING_VIOLATION) return last_error();
    // An open file keeps its name until it is closed, so it gets another name first. The number of
    // the file makes that name unique.
    std::array<std::uint64_t, 2> number{};
    {
        const Handle open = open_handle(wide, FILE_READ_ATTRIBUTES, shared_by_all, OPEN_EXISTING);
        if (!open) return last_error();
        const auto found = identity_of(open.get());
        if (!found) return found.error();
        number = *found;
    }
    const std::string other = path + ".removed-" + std::to_string(number[1]);
    const WidePath away{other};
    if (away.error()) return away.error();
    if (const std::error_code error = move_file(wide, away)) return error;
    return error_unless(::DeleteFileW(away.get()));
}

/// Whether a file system refuses to flush a directory, as a whole and not for a failure.
[[nodiscard]] constexpr bool has_no_flush(DWORD code) noexcept {
    return code == ERROR_ACCESS_DENIED || code == ERROR_INVALID_FUNCTION ||
           code == ERROR_INVALID_HANDLE || code == ERROR_INVALID_PARAMETER ||
           code == ERROR_NOT_SUPPORTED;
}

}  // namespace detail

/// The file system of a Windows machine.
///
/// Paths are UTF-8. They may be longer than 260 characters. Errors that have a condition of
/// std::errc are in std::generic_category(), and others in std::system_category().
///
/// Locks belong to the handle: Windows releases them when the process ends, and programs that are
/// started do not inherit them. After a process was killed, this may take Windows a moment.
///
/// Durability: sync() calls FlushFileBuffers, and rename() passes MOVEFILE_WRITE_THROUGH. Windows
/// does not document that a directory can be flushed: see sync_directory().
///
/// Models:        FileSystemLike.
/// Thread safety: any thread (no state).
struct Files {
    using File = detail::File;
    using Lock = detail::Handle;

    [[nodiscard]] Result<File> open(const std::string& path, OpenMode mode) const noexcept {
        const DWORD access = mode == OpenMode::read ? GENERIC_READ : GENERIC_READ | GENERIC_WRITE;
        if (mode == OpenMode::replace) {
            const std::error_code error = detail::remove_file(path);
            if (error && error != std::errc::no_such_file_or_directory) return error;
        }
        Result<detail::Handle> handle =
            detail::open_file(path, access, mode == OpenMode::replace ? CREATE_NEW : OPEN_EXISTING);
        if (!handle) return handle.error();
        const auto identity = detail::identity_of(handle->get());
        if (!identity) return identity.error();
        return File{std::move(*handle), *identity};
    }

    /// Errors: already_locked, also if another program has the file open without sharing it; those
    ///         of the system.
    [[nodiscard]] Result<Lock> lock(const std::string& path) const noexcept {
        Result<detail::Handle> handle =
            detail::open_file(path, GENERIC_READ | GENERIC_WRITE, OPEN_ALWAYS);
        if (!handle) {
            const bool busy = handle.error() == std::errc::device_or_resource_busy;
            return busy ? make_error_code(QueueErrc::already_locked) : handle.error();
        }
        if (const std::error_code error = detail::lock_file(handle->get())) return error;
        return handle;
    }

    [[nodiscard]] Result<std::array<std::uint64_t, 2>> identity(
        const std::string& path) const noexcept {
        const detail::WidePath wide{path};
        if (wide.error()) return wide.error();
        const detail::Handle handle =
            detail::open_handle(wide, FILE_READ_ATTRIBUTES, detail::shared_by_all, OPEN_EXISTING,
                                FILE_FLAG_BACKUP_SEMANTICS);
        if (!handle) return detail::last_error();
        return detail::identity_of(handle.get());
    }

    /// Returns the full path, with '/' between names; links in it stay.   Throws: std::bad_alloc.
    [[nodiscard]] Result<std::string> absolute(const std::string& path) const {
        const detail::WidePath wide{path};
        if (wide.error()) return wide.error();
        std::string full = detail::narrow(wide.get());
        std::replace(full.begin(), full.end(), '\\', '/');
        return full;
    }

    /// Renames a file and returns when the new name is on the medium, as far as Windows confirms
    /// it.
    ///
    /// Errors: permission_denied, too, if the target is open; those of the system.
    [[nodiscard]] std::error_code rename(const std::string& from,
                                         const std::string& to) const noexcept {
        const detail::WidePath old_path{from};
        const detail::WidePath new_path{to};
        if (old_path.error()) return old_path.error();
        if (new_path.error()) return new_path.error();
        return detail::move_file(old_path, new_path);
    }

    /// Removes a file. If it is open somewhere, its name is free at once, and the file disappears
    /// when the last handle to it is closed.
    ///
    /// Errors: device_or_resource_busy if another program has it open and does not share deletion;
    ///         those of the system.
    [[nodiscard]] std::error_code remove(const std::string& path) const noexcept {
        return detail::remove_file(path);
    }

    [[nodiscard]] std::error_code create_directory(const std::string& path) const noexcept {
        const detail::WidePath wide{path};
        if (wide.error()) return wide.error();
        if (::CreateDirectoryW(wide.get(), nullptr) != 0) return {};
        const std::error_code error = detail::last_error();
        const bool exists = error == std::errc::file_exists && detail::is_directory(wide);
        return exists ? std::error_code{} : error;
    }

    /// Flushes a directory, if its file system can do so. If it cannot, this succeeds and does
    /// nothing: then the names are as durable as the file system makes them by itself.
    ///
    /// Errors: those of opening the directory; those of a flush that fails.   Blocks: on the disk.
    [[nodiscard]] std::error_code sync_directory(const std::string& path) const noexcept {
        // "//server" is above the share "//server/share", and no directory.
        if (path.starts_with("//") && path.find('/', 2) == path.npos) return {};
        const detail::WidePath wide{path};
        if (wide.error()) return wide.error();
        const detail::Handle handle =
            detail::open_handle(wide, FILE_LIST_DIRECTORY | FILE_ADD_FILE, detail::shared_by_all,
                                OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS);
        if (!handle) return detail::last_error();
        if (::FlushFileBuffers(handle.get()) != 0) return {};
        const DWORD code = ::GetLastError();
        return detail::has_no_flush(code) ? std::error_code{} : detail::win32_code(code);
    }

    /// Lets other threads run for a moment.
    void yield() const noexcept { ::SwitchToThread(); }
    /// Returns the time of std::chrono::steady_clock.
    [[nodiscard]] Instant now() const noexcept { return std::chrono::steady_clock::now(); }

    /// Returns the names in a directory.   Throws: std::bad_alloc.
    [[nodiscard]] Result<std::vector<std::string>> list(const std::string& path) const {
        const detail::WidePath wide{path + "/*"};
        if (wide.error()) return wide.error();
        WIN32_FIND_DATAW found{};
        const HANDLE search = ::FindFirstFileW(wide.get(), &found);
        if (search == INVALID_HANDLE_VALUE) return detail::last_error();
        const belay::detail::ScopeExit close{[search] { ::FindClose(search); }};
        std::vector<std::string> names;
        do {
            names.push_back(detail::narrow(found.cFileName));
        } while (::FindNextFileW(search, &found) != 0);
        const DWORD code = ::GetLastError();
        if (code != ERROR_NO_MORE_FILES) return detail::win32_code(code);
        return names;
    }
};

}}}  // namespace belay::windows
