// SPDX-License-Identifier: MIT
/// \file belay/adapter/detail/beast_stream.hpp
/// BeastStream: the stream of one WebSocket connection, which asio's handlers keep alive.
#pragma once

#include <chrono>    // std::chrono::seconds
#include <deque>     // std::deque
#include <memory>    // std::enable_shared_from_this
#include <new>       // std::bad_alloc
#include <optional>  // std::optional
#include <utility>   // std::move; before asio, which in Boost 1.74 uses std::exchange without

#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/websocket.hpp>

#include <belay/adapter/boost_asio.hpp>
#include <belay/adapter/detail/beast_failure.hpp>
#include <belay/adapter/detail/beast_gathered.hpp>
#include <belay/adapter/detail/ip_limiter.hpp>
#include <belay/adapter/websocket_options.hpp>
#include <belay/core/order.hpp>
#include <belay/http/detail/http_text.hpp>
#include <belay/link/close_code.hpp>
#include <belay/link/link.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// How a stream of the user's type does TLS; beast_tls.hpp has the one for OpenSSL.
template <class Stream>
struct BeastTls;

template <class Stream>
concept NeedsTls = requires { typename Stream::handshake_type; };
template <class Stream>
concept KnowsTls = !NeedsTls<Stream> || requires { typename BeastTls<Stream>::Context; };

struct NoTlsContext {};
template <class Stream>
struct TlsContextOf {
    using Type = NoTlsContext;
};
template <NeedsTls Stream>
struct TlsContextOf<Stream> {
    static_assert(KnowsTls<Stream>, "include <belay/adapter/beast_tls.hpp> for a stream with TLS");
    using Type = typename BeastTls<Stream>::Context;
};

/// The socket below all layers of a stream.
template <class Stream>
[[nodiscard]] auto& socket_of(Stream& stream) noexcept {
    auto& lowest = boost::beast::get_lowest_layer(stream);
    if constexpr (requires { lowest.socket(); }) {
        return lowest.socket();
    } else {
        return lowest;
    }
}

/// What a connection does once it has its stream: whether it was dialled (BeastConnector) or
/// accepted (BeastServerHandshake) is their business. Every handler holds a reference, and does
/// nothing once it is over.
///
/// Thread safety: the thread that runs the context.
template <class Stream>
class BeastStream : public std::enable_shared_from_this<BeastStream<Stream>> {
protected:
    using Context = boost::asio::io_context;
    using Asio = AsioOf<Context>;
    using Tcp = Asio::Tcp;
    using Error = Asio::Error;
    using Options = beast::WebSocketOptions;
    using Code = boost::beast::websocket::close_code;
    static constexpr bool is_tls = NeedsTls<Stream>;

public:
    template <class... A>
    BeastStream(Context& context, std::shared_ptr<const Options> options, const Link<Bytes>& link,
                A&&... stream)
        : options_{std::move(options)},
          link_{link},
          limit_{options_->message_bytes_max},
          output_limit_{options_->output_bytes_max},
          context_{context},
          goodbye_{context},
          ws_{std::forward<A>(stream)...} {}
    BeastStream(const BeastStream&) = delete;
    BeastStream& operator=(const BeastStream&) = delete;

    [[nodiscard]] SendResult send(const Bytes& message) noexcept {
        if (state_ != State::open || broken_) return SendResult::down;
        if (options_->frames == beast::WebSocketFrames::text && !is_utf8(message)) {
            return SendResult::refused;
        }
        const std::size_t cost = cost_of(message);
        if (!fits(cost)) {
            refused_cost_ = cost;
            return SendResult::busy;
        }
        const bool kept = guarded([&] {
            spare_.assign(message.begin(), message.end());
            output_.push_back(std::move(spare_));
        });
        if (!kept) return SendResult::down;
        waiting_ += cost;
        write();
        return SendResult::sent;
    }
    void ping() noexcept {
        if (state_ != State::open || broken_ || pings_) return;
        guarded([&] {
            ws_.async_ping({}, on([](auto& self, const Error&) { self.pings_ = false; }));
            pings_ = true;
        });
    }
    void limit_messages(std::size_t bytes) noexcept {
        limit_ = smaller(bytes, options_->message_bytes_max);
    }
    void limit_output(std::size_t bytes) noexcept {
        output_limit_ = smaller(bytes, options_->output_bytes_max);
    }
    void resume_reading() noexcept {
        if (!holds_ || state_ != State::open || !offer()) return;
        read();
    }
    void close(const Failure& why) noexcept {
        if (state_ == State::closing || state_ == State::over) return;
        permit_.closed_with(why);
        if (state_ != State::open || broken_) return end(why);
        const bool has_code =
            why.category == &websocket_category() && BeastFailure::is_sendable(why.code);
        say_goodbye(has_code ? static_cast<Code>(why.code) : Code::normal, why);
    }
    void abandon() noexcept {
        link_ = {};
        if (state_ != State::over) end({});
    }

protected:
    ~BeastStream() = default;

