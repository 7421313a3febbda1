// SPDX-License-Identifier: MIT
/// \file belay/room/detail/admission_limits.hpp
/// AdmissionLimits: the numbers of clients and connections that limit the admission of new ones.
#pragma once

#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint64_t
#include <map>           // std::map
#include <system_error>  // std::error_code
#include <utility>       // std::exchange

#include <belay/room/detail/client_shares.hpp>
#include <belay/room/detail/recheck_queue.hpp>
#include <belay/room/detail/room_client.hpp>
#include <belay/room/detail/waiting_clients.hpp>
#include <belay/room/room_errc.hpp>
#include <belay/room/room_options.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Counts the clients that wait for their admission, and the multiplexed connections without
/// clients, within RoomOptions::clients_max and waiting_max. The callers pass the number of all
/// clients. It also has the queue of the clients that are checked again, within rechecks_max.
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
    [[nodiscard]] std::error_code why_not_another(const MultiplexedBase& connection,
                                                  std::size_t clients) const noexcept {
        const bool first = connection.io.clients.empty();
        if (clients - closing_clients_ >= options_.clients_max ||
            (!first && must_drop_new(clients - closing_clients_ - closing_connections_)))
            return RoomErrc::too_many_clients;
        if (!connection.counted.waits && waiting.size() >= options_.waiting_max)
            return RoomErrc::too_many_waiting;
        return {};
    }

    // ---- counts ---------------------------------------------------------------------------------

    /// The manager closes a client that has a connection of its own, or a connection.
    void begin_closing(RoomClient& client) {
        begin_closing(client.id, client.end);
        ++closing_clients_;
    }
    void begin_closing(MultiplexedBase& connection) {
        begin_closing(connection.id, connection.end);
        ++closing_connections_;
    }
    /// Removes the one that was closed first, and returns its id; 0 if there is none.
    [[nodiscard]] std::uint64_t take_closing() noexcept {
        if (closing_.empty()) return 0;
        const std::uint64_t first = closing_.begin()->second;
        closing_.erase(closing_.begin());
        return first;
    }
    /// A client was destroyed.
    void forget(const RoomClient& client) noexcept {
        if (client.end.close_order == 0) return;
        closing_.erase(client.end.close_order);
        --closing_clients_;
    }
    /// Counts the connection while it has no client; later its clients are counted.
    void update_count(MultiplexedBase& connection) {
        const bool empty = connection.io.clients.empty();
        const bool waits = empty && !connection.core.has_ever_joined() && !connection.core.ending();
        if (std::exchange(connection.counted.empty, empty) != empty)
            empty ? ++empty_connections_ : --empty_connections_;
        if (connection.counted.waits == waits) return;
        waits ? waiting.put(connection.id, turn_owner(connection)) : waiting.remove(connection.id);
        connection.counted.waits = waits;
    }
    /// A connection without clients was destroyed.
    void forget(const MultiplexedBase& connection) noexcept {
        --empty_connections_;
        if (connection.end.close_order == 0) return;
        closing_.erase(connection.end.close_order);
        --closing_connections_;
    }
    /// All connections were destroyed, after their clients.
    void forget_connections() noexcept {
        empty_connections_ = closing_connections_ = 0;
        waiting.clear();
        closing_.clear();
    }

private:
    void begin_closing(std::uint64_t id, PendingEnd& end) {
        closing_.emplace(last_closing_ + 1, id);
        end.close_order = ++last_closing_;
    }

    const RoomOptions& options_;
    std::size_t empty_connections_ = 0;    ///< connections without clients
    std::size_t closing_clients_ = 0;      ///< closed clients with a connection of their own
    std::size_t closing_connections_ = 0;  ///< closed connections of several clients
    /// The closed clients and connections that were not aborted yet, in the order of their closes.
    std::map<std::uint64_t, std::uint64_t> closing_{};
    std::uint64_t last_closing_ = 0;
};

}}}  // namespace belay::detail
