// SPDX-License-Identifier: MIT
// Goal: sqlite::Store is a correct store, over restarts and SIGKILL, and reports the fault of its
// file. Method: the store check, a killed child, foreign, later, damaged and full files.
#include <belay/sqlite/store.hpp>

#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include <belay/sync/store_check.hpp>
#include <belay/sync/sync_processor.hpp>

#include "support/catch.hpp"
#include "support/displacer.hpp"
#include "support/sqlite/failing_files.hpp"
#include "support/sync/sync_rig.hpp"
#include "support/sync/text_codec.hpp"
#include "support/temporary_directory.hpp"

using namespace belay;
using namespace belay_test;

namespace {

using TextStore = sqlite::Store<TextCodec>;
constexpr sqlite::StoreOptions fast{.flushes_each = false};

TextStore store_in(const std::string& path, sqlite::StoreOptions options = fast) {
    auto store = TextStore::open(path, options);
    INFO(store.error().message());
    REQUIRE(store);
    return std::move(*store);
}
sqlite::Error refused_store(const std::string& path, sqlite::StoreOptions options = fast) {
    const auto store = TextStore::open(path, options);
    REQUIRE_FALSE(store);
    return store.error();
}

}  // namespace

TEST_CASE("check::store finds no fault in sqlite::Store", "[sqlite][store]") {
    const TemporaryDirectory dir;
    int count = 0;
    const auto make = [&] { return store_in(dir / std::to_string(++count)); };
    const auto reopen = [&] { return store_in(dir / std::to_string(count)); };
    const auto value = [](std::uint64_t i) {
        return i % 7 == 0 ? std::string(i % 3, '\0') + std::to_string(i) : std::to_string(i);
    };
    const auto fault = check::store(make, value, reopen, {.histories = 10, .steps = 150});
    if (fault) FAIL(to_string(fault->rule) << " in history " << fault->history);
    for (const Meanwhile meanwhile : {Meanwhile::nothing, Meanwhile::copy}) {
        const Displacer displace{[&] { return dir / std::to_string(count); }, meanwhile};
        const auto displaced = check::store(make, value, reopen, displace, {.histories = 0});
        if (displaced) FAIL(to_string(displaced->rule));
    }
}

TEST_CASE("sqlite::Store remembers a limited number of ids", "[sqlite][store]") {
    const TemporaryDirectory dir;
    sqlite::StoreOptions options = fast;
    options.ids_remembered = 10;
    std::vector<Id> ids;
    {
        TextStore store = store_in(dir / "s", options);
        auto body = [&]() -> std::error_code {
            for (int i = 0; i < 1034; ++i) {
                ids.push_back(fresh_id());
                if (const auto error = store.remember({stamp(1), ids.back(), 5})) return error;
            }
            return {};
        };
        REQUIRE_FALSE(store.transaction(body));
        CHECK(store.applied(ids[0]).value()->hash == 5);
        REQUIRE_FALSE(store.remember({stamp(1), fresh_id(), 5}));
        CHECK_FALSE(store.applied(ids[0]).value());
        CHECK_FALSE(store.applied(ids[1023]).value());
        CHECK(store.applied(ids[1025]).value()->hash == 5);
    }
    {
        // No id at all, and up to 1,024 more.
        options.ids_remembered = 0;
        TextStore none = store_in(dir / "none", options);
        const Id early = fresh_id();
        for (int i = 0; i < 1030; ++i) REQUIRE_FALSE(none.remember({stamp(1), fresh_id(), 5}));
        REQUIRE_FALSE(none.remember({stamp(1), early, 5}));
        for (int i = 0; i < 1030; ++i) REQUIRE_FALSE(none.remember({stamp(1), fresh_id(), 5}));
        CHECK_FALSE(none.applied(early).value());
        options.ids_remembered = 10;
    }
    TextStore again = store_in(dir / "s", options);
    for (int i = 0; i < 1025; ++i) REQUIRE_FALSE(again.remember({stamp(1), fresh_id(), 5}));
    CHECK_FALSE(again.applied(ids[1025]).value());
}

