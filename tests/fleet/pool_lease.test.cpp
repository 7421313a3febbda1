// SPDX-License-Identifier: MIT
// Goal: a lease whose pool shrinks, stops or is destroyed is stale, and never dangles. Method: each
// of these, in hooks and outside, with leases in use.
#include <belay/fleet/pool.hpp>

#include <functional>

#include "support/fleet/pool_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// Runs a function of the test when a connection receives a message.
struct Acts {
    std::function<void(std::size_t)>* act;
    int* reported;
    void on_message(std::size_t i, const std::string&) {
        ++*reported;
        (*act)(i);
    }
};

}  // namespace

TEST_CASE("PoolLease: a pool shrinks while leases exist", "[fleet][pool_lease][unit]") {
    PoolRig rig{3};
    rig.up();
    std::vector<PoolRig::Tested::Lease> leases;
    for (int i = 0; i < 3; ++i) leases.push_back(rig.pool->acquire());
    rig.pool->resize(1);
    int valid = 0;
    for (auto& lease : leases) {
        const bool there = static_cast<bool>(lease);
        CHECK(there == (lease.index() == 0));
        CHECK(lease.send("hello") == (there ? SendResult::sent : SendResult::down));
        valid += there ? 1 : 0;
    }
    CHECK(valid == 1);
    rig.run(10s);
    CHECK(rig.connections.live() == 1);
    // The slot has a new connection: an old lease is not valid for it.
    rig.connections.opens = true;
    rig.pool->resize(3);
    rig.run(20s);
    CHECK(rig.pool->status().connected == 3);
    for (auto& lease : leases) CHECK(static_cast<bool>(lease) == (lease.index() == 0));
    leases.clear();
    CHECK(rig.pool->status().idle == 3);
}

TEST_CASE("PoolLease: a pool stops, starts again, and is destroyed while a lease exists",
          "[fleet][pool_lease][unit]") {
    PoolRig rig{2};
    rig.up();
    PoolLease a = rig.pool->acquire();
    rig.pool->stop();
    CHECK_FALSE(a);
    CHECK(a.send("hello") == SendResult::down);
    rig.up(20s);
    CHECK_FALSE(a);  // another connection has the slot now
    CHECK(a.send("hello") == SendResult::down);
    a.give_back();
    PoolLease b = rig.pool->acquire();
    REQUIRE(b);
    CHECK(b.send("hello") == SendResult::sent);
    PoolLease moved = std::move(b);
    CHECK(moved);
    rig.pool.reset();
    CHECK_FALSE(moved);
    CHECK(moved.send("hello") == SendResult::down);
    moved.report_unhealthy();
    moved.give_back();
}

TEST_CASE("PoolLease stays stale when its connection ends and is replaced",
          "[fleet][pool_lease][unit]") {
    PoolRig rig{1};
    rig.up();
    PoolLease lease = rig.pool->acquire();
    rig.connections.opens = true;
    lease.report_unhealthy();
    rig.run(20s);
    CHECK(rig.pool->status().connected == 1);
    CHECK_FALSE(lease);
    CHECK(lease.send("hello") == SendResult::down);
    CHECK(rig.connections.all.back().sent.empty());
    PoolLease next = rig.pool->acquire();
    lease.give_back();  // no longer its own
    CHECK(next);
    CHECK(rig.pool->status().leased == 1);
}

TEST_CASE("Pool leases no connection again that its borrower has reported dead",
          "[fleet][pool_lease][regression]") {
    PoolRig rig{2};
    rig.up();
    {
        PoolLease dead = rig.pool->acquire();
        dead.report_unhealthy({.cause = Cause::timed_out});
        CHECK(dead);
    }  // returns it before the pool's next turn
    CHECK(rig.pool->status().leased == 1);
    PoolLease other = rig.pool->acquire();
    REQUIRE(other);
    CHECK_FALSE(rig.pool->acquire());
    other.give_back();
    // The other one has received nothing since, so it is suspect, as after a report without a
    // return.
    rig.run(10s);
    CHECK(rig.pool->status().leased == 0);
    CHECK(rig.pool->status().suspect == 1);
    CHECK_FALSE(rig.pool->acquire());
    rig.connections.opens = true;
    rig.run(20s);
    CHECK(rig.pool->status().idle == 2);
}

TEST_CASE("PoolLease: a hook shrinks its pool, stops it, and destroys it",
          "[fleet][pool_lease][unit]") {
    for (int what = 0; what < 3; ++what) {
        ScriptedConnections connections;
        connections.opens = true;
        int reported = 0;
        std::function<void(std::size_t)> act = [](std::size_t) {};
        using Acting = Pool<ScriptedPoolTransport, decltype(a_second()), Acts>;
        auto pool = std::make_unique<Acting>(ScriptedPoolTransport{&connections}, a_second(),
                                             PoolOptions{.size = 2}, Acts{&act, &reported});
        pool->attach(Waker{});
        const auto run = [&](Duration now) {
            for (int i = 0; pool != nullptr && i < 100 && pool->deadline() <= at(now); ++i) {
                pool->advance(at(now));
            }
        };
        pool->start();
        run(0s);
        run(2s);
        REQUIRE(pool->status().connected == 2);
        PoolLease lease = pool->acquire();
        PoolLease other = pool->acquire();
        act = [&](std::size_t) {
            if (what == 0) pool->resize(0);
            if (what == 1) pool->stop();
            if (what == 2) pool.reset();
            CHECK_FALSE(lease);
            CHECK(lease.send("hello") == SendResult::down);
        };
        for (auto& connection : connections.all) {
            static_cast<void>(connection.link.received("first"));
            static_cast<void>(connection.link.received("second"));
        }
        run(2s);
        CHECK(reported == 1);
        CHECK(connections.live() == 0);
    }
}
