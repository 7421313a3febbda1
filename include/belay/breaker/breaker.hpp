// SPDX-License-Identifier: MIT
/// \file belay/breaker/breaker.hpp
/// Breaker: stops calls to a peer that keeps failing, then probes it. A value, for one caller.
#pragma once

#include <concepts>     // std::same_as
#include <type_traits>  // std::conditional_t

#include <belay/breaker/detail/breaker_core.hpp>
#include <belay/breaker/open_waits.hpp>
#include <belay/breaker/trips.hpp>
#include <belay/policy/rule.hpp>

namespace belay { inline namespace BELAY_ABI {

/// A circuit breaker as a rule, with the states closed, open and half-open.
///
/// While it is open, it advises `suspend`. From `now >= open_until` on, it lets one attempt at a
/// time through as a probe. HalfOpenOptions defines how many verdicts decide. A probe that is
/// abandoned does not change the breaker. A `begin` without `admit` before it, while the breaker is
/// open, is a forced probe.
///
/// The trip decides which failures count; see CountOnly. A negative answer (`permanent`,
/// `forbidden`, `unauthorized`) is a success, because the peer is well. These are not verdicts:
/// - planned failures,
/// - failures of attempts that did not reach a peer,
/// - the end of a connection that had succeeded: there is no `lost` hook.
///
///     Breaker{ConsecutiveFailures{5}, OpenFor{300s}}
///     Breaker{FailureRate{CountWindow<20>{}, {.percent = 50}},
///             Backoff{FullJitter{}, Cap{60s}, 1s}, HalfOpenOptions{.failures = 2}}
///
/// It serves one run of a policy, one attempt at a time, such as the attempts of a Supervisor to
/// connect. In the policy of a `retry`, it forgets everything at the end of each call, and a call
/// waits while it is open. To reject calls to a peer that is down, use `Shared{circuit_breaker,
/// FailFast{}}`, also with a single caller. A CircuitBreaker makes the same decisions, and has
/// commands, events and snapshots.
///
/// Models:        RuleLike.
/// Thread safety: distinct objects safe.
/// Source:        M. Nygard, "Release It!" (2007), the Circuit Breaker pattern.
template <class Trip = ConsecutiveFailures, class OpenWait = OpenFor>
class Breaker {
public:
    static constexpr std::string_view name = "Breaker";

    constexpr Breaker(Trip trip, OpenWait open_wait, HalfOpenOptions half_open = {}) noexcept
        : core_{trip, open_wait, half_open} {}

    [[nodiscard]] constexpr Advice admit(Instant now) const noexcept { return core_.admit(now); }
    constexpr void begin(Turn& turn) noexcept {
        core_.force(turn.now);
        if constexpr (times_calls) began_ = turn.now;
    }
    [[nodiscard]] constexpr Advice failed(const Failure& failure, Turn& turn) noexcept {
        switch (detail::evidence_of(core_.trip(), failure)) {
            case detail::PeerEvidence::unwell:
                core_.verdict(true, core_.generation(), turn, took(turn.now), failure);
                break;
            case detail::PeerEvidence::well:
                succeeded(turn);
                break;
            case detail::PeerEvidence::nothing:
                core_.neutral(core_.generation(), failure);
                break;
        }
        return admit(turn.now);
    }
    constexpr void succeeded(Turn& turn) noexcept {
        core_.verdict(false, core_.generation(), turn, took(turn.now));
    }
    constexpr void abandoned(Turn&) noexcept { core_.neutral(core_.generation()); }

    /// Returns how long it may stay open after a number of failures; see link/bounds.hpp.
    ///
    /// For a trip that does not report when it opens, the breaker may open after each failure.
    template <detail::HasLongestWait Wait = OpenWait>
    [[nodiscard]] constexpr Duration longest_wait(std::uint64_t failures) const noexcept {
        std::uint64_t opens_at = 1;
        if constexpr (std::same_as<Trip, ConsecutiveFailures>) opens_at = core_.trip().limit();
        Duration longest{};
        constexpr std::uint64_t settled = 64;  // from there on, an open wait no longer falls
        for (std::uint64_t n = opens_at; n <= failures; ++n) {
            if (n - opens_at > settled) n = failures;
            const Duration wait = core_.open_wait().longest_wait(n - opens_at);
            if (wait > longest) longest = wait;
            if (n == failures) break;  // ++n may overflow
        }
        return longest;
    }

    /// Returns the state at `now`.
    [[nodiscard]] constexpr BreakerState state(Instant now) const noexcept {
        return core_.state(now);
    }

private:
    static constexpr bool times_calls = detail::RecordsTimedCalls<Trip>;
    struct Untimed {};

    [[nodiscard]] constexpr Duration took([[maybe_unused]] Instant now) const noexcept {
        if constexpr (times_calls) {
            return elapsed(began_, now);
        } else {
            return Duration{};
        }
    }

    detail::BreakerCore<Trip, OpenWait> core_;
    [[no_unique_address]] std::conditional_t<times_calls, Instant, Untimed> began_{};
};

// Does not compile, because the open wait is missing.
template <class Trip>
Breaker(Trip) -> Breaker<Trip, detail::NoOpenWait>;

}}  // namespace belay
