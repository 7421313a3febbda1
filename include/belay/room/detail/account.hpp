// SPDX-License-Identifier: MIT
/// \file belay/room/detail/account.hpp
/// Account: what one user holds of all that users share, its limits, and the rule of fairness.
/// ReadRate, ReadCost: how fast a connection or a user is served, and the cost of its messages.
#pragma once

#include <array>        // std::array
#include <chrono>       // std::chrono::seconds
#include <concepts>     // std::derived_from
#include <cstddef>      // std::size_t
#include <cstdint>      // std::uint64_t
#include <functional>   // std::less
#include <map>          // std::map, std::erase_if
#include <set>          // std::set
#include <string>       // std::string, std::to_string
#include <string_view>  // std::string_view
#include <tuple>        // std::tuple
#include <utility>      // std::exchange, std::move

#include <belay/core/detail/memory.hpp>
#include <belay/core/instant.hpp>
#include <belay/core/order.hpp>
#include <belay/room/room_core.hpp>
#include <belay/room/room_options.hpp>
#include <belay/yjs/yjs_document.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The cost of messages, in the bytes that could be read in the time that the server needs for
/// them. Constants and not measured times, because a simulated run must be the same everywhere.
struct ReadCost {
    static constexpr std::size_t message = 256;
    static constexpr std::size_t token = std::size_t{64} << 10;
    /// The cost of an awareness state, or of a client to which a message is forwarded.
    static constexpr std::size_t recipient = 16;
    /// The cost of piece_bytes_max of an answer: they are compared, cut, framed and sent.
    static constexpr std::size_t piece = 4096;
};

/// How fast a connection is read: a bucket that fills at RoomOptions::read_rate_max.
///
/// Source: a token bucket, as the virtual scheduling form of GCRA (ITU-T I.371, annex A).
struct ReadRate {
    /// How long the bucket takes to fill. A client that was offline sends all that it has typed
    /// meanwhile at once.
    static constexpr Duration burst = std::chrono::seconds{4};

    /// Charges bytes. A connection without credit is read later.
    /// Returns: whether that begins now, after a second or more with credit.
    [[nodiscard]] bool charge(std::size_t bytes, Instant now, const RoomOptions& options) noexcept {
        const std::size_t rate = options.read_rate_max;
        if (bytes == 0) return false;
        const auto time_of = [&](std::size_t cost) {
            const Duration second{std::chrono::seconds{1}};
            const std::size_t whole = cost / rate;
            const std::size_t rest = cost % rate;
            return part::saturating_add(
                part::saturating_multiply(second, whole),
                Duration{static_cast<Duration::rep>(static_cast<double>(second.count()) *
                                                    static_cast<double>(rest) /
                                                    static_cast<double>(rate))});
        };
        paid_until = after(larger(paid_until, now), time_of(bytes));
        // It must be read again before it counts as silent.
        const Duration most = burst + options.heartbeat.every / 2;
        paid_until = smaller(paid_until, after(now, most));
        const Instant credit_at = before(paid_until, burst);
        if (credit_at <= now) return false;
        read_at = larger(read_at, credit_at);
        return elapsed(std::exchange(throttled_until, credit_at), now) >= std::chrono::seconds{1};
    }

    Instant read_at = always;     ///< nothing is read before
    Instant looked_at = always;   ///< when arrivals were last checked
    Instant paid_until = always;  ///< the time that its messages cost
    Instant throttled_until = always;
};

/// Whether the state vector of a document costs little: nothing waits to be merged.
template <class Document>
[[nodiscard]] bool is_merged(const Document& document) noexcept {
    if constexpr (std::derived_from<Document, YjsDocument>)
        return document.status().pending_updates == 0;
    else
        return true;
}
/// Returns how often a document has read all that it holds. An edit that makes it do so costs as
/// much as an answer.
template <class Document>
[[nodiscard]] std::uint64_t merges_of(const Document& document) noexcept {
    if constexpr (std::derived_from<Document, YjsDocument>)
        return document.status().merges;
    else
        return 0;
}
/// The size of the largest piece. A client that reads gets the next one soon.
inline constexpr std::size_t piece_bytes_max = std::size_t{64} << 10;
/// Returns the size of the pieces in which answers and awareness are sent. Some of them fit into
/// what may wait for a client, so it gets further ones while it reads.
[[nodiscard]] constexpr std::size_t piece_bytes(const RoomOptions& options) noexcept {
    return larger(smaller(options.client_bytes_max / 16, piece_bytes_max), std::size_t{1} << 10);
}
/// Returns what `bytes` that are compared or sent cost, in bytes that could be read. The size of
/// the pieces does not matter, so that no other option changes what read_rate_max means.
[[nodiscard]] constexpr std::size_t pieces_cost(std::size_t bytes) noexcept {
    return (1 + bytes / piece_bytes_max) * ReadCost::piece;
}
/// Returns what an answer to a state vector costs at most.
template <class Document>
[[nodiscard]] std::size_t answer_cost(const Document& document) noexcept {
    return pieces_cost(document.bytes());
}
/// Returns what the state vector of a document costs: as much, if the document must be merged.
template <class Document>
[[nodiscard]] std::size_t request_cost(const Document& document) noexcept {
    return is_merged(document) ? ReadCost::piece : answer_cost(document);
}

