// SPDX-License-Identifier: MIT
/// \file belay/policy/cooldown_on.hpp
/// CooldownOn: a wait of its own for one cause, whatever the backoff says.
#pragma once

#include <cstdint>  // std::uint64_t

#include <belay/policy/rule.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Advises wait_exactly after failures of one cause: uniformly from [least, most], or what the
/// server asked for, if that is longer.
///
/// `CooldownOn{Cause::overloaded, 5s, 15s}` is the answer to "try again later". It overrules the
/// wait of a Backoff, which still counts the attempt.
///
/// Models:        RuleLike.
/// Thread safety: distinct objects safe.
class CooldownOn {
public:
    static constexpr std::string_view name = "CooldownOn";

    /// Pre: 0ns <= least <= most.
    constexpr CooldownOn(Cause cause, Duration least, Duration most) noexcept
        : least_{least}, most_{most}, cause_{cause} {
        BELAY_PRECONDITION(least.count() >= 0, "CooldownOn: the shortest wait must be >= 0ns");
        BELAY_PRECONDITION(least <= most, "CooldownOn: the shortest wait must be <= the longest");
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

    /// If no server asks for a longer one; see link/bounds.hpp.
    [[nodiscard]] constexpr Duration longest_wait(std::uint64_t) const noexcept { return most_; }

    friend constexpr bool operator==(const CooldownOn&, const CooldownOn&) noexcept = default;

private:
    Duration least_;
    Duration most_;
    Cause cause_;
};

}}  // namespace belay
