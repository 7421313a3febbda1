// SPDX-License-Identifier: MIT
/// \file belay/link/detail/stream_connection.hpp
/// StreamConnection: the common part of all connections over a stream of bytes, for any socket.
#pragma once

#include <cstddef>       // std::ptrdiff_t
#include <cstdint>       // std::uint64_t
#include <cstring>       // std::memmove
#include <memory>        // std::unique_ptr
#include <new>           // std::bad_alloc
#include <span>          // std::span
#include <system_error>  // std::make_error_code
#include <utility>       // std::move

#include <belay/core/bytes.hpp>
#include <belay/core/order.hpp>
#include <belay/link/framings.hpp>
#include <belay/link/link.hpp>
#include <belay/link/link_errc.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The input buffer of a transport over a stream.
///
/// The buffer has `bytes_min`. It grows while a long message arrives, to at most twice the bytes
/// that are there, and shrinks again afterwards. So a peer that only announces a length costs no
/// memory.
///
/// Thread safety: distinct objects safe.
template <FramingLike Framing>
class StreamInput {
public:
    /// The size of one read. It holds several messages of most protocols, so that system calls are
    /// few.
    static constexpr std::size_t bytes_min = std::size_t{64} << 10U;

    explicit StreamInput(Framing framing) noexcept : framing_{std::move(framing)} {}

    /// Limits the messages that begin from here on.
    void limit_messages(std::size_t bytes) noexcept { hints_.message_bytes_max = bytes; }

    /// Returns the space for the next bytes, never empty.
    /// Throws: std::bad_alloc; then nothing has changed.
    [[nodiscard]] std::span<std::byte> space() {
        const std::size_t have = end_ - begin_;
        const bool small_again = capacity_ > bytes_min && have < bytes_min && wanted_ <= bytes_min;
        const bool is_full = begin_ == 0 && end_ == capacity_;
        if (is_full || small_again) {
            // Grows only when it is full, and at most to twice that, so each byte is moved only a
            // few times.
            const std::size_t twice = 2 * have;
            move_to(larger(bytes_min, wanted_ > have ? smaller(wanted_, twice) : twice));
        } else if (begin_ != 0 && (have == 0 || capacity_ - begin_ < larger(wanted_, have + 1))) {
            if (have != 0) std::memmove(buffer_.get(), buffer_.get() + begin_, have);
            begin_ = 0;
            end_ = have;
        }
        return {buffer_.get() + end_, capacity_ - end_};
    }
    /// Records that `bytes` bytes were read into the result of space().
    void arrived(std::size_t bytes) noexcept { end_ += bytes; }

    /// Drops all bytes, so that the whole buffer is free.
    void drop() noexcept { begin_ = end_ = wanted_ = 0; }

    /// Returns the next cut. Its views are valid until the next call of space().
    [[nodiscard]] part::Cut next() noexcept {
        const BytesView bytes{buffer_.get() + begin_, end_ - begin_};
        // The framing sees no bytes here, so `seen` does not change.
        if (bytes.empty() || bytes.size() < wanted_) return part::Cut::more(wanted_);
        const part::Cut cut = framing_.cut(bytes, hints_);
        if (cut.kind == part::Cut::Kind::more) {
            hints_.seen = bytes.size();
            wanted_ = cut.bytes;
            return cut;
        }
        hints_.seen = wanted_ = 0;
        if (cut.kind == part::Cut::Kind::failed) return cut;
        const bool sound = cut.bytes != 0 && cut.bytes <= bytes.size();
        BELAY_PRECONDITION(sound,
                           "FramingLike::cut: the function must use at least 1 byte, and at most "
                           "the bytes that it received");
        if (!sound) return part::Cut::garbage();
        begin_ += cut.bytes;
        return cut;
    }

    [[nodiscard]] Framing& framing() noexcept { return framing_; }
    /// Returns the size of the buffer in memory.
    [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }

private:
    void move_to(std::size_t capacity) {
        const std::size_t have = end_ - begin_;
        // Not value-initialized, because reading into it writes it.
        std::unique_ptr<std::byte[]> other{new std::byte[capacity]};
        if (have != 0) std::memcpy(other.get(), buffer_.get() + begin_, have);
        buffer_ = std::move(other);
        capacity_ = capacity;
        begin_ = 0;
        end_ = have;
    }

