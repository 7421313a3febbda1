// SPDX-License-Identifier: MIT
/// \file belay/posix/listener.hpp
/// posix::Listener and posix::Accepted: the server side of posix::Tcp and posix::Unix.
#pragma once

#include <concepts>     // std::invocable
#include <type_traits>  // std::invoke_result_t, std::is_void_v
#include <utility>      // std::move

#include <belay/core/machine_like.hpp>
#include <belay/link/transport_like.hpp>
#include <belay/posix/detail/socket_connection.hpp>
#include <belay/posix/loop.hpp>

namespace belay { inline namespace BELAY_ABI { namespace posix {

/// A connection that a Listener has accepted, as a transport that can be opened once.
///
/// Give it to a Supervisor, alone or in a Heartbeat. A second attempt fails with Cause::permanent.
/// A supervisor whose connection is lost therefore ends in LinkState::failed, or earlier if its
/// policy requires that. An Accepted that was never opened closes the connection when it is
/// destroyed.
///
/// Models:        TransportLike, move-only.
/// Thread safety: the loop's thread.
template <FramingLike Framing = LengthPrefixed>
class Accepted {
public:
    using message_type = Bytes;

    Accepted(Poller& poller, detail::Socket socket, Framing framing,
             const TcpOptions& options) noexcept
        : poller_{&poller},
          socket_{std::move(socket)},
          framing_{std::move(framing)},
          options_{options} {}

    /// Passes the connection to `link`, and reports `opened` at once.   Throws: std::bad_alloc.
    [[nodiscard]] SocketConnection<Framing> open(const Link<Bytes>& link) {
        return {*poller_, std::move(socket_), framing_, options_, link};
    }

private:
    Poller* poller_;
    detail::Socket socket_;
    Framing framing_;
    TcpOptions options_;
};

/// Options of a Listener.
struct ListenerOptions {
    /// Options of the accepted connections.
    TcpOptions connection{};
    /// The number of connections that the kernel queues until they are accepted.
    int backlog = 128;
    /// The most connections accepted in one turn; > 0. It keeps a rush from starving existing
    /// connections.
    unsigned accepts_per_turn_max = 64;
};

/// Accepts connections over TCP or a Unix domain socket, and calls `on_accept(Accepted<Framing>)`
/// for each in a turn of its own.
///
/// Construct it as `Listener{loop, on_accept}`, or with a framing as
/// `Listener{loop, on_accept, Lines{}, options}`.
///
/// It is a machine that attaches itself to its loop. on_accept may do everything, even destroy the
/// listener. If it throws, the exception leaves the loop's run(), and that connection is closed.
///
/// Models:        MachineLike.
/// Thread safety: the loop's thread, or any while it is not running. The loop and the listener may
///                be destroyed in any order.
template <class F, FramingLike Framing = LengthPrefixed>
class Listener {
    static_assert(
        std::invocable<F&, Accepted<Framing>>,
        "Listener: on_accept must be callable with a belay::posix::Accepted<Framing>, of the "
        "framing that is the third argument: Listener{loop, on_accept, Lines{}}");
    static_assert(std::is_void_v<std::invoke_result_t<F&, Accepted<Framing>>>,
                  "Listener: on_accept must return void, because a result would be ignored and a "
                  "coroutine would never run");

public:
    template <ClockLike Clock>
    Listener(Loop<Clock>& loop, F on_accept, Framing framing = {}, ListenerOptions options = {})
        : poller_{&loop},
          framing_{std::move(framing)},
          options_{options},
          on_accept_{std::move(on_accept)},
          watch_{loop, this, [](void* self, short) { static_cast<Listener*>(self)->ready(); }} {
        BELAY_OPTION(options.accepts_per_turn_max > 0,
                     "ListenerOptions: accepts_per_turn_max must be > 0");
        loop.attach(*this);
    }
    template <ClockLike Clock>
    Listener(Loop<Clock>& loop, F on_accept, ListenerOptions options)
        : Listener{loop, std::move(on_accept), Framing{}, options} {}
    /// Does not compile, because only a posix::Loop waits for sockets.
    template <class OtherLoop, class... More>
        requires(!detail::PollingLoop<OtherLoop>)
    Listener(OtherLoop&, F, More&&...) {
        static_assert(detail::explain_polling_loop<OtherLoop>());
    }
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;
    ~Listener() = default;

