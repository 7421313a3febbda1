// SPDX-License-Identifier: MIT
/// \file belay/room/detail/connection_sessions.hpp
/// ConnectionSessions, RoomConnection: the connections of a RoomManager, their frames and timers.
#pragma once

#include <algorithm>     // std::none_of
#include <chrono>        // std::chrono::milliseconds, std::chrono::seconds
#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint64_t
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <type_traits>   // std::conditional_t
#include <utility>       // std::in_place_type, std::move
#include <variant>       // std::get_if, std::holds_alternative, std::variant
#include <vector>        // std::vector

#include <belay/core/machine_group.hpp>
#include <belay/core/order.hpp>
#include <belay/link/link_errc.hpp>
#include <belay/link/served_link.hpp>
#include <belay/room/detail/client_table.hpp>
#include <belay/room/detail/turn_context.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The most messages of one connection that wait to be read. Each may have
/// RoomOptions::frame_bytes_max, and the next turn reads more, so a longer queue only adds memory.
inline constexpr std::size_t unread_max = 8;
/// A connection that the client or the manager closes ends after this time at the latest. An answer
/// to a close takes one round trip, and a stop waits for it.
inline constexpr Duration close_linger_max = std::chrono::seconds{2};

/// The most bytes of a frame of a connection that has not joined a room yet, although its upgrade
/// was answered: its user is not known yet.
[[nodiscard]] constexpr std::size_t bytes_before_join(const RoomOptions& options) noexcept {
    return larger(smaller(options.frame_bytes_max, piece_bytes_max),
                  ConnectionCore::token_bytes_max);
}

