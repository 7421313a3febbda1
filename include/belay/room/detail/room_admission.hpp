// SPDX-License-Identifier: MIT
/// \file belay/room/detail/room_admission.hpp
/// RoomAdmission: admits, rejects and closes the clients of a RoomManager.
#pragma once

#include <map>           // std::map
#include <string>        // std::string
#include <system_error>  // std::error_code
#include <utility>       // std::exchange, std::move
#include <vector>        // std::vector

#include <belay/room/authorizer_like.hpp>
#include <belay/room/detail/direct_client.hpp>
#include <belay/room/detail/multiplexed_connection.hpp>
#include <belay/room/detail/reply_budget.hpp>
#include <belay/room/detail/room_close.hpp>
#include <belay/room/detail/room_delivery.hpp>
#include <belay/room/detail/turn_context.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The clients of a manager by their ids. Admits, rejects and closes them. `Registry` derives from
/// it, has the rooms, and serves the clients.
///
/// Thread safety: home thread only.
template <class Registry, AuthorizerLike Authorizer, DocumentLike Document>
class RoomAdmission {
public:
    using Kind = part::RoomMessage::Kind;
    using Room = RoomState<Document>;
    template <class T, class P>
    using Socket = DirectClient<Registry, T, P>;

    RoomAdmission(TurnContext& context, Authorizer authorizer)
        : context_{context},
          authorizer_{std::move(authorizer)},
          reply_budget_{*this, context_},
          delivery_{*this, context_, reply_budget_} {}
    RoomAdmission(const RoomAdmission&) = delete;
    RoomAdmission& operator=(const RoomAdmission&) = delete;

    // ---- for the manager ------------------------------------------------------------------------

    /// Takes over a client.   Returns: its id; 0 if it was dropped without an answer.
    template <class Transport, class Protocol>
    std::uint64_t accept(Transport transport, Protocol protocol, RoomRequest request, Instant now) {
        BELAY_PRECONDITION(nest_.attached(),
                           "RoomManager::accept: the manager must be attached to a driver first");
        context_.at(now);
        if (is_full()) {
            context_.report_refusal(request, {}, make_error_code(RoomErrc::too_many));
            return 0;
        }
        if constexpr (AddressesFrames<Protocol>) {
            return registry().begin(make<MultiplexedConnection<Registry, Transport, Protocol>>(
                std::move(transport), std::move(protocol), std::move(request)));
        } else {
            auto& client = make<Socket<Transport, Protocol>>(
                std::move(transport), std::move(protocol), std::move(request));
            add_client(client);
            const std::error_code error = why_not_now();
            admit(client, error ? error : why_not(client.request));
            return client.id;
        }
    }
    /// Closes a client.   Returns: whether there was one.
    bool remove(std::uint64_t id) {
        if (RoomClient* const found = find_client(id)) {
            if (found->core.closing()) return false;
            close(*found, {});
            return true;
        }
        const auto found = connections_.find(id);
        if (found == connections_.end() || found->second->closing) return false;
        close(*found->second, {});
        return true;
    }
    [[nodiscard]] RoomClient* find_client(std::uint64_t id) const {
        const auto found = clients_.find(id);
        return found != clients_.end() ? found->second : nullptr;
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
        if (std::exchange(connection.closing, true)) return;
        release_all(connection);
        connection.token_ends = never;
        registry().count(connection);
        connection.close_reason = why;
        connection.wait_ends = after(context_.now, context_.options.check_within);
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
        if (connection.multiplexed->closing) return;
        context_.report_refusal(connection.multiplexed->request, {}, why);
        close(*connection.multiplexed, why);
    }

    [[nodiscard]] std::size_t clients() const noexcept { return clients_.size(); }
    [[nodiscard]] std::vector<RoomClient*> all() const {
        std::vector<RoomClient*> found;
        for (const auto& [id, one] : clients_) found.push_back(one);
        return found;
    }

protected:
    void attach(const Waker& waker) {
        context_.bits = Random{waker.seed()};
        nest_.attach(waker.nested(0));
    }
    ~RoomAdmission() = default;

