// SPDX-License-Identifier: MIT
// Goal: what files.hpp says of its types holds: concepts, sizes, what may throw.
#include <belay/posix/files.hpp>

using namespace belay;
using namespace belay::posix;

static_assert(FileSystemLike<Files>);
