// SPDX-License-Identifier: MIT
/// \file tests/support/session/session_world.hpp
/// SessionWorld: a client and a server of one session, as the body of an exploration, with a
/// verification.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/journal/journal.hpp>
#include <belay/link/heartbeat.hpp>
#include <belay/policy/rules.hpp>
#include <belay/queue/queue.hpp>
#include <belay/session.hpp>
#include <belay/sim/history.hpp>
#include <belay/sim/tcp.hpp>
#include <belay/sim/world.hpp>

#include "support/session/sim_ledger.hpp"

namespace belay_test {

using namespace std::chrono_literals;

struct SessionWorldOptions {
    std::uint64_t operations = 40;
    belay::sim::ScenarioOptions faults{
        .swarm = false, .kills = 6, .lasts_max = 1500ms, .latency_max = 300ms};
    /// In addition, one message in this many ends its connection.
    std::uint64_t cut_one_in = 60;
    int drains = 0;           ///< the client is drained, and started again when it has stopped
    int server_losses = 0;    ///< the server's disk is replaced by an empty one
    int client_losses = 0;    ///< the client's disk is replaced
    int server_restores = 0;  ///< the server's disk goes back to an older copy
    int client_restores = 0;  ///< the client's disk goes back to an older copy
    LedgerFaults ledger{};
    belay::ReceiverOptions receiver{.commit_within = 5ms};
    belay::Duration dead_after = 300ms;
    belay::Duration latency_max = 5ms;
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
            if (session.depth() != 0) world.world.reach("killed with operations in flight");
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
            // A frozen process has its turns when it continues.
            host.at(belay::after(ends, 1ms), [this, ends] {
                host.after(1ms, [this, ends] {
                    if (drain_ends == ends) world.complain("a drain that nothing ends in time");
                });
            });
        }
        void on_drained() {
            const bool late = host.now() >= drain_ends;
            if (!late && session.depth() != 0) world.complain("a drain was over before its time");
            world.world.reach(session.depth() == 0 ? "drained" : "drained late");
            drain_ends = belay::never;
            host.after(some_ms(host, "until it starts again", 500ms), [this] { start(); });
        }
        void tick() {
            for (std::uint64_t i = host.choose("operations at a time", 4); i <= 3; ++i) {
                const std::uint64_t n = session.queue().storage().last() + 1;
                if (n > world.options.operations) break;
                // The text contains the run: an operation that was never durable is another one in
                // the next run.
                const std::string text =
                    "op " + std::to_string(n) + " of run " + std::to_string(host.starts());
                const bool refuses = drain_ends != belay::never;
                const auto number = session.send(belay::as_bytes(text));
                if (refuses != (!number && number.error() == belay::SessionErrc::takes_no_more))
                    world.complain("what a drain takes");
                if (!number) break;
                if (*number != n) world.complain("send gave an unexpected number");
                latest[n] = world.key_of(journal_id, text);
                world.history.invoke(latest[n], n);
            }
            // The client works as long as there are faults, so that operations are in flight at
            // each fault.
            const auto pace = 5 * world.options.faults.within /
                              static_cast<std::int64_t>(world.options.operations);
            host.after(some_ms(host, "until the next operations", pace), [this] { tick(); });
        }
        void on_accepted(std::uint64_t up_to) {
            for (std::uint64_t n = accepted + 1; n <= up_to; ++n) {
                if (latest.count(n) != 0)
                    world.accepted.push_back({{latest[n], n}, journal_id, host.starts()});
            }
            accepted = up_to;
        }
        void on_acknowledged(std::uint64_t up_to) {
            // After a server goes back to an older copy, the operations that the client still has
            // are sent again.
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
            if (t.to.state == belay::LinkState::connected &&
                !world.connected.insert(host.starts()).second)
                world.world.reach("connected again");
        }

        SessionWorld& world;
        belay::sim::Host& host;
        belay::Id journal_id;
        std::uint64_t accepted = 0;
        std::map<std::uint64_t, std::string> latest;  ///< the key of each operation
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
        /// Every effect on the disk has happened, also if the disk is lost later.
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

    /// The faults are those of the world: WorldOptions::draw, or ExploreOptions::scenario.
    explicit SessionWorld(belay::sim::World& w, SessionWorldOptions o = {})
        : options{std::move(o)},
          world{w},
          history{w.clock()},
          server{world.host(
              "server",
              [this](belay::sim::Host& h) { return std::make_unique<Server>(*this, h); })},
          client{world.host("client", [this](belay::sim::Host& h) -> std::unique_ptr<Client> {
              auto journal = open(h);
              if (!journal) return nullptr;
              return std::make_unique<Client>(*this, h, std::move(*journal));
          })} {}

    /// The client's journal; a test may open it in another way.
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

