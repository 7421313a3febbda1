// SPDX-License-Identifier: MIT
// Goal: a fleet of bridges, sessions and plain services survives black holes, refusals, frozen hosts
// and outages of the network, and once the faults end, all of them are well within a stated time.
// Method: a simulated world in which a site has one server of each kind, over many seeds.
#include <belay/sync/bridge_service.hpp>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/link/heartbeat.hpp>
#include <belay/policy/rules.hpp>
#include <belay/sim/accepted.hpp>
#include <belay/sim/tcp.hpp>

#include "support/catch.hpp"
#include "support/seeds.hpp"
#include "support/session/session_fleet_world.hpp"
#include "support/sync/bridge_fleet.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

constexpr FleetOptions small_fleet{.dials_max = 3, .slow_dials_max = 3};
BridgeOptions short_bridge() {
    // Pulls are rare, so that they do not find an edit that a lost call forgot.
    return {.pull = {.interval = 3min},
            .outage_wait = {FullJitter{}, Cap{5s}, 500ms},
            .answer_within = 2s,
            .calls_max = 2};
}

/// A fleet with a bridge, a session and a plain service to each of some sites.
class Sites : public BridgeFleet {
    using Reach = FarServer::Reach;
    struct Site {
        Site(Sites& w, sim::Host& host)
            : receiver{SimLedger{host.disk(), w.world.bits()}}, own{host} {
            host.attach(receiver);
            host.listen(1,
                        [this](sim::Accepted accepted) { receiver.accept(std::move(accepted)); });
            host.listen(2, [this](sim::Accepted accepted) {
                served.push_back(std::make_unique<Supervisor<sim::Accepted, MaxAttempts>>(
                    std::move(accepted), MaxAttempts{1}));
                own.attach(*served.back());
                served.back()->start();
            });
        }
        Receiver<sim::Accepted, SimLedger> receiver;
        sim::Host& own;
        std::vector<std::unique_ptr<Supervisor<sim::Accepted, MaxAttempts>>> served{};
    };
    using Outbox = Journal<sim::Disk>;
    using Sent = Session<sim::Tcp, decltype(short_waits()), Queue<Outbox>>::Service;

public:
    Sites(Seed seed, int count) : BridgeFleet{count, 0, small_fleet, short_bridge(), seed} {
        for (int i = 0; i < count; ++i) {
            const std::string name = "site " + std::to_string(i);
            hosts_.push_back(&world.host(
                name, [this](sim::Host& h) { return std::make_unique<Site>(*this, h); }));
            auto outbox = Outbox::open(
                host.disk(), "data/" + std::to_string(i),
                {.segment_bytes = 8192, .record_bytes_max = 512, .seed = Seed{world.bits()()}});
            REQUIRE(outbox.has_value());
            sessions_.push_back(
                &fleet->add("session " + std::to_string(i), sim::Tcp{host, name, 1}, short_waits(),
                            Queue{std::move(*outbox)},
                            SessionOptions{.id = Id{static_cast<std::byte>(i + 1)}}));
            fleet->add("plain " + std::to_string(i),
                       Heartbeat{sim::Tcp{host, name, 2}, {.every = 5s, .dead_after = 12s}},
                       short_waits());
            texts_.emplace_back();
        }
        start();
    }

