// SPDX-License-Identifier: MIT
/// \file belay/adapter/detail/beast_request.hpp
/// BeastRequest: what one attempt asks a server for, checked.
#pragma once

#include <utility>  // std::move; before asio, which in Boost 1.74 uses std::exchange without

#include <boost/beast/http/message.hpp>
#include <boost/beast/version.hpp>
#include <boost/beast/websocket/rfc6455.hpp>

#include <belay/adapter/websocket_error.hpp>
#include <belay/adapter/websocket_options.hpp>
#include <belay/core/http_failure.hpp>
#include <belay/http/detail/http_text.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The texts of a request. Nothing that a caller gave gets into it unchecked.
struct BeastRequest {
    std::string host;    ///< with the port, where it is not the usual one
    std::string target;  ///< with the token, if it goes into the query
    std::string token;   ///< the value of its header, if it goes there

    using Fields = boost::beast::websocket::request_type;

    /// What is to be sent; or why it must not be.
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
        if (server.port != usual_port) host += ":" + std::to_string(server.port);
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

    /// The headers beside those of the handshake.
    void decorate(Fields& request, const beast::WebSocketOptions& options) const {
        namespace http = boost::beast::http;
        request.set(http::field::user_agent, "belay");
        // In place of what is there already, `Host` for one; a name may come twice.
        for (const auto& [name, value] : options.headers) request.erase(name);
        for (const auto& [name, value] : options.headers) request.insert(name, value);
        if (!options.subprotocol.empty()) {
            request.set(http::field::sec_websocket_protocol, options.subprotocol);
        }
        if (!token.empty()) request.set(options.token_header, token);
    }

    /// What is asked of a proxy.
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

/// Why a server, or a proxy, that answered by HTTP did not do what was asked.
template <class Message>
[[nodiscard]] Failure refusal_of(const Message& answer) {
    const auto text = [&](boost::beast::http::field name) {
        const auto value = answer[name];
        return std::string_view{value.data(), value.size()};
    };
    using boost::beast::http::field;
    const Duration wait = RetryAfter{text(field::retry_after), text(field::date)}.wait();
    const auto status = static_cast<int>(answer.result_int());
    // 200 is what somebody else's web page answers: nobody there speaks the protocol, now.
    if (status >= 200 && status < 300) {
        return {Cause::refused, status, &http_category(), wait};
    }
    return http_failure(status, wait);
}

}}}  // namespace belay::detail
