// SPDX-License-Identifier: MIT
/// \file belay/room/detail/admission_limits.hpp
/// AdmissionLimits: the numbers of clients and connections that limit the admission of new ones.
#pragma once

#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint64_t
#include <functional>    // std::less
#include <map>           // std::map
#include <optional>      // std::optional
#include <set>           // std::set
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <utility>       // std::exchange, std::move

#include <belay/core/assert.hpp>
#include <belay/room/detail/recheck_queue.hpp>
#include <belay/room/detail/room_channel.hpp>
#include <belay/room/detail/room_client.hpp>
#include <belay/room/detail/user_shares.hpp>
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

/// Counts the clients of each user, within RoomOptions::clients_per_user_max, and those of a user
/// in one room, within clients_per_user_and_room_max.
///
/// Complexity:    O(log clients).
/// Thread safety: the manager's home thread.
class ClientShares {
public:
    /// The options must outlive it.
    explicit ClientShares(const RoomOptions& options) noexcept : options_{options} {}

    /// Counts a client for a user, instead of the user that it was counted for.
    /// Returns: the option that limits that user, if it has its share already; then nothing has
    /// changed.
    [[nodiscard]] std::string_view try_count(RoomClient& client, const std::string& user) {
        const std::string owner = share_owner(user, client.request.ip);
        std::optional<ClientShare>& share = client.rights.share;
        if (owner.empty()) {
            share.reset();
            return {};
        }
        if (share && share->all.owner() == owner) return {};
        const std::string in_room = owner_in_room(owner, client.request.room_id);
        if (all_.of(owner) >= options_.clients_per_user_max) return "clients_per_user_max";
        if (in_rooms_.of(in_room) >= options_.clients_per_user_and_room_max)
            return "clients_per_user_and_room_max";
        share.reset();
        share.emplace(UserShares::Reservation{all_, owner, 1},
                      UserShares::Reservation{in_rooms_, in_room, 1});
        return {};
    }

private:
    const RoomOptions& options_;
    UserShares all_{};
    UserShares in_rooms_{};  // by the user and the room
};

/// Counts the clients that wait for their admission, and the connections without clients, within
/// RoomOptions::clients_max and waiting_max. The callers pass the number of all clients. The queue
/// of the clients that are checked again is here, too, within rechecks_max.
///
/// Clients that the manager has closed, and whose transport has not ended yet, do not count for
/// clients_max: a peer decides when its transport ends. When the manager is full, they are aborted.
///
/// Thread safety: the manager's home thread.
class AdmissionLimits {
public:
    /// The options must outlive it.
    explicit AdmissionLimits(const RoomOptions& options) noexcept
        : shares{options}, rechecks{options}, options_{options} {}

    /// The clients of each user, of all rooms and of one.
    ClientShares shares;
    /// The clients, and the connections without any, before admission.
    WaitingClients waiting;
    /// The clients that are checked again, or wait for it.
    RecheckQueue rechecks;

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
        waits ? waiting.put(connection.id, turn_owner(connection)) : waiting.remove(connection.id);
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
    std::size_t empty_connections_ = 0;    ///< connections without clients
    std::size_t closing_clients_ = 0;      ///< closed clients with a connection of their own
    std::size_t closing_connections_ = 0;  ///< closed connections of several clients
    /// The closed connections that were not aborted yet, in the order of their closes.
    std::map<std::uint64_t, std::uint64_t> closing_{};
    std::uint64_t last_closing_ = 0;
};

}}}  // namespace belay::detail
