// SPDX-License-Identifier: MIT
// Goal: the storage module of a room server, alone: loads, flushes and saves keep their order and
// their limits, each failure is reported to the room that it concerns, and none of them loses or
// repeats an update that was accepted.
// Method: a disk with a queue of calls, which a test works off one by one with a chosen fault, and
// rooms without documents and clients. A property compares the disk with a list of numbers.
#include <belay/room/detail/persistence_scheduler.hpp>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/seeds.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// The fault of one call of the disk.
enum class DiskFault : std::uint8_t {
    none,
    fails,        ///< an error, and nothing is done
    fails_late,   ///< an error, although it is done
    drops,        ///< done, without an answer
    fails_a_room  ///< a flush that fails for the first of its rooms only
};

/// The calls that a disk has received and not worked off, and what it stores. A disk that loses a
/// change of a room stores none of those after it, and accepts no more until the room is loaded.
struct DiskModel {
    enum class Kind : std::uint8_t { load, flush, save };
    struct Write {
        std::string id;
        std::optional<Id> begins;  ///< of a reset
        Bytes update{};
        bool erases = false;
        bool lost = false;  ///< with a change before it
    };
    struct Call {
        Kind kind;
        std::string id{};
        std::vector<Write> writes{};
        std::vector<Bytes> snapshot{};
        std::uint64_t covers = 0;
        std::optional<Completion<part::LoadedRoom>> loaded{};
        std::optional<Completion<part::FlushedRooms>> flushed{};
        std::optional<Completion<PersistenceError>> saved{};

        [[nodiscard]] bool wanted() const noexcept {
            return (loaded && loaded->wanted()) || (flushed && flushed->wanted()) ||
                   (saved && saved->wanted());
        }
    };
    struct Stored {
        Id epoch{};
        std::vector<Bytes> snapshot{};
        std::uint64_t covered = 0;
        std::vector<std::pair<std::uint64_t, Bytes>> updates{};
        std::uint64_t position = 0;
        PersistenceError loss{};
    };

    void push(Call&& call) {
        if (throws) throw std::runtime_error{"the disk threw"};
        calls.push_back(std::move(call));
        if (prompt) work_all();
    }
    void work(DiskFault fault) {
        REQUIRE_FALSE(calls.empty());
        Call call = std::move(calls.front());
        calls.pop_front();
        if (call.kind == Kind::load) work_load(call, fault);
        if (call.kind == Kind::flush) work_flush(call, fault);
        if (call.kind == Kind::save) work_save(call, fault);
    }
    void work_all() {
        while (!calls.empty()) work(draw());
    }
    [[nodiscard]] DiskFault draw() {
        const auto drawn = faults != nullptr ? uniform_upto(*faults, 15) : 15;
        return drawn < 5 ? static_cast<DiskFault>(drawn) : DiskFault::none;
    }
    [[nodiscard]] std::size_t under_way(Kind kind) const {
        return static_cast<std::size_t>(
            std::count_if(calls.begin(), calls.end(),
                          [&](const Call& call) { return call.kind == kind && call.wanted(); }));
    }
    /// The updates of a room, those of its snapshot first.
    [[nodiscard]] std::vector<std::string> content(const std::string& id) const {
        std::vector<std::string> all;
        const auto found = rooms.find(id);
        if (found == rooms.end()) return all;
        for (const Bytes& one : found->second.snapshot) all.emplace_back(as_text(one));
        for (const auto& [position, one] : found->second.updates) all.emplace_back(as_text(one));
        return all;
    }
    std::map<std::string, Stored> rooms{};
    std::vector<Write> staged{};
    std::deque<Call> calls{};
    std::set<std::string> broken{};  ///< a change was lost since the last load
    std::error_code append_error{};
    std::error_code begin_error{};
    std::vector<std::string> to_save{};
    Random* faults = nullptr;
    bool prompt = false;  ///< works each call off at once
    bool throws = false;
    std::uint64_t last_position = 0;

private:
    [[nodiscard]] static PersistenceError error() {
        return {std::make_error_code(std::errc::io_error), {}, {}};
    }
    /// A change of a room is lost, so those after it are, too.
    void lose(const std::string& id) {
        broken.insert(id);
        const auto mark = [&](std::vector<Write>& writes) {
            for (Write& write : writes) write.lost = write.lost || write.id == id;
        };
        mark(staged);
        for (Call& call : calls) mark(call.writes);
    }
    void apply(const Write& write) {
        if (write.erases) return static_cast<void>(rooms.erase(write.id));
        Stored& room = rooms[write.id];
        if (write.begins)
            room = {.epoch = *write.begins};
        else
            room.updates.emplace_back(++last_position, write.update);
        room.position = last_position;
    }
    void work_load(Call& call, DiskFault fault) {
        if (fault == DiskFault::fails) return (*call.loaded)(error());
        if (fault == DiskFault::drops) return;
        broken.erase(call.id);
        const auto found = rooms.find(call.id);
        if (found == rooms.end()) return (*call.loaded)(std::optional<StoredRoom>{});
        StoredRoom room{.epoch = found->second.epoch, .snapshot = found->second.snapshot};
        for (const auto& [position, update] : found->second.updates) room.updates.push_back(update);
        room.position = found->second.position;
        room.loss = found->second.loss;
        (*call.loaded)(std::optional{std::move(room)});
    }
    void work_flush(Call& call, DiskFault fault) {
        part::FlushedRooms answer;
        if (fault == DiskFault::fails_a_room && !call.writes.empty()) {
            const std::string id = call.writes.front().id;
            lose(id);
            for (Write& write : call.writes) write.lost = write.lost || write.id == id;
        }
        std::set<std::string> lost;
        for (const Write& write : call.writes)
            if (write.lost) lost.insert(write.id);
        for (const std::string& id : lost) {
            lose(id);
            detail::add_error(answer.error, id, error());
        }
        std::erase_if(call.writes, [&](const Write& write) { return lost.contains(write.id); });
        if (fault == DiskFault::fails || fault == DiskFault::fails_late) {
            for (const Write& write : call.writes) lose(write.id);
            // After its deadline, changes of the next flush may be staged already.
            if (call.wanted())
                for (const Write& write : staged) lose(write.id);
            answer.error = error();
        }
        if (fault == DiskFault::fails) return (*call.flushed)(std::move(answer));
        std::set<std::string> changed;
        for (const Write& write : call.writes) {
            apply(write);
            changed.insert(write.id);
        }
        // In no order.
        for (auto id = changed.rbegin(); id != changed.rend(); ++id)
            if (rooms.contains(*id)) answer.positions.emplace_back(*id, rooms[*id].position);
        if (fault != DiskFault::drops) (*call.flushed)(std::move(answer));
    }
    void work_save(Call& call, DiskFault fault) {
        if (fault == DiskFault::fails) return (*call.saved)(error());
        Stored& room = rooms[call.id];
        if (call.covers < room.covered) return (*call.saved)({RoomErrc::stale_snapshot, {}, {}});
        if (call.covers > room.position) return (*call.saved)({RoomErrc::bad_position, {}, {}});
        room.snapshot = std::move(call.snapshot);
        room.covered = call.covers;
        std::erase_if(room.updates, [&](const auto& one) { return one.first <= call.covers; });
        if (fault != DiskFault::drops) (*call.saved)(PersistenceError{});
    }
};

