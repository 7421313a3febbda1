// SPDX-License-Identifier: MIT
/// \file belay/room/detail/admission_limits.hpp
/// AdmissionLimits: the numbers of clients and connections that limit the admission of new ones.
#pragma once

#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint64_t
#include <functional>    // std::less
#include <map>           // std::map
#include <optional>      // std::nullopt, std::optional
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <utility>       // std::exchange, std::move

#include <belay/room/detail/account.hpp>
#include <belay/room/detail/client_table.hpp>
#include <belay/room/detail/fair_queue.hpp>
#include <belay/room/detail/room_client.hpp>
#include <belay/room/room_errc.hpp>
#include <belay/room/room_options.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The clients, and the connections without clients, that wait for their admission. It finds the
/// one to give up for another user.
///
/// The user of a client is not known before the grant. Until then, a client counts for its address.
///
/// Complexity:    O(log n), except `newest_of_largest`.
/// Thread safety: the manager's home thread.
class WaitingClients {
public:
    [[nodiscard]] std::size_t size() const noexcept { return clients_.size(); }
    /// Adds a client, or counts it for another user than before.
    void put(std::uint64_t id, Ref<Account> user) {
        remove(id);
        Account& of = *user;
        clients_.emplace(id, std::move(user));
        ++of.waiting;
    }
    /// Removes a client, if it waits.
    void remove(std::uint64_t id) noexcept {
        const auto found = clients_.find(id);
        if (found == clients_.end()) return;
        --found->second->waiting;
        clients_.erase(found);
    }
    void clear() noexcept {
        while (!clients_.empty()) remove(clients_.begin()->first);
    }
    /// Returns the newest client of the user that has most here, of those for which
    /// `may_end(id, number of the user's clients)`; 0 if none of these has more than `than`.
    /// Complexity: O(clients that wait), and as many calls of `may_end`.
    template <class MayEnd>
    [[nodiscard]] std::uint64_t newest_of_largest(std::size_t than, MayEnd may_end) const {
        std::uint64_t newest = 0;
        for (auto one = clients_.rbegin(); one != clients_.rend(); ++one) {
            const std::size_t all = one->second->waiting;
            if (all <= than || !may_end(one->first, all)) continue;
            than = all;
            newest = one->first;
        }
        return newest;
    }

private:
    std::map<std::uint64_t, Ref<Account>> clients_{};
};

/// The number of clients that are checked again at a time. The others keep their rights until it is
/// their turn. New clients wait for their checks, so they have most of what an authorizer can do.
[[nodiscard]] constexpr std::size_t rechecks_max(const RoomOptions& options) noexcept {
    return larger(options.waiting_max / 10, std::size_t{1});
}

/// The clients that wait until they may be checked again, and those that are checked. Users take
/// turns (FairQueue). A room has at most three quarters of the places, so checks of one room that
/// hang do not delay those of other rooms.
///
/// Complexity:    O(log n), amortized.
/// Thread safety: the manager's home thread.
class RecheckQueue {
public:
    explicit RecheckQueue(std::size_t most) noexcept
        : queue_{most}, most_of_room_{larger(three_quarters(most), std::size_t{1})} {}

    /// Whether `take_next` may find a client.
    [[nodiscard]] bool has_next() const noexcept { return queue_.has_next(); }
    /// Adds a client.   Pre: it neither waits nor is checked.
    void push(std::uint64_t id, Ref<RoomAccount> account) {
        Client& client = clients_.emplace(id, Client{std::move(account)}).first->second;
        client.number = client.request = queue_.push(id, client.account->of_user());
    }
    /// Begins the next check.   Returns: the client; nothing if none may be checked until a change.
    [[nodiscard]] std::optional<std::uint64_t> take_next() {
        while (queue_.has_next()) {
            const std::uint64_t id = queue_.next();
            Client& client = clients_.find(id)->second;
            Room& room = rooms_[client.account->room_id()];
            if (room.under_way < most_of_room_) {
                ++room.under_way;
                client.state = State::under_way;
                return queue_.take_next();
            }
            room.parked.emplace(client.request, id);
            client.state = State::parked;
            queue_.remove(client.number);
        }
        return std::nullopt;
    }
    /// A client waits no longer, or its check has ended.
    void remove(std::uint64_t id) {
        const auto found = clients_.find(id);
        if (found == clients_.end()) return;
        queue_.remove(found->second.number);
        leave_room(found->second);
        clients_.erase(found);
    }

private:
    enum class State : std::uint8_t { waits, parked, under_way };
    struct Client {
        Ref<RoomAccount> account;
        std::uint64_t number = 0;   ///< in the queue
        std::uint64_t request = 0;  ///< the order of its room's clients
        State state = State::waits;
    };
    /// A room with a check under way, or with parked clients, whose checks must not begin now. If a
    /// client is parked, at least `most_of_room_` others of its room wait in the queue or are
    /// checked.
    struct Room {
        std::size_t under_way = 0;
        std::map<std::uint64_t, std::uint64_t> parked{};  // by the order of the requests
    };

    /// Another client of the room takes the place of one that was not parked.
    void leave_room(const Client& client) {
        const auto room = rooms_.find(client.account->room_id());
        if (room == rooms_.end()) return;
        auto& parked = room->second.parked;
        if (client.state == State::under_way) --room->second.under_way;
        if (client.state == State::parked) {
            parked.erase(client.request);
        } else if (!parked.empty()) {
            const std::uint64_t id = parked.begin()->second;
            Client& next = clients_.find(id)->second;
            next.number = queue_.push(id, next.account->of_user());
            next.state = State::waits;
            parked.erase(parked.begin());
        }
        if (room->second.under_way == 0 && parked.empty()) rooms_.erase(room);
    }