TEST_CASE("sqlite::Store finds the former version after an undone transaction", "[sqlite][store]") {
    const TemporaryDirectory dir;
    TextStore store = store_in(dir / "s");
    REQUIRE_FALSE(store.add({"s", "a"}, "1", {stamp(1), fresh_id(), 1}));
    const auto shows = [&](const char* value) {
        CHECK(store.read({"s", "a"}).value() == value);
        CHECK(store.find({"s", "a"})->presence == part::Presence::live);
    };
    shows("1");
    auto undone = [&] {
        REQUIRE_FALSE(store.update({"s", "a"}, "2", {stamp(2), fresh_id(), 1}));
        shows("2");
        return make_error_code(SyncErrc::store_failed);
    };
    CHECK(store.transaction(undone) == SyncErrc::store_failed);
    auto next = [&] {
        shows("1");
        return std::error_code{};
    };
    CHECK_FALSE(store.transaction(next));
    CHECK(store.find({"t", "a"})->presence == part::Presence::absent);
    CHECK(store.find({"s", "b"})->presence == part::Presence::absent);
    shows("1");
}

TEST_CASE(
    "an operation whose former id is its own does not affect others of a batch in sqlite::Store",
    "[sqlite][store][regression]") {
    const TemporaryDirectory dir;
    TextStore store = store_in(dir / "s");
    SyncProcessor processor{std::ref(store), LastWriteWins{}};
    Op its_own_former = add("b", "1", stamp(1));
    its_own_former.formerly = its_own_former.id;
    const Ops batch{add("a", "1", stamp(1)), its_own_former, add("c", "1", stamp(1))};
    for (int sent = 0; sent < 2; ++sent) {
        const auto result = processor.process_batch("s", batch);
        CHECK(result.synced_count == 2);
        REQUIRE(result.failed_operations.size() == 1);
        CHECK(result.failed_operations[0].error == SyncErrc::bad_operation);
    }
}

TEST_CASE("sqlite::Store is killed at any moment of a batch, and the batch is sent again",
          "[sqlite][store]") {
    const TemporaryDirectory dir;
    Ops batch;
    for (int i = 0; i < 60; ++i) {
        batch.push_back(i % 2 == 0 ? add(std::to_string(i / 2), "new", stamp(i + 1))
                                   : update(std::to_string(i / 2), "edited", stamp(i + 1)));
    }
    for (std::size_t dies_after = 0; dies_after < batch.size(); dies_after += 7) {
        const std::string path = dir / std::to_string(dies_after);
        // The process is killed in the middle of a transaction, after this many operations.
        struct KilledAfter : NoObserver {
            std::size_t left;
            explicit KilledAfter(std::size_t count) : left{count} {}
            void on_progress(const part::SyncProgress& progress) {
                if (progress.decided >= left) std::raise(SIGKILL);
            }
        };
        static_cast<void>(in_child([&] {
            TextStore store = store_in(path);
            SyncProcessor processor{std::ref(store), LastWriteWins{},
                                    SyncOptions{.transaction_operations = 3},
                                    KilledAfter{dies_after}, ManualWallTime{}};
            static_cast<void>(processor.process_batch("s", batch));
            return true;
        }));
        TextStore store = store_in(path);
        auto processor = processor_of(store, LastWriteWins{});
        CHECK(sums(processor.process_batch("s", batch), batch.size()) == "60 0 0");
        for (int i = 0; i < 30; ++i) {
            CHECK(state_text(store, std::to_string(i)) ==
                  "live " + std::to_string(2 * i + 2) + " edited");
        }
    }
}

