// SPDX-License-Identifier: MIT
/// \file belay/room/room_stats.hpp
/// RoomStats and RoomCounters: the state of a room, and what a RoomManager has done.
#pragma once

#include <array>         // std::array
#include <chrono>        // std::chrono::milliseconds
#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint64_t
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code

#include <belay/core/instant.hpp>
#include <belay/room/room_errc.hpp>
#include <belay/yjs/yjs_error.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The current state of a room.
///
/// Thread safety: a plain value.
struct RoomStats {
    std::size_t clients = 0;         ///< that have joined and not left
    Instant last_activity = always;  ///< when a client last joined, left or changed something
    std::size_t bytes = 0;           ///< of the document
    std::size_t pending = 0;         ///< changes that are not durable yet; no other client saw them
    bool loaded = false;             ///< whether the document is in memory
    bool dirty = false;              ///< some change is not in a snapshot yet
    std::size_t gaps = 0;  ///< see YjsDocumentStatus; 0 if the document does not count them
    std::string epoch{};   ///< of its history, as clients send it; empty: it has no history yet
};

/// Counts what a RoomManager has done since it was made, over all rooms.
///
/// Thread safety: a plain value.
struct RoomCounters {
    /// Counts rejections and closes by their reason, so that the sum is the number of all.
    class Reasons {
    public:
        /// The number of reasons: the errors of RoomErrc and YjsErrc, two of std::errc, and 0 for
        /// all others.
        static constexpr std::size_t count = detail::RoomReasons::count + 3;

        /// Returns how often a reason occurred. An error of another category counts as a reason
        /// that is not known.
        [[nodiscard]] std::uint64_t of(const std::error_code& why) const noexcept {
            return counts_[index(why)];
        }
        /// Returns how often reason `i` occurred.   Pre: i < count.
        [[nodiscard]] std::uint64_t at(std::size_t i) const noexcept { return counts_[i]; }
        /// Counts one of this reason. RoomManager calls it.
        void add(const std::error_code& why) noexcept { ++counts_[index(why)]; }

        /// Returns a reason as a word, such as "too_slow"; "other" for 0.
        [[nodiscard]] static constexpr std::string_view word(std::size_t i) noexcept {
            if (i != 0 && i < of_system) return detail::RoomReasons::rows[i - 1].word;
            if (i < of_system || i >= count) return "other";
            return i == of_system ? "no_space_on_device" : "io_error";
        }

    private:
        // The errors of Yjs and those of rooms share their numbers.
        [[nodiscard]] static std::size_t index(const std::error_code& why) noexcept {
            const bool known = why.category() == detail::room_category() ||
                               why.category() == detail::yjs_category();
            const auto i = static_cast<std::size_t>(why.value());
            if (known) return i < of_system ? i : 0;
            if (why == std::errc::no_space_on_device) return of_system;
            return why == std::errc::io_error ? of_system + 1 : 0;
        }
        static constexpr std::size_t of_system = count - 2;
        std::array<std::uint64_t, count> counts_{};
    };
    /// Counts durations in buckets. Count `i` is of the durations above bound `i - 1` and at most
    /// bound `i`. The last count is of those above the last bound.
    struct Histogram {
        /// The upper bounds of the buckets, from 1 ms to 30 s.
        static constexpr std::array<Duration, 12> bounds{
            std::chrono::milliseconds{1},   std::chrono::milliseconds{3},
            std::chrono::milliseconds{10},  std::chrono::milliseconds{30},
            std::chrono::milliseconds{60},  std::chrono::milliseconds{100},
            std::chrono::milliseconds{200}, std::chrono::milliseconds{400},
            std::chrono::seconds{1},        std::chrono::seconds{3},
            std::chrono::seconds{10},       std::chrono::seconds{30}};
        /// Counts a duration. RoomManager calls it.
        void add(Duration d) noexcept {
            std::size_t i = 0;
            while (i < bounds.size() && d > bounds[i]) ++i;
            ++counts[i];
            sum = part::saturating_add(sum, d);
        }
        std::array<std::uint64_t, 13> counts{};  ///< the last one is above all bounds
        Duration sum{};                          ///< `forever` at the most
    };

    std::uint64_t joined = 0;    ///< clients that joined a room
    std::uint64_t rejected = 0;  ///< clients that were rejected, or closed because of an error
    std::uint64_t closed = 0;  ///< clients that were closed without an error of theirs, see reasons
    std::uint64_t throttled = 0;          ///< times that a client exceeded its rate of messages
    std::uint64_t upgrades_aborted = 0;   ///< connections that ended during their upgrade
    std::uint64_t updates = 0;            ///< changes that became durable, and were sent to clients
    std::uint64_t unchanged = 0;          ///< updates that added nothing, and were not stored
    std::uint64_t denied = 0;             ///< edits and states that were rejected, see denials
    std::uint64_t lost_updates = 0;       ///< changes that a failed flush lost; authors are closed
    std::uint64_t awareness_dropped = 0;  ///< awareness messages that a slow client missed
    std::uint64_t resyncs = 0;            ///< clients that lagged, and received the difference
    std::uint64_t loads = 0;              ///< calls of `load`, without those of export_room
    std::uint64_t loads_rejected = 0;     ///< see RoomOptions::answer_within; no call was made
    std::uint64_t flushes = 0;            ///< calls of `flush`, each for all rooms with changes
    std::uint64_t saves = 0;              ///< snapshots that the storage was given
    /// Failed calls of the storage, subscriptions included, stored data that cannot be used, and
    /// rejected loads.
    std::uint64_t storage_failures = 0;
    std::uint64_t divergences = 0;  ///< state vectors of clients whose history began apart
    std::uint64_t stateless = 0;    ///< messages for `on_stateless`, which are ignored without it
    Reasons reasons{};              ///< of `rejected` and `closed`
    Reasons failures{};             ///< of `storage_failures`
    /// The reasons of `denied`: `forbidden` if the client may not edit, `document_full` if the
    /// document has no space, and `frame_too_large` for an awareness state. The first edit of a
    /// client after each grant, and its first state, are also an event. It is `denied` if the
    /// client may not edit, otherwise `on_rejected`, which is in `rejected` and `reasons`, too.
    Reasons denials{};
    /// Rooms that left the memory, by their reason. `of({})` are idle rooms; see RoomEvent::reason
    /// for the others.
    Reasons evictions{};
    Histogram joins{};    ///< from `accept` to the time when the client has joined
    Histogram durable{};  ///< from the arrival of an edit to the time when it is durable
    /// From the arrival of an edit until the connection of the last other client has accepted it,
    /// or was closed. An edit that has no other client, that comes from another server, or that a
    /// client lags behind (`resyncs`) is not counted for it. An edit with which its only other
    /// client begins to lag counts as accepted at once.
    Histogram delivered{};
    Histogram loading{};   ///< of the calls of the storage: from a load to its answer
    Histogram flushing{};  ///< likewise
    Histogram saving{};    ///< likewise
};

}}  // namespace belay
