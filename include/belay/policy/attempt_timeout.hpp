// SPDX-License-Identifier: MIT
/// \file belay/policy/attempt_timeout.hpp
/// AttemptTimeout: how long one attempt to connect may take.
#pragma once

#include <belay/policy/rule.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Wishes for a limit on each attempt, from dialling to the validated connection.
///
/// Whoever can end an attempt obeys it: a supervisor, and Retrying in a pipeline of coroutines.
/// `retry` cannot interrupt a call that runs: there it is the deadline in the Attempt, which the
/// call can hand to its sockets.
///
/// Models:        RuleLike.
/// Thread safety: a plain value.
class AttemptTimeout {
public:
    static constexpr std::string_view name = "AttemptTimeout";

    /// `forever` is legal.   Pre: most > 0ns.
    constexpr explicit AttemptTimeout(Duration most) noexcept : most_{most} {
        BELAY_PRECONDITION(most.count() > 0, "AttemptTimeout: the limit must be > 0ns");
    }

    [[nodiscard]] constexpr Duration attempt_limit() const noexcept { return most_; }

    /// None of its own; see link/bounds.hpp.
    [[nodiscard]] constexpr Duration longest_wait(std::uint64_t) const noexcept {
        return Duration::zero();
    }

    friend constexpr bool operator==(AttemptTimeout, AttemptTimeout) noexcept = default;

private:
    Duration most_;
};

}}  // namespace belay
