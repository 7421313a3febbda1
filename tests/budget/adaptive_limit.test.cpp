// SPDX-License-Identifier: MIT
// Goal: there are never more attempts in flight than the limit, no permit is lost, and one burst of
// failures is one signal. Method: examples, properties and threads.
#include <belay/budget/adaptive_limit.hpp>

#include <atomic>
#include <thread>
#include <type_traits>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/core/clocks.hpp>
#include <belay/policy/policy.hpp>
#include <belay/policy/shared.hpp>

#include "support/aborts.hpp"
#include "support/budget/granted.hpp"
#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::granted;

namespace {

// The minimum for an algorithm.
struct Fixed {
    std::uint32_t at;
    int* failures = nullptr;
    [[nodiscard]] constexpr std::uint32_t limit() const noexcept { return at; }
    constexpr void succeeded(Duration, std::uint32_t) noexcept {}
    constexpr void failed() noexcept {
        if (failures != nullptr) ++*failures;
    }
};
// Records the arguments of its functions.
struct Notes {
    Duration* took;
    std::uint32_t* in_flight;
    [[nodiscard]] std::uint32_t limit() const noexcept { return 10; }
    void succeeded(Duration t, std::uint32_t n) noexcept { *took = t, *in_flight = n; }
    void failed() noexcept {}
};
struct WithoutLimit {
    void succeeded(Duration, std::uint32_t) noexcept;
    void failed() noexcept;
};
struct LimitOfSize : WithoutLimit {
    std::size_t limit() const noexcept;
};

constinit AdaptiveLimit static_limit{Aimd{{.initial = 3}}};
using Limit = AdaptiveLimit<Fixed>;

}  // namespace

static_assert(std::same_as<decltype(AdaptiveLimit{Gradient{}}), AdaptiveLimit<Gradient>>);
static_assert(std::same_as<decltype(AdaptiveLimit{}), AdaptiveLimit<Aimd>>);
static_assert(detail::LimitAlgorithm<Fixed> && detail::LimitAlgorithm<Aimd>);
static_assert(detail::LimitAlgorithm<Gradient>);
static_assert(!detail::LimitAlgorithm<WithoutLimit> && !detail::LimitAlgorithm<LimitOfSize>);
static_assert(!std::is_move_constructible_v<Limit> && !part::ReservableLike<Limit>);
static_assert(sizeof(Limit::Permit) <= 32);

TEST_CASE("AdaptiveLimit may be a constant-initialized static", "[budget][adaptive_limit][unit]") {
    CHECK(static_limit.limit() == 3);
    CHECK(static_limit.in_flight() == 0);
}

TEST_CASE("AdaptiveLimit admits as many attempts as the limit, and returns when to try again",
          "[budget][adaptive_limit][unit]") {
    STATIC_REQUIRE([] {
        Limit limit{Fixed{2}, 50ms};
        Random bits{Seed{1}};
        Turn turn{Instant{1s}, bits};
        Limit::Permit a = limit.acquire(turn);
        bool ok = a && limit.admit(turn.now) == Advice::go();
        Limit::Permit b = limit.acquire(turn);
        const Limit::Permit c = limit.acquire(turn);
        ok = ok && b && !c && c.retry_at() == turn.now + 50ms && limit.in_flight() == 2;
        ok = ok && limit.admit(turn.now) == Advice::suspend(turn.now + 50ms);
        a.success(turn);
        ok = ok && limit.in_flight() == 1 && limit.admit(turn.now) == Advice::go();
        static_cast<void>(b.failure(turn));
        return ok && limit.in_flight() == 0;
    }());
}

TEST_CASE("AdaptiveLimit is at least one if its algorithm returns zero",
          "[budget][adaptive_limit][unit]") {
    Limit limit{Fixed{0}};
    Random bits{Seed{1}};
    Turn turn{Instant{}, bits};
    Limit::Permit probe = limit.acquire(turn);
    CHECK(probe);
    CHECK_FALSE(granted(limit.acquire(turn)));
}

