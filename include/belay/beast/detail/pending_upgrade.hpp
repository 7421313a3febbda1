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
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/rfc7230.hpp>
#include <boost/beast/websocket/rfc6455.hpp>

#include <belay/beast/any_listener.hpp>
#include <belay/beast/detail/ip_limiter.hpp>
#include <belay/beast/detail/stream.hpp>
#include <belay/beast/detail/upgrade_rules.hpp>
#include <belay/beast/listener_options.hpp>
#include <belay/beast/websocket_options.hpp>
#include <belay/http/detail/http_text.hpp>
#include <belay/http/http_message.hpp>
#include <belay/link/link_errc.hpp>
#include <belay/openssl/tls_error.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Whether the peer has closed the connection, as opposed to having broken the protocol.
template <class Stream>
[[nodiscard]] bool is_gone(const boost::system::error_code& error) noexcept {
    namespace asio = boost::asio;
    if constexpr (NeedsTls<Stream>) {
        if (BeastTls<Stream>::is_cut(error)) return true;
    }
    return error == asio::error::eof || error == asio::error::connection_reset ||
           error == asio::error::connection_aborted || error == asio::error::broken_pipe ||
           error == asio::error::not_connected ||
           error == boost::beast::http::error::end_of_stream ||
           error == boost::beast::http::error::partial_message;
}

/// Whether the kernel has seen the peer close the connection.
template <class Socket>
[[nodiscard]] bool has_hung_up(Socket& socket) noexcept {
    boost::system::error_code error;
    char byte = 0;
    socket.non_blocking(true, error);
    if (!error) {
        socket.receive(boost::asio::buffer(&byte, 1), Socket::message_peek, error);
    }
    return error && error != boost::asio::error::would_block &&
           error != boost::asio::error::try_again;
}

/// A connection of beast::Accepted, from the answer to its upgrade.
template <class Stream>
class BeastServerHandshake : public BeastStream<Stream, AnyConnection> {
    using Parent = BeastStream<Stream, AnyConnection>;
    using typename Parent::Error;
    using typename Parent::State;

public:
    using Request = boost::beast::http::request<boost::beast::http::empty_body>;

    BeastServerHandshake(boost::asio::io_context& context,
                         std::shared_ptr<const beast::WebSocketOptions> options,
                         const Link<Bytes>& link, Stream stream)
        : Parent{context, std::move(options), link, std::move(stream)} {}

    /// Answers the request.
    void answer(const Request& request, IpPermit permit) {
        namespace websocket = boost::beast::websocket;
        namespace http = boost::beast::http;
        this->permit_ = std::move(permit);
        if (has_hung_up(this->socket())) return give_way(failure_of(LinkErrc::closed_by_peer));
        this->ws_.set_option(websocket::stream_base::decorator(
            [protocol = this->options_->messages.subprotocol](websocket::response_type& response) {
                response.set(http::field::server, "belay");
                if (!protocol.empty()) {
                    response.set(http::field::sec_websocket_protocol, protocol);
                }
            }));
        this->configure();
        // A peer that does not read may block the answer, so its time is limited.
        this->close_timer_.expires_after(Parent::close_max);
        this->close_timer_.async_wait(Parent::on_of(*this, [](auto& self, const Error& e) {
            if (!e && self.state_ == State::connecting) {
                self.give_way(Failure::from(std::make_error_code(std::errc::timed_out)));
            }
        }));
        this->ws_.async_accept(
            request, Parent::on_of(*this, [](auto& self, const Error& e) { self.answered(e); }));
    }

private:
    void answered(const Error& error) {
        this->close_timer_.cancel();
        if (error) return give_way(BeastFailure::of_handshake(error));
        this->permit_.upgraded();
        this->begin();
    }
    void give_way(const Failure& why) noexcept {
        this->permit_.aborted();
        this->end(why);
    }
};

struct Upgrade {
    using Request = boost::beast::http::request<boost::beast::http::empty_body>;
    using Field = boost::beast::http::field;

    using Reason = beast::RejectedUpgrade::Reason;

    /// The fault, the status that reports it, and the reason that is counted.
    struct Verdict {
        std::error_code error;
        int status = 0;
        Reason reason{};
    };

