// SPDX-License-Identifier: MIT
/// \file belay/room/room_stats.hpp
/// RoomStats and RoomCounters: what a room is like now, and what a RoomManager has done.
#pragma once

#include <cstddef>  // std::size_t
#include <cstdint>  // std::uint64_t
#include <string>   // std::string

#include <belay/core/instant.hpp>

namespace belay { inline namespace BELAY_ABI {

/// What a room is like now.
///
/// Thread safety: a plain value.
struct RoomStats {
    std::size_t clients = 0;
    Instant last_activity = always;  ///< of a client that came, went, or changed something
    std::size_t bytes = 0;           ///< of the document
    std::size_t pending = 0;         ///< changes that are not durable yet, and seen by nobody
    bool loaded = false;
    bool dirty = false;    ///< something is not in a snapshot yet
    std::size_t gaps = 0;  ///< see YjsDocumentStatus; 0 of a document that does not count them
    std::string epoch{};   ///< of its history, as clients send it; empty: it has none yet
};

/// What a RoomManager has done since it was made, over all rooms.
///
/// Thread safety: a plain value.
struct RoomCounters {
    std::uint64_t joined = 0;             ///< clients that came into a room
    std::uint64_t refused = 0;            ///< clients that did not, or were closed for an error
    std::uint64_t upgrades_aborted = 0;   ///< connections that ended before their upgrade was done
    std::uint64_t updates = 0;            ///< changes that became durable, and were sent on
    std::uint64_t unchanged = 0;          ///< updates that added nothing, and were not stored
    std::uint64_t denied = 0;             ///< updates of who may not edit
    std::uint64_t lost_updates = 0;       ///< not durable, for a flush failed; their authors know
    std::uint64_t awareness_dropped = 0;  ///< messages on who is here that a slow client missed
    std::uint64_t resyncs = 0;            ///< slow clients that got what they missed in one
    std::uint64_t loads = 0;
    std::uint64_t saves = 0;
    std::uint64_t storage_failures = 0;  ///< of loads, flushes, saves and subscriptions
    std::uint64_t divergences = 0;       ///< clients whose history began apart
};

}}  // namespace belay
