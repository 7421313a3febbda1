// SPDX-License-Identifier: MIT
/// \file belay/libc_sim/detail/pipe.hpp
/// LibcPipe: an end of pipe() or socketpair() in a simulated program.
#pragma once

#include <cstring>  // std::memcpy
#include <memory>   // std::shared_ptr
#include <span>     // std::span
#include <utility>  // std::move

#include <belay/libc_sim/detail/process.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The bytes on their way from one end of a pipe to the other.
struct LibcPipeBuffer {
    static constexpr std::size_t bytes_max = 65'536;
    Bytes bytes;
    std::uint64_t changes = 0;
    bool reads = true;   // the reading end is open
    bool writes = true;  // so is the writing end
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
        if (out_ && (!out_->reads || out_->bytes.size() < LibcPipeBuffer::bytes_max)) {
            flags |= EPOLLOUT;
        }
        if (out_ && !out_->reads && !in_) flags |= EPOLLERR;
        return flags;
    }
    std::uint64_t changes() const noexcept override {
        return (in_ ? in_->changes : 0) + (out_ ? out_->changes : 0);
    }
    ssize_t read(std::span<const iovec> iov) override {
        if (!in_) return libc_fail(EBADF);
        if (in_->bytes.empty()) return in_->writes ? libc_fail(EAGAIN) : 0;
        std::size_t total = 0;
        for (const iovec& v : iov) {
            const std::size_t n = std::min(v.iov_len, in_->bytes.size() - total);
            if (n != 0) std::memcpy(v.iov_base, in_->bytes.data() + total, n);
            total += n;
        }
        in_->bytes.erase(in_->bytes.begin(),
                         in_->bytes.begin() + static_cast<std::ptrdiff_t>(total));
        changed(in_);
        return static_cast<ssize_t>(total);
    }
    ssize_t write(std::span<const iovec> iov) override { return send(iov, true); }
    /// Writes, with or without SIGPIPE if the reading end is closed.
    [[nodiscard]] ssize_t send(std::span<const iovec> iov, bool signals) {
        if (!out_) return libc_fail(EBADF);
        if (!out_->reads) {
            if (signals) process_.pipe_action().raise(process_);
            return libc_fail(EPIPE);
        }
        std::size_t total = 0;
        for (const iovec& v : iov) {
            const std::size_t space = LibcPipeBuffer::bytes_max - out_->bytes.size();
            const std::size_t n = std::min(v.iov_len, space);
            const auto* const from = static_cast<const std::byte*>(v.iov_base);
            out_->bytes.insert(out_->bytes.end(), from, from + n);
            total += n;
        }
        changed(out_);
        return total == 0 ? libc_fail(EAGAIN) : static_cast<ssize_t>(total);
    }
    int mode() const noexcept override { return is_socket() ? O_RDWR : in_ ? O_RDONLY : O_WRONLY; }
    [[nodiscard]] bool is_socket() const noexcept { return in_ && out_; }

private:
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
