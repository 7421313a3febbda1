// SPDX-License-Identifier: MIT
/// \file tests/support/sync/sync_world.hpp
/// SyncWorld: clients with journals and sessions, a server with a processor on a store, all
/// faults of the simulated world, and a verification.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/cap.hpp>
#include <belay/backoff/full_jitter.hpp>
#include <belay/policy/attempt_timeout.hpp>
#include <belay/policy/max_attempts.hpp>
#include <belay/policy/reset_when_stable.hpp>
#include <belay/queue/queue.hpp>
#include <belay/session.hpp>
#include <belay/sim.hpp>
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

class SyncWorld {
public:
    static constexpr std::size_t clients = 3;
    static constexpr std::uint64_t operations_each = 25;

    /// The world's time, by a clock that is wrong.
    struct Wall {
        const belay::sim::Host* host;
        const belay::Duration* wrong;
        [[nodiscard]] belay::WallTime now() const noexcept {
            return belay::WallTime{host->now().time_since_epoch() + 1h + *wrong};
        }
    };

    /// Stamps operations, keeps them in its journal, and sends them.
    struct Client {
        using Transport = belay::sim::Tcp;
        using S = belay::Session<Transport, decltype(sync_world_policy()), belay::Queue<SimJournal>,
                                 std::reference_wrapper<Client>>;

        Client(SyncWorld& w, belay::sim::Host& h, std::size_t i, SimJournal journal)
            : world{w},
              host{h},
              number{i},
              clock{id_of(i + 1),
                    {&h, &w.wrong[i]},
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
                const std::uint64_t burst = belay::uniform_upto(world.world.bits(), 3);
                for (std::uint64_t i = 0; i < burst && edit(); ++i) {
                }
            }
            host.after(world.some(400ms), [this] { tick(); });
        }
        bool edit() {
            auto& bits = world.world.bits();
            // What it sent before it sends again, as one who was not told that it came.
            const bool again = !mine.empty() && belay::uniform_upto(bits, 5) == 0;
            const Op op = again ? mine[belay::uniform_upto(bits, mine.size() - 1)]
                                : world.any_operation(belay::make_id(bits), clock.stamp());
            if (clock.note_is_due() && log().keep(clock.note())) return false;
            const auto taken = session.send(bytes_of(op));
            if (!taken) return false;
            numbers[*taken] = op.id;
            mine.push_back(op);
            world.sent.emplace(op.id, op);
            return true;
        }
        void on_accepted(std::uint64_t up_to) {
            for (; !numbers.empty() && numbers.begin()->first <= up_to;
                 numbers.erase(numbers.begin())) {
                const belay::Id id = numbers.begin()->second;
                if (!world.accepted.insert(id).second) continue;
                const belay::Stamp& at = world.sent.at(id).stamp;
                if (!(world.latest[number] < at)) world.complain("a clock went back");
                world.latest[number] = at;
            }
        }
        void on_blocked(belay::Blocked why, const belay::BlockedDetails&) {
            if (why != belay::Blocked::journal_failed) world.complain("blocked");
            world.restart_soon(host);
        }

