// SPDX-License-Identifier: MIT
/// \file belay/beast/listener_counters.hpp
/// beast::ListenerCounters, beast::RejectedUpgrade: the results of the connections to a listener.
#pragma once

#include <array>         // std::array
#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint8_t, std::uint64_t
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code

#include <belay/core/assert.hpp>
#include <belay/core/observer.hpp>
#include <belay/room/room_stats.hpp>

namespace belay { inline namespace BELAY_ABI { namespace beast {

/// The reason why a Listener did not accept a client; passed to an observer's `on_rejected`.
///
/// It contains no query and no header, because those carry tokens.
struct RejectedUpgrade {
    /// Each has a counter, ListenerCounters::reasons. The hook is called for each one that the
    /// listener decides.
    enum class Reason : std::uint8_t {
        malformed,    ///< the request does not follow HTTP and RFC 6455
        too_large,    ///< the header is longer than ListenerOptions::header_bytes_max
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
