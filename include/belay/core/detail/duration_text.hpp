// SPDX-License-Identifier: MIT
/// \file belay/core/detail/duration_text.hpp
/// duration_text: a duration as readable text for a log.
#pragma once

#include <string>  // std::string, std::to_string

#include <belay/core/instant.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Returns "250 ms", or "1.5 s" if `d` is a second or more.   Pre: d >= 0ns.
/// Throws: std::bad_alloc.
[[nodiscard]] inline std::string duration_text(Duration d) {
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(d).count();
    if (ms < 1000) return std::to_string(ms) + " ms";
    return std::to_string(ms / 1000) + "." + std::to_string(ms % 1000 / 100) + " s";
}

}}}  // namespace belay::detail
