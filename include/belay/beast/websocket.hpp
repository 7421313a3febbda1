// SPDX-License-Identifier: MIT
/// \file belay/beast/websocket.hpp
/// beast::WebSocket: a transport over WebSockets of Boost.Beast; needs Boost 1.74 or later.
#pragma once

#include <memory>       // std::make_shared, std::shared_ptr
#include <optional>     // std::optional
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::move; before asio, which in Boost 1.74 uses std::exchange without
#include <vector>       // std::vector

#include <boost/asio/write.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/version.hpp>
#include <boost/beast/websocket/rfc6455.hpp>

#include <belay/asio/detail/asio_of.hpp>
#include <belay/beast/detail/stream.hpp>
#include <belay/beast/websocket_options.hpp>
#include <belay/core/clocks.hpp>
#include <belay/http/detail/http_text.hpp>
#include <belay/http/http_message.hpp>
#include <belay/link/transport_like.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The texts of a request. make() checks each text that the caller supplies.
struct BeastRequest {
    std::string host;    ///< with the port, unless it is the usual one
    std::string target;  ///< with the token, if it is part of the query
    std::string token;   ///< the value of the token's header, if it is sent in one

    using Fields = boost::beast::websocket::request_type;

    /// Fills in the texts.   Returns: the reason why they must not be sent; no error if they may.
    [[nodiscard]] std::error_code make(const posix::Endpoint& server,
                                       const beast::WebSocketOptions& options,
                                       const std::string* secret, unsigned usual_port) {
        bool sound = is_one_word(server.host) && is_one_word(options.target) &&
                     options.target.front() == '/' &&
                     is_header_value(options.messages.subprotocol) &&
                     is_header_value(options.proxy_authorization);
        for (const auto& [name, value] : options.headers) {
            sound = sound && is_header_name(name) && is_header_value(value);
        }
        host = server.host.find(':') != std::string::npos ? "[" + server.host + "]" : server.host;
        if (server.port != usual_port) host += ':' + std::to_string(server.port);
        target = options.target;
        if (secret != nullptr && !options.token_query.empty()) {
            target += options.target.find('?') == std::string::npos ? '?' : '&';
            target += percent_encoded(options.token_query) + "=" + percent_encoded(*secret);
        } else if (secret != nullptr) {
            sound = sound && is_header_name(options.token_header);
            token = options.token_prefix + *secret;
            sound = sound && is_header_value(token);
        }
        return sound ? std::error_code{} : make_error_code(beast::WebSocketErrc::bad_text);
    }

    /// Adds the headers that are not part of the handshake.
    void decorate(Fields& request, const beast::WebSocketOptions& options) const {
        namespace http = boost::beast::http;
        request.set(http::field::user_agent, "belay");
        // They replace existing headers, for example `Host`. A name may occur more than once.
        for (const auto& [name, value] : options.headers) request.erase(name);
        for (const auto& [name, value] : options.headers) request.insert(name, value);
        if (!options.messages.subprotocol.empty()) {
            request.set(http::field::sec_websocket_protocol, options.messages.subprotocol);
        }
        if (!token.empty()) request.set(options.token_header, token);
    }

    /// Returns the request to a proxy.
    [[nodiscard]] static std::string connect_to(const posix::Endpoint& server,
                                                const beast::WebSocketOptions& options) {
        const std::string there = server.to_string();
        std::string text = "CONNECT " + there + " HTTP/1.1\r\nHost: " + there + "\r\n";
        if (!options.proxy_authorization.empty()) {
            text += "Proxy-Authorization: " + options.proxy_authorization + "\r\n";
        }
        return text + "\r\n";
    }
};

/// The answers of the servers that one transport has dialled. A copy of a transport is another one,
/// and begins without them.
///
/// Thread safety: that of the transport.
class BeastHistory {
public:
    struct Entry {
        posix::Endpoint server;
        HttpRejections rejections{};
    };

    BeastHistory() noexcept = default;
    BeastHistory(const BeastHistory&) noexcept {}
    BeastHistory(BeastHistory&&) noexcept = default;
    BeastHistory& operator=(BeastHistory other) noexcept {
        entries_ = std::move(other.entries_);
        return *this;
    }
    ~BeastHistory() = default;

    /// Returns the answers of one server. They may outlive the transport.   Throws: std::bad_alloc.
    [[nodiscard]] std::shared_ptr<Entry> of(const posix::Endpoint& server) {
        for (const auto& entry : entries_) {
            if (entry->server == server) return entry;
        }
        if (entries_.size() == entries_max) entries_.erase(entries_.begin());
        return entries_.emplace_back(std::make_shared<Entry>(Entry{server}));
    }

private:
    static constexpr std::size_t entries_max = 64;

