// SPDX-License-Identifier: MIT
/// \file belay/link/supervisor_core.hpp
/// SupervisorCore: all decisions of a supervisor, as a value without clock or transport.
/// SupervisorOptions, SupervisorCoreOptions: the options of a Supervisor and of its core.
#pragma once

#include <cstddef>      // std::size_t
#include <cstdint>      // std::uint32_t
#include <type_traits>  // std::is_constant_evaluated
#include <utility>      // std::move

#include <belay/core/assert.hpp>
#include <belay/core/instant.hpp>
#include <belay/core/order.hpp>
#include <belay/core/random.hpp>
#include <belay/link/link_errc.hpp>
#include <belay/link/status.hpp>
#include <belay/policy/policy.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace timeline {

/// The options of a timeline::SupervisorCore.
struct SupervisorCoreOptions {
    /// The maximum delay before the first attempt, drawn uniformly; 0 attempts at once.
    Duration start_within{0};
    /// The maximum delay before the next attempt after a gate opens or a planned close, drawn
    /// uniformly.
    Duration spread_within = std::chrono::seconds{1};
    /// The longest wait that a server may request (`retry_after`). A longer one counts as this, so
    /// that a mistake of a server does not keep its clients away for ever. The rules of the policy
    /// receive the limited wait, so a larger limit in a rule, such as OpenAsAsked, has no effect. A
    /// SpreadHint adds to it. The rest of a wait in a restored PolicyHistory is not limited again.
    Duration retry_after_max = std::chrono::hours{1};
    /// Whether new credentials also end a connection that was made with the old ones. It is closed
    /// gracefully, and the next attempt waits uniformly up to `spread_within`. An
    /// attempt in flight is finished first, and then its connection is closed.
    bool recycle = false;
};

}  // namespace timeline

namespace detail {

/// Returns the options; options that no supervisor can satisfy end the program at construction.
[[nodiscard]] constexpr const timeline::SupervisorCoreOptions& checked(
    const timeline::SupervisorCoreOptions& options) {
    BELAY_OPTION(options.start_within.count() >= 0 && options.spread_within.count() >= 0 &&
                     options.retry_after_max.count() >= 0,
                 "SupervisorCoreOptions: durations must be >= 0ns");
    return options;
}

}  // namespace detail

/// The options of a Supervisor.
struct SupervisorOptions {
    /// The number of messages that may wait for the supervisor. More are rejected until it has
    /// handled some. > 0.
    std::size_t messages_max = 1024;
    /// The number of events handled in one turn, so that a busy connection does not starve the
    /// others. > 0.
    unsigned events_per_turn_max = 64;
    /// The maximum duration of a graceful close.
    Duration linger_max = std::chrono::seconds{2};
    /// See timeline::SupervisorCoreOptions.
    timeline::SupervisorCoreOptions core{};
};

namespace detail {
/// Returns the options; options that no supervisor can satisfy end the program at construction.
[[nodiscard]] constexpr const SupervisorOptions& checked(const SupervisorOptions& options) {
    BELAY_OPTION(options.messages_max > 0 && options.events_per_turn_max > 0,
                 "SupervisorOptions: messages_max and events_per_turn_max must be > 0");
    BELAY_OPTION(options.linger_max.count() >= 0, "SupervisorOptions: linger_max must be >= 0ns");
    return options;
}
}  // namespace detail

/// The result of reconnect_now().
struct Reconnect {
    /// Whether the attempt starts in the next turn, unless the policy stops it.
    bool granted = false;
    /// If not granted, when the attempt starts instead. It is `never` if the call leads to no
    /// attempt:
    /// - something else must happen first, such as a gate that opens, or start(); or
    /// - a live connection was opened anew by such a call less than a second ago.
    Instant until = never;
};

