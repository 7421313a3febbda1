// SPDX-License-Identifier: MIT
/// \file belay/adapter/detail/asio_of.hpp
/// AsioOf: what the adapters need of an asio, be it Boost's or the standalone one.
#pragma once

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The asio that an io_context belongs to; boost_asio.hpp and standalone_asio.hpp have one each.
///
/// Types: Context, Timer, Tcp (its `ip::tcp`), Error (what its calls report). Functions: post(),
/// connect(), buffer(), address(), and what errors mean: ended(), would_block(), unresolved(),
/// standard().
template <class Context>
struct AsioOf;

template <class Context>
concept KnownAsio = requires { typename AsioOf<Context>::Context; };

template <class Context>
consteval bool known_asio() {
    static_assert(KnownAsio<Context>,
                  "AsioLoop, AsioTcp: include <belay/adapter/boost_asio.hpp> for a "
                  "boost::asio::io_context, <belay/adapter/standalone_asio.hpp> for an "
                  "asio::io_context");
    return KnownAsio<Context>;
}

}}}  // namespace belay::detail