class Accounts;
struct Account;

/// The amounts that a user holds, in all rooms or in one.
struct Holdings {
    std::size_t clients = 0;          ///< from the grant of their access until they are closed
    std::size_t rooms = 0;            ///< in memory, that the user has opened
    std::size_t unflushed_bytes = 0;  ///< of changes that wait to become durable
    std::size_t answer_bytes = 0;     ///< of answers that are cut as they are sent
};

/// The part of an account in one room.
struct RoomAccount : Counted {
    /// A user and a room.
    using Key = std::pair<std::uint64_t, std::string>;

    explicit RoomAccount(Account& of) noexcept;
    [[nodiscard]] const std::string& room_id() const noexcept { return key->second; }
    /// Returns the account over all rooms.
    [[nodiscard]] Ref<Account> of_user() const noexcept;
    /// The last reference is gone: it is destroyed.
    void end() noexcept;

    Account& user;             ///< over all rooms; it lives as long as this
    const Key* key = nullptr;  ///< in the Accounts
    Holdings held{};
};

/// The account of a user over all its connections. It lives while it is referred to, and while its
/// rate is not paid.
///
/// Thread safety: the manager's home thread.
struct Account : Counted {
    /// Users without a name at one address have this many times the rate of a user, together.
    static constexpr std::size_t users_per_address = 8;
    using IdleRoom = std::tuple<timeline::RoomCore::Evictable, Instant, std::string_view>;

    Account(Accounts& all, std::uint64_t id, bool address) noexcept
        : is_address{address}, accounts{all}, number{id} {}
    /// Returns the part of the account in a room.   Complexity: O(log users and their rooms).
    [[nodiscard]] Ref<RoomAccount> in(std::string_view room_id);
    /// Charges an answer.
    void charge(std::size_t bytes, Instant now, const RoomOptions& options) noexcept {
        const std::size_t users = is_address ? users_per_address : 1;
        const std::size_t cost = bytes / users + (bytes % users != 0 ? 1 : 0);
        static_cast<void>(rate.charge(cost, now, options));
    }
    /// The last reference is gone.
    void end() noexcept;

    const bool is_address;  ///< of users without a name
    bool unused = false;    ///< nothing refers to it
    Accounts& accounts;
    const std::uint64_t number;  ///< of no other account, and not 0
    std::string_view key{};      ///< in the Accounts
    Holdings held{};
    std::size_t waiting = 0;  ///< clients that wait for their admission
    ReadRate rate{};          ///< of joins and answers
    /// The idle rooms that it has opened, in the order of their evictions.
    std::set<IdleRoom> idle_rooms{};
};

/// An amount that a user holds in a room, for as long as this lives. An account that is null is
/// that of the server, which has no limit.
///
/// Thread safety: the manager's home thread.
class Holding {
public:
    Holding() noexcept = default;
    Holding(Ref<RoomAccount> of, std::size_t Holdings::*what, std::size_t amount) noexcept
        : account_{std::move(of)}, what_{what}, amount_{amount} {
        if (!account_) return;
        account_->held.*what_ += amount_;
        account_->user.held.*what_ += amount_;
    }
    Holding(Holding&&) noexcept = default;
    Holding& operator=(Holding&& other) noexcept {
        release();
        account_ = std::move(other.account_);
        what_ = other.what_;
        amount_ = other.amount_;
        return *this;
    }
    ~Holding() { release(); }
    /// From now on, it holds nothing.
    void release() noexcept {
        const Ref<RoomAccount> of = std::exchange(account_, {});
        if (!of) return;
        of->held.*what_ -= amount_;
        of->user.held.*what_ -= amount_;
    }
    /// Returns the account; null if it holds nothing.
    [[nodiscard]] RoomAccount* account() const noexcept { return account_.get(); }

private:
    Ref<RoomAccount> account_{};
    std::size_t Holdings::*what_ = nullptr;
    std::size_t amount_ = 0;
};

// ---- limits -------------------------------------------------------------------------------------

