// SPDX-License-Identifier: MIT
/// \file belay/room/detail/client_closer.hpp
/// ClientCloser: closes the clients of a RoomManager, and takes them out of their rooms.
#pragma once

#include <cstdint>       // std::uint64_t
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <utility>       // std::exchange
#include <vector>        // std::erase

#include <belay/core/assert.hpp>
#include <belay/room/detail/admission_limits.hpp>
#include <belay/room/detail/client_table.hpp>
#include <belay/room/detail/turn_context.hpp>
#include <belay/room/room_errc.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Carries out the decisions of the cores of clients. It closes a client with a reason, removes it
/// from its room, and destroys it at the end of the turn.
///
/// This part calls
/// - `rooms`: `leave`, for the room of a client.
///
/// Thread safety: home thread only.
template <class Persistence, class Authorizer, class Document>
class ClientCloser {
public:
    ClientCloser(TurnContext& context, ClientModule<Persistence, Authorizer, Document>& parts,
                 ClientTable& table) noexcept
        : limits{context.options, context.accounts},
          clients{table},
          context_{context},
          parts_{parts} {}
    ClientCloser(const ClientCloser&) = delete;
    ClientCloser& operator=(const ClientCloser&) = delete;

    /// The counts of clients that limit the admission; the clients refer to them.
    AdmissionLimits limits;
    /// The connections and their clients, by their ids.
    ClientTable& clients;

    /// Processes an event of a client's life, and updates the counts that depend on its state.
    [[nodiscard]] ClientCore::Actions advance(RoomClient& client, ClientCore::Event event,
                                              Duration valid_for = {}) {
        const bool waited = client.core.waiting();
        const ClientCore::Actions todo = client.core.step(event, context_.now, valid_for);
        if (waited && !client.core.waiting()) limits.waiting.remove(client.id);
        using Recheck = ClientRights::Recheck;
        using Event = ClientCore::Event;
        // The answer ends it, also if a newer token begins another check in the same step.
        const bool answered =
            event == Event::granted || event == Event::denied || event == Event::unanswered;
        const bool ends = client.rights.recheck == Recheck::under_way
                              ? answered || !client.core.checks()
                              : client.rights.recheck == Recheck::queued && client.core.ending();
        if (ends) {
            client.rights.recheck = Recheck::none;
            limits.rechecks.remove(client.id);
        }
        if (client.core.ending()) client.rights.place.release();
        client.update_checking();
        return todo;
    }

    // ---- with a reason --------------------------------------------------------------------------

    /// Closes a client for `why`: with its connection, and the code for `why`, or by a frame.
    void close(RoomClient& client, const std::error_code& why) {
        if (client.core.ending()) return;
        if (ends_connection(client, why)) return close(*client.connection, why);
        client.end_reason = why;
        release(client, advance(client, ClientCore::Event::ended));
        auto& channel = static_cast<RoomChannel&>(client);
        channel.end_waits = true;
        channel.connection->channels->remove(channel);
        channel.waker.touch();
    }
    /// Closes a connection with all its clients, with the code for `why`.
    void close(ClientConnection& connection, const std::error_code& why) {
        const ConnectionCore::Actions todo =
            connection.core.step(ConnectionCore::Event::close, context_.now);
        if (!todo.release) return;
        for (RoomClient* const client : connection.clients) client->end_reason = why;
        release_all(connection);
        limits.begin_closing(connection);
        if (todo.close) return connection.ops->close(connection, why);
        connection.end.why = why;
        // If the transport cannot be opened, the connection ends without a close code.
        if (todo.open) connection.ops->open(connection);
        connection.waker.touch();
    }
    /// Takes the clients out of their rooms, and ends the connection: a close code that waits is
    /// not sent.
    void abort(ClientConnection& connection) {
        if (connection.core.step(ConnectionCore::Event::ended, context_.now).release)
            release_all(connection);
        connection.ops->abort(connection);
    }
    void close_all(const std::error_code& why) {
        clients.each_connection(
            [&](ClientConnection& connection) { close_counted(connection, why); });
    }
    /// Closes a client, counts the rejection, and reports it to the observer.
    void close_and_report(RoomClient& client, const std::error_code& why,
                          std::string_view limit = {}) {
        if (client.core.ending()) return;
        context_.report_rejection(client.request, client.rights.grant.user, why, limit);
        close(client, why);
    }
    void close_connection_and_report(ClientConnection& connection, const std::error_code& why,
                                     std::string_view limit = {}) {
        if (connection.core.ending()) return;
        context_.report_rejection(connection.request, user_of(connection), why, limit);
        close(connection, why);
    }
    /// Counts a client that is closed without a close code, because it is silent.
    void note_silent(RoomClient& client) {
        if (client.core.ending()) return;
        client.end_reason = RoomErrc::client_silent;
        context_.count_close(client.end_reason);
    }
    /// Closes the clients that the rooms and the delivery have ended.
    void close_ended() {
        while (!context_.ended_clients.empty())
            for (const EndedClient& ended : std::exchange(context_.ended_clients, {}))
                close_ended(ended);
    }
    /// Closes the connection with this id.   Returns: whether there was one.
    bool remove(std::uint64_t id) {
        ClientConnection* const found = clients.find_connection(id);
        return found != nullptr && close_counted(*found, RoomErrc::client_removed);
    }

