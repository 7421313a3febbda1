// SPDX-License-Identifier: MIT
/// \file belay/core/no_limit.hpp
/// no_limit: the value of an option or a capacity that has no limit.
#pragma once

#include <cstddef>  // std::size_t

#include <belay/core/assert.hpp>  // BELAY_ABI

namespace belay { inline namespace BELAY_ABI {

/// The value of a limit that does not limit: the largest std::size_t.
inline constexpr std::size_t no_limit = static_cast<std::size_t>(-1);

}}  // namespace belay
