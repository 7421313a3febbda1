// SPDX-License-Identifier: MIT
/// \file belay/room/room_errc.hpp
/// RoomErrc: the errors of rooms, their storages and their clients.
#pragma once

#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint8_t, std::uint16_t
#include <string>        // std::string
#include <system_error>  // std::error_code, std::is_error_code_enum

#include <belay/core/failure.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The errors of belay/room, in the category "belay.room".
///
/// Values are appended, never renumbered.
enum class RoomErrc {
    malformed_update = 1,  ///< the bytes are not an update of the document
    // YjsErrc has 2, 3 and 4.
    update_too_large = 5,     ///< an update that exceeds a limit
    document_full = 6,        ///< the document would exceed its limit
    bad_room_id = 7,          ///< empty, above `part::room_id_bytes_max`, or malformed in a URL
    unknown_room = 8,         ///< there is no room with this id, or it has no history yet
    stale_snapshot = 9,       ///< a newer one is stored, or the room has another history now
    bad_position = 10,        ///< a snapshot that covers changes that are not durable
    snapshot_damaged = 11,    ///< the bytes of a stored snapshot are not those that were written
    snapshot_missing = 12,    ///< a snapshot that was stored does not exist any more
    snapshot_misplaced = 13,  ///< a snapshot of another room, another log or an earlier time
    log_misplaced = 14,       ///< a log that is not the one of the stored snapshots
    storage_busy = 15,        ///< the storage has more work than it accepts
    unauthorized = 16,        ///< a user that is not known, or whose grant has expired
    forbidden = 17,           ///< a known user without the right to join
    history_reset = 18,       ///< a client of a history that has ended; it must begin anew
    unknown_message = 19,     ///< a frame that the protocol does not define
    malformed_frame = 20,     ///< a frame that does not follow the protocol's format
    frame_too_large = 21,     ///< a frame, or a part of one, that exceeds a limit
    too_many = 22,            ///< the maximum number of rooms, or of calls, is reached
    too_slow = 23,            ///< a client that does not accept what it is sent
    not_durable = 24,         ///< a change that did not become durable; no other client has seen it
    not_loaded = 25,          ///< a room that could not be loaded, or is not loaded yet
    no_answer = 26,           ///< an authorizer or a storage has not answered in time
    manager_stopped = 27,     ///< the manager is stopped
    room_erased = 28,         ///< a client of a room that was erased
    persistence_threw = 29,   ///< a call of the persistence threw an exception
    too_many_of_user = 30,    ///< the user has its share of rooms, clients or changes
    client_removed = 31,      ///< RoomManager::remove_client has closed the client
    client_silent = 32,       ///< no sign of life for heartbeat.dead_after, or no upgrade in time
    too_many_clients = 33,    ///< RoomOptions::clients_max is reached
    too_many_waiting = 34,    ///< RoomOptions::waiting_max is reached
    room_full = 35,           ///< RoomOptions::clients_per_room_max is reached
    too_many_documents = 36,  ///< of a connection: see RoomOptions::clients_per_user_max
    record_damaged = 37       ///< a damaged record of the log may have been the room's
};

namespace detail {

/// A reason to reject or close a client, to evict a room, or to fail a call of the storage.
struct RoomReason {
    /// The WebSocket code for a client. RoomCloseCodes may replace the last three.
    enum class Close : std::uint16_t {
        none = 0,  ///< none is sent; if a user's type reports the error: by its cause
        normal = 1000,
        going_away = 1001,
        unsupported = 1003,
        invalid = 1007,
        try_later = 1013,
        history_reset = 4409,
        room_erased = 4410,
        unauthorized = 4001,
        forbidden = 4003,
        too_large = 4413
    };
    /// Whether a connection with several documents ends, or only the client. See ClientCloser
    /// for a client that has not joined yet.
    enum class Ends : std::uint8_t { client, connection };
    /// The text that the client receives. It must not learn whether a room exists that it may not
    /// join.
    enum class Shown : std::uint8_t { own, as_forbidden };

