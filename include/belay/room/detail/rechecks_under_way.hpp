// SPDX-License-Identifier: MIT
/// \file belay/room/detail/rechecks_under_way.hpp
/// RechecksUnderWay: the clients that are checked again, and the shares of users and rooms.
#pragma once

#include <cstddef>      // std::size_t
#include <cstdint>      // std::uint64_t
#include <map>          // std::map
#include <string_view>  // std::string_view

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

}}}  // namespace belay::detail
