// SPDX-License-Identifier: MIT
/// \file belay/link/bounds.hpp
/// detects_within, reconnects_within, returns_within, check: prove in a static_assert what a
/// configuration promises.
#pragma once

#include <cstdint>      // std::uint64_t
#include <string_view>  // std::string_view

#include <belay/link/heartbeat_options.hpp>
#include <belay/link/supervisor_core.hpp>

namespace belay { inline namespace BELAY_ABI { namespace timeline {

/// Returns whether a Heartbeat detects a frozen or unreachable peer within a given time.
///
///     constexpr HeartbeatOptions beats{.every = 10s, .dead_after = 25s};
///     static_assert(timeline::detects_within(beats, 30s));
///
/// `within` counts from the peer's last sign of life, or from the last output that had waited for
/// capacity and left. With a driver that is on time, detection
/// takes `dead_after`. A connection that is closed is noticed at once. The result is false for
/// options that a Heartbeat does not accept. A peer that asks for fewer pings may have more time
/// than that, which on_policy_conflict reports.
///
/// Errors: none.   Complexity: O(1).
[[nodiscard]] constexpr bool detects_within(const HeartbeatOptions& options,
                                            Duration within) noexcept {
    return options.check().empty() && options.dead_after <= within;
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
/// The result compares `within` with a sum over all attempts. For each attempt, the sum has the
/// longest wait that the policy's rules can lead to, and the policy's attempt limit. Waits for open
/// breakers are included. The attempt limit is 30 s if no rule sets one. The result is false if a
/// rule may stop earlier. Every rule must return its longest wait from `longest_wait(failures)`. A
/// rule that cannot does not compile: a budget that others spend, a limit on time, or a rule
/// without that function.
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

/// Returns whether a link is connected again within a given time after its peer returns, whenever
/// that is.
///
///     static_assert(timeline::returns_within(policies::reconnection(), 590s));
///
/// reconnects_within covers the first attempts after a loss. In a longer outage the waits are
/// longer, and a breaker may be open when the peer returns. The result compares `within` with a sum
/// of three times:
/// - the limit of an attempt that began just before the return;
/// - the longest wait of the policy;
/// - the limit of the attempt that succeeds.
///
/// It is valid while the policy still makes attempts. The rules must be as for reconnects_within,
/// and the result leaves out the same things. Waits after the 64th failure must not fall again,
/// which only a list of Delays with more than 64 entries can do. If the peer may accept while it is
/// frozen, add `dead_after` of the Heartbeat: the connection to it ends only then.
///
/// Errors: none; saturates.   Complexity: O(rules).
template <class... Rules>
[[nodiscard]] constexpr bool returns_within(const Policy<Rules...>& policy,
                                            Duration within) noexcept {
    constexpr std::uint64_t settled = 64, most = ~std::uint32_t{0};
    Duration longest{};
    for (std::uint64_t failures = 0; failures <= settled + 1; ++failures) {
        const Duration wait = policy.longest_wait(failures <= settled ? failures : most);
        if (wait == forever) break;
        if (wait > longest) longest = wait;
    }
    const Duration attempts = part::saturating_multiply(policy.attempt_limit(), 2);
    const Duration total = part::saturating_add(longest, attempts);
    return total <= within && total != forever;
}

}}}  // namespace belay::timeline

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Whether a rule shares its state with other policies, also inside a nested policy.
template <class Rule>
inline constexpr bool shares_state = requires { requires Rule::is_shared; };
template <class... Rules>
inline constexpr bool shares_state<Policy<Rules...>> = (shares_state<Rules> || ...);

/// How a policy answered a series of failed connections.
struct SeriesAnswer {
    bool suspended = false;
    bool failed = false;
};

/// Plays connections that each end with `failure` at the age of `lived`; with `lived` < 0ns they
/// never open. Ends when the policy stops, or after `most` of them.
template <class... Rules>
[[nodiscard]] constexpr SeriesAnswer play_failures(const Policy<Rules...>& policy,
                                                   const Failure& failure, Duration lived,
                                                   std::uint64_t most) noexcept {
    timeline::SupervisorCore core{policy};
    Random bits{Seed{1}};
    Turn turn{Instant{}, bits};
    core.step({.input = timeline::Input::start}, turn);
    SeriesAnswer answer;
    for (std::uint64_t i = 0; i < most && core.status().state == LinkState::connecting; ++i) {
        if (lived >= Duration::zero()) {
            core.step({.input = timeline::Input::opened}, turn);
            const Instant end = after(turn.now, lived);
            if (core.deadline() < end) {
                turn.now = core.deadline();
                core.step({}, turn);
            }
            turn.now = end;
        }
        core.step({.input = timeline::Input::closed, .failure = failure}, turn);
        answer.suspended = answer.suspended || core.status().state == LinkState::suspended;
        if (core.status().state == LinkState::failed) break;
        turn.now = core.deadline();
        core.step({}, turn);
    }
    answer.failed = core.status().state == LinkState::failed;
    return answer;
}

}}}  // namespace belay::detail

namespace belay { inline namespace BELAY_ABI { namespace timeline {

/// Checks a Heartbeat and a policy as a whole. Returns a sentence about the first mistake, or an
/// empty text if there is none.
///
///     constexpr HeartbeatOptions beats{.every = 10s, .dead_after = 25s};
///     static_assert(timeline::check(beats, policies::reconnection()).empty());
///
/// Parts that are right by themselves may fail together, because a peer that accepts and is frozen,
/// so that it takes no output, is noticed only after `dead_after`. (One that takes output and never
/// answers is noticed after up to 24 times `dead_after`.) The check finds two mistakes:
/// - a window by age (ResetWhenStable::by_age) after which a frozen peer counts as a success;
/// - a limit on attempts, or a breaker, that ends a series of failures at once and does not end a
///   series of connections to a frozen peer.
///
/// It plays up to 16 connections of each series with the policy.
///
/// A rule that shares its state with others (Shared) does not compile, because the check would
/// change that state.
///
/// Errors: none.   Complexity: O(rules).
template <class... Rules>
[[nodiscard]] constexpr std::string_view check(const HeartbeatOptions& beats,
                                               const Policy<Rules...>& policy) noexcept {
    static_assert((!detail::shares_state<Rules> && ...),
                  "timeline::check: a Shared rule cannot be played, because others use its object "
                  "too; check a policy that owns such a rule instead");
    constexpr std::uint64_t played = 16;
    if (const std::string_view wrong = beats.check(); !wrong.empty()) return wrong;
    if (policy.stable_by_age() && policy.stable_window() <= beats.dead_after) {
        return "ResetWhenStable::by_age: the window must be longer than dead_after, because a "
               "frozen peer would count as a success";
    }
    const detail::SeriesAnswer refused =
        detail::play_failures(policy, {.cause = Cause::timed_out}, Duration{-1}, played);
    const detail::SeriesAnswer frozen =
        detail::play_failures(policy, {.cause = Cause::timed_out}, beats.dead_after, played);
    if (refused.failed && !frozen.failed) {
        return "the policy gives up a peer that fails at once, but not one that accepts and is "
               "frozen";
    }
    if (refused.suspended && !frozen.suspended) {
        return "the breaker opens for a peer that fails at once, but not for one that accepts and "
               "is frozen: its window must hold failures that are dead_after and a wait apart";
    }
    return {};
}

}}}  // namespace belay::timeline