TEST_CASE("sqlite::Store reads the tables of its format, and remembers replaced versions there",
          "[sqlite][store][golden]") {
    const TemporaryDirectory dir;
    run_sql(
        dir / "s",
        "CREATE TABLE element (session BLOB NOT NULL, id BLOB NOT NULL, crc INTEGER NOT NULL, "
        "wall INTEGER NOT NULL, counter INTEGER NOT NULL, origin BLOB NOT NULL, value BLOB, "
        "change INTEGER NOT NULL, PRIMARY KEY (session, id)) WITHOUT ROWID; CREATE INDEX "
        "tombstone ON element (wall) WHERE value IS NULL; CREATE INDEX changed ON element "
        "(session, change); CREATE TABLE applied (number INTEGER PRIMARY KEY, id BLOB NOT NULL "
        "UNIQUE, hash INTEGER NOT NULL, decision INTEGER NOT NULL DEFAULT 0); CREATE TABLE "
        "past (horizon INTEGER NOT NULL, store BLOB NOT NULL, forgotten INTEGER NOT NULL); "
        "INSERT INTO past VALUES (-77, x'0102030405060708090A0B0C0D0E0F10', 0); CREATE TABLE "
        "epoch (first INTEGER PRIMARY KEY, number INTEGER NOT NULL); INSERT INTO epoch VALUES "
        "(1, 77); CREATE TABLE replaced (number INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, "
        "crc INTEGER NOT NULL, wall INTEGER NOT NULL, counter INTEGER NOT NULL, origin BLOB "
        "NOT NULL, value BLOB); CREATE TABLE note (name BLOB PRIMARY KEY, crc INTEGER NOT NULL, "
        "value BLOB NOT NULL) WITHOUT ROWID; INSERT INTO note VALUES (x'6E00', 4101806527, "
        "x'0102'); INSERT INTO element VALUES (x'73', x'61', 1059431178, 5, 0, "
        "x'01000000000000000000000000000000', x'6F6C64', 1); INSERT INTO element VALUES "
        "(x'73', x'62', 31901976, 6, 1, x'02000000000000000000000000000000', NULL, 2); INSERT "
        "INTO applied VALUES (41, x'AA000000000000000000000000000000', 5, 1); INSERT INTO "
        "applied VALUES (42, x'AB000000000000000000000000000000', -1, 99); PRAGMA "
        "application_id=0x62656C73; PRAGMA user_version=6");
    Op op = update("a", "new", stamp(9, 2));
    op.saw = stamp(4, 4);
    for (int opened = 0; opened < 3; ++opened) {
        TextStore store = store_in(dir / "s");
        CHECK(store.horizon() == WallTime{Duration{-77}});
        CHECK(*store.applied(id_of(0xAA)).value() == part::AppliedMark{5, part::Decision::applied});
        CHECK(*store.applied(id_of(0xAB)).value() ==
              part::AppliedMark{~std::uint64_t{0}, part::Decision::unknown});
        CHECK_FALSE(store.replaced(id_of(0xAA))->has_value());
        CHECK(store.note({"n\0", 2}).value() == Bytes{std::byte{1}, std::byte{2}});
        CHECK(store.note("n")->empty());
        CHECK(store.find({"s", "b"})->stamp == stamp(6, 2, 1));
        CHECK(state_text(store, "a") == (opened == 0 ? "live 5 old" : "live 9 new"));
        auto processor = processor_of(store, LastWriteWins{});
        const auto result = processor.process_batch("s", Ops{op});
        CHECK(sums(result, 1) == "1 0 0");
        REQUIRE(result.overwrote.size() == 1);
        CHECK(result.overwrote[0].replaced ==
              part::ReplacedVersion<std::string>{stamp(5), std::string{"old"}});
    }
    run_sql(dir / "s", "UPDATE replaced SET value=x'00'; UPDATE note SET value=x'00'");
    TextStore store = store_in(dir / "s");
    CHECK(store.note({"n\0", 2}).error() == QueueErrc::corrupt);
    CHECK(store.replaced(op.id).error() == QueueErrc::corrupt);
    auto processor = processor_of(store, LastWriteWins{});
    CHECK(sums(processor.process_batch("s", Ops{op}), 1) == "1 0 0");  // it was applied before
}

TEST_CASE("sqlite::Store remembers a limited number of replaced versions", "[sqlite][store]") {
    const TemporaryDirectory dir;
    sqlite::StoreOptions options = fast;
    options.replaced_remembered = 0;
    CHECK(refused_store(dir / "s", options).code == QueueErrc::bad_options);
    options.replaced_remembered = 2;
    options.value_bytes_max = 0;
    CHECK(refused_store(dir / "s", options).code == QueueErrc::bad_options);
    options.value_bytes_max = fast.value_bytes_max;
    auto store = TextStore::open(dir / "s", options);
    REQUIRE(store);
    auto processor = processor_of(*store, LastWriteWins{});
    Ops edits{add("e", "v0", stamp(5, 5))};
    for (int i = 1; i <= 4; ++i) {
        edits.push_back(update("e", "v" + std::to_string(i), stamp(5 + i, 1)));
        edits.back().saw = stamp(4, 4);
    }
    edits.push_back(removal("e", stamp(20, 1)));
    edits.back().saw = stamp(4, 4);
    CHECK(processor.process_batch("s", edits).overwrote.size() == 5);
    const auto again = processor.process_batch("s", edits);
    CHECK(sums(again, 6) == "6 0 0");
    REQUIRE(again.overwrote.size() == 2);
    CHECK(again.overwrote[0].replaced.value == "v3");
    CHECK(again.overwrote[1].replaced.value == "v4");
}

