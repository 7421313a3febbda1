// SPDX-License-Identifier: MIT
// Goal: the three functions return the same as those of <algorithm>. Method: properties.
#include <belay/core/order.hpp>

#include <algorithm>
#include <vector>

#include "support/catch.hpp"

using namespace belay;

static_assert(detail::smaller(1, 2) == 1 && detail::smaller(2, 1) == 1);
static_assert(detail::larger(1, 2) == 2 && detail::larger(2, 1) == 2);

TEST_CASE("smaller and larger return the first of equal values", "[core][order][unit]") {
    struct Card {
        int rank;
        char suit;
        bool operator<(const Card& other) const { return rank < other.rank; }
    };
    CHECK(detail::smaller(Card{1, 'a'}, Card{1, 'b'}).suit == 'a');
    CHECK(detail::larger(Card{1, 'a'}, Card{1, 'b'}).suit == 'a');
}

TEST_CASE("first_after returns the same position as std::lower_bound", "[core][order][property]") {
    CHECK(rc::check([](std::vector<int> v, int x) {
        std::sort(v.begin(), v.end());
        const auto expected = std::lower_bound(v.begin(), v.end(), x) - v.begin();
        const std::size_t found = detail::first_after(v, [x](int y) { return y < x; });
        RC_ASSERT(found == static_cast<std::size_t>(expected));
    }));
    CHECK(detail::first_after(std::vector<int>{}, [](int) { return true; }) == 0);
}
