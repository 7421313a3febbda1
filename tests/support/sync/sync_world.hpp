// SPDX-License-Identifier: MIT
/// \file tests/support/sync/sync_world.hpp
/// SyncWorld: clients with journals and sessions, and a server with a processor on a store, as the
/// body of an exploration, with a verification.
#pragma once

#include <algorithm>
#include <array>
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
#include <belay/policy/rules.hpp>
#include <belay/queue/queue.hpp>
#include <belay/session.hpp>
#include <belay/sim.hpp>
#include <belay/sync/detail/replica_edits.hpp>
#include <belay/sync/hybrid_clock.hpp>

#include "support/call/async_sleeper.hpp"
#include "support/sync/log_store.hpp"
#include "support/sync/sync_oracle.hpp"

namespace belay_test {

using namespace std::chrono_literals;

inline auto sync_world_policy() {
    return belay::Policy{belay::Backoff{belay::FullJitter{}, belay::Cap{400ms}, 20ms},
                         belay::ResetWhenStable{500ms}, belay::AttemptTimeout{800ms}};
}

/// The faults of these worlds, for WorldOptions::draw and ExploreOptions::scenario.
inline belay::sim::ScenarioOptions sync_world_faults() {
    return {.swarm = false,
            .kills = 12,
            .pauses = 3,
            .partitions = 6,
            .latencies = 0,
            .drops = 6,
            .half_opens = 6,
            .cuts = 0,
            .disk_errors = 20,
            .late_disk_errors = 20,
            .exhaustions = 2,
            .wall_clocks = 6,
            .within = 8s,
            .lasts_max = 1s,
            .clock_wrong_max = 2s,
            .number_max = 6};
}

class SyncWorld {
public:
    static constexpr std::size_t clients = 3;
    static constexpr std::uint64_t operations_each = 25;

    /// Stamps operations, stores them in its journal, and sends them.
    struct Client {
        using Transport = belay::sim::Tcp;
        using S = belay::Session<Transport, decltype(sync_world_policy()), belay::Queue<SimJournal>,
                                 std::reference_wrapper<Client>>;

        Client(SyncWorld& w, belay::sim::Host& h, std::size_t i, SimJournal journal)
            : world{w},
              host{h},
              number{i},
              clock{id_of(i + 1),
                    h.wall_clock(),
                    {.skew_max = 1s, .note_covers = belay::Duration{50ms}}},
              session{Transport{h, "server", 1},
                      sync_world_policy(),
                      belay::Queue{std::move(journal)},
                      {.id = id_of(i + 1),
                       .greeting_max = 700ms,
                       .batch_bytes = 256,
                       .heartbeat = {.every = 100ms, .dead_after = 300ms}},
                      std::ref(*this)} {
            if (w.bug != SyncBug::forgets_clock && clock.restore(log().kept())) {
                w.complain("the clock's note is not restored");
            }
            h.attach(session);
            session.start();
            tick();
        }
        [[nodiscard]] SimJournal& log() { return session.queue().storage(); }
        void tick() {
            if (log().last() < operations_each) {
                const std::uint64_t burst = host.choose("operations at a time", 4);
                for (std::uint64_t i = 0; i < burst && edit(); ++i) {
                }
            }
            host.after(some_ms(host, "until the next operations", 400ms), [this] { tick(); });
        }
        bool edit() {
            // The client sends an operation again, as if it had received no acknowledgement.
            const bool again = !mine.empty() && host.choose("again", 6) == 0;
            const Op op = again ? mine[host.choose("which", mine.size())]
                                : world.any_operation(host, clock.stamp());
            if (clock.note_is_due() && belay::detail::keep_note(log(), clock)) return false;
            const auto taken = session.send(bytes_of(op));
            if (!taken) return false;
            numbers[*taken] = op.id;
            mine.push_back(op);
            const std::uint64_t count = world.sent.size() + 1;
            const Sent& one = world.sent.try_emplace(op.id, Sent{op, count}).first->second;
            world.history.invoke(op.element(), one.number);
            return true;
        }
        void on_accepted(std::uint64_t up_to) {
            for (; !numbers.empty() && numbers.begin()->first <= up_to;
                 numbers.erase(numbers.begin())) {
                Sent& one = world.sent.at(numbers.begin()->second);
                if (std::exchange(one.accepted, true)) continue;
                world.history.succeed(one.op.element(), one.number);
                if (!(world.latest[number] < one.op.stamp)) world.complain("a clock went back");
                world.latest[number] = one.op.stamp;
            }
        }
        void on_blocked(belay::Blocked why, const belay::BlockedDetails&) {
            if (why != belay::Blocked::journal_failed) world.complain("blocked");
            world.restart_soon(host);
        }

