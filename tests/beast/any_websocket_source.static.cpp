// SPDX-License-Identifier: MIT
// The source file of AnyWebSocket, which is linked into its tests.
#include <belay/beast/any_websocket_source.hpp>

#include <type_traits>

static_assert(!std::is_copy_constructible_v<belay::beast::AnyWebSocket>);
static_assert(std::is_nothrow_move_constructible_v<belay::beast::AnyWebSocket::Connection>);
