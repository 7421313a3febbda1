// SPDX-License-Identifier: MIT
// Goal: a violated condition ends the process with a message. A satisfied one adds no cost, also in
// constant expressions. Method: child processes.
#include <belay/core/assert.hpp>

#include "support/aborts.hpp"
#include "support/catch.hpp"

namespace {

constexpr int half(int n) {
    BELAY_PRECONDITION(n % 2 == 0, "half: n must be even");
    BELAY_INVARIANT(n / 2 * 2 == n, "half: nothing is lost");
    return n / 2;
}
static_assert(half(4) == 2);

template <int N>
concept Halves = requires { typename std::integral_constant<int, half(N)>; };
static_assert(Halves<4>);

/// The macros are expressions.
constexpr int checked(int n) { return BELAY_PRECONDITION(n > 0, "checked: n must be positive"), n; }
static_assert(checked(3) == 3);

}  // namespace

TEST_CASE("BELAY_PRECONDITION prints the place, the message and the condition",
          "[core][assert][unit]") {
    const std::string text = belay_test::aborts_with([] { static_cast<void>(half(3)); });
    CHECK(text.find("precondition violated: half: n must be even (n % 2 == 0)") !=
          std::string::npos);
    CHECK(text.find("assert.test.cpp:") != std::string::npos);
}

TEST_CASE("BELAY_INVARIANT reports a mistake of belay itself", "[core][assert][unit]") {
    const std::string text =
        belay_test::aborts_with([] { BELAY_INVARIANT(1 + 1 == 3, "sum: must add up"); });
    CHECK(text.find("invariant violated: sum: must add up") != std::string::npos);
}

TEST_CASE("BELAY_PRECONDITION evaluates its condition once", "[core][assert][unit]") {
    int calls = 0;
    BELAY_PRECONDITION(++calls == 1, "calls: must be one");
    CHECK(calls == 1);
    CHECK(half(6) == 3);
}
