// SPDX-License-Identifier: MIT
// Goal: rooms in one log and in snapshot files keep their stored contents over restarts; a
// damaged, missing or foreign file is an error with its path. Method: a simulated disk.
#include <belay/room/journal_rooms.hpp>

#include <map>

#include "support/catch.hpp"
#include "support/room/disk_rooms.hpp"

using namespace belay;
using namespace belay_test;

namespace {

static_assert(PersistenceLike<JournalRoomsOnDisk> && detail::HasRoomsToSave<JournalRoomsOnDisk>);

/// A room "a" of which "1" is saved, and "2" is in the log.
void begin_room(DiskRooms& rooms, const std::string& id = "a") {
    REQUIRE((!rooms->reset(id, first_epoch) && !rooms->append(id, as_bytes("1"))));
    const std::uint64_t one = flushed_at(*rooms, id);
    REQUIRE(!saved(*rooms, id, parts({"1"}), one));
    REQUIRE((!rooms->append(id, as_bytes("2")) && !flushed(*rooms)));
}

}  // namespace

TEST_CASE("JournalRooms stores by flushes, and saves snapshots in files next to the log",
          "[room][journal_rooms][unit]") {
    sim::Disk disk;
    DiskRooms rooms{disk};
    CHECK(rooms->append("a", as_bytes("1")) == RoomErrc::unknown_room);
    REQUIRE(!rooms->reset("a", first_epoch));
    CHECK(!*loaded(*rooms, "a"));
    CHECK(listed(*rooms, "", 9)->empty());
    const std::uint64_t began = flushed_at(*rooms, "a");
    REQUIRE((began != 0 && !rooms->append("a", as_bytes("1"))));
    const std::uint64_t one = flushed_at(*rooms, "a");
    CHECK(one > began);
    CHECK(text_of(rooms.room("a")) == "|1");
    CHECK(rooms.room("a").position == one);
    REQUIRE(!rooms->append("a", as_bytes("2")));
    CHECK(saved(*rooms, "a", parts({"1", "2"}), one + 1) == RoomErrc::bad_position);
    REQUIRE(!saved(*rooms, "a", parts({"o", "ne"}), one));
    CHECK(text_of(rooms.room("a")) == "o,ne|");
    REQUIRE(!flushed(*rooms));
    CHECK(text_of(rooms.room("a")) == "o,ne|2");
    CHECK(saved(*rooms, "a", parts({}), began) == RoomErrc::stale_snapshot);
    CHECK(saved(*rooms, "b", parts({}), 1) == RoomErrc::unknown_room);
    rooms.reopen();
    CHECK(text_of(rooms.room("a")) == "o,ne|2");
    CHECK(rooms.room("a").epoch == first_epoch);
    CHECK(saved(*rooms, "a", parts({}), began) == RoomErrc::stale_snapshot);
}

TEST_CASE("JournalRooms starts a new history at reset, and deletes a room for good at erase",
          "[room][journal_rooms][unit]") {
    sim::Disk disk;
    DiskRooms rooms{disk};
    begin_room(rooms);
    const std::uint64_t old = rooms.room("a").position;
    REQUIRE(!rooms->reset("a", second_epoch));
    CHECK(saved(*rooms, "a", parts({"12"}), old) == RoomErrc::stale_snapshot);
    CHECK(rooms.room("a").epoch == first_epoch);
    REQUIRE(!flushed(*rooms));
    CHECK(saved(*rooms, "a", parts({"12"}), old) == RoomErrc::stale_snapshot);
    CHECK(text_of(rooms.room("a")) == "|");
    CHECK(rooms.room("a").epoch == second_epoch);
    rooms.reopen();
    CHECK(rooms.room("a").epoch == second_epoch);
    REQUIRE(!rooms->erase("a"));
    CHECK(rooms->append("a", as_bytes("3")) == RoomErrc::unknown_room);
    CHECK(*loaded(*rooms, "a"));
    REQUIRE(!flushed(*rooms));
    CHECK(!*loaded(*rooms, "a"));
    CHECK(disk.contents(rooms.file("a")).empty());
    CHECK(rooms->status().rooms == 0);
    REQUIRE(!flushed(*rooms));
    CHECK(rooms->status().log_records == 0);
    rooms.reopen();
    CHECK(!*loaded(*rooms, "a"));
    CHECK((!rooms->erase("a") && !flushed(*rooms)));
    REQUIRE((!rooms->reset("a", first_epoch) && !flushed(*rooms)));
    CHECK(text_of(rooms.room("a")) == "|");
}

