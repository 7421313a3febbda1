// SPDX-License-Identifier: MIT
/// \file tests/support/session/session_world.hpp
/// SessionWorld: a client and a server of one session in a simulated world, random faults, and
/// a verification.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/cap.hpp>
#include <belay/backoff/full_jitter.hpp>
#include <belay/journal/journal.hpp>
#include <belay/link/heartbeat.hpp>
#include <belay/policy/attempt_timeout.hpp>
#include <belay/policy/reset_when_stable.hpp>
#include <belay/queue/queue.hpp>
#include <belay/session.hpp>
#include <belay/sim/tcp.hpp>
#include <belay/sim/world.hpp>

#include "support/session/sim_ledger.hpp"

namespace belay_test {

using namespace std::chrono_literals;

/// What the adversary does, and how often.
struct Adversary {
    int server_kills = 3;
    int client_kills = 3;
    int partitions = 2;
    int pauses = 2;
    int half_opens = 2;
    int drops = 2;
    int drains = 0;           ///< the client is drained, and started again when it has stopped
    int server_losses = 0;    ///< the server's disk is replaced by an empty one
    int client_losses = 0;    ///< the client's
    int server_restores = 0;  ///< the server's disk goes back to an older copy
    int client_restores = 0;  ///< the client's
    std::uint64_t cut_one_in = 60;
    belay::Duration within = 20s;
};

struct SessionWorldOptions {
    std::uint64_t operations = 40;
    Adversary adversary{};
    LedgerFaults ledger{};
    belay::ReceiverOptions receiver{.commit_within = 5ms};
    belay::Duration dead_after = 300ms;
    belay::Duration latency_max = 5ms;
    belay::sim::WorldOptions world{};
};

template <class JournalType = belay::Journal<belay::sim::Disk>>
class SessionWorld {
public:
    static constexpr belay::Id sender_id{std::byte{1}, std::byte{2}};
    static auto policy() {
        return belay::Policy{belay::Backoff{belay::FullJitter{}, belay::Cap{400ms}, 20ms},
                             belay::ResetWhenStable{500ms}, belay::AttemptTimeout{800ms}};
    }

    using ClientTransport = belay::Heartbeat<belay::sim::Tcp>;
    using ServerTransport = belay::Heartbeat<belay::sim::Accepted>;

    struct Client {
        using S = belay::Session<ClientTransport, decltype(policy()), belay::Queue<JournalType>,
                                 std::reference_wrapper<Client>>;