    /// Returns: nothing if the request is valid.
    [[nodiscard]] static std::optional<Verdict> check(const Request& request,
                                                      const beast::ListenerOptions& options) {
        const Verdict malformed{beast::WebSocketErrc::upgrade_malformed, 400, Reason::malformed};
        for (const Field field : {Field::host, Field::origin, Field::upgrade,
                                  Field::sec_websocket_key, Field::sec_websocket_version}) {
            if (request.count(field) > 1) return malformed;
        }
        const auto asked = request.target();
        if (request.count(Field::host) == 0 || asked.empty() || asked.front() != '/') {
            return malformed;
        }
        if (!boost::beast::websocket::is_upgrade(request) ||
            text(request, Field::sec_websocket_version) != "13") {
            return Verdict{beast::WebSocketErrc::no_upgrade, 426, Reason::no_upgrade};
        }
        if (!is_websocket_key(text(request, Field::sec_websocket_key))) return malformed;
        const OriginCheck origin{text(request, Field::origin), text(request, Field::host)};
        if (request.count(Field::origin) != 0 && !origin.passes(options.origins)) {
            return Verdict{beast::WebSocketErrc::origin_rejected, 403, Reason::origin};
        }
        const std::string offered = joined(request, "Sec-WebSocket-Protocol");
        if (!options.messages.subprotocol.empty() &&
            !WordList{offered}.has(options.messages.subprotocol)) {
            return Verdict{beast::WebSocketErrc::subprotocol_rejected, 400, Reason::subprotocol};
        }
        return std::nullopt;
    }

    /// Whether the request is a valid request for a page, and not for a WebSocket.
    [[nodiscard]] static bool asks_for_page(const Request& request) noexcept {
        const auto asked = request.target();
        const auto method = request.method();
        const auto hosts = request.count(Field::host);
        // The health checks of some load balancers use HTTP/1.0, which does not require a host.
        const bool has_host = hosts == 1 || (hosts == 0 && request.version() == 10);
        return (method == boost::beast::http::verb::get ||
                method == boost::beast::http::verb::head) &&
               request.count(Field::upgrade) == 0 && has_host && !asked.empty() &&
               asked.front() == '/';
    }
    [[nodiscard]] static HttpRequest page_request(const Request& request) {
        HttpRequest asked{
            .url = {request.target().data(), request.target().size()},
            .method = {request.method_string().data(), request.method_string().size()}};
        for (const auto& field : request) {
            asked.headers.add({{field.name_string().data(), field.name_string().size()},
                               {field.value().data(), field.value().size()}});
        }
        return asked;
    }
    /// Returns a complete answer, with a body unless only its head was requested.
    [[nodiscard]] static std::string page(const HttpResponse& response, bool with_body) {
        std::string out = status_line(response.status);
        for (const HttpHeaders::Field& field : response.headers) {
            const bool ours = is_same_name(field.name, "Content-Length") ||
                              is_same_name(field.name, "Connection") ||
                              is_same_name(field.name, "Transfer-Encoding");
            if (ours || !is_header_name(field.name) || !is_header_value(field.value)) return {};
            out += field.name + ": " + field.value + "\r\n";
        }
        // These have no body, and a Content-Length is an error (RFC 9110, section 8.6).
        const bool has_none = response.status == 204 || response.status == 304;
        if (!has_none) out += "Content-Length: " + std::to_string(response.body.size()) + "\r\n";
        out += "Connection: close\r\n\r\n";
        return with_body && !has_none ? out + response.body : out;
    }