    Framing framing_;
    part::CutHints hints_{};
    std::unique_ptr<std::byte[]> buffer_{};
    std::size_t capacity_ = 0;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
    std::size_t wanted_ = 0;  // total bytes needed before the next call of the framing
};

/// The output buffer of a transport over a stream.   Thread safety: distinct objects safe.
class StreamOutput {
public:
    /// Returns the buffer for a framing, which may only append.
    [[nodiscard]] Bytes& end() noexcept {
        // Removes written bytes only if that moves at most as many bytes as it frees.
        if (first_ != 0 && first_ >= bytes_.size() - first_) {
            bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(first_));
            first_ = 0;
        }
        return bytes_;
    }
    /// Appends bytes.   Throws: std::bad_alloc; then nothing was added.
    void append(BytesView bytes) {
        Bytes& to = end();
        const std::size_t size = to.size() + bytes.size();
        if (size > to.capacity()) to.reserve(larger(size, 2 * to.capacity()));
        to.insert(to.end(), bytes.begin(), bytes.end());
    }

    /// Removes the last bytes.
    void take_back(std::size_t bytes) noexcept { bytes_.resize(bytes_.size() - bytes); }

    /// Returns the bytes to write next.
    [[nodiscard]] BytesView pending() const noexcept { return BytesView{bytes_}.subspan(first_); }
    [[nodiscard]] std::size_t size() const noexcept { return bytes_.size() - first_; }
    [[nodiscard]] bool empty() const noexcept { return size() == 0; }

    /// Removes the first `n` bytes, which were written.
    void consume(std::size_t n) noexcept {
        first_ += n;
        if (first_ != bytes_.size()) return;
        first_ = 0;
        bytes_.clear();
    }
    /// Frees the memory if it exceeds `keep` bytes and everything is written.
    void give_back_above(std::size_t keep) noexcept {
        if (empty() && bytes_.capacity() > keep) Bytes{}.swap(bytes_);
    }
    void clear() noexcept {
        consume(size());
        give_back_above(0);
    }

private:
    Bytes bytes_;
    std::size_t first_ = 0;
};

/// The result of reading from or writing to a socket.
struct StreamAnswer {
    enum class Kind : std::uint8_t {
        moved,        ///< `bytes` were read or written; at least one
        would_block,  ///< nothing is possible now
        ended,        ///< the peer sends no more
        failed        ///< `error` is the reason
    };
    Kind kind = Kind::moved;
    std::size_t bytes = 0;
    std::error_code error = {};
};

/// One connection that carries whole messages over a stream, without the socket. `Socket` derives
/// from it, dials and moves bytes.
///
/// `Socket` has these functions, which may be private with this class as a friend: - `StreamAnswer
///  read_some(std::span<std::byte>) noexcept`, `write_some(BytesView) noexcept` and
///  `write_both(BytesView header, BytesView message) noexcept`. None of them waits. - `void
///  watch(bool input, bool output)`: from now on, call readable() when input is possible, and
///  writable() when output is possible. It may throw std::bad_alloc, which ends the connection. -
///  `void write_soon()`: call flush() once after this turn. It may throw std::bad_alloc. - `void
///  end_output() noexcept`: end the output, so that the peer sees the end of the stream. - `void
///  hang_up() noexcept`: stop reading, writing and watching.
///
/// Thread safety: that of the socket.
template <class Socket, FramingLike Framing>
class StreamConnection {
public:
    /// Sends a message. `sent` means that this connection accepted it and writes it soon.
    ///
    /// Allocates: while the output buffer grows.
    /// Errors: rejected: the framing cannot represent the message, usually because it is too long.
    /// Busy: Link::writable follows once. Down: the connection is not open.
    [[nodiscard]] SendResult send(const Bytes& message) noexcept {
        if (!writes()) return SendResult::down;
        if constexpr (PutsHeader<Framing>) {
            if (message.size() >= direct_bytes_min && output_.empty()) return send_direct(message);
        }
        if (!fits(output_.size(), message.size()) && !blocked_) write();
        if (!writes()) return SendResult::down;
        const std::size_t before = output_.size();
        // A message that does not fit is not copied if its header gives its length.
        std::size_t left_out = 0;
        bool framed = false;
        const auto put_frame = [&] {
            if constexpr (PutsHeader<Framing>) {
                if (!fits(before, message.size())) left_out = message.size();
                if (left_out != 0) return input_.framing().put_header(left_out, output_.end());
            }
            return input_.framing().put(message, output_.end());
        };
        if (!put([&] { framed = put_frame(); })) return SendResult::down;
        if (!framed) return SendResult::rejected;
        const std::size_t size = output_.size() - before;
        if (!fits(before, size + left_out)) {
            output_.take_back(size);
            rejected_bytes_ = size + left_out;
            return SendResult::busy;
        }
        if (output_.size() >= early_write_bytes && !blocked_) write();
        return SendResult::sent;
    }

