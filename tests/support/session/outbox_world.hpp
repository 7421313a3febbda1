// SPDX-License-Identifier: MIT
/// \file tests/support/session/outbox_world.hpp
/// OutboxWorld: an outbox over a journal and a server in a simulated world, random faults, and a
/// verification.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/journal/journal.hpp>
#include <belay/link/heartbeat.hpp>
#include <belay/policy/rules.hpp>
#include <belay/session/outbox.hpp>
#include <belay/sim/tcp.hpp>
#include <belay/sim/world.hpp>

namespace belay_test {

inline auto outbox_world_policy() {
    using namespace std::chrono_literals;
    return belay::Policy{belay::Backoff{belay::FullJitter{}, belay::Cap{400ms}, 20ms},
                         belay::AttemptTimeout{800ms}};
}

/// A client that pushes numbered lines, and a server that answers each line with its text.
class OutboxWorld {
public:
    static constexpr int pushes = 40;

    struct Client {
        using Journal = belay::Journal<belay::sim::Disk>;
        using Transport = belay::Heartbeat<belay::sim::Tcp>;
        using Box = belay::Outbox<Transport, decltype(outbox_world_policy()), belay::Queue<Journal>,
                                  std::reference_wrapper<Client>>;

        Client(OutboxWorld& w, belay::sim::Host& h, Journal journal)
            : world{w},
              host{h},
              box{Transport{belay::sim::Tcp{h, "server", 1},
                            {.every = std::chrono::milliseconds{100},
                             .dead_after = std::chrono::milliseconds{300}}},
                  outbox_world_policy(),
                  belay::Queue{std::move(journal)},
                  {.promise = w.promise, .in_flight_max = w.in_flight_max},
                  std::ref(*this)} {
            h.attach(box);
            box.start();
            tick();
        }
        void tick() {
            if (world.pushed < pushes) {
                // The lines are so long that the journal needs several files, and space for them.
                const std::string text = std::to_string(++world.pushed) + std::string(300, ' ');
                const std::error_code error = box.push(text);
                if (!error) unflushed.push_back(text);
                if (error == std::errc::no_space_on_device) ++world.refused;
                if (error && error != std::errc::no_space_on_device) {
                    world.complain("a push was refused: " + error.message());
                }
                // Sometimes the client flushes itself; otherwise the turn does.
                if (belay::uniform_upto(world.world.bits(), 3) == 0 && !box.commit()) durable();
            }
            host.after(world.some(std::chrono::milliseconds{300}), [this] { tick(); });
        }
        void durable() {
            for (std::string& text : unflushed) world.accepted.push_back(std::move(text));
            unflushed.clear();
        }
        void on_sent(std::uint64_t number, const belay::Bytes& message) {
            const std::string text{belay::as_text(message)};
            auto [at, is_new] = world.numbers.emplace(number, text);
            if (!is_new && at->second != text) world.complain("a number of two messages");
            // A sent line is durable, and so are the lines that were pushed before it.
            while (!unflushed.empty() && std::stoi(unflushed.front()) <= std::stoi(text)) {
                world.accepted.push_back(unflushed.front());
                unflushed.erase(unflushed.begin());
            }
        }
        void on_message(const belay::Bytes&) {
            if (world.promise == belay::OutboxOptions::at_most_once) return;
            if (box.acknowledge()) world.complain("an answer without a message");
        }

        OutboxWorld& world;
        belay::sim::Host& host;
        std::vector<std::string> unflushed{};
        Box box;
    };

    struct Server {
        struct Peer {
            using Transport = belay::Heartbeat<belay::sim::Accepted>;
            struct App {
                OutboxWorld* world;
                void on_message(auto& peer, const belay::Bytes& message) {
                    world->received.emplace_back(belay::as_text(message));
                    static_cast<void>(peer.send(message));
                }
            };
            Peer(OutboxWorld& w, belay::sim::Host& h, belay::sim::Accepted connection)
                : link{Transport{std::move(connection),
                                 {.every = std::chrono::milliseconds{100},
                                  .dead_after = std::chrono::milliseconds{400}}},
                       belay::Policy{belay::MaxAttempts{1}}, App{&w}} {
                h.attach(link);
                link.start();
            }
            belay::Supervisor<Transport, belay::Policy<belay::MaxAttempts>, App> link;
        };
        Server(OutboxWorld& w, belay::sim::Host& h) {
            h.listen(1, [this, &w, &h](belay::sim::Accepted connection) {
                peers.push_back(std::make_unique<Peer>(w, h, std::move(connection)));
            });
        }
        std::vector<std::unique_ptr<Peer>> peers{};
    };

