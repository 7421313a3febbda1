// SPDX-License-Identifier: MIT
/// \file belay/room/detail/client_sessions.hpp
/// ClientSessions: processes the messages and the timers of the clients of a RoomManager.
#pragma once

#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <utility>       // std::exchange, std::move
#include <vector>        // std::vector

#include <belay/room/detail/direct_client.hpp>
#include <belay/room/detail/document_error.hpp>
#include <belay/room/detail/room_admission.hpp>
#include <belay/room/detail/room_delivery.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The sessions of the clients that are in a room: processes their messages and their timers.
///
/// `Parts` names the parts of the manager. This part calls
/// - `Admission`, which decides about the life of a client,
/// - `Delivery`, which sends,
/// - `Edits`: `update`, for an edit,
/// - `Replicas`: `publish_state`, for the awareness on other servers.
///
/// Thread safety: home thread only.
template <class Parts>
class ClientSessions {
    using Document = typename Parts::Document;
    using Admission = typename Parts::Admission;
    using Delivery = typename Parts::Delivery;
    using Edits = typename Parts::Edits;
    using Replicas = typename Parts::Replicas;

public:
    using Kind = part::RoomMessage::Kind;
    using Room = RoomState<Document>;
    template <class T, class P>
    using Client = DirectClient<ClientSessions, T, P>;

    ClientSessions(TurnContext& context, Admission& admission, Delivery& delivery, Edits& edits,
                   Replicas& replication) noexcept
        : context_{context},
          admission_{admission},
          delivery_{delivery},
          edits_{edits},
          replication_{replication} {}
    ClientSessions(const ClientSessions&) = delete;
    ClientSessions& operator=(const ClientSessions&) = delete;

    /// Takes over a client that has a connection of its own.   Returns: its id; 0 if it was dropped
    /// without an answer.
    template <class Transport, class Protocol>
    std::uint64_t accept(Transport transport, Protocol protocol, RoomRequest request) {
        if (!admission_.takes_over(request)) return 0;
        auto& client = admission_.clients.template make<Client<Transport, Protocol>>(
            *this, std::move(transport), std::move(protocol), std::move(request),
            delivery_.limits());
        admission_.admit(client);
        return client.id;
    }

    // ---- for the machine group ------------------------------------------------------------------

    /// A client's turn.
    template <class T, class P>
    void serve(Client<T, P>& client) {
        ClientConnection& connection = client.own;
        if (client.check.answered()) admission_.on_grant(client);
        if (client.link && (connection.read_at <= context_.now || !client.core.joined())) {
            unsigned frames = 0;
            client.link->advance(context_.now, context_.options.frames_per_turn_max,
                                 [&](const Bytes& frame, Lane) {
                                     if (client.core.state() == ClientCore::State::opening)
                                         on_opened(client);
                                     if (!client.core.joined()) return;
                                     ++frames;
                                     on_frame(client, frame, client.protocol.read(frame));
                                 });
            if (client.core.joined()) pay(connection, frames);
            if (client.link->opened()) on_opened(client);
            if (client.link->take_heard() && client.core.joined())
                connection.pulse.sign_of_life(context_.now);
            if (client.link->take_writable() && client.core.joined()) {
                connection.output_ends = never;
                delivery_.catch_up(connection);
            }
        } else if (client.link) {
            check_arrivals(connection, *client.link);
        }
        connection.looked_at = context_.now;
        watch(client);
        if (client.core.joined()) watch_alone(client);
        if (!client.gone() || std::exchange(client.reaped, true)) return;
        // Not an error: the page was closed, or the network failed.
        if (client.core.awaits_upgrade()) ++context_.counters.upgrades_aborted;
        admission_.clients.note_ended(client);
    }

    // ---- for the rooms --------------------------------------------------------------------------