TEST_CASE("sqlite::Store::changes_since detects that its file was restored from a copy",
          "[sqlite][store]") {
    const TemporaryDirectory dir;
    const auto write = [&](const std::string& path, int from, int to) {
        TextStore store = store_in(path);
        for (int i = from; i <= to; ++i) {
            REQUIRE_FALSE(store.add({"s", std::to_string(i)}, path, {stamp(i), fresh_id(), 1}));
        }
        return store.changes_since("s", {}, 100)->next;
    };
    const auto page_of = [&](const part::StoreCursor& since) {
        const auto page = store_in(dir / "s").changes_since("s", since, 100);
        REQUIRE(page);
        return *page;
    };
    const part::StoreCursor early = write(dir / "s", 1, 2);
    CHECK(early.epoch != 0);
    const part::StoreCursor later = write(dir / "s", 3, 4);
    CHECK(later.epoch != early.epoch);
    std::filesystem::copy_file(dir / "s", dir / "backup");
    const part::StoreCursor lost = write(dir / "s", 5, 6);
    std::filesystem::remove(dir / "s");
    std::filesystem::copy_file(dir / "backup", dir / "s");
    // Nothing was written since, so the cursor is ahead.
    CHECK(page_of(lost).other_history);
    const part::StoreCursor now = write(dir / "s", 15, 18);
    REQUIRE(now.store == lost.store);
    REQUIRE(now.changes > lost.changes);
    // A reader of the lost changes gets a copy. Readers of earlier changes continue.
    CHECK(page_of(lost).begins_copy);
    CHECK(page_of(lost).other_history);
    for (const part::StoreCursor& cursor : {early, later}) {
        const auto page = page_of(cursor);
        CHECK_FALSE(page.begins_copy);
        CHECK_FALSE(page.other_history);
        CHECK(page.changes.size() == 8 - cursor.changes);
        CHECK(page.next == part::StoreCursor{now.store, 8, cursor.copied_at, 8, now.epoch});
    }
    CHECK_FALSE(page_of({}).other_history);
    part::StoreCursor unknown = lost;
    unknown.epoch = 0;  // of a reader that keeps no epochs
    CHECK_FALSE(page_of(unknown).begins_copy);
}

TEST_CASE("sqlite::Store undoes the beginning of an epoch with its change", "[sqlite][store]") {
    const TemporaryDirectory dir;
    {
        TextStore store = store_in(dir / "s");
        const auto fails = [&] {
            const auto error = store.add({"s", "a"}, "1", {stamp(1), fresh_id(), 1});
            return error ? error : make_error_code(SyncErrc::store_failed);
        };
        CHECK(store.transaction(fails) == SyncErrc::store_failed);
        CHECK(store.changes_since("s", {}, 1)->next.epoch == 0);
        REQUIRE_FALSE(store.add({"s", "b"}, "1", {stamp(1), fresh_id(), 1}));
        CHECK(store.changes_since("s", {}, 1)->next.epoch != 0);
    }
    TextStore store = store_in(dir / "s");
    const part::StoreCursor cursor = store.changes_since("s", {}, 1)->next;
    CHECK(cursor.epoch != 0);
    CHECK_FALSE(store.changes_since("s", cursor, 1)->begins_copy);
}

TEST_CASE("sqlite::Store::changes_since and for_each list all elements except a damaged one",
          "[sqlite][store]") {
    const TemporaryDirectory dir;
    {
        TextStore store = store_in(dir / "s");
        for (const char* const id : {"a", "b", "c"}) {
            REQUIRE_FALSE(store.add({"s", id}, "1", {stamp(1), fresh_id(), 1}));
        }
    }
    run_sql(dir / "s", "UPDATE element SET wall=9223372036854775807 WHERE id=x'62'");
    TextStore store = store_in(dir / "s");
    const auto page = store.changes_since("s", {}, 10);
    REQUIRE(page);
    REQUIRE(page->changes.size() == 3);
    CHECK(page->changes[1] ==
          part::ElementChange<std::string>{"b", Stamp{}, std::nullopt, QueueErrc::corrupt});
    CHECK(page->changes[2].value == "1");
    CHECK_FALSE(page->more);
    std::string ids;
    CHECK(store.for_each("s", [&](std::string_view id, auto&&...) { ids += id; }) ==
          QueueErrc::corrupt);
    CHECK(ids == "ac");
}

