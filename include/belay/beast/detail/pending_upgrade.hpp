// SPDX-License-Identifier: MIT
/// \file belay/beast/detail/pending_upgrade.hpp
/// BeastPendingUpgrade: an accepted connection whose upgrade is not answered yet.
#pragma once

#include <array>     // std::array
#include <list>      // std::list
#include <memory>    // std::enable_shared_from_this
#include <optional>  // std::optional
#include <string>    // std::string
#include <utility>   // std::move; before asio, which in Boost 1.74 uses std::exchange without

#include <boost/asio/write.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>

#include <belay/beast/detail/server_handshake.hpp>
#include <belay/beast/detail/silent_upgrades.hpp>
#include <belay/beast/detail/upgrade.hpp>
#include <belay/beast/websocket_error.hpp>
#include <belay/openssl/tls_error.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

template <class Stream>
class BeastPendingUpgrade;

/// The part of the listener that pending upgrades see. The two virtual functions hide its F and its
/// Observer.
template <class Stream>
struct BeastListenerState {
    using PendingUpgrade = BeastPendingUpgrade<Stream>;
    using TlsContext = typename TlsContextOf<Stream>::Type;

    BeastListenerState(boost::asio::io_context& c, TlsContext* t, beast::ListenerOptions options)
        : context{c}, tls{t}, limiter{std::make_shared<IpLimiter>(std::move(options))} {
        const beast::ListenerOptions& o = limiter->options();
        connection = std::make_shared<const beast::WebSocketOptions>(
            beast::WebSocketOptions{.frames = o.frames,
                                    .message_bytes_max = o.message_bytes_max,
                                    .too_large_code = o.too_large_code,
                                    .output_bytes_max = o.output_bytes_max,
                                    .deflate = o.deflate,
                                    .subprotocol = o.subprotocol});
    }
    BeastListenerState(const BeastListenerState&) = delete;
    BeastListenerState& operator=(const BeastListenerState&) = delete;
    virtual ~BeastListenerState() = default;

    virtual void arrived(std::shared_ptr<PendingUpgrade> pending) = 0;
    virtual void report(const beast::RejectedUpgrade& rejected) = 0;
    /// Reports a connection that counts for no address: it is over a limit, a proxy has not named
    /// its client, or it cannot be accepted. It does so at most `bounded_per_minute` times a
    /// minute, so that no client can flood the observer.
    void report_bounded(beast::RejectedUpgrade rejected) {
        const Instant now = SteadyClock{}.now();
        if (!reported_.allows(now, bounded_per_minute)) return static_cast<void>(++unreported_);
        reported_.spend(now, bounded_per_minute);
        rejected.unreported = std::exchange(unreported_, 0);
        report(rejected);
    }

    boost::asio::io_context& context;
    TlsContext* tls;
    const std::shared_ptr<IpLimiter> limiter;
    std::shared_ptr<const beast::WebSocketOptions> connection;  ///< options of all connections
    ForwardedFor forwarded{};
    std::list<PendingUpgrade*> pending_upgrades{};  ///< those that the user does not have
    SilentUpgrades<PendingUpgrade> silent{};        ///< those whose request is not complete

private:
    static constexpr unsigned bounded_per_minute = 60;

    MinuteRate reported_{};  ///< of report_bounded
    std::uint64_t unreported_ = 0;
};

/// Reads the request, within its limits of size and time. The user then answers or rejects it.
///
/// Every handler holds a reference, and does nothing after the upgrade is over.
///
/// Thread safety: the thread that runs the context.
template <class Stream>
class BeastPendingUpgrade : public std::enable_shared_from_this<BeastPendingUpgrade<Stream>> {
    using ListenerState = BeastListenerState<Stream>;
    using Asio = AsioOf<boost::asio::io_context>;
    using Error = Asio::Error;
    using Parser = boost::beast::http::request_parser<boost::beast::http::empty_body>;
    using Reason = beast::RejectedUpgrade::Reason;

public:
    using Connection = BeastServerHandshake<Stream>;

    BeastPendingUpgrade(std::shared_ptr<ListenerState> listener, Asio::Tcp::socket socket,
                        IpPermit permit)
        : listener_{std::move(listener)},
          permit_{std::move(permit)},
          timer_{listener_->context},
          stream_{stream_of(std::move(socket), *listener_)} {}
    BeastPendingUpgrade(const BeastPendingUpgrade&) = delete;
    BeastPendingUpgrade& operator=(const BeastPendingUpgrade&) = delete;
    ~BeastPendingUpgrade() { forget(); }