TEST_CASE("JournalRooms accepts updates of any length, and ids of any bytes",
          "[room][journal_rooms][unit]") {
    sim::Disk disk;
    DiskRooms rooms{disk};
    const std::string id = std::string(part::room_id_bytes_max - 2, '/') + std::string{"\0\xff", 2};
    REQUIRE(!rooms->reset(id, first_epoch));
    for (const std::size_t size : {0U, 1U, 195U, 196U, 197U, 376U, 377U, 5000U}) {
        REQUIRE(!rooms->append(id, as_bytes(std::string(size, 'x'))));
    }
    REQUIRE(!flushed(*rooms));
    rooms.reopen();
    const StoredRoom room = rooms.room(id);
    REQUIRE(room.updates.size() == 8);
    CHECK(room.updates[4] == Bytes(197, std::byte{'x'}));
    CHECK(room.updates[7] == Bytes(5000, std::byte{'x'}));
    CHECK(*listed(*rooms, "", 5) == std::vector<std::string>{id});
    REQUIRE(!saved(*rooms, id, room.updates, room.position));
    rooms.reopen();
    CHECK(rooms.room(id).snapshot == room.updates);
    for (const std::string& bad : {std::string{}, std::string(part::room_id_bytes_max + 1, 'x')}) {
        CHECK(rooms->reset(bad, first_epoch) == RoomErrc::bad_room_id);
        CHECK(rooms->append(bad, {}) == RoomErrc::bad_room_id);
        CHECK(rooms->erase(bad) == RoomErrc::bad_room_id);
        CHECK(loaded(*rooms, bad).error().code == RoomErrc::bad_room_id);
        CHECK(saved(*rooms, bad, {}, 0) == RoomErrc::bad_room_id);
    }
}

TEST_CASE("JournalRooms releases the log up to the oldest room that is not saved",
          "[room][journal_rooms][unit]") {
    sim::Disk disk;
    DiskRooms rooms{disk, {.log_bytes_max = 4096}};
    for (const char* id : {"idle", "slow", "busy"}) REQUIRE(!rooms->reset(id, first_epoch));
    REQUIRE((!rooms->append("slow", as_bytes("s")) && !flushed(*rooms)));
    std::uint64_t most = 0;
    for (int i = 0; i < 2000; ++i) {
        REQUIRE(!rooms->append("busy", as_bytes(std::string(50, 'x'))));
        const std::uint64_t at = flushed_at(*rooms, "busy");
        REQUIRE(at != 0);
        if (i % 10 == 9) REQUIRE(!saved(*rooms, "busy", parts({"x"}), at));
        for (const std::string& id : rooms->rooms_to_save()) {
            CHECK(id != "idle");
            const StoredRoom room = rooms.room(id);
            REQUIRE(!saved(*rooms, id, room.updates, room.position));
        }
        most = std::max(most, rooms->status().log_bytes);
    }
    CHECK(most < 4096 + 3 * 4096);
    CHECK(text_of(rooms.room("slow")) == "s|");
    CHECK(text_of(rooms.room("idle")) == "|");
    rooms.reopen();
    CHECK(text_of(rooms.room("slow")) == "s|");
    CHECK(text_of(rooms.room("idle")) == "|");
    CHECK(rooms->status().rooms == 3);
}

