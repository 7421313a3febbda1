// SPDX-License-Identifier: MIT
// Goal: an outage of a day uses no more memory than its first minute; idle services use no time,
// and little memory. Method: a counting operator new, and time set by hand.
#include <string>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/fleet/fleet.hpp>
#include <belay/policy/rules.hpp>
#include <belay/queue/overflows.hpp>
#include <belay/queue/queue.hpp>
#include <belay/queue/storages.hpp>

#include "support/catch.hpp"
#include "support/counting_new.hpp"
#include "support/shorthand.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// A connection that opens at once, or fails at once.
struct Port {
    using message_type = std::uint64_t;
    struct Connection {
        SendResult send(const std::uint64_t&) noexcept { return SendResult::sent; }
    };
    const bool* there;
    Connection open(const Link<std::uint64_t>& link) {
        static_cast<void>(*there ? link.opened() : link.closed({.cause = Cause::refused}));
        return {};
    }
};

auto patience() { return Policy{Backoff{FullJitter{}, Cap{30s}, 1s}, ResetWhenStable{10s}}; }

/// Runs each turn that is due until then.   Returns: the number of turns.
std::size_t run_to(auto& fleet, Instant& now, Instant until) {
    std::size_t turns = 0;
    for (; fleet.deadline() <= until; ++turns) {
        now = belay::detail::larger(now, fleet.deadline());
        fleet.advance(now);
    }
    now = until;
    return turns;
}

}  // namespace

TEST_CASE(
    "Fleet: 24 hours of outage with a million sends use no more memory after the first minute",
    "[fleet][allocation][property]") {
    // If one service is connected, each failure is its service's own; otherwise, the network's.
    for (const bool one_remains : {false, true}) {
        const bool there = true;
        const bool gone = false;
        Fleet fleet;
        fleet.attach(Waker{});
        if (one_remains) fleet.add("alive", Port{&there}, patience());
        auto& a = fleet.add("a", Port{&gone}, patience());
        fleet.add("b", Port{&gone}, patience());
        fleet.add("c", Port{&gone}, patience());
        Queue queue{Ring<std::uint64_t>{1000}, DropOldest{}};
        fleet.start();

        constexpr std::uint64_t sends = 1'000'000;
        constexpr Duration day = 24h;
        const Counting counting;
        std::int64_t after_a_minute = 0;
        std::int64_t peak = 0;
        std::size_t made = 0;
        Instant now{};
        bool settled = false;
        for (std::uint64_t i = 0; i < sends; ++i) {
            const Instant until = at(day / sends * static_cast<std::int64_t>(i));
            static_cast<void>(run_to(fleet, now, until));
            if (a.send(i) != SendResult::sent) static_cast<void>(queue.push(i));
            if (!settled && now >= at(1min)) {
                settled = true;
                after_a_minute = counting.held();
                peak = counting.peak();
                made = counting.made();
            }
        }
        REQUIRE(settled);
        CHECK(a.status().state != LinkState::connected);
        CHECK(queue.size() == 1000);
        CHECK(counting.made() == made);
        CHECK(counting.held() == after_a_minute);
        CHECK(counting.peak() == peak);
    }
}

TEST_CASE("Fleet: ten thousand idle services need no turn, and little more memory than Supervisors",
          "[fleet][allocation][unit]") {
    const bool there = true;
    constexpr int count = 10'000;
    const Counting counting;
    Fleet fleet{{.dials_max = count}};
    fleet.attach(Waker{});
    for (int i = 0; i < count; ++i) {
        fleet.add("service " + std::to_string(i), Port{&there}, patience());
    }
    const std::int64_t each = counting.held() / count;
    INFO("bytes for each service that was never started: " << each);
    CHECK(each <= 1050);
    fleet.start();
    Instant now{};
    static_cast<void>(run_to(fleet, now, at(20s)));
    REQUIRE(fleet.status().count(LinkState::connected) == count);
    const std::int64_t used = counting.held() / count;
    INFO("bytes for each that is connected: " << used);
    CHECK(used <= 1300);
    // The services are stable: no turn is due until an event.
    CHECK(fleet.deadline() == never);
    CHECK(run_to(fleet, now, at(1000h)) == 0);
}
