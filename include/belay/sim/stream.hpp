// SPDX-License-Identifier: MIT
/// \file belay/sim/stream.hpp
/// sim::Stream and sim::AcceptedStream: the two ends of simulated streams of bytes, with a framing.
#pragma once

#include <memory>        // std::make_shared
#include <optional>      // std::optional
#include <span>          // std::span
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::make_error_code
#include <type_traits>   // std::is_invocable_v
#include <utility>       // std::move, std::exchange

#include <belay/link/detail/stream_connection.hpp>
#include <belay/link/framings.hpp>
#include <belay/link/transport_like.hpp>
#include <belay/sim/detail/socket.hpp>

namespace belay { inline namespace BELAY_ABI { namespace sim {

/// A connection over a simulated stream of bytes. The framing defines a message, as in
/// posix::SocketConnection, with which it shares its code.
///
/// Pinned. All messages that are sent in one event are written together after it.
///
/// Models:        ConnectionLike, with close(), resume_reading(), limit_messages(), limit_output(),
///                and ping() if the framing has one.
/// Thread safety: the world's thread.
template <FramingLike Framing = LengthPrefixed>
class FramedConnection
    : private belay::detail::StreamConnection<FramedConnection<Framing>, Framing> {
    using Body = belay::detail::StreamConnection<FramedConnection, Framing>;
    using Answer = belay::detail::StreamAnswer;
    friend Body;

public:
    /// Dials.
    FramedConnection(Host& host, std::string_view peer, std::uint16_t port, const Framing& framing,
                     const Link<Bytes>& link)
        : FramedConnection{host, framing, link} {
        if (detail::name_hangs(detail::Kernel::fabric(host), peer)) {
            ready_ = host_.after(detail::hang_time,
                                 [this] { this->end(failure(std::errc::host_unreachable)); });
            return;
        }
        const std::optional<detail::Address> address = detail::Socket::look_up(host, peer);
        const std::errc error = detail::Kernel::lacks_descriptors(host)
                                    ? std::errc::too_many_files_open
                                : address ? socket_.connect(*address, port)
                                          : std::errc::host_unreachable;
        if (error != std::errc{}) this->end(failure(error));
    }
    /// Takes over an accepted connection.
    FramedConnection(Host& host, belay::detail::Ref<detail::Channel> channel,
                     const Framing& framing, const Link<Bytes>& link)
        : FramedConnection{host, framing, link} {
        if (channel) {
            socket_.adopt(std::move(channel));
            this->begin();
        } else {
            // An accepted connection cannot be opened again.
            this->end(Failure{.cause = Cause::permanent});
        }
    }
    FramedConnection(const FramedConnection&) = delete;
    FramedConnection& operator=(const FramedConnection&) = delete;
    ~FramedConnection() { ready_.cancel(); }

    using Body::close;
    using Body::limit_messages;
    using Body::limit_output;
    using Body::ping;
    using Body::resume_reading;
    using Body::send;

private:
    static constexpr std::size_t output_bytes_max = std::size_t{1} << 20;  // as by posix::Tcp

    FramedConnection(Host& host, const Framing& framing, const Link<Bytes>& link)
        : Body{framing, output_bytes_max, link}, host_{host}, socket_{host, [this] { soon(); }} {}

    static Failure failure(std::errc error) { return Failure::from(std::make_error_code(error)); }
    /// Calls ready() in an event of the process, which may be frozen now.
    void soon() {
        if (this->over() || ready_.waits()) return;
        ready_ = host_.after(Duration::zero(), [this] { ready(); });
    }
    void ready() {
        if (this->connecting()) {
            const std::optional<std::errc> connected = socket_.finish_connect();
            if (!connected) return;
            return *connected == std::errc{} ? this->begin() : this->end(failure(*connected));
        }
        if (std::exchange(flushes_, false)) this->flush();
        if (watches_input_) this->readable();
        this->writable();
    }

    // ---- what belay::detail::StreamConnection requires -----------------------------------------

    void watch(bool input, bool) {
        watches_input_ = input;
        if (input && socket_.can_read()) soon();
    }
    void write_soon() {
        flushes_ = true;
        soon();
    }
    void end_output() noexcept { static_cast<void>(socket_.shutdown(false, true)); }
    void hang_up() noexcept {
        ready_.cancel();
        socket_.close();
    }
    [[nodiscard]] Answer read_some(std::span<std::byte> space) noexcept {
        return answer(socket_.read(space));
    }
    [[nodiscard]] Answer write_some(BytesView bytes) noexcept {
        return answer(socket_.write(bytes));
    }
    [[nodiscard]] Answer write_both(BytesView header, BytesView message) noexcept {
        Answer first = write_some(header);
        if (first.kind != Answer::Kind::moved || first.bytes != header.size()) return first;
        const Answer second = write_some(message);
        // The next write reports an error again.
        if (second.kind == Answer::Kind::moved) first.bytes += second.bytes;
        return first;
    }
    [[nodiscard]] static Answer answer(const detail::IoResult& io) noexcept {
        if (io.bytes != 0) return {Answer::Kind::moved, io.bytes};
        if (io.would_block()) return {Answer::Kind::would_block};
        if (io.error == std::errc{}) return {Answer::Kind::ended};
        return {Answer::Kind::failed, 0, std::make_error_code(io.error)};
    }

    Host& host_;
    detail::Socket socket_;
    Timer ready_;
    bool watches_input_ = false;
    bool flushes_ = false;  // output waits for the end of the event that wrote it
};

/// Connects to a port of a simulated host with a stream of bytes.
///
/// The bytes arrive in pieces that the seed draws: cut and joined anywhere, as by a real kernel.
/// `Framing` defines the messages, as in posix::Tcp. Use it to test a framing of yours in a world.
///
/// The other end listens by sim::listen_stream(). All faults of links and hosts hit it.
///
/// Models:        TransportLike.
/// Thread safety: the world's thread.
template <FramingLike Framing = LengthPrefixed>
class Stream {
public:
    using message_type = Bytes;

