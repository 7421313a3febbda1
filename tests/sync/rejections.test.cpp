// SPDX-License-Identifier: MIT
// Goal: a rejected operation is not lost. Method: a store that answers each error code at each
// call, and clients that act exactly as the page requires; limits and times of pending operations;
// operations that are stamped anew.
#include <belay/sync/operation.hpp>

#include <set>

#include <belay/call/policies.hpp>
#include <belay/queue/queue_errc.hpp>
#include <belay/sync/hybrid_clock.hpp>
#include <belay/sync/sync_processor.hpp>

#include "support/call/async_sleeper.hpp"
#include "support/catch.hpp"
#include "support/sync/sync_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

// ---- every error at every call ------------------------------------------------------------------

namespace {

/// A MemoryStore one of whose calls returns an error, once or always.
struct RefusingStore {
    using operation_type = Op;
    enum class At {
        find,
        read,
        add,
        update,
        remove,
        remember,
        applied,
        replaced,
        expire,
        begin,
        commit
    };

    Result<part::ElementState> find(const part::ElementKey& key) {
        if (refuses(At::find)) return error;
        return store.find(key);
    }
    Result<std::optional<std::string>> read(const part::ElementKey& key) {
        if (refuses(At::read)) return error;
        return store.read(key);
    }
    std::error_code add(const part::ElementKey& key, const std::string& value,
                        const part::WriteMark& mark) {
        return write(At::add, key,
                     [=](Memory& in, const auto& to) { return in.add(to, value, mark); });
    }
    std::error_code update(const part::ElementKey& key, const std::string& value,
                           const part::WriteMark& mark) {
        return write(At::update, key,
                     [=](Memory& in, const auto& to) { return in.update(to, value, mark); });
    }
    std::error_code remove(const part::ElementKey& key, const part::WriteMark& mark) {
        return write(At::remove, key,
                     [=](Memory& in, const auto& to) { return in.remove(to, mark); });
    }
    std::error_code remember(const part::WriteMark& mark) {
        return write(At::remember, {}, [=](Memory& in, const auto&) { return in.remember(mark); });
    }
    Result<std::optional<part::AppliedMark>> applied(const Id& id) {
        if (refuses(At::applied)) return error;
        return store.applied(id);
    }
    Result<std::optional<part::ReplacedVersion<std::string>>> replaced(const Id& id) {
        if (refuses(At::replaced)) return error;
        return store.replaced(id);
    }
    std::error_code expire(WallTime now) { return refuses(At::expire) ? error : store.expire(now); }
    [[nodiscard]] WallTime horizon() const noexcept { return store.horizon(); }
    std::error_code transaction(auto& body) {
        if (refuses(At::begin)) return error;
        const std::size_t before = writes.size();
        const std::error_code failed = body();
        if (!failed && !refuses(At::commit)) return {};
        writes.resize(before);
        store = Memory{};
        for (const Write& one : writes) REQUIRE(!one(store));
        return failed ? failed : error;
    }

    using Write = std::function<std::error_code(Memory&)>;
    Memory store{};
    std::vector<Write> writes{};  // all writes, by which the store can be made again
    At at = At::find;
    std::error_code error{};
    int times = 0;

private:
    template <class Do>
    std::error_code write(At call, const part::ElementKey& key, Do does) {
        if (refuses(call)) return error;
        const auto one = [=, session = std::string{key.session},
                          id = std::string{key.id}](Memory& in) {
            return does(in, part::ElementKey{session, id});
        };
        const std::error_code failed = one(store);
        if (!failed) writes.push_back(one);
        return failed;
    }
    bool refuses(At call) {
        if (call != at || times == 0) return false;
        --times;
        return true;
    }
};

/// A client that keeps only the operations that the page requires it to keep.
struct FaithfulClient {
    Ops journal{};
    Ops listed{};  // operations that can never be applied, for the application

    template <class Result>
    void read(const Result& result) {
        Ops keeps;
        for (const auto& failed : result.failed_operations) {
            (failed.retryable ? keeps : listed).push_back(failed.operation);
        }
        for (const auto& conflict : result.conflicts) {
            if (!conflict.resolved) keeps.push_back(conflict.operation);
        }
        journal.clear();
        journal = std::move(keeps);
    }
    [[nodiscard]] bool has(const Op& op) const {
        return std::find(journal.begin(), journal.end(), op) != journal.end() ||
               std::find(listed.begin(), listed.end(), op) != listed.end();
    }
};

}  // namespace

