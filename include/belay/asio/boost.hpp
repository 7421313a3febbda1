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

template <>
struct AsioOf<boost::asio::io_context> {
    using Context = boost::asio::io_context;
    using Timer = boost::asio::steady_timer;
    using Work = boost::asio::executor_work_guard<Context::executor_type>;
    using Tcp = boost::asio::ip::tcp;
#if !defined(_WIN32)
    using Local = boost::asio::local::stream_protocol;
#endif
    using Error = boost::system::error_code;

    template <class F>
    static void post(Context& context, F&& f) {
        boost::asio::post(context, std::decay_t<F>(std::forward<F>(f)));
    }
    template <class Bytes>
    [[nodiscard]] static auto buffer(Bytes bytes) noexcept {
        return boost::asio::buffer(bytes.data(), bytes.size());
    }

    [[nodiscard]] static auto address(const std::string& text, Error& error) {
        return boost::asio::ip::make_address(text, error);
    }
    [[nodiscard]] static bool ended(const Error& e) noexcept {
        return e == boost::asio::error::eof;
    }
    [[nodiscard]] static bool would_block(const Error& e) noexcept {
        return e == boost::asio::error::would_block || e == boost::asio::error::try_again;
    }
    /// Returns whether a name was not resolved; an unknown name may be known later.
    [[nodiscard]] static bool unresolved(const Error& e) noexcept {
        return e.category() == boost::asio::error::get_netdb_category() ||
               e.category() == boost::asio::error::get_addrinfo_category();
    }
    /// Returns an error of the system in the category of the standard library. The conditions of
    /// asio's own category cover only a few errors.
    [[nodiscard]] static std::error_code standard(const Error& e) noexcept {
        if (e.category() == boost::asio::error::get_system_category()) {
            return {e.value(), std::system_category()};
        }
        return e;
    }

    using ExecutionContext = boost::asio::execution_context;

    // ---- for sim::AsioNet ----------------------------------------------------------------------

    using Executor = boost::asio::any_io_executor;
    using Blocking = boost::asio::execution::blocking_t;
    using Tracked = boost::asio::execution::outstanding_work_t::tracked_t;
    using ContextProperty = boost::asio::execution::context_t;
    template <class E>
    using DefaultToken = typename boost::asio::default_completion_token<E>::type;
    using SocketBase = boost::asio::socket_base;
    using MutableBuffer = boost::asio::mutable_buffer;
    using ConstBuffer = boost::asio::const_buffer;

