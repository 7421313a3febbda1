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

/// Counts what each user holds, by the key that `share_owner` returns. Only users that hold
/// something take memory. An empty key is not counted: it may be of many users.
///
/// Complexity:    O(log users).
/// Throws:        std::bad_alloc, in Held only.
/// Thread safety: the manager's home thread.
class UserShares {
    using Users = std::map<std::string, std::size_t, std::less<>>;

public:
    /// An amount that a user holds, for as long as this lives. The shares must outlive it.
    class Held {
    public:
        Held() noexcept = default;
        Held(UserShares& shares, std::string_view user, std::size_t amount)
            : shares_{user.empty() ? nullptr : &shares}, amount_{amount} {
            if (shares_ == nullptr) return;
            const auto found = shares.users_.find(user);
            user_ = found != shares.users_.end() ? found : shares.users_.emplace(user, 0).first;
            user_->second += amount_;
        }
        Held(Held&& other) noexcept
            : shares_{std::exchange(other.shares_, nullptr)},
              amount_{other.amount_},
              user_{other.user_} {}
        Held& operator=(Held&&) = delete;
        /// Returns the owner; empty if it is not counted. It is valid while this lives.
        [[nodiscard]] std::string_view owner() const noexcept {
            return shares_ != nullptr ? std::string_view{user_->first} : std::string_view{};
        }
        ~Held() {
            if (shares_ == nullptr) return;
            user_->second -= amount_;
            if (user_->second == 0) shares_->users_.erase(user_);
        }

    private:
        UserShares* shares_ = nullptr;
        std::size_t amount_ = 0;
        Users::iterator user_{};
    };

    UserShares() noexcept = default;
    UserShares(const UserShares&) = delete;
    UserShares& operator=(const UserShares&) = delete;

    /// Returns what a user holds; 0 for a user without a name.
    [[nodiscard]] std::size_t of(std::string_view user) const noexcept {
        const auto found = users_.find(user);
        return found != users_.end() ? found->second : 0;
    }
    [[nodiscard]] std::size_t users() const noexcept { return users_.size(); }

private:
    Users users_{};
};

}}}  // namespace belay::detail