TEST_CASE("JournalRooms without a log limit requests no saves, and does not rewrite state",
          "[room][journal_rooms][unit]") {
    sim::Disk disk;
    DiskRooms rooms{disk, {.log_bytes_max = no_limit}};
    for (const char* id : {"idle", "busy"}) REQUIRE(!rooms->reset(id, first_epoch));
    for (int i = 0; i < 100; ++i) {
        REQUIRE((!rooms->append("busy", as_bytes(std::string(50, 'x'))) && !flushed(*rooms)));
        CHECK(rooms->rooms_to_save().empty());
    }
    CHECK(rooms->status().log_records == 102);
}

TEST_CASE("JournalRooms returns an error for a snapshot that is damaged at any byte",
          "[room][journal_rooms][fault]") {
    sim::Disk disk;
    DiskRooms rooms{disk};
    begin_room(rooms);
    const Bytes whole = disk.contents(rooms.file("a"));
    REQUIRE(whole.size() > 72);
    for (std::size_t i = 0; i < whole.size(); ++i) {
        Bytes bytes = whole;
        bytes[i] ^= std::byte{0x10};
        disk.put(rooms.file("a"), bytes);
        const PersistenceError error = loaded(*rooms, "a").error();
        CHECK((error.code == RoomErrc::snapshot_damaged || error.code == QueueErrc::other_version));
        CHECK(error.where == rooms.file("a"));
        bytes.resize(i);
        disk.put(rooms.file("a"), bytes);
        CHECK(loaded(*rooms, "a").error().code == RoomErrc::snapshot_damaged);
    }
    Bytes longer = whole;
    longer.resize(whole.size() + 1);
    disk.put(rooms.file("a"), longer);
    CHECK(loaded(*rooms, "a").error().code == RoomErrc::snapshot_damaged);
    disk.put(rooms.file("a"), whole);
    CHECK(text_of(rooms.room("a")) == "1|2");
}

TEST_CASE("JournalRooms returns an error for a missing, foreign or outdated snapshot",
          "[room][journal_rooms][fault]") {
    sim::Disk disk;
    sim::Disk elsewhere;
    DiskRooms rooms{disk};
    DiskRooms others{elsewhere, {}, 7};
    begin_room(rooms);
    begin_room(rooms, "b");
    begin_room(others);
    const Bytes old = disk.contents(rooms.file("a"));
    const auto wrong = [&](const Bytes& bytes, const std::string& why) {
        disk.put(rooms.file("a"), bytes);
        const PersistenceError error = loaded(*rooms, "a").error();
        CHECK(error.code == RoomErrc::snapshot_misplaced);
        CHECK(error.what == why);
        CHECK(error.message().find("restore the file") != std::string::npos);
    };
    wrong(disk.contents(rooms.file("b")), "the snapshot belongs to another room");
    wrong(elsewhere.contents(others.file("a")), "the snapshot was saved with another log");
    disk.put(rooms.file("a"), old);
    REQUIRE(!saved(*rooms, "a", parts({"12"}), rooms.room("a").position));
    const Bytes fresh = disk.contents(rooms.file("a"));
    wrong(old, "the snapshot is an older copy");
    REQUIRE(!flushed(*rooms));
    rooms.reopen();
    wrong(old, "the snapshot is an older copy");
    REQUIRE(!disk.remove(rooms.file("a")));
    CHECK(loaded(*rooms, "a").error().code == RoomErrc::snapshot_missing);
    rooms.reopen();
    CHECK(loaded(*rooms, "a").error().code == RoomErrc::snapshot_missing);
    disk.put(rooms.file("a"), fresh);
    CHECK(text_of(rooms.room("a")) == "12|");
    REQUIRE((!rooms->reset("a", second_epoch) && !flushed(*rooms)));
    REQUIRE(!saved(*rooms, "a", parts({"3"}), rooms.room("a").position));
    REQUIRE(!flushed(*rooms));
    wrong(fresh, "the snapshot belongs to another history of the room");
    CHECK(text_of(rooms.room("b")) == "1|2");
}

