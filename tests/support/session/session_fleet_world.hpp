// SPDX-License-Identifier: MIT
/// \file tests/support/session/session_fleet_world.hpp
/// SessionFleetWorld: a client with a fleet of sessions, each to a server of its own, in a simulated
/// world.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/fleet/fleet.hpp>
#include <belay/journal/journal.hpp>
#include <belay/policy/rules.hpp>
#include <belay/queue/queue.hpp>
#include <belay/session/receiver.hpp>
#include <belay/session/session_service.hpp>
#include <belay/sim/accepted.hpp>
#include <belay/sim/tcp.hpp>
#include <belay/sim/world.hpp>

#include "support/catch.hpp"
#include "support/session/sim_ledger.hpp"

namespace belay_test {

using namespace std::chrono_literals;

/// An outage that counts would use up the attempts.
inline auto short_waits() {
    return belay::Policy{belay::Backoff{belay::FullJitter{}, belay::Cap{5s}, 500ms},
                         belay::ResetWhenStable{10s}, belay::AttemptTimeout{5s},
                         belay::MaxAttempts{200}};
}

struct SessionFleetWorld {
    using Outbox = belay::Journal<belay::sim::Disk>;
    using S =
        belay::Session<belay::sim::Tcp, decltype(short_waits()), belay::Queue<Outbox>>::Service;

    struct Client {
        Client(SessionFleetWorld& w, belay::sim::Host& host, std::size_t count) {
            host.attach(fleet);
            for (std::size_t i = 0; i < count; ++i) {
                const std::string name = "server " + std::to_string(i);
                auto outbox = Outbox::open(host.disk(), "data/" + std::to_string(i),
                                           {.segment_bytes = 8192,
                                            .record_bytes_max = 512,
                                            .seed = belay::Seed{w.world.bits()()}});
                REQUIRE(outbox.has_value());
                sessions.push_back(&fleet.add(
                    name, belay::sim::Tcp{host, name, 1}, short_waits(),
                    belay::Queue{std::move(*outbox)},
                    belay::SessionOptions{.id = belay::Id{static_cast<std::byte>(i + 1)}}));
            }
            fleet.start();
        }
        std::vector<S*> sessions;
        belay::Fleet<> fleet{};
    };
    struct Server {
        Server(SessionFleetWorld& w, belay::sim::Host& host)
            : receiver{SimLedger{host.disk(), w.world.bits()}} {
            host.attach(receiver);
            host.listen(1, [this](belay::sim::Accepted connection) {
                receiver.accept(std::move(connection));
            });
        }
        belay::Receiver<belay::sim::Accepted, SimLedger> receiver;
    };

    SessionFleetWorld(belay::Seed seed, std::size_t count) : world{seed}, texts(count) {
        for (std::size_t i = 0; i < count; ++i) {
            servers.push_back(&world.host(
                "server " + std::to_string(i),
                [this](belay::sim::Host& h) { return std::make_unique<Server>(*this, h); }));
        }
        client = &world.host("client", [this, count](belay::sim::Host& h) {
            return std::make_unique<Client>(*this, h, count);
        });
    }

    auto& fleet() { return client->process<Client>()->fleet; }
    S& session(std::size_t i) { return *client->process<Client>()->sessions[i]; }
    /// The number of operations that are not acknowledged; the fleet's sum of them.
    std::size_t depth() { return fleet().status().queued; }
    /// Sends one durable operation on each session.
    void send_all() {
        for (std::size_t i = 0; i < servers.size(); ++i) {
            texts[i].push_back("operation " + std::to_string(texts[i].size() + 1));
            REQUIRE(session(i).send(belay::as_bytes(texts[i].back())).has_value());
            REQUIRE_FALSE(session(i).commit());
        }
    }
    [[nodiscard]] const std::vector<std::string>& sent(std::size_t i) const { return texts[i]; }
    /// The operations that took effect at a server, in order; read from its disk.
    std::vector<std::string> applied(std::size_t i) {
        const SimLedger ledger{servers[i]->disk()};
        std::vector<std::string> all;
        for (const Effect& effect : ledger.effects()) all.push_back(effect.text);
        return all;
    }
    /// Cuts the client off from all servers.
    void part(bool resets) {
        for (belay::sim::Host* const server : servers) {
            if (resets) world.network().drop_connections(*client, *server);
            world.network().partition(*client, *server);
        }
    }
    belay::Duration some(belay::Duration most) {
        return belay::Duration{static_cast<std::int64_t>(
            belay::uniform_upto(world.bits(), static_cast<std::uint64_t>(most.count())))};
    }

    belay::sim::World world;
    std::vector<belay::sim::Host*> servers;
    belay::sim::Host* client = nullptr;
    std::vector<std::vector<std::string>> texts;  ///< sent, of each session
};

}  // namespace belay_test
