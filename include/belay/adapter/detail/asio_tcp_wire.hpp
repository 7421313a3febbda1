// SPDX-License-Identifier: MIT
/// \file belay/adapter/detail/asio_tcp_wire.hpp
/// AsioTcpWire: the socket of one connection of AsioTcp, which asio's handlers keep alive.
#pragma once

#include <memory>   // std::enable_shared_from_this
#include <new>      // std::bad_alloc
#include <string>   // std::to_string
#include <utility>  // std::move

#include <belay/adapter/detail/asio_of.hpp>
#include <belay/link/detail/stream_input.hpp>
#include <belay/link/detail/stream_output.hpp>
#include <belay/link/link.hpp>
#include <belay/link/link_errc.hpp>
#include <belay/posix/endpoint.hpp>

namespace belay::inline BELAY_ABI::detail {

/// What a connection does. Every handler holds a reference, and does nothing once it is over: asio
/// calls those that were cancelled later, and those that were queued with success.
///
/// It waits until the socket can be read or written, and then does so by itself: no buffer is in
/// asio's hands, so messages may be added at any time.
///
/// Thread safety: the thread that runs the context.
template <class Context, FramingLike Framing>
class AsioTcpWire : public std::enable_shared_from_this<AsioTcpWire<Context, Framing>> {
    using Asio = AsioOf<Context>;
    using Tcp = typename Asio::Tcp;
    using Error = typename Asio::Error;
    using Input = StreamInput<Framing>;

public:
    AsioTcpWire(Context& context, const Framing& framing, std::size_t output_bytes_max,
                const Link<Bytes>& link)
        : context_{context},
          output_bytes_max_{output_bytes_max},
          link_{link},
          input_{framing},
          resolver_{context},
          socket_{context} {}

    void dial(const posix::Endpoint& endpoint) {
        Error error;
        const auto address = Asio::address(endpoint.host, error);
        if (!error) {
            // No look-up, and no thread for it.
            const typename Tcp::endpoint one{address, endpoint.port};
            using Found = typename Tcp::resolver::results_type;
            return connect(Found::create(one, endpoint.host, std::to_string(endpoint.port)));
        }
        resolver_.async_resolve(
            endpoint.host, std::to_string(endpoint.port), Tcp::resolver::numeric_service,
            [self = this->shared_from_this()](const Error& e, const auto& found) {
                if (self->state_ == State::over) return;
                e ? self->end(self->failure_of_dial(e)) : self->connect(found);
            });
    }

