// SPDX-License-Identifier: MIT
/// \file tests/support/held.hpp
/// Held: how much memory something holds while it is filled and drained again and again.
#pragma once

#include <cstdint>

namespace belay_test {

/// How far an allocation may be rounded up.
inline constexpr std::int64_t page_size = 4096;

struct Held {
    bool worked = true;
    std::int64_t fixed = 0;   // before anything is appended
    std::int64_t filled = 0;  // the most beyond that, of all rounds
    std::int64_t drained = 0;
    std::int64_t first_peak = 0;
    std::int64_t last_peak = 0;
};

}  // namespace belay_test
