// SPDX-License-Identifier: MIT
/// \file belay/room/detail/waiting_clients.hpp
/// WaitingClients: the clients that wait for their admission, by user.
#pragma once

#include <cstddef>      // std::size_t
#include <cstdint>      // std::uint64_t
#include <functional>   // std::less
#include <map>          // std::map
#include <set>          // std::set
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::move

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The clients, and the multiplexed connections without clients, that wait for their admission. It
/// finds the one to give up for another user.
///
/// The user of a client is not known before the grant. Until then, a client counts for its address.
///
/// Complexity:    O(log n), except `newest_of_largest`.
/// Thread safety: the manager's home thread.
class WaitingClients {
public:
    [[nodiscard]] std::size_t size() const noexcept { return users_.size(); }
    /// Adds a client, or counts it for another user than before.
    void put(std::uint64_t id, std::string user) {
        remove(id);
        ids_[user].insert(id);
        users_.emplace(id, std::move(user));
    }
    /// Removes a client, if it waits.
    void remove(std::uint64_t id) noexcept {
        const auto found = users_.find(id);
        if (found == users_.end()) return;
        const auto of = ids_.find(found->second);
        of->second.erase(id);
        if (of->second.empty()) ids_.erase(of);
        users_.erase(found);
    }
    void clear() noexcept {
        users_.clear();
        ids_.clear();
    }
    /// Returns the number of clients of a user that wait.
    [[nodiscard]] std::size_t of(std::string_view user) const noexcept {
        const auto found = ids_.find(user);
        return found != ids_.end() ? found->second.size() : 0;
    }
    /// Returns the newest client of the user that has most here, of those for which
    /// `may_end(id, number of the user's clients)`; 0 if none of these has more than `than`.
    /// Complexity: O(users that wait), and as many calls of `may_end`.
    template <class MayEnd>
    [[nodiscard]] std::uint64_t newest_of_largest(std::size_t than, MayEnd may_end) const {
        std::uint64_t newest = 0;
        for (const auto& [user, ids] : ids_) {
            if (ids.size() <= than || !may_end(*ids.rbegin(), ids.size())) continue;
            than = ids.size();
            newest = *ids.rbegin();
        }
        return newest;
    }

private:
    std::map<std::uint64_t, std::string> users_{};                       // of each client
    std::map<std::string, std::set<std::uint64_t>, std::less<>> ids_{};  // of each user
};

}}}  // namespace belay::detail