    enum class State : std::uint8_t { connecting, open, closing, over };

    /// What is read at once; a message grows by so much.
    static constexpr std::size_t read_bytes = std::size_t{64} << 10;
    /// Messages up to so much leave in one call of the kernel.
    static constexpr std::size_t gathered_bytes_max = std::size_t{16} << 10;
    /// Up to so much of what has left is kept for the next message.
    static constexpr std::size_t spare_bytes_max = std::size_t{4} << 10;
    /// What a message costs beside its bytes, so that empty ones are bounded, too.
    static constexpr std::size_t message_cost = 64;
    /// How long a peer may take to answer a goodbye, or to end the stream after its own.
    static constexpr std::chrono::seconds goodbye_max{2};

    /// A handler that holds the wire, and is silent once it is over.
    template <class F>
    [[nodiscard]] auto on(F f) {
        return on_of(*this, f);
    }
    /// The same, told as the class that derives from it.
    template <class Self, class F>
    [[nodiscard]] static auto on_of(Self& wire, F f) {
        return [self = std::static_pointer_cast<Self>(wire.shared_from_this()), f](auto&&... a) {
            if (self->state_ != State::over) f(*self, a...);
        };
    }
    [[nodiscard]] auto& socket() noexcept { return socket_of(ws_); }

    // ---- from the handshake to the end ---------------------------------------------------------

    /// Of either role, before the handshake. The deadlines are ours.
    void configure(const boost::beast::websocket::permessage_deflate& deflate) {
        namespace websocket = boost::beast::websocket;
        using websocket::stream_base;
        ws_.set_option(stream_base::timeout{stream_base::none(), stream_base::none(), false});
        ws_.set_option(deflate);
        // Measured here, by the piece: Beast's 0 would be no limit, and its refusal has no end.
        ws_.read_message_max(0);
        ws_.auto_fragment(false);
        ws_.binary(options_->frames == beast::WebSocketFrames::binary);
        ws_.control_callback([this](websocket::frame_type kind, boost::beast::string_view) {
            if (state_ != State::open) return;
            if (!guarded([&] { link_.pong(kind == websocket::frame_type::pong); })) return;
            if (kind != websocket::frame_type::close) return;
            has_goodbye_ = true;
            await_end();
        });
        // It has been answered; or the peer did what it may not, and was told so.
        ws_.next_layer().on_teardown([this] {
            if (state_ == State::open && !has_goodbye_) await_end();
        });
    }
    /// The handshake has succeeded.
    void begin() {
        using Base = boost::beast::websocket::stream_base;
        ws_.set_option(Base::timeout{goodbye_max, Base::none(), false});
        state_ = State::open;
        if (guarded([&] { link_.opened(); })) read();
    }
    /// The one place where Link::closed is reported. What asio may still write from stays.
    void end(const Failure& why) noexcept {
        state_ = State::over;
        if (resolver_) resolver_->cancel();
        goodbye_.cancel();
        Error ignored;
        socket().close(ignored);
        permit_.leave();
        link_.closed(why);
    }

    // ---- the goodbye ---------------------------------------------------------------------------

