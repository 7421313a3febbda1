// SPDX-License-Identifier: MIT
// Goal: OnThread runs a persistence on its own thread, call by call, with bounded memory, and
// may end at any moment. Method: persistences that wait at a gate, so that nothing depends on
// time.
#include <belay/room/on_thread.hpp>

#include <belay/room/memory_rooms.hpp>
#include <belay/sim/disk.hpp>

#include <atomic>
#include <latch>
#include <memory>
#include <thread>

#include "support/aborts.hpp"
#include "support/catch.hpp"
#include "support/drive/persistence_doubles.hpp"
#include "support/room/disk_rooms.hpp"

using namespace belay;
using belay_test::answered_by;
using belay_test::AnswersLater;
using belay_test::AnswersNothing;
using belay_test::GatedRooms;
using belay_test::RoomsToSave;
using belay_test::waited;

namespace {

constexpr Id epoch_of_a{std::byte{1}};

template <class P>
[[nodiscard]] StoredRoom room_of(OnThread<P>& rooms, std::string_view id) {
    auto found = waited<Result<std::optional<StoredRoom>, PersistenceError>>(
        [&](auto done) { rooms.load(id, std::move(done)); });
    REQUIRE((found && *found && **found));
    return ***found;
}
template <class P>
[[nodiscard]] part::FlushedRooms flushed_by(OnThread<P>& rooms) {
    auto answer = waited<part::FlushedRooms>([&](auto done) { rooms.flush(std::move(done)); });
    REQUIRE(answer);
    return std::move(*answer);
}
template <class P>
[[nodiscard]] std::error_code flush_of(OnThread<P>& rooms) {
    return flushed_by(rooms).error.code;
}
/// Flushes the changes of a room.   Returns: its position.
template <class P>
[[nodiscard]] std::uint64_t flushed_at(OnThread<P>& rooms, std::string_view id) {
    return belay_test::position_in(flushed_by(rooms), id);
}
template <class P>
[[nodiscard]] std::error_code save_of(OnThread<P>& rooms, std::string_view id,
                                      std::uint64_t covers) {
    const std::vector<Bytes> snapshot{Bytes(1)};
    const auto error = waited<PersistenceError>(
        [&](auto done) { rooms.save(id, snapshot, covers, std::move(done)); });
    REQUIRE(error);
    return error->code;
}

/// Limits for all rooms together, which a single room may use up.
[[nodiscard]] OnThreadOptions limits(std::size_t calls, std::size_t bytes) {
    return {.calls_max = calls,
            .bytes_max = bytes,
            .calls_per_room_max = calls,
            .bytes_per_room_max = bytes};
}

static_assert(PersistenceLike<OnThread<MemoryRooms>> && PersistenceLike<OnThread<RoomsToSave>>);

}  // namespace

TEST_CASE("OnThread makes all calls on one other thread, in order", "[drive][on_thread][unit]") {
    OnThread rooms{MemoryRooms{}};
    CHECK(rooms.append("", {}) == RoomErrc::bad_room_id);
    REQUIRE(!rooms.reset("a", epoch_of_a));
    const std::uint64_t began = flushed_at(rooms, "a");
    REQUIRE(!rooms.append("a", as_bytes("1")));
    const std::uint64_t one = flushed_at(rooms, "a");
    CHECK((began != 0 && began < one));
    CHECK(room_of(rooms, "a").position == one);
    CHECK(room_of(rooms, "a").updates.size() == 1);
    CHECK(save_of(rooms, "a", one + 100) == RoomErrc::bad_position);
    CHECK(save_of(rooms, "a", one) == std::error_code{});
    CHECK(save_of(rooms, "a", began) == RoomErrc::stale_snapshot);
    CHECK(room_of(rooms, "a").snapshot.size() == 1);
    const auto ids = waited<Result<std::vector<std::string>, PersistenceError>>(
        [&](auto done) { rooms.list("", 9, std::move(done)); });
    CHECK(**ids == std::vector<std::string>{"a"});
    REQUIRE(!rooms.erase("a"));
    CHECK(flush_of(rooms) == std::error_code{});
    CHECK(save_of(rooms, "a", one) == RoomErrc::unknown_room);
    CHECK(rooms.rooms_to_save().empty());
    const std::thread::id thread =
        answered_by<part::FlushedRooms>([&](auto done) { rooms.flush(std::move(done)); });
    CHECK(thread != std::this_thread::get_id());
    CHECK(thread == answered_by<Result<std::optional<StoredRoom>, PersistenceError>>(
                        [&](auto done) { rooms.load("a", std::move(done)); }));
}

