// SPDX-License-Identifier: MIT
// Goal: sort_stably sorts, and keeps the order of equal values. Method: std::stable_sort as the
// model, over vectors of few keys.
#include <belay/core/detail/heap.hpp>

#include <algorithm>
#include <cstdint>
#include <utility>

#include "support/catch.hpp"

using namespace belay;

TEST_CASE("core: sort_stably sorts like std::stable_sort", "[core][sort_stably][property]") {
    CHECK(rc::check("the same order", [](const std::vector<std::uint8_t>& keys) {
        std::vector<std::pair<int, std::size_t>> values;
        for (const std::uint8_t key : keys) values.emplace_back(key % 5, values.size());
        const auto before = [](const auto& a, const auto& b) { return a.first < b.first; };
        auto wanted = values;
        std::stable_sort(wanted.begin(), wanted.end(), before);
        detail::sort_stably(values, before);
        RC_ASSERT(values == wanted);
    }));
}
