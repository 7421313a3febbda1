// SPDX-License-Identifier: MIT
// Goal: one connection redials for all. A connection that was idle longer than a dead one is not
// leased. Callers are notified in time. Method: scripted connections and time.
#include <belay/fleet/pool.hpp>

#include <algorithm>
#include <stdexcept>

#include <belay/core/tee.hpp>
#include <belay/link/bundle.hpp>
#include <belay/policy/rules.hpp>

#include "support/core/observed_in_every_form.hpp"
#include "support/fleet/pool_rig.hpp"
#include "support/seeds.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

struct PoolRecorder {
    Recorded& reported;
    void on_state(auto& pool, std::size_t i, const Transition& t) {
        reported.push_back(std::to_string(i) + " of " + std::to_string(pool.status().size) + " " +
                           std::string{to_string(t.to.state)});
    }
    void on_message(std::size_t i, std::string m) {
        reported.push_back(std::to_string(i) + " says " + m);
    }
    void on_writable(std::size_t i, Lane) { reported.push_back(std::to_string(i) + " writable"); }
    void on_idle() { reported.emplace_back("idle"); }
};

struct LaneRecorder {
    Recorded& reported;
    void on_message(std::size_t i, const std::string& m, Lane lane) {
        reported.push_back(std::to_string(i) + " says " + m + " on " + std::to_string(lane));
    }
};

/// Starts its pool again when the first of its connections has stopped.
struct Restarts {
    bool done = false;
    void on_state(auto& pool, std::size_t, const Transition& t) {
        if (t.to.state == LinkState::stopped && !std::exchange(done, true)) pool.start();
    }
};

}  // namespace

TEST_CASE("Pool: one connection dials, and the others wait for it", "[fleet][pool][unit]") {
    PoolRig rig{5};
    rig.pool->start();
    rig.run(60s);
    // One dial at a time, for 30 s each, and one second apart.
    CHECK(rig.connections.all.size() == 2);
    CHECK(rig.connections.live() == 1);
    CHECK(rig.pool->status().scouting);
    static_cast<void>(rig.connections.all.back().link.opened());
    rig.run(60s);
    CHECK_FALSE(rig.pool->status().scouting);
    CHECK(rig.pool->status().connected == 1);
    rig.connections.opens = true;
    rig.run(62s);
    CHECK(rig.pool->status().connected == 5);
    CHECK(rig.connections.all.size() == 6);
}

TEST_CASE("Pool over a Bundle notifies of the lane of each message", "[fleet][pool][unit]") {
    ScriptedConnections connections{.opens = true};
    Recorded lanes;
    Recorded all;
    const ScriptedPoolTransport one{&connections};
    Pool pool{Bundle{one, one}, a_second(), PoolOptions{.size = 1},
              Tee{PoolNotes{&all}, LaneRecorder{lanes}}};
    pool.attach(Waker{});
    pool.start();
    const auto run = [&pool] {
        while (pool.deadline() <= at(1s)) pool.advance(at(1s));
    };
    run();
    REQUIRE(pool.status().connected == 1);
    CHECK(connections.all[1].link.received("b") == driver::Post::taken);
    CHECK(connections.all[0].link.received("a") == driver::Post::taken);
    run();
    CHECK(lanes == Recorded{"0 says b on 1", "0 says a on 0"});
    CHECK(std::count(all.begin(), all.end(), "0 says a") == 1);
    CHECK(pool.acquire().send("c", 1) == SendResult::sent);
    CHECK(connections.all[1].sent == Recorded{"c"});
}

