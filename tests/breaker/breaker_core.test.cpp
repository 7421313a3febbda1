// SPDX-License-Identifier: MIT
// Goal: several permits, verdicts of older generations, commands and snapshots, as one value, which
// is never stuck, however probes end. Method: timelines as static_assert, properties over events.
#include <belay/breaker/detail/breaker_core.hpp>

#include <algorithm>
#include <type_traits>
#include <vector>

#include <belay/breaker/open_waits.hpp>
#include <belay/breaker/trips.hpp>

#include "support/breaker/breaker_archetypes.hpp"
#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;
using enum detail::BreakerChange;

namespace {

using Core = detail::BreakerCore<ConsecutiveFailures, OpenFor>;

// A core with its time and random bits, usable in constant expressions.
template <class C>
struct CoreBench {
    C core;
    Instant now{};
    Random bits{Seed{1}};

    constexpr explicit CoreBench(C c) : core{c} {}

    constexpr bool admits() const { return core.admit(now).verb == Advice::Verb::go; }
    constexpr BreakerState state() const { return core.state(now); }
    constexpr auto acquire() { return core.acquire(now); }
    constexpr detail::BreakerChange verdict(bool failed, std::uint32_t generation) {
        Turn turn{now, bits};
        return core.verdict(failed, generation, turn, {});
    }
    constexpr detail::BreakerChange fail() { return verdict(true, core.generation()); }
    constexpr detail::BreakerChange succeed() { return verdict(false, core.generation()); }
    constexpr bool restore(const BreakerSnapshot& snapshot) {
        Turn turn{now, bits};
        return core.restore(snapshot, turn);
    }
};

constexpr auto fresh(HalfOpenOptions half_open = {}, std::uint32_t limit = 1) {
    return CoreBench{Core{ConsecutiveFailures{limit}, OpenFor{60s}, half_open}};
}
constexpr auto tripped(HalfOpenOptions half_open = {}) {
    auto b = fresh(half_open);
    static_cast<void>(b.fail());
    return b;
}
/// A core that is open, and whose open wait has ended.
constexpr auto due(HalfOpenOptions half_open = {}) {
    auto b = tripped(half_open);
    b.now += 60s;
    return b;
}

}  // namespace

static_assert(std::is_trivially_copyable_v<Core> && sizeof(Core) <= 56);
template class belay::detail::BreakerCore<belay_test::MinimalTrip, belay_test::MinimalOpenWait>;

TEST_CASE("BreakerCore reports each change once", "[breaker][breaker_core][unit]") {
    STATIC_REQUIRE([] {
        auto b = fresh({}, 2);
        bool ok = b.acquire().change == none && b.fail() == none && b.succeed() == none;
        ok = ok && b.fail() == none && b.fail() == opened && b.fail() == none;
        b.now += 60s;
        ok = ok && b.acquire().change == half_opened && b.acquire().change == none;
        ok = ok && b.fail() == reopened;
        b.now += 60s;
        ok =
            ok && b.acquire().change == half_opened && b.succeed() == detail::BreakerChange::closed;
        // The count starts from zero: one failure is not two.
        return ok && b.fail() == none && b.fail() == opened;
    }());
}

// Pitfall 12.
TEST_CASE("BreakerCore is half-open at its instant, and not a nanosecond before",
          "[breaker][breaker_core][unit]") {
    STATIC_REQUIRE([] {
        auto b = tripped();
        b.now += 60s - 1ns;
        bool ok =
            b.state() == BreakerState::open && b.acquire().advice.verb == Advice::Verb::suspend;
        b.now += 1ns;
        return ok && b.state() == BreakerState::half_open &&
               b.acquire().advice.verb == Advice::Verb::go;
    }());
}

// Pitfall 13.
TEST_CASE("BreakerCore grants no more permits at a time than it has probes",
          "[breaker][breaker_core][unit]") {
    STATIC_REQUIRE([] {
        auto b = due({.probes = 3, .successes = 3});
        for (int i = 0; i < 3; ++i) {
            if (b.acquire().advice.verb != Advice::Verb::go) return false;
        }
        bool ok = b.acquire().advice == Advice::suspend(b.now + belay::detail::breaker_recheck);
        b.core.neutral(b.core.generation());
        return ok && b.admits() && b.acquire().advice.verb == Advice::Verb::go && !b.admits();
    }());
}