    /// Processes a load, also a repeated one.
    void on_loaded(Room& room) {
        const std::optional<Bytes> had = std::exchange(room.vector_before_reload, std::nullopt);
        const std::vector<RoomClient*> clients = room.clients;
        std::error_code error;
        if (had) error = delivery_.send_state(clients, room, *had, Kind::update);
        for (RoomClient* const client : clients) {
            // A failed client ends the other clients of its connection, too.
            if (!client->core.joined()) continue;
            if (client->connection->multiplexed == nullptr) client->connection->read_at = always;
            client->waker.touch();
            if (error) admission_.fail(*client, error);
            send_initial_state(*client);
            // A state vector that came due during the load was not answered.
            if (client->core.joined()) delivery_.catch_up(*client->connection);
        }
        for (RoomClient* const client : std::exchange(room.waiting, {})) admission_.open(*client);
    }
    void refuse_all(RoomBase& room, const std::error_code& why) {
        std::vector<RoomClient*> all = room.waiting;
        all.insert(all.end(), room.clients.begin(), room.clients.end());
        for (RoomClient* const client : all) admission_.fail(*client, why);
        // Those whose transport is being opened.
        for (RoomClient* const client : admission_.clients.all()) {
            if (client->room == &room) admission_.fail(*client, why);
        }
    }
    /// Reads nothing from the clients of a room until it is loaded.
    static void hold(RoomBase& room) noexcept {
        for (RoomClient* const client : room.clients) hold(*client);
    }
    /// A multiplexed connection is read: it holds the frames of this client.
    static void hold(RoomClient& client) noexcept {
        if (client.connection->multiplexed == nullptr) client.connection->read_at = never;
    }
    /// Acknowledges a durable change to its author.
    void acknowledge(const PendingUpdate& change) {
        RoomClient* const author =
            change.statuses != 0 ? admission_.clients.find_client(change.author) : nullptr;
        if (author != nullptr && author->core.joined())
            delivery_.acknowledge(*author, change.statuses);
    }

    // ---- for admission --------------------------------------------------------------------------

    /// With the grant of another user, one user leaves and the other one joins. The new user owns
    /// the awareness of the client.
    void take_grant(RoomClient& client, Grant grant) {
        const bool changes = client.core.joined() && client.grant.user != grant.user;
        if (changes) {
            std::erase(client.room->clients, &client);
            context_.report(RoomEvent::Kind::left, *client.room, &client);
        }
        client.grant = std::move(grant);
        if (!changes) return;
        client.room->clients.push_back(&client);
        ++context_.counters.joined;
        context_.report(RoomEvent::Kind::joined, *client.room, &client);
        client.room->awareness.set_user(client.id, client.grant.user);
        replication_.publish_state(*client.room, client);
    }
    /// The access of a client that has joined was granted again.
    void refresh(RoomClient& client, bool could_edit) {
        send_grant(client);
        if (client.core.joined() && client.may_edit() && !could_edit) request_state(client);
    }

    // ---- for connections ------------------------------------------------------------------------

