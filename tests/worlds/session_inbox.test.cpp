// SPDX-License-Identifier: MIT
// Goal: a Session delivers parcels to a Receiver whose ledger is a WorkQueue, and each parcel ends
// once. Method: exploration. The ledger is the Inbox of docs/how-to/into-a-work-queue.md, with the clocks of a host.
// Processes crash, disks fail and are full, wall clocks jump, and some work fails.
#include <cstring>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/journal/journal.hpp>
#include <belay/link/heartbeat.hpp>
#include <belay/policy/rules.hpp>
#include <belay/session/receiver.hpp>
#include <belay/session/session.hpp>
#include <belay/sim/accepted.hpp>
#include <belay/sim/tcp.hpp>
#include <belay/work/work_queue.hpp>

#include "support/worlds/explored.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t inbox_parcels = 40;
constexpr HeartbeatOptions inbox_beats{.every = 1s, .dead_after = 2500ms};

/// The observations of the test. They outlive the processes.
struct InboxWorld {
    explicit InboxWorld(sim::World& w) : world{w} {}

    [[nodiscard]] JournalOptions journal() const {
        return {.segment_bytes = 4096, .record_bytes_max = 512, .seed = Seed{world.bits()()}};
    }

    sim::World& world;
    std::string wrong{};
    std::uint64_t acknowledged = 0;
    std::set<std::uint64_t> worked_on{};  ///< their ends may be durable
    std::set<std::uint64_t> ended{};      ///< their ends are durable
};

struct InboxStamp {
    Id sender{};
    Progress progress{};
};

/// The ledger of one sender, whose operations become items of a work queue.
class Inbox {
    using Work = WorkQueue<Journal<sim::Disk>>;

public:
    static Result<Inbox, WorkError> load(Journal<sim::Disk> journal, sim::Host& host,
                                         InboxWorld& run) {
        const Id id = journal.journal_id();
        WorkOptions options;
        options.lease = 2s;
        options.deliveries_max = 4;
        options.record_bytes_max = 512;
        options.slack_bytes = 1024;
        auto work =
            Work::open(std::move(journal), options, Moment{host.now(), host.wall_clock().now()});
        if (!work) return work.error();
        Inbox inbox{id, std::move(*work), host, run};
        const BytesView note = inbox.work_.kept();
        if (note.size() == sizeof(InboxStamp))
            std::memcpy(&inbox.stamp_.emplace(), note.data(), sizeof(InboxStamp));
        const auto error = inbox.work_.for_each([&](const WorkItem& item) {
            InboxStamp stamp;
            if (item.body.size() < sizeof stamp || !inbox.stamp_) return;
            std::memcpy(&stamp, item.body.data(), sizeof stamp);
            Progress& known = inbox.stamp_->progress;
            const bool is_newer = stamp.progress.applied > known.applied;
            if (stamp.progress.journal == known.journal && is_newer) known = stamp.progress;
        });
        if (error) return WorkError{error};
        return inbox;
    }
    /// Works on what can be leased. Returns false after a failure of the journal.
    bool work() {
        if (commit()) return !work_.failed();
        std::set<std::uint64_t> acked;
        while (const auto job = work_.lease(moment())) {
            const std::uint64_t parcel = number_of(job->body);
            if (run_->ended.contains(parcel))
                run_->wrong = "parcel " + std::to_string(parcel) + " is leased after its end";
            const bool is_done = host_->chance("works", 70);
            if (is_done) {
                run_->worked_on.insert(parcel);
                acked.insert(parcel);
            } else {
                run_->world.reach("given back");
            }
            if (is_done ? work_.ack(*job) : work_.nack(*job, moment(), 300ms)) break;
        }
        if (!work_.commit()) run_->ended.insert(acked.begin(), acked.end());
        return !work_.failed();
    }
    [[nodiscard]] bool empty() const { return work_.empty(); }
    /// Returns what is wrong with the ends of the parcels.
    [[nodiscard]] std::string judge() {
        std::set<std::uint64_t> dead;
        std::string wrong;
        const std::error_code error = work_.for_each_dead([&](const WorkItem& item) {
            run_->world.reach("dead letter");
            const std::uint64_t parcel = number_of(item.body);
            const std::string name = "parcel " + std::to_string(parcel);
            if (!dead.insert(parcel).second) wrong = name + " is two dead letters";
            if (run_->ended.contains(parcel)) wrong = name + " is finished and dead";
        });
        if (error) return error.message();
        for (std::uint64_t parcel = 1; parcel <= inbox_parcels; ++parcel) {
            if (!run_->worked_on.contains(parcel) && !dead.contains(parcel))
                wrong = "parcel " + std::to_string(parcel) + " is lost";
        }
        return wrong;
    }