TEST_CASE("sqlite::Store::changes_since lists a value that its codec rejects alone, with an error",
          "[sqlite][store]") {
    const TemporaryDirectory dir;
    TextStore store = store_in(dir / "s");
    REQUIRE_FALSE(store.add({"s", "a"}, "undecodable", {stamp(1), fresh_id(), 1}));
    REQUIRE_FALSE(store.add({"s", "b"}, "2", {stamp(2), fresh_id(), 1}));
    const auto page = store.changes_since("s", {}, 10);
    REQUIRE(page);
    REQUIRE(page->changes.size() == 2);
    CHECK(page->changes[0] ==
          part::ElementChange<std::string>{"a", stamp(1), std::nullopt, QueueErrc::corrupt});
    CHECK(page->changes[1].value == "2");
    REQUIRE_FALSE(store.add({"s", "a"}, "1", {stamp(3), fresh_id(), 1}));
    const auto next = store.changes_since("s", page->next, 10);
    REQUIRE(next);
    REQUIRE(next->changes.size() == 1);
    CHECK(next->changes[0].value == "1");
}

TEST_CASE("sqlite::Store rejects files of other programs, and keeps them", "[sqlite][store]") {
    const TemporaryDirectory dir;
    run_sql(dir / "theirs", "CREATE TABLE mine (x); INSERT INTO mine VALUES (1)");
    CHECK(refused_store(dir / "theirs").code == QueueErrc::foreign_file);
    std::ofstream{dir / "text"} << std::string(5000, 'x');
    CHECK(refused_store(dir / "text").code == QueueErrc::foreign_file);
    // The file of a queue is no store.
    run_sql(dir / "q",
            "CREATE TABLE queue (x); PRAGMA application_id=0x62656C71; "
            "PRAGMA user_version=1");
    CHECK(refused_store(dir / "q").code == QueueErrc::foreign_file);
    CHECK(refused_store("").code == QueueErrc::bad_options);
    sqlite::StoreOptions bad = fast;
    bad.value_bytes_max = 2'000'000'000;
    CHECK(refused_store(dir / "s", bad).code == QueueErrc::bad_options);
}

TEST_CASE("sqlite::Store rejects a file in another version of its format, and keeps it",
          "[sqlite][store]") {
    const TemporaryDirectory dir;
    {
        TextStore store = store_in(dir / "s");
        REQUIRE_FALSE(store.add({"s", "a"}, "1", {stamp(1), fresh_id(), 1}));
    }
    for (const std::string version : {"0", "1", "5", "7"}) {
        run_sql(dir / "s", "PRAGMA user_version=" + version);
        const sqlite::Error error = refused_store(dir / "s");
        CHECK(error.code == QueueErrc::other_version);
        CHECK(error.message() ==
              dir / "s" + ": the store has another version of its format (it has version " +
                  version + ", and this program reads only version 6): " +
                  "open it with the version of belay that wrote it, or move it away to begin a "
                  "new one.");
    }
    run_sql(dir / "s", "PRAGMA user_version=6");
    TextStore store = store_in(dir / "s");
    CHECK(state_text(store, "a") == "live 1 1");
}

TEST_CASE("sqlite::Store can be open once", "[sqlite][store]") {
    const TemporaryDirectory dir;
    const TextStore store = store_in(dir / "s");
    CHECK(in_child([&] {
        const auto second = TextStore::open(dir / "s");
        return !second && second.error().code == QueueErrc::already_locked &&
               second.error().message().find("the store is already open") != std::string::npos;
    }));
}

