// SPDX-License-Identifier: MIT
// Goal: values in the local store of a Replica that the codec of a later program rejects hold back
// no other element, and the store does not grow with the number of edits. Method: a device with a
// sqlite::Store, before and after an update, and with many edits of one element.
#include <belay/sync/replica.hpp>

#include <filesystem>
#include <map>

#include <belay/journal/journal.hpp>
#include <belay/sim/disk.hpp>
#include <belay/sqlite/store.hpp>

#include "support/catch.hpp"
#include "support/sqlite/failing_files.hpp"
#include "support/sync/sync_rig.hpp"
#include "support/sync/text_codec.hpp"
#include "support/temporary_directory.hpp"

using namespace belay;
using namespace belay_test;

TEST_CASE("Replica syncs and edits the elements of a sqlite::Store whose values it cannot read",
          "[sqlite][replica]") {
    using LocalStore = sqlite::Store<ChangedCodec>;
    const TemporaryDirectory dir;
    sim::Disk disk;
    Memory server_store;
    SyncProcessor server{std::ref(server_store), LastWriteWins{}};
    const auto run = [&](const ChangedCodec& codec, auto body) {
        auto journal = Journal<sim::Disk>::open(disk, "device");
        auto copy = LocalStore::open(dir / "copy", {.flushes_each = false}, codec);
        REQUIRE(journal);
        REQUIRE(copy);
        Replica device{std::move(*journal), std::move(*copy), codec, {.session = "s"}};
        REQUIRE_FALSE(device.load());
        body(device);
    };
    run({}, [&](auto& device) {
        for (const char* const id : {"a", "b", "c"}) {
            REQUIRE(device.edit(AddElement{id, "old " + std::string{id}}));
        }
        REQUIRE(device.edit(AddElement{"d", std::string{"new d"}}));
        REQUIRE_FALSE(device.sync(server).error);
    });
    const Stamp now = server_store.find({"s", "a"})->stamp;
    Op other = update("a", "new a", {now.wall + Duration{1}, 0, id_of(99)});
    REQUIRE(server.process_batch("s", {&other, 1}).success);
    run({"old"}, [&](auto& device) {
        // Another device has replaced "a", and this one replaces "b".
        const auto id = device.edit(UpdateElement{"b", std::string{"new b"}});
        REQUIRE(id);
        const auto report = device.sync(server);
        CHECK_FALSE(report.error);
        REQUIRE(report.replaced.size() == 1);
        CHECK(report.replaced[0].mine.id == "a");
        CHECK(report.replaced[0].mine.error == SyncErrc::unreadable);
        CHECK(report.replaced[0].now.value == "new a");
        std::map<std::string, std::string> shown;
        const auto error = device.for_each(
            [&](std::string_view of, const std::string& text) { shown.emplace(of, text); });
        CHECK(error == QueueErrc::corrupt);  // "c"
        CHECK(shown ==
              std::map<std::string, std::string>{{"a", "new a"}, {"b", "new b"}, {"d", "new d"}});
        CHECK(device.waiting() == 0);
    });
    CHECK(server_store.read({"s", "b"}).value() == "new b");
}

