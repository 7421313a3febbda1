// SPDX-License-Identifier: MIT
// Goal: retries are never more than the share of the window, or the floor. Waiting retries count. A
// brute-force model agrees.
#include <belay/budget/budgets.hpp>

#include <algorithm>
#include <atomic>
#include <thread>
#include <type_traits>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/call/retry.hpp>
#include <belay/policy/policy.hpp>
#include <belay/policy/shared.hpp>

#include "support/aborts.hpp"
#include "support/archetypes.hpp"
#include "support/budget/granted.hpp"
#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::granted;

namespace {

constinit RatioBudget static_ratio_budget;
using RatioPermit = RatioBudget::Permit;

constexpr RatioBudgetOptions terms{.window = 10s, .retries_per_thousand = 200, .at_least = 2};

struct RatioBench {
    RatioBudget budget;
    Instant now{1000s};
    Random bits{Seed{1}};

    constexpr explicit RatioBench(RatioBudgetOptions t = terms) : budget{t} {}

    constexpr void call(bool works = true) {
        Turn turn{now, bits};
        RatioPermit permit = budget.acquire(turn);
        works ? permit.success(turn) : static_cast<void>(permit.failure(turn));
    }
    constexpr RatioPermit reserve() {
        Turn turn{now, bits};
        return budget.reserve(Cause::lost, turn);
    }
    constexpr bool retry() {
        Turn turn{now, bits};
        RatioPermit permit = budget.reserve(Cause::lost, turn);
        if (!permit) return false;
        return static_cast<void>(permit.failure(turn)), true;
    }
    constexpr int retries() {
        int n = 0;
        while (retry()) ++n;
        return n;
    }
};

// The rule in its simplest form, slot by slot.
struct Model {
    Duration::rep slot;  // a tenth of the window
    std::vector<std::int64_t> calls{};
    std::vector<std::int64_t> ended{};
    std::uint64_t held = 0;
    Instant origin{};

    [[nodiscard]] std::int64_t slot_of(Instant t) const { return (t - origin).count() / slot; }
    [[nodiscard]] std::uint64_t recent(const std::vector<std::int64_t>& all, Instant now) const {
        std::uint64_t n = 0;
        for (const std::int64_t s : all) n += s >= slot_of(now) - 10;
        return n;
    }
    [[nodiscard]] std::uint64_t left(Instant now, const RatioBudgetOptions& t) const {
        const std::uint64_t share = recent(calls, now) * t.retries_per_thousand / 1000;
        const std::uint64_t allowed = share > t.at_least ? share : t.at_least;
        const std::uint64_t used = held + recent(ended, now);
        return used < allowed ? allowed - used : 0;
    }
};

}  // namespace

static_assert(!std::is_move_constructible_v<RatioBudget> && sizeof(RatioBudget) <= 168);
static_assert(!std::is_copy_constructible_v<RatioPermit> && sizeof(RatioPermit) <= 24);

TEST_CASE("RatioBudget may be a constant-initialized static", "[budget][ratio_budget][unit]") {
    CHECK(static_ratio_budget.left(Instant{}) == 10);
}

TEST_CASE("RatioBudget allows a share of the calls of the window", "[budget][ratio_budget][unit]") {
    STATIC_REQUIRE([] {
        RatioBench b;
        for (int i = 0; i < 50; ++i) b.call();
        return b.retries() == 10 && b.budget.left(b.now) == 0;
    }());
    STATIC_REQUIRE([] {
        // Pitfall 18: 70 % is neither 100 % nor 50 %.
        RatioBench b{{.window = 10s, .retries_per_thousand = 700, .at_least = 0}};
        for (int i = 0; i < 10; ++i) b.call(false);
        return b.retries() == 7;
    }());
    RatioBench b{{.window = 10s, .retries_per_thousand = 1, .at_least = 0}};
    CHECK(b.retries() == 0);
    for (int i = 0; i < 999; ++i) b.call();
    CHECK(b.retries() == 0);
    b.call();
    CHECK(b.retries() == 1);
}

