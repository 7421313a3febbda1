// SPDX-License-Identifier: MIT
/// \file tests/support/session_world.hpp
/// SessionWorld: a client and a server of one session in a simulated world, an adversary, and a judge.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include <belay/link/heartbeat.hpp>
#include <belay/policy/attempt_timeout.hpp>
#include <belay/policy/backoff.hpp>
#include <belay/policy/cap.hpp>
#include <belay/policy/full_jitter.hpp>
#include <belay/policy/reset_when_stable.hpp>
#include <belay/queue/journal.hpp>
#include <belay/queue/queue.hpp>
#include <belay/sim/world.hpp>
#include <belay/sim/tcp.hpp>
#include <belay/sync/receiver.hpp>
#include <belay/sync/session.hpp>

#include "support/sim_ledger.hpp"

namespace belay::test {

using namespace std::chrono_literals;

/// What the adversary does, and how often.
struct Adversary {
    int server_kills = 3;
    int client_kills = 3;
    int partitions = 2;
    int pauses = 2;
    int half_opens = 2;
    int drops = 2;
    std::uint64_t cut_one_in = 60;
    Duration within = 20s;
};

struct SessionWorldOptions {
    std::uint64_t operations = 40;
    Adversary adversary{};
    LedgerFaults ledger{};
    ReceiverOptions receiver{.commit_within = 5ms};
    bool two_receivers = false;
};

/// The journal of a session as it should be, or wrapped by a test.
template <class Fault = NoFault, class JournalType = Journal<sim::Disk>>
class SessionWorld {
public:
    static constexpr Id sender_id{std::byte{1}, std::byte{2}};
    static auto policy() {
        return Policy{Backoff{FullJitter{}, Cap{400ms}, 20ms}, ResetWhenStable{500ms},
                      AttemptTimeout{800ms}};
    }

    using ClientTransport = Heartbeat<sim::Tcp>;
    using ServerTransport = Heartbeat<sim::Accepted>;

    struct Client {
        using S = Session<ClientTransport, decltype(policy()), Queue<JournalType>,
                          std::reference_wrapper<Client>, Fault>;

        Client(SessionWorld& w, sim::Host& h, JournalType journal)
            : world{w},
              host{h},
              journal_id{journal.journal_id()},
              session{ClientTransport{sim::Tcp{h, "server", 1},
                                      {.every = 100ms, .dead_after = 300ms}},
                      policy(),
                      Queue{std::move(journal)},
                      {.sender = {.sender = sender_id}, .greeting_max = 700ms, .batch_bytes = 256},
                      std::ref(*this)} {
            h.attach(session);
            session.start();
            tick();
        }
        void tick() {
            const std::uint64_t burst = 1 + uniform_upto(world.world.bits(), 3);
            for (std::uint64_t i = 0; i < burst; ++i) {
                const std::uint64_t n = session.queue().storage().last() + 1;
                if (n > world.options.operations) break;
                // The run is in the text: an operation that was never durable is another one next time.
                const std::string text = "op " + std::to_string(n) + " of run " +
                                         std::to_string(session.queue().storage().run());
                const auto number = session.send(as_bytes(text));
                if (!number) break;
                if (*number != n) world.complain("send gave an unexpected number");
                world.sent[{journal_id, n}].insert(text);
                latest[n] = text;
            }
            host.after(Duration{static_cast<std::int64_t>(
                           1'000'000 + uniform_upto(world.world.bits(), 40'000'000))},
                       [this] { tick(); });
        }
        void on_accepted(std::uint64_t up_to) {
            for (std::uint64_t n = accepted + 1; n <= up_to; ++n) {
                if (latest.count(n) != 0) world.accepted[{journal_id, n}] = latest[n];
            }
            accepted = up_to;
        }
        void on_acknowledged(std::uint64_t up_to) {
            if (up_to < world.acknowledged[journal_id]) world.complain("acknowledged went back");
            world.acknowledged[journal_id] = up_to;
        }
        void on_blocked(Blocked why, const SessionFacts&) { world.blocked.push_back(why); }
        void on_journal_replaced(const SessionFacts&) { ++world.replaced_at_client; }
        void on_state(const Transition& t) {
            if (t.to.state == LinkState::connected) ++world.connects;
        }

        SessionWorld& world;
        sim::Host& host;
        Id journal_id;
        std::uint64_t accepted = 0;
        std::map<std::uint64_t, std::string> latest;
        S session;
    };

    struct Server {
        using R = Receiver<ServerTransport, SimLedger, std::reference_wrapper<Server>, AllowAll, Fault>;

        Server(SessionWorld& w, sim::Host& h)
            : world{w}, receiver{SimLedger{h.disk(), w.world.bits(), w.options.ledger},
                                 w.options.receiver, std::ref(*this)} {
            h.attach(receiver);
            h.listen(1, [this](sim::Accepted connection) {
                receiver.accept(ServerTransport{std::move(connection), {.every = 100ms, .dead_after = 400ms}});
            });
        }
        void on_journal_replaced(const Id&, const Progress&) { ++world.replaced_at_server; }
        void on_ledger_failed(std::error_code) { world.complain("the ledger failed"); }

