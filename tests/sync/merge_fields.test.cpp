// SPDX-License-Identifier: MIT
// Goal: MergeFields keeps each field that one side has changed, in both orders. Method: all maps of
// two fields against a plain model, and two replicas.
#include <belay/sync/strategy_like.hpp>

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <vector>

#include "support/catch.hpp"
#include "support/sync/sync_rig.hpp"

using namespace belay;
using namespace belay_test;

namespace {

using Fields = std::map<std::string, int>;
using FieldsOp = Operation<Fields>;

/// Two fields, each absent, 1 or 2.
Fields fields_of(int number) {
    Fields made;
    if (number % 3 != 0) made["a"] = number % 3;
    if (number / 3 != 0) made["b"] = number / 3;
    return made;
}
int field(const Fields& of, const char* name) {
    const auto at = of.find(name);
    return at != of.end() ? at->second : 0;
}
int merged_field(int base, int earlier, int later) { return later != base ? later : earlier; }

/// Returns the value after edits of `base`, in the given order.
std::optional<Fields> after_edits(const Fields& base, const std::vector<FieldsOp>& edits) {
    MemoryStore<Fields> store;
    SyncProcessor processor{std::ref(store), MergeFields{}, SyncOptions{}, NoObserver{},
                            ManualWallTime{}};
    std::vector<FieldsOp> batch{{fresh_id(), stamp(1), AddElement<Fields>{"e", base}}};
    batch.insert(batch.end(), edits.begin(), edits.end());
    const auto result = processor.process_batch("s", batch);
    REQUIRE(result.synced_count + result.conflict_count == batch.size());
    return store.read({"s", "e"}).value();
}
std::optional<Fields> after_both(const Fields& base, const FieldsOp& first,
                                 const FieldsOp& second) {
    return after_edits(base, {first, second});
}
/// Calls `see` with the value after three edits of `base`, in each order.
void after_three(const Fields& base, const Fields (&changed)[3],
                 const std::function<void(const std::optional<Fields>&)>& see) {
    std::vector<std::size_t> order{0, 1, 2};
    do {
        std::vector<FieldsOp> edits;
        for (const std::size_t i : order) {
            const auto moment = static_cast<int>(i) + 2;
            edits.push_back({fresh_id(), stamp(moment, i + 1),
                             UpdateElement<Fields>{"e", changed[i], base}, stamp(1)});
        }
        see(after_edits(base, edits));
    } while (std::next_permutation(order.begin(), order.end()));
}

}  // namespace

TEST_CASE("MergeFields gives each field the change of the side that changed it, in both orders",
          "[sync][merge_fields][property]") {
    for (int i = 0; i < 9 * 9 * 9; ++i) {
        const Fields base = fields_of(i % 9);
        const Fields early = fields_of(i / 9 % 9);
        const Fields late = fields_of(i / 81);
        const FieldsOp first{fresh_id(), stamp(2, 1), UpdateElement<Fields>{"e", early, base},
                             stamp(1)};
        const FieldsOp second{fresh_id(), stamp(3, 2), UpdateElement<Fields>{"e", late, base},
                              stamp(1)};
        const std::optional<Fields> merged = after_both(base, first, second);
        INFO(i);
        REQUIRE(merged);
        for (const char* const name : {"a", "b"}) {
            CHECK(field(*merged, name) ==
                  merged_field(field(base, name), field(early, name), field(late, name)));
        }
        CHECK(after_both(base, second, first) == merged);
    }
}

TEST_CASE("MergeFields without a base keeps all fields, and the later one of two",
          "[sync][merge_fields]") {
    const Fields early{{"a", 1}, {"b", 1}};
    const Fields late{{"b", 2}, {"c", 2}};
    const FieldsOp first{fresh_id(), stamp(2, 1), UpdateElement<Fields>{"e", early, {}}, stamp(1)};
    const FieldsOp second{fresh_id(), stamp(3, 2), UpdateElement<Fields>{"e", late, {}}, stamp(1)};
    const Fields both{{"a", 1}, {"b", 2}, {"c", 2}};
    CHECK(after_both({}, first, second) == both);
    CHECK(after_both({}, second, first) == both);
}

TEST_CASE("MergeFields decides a change and a concurrent removal by the later stamp",
          "[sync][merge_fields]") {
    const Fields base{{"a", 1}};
    const Fields changed{{"a", 2}};
    const FieldsOp removal{fresh_id(), stamp(2, 1), RemoveElement{"e"}, stamp(1)};
    const FieldsOp later{fresh_id(), stamp(3, 2), UpdateElement<Fields>{"e", changed, base},
                         stamp(1)};
    CHECK(after_both(base, removal, later) == changed);
    CHECK(after_both(base, later, removal) == changed);
    const FieldsOp earlier{fresh_id(), stamp(2, 2), UpdateElement<Fields>{"e", changed, base},
                           stamp(1)};
    const FieldsOp last{fresh_id(), stamp(3, 1), RemoveElement{"e"}, stamp(1)};
    CHECK(after_both(base, earlier, last) == std::nullopt);
    CHECK(after_both(base, last, earlier) == std::nullopt);
}

TEST_CASE("MergeFields merges three changes in each order, if no two are of one field",
          "[sync][merge_fields]") {
    const Fields base{{"a", 0}, {"b", 0}};
    after_three(base, {{{"a", 1}, {"b", 0}}, {{"a", 0}}, {{"a", 0}, {"b", 0}, {"c", 3}}},
                [](const auto& merged) {
                    CHECK(merged == Fields{{"a", 1}, {"c", 3}});
                });
    // The second one may come after the other two are merged, and is then the earlier side.
    std::set<int> kept;
    after_three(base, {{{"a", 1}, {"b", 0}}, {{"a", 2}, {"b", 0}}, {{"a", 0}, {"b", 3}}},
                [&](const auto& merged) {
                    kept.insert(field(*merged, "a"));
                    CHECK(field(*merged, "b") == 3);
                });
    CHECK(kept == std::set<int>{1, 2});
}
