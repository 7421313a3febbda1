// SPDX-License-Identifier: MIT
/// \file belay/room/detail/replication_state.hpp
/// ReplicationState: the progress of a room in the changes of other servers.
#pragma once

#include <chrono>   // std::chrono::milliseconds
#include <cstddef>  // std::size_t
#include <cstdint>  // std::uint64_t
#include <string>   // std::string
#include <utility>  // std::exchange
#include <vector>   // std::vector

#include <belay/core/instant.hpp>
#include <belay/core/order.hpp>
#include <belay/core/random.hpp>
#include <belay/room/fanout_like.hpp>
#include <belay/room/room_core.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Subtracts up to half of a delay at random: one failure of a storage affects many rooms at once,
/// which must not all try again at one instant.
[[nodiscard]] inline Duration jittered(Duration nominal, Random& bits) noexcept {
    const auto half = static_cast<std::uint64_t>(nominal.count() / 2);
    return nominal - Duration{static_cast<std::int64_t>(uniform_upto(bits, half))};
}

/// The delay after a failure. It doubles from RoomCore::retry_min to retry_max, and starts again
/// after retry_max without a failure. It is jittered.
struct RoomPause {
    [[nodiscard]] Duration next(Instant now, Random& bits) noexcept {
        if (after(until, timeline::RoomCore::retry_max) < now) times = 0;
        const Duration nominal = smaller(
            part::saturating_multiply(timeline::RoomCore::retry_min, std::uint64_t{1} << times),
            timeline::RoomCore::retry_max);
        if (times < 32) ++times;
        const Duration wait = jittered(nominal, bits);
        until = after(now, wait);
        return wait;
    }
    Instant until = always;
    unsigned times = 0;
};

/// The history of a room, and how much of it the document has.
struct RoomHistory {
    Id epoch{};                  ///< its id; no_id: the room has none
    std::uint64_t position = 0;  ///< all changes up to it are in the document
};
/// How much of the history was loaded, read and saved.
struct RoomProgress {
    std::uint64_t loaded = 0;  ///< the position of the last load
    std::uint64_t read = 0;    ///< position of the last entry that was read
    RoomHistory saving{};      ///< what the last save that began covers
};

/// Which changes of this server a room's document has for certain: those with the numbers after
/// `after` and up to `last`. An entry with one of them need not be compared with the document.
struct OwnChanges {
    /// No change up to this number is certain: it may be stored, and may be lost.
    void forget(std::uint64_t number) noexcept { after = last = number; }
    [[nodiscard]] bool has(std::uint64_t number) const noexcept {
        return after < number && number <= last;
    }

    std::uint64_t after = 0;
    std::uint64_t last = 0;
};

/// Whether the storage has the beginning of a room's history.
///
/// | state       | event                              | next        |
/// |-------------|------------------------------------|-------------|
/// | any         | a load finds nothing stored        | missing     |
/// | any         | a change begins the history        | unconfirmed |
/// | unconfirmed | the change is lost                 | missing     |
/// | any         | the storage reports the epoch      | known       |
enum class HistoryBegin : std::uint8_t {
    known,       ///< the storage has it, or there is no history
    missing,     ///< the next change must begin it again, under its epoch
    unconfirmed  ///< the storage has not confirmed it
};

/// How changes that the storage has lost are stored again.
enum class Restore : std::uint8_t {
    none,
    storing,  ///< lost changes are being stored again
    waiting,  ///< likewise; the storage has another history, which waits for that
    adopting  ///< they are stored: the room adopts the stored history
};
enum class RestoreEvent : std::uint8_t {
    loaded,          ///< a load has merged the document and the stored room
    loaded_nothing,  ///< a load has found nothing, and the document has changes
    loaded_other,    ///< a load has found another history, and the document has changes
    reported_other,  ///< a subscription has reported another history
    confirmed,       ///< a subscription has reported the room's history
    stored,          ///< a change is stored again
    lost             ///< pending changes are lost again
};

/// Returns whether lost changes are being stored again.
[[nodiscard]] constexpr bool is_restoring(Restore state) noexcept {
    return state == Restore::storing || state == Restore::waiting;
}

/// Returns the state after an event.
///
/// | state   | event          | next     |
/// |---------|----------------|----------|
/// | any     | loaded         | none     |
/// | any     | loaded_nothing | storing  |
/// | any     | loaded_other   | waiting  |
/// | storing | reported_other | waiting  |
/// | storing | confirmed      | none     |
/// | storing | stored         | none     |
/// | waiting | stored         | adopting |
/// | storing | lost           | none     |
/// | waiting | lost           | none     |
///
/// Other pairs change nothing.
[[nodiscard]] constexpr Restore after_event(Restore state, RestoreEvent event) noexcept {
    const bool restores = is_restoring(state);
    switch (event) {
        case RestoreEvent::loaded:
            return Restore::none;
        case RestoreEvent::loaded_nothing:
            return Restore::storing;
        case RestoreEvent::loaded_other:
            return Restore::waiting;
        case RestoreEvent::reported_other:
            return restores ? Restore::waiting : state;
        case RestoreEvent::confirmed:
            return state == Restore::storing ? Restore::none : state;
        case RestoreEvent::stored:
            if (state == Restore::waiting) return Restore::adopting;
            return restores ? Restore::none : state;
        case RestoreEvent::lost:
            return restores ? Restore::none : state;
    }
    return state;
}