/// The PersistenceLike in front of a DiskModel.
struct DiskOfModel {
    DiskModel* disk;

    [[nodiscard]] std::error_code append(std::string_view id, BytesView update) {
        if (disk->throws) throw std::runtime_error{"the disk threw"};
        if (disk->append_error) return std::exchange(disk->append_error, {});
        if (disk->broken.contains(std::string{id})) return RoomErrc::storage_busy;
        disk->staged.push_back(
            {std::string{id}, std::nullopt, Bytes{update.begin(), update.end()}});
        return {};
    }
    [[nodiscard]] std::error_code reset(std::string_view id, const Id& epoch) {
        if (disk->throws) throw std::runtime_error{"the disk threw"};
        if (disk->begin_error) return std::exchange(disk->begin_error, {});
        if (disk->broken.contains(std::string{id})) return RoomErrc::storage_busy;
        disk->staged.push_back({std::string{id}, epoch});
        return {};
    }
    [[nodiscard]] std::error_code erase(std::string_view id) {
        if (disk->begin_error) return std::exchange(disk->begin_error, {});
        disk->staged.push_back({std::string{id}, std::nullopt, {}, true});
        return {};
    }
    void load(std::string_view id, Completion<part::LoadedRoom> done) {
        DiskModel::Call call{DiskModel::Kind::load, std::string{id}};
        call.loaded.emplace(std::move(done));
        disk->push(std::move(call));
    }
    void flush(Completion<part::FlushedRooms> done) {
        DiskModel::Call call{DiskModel::Kind::flush};
        call.flushed.emplace(std::move(done));
        if (!disk->throws) call.writes = std::exchange(disk->staged, {});
        disk->push(std::move(call));
    }
    void save(std::string_view id, std::span<const Bytes> snapshot, std::uint64_t covers,
              Completion<PersistenceError> done) {
        DiskModel::Call call{DiskModel::Kind::save, std::string{id}};
        call.snapshot = {snapshot.begin(), snapshot.end()};
        call.covers = covers;
        call.saved.emplace(std::move(done));
        disk->push(std::move(call));
    }
    void list(std::string_view, std::size_t, Completion<part::ListedRooms>) {}
    [[nodiscard]] std::vector<std::string> rooms_to_save() { return disk->to_save; }
};

[[nodiscard]] RoomOptions storage_options() {
    RoomOptions options;
    options.loads_max = 2;
    options.answer_within = 5s;
    options.unflushed_bytes_max = 100;
    return options;
}

