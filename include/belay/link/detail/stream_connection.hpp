// SPDX-License-Identifier: MIT
/// \file belay/link/detail/stream_connection.hpp
/// StreamConnection: what every connection over a stream of bytes does, whoever owns the socket.
#pragma once

#include <cstdint>       // std::uint64_t
#include <new>           // std::bad_alloc
#include <system_error>  // std::make_error_code
#include <utility>       // std::move

#include <belay/link/detail/stream_input.hpp>
#include <belay/link/detail/stream_output.hpp>
#include <belay/link/link.hpp>
#include <belay/link/link_errc.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// What a socket did when it was asked to read or to write.
struct StreamAnswer {
    enum class Kind : std::uint8_t {
        moved,        ///< `bytes` were read or written; at least one
        would_block,  ///< nothing now
        ended,        ///< the peer sends no more
        failed        ///< `error` says why
    };
    Kind kind = Kind::moved;
    std::size_t bytes = 0;
    std::error_code error = {};
};

/// One connection that carries whole messages over a stream, without the socket: `Socket`, which
/// derives from it, dials and moves bytes.
///
/// `Socket` has, and may keep private from others than this class:
///  - `StreamAnswer read_some(std::span<std::byte>) noexcept`, `write_some(BytesView) noexcept` and
///    `write_both(BytesView header, BytesView message) noexcept`, none of which waits;
///  - `void watch(bool input, bool output)`: from now on call readable(), and writable(), when they
///    can do something; it may throw std::bad_alloc, which ends the connection;
///  - `void write_soon()`: call flush() once when this turn is over; may throw std::bad_alloc;
///  - `void say_goodbye() noexcept`: the peer is to see the end of the stream;
///  - `void hang_up() noexcept`: nothing is read, written or watched any more.
///
/// Thread safety: that of the socket.
template <class Socket, FramingLike Framing>
class StreamConnection {
public:
    StreamConnection(const StreamConnection&) = delete;
    StreamConnection& operator=(const StreamConnection&) = delete;

