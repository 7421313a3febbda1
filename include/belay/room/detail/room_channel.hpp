// SPDX-License-Identifier: MIT
/// \file belay/room/detail/room_channel.hpp
/// RoomChannel and ChannelTable: the clients of a connection whose frames have addresses.
#pragma once

#include <algorithm>  // std::any_of, std::count_if, std::find_if, ...
#include <cstddef>    // std::size_t
#include <cstdint>    // std::uint64_t
#include <iterator>   // std::prev
#include <list>       // std::list
#include <map>        // std::multimap
#include <utility>    // std::exchange, std::move
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

}}}  // namespace belay::detail
