// SPDX-License-Identifier: MIT
// Goal: RateLimiter grants exactly the calls that GCRA grants, never more than burst + t /
// interval, and returns when to try again. Method: virtual time; a brute-force model that stores
// every grant; threads.
#include <belay/call/limiters.hpp>

#include <algorithm>
#include <atomic>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <belay/call/retry.hpp>
#include <belay/policy/policy.hpp>
#include <belay/policy/shared.hpp>

#include "support/aborts.hpp"
#include "support/archetypes.hpp"
#include "support/budget/granted.hpp"
#include "support/catch.hpp"
#include "support/shorthand.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::aborts_with;
using belay_test::at;
using belay_test::granted;

namespace {

// The bucket by brute force: the level is computed from all grants since the beginning. A grant
// needs room for a whole token in a bucket of `burst`, which leaks one per interval.
struct Model {
    Duration interval;
    std::int64_t burst;
    std::vector<Instant> grants{};

    // The time until the bucket is empty.
    Duration level(Instant now) const {
        Duration level{};
        Instant last{};
        for (const Instant t : grants) {
            level = level > t - last ? level - (t - last) : Duration{};
            level += interval;
            last = t;
        }
        return level > now - last ? level - (now - last) : Duration{};
    }
    Duration wait(Instant now) const {
        const Duration most = interval * (burst - 1);
        const Duration full = level(now);
        return full > most ? full - most : Duration{};
    }
    bool acquire(Instant now) {
        if (wait(now) > Duration{}) return false;
        grants.push_back(now);
        return true;
    }
};

}  // namespace

static_assert(ShareableLike<RateLimiter>);
static_assert(Rate{3, 1s}.interval() == 333'333'334ns);
static_assert(Rate{1, 1ns}.interval() == 1ns);
static_assert(Rate{~std::uint64_t{0}, 1h}.interval() == 1ns);
static_assert(sizeof(RateLimiter) <= 112);

TEST_CASE("RateLimiter grants the whole burst at the lowest instant",
          "[call][rate_limiter][regression]") {
    const Instant now =
        GENERATE(Instant{always}, always + Duration{1}, always + Duration{2}, Instant{});
    const auto calls_of = [now](auto& limiter) {
        int calls = 0;
        for (; calls < 10 && limiter.admit(now).verb == Advice::Verb::go; ++calls) {
            CHECK(granted(limiter.acquire(now)));
        }
        CHECK_FALSE(granted(limiter.acquire(now)));
        return calls;
    };
    RateLimiter limiter{Rate{1, 1s}, Burst{5}};
    CHECK(calls_of(limiter) == 5);
    RateLimiter at_once{Rate{1, 1s}, Burst{5}};
    CHECK(granted(at_once.acquire(now, 5)));
    RateLimiter windows{RateLimiter::FixedWindow{Rate{5, 1s}}};
    CHECK(calls_of(windows) == 5);
    RateLimiter queued{Rate{1, 1s}, Burst{5}, 10};
    CHECK(calls_of(queued) == 5);
}

TEST_CASE("RateLimiter earns a burst in its time from the lowest instant on",
          "[call][rate_limiter][regression]") {
    // A window that begins 1ns after the lowest instant begins 2ns after it: ConcurrentRate::held.
    const Instant start = GENERATE(Instant{always}, always + Duration{2}, Instant{});
    RateLimiter by_interval{Rate{10, 1s}, Burst{10}};
    RateLimiter in_windows{RateLimiter::FixedWindow{Rate{10, 1s}}};
    for (RateLimiter* const limiter : {&by_interval, &in_windows}) {
        for (const Duration passed : {0s, 1s, 2s}) {
            const Instant now = start + passed;
            if (passed != 0s) CHECK_FALSE(granted(limiter->acquire(now - 1ns, 10)));
            for (int i = 0; i < 10; ++i) CHECK(granted(limiter->acquire(now)));
            const auto rejected = limiter->acquire(now);
            CHECK_FALSE(rejected);
            CHECK(rejected.retry_at() == now + (limiter == &in_windows ? 1s : 100ms));
        }
    }
    RateLimiter drained{Rate{10, 1s}, Burst{10}};
    CHECK(drained.drain(start) == 10);
    CHECK_FALSE(granted(drained.acquire(start + 100ms - 1ns)));
    CHECK(granted(drained.acquire(start + 100ms)));
    RateLimiter changed{Rate{10, 1s}, Burst{10}};
    CHECK(granted(changed.acquire(start, 10)));
    changed.set_rate(start, Rate{1, 2s}, Burst{1});
    CHECK_FALSE(granted(changed.acquire(start + 2s - 1ns)));
    CHECK(granted(changed.acquire(start + 2s)));
}