namespace detail {

/// A set of gates. One that is shut with a grace has no effect before that is over, and none at all
/// if it is opened before.
///
/// Four graces run at a time. If there are more, some gates have their effect later than requested.
///
/// Thread safety: distinct objects safe.   Complexity: O(1) each.
class Gates {
public:
    /// All that are shut, those in their grace included.
    [[nodiscard]] constexpr std::uint32_t all() const noexcept {
        std::uint32_t gates = shut_;
        for (const std::uint32_t g : graces_) gates |= g;
        return gates;
    }
    /// Whether one is shut that has no grace, or one that has been found to be over.
    [[nodiscard]] constexpr bool any_shut() const noexcept { return shut_ != 0; }
    /// Whether one is shut whose grace is over.
    [[nodiscard]] constexpr bool any_shut(Instant now) const noexcept {
        return shut_ != 0 || deadline() <= now;
    }
    /// When the first grace ends; `never` if none runs.
    [[nodiscard]] constexpr Instant deadline() const noexcept {
        Instant first = never;
        for (const Instant ends : ends_) first = smaller(first, ends);
        return first;
    }
    /// When the grace of a gate ends; `always` if it has none, or is open.
    [[nodiscard]] constexpr Instant grace_ends(std::uint32_t gate) const noexcept {
        for (std::size_t i = 0; i < graces_max; ++i) {
            if ((graces_[i] & gate) != 0) return ends_[i];
        }
        return always;
    }

    /// Makes these the shut ones; those that were not shut before have a grace. A gate that is
    /// opened does not ask how late that is: what came in time counts although the driver was late.
    constexpr void set(std::uint32_t gates, Duration grace, Instant now) noexcept {
        const std::uint32_t fresh = gates & ~all();
        shut_ &= gates;
        for (std::size_t i = 0; i < graces_max; ++i) {
            graces_[i] &= gates;
            if (graces_[i] == 0) ends_[i] = never;
        }
        if (fresh == 0) return;
        if (grace <= Duration::zero()) {
            shut_ |= fresh;
            return;
        }
        const Instant ends = after(now, grace);
        const std::size_t i = place_for(ends, now);
        ends_[i] = graces_[i] == 0 ? ends : larger(ends_[i], ends);
        graces_[i] |= fresh;
    }

private:
    static constexpr std::size_t graces_max = 4;

    /// A free place; else one whose grace is over, or else that of the grace that ends last.
    // NOLINTNEXTLINE(bugprone-easily-swappable-parameters): as everywhere, now comes last
    [[nodiscard]] constexpr std::size_t place_for(Instant ends, Instant now) noexcept {
        std::size_t place = 0;
        for (std::size_t i = 0; i < graces_max; ++i) {
            if (graces_[i] == 0 || ends_[i] == ends) return i;
            if (ends_[i] <= now) place = i;
            if (now < ends_[place] && ends_[place] < ends_[i]) place = i;
        }
        if (ends_[place] <= now) {
            shut_ |= graces_[place];
            graces_[place] = 0;
        }
        return place;
    }

    std::uint32_t shut_ = 0;              // without a grace, or when it is over
    std::uint32_t graces_[graces_max]{};  // the gates of each
    // When each is over; never: it is free.
    Instant ends_[graces_max]{never, never, never, never};
};

}  // namespace detail

namespace timeline {

/// Makes the decisions of a Supervisor.
///
/// It is a plain value without clock, transport or allocation. Copy it to try an event, prove a
/// timeline by static_assert, or explore its states.
///
/// A connection is a success when it has been open for the stable window, with evidence of life
/// from its peer since the opening. The evidence is Input::alive or Step::proof. Without evidence,
/// the end of a connection is a failed attempt. If it is older than the window, it is a success in
/// hindsight with Step::unprobed. With Step::wrote alone it is neither, but `lost`.
///
/// Every `begin` of the policy is followed by exactly one of failed, succeeded and abandoned. Every
/// plan (a failed or lost that did not stop), and every `wanted`, is followed by exactly one begin
/// or abandoned.
///
/// Models:        std::copyable if the policy is.
/// Thread safety: distinct objects safe.
template <RuleLike Policy>
class SupervisorCore {
    using Verb = Advice::Verb;

public:
    /// Starts in LinkState::stopped.   Pre: the options' durations are >= 0ns.
    constexpr explicit SupervisorCore(Policy policy, SupervisorCoreOptions options = {})
        : recycles_{options.recycle},
          policy_{detail::as_policy(std::move(policy))},
          times_{detail::checked(options)} {}