    [[nodiscard]] Instant deadline() const noexcept {
        return ended_.empty() ? nest_.deadline() : always;
    }
    void turn() { static_cast<void>(nest_.advance(context_.now)); }
    [[nodiscard]] bool empty() const noexcept { return clients_.empty() && connections_.empty(); }
    void close_all(const std::error_code& why) {
        for (const auto& [id, connection] : connections_) close(*connection, why);
        for (RoomClient* const client : all()) close(*client, why);
    }
    /// The client's transport or connection has ended.
    void end(RoomClient& client) {
        const ClientCore::Actions todo = advance(client, ClientCore::Event::ended);
        if (todo.leave) leave(client, todo.was_joined);
    }
    /// Destroys all clients at once, without a close code.
    void end_all() {
        ended_.clear();
        for (RoomClient* const client : all()) {
            clients_.erase(client->id);
            end(*client);
            client->ops->end(*client);
        }
        ended_connections_.clear();
        for (const auto& [id, connection] : std::exchange(connections_, {}))
            connection->ops->end(*connection);
        empty_connections_ = 0;
    }
    void reap() {
        for (RoomClient* const client : std::exchange(ended_, {})) {
            end(*client);
            clients_.erase(client->id);
            std::erase(client->connection->clients, client);
            if (client->connection->multiplexed != nullptr)
                registry().count(*client->connection->multiplexed);
            client->ops->end(*client);
        }
        for (MultiplexedBase* const connection : std::exchange(ended_connections_, {})) {
            connections_.erase(connection->id);
            --empty_connections_;
            connection->ops->end(*connection);
        }
    }

    // ---- for the rooms --------------------------------------------------------------------------

    void fail_author(std::uint64_t author, const std::error_code& why) {
        if (RoomClient* const found = find_client(author)) return fail(*found, why);
        const auto found = connections_.find(author);
        if (found != connections_.end()) fail_connection(*found->second, why);
    }

    TurnContext& context_;
    Authorizer authorizer_;
    ReplyBudget<RoomAdmission> reply_budget_;
    RoomDelivery<RoomAdmission, Document> delivery_;

    [[nodiscard]] Registry& registry() noexcept { return static_cast<Registry&>(*this); }

    // ---- admission ------------------------------------------------------------------------------

