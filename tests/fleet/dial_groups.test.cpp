// SPDX-License-Identifier: MIT
// Goal: dials that hang delay no other service, and a slow dial has its time. Method: scripted
// connections and time, with 1 to 300 servers that never answer.
#include <belay/fleet/detail/dial_scheduler.hpp>

#include <string>
#include <vector>

#include <belay/core/random.hpp>

#include "support/fleet/neighbours_rig.hpp"
#include "support/seeds.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

constexpr Duration hangs = NeighboursRig::never_connects;

/// The bound for a new service: each new one may dial in the fast group for 2 s.
Duration bound_of_new(int services, std::size_t dials_max) {
    return 2s * services / static_cast<int>(dials_max) + 5s;
}

}  // namespace

TEST_CASE("Fleet: a service that lost its connection dials within 5 s while other servers hang",
          "[fleet][dial_groups][property]") {
    const int holes = GENERATE(1, 8, 40, 300);
    const std::size_t dials_max = GENERATE(std::size_t{1}, std::size_t{8});
    const Duration hold = GENERATE(Duration{200ms}, Duration{0s});
    // Without another connected service, the network may be suspect.
    const bool is_alone = GENERATE(false, true);
    for_each_seed(
        [&](Seed seed) {
            CAPTURE(holes, dials_max, hold.count(), is_alone);
            Random bits{seed};
            NeighboursRig n{{.dials_max = dials_max, .hold = hold}};
            const std::size_t own = n.add(1, 100ms);
            if (!is_alone) n.add(1, 100ms);
            n.run(1s);
            REQUIRE(n.is_up(own));
            n.add(holes, hangs);
            for (int loss = 0; loss < 4; ++loss) {
                n.run(n.now + uniform_upto(bits, 700) * 50ms);
                const int dials = n.servers[own].dials;
                n.lose(own);
                CAPTURE(loss, n.now.count());
                REQUIRE(n.until([&] { return n.servers[own].dials != dials; }, 5s) <= 5s);
                REQUIRE(n.until([&] { return n.is_up(own); }, 1s) <= 1s);
            }
            CHECK(n.most_fast <= dials_max);
            CHECK(n.most_slow <= 24);
            CHECK(n.miscounts == 0);
        },
        3);
}

TEST_CASE("Fleet: a new service dials within 5 s, and 2 s more for each other new service",
          "[fleet][dial_groups][property]") {
    const int holes = GENERATE(1, 8, 40, 300);
    const std::size_t dials_max = GENERATE(std::size_t{1}, std::size_t{3}, std::size_t{8});
    CAPTURE(holes, dials_max);
    NeighboursRig n{{.dials_max = dials_max}};
    n.add(1, 100ms);
    n.run(1s);
    // It is the last of all in the order of requests.
    const std::size_t last = n.add(holes + 1, hangs) + static_cast<std::size_t>(holes);
    n.servers[last].takes = 100ms;
    const Duration most = bound_of_new(holes + 1, dials_max);
    CHECK(n.until([&] { return n.is_up(last); }, most) <= most);
    // After all others have dialled, a service that is added dials at once.
    n.run(n.now + 5s);
    const std::size_t later = n.add(1, 100ms);
    CHECK(n.until([&] { return n.is_up(later); }, 3s) <= 3s);
    CHECK(n.miscounts == 0);
}

TEST_CASE("Fleet: a server that takes 10 s connects while 300 others hang",
          "[fleet][dial_groups][unit]") {
    const int holes = GENERATE(1, 8, 40, 300);
    NeighboursRig n;
    n.add(1, 100ms);
    n.run(1s);
    const std::size_t slow = n.add(holes + 1, hangs) + static_cast<std::size_t>(holes);
    n.servers[slow].takes = 10s;
    // Each other service precedes it at most once, and dials for at most 30 s.
    const Duration in_group = (holes + 1 + 23) / 24 * 30s + 10s;
    const Duration most = bound_of_new(holes + 1, 8) + in_group;
    CAPTURE(holes);
    CHECK(n.until([&] { return n.is_up(slow); }, most) <= most);
    // It was connected: from now on it precedes all others, in both groups.
    for (int loss = 0; loss < 3; ++loss) {
        n.run(n.now + 2min);
        const int dials = n.servers[slow].dials;
        n.lose(slow);
        CHECK(n.until([&] { return n.servers[slow].dials != dials; }, 5s) <= 5s);
        CHECK(n.until([&] { return n.is_up(slow); }, 40s) <= 40s);
    }
    CHECK(n.rig.recorded[slow].failed == 0);
}