TEST_CASE("OnThread reports a rejected change with the next flush, and only that flush",
          "[drive][on_thread][unit]") {
    OnThread rooms{MemoryRooms{{.bytes_max = 3}}};
    REQUIRE((!rooms.append("nobody", as_bytes("1")) && !rooms.reset("a", epoch_of_a)));
    REQUIRE(!rooms.append("a", as_bytes("1234")));
    REQUIRE(!rooms.append("a", as_bytes("12")));
    CHECK(flush_of(rooms) == RoomErrc::unknown_room);
    CHECK(flush_of(rooms) == std::error_code{});
    CHECK(room_of(rooms, "a").updates.size() == 1);
}

TEST_CASE("OnThread reports the rooms whose changes were rejected, and stores those of other rooms",
          "[drive][on_thread][unit]") {
    using Rooms = std::vector<std::pair<std::string, std::error_code>>;
    OnThread rooms{MemoryRooms{{.bytes_max = 3}}};
    REQUIRE((!rooms.reset("a", epoch_of_a) && !rooms.reset("b", epoch_of_a)));
    REQUIRE((!rooms.append("a", as_bytes("1234")) && !rooms.append("a", as_bytes("5678"))));
    REQUIRE((!rooms.append("nobody", as_bytes("1")) && !rooms.append("b", as_bytes("12"))));
    const part::FlushedRooms answer = flushed_by(rooms);
    CHECK(answer.error.code == std::errc::no_space_on_device);
    CHECK(answer.error.rooms == Rooms{{"a", std::make_error_code(std::errc::no_space_on_device)},
                                      {"nobody", make_error_code(RoomErrc::unknown_room)}});
    CHECK((answer.positions.size() == 1 && answer.positions.front().first == "b"));
    CHECK(room_of(rooms, "b").updates.size() == 1);
    CHECK(flush_of(rooms) == std::error_code{});
}

TEST_CASE("OnThread saves a loaded room, also when the room has changed since",
          "[drive][on_thread][unit]") {
    MemoryRooms before;
    REQUIRE((!before.reset("a", epoch_of_a) && !before.append("a", as_bytes("1"))));
    REQUIRE(!belay_test::flushed(before));
    OnThread rooms{std::move(before)};
    REQUIRE(!rooms.append("a", as_bytes("2")));
    const StoredRoom room = room_of(rooms, "a");
    CHECK(room.updates.size() == 1);
    const std::uint64_t two = flushed_at(rooms, "a");
    CHECK(room.position < two);
    CHECK(save_of(rooms, "a", room.position) == std::error_code{});
    const StoredRoom after = room_of(rooms, "a");
    CHECK(after.snapshot.size() == 1);
    CHECK(after.updates.size() == 1);
    CHECK(after.position == two);
}

TEST_CASE("OnThread returns the position of stored changes, also while the room is reset",
          "[drive][on_thread][regression]") {
    OnThread rooms{MemoryRooms{}};
    REQUIRE(!rooms.reset("a", epoch_of_a));
    REQUIRE(!rooms.append("a", as_bytes("1")));
    const std::uint64_t one = flushed_at(rooms, "a");
    REQUIRE(!rooms.erase("a"));
    REQUIRE(!rooms.reset("a", epoch_of_a));
    CHECK(room_of(rooms, "a").position == one);
    CHECK(flush_of(rooms) == std::error_code{});
    CHECK(room_of(rooms, "a").position > one);
    CHECK(room_of(rooms, "a").updates.empty());
}

