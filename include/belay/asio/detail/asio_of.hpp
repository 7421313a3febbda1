// SPDX-License-Identifier: MIT
/// \file belay/asio/detail/asio_of.hpp
/// AsioOf: the parts of asio that belay uses, for Boost.Asio and for standalone asio.
#pragma once

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Maps an io_context to its asio. boost_asio.hpp and standalone_asio.hpp specialize it.
///
/// Types: Context, Timer, Work (a work guard), Tcp (its `ip::tcp`), Error (the error type of its
/// calls), ExecutionContext. Functions: post(), buffer(), address(). Functions that classify
/// errors: ended(), would_block(), unresolved(), standard().
template <class Context>
struct AsioOf;

template <class Context>
concept KnownAsio = requires { typename AsioOf<Context>::Context; };

template <class Context>
consteval bool known_asio() {
    static_assert(
        KnownAsio<Context>,
        "AsioLoop, AsioTcp: include <belay/asio/boost.hpp> for boost::asio::io_context, or "
        "<belay/asio/standalone.hpp> for asio::io_context");
    return KnownAsio<Context>;
}

}}}  // namespace belay::detail
