// SPDX-License-Identifier: MIT
/// \file belay/asio/detail/close_on_exec.hpp
/// close_on_exec: keeps a socket of asio from programs that this process starts.
#pragma once

#include <belay/asio/detail/asio_of.hpp>

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

}}}  // namespace belay::detail