TEST_CASE("OnThread limits the calls that wait, and accepts calls again when they are done",
          "[drive][on_thread][unit]") {
    GatedRooms::Gate gate;
    OnThread rooms{GatedRooms{gate}, limits(3, 10)};
    std::optional<part::FlushedRooms> first;
    std::latch flushed{1};
    rooms.flush(Completion<part::FlushedRooms>{[&](std::optional<part::FlushedRooms> e) noexcept {
        first = std::move(e);
        flushed.count_down();
    }});
    gate.arrived.wait();  // the flush is under way, and counts no more
    REQUIRE(!rooms.reset("a", epoch_of_a));
    REQUIRE(!rooms.append("a", as_bytes("12345678")));
    CHECK(rooms.append("a", as_bytes("123")) == RoomErrc::storage_busy);
    REQUIRE(!rooms.append("a", as_bytes("12")));
    CHECK(rooms.append("a", {}) == RoomErrc::storage_busy);
    CHECK(rooms.reset("a", epoch_of_a) == RoomErrc::storage_busy);
    CHECK(rooms.erase("a") == RoomErrc::storage_busy);
    CHECK(flush_of(rooms) == RoomErrc::storage_busy);
    CHECK(save_of(rooms, "a", 1) == RoomErrc::storage_busy);
    const auto found = waited<Result<std::optional<StoredRoom>, PersistenceError>>(
        [&](auto done) { rooms.load("a", std::move(done)); });
    CHECK(found->error().code == RoomErrc::storage_busy);
    const auto ids = waited<Result<std::vector<std::string>, PersistenceError>>(
        [&](auto done) { rooms.list("", 1, std::move(done)); });
    CHECK(ids->error().code == RoomErrc::storage_busy);
    gate.opened.count_down();
    flushed.wait();
    CHECK((first && !first->error));
    std::error_code full = RoomErrc::storage_busy;
    while (full == RoomErrc::storage_busy) full = flush_of(rooms);
    CHECK(full == std::error_code{});
    CHECK(room_of(rooms, "a").updates.size() == 2);
}

TEST_CASE("OnThread accepts a snapshot longer than its limit if no other call waits",
          "[drive][on_thread][unit]") {
    OnThread rooms{MemoryRooms{}, limits(100, 10)};
    REQUIRE(!rooms.reset("a", epoch_of_a));
    const std::uint64_t position = flushed_at(rooms, "a");
    const std::vector<Bytes> snapshot{Bytes(100)};
    const auto saved = waited<PersistenceError>(
        [&](auto done) { rooms.save("a", snapshot, position, std::move(done)); });
    REQUIRE(saved);
    CHECK(saved->code == std::error_code{});
    CHECK(room_of(rooms, "a").snapshot == snapshot);
}

TEST_CASE("OnThread limits what one room has waiting, and accepts calls of other rooms",
          "[drive][on_thread][unit]") {
    GatedRooms::Gate gate;
    OnThread rooms{
        GatedRooms{gate},
        {.calls_max = 20, .bytes_max = 20, .calls_per_room_max = 4, .bytes_per_room_max = 8}};
    const auto save = [&](const char* id, std::size_t bytes) {
        const auto error = std::make_shared<std::error_code>();
        const std::vector<Bytes> snapshot{Bytes(bytes)};
        rooms.save(
            id, snapshot, 1,
            Completion<PersistenceError>{[error](std::optional<PersistenceError> e) noexcept {
                if (e) *error = e->code;
            }});
        return *error;
    };
    rooms.flush(Completion<part::FlushedRooms>{[](std::optional<part::FlushedRooms>) noexcept {}});
    gate.arrived.wait();  // a storage that does not answer
    SECTION("bytes of updates") {
        REQUIRE((!rooms.reset("a", epoch_of_a) && !rooms.reset("b", epoch_of_a)));
        REQUIRE(!rooms.append("a", as_bytes("1234567")));
        CHECK(rooms.append("a", as_bytes("12")) == RoomErrc::storage_busy);
        CHECK(!rooms.append("b", as_bytes("12")));
        CHECK(!rooms.append("a", as_bytes("1")));
    }
    SECTION("calls") {
        for (int i = 0; i < 4; ++i) REQUIRE(!rooms.reset("a", epoch_of_a));
        CHECK(rooms.reset("a", epoch_of_a) == RoomErrc::storage_busy);
        CHECK(rooms.erase("a") == RoomErrc::storage_busy);
        CHECK(save("a", 0) == RoomErrc::storage_busy);
        // The answer to an accepted load would come later, on another thread.
        using Found = Result<std::optional<StoredRoom>, PersistenceError>;
        const auto shared = std::make_shared<std::optional<PersistenceError>>();
        rooms.load("a", Completion<Found>{[shared](std::optional<Found> found) noexcept {
                       if (found && !*found) *shared = found->error();
                   }});
        CHECK((*shared && (*shared)->code == RoomErrc::storage_busy));
        CHECK(!rooms.reset("b", epoch_of_a));
    }
    SECTION("an update of any length, if no update of its room waits") {
        REQUIRE((!rooms.reset("a", epoch_of_a) && !rooms.reset("b", epoch_of_a)));
        REQUIRE(!rooms.append("a", Bytes(15)));
        CHECK(rooms.append("a", as_bytes("1")) == RoomErrc::storage_busy);
        CHECK(!rooms.append("b", Bytes(5)));
        CHECK(rooms.append("b", as_bytes("1")) == RoomErrc::storage_busy);
    }
    SECTION("a snapshot leaves the updates their space") {
        REQUIRE(!rooms.reset("a", epoch_of_a));
        CHECK(save("a", 100) == std::error_code{});
        CHECK(!rooms.append("a", as_bytes("12345678")));
        // The copies of a save that is tried again do not fill the memory.
        CHECK(save("a", 1) == RoomErrc::storage_busy);
        CHECK(save("b", 1) == RoomErrc::storage_busy);
    }
    gate.opened.count_down();
    // The memory of the calls that waited is free again.
    std::error_code full = RoomErrc::storage_busy;
    while (full == RoomErrc::storage_busy) full = flush_of(rooms);
    for (int i = 0; i < 3; ++i) {
        REQUIRE(!rooms.reset("a", epoch_of_a));
        REQUIRE(!rooms.append("a", as_bytes("12345678")));
        const std::uint64_t position = flushed_at(rooms, "a");
        CHECK(save_of(rooms, "a", position) == std::error_code{});
    }
}

