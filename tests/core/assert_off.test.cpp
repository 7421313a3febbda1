// SPDX-License-Identifier: MIT
// Goal: the macros evaluate nothing when they are off, and still check that their operands compile.
// BELAY_OPTION is never off.
// One program may contain both modes.
#undef BELAY_ASSERTIONS
#define BELAY_ASSERTIONS 0
#include <type_traits>

#include <belay/core/instant.hpp>

#include "support/aborts.hpp"
#include "support/catch.hpp"

namespace {

template <class T>
concept ChecksOperands =
    requires(T t) { BELAY_PRECONDITION(t.no_such_member(), "operand: must compile"); };
static_assert(!ChecksOperands<int>);

constexpr int half(int n) {
    BELAY_PRECONDITION(n % 2 == 0, "half: n must be even");
    return n / 2;
}
static_assert(half(3) == 1,
              "off, a broken precondition is not seen in constant expressions either");

constexpr int option(int n) {
    BELAY_OPTION(n % 3 == 0, "option: n must be a multiple of 3");
    return n / 3;
}
static_assert(option(3) == 1);
template <int n>
concept IsConstant = requires { typename std::integral_constant<int, option(n)>; };
static_assert(IsConstant<6> && !IsConstant<7>, "a wrong option in a constant does not compile");

}  // namespace

TEST_CASE("BELAY_PRECONDITION does not evaluate its condition when it is off",
          "[core][assert][unit]") {
    int calls = 0;
    BELAY_PRECONDITION(++calls == 0, "calls: must be zero");
    BELAY_INVARIANT(++calls == 0, "calls: must be zero");
    CHECK(calls == 0);
}

TEST_CASE("The inline namespace separates the two modes", "[core][assert][unit]") {
    // instant.test.cpp of the same program is compiled with assertions on.
    constexpr belay::Instant (*here)(belay::Instant, belay::Duration) noexcept = &belay::v0::after;
    CHECK(here(belay::Instant{}, belay::Duration{1}) == belay::Instant{belay::Duration{1}});
}

TEST_CASE("BELAY_OPTION ends the program when assertions are off", "[core][assert][unit]") {
    CHECK_THAT(belay_test::aborts_with([] { static_cast<void>(option(4)); }),
               Catch::Matchers::Contains("option: n must be a multiple of 3"));
}
