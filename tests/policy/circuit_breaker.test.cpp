// SPDX-License-Identifier: MIT
// Goal: the shared breaker behaves as the value, leaks no permit, and stays right under threads.
#include <belay/policy/circuit_breaker.hpp>

#include <atomic>
#include <optional>
#include <thread>
#include <type_traits>
#include <vector>

#include <belay/core/manual_clock.hpp>
#include <belay/policy/shared.hpp>

#include "support/archetypes.hpp"
#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

namespace {

constinit CircuitBreaker<SteadyClock> static_breaker{ConsecutiveFailures{5}, OpenFor{300s}};

// A clock that counts how often it is read.
struct CountingClock {
    std::atomic<int>* reads;
    [[nodiscard]] Instant now() const noexcept { return reads->fetch_add(1), Instant{}; }
};

using Breaking = CircuitBreaker<ManualClock::View>;
using Permit = Breaking::Permit;

void open(Breaking& breaker, int failures) {
    for (int i = 0; i < failures; ++i) breaker.acquire().failure();
}

}  // namespace

static_assert(std::same_as<decltype(CircuitBreaker{ConsecutiveFailures{5}, OpenFor{300s}}),
                           CircuitBreaker<SteadyClock>>);
static_assert(std::same_as<decltype(CircuitBreaker{ConsecutiveFailures{5}, OpenFor{300s},
                                                   std::declval<ManualClock::View>()}),
                           CircuitBreaker<ManualClock::View>>);
static_assert(!std::is_copy_constructible_v<Permit> &&
              std::is_nothrow_move_constructible_v<Permit>);
static_assert(!std::is_move_constructible_v<Breaking>);
static_assert(sizeof(Permit) <= 24 && sizeof(CircuitBreaker<SteadyClock>) <= 40);
static_assert(noexcept(std::declval<Breaking&>().acquire()));
template class belay::CircuitBreaker<belay_test::MinimalClock>;

TEST_CASE("CircuitBreaker uses of a clock only what ClockLike promises",
          "[policy][circuit_breaker][unit]") {
    CircuitBreaker breaker{ConsecutiveFailures{1}, OpenFor{1s},
                           belay_test::MinimalClock{Instant{}}};
    breaker.acquire().failure();
    CHECK(breaker.state() == BreakerState::open);
    CHECK_FALSE(breaker.acquire());
}

TEST_CASE("CircuitBreaker may be a constant-initialized static",
          "[policy][circuit_breaker][unit]") {
    CHECK(static_breaker.acquire());
    CHECK(static_breaker.state() == BreakerState::closed);
}

TEST_CASE("CircuitBreaker reads no clock while closed", "[policy][circuit_breaker][unit]") {
    std::atomic<int> reads{0};
    CircuitBreaker breaker{ConsecutiveFailures{3}, OpenFor{1s}, CountingClock{&reads}};
    for (int i = 0; i < 10; ++i) {
        breaker.acquire().failure();
        breaker.acquire().success();
        breaker.acquire().neutral();
    }
    CHECK(breaker.state() == BreakerState::closed);
    CHECK(reads.load() == 0);
    for (int i = 0; i < 3; ++i) breaker.acquire().failure();
    CHECK(reads.load() == 1);
}

TEST_CASE("CircuitBreaker refuses while open, and tells until when",
          "[policy][circuit_breaker][unit]") {
    ManualClock clock;
    Breaking breaker{ConsecutiveFailures{3}, OpenFor{300s}, clock.view()};
    open(breaker, 3);
    const Instant until = clock.now() + 300s;
    CHECK(breaker.state() == BreakerState::open);
    clock.advance(300s - 1ns);
    const Permit refused = breaker.acquire();
    CHECK_FALSE(refused);
    CHECK(refused.retry_at() == until);
    CHECK(refused.advice() == Advice::suspend(until));
    CHECK(breaker.admit(clock.now()) == Advice::suspend(until));
    clock.advance(1ns);
    CHECK(breaker.admit(clock.now()) == Advice::go());
    CHECK(breaker.acquire());
}

