// SPDX-License-Identifier: MIT
// Goal: the three orderings answer as those of <algorithm> do.
#include <belay/core/order.hpp>

#include <algorithm>
#include <vector>

#include "support/catch.hpp"

using namespace belay;

static_assert(detail::smaller(1, 2) == 1 && detail::smaller(2, 1) == 1);
static_assert(detail::larger(1, 2) == 2 && detail::larger(2, 1) == 2);

TEST_CASE("Of equal values smaller and larger take the first", "[core][order][unit]") {
    struct Card {
        int rank;
        char suit;
        bool operator<(const Card& other) const { return rank < other.rank; }
    };
    CHECK(detail::smaller(Card{1, 'a'}, Card{1, 'b'}).suit == 'a');
    CHECK(detail::larger(Card{1, 'a'}, Card{1, 'b'}).suit == 'a');
}

TEST_CASE("first_after finds what std::lower_bound finds", "[core][order][property]") {
    CHECK(rc::check([](std::vector<int> v, int x) {
        std::sort(v.begin(), v.end());
        const auto expected = std::lower_bound(v.begin(), v.end(), x) - v.begin();
        const std::size_t found = detail::first_after(v, [x](int y) { return y < x; });
        RC_ASSERT(found == static_cast<std::size_t>(expected));
    }));
    CHECK(detail::first_after(std::vector<int>{}, [](int) { return true; }) == 0);
}