/// Returns a part of a limit of one user, for one of the things that it limits. A few clients may
/// all be in one room, of one connection, or in a room each.
[[nodiscard]] constexpr std::size_t share_of(std::size_t most, std::size_t part) noexcept {
    return larger(most / part, smaller(most, std::size_t{16}));
}

/// A limit of what one user holds, which does not depend on other users.
struct AccountLimit {
    std::string_view option;         ///< the name of the option
    std::size_t RoomOptions::*most;  ///< its value
    std::size_t part;                ///< the limit is this part of the value, see share_of
    std::size_t Holdings::*held;
    bool in_room;  ///< in one room; else in all
};
/// All limits of one user, each after its reason.
inline constexpr std::array<AccountLimit, 4> account_limits{{
    // One user must leave clients to others.
    {"clients_per_user_max", &RoomOptions::clients_per_user_max, 1, &Holdings::clients, false},
    // Each edit of a room is sent to all of its clients.
    {"clients_per_user_max", &RoomOptions::clients_per_user_max, 10, &Holdings::clients, true},
    // A room costs memory for as long as it stays. A client is in one room, and often not alone.
    {"clients_per_user_max", &RoomOptions::clients_per_user_max, 2, &Holdings::rooms, false},
    // There are many rooms, each with space for as many changes.
    {"unflushed_bytes_max", &RoomOptions::unflushed_bytes_max, 1, &Holdings::unflushed_bytes,
     false},
}};
/// Returns the option that does not permit one more amount; empty if all permit it. The first one
/// of a user always fits.
[[nodiscard]] inline std::string_view exceeded_limit(const RoomAccount& of,
                                                     std::size_t Holdings::*what,
                                                     std::size_t amount,
                                                     const RoomOptions& options) noexcept {
    for (const AccountLimit& limit : account_limits) {
        if (limit.held != what) continue;
        const std::size_t held = (limit.in_room ? of.held : of.user.held).*what;
        const std::size_t most = share_of(options.*limit.most, limit.part);
        if (held != 0 && (held >= most || amount > most - held)) return limit.option;
    }
    return {};
}

// ---- fairness -----------------------------------------------------------------------------------

/// Returns three quarters of a number of places, rounded down.
[[nodiscard]] constexpr std::size_t three_quarters(std::size_t places) noexcept {
    return places / 4 * 3 + places % 4 * 3 / 4;
}

/// An amount of bytes that all users share, and the part of it that is held.
struct SharedPool {
    std::size_t most;
    std::size_t held;
};
/// The rule for bytes: whether a user who holds `own` of a pool may take `amount` more now.
///
/// A user who holds nothing takes any amount that fits. A user who holds some may then have at most
/// three times as much as is left. So one user leaves a quarter of the pool to users who hold
/// nothing, and each further user leaves a quarter of the space that it finds. If nothing is held,
/// any amount is taken.
[[nodiscard]] constexpr bool may_take(const SharedPool& pool, std::size_t own,
                                      std::size_t amount) noexcept {
    if (pool.held == 0) return true;
    const std::size_t left = pool.most - smaller(pool.most, pool.held);
    if (amount > left) return false;
    return own == 0 || (own + amount + 2) / 3 <= left - amount;
}

// ---- keys ---------------------------------------------------------------------------------------

/// The eight 16-bit groups of an IPv6 address, each in its shortest form.
///
/// An IPv4 address at the end is the whole of the seventh group; the eighth is empty then. Text
/// that is no address gives some groups, too.   Source: RFC 4291, section 2.2.
[[nodiscard]] inline std::array<std::string, 8> groups_of_address(std::string_view ip) {
    std::array<std::string, 8> groups;
    std::size_t count = 0;
    std::size_t gap = groups.size();  // the place of "::"
    const auto add = [&](std::string_view group) {
        while (group.size() > 1 && group.front() == '0') group.remove_prefix(1);
        if (count == groups.size()) return;
        std::string& text = groups[count++] = std::string{group};
        for (char& c : text) {
            if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
        }
    };
    for (std::string_view rest = ip.substr(0, ip.find('%')); !rest.empty();) {
        if (gap == groups.size() && rest.substr(0, 2) == "::") {
            gap = count;
            rest.remove_prefix(2);
            continue;
        }
        if (rest.front() == ':') rest.remove_prefix(1);
        const std::string_view group = rest.substr(0, rest.find(':'));
        rest.remove_prefix(group.size());
        add(group);
        if (group.find('.') != std::string_view::npos) add({});
    }
    // The groups after "::" move to the end, and zeros take their places.
    const std::size_t zeros = groups.size() - count;
    for (std::size_t i = groups.size(); i-- > gap;)
        groups[i] = i >= gap + zeros ? groups[i - zeros] : "0";
    return groups;
}

