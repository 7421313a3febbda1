// SPDX-License-Identifier: MIT
/// \file belay/link/supervisor_core.hpp
/// SupervisorCore: everything a supervisor decides, as a value without clock, transport or
/// allocation.
#pragma once

#include <utility>  // std::move

#include <belay/core/order.hpp>
#include <belay/core/turn.hpp>
#include <belay/link/link_errc.hpp>
#include <belay/link/status.hpp>
#include <belay/link/timeline.hpp>
#include <belay/policy/policy.hpp>

namespace belay::inline BELAY_ABI {

/// What a SupervisorCore is tuned by.
struct SupervisorCoreOptions {
    /// The first attempt waits uniformly up to this; 0 attempts at once.
    Duration start_within{0};
    /// After a gate opens or a planned close, the next attempt waits uniformly up to this.
    Duration settle_within = std::chrono::seconds{1};
    /// reconnect_now() is granted once per this.
    Duration manual_gap = std::chrono::seconds{1};
    /// A wait whose end was slept through by more than this is not followed by an attempt at the
    /// instant of waking, but by one within as much time as the wait had, 30 s at most, by chance.
    Duration overslept_after = std::chrono::seconds{10};
};

/// The brain of a Supervisor.
///
/// A plain value: copy it to ask "what if", prove a timeline by static_assert, explore its states.
/// Every `begin` of the policy is followed by exactly one of failed, succeeded, abandoned; every
/// plan (a failed or lost that did not stop) and every `wanted` by exactly one begin or abandoned.
///
/// Models:        std::copyable if the policy is.
/// Thread safety: distinct objects safe.
template <RuleLike Policy>
class SupervisorCore {
    using Rules = detail::AsPolicy<Policy>;

public:
    constexpr explicit SupervisorCore(Policy policy, SupervisorCoreOptions options = {})
        : policy_{detail::as_policy(std::move(policy))}, options_{options} {}

    /// Takes one event; at most one transition follows.   Complexity: O(rules).   Allocates: never.
    constexpr timeline::Actions step(const timeline::Step& s, Turn& turn) noexcept {
        actions_ = {};
        switch (s.input) {
            case timeline::Input::start:
                on_start(turn);
                break;
            case timeline::Input::stop:
                on_stop(turn);
                break;
            case timeline::Input::gates:
                on_gates(s.gates, turn);
                break;
            case timeline::Input::credentials:
                on_credentials(turn);
                break;
            case timeline::Input::reconnect_now:
                on_reconnect_now(s.force, turn);
                break;
            case timeline::Input::opened:
                on_opened(turn);
                break;
            case timeline::Input::closed:
                on_closed(s.failure, turn);
                actions_.graceful = actions_.teardown && s.goodbye;
                break;
            case timeline::Input::tick:
                on_tick(turn);
                break;
        }
        return actions_;
    }

    /// When the core next wants a tick.   Complexity: O(rules).
    [[nodiscard]] constexpr Instant deadline() const noexcept {
        switch (status_.state) {
            case LinkState::connecting:
                return attempt_ends_;
            case LinkState::cooldown:
            case LinkState::suspended:
                return status_.retry_at;
            case LinkState::connected:
                return begun_ ? stable_at() : never;
            default:
                return never;
        }
    }

    /// When a reconnect_now() given now would attempt; `never` where it cannot.   Complexity: O(1).
    [[nodiscard]] constexpr Instant manual_attempt_at(Instant now, bool force) const noexcept {
        const Instant allowed = manual_at_ == always || force
                                    ? now
                                    : detail::larger(now, after(manual_at_, options_.manual_gap));
        switch (status_.state) {
            case LinkState::failed:
            case LinkState::blocked_auth:
                return gates_ != 0 ? never : now;
            case LinkState::connected:
                return allowed;
            case LinkState::cooldown:
            case LinkState::suspended:
                if (force) return now;
                return detail::smaller(status_.retry_at, detail::larger(allowed, floor_));
            default:
                return never;
        }
    }

