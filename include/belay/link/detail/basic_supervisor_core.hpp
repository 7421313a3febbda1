// SPDX-License-Identifier: MIT
/// \file belay/link/detail/basic_supervisor_core.hpp
/// BasicSupervisorCore: the body of a timeline::SupervisorCore, with what it is said to leave out.
#pragma once

#include <utility>  // std::move

#include <belay/core/order.hpp>
#include <belay/core/turn.hpp>
#include <belay/link/detail/core_fault.hpp>
#include <belay/link/detail/gates.hpp>
#include <belay/link/detail/link_status_tracker.hpp>
#include <belay/link/supervisor_core_options.hpp>
#include <belay/policy/policy.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// See timeline::SupervisorCore. Its state is for tests that explore it, which derive from it.
template <RuleLike Policy, class Fault = NoCoreFault>
class BasicSupervisorCore : protected LinkStatusTracker {
    using Verb = Advice::Verb;

public:
    constexpr explicit BasicSupervisorCore(Policy p, timeline::SupervisorCoreOptions options = {})
        : policy_{as_policy(std::move(p))}, options_{checked(options)} {}

    /// Takes one event; at most one transition follows.   Complexity: O(rules).   Allocates: never.
    constexpr timeline::Actions step(const timeline::Step& s, Turn& turn) noexcept {
        timeline::Actions actions;
        actions_ = &actions;
        decide(s, turn);
        actions_ = nullptr;
        if (actions.teardown && s.goodbye) actions.graceful = true;
        return actions;
    }

    /// When the core next wants a tick.   Complexity: O(rules).
    [[nodiscard]] constexpr Instant deadline() const noexcept {
        return trying() ? smaller(state_deadline(), gates_.deadline()) : state_deadline();
    }

    /// When a reconnect_now() given now attempts; `never` where it does not.   Complexity: O(1).
    [[nodiscard]] constexpr Instant manual_attempt_at(Instant now, bool force) const noexcept {
        const Instant allowed = manual_at_ == always || force || Fault::manual_without_gap
                                    ? now
                                    : larger(now, after(manual_at_, options_.manual_gap));
        switch (status_.state) {
            case LinkState::failed:
            case LinkState::blocked_auth:
                return gates_.any_shut(now) ? never : now;
            case LinkState::connected:
                return allowed > now ? never : now;
            case LinkState::cooldown:
            case LinkState::suspended:
                if (force) return now;
                return smaller(status_.retry_at,
                               larger(allowed, Fault::manual_passes_floor ? always : floor_));
            default:
                return never;
        }
    }

    [[nodiscard]] constexpr const LinkStatus& status() const noexcept { return status_; }
    /// The gates that are shut, those in their grace included.
    [[nodiscard]] constexpr std::uint32_t gates() const noexcept { return gates_.all(); }
    /// When the grace of a gate ends; `always` if it has none, or is open.
    [[nodiscard]] constexpr Instant grace_ends(Gate gate) const noexcept {
        return gates_.grace_ends(static_cast<std::uint32_t>(gate));
    }
    [[nodiscard]] constexpr const auto& policy() const noexcept { return policy_; }

private:
    constexpr void decide(const timeline::Step& s, Turn& turn) noexcept {
        switch (s.input) {
            case timeline::Input::start:
                return on_start(turn);
            case timeline::Input::stop:
                return on_stop(turn);
            case timeline::Input::gates:
                return on_gates(s, turn);
            case timeline::Input::credentials:
                return on_credentials(turn);
            case timeline::Input::reconnect_now:
                return on_reconnect_now(s.force, turn);
            case timeline::Input::drain:
                return on_drain(s.within, turn);
            case timeline::Input::opened:
                return on_opened(turn);
            case timeline::Input::closed:
                return on_closed(s.failure, turn);
            case timeline::Input::tick:
                return on_tick(turn);
        }
    }

    constexpr void on_start(Turn& turn) noexcept {
        if (status_.state != LinkState::stopped) return;
        start_afresh();
        go_down(0, turn);
        if (gates_.any_shut(turn.now)) return enter(LinkState::offline, never, turn);
        if (options_.start_within > Duration::zero()) {
            return wait({Verb::wait_at_least, jitter(options_.start_within, turn), "start"}, turn);
        }
        attempt(false, turn);
    }

    constexpr void on_stop(Turn& turn) noexcept {
        if (status_.state == LinkState::stopped) return;
        leave_connection(turn, Fault::stop_keeps_dial);
        abandon(turn);
        floor_ = not_before_ = always;
        enter(LinkState::stopped, never, turn);
    }

