// SPDX-License-Identifier: MIT
// Goal: a link, a pool and a fleet over three endpoints are connected soon, although one endpoint
// rejects every connection with a final cause for ever, and the others fail and return. Method:
// simulated worlds with three servers, two of which fail in one of three ways.
#include <belay/link/endpoints.hpp>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/fleet/fleet.hpp>
#include <belay/fleet/pool.hpp>
#include <belay/link/heartbeat.hpp>
#include <belay/policy/rules.hpp>
#include <belay/sim/accepted.hpp>
#include <belay/sim/world.hpp>

#include "support/catch.hpp"
#include "support/seeds.hpp"
#include "support/worlds/silent_server.hpp"
#include "support/worlds/watched_tcp.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// A WatchedTcp whose connection to one host ends with a final cause, as a close code has.
struct RejectedTcp {
    using message_type = Bytes;
    WatchedTcp tcp;
    std::string rejecting;
    Cause why;

    class Connection : public part::Wrapped<WatchedTcp::Connection, Bytes> {
        using Base = part::Wrapped<WatchedTcp::Connection, Bytes>;

    public:
        template <class F>
        Connection(Cause why, F&& make) : Base{std::forward<F>(make)}, why_{why} {}
        [[nodiscard]] bool sift(part::Event<Bytes>& event, Turn& turn) {
            if (!Base::sift(event, turn)) return false;
            const bool ends = event.kind == part::EventKind::closed;
            if (ends && why_ != Cause::none) event.failure.cause = why_;
            return true;
        }

    private:
        Cause why_;
    };

    [[nodiscard]] Connection open(const Link<Bytes>& link, const std::string& peer) {
        return {peer == rejecting ? why : Cause::none,
                [&] { return tcp.open(link.child(), peer); }};
    }
};

auto rejection_policy() {
    return Policy{Backoff{FullJitter{}, Cap{2s}, 250ms}, ResetWhenStable{2s}, AttemptTimeout{2s}};
}

/// A link, a pool of four connections and a fleet of three services to the same endpoints.
class RejectedClient {
    using Places = Endpoints<RejectedTcp, std::string>;
    using Transport = Heartbeat<Places>;
    using PolicyType = decltype(rejection_policy());

public:
    RejectedClient(sim::Host& host, sim::History& history, std::string rejecting, Cause why)
        : record_{.history = &history, .name = "client"},
          rejecting_{std::move(rejecting)},
          why_{why},
          link_{transport(host), rejection_policy()},
          pool_{transport(host), rejection_policy(), {.size = 4}} {
        for (int i = 0; i < 3; ++i) {
            fleet_.add("service " + std::to_string(i), transport(host), rejection_policy());
        }
        host.attach(link_);
        host.attach(pool_);
        host.attach(fleet_);
        link_.start();
        pool_.start();
        fleet_.start();
    }
    [[nodiscard]] bool is_link_up() const { return link_.status().state == LinkState::connected; }
    [[nodiscard]] LinkState link_state() const { return link_.status().state; }
    [[nodiscard]] bool is_whole() {
        return is_link_up() && pool_.status().connected == 4 &&
               fleet_.counters().count(LinkState::connected) == 3;
    }

private:
    Transport transport(sim::Host& host) {
        return {Places{RejectedTcp{WatchedTcp{host, record_}, rejecting_, why_},
                       {std::string{"a"}, std::string{"b"}, std::string{"c"}}},
                {.every = 1s, .dead_after = 2500ms}};
    }

    ConnectionRecord record_;
    std::string rejecting_;
    Cause why_;
    Supervisor<Transport, PolicyType> link_;
    Pool<Transport, PolicyType> pool_;
    Fleet<> fleet_;
};

