// SPDX-License-Identifier: MIT
/// \file belay/posix/files.hpp
/// posix::Files: the files of the machine, with the calls that a Journal needs.
#pragma once

#include <array>    // std::array
#include <cerrno>   // errno
#include <cstddef>  // std::size_t
#include <utility>  // std::move

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/stat.h>
#if defined(__linux__)
#    include <sys/sysmacros.h>
#endif
#include <unistd.h>

#include <belay/core/detail/scope_exit.hpp>
#include <belay/journal/file_system_like.hpp>
#include <belay/posix/detail/descriptor.hpp>
#include <belay/queue/queue_errc.hpp>

namespace belay { inline namespace BELAY_ABI { namespace posix {

namespace detail {

/// Repeats a system call while signals interrupt it. A call that fails returns `failure`.
///
/// On file systems that a program or another machine serves, calls that name files are interrupted,
/// too.
template <class Call, class Failure = int>
[[nodiscard]] auto uninterrupted(Call&& call, Failure failure = -1) noexcept {
    decltype(call()) answer;
    do {
        answer = call();
    } while (answer == failure && errno == EINTR);
    return answer;
}

/// Opens a path; on failure returns a descriptor of -1, with the reason in errno.
[[nodiscard]] inline Descriptor open_descriptor(const std::string& path, int flags) noexcept {
    if (belay::detail::path_error(path)) {
        errno = EINVAL;
        return Descriptor{-1};
    }
    return Descriptor{uninterrupted([&] { return ::open(path.c_str(), flags | O_CLOEXEC, 0644); })};
}

/// Opens a regular file; refuses a link to one, and everything else.
///
/// Errors: too_many_symbolic_link_levels for a link; is_a_directory; foreign_file for anything that
///         is neither a directory nor a file; those of the system.
[[nodiscard]] inline Result<Descriptor> open_file(const std::string& path, int flags) noexcept {
    // Without O_NONBLOCK, opening a pipe would block. It has no effect on files.
    Descriptor descriptor = open_descriptor(path, flags | O_NOFOLLOW | O_NONBLOCK);
    struct stat status {};
    if (descriptor.get() == -1) return errno_code();
    const auto look = [&] { return ::fstat(descriptor.get(), &status); };
    if (uninterrupted(look) == -1) return errno_code();
    if (S_ISDIR(status.st_mode)) return std::make_error_code(std::errc::is_a_directory);
    if (!S_ISREG(status.st_mode)) return make_error_code(QueueErrc::foreign_file);
    return descriptor;
}

/// Locks a file until its last descriptor is closed.
///
/// Errors: already_locked; those of the system.
[[nodiscard]] inline std::error_code lock_file(int fd) noexcept {
    const auto flock_it = [fd] {
        return uninterrupted([fd] { return ::flock(fd, LOCK_EX | LOCK_NB); });
    };
#if defined(F_OFD_SETLK)
    struct flock whole {};
    whole.l_type = F_WRLCK;
    whole.l_whence = SEEK_SET;
    int answer = uninterrupted([&] { return ::fcntl(fd, F_OFD_SETLK, &whole); });
    if (answer == -1 && errno == EINVAL) answer = flock_it();  // a kernel from before 2014
#else
    const int answer = flock_it();
#endif
    if (answer == 0) return {};
    if (errno == EAGAIN || errno == EACCES || errno == EWOULDBLOCK) {
        return make_error_code(QueueErrc::already_locked);
    }
    return errno_code();
}

/// Returns the device and the inode of the file `path` in the directory `fd`. If the flags contain
/// AT_EMPTY_PATH and the path is empty, they are those of `fd`. It follows no link at the end of
/// the path.
///
/// It asks for no timestamp. Since Linux 6.13, the next write to a file after a stat(2) of it takes
/// a timestamp of its own. The fdatasync(2) after that also writes the inode.
[[nodiscard]] inline Result<std::array<std::uint64_t, 2>> identity_at(int fd, const char* path,
                                                                      int flags) noexcept {
    flags |= AT_SYMLINK_NOFOLLOW;
#if defined(STATX_INO)
    struct statx found {};
    const auto ask = [&] { return ::statx(fd, path, flags, STATX_TYPE | STATX_INO, &found); };
    if (uninterrupted(ask) == 0) {
        return std::array<std::uint64_t, 2>{makedev(found.stx_dev_major, found.stx_dev_minor),
                                            found.stx_ino};
    }
    // A kernel from before 2017, or a sandbox.
    if (errno != ENOSYS && errno != EPERM) return errno_code();
#endif
    struct stat status {};
    const auto look = [&] {
        return *path == '\0' ? ::fstat(fd, &status) : ::fstatat(fd, path, &status, flags);
    };
    if (uninterrupted(look) == -1) return errno_code();
    return std::array<std::uint64_t, 2>{static_cast<std::uint64_t>(status.st_dev),
                                        static_cast<std::uint64_t>(status.st_ino)};
}
/// Returns the device and the inode of an open file.
[[nodiscard]] inline Result<std::array<std::uint64_t, 2>> identity_of(int fd) noexcept {
#if defined(STATX_INO)
    return identity_at(fd, "", AT_EMPTY_PATH);
#else
    return identity_at(fd, "", 0);
#endif
}

/// An open file.
///
/// Models:        the `File` of FileSystemLike.
/// Thread safety: reads, writes and syncs of one file may run at the same time.
class File {
public:
    explicit File(Descriptor descriptor) noexcept : descriptor_{std::move(descriptor)} {}

