// SPDX-License-Identifier: MIT
/// \file belay/room/detail/client_sessions.hpp
/// ClientSessions: processes the messages and the timers of the clients of a RoomManager.
#pragma once

#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <utility>       // std::exchange, std::move
#include <vector>        // std::vector

#include <belay/room/detail/account.hpp>
#include <belay/room/detail/room_awareness.hpp>
#include <belay/room/detail/turn_context.hpp>
#include <belay/room/document_like.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The sessions of the clients that are in a room: processes their messages and their timers.
///
/// This part calls
/// - `admission`: `open`, for a client whose room is loaded,
/// - `closer`: `advance` and `close_and_report`, to close clients,
/// - `delivery`: `acknowledge`, `answer`, `catch_up`, `queue_awareness`, `request_state`,
///   `send_all_awareness`, `send_control` and `send_message`, to send,
/// - `edits`: `update`, for an edit,
/// - `replication`: `publish_state`, for the awareness on other servers, and `on_held_back`.
///
/// Thread safety: home thread only.
template <class Persistence, class Authorizer, class Document>
class ClientSessions {
public:
    using Kind = part::RoomMessage::Kind;
    using Room = RoomState<Document>;

    ClientSessions(TurnContext& context,
                   ClientModule<Persistence, Authorizer, Document>& parts) noexcept
        : context_{context}, parts_{parts} {}
    ClientSessions(const ClientSessions&) = delete;
    ClientSessions& operator=(const ClientSessions&) = delete;

    // ---- for the manager ------------------------------------------------------------------------

    /// Processes a load, also a repeated one.
    void on_loaded(Room& room) {
        const std::optional<Bytes> had = std::exchange(room.after_load.vector_before, std::nullopt);
        for (RoomClient* const client : room.clients) {
            // The storage may have kept a change whose flush has failed. The client receives it as
            // one that lags.
            if (had && !client->backlog.lag_from) client->backlog.lag_from = *had;
            if (!client->connection->has_addresses()) client->connection->rate.read_at = always;
            client->waker.touch();
            send_initial_state(*client);
            // A state vector that came due during the load was not answered.
            parts_.delivery.catch_up(*client->connection);
        }
        // They stay in the list until they have joined. One that is closed leaves it.
        for (RoomClient* const client : std::vector<RoomClient*>{room.after_load.clients}) {
            if (client->core.state() == ClientCore::State::loading) parts_.admission.open(*client);
        }
    }

    // ---- for admission --------------------------------------------------------------------------

    /// With the grant of another user, one user leaves and the other one joins. The new user owns
    /// the awareness of the client.
    void take_grant(RoomClient& client, Grant grant) {
        const bool changes = client.core.joined() && client.rights.grant.user != grant.user;
        if (changes) {
            std::erase(client.room->clients, &client);
            context_.report(RoomEvent::Kind::left, *client.room, &client);
        }
        client.rights.grant = std::move(grant);
        if (!changes) return;
        client.room->clients.push_back(&client);
        ++context_.counters.joined;
        context_.report(RoomEvent::Kind::joined, *client.room, &client);
        client.room->awareness.set_user(client.id, client.rights.grant.user);
        parts_.replication.publish_state(*client.room, client);
    }
    /// The access of a client that has joined was granted again.
    void refresh(RoomClient& client, bool could_edit) {
        send_grant(client);
        if (!client.core.joined() || client.rights.may_edit() == could_edit) return;
        if (client.rights.may_edit()) return request_state(client);
        if (!context_.options.viewers_awareness) hide_awareness(client);
    }

    // ---- for connections ------------------------------------------------------------------------

