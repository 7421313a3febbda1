// SPDX-License-Identifier: MIT
/// \file belay/room/detail/channel_sessions.hpp
/// ChannelSessions: processes the frames and timers of connections with several clients.
#pragma once

#include <algorithm>     // std::none_of
#include <optional>      // std::nullopt
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <utility>       // std::exchange, std::move
#include <vector>        // std::vector

#include <belay/room/detail/multiplexed_connection.hpp>
#include <belay/room/detail/room_close.hpp>
#include <belay/room/detail/turn_context.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The connections of protocols whose frames have addresses. Each document of a connection is a
/// client like any other, which receives its frames from the connection.
///
/// `Parts` names the parts of the manager. This part calls
/// - `Admission`: `admit_channel`, `ask_authorizer`, `begin`, `drop_if_full`,
///   `make_space_for_another` and `on_grant`, to check the access of a client,
/// - `Closer`: `advance`, `clients`, `close_and_report`, `close_connection_and_report`,
///   `limits`, `note_silent`, `release` and `release_all`, to find and close clients,
/// - `Sessions`: `check_arrivals`, `join`, `on_message`, `pay`, `rejected_by_transport` and
///   `watch`, to process the messages of a client,
/// - `Delivery`: `catch_up`, `limits`, `send_control` and `send_message`, to send.
///
/// Thread safety: home thread only.
template <class Parts>
class ChannelSessions {
    using Admission = typename Parts::Admission;
    using Closer = typename Parts::Closer;
    using Sessions = typename Parts::Sessions;
    using Delivery = typename Parts::Delivery;

public:
    using Kind = part::RoomMessage::Kind;
    template <class T, class P>
    using Connection = MultiplexedConnection<ChannelSessions, T, P>;

    ChannelSessions(TurnContext& context, Admission& admission, Closer& closer, Sessions& sessions,
                    Delivery& delivery) noexcept
        : context_{context},
          admission_{admission},
          closer_{closer},
          sessions_{sessions},
          delivery_{delivery} {}
    ChannelSessions(const ChannelSessions&) = delete;
    ChannelSessions& operator=(const ChannelSessions&) = delete;

    /// Takes over a connection.   Returns: its id; 0 if it was dropped without an answer.
    template <class Transport, class Protocol>
    std::uint64_t accept(Transport transport, Protocol protocol, RoomRequest request) {
        // Each document is requested in frames.
        request.room_id.clear();
        request.token.clear();
        request.epoch.clear();
        if (admission_.drop_if_full(request)) return 0;
        auto& connection = closer_.clients.template make<Connection<Transport, Protocol>>(
            *this, std::move(transport), std::move(protocol), std::move(request),
            delivery_.limits());
        admission_.begin(connection);
        return connection.id;
    }

    // ---- for the machine group ------------------------------------------------------------------

