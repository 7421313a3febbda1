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

template <>
struct AsioOf<asio::io_context> {
    using Context = asio::io_context;
    using Timer = asio::steady_timer;
    using Work = asio::executor_work_guard<Context::executor_type>;
    using Tcp = asio::ip::tcp;
#if !defined(_WIN32)
    using Local = asio::local::stream_protocol;
#endif
    using Error = std::error_code;

    template <class F>
    static void post(Context& context, F&& f) {
        asio::post(context, std::decay_t<F>(std::forward<F>(f)));
    }
    template <class Bytes>
    [[nodiscard]] static auto buffer(Bytes bytes) noexcept {
        return asio::buffer(bytes.data(), bytes.size());
    }

    [[nodiscard]] static auto address(const std::string& text, Error& error) {
        return asio::ip::make_address(text, error);
    }
    [[nodiscard]] static bool ended(const Error& e) noexcept { return e == asio::error::eof; }
    [[nodiscard]] static bool would_block(const Error& e) noexcept {
        return e == asio::error::would_block || e == asio::error::try_again;
    }
    /// Returns whether a name was not resolved; an unknown name may be known later.
    [[nodiscard]] static bool unresolved(const Error& e) noexcept {
        return e.category() == asio::error::get_netdb_category() ||
               e.category() == asio::error::get_addrinfo_category();
    }
    /// Returns an error of the system in the category of the standard library. The conditions of
    /// asio's own category cover only a few errors.
    [[nodiscard]] static std::error_code standard(const Error& e) noexcept {
        if (e.category() == asio::error::get_system_category()) {
            return {e.value(), std::system_category()};
        }
        return e;
    }

    using ExecutionContext = asio::execution_context;

    // ---- for sim::AsioNet ----------------------------------------------------------------------

    using Executor = asio::any_io_executor;
    using Blocking = asio::execution::blocking_t;
    using Tracked = asio::execution::outstanding_work_t::tracked_t;
    using ContextProperty = asio::execution::context_t;
    template <class E>
    using DefaultToken = typename asio::default_completion_token<E>::type;
    using SocketBase = asio::socket_base;
    using MutableBuffer = asio::mutable_buffer;
    using ConstBuffer = asio::const_buffer;

    [[nodiscard]] static ExecutionContext& context_of(const Executor& executor) {
        return asio::query(executor, asio::execution::context);
    }
#if defined(_WIN32) || defined(ASIO_HAS_IO_URING_AS_DEFAULT)
    static void add_idle_scheduler(ExecutionContext&) noexcept {}
    [[nodiscard]] static bool has_io_objects(ExecutionContext&) noexcept { return false; }
    [[nodiscard]] static const char* used_io_object(ExecutionContext&) noexcept { return nullptr; }
#else
    /// Gives a context a scheduler that nothing runs. Without it, the first I/O object of asio that
    /// is made for the context starts a thread, which runs its handlers in real time.
    static void add_idle_scheduler(ExecutionContext& context) {
        using Scheduler = asio::detail::scheduler;
        if constexpr (std::is_constructible_v<Scheduler, ExecutionContext&, int, bool>) {
            asio::add_service(context, new Scheduler{context, 0, false});
        } else {
            asio::add_service(context, new Scheduler{context, false});
        }
    }
    /// Returns whether an I/O object of asio was made for the context.
    [[nodiscard]] static bool has_io_objects(ExecutionContext& context) {
        return has<asio::detail::reactor, asio::detail::resolver_service<Tcp>,
                   asio::detail::resolver_service<asio::ip::udp>>(context);
    }
    /// Returns the kind of an I/O object of asio that was made for the context; null if there is
    /// none. Timers count when they wait: the TLS streams of asio have some that do not.
    [[nodiscard]] static const char* used_io_object(ExecutionContext& context) {
        namespace detail = asio::detail;
        using Udp = asio::ip::udp;
        if (!has_io_objects(context)) return nullptr;
        if (has<detail::resolver_service<Tcp>, detail::resolver_service<Udp>>(context)) {
            return "a resolver";
        }
        if (has<detail::reactive_socket_service<Tcp>>(context)) return "an ip::tcp socket";
        if (has<detail::reactive_socket_service<Udp>>(context)) return "an ip::udp socket";
        if (has<detail::signal_set_service>(context)) return "a signal_set";
        auto& scheduler = asio::use_service<detail::scheduler>(context);
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
        asio::post(executor, std::forward<F>(f));
    }
    template <class Signature, class Token, class Initiation>
    static auto initiate(Initiation&& initiation, std::remove_reference_t<Token>& token) {
        return asio::async_initiate<Token, Signature>(std::forward<Initiation>(initiation), token);
    }
    template <class Handler>
    [[nodiscard]] static auto executor_of(const Handler& handler, const Executor& otherwise) {
        return asio::get_associated_executor(handler, otherwise);
    }
    /// Calls `cancel()` when the handler's cancellation slot is signalled; never in a version of
    /// asio that has no slots.
    template <class Handler, class F>
    static void on_cancel(const Handler& handler, F&& cancel) {
#if __has_include(<asio/associated_cancellation_slot.hpp>)
        auto slot = asio::get_associated_cancellation_slot(handler);
        if (!slot.is_connected()) return;
        using Type = asio::cancellation_type;
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
        const auto end = asio::buffer_sequence_end(buffers);
        for (auto at = asio::buffer_sequence_begin(buffers); at != end; ++at) f(*at);
    }
    [[nodiscard]] static Error error_of(std::errc error) noexcept {
        return error == std::errc{}
                   ? Error{}
                   : Error{static_cast<int>(error), asio::error::get_system_category()};
    }
    [[nodiscard]] static Error end_of_stream() noexcept { return asio::error::eof; }
    [[nodiscard]] static Error aborted() noexcept { return asio::error::operation_aborted; }
    [[nodiscard]] static Error host_not_found() noexcept { return asio::error::host_not_found; }
    [[nodiscard]] static Error service_not_found() noexcept {
        return asio::error::service_not_found;
    }
    [[nodiscard]] static Error no_endpoint() noexcept { return asio::error::not_found; }
    [[nodiscard]] static Error already_open() noexcept { return asio::error::already_open; }
    [[noreturn]] static void raise(const Error& error, const char* what) {
        throw std::system_error{error, what};
    }
    [[nodiscard]] static auto v4(std::uint32_t address) {
        return asio::ip::address{asio::ip::address_v4{address}};
    }

#if !defined(_WIN32) && !defined(ASIO_HAS_IO_URING_AS_DEFAULT)
private:
    template <class... Services>
    [[nodiscard]] static bool has(ExecutionContext& context) {
        return (asio::has_service<Services>(context) || ...);
    }
    template <class Clock>
    using TimersOf = asio::detail::deadline_timer_service<
        asio::detail::chrono_time_traits<Clock, asio::wait_traits<Clock>>>;
#endif
};

}}}  // namespace belay::detail
