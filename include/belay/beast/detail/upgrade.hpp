// SPDX-License-Identifier: MIT
/// \file belay/beast/detail/upgrade.hpp
/// Upgrade: checks a request for a WebSocket, and makes the answer that rejects it.
#pragma once

#include <optional>  // std::optional
#include <string>    // std::string
#include <utility>   // std::exchange; before asio, which in Boost 1.74 uses it without

#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/rfc7230.hpp>
#include <boost/beast/websocket/rfc6455.hpp>

#include <belay/beast/detail/upgrade_rules.hpp>
#include <belay/beast/listener_counters.hpp>
#include <belay/beast/listener_options.hpp>
#include <belay/beast/websocket_error.hpp>
#include <belay/http/detail/http_text.hpp>
#include <belay/http/http_message.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

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
        if (!options.subprotocol.empty() && !WordList{offered}.has(options.subprotocol)) {
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

}}}  // namespace belay::detail
