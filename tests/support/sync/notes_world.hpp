// SPDX-License-Identifier: MIT
/// \file tests/support/sync/notes_world.hpp
/// A world of devices with a Replica each, and of their server, whose store is restored from
/// backups. The test tracks the result of every edit.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <belay/sqlite/store.hpp>
#include <belay/sync/replica.hpp>

#include "support/sync/replica_server_rig.hpp"
#include "support/worlds/explored.hpp"

namespace belay_test {

using namespace std::chrono_literals;

using NotesTexts = std::map<std::string, std::string>;

struct NotesRun;

/// The store of the server. It records its writes, so that a backup is a number of writes.
class NotesStore {
public:
    using operation_type = Op;
    explicit NotesStore(NotesRun& run) : run_{run} { memory_.emplace(options()); }

    [[nodiscard]] belay::Result<belay::part::ElementState> find(
        const belay::part::ElementKey& key) {
        return memory_->find(key);
    }
    [[nodiscard]] belay::Result<std::optional<std::string>> read(
        const belay::part::ElementKey& key) {
        return memory_->read(key);
    }
    std::error_code add(const belay::part::ElementKey& key, const std::string& value,
                        const belay::part::WriteMark& mark) {
        return write({'a', std::string{key.id}, value, mark});
    }
    std::error_code update(const belay::part::ElementKey& key, const std::string& value,
                           const belay::part::WriteMark& mark) {
        return write({'u', std::string{key.id}, value, mark});
    }
    std::error_code remove(const belay::part::ElementKey& key, const belay::part::WriteMark& mark) {
        return write({'r', std::string{key.id}, {}, mark});
    }
    std::error_code remember(const belay::part::WriteMark& mark) {
        return write({'m', {}, {}, mark});
    }
    [[nodiscard]] belay::Result<std::optional<belay::part::AppliedMark>> applied(
        const belay::Id& id) {
        return memory_->applied(id);
    }
    /// A device that overwrites a scene without having seen it reports that, also if the first
    /// answer was lost.
    [[nodiscard]] belay::Result<std::optional<belay::part::ReplacedVersion<std::string>>> replaced(
        const belay::Id& id);
    std::error_code expire(belay::WallTime now) {
        Write one{'e', {}, {}, {}};
        one.mark.stamp.wall = now;
        return write(std::move(one));
    }
    [[nodiscard]] belay::WallTime horizon() const noexcept { return memory_->horizon(); }
    [[nodiscard]] belay::Result<belay::part::ChangesPage<std::string>> changes_since(
        std::string_view session, const belay::part::StoreCursor& at, std::size_t most);

    [[nodiscard]] NotesTexts texts() const {
        NotesTexts all;
        memory_->for_each("s", [&](std::string_view id, const std::string& text,
                                   const belay::Stamp&) { all.emplace(std::string{id}, text); });
        return all;
    }
    [[nodiscard]] std::size_t size() const { return writes_.size(); }
    /// The store has another id after each restore.
    [[nodiscard]] std::uint32_t epoch() const { return last_epoch_; }
    /// Rebuilds the store from its first `count` writes.
    void restore(std::size_t count, bool new_id);

private:
    struct Write {
        char kind;  ///< add, update, remove, remember, expire
        std::string element;
        std::string value;
        belay::part::WriteMark mark;
    };
    [[nodiscard]] belay::MemoryStoreOptions options() const {
        return {.tombstones_kept = 4s, .id = id_of(1000 + id_)};
    }
    std::error_code write(Write one);
    std::error_code apply(const Write& one) {
        const belay::part::ElementKey key{"s", one.element};
        if (one.kind == 'a') return memory_->add(key, one.value, one.mark);
        if (one.kind == 'u') return memory_->update(key, one.value, one.mark);
        if (one.kind == 'r') return memory_->remove(key, one.mark);
        if (one.kind == 'm') return memory_->remember(one.mark);
        return memory_->expire(one.mark.stamp.wall);
    }

