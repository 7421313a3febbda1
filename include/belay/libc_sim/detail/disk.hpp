// SPDX-License-Identifier: MIT
/// \file belay/libc_sim/detail/disk.hpp
/// LibcDiskFile, LibcLocks: files of a simulated program on the disk of its host, and their locks.
#pragma once

#include <fcntl.h>     // O_APPEND
#include <sys/mman.h>  // mprotect
#include <unistd.h>    // sysconf

#include <algorithm>     // std::min, std::max
#include <chrono>        // std::chrono::milliseconds
#include <cstring>       // std::memcpy
#include <limits>        // std::numeric_limits
#include <memory>        // std::shared_ptr
#include <span>          // std::span
#include <string>        // std::string
#include <system_error>  // std::error_code
#include <utility>       // std::move
#include <vector>        // std::vector

#include <belay/libc_sim/detail/files.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

inline int libc_result(std::error_code error) noexcept {
    return error ? libc_fail(error.value()) : 0;
}

/// The locks of files, of all programs.
///
/// A lock of fcntl() belongs to a program, and one of F_OFD_SETLK or flock() to an open file.
/// Those of flock() do not conflict with the others, as on Linux.
struct LibcLocks {
    struct Lock {
        const sim::Disk* disk;
        std::uint64_t file;
        const void* owner;
        bool whole;  // of flock()
        std::int64_t begin = 0;
        std::int64_t end = std::numeric_limits<std::int64_t>::max();
        bool exclusive = true;
    };

    [[nodiscard]] static const Lock* conflict(const Lock& wanted) {
        for (const Lock& l : all_) {
            if (is_same_file(l, wanted) && l.owner != wanted.owner && overlap(l, wanted) &&
                (l.exclusive || wanted.exclusive)) {
                return &l;
            }
        }
        return nullptr;
    }
    /// Replaces what the owner has locked of the range.
    static void set(const Lock& lock) {
        release(lock);
        all_.push_back(lock);
    }
    /// Ends what the owner has locked of the range.
    static void release(const Lock& range) {
        std::vector<Lock> kept;
        for (const Lock& l : all_) {
            if (!is_same_file(l, range) || l.owner != range.owner || !overlap(l, range)) {
                kept.push_back(l);
                continue;
            }
            Lock part = l;
            part.end = range.begin;
            if (part.begin < part.end) kept.push_back(part);
            part = l;
            part.begin = range.end;
            if (part.begin < part.end) kept.push_back(part);
        }
        all_ = std::move(kept);
    }

private:
    static bool is_same_file(const Lock& a, const Lock& b) noexcept {
        return a.disk == b.disk && a.file == b.file && a.whole == b.whole;
    }
    static bool overlap(const Lock& a, const Lock& b) noexcept {
        return a.begin < b.end && b.begin < a.end;
    }

    static inline std::vector<Lock> all_{};
};

/// An open file on the disk of the host.
class LibcDiskFile final : public LibcFile {
public:
    LibcDiskFile(LibcProcess& process, sim::Disk::File file, int flags)
        : process_{process}, file_{std::move(file)}, flags_{flags} {}
    ~LibcDiskFile() override { end(); }
    void end() noexcept override {
        on_close();
        LibcLocks::release(lock_of(this, false));
        LibcLocks::release(lock_of(this, true));
    }

    /// A program loses its locks of a file when it closes any descriptor of it.
    void on_close() noexcept override { LibcLocks::release(lock_of(&process_, false)); }

    std::uint32_t ready() override { return EPOLLIN | EPOLLOUT; }
    bool is_watchable() const noexcept override { return false; }
    int mode() const noexcept override { return flags_ & (O_ACCMODE | O_APPEND | O_SYNC); }
    bool set_append(bool on) noexcept override {
        flags_ = on ? flags_ | O_APPEND : flags_ & ~O_APPEND;
        return true;
    }