    /// Sends a message; sent means that it was handed to this connection, which writes it soon.
    ///
    /// Allocates: while the output buffer grows.
    /// Errors: refused: the framing cannot say it (too long, mostly); busy, and then Link::writable
    /// follows once; down unless the connection is open.
    [[nodiscard]] SendResult send(const Bytes& message) noexcept {
        if (!writes()) return SendResult::down;
        if constexpr (PutsHeader<Framing>) {
            if (message.size() >= direct_bytes_min && output_.empty()) return send_direct(message);
        }
        if (!fits(output_.size(), message.size()) && !blocked_) write();
        if (!writes()) return SendResult::down;
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

    /// Asks the peer for a sign of life, which is Link::pong. Does nothing while an earlier ping
    /// waits to be written.
    void ping() noexcept
        requires PutsPing<Framing>
    {
        put_once([&] { input_.framing().put_ping(output_.end()); }, ping_ends_);
    }

    /// Bounds the messages that begin from here on, beside what the framing takes; a longer one
    /// ends the connection before its first byte is kept.
    void limit_messages(std::size_t bytes) noexcept { input_.limit_messages(bytes); }
    /// Bounds what waits to be sent, beside what `output_bytes_max` says.
    void limit_output(std::size_t bytes) noexcept {
        output_limit_ = smaller(bytes, output_bytes_max_);
    }

    /// Takes reading up again after a message was refused; offers that one first.
    void resume_reading() noexcept {
        if (!holds_ || state_ != State::open || !offer()) return;
        if (take_input(true)) watch();
    }

    /// Writes what waits, says goodbye to the peer, and reports Link::closed when the peer has said
    /// so too: with `why`, if everything could be written. What comes meanwhile is dropped.
    void close(const Failure& why) noexcept {
        if (state_ == State::closing || state_ == State::over) return;
        if (!writes()) return end(why);
        state_ = State::closing;
        why_ = why;
        holds_ = false;
        input_.drop();
        write();
    }

protected:
    StreamConnection(const Framing& framing, std::size_t output_bytes_max, const Link<Bytes>& link)
        : output_bytes_max_{output_bytes_max}, link_{link}, input_{framing} {}
    ~StreamConnection() = default;

    [[nodiscard]] bool connecting() const noexcept { return state_ == State::connecting; }
    [[nodiscard]] bool over() const noexcept { return state_ == State::over; }

    /// The socket is connected.
    void begin() noexcept {
        state_ = State::open;
        if (guarded([&] { link_.opened(); })) watch();
    }
    /// The one place where Link::closed is reported.
    void end(const Failure& why) noexcept {
        state_ = State::over;
        self().hang_up();
        output_.clear();
        input_.drop();
        link_.closed(why);
    }
    /// Its owner is gone: tells nobody any more.
    void abandon() noexcept {
        link_ = {};
        if (!over()) end({});
    }

    // What the socket calls; each does nothing where there is nothing to do.
    void readable() noexcept {
        if (!over() && !holds_) read();
    }
    void writable() noexcept {
        if (!over() && blocked_) write();
    }
    void flush() noexcept {
        if (!over() && !blocked_) write();
    }

private:
    using Input = StreamInput<Framing>;
    using Kind = StreamAnswer::Kind;

    enum class State : std::uint8_t {
        connecting,
        open,
        closing,  ///< close() was called: output is flushed, input dropped
        over      ///< Link::closed was reported
    };

    /// Reads in one turn, so that a flood on one connection does not starve the others.
    static constexpr unsigned reads_per_turn_max = 4;
    /// From this size a message is not copied into the buffer before it is written.
    static constexpr std::size_t direct_bytes_min = std::size_t{16} << 10;
    /// With so much output the end of the turn is not waited for.
    static constexpr std::size_t early_write_bytes = std::size_t{64} << 10;

    [[nodiscard]] Socket& self() noexcept { return static_cast<Socket&>(*this); }
    [[nodiscard]] bool writes() const noexcept { return state_ == State::open && !broken_; }
    void watch() noexcept {
        if (!over()) guarded([&] { self().watch(!holds_, blocked_); });
    }

    // ---- input ---------------------------------------------------------------------------------

    void read() noexcept {
        for (unsigned i = 0; i < reads_per_turn_max; ++i) {
            std::span<std::byte> space;
            if (!guarded([&] { space = input_.space(); })) return;
            const std::size_t most = smaller(space.size(), Input::bytes_min);
            const StreamAnswer got = self().read_some(space.first(most));
            if (got.kind == Kind::would_block) break;
            // A peer that only sends no more may read on: what waits for it goes first.
            holds_ = got.kind == Kind::ended && state_ == State::closing && !output_.empty();
            if (holds_) break;
            if (got.kind != Kind::moved) return end(end_of_input(got));
            if (state_ == State::open) {
                input_.arrived(got.bytes);
                if (!take_input(false)) break;
            } else if (!guarded([&] { link_.pong(false); })) {
                return;  // else dropped, but a sign of life
            }
            if (got.bytes < most) break;
        }
        watch();
    }
    [[nodiscard]] Failure end_of_input(const StreamAnswer& got) const noexcept {
        if (state_ == State::closing && got.kind == Kind::ended) return why_;
        if (broken_) return Failure::from(broken_);
        return got.kind == Kind::failed ? Failure::from(got.error)
                                        : failure_of(LinkErrc::closed_by_peer);
    }

    /// Handles what has arrived. If that tells the supervisor nothing (`told`), it still learns
    /// that the peer is alive.   Returns: whether to read on.
    bool take_input(bool told) noexcept {
        bool answered = false;
        for (;;) {
            const part::Cut cut = input_.next();
            switch (cut.kind) {
                case part::Cut::Kind::more:
                    return (told && !answered) || guarded([&] { link_.pong(answered); });
                case part::Cut::Kind::message:
                    if (!guarded([&] { held_.assign(cut.body.begin(), cut.body.end()); }))
                        return false;
                    if (!offer()) return false;
                    told = true;
                    break;
                case part::Cut::Kind::alive:
                    // One that asks for an answer is the peer's ping.
                    answered = answered || cut.body.empty();
                    if (!cut.body.empty()) {
                        put_once([&] { output_.append(cut.body); }, answer_ends_);
                    }
                    break;
                case part::Cut::Kind::failed:
                    end(cut.failure);
                    return false;
            }
            if (over()) return false;
        }
    }
    /// Hands a message up.   Returns: false if nobody takes it now; it is kept.
    bool offer() noexcept {
        // Gone: our end follows, or we linger; there is nobody to read for.
        return guarded([&] { holds_ = link_.received(std::move(held_)) != driver::Post::taken; }) &&
               !holds_;
    }

    // ---- output --------------------------------------------------------------------------------

    /// Whether so many bytes may follow those that wait.
    [[nodiscard]] bool fits(std::size_t waiting, std::size_t size) const noexcept {
        return waiting == 0 || (size <= output_limit_ && waiting <= output_limit_ - size);
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
    /// Lets `f` append to the output, which is written when this turn is over.
    bool put(auto&& f) noexcept {
        return guarded([&] {
            f();
            if (!blocked_) self().write_soon();
        });
    }
    /// At most one ping and one answer wait, however often they are asked for.
    void put_once(auto&& f, std::uint64_t& ends) noexcept {
        if (!writes() || ends > written_) return;
        if (put(f)) ends = written_ + output_.size();
    }

    /// Writes as much of the buffer as the socket takes.
    void write() noexcept {
        blocked_ = false;
        while (!output_.empty()) {
            const StreamAnswer wrote = self().write_some(output_.pending());
            blocked_ = wrote.kind == Kind::would_block;
            if (blocked_) break;
            if (wrote.kind == Kind::ended) return broken(make_error_code(std::errc::broken_pipe));
            if (wrote.kind == Kind::failed) return broken(wrote.error);
            output_.consume(wrote.bytes);
            output_.give_back_above(output_limit_);
            written_ += wrote.bytes;
        }
        if (state_ == State::closing && output_.empty()) {
            if (holds_) return end(why_);  // it has said goodbye before
            self().say_goodbye();
        }
        tell_room();
        watch();
    }
    /// Nothing can be written any more. What the peer sent before is still read: it may say why.
    void broken(std::error_code error) noexcept {
        broken_ = error;
        output_.clear();
        if (state_ == State::closing) return end(Failure::from(error));
        watch();
    }
    /// Writes a long message from where it is, and keeps what the socket does not take.
    /// Pre: the output is empty.
    SendResult send_direct(const Bytes& message) noexcept {
        bool said = false;
        if (!put([&] { said = input_.framing().put_header(message.size(), output_.end()); })) {
            return SendResult::down;
        }
        if (!said) return SendResult::refused;
        const BytesView header = output_.pending();
        // Errors are left to write(), which comes next.
        const StreamAnswer wrote = self().write_both(header, message);
        const std::size_t bytes = wrote.kind == Kind::moved ? wrote.bytes : 0;
        const std::size_t of_header = smaller(bytes, header.size());
        const BytesView rest = BytesView{message}.subspan(bytes - of_header);
        written_ += bytes;
        output_.consume(of_header);
        if (!rest.empty() && !put([&] { output_.append(rest); })) return SendResult::down;
        if (output_.size() >= early_write_bytes && !blocked_) write();
        return SendResult::sent;
    }
    /// Reports room once after send() answered busy: when half the buffer is free, so that writer
    /// and reader do not take turns by the message, and the refused message fits.
    void tell_room() noexcept {
        if (refused_bytes_ == 0 || state_ != State::open) return;
        if (output_.size() > output_limit_ / 2) return;
        if (!fits(output_.size(), refused_bytes_)) return;
        refused_bytes_ = 0;
        guarded([&] { link_.writable(); });
    }

    const std::size_t output_bytes_max_;
    std::size_t output_limit_ = output_bytes_max_;
    Link<Bytes> link_;
    State state_ = State::connecting;
    /// Nothing is read: held_ was refused; when closing: the peer has said goodbye.
    bool holds_ = false;
    /// The socket takes no output now; it says when it does again.
    bool blocked_ = false;
    std::error_code broken_;
    Failure why_{};
    /// The message that send() last answered busy to; 0 for none.
    std::size_t refused_bytes_ = 0;
    /// Positions in the output: what the socket has, the ends of the last ping and answer to one.
    std::uint64_t written_ = 0;
    std::uint64_t ping_ends_ = 0;
    std::uint64_t answer_ends_ = 0;
    Input input_;
    StreamOutput output_;
    Bytes held_;
};

}}}  // namespace belay::detail
