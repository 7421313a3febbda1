// SPDX-License-Identifier: MIT
/// \file belay/room/detail/admission_limits.hpp
/// AdmissionLimits: decides whether a RoomManager has capacity for one more client.
#pragma once

#include <cstddef>       // std::size_t
#include <system_error>  // std::error_code
#include <utility>       // std::exchange

#include <belay/room/detail/client_shares.hpp>
#include <belay/room/detail/room_client.hpp>
#include <belay/room/detail/waiting_clients.hpp>
#include <belay/room/room_errc.hpp>
#include <belay/room/room_options.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Counts the clients that wait for their admission, and the multiplexed connections without
/// clients, within RoomOptions::clients_max and waiting_max. The callers pass the number of all
/// clients. It also counts the clients that are checked again, within rechecks_max.
///
/// Thread safety: the manager's home thread.
class AdmissionLimits {
public:
    /// The options must outlive it.
    explicit AdmissionLimits(const RoomOptions& options) noexcept
        : shares{options}, options_{options} {}

    /// The clients of each user, of all rooms and of one.
    ClientShares shares;
    /// The clients, and the connections without any, before admission.
    WaitingClients waiting;

    // ---- decisions ------------------------------------------------------------------------------

    /// Whether a new client is dropped without an answer.
    [[nodiscard]] bool is_full(std::size_t clients) const noexcept {
        const std::size_t all = clients + empty_connections_;
        return all >= options_.clients_max && all - options_.clients_max >= options_.waiting_max;
    }
    /// Why a new client, which is counted already, is rejected with a close code.
    [[nodiscard]] std::error_code why_exceeded(std::size_t clients) const noexcept {
        if (clients > options_.clients_max) return RoomErrc::too_many_clients;
        if (waiting.size() > options_.waiting_max) return RoomErrc::too_many_waiting;
        return {};
    }
    /// Why a connection may not have one more client. The first counts instead of the connection.
    [[nodiscard]] std::error_code why_not_another(const MultiplexedBase& connection,
                                                  std::size_t clients) const noexcept {
        const bool first = connection.io.clients.empty();
        if (clients >= options_.clients_max || (!first && is_full(clients)))
            return RoomErrc::too_many_clients;
        if (!connection.counted.waits && waiting.size() >= options_.waiting_max)
            return RoomErrc::too_many_waiting;
        return {};
    }
    /// Whether one more client may be checked again.
    [[nodiscard]] bool takes_recheck() const noexcept { return rechecks_ < options_.rechecks_max; }

    // ---- counts ---------------------------------------------------------------------------------

    void begin_recheck() noexcept { ++rechecks_; }
    void end_recheck() noexcept { --rechecks_; }
    /// Counts the connection while it has no client; later its clients are counted.
    void count(MultiplexedBase& connection) {
        const bool empty = connection.io.clients.empty();
        const bool waits = empty && !connection.core.authorized() && !connection.core.closing();
        if (std::exchange(connection.counted.empty, empty) != empty)
            empty ? ++empty_connections_ : --empty_connections_;
        if (std::exchange(connection.counted.waits, waits) != waits)
            waits ? waiting.put(connection.id, turn_owner(connection))
                  : waiting.remove(connection.id);
    }
    /// A connection without clients was destroyed.
    void forget_connection() noexcept { --empty_connections_; }
    /// All connections were destroyed, after their clients.
    void forget_connections() noexcept {
        empty_connections_ = 0;
        waiting.clear();
    }

private:
    const RoomOptions& options_;
    std::size_t empty_connections_ = 0;  ///< connections without clients
    std::size_t rechecks_ = 0;           ///< clients that are checked again
};

}}}  // namespace belay::detail
