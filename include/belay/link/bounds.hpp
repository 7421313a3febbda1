// SPDX-License-Identifier: MIT
/// \file belay/link/bounds.hpp
/// detects_within, reconnects_within: check the promises of a configuration in a static_assert.
#pragma once

#include <cstdint>  // std::uint64_t

#include <belay/link/heartbeat_options.hpp>
#include <belay/policy/policy.hpp>

namespace belay { inline namespace BELAY_ABI { namespace timeline {

/// Returns whether a Heartbeat detects a frozen or unreachable peer within a given time.
///
///     constexpr HeartbeatOptions beats{.every = 10s, .dead_after = 25s};
///     static_assert(timeline::detects_within(beats, 30s));
///
/// `within` counts from the peer's last sign of life. With a driver that is on time, detection
/// takes `dead_after`. A connection that is closed is noticed at once. The result is false for
/// options that a Heartbeat does not accept. A peer that asks for fewer pings may have more time
/// than that, which on_policy_conflict reports.
///
/// Errors: none.   Complexity: O(1).
[[nodiscard]] constexpr bool detects_within(const HeartbeatOptions& options,
                                            Duration within) noexcept {
    const bool sound = options.every.count() > 0 && options.every < options.dead_after;
    return sound && options.dead_after <= within;
}

/// Returns whether `attempts` attempts begin and end within a given time after a connection is
/// lost.
///
///     static_assert(timeline::reconnects_within(policies::reconnection(), 3, 90s));
///
/// The lost connection was stable, and each attempt takes as long as its limit allows. A peer that
/// is reachable again when the last of the attempts begins is connected within that time, and
/// validated.
///
/// The result compares `within` with the sum, over all attempts, of the longest wait that the
/// policy's rules can lead to and of the policy's attempt limit. Waits for open breakers are
/// included. The attempt limit is 30 s if no rule sets one. The result is false if a rule may stop
/// earlier. Every rule must return its longest wait from `longest_wait(failures)`. A rule that
/// cannot does not compile: a budget that others spend, a limit on time, or a rule without that
/// function.
///
/// The result covers the policy only. Waits that a server asks for, shut gates, planned closes and
/// late drivers add to the time. Failures that are no sign of a peer that is down end the retries:
/// permanent, forbidden, unauthorized, and any other that a StopOn names.
///
/// Pre: attempts > 0.   Errors: none; saturates.   Complexity: O(attempts * rules).
template <class... Rules>
[[nodiscard]] constexpr bool reconnects_within(const Policy<Rules...>& policy,
                                               std::uint64_t attempts, Duration within) noexcept {
    BELAY_PRECONDITION(attempts > 0, "reconnects_within: the number of attempts must be >= 1");
    Duration total{};
    for (std::uint64_t failures = 0; failures < attempts && total <= within; ++failures) {
        const Duration wait = policy.longest_wait(failures);
        total = part::saturating_add(total, part::saturating_add(wait, policy.attempt_limit()));
    }
    return total <= within && total != forever;
}

}}}  // namespace belay::timeline
