// SPDX-License-Identifier: MIT
/// \file belay/libc_sim/detail/streams.hpp
/// LibcStreams: fopen() of a simulated program, over its descriptors.
#pragma once

#include <stdio.h>      // fopencookie
#include <stdio_ext.h>  // __fsetlocking

#include <cerrno>       // errno
#include <memory>       // std::unique_ptr
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::exchange
#include <vector>       // std::vector

#include <belay/libc_sim/detail/calls.hpp>
#include <belay/libc_sim/detail/real.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The streams that the programs of the process have opened. The C library buffers them.
///
/// The streams of a killed program stay until the process ends, with what they have not written.
/// The C library flushes them then, and when the test calls fflush(nullptr). A stream keeps what is
/// written outside of its program for the next call of the program.
class LibcStreams {
public:
    /// Makes a stream of a descriptor.   Returns: null, with errno, after an error.
    static FILE* open(LibcProcess& p, int fd, const char* mode) {
        auto s = std::make_unique<Stream>(Stream{p.number(), fd, nullptr, {}});
        const char plain[]{mode[0], is_both(mode) ? '+' : '\0', '\0'};
        s->file = fopencookie(s.get(), plain,
                              {.read = &read, .write = &write, .seek = &seek, .close = &close});
        FILE* const file = s->file;
        if (file == nullptr) return nullptr;
        if (mode[0] == 'a') {
            static_cast<void>(p.file(fd)->set_append(true));
            if (!is_both(mode)) static_cast<void>(libc_files::lseek(p, fd, 0, SEEK_END));
        }
        all().push_back(s.release());
        // A killed program would keep the lock for ever.
        __fsetlocking(file, FSETLOCKING_BYCALLER);
        return file;
    }
    /// Returns the flags of open() for a mode; -1 if there is no such mode.
    [[nodiscard]] static int flags_of(const char* mode) noexcept {
        const std::string_view all{mode};
        const int kind = all.starts_with('r')   ? 0
                         : all.starts_with('w') ? O_CREAT | O_TRUNC
                         : all.starts_with('a') ? O_CREAT | O_APPEND
                                                : -1;
        if (kind < 0) return kind;
        const int access = is_both(mode) ? O_RDWR : kind == 0 ? O_RDONLY : O_WRONLY;
        return kind | access | (all.find('x') != std::string_view::npos ? O_EXCL : 0);
    }
    /// Returns the descriptor of a stream; -1 if it is of no program.
    [[nodiscard]] static int number(FILE* file) noexcept {
        for (const Stream* const s : all()) {
            if (s->file == file) return s->fd;
        }
        return -1;
    }
    /// Writes what the streams of the program that runs have buffered.   Returns: 0; EOF, with
    /// errno, after an error.
    static int flush(LibcProcess& p) {
        std::vector<FILE*> files;  // other programs run while one is written
        for (const Stream* const s : all()) {
            if (s->program == p.number()) files.push_back(s->file);
        }
        int result = 0;
        for (FILE* const file : files) {
            if (flush(file) != 0) result = EOF;
        }
        return result;
    }
    /// Writes what a stream has buffered, as fflush() does.
    static int flush(FILE* file) {
        bool failed = false;
        for (Stream* const s : all()) {
            if (s->file != file) continue;
            failed = program_of(*s) != nullptr && !s->kept.empty();
            break;
        }
        const int error = errno;
        const int result = libc_real<"fflush", int>(file);
        if (!failed) return result;
        return errno = error, EOF;
    }

private:
    struct Stream {
        std::uint64_t program;
        int fd;
        FILE* file;
        std::string kept;  // written outside of the program
    };
    static std::vector<Stream*>& all() {
        static auto& streams = *new std::vector<Stream*>;  // the C library flushes at the very end
        return streams;
    }
    [[nodiscard]] static bool is_both(const char* mode) noexcept {
        return std::string_view{mode}.find('+') != std::string_view::npos;
    }
    /// Returns the program that runs, if the stream is of it, after what was kept is written. After
    /// an error, the rest stays.
    [[nodiscard]] static LibcProcess* program_of(Stream& s) {
        LibcProcess* const p = LibcProcess::current();
        if (p == nullptr || p->number() != s.program) return nullptr;
        const std::string kept = std::exchange(s.kept, {});
        const std::size_t written = libc_calls::write_all(*p, s.fd, kept);
        s.kept.insert(0, kept, written);
        return p;
    }
    static ssize_t read(void* cookie, char* out, std::size_t size) {
        auto& s = *static_cast<Stream*>(cookie);
        LibcProcess* const p = program_of(s);
        return p != nullptr ? libc_calls::read(*p, s.fd, out, size) : libc_fail(EBADF);
    }
    /// Returns 0 after an error.
    static ssize_t write(void* cookie, const char* bytes, std::size_t size) {
        auto& s = *static_cast<Stream*>(cookie);
        LibcProcess* const p = program_of(s);
        if (p != nullptr) {
            if (!s.kept.empty()) return 0;  // in their order
            return static_cast<ssize_t>(libc_calls::write_all(*p, s.fd, {bytes, size}));
        }
        s.kept.append(bytes, size);
        return static_cast<ssize_t>(size);
    }
    static int seek(void* cookie, off64_t* place, int from) {
        auto& s = *static_cast<Stream*>(cookie);
        LibcProcess* const p = program_of(s);
        const off_t at = p != nullptr ? libc_files::lseek(*p, s.fd, *place, from) : -1;
        if (at < 0) return -1;
        *place = at;
        return 0;
    }
    static int close(void* cookie) {
        auto* const s = static_cast<Stream*>(cookie);
        LibcProcess* const p = program_of(*s);
        const int error = errno;
        int result = p != nullptr ? libc_calls::close(*p, s->fd) : 0;
        if (p != nullptr && !s->kept.empty()) errno = error, result = -1;
        std::erase(all(), s);
        delete s;
        return result;
    }
};

namespace libc_streams {

// NOLINTNEXTLINE(bugprone-easily-swappable-parameters): the parameters of the C library
inline FILE* fopen(LibcProcess& p, const char* path, const char* mode) {
    const int flags = LibcStreams::flags_of(mode);
    if (flags < 0) return errno = EINVAL, nullptr;
    const int fd = libc_files::open(p, path, flags, 0666);
    return fd < 0 ? nullptr : LibcStreams::open(p, fd, mode);
}
inline FILE* fdopen(LibcProcess& p, int fd, const char* mode) {
    const std::shared_ptr<LibcFile> file = p.file(fd);
    if (!file) return errno = EBADF, nullptr;
    const int flags = LibcStreams::flags_of(mode);
    const int access = file->mode() & O_ACCMODE;
    const bool fits = access == O_RDWR || access == (flags & O_ACCMODE);
    if (flags < 0 || !fits) return errno = EINVAL, nullptr;
    return LibcStreams::open(p, fd, mode);
}
inline int fileno(LibcProcess&, FILE* stream) {
    const int fd = LibcStreams::number(stream);
    return fd >= 0 ? fd : libc_real<"fileno", int>(stream);
}
/// A program flushes its own streams, and the standard ones.
inline int fflush(LibcProcess& p, FILE* stream) {
    if (stream != nullptr) return LibcStreams::flush(stream);
    const int streams = LibcStreams::flush(p);
    const int out = libc_real<"fflush", int>(stdout);
    return streams != 0 || out != 0 ? EOF : 0;
}

/// Does what exit() does before the end: functions of atexit(), and then the streams.
inline void end(LibcProcess& p) {
    p.call_exit_functions();
    LibcStreams::flush(p);
}

}  // namespace libc_streams

}}}  // namespace belay::detail
