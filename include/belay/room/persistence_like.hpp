// SPDX-License-Identifier: MIT
/// \file belay/room/persistence_like.hpp
/// PersistenceLike: where the updates and snapshots of rooms are kept.
#pragma once

#include <concepts>      // std::same_as
#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint64_t
#include <optional>      // std::optional
#include <span>          // std::span
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <vector>        // std::vector

#include <belay/core/bytes.hpp>
#include <belay/core/completion.hpp>
#include <belay/core/detail/member_names.hpp>
#include <belay/core/result.hpp>
#include <belay/journal/id.hpp>
#include <belay/room/persistence_error.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace part {

/// The longest id of a room; the shortest has one byte. Any bytes may be in it.
inline constexpr std::size_t room_id_bytes_max = 100;

}  // namespace part

/// What is stored of a room: the document is made by all of `snapshot`, then all of `updates`.
struct StoredRoom {
    /// Which history it is: given to `reset`.
    Id epoch{};
    /// What was given to the last `save`; nothing if there was none since the history began.
    std::vector<Bytes> snapshot{};
    /// What it does not cover, in the order in which it was appended. Some may be in it all the
    /// same.
    std::vector<Bytes> updates{};
    /// Of the last of all this: what a `save` of it covers.
    std::uint64_t position = 0;
};

namespace detail {

BELAY_DETAIL_MEMBER(lagging);

[[nodiscard]] constexpr bool is_room_id(std::string_view id) noexcept {
    return !id.empty() && id.size() <= part::room_id_bytes_max;
}

template <class P>
concept LoadsRooms = requires(
    P& p, std::string_view id,
    Completion<Result<std::optional<StoredRoom>, PersistenceError>> done) {
    {
        p.load(id,
               static_cast<Completion<Result<std::optional<StoredRoom>, PersistenceError>>&&>(done))
    } -> std::same_as<void>;
};
template <class P>
concept AppendsUpdates = requires(P& p, std::string_view id, BytesView update) {
    { p.append(id, update) } -> std::same_as<Result<std::uint64_t>>;
};
template <class P>
concept ResetsRooms = requires(P& p, std::string_view id, const Id& epoch) {
    { p.reset(id, epoch) } -> std::same_as<Result<std::uint64_t>>;
};
template <class P>
concept ErasesRooms = requires(P& p, std::string_view id) {
    { p.erase(id) } -> std::same_as<std::error_code>;
};
template <class P>
concept FlushesRooms = requires(P& p, Completion<PersistenceError> done) {
    { p.flush(static_cast<Completion<PersistenceError>&&>(done)) } -> std::same_as<void>;
};
template <class P>
concept SavesRooms = requires(P& p, std::string_view id, std::span<const Bytes> snapshot,
                              std::uint64_t covers, Completion<PersistenceError> done) {
    {
        p.save(id, snapshot, covers, static_cast<Completion<PersistenceError>&&>(done))
    } -> std::same_as<void>;
};
template <class P>
concept ListsRooms = requires(P& p, std::string_view after, std::size_t count,
                              Completion<Result<std::vector<std::string>, PersistenceError>> done) {
    {
        p.list(after, count,
               static_cast<Completion<Result<std::vector<std::string>, PersistenceError>>&&>(done))
    } -> std::same_as<void>;
};
template <class P>
concept TellsLagging = requires(P& p) {
    { p.lagging() } -> std::same_as<std::optional<std::string>>;
};
// A member of this name that cannot be called so would be passed over in silence.
template <class P>
concept LaggingIsSound = TellsLagging<P> || !has_lagging<P>();

}  // namespace detail

