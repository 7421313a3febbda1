// SPDX-License-Identifier: MIT
// Goal: the types of disk.hpp satisfy their concepts, have the documented sizes, and throw only
// as documented.
#include <belay/sim/disk.hpp>

using namespace belay;
using namespace belay::sim;

static_assert(FileSystemLike<Disk>);