TEST_CASE("Fleet: a slow dial moves to the slow group, and continues there",
          "[fleet][dial_groups][unit]") {
    FleetRig rig{{.dials_max = 1, .hold = 0s}};
    rig.add(2);
    rig.fleet.start();
    rig.run(1999ms);
    CHECK(rig.fleet.status().dialling == 1);
    CHECK(rig.fleet.status().dialling_slowly == 0);
    CHECK(rig.dials() == 1);
    rig.run(2s);
    CHECK(rig.fleet.status().dialling == 1);
    CHECK(rig.fleet.status().dialling_slowly == 1);
    CHECK(rig.transports[0].live == 1);
    CHECK(rig.transports[1].dials == 1);
    rig.run(29999ms);
    CHECK(rig.transports[0].dials == 1);
    CHECK(rig.recorded[0].failed == 0);
    rig.run(30s);  // the limit of its attempt
    CHECK(rig.recorded[0].failed == 1);
    CHECK(rig.status(0).failure.error() == LinkErrc::attempt_timed_out);
    rig.open(1);
    rig.run(31s);
    CHECK(rig.state(1) == LinkState::connected);
    CHECK(rig.fleet.status().dialling == 0);
    CHECK(rig.fleet.status().dialling_slowly == 1);  // 0 begins in the slow group
    rig.run(61s);
    CHECK(rig.recorded[0].failed == 2);  // it has its 30 s there, too
}

TEST_CASE("Fleet: the limit of an attempt begins when it leaves a queue of this side",
          "[fleet][dial_groups][regression]") {
    FleetRig rig;
    rig.add(1);
    rig.fleet.start();
    rig.run(0s);
    rig.transports[0].link.queued();
    rig.run(20s);
    SECTION("it dials in time") {
        rig.transports[0].link.begun();
        rig.run(50s - 1ns);
        CHECK(rig.recorded[0].failed == 0);
        rig.run(51s);
        CHECK(rig.recorded[0].failed == 1);
        CHECK(rig.recorded[0].abandoned == 0);
    }
    SECTION("it does not, which counts for no policy") {
        rig.run(30s - 1ns);
        CHECK(rig.recorded[0].abandoned == 0);
        rig.run(30s);
        CHECK(rig.recorded[0].abandoned == 1);
        CHECK(rig.recorded[0].failed == 0);
        CHECK(rig.status(0).failure.error() == LinkErrc::attempt_timed_out);
        CHECK(rig.status(0).failure.origin == Failure::Origin::local);
        CHECK(rig.status(0).withdrawn);
        rig.run(31s);
        CHECK(rig.transports[0].dials == 2);
    }
}

TEST_CASE("Fleet: if the slow group is full, a dial ends without a failure",
          "[fleet][dial_groups][unit]") {
    FleetRig rig{{.dials_max = 1, .slow_dials_max = 1, .hold = 0s}};
    rig.add(3);
    rig.fleet.start();
    rig.run(5s);
    CHECK(rig.transports[0].live == 1);  // in the group
    CHECK(rig.transports[1].dials == 1);
    CHECK(rig.transports[1].live == 0);  // ended after 2 s
    CHECK(rig.state(1) == LinkState::connecting);
    CHECK(rig.fleet.status().services[1].waiting_to_dial);
    CHECK(rig.recorded[1].failed + rig.recorded[1].lost == 0);
    CHECK(rig.recorded[1].abandoned == 1);
    CHECK(rig.recorded[1].begun == 2);
    CHECK(rig.status(1).attempt == 1);
    CHECK(rig.transports[2].live == 1);  // in the fast group
    rig.run(29s);
    CHECK(rig.dials() == 3);
    rig.run(31s);  // a slot is free: in the order of requests
    CHECK(rig.transports[1].live == 1);
    CHECK(rig.transports[2].live == 0);
    CHECK(rig.fleet.status().dialling == 0);
    rig.run(59s);
    CHECK(rig.transports[1].dials == 2);
    CHECK(rig.recorded[1].failed == 0);
    rig.run(61s);
    CHECK(rig.recorded[1].failed == 1);
    CHECK(rig.transports[2].live == 1);
    // A dial that begins in the group does not affect the other.
    rig.add(1);
    rig.fleet.start();
    rig.run(61s);
    CHECK(rig.transports[3].live == 1);
    CHECK(rig.fleet.status().dialling == 1);
}

