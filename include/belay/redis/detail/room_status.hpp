// SPDX-License-Identifier: MIT
/// \file belay/redis/detail/room_status.hpp
/// RedisRoomStatus: the part of a redis::RoomsStatus that the worker's thread counts.
#pragma once

#include <chrono>  // std::chrono::steady_clock
#include <mutex>   // std::mutex

#include <belay/redis/rooms_status.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Complexity:    O(1).
/// Thread safety: all members.
class RedisRoomStatus {
public:
    /// Calls `f` with the status, to change it.   Pre: `f` does not block.
    template <class F>
    void change(F&& f) {
        const std::lock_guard lock{mutex_};
        f(status_);
    }
    /// The connection of the calls is open or not, and is the `number`-th one.
    void connection(bool is_open, std::uint64_t number) {
        change([&](redis::RoomsStatus& status) {
            const bool anew = status.connections != number;
            if (!is_open) status.connected_since.reset();
            if (is_open && (anew || !status.connected_since))
                status.connected_since = std::chrono::steady_clock::now();
            status.connections = number;
        });
    }
    [[nodiscard]] redis::RoomsStatus get() const {
        const std::lock_guard lock{mutex_};
        return status_;
    }

private:
    mutable std::mutex mutex_{};
    redis::RoomsStatus status_{};
};

}}}  // namespace belay::detail
