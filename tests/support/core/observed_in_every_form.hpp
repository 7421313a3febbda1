// SPDX-License-Identifier: MIT
/// \file tests/support/core/observed_in_every_form.hpp
/// observed_in_every_form: checks that an observer gets the same calls in every form.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <belay/core/tee.hpp>

#include "support/catch.hpp"

namespace belay_test {

/// The calls that an observer recorded, as text.
using Recorded = std::vector<std::string>;

/// Calls `run(observer)`, which runs all hooks of a part. `observer` is constructed from
/// `Recorded&`, and records its calls there.
template <class Observer>
void observed_in_every_form(const auto& run, const Recorded& all) {
    Recorded reported;
    const auto is_all = [&](const char* way) {
        INFO(way);
        CHECK(reported == all);
        reported.clear();
    };
    run(Observer{reported});
    is_all("by value");

    Observer elsewhere{reported};
    run(std::ref(elsewhere));
    is_all("by std::ref");

    run(belay::Tee{belay::NoObserver{}, Observer{reported}});
    is_all("in a Tee");

    belay::Tee tee{belay::Tee{std::ref(elsewhere), belay::NoObserver{}}, belay::NoObserver{}};
    run(std::ref(tee));
    is_all("by std::ref, in Tees, by std::ref");

    Recorded second;
    run(belay::Tee{Observer{reported}, Observer{second}});
    CHECK(second == all);
    is_all("one of two");
}

}  // namespace belay_test
