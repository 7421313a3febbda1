// SPDX-License-Identifier: MIT
/// \file belay/room/detail/direct_client.hpp
/// DirectClient: a client with a connection of its own, of one transport and one protocol.
#pragma once

#include <optional>  // std::optional
#include <utility>   // std::move

#include <belay/core/machine_group.hpp>
#include <belay/link/served_link.hpp>
#include <belay/room/detail/room_client.hpp>
#include <belay/room/detail/room_close.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A client that has a connection of its own.
///
/// A machine of its handler's group: its turn is `handler->serve(*this)`. The transport
/// opens, which answers the upgrade, when the answer is known.
template <class Handler, TransportLike Transport, RoomProtocolLike Protocol>
struct DirectClient : RoomClient {
    using Link = ServedLink<Transport>;

    DirectClient(Handler& h, std::uint64_t number, Transport t, Protocol p, RoomRequest r,
                 const SharedLimits& shared)
        : RoomClient{table, own, number, std::move(r), ClientCore{shared.options, false}},
          own{*this, shared.options.heartbeat, shared.answers},
          handler{&h},
          options_{&shared.options},
          protocol{std::move(p)},
          unopened{std::move(t)} {
        own.clients.push_back(this);
        own.wake = &waker;
    }

    // ---- for the machine group ------------------------------------------------------------------

    void attach(Waker w) {
        waker = std::move(w);
        rights.check.attach(waker);
    }
    [[nodiscard]] Instant deadline() const noexcept {
        if (end.reaped) return never;
        const Instant other = smaller(rights.check.deadline(), smaller(timers(), own.timers()));
        if (!link) return unopened ? other : always;
        if (link->ended()) return always;
        if (link->closing()) return smaller(other, link->deadline());
        return smaller(other, larger(link->deadline(), own.rate.read_at));
    }
    void advance(Instant) { handler->serve(*this); }

    // ---- for the handler ------------------------------------------------------------------------

    [[nodiscard]] bool gone() const noexcept { return link ? link->ended() : !unopened; }

    struct OwnConnection : ClientConnection {
        OwnConnection(DirectClient& s, const HeartbeatOptions& beat, std::size_t& answers)
            : ClientConnection{&OwnConnection::send_on, beat, answers}, client{&s} {}
        static SendResult send_on(ClientConnection& connection, const RoomFrame*,
                                  const Bytes& frame) noexcept {
            auto& link = static_cast<OwnConnection&>(connection).client->link;
            return link ? link->send(frame) : SendResult::down;
        }
        DirectClient* client;
    };

    OwnConnection own;
    Handler* handler;
    const RoomOptions* options_;
    [[no_unique_address]] Protocol protocol;
    std::optional<Transport> unopened;
    std::optional<Link> link;
    driver::GroupedMachine<DirectClient> self;

private:
    static DirectClient& of(RoomClient& client) noexcept {
        return static_cast<DirectClient&>(client);
    }
    static const DirectClient& of(const RoomClient& client) noexcept {
        return static_cast<const DirectClient&>(client);
    }
    static void open(RoomClient& client) {
        DirectClient& s = of(client);
        const bool opens = s.handler->open(s, [&] {
            s.link.emplace(std::move(*s.unopened), s.options_->messages_max, s.waker, 0);
        });
        if (!opens) return;
        s.unopened.reset();
        s.link->limit_messages(s.options_->frame_bytes_max);
        s.link->limit_output(connection_bytes_max(s.options_->client_bytes_max));
        s.waker.touch();
    }
    static std::vector<Bytes> split(const RoomClient& client, BytesView update, std::size_t most) {
        if constexpr (SplitsUpdate<Protocol>) {
            if (update.size() > most) return of(client).protocol.split(update, most);
        }
        return {to_bytes(update)};
    }
    static bool disjoint(const RoomClient& client, BytesView a, BytesView b) {
        if constexpr (HasDisjoint<Protocol>) {
            return of(client).protocol.disjoint(a, b);
        } else {
            return false;
        }
    }
    static constexpr RoomClientOps make_table() noexcept {
        return {.open = &DirectClient::open,
                .close =
                    [](RoomClient& s, const std::error_code& why) noexcept {
                        const RoomOptions& o = *of(s).options_;
                        if (of(s).link)
                            of(s).link->close(room_close(why, o.close_codes), o.linger_max);
                    },
                .abort =
                    [](RoomClient& s) noexcept {
                        of(s).unopened.reset();
                        if (of(s).link) of(s).link->abort();
                    },
                .write = [](const RoomClient& s, const part::RoomMessage& m) -> Bytes {
                    return of(s).protocol.write(m);
                },
                .split = &DirectClient::split,
                .disjoint = &DirectClient::disjoint,
                .end =
                    [](RoomClient& s) noexcept {
                        // Moved out of itself first, then destroyed.
                        auto owner = std::move(of(s).self);
                        owner.reset();
                    }};
    }
    static const RoomClientOps table;
};

template <class Handler, TransportLike Transport, RoomProtocolLike Protocol>
constinit const RoomClientOps DirectClient<Handler, Transport, Protocol>::table =
    DirectClient<Handler, Transport, Protocol>::make_table();

}}}  // namespace belay::detail