    ssize_t read(std::span<const iovec> iov) override { return read_all(iov, offset_); }
    ssize_t write(std::span<const iovec> iov) override { return write_all(iov, offset_); }
    /// Reads or writes at a place, which is behind the bytes then.
    ssize_t read_all(std::span<const iovec> iov, std::uint64_t& at) {
        return each_buffer(iov, at,
                           [&](const iovec& v) { return read_at(at, v.iov_base, v.iov_len); });
    }
    ssize_t write_all(std::span<const iovec> iov, std::uint64_t& at) {
        return each_buffer(iov, at, [&](const iovec& v) -> ssize_t {
            // On Linux, also pwrite() writes at the end of a file with O_APPEND.
            const Result<std::uint64_t> place =
                (flags_ & O_APPEND) != 0 ? size() : Result<std::uint64_t>{at};
            if (!place) return libc_result(place.error());
            at = *place;
            return write_at(at, v.iov_base, v.iov_len);
        });
    }
    ssize_t read_at(std::uint64_t offset, void* out, std::size_t bytes) {
        if ((flags_ & O_ACCMODE) == O_WRONLY) return libc_fail(EBADF);
        const auto& faults = sim::detail::Kernel::station(process_.host()).faults;
        if (faults.shortens_reads && bytes > 1) {
            bytes = 1 + static_cast<std::size_t>(uniform_upto(process_.bits(), bytes - 2));
        }
        const auto n = file_.read(offset, {static_cast<std::byte*>(out), bytes});
        return n ? static_cast<ssize_t>(*n) : libc_result(n.error());
    }
    ssize_t write_at(std::uint64_t offset, const void* from, std::size_t bytes) {
        if ((flags_ & O_ACCMODE) == O_RDONLY) return libc_fail(EBADF);
        std::size_t part = 0;
        const BytesView all{static_cast<const std::byte*>(from), bytes};
        const auto error = file_.write(offset, all, &part);
        if (!error || part != 0) changed(offset, part);
        // A disk that gets full takes the front, and reports the error at the next call.
        const bool full = error == std::errc::no_space_on_device && part != 0;
        if (error && !full) return libc_result(error);
        if ((flags_ & O_DSYNC) != 0 && sync() != 0) return -1;
        return static_cast<ssize_t>(part);
    }
    /// A sync takes 1 to 10 ms. The power may fail meanwhile, and then nothing was synced. All
    /// other calls take no time: their changes may come at any time before the next sync.
    int sync() {
        process_.pass(std::chrono::milliseconds{1 + uniform_upto(process_.bits(), 9)});
        return libc_result(file_.sync());
    }
    int resize(std::uint64_t bytes) {
        if ((flags_ & O_ACCMODE) == O_RDONLY) return libc_fail(EINVAL);
        const int result = libc_result(file_.resize(bytes));
        changed(0, 0);
        return result;
    }
    /// Sets the time of modification, and copies bytes that were written to where they are mapped.
    void changed(std::uint64_t offset, std::size_t bytes);
    [[nodiscard]] sim::detail::FileState& state() const noexcept { return file_.state(); }
    [[nodiscard]] const Bytes& bytes() const noexcept { return file_.bytes(); }
    int preallocate(std::uint64_t bytes) { return libc_result(file_.preallocate(bytes)); }
    [[nodiscard]] Result<std::uint64_t> size() const noexcept { return file_.size(); }
    [[nodiscard]] bool has_name() const noexcept { return file_.has_name(); }
    [[nodiscard]] std::uint64_t number() const { return state().number; }
    std::int64_t seek(std::int64_t to, int from) {
        if (from == SEEK_DATA || from == SEEK_HOLE) return seek_in_data(to, from == SEEK_HOLE);
        if (from != SEEK_SET && from != SEEK_CUR && from != SEEK_END) return libc_fail(EINVAL);
        Result<std::uint64_t> base = std::uint64_t{from == SEEK_CUR ? offset_ : 0};
        if (from == SEEK_END) base = size();
        if (!base) return libc_result(base.error());
        const std::int64_t place = static_cast<std::int64_t>(*base) + to;
        if (place < 0) return libc_fail(EINVAL);
        offset_ = static_cast<std::uint64_t>(place);
        return place;
    }
    [[nodiscard]] std::uint64_t offset() const noexcept { return offset_; }
    [[nodiscard]] LibcLocks::Lock lock_of(const void* owner, bool whole) const {
        return {&process_.host().disk(), number(), owner, whole};
    }

private:
    /// Calls `call(buffer)` for each buffer, until one is not moved as a whole.
    template <class F>
    static ssize_t each_buffer(std::span<const iovec> iov, std::uint64_t& at, F&& call) {
        ssize_t total = 0;
        for (const iovec& v : iov) {
            const ssize_t n = call(v);
            if (n < 0) return total != 0 ? total : n;
            at += static_cast<std::uint64_t>(n);
            total += n;
            if (static_cast<std::size_t>(n) < v.iov_len) break;
        }
        return total;
    }
    /// A file has no holes, except the one at its end.
    std::int64_t seek_in_data(std::int64_t to, bool hole) {
        const auto bytes = size();
        if (!bytes) return libc_result(bytes.error());
        const auto end = static_cast<std::int64_t>(*bytes);
        if (to < 0 || to >= end) return libc_fail(ENXIO);
        return seek(hole ? end : to, SEEK_SET);
    }