/// The storage module, with rooms that have neither a document nor clients.
struct StorageAlone {
    explicit StorageAlone(const RoomOptions& options = storage_options()) : context{options} {
        context.at(Instant{1h});
        context.run.phase = detail::RunState::Phase::running;
    }
    [[nodiscard]] detail::RoomBase& add(const std::string& id) {
        return rooms.emplace_back(id, context.now, context.options, context.now);
    }
    [[nodiscard]] std::error_code append(detail::RoomBase& room, std::string_view text,
                                         const detail::Ref<detail::RoomAccount>& account = {}) {
        return storage.append(room, {.update = as_bytes(text), .account = account}).code;
    }
    [[nodiscard]] detail::Ref<detail::RoomAccount> account(std::string_view user,
                                                           const detail::RoomBase& room) {
        return context.accounts.of(user, {}, 0)->in(room.id);
    }
    /// Flushes what was appended, with this result.
    [[nodiscard]] detail::EndedFlush* flush(DiskFault fault) {
        storage.begin_flush();
        disk.work(fault);
        return storage.take_flush();
    }
    /// A new room that has stored one update.
    [[nodiscard]] detail::RoomBase& add_stored(const std::string& id) {
        detail::RoomBase& room = add(id);
        REQUIRE_FALSE(append(room, "first"));
        const detail::EndedFlush* const ended = flush(DiskFault::none);
        REQUIRE(ended != nullptr);
        room.history.position = ended->history_of(id).position;
        static_cast<void>(room.pending.take_all());
        return room;
    }
    /// The error of a load that has ended; nothing while it waits.
    [[nodiscard]] std::optional<std::error_code> loaded(detail::RoomBase& room) {
        PersistenceError error;
        found.reset();
        if (!storage.take_load(room, error, found)) return std::nullopt;
        what = error.what;
        return error.code;
    }
    [[nodiscard]] std::optional<std::error_code> saved(detail::RoomBase& room) {
        PersistenceError error;
        if (!storage.take_save(room, error)) return std::nullopt;
        what = error.what;
        return error.code;
    }
    void wait(Duration time) { context.at(after(context.now, time)); }

    detail::TurnContext context;
    DiskModel disk{};
    std::list<detail::RoomBase> rooms{};
    detail::PersistenceScheduler<DiskOfModel> storage{context, DiskOfModel{&disk}};
    std::optional<StoredRoom> found{};
    std::string what{};
};

using DiskKind = DiskModel::Kind;

}  // namespace

// ---- changes --------------------------------------------------------------------------------

TEST_CASE("The storage module rejects the change that the disk rejects, and stores the others",
          "[room][room_storage]") {
    StorageAlone s;
    detail::RoomBase& a = s.add("a");
    detail::RoomBase& b = s.add("b");
    CHECK_FALSE(s.append(a, "a1"));
    s.disk.append_error = std::make_error_code(std::errc::no_space_on_device);
    CHECK(s.append(b, "b1") == RoomErrc::not_durable);
    // A history whose first change was rejected has not begun.
    CHECK(b.history.epoch == no_id);
    CHECK(b.pending.size() == 0);
    CHECK(s.context.counters.storage_failures == 1);
    CHECK_FALSE(s.append(a, "a2"));
    const detail::EndedFlush* const ended = s.flush(DiskFault::none);
    REQUIRE(ended != nullptr);
    CHECK(ended->has_succeeded());
    CHECK(ended->of.rooms == std::vector<detail::RoomBase*>{&a});
    CHECK(s.disk.content("a") == std::vector<std::string>{"a1", "a2"});
    CHECK(s.disk.content("b").empty());
}

TEST_CASE("The storage module begins the history of a room once, and not if the disk rejects it",
          "[room][room_storage]") {
    StorageAlone s;
    detail::RoomBase& room = s.add("a");
    s.disk.begin_error = std::make_error_code(std::errc::io_error);
    CHECK(s.append(room, "lost") == RoomErrc::not_durable);
    CHECK(room.history.epoch == no_id);
    CHECK(s.disk.staged.empty());
    CHECK_FALSE(s.append(room, "1"));
    const Id epoch = room.history.epoch;
    CHECK_FALSE(s.append(room, "2"));
    REQUIRE(s.disk.staged.size() == 3);
    CHECK(s.disk.staged[0].begins == epoch);
    CHECK_FALSE(s.disk.staged[1].begins);
    CHECK_FALSE(s.disk.staged[2].begins);
    CHECK(room.history.epoch == epoch);
}

TEST_CASE("The storage module has one flush under way, and later changes wait for the next one",
          "[room][room_storage]") {
    StorageAlone s;
    detail::RoomBase& room = s.add("a");
    CHECK(s.storage.deadline() == never);
    CHECK_FALSE(s.append(room, "1"));
    CHECK(s.storage.deadline() == always);
    s.storage.begin_flush();
    CHECK(s.storage.deadline() == after(s.context.now, 5s));
    CHECK_FALSE(s.append(room, "2"));
    s.storage.begin_flush();
    CHECK(s.disk.calls.size() == 1);
    CHECK(room.pending.flushing() == 1);
    s.disk.work_all();
    REQUIRE(s.storage.has_answer());
    const detail::EndedFlush* ended = s.storage.take_flush();
    REQUIRE(ended != nullptr);
    CHECK(ended->history_of("a").position == 1);
    CHECK(s.disk.content("a") == std::vector<std::string>{"1"});
    CHECK(as_text(room.pending.take_first().update) == "1");
    ended = s.flush(DiskFault::none);
    REQUIRE(ended != nullptr);
    CHECK(ended->history_of("a").position == 2);
    CHECK(s.disk.content("a") == std::vector<std::string>{"1", "2"});
    CHECK(s.storage.take_flush() == nullptr);
    CHECK(s.context.counters.flushes == 2);
}