TEST_CASE("Pool: a dead connection in use makes those suspect that were idle for longer",
          "[fleet][pool][unit]") {
    PoolRig rig{4};
    rig.up();
    auto& states = rig.connections.all;
    rig.run(20s);
    // They dialled in the order of random waits; `index[i]` is the connection that dialled as
    // number i.
    std::vector<std::size_t> index;
    for (std::size_t i = 0; i < 3; ++i) {
        CHECK(states[i].link.received("here") == driver::Post::taken);
        rig.run(20s + static_cast<std::int64_t>(i + 1) * 1s);
        index.push_back(std::stoul(rig.observed.back()));
        CHECK(rig.observed.back() == std::to_string(index.back()) + " says here");
    }
    // The last sign of life of number 3 was at its dial, that of 0 at 20 s, of 1 at 21 s, and of 2
    // at 22 s. The connection with the latest sign of life is leased first.
    PoolLease two = rig.pool->acquire();
    PoolLease one = rig.pool->acquire();
    REQUIRE(two);
    REQUIRE(one);
    CHECK(two.index() == index[2]);
    CHECK(one.index() == index[1]);
    two.give_back();
    CHECK(rig.pool->status().idle == 3);
    static_cast<void>(states[1].link.closed(lost));
    rig.run(30s - 1ns);
    CHECK_FALSE(one);
    const PoolStatus status = rig.pool->status();
    CHECK(status.scouting);
    CHECK(status.connected == 3);
    CHECK(status.suspect == 2);
    CHECK(status.idle == 1);
    // 0 sends a message; 2 is leased, and 3 is not.
    CHECK(states[0].link.received("alive") == driver::Post::taken);
    rig.run(30s - 1ns);
    CHECK(rig.pool->status().suspect == 1);
    PoolLease a = rig.pool->acquire();
    PoolLease b = rig.pool->acquire();
    CHECK(a.index() == index[0]);
    CHECK(b.index() == index[2]);
    CHECK_FALSE(rig.pool->acquire());
    // The scout is connected: 3 is replaced, once.
    const std::size_t dials = states.size();
    rig.connections.opens = true;
    static_cast<void>(states.back().link.opened());
    rig.run(40s);
    CHECK(rig.pool->status().suspect == 0);
    CHECK(rig.pool->status().connected == 4);
    CHECK(states.size() == dials + 1);
    CHECK_FALSE(states[3].live);
    CHECK(a);
    CHECK(b);
}

TEST_CASE("Pool: a suspect connection in use is replaced when its lease returns it",
          "[fleet][pool][unit]") {
    PoolRig rig{2};
    rig.up();
    PoolLease a = rig.pool->acquire();
    PoolLease b = rig.pool->acquire();
    rig.connections.opens = true;
    const std::size_t newer = a.index();
    static_cast<void>(rig.connections.all[newer].link.received("newest"));
    rig.run(11s);
    a.report_unhealthy();
    rig.run(20s);
    CHECK_FALSE(a);
    CHECK(b);
    CHECK(rig.pool->status().connected == 2);
    const std::size_t dials = rig.connections.all.size();
    b.give_back();
    CHECK(rig.pool->status().suspect == 1);
    rig.run(30s);
    CHECK(rig.pool->status().suspect == 0);
    CHECK(rig.pool->status().idle == 2);
    CHECK(rig.connections.all.size() == dials + 1);
}

TEST_CASE("Pool: another connection dials when the first one fails for good, and all of them end",
          "[fleet][pool][unit]") {
    ScriptedConnections connections;
    connections.fails = {.cause = Cause::refused};
    Pool pool{ScriptedPoolTransport{&connections}, MaxAttempts{3}, {.size = 4}};
    pool.attach(Waker{});
    Instant now{};
    const auto run = [&](Instant until) {
        for (int i = 0; i < 10'000 && pool.deadline() <= until; ++i) {
            now = belay::detail::larger(now, pool.deadline());
            pool.advance(now);
        }
        now = until;
    };
    pool.start();
    run(at(60s));
    CHECK(connections.all.size() == 12);
    for (std::size_t i = 0; i < 4; ++i) CHECK(pool.status(i).state == LinkState::failed);
    CHECK_FALSE(pool.status().scouting);
    CHECK(pool.deadline() == never);
    connections.fails = {};
    connections.opens = true;
    pool.reconnect_now();
    run(at(120s));
    CHECK(pool.status().connected == 4);
}

