// SPDX-License-Identifier: MIT
// Goal: the wait is the configured one at every opening, and draws nothing. Method: examples.
#include <belay/breaker/open_waits.hpp>

#include <type_traits>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

static_assert(std::is_trivially_copyable_v<OpenFor> && sizeof(OpenFor) == sizeof(Duration));
static_assert(!detail::HasReset<OpenFor>);

TEST_CASE("OpenFor waits equally long every time, and draws no bits", "[breaker][open_for][unit]") {
    STATIC_REQUIRE([] {
        const OpenFor wait{300s};
        Random bits{Seed{1}};
        Random untouched{Seed{1}};
        bool ok = true;
        for (int i = 0; i < 5; ++i) ok = ok && wait.next(bits) == 300s;
        return ok && bits() == untouched();
    }());
    Random bits{Seed{1}};
    CHECK(OpenFor{1ns}.next(bits) == 1ns);
    CHECK(OpenFor{forever}.next(bits) == forever);
}