    [[nodiscard]] constexpr const LinkStatus& status() const noexcept { return status_; }
    [[nodiscard]] constexpr std::uint32_t gates() const noexcept { return gates_; }
    [[nodiscard]] constexpr const auto& policy() const noexcept { return policy_; }

private:
    constexpr void on_start(Turn& turn) noexcept {
        if (status_.state != LinkState::stopped) return;
        start_afresh();
        go_down(0, turn);
        if (gates_ != 0) return enter(LinkState::offline, never, turn);
        if (options_.start_within > Duration::zero()) {
            return wait({Verb::wait_at_least, jitter(options_.start_within, turn), "start"}, turn);
        }
        attempt(false, turn);
    }

    constexpr void on_stop(Turn& turn) noexcept {
        if (status_.state == LinkState::stopped) return;
        leave_connection(turn);
        abandon(turn);
        floor_ = not_before_ = always;
        enter(LinkState::stopped, never, turn);
    }

    constexpr void on_gates(std::uint32_t gates, Turn& turn) noexcept {
        gates_ = gates;
        const LinkState state = status_.state;
        const bool trying = state == LinkState::cooldown || state == LinkState::suspended ||
                            state == LinkState::connecting || state == LinkState::connected;
        if (gates_ != 0 && trying) {
            not_before_ =
                detail::larger(floor_, status_.retry_at == never ? always : status_.retry_at);
            leave_connection(turn);
            abandon(turn);
            enter(LinkState::offline, never, turn);
        } else if (gates_ == 0 && state == LinkState::offline) {
            // Through a wait, never straight to an attempt: a fleet must not return in one burst.
            const Instant settled = jitter(options_.settle_within, turn);
            if (not_before_ > settled) want(turn);
            wait({Verb::wait_at_least, detail::larger(settled, not_before_), "gate"}, turn);
        }
    }

    constexpr void on_credentials(Turn& turn) noexcept {
        // The attempt in flight may still be refused for the old ones.
        fresh_credentials_ = status_.state == LinkState::connecting;
        if (status_.state != LinkState::blocked_auth) return;
        if (gates_ != 0) return enter(LinkState::offline, never, turn);
        attempt(false, turn);
    }

    constexpr void on_reconnect_now(bool force, Turn& turn) noexcept {
        const Instant at = manual_attempt_at(turn.now, force);
        switch (status_.state) {
            case LinkState::failed:
            case LinkState::blocked_auth:
                start_afresh();
                manual_at_ = turn.now;
                if (gates_ != 0) return enter(LinkState::offline, never, turn);
                return attempt(force, turn);
            case LinkState::connected:
                if (at > turn.now) return;
                manual_at_ = turn.now;
                leave_connection(turn);
                status_.failure = Failure{.cause = Cause::planned};
                return attempt(force, turn);
            case LinkState::cooldown:
            case LinkState::suspended:
                manual_at_ = at;
                if (at <= turn.now) return attempt(force, turn);
                if (at < status_.retry_at) enter(status_.state, at, turn);
                return;
            default:
                return;
        }
    }

    constexpr void on_opened(Turn& turn) noexcept {
        if (status_.state != LinkState::connecting) return;
        validated_at_ = turn.now;
        floor_ = not_before_ = always;
        status_.decided_by = {};
        status_.down_since = never;
        status_.retry_failed = false;
        enter(LinkState::connected, never, turn);
    }

