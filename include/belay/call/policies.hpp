// SPDX-License-Identifier: MIT
/// \file belay/call/policies.hpp
/// Ready-made policies: what well-known clients do, and four usual configurations.
///
/// Each is a value like any other: pass it to retry or to a Supervisor, or nest it in a Policy with
/// more rules, `Policy{policies::sync(), MaxElapsed{1min}}`. Waits are counted from the failure.
#pragma once

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/pre_jitter_cap.hpp>
#include <belay/backoff/proportional_jitter.hpp>
#include <belay/breaker/breaker.hpp>
#include <belay/budget/token_budget.hpp>
#include <belay/policy/attempt_timeout.hpp>
#include <belay/policy/cooldown_on.hpp>
#include <belay/policy/max_attempts.hpp>
#include <belay/policy/policy.hpp>
#include <belay/policy/reset_when_stable.hpp>
#include <belay/policy/shared.hpp>
#include <belay/policy/stop_on.hpp>

namespace belay { inline namespace BELAY_ABI { namespace policies {

/// gRPC's connection backoff: 1 s, 1.6 times as long each time, to 120 s, then +-20 %: at most
/// 144 s. No end of attempts. Each may take 20 s.
///
/// Chosen: the first wait is jittered too, so that clients of a restarted server disperse. Waits
/// start at the failure, not at the start of the attempt. Once validated a connection is stable
/// (gRPC: when the SETTINGS frame is received).
///
/// Source: grpc/grpc, doc/connection-backoff.md.
[[nodiscard]] constexpr auto grpc_connection() noexcept {
    using std::chrono::seconds;
    return Policy{Backoff{ProportionalJitter::plus_minus_percent(20), PreJitterCap{seconds{120}},
                          Exponential{seconds{1}, 1.6}},
                  AttemptTimeout{seconds{20}}, ResetWhenStable{seconds{0}}};
}

/// The AWS SDKs' standard mode: 3 attempts, full jitter, 1 s doubling to 20 s; at most 3 s of
/// waits. The retry quota is common to all calls of a client, so it is an object beside the
/// policies:
///
///     TokenBudget quota{TokenBudgetOptions::aws()};
///     auto answer = retry(policies::aws_standard(quota), call);
///
/// Chosen: retried is what has a chance, so neither permanent, forbidden nor unauthorized answers.
///
/// Source: AWS SDKs and Tools Reference Guide, "Retry behavior", standard mode.
[[nodiscard]] constexpr auto aws_standard(TokenBudget& quota) noexcept {
    using std::chrono::seconds;
    return Policy{Backoff{FullJitter{}, Cap{seconds{20}}, seconds{1}},
                  StopOn{Cause::permanent, Cause::forbidden, Cause::unauthorized}, MaxAttempts{3},
                  Shared{quota}};
}

/// Calls through a bridge to another server: 5 attempts, 100 ms doubling to 10 s. At most 1.5 s of
/// waits.
///
/// Chosen: full jitter; only transport failures are retried, not answers that say no (protocol,
/// permanent, forbidden, unauthorized).
[[nodiscard]] constexpr auto bridge() noexcept {
    using std::chrono::milliseconds, std::chrono::seconds;
    return Policy{Backoff{FullJitter{}, Cap{seconds{10}}, milliseconds{100}},
                  StopOn{Cause::protocol, Cause::permanent, Cause::forbidden, Cause::unauthorized},
                  MaxAttempts{5}};
}

/// A batch of operations that is synchronised: 3 retries, 100 ms doubling to 5 s. At most 0.7 s of
/// waits.
///
/// Chosen: full jitter, since all clients of a server fail together; permanent, forbidden and
/// unauthorized failures are not retried.
[[nodiscard]] constexpr auto sync() noexcept {
    using std::chrono::milliseconds, std::chrono::seconds;
    return Policy{Backoff{FullJitter{}, Cap{seconds{5}}, milliseconds{100}},
                  StopOn{Cause::permanent, Cause::forbidden, Cause::unauthorized}, MaxAttempts{4}};
}

/// A service that is reconnected: 10 attempts, 1 s doubling to 60 s, +0..10 %, each given up after
/// 25 s. Five failures in a row open a breaker for 300 s: from then on one probe at a time. Three
/// attempts that hang, waits included, end within 83 s of the loss.
///
/// Chosen: attempts count since the last connection that was stable (10 s unless another rule says
/// so), and the loss itself is none: a Supervisor waits before each of the 10, `retry` after each
/// but the last.
[[nodiscard]] constexpr auto reconnection() noexcept {
    using std::chrono::seconds;
    return Policy{Backoff{ProportionalJitter::plus_percent(10), Cap{seconds{60}}, seconds{1}},
                  Breaker{ConsecutiveFailures{5}, OpenFor{seconds{300}}},
                  AttemptTimeout{seconds{25}}, MaxAttempts{10}};
}

/// A client's connection to a room: full jitter, 1 s doubling to 30 s, for ever; after "try again
/// later" (overloaded; WebSocket 1013) exactly 5..15 s, whatever the attempt, which counts. 10 s of
/// connection start afresh.
[[nodiscard]] constexpr auto connection() noexcept {
    using std::chrono::seconds;
    return Policy{Backoff{FullJitter{}, Cap{seconds{30}}, seconds{1}},
                  CooldownOn{Cause::overloaded, seconds{5}, seconds{15}},
                  ResetWhenStable{seconds{10}}};
}

}}}  // namespace belay::policies
