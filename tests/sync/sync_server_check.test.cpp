// SPDX-License-Identifier: MIT
// Goal: check::sync_server accepts correct servers, and detects each mistake of others. Method: a
// SyncProcessor with and without a list of changes, and broken ones, each detected by its rule.
#include <belay/sync/sync_server_check.hpp>

#include <memory>
#include <set>
#include <string>

#include "support/catch.hpp"
#include "support/sync/replica_rig.hpp"

using namespace belay;
using namespace belay_test;

namespace {

using ServedPage = part::ChangesPage<std::string>;

/// A SyncProcessor and its store, in one object that moves.
template <class Store, class Strategy>
struct ServedStore {
    using Processor =
        SyncProcessor<std::reference_wrapper<Store>, Strategy, NoObserver, SystemClock>;
    Result<SyncResult<Op>> send(std::span<const Op> batch) { return server().send(batch); }
    Result<ServedPage> changes(const part::StoreCursor& since) { return server().changes(since); }
    detail::ProcessorServer<Processor> server() { return {*processor, "s", 3}; }

    std::unique_ptr<Store> store = std::make_unique<Store>();
    std::unique_ptr<Processor> processor =
        std::make_unique<Processor>(std::ref(*store), Strategy{});
};
using RightServer = ServedStore<Memory, LastWriteWins>;

struct AppliesTwice : RightServer {
    Result<SyncResult<Op>> send(std::span<const Op> batch) {
        std::vector<Op> fresh{batch.begin(), batch.end()};
        for (Op& one : fresh) one.id = fresh_id();
        auto result = RightServer::send(fresh);
        std::size_t i = 0;
        for (auto& one : result->conflicts) {
            while (fresh[i].id != one.operation.id) ++i;
            one.operation.id = batch[i].id;
        }
        return result;
    }
};
struct CountsTooMany : RightServer {
    Result<SyncResult<Op>> send(std::span<const Op> batch) {
        auto result = RightServer::send(batch);
        ++result->synced_count;
        return result;
    }
};
struct HidesConflicts : RightServer {
    Result<SyncResult<Op>> send(std::span<const Op> batch) {
        auto result = RightServer::send(batch);
        result->conflicts.clear();
        return result;
    }
};
struct ListsLate : RightServer {
    Result<ServedPage> changes(const part::StoreCursor& since) {
        if (++asked % 3 != 0 && since.store != no_id) return ServedPage{{}, since, false, false};
        return RightServer::changes(since);
    }
    int asked = 0;
};
struct NeverEnds : RightServer {
    Result<ServedPage> changes(const part::StoreCursor& since) {
        auto page = RightServer::changes(since);
        page->more = true;
        return page;
    }
};
struct SendsOnlyEmptyPages : RightServer {
    Result<ServedPage> changes(const part::StoreCursor& since) {
        if (since.store == no_id) return RightServer::changes(since);
        ServedPage page{{}, since, false, true};
        ++page.next.changes;
        return page;
    }
};
struct RepeatsItself : RightServer {
    Result<ServedPage> changes(const part::StoreCursor& since) {
        auto page = RightServer::changes(since);
        if (!page->begins_copy && !page->more) page->next.changes -= page->next.changes != 0;
        return page;
    }
};
struct StopsCopies : RightServer {
    Result<ServedPage> changes(const part::StoreCursor& since) {
        auto page = RightServer::changes(since);
        if (page->begins_copy) page->changes.resize(page->changes.size() / 2);
        return page;
    }
};
struct FollowsAnyCursor : RightServer {
    Result<ServedPage> changes(const part::StoreCursor& since) {
        part::StoreCursor own = RightServer::changes({})->next;
        if (since.store == no_id || since.changes <= own.seen) own = since;
        return RightServer::changes(own);
    }
};
struct TakesOtherStores : RightServer {
    Result<ServedPage> changes(const part::StoreCursor& since) {
        part::StoreCursor own = since;
        if (since.store != no_id) own.store = RightServer::changes({})->next.store;
        return RightServer::changes(own);
    }
};
struct HidesOtherHistory : RightServer {
    Result<ServedPage> changes(const part::StoreCursor& since) {
        auto page = RightServer::changes(since);
        page->other_history = false;
        return page;
    }
};
/// A device that restores a version after another one gets a conflict, or replaces it by itself.
struct RejectsWhatIsThere : RightServer {
    Result<SyncResult<Op>> send(std::span<const Op> batch) {
        const Op& op = batch[0];
        const auto there = store->find({"s", op.element()});
        const bool is_there = batch.size() == 1 && there->presence == part::Presence::live &&
                              there->stamp == op.stamp && !store->applied(op.id).value();
        if (!is_there) return RightServer::send(batch);
        SyncResult<Op> result;
        result.conflicts.push_back({op, ConcurrentModification{}, true});
        result.conflict_count = 1;
        return result;
    }
};
struct StampsWhatIsThere : RightServer {
    Result<SyncResult<Op>> send(std::span<const Op> batch) {
        std::vector<Op> fresh{batch.begin(), batch.end()};
        for (Op& one : fresh) {
            const auto there = store->find({"s", one.element()});
            const bool is_there = there->presence == part::Presence::live &&
                                  there->stamp == one.stamp && !store->applied(one.id).value();
            if (is_there) one.stamp = detail::stamp_above(one.stamp, one.stamp.origin);
        }
        return RightServer::send(fresh);
    }
};
struct FailsToAnswer : RightServer {
    Result<ServedPage> changes(const part::StoreCursor&) { return SyncErrc::unanswered; }
};

/// A server that encodes values, and cannot encode the value "unwritable".
template <class Store, class Strategy>
struct WritesValues : ServedStore<Store, Strategy> {
    using Base = ServedStore<Store, Strategy>;
    Result<ServedPage> changes(const part::StoreCursor& since) {
        auto page = Base::changes(since);
        for (auto& one : page->changes) {
            if (one.value != "unwritable") continue;
            one.value.reset();
            one.error = SyncErrc::store_corrupt;
        }
        return page;
    }
};
using WritingServer = WritesValues<Memory, LastWriteWins>;
struct FailsPagesOfUnwritable : WritingServer {
    Result<ServedPage> changes(const part::StoreCursor& since) {
        auto page = WritingServer::changes(since);
        for (const auto& one : page->changes) {
            if (one.error) return one.error;
        }
        return page;
    }
};
struct LeavesOutUnwritable : WritingServer {
    Result<ServedPage> changes(const part::StoreCursor& since) {
        auto page = WritingServer::changes(since);
        std::erase_if(page->changes, [](const auto& one) { return !!one.error; });
        return page;
    }
};
struct ListsUnwritableAsRemoved : WritingServer {
    Result<ServedPage> changes(const part::StoreCursor& since) {
        auto page = WritingServer::changes(since);
        for (auto& one : page->changes) one.error = {};
        return page;
    }
};
/// A server that never lists an element again after its error.
struct HidesWhatWasUnwritable : WritingServer {
    Result<ServedPage> changes(const part::StoreCursor& since) {
        auto page = WritingServer::changes(since);
        for (auto& one : page->changes) {
            if (one.error) hidden.insert(one.id);
            if (hidden.count(one.id) == 0) continue;
            one.value.reset();
            one.error = SyncErrc::store_corrupt;
        }
        return page;
    }
    std::set<std::string> hidden{};
};
struct FailsBatchesOfUnwritable : WritingServer {
    Result<SyncResult<Op>> send(std::span<const Op> batch) {
        auto result = WritingServer::send(batch);
        for (const auto& one : result->overwrote) {
            if (one.replaced.value == "unwritable") return SyncErrc::store_corrupt;
        }
        return result;
    }
};
struct KeepsEditsOfUnwritable : WritingServer {
    Result<SyncResult<Op>> send(std::span<const Op> batch) {
        const std::string element{batch[0].element()};
        if (store->read({"s", element}).value() != "unwritable") return WritingServer::send(batch);
        SyncResult<Op> result;
        result.failed_count = 1;
        result.failed_operations.push_back({batch[0], SyncErrc::store_corrupt});
        return result;
    }
};
/// A server that applies an operation again if the first answer could not contain all.
struct ForgetsUnwritable : WritingServer {
    Result<SyncResult<Op>> send(std::span<const Op> batch) {
        auto result = WritingServer::send(batch);
        const bool is_again = batch[0].id == left_out;
        for (const auto& one : result->overwrote) {
            if (one.replaced.value == "unwritable") left_out = batch[0].id;
        }
        if (is_again) {
            result->conflicts.push_back({batch[0], ConcurrentModification{}, true});
            result->conflict_count = 1;
            result->synced_count = 0;
        }
        return result;
    }
    Id left_out{};
};

template <class Server>
std::optional<check::SyncServerRule> rule_broken_by() {
    const auto fault = check::sync_server(
        [] { return Server{}; }, [](std::uint64_t i) { return std::to_string(i); },
        [](Server& server, std::string_view element, const Stamp& stamp) {
            CHECK_FALSE(
                server.store->add({"s", element}, "unwritable", {stamp, fresh_id(), 1, {}}));
        });
    return fault ? std::optional{fault->rule} : std::nullopt;
}

}  // namespace

