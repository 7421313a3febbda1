// SPDX-License-Identifier: MIT
// Goal: a TimeWindow holds all calls of its length, and none much older. Method: compared with a
// list of all calls, with clocks that stand still, step back and jump.
#include <belay/core/time_window.hpp>

#include <type_traits>
#include <utility>
#include <vector>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

namespace {

constexpr Instant start{1000s};

CallCounts after_adding(TimeWindow<> window, Instant now) {
    window.add(false, now);
    CallCounts observed = window.counts();
    --observed.calls;
    return observed;
}

}  // namespace

static_assert(std::is_trivially_copyable_v<TimeWindow<>> && sizeof(TimeWindow<>) <= 128);
static_assert(std::same_as<decltype(TimeWindow{30s}), TimeWindow<10>>);
static_assert(detail::CountsCallsInTime<TimeWindow<>> && !detail::CountsCalls<TimeWindow<>>);

TEST_CASE("TimeWindow forgets calls a bucket at a time", "[core][time_window][unit]") {
    STATIC_REQUIRE([] {
        TimeWindow window{10s};
        window.add(true, start);
        window.add(true, start + 999ms);
        window.add(false, start + 1s);
        bool ok = window.counts() == CallCounts{3, 2};
        window.add(false, start + 11s - 1ns);
        ok = ok && window.counts() == CallCounts{4, 2};
        window.add(false, start + 11s);
        ok = ok && window.counts() == CallCounts{3, 0};
        window.reset();
        return ok && window.counts() == CallCounts{0, 0};
    }());
}

// Pitfall 17: a fixed window that ends at 30 s would have counted five and five.
TEST_CASE("TimeWindow sees failures on both sides of every instant together",
          "[core][time_window][unit]") {
    for (Duration offset = 0s; offset <= 40s; offset += 100ms) {
        TimeWindow window{30s};
        window.add(false, start);
        for (int i = 0; i < 5; ++i) window.add(true, start + offset);
        for (int i = 0; i < 5; ++i) window.add(true, start + offset + 200ms);
        CHECK(window.counts().bad == 10);
    }
}

// Pitfall 11.
TEST_CASE("TimeWindow handles a gap of any length at once", "[core][time_window][unit]") {
    TimeWindow window{1ns};
    for (const Instant now : {start, start + 24h * 365, never - 1s, never}) {
        window.add(true, now);
        CHECK(window.counts() == CallCounts{1, 1});
    }
    TimeWindow<3> from_the_beginning{forever};
    from_the_beginning.add(true, always);
    from_the_beginning.add(true, Instant{});
    CHECK(from_the_beginning.counts() == CallCounts{2, 2});
    from_the_beginning.add(true, never);
    CHECK(from_the_beginning.counts().calls >= 2);
}

TEST_CASE("TimeWindow forgets no calls at the last instant", "[core][time_window][unit]") {
    TimeWindow window{10s};
    for (const Instant now : {never - 1s, never}) {
        for (int i = 0; i < 100; ++i) window.add(true, now);
    }
    CHECK(window.counts() == CallCounts{200, 200});
}

TEST_CASE("TimeWindow waits for a clock that stepped back, and forgets no call meanwhile",
          "[core][time_window][unit]") {
    TimeWindow window{10s};
    for (int i = 0; i < 100; ++i) window.add(true, start);
    CHECK(window.counts() == CallCounts{100, 100});
    window.add(true, start - 240h);
    CHECK(window.counts() == CallCounts{101, 101});
    CHECK(after_adding(window, start - 240h + 1h) == CallCounts{101, 101});
    CHECK(after_adding(window, start + 11s - 1ns) == CallCounts{101, 101});
    CHECK(after_adding(window, start + 11s) == CallCounts{0, 0});
}

TEST_CASE("TimeWindow forgets no call because of a late caller", "[core][time_window][unit]") {
    STATIC_REQUIRE([] {
        TimeWindow window{10s};
        for (int i = 0; i < 10; ++i) window.add(true, start + i * 1s);
        window.add(true, start);
        window.add(true, start + 9s);
        bool ok = window.counts() == CallCounts{12, 12};
        // A late call counts with the calls of its own time.
        window.add(false, start + 18s);
        ok = ok && window.counts() == CallCounts{5, 4};
        // The counts of others since then are not lost, however late the call is.
        window.add(false, start - 24h);
        window.add(false, start + 18s);
        return ok && window.counts() == CallCounts{7, 4};
    }());
}

