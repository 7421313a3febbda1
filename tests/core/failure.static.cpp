// SPDX-License-Identifier: MIT
// Goal: what failure.hpp says of its types holds: concepts, sizes, what may throw.
#include <belay/core/failure.hpp>

#include <type_traits>

using namespace belay;

static_assert(std::is_trivially_copyable_v<Failure> && sizeof(Failure) <= 24);
