// SPDX-License-Identifier: MIT
/// \file belay/room/detail/client_shares.hpp
/// ClientShares: limits the clients of one user.
#pragma once

#include <optional>     // std::optional
#include <string>       // std::string
#include <string_view>  // std::string_view

#include <belay/room/detail/room_client.hpp>
#include <belay/room/detail/user_shares.hpp>
#include <belay/room/room_options.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Counts the clients of each user, within RoomOptions::clients_per_user_max, and those of a user
/// in one room, within clients_per_user_and_room_max.
///
/// Complexity:    O(log clients).
/// Thread safety: the manager's home thread.
class ClientShares {
public:
    /// The options must outlive it.
    explicit ClientShares(const RoomOptions& options) noexcept : options_{options} {}

    /// Counts a client for a user, instead of the user that it was counted for.
    /// Returns: the option that limits that user, if it has its share already; then nothing has
    /// changed.
    [[nodiscard]] std::string_view try_count(RoomClient& client, const std::string& user) {
        const std::string owner = share_owner(user, client.request.ip);
        std::optional<ClientShare>& share = client.rights.share;
        if (owner.empty()) {
            share.reset();
            return {};
        }
        if (share && share->all.owner() == owner) return {};
        const std::string in_room = owner_in_room(owner, client.request.room_id);
        if (all_.of(owner) >= options_.clients_per_user_max) return "clients_per_user_max";
        if (in_rooms_.of(in_room) >= options_.clients_per_user_and_room_max)
            return "clients_per_user_and_room_max";
        share.reset();
        share.emplace(UserShares::Reservation{all_, owner, 1},
                      UserShares::Reservation{in_rooms_, in_room, 1});
        return {};
    }

private:
    const RoomOptions& options_;
    UserShares all_{};
    UserShares in_rooms_{};  // by the user and the room
};

}}}  // namespace belay::detail
