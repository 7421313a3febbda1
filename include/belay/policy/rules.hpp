// SPDX-License-Identifier: MIT
/// \file belay/policy/rules.hpp
/// The rules of a Policy that need nothing else: limits of attempts and times, waits for a cause,
/// and what ends or spreads retries.
#pragma once

#include <chrono>       // std::chrono::duration
#include <concepts>     // std::convertible_to, std::same_as
#include <cstddef>      // std::size_t
#include <cstdint>      // std::uint32_t, std::uint64_t
#include <string_view>  // std::string_view
#include <type_traits>  // std::is_arithmetic_v, std::is_enum_v

#include <belay/core/detail/arguments.hpp>
#include <belay/core/failure.hpp>
#include <belay/policy/detail/causes.hpp>
#include <belay/policy/rule.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Requests a limit on each attempt, from dialling to the validated connection.
///
/// A caller that can end an attempt applies the limit: a Supervisor, and Retrying in a pipeline of
/// coroutines. A `retry` cannot interrupt a running call. There the limit is the deadline in the
/// Attempt, which the call can pass to its sockets.
///
/// For a call with a deadline, the limit holds only while another attempt is possible. The last
/// attempt has the rest of the deadline. It is the last one if a rule stops after it (its
/// `stops_after`), or if less than half of the limit would be left for another attempt. After an
/// attempt that took as long as the limit, another one must have the whole limit. So a lost request
/// is repeated, and a server that needs longer has more time in the end.
///
/// Models:        RuleLike.
/// Thread safety: a plain value.
class AttemptTimeout {
public:
    static constexpr std::string_view name = "AttemptTimeout";

    /// Sets the limit; `forever` is legal.   Pre: most > 0ns.
    constexpr explicit AttemptTimeout(detail::AnyUnit most) noexcept : most_{most} {
        BELAY_OPTION(most_.count() > 0, "AttemptTimeout: the limit must be > 0ns");
    }

    [[nodiscard]] constexpr Duration attempt_limit() const noexcept { return most_; }

    /// Returns 0ns, because this rule adds no wait; see link/bounds.hpp.
    [[nodiscard]] constexpr Duration longest_wait(std::uint64_t) const noexcept {
        return Duration::zero();
    }

    friend constexpr bool operator==(AttemptTimeout, AttemptTimeout) noexcept = default;

private:
    Duration most_;
};

/// Sets a separate wait after failures of one cause.
///
/// It advises wait_exactly, with a wait drawn uniformly from [least, most]. If the server requested
/// a longer wait, that one counts. `CooldownOn{Cause::overloaded, 5s, 15s}` is the answer to "try
/// again later". It overrides the wait of a Backoff, which still counts the attempt.
///
/// Models:        RuleLike.
/// Thread safety: distinct objects safe.
class CooldownOn {
public:
    static constexpr std::string_view name = "CooldownOn";

    /// If both times are equal, all clients of an overloaded server return at the same time. Use
    /// that for a single client, and in tests.
    ///
    /// Pre: 0ns <= least <= most; cause is not Cause::none.
    constexpr CooldownOn(Cause cause, detail::AnyUnit least, detail::AnyUnit most) noexcept
        : least_{least}, most_{most}, cause_{cause} {
        BELAY_OPTION(least_.count() >= 0, "CooldownOn: the shortest wait must be >= 0ns");
        BELAY_OPTION(least_ <= most_, "CooldownOn: the shortest wait must be <= the longest");
        BELAY_OPTION(cause != Cause::none, "CooldownOn: Cause::none is no failure");
    }

    [[nodiscard]] constexpr Advice failed(const Failure& failure, Turn& turn) const noexcept {
        if (failure.cause != cause_) return Advice::go();
        const auto last = static_cast<std::uint64_t>((most_ - least_).count());
        const auto more = static_cast<Duration::rep>(uniform_upto(turn.bits, last));
        const Duration drawn = least_ + Duration{more};
        const Duration wait = failure.retry_after > drawn ? failure.retry_after : drawn;
        return Advice::wait_exactly(after(turn.now, wait));
    }
    [[nodiscard]] constexpr Advice lost(const Failure& failure, Turn& turn) const noexcept {
        return failed(failure, turn);
    }

    /// Returns the longest wait if no server requests a longer one; see link/bounds.hpp.
    [[nodiscard]] constexpr Duration longest_wait(std::uint64_t) const noexcept { return most_; }

    friend constexpr bool operator==(const CooldownOn&, const CooldownOn&) noexcept = default;

private:
    Duration least_;
    Duration most_;
    Cause cause_;
};

