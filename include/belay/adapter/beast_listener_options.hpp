// SPDX-License-Identifier: MIT
/// \file belay/adapter/beast_listener_options.hpp
/// beast::ListenerOptions: whom a beast::Listener lets in, and what it grants each of them.
#pragma once

#include <functional>  // std::function
#include <string>      // std::string
#include <vector>      // std::vector

#include <belay/adapter/websocket_options.hpp>
#include <belay/core/instant.hpp>
#include <belay/http/http_message.hpp>

namespace belay { inline namespace BELAY_ABI { namespace beast {

/// Whom a Listener lets in, and what it grants each of them. All durations are > 0ns, all
/// limits > 0.
struct ListenerOptions {
    // ---- of each connection, as WebSocketOptions has it ----------------------------------------

    WebSocketFrames frames = WebSocketFrames::binary;
    /// Measured after a message is inflated; a longer one ends the connection with 1009.
    std::size_t message_bytes_max = std::size_t{16} << 20;
    /// Output that may wait for the kernel, before send() answers busy.
    std::size_t output_bytes_max = std::size_t{1} << 20;
    /// Whether messages may be compressed (permessage-deflate), where the client asks for it.
    bool deflate = false;
    /// Who does not offer it is refused; none if empty.
    std::string subprotocol{};

    // ---- of each upgrade -----------------------------------------------------------------------

    /// From accept to the end of the request's header,
    Duration upgrade_within = std::chrono::seconds{10};
    /// and of it for TLS.
    Duration tls_within = std::chrono::seconds{5};
    /// Of the request, its first line included.
    std::size_t header_bytes_max = std::size_t{8} << 10;

    // ---- shares --------------------------------------------------------------------------------

    /// Connections whose upgrade is not answered yet, those that are with the user included.
    std::size_t waiting_max = 1'000;
    std::size_t connections_max = 20'000;
    // Of one ip; an IPv6 network of 64 bits is one. Not of the proxies, but of whom they name.
    std::size_t waiting_per_ip_max = 32;
    std::size_t connections_per_ip_max = 500;
    unsigned upgrades_per_ip_and_minute = 600;
    /// Whoever was refused so often is not heard for a while.
    unsigned refusals_per_ip_and_minute = 60;

    // ---- whose word counts ---------------------------------------------------------------------

    /// Pages whose scripts may connect: "https://example.org", with its port if that is not the
    /// usual one; "*" for any. If empty: those of the host that the request itself names. Clients
    /// that are no browser have no origin, and come in.
    std::vector<std::string> origins{};
    /// Addresses of proxies that are believed who their clients are, by X-Forwarded-For.
    std::vector<std::string> proxies{};

    // ---- what is no WebSocket ------------------------------------------------------------------

    /// Answers a GET or HEAD that asks for no upgrade: a page, a health check, metrics; its `url`
    /// is path and query as they came. Without it, or with another method, they are refused: 426.
    /// The answer leaves within upgrade_within of the connection's begin, and closes it.
    ///
    /// What it answers with a status that is none, or headers that cannot be sent, becomes a 500;
    /// what it throws leaves the context's run().
    std::function<HttpResponse(const HttpRequest&)> pages{};

    // ---- of the socket that listens ------------------------------------------------------------

    /// Connections that the kernel keeps until they are accepted.
    int backlog = 128;
    /// The pause when the process or the system has no descriptors or memory left.
    Duration exhausted_pause = std::chrono::milliseconds{100};
};

}}}  // namespace belay::beast

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Whether all durations and limits are above 0: by one that is not nobody would ever come in.
[[nodiscard]] inline bool possible(const beast::ListenerOptions& o) noexcept {
    constexpr Duration zero{};
    return o.message_bytes_max > 0 && o.output_bytes_max > 0 && o.upgrade_within > zero &&
           o.tls_within > zero && o.header_bytes_max > 0 && o.waiting_max > 0 &&
           o.connections_max > 0 && o.waiting_per_ip_max > 0 && o.connections_per_ip_max > 0 &&
           o.upgrades_per_ip_and_minute > 0 && o.refusals_per_ip_and_minute > 0 && o.backlog > 0 &&
           o.exhausted_pause > zero;
}

}}}  // namespace belay::detail
