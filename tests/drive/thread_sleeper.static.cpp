// SPDX-License-Identifier: MIT
// Goal: the types of thread_sleeper.hpp satisfy their concepts, have the documented sizes, and
// throw only as documented.
#include <belay/drive/thread_sleeper.hpp>

using namespace belay;

static_assert(SleeperLike<ThreadSleeper>);
