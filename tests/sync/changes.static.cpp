// SPDX-License-Identifier: MIT
// Goal: the cursor of a new reader is the default, and pages are plain values. Method: constant
// expressions.
#include <belay/sync/changes.hpp>

#include <type_traits>

namespace {

using belay::part::ChangesPage;
using belay::part::StoreCursor;

static_assert(StoreCursor{} == StoreCursor{belay::no_id, 0, 0});
static_assert(!(StoreCursor{} == StoreCursor{belay::no_id, 1, 0}));
static_assert(std::is_trivially_copyable_v<StoreCursor>);
static_assert(std::is_nothrow_move_constructible_v<ChangesPage<int>>);

}  // namespace