    FairQueue<std::uint64_t> queue_;
    const std::size_t most_of_room_;
    std::map<std::string, Room, std::less<>> rooms_{};
    std::map<std::uint64_t, Client> clients_{};  // by their ids
};

/// Counts the clients that wait for their admission, and the connections without clients, within
/// RoomOptions::clients_max and waiting_max. The callers pass the number of all clients. The queue
/// of the clients that are checked again is here, too.
///
/// Clients that the manager has closed, and whose transport has not ended yet, do not count for
/// clients_max: a peer decides when its transport ends. When the manager is full, they are aborted.
///
/// Thread safety: the manager's home thread.
class AdmissionLimits {
public:
    /// The options and the accounts must outlive it.
    AdmissionLimits(const RoomOptions& options, Accounts& accounts) noexcept
        : rechecks{rechecks_max(options)}, options_{options}, accounts_{accounts} {}

    /// The clients, and the connections without any, before admission.
    WaitingClients waiting;
    /// The clients that are checked again, or wait for it.
    RecheckQueue rechecks;

    /// Returns the account of a connection whose user is not known: of its address, or its own.
    [[nodiscard]] Ref<Account> account_of(const ClientConnection& connection) const {
        return accounts_.of({}, connection.request.ip, connection.id);
    }
    /// Counts a client for the user of a grant, instead of the one before.
    /// Returns: the option that limits that user, if it has its share already; then nothing has
    /// changed.
    [[nodiscard]] std::string_view take_place(RoomClient& client,
                                              const Ref<RoomAccount>& account) const {
        if (client.rights.place.account() == account.get()) return {};
        const std::string_view limit = exceeded_limit(*account, &Holdings::clients, 1, options_);
        if (!limit.empty()) return limit;
        client.rights.account = account;
        client.rights.place = Holding{account, &Holdings::clients, 1};
        return {};
    }

    // ---- decisions ------------------------------------------------------------------------------

    /// Whether a new client is dropped without an answer.
    [[nodiscard]] bool must_drop_new(std::size_t clients) const noexcept {
        const std::size_t all = clients + empty_connections_;
        return all >= options_.clients_max && all - options_.clients_max >= options_.waiting_max;
    }
    /// Why a new client, which is counted already, is rejected with a close code.
    [[nodiscard]] std::error_code why_exceeded(std::size_t clients) const noexcept {
        if (clients - closing_clients_ > options_.clients_max) return RoomErrc::too_many_clients;
        if (waiting.size() > options_.waiting_max) return RoomErrc::too_many_waiting;
        return {};
    }
    /// Why a connection may not have one more client. The first counts instead of the connection.
    [[nodiscard]] std::error_code why_not_another(const ClientConnection& connection,
                                                  std::size_t clients) const noexcept {
        const bool first = connection.clients.empty();
        if (clients - closing_clients_ >= options_.clients_max ||
            (!first && must_drop_new(clients - closing_clients_ - closing_connections_)))
            return RoomErrc::too_many_clients;
        if (!connection.channels->counts_as_waiting && waiting.size() >= options_.waiting_max)
            return RoomErrc::too_many_waiting;
        return {};
    }

    // ---- counts ---------------------------------------------------------------------------------

    /// The manager closes a connection.
    void begin_closing(ClientConnection& connection) {
        closing_.emplace(last_closing_ + 1, connection.id);
        connection.end.close_order = ++last_closing_;
        ++closing_of(connection);
    }
    /// Removes the one that was closed first, and returns its id; 0 if there is none.
    [[nodiscard]] std::uint64_t take_closing() noexcept {
        if (closing_.empty()) return 0;
        const std::uint64_t first = closing_.begin()->second;
        closing_.erase(closing_.begin());
        return first;
    }
    /// Counts a connection while it has no client; later its clients are counted.
    void update_count(ClientConnection& connection) {
        ChannelTable* const channels = connection.channels;
        if (channels == nullptr) return;
        const bool empty = connection.clients.empty();
        const bool waits = empty && !connection.core.has_ever_joined() && !connection.core.ending();
        if (std::exchange(channels->counts_as_empty, empty) != empty)
            empty ? ++empty_connections_ : --empty_connections_;
        if (channels->counts_as_waiting == waits) return;
        waits ? waiting.put(connection.id, account_of(connection)) : waiting.remove(connection.id);
        channels->counts_as_waiting = waits;
    }
    /// A connection is destroyed, after its channels.
    void forget(const ClientConnection& connection) noexcept {
        if (connection.has_addresses()) --empty_connections_;
        if (connection.end.close_order == 0) return;
        closing_.erase(connection.end.close_order);
        --closing_of(connection);
    }
    /// All connections were destroyed.
    void forget_all() noexcept {
        empty_connections_ = closing_clients_ = closing_connections_ = 0;
        waiting.clear();
        closing_.clear();
    }

private:
    /// A connection without addresses counts as its client, for as long as it lives.
    [[nodiscard]] std::size_t& closing_of(const ClientConnection& connection) noexcept {
        return connection.has_addresses() ? closing_connections_ : closing_clients_;
    }

    const RoomOptions& options_;
    Accounts& accounts_;
    std::size_t empty_connections_ = 0;    ///< connections without clients
    std::size_t closing_clients_ = 0;      ///< closed clients with a connection of their own
    std::size_t closing_connections_ = 0;  ///< closed connections of several clients
    /// The closed connections that were not aborted yet, in the order of their closes.
    std::map<std::uint64_t, std::uint64_t> closing_{};
    std::uint64_t last_closing_ = 0;
};

}}}  // namespace belay::detail