    template <class T, class P>
    void serve(Connection<T, P>& connection) {
        context_.errors.contain(
            [&] { serve_connection(connection); },
            [&] { closer_.close_connection_and_report(connection.io, RoomErrc::not_loaded); });
    }
    template <class C>
    void serve(RoomChannel<C>& channel) {
        context_.errors.contain([&] { serve_channel(channel); },
                                [&] { closer_.close_and_report(channel, RoomErrc::not_loaded); });
    }
    /// Runs `f`, which opens the transport of a connection. If it throws, the connection ends
    /// without a close code.   Returns: whether it did not throw.
    template <class F>
    [[nodiscard]] bool open(MultiplexedBase& connection, F&& f) {
        if (context_.errors.attempt(f)) return true;
        if (!connection.core.ending())
            context_.report_rejection(connection.request, {},
                                      make_error_code(LinkErrc::open_threw));
        connection.end.waits = false;
        abort_and_release(connection,
                          connection.core.step(ConnectionCore::Event::ended, context_.now));
        return false;
    }

private:
    template <class C>
    void serve_connection(C& connection) {
        // On a connection that is not read, the end waits after frames, which are read then.
        if (connection.link && connection.full() && connection.polls.look_at <= context_.now) {
            connection.polls.look_at = after(context_.now, std::chrono::seconds{1});
            connection.peer_ended = connection.link->has_hung_up();
            if (!connection.core.ending())
                sessions_.check_arrivals(connection.io, *connection.link);
            connection.io.rate.looked_at = context_.now;
        }
        if (connection.link &&
            (connection.core.ending() ||
             (connection.io.rate.read_at <= context_.now && !connection.full()))) {
            // One frame at a time: reading stops when enough is held, and expensive frames are
            // charged before more is read.
            for (unsigned left = context_.options.frames_per_turn_max; left != 0; --left) {
                connection.link->advance(context_.now, 1, [&](const Bytes& frame, Lane) {
                    on_opened(connection);
                    if (connection.core.ending()) return;
                    sessions_.pay(connection.io, ReadCost::message + frame.size());
                    receive(connection, frame);
                });
                if (!connection.link->has_arrived() || connection.full() ||
                    connection.io.rate.read_at > context_.now)
                    break;
            }
            connection.io.rate.looked_at = context_.now;
            if (connection.link->opened()) on_opened(connection);
            if (connection.link->take_sign_of_life() && !connection.core.ending())
                connection.io.alive.pulse.sign_of_life(context_.now);
            if (connection.link->take_writable() && !connection.core.ending()) {
                connection.io.pace.accept();
                delivery_.catch_up(connection.io);
            }
        }
        if (connection.is_output_stalled() && connection.polls.send_at <= context_.now) {
            connection.polls.send_at = after(context_.now, std::chrono::milliseconds{50});
            delivery_.catch_up(connection.io);
        }
        watch_connection(connection);
        if (connection.gone()) on_gone(connection);
    }
    /// The transport has ended.
    template <class C>
    void on_gone(C& connection) {
        // Frames that it sent before its end count, although they are processed later.
        connection.peer_ended = true;
        if (connection.has_held_frames()) return;
        if (connection.core.has_ever_joined() && connection.link) {
            const std::error_code why = sessions_.rejected_by_transport(connection.link->failure());
            if (why) closer_.close_connection_and_report(connection.io, why);
        }
        // Not an error: the page was closed, or the network failed.
        if (connection.core.awaits_upgrade() && !connection.core.has_ever_joined())
            ++context_.counters.upgrades_aborted;
        if (connection.core.step(ConnectionCore::Event::ended, context_.now).release)
            release(connection);
        // Its clients are destroyed first.
        if (!connection.io.clients.empty() || connection.end.reaped) return;
        closer_.clients.note_ended(connection);
        connection.end.reaped = true;
    }
    template <class C>
    void serve_channel(RoomChannel<C>& channel) {
        C& connection = *channel.multiplexed;
        if (channel.rights.check.answered()) admission_.on_grant(channel);
        if (channel.core.awaits_upgrade()) join_channel(channel);
        // Held frames cost as much as new ones.
        for (unsigned left = context_.options.frames_per_turn_max; left != 0; --left) {
            if (!channel.core.joined() || channel.held_frames.empty() || !is_live(channel)) break;
            if (connection.io.rate.read_at > context_.now) break;
            const Bytes frame = std::move(channel.held_frames.front());
            channel.held_frames.pop_front();
            connection.backlog.held_bytes -= frame.size();
            connection.waker.touch();
            const auto read =
                connection.protocol.read(BytesView{frame}.subspan(channel.name().size()));
            if (!read.has_value()) continue;
            const part::RoomMessage& message = *read;
            if (message.kind == Kind::token) channel.core.release_token();
            on_channel_message(channel, message);
            channel.update_checking();
        }
        if (channel.core.draining() && channel.held_frames.empty() && channel.core.joined())
            withdraw_channel(connection, channel);
        sessions_.watch(channel);
        if (!channel.core.ending()) return;
        // A client that is not notified would type into a document that ignores it.
        if (channel.end.waits && !connection.core.ending())
            context_.errors.contain(
                [&] { send_close(channel); },
                [&] { closer_.close_connection_and_report(connection.io, RoomErrc::not_loaded); });
        connection.forget(channel);
        if (channel.rights.check.waits()) return;
        if (channel.end.reaped) return;
        closer_.clients.note_ended(channel);
        channel.end.reaped = true;
    }

    // ---- a connection ---------------------------------------------------------------------------

