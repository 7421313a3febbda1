// SPDX-License-Identifier: MIT
/// \file belay/posix/detail/tcp_connection.hpp
/// TcpConnection: one connection of posix::Tcp or of posix::Listener.
#pragma once

#include <new>      // std::bad_alloc
#include <utility>  // std::move

#include <sys/uio.h>

#include <belay/link/connection_like.hpp>
#include <belay/link/detail/stream_input.hpp>
#include <belay/link/detail/stream_output.hpp>
#include <belay/link/length_prefixed.hpp>
#include <belay/link/link.hpp>
#include <belay/link/link_errc.hpp>
#include <belay/posix/detail/dial.hpp>
#include <belay/posix/detail/socket.hpp>
#include <belay/posix/poller.hpp>

namespace belay::inline BELAY_ABI::posix {

/// How connections of posix::Tcp and posix::Listener are tuned.
struct TcpOptions {
    /// Output that may wait for the kernel, before send() answers busy. When none waits, a message
    /// of any legal length is taken.
    std::size_t output_bytes_max = std::size_t{1} << 20;
};

/// A TCP connection that carries whole messages, as its framing says what a message is.
///
/// Pinned. What is sent in a turn is written at the end of the loop's round, together.
///
/// Models:        ConnectionLike, with close(), resume_reading(), limit_messages(), and ping()
///                where the framing has one.
/// Thread safety: the loop's thread.
template <FramingLike Framing = LengthPrefixed>
class TcpConnection {
public:
    /// Dials.   Blocks: without a resolver, while a name is looked up.   Throws: std::bad_alloc.
    TcpConnection(Poller& poller, const Endpoint& endpoint, const Framing& framing,
                  const TcpOptions& options, const Link<Bytes>& link,
                  detail::BasicResolver* resolver = nullptr)
        : TcpConnection{poller, framing, options, link} {
        dial_ = belay::detail::Ref<detail::Dial>::make();
        const auto error = dial_->begin(endpoint, resolver, link);
        if (error) dial(*error);
    }
    /// Takes over a connected socket.   Throws: std::bad_alloc.
    TcpConnection(Poller& poller, detail::Socket socket, const Framing& framing,
                  const TcpOptions& options, const Link<Bytes>& link)
        : TcpConnection{poller, framing, options, link} {
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
    /// Allocates: while the output buffer grows.
    /// Errors: refused: the framing cannot say it (too long, mostly); busy, and then Link::writable
    /// follows once; down unless the connection is open.
    [[nodiscard]] SendResult send(const Bytes& message) noexcept {
        if (state_ != State::open || broken_) return SendResult::down;
        if constexpr (belay::detail::PutsHeader<Framing>) {
            if (message.size() >= direct_bytes_min && output_.empty()) return send_direct(message);
        }
        if (!fits(output_.size(), message.size()) && !blocked_) write();
        if (broken_) return SendResult::down;
        const std::size_t before = output_.size();
        // What cannot fit is not copied, where its header says how long it is.
        std::size_t left_out = 0;
        bool said = false;
        const auto say = [&] {
            if constexpr (belay::detail::PutsHeader<Framing>) {
                if (!fits(before, message.size())) left_out = message.size();
                if (left_out != 0) return input_.framing().put_header(left_out, output_.end());
            }
            return input_.framing().put(message, output_.end());
        };
        if (!put([&] { said = say(); })) return SendResult::down;
        if (!said) return SendResult::refused;
        const std::size_t size = output_.size() - before;
        if (!fits(before, size + left_out)) {
            output_.take_back(size);
            refused_bytes_ = size + left_out;
            return SendResult::busy;
        }
        if (output_.size() >= early_write_bytes && !blocked_) write();
        return SendResult::sent;
    }

    /// Asks the peer for a sign of life, which is Link::pong. Does nothing while an earlier ping
    /// waits to be written.
    void ping() noexcept
        requires belay::detail::PutsPing<Framing>
    {
        put_once([&] { input_.framing().put_ping(output_.end()); }, ping_ends_);
    }

    /// Bounds the messages that begin from here on, beside what the framing takes; a longer one
    /// ends the connection before its first byte is kept.
    void limit_messages(std::size_t bytes) noexcept { input_.limit_messages(bytes); }

    /// Takes reading up again after a message was refused; offers that one first.
    void resume_reading() noexcept {
        if (!holds_ || state_ != State::open) return;
        if (!offer()) return;
        holds_ = false;
        take_input(true);
        watch_events();
    }

    /// Writes what waits, says goodbye to the peer, and reports Link::closed when the peer has said
    /// so too: with `why`, if everything could be written. What comes meanwhile is dropped.
    void close(const Failure& why) noexcept {
        if (state_ == State::closing) return;
        if (state_ != State::open || broken_) return end(why);
        state_ = State::closing;
        why_ = why;
        holds_ = false;
        input_.drop();
        write();
    }

    [[nodiscard]] Instant deadline() const noexcept { return dial_ ? dial_->deadline() : never; }
    /// The resolver has answered.
    void advance(Turn&) {
        if (dial_ && dial_->answered()) dial(dial_->take());
    }

private:
    using Input = belay::detail::StreamInput<Framing>;

    enum class State : std::uint8_t {
        connecting,
        open,
        closing,  ///< close() was called: output is flushed, input dropped
        over      ///< Link::closed was reported
    };

    /// Reads in one round, so that a flood on one connection does not starve the others.
    static constexpr unsigned reads_per_round_max = 4;
    /// From this size a message is not copied into the buffer before it is written.
    static constexpr std::size_t direct_bytes_min = std::size_t{16} << 10;
    /// With so much output the end of the round is not waited for.
    static constexpr std::size_t early_write_bytes = std::size_t{64} << 10;

    TcpConnection(Poller& poller, const Framing& framing, const TcpOptions& options,
                  const Link<Bytes>& link)
        : options_{options},
          link_{link},
          input_{framing},
          watch_{poller, this, [](void* self, short revents) {
                     static_cast<TcpConnection*>(self)->ready(revents);
                 }} {}

    // ---- from dialling to the end --------------------------------------------------------------

    /// Tries addresses until one does not fail at once; `error` is why there is none left.
    void dial(std::error_code error) {
        watch_.stop();
        socket_ = dial_->next(error);
        if (!socket_) return end(Failure::from(error));
        watch_.start(socket_.get(), POLLOUT);
    }
    void finish_dial() {
        std::error_code error = socket_.take_error();
        if (!error && detail::connected_to_itself(socket_))
            error = std::make_error_code(std::errc::connection_refused);
        return error ? dial(error) : begin();
    }
    void begin() {
        dial_.reset();
        // Without it small messages wait for acknowledgements: they are late, and that is all.
        static_cast<void>(socket_.enable(IPPROTO_TCP, TCP_NODELAY));
        state_ = State::open;
        watch_events();
        link_.opened();
    }
    /// The one place where Link::closed is reported.
    void end(const Failure& why) noexcept {
        state_ = State::over;
        dial_.reset();
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
        if (state_ == State::closing) return end(Failure::from(error));
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
        for (unsigned i = 0; i < reads_per_round_max && !holds_; ++i) {
            std::span<std::byte> room;
            if (!guarded([&] { room = input_.room(); })) return;
            const std::size_t most = std::min(room.size(), Input::bytes_min);
            const ssize_t n = ::recv(socket_.get(), room.data(), most, 0);
            if (n < 0 && errno == EINTR) continue;
            if (n < 0 && detail::would_block(errno)) break;
            // A peer that only sends no more may read on: what waits for it goes first.
            holds_ = n == 0 && state_ == State::closing && !output_.empty();
            if (holds_) break;
            if (n <= 0) return end(end_of_input(n == 0 ? std::error_code{} : detail::errno_code()));
            if (state_ != State::open) link_.pong(false);  // dropped, but a sign of life
            if (state_ == State::open) {
                input_.arrived(static_cast<std::size_t>(n));
                take_input(false);
            }
            if (state_ == State::over) return;
            if (static_cast<std::size_t>(n) < most) break;
        }
        watch_events();
    }
    [[nodiscard]] Failure end_of_input(const std::error_code& error) const noexcept {
        if (state_ == State::closing && !error) return why_;
        if (broken_) return Failure::from(broken_);
        return error ? Failure::from(error) : failure_of(LinkErrc::closed_by_peer);
    }

    /// Handles what has arrived. If that tells the supervisor nothing (`told`), it still learns
    /// that the peer is alive.
    void take_input(bool told) {
        bool answered = false;
        for (;;) {
            const Cut cut = input_.next();
            switch (cut.kind) {
                case Cut::Kind::more:
                    if (answered || !told) link_.pong(answered);
                    return;
                case Cut::Kind::message:
                    if (!guarded([&] { held_.assign(cut.body.begin(), cut.body.end()); })) return;
                    if (!offer()) return;
                    told = true;
                    break;
                case Cut::Kind::alive:
                    // One that asks for an answer is the peer's ping.
                    answered = answered || cut.body.empty();
                    if (!cut.body.empty()) {
                        put_once([&] { output_.append(cut.body); }, answer_ends_);
                    }
                    break;
                case Cut::Kind::failed:
                    return end(cut.failure);
            }
            if (state_ == State::over) return;
        }
    }
    /// Hands a message up.   Returns: false if nobody takes it now; it is kept.
    bool offer() {
        // Gone: our end follows, or we linger; there is nobody to read for.
        holds_ = link_.received(std::move(held_)) != belay::driver::Post::taken;
        return !holds_;
    }

    // ---- output --------------------------------------------------------------------------------

    /// Whether so many bytes may follow those that wait.
    [[nodiscard]] bool fits(std::size_t waiting, std::size_t size) const noexcept {
        return waiting == 0 ||
               (size <= options_.output_bytes_max && waiting <= options_.output_bytes_max - size);
    }
    /// Returns: false if there is no memory; the connection has ended then.
    bool guarded(auto&& f) noexcept {
#if defined(__cpp_exceptions)
        try {
            f();
        } catch (const std::bad_alloc&) {
            end(Failure::from(std::make_error_code(std::errc::not_enough_memory)));
            return false;
        }
#else
        f();
#endif
        return true;
    }
    /// Lets `f` append to the output, which is written at the end of the round.
    bool put(auto&& f) noexcept {
        if (!guarded(f)) return false;
        if (!blocked_) watch_.soon();
        return true;
    }
    /// At most one ping and one answer wait, however often they are asked for.
    void put_once(auto&& f, std::uint64_t& ends) noexcept {
        if (state_ != State::open || broken_ || ends > written_) return;
        if (put(f)) ends = written_ + output_.size();
    }

    /// Writes as much of the buffer as the kernel takes.
    void write() noexcept {
        blocked_ = false;
        while (!output_.empty()) {
            const BytesView bytes = output_.pending();
            const ssize_t n = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (n < 0 && errno == EINTR) continue;
            blocked_ = n < 0 && detail::would_block(errno);
            if (blocked_) break;
            if (n < 0) return broken(detail::errno_code());
            output_.consume(static_cast<std::size_t>(n));
            output_.give_back_above(options_.output_bytes_max);
            written_ += static_cast<std::uint64_t>(n);
        }
        if (state_ == State::closing && output_.empty()) {
            if (holds_) return end(why_);  // it has said goodbye before
            ::shutdown(socket_.get(), SHUT_WR);
        }
        tell_room();
        watch_events();
    }
    /// Writes a long message from where it is, and keeps what the kernel does not take.
    /// Pre: the output is empty.
    SendResult send_direct(const Bytes& message) noexcept {
        bool said = false;
        if (!put([&] { said = input_.framing().put_header(message.size(), output_.end()); })) {
            return SendResult::down;
        }
        if (!said) return SendResult::refused;
        const BytesView header = output_.pending();
        iovec parts[2] = {{const_cast<std::byte*>(header.data()), header.size()},
                          {const_cast<std::byte*>(message.data()), message.size()}};
        msghdr both{};
        both.msg_iov = parts;
        both.msg_iovlen = 2;
        // Errors are left to write(), which comes next.
        const ssize_t n = ::sendmsg(socket_.get(), &both, MSG_NOSIGNAL);
        const std::size_t wrote = n > 0 ? static_cast<std::size_t>(n) : 0;
        const std::size_t of_header = std::min(wrote, header.size());
        const BytesView rest = BytesView{message}.subspan(wrote - of_header);
        written_ += wrote;
        output_.consume(of_header);
        if (!rest.empty() && !put([&] { output_.append(rest); })) return SendResult::down;
        if (output_.size() >= early_write_bytes && !blocked_) write();
        return SendResult::sent;
    }
    /// Reports room once after send() answered busy: when half the buffer is free, so that writer
    /// and reader do not take turns by the message, and the refused message fits.
    void tell_room() noexcept {
        if (refused_bytes_ == 0 || state_ != State::open) return;
        if (output_.size() > options_.output_bytes_max / 2) return;
        if (!fits(output_.size(), refused_bytes_)) return;
        refused_bytes_ = 0;
        link_.writable();
    }

    const TcpOptions options_;
    const Link<Bytes> link_;
    State state_ = State::connecting;
    /// The peer is not read from: held_ was refused; when closing: it has said goodbye.
    bool holds_ = false;
    /// The kernel takes no output now; poll says when it does again.
    bool blocked_ = false;
    std::error_code broken_;
    Failure why_{};
    /// The message that send() last answered busy to; 0 for none.
    std::size_t refused_bytes_ = 0;
    /// Positions in the output: what the kernel has, the ends of the last ping and answer to one.
    std::uint64_t written_ = 0;
    std::uint64_t ping_ends_ = 0;
    std::uint64_t answer_ends_ = 0;
    Input input_;
    belay::detail::StreamOutput output_;
    Bytes held_;
    belay::detail::Ref<detail::Dial> dial_;  // until it is connected
    detail::Socket socket_;
    /// Last, so that it ends before the descriptor is closed.
    Watch watch_;
};

}  // namespace belay::inline BELAY_ABI::posix
