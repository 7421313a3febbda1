// SPDX-License-Identifier: MIT
/// \file belay/beast/detail/ip_limiter.hpp
/// IpLimiter and IpPermit: count the connections of a listener by IP address, and enforce its
/// limits.
/// SilentUpgrades: the upgrades of a listener whose request is not complete, by IP address.
#pragma once

#include <cstddef>   // std::size_t
#include <list>      // std::list
#include <map>       // std::map
#include <memory>    // std::shared_ptr
#include <optional>  // std::optional
#include <set>       // std::set
#include <utility>   // std::move, std::exchange, std::pair

#include <belay/beast/detail/upgrade_rules.hpp>
#include <belay/beast/listener_options.hpp>
#include <belay/core/clocks.hpp>
#include <belay/core/failure.hpp>
#include <belay/core/instant.hpp>
#include <belay/core/order.hpp>
#include <belay/link/link_errc.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A limit of events per minute. The same number is the largest burst.
class MinuteRate {
public:
    [[nodiscard]] bool allows(Instant now, unsigned per_minute) const noexcept {
        return spent(now) + cost(per_minute) <= std::chrono::minutes{1};
    }
    /// Spends one event, also beyond the limit, up to a minute's worth.
    void spend(Instant now, unsigned per_minute) noexcept {
        const Duration sum = spent(now) + cost(per_minute);
        paid_ = after(now, smaller(sum, Duration{std::chrono::minutes{1}}));
    }

private:
    [[nodiscard]] static Duration cost(unsigned per_minute) noexcept {
        return Duration{std::chrono::minutes{1}} / per_minute;
    }
    [[nodiscard]] Duration spent(Instant now) const noexcept {
        return paid_ <= now ? Duration{} : elapsed(now, paid_);
    }
    Instant paid_ = always;
};

/// Counts connections, in all and for each IP address, and enforces the limits.
///
/// It remembers the latest `rested_max` addresses without connections, so that it recognizes a
/// client that connects too often. Connecting again and again cannot make it use more memory.
///
/// Thread safety: the listener's thread.   Complexity: O(log n) each.
class IpLimiter {
    using Reason = beast::RejectedUpgrade::Reason;
    struct Entry {
        std::size_t connections = 0;
        std::size_t waiting = 0;
        MinuteRate upgrades{};
        MinuteRate rejections{};
        /// In idle_ if it has no connections, otherwise in busy_.
        std::list<IpAddress>::iterator place{};
    };
    using Entries = std::map<IpAddress, Entry>;

public:
    static constexpr std::size_t rested_max = 4096;

    explicit IpLimiter(beast::ListenerOptions options) : options_{std::move(options)} {}
    IpLimiter(const IpLimiter&) = delete;
    IpLimiter& operator=(const IpLimiter&) = delete;

    /// Counts a connection, for no address yet.   Returns: the limit that is reached; nothing if
    /// the connection was counted.
    [[nodiscard]] std::optional<Reason> enter() noexcept {
        if (connections_ >= options_.connections_max) return Reason::connections_max;
        if (waiting_ >= options_.waiting_max) return Reason::waiting_max;
        ++connections_, ++waiting_;
        return std::nullopt;
    }
    /// Returns the limit because of which `claim` would not count a connection for `ip`.
    [[nodiscard]] std::optional<Reason> why_not(const IpAddress& ip, Instant now) const noexcept {
        const auto found = entries_.find(ip.share());
        return found == entries_.end() ? std::nullopt : why_not(found->second, now);
    }
    /// Counts the connection for `ip`.   Returns: the limit of that address that is reached;
    /// nothing if the connection was counted.   Throws: std::bad_alloc.
    [[nodiscard]] std::optional<Reason> claim(const IpAddress& ip, Instant now) {
        Entry& entry = entry_of(ip.share());
        if (const auto why = why_not(entry, now)) return why;
        entry.upgrades.spend(now, options_.upgrades_per_ip_and_minute);
        if (entry.connections++ == 0) busy_.splice(busy_.end(), idle_, entry.place);
        ++entry.waiting;
        return std::nullopt;
    }
    void answered(const std::optional<IpAddress>& ip) noexcept {
        --waiting_;
        if (ip) --at(*ip).waiting;
    }
    void rejected(const IpAddress& ip, Instant now) noexcept {
        at(ip).rejections.spend(now, options_.rejections_per_ip_and_minute);
    }
    void leave(const std::optional<IpAddress>& ip) noexcept {
        --connections_;
        if (!ip) return;
        Entry& entry = at(*ip);
        if (--entry.connections == 0) idle_.splice(idle_.end(), busy_, entry.place);
    }

    beast::ListenerCounters counters{};
    [[nodiscard]] const beast::ListenerOptions& options() const noexcept { return options_; }