    constexpr void on_gates(const timeline::Step& s, Turn& turn) noexcept {
        gates_.set(s.gates, s.within, turn.now);
        if (status_.state != LinkState::offline) {
            // One whose grace is over waits for the tick: it may be opened in this very turn.
            if (trying() && gates_.any_shut()) go_offline(turn);
            return;
        }
        if (gates_.any_shut(turn.now)) return;
        // Through a wait, never straight to an attempt: a fleet must not return in one burst.
        if (Fault::opens_into_dial) return attempt(false, turn);
        const Instant settled = jitter(options_.settle_within, turn);
        if (not_before_ > settled) want(turn);
        wait({Verb::wait_at_least, larger(settled, not_before_), "gate"}, turn);
    }

    constexpr void go_offline(Turn& turn) noexcept {
        not_before_ = larger(floor_, status_.retry_at == never ? always : status_.retry_at);
        if (Fault::gate_forgets_wait) not_before_ = floor_ = always;
        leave_connection(turn, Fault::gate_keeps_dial);
        abandon(turn);
        enter(LinkState::offline, never, turn);
    }

    constexpr void on_credentials(Turn& turn) noexcept {
        const LinkState state = status_.state;
        // The attempt in flight may still be refused for the old ones.
        fresh_credentials_ =
            state == LinkState::connecting || (options_.recycle && state == LinkState::connected);
        if (state == LinkState::blocked_auth) attempt(false, turn);
    }

    [[nodiscard]] constexpr bool to_recycle() const noexcept {
        return options_.recycle && !Fault::keeps_credentials && fresh_credentials_ &&
               status_.state == LinkState::connected;
    }

    constexpr void on_drain(Duration within, Turn& turn) noexcept {
        const Instant ends = after(turn.now, within);
        if (status_.state == LinkState::draining) {
            attempt_ends_ = Fault::drain_prolongs ? ends : smaller(attempt_ends_, ends);
        } else if (status_.state == LinkState::connected) {
            settle_if_stable(turn);
            go_down(1, turn);
            abandon(turn);
            status_.failure = {};
            attempt_ends_ = Fault::drains_for_ever ? never : ends;
            actions_->drain = true;
            enter(LinkState::draining, never, turn);
        } else {
            on_stop(turn);
        }
    }

