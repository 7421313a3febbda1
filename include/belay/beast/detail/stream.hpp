// SPDX-License-Identifier: MIT
/// \file belay/beast/detail/stream.hpp
/// BeastStream: the stream of one WebSocket connection. The handlers of asio keep it alive.
#pragma once

#include <chrono>       // std::chrono::seconds
#include <memory>       // std::enable_shared_from_this, std::shared_ptr
#include <new>          // std::bad_alloc
#include <string_view>  // std::string_view
#include <utility>      // std::move; before asio, which in Boost 1.74 uses std::exchange without

#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/websocket.hpp>
#include <boost/beast/websocket/error.hpp>
#include <boost/beast/websocket/rfc6455.hpp>
#include <boost/beast/zlib/error.hpp>

#include <belay/asio/boost.hpp>
#include <belay/asio/detail/dial.hpp>
#include <belay/beast/any_websocket.hpp>
#include <belay/beast/detail/gathered.hpp>
#include <belay/beast/detail/ip_limiter.hpp>
#include <belay/beast/websocket_options.hpp>
#include <belay/core/detail/memory.hpp>
#include <belay/core/detail/utf8.hpp>
#include <belay/core/order.hpp>
#include <belay/core/random.hpp>
#include <belay/link/link.hpp>
#include <belay/link/link_errc.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Failures by the stage in which the error occurred.
struct BeastFailure {
    using Asio = AsioOf<boost::asio::io_context>;
    using Error = Asio::Error;

    [[nodiscard]] static Failure garbage() noexcept {
        return Failure::from(std::make_error_code(std::errc::protocol_error));
    }
    [[nodiscard]] static Failure of_dial(const Error& error) noexcept {
        return socket_failure(Asio::standard(error), Cause::refused);
    }
    [[nodiscard]] static Failure of_handshake(const Error& error) noexcept {
        namespace http = boost::beast::http;
        const bool ended = error == http::error::end_of_stream ||
                           error == http::error::partial_message || Asio::ended(error);
        if (ended) return failure_of(LinkErrc::closed_by_peer);
        return with_protocol(error);
    }
    /// An error of an open connection that did not end by a close frame.
    [[nodiscard]] static Failure of_stream(const Error& error) noexcept {
        const bool of_system = error.category() == boost::asio::error::get_system_category();
        // The stream ended without a close frame. The layers below have different errors for that.
        if (!of_system && !is_of_beast(error)) return websocket_failure(1006);
        return with_protocol(error);
    }
    /// The failure of a close frame, as `classify` decides; see beast::WebSocketOptions.
    template <class Classify>
    [[nodiscard]] static Failure of_close_frame(const boost::beast::websocket::close_reason& reason,
                                                const Classify& classify) noexcept {
        const int code = reason.code == 0 ? 1005 : static_cast<int>(reason.code);
        const Failure usual = websocket_failure(code);
        if (!classify) return usual;
        // An exception would leave the run of the context, and the connection would never end.
        try {
            const Failure failure =
                classify(code, std::string_view{reason.reason.data(), reason.reason.size()});
            return failure.cause == Cause::none ? usual : failure;
        } catch (...) {
            return usual;
        }
    }
    [[nodiscard]] static constexpr bool is_sendable(int code) noexcept {
        return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
               (code >= 3000 && code <= 4999);
    }

private:
    [[nodiscard]] static Failure with_protocol(const Error& error) noexcept {
        Failure failure = socket_failure(Asio::standard(error), Cause::lost);
        if (is_of_beast(error)) failure.cause = Cause::protocol;
        return failure;
    }
    [[nodiscard]] static bool is_of_beast(const Error& error) noexcept {
        namespace beast = boost::beast;
        return error.category() == make_error_code(beast::http::error::bad_version).category() ||
               error.category() == make_error_code(beast::zlib::error::stream_error).category() ||
               error.category() == make_error_code(beast::websocket::error::closed).category();
    }
};

/// The TLS functions of a stream of the user's type. beast/tls.hpp specializes it for OpenSSL.
template <class Stream>
struct BeastTls;

template <class Stream>
concept KnowsTls = !NeedsTls<Stream> || requires { typename BeastTls<Stream>::Context; };