TEST_CASE("BreakerCore has no more probes under way than could still be needed",
          "[breaker][breaker_core][unit]") {
    // Two successes or one failure decide: a third probe at the same time would be useless load.
    STATIC_REQUIRE([] {
        auto b = due({.probes = 3, .successes = 2});
        static_cast<void>(b.acquire());
        static_cast<void>(b.acquire());
        bool ok = !b.admits() && b.acquire().advice.verb == Advice::Verb::suspend;
        // One more success is needed, and one probe is under way.
        return ok && b.succeed() == none && !b.admits() &&
               b.succeed() == detail::BreakerChange::closed;
    }());
    // The second failure may still be needed, so it counts for the number of probes.
    STATIC_REQUIRE([] {
        auto b = due({.probes = 3, .successes = 1, .failures = 2});
        static_cast<void>(b.acquire());
        static_cast<void>(b.acquire());
        bool ok = !b.admits() && b.fail() == none && !b.admits();
        return ok && b.succeed() == detail::BreakerChange::closed;
    }());
    // A lost probe is also detected if that number is the limit.
    STATIC_REQUIRE([] {
        auto b = due({.probes = 3, .successes = 2, .probe_timeout = 10s});
        static_cast<void>(b.acquire());
        static_cast<void>(b.acquire());
        b.now += 10s;
        return b.acquire().change == probe_lost && b.succeed() == none &&
               b.acquire().change == none && b.succeed() == detail::BreakerChange::closed;
    }());
}

TEST_CASE("BreakerCore gives a round of probes any time", "[breaker][breaker_core][unit]") {
    STATIC_REQUIRE([] {
        auto b = due({.successes = 2});
        static_cast<void>(b.acquire());
        bool ok = b.succeed() == none;
        b.now += 24h * 365;
        return ok && b.acquire().change == none && b.succeed() == detail::BreakerChange::closed;
    }());
}

TEST_CASE("BreakerCore closes or reopens after its number of successes or failures",
          "[breaker][breaker_core][unit]") {
    STATIC_REQUIRE([] {
        const auto all_out = [](auto& bench) {
            while (bench.admits()) static_cast<void>(bench.acquire());
        };
        auto b = due({.probes = 5, .successes = 3, .failures = 2});
        all_out(b);
        bool ok = b.succeed() == none && b.fail() == none && b.succeed() == none;
        all_out(b);
        ok = ok && b.succeed() == detail::BreakerChange::closed;

        b = due({.probes = 5, .successes = 3, .failures = 2});
        all_out(b);
        ok = ok && b.succeed() == none && b.fail() == none && b.succeed() == none;
        all_out(b);
        ok = ok && b.fail() == reopened && b.core.open_until() == b.now + 60s;
        // The next round starts from zero.
        b.now += 60s;
        all_out(b);
        ok = ok && b.fail() == none && b.succeed() == none && b.succeed() == none;
        all_out(b);
        return ok && b.state() == BreakerState::half_open && b.fail() == reopened;
    }());
    // Probes that are made in turn count, too.
    STATIC_REQUIRE([] {
        auto b = due({.successes = 2});
        bool ok = b.acquire().change == half_opened && b.succeed() == none && b.admits();
        ok = ok && b.acquire().change == none && b.succeed() == detail::BreakerChange::closed;
        return ok;
    }());
}

// Pitfall 16.
TEST_CASE("BreakerCore ignores verdicts of an earlier generation",
          "[breaker][breaker_core][unit]") {
    STATIC_REQUIRE([] {
        auto b = fresh();
        const auto before_opening = b.core.generation();
        static_cast<void>(b.fail());
        b.now += 60s;
        static_cast<void>(b.acquire());
        const auto probe = b.core.generation();
        bool ok = b.verdict(false, before_opening) == none;
        b.core.neutral(before_opening);
        ok = ok && b.verdict(true, before_opening) == none && !b.admits();
        ok = ok && b.verdict(false, probe) == detail::BreakerChange::closed;
        // A late probe does not open a breaker that another probe closed.
        return ok && b.verdict(true, probe) == none && b.state() == BreakerState::closed;
    }());
}

