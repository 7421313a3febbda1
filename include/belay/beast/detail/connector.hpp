// SPDX-License-Identifier: MIT
/// \file belay/beast/detail/connector.hpp
/// BeastConnector: dials a WebSocket connection.
#pragma once

#include <memory>    // std::make_shared
#include <optional>  // std::optional
#include <string>    // std::string
#include <utility>   // std::move; before asio, which in Boost 1.74 uses std::exchange without

#include <boost/asio/write.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>

#include <belay/asio/detail/close_on_exec.hpp>
#include <belay/beast/detail/request.hpp>
#include <belay/beast/detail/stream.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A connection of beast::WebSocket, from the look-up of the name to the answer to its upgrade.
template <class Stream>
class BeastConnector : public BeastStream<Stream> {
    using Parent = BeastStream<Stream>;
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
    [[nodiscard]] Instant deadline() const noexcept {
        return this->dial_ ? this->dial_->deadline() : never;
    }
    /// Continues the dial of a name.
    void advance(Instant now) {
        if (!this->dial_ || !this->dial_->advance(now)) return;
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
            Tls::handshake(stream, on([](auto& self, const Error& e) {
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
        websocket::permessage_deflate deflate;
        deflate.client_enable = this->options_->deflate;
        this->configure(deflate);
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
        if (this->options_->subprotocol != std::string_view{chosen.data(), chosen.size()}) {
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