TEST_CASE("RatioBudget has a floor for low traffic", "[budget][ratio_budget][unit]") {
    // Pitfall 18: 20 % of one call would be no retry at all.
    STATIC_REQUIRE([] {
        RatioBench b;
        b.call(false);
        bool ok = b.retries() == 2;
        // The floor is granted again in each window, and is not added to the share.
        b.now += 11s;
        ok = ok && b.retries() == 2;
        b.now += 11s;
        for (int i = 0; i < 50; ++i) b.call();
        return ok && b.retries() == 10;
    }());
}

TEST_CASE("RatioBudget forgets slot by slot, and no call before the end of its window",
          "[budget][ratio_budget][unit]") {
    STATIC_REQUIRE([] {
        RatioBench b;
        b.now += 999ms;  // the end of a slot; the first call begins a new one
        b.call();
        bool ok = b.retries() == 2;
        b.now += 11s - 1ns;
        ok = ok && b.retries() == 0;
        b.now += 1ns;
        return ok && b.retries() == 2;
    }());
}

TEST_CASE("RatioBudget counts retries that wait, however long", "[budget][ratio_budget][unit]") {
    // Pitfall 18: waiting retries must not be forgotten, or they are all made later.
    STATIC_REQUIRE([] {
        RatioBench b;
        RatioPermit first = b.reserve();
        RatioPermit second = b.reserve();
        b.now += 24h;
        bool ok = first && second && !granted(b.reserve());
        {
            // The retry ends now, so it counts for one more window.
            Turn turn{b.now, b.bits};
            first.success(turn);
        }
        b.now += 10s;
        ok = ok && !granted(b.reserve());
        b.now += 1s;
        ok = ok && b.retries() == 1;
        // An abandoned retry does not count.
        second.neutral();
        return ok && b.budget.left(b.now) == 1;
    }());
}

TEST_CASE("RatioBudget works with clocks that stand still, step back or jump",
          "[budget][ratio_budget][unit]") {
    // Pitfall 11.
    RatioBench b;
    b.call();
    CHECK(b.retries() == 2);
    // An old turn, even if it is older than the window, gets no retry, and takes none from the
    // others.
    b.now -= 5s;
    CHECK(b.retries() == 0);
    b.now -= 100h;
    CHECK(b.retries() == 0);
    b.now += 100h + 5s;
    CHECK(b.retries() == 0);
    b.now = never;
    CHECK(b.retries() == 2);
    b.now = always;
    CHECK(b.retries() == 0);
    RatioBench longest{{.window = forever, .retries_per_thousand = 0, .at_least = 1}};
    CHECK(longest.retries() == 1);
    longest.now += 24h * 365 * 200;
    CHECK(longest.retries() == 0);
    RatioBench shortest{{.window = 1ns, .retries_per_thousand = 0, .at_least = 1}};
    for (int i = 0; i < 100; ++i) {
        CHECK(shortest.retries() == 1);
        shortest.now += 11ns;
    }
}

TEST_CASE("RatioBudget keeps a fleet of retries near the number of calls",
          "[budget][ratio_budget][unit]") {
    Random bits{Seed{1}};
    belay_test::MinimalSleeper sleeper{bits};
    RatioBudget budget{terms};
    const Policy policy{Backoff{NoJitter{}, Cap{1ms}, 1ms}, Shared{budget}};
    int calls = 0;
    for (int i = 0; i < 1000; ++i) {
        static_cast<void>(retry(policy, sleeper, [&] { return ++calls, false; }));
    }
    CHECK(calls <= 1200);
    CHECK(calls >= 1195);
}