    [[nodiscard]] static ExecutionContext& context_of(const Executor& executor) {
        return boost::asio::query(executor, boost::asio::execution::context);
    }
#if defined(_WIN32) || defined(BOOST_ASIO_HAS_IO_URING_AS_DEFAULT)
    static void add_idle_scheduler(ExecutionContext&) noexcept {}
    [[nodiscard]] static bool has_io_objects(ExecutionContext&) noexcept { return false; }
    [[nodiscard]] static const char* used_io_object(ExecutionContext&) noexcept { return nullptr; }
#else
    /// Gives a context a scheduler that nothing runs. Without it, the first I/O object of asio that
    /// is made for the context starts a thread, which runs its handlers in real time.
    static void add_idle_scheduler(ExecutionContext& context) {
        using Scheduler = boost::asio::detail::scheduler;
        if constexpr (std::is_constructible_v<Scheduler, ExecutionContext&, int, bool>) {
            boost::asio::add_service(context, new Scheduler{context, 0, false});
        } else {
            boost::asio::add_service(context, new Scheduler{context, false});
        }
    }
    /// Returns whether an I/O object of asio was made for the context.
    [[nodiscard]] static bool has_io_objects(ExecutionContext& context) {
        return has<boost::asio::detail::reactor, boost::asio::detail::resolver_service<Tcp>,
                   boost::asio::detail::resolver_service<boost::asio::ip::udp>>(context);
    }
    /// Returns the kind of an I/O object of asio that was made for the context; null if there is
    /// none. Timers count when they wait: the TLS streams of asio have some that do not.
    [[nodiscard]] static const char* used_io_object(ExecutionContext& context) {
        namespace detail = boost::asio::detail;
        using Udp = boost::asio::ip::udp;
        if (!has_io_objects(context)) return nullptr;
        if (has<detail::resolver_service<Tcp>, detail::resolver_service<Udp>>(context)) {
            return "a resolver";
        }
        if (has<detail::reactive_socket_service<Tcp>>(context)) return "an ip::tcp socket";
        if (has<detail::reactive_socket_service<Udp>>(context)) return "an ip::udp socket";
        if (has<detail::signal_set_service>(context)) return "a signal_set";
        auto& scheduler = boost::asio::use_service<detail::scheduler>(context);
        Error error;
        scheduler.restart();
        // It is stopped if nothing waits.
        if (scheduler.poll(error) == 0 && scheduler.stopped()) return nullptr;
        if (has<TimersOf<std::chrono::steady_clock>>(context)) return "a steady_timer";
        if (has<TimersOf<std::chrono::system_clock>>(context)) return "a system_timer";
        return "an I/O object";
    }
#endif
    template <class F>
    static void post_on(const auto& executor, F&& f) {
        boost::asio::post(executor, std::forward<F>(f));
    }
    template <class Signature, class Token, class Initiation>
    static auto initiate(Initiation&& initiation, std::remove_reference_t<Token>& token) {
        return boost::asio::async_initiate<Token, Signature>(std::forward<Initiation>(initiation),
                                                             token);
    }
    template <class Handler>
    [[nodiscard]] static auto executor_of(const Handler& handler, const Executor& otherwise) {
        return boost::asio::get_associated_executor(handler, otherwise);
    }
    /// Calls `cancel()` when the handler's cancellation slot is signalled; never in a version of
    /// asio that has no slots.
    template <class Handler, class F>
    static void on_cancel(const Handler& handler, F&& cancel) {
#if __has_include(<boost/asio/associated_cancellation_slot.hpp>)
        auto slot = boost::asio::get_associated_cancellation_slot(handler);
        if (!slot.is_connected()) return;
        using Type = boost::asio::cancellation_type;
        slot.assign([f = std::forward<F>(cancel)](Type type) mutable {
            if ((type & Type::all) != Type::none) f();
        });
#else
        static_cast<void>(handler);
        static_cast<void>(cancel);
#endif
    }
    template <class Buffers, class F>
    static void for_each_buffer(const Buffers& buffers, F&& f) {
        const auto end = boost::asio::buffer_sequence_end(buffers);
        for (auto at = boost::asio::buffer_sequence_begin(buffers); at != end; ++at) f(*at);
    }
    [[nodiscard]] static Error error_of(std::errc error) noexcept {
        return error == std::errc{}
                   ? Error{}
                   : Error{static_cast<int>(error), boost::asio::error::get_system_category()};
    }
    [[nodiscard]] static Error end_of_stream() noexcept { return boost::asio::error::eof; }
    [[nodiscard]] static Error aborted() noexcept { return boost::asio::error::operation_aborted; }
    [[nodiscard]] static Error host_not_found() noexcept {
        return boost::asio::error::host_not_found;
    }
    [[nodiscard]] static Error service_not_found() noexcept {
        return boost::asio::error::service_not_found;
    }
    [[nodiscard]] static Error no_endpoint() noexcept { return boost::asio::error::not_found; }
    [[nodiscard]] static Error already_open() noexcept { return boost::asio::error::already_open; }
    [[noreturn]] static void raise(const Error& error, const char* what) {
        throw boost::system::system_error{error, what};
    }
    [[nodiscard]] static auto v4(std::uint32_t address) {
        return boost::asio::ip::address{boost::asio::ip::address_v4{address}};
    }

#if !defined(_WIN32) && !defined(BOOST_ASIO_HAS_IO_URING_AS_DEFAULT)
private:
    template <class... Services>
    [[nodiscard]] static bool has(ExecutionContext& context) {
        return (boost::asio::has_service<Services>(context) || ...);
    }
    template <class Clock>
    using TimersOf = boost::asio::detail::deadline_timer_service<
        boost::asio::detail::chrono_time_traits<Clock, boost::asio::wait_traits<Clock>>>;
#endif
};

}}}  // namespace belay::detail