TEST_CASE("Pool::resize: one of the new connections dials, and the others wait for it",
          "[fleet][pool][unit]") {
    PoolRig rig{1};
    rig.pool->resize(0);
    rig.pool->start();
    rig.pool->resize(5);
    rig.run(0s);
    CHECK(rig.connections.all.size() == 1);
    CHECK(rig.pool->status().scouting);
}

TEST_CASE("Pool::credentials: one of the blocked connections dials", "[fleet][pool][unit]") {
    PoolRig rig{3};
    rig.connections.fails = {.cause = Cause::unauthorized};
    rig.pool->start();
    rig.run(60s);
    REQUIRE(rig.connections.all.size() == 3);
    for (std::size_t i = 0; i < 3; ++i) {
        REQUIRE(rig.pool->status(i).state == LinkState::blocked_auth);
    }
    rig.connections.fails = {};
    rig.pool->credentials();
    rig.run(60s);
    CHECK(rig.connections.all.size() == 4);
    rig.connections.opens = true;
    static_cast<void>(rig.connections.all.back().link.opened());
    rig.run(70s);
    CHECK(rig.pool->status().connected == 3);
}

TEST_CASE("Pool::stop: no connection dials after it, and a start in its hooks counts for all",
          "[fleet][pool][unit]") {
    SECTION("dialling") {
        PoolRig rig{3};
        rig.pool->start();
        rig.run(1s);
        REQUIRE(rig.pool->status().scouting);
        rig.pool->stop();
        CHECK_FALSE(rig.pool->status().scouting);
    }
    SECTION("a start in a hook") {
        ScriptedConnections connections;
        connections.opens = true;
        Pool pool{ScriptedPoolTransport{&connections}, a_second(), {.size = 3}, Restarts{}};
        pool.attach(Waker{});
        const auto run = [&](Instant until) {
            for (int i = 0; i < 1000 && pool.deadline() <= until; ++i) {
                pool.advance(detail::larger(at(0s), pool.deadline()));
            }
        };
        pool.start();
        run(at(10s));
        REQUIRE(pool.status().connected == 3);
        pool.stop();
        CHECK(pool.status().connected == 0);
        run(at(20s));
        CHECK(pool.status().connected == 3);
    }
}

TEST_CASE("Pool::acquire: a caller without a connection is notified once, when one is idle",
          "[fleet][pool][unit]") {
    PoolRig rig{1};
    rig.up();
    PoolLease lease = rig.pool->acquire();
    CHECK_FALSE(rig.pool->acquire());
    CHECK_FALSE(rig.pool->acquire());
    rig.run(11s);
    CHECK(rig.observed.empty());
    lease.give_back();
    rig.run(11s);
    CHECK(rig.observed == std::vector<std::string>{"idle"});
    PoolLease again = rig.pool->acquire();
    CHECK(again);
    again.give_back();
    rig.run(12s);
    CHECK(rig.observed.size() == 1);
}

TEST_CASE("Pool calls each hook, in every form of observer", "[fleet][pool][unit]") {
    observed_in_every_form<PoolRecorder>(
        [](auto observer) {
            ScriptedConnections connections;
            Pool pool{
                ScriptedPoolTransport{&connections}, a_second(), {.size = 1}, std::move(observer)};
            pool.attach(Waker{});
            static_cast<void>(pool.acquire());
            pool.start();
            const auto run = [&] {
                for (int i = 0; i < 100 && pool.deadline() <= at(0s); ++i) pool.advance(at(0s));
            };
            run();
            static_cast<void>(connections.all[0].link.opened());
            static_cast<void>(connections.all[0].link.writable());
            static_cast<void>(connections.all[0].link.received("hello"));
            run();
            pool.stop();
        },
        {"0 of 1 connecting", "0 of 1 connected", "0 writable", "0 says hello", "idle",
         "0 of 1 stopped"});
}