/// Keeps rooms by their ids: 1 to `part::room_id_bytes_max` bytes, whatever they are.
///
/// Changes are made at once, and are *stored* by a flush:
///
/// - `reset(id, epoch) -> Result<std::uint64_t>`: a new history begins, empty, whatever the room
///   had; also of a room that there was not. Every room begins so.
/// - `append(id, update) -> Result<std::uint64_t>`: one more update of the room's history.
/// - `erase(id) -> std::error_code`: there is no such room any more; also if there was none.
/// - `flush(done)`: answers when all changes made before it are stored: they survive whatever the
///   storage survives.
///
/// The first two answer a position: of one room each is larger than the one before, over histories,
/// too. After a restart a `load` tells where a room is. An error means that nothing was taken, and
/// that a flush does not know of it: RoomErrc::bad_room_id, unknown_room of an append to a room
/// without a history, a full disk. What cannot be known at once may come out as the error of the
/// flush.
///
/// A flush whose error names `rooms` has stored the changes of all others. Of those that it names,
/// and of all if it names none, each of the changes since the last flush that did not fail may be
/// stored, now or later, or not at all, but never in part. A `load` tells what is stored now.
///
/// - `load(id, done)`: answers a Result<std::optional<StoredRoom>, PersistenceError>: what is
///   stored of the room now, and nothing that is not. No room is an answer; an error is none, and
///   the room must not be begun anew then.
/// - `save(id, snapshot, covers, done)`: answers when the updates `snapshot`, which make the
///   document, are stored instead of all changes of the room up to position `covers`; or they are
///   not, and nothing has changed. RoomErrc::bad_position if something up to `covers` is not
///   stored; stale_snapshot if `covers` is before what a stored snapshot covers, or is of an
///   earlier history; unknown_room.
/// - `list(after, count, done)`: answers Result<std::vector<std::string>, PersistenceError>: the
///   first ids behind `after` of the rooms that are stored, `count` at most; the first of all
///   behind "".
/// - optional `lagging() -> std::optional<std::string>`: a room whose changes should be saved now,
///   open or not, since they hold up space; asked for after flushes and saves. Nothing most of the
///   time.
///
/// Calls take effect in the order in which they are made, the `load` after a `flush` knows of it.
/// A Completion is answered in the call or later, on any thread; one that is dropped unanswered
/// means that it failed. What is given is read during the call only.
///
/// Models: MemoryRooms, JournalRooms; OnThread of one.
template <class P>
concept PersistenceLike =
    detail::LoadsRooms<P> && detail::AppendsUpdates<P> && detail::ResetsRooms<P> &&
    detail::ErasesRooms<P> && detail::FlushesRooms<P> && detail::SavesRooms<P> &&
    detail::ListsRooms<P> && detail::LaggingIsSound<P>;

namespace explain {

/// Names every requirement of PersistenceLike that P lacks.
template <class P>
consteval bool persistence_like() {
    static_assert(detail::LoadsRooms<P>,
                  "PersistenceLike: P needs 'void load(std::string_view id, "
                  "belay::Completion<belay::Result<std::optional<belay::StoredRoom>, "
                  "belay::PersistenceError>>)'");
    static_assert(detail::AppendsUpdates<P>,
                  "PersistenceLike: P needs 'belay::Result<std::uint64_t> append(std::string_view "
                  "id, belay::BytesView update)'");
    static_assert(detail::ResetsRooms<P>,
                  "PersistenceLike: P needs 'belay::Result<std::uint64_t> reset(std::string_view "
                  "id, const belay::Id& epoch)'");
    static_assert(detail::ErasesRooms<P>,
                  "PersistenceLike: P needs 'std::error_code erase(std::string_view id)'");
    static_assert(detail::FlushesRooms<P>,
                  "PersistenceLike: P needs 'void flush(belay::Completion<"
                  "belay::PersistenceError>)'");
    static_assert(detail::SavesRooms<P>,
                  "PersistenceLike: P needs 'void save(std::string_view id, std::span<const "
                  "belay::Bytes> snapshot, std::uint64_t covers, belay::Completion<"
                  "belay::PersistenceError>)'");
    static_assert(
        detail::ListsRooms<P>,
        "PersistenceLike: P needs 'void list(std::string_view after, std::size_t count, "
        "belay::Completion<belay::Result<std::vector<std::string>, belay::PersistenceError>>)'");
    static_assert(detail::LaggingIsSound<P>,
                  "PersistenceLike: P's lagging must be 'std::optional<std::string> lagging()'");
    return PersistenceLike<P>;
}

}  // namespace explain

}}  // namespace belay
