// SPDX-License-Identifier: MIT
/// \file belay/room/room_stats.hpp
/// RoomStats and RoomCounters: the state of a room, and what a RoomManager has done.
#pragma once

#include <cstddef>  // std::size_t
#include <cstdint>  // std::uint64_t
#include <string>   // std::string

#include <belay/core/instant.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The current state of a room.
///
/// Thread safety: a plain value.
struct RoomStats {
    std::size_t clients = 0;
    Instant last_activity = always;  ///< when a client last joined, left or changed something
    std::size_t bytes = 0;           ///< of the document
    std::size_t pending = 0;         ///< changes that are not durable yet; no other client saw them
    bool loaded = false;
    bool dirty = false;    ///< some change is not in a snapshot yet
    std::size_t gaps = 0;  ///< see YjsDocumentStatus; 0 if the document does not count them
    std::string epoch{};   ///< of its history, as clients send it; empty: it has no history yet
};

/// Counts what a RoomManager has done since it was made, over all rooms.
///
/// Thread safety: a plain value.
struct RoomCounters {
    std::uint64_t joined = 0;   ///< clients that joined a room
    std::uint64_t refused = 0;  ///< clients that were refused, or closed because of an error
    std::uint64_t upgrades_aborted = 0;   ///< connections that ended during their upgrade
    std::uint64_t updates = 0;            ///< changes that became durable, and were sent to clients
    std::uint64_t unchanged = 0;          ///< updates that added nothing, and were not stored
    std::uint64_t denied = 0;             ///< updates of clients that may not edit
    std::uint64_t lost_updates = 0;       ///< changes that a failed flush lost; authors are closed
    std::uint64_t awareness_dropped = 0;  ///< awareness messages that a slow client missed
    std::uint64_t resyncs = 0;            ///< slow clients that got what they missed in one update
    std::uint64_t loads = 0;
    std::uint64_t saves = 0;
    std::uint64_t storage_failures = 0;  ///< failed calls of the storage, including subscriptions
    std::uint64_t divergences = 0;       ///< clients whose history began apart from the room's
};

}}  // namespace belay
