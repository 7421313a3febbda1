// SPDX-License-Identifier: MIT
/// \file belay/room/detail/load_queue.hpp
/// LoadQueue, LoadsUnderWay: the loads that wait for RoomOptions::loads_max, and the running ones.
#pragma once

#include <algorithm>    // std::find_if, std::none_of
#include <cstddef>      // std::size_t
#include <cstdint>      // std::uint64_t
#include <functional>   // std::less
#include <map>          // std::map
#include <memory>       // std::unique_ptr
#include <set>          // std::set
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::exchange, std::move
#include <vector>       // std::vector

#include <belay/core/order.hpp>
#include <belay/room/detail/room_state.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The loads that are under way, each with the user in whose turn it began. The load of a room that
/// is evicted meanwhile counts until the storage answers, or its time is over: the storage still
/// works on it.
///
/// A user who has one of them leaves a quarter of `most`, and at least one load unless `most` is 1,
/// to users who have none. So a user whose loads hang does not delay another one. All loads that
/// the server causes count as those of one user. Loads for saves that the
/// storage requests have no user, and no such limit: they have one of their own.
///
/// Complexity:    O(loads that are under way).
/// Thread safety: the manager's home thread.
class LoadsUnderWay {
public:
    /// Whether a load of any user may begin.
    [[nodiscard]] bool any_may_begin(std::size_t most) const noexcept {
        return loads_.size() < most;
    }
    [[nodiscard]] bool may_begin(std::string_view user, std::size_t most) const noexcept {
        if (loads_.size() >= most) return false;
        if (user.empty()) return true;
        const std::size_t left = most == 1 ? 0 : larger(most / 4, std::size_t{1});
        if (most - loads_.size() > left) return true;
        return std::none_of(loads_.begin(), loads_.end(),
                            [&](const Load& one) { return one.user == user; });
    }
    void add(const RoomBase& room, std::string_view user) {
        loads_.push_back({&room, std::string{user}, nullptr});
    }
    void remove(const RoomBase& room) noexcept {
        std::erase_if(loads_, [&](const Load& one) { return one.room == &room; });
    }
    /// The room is evicted. Its load, if there is one, wakes `waker` when it has ended.
    void evict(RoomBase& room, const Waker& waker) noexcept {
        if (!room.calls.load) return remove(room);
        room.calls.load->attach(waker);
        for (Load& one : loads_) {
            if (one.room != &room) continue;
            one.room = nullptr;
            one.of_evicted = std::move(room.calls.load);
        }
    }
    /// Removes the loads of evicted rooms that have ended.
    void remove_ended(Instant now) noexcept {
        std::erase_if(loads_, [&](const Load& one) {
            return one.of_evicted && one.of_evicted->has_ended(now);
        });
    }
    void attach(const Waker& waker) noexcept {
        for (const Load& one : loads_) {
            if (one.of_evicted) one.of_evicted->attach(waker);
        }
    }
    /// Returns when the load of an evicted room ends.
    [[nodiscard]] Instant deadline() const noexcept {
        Instant next = never;
        for (const Load& one : loads_) {
            if (one.of_evicted) next = smaller(next, one.of_evicted->deadline());
        }
        return next;
    }

private:
    struct Load {
        const RoomBase* room;  ///< null: it was evicted
        std::string user;
        std::unique_ptr<LoadCall> of_evicted{};
    };
    std::vector<Load> loads_{};
};

/// The loads that wait until they may begin. The users take turns, so that one user with many rooms
/// delays another one by one load. The rooms of one user are loaded in the order of their requests.
/// Rooms that the server opens are those of one user.
///
/// A user who has rooms again, or has had a turn, is behind all users that have rooms. A room may
/// have several users. It is loaded in the first turn of any of them.
///
/// Complexity:    O(log n) to add a room or a user, and to remove a load O(log n) for each of its
///                users. `take_next` looks at users who may not begin a load, and each of them has
///                one that is under way. So its cost does not depend on how many users wait.
/// Thread safety: the manager's home thread.
class LoadQueue {
public:
    [[nodiscard]] bool empty() const noexcept { return loads_.empty(); }
    /// Returns when the load that waits for longest has waited for too long.
    [[nodiscard]] Instant ends() const noexcept {
        // All wait for the same time.
        return loads_.empty() ? never : loads_.begin()->second.ends;
    }
    /// Adds a room, which waits until `ends`.   Pre: it does not wait.
    void push(RoomBase& room, std::string_view user, Instant ends) {
        room.calls.load_queue = {.number = ++last_number_};
        count(*loads_.emplace(last_number_, Waiting{&room, ends}).first, user);
    }
    /// One more user waits for a room. A room that does not wait is ignored.
    void share(const RoomBase& room, std::string_view user) {
        const auto found = loads_.find(room.calls.load_queue.number);
        if (found != loads_.end()) count(*found, user);
    }
    /// Removes a room, if it waits.
    void remove(RoomBase& room) noexcept {
        const auto found = loads_.find(std::exchange(room.calls.load_queue.number, 0));
        if (found != loads_.end()) remove(found);
    }
    /// Moves the first load of the next user who may begin one to `under_way`.
    /// Returns: its room; null if there is none.
    template <class UnderWay>
    [[nodiscard]] RoomBase* take_next(UnderWay& under_way, std::size_t most) {
        if (!under_way.any_may_begin(most)) return nullptr;
        const auto next = std::find_if(turns_.begin(), turns_.end(), [&](const auto& turn) {
            return under_way.may_begin(turn.second->first, most);
        });
        if (next == turns_.end()) return nullptr;
        auto& [name, user] = *next->second;
        const auto found = loads_.find(*user.loads.begin());
        under_way.add(*found->second.room, name);
        auto turn = turns_.extract(next);
        user.turn = turn.key() = ++last_turn_;
        turns_.insert(std::move(turn));
        return take(found);
    }
    /// Removes the load that waits for longest.   Pre: !empty().
    [[nodiscard]] RoomBase& take_oldest() noexcept { return *take(loads_.begin()); }

private:
    struct User {
        std::uint64_t turn;
        std::set<std::uint64_t> loads{};
    };
    using Users = std::map<std::string, User, std::less<>>;
    using UserEntry = Users::value_type;
    struct Waiting {
        RoomBase* room;
        Instant ends;                     ///< when it has waited for too long
        std::vector<UserEntry*> users{};  ///< those in whose turns it may begin
    };
    using Loads = std::map<std::uint64_t, Waiting>;  // in the order of their requests
    using Turns = std::map<std::uint64_t, UserEntry*>;

    /// A user waits for a load.
    void count(Loads::value_type& load, std::string_view user) {
        auto found = users_.find(user);
        if (found == users_.end()) {
            found = users_.emplace(user, User{++last_turn_}).first;
            turns_.emplace(last_turn_, &*found);
        }
        if (found->second.loads.insert(load.first).second) load.second.users.push_back(&*found);
    }
    [[nodiscard]] RoomBase* take(Loads::iterator found) noexcept {
        RoomBase* const room = found->second.room;
        room->calls.load_queue.number = 0;
        remove(found);
        return room;
    }
    void remove(Loads::iterator found) noexcept {
        for (UserEntry* const entry : found->second.users) {
            entry->second.loads.erase(found->first);
            if (!entry->second.loads.empty()) continue;
            turns_.erase(entry->second.turn);
            users_.erase(users_.find(entry->first));
        }
        loads_.erase(found);
    }

    Loads loads_{};
    Users users_{};
    Turns turns_{};
    std::uint64_t last_number_ = 0;
    std::uint64_t last_turn_ = 0;
};

}}}  // namespace belay::detail
