// SPDX-License-Identifier: MIT
/// \file belay/posix/detail/socket_connection.hpp
/// SocketConnection: one connection of posix::Tcp, posix::Unix or posix::Listener.
#pragma once

#include <array>     // std::array
#include <optional>  // std::optional
#include <utility>   // std::move

#include <sys/uio.h>

#include <belay/link/detail/dial_race.hpp>
#include <belay/link/detail/stream_connection.hpp>
#include <belay/link/framings.hpp>
#include <belay/link/link_errc.hpp>
#include <belay/link/transport_like.hpp>
#include <belay/posix/detail/addresses.hpp>
#include <belay/posix/detail/socket.hpp>
#include <belay/posix/poller.hpp>
#include <belay/posix/resolver_like.hpp>

namespace belay { inline namespace BELAY_ABI { namespace posix {

namespace detail {

/// Returns the result of an attempt whose socket has become writable.
[[nodiscard]] inline std::error_code result_of_connect(const Socket& socket) noexcept {
    const std::error_code error = socket.take_error();
    if (error || !connected_to_itself(socket)) return error;
    return std::make_error_code(std::errc::connection_refused);
}

/// Returns the failure of a dial over the network.
[[nodiscard]] inline Failure failure_of_dial(const std::error_code& error) noexcept {
    return belay::detail::socket_failure(error, Cause::refused);
}

/// The resolver and the memory with which a transport dials names.
struct DialNames {
    ResolverRef resolver{};                          ///< none: a look-up blocks
    belay::detail::OwnDialMemory* memory = nullptr;  ///< null: nothing is remembered
};

/// Dials a name: the pending look-up, and then the race between its addresses. It lives until the
/// connection is open.
///
/// Thread safety: the loop's thread.
class Dial : public belay::detail::Counted {
    using Race = belay::detail::DialRace;
    using Memory = belay::detail::DialMemory;

public:
    Dial(Poller& poller, const Link<Bytes>& link, belay::detail::Ref<Memory> memory,
         Duration silent_for) noexcept
        : poller_{poller}, link_{link}, plan_{std::move(memory), silent_for} {}
    ~Dial() {
        plan_.learn([](const SocketAddress& address) { return address.text(); });
    }

    /// Looks the name up. Without a resolver it blocks.   Throws: std::bad_alloc.
    void begin(const Endpoint& endpoint, ResolverRef resolver) {
        port_ = endpoint.port;
        if (resolver) {
            look_up_.begin(link_, resolver, endpoint.host);
        } else {
            found_.emplace(look_up_by_system(endpoint.host));
        }
    }
    [[nodiscard]] Instant deadline() const noexcept {
        if (found_ || ready_) return always;
        return plan_.begun() ? plan_.deadline() : look_up_.deadline();
    }
    /// Continues.   Returns: whether the dial is over: with socket() if it is not empty, else with
    /// failure().   Throws: std::bad_alloc.
    [[nodiscard]] bool advance(Instant now) {
        if (!plan_.begun() && !found_) found_ = look_up_.advance(link_);
        if (found_) start_race(now);
        if (!plan_.begun()) return false;
        ready_ = false;
        for (std::size_t i = 0; i < slots_.size(); ++i) finish(i);
        const bool is_over = plan_.run(
            now, [this](std::size_t attempt) { start(attempt); },
            [this](std::size_t attempt) { slots_[attempt].reset(); });
        if (!is_over) return false;
        if (plan_.race().has_won()) {
            std::optional<Slot>& slot = slots_[plan_.race().winner()];
            socket_ = std::move(slot->socket);
            slot.reset();
        } else if (!plan_.empty()) {
            failure_ = plan_.race().failure();
        }
        return true;
    }
    [[nodiscard]] Socket& socket() noexcept { return socket_; }
    [[nodiscard]] const Failure& failure() const noexcept { return failure_; }

private:
    /// An open attempt.
    struct Slot {
        /// Throws: std::bad_alloc.
        Slot(Dial& dial, Socket dialled)
            : owner{dial}, socket{std::move(dialled)}, watch{dial.poller_, this, &Slot::notify} {
            watch.start(socket.get(), POLLOUT);
        }
        /// Results are handled in a turn, which has the time.
        static void notify(void* self, short) {
            Slot& slot = *static_cast<Slot*>(self);
            slot.watch.modify(0);
            slot.ready = slot.owner.ready_ = true;
            slot.owner.link_.wake();
        }

        Dial& owner;
        bool ready = false;
        Socket socket;
        /// Last, so that it ends before the descriptor is closed.
        Watch watch;
    };