    /// Starts to listen; a listener that listens already stops first.
    ///
    /// Errors: those of the system, above all std::errc::address_in_use. If the endpoint has
    ///         several addresses, the error of the last.
    /// Blocks: while a name is looked up.   Throws: std::bad_alloc.
    [[nodiscard]] std::error_code listen(const Endpoint& endpoint) {
        close();
        detail::Addresses addresses;
        if (const std::error_code error = addresses.resolve(endpoint, true)) return error;
        std::error_code error;
        for (const addrinfo* a = addresses.first(); a != nullptr; a = a->ai_next) {
            detail::Socket socket = detail::Socket::stream(a->ai_family);
            // REUSEADDR: a restarted server need not wait until the kernel has forgotten its old
            // connections.
            if (socket && socket.enable(SOL_SOCKET, SO_REUSEADDR) &&
                ::bind(socket.get(), a->ai_addr, a->ai_addrlen) == 0 &&
                ::listen(socket.get(), options_.backlog) == 0) {
                watch_.start(socket.get(), POLLIN);
                socket_ = std::move(socket);
                return {};
            }
            error = detail::errno_code();
        }
        return error;
    }

    /// Starts to listen at a Unix domain socket; a listener that listens already stops first.
    ///
    /// It replaces the socket file of a server that has ended, and no other file. `close()` removes
    /// the file if it still belongs to this listener. The process's umask decides who may connect.
    ///
    /// Errors: UnixErrc; std::errc::address_in_use if another server listens there; those of the
    ///         system.
    /// Blocks: at most 1 s, while another process locks the directory. Throws: std::bad_alloc.
    [[nodiscard]] std::error_code listen(const UnixPath& path) {
        close();
        const std::error_code error = detail::listen_at(path, options_.backlog, socket_, file_);
        if (!error) watch_.start(socket_.get(), POLLIN);
        return error;
    }

    /// Stops listening; accepted connections stay open.   Errors: none.
    void close() noexcept {
        watch_.stop();
        // While the socket listens, no other server takes the file for a stale one.
        file_.remove();
        socket_.reset();
        due_ = never;
    }

    /// Returns the port on which it listens, also if port 0 was requested; 0 if it does not listen,
    /// or at a path.
    [[nodiscard]] std::uint16_t port() const noexcept {
        return socket_ ? detail::SocketAddress::local(socket_).port() : std::uint16_t{0};
    }

    // ---- for the driver ------------------------------------------------------------------------

    void attach(Waker waker) noexcept { waker_ = std::move(waker); }
    [[nodiscard]] Instant deadline() const noexcept { return due_; }

    /// Accepts the connections that wait, up to the limit of a turn.
    void advance(Instant now) {
        if (now < due_) return;
        belay::driver::TurnGuard guard{lifetime_};
        for (unsigned left = options_.accepts_per_turn_max; left != 0; --left) {
            detail::Socket socket{
                ::accept4(socket_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)};
            if (!socket) {
                if (detail::is_transient(errno)) continue;
                return is_exhausted(errno) ? pause(now) : wait();
            }
            on_accept_(
                Accepted<Framing>{*poller_, std::move(socket), framing_, options_.connection});
            if (guard.gone() || !socket_) return;
        }
    }

private:
    // The pause after the process or the system has run out of descriptors or memory. Accepting
    // again at once would fail, too, and keep the loop busy.
    static constexpr Duration exhausted_pause = std::chrono::milliseconds{100};

    static bool is_exhausted(int error) noexcept {
        return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
    }

    void ready() noexcept {
        due_ = always;
        waker_.touch();
    }
    /// Waits until the kernel reports another connection.
    void wait() noexcept {
        due_ = never;
        watch_.modify(POLLIN);
    }
    /// Stops watching for a while: a connection that cannot be accepted would keep the loop busy.
    void pause(Instant now) noexcept {
        due_ = after(now, exhausted_pause);
        watch_.modify(0);
    }

    Poller* poller_;
    Framing framing_;
    ListenerOptions options_;
    F on_accept_;
    Waker waker_;
    belay::driver::LifetimeFlag lifetime_;
    Instant due_ = never;
    detail::Socket socket_;
    detail::UnixFile file_;  ///< of a Unix domain socket
    /// The last member, so that it ends before the descriptor is closed.
    Watch watch_;
};

template <ClockLike Clock, class F, FramingLike Framing = LengthPrefixed>
Listener(Loop<Clock>&, F, Framing = {}, ListenerOptions = {}) -> Listener<F, Framing>;
template <ClockLike Clock, class F>
Listener(Loop<Clock>&, F, ListenerOptions) -> Listener<F>;
template <class OtherLoop, class F, class... More>
    requires(!detail::PollingLoop<OtherLoop>)
Listener(OtherLoop&, F, More...) -> Listener<F>;

}}}  // namespace belay::posix