TEST_CASE("Fleet: a service begins in the slow group until it connects fast",
          "[fleet][dial_groups][unit]") {
    FleetRig rig{{.hold = 0s}};
    rig.add(2);
    rig.fleet.start();
    rig.run(0s);
    rig.open(1);
    const auto slow_dials = [&] { return rig.fleet.status().dialling_slowly; };
    const auto dials_again = [&](Duration when) {
        rig.run(when);
        rig.fail(0);
        rig.run(when + 1s);
        REQUIRE(rig.transports[0].live == 1);
    };
    rig.run(10s);
    CHECK(slow_dials() == 1);
    rig.open(0);
    rig.run(30s);
    dials_again(30s);
    CHECK(slow_dials() == 1);  // like the dial before
    rig.run(33s);
    rig.open(0);
    dials_again(50s);
    CHECK(slow_dials() == 1);
    rig.run(52s);
    rig.open(0);  // within 2 s
    dials_again(70s);
    CHECK(slow_dials() == 0);
    CHECK(rig.fleet.status().dialling == 1);
    // A failure does not show how fast its server is.
    rig.run(74s);
    CHECK(slow_dials() == 1);
    dials_again(74s);
    CHECK(slow_dials() == 1);
}

TEST_CASE("Fleet: a slow service that lost its connection begins fast if the group is taken",
          "[fleet][dial_groups][unit]") {
    FleetRig rig{{.slow_dials_max = 2, .hold = 0s}};
    rig.add(2);
    rig.fleet.start();
    rig.run(3s);
    rig.open(0);
    rig.open(1);
    rig.run(20s);
    rig.add(2);
    rig.fleet.start();
    rig.run(25s);  // these fill the group
    REQUIRE(rig.fleet.status().dialling_slowly == 2);
    rig.fail(0);
    rig.run(26s);
    CHECK(rig.transports[0].live == 1);
    CHECK(rig.fleet.status().dialling == 1);
    rig.run(28s);
    CHECK(rig.transports[0].live == 0);
    // It precedes a service that was never connected and has waited longer.
    rig.add(1);
    rig.fleet.start();
    rig.run(40s);
    CHECK(rig.transports[4].live == 0);
    rig.fail(2);
    rig.run(40s);
    CHECK(rig.transports[0].live == 1);
    CHECK(rig.transports[4].live == 0);
    // Its dial fails, and it no longer precedes.
    rig.run(40500ms);
    rig.fail(0);
    rig.run(40500ms);
    CHECK(rig.transports[4].live == 1);
    rig.run(42s);
    rig.fail(3);
    rig.run(42s);
    CHECK(rig.transports[2].live == 1);
    CHECK(rig.transports[0].live == 0);
}

TEST_CASE("Fleet: both groups dial by priority, which counts as a head start",
          "[fleet][dial_groups][unit]") {
    FleetRig rig{{.dials_max = 4, .slow_dials_max = 1, .hold = 0s}};
    rig.add(3);
    rig.add(1, 1);
    rig.fleet.start();
    rig.run(2900ms);
    REQUIRE(rig.fleet.status().dialling_slowly == 1);
    const auto in_group = [&] {
        std::string all;
        for (std::size_t i = 0; i < rig.transports.size(); ++i) {
            if (rig.transports[i].live != 0) all += std::to_string(i);
        }
        return all;
    };
    CHECK(in_group() == "3");  // before those that asked at the same time
    rig.fail(3);               // it requests a dial after 1 s, with a head start of 5 s
    rig.run(3900ms);
    const std::string second = in_group();
    CHECK(second != "3");
    rig.run(4500ms);
    rig.fail(std::stoul(second));
    rig.run(4500ms);
    CHECK(in_group() == "3");
    rig.run(10s);
    rig.fail(3);  // it requests a dial 11 s after the others
    for (const char* const place : {"third", "fourth", "second"}) {
        rig.run(rig.now - at(0s) + 1500ms);
        CAPTURE(place);
        const std::string next = in_group();
        CHECK(next != "3");
        CHECK((next == second) == (std::string{place} == "second"));
        rig.fail(std::stoul(next));
    }
    rig.run(rig.now - at(0s));
    CHECK(in_group() == "3");
}

