// SPDX-License-Identifier: MIT
// Goal: no edit of a Replica is silently lost, and all devices come into step with the server when
// faults end. Method: exploration. Devices and the server crash in the middle of a sync, answers
// get lost, wall clocks are wrong, and the server's store is restored from a backup.
#include <belay/sync/replica.hpp>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <belay/sync/detail/store_epochs.hpp>

#include "support/sync/replica_server_rig.hpp"
#include "support/worlds/explored.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

using NotesTexts = std::map<std::string, std::string>;

struct NotesRun;

/// The store of the server. It notes its writes, so that a backup is a number of writes.
class NotesStore {
public:
    using operation_type = Op;
    explicit NotesStore(NotesRun& run) : run_{run} { memory_.emplace(options()); }

    [[nodiscard]] Result<part::ElementState> find(const part::ElementKey& key) {
        return memory_->find(key);
    }
    [[nodiscard]] Result<std::optional<std::string>> read(const part::ElementKey& key) {
        return memory_->read(key);
    }
    std::error_code add(const part::ElementKey& key, const std::string& value,
                        const part::WriteMark& mark) {
        return write({'a', std::string{key.id}, value, mark});
    }
    std::error_code update(const part::ElementKey& key, const std::string& value,
                           const part::WriteMark& mark) {
        return write({'u', std::string{key.id}, value, mark});
    }
    std::error_code remove(const part::ElementKey& key, const part::WriteMark& mark) {
        return write({'r', std::string{key.id}, {}, mark});
    }
    std::error_code remember(const part::WriteMark& mark) { return write({'m', {}, {}, mark}); }
    [[nodiscard]] Result<std::optional<part::AppliedMark>> applied(const Id& id) {
        return memory_->applied(id);
    }
    std::error_code expire(WallTime now) {
        Write one{'e', {}, {}, {}};
        one.mark.stamp.wall = now;
        return write(std::move(one));
    }
    [[nodiscard]] WallTime horizon() const noexcept { return memory_->horizon(); }
    [[nodiscard]] Result<part::ChangesPage<std::string>> changes_since(std::string_view session,
                                                                       const part::StoreCursor& at,
                                                                       std::size_t most);

    [[nodiscard]] NotesTexts texts() const {
        NotesTexts all;
        memory_->for_each("s", [&](std::string_view id, const std::string& text, const Stamp&) {
            all.emplace(std::string{id}, text);
        });
        return all;
    }
    [[nodiscard]] std::size_t size() const { return writes_.size(); }
    /// Makes the store from its first `count` writes again.
    void restore(std::size_t count, bool new_id);

private:
    struct Write {
        char kind;  ///< add, update, remove, remember, expire
        std::string element;
        std::string value;
        part::WriteMark mark;
    };
    [[nodiscard]] MemoryStoreOptions options() const {
        return {.tombstones_kept = 4s, .id = id_of(1000 + id_)};
    }
    std::error_code write(Write one);
    std::error_code apply(const Write& one) {
        const part::ElementKey key{"s", one.element};
        if (one.kind == 'a') return memory_->add(key, one.value, one.mark);
        if (one.kind == 'u') return memory_->update(key, one.value, one.mark);
        if (one.kind == 'r') return memory_->remove(key, one.mark);
        if (one.kind == 'm') return memory_->remember(one.mark);
        return memory_->expire(one.mark.stamp.wall);
    }

    NotesRun& run_;
    std::uint64_t id_ = 0;
    std::uint64_t changes_ = 0;
    std::vector<detail::StoreEpochs::Epoch> epochs_{{1, 1}};  ///< as a store on a disk has them
    std::uint32_t last_epoch_ = 1;
    std::vector<Write> writes_{};
    std::optional<Memory> memory_{};
};