TEST_CASE("The storage module reports for each room whether a flush has stored its changes",
          "[room][room_storage]") {
    StorageAlone s;
    detail::RoomBase& b = s.add("b");
    detail::RoomBase& a = s.add("a");
    CHECK_FALSE(s.append(b, "b1"));
    CHECK_FALSE(s.append(a, "a1"));
    const detail::EndedFlush* const ended = s.flush(DiskFault::fails_a_room);
    REQUIRE(ended != nullptr);
    CHECK_FALSE(ended->has_failed());
    CHECK_FALSE(ended->has_succeeded());
    CHECK(ended->error_of("b").code == std::errc::io_error);
    CHECK_FALSE(ended->error_of("a"));
    CHECK(ended->history_of("a").position == 1);
    CHECK(ended->history_of("b").position == 0);
    CHECK(ended->later.empty());
}

TEST_CASE("A flush of the storage module loses the later changes of a room that its error names",
          "[room][room_storage][regression]") {
    StorageAlone s;
    detail::RoomBase& a = s.add_stored("a");
    detail::RoomBase& b = s.add_stored("b");
    detail::RoomBase& c = s.add_stored("c");
    REQUIRE_FALSE(s.append(b, "b1"));
    s.storage.begin_flush();
    REQUIRE_FALSE(s.append(a, "a1"));
    REQUIRE_FALSE(s.append(c, "c1"));
    DiskModel::Call call = std::move(s.disk.calls.front());
    s.disk.calls.pop_front();
    part::FlushedRooms answer;
    detail::add_error(answer.error, "a", {std::make_error_code(std::errc::io_error), {}, {}});
    answer.positions = {{"b", 9}};
    (*call.flushed)(std::move(answer));
    const detail::EndedFlush* const ended = s.storage.take_flush();
    REQUIRE(ended != nullptr);
    CHECK(ended->later == std::vector<detail::RoomBase*>{&a});
    CHECK(ended->history_of("b").position == 9);
    s.storage.unqueue(a);
    s.storage.begin_flush();
    s.disk.work(DiskFault::none);
    const detail::EndedFlush* const next = s.storage.take_flush();
    REQUIRE(next != nullptr);
    CHECK(next->of.rooms == std::vector<detail::RoomBase*>{&c});
}

TEST_CASE("The storage module flushes a history that began with a rejected change, and reports it",
          "[room][room_storage][regression]") {
    StorageAlone s;
    detail::RoomBase& a = s.add("a");
    s.disk.append_error = std::make_error_code(std::errc::no_space_on_device);
    REQUIRE(s.append(a, "a1") == RoomErrc::not_durable);
    CHECK(s.storage.begins_without_change("a"));
    CHECK(s.storage.deadline() == always);
    SECTION("a flush that fails leaves it uncertain") {
        s.storage.begin_flush();
        CHECK(s.storage.begins_without_change("a"));
        detail::RoomBase& b = s.add("b");
        s.disk.append_error = std::make_error_code(std::errc::no_space_on_device);
        REQUIRE(s.append(b, "b1") == RoomErrc::not_durable);
        s.disk.work(DiskFault::fails);
        const detail::EndedFlush* const ended = s.storage.take_flush();
        REQUIRE(ended != nullptr);
        CHECK(ended->of.begun == std::set<std::string, std::less<>>{"a", "b"});
    }
    SECTION("a flush that succeeds ends it") {
        const detail::EndedFlush* const ended = s.flush(DiskFault::none);
        REQUIRE(ended != nullptr);
        CHECK(ended->has_succeeded());
    }
    CHECK_FALSE(s.storage.begins_without_change("a"));
    CHECK(s.storage.deadline() == never);
}

TEST_CASE("After a failed flush of the storage module, the changes after it are lost, too",
          "[room][room_storage]") {
    StorageAlone s;
    detail::RoomBase& a = s.add("a");
    detail::RoomBase& b = s.add("b");
    CHECK_FALSE(s.append(a, "a1"));
    s.storage.await({"erased before"});
    s.storage.begin_flush();
    CHECK_FALSE(s.append(b, "b1"));
    s.storage.await({"erased after"});
    std::vector<std::string> awaited;
    s.storage.each_awaited(
        [&](const detail::PendingAdmin& one) { awaited.push_back(one.room_id); });
    CHECK(awaited == std::vector<std::string>{"erased before", "erased after"});
    s.disk.work(DiskFault::fails);
    const detail::EndedFlush* const ended = s.storage.take_flush();
    REQUIRE(ended != nullptr);
    CHECK(ended->has_failed());
    CHECK(ended->of.rooms == std::vector<detail::RoomBase*>{&a});
    CHECK(ended->later == std::vector<detail::RoomBase*>{&b});
    CHECK(ended->of.admin.size() == 2);
    CHECK(ended->error_of("b").code == std::errc::io_error);
    CHECK(s.context.counters.storage_failures == 1);
    // Nothing is left for another flush, and the room is queued again with its next change.
    CHECK(s.storage.deadline() == never);
    s.disk.broken.clear();
    CHECK_FALSE(s.append(b, "b2"));
    CHECK(s.storage.deadline() == always);
}