    /// Returns a number of milliseconds below `most`, which the world's seed chooses.
    static belay::Duration some_ms(auto& chooser, std::string_view tag, belay::Duration most) {
        return 1ms * static_cast<std::int64_t>(
                         chooser.choose(tag, static_cast<std::uint64_t>(most / 1ms) + 1));
    }
    /// Plans the faults that are not in a scenario.
    void plan() {
        world.network().cut_one_in(options.cut_one_in);
        world.network().latency(1ms, options.latency_max);
        const auto lose_some = [&](belay::sim::Host& h, int lost, int restored) {
            for (int i = 0; i < lost + restored; ++i) {
                const belay::Duration at = some_ms(world, h.name(), options.faults.within);
                lose(h, at, i < lost ? std::nullopt : std::optional{at / 2});
            }
        };
        lose_some(server, options.server_losses, options.server_restores);
        lose_some(client, options.client_losses, options.client_restores);
        for (int i = 0; i < options.drains; ++i) {
            const belay::Duration within = some_ms(world, "drain within", 1500ms);
            world.at(some_ms(world, "drain at", options.faults.within), [this, within] {
                Client* const c = client.template process<Client>();
                if (c != nullptr && client.alive() && !client.paused()) c->drain(within);
            });
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
                // An operation that the copy does not have, and that was never sent, leaves no
                // trace.
                if (&h == &client) {
                    std::erase_if(accepted, [&](const Accepted& a) {
                        return !happened.count({a.journal, a.operation.second});
                    });
                }
                h.disk().restore(*copy);
                world.restart(h);
            });
        });
    }
    /// Runs all events, ends the faults, and waits until every operation is acknowledged.
    bool run() {
        plan();
        world.run_for(options.faults.within + 2s);
        world.heal();
        const auto done = [&] {
            Client* const c = client.template process<Client>();
            if (c == nullptr) return false;
            const belay::SessionStatus s = c->session.status();
            return s.acknowledged >= options.operations ||
                   (may_block() && s.blocked != belay::Blocked::none);
        };
        const bool finished = world.run_until(done, 60s);
        return world.require("the promises of a session", verdict()) &&
               world.require("no session is shut out", finished);
    }

    /// A new journal is always accepted. A lost store, and a restored copy, stop the session.
    [[nodiscard]] bool may_block() const noexcept {
        return options.server_losses + options.server_restores + options.client_restores != 0;
    }

    /// The verification: reads the server's ledger like a new process, and the recorded events.
    /// Returns: an error text; empty if the promises were kept.
    std::string verdict() {
        const bool reported = !blocked.empty() || replaced != 0;
        if (losses == 0 && reported) return "an alarm without a loss";
        const SimLedger ledger{server.disk()};
        std::map<belay::Id, std::uint64_t> next;
        for (const Effect& e : ledger.effects()) {
            if (e.number != ++next[e.journal]) return "twice, or out of order: " + e.text;
            history.effect(key_of(e.journal, e.text), e.number);
            happened[{e.journal, e.number}].insert(ledger.store_id());
        }
        for (const auto& [key, stores] : happened) {
            if (stores.size() > 1)
                return "took effect in two stores: " + std::to_string(key.second);
        }
        for (const Accepted& a : accepted) {
            // A journal that is lost before it was adopted leaves no trace. Operations that a
            // process accepted before it ever connected leave none either.
            const bool traceable = adopted.count(a.journal) != 0 && connected.count(a.run) != 0;
            if (!reported && (losses == 0 || traceable))
                history.succeed(a.operation.first, a.operation.second);
        }
        for (const auto& [journal, up_to] : acknowledged) {
            if (!reported && next[journal] < up_to) {
                return "acknowledged and not there: " + std::to_string(up_to);
            }
        }
        return belay::sim::exactly_once(history);
    }

    void complain(const std::string& what) { world.require("the promises of a session", what); }

    /// The key of an operation in the history: its text, and a short name of its journal.
    std::string key_of(const belay::Id& journal, std::string_view text) {
        const std::size_t known = names.size();
        const std::size_t name = names.try_emplace(journal, known + 1).first->second;
        return "journal " + std::to_string(name) + ": " + std::string{text};
    }

    SessionWorldOptions options;
    belay::sim::World& world;
    belay::sim::History history;  ///< an operation that is accepted has succeeded
    std::map<belay::Id, std::size_t> names;
    struct Accepted {
        belay::sim::History::Id operation;
        belay::Id journal;
        std::uint64_t run;
    };
    std::vector<Accepted> accepted;
    std::set<std::uint64_t> connected;  ///< the runs of the client that connected
    std::map<std::pair<belay::Id, std::uint64_t>, std::set<belay::Id>> happened;
    std::set<belay::Id> adopted;
    std::map<belay::Id, std::uint64_t> acknowledged;
    std::vector<belay::Blocked> blocked;
    int replaced = 0;
    int losses = 0;
    belay::sim::Host& server;
    belay::sim::Host& client;
};

/// The body of an exploration of worlds with options.faults.
template <class JournalType = belay::Journal<belay::sim::Disk>>
[[nodiscard]] auto session_body(const SessionWorldOptions& options) {
    return [options](belay::sim::World& world) {
        return world.make<SessionWorld<JournalType>>(world, options).run();
    };
}

}  // namespace belay_test
