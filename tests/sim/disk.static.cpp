// SPDX-License-Identifier: MIT
// Goal: what disk.hpp says of its types holds: concepts, sizes, what may throw.
#include <belay/sim/disk.hpp>

using namespace belay;
using namespace belay::sim;

static_assert(FileSystemLike<Disk>);