/// What a device has on its disk except the journal, and what the test notes about it.
struct NotesCopy {
    [[nodiscard]] NotesTexts texts() const {
        NotesTexts all;
        for (const auto& [key, element] : store.in.elements) {
            if (key.first != "s") continue;
            const bool live = element.first.presence == part::Presence::live;
            all.emplace(key.second, live ? element.second : std::string{});
        }
        return all;
    }

    MapStore store{};
    bool accepts_other = false;
};

/// What stays when a process ends; and what the test sees.
struct NotesRun {
    explicit NotesRun(sim::World& w) : world{w} {}

    std::string wrong{};  ///< with a report

    /// An edit that one device has made. A removal has no text.
    struct Edit {
        std::size_t device;
        std::string element;
        std::string text;
        std::optional<std::string> saw;  ///< the text that its author saw
        bool durable = false;
        bool reported = false;
        bool shown = false;  ///< although its commit failed
    };
    void note_report(const Id& id) {
        const auto at = ids.find(id);
        if (at != ids.end()) edits[at->second].reported = true;
    }
    void note_report(const std::string& text) {
        for (Edit& edit : edits) edit.reported = edit.reported || edit.text == text;
    }
    /// Of all devices: a removal of what is removed already has the author of the first.
    void note_removals(const std::string& element) {
        for (Edit& edit : edits) {
            const bool is_removal = edit.element == element && edit.text.empty();
            edit.reported = edit.reported || is_removal;
        }
    }
    [[nodiscard]] const Edit* edit_of(const std::string& text) const {
        for (const Edit& edit : edits) {
            if (!text.empty() && edit.text == text) return &edit;
        }
        return nullptr;
    }
    [[nodiscard]] std::string in_step();
    [[nodiscard]] std::string lost() const;

    sim::World& world;
    NotesStore store{*this};
    sim::Host* server = nullptr;
    std::vector<NotesCopy> copies{3};
    std::vector<sim::Host*> devices{};
    std::vector<Edit> edits{};
    std::map<Id, std::size_t> ids{};  ///< of the edits; one that was stamped again has several
    /// The operations that the store has ever applied, with the number of its first write of each.
    std::map<Id, std::size_t> effects{};
    std::vector<std::size_t> backups{0};
};

std::error_code NotesStore::write(Write one) {
    if (const std::error_code error = apply(one)) return error;
    if (one.kind != 'e' && one.kind != 'm') {
        ++changes_;
        // A removal is written again when an operation loses against it.
        const part::Decision decision = one.mark.decision;
        if (decision == part::Decision::applied || part::overwrites(decision)) {
            run_.effects.emplace(one.mark.operation, run_.effects.size());
        }
    }
    writes_.push_back(std::move(one));
    return {};
}
void NotesStore::restore(std::size_t count, bool new_id) {
    writes_.resize(count);
    id_ += new_id ? 1 : 0;
    memory_.emplace(options());
    changes_ = 0;
    for (const Write& one : writes_) {
        static_cast<void>(apply(one));
        changes_ += one.kind != 'e' && one.kind != 'm' ? 1 : 0;
    }
    std::erase_if(epochs_, [this](const auto& one) { return one.first > changes_; });
    epochs_.push_back({changes_ + 1, ++last_epoch_});
}
Result<part::ChangesPage<std::string>> NotesStore::changes_since(std::string_view session,
                                                                 const part::StoreCursor& at,
                                                                 std::size_t most) {
    detail::StoreEpochs epochs;
    for (const auto& one : epochs_) epochs.add(one);
    part::StoreCursor cursor = at;
    cursor.epoch = 0;  // the memory has one epoch
    const bool diverges = at.store == id_of(1000 + id_) && !epochs.include(at, changes_);
    if (diverges) cursor = {};
    auto page = memory_->changes_since(session, cursor, most);
    if (!page) return page;
    if (diverges) run_.world.reach("restored store noticed by its epoch");
    page->other_history = page->other_history || diverges;
    page->next.epoch = epochs.of(page->next.seen);
    return page;
}

