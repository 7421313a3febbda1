// SPDX-License-Identifier: MIT
// Goal: stores that receive the same operations converge, as far as the page promises, and every
// operation of a batch is counted. Method: properties, and every order of small sets of
// operations compared with an independent oracle.
#include <belay/sync/sync_processor.hpp>

#include <algorithm>

#include <belay/call/policies.hpp>

#include "support/call/async_sleeper.hpp"
#include "support/catch.hpp"
#include "support/sync/sync_oracle.hpp"
#include "support/sync/sync_rig.hpp"

using namespace belay;
using namespace belay_test;

namespace {

const std::vector<std::string> names{"a", "b", "c"};

template <class Store>
std::string all_of(Store& store) {
    std::string text;
    for (const std::string& name : names) text += state_text(store, name) + "; ";
    return text;
}
std::string expected_by(const SyncOracle& oracle) {
    std::string text;
    for (const std::string& name : names) text += oracle.text(name) + "; ";
    return text;
}

enum class Kinds { all, adds_and_removes, adds_and_updates };

/// Any operations, with stamps that are all distinct, often only by their origin.
Ops any_operations(Kinds kinds, bool distinct = true) {
    Ops all;
    const auto count = static_cast<std::uint64_t>(*rc::gen::inRange(0, 12));
    for (std::uint64_t i = 0; i < count; ++i) {
        const auto& name = names[static_cast<std::size_t>(*rc::gen::inRange(0, 3))];
        const Stamp at =
            stamp(*rc::gen::inRange(1, 6),
                  distinct ? i + 1 : static_cast<std::uint64_t>(*rc::gen::inRange(1, 4)));
        const std::string value = "v" + std::to_string(i);
        switch (*rc::gen::inRange(0, kinds == Kinds::all ? 4 : 2)) {
            case 0:
                all.push_back(add(name, value, at));
                break;
            case 1:
                all.push_back(kinds == Kinds::adds_and_updates ? update(name, value, at)
                                                               : removal(name, at));
                break;
            case 2:
                all.push_back(update(name, value, at));
                break;
            default:
                all.push_back(interaction(value, at));
        }
    }
    return all;
}
Ops shuffled(Ops all) {
    for (std::size_t i = all.size(); i > 1; --i) {
        const auto with = static_cast<std::size_t>(*rc::gen::inRange(0, static_cast<int>(i)));
        std::swap(all[i - 1], all[with]);
    }
    return all;
}
/// Processes them in batches of any size.   Returns: whether every operation was counted.
template <class Processor>
bool in_batches(Processor& processor, std::span<const Op> all) {
    while (!all.empty()) {
        const auto most = static_cast<int>(all.size()) + 1;
        const auto count = static_cast<std::size_t>(*rc::gen::inRange(1, most));
        const SyncResult result = processor.process_batch("s", all.first(count));
        if (result.synced_count + result.conflict_count != count) return false;
        all = all.subspan(count);
    }
    return true;
}

/// Add, Update and Remove of one element at moments 1 and 2 by origins 1 and 2.
Ops all_twelve() {
    Ops all;
    for (const int time : {1, 2}) {
        for (const std::uint64_t origin : {1U, 2U}) {
            const std::string value = std::to_string(time) + std::to_string(origin);
            all.push_back(add("a", "a" + value, stamp(time, origin)));
            all.push_back(update("a", "u" + value, stamp(time, origin)));
            all.push_back(removal("a", stamp(time, origin)));
        }
    }
    return all;
}

}  // namespace

TEST_CASE("every operation is synced, a conflict, or failed", "[sync][convergence][property]") {
    CHECK(rc::check("whatever the store does", [] {
        FaultyStore store;
        const Ops batch = any_operations(Kinds::all, false);
        for (const std::string& name : names) {
            for (int i = *rc::gen::inRange(0, 6); i > 0; --i) {
                switch (*rc::gen::inRange(0, 4)) {
                    case 0:
                        store.fail(name, SyncErrc::store_busy);
                        break;
                    case 1:
                        store.fail(name, SyncErrc::store_full);
                        break;
                    case 2:
                        store.fail(name, {});
                        break;
                    default:
                        store.pass(name);
                }
            }
        }
        const SyncOptions options{
            .upsert_updates = *rc::gen::arbitrary<bool>(),
            .pending_max = static_cast<std::size_t>(*rc::gen::inRange(0, 3)),
            .transaction_operations = static_cast<std::size_t>(*rc::gen::inRange(1, 5))};
        auto processor = processor_of(store, LastWriteWins{}, options);
        AsyncSleeper sleeper;
        const SyncResult result =
            *rc::gen::arbitrary<bool>()
                ? processor.process_batch("s", batch)
                : processor.process_with_retry("s", batch, policies::sync(), sleeper);
        RC_ASSERT(result.synced_count + result.conflict_count + result.failed_count ==
                  batch.size());
        RC_ASSERT(result.conflicts.size() == result.conflict_count);
        RC_ASSERT(result.failed_operations.size() == result.failed_count);
        RC_ASSERT(result.success == (result.failed_count == 0));
    }));
}

