// SPDX-License-Identifier: MIT
/// \file belay/policy/spread_hint.hpp
/// SpreadHint: clients that a server rejected for the same time do not return at the same time.
#pragma once

#include <cstdint>      // std::uint32_t, std::uint64_t
#include <string_view>  // std::string_view

#include <belay/policy/rule.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Adds up to a percentage to a wait that a server requested, uniformly.
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

}}  // namespace belay