TEST_CASE("OnThread counts what a room has waiting until each call is done",
          "[drive][on_thread][unit]") {
    const OnThreadOptions options{
        .calls_max = 9, .bytes_max = 30, .calls_per_room_max = 5, .bytes_per_room_max = 10};
    detail::CallQueue<int> queue{options};
    const detail::CallBytes update{.updates = 4};
    const detail::CallBytes snapshot{.snapshots = 6};
    // At every moment one call of the room waits.
    CHECK_FALSE(queue.push(0, "a", update, detail::CallKind::change));
    for (int i = 1; i < 20; ++i) {
        REQUIRE(queue.takes("a", update));
        const auto kind = i % 2 == 0 ? detail::CallKind::change : detail::CallKind::answered;
        CHECK(queue.push(i, "a", i % 2 == 0 ? update : snapshot, kind) == (i % 2 != 0));
        const auto next = queue.pop();
        CHECK(next.call == i - 1);
        // The bytes of a call that is under way count.
        CHECK_FALSE(queue.takes("a", {.updates = 9, .snapshots = 9}));
        queue.done(next.place);
        CHECK(queue.rooms() == 1);
    }
    const auto last = queue.pop();
    queue.done(last.place);
    CHECK((queue.empty() && queue.rooms() == 0));
    CHECK(queue.takes("a", {.updates = 99, .snapshots = 99}));
    // Calls for all rooms have no share.
    for (int i = 0; i < 9; ++i) {
        REQUIRE(queue.takes("", {}));
        CHECK(queue.push(i, "", {}, detail::CallKind::answered));
    }
    CHECK_FALSE(queue.takes("", {}));
}

