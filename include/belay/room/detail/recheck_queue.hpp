// SPDX-License-Identifier: MIT
/// \file belay/room/detail/recheck_queue.hpp
/// RecheckQueue: the clients that wait to be checked again, and those that are.
#pragma once

#include <cstddef>      // std::size_t
#include <cstdint>      // std::uint64_t
#include <functional>   // std::less
#include <list>         // std::list
#include <map>          // std::map
#include <optional>     // std::nullopt, std::optional
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::move, std::pair

#include <belay/room/detail/user_shares.hpp>
#include <belay/room/room_options.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The clients that are checked again, within RoomOptions::rechecks_max.
///
/// A user has at most as many checks under way as are free then, and a room at most three times as
/// many; each has at least one. So checks of one user that hang do not delay those of others, and
/// checks of one room that hang do not delay those of other rooms. A room has more than a user,
/// because others wait in the room of a user whose checks hang.
///
/// Complexity:    O(log n).
/// Thread safety: the manager's home thread.
class RechecksUnderWay {
public:
    /// The options must outlive it.
    explicit RechecksUnderWay(const RoomOptions& options) noexcept : options_{options} {}

    [[nodiscard]] bool full() const noexcept { return clients_.size() >= options_.rechecks_max; }
    /// Whether one more client of this user may be checked now, and of this room.   Pre: !full().
    [[nodiscard]] bool user_may_begin(std::string_view user) const noexcept {
        return may_hold(users_.of(user), 1);
    }
    [[nodiscard]] bool room_may_begin(std::string_view room) const noexcept {
        return may_hold(rooms_.of(room), 3);
    }
    void add(std::uint64_t client, std::string_view user, std::string_view room) {
        clients_.try_emplace(client, Shares{{users_, user, 1}, {rooms_, room, 1}});
    }
    void remove(std::uint64_t client) noexcept { clients_.erase(client); }

private:
    struct Shares {
        UserShares::Reservation of_user;
        UserShares::Reservation of_room;
    };

    /// Whether a user or a room that has `own` of them may have another one: it then has at most
    /// `times` as many as are free.
    [[nodiscard]] bool may_hold(std::size_t own, std::size_t times) const noexcept {
        const std::size_t left = options_.rechecks_max - clients_.size() - 1;
        return own == 0 || own / times < left;
    }

    const RoomOptions& options_;
    UserShares users_{};
    UserShares rooms_{};
    std::map<std::uint64_t, Shares> clients_{};  // by their ids
};

/// The clients that wait until they may be checked again, and those that are under way.
///
/// The clients of one user in one room are a group, and are checked in the order of their requests.
/// The groups take turns. A group whose user or room has its share already is blocked. It is parked
/// with that user or that room, and keeps its turn, so that it is not looked at again until that
/// user or room may have one more. So the cost of an answer does not depend on how many clients
/// wait.
///
/// `Shares` decides whether a user and a room may have one more.
///
/// Complexity:    O(log n), and O(blocked users and rooms * log n) for `take_next`. A group is
///                parked at most once in each of its turns, and once for each blocked room of a
///                user, or blocked user of a room, that may have one more.
/// Thread safety: the manager's home thread.
template <class Shares>
class BasicRecheckQueue {
public:
    /// The options must outlive it.
    explicit BasicRecheckQueue(const RoomOptions& options) noexcept : under_way_{options} {}
    BasicRecheckQueue(const BasicRecheckQueue&) = delete;
    BasicRecheckQueue& operator=(const BasicRecheckQueue&) = delete;

