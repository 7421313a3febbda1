// SPDX-License-Identifier: MIT
/// \file belay/posix/detail/descriptor.hpp
/// Descriptor: owns a file descriptor. errno_code: the error of the last failed system call.
#pragma once

#include <cerrno>        // errno
#include <system_error>  // std::error_code
#include <utility>       // std::exchange, std::swap

#include <unistd.h>

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI { namespace posix::detail {

/// Returns the error of the last failed system call.
[[nodiscard]] inline std::error_code errno_code() noexcept {
    return {errno, std::generic_category()};
}

/// Owns a descriptor; -1 for none. Its destructor closes it.   Thread safety: distinct objects
/// safe.
class Descriptor {
public:
    Descriptor() noexcept = default;
    explicit Descriptor(int fd) noexcept : fd_{fd} {}
    Descriptor(Descriptor&& other) noexcept : fd_{std::exchange(other.fd_, -1)} {}
    Descriptor& operator=(Descriptor other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~Descriptor() { reset(); }

    [[nodiscard]] int get() const noexcept { return fd_; }
    [[nodiscard]] explicit operator bool() const noexcept { return fd_ >= 0; }
    /// Gives the descriptor up; the caller closes it.
    [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
    void reset() noexcept {
        // Not repeated after EINTR: on Linux the descriptor is already closed, and its number may
        // be in use again.
        if (fd_ >= 0) ::close(std::exchange(fd_, -1));
    }

private:
    int fd_ = -1;
};

}}}  // namespace belay::posix::detail