TEST_CASE("The storage module ends a flush without an answer in time, and ignores a late one",
          "[room][room_storage]") {
    StorageAlone s;
    detail::RoomBase& room = s.add("a");
    CHECK_FALSE(s.append(room, "1"));
    s.storage.begin_flush();
    s.wait(5s - 1ns);
    CHECK(s.storage.take_flush() == nullptr);
    s.wait(1ns);
    const detail::EndedFlush* ended = s.storage.take_flush();
    REQUIRE(ended != nullptr);
    CHECK(ended->error_of("a").code == RoomErrc::no_answer);
    static_cast<void>(room.pending.take_all());
    s.disk.work(DiskFault::none);
    CHECK_FALSE(s.storage.has_answer());
    CHECK(s.storage.take_flush() == nullptr);
    CHECK_FALSE(s.append(room, "2"));
    ended = s.flush(DiskFault::drops);
    REQUIRE(ended != nullptr);
    CHECK(ended->error_of("a").code == RoomErrc::no_answer);
}

TEST_CASE("An exception of the disk is the error of the call of the storage module",
          "[room][room_storage]") {
    StorageAlone s;
    detail::RoomBase& room = s.add_stored("a");
    s.disk.throws = true;
    CHECK(s.append(room, "1") == RoomErrc::not_durable);
    CHECK(s.context.counters.failures.of(RoomErrc::persistence_threw) == 1);
    s.storage.begin_load(room);
    CHECK(s.loaded(room) == RoomErrc::no_answer);
    CHECK(s.what == "the persistence threw: the disk threw");
    s.storage.begin_save(room, {});
    CHECK(s.saved(room) == RoomErrc::no_answer);
    CHECK(s.what == "the persistence threw: the disk threw");
    s.disk.throws = false;
    CHECK_FALSE(s.append(room, "1"));
    s.disk.throws = true;
    s.storage.begin_flush();
    const detail::EndedFlush* const ended = s.storage.take_flush();
    REQUIRE(ended != nullptr);
    CHECK(ended->answer.error.what == "the persistence threw: the disk threw");
}

TEST_CASE("The storage module limits the bytes that wait for a flush", "[room][room_storage]") {
    StorageAlone s;
    detail::RoomBase& room = s.add("a");
    const std::string long_update(101, 'x');
    CHECK(s.append(room, long_update) == RoomErrc::update_too_large);
    // A user leaves a quarter to the users who hold nothing.
    const auto ann = s.account("ann", room);
    const auto bob = s.account("bob", room);
    CHECK_FALSE(s.append(room, std::string(40, 'x'), ann));
    CHECK(s.append(room, std::string(40, 'x'), ann) == RoomErrc::too_many_of_user);
    CHECK_FALSE(s.append(room, std::string(50, 'x'), bob));
    CHECK(s.append(room, std::string(11, 'x')) == RoomErrc::not_durable);
    CHECK(ann->held.unflushed_bytes == 40);
    const detail::EndedFlush* const ended = s.flush(DiskFault::none);
    REQUIRE(ended != nullptr);
    while (room.pending.flushing() != 0) static_cast<void>(room.pending.take_first());
    CHECK(ann->held.unflushed_bytes == 0);
    CHECK_FALSE(s.append(room, std::string(40, 'x'), ann));
}

// ---- loads ----------------------------------------------------------------------------------

TEST_CASE("The storage module returns what is stored of a room, and reports a damaged record of it",
          "[room][room_storage]") {
    StorageAlone s;
    detail::RoomBase& room = s.add_stored("a");
    detail::RoomBase& none = s.add("none");
    s.disk.rooms["a"].loss = {RoomErrc::record_damaged, {}, {}};
    s.storage.begin_load(room);
    CHECK_FALSE(s.loaded(room));
    s.storage.begin_load(none);
    s.disk.work_all();
    CHECK(s.loaded(room) == std::error_code{});
    REQUIRE(s.found);
    CHECK(s.found->position == 1);
    CHECK(s.context.counters.failures.of(RoomErrc::record_damaged) == 1);
    CHECK(s.loaded(none) == std::error_code{});
    CHECK_FALSE(s.found);
    CHECK_FALSE(none.calls.loads());
    CHECK_FALSE(s.loaded(none));
}

TEST_CASE("The storage module begins a load again, because the first answer may be too old",
          "[room][room_storage]") {
    StorageAlone s;
    detail::RoomBase& room = s.add_stored("a");
    s.storage.begin_load(room);
    s.disk.work(DiskFault::fails);
    s.storage.begin_load(room);
    CHECK_FALSE(s.loaded(room));
    s.disk.work(DiskFault::none);
    CHECK(s.loaded(room) == std::error_code{});
}

TEST_CASE("The storage module has loads_max loads under way, and the others wait with a limit",
          "[room][room_storage]") {
    StorageAlone s;
    for (const char* const id : {"1", "2", "3", "4", "5", "6"}) s.storage.begin_load(s.add(id));
    const auto each = [&](auto&& f) {
        for (detail::RoomBase& room : s.rooms) f(room);
    };
    std::map<std::string, std::error_code> errors;
    const auto turn = [&] {
        s.storage.begin_loads();
        each([&](detail::RoomBase& room) {
            if (const auto error = s.loaded(room)) errors[room.id] = *error;
        });
        s.storage.begin_loads();
    };
    turn();
    CHECK(s.disk.under_way(DiskKind::load) == 2);
    CHECK(s.storage.deadline() == after(s.context.now, 10s));
    // The first one ends, so the third one begins.
    s.disk.work(DiskFault::none);
    turn();
    CHECK(errors["1"] == std::error_code{});
    CHECK(s.disk.under_way(DiskKind::load) == 2);
    s.wait(5s);
    turn();
    CHECK(errors["2"] == RoomErrc::no_answer);
    CHECK(errors["3"] == RoomErrc::no_answer);
    CHECK(s.disk.under_way(DiskKind::load) == 2);
    s.wait(4s);
    s.storage.forget(s.rooms.back());
    s.rooms.pop_back();
    s.storage.begin_load(s.add("7"));
    s.wait(1s);
    turn();
    CHECK(errors["4"] == RoomErrc::no_answer);
    CHECK(errors["5"] == RoomErrc::no_answer);
    CHECK(s.context.counters.loads_rejected == 0);
}

