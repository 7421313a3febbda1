// SPDX-License-Identifier: MIT
// Goal: what files.hpp says of its types holds: concepts, sizes, what may throw.
#include <belay/posix/files.hpp>

using namespace belay;

static_assert(FileSystemLike<posix::Files>);
