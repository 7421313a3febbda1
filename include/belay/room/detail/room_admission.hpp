// SPDX-License-Identifier: MIT
/// \file belay/room/detail/room_admission.hpp
/// RoomAdmission: admits, rejects and closes the clients of a RoomManager.
#pragma once

#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint64_t
#include <optional>      // std::optional
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <utility>       // std::exchange, std::move
#include <vector>        // std::vector

#include <belay/room/authorizer_like.hpp>
#include <belay/room/detail/client_table.hpp>
#include <belay/room/detail/room_state.hpp>
#include <belay/room/detail/turn_context.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Decides about the clients of a manager: admits, rejects and closes them. It counts those that
/// wait for their admission.
///
/// `Parts` names the parts of the manager. This part calls
/// - `Rooms`: `find_or_make`, `step` and `leave`, for the room of a client,
/// - `Sessions`: `take_grant` and `refresh`, for a client whose access was granted.
///
/// Thread safety: home thread only.
template <class Parts>
class RoomAdmission {
    using Authorizer = typename Parts::Authorizer;
    using Rooms = typename Parts::Rooms;
    using Sessions = typename Parts::Sessions;

public:
    RoomAdmission(TurnContext& context, Authorizer authorizer, Rooms& rooms, Sessions& sessions)
        : context_{context},
          authorizer_{std::move(authorizer)},
          rooms_{rooms},
          sessions_{sessions} {}
    RoomAdmission(const RoomAdmission&) = delete;
    RoomAdmission& operator=(const RoomAdmission&) = delete;

    // ---- for the manager ------------------------------------------------------------------------

    /// Whether the manager takes over a new client. If not, the refusal is counted, and the client
    /// is dropped without an answer.
    [[nodiscard]] bool takes_over(const RoomRequest& request) {
        BELAY_PRECONDITION(clients.attached(),
                           "RoomManager::accept: the manager must be attached to a driver first");
        if (!is_full()) return true;
        context_.report_refusal(request, {}, make_error_code(RoomErrc::too_many));
        return false;
    }
    /// Checks the access of a new client that has a connection of its own.
    void admit(RoomClient& client) {
        add_client(client);
        const std::error_code error = why_not_now();
        admit(client, error ? error : why_not(client.request));
    }
    /// Checks the access of a new client of a multiplexed connection.
    void admit_channel(RoomClient& client) {
        count(*client.connection->multiplexed);
        add_client(client);
        admit(client, why_not(client.request));
    }
    /// Registers a multiplexed connection, and opens its transport.
    void begin(MultiplexedBase& connection) {
        clients.add(connection);
        count(connection);
        static_cast<void>(connection.core.step(ConnectionCore::Event::begun, context_.now));
        if (const std::error_code error = why_not_now()) {
            fail_connection(connection.io, error);
        } else {
            connection.ops->open(connection);
        }
    }
    /// Closes a client.   Returns: whether there was one.
    bool remove(std::uint64_t id) {
        if (RoomClient* const found = clients.find_client(id)) {
            if (found->core.closing()) return false;
            close(*found, {});
            return true;
        }
        MultiplexedBase* const found = clients.find_connection(id);
        if (found == nullptr || found->core.closing()) return false;
        close(*found, {});
        return true;
    }
    /// Processes an event of a client's life, and updates the counts that depend on its state.
    [[nodiscard]] ClientCore::Actions advance(RoomClient& client, ClientCore::Event event,
                                              Duration valid_for = {}) noexcept {
        const bool waited = client.core.waiting();
        const ClientCore::Actions todo = client.core.step(event, context_.now, valid_for);
        if (waited && !client.core.waiting()) --waiting_;
        client.update_checking();
        return todo;
    }
    /// Checks the access of a client. A client that has joined stays in its room meanwhile.
    void check(RoomClient& client) {
        if (advance(client, ClientCore::Event::check_requested).check) ask_authorizer(client);
    }
    /// Closes a client with the code for `why`.
    void close(RoomClient& client, const std::error_code& why) {
        if (client.core.closing()) return;
        if (client.connection->multiplexed != nullptr && ends_connection(client, why))
            return close(*client.connection->multiplexed, why);
        const ClientCore::Actions todo = advance(client, ClientCore::Event::close);
        release(client, todo);
        if (todo.close) return client.ops->close(client, why);
        client.close_reason = why;
        if (todo.open) client.ops->open(client);
        client.waker.touch();
    }
    /// Closes a connection with all its clients.
    void close(MultiplexedBase& connection, const std::error_code& why) {
        if (!connection.core.step(ConnectionCore::Event::close, context_.now).open) return;
        release_all(connection);
        count(connection);
        connection.close_reason = why;
        connection.ops->open(connection);
        connection.waker.touch();
    }
    void fail(RoomClient& client, const std::error_code& why) {
        if (client.core.closing()) return;
        context_.report_refusal(client.request, client.grant.user, why);
        close(client, why);
    }
    void fail_connection(ClientConnection& connection, const std::error_code& why) {
        if (connection.multiplexed == nullptr) return fail(*connection.clients.front(), why);
        if (connection.multiplexed->core.closing()) return;
        context_.report_refusal(connection.multiplexed->request, {}, why);
        close(*connection.multiplexed, why);
    }

