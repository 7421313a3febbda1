// SPDX-License-Identifier: MIT
/// \file belay/policy/cooldown_on.hpp
/// CooldownOn: a separate wait for one cause, independent of the backoff.
#pragma once

#include <cstdint>  // std::uint64_t

#include <belay/core/detail/arguments.hpp>
#include <belay/policy/rule.hpp>

namespace belay { inline namespace BELAY_ABI {

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

}}  // namespace belay