TEST_CASE(
    "AdaptiveLimit reports the duration of an attempt, and the number in flight, to its algorithm",
    "[budget][adaptive_limit][unit]") {
    Duration took{};
    std::uint32_t in_flight = 0;
    AdaptiveLimit limit{Notes{&took, &in_flight}};
    Random bits{Seed{1}};
    Turn turn{Instant{1s}, bits};
    auto a = limit.acquire(turn);
    auto b = limit.acquire(turn);
    turn.now += 30ms;
    a.success(turn);
    CHECK(took == 30ms);
    CHECK(in_flight == 2);
    // A clock that went back: no time has passed.
    turn.now -= 10s;
    b.success(turn);
    CHECK(took == 0ns);
    CHECK(in_flight == 1);
}

TEST_CASE("AdaptiveLimit treats a burst of failures as one signal",
          "[budget][adaptive_limit][unit]") {
    AdaptiveLimit limit{Aimd{{.initial = 100}}};
    Random bits{Seed{1}};
    Turn turn{Instant{}, bits};
    std::vector<AdaptiveLimit<Aimd>::Permit> burst;
    for (int i = 0; i < 100; ++i) burst.push_back(limit.acquire(turn));
    CHECK_FALSE(granted(limit.acquire(turn)));
    for (int i = 0; i < 60; ++i)
        static_cast<void>(burst[static_cast<std::size_t>(i)].failure(turn));
    CHECK(limit.limit() == 90);
    CHECK(limit.in_flight() == 40);
    // An attempt that began after the limit shrank is the next signal.
    static_cast<void>(limit.acquire(turn).failure(turn));
    CHECK(limit.limit() == 81);
    burst.clear();
    CHECK(limit.limit() == 81);
    CHECK(limit.in_flight() == 0);
}

TEST_CASE("AdaptiveLimit admits no attempt above a limit that shrank",
          "[budget][adaptive_limit][unit]") {
    AdaptiveLimit limit{Aimd{}};
    Random bits{Seed{1}};
    Turn turn{Instant{}, bits};
    std::vector<AdaptiveLimit<Aimd>::Permit> all;
    for (int i = 0; i < 20; ++i) all.push_back(limit.acquire(turn));
    static_cast<void>(all[0].failure(turn));
    CHECK(limit.limit() == 18);
    CHECK_FALSE(granted(limit.acquire(turn)));
    all[1].neutral();
    CHECK_FALSE(granted(limit.acquire(turn)));
    all[2].neutral();
    CHECK(granted(limit.acquire(turn)));
}

TEST_CASE("AdaptiveLimit in a policy returns its permit on every path",
          "[budget][adaptive_limit][unit]") {
    Limit limit{Fixed{1}};
    Random bits{Seed{1}};
    Turn turn{Instant{}, bits};
    {
        Policy policy{Backoff{NoJitter{}, Cap{1s}, 1s}, Shared{limit}};
        CHECK(policy.begin(turn).verb == Advice::Verb::go);
        Policy copy{policy};
        const Advice waits = copy.begin(turn);
        CHECK(waits.verb == Advice::Verb::suspend);
        CHECK(waits.by == "AdaptiveLimit");
        CHECK((waits.until >= turn.now + 100ms && waits.until <= turn.now + 200ms));
        // The permit is not held during the wait, because no attempt is under way.
        CHECK(policy.failed(Failure{Cause::lost}, turn).verb == Advice::Verb::wait_at_least);
        CHECK(limit.in_flight() == 0);
        CHECK(copy.begin(turn).verb == Advice::Verb::go);
        copy.succeeded(turn);
        CHECK(policy.begin(turn).verb == Advice::Verb::go);
        policy.abandoned(turn);
        CHECK(limit.in_flight() == 0);
        CHECK(policy.begin(turn).verb == Advice::Verb::go);
    }
    CHECK(limit.in_flight() == 0);
}