TEST_CASE("JournalRooms rejects a snapshot or a log in another version of its format",
          "[room][journal_rooms][fault]") {
    const std::uint8_t version = GENERATE(std::uint8_t{0}, std::uint8_t{3});
    const auto words = [&](int read) {
        return "it has version " + std::to_string(version) +
               ", and this program reads only version " + std::to_string(read);
    };
    const std::string advice =
        ": open it with the version of belay that wrote it, or move it away to begin a new one.";
    sim::Disk disk;
    {
        DiskRooms rooms{disk};
        begin_room(rooms);
        Bytes bytes = disk.contents(rooms.file("a"));
        bytes[8] = std::byte{version};
        disk.put(rooms.file("a"), bytes);
        const PersistenceError error = loaded(*rooms, "a").error();
        CHECK(error.code == QueueErrc::other_version);
        CHECK(error.message().starts_with(rooms.file("a")));
        CHECK(error.message().ends_with("(" + words(1) + ")" + advice));
        CHECK(disk.contents(rooms.file("a")) == bytes);
    }
    sim::Disk other;
    {
        auto log = DiskJournal::open(other, "log", small_log(1));
        REQUIRE(log);
        REQUIRE(log->append(
            Bytes{std::byte{'R'}, std::byte{version}, std::byte{4}, std::byte{1}, std::byte{'a'}}));
        REQUIRE_FALSE(log->commit());
    }
    const PersistenceError error = opening_error(other);
    CHECK(error.code == QueueErrc::other_version);
    CHECK(error.message().starts_with("the log"));
    CHECK(error.message().ends_with("(operation 1: " + words(2) + ")" + advice));
}

TEST_CASE("JournalRooms does not open with the log of other rooms, or without a log",
          "[room][journal_rooms][fault]") {
    sim::Disk disk;
    sim::Disk::Image early;
    {
        DiskRooms rooms{disk};
        begin_room(rooms);
        early = disk.image();
        REQUIRE(!rooms->reset("unsaved", first_epoch));
        begin_room(rooms, "b");
    }
    sim::Disk::Image late = disk.image();
    const auto put_together = [&](const sim::Disk::Image& log, const sim::Disk::Image& files) {
        sim::Disk::Image mixed;
        for (const auto& [path, bytes] : log) {
            if (path.starts_with("log/")) mixed.emplace_back(path, bytes);
        }
        for (const auto& [path, bytes] : files) {
            if (!path.starts_with("log/")) mixed.emplace_back(path, bytes);
        }
        disk.restore(mixed);
    };
    put_together({}, late);
    CHECK(opening_error(disk, {}, 9).code == RoomErrc::log_misplaced);
    CHECK(opening_error(disk, {}, 9).message().find("`adopt`") != std::string::npos);
    put_together(early, late);
    CHECK(opening_error(disk).code == RoomErrc::log_misplaced);
    CHECK(opening_error(disk, {.adopt = true}).code == RoomErrc::log_misplaced);
    put_together({}, late);
    {
        DiskRooms rooms{disk, {.adopt = true}, 9};
        CHECK(*listed(*rooms, "", 9) == std::vector<std::string>{"a", "b"});
        CHECK(text_of(rooms.room("a")) == "1|");
        CHECK(rooms.room("a").epoch == first_epoch);
        REQUIRE(!rooms->append("a", as_bytes("3")));
        const std::uint64_t three = flushed_at(*rooms, "a");
        CHECK(text_of(rooms.room("a")) == "1|3");
        // The other log was further than this one when "b" was saved.
        REQUIRE((!rooms->append("b", as_bytes("3")) && !flushed(*rooms)));
        CHECK(text_of(rooms.room("b")) == "1|3");
        rooms.reopen({});
        CHECK(text_of(rooms.room("a")) == "1|3");
        CHECK(text_of(rooms.room("b")) == "1|3");
        REQUIRE(!saved(*rooms, "a", parts({"13"}), three));
        REQUIRE(!flushed(*rooms));
        rooms.reopen();
        CHECK(text_of(rooms.room("a")) == "13|");
    }
    disk.restore(late);
    disk.put("rooms/log-of-these.room-log", Bytes(3));
    CHECK(opening_error(disk).code == RoomErrc::log_misplaced);
    CHECK(opening_error(disk).where == "rooms/log-of-these.room-log");
    CHECK(!opening_error(disk, {.adopt = true}));
    disk.restore(late);
    CHECK(!opening_error(disk));
    disk.put("rooms/61.unfinished", Bytes(3));
    CHECK(!opening_error(disk));
    CHECK(!disk.identity("rooms/61.unfinished"));
    disk.put("rooms/readme.room", {});
    CHECK(opening_error(disk).code == QueueErrc::foreign_file);
}