/// Answers the questions of devices. Its store survives it.
class NotesServer {
    using Processor = SyncProcessor<std::reference_wrapper<NotesStore>, LastWriteWins, NoObserver,
                                    sim::WallClock>;

public:
    NotesServer(sim::Host& host, NotesRun& run)
        : processor_{std::ref(run.store),
                     LastWriteWins{},
                     {.skew_max = 2s, .transaction_operations = 2},
                     {},
                     set_clock(host, run)} {}
    [[nodiscard]] Bytes answer(const Bytes& question) { return server_.answer(question).bytes; }

private:
    [[nodiscard]] static sim::WallClock set_clock(sim::Host& host, NotesRun& run) {
        const bool is_wrong = run.world.chance("the server's clock is wrong", 30);
        host.set_wall_clock(
            is_wrong ? 1s * (static_cast<int>(run.world.choose("server's clock", 40)) - 20) : 0s);
        return host.wall_clock();
    }

    Processor processor_;
    part::ReplicaServer<Processor, TextCodec> server_{
        processor_, TextCodec{}, {.page_elements = 2}};
};

/// Edits, and syncs now and then.
class NotesDevice {
    using Log = Journal<sim::Disk>;
    using Notes = Replica<TextCodec, std::reference_wrapper<Log>, std::reference_wrapper<MapStore>,
                          sim::WallClock>;
    /// The process ends here.
    struct Crash {};
    struct Ask {
        NotesDevice* device;
        Result<Bytes> operator()(const Bytes& question, Duration) { return device->ask(question); }
    };

public:
    NotesDevice(sim::Host& host, NotesRun& run, std::size_t number)
        : host_{host},
          run_{run},
          number_{number},
          accepts_other_{run.copies[number].accepts_other} {
        auto log = Log::open(
            host.disk(), "data/edits",
            {.segment_bytes = 4096, .record_bytes_max = 512, .seed = Seed{run.world.bits()()}});
        if (!log) {
            end();
            return;
        }
        log_.emplace(std::move(*log));
        notes_.emplace(std::ref(*log_), std::ref(copy().store), TextCodec{}, options(),
                       set_clock());
        if (notes_->load()) {
            end();
        } else {
            work();
        }
    }