TEST_CASE("AdaptiveLimit counts its permits exactly", "[budget][adaptive_limit][property]") {
    CHECK(rc::check(
        "in_flight is the number of permits in use, at most the highest limit so far", [] {
            AdaptiveLimit limit{Aimd{{.initial = 4, .most = 8}}};
            Random bits{Seed{1}};
            Turn turn{Instant{}, bits};
            std::vector<AdaptiveLimit<Aimd>::Permit> out;
            for (const int event : *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 8))) {
                turn.now += 1ms;
                if (event < 4) {
                    const bool room = out.size() < limit.limit();
                    auto permit = limit.acquire(turn);
                    RC_ASSERT(static_cast<bool>(permit) == room);
                    RC_ASSERT((limit.admit(turn.now).verb == Advice::Verb::go) ==
                              (limit.in_flight() < limit.limit()));
                    if (permit) out.push_back(std::move(permit));
                } else if (!out.empty()) {
                    auto permit = std::move(out.back());
                    out.pop_back();
                    const std::uint32_t before = limit.limit();
                    if (event == 4) permit.success(turn);
                    if (event == 4) RC_ASSERT(limit.limit() >= before);
                    if (event == 5) static_cast<void>(permit.failure(turn));
                    if (event == 5) RC_ASSERT(limit.limit() <= before);
                    if (event == 6) permit.neutral();
                    if (event >= 6) RC_ASSERT(limit.limit() == before);
                }
                RC_ASSERT(limit.in_flight() == out.size());
            }
        }));
}

TEST_CASE("AdaptiveLimit is never exceeded by concurrent threads",
          "[budget][adaptive_limit][unit]") {
    Limit limit{Fixed{3}};
    std::atomic<int> out{0};
    std::atomic<int> granted{0};
    std::atomic<bool> exceeded{false};
    const auto work = [&](std::uint64_t seed) {
        Random bits{Seed{seed}};
        Turn turn{Instant{}, bits};
        for (int i = 0; i < 20'000; ++i) {
            Limit::Permit permit = limit.acquire(turn);
            if (!permit) continue;
            granted.fetch_add(1);
            if (out.fetch_add(1) >= 3) exceeded = true;
            if (uniform_upto(bits, 3) == 0) std::this_thread::yield();
            out.fetch_sub(1);
            const auto verdict = uniform_upto(bits, 2);
            if (verdict == 0) permit.success(turn);
            if (verdict == 1) static_cast<void>(permit.failure(turn));
        }
    };
    std::vector<std::thread> threads;
    for (std::uint64_t t = 1; t <= 4; ++t) threads.emplace_back(work, t);
    for (auto& t : threads) t.join();
    CHECK(granted.load() > 100);
    CHECK_FALSE(exceeded.load());
    CHECK(limit.in_flight() == 0);
}

TEST_CASE("AdaptiveLimit aborts on invalid options", "[budget][adaptive_limit][unit]") {
    CHECK(belay_test::aborts_with([] {
              static_cast<void>(AdaptiveLimit{Aimd{}, 0ns});
          }).find("the wait must be > 0ns") != std::string::npos);
}

TEST_CASE("AdaptiveLimit::set_algorithm changes the limit while attempts are under way",
          "[budget][adaptive_limit][unit]") {
    AdaptiveLimit limit{Aimd{{.initial = 3, .least = 1, .most = 10}}};
    ManualClock clock;
    Random bits{Seed{1}};
    Turn turn{clock.now(), bits};
    std::vector<decltype(limit.acquire(turn))> permits;
    for (int i = 0; i < 3; ++i) permits.push_back(limit.acquire(turn));
    REQUIRE_FALSE(granted(limit.acquire(turn)));
    limit.set_algorithm(Aimd{{.initial = 2, .least = 1, .most = 4}});
    CHECK(limit.limit() == 2);
    CHECK(limit.in_flight() == 3);
    permits.pop_back();
    CHECK_FALSE(granted(limit.acquire(turn)));
    // Its attempt began under the former algorithm, so its failure does not affect the new limit.
    permits.back().failure(turn);
    CHECK(limit.limit() == 2);
    CHECK(granted(limit.acquire(turn)));
}