    /// Fills `into` from `offset` on; returns less only at the end of the file.   Blocks: on the
    /// disk.
    [[nodiscard]] Result<std::size_t> read(std::uint64_t offset,
                                           std::span<std::byte> into) const noexcept {
        std::size_t done = 0;
        while (done < into.size()) {
            const ssize_t n = detail::uninterrupted([&] {
                return ::pread(descriptor_.get(), into.data() + done, into.size() - done,
                               static_cast<off_t>(offset + done));
            });
            if (n == -1) return detail::errno_code();
            if (n == 0) break;
            done += static_cast<std::size_t>(n);
        }
        return done;
    }

    /// Writes all of `from` at `offset`, or fails.   Blocks: on the disk.
    [[nodiscard]] std::error_code write(std::uint64_t offset, BytesView from) noexcept {
        std::size_t done = 0;
        while (done < from.size()) {
            const ssize_t n = detail::uninterrupted([&] {
                return ::pwrite(descriptor_.get(), from.data() + done, from.size() - done,
                                static_cast<off_t>(offset + done));
            });
            if (n == -1) return detail::errno_code();
            // A write that accepts nothing and gives no reason would loop for ever.
            if (n == 0) return std::make_error_code(std::errc::io_error);
            done += static_cast<std::size_t>(n);
        }
        return {};
    }

    /// Returns when everything written is on the medium.   Blocks: on the disk.
    [[nodiscard]] std::error_code sync() noexcept {
#if defined(__APPLE__)
        // On this system, fsync leaves the bytes in the drive's own cache.
        if (detail::uninterrupted([&] { return ::fcntl(descriptor_.get(), F_FULLFSYNC); }) != -1) {
            return {};
        }
        const int answer = detail::uninterrupted([&] { return ::fsync(descriptor_.get()); });
#else
        const int answer = detail::uninterrupted([&] { return ::fdatasync(descriptor_.get()); });
#endif
        return answer == -1 ? detail::errno_code() : std::error_code{};
    }

    [[nodiscard]] Result<std::uint64_t> size() const noexcept {
        struct stat status {};
        const auto look = [&] { return ::fstat(descriptor_.get(), &status); };
        if (detail::uninterrupted(look) == -1) return detail::errno_code();
        return static_cast<std::uint64_t>(status.st_size);
    }

    /// Locks the file until it is closed.   Errors: already_locked; those of the system.
    [[nodiscard]] std::error_code lock() noexcept { return detail::lock_file(descriptor_.get()); }

