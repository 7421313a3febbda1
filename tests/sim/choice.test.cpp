// SPDX-License-Identifier: MIT
// Goal: a step gets each combination of its choices once. Method: steps whose second choice depends
// on the first.
#include <belay/sim/choice.hpp>

#include <set>

#include "support/catch.hpp"

using namespace belay;

TEST_CASE("Choice makes each combination once", "[sim][choice][unit]") {
    sim::Choice c;
    std::multiset<std::string> seen;
    c.describe(true);
    do {
        c.restart();
        if (c.choose({"a", "b", "c"}) == 1) static_cast<void>(c.choose("n", 3));
        seen.insert(c.text());
        CHECK_FALSE(c.broken());
    } while (c.advance());
    CHECK(seen == std::multiset<std::string>{"a", "b, n 0", "b, n 1", "b, n 2", "c"});
}

TEST_CASE("Choice clears the results of the step at each call", "[sim][choice][unit]") {
    sim::Choice c;
    c.restart();
    c.impossible();
    c.unfair();
    c.require(false, "first");
    c.require(false, "second");
    c.reach("mark");
    CHECK(*c.broken() == "first");
    CHECK_FALSE(c.is_possible());
    CHECK(c.is_unfair());
    CHECK(c.marks().size() == 1);
    CHECK_FALSE(c.advance());
    c.restart();
    CHECK_FALSE(c.broken());
    CHECK(c.is_possible());
    CHECK_FALSE(c.is_unfair());
    CHECK(c.marks().empty());
}
