// SPDX-License-Identifier: MIT
/// \file belay/asio/detail/asio_of.hpp
/// AsioOf: the parts of asio that belay uses, for Boost.Asio and for standalone asio.
#pragma once

#include <chrono>        // std::chrono::steady_clock
#include <cstdint>       // std::uint32_t
#include <span>          // std::span
#include <string>        // std::string
#include <system_error>  // std::errc
#include <type_traits>   // std::decay_t, std::remove_reference_t
#include <utility>       // std::forward

#include <belay/core/assert.hpp>
#include <belay/core/bytes.hpp>

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

#if defined(_WIN32)
/// Returns the condition of an error of Winsock; std::errc{} for others. In the standard library of
/// GCC 12 these errors have none, so they would have no cause.
[[nodiscard]] constexpr std::errc winsock_condition(int code) noexcept {
    constexpr struct {
        int code;
        std::errc condition;
    } table[] = {{10013, std::errc::permission_denied},
                 {10022, std::errc::invalid_argument},
                 {10024, std::errc::too_many_files_open},
                 {10043, std::errc::protocol_not_supported},
                 {10047, std::errc::address_family_not_supported},
                 {10048, std::errc::address_in_use},
                 {10049, std::errc::address_not_available},
                 {10050, std::errc::network_down},
                 {10051, std::errc::network_unreachable},
                 {10053, std::errc::connection_aborted},
                 {10054, std::errc::connection_reset},
                 {10055, std::errc::no_buffer_space},
                 {10057, std::errc::not_connected},
                 {10060, std::errc::timed_out},
                 {10061, std::errc::connection_refused},
                 {10065, std::errc::host_unreachable}};
    for (const auto& error : table) {
        if (error.code == code) return error.condition;
    }
    return {};
}
#endif

/// Opens a socket to dial an endpoint. After an error the dial tries again, and reports it.
template <class Error, class Socket, class Endpoint>
void open_to_dial(Socket& socket, const Endpoint& to) {
    Error ignored;
    socket.open(to.protocol(), ignored);
    close_on_exec(socket);
}

/// The types, errors and functions that only the name of asio's namespace finds. asio/boost.hpp
/// and asio/standalone.hpp specialize it for their io_context.
template <class Context>
struct AsioNames;

template <class Context>
concept KnownAsio = requires { typename AsioNames<Context>::Context; };

template <class Context>
consteval bool known_asio() {
    static_assert(
        KnownAsio<Context>,
        "AsioLoop, AsioTcp: include <belay/asio/boost.hpp> for boost::asio::io_context, or "
        "<belay/asio/standalone.hpp> for asio::io_context");
    return KnownAsio<Context>;
}

/// The parts of asio that belay uses, for Boost.Asio and for standalone asio.
template <class C>
struct AsioOf : AsioNames<C> {
    using Names = AsioNames<C>;
    using typename Names::Context;
    using typename Names::Error;
    using typename Names::ExecutionContext;
    using typename Names::Executor;

    template <class F>
    static void post(Context& context, F&& f) {
        Names::post_on(context, std::decay_t<F>(std::forward<F>(f)));
    }
    [[nodiscard]] static auto buffer(std::span<std::byte> bytes) noexcept {
        return typename Names::MutableBuffer{bytes.data(), bytes.size()};
    }
    [[nodiscard]] static auto buffer(BytesView bytes) noexcept {
        return typename Names::ConstBuffer{bytes.data(), bytes.size()};
    }

    [[nodiscard]] static bool ended(const Error& e) noexcept { return e == end_of_stream(); }
    [[nodiscard]] static bool would_block(const Error& e) noexcept {
        using Basic = typename Names::BasicErrors;
        return e == Basic::would_block || e == Basic::try_again;
    }
    [[nodiscard]] static auto& system_category() noexcept { return aborted().category(); }
    /// Returns whether a name was not resolved; an unknown name may be known later.
    [[nodiscard]] static bool unresolved(const Error& e) noexcept {
        return e.category() == host_not_found().category() ||
               e.category() == service_not_found().category();
    }
    /// Returns an error of the system in the category of the standard library. The conditions of
    /// asio's own category cover only a few errors.
    [[nodiscard]] static std::error_code standard(const Error& e) noexcept {
#if defined(_WIN32)
        const std::errc condition =
            e.category() == system_category() ? winsock_condition(e.value()) : std::errc{};
        if (condition != std::errc{}) return std::make_error_code(condition);
#endif
        if (e.category() == system_category()) return {e.value(), std::system_category()};
        return e;
    }

