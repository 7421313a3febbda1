// SPDX-License-Identifier: MIT
/// \file belay/libc_sim/detail/disk_calls.hpp
/// libc_files: what the functions of files do in a simulated program.
#pragma once

#include <dirent.h>    // DIR
#include <fcntl.h>     // O_CREAT
#include <sys/file.h>  // flock
#include <sys/mman.h>  // MAP_FAILED
#include <sys/stat.h>  // stat
#include <unistd.h>    // F_OK

#include <algorithm>    // std::min, std::max
#include <chrono>       // std::chrono::milliseconds
#include <climits>      // PATH_MAX
#include <cstring>      // std::memcpy
#include <memory>       // std::make_shared
#include <set>          // std::set
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <vector>       // std::vector

#include <belay/libc_sim/detail/disk.hpp>
#include <belay/libc_sim/detail/files.hpp>

// NOLINTBEGIN(bugprone-easily-swappable-parameters): the parameters of the C library

namespace belay { inline namespace BELAY_ABI { namespace detail { namespace libc_files {

inline std::shared_ptr<LibcDiskFile> file_of(LibcProcess& p, int fd, int other_kind = EINVAL) {
    const std::shared_ptr<LibcFile> found = p.file(fd);
    std::shared_ptr<LibcDiskFile> file = std::dynamic_pointer_cast<LibcDiskFile>(found);
    if (!file) errno = found ? other_kind : EBADF;
    return file;
}
/// Whether there is the directory of a name. An empty one is there if a program has made it.
inline bool has_parent(LibcProcess& p, const std::string& name) {
    return p.host().disk().has_directory(name.substr(0, std::max<std::size_t>(name.rfind('/'), 1)));
}
/// Returns the error of a path that is too long, is empty, or goes through a file as if it were a
/// directory; 0 if there is none.
inline int path_error(LibcProcess& p, std::string_view path) {
    if (path.empty()) return ENOENT;
    if (path.size() >= PATH_MAX) return ENAMETOOLONG;
    for (std::size_t begin = 0, end = 0; begin < path.size(); begin = end + 1) {
        end = std::min(path.find('/', begin), path.size());
        if (end - begin > NAME_MAX) return ENAMETOOLONG;
        const std::string name = libc_path(path.substr(0, end));
        if (end != path.size() && p.host().disk().has_file(name)) return ENOTDIR;
    }
    return 0;
}
/// Rejects a path that is not seen from the current directory.
inline std::string path_at(LibcProcess& p, const char* function, int directory, const char* path) {
    if (directory != AT_FDCWD && path[0] != '/') {
        p.refuse("called \"" + std::string{function} +
                 "\" with the descriptor of a directory, which a world does not have");
    }
    return libc_path(path);
}

// ---- opening ---------------------------------------------------------------------------------

inline int open_directory(LibcProcess& p, const std::string& name, int flags) {
    const bool reads = (flags & O_ACCMODE) == O_RDONLY && (flags & O_CREAT) == 0;
    return reads ? p.open(std::make_shared<LibcDirectory>(name)) : libc_fail(EISDIR);
}
inline int open(LibcProcess& p, const char* path, int flags, mode_t) {
    if (std::strcmp(path, "/dev/urandom") == 0 || std::strcmp(path, "/dev/random") == 0) {
        return p.open(std::make_shared<LibcRandom>(p));
    }
    if ((flags & O_TMPFILE) == O_TMPFILE || (flags & (O_PATH | O_DIRECT | O_SYNC)) != 0) {
        p.refuse(
            "called \"open\" with O_TMPFILE, O_PATH, O_DIRECT, O_SYNC or O_DSYNC, which a world "
            "does not have");
    }
    if (const int error = path_error(p, path)) return libc_fail(error);
    if (sim::detail::Kernel::lacks_descriptors(p.host())) return libc_fail(EMFILE);
    const std::string name = libc_path(path);
    sim::Disk& disk = p.host().disk();
    const auto found = disk.identity(name);
    const bool exists = found || found.error() != std::errc::no_such_file_or_directory;
    if (!found && exists) return libc_result(found.error());
    if (!exists && disk.has_directory(name)) return open_directory(p, name, flags);
    if (!exists && ((flags & O_CREAT) == 0 || !has_parent(p, name))) return libc_fail(ENOENT);
    if (exists && (flags & O_CREAT) != 0 && (flags & O_EXCL) != 0) return libc_fail(EEXIST);
    if ((flags & O_DIRECTORY) != 0) return libc_fail(ENOTDIR);
    auto file = disk.open(name, exists ? OpenMode::write : OpenMode::replace);
    if (!file) return libc_result(file.error());
    if (exists && (flags & O_TRUNC) != 0) {
        const auto size = file->size();
        const auto error = !size || *size == 0 ? size.error() : file->resize(0);
        if (error) return libc_result(error);
    }
    const auto opened = std::make_shared<LibcDiskFile>(p, std::move(*file), flags);
    if (!exists || (flags & O_TRUNC) != 0) opened->touch();
    return p.open(opened);
}
inline int openat(LibcProcess& p, int directory, const char* path, int flags, mode_t mode) {
    return libc_files::open(p, path_at(p, "openat", directory, path).c_str(), flags, mode);
}
inline int creat(LibcProcess& p, const char* path, mode_t mode) {
    return libc_files::open(p, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

// ---- bytes -----------------------------------------------------------------------------------

inline ssize_t pread(LibcProcess& p, int fd, void* out, std::size_t size, off_t offset) {
    const auto file = file_of(p, fd, ESPIPE);
    if (!file) return -1;
    if (offset < 0) return libc_fail(EINVAL);
    return file->read_at(static_cast<std::uint64_t>(offset), out, size);
}
/// Calls pread() or pwrite() for each buffer.
template <class F>
ssize_t each_buffer(const iovec* iov, int count, off_t offset, F&& call) {
    ssize_t total = 0;
    for (int i = 0; i < count; ++i) {
        const ssize_t n = call(iov[i].iov_base, iov[i].iov_len, offset + total);
        if (n < 0) return total != 0 ? total : n;
        total += n;
        if (static_cast<std::size_t>(n) < iov[i].iov_len) break;
    }
    return total;
}
inline ssize_t preadv(LibcProcess& p, int fd, const iovec* iov, int count, off_t offset) {
    return each_buffer(iov, count, offset, [&](void* out, std::size_t size, off_t at) {
        return libc_files::pread(p, fd, out, size, at);
    });
}
inline ssize_t pwrite(LibcProcess& p, int fd, const void* bytes, std::size_t size, off_t offset) {
    const auto file = file_of(p, fd, ESPIPE);
    if (!file) return -1;
    if (offset < 0) return libc_fail(EINVAL);
    const auto place = file->place(static_cast<std::uint64_t>(offset));
    return place ? file->write_at(*place, bytes, size) : libc_result(place.error());
}
inline ssize_t pwritev(LibcProcess& p, int fd, const iovec* iov, int count, off_t offset) {
    return each_buffer(iov, count, offset, [&](const void* bytes, std::size_t size, off_t at) {
        return libc_files::pwrite(p, fd, bytes, size, at);
    });
}
inline off_t lseek(LibcProcess& p, int fd, off_t to, int from) {
    const auto file = file_of(p, fd, ESPIPE);
    return file ? file->seek(to, from) : -1;
}
inline int ftruncate(LibcProcess& p, int fd, off_t bytes) {
    const auto file = file_of(p, fd);
    if (!file) return -1;
    return bytes < 0 ? libc_fail(EINVAL) : file->resize(static_cast<std::uint64_t>(bytes));
}
inline int truncate(LibcProcess& p, const char* path, off_t bytes) {
    const int fd = libc_files::open(p, path, O_WRONLY, 0);
    if (fd < 0) return -1;
    const int result = libc_files::ftruncate(p, fd, bytes);
    static_cast<void>(p.close(fd));
    return result;
}
inline int fallocate(LibcProcess& p, int fd, int mode, off_t offset, off_t bytes) {
    const auto file = file_of(p, fd);
    if (!file) return -1;
    if (mode != 0) return libc_fail(EOPNOTSUPP);
    if (offset < 0 || bytes <= 0) return libc_fail(EINVAL);
    return file->preallocate(static_cast<std::uint64_t>(offset) +
                             static_cast<std::uint64_t>(bytes));
}
/// Returns an error, not errno.
inline int posix_fallocate(LibcProcess& p, int fd, off_t offset, off_t bytes) {
    return libc_files::fallocate(p, fd, 0, offset, bytes) == 0 ? 0 : errno;
}
/// A sync takes 1 to 10 ms. The power may fail meanwhile, and then nothing was synced. All other
/// calls take no time: what they have changed is as if it came at any time before the next sync.
inline int fsync(LibcProcess& p, int fd) {
    const auto directory = std::dynamic_pointer_cast<LibcDirectory>(p.file(fd));
    const auto file = directory ? nullptr : file_of(p, fd);
    if (!directory && !file) return -1;
    const Duration time = std::chrono::milliseconds{1 + uniform_upto(p.bits(), 9)};
    static_cast<void>(p.wait(after(p.host().now(), time), [] { return false; }));
    if (file) return file->sync();
    return libc_result(p.host().disk().sync_directory(directory->path(), true));
}
inline void* mmap(LibcProcess& p, int fd) {
    if (!p.file(fd)) return errno = EBADF, MAP_FAILED;
    p.refuse("called \"mmap\" of a file, which a world does not have");
}

// ---- what is there ---------------------------------------------------------------------------

inline struct stat status(LibcProcess& p, std::uint64_t number, std::uint64_t size,
                          mode_t kind) noexcept {
    struct stat out {};
    // Each program sees a device of its own. Libraries store the state of a file, such as its
    // locks, in static variables, and a program that starts anew must not find that state again.
    out.st_dev = p.number();
    out.st_ino = number;
    out.st_mode = kind;
    out.st_nlink = 1;
    out.st_uid = geteuid();
    out.st_gid = getegid();
    out.st_size = static_cast<off_t>(size);
    out.st_blksize = 4096;
    out.st_blocks = static_cast<blkcnt_t>((size + 511) / 512);
    return out;
}
inline void set_modified(struct stat& out, std::int64_t ns) noexcept {
    out.st_mtim = out.st_ctim = out.st_atim = LibcClock::to(Duration{ns});
}
inline constexpr mode_t file_mode = S_IFREG | 0644;
inline constexpr mode_t directory_mode = S_IFDIR | 0755;

inline int stat(LibcProcess& p, const char* path, struct stat* out) {
    const std::string name = libc_path(path);
    sim::Disk& disk = p.host().disk();
    if (const int error = path_error(p, path)) return libc_fail(error);
    const auto number = disk.identity(name);
    if (number) {
        const auto size = disk.size(name);
        if (!size) return libc_result(size.error());
        *out = status(p, (*number)[1], *size, file_mode);
        set_modified(*out, disk.modified(name));
        return 0;
    }
    if (number.error() != std::errc::no_such_file_or_directory) return libc_result(number.error());
    if (!disk.has_directory(name)) return libc_fail(ENOENT);
    *out = status(p, sim::detail::hash_of(name) | std::uint64_t{1} << 63U, 4096, directory_mode);
    return 0;
}
inline int fstat(LibcProcess& p, int fd, struct stat* out) {
    const std::shared_ptr<LibcFile> found = p.file(fd);
    if (!found) return libc_fail(EBADF);
    if (const auto file = std::dynamic_pointer_cast<LibcDiskFile>(found)) {
        const auto size = file->size();
        if (!size) return libc_result(size.error());
        *out = status(p, file->number(), *size, file_mode);
        out->st_nlink = file->has_name() ? 1 : 0;
        set_modified(*out, file->modified());
    } else if (const auto directory = std::dynamic_pointer_cast<LibcDirectory>(found)) {
        return libc_files::stat(p, directory->path().c_str(), out);
    } else {
        *out = status(p, 0, 0, S_IFSOCK | 0600);
    }
    return 0;
}
inline int fstatat(LibcProcess& p, int directory, const char* path, struct stat* out, int flags) {
    if ((flags & AT_EMPTY_PATH) != 0 && path[0] == '\0')
        return libc_files::fstat(p, directory, out);
    return libc_files::stat(p, path_at(p, "fstatat", directory, path).c_str(), out);
}
inline int statx(LibcProcess& p, int directory, const char* path, int flags, unsigned int,
                 struct statx* out) {
    struct stat found {};
    if (libc_files::fstatat(p, directory, path, &found, flags) != 0) return -1;
    *out = {};
    out->stx_mask = STATX_TYPE | STATX_MODE | STATX_INO | STATX_SIZE | STATX_NLINK | STATX_MTIME;
    out->stx_dev_minor = static_cast<std::uint32_t>(found.st_dev);
    out->stx_ino = found.st_ino;
    out->stx_mode = static_cast<std::uint16_t>(found.st_mode);
    out->stx_mtime.tv_sec = found.st_mtim.tv_sec;
    out->stx_mtime.tv_nsec = static_cast<std::uint32_t>(found.st_mtim.tv_nsec);
    out->stx_nlink = static_cast<std::uint32_t>(found.st_nlink);
    out->stx_size = static_cast<std::uint64_t>(found.st_size);
    return 0;
}
inline int access(LibcProcess& p, const char* path, int mode) {
    struct stat found {};
    if (libc_files::stat(p, path, &found) != 0) return -1;
    return (mode & X_OK) != 0 && S_ISREG(found.st_mode) ? libc_fail(EACCES) : 0;
}
/// There are no links.
inline ssize_t readlink(LibcProcess& p, const char* path, char*, std::size_t) {
    struct stat found {};
    return libc_files::stat(p, path, &found) != 0 ? -1 : libc_fail(EINVAL);
}
/// The owner and the mode of all files are fixed.
inline int fchown(LibcProcess& p, int fd, uid_t user, gid_t group) {
    if (!p.file(fd)) return libc_fail(EBADF);
    const bool same = (user == geteuid() || user == static_cast<uid_t>(-1)) &&
                      (group == getegid() || group == static_cast<gid_t>(-1));
    return same ? 0 : libc_fail(EPERM);
}
inline int fchmod(LibcProcess& p, int fd, mode_t mode) {
    struct stat found {};
    if (libc_files::fstat(p, fd, &found) != 0) return -1;
    // Linux ignores the type of a file.
    return (found.st_mode & 07777U) == (mode & 07777U) ? 0 : libc_fail(EPERM);
}

// ---- names -----------------------------------------------------------------------------------

inline int mkdir(LibcProcess& p, const char* path, mode_t) {
    if (const int error = path_error(p, path)) return libc_fail(error);
    const std::string name = libc_path(path);
    sim::Disk& disk = p.host().disk();
    if (disk.has_directory(name) || disk.identity(name)) return libc_fail(EEXIST);
    if (!has_parent(p, name)) return libc_fail(ENOENT);
    return libc_result(disk.create_directory(name));
}
inline int unlink(LibcProcess& p, const char* path) {
    if (const int error = path_error(p, path)) return libc_fail(error);
    const std::string name = libc_path(path);
    sim::Disk& disk = p.host().disk();
    if (!disk.identity(name) && disk.has_directory(name)) return libc_fail(EISDIR);
    return libc_result(disk.remove(name));
}
inline int remove(LibcProcess& p, const char* path) {
    const int result = libc_files::unlink(p, path);
    if (result != 0 && errno == EISDIR) {
        p.refuse("called \"remove\" of a directory, which a world does not have");
    }
    return result;
}
inline int rename(LibcProcess& p, const char* from, const char* to) {
    if (const int error = path_error(p, from)) return libc_fail(error);
    const std::string name = libc_path(from);
    sim::Disk& disk = p.host().disk();
    if (!disk.identity(name) && disk.has_directory(name)) {
        p.refuse("called \"rename\" of a directory, which a world does not have");
    }
    const std::string target = libc_path(to);
    if (const int error = path_error(p, to)) return libc_fail(error);
    if (!disk.identity(target) && disk.has_directory(target)) return libc_fail(EISDIR);
    if (!has_parent(p, target)) return libc_fail(ENOENT);
    return libc_result(disk.rename(name, target));
}
inline char* getcwd(LibcProcess&, char* out, std::size_t size) {
    if (size < 2 && (out != nullptr || size != 0)) {
        return errno = size == 0 ? EINVAL : ERANGE, nullptr;
    }
    // As in glibc, the caller frees it.
    if (out == nullptr) return strdup("/");
    std::memcpy(out, "/", 2);
    return out;
}

/// The result of opendir().
struct Listing {
    std::vector<std::string> names;
    std::size_t next = 0;
    dirent entry{};
};

inline DIR* opendir(LibcProcess& p, const char* path) {
    const std::string name = libc_path(path);
    sim::Disk& disk = p.host().disk();
    if (disk.identity(name)) return errno = ENOTDIR, nullptr;
    if (!disk.has_directory(name)) return errno = ENOENT, nullptr;
    std::set<std::string> names{".", ".."};
    const auto files = disk.list(name == "/" ? "" : name);
    if (!files) return errno = files.error().value(), nullptr;
    for (const std::string& file : *files) {
        names.insert(file.substr(0, file.find('/')));
    }
    auto listing = std::make_unique<Listing>();
    listing->names.assign(names.begin(), names.end());
    return reinterpret_cast<DIR*>(listing.release());
}
inline dirent* readdir(LibcProcess&, DIR* directory) {
    auto& listing = *reinterpret_cast<Listing*>(directory);
    if (listing.next == listing.names.size()) return nullptr;
    const std::string& name = listing.names[listing.next++];
    listing.entry = {};
    listing.entry.d_ino = listing.next;
    listing.entry.d_type = DT_UNKNOWN;
    std::memcpy(listing.entry.d_name, name.c_str(),
                std::min(name.size(), sizeof listing.entry.d_name - 1));
    return &listing.entry;
}
inline int closedir(LibcProcess&, DIR* directory) {
    const std::unique_ptr<Listing> listing{reinterpret_cast<Listing*>(directory)};
    return 0;
}

// ---- locks -----------------------------------------------------------------------------------

/// Sets a lock, or ends it.   Returns: as the system calls do.
inline int set_lock(LibcProcess& p, const LibcLocks::Lock& lock, bool ends, bool waits) {
    if (ends) return LibcLocks::release(lock), 0;
    while (LibcLocks::conflict(lock) != nullptr) {
        if (!waits) return libc_fail(EAGAIN);
        const Instant later = after(p.host().now(), std::chrono::milliseconds{1});
        if (!p.wait_or_fail(later, [] { return false; }) && errno == EINTR) return -1;
    }
    LibcLocks::set(lock);
    return 0;
}
inline int flock(LibcProcess& p, int fd, int operation) {
    const auto file = file_of(p, fd);
    if (!file) return -1;
    LibcLocks::Lock lock = file->lock_of(file.get(), true);
    lock.exclusive = (operation & LOCK_EX) != 0;
    return set_lock(p, lock, (operation & LOCK_UN) != 0, (operation & LOCK_NB) == 0);
}
/// The commands of fcntl() for locks.
inline int lock(LibcProcess& p, int fd, int command, struct flock* asked) {
    const auto file = file_of(p, fd);
    if (!file) return -1;
    const bool of_file =
        command == F_OFD_SETLK || command == F_OFD_SETLKW || command == F_OFD_GETLK;
    LibcLocks::Lock lock = file->lock_of(of_file ? static_cast<void*>(file.get()) : &p, false);
    Result<std::uint64_t> base = std::uint64_t{asked->l_whence == SEEK_CUR ? file->offset() : 0};
    if (asked->l_whence == SEEK_END) base = file->size();
    if (!base) return libc_result(base.error());
    lock.begin = static_cast<std::int64_t>(*base) + asked->l_start;
    if (asked->l_len != 0) lock.end = lock.begin + asked->l_len;
    if (lock.begin < 0 || lock.end <= lock.begin) return libc_fail(EINVAL);
    lock.exclusive = asked->l_type == F_WRLCK;
    if (command == F_GETLK || command == F_OFD_GETLK) {
        const LibcLocks::Lock* const other = LibcLocks::conflict(lock);
        asked->l_type = static_cast<short>(other == nullptr   ? F_UNLCK
                                           : other->exclusive ? F_WRLCK
                                                              : F_RDLCK);
        if (other != nullptr) asked->l_pid = -1;
        return 0;
    }
    const int access = file->mode() & O_ACCMODE;
    if ((asked->l_type == F_WRLCK && access == O_RDONLY) ||
        (asked->l_type == F_RDLCK && access == O_WRONLY)) {
        return libc_fail(EBADF);
    }
    return set_lock(p, lock, asked->l_type == F_UNLCK,
                    command == F_SETLKW || command == F_OFD_SETLKW);
}

}}}}  // namespace belay::detail::libc_files

// NOLINTEND(bugprone-easily-swappable-parameters)
