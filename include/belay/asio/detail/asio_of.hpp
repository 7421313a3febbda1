// SPDX-License-Identifier: MIT
/// \file belay/asio/detail/asio_of.hpp
/// AsioOf: the parts of asio that belay uses, for Boost.Asio and for standalone asio.
#pragma once

#include <belay/core/assert.hpp>

#if !defined(_WIN32)
#    include <fcntl.h>
#endif

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Has the system close the socket in programs that this process starts. Otherwise such a program
/// keeps its port in use. asio opens sockets without SOCK_CLOEXEC, so a program that another thread
/// starts at this moment may still have it.
template <class Socket>
void close_on_exec([[maybe_unused]] Socket& socket) {
#if !defined(_WIN32)
    if (socket.is_open()) static_cast<void>(::fcntl(socket.native_handle(), F_SETFD, FD_CLOEXEC));
#endif
}

/// Opens a socket to dial an endpoint. After an error the dial tries again, and reports it.
template <class Error, class Socket, class Endpoint>
void open_to_dial(Socket& socket, const Endpoint& to) {
    Error ignored;
    socket.open(to.protocol(), ignored);
    close_on_exec(socket);
}

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
