// SPDX-License-Identifier: MIT
// Goal: what lmdb_storage.hpp says of its types holds: concepts, sizes, what may throw.
#include <belay/adapter/lmdb_storage.hpp>

using namespace belay;

static_assert(LeasableLike<lmdb::Storage>);
