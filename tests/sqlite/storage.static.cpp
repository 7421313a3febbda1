// SPDX-License-Identifier: MIT
// Goal: the types of sqlite/storage.hpp satisfy their concepts, have the documented sizes, and
// throw only as documented.
#include <belay/sqlite/storage.hpp>

using namespace belay;

static_assert(LeasableLike<sqlite::Storage>);
