// SPDX-License-Identifier: MIT
// Goal: the limits of a Resolver are set by default, and small.
#include <belay/posix/resolver.hpp>

#include <type_traits>

using namespace belay;

static_assert(std::is_aggregate_v<posix::ResolverOptions>);
static_assert(posix::ResolverOptions{}.threads_max > 0 &&
              posix::ResolverOptions{}.threads_max <= 32);
static_assert(posix::ResolverOptions{}.waiting_max > 0 &&
              posix::ResolverOptions{}.waiting_max <= 4096);
