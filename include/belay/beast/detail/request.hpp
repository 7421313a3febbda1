// SPDX-License-Identifier: MIT
/// \file belay/beast/detail/request.hpp
/// BeastRequest: the checked texts of one upgrade request.
#pragma once

#include <memory>   // std::shared_ptr
#include <string>   // std::string
#include <utility>  // std::move; before asio, which in Boost 1.74 uses std::exchange without
#include <vector>   // std::vector

#include <boost/beast/http/message.hpp>
#include <boost/beast/version.hpp>
#include <boost/beast/websocket/rfc6455.hpp>

#include <belay/beast/websocket_error.hpp>
#include <belay/beast/websocket_options.hpp>
#include <belay/core/clocks.hpp>
#include <belay/http/detail/http_text.hpp>
#include <belay/http/http_message.hpp>

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
                     options.target.front() == '/' && is_header_value(options.subprotocol) &&
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
        if (!options.subprotocol.empty()) {
            request.set(http::field::sec_websocket_protocol, options.subprotocol);
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

}}}  // namespace belay::detail
