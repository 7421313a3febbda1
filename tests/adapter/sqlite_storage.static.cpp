// SPDX-License-Identifier: MIT
// Goal: what sqlite_storage.hpp says of its types holds: concepts, sizes, what may throw.
#include <belay/adapter/sqlite_storage.hpp>

using namespace belay;

static_assert(LeasableLike<sqlite::Storage>);
