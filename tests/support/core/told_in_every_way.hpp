// SPDX-License-Identifier: MIT
/// \file tests/support/core/told_in_every_way.hpp
/// Every way in which an observer can be given to a part, and that it is told the same in each.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <belay/core/tee.hpp>

#include "support/catch.hpp"

namespace belay_test {

/// What observers write down.
using Told = std::vector<std::string>;

/// `run(observer)` drives a part through all that it can tell; `observer` is made of `Told&`, and
/// writes there what it was told.
template <class Observer>
void told_in_every_way(const auto& run, const Told& all) {
    Told told;
    const auto is_all = [&](const char* way) {
        INFO(way);
        CHECK(told == all);
        told.clear();
    };
    run(Observer{told});
    is_all("by value");

    Observer elsewhere{told};
    run(std::ref(elsewhere));
    is_all("by std::ref");

    run(belay::Tee{belay::NoObserver{}, Observer{told}});
    is_all("in a Tee");

    belay::Tee tee{belay::Tee{std::ref(elsewhere), belay::NoObserver{}}, belay::NoObserver{}};
    run(std::ref(tee));
    is_all("by std::ref, in Tees, by std::ref");

    Told second;
    run(belay::Tee{Observer{told}, Observer{second}});
    CHECK(second == all);
    is_all("one of two");
}

}  // namespace belay_test