    constexpr void on_closed(Failure failure, Turn& turn) noexcept {
        const LinkState state = status_.state;
        if (state != LinkState::connecting && state != LinkState::connected) return;
        if (failure.cause == Cause::none) failure.cause = Cause::lost;
        // By timestamps: the tick that would have said so may be late.
        if (state == LinkState::connected) {
            settle_if_stable(turn);
            go_down(1, turn);
        } else if (failure.cause != Cause::planned) {
            // The first attempt after a start is no retry yet.
            status_.retry_failed = tries_failed_ != 0;
            tries_failed_ = 1;
        }
        status_.failure = failure;
        status_.decided_by = {};
        actions_.teardown = true;
        if (failure.retry_after > Duration::zero()) {
            floor_ = detail::larger(floor_, after(turn.now, failure.retry_after));
        }

        if (failure.cause == Cause::planned) {
            abandon(turn);
            return wait({Verb::wait_at_least, jitter(options_.settle_within, turn), "planned"},
                        turn);
        }
        const Advice advice = begun_ ? policy_.failed(failure, turn) : policy_.lost(failure, turn);
        begun_ = false;
        planned_ = advice.verb != Verb::stop;
        if (failure.cause == Cause::unauthorized && !fresh_credentials_) {
            abandon(turn);
            return enter(LinkState::blocked_auth, never, turn);
        }
        if (failure.cause == Cause::permanent || failure.cause == Cause::forbidden) {
            abandon(turn);
            return enter(LinkState::failed, never, turn);
        }
        wait(advice, turn);
    }

    constexpr void on_tick(Turn& turn) noexcept {
        if (turn.now < deadline()) return;
        switch (status_.state) {
            case LinkState::connecting: {
                Failure late{.cause = Cause::timed_out};
                if (!std::is_constant_evaluated()) late = failure_of(LinkErrc::attempt_timed_out);
                return on_closed(late, turn);
            }
            case LinkState::connected:
                return settle_if_stable(turn);
            case LinkState::cooldown:
            case LinkState::suspended:
                return overslept(turn) ? spread_again(turn) : attempt(false, turn);
            default:
                return;
        }
    }

    /// Whether nobody was awake at `retry_at` (a frozen process, a paused fleet): then others have
    /// woken with us, at the same instant.
    [[nodiscard]] constexpr bool overslept(const Turn& turn) const noexcept {
        return !spread_ && elapsed(status_.retry_at, turn.now) > options_.overslept_after;
    }
    constexpr void spread_again(Turn& turn) noexcept {
        constexpr Duration spread_max = std::chrono::seconds{30};
        const Duration wait = elapsed(status_.since, status_.retry_at);
        // Once: whoever is always late would never attempt.
        spread_ = true;
        enter(status_.state, jitter(detail::smaller(wait, spread_max), turn), turn);
    }

    /// An attempt is wanted that nobody planned; while only our own jitter passes, none is.
    constexpr void want([[maybe_unused]] Turn& turn) noexcept {
        if constexpr (detail::HasWanted<Rules>) {
            if (!begun_ && !planned_) policy_.wanted(turn);
            planned_ = !begun_;
        }
    }

    /// Asks the policy and attempts, or waits as it says.
    constexpr void attempt(bool force, Turn& turn) noexcept {
        want(turn);
        if (!force) {
            const Advice advice = policy_.admit(turn.now);
            if (!advice.allows(turn.now)) return wait(advice, turn);
        }
        const Advice advice = policy_.begin(turn);
        if (advice.verb != Verb::go) return wait(advice, turn);
        begun_ = true;
        planned_ = spread_ = fresh_credentials_ = false;
        if (status_.attempt != ~std::uint32_t{0}) ++status_.attempt;
        attempt_ends_ = after(turn.now, policy_.attempt_limit());
        actions_.dial = true;
        enter(LinkState::connecting, never, turn);
    }

