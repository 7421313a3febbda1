// SPDX-License-Identifier: MIT
/// \file belay/posix/detail/tcp_connection.hpp
/// TcpConnection: one connection of posix::Tcp or of posix::Listener.
#pragma once

#include <memory>  // std::unique_ptr
#include <new>     // std::bad_alloc

#include <sys/uio.h>

#include <belay/link/connection_like.hpp>
#include <belay/link/link.hpp>
#include <belay/link/link_errc.hpp>
#include <belay/posix/detail/addresses.hpp>
#include <belay/posix/detail/frame.hpp>
#include <belay/posix/detail/socket.hpp>
#include <belay/posix/poller.hpp>

namespace belay::inline BELAY_ABI::posix {

/// How connections of posix::Tcp and posix::Listener are tuned.
struct TcpOptions {
    /// The longest message; a longer frame is a breach of protocol. 16 MiB, and room for what
    /// protocols put around a message of that size. At most 4 GiB - 1.
    std::size_t message_bytes_max = (std::size_t{16} << 20) + 4096;
    /// Output that may wait for the kernel, before send() answers busy. When none waits, a message
    /// of any legal length is taken.
    std::size_t output_bytes_max = std::size_t{1} << 20;
};

/// A TCP connection that carries whole messages.
///
/// Pinned. What is sent in a turn is written at the end of the loop's round, together.
///
/// Models:        ConnectionLike, with close(), ping(), resume_reading() and limit_messages().
/// Thread safety: the loop's thread.
class TcpConnection {
public:
    /// Dials.   Blocks: while a name is looked up.   Throws: std::bad_alloc.
    TcpConnection(Poller& poller, const Endpoint& endpoint, const TcpOptions& options,
                  const Link<Bytes>& link)
        : TcpConnection{poller, options, link} {
        const std::error_code error = addresses_.resolve(endpoint, false);
        address_ = addresses_.first();
        dial(error);
    }
    /// Takes over a connected socket.   Throws: std::bad_alloc.
    TcpConnection(Poller& poller, detail::Socket socket, const TcpOptions& options,
                  const Link<Bytes>& link)
        : TcpConnection{poller, options, link} {
        socket_ = std::move(socket);
        if (socket_) {
            watch_.start(socket_.get(), POLLIN);
            begin();
        } else {
            // An accepted connection cannot be made a second time.
            Failure failure = Failure::from(std::make_error_code(std::errc::bad_file_descriptor));
            failure.cause = Cause::permanent;
            end(failure);
        }
    }
    TcpConnection(const TcpConnection&) = delete;
    TcpConnection& operator=(const TcpConnection&) = delete;
    ~TcpConnection() = default;

    /// Sends a message; sent means that it was handed to this connection, which writes it soon.
    ///
    /// Pre: message.size() <= message_bytes_max.   Allocates: while the output buffer grows.
    /// Errors: busy, and then Link::writable follows once; down unless the connection is open.
    [[nodiscard]] SendResult send(const Bytes& message) noexcept {
        BELAY_PRECONDITION(message.size() <= options_.message_bytes_max,
                           "TcpConnection::send: the message must not exceed message_bytes_max");
        if (state_ != State::open || broken_) return SendResult::down;
        const std::size_t size = detail::frame_header_bytes + message.size();
        if (!fits(size) && !blocked_) write();
        if (broken_) return SendResult::down;
        if (!fits(size)) {
            refused_bytes_ = size;
            return SendResult::busy;
        }
        const bool direct = size >= direct_bytes_min && output_.empty();
        const std::size_t written = direct ? write_past_buffer(message) : 0;
        if (written != size && !queue(detail::FrameKind::data, message, written)) {
            return SendResult::down;
        }
        if (output_.size() >= early_write_bytes && !blocked_) write();
        return SendResult::sent;
    }

    /// Asks the peer for a sign of life, which is Link::pong. Does nothing while an earlier ping
    /// waits to be written.
    void ping() noexcept { queue_once(detail::FrameKind::ping, ping_ends_); }

    /// Bounds the messages that begin from here on, below message_bytes_max; a longer one ends the
    /// connection before its first byte is kept.
    void limit_messages(std::size_t bytes) noexcept {
        reader_.limit_messages(std::min(bytes, options_.message_bytes_max));
    }

    /// Takes reading up again after a message was refused; offers that one first.
    void resume_reading() noexcept {
        if (!holds_ || state_ != State::open) return;
        if (!offer()) return;
        holds_ = false;
        take_input(true);
        watch_events();
    }

    /// Writes what waits, says goodbye to the peer, and reports Link::closed with `why` when the
    /// peer has said so too. Messages that come meanwhile are dropped.
    void close(const Failure& why) noexcept {
        if (state_ == State::closing) return;
        if (state_ != State::open || broken_) return end(why);
        state_ = State::closing;
        why_ = why;
        holds_ = false;
        write();
    }

private:
    using Found = detail::FrameReader::Found;