TEST_CASE("JournalRooms with an older copy of its log rejects newer snapshots",
          "[room][journal_rooms][fault]") {
    sim::Disk disk;
    sim::Disk::Image mixed;
    {
        DiskRooms rooms{disk};
        begin_room(rooms);
        mixed = disk.image();
        for (int i = 0; i < 9; ++i) REQUIRE(!rooms->append("a", as_bytes("x")));
        REQUIRE(!flushed(*rooms));
        REQUIRE(!saved(*rooms, "a", parts({"12xxxxxxxxx"}), rooms.room("a").position));
    }
    for (auto& [path, bytes] : mixed) {
        if (path == DiskRooms::file("a")) bytes = disk.contents(path);
    }
    disk.restore(mixed);
    DiskRooms rooms{disk};
    const PersistenceError error = loaded(*rooms, "a").error();
    CHECK(error.code == RoomErrc::snapshot_misplaced);
    CHECK(error.what == "the log is an older copy");
}

TEST_CASE("JournalRooms::open rejects a log with other records, and a second opening",
          "[room][journal_rooms][fault]") {
    sim::Disk disk;
    {
        auto journal = DiskJournal::open(disk, "log", small_log(1));
        REQUIRE((journal && journal->append(as_bytes("something")) && !journal->commit()));
    }
    const PersistenceError error = opening_error(disk);
    CHECK(error.code == RoomErrc::log_misplaced);
    CHECK(error.what == "operation 1 is not a record of rooms");
    sim::Disk other;
    DiskRooms rooms{other};
    auto journal = DiskJournal::open(other, "log2", small_log(2));
    REQUIRE(journal);
    const auto twice =
        JournalRooms<DiskJournal, sim::Disk>::open(other, "rooms", std::move(*journal));
    CHECK(twice.error().code == QueueErrc::already_locked);
}

TEST_CASE("JournalRooms on a full disk rejects changes, still loads rooms, and recovers",
          "[room][journal_rooms][fault]") {
    sim::Disk disk;
    DiskRooms rooms{disk};
    begin_room(rooms);
    disk.limit_bytes(disk.used_bytes());
    std::vector<std::string> taken{"2"};
    std::error_code refused;
    while (!refused) {
        const std::string update(300, static_cast<char>('a' + taken.size() % 26));
        refused = rooms->append("a", as_bytes(update));
        if (!refused) taken.push_back(update);
        REQUIRE(taken.size() < 1000);
    }
    CHECK(refused == std::errc::no_space_on_device);
    REQUIRE(!flushed(*rooms));
    const StoredRoom room = rooms.room("a");
    REQUIRE(room.updates.size() == taken.size());
    CHECK(saved(*rooms, "a", room.updates, room.position) == std::errc::no_space_on_device);
    CHECK(text_of(rooms.room("a")) == text_of(room));
    rooms.reopen();
    CHECK(text_of(rooms.room("a")) == text_of(room));
    disk.limit_bytes(~std::uint64_t{0});
    REQUIRE((!rooms->append("a", as_bytes("more")) && !flushed(*rooms)));
    CHECK(rooms.room("a").updates.size() == taken.size() + 1);
    REQUIRE(!saved(*rooms, "a", parts({"all"}), rooms.room("a").position));
    REQUIRE(!flushed(*rooms));
    rooms.reopen();
    CHECK(text_of(rooms.room("a")) == "all|");
}

