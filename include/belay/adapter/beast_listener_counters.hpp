// SPDX-License-Identifier: MIT
/// \file belay/adapter/beast_listener_counters.hpp
/// beast::ListenerCounters and beast::RefusedUpgrade: the results of the connections to a listener.
#pragma once

#include <cstdint>       // std::uint64_t
#include <string>        // std::string
#include <system_error>  // std::error_code

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI { namespace beast {

/// Counts the connections of a Listener since it was made.
///
/// Each connection is counted once as `accepted`. When it is decided, it is counted once as one of
/// the six that follow.
///
/// Thread safety: a plain value.
struct ListenerCounters {
    std::uint64_t accepted = 0;  ///< TCP connections
    std::uint64_t upgraded = 0;  ///< connections that have become WebSockets
    /// Connections that the peer gave up before the upgrade; no hook is called for them.
    std::uint64_t upgrades_aborted = 0;
    std::uint64_t pages = 0;    ///< requests without an upgrade that got a page as an answer
    std::uint64_t refused = 0;  ///< by the listener, which calls the hook, or by the user
    /// Connections closed without reading, because there are too many in all or from one ip. The
    /// hook is called for 60 at once, and then for 60 per minute.
    std::uint64_t turned_away = 0;
    /// Connections whose request was not complete, closed to make space for another one: the oldest
    /// one of the ip that had most of them. The hook is called as for `turned_away`.
    std::uint64_t given_up = 0;
};

/// The reason why a Listener did not accept a client; passed to an observer's `on_refused`.
///
/// It contains no query and no header, because those carry tokens.
struct RefusedUpgrade {
    std::error_code error;
    int status = 0;      ///< the HTTP status of the answer; 0: closed without an answer
    std::string ip{};    ///< of the peer; empty if no connection was accepted
    std::string path{};  ///< the requested path, without the query; empty if it was not read
};

}}}  // namespace belay::beast