// Pitfalls 14 and 15.
TEST_CASE("BreakerCore stays half-open, and is not stuck, after a probe without a verdict",
          "[breaker][breaker_core][unit]") {
    STATIC_REQUIRE([] {
        auto b = due();
        for (int i = 0; i < 10; ++i) {
            static_cast<void>(b.acquire());
            b.core.neutral(b.core.generation());
            b.core.neutral(b.core.generation());  // the second call returns no permit
            if (b.state() != BreakerState::half_open || !b.admits()) return false;
        }
        static_cast<void>(b.acquire());
        return !b.admits();
    }());
}

// Pitfall 14.
TEST_CASE("BreakerCore gives the next call the permit of a probe that had too little time",
          "[breaker][breaker_core][unit]") {
    for (const auto origin : {Failure::Origin::cut_short, Failure::Origin::local}) {
        auto b = due();
        REQUIRE(b.acquire().advice.verb == Advice::Verb::go);
        // While the probe has its time, others ask again soon.
        CHECK(b.core.admit(b.now) == Advice::suspend(b.now + detail::breaker_recheck));
        Turn turn{b.now, b.bits};
        const Failure late{Cause::timed_out, origin};
        if (origin == Failure::Origin::local) {
            b.core.neutral(b.core.generation(), late);
        } else {
            CHECK(b.core.verdict(true, b.core.generation(), turn, {}, late) == none);
        }
        CHECK(b.state() == BreakerState::half_open);
        REQUIRE(b.acquire().advice.verb == Advice::Verb::go);
        // Callers that wait would have too little time, too, so they do not ask again soon.
        CHECK(b.core.admit(b.now) == Advice::suspend(b.now + HalfOpenOptions{}.probe_timeout));
        // A probe that had its time decides, and the next round begins as any other.
        CHECK(b.fail() == reopened);
        b.now += 60s;
        REQUIRE(b.acquire().advice.verb == Advice::Verb::go);
        CHECK(b.core.admit(b.now) == Advice::suspend(b.now + detail::breaker_recheck));
    }
    // While closed, such a call counts.
    auto closed = fresh({}, 2);
    Turn turn{closed.now, closed.bits};
    const Failure late{Cause::timed_out, Failure::Origin::cut_short};
    CHECK(closed.core.verdict(true, closed.core.generation(), turn, {}, late) == none);
    CHECK(closed.core.verdict(true, closed.core.generation(), turn, {}, late) == opened);
}

TEST_CASE("BreakerCore gives a lost probe's permit to the next caller after its time",
          "[breaker][breaker_core][unit]") {
    STATIC_REQUIRE([] {
        auto b = due({.probe_timeout = 10s});
        static_cast<void>(b.acquire());
        const auto lost = b.core.generation();
        b.now += 10s - 1ns;
        bool ok = b.core.admit(b.now) == Advice::suspend(b.now + 1ns);
        ok = ok && b.acquire().advice.verb == Advice::Verb::suspend;
        b.now += 1ns;
        ok = ok && b.admits() && b.acquire().change == probe_lost;
        ok = ok && b.verdict(false, lost) == none && b.verdict(true, lost) == none;
        b.core.neutral(lost);
        return ok && !b.admits() && b.succeed() == detail::BreakerChange::closed;
    }());
}

TEST_CASE("BreakerCore accepts a late probe's verdict until its permit is given to another caller",
          "[breaker][breaker_core][unit]") {
    STATIC_REQUIRE([] {
        auto b = due({.probe_timeout = 10s});
        static_cast<void>(b.acquire());
        b.now += 1h;
        return b.succeed() == detail::BreakerChange::closed;
    }());
}

TEST_CASE("BreakerCore abandons probes when the time of the last one has passed",
          "[breaker][breaker_core][unit]") {
    STATIC_REQUIRE([] {
        auto b = due({.probes = 2, .successes = 2, .failures = 2, .probe_timeout = 10s});
        static_cast<void>(b.acquire());
        bool ok = b.succeed() == none;
        static_cast<void>(b.acquire());
        b.now += 5s;
        static_cast<void>(b.acquire());
        b.now += 5s;
        ok = ok && !b.admits();
        b.now += 5s;
        ok = ok && b.acquire().change == probe_lost && b.acquire().advice.verb == Advice::Verb::go;
        // The earlier success still counts.
        return ok && !b.admits() && b.succeed() == detail::BreakerChange::closed;
    }());
}

