// SPDX-License-Identifier: MIT
// Goal: in a database of SQLite, one bad item does not hold the others for ever, and
// docs/reference/one-bad-item.md states what happens. Method: as tests/e2e/one_bad_item.test.cpp.
#include <string>

#include <belay/sqlite/rooms.hpp>
#include <belay/sqlite/storage.hpp>

#include "support/catch.hpp"
#include "support/one_bad_item.hpp"
#include "support/room/persistence_calls.hpp"
#include "support/sqlite/database_suite.hpp"
#include "support/sqlite/failing_files.hpp"
#include "support/temporary_directory.hpp"

using namespace belay;
using namespace belay_test;

namespace {

/// Lets the next write fail, with an error that does not come again.
void fail_next_write() {
    FailingFiles::answer = SQLITE_IOERR_WRITE;
    FailingFiles::countdown = 0;
}

// ---- a queue -------------------------------------------------------------------------------------

std::string sqlite_queue_unreadable() {
    const TemporaryDirectory dir;
    fill<Sqlite>(dir / "q", 2);
    run_sql(dir / "q", "UPDATE queue SET body = x'00' WHERE number = 1");
    sqlite::Storage storage = opened<Sqlite>(dir / "q");
    CHECK(storage.front().error() == QueueErrc::corrupt);
    CHECK_FALSE(storage.ack());
    CHECK(as_text(*storage.front()) == text_for(2));
    return "`front` returns `corrupt` until `ack` discards the record. If the database itself is "
           "damaged, an opening fails.";
}
std::string sqlite_queue_unprocessable() {
    const TemporaryDirectory dir;
    fill<Sqlite>(dir / "q", 2);
    sqlite::Storage storage = opened<Sqlite>(dir / "q");
    CHECK(as_text(*storage.front()) == text_for(1));
    CHECK_FALSE(storage.ack());
    CHECK(as_text(*storage.front()) == text_for(2));
    return "The item stays the first until your program calls `ack`.";
}
std::string sqlite_queue_medium() {
    const FailingFiles files;
    const TemporaryDirectory dir;
    {
        sqlite::Storage storage = opened<Sqlite>(dir / "q", Sqlite::full);
        REQUIRE_FALSE(storage.try_push(as_bytes("a")));
        fail_next_write();
        CHECK(storage.try_push(as_bytes("b")));
        CHECK(storage.failed());
        CHECK(storage.try_push(as_bytes("b")));
    }
    CHECK_FALSE(opened<Sqlite>(dir / "q").try_push(as_bytes("b")));
    return "The storage stays failed (`failed()`) until your program opens it again. A full disk "
           "does not have this effect.";
}
std::string sqlite_queue_too_large() {
    const TemporaryDirectory dir;
    sqlite::Options options = Sqlite::fast;
    options.record_bytes_max = 10;
    sqlite::Storage storage = opened<Sqlite>(dir / "q", options);
    CHECK(storage.try_push(Bytes(11)) == QueueErrc::too_large);
    CHECK_FALSE(storage.try_push(as_bytes("good")));
    return "`push` returns `too_large`.";
}

// ---- rooms ---------------------------------------------------------------------------------------

sqlite::Rooms two_rooms(const std::string& path, sqlite::RoomsOptions options = {}) {
    auto opened = sqlite::Rooms::open(path, options);
    REQUIRE(opened);
    for (const char* const id : {"a", "b"}) {
        REQUIRE((!opened->reset(id, first_epoch) && !opened->append(id, as_bytes("text"))));
    }
    REQUIRE(!flushed(*opened));
    return std::move(*opened);
}
std::string sqlite_rooms_unreadable() {
    const TemporaryDirectory dir;
    static_cast<void>(two_rooms(dir / "r"));
    run_sql(dir / "r", "UPDATE room_update SET body=x'31' WHERE id=x'61'");
    auto opened = sqlite::Rooms::open(dir / "r");
    REQUIRE(opened);
    sqlite::Rooms rooms = std::move(*opened);
    CHECK(loaded(rooms, "a").error().code == QueueErrc::corrupt);
    CHECK(loaded(rooms, "b"));
    return "The room is closed with 1013, and the error is reported. Other rooms are served.";
}
std::string sqlite_rooms_medium() {
    const FailingFiles files;
    const TemporaryDirectory dir;
    sqlite::Rooms rooms = two_rooms(dir / "r");
    fail_next_write();
    REQUIRE(!rooms.append("a", as_bytes("1")));
    CHECK(!!flushed(rooms));
    REQUIRE(!rooms.append("a", as_bytes("1")));
    CHECK(!flushed(rooms));
    return "As for `JournalRooms`.";
}
std::string sqlite_rooms_too_large() {
    const TemporaryDirectory dir;
    sqlite::Rooms rooms = two_rooms(dir / "r", {.unflushed_bytes_max = 10'000});
    CHECK(rooms.append("a", Bytes(20'000)) == RoomErrc::storage_busy);
    CHECK(!rooms.append("b", as_bytes("good")));
    CHECK(!flushed(rooms));
    return "Above `unflushed_bytes_max`, a change fails with `storage_busy`, and its client sends "
           "it again.";
}

constexpr BadItemRow sqlite_rows[] = {
    {"`sqlite::Storage`", sqlite_queue_unreadable, sqlite_queue_unprocessable, sqlite_queue_medium,
     sqlite_queue_too_large},
    {"`sqlite::Rooms`", sqlite_rooms_unreadable, no_bad_item, sqlite_rooms_medium,
     sqlite_rooms_too_large},
};

}  // namespace

TEST_CASE("docs/reference/one-bad-item.md states what one bad item does in SQLite",
          "[sqlite][one_bad_item]") {
    check_bad_item_rows(sqlite_rows);
}