    LibcProcess& process_;
    sim::Disk::File file_;
    int flags_;
    std::uint64_t offset_ = 0;
};

/// An open directory.
class LibcDirectory final : public LibcFile {
public:
    explicit LibcDirectory(std::string path) : path_{std::move(path)} {}
    std::uint32_t ready() override { return EPOLLIN; }
    ssize_t read(std::span<const iovec>) override { return libc_fail(EISDIR); }
    bool is_watchable() const noexcept override { return false; }
    int mode() const noexcept override { return O_RDONLY | O_DIRECTORY; }
    /// Its name on the disk, which changes if it is renamed.
    [[nodiscard]] std::string& path() noexcept { return path_; }

private:
    std::string path_;
};

/// The memory of a file that mmap() has mapped for reading. It follows the bytes of the file.
/// Beyond the page of the file's end, it has no access.
class LibcMapping final : public LibcFile {
public:
    LibcMapping(const LibcDiskFile& file, const sim::Disk& disk, std::span<std::byte> memory,
                std::size_t offset, int protection)
        : disk_{&disk},
          file_{file.number()},
          memory_{memory},
          offset_{offset},
          protection_{protection} {
        copy(file.bytes(), 0, file.bytes().size());
    }
    /// Keeps it until the program ends, or end(). It follows the file unless the program may write
    /// to it.
    static void add(LibcProcess& p, const std::shared_ptr<LibcMapping>& mapping) {
        all_.push_back(mapping.get());
        p.keep(mapping);
    }
    /// Copies what has changed of a file, in each of its mappings.
    static void changed(const LibcDiskFile& file, const sim::Disk& disk, std::uint64_t offset,
                        std::size_t bytes) {
        for (LibcMapping* const m : all_) {
            if (!m->follows() || m->disk_ != &disk || m->file_ != file.number()) continue;
            m->copy(file.bytes(), static_cast<std::size_t>(offset), bytes);
        }
    }
    /// Returns the mappings that have a byte of this memory.
    [[nodiscard]] static std::vector<LibcMapping*> in(const void* begin, std::size_t bytes) {
        std::vector<LibcMapping*> found;
        const auto* const from = static_cast<const std::byte*>(begin);
        for (LibcMapping* const m : all_) {
            const std::byte* const end = m->memory_.data() + m->memory_.size();
            if (from < end && m->memory_.data() < from + bytes) found.push_back(m);
        }
        return found;
    }
    /// The memory is no longer of the file.
    void end() noexcept override { std::erase(all_, this); }
    std::uint32_t ready() override { return 0; }
    [[nodiscard]] bool follows() const noexcept { return (protection_ & PROT_WRITE) == 0; }
    [[nodiscard]] bool is_within(const void* begin, std::size_t bytes) const noexcept {
        const auto* const from = static_cast<const std::byte*>(begin);
        return from <= memory_.data() && memory_.data() + memory_.size() <= from + bytes;
    }

private:
    void copy(const Bytes& from, std::size_t at, std::size_t bytes) {
        const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
        const std::size_t size = from.size() > offset_ ? from.size() - offset_ : 0;
        const std::size_t begin = std::max(at, offset_) - offset_;
        const std::size_t end =
            std::min({at + bytes > offset_ ? at + bytes - offset_ : 0, size, memory_.size()});
        static_cast<void>(mprotect(memory_.data(), memory_.size(), PROT_READ | PROT_WRITE));
        if (begin < end)
            std::memcpy(memory_.data() + begin, from.data() + offset_ + begin, end - begin);
        const std::size_t pages = std::min((size + page - 1) / page * page, memory_.size());
        if (size < memory_.size()) std::memset(memory_.data() + size, 0, memory_.size() - size);
        static_cast<void>(mprotect(memory_.data(), memory_.size(), PROT_NONE));
        static_cast<void>(mprotect(memory_.data(), pages, protection_));
    }

    static inline std::vector<LibcMapping*> all_{};

    const sim::Disk* const disk_;
    const std::uint64_t file_;
    const std::span<std::byte> memory_;
    const std::size_t offset_;
    const int protection_;
};

inline void LibcDiskFile::changed(std::uint64_t offset, std::size_t bytes) {
    state().modified_ns = LibcClock::read(CLOCK_REALTIME, process_.host()).count();
    LibcMapping::changed(*this, process_.host().disk(), offset, bytes);
}

}}}  // namespace belay::detail