TEST_CASE("RateLimiter has a limit at the last instant", "[call][rate_limiter][regression]") {
    RateLimiter by_interval{Rate{10, 1s}, Burst{10}};
    RateLimiter in_windows{RateLimiter::FixedWindow{Rate{10, 1s}}};
    for (RateLimiter* const limiter : {&by_interval, &in_windows}) {
        int calls = 0;
        while (calls < 100 && granted(limiter->acquire(never))) ++calls;
        CHECK(calls >= 1);
        CHECK(calls <= 10);
    }
}

TEST_CASE("RateLimiter admits a burst, and then one call per interval",
          "[call][rate_limiter][unit]") {
    RateLimiter limiter{Rate{10, 1s}, Burst{3}};
    for (int i = 0; i < 3; ++i) CHECK(granted(limiter.acquire(at(5s))));
    const auto rejected = limiter.acquire(at(5s));
    CHECK_FALSE(rejected);
    CHECK(rejected.retry_at() == at(5100ms));
    CHECK(limiter.admit(at(5s)) == Advice::suspend(at(5100ms)));
    CHECK_FALSE(granted(limiter.acquire(at(5100ms - 1ns))));
    CHECK(limiter.admit(at(5100ms)) == Advice::go());
    CHECK(granted(limiter.acquire(at(5100ms))));
    CHECK_FALSE(granted(limiter.acquire(at(5100ms))));
    // A long pause refills the burst, and no more.
    for (int i = 0; i < 3; ++i) CHECK(granted(limiter.acquire(at(10h))));
    CHECK_FALSE(granted(limiter.acquire(at(10h))));
}

TEST_CASE("A permit of RateLimiter is spent when it is taken", "[call][rate_limiter][unit]") {
    RateLimiter limiter{Rate{1, 1s}, Burst{1}};
    Random bits{Seed{1}};
    Turn turn{at(1s), bits};
    limiter.acquire(turn).neutral();
    CHECK_FALSE(granted(limiter.acquire(turn)));
    turn.now = at(2s);
    CHECK(limiter.acquire(turn).failure(turn) == Advice::go());
    CHECK_FALSE(granted(limiter.acquire(turn)));
}

TEST_CASE("RateLimiter grants no extra permit to old turns", "[call][rate_limiter][unit]") {
    RateLimiter limiter{Rate{1, 1s}, Burst{2}};
    CHECK(granted(limiter.acquire(at(1h))));
    CHECK(granted(limiter.acquire(at(1h))));
    CHECK_FALSE(granted(limiter.acquire(at(1h))));
    // A thread with an old time of its clock gets the same instant as the others.
    for (const Instant old : {at(1h - 1ns), at(1h - 1s), at(1h - 10s), at(0s), always}) {
        CHECK_FALSE(granted(limiter.acquire(old)));
        CHECK(limiter.admit(old) == Advice::suspend(at(1h + 1s)));
    }
    // The old turns have not taken permits from the others.
    CHECK(granted(limiter.acquire(at(1h + 1s))));
    // A turn at a time whose permits are spent takes no permit either.
    CHECK(granted(limiter.acquire(at(2h))));
    CHECK(limiter.acquire(at(1h)).retry_at() == at(2h));
    CHECK(granted(limiter.acquire(at(2h))));
    CHECK_FALSE(granted(limiter.acquire(at(2h))));
    CHECK(granted(limiter.acquire(at(24h * 365 * 100))));
    CHECK(granted(limiter.acquire(never - 1ns)));
    // The next calls would be after the largest Instant.
    CHECK(limiter.admit(always).until == never);
}