    /// The connection of a client is open: it joins its room.
    void join(RoomClient& client) {
        client.connection->alive.pulse.sign_of_life(context_.now);
        client.connection->alive.note_sent(context_.now);
        client.room->clients.push_back(&client);
        std::erase(client.room->after_load.clients, &client);
        ++context_.counters.joined;
        context_.counters.joins.add(elapsed(client.rights.since, context_.now));
        context_.report(RoomEvent::Kind::joined, *client.room, &client);
        send_grant(client);
        if (!client.room->core.live()) {
            pause_reading(client);
        } else {
            send_initial_state(client);
        }
    }
    /// Processes a message of a client.
    void on_message(RoomClient& client, const part::RoomMessage& message) {
        LimitedError error;
        auto& room = static_cast<Room&>(*client.room);
        switch (message.kind) {
            case Kind::state_vector:
                pay_answer(client, room);
                // A client with an address counts the answer to our request, and nothing earlier.
                client.backlog.statuses_owed = 1;
                error = parts_.delivery.answer(client, message.payload);
                break;
            case Kind::state:
            case Kind::update:
                error = on_update(client, room, message);
                break;
            case Kind::awareness:
                if (!context_.options.viewers_awareness && !client.rights.may_edit()) break;
                pay(*client.connection, room.clients.size() * ReadCost::recipient);
                error = on_awareness(client, room, message.payload);
                break;
            case Kind::query_awareness:
                pay(*client.connection, room.awareness.size() * ReadCost::recipient);
                parts_.delivery.send_all_awareness(client, true);
                break;
            case Kind::stateless:
                on_stateless(client, room, message.payload);
                break;
            default:
                break;
        }
        if (error) parts_.closer.close_and_report(client, error.code, error.limit);
    }
    /// Charges bytes to the connection's rate. A connection without credit is read later.
    void pay(ClientConnection& connection, std::size_t bytes) {
        if (!connection.rate.charge(bytes, context_.now, context_.options)) return;
        for (const RoomClient* const client : connection.clients) {
            if (!client->core.joined()) continue;
            ++context_.counters.throttled;
            return context_.report(RoomEvent::Kind::throttled, *client->room, client);
        }
        // None of its documents has joined a room.
        ++context_.counters.throttled;
        if (!context_.wanted.events) return;
        RoomEvent event{.kind = RoomEvent::Kind::throttled};
        event.client.value = connection.id;
        context_.pending_events.push_back(std::move(event));
    }
    /// Processes the timers of a client.
    void watch(RoomClient& client) {
        if (client.core.deadline() <= context_.now) on_tick(client);
        if (take_due(client.backlog.retry_at, context_.now))
            parts_.delivery.catch_up(*client.connection);
    }

private:
    /// Notifies the client of its access, if its frames have addresses.
    void send_grant(RoomClient& client) {
        if (!client.connection->has_addresses()) return;
        const part::RoomMessage message{
            Kind::granted, as_bytes(to_string(client.rights.grant.access)), {}};
        parts_.delivery.send_control(*client.connection, client.address, client.write(message));
    }
    void send_initial_state(RoomClient& client) {
        // A client with an address requests the state first, and counts the requests.
        const bool requests_state = std::exchange(client.backlog.requests_state, false);
        if (client.rights.may_edit() && (!client.connection->has_addresses() || requests_state))
            request_state(client);
        parts_.delivery.send_all_awareness(client, false);
        client.backlog.awareness.returned = true;
        if (client.room->awareness.size() != 0)
            client.room->awareness.lifts().on_joined(context_.now);
        client.room->waker.touch();
    }
    /// A join costs as much as an answer, if the document must be merged for it.
    void request_state(RoomClient& client) {
        const Room& room = static_cast<Room&>(*client.room);
        if (room.core.live()) pay(*client.connection, request_cost(room.document));
        parts_.delivery.request_state(client);
    }

    // ---- messages -------------------------------------------------------------------------------

