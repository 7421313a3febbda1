// SPDX-License-Identifier: MIT
/// \file belay/room/persistence_like.hpp
/// PersistenceLike: stores the updates and snapshots of rooms. PersistenceError: why a room could
/// not be loaded, saved or flushed, where, and what to do.
#pragma once

#include <concepts>      // std::same_as
#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint64_t
#include <optional>      // std::optional
#include <span>          // std::span
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <utility>       // std::move, std::pair
#include <vector>        // std::vector

#include <belay/core/bytes.hpp>
#include <belay/core/completion.hpp>
#include <belay/core/detail/member_names.hpp>
#include <belay/core/result.hpp>
#include <belay/journal/advised_error.hpp>
#include <belay/journal/id.hpp>
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

namespace detail {
/// Adds the error of a room to those of a call. The first one gives the call its reason.
inline void add_error(PersistenceError& errors, const std::string& id, PersistenceError why) {
    const std::error_code code = why.code;
    if (!errors) errors = std::move(why);
    errors.rooms.emplace_back(id, code);
}
}  // namespace detail

namespace part {

/// The maximum number of bytes of a room id.
///
/// The minimum is one byte. An id may contain any bytes.
inline constexpr std::size_t room_id_bytes_max = 100;

}  // namespace part

/// The stored state of a room.
///
/// Applying all of `snapshot`, then all of `updates`, makes the document.
struct StoredRoom {
    /// Identifies the history; `reset` was given it.
    Id epoch{};
    /// The updates that the last `save` was given; empty if there was none since the history began.
    std::vector<Bytes> snapshot{};
    /// The updates that the snapshot does not cover, in the order in which they were appended. Some
    /// of them may be in the snapshot all the same.
    std::vector<Bytes> updates{};
    /// The position of the last of all these changes. Pass it to a `save` of this state.
    std::uint64_t position = 0;
    /// Why some changes may be missing; false if all that was stored is here. A RoomManager reports
    /// it to `on_room_failed`, and serves the room. A client that has the changes sends them again.
    PersistenceError loss{};
};

namespace part {

/// The answer of `load`: the stored room, nothing if there is no such room, or an error.
using LoadedRoom = Result<std::optional<StoredRoom>, PersistenceError>;
/// The answer of `list`: ids of rooms, or an error.
using ListedRooms = Result<std::vector<std::string>, PersistenceError>;

/// The answer of `flush`.
struct FlushedRooms {
    FlushedRooms() = default;
    /// A failure; or success, of a flush without changes.
    FlushedRooms(PersistenceError why) : error{std::move(why)} {}

    /// Why some changes are not stored; it is false if all of them are.
    PersistenceError error{};
    /// For each room that has a history and of which a change was stored: its id, and the position
    /// of the last change.
    std::vector<std::pair<std::string, std::uint64_t>> positions{};
    /// For each of these rooms: its id, and the epoch of the history that has the changes. Only a
    /// storage that several servers share must fill it.
    std::vector<std::pair<std::string, Id>> epochs{};
};

}  // namespace part

namespace detail {

BELAY_DETAIL_MEMBER(rooms_to_save);

[[nodiscard]] constexpr bool is_room_id(std::string_view id) noexcept {
    return !id.empty() && id.size() <= part::room_id_bytes_max;
}

template <class P>
concept LoadsRooms = requires(P& p, std::string_view id, Completion<part::LoadedRoom> done) {
    { p.load(id, static_cast<Completion<part::LoadedRoom>&&>(done)) } -> std::same_as<void>;
};
template <class P>
concept AppendsUpdates = requires(P& p, std::string_view id, BytesView update) {
    { p.append(id, update) } -> std::same_as<std::error_code>;
};
template <class P>
concept ResetsRooms = requires(P& p, std::string_view id, const Id& epoch) {
    { p.reset(id, epoch) } -> std::same_as<std::error_code>;
};
template <class P>
concept ErasesRooms = requires(P& p, std::string_view id) {
    { p.erase(id) } -> std::same_as<std::error_code>;
};
template <class P>
concept FlushesRooms = requires(P& p, Completion<part::FlushedRooms> done) {
    { p.flush(static_cast<Completion<part::FlushedRooms>&&>(done)) } -> std::same_as<void>;
};
template <class P>
concept SavesRooms = requires(P& p, std::string_view id, std::span<const Bytes> snapshot,
                              std::uint64_t covers, Completion<PersistenceError> done) {
    {
        p.save(id, snapshot, covers, static_cast<Completion<PersistenceError>&&>(done))
    } -> std::same_as<void>;
};
template <class P>
concept ListsRooms =
    requires(P& p, std::string_view after, std::size_t count, Completion<part::ListedRooms> done) {
        {
            p.list(after, count, static_cast<Completion<part::ListedRooms>&&>(done))
        } -> std::same_as<void>;
    };
template <class P>
concept HasRoomsToSave = requires(P& p) {
    { p.rooms_to_save() } -> std::same_as<std::vector<std::string>>;
};
// A member of this name with another signature would be ignored.
template <class P>
concept RoomsToSaveIsSound = HasRoomsToSave<P> || !has_rooms_to_save<P>;

}  // namespace detail