/// Returns the part of an address that one subscriber has: an IPv4 address, or a 64-bit network of
/// IPv6. Other text without a colon is returned as it stands.
///
/// It calls no function of the system, because rooms need only the standard library.
/// Complexity: O(size of the text).
[[nodiscard]] inline std::string address_network(std::string_view ip) {
    if (ip.find(':') == std::string_view::npos) return std::string{ip};
    const std::array<std::string, 8> groups = groups_of_address(ip);
    bool mapped = groups[5] == "ffff";
    for (std::size_t i = 0; i < 5; ++i) mapped = mapped && groups[i] == "0";
    // An IPv4 address in its IPv6 form.
    if (mapped) return groups[6] + (groups[7].empty() ? "" : ":" + groups[7]);
    std::string network;
    for (std::size_t i = 0; i < 4; ++i) network += groups[i] + ":";
    return network;
}

// ---- all ----------------------------------------------------------------------------------------

/// The accounts of a manager. A client finds its account once, when its user is known.
///
/// A user is counted by its name, or else by the network of its address, or else by its connection.
///
/// Thread safety: the manager's home thread.
class Accounts {
public:
    /// `now` is the time of the turn.
    explicit Accounts(const Instant& now) noexcept : now_{now} {}
    Accounts(const Accounts&) = delete;
    Accounts& operator=(const Accounts&) = delete;

    /// Returns the account of a user, at this address, or of this connection.
    /// Complexity: O(log users), amortized.
    [[nodiscard]] Ref<Account> of(std::string_view user, std::string_view ip,
                                  std::uint64_t connection) {
        // A name that is an address is another key than that address.
        if (!user.empty()) return find_or_make("user " + std::string{user});
        if (!ip.empty()) return find_or_make("ip " + address_network(ip), true);
        return find_or_make("connection " + std::to_string(connection));
    }
    /// Returns the account in whose turns rooms are loaded for calls of the server.
    [[nodiscard]] Ref<Account> server() { return find_or_make("server"); }
    [[nodiscard]] std::size_t size() const noexcept { return accounts_.size(); }

    /// Returns the part of an account in a room.
    [[nodiscard]] Ref<RoomAccount> in(Account& account, std::string_view room_id) {
        const auto [place, is_new] =
            rooms_.try_emplace(RoomAccount::Key{account.number, room_id}, account);
        if (!is_new) return Ref<RoomAccount>::share(&place->second);
        place->second.key = &place->first;
        return Ref<RoomAccount>::adopt(&place->second);
    }
    /// Nothing refers to the part of an account any more.
    void drop(const RoomAccount& part) noexcept { rooms_.erase(rooms_.find(*part.key)); }
    /// Nothing refers to an account any more.
    void drop(Account& account) noexcept {
        if (account.rate.paid_until > now_)
            account.unused = true;
        else
            accounts_.erase(accounts_.find(account.key));
    }

private:
    [[nodiscard]] Ref<Account> find_or_make(std::string key, bool is_address = false) {
        const auto found = accounts_.find(key);
        if (found != accounts_.end()) {
            found->second.unused = false;
            return Ref<Account>::share(&found->second);
        }
        if (accounts_.size() >= sweep_at_) {
            std::erase_if(accounts_, [&](const auto& one) {
                return one.second.unused && one.second.rate.paid_until <= now_;
            });
            sweep_at_ = 2 * accounts_.size() + 64;
        }
        const auto made =
            accounts_.try_emplace(std::move(key), *this, ++last_number_, is_address).first;
        made->second.key = made->first;
        return Ref<Account>::adopt(&made->second);
    }

    const Instant& now_;
    std::map<std::string, Account, std::less<>> accounts_{};
    std::map<RoomAccount::Key, RoomAccount> rooms_{};
    std::uint64_t last_number_ = 0;
    std::size_t sweep_at_ = 64;  ///< the number of accounts at which unused ones are erased
};

inline Ref<RoomAccount> Account::in(std::string_view room_id) {
    return accounts.in(*this, room_id);
}
inline void Account::end() noexcept { accounts.drop(*this); }
inline RoomAccount::RoomAccount(Account& of) noexcept : user{*Ref<Account>::share(&of).release()} {}
inline Ref<Account> RoomAccount::of_user() const noexcept { return Ref<Account>::share(&user); }
inline void RoomAccount::end() noexcept {
    const Ref<Account> of = Ref<Account>::adopt(&user);
    of->accounts.drop(*this);
}

}}}  // namespace belay::detail
