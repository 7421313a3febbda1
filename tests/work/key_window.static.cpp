// SPDX-License-Identifier: MIT
// Goal: what key_window.hpp says of its types holds: concepts, sizes, what may throw.
#include <belay/work/key_window.hpp>

using namespace belay;

static_assert(sizeof(KeyPrint) == 16);
