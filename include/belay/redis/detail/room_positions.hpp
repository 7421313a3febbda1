// SPDX-License-Identifier: MIT
/// \file belay/redis/detail/room_positions.hpp
/// RedisRoomPositions: what a redis::Rooms remembers of each room. RedisRoomChange: a change to
/// store.
#pragma once

#include <algorithm>    // std::find_if, std::max
#include <cstddef>      // std::size_t
#include <cstdint>      // std::uint64_t
#include <functional>   // std::less
#include <map>          // std::map
#include <mutex>        // std::mutex
#include <optional>     // std::optional
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::pair
#include <vector>       // std::vector

#include <belay/core/bytes.hpp>
#include <belay/journal/id.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// For each room that was loaded or changed: its log, the last entry that was read, and the entries
/// of this server's own changes.
///
/// A room is never forgotten. Without its log, a later change could enter another history.
///
/// A change has a provisional position before Redis gives it one. It is the next number after the
/// last known position, so it is never greater than the position that Redis gives. It is odd, and
/// the positions of Redis are even.
///
/// Thread safety: all members.
class RedisRoomPositions {
public:
    /// The arguments of a request to Redis.
    struct State {
        std::string log{};
        std::uint64_t read = 0;   ///< the last entry that was loaded, or received
        std::uint64_t acked = 0;  ///< the last own entry since
    };
    /// The logs that a history may have had before it begins again.
    struct Begun {
        std::string was{};    ///< its log, also if it is lost
        std::string tried{};  ///< of a beginning that was not answered
    };

    /// The state that a change was made upon: the known history, if any; or the result of an
    /// earlier change of the history that is not carried out yet.
    struct Basis {
        std::uint64_t turn = 0;  ///< the number of that earlier change; 0: none
        std::string log{};

        friend bool operator==(const Basis&, const Basis&) = default;
    };
    struct Given {
        std::uint64_t position;
        Basis basis;
    };
    /// The content of a snapshot. It is stored as of `entry`. Between `covered` and `entry` there
    /// are only own entries.
    struct Snapshot {
        std::uint64_t entry;
        std::uint64_t covered;
    };

