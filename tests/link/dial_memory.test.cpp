// SPDX-License-Identifier: MIT
// Goal: a transport dials silent addresses last for a time, and reaches all addresses of a name in
// the end, within a bounded memory. Method: the order for lists of both families, after dials that
// are played in virtual time.
#include <belay/link/detail/dial_race.hpp>

#include <string>
#include <vector>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay::detail::DialAddress;
using belay::detail::DialMemory;
using belay::detail::DialRace;

namespace {

using DialOrder = std::vector<std::size_t>;

DialAddress v4(unsigned number) {
    DialAddress a;
    a.bytes[0] = static_cast<unsigned char>(number);
    a.bytes[1] = static_cast<unsigned char>(number >> 8U);
    a.port = 80;
    return a;
}
DialAddress v6(unsigned number) {
    DialAddress a = v4(number);
    a.is_v6 = true;
    return a;
}
std::vector<DialAddress> v4s(unsigned count) {
    std::vector<DialAddress> all;
    for (unsigned i = 0; i < count; ++i) all.push_back(v4(i));
    return all;
}

/// A transport that dials a list of addresses, each of which is silent, or refuses.
struct Dialling {
    DialMemory memory;
    Instant now{1h};

    /// Dials, and returns the addresses that were tried. If no address refuses, the time limit ends
    /// the dial.
    template <class Refuses>
    std::vector<DialAddress> dial(const std::vector<DialAddress>& found, Refuses refuses,
                                  Duration limit = 30s, Duration silent_for = 10min) {
        std::vector<DialAddress> dialled;
        for (const std::size_t i : memory.order(found, now)) dialled.push_back(found[i]);
        DialRace race{dialled.size()};
        const Instant end = after(now, limit);
        for (;;) {
            const DialRace::Step step = race.next(now);
            if (step.kind == DialRace::Kind::failed) break;
            if (step.kind == DialRace::Kind::start && refuses(dialled[step.attempt])) {
                race.failed(step.attempt, Failure{.cause = Cause::refused});
            }
            if (step.kind != DialRace::Kind::wait) continue;
            if (race.deadline() > end) break;
            now = race.deadline();
        }
        memory.learn(race, dialled, silent_for,
                     [&](std::size_t i) { return std::to_string(dialled[i].bytes[0]); });
        dialled.resize(race.started());
        return dialled;
    }
};

constexpr auto nothing_refuses = [](const DialAddress&) { return false; };
constexpr auto all_refuse = [](const DialAddress&) { return true; };

}  // namespace

TEST_CASE("DialMemory::order alternates the families (RFC 8305, section 4)",
          "[link][dial_memory][golden]") {
    DialMemory memory;
    CHECK(memory.order({v6(1), v6(2), v6(3), v4(1), v4(2)}, Instant{}) == DialOrder{0, 3, 1, 4, 2});
    CHECK(memory.order({v4(1), v6(1), v6(2), v6(3)}, Instant{}) == DialOrder{0, 1, 2, 3});
    CHECK(memory.order({v4(1), v4(2), v6(1)}, Instant{}) == DialOrder{0, 2, 1});
}

TEST_CASE("DialMemory::order keeps the order of one family, and of no address",
          "[link][dial_memory][unit]") {
    DialMemory memory;
    CHECK(memory.order({v4(3), v4(1), v4(2)}, Instant{}) == DialOrder{0, 1, 2});
    CHECK(memory.order({v6(3), v6(1)}, Instant{}) == DialOrder{0, 1});
    CHECK(memory.order({}, Instant{}).empty());
}

TEST_CASE("DialMemory puts silent addresses last, until `silent_for` has passed",
          "[link][dial_memory][unit]") {
    Dialling d;
    const std::vector<DialAddress> found{v6(1), v4(1), v6(2), v4(2)};
    CHECK(d.dial(found, [](const DialAddress& a) { return a != v6(1); }).size() == 4);
    CHECK(d.memory.order(found, d.now) == DialOrder{1, 2, 3, 0});
    CHECK(d.memory.order(found, after(d.now, 10min - 1ns)) == DialOrder{1, 2, 3, 0});
    CHECK(d.memory.order(found, after(d.now, 10min)) == DialOrder{0, 1, 2, 3});
}

TEST_CASE("DialMemory with a time of 0 ns forgets silent addresses at once",
          "[link][dial_memory][unit]") {
    Dialling d;
    d.dial({v6(1), v4(1)}, nothing_refuses, 30s, 0ns);
    CHECK(d.memory.size() == 0);
    CHECK(d.memory.order({v6(1), v4(1)}, d.now) == DialOrder{0, 1});
}