TEST_CASE("The storage module rejects a load that waits for twice answer_within",
          "[room][room_storage]") {
    StorageAlone s;
    s.storage.begin_load(s.add("1"));
    s.storage.begin_load(s.add("2"));
    detail::RoomBase& room = s.add("3");
    s.storage.begin_load(room);
    // Loads that are begun again go on for as long as they are.
    for (int i = 0; i < 10; ++i) {
        s.storage.begin_loads();
        CHECK_FALSE(s.loaded(room));
        s.wait(1s);
        s.storage.begin_load(s.rooms.front());
        s.storage.begin_load(*std::next(s.rooms.begin()));
    }
    s.storage.begin_loads();
    CHECK(s.loaded(room) == RoomErrc::storage_busy);
    CHECK(s.context.counters.loads_rejected == 1);
    CHECK_FALSE(s.loaded(room));
    CHECK_FALSE(room.calls.loads());
}

TEST_CASE("A load of an evicted room counts for the storage module until it ends",
          "[room][room_storage]") {
    StorageAlone s;
    for (const char* const id : {"1", "2"}) {
        s.storage.begin_load(s.add(id));
        s.storage.forget(s.rooms.back());
        s.rooms.pop_back();
    }
    s.storage.begin_load(s.add("3"));
    s.storage.begin_loads();
    CHECK(s.disk.calls.size() == 2);
    s.disk.work(DiskFault::none);
    s.storage.begin_loads();
    CHECK(s.disk.calls.size() == 2);
    CHECK(s.disk.calls.back().id == "3");
}

// ---- saves ----------------------------------------------------------------------------------

TEST_CASE("The storage module saves a few rooms at a time, and each room once",
          "[room][room_storage]") {
    StorageAlone s;
    for (const char* const id : {"1", "2", "3"}) s.storage.queue_save(s.add_stored(id));
    detail::RoomBase& second = *std::next(s.rooms.begin());
    const auto begin_all = [&] {
        std::string begun;
        while (detail::RoomBase* const room = s.storage.take_next_save()) {
            s.storage.begin_save(*room, {});
            begun += room->id;
        }
        return begun;
    };
    CHECK(s.storage.deadline() == always);
    CHECK(begin_all() == "12");
    CHECK(s.storage.deadline() == never);
    // Room 1 is evicted during its save, and loaded again: its next save waits for that one.
    s.storage.forget(s.rooms.front());
    s.rooms.pop_front();
    detail::RoomBase& again = s.add("1");
    s.storage.queue_save(again);
    CHECK(begin_all().empty());
    std::swap(s.disk.calls[0], s.disk.calls[1]);
    s.disk.work(DiskFault::fails);
    CHECK(s.saved(second) == std::errc::io_error);
    CHECK(begin_all() == "3");
    s.disk.calls.pop_back();
    CHECK(s.saved(s.rooms.back()) == std::nullopt);
    CHECK(s.saved(*std::next(s.rooms.begin())) == RoomErrc::no_answer);
    CHECK(begin_all().empty());
    s.disk.work(DiskFault::none);
    CHECK(begin_all() == "1");
    s.wait(5s);
    CHECK(s.saved(again) == RoomErrc::no_answer);
    CHECK_FALSE(s.saved(again));
}

TEST_CASE("The storage module saves up to the position of the room, and reports no stale snapshot",
          "[room][room_storage]") {
    StorageAlone s;
    detail::RoomBase& room = s.add_stored("a");
    const std::vector<Bytes> snapshot{to_bytes(as_bytes("first"))};
    s.storage.begin_save(room, snapshot);
    CHECK(s.disk.calls.back().covers == 1);
    s.disk.work(DiskFault::none);
    CHECK(s.saved(room) == std::error_code{});
    CHECK(s.disk.rooms["a"].updates.empty());
    room.history.position = 0;
    s.storage.begin_save(room, snapshot);
    s.disk.work(DiskFault::none);
    CHECK(s.saved(room) == RoomErrc::stale_snapshot);
    CHECK(s.context.counters.storage_failures == 0);
}

TEST_CASE("The storage module takes a room that the disk requests once in a second",
          "[room][room_storage]") {
    StorageAlone s;
    s.disk.to_save = {"b", "a"};
    CHECK(s.storage.take_requests().empty());
    static_cast<void>(s.add_stored("x"));
    CHECK(s.storage.take_requests() == s.disk.to_save);
    CHECK(s.storage.take_requests().empty());
    CHECK(s.storage.takes_request());
    s.storage.begin_requested_save("b");
    CHECK_FALSE(s.storage.takes_request());
    s.storage.end_requested_save("b");
    CHECK(s.storage.takes_request());
    CHECK(s.storage.take_requests() == std::vector<std::string>{"a"});
    s.wait(1s);
    s.storage.repeat_requests();
    CHECK(s.storage.take_requests() == std::vector<std::string>{"a", "b"});
}

