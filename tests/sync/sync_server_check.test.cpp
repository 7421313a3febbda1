// SPDX-License-Identifier: MIT
// Goal: check::sync_server accepts correct servers, and detects each mistake of others. Method: a
// SyncProcessor with and without a list of changes, and broken ones, each detected by its rule.
#include <belay/sync/sync_server_check.hpp>

#include <memory>

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
struct FailsToAnswer : RightServer {
    Result<ServedPage> changes(const part::StoreCursor&) { return SyncErrc::unanswered; }
};

template <class Server>
std::optional<check::SyncServerRule> rule_broken_by() {
    const auto fault = check::sync_server([] { return Server{}; },
                                          [](std::uint64_t i) { return std::to_string(i); });
    return fault ? std::optional{fault->rule} : std::nullopt;
}

}  // namespace

TEST_CASE("check::sync_server finds no fault in a SyncProcessor", "[sync][sync_server_check]") {
    CHECK_FALSE(rule_broken_by<RightServer>());
    CHECK_FALSE(rule_broken_by<ServedStore<Memory, LocalWins>>());
    CHECK_FALSE(rule_broken_by<ServedStore<Memory, RemoteWins>>());
    CHECK_FALSE(rule_broken_by<ServedStore<MapStore, LastWriteWins>>());
}

TEST_CASE("check::sync_server detects each mistake of a server", "[sync][sync_server_check]") {
    using Rule = check::SyncServerRule;
    CHECK(rule_broken_by<AppliesTwice>() == Rule::applies_each_once);
    CHECK(rule_broken_by<CountsTooMany>() == Rule::accounts_for_each_operation);
    CHECK(rule_broken_by<HidesConflicts>() == Rule::accounts_for_each_operation);
    CHECK(rule_broken_by<ListsLate>() == Rule::lists_its_effects);
    CHECK(rule_broken_by<NeverEnds>() == Rule::ends_its_pages);
    CHECK(rule_broken_by<RepeatsItself>() == Rule::lists_only_changes);
    CHECK(rule_broken_by<StopsCopies>().has_value());
    CHECK(rule_broken_by<FailsToAnswer>() == Rule::takes_what_it_should);
}

TEST_CASE("every check::SyncServerRule has its own sentence", "[sync][sync_server_check]") {
    std::set<std::string> sentences;
    for (int i = 0; i <= static_cast<int>(check::SyncServerRule::copies_for_new_readers); ++i) {
        CHECK(sentences.insert(to_string(static_cast<check::SyncServerRule>(i))).second);
    }
    CHECK(std::string{to_string(static_cast<check::SyncServerRule>(99))} == "unknown");
}
