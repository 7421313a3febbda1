// SPDX-License-Identifier: MIT
/// \file belay/core/no_observer.hpp
/// NoObserver: the observer of what nobody watches.
#pragma once

#include <belay/core/assert.hpp>

namespace belay::inline BELAY_ABI {

/// Sees nothing, and costs nothing.
struct NoObserver {};

}  // namespace belay::inline BELAY_ABI
