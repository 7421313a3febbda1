// SPDX-License-Identifier: MIT
/// \file belay/room/detail/room_admission.hpp
/// RoomAdmission: checks the access and the limits of new clients, and finds their rooms.
#pragma once

#include <algorithm>     // std::any_of
#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint64_t
#include <optional>      // std::optional
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <utility>       // std::move

#include <belay/room/authorizer_like.hpp>
#include <belay/room/detail/client_table.hpp>
#include <belay/room/detail/turn_context.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Decides whether a client joins a room: checks the limits and the room id, calls the authorizer,
/// and finds the room. A client that it rejects is closed with a code that gives the reason.
///
/// This part calls
/// - `rooms`: `find_or_make` and `step`, for the room of a client,
/// - `sessions`: `take_grant` and `refresh`, for a client whose access was granted,
/// - `closer`: `abort`, `advance`, `clients`, `close`, `close_and_report`,
///   `close_connection_and_report` and `limits`, to close clients that are rejected.
///
/// Thread safety: home thread only.
template <class Persistence, class Authorizer, class Document>
class RoomAdmission {
public:
    RoomAdmission(TurnContext& context, ClientModule<Persistence, Authorizer, Document>& parts,
                  Authorizer authorizer)
        : context_{context}, parts_{parts}, authorizer_{std::move(authorizer)} {}
    RoomAdmission(const RoomAdmission&) = delete;
    RoomAdmission& operator=(const RoomAdmission&) = delete;

    // ---- new clients ----------------------------------------------------------------------------

    /// Drops a new client without an answer, and counts the rejection, if the manager is full and
    /// no closed client can be aborted for it.   Returns: whether it was dropped.
    [[nodiscard]] bool drop_if_full(const RoomRequest& request) {
        BELAY_PRECONDITION(parts_.closer.clients.attached(),
                           "RoomManager::accept: the manager must be attached to a driver first");
        if (!parts_.closer.limits.must_drop_new(parts_.closer.clients.client_count()) ||
            abort_closing())
            return false;
        context_.report_rejection(request, {}, make_error_code(RoomErrc::too_many_clients));
        return true;
    }
    /// Takes a new connection: checks the access of its client, or opens it if its frames have
    /// addresses.
    void begin(ClientConnection& connection) {
        parts_.closer.limits.update_count(connection);
        RoomClient* const only = connection.has_addresses() ? nullptr : connection.clients.front();
        if (only != nullptr) add_client(*only);
        if (const std::error_code error =
                make_space_for_new(*parts_.closer.limits.account_of(connection)))
            return parts_.closer.close_connection_and_report(connection, error);
        if (only == nullptr) return open(connection);
        admit(*only);
    }
    /// Checks the access of a new client of a connection that has several.
    void admit_channel(RoomChannel& channel) {
        parts_.closer.limits.update_count(*channel.connection);
        add_client(channel);
        admit(channel);
    }
    /// Makes space for one more client of a connection: may abort a closed client, and may close a
    /// waiting one of another user.   Returns: why the connection may not have one more.
    [[nodiscard]] std::error_code make_space_for_another(const ClientConnection& connection) {
        if (!context_.runs()) return RoomErrc::manager_stopped;
        const std::size_t clients = parts_.closer.clients.client_count();
        if (!connection.clients.empty() && parts_.closer.limits.must_drop_new(clients))
            static_cast<void>(abort_closing());
        const std::error_code error = parts_.closer.limits.why_not_another(connection, clients);
        const bool made = error == RoomErrc::too_many_waiting &&
                          make_space(parts_.closer.limits.account_of(connection)->waiting + 1) &&
                          !connection.core.ending();
        return made ? std::error_code{} : error;
    }

    // ---- access ---------------------------------------------------------------------------------