    [[nodiscard]] Result<std::array<std::uint64_t, 2>> identity() const noexcept {
        return detail::identity_of(descriptor_.get());
    }

    /// Reserves the first `bytes` bytes of the file, which read as zero until they are written.
    ///
    /// Pre: the file is empty.
    /// Blocks: on the disk; for long if the file system cannot reserve, or a signal interrupts it,
    ///         because zeros are written then.
    [[nodiscard]] std::error_code preallocate(std::uint64_t bytes) noexcept {
#if defined(__linux__)
        if (::fallocate(descriptor_.get(), 0, 0, static_cast<off_t>(bytes)) == 0) return {};
        // A call that signals interrupt may never end: on a tmpfs, older kernels begin again at
        // each one. A write makes progress. A sandbox (seccomp) may forbid the call by EPERM.
        if (errno != EOPNOTSUPP && errno != ENOSYS && errno != EINTR && errno != EPERM)
            return detail::errno_code();
#endif
        static constexpr std::byte zeros[16 * 1024]{};
        for (std::uint64_t at = 0; at < bytes; at += sizeof zeros) {
            const std::uint64_t left = bytes - at;
            const std::size_t n =
                left < sizeof zeros ? static_cast<std::size_t>(left) : sizeof zeros;
            if (const std::error_code error = write(at, {zeros, n})) return error;
        }
        return {};
    }

private:
    Descriptor descriptor_;
};

}  // namespace detail

/// The file system of the machine.
///
/// Errors are those of the system, in std::generic_category().
///
/// Locks belong to the open file: the kernel releases them when the process dies. A forked child
/// inherits them until it ends or starts another program. If a child outlives its parent, no other
/// process can take these locks until then.
///
/// A system call that a signal interrupts is repeated. A network file system also repeats calls
/// whose answer is lost. If the first try has taken effect, the second one finds no file, or finds
/// the new one. That is no error.
///
/// Models:        FileSystemLike.
/// Thread safety: any thread (no state).
struct Files {
    using File = detail::File;
    using Lock = detail::Descriptor;

    [[nodiscard]] Result<File> open(const std::string& path, OpenMode mode) const noexcept {
        const int flags = mode == OpenMode::read    ? O_RDONLY
                          : mode == OpenMode::write ? O_RDWR
                                                    : O_RDWR | O_CREAT | O_EXCL;
        // Twice, because a first try that was repeated may have made the file.
        Result<detail::Descriptor> descriptor = std::make_error_code(std::errc::file_exists);
        for (int i = 0; i < 2 && descriptor.error() == std::errc::file_exists; ++i) {
            const std::error_code error =
                mode == OpenMode::replace ? remove(path) : std::error_code{};
            if (error && error != std::errc::no_such_file_or_directory) return error;
            descriptor = detail::open_file(path, flags);
        }
        if (!descriptor) return descriptor.error();
        return File{std::move(*descriptor)};
    }

    [[nodiscard]] Result<Lock> lock(const std::string& path) const noexcept {
        Result<detail::Descriptor> descriptor = detail::open_file(path, O_RDWR | O_CREAT);
        if (!descriptor) return descriptor;
        if (const std::error_code error = detail::lock_file(descriptor->get())) return error;
        return descriptor;
    }

    [[nodiscard]] Result<std::array<std::uint64_t, 2>> identity(
        const std::string& path) const noexcept {
        if (const std::error_code error = belay::detail::path_error(path)) return error;
        if (path.empty()) return std::make_error_code(std::errc::no_such_file_or_directory);
        return detail::identity_at(AT_FDCWD, path.c_str(), 0);
    }

    /// Returns the path from the root on; links in it stay.   Throws: std::bad_alloc.
    [[nodiscard]] Result<std::string> absolute(const std::string& path) const {
        if (path.starts_with('/')) return path;
        std::string directory(256, '\0');
        while (::getcwd(directory.data(), directory.size()) == nullptr) {
            if (errno != ERANGE) return detail::errno_code();
            directory.resize(2 * directory.size());
        }
        return directory.c_str() + ('/' + path);
    }

