// SPDX-License-Identifier: MIT
/// \file belay/redis/detail/room_uncovered.hpp
/// RedisRoomUncovered: which rooms have long streams, because this server adds much between saves.
#pragma once

#include <cstddef>  // std::size_t
#include <map>      // std::map
#include <mutex>    // std::mutex
#include <set>      // std::set
#include <string>   // std::string
#include <vector>   // std::vector

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The bytes that this server has stored in each room since its last save began. A change that
/// Redis has not confirmed does not count.
///
/// Complexity:    O(log rooms); that of the copy to return all.
/// Thread safety: all members.
class RedisRoomUncovered {
public:
    explicit RedisRoomUncovered(std::size_t bytes_max) : bytes_max_{bytes_max} {}

    void add(const std::string& id, std::size_t bytes) {
        const std::lock_guard lock{mutex_};
        std::size_t& of_room = bytes_[id];
        of_room += bytes;
        if (of_room > bytes_max_) to_save_.insert(id);
    }
    /// A save of the room begins, or its history has ended. If the save fails, its caller decides
    /// when it tries again.
    void reset(const std::string& id) {
        const std::lock_guard lock{mutex_};
        bytes_.erase(id);
        to_save_.erase(id);
    }
    /// Returns how many rooms have more than the limit.
    [[nodiscard]] std::size_t size() const {
        const std::lock_guard lock{mutex_};
        return to_save_.size();
    }
    /// Returns these rooms.
    [[nodiscard]] std::vector<std::string> rooms_to_save() const {
        const std::lock_guard lock{mutex_};
        return {to_save_.begin(), to_save_.end()};
    }

private:
    const std::size_t bytes_max_;
    mutable std::mutex mutex_{};
    std::map<std::string, std::size_t> bytes_{};
    std::set<std::string> to_save_{};
};

}}}  // namespace belay::detail
