// SPDX-License-Identifier: MIT
/// \file belay/room/detail/multiplexed_connections.hpp
/// MultiplexedConnections: processes the frames and timers of connections with several clients.
#pragma once

#include <algorithm>     // std::none_of
#include <optional>      // std::nullopt
#include <string>        // std::string
#include <system_error>  // std::error_code
#include <utility>       // std::exchange, std::move

#include <belay/room/detail/multiplexed_connection.hpp>
#include <belay/room/detail/room_admission.hpp>
#include <belay/room/detail/room_close.hpp>
#include <belay/room/detail/room_delivery.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The connections of protocols whose frames have addresses. Each document of a connection is a
/// client like any other, which receives its frames from the connection.
///
/// `Parts` names the parts of the manager. This part calls
/// - `Admission`, which decides about the life of a client,
/// - `Sessions`, which processes the messages of a client,
/// - `Delivery`, which sends.
///
/// Thread safety: home thread only.
template <class Parts>
class MultiplexedConnections {
    using Admission = typename Parts::Admission;
    using Sessions = typename Parts::Sessions;
    using Delivery = typename Parts::Delivery;

public:
    using Kind = part::RoomMessage::Kind;
    template <class T, class P>
    using Connection = MultiplexedConnection<MultiplexedConnections, T, P>;

    MultiplexedConnections(TurnContext& context, Admission& admission, Sessions& sessions,
                           Delivery& delivery) noexcept
        : context_{context}, admission_{admission}, sessions_{sessions}, delivery_{delivery} {}
    MultiplexedConnections(const MultiplexedConnections&) = delete;
    MultiplexedConnections& operator=(const MultiplexedConnections&) = delete;

    /// Takes over a connection.   Returns: its id; 0 if it was dropped without an answer.
    template <class Transport, class Protocol>
    std::uint64_t accept(Transport transport, Protocol protocol, RoomRequest request) {
        if (!admission_.takes_over(request)) return 0;
        auto& connection = admission_.clients.template make<Connection<Transport, Protocol>>(
            *this, std::move(transport), std::move(protocol), std::move(request),
            delivery_.limits());
        admission_.begin(connection);
        return connection.id;
    }

    // ---- for the machine group ------------------------------------------------------------------

    template <class T, class P>
    void serve(Connection<T, P>& connection) {
        // On a connection that is not read, the end waits after frames, which are read then.
        if (connection.link && connection.full() && connection.look_at <= context_.now) {
            connection.look_at = after(context_.now, std::chrono::seconds{1});
            connection.peer_ended = connection.link->has_hung_up();
            if (!connection.core.closing())
                sessions_.check_arrivals(connection.io, *connection.link);
            connection.io.looked_at = context_.now;
        }
        if (connection.link && (connection.core.closing() ||
                                (connection.io.read_at <= context_.now && !connection.full()))) {
            std::size_t frames = 0;
            // One frame at a time: reading stops when enough is held, and expensive frames are
            // charged before more is read.
            for (unsigned left = context_.options.frames_per_turn_max; left != 0; --left) {
                connection.link->advance(context_.now, 1, [&](const Bytes& frame, Lane) {
                    on_opened(connection);
                    if (connection.core.closing()) return;
                    ++frames;
                    receive(connection, frame);
                });
                if (!connection.link->has_arrived() || connection.full() ||
                    connection.io.read_at > context_.now)
                    break;
            }
            sessions_.pay(connection.io, frames);
            connection.io.looked_at = context_.now;
            if (connection.link->opened()) on_opened(connection);
            if (connection.link->take_heard() && !connection.core.closing())
                connection.io.pulse.sign_of_life(context_.now);
            if (connection.link->take_writable() && !connection.core.closing()) {
                connection.io.output_ends = never;
                delivery_.catch_up(connection.io);
            }
        }
        if (connection.is_output_stalled() && connection.try_at <= context_.now) {
            connection.try_at = after(context_.now, std::chrono::milliseconds{50});
            delivery_.catch_up(connection.io);
        }
        watch_connection(connection);
        if (!connection.gone()) return;
        // Frames that it sent before its end count, although they are processed later.
        connection.peer_ended = true;
        if (connection.has_held_frames()) return;
        // Not an error: the page was closed, or the network failed.
        if (connection.core.awaits_upgrade() && !connection.core.authorized())
            ++context_.counters.upgrades_aborted;
        if (connection.core.step(ConnectionCore::Event::ended, context_.now).release)
            release(connection);
        // Its clients are destroyed first.
        if (connection.io.clients.empty() && !std::exchange(connection.reaped, true))
            admission_.clients.note_ended(connection);
    }
    template <class C>
    void serve(RoomChannel<C>& channel) {
        C& connection = *channel.multiplexed;
        if (channel.check.answered()) admission_.on_grant(channel);
        if (channel.core.awaits_upgrade()) join_channel(channel);
        // Held frames cost as much as new ones.
        for (unsigned left = context_.options.frames_per_turn_max; left != 0; --left) {
            if (!channel.core.joined() || channel.held.empty() || !is_live(channel)) break;
            if (connection.io.read_at > context_.now) break;
            const Bytes frame = std::move(channel.held.front());
            channel.held.pop_front();
            connection.held_bytes -= frame.size();
            connection.waker.touch();
            const auto read =
                connection.protocol.read(BytesView{frame}.subspan(channel.name().size()));
            if (!read.has_value()) continue;
            if (read->kind == Kind::token) channel.core.release_token();
            on_channel_message(channel, *read);
            channel.update_checking();
        }
        if (channel.core.draining() && channel.held.empty() && channel.core.joined())
            withdraw_channel(connection, channel);
        sessions_.watch(channel);
        if (!channel.core.closing()) return;
        if (channel.close_reason && !connection.core.closing()) send_close(channel);
        connection.forget(channel);
        if (channel.check.waits()) return;
        if (!std::exchange(channel.reaped, true)) admission_.clients.note_ended(channel);
    }

private:
    // ---- a connection ---------------------------------------------------------------------------