    [[nodiscard]] std::error_code rename(const std::string& from,
                                         const std::string& to) const noexcept {
        for (const std::string* const path : {&from, &to}) {
            if (const std::error_code error = belay::detail::path_error(*path)) return error;
        }
        const Result<std::array<std::uint64_t, 2>> file = identity(from);
        const std::error_code error =
            answer(detail::uninterrupted([&] { return ::rename(from.c_str(), to.c_str()); }));
        if (!file || error != std::errc::no_such_file_or_directory) return error;
        const Result<std::array<std::uint64_t, 2>> renamed = identity(to);
        const bool is_done = renamed && *renamed == *file;
        return is_done ? std::error_code{} : error;
    }

    /// Removes a file.   Errors: those of unlink(2).
    [[nodiscard]] std::error_code remove(const std::string& path) const noexcept {
        if (const std::error_code error = belay::detail::path_error(path)) return error;
        const Result<std::array<std::uint64_t, 2>> file = identity(path);
        int tries = 0;
        const std::error_code error = answer(detail::uninterrupted(
            [&] { return static_cast<void>(++tries), ::unlink(path.c_str()); }));
        const bool was_there = file || tries > 1;
        const bool is_done = error == std::errc::no_such_file_or_directory && was_there;
        return is_done ? std::error_code{} : error;
    }

    [[nodiscard]] std::error_code create_directory(const std::string& path) const noexcept {
        if (const std::error_code error = belay::detail::path_error(path)) return error;
        const std::error_code error =
            answer(detail::uninterrupted([&] { return ::mkdir(path.c_str(), 0755); }));
        if (!error) return {};
        struct stat status {};
        const auto look = [&] { return ::stat(path.c_str(), &status); };
        const bool exists = error == std::errc::file_exists && detail::uninterrupted(look) == 0 &&
                            S_ISDIR(status.st_mode);
        return exists ? std::error_code{} : error;
    }

    [[nodiscard]] std::error_code sync_directory(const std::string& path) const noexcept {
        const detail::Descriptor descriptor = detail::open_descriptor(path, O_RDONLY | O_DIRECTORY);
        if (descriptor.get() == -1) return detail::errno_code();
        int result = detail::uninterrupted([&] { return ::fsync(descriptor.get()); });
#if defined(__linux__)
        // Some file systems (FUSE, CIFS) cannot sync a single directory.
        if (result != 0 && errno == EINVAL) {
            result = detail::uninterrupted([&] { return ::syncfs(descriptor.get()); });
        }
#endif
        return answer(result);
    }

    /// Lets other threads run for a moment.
    ///
    /// It takes a microsecond if no thread waits for a processor, and milliseconds if computing
    /// programs use all processors.
    void yield() const noexcept { static_cast<void>(::sched_yield()); }
    /// Returns the time of std::chrono::steady_clock.
    [[nodiscard]] Instant now() const noexcept { return std::chrono::steady_clock::now(); }

    /// Returns the names in a directory.   Throws: std::bad_alloc.
    [[nodiscard]] Result<std::vector<std::string>> list(const std::string& path) const {
        if (const std::error_code error = belay::detail::path_error(path)) return error;
        const auto open = [&path] { return ::opendir(path.c_str()); };
        DIR* const directory = detail::uninterrupted(open, nullptr);
        if (directory == nullptr) return detail::errno_code();
        const belay::detail::ScopeExit close{[directory] { ::closedir(directory); }};
        std::vector<std::string> names;
        for (;;) {
            const auto next = [directory] {
                errno = 0;  // at the end, readdir leaves it as it is
                return ::readdir(directory);
            };
            const dirent* const entry = detail::uninterrupted(next, nullptr);
            if (entry == nullptr) break;
            names.emplace_back(entry->d_name);
        }
        if (errno != 0) return detail::errno_code();
        return names;
    }

private:
    static std::error_code answer(int result) noexcept {
        return result == -1 ? detail::errno_code() : std::error_code{};
    }
};

}}}  // namespace belay::posix