    /// Returns whether the server has decided all edits.
    [[nodiscard]] bool is_done() const { return notes_ && !ends_ && notes_->waiting() == 0; }
    [[nodiscard]] NotesTexts texts() {
        NotesTexts all;
        const auto error = notes_->for_each([&](std::string_view id, const std::string& text) {
            all.emplace(std::string{id}, text);
        });
        if (error) all.emplace("error", error.message());
        return all;
    }
    void edit() {
        const std::string element(1, static_cast<char>('a' + host_.choose("element", 5)));
        const auto shown = notes_->read(element);
        if (!shown) return;
        const std::size_t number = run_.edits.size();
        const std::string text = "text " + std::to_string(number);
        Operation<std::string>::Action action = AddElement<std::string>{element, text};
        const bool removes = *shown && host_.chance("removes", 25);
        if (removes) action = RemoveElement{element};
        if (*shown && !removes && host_.chance("updates", 75))
            action = UpdateElement<std::string>{element, text};
        const auto id = notes_->edit(action);
        run_.edits.push_back({number_, element, removes ? std::string{} : text, *shown});
        if (!id) {
            const auto now = notes_->read(element);
            run_.edits.back().shown = now && *now != *shown;
            return end_if_failed();
        }
        run_.edits.back().durable = true;
        run_.ids[*id] = number;
    }

private:
    [[nodiscard]] NotesCopy& copy() { return run_.copies[number_]; }
    [[nodiscard]] ReplicaOptions options() {
        using Other = ReplicaOptions::OtherStore;
        ReplicaOptions o;
        o.session = "s";
        o.batch_operations = 1 + host_.choose("batch", 4);
        const bool restores = accepts_other_ && host_.chance("restores the server", 50);
        o.other_store = restores ? Other::restores : accepts_other_ ? Other::copies : Other::stops;
        o.restamp_after = 3s;
        o.seed = Seed{run_.world.bits()()};
        return o;
    }
    /// A machine may start with a wrong clock.
    [[nodiscard]] sim::WallClock set_clock() {
        const bool is_wrong = host_.chance("the clock is wrong", 40);
        host_.set_wall_clock(
            is_wrong ? 1s * (static_cast<int>(host_.choose("clock", 14'400)) - 7'200) : 0s);
        return host_.wall_clock();
    }
    void end() {
        if (!std::exchange(ends_, true)) exit_and_restart(run_.world, host_);
    }
    void end_if_failed() {
        if (!log_->failed()) return;
        run_.world.reach("journal failed");
        end();
    }
    [[nodiscard]] bool fails(std::string_view what, std::uint32_t percent) {
        return !run_.world.healed_at() && host_.chance(what, percent);
    }
    void work() {
        host_.after(300ms, [this] { work(); });
        if (ends_) return;
        if (fails("edits", 40)) edit();
        if (!ends_ && (run_.world.healed_at() || host_.chance("syncs", 40))) sync();
    }
    Result<Bytes> ask(const Bytes& question) {
        if (fails("crashes before a question", 1)) throw Crash{};
        const sim::Network& network = run_.world.network();
        sim::Host& there = *run_.server;
        auto* const server = there.process<NotesServer>();
        const bool arrives = server != nullptr && !there.paused() &&
                             !network.partitioned(host_, there) && !fails("question lost", 5);
        if (!arrives) return SyncErrc::unanswered;
        Bytes answer = server->answer(question);
        if (fails("crashes before the answer", 2)) throw Crash{};
        if (network.partitioned(there, host_) || fails("answer lost", 8)) {
            run_.world.reach("answer lost");
            return SyncErrc::unanswered;
        }
        return answer;
    }
    /// Returns whether the device has received all changes up to some number of them.
    [[nodiscard]] bool knows_changes() {
        const std::string session = "s";
        Random bits{Seed{1}};
        const auto cursor = detail::ReplicaCopy<MapStore>{copy().store, session, bits}.cursor();
        return cursor && *cursor && (*cursor)->changes != 0;
    }
    void sync() {
        knew_changes_ = knows_changes();
        copy().store.fail_in = fails("local store", 10) ? 1 + host_.choose("call", 20) : 0;
        part::RemoteSyncServer<TextCodec, Ask> server{
            Ask{this}, TextCodec{}, {.session = "s", .question_bytes = 300}};
        std::error_code error = SyncErrc::unanswered;
        try {
            error = notes_
                        ->sync(server,
                               [&](const auto& report) {
                                   if (fails("crashes before its report", 2)) throw Crash{};
                                   read(report);
                               })
                        .error;
        } catch (const Crash&) {
            run_.world.reach("crash in a sync");
            end();
        }
        copy().store.fail_in = 0;
        if (ends_) return;
        if (error == SyncErrc::other_store) {
            run_.world.reach("other store");
            copy().accepts_other = true;
            return end();
        }
        if (!error) copy().accepts_other = false;
        end_if_failed();
        if (!ends_) drop_kept();
    }
    void read(const Notes::Report& report) {
        sim::World& world = run_.world;
        for (const auto& one : report.restamped) {
            world.reach("edit stamped again");
            const auto at = run_.ids.find(one.before);
            if (at != run_.ids.end()) run_.ids[one.operation.id] = at->second;
        }
        for (const auto& one : report.conflicts) {
            world.reach("conflict");
            run_.note_report(one.operation.id);
            note_version(one.operation);
        }
        for (const auto& one : report.overwrote) {
            world.reach("overwrote");
            if (one.replaced.value) {
                run_.note_report(*one.replaced.value);
            } else {
                run_.note_removals(std::string{one.operation.element()});
            }
        }
        for (const auto& one : report.replaced) {
            world.reach("replaced");
            note_version(one.mine.id, one.mine.value);
        }
        if (!report.restored.empty()) {
            world.reach("server restored by a device");
            // Each of them is a part of what the server has lost. A sync that fails may have counted
            // fewer: the local store did not take the other version, and the next sync counts it.
            const bool is_counted =
                report.lost && (report.lost->last_change != 0) == knew_changes_ &&
                (report.error || report.lost->elements >= report.restored.size()) &&
                !(report.lost->latest < report.lost->earliest);
            if (!is_counted) run_.wrong = "the report does not have the range of a loss";
        }
        if (report.copied && !accepts_other_) world.reach("copied again");
    }
    /// An edit that restores a version has an id of its own.
    void note_version(const Op& operation) {
        const bool is_removal = operation.kind() == OperationKind::remove;
        note_version(operation.element(),
                     is_removal ? std::nullopt : std::optional{operation.value()});
    }
    void note_version(std::string_view element, const std::optional<std::string>& text) {
        if (text) return run_.note_report(*text);
        run_.note_removals(std::string{element});
    }
    /// Gives up the edits that the server will never take.
    void drop_kept() {
        for (const auto& one : notes_->kept()) {
            run_.world.reach("edit kept");
            if (one.retryable && one.error != SyncErrc::too_old) continue;
            if (one.error == SyncErrc::too_old) run_.world.reach("tombstone forgotten");
            if (one.retryable && host_.chance("sends it again", 50)) {
                static_cast<void>(notes_->send_again(one.operation.id));
                continue;
            }
            run_.note_report(one.operation.id);
            note_version(one.operation);
            if (notes_->drop(one.operation.id)) return end_if_failed();
        }
    }

    sim::Host& host_;
    NotesRun& run_;
    const std::size_t number_;
    const bool accepts_other_;  ///< until it starts again
    bool ends_ = false;
    bool knew_changes_ = false;  ///< before the last sync
    std::optional<Log> log_{};
    std::optional<Notes> notes_{};
};

std::string NotesRun::in_step() {
    std::vector<std::pair<std::string, std::string>> all;
    const auto add = [&](std::string_view name, const NotesTexts& texts) {
        std::string line;
        for (const auto& [element, text] : texts) line += element + "=" + text + ";";
        all.emplace_back(std::string{name}, line);
    };
    add("the server", store.texts());
    for (sim::Host* const host : devices) {
        auto* const device = host->process<NotesDevice>();
        if (device == nullptr || !device->is_done())
            return std::string{host->name()} + " has edits that wait";
        add(host->name(), device->texts());
    }
    return sim::converged(all);
}
std::string NotesRun::lost() const {
    std::set<std::string> seen;
    std::map<const Edit*, std::size_t> order;  // of those that took effect
    for (const auto& [id, number] : effects) {
        const auto at = ids.find(id);
        if (at == ids.end()) continue;
        const Edit& edit = edits[at->second];
        if (edit.saw) seen.insert(*edit.saw);
        const auto first = order.emplace(&edit, number).first;
        first->second = std::min(first->second, number);
    }
    const NotesTexts end = store.texts();
    // The author of both edits wanted the later one, which is accounted for by itself. An edit whose
    // commit failed is shown, and is durable or not when the process starts again.
    for (auto edit = edits.rbegin(); edit != edits.rend(); ++edit) {
        const auto at = end.find(edit->element);
        const bool took_effect = edit->durable || (edit->shown && !edit->text.empty() &&
                                                   (edit->reported || seen.count(edit->text) != 0 ||
                                                    (at != end.end() && at->second == edit->text)));
        const Edit* const own = took_effect && edit->saw ? edit_of(*edit->saw) : nullptr;
        if (own != nullptr && own->device == edit->device) seen.insert(*edit->saw);
    }
    for (std::size_t i = 0; i < edits.size(); ++i) {
        const Edit& edit = edits[i];
        if (!edit.durable || edit.reported) continue;
        const auto at = end.find(edit.element);
        const bool is_there = at != end.end() && at->second == edit.text;
        // A later edit of the same author, a removal by another, and an edit of what is removed
        // replace a removal. An edit of what is removed may have been made before, and have taken
        // effect after it: two removals are the same state.
        const auto effect = order.find(&edit);
        const bool goes_on = std::any_of(edits.begin(), edits.end(), [&](const Edit& other) {
            if (!other.durable || other.element != edit.element) return false;
            const auto its = order.find(&other);
            const bool after = effect != order.end() && its != order.end() &&
                               effect->second < its->second && !other.saw;
            return after || (&edit < &other &&
                             (other.device == edit.device || other.text.empty() || !other.saw));
        });
        const bool undone = at != end.end() && at->second == edit.saw && !goes_on;
        const bool lost = edit.text.empty() ? undone : !is_there && seen.count(edit.text) == 0;
        if (!lost) continue;
        return "edit " + std::to_string(i) + " of device " + std::to_string(edit.device) + ", " +
               (edit.text.empty() ? "a removal" : edit.text) + " of " + edit.element +
               ", is neither in the store nor reported";
    }
    return {};
}

/// Restores the store from one of the last backups, with a new id as the documents ask, or not.
void damage_store(NotesRun& run) {
    if (run.world.healed_at()) return;
    run.world.after(2s, [&run] { damage_store(run); });
    if (!run.server->alive() || run.server->paused()) return;
    if (!run.world.chance("restore", 15)) return run.backups.push_back(run.store.size());
    const std::size_t last = run.backups.size() - 1;
    const std::size_t back = run.world.choose("backup", std::min<std::size_t>(3, last + 1));
    run.backups.resize(last - back + 1);
    run.world.reach("restored");
    run.store.restore(run.backups.back(), run.world.chance("new id", 50));
    run.world.restart(*run.server);
}

bool replicas_of_one_server(sim::World& world) {
    NotesRun& run = world.make<NotesRun>(world);
    run.server = &world.host(
        "server", [&run](sim::Host& h) { return std::make_unique<NotesServer>(h, run); });
    for (std::size_t i = 0; i < run.copies.size(); ++i) {
        run.devices.push_back(&world.host("device " + std::to_string(i), [&run, i](sim::Host& h) {
            return std::make_unique<NotesDevice>(h, run, i);
        }));
    }
    for (const char* const mark :
         {"journal failed", "answer lost", "crash in a sync", "restored", "other store",
          "edit stamped again", "conflict", "overwrote", "replaced", "copied again", "edit kept",
          "tombstone forgotten", "restored store noticed by its epoch",
          "server restored by a device"}) {
        world.reachable(mark);
    }
    world.always("a loss is reported", [&run] { return run.wrong; });
    damage_store(run);
    for (const sim::Host* const device : run.devices) {
        fill_disk_at_times(world, std::string{device->name()}, 18'000);
    }
    const auto in_step = [&run] { return run.in_step().empty(); };
    world.run_for(20s);
    world.heal();
    if (!world.eventually("devices and server are in step, and no edit waits", 120s, in_step))
        return false;
    if (!world.require("no edit is silently lost", run.lost())) return false;
    for (sim::Host* const host : run.devices) {
        auto* const device = host->process<NotesDevice>();
        device->edit();
    }
    if (!world.run_until(in_step, 120s))
        return world.require("devices and server are in step, and no edit waits", run.in_step());
    return world.require("no edit is silently lost", run.lost());
}

}  // namespace

TEST_CASE("Replicas lose no edit and become equal after faults of network, disk and clocks",
          "[worlds][sync][sim][property]") {
    const auto options = world_options({.kills = 4,
                                        .one_way_partitions = 2,
                                        .disk_refusals = 2,
                                        .disk_errors = 3,
                                        .wall_clocks = 3,
                                        .within = 18s,
                                        .clock_wrong_max = 20s});
    CHECK(explored("sync", options, replicas_of_one_server));
}
