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
    using Asio = belay::detail::AsioOf<Context>;

    using io_context = belay::detail::AsioSimContext<Asio>;
    using steady_timer = belay::detail::AsioSimTimer<Asio>;
    struct tcp {
        using endpoint = typename Asio::Tcp::endpoint;
        using socket = belay::detail::AsioSimSocket<Asio>;
        using acceptor = belay::detail::AsioSimAcceptor<Asio>;
        using resolver = belay::detail::AsioSimResolver<Asio>;
        using no_delay = typename Asio::Tcp::no_delay;
        [[nodiscard]] static auto v4() noexcept { return Asio::Tcp::v4(); }
        [[nodiscard]] static auto v6() noexcept { return Asio::Tcp::v6(); }
    };

    /// Returns the host on which an executor runs its handlers.
    [[nodiscard]] static Host& host_of(const typename Asio::Executor& executor) {
        return belay::detail::asio_sim_core<Asio>(executor)->host();
    }
};

}}}  // namespace belay::sim
