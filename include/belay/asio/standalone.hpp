// SPDX-License-Identifier: MIT
/// \file belay/asio/standalone.hpp
/// Lets AsioLoop, AsioTcp and sim::AsioNet use the standalone asio; needs asio 1.22 or later.
#pragma once

#include <chrono>        // std::chrono::steady_clock
#include <cstdint>       // std::uint32_t
#include <string>        // std::string
#include <system_error>  // std::errc
#include <type_traits>   // std::decay_t, std::remove_reference_t
#include <utility>  // std::forward; before asio, which in Boost 1.74 uses std::exchange without

#include <asio/any_io_executor.hpp>
#include <asio/associated_executor.hpp>
#if __has_include(<asio/associated_cancellation_slot.hpp>)
#    include <asio/associated_cancellation_slot.hpp>
#endif
#include <asio/async_result.hpp>
#include <asio/error.hpp>
#include <asio/execution_context.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/ip/udp.hpp>
#include <asio/local/stream_protocol.hpp>
#include <asio/post.hpp>
#include <asio/signal_set.hpp>
#include <asio/socket_base.hpp>
#include <asio/steady_timer.hpp>

#include <belay/asio/detail/asio_of.hpp>
#include <belay/core/failure.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The names of the standalone asio.
template <>
struct AsioNames<asio::io_context> {
    using Context = asio::io_context;
    using Timer = asio::steady_timer;
    using Work = asio::executor_work_guard<Context::executor_type>;
    using Tcp = asio::ip::tcp;
#if !defined(_WIN32)
    using Local = asio::local::stream_protocol;
#endif
    using Error = std::error_code;
    using ExecutionContext = asio::execution_context;
    using Executor = asio::any_io_executor;
    using Blocking = asio::execution::blocking_t;
    using Tracked = asio::execution::outstanding_work_t::tracked_t;
    using ContextProperty = asio::execution::context_t;
    template <class E>
    using DefaultToken = typename asio::default_completion_token<E>::type;
    using SocketBase = asio::socket_base;
    using MutableBuffer = asio::mutable_buffer;
    using ConstBuffer = asio::const_buffer;
    using BasicErrors = asio::error::basic_errors;
    using MiscErrors = asio::error::misc_errors;
    using NameErrors = asio::error::netdb_errors;
    using InfoErrors = asio::error::addrinfo_errors;
    using SystemError = std::system_error;

    template <class F>
    static void post_on(auto&& executor, F&& f) {
        asio::post(executor, std::forward<F>(f));
    }
    [[nodiscard]] static auto address(const std::string& text, Error& error) {
        return asio::ip::make_address(text, error);
    }
    [[nodiscard]] static auto v4(std::uint32_t address) {
        return asio::ip::address{asio::ip::address_v4{address}};
    }
    [[nodiscard]] static ExecutionContext& context_of(const Executor& executor) {
        return asio::query(executor, asio::execution::context);
    }
    template <class Signature, class Token, class Initiation>
    static auto initiate(Initiation&& initiation, std::remove_reference_t<Token>& token) {
        return asio::async_initiate<Token, Signature>(std::forward<Initiation>(initiation), token);
    }
#if __has_include(<asio/associated_cancellation_slot.hpp>)
    [[nodiscard]] static auto slot_of(const auto& handler) {
        return asio::get_associated_cancellation_slot(handler);
    }
#endif
    template <class Buffers, class F>
    static void for_each_buffer(const Buffers& buffers, F&& f) {
        const auto end = asio::buffer_sequence_end(buffers);
        for (auto at = asio::buffer_sequence_begin(buffers); at != end; ++at) f(*at);
    }

#if !defined(_WIN32) && !defined(ASIO_HAS_IO_URING_AS_DEFAULT)
    struct Services {
        using Scheduler = asio::detail::scheduler;
        using Reactor = asio::detail::reactor;
        using TcpResolver = asio::detail::resolver_service<Tcp>;
        using UdpResolver = asio::detail::resolver_service<asio::ip::udp>;
        using TcpSockets = asio::detail::reactive_socket_service<Tcp>;
        using UdpSockets = asio::detail::reactive_socket_service<asio::ip::udp>;
        using Signals = asio::detail::signal_set_service;
        template <class Clock>
        using TimersOf = asio::detail::deadline_timer_service<
            asio::detail::chrono_time_traits<Clock, asio::wait_traits<Clock>>>;
        using SteadyTimers = TimersOf<std::chrono::steady_clock>;
        using SystemTimers = TimersOf<std::chrono::system_clock>;
    };
#endif
};

}}}  // namespace belay::detail