    /// `host` is the one on which the process runs, and must outlive the transport.
    Stream(Host& host, std::string_view peer, std::uint16_t port, Framing framing = {})
        : host_{&host}, peer_{peer}, port_{port}, framing_{std::move(framing)} {}

    [[nodiscard]] FramedConnection<Framing> open(const Link<Bytes>& link) {
        return {*host_, peer_, port_, framing_, link};
    }

private:
    Host* host_;
    std::string peer_;
    std::uint16_t port_;
    Framing framing_;
};

/// A connection that sim::listen_stream() has accepted: a transport for one attempt.
///
/// Every open() after the first is closed at once, permanently. If open() was never called, the
/// destructor aborts the connection.
///
/// Models:        TransportLike, move-only.
/// Thread safety: the world's thread.
template <FramingLike Framing = LengthPrefixed>
class AcceptedStream {
public:
    using message_type = Bytes;

    AcceptedStream(Host& host, belay::detail::Ref<detail::Channel> channel, Framing framing)
        : host_{&host}, channel_{std::move(channel)}, framing_{std::move(framing)} {}
    AcceptedStream(AcceptedStream&&) noexcept = default;
    AcceptedStream& operator=(AcceptedStream&&) = delete;
    ~AcceptedStream() {
        if (channel_) channel_->abort(1);
    }

    [[nodiscard]] FramedConnection<Framing> open(const Link<Bytes>& link) {
        return {*host_, std::exchange(channel_, {}), framing_, link};
    }

private:
    Host* host_;
    belay::detail::Ref<detail::Channel> channel_;
    Framing framing_;
};

/// Calls `on_accept(sim::AcceptedStream<Framing>)` for every connection of a sim::Stream to `port`,
/// until the process ends.   Pre: nothing listens on `port`.
template <FramingLike Framing = LengthPrefixed, class F>
void listen_stream(Host& host, std::uint16_t port, F&& on_accept, Framing framing = {}) {
    static_assert(std::is_invocable_v<std::decay_t<F>&, AcceptedStream<Framing>>,
                  "listen_stream: on_accept must be callable as "
                  "on_accept(sim::AcceptedStream<Framing>)");
    if (!host.alive()) return;
    detail::Station::Listener& listener = detail::Kernel::station(host).listeners[port];
    BELAY_PRECONDITION(!listener.on_accept && !listener.on_waiting,
                       "listen_stream: the port must be free");
    struct Accepts {
        std::decay_t<F> on_accept;
        Framing framing;

        void all(Host& host, std::uint16_t port) {
            detail::Station& station = detail::Kernel::station(host);
            detail::Station::Listener& listener = station.listeners[port];
            while (!listener.backlog.empty() && station.accepts()) {
                on_accept(AcceptedStream<Framing>{host, detail::Channel::take(listener), framing});
            }
        }
    };
    // Each event that accepts shares it with the kernel of the host.
    auto accepts = std::make_shared<Accepts>(Accepts{std::forward<F>(on_accept), framing});
    listener.on_waiting = [&host, port, accepts = std::move(accepts)] {
        host.post([&host, port, accepts] { accepts->all(host, port); });
    };
}

}}}  // namespace belay::sim