    void start_race(Instant now) {
        const HostAddresses found = std::move(*found_);
        found_.reset();
        std::error_code error = found.error;
        std::vector<SocketAddress> addresses;
        for (const std::string& host : found.addresses) {
            Addresses numeric;
            error = numeric.resolve_numeric({host, port_}, false);
            append(addresses, numeric.first());
        }
        if (addresses.empty()) {
            if (!error) error = std::make_error_code(std::errc::address_not_available);
            failure_ = failure_of_dial(error);
        }
        plan_.begin(addresses, now, [](const SocketAddress& a) { return a.key(); });
    }
    void start(std::size_t attempt) {
        std::error_code error;
        Socket socket = start_to_connect(plan_.address_of(attempt), error);
        if (!socket) return plan_.race().failed(attempt, failure_of_dial(error));
        slots_[attempt].emplace(*this, std::move(socket));
    }
    /// Reports the result of an attempt, if there is one.
    void finish(std::size_t attempt) noexcept {
        std::optional<Slot>& slot = slots_[attempt];
        if (!slot || !std::exchange(slot->ready, false)) return;
        const std::error_code error = result_of_connect(slot->socket);
        if (!error) return plan_.race().connected(attempt);
        slot.reset();
        plan_.race().failed(attempt, failure_of_dial(error));
    }

