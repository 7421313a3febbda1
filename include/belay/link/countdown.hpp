// SPDX-License-Identifier: MIT
/// \file belay/link/countdown.hpp
/// Countdown: tells a screen how long it is until the next attempt.
#pragma once

#include <utility>  // std::exchange, std::move

#include <belay/core/machine_like.hpp>
#include <belay/core/order.hpp>
#include <belay/link/status.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Calls `show(Duration left)` while a supervisor waits for its next attempt, at most once per
/// `every`, and with 0ns when the wait is over, if anything was shown of it.
///
/// An observer that is a machine, too: attach it to the supervisor's driver, and give the
/// supervisor a std::ref to it, alone or in a Tee. While nothing counts down it has no deadline,
/// and nobody is woken for it. What is shown is a whole multiple of `every`, but for the first of a
/// wait; waits that are over before it is time to show anything again are not shown.
///
/// Pinned: it outlives the supervisor.
///
/// Models:        MachineLike.
/// Thread safety: home thread of the supervisor.   Throws: what `show` throws.
template <class Show>
class Countdown {
    static_assert(
        requires(Show& show, Duration left) { show(left); },
        "Countdown: show must be callable with a belay::Duration");

public:
    /// Pre: every > 0ns.
    Countdown(Duration every, Show show) : every_{every}, show_{std::move(show)} {
        BELAY_PRECONDITION(every > Duration::zero(), "Countdown: every must be > 0ns");
    }
    Countdown(const Countdown&) = delete;
    Countdown& operator=(const Countdown&) = delete;

    void on_state(const Transition& change) {
        BELAY_PRECONDITION(attached_, "Countdown: must be attached to a driver before it is told");
        const LinkStatus& s = change.to;
        ends_ = s.retry_at;
        next_ = never;
        if (ends_ == never) return end();
        const Instant first =
            shown_at_ == always ? s.since : detail::larger(s.since, after(shown_at_, every_));
        if (first < ends_) next_ = first;
        waker_.touch();
    }

    void attach(Waker waker) {
        waker_ = std::move(waker);
        attached_ = true;
    }
    [[nodiscard]] Instant deadline() const noexcept { return next_; }
    void advance(Instant now) {
        if (now < next_) return;
        next_ = never;
        const Duration left = elapsed(now, ends_);
        // The wait is over; that is told by whoever ends it.
        if (left == Duration::zero()) return;
        const Duration rest = left <= every_ ? Duration::zero() : (left - every_) / every_ * every_;
        if (rest > Duration::zero()) next_ = before(ends_, rest);
        shown_at_ = now;
        shows_ = true;
        show_(left);
    }

private:
    void end() {
        waker_.touch();
        if (std::exchange(shows_, false)) show_(Duration::zero());
    }

    const Duration every_;
    Show show_;
    Waker waker_;
    bool attached_ = false;
    bool shows_ = false;         // something that is not 0
    Instant shown_at_ = always;  // when that was
    Instant next_ = never;
    Instant ends_ = never;
};

template <class Show>
Countdown(Duration, Show) -> Countdown<Show>;

}}  // namespace belay
