// SPDX-License-Identifier: MIT
/// \file belay/policy/restart_intensity.hpp
/// RestartIntensity: stops when failures come too fast.
#pragma once

#include <cstddef>      // std::size_t
#include <string_view>  // std::string_view

#include <belay/core/detail/arguments.hpp>
#include <belay/policy/rule.hpp>

namespace belay { inline namespace BELAY_ABI {

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

}}  // namespace belay