        SessionWorld& world;
        R receiver;
    };

    explicit SessionWorld(Seed seed, SessionWorldOptions o = {})
        : options{o},
          world{seed},
          server{world.host("server", [this](sim::Host& h) {
              return std::make_unique<Server>(*this, h);
          })},
          client{world.host("client", [this](sim::Host& h) -> std::unique_ptr<Client> {
              auto journal = open(h);
              if (!journal) return nullptr;
              return std::make_unique<Client>(*this, h, std::move(*journal));
          })} {}

    /// The client's journal; a test may open it otherwise.
    std::optional<JournalType> open(sim::Host& h) {
        auto opened = JournalType::open(h.disk(), "data/journal",
                                        {.segment_bytes = 8192, .record_bytes_max = 512,
                                         .seed = Seed{world.bits()()}});
        if (!opened) {
            complain("the journal does not open: " + opened.error().message());
            return std::nullopt;
        }
        return std::move(*opened);
    }

    /// Plans the adversary's deeds, all within a time.
    void unleash() {
        const Adversary& a = options.adversary;
        world.network().cut_one_in(a.cut_one_in);
        const auto some_time = [&] {
            return Duration{static_cast<std::int64_t>(
                uniform_upto(world.bits(), static_cast<std::uint64_t>(a.within.count())))};
        };
        const auto pause = [&] {
            return Duration{static_cast<std::int64_t>(uniform_upto(world.bits(), 1'500'000'000))};
        };
        for (int i = 0; i < a.server_kills; ++i) bounce(server, some_time(), pause());
        for (int i = 0; i < a.client_kills; ++i) bounce(client, some_time(), pause());
        for (int i = 0; i < a.partitions; ++i) {
            const Duration from = some_time();
            world.at(from, [this] { world.network().partition(client, server); });
            world.at(from + pause(), [this] { world.network().heal(client, server); });
        }
        for (int i = 0; i < a.pauses; ++i) {
            sim::Host& h = uniform_upto(world.bits(), 3) == 0 ? client : server;
            const Duration from = some_time();
            world.at(from, [this, &h] { world.pause(h); });
            world.at(from + pause(), [this, &h] { world.resume(h); });
        }
        for (int i = 0; i < a.half_opens; ++i) {
            world.at(some_time(), [this] { world.network().half_open(client, server); });
        }
        for (int i = 0; i < a.drops; ++i) {
            world.at(some_time(), [this] { world.network().drop_connections(client, server); });
        }
    }
    void bounce(sim::Host& h, Duration at, Duration pause) {
        world.at(at, [this, &h] { world.kill(h); });
        world.at(at + pause, [this, &h] {
            if (!h.alive()) world.restart(h);
        });
    }

    /// Lets everything happen, heals the world, and waits until all is acknowledged.
    bool run() {
        unleash();
        world.run_for(options.adversary.within + 2s);
        world.network().cut_one_in(0);
        world.network().heal_all();
        for (sim::Host* h : {&server, &client}) {
            if (!h->alive()) world.restart(*h);
            world.resume(*h);
        }
        const auto done = [&] {
            const Client* const c = client.template process<Client>();
            return c != nullptr &&
                   const_cast<Client*>(c)->session.status().acknowledged >= options.operations;
        };
        return world.run_until(done, 60s);
    }

    /// The judge: looks at the server's ledger as a fresh process would, and at nothing else.
    std::string verdict() {
        if (!complaints.empty()) return complaints;
        Random bits{Seed{1}};
        const SimLedger ledger{server.disk(), bits};
        std::map<Id, std::uint64_t> next;
        std::set<std::pair<Id, std::uint64_t>> seen;
        for (const Effect& e : ledger.effects()) {
            std::uint64_t& n = next[e.journal];
            if (!seen.insert({e.journal, e.number}).second) {
                return "operation " + std::to_string(e.number) + " took effect twice";
            }
            if (e.number != ++n) {
                return "operation " + std::to_string(e.number) + " where " + std::to_string(n) + " belongs";
            }
            const auto key = std::pair{e.journal, e.number};
            if (sent[key].count(e.text) == 0) return "operation that nobody sent: " + e.text;
            if (accepted.count(key) != 0 && accepted[key] != e.text) {
                return "accepted '" + accepted[key] + "', applied '" + e.text + "'";
            }
        }
        for (const auto& [key, text] : accepted) {
            if (blocked.empty() && seen.count(key) == 0) return "lost: " + text;
        }
        for (const auto& [journal, up_to] : acknowledged) {
            if (next[journal] < up_to) return "acknowledged and not there: " + std::to_string(up_to);
        }
        return {};
    }

    void complain(const std::string& what) { complaints += what + "; "; }

    SessionWorldOptions options;
    sim::World world;
    std::map<std::pair<Id, std::uint64_t>, std::set<std::string>> sent;
    std::map<std::pair<Id, std::uint64_t>, std::string> accepted;
    std::map<Id, std::uint64_t> acknowledged;
    std::vector<Blocked> blocked;
    int replaced_at_client = 0;
    int replaced_at_server = 0;
    int connects = 0;
    std::string complaints;
    sim::Host& server;
    sim::Host& client;
};

}  // namespace belay::test
