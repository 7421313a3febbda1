// SPDX-License-Identifier: MIT
/// \file belay/libc_sim/detail/disk_calls.hpp
/// libc_files: what the functions of files do in a simulated program.
#pragma once

#include <dirent.h>       // DIR
#include <fcntl.h>        // O_CREAT
#include <sys/file.h>     // flock
#include <sys/mman.h>     // MAP_FAILED
#include <sys/stat.h>     // stat
#include <sys/statvfs.h>  // statvfs
#include <unistd.h>       // F_OK

#include <algorithm>         // std::min, std::max
#include <chrono>            // std::chrono::milliseconds
#include <climits>           // IOV_MAX, PATH_MAX
#include <cstring>           // std::memcpy
#include <initializer_list>  // std::initializer_list
#include <memory>            // std::make_shared
#include <optional>          // std::optional
#include <string>            // std::string
#include <string_view>       // std::string_view
#include <vector>            // std::vector

#include <belay/libc_sim/detail/disk.hpp>
#include <belay/libc_sim/detail/files.hpp>
#include <belay/libc_sim/detail/words.hpp>

// NOLINTBEGIN(bugprone-easily-swappable-parameters): the parameters of the C library

namespace belay { inline namespace BELAY_ABI { namespace detail { namespace libc_files {

/// Returns the file of a number, if it is a T; otherwise null, with errno.
template <class T = LibcDiskFile>
std::shared_ptr<T> file_of(LibcProcess& p, int fd, int other_kind = EINVAL) {
    const std::shared_ptr<LibcFile> found = p.file(fd);
    std::shared_ptr<T> file = std::dynamic_pointer_cast<T>(found);
    if (!file) errno = found ? other_kind : EBADF;
    return file;
}
/// Returns the name of a path, as Linux walks it: each part but the last is a directory.
/// Returns: nothing, with errno, if there is no such path.
inline std::optional<std::string> name_at(LibcProcess& p, int directory, const char* path) {
    const std::string_view text{path};
    std::string name = p.state().directory();
    if (text.starts_with('/')) {
        name.clear();
    } else if (directory != AT_FDCWD) {
        const auto at = file_of<LibcDirectory>(p, directory, ENOTDIR);
        if (!at) return std::nullopt;
        name = at->path() == "/" ? "" : at->path();
    }
    if (text.empty()) return errno = ENOENT, std::nullopt;
    if (text.size() >= PATH_MAX) return errno = ENAMETOOLONG, std::nullopt;
    const sim::Disk& disk = p.host().disk();
    for (std::size_t begin = 0, end = 0; begin <= text.size(); begin = end + 1) {
        end = std::min(text.find('/', begin), text.size());
        const std::string_view part = text.substr(begin, end - begin);
        const bool is_end = part.empty() && end == text.size();
        if (disk.has_file(name)) return errno = ENOTDIR, std::nullopt;
        if (!is_end && !disk.has_directory(name)) return errno = ENOENT, std::nullopt;
        if (part.size() > NAME_MAX) return errno = ENAMETOOLONG, std::nullopt;
        if (part == "..") {
            name.erase(std::min(name.rfind('/'), name.size()));
        } else if (!part.empty() && part != ".") {
            name.append("/").append(part);
        }
    }
    return name.empty() ? "/" : name;
}
inline bool is_directory(LibcProcess& p, const std::string& name) {
    return !p.host().disk().has_file(name) && p.host().disk().has_directory(name);
}
inline std::int64_t wall_ns(LibcProcess& p) {
    return LibcClock::read(CLOCK_REALTIME, p.host()).count();
}
/// Returns the state of the directory in which a name is.
inline sim::detail::FileState* parent_of(LibcProcess& p, const std::string& name) {
    return p.host().disk().state(name.substr(0, std::max<std::size_t>(name.rfind('/'), 1)));
}
/// Ends a call that changes names in directories: sets their times of modification.
inline int changed_names(LibcProcess& p, std::error_code error,
                         std::initializer_list<sim::detail::FileState*> parents) {
    for (sim::detail::FileState* const parent : parents) {
        if (!error && parent != nullptr) parent->modified_ns = wall_ns(p);
    }
    return libc_result(error);
}
/// Returns whether the mode of a file denies its owner, who is not root, reading or writing.
inline bool is_denied(mode_t mode, int flags) noexcept {
    const int access = flags & O_ACCMODE;
    const mode_t wanted = (access != O_WRONLY ? S_IRUSR : 0U) | (access != O_RDONLY ? S_IWUSR : 0U);
    return geteuid() != 0 && (mode & wanted) != wanted;
}
inline mode_t mode_of(const sim::detail::FileState& state, mode_t otherwise) noexcept {
    return state.mode != 0 ? state.mode & 07777U : otherwise;
}

// ---- opening ---------------------------------------------------------------------------------

inline int open_directory(LibcProcess& p, const std::string& name, int flags) {
    const bool reads = (flags & O_ACCMODE) == O_RDONLY && (flags & O_CREAT) == 0;
    return reads ? p.open(std::make_shared<LibcDirectory>(name)) : libc_fail(EISDIR);
}
/// Returns the error of open() for a file, or for none at this path; 0 if there is no error.
inline int open_error(const sim::detail::FileState* file, std::string_view path,
                      int flags) noexcept {
    const bool creates = (flags & O_CREAT) != 0;
    if (file == nullptr && !creates) return ENOENT;
    if (file == nullptr && path.ends_with('/')) return EISDIR;
    if (file != nullptr && creates && (flags & O_EXCL) != 0) return EEXIST;
    if ((flags & O_DIRECTORY) != 0) return ENOTDIR;
    return file != nullptr && is_denied(mode_of(*file, 0644), flags) ? EACCES : 0;
}
inline int openat(LibcProcess& p, int directory, const char* path, int flags, mode_t mode) {
    if (std::strcmp(path, "/dev/urandom") == 0 || std::strcmp(path, "/dev/random") == 0) {
        return p.open(std::make_shared<LibcDevice>(flags, &p));
    }
    if (std::strcmp(path, "/dev/null") == 0) return p.open(std::make_shared<LibcDevice>(flags));
    if ((flags & O_TMPFILE) == O_TMPFILE || (flags & (O_PATH | O_DIRECT)) != 0) {
        p.refuse_call(" with " + libc_words::of_flags(libc_words::open_flags, flags));
    }
    const auto name = name_at(p, directory, path);
    if (!name) return -1;
    if (sim::detail::Kernel::lacks_descriptors(p.host())) return libc_fail(EMFILE);
    sim::Disk& disk = p.host().disk();
    const auto found = disk.identity(*name);
    const bool exists = found || found.error() != std::errc::no_such_file_or_directory;
    if (!found && exists) return libc_result(found.error());
    if (!exists && disk.has_directory(*name)) return open_directory(p, *name, flags);
    const sim::detail::FileState* const before = exists ? disk.state(*name) : nullptr;
    if (const int error = open_error(before, path, flags)) return libc_fail(error);
    sim::detail::FileState* const parent = exists ? nullptr : parent_of(p, *name);
    auto file = disk.open(*name, exists ? OpenMode::write : OpenMode::replace);
    if (!file) return libc_result(file.error());
    if (!exists) {
        file->state().mode = S_IFREG | (mode & 07777U & ~p.state().mask());
        static_cast<void>(changed_names(p, {}, {parent}));
    }
    if (exists && (flags & O_TRUNC) != 0) {
        const auto size = file->size();
        const auto error = !size || *size == 0 ? size.error() : file->resize(0);
        if (error) return libc_result(error);
    }
    const auto opened = std::make_shared<LibcDiskFile>(p, std::move(*file), flags);
    if (!exists || (flags & O_TRUNC) != 0) opened->changed(0, 0);
    return p.open(opened);
}
inline int open(LibcProcess& p, const char* path, int flags, mode_t mode) {
    return libc_files::openat(p, AT_FDCWD, path, flags, mode);
}
inline int creat(LibcProcess& p, const char* path, mode_t mode) {
    return libc_files::open(p, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}
/// Makes a file or a directory of a name that ends with `XXXXXX` and a suffix.
template <class F>
int make_unique(LibcProcess& p, char* path, int suffix, F&& make) {
    constexpr std::string_view letters =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    const std::size_t size = std::strlen(path);
    if (suffix < 0 || size < 6 + static_cast<std::size_t>(suffix)) return libc_fail(EINVAL);
    char* const place = path + size - static_cast<std::size_t>(suffix) - 6;
    if (std::string_view{place, 6} != "XXXXXX") return libc_fail(EINVAL);
    for (;;) {
        for (int i = 0; i < 6; ++i) place[i] = letters[uniform_upto(p.bits(), letters.size() - 1)];
        if (const int result = make(); result >= 0 || errno != EEXIST) return result;
    }
}
inline int mkostemps(LibcProcess& p, char* path, int suffix, int flags) {
    return make_unique(p, path, suffix, [&] {
        return libc_files::open(p, path, (flags & ~O_ACCMODE) | O_RDWR | O_CREAT | O_EXCL, 0600);
    });
}
inline int mkostemp(LibcProcess& p, char* path, int flags) {
    return libc_files::mkostemps(p, path, 0, flags);
}
inline int mkstemps(LibcProcess& p, char* path, int suffix) {
    return libc_files::mkostemps(p, path, suffix, 0);
}
inline int mkstemp(LibcProcess& p, char* path) { return libc_files::mkostemps(p, path, 0, 0); }

// ---- bytes -----------------------------------------------------------------------------------

inline bool is_count_of_buffers(int count) noexcept { return count >= 0 && count <= IOV_MAX; }

inline ssize_t preadv(LibcProcess& p, int fd, const iovec* iov, int count, off_t offset) {
    const auto file = file_of(p, fd, ESPIPE);
    if (!file) return -1;
    if (offset < 0 || !is_count_of_buffers(count)) return libc_fail(EINVAL);
    auto at = static_cast<std::uint64_t>(offset);
    return file->read_all({iov, static_cast<std::size_t>(count)}, at);
}
inline ssize_t pread(LibcProcess& p, int fd, void* out, std::size_t size, off_t offset) {
    const iovec iov{out, size};
    return libc_files::preadv(p, fd, &iov, 1, offset);
}
inline ssize_t pwritev(LibcProcess& p, int fd, const iovec* iov, int count, off_t offset) {
    const auto file = file_of(p, fd, ESPIPE);
    if (!file) return -1;
    if (offset < 0 || !is_count_of_buffers(count)) return libc_fail(EINVAL);
    auto at = static_cast<std::uint64_t>(offset);
    return file->write_all({iov, static_cast<std::size_t>(count)}, at);
}
inline ssize_t pwrite(LibcProcess& p, int fd, const void* bytes, std::size_t size, off_t offset) {
    const iovec iov{const_cast<void*>(bytes), size};
    return libc_files::pwritev(p, fd, &iov, 1, offset);
}
inline off_t lseek(LibcProcess& p, int fd, off_t to, int from) {
    if (std::dynamic_pointer_cast<LibcDevice>(p.file(fd))) return 0;
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
inline int fsync(LibcProcess& p, int fd) {
    const auto directory = std::dynamic_pointer_cast<LibcDirectory>(p.file(fd));
    const auto file = directory ? nullptr : file_of(p, fd);
    if (!directory && !file) return -1;
    if (file) return file->sync();
    p.pass(std::chrono::milliseconds{1 + uniform_upto(p.bits(), 9)});
    return libc_result(p.host().disk().sync_directory(directory->path(), true));
}
/// Ends the mappings that are in some memory.
inline void end_mappings(LibcProcess& p, const void* memory, std::size_t size) {
    for (LibcMapping* const m : LibcMapping::in(memory, size)) {
        if (!m->is_within(memory, size)) p.refuse_call(" of a part of a file");
        m->end();
    }
}
/// Memory that the program may not write follows the file. A private copy that it may write does
/// not, which POSIX allows.
// NOLINTNEXTLINE(readability-function-size): the parameters of the C library
inline void* mmap(LibcProcess& p, void* place, std::size_t size, int protection, int flags, int fd,
                  off_t offset) {
    if ((flags & MAP_FIXED) != 0) end_mappings(p, place, size);
    if (fd == -1) return libc_real<"mmap", void*>(place, size, protection, flags, fd, offset);
    const auto file = file_of(p, fd, ENODEV);
    if (!file) return MAP_FAILED;
    if ((file->mode() & O_ACCMODE) == O_WRONLY) return errno = EACCES, MAP_FAILED;
    const bool writes = (protection & PROT_WRITE) != 0;
    if (writes && (flags & MAP_PRIVATE) == 0) {
        p.refuse_call(" of a file with PROT_WRITE and MAP_SHARED");
    }
    if (offset < 0 || offset % sysconf(_SC_PAGESIZE) != 0) return errno = EINVAL, MAP_FAILED;
    const int own = (flags & ~(MAP_SHARED | MAP_SHARED_VALIDATE)) | MAP_PRIVATE | MAP_ANONYMOUS;
    void* const memory =
        libc_real<"mmap", void*>(place, size, PROT_READ | PROT_WRITE, own, -1, off_t{0});
    if (memory == MAP_FAILED) return memory;
    const auto mapping = std::make_shared<LibcMapping>(
        *file, p.host().disk(), std::span{static_cast<std::byte*>(memory), size},
        static_cast<std::size_t>(offset), protection);
    LibcMapping::add(p, mapping);
    return memory;
}
inline int munmap(LibcProcess& p, void* memory, std::size_t size) {
    end_mappings(p, memory, size);
    return libc_real<"munmap", int>(memory, size);
}
/// The pages that a program discards are those of the file again.
inline int madvise(LibcProcess& p, void* memory, std::size_t size, int advice) {
    for (const LibcMapping* const m : LibcMapping::in(memory, size)) {
        if (m->follows() || advice <= MADV_WILLNEED) return 0;
        p.refuse_call(" of a private copy of a file");
    }
    return libc_real<"madvise", int>(memory, size, advice);
}
inline void* mremap(LibcProcess& p, void* memory, std::size_t size, std::size_t to, int flags,
                    void* place) {
    if (!LibcMapping::in(memory, size).empty()) {
        p.refuse_call(" of a file");
    }
    return libc_real<"mremap", void*>(memory, size, to, flags, place);
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
inline int give_status(LibcProcess& p, const sim::detail::FileState& state, std::uint64_t size,
                       mode_t kind, struct stat* out) {
    const bool is_directory = kind == S_IFDIR;
    const std::uint64_t number = state.number | (is_directory ? std::uint64_t{1} << 63U : 0U);
    *out = status(p, number, size, kind | mode_of(state, is_directory ? 0755 : 0644));
    out->st_mtim = out->st_ctim = out->st_atim = LibcClock::to(Duration{state.modified_ns});
    return 0;
}
inline int stat_name(LibcProcess& p, const std::string& name, struct stat* out) {
    sim::Disk& disk = p.host().disk();
    const auto number = disk.identity(name);
    if (number) {
        const auto size = disk.size(name);
        if (!size) return libc_result(size.error());
        return give_status(p, *disk.state(name), *size, S_IFREG, out);
    }
    if (number.error() != std::errc::no_such_file_or_directory) return libc_result(number.error());
    const sim::detail::FileState* const directory = disk.state(name);
    return directory == nullptr ? libc_fail(ENOENT)
                                : give_status(p, *directory, 4096, S_IFDIR, out);
}
inline int fstat(LibcProcess& p, int fd, struct stat* out) {
    const std::shared_ptr<LibcFile> found = p.file(fd);
    if (!found) return libc_fail(EBADF);
    if (const auto file = std::dynamic_pointer_cast<LibcDiskFile>(found)) {
        const auto size = file->size();
        if (!size) return libc_result(size.error());
        static_cast<void>(give_status(p, file->state(), *size, S_IFREG, out));
        out->st_nlink = file->has_name() ? 1 : 0;
    } else if (const auto directory = std::dynamic_pointer_cast<LibcDirectory>(found)) {
        return stat_name(p, directory->path(), out);
    } else {
        *out = status(p, 0, 0, found->kind());
    }
    return 0;
}
inline int fstatat(LibcProcess& p, int directory, const char* path, struct stat* out, int flags) {
    if ((flags & AT_EMPTY_PATH) != 0 && path[0] == '\0' && directory != AT_FDCWD)
        return libc_files::fstat(p, directory, out);
    if (std::strcmp(path, "/dev/null") == 0)
        return *out = status(p, 0, 0, LibcDevice{O_RDWR}.kind()), 0;
    const bool is_here = (flags & AT_EMPTY_PATH) != 0 && path[0] == '\0';
    const auto name = name_at(p, directory, is_here ? "." : path);
    return name ? stat_name(p, *name, out) : -1;
}
inline int stat(LibcProcess& p, const char* path, struct stat* out) {
    return libc_files::fstatat(p, AT_FDCWD, path, out, 0);
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
inline int faccessat(LibcProcess& p, int directory, const char* path, int mode, int) {
    struct stat found {};
    if (libc_files::fstatat(p, directory, path, &found, 0) != 0) return -1;
    const bool is_root = geteuid() == 0;
    const mode_t needed = (mode & R_OK ? S_IRUSR : 0U) | (mode & W_OK ? S_IWUSR : 0U);
    if ((mode & X_OK) != 0 && (found.st_mode & S_IXUSR) == 0) return libc_fail(EACCES);
    return is_root || (found.st_mode & needed) == needed ? 0 : libc_fail(EACCES);
}
inline int access(LibcProcess& p, const char* path, int mode) {
    return libc_files::faccessat(p, AT_FDCWD, path, mode, 0);
}
/// There are no links.
inline ssize_t readlinkat(LibcProcess& p, int directory, const char* path, char*, std::size_t) {
    struct stat found {};
    return libc_files::fstatat(p, directory, path, &found, 0) != 0 ? -1 : libc_fail(EINVAL);
}
inline ssize_t readlink(LibcProcess& p, const char* path, char* out, std::size_t size) {
    return libc_files::readlinkat(p, AT_FDCWD, path, out, size);
}
/// The owner of all files is fixed.
inline int fchown(LibcProcess& p, int fd, uid_t user, gid_t group) {
    if (!p.file(fd)) return libc_fail(EBADF);
    const bool same = (user == geteuid() || user == static_cast<uid_t>(-1)) &&
                      (group == getegid() || group == static_cast<gid_t>(-1));
    return same ? 0 : libc_fail(EPERM);
}
/// Returns the state of what a descriptor or a path names; null, with errno, if it is nothing on
/// the disk.
inline sim::detail::FileState* state_of(LibcProcess& p, int fd, const char* path) {
    if (path == nullptr) {
        const std::shared_ptr<LibcFile> found = p.file(fd);
        if (const auto file = std::dynamic_pointer_cast<LibcDiskFile>(found)) return &file->state();
        const auto directory = std::dynamic_pointer_cast<LibcDirectory>(found);
        if (directory) return p.host().disk().state(directory->path());
        return errno = found ? EINVAL : EBADF, nullptr;
    }
    const auto name = name_at(p, fd, path);
    sim::detail::FileState* const state = name ? p.host().disk().state(*name) : nullptr;
    if (name && state == nullptr) errno = ENOENT;
    return state;
}
inline int fchmodat(LibcProcess& p, int directory, const char* path, mode_t mode, int) {
    sim::detail::FileState* const state = state_of(p, directory, path);
    if (state == nullptr) return -1;
    return state->mode = S_IFREG | (mode & 07777U), 0;  // Linux ignores the type of a file
}
inline int fchmod(LibcProcess& p, int fd, mode_t mode) {
    return libc_files::fchmodat(p, fd, nullptr, mode, 0);
}
inline int chmod(LibcProcess& p, const char* path, mode_t mode) {
    return libc_files::fchmodat(p, AT_FDCWD, path, mode, 0);
}
/// The time of access is that of the modification.
inline int utimensat(LibcProcess& p, int directory, const char* path, const timespec* times, int) {
    sim::detail::FileState* const state = state_of(p, directory, path);
    if (state == nullptr) return -1;
    const bool is_now = times == nullptr || times[1].tv_nsec == UTIME_NOW;
    if (!is_now && times[1].tv_nsec == UTIME_OMIT) return 0;
    if (!is_now && (times[1].tv_nsec < 0 || times[1].tv_nsec >= LibcClock::second)) {
        return libc_fail(EINVAL);
    }
    state->modified_ns =
        is_now ? wall_ns(p) : times[1].tv_sec * LibcClock::second + times[1].tv_nsec;
    return 0;
}
inline int futimens(LibcProcess& p, int fd, const timespec* times) {
    return libc_files::utimensat(p, fd, nullptr, times, 0);
}
inline int give_space(LibcProcess& p, struct statvfs* out) {
    constexpr std::uint64_t block = 4096, unlimited = std::uint64_t{1} << 40U;
    const sim::Disk& disk = p.host().disk();
    const std::uint64_t unused = std::min(disk.unused_bytes(), unlimited);
    *out = {};
    out->f_bsize = out->f_frsize = block;
    out->f_bfree = out->f_bavail = unused / block;
    out->f_blocks = out->f_bfree + (disk.used_bytes() + block - 1) / block;
    out->f_files = out->f_ffree = out->f_favail = 1'000'000;
    out->f_namemax = NAME_MAX;
    return 0;
}
inline int statvfs(LibcProcess& p, const char* path, struct statvfs* out) {
    struct stat found {};
    return libc_files::stat(p, path, &found) != 0 ? -1 : give_space(p, out);
}
inline int fstatvfs(LibcProcess& p, int fd, struct statvfs* out) {
    return p.file(fd) ? give_space(p, out) : libc_fail(EBADF);
}

// ---- names -----------------------------------------------------------------------------------

inline int mkdirat(LibcProcess& p, int directory, const char* path, mode_t mode) {
    const auto name = name_at(p, directory, path);
    if (!name) return -1;
    sim::Disk& disk = p.host().disk();
    if (disk.has_directory(*name) || disk.identity(*name)) return libc_fail(EEXIST);
    sim::detail::FileState* const parent = parent_of(p, *name);
    const std::error_code error = disk.create_directory(*name);
    if (sim::detail::FileState* const made = error ? nullptr : disk.state(*name)) {
        *made = {made->number, wall_ns(p), S_IFREG | (mode & 01777U & ~p.state().mask())};
    }
    return changed_names(p, error, {parent});
}
inline int mkdir(LibcProcess& p, const char* path, mode_t mode) {
    return libc_files::mkdirat(p, AT_FDCWD, path, mode);
}
/// Returns the end of a path that names no entry of a directory: `.`, `..` or the root; otherwise
/// an empty text.
inline std::string_view dots(std::string_view path) {
    path = path.substr(0, path.find_last_not_of('/') + 1);
    if (path.empty()) return "/";
    path.remove_prefix(path.rfind('/') + 1);
    return path == "." || path == ".." ? path : "";
}
inline int rmdir_at(LibcProcess& p, int directory, const char* path) {
    const auto name = name_at(p, directory, path);
    if (!name) return -1;
    sim::Disk& disk = p.host().disk();
    if (disk.identity(*name)) return libc_fail(ENOTDIR);
    const std::string_view end = dots(path);
    if (end == ".") return libc_fail(EINVAL);
    if (end == "..") return libc_fail(ENOTEMPTY);
    if (*name == "/") return libc_fail(EBUSY);
    sim::detail::FileState* const parent = parent_of(p, *name);
    return changed_names(p, disk.remove_directory(*name), {parent});
}
inline int unlinkat(LibcProcess& p, int directory, const char* path, int flags) {
    if ((flags & AT_REMOVEDIR) != 0) return rmdir_at(p, directory, path);
    const auto name = name_at(p, directory, path);
    if (!name) return -1;
    sim::Disk& disk = p.host().disk();
    if (!disk.identity(*name) && disk.has_directory(*name)) return libc_fail(EISDIR);
    sim::detail::FileState* const parent = parent_of(p, *name);
    return changed_names(p, disk.remove(*name), {parent});
}
inline int rmdir(LibcProcess& p, const char* path) { return rmdir_at(p, AT_FDCWD, path); }
inline int unlink(LibcProcess& p, const char* path) {
    return libc_files::unlinkat(p, AT_FDCWD, path, 0);
}
inline int remove(LibcProcess& p, const char* path) {
    const int result = libc_files::unlink(p, path);
    return result != 0 && errno == EISDIR ? libc_files::rmdir(p, path) : result;
}
/// Returns the error of rename(), before the disk is asked; 0 if there is none.
inline int rename_error(LibcProcess& p, const std::string& from, const std::string& to,
                        bool to_directory) {
    sim::Disk& disk = p.host().disk();
    const bool moves_directory = is_directory(p, from);
    if (!moves_directory && !disk.has_file(from)) return ENOENT;
    if (to.starts_with(from + '/')) return moves_directory ? EINVAL : ENOTDIR;
    if (from.starts_with(to + '/')) return ENOTEMPTY;
    if (moves_directory) return disk.has_file(to) ? ENOTDIR : 0;
    if (disk.has_directory(to)) return EISDIR;
    return to_directory ? ENOTDIR : 0;
}
inline int renameat2(LibcProcess& p, int from_directory, const char* from_path, int to_directory,
                     const char* to_path, unsigned flags) {
    if ((flags & ~unsigned{RENAME_NOREPLACE}) != 0) {
        p.refuse_call(" with RENAME_EXCHANGE or RENAME_WHITEOUT");
    }
    const auto from = name_at(p, from_directory, from_path);
    const auto to = from ? name_at(p, to_directory, to_path) : std::nullopt;
    if (!to) return -1;
    if (!dots(from_path).empty() || !dots(to_path).empty()) return libc_fail(EBUSY);
    const bool ends_with_slash = std::string_view{to_path}.ends_with('/');
    if (const int error = rename_error(p, *from, *to, ends_with_slash)) return libc_fail(error);
    sim::Disk& disk = p.host().disk();
    if (flags != 0 && (disk.has_file(*to) || disk.has_directory(*to))) return libc_fail(EEXIST);
    if (*from == *to) return 0;
    const auto parents = {parent_of(p, *from), parent_of(p, *to)};
    const bool moves_directory = is_directory(p, *from);
    const int result = changed_names(p, disk.rename(*from, *to), parents);
    if (result != 0 || !moves_directory) return result;
    const auto rename = [&](std::string& name) {
        if (name == *from || name.starts_with(*from + '/')) name = *to + name.substr(from->size());
    };
    rename(p.state().directory());
    for (const auto& [number, file] : p.files()) {
        if (const auto d = std::dynamic_pointer_cast<LibcDirectory>(file)) rename(d->path());
    }
    return 0;
}
inline int renameat(LibcProcess& p, int from_directory, const char* from, int to_directory,
                    const char* to) {
    return libc_files::renameat2(p, from_directory, from, to_directory, to, 0);
}
inline int rename(LibcProcess& p, const char* from, const char* to) {
    return libc_files::renameat2(p, AT_FDCWD, from, AT_FDCWD, to, 0);
}
inline int set_directory(LibcProcess& p, const std::string& name) {
    if (p.host().disk().has_file(name)) return libc_fail(ENOTDIR);
    if (!p.host().disk().has_directory(name)) return libc_fail(ENOENT);
    return p.state().directory() = name == "/" ? "" : name, 0;
}
inline int chdir(LibcProcess& p, const char* path) {
    const auto name = name_at(p, AT_FDCWD, path);
    return name ? set_directory(p, *name) : -1;
}
inline int fchdir(LibcProcess& p, int fd) {
    const auto directory = file_of<LibcDirectory>(p, fd, ENOTDIR);
    return directory ? set_directory(p, directory->path()) : -1;
}
/// Gives a caller a name. As in glibc, he frees it if he has no space for it.
inline char* give_name(const std::string& name, char* out, std::size_t size) {
    if (out == nullptr && size == 0) return strdup(name.c_str());
    if (size <= name.size()) return errno = size == 0 ? EINVAL : ERANGE, nullptr;
    if (out == nullptr) return strdup(name.c_str());
    return static_cast<char*>(std::memcpy(out, name.c_str(), name.size() + 1));
}
inline char* getcwd(LibcProcess& p, char* out, std::size_t size) {
    const std::string& name = p.state().directory();
    if (!p.host().disk().has_directory(name)) return errno = ENOENT, nullptr;
    return give_name(name.empty() ? "/" : name, out, size);
}
inline char* realpath(LibcProcess& p, const char* path, char* out) {
    struct stat found {};
    if (path == nullptr) return errno = EINVAL, nullptr;
    if (libc_files::stat(p, path, &found) != 0) return nullptr;
    return give_name(*name_at(p, AT_FDCWD, path), out, out == nullptr ? 0 : PATH_MAX);
}
inline char* canonicalize_file_name(LibcProcess& p, const char* path) {
    return libc_files::realpath(p, path, nullptr);
}
inline char* mkdtemp(LibcProcess& p, char* path) {
    const auto make = [&] { return libc_files::mkdir(p, path, 0700); };
    return make_unique(p, path, 0, make) == 0 ? path : nullptr;
}

// ---- lists of directories --------------------------------------------------------------------

/// The result of opendir().
struct Listing {
    int fd;
    std::string directory;
    std::vector<std::string> names;
    std::size_t next = 0;
    dirent entry{};
};

inline int read_names(LibcProcess& p, Listing& listing) {
    const auto names = p.host().disk().names_in(listing.directory);
    if (!names) return libc_result(names.error());
    listing.names = {".", ".."};
    listing.names.insert(listing.names.end(), names->begin(), names->end());
    listing.next = 0;
    return 0;
}
inline DIR* fdopendir(LibcProcess& p, int fd) {
    const auto directory = file_of<LibcDirectory>(p, fd, ENOTDIR);
    if (!directory) return nullptr;
    auto listing = std::make_unique<Listing>(Listing{fd, directory->path(), {}});
    if (read_names(p, *listing) != 0) return nullptr;
    return reinterpret_cast<DIR*>(listing.release());
}
inline DIR* opendir(LibcProcess& p, const char* path) {
    const int fd = libc_files::open(p, path, O_RDONLY | O_DIRECTORY, 0);
    DIR* const listing = fd < 0 ? nullptr : libc_files::fdopendir(p, fd);
    if (fd >= 0 && listing == nullptr) static_cast<void>(p.close(fd));
    return listing;
}
inline dirent* readdir(LibcProcess& p, DIR* directory) {
    auto& listing = *reinterpret_cast<Listing*>(directory);
    if (listing.next == listing.names.size()) return nullptr;
    const std::string& name = listing.names[listing.next++];
    listing.entry = {};
    listing.entry.d_ino = listing.next;
    const bool is_file = p.host().disk().has_file(listing.directory + '/' + name);
    listing.entry.d_type = is_file ? DT_REG : DT_DIR;
    std::memcpy(listing.entry.d_name, name.c_str(),
                std::min(name.size(), sizeof listing.entry.d_name - 1));
    return &listing.entry;
}
inline void rewinddir(LibcProcess& p, DIR* directory) {
    static_cast<void>(read_names(p, *reinterpret_cast<Listing*>(directory)));
}
inline int dirfd(LibcProcess&, DIR* directory) { return reinterpret_cast<Listing*>(directory)->fd; }
inline int closedir(LibcProcess& p, DIR* directory) {
    const std::unique_ptr<Listing> listing{reinterpret_cast<Listing*>(directory)};
    return p.close(listing->fd);
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
    LibcLocks::release(lock);  // as on Linux, also if the other kind is not to be had
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
