// SPDX-License-Identifier: MIT
/// \file belay/room/detail/user_shares.hpp
/// UserShares: counts what each user holds of a resource that all users share.
#pragma once

#include <cstddef>      // std::size_t
#include <map>          // std::map
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::exchange

#include <belay/core/assert.hpp>
#include <belay/room/detail/share_owner.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Counts what each user holds, by a key: of a user (`share_owner`), of a user in one room
/// (`owner_in_room`), or of a room (RechecksUnderWay). Only keys that hold something take memory.
/// An empty key is not counted: it may be of many users.
///
/// Complexity:    O(log users).
/// Thread safety: the manager's home thread.
class UserShares {
    struct Amount {
        UserShares* shares;
        std::size_t reserved = 0;
    };
    using Users = std::map<std::string, Amount, std::less<>>;

public:
    /// An amount that a user holds, for as long as this lives. The shares must outlive it. An
    /// amount of 0 is not counted.
    class Reservation {
    public:
        Reservation() noexcept = default;
        Reservation(UserShares& shares, std::string_view user, std::size_t amount)
            : amount_{user.empty() ? 0 : amount} {
            if (amount_ == 0) return;
            user_ = shares.users_.find(user);
            if (user_ == shares.users_.end())
                user_ = shares.users_.emplace(user, Amount{&shares}).first;
            user_->second.reserved += amount_;
        }
        Reservation(Reservation&& other) noexcept
            : amount_{std::exchange(other.amount_, 0)}, user_{other.user_} {}
        Reservation& operator=(Reservation&&) = delete;
        /// Returns the owner; empty if it is not counted. It is valid while this lives.
        [[nodiscard]] std::string_view owner() const noexcept {
            return amount_ != 0 ? std::string_view{user_->first} : std::string_view{};
        }
        /// From now on, it holds nothing.
        void release() noexcept {
            if (amount_ == 0) return;
            Amount& of_user = user_->second;
            of_user.reserved -= std::exchange(amount_, 0);
            if (of_user.reserved == 0) of_user.shares->users_.erase(user_);
        }
        ~Reservation() { release(); }

    private:
        std::size_t amount_ = 0;
        Users::iterator user_{};
    };

    UserShares() noexcept = default;
    UserShares(const UserShares&) = delete;
    UserShares& operator=(const UserShares&) = delete;

    /// Returns what a user holds; 0 for a user without a name.
    [[nodiscard]] std::size_t of(std::string_view user) const noexcept {
        const auto found = users_.find(user);
        return found != users_.end() ? found->second.reserved : 0;
    }
    [[nodiscard]] std::size_t users() const noexcept { return users_.size(); }

private:
    Users users_{};
};

}}}  // namespace belay::detail