    /// Faults and edits for some minutes.
    void trouble(Duration time) {
        for (const Instant end = after(world.now(), time); world.now() < end;) {
            const auto i = draw(hosts_.size());
            switch (draw(9)) {
                case 0:
                case 1:
                    fail(i, Reach::black_hole);
                    break;
                case 2:
                    fail(i, Reach::refuses);
                    break;
                case 3:
                    fail(i, Reach::frozen);
                    break;
                case 4:
                    for (std::size_t k = 0; k < hosts_.size(); ++k) fail(k, Reach::black_hole);
                    break;
                case 5:
                    heal();
                    break;
                case 6:
                    fleet->reconnect_all(draw(2) == 0);
                    break;
                case 7:
                    begin_again(static_cast<int>(i));
                    break;
                default:
                    mend(i);
                    break;
            }
            work();
            run_checked(some(12s));
        }
    }
    /// The faults of each site, and work that cannot be done.
    void fail_all() {
        constexpr Reach faults[] = {Reach::black_hole, Reach::refuses, Reach::frozen};
        const bool same = draw(2) == 0;
        const Reach first = faults[draw(3)];
        for (std::size_t i = 0; i < hosts_.size(); ++i) fail(i, same ? first : faults[draw(3)]);
        for (int n = 0; n < 6; ++n) work();
    }
    void heal() {
        for (std::size_t i = 0; i < hosts_.size(); ++i) mend(i);
    }
    /// One edit of a bridge, and one operation of a session.
    void work() {
        const auto i = draw(hosts_.size());
        edit(static_cast<int>(i), "edit " + std::to_string(++edits_), std::string{"stu"[draw(3)]});
        texts_[i].push_back("operation " + std::to_string(texts_[i].size() + 1));
        REQUIRE(sessions_[i]->send(as_bytes(texts_[i].back())).has_value());
        REQUIRE_FALSE(sessions_[i]->commit());
    }
    [[nodiscard]] bool is_well() {
        if (fleet->counters().count(LinkState::connected) != fleet->size()) return false;
        return fleet->status().queued == 0;
    }
    void check_all() {
        for (std::size_t i = 0; i < hosts_.size(); ++i) {
            INFO("site " << i);
            One& one = at(static_cast<int>(i));
            for (const auto& [name, scene] : one.board.scenes) {
                CHECK(one.server.scenes[name].content == scene.content);
            }
            const SimLedger ledger{hosts_[i]->disk()};
            std::vector<std::string> applied;
            for (const Effect& effect : ledger.effects()) applied.push_back(effect.text);
            CHECK(applied == texts_[i]);
        }
    }
    std::uint64_t draw(std::uint64_t below) { return uniform_upto(world.bits(), below - 1); }
    Duration some(Duration most) {
        return Duration{static_cast<std::int64_t>(draw(static_cast<std::uint64_t>(most.count())))};
    }

    void run_checked(Duration time) {
        for (Duration left = time; left > Duration{0}; left -= 500ms) {
            world.run_for(std::min<Duration>(left, 500ms));
            const FleetCounters now = fleet->counters();
            REQUIRE(now.dialling <= small_fleet.dials_max);
            REQUIRE(now.dialling_slowly <= small_fleet.slow_dials_max);
            std::size_t counted = 0;
            for (const std::size_t n : now.totals) counted += n;
            REQUIRE(counted == fleet->size());
            REQUIRE(now.count(LinkState::failed) + now.count(LinkState::blocked_auth) == 0);
        }
    }

private:
    void fail(std::size_t i, Reach reach) {
        mend(i);
        sim::Host& site = *hosts_[i];
        at(static_cast<int>(i)).server.become(reach);
        if (reach == Reach::frozen) return world.pause(site);
        if (reach == Reach::black_hole) {
            if (draw(2) == 0) world.network().drop_connections(host, site);
            return world.network().partition(host, site);
        }
        world.network().refuse(site);
        world.network().drop_connections(host, site);
    }
    void mend(std::size_t i) {
        sim::Host& site = *hosts_[i];
        world.network().heal(host, site);
        world.network().accept(site);
        world.resume(site);
        at(static_cast<int>(i)).server.become(Reach::up);
    }
    /// Removes a bridge, and adds another one over the same board.
    void begin_again(int i) {
        REQUIRE(fleet->remove(std::string(1, static_cast<char>('a' + i))));
        again(at(i), std::string(1, static_cast<char>('a' + i)), short_bridge());
        bridge(i).start();
        // The new bridge has no list of edits that the former one had not pushed. Without this
        // call, it finds them in its first pull, whose time is drawn from the interval.
        for (const auto& [name, scene] : at(i).board.scenes) bridge(i).changed(name);
    }
    std::vector<sim::Host*> hosts_{};
    std::vector<Sent*> sessions_{};
    std::vector<std::vector<std::string>> texts_{};
    int edits_ = 0;
};

}  // namespace

TEST_CASE("A fleet of bridges, sessions and plain services works within 20 s of the last fault",
          "[sync][bridge_service][sim]") {
    for_each_seed(
        [](Seed seed) {
            Sites w{seed, 4};
            w.run_for(20s);
            REQUIRE(w.is_well());
            w.trouble(4min);
            w.fail_all();
            w.run_checked(w.some(2min));
            w.heal();
            if (!w.world.run_until([&] { return w.is_well(); }, 20s)) {
                for (const ServiceStatus& s : w.fleet->status().services) {
                    UNSCOPED_INFO(s.name << " " << to_string(s.link.state) << " queued " << s.queued
                                         << (s.waiting_to_dial ? " in line" : ""));
                }
                CHECK(w.is_well());
            }
            w.run_for(12s);
            w.check_all();
        },
        30);
}
