// SPDX-License-Identifier: MIT
// Goal: a MemoryStore keeps its limits of ids, tombstones and elements, and can be moved.
// Method: each limit is reached and passed; the ids are compared with a plain model.
#include <belay/sync/memory_store.hpp>

#include <deque>
#include <map>

#include "support/catch.hpp"
#include "support/default_member.hpp"
#include "support/sync/sync_rig.hpp"

using namespace belay;
using namespace belay_test;

namespace {

part::WriteMark mark_at(std::int64_t time) { return {stamp(time), fresh_id(), 7}; }

}  // namespace

static_assert(belay_test::DefaultMember<MemoryStore<std::string>>);

TEST_CASE("MemoryStore::expire forgets tombstones older than tombstones_kept",
          "[sync][memory_store]") {
    Memory store{MemoryStoreOptions{.tombstones_kept = Duration{100}}};
    CHECK_FALSE(store.add({"s", "live"}, "1", mark_at(1)));
    CHECK_FALSE(store.remove({"s", "old"}, mark_at(10)));
    CHECK_FALSE(store.remove({"s", "newer"}, mark_at(20)));
    CHECK_FALSE(store.remove({"s", "again"}, mark_at(10)));
    CHECK_FALSE(store.remove({"s", "again"}, mark_at(30)));
    CHECK_FALSE(store.remove({"s", "back"}, mark_at(10)));
    CHECK_FALSE(store.add({"s", "back"}, "2", mark_at(11)));
    CHECK(store.horizon() == WallTime::min());
    CHECK_FALSE(store.expire(WallTime{Duration{120}}));
    CHECK(store.horizon() == WallTime{Duration{20}});
    CHECK(state_text(store, "live") == "live 1 1");
    CHECK(state_text(store, "old") == "absent");
    CHECK(state_text(store, "newer") == "removed 20");
    CHECK(state_text(store, "again") == "removed 30");
    CHECK(state_text(store, "back") == "live 11 2");
    CHECK(store.size() == 4);
    // The horizon does not go back, and later removals are forgotten at their times.
    CHECK_FALSE(store.expire(WallTime{Duration{1}}));
    CHECK(store.horizon() == WallTime{Duration{20}});
    CHECK_FALSE(store.remove({"s", "back"}, mark_at(21)));
    CHECK_FALSE(store.expire(WallTime{Duration{131}}));
    CHECK(store.size() == 1);
    CHECK(state_text(store, "back") == "absent");
}

TEST_CASE("MemoryStore with tombstones_kept = forever keeps all tombstones",
          "[sync][memory_store]") {
    Memory store{MemoryStoreOptions{.tombstones_kept = forever}};
    CHECK_FALSE(store.remove({"s", "e"}, mark_at(1)));
    CHECK_FALSE(store.expire(WallTime::max()));
    CHECK(state_text(store, "e") == "removed 1");
    CHECK(store.horizon() == WallTime::min());
}

TEST_CASE("MemoryStore has at most its limit of elements", "[sync][memory_store]") {
    Memory store{MemoryStoreOptions{.elements_max = 2}};
    CHECK_FALSE(store.add({"s", "a"}, "1", mark_at(1)));
    CHECK_FALSE(store.remove({"t", "b"}, mark_at(1)));
    const part::WriteMark refused = mark_at(1);
    CHECK(store.add({"s", "c"}, "1", refused) == SyncErrc::store_full);
    CHECK_FALSE(store.applied(refused.operation).value());
    CHECK_FALSE(store.add({"s", "a"}, "2", mark_at(2)));
}

TEST_CASE("MemoryStore::update rejects an element that is not live", "[sync][memory_store]") {
    Memory store;
    CHECK(store.update({"s", "a"}, "1", mark_at(1)) == SyncErrc::store_disagrees);
    CHECK_FALSE(store.remove({"s", "a"}, mark_at(1)));
    CHECK(store.update({"s", "a"}, "1", mark_at(1)) == SyncErrc::store_disagrees);
}