        Client(SessionWorld& w, belay::sim::Host& h, JournalType journal)
            : world{w},
              host{h},
              journal_id{journal.journal_id()},
              session{ClientTransport{belay::sim::Tcp{h, "server", 1},
                                      {.every = 100ms, .dead_after = w.options.dead_after}},
                      policy(),
                      belay::Queue{std::move(journal)},
                      {.id = sender_id, .greeting_max = 700ms, .batch_bytes = 256},
                      std::ref(*this)} {
            h.attach(session);
            start();
            tick();
        }
        void start() {
            may_start = true;
            session.start();
        }
        void drain(belay::Duration within) {
            if (session.status().link.state == belay::LinkState::stopped) return;
            session.drain(within);
            drain_ends = std::min(drain_ends, belay::after(host.now(), within));
            const belay::Instant ends = drain_ends;
            // A frozen process has its turns when it goes on.
            host.at(belay::after(ends, 1ms), [this, ends] {
                host.after(1ms, [this, ends] {
                    if (drain_ends == ends) world.complain("a drain that nothing ends in time");
                });
            });
        }
        void on_drained() {
            const bool late = host.now() >= drain_ends;
            if (!late && session.depth() != 0) world.complain("a drain was over before its time");
            ++(session.depth() == 0 ? world.drained : world.drained_late);
            drain_ends = belay::never;
            host.after(belay::Duration{static_cast<std::int64_t>(
                           belay::uniform_upto(world.world.bits(), 500'000'000))},
                       [this] { start(); });
        }
        void tick() {
            const std::uint64_t burst = 1 + belay::uniform_upto(world.world.bits(), 3);
            for (std::uint64_t i = 0; i < burst; ++i) {
                const std::uint64_t n = session.queue().storage().last() + 1;
                if (n > world.options.operations) break;
                // The run is in the text: an operation that was never durable is another one next
                // time.
                const std::string text =
                    "op " + std::to_string(n) + " of run " + std::to_string(host.starts());
                const bool refuses = drain_ends != belay::never;
                const auto number = session.send(belay::as_bytes(text));
                if (refuses != (!number && number.error() == belay::SessionErrc::takes_no_more))
                    world.complain("what a drain takes");
                if (!number) break;
                if (*number != n) world.complain("send gave an unexpected number");
                world.sent[{journal_id, n}].insert(text);
                latest[n] = text;
            }
            // Work all the time that the adversary has, so that its deeds meet operations in
            // flight.
            const auto pace =
                static_cast<std::uint64_t>(5 * world.options.adversary.within.count() /
                                           static_cast<std::int64_t>(world.options.operations));
            host.after(belay::Duration{static_cast<std::int64_t>(
                           belay::uniform_upto(world.world.bits(), pace))},
                       [this] { tick(); });
        }
        void on_accepted(std::uint64_t up_to) {
            for (std::uint64_t n = accepted + 1; n <= up_to; ++n) {
                if (latest.count(n) == 0) continue;
                world.accepted[{journal_id, n}] = latest[n];
                world.accepted_by[{journal_id, n}] = host.starts();
            }
            accepted = up_to;
        }
        void on_acknowledged(std::uint64_t up_to) {
            // A server that went back to an older copy has what we still hold sent again.
            if (up_to < world.acknowledged[journal_id] && world.losses == 0) {
                world.complain("acknowledged went back");
            }
            world.acknowledged[journal_id] = up_to;
        }
        void on_blocked(belay::Blocked why, const belay::BlockedDetails&) {
            world.blocked.push_back(why);
        }
        void on_journal_replaced(const belay::BlockedDetails&) { ++world.replaced; }
        void on_state(const belay::Transition& t) {
            if (t.from == belay::LinkState::stopped && !std::exchange(may_start, false))
                world.complain("left stopped without a start");
            if (t.to.state == belay::LinkState::stopped) on_drained();
            if (t.to.state != belay::LinkState::connected) return;
            ++world.connects;
            world.attached_starts.insert(host.starts());
        }

        SessionWorld& world;
        belay::sim::Host& host;
        belay::Id journal_id;
        std::uint64_t accepted = 0;
        std::map<std::uint64_t, std::string> latest;
        bool may_start = false;
        belay::Instant drain_ends = belay::never;
        S session;
    };

    struct Server {
        using R = belay::Receiver<ServerTransport, SimLedger, belay::AllowAll,
                                  std::reference_wrapper<Server>>;

        Server(SessionWorld& w, belay::sim::Host& h)
            : world{w},
              receiver{SimLedger{h.disk(), w.world.bits(), w.options.ledger}, w.options.receiver,
                       std::ref(*this)} {
            record_state();
            h.attach(receiver);
            h.listen(1, [this](belay::sim::Accepted connection) {
                receiver.accept(
                    ServerTransport{std::move(connection), {.every = 100ms, .dead_after = 400ms}});
            });
        }
        /// Every effect that is on the disk has happened, whatever becomes of the disk later.
        void record_state() {
            const SimLedger& ledger = receiver.ledger();
            for (; observed < ledger.effects().size(); ++observed) {
                const Effect& e = ledger.effects()[observed];
                world.happened[{e.journal, e.number}].insert(ledger.store_id());
            }
        }
        void on_attached(const belay::Id&, const belay::Progress& p) {
            world.adopted.insert(p.journal);
        }
        void on_committed(const belay::Id&, const belay::Progress&) { record_state(); }
        void on_journal_replaced(const belay::Id&, const belay::Progress&) { ++world.replaced; }
        void on_ledger_failed(std::error_code) { world.complain("the ledger failed"); }