TEST_CASE("JournalRooms retries the removal of an erased room's file",
          "[room][journal_rooms][fault]") {
    sim::Disk disk;
    DiskRooms rooms{disk};
    begin_room(rooms);
    REQUIRE(!rooms->erase("a"));
    // The commit writes and syncs; then the file is removed.
    disk.fail_at(disk.operations() + 3, std::make_error_code(std::errc::permission_denied));
    REQUIRE(!flushed(*rooms));
    CHECK(rooms->status().tidying == std::errc::permission_denied);
    CHECK(!disk.contents(rooms.file("a")).empty());
    CHECK(!*loaded(*rooms, "a"));
    SECTION("with the next flush") {
        REQUIRE(!flushed(*rooms));
        CHECK(!rooms->status().tidying);
        CHECK(disk.contents(rooms.file("a")).empty());
    }
    SECTION("after it is opened again") {
        rooms.reopen();
        CHECK(!*loaded(*rooms, "a"));
        REQUIRE(!flushed(*rooms));
        CHECK(disk.contents(rooms.file("a")).empty());
    }
    SECTION("but not when the room exists again") {
        REQUIRE((!rooms->reset("a", second_epoch) && !flushed(*rooms)));
        REQUIRE(!saved(*rooms, "a", parts({"n"}), rooms.room("a").position));
        REQUIRE(!flushed(*rooms));
        CHECK(text_of(rooms.room("a")) == "n|");
    }
}

TEST_CASE("JournalRooms removes the files of erased rooms also if one of them cannot be removed",
          "[room][journal_rooms][fault]") {
    sim::Disk disk;
    DiskRooms rooms{disk};
    for (const char* const id : {"a", "b", "c"}) begin_room(rooms, id);
    for (const char* const id : {"a", "b", "c"}) REQUIRE(!rooms->erase(id));
    // The commit writes and syncs; then the files are removed.
    disk.fail_at(disk.operations() + 3, std::make_error_code(std::errc::permission_denied));
    REQUIRE(!flushed(*rooms));
    CHECK(rooms->status().tidying == std::errc::permission_denied);
    CHECK(!disk.contents(rooms.file("a")).empty());
    for (const char* const id : {"b", "c"}) CHECK(disk.contents(rooms.file(id)).empty());
    REQUIRE(!flushed(*rooms));
    CHECK(!rooms->status().tidying);
    CHECK(disk.contents(rooms.file("a")).empty());
}

TEST_CASE("JournalRooms stores changes again after one failure of any operation of the disk",
          "[room][journal_rooms][fault]") {
    for (std::uint64_t failing = 1; failing <= 12; ++failing) {
        sim::Disk disk;
        DiskRooms rooms{disk};
        begin_room(rooms);
        begin_room(rooms, "b");
        disk.fail_at(disk.operations() + failing, std::make_error_code(std::errc::io_error));
        bool is_stored = false;
        for (int attempt = 0; attempt < 3 && !is_stored; ++attempt) {
            is_stored = !rooms->append("a", as_bytes("3")) && !flushed(*rooms);
        }
        INFO("operation " << failing);
        CHECK(is_stored);
        bool is_saved = false;
        for (int attempt = 0; attempt < 3 && !is_saved; ++attempt) {
            is_saved = !saved(*rooms, "b", parts({"1", "2"}), rooms.room("b").position) &&
                       !flushed(*rooms);
        }
        CHECK(is_saved);
        Random bits{Seed{failing}};
        disk.crash(bits);
        rooms.reopen();
        CHECK(text_of(rooms.room("a")).find('3') != std::string::npos);
        CHECK(text_of(rooms.room("b")) == "1,2|");
    }
}