    [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }
    [[nodiscard]] std::size_t connections() const noexcept { return connections_; }
    [[nodiscard]] std::size_t waiting() const noexcept { return waiting_; }

private:
    [[nodiscard]] std::optional<Reason> why_not(const Entry& entry, Instant now) const noexcept {
        if (entry.connections >= options_.connections_per_ip_max)
            return Reason::connections_per_ip_max;
        if (entry.waiting >= options_.waiting_per_ip_max) return Reason::waiting_per_ip_max;
        if (!entry.upgrades.allows(now, options_.upgrades_per_ip_and_minute))
            return Reason::upgrades_per_ip_and_minute;
        if (!entry.rejections.allows(now, options_.rejections_per_ip_and_minute))
            return Reason::rejections_per_ip_and_minute;
        return std::nullopt;
    }
    Entry& at(const IpAddress& ip) noexcept { return entries_.find(ip.share())->second; }
    Entry& entry_of(const IpAddress& key) {
        if (const auto found = entries_.find(key); found != entries_.end()) return found->second;
        while (idle_.size() >= rested_max) {
            entries_.erase(idle_.front());
            idle_.pop_front();
        }
        std::list<IpAddress> one{key};
        Entry& entry = entries_[key];
        entry.place = one.begin();
        idle_.splice(idle_.end(), one);
        return entry;
    }

    const beast::ListenerOptions options_;
    std::size_t connections_ = 0;
    std::size_t waiting_ = 0;
    Entries entries_;
    std::list<IpAddress> idle_;  ///< the address that became idle first is in front
    std::list<IpAddress> busy_;
};

/// The permit of one connection, until its socket is closed. An empty permit does nothing.
class IpPermit {
    using Reason = beast::RejectedUpgrade::Reason;

public:
    IpPermit() = default;
    /// Pre: enter() counted a connection for it.
    explicit IpPermit(std::shared_ptr<IpLimiter> limiter) noexcept
        : limiter_{std::move(limiter)}, since_{SteadyClock{}.now()} {}
    IpPermit(IpPermit&&) noexcept = default;  // leaves no limiter
    IpPermit& operator=(IpPermit other) noexcept {
        std::swap(limiter_, other.limiter_);
        std::swap(since_, other.since_);
        std::swap(ip_, other.ip_);
        std::swap(waits_, other.waits_);
        return *this;
    }
    ~IpPermit() { leave(); }

    /// Counts the connection for `ip`.   Returns: the limit of that address that is reached.
    [[nodiscard]] std::optional<Reason> claim(const IpAddress& ip) {
        const auto why = limiter_->claim(ip, SteadyClock{}.now());
        if (!why) ip_ = ip;
        return why;
    }
    /// Whether the connection is counted for an address.
    [[nodiscard]] bool counts_for_ip() const noexcept { return ip_.has_value(); }
    void upgraded() noexcept {
        if (!settle(&beast::ListenerCounters::upgraded)) return;
        limiter_->counters.upgrades.add(elapsed(since_, SteadyClock{}.now()));
    }
    void got_page() noexcept { settle(&beast::ListenerCounters::pages); }
    void aborted() noexcept { settle(&beast::ListenerCounters::upgrades_aborted); }
    void given_up() noexcept { settle(&beast::ListenerCounters::given_up, Reason::given_up); }
    void turned_away(Reason why) noexcept { settle(&beast::ListenerCounters::turned_away, why); }
    void rejected(Reason why) noexcept {
        if (settle(&beast::ListenerCounters::rejected, why)) count_rejection();
    }
    /// Counts a close code that is a rejection: a server may accept the upgrade and then close.
    void closed_with(const Failure& why) noexcept {
        if (!limiter_ || waits_ || why.category != &websocket_category()) return;
        switch (why.code) {
            case 1008:
            case 4001:
            case 4003:
            case 4401:
            case 4403:
                count_rejection();
                break;
            default:
                break;
        }
    }
    /// The connection has ended; for the reason `why` if nothing was counted before.
    void leave(Reason why = Reason::unanswered) noexcept {
        if (!limiter_) return;
        settle(&beast::ListenerCounters::rejected, why);
        std::exchange(limiter_, nullptr)->leave(ip_);
    }

private:
    /// Returns: false if the result is counted already.
    bool settle(std::uint64_t beast::ListenerCounters::*which) noexcept {
        if (!limiter_ || !std::exchange(waits_, false)) return false;
        ++(limiter_->counters.*which);
        limiter_->answered(ip_);
        return true;
    }
    bool settle(std::uint64_t beast::ListenerCounters::*which, Reason why) noexcept {
        if (!settle(which)) return false;
        limiter_->counters.reasons.add(why);
        return true;
    }
    void count_rejection() noexcept {
        if (ip_) limiter_->rejected(*ip_, SteadyClock{}.now());
    }

    std::shared_ptr<IpLimiter> limiter_;
    Instant since_ = always;  ///< when the connection was accepted
    std::optional<IpAddress> ip_;
    bool waits_ = true;
};

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
