// SPDX-License-Identifier: MIT
/// \file belay/policy/stability_check.hpp
/// check::stability and check::reconnection: play many callers, or clients, of a policy against a
/// server in trouble. For tests of policies.
#pragma once

#include <cstdint>      // std::uint32_t
#include <type_traits>  // std::remove_cvref_t
#include <utility>      // std::move
#include <vector>       // std::vector

#include <belay/core/assert.hpp>
#include <belay/core/detail/expect_options.hpp>
#include <belay/policy/detail/reconnection_model.hpp>
#include <belay/policy/detail/stability_model.hpp>
#include <belay/policy/reconnection_report.hpp>
#include <belay/policy/stability_report.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

/// Calls `play` with the policies of the processes, or with one policy for all.
template <class PolicyOrMake, class Play>
[[nodiscard]] auto with_policies(PolicyOrMake& policy_or_make, std::uint32_t count, Play&& play) {
    if constexpr (requires { policy_or_make()->policy(); }) {
        using Process = decltype(policy_or_make());
        using P = AsPolicy<std::remove_cvref_t<decltype(std::declval<Process&>()->policy())>>;
        std::vector<Process> processes;
        std::vector<P> policies;
        processes.reserve(count);
        policies.reserve(count);
        for (std::uint32_t i = 0; i < count; ++i) {
            processes.push_back(policy_or_make());
            policies.push_back(as_policy(processes.back()->policy()));
        }
        std::vector<const P*> pointers;
        for (const P& policy : policies) pointers.push_back(&policy);
        return play(pointers);
    } else {
        static_assert(explain::rule_like<PolicyOrMake>());
        const auto policy = as_policy(std::move(policy_or_make));
        using P = std::remove_cvref_t<decltype(policy)>;
        return play(std::vector<const P*>{&policy});
    }
}

}  // namespace detail

namespace check {

/// Plays many callers of a policy against a model of a server in trouble, in virtual time.
///
///     const auto report = check::stability(Policy{Backoff{FullJitter{}, Cap{5s}, 100ms},
///                                                 Shared{budget}, MaxAttempts{4}});
///     if (report.broken()) std::puts(to_string(*report.broken()));
///
/// Each call runs a copy of the policy, as `retry` does. All callers use the objects of its Shared
/// rules, and leave them as they are at the end of the run. To play several processes, each with
/// objects of its own, pass a function instead. It returns a pointer to a new object, whose
/// `policy()` returns the policy. It is called `load.processes` times:
///
///     struct Process {
///         TokenBudget budget{TokenBudgetOptions::aws()};
///         auto policy() { return Policy{Shared{budget}, MaxAttempts{3}}; }
///     };
///     const auto report = check::stability([] { return std::make_unique<Process>(); });
///
/// The server has a capacity, a queue and a latency. After a steady time it is dead, and then it
/// returns. After the recovery follow errors at a rate, slow answers, and a brown-out with little
/// capacity. The server goes on working for callers that gave up. The page
/// docs/explanation/stability.md describes the model.
///
/// The same policy, load and seed give the same report on every platform, because the model uses
/// integers only.
///
/// Pre:        load.check() is empty.
/// Errors:     the report's broken().   Throws: std::bad_alloc; what the function throws.
/// Allocates:  a copy of the policy for each call that is under way at once, and the report.
/// Complexity: O(n log m) for n attempts, and m calls that are under way at once.
template <class PolicyOrMake>
[[nodiscard]] StabilityReport stability(PolicyOrMake policy_or_make,
                                        const StabilityLoad& load = {}) {
    belay::detail::expect_options(load.check(), {});
    return belay::detail::with_policies(policy_or_make, load.processes, [&](const auto& policies) {
        return belay::detail::play_calls(load, policies);
    });
}

/// Plays many clients of a server, each of which keeps one connection, in virtual time.
///
///     const auto report = check::reconnection(policies::connection());
///     if (report.broken()) std::puts(to_string(*report.broken()));
///
/// All connections are lost at once. The server refuses dials for the outage, and then accepts all.
/// Each client runs a copy of the policy, as a Supervisor does. A function instead of the policy
/// has the same meaning as for check::stability.
///
/// Pre:        load.check() is empty.
/// Errors:     the report's broken().   Throws: std::bad_alloc; what the function throws.
/// Allocates:  a copy of the policy for each client, and the report.
/// Complexity: O(n log m) for n dials of m clients.
template <class PolicyOrMake>
[[nodiscard]] ReconnectionReport reconnection(PolicyOrMake policy_or_make,
                                              const ReconnectionLoad& load = {}) {
    belay::detail::expect_options(load.check(), {});
    return belay::detail::with_policies(
        policy_or_make, load.processes, [&]<class P>(const std::vector<const P*>& policies) {
            return belay::detail::ReconnectionModel<P>{load, policies}.play();
        });
}

}  // namespace check

}}  // namespace belay