    /// Whether `take_next` may find a client.
    [[nodiscard]] bool changed() const noexcept { return changed_ && !waiting_.empty(); }
    [[nodiscard]] std::size_t waiting() const noexcept { return waiting_.size(); }
    /// Adds a client.   Pre: it does not wait.
    void push(std::uint64_t client, std::string user, std::string room) {
        const auto [found, is_new] = groups_.try_emplace(Key{std::move(user), std::move(room)});
        Group& group = found->second;
        if (is_new) {
            group.turn = ++last_turn_;
            group.in = &ready_;
            ready_.emplace(group.turn, &*found);
        }
        const auto place = group.clients.insert(group.clients.end(), client);
        waiting_.emplace(client, Place{&*found, place});
        changed_ = true;
    }
    /// Moves the next client that may be checked to those under way.
    /// Returns: its id; nothing if none may be checked until a change.
    [[nodiscard]] std::optional<std::uint64_t> take_next() {
        if (!under_way_.full()) {
            // All that are parked have earlier turns than those that are ready.
            Turns* parked = next_parked();
            while (parked != nullptr || !ready_.empty()) {
                Entry& group = *(parked != nullptr ? *parked : ready_).begin()->second;
                if (!park_if_blocked(group)) return begin(group);
                if (parked != nullptr) parked = next_parked();
            }
        }
        changed_ = false;
        return std::nullopt;
    }
    /// A client waits no longer, or its check is not under way any more.
    void remove(std::uint64_t client) noexcept {
        under_way_.remove(client);
        if (const auto found = waiting_.find(client); found != waiting_.end()) drop(found);
        changed_ = true;
    }
    [[nodiscard]] const Shares& under_way() const noexcept { return under_way_; }

private:
    struct Group;
    using Key = std::pair<std::string, std::string>;  // a user and a room
    using Entry = std::pair<const Key, Group>;
    using Turns = std::map<std::uint64_t, Entry*>;
    struct Group {
        std::list<std::uint64_t> clients{};
        std::uint64_t turn = 0;
        Turns* in = nullptr;  ///< where it waits for its turn
    };
    struct Place {
        Entry* group;
        std::list<std::uint64_t>::iterator at;
    };
    using Waiting = std::map<std::uint64_t, Place>;  // by their ids
    using Parks = std::map<std::string, Turns, std::less<>>;

    /// Returns where the earliest group of those waits whose user or room may have one more.
    [[nodiscard]] Turns* next_parked() noexcept {
        Turns* next = nullptr;
        const auto look = [&](Parks& parks, auto&& may_begin) {
            for (auto park = parks.begin(); park != parks.end();) {
                Turns& turns = park->second;
                const bool earlier =
                    !turns.empty() &&
                    (next == nullptr || turns.begin()->first < next->begin()->first);
                if (earlier && may_begin(park->first)) next = &turns;
                park = turns.empty() ? parks.erase(park) : ++park;
            }
        };
        look(parked_users_, [&](const auto& user) { return under_way_.user_may_begin(user); });
        look(parked_rooms_, [&](const auto& room) { return under_way_.room_may_begin(room); });
        return next;
    }
    /// Parks a group with its user or its room, if that one has its share.   Returns: whether it
    /// has.
    [[nodiscard]] bool park_if_blocked(Entry& group) {
        const auto& [user, room] = group.first;
        const bool of_user = !under_way_.user_may_begin(user);
        if (!of_user && under_way_.room_may_begin(room)) return false;
        Turns& to = of_user ? parked_users_[user] : parked_rooms_[room];
        to.insert(group.second.in->extract(group.second.turn));
        group.second.in = &to;
        return true;
    }
    /// Takes the first client of a group, which is then behind all others.
    [[nodiscard]] std::uint64_t begin(Entry& entry) {
        Group& group = entry.second;
        const std::uint64_t client = group.clients.front();
        under_way_.add(client, entry.first.first, entry.first.second);
        auto turn = group.in->extract(group.turn);
        group.turn = turn.key() = ++last_turn_;
        group.in = &ready_;
        ready_.insert(std::move(turn));
        drop(waiting_.find(client));
        return client;
    }
    void drop(typename Waiting::iterator found) noexcept {
        Entry& entry = *found->second.group;
        entry.second.clients.erase(found->second.at);
        waiting_.erase(found);
        if (!entry.second.clients.empty()) return;
        entry.second.in->erase(entry.second.turn);
        groups_.erase(groups_.find(entry.first));
    }

    Shares under_way_;
    std::map<Key, Group> groups_{};
    Turns ready_{};
    Parks parked_users_{};
    Parks parked_rooms_{};
    Waiting waiting_{};
    std::uint64_t last_turn_ = 0;
    bool changed_ = false;
};

using RecheckQueue = BasicRecheckQueue<RechecksUnderWay>;

}}}  // namespace belay::detail
