// SPDX-License-Identifier: MIT
/// \file belay/room/detail/client_table.hpp
/// ClientTable: the connections and the clients of a RoomManager, by their ids.
#pragma once

#include <cstddef>  // std::size_t
#include <cstdint>  // std::uint64_t
#include <map>      // std::map
#include <utility>  // std::exchange, std::forward, std::move
#include <vector>   // std::vector

#include <belay/core/machine_group.hpp>
#include <belay/room/detail/room_channel.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Owns the connections of a manager and their clients. Connections and channels are machines of
/// one group, and have ids that are never used again.
///
/// A connection or a channel that has ended is destroyed at the end of the turn.
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

    /// Makes a connection with the next id. It owns itself until its `ops->end`.
    template <class C, class Handler, class... A>
    [[nodiscard]] C& make_connection(Handler& handler, A&&... args) {
        auto made = machines_.template make<C>(handler, ++last_id_, std::forward<A>(args)...);
        C& connection = *made;
        if (connection.clients.empty())
            members_.emplace(connection.id, Member{&connection, nullptr});
        else
            add(*connection.clients.front());
        connection.self = std::move(made);
        return connection;
    }
    /// Makes a client of a connection, with the next id.
    [[nodiscard]] RoomChannel& make_channel(ClientConnection& connection, BytesView name,
                                            RoomRequest request) {
        auto made = machines_.make<RoomChannel>(connection, ++last_id_, name, std::move(request));
        RoomChannel& channel = *made;
        add(channel);
        connection.channels->add(channel);
        channel.self = std::move(made);
        return channel;
    }

    /// Lists a client of a connection that has another owner.
    void add(RoomClient& client) {
        members_.emplace(client.id, Member{client.connection, &client});
        ++clients_;
    }

    [[nodiscard]] RoomClient* find_client(std::uint64_t id) const {
        const auto found = members_.find(id);
        return found != members_.end() ? found->second.client : nullptr;
    }
    /// Returns the connection with this id, or of the client with this id.
    [[nodiscard]] ClientConnection* find_connection(std::uint64_t id) const {
        const auto found = members_.find(id);
        return found != members_.end() ? found->second.connection : nullptr;
    }
    /// Calls `f` for each client in the order of the ids, also for those that are closed, until the
    /// end of the turn.
    template <class F>
    void each_client(F&& f) const {
        for (const auto& [id, member] : members_)
            if (member.client != nullptr) f(*member.client);
    }
    /// Calls `f` for the connection of each id: more than once, if it has several clients.
    template <class F>
    void each_connection(F&& f) const {
        for (const auto& [id, member] : members_) f(*member.connection);
    }
    [[nodiscard]] std::size_t client_count() const noexcept { return clients_; }
    [[nodiscard]] bool empty() const noexcept { return members_.empty(); }

    /// Queues a channel or a connection that has ended.
    void note_ended(RoomChannel& channel) {
        channel.reaped = true;
        ended_.push_back(channel.id);
    }
    void note_ended(ClientConnection& connection) {
        connection.end.reaped = true;
        ended_.push_back(connection.id);
    }
    /// Destroys each channel after a call of `on_channel`, and each connection after one of
    /// `on_connection`, if it has ended.
    template <class F, class G>
    void destroy_ended(F&& on_channel, G&& on_connection) {
        for (const std::uint64_t id : std::exchange(ended_, {})) {
            const Member member = members_.find(id)->second;
            if (member.connection->id == id) {
                on_connection(*member.connection);
                destroy(*member.connection);
            } else {
                on_channel(channel_of(member));
                destroy(channel_of(member));
            }
        }
    }
    /// Destroys all clients after a call of `each`, and all connections.
    template <class F>
    void destroy_all(F&& each) {
        ended_.clear();
        each_client(each);
        std::vector<ClientConnection*> connections;
        std::vector<RoomChannel*> channels;
        for (const auto& [id, member] : members_) {
            if (id == member.connection->id)
                connections.push_back(member.connection);
            else
                channels.push_back(&channel_of(member));
        }
        for (RoomChannel* const channel : channels) destroy(*channel);
        for (ClientConnection* const connection : connections) destroy(*connection);
    }

private:
    struct Member {
        ClientConnection* connection;
        RoomClient* client;  ///< null: the id is of a connection of several clients
    };

    /// Pre: the id is not that of the connection.
    [[nodiscard]] static RoomChannel& channel_of(const Member& member) noexcept {
        return static_cast<RoomChannel&>(*member.client);
    }
    void destroy(RoomChannel& channel) noexcept {
        channel.connection->channels->remove(channel);
        members_.erase(channel.id);
        --clients_;
        // Moved out of itself first, then destroyed.
        auto owner = std::move(channel.self);
        owner.reset();
    }
    void destroy(ClientConnection& connection) noexcept {
        members_.erase(connection.id);
        if (!connection.has_addresses()) --clients_;
        connection.ops->end(connection);
    }

    driver::MachineGroup machines_;
    std::map<std::uint64_t, Member> members_;
    std::vector<std::uint64_t> ended_;
    std::size_t clients_ = 0;
    std::uint64_t last_id_ = 0;
};

}}}  // namespace belay::detail