    /// Takes one event and returns what the caller must do; at most one transition follows.
    ///
    /// Complexity: O(rules).   Allocates: never.
    constexpr Actions step(const Step& s, Turn& turn) noexcept {
        Actions actions;
        actions_ = &actions;
        decide(s, turn);
        actions_ = nullptr;
        if (actions.teardown && s.closed_locally) actions.graceful = true;
        return actions;
    }

    /// Returns when the core needs the next tick.   Complexity: O(rules).
    [[nodiscard]] constexpr Instant deadline() const noexcept {
        return trying() ? detail::smaller(state_deadline(), gates_.deadline()) : state_deadline();
    }

    /// Returns when a reconnect_now() that is given now attempts; `never` if it does not attempt.
    /// Complexity: O(1).
    [[nodiscard]] constexpr Instant manual_attempt_at(Instant now, bool force) const noexcept {
        const Instant allowed = manual_at_ == always || force
                                    ? now
                                    : detail::larger(now, after(manual_at_, manual_gap));
        switch (status_.state) {
            case LinkState::failed:
            case LinkState::blocked_auth:
                return gates_.any_shut(now) ? never : now;
            case LinkState::connected:
                return allowed > now ? never : now;
            case LinkState::cooldown:
            case LinkState::suspended:
                if (force) return now;
                return detail::smaller(status_.retry_at, detail::larger(allowed, floor_));
            default:
                return never;
        }
    }

    /// Returns the state of the connection, and since when.
    [[nodiscard]] constexpr const LinkStatus& status() const noexcept { return status_; }
    /// Returns whether the connection needs no further evidence that its peer is alive.
    [[nodiscard]] constexpr bool alive() const noexcept { return alive_; }
    /// Returns the gates that are shut, including those whose grace still runs.
    [[nodiscard]] constexpr std::uint32_t gates() const noexcept { return gates_.all(); }
    /// Returns when the grace of a gate ends; `always` if the gate has none, or is open.
    [[nodiscard]] constexpr Instant grace_ends(Gate gate) const noexcept {
        return gates_.grace_ends(static_cast<std::uint32_t>(gate));
    }
    /// Returns the policy in its present state.
    [[nodiscard]] constexpr const auto& policy() const noexcept { return policy_; }

private:
    constexpr void decide(const Step& s, Turn& turn) noexcept {
        switch (s.input) {
            case Input::start:
                return on_start(turn);
            case Input::stop:
                return on_stop(turn);
            case Input::gates:
                return on_gates(s, turn);
            case Input::credentials:
                return on_credentials(turn);
            case Input::reconnect_now:
                return on_reconnect_now(s.force, turn);
            case Input::drain:
                return on_drain(s.within, turn);
            case Input::queued:
                if (status_.state != LinkState::connecting) return;
                ++queued_;
                excuses_ = excuses_ || s.withdrawn;
                return;
            case Input::begun:
                return on_begun(turn);
            case Input::opened:
                return on_opened(s.proof, turn);
            case Input::alive:
                return on_alive(turn);
            case Input::closed:
                return on_closed(s, turn);
            case Input::tick:
                return on_tick(turn);
        }
    }

