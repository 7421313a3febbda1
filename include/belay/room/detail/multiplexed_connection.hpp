// SPDX-License-Identifier: MIT
/// \file belay/room/detail/multiplexed_connection.hpp
/// MultiplexedConnection and RoomChannel: a connection with several clients, and one of them.
#pragma once

#include <algorithm>  // std::any_of, std::count_if, std::find_if, ...
#include <iterator>   // std::prev
#include <list>       // std::list
#include <map>        // std::map
#include <optional>   // std::optional
#include <utility>    // std::move

#include <belay/core/machine_group.hpp>
#include <belay/core/order.hpp>
#include <belay/link/served_link.hpp>
#include <belay/room/detail/room_close.hpp>
#include <belay/room/detail/room_state.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The most bytes of a frame of a connection that has not joined a room yet.
[[nodiscard]] constexpr std::size_t bytes_before_join(const RoomOptions& options) noexcept {
    return larger(options.piece_bytes_max, options.bytes_until_token);
}

/// One client of a multiplexed connection.
///
/// A machine of its handler's group: its turn is `handler->serve(*this)`.
template <class Connection>
struct RoomChannel : RoomClient {
    RoomChannel(Connection& t, std::uint64_t number, BytesView name, RoomRequest r)
        : RoomClient{table, t.io, number, std::move(r), ClientCore{t.core.options(), true}},
          multiplexed{&t} {
        address = name_ = Ref<RoomFrame>::make(to_bytes(name));
    }

    void attach(Waker w) {
        waker = std::move(w);
        rights.check.attach(waker);
    }
    [[nodiscard]] Instant deadline() const noexcept {
        if (end.reaped) return never;
        if (core.ending() && rights.check.waits())
            return smaller(rights.check.deadline(), core.deadline());
        if (core.ending() || core.awaits_upgrade()) return always;
        const Instant other = smaller(rights.check.deadline(), timers());
        const bool reads = core.joined() && !held_frames.empty() && room->core.live();
        return reads ? smaller(other, multiplexed->io.rate.read_at) : other;
    }
    void advance(Instant) { multiplexed->handler->serve(*this); }

    [[nodiscard]] const Bytes& name() const noexcept { return name_->bytes; }
    /// Whether frames are held that still count, because access is granted.
    [[nodiscard]] bool has_held_frames() const noexcept {
        return (core.joined() || core.awaits_upgrade()) && !held_frames.empty();
    }
    /// Stays until its held frames are processed; another channel may use its address.
    void drain() {
        core.drain();
        address = Ref<RoomFrame>::make(Bytes{});
        connection->drop_output(*this);
    }

    Connection* multiplexed;
    /// Frames that wait for the check or the load. A list has no memory while it is empty.
    std::list<Bytes> held_frames{};
    bool was_joined = false;
    driver::GroupedMachine<RoomChannel> self;

private:
    Ref<RoomFrame> name_{};

    static RoomChannel& of(RoomClient& client) noexcept {
        return static_cast<RoomChannel&>(client);
    }
    static const RoomChannel& of(const RoomClient& client) noexcept {
        return static_cast<const RoomChannel&>(client);
    }
    static constexpr RoomClientOps make_table() noexcept {
        return {.open = [](RoomClient& s) { s.waker.touch(); },
                .close =
                    [](RoomClient& s, const std::error_code& why) noexcept {
                        s.end.close_with(why);
                        s.waker.touch();
                        of(s).multiplexed->forget(of(s));
                    },
                .abort = [](RoomClient& s) noexcept { s.waker.touch(); },
                .write = [](const RoomClient& s, const part::RoomMessage& m) -> Bytes {
                    return of(s).multiplexed->protocol.write(m);
                },
                .split = [](const RoomClient& s, BytesView update,
                            std::size_t most) -> std::vector<Bytes> {
                    if constexpr (SplitsUpdate<typename Connection::protocol_type>) {
                        if (update.size() > most)
                            return of(s).multiplexed->protocol.split(update, most);
                    }
                    return {to_bytes(update)};
                },
                .disjoint =
                    [](const RoomClient& s, BytesView a, BytesView b) {
                        if constexpr (HasDisjoint<typename Connection::protocol_type>) {
                            return of(s).multiplexed->protocol.disjoint(a, b);
                        } else {
                            return false;
                        }
                    },
                .end =
                    [](RoomClient& s) noexcept {
                        of(s).multiplexed->forget(of(s));
                        // Moved out of itself first, then destroyed.
                        auto owner = std::move(of(s).self);
                        owner.reset();
                    }};
    }
    static const RoomClientOps table;
};

template <class Connection>
constinit const RoomClientOps RoomChannel<Connection>::table =
    RoomChannel<Connection>::make_table();

/// The channels of one connection, by the addresses of their frames. A channel that drains keeps
/// its place, although another one may use its address.
template <class Channel>
class ChannelTable {
public:
    void add(const Bytes& name, Channel& channel) { channels_.emplace(name, &channel); }
    void remove(const Channel& channel) noexcept {
        const auto [from, to] = channels_.equal_range(BytesView{channel.name()});
        const auto found =
            std::find_if(from, to, [&](const auto& one) { return one.second == &channel; });
        if (found != to) channels_.erase(found);
    }
    /// Returns the channel with this address that does not drain; null if there is none.
    [[nodiscard]] Channel* find(BytesView name) const {
        // Channels that drain precede.
        const auto behind = channels_.upper_bound(name);
        if (behind == channels_.begin()) return nullptr;
        Channel* const last = std::prev(behind)->second;
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
    /// Whether frames are held that still count.
    [[nodiscard]] bool has_held_frames() const noexcept {
        return std::any_of(channels_.begin(), channels_.end(),
                           [](const auto& one) { return one.second->has_held_frames(); });
    }

private:
    struct ByBytes {
        using is_transparent = void;
        [[nodiscard]] bool operator()(BytesView a, BytesView b) const noexcept {
            return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end());
        }
    };