TEST_CASE("CircuitBreaker lets one probe through at a time", "[policy][circuit_breaker][unit]") {
    ManualClock clock;
    Breaking breaker{ConsecutiveFailures{1}, OpenFor{300s}, clock.view()};
    open(breaker, 1);
    clock.advance(300s);
    {
        Permit probe = breaker.acquire();
        CHECK(probe);
        CHECK(breaker.state() == BreakerState::half_open);
        const Permit second = breaker.acquire();
        CHECK_FALSE(second);
        CHECK(second.retry_at() == clock.now() + breaker_recheck);
    }
    // Dropped without a verdict: the next caller may probe at once.
    Permit probe = breaker.acquire();
    CHECK(probe);
    probe.failure();
    CHECK(breaker.state() == BreakerState::open);
    clock.advance(300s);
    breaker.acquire().success();
    CHECK(breaker.state() == BreakerState::closed);
}

TEST_CASE("CircuitBreaker takes only the first verdict on a permit",
          "[policy][circuit_breaker][unit]") {
    ManualClock clock;
    Breaking breaker{ConsecutiveFailures{2}, OpenFor{300s}, clock.view()};
    Permit permit = breaker.acquire();
    permit.failure();
    CHECK_FALSE(permit);
    permit.failure();
    permit.failure();
    CHECK(breaker.state() == BreakerState::closed);
    permit.success();
    breaker.acquire().failure();
    CHECK(breaker.state() == BreakerState::open);
}

TEST_CASE("CircuitBreaker permits can be moved, and the moved-from one is void",
          "[policy][circuit_breaker][unit]") {
    ManualClock clock;
    Breaking breaker{ConsecutiveFailures{1}, OpenFor{300s}, clock.view()};
    open(breaker, 1);
    clock.advance(300s);
    Permit probe = breaker.acquire();
    Permit moved = std::move(probe);
    CHECK_FALSE(probe);  // NOLINT(bugprone-use-after-move): that is the point
    probe.failure();
    CHECK(breaker.state() == BreakerState::half_open);
    CHECK(moved);
    Permit& same = moved;
    moved = std::move(same);
    CHECK(moved);
    // Replacing a permit gives it back.
    moved = Permit{};
    Permit next = breaker.acquire();
    CHECK(next);
    next.success();
    CHECK(breaker.state() == BreakerState::closed);
    Permit{}.failure();
}

TEST_CASE("CircuitBreaker ignores verdicts from before the last change of state",
          "[policy][circuit_breaker][unit]") {
    ManualClock clock;
    Breaking breaker{ConsecutiveFailures{1}, OpenFor{300s}, clock.view()};
    Permit old_success = breaker.acquire();
    Permit old_failure = breaker.acquire();
    Permit old_neutral = breaker.acquire();
    open(breaker, 1);
    clock.advance(10s);
    old_failure.failure();
    CHECK(breaker.admit(clock.now()) == Advice::suspend(Instant{} + 300s));
    clock.advance(290s);
    Permit probe = breaker.acquire();
    old_success.success();
    old_neutral.neutral();
    CHECK(breaker.state() == BreakerState::half_open);
    CHECK_FALSE(breaker.acquire());
    Permit before_closing = std::move(probe);
    Breaking other{ConsecutiveFailures{1}, OpenFor{1s}, clock.view()};
    before_closing.success();
    CHECK(breaker.state() == BreakerState::closed);
}

TEST_CASE("CircuitBreaker ignores a failure of an older closed time",
          "[policy][circuit_breaker][unit]") {
    ManualClock clock;
    Breaking breaker{ConsecutiveFailures{1}, OpenFor{1s}, clock.view()};
    Permit old = breaker.acquire();
    open(breaker, 1);
    clock.advance(1s);
    breaker.acquire().success();
    old.failure();
    CHECK(breaker.state() == BreakerState::closed);
}

