// SPDX-License-Identifier: MIT
/// \file belay/room/room_errc.hpp
/// RoomErrc: the errors of rooms, their storages and their clients.
#pragma once

#include <system_error>  // std::error_code, std::is_error_code_enum

#include <belay/core/cause.hpp>

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
    retried_too_soon = 30,    ///< a client whose user sent too large a frame a moment ago
    too_many_of_user = 31,    ///< the user has its share of rooms, clients or changes
    client_removed = 32,      ///< RoomManager::remove_client has closed the client
    client_silent = 33,       ///< no sign of life for heartbeat.dead_after, or no upgrade in time
    too_many_clients = 34,    ///< RoomOptions::clients_max is reached
    too_many_waiting = 35,    ///< RoomOptions::waiting_max is reached
    room_full = 36,           ///< RoomOptions::clients_per_room_max is reached
    too_many_documents = 37   ///< RoomOptions::clients_per_connection_max is reached
};

namespace detail {

inline constexpr ErrorText room_error_texts[] = {
    {"the update is malformed", Cause::protocol},
    {"unknown error", Cause::protocol},
    {"unknown error", Cause::protocol},
    {"unknown error", Cause::protocol},
    {"the update is beyond a limit", Cause::permanent},
    {"the document is full", Cause::permanent},
    {"the id of the room is not 1 to 100 bytes, or was malformed in its URL", Cause::permanent},
    {"the room is unknown", Cause::permanent},
    {"the snapshot is older than what is stored", Cause::permanent},
    {"the snapshot covers what is not durable", Cause::permanent},
    {"the stored snapshot is damaged", Cause::corrupt},
    {"the stored snapshot is missing", Cause::corrupt},
    {"the stored snapshot is not the one that belongs there", Cause::corrupt},
    {"the log is not the one of these rooms", Cause::corrupt},
    {"the storage of rooms is busy", Cause::overloaded},
    {"the client is not known", Cause::unauthorized},
    {"the client has no right to this room", Cause::forbidden},
    {"the history of the client is over", Cause::permanent},
    {"the protocol does not define the frame", Cause::protocol},
    {"the frame is malformed", Cause::protocol},
    {"the frame is beyond a limit", Cause::permanent},
    {"there are too many rooms or calls", Cause::overloaded},
    {"the client is too slow", Cause::overloaded},
    {"the change could not be made durable", Cause::overloaded},
    {"the room is not loaded", Cause::overloaded},
    {"there was no answer in time", Cause::timed_out},
    {"the rooms are stopped", Cause::planned},
    {"the room was erased", Cause::permanent},
    {"the persistence threw an exception", Cause::overloaded},
    {"the client's user has sent a frame beyond a limit less than a minute ago", Cause::overloaded},
    {"the user has too many rooms, clients or waiting changes", Cause::overloaded},
    {"the server has removed the client", Cause::planned},
    {"the client has shown no sign of life for too long", Cause::timed_out},
    {"there are too many clients", Cause::overloaded},
    {"too many clients wait to be admitted", Cause::overloaded},
    {"the room has too many clients", Cause::overloaded},
    {"the connection has too many documents", Cause::overloaded},
};

/// The category "belay.room".
[[nodiscard]] inline const std::error_category& room_category() noexcept {
    static const TableCategory category{"belay.room", room_error_texts};
    return category;
}

}  // namespace detail

/// Makes a std::error_code from a RoomErrc, as the conversion requires.
[[nodiscard]] inline std::error_code make_error_code(RoomErrc error) noexcept {
    return {static_cast<int>(error), detail::room_category()};
}

}}  // namespace belay

template <>
struct std::is_error_code_enum<belay::RoomErrc> : std::true_type {};
