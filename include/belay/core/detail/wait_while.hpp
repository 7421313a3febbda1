// SPDX-License-Identifier: MIT
/// \file belay/core/detail/wait_while.hpp
/// wait_while: std::atomic::wait, also where the standard library loses a wake.
#pragma once

#include <atomic>  // std::memory_order
#include <ctime>   // timespec

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Returns when `value` is no longer `old`, or earlier. A notification follows each change.
///
/// Where libstdc++ has no futex, as with MinGW-w64, its releases 11 and 12 compare the value before
/// they lock the mutex of the notification. A wake between the two is lost, and the thread would
/// sleep for ever. There it looks every millisecond.   Source: GCC bug 106183.
template <class Atomic, class T>
void wait_while(const Atomic& value, T old, std::memory_order order) noexcept {
#if defined(__GLIBCXX__) && !defined(_GLIBCXX_HAVE_PLATFORM_WAIT) && _GLIBCXX_RELEASE < 13
    for (int look = 0; value.load(order) == old; ++look) {
        if (look < 64) {
            __gthread_yield();  // what std::this_thread::yield calls, without <thread>
        } else {
            look = 64;
            const timespec pause{0, 1'000'000};
            nanosleep(&pause, nullptr);
        }
    }
#else
    value.wait(old, order);
#endif
}

}}}  // namespace belay::detail