TEST_CASE("Fleet: dial_gap separates the dials of both groups, and none starves",
          "[fleet][dial_groups][unit]") {
    FleetRig rig{{.dials_max = 2, .slow_dials_max = 1, .dial_gap = 1s, .hold = 0s}};
    rig.add(2);
    rig.fleet.start();
    rig.run(10s);
    REQUIRE(rig.fleet.status().dialling_slowly == 1);
    REQUIRE(rig.transports[1].live == 0);
    // If the slow group is not served, others fail at once, and use all dials that the gap permits.
    rig.add(8);
    rig.fleet.start();
    int before = rig.dials();
    for (Duration t = 10s; rig.transports[1].live == 0; t += 100ms) {
        REQUIRE(t < 60s);
        rig.run(t);
        CHECK(rig.dials() - before <= 1 + (t - 10s) / 1s);
        for (std::size_t i = 2; i < 10; ++i) {
            if (rig.transports[i].live != 0) rig.fail(i);
        }
    }
    CHECK(rig.recorded[2].failed > 0);
}

TEST_CASE("Fleet: a service that lost its connection dials before those of the slow group",
          "[fleet][dial_groups][unit]") {
    FleetRig rig{{.dials_max = 2, .slow_dials_max = 4, .dial_gap = 1s, .hold = 0s}};
    rig.add(9);
    rig.fleet.start();
    rig.run(0s);
    rig.open(0);
    rig.run(25s);
    REQUIRE(rig.fleet.status().dialling_slowly == 4);
    // All slots are free at once, and only one service per second dials.
    for (std::size_t i = 0; i < 9; ++i) {
        if (rig.transports[i].live != 0) rig.fail(i);
    }
    rig.run(27s);
    CHECK(rig.transports[0].live == 1);
    CHECK(rig.fleet.status().dialling_slowly > 0);
    CHECK(rig.fleet.status().dialling_slowly < 4);
}

TEST_CASE("Fleet: a dial that moves to the slow group overtakes no service that waits there",
          "[fleet][dial_groups][unit]") {
    FleetRig rig{{.dials_max = 2, .slow_dials_max = 1, .dial_gap = 1s, .hold = 0s}};
    rig.add(2);
    rig.fleet.start();
    rig.run(10s);
    REQUIRE(rig.transports[0].live == 1);
    rig.add(1);
    rig.fleet.start();
    rig.run(11900ms);
    REQUIRE(rig.transports[2].live == 1);
    rig.add(1);
    rig.fleet.start();
    rig.run(11950ms);
    REQUIRE(rig.transports[3].live == 1);
    rig.fail(0);  // a slot is free, and the gap delays the next dial
    rig.run(12500ms);
    CHECK(rig.transports[2].live == 0);
    CHECK(rig.fleet.status().dialling_slowly == 0);
    rig.run(12900ms);
    CHECK(rig.transports[1].live == 1);
    CHECK(rig.fleet.status().dialling_slowly == 1);
}

TEST_CASE("Fleet::reconnect_now dials at once although the slow group is taken",
          "[fleet][dial_groups][unit]") {
    FleetRig rig{{.slow_dials_max = 1, .hold = 0s}};
    rig.add(4);
    rig.fleet.start();
    rig.run(10s);
    // A queued service cannot request another attempt. Stop and start do not help either.
    rig.fleet.remove("0");
    rig.run(10s);
    // The order of the queue is that of random waits.
    const auto dialling = [&] {
        std::size_t i = 1;
        while (i < 4 && rig.transports[i].live == 0) ++i;
        return i;
    };
    const std::size_t failing = dialling();
    REQUIRE(failing < 4);
    rig.run(39s);
    rig.fail(failing);  // waits one second, with the group taken by the next one
    rig.run(39s);
    REQUIRE(dialling() < 4);
    REQUIRE(dialling() != failing);
    CHECK(rig.fleet.reconnect_now(std::to_string(failing)).granted);
    rig.run(39s);
    CHECK(rig.transports[failing].live == 1);
    CHECK(rig.fleet.status().dialling == 1);
}

