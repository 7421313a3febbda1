// SPDX-License-Identifier: MIT
/// \file belay/room/detail/rechecks_under_way.hpp
/// RechecksUnderWay: the clients that are checked again, and the shares of users and rooms.
#pragma once

#include <cstddef>  // std::size_t
#include <cstdint>  // std::uint64_t
#include <map>      // std::map
#include <utility>  // std::exchange

#include <belay/room/detail/room_client.hpp>
#include <belay/room/detail/user_shares.hpp>
#include <belay/room/room_options.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The clients that are checked again, within RoomOptions::rechecks_max.
///
/// A user has less than three times as many checks under way as are free before its next one
/// begins. It leaves at least one to others, unless rechecks_max is 1. The same holds for a room.
/// So checks of one user, or of one room, that hang do not delay those of others.
///
/// Complexity:    O(log n).
/// Thread safety: the manager's home thread.
class RechecksUnderWay {
public:
    /// The options must outlive it.
    explicit RechecksUnderWay(const RoomOptions& options) noexcept : options_{options} {}

    [[nodiscard]] bool full() const noexcept { return clients_.size() >= options_.rechecks_max; }
    /// Whether this client may be checked now.   Throws: std::bad_alloc.
    [[nodiscard]] bool may_begin(const RoomClient& client) const {
        return !full() && may_hold(users_.of(turn_owner(client))) &&
               may_hold(rooms_.of(client.request.board));
    }
    /// Throws: std::bad_alloc, and changes nothing then.
    void add(const RoomClient& client) {
        clients_.try_emplace(
            client.id, Shares{{users_, turn_owner(client), 1}, {rooms_, client.request.board, 1}});
    }
    void remove(std::uint64_t client) noexcept {
        clients_.erase(client);
        changed_ = true;
    }
    /// A client waits, or a check has ended: another one may begin now.
    void note_change() noexcept { changed_ = true; }
    [[nodiscard]] bool take_change() noexcept { return std::exchange(changed_, false); }
    [[nodiscard]] bool changed() const noexcept { return changed_; }

private:
    struct Shares {
        UserShares::Held of_user;
        UserShares::Held of_room;
    };

    /// Whether a user or a room that has `own` of them may have another one.
    [[nodiscard]] bool may_hold(std::size_t own) const noexcept {
        const std::size_t left = options_.rechecks_max - clients_.size();
        return own == 0 || (left > 1 && own / 3 < left);
    }

    const RoomOptions& options_;
    UserShares users_{};
    UserShares rooms_{};
    std::map<std::uint64_t, Shares> clients_{};  // by their ids
    bool changed_ = false;
};

}}}  // namespace belay::detail