TEST_CASE("TimeWindow::roll forgets without a call", "[core][time_window][unit]") {
    STATIC_REQUIRE([] {
        TimeWindow window{10s};
        window.roll(start);
        bool ok = window.counts() == CallCounts{0, 0};
        window.add(true, start);
        window.roll(start + 11s - 1ns);
        ok = ok && window.counts() == CallCounts{1, 1};
        window.roll(start - 1h);
        ok = ok && window.counts() == CallCounts{1, 1};
        window.roll(start + 11s);
        return ok && window.counts() == CallCounts{0, 0};
    }());
}

TEST_CASE("TimeWindow counts correctly for late callers, each by its own time",
          "[core][time_window][property]") {
    CHECK(rc::check("all calls of the length, and none that arrived a bucket earlier", [] {
        const Duration length{*rc::gen::inRange<std::int64_t>(1, 5000)};
        TimeWindow<7> window{length};
        const Duration width = (length + Duration{6}) / 7;
        struct Call {
            Instant at;    // by the caller
            Instant came;  // by the latest caller until then
            bool bad;
        };
        std::vector<Call> all;
        Instant now = start;
        Instant latest = always;
        for (const auto step : *rc::gen::container<std::vector<std::int64_t>>(
                 rc::gen::inRange<std::int64_t>(0, 2000))) {
            now += Duration{step % 3 == 0 ? step : step % 50};
            const auto late = *rc::gen::inRange<std::int64_t>(0, length.count() * 3 + 1);
            const Instant at = now - Duration{late};
            if (at > latest) latest = at;
            const bool bad = step % 2 == 0;
            all.push_back({at, latest, bad});
            window.add(bad, at);
            CallCounts least;
            CallCounts most;
            for (const Call& call : all) {
                if (latest - call.at <= length) ++least.calls, least.bad += call.bad ? 1U : 0U;
                if (latest - call.came < width * 8) ++most.calls, most.bad += call.bad ? 1U : 0U;
            }
            const CallCounts observed = window.counts();
            RC_ASSERT(observed.calls >= least.calls && observed.calls <= most.calls);
            RC_ASSERT(observed.bad >= least.bad && observed.bad <= most.bad);
        }
    }));
}

TEST_CASE("TimeWindow keeps its guarantee for every number of buckets and length",
          "[core][time_window][property]") {
    CHECK(rc::check("all calls of the length, and none older than one bucket more", [] {
        const Duration length{*rc::gen::inRange<std::int64_t>(1, 5000)};
        TimeWindow<7> window{length};
        const Duration width = (length + Duration{6}) / 7;
        std::vector<std::pair<Instant, bool>> all;
        Instant now = start;
        for (const auto step : *rc::gen::container<std::vector<std::int64_t>>(
                 rc::gen::inRange<std::int64_t>(0, 2000))) {
            now += Duration{step % 3 == 0 ? step : step % 50};
            const bool bad = step % 2 == 0;
            all.emplace_back(now, bad);
            window.add(bad, now);
            CallCounts least;
            CallCounts most;
            for (const auto& [at, failed] : all) {
                if (now - at <= length) ++least.calls, least.bad += failed ? 1U : 0U;
                if (now - at < width * 8) ++most.calls, most.bad += failed ? 1U : 0U;
            }
            const CallCounts observed = window.counts();
            RC_ASSERT(observed.calls >= least.calls && observed.calls <= most.calls);
            RC_ASSERT(observed.bad >= least.bad && observed.bad <= most.bad);
        }
    }));
}

TEST_CASE("TimeWindow never counts wrong, for any behaviour of the clock",
          "[core][time_window][property]") {
    CHECK(rc::check("bad <= calls <= added, and the last call counts",
                    [](const std::vector<std::int64_t>& instants) {
                        TimeWindow<3> window{1s};
                        std::uint64_t added = 0;
                        for (const auto ticks : instants) {
                            window.add(true, Instant{Duration{ticks}});
                            ++added;
                            const CallCounts observed = window.counts();
                            RC_ASSERT(observed.bad == observed.calls);
                            RC_ASSERT(observed.calls >= 1U && observed.calls <= added);
                        }
                    }));
}