        SessionWorld& world;
        std::size_t observed = 0;
        R receiver;
    };

    explicit SessionWorld(belay::Seed seed, SessionWorldOptions o = {})
        : options{o},
          world{seed, o.world},
          server{world.host(
              "server",
              [this](belay::sim::Host& h) { return std::make_unique<Server>(*this, h); })},
          client{world.host("client", [this](belay::sim::Host& h) -> std::unique_ptr<Client> {
              auto journal = open(h);
              if (!journal) return nullptr;
              return std::make_unique<Client>(*this, h, std::move(*journal));
          })} {}

    /// The client's journal; a test may open it otherwise.
    std::optional<JournalType> open(belay::sim::Host& h) {
        auto opened = JournalType::open(
            h.disk(), "data/journal",
            {.segment_bytes = 8192, .record_bytes_max = 512, .seed = belay::Seed{world.bits()()}});
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
        world.network().latency(1ms, options.latency_max);
        const auto some_time = [&] {
            return belay::Duration{static_cast<std::int64_t>(
                belay::uniform_upto(world.bits(), static_cast<std::uint64_t>(a.within.count())))};
        };
        const auto pause = [&] {
            return belay::Duration{
                static_cast<std::int64_t>(belay::uniform_upto(world.bits(), 1'500'000'000))};
        };
        // One draw at a time: compilers evaluate arguments in different orders.
        const auto bounce_some_time = [&](belay::sim::Host& h) {
            const belay::Duration at = some_time();
            bounce(h, at, pause());
        };
        for (int i = 0; i < a.server_kills; ++i) bounce_some_time(server);
        for (int i = 0; i < a.client_kills; ++i) bounce_some_time(client);
        for (int i = 0; i < a.partitions; ++i) {
            const belay::Duration from = some_time();
            world.at(from, [this] { world.network().partition(client, server); });
            world.at(from + pause(), [this] { world.network().heal(client, server); });
        }
        for (int i = 0; i < a.pauses; ++i) {
            belay::sim::Host& h = belay::uniform_upto(world.bits(), 3) == 0 ? client : server;
            const belay::Duration from = some_time();
            world.at(from, [this, &h] { world.pause(h); });
            world.at(from + pause(), [this, &h] { world.resume(h); });
        }
        for (int i = 0; i < a.half_opens; ++i) {
            world.at(some_time(), [this] { world.network().half_open(client, server); });
        }
        for (int i = 0; i < a.server_losses; ++i) lose(server, some_time(), std::nullopt);
        for (int i = 0; i < a.client_losses; ++i) lose(client, some_time(), std::nullopt);
        for (int i = 0; i < a.server_restores; ++i) {
            const belay::Duration at = some_time();
            lose(server, at, at / 2);
        }
        for (int i = 0; i < a.client_restores; ++i) {
            const belay::Duration at = some_time();
            lose(client, at, at / 2);
        }
        for (int i = 0; i < a.drains; ++i) {
            const belay::Duration within = pause();
            world.at(some_time(), [this, within] {
                Client* const c = client.template process<Client>();
                if (c != nullptr && client.alive() && !client.paused()) c->drain(within);
            });
        }
        for (int i = 0; i < a.drops; ++i) {
            world.at(some_time(), [this] { world.network().drop_connections(client, server); });
        }
    }
    /// A disk is lost, or goes back to a copy that was taken at `copy_at`.
    void lose(belay::sim::Host& h, belay::Duration at, std::optional<belay::Duration> copy_at) {
        auto copy = std::make_shared<belay::sim::Disk::Image>();
        if (copy_at) {
            world.at(*copy_at, [&h, copy] { *copy = h.disk().image(); });
        }
        world.at(at, [this, &h, copy] {
            world.kill(h);
            // The host dies at the end of this event.
            world.after(0ns, [this, &h, copy] {
                ++losses;
                // What a copy does not know, and nobody was ever sent, leaves no trace to find.
                if (&h == &client) {
                    std::erase_if(accepted,
                                  [&](const auto& a) { return !happened.count(a.first); });
                }
                h.disk().restore(*copy);
                world.restart(h);
            });
        });
    }
    void bounce(belay::sim::Host& h, belay::Duration at, belay::Duration pause) {
        world.at(at, [this, &h] {
            Client* const c = client.template process<Client>();
            if (c != nullptr && c->session.depth() != 0) ++kills_in_flight;
            world.kill(h);
        });
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
        for (belay::sim::Host* h : {&server, &client}) {
            if (!h->alive()) world.restart(*h);
            world.resume(*h);
        }
        const auto done = [&] {
            Client* const c = client.template process<Client>();
            if (c == nullptr) return false;
            const belay::SessionStatus s = c->session.status();
            return s.acknowledged >= options.operations ||
                   (may_block() && s.blocked != belay::Blocked::none);
        };
        return world.run_until(done, 60s);
    }

    /// A fresh journal is never shut out; a lost store, and a restored copy, stop the session.
    [[nodiscard]] bool may_block() const noexcept {
        const Adversary& a = options.adversary;
        return a.server_losses + a.server_restores + a.client_restores != 0;
    }

    /// The judge: looks at the server's ledger as a fresh process would, and at what had happened.
    /// Returns: what is wrong; nothing if all is well.
    std::string verdict() {
        if (!complaints.empty()) return complaints;
        const bool reported = !blocked.empty() || replaced != 0;
        if (losses == 0 && reported) return "an alarm without a loss";
        belay::Random bits{belay::Seed{1}};
        const SimLedger ledger{server.disk(), bits};
        std::map<belay::Id, std::uint64_t> next;
        std::set<Key> observed;
        for (const Effect& e : ledger.effects()) {
            const Key key{e.journal, e.number};
            if (!observed.insert(key).second) return "took effect twice: " + e.text;
            if (e.number != ++next[e.journal]) return "out of order: " + e.text;
            if (sent[key].count(e.text) == 0) return "nobody sent: " + e.text;
            // What a process accepted that never connected, and then lost, leaves no trace either.
            const bool traceable = losses == 0 || attached_starts.count(accepted_by[key]) != 0;
            if (accepted.count(key) != 0 && accepted[key] != e.text && !reported && traceable) {
                return "accepted '" + accepted[key] + "', applied '" + e.text + "'";
            }
            happened[key].insert(ledger.store_id());
        }
        for (const auto& [key, stores] : happened) {
            if (stores.size() > 1)
                return "took effect in two stores: " + std::to_string(key.second);
        }
        for (const auto& [key, text] : accepted) {
            // A journal that is lost before the receiver has heard of it leaves no trace to find.
            if (losses != 0 && adopted.count(key.first) == 0) continue;
            if (!reported && observed.count(key) == 0) return "lost: " + text;
        }
        for (const auto& [journal, up_to] : acknowledged) {
            if (!reported && next[journal] < up_to) {
                return "acknowledged and not there: " + std::to_string(up_to);
            }
        }
        return {};
    }

    void complain(const std::string& what) { complaints += what + "; "; }

    SessionWorldOptions options;
    belay::sim::World world;
    using Key = std::pair<belay::Id, std::uint64_t>;
    std::map<Key, std::set<std::string>> sent;
    std::map<Key, std::string> accepted;
    std::map<Key, std::uint64_t> accepted_by;
    std::set<std::uint64_t> attached_starts;
    std::map<Key, std::set<belay::Id>> happened;
    std::set<belay::Id> adopted;
    std::map<belay::Id, std::uint64_t> acknowledged;
    std::vector<belay::Blocked> blocked;
    int replaced = 0;
    int losses = 0;
    int connects = 0;
    int kills_in_flight = 0;
    int drained = 0;
    int drained_late = 0;
    std::string complaints;
    belay::sim::Host& server;
    belay::sim::Host& client;
};

}  // namespace belay_test
