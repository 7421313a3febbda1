// SPDX-License-Identifier: MIT
/// \file belay/link/countdown.hpp
/// Countdown: shows how long it is until the next attempt.
#pragma once

#include <utility>  // std::exchange, std::move

#include <belay/core/machine_like.hpp>
#include <belay/core/order.hpp>
#include <belay/link/status.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Shows how long a supervisor still waits for its next attempt.
///
/// It calls `show(Duration left)` during the wait, at most once per `every`. When the wait is over,
/// it calls `show` with 0ns if it has shown anything of it.
///
/// A Countdown is an observer and also a machine. Attach it to the supervisor's driver, and give
/// the supervisor a std::ref to it, alone or in a Tee. While nothing counts down, it has no
/// deadline and wakes no driver. A shown value is a whole multiple of `every`, except the first one
/// of a wait. A wait that is over before the next value is due is not shown.
///
/// It can be neither copied nor moved, and must outlive the supervisor.
///
/// Models:        MachineLike, and an observer of Supervisor.
/// Thread safety: home thread of the supervisor.   Throws: what `show` throws.
template <class Show>
class Countdown {
    static_assert(
        requires(Show& show, Duration left) { show(left); },
        "Countdown: show must be callable with a belay::Duration");

public:
    /// Pre: every > 0ns.
    Countdown(Duration every, Show show) : every_{every}, show_{std::move(show)} {
        BELAY_OPTION(every > Duration::zero(), "Countdown: every must be > 0ns");
    }
    Countdown(const Countdown&) = delete;
    Countdown& operator=(const Countdown&) = delete;

    void on_state(const Transition& change) {
        BELAY_PRECONDITION(attached_,
                           "Countdown: attach it to a driver before its supervisor starts");
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
        // The wait is over; the transition that ends it shows that.
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
    bool shows_ = false;         // a value that is not 0 was shown
    Instant shown_at_ = always;  // when the last value was shown
    Instant next_ = never;
    Instant ends_ = never;
};

}}  // namespace belay