    template <class C>
    void on_opened(C& connection) {
        const ConnectionCore::Actions todo =
            connection.core.step(ConnectionCore::Event::opened, context_.now);
        if (todo.close)
            return connection.ops->close(connection,
                                         *std::exchange(connection.close_reason, std::nullopt));
        if (todo.listen) connection.io.pulse.sign_of_life(context_.now);
    }
    template <class C>
    void watch_connection(C& connection) {
        const ConnectionCore::Actions todo =
            connection.core.tick(context_.now, !connection.io.clients.empty());
        if (todo.abort) return abort(connection, todo);
        if (todo.fail)
            return admission_.fail_connection(connection.io, make_error_code(*todo.fail));
        if (connection.core.closing()) return;
        if (connection.io.output_ends <= context_.now)
            return admission_.fail_connection(connection.io, make_error_code(RoomErrc::too_slow));
        const Pulse::Due due = connection.io.pulse.check(context_.now);
        if (due == Pulse::Due::lost)
            return abort(connection,
                         connection.core.step(ConnectionCore::Event::ended, context_.now));
        if (due == Pulse::Due::ping || connection.io.keepalive_at <= context_.now)
            send_probe(connection);
    }
    template <class C>
    void send_probe(C& connection) {
        connection.io.note_sent(context_.now);
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
    template <class C>
    void abort(C& connection, const ConnectionCore::Actions& todo) {
        if (todo.release) release(connection);
        connection.closed.reset();
        if (connection.link) connection.link->abort();
        connection.waker.touch();
    }
    void release(MultiplexedBase& connection) {
        admission_.count(connection);
        admission_.release_all(connection);
    }

    // ---- frames ---------------------------------------------------------------------------------

    /// The longest address: a document's name with its length and its suffix.
    static constexpr std::size_t address_bytes_max = 256;
    /// The frames that a check costs, for the rate.
    static constexpr std::size_t token_frames = 16;

    template <class C>
    void receive(C& connection, const Bytes& frame) {
        const auto bad = [&](RoomErrc why) {
            admission_.fail_connection(connection.io, make_error_code(why));
        };
        const std::size_t most = connection.core.authorized() ? context_.options.frame_bytes_max
                                                              : context_.options.piece_bytes_max;
        if (frame.size() > most) return bad(RoomErrc::frame_too_large);
        if (!connection.core.takes(frame.size())) return bad(RoomErrc::frame_too_large);
        const auto address = connection.protocol.address(frame);
        if (!address.has_value())
            return admission_.fail_connection(connection.io,
                                              static_cast<std::error_code>(address.error()));
        const BytesView name = *address;
        if (name.size() > address_bytes_max) return bad(RoomErrc::frame_too_large);
        const auto read = connection.protocol.read(BytesView{frame}.subspan(name.size()));
        if (!read.has_value())
            return admission_.fail_connection(connection.io,
                                              static_cast<std::error_code>(read.error()));
        const part::RoomMessage& said = *read;
        if (said.kind == Kind::token && frame.size() > context_.options.bytes_until_token)
            return bad(RoomErrc::frame_too_large);
        if (name.empty() != (said.kind == Kind::ping || said.kind == Kind::pong))
            return bad(RoomErrc::unknown_message);
        if (said.kind == Kind::ping)
            return delivery_.send_control(connection.io, {},
                                          connection.protocol.write({Kind::pong}));
        if (said.kind == Kind::pong) return;
        route(connection, name, said, frame);
    }
    template <class C>
    void route(C& connection, BytesView name, const part::RoomMessage& said, const Bytes& frame) {
        auto* channel = connection.find(name);
        // An answer of the authorizer that has arrived counts before this frame.
        if (channel != nullptr && channel->check.answered()) {
            admission_.on_grant(*channel);
            if (connection.core.closing()) return;
            channel = connection.find(name);
        }
        if (channel == nullptr) {
            // A document without access accepts only a token.
            if (said.kind == Kind::token && !connection.peer_ended)
                on_token(connection, name, said);
            return;
        }
        if (said.kind == Kind::goodbye) {
            // Earlier frames count, as before the end of the connection.
            return channel->has_held_frames() ? channel->drain()
                                              : withdraw_channel(connection, *channel);
        }
        // A right may end while a room is loaded again, so a token is processed at once.
        const bool heard = said.kind == Kind::token || (channel->held.empty() && is_live(*channel));
        if (channel->core.joined() && heard) return on_channel_message(*channel, said);
        channel->held.push_back(frame);
        connection.held_bytes += frame.size();
        if (said.kind == Kind::token) channel->core.hold_token();
    }
    /// Closes a channel. Its check stays under way, and counts for its connection.
    template <class C, class Channel>
    void withdraw_channel(C& connection, Channel& channel) {
        admission_.release(channel, admission_.advance(channel, ClientCore::Event::withdraw));
        connection.forget(channel);
        channel.waker.touch();
    }
    template <class C>
    void on_token(C& connection, BytesView name, const part::RoomMessage& said) {
        connection.core.note_token();
        connection.pings = connection.pings || !said.version.empty();
        sessions_.pay(connection.io, token_frames);
        // A client dials again after its connection closes, but not after a refused document.
        if (const std::error_code error = admission_.why_not_another(connection))
            return admission_.fail_connection(connection.io, error);
        RoomRequest request = connection.request;
        request.board = connection.protocol.board(name);
        // A name comes from the client, as one in a URL does: an invalid one is never shown.
        if (!is_board_of_url(request.board)) request.board.clear();
        request.token = as_text(said.payload);
        request.epoch.clear();
        // After token_within, a connection without access gets no further check.
        const bool late =
            connection.core.is_late(context_.now) &&
            std::none_of(connection.io.clients.begin(), connection.io.clients.end(), is_admitted);
        if (late || !connection.takes_another()) {
            const auto why = make_error_code(late ? RoomErrc::unauthorized : RoomErrc::too_many);
            context_.report_refusal(request, {}, why);
            return refuse(connection, Ref<RoomFrame>::make(to_bytes(name)), why);
        }
        auto& channel = admission_.clients.template make<typename C::Channel>(connection, name,
                                                                              std::move(request));
        connection.io.clients.push_back(&channel);
        connection.channels.emplace(to_bytes(name), &channel);
        admission_.admit_channel(channel);
    }
    /// Whether a client has access, although it has not joined yet.
    [[nodiscard]] static bool is_admitted(const RoomClient* client) noexcept {
        return client->core.state() == ClientCore::State::loading ||
               client->core.state() == ClientCore::State::opening;
    }
    template <class C>
    void refuse(C& connection, const Ref<RoomFrame>& address, const std::error_code& why) {
        const std::string reason = reason_of(why);
        delivery_.send_control(connection.io, address,
                               connection.protocol.write({Kind::refused, as_bytes(reason), {}}));
    }
    template <class Channel>
    void send_close(Channel& channel) {
        auto& connection = *channel.multiplexed;
        const std::error_code why = *std::exchange(channel.close_reason, std::nullopt);
        refuse(connection, channel.address, why);
        if (!channel.was_joined || connection.core.closing()) return;
        const std::string reason = reason_of(why);
        delivery_.send_control(connection.io, channel.address,
                               connection.protocol.write({Kind::goodbye, as_bytes(reason), {}}));
    }
    /// The reason as text, which does not distinguish an unknown room from a missing right.
    [[nodiscard]] static std::string reason_of(const std::error_code& why) {
        const bool forbidden = why == RoomErrc::forbidden || why == RoomErrc::bad_room_id;
        return forbidden ? make_error_code(RoomErrc::forbidden).message() : why.message();
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
        if (admission_.advance(channel, ClientCore::Event::opened).join) sessions_.join(channel);
    }
    template <class Channel>
    void on_channel_message(Channel& channel, const part::RoomMessage& said) {
        if (said.kind != Kind::token) return sessions_.on_message(channel, said);
        // A fresh token: the client stays in its room while its access is checked again.
        channel.request.token = as_text(said.payload);
        sessions_.pay(channel.multiplexed->io, token_frames);
        if (channel.multiplexed->peer_ended && !channel.check.waits()) return;
        if (admission_.advance(channel, ClientCore::Event::token).check)
            admission_.ask_authorizer(channel);
    }

    TurnContext& context_;
    Admission& admission_;
    Sessions& sessions_;
    Delivery& delivery_;
};

}}}  // namespace belay::detail