/// Stops when an attempt would start after `last`.
///
/// It reviews the wait that all rules together have planned. So a call that cannot start in time
/// fails now, and not when the wait is over. Write it after rules that lengthen a plan. To limit
/// the time from the first attempt on, use MaxElapsed. An attempt that has begun may end later, and
/// its Attempt::deadline does not change. For a call that must end by an instant, use the layer
/// `Timeout::until(instant)` around a Retrying.
///
/// Models:        RuleLike, std::regular except for default construction.
/// Thread safety: distinct objects safe; a shared one safe (it never changes).
class Deadline {
public:
    static constexpr std::string_view name = "Deadline";

    /// Sets the last instant at which an attempt may start; `never` means no limit.
    constexpr explicit Deadline(Instant last) noexcept : last_{last} {}
    /// Does not compile, because a length of time is no instant, and an operator may set any other
    /// clock while the call runs.
    template <class Time>
        requires(!std::convertible_to<Time, Instant> && requires { typename Time::rep; })
    constexpr explicit Deadline(Time) noexcept : last_{} {
        static_assert(
            !sizeof(Time),
            "Deadline: pass an Instant, of a steady clock: after(now, 30s); for a length of time "
            "use MaxElapsed{30s}");
    }

    [[nodiscard]] constexpr Advice admit(Instant now) const noexcept {
        return now > last_ ? Advice::stop() : Advice::go();
    }
    [[nodiscard]] constexpr Advice review(const Advice& planned, Turn& turn) const noexcept {
        const bool waits = planned.verb != Advice::Verb::go && planned.until > turn.now;
        return admit(waits ? planned.until : turn.now);
    }

    [[nodiscard]] constexpr bool stops_after(Instant end) const noexcept { return end > last_; }

    friend constexpr bool operator==(Deadline, Deadline) noexcept = default;

private:
    Instant last_;
};

/// Stops after `most` failed attempts since the last success or reset, including the first one.
///
/// It does not count abandoned attempts, planned ends, or the loss of a connection that had
/// succeeded.
///
/// Models:        RuleLike, std::regular except for default construction.
/// Thread safety: distinct objects safe.
class MaxAttempts {
public:
    static constexpr std::string_view name = "MaxAttempts";

    /// Pre: most >= 1.
    constexpr explicit MaxAttempts(detail::AnyCount<std::uint64_t> most) noexcept : most_{most} {
        BELAY_OPTION(most_ >= 1, "MaxAttempts: the limit must be >= 1");
    }

    [[nodiscard]] constexpr Advice admit(Instant) const noexcept {
        return failures_ >= most_ ? Advice::stop() : Advice::go();
    }
    [[nodiscard]] constexpr Advice failed(const Failure& failure, Turn& turn) noexcept {
        if (failure.cause != Cause::planned && failures_ < most_) ++failures_;
        return admit(turn.now);
    }
    [[nodiscard]] constexpr bool stops_after(Instant) const noexcept {
        return failures_ + 1 >= most_;
    }
    constexpr void succeeded(Turn&) noexcept { failures_ = 0; }
    constexpr void reset() noexcept { failures_ = 0; }

    /// Returns `forever` if the rule stops after this number of failures, else 0ns; see
    /// link/bounds.hpp.
    [[nodiscard]] constexpr Duration longest_wait(std::uint64_t failures) const noexcept {
        return failures >= most_ ? forever : Duration::zero();
    }

    friend constexpr bool operator==(const MaxAttempts&, const MaxAttempts&) noexcept = default;

private:
    std::uint64_t most_;
    std::uint64_t failures_ = 0;
};

/// Stops when trying has taken, or would take, too long.
///
/// It stops if an attempt would start later than `most` after an attempt was first wanted, or after
/// the connection was lost.
///
/// It reviews the wait that all rules together have planned. If the wait would end too late, it
/// stops now, and not when the wait is over. This includes a wait that a server requested. Write it
/// after rules that lengthen a plan.
///
/// The time runs from `wanted`, from a `begin` without a `wanted` before it, or from `lost`. It
/// runs until an attempt has succeeded or the policy is reset. So it also limits how long a first
/// attempt waits while other rules reject it: an open breaker, a full bulkhead. A connection that
/// opens and fails at once does not start the time again. The time stands still after an attempt
/// was abandoned (a gate shut, credentials are missing), until the next one is wanted. Nothing was
/// tried in that time.
///
/// Models:        RuleLike, std::regular except for default construction.
/// Thread safety: distinct objects safe.
class MaxElapsed {
public:
    static constexpr std::string_view name = "MaxElapsed";

