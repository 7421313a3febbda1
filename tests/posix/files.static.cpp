// SPDX-License-Identifier: MIT
// Goal: the types of files.hpp satisfy their concepts, have the documented sizes, and throw only
// as documented.
#include <belay/posix/files.hpp>

using namespace belay;

static_assert(FileSystemLike<posix::Files>);
