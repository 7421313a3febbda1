// SPDX-License-Identifier: MIT
/// \file belay/link/bounds.hpp
/// detects_within, reconnects_within: what a configuration promises, as a static_assert.
#pragma once

#include <cstdint>  // std::uint64_t

#include <belay/link/heartbeat_options.hpp>
#include <belay/policy/policy.hpp>

namespace belay { inline namespace BELAY_ABI { namespace timeline {

/// Whether a peer that is frozen, or cut off, is noticed within so long of its last sign of life.
///
///     constexpr HeartbeatOptions beats{.every = 10s, .dead_after = 25s};
///     static_assert(timeline::detects_within(beats, 30s));
///
/// That is `dead_after`, by a driver that is on time. A connection that is closed is noticed at
/// once. False for options that a Heartbeat does not take. A peer that asks for fewer pings may
/// have more time than that: on_policy_conflict says so.
///
/// Errors: none.   Complexity: O(1).
[[nodiscard]] constexpr bool detects_within(const HeartbeatOptions& options,
                                            Duration within) noexcept {
    const bool sound = options.every.count() > 0 && options.every < options.dead_after;
    return sound && options.dead_after <= within;
}

/// Whether, after the loss of a connection that was stable, so many attempts have begun and ended
/// within so long, even if each takes as long as it may: whoever can be reached again when the last
/// of them begins is connected by then, validated included.
///
///     static_assert(timeline::reconnects_within(policies::reconnection(), 3, 90s));
///
/// The sum of the longest waits that the policy's rules can lead to, open breakers included, and of
/// its attempt limit, 30 s if no rule says one. False if a rule may stop before. Every rule must
/// be able to say its longest wait, by `longest_wait(failures)`: one that cannot (a budget that
/// others spend, a limit on time, a rule that does not say it) does not compile.
///
/// It is about a policy, not about the world: waits that a server asks for, shut gates, planned
/// closes and drivers that are late come on top; failures that are no sign of a peer that is down
/// (permanent, forbidden, unauthorized, what else a StopOn names) end it.
///
/// Pre: attempts > 0.   Errors: none; saturates.   Complexity: O(attempts * rules).
template <class... Rules>
[[nodiscard]] constexpr bool reconnects_within(const Policy<Rules...>& policy,
                                               std::uint64_t attempts, Duration within) noexcept {
    BELAY_PRECONDITION(attempts > 0, "reconnects_within: at least one attempt");
    Duration total{};
    for (std::uint64_t failures = 0; failures < attempts && total <= within; ++failures) {
        const Duration wait = policy.longest_wait(failures);
        total = part::saturating_add(total, part::saturating_add(wait, policy.attempt_limit()));
    }
    return total <= within && total != forever;
}

}}}  // namespace belay::timeline