    NotesRun& run_;
    std::uint64_t id_ = 0;
    std::uint64_t changes_ = 0;
    std::vector<belay::detail::StoreEpochs::Epoch> epochs_{{1, 1}};  ///< as in a store on a disk
    std::uint32_t last_epoch_ = 1;
    std::vector<Write> writes_{};
    std::optional<Memory> memory_{};
};

/// The content of a device's disk except the journal, and the records of the test about it.
struct NotesCopy {
    [[nodiscard]] NotesTexts texts() const {
        NotesTexts all;
        for (const auto& [key, element] : store.in.elements) {
            if (key.first != "s") continue;
            const bool live = element.first.presence == belay::part::Presence::live;
            all.emplace(key.second, live ? element.second : std::string{});
        }
        return all;
    }

    MapStore store{};
    bool accepts_other = false;
    /// The lost elements that the reports have counted since the last complete sync.
    std::uint64_t counted = 0;
};

/// The state that remains when a process ends, and the records of the test.
struct NotesRun {
    explicit NotesRun(belay::sim::World& w) : world{w} {}

    std::string wrong{};  ///< the error text of the first wrong result

    /// An edit that one device has made. A removal has no text.
    struct Edit {
        std::size_t device;
        std::string element;
        std::string text;
        std::optional<std::string> saw;  ///< the text that its author saw
        bool durable = false;
        bool reported = false;
        bool shown = false;  ///< it was shown although its commit failed
    };
    void note_report(const belay::Id& id) {
        const auto at = ids.find(id);
        if (at != ids.end()) edits[at->second].reported = true;
    }
    void note_report(const std::string& text) {
        for (Edit& edit : edits) edit.reported = edit.reported || edit.text == text;
    }
    /// Applies to all devices: a removal of a removed element has the author of the first removal.
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