/// Stores rooms by their ids.
///
/// An id has 1 to `part::room_id_bytes_max` bytes, of any value.
///
/// The first three calls make a change, and a flush *stores* it:
///
/// - `reset(id, epoch) -> std::error_code`: begins a new, empty history, and discards the earlier
///   one. The room need not exist; every room begins in this way.
/// - `append(id, update) -> std::error_code`: adds an update to the room's history.
/// - `erase(id) -> std::error_code`: removes the room. The room need not exist.
/// - `flush(done)`: answers part::FlushedRooms when all changes made before it are stored. They
///   then survive everything that the storage survives.
///
/// The answer of a flush has a *position* for each room with stored changes. The storage chooses
/// positions, for example by a counter. In one room each is larger than the one before, also over
/// several histories. Those of a room that was erased may begin anew after a restart. `load`
/// returns the position of a room, too.
///
/// If one of the first three calls returns an error, the change was not accepted, and no flush
/// reports on it. Possible errors are RoomErrc::bad_room_id, a full disk, and unknown_room for an
/// append to a room without a history. An error that cannot be detected at once may be the error of
/// the flush.
///
/// If the error of a flush names `rooms`, the changes of all other rooms are stored, and the answer
/// has their positions. The changes since the last successful flush are uncertain in the rooms that
/// it names, and in all rooms if it names none. Each of them may be stored, now or later, or not at
/// all, but never in part. A `load` returns what is stored now.
///
/// - `load(id, done)`: answers a part::LoadedRoom, which is what is stored of the room now, and
///   nothing else. "No such room" is an answer. An error is not: after an error the room must not
///   be begun anew.
/// - `save(id, snapshot, covers, done)`: stores the updates `snapshot`, which make the document,
///   instead of all changes of the room up to position `covers`. It answers when they are stored.
///   After an error nothing has changed. RoomErrc::bad_position means that a change up to `covers`
///   is not stored. stale_snapshot means that `covers` is before what a stored snapshot covers, or
///   of an earlier history. The third error is unknown_room.
/// - `list(after, count, done)`: answers part::ListedRooms: the ids of stored rooms that follow
///   `after`, the first `count` of them at most. An empty `after` begins with the first room.
/// - optional `rooms_to_save() -> std::vector<std::string>`: returns rooms whose changes should be
///   saved now, because they hold up space, the most urgent first. They need not be loaded. It is
///   called after flushes and saves, and returns no room most of the time. It should limit their
///   number.
///
/// Calls take effect in the order in which they are made, so a `load` after a `flush` includes what
/// was flushed. A Completion is answered in the call or later, on any thread. Dropping a Completion
/// without an answer means that the call failed. Arguments are read only during the call.
///
/// Concurrency: a RoomManager makes all calls on one thread, and does not wait for an answer before
/// it makes other calls. Until they are answered, these calls are under way at a time:
/// - one flush. Later changes wait for the next one;
/// - saves of different rooms: a sixteenth of RoomOptions::loads_max, but at least 4, or loads_max
///   if that is less;
/// - RoomOptions::loads_max loads, with those of export_room. A room may be loaded again during its
///   load, because the first answer may be too old, or for an export;
/// - 100 lists.
///
/// A call that is not answered within RoomOptions::answer_within has failed for the manager, which
/// may make it again while the storage still works on it. A save of the same room may then be under
/// way twice, and so may a flush. Positions reject the older save: see stale_snapshot.
///
/// Models: MemoryRooms, JournalRooms, sqlite::Rooms, postgres::Rooms, redis::Rooms; OnThread of one
/// of these.
template <class P>
concept PersistenceLike =
    detail::LoadsRooms<P> && detail::AppendsUpdates<P> && detail::ResetsRooms<P> &&
    detail::ErasesRooms<P> && detail::FlushesRooms<P> && detail::SavesRooms<P> &&
    detail::ListsRooms<P> && detail::RoomsToSaveIsSound<P>;

namespace explain {

/// Names every requirement of PersistenceLike that P lacks.
template <class P>
consteval bool persistence_like() {
    static_assert(
        !detail::IsResult<P>,
        "PersistenceLike: P is a Result; test it, and pass its value: std::move(*result)");
    static_assert(detail::LoadsRooms<P>,
                  "PersistenceLike: P needs 'void load(std::string_view id, "
                  "belay::Completion<belay::part::LoadedRoom>)'");
    static_assert(detail::AppendsUpdates<P>,
                  "PersistenceLike: P needs 'std::error_code append(std::string_view id, "
                  "belay::BytesView update)'");
    static_assert(detail::ResetsRooms<P>,
                  "PersistenceLike: P needs 'std::error_code reset(std::string_view id, "
                  "const belay::Id& epoch)'");
    static_assert(detail::ErasesRooms<P>,
                  "PersistenceLike: P needs 'std::error_code erase(std::string_view id)'");
    static_assert(detail::FlushesRooms<P>,
                  "PersistenceLike: P needs 'void flush(belay::Completion<"
                  "belay::part::FlushedRooms>)'");
    static_assert(detail::SavesRooms<P>,
                  "PersistenceLike: P needs 'void save(std::string_view id, std::span<const "
                  "belay::Bytes> snapshot, std::uint64_t covers, belay::Completion<"
                  "belay::PersistenceError>)'");
    static_assert(detail::ListsRooms<P>,
                  "PersistenceLike: P needs 'void list(std::string_view after, std::size_t count, "
                  "belay::Completion<belay::part::ListedRooms>)'");
    static_assert(detail::RoomsToSaveIsSound<P>,
                  "PersistenceLike: P's rooms_to_save must be "
                  "'std::vector<std::string> rooms_to_save()'");
    return PersistenceLike<P>;
}

}  // namespace explain

}}  // namespace belay