    /// Returns the position of a change that is not sent yet.
    [[nodiscard]] Given next(std::string_view id) {
        const std::lock_guard lock{mutex_};
        Room& room = at(id);
        room.given += 1 + room.given % 2;
        if (room.turn != room.turned) return {room.given, {room.turn, {}}};
        return {room.given, {0, room.state.log}};
    }
    /// Registers a change that begins or ends a history.   Returns: its number.
    [[nodiscard]] std::uint64_t turns(std::string_view id) {
        const std::lock_guard lock{mutex_};
        return at(id).turn = ++turns_;
    }
    /// The change was carried out.
    void turned(std::string_view id, std::uint64_t turn) {
        const std::lock_guard lock{mutex_};
        Room& room = at(id);
        room.turned = turn;
        room.turned_to = room.state.log;
    }
    /// The change is over, whether it was carried out or not.
    void forget_turn(std::string_view id, std::uint64_t turn) {
        const std::lock_guard lock{mutex_};
        const auto found = rooms_.find(id);
        if (found != rooms_.end() && found->second.turn == turn)
            found->second.turn = found->second.turned;
    }
    /// Whether the room still has the state that a change was made upon.
    [[nodiscard]] bool stands(std::string_view id, const Basis& basis) const {
        const std::lock_guard lock{mutex_};
        const auto found = rooms_.find(id);
        if (found == rooms_.end() || basis == Basis{}) return true;
        const Room& room = found->second;
        if (basis.turn == 0) return basis.log == room.state.log;
        return basis.turn == room.turned && room.turned_to == room.state.log;
    }
    [[nodiscard]] State state(std::string_view id) const {
        const std::lock_guard lock{mutex_};
        const auto found = rooms_.find(id);
        return found != rooms_.end() ? found->second.state : State{};
    }
    [[nodiscard]] Begun begun(std::string_view id) const {
        const std::lock_guard lock{mutex_};
        const auto found = rooms_.find(id);
        return found != rooms_.end() ? found->second.begun : Begun{};
    }
    /// The next request to Redis will begin a history with this log.
    void begins(std::string_view id, std::string_view log) {
        const std::lock_guard lock{mutex_};
        at(id).begun.tried = log;
    }
    /// Records a room as it was loaded. An empty log means that there is none.
    void loaded(std::string_view id, std::uint64_t position, std::string_view log) {
        const std::lock_guard lock{mutex_};
        // Anyone may ask for rooms that there are not.
        if (log.empty() && rooms_.find(id) == rooms_.end()) return;
        Room& room = at(id);
        room.state = {std::string{log}, position, 0};
        if (!log.empty()) room.begun = {std::string{log}, {}};
        room.given = std::max(room.given, position);
    }
    /// Records the present log of a room.
    void begun(std::string_view id, std::uint64_t began, std::string_view log) {
        const std::lock_guard lock{mutex_};
        Room& room = at(id);
        if (room.state.log != log) room.state = {std::string{log}, began, 0};
        room.begun = {std::string{log}, {}};
        room.given = std::max(room.given, began);
    }
    /// Records the log that a room has after `from`, if none was known.
    void discovered(std::string_view id, std::uint64_t from, std::string_view log) {
        const std::lock_guard lock{mutex_};
        Room& room = at(id);
        if (!room.state.log.empty()) return;
        room.state = {std::string{log}, from, 0};
        room.begun.was = log;
    }
    void read(std::string_view id, std::uint64_t position) {
        const std::lock_guard lock{mutex_};
        Room& room = at(id);
        room.state.read = std::max(room.state.read, position);
        room.given = std::max(room.given, position);
        drop_before(room, position);
    }
    /// Records the entry that an own change has become.
    void stored(std::string_view id, std::uint64_t own, std::uint64_t position) {
        const std::lock_guard lock{mutex_};
        Room& room = at(id);
        room.own.emplace_back(own, position);
        room.state.acked = std::max(room.state.acked, position);
        room.given = std::max(room.given, position);
    }
    /// Returns the entry of a position, which is one of an own change or of an entry that was read.
    /// Returns nothing if the position is greater than all that were given out.
    [[nodiscard]] std::optional<std::uint64_t> entry_of(std::string_view id,
                                                        std::uint64_t position) const {
        const std::lock_guard lock{mutex_};
        const auto found = rooms_.find(id);
        if (found == rooms_.end() || found->second.state.log.empty()) return position;
        const Room& room = found->second;
        if (position > room.given) return std::nullopt;
        const auto own = std::find_if(room.own.begin(), room.own.end(),
                                      [&](const auto& pair) { return pair.first == position; });
        return own != room.own.end() ? own->second : position;
    }
    void saved(std::string_view id, const Snapshot& snapshot) {
        const std::lock_guard lock{mutex_};
        Room& room = at(id);
        room.state.read = std::max(room.state.read, snapshot.covered);
        drop_before(room, snapshot.entry);
    }

    /// Returns the number of rooms that are remembered.
    [[nodiscard]] std::size_t size() const {
        const std::lock_guard lock{mutex_};
        return rooms_.size();
    }

private:
    struct Room {
        State state{};
        Begun begun{};
        std::uint64_t given = 0;
        std::uint64_t turn = 0;    ///< the last change that begins or ends a history
        std::uint64_t turned = 0;  ///< the last of these that was carried out
        std::string turned_to{};   ///< the log since then
        std::vector<std::pair<std::uint64_t, std::uint64_t>> own{};
    };
    [[nodiscard]] Room& at(std::string_view id) {
        const auto found = rooms_.find(id);
        return found != rooms_.end() ? found->second : rooms_[std::string{id}];
    }
    static void drop_before(Room& room, std::uint64_t entry) {
        // Keeps the last one, because it may be needed again.
        std::erase_if(room.own, [&](const auto& pair) { return pair.second < entry; });
    }

    mutable std::mutex mutex_;
    std::map<std::string, Room, std::less<>> rooms_;
    std::uint64_t turns_ = 0;
};

/// A change that waits for a flush.
struct RedisRoomChange {
    enum class Kind : std::uint8_t { append, begin, reset, erase };
    Kind kind{};
    std::string id{};
    std::uint64_t own = 0;
    Id epoch{};
    Bytes update{};
    bool again = false;
    RedisRoomPositions::Basis basis{};
};

}}}  // namespace belay::detail
