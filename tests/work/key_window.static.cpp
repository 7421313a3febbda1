// SPDX-License-Identifier: MIT
// Goal: the types of key_window.hpp satisfy their concepts, have the documented sizes, and throw
// only as documented.
#include <belay/work/detail/key_window.hpp>

using namespace belay;

static_assert(sizeof(belay::detail::KeyFingerprint) == 24);