    RoomErrc code;
    Cause cause;
    Close close;
    const char* word;  ///< in metrics
    const char* text;
    /// The member of RoomOptions that rejects the client. Null if it is none, or one of several.
    const char* limit = nullptr;
    Ends ends = Ends::connection;
    Shown shown = Shown::own;
};

/// The reasons, in the order of their codes: row `i` has the code `i + 1`.
struct RoomReasons {
private:
    using E = RoomErrc;
    using C = RoomReason::Close;
    using W = RoomReason::Ends;
    using S = RoomReason::Shown;

public:
    static constexpr RoomReason rows[] = {
        {E::malformed_update, Cause::protocol, C::invalid, "malformed_update",
         "the update is malformed"},
        // YjsErrc has 2, 3 and 4: only their words are used.
        {E{2}, Cause::protocol, C::invalid, "unknown_content", "unknown error"},
        {E{3}, Cause::protocol, C::invalid, "version_2_update", "unknown error"},
        {E{4}, Cause::protocol, C::invalid, "malformed_state_vector", "unknown error"},
        {E::update_too_large, Cause::permanent, C::too_large, "update_too_large",
         "the update is beyond a limit"},
        {E::document_full, Cause::permanent, C::too_large, "document_full", "the document is full"},
        {E::bad_room_id, Cause::permanent, C::forbidden, "bad_room_id",
         "the id of the room is not 1 to 100 bytes, or was malformed in its URL", nullptr,
         W::client, S::as_forbidden},
        {E::unknown_room, Cause::permanent, C::none, "unknown_room", "the room is unknown"},
        {E::stale_snapshot, Cause::permanent, C::none, "stale_snapshot",
         "the snapshot is older than what is stored"},
        {E::bad_position, Cause::permanent, C::none, "bad_position",
         "the snapshot covers what is not durable"},
        {E::snapshot_damaged, Cause::corrupt, C::none, "snapshot_damaged",
         "the stored snapshot is damaged"},
        {E::snapshot_missing, Cause::corrupt, C::none, "snapshot_missing",
         "the stored snapshot is missing"},
        {E::snapshot_misplaced, Cause::corrupt, C::none, "snapshot_misplaced",
         "the stored snapshot is not the one that belongs there"},
        {E::log_misplaced, Cause::corrupt, C::none, "log_misplaced",
         "the log is not the one of these rooms"},
        {E::storage_busy, Cause::overloaded, C::none, "storage_busy",
         "the storage of rooms is busy"},
        {E::unauthorized, Cause::unauthorized, C::unauthorized, "unauthorized",
         "the client is not known", nullptr, W::client},
        {E::forbidden, Cause::forbidden, C::forbidden, "forbidden",
         "the client has no right to this room", nullptr, W::client, S::as_forbidden},
        {E::history_reset, Cause::permanent, C::history_reset, "history_reset",
         "the history of the client is over", nullptr, W::client},
        {E::unknown_message, Cause::protocol, C::unsupported, "unknown_message",
         "the protocol does not define the frame"},
        {E::malformed_frame, Cause::protocol, C::invalid, "malformed_frame",
         "the frame is malformed"},
        {E::frame_too_large, Cause::permanent, C::too_large, "frame_too_large",
         "the frame is beyond a limit"},
        {E::too_many, Cause::overloaded, C::try_later, "too_many",
         "there are too many rooms or calls", "rooms_max", W::client},
        {E::too_slow, Cause::overloaded, C::try_later, "too_slow", "the client is too slow"},
        {E::not_durable, Cause::overloaded, C::try_later, "not_durable",
         "the change could not be made durable"},
        {E::not_loaded, Cause::overloaded, C::try_later, "not_loaded", "the room is not loaded"},
        {E::no_answer, Cause::timed_out, C::try_later, "no_answer", "there was no answer in time"},
        {E::manager_stopped, Cause::planned, C::going_away, "manager_stopped",
         "the rooms are stopped"},
        {E::room_erased, Cause::permanent, C::room_erased, "room_erased", "the room was erased",
         nullptr, W::client},
        {E::persistence_threw, Cause::overloaded, C::none, "persistence_threw",
         "the persistence threw an exception"},
        {E::too_many_of_user, Cause::overloaded, C::try_later, "too_many_of_user",
         "the user has too many rooms, clients or waiting changes"},
        {E::client_removed, Cause::planned, C::normal, "client_removed",
         "the server has removed the client"},
        {E::client_silent, Cause::timed_out, C::none, "client_silent",
         "the client has shown no sign of life for too long"},
        {E::too_many_clients, Cause::overloaded, C::try_later, "too_many_clients",
         "there are too many clients", "clients_max"},
        {E::too_many_waiting, Cause::overloaded, C::try_later, "too_many_waiting",
         "too many clients wait to be admitted", "waiting_max"},
        {E::room_full, Cause::overloaded, C::try_later, "room_full",
         "the room has too many clients", "clients_per_room_max", W::client},
        {E::too_many_documents, Cause::overloaded, C::try_later, "too_many_documents",
         "the connection has too many documents", nullptr, W::client},
        {E::record_damaged, Cause::corrupt, C::none, "record_damaged",
         "a damaged record of the log may have been the room's"},
    };
    static constexpr std::size_t count = sizeof rows / sizeof rows[0];

    /// Returns the row of a code; null if there is none.
    [[nodiscard]] static constexpr const RoomReason* find(int code) noexcept {
        return code >= 1 && static_cast<std::size_t>(code) <= count ? &rows[code - 1] : nullptr;
    }
    /// Returns the row of an error; null if it is of another category.
    [[nodiscard]] static const RoomReason* find(const std::error_code& why) noexcept;
};

/// The category "belay.room".
class RoomCategory final : public std::error_category {
public:
    const char* name() const noexcept override { return "belay.room"; }
    std::string message(int value) const override {
        const RoomReason* const row = RoomReasons::find(value);
        return row != nullptr ? row->text : "unknown error";
    }
    std::error_condition default_error_condition(int value) const noexcept override {
        const RoomReason* const row = RoomReasons::find(value);
        return row != nullptr ? make_error_condition(row->cause)
                              : std::error_condition{value, *this};
    }
};
[[nodiscard]] inline const std::error_category& room_category() noexcept {
    static const RoomCategory category;
    return category;
}

inline const RoomReason* RoomReasons::find(const std::error_code& why) noexcept {
    return why.category() == room_category() ? find(why.value()) : nullptr;
}

}  // namespace detail

/// Makes a std::error_code from a RoomErrc, as the conversion requires.
[[nodiscard]] inline std::error_code make_error_code(RoomErrc error) noexcept {
    return {static_cast<int>(error), detail::room_category()};
}

}}  // namespace belay

template <>
struct std::is_error_code_enum<belay::RoomErrc> : std::true_type {};