TEST_CASE("BreakerCore follows each mode that an operator can set",
          "[breaker][breaker_core][unit]") {
    STATIC_REQUIRE([] {
        auto b = fresh();
        bool ok = b.core.set_mode(BreakerMode::forced_open) == mode_set;
        ok = ok && b.state() == BreakerState::open;
        b.now += 24h;
        ok = ok && b.acquire().advice == Advice::suspend(b.now + belay::detail::breaker_recheck);
        ok = ok && b.state() == BreakerState::open && b.succeed() == none && b.fail() == none;

        b.core.set_mode(BreakerMode::disabled);
        for (int i = 0; i < 10; ++i) ok = ok && b.admits() && b.fail() == none;
        ok = ok && b.state() == BreakerState::closed;

        b.core.set_mode(BreakerMode::automatic);
        ok = ok && b.state() == BreakerState::closed && b.fail() == opened;
        // Setting the mode again closes the breaker.
        b.core.set_mode(BreakerMode::automatic);
        return ok && b.state() == BreakerState::closed && b.admits();
    }());
}

TEST_CASE("BreakerCore in metrics_only reports when it would have opened, and admits all calls",
          "[breaker][breaker_core][unit]") {
    STATIC_REQUIRE([] {
        auto b = fresh({}, 3);
        b.core.set_mode(BreakerMode::metrics_only);
        for (int i = 0; i < 3; ++i) {
            const auto before = b.core.generation();
            bool ok = b.fail() == none && b.fail() == none && b.fail() == would_open;
            ok = ok && b.admits() && b.state() == BreakerState::closed;
            if (!ok || b.verdict(true, before) != none) return false;
        }
        return true;
    }());
}

TEST_CASE("BreakerCore invalidates the permits in use when a mode is set",
          "[breaker][breaker_core][unit]") {
    auto b = due();
    static_cast<void>(b.acquire());
    const auto probe = b.core.generation();
    b.core.set_mode(BreakerMode::automatic);
    CHECK(b.verdict(true, probe) == none);
    CHECK(b.state() == BreakerState::closed);
}

TEST_CASE("BreakerCore lengthens its wait with each reopening, and resets it when it closes",
          "[breaker][breaker_core][unit]") {
    STATIC_REQUIRE([] {
        CoreBench b{detail::BreakerCore{ConsecutiveFailures{1}, belay_test::GrowingWait{},
                                        HalfOpenOptions{}}};
        for (const Duration wait : {10s, 20s, 30s}) {
            static_cast<void>(b.acquire());
            static_cast<void>(b.fail());
            if (b.core.open_until() != b.now + wait) return false;
            b.now += wait;
        }
        static_cast<void>(b.acquire());
        bool ok = b.succeed() == detail::BreakerChange::closed && b.fail() == opened;
        return ok && b.core.open_until() == b.now + 10s;
    }());
}

TEST_CASE("BreakerCore continues from its snapshot, in another program at another time",
          "[breaker][breaker_core][unit]") {
    STATIC_REQUIRE([] {
        CoreBench b{detail::BreakerCore{ConsecutiveFailures{1}, belay_test::GrowingWait{},
                                        HalfOpenOptions{}}};
        for (int i = 0; i < 3; ++i) {
            static_cast<void>(b.acquire());
            static_cast<void>(b.fail());
            b.now = b.core.open_until();
        }
        b.now -= 12s;  // 18 of 30 s have passed
        const BreakerSnapshot saved = b.core.snapshot(b.now);
        bool ok = saved == BreakerSnapshot{BreakerMode::automatic, BreakerState::open, 3, 12s};

        CoreBench restarted{detail::BreakerCore{ConsecutiveFailures{1}, belay_test::GrowingWait{},
                                                HalfOpenOptions{}}};
        restarted.now = Instant{} - 1000h;
        ok = ok && restarted.restore(saved) && restarted.core.snapshot(restarted.now) == saved;
        ok = ok && restarted.core.admit(restarted.now) == Advice::suspend(restarted.now + 12s);
        restarted.now += 12s;
        static_cast<void>(restarted.acquire());
        ok = ok && restarted.fail() == reopened;
        return ok && restarted.core.open_until() == restarted.now + 40s;
    }());
}