    /// Sends a ping; the reply is a Link::pong. Does nothing while an earlier ping is not yet
    /// written.
    void ping() noexcept
        requires PutsPing<Framing>
    {
        put_once([&] { input_.framing().put_ping(output_.end()); }, ping_ends_);
    }

    /// Limits the messages that begin from here on, in addition to the limit of the framing. A
    /// longer message ends the connection before its first byte is stored.
    void limit_messages(std::size_t bytes) noexcept { input_.limit_messages(bytes); }
    /// Limits the output that waits, in addition to `output_bytes_max`.
    void limit_output(std::size_t bytes) noexcept {
        output_limit_ = smaller(bytes, output_bytes_max_);
    }

    /// Resumes reading after a message was rejected. Offers that message first.
    void resume_reading() noexcept {
        if (!holds_ || state_ != State::open || !offer()) return;
        if (take_input(true)) watch();
    }

    /// Writes the waiting output and ends the stream. Reports Link::closed when the peer has ended
    /// its stream too: with `why`, if everything could be written. Drops input that arrives
    /// meanwhile.
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

    /// Begins the open state, after the socket has connected.
    void begin() noexcept {
        state_ = State::open;
        if (guarded([&] { link_.opened(); })) watch();
    }
    /// Ends the connection. This is the only function that reports Link::closed.
    void end(const Failure& why) noexcept {
        state_ = State::over;
        self().hang_up();
        output_.clear();
        input_.drop();
        link_.closed(why);
    }
    /// Ends the connection without any notification, because its owner is destroyed.
    void abandon() noexcept {
        link_ = {};
        if (!over()) end({});
    }

    // The socket calls these functions. Each does nothing if there is nothing to do.
    void readable() noexcept {
        if (!over() && !holds_) read();
    }
    void writable() noexcept {
        if (over() || !blocked_) return;
        const std::uint64_t before = written_;
        write();
        // A ping may wait in the output, and a closing connection sends none.
        if (written_ != before && !over()) guarded([&] { link_.written(); });
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

    /// The maximum number of reads in one turn, so that a flood on one connection does not starve
    /// others.
    static constexpr unsigned reads_per_turn_max = 4;
    /// A message of at least this size is written without copying it into the buffer.
    static constexpr std::size_t direct_bytes_min = std::size_t{16} << 10;
    /// With this much output, the connection writes before the end of the turn.
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
            // A peer that has ended its output may still read, so the waiting output goes first.
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
        if (broken_) return socket_failure(broken_, Cause::lost);
        return got.kind == Kind::failed ? socket_failure(got.error, Cause::lost)
                                        : failure_of(LinkErrc::closed_by_peer);
    }

