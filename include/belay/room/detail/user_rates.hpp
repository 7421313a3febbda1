// SPDX-License-Identifier: MIT
/// \file belay/room/detail/user_rates.hpp
/// UserRates: limits the work that the clients of each user cause together.
#pragma once

#include <cstddef>      // std::size_t
#include <functional>   // std::less
#include <map>          // std::map, std::erase_if
#include <string>       // std::string
#include <string_view>  // std::string_view

#include <belay/room/detail/client_connection.hpp>
#include <belay/room/detail/share_owner.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A bucket for each user, by the key of the user (`share_owner`). It fills at
/// RoomOptions::answer_rate_per_user_max. The users without a name at one address have one bucket,
/// of `users_per_address` times the size and the rate. Only users that were charged lately take
/// memory. An empty key is not counted: it may be of many users.
///
/// Complexity:    O(log users), amortized.
/// Thread safety: the manager's home thread.
class UserRates {
public:
    static constexpr std::size_t users_per_address = 8;

    /// Returns when a user has credit: not after `now`, if it has some already.
    [[nodiscard]] Instant ready_at(std::string_view user) const noexcept {
        const auto found = rates_.find(user);
        return found != rates_.end() ? found->second.read_at : always;
    }
    /// Charges a user.
    void charge(std::string_view user, std::size_t bytes, Instant now, const RoomOptions& options) {
        if (user.empty()) return;
        if (rates_.size() >= sweep_at_) {
            std::erase_if(rates_, [&](const auto& one) { return one.second.paid_until <= now; });
            sweep_at_ = 2 * rates_.size() + 64;
        }
        auto found = rates_.find(user);
        if (found == rates_.end()) found = rates_.emplace(user, ReadRate{}).first;
        const std::size_t parts = is_address_owner(user) ? users_per_address : 1;
        const std::size_t cost = bytes / parts + (bytes % parts != 0 ? 1 : 0);
        static_cast<void>(
            found->second.charge(cost, now, options, options.answer_rate_per_user_max));
    }
    [[nodiscard]] std::size_t users() const noexcept { return rates_.size(); }

private:
    std::map<std::string, ReadRate, std::less<>> rates_{};
    std::size_t sweep_at_ = 64;  ///< the number of users at which the others are forgotten
};

}}}  // namespace belay::detail