    /// What waits is written first; the connection is over when the peer has answered.
    void say_goodbye(Code code, const Failure& why) noexcept {
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
    /// Beast ends the connection, and would wait without end for that of the stream.
    void await_end() noexcept {
        broken_ =
            std::make_error_code(has_goodbye_ ? std::errc::broken_pipe : std::errc::protocol_error);
        goodbye_.expires_after(goodbye_max);
        guarded([&] {
            goodbye_.async_wait(
                on([](auto& self, const Error& e) { self.end(self.end_of_input(e)); }));
        });
    }
    /// The peer did what it may not.
    void give_up(Code code) noexcept {
        Failure why = websocket_failure(static_cast<int>(code));
        why.cause = Cause::protocol;  // such a code from the peer would be about us
        // A goodbye would wait behind what is being written, and no timer runs for that.
        writes_ || pings_ ? end(why) : say_goodbye(code, why);
    }

    // ---- input ---------------------------------------------------------------------------------

    void read() noexcept {
        guarded([&] {
            ws_.async_read_some(input_, read_bytes,
                                on([](auto& self, const Error& e, std::size_t) { self.came(e); }));
        });
    }
    void came(const Error& error) {
        if (state_ == State::closing) {
            if (!error) input_.consume(input_.size()), read();
            return;
        }
        if (error) return end(end_of_input(error));
        if (input_.size() > limit_) return give_up(Code::too_big);
        const bool right_kind =
            ws_.got_binary() == (options_->frames == beast::WebSocketFrames::binary);
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
        if (has_goodbye_) return BeastFailure::of_goodbye(ws_.reason());
        return broken_ ? Failure::from(broken_) : BeastFailure::of_stream(error);
    }
    /// Hands a message up.   Returns: false if nobody takes it now; it is kept.
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
    /// After this turn: what else is said in it leaves with it.
    void write() noexcept {
        if (writes_ || output_.empty()) return;
        writes_ = true;
        soon();
    }
    /// What is read next, and what is said meanwhile: a message that came is heard in a turn that
    /// waits in the context's queue already. An answer leaves behind it without another way through
    /// the queue, each of which asks the kernel for news; and the peer has it before it is asked
    /// for more.
    void soon() noexcept {
        if (std::exchange(posted_, true)) return;
        // Not by the stream's executor, which is a type-erased one of this very context.
        guarded([&] { boost::asio::post(context_, on([](auto& self) { self.go_on(); })); });
    }
    void go_on() noexcept {
        posted_ = false;
        if (writes_ && leaving_ == 0) write_some();
        if (std::exchange(reads_, false) && state_ != State::over) read();
    }
    void write_some() noexcept {
        guarded([&] {
            std::size_t bytes = cost_of(output_.front());
            leaving_ = 1;
            while (leaving_ != output_.size()) {
                bytes += cost_of(output_[leaving_]);
                if (bytes > gathered_bytes_max) break;
                // What is wrong with the stream the last one tells.
                Error ignored;
                ws_.write(Asio::buffer(BytesView{output_[leaving_ - 1]}), ignored);
                ++leaving_;
            }
            ws_.async_write(Asio::buffer(BytesView{output_[leaving_ - 1]}),
                            on([](auto& self, const Error& e, std::size_t) { self.wrote(e); }));
        });
    }
    void wrote(const Error& error) {
        if (error) {
            writes_ = false;
            broken_ = Asio::standard(error);
            if (state_ == State::closing) return end(why_);
            if (holds_) end(Failure::from(broken_));  // else the reading says why
            return;
        }
        for (; leaving_ != 0; --leaving_) {
            waiting_ -= cost_of(output_.front());
            if (output_.front().capacity() <= spare_bytes_max) spare_.swap(output_.front());
            output_.pop_front();
        }
        writes_ = !output_.empty();
        if (writes_) {
            write_some();
        } else if (state_ == State::closing) {
            return finish();
        }
        tell_room();
    }
    /// Once after send() answered busy: when half the buffer is free, and what was refused fits.
    void tell_room() noexcept {
        if (refused_cost_ == 0 || state_ != State::open) return;
        if (waiting_ > output_limit_ / 2 || !fits(refused_cost_)) return;
        refused_cost_ = 0;
        guarded([&] { link_.writable(); });
    }

    const std::shared_ptr<const Options> options_;
    Link<Bytes> link_;
    State state_ = State::connecting;
    /// held_ was refused, and nothing is read.
    bool holds_ = false;
    bool writes_ = false;
    bool pings_ = false;
    bool posted_ = false;       ///< go_on() comes
    bool reads_ = false;        ///< and reads
    bool has_goodbye_ = false;  ///< the peer's, whose code counts however the stream ends
    std::error_code broken_;
    Failure why_{};
    Code code_ = Code::normal;
    std::size_t limit_;
    std::size_t output_limit_;
    std::size_t waiting_ = 0;       ///< costs of what is in output_
    std::size_t refused_cost_ = 0;  ///< of what send() last answered busy to; 0 for none
    std::deque<Bytes> output_;
    std::size_t leaving_ = 0;  ///< of these are being written
    Bytes spare_;  ///< one that has left, for the next: most connections say one at a time
    Bytes held_;
    boost::beast::flat_buffer input_;
    Context& context_;
    std::optional<Tcp::resolver> resolver_;  ///< while a name is looked up
    Asio::Timer goodbye_;
    IpPermit permit_;  ///< of one that was accepted
    boost::beast::websocket::stream<BeastGathered<Stream>> ws_;
};

}}}  // namespace belay::detail
