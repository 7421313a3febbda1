// SPDX-License-Identifier: MIT
// Goal: sort_stably sorts, and keeps the order of equal values. Method: std::stable_sort as the
// model, over vectors of few keys.
#include <belay/yjs/detail/yjs_write.hpp>

#include <algorithm>

#include "support/catch.hpp"

using namespace belay;

TEST_CASE("yjs: sort_stably sorts like std::stable_sort", "[yjs][yjs_write][property]") {
    CHECK(rc::check("the same order", [](const std::vector<std::uint8_t>& keys) {
        std::vector<yjs::detail::DeleteRange> ranges;
        for (const std::uint8_t key : keys) {
            // The clock is the place before sorting.
            ranges.push_back({.client = key % 5U, .clock = ranges.size(), .len = 1});
        }
        const auto before = [](const auto& a, const auto& b) { return a.client > b.client; };
        auto wanted = ranges;
        std::stable_sort(wanted.begin(), wanted.end(), before);
        yjs::detail::sort_stably(ranges, before);
        const auto same = [](const auto& a, const auto& b) {
            return a.client == b.client && a.clock == b.clock;
        };
        RC_ASSERT(std::equal(ranges.begin(), ranges.end(), wanted.begin(), wanted.end(), same));
    }));
}