TEST_CASE("BreakerCore keeps the growth of its wait, up to 65535 openings",
          "[breaker][breaker_core][unit]") {
    const auto growing = [] {
        return CoreBench{detail::BreakerCore{ConsecutiveFailures{1}, belay_test::GrowingWait{},
                                             HalfOpenOptions{}}};
    };
    auto b = growing();
    for (int i = 0; i < 300; ++i) {
        static_cast<void>(b.acquire());
        static_cast<void>(b.fail());
        b.now = b.core.open_until();
    }
    auto restarted = growing();
    REQUIRE(restarted.restore(b.core.snapshot(b.now)));
    CHECK(restarted.core.snapshot(restarted.now).openings == 300);
    static_cast<void>(restarted.acquire());
    CHECK(restarted.fail() == reopened);
    CHECK(restarted.core.open_until() == restarted.now + 3010s);

    REQUIRE(b.restore({BreakerMode::automatic, BreakerState::half_open, 65534, 0s}));
    for (int i = 0; i < 2; ++i) {
        static_cast<void>(b.acquire());
        CHECK(b.fail() == reopened);
        CHECK(b.core.snapshot(b.now).openings == 65535);
        b.now = b.core.open_until();
    }
}

TEST_CASE("BreakerCore opens again at one failure of a forced probe before the end of its wait",
          "[breaker][breaker_core][unit]") {
    STATIC_REQUIRE([] {
        auto b = tripped({.probes = 3, .successes = 2, .failures = 3});
        b.now += 20s;
        b.core.force(b.now);
        bool ok = b.state() == BreakerState::half_open && b.fail() == reopened;
        ok = ok && b.state() == BreakerState::open && b.core.open_until() == b.now + 60s;
        // A success of a forced probe counts as one of the successes.
        b.core.force(b.now);
        ok = ok && b.succeed() == half_opened && b.state() == BreakerState::half_open;
        return ok && b.acquire().change == none && b.succeed() == detail::BreakerChange::closed;
    }());
}

TEST_CASE("BreakerCore restores every mode and state", "[breaker][breaker_core][unit]") {
    auto b = tripped();
    CHECK(b.restore({BreakerMode::automatic, BreakerState::closed, 0, 0s}));
    CHECK(b.state() == BreakerState::closed);
    CHECK(b.restore({BreakerMode::automatic, BreakerState::half_open, 7, 0s}));
    CHECK(b.state() == BreakerState::half_open);
    CHECK(b.core.snapshot(b.now) ==
          BreakerSnapshot{BreakerMode::automatic, BreakerState::half_open, 7, 0s});
    CHECK(b.restore({BreakerMode::forced_open, BreakerState::open, 0, 0s}));
    CHECK(b.core.mode() == BreakerMode::forced_open);
    CHECK(b.restore({BreakerMode::metrics_only, BreakerState::closed, 0, 0s}));
    CHECK(b.admits());
    CHECK(b.restore({BreakerMode::automatic, BreakerState::open, 255, forever}));
    CHECK_FALSE(b.admits());
    const auto generation = b.core.generation();
    CHECK_FALSE(b.restore({.remaining = -1ns}));
    CHECK(b.core.generation() == generation);
    CHECK_FALSE(b.admits());
}

TEST_CASE("BreakerCore waits from the lowest instant on", "[breaker][breaker_core][regression]") {
    auto b = fresh({.probe_timeout = 10s});
    b.now = always;
    CHECK(b.fail() == opened);
    CHECK(b.core.admit(always) == Advice::suspend(always + 60s));
    CHECK(b.core.admit(always + 60s) == Advice::go());
    const BreakerSnapshot open = b.core.snapshot(always);
    CHECK(open.remaining == 60s);
    auto restored = fresh({.probe_timeout = 10s});
    restored.now = always;
    CHECK(restored.restore(open));
    CHECK(restored.core.open_until() == always + 60s);
    // With 0ns left, the next call is a probe.
    CHECK(b.restore({.state = BreakerState::open, .remaining = 0ns}));
    CHECK(b.acquire().advice == Advice::go());
    CHECK(b.core.admit(always) == Advice::suspend(always + belay::detail::breaker_recheck));
    CHECK(b.core.admit(always + 10s) == Advice::go());
}