    std::vector<std::shared_ptr<Entry>> entries_;  // the oldest first
};

/// Returns the failure for an HTTP answer of a server or a proxy that did not do what was
/// requested.   Throws: std::bad_alloc.
template <class Message>
[[nodiscard]] Failure rejection_of(const Message& answer, const HttpRequest& request,
                                   const HttpHistory& history,
                                   const beast::WebSocketOptions& options) {
    const auto text = [](const auto& part) { return std::string{part.data(), part.size()}; };
    HttpResponse response{.status = static_cast<int>(answer.result_int())};
    for (const auto& field : answer) {
        response.headers.add({text(field.name_string()), text(field.value())});
    }
    response.received = SystemClock{}.now();
    if constexpr (requires { response.body = answer.body(); }) response.body = answer.body();
    const HttpVerdict verdict = verdict_by(options.classify_upgrade, request, response, history);
    return failure_by(verdict, response, std::chrono::minutes{1});
}

/// A connection of beast::WebSocket, from the look-up of the name to the answer to its upgrade.
template <class Stream>
class BeastConnector : public BeastStream<Stream, AnyDialled> {
    using Parent = BeastStream<Stream, AnyDialled>;
    using Asio = AsioOf<boost::asio::io_context>;
    using Error = Asio::Error;
    using Tcp = Asio::Tcp;
    using Dial = typename Parent::Dial;
    using Parent::is_tls;

public:
    template <class... A>
    BeastConnector(boost::asio::io_context& runs_in,
                   std::shared_ptr<const beast::WebSocketOptions> options, const Link<Bytes>& link,
                   A&... stream)
        : Parent{runs_in, std::move(options), link, runs_in, stream...} {}

    /// `memory` and `history` are those of the transport.
    void dial(const posix::Endpoint& server, const std::string* token, const Link<Bytes>& link,
              OwnDialMemory& memory, BeastHistory& history) {
        server_ = server;
        answers_ = history.of(server);
        // When the machine began this attempt, by its own clock.
        began_ = link.published().status.since;
        has_token_ = token != nullptr;
        if (const auto wrong = request_.make(server, *this->options_, token, is_tls ? 443 : 80)) {
            return this->end(Failure::from(wrong));
        }
        const posix::Endpoint& next = has_proxy() ? this->options_->proxy : server_;
        Error error;
        const auto address = Asio::address(next.host, error);
        if (error) {
            this->dial_ = std::make_shared<Dial>(this->context_, link, memory.get(),
                                                 this->options_->silent_for);
            return this->dial_->begin(next, this->options_->resolver);
        }
        const Tcp::endpoint to{address, next.port};
        open_to_dial<Error>(this->socket(), to);
        this->socket().async_connect(to, on([](auto& self, const Error& e) {
                                         const Failure failure = Dial::failure_of(self.socket(), e);
                                         if (failure.cause != Cause::none)
                                             return self.end_dial_with(failure);
                                         self.connected();
                                     }));
    }
    [[nodiscard]] Instant deadline() const noexcept override {
        return this->dial_ ? this->dial_->deadline() : never;
    }
    /// Continues the dial of a name.
    void advance(Turn& turn) override {
        if (!this->dial_ || !this->dial_->advance(turn.now)) return;
        if (!this->dial_->socket()) return end_dial_with(this->dial_->failure());
        this->socket() = std::move(*this->dial_->socket());
        this->end_dial();
        connected();
    }

private:
    template <class F>
    [[nodiscard]] auto on(F f) {
        return Parent::on_of(*this, f);
    }
    [[nodiscard]] bool has_proxy() const noexcept { return !this->options_->proxy.host.empty(); }