    /// Charges an edit for which a full document was compacted: the connection, and the user over
    /// all its connections.
    void pay_merges(RoomClient& client, const Room& room, std::uint64_t merges) {
        if (merges == 0) return;
        const std::size_t cost = answer_cost(room.document);
        pay(*client.connection, 2 * cost);
        Account& user = client.rights.account->user;
        user.charge(2 * cost, context_.now, context_.options);
        Instant& read_at = client.connection->rate.read_at;
        read_at = larger(read_at, user.rate.read_at);
    }
    /// Charges the comparison of a client's state with the document, and the answer.
    void pay_answer(RoomClient& client, const Room& room) {
        pay(*client.connection, answer_cost(room.document));
    }
    void on_stateless(RoomClient& client, const Room& room, BytesView payload) {
        ++context_.counters.stateless;
        if (!context_.wanted.stateless) return;
        context_.pending_events.push_back(RoomEvent::Stateless{room.id,
                                                               client.rights.grant.user,
                                                               {client.connection->id},
                                                               std::string{as_text(payload)}});
    }
    /// The client may not be seen any more, on this server and the others.
    void hide_awareness(RoomClient& client) {
        RoomBase& room = *client.room;
        if (!room.awareness.hide(client.id, context_.now)) return;
        parts_.replication.publish_state(room, client);
        parts_.delivery.queue_awareness(room);
        room.waker.touch();
    }
    [[nodiscard]] std::error_code on_awareness(RoomClient& client, Room& room, BytesView message) {
        const std::uint64_t before = room.awareness.version();
        const LimitedError error = room.awareness.receive(
            {client.id, client.rights.grant.user, !client.backlog.awareness.introduced}, message,
            context_.now);
        if (room.awareness.version() != before) parts_.replication.publish_state(room, client);
        // An empty message is the answer to a query.
        if (!error && message.size() > 1 &&
            !std::exchange(client.backlog.awareness.introduced, true))
            client.backlog.awareness.returned = room.awareness.lifts().returned;
        parts_.delivery.queue_awareness(room);
        room.waker.touch();
        if (error.code != RoomErrc::frame_too_large) return error;
        // A cursor must not end the document of its client.
        context_.count_denial(error.code);
        if (std::exchange(client.backlog.awareness.rejected, true)) return {};
        context_.report_rejection(client.request, client.rights.grant.user, error, error.limit);
        // In frames with addresses, it would be the status of an edit.
        if (!client.connection->has_addresses())
            send_denied(client, "the awareness state is too large");
        return {};
    }
    [[nodiscard]] LimitedError on_update(RoomClient& client, Room& room,
                                         const part::RoomMessage& message) {
        // Each update gets a status. The answer to a state vector contains all updates that were
        // rejected before, and settles them.
        const bool answers = message.kind == Kind::state;
        const std::uint32_t due = answers ? std::exchange(client.backlog.statuses_owed, 0) : 1;
        if (!client.rights.may_edit()) return on_viewers(client, room, message, due);
        pay(*client.connection, room.clients.size() * ReadCost::recipient);
        const std::size_t before = room.pending.size();
        const std::uint64_t merges = merges_of(room.document);
        const LimitedError error =
            parts_.edits.update(room, message.payload, client.id, client.rights.account);
        pay_merges(client, room, merges_of(room.document) - merges);
        if (!error) {
            if (!client.connection->has_addresses()) return error;
            if (room.pending.size() == before) {
                acknowledge_known(client, room, due);
            } else {
                room.pending.all().back().statuses = due;
            }
            return error;
        }
        if (!is_document_full(error)) return error;
        context_.count_denial(error.code);
        client.backlog.owe_statuses(due);
        // A closed client would dial again at once with the same update.
        if (!client.core.take_denial()) return {};
        context_.report_rejection(client.request, client.rights.grant.user, error);
        send_denied(client, "the document is full");
        return {};
    }
    [[nodiscard]] std::error_code on_viewers(RoomClient& client, Room& room,
                                             const part::RoomMessage& message, std::uint32_t due) {
        const bool answers = message.kind == Kind::state;
        if (answers && !client.connection->has_addresses()) {
            context_.count_denial(RoomErrc::forbidden);
            return {};
        }
        std::error_code error;
        if (answers) {
            // Merges the document first, so that its content is known.
            pay_answer(client, room);
            client.rights.account->user.charge(answer_cost(room.document), context_.now,
                                               context_.options);
            static_cast<void>(room.document.state_vector());
            auto adds = room.document.check(message.payload);
            if (adds.has_value() && !*adds) {
                acknowledge_known(client, room, due);
                return {};
            }
            if (!adds.has_value()) error = static_cast<std::error_code>(adds.error());
        }
        if (error && !is_document_full(error)) return error;
        context_.count_denial(RoomErrc::forbidden);
        client.backlog.owe_statuses(due);
        if (!client.core.take_denial()) return {};
        context_.report(RoomEvent::Kind::denied, room, &client, RoomErrc::forbidden);
        send_denied(client, "this client may not edit");
        return {};
    }
    /// Acknowledges changes that the document has. If a shared storage may have lost some of it,
    /// the client waits until the two are compared, and the changes are stored again.
    void acknowledge_known(RoomClient& client, Room& room, std::uint32_t changes) {
        if (!room.replication || !room.replication->loss.is_possible())
            return parts_.delivery.acknowledge(client, changes);
        client.backlog.statuses_held += changes;
        room.replication->loss.holds_statuses = true;
        parts_.replication.on_held_back(room);
    }
    void send_denied(RoomClient& client, std::string_view why) {
        parts_.delivery.send_message(client, {Kind::denied, as_bytes(why)});
    }
    void on_tick(RoomClient& client) {
        const ClientCore::Actions todo = parts_.closer.advance(client, ClientCore::Event::tick);
        if (todo.drop_check) client.rights.check.drop();
        // The other failure is the end of the grant.
        if (todo.fail)
            return parts_.closer.close_and_report(
                client, make_error_code(*todo.fail),
                todo.fail == RoomErrc::no_answer ? "check_within" : "");
        if (!todo.request_token) return;
        parts_.delivery.send_control(*client.connection, client.address,
                                     client.write({Kind::token, {}, {}}));
    }
    TurnContext& context_;
    ClientModule<Persistence, Authorizer, Document>& parts_;
};

}}}  // namespace belay::detail