TEST_CASE("RateLimiter grants several calls at once, all of them or none",
          "[call][rate_limiter][unit]") {
    RateLimiter limiter{Rate{1, 10ms}, Burst{5}};
    CHECK(granted(limiter.acquire(at(0s), 3)));
    // Two are left. One more is added in each interval, so four are available after two intervals.
    const auto rejected = limiter.acquire(at(0s), 4);
    CHECK_FALSE(rejected);
    CHECK(rejected.retry_at() == at(20ms));
    CHECK_FALSE(granted(limiter.acquire(at(20ms - 1ns), 4)));
    CHECK(granted(limiter.acquire(at(20ms), 4)));
    CHECK_FALSE(granted(limiter.acquire(at(20ms))));
    CHECK(limiter.acquire(at(20ms), 5).retry_at() == at(70ms));
    CHECK(granted(limiter.acquire(at(1h), 5)));
    // A request for no permit is granted, and takes none.
    CHECK(granted(limiter.acquire(at(1h), 0)));
    CHECK(limiter.acquire(at(1h)).retry_at() == at(1h + 10ms));
    CHECK(limiter.counters() == PermitCounters{.admitted = 4, .rejected = 5});
}

TEST_CASE("RateLimiter returns at once that no wait is long enough for too many calls",
          "[call][rate_limiter][unit]") {
    RateLimiter limiter{Rate{1, 10ms}, Burst{5}};
    for (const std::uint64_t calls : {std::uint64_t{6}, ~std::uint64_t{0}}) {
        const auto rejected = limiter.acquire(at(24h), calls);
        CHECK_FALSE(rejected);
        CHECK(rejected.retry_at() == never);
        CHECK(rejected.advice() == Advice::stop());
    }
    CHECK(granted(limiter.acquire(at(24h), 5)));
    const std::uint64_t most = static_cast<std::uint64_t>((forever / 2).count());
    RateLimiter huge{Rate{1, 1ns}, Burst{most}};
    CHECK(granted(huge.acquire(at(0s), most)));
    CHECK_FALSE(granted(huge.acquire(at(0s))));
}

TEST_CASE("RateLimiter grants several calls as it would grant them one by one",
          "[call][rate_limiter][property]") {
    CHECK(rc::check("the same as a limiter that is asked for each", [] {
        const auto burst = *rc::gen::inRange<std::uint64_t>(1, 8);
        RateLimiter at_once{Rate{1, 100ns}, Burst{burst}};
        RateLimiter one_by_one{Rate{1, 100ns}, Burst{burst}};
        Instant now = at(1h);
        for (int i = 0; i < 100; ++i) {
            now += Duration{*rc::gen::inRange<std::int64_t>(0, 300)};
            const auto calls = *rc::gen::inRange<std::uint64_t>(1, burst + 1);
            const auto permit = at_once.acquire(now, calls);
            if (!permit) {
                RC_ASSERT(permit.retry_at() > now);
                RC_ASSERT(permit.retry_at() <= now + 100ns * calls);
                continue;
            }
            for (std::uint64_t n = 0; n < calls; ++n) RC_ASSERT(granted(one_by_one.acquire(now)));
        }
        // The remaining permits are the same, too.
        for (std::uint64_t n = 0; n < burst; ++n) {
            RC_ASSERT(granted(at_once.acquire(now)) == granted(one_by_one.acquire(now)));
        }
    }));
}

TEST_CASE("RateLimiter keeps its rate by the latest of all turns",
          "[call][rate_limiter][property]") {
    CHECK(rc::check("grants <= burst + time / interval for late turns, too", [] {
        const auto burst = *rc::gen::inRange<std::uint64_t>(1, 8);
        RateLimiter limiter{Rate{1, 100ns}, Burst{burst}};
        const Instant start = at(1h);
        Instant latest = start;
        std::uint64_t grants = granted(limiter.acquire(start)) ? 1 : 0;
        for (int i = 0; i < 200; ++i) {
            const Duration step{*rc::gen::inRange<std::int64_t>(0, 60)};
            const Duration late{*rc::gen::oneOf(rc::gen::just<std::int64_t>(0),
                                                rc::gen::inRange<std::int64_t>(0, 2000),
                                                rc::gen::just<std::int64_t>(3'600'000'000'000))};
            latest += step;
            if (limiter.acquire(latest - late).advice().verb == Advice::Verb::go) ++grants;
            const auto passed = static_cast<std::uint64_t>((latest - start).count());
            RC_ASSERT(grants <= burst + passed / 100);
        }
    }));
}