    enum class State : std::uint8_t {
        connecting,
        open,
        closing,  ///< close() was called: output is flushed, input dropped
        over      ///< Link::closed was reported
    };

    /// One read; more than one frame of most protocols, so that system calls are few.
    static constexpr std::size_t input_bytes = std::size_t{64} << 10;
    /// Reads in one round, so that a flood on one connection does not starve the others.
    static constexpr unsigned reads_per_round_max = 4;
    /// From this size a message is not copied into the buffer before it is written.
    static constexpr std::size_t direct_bytes_min = std::size_t{16} << 10;
    /// With so much output the end of the round is not waited for.
    static constexpr std::size_t early_write_bytes = std::size_t{64} << 10;

    TcpConnection(Poller& poller, const TcpOptions& options, const Link<Bytes>& link)
        : options_{options},
          link_{link},
          reader_{options.message_bytes_max},
          watch_{poller, this, [](void* self, short revents) {
                     static_cast<TcpConnection*>(self)->ready(revents);
                 }} {}

    // ---- from dialling to the end --------------------------------------------------------------

    /// Tries addresses until one does not fail at once; `error` is why there is none left.
    void dial(std::error_code error) {
        for (; address_ != nullptr; address_ = address_->ai_next) {
            watch_.stop();
            socket_ = detail::Socket::tcp(address_->ai_family);
            if (socket_) {
                const int answer =
                    ::connect(socket_.get(), address_->ai_addr, address_->ai_addrlen);
                if (answer == 0 || errno == EINPROGRESS || errno == EINTR) {
                    return watch_.start(socket_.get(), POLLOUT);
                }
            }
            error = detail::errno_code();
        }
        end(Failure::from(error));
    }
    void finish_dial() {
        std::error_code error = socket_.take_error();
        if (!error && detail::connected_to_itself(socket_)) {
            error = std::make_error_code(std::errc::connection_refused);
        }
        if (!error) return begin();
        address_ = address_->ai_next;
        dial(error);
    }
    void begin() {
        addresses_.reset();
        input_.reset(new std::byte[input_bytes]);
        // Without it small messages would wait for the peer's acknowledgement. If it cannot be
        // had, they are late, and that is all.
        static_cast<void>(socket_.enable(IPPROTO_TCP, TCP_NODELAY));
        state_ = State::open;
        watch_events();
        link_.opened();
    }
    /// The one place where Link::closed is reported.
    void end(const Failure& why) noexcept {
        state_ = State::over;
        watch_.stop();
        socket_.reset();
        output_.clear();
        link_.closed(why);
    }
    /// Nothing can be written any more. What the peer sent before is still read: it may say why.
    void broken(std::error_code error) noexcept {
        broken_ = error;
        output_.clear();
        blocked_ = false;
        if (state_ == State::closing) return end(why_);
        watch_events();
    }

    // ---- events --------------------------------------------------------------------------------

    void ready(short revents) {
        if (state_ == State::connecting) return finish_dial();
        if (revents == 0) return write();
        if ((revents & (POLLIN | POLLHUP | POLLERR)) != 0 && !holds_) read();
        if ((revents & (POLLOUT | POLLHUP | POLLERR)) != 0 && blocked_) write();
    }
    void watch_events() noexcept {
        const int in = holds_ ? 0 : POLLIN;
        watch_.modify(static_cast<short>(in | (blocked_ ? POLLOUT : 0)));
    }

    // ---- input ---------------------------------------------------------------------------------

    void read() {
        for (unsigned i = 0; i < reads_per_round_max && reads(); ++i) {
            const ssize_t n = ::recv(socket_.get(), input_.get(), input_bytes, 0);
            if (n < 0 && errno == EINTR) continue;
            if (n < 0 && detail::would_block(errno)) break;
            if (n <= 0) return end(end_of_input(n == 0 ? std::error_code{} : detail::errno_code()));
            rest_ = {input_.get(), static_cast<std::size_t>(n)};
            if (state_ == State::open) take_input(false);
            if (static_cast<std::size_t>(n) < input_bytes) break;
        }
        if (state_ != State::over) watch_events();
    }
    [[nodiscard]] bool reads() const noexcept { return state_ != State::over && !holds_; }
    [[nodiscard]] Failure end_of_input(const std::error_code& error) const noexcept {
        if (state_ == State::closing) return why_;
        if (broken_) return Failure::from(broken_);
        return error ? Failure::from(error) : failure_of(LinkErrc::closed_by_peer);
    }

