// SPDX-License-Identifier: MIT
/// \file outage/svg.hpp
/// The picture of a run.
#pragma once

#include <string>
#include <string_view>

#include "timeline.hpp"

namespace outage {

/// A timeline as an SVG image: the states of the connection with its outages and attempts, what
/// ran, how much waited. Readable on light and dark backgrounds: it has its own, and follows the
/// reader's preference.
[[nodiscard]] std::string draw_svg(const Timeline& timeline, std::string_view title);

}  // namespace outage