// ---- all together ---------------------------------------------------------------------------

namespace {

/// A room whose only author numbers its updates, and sends the lost ones again.
struct NumberedRoom {
    detail::RoomBase* room;
    std::uint64_t written = 0;
    std::deque<std::string> unsent{};
    std::vector<std::string> durable{};  ///< reported as stored, or found by a load
    std::map<std::string, std::size_t> accepted{};
    bool uncertain = false;  ///< the disk may store changes that were reported as lost
    bool live = true;
    bool saves = false;  ///< a save is queued or under way
    bool save_due = false;
};

/// Numbered rooms over the storage module: what the other modules do for it, in short.
class NumberedRooms {
public:
    explicit NumberedRooms(Seed seed) : bits_{seed} {
        // Each has a history: a reset that is stored late would end the next one.
        for (const char* const id : {"a", "b", "c", "d"})
            all_.push_back({.room = &s_.add_stored(id), .durable = {"first"}});
        s_.disk.faults = &bits_;
        s_.disk.prompt = draw(3) == 0;
    }

    void step() {
        NumberedRoom& one = all_[draw(all_.size() - 1)];
        switch (draw(9)) {
            case 0:
            case 1:
            case 2:
                one.unsent.push_back(one.room->id + std::to_string(++one.written));
                send(one);
                break;
            case 3:
                one.save_due = true;
                break;
            case 4:
                evict(one);
                break;
            case 5:
                fail_next_call();
                break;
            case 6:
                s_.wait(Duration{static_cast<std::int64_t>(draw(6)) * 1s});
                break;
            case 7:
            case 8:
                if (!s_.disk.calls.empty()) s_.disk.work(s_.disk.draw());
                break;
            default:
                turn();
        }
        check_limits();
    }
    /// The faults end: everything is stored after a few turns, each at once or when it is due.
    void settle() {
        s_.disk.faults = nullptr;
        s_.disk.append_error = s_.disk.begin_error = {};
        s_.disk.throws = false;
        const Instant begun = s_.context.now;
        for (int turns = 0; !is_settled(); ++turns) {
            REQUIRE(turns < turns_max);
            s_.disk.work_all();
            const Instant due = deadline();
            REQUIRE((due != never || has_unsent()));
            if (due != never) s_.context.at(due);
            turn();
            check_limits();
        }
        REQUIRE(elapsed(begun, s_.context.now) <= 2 * s_.context.options.answer_within);
        for (const NumberedRoom& one : all_) check_stored(one);
    }

private:
    /// Loads of four rooms, two at a time; a flush that fails because of older changes, and the
    /// loads again; a resend; a flush; a save.
    static constexpr int turns_max = 12;

    [[nodiscard]] std::uint64_t draw(std::uint64_t last) { return uniform_upto(bits_, last); }
    void fail_next_call() {
        const auto kind = draw(2);
        if (kind == 0) s_.disk.append_error = std::make_error_code(std::errc::io_error);
        if (kind == 1) s_.disk.begin_error = std::make_error_code(std::errc::io_error);
        if (kind == 2) s_.disk.throws = !s_.disk.throws;
    }
    [[nodiscard]] bool has_unsent() const {
        return std::any_of(all_.begin(), all_.end(), [](const NumberedRoom& one) {
            return !one.unsent.empty() || one.save_due;
        });
    }
    [[nodiscard]] bool is_settled() const {
        return !has_unsent() && std::all_of(all_.begin(), all_.end(), [](const NumberedRoom& one) {
            return one.live && !one.saves && one.durable.size() == one.written + 1;
        });
    }
    [[nodiscard]] Instant deadline() const {
        Instant next = s_.storage.deadline();
        for (const NumberedRoom& one : all_) next = std::min(next, one.room->calls.deadline());
        return next;
    }

    /// Appends what may be appended, in its order.
    void send(NumberedRoom& one) {
        while (one.live && !one.unsent.empty()) {
            const bool broken = s_.disk.broken.contains(one.room->id);
            if (s_.append(*one.room, one.unsent.front())) {
                if (broken && one.room->pending.size() == 0) lose(one);
                return;
            }
            ++one.accepted[one.unsent.front()];
            one.unsent.pop_front();
        }
    }
    void lose(NumberedRoom& one) {
        s_.storage.unqueue(*one.room);
        std::list<detail::PendingUpdate> lost = one.room->pending.take_all();
        while (!lost.empty()) {
            one.unsent.emplace_front(as_text(lost.back().update));
            lost.pop_back();
        }
        one.live = false;
        s_.storage.begin_load(*one.room);
    }
    void evict(NumberedRoom& one) {
        if (one.room->pending.size() != 0) return;
        s_.storage.forget(*one.room);
        detail::RoomBase* const old = one.room;
        one.room = &s_.add(old->id);
        s_.rooms.remove_if([&](const detail::RoomBase& room) { return &room == old; });
        one.live = one.saves = false;
        s_.storage.begin_load(*one.room);
    }