TEST_CASE("Pool leases a connection to one caller, an open one, and dials one at a time",
          "[fleet][pool][property]") {
    for_each_seed(
        [](Seed seed) {
            PoolRig rig{1 + seed.value % 5};
            Random bits{seed};
            const auto upto = [&](std::uint64_t most) { return uniform_upto(bits, most); };
            std::vector<PoolRig::Tested::Lease> leases;
            rig.pool->start();
            Duration now{};
            for (int step = 0; step < 300; ++step) {
                auto& all = rig.connections.all;
                switch (upto(9)) {
                    case 0:
                    case 1:
                        leases.push_back(rig.pool->acquire());
                        break;
                    case 2:
                        if (!leases.empty()) leases.erase(leases.begin());
                        break;
                    case 3:
                        if (!leases.empty()) leases.front().report_unhealthy();
                        break;
                    case 4:
                    case 5:
                        if (!all.empty()) static_cast<void>(all.back().link.opened());
                        break;
                    case 6:
                        if (!all.empty()) {
                            auto& one = all[upto(all.size() - 1)];
                            static_cast<void>(one.link.closed({.cause = Cause::lost}));
                        }
                        break;
                    case 7:
                        if (!all.empty()) {
                            std::string text{"m"};
                            static_cast<void>(
                                all[upto(all.size() - 1)].link.received(std::move(text)));
                        }
                        break;
                    case 8:
                        if (upto(9) == 0) rig.pool->resize(upto(5));
                        break;
                    default:
                        rig.connections.opens = upto(3) == 0;
                        break;
                }
                now += Duration{static_cast<std::int64_t>(upto(3'000'000'000))};
                rig.run(now);
                // Each valid lease is of another connection, and its messages arrive.
                std::vector<std::size_t> indices;
                for (auto& lease : leases) {
                    if (!lease) continue;
                    indices.push_back(lease.index());
                    REQUIRE(lease.send("x") == SendResult::sent);
                }
                std::sort(indices.begin(), indices.end());
                REQUIRE(std::adjacent_find(indices.begin(), indices.end()) == indices.end());
                const PoolStatus status = rig.pool->status();
                REQUIRE(indices.size() == status.leased);
                REQUIRE(status.leased + status.idle + status.suspect == status.connected);
                std::size_t dialling = 0;
                for (std::size_t i = 0; i < status.size; ++i) {
                    dialling += rig.pool->status(i).state == LinkState::connecting ? 1U : 0U;
                }
                if (status.scouting && status.connected == 0) REQUIRE(dialling <= 1);
                // A connection is open, or one dials.
                if (status.connected == 0 && status.size != 0) REQUIRE(status.scouting);
            }
            // Without faults all connections open, and none stays suspect.
            leases.clear();
            rig.connections.opens = true;
            rig.run(now + 2min);
            REQUIRE(rig.pool->status().idle == rig.pool->status().size);
        },
        300);
}

namespace {
/// Records the numbers of a pool: connected, leased, idle, suspect, awaited.
struct LeaseNotes {
    std::vector<std::string>* all;
    std::function<void()> then = {};
    void on_leases(auto& pool, const PoolStatus& s) {
        CHECK(s == pool.status());
        all->push_back(std::to_string(s.connected) + " up, " + std::to_string(s.leased) +
                       " leased, " + std::to_string(s.idle) + " idle, " +
                       std::to_string(s.suspect) + " suspect, " + std::to_string(s.awaited) +
                       " awaited");
        if (then) then();
    }
};
using NotedPool = Pool<ScriptedPoolTransport, decltype(a_second()), LeaseNotes>;
void run_pool(std::unique_ptr<NotedPool>& pool, Duration until) {
    for (int i = 0; i < 999 && pool != nullptr && pool->deadline() <= at(until); ++i) {
        pool->advance(detail::larger(pool->deadline(), before(at(until), 10s)));
    }
    REQUIRE((pool == nullptr || pool->deadline() > at(until)));
}
}  // namespace

TEST_CASE("Pool notifies of its leases once in a turn, after they have changed",
          "[fleet][pool][unit]") {
    ScriptedConnections connections;
    connections.opens = true;
    std::vector<std::string> all;
    auto pool = std::make_unique<NotedPool>(ScriptedPoolTransport{&connections}, a_second(),
                                            PoolOptions{.size = 2}, LeaseNotes{&all});
    pool->attach(Waker{});
    Duration now{};
    const auto took = [&] {
        run_pool(pool, now += 10s);
        const std::vector<std::string> once = std::exchange(all, {});
        REQUIRE(once.size() <= 9);
        return once.empty() ? std::string{} : once.back();
    };
    CHECK(took() == "0 up, 0 leased, 0 idle, 0 suspect, 0 awaited");
    pool->start();
    CHECK(took() == "2 up, 0 leased, 2 idle, 0 suspect, 0 awaited");
    auto first = pool->acquire();
    auto second = pool->acquire();
    CHECK_FALSE(pool->acquire());
    CHECK_FALSE(pool->acquire());
    CHECK(pool->status().awaited == 2);
    CHECK(took() == "2 up, 2 leased, 0 idle, 0 suspect, 2 awaited");
    CHECK(took() == "");
    second.give_back();
    CHECK(took() == "2 up, 1 leased, 1 idle, 0 suspect, 0 awaited");
    connections.opens = false;
    first.report_unhealthy();
    // The last sign of life of the idle connection was not later than that of the dead one.
    CHECK(took() == "1 up, 0 leased, 0 idle, 1 suspect, 0 awaited");
    pool->resize(0);
    CHECK(took() == "0 up, 0 leased, 0 idle, 0 suspect, 0 awaited");
}

TEST_CASE("Pool may be destroyed inside on_leases", "[fleet][pool][unit]") {
    ScriptedConnections connections;
    connections.opens = true;
    std::vector<std::string> all;
    auto pool = std::make_unique<NotedPool>(ScriptedPoolTransport{&connections}, a_second(),
                                            PoolOptions{.size = 2}, LeaseNotes{&all});
    pool->attach(Waker{});
    run_pool(pool, 0s);
    pool->observer().then = [&] { pool.reset(); };
    pool->start();
    run_pool(pool, 0s);
    CHECK(pool == nullptr);
    CHECK(connections.live() == 0);
}

TEST_CASE("Pool continues after each of its hooks has thrown", "[fleet][pool][fault]") {
    struct Throws {
        int* left;
        int* calls;
        void may_throw() const {
            ++*calls;
            if (--*left == 0) throw std::runtime_error{"from a hook"};
        }
        void on_state(std::size_t, const Transition&) const { may_throw(); }
        void on_message(std::size_t, const std::string&) const { may_throw(); }
        void on_writable(std::size_t, Lane) const { may_throw(); }
        void on_idle() const { may_throw(); }
        void on_leases(const PoolStatus&) const { may_throw(); }
    };
    const auto play = [](int nth) {
        ScriptedConnections connections;
        connections.opens = true;
        int left = nth;
        int calls = 0;
        int thrown = 0;
        Pool pool{ScriptedPoolTransport{&connections}, a_second(), PoolOptions{.size = 2},
                  Throws{&left, &calls}};
        pool.attach(Waker{});
        Duration now{};
        const auto run = [&] {
            const Instant from = at(now);
            now += 10s;
            for (int i = 0; i < 999 && pool.deadline() <= at(now); ++i) {
                try {
                    pool.advance(detail::larger(pool.deadline(), from));
                } catch (const std::runtime_error&) {
                    ++thrown;
                }
            }
        };
        pool.start();
        run();
        auto lease = pool.acquire();
        auto other = pool.acquire();
        CHECK_FALSE(pool.acquire());
        run();
        for (auto& connection : connections.all) {
            static_cast<void>(connection.link.received("hello"));
            static_cast<void>(connection.link.writable());
        }
        run();
        lease.give_back();
        run();
        other.report_unhealthy();
        run();
        CHECK(thrown == (nth == 0 ? 0 : 1));
        CHECK(pool.status().idle == 2);
        CHECK(pool.acquire());
        return calls;
    };
    const int all = play(0);
    REQUIRE(all >= 12);
    for (int nth = 1; nth <= all; ++nth) {
        INFO("call " << nth);
        CHECK(play(nth) >= all - 1);
    }
}
