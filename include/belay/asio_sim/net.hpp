// SPDX-License-Identifier: MIT
/// \file belay/asio_sim/net.hpp
/// sim::AsioNet: the types of asio that networked code uses, over a host of a simulated world.
#pragma once

#include <belay/asio_sim/detail/acceptor.hpp>
#include <belay/asio_sim/detail/context.hpp>
#include <belay/asio_sim/detail/socket.hpp>
#include <belay/asio_sim/detail/timer.hpp>

namespace belay { inline namespace BELAY_ABI { namespace sim {

/// The types of asio that networked code uses, over a host of a simulated world.
///
/// Include <belay/asio/boost.hpp> or <belay/asio/standalone.hpp>, too. Write your
/// code as a template over a struct that names the types of asio, and use sim::AsioNet as that
/// struct in tests:
///
///     struct RealNet {
///         using io_context = asio::io_context;
///         using steady_timer = asio::steady_timer;
///         using tcp = asio::ip::tcp;
///     };
///     using SimNet = sim::AsioNet<asio::io_context>;
///
///     template <class Net>
///     asio::awaitable<void> client(typename Net::tcp::resolver::results_type server);
///
/// Coroutines, completion tokens, buffers and algorithms stay asio's own: `asio::awaitable`,
/// `co_spawn`, `async_read_until`, `async_write`, strands. Call `async_connect` of several
/// endpoints without a namespace.
///
/// Names are those of the world's hosts. Host number n (from 1 on, in the order in which the hosts
/// were made) has the address 10.0.0.n. The sockets behave as those of Linux;
/// docs/reference/simulated-sockets.md has the list.
///
/// Thread safety: the world's thread.
template <class Context>
struct AsioNet {
    static_assert(belay::detail::known_asio<Context>());
    /// The asio of `Context`: Boost.Asio, or the standalone one.
    using Asio = belay::detail::AsioOf<Context>;

    /// Runs the handlers of one host while the world runs: there is no run().
    using io_context = belay::detail::AsioSimContext<Asio>;
    /// A timer in virtual time. Its times count from the start of the world.
    using steady_timer = belay::detail::AsioSimTimer<Asio>;
    /// The types of `asio::ip::tcp`, for the sockets of the host.
    struct tcp {
        /// asio's own. Host number n has the address 10.0.0.n.
        using endpoint = typename Asio::Tcp::endpoint;
        /// A stream socket of the host, with asynchronous operations only.
        using socket = belay::detail::AsioSimSocket<Asio>;
        /// A listening socket of the host. Its kernel keeps at most 128 connections for it.
        using acceptor = belay::detail::AsioSimAcceptor<Asio>;
        /// Resolves the names of hosts, `localhost` and numeric addresses, after 1 ms.
        using resolver = belay::detail::AsioSimResolver<Asio>;
        /// An option that changes nothing in the world.
        using no_delay = typename Asio::Tcp::no_delay;
        /// Returns the protocol of IPv4, the only one of the world.
        [[nodiscard]] static auto v4() noexcept { return Asio::Tcp::v4(); }
        /// Returns the protocol of IPv6, which no host has.
        [[nodiscard]] static auto v6() noexcept { return Asio::Tcp::v6(); }
    };
};

}}}  // namespace belay::sim