    template <class C>
    void on_opened(C& connection) {
        const ConnectionCore::Actions todo =
            connection.core.step(ConnectionCore::Event::opened, context_.now);
        if (todo.close) return connection.ops->close(connection, connection.end.take());
        if (todo.listen) connection.io.alive.pulse.sign_of_life(context_.now);
    }
    template <class C>
    void watch_connection(C& connection) {
        const bool upgrades = connection.core.state() == ConnectionCore::State::opening;
        const ConnectionCore::Actions todo =
            connection.core.tick(context_.now, !connection.io.clients.empty());
        if (todo.abort && upgrades)
            context_.report_rejection(connection.request, {}, RoomErrc::client_silent,
                                      "check_within");
        if (todo.abort) return abort_and_release(connection, todo);
        if (todo.fail)
            return closer_.close_connection_and_report(connection.io, make_error_code(*todo.fail),
                                                       "token_within");
        if (connection.core.ending()) return;
        if (connection.io.pace.check_too_slow(context_.now, context_.options.client_rate_min,
                                              context_.options.heartbeat.dead_after))
            return closer_.close_connection_and_report(
                connection.io, make_error_code(RoomErrc::too_slow), "client_rate_min");
        const Pulse::Due due = connection.io.alive.pulse.check(context_.now);
        if (due == Pulse::Due::lost) {
            for (RoomClient* const client : connection.io.clients) closer_.note_silent(*client);
            return abort_and_release(
                connection, connection.core.step(ConnectionCore::Event::ended, context_.now));
        }
        if (due == Pulse::Due::ping || connection.io.alive.keepalive_at <= context_.now)
            send_probe(connection);
    }
    template <class C>
    void send_probe(C& connection) {
        connection.io.alive.note_sent(context_.now);
        if (!connection.io.output.empty()) return;
        if (connection.pings)
            return delivery_.send_control(connection.io, {},
                                          connection.protocol.write({Kind::ping}));
        // Older clients answer a query for any document.
        for (RoomClient* const client : connection.io.clients) {
            if (client->core.joined())
                return delivery_.send_message(*client, {Kind::query_awareness, {}, {}});
        }
    }
    /// Takes the clients out of their rooms, and ends the connection without a close code.
    template <class C>
    void abort_and_release(C& connection, const ConnectionCore::Actions& todo) {
        if (todo.release) release(connection);
        connection.ops->abort(connection);
    }
    void release(MultiplexedBase& connection) {
        closer_.limits.update_count(connection);
        closer_.release_all(connection);
    }

    // ---- frames ---------------------------------------------------------------------------------

    /// The longest address: a document's name with its length and its suffix.
    static constexpr std::size_t address_bytes_max = 256;