TEST_CASE("RateLimiter saturates with extreme rates and bursts", "[call][rate_limiter][unit]") {
    // The longest interval, and the largest burst.
    RateLimiter rare{Rate{1, forever / 200}, Burst{100}};
    for (int i = 0; i < 100; ++i) CHECK(granted(rare.acquire(at(0s))));
    CHECK_FALSE(granted(rare.acquire(at(24h))));
    RateLimiter large{Rate{1, 1ns}, Burst{std::uint64_t{1} << 61}};
    CHECK(granted(large.acquire(at(0s), (std::uint64_t{1} << 61) - 1)));
    CHECK(granted(large.acquire(at(0s))));
    CHECK_FALSE(granted(large.acquire(at(0s))));
    // A rate that would refill the burst after the largest Instant is rejected.
    CHECK(aborts_with([] {
              const RateLimiter unlimited{Rate{1, forever}, Burst{2}};
          }).find("RateLimiter: the rate must refill the whole burst within 146 years") !=
          std::string::npos);
    RateLimiter rarest{Rate{1, forever}, Burst{1}};
    CHECK(granted(rarest.acquire(at(0s))));
    CHECK_FALSE(granted(rarest.acquire(at(24h * 365))));
    RateLimiter fast{Rate{~std::uint64_t{0}, 1ns}, Burst{1}};
    CHECK(granted(fast.acquire(at(0s))));
    CHECK_FALSE(granted(fast.acquire(at(0s))));
    CHECK(granted(fast.acquire(at(1ns))));
}

TEST_CASE("RateLimiter keeps its limit from the first instant to the last",
          "[call][rate_limiter][property][regression]") {
    const Instant starts[] = {always, always + 1ns, at(-1h), at(0s), at(forever / 2), never - 10s};
    const Duration periods[] = {1ns, 7ns, 1s, 24h, forever / 2, forever - 1ns, forever};
    for (std::uint64_t seed = 0; seed < 2'000; ++seed) {
        CAPTURE(seed);
        Random bits{Seed{seed}};
        const Duration period = periods[bits() % std::size(periods)];
        const bool in_windows = bits() % 3 == 0;
        const std::uint64_t burst =
            in_windows || period <= 24h ? std::uint64_t{1} + bits() % 4 : std::uint64_t{1};
        const Rate rate{in_windows ? burst : std::uint64_t{1}, period};
        using Window = RateLimiter::FixedWindow;
        std::optional<RateLimiter> made;
        if (in_windows) made.emplace(Window{rate});
        if (!in_windows) made.emplace(rate, Burst{burst});
        RateLimiter& limiter = *made;
        std::vector<Instant> grants;
        Instant now = starts[bits() % std::size(starts)];
        for (int i = 0; i < 20; ++i) {
            const Duration steps[] = {0ns, 1ns, rate.interval(), period, 1h, forever / 4};
            const Duration step = steps[bits() % std::size(steps)];
            now = now == always && step != 0ns ? now + 1ns : after(now, step);
            if (now == never) break;
            const bool is_admitted = limiter.admit(now) == Advice::go();
            const auto permit = limiter.acquire(now);
            REQUIRE(granted(permit) == is_admitted);
            if (!granted(permit)) {
                REQUIRE(permit.retry_at() > now);
                if (permit.retry_at() == never || bits() % 2 == 0) continue;
                now = permit.retry_at();
                REQUIRE(granted(limiter.acquire(now)));
            }
            grants.push_back(now);
            for (std::size_t first = 0; first < grants.size(); ++first) {
                const Duration passed = elapsed(grants[first], now);
                if (passed == forever) continue;  // forever is saturated
                const auto part =
                    static_cast<std::uint64_t>(passed / (in_windows ? period : rate.interval()));
                // One window may have begun before the first grant, and another one before the
                // last.
                const std::uint64_t most =
                    in_windows ? burst * (std::min(part, std::uint64_t{1} << 40) + 2)
                               : burst + part;
                REQUIRE(grants.size() - first <= most);
            }
        }
    }
}