TEST_CASE("the same batch twice changes nothing the second time", "[sync][convergence][property]") {
    const auto twice = [](auto strategy) {
        CHECK(rc::check("under any strategy", [=] {
            FaultyStore store;
            auto processor = processor_of(store, strategy);
            const Ops batch = any_operations(Kinds::all, false);
            const SyncResult first = processor.process_batch("s", batch);
            RC_ASSERT(first.success);
            const std::string before = all_of(store);
            const auto writes = store.writes.size();
            const SyncResult again = processor.process_batch("s", batch);
            RC_ASSERT(again.synced_count == first.synced_count);
            RC_ASSERT(again.conflicts.size() == first.conflicts.size());
            for (std::size_t i = 0; i < first.conflicts.size(); ++i) {
                RC_ASSERT(again.conflicts[i].operation == first.conflicts[i].operation);
                RC_ASSERT(to_string(again.conflicts[i].reason) ==
                          to_string(first.conflicts[i].reason));
                RC_ASSERT(again.conflicts[i].resolved);
            }
            RC_ASSERT(all_of(store) == before);
            RC_ASSERT(store.writes.size() == writes);
        }));
    };
    twice(LastWriteWins{});
    twice(LocalWins{});
    twice(RemoteWins{});
}

TEST_CASE("a batch that is sent again in parts and in another order has the same results",
          "[sync][convergence][property]") {
    const auto resent = [](auto strategy) {
        CHECK(rc::check("after a restart of the processor, under any strategy", [=] {
            Memory store;
            Ops batch = any_operations(Kinds::all, false);
            for (Op& op : batch) {
                const int version = *rc::gen::inRange(-2, 6);
                if (version >= 0) op.saw = version == 0 ? Stamp{} : stamp(version, 1);
            }
            auto processor = processor_of(store, strategy);
            const SyncResult first = processor.process_batch("s", batch);
            RC_ASSERT(first.success);
            const std::string before = all_of(store);
            auto restarted = processor_of(store, strategy);
            std::size_t conflicts = 0, overwrote = 0;
            for (const Op& op : shuffled(batch)) {
                const SyncResult one = restarted.process_batch("s", Ops{op});
                RC_ASSERT(one.success);
                conflicts += one.conflict_count;
                overwrote += one.overwrote.size();
                const auto is_same = [&](const auto& other) { return other.operation == op; };
                for (const auto& conflict : one.conflicts) {
                    const auto at =
                        std::find_if(first.conflicts.begin(), first.conflicts.end(), is_same);
                    RC_ASSERT(at != first.conflicts.end());
                    RC_ASSERT(to_string(conflict.reason) == to_string(at->reason));
                }
                for (const auto& replaced : one.overwrote) {
                    const auto at =
                        std::find_if(first.overwrote.begin(), first.overwrote.end(), is_same);
                    RC_ASSERT(at != first.overwrote.end());
                    RC_ASSERT(replaced == *at);
                }
            }
            RC_ASSERT(conflicts == first.conflict_count);
            RC_ASSERT(overwrote == first.overwrote.size());
            RC_ASSERT(all_of(store) == before);
        }));
    };
    resent(LastWriteWins{});
    resent(LocalWins{});
    resent(RemoteWins{});
}

TEST_CASE("Adds and Removes converge in any order and batching", "[sync][convergence][property]") {
    CHECK(rc::check("to what the oracle says", [] {
        const Ops all = any_operations(Kinds::adds_and_removes);
        SyncOracle oracle;
        for (const Op& op : all) oracle.take(op);
        Memory store;
        auto processor = processor_of(store, LastWriteWins{});
        RC_ASSERT(in_batches(processor, shuffled(all)));
        RC_ASSERT(all_of(store) == expected_by(oracle));
    }));
}

