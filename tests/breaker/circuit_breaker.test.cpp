// SPDX-License-Identifier: MIT
// Goal: the shared breaker behaves like the value, loses no permit, and is correct under threads.
// Method: examples, properties and threads.
#include <belay/breaker/circuit_breaker.hpp>

#include <atomic>
#include <type_traits>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/breaker/trips.hpp>
#include <belay/core/clocks.hpp>
#include <belay/core/time_window.hpp>
#include <belay/policy/shared.hpp>

#include "support/aborts.hpp"
#include "support/archetypes.hpp"
#include "support/breaker/breaker_archetypes.hpp"
#include "support/budget/granted.hpp"
#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::granted;
using belay_test::open;

namespace {

constinit CircuitBreaker<SteadyClock> static_breaker{ConsecutiveFailures{5}, OpenFor{300s}};

constinit CircuitBreaker<SteadyClock, FailureRate<TimeWindow<>>> static_rate{
    FailureRate{TimeWindow{60s}}, OpenFor{300s}, {.probes = 3}};

// A clock that counts its reads.
struct CountingClock {
    std::atomic<int>* reads;
    [[nodiscard]] Instant now() const noexcept { return reads->fetch_add(1), Instant{}; }
};

using Breaking = CircuitBreaker<ManualClock::View>;
using TimeWindowed = FailureRate<TimeWindow<>>;
using Permit = Breaking::Permit;

bool never_fell(const BreakerCounters& a, const BreakerCounters& b) {
    return a.failures <= b.failures && a.rejected <= b.rejected && a.probes <= b.probes &&
           a.lost <= b.lost && a.stale <= b.stale && a.opened <= b.opened &&
           a.reopened <= b.reopened && a.closed <= b.closed && a.would_open <= b.would_open;
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
static_assert(sizeof(Permit) <= 24 && sizeof(CircuitBreaker<SteadyClock>) <= 832);
static_assert(noexcept(std::declval<Breaking&>().acquire()));
static_assert(
    std::same_as<decltype(CircuitBreaker{ConsecutiveFailures{5}, OpenFor{300s}, {.probes = 3}}),
                 CircuitBreaker<SteadyClock>>);
static_assert(std::same_as<decltype(CircuitBreaker{ConsecutiveFailures{5},
                                                   OpenFor{300s},
                                                   std::declval<ManualClock::View>(),
                                                   {.probes = 3}}),
                           CircuitBreaker<ManualClock::View>>);
template class belay::CircuitBreaker<belay_test::MinimalClock>;
template class belay::CircuitBreaker<belay_test::MinimalClock, belay_test::MinimalTrip,
                                     belay_test::MinimalOpenWait>;

TEST_CASE("CircuitBreaker requires of a clock only the promises of ClockLike",
          "[breaker][circuit_breaker][unit]") {
    CircuitBreaker breaker{ConsecutiveFailures{1}, OpenFor{1s},
                           belay_test::MinimalClock{Instant{}}};
    breaker.acquire().failure();
    CHECK(breaker.state() == BreakerState::open);
    CHECK_FALSE(granted(breaker.acquire()));
}

TEST_CASE("CircuitBreaker may be a constant-initialized static",
          "[breaker][circuit_breaker][unit]") {
    CHECK(granted(static_breaker.acquire()));
    CHECK(static_breaker.state() == BreakerState::closed);
    CHECK(granted(static_rate.acquire()));
}

TEST_CASE("CircuitBreaker reads no clock for a success after a success",
          "[breaker][circuit_breaker][unit]") {
    std::atomic<int> reads{0};
    CircuitBreaker breaker{ConsecutiveFailures{3}, OpenFor{1s}, CountingClock{&reads}};
    for (int i = 0; i < 10; ++i) {
        breaker.acquire().success();
        breaker.acquire().neutral();
    }
    CHECK(breaker.state() == BreakerState::closed);
    CHECK(reads.load() == 0);
    for (int i = 0; i < 3; ++i) breaker.acquire().failure();
    CHECK(reads.load() == 3);
}

TEST_CASE("CircuitBreaker reads the clock only as often as its trip requires",
          "[breaker][circuit_breaker][unit]") {
    const auto reads_of = [](auto trip) {
        std::atomic<int> reads{0};
        CircuitBreaker breaker{trip, OpenFor{1s}, CountingClock{&reads}};
        for (int i = 0; i < 10; ++i) breaker.acquire().success();
        return reads.load();
    };
    CHECK(reads_of(ConsecutiveFailures{3}) == 0);
    CHECK(reads_of(FailureRate{CountWindow<20>{}}) == 0);
    CHECK(reads_of(TimeWindowed{TimeWindow{10s}}) == 10);
    CHECK(reads_of(SlowCallRate{1s, CountWindow<10>{}}) == 20);
}

TEST_CASE("CircuitBreaker rejects while open, and returns the end of its wait",
          "[breaker][circuit_breaker][unit]") {
    ManualClock clock;
    Breaking breaker{ConsecutiveFailures{3}, OpenFor{300s}, clock.view()};
    open(breaker, 3);
    const Instant until = clock.now() + 300s;
    CHECK(breaker.state() == BreakerState::open);
    clock.advance(300s - 1ns);
    const Permit rejected = breaker.acquire();
    CHECK_FALSE(rejected);
    CHECK(rejected.retry_at() == until);
    CHECK(rejected.advice() == Advice::suspend(until));
    CHECK(breaker.admit(clock.now()) == Advice::suspend(until));
    clock.advance(1ns);
    CHECK(breaker.admit(clock.now()) == Advice::go());
    CHECK(granted(breaker.acquire()));
}

TEST_CASE("CircuitBreaker lets one probe through at a time", "[breaker][circuit_breaker][unit]") {
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
        CHECK(second.retry_at() == clock.now() + belay::detail::breaker_recheck);
    }
    // The permit was dropped without a verdict: the next caller may probe at once.
    Permit probe = breaker.acquire();
    CHECK(probe);
    probe.failure();
    CHECK(breaker.state() == BreakerState::open);
    clock.advance(300s);
    breaker.acquire().success();
    CHECK(breaker.state() == BreakerState::closed);
}

TEST_CASE("CircuitBreaker accepts only the first verdict on a permit",
          "[breaker][circuit_breaker][unit]") {
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

TEST_CASE("CircuitBreaker permits can be moved, and a moved-from permit has no effect",
          "[breaker][circuit_breaker][unit]") {
    ManualClock clock;
    Breaking breaker{ConsecutiveFailures{1}, OpenFor{300s}, clock.view()};
    open(breaker, 1);
    clock.advance(300s);
    Permit probe = breaker.acquire();
    Permit moved = std::move(probe);
    CHECK_FALSE(probe);  // NOLINT(bugprone-use-after-move): the test of the moved-from permit
    probe.failure();
    CHECK(breaker.state() == BreakerState::half_open);
    CHECK(moved);
    Permit& same = moved;
    moved = std::move(same);
    CHECK(moved);
    // Replacing a permit returns the old one.
    moved = Permit{};
    Permit next = breaker.acquire();
    CHECK(next);
    next.success();
    CHECK(breaker.state() == BreakerState::closed);
    Permit{}.failure();
}

TEST_CASE("CircuitBreaker ignores verdicts from before the last change of state",
          "[breaker][circuit_breaker][unit]") {
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
    CHECK_FALSE(granted(breaker.acquire()));
    Permit before_closing = std::move(probe);
    Breaking other{ConsecutiveFailures{1}, OpenFor{1s}, clock.view()};
    before_closing.success();
    CHECK(breaker.state() == BreakerState::closed);
}

TEST_CASE("CircuitBreaker ignores a failure of an older closed period",
          "[breaker][circuit_breaker][unit]") {
    ManualClock clock;
    Breaking breaker{ConsecutiveFailures{1}, OpenFor{1s}, clock.view()};
    Permit old = breaker.acquire();
    open(breaker, 1);
    clock.advance(1s);
    breaker.acquire().success();
    old.failure();
    CHECK(breaker.state() == BreakerState::closed);
}

TEST_CASE("CircuitBreaker lets several probes through, which decide together",
          "[breaker][circuit_breaker][unit]") {
    ManualClock clock;
    CircuitBreaker breaker{ConsecutiveFailures{1},
                           OpenFor{60s},
                           clock.view(),
                           {.probes = 3, .successes = 2, .failures = 2}};
    breaker.acquire().failure();
    clock.advance(60s);
    auto a = breaker.acquire();
    auto b = breaker.acquire();
    CHECK((a && b));
    // Two successes or two failures decide, so two probes at a time are enough.
    CHECK_FALSE(granted(breaker.acquire()));
    a.success();
    b.failure();
    auto c = breaker.acquire();
    CHECK(c);
    CHECK(breaker.state() == BreakerState::half_open);
    c.success();
    CHECK(breaker.state() == BreakerState::closed);
}

// Pitfall 14.
TEST_CASE("CircuitBreaker is not stuck when a probe hangs", "[breaker][circuit_breaker][unit]") {
    ManualClock clock;
    CircuitBreaker breaker{
        ConsecutiveFailures{1}, OpenFor{60s}, clock.view(), {.probe_timeout = 10s}};
    breaker.acquire().failure();
    clock.advance(60s);
    auto hangs = breaker.acquire();
    clock.advance(10s - 1ns);
    CHECK_FALSE(granted(breaker.acquire()));
    clock.advance(1ns);
    auto second = breaker.acquire();
    CHECK(second);
    hangs.success();
    CHECK(breaker.state() == BreakerState::half_open);
    second.success();
    CHECK(breaker.state() == BreakerState::closed);
    CHECK(breaker.counters().lost == 1);
    CHECK(breaker.counters().stale == 1);
}

TEST_CASE("CircuitBreaker abandons a hanging probe with the default timeout, too",
          "[breaker][circuit_breaker][unit]") {
    ManualClock clock;
    Breaking breaker{ConsecutiveFailures{1}, OpenFor{60s}, clock.view()};
    open(breaker, 1);
    clock.advance(60s);
    const Permit hangs = breaker.acquire();
    for (int asked = 0; breaker.acquire().advice().verb != Advice::Verb::go; ++asked) {
        REQUIRE(asked < 300);
        clock.advance(1s);
    }
}

TEST_CASE("CircuitBreaker follows the mode that an operator sets",
          "[breaker][circuit_breaker][unit]") {
    ManualClock clock;
    Breaking breaker{ConsecutiveFailures{1}, OpenFor{60s}, clock.view()};
    Permit before = breaker.acquire();
    breaker.set_mode(BreakerMode::forced_open);
    CHECK(breaker.mode() == BreakerMode::forced_open);
    CHECK(breaker.state() == BreakerState::open);
    clock.advance(24h);
    const Permit rejected = breaker.acquire();
    CHECK_FALSE(rejected);
    CHECK(rejected.retry_at() == clock.now() + belay::detail::breaker_recheck);
    CHECK(breaker.admit(clock.now()) ==
          Advice::suspend(clock.now() + belay::detail::breaker_recheck));
    before.success();
    CHECK(breaker.state() == BreakerState::open);

    breaker.set_mode(BreakerMode::disabled);
    open(breaker, 10);
    CHECK(breaker.state() == BreakerState::closed);
    CHECK(breaker.counters().failures == 0);

    breaker.set_mode(BreakerMode::metrics_only);
    open(breaker, 10);
    CHECK(breaker.state() == BreakerState::closed);
    CHECK(breaker.counters().would_open == 10);
    CHECK(breaker.counters().opened == 0);
    Permit in_metrics = breaker.acquire();

    breaker.set_mode(BreakerMode::automatic);
    in_metrics.failure();
    CHECK(breaker.state() == BreakerState::closed);
    open(breaker, 1);
    CHECK(breaker.state() == BreakerState::open);
    breaker.set_mode(BreakerMode::automatic);
    CHECK(breaker.state() == BreakerState::closed);
}

TEST_CASE("CircuitBreaker counts rejections, openings, closings and stale verdicts",
          "[breaker][circuit_breaker][unit]") {
    ManualClock clock;
    Breaking breaker{ConsecutiveFailures{2}, OpenFor{60s}, clock.view()};
    Permit late = breaker.acquire();
    breaker.acquire().success();
    open(breaker, 2);
    static_cast<void>(breaker.acquire());
    late.success();
    clock.advance(60s);
    breaker.acquire().failure();
    clock.advance(60s);
    static_cast<void>(breaker.acquire());
    breaker.acquire().success();
    CHECK(breaker.counters() == BreakerCounters{.successes = 2,
                                                .failures = 3,
                                                .rejected = 1,
                                                .probes = 3,
                                                .stale = 1,
                                                .opened = 1,
                                                .reopened = 1,
                                                .closed = 1});
}

TEST_CASE("CircuitBreaker counts each failure once in metrics_only",
          "[breaker][circuit_breaker][unit]") {
    const auto failures_of = [](auto trip) {
        CircuitBreaker breaker{trip, OpenFor{60s}};
        breaker.set_mode(BreakerMode::metrics_only);
        for (int i = 0; i < 10; ++i) breaker.acquire().failure();
        breaker.acquire().success();
        CHECK(breaker.counters().would_open > 0);
        return breaker.counters().failures;
    };
    CHECK(failures_of(ConsecutiveFailures{3}) == 10);
    CHECK(failures_of(FailureRate{CountWindow<8>{}, {.percent = 50, .min_calls = 3}}) == 10);
    CHECK(failures_of(TimeWindowed{TimeWindow{10s}}) == 10);
}

TEST_CASE("CircuitBreaker counts successes in each state and by each trip",
          "[breaker][circuit_breaker][regression]") {
    const auto successes_of = [](auto trip) {
        CircuitBreaker breaker{trip, OpenFor{60s}};
        for (int i = 0; i < 5; ++i) breaker.acquire().success();
        breaker.acquire().failure();
        breaker.acquire().success();                           // clears the failure in a row
        breaker.acquire().failure(Failure{Cause::permanent});  // the peer answered
        breaker.set_mode(BreakerMode::metrics_only);
        breaker.acquire().success();
        breaker.set_mode(BreakerMode::disabled);
        breaker.acquire().success();  // is not judged
        CHECK(breaker.counters().failures == 1);
        return breaker.counters().successes;
    };
    CHECK(successes_of(ConsecutiveFailures{3}) == 8);
    CHECK(successes_of(FailureRate{CountWindow<8>{}, {.percent = 90, .min_calls = 3}}) == 8);
    CHECK(successes_of(TimeWindowed{TimeWindow{10s}}) == 8);
}

TEST_CASE("CircuitBreaker counts no success as a failure, although it was too slow",
          "[breaker][circuit_breaker][unit]") {
    ManualClock clock;
    CircuitBreaker breaker{SlowCallRate{2s, CountWindow<4>{}, {.percent = 50, .min_calls = 1}},
                           OpenFor{1s}, clock.view()};
    for (int i = 0; i < 2; ++i) {
        auto slow = breaker.acquire();
        clock.advance(2s);
        slow.success();
        clock.advance(1s);
    }
    CHECK(breaker.counters() ==
          BreakerCounters{.successes = 2, .probes = 1, .opened = 1, .reopened = 1});
}

namespace {

// A clock that calls the breaker when it is read. The call would never return if the breaker read
// the clock under its lock.
struct AskingClock {
    bool (*const* ask)();
    [[nodiscard]] Instant now() const noexcept {
        if (*ask != nullptr) static_cast<void>((*ask)());
        return {};
    }
};
bool (*ask_asking)() = nullptr;
CircuitBreaker<AskingClock, FailureRate<CountWindow<4>>, belay_test::MinimalOpenWait> asking{
    FailureRate{CountWindow<4>{}, {.percent = 50, .min_calls = 1}},
    belay_test::MinimalOpenWait{0ns},
    AskingClock{&ask_asking},
    {.successes = 3, .failures = 2}};

}  // namespace

TEST_CASE("CircuitBreaker reads a clock under its lock only when it opens",
          "[breaker][circuit_breaker][unit]") {
    asking.set_mode(BreakerMode::metrics_only);
    ask_asking = [] { return asking.counters().opened > 0; };
    asking.acquire().failure();
    asking.acquire().success();
    ask_asking = nullptr;
    asking.set_mode(BreakerMode::automatic);
    asking.acquire().failure();
    REQUIRE(asking.counters().opened == 1);
    ask_asking = [] { return asking.counters().opened > 0; };
    asking.acquire().success();
    asking.acquire().failure();
    asking.acquire().failure();
    CHECK(asking.counters().reopened == 1);
    CHECK(asking.counters().probes == 3);
    ask_asking = nullptr;
}

TEST_CASE("CircuitBreaker trips by a rate although its callers' turns are of different ages",
          "[breaker][circuit_breaker][regression]") {
    Random bits{Seed{1}};
    CircuitBreaker breaker{FailureRate{TimeWindow{1s}, {.percent = 50, .min_calls = 50}},
                           OpenFor{30s}};
    for (int i = 0; i < 50; ++i) {
        Turn turn{Instant{1000s} + i * 100us - (i % 2 == 0 ? 0ms : 150ms), bits};
        CHECK(breaker.acquire(turn).failure(turn).verb ==
              (i < 49 ? Advice::Verb::go : Advice::Verb::suspend));
    }
}

TEST_CASE("CircuitBreaker's permit that replaces another one is acquired while the first is in use",
          "[breaker][circuit_breaker][unit]") {
    ManualClock clock;
    Breaking breaker{ConsecutiveFailures{1}, OpenFor{60s}, clock.view()};
    open(breaker, 1);
    clock.advance(60s);
    Permit probe = breaker.acquire();
    probe = breaker.acquire();
    CHECK_FALSE(probe);
    probe = breaker.acquire();
    CHECK(probe);
}

TEST_CASE("CircuitBreaker continues after a restart from its snapshot",
          "[breaker][circuit_breaker][unit]") {
    ManualClock clock;
    Breaking breaker{ConsecutiveFailures{1}, OpenFor{60s}, clock.view()};
    open(breaker, 1);
    clock.advance(20s);
    const BreakerSnapshot saved = breaker.snapshot();
    CHECK(saved == BreakerSnapshot{BreakerMode::automatic, BreakerState::open, 1, 40s});

    ManualClock other_clock{Instant{} - 7h};
    Breaking restarted{ConsecutiveFailures{1}, OpenFor{60s}, other_clock.view()};
    Permit before = restarted.acquire();
    REQUIRE(restarted.restore(saved));
    CHECK(restarted.acquire().retry_at() == other_clock.now() + 40s);
    before.success();
    CHECK(restarted.snapshot() == saved);
    other_clock.advance(40s);
    restarted.acquire().success();
    CHECK(restarted.state() == BreakerState::closed);
    CHECK_FALSE(restarted.restore({.remaining = -1s}));
    CHECK(restarted.state() == BreakerState::closed);
}

TEST_CASE("CircuitBreaker saves and restores by its callers' turns, and not by its own clock",
          "[breaker][circuit_breaker][unit]") {
    // The breakers have the steady clock of the machine, and their callers count from another
    // epoch.
    Random bits{Seed{1}};
    CircuitBreaker breaker{ConsecutiveFailures{1}, OpenFor{60s}};
    Turn turn{Instant{} - 7h, bits};
    static_cast<void>(breaker.acquire(turn).failure(turn));
    turn.now = after(turn.now, 20s);
    const BreakerSnapshot saved = breaker.snapshot(turn.now);
    CHECK(saved == BreakerSnapshot{BreakerMode::automatic, BreakerState::open, 1, 40s});

    CircuitBreaker restarted{ConsecutiveFailures{1}, OpenFor{60s}};
    Turn later{Instant{} + 3h, bits};
    REQUIRE(restarted.restore(saved, later));
    CHECK(restarted.acquire(later).retry_at() == Instant{} + 3h + 40s);
    CHECK(restarted.snapshot(later.now) == saved);
    CHECK_FALSE(restarted.restore({.remaining = -1s}, later));
    later.now = after(later.now, 40s);
    CHECK(restarted.acquire(later).advice() == Advice::go());
}

TEST_CASE("CircuitBreaker::restore draws the waits of a growing wait from the caller's bits",
          "[breaker][circuit_breaker][unit]") {
    const auto next_wait = [](std::uint64_t seed) {
        Random bits{Seed{seed}};
        Turn turn{Instant{}, bits};
        CircuitBreaker breaker{ConsecutiveFailures{1}, Backoff{FullJitter{}, Cap{60s}, 1s}};
        REQUIRE(breaker.restore({BreakerMode::automatic, BreakerState::open, 3, 0s}, turn));
        static_cast<void>(breaker.acquire(turn).failure(turn));
        return breaker.snapshot(turn.now).remaining;
    };
    CHECK(next_wait(1) == next_wait(1));
    CHECK(next_wait(1) != next_wait(2));
}

TEST_CASE("CircuitBreaker with a Backoff spreads the probes of many clients",
          "[breaker][circuit_breaker][unit]") {
    ManualClock clock;
    std::vector<Instant> probes;
    for (int client = 0; client < 20; ++client) {
        CircuitBreaker breaker{ConsecutiveFailures{1}, Backoff{FullJitter{}, Cap{60s}, 60s},
                               clock.view()};
        breaker.acquire().failure();
        probes.push_back(breaker.acquire().retry_at());
    }
    for (std::size_t i = 1; i < probes.size(); ++i) CHECK(probes[i] != probes[0]);
}

TEST_CASE("CircuitBreaker aborts in a checked build when it is destroyed before its permits",
          "[breaker][circuit_breaker][unit]") {
    CHECK_THAT(belay_test::aborts_with([] {
                   Permit survivor;
                   const ManualClock clock;
                   Breaking breaker{ConsecutiveFailures{1}, OpenFor{60s}, clock.view()};
                   survivor = breaker.acquire();
               }),
               Catch::Matchers::Contains("the breaker must outlive its permits"));
}

TEST_CASE("CircuitBreaker accepts a clock that goes back or jumps",
          "[breaker][circuit_breaker][unit]") {
    ManualClock clock;
    Breaking breaker{ConsecutiveFailures{1}, OpenFor{300s}, clock.view()};
    open(breaker, 1);
    clock.set(Instant{} - 100h);
    CHECK_FALSE(granted(breaker.acquire()));
    clock.set(never);
    Permit probe = breaker.acquire();
    CHECK(probe);
    probe.failure();
    CHECK(granted(breaker.acquire()));
    clock.set(Instant{} + 1h);
    // The dropped probe left the breaker half-open, by any clock.
    CHECK(granted(breaker.acquire()));
}

namespace {

// Applies the same events and the same random bits to both.
template <class Trip, class OpenWait>
void are_equal(Trip trip, OpenWait open_wait, HalfOpenOptions half_open) {
    Breaker value{trip, open_wait, half_open};
    CircuitBreaker<SteadyClock, Trip, OpenWait> object{trip, open_wait, half_open};
    Shared rule{object};
    rule.do_not_spread();  // a Breaker is the rule of one caller
    Random bits_of_value{Seed{1}};
    Random bits_of_object{Seed{1}};
    Instant now{};
    bool begun = false;
    for (const int event : *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 9))) {
        if (event == 0) now += Duration{*rc::gen::inRange<std::int64_t>(0, 12'000'000'000)};
        if (event == 1) now -= 1s;
        if (event == 2 && value.admit(now).until > now) now = value.admit(now).until;
        Turn a{now, bits_of_value};
        Turn b{now, bits_of_object};
        const Failure failure{event == 5 ? Cause::planned : Cause::refused};
        // A shared breaker makes no forced probes, so it is called only if the value admits the
        // attempt.
        if (event >= 3 && !begun && value.admit(now).verb == Advice::Verb::go) {
            value.begin(a);
            RC_ASSERT(rule.begin(b).verb == Advice::Verb::go);
            begun = true;
        } else if (begun && event >= 3) {
            if (event <= 5) RC_ASSERT(value.failed(failure, a) == rule.failed(failure, b));
            if (event == 6 || event == 7) value.succeeded(a), rule.succeeded(b);
            if (event == 8) value.abandoned(a), rule.abandoned(b);
            begun = false;
        }
        RC_ASSERT(value.admit(now) == rule.admit(now));
        RC_ASSERT(value.state(now) == object.state(now));
    }
    RC_ASSERT(bits_of_value() == bits_of_object());
}

HalfOpenOptions any_half_open() {
    return {.probes = *rc::gen::inRange<std::uint8_t>(1, 4),
            .successes = *rc::gen::inRange<std::uint8_t>(1, 4),
            .failures = *rc::gen::inRange<std::uint8_t>(1, 4)};
}

// Compares a breaker with many permits with a core that decides alone.
template <class Trip, class OpenWait>
void is_its_core(Trip trip, OpenWait open_wait) {
    HalfOpenOptions half_open = any_half_open();
    half_open.probe_timeout = 5s;
    detail::BreakerCore core{trip, open_wait, half_open};
    CircuitBreaker<SteadyClock, Trip, OpenWait> object{trip, open_wait, half_open};
    using ItsPermit = typename CircuitBreaker<SteadyClock, Trip, OpenWait>::Permit;
    struct Call {
        ItsPermit permit;
        std::uint32_t generation;
        Instant began;
    };
    std::vector<Call> calls;
    BreakerCounters before;
    Random bits_of_core{Seed{1}};
    Random bits_of_object{Seed{1}};
    Instant now{};
    for (const int event : *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 9))) {
        Turn a{now, bits_of_core};
        Turn b{now, bits_of_object};
        if (event <= 3) {
            const Advice advice = core.acquire(now).advice;
            ItsPermit permit = object.acquire(b);
            RC_ASSERT(permit.advice() == advice);
            if (permit) calls.push_back({std::move(permit), core.generation(), now});
        } else if (event == 4) {
            now += Duration{*rc::gen::inRange<std::int64_t>(0, 12'000'000'000)};
        } else if (!calls.empty()) {
            const auto i = *rc::gen::inRange<std::size_t>(0, calls.size());
            Call call = std::move(calls[i]);
            calls.erase(calls.begin() + static_cast<std::ptrdiff_t>(i));
            const Duration took = elapsed(call.began, now);
            if (event <= 6) {
                core.verdict(true, call.generation, a, took);
                RC_ASSERT(call.permit.failure(b) == core.admit(now));
            } else if (event == 7) {
                core.verdict(false, call.generation, a, took);
                call.permit.success(b);
            } else {
                core.neutral(call.generation);
                call.permit.neutral();
            }
        }
        RC_ASSERT(object.admit(now) == core.admit(now));
        RC_ASSERT(object.state(now) == core.state(now));
        const BreakerCounters after = object.counters();
        RC_ASSERT(never_fell(before, after));
        before = after;
    }
}

}  // namespace

TEST_CASE("CircuitBreaker and Breaker are equal on every event sequence",
          "[breaker][circuit_breaker][property]") {
    CHECK(rc::check("consecutive failures", [] {
        are_equal(ConsecutiveFailures{*rc::gen::inRange<std::uint32_t>(1, 4)}, OpenFor{10s},
                  any_half_open());
    }));
    CHECK(rc::check("consecutive failures, with a wait that grows and jitters", [] {
        are_equal(ConsecutiveFailures{*rc::gen::inRange<std::uint32_t>(1, 4)},
                  Backoff{FullJitter{}, Cap{60s}, 1s}, any_half_open());
    }));
    CHECK(rc::check("failure rate", [] {
        are_equal(FailureRate{CountWindow<8>{}, {.percent = 50, .min_calls = 3}},
                  belay_test::GrowingWait{}, any_half_open());
    }));
    CHECK(rc::check("failure rate over time, or slow calls", [] {
        are_equal(AnyTrip{FailureRate{TimeWindow{20s}, {.percent = 60, .min_calls = 2}},
                          SlowCallRate{8s, CountWindow<4>{}, {.percent = 50, .min_calls = 2}}},
                  OpenFor{10s}, any_half_open());
    }));
}

TEST_CASE("CircuitBreaker decides like its core for any number of callers, and its counters rise",
          "[breaker][circuit_breaker][property]") {
    CHECK(rc::check("consecutive failures", [] {
        is_its_core(ConsecutiveFailures{*rc::gen::inRange<std::uint32_t>(1, 4)}, OpenFor{10s});
    }));
    CHECK(rc::check("failure rate over time, or slow calls", [] {
        is_its_core(AnyTrip{FailureRate{TimeWindow{20s}, {.percent = 60, .min_calls = 2}},
                            SlowCallRate{8s, CountWindow<4>{}, {.percent = 50, .min_calls = 2}}},
                    belay_test::GrowingWait{});
    }));
}

TEST_CASE("CircuitBreaker loses no permit under any interleaving of verdicts",
          "[breaker][circuit_breaker][property]") {
    CHECK(rc::check("the advised waits always lead to a permit", [] {
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

TEST_CASE(
    "CircuitBreaker::isolate keeps the breaker open until the last isolation ends, as in cockatiel",
    "[breaker][circuit_breaker][unit]") {
    ManualClock clock;
    Breaking breaker{ConsecutiveFailures{2}, OpenFor{10s}, clock.view()};
    auto maintenance = breaker.isolate();
    auto deployment = breaker.isolate();
    CHECK(breaker.isolations() == 2);
    CHECK(breaker.mode() == BreakerMode::forced_open);
    CHECK_FALSE(granted(breaker.acquire()));

    maintenance.end();
    maintenance.end();  // does not end the other isolation
    clock.advance(1h);
    CHECK_FALSE(granted(breaker.acquire()));
    CHECK(breaker.isolations() == 1);

    auto moved = std::move(deployment);
    deployment.end();
    CHECK_FALSE(granted(breaker.acquire()));
    moved = breaker.isolate();  // the new isolation begins before the old one ends
    CHECK(breaker.isolations() == 1);
    moved.end();
    CHECK(breaker.mode() == BreakerMode::automatic);
    CHECK(breaker.state() == BreakerState::closed);
    CHECK(granted(breaker.acquire()));
}

TEST_CASE("CircuitBreaker::set_mode during an isolation applies from its end on",
          "[breaker][circuit_breaker][unit]") {
    ManualClock clock;
    Breaking breaker{ConsecutiveFailures{1}, OpenFor{10s}, clock.view()};
    breaker.set_mode(BreakerMode::metrics_only);
    {
        const auto first = breaker.isolate();
        CHECK(breaker.mode() == BreakerMode::forced_open);
    }
    CHECK(breaker.mode() == BreakerMode::metrics_only);
    {
        const auto second = breaker.isolate();
        breaker.set_mode(BreakerMode::disabled);
        CHECK_FALSE(granted(breaker.acquire()));
    }
    CHECK(breaker.mode() == BreakerMode::disabled);
}

TEST_CASE("CircuitBreaker::snapshot does not contain an isolation, which a restart would never end",
          "[breaker][circuit_breaker][unit]") {
    ManualClock clock;
    Breaking breaker{ConsecutiveFailures{1}, OpenFor{10s}, clock.view()};
    const auto isolation = breaker.isolate();
    CHECK(breaker.snapshot() == BreakerSnapshot{});
    CHECK_FALSE(breaker.restore({BreakerMode::disabled, BreakerState::closed, 0, 0s}));
    Breaking restarted{ConsecutiveFailures{1}, OpenFor{10s}, clock.view()};
    CHECK(restarted.restore(breaker.snapshot()));
    CHECK(granted(restarted.acquire()));
    breaker.set_mode(BreakerMode::forced_open);
    CHECK(breaker.snapshot().mode == BreakerMode::forced_open);
    CHECK(breaker.snapshot().state == BreakerState::open);
}

TEST_CASE("CircuitBreaker::isolate makes the verdicts of the permits in use void",
          "[breaker][circuit_breaker][unit]") {
    ManualClock clock;
    Breaking breaker{ConsecutiveFailures{1}, OpenFor{10s}, clock.view()};
    auto permit = breaker.acquire();
    { const auto isolation = breaker.isolate(); }
    permit.failure();
    CHECK(breaker.state() == BreakerState::closed);
    CHECK(breaker.counters().stale == 1);
}

TEST_CASE("A caller of CircuitBreaker waits at most for an open wait after a probe was cut short",
          "[breaker][circuit_breaker][regression]") {
    ManualClock clock;
    CircuitBreaker breaker{ConsecutiveFailures{1}, OpenFor{20s}, clock.view()};
    breaker.acquire().failure();
    clock.advance(20s);
    breaker.acquire().failure({Cause::timed_out, Failure::Origin::cut_short});
    CHECK(breaker.counters().failures == 1);
    auto probe = breaker.acquire();
    REQUIRE(probe);
    CHECK(breaker.admit(clock.now()) == Advice::suspend(clock.now() + 20s));
    CHECK(breaker.acquire().retry_at() == clock.now() + 20s);
    probe.success();
    CHECK(breaker.admit(clock.now()) == Advice::go());
}
