// SPDX-License-Identifier: MIT
// Goal: boost_asio.hpp is enough for AsioLoop. Another asio must be named.
#include <belay/asio/boost.hpp>

#include <belay/asio/loop.hpp>

using namespace belay;

static_assert(detail::KnownAsio<boost::asio::io_context>);
static_assert(!detail::KnownAsio<int>);
static_assert(DriverLike<AsioLoop<boost::asio::io_context>>);
static_assert(!std::is_copy_constructible_v<AsioLoop<boost::asio::io_context>>);
