// SPDX-License-Identifier: MIT
/// \file belay/room/detail/client_table.hpp
/// ClientTable, RoomChannel: the connections and the clients of a RoomManager.
#pragma once

#include <algorithm>  // std::any_of, std::count_if, std::find_if, std::ranges::equal
#include <cstddef>    // std::size_t
#include <cstdint>    // std::uint64_t
#include <iterator>   // std::prev
#include <list>       // std::list
#include <map>        // std::map, std::multimap
#include <utility>    // std::exchange, std::forward, std::move
#include <vector>     // std::erase, std::vector

#include <belay/core/machine_group.hpp>
#include <belay/core/order.hpp>
#include <belay/room/detail/room_state.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A client whose frames have an address: one of several clients of its connection.
///
/// A machine of its own: its turn is `ConnectionOps::serve`.
struct RoomChannel : RoomClient {
    RoomChannel(ClientConnection& c, std::uint64_t number, BytesView name, RoomRequest r)
        : RoomClient{c, number, own_request, own_waker, ClientCore{c.core.options(), true}},
          own_request{std::move(r)} {
        address = name_ = Ref<RoomFrame>::make(to_bytes(name));
    }

    void attach(Waker w) {
        waker = std::move(w);
        rights.check.attach(waker);
    }
    [[nodiscard]] Instant deadline() const noexcept {
        if (reaped) return never;
        if (core.ending() && rights.check.waits())
            return smaller(rights.check.deadline(), core.deadline());
        if (core.ending() || core.opening()) return always;
        const Instant other =
            smaller(rights.check.deadline(), smaller(core.deadline(), backlog.retry_at));
        const bool reads = core.joined() && !held_frames.empty() && room->core.live();
        return reads ? smaller(other, connection->rate.read_at) : other;
    }
    void advance(Instant) { connection->ops->serve(*this); }

    [[nodiscard]] const Bytes& name() const noexcept { return name_->bytes; }
    /// Whether frames are held that still count, because access is granted.
    [[nodiscard]] bool has_held_frames() const noexcept {
        return (core.joined() || core.opening()) && !held_frames.empty();
    }
    /// Stays until its held frames are processed; another channel may use its address.
    void drain() {
        core.drain();
        address = Ref<RoomFrame>::make(Bytes{});
        connection->drop_output(*this);
    }

    RoomRequest own_request;
    Waker own_waker{};
    /// Frames that wait for the check or the load. A list has no memory while it is empty.
    std::list<Bytes> held_frames{};
    bool was_joined = false;
    bool end_waits = false;  ///< the client was not notified of its end yet
    bool reaped = false;     ///< destroyed at the end of the turn
    driver::GroupedMachine<RoomChannel> self;

private:
    Ref<RoomFrame> name_{};
};

/// The channels of one connection, by the addresses of their frames, and the work that they cause.
/// A channel that drains keeps its place, although another one may use its address.
class ChannelTable {
public:
    void add(RoomChannel& channel) {
        channels_.emplace(channel.name(), &channel);
        clients_.push_back(&channel);
        channel.connection->clients = clients_;
    }
    /// A channel is destroyed.
    void leave(RoomChannel& channel) noexcept {
        std::erase(clients_, &channel);
        channel.connection->clients = clients_;
    }
    /// Drops the held frames of a channel, and gives up its address.
    void remove(RoomChannel& channel) noexcept {
        for (const Bytes& frame : channel.held_frames) held_bytes -= frame.size();
        channel.held_frames.clear();
        channel.core.drop_tokens();
        channel.connection->waker.touch();
        const auto [from, to] = channels_.equal_range(BytesView{channel.name()});
        const auto found =
            std::find_if(from, to, [&](const auto& one) { return one.second == &channel; });
        if (found != to) channels_.erase(found);
    }
    /// Returns the channel with this address that does not drain; null if there is none.
    [[nodiscard]] RoomChannel* find(BytesView name) const {
        // Channels that drain precede.
        const auto behind = channels_.upper_bound(name);
        if (behind == channels_.begin()) return nullptr;
        RoomChannel* const last = std::prev(behind)->second;
        return !last->core.draining() && std::ranges::equal(last->name(), name) ? last : nullptr;
    }
    /// Whether there may be one more channel: `most` that are not draining, and twice as many with
    /// those that are.
    [[nodiscard]] bool takes_another(std::size_t most) const noexcept {
        if (channels_.size() < most) return true;
        const auto leaving = std::count_if(channels_.begin(), channels_.end(), [](const auto& one) {
            return one.second->core.draining();
        });
        return channels_.size() - static_cast<std::size_t>(leaving) < most &&
               channels_.size() / 2 < most;
    }
    /// Whether so much is held or checked that nothing more is read.
    [[nodiscard]] bool full(const ConnectionCore& core) const noexcept {
        return (held_bytes != 0 &&
                (!core.has_ever_joined() || held_bytes >= core.options().client_bytes_max)) ||
               checking >= checks_max;
    }
    /// Whether frames are held that still count.
    [[nodiscard]] bool has_held_frames() const noexcept {
        return held_bytes != 0 &&
               std::any_of(channels_.begin(), channels_.end(),
                           [](const auto& one) { return one.second->has_held_frames(); });
    }

    /// The most clients that wait for a check or a load at a time, fresh tokens included.
    static constexpr std::size_t checks_max = 8;

    std::size_t checking = 0;        ///< the number of clients that wait for a check or a load
    std::size_t held_bytes = 0;      ///< the bytes of held frames and held state vectors
    Instant look_at = always;        ///< the next check for the end of a connection that is full
    bool pings = false;              ///< the client answers pings
    bool counts_as_empty = false;    ///< in AdmissionLimits: it has no client
    bool counts_as_waiting = false;  ///< in AdmissionLimits: it has had no client that joined

private:
    struct ByBytes {
        using is_transparent = void;
        [[nodiscard]] bool operator()(BytesView a, BytesView b) const noexcept {
            return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end());
        }
    };

    std::multimap<Bytes, RoomChannel*, ByBytes> channels_;
    std::vector<RoomClient*> clients_;
};

/// Held state vectors count like held frames, if the frames have addresses.
inline void RoomClient::count_held(std::size_t bytes) noexcept {
    if (!connection->has_addresses()) return;
    connection->channels->held_bytes += bytes;
    connection->waker.touch();
}
inline void RoomClient::update_checking() noexcept {
    ChannelTable* const shared = connection->channels;
    if (shared == nullptr) return;
    const bool counts = core.takes_check();
    if (std::exchange(rights.counted, counts) == counts) return;
    shared->checking = counts ? shared->checking + 1 : shared->checking - 1;
    connection->waker.touch();
}

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
