// SPDX-License-Identifier: MIT
/// \file belay/core/detail/report_misuse.hpp
/// report_misuse: prints a line about a mistake that is too late to stop the program.
#pragma once

#include <cstdio>  // std::fprintf

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Prints `what` to stderr if `is_wrong()` returns true. Like a precondition, it evaluates nothing
/// if BELAY_ASSERTIONS is 0.
template <class F>
void report_misuse([[maybe_unused]] const F& is_wrong, [[maybe_unused]] const char* what) noexcept {
#if BELAY_ASSERTIONS
    if (is_wrong()) std::fprintf(stderr, "belay: misuse: %s\n", what);
#endif
}

}}}  // namespace belay::detail
