// SPDX-License-Identifier: MIT
/// \file belay/session/detail/credit.hpp
/// Credit: the limit of a sender. SendWindow: its progress within that limit.
#pragma once

#include <cstddef>  // std::size_t
#include <cstdint>  // std::uint64_t

#include <belay/core/order.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The limits that a receiver grants: the number of the last operation, and the bytes of one
/// attachment.
struct Credit {
    std::uint64_t number_limit = 0;
    std::uint64_t byte_limit = 0;
};

/// Decides which operation a sender sends next on one connection, and whether the receiver's credit
/// allows it.
///
/// Models:        std::copyable.
/// Thread safety: distinct objects safe.
class SendWindow {
public:
    /// Resumes: the receiver has every operation before `next`, and grants `credit`.
    constexpr void resume(std::uint64_t next, Credit credit) noexcept {
        next_ = next;
        highest_ = next - 1;
        bytes_ = 0;
        credit_ = credit;
        starved_ = false;
    }
    /// Resets the window for a new connection on which nothing was sent yet.
    constexpr void close() noexcept {
        credit_ = {};
        bytes_ = highest_ = 0;
    }
    /// Adds credit. Credit is never taken back.
    constexpr void grant(Credit credit) noexcept {
        credit_.number_limit = larger(credit_.number_limit, credit.number_limit);
        credit_.byte_limit = larger(credit_.byte_limit, credit.byte_limit);
        starved_ = false;
    }

    /// Whether an operation may be sent, as far as is known without its size.
    [[nodiscard]] constexpr bool open(std::uint64_t durable) const noexcept {
        return !starved_ && next_ <= durable && next_ <= credit_.number_limit;
    }
    /// Checks the bytes of the next operation. If they exceed the credit, the window stays closed
    /// until there is more credit.
    [[nodiscard]] constexpr bool admits(std::size_t bytes) noexcept {
        starved_ = bytes > credit_.byte_limit - bytes_;
        return !starved_;
    }
    /// Records that the next operation, of this size, was sent.
    constexpr void sent(std::size_t bytes) noexcept {
        bytes_ += bytes;
        highest_ = larger(highest_, next_);
        ++next_;
    }

    [[nodiscard]] constexpr std::uint64_t next() const noexcept { return next_; }
    /// Returns the highest number that was sent on this connection, or that the receiver had before
    /// it.
    [[nodiscard]] constexpr std::uint64_t highest() const noexcept { return highest_; }

    /// Calls `f` with all that it decides by, for sim::exhaust.
    template <class F>
    constexpr void each_field(F&& f) const {
        f(next_);  // highest_ follows from it where it is used
        f(bytes_);
        f(credit_.number_limit);
        f(credit_.byte_limit);
        f(starved_);
    }

private:
    std::uint64_t next_ = 1;
    std::uint64_t highest_ = 0;
    std::uint64_t bytes_ = 0;
    Credit credit_{};
    bool starved_ = false;
};

}}}  // namespace belay::detail
