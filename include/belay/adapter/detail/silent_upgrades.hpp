// SPDX-License-Identifier: MIT
/// \file belay/adapter/detail/silent_upgrades.hpp
/// SilentUpgrades: the upgrades of a listener whose request is not complete, by IP address.
#pragma once

#include <cstddef>  // std::size_t
#include <list>     // std::list
#include <map>      // std::map
#include <set>      // std::set
#include <utility>  // std::move, std::pair

#include <belay/adapter/detail/upgrade_rules.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Orders the upgrades whose request is not complete. A full listener can then close the one that
/// matters least: the oldest one of the address that has most of them. An IPv6 network of 64 bits
/// counts as one address.
///
/// `Upgrade` is what the listener keeps for an upgrade; each is there at most once.
///
/// Thread safety: the listener's thread.   Complexity: O(log n) each.
template <class Upgrade>
class SilentUpgrades {
public:
    /// The place of an upgrade, for `remove`.
    struct Place {
        IpAddress share{};
        typename std::list<Upgrade*>::iterator at{};
    };

    /// Throws: std::bad_alloc.
    [[nodiscard]] Place add(const IpAddress& ip, Upgrade& upgrade) {
        const IpAddress share = ip.share();
        std::list<Upgrade*> one{&upgrade};
        std::list<Upgrade*>& all = by_share_[share];
        most_.emplace(all.size() + 1, share);
        most_.erase({all.size(), share});
        const Place place{share, one.begin()};
        all.splice(all.end(), one);
        return place;
    }
    void remove(const Place& place) noexcept {
        const auto found = by_share_.find(place.share);
        std::list<Upgrade*>& all = found->second;
        auto counted = most_.extract({all.size(), place.share});
        all.erase(place.at);
        if (all.empty()) {
            by_share_.erase(found);
            return;
        }
        counted.value().first = all.size();
        most_.insert(std::move(counted));
    }
    /// Returns the upgrade to close for another one; null if no address has two.
    [[nodiscard]] Upgrade* least_important() const noexcept {
        if (most_.empty() || most_.rbegin()->first < 2) return nullptr;
        return by_share_.find(most_.rbegin()->second)->second.front();
    }

private:
    std::map<IpAddress, std::list<Upgrade*>> by_share_{};  ///< the oldest of each first
    std::set<std::pair<std::size_t, IpAddress>> most_{};   ///< the addresses, by their numbers
};

}}}  // namespace belay::detail