    belay::sim::World& world;
    NotesStore store{*this};
    belay::sim::Host* server = nullptr;
    std::vector<NotesCopy> copies{3};
    std::vector<belay::sim::Host*> devices{};
    std::vector<Edit> edits{};
    std::map<belay::Id, std::size_t> ids{};  ///< the ids of the edits
    /// The operations that the store has applied, each with the number of its first write.
    std::map<belay::Id, std::size_t> effects{};
    std::vector<std::size_t> backups{0};
    /// The texts that an author of a scene saw and replaced.
    std::set<std::string> replaced_scenes{};
    /// The texts that the store lost when it was restored, or by a request whose device no longer
    /// waits.
    std::set<std::string> lost_by_store{};
    bool is_late = false;  ///< the request that is being answered
    /// The version that the author of a version saw, by element and stamp.
    std::map<std::pair<std::string, belay::Stamp>, std::optional<belay::Stamp>> saw{};
    /// Whether a program edits the elements, too, and whether requests arrive late, or twice.
    bool with_program = false;
};

inline std::error_code NotesStore::write(Write one) {
    const auto before = memory_->read({"s", one.element});
    if (const std::error_code error = apply(one)) return error;
    if (run_.is_late && belay::part::overwrites(one.mark.decision) && *before) {
        run_.lost_by_store.insert(**before);
    }
    if (one.kind != 'e' && one.kind != 'm') {
        ++changes_;
        // A removal is written again when an operation loses against it.
        const belay::part::Decision decision = one.mark.decision;
        if (decision == belay::part::Decision::applied || belay::part::overwrites(decision)) {
            run_.effects.emplace(one.mark.operation, run_.effects.size());
            // The id of an edit whose commit failed is not known, and it may be durable.
            const auto edit = std::find_if(
                run_.edits.rbegin(), run_.edits.rend(), [&](const NotesRun::Edit& made) {
                    return made.shown && !made.durable && made.element == one.element &&
                           made.text == one.value;
                });
            if (edit != run_.edits.rend()) {
                run_.ids.emplace(one.mark.operation,
                                 static_cast<std::size_t>(run_.edits.rend() - edit) - 1);
            }
        }
    }
    writes_.push_back(std::move(one));
    return {};
}
inline void NotesStore::restore(std::size_t count, bool new_id) {
    for (std::size_t i = count; i < writes_.size(); ++i)
        run_.lost_by_store.insert(writes_[i].value);
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
inline belay::Result<belay::part::ChangesPage<std::string>> NotesStore::changes_since(
    std::string_view session, const belay::part::StoreCursor& at, std::size_t most) {
    belay::detail::StoreEpochs epochs;
    for (const auto& one : epochs_) epochs.add(one);
    belay::part::StoreCursor cursor = at;
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

inline belay::Result<std::optional<belay::part::ReplacedVersion<std::string>>> NotesStore::replaced(
    const belay::Id& id) {
    if (!run_.with_program) return std::optional<belay::part::ReplacedVersion<std::string>>{};
    return memory_->replaced(id);
}

/// Answers the requests of devices. Its store survives it.
class NotesServer {
    /// Records the version that the author of each version saw.
    struct Watch {
        NotesRun* run;
        void on_operation(const belay::OperationReport<Op>& report) {
            const Op& op = report.operation;
            if (report.outcome == belay::part::OperationOutcome::applied)
                run->saw[{std::string{op.element()}, op.stamp}] = op.saw;
        }
    };
    using Processor = belay::SyncProcessor<std::reference_wrapper<NotesStore>, belay::LastWriteWins,
                                           Watch, belay::sim::WallClock>;

public:
    NotesServer(belay::sim::Host& host, NotesRun& run)
        : processor_{std::ref(run.store),
                     belay::LastWriteWins{},
                     {.skew_max = 2s, .transaction_operations = 2},
                     Watch{&run},
                     set_clock(host, run)} {}
    [[nodiscard]] Processor& processor() noexcept { return processor_; }
    [[nodiscard]] belay::Bytes answer(const belay::Bytes& question) {
        return server_.answer(question).bytes;
    }

private:
    [[nodiscard]] static belay::sim::WallClock set_clock(belay::sim::Host& host, NotesRun& run) {
        const bool is_wrong = run.world.chance("the server's clock is wrong", 30);
        host.set_wall_clock(
            is_wrong ? 1s * (static_cast<int>(run.world.choose("server's clock", 40)) - 20) : 0s);
        return host.wall_clock();
    }

    Processor processor_;
    belay::part::ReplicaServer<Processor, TextCodec> server_{
        processor_, TextCodec{}, {.page_elements = 2}};
};

/// Edits, and syncs at times.
class NotesDevice {
    using Log = belay::Journal<belay::sim::Disk>;
    using Notes = belay::Replica<TextCodec, std::reference_wrapper<Log>,
                                 std::reference_wrapper<MapStore>, belay::sim::WallClock>;
    /// The process ends here.
    struct Crash {};
    struct Ask {
        NotesDevice* device;
        belay::Result<belay::Bytes> operator()(const belay::Bytes& question, belay::Duration) {
            return device->ask(question);
        }
    };

public:
    NotesDevice(belay::sim::Host& host, NotesRun& run, std::size_t number)
        : host_{host},
          run_{run},
          number_{number},
          accepts_other_{run.copies[number].accepts_other} {
        auto log = Log::open(host.disk(), "data/edits",
                             {.segment_bytes = 4096,
                              .record_bytes_max = 512,
                              .seed = belay::Seed{run.world.bits()()}});
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
        belay::Operation<std::string>::Action action =
            belay::AddElement<std::string>{element, text};
        const bool removes = *shown && host_.chance("removes", 25);
        if (removes) action = belay::RemoveElement{element};
        if (*shown && !removes && host_.chance("updates", 75))
            action = belay::UpdateElement<std::string>{element, text};
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
    [[nodiscard]] belay::ReplicaOptions options() {
        using Other = belay::ReplicaOptions::OtherStore;
        belay::ReplicaOptions o;
        o.session = "s";
        o.batch_operations = 1 + host_.choose("batch", 4);
        const bool restores = accepts_other_ && host_.chance("restores the server", 50);
        o.other_store = restores ? Other::restores : accepts_other_ ? Other::copies : Other::stops;
        o.seed = belay::Seed{run_.world.bits()()};
        return o;
    }
    /// A machine may start with a wrong clock.
    [[nodiscard]] belay::sim::WallClock set_clock() {
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
    /// Lets a request arrive late, or twice. The device does not wait for the answer.
    void deliver_late(const belay::Bytes& question) {
        const auto by = 1ms * static_cast<std::int64_t>(host_.choose("late by", 4000));
        run_.world.after(by, [&run = run_, question] {
            auto* const server = run.server->process<NotesServer>();
            if (server == nullptr || run.server->paused()) return;
            run.world.reach("question late");
            run.is_late = true;
            static_cast<void>(server->answer(question));
            run.is_late = false;
        });
    }
    belay::Result<belay::Bytes> ask(const belay::Bytes& question) {
        if (fails("crashes before a question", 1)) throw Crash{};
        if (run_.with_program && fails("question late", 10)) deliver_late(question);
        const belay::sim::Network& network = run_.world.network();
        belay::sim::Host& there = *run_.server;
        auto* const server = there.process<NotesServer>();
        const bool arrives = server != nullptr && !there.paused() &&
                             !network.partitioned(host_, there) && !fails("question lost", 5);
        if (!arrives) return belay::SyncErrc::unanswered;
        belay::Bytes answer = server->answer(question);
        if (fails("crashes before the answer", 2)) throw Crash{};
        if (network.partitioned(there, host_) || fails("answer lost", 8)) {
            run_.world.reach("answer lost");
            return belay::SyncErrc::unanswered;
        }
        return answer;
    }
    /// Returns whether the device has received all changes up to some number of them.
    [[nodiscard]] bool knows_changes() {
        const std::string session = "s";
        belay::detail::ReplicaCopy<MapStore>::Unreadable unreadable;
        const auto cursor =
            belay::detail::ReplicaCopy<MapStore>{copy().store, session, unreadable}.cursor();
        return cursor && *cursor && (*cursor)->changes != 0;
    }
    void sync() {
        knew_changes_ = knows_changes();
        copy().store.fail_in = fails("local store", 10) ? 1 + host_.choose("call", 20) : 0;
        belay::part::RemoteSyncServer<TextCodec, Ask> server{
            Ask{this}, TextCodec{}, {.session = "s", .question_bytes = 300}};
        std::error_code error = belay::SyncErrc::unanswered;
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
        if (error == belay::SyncErrc::other_store) {
            run_.world.reach("other store");
            copy().accepts_other = true;
            return end();
        }
        if (!error) copy().accepts_other = false;
        end_if_failed();
        if (!ends_) drop_kept();
    }
    void read(const Notes::Report& report) {
        belay::sim::World& world = run_.world;
        for (const auto& one : report.conflicts) {
            world.reach("conflict");
            if (is_there(one.operation)) run_.wrong = "the store has an edit that is reported";
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
        if (report.lost) copy().counted += report.lost->elements;
        if (!report.restored.empty()) {
            world.reach("server restored by a device");
            // Each of them is a part of the texts that the server has lost. A sync that fails may
            // have counted fewer: the local store did not accept the other version, and the next
            // sync counts it, but no element that a report has counted.
            const bool is_counted = report.lost &&
                                    (report.lost->last_change != 0) == knew_changes_ &&
                                    (report.error || copy().counted >= report.restored.size()) &&
                                    !(report.lost->latest < report.lost->earliest);
            if (!is_counted) run_.wrong = "the report does not have the range of a loss";
        }
        if (!report.error) copy().counted = 0;
        if (report.copied && !accepts_other_) world.reach("copied again");
    }
    /// Returns whether the server's store has the version that an edit makes.
    [[nodiscard]] bool is_there(const Op& operation) {
        const belay::part::ElementKey key{"s", operation.element()};
        const auto found = run_.store.find(key);
        return found && found->presence == belay::part::Presence::live &&
               found->stamp == operation.stamp &&
               operation.kind() != belay::OperationKind::remove &&
               run_.store.read(key).value() == operation.value();
    }
    /// An edit that restores a version has an id of its own.
    void note_version(const Op& operation) {
        const bool is_removal = operation.kind() == belay::OperationKind::remove;
        note_version(operation.element(),
                     is_removal ? std::nullopt : std::optional{operation.value()});
    }
    void note_version(std::string_view element, const std::optional<std::string>& text) {
        if (text) return run_.note_report(*text);
        run_.note_removals(std::string{element});
    }
    /// Gives up the edits that the server never accepts.
    void drop_kept() {
        for (const auto& one : notes_->kept()) {
            run_.world.reach("edit kept");
            if (one.retryable && one.error != belay::SyncErrc::too_old) continue;
            if (one.error == belay::SyncErrc::too_old) run_.world.reach("tombstone forgotten");
            if (one.retryable && host_.chance("sends it again", 50)) {
                static_cast<void>(notes_->send_again(one.operation.id));
                continue;
            }
            run_.note_report(one.operation.id);
            note_version(one.operation);
            if (notes_->drop(one.operation.id)) return end_if_failed();
        }
    }

    belay::sim::Host& host_;
    NotesRun& run_;
    const std::size_t number_;
    const bool accepts_other_;  ///< until it starts again
    bool ends_ = false;
    bool knew_changes_ = false;  ///< before the last sync
    std::optional<Log> log_{};
    std::optional<Notes> notes_{};
};

inline std::string NotesRun::in_step() {
    std::vector<std::pair<std::string, std::string>> all;
    const auto add = [&](std::string_view name, const NotesTexts& texts) {
        std::string line;
        for (const auto& [element, text] : texts) line += element + "=" + text + ";";
        all.emplace_back(std::string{name}, line);
    };
    add("the server", store.texts());
    for (belay::sim::Host* const host : devices) {
        auto* const device = host->process<NotesDevice>();
        if (device == nullptr || !device->is_done())
            return std::string{host->name()} + " has edits that wait";
        add(host->name(), device->texts());
    }
    return belay::sim::converged(all);
}
inline std::string NotesRun::lost() const {
    std::set<std::string> seen = replaced_scenes;
    std::map<const Edit*, std::size_t> order;  // of the edits that took effect
    for (const auto& [id, number] : effects) {
        const auto at = ids.find(id);
        if (at == ids.end()) continue;
        const Edit& edit = edits[at->second];
        if (edit.saw) seen.insert(*edit.saw);
        const auto first = order.emplace(&edit, number).first;
        first->second = std::min(first->second, number);
    }
    const NotesTexts end = store.texts();
    // The author of both edits wanted the later one, which has its own result. An edit whose commit
    // failed is shown, and is durable or not when the process starts again.
    for (auto edit = edits.rbegin(); edit != edits.rend(); ++edit) {
        const auto at = end.find(edit->element);
        // A removal is seen by its absence: at the end, or by an author of a later edit.
        const bool is_gone =
            at == end.end() || std::any_of(edits.rbegin(), edit, [&](const Edit& later) {
                return later.element == edit->element && !later.saw;
            });
        const bool is_seen = edit->text.empty() ? is_gone
                                                : edit->reported || seen.count(edit->text) != 0 ||
                                                      (at != end.end() && at->second == edit->text);
        const bool took_effect = edit->durable || (edit->shown && is_seen);
        const Edit* const own = took_effect && edit->saw ? edit_of(*edit->saw) : nullptr;
        if (own != nullptr && own->device == edit->device) seen.insert(*edit->saw);
    }
    for (std::size_t i = 0; i < edits.size(); ++i) {
        const Edit& edit = edits[i];
        if (!edit.durable || edit.reported) continue;
        const auto at = end.find(edit.element);
        const bool is_there = at != end.end() && at->second == edit.text;
        // A removal is replaced by a later edit of the same author, by a removal of another author,
        // and by an edit of the removed element. That edit may have been made before and taken
        // effect after the removal: two removals are the same state.
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

/// Restores the store from one of the last backups, either with a new id, as the documentation
/// requires, or without one.
inline void damage_store(NotesRun& run) {
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

}  // namespace belay_test