    constexpr void on_start(Turn& turn) noexcept {
        if (status_.state != LinkState::stopped) return;
        start_afresh();
        go_down(0, turn);
        if (gates_.any_shut(turn.now)) return enter(LinkState::offline, never, turn);
        if (times_.start_within > Duration::zero()) {
            return plan_wait({Verb::wait_at_least, jitter(times_.start_within, turn), "start"},
                             turn);
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

    constexpr void on_gates(const Step& s, Turn& turn) noexcept {
        gates_.set(s.gates, s.within, turn.now);
        if (status_.state != LinkState::offline) {
            // A gate whose grace is over waits for the tick: this turn may still open it.
            if (trying() && gates_.any_shut()) go_offline(turn);
            return;
        }
        if (gates_.any_shut(turn.now)) return;
        // Wait first, never attempt at once: a fleet must not return in one burst.
        const Instant spread = jitter(times_.spread_within, turn);
        if (not_before_ > spread) report_wanted(turn);
        plan_wait({Verb::wait_at_least, detail::larger(spread, not_before_), "gate"}, turn);
    }

    constexpr void go_offline(Turn& turn) noexcept {
        not_before_ = detail::larger(floor_, status_.retry_at == never ? always : status_.retry_at);
        leave_connection(turn);
        abandon(turn);
        enter(LinkState::offline, never, turn);
    }

    constexpr void on_credentials(Turn& turn) noexcept {
        const LinkState state = status_.state;
        // The attempt in flight may still be rejected because of the old credentials.
        fresh_credentials_ =
            state == LinkState::connecting || (recycles_ && state == LinkState::connected);
        if (state == LinkState::blocked_auth) attempt(false, turn);
    }

    [[nodiscard]] constexpr bool to_recycle() const noexcept {
        return recycles_ && fresh_credentials_ && status_.state == LinkState::connected;
    }

    constexpr void on_drain(Duration within, Turn& turn) noexcept {
        const Instant ends = after(turn.now, within);
        if (status_.state == LinkState::draining) {
            attempt_ends_ = detail::smaller(attempt_ends_, ends);
        } else if (status_.state == LinkState::connected) {
            mark_stable_if_due(turn);
            go_down(1, turn);
            abandon(turn);
            status_.failure = {};
            status_.withdrawn = true;
            attempt_ends_ = ends;
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
                leave_connection(turn);
                status_.failure = {};
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

    constexpr void on_begun(const Turn& turn) noexcept {
        if (status_.state != LinkState::connecting || queued_ == 0 || --queued_ != 0) return;
        excuses_ = false;
        attempt_ends_ = after(turn.now, policy_.attempt_limit());
    }

    constexpr void on_opened(bool proof, Turn& turn) noexcept {
        if (status_.state != LinkState::connecting) return;
        alive_ = proof || policy_.stable_by_age();
        floor_ = not_before_ = always;
        status_.failure = {};
        status_.withdrawn = false;
        status_.decided_by = {};
        status_.down_since = never;
        status_.retry_failed = false;
        enter(LinkState::connected, never, turn);
    }

    constexpr void on_alive(Turn& turn) noexcept {
        if (status_.state != LinkState::connected || alive_) return;
        alive_ = true;
        mark_stable_if_due(turn);
    }

    constexpr void on_closed(const Step& s, Turn& turn) noexcept {
        const LinkState state = status_.state;
        Failure failure = s.failure;
        if (failure.cause == Cause::none && !s.withdrawn) failure.cause = Cause::lost;
        if (state == LinkState::draining) {
            status_.failure = failure.cause == Cause::planned ? Failure{} : failure;
            return on_stop(turn);
        }
        if (state != LinkState::connecting && state != LinkState::connected) return;
        // Compare timestamps, because the tick that ends the stable window may be late.
        if (state == LinkState::connected) {
            mark_stable_if_due(turn);
            go_down(1, turn);
        } else if (!s.withdrawn) {
            try_failed();
        }
        // A peer that closes each new connection as planned must not decide how often to dial, also
        // if connections are stable at once.
        const bool is_new = begun_ || elapsed(status_.since, turn.now) < planned_age_min;
        if (failure.cause == Cause::planned && is_new) failure.cause = Cause::lost;
        if (begun_ && state == LinkState::connected && turn.now >= stable_at()) {
            // Nothing could have shown that the peer was alive, and the peer ended the connection.
            if (s.unprobed && !s.withdrawn) {
                mark_stable(turn);
            } else if (s.unprobed || s.wrote) {
                abandon(turn);
            }
        }
        if (!s.withdrawn || failure.cause != Cause::none) status_.failure = failure;
        status_.withdrawn = s.withdrawn;
        status_.decided_by = {};
        actions_->teardown = true;
        failure.retry_after = detail::smaller(failure.retry_after, times_.retry_after_max);
        if (failure.retry_after > Duration::zero()) {
            floor_ = detail::larger(floor_, after(turn.now, failure.retry_after));
        }

        if (s.withdrawn || failure.cause == Cause::planned) {
            actions_->excused = begun_ && s.withdrawn && failure.cause != Cause::none;
            abandon(turn);
            return plan_wait({Verb::wait_at_least, jitter(times_.spread_within, turn),
                              s.withdrawn ? std::string_view{} : "planned"},
                             turn);
        }
        // An endpoint whose connection was stable had accepted this side. The others will not,
        // either.
        const bool goes_on = s.has_alternative && begun_;
        Advice advice = begun_ ? policy_.failed(failure, turn) : policy_.lost(failure, turn);
        begun_ = false;
        planned_ = advice.verb != Verb::stop;
        const bool is_rejected = failure.cause == Cause::unauthorized && !fresh_credentials_;
        if (is_rejected && !(goes_on && planned_)) {
            abandon(turn);
            return enter(LinkState::blocked_auth, never, turn);
        }
        // As from blocked_auth: a rule's stop is about the old credentials.
        if (failure.cause == Cause::unauthorized && !planned_) {
            advice = {Verb::wait_at_least, turn.now, "credentials"};
        }
        const bool is_final =
            failure.cause == Cause::permanent || failure.cause == Cause::forbidden;
        if (is_final && !goes_on) {
            abandon(turn);
            return enter(LinkState::failed, never, turn);
        }
        plan_wait(advice, turn);
    }

    constexpr void on_late_attempt(Turn& turn) noexcept {
        Failure failure = late(LinkErrc::attempt_timed_out);
        // The peer of a process that was frozen did not have the time.
        const bool slept = overslept(attempt_ends_, turn);
        if (queued_ != 0 || slept) failure.origin = Failure::Origin::local;
        on_closed({.failure = failure, .withdrawn = excuses_ || slept}, turn);
    }

    constexpr void on_tick(Turn& turn) noexcept {
        if (turn.now < deadline()) return;
        if (trying() && gates_.any_shut(turn.now)) return go_offline(turn);
        switch (status_.state) {
            case LinkState::connecting:
                return on_late_attempt(turn);
            case LinkState::draining:
                return on_closed({.failure = late(LinkErrc::not_drained)}, turn);
            case LinkState::connected:
                if (!to_recycle()) return mark_stable_if_due(turn);
                on_closed({.withdrawn = true}, turn);
                actions_->graceful = true;
                return;
            case LinkState::cooldown:
            case LinkState::suspended:
                return !spread_ && overslept(status_.retry_at, turn) ? spread_again(turn)
                                                                     : attempt(false, turn);
            default:
                return;
        }
    }
    [[nodiscard]] constexpr Instant state_deadline() const noexcept {
        switch (status_.state) {
            case LinkState::connecting:
            case LinkState::draining:
                return attempt_ends_;
            case LinkState::cooldown:
            case LinkState::suspended:
                return status_.retry_at;
            case LinkState::connected:
                if (to_recycle()) return status_.since;
                return begun_ && alive_ ? stable_at() : never;
            default:
                return never;
        }
    }

    /// Waits again for a random time: other processes have probably woken at the same instant.
    constexpr void spread_again(Turn& turn) noexcept {
        constexpr Duration spread_max = std::chrono::seconds{30};
        const Duration wait = elapsed(status_.since, status_.retry_at);
        // Once: a process that is always late would never attempt.
        spread_ = true;
        enter(status_.state, jitter(detail::smaller(wait, spread_max), turn), turn);
    }

    /// Reports to the policy that an attempt is wanted that it has not planned. The core's own
    /// jitter (at the start, after a gate) wants no attempt.
    constexpr void report_wanted([[maybe_unused]] Turn& turn) noexcept {
        if constexpr (detail::HasWanted<detail::AsPolicy<Policy>>) {
            if (!begun_ && !planned_) policy_.wanted(turn);
            planned_ = !begun_;
        }
    }

    /// Attempts if the policy allows it, or else waits as the policy advises.
    constexpr void attempt(bool force, Turn& turn) noexcept {
        if (gates_.any_shut(turn.now)) return go_offline(turn);
        report_wanted(turn);
        if (!force) {
            const Advice advice = policy_.admit(turn.now);
            if (!advice.allows(turn.now)) {
                policy_.rejected(turn);
                return plan_wait(advice, turn);
            }
        }
        const Advice advice = policy_.begin(turn);
        if (advice.verb != Verb::go) return plan_wait(advice, turn);
        begun_ = true;
        queued_ = 0;
        planned_ = spread_ = fresh_credentials_ = excuses_ = false;
        if (status_.attempt != ~std::uint32_t{0}) ++status_.attempt;
        attempt_ends_ = after(turn.now, policy_.attempt_limit());
        actions_->dial = true;
        enter(LinkState::connecting, never, turn);
    }

    constexpr void plan_wait(Advice advice, Turn& turn) noexcept {
        // A breaker that another user has opened counts at once, not at the end of the wait.
        const Advice now = policy_.admit(turn.now);
        const bool others_ask = !now.allows(turn.now) || floor_ > advice.until;
        if (others_ask && advice.verb != Verb::stop) report_wanted(turn);
        advice = detail::stronger(advice, now);
        if (advice.verb == Verb::wait_exactly || advice.verb == Verb::suspend) {
            floor_ = detail::larger(floor_, advice.until);
        }
        const Instant until = detail::larger(detail::larger(advice.until, floor_), turn.now);
        // Do not wait for an attempt that a rule will not allow when it is due.
        const Advice then = policy_.admit(until);
        if (then.verb == Verb::stop) advice = detail::stronger(advice, then);
        status_.decided_by = advice.by.empty() ? now.by : advice.by;
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
        if (state == LinkState::draining) actions_->teardown = true;
        if (state != LinkState::connecting && state != LinkState::connected) return;
        if (state == LinkState::connected) {
            mark_stable_if_due(turn);
            go_down(1, turn);
        }
        abandon(turn);
        status_.withdrawn = true;
        actions_->teardown = actions_->graceful = true;
    }

    /// Does so if the connection is old enough, and the peer has proved that it is alive.
    constexpr void mark_stable_if_due(Turn& turn) noexcept {
        if (begun_ && alive_ && turn.now >= stable_at()) mark_stable(turn);
    }
    /// Reports to the policy that the attempt has succeeded: its connection is stable.
    constexpr void mark_stable(Turn& turn) noexcept {
        begun_ = false;
        status_.attempt = 0;
        status_.failure = {};
        status_.withdrawn = false;
        policy_.succeeded(turn);
    }

    /// Ends an attempt without an outcome, or a plan whose attempt will not take place.
    constexpr void abandon(Turn& turn) noexcept {
        if (begun_ && status_.attempt != 0) --status_.attempt;
        if (begun_ || planned_) policy_.abandoned(turn);
        begun_ = planned_ = false;
    }

    /// Makes the one transition of a step.
    constexpr void enter(LinkState state, Instant retry_at, Turn& turn) noexcept {
        actions_->change.from = status_.state;
        status_.state = state;
        status_.since = turn.now;
        status_.retry_at = retry_at;
        actions_->notify = true;
        actions_->change.to = status_;
    }
    /// Begins an outage. The loss of a connection counts as its first failed try.
    constexpr void go_down(std::uint8_t tries_failed, const Turn& turn) noexcept {
        status_.down_since = turn.now;
        status_.retry_failed = false;
        tries_failed_ = tries_failed;
    }
    /// Counts a failed try. The first attempt after a start is not yet a retry.
    constexpr void try_failed() noexcept {
        status_.retry_failed = tries_failed_ != 0;
        tries_failed_ = 1;
    }
    /// Returns whether a shut gate ends this state.
    [[nodiscard]] constexpr bool trying() const noexcept {
        const LinkState state = status_.state;
        return state == LinkState::cooldown || state == LinkState::suspended ||
               state == LinkState::connecting || state == LinkState::connected;
    }
    /// Returns whether the process was frozen or paused when a wait was over.
    [[nodiscard]] static constexpr bool overslept(Instant due, const Turn& turn) noexcept {
        return elapsed(due, turn.now) > overslept_after;
    }
    /// Returns a random instant from now on, so that processes do not attempt at the same time.
    [[nodiscard]] static constexpr Instant jitter(Duration within, Turn& turn) noexcept {
        const auto last = static_cast<std::uint64_t>(within.count());
        return after(turn.now, Duration{static_cast<std::int64_t>(uniform_upto(turn.bits, last))});
    }
    [[nodiscard]] static constexpr Failure late(LinkErrc what) noexcept {
        Failure failure{.cause = Cause::timed_out};
        if (!std::is_constant_evaluated()) failure = failure_of(what);
        return failure;
    }

    constexpr void start_afresh() noexcept {
        policy_.reset();
        status_.attempt = 0;
        status_.failure = {};
        status_.withdrawn = false;
        status_.decided_by = {};
        floor_ = not_before_ = manual_at_ = always;
    }

    /// Returns when the connection counts as stable. Pre: connected, which follows validation.
    [[nodiscard]] constexpr Instant stable_at() const noexcept {
        return after(status_.since, policy_.stable_window());
    }

    /// The least age of a connection whose planned close is no loss.
    static constexpr Duration planned_age_min = std::chrono::seconds{1};
    /// The minimum time between two attempts that reconnect_now() is granted. A person who clicks
    /// faster than that adds load, and learns nothing new.
    static constexpr Duration manual_gap = std::chrono::seconds{1};
    /// How late the driver may be at the end of a wait. If it is later, as after a suspend, an
    /// attempt that its limit ends is no failure of the peer. A next attempt does not start at the
    /// instant of waking, at which all programs of that machine wake. It starts after another
    /// random wait, which is at most as long as the first wait and at most 30 s. No driver that
    /// runs is this late.
    static constexpr Duration overslept_after = std::chrono::seconds{10};

protected:
    /// The options without `recycle`, which would take 8 bytes of its own after them.
    struct Times {
        constexpr explicit Times(const SupervisorCoreOptions& options) noexcept
            : start_within{options.start_within},
              spread_within{options.spread_within},
              retry_after_max{options.retry_after_max} {}
        Duration start_within;     ///< see SupervisorCoreOptions
        Duration spread_within;    ///< see there
        Duration retry_after_max;  ///< see there
    };

    // Not private: tests/link/exploration.test.cpp compares states by all that they consist of.
    LinkStatus status_{};
    Actions* actions_ = nullptr;     // of the step in progress
    std::uint8_t tries_failed_ = 0;  // whether a try has failed in this outage
    bool alive_ = false;    // the peer has proved that it is alive since it opened, or need not
    bool begun_ = false;    // the policy has begun an attempt, and waits for its outcome
    bool planned_ = false;  // the policy has planned an attempt (and may hold tokens), or wants one
    bool spread_ = false;   // the end of this wait was overslept, and a second wait has replaced it
    bool fresh_credentials_ = false;  // given since the attempt in flight began
    bool recycles_;                   // SupervisorCoreOptions::recycle
    bool excuses_ = false;            // connecting: a limit that ends in a queue is no failure
    std::uint8_t queued_ = 0;  // connecting: so many connections of the attempt wait on this side
    detail::AsPolicy<Policy> policy_;
    Times times_;
    detail::Gates gates_;
    Instant attempt_ends_ = never;  // connecting, draining: the time limit
    Instant floor_ = always;        // a server or breaker asked for it: no attempt before
    Instant not_before_ = always;   // offline: end of the wait that a gate interrupted
    Instant manual_at_ = always;    // last attempt granted to reconnect_now()
};

}  // namespace timeline

}}  // namespace belay