TEST_CASE("CircuitBreaker survives a clock that goes back or jumps",
          "[policy][circuit_breaker][unit]") {
    ManualClock clock;
    Breaking breaker{ConsecutiveFailures{1}, OpenFor{300s}, clock.view()};
    open(breaker, 1);
    clock.set(Instant{} - 100h);
    CHECK_FALSE(breaker.acquire());
    clock.set(never);
    Permit probe = breaker.acquire();
    CHECK(probe);
    probe.failure();
    CHECK(breaker.acquire());
    clock.set(Instant{} + 1h);
    CHECK_FALSE(breaker.acquire());
}

TEST_CASE("CircuitBreaker and Breaker are equal on every event sequence",
          "[policy][circuit_breaker][property]") {
    CHECK(rc::check("admit, verdicts and states agree", [] {
        const auto limit = *rc::gen::inRange<std::uint32_t>(1, 4);
        const OpenFor open_for{10s};
        Breaker value{ConsecutiveFailures{limit}, open_for};
        CircuitBreaker<SteadyClock> object{ConsecutiveFailures{limit}, open_for};
        Shared rule{object};
        Random bits{Seed{1}};
        Turn turn{Instant{}, bits};
        bool begun = false;
        for (const int event : *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 9))) {
            if (event == 0)
                turn.now += Duration{*rc::gen::inRange<std::int64_t>(0, 12'000'000'000)};
            if (event == 1) turn.now -= 1s;
            if (event == 2)
                turn.now =
                    value.admit(turn.now).until > turn.now ? value.admit(turn.now).until : turn.now;
            // A shared breaker takes no forced probes: ask first.
            if (event >= 3 && !begun && value.admit(turn.now).verb == Verb::go) {
                value.begin(turn);
                RC_ASSERT(rule.begin(turn).verb == Verb::go);
                begun = true;
            } else if (begun && (event == 3 || event == 4)) {
                const Failure failure{Cause::refused};
                RC_ASSERT(value.failed(failure, turn) == rule.failed(failure, turn));
                begun = false;
            } else if (begun && event == 5) {
                const Failure planned{Cause::planned};
                RC_ASSERT(value.failed(planned, turn) == rule.failed(planned, turn));
                begun = false;
            } else if (begun && event == 6) {
                value.succeeded(turn), rule.succeeded(turn);
                begun = false;
            } else if (begun && event == 7) {
                value.abandoned(turn), rule.abandoned(turn);
                begun = false;
            }
            RC_ASSERT(value.admit(turn.now) == rule.admit(turn.now));
            RC_ASSERT(value.state(turn.now) == object.state(turn.now));
        }
    }));
}