/// A client, and its servers `a`, `b` and `c`, of which one rejects every connection.
struct RejectionWorld {
    RejectionWorld(Seed seed, std::size_t rejecting, Cause why) : world{seed} {
        const std::string names[] = {"a", "b", "c"};
        for (std::size_t i = 0; i < 3; ++i) {
            if (i == rejecting) {
                world.host(names[i],
                           [](sim::Host& host) { return std::make_unique<ClosingServer>(host); });
            } else {
                good.push_back(&world.host(names[i], [](sim::Host& host) {
                    return std::make_unique<SilentServer>(host);
                }));
            }
        }
        client = &world.host("client", [this, name = names[rejecting], why](sim::Host& host) {
            return std::make_unique<RejectedClient>(host, history, name, why);
        });
    }
    [[nodiscard]] RejectedClient& program() { return *client->process<RejectedClient>(); }
    void fail(sim::Host& server, int fault) {
        if (fault == 0) world.kill(server);
        if (fault == 1) world.network().partition(server, *client);
        if (fault == 2) world.pause(server);
    }
    void heal(sim::Host& server, int fault) {
        if (fault == 0) world.restart(server);
        if (fault == 1) world.network().heal(server, *client);
        if (fault == 2) world.resume(server);
    }
    [[nodiscard]] bool becomes_whole(Duration within) {
        return world.run_until([&] { return program().is_whole(); }, within);
    }

    sim::World world;
    sim::History history{world.clock()};
    std::vector<sim::Host*> good;
    sim::Host* client = nullptr;
};

}  // namespace

TEST_CASE("Endpoints: link, pool and fleet are connected although one endpoint rejects for ever",
          "[worlds][endpoints][sim]") {
    const std::size_t rejecting = GENERATE(0U, 1U, 2U);
    const Cause why = GENERATE(Cause::permanent, Cause::forbidden, Cause::unauthorized);
    const int fault = GENERATE(0, 1, 2);
    CAPTURE(rejecting, why, fault);
    RejectionWorld rig{Seed{7 + rejecting}, rejecting, why};
    CHECK(rig.becomes_whole(5s));
    rig.world.run_for(10s);
    CHECK(rig.program().is_whole());
    // One of the others fails, and then both do, one after the other.
    for (sim::Host* server : rig.good) {
        rig.fail(*server, fault);
        rig.world.run_for(5s);
        CHECK(rig.becomes_whole(15s));
        rig.world.run_for(10s);
        rig.heal(*server, fault);
        rig.world.run_for(10s);
        CHECK(rig.program().is_whole());
    }
}

TEST_CASE("Endpoints: a link returns after an outage of all endpoints except one that rejects",
          "[worlds][endpoints][sim]") {
    for_each_seed(
        [&](Seed seed) {
            const auto drawn = static_cast<std::size_t>(seed.value);
            const Cause why = drawn % 2 == 0 ? Cause::permanent : Cause::forbidden;
            RejectionWorld rig{seed, drawn / 2 % 3, why};
            const int fault = static_cast<int>(drawn / 6 % 3);
            CAPTURE(drawn);
            CHECK(rig.becomes_whole(5s));
            rig.world.run_for(10s);
            for (sim::Host* server : rig.good) rig.fail(*server, fault);
            rig.world.run_for(10min);
            CHECK_FALSE(rig.program().is_link_up());
            rig.heal(*rig.good[drawn % 2], fault);
            CHECK(rig.becomes_whole(30s));
        },
        200);
}

TEST_CASE("Endpoints: credentials that one endpoint rejects survive a restart of another one",
          "[worlds][endpoints][sim]") {
    for_each_seed(
        [&](Seed seed) {
            RejectionWorld rig{seed, 0, Cause::unauthorized};
            CHECK(rig.becomes_whole(5s));
            rig.world.run_for(10s);
            // The third one is down all the time.
            rig.world.kill(*rig.good[1]);
            rig.world.kill(*rig.good[0]);
            rig.world.run_for(500ms);
            rig.world.restart(*rig.good[0]);
            CHECK(rig.becomes_whole(15s));
        },
        50);
}