TEST_CASE("MemoryStore moves with its whole state", "[sync][memory_store]") {
    Memory store{MemoryStoreOptions{.tombstones_kept = Duration{100}}};
    const part::WriteMark mark = mark_at(1);
    CHECK_FALSE(store.add({"s", "a"}, "1", mark));
    CHECK_FALSE(store.remove({"s", "b"}, mark_at(1)));
    Memory moved{std::move(store)};
    CHECK(state_text(moved, "a") == "live 1 1");
    store = Memory{};
    CHECK(state_text(store, "a") == "absent");
    CHECK_FALSE(store.add({"s", "a"}, "other", mark_at(5)));
    store = std::move(moved);
    CHECK(state_text(store, "a") == "live 1 1");
    CHECK(store.applied(mark.operation).value()->hash == 7);
    CHECK_FALSE(store.expire(WallTime{Duration{1000}}));
    CHECK(store.size() == 1);
    std::vector<std::string> all;
    store.for_each("s", [&](std::string_view id, const std::string& value, const Stamp& at) {
        all.push_back(std::string{id} + value);
        CHECK(at == mark.stamp);
    });
    CHECK(all == std::vector<std::string>{"a1"});
}

TEST_CASE("AppliedIds keeps the last ids", "[sync][memory_store][property]") {
    CHECK(rc::check("as a plain deque does", [] {
        const auto most = static_cast<std::size_t>(*rc::gen::inRange(0, 80));
        detail::AppliedIds ids{most};
        std::deque<std::pair<Id, part::AppliedMark>> model;
        const auto steps = *rc::gen::inRange(0, 400);
        for (int i = 0; i < steps; ++i) {
            // Ids of few values in the bits that the index looks at, so that they collide.
            const Id id = id_of(static_cast<std::uint64_t>(*rc::gen::inRange(1, 200)));
            const auto there = std::find_if(model.begin(), model.end(),
                                            [&](const auto& one) { return one.first == id; });
            const auto found = ids.find(id);
            RC_ASSERT(found.has_value() == (there != model.end()));
            if (found) {
                RC_ASSERT(*found == there->second);
                continue;
            }
            ids.prepare();
            const part::AppliedMark mark{static_cast<std::uint64_t>(i),
                                         static_cast<part::Decision>(i % 6)};
            ids.insert(id, mark);
            model.emplace_back(id, mark);
            if (model.size() > most) model.pop_front();
            RC_ASSERT(ids.size() == model.size());
        }
    }));
}

TEST_CASE("AppliedIds distinguishes ids with the same hash", "[sync][memory_store]") {
    // A factor mixes the two halves of an id. These ids undo that.
    const auto id = [](std::uint64_t high) {
        Id made{};
        store_le(made.data(), std::uint64_t{7} ^ (high * 0x9E3779B97F4A7C15U));
        store_le(made.data() + 8, high);
        return made;
    };
    detail::AppliedIds ids{2};
    for (std::uint64_t i = 0; i < 5; ++i) {
        CHECK_FALSE(ids.find(id(i)));
        ids.prepare();
        ids.insert(id(i), {i, part::Decision::applied});
        CHECK(ids.find(id(i))->hash == i);
        CHECK((i == 0 || ids.find(id(i - 1))->hash == i - 1));
        CHECK((i < 2 || !ids.find(id(i - 2))));
    }
}

TEST_CASE("ElementTable keeps its values at stable places, as a plain map does",
          "[sync][memory_store][property]") {
    CHECK(rc::check("as a plain map does", [] {
        using Table = detail::ElementTable<int>;
        Table table;
        std::map<std::string, Table::Node*> model;
        const auto steps = *rc::gen::inRange(0, 1500);
        for (int i = 0; i < steps; ++i) {
            // The empty name, too, and more names than a chunk has.
            const int number = *rc::gen::inRange(0, 700);
            const std::string name = number == 0 ? std::string{} : std::to_string(number);
            Table::Node* const found = table.find(name);
            const auto there = model.find(name);
            RC_ASSERT(found == (there == model.end() ? nullptr : there->second));
            if (found == nullptr) {
                Table::Node& made = table.insert(name);
                RC_ASSERT(made.row == 0);
                made.row = i + 1;
                model[name] = &made;
            } else if (i % 3 != 0) {
                table.erase(*found);
                model.erase(name);
            }
        }
        std::size_t observed_by_all = 0;
        table.for_each([&](const Table::Node& node) {
            RC_ASSERT(model.at(node.name) == &node);
            ++observed_by_all;
        });
        RC_ASSERT(observed_by_all == model.size());
    }));
}