TEST_CASE("DialMemory distinguishes ports, scopes and families", "[link][dial_memory][unit]") {
    Dialling d;
    DialAddress other_port = v6(1);
    other_port.port = 81;
    DialAddress other_scope = v6(1);
    other_scope.scope = 2;
    d.dial({v6(1)}, nothing_refuses);
    CHECK(d.memory.size() == 1);
    CHECK(d.memory.order({v6(1), v4(1), other_port, other_scope}, d.now) == DialOrder{1, 2, 3, 0});
}

TEST_CASE("DialMemory forgets an address that connects", "[link][dial_memory][unit]") {
    Dialling d;
    d.dial({v6(1), v4(1)}, nothing_refuses);
    REQUIRE(d.memory.size() == 2);
    DialRace race{1};
    CHECK(race.next(d.now).kind == DialRace::Kind::start);
    race.connected(0);
    CHECK(race.next(d.now).kind == DialRace::Kind::won);
    d.memory.learn(race, {v6(1)}, 10min, [](std::size_t) { return "x"; });
    CHECK(d.memory.size() == 1);
    CHECK(d.memory.text().empty());
    CHECK(d.memory.order({v4(1), v6(1)}, d.now) == DialOrder{1, 0});
}

TEST_CASE("DialMemory holds 64 addresses, and forgets the oldest", "[link][dial_memory][unit]") {
    Dialling d;
    for (unsigned i = 0; i < 80; ++i) d.dial({v4(i)}, nothing_refuses);
    d.dial({v4(79)}, nothing_refuses);  // again, and still one entry
    CHECK(d.memory.size() == DialMemory::entries_max);
    CHECK(d.memory.order({v4(15), v4(16), v4(79), v4(200)}, d.now) == DialOrder{0, 3, 1, 2});
}

TEST_CASE("DialMemory continues a list that is too long for one dial at the next",
          "[link][dial_memory][unit]") {
    for (const bool refuse : {true, false}) {
        CAPTURE(refuse);
        Dialling d;
        std::vector<bool> tried(200);
        for (int dials = 0; dials < 13; ++dials) {
            const auto now =
                refuse ? d.dial(v4s(200), all_refuse) : d.dial(v4s(200), nothing_refuses);
            CHECK(now.size() == DialRace::attempts_max);
            for (const DialAddress& a : now) tried[a.bytes[0] + 256U * a.bytes[1]] = true;
        }
        CHECK(std::count(tried.begin(), tried.end(), true) == 200);
    }
}

TEST_CASE("DialMemory continues after a dial whose time was too short for its list",
          "[link][dial_memory][unit]") {
    Dialling d;
    CHECK(d.dial(v4s(10), nothing_refuses, 600ms).size() == 3);
    CHECK(d.dial(v4s(10), nothing_refuses, 600ms).front() == v4(2));
}

TEST_CASE("DialMemory tries an address again that had no time to answer",
          "[link][dial_memory][unit]") {
    Dialling d;
    CHECK(d.dial({v6(1), v4(1)}, nothing_refuses, 100ms).size() == 1);
    CHECK(d.memory.size() == 0);
    CHECK(d.memory.order({v6(1), v4(1)}, d.now) == DialOrder{0, 1});
}

TEST_CASE("DialPlan clears the text of the last dial, also if its race never begins",
          "[link][dial_memory][unit]") {
    const auto memory = belay::detail::Ref<DialMemory>::make();
    {
        belay::detail::DialPlan<DialAddress> plan{memory, 10min};
        plan.begin({v4(1)}, Instant{}, [](const DialAddress& a) { return a; });
        CHECK(plan.race().next(Instant{}).kind == DialRace::Kind::start);
        plan.learn([](const DialAddress&) { return std::string{"one"}; });
    }
    CHECK(memory->text() == "one no answer");
    belay::detail::DialPlan<DialAddress> hangs{memory, 10min};
    hangs.learn([](const DialAddress&) { return std::string{}; });
    CHECK(memory->text().empty());
}

TEST_CASE("DialMemory::text names each address that was tried, with its own cause",
          "[link][dial_memory][golden]") {
    Dialling d;
    d.dial(v4s(3), [](const DialAddress& a) { return a == v4(1); });
    CHECK(d.memory.text() == "0 no answer; 1 refused; 2 no answer");
    d.dial(v4s(7), nothing_refuses);
    const std::string gone = "timed_out: " + std::make_error_code(std::errc::timed_out).message();
    // The address was silent at the first dial, so it is tried last.
    CHECK(d.memory.text() == "1 " + gone + "; 3 " + gone + "; 4 " + gone +
                                 "; 5 no answer; "
                                 "6 no answer; 0 no answer; 2 no answer");
}