TEST_CASE("RatioBudget agrees with a list of all calls and retries",
          "[budget][ratio_budget][property]") {
    CHECK(rc::check("the remaining retries, and the grants", [] {
        const RatioBudgetOptions t{
            .window = 100ns,
            .retries_per_thousand = *rc::gen::inRange<std::uint32_t>(0, 1500),
            .at_least = *rc::gen::inRange<std::uint32_t>(1, 4)};
        RatioBench b{t};
        Model model{.slot = 10, .origin = b.now};
        // The first event sets the slots.
        b.call();
        model.calls.push_back(0);
        std::vector<RatioPermit> out;
        const auto events = *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 9));
        for (const int event : events) {
            b.now += Duration{*rc::gen::inRange<std::int64_t>(0, 12)};
            if (event == 8) b.now += Duration{*rc::gen::inRange<std::int64_t>(0, 200)};
            Turn turn{b.now, b.bits};
            const std::int64_t slot = model.slot_of(b.now);
            // An empty window would start its slots again.
            b.call();
            model.calls.push_back(slot);
            RC_ASSERT(b.budget.left(b.now) == model.left(b.now, t));
            if (event <= 2) {
                b.call(event == 0);
                model.calls.push_back(slot);
            } else if (event <= 4) {
                RatioPermit permit = b.reserve();
                RC_ASSERT(static_cast<bool>(permit) == (model.left(b.now, t) > 0));
                if (!permit) continue;
                ++model.held;
                out.push_back(std::move(permit));
            } else if (!out.empty()) {
                RatioPermit permit = std::move(out.back());
                out.pop_back();
                --model.held;
                if (event == 5) permit.success(turn);
                if (event == 6) static_cast<void>(permit.failure(turn));
                if (event <= 6) model.ended.push_back(slot);
            }
            RC_ASSERT(b.budget.left(b.now) == model.left(b.now, t));
        }
    }));
}

