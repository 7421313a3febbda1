// SPDX-License-Identifier: MIT
// Goal: a program that visits a report gets each entry of each list. Method: a report with all
// lists.
#include <belay/sync/replica_options.hpp>

#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/sync/sync_rig.hpp"

using namespace belay;
using namespace belay_test;

TEST_CASE("ReplicaReport::for_each visits every list, and text() has every value",
          "[sync][replica_report][unit]") {
    using Report = part::ReplicaReport<std::string>;
    const Op update{id_of(1), {}, UpdateElement<std::string>{"a", "mine"}, {}, {}};
    const Op removal{id_of(2), {}, RemoveElement{"a"}, {}, {}};
    const std::error_code error = SyncErrc::store_full;
    Report report;
    CHECK_NOTHROW(report.for_each([](const auto&) { throw 1; }));
    // With another member this does not compile, so no new list is left out here.
    auto& [failure, synced, received, copied, conflicts, overwrote, kept, replaced, rebased,
           restored, unreadable, lost] = report;
    conflicts = {{update, {}, true}, {removal, {}, true}};
    overwrote = {{update, {}, {{}, "theirs"}}, {removal, {}, {}}};
    kept = {{update, error}, {Op{id_of(3), {}, Interaction{"a", "opened"}, {}, {}}, error}};
    replaced = {{{"a", {}, "mine"}, {"a", {}, std::nullopt}},
                {{"a", {}, "mine"}, {"a", {}, std::nullopt, error}}};
    rebased = {"a"};
    restored = {"a"};
    unreadable = {{"a", {}, std::nullopt, error}};
    lost.emplace();

    std::vector<std::string> lines;
    std::vector<int> lists;
    report.for_each([&](const Report::Entry& entry) {
        lines.push_back(entry.text([](const std::string& text) { return text; }));
        const int list = static_cast<int>(entry.list);
        if (lists.empty() || lists.back() != list) lists.push_back(list);
        CHECK((entry.edit == nullptr || entry.edit->element() == entry.element));
    });
    CHECK(lists == std::vector{0, 1, 2, 3, 4, 5, 6, 7});
    CHECK(lines ==
          std::vector<std::string>{
              "a: your edit lost: \"mine\"", "a: your edit lost: removed",
              "a: your edit replaced one that you had not seen: \"mine\" in place of \"theirs\"",
              "a: your edit replaced one that you had not seen: removed in place of removed",
              "a: the server did not take your edit: \"mine\" (the store is full)",
              "a: the server did not take your edit: opened (the store is full)",
              "a: another device changed your version: \"mine\" is now removed",
              "a: another device changed your version: \"mine\" (the store is full)",
              "a: another device changed it while your edit waited",
              "a: the server had lost it, and gets it again",
              "a: its new value cannot be read (the store is full)",
              "the server has lost changes"});
}
