// SPDX-License-Identifier: MIT
/// \file belay/room/persistence_error.hpp
/// PersistenceError: why a room could not be loaded, saved or flushed, where, and what to do.
#pragma once

#include <string>        // std::string
#include <system_error>  // std::error_code
#include <utility>       // std::pair
#include <vector>        // std::vector

#include <belay/journal/detail/file_advice.hpp>
#include <belay/room/room_errc.hpp>

namespace belay { inline namespace BELAY_ABI {

/// An error of stored rooms, with its place and with advice.
///
/// It converts to false if there is no error.
///
/// Thread safety: a plain value.
struct PersistenceError {
    /// The kind of error.
    std::error_code code{};
    /// The file, table or key that the error concerns; may be empty.
    std::string path{};
    /// A description of this case; may be empty.
    std::string what{};
    /// The storage's own advice, a text that stays valid; null: `advice()` depends on the code.
    const char* cure = nullptr;
    /// For a flush: the only rooms whose changes are not stored, each with its error. If it is
    /// empty, the changes of any room may not be stored.
    std::vector<std::pair<std::string, std::error_code>> rooms{};

    /// Returns what the reader can do, as a sentence without its full stop.   Complexity: O(1).
    [[nodiscard]] const char* advice() const noexcept {
        if (cure != nullptr) return cure;
        if (code == RoomErrc::bad_room_id) return "use a room id of 1 to 100 bytes";
        if (code == RoomErrc::unknown_room)
            return "start the history of the room with `reset` first";
        if (code == RoomErrc::stale_snapshot)
            return "ignore the error, because the stored snapshot is newer";
        if (code == RoomErrc::bad_position) {
            return "save the content of a load or a flush, with its own position";
        }
        if (code == RoomErrc::snapshot_damaged || code == RoomErrc::snapshot_missing ||
            code == RoomErrc::snapshot_misplaced) {
            return "restore the file from a backup of the same log that is not older; or delete "
                   "the room with `erase`";
        }
        if (code == RoomErrc::record_damaged) return "the room is served; compare it with a backup";
        if (code == RoomErrc::log_misplaced) {
            return "restore the log and the snapshots from the same backup. If the log is lost, "
                   "open with `adopt`, and changes that only the log had are lost";
        }
        if (code == QueueErrc::must_reopen)
            return "end the program with a status at which its supervisor starts it again";
        if (code == RoomErrc::storage_busy) return "try again when fewer calls are running";
        if (code == RoomErrc::history_reset || code == RoomErrc::room_erased)
            return "let the clients connect again, because the history of the room was ended";
        if (code.category() == detail::room_category()) return by_cause();
        const Cause cause = cause_of(code);
        const bool is_remote = cause == Cause::refused || cause == Cause::timed_out;
        return is_remote ? "check the storage and the connection to it" : detail::file_advice(code);
    }

    /// Returns the error as a sentence, such as "boards/6162.room: the stored snapshot is damaged
    /// (its check is wrong): put the …".
    ///
    /// Allocates: the text.   Throws: std::bad_alloc.
    [[nodiscard]] std::string message() const {
        return detail::error_message(path.empty() ? "the rooms" : path, code, what, advice());
    }

    operator std::error_code() const noexcept { return code; }
    explicit operator bool() const noexcept { return static_cast<bool>(code); }

private:
    [[nodiscard]] const char* by_cause() const noexcept {
        if (code == Cause::overloaded) return "try again later, or raise the limits of RoomOptions";
        if (code == Cause::timed_out) return "check the storage, which did not answer in time";
        if (code == Cause::planned) return "start the rooms again";
        if (code == Cause::protocol)
            return "find the program that wrote it, because this version cannot read it";
        return "make it smaller, or raise the limits of the document and of RoomOptions";
    }
};

}}  // namespace belay