    /// `peer` is the address that the connection was accepted from.
    void start(const IpAddress& peer) {
        peer_ = ip_ = peer;
        position_ = listener_->pending_upgrades.insert(listener_->pending_upgrades.end(), this);
        listed_ = true;
        silent_ = listener_->silent.add(peer, *this);
        const beast::ListenerOptions& options = listener_->limiter->options();
        until_ = after(SteadyClock{}.now(), options.upgrade_within);
        if constexpr (NeedsTls<Stream>) {
            expect(smaller(until_, after(SteadyClock{}.now(), options.tls_within)));
            BeastTls<Stream>::accept(
                stream_, on([](auto& self, const Error& e) {
                    e ? self.failed(e, {tls::Errc::handshake_failed, 0, Reason::tls}) : self.read();
                }));
        } else {
            read();
        }
    }
    /// Closes the connection without a notification; for the reason `why` if it is not counted yet.
    void end(Reason why = Reason::unanswered) noexcept {
        over_ = true;
        forget();
        timer_.cancel();
        Error ignored;
        if (!taken_) socket_of(stream_).close(ignored);
        permit_.leave(why);
    }
    /// Closes the connection, because its request is not complete and another one needs its place.
    void give_up() {
        permit_.given_up();
        end();
    }
    /// The user has dropped the upgrade. During a rejection, the connection ends by itself.
    void drop() noexcept {
        if (!over_ && !leaves_) end();
    }
    /// Answers with a status instead of the upgrade.
    void reject(int status, Duration retry_after) noexcept {
        if (over_ || leaves_) return;
        permit_.rejected(Reason::by_user);
        try {
            send_status(status, retry_after);
        } catch (const std::bad_alloc&) {
            end();
        }
    }
    /// Returns the connection that answers the upgrade. At most one call succeeds.
    /// Throws: std::bad_alloc.
    [[nodiscard]] std::shared_ptr<Connection> take(const Link<Bytes>& link) {
        if (over_ || leaves_) return nullptr;
        auto connection = std::make_shared<Connection>(listener_->context, listener_->connection,
                                                       link, std::move(stream_));
        taken_ = true;
        connection->answer(request_, std::move(permit_));
        request_ = {};  // has a token, and may be long
        end();
        return connection;
    }

    [[nodiscard]] const Upgrade::Request& request() const noexcept { return request_; }
    [[nodiscard]] std::string ip() const { return ip_.to_string(); }

private:
    static Stream stream_of(Asio::Tcp::socket socket, ListenerState& listener) {
        if constexpr (NeedsTls<Stream>) {
            return Stream{std::move(socket), *listener.tls};
        } else {
            return Stream{std::move(socket)};
        }
    }
    template <class F>
    [[nodiscard]] auto on(F f) {
        return [self = this->shared_from_this(), f](auto&&... a) {
            if (!self->over_) f(*self, a...);
        };
    }
    /// Ends the connection at `then`.
    void expect(Instant then) {
        timer_.expires_at(then);
        timer_.async_wait(on([](auto& self, const Error& e) {
            if (e || self.timer_.expiry() > SteadyClock{}.now()) return;
            if (self.leaves_) return self.end();
            self.permit_.rejected(Reason::timed_out);
            self.report({beast::WebSocketErrc::upgrade_timed_out, 0, Reason::timed_out});
            self.end();
        }));
    }
    void speak() noexcept {
        if (silent_) listener_->silent.remove(*std::exchange(silent_, std::nullopt));
    }
    void forget() noexcept {
        speak();
        if (std::exchange(listed_, false)) listener_->pending_upgrades.erase(position_);
    }
    void report(const Upgrade::Verdict& verdict) {
        beast::RejectedUpgrade rejected{.error = verdict.error,
                                        .status = verdict.status,
                                        .ip = ip(),
                                        .path = Upgrade::path_of(request_),
                                        .reason = verdict.reason};
        // An address that counts is rejected before it can be reported too often.
        permit_.counts_for_ip() ? listener_->report(rejected)
                                : listener_->report_bounded(std::move(rejected));
    }

    // ---- the request ---------------------------------------------------------------------------