TEST_CASE("check::sync_server finds no fault in a SyncProcessor", "[sync][sync_server_check]") {
    CHECK_FALSE(rule_broken_by<RightServer>());
    CHECK_FALSE(rule_broken_by<ServedStore<Memory, LocalWins>>());
    CHECK_FALSE(rule_broken_by<ServedStore<Memory, RemoteWins>>());
    CHECK_FALSE(rule_broken_by<ServedStore<MapStore, LastWriteWins>>());
    CHECK_FALSE(rule_broken_by<WritingServer>());
    CHECK_FALSE(rule_broken_by<WritesValues<Memory, LocalWins>>());
    CHECK_FALSE(rule_broken_by<WritesValues<Memory, RemoteWins>>());
    CHECK_FALSE(rule_broken_by<WritesValues<MapStore, LastWriteWins>>());
    CHECK_FALSE(check::sync_server([] { return RightServer{}; },
                                   [](std::uint64_t i) { return std::to_string(i); }));
}

TEST_CASE("check::sync_server detects each mistake of a server", "[sync][sync_server_check]") {
    using Rule = check::SyncServerRule;
    CHECK(rule_broken_by<AppliesTwice>() == Rule::applies_each_once);
    CHECK(rule_broken_by<CountsTooMany>() == Rule::accounts_for_each_operation);
    CHECK(rule_broken_by<HidesConflicts>() == Rule::accounts_for_each_operation);
    CHECK(rule_broken_by<ListsLate>() == Rule::lists_its_effects);
    CHECK(rule_broken_by<NeverEnds>() == Rule::ends_its_pages);
    CHECK(rule_broken_by<SendsOnlyEmptyPages>() == Rule::ends_its_pages);
    CHECK(rule_broken_by<RepeatsItself>() == Rule::lists_only_changes);
    CHECK(rule_broken_by<StopsCopies>().has_value());
    CHECK(rule_broken_by<FollowsAnyCursor>() == Rule::copies_for_other_cursors);
    CHECK(rule_broken_by<TakesOtherStores>() == Rule::copies_for_other_cursors);
    CHECK(rule_broken_by<HidesOtherHistory>() == Rule::copies_for_other_cursors);
    CHECK(rule_broken_by<RejectsWhatIsThere>() == Rule::applies_what_is_there);
    CHECK(rule_broken_by<StampsWhatIsThere>() == Rule::applies_what_is_there);
    CHECK(rule_broken_by<FailsToAnswer>() == Rule::takes_what_it_should);
    CHECK(rule_broken_by<FailsPagesOfUnwritable>() == Rule::answers_about_unwritable_values);
    CHECK(rule_broken_by<LeavesOutUnwritable>() == Rule::answers_about_unwritable_values);
    CHECK(rule_broken_by<ListsUnwritableAsRemoved>() == Rule::answers_about_unwritable_values);
    CHECK(rule_broken_by<HidesWhatWasUnwritable>() == Rule::lists_its_effects);
    CHECK(rule_broken_by<FailsBatchesOfUnwritable>() == Rule::answers_about_unwritable_values);
    CHECK(rule_broken_by<KeepsEditsOfUnwritable>() == Rule::answers_about_unwritable_values);
    CHECK(rule_broken_by<ForgetsUnwritable>() == Rule::applies_each_once);
}

TEST_CASE("every check::SyncServerRule has its own sentence", "[sync][sync_server_check]") {
    std::set<std::string> sentences;
    for (int i = 0; i <= static_cast<int>(check::SyncServerRule::applies_what_is_there); ++i) {
        CHECK(sentences.insert(to_string(static_cast<check::SyncServerRule>(i))).second);
    }
    CHECK(std::string{to_string(static_cast<check::SyncServerRule>(99))} == "unknown");
}
