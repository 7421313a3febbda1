// SPDX-License-Identifier: MIT
/// \file belay/redis/detail/room_shared.hpp
/// RedisRoomsShared: what the calls and the subscription of a redis::Rooms share.
#pragma once

#include <chrono>       // std::chrono::steady_clock
#include <cstddef>      // std::size_t
#include <cstdint>      // std::uint64_t
#include <functional>   // std::less
#include <map>          // std::map
#include <mutex>        // std::mutex
#include <set>          // std::set
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::exchange
#include <vector>       // std::vector

#include <belay/core/clocks.hpp>
#include <belay/journal/id.hpp>
#include <belay/redis/rooms_options.hpp>
#include <belay/room/persistence_like.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The history of a room that a redis::Rooms has loaded or changed.
struct RedisRoomLog {
    std::string log{};        ///< empty: there is no room
    std::uint64_t acked = 0;  ///< the last own entry since the log is known
    Id server{};              ///< the id of the server in that entry
    std::string was{};        ///< the log, also if it is lost
    std::string tried{};      ///< the log of a beginning that was not answered
    /// The log that the subscription reads; empty if that is `log`. It differs after this server
    /// has begun another history.
    std::string before{};
    std::size_t uncovered = 0;  ///< bytes that were stored since the last save began
};

/// For each room that was loaded or changed: its log, and the last entry of this server.
///
/// A room is never forgotten. Without its log, a later change could enter another history.
///
/// Thread safety: all members.
class RedisRoomLogs {
public:
    explicit RedisRoomLogs(std::size_t uncovered_bytes_max)
        : uncovered_bytes_max_{uncovered_bytes_max} {}

    [[nodiscard]] RedisRoomLog of(std::string_view id) const {
        const std::lock_guard lock{mutex_};
        const auto found = rooms_.find(id);
        return found != rooms_.end() ? found->second : RedisRoomLog{};
    }
    /// The next request to Redis will begin a history with this log.
    void begins(std::string_view id, std::string_view log) {
        const std::lock_guard lock{mutex_};
        at(id).tried = log;
    }
    /// Records the present log of a room.
    // NOLINTNEXTLINE(bugprone-easily-swappable-parameters): the room first, as everywhere
    void begun(std::string_view id, std::string_view log) {
        const std::lock_guard lock{mutex_};
        RedisRoomLog& room = at(id);
        if (room.log != log) {
            if (room.before.empty()) room.before = room.log;
            restart(room, log);
        }
        room.was = log;
        room.tried.clear();
    }
    /// Records a room as it was loaded. An empty log means that there is none.
    void loaded(std::string_view id, std::string_view log) {
        const std::lock_guard lock{mutex_};
        suspects_.emplace(id);
        // Anyone may ask for rooms that there are not.
        if (log.empty() && rooms_.find(id) == rooms_.end()) return;
        RedisRoomLog& room = at(id);
        // The history to which this server has added has ended.
        if (room.log != log) cover(id, room);
        restart(room, log);
        room.before.clear();
        if (log.empty()) return;
        room.was = log;
        room.tried.clear();
    }
    /// Records the log that the subscription has read, if none was known.
    // NOLINTNEXTLINE(bugprone-easily-swappable-parameters): the room first, as everywhere
    void discovered(std::string_view id, std::string_view log) {
        const std::lock_guard lock{mutex_};
        RedisRoomLog& room = at(id);
        if (!room.log.empty()) return;
        restart(room, log);
        room.was = log;
    }
    /// Records the entry that own changes have become.
    void stored(std::string_view id, std::uint64_t position, const Id& server, std::size_t bytes) {
        const std::lock_guard lock{mutex_};
        RedisRoomLog& room = at(id);
        room.acked = position;
        room.server = server;
        room.uncovered += bytes;
        if (room.uncovered > uncovered_bytes_max_) to_save_.emplace(id);
    }
    /// A save of the room begins, or its history has ended. If the save fails, its caller decides
    /// when it tries again.
    void covered(std::string_view id) {
        const std::lock_guard lock{mutex_};
        const auto found = rooms_.find(id);
        if (found != rooms_.end()) cover(id, found->second);
    }
    [[nodiscard]] std::vector<std::string> rooms_to_save() const {
        const std::lock_guard lock{mutex_};
        return {to_save_.begin(), to_save_.end()};
    }
    /// Adds the numbers of rooms.
    void count(redis::RoomsStatus& status) const {
        const std::lock_guard lock{mutex_};
        status.rooms_to_save = to_save_.size();
        status.rooms_known = rooms_.size();
    }