TEST_CASE("JournalRooms with a damaged record reports its room, and serves all of them",
          "[room][journal_rooms][fault]") {
    sim::Disk disk;
    std::map<std::string, std::string> whole;  // the content, regardless of snapshots
    {
        DiskRooms rooms{disk};
        for (const char* id : {"quiet", "a", "b", "long"}) REQUIRE(!rooms->reset(id, first_epoch));
        for (int i = 0; i < 30; ++i) {
            const std::string id = i % 10 == 3 ? "long" : i % 3 == 0 ? "b" : "a";
            const std::string update =
                std::string(id == "long" ? 600 : 5, static_cast<char>('A' + i));
            REQUIRE(!rooms->append(id, as_bytes(update)));
            whole[id] += update + '|';
            REQUIRE(!flushed(*rooms));
            const StoredRoom now = rooms.room(id);
            // A snapshot with all updates, so that nothing depends on its file.
            if (i % 7 == 6) {
                std::vector<Bytes> all = now.snapshot;
                all.insert(all.end(), now.updates.begin(), now.updates.end());
                REQUIRE(!saved(*rooms, id, all, now.position));
            }
            if (i % 9 == 8) rooms.reopen();
        }
        REQUIRE((!rooms->erase("a") && !flushed(*rooms) && !rooms->reset("a", second_epoch)));
        REQUIRE((!rooms->append("a", as_bytes("new")) && !flushed(*rooms)));
        whole["a"] = "new|";
        REQUIRE((!rooms->reset("last", first_epoch) && !flushed(*rooms)));
        for (int i = 0; i < 3; ++i)
            REQUIRE((!rooms->append("b", as_bytes("z")) && !flushed(*rooms)));
        whole["b"] += "z|z|z|";
        whole["quiet"] = whole["last"] = "";
    }
    const sim::Disk::Image image = disk.image();
    std::size_t certain = 0;
    std::size_t possible = 0;
    for (const auto& [path, bytes] : image) {
        if (!path.ends_with(".journal")) continue;
        std::size_t used = bytes.size();
        while (used != 0 && bytes[used - 1] == std::byte{0}) --used;
        for (std::size_t at = journal_format::segment_header_bytes; at + 64 < used; at += 3) {
            Bytes damaged = bytes;
            damaged[at] ^= std::byte{16};
            disk.restore(image);
            disk.put(path, damaged);
            CAPTURE(path, at);
            DiskRooms rooms{disk};
            std::size_t reported = 0;
            for (const auto& [id, content] : whole) {
                CAPTURE(id);
                const auto found = loaded(*rooms, id);
                REQUIRE(found);
                std::string text;
                const bool is_there = found->has_value();
                if (is_there) {
                    for (const Bytes& u : (*found)->snapshot) text += std::string{as_text(u)} + '|';
                    for (const Bytes& u : (*found)->updates) text += std::string{as_text(u)} + '|';
                }
                const std::string why = is_there ? (*found)->loss.what : std::string{};
                if (!why.empty()) CHECK((*found)->loss.code == RoomErrc::record_damaged);
                reported += why.empty() ? 0U : 1U;
                certain += why == "a record of the room is damaged" ? 1U : 0U;
                possible += why.ends_with("none after it") ? 1U : 0U;
                // A room without content may be gone: its next client makes it again.
                if (text != content || (!is_there && !content.empty())) REQUIRE(!why.empty());
            }
            REQUIRE((reported == 0 || rooms->status().damaged_records != 0));
            // The report ends when the room is saved.
            for (const auto& [id, content] : whole) {
                const auto found = *loaded(*rooms, id);
                if (!found || !found->loss) continue;
                std::vector<Bytes> all = found->snapshot;
                all.insert(all.end(), found->updates.begin(), found->updates.end());
                REQUIRE(!saved(*rooms, id, all, found->position));
                CHECK(!rooms.room(id).loss);
            }
            REQUIRE(!flushed(*rooms));
            rooms.reopen();
            for (const auto& [id, content] : whole) {
                const auto found = *loaded(*rooms, id);
                CHECK((!found || !found->loss));
            }
        }
    }
    CHECK(certain > 100);
    CHECK(possible > 100);
}