TEST_CASE("RateLimiter grants a burst once at the first and at the last instants",
          "[call][rate_limiter][regression]") {
    RateLimiter one{Rate{1, 1h}, Burst{1}};
    CHECK(granted(one.acquire(always)));
    CHECK_FALSE(granted(one.acquire(always)));
    CHECK_FALSE(granted(one.acquire(always + 2ns)));
    RateLimiter windows{RateLimiter::FixedWindow{Rate{2, 1h}}};
    CHECK(granted(windows.acquire(always)));
    CHECK(granted(windows.acquire(always)));
    CHECK_FALSE(granted(windows.acquire(always)));
    CHECK_FALSE(granted(windows.acquire(always + 1ns)));
    RateLimiter last{Rate{1, 1s}, Burst{2}};
    CHECK(granted(last.acquire(never - 1ns)));
    // The next call is due after the end of time.
    CHECK_FALSE(granted(last.acquire(never - 1ns)));
}

TEST_CASE("RateLimiter agrees with a model that stores every grant",
          "[call][rate_limiter][property]") {
    CHECK(rc::check("the same grants and waits", [] {
        const auto calls = *rc::gen::inRange<std::uint64_t>(1, 20);
        const auto per = Duration{*rc::gen::inRange<std::int64_t>(1, 5000)};
        const auto burst = *rc::gen::inRange<std::int64_t>(1, 8);
        RateLimiter limiter{Rate{calls, per}, Burst{static_cast<std::uint64_t>(burst)}};
        Model model{Rate{calls, per}.interval(), burst};
        Instant now{};
        std::size_t granted = 0;
        for (int i = 0; i < 200; ++i) {
            now += Duration{*rc::gen::weightedOneOf<std::int64_t>(
                {{3, rc::gen::just<std::int64_t>(0)},
                 {3, rc::gen::inRange<std::int64_t>(0, per.count() + 1)},
                 {1, rc::gen::inRange<std::int64_t>(0, 20 * per.count())}})};
            const Duration wait = model.wait(now);
            const Advice advice = limiter.admit(now);
            RC_ASSERT((advice.verb == Advice::Verb::go) == (wait == Duration{}));
            const auto permit = limiter.acquire(now);
            RC_ASSERT(static_cast<bool>(permit) == model.acquire(now));
            if (permit) {
                ++granted;
            } else {
                RC_ASSERT(permit.retry_at() == now + wait);
                RC_ASSERT(advice.until == now + wait);
            }
        }
        // The limit holds in any window between two grants.
        for (std::size_t i = 0; i < granted; ++i) {
            for (std::size_t j = i; j < granted; ++j) {
                const std::int64_t in_time = (model.grants[j] - model.grants[i]) / model.interval;
                RC_ASSERT(static_cast<std::int64_t>(j - i + 1) <= burst + in_time);
            }
        }
    }));
}

TEST_CASE("RateLimiter grants no more to many threads than to one", "[call][rate_limiter][unit]") {
    RateLimiter limiter{Rate{1'000'000'000, 1s}, Burst{10}};
    std::atomic<std::int64_t> time{0};
    std::atomic<int> granted{0};
    const auto hammer = [&] {
        for (int i = 0; i < 20'000; ++i) {
            // Time passes a little slower than the calls arrive.
            const auto now = i % 4 == 0 ? time.fetch_add(1) + 1 : time.load();
            if (const auto permit = limiter.acquire(at(Duration{now}))) ++granted;
        }
    };
    std::thread other{hammer};
    hammer();
    other.join();
    CHECK(granted >= 10);
    CHECK(granted <= 10 + time.load());
}

TEST_CASE("A shared RateLimiter spaces the attempts of retry", "[call][rate_limiter][unit]") {
    RateLimiter limiter{Rate{1, 10s}, Burst{2}};
    Random bits{Seed{1}};
    belay_test::MinimalSleeper sleeper{bits};
    std::vector<Instant> calls;
    CHECK(retry(Policy{Shared{limiter}}, sleeper, [&] {
        calls.push_back(sleeper.now());
        return calls.size() == 4;
    }));
    CHECK(calls == std::vector<Instant>{at(0s), at(0s), at(10s), at(20s)});
}
