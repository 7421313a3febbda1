// SPDX-License-Identifier: MIT
/// \file belay/core/detail/report_misuse.hpp
/// report_misuse: prints a line about a mistake that is too late to stop the program.
#pragma once

#include <cstdio>  // std::fprintf

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Prints `what` to stderr. Call it only if BELAY_ASSERTIONS is not 0.
inline void report_misuse(const char* what) noexcept {
    std::fprintf(stderr, "belay: misuse: %s\n", what);
}

}}}  // namespace belay::detail