    template <class C>
    void receive(C& connection, const Bytes& frame) {
        const auto bad = [&](RoomErrc why, std::string_view limit = {}) {
            closer_.close_connection_and_report(connection.io, make_error_code(why), limit);
        };
        const bool authorized = connection.core.has_ever_joined();
        const std::size_t most =
            authorized ? context_.options.frame_bytes_max : bytes_before_join(context_.options);
        if (frame.size() > most)
            return bad(RoomErrc::frame_too_large,
                       authorized ? "frame_bytes_max" : "piece_bytes_max");
        if (!connection.core.count_until_token(frame.size()))
            return bad(RoomErrc::frame_too_large, "bytes_until_token");
        const auto address = connection.protocol.address(frame);
        if (!address.has_value())
            return closer_.close_connection_and_report(
                connection.io, static_cast<std::error_code>(address.error()));
        const BytesView name = *address;
        if (name.size() > address_bytes_max) return bad(RoomErrc::frame_too_large);
        const auto read = connection.protocol.read(BytesView{frame}.subspan(name.size()));
        if (!read.has_value())
            return closer_.close_connection_and_report(connection.io,
                                                       static_cast<std::error_code>(read.error()));
        const part::RoomMessage& message = *read;
        if (message.kind == Kind::token && frame.size() > context_.options.bytes_until_token)
            return bad(RoomErrc::frame_too_large, "bytes_until_token");
        if (name.empty() != (message.kind == Kind::ping || message.kind == Kind::pong))
            return bad(RoomErrc::unknown_message);
        if (message.kind == Kind::ping)
            return delivery_.send_control(connection.io, {},
                                          connection.protocol.write({Kind::pong}));
        if (message.kind == Kind::pong) return;
        route(connection, name, message, frame);
    }
    template <class C>
    void route(C& connection, BytesView name, const part::RoomMessage& message,
               const Bytes& frame) {
        auto* channel = connection.channels.find(name);
        // An answer of the authorizer that has arrived counts before this frame.
        if (channel != nullptr && channel->rights.check.answered()) {
            admission_.on_grant(*channel);
            if (connection.core.ending()) return;
            channel = connection.channels.find(name);
        }
        if (channel == nullptr) {
            // A document without access accepts only a token.
            if (message.kind == Kind::token && !connection.peer_ended)
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
        connection.backlog.held_bytes += frame.size();
        if (message.kind == Kind::token) channel->core.hold_token();
    }
    /// Closes a channel. Its check stays under way, and counts for its connection.
    template <class C, class Channel>
    void withdraw_channel(C& connection, Channel& channel) {
        closer_.release(channel, closer_.advance(channel, ClientCore::Event::withdraw));
        connection.forget(channel);
        channel.waker.touch();
    }
    template <class C>
    void on_token(C& connection, BytesView name, const part::RoomMessage& message) {
        connection.core.note_token();
        connection.pings = connection.pings || !message.version.empty();
        sessions_.pay(connection.io, ReadCost::token);
        RoomRequest request = connection.request;
        request.room_id = connection.protocol.room_id(name);
        // A name comes from the client, as one in a URL does: an invalid one is never shown.
        if (!is_room_id_of_url(request.room_id)) request.room_id.clear();
        request.token = as_text(message.payload);
        // After token_within, a connection without access gets no further check.
        const bool late =
            connection.core.is_late(context_.now) &&
            std::none_of(connection.io.clients.begin(), connection.io.clients.end(), is_admitted);
        if (late ||
            !connection.channels.takes_another(context_.options.clients_per_connection_max)) {
            const auto why =
                make_error_code(late ? RoomErrc::unauthorized : RoomErrc::too_many_documents);
            context_.report_rejection(request, {}, why, late ? "token_within" : "");
            return send_rejection(connection, Ref<RoomFrame>::make(to_bytes(name)), why);
        }
        // A client dials again after its connection closes, but not after a rejected document. This
        // is asked last, because it may end others for this document.
        if (const std::error_code error = admission_.make_space_for_another(connection))
            return closer_.close_connection_and_report(connection.io, error);
        auto& channel = closer_.clients.template make<typename C::Channel>(connection, name,
                                                                           std::move(request));
        connection.io.clients.push_back(&channel);
        connection.channels.add(to_bytes(name), channel);
        admission_.admit_channel(channel);
    }
    /// Whether a client has access, although it has not joined yet.
    [[nodiscard]] static bool is_admitted(const RoomClient* client) noexcept {
        return client->core.state() == ClientCore::State::loading ||
               client->core.state() == ClientCore::State::opening;
    }
    template <class C>
    void send_rejection(C& connection, const Ref<RoomFrame>& address, const std::error_code& why) {
        const std::string reason = reason_of(why);
        delivery_.send_control(connection.io, address,
                               connection.protocol.write({Kind::rejected, as_bytes(reason), {}}));
    }
    template <class Channel>
    void send_close(Channel& channel) {
        auto& connection = *channel.multiplexed;
        const std::error_code why = channel.end.take();
        send_rejection(connection, channel.address, why);
        if (!channel.was_joined || connection.core.ending()) return;
        const std::string reason = reason_of(why);
        delivery_.send_control(connection.io, channel.address,
                               connection.protocol.write({Kind::close, as_bytes(reason), {}}));
    }
    /// The reason as text, which does not distinguish an unknown room from a missing right.
    [[nodiscard]] static std::string reason_of(const std::error_code& why) {
        const RoomReason* const reason = RoomReasons::find(why);
        const bool hides = reason != nullptr && reason->shown == RoomReason::Shown::as_forbidden;
        return hides ? make_error_code(RoomErrc::forbidden).message() : why.message();
    }

    // ---- one of its clients ---------------------------------------------------------------------

    [[nodiscard]] static bool is_live(const RoomClient& client) noexcept {
        return client.room != nullptr && client.room->core.live();
    }
    template <class Channel>
    void join_channel(Channel& channel) {
        auto& connection = *channel.multiplexed;
        connection.waker.touch();
        if (connection.core.step(ConnectionCore::Event::joined, context_.now).raise_limit)
            connection.link->limit_messages(context_.options.frame_bytes_max);
        channel.was_joined = true;
        if (closer_.advance(channel, ClientCore::Event::opened).join) sessions_.join(channel);
    }
    template <class Channel>
    void on_channel_message(Channel& channel, const part::RoomMessage& message) {
        if (message.kind != Kind::token) return sessions_.on_message(channel, message);
        // A fresh token: the client stays in its room while its access is checked again.
        channel.request.token = as_text(message.payload);
        sessions_.pay(channel.multiplexed->io, ReadCost::token);
        if (channel.multiplexed->peer_ended && !channel.rights.check.waits()) return;
        if (closer_.advance(channel, ClientCore::Event::token).check)
            admission_.ask_authorizer(channel);
    }

    TurnContext& context_;
    Admission& admission_;
    Closer& closer_;
    Sessions& sessions_;
    Delivery& delivery_;
};

}}}  // namespace belay::detail
