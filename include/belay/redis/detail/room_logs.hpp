// SPDX-License-Identifier: MIT
/// \file belay/redis/detail/room_logs.hpp
/// RedisRoomLogs: the history of each room that a redis::Rooms knows.
#pragma once

#include <cstddef>      // std::size_t
#include <cstdint>      // std::uint64_t
#include <functional>   // std::less
#include <map>          // std::map
#include <mutex>        // std::mutex
#include <string>       // std::string
#include <string_view>  // std::string_view

#include <belay/journal/id.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// For each room that was loaded or changed: its log, and the last entry of this server.
///
/// A room is never forgotten. Without its log, a later change could enter another history.
///
/// Thread safety: all members.
class RedisRoomLogs {
public:
    /// The arguments of a request to Redis.
    struct State {
        std::string log{};
        std::uint64_t acked = 0;  ///< the last own entry since the log is known
        Id server{};              ///< the id of the server in that entry
    };
    /// The logs that a history may have had before it begins again.
    struct Begun {
        std::string was{};    ///< its log, also if it is lost
        std::string tried{};  ///< of a beginning that was not answered
    };

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
    void loaded(std::string_view id, std::string_view log) {
        const std::lock_guard lock{mutex_};
        // Anyone may ask for rooms that there are not.
        if (log.empty() && rooms_.find(id) == rooms_.end()) return;
        Room& room = at(id);
        room.state = {std::string{log}, 0, {}};
        if (!log.empty()) room.begun = {std::string{log}, {}};
    }
    /// Records the present log of a room.
    // NOLINTNEXTLINE(bugprone-easily-swappable-parameters): the room first, as everywhere
    void begun(std::string_view id, std::string_view log) {
        const std::lock_guard lock{mutex_};
        Room& room = at(id);
        if (room.state.log != log) room.state = {std::string{log}, 0, {}};
        room.begun = {std::string{log}, {}};
    }
    /// Records the log that a room has, if none was known.
    // NOLINTNEXTLINE(bugprone-easily-swappable-parameters): the room first, as everywhere
    void discovered(std::string_view id, std::string_view log) {
        const std::lock_guard lock{mutex_};
        Room& room = at(id);
        if (!room.state.log.empty()) return;
        room.state = {std::string{log}, 0, {}};
        room.begun.was = log;
    }
    /// Records the entry that an own change has become.
    void stored(std::string_view id, std::uint64_t position, const Id& server) {
        const std::lock_guard lock{mutex_};
        State& state = at(id).state;
        state.acked = position;
        state.server = server;
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
    };
    [[nodiscard]] Room& at(std::string_view id) {
        const auto found = rooms_.find(id);
        return found != rooms_.end() ? found->second : rooms_[std::string{id}];
    }

    mutable std::mutex mutex_;
    std::map<std::string, Room, std::less<>> rooms_;
};

}}}  // namespace belay::detail
