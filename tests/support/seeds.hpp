// SPDX-License-Identifier: MIT
/// \file tests/support/seeds.hpp
/// for_each_seed: one property, many simulated histories. A failing one is named and can be
/// replayed.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include <belay/core/random.hpp>

#include "support/catch.hpp"

namespace belay_test {

/// A number from the environment.
inline std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
    const char* const text = std::getenv(name);
    return text != nullptr && *text != '\0' ? std::strtoull(text, nullptr, 10) : otherwise;
}

/// Whether BELAY_LARGE=1 selects the large sizes.
inline bool is_large() { return from_environment("BELAY_LARGE", 0) != 0; }

/// Returns the number of histories of a property that runs `usual` of them: BELAY_SEEDS if it is
/// 10,000 or more, or if BELAY_FIRST_SEED is set.
inline std::uint64_t histories(std::uint64_t usual) {
    const std::uint64_t asked = from_environment("BELAY_SEEDS", 2000);
    const bool all = asked >= 10'000 || from_environment("BELAY_FIRST_SEED", 0) != 0;
    return all ? asked : usual;
}

/// Calls `f(Seed)` for BELAY_SEEDS seeds (2000 if the environment has none), and for at most `most`
/// of them. They begin with BELAY_FIRST_SEED, or 1. With BELAY_SEED=n, `f` is called for that one
/// only. `f` ends a failing history by REQUIRE or by throwing; the report has its seed.
template <class F>
void for_each_seed(F&& f, std::uint64_t most = ~std::uint64_t{0}) {
    const std::uint64_t only = from_environment("BELAY_SEED", 0);
    const std::uint64_t count = std::min(from_environment("BELAY_SEEDS", 2000), most);
    REQUIRE(count > 0);
    const std::uint64_t first = only != 0 ? only : from_environment("BELAY_FIRST_SEED", 1);
    const std::uint64_t last = only != 0 ? only : first + count - 1;
    for (std::uint64_t seed = first; seed <= last; ++seed) {
        INFO("the history of BELAY_SEED=" << seed << "; set it to run this one again, alone");
        f(belay::Seed{seed});
    }
}

}  // namespace belay_test