    /// The transport of a client is open: it joins its room.
    void join(RoomClient& client) {
        client.connection->pulse.sign_of_life(context_.now);
        client.connection->note_sent(context_.now);
        client.room->clients.push_back(&client);
        ++context_.counters.joined;
        context_.report(RoomEvent::Kind::joined, *client.room, &client);
        send_grant(client);
        if (!client.core.joined()) return;
        if (!client.room->core.live()) {
            hold(client);
        } else {
            send_initial_state(client);
        }
    }
    /// Processes a message of a client.
    void on_message(RoomClient& client, const part::RoomMessage& said) {
        std::error_code error;
        auto& room = static_cast<Room&>(*client.room);
        switch (said.kind) {
            case Kind::state_vector:
                pay(*client.connection, room.document.bytes() / context_.options.piece_bytes_max);
                // A client with an address counts the answer to our request, and nothing earlier.
                client.outbox.statuses_owed = 1;
                note_divergence(client, room, said.payload);
                error = delivery_.answer(client, said.payload);
                break;
            case Kind::state:
            case Kind::update:
                error = on_update(client, room, said);
                break;
            case Kind::awareness:
                if (!context_.options.viewers_awareness && !client.may_edit()) break;
                error = on_awareness(client, room, said.payload);
                break;
            case Kind::query_awareness:
                pay(*client.connection, room.awareness.size() / 16);
                delivery_.send_all_awareness(client, true);
                break;
            default:
                break;
        }
        if (error) admission_.fail(client, error);
    }
    /// Charges frames to the connection's rate. A connection without credit is read later.
    void pay(ClientConnection& client, std::size_t frames) {
        if (frames == 0) return;
        const Duration each =
            Duration{std::chrono::seconds{1}} / context_.options.frames_per_second;
        client.paid_until =
            after(larger(client.paid_until, context_.now), part::saturating_multiply(each, frames));
        // It must be read again before it counts as silent.
        const Duration most =
            part::saturating_add(part::saturating_multiply(each, context_.options.frames_burst),
                                 context_.options.heartbeat.every / 2);
        client.paid_until = smaller(client.paid_until, after(context_.now, most));
        const Instant read_at = before(
            client.paid_until, part::saturating_multiply(each, context_.options.frames_burst));
        if (read_at > context_.now) client.read_at = larger(client.read_at, read_at);
    }
    /// Notes arrivals on a connection that is not read for a while.
    template <class Link>
    void check_arrivals(ClientConnection& connection, Link& link) {
        if (link.has_signs()) connection.pulse.sign_of_life(connection.looked_at);
    }
    /// Processes the timers of a client.
    void watch(RoomClient& client) {
        if (client.core.is_due(context_.now)) on_tick(client);
        if (client.outbox.take_retry(context_.now)) delivery_.catch_up(*client.connection);
    }

private:
    /// Notifies the client of its access, if its frames have addresses.
    void send_grant(RoomClient& client) {
        if (client.connection->multiplexed == nullptr) return;
        const part::RoomMessage message{
            Kind::granted, as_bytes(to_string(client.grant.access)), {}};
        delivery_.send_control(*client.connection, client.address,
                               client.ops->write(client, message));
    }
    void send_initial_state(RoomClient& client) {
        if (!client.core.joined()) return;
        // A client with an address requests the state first, and counts the requests.
        const bool request_after_load = client.core.take_request_after_load();
        if (client.may_edit() && (client.connection->multiplexed == nullptr || request_after_load))
            request_state(client);
        if (client.core.joined()) delivery_.send_all_awareness(client, false);
    }
    void request_state(RoomClient& client) {
        const bool live = client.room->core.live();
        client.core.request_after_load(!live);
        if (!live) return;
        const Bytes ours = delivery_.vector_of(static_cast<Room&>(*client.room));
        delivery_.send_message(client, {Kind::state_vector, ours});
    }

    // ---- messages -------------------------------------------------------------------------------