    /// Handles the frames in rest_. If they tell the supervisor nothing (`told`), it still learns
    /// that the peer is alive.
    void take_input(bool told) {
        for (;;) {
            switch (reader_.next(rest_)) {
                case Found::nothing:
                    if (!told) link_.pong();
                    return;
                case Found::message:
                    if (!offer()) return;
                    told = true;
                    break;
                case Found::ping:
                    queue_once(detail::FrameKind::pong, pong_ends_);
                    break;
                case Found::pong:
                    break;
                case Found::garbage:
                    return end(Failure::from(std::make_error_code(std::errc::protocol_error)));
            }
        }
    }
    /// Hands the reader's message up.   Returns: false if nobody takes it now; it is kept.
    bool offer() {
        const belay::driver::Post post = link_.received(std::move(reader_.message()));
        // Gone: our end follows, or we linger; there is nobody to read for.
        holds_ = post != belay::driver::Post::taken;
        return !holds_;
    }

    // ---- output --------------------------------------------------------------------------------

    [[nodiscard]] bool fits(std::size_t size) const noexcept {
        return output_.empty() || (size <= options_.output_bytes_max &&
                                   output_.size() <= options_.output_bytes_max - size);
    }
    /// Returns: false if there is no memory; the connection is broken then.
    bool queue(detail::FrameKind kind, BytesView payload, std::size_t skip = 0) noexcept {
#if defined(__cpp_exceptions)
        try {
            output_.append(kind, payload, skip);
        } catch (const std::bad_alloc&) {
            end(Failure::from(std::make_error_code(std::errc::not_enough_memory)));
            return false;
        }
#else
        output_.append(kind, payload, skip);
#endif
        if (!blocked_) watch_.soon();
        return true;
    }
    /// At most one ping and one pong wait, however often they are asked for.
    void queue_once(detail::FrameKind kind, std::uint64_t& ends) noexcept {
        if (state_ != State::open || broken_ || ends > written_) return;
        if (queue(kind, {})) ends = written_ + output_.size();
    }

    /// Writes as much of the buffer as the kernel takes.
    void write() noexcept {
        blocked_ = false;
        while (!output_.empty()) {
            const BytesView bytes = output_.pending();
            const ssize_t n = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (n < 0 && errno == EINTR) continue;
            if (n < 0 && detail::would_block(errno)) {
                blocked_ = true;
                break;
            }
            if (n < 0) return broken(detail::errno_code());
            output_.consume(static_cast<std::size_t>(n));
            output_.give_back_above(options_.output_bytes_max);
            written_ += static_cast<std::uint64_t>(n);
        }
        if (state_ == State::closing && output_.empty()) ::shutdown(socket_.get(), SHUT_WR);
        tell_room();
        watch_events();
    }
    /// Writes a message from where it is.   Pre: the buffer is empty.
    /// Returns: how many bytes of its frame are written.
    std::size_t write_past_buffer(const Bytes& message) noexcept {
        std::byte header[detail::frame_header_bytes];
        detail::store_frame_header(header, detail::FrameKind::data, message.size());
        iovec parts[2] = {{header, sizeof header},
                          {const_cast<std::byte*>(message.data()), message.size()}};
        msghdr frame{};
        frame.msg_iov = parts;
        frame.msg_iovlen = 2;
        // Errors are left to write(), which comes next.
        const ssize_t n = ::sendmsg(socket_.get(), &frame, MSG_NOSIGNAL);
        if (n <= 0) return 0;
        written_ += static_cast<std::uint64_t>(n);
        return static_cast<std::size_t>(n);
    }
    /// Reports room once after send() answered busy: when half the buffer is free, so that writer
    /// and reader do not take turns by the message, and the refused message fits.
    void tell_room() noexcept {
        if (refused_bytes_ == 0 || state_ != State::open) return;
        const bool half = output_.size() <= options_.output_bytes_max / 2;
        if (!half || !fits(refused_bytes_)) return;
        refused_bytes_ = 0;
        link_.writable();
    }

    const TcpOptions options_;
    const Link<Bytes> link_;
    State state_ = State::connecting;
    /// The peer is not read from: the reader's message was refused, and rest_ waits behind it.
    bool holds_ = false;
    /// The kernel takes no output now; poll says when it does again.
    bool blocked_ = false;
    std::error_code broken_;
    Failure why_{};
    /// The message that send() last answered busy to; 0 for none.
    std::size_t refused_bytes_ = 0;
    /// Positions in the stream of output: what the kernel has, and the ends of the last ping, pong.
    std::uint64_t written_ = 0;
    std::uint64_t ping_ends_ = 0;
    std::uint64_t pong_ends_ = 0;
    detail::FrameReader reader_;
    detail::FrameWriter output_;
    std::unique_ptr<std::byte[]> input_;
    BytesView rest_;
    detail::Addresses addresses_;
    const addrinfo* address_ = nullptr;
    detail::Socket socket_;
    /// Last, so that it ends before the descriptor is closed.
    Watch watch_;
};

}  // namespace belay::inline BELAY_ABI::posix