    /// Sets the longest time. 0ns allows the first attempt, and others only in the same instant.
    /// Pre: most >= 0ns.
    constexpr explicit MaxElapsed(detail::AnyUnit most) noexcept : most_{most} {
        BELAY_OPTION(most_.count() >= 0, "MaxElapsed: the time must be >= 0ns");
    }

    [[nodiscard]] constexpr Advice admit(Instant now) const noexcept {
        return spent(now) > most_ ? Advice::stop() : Advice::go();
    }
    constexpr void wanted(Turn& turn) noexcept { run_from(turn.now); }
    constexpr void begin(Turn& turn) noexcept { run_from(turn.now); }
    [[nodiscard]] constexpr Advice lost(const Failure&, Turn& turn) noexcept {
        // Also after `abandoned`, which counts the life of a connection without evidence.
        reset();
        run_from(turn.now);
        return Advice::go();
    }
    [[nodiscard]] constexpr Advice review(const Advice& planned, Turn& turn) const noexcept {
        const Duration wait =
            planned.verb == Advice::Verb::go ? Duration::zero() : elapsed(turn.now, planned.until);
        return part::saturating_add(spent(turn.now), wait) > most_ ? Advice::stop() : Advice::go();
    }
    [[nodiscard]] constexpr bool stops_after(Instant end) const noexcept {
        return spent(end) > most_;
    }
    constexpr void succeeded(Turn&) noexcept { reset(); }
    constexpr void abandoned(Turn& turn) noexcept {
        spent_ = spent(turn.now);
        running_ = false;
    }
    constexpr void reset() noexcept {
        spent_ = Duration::zero();
        running_ = false;
    }

    /// Returns how long trying has taken so far.
    [[nodiscard]] constexpr Duration spent(Instant now) const noexcept {
        // The first attempt begins at `since_`.
        return running_ && now > since_ ? spent_later(now) : spent_;
    }

    friend constexpr bool operator==(const MaxElapsed&, const MaxElapsed&) noexcept = default;

private:
    [[nodiscard]] [[gnu::noinline]] constexpr Duration spent_later(Instant now) const noexcept {
        return part::saturating_add(spent_, elapsed(since_, now));
    }
    constexpr void run_from(Instant now) noexcept {
        if (running_) return;
        since_ = now;
        running_ = true;
    }

    Duration most_;
    Duration spent_{0};  // before `since_`
    Instant since_ = always;
    bool running_ = false;
};

/// Requests how long a connection must live to count as a success (the stable window).
///
/// A connection that ends earlier has failed. So a server that accepts and drops connections does
/// not reset the backoff each time. The peer must also have given evidence since the connection
/// opened: a message, an answered ping, or a passed check. So a peer that accepts and is frozen
/// does not count as a success either.
///
/// If the transport sends no pings, and the peer ends a connection that is older than the window,
/// the connection was a success in hindsight. Use `ResetWhenStable::by_age(window)` to count it as
/// soon as it is that old. Then age alone decides.
///
/// It affects connections only: `retry` counts a call that returned as a success at once.
///
/// Models:        RuleLike.
/// Thread safety: a plain value.
class ResetWhenStable {
public:
    static constexpr std::string_view name = "ResetWhenStable";

    /// Sets the window; with 0ns a connection is stable as soon as it is validated.
    /// Pre: window >= 0ns.
    constexpr explicit ResetWhenStable(detail::AnyUnit window) noexcept : coded_{window} {
        BELAY_OPTION(coded_.count() >= 0, "ResetWhenStable: the window must be >= 0ns");
    }

    /// Makes a rule by which age alone decides, for a peer that never sends anything. A frozen peer
    /// then counts as a success after `window`.   Pre: window >= 0ns.
    [[nodiscard]] static constexpr ResetWhenStable by_age(detail::AnyUnit window) noexcept {
        ResetWhenStable rule{window};
        rule.coded_ = Duration{~rule.coded_.count()};
        return rule;
    }

    [[nodiscard]] constexpr Duration stable_window() const noexcept {
        return stable_by_age() ? Duration{~coded_.count()} : coded_;
    }
    [[nodiscard]] constexpr bool stable_by_age() const noexcept { return coded_.count() < 0; }

    /// Returns 0ns, because this rule adds no wait; see link/bounds.hpp.
    [[nodiscard]] constexpr Duration longest_wait(std::uint64_t) const noexcept {
        return Duration::zero();
    }