    /// Whether a new client is dropped without an answer.
    [[nodiscard]] bool is_full() const noexcept {
        const std::size_t all = clients_.size() + empty_connections_;
        return all >= context_.options.clients_max &&
               all - context_.options.clients_max >= context_.options.waiting_max;
    }
    template <class M, class... A>
    [[nodiscard]] M& make(A&&... args) {
        auto made = nest_.template make<M>(registry(), ++last_id_, std::forward<A>(args)...,
                                           SharedLimits{context_.options, reply_budget_.waiting});
        M& machine = *made;
        machine.self = std::move(made);
        return machine;
    }
    template <class Channel, class Connection>
    [[nodiscard]] Channel& make_channel(Connection& connection, BytesView name,
                                        RoomRequest request) {
        auto made = nest_.template make<Channel>(connection, ++last_id_, name, std::move(request));
        Channel& channel = *made;
        channel.self = std::move(made);
        return channel;
    }
    void add_client(RoomClient& client) {
        clients_.emplace(client.id, &client);
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
            clients_.size() > context_.options.clients_max)
            return RoomErrc::too_many;
        return {};
    }
    /// Why a connection may not have one more client. The first counts instead of the connection.
    [[nodiscard]] std::error_code why_not_another(
        const MultiplexedBase& connection) const noexcept {
        if (!context_.runs()) return RoomErrc::manager_stopped;
        const bool first = connection.clients.empty();
        if ((!first && is_full()) || clients_.size() >= context_.options.clients_max ||
            (!connection.waits && waiting_ >= context_.options.waiting_max))
            return RoomErrc::too_many;
        return {};
    }
    [[nodiscard]] static std::error_code why_not(const RoomRequest& request) noexcept {
        return is_room_id(request.board) ? std::error_code{} : RoomErrc::bad_room_id;
    }
    void ask_authorizer(RoomClient& client) {
        authorizer_.check(client.request, client.check.ask());
        client.waker.touch();
    }
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
        if (admitted) registry().take_grant(client, std::move(*grant));
        if (todo.find_room) return find_room(client);
        if (todo.refresh) send_grant(client);
        if (todo.refresh && client.core.joined() && client.may_edit() && !could_edit)
            registry().request_state(client);
        if (todo.check && !client.core.closing()) ask_authorizer(client);
    }
    /// Notifies the client of its access, if its frames have addresses.
    void send_grant(RoomClient& client) {
        if (client.connection->multiplexed == nullptr) return;
        const part::RoomMessage message{
            Kind::granted, as_bytes(to_string(client.grant.access)), {}};
        delivery_.send_control(*client.connection, client.address,
                               client.ops->write(client, message));
    }
    void find_room(RoomClient& client) {
        std::error_code error;
        RoomBase* const room = registry().find_or_make(client.request.board, error);
        if (room == nullptr) return fail(client, error);
        if (room->core.clients() >= context_.options.clients_per_room_max)
            return fail(client, make_error_code(RoomErrc::too_many));
        client.room = room;
        registry().step(*room, timeline::RoomCore::Event::joined);
        if (room->core.live()) return open(client);
        static_cast<void>(advance(client, ClientCore::Event::room_loading));
        room->waiting.push_back(&client);
    }
    void open(RoomClient& client) {
        const std::string& theirs = client.request.epoch;
        if (!theirs.empty() && theirs != epoch_text(client.room->epoch))
            return fail(client, make_error_code(RoomErrc::history_reset));
        if (advance(client, ClientCore::Event::room_live).open) client.ops->open(client);
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
    /// Takes a client out of its room, and ends its output.
    void release(RoomClient& client, const ClientCore::Actions& todo) {
        if (todo.leave) leave(client, todo.was_joined);
        client.stop_waiting();
        if (todo.drop_check) client.check.drop();
    }
    void release_all(MultiplexedBase& connection) {
        for (RoomClient* const client : connection.clients) {
            release(*client, advance(*client, ClientCore::Event::ended));
            client->waker.touch();
        }
        connection.stop_waiting();
    }
    void leave(RoomClient& client, bool was_joined) {
        MultiplexedBase* const connection = client.connection->multiplexed;
        if (connection != nullptr && was_joined && --connection->joined == 0)
            connection->token_ends = after(context_.now, context_.options.token_within);
        RoomBase* const room = std::exchange(client.room, nullptr);
        if (room == nullptr) return;
        if (std::erase(room->clients, &client) != 0)
            context_.report(RoomEvent::Kind::left, *room, &client);
        std::erase(room->waiting, &client);
        if (room->evicted) return;
        room->awareness.close(client.id, context_.now);
        if (was_joined) registry().replication_.publish_left(*room, client);
        delivery_.queue_awareness(*room);
        registry().step(*room, timeline::RoomCore::Event::left);
    }

    std::vector<RoomClient*> ended_;
    std::vector<MultiplexedBase*> ended_connections_;
    std::map<std::uint64_t, MultiplexedBase*> connections_;
    std::size_t waiting_ = 0;            ///< clients, and connections without any, before admission
    std::size_t empty_connections_ = 0;  ///< connections without clients

private:
    driver::MachineGroup nest_;
    std::map<std::uint64_t, RoomClient*> clients_;
    std::uint64_t last_id_ = 0;
};

}}}  // namespace belay::detail
