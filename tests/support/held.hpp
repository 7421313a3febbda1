// SPDX-License-Identifier: MIT
/// \file tests/support/held.hpp
/// Held: the memory that an object holds while it is filled and drained again and again.
#pragma once

#include <cstdint>

namespace belay_test {

/// The largest rounding of an allocation.
inline constexpr std::int64_t page_size = 4096;

struct Held {
    bool worked = true;
    std::int64_t fixed = 0;   // before anything is appended
    std::int64_t filled = 0;  // the most in addition to that, of all rounds
    std::int64_t drained = 0;
    std::int64_t first_peak = 0;
    std::int64_t last_peak = 0;
};

}  // namespace belay_test
