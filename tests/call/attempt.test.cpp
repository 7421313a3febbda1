// SPDX-License-Identifier: MIT
// Goal: an Attempt states whether an outer layer retries, and `within` passes that on. Method:
// nested calls.
#include <belay/call/attempt.hpp>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

static_assert(!Attempt{}.is_retry());
static_assert(Attempt{.number = 2}.is_retry());
static_assert(Attempt{.number = 1, .repeats = true}.is_retry());
static_assert(Attempt{}.deadline == never);

TEST_CASE("A callable that takes an Attempt gets it, and others are called without",
          "[call][attempt][unit]") {
    const auto number = [](Attempt attempt) { return attempt.number; };
    CHECK(detail::call(number, Attempt{.number = 7}) == 7);
    const auto by_reference = [](const Attempt& attempt) { return attempt.number; };
    CHECK(detail::call(by_reference, Attempt{.number = 7}) == 7);
    int calls = 0;
    const auto plain = [&] { ++calls; };
    static_assert(std::same_as<detail::CallResult<decltype(plain)>, detail::VoidOutcome>);
    detail::call(plain, Attempt{});
    CHECK(calls == 1);
    // A parameter with a default does not count as a request for the attempt.
    const auto port = [](int p = 80) { return p; };
    CHECK(detail::call(port, Attempt{.number = 7}) == 80);
}

TEST_CASE("within passes the deadline of an outer retry, and the fact that it repeats",
          "[call][attempt][unit]") {
    Attempt observed;
    const auto fn = [&](Attempt attempt) { observed = attempt; };
    const auto call = [&](Attempt outer, Attempt inner) {
        auto wrapped = within(outer, fn);
        detail::call(wrapped, inner);
        return observed;
    };
    CHECK(call({}, {}) == Attempt{});
    CHECK(call({.number = 2}, {.number = 1}) == Attempt{.number = 1, .repeats = true});
    CHECK(call({.number = 1, .repeats = true}, {.number = 3}) ==
          Attempt{.number = 3, .repeats = true});
    const Instant soon{1s};
    const Instant late{2s};
    CHECK(call({.deadline = soon}, {.deadline = late}).deadline == soon);
    CHECK(call({.deadline = late}, {.deadline = soon}).deadline == soon);
    // The same holds through several levels, and through callables that take no Attempt.
    auto twice = within(Attempt{.number = 2}, within(Attempt{.deadline = soon}, fn));
    detail::call(twice, Attempt{});
    CHECK(observed == Attempt{.number = 1, .repeats = true, .deadline = soon});
    auto careless = within(Attempt{}, [] { return 5; });
    CHECK(detail::call(careless, Attempt{}) == 5);
}