    constexpr void wait(Advice advice, Turn& turn) noexcept {
        // A breaker that opened elsewhere shows at once, not when the wait is over.
        const Advice now = policy_.admit(turn.now);
        const bool others_ask = !now.allows(turn.now) || floor_ > advice.until;
        if (others_ask && advice.verb != Verb::stop) want(turn);
        advice = detail::stronger(advice, now);
        if (advice.verb == Verb::wait_exactly || advice.verb == Verb::suspend) {
            floor_ = detail::larger(floor_, advice.until);
        }
        const Instant until = detail::larger(detail::larger(advice.until, floor_), turn.now);
        // Nobody waits for an attempt that a rule will not allow when it is due.
        const Advice then = policy_.admit(until);
        if (then.verb == Verb::stop) advice = detail::stronger(advice, then);
        status_.decided_by = advice.by;
        if (advice.verb == Verb::stop) {
            abandon(turn);
            return enter(LinkState::failed, never, turn);
        }
        spread_ = false;
        const bool suspended = advice.verb == Verb::suspend && advice.until > turn.now;
        enter(suspended ? LinkState::suspended : LinkState::cooldown, until, turn);
    }

    constexpr void leave_connection(Turn& turn) noexcept {
        const LinkState state = status_.state;
        if (state != LinkState::connecting && state != LinkState::connected) return;
        if (state == LinkState::connected) {
            settle_if_stable(turn);
            go_down(1, turn);
        }
        abandon(turn);
        actions_.teardown = actions_.graceful = true;
    }

    /// An outage begins; the loss of a connection counts as its first failed try.
    constexpr void go_down(std::uint8_t tries_failed, const Turn& turn) noexcept {
        status_.down_since = turn.now;
        status_.retry_failed = false;
        tries_failed_ = tries_failed;
    }

    constexpr void settle_if_stable(Turn& turn) noexcept {
        if (!begun_ || turn.now < stable_at()) return;
        begun_ = false;
        status_.attempt = 0;
        status_.failure = {};
        policy_.succeeded(turn);
    }

    /// The attempt has no verdict, or the planned one will not take place.
    constexpr void abandon(Turn& turn) noexcept {
        if (begun_ && status_.attempt != 0) --status_.attempt;
        if (begun_ || planned_) policy_.abandoned(turn);
        begun_ = planned_ = false;
    }

    constexpr void start_afresh() noexcept {
        policy_.reset();
        status_.attempt = 0;
        status_.failure = {};
        status_.decided_by = {};
        floor_ = not_before_ = manual_at_ = always;
    }

    constexpr void enter(LinkState state, Instant retry_at, Turn& turn) noexcept {
        actions_.change.from = status_.state;
        status_.state = state;
        status_.since = turn.now;
        status_.retry_at = retry_at;
        actions_.notify = true;
        actions_.change.to = status_;
    }

    [[nodiscard]] constexpr Instant stable_at() const noexcept {
        return after(validated_at_, policy_.stable_window());
    }
    [[nodiscard]] static constexpr Instant jitter(Duration within, Turn& turn) noexcept {
        const auto last = static_cast<std::uint64_t>(within.count());
        return after(turn.now, Duration{static_cast<std::int64_t>(uniform_upto(turn.bits, last))});
    }

    Rules policy_;
    SupervisorCoreOptions options_;
    LinkStatus status_{};
    timeline::Actions actions_{};
    std::uint32_t gates_ = 0;
    std::uint8_t tries_failed_ = 0;   // whether a try has failed in this outage
    bool begun_ = false;              // the policy has begun an attempt, and awaits its verdict
    bool planned_ = false;            // it has planned one, and may hold tokens, or knows it wanted
    bool spread_ = false;             // the end of this wait was slept through, and is another now
    bool fresh_credentials_ = false;  // given since the attempt in flight began
    Instant attempt_ends_ = never;    // connecting: when the attempt has taken too long
    Instant validated_at_ = never;    // connected: since when
    Instant floor_ = always;          // what a server or breaker asked for: no command goes below
    Instant not_before_ = always;     // offline: the wait that a shut gate interrupted
    Instant manual_at_ = always;      // the last attempt that reconnect_now() was granted
};

template <class Policy>
SupervisorCore(Policy) -> SupervisorCore<Policy>;
template <class Policy>
SupervisorCore(Policy, SupervisorCoreOptions) -> SupervisorCore<Policy>;

}  // namespace belay::inline BELAY_ABI