    void read() {
        expect(until_);
        const std::size_t most = listener_->limiter->options().header_bytes_max;
        input_.max_size(most);
        parser_.emplace();
        parser_->header_limit(static_cast<std::uint32_t>(most));
        boost::beast::http::async_read_header(
            stream_, input_, *parser_,
            on([](auto& self, const Error& e, std::size_t) { self.header_read(e); }));
    }
    void header_read(const Error& error) {
        namespace http = boost::beast::http;
        if (error == http::error::header_limit || error == http::error::buffer_overflow) {
            return turn_down({beast::WebSocketErrc::upgrade_too_large, 431, Reason::too_large});
        }
        const Upgrade::Verdict malformed{beast::WebSocketErrc::upgrade_malformed, 400,
                                         Reason::malformed};
        if (error) return failed(error, malformed);
        const bool has_body = parser_->chunked() || parser_->content_length().value_or(0) != 0;
        // A client must not send more before the answer (RFC 6455, section 4.1).
        const bool has_more = has_body || input_.size() != 0;
        request_ = parser_->release();
        parser_.reset(), input_ = {};
        // The address comes before any rejection, which is counted and reported for it.
        ip_ = listener_->forwarded.client(peer_, Upgrade::forwarded_for(request_));
        // A connection without a proxy was counted when it was accepted.
        const bool counts_now = listener_->forwarded.is_proxy(peer_) && ip_ != peer_;
        if (const auto why = counts_now ? permit_.claim(ip_) : std::nullopt) {
            return turn_down({beast::WebSocketErrc::too_many_upgrades, 429, *why});
        }
        if (has_more) return turn_down(malformed);
        const beast::ListenerOptions& options = listener_->limiter->options();
        const bool is_page = options.pages && Upgrade::asks_for_page(request_);
        const auto verdict = is_page ? std::nullopt : Upgrade::check(request_, options);
        if (verdict) return turn_down(*verdict);
        if (is_page) return serve(options.pages);
        forget();
        timer_.cancel();
        until_ = never;
        listener_->arrived(this->shared_from_this());
    }
    void serve(const std::function<HttpResponse(const HttpRequest&)>& pages) {
        const HttpRequest asked = Upgrade::page_request(request_);
        const HttpResponse response = page_of(pages, asked);
        if (over_) return;
        permit_.got_page();
        const bool can_be_sent = response.status >= 200 && response.status <= 599;
        std::string answer =
            can_be_sent ? Upgrade::page(response, asked.method != "HEAD") : std::string{};
        if (answer.empty()) answer = Upgrade::rejection(500, Duration{});
        send(std::move(answer), until_);
    }
    /// Calls `pages`. If it throws, the client gets the status 500 before the exception leaves.
    HttpResponse page_of(const std::function<HttpResponse(const HttpRequest&)>& pages,
                         const HttpRequest& asked) {
#if defined(__cpp_exceptions)
        try {
            return pages(asked);
        } catch (...) {
            if (!over_) {
                permit_.got_page();
                send(Upgrade::rejection(500, Duration{}), until_);
            }
            throw;
        }
#else
        return pages(asked);
#endif
    }
    /// The peer has closed the connection, or has broken the protocol.
    void failed(const Error& error, const Upgrade::Verdict& verdict) {
        if (is_gone<Stream>(error)) {
            permit_.aborted();
            return end();
        }
        turn_down(verdict);
    }
    void turn_down(const Upgrade::Verdict& verdict) {
        permit_.rejected(verdict.reason);
        report(verdict);
        if (over_) return;
        if (verdict.status == 0) return end();
        send_status(verdict.status, Duration{});
    }

    // ---- the rejection -------------------------------------------------------------------------

    void send_status(int status, Duration retry_after) {
        send(Upgrade::rejection(status, retry_after), after(SteadyClock{}.now(), leave_max));
    }
    void send(std::string answer, Instant until) {
        leaves_ = true;
        speak();
        text_ = std::move(answer);
        expect(until);
        boost::asio::async_write(stream_, boost::asio::buffer(text_),
                                 on([](auto& self, const Error& e, std::size_t) {
                                     e ? self.end() : self.close_gracefully();
                                 }));
    }
    /// Reads the input for a while. Unread input would make the kernel drop the answer.
    void close_gracefully() {
        expect(after(SteadyClock{}.now(), leave_max));
        if constexpr (NeedsTls<Stream>) {
            BeastTls<Stream>::shutdown(stream_,
                                       on([](auto& self, const Error&) { self.end_sending(); }));
        } else {
            end_sending();
        }
    }
    void end_sending() {
        Error ignored;
        socket_of(stream_).shutdown(Asio::Tcp::socket::shutdown_send, ignored);
        drain();
    }
    void drain() {
        socket_of(stream_).async_read_some(
            boost::asio::buffer(rest_), on([](auto& self, const Error& e, std::size_t bytes) {
                self.drained_ += bytes;
                e || self.drained_ > drain_max ? self.end() : self.drain();
            }));
    }

    static constexpr std::chrono::seconds leave_max{1};
    static constexpr std::size_t drain_max = std::size_t{64} << 10;

    const std::shared_ptr<ListenerState> listener_;
    IpPermit permit_;
    IpAddress peer_{};
    IpAddress ip_{};  ///< of the peer, or of the client that a proxy names
    typename std::list<BeastPendingUpgrade*>::iterator position_{};
    std::optional<typename SilentUpgrades<BeastPendingUpgrade>::Place> silent_{};
    bool listed_ = false;
    bool over_ = false;
    bool taken_ = false;   ///< the stream was moved to the connection
    bool leaves_ = false;  ///< a response is being sent
    Instant until_ = never;
    std::size_t drained_ = 0;
    std::string text_;
    std::array<char, 512> rest_{};
    std::optional<Parser> parser_;
    Upgrade::Request request_;
    boost::beast::flat_buffer input_;
    Asio::Timer timer_;
    Stream stream_;
};

}}}  // namespace belay::detail