// Pitfall 11.
TEST_CASE("BreakerCore works with clocks that stand still, step back or jump",
          "[breaker][breaker_core][unit]") {
    auto b = due({.probe_timeout = 10s});
    static_cast<void>(b.acquire());
    b.now -= 100h;
    CHECK_FALSE(b.admits());
    CHECK(b.core.admit(b.now) == Advice::suspend(b.now + belay::detail::breaker_recheck));
    b.now = never;
    CHECK(b.admits());
    CHECK(b.fail() == reopened);
    CHECK(b.core.open_until() == never);
    CHECK(b.admits());
    CHECK(b.core.snapshot(always).remaining == forever);
}

TEST_CASE("BreakerCore restarts its generations after 2^30 changes",
          "[breaker][breaker_core][unit]") {
    STATIC_REQUIRE(Core::generation_mask == (1U << 30) - 1);
    auto b = fresh();
    for (int i = 0; i < 1000; ++i) b.core.set_mode(BreakerMode::automatic);
    CHECK(b.core.generation() == 1000);
}

namespace {

// Permits in use, some of which are lost.
struct Caller {
    std::uint32_t generation;
};

void run(auto& b, std::vector<Caller>& out, int event) {
    if (event <= 2 && b.acquire().advice.verb == Advice::Verb::go)
        out.push_back({b.core.generation()});
    if (event == 3) b.now += Duration{*rc::gen::inRange<std::int64_t>(0, 90'000'000'000)};
    if (event == 4) b.now -= 1s;
    if (event == 9) {
        b.core.set_mode(*rc::gen::element(BreakerMode::automatic, BreakerMode::forced_open,
                                          BreakerMode::disabled, BreakerMode::metrics_only));
    }
    if (event < 5 || event > 8 || out.empty()) return;
    const auto i = *rc::gen::inRange<std::size_t>(0, out.size());
    if (event == 5) b.verdict(true, out[i].generation);
    if (event == 6) b.verdict(false, out[i].generation);
    if (event == 7) b.core.neutral(out[i].generation);
    // Event 8: the permit is lost for ever.
    out.erase(out.begin() + static_cast<std::ptrdiff_t>(i));
}

auto any_core() {
    const HalfOpenOptions half_open{.probes = *rc::gen::inRange<std::uint8_t>(1, 4),
                                    .successes = *rc::gen::inRange<std::uint8_t>(1, 4),
                                    .failures = *rc::gen::inRange<std::uint8_t>(1, 4),
                                    .probe_timeout = 30s};
    return fresh(half_open, *rc::gen::inRange<std::uint32_t>(1, 4));
}

}  // namespace

TEST_CASE("BreakerCore is never stuck, although probes are lost",
          "[breaker][breaker_core][property]") {
    CHECK(rc::check("the advised waits lead to a permit, and successes close the breaker", [] {
        auto b = any_core();
        std::vector<Caller> out;
        for (const int event : *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 9))) {
            run(b, out, event);
            const Advice advice = b.core.admit(b.now);
            RC_ASSERT(advice.verb == Advice::Verb::go || advice.until > b.now);
        }
        for (int calls = 0; b.state() != BreakerState::closed; ++calls) {
            RC_ASSERT(calls < 6);
            for (int asked = 0; b.acquire().advice.verb != Advice::Verb::go; ++asked) {
                // The open wait, or the probes' time in steps of breaker_recheck. The clock may
                // have gone back, too.
                RC_ASSERT(asked < 150);
                b.now = b.core.admit(b.now).until;
            }
            b.succeed();
        }
    }));
}

