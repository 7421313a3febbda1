// SPDX-License-Identifier: MIT
/// \file belay/adapter/beast_listener_counters.hpp
/// beast::ListenerCounters and beast::RefusedUpgrade: what has become of those who knocked.
#pragma once

#include <cstdint>       // std::uint64_t
#include <string>        // std::string
#include <system_error>  // std::error_code

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI { namespace beast {

/// What a Listener has done since it was made. Each connection is counted once as `accepted`,
/// and, when it is decided, once as one of the five that follow.
///
/// Thread safety: a plain value.
struct ListenerCounters {
    std::uint64_t accepted = 0;  ///< connections of TCP
    std::uint64_t upgraded = 0;  ///< that have become WebSockets
    /// Given up by the peer before that: its business, and told nobody.
    std::uint64_t upgrades_aborted = 0;
    std::uint64_t pages = 0;    ///< that were no WebSockets, and got an answer
    std::uint64_t refused = 0;  ///< by the listener, which tells, or by the user
    /// Closed unheard: there are too many, or of this ip. 60 at once and then 60 a minute are told.
    std::uint64_t turned_away = 0;
};

/// Why a Listener did not let somebody in; told to an observer's `on_refused`.
///
/// No query and no header is in it: tokens travel in those.
struct RefusedUpgrade {
    std::error_code error;
    int status = 0;      ///< of HTTP, that was answered; 0: closed without an answer
    std::string ip{};    ///< of the peer; empty if nobody was accepted
    std::string path{};  ///< asked for, without the query; empty if it was not read
};

}}}  // namespace belay::beast
