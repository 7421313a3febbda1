// SPDX-License-Identifier: MIT
/// \file belay/asio/boost.hpp
/// Lets AsioLoop, AsioTcp and sim::AsioNet use Boost.Asio; needs Boost 1.74 or later.
#pragma once

#include <chrono>        // std::chrono::steady_clock
#include <cstdint>       // std::uint32_t
#include <string>        // std::string
#include <system_error>  // std::errc
#include <type_traits>   // std::decay_t, std::remove_reference_t
#include <utility>  // std::forward; before asio, which in Boost 1.74 uses std::exchange without

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_executor.hpp>
#if __has_include(<boost/asio/associated_cancellation_slot.hpp>)
#    include <boost/asio/associated_cancellation_slot.hpp>
#endif
#include <boost/asio/async_result.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/socket_base.hpp>
#include <boost/asio/steady_timer.hpp>

#include <belay/asio/detail/asio_of.hpp>
#include <belay/core/failure.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The names of Boost.Asio.
template <>
struct AsioNames<boost::asio::io_context> {
    using Context = boost::asio::io_context;
    using Timer = boost::asio::steady_timer;
    using Work = boost::asio::executor_work_guard<Context::executor_type>;
    using Tcp = boost::asio::ip::tcp;
#if !defined(_WIN32)
    using Local = boost::asio::local::stream_protocol;
#endif
    using Error = boost::system::error_code;
    using ExecutionContext = boost::asio::execution_context;
    using Executor = boost::asio::any_io_executor;
    using Blocking = boost::asio::execution::blocking_t;
    using Tracked = boost::asio::execution::outstanding_work_t::tracked_t;
    using ContextProperty = boost::asio::execution::context_t;
    template <class E>
    using DefaultToken = typename boost::asio::default_completion_token<E>::type;
    using SocketBase = boost::asio::socket_base;
    using MutableBuffer = boost::asio::mutable_buffer;
    using ConstBuffer = boost::asio::const_buffer;
    using BasicErrors = boost::asio::error::basic_errors;
    using MiscErrors = boost::asio::error::misc_errors;
    using NameErrors = boost::asio::error::netdb_errors;
    using InfoErrors = boost::asio::error::addrinfo_errors;
    using SystemError = boost::system::system_error;

    template <class F>
    static void post_on(auto&& executor, F&& f) {
        boost::asio::post(executor, std::forward<F>(f));
    }
    [[nodiscard]] static auto address(const std::string& text, Error& error) {
        return boost::asio::ip::make_address(text, error);
    }
    [[nodiscard]] static auto v4(std::uint32_t address) {
        return boost::asio::ip::address{boost::asio::ip::address_v4{address}};
    }
    [[nodiscard]] static ExecutionContext& context_of(const Executor& executor) {
        return boost::asio::query(executor, boost::asio::execution::context);
    }
    template <class Signature, class Token, class Initiation>
    static auto initiate(Initiation&& initiation, std::remove_reference_t<Token>& token) {
        return boost::asio::async_initiate<Token, Signature>(std::forward<Initiation>(initiation),
                                                             token);
    }
#if __has_include(<boost/asio/associated_cancellation_slot.hpp>)
    [[nodiscard]] static auto slot_of(const auto& handler) {
        return boost::asio::get_associated_cancellation_slot(handler);
    }
#endif
    template <class Buffers, class F>
    static void for_each_buffer(const Buffers& buffers, F&& f) {
        const auto end = boost::asio::buffer_sequence_end(buffers);
        for (auto at = boost::asio::buffer_sequence_begin(buffers); at != end; ++at) f(*at);
    }

#if !defined(_WIN32) && !defined(BOOST_ASIO_HAS_IO_URING_AS_DEFAULT)
    struct Services {
        using Scheduler = boost::asio::detail::scheduler;
        using Reactor = boost::asio::detail::reactor;
        using TcpResolver = boost::asio::detail::resolver_service<Tcp>;
        using UdpResolver = boost::asio::detail::resolver_service<boost::asio::ip::udp>;
        using TcpSockets = boost::asio::detail::reactive_socket_service<Tcp>;
        using UdpSockets = boost::asio::detail::reactive_socket_service<boost::asio::ip::udp>;
        using Signals = boost::asio::detail::signal_set_service;
        template <class Clock>
        using TimersOf = boost::asio::detail::deadline_timer_service<
            boost::asio::detail::chrono_time_traits<Clock, boost::asio::wait_traits<Clock>>>;
        using SteadyTimers = TimersOf<std::chrono::steady_clock>;
        using SystemTimers = TimersOf<std::chrono::system_clock>;
    };
#endif
};

}}}  // namespace belay::detail