    friend constexpr bool operator==(ResetWhenStable, ResetWhenStable) noexcept = default;

private:
    Duration coded_;  // the window, or its complement if age alone decides: a flag costs 8 bytes
};

/// Stops when more than `Most` failures happened within `period`, both ends included.
///
/// `RestartIntensity<5>{60s}` allows five restarts in any minute, for an unlimited time. Unlike
/// MaxAttempts, it does not forget failures on success. So it ends a connection that works for a
/// moment and fails, again and again. The end of a connection that had succeeded counts as much as
/// a failed attempt, because a restart follows both. Planned ends and abandoned attempts do not
/// count.
///
/// After it has stopped, it advises stop until it is reset. A reset makes it forget everything.
///
/// Memory:        the last `Most` failures, 8 bytes each, and 32 bytes.
/// Models:        RuleLike, std::regular except for default construction.
/// Thread safety: distinct objects safe.
/// Source:        Erlang/OTP, "supervisor", maximum restart intensity.
template <std::size_t Most>
    requires(Most >= 1)
class RestartIntensity {
public:
    static constexpr std::string_view name = "RestartIntensity";

    /// Pre: period > 0ns.
    constexpr explicit RestartIntensity(detail::AnyUnit period) noexcept : period_{period} {
        BELAY_OPTION(period_.count() > 0, "RestartIntensity: the period must be > 0ns");
    }

    [[nodiscard]] constexpr Advice admit(Instant) const noexcept {
        return exceeded_ ? Advice::stop() : Advice::go();
    }
    /// Complexity: O(1).
    [[nodiscard]] constexpr Advice failed(const Failure& failure, Turn& turn) noexcept {
        if (failure.cause != Cause::planned) count(turn.now);
        return admit(turn.now);
    }
    [[nodiscard]] constexpr Advice lost(const Failure& failure, Turn& turn) noexcept {
        return failed(failure, turn);
    }
    constexpr void reset() noexcept { *this = RestartIntensity{period_}; }

    friend constexpr bool operator==(const RestartIntensity&,
                                     const RestartIntensity&) noexcept = default;

private:
    constexpr void count(Instant now) noexcept {
        // Only the oldest of the last Most failures is checked: if it is within the period, all
        // are.
        if (counted_ == Most && elapsed(last_[next_], now) <= period_) exceeded_ = true;
        last_[next_] = now;
        next_ = (next_ + 1) % Most;
        if (counted_ < Most) ++counted_;
    }

    Duration period_;
    std::size_t next_ = 0;
    std::size_t counted_ = 0;
    bool exceeded_ = false;
    Instant last_[Most]{};
};

/// Adds up to a percentage to a wait that a server requested, or a limiter in a layer, uniformly.
///
/// With 50 % and a hint of 30 s, the waits lie in [30 s, 45 s]. It only adds, because an earlier
/// attempt is not what the server requested.
///
///     Policy calls{Backoff{FullJitter{}, Cap{10s}, 100ms}, SpreadHint::plus_percent(50),
///                  MaxAttempts{4}};
///
/// Without it, a policy follows a hint to the nanosecond, as gRPC does. A server that gives each
/// client its own time, or answers at different times, has spread the clients already. Use this
/// rule for servers that give all clients the same hint ("Retry-After: 30", a date).
///
/// A wait that is longer than the hint for another reason does not change. It also spreads the hint
/// that a CooldownOn follows. Write it before rules that limit a plan (MaxElapsed, Deadline, a
/// shared budget).
///
/// Models:        RuleLike.
/// Thread safety: distinct objects safe.
/// Source:        Envoy's backoff by rate limit headers, which is a lower bound with up to 50 % of
///                jitter on top; gRFC A6 for the plain hint.
class SpreadHint {
public:
    static constexpr std::string_view name = "SpreadHint";

    /// Does not compile, because a number alone has no meaning.
    template <std::integral Percent>
        requires(!std::same_as<Percent, std::uint32_t>)
    constexpr explicit SpreadHint(Percent) noexcept : SpreadHint{std::uint32_t{1}} {
        static_assert(!sizeof(Percent), "SpreadHint: write SpreadHint::plus_percent(20)");
    }
    /// Pre: percent in [1, 100].
    [[nodiscard]] static constexpr SpreadHint plus_percent(std::uint32_t percent) noexcept {
        return SpreadHint{percent};
    }

