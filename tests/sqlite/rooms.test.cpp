// SPDX-License-Identifier: MIT
// Goal: sqlite::Rooms keeps rooms over restarts and SIGKILL, and reports the fault of its file.
// Method: MemoryRooms as its model, a killed child, foreign, later, damaged and full files.
#include <belay/sqlite/rooms.hpp>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include <belay/core/random.hpp>
#include <belay/room/memory_rooms.hpp>
#include <belay/room/on_thread.hpp>
#include <belay/room/persistence_check.hpp>

#include "support/catch.hpp"
#include "support/displacer.hpp"
#include "support/room/persistence_calls.hpp"
#include "support/sqlite/failing_files.hpp"
#include "support/sqlite/sql_program.hpp"
#include "support/temporary_directory.hpp"

using namespace belay;
using namespace belay_test;

namespace {

constexpr sqlite::RoomsOptions unflushed{.flushes_each = false};

sqlite::Rooms rooms_in(const std::string& path, sqlite::RoomsOptions options = unflushed) {
    auto rooms = sqlite::Rooms::open(path, options);
    INFO(rooms.error().message());
    REQUIRE(rooms);
    return std::move(*rooms);
}
sqlite::Error refused_rooms(const std::string& path) {
    const auto rooms = sqlite::Rooms::open(path, unflushed);
    REQUIRE_FALSE(rooms);
    return rooms.error();
}
Id epoch_of(std::uint64_t i) {
    Id id{};
    id[0] = static_cast<std::byte>(i);
    return id;
}

/// Returns the whole content.
template <class P>
std::string shown(P& rooms) {
    std::string text;
    const part::ListedRooms ids = listed(rooms, "", 100);
    for (const std::string& id : *ids) {
        const part::LoadedRoom room = loaded(rooms, id);
        INFO((room ? std::string{"no room"} : room.error().message()));
        REQUIRE((room && *room));
        text += id + "=" + std::to_string(static_cast<int>((*room)->epoch[0])) + "/" +
                std::to_string((*room)->position) + "/" + text_of(**room) + ";";
    }
    return text;
}

}  // namespace

TEST_CASE("check::persistence finds no fault in sqlite::Rooms, also on a thread",
          "[sqlite][rooms]") {
    const TemporaryDirectory dir;
    int count = 0;
    const auto make = [&] { return rooms_in(dir / std::to_string(++count)); };
    const auto reopen = [&] { return rooms_in(dir / std::to_string(count)); };
    const auto fault = check::persistence(make, reopen);
    if (fault) FAIL(to_string(fault->rule) << " in history " << fault->history);
    const auto on_thread = check::persistence([&] { return OnThread{make()}; },
                                              [&] { return OnThread{reopen()}; }, {.histories = 3});
    if (on_thread) FAIL(to_string(on_thread->rule) << " in history " << on_thread->history);
    for (const Meanwhile meanwhile : {Meanwhile::nothing, Meanwhile::copy}) {
        const Displacer displace{[&] { return dir / std::to_string(count); }, meanwhile};
        const auto displaced = check::persistence(make, reopen, [] {}, displace, {.histories = 0});
        if (displaced) FAIL(to_string(displaced->rule));
    }
}

TEST_CASE("sqlite::Rooms behaves like MemoryRooms, over restarts", "[sqlite][rooms]") {
    const TemporaryDirectory dir;
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        const std::string path = dir / std::to_string(seed);
        sqlite::Rooms rooms = rooms_in(path);
        MemoryRooms model;
        Random random{Seed{seed}};
        std::uint64_t last = 0;
        const auto flush = [&] {
            const part::FlushedRooms one = flush_of(rooms);
            REQUIRE((!one.error && one.positions == flush_of(model).positions));
            for (const auto& [id, position] : one.positions) last = std::max(last, position);
        };
        for (int step = 0; step < 120; ++step) {
            // Bytes of any kind; one id is the beginning of another.
            const std::string id{
                std::string_view{"\0ab\xff", 4}.substr(random() % 3, 1 + random() % 2)};
            const std::string text = std::to_string(step);
            switch (random() % 8) {
                case 0: {
                    REQUIRE(rooms.reset(id, epoch_of(seed + 1)) ==
                            model.reset(id, epoch_of(seed + 1)));
                    break;
                }
                case 1:
                    if (random() % 4 == 0) REQUIRE(rooms.erase(id) == model.erase(id));
                    break;
                case 2:
                    flush();
                    break;
                case 3: {
                    const std::uint64_t covers = last - random() % 4 % (last + 1);
                    const auto snapshot = parts({text, text});
                    REQUIRE(saved(rooms, id, snapshot, covers) ==
                            saved(model, id, snapshot, covers));
                    break;
                }
                case 4:
                    if (random() % 4 == 0) {
                        flush();
                        // The old storage is closed first, because it has the file open.
                        { const sqlite::Rooms gone = std::move(rooms); }
                        rooms = rooms_in(path);
                    }
                    break;
                default: {
                    REQUIRE(rooms.append(id, as_bytes(text)) == model.append(id, as_bytes(text)));
                }
            }
            REQUIRE(shown(rooms) == shown(model));
        }
    }
}

