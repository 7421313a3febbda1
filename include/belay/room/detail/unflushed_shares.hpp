// SPDX-License-Identifier: MIT
/// \file belay/room/detail/unflushed_shares.hpp
/// UnflushedShares: limits the changes of one user that wait to become durable.
#pragma once

#include <cstddef>      // std::size_t
#include <string>       // std::string
#include <string_view>  // std::string_view

#include <belay/core/order.hpp>
#include <belay/room/detail/limited_error.hpp>
#include <belay/room/detail/user_shares.hpp>
#include <belay/room/room_errc.hpp>
#include <belay/room/room_options.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The bytes that the author of a change holds while the change waits.
struct UnflushedShare {
    void release() noexcept {
        in_room.release();
        in_all.release();
    }

    UserShares::Reservation in_room{};
    UserShares::Reservation in_all{};  ///< in all rooms
};
/// A change that is to wait.
struct UnflushedChange {
    std::string_view owner;  ///< whose share it takes; empty: it takes none
    std::string_view room;
    std::size_t bytes;
};

/// Counts the bytes of changes that wait, of each user in each room, within
/// RoomOptions::unflushed_bytes_max, and in all rooms, within unflushed_bytes_per_user_max. A room
/// without such changes takes no memory here.
///
/// Complexity:    O(log changes) comparisons of names.
/// Thread safety: the manager's home thread.
class UnflushedShares {
public:
    /// The options must outlive it.
    explicit UnflushedShares(const RoomOptions& options) noexcept : options_{options} {}

    /// Returns why a change may not wait, in a room whose changes have `pending` bytes. A user may
    /// then have at most three times as many bytes in the room as are left of the limit. If no
    /// other change of the user waits, the change must only fit: into what is left of the room, and
    /// not into unflushed_bytes_per_user_max. So others cannot keep a large change out for ever.
    [[nodiscard]] LimitedError check(const UnflushedChange& change, std::size_t pending) const {
        const std::size_t most = options_.unflushed_bytes_max;
        const std::size_t left = most - smaller(most, pending);
        const std::size_t left_then = left - smaller(left, change.bytes);
        if (!change.owner.empty()) {
            const std::size_t mine = in_rooms_.of(owner_in_room(change.owner, change.room));
            if (mine != 0 && (mine + change.bytes) / 3 > left_then)
                return {RoomErrc::too_many_of_user, "unflushed_bytes_max"};
            const std::size_t of_user = options_.unflushed_bytes_per_user_max;
            const std::size_t all = in_all_.of(change.owner);
            if (all != 0 && change.bytes > of_user - smaller(of_user, all))
                return {RoomErrc::too_many_of_user, "unflushed_bytes_per_user_max"};
        }
        if (change.bytes > left) return {RoomErrc::not_durable, "unflushed_bytes_max"};
        return {};
    }
    /// Counts a change.
    [[nodiscard]] UnflushedShare reserve(const UnflushedChange& change) {
        if (change.owner.empty()) return {};
        return {{in_rooms_, owner_in_room(change.owner, change.room), change.bytes},
                {in_all_, change.owner, change.bytes}};
    }

private:
    const RoomOptions& options_;
    UserShares in_rooms_{};  // by the user and the room
    UserShares in_all_{};
};

}}}  // namespace belay::detail