TEST_CASE("Fleet: a service stops, shuts a gate and is removed in each state of the slow group",
          "[fleet][dial_groups][unit]") {
    const auto end = GENERATE(0, 1, 2);
    const std::size_t which = GENERATE(std::size_t{0}, std::size_t{1});  // dials; waits
    FleetRig rig{{.slow_dials_max = 1, .hold = 0s}};
    rig.transports.resize(3);
    std::vector<FleetService<FakeTransport<>, Recorder, NoObserver>*> all;
    for (std::size_t i = 0; i < 3; ++i) {
        all.push_back(&rig.fleet.add(std::to_string(i), FakeTransport<>{rig.transports[i]},
                                     Recorder{&rig.recorded.emplace_back()}));
    }
    rig.fleet.start();
    rig.run(5s);
    REQUIRE(rig.live() == 1);
    REQUIRE(rig.transports[0].live == 1);
    if (end == 0) all[which]->stop();
    if (end == 1) all[which]->shut(Gate::network);
    if (end == 2) rig.fleet.remove(std::to_string(which));
    rig.run(5s);
    CHECK(rig.live() == 1);
    CHECK(rig.transports[0].live == (which == 0 ? 0 : 1));
    rig.run(40s);
    CHECK(rig.live() == 1);
    CHECK(rig.transports[which].live == 0);
    CHECK(rig.fleet.status().dialling_slowly == 1);
    if (end == 2) return;
    if (end == 0) all[which]->start();
    if (end == 1) all[which]->open(Gate::network);
    rig.run(200s);
    CHECK(rig.transports[which].dials > 1);
}

TEST_CASE("FleetOptions::slow_after of forever moves no dial", "[fleet][dial_groups][unit]") {
    FleetRig rig{{.dials_max = 1, .slow_after = forever, .hold = 0s}};
    rig.add(2);
    rig.fleet.start();
    rig.run(29s);
    CHECK(rig.dials() == 1);
    CHECK(rig.fleet.status().dialling_slowly == 0);
}

TEST_CASE("Fleet: services that were connected reconnect after an outage while other servers hang",
          "[fleet][dial_groups][property]") {
    const int holes = GENERATE(1, 8, 40, 300);
    const int good = GENERATE(2, 8);
    const bool hang = GENERATE(false, true);
    // The time for which the holes have dialled before the outage: a new one may hide it.
    const Duration before = GENERATE(Duration{4s}, Duration{2min});
    for_each_seed(
        [&](Seed seed) {
            CAPTURE(holes, good, hang, before.count());
            Random bits{seed};
            NeighboursRig n;
            n.add(good, 100ms);
            n.run(1s);
            n.add(holes, hangs);
            n.run(before);
            const auto all_good = [&] {
                for (int i = 0; i < good; ++i) {
                    if (!n.is_up(static_cast<std::size_t>(i))) return false;
                }
                return true;
            };
            REQUIRE(all_good());
            for (int i = 0; i < good; ++i) {
                n.servers[static_cast<std::size_t>(i)].takes = hangs;
                n.lose(static_cast<std::size_t>(i));
            }
            const Duration back = n.now + 10s + uniform_upto(bits, 1200) * 50ms;
            while (n.now < back) {
                n.run(n.now + 50ms);
                if (hang) continue;
                for (std::size_t i = 0; i < n.servers.size(); ++i) {
                    if (n.rig.transports[i].live != 0) {
                        n.rig.fail(
                            i, Failure::from(std::make_error_code(std::errc::network_unreachable)));
                    }
                }
            }
            for (int i = 0; i < good; ++i) {
                // A dial that began during the outage hangs.
                NeighboursRig::Server& server = n.servers[static_cast<std::size_t>(i)];
                server.takes = 100ms;
                server.hangs = server.dials;
            }
            const bool was_suspect = n.rig.fleet.status().network_suspect;
            const Duration took = n.until(all_good, 18s);
            CAPTURE(was_suspect, n.rig.fleet.observer().all.size());
            CAPTURE(back.count(), n.rig.fleet.status().network_suspect);
            CHECK(took <= 18s);
        },
        5);
}