/// The part of a room that the storage may have lost.
struct StorageLoss {
    /// Whether the storage may lack changes of the document, so that this may be the last copy.
    [[nodiscard]] bool is_possible() const noexcept {
        return unstored || needs_load || gap || uncertain;
    }
    /// Whether statuses of changes were held, and need not be any more.
    [[nodiscard]] bool frees_statuses() const noexcept { return holds_statuses && !is_possible(); }
    [[nodiscard]] bool take_held_statuses() noexcept {
        return frees_statuses() && std::exchange(holds_statuses, false);
    }

    bool needs_load = false;  ///< the storage has lost changes of the document: load it
    bool gap = false;         ///< a gap was reported, and no load has succeeded since
    bool unstored = false;    ///< the document has changes that no entry has: no snapshot covers it
    bool uncertain = false;   ///< the storage was away, or rejected a save
    bool keeps_room = false;  ///< the room is in memory for this reason only
    bool holds_statuses = false;  ///< a client or an import waits, because the document has it
};

/// The awareness of the clients of a room that other servers have not received yet. A message has
/// the whole state of a client, so the last one suffices.
///
/// It is published in rounds. A round has the clients whose states have changed before it began,
/// and then those that had left by then. It takes several publications if it is long. So each
/// client has its turn, however often others change, and the end of a client follows all states
/// that came before. ClientBacklog::awareness_round marks the clients whose state has changed.
struct UnpublishedAwareness {
    /// The minimum time between two publications of a room. The first change after that time is
    /// published in its turn.
    static constexpr Duration every = std::chrono::milliseconds{100};
    /// About the most bytes of the states in one publication, unless one client has more.
    static constexpr std::size_t bytes_max = std::size_t{256} << 10;

    /// Something is to be published as soon as `every` allows.
    void request(Instant now) noexcept { due = smaller(due, larger(now, next)); }
    /// Adds a client to the next round, if it is in none.
    void mark(std::uint32_t& round_of_client) const noexcept {
        if (round_of_client == 0) round_of_client = round + 1;
    }
    [[nodiscard]] bool is_in_round(std::uint32_t round_of_client) const noexcept {
        return round_of_client != 0 && round_of_client <= round;
    }
    /// Begins a publication, and a round unless one is under way.
    void begin(Instant now) noexcept {
        due = never;
        next = after(now, every);
        if (std::exchange(under_way, true)) return;
        ++round;
        left_in_round = left.size();
    }
    /// Ends the round.   Returns: how many of `left` are in it.
    [[nodiscard]] std::size_t end_round() noexcept {
        under_way = false;
        return std::exchange(left_in_round, 0);
    }

    std::vector<std::uint64_t> left{};  ///< the clients that have left, in this order
    std::size_t left_in_round = 0;
    Instant due = never;      ///< the next publication
    Instant next = always;    ///< the earliest time of the next one
    std::uint32_t round = 0;  ///< the last one that began; there are ten in a second
    bool under_way = false;
};

/// Thread safety: the manager's home thread.
struct ReplicationState {
    [[nodiscard]] Instant deadline() const noexcept {
        if (loss.frees_statuses()) return always;
        return smaller(subscription.deadline(), again_at);
    }
    /// Whether a load is due at `again_at`.
    [[nodiscard]] bool waits_to_load() const noexcept {
        return loss.needs_load && again_at != never;
    }
    void note(RestoreEvent event) noexcept { restore = after_event(restore, event); }
    /// Whether a snapshot of the document has exactly what the entries that were read have. Another
    /// server could replace it with one that lacks the rest.
    [[nodiscard]] bool covers_entries() const noexcept { return !frozen && !loss.unstored; }

    driver::Question<Result<part::FanoutBatch, PersistenceError>> subscription;
    std::string threw{};           ///< the text of the exception of the last subscription
    Instant again_at = never;      ///< the next subscription, or load
    Instant recovers_at = always;  ///< the earliest next load after a gap
    RoomPause failed{};            ///< the delay after a failure
    RoomProgress progress{};
    OwnChanges own{};
    HistoryBegin begin = HistoryBegin::known;
    Restore restore = Restore::none;
    StorageLoss loss{};
    bool frozen = false;  ///< an entry is not in the document: no snapshot covers it
};

}}}  // namespace belay::detail