TEST_CASE("Updates of live elements converge in any order and batching",
          "[sync][convergence][property]") {
    CHECK(rc::check("to what the oracle says", [] {
        Ops first;
        for (const std::string& name : names) first.push_back(add(name, "first", stamp(0, 99)));
        const Ops all = any_operations(Kinds::adds_and_updates);
        SyncOracle oracle;
        for (const Op& op : first) oracle.take(op);
        for (const Op& op : all) oracle.take(op);
        Memory store;
        auto processor = processor_of(store, LastWriteWins{});
        RC_ASSERT(processor.process_batch("s", first).success);
        RC_ASSERT(in_batches(processor, shuffled(all)));
        RC_ASSERT(all_of(store) == expected_by(oracle));
    }));
}

TEST_CASE("upsert_updates makes Adds and Updates converge in any order",
          "[sync][convergence][property]") {
    CHECK(rc::check("to what the oracle says of all Adds first", [] {
        Ops all = any_operations(Kinds::adds_and_updates);
        const Ops mixed = shuffled(all);
        std::stable_partition(all.begin(), all.end(),
                              [](const Op& op) { return op.kind() == OperationKind::add; });
        SyncOracle oracle;
        for (const Op& op : all) oracle.take(op);
        Memory store;
        auto processor = processor_of(store, LastWriteWins{}, {.upsert_updates = true});
        RC_ASSERT(in_batches(processor, mixed));
        RC_ASSERT(all_of(store) == expected_by(oracle));
        // Operations that are still pending are for elements that were never added.
        for (const Op& op : processor.pending("s")) {
            RC_ASSERT(oracle.text(std::string{op.element()}) == "absent");
        }
    }));
}

TEST_CASE("every order of every small set of operations ends as the oracle predicts",
          "[sync][convergence]") {
    // All ordered choices of three of them.
    const Ops all = all_twelve();
    std::size_t wrong = 0;
    for (const Op& one : all) {
        for (const Op& two : all) {
            for (const Op& three : all) {
                // Equal stamps have no order.
                if (one.stamp == two.stamp || two.stamp == three.stamp || one.stamp == three.stamp)
                    continue;
                Memory store;
                SyncOracle oracle;
                for (const Op& op : {one, two, three}) {
                    // A tombstone that is removed again takes the later stamp; the oracle's does
                    // by its only rule.
                    oracle.take(op);
                }
                auto processor = processor_of(store, LastWriteWins{});
                const SyncResult result = processor.process_batch("s", Ops{one, two, three});
                wrong += static_cast<std::size_t>(sums(result, 3).substr(4) != "0");
                wrong += static_cast<std::size_t>(all_of(store) != expected_by(oracle));
            }
        }
    }
    CHECK(wrong == 0);
}

namespace {

/// The table of the page, row by row, as text. It is read without any part of the processor.
struct TableOracle {
    struct Row {
        OperationKind kind;
        part::Presence local;
        const char* when;      // the stamps, R against L: ">", "<", "=", or any
        const char* under[3];  // LastWriteWins, LocalWins, RemoteWins
        const char* reason;
    };
    static constexpr OperationKind add_ = OperationKind::add, update_ = OperationKind::update,
                                   remove_ = OperationKind::remove;
    static constexpr Row rows[] = {
        {add_, part::Presence::absent, "", {"apply", "apply", "apply"}, ""},
        {add_, part::Presence::live, ">", {"apply", "skip", "apply"}, "ElementAlreadyExists"},
        {add_, part::Presence::live, "<", {"skip", "skip", "apply"}, "StaleTimestamp"},
        {add_, part::Presence::live, "=", {"origin", "skip", "apply"}, "ElementAlreadyExists"},
        {add_, part::Presence::removed, ">", {"apply", "skip", "apply"}, "ConcurrentModification"},
        {add_, part::Presence::removed, "<=", {"skip", "skip", "apply"}, "StaleTimestamp"},
        {update_, part::Presence::absent, "", {"skip", "skip", "skip"}, "ElementNotFound"},
        {update_, part::Presence::live, ">", {"apply", "apply", "apply"}, ""},
        {update_, part::Presence::live, "=", {"origin", "skip", "apply"}, "ConcurrentModification"},
        {update_, part::Presence::live, "<", {"skip", "skip", "apply"}, "StaleTimestamp"},
        {update_, part::Presence::removed, "", {"skip", "skip", "skip"}, "ElementNotFound"},
        {remove_, part::Presence::absent, "", {"bury", "bury", "bury"}, "ElementNotFound"},
        {remove_, part::Presence::live, ">", {"apply", "apply", "apply"}, ""},
        {remove_, part::Presence::live, "=", {"origin", "skip", "apply"}, "ConcurrentModification"},
        {remove_, part::Presence::live, "<", {"skip", "skip", "apply"}, "StaleTimestamp"},
        {remove_, part::Presence::removed, "", {"raise", "raise", "raise"}, ""},
    };

