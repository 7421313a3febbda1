// SPDX-License-Identifier: MIT
/// \file belay/core/detail/this_thread.hpp
/// this_thread: the identity of a thread, without <thread>.
#pragma once

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Returns an address that is unique to the calling thread.
[[nodiscard]] inline const void* this_thread() noexcept {
    static thread_local char name;
    return &name;
}

}}}  // namespace belay::detail