    // The requirements of LedgerLike.
    [[nodiscard]] const Id& store_id() const noexcept { return id_; }
    [[nodiscard]] std::optional<Progress> progress(const Id& sender) const {
        return stamp_ && stamp_->sender == sender ? std::optional{stamp_->progress} : std::nullopt;
    }
    std::error_code adopt(const Id& sender, const Progress& p) {
        stamp_ = {sender, p};
        return commit();
    }
    std::error_code apply(const Id& sender, const Progress& p, BytesView operation) {
        const InboxStamp stamp{sender, p};
        Bytes body(sizeof stamp);
        std::memcpy(body.data(), &stamp, sizeof stamp);
        body.insert(body.end(), operation.begin(), operation.end());
        if (const auto error = work_.push(body, moment()).error()) return error;
        stamp_ = stamp;
        return {};
    }
    std::error_code commit() {
        if (stamp_) {
            if (const auto error = work_.keep(std::as_bytes(std::span{&*stamp_, 1}))) return error;
        }
        return work_.commit();
    }

private:
    Inbox(const Id& id, Work work, sim::Host& host, InboxWorld& run)
        : id_{id}, work_{std::move(work)}, host_{&host}, run_{&run} {}
    [[nodiscard]] static std::uint64_t number_of(BytesView body) {
        return std::stoull(std::string{as_text(body.subspan(sizeof(InboxStamp)))});
    }
    [[nodiscard]] Moment moment() const { return {host_->now(), host_->wall_clock().now()}; }

    Id id_;
    Work work_;
    std::optional<InboxStamp> stamp_{};
    sim::Host* host_;
    InboxWorld* run_;
};

/// Receives parcels at port 1, and works on them. If its ledger fails, it ends, and is started
/// again.
class Depot {
    struct Watch {
        Depot* depot;
        void on_ledger_failed(std::error_code) {
            depot->run_.world.reach("ledger failed");
            depot->end();
        }
    };

public:
    Depot(sim::Host& host, InboxWorld& run) : host_{host}, run_{run} {
        auto journal = Journal<sim::Disk>::open(host.disk(), "data/inbox", run.journal());
        if (!journal) {
            end();
            return;
        }
        auto inbox = Inbox::load(std::move(*journal), host, run);
        if (!inbox) {
            end();
            return;
        }
        receiver_.emplace(std::move(*inbox),
                          ReceiverOptions{.commit_within = 20ms, .heartbeat = inbox_beats},
                          Watch{this});
        host.attach(*receiver_);
        host.listen(1, [this](sim::Accepted c) { receiver_->accept(std::move(c)); });
        work();
    }
    [[nodiscard]] bool is_done() { return receiver_ && !ends_ && receiver_->ledger().empty(); }
    [[nodiscard]] std::string judge() { return receiver_->ledger().judge(); }

private:
    void work() {
        if (ends_) return;
        host_.after(150ms, [this] { work(); });
        if (receiver_->ledger().work()) return;
        run_.world.reach("queue failed");
        end();
    }
    void end() {
        if (!std::exchange(ends_, true)) exit_and_restart(run_.world, host_);
    }

