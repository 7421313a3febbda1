// SPDX-License-Identifier: MIT
// Goal: OnThread makes a storage for several servers of one that blocks, and its subscriptions wait
// on a thread of their own. Method: the kits of persistences on a storage in memory, and single
// calls.
#include <belay/room/on_thread.hpp>

#include <belay/room/persistence_check.hpp>
#include <belay/room/shared_persistence_check.hpp>

#include <atomic>
#include <map>

#include "support/catch.hpp"
#include "support/drive/persistence_doubles.hpp"
#include "support/eventually.hpp"
#include "support/room/table_rooms.hpp"

using namespace belay;
using belay_test::eventually;
using belay_test::RoomTable;
using belay_test::TableRooms;
using belay_test::TableSubscription;

namespace {

using Batch = Result<part::FanoutBatch, PersistenceError>;
constexpr Id board_epoch{std::byte{1}};

static_assert(explain::persistence_like<OnThread<TableRooms>>() &&
              explain::fanout_like<OnThread<TableRooms>>());
static_assert(!FanoutLike<OnThread<MemoryRooms>> && detail::FanoutIsSound<OnThread<MemoryRooms>>);

/// A storage whose connection for subscriptions is away, or does not publish yet, or that cannot
/// read a room.
struct Outage {
    std::atomic<bool> away{false};
    std::atomic<bool> holds{false};
    std::atomic<bool> publishing{false};
    std::atomic<bool> damaged{false};
    std::atomic<int> waits{0};
};
struct AwaySubscription : TableSubscription {
    AwaySubscription(RoomTable& table, Outage& o) : TableSubscription{table}, outage{o} {}
    part::ReadRooms wait(const part::RoomReaders& readers, const std::set<std::string>& changed,
                         Duration limit) {
        ++outage.waits;
        if (outage.away)
            return PersistenceError{std::make_error_code(std::errc::not_connected), {}, {}};
        const auto board = readers.find("board");
        if (outage.damaged && board != readers.end() && board->second.waits) {
            PersistenceError error{RoomErrc::snapshot_damaged, {}, {}};
            error.rooms.emplace_back("board", RoomErrc::snapshot_damaged);
            return error;
        }
        return TableSubscription::wait(readers, changed, limit);
    }
    void publish(const std::vector<part::PublishedMessage>& messages) {
        outage.publishing = true;
        outage.publishing.notify_all();
        outage.holds.wait(true);
        TableSubscription::publish(messages);
    }
    Outage& outage;
};
struct AwayRooms : TableRooms {
    AwayRooms(RoomTable& t, Outage& o) : TableRooms{t}, table{t}, outage{o} {}
    [[nodiscard]] AwaySubscription subscription() const { return {table, outage}; }
    [[nodiscard]] int status() const { return outage.waits; }
    RoomTable& table;
    Outage& outage;
};

template <class P>
void append_now(OnThread<P>& rooms, std::string_view text) {
    REQUIRE(!rooms.append("board", as_bytes(text), {board_epoch, 1, board_epoch}));
    const auto flushed =
        belay_test::waited<part::FlushedRooms>([&](auto done) { rooms.flush(std::move(done)); });
    REQUIRE((flushed && !flushed->error));
}

/// `writer` begins the room, and `reader` subscribes to it.   Returns: the answer.
template <class P>
Batch begin_and_read(OnThread<P>& writer, OnThread<P>& reader, driver::Question<Batch>& asked) {
    reader.subscribe("board", no_id, 0, asked.ask());
    REQUIRE(!writer.begin("board", board_epoch, false));
    append_now(writer, "a");
    REQUIRE(eventually([&] { return asked.answered(); }));
    Batch batch = *asked.take();
    REQUIRE((batch && batch->entries.size() == 1 && batch->epoch == board_epoch));
    return batch;
}

}  // namespace

TEST_CASE("check::persistence finds no fault in OnThread over a shared storage that blocks",
          "[drive][on_thread][property]") {
    std::map<int, RoomTable> tables;
    int made = 0;
    const auto open = [&] { return OnThread{TableRooms{tables[made]}}; };
    const auto fault = check::persistence(
        [&] {
            ++made;
            return open();
        },
        open, {.histories = 12, .steps = 150});
    if (fault) FAIL(to_string(fault->rule) << ", history " << fault->history);
}

TEST_CASE("check::shared_persistence finds no fault in OnThread over a shared storage that blocks",
          "[drive][on_thread][property]") {
    std::map<std::uint64_t, RoomTable> tables;
    const auto fault = check::shared_persistence(
        [&](std::uint64_t history) { return OnThread{TableRooms{tables[history]}}; },
        {.histories = 10, .steps = 60});
    if (fault)
        FAIL(to_string(fault->rule) << ", history " << fault->history << ", step " << fault->step);
}

TEST_CASE("OnThread keeps messages that arrive between two subscriptions",
          "[drive][on_thread][unit]") {
    RoomTable table;
    OnThread one{TableRooms{table}};
    OnThread two{TableRooms{table}};
    driver::Question<Batch> asked;
    const Batch batch = begin_and_read(one, two, asked);
    one.publish("board", as_bytes("message"));
    one.publish("other", as_bytes("of a room without a subscription"));
    REQUIRE(eventually([&] {
        const std::lock_guard lock{table.mutex};
        return table.messages.size() == 2;
    }));
    two.subscribe("board", board_epoch, batch->entries.back().position, asked.ask());
    REQUIRE(eventually([&] { return asked.answered(); }));
    CHECK((*asked.take())->messages == std::vector<Bytes>{to_bytes("message")});
}

