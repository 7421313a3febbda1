// SPDX-License-Identifier: MIT
/// \file belay/room/detail/room_connection.hpp
/// RoomConnection: a connection of one transport and one protocol, with one client or several.
#pragma once

#include <chrono>       // std::chrono::milliseconds
#include <type_traits>  // std::conditional_t
#include <utility>      // std::in_place_type, std::move
#include <variant>      // std::get_if, std::holds_alternative, std::variant
#include <vector>       // std::vector

#include <belay/core/machine_group.hpp>
#include <belay/core/order.hpp>
#include <belay/link/served_link.hpp>
#include <belay/room/detail/room_channel.hpp>
#include <belay/room/detail/room_close.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The most bytes of a frame of a connection that has not joined a room yet, although its upgrade
/// was answered.
[[nodiscard]] constexpr std::size_t bytes_before_join(const RoomOptions& options) noexcept {
    return larger(options.piece_bytes_max, options.bytes_until_token);
}

/// The client of a connection whose frames have no addresses. It has the id, the request and the
/// turns of the connection.
struct OnlyClient : RoomClient {
    explicit OnlyClient(ClientConnection& c)
        : RoomClient{c, c.id, c.request, c.waker, ClientCore{c.core.options(), false}} {
        c.clients = {&self, 1};
    }
    void attach() { rights.check.attach(waker); }
    [[nodiscard]] Instant deadline() const noexcept {
        return smaller(rights.check.deadline(), smaller(core.deadline(), backlog.retry_at));
    }

    RoomClient* self = this;
};
/// The clients of a connection whose frames have addresses: each has turns of its own.
struct SeveralClients : ChannelTable {
    explicit SeveralClients(ClientConnection& c) { c.channels = this; }
    void attach() {}
    [[nodiscard]] Instant deadline() const noexcept { return never; }
};

/// A connection of one transport and one protocol.
///
/// A machine of its handler's group: its turn is `handler->serve(*this)`.
template <class Handler, TransportLike Transport, RoomProtocolLike Protocol>
struct RoomConnection : ClientConnection {
    using Link = ServedLink<Transport>;
    static constexpr bool several = AddressesFrames<Protocol>;

    RoomConnection(Handler& h, std::uint64_t number, Transport t, Protocol p, RoomRequest r,
                   const SharedLimits& shared)
        : ClientConnection{table, number, std::move(r), shared},
          handler{&h},
          protocol{std::move(p)},
          transport{std::in_place_type<Transport>, std::move(t)},
          own{*this} {}

    void attach(Waker w) {
        waker = std::move(w);
        own.attach();
    }
    [[nodiscard]] Instant deadline() const noexcept {
        if (end.reaped) return never;
        // A connection whose tokens are being checked is not late.
        const Instant mine = smaller(core.deadline(!clients.empty()), own.deadline());
        const Instant other =
            core.ending() ? mine : smaller(mine, smaller(output.pace.deadline(), alive.deadline()));
        const Link* const link = std::get_if<Link>(&transport);
        if (link == nullptr) return std::holds_alternative<Transport>(transport) ? other : always;
        if (link->ended() && has_held_frames()) return other;
        if (link->ended() || (core.state() == ConnectionCore::State::closing && link->opened()))
            return always;
        if (link->closing()) return smaller(other, link->deadline());
        const Instant sends =
            is_output_stalled()
                ? smaller(other, after(rate.looked_at, std::chrono::milliseconds{50}))
                : other;
        return full() ? smaller(sends, channels->look_at)
                      : smaller(sends, larger(link->deadline(), rate.read_at));
    }
    void advance(Instant) { handler->serve(*this); }

    /// Returns the open transport; null before, and after an end before.
    [[nodiscard]] Link* link() noexcept { return std::get_if<Link>(&transport); }
    [[nodiscard]] bool gone() const noexcept {
        const Link* const open = std::get_if<Link>(&transport);
        return open != nullptr ? open->ended() : !std::holds_alternative<Transport>(transport);
    }
    /// Whether nothing more is read, because too much is held or checked.
    [[nodiscard]] bool full() const noexcept {
        return several && !end.arrived && channels->full(core);
    }
    /// Whether frames are held that still count.
    [[nodiscard]] bool has_held_frames() const noexcept {
        return several && !core.ending() && channels->has_held_frames();
    }
    [[nodiscard]] bool may_read(Instant now) const noexcept {
        return core.ending() || (rate.read_at <= now && !full());
    }
    /// Whether a `writable` event may wait after frames that are not read.
    [[nodiscard]] bool is_output_stalled() const noexcept {
        return std::holds_alternative<Link>(transport) && !core.ending() && !output.empty() &&
               !may_read(rate.looked_at);
    }

