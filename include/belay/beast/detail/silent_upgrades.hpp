// SPDX-License-Identifier: MIT
/// \file belay/beast/detail/silent_upgrades.hpp
/// SilentUpgrades: the upgrades of a listener whose request is not complete, by IP address.
#pragma once

#include <cstddef>  // std::size_t
#include <list>     // std::list
#include <map>      // std::map
#include <set>      // std::set
#include <utility>  // std::move, std::pair

#include <belay/beast/detail/upgrade_rules.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Orders the upgrades whose request is not complete. A full listener can then close the one that
/// matters least: the oldest one of the address that has most of them. An IPv6 network of 64 bits
/// counts as one address. If no address has two, networks of 24 bits of IPv4 and 48 bits of IPv6
/// count, because one peer may have all addresses of such a network.
///
/// `Upgrade` is what the listener keeps for an upgrade; each is there at most once.
///
/// Thread safety: the listener's thread.   Complexity: O(log n) each.
template <class Upgrade>
class SilentUpgrades {
    /// The place of an upgrade in one order.
    struct Position {
        IpAddress key{};
        typename std::list<Upgrade*>::iterator at{};
    };
    /// The upgrades by one key.
    class Order {
    public:
        /// Throws: std::bad_alloc.
        [[nodiscard]] Position add(const IpAddress& key, Upgrade& upgrade) {
            std::list<Upgrade*> one{&upgrade};
            std::list<Upgrade*>& all = by_key_[key];
            most_.emplace(all.size() + 1, key);
            most_.erase({all.size(), key});
            const Position position{key, one.begin()};
            all.splice(all.end(), one);
            return position;
        }
        void remove(const Position& position) noexcept {
            const auto found = by_key_.find(position.key);
            std::list<Upgrade*>& all = found->second;
            auto counted = most_.extract({all.size(), position.key});
            all.erase(position.at);
            if (all.empty()) {
                by_key_.erase(found);
                return;
            }
            counted.value().first = all.size();
            most_.insert(std::move(counted));
        }
        /// Returns the oldest one of the key that has most; null if no key has two.
        [[nodiscard]] Upgrade* oldest_of_most() const noexcept {
            if (most_.empty() || most_.rbegin()->first < 2) return nullptr;
            return by_key_.find(most_.rbegin()->second)->second.front();
        }

    private:
        std::map<IpAddress, std::list<Upgrade*>> by_key_{};   ///< the oldest of each first
        std::set<std::pair<std::size_t, IpAddress>> most_{};  ///< the keys, by their numbers
    };

public:
    /// The place of an upgrade, for `remove`.
    struct Place {
        Position address{};
        Position network{};
    };

    /// Throws: std::bad_alloc.
    [[nodiscard]] Place add(const IpAddress& ip, Upgrade& upgrade) {
        Place place{.address = addresses_.add(ip.share(), upgrade)};
        try {
            place.network = networks_.add(ip.network(), upgrade);
        } catch (...) {
            addresses_.remove(place.address);
            throw;
        }
        return place;
    }
    void remove(const Place& place) noexcept {
        addresses_.remove(place.address);
        networks_.remove(place.network);
    }
    /// Returns the upgrade to close for another one; null if no address and no network has two.
    [[nodiscard]] Upgrade* least_important() const noexcept {
        Upgrade* const least = addresses_.oldest_of_most();
        return least != nullptr ? least : networks_.oldest_of_most();
    }

private:
    Order addresses_{};
    Order networks_{};
};

}}}  // namespace belay::detail
