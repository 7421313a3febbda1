// SPDX-License-Identifier: MIT
// Goal: what thread_sleeper.hpp says of its types holds: concepts, sizes, what may throw.
#include <belay/drive/thread_sleeper.hpp>

using namespace belay;

static_assert(SleeperLike<ThreadSleeper>);
