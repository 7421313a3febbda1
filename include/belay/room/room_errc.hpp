// SPDX-License-Identifier: MIT
/// \file belay/room/room_errc.hpp
/// RoomErrc: the errors of rooms, their storages and their clients.
#pragma once

#include <system_error>  // std::error_code, std::is_error_code_enum

#include <belay/core/cause.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The errors of room/; category "belay.room". Values are appended, never renumbered.
enum class RoomErrc {
    malformed_update = 1,  ///< the bytes are no update of the document
    // 2, 3 and 4 are errors of Yjs: YjsErrc.
    update_too_large = 5,  ///< an update that exceeds a limit
    document_full = 6,     ///< the document would exceed its limit
    bad_room_id = 7,     ///< of no byte, more than `part::room_id_bytes_max`, or malformed in a URL
    unknown_room = 8,    ///< there is no room of this id, or it has no history yet
    stale_snapshot = 9,  ///< a newer one is stored, or the history is another by now
    bad_position = 10,   ///< a snapshot that covers what is not durable
    snapshot_damaged = 11,    ///< the bytes of a stored snapshot are not what was written
    snapshot_missing = 12,    ///< a snapshot that was stored is not there any more
    snapshot_misplaced = 13,  ///< of another room, another log, or of an earlier time
    log_misplaced = 14,       ///< a log that is not the one of the rooms beside it
    storage_busy = 15,        ///< what keeps rooms has more work than it takes
    unauthorized = 16,        ///< nobody that is known, or no longer
    forbidden = 17,           ///< known, without the right to come in
    history_reset = 18,       ///< a client of a history that is over: it must begin anew
    unknown_message = 19,     ///< a frame that says what the protocol does not know
    malformed_frame = 20,     ///< a frame that is not what the protocol's format says
    frame_too_large = 21,     ///< a frame, or a part of one, that is beyond a limit
    too_many = 22,            ///< there are as many rooms or clients as there may be
    too_slow = 23,            ///< a client that does not take what it is sent
    not_durable = 24,         ///< a change that could not be made durable; nobody has seen it
    not_loaded = 25,          ///< a room that could not be loaded, or is not loaded yet
    no_answer = 26,           ///< an authorizer, or what keeps rooms, has not answered in time
    manager_stopped = 27,     ///< the manager is stopped
    room_erased = 28          ///< a client of a room that was erased
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
    {"the frame says what nobody knows", Cause::protocol},
    {"the frame is malformed", Cause::protocol},
    {"the frame is beyond a limit", Cause::permanent},
    {"there are too many rooms or clients", Cause::overloaded},
    {"the client is too slow", Cause::overloaded},
    {"the change could not be made durable", Cause::overloaded},
    {"the room is not loaded", Cause::overloaded},
    {"there was no answer in time", Cause::timed_out},
    {"the rooms are stopped", Cause::planned},
    {"the room was erased", Cause::permanent},
};

/// The category "belay.room".
[[nodiscard]] inline const std::error_category& room_category() noexcept {
    static const TableCategory category{"belay.room", room_error_texts};
    return category;
}

}  // namespace detail

/// Makes a std::error_code of it, which the conversion asks for.
[[nodiscard]] inline std::error_code make_error_code(RoomErrc error) noexcept {
    return {static_cast<int>(error), detail::room_category()};
}

}}  // namespace belay

template <>
struct std::is_error_code_enum<belay::RoomErrc> : std::true_type {};