    // A proxy that is not there is a failure of this side.
    void end_dial_with(Failure failure) {
        if (has_proxy()) failure.origin = FailureOrigin::local;
        this->end(std::move(failure));
    }
    void connected() {
        Error error;
        this->socket().set_option(Tcp::no_delay{true}, error);
        if constexpr (!is_tls) {
            const bool stays_here =
                !has_proxy() && this->socket().remote_endpoint(error).address().is_loopback();
            if (has_token_ && !stays_here) {
                return this->end(
                    Failure::from(make_error_code(beast::WebSocketErrc::token_in_clear)));
            }
        }
        has_proxy() ? send_connect() : secure();
    }
    void send_connect() {
        text_ = BeastRequest::connect_to(server_, *this->options_);
        boost::asio::async_write(this->socket(), boost::asio::buffer(text_),
                                 on([](auto& self, const Error& e, std::size_t) {
                                     e ? self.end(BeastFailure::of_dial(e))
                                       : self.read_proxy_answer();
                                 }));
    }
    void read_proxy_answer() {
        answer_.emplace();
        answer_->skip(true);  // the bytes after the header belong to the server
        boost::beast::http::async_read_header(
            this->socket(), this->input_, *answer_, on([](auto& self, const Error& e, std::size_t) {
                if (e) return self.end(BeastFailure::of_handshake(e));
                const auto& answer = self.answer_->get();
                if (answer.result_int() / 100 != 2) return self.reject(answer);
                // The server has received no request yet, so these bytes are no answer.
                if (self.input_.size() != 0) return self.end(BeastFailure::garbage());
                self.secure();
            }));
    }
    void secure() {
        if constexpr (is_tls) {
            using Tls = BeastTls<Stream>;
            Stream& stream = this->ws_.next_layer().next_layer();
            if (const auto wrong =
                    Tls::prepare(stream, server_.host, this->options_->insecure_no_verify)) {
                return this->end(Failure::from(wrong));
            }
            stream.async_handshake(Stream::client, on([](auto& self, const Error& e) {
                                       e ? self.end(Tls::failure(self.ws_.next_layer().next_layer(),
                                                                 Asio::standard(e)))
                                         : self.send_upgrade();
                                   }));
        } else {
            send_upgrade();
        }
    }
    void send_upgrade() {
        namespace websocket = boost::beast::websocket;
        this->ws_.set_option(
            websocket::stream_base::decorator([this](websocket::request_type& request) {
                request_.decorate(request, *this->options_);
            }));
        this->configure();
        this->ws_.async_handshake(response_, request_.host, request_.target,
                                  on([](auto& self, const Error& e) { self.answered(e); }));
    }
    void answered(const Error& error) {
        namespace websocket = boost::beast::websocket;
        request_ = {};  // holds the token, so it is cleared early
        if (error == websocket::error::upgrade_declined) return reject(response_);
        if (error) {
            Failure failure = BeastFailure::of_handshake(error);
            if constexpr (is_tls) {
                if (BeastTls<Stream>::is_alert(error)) failure.origin = FailureOrigin::answered;
            }
            return this->end(failure);
        }
        const auto chosen = response_[boost::beast::http::field::sec_websocket_protocol];
        if (this->options_->messages.subprotocol !=
            std::string_view{chosen.data(), chosen.size()}) {
            return this->end(
                Failure::from(make_error_code(beast::WebSocketErrc::subprotocol_rejected)));
        }
        static_cast<void>(note(101));
        response_ = {}, this->input_ = {};
        this->begin();
    }
    HttpHistory note(int status) noexcept {
        constexpr int switching_protocols = 101;
        return answers_->rejections.take(status, status == switching_protocols, began_,
                                         this->options_->patience);
    }
    template <class Message>
    void reject(const Message& answer) {
        const HttpHistory history = note(static_cast<int>(answer.result_int()));
        this->guarded([&] {
            const beast::WebSocketOptions& options = *this->options_;
            HttpRequest request{
                .url = (is_tls ? "https://" : "http://") + server_.to_string() + options.target,
                .headers = {{"Upgrade", "websocket"}}};
            for (const auto& [name, value] : options.headers) request.headers.add({name, value});
            this->end(rejection_of(answer, request, history, options));
        });
    }

    bool has_token_ = false;
    posix::Endpoint server_;
    std::shared_ptr<BeastHistory::Entry> answers_;
    Instant began_ = always;
    BeastRequest request_;
    std::string text_;
    std::optional<boost::beast::http::response_parser<boost::beast::http::empty_body>> answer_;
    boost::beast::websocket::response_type response_;
};

}}}  // namespace belay::detail

