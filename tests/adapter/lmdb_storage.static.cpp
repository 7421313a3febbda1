// SPDX-License-Identifier: MIT
// Goal: the types of lmdb_storage.hpp satisfy their concepts, have the documented sizes, and
// throw only as documented.
#include <belay/adapter/lmdb_storage.hpp>

using namespace belay;

static_assert(LeasableLike<lmdb::Storage>);