TEST_CASE("RatioBudget loses no permit under concurrent threads", "[budget][ratio_budget][unit]") {
    RatioBudget budget{
        RatioBudgetOptions{.window = 1h, .retries_per_thousand = 0, .at_least = 50'000}};
    std::atomic<int> ended{0};
    const auto work = [&](std::uint64_t seed) {
        Random bits{Seed{seed}};
        Turn turn{Instant{1000s}, bits};
        RatioPermit kept;
        for (int i = 0; i < 10'000; ++i) {
            budget.acquire(turn).success(turn);
            RatioPermit permit = budget.reserve(Cause::lost, turn);
            switch (uniform_upto(bits, 3)) {
                case 0:
                    permit.success(turn);
                    ended.fetch_add(1);
                    break;
                case 1:
                    static_cast<void>(permit.failure(turn));
                    ended.fetch_add(1);
                    break;
                case 2:
                    kept = std::move(permit);
                    break;
                default:
                    break;
            }
        }
    };
    std::vector<std::thread> threads;
    for (std::uint64_t t = 1; t <= 4; ++t) threads.emplace_back(work, t);
    for (auto& t : threads) t.join();
    CHECK(budget.left(Instant{1000s}) == 50'000U - static_cast<unsigned>(ended.load()));
    CHECK(budget.left(Instant{1000s} + 2h) == 50'000);
}

TEST_CASE("RatioBudget gains by time while it has floors that its permits do not fill",
          "[budget][ratio_budget][unit]") {
    CHECK_FALSE(RatioBudget{{.at_least = 0}}.gains_by_time());
    // The share of one concurrent call is no retry.
    const RatioBudget at_once{{.at_once_per_thousand = 200, .at_once_at_least = 0}};
    CHECK_FALSE(at_once.gains_by_time());
    CHECK(at_once.left(Instant{}) == 0);

    Random bits{Seed{1}};
    Turn turn{Instant{1000s}, bits};
    RatioBudget of_window{{.window = 10s, .retries_per_thousand = 1, .at_least = 2}};
    RatioBudget of_envoy{RatioBudgetOptions::envoy(1, 2)};
    for (RatioBudget* const budget : {&of_window, &of_envoy}) {
        auto first = budget->reserve(Cause::lost, turn);
        CHECK(budget->gains_by_time());
        auto second = budget->reserve(Cause::lost, turn);
        CHECK(budget->left(turn.now) == 0);
        // A permit in use does not return with time.
        CHECK_FALSE(budget->gains_by_time());
        static_cast<void>(first.failure(turn));
        CHECK(budget->gains_by_time());
    }
    CHECK(of_window.left(turn.now) == 1);
    CHECK(of_window.left(turn.now + 20s) == 2);
}

TEST_CASE("RatioBudget aborts on invalid options", "[budget][ratio_budget][unit]") {
    CHECK(belay_test::aborts_with([] {
              static_cast<void>(RatioBudget{RatioBudgetOptions{.window = 0ns}});
          }).find("the length must be > 0ns") != std::string::npos);
    CHECK(belay_test::aborts_with([] {
              static_cast<void>(RatioBudget{RatioBudgetOptions{.window = -1s}});
          }).find("the length must be > 0ns") != std::string::npos);
    CHECK(belay_test::aborts_with([] {
              static_cast<void>(
                  RatioBudget{RatioBudgetOptions{.retries_per_thousand = 0, .at_least = 0}});
          }).find("the share or the floor must be > 0") != std::string::npos);
    CHECK(belay_test::aborts_with([] {
              static_cast<void>(RatioBudget{RatioBudgetOptions{.at_once_per_thousand = 200}});
          }).find("a share at once needs a floor at once") != std::string::npos);
}

TEST_CASE("RatioBudget has no more retries at once than its bound, over their waits",
          "[budget][ratio_budget][unit]") {
    STATIC_REQUIRE([] {
        RatioBench b{{.at_least = RatioBudgetOptions::unlimited, .at_once_at_least = 2}};
        for (int i = 0; i < 100; ++i) b.call();
        {
            const RatioPermit waits = b.reserve();
            RatioPermit runs = b.reserve();
            bool ok = waits && runs && !b.retry() && b.budget.left(b.now) == 0;
            Turn turn{b.now, b.bits};
            static_cast<void>(runs.failure(turn));
            // The retry has ended: the next may begin at once, although the window still has it.
            ok = ok && b.budget.left(b.now) == 1 && b.retry() && b.retry();
            if (!ok) return false;
        }
        return b.budget.left(b.now) == 2;
    }());
}

TEST_CASE("RatioBudget with Envoy's options allows a share of the calls that are in flight",
          "[budget][ratio_budget][unit]") {
    RatioBench b{RatioBudgetOptions::envoy()};
    // With few calls, three retries are allowed in any case, however many calls there were before.
    for (int i = 0; i < 1000; ++i) b.call(false);
    CHECK(b.budget.left(b.now) == 3);
    std::vector<RatioPermit> calls;
    Turn turn{b.now, b.bits};
    for (int i = 0; i < 99; ++i) calls.push_back(b.budget.acquire(turn));
    std::vector<RatioPermit> retries;
    while (auto permit = b.reserve()) retries.push_back(std::move(permit));
    // The calls are 99 first attempts, the retries and the one that begins: while r < (99 + r + 1)
    // / 5.
    CHECK(retries.size() == 24);
    calls.clear();
    CHECK(b.budget.left(b.now) == 0);
    retries.resize(2);
    CHECK(b.budget.left(b.now) == 1);
    retries.clear();
    CHECK(b.budget.left(b.now) == 3);
}

TEST_CASE("RatioBudget applies the smaller of its limits: of the window, and of concurrent retries",
          "[budget][ratio_budget][unit]") {
    RatioBench b{
        {.window = 10s, .retries_per_thousand = 200, .at_least = 4, .at_once_at_least = 3}};
    {
        std::vector<RatioPermit> held;
        while (auto permit = b.reserve()) held.push_back(std::move(permit));
        CHECK(held.size() == 3);
    }
    CHECK(b.retries() == 4);
    b.now += 20s;
    CHECK(b.budget.left(b.now) == 3);
}

TEST_CASE("RatioBudget never has more concurrent retries than its bound, and forgets none",
          "[budget][ratio_budget][property]") {
    CHECK(rc::check("after any events", [] {
        const RatioBudgetOptions t = RatioBudgetOptions::envoy(
            *rc::gen::inRange<std::uint32_t>(0, 1500), *rc::gen::inRange<std::uint32_t>(1, 4));
        RatioBench b{t};
        std::vector<RatioPermit> calls;
        std::vector<RatioPermit> retries;
        for (const int event : *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 6))) {
            Turn turn{b.now, b.bits};
            const std::uint64_t at_once = calls.size() + retries.size() + 1;
            const std::uint64_t share = at_once * t.at_once_per_thousand / 1000;
            const std::uint64_t allowed = std::max<std::uint64_t>(share, t.at_once_at_least);
            if (event == 0) calls.push_back(b.budget.acquire(turn));
            if (event == 1 || event == 2) {
                RatioPermit permit = b.reserve();
                RC_ASSERT(static_cast<bool>(permit) == (retries.size() < allowed));
                if (permit) retries.push_back(std::move(permit));
            }
            auto& some = event == 3 ? calls : retries;
            if (event < 3 || some.empty()) continue;
            const auto i = *rc::gen::inRange<std::size_t>(0, some.size());
            if (event == 3) some[i].success(turn);
            if (event == 4) static_cast<void>(some[i].failure(turn));
            some.erase(some.begin() + static_cast<std::ptrdiff_t>(i));
        }
        calls.clear();
        retries.clear();
        RC_ASSERT(b.budget.left(b.now) ==
                  std::max<std::uint64_t>(t.at_once_per_thousand / 1000, t.at_once_at_least));
    }));
}

TEST_CASE("retry under a bound of concurrent retries gives up if others retry",
          "[budget][ratio_budget][unit]") {
    RatioBudget budget{{.at_least = RatioBudgetOptions::unlimited, .at_once_at_least = 1}};
    Random bits{Seed{1}};
    belay_test::MinimalSleeper sleeper{bits};
    Turn turn{Instant{}, bits};
    const Policy policy{Backoff{NoJitter{}, Cap{1s}, 1s}, Shared{budget}};
    int calls = 0;
    const auto fails_twice = [&] { return ++calls >= 3; };
    {
        const RatioPermit other = budget.reserve(Cause::lost, turn);
        CHECK_FALSE(retry(policy, sleeper, fails_twice));
        CHECK(calls == 1);
    }
    calls = 0;
    CHECK(retry(policy, sleeper, fails_twice));
    CHECK(budget.left(sleeper.now()) == 1);
}

TEST_CASE("RatioBudget::set_options changes the numbers of a budget that callers use",
          "[budget][ratio_budget][unit]") {
    RatioBudget budget{{.window = 10s, .retries_per_thousand = 0, .at_least = 3}};
    Random bits{Seed{1}};
    Turn turn{Instant{100s}, bits};
    RatioPermit first = budget.reserve(Cause::lost, turn);
    RatioPermit second = budget.reserve(Cause::lost, turn);
    REQUIRE(budget.left(turn.now) == 1);
    budget.set_options({.window = 10s, .retries_per_thousand = 0, .at_least = 1});
    CHECK(budget.options().at_least == 1);
    CHECK(budget.left(turn.now) == 0);
    CHECK_FALSE(granted(budget.reserve(Cause::lost, turn)));
    budget.set_options({.window = 10s, .retries_per_thousand = 0, .at_least = 5});
    CHECK(budget.left(turn.now) == 3);
    // Another window forgets the ended retries, and not those under way.
    first.success(turn);
    budget.set_options({.window = 20s, .retries_per_thousand = 0, .at_least = 5});
    CHECK(budget.left(turn.now) == 4);
    second.success(turn);
    CHECK(budget.left(turn.now) == 4);
    CHECK(belay_test::aborts_with([&] {
              budget.set_options({.retries_per_thousand = 0, .at_least = 0});
          }).find("the share or the floor must be > 0") != std::string::npos);
}

TEST_CASE("RatioBudget::set_options may add or remove a limit at once without a wrong count",
          "[budget][ratio_budget][unit]") {
    const RatioBudgetOptions without{.at_least = RatioBudgetOptions::unlimited};
    const RatioBudgetOptions with = RatioBudgetOptions::envoy(1000, 0);
    RatioBudget budget{without};
    Random bits{Seed{1}};
    Turn turn{Instant{}, bits};
    RatioPermit before = budget.acquire(turn);  // it began without a limit at once
    budget.set_options(with);
    RatioPermit within = budget.acquire(turn);
    CHECK(budget.left(turn.now) == 2);  // `within`, and the call that begins
    before.success(turn);
    CHECK(budget.left(turn.now) == 2);
    budget.set_options(without);
    within.success(turn);
    budget.set_options(with);
    CHECK(budget.left(turn.now) == 1);
}