        SyncWorld& world;
        belay::sim::Host& host;
        std::size_t number;
        belay::HybridClock<Wall> clock;
        std::map<std::uint64_t, belay::Id> numbers{};
        std::vector<Op> mine{};
        S session;
    };

    /// Collects what a turn brought, and processes it as one batch when it is to be durable. Its
    /// progress may be behind the effects, for these are known by their ids.
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
                         {&host, &world.wrong[clients]}} {
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
            const belay::WallTime now{world_->server->now().time_since_epoch() + 1h};
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
                             belay::NoObserver, Wall>
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
            ++world.ledger_failures;
            world.restart_soon(host);
        }

        SyncWorld& world;
        belay::sim::Host& host;
        SimJournal log;
        R receiver;
    };

    explicit SyncWorld(belay::Seed seed, SyncBug planted = SyncBug::none)
        : bug{planted}, world{seed} {
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

    /// Everything goes wrong for a while; then nothing does.   Answers whether all was synced.
    bool run() {
        unleash();
        world.run_for(faults_for + 2s);
        world.network().cut_one_in(0);
        world.network().heal_all();
        without_faults = true;
        for (belay::sim::Host* h : everybody()) {
            h->disk().limit_bytes(~std::uint64_t{0});
            world.network().accept(*h);
            world.restart(*h);
            world.resume(*h);
        }
        return world.run_until(
            [this] {
                for (belay::sim::Host* h : hosts) {
                    Client* const c = h->process<Client>();
                    if (c == nullptr || c->session.depth() != 0) return false;
                    if (c->log().last() < operations_each) return false;
                }
                return true;
            },
            120s);
    }
    /// What is wrong; nothing if all is well. Looks at the server's disk as a fresh process does.
    std::string verdict();

    // ---- for those who live in it ---------------------------------------------------------------

    void complain(const std::string& what) {
        if (complaints.find(what) == std::string::npos) complaints += what + "; ";
    }
    template <class Result>
    void check_result(const Result& result, std::size_t given) {
        if (result.synced_count + result.conflict_count + result.failed_count != given ||
            result.conflicts.size() != result.conflict_count ||
            result.failed_operations.size() != result.failed_count) {
            complain("a result that does not account for everything");
        }
        synced += result.synced_count;
        conflicts += result.conflict_count;
        retries += result.retry_attempts;
    }
    belay::Duration some(belay::Duration most) {
        return belay::Duration{static_cast<std::int64_t>(
            belay::uniform_upto(world.bits(), static_cast<std::uint64_t>(most.count())))};
    }
    /// As whoever watches over processes does.
    void restart_soon(belay::sim::Host& h) {
        ++restarts;
        world.after(50ms, [this, &h] { world.restart(h); });
    }
    /// Adds and Removes of "r", Adds and Updates of "u", anything of "m"; seldom a malformed one.
    Op any_operation(const belay::Id& id, const belay::Stamp& at) {
        const auto pick = [&](std::uint64_t last) {
            return belay::uniform_upto(world.bits(), last);
        };
        const char group = "rum"[pick(2)];
        std::string element = group + std::to_string(pick(2));
        const std::string value = "v" + std::to_string(sent.size());
        Op op{id, at, belay::AddElement<std::string>{element, value}};
        const std::uint64_t what = pick(11);
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
    [[nodiscard]] std::vector<belay::sim::Host*> everybody() const {
        std::vector<belay::sim::Host*> all{hosts.begin(), hosts.end()};
        all.push_back(server);
        return all;
    }

    static constexpr belay::Duration faults_for = 15s;
    SyncBug bug;
    /// By how much each wall clock is wrong, the server's last.
    std::array<belay::Duration, clients + 1> wrong{};
    belay::sim::World world;
    belay::sim::Host* server = nullptr;
    std::array<belay::sim::Host*, clients> hosts{};
    std::map<belay::Id, Op> sent{};
    std::set<belay::Id> accepted{};
    std::set<belay::Id> refused{};
    std::array<belay::Stamp, clients> latest{};
    std::string complaints{};
    std::size_t synced = 0, conflicts = 0, restarts = 0, ledger_failures = 0;
    std::uint64_t retries = 0;
    bool without_faults = false;

private:
    std::optional<SimJournal> open(belay::sim::Host& h) {
        auto opened = SimJournal::open(
            h.disk(), "journal",
            {.segment_bytes = 8192, .record_bytes_max = 2048, .seed = belay::Seed{world.bits()()}});
        if (opened) return std::move(*opened);
        if (without_faults) complain("the journal does not open: " + opened.error().message());
        restart_soon(h);
        return std::nullopt;
    }
    void unleash();
    void disk_fault(belay::sim::Host& h);
};

inline void SyncWorld::disk_fault(belay::sim::Host& h) {
    belay::sim::Disk& disk = h.disk();
    const std::uint64_t at = disk.operations() + 1 + belay::uniform_upto(world.bits(), 5);
    switch (belay::uniform_upto(world.bits(), 2)) {
        case 0:
            disk.fail_at(at, std::make_error_code(std::errc::io_error));
            break;
        case 1:
            // The power fails in the midst of a write.
            disk.halt_at(at);
            world.after(some(1s), [this, &h] { world.restart(h); });
            break;
        default:
            disk.limit_bytes(disk.used_bytes() + belay::uniform_upto(world.bits(), 300));
            world.after(some(1s), [&h] { h.disk().limit_bytes(~std::uint64_t{0}); });
    }
}

inline void SyncWorld::unleash() {
    auto& network = world.network();
    network.cut_one_in(60);
    network.latency(1ms, 20ms);
    for (belay::Duration& by : wrong) by = some(1s);
    const auto times = [&](int count, auto deed) {
        for (int i = 0; i < count; ++i) world.at(some(faults_for), deed);
    };
    const auto anybody = [this]() -> belay::sim::Host& {
        return belay::uniform_upto(world.bits(), 1) == 0
                   ? *server
                   : *hosts[belay::uniform_upto(world.bits(), clients - 1)];
    };
    const auto a_client = [this]() -> belay::sim::Host& {
        return *hosts[belay::uniform_upto(world.bits(), clients - 1)];
    };
    times(8, [=, this] {
        belay::sim::Host& h = anybody();
        world.kill(h);
        world.after(some(1s), [this, &h] {
            if (!h.alive()) world.restart(h);
        });
    });
    times(8, [=, this] { disk_fault(anybody()); });
    times(4, [=, this] {
        belay::sim::Host& h = a_client();
        world.network().partition(h, *server);
        world.after(some(1500ms), [this, &h] { world.network().heal(h, *server); });
    });
    times(3, [=, this] {
        belay::sim::Host& h = anybody();
        world.pause(h);
        world.after(some(1500ms), [this, &h] { world.resume(h); });
    });
    times(2, [=, this] {
        belay::sim::Host& h = a_client();
        world.network().refuse(*server);
        world.after(some(500ms), [this] { world.network().accept(*server); });
        world.network().half_open(h, *server);
    });
    times(2, [=, this] { world.network().half_open(*server, a_client()); });
    times(3, [=, this] { world.network().drop_connections(a_client(), *server); });
    // Wall clocks are set, also back.
    times(4, [this] {
        wrong[belay::uniform_upto(world.bits(), clients)] = some(2s) - belay::Duration{1s};
    });
}

inline std::string SyncWorld::verdict() {
    if (!complaints.empty()) return complaints;
    // The process has it locked, and is not needed any more.
    world.kill(*server);
    auto log =
        SimJournal::open(server->disk(), "journal",
                         {.segment_bytes = 8192, .record_bytes_max = 2048, .seed = belay::Seed{1}});
    if (!log) return "the server's journal does not open";
    SyncOracle all;
    std::set<belay::Id> decided;
    std::map<std::pair<belay::Id, std::string>, belay::Stamp> order;
    Ops in_order;
    for (const LogStore::Write& one : LogStore::all_of(*log)) {
        const belay::Id& id = one.mark.operation;
        const auto from = sent.find(id);
        if (from == sent.end()) return "nobody sent what was decided";
        const Op& op = from->second;
        if (!decided.insert(id).second) return "decided twice: " + std::string{op.element()};
        if (one.mark.hash != belay::detail::hash_of_operation("s", op)) return "other contents";
        in_order.push_back(op);
        // What only happened waits for nothing.
        if (op.kind() == belay::OperationKind::interaction) continue;
        belay::Stamp& last = order[{op.stamp.origin, std::string{op.element()}}];
        if (!(last < op.stamp)) return "out of order: " + std::string{op.element()};
        last = op.stamp;
        all.take(op);
    }
    for (const belay::Id& id : accepted) {
        if (decided.contains(id) == refused.contains(id)) {
            return (decided.contains(id) ? "decided and refused: " : "lost: ") +
                   std::string{sent.at(id).element()};
        }
        if (refused.contains(id) != sent.at(id).element().empty()) return "wrongly refused";
    }
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
    // Adds and Removes come to the same in any order; the whole batch again changes nothing.
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

}  // namespace belay_test