TEST_CASE("sqlite::Rooms keeps flushed changes when it is killed at any moment",
          "[sqlite][rooms]") {
    const TemporaryDirectory dir;
    for (int round = 0; round < 8; ++round) {
        const std::string path = dir / std::to_string(round);
        int ends[2];
        REQUIRE(::pipe(ends) == 0);
        const pid_t child = ::fork();
        REQUIRE(child >= 0);
        if (child == 0) {
            auto rooms = sqlite::Rooms::open(path, unflushed);
            if (!rooms) ::_exit(1);
            static_cast<void>(rooms->reset("a", epoch_of(1)));
            static_cast<void>(rooms->reset("b", epoch_of(2)));
            for (unsigned turn = 0;; ++turn) {
                const std::string text = std::to_string(turn);
                static_cast<void>(rooms->append("a", as_bytes(text)));
                static_cast<void>(rooms->append("b", as_bytes(text)));
                if (flushed(*rooms)) ::_exit(1);
                if (turn % 5 == 4) {
                    const auto room = loaded(*rooms, "a");
                    static_cast<void>(saved(*rooms, "a", parts({text}), (*room)->position));
                }
                if (::write(ends[1], &turn, sizeof turn) != sizeof turn) ::_exit(1);
            }
        }
        ::close(ends[1]);
        unsigned confirmed = 0;
        for (int i = 0; i <= 3 * round + 1; ++i) {
            REQUIRE(::read(ends[0], &confirmed, sizeof confirmed) == sizeof confirmed);
        }
        REQUIRE(::kill(child, SIGKILL) == 0);
        for (unsigned more = 0; ::read(ends[0], &more, sizeof more) == sizeof more;) {
            confirmed = more;
        }
        ::close(ends[0]);
        REQUIRE(::waitpid(child, nullptr, 0) == child);

        sqlite::Rooms rooms = rooms_in(path);
        const StoredRoom a = **loaded(rooms, "a");
        const StoredRoom b = **loaded(rooms, "b");
        // The changes of one turn are stored for both rooms, or for none.
        CHECK(b.updates.size() >= confirmed + 1);
        CHECK(b.updates.size() <= confirmed + 2);
        const std::string last = std::to_string(b.updates.size() - 1);
        CHECK(as_text(b.updates.back()) == last);
        CHECK(as_text(a.updates.empty() ? a.snapshot.back() : a.updates.back()) == last);
        for (std::size_t i = 0; i < b.updates.size(); ++i) {
            CHECK(as_text(b.updates[i]) == std::to_string(i));
        }
    }
}

TEST_CASE("sqlite::Rooms rejects files of other programs, and keeps them", "[sqlite][rooms]") {
    const TemporaryDirectory dir;
    run_sql(dir / "theirs", "CREATE TABLE mine (x); INSERT INTO mine VALUES (1)");
    CHECK(refused_rooms(dir / "theirs").code == QueueErrc::foreign_file);
    std::ofstream{dir / "text"} << std::string(5000, 'x');
    CHECK(refused_rooms(dir / "text").code == QueueErrc::foreign_file);
    { const sqlite::Rooms rooms = rooms_in(dir / "r"); }
    for (const std::string version : {"0", "2"}) {
        run_sql(dir / "r", "PRAGMA user_version=" + version);
        const sqlite::Error error = refused_rooms(dir / "r");
        CHECK(error.code == QueueErrc::other_version);
        CHECK(error.what ==
              "it has version " + version + ", and this program reads only version 1");
    }
    run_sql(dir / "r", "PRAGMA user_version=1");
    CHECK(sqlite::Rooms::open(dir / "r"));
    CHECK(refused_rooms("").code == QueueErrc::bad_options);
    CHECK(sqlite::Rooms::open(dir / "r", {.unflushed_bytes_max = 0}).error().code ==
          QueueErrc::bad_options);
    CHECK(refused_rooms(dir / "no" + "/r").code == std::errc::no_such_file_or_directory);
    const sqlite::Rooms open = rooms_in(dir / "open");
    CHECK(in_child([&] {
        const auto second = sqlite::Rooms::open(dir / "open");
        return !second && second.error().code == QueueErrc::already_locked;
    }));
}