    sim::Host& host_;
    InboxWorld& run_;
    bool ends_ = false;
    std::optional<Receiver<sim::Accepted, Inbox, AllowAll, Watch>> receiver_{};
};

auto inbox_policy() {
    return Policy{Backoff{EqualJitter{}, Cap{1s}, 100ms}, ResetWhenStable{1s}, AttemptTimeout{2s}};
}

/// Sends parcels 1 to 40. Its journal knows which it has taken.
class Shipper {
    using Log = Journal<sim::Disk>;
    struct Watch {
        Shipper* shipper;
        void on_acknowledged(std::uint64_t up_to) {
            std::uint64_t& known = shipper->run_.acknowledged;
            if (up_to > known) known = up_to;
        }
        void on_blocked(Blocked why, const BlockedDetails&) {
            if (why != Blocked::journal_failed) {
                shipper->run_.wrong = "the session is blocked: " + std::string{to_string(why)};
                return;
            }
            shipper->run_.world.reach("journal failed");
            exit_and_restart(shipper->run_.world, shipper->host_);
        }
    };

public:
    Shipper(sim::Host& host, InboxWorld& run) : host_{host}, run_{run} {
        auto journal = Log::open(host.disk(), "data/outbox", run.journal());
        if (!journal) {
            exit_and_restart(run.world, host);
            return;
        }
        session_.emplace(
            Heartbeat{sim::Tcp{host, "depot", 1}, inbox_beats}, inbox_policy(),
            Queue{std::move(*journal)},
            SessionOptions{
                .id = Id{std::byte{1}}, .greeting_max = 1500ms, .heartbeat = inbox_beats},
            Watch{this});
        host.attach(*session_);
        session_->start();
        work();
    }

private:
    void work() {
        host_.after(250ms, [this] { work(); });
        const std::uint64_t next = session_->status().taken + 1;
        if (next <= inbox_parcels)
            static_cast<void>(session_->send(as_bytes(std::to_string(next))));
    }

    sim::Host& host_;
    InboxWorld& run_;
    std::optional<Session<Heartbeat<sim::Tcp>, decltype(inbox_policy()), Queue<Log>, Watch>>
        session_{};
};

bool session_with_an_inbox(sim::World& world) {
    InboxWorld& run = world.make<InboxWorld>(world);
    sim::Host& depot =
        world.host("depot", [&run](sim::Host& h) { return std::make_unique<Depot>(h, run); });
    world.host("shipper", [&run](sim::Host& h) { return std::make_unique<Shipper>(h, run); });
    for (const char* const name : {"depot", "shipper"}) fill_disk_at_times(world, name, 12'000);
    for (const char* const mark :
         {"given back", "dead letter", "queue failed", "ledger failed", "journal failed"}) {
        world.reachable(mark);
    }
    world.always("the rules of an inbox", [&run] { return run.wrong; });
    world.run_for(14s);
    world.heal();
    return world.eventually("every parcel is acknowledged, and has ended", 60s,
                            [&] {
                                auto* const process = depot.process<Depot>();
                                return run.acknowledged == inbox_parcels && process != nullptr &&
                                       process->is_done();
                            }) &&
           world.require("every parcel is finished or a dead letter",
                         depot.process<Depot>()->judge());
}

}  // namespace

TEST_CASE("Session with a work queue as its receiver's ledger ends each parcel once",
          "[worlds][session_inbox][sim][property]") {
    const auto options = world_options({.kills = 5,
                                        .disk_refusals = 2,
                                        .disk_errors = 3,
                                        .late_disk_errors = 3,
                                        .exhaustions = 2,
                                        .wall_clocks = 2,
                                        .within = 13s,
                                        .lasts_max = 4s});
    CHECK(explored_as_wanted("session_inbox", options, session_with_an_inbox));
}
