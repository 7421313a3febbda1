// SPDX-License-Identifier: MIT
/// \file tests/support/work/start_times.hpp
/// The times at which histories of work queues begin.
#pragma once

#include <belay/work/work_options.hpp>

namespace belay_test {

inline constexpr belay::Moment start{belay::Instant{std::chrono::seconds{100}},
                                     belay::WallTime{std::chrono::seconds{1'700'000'000}}};
inline constexpr belay::Moment when{belay::Instant{std::chrono::seconds{1}},
                                    belay::WallTime{std::chrono::seconds{1'700'000'000}}};

}  // namespace belay_test
