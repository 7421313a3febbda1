// SPDX-License-Identifier: MIT
/// \file belay/libc_sim/detail/aliases.hpp
/// libc_symbols: other names of the functions that replace those of the C library.
#pragma once

#include <sys/stat.h>  // stat

#include <cstdarg>  // va_list
#include <cstddef>  // std::size_t

#include <belay/libc_sim/detail/refused.hpp>
#include <belay/libc_sim/detail/symbols.hpp>

// NOLINTBEGIN(bugprone-easily-swappable-parameters): the parameters of the C library
// NOLINTBEGIN(readability-function-size): the parameters of the C library

// Shared libraries find only visible symbols. -fvisibility-inlines-hidden must not hide them.
#define BELAY_DETAIL_SYMBOL [[gnu::used, gnu::visibility("default")]]

namespace belay { inline namespace BELAY_ABI { namespace detail { namespace libc_symbols {

// ---- names that the library gives them with -D_FORTIFY_SOURCE -----------------------------------

BELAY_DETAIL_SYMBOL inline ssize_t read_chk(int, void*, std::size_t, std::size_t) asm("__read_chk");
inline ssize_t read_chk(int fd, void* out, std::size_t size, std::size_t) {
    return libc_symbols::read(fd, out, size);
}
BELAY_DETAIL_SYMBOL inline ssize_t recv_chk(int, void*, std::size_t, std::size_t,
                                            int) asm("__recv_chk");
inline ssize_t recv_chk(int fd, void* out, std::size_t size, std::size_t, int flags) {
    return libc_symbols::recv(fd, out, size, flags);
}
BELAY_DETAIL_SYMBOL inline ssize_t recvfrom_chk(int, void*, std::size_t, std::size_t, int,
                                                sockaddr*, socklen_t*) asm("__recvfrom_chk");
inline ssize_t recvfrom_chk(int fd, void* out, std::size_t size, std::size_t, int flags,
                            sockaddr* from, socklen_t* from_size) {
    return libc_symbols::recvfrom(fd, out, size, flags, from, from_size);
}
BELAY_DETAIL_SYMBOL inline int poll_chk(pollfd*, nfds_t, int, std::size_t) asm("__poll_chk");
inline int poll_chk(pollfd* entries, nfds_t count, int timeout, std::size_t) {
    return libc_symbols::poll(entries, count, timeout);
}

BELAY_DETAIL_SYMBOL inline int open_2(const char*, int) asm("__open_2");
inline int open_2(const char* path, int flags) { return libc_symbols::open(path, flags, 0); }
BELAY_DETAIL_SYMBOL inline int openat_2(int, const char*, int) asm("__openat_2");
inline int openat_2(int directory, const char* path, int flags) {
    return libc_symbols::openat(directory, path, flags, 0);
}
BELAY_DETAIL_SYMBOL inline ssize_t pread_chk(int, void*, std::size_t, off_t,
                                             std::size_t) asm("__pread_chk");
inline ssize_t pread_chk(int fd, void* out, std::size_t size, off_t offset, std::size_t) {
    return libc_symbols::pread(fd, out, size, offset);
}
BELAY_DETAIL_SYMBOL inline int open64_2(const char*, int) asm("__open64_2");
inline int open64_2(const char* path, int flags) { return libc_symbols::open64(path, flags, 0); }
BELAY_DETAIL_SYMBOL inline int openat64_2(int, const char*, int) asm("__openat64_2");
inline int openat64_2(int directory, const char* path, int flags) {
    return libc_symbols::openat64(directory, path, flags, 0);
}
BELAY_DETAIL_SYMBOL inline ssize_t pread64_chk(int, void*, std::size_t, off_t,
                                               std::size_t) asm("__pread64_chk");
inline ssize_t pread64_chk(int fd, void* out, std::size_t size, off_t offset, std::size_t) {
    return libc_symbols::pread64(fd, out, size, offset);
}
BELAY_DETAIL_SYMBOL inline int ppoll_chk(pollfd*, nfds_t, const timespec*, const sigset_t*,
                                         std::size_t) asm("__ppoll_chk");
inline int ppoll_chk(pollfd* entries, nfds_t count, const timespec* timeout, const sigset_t* mask,
                     std::size_t) {
    return libc_symbols::ppoll(entries, count, timeout, mask);
}
BELAY_DETAIL_SYMBOL inline char* getcwd_chk(char*, std::size_t, std::size_t) asm("__getcwd_chk");
inline char* getcwd_chk(char* out, std::size_t size, std::size_t) {
    return libc_symbols::getcwd(out, size);
}
BELAY_DETAIL_SYMBOL inline ssize_t readlink_chk(const char*, char*, std::size_t,
                                                std::size_t) asm("__readlink_chk");
inline ssize_t readlink_chk(const char* path, char* out, std::size_t size, std::size_t) {
    return libc_symbols::readlink(path, out, size);
}
BELAY_DETAIL_SYMBOL inline int gethostname_chk(char*, std::size_t,
                                               std::size_t) asm("__gethostname_chk");
inline int gethostname_chk(char* out, std::size_t size, std::size_t) {
    return libc_symbols::gethostname(out, size);
}
BELAY_DETAIL_SYMBOL inline char* realpath_chk(const char*, char*,
                                              std::size_t) asm("__realpath_chk");
inline char* realpath_chk(const char* path, char* out, std::size_t) {
    return libc_refused::realpath(path, out);
}
BELAY_DETAIL_SYMBOL inline int vdprintf_chk(int, int, const char*, va_list) asm("__vdprintf_chk");
inline int vdprintf_chk(int fd, int, const char* format, va_list arguments) {
    return libc_symbols::vdprintf(fd, format, arguments);
}
BELAY_DETAIL_SYMBOL inline int dprintf_chk(int, int, const char*, ...) asm("__dprintf_chk");
inline int dprintf_chk(int fd, int, const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    const int size = libc_symbols::vdprintf(fd, format, arguments);
    va_end(arguments);
    return size;
}

// ---- names in objects that were built with glibc before 2.33 ------------------------------------

BELAY_DETAIL_SYMBOL inline int xstat(int, const char*, struct stat*) asm("__xstat");
inline int xstat(int, const char* path, struct stat* out) { return libc_symbols::stat(path, out); }
BELAY_DETAIL_SYMBOL inline int lxstat(int, const char*, struct stat*) asm("__lxstat");
inline int lxstat(int, const char* path, struct stat* out) {
    return libc_symbols::lstat(path, out);
}
BELAY_DETAIL_SYMBOL inline int fxstat(int, int, struct stat*) asm("__fxstat");
inline int fxstat(int, int fd, struct stat* out) { return libc_symbols::fstat(fd, out); }
BELAY_DETAIL_SYMBOL inline int fxstatat(int, int, const char*, struct stat*, int) asm("__fxstatat");
inline int fxstatat(int, int directory, const char* path, struct stat* out, int flags) {
    return libc_symbols::fstatat(directory, path, out, flags);
}
BELAY_DETAIL_SYMBOL inline int xstat64(int, const char*, struct stat*) asm("__xstat64");
inline int xstat64(int, const char* path, struct stat* out) {
    return libc_symbols::stat64(path, out);
}
BELAY_DETAIL_SYMBOL inline int lxstat64(int, const char*, struct stat*) asm("__lxstat64");
inline int lxstat64(int, const char* path, struct stat* out) {
    return libc_symbols::lstat64(path, out);
}
BELAY_DETAIL_SYMBOL inline int fxstat64(int, int, struct stat*) asm("__fxstat64");
inline int fxstat64(int, int fd, struct stat* out) { return libc_symbols::fstat64(fd, out); }
BELAY_DETAIL_SYMBOL inline int fxstatat64(int, int, const char*, struct stat*,
                                          int) asm("__fxstatat64");
inline int fxstatat64(int, int directory, const char* path, struct stat* out, int flags) {
    return libc_symbols::fstatat64(directory, path, out, flags);
}

}}}}  // namespace belay::detail::libc_symbols

#undef BELAY_DETAIL_SYMBOL

// NOLINTEND(readability-function-size)
// NOLINTEND(bugprone-easily-swappable-parameters)
