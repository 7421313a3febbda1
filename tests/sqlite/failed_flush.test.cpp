// SPDX-License-Identifier: MIT
// Goal: a ledger, a store, rooms and boards in SQLite store nothing after a failed flush until they are opened
// again. Method: a file system in which one flush fails.
#include <string>

#include <belay/sqlite/ledger.hpp>
#include <belay/sqlite/rooms.hpp>
#include <belay/sqlite/store.hpp>
#include <belay/sync.hpp>
#include "../../examples/whiteboard/boards.hpp"

#include "support/catch.hpp"
#include "support/room/persistence_calls.hpp"
#include "support/sqlite/failing_files.hpp"
#include "support/sync/text_codec.hpp"
#include "support/temporary_directory.hpp"

using namespace belay;
using namespace belay_test;

namespace {

/// Runs `change`, whose flush fails once, and then again.   Returns: both errors.
template <class Change>
std::pair<std::error_code, std::error_code> change_twice(const Change& change) {
    FailingFiles::answer = SQLITE_IOERR_FSYNC;
    FailingFiles::countdown = 0;
    const std::error_code first = change();
    FailingFiles::countdown = -1;
    return {first, change()};
}
constexpr auto both_must_reopen = [](const std::pair<std::error_code, std::error_code>& errors) {
    return errors.first == QueueErrc::must_reopen && errors.second == QueueErrc::must_reopen;
};

}  // namespace

TEST_CASE("sqlite::Rooms store nothing between a failed flush and the next opening",
          "[sqlite][rooms][fault]") {
    const FailingFiles files;
    const TemporaryDirectory dir;
    const std::string path = dir / "r";
    {
        auto rooms = sqlite::Rooms::open(path);
        REQUIRE(rooms);
        REQUIRE(!rooms->reset("a", Id{std::byte{1}}));
        REQUIRE_FALSE(flushed(*rooms));
        CHECK(both_must_reopen(change_twice([&]() -> std::error_code {
            REQUIRE(!rooms->append("a", as_bytes("one")));
            const PersistenceError error = flushed(*rooms);
            CHECK(error.message().find("supervisor") != std::string::npos);
            return error;
        })));
        CHECK(saved(*rooms, "a", {}, 1) == QueueErrc::must_reopen);
    }
    auto again = sqlite::Rooms::open(path);
    REQUIRE(again);
    REQUIRE(!again->append("a", as_bytes("two")));
    CHECK_FALSE(flushed(*again));
}

TEST_CASE("whiteboard::Boards store nothing between a failed flush and the next opening",
          "[sqlite][boards][fault]") {
    const FailingFiles files;
    const TemporaryDirectory dir;
    const std::string path = dir / "b";
    {
        auto boards = whiteboard::Boards::open(path);
        REQUIRE(boards);
        int user = 0;
        const bool one_statement = GENERATE(true, false);
        CHECK(both_must_reopen(change_twice([&] {
            const std::string name = "user" + std::to_string(++user);
            return one_statement ? boards->add_user(name) : boards->set_owner({"plan", name});
        })));
    }
    auto again = whiteboard::Boards::open(path);
    REQUIRE(again);
    CHECK_FALSE(again->add_user("ada"));
}

TEST_CASE("a sqlite::Store stores nothing between a failed flush and the next opening",
          "[sqlite][store][fault]") {
    const FailingFiles files;
    const TemporaryDirectory dir;
    const std::string path = dir / "s";
    std::uint8_t id = 0;
    const auto write = [&](auto& store) {
        const part::WriteMark mark{.operation = {std::byte{++id}}};
        return store->add({"s", "e" + std::to_string(id)}, "x", mark);
    };
    {
        auto store = sqlite::Store<TextCodec>::open(path);
        REQUIRE(store);
        CHECK(both_must_reopen(change_twice([&] { return write(store); })));
    }
    auto again = sqlite::Store<TextCodec>::open(path);
    REQUIRE(again);
    CHECK_FALSE(write(again));
}

TEST_CASE("a SyncProcessor reports a failed flush of its sqlite::Store to on_operation",
          "[sqlite][store][fault]") {
    using Op = Operation<std::string>;
    struct Observer {
        std::vector<std::error_code>* errors;
        void on_operation(const OperationReport<Op>& tried) const {
            if (tried.error) errors->push_back(tried.error);
        }
    };
    const FailingFiles files;
    const TemporaryDirectory dir;
    auto store = sqlite::Store<TextCodec>::open(dir / "s");
    REQUIRE(store);
    std::vector<std::error_code> errors;
    SyncProcessor processor{std::ref(*store), LastWriteWins{}, Observer{&errors}};
    const Op op{.id = Id{std::byte{1}},
                .stamp = {WallTime{Duration{1}}, 0, Id{std::byte{2}}},
                .action = AddElement<std::string>{"e", "x"}};
    CHECK(both_must_reopen(change_twice([&] {
        const auto result = processor.process_batch("s", std::vector{op});
        REQUIRE(result.failed_operations.size() == 1);
        CHECK(result.failed_operations[0].retryable);
        return result.failed_operations[0].error;
    })));
    REQUIRE(!errors.empty());
    CHECK(errors.back() == QueueErrc::must_reopen);
}

TEST_CASE("sqlite::Ledger stores nothing between a failed flush and the next opening",
          "[sqlite][ledger][fault]") {
    const FailingFiles files;
    const TemporaryDirectory dir;
    constexpr Id sender{std::byte{1}};
    const auto at = [](std::uint64_t applied) {
        return Progress{.journal = Id{std::byte{9}}, .attach = 1, .applied = applied, .check = 7};
    };
    const auto open = [&] {
        return sqlite::Ledger::open(dir / "l", [](sqlite3& db, const Id&, BytesView operation) {
            return sqlite::write(db, "INSERT INTO orders VALUES (?)", operation);
        });
    };
    std::uint64_t applied = 0;
    {
        auto ledger = open();
        REQUIRE(ledger);
        REQUIRE_FALSE(sqlite::write(ledger->connection(), "CREATE TABLE orders (text)"));
        REQUIRE_FALSE(ledger->adopt(sender, at(applied)));
        REQUIRE_FALSE(ledger->apply(sender, at(1), as_bytes("one")));
        CHECK(both_must_reopen(change_twice([&] { return ledger->commit(); })));
        CHECK(ledger->apply(sender, at(2), as_bytes("two")) == QueueErrc::must_reopen);
    }
    auto again = open();
    REQUIRE(again);
    REQUIRE(again->progress(sender));
    applied = again->progress(sender)->applied;
    REQUIRE_FALSE(again->apply(sender, at(applied + 1), as_bytes("the next")));
    CHECK_FALSE(again->commit());
}