/// The most clients of one connection, also if its user may have more. A page has few documents
/// open, and those of a connection share its output.
inline constexpr std::size_t documents_max = 100;
/// Returns the most clients of one connection.
[[nodiscard]] constexpr std::size_t clients_per_connection_max(
    const RoomOptions& options) noexcept {
    return smaller(share_of(options.clients_per_user_max, 20), documents_max);
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
        return {.open = [](ClientConnection& base) { of(base).handler->open(of(base)); },
                .close =
                    [](ClientConnection& base, const std::error_code& why) noexcept {
                        const RoomOptions& o = base.core.options();
                        if (Link* const link = of(base).link())
                            link->close(websocket_failure(room_close_code(why, o.close_codes)),
                                        close_linger_max);
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

/// The connections of a manager: opens and reads them, and passes their frames on to their clients.
/// If the frames of a protocol have addresses, each document of a connection is a client, which
/// begins with a token.
///
/// This part calls
/// - `admission`: `admit_channel`, `ask_authorizer`, `begin`, `drop_if_full`,
///   `make_space_for_another` and `on_grant`, to check the access of a client,
/// - `closer`: `abort`, `advance`, `clients`, `close_and_report`, `close_connection_and_report`,
///   `close_ended`, `note_silent`, `release` and `release_all`, to find and close clients,
/// - `sessions`: `join`, `on_message`, `pay` and `watch`, to process the messages of a client,
/// - `delivery`: `catch_up`, `limits`, `send_control` and `send_message`, to send.
///
/// Thread safety: home thread only.
template <class Persistence, class Authorizer, class Document>
class ConnectionSessions {
public:
    using Kind = part::RoomMessage::Kind;

    ConnectionSessions(TurnContext& context,
                       ClientModule<Persistence, Authorizer, Document>& parts) noexcept
        : context_{context}, parts_{parts} {}
    ConnectionSessions(const ConnectionSessions&) = delete;
    ConnectionSessions& operator=(const ConnectionSessions&) = delete;

    /// Takes over a connection.   Returns: its id; 0 if it was dropped without an answer.
    template <class Transport, class Protocol>
    std::uint64_t accept(Transport transport, Protocol protocol, RoomRequest request) {
        using Connection = RoomConnection<ConnectionSessions, Transport, Protocol>;
        if (Connection::several) {
            // Each document is requested in frames.
            request.room_id.clear();
            request.token.clear();
            request.epoch.clear();
        }
        if (parts_.admission.drop_if_full(request)) return 0;
        auto& connection = parts_.closer.clients.template make_connection<Connection>(
            *this, std::move(transport), std::move(protocol), std::move(request),
            parts_.delivery.limits());
        parts_.admission.begin(connection);
        return connection.id;
    }

    // ---- for the machine group ------------------------------------------------------------------

    template <class C>
    void serve(C& connection) {
        context_.errors.contain(
            [&] { serve_connection(connection); },
            [&] { parts_.closer.close_connection_and_report(connection, RoomErrc::not_loaded); });
        parts_.closer.close_ended();
    }
    template <class C>
    void serve(C& connection, RoomChannel& channel) {
        context_.errors.contain(
            [&] { serve_channel(connection, channel); },
            [&] { parts_.closer.close_and_report(channel, RoomErrc::not_loaded); });
        parts_.closer.close_ended();
    }
    /// Opens the transport of a connection, which answers the upgrade. If that throws, the
    /// connection ends without a close code.
    template <class C>
    void open(C& connection) {
        const bool opens = context_.errors.attempt([&] {
            auto unopened = std::move(std::get<1>(connection.transport));
            connection.transport.template emplace<typename C::Link>(std::move(unopened), unread_max,
                                                                    connection.waker, 0);
        });
        if (!opens) {
            if (!connection.core.ending())
                context_.report_rejection(connection.request, user_of(connection),
                                          make_error_code(LinkErrc::open_threw));
            return parts_.closer.abort(connection);
        }
        const RoomOptions& o = context_.options;
        // If the frames have addresses, the connection is read before its user is known.
        connection.link()->limit_messages(C::several ? bytes_before_join(o) : o.frame_bytes_max);
        connection.link()->limit_output(connection_bytes_max(o.client_bytes_max));
        connection.waker.touch();
    }

private:
    /// The most frames of one client that are read before the next client's turn. Each costs its
    /// bytes and its work anyway (ReadRate), so no server needs another number.
    static constexpr unsigned frames_per_turn_max = 16;

    template <class C>
    void serve_connection(C& connection) {
        if constexpr (!C::several)
            if (connection.own.rights.check.answered()) parts_.admission.on_grant(connection.own);
        if (connection.link() != nullptr) read(connection);
        if (connection.is_output_stalled()) parts_.delivery.catch_up(connection);
        watch(connection);
        if constexpr (!C::several) parts_.sessions.watch(connection.own);
        if (connection.gone()) on_gone(connection);
    }
    template <class C>
    void read(C& connection) {
        // On a connection that is not read, the end waits after frames, which are read then.
        if (connection.full() && connection.channels->look_at <= context_.now) {
            connection.channels->look_at = after(context_.now, std::chrono::seconds{1});
            connection.end.arrived = connection.link()->has_hung_up();
        }
        if (!connection.may_read(context_.now)) return check_arrivals(connection);
        // One frame at a time: reading stops when enough is held, and expensive frames are charged
        // before more is read.
        for (unsigned left = frames_per_turn_max; left != 0; --left) {
            connection.link()->advance(context_.now, 1, [&](const Bytes& frame, Lane) {
                on_opened(connection);
                if (connection.core.ending()) return;
                parts_.sessions.pay(connection, ReadCost::message + frame.size());
                receive(connection, frame);
                parts_.closer.close_ended();
            });
            if (!connection.link()->has_arrived() || !connection.may_read(context_.now)) break;
        }
        connection.rate.looked_at = context_.now;
        if (connection.link()->opened()) on_opened(connection);
        if (connection.link()->take_sign_of_life() && !connection.core.ending())
            connection.alive.pulse.sign_of_life(context_.now);
        if (connection.link()->take_writable() && !connection.core.ending()) {
            connection.output.pace.accept();
            parts_.delivery.catch_up(connection);
        }
    }
    /// Notes arrivals on a connection that is not read for a while.
    template <class C>
    void check_arrivals(C& connection) {
        if (connection.link()->has_signs())
            connection.alive.pulse.sign_of_life(connection.rate.looked_at);
        connection.rate.looked_at = context_.now;
    }
    /// The transport has ended.
    template <class C>
    void on_gone(C& connection) {
        // Frames that it sent before its end count, although they are processed later.
        connection.end.arrived = true;
        if (connection.has_held_frames()) return;
        if (connection.core.has_ever_joined() && connection.link() != nullptr) {
            const std::error_code why = rejected_by_transport(connection.link()->failure());
            if (why) parts_.closer.close_connection_and_report(connection, why);
        }
        // Not an error: the page was closed, or the network failed.
        if (connection.core.awaits_upgrade() && !connection.core.has_ever_joined())
            ++context_.counters.upgrades_aborted;
        if (connection.core.step(ConnectionCore::Event::ended, context_.now).release)
            parts_.closer.release_all(connection);
        // Its channels are destroyed first.
        const bool waits = C::several && !connection.clients.empty();
        if (!waits && !connection.end.reaped) parts_.closer.clients.note_ended(connection);
    }
    /// Why the transport has ended a connection: because of a message beyond its limit, or against
    /// its protocol. No error if it has not; a close code of the peer has another cause.
    [[nodiscard]] std::error_code rejected_by_transport(const Failure& failure) const noexcept {
        if (failure.cause != Cause::protocol) return {};
        if (failure.category != &websocket_category()) return RoomErrc::malformed_frame;
        const int too_large = context_.options.close_codes.too_large;
        if (failure.code != 1009 && failure.code != too_large) return {};
        return RoomErrc::frame_too_large;
    }
    template <class C>
    void on_opened(C& connection) {
        const ConnectionCore::Actions todo =
            connection.core.step(ConnectionCore::Event::opened, context_.now);
        if (todo.close) return connection.ops->close(connection, connection.end.why);
        if (!todo.listen) return;
        connection.alive.pulse.sign_of_life(context_.now);
        if constexpr (!C::several) join(connection, connection.own);
    }
    /// The connection of a client is open: it joins its room.
    template <class C>
    void join(C& connection, RoomClient& client) {
        const bool raises =
            connection.core.step(ConnectionCore::Event::joined, context_.now).raise_limit;
        if (raises && C::several)
            connection.link()->limit_messages(context_.options.frame_bytes_max);
        if (parts_.closer.advance(client, ClientCore::Event::opened).join)
            parts_.sessions.join(client);
        parts_.closer.close_ended();
    }

    // ---- timers ---------------------------------------------------------------------------------

    template <class C>
    void watch(C& connection) {
        const bool upgrades = connection.core.state() == ConnectionCore::State::opening;
        const ConnectionCore::Actions todo =
            connection.core.tick(context_.now, !connection.clients.empty());
        if (todo.abort && upgrades)
            context_.report_rejection(connection.request, user_of(connection),
                                      RoomErrc::client_silent, "check_within");
        if (todo.release) parts_.closer.release_all(connection);
        if (todo.abort) return parts_.closer.abort(connection);
        if (todo.fail)
            return parts_.closer.close_connection_and_report(
                connection, make_error_code(*todo.fail), "check_within");
        if (connection.core.ending()) return;
        if (connection.output.pace.check_too_slow(context_.now,
                                                  context_.options.heartbeat.dead_after))
            return parts_.closer.close_connection_and_report(connection,
                                                             make_error_code(RoomErrc::too_slow));
        const Pulse::Due due = connection.alive.pulse.check(context_.now);
        // A frozen connection accepts no close code.
        if (due == Pulse::Due::lost) {
            for (RoomClient* const client : connection.clients) parts_.closer.note_silent(*client);
            return parts_.closer.abort(connection);
        }
        if (due == Pulse::Due::ping || connection.alive.keepalive_at <= context_.now)
            send_probe(connection);
    }
    template <class C>
    void send_probe(C& connection) {
        connection.alive.note_sent(context_.now);
        if (!connection.output.empty()) return;
        if constexpr (C::several)
            if (connection.own.pings) return send_own(connection, Kind::ping);
        // Older clients answer a query for any document.
        for (RoomClient* const client : connection.clients) {
            if (client->core.joined())
                return parts_.delivery.send_message(*client, {Kind::query_awareness, {}, {}});
        }
    }
    /// Sends a frame of the connection's own.
    template <class C>
    void send_own(C& connection, Kind kind) {
        parts_.delivery.send_control(connection, {}, connection.protocol.write({kind}));
    }

    // ---- frames ---------------------------------------------------------------------------------

    /// The longest address: a document's name with its length and its suffix.
    static constexpr std::size_t address_bytes_max = 256;

    template <class C>
    void receive(C& connection, const Bytes& frame) {
        const auto bad = [&](const std::error_code& why, std::string_view limit = {}) {
            parts_.closer.close_connection_and_report(connection, why, limit);
        };
        if constexpr (C::several) {
            receive_addressed(connection, frame, bad);
        } else {
            const auto read = connection.protocol.read(frame);
            if (frame.size() > context_.options.frame_bytes_max)
                return bad(RoomErrc::frame_too_large, "frame_bytes_max");
            if (!read.has_value()) return bad(static_cast<std::error_code>(read.error()));
            parts_.sessions.on_message(connection.own, *read);
        }
    }
    template <class C, class Bad>
    void receive_addressed(C& connection, const Bytes& frame, const Bad& bad) {
        const std::size_t own = context_.options.frame_bytes_max;
        const bool authorized = connection.core.has_ever_joined();
        if (frame.size() > (authorized ? own : bytes_before_join(context_.options)))
            return bad(RoomErrc::frame_too_large, frame.size() > own ? "frame_bytes_max" : "");
        if (!connection.core.count_until_token(frame.size())) return bad(RoomErrc::frame_too_large);
        const auto address = connection.protocol.address(frame);
        if (!address.has_value()) return bad(static_cast<std::error_code>(address.error()));
        const BytesView name = *address;
        if (name.size() > address_bytes_max) return bad(RoomErrc::frame_too_large);
        const auto read = connection.protocol.read(BytesView{frame}.subspan(name.size()));
        if (!read.has_value()) return bad(static_cast<std::error_code>(read.error()));
        const part::RoomMessage& message = *read;
        if (message.kind == Kind::token && frame.size() > ConnectionCore::token_bytes_max)
            return bad(RoomErrc::frame_too_large);
        if (name.empty() != (message.kind == Kind::ping || message.kind == Kind::pong))
            return bad(RoomErrc::unknown_message);
        if (message.kind == Kind::ping) return send_own(connection, Kind::pong);
        if (message.kind == Kind::pong) return;
        route(connection, name, message, frame);
    }
    template <class C>
    void route(C& connection, BytesView name, const part::RoomMessage& message,
               const Bytes& frame) {
        RoomChannel* channel = connection.own.find(name);
        // An answer of the authorizer that has arrived counts before this frame.
        if (channel != nullptr && channel->rights.check.answered()) {
            parts_.admission.on_grant(*channel);
            parts_.closer.close_ended();
            if (connection.core.ending()) return;
            channel = connection.own.find(name);
        }
        if (channel == nullptr) {
            // A document without access accepts only a token.
            if (message.kind == Kind::token && !connection.end.arrived)
                on_token(connection, name, message);
            return;
        }
        if (message.kind == Kind::close) {
            // Earlier frames count, as before the end of the connection.
            return channel->has_held_frames() ? channel->drain()
                                              : withdraw_channel(connection, *channel);
        }
        // A right may end while a room is loaded again, so a token is processed at once.
        const bool at_once =
            message.kind == Kind::token || (channel->held_frames.empty() && is_live(*channel));
        if (channel->core.joined() && at_once) return on_channel_message(*channel, message);
        channel->held_frames.push_back(frame);
        connection.own.held_bytes += frame.size();
        if (message.kind == Kind::token) channel->core.hold_token();
    }
    /// Closes a channel. Its check stays under way, and counts for its connection.
    template <class C>
    void withdraw_channel(C& connection, RoomChannel& channel) {
        parts_.closer.release(channel, parts_.closer.advance(channel, ClientCore::Event::withdraw));
        connection.own.remove(channel);
        channel.waker.touch();
    }
    template <class C>
    void on_token(C& connection, BytesView name, const part::RoomMessage& message) {
        connection.core.note_token();
        connection.own.pings = connection.own.pings || !message.version.empty();
        parts_.sessions.pay(connection, ReadCost::token);
        RoomRequest request = connection.request;
        request.room_id = connection.protocol.room_id(name);
        // A name comes from the client, as one in a URL does: an invalid one is never shown.
        if (!is_room_id_of_url(request.room_id)) request.room_id.clear();
        request.token = as_text(message.payload);
        // After check_within, a connection without access gets no further check.
        const bool late =
            connection.core.is_late(context_.now) &&
            std::none_of(connection.clients.begin(), connection.clients.end(), is_admitted);
        const std::size_t most = clients_per_connection_max(context_.options);
        if (late || !connection.own.takes_another(most)) {
            const auto why =
                make_error_code(late ? RoomErrc::unauthorized : RoomErrc::too_many_documents);
            // No option permits more than documents_max.
            const std::string_view limit = most < documents_max ? "clients_per_user_max" : "";
            context_.report_rejection(request, {}, why, late ? "check_within" : limit);
            return send_rejection(connection, Ref<RoomFrame>::make(to_bytes(name)), why);
        }
        // A client dials again after its connection closes, but not after a rejected document. This
        // is asked last, because it may end others for this document.
        if (const std::error_code error = parts_.admission.make_space_for_another(connection))
            return parts_.closer.close_connection_and_report(connection, error);
        RoomChannel& channel =
            parts_.closer.clients.make_channel(connection, name, std::move(request));
        parts_.admission.admit_channel(channel);
    }
    /// Whether a client has access, although it has not joined yet.
    [[nodiscard]] static bool is_admitted(const RoomClient* client) noexcept {
        return client->core.state() == ClientCore::State::loading ||
               client->core.state() == ClientCore::State::opening;
    }
    template <class C>
    void send_rejection(C& connection, const Ref<RoomFrame>& address, const std::error_code& why) {
        const std::string reason = reason_of(why);
        parts_.delivery.send_control(
            connection, address, connection.protocol.write({Kind::rejected, as_bytes(reason), {}}));
    }
    template <class C>
    void send_close(C& connection, RoomChannel& channel) {
        channel.end_waits = false;
        send_rejection(connection, channel.address, channel.end_reason);
        if (!channel.was_joined || connection.core.ending()) return;
        const std::string reason = reason_of(channel.end_reason);
        parts_.delivery.send_control(
            connection, channel.address,
            connection.protocol.write({Kind::close, as_bytes(reason), {}}));
    }
    /// The reason as text, which does not distinguish an unknown room from a missing right.
    [[nodiscard]] static std::string reason_of(const std::error_code& why) {
        const RoomReason* const reason = RoomReasons::find(why);
        const bool hides = reason != nullptr && reason->shown == RoomReason::Shown::as_forbidden;
        return hides ? make_error_code(RoomErrc::forbidden).message() : why.message();
    }

    // ---- one of several clients -----------------------------------------------------------------

    template <class C>
    void serve_channel(C& connection, RoomChannel& channel) {
        if (channel.rights.check.answered()) parts_.admission.on_grant(channel);
        if (channel.core.opening()) {
            connection.waker.touch();
            channel.was_joined = true;
            join(connection, channel);
        }
        // Held frames cost as much as new ones.
        for (unsigned left = frames_per_turn_max; left != 0; --left) {
            if (!channel.core.joined() || channel.held_frames.empty() || !is_live(channel)) break;
            if (connection.rate.read_at > context_.now) break;
            const Bytes frame = std::move(channel.held_frames.front());
            channel.held_frames.pop_front();
            connection.own.held_bytes -= frame.size();
            connection.waker.touch();
            const auto read =
                connection.protocol.read(BytesView{frame}.subspan(channel.name().size()));
            if (!read.has_value()) continue;
            const part::RoomMessage& message = *read;
            if (message.kind == Kind::token) channel.core.release_token();
            on_channel_message(channel, message);
            parts_.closer.close_ended();
            channel.update_checking();
        }
        if (channel.core.draining() && channel.held_frames.empty() && channel.core.joined())
            withdraw_channel(connection, channel);
        parts_.sessions.watch(channel);
        if (!channel.core.ending()) return;
        // A client that is not notified would type into a document that ignores it.
        if (channel.end_waits && !connection.core.ending())
            context_.errors.contain([&] { send_close(connection, channel); },
                                    [&] {
                                        parts_.closer.close_connection_and_report(
                                            connection, RoomErrc::not_loaded);
                                    });
        connection.own.remove(channel);
        if (channel.rights.check.waits() || channel.reaped) return;
        parts_.closer.clients.note_ended(channel);
    }
    [[nodiscard]] static bool is_live(const RoomClient& client) noexcept {
        return client.room != nullptr && client.room->core.live();
    }
    void on_channel_message(RoomChannel& channel, const part::RoomMessage& message) {
        if (message.kind != Kind::token) return parts_.sessions.on_message(channel, message);
        // A fresh token: the client stays in its room while its access is checked again.
        channel.request.token = as_text(message.payload);
        parts_.sessions.pay(*channel.connection, ReadCost::token);
        if (channel.connection->end.arrived && !channel.rights.check.waits()) return;
        if (parts_.closer.advance(channel, ClientCore::Event::token).check)
            parts_.admission.ask_authorizer(channel);
    }

    TurnContext& context_;
    ClientModule<Persistence, Authorizer, Document>& parts_;
};

}}}  // namespace belay::detail