TEST_CASE("MemoryStore::changes_since begins a copy after it forgot a removal, and ends it",
          "[sync][memory_store]") {
    Memory store{MemoryStoreOptions{.tombstones_kept = Duration{100}}};
    for (int i = 0; i < 10; ++i) {
        REQUIRE_FALSE(store.add({"s", std::to_string(i)}, "v", mark_at(i + 1)));
    }
    const auto before = store.changes_since("s", {}, 20);
    REQUIRE(before);
    CHECK(before->begins_copy);
    CHECK(before->changes.size() == 10);
    CHECK_FALSE(before->more);
    REQUIRE_FALSE(store.remove({"s", "0"}, mark_at(50)));
    REQUIRE_FALSE(store.expire(WallTime{Duration{1'000}}));
    auto page = store.changes_since("s", before->next, 4);
    REQUIRE(page);
    CHECK(page->begins_copy);
    // The forgotten removal is later than the first pages, and does not begin the copy again.
    std::size_t copied = page->changes.size();
    while (page->more) {
        page = store.changes_since("s", page->next, 4);
        REQUIRE(page);
        CHECK_FALSE(page->begins_copy);
        copied += page->changes.size();
    }
    CHECK(copied == 9);
}

TEST_CASE("MemoryStore lists each element once, however often it changed", "[sync][memory_store]") {
    Memory store;
    for (int i = 0; i < 10'000; ++i) {
        REQUIRE_FALSE(store.add({"s", std::to_string(i % 7)}, std::to_string(i), mark_at(i)));
    }
    const auto page = store.changes_since("s", {}, 100);
    REQUIRE(page);
    REQUIRE(page->changes.size() == 7);
    CHECK(page->changes.front().value == "9993");
    CHECK(page->changes.back().value == "9999");
    CHECK(page->next.changes == 10'000);
    CHECK(store.changes_since("other", page->next, 1)->changes.empty());
}

TEST_CASE("MemoryStore lists changes of thousands of elements as a reader needs them",
          "[sync][memory_store]") {
    Memory store;
    Random bits{Seed{7}};
    std::map<std::string, std::string> has;
    part::StoreCursor cursor;
    std::uint64_t listed = 0;
    const auto read = [&](std::size_t most) {
        const auto page = store.changes_since("s", cursor, most);
        REQUIRE(page);
        CHECK(page->changes.size() <= most);
        for (const auto& change : page->changes) {
            has.erase(change.id);
            if (change.value) has.emplace(change.id, *change.value);
        }
        listed += page->changes.size();
        cursor = page->next;
        return page->more;
    };
    for (int i = 0; i < 30'000; ++i) {
        // A few elements change all the time, and most of them rarely.
        const std::uint64_t span = i % 2 == 0 ? 20 : 3'000;
        const std::string id = std::to_string(uniform_upto(bits, span - 1));
        const part::WriteMark mark = mark_at(i);
        const bool removes = uniform_upto(bits, 4) == 0;
        const std::error_code error =
            removes ? store.remove({"s", id}, mark) : store.add({"s", id}, std::to_string(i), mark);
        REQUIRE_FALSE(error);
        if (i % 500 == 0) read(100);
    }
    while (read(100)) {
    }
    std::map<std::string, std::string> all;
    store.for_each("s", [&](std::string_view id, const std::string& value, const Stamp&) {
        all.emplace(std::string{id}, value);
    });
    CHECK(has == all);
    CHECK(listed < 15'000);  // not one entry for each of the 30,000 changes
}