TEST_CASE("sqlite::Store detects damage of an element", "[sqlite][store]") {
    for (const std::string change :
         {"value=x'00'", "value=NULL", "wall=6", "counter=1", "origin=x'00'",
          "origin=x'02000000000000000000000000000000'", "crc=1", "id=x'66'", "session=x'74'"}) {
        const TemporaryDirectory dir;
        {
            TextStore store = store_in(dir / "s");
            REQUIRE_FALSE(store.add({"s", "e"}, "value", {stamp(5), fresh_id(), 1}));
        }
        run_sql(dir / "s", "UPDATE element SET " + change);
        INFO(change);
        TextStore store = store_in(dir / "s");
        const part::ElementKey key{change[0] == 's' ? "t" : "s", change[0] == 'i' ? "f" : "e"};
        CHECK(store.find(key).error() == QueueErrc::corrupt);
        CHECK(store.read(key).error() == QueueErrc::corrupt);
        CHECK(store.for_each(key.session, [](auto&&...) {}) == QueueErrc::corrupt);
        auto processor = processor_of(store, LastWriteWins{});
        const SyncResult result =
            processor.process_batch(key.session, Ops{update(std::string{key.id}, "new", stamp(9))});
        REQUIRE(result.failed_count == 1);
        // The damage is in this store, so the author keeps the edit.
        CHECK(result.failed_operations[0].kept);
    }
}

TEST_CASE("sqlite::Store::for_each visits the live elements of a session, with their stamps",
          "[sqlite][store]") {
    const TemporaryDirectory dir;
    TextStore store = store_in(dir / "s");
    auto processor = processor_of(store, LastWriteWins{});
    const std::string strange{"nul \0 inside", 12};
    REQUIRE(processor
                .process_batch("s", Ops{add("b", strange, stamp(1)), add("a", "", stamp(2, 3)),
                                        add("gone", "x", stamp(3)), removal("gone", stamp(4))})
                .success);
    REQUIRE(processor.process_batch("t", Ops{add("other", "x", stamp(5))}).success);
    std::string all;
    const auto visit = [&](std::string_view id, const std::string& value, const Stamp& at) {
        all += std::string{id} + "=" + value + (at == stamp(1) ? " at 1; " : "; ");
        CHECK(store.find({"s", id})->stamp == at);
    };
    CHECK_FALSE(store.for_each("s", visit));
    CHECK(all == "a=; b=" + strange + " at 1; ");
    all.clear();
    CHECK_FALSE(store.for_each("nobody's", visit));
    CHECK(all.empty());
    // A value that cannot be read ends the visit, with an error.
    REQUIRE_FALSE(store.add({"s", "c"}, "undecodable", {stamp(9), fresh_id(), 1}));
    CHECK(store.for_each("s", visit) == QueueErrc::corrupt);
    CHECK(all == "a=; b=" + strange + " at 1; ");
}

TEST_CASE("sqlite::Store::for_each that throws leaves the store usable", "[sqlite][store][fault]") {
    const TemporaryDirectory dir;
    TextStore store = store_in(dir / "s");
    auto processor = processor_of(store, LastWriteWins{});
    REQUIRE(processor.process_batch("s", Ops{add("a", "1", stamp(1)), add("b", "2", stamp(2))})
                .success);
    int visits = 0;
    const auto throws = [&](std::string_view, const std::string&, const Stamp&) {
        ++visits;
        throw std::runtime_error{"visit"};
    };
    CHECK_THROWS_AS(store.for_each("s", throws), std::runtime_error);
    CHECK(visits == 1);
    // A read that is still open would prevent the flush, and hide the write from a second reader.
    REQUIRE(processor.process_batch("s", Ops{add("c", "3", stamp(3))}).success);
    std::string all;
    CHECK_FALSE(store.for_each(
        "s", [&](std::string_view id, const std::string&, const Stamp&) { all += id; }));
    CHECK(all == "abc");
}

TEST_CASE("sqlite::Store rejects values that its codec does not accept", "[sqlite][store]") {
    const TemporaryDirectory dir;
    sqlite::StoreOptions options = fast;
    options.value_bytes_max = 20;
    TextStore store = store_in(dir / "s", options);
    auto processor = processor_of(store, LastWriteWins{});
    const SyncResult result = processor.process_batch(
        "s", Ops{add("a", "unencodable", stamp(1)), add("b", std::string(20, 'x'), stamp(2)),
                 add("c", std::string(21, 'x'), stamp(3)), add("d", "undecodable", stamp(4))});
    REQUIRE(sums(result, 4) == "2 0 2");
    CHECK(result.failed_operations[0].error == SyncErrc::bad_operation);
    CHECK(result.failed_operations[1].error == SyncErrc::bad_operation);
    CHECK(store.read({"s", "d"}).error() == QueueErrc::corrupt);
}