    [[nodiscard]] constexpr Advice failed(const Failure& failure, Turn&) noexcept {
        hint_ = failure.retry_after;
        return Advice::go();
    }
    [[nodiscard]] constexpr Advice lost(const Failure& failure, Turn& turn) noexcept {
        return failed(failure, turn);
    }
    /// Complexity: O(1); draws only if a hint decided.
    [[nodiscard]] constexpr Advice review(const Advice& planned, Turn& turn) const noexcept {
        if (hint_.count() <= 0) return Advice::go();
        const Instant hinted = after(turn.now, hint_);
        if (planned.verb != Advice::Verb::go && planned.until > hinted) return Advice::go();
        const auto ticks = static_cast<std::uint64_t>(hint_.count());
        const std::uint64_t most = ticks / 100 * percent_ + ticks % 100 * percent_ / 100;
        const Duration more{static_cast<Duration::rep>(uniform_upto(turn.bits, most))};
        const Advice::Verb verb =
            planned.verb == Advice::Verb::go ? Advice::Verb::wait_at_least : planned.verb;
        return {verb, after(hinted, more), {}};
    }

    friend constexpr bool operator==(const SpreadHint&, const SpreadHint&) noexcept = default;

private:
    constexpr explicit SpreadHint(std::uint32_t percent) noexcept : percent_{percent} {
        BELAY_OPTION(percent >= 1 && percent <= 100,
                     "SpreadHint: the percentage must be in [1, 100]");
    }

    std::uint32_t percent_;
    Duration hint_{};  // of the last failure
};

/// Stops at once after a failure of one of the given causes.
///
/// `StopOn{Cause::permanent, Cause::forbidden, Cause::unauthorized}` keeps a `retry` from repeating
/// a call whose answer is final. For a call that must not be done twice, such as a payment, use
/// `StopOn::all_but(Cause::refused)`, and give a failure this cause only if no connection could be
/// made. A call that timed out or was lost may have been done. Add Cause::overloaded only if the
/// server promises that it does nothing before this answer. A gateway may answer 503 after it has
/// passed the request on.
///
/// `all_but` stops after every other failure, and after the loss of a connection. It never stops
/// after a planned end, which is not a failure.
///
/// Models:        RuleLike.
/// Thread safety: distinct objects safe; a shared one safe (it never changes).
class StopOn {
public:
    static constexpr std::string_view name = "StopOn";

    /// Pre: no cause is Cause::none.
    constexpr explicit StopOn(std::same_as<Cause> auto... causes) noexcept
        requires(sizeof...(causes) >= 1)
        : causes_{causes...} {
        BELAY_OPTION(!causes_.has(Cause::none), "StopOn: Cause::none is no failure");
    }

    /// Does not compile, because a rule sees causes, and no statuses or codes.
    template <class... Codes>
        requires detail::CodesForCauses<Codes...>
    constexpr explicit StopOn(Codes...) noexcept : causes_{Cause::planned} {
        detail::explain_causes<Codes...>();
    }

    /// Makes a rule that stops after every cause except these and Cause::planned.
    [[nodiscard]] static constexpr StopOn all_but(std::same_as<Cause> auto... causes) noexcept
        requires(sizeof...(causes) >= 1)
    {
        return StopOn{detail::CauseSet{Cause::planned, causes...}.others()};
    }
    /// Does not compile, because a rule sees causes, and no statuses or codes.
    template <class... Codes>
        requires detail::CodesForCauses<Codes...>
    [[nodiscard]] static constexpr StopOn all_but(Codes...) noexcept {
        detail::explain_causes<Codes...>();
        return StopOn{Cause::planned};
    }

    [[nodiscard]] constexpr Advice failed(const Failure& failure, Turn&) const noexcept {
        return causes_(failure) ? Advice::stop() : Advice::go();
    }
    [[nodiscard]] constexpr Advice lost(const Failure& failure, Turn& turn) const noexcept {
        return failed(failure, turn);
    }

    [[nodiscard]] constexpr bool stops_after(Instant) const noexcept {
        return causes_(Failure{.cause = Cause::timed_out});
    }

    /// Returns `forever` if it stops on a cause of a peer that is down (lost, refused, timed_out).
    ///
    /// Otherwise it returns 0ns; see link/bounds.hpp.
    [[nodiscard]] constexpr Duration longest_wait(std::uint64_t) const noexcept {
        for (const Cause down : {Cause::lost, Cause::refused, Cause::timed_out}) {
            if (causes_(Failure{.cause = down})) return forever;
        }
        return Duration::zero();
    }

    friend constexpr bool operator==(StopOn, StopOn) noexcept = default;

private:
    constexpr explicit StopOn(detail::CauseSet causes) noexcept : causes_{causes} {}

    detail::CauseSet causes_;
};

}}  // namespace belay
