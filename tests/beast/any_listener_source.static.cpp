// SPDX-License-Identifier: MIT
// The definition of AnyListener, which is linked into its tests.
#include <belay/beast/any_listener_source.hpp>

#include <type_traits>

using namespace belay;

static_assert(!std::is_copy_constructible_v<beast::AnyListener>);
static_assert(std::is_nothrow_move_constructible_v<beast::AnyListener>);
static_assert(std::is_nothrow_move_assignable_v<beast::AnyListener>);
static_assert(std::is_nothrow_move_assignable_v<beast::AnyAccepted>);
static_assert(std::is_nothrow_move_constructible_v<beast::AnyAccepted::Connection>);