struct NoTlsContext {};
template <class Stream>
struct TlsContextOf {
    using Type = NoTlsContext;
};
template <NeedsTls Stream>
struct TlsContextOf<Stream> {
    static_assert(KnowsTls<Stream>,
                  "beast: a stream with TLS needs <belay/beast/tls.hpp>; include it");
    using Type = typename BeastTls<Stream>::Context;
};

/// A WebSocket connection from its handshake to its end. BeastConnector dials it, and
/// BeastServerHandshake accepts it; `Interface` is AnyDialled or AnyConnection. Every handler holds
/// a reference, and does nothing after the connection has ended.
///
/// Thread safety: the thread that runs the context.
template <class Stream, class Interface>
class BeastStream : public Interface,
                    public std::enable_shared_from_this<BeastStream<Stream, Interface>> {
protected:
    using Context = boost::asio::io_context;
    using Asio = AsioOf<Context>;
    using Tcp = Asio::Tcp;
    using Error = Asio::Error;
    using Options = beast::WebSocketOptions;
    using Code = boost::beast::websocket::close_code;
    using Dial = AsioDial<Context>;
    using Layer = BeastGathered<Stream>;
    static constexpr bool is_tls = NeedsTls<Stream>;

public:
    template <class... A>
    BeastStream(Context& context, std::shared_ptr<const Options> options, const Link<Bytes>& link,
                A&&... stream)
        : options_{std::move(options)},
          link_{link},
          limit_{options_->messages.message_bytes_max},
          output_limit_{options_->messages.output_bytes_max},
          context_{context},
          close_timer_{context},
          ws_{std::forward<A>(stream)...} {}
    BeastStream(const BeastStream&) = delete;
    BeastStream& operator=(const BeastStream&) = delete;

    SendResult send(const Bytes& message) noexcept override {
        if (state_ != State::open || broken_) return SendResult::down;
        if (options_->messages.frames == beast::WebSocketFrames::text &&
            !is_utf8(as_text(message))) {
            return SendResult::rejected;
        }
        const std::size_t cost = cost_of(message);
        if (!fits(cost)) {
            rejected_cost_ = cost;
            return SendResult::busy;
        }
        const bool kept = guarded([&] {
            spare_.assign(message.begin(), message.end());
            output_.push(std::move(spare_));
            was_long_ = was_long_ || output_.size() > idle_messages_max;
        });
        if (!kept) return SendResult::down;
        waiting_ += cost;
        write();
        return SendResult::sent;
    }
    void ping() noexcept override {
        if (state_ != State::open || broken_ || pings_) return;
        guarded([&] {
            ws_.async_ping({}, on([](auto& self, const Error&) { self.pings_ = false; }));
            pings_ = true;
        });
    }
    void limit_messages(std::size_t bytes) noexcept override {
        limit_ = smaller(bytes, options_->messages.message_bytes_max);
    }
    void limit_output(std::size_t bytes) noexcept override {
        output_limit_ = smaller(bytes, options_->messages.output_bytes_max);
    }
    void resume_reading() noexcept override {
        if (!holds_ || state_ != State::open || !offer()) return;
        read();
    }
    void close(const Failure& why) noexcept override {
        if (state_ == State::closing || state_ == State::over) return;
        permit_.closed_with(why);
        if (state_ != State::open || broken_) return end(why);
        const bool has_code =
            why.category == &websocket_category() && BeastFailure::is_sendable(why.code);
        send_close(has_code ? static_cast<Code>(why.code) : Code::normal, why);
    }
    void abandon() noexcept override {
        link_ = {};
        if (state_ != State::over) end({});
    }

protected:
    ~BeastStream() override = default;

    enum class State : std::uint8_t { connecting, open, closing, over };

    /// The most bytes that are read at once. The buffer of a message grows by this size.
    static constexpr std::size_t read_bytes = std::size_t{64} << 10;
    /// Messages of up to this size together are written by one system call.
    static constexpr std::size_t gathered_bytes_max = std::size_t{16} << 10;
    /// A written buffer of up to this size is kept for the next message.
    static constexpr std::size_t spare_bytes_max = std::size_t{4} << 10;
    /// The cost of a message in addition to its bytes, so that empty messages are bounded, too.
    static constexpr std::size_t message_cost = 64;
    /// An idle connection keeps space for this many messages.
    static constexpr std::size_t idle_messages_max = 8;
    /// The time for a peer to answer a close frame, or to end the stream after its own.
    static constexpr std::chrono::seconds close_max{2};

    /// Wraps a handler so that it holds the stream, and does nothing after the connection has
    /// ended.
    template <class F>
    [[nodiscard]] auto on(F f) {
        return on_of(*this, f);
    }
    /// Like on(), and passes the stream as the derived class.
    template <class Self, class F>
    [[nodiscard]] static auto on_of(Self& stream, F f) {
        return [self = std::static_pointer_cast<Self>(stream.shared_from_this()), f](auto&&... a) {
            if (self->state_ != State::over) f(*self, a...);
        };
    }
    [[nodiscard]] auto& socket() noexcept { return socket_of(ws_); }

    // ---- from the handshake to the end ---------------------------------------------------------

    /// Sets the options of either role, before the handshake. belay has its own deadlines.
    void configure() {
        namespace websocket = boost::beast::websocket;
        websocket::permessage_deflate deflate;
        deflate.client_enable = deflate.server_enable = options_->messages.deflate;
        using websocket::stream_base;
        ws_.set_option(stream_base::timeout{stream_base::none(), stream_base::none(), false});
        ws_.set_option(deflate);
        // received() checks the size of each piece. With 0, Beast has no limit, and its rejection
        // of a long message has no time limit.
        ws_.read_message_max(0);
        ws_.auto_fragment(false);
        ws_.binary(options_->messages.frames == beast::WebSocketFrames::binary);
        ws_.control_callback([this](websocket::frame_type kind, boost::beast::string_view) {
            // Beast answers it at once, and nothing may follow the answer.
            const bool is_close = kind == websocket::frame_type::close;
            if (state_ == State::closing && writes_ && is_close) return await_end();
            if (state_ != State::open) return;
            if (!guarded([&] { link_.pong(kind == websocket::frame_type::pong); })) return;
            if (!is_close) return;
            close_received_ = true;
            await_end();
        });
        // The peer's close frame has been answered, or the peer has broken the protocol and has
        // been sent a close frame.
        ws_.next_layer().on_event([this](typename Layer::Event event) {
            if (event == Layer::Event::written) return report_written();
            if (state_ == State::open && !close_received_) await_end();
        });
    }
    /// The handshake has succeeded.
    void begin() {
        using Base = boost::beast::websocket::stream_base;
        ws_.set_option(Base::timeout{close_max, Base::none(), false});
        if constexpr (!NeedsTls<Stream>) {
            Error error;
            socket().non_blocking(true, error);
            direct_ = !error;
            if (direct_) ws_.next_layer().write_directly();
        }
        state_ = State::open;
        if (guarded([&] { link_.opened(); })) read();
    }
    /// The only function that reports Link::closed. It keeps the buffers that asio may still write
    /// from.
    void end(const Failure& why) noexcept {
        state_ = State::over;
        end_dial();
        close_timer_.cancel();
        Error ignored;
        socket().close(ignored);
        permit_.leave();
        link_.closed(why);
    }

    void end_dial() noexcept {
        if (const std::shared_ptr<Dial> dial = std::exchange(dial_, nullptr)) dial->cancel();
    }

    // ---- closing --------------------------------------------------------------------------------

    /// Writes the queued messages first. The connection is over when the peer has answered the
    /// close frame.
    void send_close(Code code, const Failure& why) noexcept {
        state_ = State::closing;
        why_ = why;
        code_ = code;
        holds_ = false;
        if (!writes_) finish();
    }
    void finish() noexcept {
        guarded([&] {
            ws_.async_close(code_, on([](auto& self, const Error&) { self.end(self.why_); }));
        });
    }
    /// Starts a time limit. Beast ends the connection, and would wait for the end of the stream
    /// without one.
    void await_end() noexcept {
        broken_ = std::make_error_code(close_received_ ? std::errc::broken_pipe
                                                       : std::errc::protocol_error);
        close_timer_.expires_after(close_max);
        guarded([&] {
            close_timer_.async_wait(
                on([](auto& self, const Error& e) { self.end(self.end_of_stream(e)); }));
        });
    }
    /// Ends the connection because the peer has broken the protocol.
    void give_up(Code code) noexcept {
        const bool too_large = code == static_cast<Code>(options_->messages.too_large_code);
        // A close code that the peer sends has the other codes: such a code is about us.
        Failure why =
            too_large ? websocket_failure(static_cast<int>(code)) : BeastFailure::garbage();
        why.cause = Cause::protocol;
        // A close frame would wait for the current write, and no timer limits that.
        writes_ || pings_ ? end(why) : send_close(code, why);
    }

    // ---- input ---------------------------------------------------------------------------------

    void read() noexcept {
        guarded([&] {
            ws_.async_read_some(input_, read_bytes, on([](auto& self, const Error& e, std::size_t) {
                                    self.received(e);
                                }));
        });
    }
    void received(const Error& error) {
        if (state_ == State::closing) {
            if (!error) input_.consume(input_.size()), read();
            if (error && broken_) end(why_);
            return;
        }
        if (error) return end(end_of_input(error));
        if (input_.size() > limit_)
            return give_up(static_cast<Code>(options_->messages.too_large_code));
        const bool right_kind =
            ws_.got_binary() == (options_->messages.frames == beast::WebSocketFrames::binary);
        if (!right_kind) return give_up(Code::unknown_data);
        if (!ws_.is_message_done()) {
            if (guarded([&] { link_.pong(false); })) read();
            return;
        }
        const auto bytes = input_.cdata();
        const auto* const first = static_cast<const std::byte*>(bytes.data());
        if (!guarded([&] { held_.assign(first, first + bytes.size()); })) return;
        input_.consume(input_.size());
        if (input_.capacity() > 2 * read_bytes) input_ = {};
        if (!offer()) return;
        reads_ = true;
        soon();
    }
    [[nodiscard]] Failure end_of_input(const Error& error) const noexcept {
        if (close_received_) return BeastFailure::of_close_frame(ws_.reason(), options_->classify);
        return broken_ ? socket_failure(broken_, Cause::lost) : BeastFailure::of_stream(error);
    }
    [[nodiscard]] Failure end_of_stream(const Error& error) const noexcept {
        return state_ == State::closing ? why_ : end_of_input(error);
    }
    /// Passes a message to the link.   Returns: false if the link is busy; the message is kept.
    bool offer() noexcept {
        return guarded([&] { holds_ = link_.received(std::move(held_)) != driver::Post::taken; }) &&
               !holds_;
    }

    // ---- output --------------------------------------------------------------------------------

    [[nodiscard]] static std::size_t cost_of(const Bytes& message) noexcept {
        return message.size() + message_cost;
    }
    [[nodiscard]] bool fits(std::size_t cost) const noexcept {
        return waiting_ == 0 || (cost <= output_limit_ && waiting_ <= output_limit_ - cost);
    }
    /// Runs `f`.   Returns: false if there is no memory; the connection has then ended.
    bool guarded(auto&& f) noexcept {
        try {
            f();
        } catch (const std::bad_alloc&) {
            end(Failure::from(std::make_error_code(std::errc::not_enough_memory)));
            return false;
        }
        return true;
    }
    /// Schedules a write after the current turn of the loop. Further messages of this turn are
    /// written with it.
    void write() noexcept {
        if (writes_ || output_.empty()) return;
        writes_ = true;
        soon();
    }
    /// Schedules the next write and the next read for one turn of the loop.
    ///
    /// A received message is handled in a turn that is already in the context's queue. The answer
    /// is written after it without another pass through the queue, because each pass asks the
    /// kernel for events. The peer also gets the answer before we read more from it.
    void soon() noexcept {
        if (std::exchange(posted_, true)) return;
        // The executor of the stream is a type-erased one of this same context, so it would only
        // cost more.
        guarded([&] { boost::asio::post(context_, on([](auto& self) { self.go_on(); })); });
    }
    void go_on() noexcept {
        posted_ = false;
        if (writes_ && leaving_ == 0) write_some();
        if (std::exchange(reads_, false) && state_ != State::over) read();
    }
    void write_some() noexcept {
        if (direct_ && cost_of(output_[0]) <= gathered_bytes_max) return send_directly();
        guarded([&] {
            std::size_t bytes = cost_of(output_[0]);
            leaving_ = 1;
            while (leaving_ != output_.size()) {
                bytes += cost_of(output_[leaving_]);
                if (bytes > gathered_bytes_max) break;
                // The last write reports the error of the stream.
                Error ignored;
                ws_.write(Asio::buffer(BytesView{output_[leaving_ - 1]}), ignored);
                ++leaving_;
            }
            ws_.async_write(Asio::buffer(BytesView{output_[leaving_ - 1]}),
                            on([](auto& self, const Error& e, std::size_t) { self.wrote(e); }));
        });
    }
    /// Sends the next messages without an operation of asio, which costs several times as much as
    /// the message itself.
    void send_directly() noexcept {
        // Nothing may follow a close frame, which Beast sends by itself.
        if (broken_) return stop_writing();
        guarded([&] {
            Error error;
            std::size_t bytes = cost_of(output_[0]);
            do {
                ws_.write(Asio::buffer(BytesView{output_[leaving_]}), error);
                ++leaving_;
                if (leaving_ == output_.size()) break;
                bytes += cost_of(output_[leaving_]);
            } while (!error && bytes <= gathered_bytes_max);
            error ? wrote(error) : send_rest();
        });
    }
    /// Sends what the socket accepts now of the messages that are leaving, and waits for space.
    void send_rest() {
        if (broken_) return stop_writing();
        Error error;
        const bool all_sent = ws_.next_layer().send_now(error);
        if (state_ == State::over) return;  // there was no memory to report it
        if (all_sent || error) return wrote(error);
        socket().async_wait(boost::asio::socket_base::wait_write,
                            on([](auto& self, const Error& e) {
                                if (e) return self.wrote(e);
                                self.guarded([&] { self.send_rest(); });
                            }));
    }
    void stop_writing() noexcept { writes_ = false; }
    void wrote(const Error& error) {
        if (error) {
            writes_ = false;
            broken_ = Asio::standard(error);
            if (state_ == State::closing) return end(why_);
            // Otherwise the read reports the reason.
            if (holds_) end(socket_failure(broken_, Cause::lost));
            return;
        }
        for (; leaving_ != 0; --leaving_) {
            Bytes written = output_.pop();
            waiting_ -= cost_of(written);
            if (written.capacity() <= spare_bytes_max) spare_.swap(written);
        }
        writes_ = !output_.empty();
        if (!writes_ && std::exchange(was_long_, false)) EventRing<Bytes>{}.swap(output_);
        if (writes_) {
            // One connection with much to send does not delay the others.
            direct_ ? soon() : write_some();
        } else if (state_ == State::closing) {
            return finish();
        }
        notify_writable();
    }
    /// Reports that output has left that had waited for the kernel.
    void report_written() noexcept {
        if (state_ != State::over) guarded([&] { link_.written(); });
    }
    /// Reports Link::writable once after send() returned busy, when half the buffer is free and the
    /// rejected message fits.
    void notify_writable() noexcept {
        if (rejected_cost_ == 0 || state_ != State::open) return;
        if (waiting_ > output_limit_ / 2 || !fits(rejected_cost_)) return;
        rejected_cost_ = 0;
        guarded([&] { link_.writable(); });
    }

    const std::shared_ptr<const Options> options_;
    Link<Bytes> link_;
    State state_ = State::connecting;
    /// The link did not accept held_, and nothing is read meanwhile.
    bool holds_ = false;
    bool writes_ = false;
    bool pings_ = false;
    bool posted_ = false;    ///< go_on() is scheduled
    bool reads_ = false;     ///< go_on() also reads
    bool direct_ = false;    ///< messages are written to the socket itself
    bool was_long_ = false;  ///< output_ has space for more than idle_messages_max
    /// The peer sent a close frame; its code counts however the stream ends.
    bool close_received_ = false;
    std::error_code broken_;
    Failure why_{};
    Code code_ = Code::normal;
    std::size_t limit_;
    std::size_t output_limit_;
    std::size_t waiting_ = 0;  ///< costs of the messages in output_
    /// Cost of the message that send() last returned busy for; 0 for none.
    std::size_t rejected_cost_ = 0;
    EventRing<Bytes> output_;  // without memory before the first message, which a std::deque has
    std::size_t leaving_ = 0;  ///< how many of output_ are being written
    Bytes spare_;  ///< a written buffer for the next message: most connections send one at a time
    Bytes held_;
    boost::beast::flat_buffer input_;
    Context& context_;
    std::shared_ptr<Dial> dial_;  ///< of a name, until it is connected
    Asio::Timer close_timer_;
    IpPermit permit_;  ///< of an accepted connection
    boost::beast::websocket::stream<Layer> ws_;
};

}}}  // namespace belay::detail
