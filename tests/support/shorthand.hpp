// SPDX-License-Identifier: MIT
/// \file tests/support/shorthand.hpp
/// Short names for many tests: an instant, and failures.
#pragma once

#include <system_error>

#include <belay/core/failure.hpp>
#include <belay/core/instant.hpp>

namespace belay_test {

/// The Instant that is this long after the beginning of time.
constexpr belay::Instant at(belay::Duration d) { return belay::Instant{d}; }

inline constexpr belay::Failure lost{belay::Cause::lost};
inline const std::error_code timed_out = std::make_error_code(std::errc::timed_out);
inline const std::error_code eio = std::make_error_code(std::errc::io_error);

}  // namespace belay_test