    void turn() {
        do {
            if (const detail::EndedFlush* const ended = s_.storage.take_flush()) take(*ended);
            s_.storage.begin_flush();
        } while (s_.storage.has_answer());
        s_.storage.begin_loads();
        for (NumberedRoom& one : all_) {
            take_load(one);
            if (s_.saved(*one.room)) one.saves = false;
            send(one);
            if (one.save_due && one.live && !one.saves) queue_save(one);
        }
        while (detail::RoomBase* const room = s_.storage.take_next_save()) {
            std::vector<Bytes> snapshot;
            for (const std::string& text : of(room).durable)
                snapshot.push_back(to_bytes(as_bytes(text)));
            s_.storage.begin_save(*room, snapshot);
        }
    }
    [[nodiscard]] NumberedRoom& of(const detail::RoomBase* room) {
        return *std::find_if(all_.begin(), all_.end(),
                             [&](const NumberedRoom& one) { return one.room == room; });
    }
    void queue_save(NumberedRoom& one) {
        one.save_due = false;
        one.saves = !one.durable.empty();
        if (one.saves) s_.storage.queue_save(*one.room);
    }
    void take(const detail::EndedFlush& ended) {
        for (detail::RoomBase* const room : ended.of.rooms) {
            NumberedRoom& one = of(room);
            const PersistenceError error = ended.error_of(room->id);
            if (error.code == RoomErrc::no_answer) one.uncertain = true;
            if (error) {
                lose(one);
                continue;
            }
            const std::uint64_t position = ended.history_of(room->id).position;
            REQUIRE(position > room->history.position);
            room->history.position = position;
            REQUIRE(room->pending.flushing() != 0);
            while (room->pending.flushing() != 0)
                one.durable.emplace_back(as_text(room->pending.take_first().update));
            check_durable(one);
        }
        for (detail::RoomBase* const room : ended.later) {
            NumberedRoom& one = of(room);
            if (room->pending.size() == 0) continue;
            one.uncertain = true;
            lose(one);
        }
    }
    void take_load(NumberedRoom& one) {
        const std::optional<std::error_code> error = s_.loaded(*one.room);
        if (!error) return;
        if (*error) return s_.storage.begin_load(*one.room);
        one.room->history = {};
        std::vector<std::string> stored;
        if (s_.found) {
            one.room->history = {s_.found->epoch, s_.found->position};
            for (const Bytes& update : s_.found->snapshot) stored.emplace_back(as_text(update));
            for (const Bytes& update : s_.found->updates) stored.emplace_back(as_text(update));
        }
        std::vector<std::string> before = std::exchange(one.durable, once(stored));
        REQUIRE(before.size() <= one.durable.size());
        REQUIRE(std::equal(before.begin(), before.end(), one.durable.begin()));
        std::erase_if(one.unsent, [&](const std::string& text) {
            return std::find(stored.begin(), stored.end(), text) != stored.end();
        });
        one.live = true;
    }

    /// Each of them once, in the order of the first ones.
    [[nodiscard]] static std::vector<std::string> once(const std::vector<std::string>& all) {
        std::vector<std::string> first;
        for (const std::string& text : all)
            if (std::find(first.begin(), first.end(), text) == first.end()) first.push_back(text);
        return first;
    }
    /// The disk has all that was reported as stored, before everything else.
    void check_durable(const NumberedRoom& one) {
        const std::vector<std::string> stored = once(s_.disk.content(one.room->id));
        REQUIRE(one.durable.size() <= stored.size());
        REQUIRE(std::equal(one.durable.begin(), one.durable.end(), stored.begin()));
    }
    /// All updates are stored in order. One is stored again only if the disk stored it after it
    /// was reported as lost: the answer of its flush was missing, or an earlier flush failed.
    void check_stored(const NumberedRoom& one) {
        std::vector<std::string> written{"first"};
        for (std::uint64_t i = 1; i <= one.written; ++i)
            written.push_back(one.room->id + std::to_string(i));
        const std::vector<std::string> stored = s_.disk.content(one.room->id);
        REQUIRE(once(stored) == written);
        if (!one.uncertain) REQUIRE(stored == written);
        for (const auto& [text, times] : one.accepted)
            REQUIRE(static_cast<std::size_t>(std::count(stored.begin(), stored.end(), text)) <=
                    times);
    }
    void check_limits() {
        const DiskModel& disk = s_.disk;
        REQUIRE(disk.under_way(DiskKind::flush) <= 1);
        REQUIRE(disk.under_way(DiskKind::load) <= 2);
        REQUIRE(disk.under_way(DiskKind::save) <= 2);
        std::set<std::string> saving;
        for (const DiskModel::Call& call : disk.calls)
            if (call.saved && call.wanted()) REQUIRE(saving.insert(call.id).second);
    }

    Random bits_;
    StorageAlone s_{};
    std::vector<NumberedRoom> all_{};
};

}  // namespace

TEST_CASE("The storage module stores each accepted update once, in order, despite faults",
          "[room][room_storage][property]") {
    for_each_seed(
        [](Seed seed) {
            NumberedRooms rooms{seed};
            for (int i = 0; i < 200; ++i) rooms.step();
            rooms.settle();
        },
        histories(200));
}
