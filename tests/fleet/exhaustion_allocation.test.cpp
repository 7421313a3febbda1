// SPDX-License-Identifier: MIT
// Goal: a lack of memory, at any allocation, ends at most the affected connection; the program
// continues, and no service stays without a dial for ever. Method: memory runs out at critical
// places. counting_new.hpp is in allocation.test.cpp, which is in the same executable.
#include <belay/fleet/fleet.hpp>

#include <functional>
#include <new>
#include <optional>
#include <string>

#include <belay/fleet/pool.hpp>
#include <belay/policy/rules.hpp>

#include "support/catch.hpp"
#include "support/failing_new.hpp"
#include "support/fleet/fleet_rig.hpp"
#include "support/fleet/pool_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// Runs a function once, when its service is notified.
struct Once {
    std::function<void()>* act;
    void on_state(const Transition&) { run(); }
    void on_message(const std::string&) { run(); }
    void run() const {
        if (*act) std::exchange(*act, {})();
    }
};

}  // namespace

TEST_CASE("Fleet: a service stays in the queue if its permission to dial was not delivered",
          "[fleet][exhaustion_allocation][fault]") {
    FleetRig rig;
    rig.transports.resize(2);
    std::function<void()> act;
    std::optional<FailingNew> failing;
    auto& second =
        rig.fleet.add("second", FakeTransport<>{rig.transports[0]}, MaxAttempts{9}, Once{&act});
    auto& third =
        rig.fleet.add("third", FakeTransport<>{rig.transports[1]}, MaxAttempts{9}, Once{&act});
    second.start();
    third.start();
    // In the turn of the third service, the second is queued. Its mailbox of two is full then.
    int reported = 0;
    act = [&] {
        act = [&] {
            ++reported;
            const auto handle = second.handle();
            static_cast<void>(handle.open(Gate::paused));
            static_cast<void>(handle.open(Gate::paused));
            failing.emplace(0);
        };
    };
    bool thrown = false;
    try {
        rig.fleet.advance(at(0s));
    } catch (const std::bad_alloc&) {
        thrown = true;
    }
    failing.reset();
    CHECK(thrown);
    CHECK(reported == 1);
    rig.run(1s);
    CHECK(rig.transports[0].dials == 1);
    CHECK(rig.transports[1].dials == 1);
}

TEST_CASE("Fleet: a verdict is delivered although there was no memory for it at first",
          "[fleet][exhaustion_allocation][fault]") {
    FleetRig rig;
    std::function<void()> act;
    std::optional<FailingNew> failing;
    rig.transports.resize(2);
    auto& own = rig.fleet.add("own", FakeTransport<>{rig.transports[0]},
                              Recorder{&rig.recorded.emplace_back()}, Once{&act});
    rig.fleet.add("other", FakeTransport<>{rig.transports[1]}, MaxAttempts{9}, Once{&act});
    rig.fleet.start();
    rig.run(0s);
    rig.open(0);
    rig.open(1);
    rig.run(20s);
    rig.fail(0);
    rig.run(20100ms);
    CHECK(own.status().state == LinkState::connected);
    CHECK(rig.transports[1].link.received("now") == driver::Post::taken);
    act = [&] {
        static_cast<void>(own.handle().open(Gate::paused));
        static_cast<void>(own.handle().open(Gate::paused));
        failing.emplace(0);
    };
    bool thrown = false;
    try {
        rig.fleet.advance(at(20200ms));
    } catch (const std::bad_alloc&) {
        thrown = true;
    }
    const std::size_t failed = failing ? failing->failed() : 0;
    failing.reset();
    CHECK_FALSE(thrown);
    CHECK(failed == 1);
    rig.run(20300ms);
    CHECK(own.status().state == LinkState::cooldown);
    rig.run(30s);
    CHECK(rig.transports[0].dials == 2);
}

TEST_CASE("Fleet: services of the slow group dial although memory ran out while they moved",
          "[fleet][exhaustion_allocation][fault]") {
    std::size_t failed = 0;
    for (std::size_t good = 0; good < 60; ++good) {
        INFO("memory for " << good);
        FleetRig rig{{.dials_max = 2, .slow_dials_max = 1}};
        rig.transports.resize(6);
        for (std::size_t i = 0; i < 6; ++i) {
            rig.transports[i].log.reserve(1000);  // it also grows in a destructor
            rig.fleet.add(std::to_string(i), FakeTransport<>{rig.transports[i]},
                          Recorder{&rig.recorded.emplace_back()});
        }
        rig.fleet.start();
        rig.run(1s);
        // Dials move, end and wait for the group meanwhile.
        Instant now = at(1s);
        {
            const FailingNew failing{good};
            for (; now < at(9s); now = after(now, 50ms)) {
                for (int turns = 0; rig.fleet.deadline() <= now && turns < 20; ++turns) {
                    try {
                        rig.fleet.advance(now);
                    } catch (const std::bad_alloc&) {
                    }
                }
            }
            failed += failing.failed();
        }
        for (Duration t = 9s; t < 100s && !rig.all_up(); t += 100ms) {
            rig.run(t);
            for (std::size_t i = 0; i < 6; ++i) {
                if (rig.transports[i].live != 0 && rig.state(i) == LinkState::connecting)
                    rig.open(i);
            }
        }
        CHECK(rig.all_up());
        const FleetStatus status = rig.fleet.status();
        CHECK(status.dialling + status.dialling_slowly == 0);
    }
    CHECK(failed != 0);
}

TEST_CASE("Pool::start and resize may be called again after they ran out of memory",
          "[fleet][exhaustion_allocation][fault]") {
    for (const bool grows : {false, true}) {
        bool thrown = true;
        for (std::size_t good = 0; thrown; ++good) {
            INFO("grows " << grows << ", memory for " << good);
            REQUIRE(good < 100);
            PoolRig rig{4};
            if (grows) rig.pool->resize(0);
            rig.connections.opens = true;
            const auto act = [&] { grows ? rig.pool->resize(4) : rig.pool->start(); };
            if (grows) rig.pool->start();
            thrown = false;
            try {
                const FailingNew failing{good};
                act();
            } catch (const std::bad_alloc&) {
                thrown = true;
            }
            SECTION("at once") {}
            SECTION("later") { rig.run(5s); }
            act();
            rig.run(20s);
            CHECK(rig.pool->status().connected == 4);
        }
    }
}

TEST_CASE("PoolLease returns a suspect connection when there is no memory",
          "[fleet][exhaustion_allocation][fault]") {
    std::size_t refused = 0;
    for (int queued = 0; queued < 8; ++queued) {
        INFO("queued " << queued);
        PoolRig rig{3};
        rig.up();
        auto dead = rig.pool->acquire();
        auto suspect = rig.pool->acquire();
        REQUIRE(suspect);
        dead.report_unhealthy();
        rig.connections.opens = true;
        rig.run(15s);
        REQUIRE(rig.pool->status().connected == 3);
        const std::size_t dials = rig.connections.all.size();
        for (auto& connection : rig.connections.all) {
            for (int i = 0; i < queued; ++i) static_cast<void>(connection.link.writable());
        }
        refused += without_memory([&] { suspect.give_back(); });
        rig.run(20s);
        CHECK(rig.connections.all.size() == dials + 1);
        CHECK(rig.pool->status().connected == 3);
    }
    CHECK(refused != 0);
}
