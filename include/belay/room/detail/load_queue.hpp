// SPDX-License-Identifier: MIT
/// \file belay/room/detail/load_queue.hpp
/// LoadQueue: the rooms that wait for RoomOptions::loads_max, in turn by user.
#pragma once

#include <algorithm>    // std::min_element
#include <cstdint>      // std::uint64_t
#include <functional>   // std::less
#include <iterator>     // std::next
#include <map>          // std::map
#include <set>          // std::set
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::exchange

#include <belay/room/detail/room_state.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The rooms that wait until their load may begin. The users take turns, so that one user with many
/// rooms delays another one by one load. The rooms of one user are loaded in the order of their
/// requests.
///
/// A user who has rooms again, or has had a turn, is behind all users that have rooms. A room may
/// have several users. It is loaded in the first turn of any of them.
///
/// Complexity:    O(log n) to add a room or a user, else O(users that wait * log n).
/// Throws:        std::bad_alloc, in `push` and `share` only, which then change nothing.
/// Thread safety: the manager's home thread.
class LoadQueue {
public:
    [[nodiscard]] bool empty() const noexcept { return rooms_.empty(); }
    /// Returns when the room that waits for longest has waited for too long.
    [[nodiscard]] Instant ends() const noexcept {
        // All wait for the same time.
        return rooms_.empty() ? never : rooms_.begin()->second->calls.load_queue.ends;
    }
    /// Adds a room, which waits until `ends`.   Pre: it does not wait.
    void push(RoomBase& room, std::string_view user, Instant ends) {
        const std::uint64_t number = last_number_ + 1;
        Rooms added{{number, &room}};
        count(number, user);
        last_number_ = number;
        rooms_.merge(added);
        room.calls.load_queue = {.number = number, .ends = ends};
    }
    /// One more user waits for a room. A room that does not wait is ignored.
    void share(const RoomBase& room, std::string_view user) {
        const std::uint64_t number = room.calls.load_queue.number;
        if (rooms_.find(number) != rooms_.end()) count(number, user);
    }
    /// Removes a room, if it waits.
    void remove(RoomBase& room) noexcept {
        const std::uint64_t number = std::exchange(room.calls.load_queue.number, 0);
        if (rooms_.erase(number) == 0) return;
        for (auto user = users_.begin(); user != users_.end();) {
            user->second.rooms.erase(number);
            user = user->second.rooms.empty() ? users_.erase(user) : std::next(user);
        }
    }
    /// Removes the first room of the next user.   Pre: !empty().
    [[nodiscard]] RoomBase& take_next() noexcept {
        const auto next = std::min_element(users_.begin(), users_.end(), [](auto& a, auto& b) {
            return a.second.turn < b.second.turn;
        });
        next->second.turn = ++last_turn_;
        return take(rooms_.find(*next->second.rooms.begin()));
    }
    /// Removes the room that waits for longest.   Pre: !empty().
    [[nodiscard]] RoomBase& take_oldest() noexcept { return take(rooms_.begin()); }

private:
    using Rooms = std::map<std::uint64_t, RoomBase*>;  // in the order of their requests
    struct User {
        std::uint64_t turn;
        std::set<std::uint64_t> rooms{};
    };
    using Users = std::map<std::string, User, std::less<>>;

    /// A user waits for a room. The entry is complete before it is inserted.
    void count(std::uint64_t number, std::string_view user) {
        if (const auto found = users_.find(user); found != users_.end()) {
            found->second.rooms.insert(number);
            return;
        }
        Users added;
        added.emplace(user, User{last_turn_ + 1, {number}});
        ++last_turn_;
        users_.merge(added);
    }
    [[nodiscard]] RoomBase& take(Rooms::iterator found) noexcept {
        RoomBase& room = *found->second;
        remove(room);
        return room;
    }

    Rooms rooms_{};
    Users users_{};
    std::uint64_t last_number_ = 0;
    std::uint64_t last_turn_ = 0;
};

}}}  // namespace belay::detail