TEST_CASE(
    "BreakerCore never has more probes under way than its limit, and is never stuck half-open",
    "[breaker][breaker_core][property]") {
    CHECK(rc::check("according to a separate count of the verdicts", [] {
        const HalfOpenOptions half_open{.probes = *rc::gen::inRange<std::uint8_t>(1, 6),
                                        .successes = *rc::gen::inRange<std::uint8_t>(1, 6),
                                        .failures = *rc::gen::inRange<std::uint8_t>(1, 6),
                                        .probe_timeout = 30s};
        auto b = due(half_open);
        std::vector<Caller> out;
        int worked = 0;
        int failed = 0;
        const auto may_be_out = [&] {
            const int needed = std::max(half_open.successes - worked, half_open.failures - failed);
            return std::min<int>(half_open.probes, needed);
        };
        const auto verdict = [&](bool fails) {
            const Caller caller = out.back();
            out.pop_back();
            (fails ? failed : worked) += caller.generation == b.core.generation() ? 1 : 0;
            const auto change = b.verdict(fails, caller.generation);
            if (change == reopened) b.now += 60s;
        };
        for (const int event : *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 8))) {
            if (b.state() == BreakerState::closed) return;
            if (event <= 3) {
                const auto answer = b.acquire();
                if (answer.change == half_opened) worked = failed = 0;
                // The results of a round stay if probes are lost.
                if (answer.advice.verb == Advice::Verb::go) out.push_back({b.core.generation()});
            }
            if (event == 4) b.now += Duration{*rc::gen::inRange<std::int64_t>(0, 40'000'000'000)};
            if ((event == 5 || event == 6) && !out.empty()) verdict(event == 5);
            if (event == 7 && !out.empty()) {
                b.core.neutral(out.back().generation);
                out.pop_back();
            }
            if (b.state() != BreakerState::half_open) continue;
            int current = 0;
            for (const Caller& caller : out) {
                current += caller.generation == b.core.generation() ? 1 : 0;
            }
            RC_ASSERT(current == 0 || current <= may_be_out());
            // A caller that waits does so because all probes are under way, and each of them has a
            // time limit.
            RC_ASSERT(b.admits() || current == may_be_out());
            RC_ASSERT(b.core.admit(b.now + half_open.probe_timeout).verb == Advice::Verb::go);
        }
    }));
}

TEST_CASE("BreakerCore has no more probes in use than its limit, and each decides once",
          "[breaker][breaker_core][property]") {
    CHECK(rc::check("permits of the current generation, while the breaker is not closed", [] {
        auto b = any_core();
        std::vector<Caller> out;
        for (const int event : *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 8))) {
            const auto changes_before = b.core.generation();
            run(b, out, event);
            RC_ASSERT(b.core.generation() - changes_before <= 1U);
            if (b.state() == BreakerState::closed) continue;
            std::size_t current = 0;
            for (const Caller& caller : out) {
                current += caller.generation == b.core.generation() ? 1U : 0U;
            }
            RC_ASSERT(current <= 3U);
            if (b.state() == BreakerState::open) RC_ASSERT(current == 0U);
        }
    }));
}

TEST_CASE("BreakerCore's state does not depend on how often its time is advanced",
          "[breaker][breaker_core][property]") {
    CHECK(rc::check("a core that is advanced between all events is equal to one that is not", [] {
        auto asked = any_core();
        auto left_alone = asked;
        std::vector<std::uint32_t> out;
        for (const int event : *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 7))) {
            for (const Duration later : {0s, 1s, 30s, 60s, 300s}) {
                static_cast<void>(asked.core.admit(asked.now + later));
                static_cast<void>(asked.core.state(asked.now + later));
                static_cast<void>(asked.core.snapshot(asked.now + later));
            }
            const Duration step{*rc::gen::inRange<std::int64_t>(0, 40'000'000'000)};
            for (auto* b : {&asked, &left_alone}) {
                if (event <= 1) static_cast<void>(b->acquire());
                if (event == 2) b->now += step;
                if (event == 3 || event == 4) b->fail();
                if (event == 5) b->succeed();
                if (event == 6) b->core.neutral(b->core.generation());
            }
            RC_ASSERT(asked.core.generation() == left_alone.core.generation());
            RC_ASSERT(asked.core.snapshot(asked.now) == left_alone.core.snapshot(asked.now));
            RC_ASSERT(asked.core.admit(asked.now) == left_alone.core.admit(asked.now));
        }
    }));
}

TEST_CASE("BreakerCore restored from its snapshot decides as the original would have",
          "[breaker][breaker_core][property]") {
    CHECK(rc::check("the advice by remaining time is the same", [] {
        auto b = any_core();
        std::vector<Caller> out;
        for (const int event : *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 10))) {
            run(b, out, event);
        }
        const BreakerSnapshot saved = b.core.snapshot(b.now);
        auto restarted = fresh();
        restarted.now = b.now + 1000h;
        RC_ASSERT(restarted.restore(saved));
        RC_ASSERT(restarted.core.mode() == b.core.mode());
        RC_ASSERT(restarted.state() == b.state());
        RC_ASSERT(restarted.core.snapshot(restarted.now) == saved);
        if (b.state() == BreakerState::open && b.core.mode() == BreakerMode::automatic) {
            RC_ASSERT(restarted.core.admit(restarted.now).until - restarted.now ==
                      b.core.admit(b.now).until - b.now);
        }
    }));
}