    Poller& poller_;
    const Link<Bytes> link_;
    belay::detail::DialPlan<SocketAddress> plan_;
    std::uint16_t port_ = 0;
    bool ready_ = false;  // a slot has a result
    PendingLookUp<Bytes> look_up_;
    std::optional<HostAddresses> found_;
    std::array<std::optional<Slot>, Race::attempts_max> slots_{};  // by attempt
    Socket socket_;
    Failure failure_{};
};

}  // namespace detail

/// Limits of the connections of posix::Tcp, posix::Unix and posix::Listener.
struct TcpOptions {
    /// The most output that may wait for the kernel, before send() returns busy. When none waits, a
    /// message of any permitted length is accepted.
    std::size_t output_bytes_max = std::size_t{1} << 20;
    /// How long an address of a name that did not answer is tried last. 0 ns: not at all.
    Duration silent_for = belay::detail::DialMemory::default_time;
};

/// A connection over TCP or a Unix domain socket that carries whole messages. The framing defines a
/// message.
/// belay/link/detail/stream_connection.hpp describes how they are sent and received.
///
/// Pinned. All messages that are sent in a turn are written together at the end of the loop's
/// round.
///
/// Models:        ConnectionLike, with close(), resume_reading(), limit_messages(), limit_output(),
///                and ping() if the framing has one.
/// Thread safety: the loop's thread.
template <FramingLike Framing = LengthPrefixed>
class SocketConnection
    : private belay::detail::StreamConnection<SocketConnection<Framing>, Framing> {
    using Stream = belay::detail::StreamConnection<SocketConnection, Framing>;
    using Answer = belay::detail::StreamAnswer;
    friend Stream;

public:
    /// Dials.   Blocks: without a resolver, while a name is looked up.   Throws: std::bad_alloc.
    SocketConnection(Poller& poller, const Endpoint& endpoint, const Framing& framing,
                     const TcpOptions& options, const Link<Bytes>& link,
                     const detail::DialNames& names = {})
        : SocketConnection{poller, framing, options, link} {
        detail::Addresses addresses;
        const std::error_code error = addresses.resolve_numeric(endpoint, false);
        if (error != std::error_code{EAI_NONAME, detail::resolve_category()}) {
            error ? this->end(detail::failure_of_dial(error)) : dial(addresses);
            return;
        }
        belay::detail::OwnDialMemory unshared;
        dial_ = belay::detail::Ref<detail::Dial>::make(
            poller, link, (names.memory != nullptr ? *names.memory : unshared).get(),
            options.silent_for);
        dial_->begin(endpoint, names.resolver);
    }
    /// Connects to a Unix domain socket.   Throws: std::bad_alloc.
    SocketConnection(Poller& poller, const UnixPath& path, const Framing& framing,
                     const TcpOptions& options, const Link<Bytes>& link)
        : SocketConnection{poller, framing, options, link} {
        detail::SocketAddress address;
        std::error_code error = detail::unix_address(path, address);
        if (!error) socket_ = detail::start_to_connect(address, error);
        if (socket_) {
            watch_.start(socket_.get(), POLLOUT);
        } else {
            this->end(detail::unix_failure(path, error));
        }
    }
    /// Takes over a connected socket.   Throws: std::bad_alloc.
    SocketConnection(Poller& poller, detail::Socket socket, const Framing& framing,
                     const TcpOptions& options, const Link<Bytes>& link)
        : SocketConnection{poller, framing, options, link} {
        socket_ = std::move(socket);
        if (socket_) {
            watch_.start(socket_.get(), POLLIN);
            connected();
        } else {
            // An accepted connection cannot be opened again.
            Failure failure = Failure::from(std::make_error_code(std::errc::bad_file_descriptor));
            failure.cause = Cause::permanent;
            this->end(failure);
        }
    }
    SocketConnection(const SocketConnection&) = delete;
    SocketConnection& operator=(const SocketConnection&) = delete;
    ~SocketConnection() = default;

    using Stream::close;
    using Stream::limit_messages;
    using Stream::limit_output;
    using Stream::ping;
    using Stream::resume_reading;
    using Stream::send;

    [[nodiscard]] Instant deadline() const noexcept { return dial_ ? dial_->deadline() : never; }
    /// Continues the dial of a name.
    void advance(Turn& turn) {
        if (!dial_ || !dial_->advance(turn.now)) return;
        if (!dial_->socket()) return this->end(Failure{dial_->failure()});
        socket_ = std::move(dial_->socket());
        watch_.start(socket_.get(), POLLOUT);
        connected();
    }

private:
    SocketConnection(Poller& poller, const Framing& framing, const TcpOptions& options,
                     const Link<Bytes>& link)
        : Stream{framing, options.output_bytes_max, link},
          watch_{poller, this, [](void* self, short revents) {
                     static_cast<SocketConnection*>(self)->ready(revents);
                 }} {}

    // ---- dialling ------------------------------------------------------------------------------

    /// Dials a numeric address. It needs no turn.
    void dial(const detail::Addresses& addresses) {
        std::error_code error;
        std::vector<detail::SocketAddress> found;
        detail::append(found, addresses.first());
        if (!found.empty()) socket_ = detail::start_to_connect(found.front(), error);
        if (!socket_) return this->end(detail::failure_of_dial(error));
        watch_.start(socket_.get(), POLLOUT);
    }
    void finish_dial() {
        const std::error_code error = detail::result_of_connect(socket_);
        return error ? this->end(detail::failure_of_dial(error)) : connected();
    }
    void connected() {
        dial_.reset();
        // Without TCP_NODELAY, small messages wait for acknowledgements. A failure only makes them
        // late. A Unix domain socket has no such option.
        static_cast<void>(socket_.enable(IPPROTO_TCP, TCP_NODELAY));
        this->begin();
    }
    void ready(short revents) {
        if (this->connecting()) return finish_dial();
        if (revents == 0) return this->flush();
        if ((revents & (POLLIN | POLLHUP | POLLERR)) != 0) this->readable();
        if ((revents & (POLLOUT | POLLHUP | POLLERR)) != 0) this->writable();
    }

    // ---- what StreamConnection requires ---------------------------------------------------------

    void watch(bool input, bool output) noexcept {
        watch_.modify(static_cast<short>((input ? POLLIN : 0) | (output ? POLLOUT : 0)));
    }
    void write_soon() noexcept { watch_.soon(); }
    void end_output() noexcept { ::shutdown(socket_.get(), SHUT_WR); }
    void hang_up() noexcept {
        dial_.reset();
        watch_.stop();
        socket_.reset();
    }
    [[nodiscard]] Answer read_some(std::span<std::byte> space) noexcept {
        return answer([&] { return ::recv(socket_.get(), space.data(), space.size(), 0); });
    }
    [[nodiscard]] Answer write_some(BytesView bytes) noexcept {
        return answer(
            [&] { return ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL); });
    }
    [[nodiscard]] Answer write_both(BytesView header, BytesView message) noexcept {
        iovec parts[2] = {{const_cast<std::byte*>(header.data()), header.size()},
                          {const_cast<std::byte*>(message.data()), message.size()}};
        msghdr both{};
        both.msg_iov = parts;
        both.msg_iovlen = 2;
        return answer([&] { return ::sendmsg(socket_.get(), &both, MSG_NOSIGNAL); });
    }
    [[nodiscard]] static Answer answer(auto&& call) noexcept {
        for (;;) {
            const ssize_t n = call();
            if (n > 0) return {Answer::Kind::moved, static_cast<std::size_t>(n)};
            if (n == 0) return {Answer::Kind::ended};
            if (detail::would_block(errno)) return {Answer::Kind::would_block};
            if (errno != EINTR) return {Answer::Kind::failed, 0, detail::errno_code()};
        }
    }

    detail::Socket socket_;
    belay::detail::Ref<detail::Dial> dial_;  // of a name, until it is connected
    /// Last, so that it ends before the descriptor is closed.
    Watch watch_;
};

}}}  // namespace belay::posix