    // ---- out of the rooms -----------------------------------------------------------------------

    /// Takes a client out of its room, and ends its output.
    void release(RoomClient& client, const ClientCore::Actions& todo) {
        leave(client, todo.leave);
        client.backlog.retry_at = never;
        client.connection->drop_output(client);
        if (todo.drop_check) client.rights.check.drop();
    }
    void release_all(ClientConnection& connection) {
        for (RoomClient* const client : connection.clients) {
            release(*client, advance(*client, ClientCore::Event::ended));
            client->waker.touch();
        }
        connection.alive.rest();
        connection.output.clear();
        limits.update_count(connection);
    }
    /// Destroys all clients at once, without a close code.
    void end_all() {
        clients.destroy_all([&](RoomClient& client) { end(client); });
        limits.forget_all();
    }
    /// Destroys the clients and the connections that have ended, at the end of a turn.
    void reap() {
        clients.destroy_ended(
            [&](RoomChannel& channel) {
                end(channel);
                channel.connection->channels->leave(channel);
                limits.update_count(*channel.connection);
            },
            [&](const ClientConnection& connection) { limits.forget(connection); });
    }

private:
    void close_ended(const EndedClient& ended) {
        RoomClient* const client = clients.find_client(ended.id);
        if (client != nullptr && ended.reported) {
            close_and_report(*client, ended.why, ended.limit);
        } else if (client != nullptr && !client->core.ending()) {
            context_.count_close(ended.why);
            close(*client, ended.why);
        }
        ClientConnection* const connection = clients.find_connection(ended.id);
        if (connection == nullptr) return;
        // Nothing more is sent on it, so it also ends if the client was closed for another reason.
        if (client == nullptr || connection->end.failed)
            close_connection_and_report(*connection, ended.why, ended.limit);
    }
    /// Closes a connection, and counts each of its clients that is not closing yet, or else the
    /// connection.   Returns: whether it was open.
    bool close_counted(ClientConnection& connection, const std::error_code& why) {
        if (connection.core.ending()) return false;
        bool counted = false;
        for (const RoomClient* const client : connection.clients) {
            if (client->core.ending()) continue;
            context_.count_close(why);
            counted = true;
        }
        if (!counted) context_.count_close(why);
        close(connection, why);
        return true;
    }
    /// Whether an error of one client ends its whole connection: always, if the frames have no
    /// addresses. The reasons of RoomReasons state that for a client that has joined: lost rights
    /// and ended histories end the client only; the client mends all other errors by dialling
    /// again. It does not ask again for a document that was denied, so a limit ends the connection,
    /// too, if it has no other document.
    [[nodiscard]] static bool ends_connection(const RoomClient& client,
                                              const std::error_code& why) {
        if (!client.connection->has_addresses() || why == RoomErrc::client_removed) return true;
        if (!client.core.joined()) {
            const Cause cause = cause_of(why);
            return client.connection->clients.size() == 1 &&
                   (cause == Cause::overloaded || cause == Cause::timed_out);
        }
        const RoomReason* const reason = RoomReasons::find(why);
        return reason == nullptr || reason->ends == RoomReason::Ends::connection;
    }
    /// A client is destroyed.
    void end(RoomClient& client) { leave(client, advance(client, ClientCore::Event::ended).leave); }
    void leave(RoomClient& client, ClientCore::Leave how) {
        if (how == ClientCore::Leave::no) return;
        const bool had_joined = how == ClientCore::Leave::joined;
        if (had_joined)
            static_cast<void>(
                client.connection->core.step(ConnectionCore::Event::left, context_.now));
        if (client.room != nullptr) parts_.rooms.leave(client, had_joined);
    }

    TurnContext& context_;
    ClientModule<Persistence, Authorizer, Document>& parts_;
};

}}}  // namespace belay::detail
