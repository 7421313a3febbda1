// SPDX-License-Identifier: MIT
/// \file belay/room/detail/aware_rooms.hpp
/// AwareRooms: the rooms whose awareness has changed.
#pragma once

#include <utility>  // std::exchange

#include <belay/room/detail/room_state.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The rooms whose awareness has changed, in their order.
///
/// Thread safety: the manager's home thread.
class AwareRooms {
public:
    AwareRooms() = default;
    AwareRooms(const AwareRooms&) = delete;
    AwareRooms& operator=(const AwareRooms&) = delete;

    [[nodiscard]] bool empty() const noexcept { return first_ == nullptr; }
    /// Pre: the room is not in the list.
    void push(RoomBase& room) noexcept {
        room.next_aware = nullptr;
        *end_ = &room;
        end_ = &room.next_aware;
    }
    /// Returns the first room, which leads to the others. The list is empty then.
    [[nodiscard]] RoomBase* take_all() noexcept {
        end_ = &first_;
        return std::exchange(first_, nullptr);
    }
    /// Removes the rooms that were evicted, in one pass: a stop evicts all of them.
    /// Complexity: O(n).
    void remove_evicted() noexcept {
        RoomBase** at = &first_;
        while (*at != nullptr) {
            RoomBase& room = **at;
            if (room.evicted)
                *at = room.next_aware;
            else
                at = &room.next_aware;
        }
        end_ = at;
    }

private:
    RoomBase* first_ = nullptr;
    RoomBase** end_ = &first_;  ///< where the next room is added
};

}}}  // namespace belay::detail
