// SPDX-License-Identifier: MIT
/// \file belay/room/detail/client_table.hpp
/// ClientTable: the clients and the multiplexed connections of a RoomManager, by their ids.
#pragma once

#include <cstddef>  // std::size_t
#include <cstdint>  // std::uint64_t
#include <map>      // std::map
#include <utility>  // std::exchange, std::forward, std::move
#include <vector>   // std::vector

#include <belay/core/machine_group.hpp>
#include <belay/room/detail/room_client.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Owns the clients and the multiplexed connections of a manager. Each of them is a machine of one
/// group, and has an id that is never used again.
///
/// A client or a connection that has ended is destroyed at the end of the turn.
///
/// Thread safety: home thread only.
class ClientTable {
public:
    void attach(Waker waker) { machines_.attach(std::move(waker)); }
    [[nodiscard]] bool attached() const noexcept { return machines_.attached(); }
    [[nodiscard]] Instant deadline() const noexcept {
        return ended_.empty() ? machines_.deadline() : always;
    }
    void turn(Instant now) { static_cast<void>(machines_.advance(now)); }

    /// Makes a client or a connection with the next id. It owns itself until its `ops->end`.
    template <class M, class Parent, class... A>
    [[nodiscard]] M& make(Parent& parent, A&&... args) {
        auto made = machines_.template make<M>(parent, ++last_id_, std::forward<A>(args)...);
        M& machine = *made;
        add(machine);
        machine.self = std::move(made);
        return machine;
    }

    /// Lists a client that has another owner.
    void add(RoomClient& client) { clients_.emplace(client.id, &client); }

    [[nodiscard]] RoomClient* find_client(std::uint64_t id) const {
        const auto found = clients_.find(id);
        return found != clients_.end() ? found->second : nullptr;
    }
    [[nodiscard]] MultiplexedBase* find_connection(std::uint64_t id) const {
        const auto found = connections_.find(id);
        return found != connections_.end() ? found->second : nullptr;
    }
    /// The clients, also those that are closed, until the end of the turn.
    [[nodiscard]] const std::map<std::uint64_t, RoomClient*>& by_id() const noexcept {
        return clients_;
    }
    [[nodiscard]] const std::map<std::uint64_t, MultiplexedBase*>& connections() const noexcept {
        return connections_;
    }
    [[nodiscard]] std::size_t client_count() const noexcept { return clients_.size(); }
    [[nodiscard]] bool empty() const noexcept { return clients_.empty() && connections_.empty(); }

    /// Queues a client or a connection that has ended.
    void note_ended(RoomClient& client) { ended_.push_back(&client); }
    void note_ended(MultiplexedBase& connection) { ended_connections_.push_back(&connection); }
    /// Calls `each` for each client that has ended, and destroys it.
    template <class F>
    void destroy_ended(F&& each) {
        for (RoomClient* const client : std::exchange(ended_, {})) {
            each(*client);
            clients_.erase(client->id);
            client->ops->end(*client);
        }
    }
    template <class F>
    void destroy_ended_connections(F&& each) {
        for (MultiplexedBase* const connection : std::exchange(ended_connections_, {})) {
            connections_.erase(connection->id);
            each(*connection);
            connection->ops->end(*connection);
        }
    }
    /// Destroys all clients after a call of `each`, and then all connections.
    template <class F>
    void destroy_all(F&& each) {
        ended_.clear();
        for (const auto& [id, client] : std::exchange(clients_, {})) {
            each(*client);
            client->ops->end(*client);
        }
        ended_connections_.clear();
        for (const auto& [id, connection] : std::exchange(connections_, {}))
            connection->ops->end(*connection);
    }

private:
    void add(MultiplexedBase& connection) { connections_.emplace(connection.id, &connection); }

    driver::MachineGroup machines_;
    std::map<std::uint64_t, RoomClient*> clients_;
    std::map<std::uint64_t, MultiplexedBase*> connections_;
    std::vector<RoomClient*> ended_;
    std::vector<MultiplexedBase*> ended_connections_;
    std::uint64_t last_id_ = 0;
};

}}}  // namespace belay::detail
