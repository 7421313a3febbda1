// SPDX-License-Identifier: MIT
// Goal: no caller that waits for a shared object loses its permits to the others again and again.
// Method: 2, 5 and 20 callers in a closed loop of virtual time. Callers that are due at one instant
// continue in a random order.
#include <belay/policy/shared.hpp>

#include <optional>
#include <vector>

#include <belay/budget/adaptive_limit.hpp>
#include <belay/budget/adaptive_throttle.hpp>
#include <belay/budget/cubic_rate.hpp>
#include <belay/call/limiters.hpp>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

namespace {

template <class Object>
struct Caller {
    enum class State { idle, waits, calls };
    State state = State::idle;
    Instant due{1h};
    Instant since{};
    std::optional<Shared<Object>> rule{};
};

// Returns the longest wait for a permit in a thousand calls, also of a caller that still waits.
template <class Object>
Duration longest_wait(Object& object, int callers, Duration call, Duration pause) {
    using One = Caller<Object>;
    std::vector<One> all(static_cast<std::size_t>(callers));
    Random bits{Seed{7}};
    Random order{Seed{8}};
    Duration longest{};
    for (int calls = 0; calls < 1000;) {
        One* next = nullptr;
        std::uint64_t ties = 0;
        for (One& one : all) {
            if (next == nullptr || one.due < next->due) {
                next = &one;
                ties = 1;
            } else if (one.due == next->due && uniform_upto(order, ties++) == 0) {
                next = &one;
            }
        }
        Turn turn{next->due, bits};
        if (next->state == One::State::calls) {
            next->rule->succeeded(turn);
            next->state = One::State::idle;
            next->due += pause;
            continue;
        }
        if (next->state == One::State::idle) {
            next->rule.emplace(object);
            next->since = turn.now;
            next->state = One::State::waits;
            if constexpr (requires { next->rule->wanted(turn); }) next->rule->wanted(turn);
        }
        Advice advice = next->rule->admit(turn.now);
        if (advice.verb == Advice::Verb::go) advice = next->rule->begin(turn);
        if (advice.verb == Advice::Verb::go) {
            ++calls;
            next->state = One::State::calls;
            next->due += call;
        } else {
            REQUIRE(advice.verb == Advice::Verb::suspend);
            REQUIRE(advice.until > turn.now);
            next->due = advice.until;
        }
        longest = std::max(longest, turn.now - next->since);
    }
    return longest;
}

}  // namespace

// In a random order, each caller gets each permit with the same probability. In a thousand calls
// the longest wait is then about ln(1000) times the fair one. A caller that always loses waits for
// all of them: 50 times the fair wait with 20 callers.
TEST_CASE("No caller in a closed loop waits for a RateLimiter for ever",
          "[call][shared_fairness][regression]") {
    for (const int callers : {2, 5, 20}) {
        CAPTURE(callers);
        RateLimiter limiter{Rate{10, 1s}, Burst{1}};
        CHECK(longest_wait(limiter, callers, 10ms, 10ms) <= 10 * callers * 100ms);
        RateLimiter windows{RateLimiter::FixedWindow{Rate{1, 100ms}}};
        CHECK(longest_wait(windows, callers, 10ms, 10ms) <= 10 * callers * 100ms);
    }
}

TEST_CASE("No caller in a closed loop waits for a Bulkhead for ever",
          "[call][shared_fairness][regression]") {
    for (const int callers : {2, 5, 20}) {
        CAPTURE(callers);
        Bulkhead bulkhead{{.limit = 1, .ask_every = 10ms}};
        CHECK(longest_wait(bulkhead, callers, 50ms, 30ms) <= 10 * callers * 70ms);
    }
}

TEST_CASE("No caller in a closed loop waits for an AdaptiveLimit for ever",
          "[call][shared_fairness][regression]") {
    for (const int callers : {2, 5, 20}) {
        CAPTURE(callers);
        AdaptiveLimit limit{Aimd{{.initial = 1, .least = 1, .most = 1}}, 10ms};
        CHECK(longest_wait(limit, callers, 50ms, 30ms) <= 10 * callers * 70ms);
    }
}

TEST_CASE("A single caller waits for a RateLimiter and a CubicRate exactly",
          "[call][shared_fairness][regression]") {
    Random bits{Seed{1}};
    Turn turn{Instant{1h}, bits};
    RateLimiter limiter{Rate{10, 1s}, Burst{1}};
    const auto taken = limiter.acquire(turn.now, 1);
    REQUIRE(taken);
    Shared rule{limiter};
    CHECK(rule.begin(turn).until == turn.now + 100ms);
    AdaptiveThrottle::CubicRate rate;
    static_cast<void>(rate.acquire(turn).failure(Failure{.cause = Cause::overloaded}, turn));
    while (rate.admit(turn.now).verb == Advice::Verb::go) {
        const auto spent = rate.acquire(turn);
        REQUIRE(spent);
    }
    const Advice exact = rate.admit(turn.now);
    Shared slow{rate};
    CHECK(slow.begin(turn).until == exact.until);
}
