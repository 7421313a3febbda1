// SPDX-License-Identifier: MIT
/// \file belay/room/persistence_error.hpp
/// PersistenceError: why a room could not be loaded, saved or flushed, where, and what to do.
#pragma once

#include <string>        // std::string
#include <system_error>  // std::error_code
#include <utility>       // std::pair
#include <vector>        // std::vector

#include <belay/journal/advised_error.hpp>
#include <belay/room/room_errc.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {
/// The words of a PersistenceError.
struct PersistenceWords {
    static constexpr const char* nowhere = "the rooms";
    template <class Error>
    [[nodiscard]] static const char* advice(const Error& error) noexcept {
        constexpr const char* backup =
            "restore the file from a backup of the same log that is not older; or delete the room "
            "with `erase`";
        constexpr const char* again =
            "let the clients connect again, because the history of the room was ended";
        const char* known = advice_in(
            {{RoomErrc::bad_room_id, "use a room id of 1 to 100 bytes"},
             {RoomErrc::unknown_room, "start the history of the room with `reset` first"},
             {RoomErrc::stale_snapshot, "ignore the error, because the stored snapshot is newer"},
             {RoomErrc::bad_position,
              "save the content of a load or a flush, with its own position"},
             {RoomErrc::snapshot_damaged, backup},
             {RoomErrc::snapshot_missing, backup},
             {RoomErrc::snapshot_misplaced, backup},
             {RoomErrc::record_damaged, "the room is served; compare it with a backup"},
             {RoomErrc::log_misplaced,
              "restore the log and the snapshots from the same backup. If the log is lost, open "
              "with `adopt`, and changes that only the log had are lost"},
             {QueueErrc::must_reopen,
              "end the program with a status at which its supervisor starts it again"},
             {RoomErrc::storage_busy, "try again when fewer calls are running"},
             {RoomErrc::history_reset, again},
             {RoomErrc::room_erased, again}},
            error.code, nullptr);
        if (known != nullptr) return known;
        if (error.code.category() == room_category()) return by_cause(error.code);
        const Cause cause = cause_of(error.code);
        const bool is_remote = cause == Cause::refused || cause == Cause::timed_out;
        return is_remote ? "check the storage and the connection to it" : file_advice(error.code);
    }

private:
    [[nodiscard]] static const char* by_cause(const std::error_code& code) noexcept {
        return advice_in(
            {{Cause::overloaded, "try again later, or raise the limits of RoomOptions"},
             {Cause::timed_out, "check the storage, which did not answer in time"},
             {Cause::planned, "start the rooms again"},
             {Cause::protocol,
              "find the program that wrote it, because this version cannot read it"}},
            code, "make it smaller, or raise the limits of the document and of RoomOptions");
    }
};
}  // namespace detail

/// An error of stored rooms, with its place and with advice.
///
/// Thread safety: a plain value.
struct PersistenceError : part::AdvisedError<detail::PersistenceWords> {
    using AdvisedError::AdvisedError;

    /// For a flush: the only rooms whose changes are not stored, each with its error. If it is
    /// empty, the changes of any room may not be stored.
    std::vector<std::pair<std::string, std::error_code>> rooms{};
};

}}  // namespace belay