TEST_CASE("A damaged element of a sqlite::Store stops the sync of no other element",
          "[sqlite][replica][regression]") {
    using TextStore = sqlite::Store<TextCodec>;
    const TemporaryDirectory dir;
    sim::Disk disk;
    Random bits{Seed{1}};
    HybridClock author{make_id(bits)};
    const auto run = [&](auto body) {
        auto journal = Journal<sim::Disk>::open(disk, "device");
        auto copy = TextStore::open(dir / "copy", {.flushes_each = false});
        auto store = TextStore::open(dir / "server", {.flushes_each = false});
        REQUIRE((journal && copy && store));
        SyncProcessor server{std::ref(*store), LastWriteWins{}};
        Replica device{std::move(*journal), std::move(*copy), TextCodec{}, {.session = "s"}};
        REQUIRE_FALSE(device.load());
        body(device, server);
    };
    const auto write = [&](auto& server, const char* id, const char* text) {
        const Stamp seen = server.store().find({"s", id})->stamp;
        Op edit = update(id, text, author.stamp_above(seen).value());
        edit.saw = seen;
        REQUIRE(server.process_batch("s", {&edit, 1}).success);
    };
    run([&](auto& device, auto& server) {
        for (const char* const id : {"a", "b", "c"}) write(server, id, "1");
        REQUIRE_FALSE(device.sync(server).error);
    });
    const char* const damage = "UPDATE element SET wall=9223372036854775807 WHERE id=x'61'";
    SECTION("on the device") {
        run_sql(dir / "copy", damage);
        run([&](auto& device, auto& server) {
            CHECK(device.read("a").error() == QueueErrc::corrupt);
            write(server, "b", "2");
            CHECK_FALSE(device.sync(server).error);
            CHECK(device.read("b").value() == "2");
            const bool edits = GENERATE(false, true);
            if (edits) {
                REQUIRE(device.edit(UpdateElement{"a", std::string{"3"}}));
            } else {
                write(server, "a", "3");
            }
            const auto report = device.sync(server);
            CHECK_FALSE(report.error);
            CHECK(report.overwrote.size() == (edits ? 1 : 0));
            CHECK(device.read("a").value() == "3");
            CHECK(device.waiting() == 0);
        });
    }
    SECTION("on the device, whose other elements are gone on the server") {
        run_sql(dir / "copy", damage);
        run_sql(dir / "server", "DELETE FROM element WHERE id=x'62'; UPDATE past SET forgotten=9");
        run([&](auto& device, auto& server) {
            for (int i = 0; i < 10; ++i) write(server, "d", "1");
            const auto report = device.sync(server);
            CHECK_FALSE(report.error);
            CHECK(report.copied);
            CHECK(device.read("a").value() == "1");
            CHECK_FALSE(device.read("b").value());
        });
    }
    SECTION("on the server") {
        run_sql(dir / "server", damage);
        run([&](auto& device, auto& server) {
            REQUIRE(device.edit(UpdateElement{"b", std::string{"2"}}));
            const auto report = device.sync(server);
            CHECK_FALSE(report.error);
            CHECK(report.synced == 1);
            // A new device gets all others.
            Memory copy;
            sim::Disk other;
            auto journal = Journal<sim::Disk>::open(other, "device");
            Replica tablet{std::move(*journal), std::ref(copy), TextCodec{}, {.session = "s"}};
            REQUIRE_FALSE(tablet.load());
            const auto first = tablet.sync(server);
            CHECK_FALSE(first.error);
            REQUIRE(first.unreadable.size() == 1);
            CHECK(first.unreadable[0].error == QueueErrc::corrupt);
            CHECK(tablet.read("b").value() == "2");
            CHECK(tablet.read("c").value() == "1");
            // The element's author keeps its edit, because the server cannot decide it.
            REQUIRE(tablet.edit(UpdateElement{"a", std::string{"2"}}));
            CHECK(tablet.sync(server).kept.size() == 1);
        });
    }
}

TEST_CASE("Replica leaves a sqlite::Store of 64 KiB after 20,000 edits of one element",
          "[sqlite][replica][regression]") {
    const TemporaryDirectory dir;
    const std::string path = dir / "copy";
    sim::Disk disk;
    Memory server_store;
    SyncProcessor server{std::ref(server_store), LastWriteWins{}};
    auto journal = Journal<sim::Disk>::open(disk, "device");
    REQUIRE(journal);
    {
        auto copy = sqlite::Store<TextCodec>::open(path, {.flushes_each = false});
        REQUIRE(copy);
        Replica device{std::ref(*journal), std::ref(*copy), TextCodec{}, {.session = "s"}};
        REQUIRE_FALSE(device.load());
        for (int i = 0; i < 20'000; ++i) {
            if (!device.edit(UpdateElement{"a", std::to_string(i)})) FAIL("edit " << i);
            // Each sync is one of a phone that is online; the last 10,000 edits are one batch.
            if (i < 10'000 && device.sync(server).error) FAIL("sync " << i);
        }
        REQUIRE_FALSE(device.sync(server).error);
        REQUIRE(device.waiting() == 0);
    }
    run_sql(path, "VACUUM");
    CHECK(std::filesystem::file_size(path) <= 64 << 10);
    // One element, one note, and no id of an operation: otherwise a statement fails.
    run_sql(path,
            "CREATE TEMP TABLE n (c CHECK (c = 101)); INSERT INTO n SELECT 100 * (SELECT count(*) "
            "FROM element) + (SELECT count(*) FROM note) + 10 * (SELECT count(*) FROM applied)");
}
