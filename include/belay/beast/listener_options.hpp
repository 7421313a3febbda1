// SPDX-License-Identifier: MIT
/// \file belay/beast/listener_options.hpp
/// beast::ListenerOptions: the limits of a beast::Listener, and the clients that it accepts.
#pragma once

#include <functional>  // std::function
#include <string>      // std::string
#include <vector>      // std::vector

#include <belay/beast/websocket_options.hpp>
#include <belay/core/instant.hpp>
#include <belay/http/http_message.hpp>

namespace belay { inline namespace BELAY_ABI { namespace beast {

/// The limits of a Listener, and the clients that it accepts.
///
/// All durations are > 0ns, all limits > 0.
struct ListenerOptions {
    /// The messages of each connection.
    WebSocketMessages messages{};

    // ---- of each upgrade -----------------------------------------------------------------------

    /// The time from accept to the end of the request's header.
    Duration upgrade_within = std::chrono::seconds{10};
    /// The part of that time for TLS.
    Duration tls_within = std::chrono::seconds{5};
    /// The most bytes of the request's header, its first line included.
    std::size_t header_bytes_max = std::size_t{8} << 10;

    // ---- shares --------------------------------------------------------------------------------

    /// The most connections whose upgrade is not answered yet, those that the user still decides on
    /// included. At this limit, and at connections_max, a new connection replaces one whose request
    /// is not complete. That is the oldest one of the ip that has most of them. If no ip has two,
    /// networks of 24 bits of IPv4 and of 48 bits of IPv6 count instead. A network that has only
    /// one never loses it.
    std::size_t waiting_max = 1'000;
    /// How many connections may be open at a time. >= 1.
    std::size_t connections_max = 20'000;
    // The next limits are for each ip. An IPv6 network of 64 bits counts as one ip. Behind a proxy,
    // the ip is the one that the proxy names.
    /// How many upgrades of one address may be under way. >= 1.
    std::size_t waiting_per_ip_max = 32;
    /// How many of them may come from one address. >= 1.
    std::size_t connections_per_ip_max = 500;
    /// How many upgrades one address may begin in a minute. >= 1.
    unsigned upgrades_per_ip_and_minute = 600;
    /// An ip that was rejected this often is not accepted for a while.
    unsigned rejections_per_ip_and_minute = 60;

    // ---- whose word counts ---------------------------------------------------------------------

    /// Pages whose scripts may connect, such as "https://example.org", with the port if it is not
    /// the usual one; "*" for any page. If empty, pages of the host that the request itself names.
    /// A client that is not a browser has no origin, and is accepted.
    std::vector<std::string> origins{};
    /// The addresses of proxies that the listener trusts to name their clients by X-Forwarded-For.
    std::vector<std::string> proxies{};

    // ---- what is no WebSocket ------------------------------------------------------------------

    /// Answers a GET or HEAD that asks for no upgrade: a page, a health check, metrics.
    ///
    /// Its `url` is path and query as they were sent. Without this function, or with another
    /// method, such a request is rejected: 426. The answer leaves within upgrade_within of the
    /// start of the connection, and closes it.
    ///
    /// It runs on the thread of the listener, and must not block. If the status is not valid, or
    /// the headers cannot be sent, the answer becomes a 500. If the function throws, the client
    /// gets a 500, and the exception leaves the context's run().
    std::function<HttpResponse(const HttpRequest&)> pages{};

    // ---- of the socket that listens ------------------------------------------------------------

    /// The number of connections that the kernel queues until they are accepted.
    int backlog = 128;
    /// The pause after the process or the system has run out of descriptors or memory.
    Duration exhausted_pause = std::chrono::milliseconds{100};
};

}}}  // namespace belay::beast

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Returns whether all durations and limits are above 0, and too_large_code is a code that a server
/// may send. With a limit of 0, no client could ever connect.
[[nodiscard]] inline bool possible(const beast::ListenerOptions& o) noexcept {
    constexpr Duration zero{};
    return o.messages.message_bytes_max > 0 && o.messages.output_bytes_max > 0 &&
           o.upgrade_within > zero && o.tls_within > zero && o.header_bytes_max > 0 &&
           o.waiting_max > 0 && o.connections_max > 0 && o.waiting_per_ip_max > 0 &&
           o.connections_per_ip_max > 0 && o.upgrades_per_ip_and_minute > 0 &&
           o.rejections_per_ip_and_minute > 0 && o.backlog > 0 && o.exhausted_pause > zero &&
           (o.messages.too_large_code == 1009 ||
            (o.messages.too_large_code >= 3000 && o.messages.too_large_code <= 4999));
}

}}}  // namespace belay::detail