TEST_CASE("OnThread wakes its thread for a change only if many changes wait, or long ones",
          "[drive][on_thread][unit]") {
    using Queue = detail::CallQueue<int>;
    constexpr auto change = detail::CallKind::change;
    const OnThreadOptions options;
    Queue queue{options};
    SECTION("many") {
        for (std::size_t i = 1; i < Queue::waiting_max; ++i)
            CHECK_FALSE(queue.push(0, "a", {.updates = 1}, change));
        CHECK(queue.push(0, "a", {.updates = 1}, change));
    }
    SECTION("long ones") {
        CHECK_FALSE(queue.push(0, "a", {.updates = Queue::waiting_bytes_max - 1}, change));
        CHECK(queue.push(0, "b", {.updates = 1}, change));
    }
    SECTION("half of a limit") {
        const auto limited = [](OnThreadOptions some) { return Queue{some}; };
        Queue calls = limited({.calls_max = 7});
        for (int i = 1; i < 4; ++i)
            CHECK_FALSE(calls.push(0, std::to_string(i), {.updates = 1}, change));
        CHECK(calls.push(0, "a", {.updates = 1}, change));
        Queue calls_of_room = limited({.calls_per_room_max = 2});
        CHECK(calls_of_room.push(0, "a", {.updates = 1}, change));
        Queue bytes = limited({.bytes_max = 4096});
        CHECK_FALSE(bytes.push(0, "a", {.updates = 1500}, change));
        CHECK(bytes.push(0, "b", {.updates = 1500}, change));
        Queue bytes_of_room = limited({.bytes_per_room_max = 4096});
        CHECK_FALSE(bytes_of_room.push(0, "a", {.updates = 1500}, change));
        CHECK_FALSE(bytes_of_room.push(0, "b", {.updates = 1500}, change));
        CHECK(bytes_of_room.push(0, "a", {.updates = 1500}, change));
    }
    SECTION("a call with an answer") {
        CHECK_FALSE(queue.push(0, "a", {}, change));
        CHECK(queue.push(0, {}, {}, detail::CallKind::answered));
    }
}

TEST_CASE("OnThread makes changes without a flush before they fill the memory",
          "[drive][on_thread][unit]") {
    /// A persistence that notifies the test of its first change.
    class NotifyingRooms : public MemoryRooms {
    public:
        explicit NotifyingRooms(std::latch& begun) : begun_{&begun} {}
        [[nodiscard]] std::error_code reset(std::string_view id, const Id& epoch) {
            if (begun_ != nullptr) std::exchange(begun_, nullptr)->count_down();
            return MemoryRooms::reset(id, epoch);
        }

    private:
        std::latch* begun_;
    };
    SECTION("many changes") {
        std::latch begun{1};
        OnThread rooms{NotifyingRooms{begun}};
        for (std::size_t i = 0; i < detail::CallQueue<int>::waiting_max; ++i)
            REQUIRE(!rooms.reset("a", epoch_of_a));
        begun.wait();
    }
    SECTION("those before a change that was rejected") {
        OnThread rooms{MemoryRooms{}, limits(2, 10)};
        while (!rooms.reset("a", epoch_of_a)) {
        }
        while (rooms.reset("a", epoch_of_a)) std::this_thread::yield();
    }
}

TEST_CASE("OnThread returns the status of its persistence on any thread",
          "[drive][on_thread][unit]") {
    sim::Disk disk;
    auto files = belay_test::open_rooms(disk);
    REQUIRE((files && !files->reset("old", epoch_of_a)));
    files->flush(Completion<part::FlushedRooms>{[](std::optional<part::FlushedRooms>) noexcept {}});
    OnThread rooms{std::move(*files)};
    CHECK(rooms.status().rooms == 1);
    REQUIRE((!rooms.reset("a", epoch_of_a) && !rooms.append("a", as_bytes("1"))));
    CHECK(flush_of(rooms) == std::error_code{});
    CHECK(rooms.status().rooms == 2);
    CHECK(rooms.status().log_bytes != 0);
    // While this thread makes calls, another one reads.
    std::latch begun{1};
    std::atomic<bool> ends{false};
    bool falls = false;
    std::thread reader{[&] {
        std::uint64_t before = rooms.status().rooms;
        begun.count_down();
        while (!ends) {
            const std::uint64_t now = rooms.status().rooms;
            falls = falls || now < before;
            before = now;
        }
    }};
    begun.wait();
    for (int i = 0; i < 50; ++i) {
        REQUIRE(!rooms.reset("room" + std::to_string(i), epoch_of_a));
        CHECK(flush_of(rooms) == std::error_code{});
    }
    ends = true;
    reader.join();
    CHECK_FALSE(falls);
    CHECK(rooms.status().rooms == 52);
}

