// SPDX-License-Identifier: MIT
/// \file belay/room/detail/load_queue.hpp
/// LoadQueue: the rooms that wait for RoomOptions::loads_max, in turn by user.
#pragma once

#include <algorithm>    // std::find
#include <cstdint>      // std::uint64_t
#include <map>          // std::map
#include <set>          // std::set
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::exchange
#include <vector>       // std::vector

#include <belay/room/detail/room_state.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The rooms that wait until their load may begin. The users take turns, so that one user with many
/// rooms delays another one by one load. The rooms of one user are loaded in the order of their
/// requests.
///
/// A room may have several users. It is loaded in the first turn of any of them.
///
/// Complexity:    O(log n) for each room and each of its users.
/// Throws:        std::bad_alloc, in `push` and `share` only.
/// Thread safety: the manager's home thread.
class LoadQueue {
public:
    [[nodiscard]] bool empty() const noexcept { return rooms_.empty(); }
    /// Returns when the room that waits for longest has waited for too long.
    [[nodiscard]] Instant ends() const noexcept {
        // All wait for the same time.
        return rooms_.empty() ? never : rooms_.begin()->second.room->calls.load_queue.ends;
    }
    /// Adds a room, which waits until `ends`.   Pre: it does not wait.
    void push(RoomBase& room, std::string_view user, Instant ends) {
        room.calls.load_queue = {.number = ++last_number_, .ends = ends};
        rooms_.emplace(last_number_, Waiting{&room, {}});
        share(room, user);
    }
    /// One more user waits for a room. A room that does not wait is ignored.
    void share(const RoomBase& room, std::string_view user) {
        const auto found = rooms_.find(room.calls.load_queue.number);
        if (found == rooms_.end()) return;
        std::vector<std::string>& users = found->second.users;
        if (std::find(users.begin(), users.end(), user) != users.end()) return;
        users.emplace_back(user);
        users_[users.back()].insert(found->first);
    }
    /// Removes a room, if it waits.
    void remove(RoomBase& room) noexcept {
        const auto found = rooms_.find(std::exchange(room.calls.load_queue.number, 0));
        if (found == rooms_.end()) return;
        for (const std::string& user : found->second.users) {
            const auto of = users_.find(user);
            of->second.erase(found->first);
            if (of->second.empty()) users_.erase(of);
        }
        rooms_.erase(found);
    }
    /// Removes the first room of the next user.   Pre: !empty().
    [[nodiscard]] RoomBase& take_next() {
        auto next = users_.upper_bound(last_user_);
        if (next == users_.end()) next = users_.begin();
        last_user_ = next->first;
        return take(*next->second.begin());
    }
    /// Removes the room that waits for longest.   Pre: !empty().
    [[nodiscard]] RoomBase& take_oldest() noexcept { return take(rooms_.begin()->first); }

private:
    struct Waiting {
        RoomBase* room;
        std::vector<std::string> users;
    };

    [[nodiscard]] RoomBase& take(std::uint64_t number) noexcept {
        RoomBase& room = *rooms_.find(number)->second.room;
        remove(room);
        return room;
    }

    std::map<std::uint64_t, Waiting> rooms_{};  // in the order of their requests
    std::map<std::string, std::set<std::uint64_t>, std::less<>> users_{};  // the rooms of each
    std::string last_user_{};                                              // who had the last turn
    std::uint64_t last_number_ = 0;
};

}}}  // namespace belay::detail
