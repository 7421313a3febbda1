// SPDX-License-Identifier: MIT
/// \file belay/policy/attempt_timeout.hpp
/// AttemptTimeout: the longest time that one attempt to connect may take.
#pragma once

#include <belay/core/detail/arguments.hpp>
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

}}  // namespace belay
