// SPDX-License-Identifier: MIT
// Goal: a SyncProcessor applies each operation once, in order, and counts all of them, for any
// store, strategy and operations. Method: one case for each promise and each known defect.
#include <belay/sync/sync_processor.hpp>

#include <deque>
#include <functional>

#include <belay/call/policies.hpp>

#include "support/call/async_sleeper.hpp"
#include "support/catch.hpp"
#include "support/sync/sync_archetypes.hpp"
#include "support/sync/sync_rig.hpp"

using namespace belay;
using namespace belay_test;
using Names = std::vector<std::string>;

// SyncProcessor uses only what the concepts promise.
template class belay::SyncProcessor<MinimalStore, LastWriteWins>;

TEST_CASE("SyncProcessor: an older Add does not overwrite a newer one", "[sync][sync_processor]") {
    Memory store;
    auto processor = processor_of(store, LastWriteWins{});
    CHECK(processor.process_batch("s", Ops{add("e", "new", stamp(9)), add("e", "old", stamp(3))})
              .conflict_count == 1);
    CHECK(state_text(store, "e") == "live 9 new");
}

TEST_CASE("SyncProcessor: a late older Add or Update does not restore a removed element",
          "[sync][sync_processor]") {
    Memory store;
    auto processor = processor_of(store, LastWriteWins{});
    const SyncResult result =
        processor.process_batch("s", Ops{add("e", "1", stamp(1)), removal("e", stamp(5)),
                                         add("e", "2", stamp(3)), update("e", "3", stamp(4))});
    CHECK(sums(result, 4) == "2 2 0");
    CHECK(state_text(store, "e") == "removed 5");
}

TEST_CASE("SyncProcessor: stamps are kept in the store, so a new processor knows them",
          "[sync][sync_processor]") {
    Memory store;
    CHECK(processor_of(store, LastWriteWins{})
              .process_batch("s", Ops{add("e", "new", stamp(9))})
              .success);
    auto restarted = processor_of(store, LastWriteWins{});
    CHECK(restarted.process_batch("s", Ops{update("e", "old", stamp(3))}).conflict_count == 1);
    CHECK(state_text(store, "e") == "live 9 new");
}

TEST_CASE("SyncProcessor: a decided conflict is not retried", "[sync][sync_processor]") {
    FaultyStore store;
    SyncNotes notes;
    SyncProcessor processor{std::ref(store), LastWriteWins{}, SyncOptions{}, std::ref(notes),
                            ManualWallTime{}};
    AsyncSleeper sleeper;
    store.fail("f", SyncErrc::store_busy, 2);
    const SyncResult result = processor.process_with_retry(
        "s", Ops{update("e", "1", stamp(1)), add("f", "1", stamp(2))}, policies::sync(), sleeper);
    CHECK(sums(result, 2) == "1 1 0");
    CHECK(result.retry_attempts == 2);
    CHECK(std::count(notes.lines.begin(), notes.lines.end(), "skipped e") == 1);
}

TEST_CASE("SyncProcessor: an operation that waits for a retry holds back later ones of its element",
          "[sync][sync_processor]") {
    FaultyStore store;
    auto processor = processor_of(store, LastWriteWins{});
    AsyncSleeper sleeper;
    store.fail("a", SyncErrc::store_busy);
    const SyncResult result =
        processor.process_with_retry("s",
                                     Ops{add("a", "1", stamp(1)), add("b", "1", stamp(2)),
                                         update("a", "2", stamp(3)), removal("a", stamp(4))},
                                     policies::sync(), sleeper);
    CHECK(sums(result, 4) == "4 0 0");
    CHECK(result.retry_attempts == 1);
    CHECK(store.writes == Names{"b", "a", "a", "a"});
    CHECK(state_text(store, "a") == "removed 4");
}

TEST_CASE("SyncProcessor: delays have jitter above the nominal wait", "[sync][sync_processor]") {
    FaultyStore store;
    auto processor = processor_of(store, LastWriteWins{});
    AsyncSleeper sleeper;
    for (int i = 0; i < 50; ++i) {
        store.fail("a", SyncErrc::store_busy, 4);
        CHECK_FALSE(
            processor
                .process_with_retry("s", Ops{add("a", "1", stamp(1))}, policies::sync(), sleeper)
                .success);
    }
    REQUIRE(sleeper.sleeps.size() == 150);
    bool differ = false;
    for (std::size_t i = 0; i < sleeper.sleeps.size(); ++i) {
        const Duration nominal = std::chrono::milliseconds{100} * (1 << (i % 3));
        CHECK(sleeper.sleeps[i] >= nominal);
        CHECK(sleeper.sleeps[i] <= nominal + nominal / 2);
        differ = differ || sleeper.sleeps[i] != sleeper.sleeps[i % 3];
    }
    CHECK(differ);
}