        SyncWorld& world;
        belay::sim::Host& host;
        std::size_t number;
        belay::HybridClock<belay::sim::WallClock> clock;
        std::map<std::uint64_t, belay::Id> numbers{};
        std::vector<Op> mine{};
        S session;
    };

    /// Collects the operations of a turn, and processes them as one batch when it must be durable.
    /// Its progress may be behind the effects, because the store knows these by their ids.
    class Ledger {
    public:
        Ledger(SyncWorld& world, belay::sim::Host& host, SimJournal& log)
            : world_{&world},
              log_{&log},
              store_{std::make_unique<LogStore>(log, belay::Random{belay::Seed{host.starts()}},
                                                world.bug)},
              processor_{std::ref(*store_),
                         belay::LastWriteWins{},
                         {.skew_max = 5s, .transaction_operations = 7},
                         belay::NoObserver{},
                         host.wall_clock()} {
            for (std::uint64_t n = log.base(); n <= log.last(); ++n) {
                ByteReader from{log.read(n).value()};
                if (from.byte() != 'P') continue;
                const belay::Id sender = from.id();
                progress_[sender] = {from.id(), from.number(), from.number(), from.number()};
            }
        }
        [[nodiscard]] const belay::Id& store_id() const noexcept { return log_->journal_id(); }
        [[nodiscard]] std::optional<belay::Progress> progress(const belay::Id& sender) const {
            const auto found = progress_.find(sender);
            return found == progress_.end() ? std::nullopt : std::optional{found->second};
        }
        std::error_code adopt(const belay::Id& sender, const belay::Progress& progress) {
            progress_[sender] = progress;
            changed_.insert(sender);
            return keep_progress();
        }
        std::error_code apply(const belay::Id& sender, const belay::Progress& progress,
                              belay::BytesView operation) {
            batch_.push_back(op_of(operation));
            progress_[sender] = progress;
            changed_.insert(sender);
            return {};
        }
        std::error_code commit() {
            if (world_->bug == SyncBug::progress_first) {
                if (const std::error_code error = keep_progress()) return error;
            }
            if (world_->bug == SyncBug::reorders) std::reverse(batch_.begin(), batch_.end());
            if (world_->bug == SyncBug::clamps_stamps) clamp();
            const auto result = processor_.process_with_retry(
                "s", batch_, belay::Policy{belay::MaxAttempts{3}}, sleeper_);
            world_->check_result(result, batch_.size());
            batch_.clear();
            for (const auto& failed : result.failed_operations) {
                if (failed.retryable && world_->bug != SyncBug::swallows_failures) {
                    return failed.error;
                }
                if (!failed.retryable) world_->refused.insert(failed.operation.id);
            }
            return keep_progress();
        }

    private:
        void clamp() {
            const belay::WallTime now = world_->server->wall_clock().now();
            for (Op& op : batch_) op.stamp.wall = std::min(op.stamp.wall, now);
        }
        std::error_code keep_progress() {
            for (const belay::Id& sender : changed_) {
                const belay::Progress& p = progress_[sender];
                belay::Bytes record{std::byte{'P'}};
                put_id(record, sender);
                put_id(record, p.journal);
                for (const std::uint64_t number : {p.attach, p.applied, p.check}) {
                    put_number(record, number);
                }
                if (const auto error = log_->append(record).error()) return error;
            }
            if (!changed_.empty() && world_->bug != SyncBug::not_durable) {
                if (const std::error_code error = log_->commit()) return error;
            }
            changed_.clear();
            return {};
        }

        SyncWorld* world_;
        SimJournal* log_;
        std::unique_ptr<LogStore> store_;
        AsyncSleeper sleeper_{};
        belay::SyncProcessor<std::reference_wrapper<LogStore>, belay::LastWriteWins,
                             belay::NoObserver, belay::sim::WallClock>
            processor_;
        std::map<belay::Id, belay::Progress> progress_{};
        std::set<belay::Id> changed_{};
        Ops batch_{};
    };

    struct Server {
        using R = belay::Receiver<belay::sim::Accepted, Ledger, belay::AllowAll,
                                  std::reference_wrapper<Server>>;

        Server(SyncWorld& w, belay::sim::Host& h, SimJournal journal)
            : world{w},
              host{h},
              log{std::move(journal)},
              receiver{Ledger{w, h, log},
                       {.commit_within = 20ms, .heartbeat = {.every = 100ms, .dead_after = 400ms}},
                       std::ref(*this)} {
            h.attach(receiver);
            h.listen(1, [this](belay::sim::Accepted connection) {
                receiver.accept(std::move(connection));
            });
        }
        void on_ledger_failed(std::error_code) {
            world.world.reach("ledger failed");
            world.restart_soon(host);
        }

        SyncWorld& world;
        belay::sim::Host& host;
        SimJournal log;
        R receiver;
    };