    [[nodiscard]] static Error end_of_stream() noexcept { return Names::MiscErrors::eof; }
    [[nodiscard]] static Error no_endpoint() noexcept { return Names::MiscErrors::not_found; }
    [[nodiscard]] static Error already_open() noexcept { return Names::MiscErrors::already_open; }
    [[nodiscard]] static Error aborted() noexcept { return Names::BasicErrors::operation_aborted; }
    [[nodiscard]] static Error host_not_found() noexcept {
        return Names::NameErrors::host_not_found;
    }
    [[nodiscard]] static Error name_unanswered() noexcept {
        return Names::NameErrors::host_not_found_try_again;
    }
    [[nodiscard]] static Error service_not_found() noexcept {
        return Names::InfoErrors::service_not_found;
    }

    // ---- for sim::AsioNet ----------------------------------------------------------------------

    [[noreturn]] static void raise(const Error& error, const char* what) {
        throw typename Names::SystemError{error, what};
    }

    /// Gives a context a scheduler that nothing runs. Without it, the first I/O object of asio that
    /// is made for the context starts a thread, which runs its handlers in real time.
    static void add_idle_scheduler([[maybe_unused]] ExecutionContext& context) {
        if constexpr (requires { typename Names::Services; }) {
            using Scheduler = typename Names::Services::Scheduler;
            if constexpr (std::is_constructible_v<Scheduler, ExecutionContext&, int, bool>) {
                add_service(context, new Scheduler{context, 0, false});
            } else {
                add_service(context, new Scheduler{context, false});
            }
        }
    }
    /// Returns whether an I/O object of asio was made for the context.
    [[nodiscard]] static bool has_io_objects([[maybe_unused]] ExecutionContext& context) {
        if constexpr (requires { typename Names::Services; }) {
            using S = typename Names::Services;
            return has<typename S::Reactor, typename S::TcpResolver, typename S::UdpResolver>(
                context);
        } else {
            return false;
        }
    }
    /// Returns the kind of an I/O object of asio that was made for the context; null if there is
    /// none. Timers count when they wait: the TLS streams of asio have some that do not.
    [[nodiscard]] static const char* used_io_object(ExecutionContext& context) {
        if (!has_io_objects(context)) return nullptr;
        if constexpr (requires { typename Names::Services; }) {
            using S = typename Names::Services;
            if (has<typename S::TcpResolver, typename S::UdpResolver>(context)) {
                return "a resolver";
            }
            if (has<typename S::TcpSockets>(context)) return "an ip::tcp socket";
            if (has<typename S::UdpSockets>(context)) return "an ip::udp socket";
            if (has<typename S::Signals>(context)) return "a signal_set";
            auto& scheduler = use_service<typename S::Scheduler>(context);
            Error error;
            scheduler.restart();
            // It is stopped if nothing waits.
            if (scheduler.poll(error) == 0 && scheduler.stopped()) return nullptr;
            if (has<typename S::SteadyTimers>(context)) return "a steady_timer";
            if (has<typename S::SystemTimers>(context)) return "a system_timer";
        }
        return "an I/O object";
    }
    /// Calls `cancel()` when the handler's cancellation slot is signalled; never in a version of
    /// asio that has no slots.
    template <class Handler, class F>
    static void on_cancel([[maybe_unused]] const Handler& handler, [[maybe_unused]] F&& cancel) {
        if constexpr (requires { Names::slot_of(handler); }) {
            auto slot = Names::slot_of(handler);
            if (!slot.is_connected()) return;
            slot.assign([f = std::forward<F>(cancel)](auto type) mutable {
                using Type = decltype(type);
                if ((type & Type::all) != Type::none) f();
            });
        }
    }
    template <class Handler>
    [[nodiscard]] static auto executor_of(const Handler& handler, const Executor& otherwise) {
        return get_associated_executor(handler, otherwise);
    }
    [[nodiscard]] static Error error_of(std::errc error) noexcept {
        return error == std::errc{} ? Error{} : Error{static_cast<int>(error), system_category()};
    }

private:
    /// Returns whether the context has a service of one of these types.
    template <class... Services>
    [[nodiscard]] static bool has(ExecutionContext& context) {
        return (has_service<Services>(context) || ...);
    }
};

}}}  // namespace belay::detail