    std::multimap<Bytes, Channel*, ByBytes> channels_;
};

/// A connection with several clients, one for each document.
///
/// A machine of its handler's group: its turn is `handler->serve(*this)`. The upgrade is
/// answered at once. RoomOptions limits the connection until a client joins.
template <class Handler, TransportLike Transport, RoomProtocolLike Protocol>
struct MultiplexedConnection : MultiplexedBase {
    using Link = ServedLink<Transport>;
    using Channel = RoomChannel<MultiplexedConnection>;
    using protocol_type = Protocol;

    MultiplexedConnection(Handler& h, std::uint64_t number, Transport t, Protocol p, RoomRequest r,
                          const SharedLimits& shared)
        : MultiplexedBase{table, &MultiplexedConnection::send_on, number, std::move(r), shared},
          handler{&h},
          protocol{std::move(p)},
          unopened{std::move(t)} {}

    void attach(Waker w) { waker = std::move(w); }
    [[nodiscard]] Instant deadline() const noexcept {
        if (end.reaped) return never;
        // A connection whose tokens are being checked is not late.
        const Instant mine = core.deadline(!io.clients.empty());
        const Instant other = core.ending() ? mine : smaller(mine, io.timers());
        if (!link) return unopened ? other : always;
        if (link->ended() && has_held_frames()) return other;
        if (link->ended() || (core.state() == ConnectionCore::State::closing && link->opened()))
            return always;
        if (link->closing()) return smaller(other, link->deadline());
        const Instant sends = is_output_stalled() ? smaller(other, polls.send_at) : other;
        return full() ? smaller(sends, polls.look_at)
                      : smaller(sends, larger(link->deadline(), io.rate.read_at));
    }
    void advance(Instant) { handler->serve(*this); }

    [[nodiscard]] bool gone() const noexcept { return link ? link->ended() : !unopened; }
    [[nodiscard]] bool has_held_frames() const noexcept {
        if (core.ending() || backlog.held_bytes == 0) return false;
        return channels.has_held_frames();
    }
    /// Whether nothing more is read, because too much is held or checked.
    [[nodiscard]] bool full() const noexcept {
        if (peer_ended) return false;
        return (backlog.held_bytes != 0 &&
                (!core.has_ever_joined() ||
                 backlog.held_bytes >= core.options().client_bytes_max)) ||
               backlog.checking >= checks_max;
    }
    /// Whether a `writable` event may wait after frames that are not read.
    [[nodiscard]] bool is_output_stalled() const noexcept {
        return link && !core.ending() && !io.output.empty() &&
               (full() || io.rate.read_at > polls.send_at);
    }
    /// Drops its held frames, and gives up its address.
    void forget(Channel& channel) noexcept {
        for (const Bytes& frame : channel.held_frames) backlog.held_bytes -= frame.size();
        channel.held_frames.clear();
        channel.core.drop_tokens();
        channels.remove(channel);
        waker.touch();
    }

    /// The most clients that wait for a check or a load at a time, fresh tokens included.
    static constexpr std::size_t checks_max = 8;

    Handler* handler;
    [[no_unique_address]] Protocol protocol;
    std::optional<Transport> unopened;
    std::optional<Link> link;
    ChannelTable<Channel> channels{};
    driver::GroupedMachine<MultiplexedConnection> self;

private:
    static MultiplexedConnection& of(MultiplexedBase& connection) noexcept {
        return static_cast<MultiplexedConnection&>(connection);
    }
    static SendResult send_on(ClientConnection& connection, const RoomFrame* address,
                              const Bytes& frame) {
        auto& link = of(*connection.multiplexed).link;
        if (!link) return SendResult::down;
        if (address == nullptr) return link->send(frame);
        if (address->bytes.empty()) return SendResult::sent;
        Bytes whole;
        whole.reserve(address->bytes.size() + frame.size());
        whole = address->bytes;
        whole.insert(whole.end(), frame.begin(), frame.end());
        return link->send(whole);
    }
    static constexpr Ops make_table() noexcept {
        return {.open =
                    [](MultiplexedBase& base) {
                        MultiplexedConnection& t = of(base);
                        if (!t.unopened) return;
                        const RoomOptions& o = t.core.options();
                        const bool opens = t.handler->open(t, [&] {
                            t.link.emplace(std::move(*t.unopened), o.messages_max, t.waker, 0);
                        });
                        if (!opens) return;
                        t.unopened.reset();
                        // A connection is read before its user is known.
                        t.link->limit_messages(bytes_before_join(o));
                        t.link->limit_output(connection_bytes_max(o.client_bytes_max));
                        t.waker.touch();
                    },
                .close =
                    [](MultiplexedBase& base, const std::error_code& why) noexcept {
                        const RoomOptions& o = of(base).core.options();
                        if (of(base).link)
                            of(base).link->close(room_close(why, o.close_codes), o.linger_max);
                    },
                .abort =
                    [](MultiplexedBase& base) noexcept {
                        of(base).unopened.reset();
                        if (of(base).link) of(base).link->abort();
                        base.waker.touch();
                    },
                .end =
                    [](MultiplexedBase& base) noexcept {
                        auto owner = std::move(of(base).self);
                        owner.reset();
                    }};
    }
    static const Ops table;
};

template <class Handler, TransportLike Transport, RoomProtocolLike Protocol>
constinit const MultiplexedBase::Ops MultiplexedConnection<Handler, Transport, Protocol>::table =
    MultiplexedConnection<Handler, Transport, Protocol>::make_table();

}}}  // namespace belay::detail
