// SPDX-License-Identifier: MIT
// Goal: what key_window.hpp says of its types holds: concepts, sizes, what may throw.
#include <belay/work/detail/key_window.hpp>

using namespace belay;

static_assert(sizeof(belay::detail::KeyFingerprint) == 16);