    /// Requests to check the access of all clients of a room again; of all rooms, if the id is
    /// empty.   Returns: their number.
    std::size_t reauthorize(std::string_view room_id) {
        std::size_t checked = 0;
        parts_.closer.clients.each_client([&](RoomClient& client) {
            if (!room_id.empty() && client.request.room_id != room_id) return;
            if (client.core.ending()) return;
            ++checked;
            client.core.checks() ? check(client) : queue_recheck(client);
        });
        return checked;
    }
    [[nodiscard]] Instant deadline() const noexcept {
        return parts_.closer.limits.rechecks.has_next() ? always : never;
    }
    /// Begins queued checks, up to `rechecks_max`: an authorizer has a limit of
    /// questions, and a client that it does not answer in time is closed. Clients whose user or
    /// room has its share already keep their places.
    void begin_rechecks() {
        bool more = parts_.closer.limits.rechecks.has_next();
        while (more) {
            more = false;
            // If the authorizer throws, it has dropped the question. The next turn continues.
            context_.errors.contain([&] { more = begin_recheck(); }, [] {});
        }
    }
    void ask_authorizer(RoomClient& client) {
        authorizer_.check(client.request, client.rights.check.ask());
        client.waker.touch();
    }
    /// The authorizer has answered.
    void on_grant(RoomClient& client) {
        using Event = ClientCore::Event;
        std::optional<Grant> grant = client.rights.check.take();
        const bool admitted = grant && grant->access != Access::none;
        const Event event = !grant ? Event::unanswered : admitted ? Event::granted : Event::denied;
        const ClientCore::Actions todo =
            parts_.closer.advance(client, event, grant ? grant->valid_for : Duration{});
        if (client.core.ending()) return;
        if (todo.fail) return parts_.closer.close_and_report(client, make_error_code(*todo.fail));
        if (todo.deny) {
            return reject(client, grant->user,
                          grant->user.empty() ? RoomErrc::unauthorized : RoomErrc::forbidden);
        }
        const std::string_view limit =
            admitted ? parts_.closer.limits.take_place(client, account_of(client, grant->user))
                     : std::string_view{};
        if (!limit.empty()) return reject(client, grant->user, RoomErrc::too_many_of_user, limit);
        if (todo.recheck) queue_recheck(client);
        const bool could_edit = client.rights.may_edit();
        if (admitted) parts_.sessions.take_grant(client, std::move(*grant));
        // Its user is known from here on.
        if (client.core.waiting())
            parts_.closer.limits.waiting.put(client.id, client.rights.account->of_user());
        if (todo.find_room) return find_room(client);
        if (todo.refresh) parts_.sessions.refresh(client, could_edit);
        if (todo.check && !client.core.ending()) ask_authorizer(client);
    }
    /// The room of a client is loaded: opens its connection, or lets it join if that is open. A
    /// client that has seen another history of the room is closed.
    void open(RoomClient& client) {
        const std::string& theirs = client.request.epoch;
        if (!theirs.empty() && theirs != epoch_text(client.room->history.epoch))
            return parts_.closer.close_and_report(client, make_error_code(RoomErrc::history_reset));
        if (!parts_.closer.advance(client, ClientCore::Event::room_live).open) return;
        open(*client.connection);
        client.waker.touch();
    }

private:
    /// Answers the upgrade of a connection, unless that has begun already.
    void open(ClientConnection& connection) {
        if (connection.core.step(ConnectionCore::Event::open, context_.now).open)
            connection.ops->open(connection);
    }
    void add_client(RoomClient& client) {
        client.rights.since = context_.now;
        client.rights.account = account_of(client, {});
        parts_.closer.limits.waiting.put(client.id, client.rights.account->of_user());
        client.update_checking();
    }
    void admit(RoomClient& client) {
        if (!is_room_id(client.request.room_id))
            return parts_.closer.close_and_report(client, make_error_code(RoomErrc::bad_room_id));
        check(client);
    }
    /// Checks the access of a client. A client that has joined stays in its room meanwhile.
    void check(RoomClient& client) {
        if (parts_.closer.advance(client, ClientCore::Event::check_requested).check)
            ask_authorizer(client);
    }
    /// Closes a client. The rejected user may be another one than the user who joined.
    void reject(RoomClient& client, const std::string& user, RoomErrc why,
                std::string_view limit = {}) {
        context_.report_rejection(client.request, user, make_error_code(why), limit);
        parts_.closer.close(client, make_error_code(why));
    }
    /// Returns the account of a user in the room of a client.
    [[nodiscard]] Ref<RoomAccount> account_of(const RoomClient& client, std::string_view user) {
        return context_.accounts.of(user, client.request.ip, client.connection->id)
            ->in(client.request.room_id);
    }
    void queue_recheck(RoomClient& client) {
        if (client.rights.recheck != ClientRights::Recheck::none) return;
        parts_.closer.limits.rechecks.push(client.id, client.rights.account);
        client.rights.recheck = ClientRights::Recheck::queued;
    }
    /// Begins the next queued check.   Returns: whether there was one.
    [[nodiscard]] bool begin_recheck() {
        const std::optional<std::uint64_t> next = parts_.closer.limits.rechecks.take_next();
        if (!next) return false;
        RoomClient* const client = parts_.closer.clients.find_client(*next);
        // A check that began since ends first, and then requests this one.
        const bool begins = client != nullptr && !client->core.ending() && !client->core.checks();
        if (!begins) parts_.closer.limits.rechecks.remove(*next);
        if (client == nullptr) return true;
        client->rights.recheck =
            begins ? ClientRights::Recheck::under_way : ClientRights::Recheck::none;
        if (!client->core.ending()) check(*client);
        return true;
    }
    /// Makes space for a new client or connection of this user, which is counted already: may close
    /// a waiting one of another user.   Returns: why it is rejected.
    [[nodiscard]] std::error_code make_space_for_new(const Account& user) {
        if (!context_.runs()) return RoomErrc::manager_stopped;
        const std::error_code error =
            parts_.closer.limits.why_exceeded(parts_.closer.clients.client_count());
        const bool made = error == RoomErrc::too_many_waiting && make_space(user.waiting);
        return made ? std::error_code{} : error;
    }
    /// Aborts the connection that the manager closed first, of those that their peers have not
    /// closed.   Returns: whether there was one.
    [[nodiscard]] bool abort_closing() {
        ClientConnection* const connection =
            parts_.closer.clients.find_connection(parts_.closer.limits.take_closing());
        if (connection == nullptr) return false;
        parts_.closer.abort(*connection);
        return true;
    }
    /// Gives up a waiting client, or a connection without any, for one of a user that has `own` of
    /// them. Its user has more. All documents of its connection end: a client dials again then, but
    /// does not ask again for a document that was denied. A peer without a right must not end what
    /// others edit, so a connection with a joined document ends only for a user with many clients.
    /// Returns: whether there was one.
    [[nodiscard]] bool make_space(std::size_t own) {
        const auto may_end = [&](std::uint64_t id, std::size_t clients) {
            return clients > context_.options.waiting_max / 10 || !has_joined(id);
        };
        const std::uint64_t other = parts_.closer.limits.waiting.newest_of_largest(own, may_end);
        ClientConnection* const connection = parts_.closer.clients.find_connection(other);
        if (connection == nullptr) return false;
        parts_.closer.close_connection_and_report(*connection,
                                                  make_error_code(RoomErrc::too_many_waiting));
        return true;
    }
    /// Whether a client of the connection with this id is joined.
    [[nodiscard]] bool has_joined(std::uint64_t id) {
        const ClientConnection* const connection = parts_.closer.clients.find_connection(id);
        return connection != nullptr &&
               std::any_of(connection->clients.begin(), connection->clients.end(),
                           [](const RoomClient* one) { return one->core.joined(); });
    }
    void find_room(RoomClient& client) {
        std::error_code error;
        RoomBase* const room = parts_.rooms.find_or_make(client.request.room_id, error, client);
        if (room == nullptr) {
            const bool of_user = error == RoomErrc::too_many_of_user;
            return parts_.closer.close_and_report(client, error,
                                                  of_user ? "clients_per_user_max" : "");
        }
        if (room->core.clients() >= context_.options.clients_per_room_max)
            return parts_.closer.close_and_report(client, make_error_code(RoomErrc::room_full));
        room->after_load.clients.push_back(&client);
        client.room = room;
        parts_.rooms.step(*room, timeline::RoomCore::Event::joined);
        if (room->core.live()) return open(client);
        static_cast<void>(parts_.closer.advance(client, ClientCore::Event::room_loading));
    }

    TurnContext& context_;
    ClientModule<Persistence, Authorizer, Document>& parts_;
    Authorizer authorizer_;
};

}}}  // namespace belay::detail