    /// The faults are those of the world: WorldOptions::draw, or ExploreOptions::scenario.
    explicit SyncWorld(belay::sim::World& w, SyncBug planted = SyncBug::none)
        : bug{planted}, world{w}, history{w.clock()} {
        server = &world.host("server", [this](belay::sim::Host& h) -> std::unique_ptr<Server> {
            auto log = open(h);
            return log ? std::make_unique<Server>(*this, h, std::move(*log)) : nullptr;
        });
        for (std::size_t i = 0; i < clients; ++i) {
            hosts[i] =
                &world.host("client " + std::to_string(i),
                            [this, i](belay::sim::Host& h) -> std::unique_ptr<Client> {
                                auto log = open(h);
                                if (!log) return nullptr;
                                return std::make_unique<Client>(*this, h, i, std::move(*log));
                            });
        }
    }

    /// Runs all events, ends the faults, and waits until everything is synced.
    bool run() {
        plan();
        world.run_for(faults_for + 2s);
        world.heal();
        const auto done = [this] {
            return std::all_of(hosts.begin(), hosts.end(), [](belay::sim::Host* h) {
                Client* const c = h->process<Client>();
                return c != nullptr && c->session.depth() == 0 &&
                       c->log().last() >= operations_each;
            });
        };
        return world.eventually("all operations are synced", 120s, done) &&
               world.require("each operation is in the store once, in order", verdict());
    }
    /// Returns an error text; empty if the promises were kept. Reads the server's disk like a new
    /// process.
    std::string verdict();

    // ---- for the processes of the world ---------------------------------------------------------

    void complain(const std::string& what) { world.require("the promises of a sync", what); }
    template <class Result>
    void check_result(const Result& result, std::size_t given) {
        if (result.synced_count + result.conflict_count + result.failed_count != given ||
            result.conflicts.size() != result.conflict_count ||
            result.failed_operations.size() != result.failed_count) {
            complain("a result that does not account for everything");
        }
        if (result.conflict_count != 0) world.reach("conflict");
        if (result.retry_attempts != 0) world.reach("store busy");
    }
    /// Returns a number of milliseconds up to `most`, which the world's seed chooses.
    static belay::Duration some_ms(auto& chooser, std::string_view tag, belay::Duration most) {
        return 1ms * static_cast<std::int64_t>(
                         chooser.choose(tag, static_cast<std::uint64_t>(most / 1ms) + 1));
    }
    /// Restarts the process, like a supervisor of processes.
    void restart_soon(belay::sim::Host& h) {
        world.reach("restarted after a failure");
        world.after(50ms, [this, &h] { world.restart(h); });
    }
    /// Adds and Removes of "r", Adds and Updates of "u", any operation on "m"; rarely a malformed
    /// one.
    Op any_operation(belay::sim::Host& by, const belay::Stamp& at) {
        const char group = "rum"[by.choose("group", 3)];
        std::string element = group + std::to_string(by.choose("element", 3));
        const std::string value = "v" + std::to_string(sent.size());
        Op op{belay::make_id(world.bits()), at, belay::AddElement<std::string>{element, value}};
        const std::uint64_t what = by.choose("action", 12);
        if (what == 0) op.action = belay::Interaction{element, value};
        if (what == 1) op.action = belay::AddElement<std::string>{"", value};
        if (what >= 6 && group == 'r') op.action = belay::RemoveElement{element};
        if (what >= 6 && group == 'u') {
            op.action = belay::UpdateElement<std::string>{element, value, {}};
        }
        if (what >= 8 && group == 'm') {
            op.action = belay::UpdateElement<std::string>{element, value, {}};
        }
        if (what >= 10 && group == 'm') op.action = belay::RemoveElement{element};
        return op;
    }