TEST_CASE("SyncProcessor keeps an operation from the future, and those after it on its element",
          "[sync][sync_processor]") {
    Memory store;
    const Ops ops{add("e", "1", stamp(1'001'000)), add("f", "1", stamp(1'001'007)),
                  update("f", "2", stamp(1)), add("g", "1", stamp(2)),
                  interaction("f", stamp(1'002'000))};
    // The processor's clock causes this, and not the operation. So it uses no attempt.
    auto processor = processor_of(store, LastWriteWins{}, {.skew_max = Duration{1000}});
    AsyncSleeper sleeper;
    for (const bool with_retry : {false, true}) {
        const SyncResult result =
            with_retry ? processor.process_with_retry("s", ops, policies::sync(), sleeper)
                       : processor.process_batch("s", ops);
        REQUIRE(sums(result, 5) == "3 0 2");  // an interaction needs no clock
        CHECK(result.retry_attempts == 0);
        CHECK(result.failed_operations[0].error == SyncErrc::from_the_future);
        CHECK(result.failed_operations[0].wait == Duration{7});
        CHECK(result.failed_operations[1].error == SyncErrc::held_back);
        CHECK(result.failed_operations[1].wait == Duration{7});
        for (const auto& failed : result.failed_operations) CHECK(failed.retryable);
        CHECK(state_text(store, "f") == "absent");
        CHECK(state_text(store, "g") == "live 2 1");
    }
    CHECK(sleeper.sleeps.empty());
    // After the wait, the same batch is applied.
    SyncProcessor later{std::ref(store), LastWriteWins{}, SyncOptions{.skew_max = Duration{1000}},
                        NoObserver{}, ManualWallTime{WallTime{Duration{1'001'000}}}};
    CHECK(sums(later.process_batch("s", ops), 5) == "4 1 0");
    CHECK(state_text(store, "f") == "live 1001007 1");
}

