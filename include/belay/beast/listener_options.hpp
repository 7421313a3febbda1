// SPDX-License-Identifier: MIT
/// \file belay/beast/listener_options.hpp
/// beast::ListenerOptions: the limits of a beast::Listener, and the clients that it accepts.
/// beast::ListenerCounters, beast::RejectedUpgrade: the results of the connections to a listener.
#pragma once

#include <array>         // std::array
#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint8_t, std::uint64_t
#include <functional>    // std::function
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <vector>        // std::vector

#include <belay/beast/websocket_options.hpp>
#include <belay/core/assert.hpp>
#include <belay/core/instant.hpp>
#include <belay/core/observer.hpp>
#include <belay/http/http_message.hpp>
#include <belay/room/room_stats.hpp>

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
           o.upgrade_within > zero && o.tls_within > zero && o.waiting_max > 0 &&
           o.connections_max > 0 && o.waiting_per_ip_max > 0 && o.connections_per_ip_max > 0 &&
           o.upgrades_per_ip_and_minute > 0 && o.rejections_per_ip_and_minute > 0 &&
           o.backlog > 0 && o.exhausted_pause > zero &&
           (o.messages.too_large_code == 1009 ||
            (o.messages.too_large_code >= 3000 && o.messages.too_large_code <= 4999));
}

}}}  // namespace belay::detail

namespace belay { inline namespace BELAY_ABI { namespace beast {

/// The reason why a Listener did not accept a client; passed to an observer's `on_rejected`.
///
/// It contains no query and no header, because those carry tokens.
struct RejectedUpgrade {
    /// Each has a counter, ListenerCounters::reasons. The hook is called for each one that the
    /// listener decides.
    enum class Reason : std::uint8_t {
        malformed,    ///< the request does not follow HTTP and RFC 6455
        too_large,    ///< the header is longer than 8 KiB, its first line included
        timed_out,    ///< the request was not complete within upgrade_within or tls_within
        no_upgrade,   ///< the request is for something else, or for another version
        origin,       ///< scripts of the page's origin may not connect
        subprotocol,  ///< the client does not offer WebSocketMessages::subprotocol
        tls,          ///< the TLS handshake has failed

        // Limits, with the names of ListenerOptions.
        connections_max,
        waiting_max,
        connections_per_ip_max,
        waiting_per_ip_max,
        upgrades_per_ip_and_minute,
        rejections_per_ip_and_minute,

        given_up,   ///< closed to make space for another connection
        exhausted,  ///< no descriptor or memory; the connection waits in the kernel, uncounted

        // These call no hook, because code of yours decides.
        by_user,     ///< by Accepted::reject
        unanswered,  ///< an Accepted, or its connection, was destroyed before the answer
        closed       ///< by Listener::close before the request was complete
    };

    /// The error.
    std::error_code error;
    int status = 0;      ///< the HTTP status of the answer; 0: closed without an answer
    std::string ip{};    ///< of the peer; empty if no connection was accepted
    std::string path{};  ///< the requested path, without the query; empty if it was not read
    /// Why it was rejected.
    Reason reason{};
    /// The number of connections that were not reported since the last one that was. The hook is
    /// called for 60 connections over a limit at once, and then for 60 per minute. Connections of a
    /// proxy that has not named its client count as those over a limit.
    std::uint64_t unreported = 0;
};

/// Returns the reason as a word, such as "timed_out". It is the label of metrics.
[[nodiscard]] constexpr std::string_view to_string(RejectedUpgrade::Reason reason) noexcept {
    constexpr std::string_view words[] = {
        "malformed",
        "too_large",
        "timed_out",
        "no_upgrade",
        "origin",
        "subprotocol",
        "tls",
        "connections_max",
        "waiting_max",
        "connections_per_ip_max",
        "waiting_per_ip_max",
        "upgrades_per_ip_and_minute",
        "rejections_per_ip_and_minute",
        "given_up",
        "exhausted",
        "by_user",
        "unanswered",
        "closed",
    };
    const auto i = static_cast<std::size_t>(reason);
    return i < sizeof words / sizeof words[0] ? words[i] : "unknown";
}

/// Counts the connections of a Listener since it was made.
///
/// Each connection is counted once as `accepted`. When it is decided, it is counted once as one of
/// the six that follow.
///
/// Thread safety: a plain value.
struct ListenerCounters {
    /// Counts rejections by their reason. The sum is `rejected`, `turned_away` and `given_up`
    /// together, and the pauses for `exhausted`, which concern no accepted connection.
    class Reasons {
    public:
        /// Why a connection was rejected; also the index of its counter.
        using Reason = RejectedUpgrade::Reason;
        /// The number of reasons.
        static constexpr std::size_t count = static_cast<std::size_t>(Reason::closed) + 1;

        /// Returns how many were rejected for this reason.
        [[nodiscard]] std::uint64_t of(Reason why) const noexcept {
            return counts_[static_cast<std::size_t>(why)];
        }
        /// Counts one of this reason.
        void add(Reason why) noexcept { ++counts_[static_cast<std::size_t>(why)]; }

    private:
        std::array<std::uint64_t, count> counts_{};
    };

    std::uint64_t accepted = 0;  ///< TCP connections
    std::uint64_t upgraded = 0;  ///< connections that have become WebSockets
    /// Connections that the peer gave up before the upgrade; no hook is called for them.
    std::uint64_t upgrades_aborted = 0;
    std::uint64_t pages = 0;     ///< requests without an upgrade that got a page as an answer
    std::uint64_t rejected = 0;  ///< by the listener, which calls the hook, or by the user
    /// Connections closed without reading, because there are too many in all or from one ip. The
    /// hook is called for 60 at once, and then for 60 per minute.
    std::uint64_t turned_away = 0;
    /// Connections whose request was not complete, closed to make space for another one: the oldest
    /// one of the ip that had most of them. The hook is called as for `turned_away`.
    std::uint64_t given_up = 0;
    Reasons reasons{};  ///< of `rejected`, `turned_away` and `given_up`
    /// From the accept of a connection to the answer of its upgrade: the request, and the time in
    /// which you, or a RoomManager, decide.
    RoomCounters::Histogram upgrades{};
};

}}}  // namespace belay::beast

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The hooks that a listener calls.
struct ListenerHooks {
    using Rejected = Hook<OnRejected, const NoMachine, const beast::RejectedUpgrade&>;

    template <class O>
    [[nodiscard]] static consteval bool explain() {
        static_assert(Rejected::template right<O>,
                      "beast::Listener: the observer's on_rejected must be 'on_rejected(const "
                      "belay::beast::RejectedUpgrade&)'");
        static_assert(has_any_hook_of<O, Rejected>,
                      "beast::Listener: the observer has no hook: it needs on_rejected. Derive an "
                      "observer without hooks from belay::NoObserver");
        return true;
    }
};

}}}  // namespace belay::detail
