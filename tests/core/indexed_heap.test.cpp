// SPDX-License-Identifier: MIT
// Goal: an IndexedHeap has its least item in front, after each change of any item.
// Method: random changes, and a plain search as the model.
#include <belay/core/detail/heap.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <set>
#include <utility>
#include <vector>

#include "support/catch.hpp"

namespace {

struct RankedItem {
    std::uint8_t rank = 0;
    std::uint16_t place = 0;
};
struct ByRank {
    static bool before(const RankedItem* a, const RankedItem* b) noexcept {
        return a->rank < b->rank;
    }
    static std::uint16_t& place(RankedItem* item) noexcept { return item->place; }
};

}  // namespace

TEST_CASE("IndexedHeap agrees with a plain search for the least", "[core][heap][property]") {
    CHECK(rc::check("front() is a minimum of the heap",
                    [](const std::vector<std::pair<std::uint8_t, std::uint8_t>>& steps) {
                        std::array<RankedItem, 16> items{};
                        belay::detail::IndexedHeap<RankedItem*> heap;
                        std::set<RankedItem*> model;
                        for (const auto& [which, rank] : steps) {
                            RankedItem& item = items[which % 16];
                            if (!model.contains(&item)) {
                                item.rank = rank;
                                heap.push(&item, ByRank{});
                                model.insert(&item);
                            } else if (rank % 3 == 0) {
                                heap.remove(&item, ByRank{});
                                model.erase(&item);
                            } else {
                                item.rank = rank;
                                heap.moved(&item, ByRank{});
                            }
                            RC_ASSERT(heap.size() == model.size());
                            if (model.empty()) continue;
                            const auto* least =
                                *std::min_element(model.begin(), model.end(),
                                                  [](const RankedItem* a, const RankedItem* b) {
                                                      return a->rank < b->rank;
                                                  });
                            RC_ASSERT(heap.front()->rank == least->rank);
                        }
                    }));
}