    /// Handles the bytes that have arrived. If that notifies the supervisor of nothing
    /// (`notified`), reports a sign of life instead.   Returns: whether to read on.
    bool take_input(bool notified) noexcept {
        bool answered = false;
        for (;;) {
            const part::Cut cut = input_.next();
            switch (cut.kind) {
                case part::Cut::Kind::more:
                    return (notified && !answered) || guarded([&] { link_.pong(answered); });
                case part::Cut::Kind::message:
                    if (!guarded([&] { held_.assign(cut.body.begin(), cut.body.end()); }))
                        return false;
                    if (!offer()) return false;
                    notified = true;
                    break;
                case part::Cut::Kind::alive:
                    // One without a body is the reply to a ping; one with a body is the peer's
                    // ping.
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
    /// Passes a message to the link.   Returns: false if the link rejects it now; it is kept.
    bool offer() noexcept {
        // If the link is gone, this connection ends soon or lingers, so there is no reason to read.
        return guarded([&] { holds_ = link_.received(std::move(held_)) != driver::Post::taken; }) &&
               !holds_;
    }

    // ---- output --------------------------------------------------------------------------------

    /// Returns whether `size` bytes may follow the waiting ones.
    [[nodiscard]] bool fits(std::size_t waiting, std::size_t size) const noexcept {
        return waiting == 0 || (size <= output_limit_ && waiting <= output_limit_ - size);
    }
    /// Calls `f`.   Returns: false if it threw; the connection has ended then.
    bool guarded(auto&& f) noexcept {
#if defined(__cpp_exceptions)
        try {
            f();
        } catch (const std::bad_alloc&) {
            end(Failure::from(std::make_error_code(std::errc::not_enough_memory)));
            return false;
        } catch (...) {
            end(failure_of(LinkErrc::framing_threw));  // nothing else here may throw
            return false;
        }
#else
        f();
#endif
        return true;
    }
    /// Calls `f`, which appends to the output. The output is written after this turn.
    bool put(auto&& f) noexcept {
        return guarded([&] {
            f();
            if (!blocked_) self().write_soon();
        });
    }
    /// Calls `f` unless its last output still waits, so at most one ping and one reply wait.
    void put_once(auto&& f, std::uint64_t& ends) noexcept {
        if (!writes() || ends > written_) return;
        if (put(f)) ends = written_ + output_.size();
    }

    /// Writes as much of the buffer as the socket accepts.
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
            if (holds_) return end(why_);  // the peer has ended its stream already
            self().end_output();
        }
        report_space();
        watch();
    }
    /// Stops writing after an error. Bytes that the peer sent before are still read: they may give
    /// the reason.
    void broken(std::error_code error) noexcept {
        broken_ = error;
        output_.clear();
        if (state_ == State::closing) return end(socket_failure(error, Cause::lost));
        watch();
    }
    /// Writes a long message without copying it first, and buffers the bytes that the socket does
    /// not accept.
    /// Pre: the output is empty.
    SendResult send_direct(const Bytes& message) noexcept {
        bool framed = false;
        if (!put([&] { framed = input_.framing().put_header(message.size(), output_.end()); })) {
            return SendResult::down;
        }
        if (!framed) return SendResult::rejected;
        const BytesView header = output_.pending();
        // The next call of write() handles errors.
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
    /// Reports space once after send() returned busy: when half the buffer is free and the rejected
    /// message fits. Half the buffer, so that writer and reader do not alternate message by
    /// message.
    void report_space() noexcept {
        if (rejected_bytes_ == 0 || state_ != State::open) return;
        if (output_.size() > output_limit_ / 2) return;
        if (!fits(output_.size(), rejected_bytes_)) return;
        rejected_bytes_ = 0;
        guarded([&] { link_.writable(); });
    }

    const std::size_t output_bytes_max_;
    std::size_t output_limit_ = output_bytes_max_;
    Link<Bytes> link_;
    std::error_code broken_;
    Failure why_{};
    /// The size of the message for which send() last returned busy; 0 for none.
    std::size_t rejected_bytes_ = 0;
    /// Positions in the output: the bytes written so far, and the ends of the last ping and the
    /// last reply to a ping.
    std::uint64_t written_ = 0;
    std::uint64_t ping_ends_ = 0;
    std::uint64_t answer_ends_ = 0;
    Input input_;
    StreamOutput output_;
    Bytes held_;
    // Last, so that a small first member of the socket fits behind them.
    State state_ = State::connecting;
    /// No input is read, because held_ was rejected; while closing: because the peer has ended its
    /// stream.
    bool holds_ = false;
    /// The socket accepts no output now. It calls writable() when it does again.
    bool blocked_ = false;
};

}}}  // namespace belay::detail