    constexpr void on_reconnect_now(bool force, Turn& turn) noexcept {
        const Instant at = manual_attempt_at(turn.now, force);
        switch (status_.state) {
            case LinkState::failed:
            case LinkState::blocked_auth:
                start_afresh();
                manual_at_ = turn.now;
                return attempt(force, turn);
            case LinkState::connected:
                if (at > turn.now) return;
                manual_at_ = turn.now;
                if (!Fault::redial_beside) leave_connection(turn);
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
        floor_ = not_before_ = always;
        status_.decided_by = {};
        status_.down_since = never;
        status_.retry_failed = false;
        if (Fault::succeeds_at_open) settle(turn);
        enter(LinkState::connected, never, turn);
    }

    constexpr void on_closed(Failure failure, Turn& turn) noexcept {
        const LinkState state = status_.state;
        if (failure.cause == Cause::none) failure.cause = Cause::lost;
        if (state == LinkState::draining) {
            status_.failure = failure.cause == Cause::planned ? Failure{} : failure;
            return on_stop(turn);
        }
        if (state != LinkState::connecting && state != LinkState::connected) return;
        // By timestamps: the tick that would have said so may be late.
        if (state == LinkState::connected) {
            if (!Fault::stable_by_tick_only) settle_if_stable(turn);
            go_down(1, turn);
        } else if (failure.cause != Cause::planned) {
            try_failed();
        }
        status_.failure = failure;
        status_.decided_by = {};
        actions_->teardown = true;
        if (failure.retry_after > Duration::zero()) {
            floor_ = larger(floor_, after(turn.now, failure.retry_after));
        }

        if (failure.cause == Cause::planned) {
            abandon(turn);
            return wait({Verb::wait_at_least, jitter(options_.settle_within, turn), "planned"},
                        turn);
        }
        const Advice advice = begun_ ? policy_.failed(failure, turn) : policy_.lost(failure, turn);
        begun_ = false;
        planned_ = advice.verb != Verb::stop;
        if (failure.cause == Cause::unauthorized && !fresh_credentials_ &&
            !Fault::retries_unauthorized) {
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
        if (trying() && gates_.any_shut(turn.now)) return go_offline(turn);
        switch (status_.state) {
            case LinkState::connecting:
                return on_closed(late(LinkErrc::attempt_timed_out), turn);
            case LinkState::draining:
                return on_closed(late(LinkErrc::not_drained), turn);
            case LinkState::connected:
                if (!to_recycle()) return settle_if_stable(turn);
                on_closed(Failure{.cause = Cause::planned}, turn);
                actions_->graceful = true;
                return;
            case LinkState::cooldown:
            case LinkState::suspended:
                return !spread_ && overslept(options_.overslept_after, turn) ? spread_again(turn)
                                                                             : attempt(false, turn);
            default:
                return;
        }
    }
    [[nodiscard]] constexpr Instant state_deadline() const noexcept {
        switch (status_.state) {
            case LinkState::connecting:
                if (Fault::no_attempt_limit) return never;
                [[fallthrough]];
            case LinkState::draining:
                return attempt_ends_;
            case LinkState::cooldown:
            case LinkState::suspended:
                return status_.retry_at;
            case LinkState::connected:
                if (to_recycle()) return status_.since;
                return begun_ ? stable_at() : never;
            default:
                return never;
        }
    }

    /// Others have woken with us, at the same instant.
    constexpr void spread_again(Turn& turn) noexcept {
        constexpr Duration spread_max = std::chrono::seconds{30};
        const Duration wait = elapsed(status_.since, status_.retry_at);
        // Once: whoever is always late would never attempt.
        spread_ = true;
        enter(status_.state, jitter(smaller(wait, spread_max), turn), turn);
    }

    /// An attempt is wanted that nobody planned; while only our own jitter passes, none is.
    constexpr void want([[maybe_unused]] Turn& turn) noexcept {
        if constexpr (HasWanted<AsPolicy<Policy>>) {
            if (!begun_ && !planned_) policy_.wanted(turn);
            planned_ = !begun_;
        }
    }

    /// Asks the policy and attempts, or waits as it says.
    constexpr void attempt(bool force, Turn& turn) noexcept {
        if (gates_.any_shut(turn.now)) return go_offline(turn);
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
        actions_->dial = true;
        enter(LinkState::connecting, never, turn);
    }

    constexpr void wait(Advice advice, Turn& turn) noexcept {
        // A breaker that opened elsewhere shows at once, not when the wait is over.
        const Advice now = policy_.admit(turn.now);
        const bool others_ask = !now.allows(turn.now) || floor_ > advice.until;
        if (others_ask && advice.verb != Verb::stop) want(turn);
        advice = stronger(advice, now);
        if (advice.verb == Verb::wait_exactly || advice.verb == Verb::suspend) {
            floor_ = larger(floor_, advice.until);
        }
        const Instant until = larger(larger(advice.until, floor_), turn.now);
        // Nobody waits for an attempt that a rule will not allow when it is due.
        const Advice then = policy_.admit(until);
        if (then.verb == Verb::stop) advice = stronger(advice, then);
        status_.decided_by = advice.by;
        if (advice.verb == Verb::stop) {
            abandon(turn);
            return enter(LinkState::failed, never, turn);
        }
        spread_ = false;
        const bool suspended = advice.verb == Verb::suspend && advice.until > turn.now;
        enter(suspended ? LinkState::suspended : LinkState::cooldown, until, turn);
    }

    constexpr void leave_connection(Turn& turn, bool keeps_dial = false) noexcept {
        const LinkState state = status_.state;
        if (state == LinkState::draining) actions_->teardown = true;
        if (state != LinkState::connecting && state != LinkState::connected) return;
        if (keeps_dial && state == LinkState::connecting) return;
        if (state == LinkState::connected) {
            settle_if_stable(turn);
            go_down(1, turn);
        }
        abandon(turn);
        actions_->teardown = actions_->graceful = true;
    }

    constexpr void settle_if_stable(Turn& turn) noexcept {
        if (begun_ && turn.now >= stable_at()) settle(turn);
    }
    constexpr void settle(Turn& turn) noexcept {
        begun_ = false;
        status_.attempt = 0;
        status_.failure = {};
        policy_.succeeded(turn);
    }

    /// The attempt has no verdict, or the planned one will not take place.
    constexpr void abandon(Turn& turn) noexcept {
        if (begun_ && status_.attempt != 0) --status_.attempt;
        if ((begun_ && !Fault::keeps_permit) || planned_) policy_.abandoned(turn);
        begun_ = planned_ = false;
    }

    constexpr void start_afresh() noexcept {
        policy_.reset();
        status_.attempt = 0;
        status_.failure = {};
        status_.decided_by = {};
        floor_ = not_before_ = manual_at_ = always;
    }

    /// While connected, which begins when the connection is validated.
    [[nodiscard]] constexpr Instant stable_at() const noexcept {
        return after(status_.since, policy_.stable_window());
    }

protected:
    // The four where the base has room left.
    bool begun_ = false;              // the policy has begun an attempt, and awaits its verdict
    bool planned_ = false;            // it has planned one, and may hold tokens, or knows it wanted
    bool spread_ = false;             // the end of this wait was slept through, and is another now
    bool fresh_credentials_ = false;  // given since the attempt in flight began
    AsPolicy<Policy> policy_;
    timeline::SupervisorCoreOptions options_;
    Gates gates_;
    Instant attempt_ends_ = never;  // connecting, draining: when that has taken too long
    Instant floor_ = always;        // what a server or breaker asked for: no command goes below
    Instant not_before_ = always;   // offline: the wait that a shut gate interrupted
    Instant manual_at_ = always;    // the last attempt that reconnect_now() was granted
};

}}}  // namespace belay::detail