TEST_CASE("OnThread keeps no message of a subscription that an unwanted Completion has ended",
          "[drive][on_thread][unit]") {
    RoomTable table;
    OnThread one{TableRooms{table}};
    OnThread two{TableRooms{table}};
    driver::Question<Batch> asked;
    const std::uint64_t read = begin_and_read(one, two, asked)->entries.back().position;
    // A message that is published before its subscription has begun is lost.
    const auto publish_until_answered = [&](const char* room, driver::Question<Batch>& question) {
        REQUIRE(eventually([&] {
            one.publish(room, as_bytes("next"));
            return question.answered();
        }));
    };
    // An answer for the other room shows that the thread has done all that was posted before.
    const auto wait_for_thread = [&] {
        driver::Question<Batch> fence;
        two.subscribe("other", no_id, 0, fence.ask());
        publish_until_answered("other", fence);
    };
    one.publish("board", as_bytes("message"));
    wait_for_thread();
    Completion<Batch> unwanted = asked.ask();
    asked.drop();
    two.subscribe("board", board_epoch, read, std::move(unwanted));
    wait_for_thread();
    two.subscribe("board", board_epoch, read, asked.ask());
    publish_until_answered("board", asked);
    CHECK((*asked.take())->messages.front() == to_bytes("next"));
}

TEST_CASE("OnThread reports an outage once to each subscription, and goes on after it",
          "[drive][on_thread][unit]") {
    RoomTable table;
    Outage outage;
    OnThread one{AwayRooms{table, outage}};
    outage.away = true;
    driver::Question<Batch> asked;
    one.subscribe("board", no_id, 0, asked.ask());
    REQUIRE(eventually([&] { return asked.answered(); }));
    CHECK((*asked.take()).error().code == std::errc::not_connected);
    one.subscribe("board", no_id, 0, asked.ask());
    const int before = outage.waits;
    REQUIRE(eventually([&] { return outage.waits > before + 1; }));
    CHECK_FALSE(asked.answered());
    // The calls have a connection of their own.
    REQUIRE(!one.begin("board", board_epoch, false));
    append_now(one, "a");
    outage.away = false;
    REQUIRE(eventually([&] { return asked.answered(); }));
    CHECK((*asked.take())->entries.size() == 1);
}

TEST_CASE("OnThread reports a room that cannot be read to its subscription, and serves the others",
          "[drive][on_thread][unit]") {
    RoomTable table;
    Outage outage;
    OnThread one{AwayRooms{table, outage}};
    driver::Question<Batch> other;
    one.subscribe("other", no_id, 0, other.ask());
    outage.damaged = true;
    for (int times = 0; times < 2; ++times) {
        driver::Question<Batch> asked;
        one.subscribe("board", no_id, 0, asked.ask());
        REQUIRE(eventually([&] { return asked.answered(); }));
        CHECK((*asked.take()).error().code == RoomErrc::snapshot_damaged);
        CHECK_FALSE(other.answered());
    }
    REQUIRE(!one.begin("other", board_epoch, false));
    REQUIRE(!one.append("other", as_bytes("a"), {board_epoch, 1, board_epoch}));
    one.flush(Completion<part::FlushedRooms>{[](auto) noexcept {}});
    REQUIRE(eventually([&] { return other.answered(); }));
    CHECK((*other.take())->entries.size() == 1);
}

TEST_CASE("OnThread: messages delay no call, and are counted", "[drive][on_thread][unit]") {
    RoomTable table;
    Outage outage;
    OnThread one{AwayRooms{table, outage}};
    driver::Question<Batch> asked;
    one.subscribe("board", no_id, 0, asked.ask());
    REQUIRE(!one.begin("board", board_epoch, false));
    append_now(one, "a");
    REQUIRE(eventually([&] { return asked.answered(); }));
    outage.holds = true;
    one.publish("board", as_bytes("held"));
    outage.publishing.wait(false);
    for (int i = 0; i < 1'002; ++i) one.publish("board", as_bytes(std::to_string(i)));
    append_now(one, "b");
    CHECK(one.queue().messages == 1'000);
    CHECK(one.queue().message_bytes == 10 - 2 + 2 * 90 + 3 * 900 + 4 * 2);
    CHECK(one.queue().messages_dropped == 2);
    // The status of a shared storage is the present one.
    const int before = one.status();
    outage.holds = false;
    outage.holds.notify_all();
    REQUIRE(eventually([&] { return one.status() > before; }));
    // No subscription reads them, and the first three are dropped for later ones.
    one.publish("board", as_bytes("last"));
    one.publish("board", as_bytes("one"));
    REQUIRE(eventually([&] { return one.queue().messages_unread == 3; }));
    CHECK(one.queue().messages == 0);
}

TEST_CASE("OnThread rejects a subscription with a bad id", "[drive][on_thread][unit]") {
    RoomTable table;
    OnThread rooms{TableRooms{table}};
    driver::Question<Batch> asked;
    rooms.subscribe("", no_id, 0, asked.ask());
    CHECK((*asked.take()).error().code == RoomErrc::bad_room_id);
    rooms.publish("", as_bytes("message"));
}
