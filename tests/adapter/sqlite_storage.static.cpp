// SPDX-License-Identifier: MIT
// Goal: the types of sqlite_storage.hpp satisfy their concepts, have the documented sizes, and
// throw only as documented.
#include <belay/adapter/sqlite_storage.hpp>

using namespace belay;

static_assert(LeasableLike<sqlite::Storage>);