TEST_CASE("CircuitBreaker leaks no permit under any interleaving of verdicts",
          "[policy][circuit_breaker][property]") {
    CHECK(rc::check("waiting as told always leads to a permit", [] {
        ManualClock clock;
        Breaking breaker{ConsecutiveFailures{2}, OpenFor{10s}, clock.view()};
        std::vector<Permit> held;
        for (const int event : *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 7))) {
            if (event <= 1) held.push_back(breaker.acquire());
            if (event == 2)
                clock.advance(Duration{*rc::gen::inRange<std::int64_t>(0, 12'000'000'000)});
            if (event < 3 || held.empty()) continue;
            const auto i = *rc::gen::inRange<std::size_t>(0, held.size());
            if (event == 3) held[i].success();
            if (event == 4) held[i].failure();
            if (event == 5) held[i].neutral();
            if (event == 6) held.erase(held.begin() + static_cast<std::ptrdiff_t>(i));
        }
        held.clear();
        Permit permit = breaker.acquire();
        if (!permit) {
            RC_ASSERT(permit.retry_at() > clock.now());
            clock.set(permit.retry_at());
            permit = breaker.acquire();
        }
        RC_ASSERT(static_cast<bool>(permit));
        permit.success();
        RC_ASSERT(breaker.state() == BreakerState::closed);
    }));
}

TEST_CASE("CircuitBreaker has at most one probe out, whatever threads do",
          "[policy][circuit_breaker][unit]") {
    ManualClock clock;
    Breaking breaker{ConsecutiveFailures{1}, OpenFor{1ms}, clock.view()};
    open(breaker, 1);
    // No verdict closes it, so every permit from now on is a probe.
    std::atomic<int> out{0};
    std::atomic<int> granted{0};
    std::atomic<bool> overlapped{false};
    const auto work = [&](std::uint64_t seed) {
        Random bits{Seed{seed}};
        for (int i = 0; i < 20'000; ++i) {
            Permit permit = breaker.acquire();
            if (!permit) {
                clock.advance(100us);
                continue;
            }
            granted.fetch_add(1);
            if (out.fetch_add(1) != 0) overlapped = true;
            if (uniform_upto(bits, 1) == 0) std::this_thread::yield();
            out.fetch_sub(1);
            if (uniform_upto(bits, 1) == 0) permit.failure();
        }
    };
    std::vector<std::thread> threads;
    for (std::uint64_t t = 1; t <= 3; ++t) threads.emplace_back(work, t);
    for (auto& t : threads) t.join();
    CHECK(granted.load() > 100);
    CHECK_FALSE(overlapped.load());
}

TEST_CASE("CircuitBreaker is consistent after any mix of verdicts from threads",
          "[policy][circuit_breaker][unit]") {
    ManualClock clock;
    Breaking breaker{ConsecutiveFailures{3}, OpenFor{1ms}, clock.view()};
    const auto work = [&](std::uint64_t seed) {
        Random bits{Seed{seed}};
        Permit kept;
        for (int i = 0; i < 20'000; ++i) {
            Permit permit = breaker.acquire();
            if (!permit) clock.advance(100us);
            switch (uniform_upto(bits, 7)) {
                case 0:
                    permit.success();
                    break;
                case 1:
                    permit.neutral();
                    break;
                case 2:
                    kept.failure();
                    break;
                case 3:
                    kept = std::move(permit);
                    break;
                default:
                    permit.failure();
                    break;
            }
            static_cast<void>(breaker.state());
        }
    };
    std::vector<std::thread> threads;
    for (std::uint64_t t = 1; t <= 4; ++t) threads.emplace_back(work, t);
    for (auto& t : threads) t.join();
    // Whatever was going on: after the open wait one call decides.
    clock.advance(1h);
    breaker.acquire().success();
    REQUIRE(breaker.state() == BreakerState::closed);
    open(breaker, 2);
    CHECK(breaker.state() == BreakerState::closed);
    open(breaker, 1);
    CHECK(breaker.state() == BreakerState::open);
}

TEST_CASE("CircuitBreaker grants exactly one of many threads the probe",
          "[policy][circuit_breaker][unit]") {
    for (int round = 0; round < 200; ++round) {
        ManualClock clock;
        Breaking breaker{ConsecutiveFailures{1}, OpenFor{1s}, clock.view()};
        open(breaker, 1);
        clock.advance(1s);
        std::atomic<int> granted{0};
        std::atomic<bool> go{false};
        std::vector<std::optional<Permit>> permits(3);
        std::vector<std::thread> threads;
        for (auto& permit : permits) {
            threads.emplace_back([&] {
                while (!go.load()) std::this_thread::yield();
                permit.emplace(breaker.acquire());
                if (*permit) granted.fetch_add(1);
            });
        }
        go.store(true);
        for (auto& t : threads) t.join();
        REQUIRE(granted.load() == 1);
    }
}

TEST_CASE("CircuitBreaker opens exactly once for concurrent failures",
          "[policy][circuit_breaker][unit]") {
    for (int round = 0; round < 200; ++round) {
        ManualClock clock;
        Breaking breaker{ConsecutiveFailures{4}, OpenFor{1s}, clock.view()};
        std::vector<Permit> permits;
        for (int i = 0; i < 4; ++i) permits.push_back(breaker.acquire());
        std::vector<std::thread> threads;
        for (auto& permit : permits) threads.emplace_back([&] { permit.failure(); });
        for (auto& t : threads) t.join();
        REQUIRE(breaker.state() == BreakerState::open);
        REQUIRE(breaker.admit(clock.now()) == Advice::suspend(clock.now() + 1s));
    }
}
