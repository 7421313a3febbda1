// SPDX-License-Identifier: MIT
/// \file tests/support/breaker/breaker_archetypes.hpp
/// Minimal models of the user-defined parts of breakers, and a breaker with its time and random
/// bits.
#pragma once

#include <belay/breaker/breaker_state.hpp>
#include <belay/core/random.hpp>
#include <belay/policy/rule.hpp>

namespace belay_test {

/// TripLike: trips at the second failure since the last reset.
struct MinimalTrip {
    MinimalTrip() = delete;
    constexpr explicit MinimalTrip(int) noexcept {}
    constexpr bool record(bool failed) noexcept { return (failures += failed ? 1 : 0) >= 2; }
    constexpr void reset() noexcept { failures = 0; }
    int failures = 0;
};

/// A minimal OpenWaitLike.
struct MinimalOpenWait {
    MinimalOpenWait() = delete;
    constexpr explicit MinimalOpenWait(belay::Duration d) noexcept : wait{d} {}
    constexpr belay::Duration next(belay::Random&) noexcept { return wait; }
    belay::Duration wait;
};

/// OpenWaitLike that grows: 10 s, 20 s, 30 s, ... until the breaker closes.
struct GrowingWait {
    constexpr belay::Duration next(belay::Random&) noexcept {
        return std::chrono::seconds{10} * ++drawn;
    }
    constexpr void reset() noexcept { drawn = 0; }
    int drawn = 0;
};

/// Lets calls of a CircuitBreaker fail in turn.
template <class B>
void open(B& breaker, int failures) {
    for (int i = 0; i < failures; ++i) breaker.acquire().failure();
}

/// A breaker as a rule, with its time and random bits, usable in constant expressions.
template <class B>
struct BreakerBench {
    B breaker;
    belay::Instant now{};
    belay::Random bits{belay::Seed{1}};

    constexpr explicit BreakerBench(B b) : breaker{b} {}

    constexpr bool admits() const { return breaker.admit(now).verb == belay::Advice::Verb::go; }
    constexpr belay::BreakerState state() const { return breaker.state(now); }
    constexpr belay::Advice fail(belay::Failure failure = {belay::Cause::lost},
                                 belay::Duration took = {}) {
        begin(took);
        belay::Turn turn{now, bits};
        return breaker.failed(failure, turn);
    }
    constexpr void succeed(belay::Duration took = {}) {
        begin(took);
        belay::Turn turn{now, bits};
        breaker.succeeded(turn);
    }
    constexpr void abandon() {
        begin({});
        belay::Turn turn{now, bits};
        breaker.abandoned(turn);
    }

private:
    constexpr void begin(belay::Duration took) {
        belay::Turn turn{now, bits};
        breaker.begin(turn);
        now += took;
    }
};

}  // namespace belay_test