    static constexpr belay::Duration faults_for = 8s;
    SyncBug bug;
    belay::sim::World& world;
    /// An accepted operation has succeeded. It takes effect when it is decided or rejected.
    belay::sim::History history;
    belay::sim::Host* server = nullptr;
    std::array<belay::sim::Host*, clients> hosts{};
    struct Sent {
        Op op;
        std::uint64_t number;
        bool accepted = false;
    };
    std::map<belay::Id, Sent> sent{};
    std::set<belay::Id> refused{};
    std::array<belay::Stamp, clients> latest{};

private:
    std::optional<SimJournal> open(belay::sim::Host& h) {
        auto opened = SimJournal::open(
            h.disk(), "journal",
            {.segment_bytes = 8192, .record_bytes_max = 2048, .seed = belay::Seed{world.bits()()}});
        if (opened) return std::move(*opened);
        if (world.healed_at()) complain("the journal does not open: " + opened.error().message());
        restart_soon(h);
        return std::nullopt;
    }
    void plan();
};

/// Plans the faults that ScenarioOptions does not draw.
inline void SyncWorld::plan() {
    world.network().cut_one_in(60);
    world.network().latency(1ms, 20ms);
    for (belay::sim::Host* h : hosts) h->set_wall_clock(some_ms(*h, "wrong clock", 2s));
    server->set_wall_clock(some_ms(*server, "wrong clock", 2s));
    const auto anybody = [&]() -> belay::sim::Host& {
        return world.chance("the server's disk", 50) ? *server
                                                     : *hosts[world.choose("whose disk", clients)];
    };
    belay::sim::Scenario full;
    for (int i = 0; i < 4; ++i) {
        const belay::Duration from = some_ms(world, "full from", faults_for);
        const std::string name{anybody().name()};
        full.during(from, from + some_ms(world, "full for", 1s),
                    belay::sim::fill_disk(name, 1 + world.choose("full at", 6)));
        // The power fails during a write.
        belay::sim::Host& h = anybody();
        const std::uint64_t operation = 1 + world.choose("power fails at", 6);
        world.at(some_ms(world, "power fails", faults_for), [this, &h, operation] {
            h.disk().halt_at(h.disk().operations() + operation);
            world.after(some_ms(world, "until it starts", 1s), [this, &h] { world.restart(h); });
        });
    }
    // Played before the first event, they would replace the faults that are drawn.
    world.after({}, [this, full] { world.play(full); });
}

inline std::string SyncWorld::verdict() {
    // The process holds its lock, and is no longer needed.
    world.kill(*server);
    auto log =
        SimJournal::open(server->disk(), "journal",
                         {.segment_bytes = 8192, .record_bytes_max = 2048, .seed = belay::Seed{1}});
    if (!log) return "the server's journal does not open";
    SyncOracle all;
    std::map<std::pair<belay::Id, std::string>, belay::Stamp> order;
    Ops in_order;
    for (const LogStore::Write& one : LogStore::all_of(*log)) {
        const auto from = sent.find(one.mark.operation);
        if (from == sent.end()) return "nobody sent what was decided";
        const Op& op = from->second.op;
        history.effect(op.element(), from->second.number);
        if (op.element().empty()) return "decided, and malformed";
        if (one.mark.hash != belay::detail::hash_of_operation("s", op)) return "other contents";
        in_order.push_back(op);
        // Interactions need no order.
        if (op.kind() == belay::OperationKind::interaction) continue;
        belay::Stamp& last = order[{op.stamp.origin, std::string{op.element()}}];
        if (last > op.stamp) return "out of order: " + std::string{op.element()};
        last = op.stamp;
        all.take(op);
    }
    for (const belay::Id& id : refused) {
        const Sent& one = sent.at(id);
        history.effect(one.op.element(), one.number);
        if (!one.op.element().empty()) return "wrongly refused: " + std::string{one.op.element()};
    }
    if (std::string wrong = belay::sim::exactly_once(history); !wrong.empty()) return wrong;
    LogStore store{*log, belay::Random{belay::Seed{1}}, SyncBug::none};
    const auto contents = [&] {
        std::string text;
        for (const char group : {'r', 'u', 'm'}) {
            for (const char number : {'0', '1', '2'}) {
                const std::string name{group, number};
                text += name + ": " + state_text(store.memory(), name) + "; ";
            }
        }
        return text;
    };
    std::string says;
    for (const char group : {'r', 'u', 'm'}) {
        for (const char number : {'0', '1', '2'}) {
            const std::string name{group, number};
            says += name + ": " + all.text(name) + "; ";
        }
    }
    const std::string before = contents();
    if (before != says) return "the store has " + before + " and not " + says;
    // Adds and Removes have the same result in any order. Applying the whole batch again changes
    // nothing.
    SyncOracle backwards;
    for (auto op = in_order.rbegin(); op != in_order.rend(); ++op) backwards.take(*op);
    for (const std::string name : {"r0", "r1", "r2"}) {
        if (backwards.text(name) != all.text(name)) return "the order counts for " + name;
    }
    belay::SyncProcessor processor{std::ref(store.memory()), belay::LastWriteWins{}};
    std::size_t applied = 0;
    for (const Op& op : in_order) {
        const auto mark = store.memory().applied(op.id).value();
        if (!mark) return "an operation is forgotten";
        if (mark->decision == belay::part::Decision::applied) ++applied;
    }
    const auto again = processor.process_batch("s", in_order);
    if (again.synced_count != applied || again.failed_count != 0 || contents() != before) {
        return "the same batch again changed something";
    }
    return {};
}

/// The body of an exploration of worlds with sync_world_faults().
[[nodiscard]] inline auto sync_body(SyncBug bug = SyncBug::none) {
    return [bug](belay::sim::World& world) { return world.make<SyncWorld>(world, bug).run(); };
}

}  // namespace belay_test