TEST_CASE("sqlite3 copies a sqlite::Rooms when no program has it open, and reports a lock before",
          "[sqlite][rooms]") {
    const TemporaryDirectory dir;
    const std::string copies = "VACUUM INTO '" + (dir / "copy") + "'";
    {
        sqlite::Rooms rooms = rooms_in(dir / "r");
        REQUIRE(!rooms.reset("plan", Id{}));
        REQUIRE(!rooms.append("plan", as_bytes("an edit")));
        REQUIRE_FALSE(flushed(rooms));
        SqlProgram backup{dir / "r", 0};
        CHECK(backup.run(copies) == "error: database is locked");
    }
    SqlProgram backup{dir / "r", 0};
    CHECK(backup.run(copies) == "[]");
    sqlite::Rooms copy = rooms_in(dir / "copy");
    driver::Question<part::LoadedRoom> loaded;
    copy.load("plan", loaded.ask());
    const auto room = *loaded.take();
    REQUIRE((room && *room));
    CHECK((*room)->updates == std::vector<Bytes>{to_bytes(as_bytes("an edit"))});
}

TEST_CASE("sqlite::Rooms detects damage of a room, keeps the others, and can reset the room",
          "[sqlite][rooms]") {
    for (const std::string damage :
         {"UPDATE room SET epoch=x'00' WHERE id=x'61'", "UPDATE room SET covers=1 WHERE id=x'61'",
          "UPDATE room SET last=9 WHERE id=x'61'", "UPDATE room SET crc=1 WHERE id=x'61'",
          "UPDATE room SET parts=1 WHERE id=x'61'", "UPDATE room SET updates=0 WHERE id=x'61'",
          "UPDATE snapshot SET body=x'00' WHERE id=x'61'",
          "UPDATE snapshot SET number=7 WHERE id=x'61' AND number=0",
          "UPDATE snapshot SET crc=1 WHERE id=x'61'", "DELETE FROM snapshot WHERE number=1",
          "UPDATE room_update SET body=x'31' WHERE id=x'61'",
          "UPDATE room_update SET crc=1 WHERE id=x'61'",
          "UPDATE room_update SET position=90 WHERE id=x'61'",
          "DELETE FROM room_update WHERE id=x'61'",
          "UPDATE room_update SET id=x'61' WHERE id=x'62'"}) {
        INFO(damage);
        const TemporaryDirectory dir;
        {
            sqlite::Rooms rooms = rooms_in(dir / "r");
            REQUIRE(!rooms.reset("a", epoch_of(1)));
            REQUIRE(!rooms.append("a", as_bytes("1")));
            REQUIRE(!rooms.reset("b", epoch_of(2)));
            REQUIRE(!rooms.append("b", as_bytes("b")));
            REQUIRE(!saved(rooms, "a", parts({"o", "ne"}), flushed_at(rooms, "a")));
            REQUIRE(!rooms.append("a", as_bytes("2")));
            REQUIRE(!flushed(rooms));
        }
        run_sql(dir / "r", damage);
        sqlite::Rooms rooms = rooms_in(dir / "r");
        const part::LoadedRoom room = loaded(rooms, "a");
        REQUIRE_FALSE(room);
        CHECK(room.error().code == QueueErrc::corrupt);
        CHECK(room.error().where == dir / "r");
        if (damage.find("'62'") == std::string::npos) {
            CHECK(text_of(**loaded(rooms, "b")) == "|b");
        }
        REQUIRE(!rooms.reset("a", epoch_of(3)));
        REQUIRE(!rooms.append("a", as_bytes("new")));
        REQUIRE(!flushed(rooms));
        CHECK(text_of(**loaded(rooms, "a")) == "|new");
    }
}

