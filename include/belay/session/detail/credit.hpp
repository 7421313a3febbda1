// SPDX-License-Identifier: MIT
/// \file belay/session/detail/credit.hpp
/// Credit: how far a sender may go; SendWindow: how far it has gone.
#pragma once

#include <cstddef>  // std::size_t
#include <cstdint>  // std::uint64_t

#include <belay/core/order.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The last operation's number, and the bytes of one attachment, that a receiver takes.
struct Credit {
    std::uint64_t number_limit = 0;
    std::uint64_t byte_limit = 0;
};

/// Which operation a sender sends next on one connection, and whether the receiver lets it.
///
/// Models:        std::copyable.
/// Thread safety: distinct objects safe.
class SendWindow {
public:
    /// The receiver has everything before `next`, and grants `credit`.
    constexpr void resume(std::uint64_t next, Credit credit) noexcept {
        next_ = next;
        highest_ = next - 1;
        bytes_ = 0;
        credit_ = credit;
        starved_ = false;
    }
    /// Nothing was said on this connection yet.
    constexpr void close() noexcept {
        credit_ = {};
        bytes_ = highest_ = 0;
    }
    /// More credit; one that was given is never taken back.
    constexpr void grant(Credit credit) noexcept {
        credit_.number_limit = larger(credit_.number_limit, credit.number_limit);
        credit_.byte_limit = larger(credit_.byte_limit, credit.byte_limit);
        starved_ = false;
    }

    /// Whether an operation may be sent, as far as is known without its size.
    [[nodiscard]] constexpr bool open(std::uint64_t durable) const noexcept {
        return !starved_ && next_ <= durable && next_ <= credit_.number_limit;
    }
    /// Asks for the bytes of the next operation. Where they do not fit the window is shut until
    /// there is more credit.
    [[nodiscard]] constexpr bool admits(std::size_t bytes) noexcept {
        starved_ = bytes > credit_.byte_limit - bytes_;
        return !starved_;
    }
    /// The next operation, of so many bytes, was sent.
    constexpr void sent(std::size_t bytes) noexcept {
        bytes_ += bytes;
        highest_ = larger(highest_, next_);
        ++next_;
    }

    [[nodiscard]] constexpr std::uint64_t next() const noexcept { return next_; }
    /// The highest number that this connection has carried, or that the receiver had before it.
    [[nodiscard]] constexpr std::uint64_t highest() const noexcept { return highest_; }

private:
    std::uint64_t next_ = 1;
    std::uint64_t highest_ = 0;
    std::uint64_t bytes_ = 0;
    Credit credit_{};
    bool starved_ = false;
};

}}}  // namespace belay::detail