    [[nodiscard]] SendResult send(const Bytes& message) noexcept {
        if (state_ != State::open || broken_) return SendResult::down;
        if (!fits(output_.size(), message.size()) && !blocked_) write();
        if (state_ != State::open || broken_) return SendResult::down;
        const std::size_t before = output_.size();
        // What cannot fit is not copied, where its header says how long it is.
        std::size_t left_out = 0;
        bool said = false;
        const auto say = [&] {
            if constexpr (PutsHeader<Framing>) {
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
    void ping() noexcept {
        put_once([&] { input_.framing().put_ping(output_.end()); }, ping_ends_);
    }
    void limit_messages(std::size_t bytes) noexcept { input_.limit_messages(bytes); }
    void resume_reading() noexcept {
        if (!holds_ || state_ != State::open || !offer()) return;
        if (take_input(true)) wait_to_read();
    }
    void close(const Failure& why) noexcept {
        if (state_ == State::closing || state_ == State::over) return;
        if (state_ != State::open || broken_) return end(why);
        state_ = State::closing;
        why_ = why;
        holds_ = false;
        input_.drop();
        write();
        wait_to_read();
    }
    /// Its connection is gone: tells nobody any more.
    void abandon() noexcept {
        link_ = {};
        if (state_ != State::over) end({});
    }

private:
    enum class State : std::uint8_t { connecting, open, closing, over };

    /// Reads in one turn, so that a flood on one connection does not starve the others.
    static constexpr unsigned reads_per_turn_max = 4;
    /// With so much output the end of the turn is not waited for.
    static constexpr std::size_t early_write_bytes = std::size_t{64} << 10;

    // ---- from dialling to the end --------------------------------------------------------------

    void connect(const typename Tcp::resolver::results_type& found) {
        Asio::connect(socket_, found,
                      [self = this->shared_from_this()](const Error& e, const auto&) {
                          if (self->state_ != State::over) self->connected(e);
                      });
    }
    void connected(const Error& error) {
        if (error) return end(failure_of_dial(error));
        Error ignored;
        if (socket_.local_endpoint(ignored) == socket_.remote_endpoint(ignored)) {
            // A dial to a free port of one's own machine can end so.
            return end(Failure::from(std::make_error_code(std::errc::connection_refused)));
        }
        Error failed;
        socket_.non_blocking(true, failed);
        if (failed) return end(Failure::from(Asio::standard(failed)));
        // Without it small messages would wait for the peer's acknowledgement.
        socket_.set_option(typename Tcp::no_delay{true}, ignored);
        state_ = State::open;
        link_.opened();
        wait_to_read();
    }
    [[nodiscard]] static Failure failure_of_dial(const Error& error) noexcept {
        Failure failure = Failure::from(Asio::standard(error));
        if (Asio::unresolved(error)) failure.cause = Cause::refused;
        return failure;
    }
    /// The one place where Link::closed is reported.
    void end(const Failure& why) noexcept {
        state_ = State::over;
        resolver_.cancel();
        Error ignored;
        socket_.close(ignored);
        output_.clear();
        input_.drop();
        link_.closed(why);
    }
    /// Nothing can be written any more. What the peer sent before is still read: it may say why.
    void broken(const Error& error) noexcept {
        broken_ = Asio::standard(error);
        output_.clear();
        if (state_ == State::closing) end(Failure::from(broken_));
    }

    // ---- input ---------------------------------------------------------------------------------

    void wait_to_read() noexcept {
        if (awaits_input_ || holds_ || state_ == State::over) return;
        guarded([&] {
            socket_.async_wait(Tcp::socket::wait_read,
                               [self = this->shared_from_this()](const Error&) {
                                   self->awaits_input_ = false;
                                   if (self->state_ != State::over && !self->holds_) self->read();
                               });
            awaits_input_ = true;
        });
    }
    void read() {
        for (unsigned i = 0; i < reads_per_turn_max; ++i) {
            std::span<std::byte> room;
            if (!guarded([&] { room = input_.room(); })) return;
            const std::size_t most = smaller(room.size(), Input::bytes_min);
            Error error;
            const std::size_t n = socket_.read_some(Asio::buffer(room.first(most)), error);
            if (Asio::would_block(error)) break;
            // A peer that only sends no more may read on: what waits for it goes first.
            holds_ = Asio::ended(error) && state_ == State::closing && !output_.empty();
            if (holds_) return;
            if (error || n == 0) return end(end_of_input(error));
            if (state_ == State::open) {
                input_.arrived(n);
                if (!take_input(false)) return;
            } else {
                link_.pong(false);  // dropped, but a sign of life
            }
            if (n < most) break;
        }
        wait_to_read();
    }
    [[nodiscard]] Failure end_of_input(const Error& error) const noexcept {
        if (state_ == State::closing && (!error || Asio::ended(error))) return why_;
        if (broken_) return Failure::from(broken_);
        return error && !Asio::ended(error) ? Failure::from(Asio::standard(error))
                                            : failure_of(LinkErrc::closed_by_peer);
    }
    /// Handles what has arrived. If that tells the supervisor nothing (`told`), it still learns
    /// that the peer is alive.   Returns: whether to read on.
    bool take_input(bool told) {
        bool answered = false;
        for (;;) {
            const Cut cut = input_.next();
            switch (cut.kind) {
                case Cut::Kind::more:
                    if (answered || !told) link_.pong(answered);
                    return true;
                case Cut::Kind::message:
                    if (!guarded([&] { held_.assign(cut.body.begin(), cut.body.end()); }))
                        return false;
                    if (!offer()) return false;
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
                    end(cut.failure);
                    return false;
            }
            if (state_ == State::over) return false;
        }
    }
    /// Hands a message up.   Returns: false if nobody takes it now; it is kept.
    bool offer() {
        holds_ = link_.received(std::move(held_)) != driver::Post::taken;
        return !holds_;
    }

    // ---- output --------------------------------------------------------------------------------

    [[nodiscard]] bool fits(std::size_t waiting, std::size_t size) const noexcept {
        return waiting == 0 || (size <= output_bytes_max_ && waiting <= output_bytes_max_ - size);
    }
    /// Returns: false if there is no memory; the connection has ended then.
    bool guarded(auto&& f) noexcept {
        try {
            f();
        } catch (const std::bad_alloc&) {
            end(Failure::from(std::make_error_code(std::errc::not_enough_memory)));
            return false;
        }
        return true;
    }
    /// Lets `f` append to the output, which is written when this turn is over.
    bool put(auto&& f) noexcept {
        return guarded([&] {
            f();
            if (blocked_ || write_asked_) return;
            Asio::post(context_, [self = this->shared_from_this()] {
                self->write_asked_ = false;
                if (self->state_ != State::over && !self->blocked_) self->write();
            });
            write_asked_ = true;
        });
    }
    /// At most one ping and one answer wait, however often they are asked for.
    void put_once(auto&& f, std::uint64_t& ends) noexcept {
        if (state_ != State::open || broken_ || ends > written_) return;
        if (put(f)) ends = written_ + output_.size();
    }
    void write() noexcept {
        while (!output_.empty()) {
            Error error;
            const std::size_t n = socket_.write_some(Asio::buffer(output_.pending()), error);
            if (Asio::would_block(error)) {
                wait_to_write();
                break;
            }
            if (error) return broken(error);
            output_.consume(n);
            output_.give_back_above(output_bytes_max_);
            written_ += n;
        }
        Error ignored;
        if (state_ == State::closing && output_.empty()) {
            if (holds_) return end(why_);  // it has said goodbye before
            socket_.shutdown(Tcp::socket::shutdown_send, ignored);
        }
        tell_room();
    }
    void wait_to_write() noexcept {
        guarded([&] {
            socket_.async_wait(Tcp::socket::wait_write,
                               [self = this->shared_from_this()](const Error&) {
                                   self->blocked_ = false;
                                   if (self->state_ != State::over) self->write();
                               });
            blocked_ = true;
        });
    }
    /// Once after send() answered busy: when half the buffer is free, so that writer and reader do
    /// not take turns by the message, and the refused message fits.
    void tell_room() noexcept {
        if (refused_bytes_ == 0 || state_ != State::open) return;
        const bool half = output_.size() <= output_bytes_max_ / 2;
        if (!half || !fits(output_.size(), refused_bytes_)) return;
        refused_bytes_ = 0;
        link_.writable();
    }

    Context& context_;
    const std::size_t output_bytes_max_;
    Link<Bytes> link_;
    State state_ = State::connecting;
    /// Nothing is read: held_ was refused; when closing: the peer has said goodbye.
    bool holds_ = false;
    bool awaits_input_ = false;
    /// The kernel takes no output now.
    bool blocked_ = false;
    bool write_asked_ = false;
    std::error_code broken_;
    Failure why_{};
    /// The message that send() last answered busy to; 0 for none.
    std::size_t refused_bytes_ = 0;
    /// Positions in the stream of output: what the kernel has, the ends of the last ping and of the
    /// last answer to one.
    std::uint64_t written_ = 0;
    std::uint64_t ping_ends_ = 0;
    std::uint64_t answer_ends_ = 0;
    Input input_;
    StreamOutput output_;
    Bytes held_;
    typename Tcp::resolver resolver_;
    typename Tcp::socket socket_;
};

}  // namespace belay::inline BELAY_ABI::detail
