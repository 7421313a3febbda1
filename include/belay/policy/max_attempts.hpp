// SPDX-License-Identifier: MIT
/// \file belay/policy/max_attempts.hpp
/// MaxAttempts: stops after a number of failures.
#pragma once

#include <cstdint>  // std::uint64_t

#include <belay/core/detail/arguments.hpp>
#include <belay/policy/rule.hpp>

namespace belay { inline namespace BELAY_ABI {

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

}}  // namespace belay
