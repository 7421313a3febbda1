// SPDX-License-Identifier: MIT
// Goal: the results of reading are plain values.
#include <belay/yjs/yjs_limits.hpp>

#include <concepts>

namespace {

using belay::yjs::Merged;
using belay::yjs::Summary;

static_assert(std::semiregular<Summary> && std::semiregular<Merged>);
static_assert(noexcept(Summary{}.gaps()));

}  // namespace