namespace belay { inline namespace BELAY_ABI { namespace beast {

/// Connects to a WebSocket server over a stream of the given type.
///
/// Each attempt uses a new stream. The type is `boost::beast::tcp_stream`, or with
/// <belay/beast/tls.hpp> `boost::beast::ssl_stream<boost::beast::tcp_stream>`.
///
///     WebSocket<> plain{context, {"127.0.0.1", 8080}, {.target = "/feed"}};
///     WebSocket<Tls> secure{context, tls_context, {"feed.example.org", 443}};
///
/// Each message is one WebSocket message, of the kind that the options select. The code of a peer's
/// close becomes the failure of websocket_failure. A rejected upgrade becomes the failure of its
/// status, with the wait of its Retry-After. A status such as 404 is final only after some time
/// (WebSocketOptions::patience), because the proxy of a server that restarts sends it, too. The
/// function close(failure) sends the code of a failure of websocket_category, and 1000 for any
/// other.
///
/// If a name has several addresses, they race (RFC 8305), also those of a proxy.
///
/// It neither reconnects nor queues. It uses none of the pings and timeouts of Beast, except the
/// timeout for a close that this end began. Wrap it in a Heartbeat, whose pings are control frames.
///
/// With TLS, it verifies the chain of the certificate, by what the context trusts, and its name. A
/// token is sent only over TLS or to this machine itself. No Failure contains it.
///
/// Models:        TransportLike; its connections have close(), ping(), resume_reading(),
///                limit_messages(), limit_output(). For WithToken: open(link, token), the token a
///                std::string.
/// Thread safety: the thread that runs the context, which must outlive it.
/// Costs:         10 to 20 seconds, and 1 GB, to compile: keep it in one file.
template <class Stream = boost::beast::tcp_stream>
class WebSocket {
    using Context = boost::asio::io_context;
    using TlsContext = typename detail::TlsContextOf<Stream>::Type;

public:
    using message_type = Bytes;

    /// The connection that it opens.   Models: ConnectionLike.
    using Connection = detail::BeastConnection<detail::AnyDialled>;

    /// Pre: options.messages.too_large_code is a close code that may be sent.
    WebSocket(Context& context, posix::Endpoint server, WebSocketOptions options = {})
        requires(!detail::NeedsTls<Stream>)
        : context_{&context}, server_{std::move(server)}, options_{checked(std::move(options))} {}
    /// Constructs a transport with TLS. `tls` defines the trusted certificates, for example by
    /// `tls.set_default_verify_paths()`.
    WebSocket(Context& context, TlsContext& tls, posix::Endpoint server,
              WebSocketOptions options = {})
        requires detail::NeedsTls<Stream>
        : context_{&context},
          tls_{&tls},
          server_{std::move(server)},
          options_{checked(std::move(options))} {}

    /// Starts to connect; reports the result by `link`.   Throws: std::bad_alloc, and what asio
    /// throws.
    [[nodiscard]] Connection open(const Link<Bytes>& link) { return dial(link, server_, nullptr); }
    [[nodiscard]] Connection open(const Link<Bytes>& link, const std::string& token) {
        return dial(link, server_, &token);
    }
    /// Starts to connect to another server.
    [[nodiscard]] Connection open(const Link<Bytes>& link, const posix::Endpoint& server) {
        return dial(link, server, nullptr);
    }
    [[nodiscard]] Connection open(const Link<Bytes>& link, const posix::Endpoint& server,
                                  const std::string& token) {
        return dial(link, server, &token);
    }

    /// Returns the addresses that the last dial of a name tried in vain, each with its own cause,
    /// as posix::Tcp::dial_report does. If there is a proxy, the name is its name.
    [[nodiscard]] std::string_view dial_report() const noexcept { return memory_.text(); }

private:
    [[nodiscard]] static std::shared_ptr<const WebSocketOptions> checked(WebSocketOptions options) {
        BELAY_OPTION(
            detail::BeastFailure::is_sendable(options.messages.too_large_code),
            "WebSocketOptions: too_large_code must be a close code that may be sent, such as 1009");
        return std::make_shared<const WebSocketOptions>(std::move(options));
    }
    [[nodiscard]] Connection dial(const Link<Bytes>& link, const posix::Endpoint& server,
                                  const std::string* token) {
        auto connector = make_connector(link);
        connector->dial(server, token, link, memory_, history_);
        return Connection{std::move(connector)};
    }
    [[nodiscard]] auto make_connector(const Link<Bytes>& link) const {
        using Connector = detail::BeastConnector<Stream>;
        if constexpr (detail::NeedsTls<Stream>) {
            return std::make_shared<Connector>(*context_, options_, link, *tls_);
        } else {
            return std::make_shared<Connector>(*context_, options_, link);
        }
    }

    Context* context_;
    TlsContext* tls_ = nullptr;
    posix::Endpoint server_;
    /// Shared, because asio may hold a connection longer than the transport lives.
    std::shared_ptr<const WebSocketOptions> options_;
    detail::OwnDialMemory memory_{};
    detail::BeastHistory history_{};
};

}}}  // namespace belay::beast