TEST_CASE(
    "A rejected edit is not lost: after every error at every call each edit is still somewhere",
    "[sync][rejections]") {
    using At = RefusingStore::At;
    std::size_t refused = 0;
    for (const std::error_code& error : every_error()) {
        for (const At at : {At::find, At::read, At::add, At::update, At::remove, At::remember,
                            At::applied, At::replaced, At::expire, At::begin, At::commit}) {
            for (const int times : {1, 2, 1000}) {
                INFO(error.message() << " at " << static_cast<int>(at) << ", " << times);
                RefusingStore store;
                const auto merge = [](const auto& sides) {
                    return sides.operation.kind() == OperationKind::remove
                               ? Resolution<std::string>::keep_remote()
                               : Resolution<std::string>::merged(sides.operation.value());
                };
                auto processor = processor_of(store, merge, {.transaction_operations = 3});
                REQUIRE(
                    processor
                        .process_batch("s", Ops{add("b", "0", stamp(5)), add("c", "0", stamp(5))})
                        .success);
                Op seen = update("c", "4", stamp(4, 3));
                seen.saw = stamp(1);
                const Ops edits{add("a", "1", stamp(10)),    update("b", "2", stamp(10)),
                                removal("c", stamp(2)),      seen,
                                add("d", "5", stamp(10)),    update("a", "6", stamp(11)),
                                interaction("x", stamp(10)), removal("d", stamp(12))};
                FaithfulClient client{edits};
                store.at = at;
                store.error = error;
                store.times = times;
                AsyncSleeper sleeper;
                const SyncResult result =
                    processor.process_with_retry("s", edits, policies::sync(), sleeper);
                REQUIRE(sums(result, edits.size()).find(' ') != std::string::npos);
                refused += result.failed_count;
                client.read(result);
                std::size_t overwrites = result.overwrote.size();
                store.times = 0;
                for (const Op& op : edits) {
                    REQUIRE((client.has(op) || (*store.applied(op.id)).has_value()));
                }
                const bool ends = error == SyncErrc::bad_operation || error == SyncErrc::id_reused;
                CHECK((ends || client.listed.empty()));
                // The store works again, and the client sends the operations that it kept.
                const SyncResult rest = processor.process_batch("s", Ops{client.journal});
                overwrites += rest.overwrote.size();
                client.read(rest);
                CHECK(client.journal.empty());
                if (!ends) {
                    for (const Op& op : edits) CHECK((*store.applied(op.id)).has_value());
                    // A client whose answer was lost sends all operations again. No error of the
                    // store may lose the version that `code` replaced.
                    store.times = times;
                    const SyncResult again =
                        processor.process_with_retry("s", edits, policies::sync(), sleeper);
                    store.times = 0;
                    for (const auto& failed : again.failed_operations) CHECK(failed.retryable);
                    const SyncResult last = processor.process_batch("s", edits);
                    // A version that could not be read was in no report before.
                    const bool unread = at == At::read && cause_of(error) == Cause::corrupt;
                    CHECK((unread ? overwrites < last.overwrote.size()
                                  : overwrites == last.overwrote.size()));
                    CHECK(last.failed_count == 0);
                    CHECK(state_text(store, "a") == "live 11 6");
                    CHECK(state_text(store, "b") == "live 10 2");
                    CHECK(state_text(store, "d") == "removed 12");
                }
            }
        }
    }
    CHECK(refused > 1000);
}

TEST_CASE("A store that is closed keeps every operation, and costs no attempt",
          "[sync][rejections]") {
    RefusingStore store;
    store.at = RefusingStore::At::begin;
    store.error = SyncErrc::store_closed;
    store.times = 1000;
    auto processor = processor_of(store, LastWriteWins{}, {.transaction_operations = 1});
    AsyncSleeper sleeper;
    const Ops edits{add("a", "1", stamp(1)), update("a", "2", stamp(2)), add("b", "1", stamp(1))};
    const SyncResult result = processor.process_with_retry("s", edits, policies::sync(), sleeper);
    REQUIRE(sums(result, 3) == "0 0 3");
    CHECK(result.retry_attempts == 0);
    CHECK(sleeper.sleeps.empty());
    CHECK(result.failed_operations[1].error == SyncErrc::held_back);
    for (const auto& failed : result.failed_operations) {
        CHECK(failed.kept);
        CHECK_FALSE(failed.wait);
    }
    store.times = 0;
    CHECK(sums(processor.process_batch("s", edits), 3) == "3 0 0");
}

// ---- pending operations -------------------------------------------------------------------------