    void on_opened(RoomClient& client) {
        if (!client.core.awaits_upgrade()) return;
        const ClientCore::Actions todo = admission_.advance(client, ClientCore::Event::opened);
        if (todo.join) return join(client);
        client.ops->close(client, *std::exchange(client.close_reason, std::nullopt));
    }
    template <class R>
    void on_frame(RoomClient& client, BytesView frame, const R& read) {
        if (frame.size() > context_.options.frame_bytes_max)
            return admission_.fail(client, make_error_code(RoomErrc::frame_too_large));
        if (!read.has_value())
            return admission_.fail(client, static_cast<std::error_code>(read.error()));
        on_message(client, *read);
    }
    [[nodiscard]] std::error_code on_awareness(RoomClient& client, Room& room, BytesView said) {
        const std::uint64_t before = room.awareness.version();
        const std::error_code error =
            room.awareness.receive({client.id, client.grant.user}, said, context_.now);
        if (!error && room.awareness.version() != before) replication_.publish_state(room, client);
        delivery_.queue_awareness(room);
        room.waker.touch();
        return error;
    }
    [[nodiscard]] std::error_code on_update(RoomClient& client, Room& room,
                                            const part::RoomMessage& said) {
        // Each update gets a status. The answer to a state vector contains all updates that were
        // refused before, and settles them.
        const bool answers = said.kind == Kind::state;
        const std::uint32_t due = answers ? client.outbox.take_owed_statuses() : 1;
        if (!client.may_edit()) return on_viewers(client, room, said, due);
        const std::size_t before = room.pending.size();
        const std::error_code error = edits_.update(room, said.payload, client.id);
        if (!error) {
            if (client.connection->multiplexed == nullptr) return error;
            if (room.pending.size() == before) {
                delivery_.acknowledge(client, due);
            } else {
                room.pending.back().statuses = due;
            }
            return error;
        }
        if (!is_document_full(error)) return error;
        client.outbox.owe_statuses(due);
        // A closed client would dial again at once with the same update.
        if (!client.core.denial_sent())
            context_.report_refusal(client.request, client.grant.user, error);
        deny(client, "the document is full");
        return {};
    }
    [[nodiscard]] std::error_code on_viewers(RoomClient& client, Room& room,
                                             const part::RoomMessage& said, std::uint32_t due) {
        const bool answers = said.kind == Kind::state;
        ++context_.counters.denied;
        if (answers && client.connection->multiplexed == nullptr) return {};
        if (answers) {
            // Merges the document first, so that its content is known.
            pay(*client.connection, room.document.bytes() / context_.options.piece_bytes_max);
            static_cast<void>(delivery_.vector_of(room));
            auto adds = room.document.check(said.payload);
            if (!adds.has_value()) return static_cast<std::error_code>(adds.error());
            if (!*adds) {
                --context_.counters.denied;
                delivery_.acknowledge(client, due);
                return {};
            }
        }
        client.outbox.owe_statuses(due);
        deny(client, "this client may not edit");
        return {};
    }
    void deny(RoomClient& client, std::string_view why) {
        if (!client.core.take_denial()) return;
        delivery_.send_message(client, {Kind::denied, as_bytes(why)});
    }
    void note_divergence(RoomClient& client, Room& room, BytesView theirs) {
        if constexpr (ComparesDocument<Document>) {
            if (!client.may_edit() ||
                !client.ops->disjoint(client, room.document.state_vector(), theirs))
                return;
            ++context_.counters.divergences;
            context_.pending_events.push_back(RoomDivergence{room.id, client.grant.user});
        }
    }
    void on_tick(RoomClient& client) {
        const ClientCore::Actions todo = admission_.advance(client, ClientCore::Event::tick);
        if (todo.abort) return abort_client(client, todo);
        if (todo.drop_check) client.check.drop();
        if (todo.fail) return admission_.fail(client, make_error_code(*todo.fail));
        if (!todo.request_token) return;
        delivery_.send_control(*client.connection, client.address,
                               client.ops->write(client, {Kind::token, {}, {}}));
    }
    /// Processes the timers of a connection with one client.
    void watch_alone(RoomClient& client) {
        ClientConnection& connection = *client.connection;
        if (connection.output_ends <= context_.now)
            return admission_.fail(client, make_error_code(RoomErrc::too_slow));
        const Pulse::Due due = connection.pulse.check(context_.now);
        // A frozen connection accepts no close code.
        if (due == Pulse::Due::lost)
            return abort_client(client, admission_.advance(client, ClientCore::Event::lost));
        if (due == Pulse::Due::ping || connection.keepalive_at <= context_.now) send_probe(client);
    }
    void abort_client(RoomClient& client, const ClientCore::Actions& todo) {
        admission_.release(client, todo);
        client.close_reason.reset();
        client.ops->abort(client);
    }
    void send_probe(RoomClient& client) {
        client.connection->note_sent(context_.now);
        if (client.core.joined() && client.connection->output.empty())
            delivery_.send_message(client, {Kind::query_awareness, {}, {}});
    }

    TurnContext& context_;
    Admission& admission_;
    Delivery& delivery_;
    Edits& edits_;
    Replicas& replication_;
};

}}}  // namespace belay::detail