    OutboxWorld(belay::Seed seed, belay::OutboxOptions::Promise p)
        : promise{p},
          world{seed},
          server{world.host(
              "server",
              [this](belay::sim::Host& h) { return std::make_unique<Server>(*this, h); })},
          client{world.host("client", [this](belay::sim::Host& h) -> std::unique_ptr<Client> {
              auto opened = Client::Journal::open(h.disk(), "outbox",
                                                  {.segment_bytes = 4096,
                                                   .record_bytes_max = 512,
                                                   .seed = belay::Seed{world.bits()()}});
              if (opened.error().code == std::errc::no_space_on_device) {
                  ++refused;
                  world.after(std::chrono::seconds{1}, [this] { world.restart(client); });
                  return nullptr;
              }
              if (!opened) return complain("the journal does not open"), nullptr;
              return std::make_unique<Client>(*this, h, std::move(*opened));
          })} {
        in_flight_max = 1 + belay::uniform_upto(world.bits(), 7);
    }

    [[nodiscard]] belay::Duration some(belay::Duration up_to) {
        return belay::Duration{static_cast<std::int64_t>(
            belay::uniform_upto(world.bits(), static_cast<std::uint64_t>(up_to.count())))};
    }

    /// Power cuts of both sides, partitions, pauses and cuts, within 8 s.
    void unleash() {
        using namespace std::chrono_literals;
        world.network().cut_one_in(60);
        world.network().latency(1ms, 20ms);
        for (int i = 0; i < 3; ++i) {
            for (belay::sim::Host* host : {&client, &server}) {
                const belay::Duration from = some(8s);
                world.at(from, [this, host] { world.kill(*host); });
                world.at(from + some(1s), [this, host] {
                    if (!host->alive()) world.restart(*host);
                });
            }
            world.at(some(8s), [this] { world.network().drop_connections(client, server); });
            world.at(some(8s), [this] { world.network().half_open(client, server); });
            const belay::Duration full = some(8s);
            world.at(full, [this] { client.disk().limit_bytes(client.disk().used_bytes()); });
            world.at(full + some(3s), [this] { client.disk().mend(); });
            const belay::Duration from = some(8s);
            world.at(from, [this] { world.network().partition(client, server); });
            world.at(from + some(1s), [this] { world.network().heal(client, server); });
        }
    }
    /// Runs all events, and ends the faults.   Returns: whether all is done 10 s later.
    bool run() {
        using namespace std::chrono_literals;
        unleash();
        world.run_for(20s);
        world.network().cut_one_in(0);
        world.network().heal_all();
        for (belay::sim::Host* host : {&server, &client}) {
            if (!host->alive()) world.restart(*host);
        }
        return world.run_until(
            [&] {
                Client* const c = client.process<Client>();
                return c != nullptr && pushed == pushes && c->box.depth() == 0 &&
                       c->box.status().link.state == belay::LinkState::connected;
            },
            10s);
    }
    /// Returns what is wrong; an empty text if the promise was kept.
    [[nodiscard]] std::string verdict() const {
        if (!complaints.empty()) return complaints;
        const std::set<std::string> there(received.begin(), received.end());
        int last = 0;
        if (promise == belay::OutboxOptions::at_most_once) {
            if (there.size() != received.size()) return "a message arrived twice";
            for (const std::string& text : received) {
                if (std::stoi(text) <= last) return "out of order: " + text;
                last = std::stoi(text);
            }
            return {};
        }
        for (const std::string& text : accepted) {
            if (!there.contains(text)) return "lost: " + text;
        }
        // The order of their first arrivals counts.
        std::set<int> seen;
        for (const std::string& text : received) {
            if (!seen.insert(std::stoi(text)).second) continue;
            if (std::stoi(text) < last) return "out of order: " + text;
            last = std::stoi(text);
        }
        return {};
    }
    void complain(const std::string& what) { complaints += what + "; "; }

    belay::OutboxOptions::Promise promise;
    std::size_t in_flight_max = 1;
    belay::sim::World world;
    int pushed = 0;
    int refused = 0;                      ///< for lack of space, including openings of the journal
    std::vector<std::string> accepted{};  ///< durable lines
    std::vector<std::string> received{};
    std::map<std::uint64_t, std::string> numbers{};
    std::string complaints{};
    belay::sim::Host& server;
    belay::sim::Host& client;
};

}  // namespace belay_test
