// SPDX-License-Identifier: MIT
// Goal: a CountWindow holds exactly the last N calls. Method: compared with a list of all calls.
#include <belay/breaker/trips.hpp>

#include <algorithm>
#include <type_traits>
#include <vector>

#include "support/catch.hpp"

using namespace belay;

static_assert(std::is_trivially_copyable_v<CountWindow<100>>);
static_assert(detail::CountsCalls<CountWindow<1>> && !detail::CountsCallsInTime<CountWindow<1>>);
static_assert(CountWindow<7>{}.capacity() == 7);

TEST_CASE("CountWindow forgets the oldest call when it is full", "[breaker][count_window][unit]") {
    STATIC_REQUIRE([] {
        CountWindow<3> window;
        bool ok = window.counts() == CallCounts{0, 0};
        window.add(true);
        ok = ok && window.counts() == CallCounts{1, 1};
        window.add(false);
        window.add(false);
        ok = ok && window.counts() == CallCounts{3, 1};
        window.add(true);
        ok = ok && window.counts() == CallCounts{3, 1};
        window.add(false);
        ok = ok && window.counts() == CallCounts{3, 1};
        window.reset();
        return ok && window.counts() == CallCounts{0, 0};
    }());
}

TEST_CASE("CountWindow of one call holds the last one", "[breaker][count_window][unit]") {
    CountWindow<1> window;
    for (const bool bad : {true, true, false, true, false, false}) {
        window.add(bad);
        CHECK(window.counts() == CallCounts{1, bad ? 1U : 0U});
    }
}

namespace {

template <std::size_t N>
void is_exact() {
    CHECK(rc::check("the counts are those of the last calls", [](const std::vector<bool>& calls) {
        CountWindow<N> window;
        for (std::size_t i = 0; i < calls.size(); ++i) {
            window.add(calls[i]);
            const std::size_t held = std::min(N, i + 1);
            const auto end = calls.begin() + static_cast<std::ptrdiff_t>(i + 1);
            const auto bad = std::count(end - static_cast<std::ptrdiff_t>(held), end, true);
            RC_ASSERT(window.counts().calls == held);
            RC_ASSERT(window.counts().bad == static_cast<std::uint64_t>(bad));
        }
    }));
}

}  // namespace

TEST_CASE("CountWindow is exact for sizes near multiples of its word size",
          "[breaker][count_window][property]") {
    is_exact<2>();
    is_exact<10>();
    is_exact<63>();
    is_exact<64>();
    is_exact<65>();
}