    /// Checks the access of all clients of a room again.   Returns: their number.
    std::size_t reauthorize(std::string_view board) {
        std::size_t asked = 0;
        for (RoomClient* const client : clients.all()) {
            if (client->request.board != board || client->core.closing()) continue;
            ++asked;
            check(*client);
        }
        return asked;
    }
    void close_all(const std::error_code& why) {
        for (const auto& [id, connection] : clients.connections()) close(*connection, why);
        for (RoomClient* const client : clients.all()) close(*client, why);
    }
    /// Destroys all clients at once, without a close code.
    void end_all() {
        clients.destroy_all([&](RoomClient& client) { end(client); });
        empty_connections_ = 0;
    }
    /// Destroys the clients and the connections that have ended, at the end of a turn.
    void reap() {
        clients.destroy_ended([&](RoomClient& client) {
            end(client);
            std::erase(client.connection->clients, &client);
            if (client.connection->multiplexed != nullptr) count(*client.connection->multiplexed);
        });
        clients.destroy_ended_connections([&](MultiplexedBase&) { --empty_connections_; });
    }

    // ---- for the rooms --------------------------------------------------------------------------

    void fail_author(std::uint64_t author, const std::error_code& why) {
        if (RoomClient* const found = clients.find_client(author)) return fail(*found, why);
        MultiplexedBase* const found = clients.find_connection(author);
        if (found != nullptr) fail_connection(found->io, why);
    }

    /// The clients and the connections, by their ids.
    ClientTable clients;

    // ---- for the sessions -----------------------------------------------------------------------

    /// The authorizer has answered.
    void on_grant(RoomClient& client) {
        using Event = ClientCore::Event;
        std::optional<Grant> grant = client.check.take();
        const bool admitted = grant && grant->access != Access::none;
        const Event event = !grant ? Event::unanswered : admitted ? Event::granted : Event::denied;
        const ClientCore::Actions todo =
            advance(client, event, grant ? grant->valid_for : Duration{});
        if (client.core.closing()) return;
        if (todo.fail) return fail(client, make_error_code(*todo.fail));
        if (todo.deny) {
            // The rejected user may be another one than the user who joined.
            const auto why =
                make_error_code(grant->user.empty() ? RoomErrc::unauthorized : RoomErrc::forbidden);
            context_.report_refusal(client.request, grant->user, why);
            return close(client, why);
        }
        const bool could_edit = client.may_edit();
        if (admitted) sessions_.take_grant(client, std::move(*grant));
        if (todo.find_room) return find_room(client);
        if (todo.refresh) sessions_.refresh(client, could_edit);
        if (todo.check && !client.core.closing()) ask_authorizer(client);
    }
    void ask_authorizer(RoomClient& client) {
        authorizer_.check(client.request, client.check.ask());
        client.waker.touch();
    }
    void open(RoomClient& client) {
        const std::string& theirs = client.request.epoch;
        if (!theirs.empty() && theirs != epoch_text(client.room->epoch))
            return fail(client, make_error_code(RoomErrc::history_reset));
        if (advance(client, ClientCore::Event::room_live).open) client.ops->open(client);
    }
    /// Takes a client out of its room, and ends its output.
    void release(RoomClient& client, const ClientCore::Actions& todo) {
        if (todo.leave) leave(client, todo.was_joined);
        client.stop_waiting();
        if (todo.drop_check) client.check.drop();
    }
    void release_all(MultiplexedBase& connection) {
        for (RoomClient* const client : connection.io.clients) {
            release(*client, advance(*client, ClientCore::Event::ended));
            client->waker.touch();
        }
        connection.io.stop_waiting();
    }