namespace {

/// Records the outcome of each operation, with its contents.
struct OutcomeNotes {
    std::vector<std::string> lines{};
    Ops contents{};
    void on_operation(const OperationReport<Op>& report) {
        if (report.outcome != part::OperationOutcome::kept) return;
        lines.push_back(std::string{report.session} + " " +
                        std::string{report.operation.element()} + ": " + report.error.message());
        contents.push_back(report.operation);
    }
};

std::string errors_of(const SyncResult<Op>& result) {
    std::string text;
    for (const auto& failed : result.failed_operations) {
        text += std::string{failed.operation.element()} + (failed.kept ? " kept " : " failed ") +
                std::to_string(failed.error.value()) + ";";
    }
    return text;
}

struct SharedWallTime {
    WallTime* time;
    [[nodiscard]] WallTime now() const noexcept { return *time; }
};

}  // namespace

TEST_CASE("Pending operations are bounded for each session and each origin", "[sync][rejections]") {
    Memory store;
    auto processor = processor_of(store, LastWriteWins{},
                                  {.upsert_updates = true,
                                   .pending_max = 6,
                                   .pending_of_session_max = 4,
                                   .pending_of_origin_max = 3,
                                   .transaction_operations = 2});
    const auto early = [](const std::string& element, std::uint64_t origin) {
        return update(element, "1", stamp(1, origin));
    };
    // One origin has its three pending operations. The others of the batch are not affected.
    const Ops first{early("a", 1), early("b", 1), early("c", 1), early("d", 1), early("e", 2)};
    CHECK(errors_of(processor.process_batch("one", first)) == "d kept 12;");
    CHECK(processor.pending("one").size() == 4);
    // One session has its four pending operations. Another session has space, but not for that
    // origin.
    CHECK(errors_of(processor.process_batch("one", Ops{early("f", 3)})) == "f kept 12;");
    CHECK(errors_of(processor.process_batch("two", Ops{early("a", 1), early("b", 3)})) ==
          "a kept 12;");
    CHECK(errors_of(processor.process_batch("three", Ops{early("a", 4), early("b", 5)})) ==
          "b kept 12;");
    // A pending operation needs no more space when it is sent again.
    CHECK(processor.process_batch("one", Ops{first[0]}).success);
    // The end of a pending operation frees one place of its session and of its origin.
    CHECK(processor.process_batch("one", Ops{add("b", "0", stamp(0, 9))}).success);
    CHECK(processor.pending("one").size() == 3);
    CHECK(errors_of(processor.process_batch("one", Ops{first[3]})).empty());
    CHECK(processor.drop_pending("one", first[0]));
    CHECK(errors_of(processor.process_batch("two", Ops{early("a", 1)})).empty());
    CHECK(errors_of(processor.process_batch("two", Ops{early("c", 1)})) == "c kept 12;");
}

TEST_CASE("A pending operation is removed after pending_for, and reported with its contents",
          "[sync][rejections]") {
    Memory store;
    OutcomeNotes notes;
    WallTime now{24h};
    SyncProcessor processor{std::ref(store), LastWriteWins{},
                            SyncOptions{.upsert_updates = true, .pending_for = 1h}, std::ref(notes),
                            SharedWallTime{&now}};
    const Ops early{update("a", "1", stamp(1)), update("b", "2", stamp(2))};
    CHECK(processor.process_batch("one", Ops{early[0]}).conflict_count == 1);
    now += 30min;
    CHECK(processor.process_batch("two", Ops{early[1]}).conflict_count == 1);
    // The time does not begin again when the operation is sent again.
    CHECK(processor.process_batch("one", Ops{early[0]}).conflict_count == 1);
    now += 30min - 1ns;
    CHECK(processor.process_batch("three", Ops{}).success);
    CHECK(notes.lines.empty());
    now += 1ns;
    CHECK(processor.process_batch("three", Ops{}).success);
    REQUIRE(notes.lines.size() == 1);
    CHECK(
        notes.lines[0] ==
        "one a: the operation was pending for too long, and was removed; send it again or drop it");
    CHECK(notes.contents[0] == early[0]);
    CHECK(processor.pending("one").empty());
    CHECK(processor.pending("two").size() == 1);
    // The sender still has it, and sends it again. After its Add it is applied.
    CHECK(processor.process_batch("one", Ops{early[0]}).conflict_count == 1);
    CHECK(processor.process_batch("one", Ops{add("a", "0", stamp(0))}).success);
    CHECK(state_text(store, "a", "one") == "live 1 1");
    // A wall clock that goes back removes nothing.
    now -= 23h;
    CHECK(processor.process_batch("three", Ops{}).success);
    CHECK(processor.pending("two").size() == 1);
    CHECK(notes.lines.size() == 1);
}

// ---- operations that are stamped anew -----------------------------------------------------------