TEST_CASE("sqlite::Store rejects a value whose codec throws, and keeps the rest of the batch",
          "[sqlite][store][regression]") {
    struct ThrowingCodec : TextCodec {
        bool encode(const std::string& text, Bytes& into) const {
            if (text == "bad") throw std::runtime_error{"the codec's own"};
            return TextCodec::encode(text, into);
        }
    };
    const TemporaryDirectory dir;
    auto store = sqlite::Store<ThrowingCodec>::open(dir / "s", fast);
    REQUIRE(store);
    auto processor = processor_of(*store, LastWriteWins{});
    const SyncResult result =
        processor.process_batch("s", Ops{add("a", "bad", stamp(1)), add("b", "good", stamp(2))});
    REQUIRE(sums(result, 2) == "1 0 1");
    CHECK(result.failed_operations[0].error == SyncErrc::bad_operation);
    CHECK(store->read({"s", "b"}).value() == "good");
}

TEST_CASE("sqlite::Store writes nothing more when a failed read has ended its transaction",
          "[sqlite][store]") {
    const TemporaryDirectory dir;
    TextStore store = store_in(dir / "s");
    const part::WriteMark before{stamp(1), fresh_id(), 5};
    const part::WriteMark after{stamp(2), fresh_id(), 5};
    REQUIRE_FALSE(store.add({"s", "long"}, std::string(500'000, 'x'), before));
    std::error_code written;
    auto body = [&]() -> std::error_code {
        // Without memory, SQLite rolls back the transaction when it cannot read.
        sqlite3_hard_heap_limit64(1);
        const auto found = store.find({"s", "long"});
        sqlite3_hard_heap_limit64(0);
        CHECK_FALSE(found);
        written = store.add({"s", "b"}, "1", after);
        return {};
    };
    CHECK(store.transaction(body));
    CHECK(written);
    CHECK(state_text(store, "b") == "absent");
    CHECK_FALSE(store.applied(after.operation).value());
    REQUIRE_FALSE(store.add({"s", "b"}, "1", after));
}

TEST_CASE("sqlite::Store on a full disk keeps its elements, and continues when it has space",
          "[sqlite][store]") {
    const TemporaryDirectory dir;
    CHECK(in_child([&] {
        std::signal(SIGXFSZ, SIG_IGN);
        TextStore store = store_in(dir / "s");
        auto processor = processor_of(store, LastWriteWins{}, {.transaction_operations = 10});
        rlimit limit{256 << 10, RLIM_INFINITY};
        if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return false;
        Ops batch;
        for (int i = 0; i < 100; ++i) {
            batch.push_back(add(std::to_string(i), std::string(10'000, 'x'), stamp(i + 1)));
        }
        const SyncResult full = processor.process_batch("s", batch);
        if (full.failed_count == 0 || full.synced_count == 0) return false;
        for (const auto& failed : full.failed_operations) {
            if (!failed.retryable) return false;
        }
        for (std::size_t i = 0; i < batch.size(); ++i) {
            const bool there = state_text(store, std::to_string(i)) != "absent";
            if (there != (i < full.synced_count)) return false;
        }
        limit.rlim_cur = RLIM_INFINITY;
        if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return false;
        return processor.process_batch("s", batch).success;
    }));
}

TEST_CASE("sqlite::Store::for_each visits all elements except those that its codec rejects",
          "[sqlite][store]") {
    const TemporaryDirectory dir;
    TextStore store = store_in(dir / "s");
    for (const char* const id : {"a", "c"}) {
        REQUIRE_FALSE(store.add({"s", id}, id, {stamp(1), fresh_id(), 1}));
    }
    REQUIRE_FALSE(store.add({"s", "b"}, "undecodable", {stamp(2), fresh_id(), 1}));
    std::string all;
    CHECK(store.for_each("s", [&](std::string_view id, const std::string&, const Stamp&) {
        all += id;
    }) == QueueErrc::corrupt);
    CHECK(all == "ac");
}
