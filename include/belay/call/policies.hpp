// SPDX-License-Identifier: MIT
/// \file belay/call/policies.hpp
/// Ready-made policies: those of well-known clients, and four usual configurations.
///
/// Each is a value like any other. Pass it to retry or to a Supervisor, or nest it in a Policy with
/// more rules, `Policy{policies::sync(), MaxElapsed{1min}}`. Waits are counted from the failure.
#pragma once

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/breaker/breaker.hpp>
#include <belay/budget/budgets.hpp>
#include <belay/policy/policy.hpp>
#include <belay/policy/rules.hpp>
#include <belay/policy/shared.hpp>

namespace belay { inline namespace BELAY_ABI { namespace policies {

/// Returns the policy of gRPC's connection backoff.
///
/// The waits are 1 s, 1.6 times as long each time, to 120 s, then +-20 %.
/// The longest wait is 144 s. The number of attempts is not limited, and each may take 20 s.
///
/// Choices of belay:
/// - The first wait is jittered, too, so that clients of a restarted server disperse.
/// - Waits start at the failure, not at the start of the attempt.
/// - A connection is stable as soon as it is validated (gRPC: when the SETTINGS frame is received).
///
/// Source: grpc/grpc, doc/connection-backoff.md.
[[nodiscard]] constexpr auto grpc_connection() noexcept {
    using std::chrono::seconds;
    return Policy{Backoff{ProportionalJitter::plus_minus_percent(20), PreJitterCap{seconds{120}},
                          Exponential{seconds{1}, 1.6}},
                  AttemptTimeout{seconds{20}}, ResetWhenStable{seconds{0}}};
}

/// Returns the policy of the AWS SDKs' standard mode.
///
/// It makes 3 attempts, with full jitter, 1 s doubling to 20 s. The waits together are at most 3 s.
/// All calls of a client share the retry quota, so it is an object next to the policies:
///
///     TokenBudget quota{TokenBudgetOptions::aws()};
///     auto answer = retry(policies::aws_standard(quota), call);
///
/// A choice of belay: only failures that a retry may correct are retried. So permanent, forbidden
/// and unauthorized answers are not.
///
/// Source: AWS SDKs and Tools Reference Guide, "Retry behavior", standard mode.
[[nodiscard]] constexpr auto aws_standard(TokenBudget& quota) noexcept {
    using std::chrono::seconds;
    return Policy{Backoff{FullJitter{}, Cap{seconds{20}}, seconds{1}},
                  StopOn{Cause::permanent, Cause::forbidden, Cause::unauthorized}, MaxAttempts{3},
                  Shared{quota}};
}

/// Returns a policy for calls through a bridge to another server.
///
/// It makes 5 attempts, with 100 ms doubling to 10 s. The waits together are at most 1.5 s.
///
/// In an outage, many callers send 5.2 times the usual load, because each call makes all of its
/// attempts. Only an object that the callers share can limit that: pass a budget.
///
/// Choices of belay: full jitter. Only transport failures are retried, and not negative answers
/// (protocol, permanent, forbidden, unauthorized).
[[nodiscard]] constexpr auto bridge() noexcept {
    using std::chrono::milliseconds, std::chrono::seconds;
    return Policy{Backoff{FullJitter{}, Cap{seconds{10}}, milliseconds{100}},
                  StopOn{Cause::protocol, Cause::permanent, Cause::forbidden, Cause::unauthorized},
                  MaxAttempts{5}};
}
/// Returns the same policy, which retries only while the budget lasts.
///
/// Many callers that share the budget do not multiply the load of an outage by five; see
/// docs/explanation/stability.md. The budget must outlive the policy.
[[nodiscard]] constexpr auto bridge(TokenBudget& budget) noexcept {
    return Policy{bridge(), Shared{budget}};
}

/// Returns a policy for a batch of operations that one processor applies to its own store.
///
/// It makes 3 retries, after 100 ms, 200 ms and 400 ms. Each wait is 0..50 % longer, which a draw
/// decides. So a store that is well again within 0.7 s gets the batch. The waits together are at
/// most 1.05 s.
///
/// Do not use it for many clients of one server. In an outage it sends four times the load, and its
/// waits are not spread from zero. It is an exception in docs/reference/stability-table.md for that
/// reason. Pass a budget, or use full jitter.
///
/// A choice of belay: permanent, forbidden and unauthorized failures are not retried.
[[nodiscard]] constexpr auto sync() noexcept {
    using std::chrono::milliseconds, std::chrono::seconds;
    return Policy{Backoff{ProportionalJitter::plus_percent(50), Cap{seconds{5}}, milliseconds{100}},
                  StopOn{Cause::permanent, Cause::forbidden, Cause::unauthorized}, MaxAttempts{4}};
}
/// Returns the same policy, which retries only while the budget lasts.
///
/// Many callers that share the budget do not multiply the load of an outage by four; see
/// docs/explanation/stability.md. The budget must outlive the policy.
[[nodiscard]] constexpr auto sync(TokenBudget& budget) noexcept {
    return Policy{sync(), Shared{budget}};
}

/// Returns a policy for a service that is reconnected.
///
/// It makes 10 attempts, with 1 s doubling to 60 s, +0..10 %. Each attempt is given up after 25 s.
/// Five failures in a row open a breaker for 300 s to 540 s. From then on there is one probe at a
/// time. The open wait is drawn, so that the clients of one server do not probe it at the same
/// time. Three attempts that hang, including waits, end within 83 s of the loss.
///
/// Choices of belay: attempts count since the last connection that was stable (10 s unless another
/// rule requests another time). The loss itself is not an attempt. So a Supervisor waits before
/// each of the 10 attempts, and `retry` after each except the last. Without a Heartbeat, a
/// connection that lived for the stable window was a success if the peer ends it.
[[nodiscard]] constexpr auto reconnection() noexcept {
    using std::chrono::seconds;
    const Backoff open_wait{ProportionalJitter::plus_percent(80), NoCap{}, Constant{seconds{300}}};
    return Policy{Backoff{ProportionalJitter::plus_percent(10), Cap{seconds{60}}, seconds{1}},
                  Breaker{ConsecutiveFailures{5}, open_wait}, AttemptTimeout{seconds{25}},
                  MaxAttempts{10}};
}

/// Returns a policy for a client's connection to a room.
///
/// It has full jitter, 1 s doubling to 30 s, without end. After "try again later" (overloaded;
/// WebSocket 1013), the wait is exactly 5..15 s, independent of the number of attempts, and the
/// attempt counts. After a connection of 10 s, the waits start afresh.
[[nodiscard]] constexpr auto connection() noexcept {
    using std::chrono::seconds;
    return Policy{Backoff{FullJitter{}, Cap{seconds{30}}, seconds{1}},
                  CooldownOn{Cause::overloaded, seconds{5}, seconds{15}},
                  ResetWhenStable{seconds{10}}};
}

}}}  // namespace belay::policies