TEST_CASE("Fleet: services that were connected return first also after an outage of 15 minutes",
          "[fleet][dial_groups][regression]") {
    constexpr std::size_t good = 4;
    NeighboursRig n;
    n.add(good, 100ms);
    n.run(1s);
    n.add(200, hangs);
    n.run(30s);
    for (std::size_t i = 0; i < good; ++i) {
        n.servers[i].takes = hangs;
        n.lose(i);
    }
    n.run(n.now + 15min);
    REQUIRE(n.rig.fleet.status().network_suspect);
    for (std::size_t i = 0; i < good; ++i) {
        n.servers[i].takes = 100ms;
        n.servers[i].hangs = n.servers[i].dials;
    }
    const auto all_good = [&] {
        for (std::size_t i = 0; i < good; ++i) {
            if (!n.is_up(i)) return false;
        }
        return true;
    };
    CHECK(n.until(all_good, 60s) <= 18s);
}

TEST_CASE("Fleet: a service whose dial ended for the slow group waits there at its old rank",
          "[fleet][dial_groups][unit]") {
    FleetRig rig{{.dials_max = 3, .slow_dials_max = 1, .hold = 0s}};
    rig.add(1);
    rig.add(1, 0, 20s);  // its next request is later than that of the next one
    rig.fleet.start();
    rig.run(500ms);
    rig.add(1, 0, 1ms);
    rig.fleet.start();
    rig.run(25s);
    REQUIRE(rig.transports[0].live == 1);
    REQUIRE(rig.live() == 1);
    REQUIRE(rig.status(1).since > rig.status(2).since);
    rig.fail(0);
    rig.run(25s);
    CHECK(rig.transports[1].live == 1);
}

TEST_CASE("Fleet: after a suspicion, services whose scouts hung dial in the fast group",
          "[fleet][dial_groups][unit]") {
    NeighboursRig n;
    n.add(4, 100ms);
    n.run(10s);
    for (std::size_t i = 0; i < 4; ++i) {
        n.servers[i].stays_silent = true;
        n.lose(i);
    }
    n.run(30s);
    REQUIRE(n.rig.fleet.status().network_suspect);
    CHECK(n.rig.fleet.status().dialling_slowly > 0);
    // They open no sooner than 1 s later, so that the status shows the group of their dials.
    for (auto& server : n.servers) {
        server.stays_silent = false;
        server.hangs = server.dials;
        server.takes = 1s;
    }
    REQUIRE(n.until([&] { return !n.rig.fleet.status().network_suspect; }, 20s) <= 20s);
    n.run(n.now + 100ms);
    CHECK(n.rig.fleet.status().dialling_slowly == 0);
    CHECK(n.rig.fleet.status().dialling == 3);
}

TEST_CASE("Fleet: a slow dial that began after the one that opened continues",
          "[fleet][dial_groups][unit]") {
    NeighboursRig n;
    n.add(4, 100ms);
    n.run(10s);
    for (std::size_t i = 0; i < 4; ++i) {
        n.servers[i].stays_silent = true;
        n.lose(i);
    }
    n.run(30s);
    const auto next_scout = [&] {
        const int before = n.rig.dials();
        static_cast<void>(n.until([&] { return n.rig.dials() != before; }, 20s));
        std::size_t last = 0;
        for (std::size_t i = 0; i < 4; ++i) {
            if (n.servers[i].dialled_at > n.servers[last].dialled_at) last = i;
        }
        return last;
    };
    const std::size_t first = next_scout();
    const std::size_t second = next_scout();
    REQUIRE(first != second);
    n.run(n.now + 2500ms);
    REQUIRE(n.rig.transports[first].live == 1);
    const int dials = n.rig.transports[second].dials;
    n.rig.open(first);
    n.run(n.now + 500ms);
    CHECK_FALSE(n.rig.fleet.status().network_suspect);
    CHECK(n.rig.transports[second].dials == dials);
    CHECK(n.rig.transports[second].live == 1);
    CHECK(n.rig.fleet.status().dialling_slowly == 1);
}