    /// The room may have another history, or be gone: the subscription compares it.
    void suspect(std::string_view id) {
        const std::lock_guard lock{mutex_};
        suspects_.emplace(id);
    }
    [[nodiscard]] std::set<std::string> take_suspects() {
        const std::lock_guard lock{mutex_};
        return std::exchange(suspects_, {});
    }
    /// A subscription to the room was answered, or waits.
    void answered(const std::string& id, bool answered) {
        const std::lock_guard lock{mutex_};
        answered ? static_cast<void>(answered_.insert(id)) : static_cast<void>(answered_.erase(id));
    }
    /// Returns whether this server has the room: its subscription was answered just now.
    [[nodiscard]] bool serves(std::string_view id) const {
        const std::lock_guard lock{mutex_};
        return answered_.find(id) != answered_.end();
    }
    void unsubscribed(const std::string& id) {
        const std::lock_guard lock{mutex_};
        answered_.erase(id);
        const auto found = rooms_.find(id);
        if (found != rooms_.end()) found->second.before.clear();
    }

private:
    // The mutex is locked during these.

    [[nodiscard]] RedisRoomLog& at(std::string_view id) {
        const auto found = rooms_.find(id);
        return found != rooms_.end() ? found->second : rooms_[std::string{id}];
    }
    static void restart(RedisRoomLog& room, std::string_view log) {
        room.log = log;
        room.acked = 0;
        room.server = no_id;
    }
    void cover(std::string_view id, RedisRoomLog& room) {
        room.uncovered = 0;
        const auto found = to_save_.find(id);
        if (found != to_save_.end()) to_save_.erase(found);
    }

    const std::size_t uncovered_bytes_max_;
    mutable std::mutex mutex_{};
    std::map<std::string, RedisRoomLog, std::less<>> rooms_{};
    std::set<std::string, std::less<>> to_save_{};
    std::set<std::string, std::less<>> answered_{};
    std::set<std::string> suspects_{};
};

/// The outages of Redis, and the status of a redis::Rooms.
///
/// Thread safety: all members.
class RedisRoomsHealth {
public:
    /// An outage, with the time until which calls fail.
    struct Outage {
        [[nodiscard]] bool lasts() const noexcept { return SteadyClock{}.now() < until; }

        std::uint64_t number = 0;
        Instant until = always;
        PersistenceError why{};
    };

    explicit RedisRoomsHealth(Duration retry_after) : retry_after_{retry_after} {}

    /// Returns the last outage.
    [[nodiscard]] Outage outage() const {
        const std::lock_guard lock{mutex_};
        return outage_;
    }
    /// An outage begins, unless another connection has found it.
    void went_down(const PersistenceError& why) {
        const std::lock_guard lock{mutex_};
        if (outage_.lasts()) return;
        outage_ = {outage_.number + 1, after(SteadyClock{}.now(), retry_after_), why};
        status_.connected_since.reset();
        status_.outages = outage_.number;
        status_.last_outage = why.code;
    }
    /// The connection of the calls is open or not, and is the `number`-th one.
    void connection(bool is_open, std::uint64_t number) {
        const std::lock_guard lock{mutex_};
        const bool anew = status_.connections != number;
        if (!is_open) status_.connected_since.reset();
        if (is_open && (anew || !status_.connected_since))
            status_.connected_since = std::chrono::steady_clock::now();
        status_.connections = number;
    }
    /// Calls `f` with the status, to change it.   Pre: `f` does not block.
    template <class F>
    void change(F&& f) {
        const std::lock_guard lock{mutex_};
        f(status_);
    }
    [[nodiscard]] redis::RoomsStatus status() const {
        const std::lock_guard lock{mutex_};
        return status_;
    }

private:
    const Duration retry_after_;
    mutable std::mutex mutex_{};
    Outage outage_{};
    redis::RoomsStatus status_{};
};

/// Logs and health, which the calls and the subscription share.
struct RedisRoomsShared {
    explicit RedisRoomsShared(const redis::RoomsOptions& options)
        : logs{options.uncovered_bytes_max}, health{options.retry_after} {}

    RedisRoomLogs logs;
    RedisRoomsHealth health;
};

}}}  // namespace belay::detail