    [[nodiscard]] static std::string_view text(const Request& request, Field name) noexcept {
        const auto value = request[name];
        return {value.data(), value.size()};
    }
    /// Returns the values of all headers of this name, joined by commas.
    [[nodiscard]] static std::string joined(const Request& request, std::string_view name) {
        std::string out;
        const auto range = request.equal_range(boost::beast::string_view{name.data(), name.size()});
        for (auto it = range.first; it != range.second; ++it) {
            if (!out.empty()) out += ',';
            out.append(it->value().data(), it->value().size());
        }
        return out;
    }
    [[nodiscard]] static std::string forwarded_for(const Request& request) {
        return joined(request, "X-Forwarded-For");
    }
    /// Returns the part of the target that may be reported: its query may hold a token.
    [[nodiscard]] static std::string path_of(const Request& request) {
        const auto target = request.target();
        const std::string_view all{target.data(), target.size()};
        return std::string{all.substr(0, all.find('?'))};
    }
    /// Returns a complete answer without a body.
    [[nodiscard]] static std::string rejection(int status, Duration retry_after) {
        std::string out = status_line(status) + "Connection: close\r\nContent-Length: 0\r\n";
        if (status == 426) out += "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
        // Rounded up, so that no client retries too early.
        const auto seconds = std::chrono::ceil<std::chrono::seconds>(retry_after).count();
        if (seconds > 0) out += "Retry-After: " + std::to_string(seconds) + "\r\n";
        return out + "\r\n";
    }

private:
    [[nodiscard]] static std::string status_line(int status) {
        namespace http = boost::beast::http;
        const auto reason = http::obsolete_reason(static_cast<http::status>(status));
        std::string out = "HTTP/1.1 " + std::to_string(status) + " ";
        out.append(reason.data(), reason.size());
        return out + "\r\nServer: belay\r\n";
    }
};

template <class Stream>
class BeastPendingUpgrade;

/// The part of the listener that pending upgrades see. The two virtual functions hide its F and its
/// Observer.
template <class Stream>
struct BeastListenerState : AnyAcceptor {
    using PendingUpgrade = BeastPendingUpgrade<Stream>;
    using TlsContext = typename TlsContextOf<Stream>::Type;

    BeastListenerState(boost::asio::io_context& c, TlsContext* t, beast::ListenerOptions options)
        : context{c}, tls{t}, limiter{std::make_shared<IpLimiter>(std::move(options))} {
        connection = std::make_shared<const beast::WebSocketOptions>(
            beast::WebSocketOptions{.messages = limiter->options().messages});
    }
    BeastListenerState(const BeastListenerState&) = delete;
    BeastListenerState& operator=(const BeastListenerState&) = delete;

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
class BeastPendingUpgrade : public AnyUpgrade,
                            public std::enable_shared_from_this<BeastPendingUpgrade<Stream>> {
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
            stream_.async_handshake(
                Stream::server, on([](auto& self, const Error& e) {
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
    /// During a rejection, the connection ends by itself.
    void drop() noexcept override {
        if (!over_ && !leaves_) end();
    }
    void reject(int status, Duration retry_after) noexcept override {
        if (over_ || leaves_) return;
        permit_.rejected(Reason::by_user);
        try {
            send_status(status, retry_after);
        } catch (const std::bad_alloc&) {
            end();
        }
    }
    /// Throws: std::bad_alloc.
    std::shared_ptr<AnyConnection> take(const Link<Bytes>& link) override {
        if (over_ || leaves_) return nullptr;
        auto connection = std::make_shared<Connection>(listener_->context, listener_->connection,
                                                       link, std::move(stream_));
        taken_ = true;
        connection->answer(request_, std::move(permit_));
        request_ = {};  // has a token, and may be long
        end();
        return connection;
    }

    UpgradeRequest request() const override {
        using Field = Upgrade::Field;
        return {.target = {request_.target().data(), request_.target().size()},
                .ip = ip(),
                .user_agent = std::string{Upgrade::text(request_, Field::user_agent)},
                .origin = std::string{Upgrade::text(request_, Field::origin)}};
    }
    std::string header(std::string_view name) const override {
        return Upgrade::joined(request_, name);
    }
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
        input_.max_size(header_max);
        parser_.emplace();
        parser_->header_limit(header_max);
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
        try {
            return pages(asked);
        } catch (...) {
            if (!over_) {
                permit_.got_page();
                send(Upgrade::rejection(500, Duration{}), until_);
            }
            throw;
        }
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
    /// Reads the input for a while. Unread input would make the kernel drop the answer. Without the
    /// close_notify of TLS, a receiver could not distinguish the end of an answer from a cut.
    void close_gracefully() {
        expect(after(SteadyClock{}.now(), leave_max));
        if constexpr (NeedsTls<Stream>) {
            stream_.async_shutdown(on([](auto& self, const Error&) { self.end_sending(); }));
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

    /// The limit of nginx and of Apache: a longer header does not pass the usual proxies either.
    static constexpr std::uint32_t header_max = 8 << 10;
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