    std::size_t column = 0;
    part::Presence presence = part::Presence::absent;
    Stamp stamp{};
    std::string value{};

    /// Returns "apply", or "skip" and the reason.
    std::string take(const Op& op) {
        for (const Row& row : rows) {
            if (row.kind != op.kind() || row.local != presence || !holds(row, op.stamp)) continue;
            std::string does = row.under[column];
            if (does == "origin") does = stamp.origin < op.stamp.origin ? "apply" : "skip";
            if (does == "skip") return "skip " + std::string{row.reason};
            // The stamp never becomes older.
            stamp = presence == part::Presence::absent || stamp < op.stamp ? op.stamp : stamp;
            presence = op.kind() == remove_ ? part::Presence::removed : part::Presence::live;
            value = op.kind() == remove_ ? "" : op.value();
            return does == "bury" ? "skip " + std::string{row.reason} : "apply";
        }
        return "no row";
    }
    [[nodiscard]] std::string text() const {
        const auto at = std::to_string(stamp.wall.time_since_epoch().count());
        if (presence == part::Presence::absent) return "absent";
        return presence == part::Presence::live ? "live " + at + " " + value : "removed " + at;
    }

private:
    [[nodiscard]] bool holds(const Row& row, const Stamp& remote) const {
        const std::string when = row.when;
        // For a removed element the whole stamp is compared, otherwise all of it except the origin.
        auto order = remote.wall <=> stamp.wall;
        if (order == 0) order = remote.counter <=> stamp.counter;
        if (order == 0 && presence == part::Presence::removed)
            order = remote.origin <=> stamp.origin;
        if (when == ">") return order > 0;
        if (when == "<") return order < 0;
        if (when == "=") return order == 0;
        return when.empty() || order <= 0;
    }
};

template <class Strategy>
std::size_t disagreements(const Ops& all, Strategy strategy, std::size_t column) {
    std::size_t wrong = 0;
    for (const Op& one : all) {
        for (const Op& two : all) {
            for (const Op& three : all) {
                if (one.id == two.id || two.id == three.id || one.id == three.id) continue;
                const Ops three_of_them{one, two, three};
                TableOracle oracle{column};
                Memory store;
                auto processor = processor_of(store, strategy);
                // The results are the same one by one and in one batch.
                for (const Op& op : three_of_them) {
                    const SyncResult result = processor.process_batch("s", Ops{op});
                    std::string became = "apply";
                    if (!result.conflicts.empty()) {
                        became = "skip " + std::string{to_string(result.conflicts[0].reason)};
                    }
                    if (result.failed_count != 0) became = "failed";
                    wrong += static_cast<std::size_t>(became != oracle.take(op));
                    wrong += static_cast<std::size_t>(state_text(store, "a") != oracle.text());
                }
                Memory whole;
                auto at_once = processor_of(whole, strategy);
                static_cast<void>(at_once.process_batch("s", three_of_them));
                wrong += static_cast<std::size_t>(state_text(whole, "a") != oracle.text());
            }
        }
    }
    return wrong;
}

}  // namespace

TEST_CASE("every three operations follow the conflict table, under each strategy",
          "[sync][convergence]") {
    const Ops all = all_twelve();
    CHECK(disagreements(all, LastWriteWins{}, 0) == 0);
    CHECK(disagreements(all, LocalWins{}, 1) == 0);
    CHECK(disagreements(all, RemoteWins{}, 2) == 0);
}
