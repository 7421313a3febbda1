// SPDX-License-Identifier: MIT
/// \file belay/room/detail/room_socket.hpp
/// RoomSocket: a client's connection, of one transport and one protocol.
#pragma once

#include <optional>  // std::optional
#include <utility>   // std::move

#include <belay/core/machine_group.hpp>
#include <belay/link/served_link.hpp>
#include <belay/room/detail/room_close.hpp>
#include <belay/room/detail/room_seat.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A machine of its manager's nest: its turn is `manager.serve(socket)`.
///
/// The transport is opened, which answers the upgrade, when it is known what the answer is.
template <class Manager, TransportLike Transport, RoomProtocolLike Protocol>
struct RoomSocket : RoomSeat {
    using Link = ServedLink<Transport>;

    RoomSocket(Manager& m, std::uint64_t number, Transport t, Protocol p, RoomRequest r,
               const RoomHouse& house)
        : RoomSeat{table, connection, number, std::move(r)},
          connection{*this, house.options.heartbeat, house.answers},
          manager{&m},
          options_{&house.options},
          protocol{std::move(p)},
          closed{std::move(t)} {
        connection.seats.push_back(this);
        connection.wake = &waker;
    }

    // ---- for the nest --------------------------------------------------------------------------

    void attach(Waker w) {
        waker = std::move(w);
        check.attach(waker);
    }
    [[nodiscard]] Instant deadline() const noexcept {
        if (reaped) return never;
        const Instant other = smaller(check.deadline(), smaller(timers(), connection.timers()));
        if (!link) return closed ? other : always;
        if (link->ended()) return always;
        if (link->closing()) return smaller(other, link->deadline());
        return smaller(other, larger(link->deadline(), connection.read_at));
    }
    void advance(Instant) { manager->serve(*this); }

    // ---- for the manager -----------------------------------------------------------------------

    [[nodiscard]] bool gone() const noexcept { return link ? link->ended() : !closed; }

    struct Connection : RoomPeer {
        Connection(RoomSocket& s, const HeartbeatOptions& beat, std::size_t& answers)
            : RoomPeer{&Connection::send_on, beat, answers}, socket{&s} {}
        static SendResult send_on(RoomPeer& peer, const RoomFrame*, const Bytes& frame) noexcept {
            auto& link = static_cast<Connection&>(peer).socket->link;
            return link ? link->send(frame) : SendResult::down;
        }
        RoomSocket* socket;
    };

    Connection connection;
    Manager* manager;
    const RoomOptions* options_;
    [[no_unique_address]] Protocol protocol;
    std::optional<Transport> closed;  ///< not opened yet
    std::optional<Link> link;
    driver::GroupedMachine<RoomSocket> self;

private:
    static RoomSocket& of(RoomSeat& seat) noexcept { return static_cast<RoomSocket&>(seat); }
    static const RoomSocket& of(const RoomSeat& seat) noexcept {
        return static_cast<const RoomSocket&>(seat);
    }
    static void open(RoomSeat& seat) {
        RoomSocket& s = of(seat);
        s.link.emplace(std::move(*s.closed), s.options_->messages_max, s.waker, 0);
        s.closed.reset();
        s.link->limit_messages(s.options_->frame_bytes_max);
        s.link->limit_output(connection_bytes_max(s.options_->client_bytes_max));
        s.waker.touch();
    }
    static std::vector<Bytes> split(const RoomSeat& seat, BytesView update, std::size_t most) {
        if constexpr (SplitsUpdate<Protocol>) {
            if (update.size() > most) return of(seat).protocol.split(update, most);
        }
        return {to_bytes(update)};
    }
    static bool disjoint(const RoomSeat& seat, BytesView a, BytesView b) {
        if constexpr (TellsDisjoint<Protocol>) {
            return of(seat).protocol.disjoint(a, b);
        } else {
            return false;
        }
    }
    static constexpr RoomSeatOps make_table() noexcept {
        return {.open = &RoomSocket::open,
                .close =
                    [](RoomSeat& s, const std::error_code& why) noexcept {
                        const RoomOptions& o = *of(s).options_;
                        if (of(s).link)
                            of(s).link->close(room_close(why, o.close_codes), o.linger_max);
                    },
                .abort =
                    [](RoomSeat& s) noexcept {
                        of(s).closed.reset();
                        if (of(s).link) of(s).link->abort();
                    },
                .write = [](const RoomSeat& s, const part::RoomMessage& m) -> Bytes {
                    return of(s).protocol.write(m);
                },
                .split = &RoomSocket::split,
                .disjoint = &RoomSocket::disjoint,
                .end =
                    [](RoomSeat& s) noexcept {
                        // First out of itself, then destroyed.
                        auto owner = std::move(of(s).self);
                        owner.reset();
                    }};
    }
    static const RoomSeatOps table;
};

template <class Manager, TransportLike Transport, RoomProtocolLike Protocol>
constinit const RoomSeatOps RoomSocket<Manager, Transport, Protocol>::table =
    RoomSocket<Manager, Transport, Protocol>::make_table();

}}}  // namespace belay::detail