namespace {

/// Edits of two authors in a chain, as one client made them while its clock was ahead.
Ops chain_of(HybridClock<ManualWallTime>& clock, const Stamp& version) {
    Ops ops{add("new", "1", clock.stamp()), update("old", "2", clock.stamp_above(version).value())};
    ops[0].saw = Stamp{};
    ops[1].saw = version;
    ops.push_back(update("new", "3", clock.stamp_above(ops[0].stamp).value()));
    ops.back().saw = ops[0].stamp;
    ops.push_back(interaction("looked", clock.stamp()));
    ops.push_back(removal("old", clock.stamp_above(ops[1].stamp).value()));
    ops.back().saw = ops[1].stamp;
    ops.push_back(update("new", "4", clock.stamp_above(ops[2].stamp).value()));
    ops.back().saw = ops[2].stamp;
    ops.push_back(update("blind", "5", clock.stamp()));
    ops.push_back(update("blind", "6", clock.stamp()));
    return ops;
}

std::string ids_text(const Ops& ops) {
    std::set<Id> ids;
    for (const Op& op : ops) ids.insert(op.id);
    return std::to_string(ids.size());
}

}  // namespace

TEST_CASE("Operation::restamp keeps the order of edits, what they saw, and makes no conflict",
          "[sync][rejections]") {
    const WallTime noon{12h};
    const ManualWallTime right{noon};
    const Stamp version{noon - 1h, 0, id_of(9)};
    // The strategy would reject each edit that seems to be concurrent.
    Memory store;
    SyncProcessor processor{std::ref(store), LocalWins{}, SyncOptions{}, NoObserver{}, right};
    REQUIRE(processor.process_batch("s", Ops{add("old", "0", version), add("blind", "0", version)})
                .success);
    HybridClock<ManualWallTime> ahead{id_of(1), ManualWallTime{noon + 2h}};
    const Ops ops = chain_of(ahead, version);
    // Without what their authors saw, none of those that change something is applied.
    Ops blind = ops;
    for (Op& op : blind) op.saw.reset();
    const SyncResult kept = processor.process_batch("s", blind);
    REQUIRE(sums(kept, ops.size()) == "1 0 7");
    for (const auto& failed : kept.failed_operations) {
        CHECK(failed.kept);
        CHECK(failed.wait.value() >= 2h - 5min);
        CHECK(failed.wait.value() <= 2h - 5min + 10ns);
    }
    Random bits{Seed{1}};
    const bool is_corrected = GENERATE(true, false);
    // The wall clock was corrected, or it is still ahead.
    HybridClock<ManualWallTime> clock{id_of(1), is_corrected ? right : ManualWallTime{noon + 5min}};
    Ops again = ops;
    REQUIRE(!Op::restamp(again, clock, bits));
    CHECK(ids_text(again) == "8");
    for (std::size_t i = 0; i < ops.size(); ++i) {
        CHECK(again[i].id != ops[i].id);
        CHECK(again[i].action == ops[i].action);
        CHECK(again[i].stamp < ops[i].stamp);
        CHECK(again[i].saw.has_value() == ops[i].saw.has_value());
        CHECK(again[i].stamp.origin == id_of(1));
    }
    CHECK(again[1].saw == version);
    CHECK(again[2].saw == again[0].stamp);
    CHECK(again[4].saw == again[1].stamp);
    CHECK(sums(processor.process_batch("s", again), again.size()) == "8 0 0");
    CHECK(store.read({"s", "new"}).value() == "4");
    CHECK(store.read({"s", "blind"}).value() == "6");
    CHECK(store.find({"s", "old"})->presence == part::Presence::removed);
}

TEST_CASE("Operation::restamp stays above a version that is itself ahead", "[sync][rejections]") {
    const WallTime noon{12h};
    HybridClock<ManualWallTime> clock{id_of(1), ManualWallTime{noon}};
    Random bits{Seed{1}};
    const Stamp far{noon + 5h, 7, id_of(9)};
    Ops ops{update("e", "1", stamp(3)), update("e", "2", stamp(4)), update("f", "3", stamp(5))};
    ops[0].saw = far;
    REQUIRE(!Op::restamp(ops, clock, bits));
    CHECK(far < ops[0].stamp);
    // The second edit saw no version, and comes after the first one.
    CHECK(ops[0].stamp < ops[1].stamp);
    CHECK(ops[2].stamp.wall == noon);
    // At the end of time no later stamp exists, and nothing changes.
    ops[1].saw = Stamp{WallTime::max(), ~std::uint32_t{0}, id_of(9)};
    const Ops before = ops;
    CHECK(Op::restamp(ops, clock, bits) == SyncErrc::end_of_time);
    CHECK(ops == before);
    CHECK(!Op::restamp(std::span<Op>{}, clock, bits));
}