TEST_CASE("OnThread ends after the running call, and drops the others",
          "[drive][on_thread][unit]") {
    GatedRooms::Gate gate;
    int answered = 0;
    int dropped = 0;
    const auto count = [&](std::optional<part::FlushedRooms> answer) noexcept {
        answer ? ++answered : ++dropped;
    };
    std::thread opener;
    {
        OnThread rooms{GatedRooms{gate}};
        rooms.flush(Completion<part::FlushedRooms>{count});
        gate.arrived.wait();
        REQUIRE(!rooms.reset("a", epoch_of_a));
        rooms.flush(Completion<part::FlushedRooms>{count});
        rooms.flush(Completion<part::FlushedRooms>{count});
        OnThread moved = std::move(rooms);
        opener = std::thread{[&] { gate.opened.count_down(); }};
    }
    opener.join();
    CHECK(answered >= 1);
    CHECK(answered + dropped == 3);
}

TEST_CASE("OnThread skips a load or a save whose caller is gone, and reports the rooms to save",
          "[drive][on_thread][unit]") {
    GatedRooms::Gate gate;
    OnThread gated{GatedRooms{gate}};
    gated.flush(Completion<part::FlushedRooms>{[](std::optional<part::FlushedRooms>) noexcept {}});
    gate.arrived.wait();
    {
        driver::Question<Result<std::optional<StoredRoom>, PersistenceError>> nobody;
        gated.load("a", nobody.ask());
        driver::Question<PersistenceError> none;
        const std::vector<Bytes> snapshot{Bytes(1)};
        REQUIRE(!gated.reset("a", epoch_of_a));
        gated.save("a", snapshot, 1, none.ask());
    }
    gate.opened.count_down();
    CHECK(flush_of(gated) == std::error_code{});
    CHECK((gate.loads == 0 && gate.saves == 0));
    OnThread storage{RoomsToSave{}};
    CHECK(storage.rooms_to_save().empty());
    CHECK(flush_of(storage) == std::error_code{});
    CHECK(storage.rooms_to_save() == std::vector<std::string>{"slow", "idle"});
}

TEST_CASE("OnThread reports failure when its persistence never answers",
          "[drive][on_thread][unit]") {
    OnThread rooms{AnswersNothing{}};
    CHECK(!waited<Result<std::optional<StoredRoom>, PersistenceError>>(
        [&](auto done) { rooms.load("a", std::move(done)); }));
    CHECK(!waited<part::FlushedRooms>([&](auto done) { rooms.flush(std::move(done)); }));
    CHECK(!waited<Result<std::vector<std::string>, PersistenceError>>(
        [&](auto done) { rooms.list("", 1, std::move(done)); }));
}

TEST_CASE("OnThread reports at once, with a sentence, that its persistence answers after its calls",
          "[drive][on_thread][unit]") {
    OnThread rooms{AnswersLater{}};
    const auto check = [](const PersistenceError& error) {
        CHECK(error.code == RoomErrc::no_answer);
        CHECK(error.what.starts_with("OnThread: the persistence must answer inside its calls"));
        CHECK(error.rooms.empty());
    };
    // The second call of each kind also answers the first, which is too late.
    for (int i = 0; i < 2; ++i) {
        const auto found = waited<Result<std::optional<StoredRoom>, PersistenceError>>(
            [&](auto done) { rooms.load("a", std::move(done)); });
        REQUIRE((found && !*found));
        check(found->error());
        REQUIRE(!rooms.reset("a", epoch_of_a));
        check(flushed_by(rooms).error);
        CHECK(save_of(rooms, "a", 1) == RoomErrc::no_answer);
    }
}

TEST_CASE("OnThread rejects options that contradict each other", "[drive][on_thread][unit]") {
    const auto output = [](const OnThreadOptions& options) {
        return belay_test::aborts_with([&] { const OnThread rooms{MemoryRooms{}, options}; });
    };
    const auto contains = [](const std::string& text, const char* part) {
        return text.find(part) != std::string::npos;
    };
    CHECK(contains(output(limits(0, 1)), "OnThreadOptions: calls_max and calls_per_room_max must"));
    CHECK(contains(output({.calls_per_room_max = 0}), "calls_per_room_max must be > 0"));
    // A share above the limit of all rooms is no share.
    static_assert(OnThreadOptions{.calls_max = 10, .bytes_max = 10}.check().empty());
    static_assert(OnThreadOptions{}.check().empty());
}
