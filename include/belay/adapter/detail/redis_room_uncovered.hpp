// SPDX-License-Identifier: MIT
/// \file belay/adapter/detail/redis_room_uncovered.hpp
/// RedisRoomUncovered: which rooms have long streams, because this server adds much between saves.
#pragma once

#include <cstddef>  // std::size_t
#include <map>      // std::map
#include <set>      // std::set
#include <string>   // std::string
#include <vector>   // std::vector

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The bytes that this server has stored in each room since its last save began.
///
/// Complexity:    O(log rooms).   Thread safety: none; RedisRoomWorker locks it.
class RedisRoomUncovered {
public:
    explicit RedisRoomUncovered(std::size_t bytes_max) : bytes_max_{bytes_max} {}

    void add(const std::string& id, std::size_t bytes) {
        std::size_t& of_room = bytes_[id];
        of_room += bytes;
        if (of_room > bytes_max_) to_save_.insert(id);
    }
    /// A save of the room begins, or the room is erased. If the save fails, its caller decides when
    /// it tries again.
    void reset(const std::string& id) {
        bytes_.erase(id);
        to_save_.erase(id);
    }
    /// Returns the rooms that have more than the limit.
    [[nodiscard]] std::vector<std::string> rooms_to_save() const {
        return {to_save_.begin(), to_save_.end()};
    }

private:
    std::size_t bytes_max_;
    std::map<std::string, std::size_t> bytes_{};
    std::set<std::string> to_save_{};
};

}}}  // namespace belay::detail
