// SPDX-License-Identifier: MIT
/// \file belay/libc_sim/detail/pipe.hpp
/// LibcPipe: an end of pipe() or socketpair() in a simulated program.
#pragma once

#include <algorithm>  // std::min
#include <climits>    // PIPE_BUF
#include <cstring>    // std::memcpy
#include <memory>     // std::shared_ptr
#include <span>       // std::span
#include <utility>    // std::move

#include <belay/libc_sim/detail/process.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The bytes on their way from one end of a pipe to the other.
struct LibcPipeBuffer {
    static constexpr std::size_t page_bytes = PIPE_BUF;
    static constexpr std::size_t pipe_bytes = 16 * page_bytes;
    std::size_t bytes_max = pipe_bytes;
    Bytes bytes;
    std::size_t front_read = 0;  // of the first page, whose space is free when all of it was read
    std::uint64_t changes = 0;
    bool reads = true;   // the reading end is open
    bool writes = true;  // so is the writing end

    [[nodiscard]] std::size_t space() const noexcept {
        return bytes_max - front_read - bytes.size();
    }
};

/// An end of a pipe: it reads from one buffer, writes to another, or both.
class LibcPipe final : public LibcFile {
public:
    using Buffer = std::shared_ptr<LibcPipeBuffer>;

    LibcPipe(LibcProcess& process, Buffer in, Buffer out) noexcept
        : process_{process}, in_{std::move(in)}, out_{std::move(out)} {}
    ~LibcPipe() override { end(); }
    void end() noexcept override {
        if (in_) in_->reads = false;
        if (out_) out_->writes = false;
        changed(in_);
        changed(out_);
    }

    std::uint32_t ready() override {
        std::uint32_t flags = 0;
        if (in_ && !in_->bytes.empty()) flags |= EPOLLIN;
        if (in_ && !in_->writes) flags |= EPOLLHUP | (out_ ? EPOLLIN | EPOLLRDHUP : 0U);
        if (out_ && (!out_->reads || out_->space() >= LibcPipeBuffer::page_bytes))
            flags |= EPOLLOUT;
        if (out_ && !out_->reads && !in_) flags |= EPOLLERR;
        return flags;
    }
    std::uint64_t changes() const noexcept override {
        return (in_ ? in_->changes : 0) + (out_ ? out_->changes : 0);
    }
    ssize_t read(std::span<const iovec> iov) override {
        if (!in_) return libc_fail(EBADF);
        if (bytes_of(iov) == 0) return 0;
        if (in_->bytes.empty()) return in_->writes ? libc_fail(EAGAIN) : 0;
        std::size_t total = 0;
        for (const iovec& v : iov) {
            const std::size_t n = std::min(v.iov_len, in_->bytes.size() - total);
            if (n != 0) std::memcpy(v.iov_base, in_->bytes.data() + total, n);
            total += n;
        }
        in_->bytes.erase(in_->bytes.begin(),
                         in_->bytes.begin() + static_cast<std::ptrdiff_t>(total));
        in_->front_read = (in_->front_read + total) % LibcPipeBuffer::page_bytes;
        if (in_->bytes.empty()) in_->front_read = 0;
        changed(in_);
        return static_cast<ssize_t>(total);
    }
    /// Writes the part that there is space for, and a page or less as a whole.
    /// `signals`: with SIGPIPE if the reading end is closed.
    [[nodiscard]] ssize_t send(std::span<const iovec> iov, bool signals) {
        if (!out_) return libc_fail(EBADF);
        const std::size_t size = bytes_of(iov);
        if (size == 0) return 0;
        if (!out_->reads) {
            if (signals) process_.pipe_action().raise(process_);
            return libc_fail(EPIPE);
        }
        if (out_->space() < std::min(size, LibcPipeBuffer::page_bytes)) return libc_fail(EAGAIN);
        std::size_t total = 0;
        for (const iovec& v : iov) {
            const std::size_t n = std::min(v.iov_len, out_->space());
            const auto* const from = static_cast<const std::byte*>(v.iov_base);
            out_->bytes.insert(out_->bytes.end(), from, from + n);
            total += n;
        }
        changed(out_);
        return static_cast<ssize_t>(total);
    }
    /// Returns how many bytes wait to be read.
    [[nodiscard]] std::size_t unread() const noexcept { return (in_ ? in_ : out_)->bytes.size(); }
    int mode() const noexcept override { return is_socket() ? O_RDWR : in_ ? O_RDONLY : O_WRONLY; }
    [[nodiscard]] bool is_socket() const noexcept { return in_ && out_; }

private:
    [[nodiscard]] static std::size_t bytes_of(std::span<const iovec> iov) noexcept {
        std::size_t bytes = 0;
        for (const iovec& v : iov) bytes += v.iov_len;
        return bytes;
    }
    void changed(const Buffer& buffer) {
        if (!buffer) return;
        ++buffer->changes;
        process_.wake();
    }

    LibcProcess& process_;
    const Buffer in_;
    const Buffer out_;
};

}}}  // namespace belay::detail