TEST_CASE("SyncProcessor needs no clock for an operation that names what its author saw",
          "[sync][sync_processor]") {
    Memory store;
    auto processor = processor_of(store, LastWriteWins{}, {.skew_max = Duration{1000}});
    Op ahead = add("e", "ahead", stamp(9'000'000'000));
    ahead.saw = Stamp{};
    CHECK(sums(processor.process_batch("s", Ops{ahead}), 1) == "1 0 0");
    // An author who saw it replaces it, and one who did not has a conflict.
    Op blind = add("e", "blind", stamp(2));
    blind.saw = Stamp{};
    CHECK(sums(processor.process_batch("s", Ops{blind}), 1) == "0 1 0");
    Op next = update("e", "next", stamp(9'000'000'001));
    next.saw = ahead.stamp;
    CHECK(sums(processor.process_batch("s", Ops{next}), 1) == "1 0 0");
    CHECK(state_text(store, "e") == "live 9000000001 next");
    // No version is above one at the end of time.
    Op last = update("e", "last", {WallTime::max(), 0, id_of(1)});
    last.saw = next.stamp;
    const SyncResult result = processor.process_batch("s", Ops{last});
    REQUIRE(sums(result, 1) == "0 0 1");
    CHECK(result.failed_operations[0].error == SyncErrc::from_the_future);
}

TEST_CASE("SyncProcessor recognizes a repeated operation after its clock was set back",
          "[sync][sync_processor][regression]") {
    Memory store;
    const auto at = [&](Duration time) {
        return SyncProcessor{std::ref(store), LastWriteWins{},
                             SyncOptions{.skew_max = Duration{1000}}, NoObserver{},
                             ManualWallTime{WallTime{time}}};
    };
    const Ops ops{add("f", "1", stamp(1'000'000)), update("f", "2", stamp(1'000'001)),
                  update("none", "1", stamp(1'000'002))};
    REQUIRE(sums(at(Duration{1'000'000}).process_batch("s", ops), 3) == "2 1 0");
    // The answer was lost. If the operation were kept now, its author might stamp it anew, and it
    // would be applied twice.
    const SyncResult again = at(Duration{0}).process_batch("s", ops);
    REQUIRE(sums(again, 3) == "2 1 0");
    CHECK(state_text(store, "f") == "live 1000001 2");
    // A new operation is kept.
    const SyncResult other =
        at(Duration{0}).process_batch("s", Ops{add("h", "1", stamp(1'000'003))});
    REQUIRE(sums(other, 1) == "0 0 1");
    CHECK(other.failed_operations[0].error == SyncErrc::from_the_future);
}

namespace {
/// A store that carries out all writes of a transaction, and then cannot commit.
struct NeverCommits : Memory {
    std::error_code error;
    std::error_code transaction(auto& body) {
        const std::error_code failed = body();
        return failed ? failed : error;
    }
};
}  // namespace

TEST_CASE("SyncProcessor: a transaction that fails decides nothing about what is kept",
          "[sync][sync_processor]") {
    for (const SyncErrc error : {SyncErrc::store_full, SyncErrc::store_busy}) {
        NeverCommits store;
        store.error = error;
        auto processor = processor_of(store, LastWriteWins{}, {.skew_max = Duration{1000}});
        const SyncResult result =
            processor.process_batch("s", Ops{add("f", "1", stamp(1'001'007)),
                                             add("a", "1", stamp(1)), update("f", "2", stamp(1))});
        REQUIRE(sums(result, 3) == "0 0 3");
        CHECK(result.failed_operations[0].error == SyncErrc::from_the_future);
        CHECK(result.failed_operations[0].wait == Duration{7});
        CHECK(result.failed_operations[0].retryable);
        CHECK(result.failed_operations[1].error == error);
        CHECK(result.failed_operations[2].error == SyncErrc::held_back);
        CHECK(result.failed_operations[2].retryable);
    }
}

TEST_CASE("SyncProcessor keeps what it has kept while other operations are tried again",
          "[sync][sync_processor]") {
    FaultyStore store;
    auto processor = processor_of(store, LastWriteWins{}, {.skew_max = Duration{1000}});
    AsyncSleeper sleeper;
    const Ops ops{add("f", "1", stamp(1'001'007)), add("a", "1", stamp(1)),
                  update("f", "2", stamp(1))};
    store.fail("a", SyncErrc::store_busy, 2);
    const SyncResult result = processor.process_with_retry("s", ops, policies::sync(), sleeper);
    REQUIRE(sums(result, 3) == "1 0 2");
    CHECK(result.retry_attempts == 2);
    CHECK(store.writes == std::vector<std::string>{"a"});
}

TEST_CASE("process_batch without retry fails operations after a failure on their element",
          "[sync][sync_processor]") {
    FaultyStore store;
    auto processor = processor_of(store, LastWriteWins{});
    store.fail("a", SyncErrc::store_failed);
    const Ops batch{add("a", "1", stamp(1)), update("a", "2", stamp(2)), add("b", "1", stamp(3)),
                    interaction("a", stamp(4))};
    const SyncResult result = processor.process_batch("s", batch);
    REQUIRE(sums(result, 4) == "2 0 2");
    CHECK(result.failed_operations[0] ==
          FailedOperation<Op>{batch[0], SyncErrc::store_failed, true});
    CHECK(result.failed_operations[1] == FailedOperation<Op>{batch[1], SyncErrc::held_back, true});
    // The same batch again completes it, and applies nothing twice.
    CHECK(sums(processor.process_batch("s", batch), 4) == "4 0 0");
    CHECK(store.writes == Names{"b", "a", "a"});
}

TEST_CASE("a permanent failure holds nothing back", "[sync][sync_processor]") {
    FaultyStore store;
    auto processor = processor_of(store, LastWriteWins{});
    store.fail("a", SyncErrc::bad_operation);
    CHECK(sums(processor.process_batch("s", Ops{add("a", "1", stamp(1)), add("a", "2", stamp(2))}),
               2) == "1 0 1");
    CHECK(state_text(store.store, "a") == "live 2 2");
}

TEST_CASE("a retry ends at a stop request, and reports the waiting operations",
          "[sync][sync_processor]") {
    FaultyStore store;
    auto processor = processor_of(store, LastWriteWins{});
    AsyncSleeper sleeper;
    StopSource stop;
    stop.request_stop();
    const SyncResult result = processor.process_with_retry("s", Ops{add("a", "1", stamp(1))},
                                                           policies::sync(), sleeper, stop.token());
    REQUIRE(sums(result, 1) == "0 0 1");
    CHECK(result.failed_operations[0].error == CallErrc::stopped);
    CHECK(result.failed_operations[0].retryable);
    CHECK(store.calls == 0);
}

TEST_CASE("malformed operations are rejected one by one", "[sync][sync_processor]") {
    Memory store;
    auto processor = processor_of(store, LastWriteWins{});
    Op no_id_at_all = add("a", "1", stamp(1));
    no_id_at_all.id = no_id;
    Op no_origin = add("b", "1", stamp(1));
    no_origin.stamp.origin = no_id;
    Op its_own_former = update("c", "1", stamp(1));
    its_own_former.formerly = its_own_former.id;
    const Op longest = add(std::string(1024, 'x'), "1", stamp(1));
    const SyncResult result = processor.process_batch(
        "s", Ops{no_id_at_all, no_origin, add("", "1", stamp(1)), removal("", stamp(1)), longest,
                 add(std::string(1025, 'x'), "1", stamp(1)),
                 add(std::string(1 << 20, 'x'), "1", stamp(1)),
                 Op{Id{std::byte{0xFF}}, stamp(1), Interaction{}}, its_own_former});
    CHECK(sums(result, 9) == "2 0 7");
    for (const auto& failed : result.failed_operations) {
        CHECK(failed.error == SyncErrc::bad_operation);
        CHECK_FALSE(failed.retryable);
    }
    CHECK(store.size() == 1);
}

TEST_CASE("one id with two contents is reported", "[sync][sync_processor]") {
    Memory store;
    auto processor = processor_of(store, LastWriteWins{});
    const Op first = add("a", "1", stamp(1));
    Op second = first;
    second.action = AddElement<std::string>{"a", "2"};
    const SyncResult result = processor.process_batch("s", Ops{first, second, first});
    CHECK(sums(result, 3) == "2 0 1");
    CHECK(result.failed_operations[0].error == SyncErrc::id_reused);
    CHECK_FALSE(result.failed_operations[0].retryable);
    CHECK(state_text(store, "a") == "live 1 1");
}

TEST_CASE("one operation in two sessions is reported, and not marked as applied in both",
          "[sync][sync_processor]") {
    Memory store;
    auto processor = processor_of(store, LastWriteWins{});
    const Ops batch{add("a", "1", stamp(1))};
    CHECK(processor.process_batch("s", batch).success);
    const SyncResult result = processor.process_batch("t", batch);
    REQUIRE(sums(result, 1) == "0 0 1");
    CHECK(result.failed_operations[0].error == SyncErrc::id_reused);
    CHECK(state_text(store, "a", "t") == "absent");
    const auto found = processor.detect_conflict("s", batch[0]);
    REQUIRE(found);
    CHECK_FALSE(found->has_value());
}

TEST_CASE("two Interactions with one id are two contents", "[sync][sync_processor]") {
    Memory store;
    auto processor = processor_of(store, LastWriteWins{});
    const Op first = interaction("opened", stamp(1));
    Op second = first;
    second.action = Interaction{"e", "closed"};
    const SyncResult result = processor.process_batch("s", Ops{first, second, first});
    REQUIRE(sums(result, 3) == "2 0 1");
    CHECK(result.failed_operations[0].error == SyncErrc::id_reused);
}

TEST_CASE("the id of a pending operation has one meaning, too", "[sync][sync_processor]") {
    Memory store;
    auto processor = processor_of(store, LastWriteWins{}, {.upsert_updates = true});
    const Op first = update("e", "a", stamp(1));
    const auto reused = [&](Op::Action action) { return Op{first.id, stamp(1), action}; };
    const Ops others{reused(UpdateElement<std::string>{"e", "b", {}}),
                     reused(UpdateElement<std::string>{"f", "a", {}}),
                     reused(AddElement<std::string>{"e", "a"}),
                     reused(RemoveElement{"e"}),
                     reused(Interaction{"e", "a"}),
                     reused(AddElement<std::string>{"", "a"})};
    const auto all_fail = [&](const SyncResult<Op>& result) {
        for (std::size_t i = 0; i < others.size(); ++i) {
            const bool malformed = i + 1 == others.size();
            CHECK(result.failed_operations[i].error ==
                  (malformed ? SyncErrc::bad_operation : SyncErrc::id_reused));
            CHECK_FALSE(result.failed_operations[i].retryable);
        }
        CHECK(processor.pending("s") == Ops{first});
        CHECK(store.size() == 0);
    };
    // The other operation comes in one transaction with it, in later ones, and in another session.
    Ops batch{first, first};
    batch.insert(batch.end(), others.begin(), others.end());
    const SyncResult together = processor.process_batch("s", batch);
    REQUIRE(sums(together, 8) == "0 2 6");
    all_fail(together);
    const SyncResult later = processor.process_batch("s", others);
    REQUIRE(sums(later, 6) == "0 0 6");
    all_fail(later);
    const SyncResult elsewhere = processor.process_batch("t", Ops{first});
    REQUIRE(sums(elsewhere, 1) == "0 0 1");
    CHECK(elsewhere.failed_operations[0].error == SyncErrc::id_reused);
    // After its decision or drop, an operation is not pending, and its id is free.
    CHECK(processor.drop_pending("s", first));
    CHECK(processor.process_batch("s", Ops{others[0]}).conflict_count == 1);
    CHECK(processor.process_batch("s", Ops{add("e", "0", stamp(0))}).success);
    CHECK(state_text(store, "e") == "live 1 b");
    CHECK(sums(processor.process_batch("s", Ops{others[0]}), 1) == "1 0 0");
}

TEST_CASE("another operation that claims the id of a pending one as its former id does not end it",
          "[sync][sync_processor][regression]") {
    Memory store;
    auto processor = processor_of(store, LastWriteWins{}, {.upsert_updates = true});
    const Op first = update("e", "a", stamp(2));
    Op other = interaction("opened", stamp(3));
    other.formerly = first.id;
    Op waits = update("e", "b", stamp(1));
    waits.formerly = first.id;
    const bool together = GENERATE(false, true);
    if (together) {
        CHECK(sums(processor.process_batch("s", Ops{first, other, waits}), 3) == "1 2 0");
    } else {
        CHECK(sums(processor.process_batch("s", Ops{first}), 1) == "0 1 0");
        CHECK(sums(processor.process_batch("t", Ops{other}), 1) == "1 0 0");
        CHECK(sums(processor.process_batch("s", Ops{waits}), 1) == "0 1 0");
    }
    // Both that wait are processed with the Add of their element.
    CHECK(sums(processor.process_batch("s", Ops{add("e", "0", stamp(0))}), 1) == "1 0 0");
    CHECK(state_text(store, "e") == "live 2 a");
    CHECK(processor.pending("s").empty());
    CHECK(sums(processor.process_batch("s", Ops{first}), 1) == "1 0 0");
}

TEST_CASE("an operation of a failed transaction does not count as pending after it",
          "[sync][sync_processor][regression]") {
    enum class Transaction { passes, is_refused, is_lost };
    struct Store : Memory {
        std::deque<Transaction> next{};
        std::error_code transaction(const std::function<std::error_code()>& body) {
            const Transaction now = next.empty() ? Transaction::passes : next.front();
            if (!next.empty()) next.pop_front();
            const auto lost = std::make_error_code(std::errc::io_error);
            if (now == Transaction::is_refused) return lost;
            const std::error_code error = body();
            return now == Transaction::is_lost ? lost : error;
        }
    };
    Store store;
    auto processor = processor_of(store, LastWriteWins{}, {.upsert_updates = true});
    const Op former = update("f", "a", stamp(1));
    Op anew = update("e", "b", stamp(2));
    anew.formerly = former.id;
    CHECK(sums(processor.process_batch("s", Ops{former}), 1) == "0 1 0");
    CHECK(sums(processor.process_batch("s", Ops{anew}), 1) == "0 1 0");
    CHECK(processor.drop_pending("s", former));
    // The element is there, but the pending operation cannot be processed yet.
    store.next = {Transaction::passes, Transaction::is_refused};
    CHECK(sums(processor.process_batch("s", Ops{add("e", "0", stamp(0))}), 1) == "1 0 0");
    // The first form of the pending operation arrives again, and its transaction fails. After that,
    // the pending one is decided, under both ids.
    store.next = {Transaction::is_refused, Transaction::is_lost};
    CHECK(sums(processor.process_batch("s", Ops{former}), 1) == "0 0 1");
    CHECK(state_text(store, "e") == "live 2 b");
    const SyncResult late = processor.process_batch("s", Ops{former});
    REQUIRE(sums(late, 1) == "0 0 1");
    CHECK(late.failed_operations[0].error == SyncErrc::id_reused);
}

TEST_CASE(
    "another processor's decision under a pending id does not end the pending operation silently",
    "[sync][sync_processor]") {
    Memory store;
    SyncNotes notes;
    SyncProcessor processor{std::ref(store), LastWriteWins{}, SyncOptions{.upsert_updates = true},
                            std::ref(notes), ManualWallTime{}};
    const Op first = update("e", "a", stamp(1));
    const Op second{first.id, stamp(1), AddElement<std::string>{"e", "b"}};
    CHECK(processor.process_batch("s", Ops{first}).conflict_count == 1);
    CHECK(processor_of(store, LastWriteWins{}).process_batch("s", Ops{second}).success);
    notes.lines.clear();
    CHECK(sums(processor.process_batch("s", Ops{second}), 1) == "1 0 0");
    CHECK(notes.lines == Names{"duplicate e", "failed e", "1 of 1"});
    CHECK(processor.pending("s").empty());
}

TEST_CASE("an unknown session is a failure if the store creates none", "[sync][sync_processor]") {
    struct StrictStore : Memory {
        Result<part::ElementState> find(const part::ElementKey& key) {
            if (!knows) return SyncErrc::unknown_session;
            return Memory::find(key);
        }
        bool knows = false;
    } store;
    auto processor = processor_of(store, LastWriteWins{});
    const SyncResult result =
        processor.process_batch("s", Ops{add("a", "1", stamp(1)), interaction("opened", stamp(2))});
    REQUIRE(result.failed_count == 2);
    for (const auto& failed : result.failed_operations) {
        CHECK(failed.error == SyncErrc::unknown_session);
        CHECK(failed.kept);
    }
    store.knows = true;
    CHECK(processor.process_batch("s", Ops{add("a", "1", stamp(1))}).success);
}

TEST_CASE("a store that throws counts as failed, and is retried", "[sync][sync_processor]") {
    FaultyStore store;
    auto processor = processor_of(store, LastWriteWins{});
    AsyncSleeper sleeper;
    store.fail("a", {});
    const Ops batch{add("a", "1", stamp(1)), add("b", "1", stamp(2))};
    const SyncResult first = processor.process_batch("s", batch);
    REQUIRE(sums(first, 2) == "1 0 1");
    CHECK(first.failed_operations[0].error == SyncErrc::store_threw);
    CHECK(first.failed_operations[0].retryable);
    store.fail("a", {});
    CHECK(sums(processor.process_with_retry("s", batch, policies::sync(), sleeper), 2) == "2 0 0");
    CHECK(store.writes == Names{"b", "a"});
}

namespace {

/// A store that undoes a transaction by repeating the earlier ones. A test makes it fail, or return
/// wrong results.
struct TransactingStore : FaultyStore {
    std::error_code expire(WallTime now) {
        if (fault == "swallows its error") return SyncErrc::store_failed;
        return FaultyStore::expire(now);
    }
    std::error_code transaction(auto& body) {
        if (fault == "never runs it") return {};
        const std::size_t before = log.size();
        std::error_code error = body();
        if (fault == "runs it twice") error = body();
        if (fault == "swallows its error") return {};
        if (fault == "runs it twice, and swallows that") return static_cast<void>(body()), error;
        if (!error && !commit_fails.empty()) {
            error = commit_fails.back();
            commit_fails.pop_back();
        }
        if (error) {
            log.resize(before);
            store = Memory{};
            for (const auto& write : log) REQUIRE_FALSE(write(store));
        }
        return error;
    }
    std::string fault{};
    std::vector<std::error_code> commit_fails{};
};

}  // namespace

TEST_CASE("an operation of a failed transaction is not reported as synced",
          "[sync][sync_processor]") {
    TransactingStore store;
    SyncNotes notes;
    SyncProcessor processor{std::ref(store), LastWriteWins{},
                            SyncOptions{.transaction_operations = 2}, std::ref(notes),
                            ManualWallTime{}};
    const Ops batch{add("a", "1", stamp(1)), update("b", "1", stamp(2)), add("a", "3", stamp(3)),
                    add("c", "1", stamp(4))};
    store.commit_fails = {SyncErrc::store_failed};
    const SyncResult result = processor.process_batch("s", batch);
    // The second transaction succeeded, except for the operation that waits for the first one.
    REQUIRE(sums(result, 4) == "1 0 3");
    CHECK(result.failed_operations[0].error == SyncErrc::store_failed);
    CHECK(result.failed_operations[1].error == SyncErrc::store_failed);
    CHECK(result.failed_operations[2].error == SyncErrc::held_back);
    CHECK(notes.lines ==
          Names{"waiting a", "waiting b", "0 of 4", "waiting a", "applied c", "1 of 4"});
    store.commit_fails = {SyncErrc::store_corrupt};
    notes.lines.clear();
    const SyncResult broken = processor.process_batch("s", Ops{add("d", "1", stamp(1))});
    REQUIRE(sums(broken, 1) == "0 0 1");
    CHECK(broken.failed_operations[0].kept);
    CHECK(notes.lines == Names{"kept d", "1 of 1"});
}

TEST_CASE("a store that reports wrong results of transactions is detected",
          "[sync][sync_processor]") {
    for (const std::string fault : {"never runs it", "runs it twice", "swallows its error",
                                    "runs it twice, and swallows that"}) {
        TransactingStore store;
        store.fault = fault;
        auto processor = processor_of(store, LastWriteWins{});
        const SyncResult result = processor.process_batch("s", Ops{add("a", "1", stamp(1))});
        REQUIRE(sums(result, 1) == "0 0 1");
        CHECK(result.failed_operations[0].error == SyncErrc::store_disagrees);
    }
}

TEST_CASE("an exception of a strategy or observer is propagated, and the batch can be sent again",
          "[sync][sync_processor]") {
    TransactingStore store;
    bool throws = true;
    const auto strategy = [&](const ConflictSides<Op>&) {
        if (throws) throw std::runtime_error{"mine"};
        return Resolution<std::string>::keep_remote();
    };
    auto processor = processor_of(store, strategy);
    const Ops batch{add("a", "1", stamp(2)), add("a", "2", stamp(1))};
    CHECK_THROWS_WITH(processor.process_batch("s", batch), "mine");
    CHECK(state_text(store, "a") == "absent");
    throws = false;
    CHECK(sums(processor.process_batch("s", batch), 2) == "2 0 0");
    CHECK(state_text(store, "a") == "live 2 2");
}

TEST_CASE("a callable merges three ways, and the merged value is newer than both",
          "[sync][sync_processor]") {
    Memory store;
    const auto strategy = [](const ConflictSides<Op>& sides) {
        REQUIRE(sides.local_value != nullptr);
        REQUIRE(sides.remote_value != nullptr);
        const std::string base = sides.base_value != nullptr ? *sides.base_value : "?";
        return Resolution<std::string>::merged(base + "+" + *sides.local_value + "+" +
                                               *sides.remote_value);
    };
    auto processor = processor_of(store, strategy);
    Op older = update("e", "remote", stamp(5, 3));
    older.action = UpdateElement<std::string>{"e", "remote", "base"};
    CHECK(sums(processor.process_batch("s", Ops{add("e", "local", stamp(5, 2)), older}), 2) ==
          "2 0 0");
    CHECK(state_text(store, "e") == "live 5 base+local+remote");
    const Stamp merged = store.find({"s", "e"})->stamp;
    CHECK(merged > stamp(5, 2));
    CHECK(merged > stamp(5, 3));
    // Sent again, it is recognized, and not merged a second time.
    CHECK(processor.process_batch("s", Ops{older}).synced_count == 1);
    CHECK(state_text(store, "e") == "live 5 base+local+remote");
}

TEST_CASE("an operation that a strategy leaves open is pending until it is sent again",
          "[sync][sync_processor]") {
    Memory store;
    bool open = true;
    const auto strategy = [&](const ConflictSides<Op>&) {
        return open ? Resolution<std::string>::pending() : Resolution<std::string>::keep_remote();
    };
    auto processor = processor_of(store, strategy);
    const Op late = update("e", "late", stamp(1));
    const SyncResult first = processor.process_batch("s", Ops{add("e", "1", stamp(5)), late});
    REQUIRE(sums(first, 2) == "1 1 0");
    CHECK_FALSE(first.conflicts[0].resolved);
    CHECK(processor.pending("s") == Ops{late});
    CHECK(processor.pending("other").empty());
    // It is pending once, although it is sent several times.
    CHECK(processor.process_batch("s", Ops{late}).conflict_count == 1);
    CHECK(processor.pending("s") == Ops{late});
    open = false;
    CHECK(processor.process_batch("s", Ops{late}).synced_count == 1);
    CHECK(processor.pending("s").empty());
    CHECK(state_text(store, "e") == "live 5 late");
    CHECK_FALSE(processor.drop_pending("s", late));
}

TEST_CASE("upsert_updates keeps an Update until its Add arrives", "[sync][sync_processor]") {
    FaultyStore store;
    SyncNotes notes;
    SyncProcessor processor{std::ref(store), LastWriteWins{}, SyncOptions{.upsert_updates = true},
                            std::ref(notes), ManualWallTime{}};
    const SyncResult early =
        processor.process_batch("s", Ops{update("e", "7", stamp(7)), update("e", "5", stamp(5))});
    REQUIRE(sums(early, 2) == "0 2 0");
    CHECK_FALSE(early.conflicts[0].resolved);
    CHECK(processor.pending("s").size() == 2);
    notes.lines.clear();
    CHECK(sums(processor.process_batch("s", Ops{add("e", "3", stamp(3))}), 1) == "1 0 0");
    CHECK(state_text(store, "e") == "live 7 7");
    CHECK(processor.pending("s").empty());
    CHECK(notes.lines == Names{"applied e", "applied e", "applied e", "1 of 1"});

    // A removal decides the conflict.
    CHECK(processor.process_batch("s", Ops{update("g", "7", stamp(7))}).conflict_count == 1);
    notes.lines.clear();
    CHECK(processor.process_batch("s", Ops{removal("g", stamp(3))}).conflict_count == 1);
    CHECK(state_text(store, "g") == "removed 3");
    CHECK(processor.pending("s").empty());
    CHECK(notes.lines == Names{"ElementNotFound keep_local", "skipped g",
                               "ElementNotFound keep_local", "skipped g", "1 of 1"});
}

TEST_CASE("an Update that waited for its Add is retried with the next batch",
          "[sync][sync_processor]") {
    FaultyStore store;
    auto processor = processor_of(store, LastWriteWins{}, {.upsert_updates = true});
    CHECK(processor.process_batch("s", Ops{update("e", "7", stamp(7))}).conflict_count == 1);
    store.pass("e");
    store.fail("e", SyncErrc::store_busy);
    CHECK(processor.process_batch("s", Ops{add("e", "3", stamp(3))}).success);
    CHECK(state_text(store, "e") == "live 3 3");
    CHECK(processor.pending("s").size() == 1);
    CHECK(processor.process_batch("t", Ops{}).success);
    CHECK(state_text(store, "e") == "live 7 7");
    CHECK(processor.pending("s").empty());
}

TEST_CASE("an Update finds its Add also if the observer threw at the Add",
          "[sync][sync_processor]") {
    Memory store;
    struct ThrowsOfAdds {
        void on_operation(const OperationReport<Op>& report) const {
            if (*throws && report.operation.kind() == OperationKind::add) {
                throw std::runtime_error{"mine"};
            }
        }
        bool* throws;
    };
    bool throws = true;
    SyncProcessor processor{std::ref(store), LastWriteWins{}, SyncOptions{.upsert_updates = true},
                            ThrowsOfAdds{&throws}, ManualWallTime{}};
    const Ops adds{add("d", "3", stamp(3)), add("e", "3", stamp(3))};
    CHECK(processor.process_batch("s", Ops{update("e", "7", stamp(7))}).conflict_count == 1);
    CHECK_THROWS_WITH(processor.process_batch("s", adds), "mine");
    throws = false;
    CHECK(processor.process_batch("s", adds).success);
    CHECK(state_text(store, "e") == "live 7 7");
    CHECK(processor.pending("s").empty());
}

TEST_CASE(
    "after an exception of a strategy, its remaining conflicts are decided with the next batch",
    "[sync][sync_processor]") {
    TransactingStore store;
    enum class Behaviour { open, throws, decides } behaviour = Behaviour::open;
    const auto strategy = [&](const ConflictSides<Op>& sides) {
        if (behaviour == Behaviour::open) return Resolution<std::string>::pending();
        const bool first = sides.operation.element() == "a";
        if (behaviour == Behaviour::throws && first) throw std::runtime_error{"mine"};
        return Resolution<std::string>::keep_remote();
    };
    auto processor = processor_of(store, strategy);
    CHECK(processor
              .process_batch("s", Ops{add("a", "1", stamp(5)), add("b", "1", stamp(5)),
                                      add("a", "2", stamp(5, 2)), add("b", "2", stamp(5, 2))})
              .conflict_count == 2);
    behaviour = Behaviour::throws;
    CHECK_THROWS_WITH(
        processor.process_batch("s", Ops{removal("a", stamp(6)), removal("b", stamp(6))}), "mine");
    // The next batch of any session decides the remaining conflicts. If the strategy throws again,
    // that conflict waits for a batch of its own session.
    CHECK(processor.process_batch("t", Ops{}).success);
    CHECK(state_text(store, "b") == "live 6 2");
    CHECK(processor.pending("s").size() == 1);
    CHECK_THROWS_WITH(processor.process_batch("s", Ops{}), "mine");
    behaviour = Behaviour::decides;
    CHECK(processor.process_batch("s", Ops{}).success);
    CHECK(state_text(store, "a") == "live 6 2");
    CHECK(processor.pending("s").empty());
}

TEST_CASE("a pending Add that takes effect resolves pending operations of its element at once",
          "[sync][sync_processor]") {
    Memory store;
    bool open = true;
    const auto strategy = [&](const ConflictSides<Op>& sides) {
        const bool of_add = sides.operation.kind() == OperationKind::add;
        return !open && (of_add || *sides.local_value == "pending add")
                   ? Resolution<std::string>::keep_remote()
                   : Resolution<std::string>::pending();
    };
    auto processor = processor_of(store, strategy);
    CHECK(processor
              .process_batch("s", Ops{add("e", "1", stamp(5)), update("e", "last", stamp(5, 2)),
                                      add("e", "pending add", stamp(5, 3))})
              .conflict_count == 2);
    open = false;
    CHECK(processor.process_batch("s", Ops{add("e", "8", stamp(8))}).success);
    CHECK(state_text(store, "e") == "live 8 last");
    CHECK(processor.pending("s").empty());
}

TEST_CASE("pending operations are bounded", "[sync][sync_processor]") {
    Memory store;
    auto processor =
        processor_of(store, LastWriteWins{}, {.upsert_updates = true, .pending_max = 2});
    const SyncResult result =
        processor.process_batch("s", Ops{update("a", "1", stamp(1)), update("b", "1", stamp(1)),
                                         update("c", "1", stamp(1)), update("c", "2", stamp(2))});
    REQUIRE(sums(result, 4) == "0 2 2");
    CHECK(result.failed_operations[0].error == SyncErrc::pending_full);
    CHECK(result.failed_operations[1].error == SyncErrc::held_back);
    for (const auto& failed : result.failed_operations) {
        CHECK(failed.retryable);
        CHECK_FALSE(failed.wait);
    }
    CHECK(processor.drop_pending("s", processor.pending("s")[0]));
    CHECK(processor.process_batch("s", Ops{update("c", "1", stamp(1))}).conflict_count == 1);
}

TEST_CASE("detect_conflict and resolve_conflict change nothing", "[sync][sync_processor]") {
    Memory store;
    auto processor = processor_of(store, LastWriteWins{});
    const Op first = add("e", "1", stamp(5));
    REQUIRE(processor.process_batch("s", Ops{first}).success);
    CHECK_FALSE(processor.detect_conflict("s", first)->has_value());
    CHECK_FALSE(processor.detect_conflict("s", update("e", "2", stamp(6)))->has_value());
    const auto found = processor.detect_conflict("s", update("e", "2", stamp(4)));
    REQUIRE(found->has_value());
    CHECK((*found)->reason == Reason{StaleTimestamp{stamp(5), stamp(4)}});
    using Kind = Resolution<std::string>::Kind;
    CHECK(processor.resolve_conflict("s", **found).kind() == Kind::keep_local);
    const auto twice = processor.detect_conflict("s", add("e", "2", stamp(6)));
    REQUIRE(twice->has_value());
    CHECK(processor.resolve_conflict("s", **twice).kind() == Kind::keep_remote);
    CHECK(state_text(store, "e") == "live 5 1");
}

TEST_CASE("an Add older than the tombstones is kept, and so is an older repeat",
          "[sync][sync_processor]") {
    Memory store{MemoryStoreOptions{.ids_remembered = 2, .tombstones_kept = Duration{100}}};
    auto processor = processor_of(store, LastWriteWins{});
    const Op old = add("a", "1", stamp(10));
    CHECK(processor.process_batch("s", Ops{old, removal("a", stamp(20)), add("b", "1", stamp(500))})
              .success);
    // The id is forgotten, and the stamp shows that the operation is old.
    CHECK(sums(processor.process_batch("s", Ops{old}), 1) == "0 0 1");
    CHECK(state_text(store, "a") == "absent");
    const SyncResult result =
        processor.process_batch("s", Ops{add("c", "1", stamp(399)), add("d", "1", stamp(400))});
    REQUIRE(sums(result, 2) == "1 0 1");
    CHECK(result.failed_operations[0].error == SyncErrc::too_old);
    CHECK(result.failed_operations[0].retryable);
    CHECK_FALSE(result.failed_operations[0].wait);
}

TEST_CASE("an old operation is too old only if its element may have been removed and forgotten",
          "[sync][sync_processor]") {
    Memory store{MemoryStoreOptions{.tombstones_kept = Duration{100}}};
    auto processor = processor_of(store, RemoteWins{});
    REQUIRE(processor
                .process_batch("s", Ops{add("a", "1", stamp(5)), add("b", "1", stamp(5)),
                                        add("z", "1", stamp(500))})
                .success);
    REQUIRE(processor.process_batch("s", Ops{removal("b", stamp(450))}).success);
    Op brings_back = update("c", "2", stamp(11));
    brings_back.saw = stamp(7);
    const SyncResult result = processor.process_batch(
        "s", Ops{update("a", "2", stamp(10)), add("b", "2", stamp(10)), update("d", "2", stamp(10)),
                 removal("e", stamp(10)), brings_back});
    CHECK(sums(result, 5) == "2 2 1");
    CHECK(state_text(store, "a") == "live 10 2");
    CHECK(state_text(store, "b") == "live 450 2");
    CHECK(result.failed_operations[0].error == SyncErrc::too_old);
    CHECK(result.failed_operations[0].operation == brings_back);
}

TEST_CASE("SyncProcessor: a conflict whose answer was lost is a conflict again",
          "[sync][sync_processor]") {
    SyncNotes notes;
    Memory store;
    SyncProcessor processor{std::ref(store), LastWriteWins{}, SyncOptions{}, std::ref(notes),
                            ManualWallTime{}};
    Op concurrent = update("e", "5", stamp(4, 3));
    concurrent.saw = stamp(1);
    const Ops batch{add("e", "1", stamp(5)),    update("e", "2", stamp(4)),
                    add("e", "3", stamp(5, 0)), update("none", "4", stamp(4)),
                    removal("no", stamp(4)),    concurrent,
                    add("f", "6", stamp(5)),    interaction("x", stamp(5))};
    const SyncResult first = processor.process_batch("s", batch);
    REQUIRE(sums(first, batch.size()) == "3 4 1");  // one has no origin
    const SyncResult again = processor.process_batch("s", batch);
    CHECK(again.conflicts == first.conflicts);
    CHECK(again.synced_count == first.synced_count);
    const auto told = [&](const std::string& line) {
        return std::count(notes.lines.begin(), notes.lines.end(), line);
    };
    CHECK(told("StaleTimestamp keep_local") == 1);
    CHECK(told("duplicate e") == 4);
    // The element has changed since, so the report has the present stamp.
    REQUIRE(processor.process_batch("s", Ops{update("e", "7", stamp(9))}).success);
    const SyncResult later = processor.process_batch("s", Ops{batch[1]});
    REQUIRE(sums(later, 1) == "0 1 0");
    CHECK(later.conflicts[0].resolved);
    CHECK(later.conflicts[0].reason == Reason{StaleTimestamp{stamp(9), stamp(4)}});
}

TEST_CASE("a jump of the wall clock makes no operation too old", "[sync][sync_processor]") {
    Memory store{MemoryStoreOptions{.tombstones_kept = Duration{100}}};
    SyncProcessor processor{std::ref(store), LastWriteWins{}, SyncOptions{}, NoObserver{},
                            ManualWallTime{WallTime::max()}};
    CHECK(processor.process_batch("s", Ops{add("a", "1", stamp(500))}).success);
    CHECK(processor.process_batch("s", Ops{add("b", "1", stamp(450))}).success);
    CHECK(store.horizon() == WallTime{Duration{400}});
}

TEST_CASE("a batch of 10^6 is one batch", "[sync][sync_processor]") {
    MemoryStore<int> store;
    SyncProcessor processor{std::ref(store), LastWriteWins{}};
    const WallTime now = SystemClock{}.now();
    std::vector<Operation<int>> batch;
    for (std::uint64_t i = 0; i < 1'000'000; ++i) {
        batch.push_back({id_of(i + 1), Stamp{now, static_cast<std::uint32_t>(i), id_of(1)},
                         AddElement<int>{std::to_string(i), 1}});
    }
    CHECK(sums(processor.process_batch("s", batch), batch.size()) == "1000000 0 0");
    CHECK(store.size() == 1'000'000);
}