TEST_CASE("sqlite::Rooms stores no update at a position that its room has passed",
          "[sqlite][rooms][regression]") {
    const TemporaryDirectory dir;
    {
        sqlite::Rooms rooms = rooms_in(dir / "r");
        REQUIRE(!rooms.reset("a", epoch_of(1)));
        REQUIRE(!rooms.append("a", as_bytes("1")));
        REQUIRE(!rooms.append("a", as_bytes("2")));
        REQUIRE(!saved(rooms, "a", parts({"12"}), flushed_at(rooms, "a")));
    }
    run_sql(dir / "r", "UPDATE past SET last=0");
    sqlite::Rooms rooms = rooms_in(dir / "r");
    REQUIRE(!rooms.append("a", as_bytes("3")));
    REQUIRE(!rooms.reset("b", epoch_of(2)));
    const PersistenceError error = flushed(rooms);
    CHECK(error.code == QueueErrc::corrupt);
    REQUIRE(error.rooms.size() == 1);
    CHECK(error.rooms[0].first == "a");
    CHECK(text_of(**loaded(rooms, "a")) == "12|");
    // Another room is stored, and so is a new history of this one.
    CHECK(text_of(**loaded(rooms, "b")) == "|");
    REQUIRE(!rooms.reset("a", epoch_of(3)));
    REQUIRE(!rooms.append("a", as_bytes("new")));
    CHECK(!flushed(rooms));
    CHECK(text_of(**loaded(rooms, "a")) == "|new");
}

TEST_CASE("sqlite::Rooms limits the bytes that wait for a flush", "[sqlite][rooms]") {
    const TemporaryDirectory dir;
    sqlite::Rooms rooms =
        rooms_in(dir / "r", {.flushes_each = false, .unflushed_bytes_max = 10'000});
    REQUIRE(!rooms.reset("a", epoch_of(1)));
    const std::string text(4'000, 'x');
    REQUIRE(!rooms.append("a", as_bytes(text)));
    REQUIRE(!rooms.append("a", as_bytes(text)));
    CHECK(rooms.append("a", as_bytes(text)) == RoomErrc::storage_busy);
    CHECK(rooms.append("a", as_bytes(std::string(20'000, 'x'))) == RoomErrc::storage_busy);
    REQUIRE(!flushed(rooms));
    CHECK(!rooms.append("a", as_bytes(text)));
    for (int i = 0; i < 200; ++i) static_cast<void>(rooms.erase("b"));
    CHECK(rooms.erase("b") == RoomErrc::storage_busy);
    CHECK(rooms.reset("b", epoch_of(2)) == RoomErrc::storage_busy);
    CHECK((*loaded(rooms, "a"))->updates.size() == 2);
}

TEST_CASE("sqlite::Rooms on a full disk keeps its rooms, and continues later", "[sqlite][rooms]") {
    const TemporaryDirectory dir;
    CHECK(in_child([&] {
        std::signal(SIGXFSZ, SIG_IGN);
        sqlite::Rooms rooms = rooms_in(dir / "r");
        const std::string text(10'000, 'x');
        if (rooms.reset("a", epoch_of(1)) || flushed(rooms)) return false;
        rlimit limit{256 << 10, RLIM_INFINITY};
        if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return false;
        std::size_t stored = 0;
        PersistenceError full;
        for (int i = 0; i < 100 && !full; ++i) {
            if (rooms.append("a", as_bytes(text))) return false;
            full = flushed(rooms);
            if (!full) ++stored;
        }
        if (!full || full.message().empty() || stored == 0) return false;
        const auto snapshot = parts({std::string(1 << 20, 'y')});
        const std::uint64_t position = (*loaded(rooms, "a"))->position;
        if (!saved(rooms, "a", snapshot, position)) return false;
        if ((*loaded(rooms, "a"))->updates.size() != stored) return false;
        limit.rlim_cur = RLIM_INFINITY;
        if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return false;
        if (saved(rooms, "a", snapshot, position)) return false;
        if (rooms.append("a", as_bytes("2")) || flushed(rooms)) return false;
        return (*loaded(rooms, "a"))->updates.size() == 1;
    }));
}
