// SPDX-License-Identifier: MIT
/// \file belay/core/detail/prefetch.hpp
/// prefetch_for_write: loads a line of memory into the caches before it is needed.
#pragma once

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Loads the line of an object that will be read or written soon.
inline void prefetch_for_write(const void* object) noexcept {
    __builtin_prefetch(object, 1);
    // GCC 12 takes a function that only prefetches for one without effect, and removes the call.
    asm volatile("" : : "r"(object));
}

}}}  // namespace belay::detail