    // ---- for connections ------------------------------------------------------------------------

    /// Counts the connection while it has no client; later its clients are counted.
    void count(MultiplexedBase& connection) noexcept {
        const bool empty = connection.io.clients.empty();
        const bool waits = empty && !connection.core.authorized() && !connection.core.closing();
        if (std::exchange(connection.empty, empty) != empty)
            empty ? ++empty_connections_ : --empty_connections_;
        if (std::exchange(connection.waits, waits) != waits) waits ? ++waiting_ : --waiting_;
    }
    /// Why a connection may not have one more client. The first counts instead of the connection.
    [[nodiscard]] std::error_code why_not_another(
        const MultiplexedBase& connection) const noexcept {
        if (!context_.runs()) return RoomErrc::manager_stopped;
        const bool first = connection.io.clients.empty();
        if ((!first && is_full()) || clients.clients() >= context_.options.clients_max ||
            (!connection.waits && waiting_ >= context_.options.waiting_max))
            return RoomErrc::too_many;
        return {};
    }

private:
    // ---- admission ------------------------------------------------------------------------------

    /// Whether a new client is dropped without an answer.
    [[nodiscard]] bool is_full() const noexcept {
        const std::size_t all = clients.clients() + empty_connections_;
        return all >= context_.options.clients_max &&
               all - context_.options.clients_max >= context_.options.waiting_max;
    }
    void add_client(RoomClient& client) {
        clients.add(client);
        ++waiting_;
        client.update_checking();
    }
    void admit(RoomClient& client, const std::error_code& error) {
        if (error) return fail(client, error);
        check(client);
    }
    [[nodiscard]] std::error_code why_not_now() const noexcept {
        if (!context_.runs()) return RoomErrc::manager_stopped;
        if (waiting_ > context_.options.waiting_max ||
            clients.clients() > context_.options.clients_max)
            return RoomErrc::too_many;
        return {};
    }
    [[nodiscard]] static std::error_code why_not(const RoomRequest& request) noexcept {
        return is_room_id(request.board) ? std::error_code{} : RoomErrc::bad_room_id;
    }
    void find_room(RoomClient& client) {
        std::error_code error;
        RoomBase* const room = rooms_.find_or_make(client.request.board, error);
        if (room == nullptr) return fail(client, error);
        if (room->core.clients() >= context_.options.clients_per_room_max)
            return fail(client, make_error_code(RoomErrc::too_many));
        client.room = room;
        rooms_.step(*room, timeline::RoomCore::Event::joined);
        if (room->core.live()) return open(client);
        static_cast<void>(advance(client, ClientCore::Event::room_loading));
        room->waiting.push_back(&client);
    }

    // ---- closing --------------------------------------------------------------------------------

    /// Whether an error of one client ends its whole connection. Lost rights and ended histories
    /// end the client only; the client mends all other errors by dialling again.
    [[nodiscard]] static bool ends_connection(const RoomClient& client,
                                              const std::error_code& why) {
        if (!why) return true;
        return client.core.joined() && why != RoomErrc::unauthorized &&
               why != RoomErrc::forbidden && why != RoomErrc::history_reset &&
               why != RoomErrc::room_erased;
    }
    /// The client's transport or connection has ended.
    void end(RoomClient& client) {
        const ClientCore::Actions todo = advance(client, ClientCore::Event::ended);
        if (todo.leave) leave(client, todo.was_joined);
    }
    void leave(RoomClient& client, bool was_joined) {
        MultiplexedBase* const connection = client.connection->multiplexed;
        if (connection != nullptr && was_joined)
            static_cast<void>(connection->core.step(ConnectionCore::Event::left, context_.now));
        if (client.room != nullptr) rooms_.leave(client, was_joined);
    }

    TurnContext& context_;
    Authorizer authorizer_;
    Rooms& rooms_;
    Sessions& sessions_;
    std::size_t waiting_ = 0;            ///< clients, and connections without any, before admission
    std::size_t empty_connections_ = 0;  ///< connections without clients
};

}}}  // namespace belay::detail