    Handler* handler;
    [[no_unique_address]] Protocol protocol;
    /// Before the upgrade is answered, and after. Neither, if it was aborted before.
    std::variant<std::monostate, Transport, Link> transport;
    std::conditional_t<several, SeveralClients, OnlyClient> own;
    driver::GroupedMachine<RoomConnection> self;

private:
    static RoomConnection& of(ClientConnection& c) noexcept {
        return static_cast<RoomConnection&>(c);
    }
    static const RoomConnection& of(const ClientConnection& c) noexcept {
        return static_cast<const RoomConnection&>(c);
    }
    static void open(ClientConnection& base) {
        RoomConnection& c = of(base);
        const RoomOptions& o = c.core.options();
        const bool opens = c.handler->open(c, [&] {
            Transport unopened = std::move(std::get<Transport>(c.transport));
            c.transport.template emplace<Link>(std::move(unopened), o.messages_max, c.waker, 0);
        });
        if (!opens) return;
        // If the frames have addresses, the connection is read before its user is known.
        c.link()->limit_messages(several ? bytes_before_join(o) : o.frame_bytes_max);
        c.link()->limit_output(connection_bytes_max(o.client_bytes_max));
        c.waker.touch();
    }
    static SendResult send(ClientConnection& base, const RoomFrame* address, const Bytes& frame) {
        Link* const link = of(base).link();
        if (link == nullptr) return SendResult::down;
        if constexpr (several) {
            if (address != nullptr) return send_addressed(*link, address->bytes, frame);
        }
        return link->send(frame);
    }
    static SendResult send_addressed(Link& link, const Bytes& address, const Bytes& frame) {
        if (address.empty()) return SendResult::sent;
        Bytes whole;
        whole.reserve(address.size() + frame.size());
        whole = address;
        whole.insert(whole.end(), frame.begin(), frame.end());
        return link.send(whole);
    }
    static std::vector<Bytes> split(const ClientConnection& base, BytesView update,
                                    std::size_t most) {
        if constexpr (SplitsUpdate<Protocol>) {
            if (update.size() > most) return of(base).protocol.split(update, most);
        }
        return {to_bytes(update)};
    }
    static bool disjoint(const ClientConnection& base, BytesView a, BytesView b) {
        if constexpr (HasDisjoint<Protocol>) {
            return of(base).protocol.disjoint(a, b);
        } else {
            return false;
        }
    }
    static constexpr ConnectionOps make_table() noexcept {
        return {.open = &RoomConnection::open,
                .close =
                    [](ClientConnection& base, const std::error_code& why) noexcept {
                        const RoomOptions& o = base.core.options();
                        if (Link* const link = of(base).link())
                            link->close(room_close(why, o.close_codes), o.linger_max);
                    },
                .abort =
                    [](ClientConnection& base) noexcept {
                        if (Link* const link = of(base).link())
                            link->abort();
                        else
                            of(base).transport.template emplace<std::monostate>();
                        base.waker.touch();
                    },
                .send = &RoomConnection::send,
                .write = [](const ClientConnection& base, const part::RoomMessage& m) -> Bytes {
                    return of(base).protocol.write(m);
                },
                .split = &RoomConnection::split,
                .disjoint = &RoomConnection::disjoint,
                .serve =
                    [](RoomChannel& channel) {
                        RoomConnection& c = of(*channel.connection);
                        if constexpr (several) c.handler->serve(c, channel);
                    },
                .end =
                    [](ClientConnection& base) noexcept {
                        // Moved out of itself first, then destroyed.
                        auto owner = std::move(of(base).self);
                        owner.reset();
                    }};
    }
    static const ConnectionOps table;
};

template <class Handler, TransportLike Transport, RoomProtocolLike Protocol>
constinit const ConnectionOps RoomConnection<Handler, Transport, Protocol>::table =
    RoomConnection<Handler, Transport, Protocol>::make_table();

}}}  // namespace belay::detail