TEST_CASE("Fleet: in a suspicion, services that wait for the slow group wait with the others",
          "[fleet][dial_groups][unit]") {
    NeighboursRig n;
    n.add(3, 100ms);
    n.run(1s);
    n.add(40, hangs);
    n.run(40s);
    const auto waiting_to_dial = [&] {
        int sum = 0;
        for (const ServiceStatus& s : n.rig.fleet.status().services)
            sum += s.waiting_to_dial ? 1 : 0;
        return sum;
    };
    REQUIRE(waiting_to_dial() > 0);
    for (std::size_t i = 0; i < 3; ++i) {
        n.servers[i].takes = hangs;
        n.lose(i);
    }
    n.run(n.now + 500ms);
    REQUIRE(n.rig.fleet.status().network_suspect);
    CHECK(waiting_to_dial() == 0);
    // The slow dials under way end at their limit, and no other begins.
    n.run(n.now + 31s);
    CHECK(n.rig.fleet.status().dialling_slowly <= 8);
}

TEST_CASE("Fleet: services that were connected do not hide in a suspicion that others reconnect",
          "[fleet][dial_groups][unit]") {
    NeighboursRig n;
    n.add(3, 100ms);
    n.run(1s);
    n.add(3, hangs);
    n.run(40s);
    for (std::size_t i = 0; i < 3; ++i) {
        n.servers[i].takes = hangs;
        n.lose(i);
    }
    n.run(n.now + 2min);
    REQUIRE(n.rig.fleet.status().network_suspect);
    for (std::size_t i = 3; i < 6; ++i) n.servers[i].takes = 100ms;
    for (std::size_t i = 3; i < 6; ++i) n.servers[i].hangs = n.servers[i].dials;
    const auto others = [&] { return n.is_up(3) && n.is_up(4) && n.is_up(5); };
    CHECK(n.until(others, 60s) <= 60s);
}

TEST_CASE("Fleet: failures that are held when a suspicion ends count only without proof",
          "[fleet][dial_groups][unit]") {
    const bool is_proven = GENERATE(true, false);
    FleetRig rig{{.hold = 2s}};
    rig.add(4);
    rig.up();
    rig.run(20s);
    for (std::size_t i = 0; i < 4; ++i) rig.fail(i);
    rig.run(22s);
    REQUIRE(rig.fleet.status().network_suspect);
    for (std::size_t i = 0; i < 3; ++i) CHECK(rig.fleet.reconnect_now(std::to_string(i)).granted);
    rig.run(22s);
    REQUIRE(rig.live() == 3);
    rig.fail(0);  // held
    rig.run(23999ms);
    if (is_proven) {
        rig.now = at(24s);  // it opens in the turn that decides
        rig.open(1);
        rig.run(25s);
        CHECK(rig.recorded[0].failed == 0);
    } else {
        rig.fleet.remove("1");
        rig.fleet.remove("2");
        rig.run(30s);
        CHECK(rig.recorded[0].failed == 1);
    }
    CHECK_FALSE(rig.fleet.status().network_suspect);
}

TEST_CASE("Fleet: if all dials hang in a suspicion, the oldest of both groups is ended",
          "[fleet][dial_groups][unit]") {
    NeighboursRig n{{.suspect_wait_max = 1s}};
    n.add(3, 100ms);
    n.run(10s);
    for (std::size_t i = 0; i < 3; ++i) {
        n.servers[i].stays_silent = true;
        n.lose(i);
    }
    n.run(14s);
    for (int scout = 0; scout < 20; ++scout) {
        std::size_t oldest = 0;
        for (std::size_t i = 1; i < 3; ++i) {
            if (n.servers[i].dialled_at < n.servers[oldest].dialled_at) oldest = i;
        }
        const int dials = n.servers[oldest].dials;
        const int all = n.rig.dials();
        REQUIRE(n.until([&] { return n.rig.dials() != all; }, 2s) <= 2s);
        CHECK(n.servers[oldest].dials == dials + 1);
    }
}
