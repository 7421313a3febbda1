// SPDX-License-Identifier: MIT
/// \file belay/link/detail/link_status_tracker.hpp
/// LinkStatusTracker: the status of a supervised connection, and how it changes in a step.
#pragma once

#include <type_traits>  // std::is_constant_evaluated

#include <belay/core/turn.hpp>
#include <belay/link/link_errc.hpp>
#include <belay/link/timeline.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The base of a timeline::SupervisorCore, which decides; this one writes down what it has decided.
///
/// Thread safety: distinct objects safe.   Complexity: O(1) each.
class LinkStatusTracker {
protected:
    /// The one transition of a step.
    constexpr void enter(LinkState state, Instant retry_at, Turn& turn) noexcept {
        actions_->change.from = status_.state;
        status_.state = state;
        status_.since = turn.now;
        status_.retry_at = retry_at;
        actions_->notify = true;
        actions_->change.to = status_;
    }
    /// An outage begins; the loss of a connection counts as its first failed try.
    constexpr void go_down(std::uint8_t tries_failed, const Turn& turn) noexcept {
        status_.down_since = turn.now;
        status_.retry_failed = false;
        tries_failed_ = tries_failed;
    }
    /// The first attempt after a start is no retry yet.
    constexpr void try_failed() noexcept {
        status_.retry_failed = tries_failed_ != 0;
        tries_failed_ = 1;
    }
    /// Whether this is a state that a shut gate ends.
    [[nodiscard]] constexpr bool trying() const noexcept {
        const LinkState state = status_.state;
        return state == LinkState::cooldown || state == LinkState::suspended ||
               state == LinkState::connecting || state == LinkState::connected;
    }
    /// Whether nobody was awake at `retry_at`: a frozen process, a paused fleet.
    [[nodiscard]] constexpr bool overslept(Duration by, const Turn& turn) const noexcept {
        return elapsed(status_.retry_at, turn.now) > by;
    }
    [[nodiscard]] static constexpr Instant jitter(Duration within, Turn& turn) noexcept {
        const auto last = static_cast<std::uint64_t>(within.count());
        return after(turn.now, Duration{static_cast<std::int64_t>(uniform_upto(turn.bits, last))});
    }
    [[nodiscard]] static constexpr Failure late(LinkErrc what) noexcept {
        Failure failure{.cause = Cause::timed_out};
        if (!std::is_constant_evaluated()) failure = failure_of(what);
        return failure;
    }

    LinkStatus status_{};
    timeline::Actions* actions_ = nullptr;  // of the step in progress
    std::uint8_t tries_failed_ = 0;         // whether a try has failed in this outage
};

}}}  // namespace belay::detail
