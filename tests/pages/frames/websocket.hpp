// SPDX-License-Identifier: MIT
// For the pages on WebSockets: a context of Boost.Asio and its loop, and rooms.
#pragma once

#include <belay/asio/loop.hpp>
#include <belay/beast/listener.hpp>

#include "room.hpp"

namespace frames::websocket {

using namespace room;
extern boost::asio::io_context context;
extern AsioLoop<boost::asio::io_context> loop;
extern belay::beast::ListenerOptions options;

}  // namespace frames::websocket
