// SPDX-License-Identifier: MIT
/// \file belay/room/room_manager.hpp
/// RoomManager: serves documents that several users edit at the same time.
#pragma once

#include <concepts>      // std::constructible_from, std::convertible_to
#include <cstdint>       // std::uint64_t
#include <optional>      // std::optional
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <type_traits>   // std::is_lvalue_reference_v, std::remove_cvref_t
#include <utility>       // std::forward, std::move
#include <variant>       // std::visit
#include <vector>        // std::vector

#include <belay/core/detail/expect_options.hpp>
#include <belay/room/detail/client_closer.hpp>
#include <belay/room/detail/client_sessions.hpp>
#include <belay/room/detail/connection_sessions.hpp>
#include <belay/room/detail/persistence_scheduler.hpp>
#include <belay/room/detail/room_admin.hpp>
#include <belay/room/detail/room_admission.hpp>
#include <belay/room/detail/room_delivery.hpp>
#include <belay/room/detail/room_edits.hpp>
#include <belay/room/detail/room_registry.hpp>
#include <belay/room/detail/room_replication.hpp>
#include <belay/yjs/yjs_document.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

/// The rooms. Their parts call one another, and the modules below: storage, delivery and peers.
/// They call nothing of the clients. RoomManager::run_turn closes those in
/// TurnContext::ended_clients, and lets those of a room that was loaded join it.
///
/// Thread safety: the manager's home thread.
template <class Persistence, class Document>
struct RoomModule {
    RoomModule(TurnContext& context, PersistenceScheduler<Persistence>& storage,
               RoomDelivery<Document>& sends, RoomReplication<Persistence, Document>& peers,
               const Document& empty)
        : scheduler{storage},
          delivery{sends},
          replication{peers},
          answers{context},
          rooms{context, *this, empty},
          edits{context, *this},
          imports{context, *this},
          admin{context, *this} {}
    RoomModule(const RoomModule&) = delete;
    RoomModule& operator=(const RoomModule&) = delete;

    PersistenceScheduler<Persistence>& scheduler;         ///< the storage
    RoomDelivery<Document>& delivery;                     ///< what is sent to clients
    RoomReplication<Persistence, Document>& replication;  ///< the peers: other servers
    AdminAnswers answers;                        ///< accepts and answers the calls on whole rooms
    RoomRegistry<Persistence, Document> rooms;   ///< from the load to the eviction
    RoomEdits<Persistence, Document> edits;      ///< the path of an edit
    RoomImports<Persistence, Document> imports;  ///< adds stored rooms to rooms
    RoomAdmin<Persistence, Document> admin;      ///< the other calls on whole rooms
};

/// The clients: the highest module, which calls all others.
///
/// Thread safety: the manager's home thread.
template <class Persistence, class Authorizer, class Document>
struct ClientModule {
    ClientModule(TurnContext& context, ClientTable& table, Authorizer authorizer,
                 RoomModule<Persistence, Document>& below)
        : rooms{below.rooms},
          edits{below.edits},
          delivery{below.delivery},
          replication{below.replication},
          closer{context, *this, table},
          sessions{context, *this},
          admission{context, *this, std::move(authorizer)},
          connections{context, *this} {}
    ClientModule(const ClientModule&) = delete;
    ClientModule& operator=(const ClientModule&) = delete;

    RoomRegistry<Persistence, Document>& rooms;
    RoomEdits<Persistence, Document>& edits;
    RoomDelivery<Document>& delivery;
    RoomReplication<Persistence, Document>& replication;
    /// Closes clients, and ends them.
    ClientCloser<Persistence, Authorizer, Document> closer;
    /// The messages and timers of clients.
    ClientSessions<Persistence, Authorizer, Document> sessions;
    /// Admits and rejects clients.
    RoomAdmission<Persistence, Authorizer, Document> admission;
    /// The frames and timers of connections.
    ConnectionSessions<Persistence, Authorizer, Document> connections;
};

}  // namespace detail

/// Serves documents that several clients edit at the same time.
///
/// A room is one document and the clients attached to it. The manager loads a room when its first
/// client arrives, and saves it while it changes. It evicts a room after RoomOptions::unload_after
/// without clients and activity. A room that a shared storage may lack in part stays until it is
/// stored again, or until rooms_max is reached: then `on_room_failed` receives not_durable.
///
/// Durability: the manager validates a change and stores it before it broadcasts and applies it. It
/// sends the change to every client that is in the room at that moment. If storing fails, no other
/// client has seen the change. The manager then closes the author's connection, so that the author
/// sends the change again after reconnecting, and reloads the room.
///
/// If the persistence is a FanoutLike, several servers serve the same rooms. Each change is sent to
/// the clients of all servers, and so is awareness. After a failed flush the manager
/// does not reload such a room, because the stored changes arrive from the storage.
///
/// Clients connect over any transport whose message type is Bytes. Clients of one room may use
/// different protocols. The manager closes a client that
/// - violates its protocol or exceeds a limit,
/// - sends nothing, or accepts nothing, for RoomOptions::heartbeat.dead_after,
/// - accepts less than 512 bytes per second while something waits for it, or
/// - holds a Grant that has expired.
///
/// Other clients are not affected. A client also ends when it closes its connection or document, or
/// when the manager closes it.
///
/// A RoomManager is a machine: attach it to a driver, which runs it on one thread, the home thread.
/// Authorizer and persistence must not call it.
///
/// The observer may have these hooks, each of which may leave out the manager:
/// - `on_rejected(auto& rooms, const RoomRejection&)`: a client was rejected, or closed because of
///   an error.
/// - `on_divergence(auto& rooms, const RoomDivergence&)`: a client and its room both have content,
///   and no edit that both have; once for each client.
/// - `on_room_failed(auto& rooms, const RoomFailure&)`: a load, flush, append or save has failed.
/// - `on_room_event(auto& rooms, const RoomEvent&)`: a room was loaded, changed, saved or unloaded;
///   a client joined, left, is throttled, or was denied an edit.
/// - `on_stateless(auto& rooms, const RoomEvent::Stateless&)`: a Hocuspocus client sent a stateless
///   message, or a y-websocket client a frame of an own type.
/// - `on_stopped(auto& rooms, std::error_code)`: stop() has ended, with an error if a room is not
///   saved.
///
/// The hooks run on the home thread, at the end of a turn. They may call every command of the
/// manager, and may destroy it. An exception that a hook throws leaves the `advance` that ran it.
///
/// docs/design.md follows a join and an edit through the files of room/detail/, and has the table
/// of the states of a client. docs/reference/room-clients.md lists the limits.
///
/// Models:        MachineLike.
/// Thread safety: home thread only, also all observers. Your code may call every command in a hook,
///                and in the function of a Completion that the manager answers.
/// Complexity:    O(log n) for each client and room that is due. A change costs its own bytes, and
///                a message for each client of its room. A call is O(log n) if it states nothing
///                else, with the numbers of rooms and clients.
/// Throws:        std::bad_alloc, from each call that is not noexcept; then the manager can only be
///                destroyed. An exception of your code leaves the call or the turn that ran it, if
///                a call states nothing else.
template <class Persistence, class Authorizer, class Observer = NoObserver,
          class Document = YjsDocument>
class RoomManager {
    // Static assertions and no constraints: a compiler's message about a failed constraint would
    // hide the sentences.
    static_assert(PersistenceLike<Persistence> || !AuthorizerLike<Persistence>,
                  "RoomManager: pass the persistence first, then the authorizer");
    static_assert(explain::persistence_like<Persistence>());
    static_assert(explain::authorizer_like<Authorizer>());
    static_assert(explain::document_like<Document>());
    using Phase = detail::RunState::Phase;

public:
    /// Makes a manager that owns its persistence. Pass a named persistence with std::move; it is
    /// never copied. Each room begins with a copy of `empty`. The observer is owned, or a
    /// std::reference_wrapper.
    ///
    /// Pre: options.check() is empty.
    template <class P>
        requires std::constructible_from<Persistence, P>
    RoomManager(P&& persistence, Authorizer authorizer, RoomOptions options = {},
                Observer observer = {}, Document empty = Document{})
        : observer_{std::move(observer)},
          context_{checked(options)},
          storage_{context_, Persistence{std::forward<P>(persistence)}},
          delivery_{context_, table_},
          peers_{context_, storage_},
          room_{context_, storage_, delivery_, peers_, empty},
          clients_{context_, table_, std::move(authorizer), room_} {
        static_assert(!std::is_lvalue_reference_v<P>,
                      "RoomManager: the persistence must be moved in: std::move(persistence)");
        static_assert(detail::explain_observer<Hooks, Observer>());
        static_assert(detail::FanoutIsSound<Persistence>,
                      "RoomManager: a persistence with begin(id, epoch, again), publish or "
                      "subscribe must be a belay::FanoutLike, "
                      "because otherwise its servers would not exchange changes");
        context_.wanted.events = detail::has_hook_of<typename Hooks::Event, Observer>;
        context_.wanted.stateless = detail::has_hook_of<typename Hooks::Stateless, Observer>;
    }
    /// With the usual options.
    template <class P, detail::ObserverArgument<Observer> O>
        requires(std::constructible_from<Persistence, P> && !std::convertible_to<O, RoomOptions>)
    RoomManager(P&& persistence, Authorizer authorizer, O&& observer)
        : RoomManager{std::forward<P>(persistence), std::move(authorizer), RoomOptions{},
                      std::forward<O>(observer)} {}
    RoomManager(const RoomManager&) = delete;
    RoomManager& operator=(const RoomManager&) = delete;
    /// Ends without saving anything, and without a close code for any client. Everything that
    /// clients have seen was durable when they saw it.
    ~RoomManager() { clients_.closer.end_all(); }

    // ---- for the driver -------------------------------------------------------------------------

    void attach(Waker waker) {
        context_.waker = std::move(waker);
        context_.bits = Random{context_.waker.seed()};
        table_.attach(context_.waker.nested(0));
        peers_.attach();
        room_.rooms.attach(context_.waker.nested(1));
        storage_.attach(context_.waker);
        room_.admin.attach(context_.waker.nested(2));
    }
    [[nodiscard]] Instant deadline() const noexcept {
        if (!context_.pending_events.empty() || !context_.ended_clients.empty()) return always;
        if (delivery_.has_awareness()) return always;
        if (context_.run.phase == Phase::stopping && all_done()) return always;
        const Instant rooms = detail::smaller(room_.rooms.deadline(), room_.admin.deadline());
        const Instant clients = detail::smaller(table_.deadline(), clients_.admission.deadline());
        return detail::smaller(detail::smaller(clients, rooms),
                               detail::smaller(storage_.deadline(), context_.run.stop_ends));
    }
    void advance(Instant now) {
        BELAY_PRECONDITION(!lifetime_.in_turn(), "RoomManager::advance: a hook must not call it");
        const driver::TurnGuard guard{lifetime_};
        run_turn(now);
        deliver_events(guard);
    }

    // ---- commands -------------------------------------------------------------------------------

    /// Starts accepting clients, and starts the periodic sweep of idle rooms. Between `stop()` and
    /// `on_stopped`, the call does nothing: call `start()` in that hook, or later.   Pre: attached.
    /// Complexity: O(1).
    void start() {
        if (context_.run.phase != Phase::running && context_.run.phase != Phase::stopping) {
            context_.at_call();
            context_.run.started = context_.now;
            context_.run.phase = Phase::running;
        }
        context_.waker.touch();
    }
    /// Closes all clients with code 1001, makes all changes durable, and saves all rooms. Then it
    /// calls `on_stopped`, after RoomOptions::stop_within at the latest. If something could not be
    /// saved, the hook receives the error. It is not_durable if a shared storage may lack changes
    /// that clients have seen. A second call has no effect.
    /// Complexity: O(n log n) for n rooms and clients.
    void stop() {
        if (context_.run.phase != Phase::stopping && context_.run.phase != Phase::stopped)
            begin_stop();
        context_.waker.touch();
    }

    /// Takes over a client from a listener.
    ///
    /// The client is admitted when the authorizer has granted access and its room is loaded.
    /// Otherwise its upgrade is answered, and it is closed with the code that gives the reason. If
    /// the frames of the protocol have addresses (HocuspocusProtocol), `request.room_id`, `token`
    /// and `epoch` are ignored. The upgrade is then answered at once, and each document is
    /// requested in frames.
    ///
    /// Returns: the id of the client. It returns no id if RoomOptions::clients_max and waiting_max
    /// more are there already; the client is then dropped without an answer.
    /// Errors: none. `on_rejected` receives the reason of a rejection.   Pre: attached.
    /// Throws: std::bad_alloc; what the authorizer's check throws. The client is then rejected, as
    /// if the authorizer had dropped its Completion.
    /// Complexity: O(log n), and that of the authorizer's check.
    template <class Transport, class Protocol>
    RoomClientId accept(Transport transport, Protocol protocol, RoomRequest request) {
        static_assert(explain::transport_like<Transport>());
        static_assert(explain::room_protocol_like<Protocol>());
        static_assert(std::is_same_v<typename Transport::message_type, Bytes>,
                      "RoomManager: the transport must carry belay::Bytes");
        context_.at_call();
        return {clients_.connections.accept(std::move(transport), std::move(protocol),
                                            std::move(request))};
    }
    /// Closes a client with code 1000. If its connection has several documents, all of them end,
    /// because they share the id.   Returns: whether there was one that was not closed yet.
    /// Errors: none.   Complexity: O(log n), and the documents of the connection.
    bool remove_client(RoomClientId client) {
        context_.at_call();
        const bool found = clients_.closer.remove(client.value);
        context_.waker.touch();
        return found;
    }
    /// Sends a frame unchanged to all clients of a room except `exclude`. If the protocol has
    /// addresses, the frame follows the client's address. The document does not change. A client
    /// that is too slow for the frame is closed.
    ///
    /// Returns: whether the room is in memory.   Errors: none.
    /// Complexity: a message for each client of the room.
    bool broadcast(std::string_view room_id, BytesView frame, RoomClientId exclude = {}) {
        context_.at_call();
        const auto* const room = room_.rooms.find(room_id);
        if (room != nullptr) delivery_.broadcast(*room, frame, exclude.value);
        end_call();
        return room != nullptr;
    }
    /// Sends a text that is no part of the document to all clients of a room except `exclude`. Only
    /// clients of a protocol with stateless messages (HocuspocusProtocol) receive it, if they are
    /// on this server. A client that is too slow for the frame is closed.
    ///
    /// Returns: whether the room is in memory.   Errors: none.   Pre: `payload` is UTF-8.
    /// Complexity: a message for each client of the room.
    // NOLINTNEXTLINE(bugprone-easily-swappable-parameters): in the order of broadcast()
    bool broadcast_stateless(std::string_view room_id, std::string_view payload,
                             RoomClientId exclude = {}) {
        context_.at_call();
        const auto* const room = room_.rooms.find(room_id);
        const part::RoomMessage message{part::RoomMessage::Kind::stateless, as_bytes(payload), {}};
        if (room != nullptr) delivery_.broadcast(*room, message, exclude.value);
        end_call();
        return room != nullptr;
    }
    /// Changes a document, like the edit of a client. The change is made durable first, and then
    /// sent to all clients except `source`. If it does not become durable, `source` is closed, like
    /// the author of an edit.
    ///
    /// Errors: unknown_room, not_loaded (see get_or_create_room); those of the document;
    /// not_durable; update_too_large, above RoomOptions::unflushed_bytes_max. There is no
    /// notification when the change is durable. If it does not become durable, `on_room_failed` is
    /// called.
    /// Complexity: that of checking and appending the update.
    [[nodiscard]] std::error_code apply_update(std::string_view room_id, BytesView update,
                                               RoomClientId source = {}) {
        context_.at_call();
        auto* const room = room_.rooms.find(room_id);
        if (room == nullptr) return RoomErrc::unknown_room;
        const std::error_code error = room_.edits.update(*room, update, source.value);
        context_.waker.touch();
        return error;
    }
    /// Returns the updates that make the document of a room; none if the room is not in memory, or
    /// not loaded. Changes that are not durable yet are not in it.
    /// Errors: none.   Complexity: that of merging and copying the document.
    [[nodiscard]] std::optional<std::vector<Bytes>> get_state(std::string_view room_id) {
        context_.at_call();
        auto* const room = room_.rooms.find(room_id);
        if (room == nullptr || !room->core.live()) return std::nullopt;
        const std::span<const Bytes> parts = room->document.snapshot();
        return std::vector<Bytes>(parts.begin(), parts.end());
    }
    /// Begins to load a room that is not in memory, and returns its state. It creates nothing in
    /// the storage: a room without a history begins with its first change. The call counts as
    /// activity, so the room stays for RoomOptions::unload_after. `on_room_event` reports `loaded`.
    /// Errors: bad_room_id; manager_stopped, also before start(); too_many, if rooms_max rooms are
    /// in memory and none can be evicted. If the load fails later, `on_room_failed` is called.
    [[nodiscard]] Result<RoomStats> get_or_create_room(std::string_view room_id) {
        std::error_code error;
        context_.at_call();
        auto* const room = room_.rooms.find_or_make(room_id, error);
        if (room == nullptr) return error;
        room_.rooms.step(*room, timeline::RoomCore::Event::used);
        context_.waker.touch();
        return *stats(room_id);
    }
    /// Asks the authorizer again for all clients of a room, so that changed or revoked rights take
    /// effect. An empty id stands for all rooms. At most a tenth of RoomOptions::waiting_max
    /// clients are checked at a time. A client that is being checked is checked once more.
    /// Returns: how many clients are checked again.   Errors: none.
    /// Complexity: O(n log n) for the n clients of all rooms.
    std::size_t reauthorize(std::string_view room_id) {
        context_.at_call();
        const std::size_t checked = clients_.admission.reauthorize(room_id);
        context_.waker.touch();
        return checked;
    }

    // ---- rooms as a whole -----------------------------------------------------------------------

    // Each call answers at the end of a turn, on the home thread, and its function may call every
    // command. It answers manager_stopped if the manager does not run, too_many above
    // 100 pending calls, bad_room_id, and not_loaded if the document throws in a turn.

    /// Erases a room and all that is stored of it. The room need not exist. Its clients are closed
    /// with 4410. A client that comes before the end is stored waits, and then finds nothing.
    /// Errors: those of the storage; too_many, if the erases and resets of 10,000 rooms have
    /// failed, and no flush has stored them. If the storage rejected the call, or it is
    /// too_many, nothing has changed. If the flush failed, a load shows what is stored.
    /// Complexity: O(log n), and that of closing the clients of the room.
    void erase(std::string_view room_id, Completion<PersistenceError> done) {
        context_.at_call();
        room_.admin.erase(std::string{room_id}, std::move(done));
        end_call();
    }
    /// Begins a room's history anew, empty, with a new epoch. The room need not exist. Its clients
    /// are closed with 4409. Clients that were not admitted yet are closed with 1013, and connect
    /// again.
    /// Errors, complexity: as erase.
    void reset(std::string_view room_id, Completion<PersistenceError> done) {
        context_.at_call();
        room_.admin.reset(std::string{room_id}, std::move(done));
        end_call();
    }
    /// Lists stored rooms after `after`, in the order of their bytes. It lists at most `count`
    /// rooms, which must be 1 to 1,000. A room is listed until its erase is stored.
    /// Errors: invalid_argument; no_answer; those of the storage.
    /// Complexity: that of the storage's list.
    void list(std::string_view after, std::size_t count, Completion<part::ListedRooms> done) {
        context_.at_call();
        room_.admin.list(after, count, std::move(done));
        context_.waker.touch();
    }
    /// Exports a room as it is stored, with all of it in `snapshot`; nothing if there is no such
    /// room. If changes may be missing, `loss` is set, except for a room in memory. The call does
    /// not keep a room in memory that was not there. It waits until an earlier erase or reset is
    /// stored, and fails with it.
    /// Errors: no_answer; those of the storage; malformed_update.
    /// Complexity: that of merging the document.
    void export_room(std::string_view room_id, Completion<part::LoadedRoom> done) {
        context_.at_call();
        room_.admin.export_room(std::string{room_id}, std::move(done));
        context_.waker.touch();
    }
    /// Adds updates to a room, like edits of the server, and loads the room first. All updates are
    /// checked on a copy of the document before any of them is stored. A room without a history
    /// begins with the epoch of `content`, unless that is `no_id`. An answer without an error means
    /// that all updates are durable. If a shared storage may have lost changes of the document, the
    /// answer waits until the two are compared. After an error, each update is durable as a whole
    /// or not at all.
    /// Errors: those of the document; update_too_large, above unflushed_bytes_max at once;
    /// not_loaded, room_erased or history_reset, if that happens meanwhile; not_durable; those of
    /// the flush. If `content.loss` is set, it is the error, and nothing is imported.
    /// Complexity: that of copying the document, and of checking the updates.
    void import_room(std::string_view room_id, StoredRoom content,
                     Completion<PersistenceError> done) {
        context_.at_call();
        room_.imports.import_room(std::string{room_id}, std::move(content), std::move(done));
        context_.waker.touch();
    }

    // ---- observers ------------------------------------------------------------------------------

    /// Returns the current state of a room; none if the room is not in memory.   Errors: none.
    [[nodiscard]] std::optional<RoomStats> stats(std::string_view room_id) const {
        const auto* const room = room_.rooms.find(room_id);
        if (room == nullptr) return std::nullopt;
        RoomStats stats{.clients = room->core.clients(),
                        .last_activity = room->core.last_activity(),
                        .bytes = room->document.bytes(),
                        .pending = room->core.unflushed(),
                        .loaded = room->core.live(),
                        .dirty = room->core.dirty(),
                        .epoch = detail::epoch_text(room->history.epoch)};
        if constexpr (requires { room->document.status().gaps; })
            stats.gaps = room->document.status().gaps;
        return stats;
    }
    /// Returns what the manager has done since it was made.
    [[nodiscard]] const RoomCounters& counters() const noexcept { return context_.counters; }
    /// Returns the number of rooms in memory.
    [[nodiscard]] std::size_t rooms() const noexcept { return room_.rooms.size(); }
    /// Returns the number of clients, including those that are not admitted yet.
    [[nodiscard]] std::size_t clients() const noexcept { return table_.client_count(); }
    /// Returns the persistence that the manager owns.
    [[nodiscard]] Persistence& persistence() noexcept { return storage_.persistence().inner(); }
    /// Returns the observer that the manager owns, or refers to.
    [[nodiscard]] auto& observer() noexcept { return detail::unwrap(observer_); }

private:
    friend struct detail::LifetimeFlagOf;
    using Hooks = detail::RoomHooks<RoomManager>;

    // ---- the flow of a turn ---------------------------------------------------------------------

    /// Runs a turn. The observer is notified after it, when all parts are consistent.
    void run_turn(Instant now) {
        context_.at(now);
        // Clients: answers of the authorizer, frames and timers. The storage receives their edits.
        table_.turn(context_.now);
        clients_.admission.begin_rechecks();
        // A load that was answered after a flush shows whether the storage still has its changes.
        if (storage_.has_answer()) take_flush();
        // Rooms: loads and saves that were answered, changes of other servers, and timers. The
        // clients of a room that was loaded join it.
        const auto loaded = room_.rooms.turn();
        clients_.closer.close_ended();
        for (auto* const room : loaded) {
            room_.rooms.process(*room, [&] {
                if (!room->evicted) clients_.sessions.on_loaded(*room);
            });
        }
        // Lists and exports that were answered.
        room_.admin.turn();
        // One flush for all appended edits. Durable edits are sent to the clients and applied.
        flush();
        // Clients whose edits are lost, whose room has ended, or that cannot receive.
        clients_.closer.close_ended();
        room_.rooms.begin_loads_and_saves();
        delivery_.send_awareness();
        clients_.closer.close_ended();
        // Nothing refers to the clients and the rooms that have ended any more.
        clients_.closer.reap();
        finish_stop();
        room_.rooms.destroy_evicted();
        context_.errors.rethrow();
    }
    /// A command may have ended clients.
    void end_call() {
        clients_.closer.close_ended();
        context_.waker.touch();
    }
    /// Hands on what a flush has stored, and what it has not.
    void take_flush() {
        detail::EndedFlush* const ended = storage_.take_flush();
        if (ended == nullptr) return;
        room_.edits.take(*ended);
        room_.admin.take(*ended);
    }
    /// Takes a flush that has ended, and begins the next one, until there is something to wait for.
    void flush() {
        do {
            take_flush();
            storage_.begin_flush();
        } while (storage_.has_answer());
    }
    void begin_stop() {
        context_.at_call();
        context_.run.phase = Phase::stopping;
        context_.run.stop_error.clear();
        context_.run.stop_ends = after(context_.now, context_.options.stop_within);
        clients_.closer.close_all(make_error_code(RoomErrc::manager_stopped));
        room_.rooms.stop_all();
    }
    void finish_stop() {
        if (context_.run.phase != Phase::stopping) return;
        if (context_.run.stop_ends <= context_.now) {
            // A client that accepts no close code leaves nothing unsaved.
            if (room_.rooms.size() != 0)
                context_.run.stop_error = make_error_code(RoomErrc::no_answer);
            clients_.closer.end_all();
            room_.rooms.stop_all(make_error_code(RoomErrc::no_answer));
            room_.admin.end_all();
        }
        if (!all_done()) return;
        context_.pending_events.push_back(context_.run.stop_error);
        context_.run.phase = Phase::stopped;
        context_.run.stop_ends = never;
    }
    [[nodiscard]] bool all_done() const noexcept {
        return room_.rooms.size() == 0 && table_.empty() && room_.answers.empty();
    }
    // ---- options and events ---------------------------------------------------------------------

    [[nodiscard]] static const RoomOptions& checked(const RoomOptions& o) {
        const std::string_view wrong = o.check();
        // The sentence names one option. The other ones are right.
        if (wrong.ends_with("must be > 0") || wrong.ends_with("must be > 0ns"))
            detail::expect_options(wrong, {});
        detail::expect_options(
            wrong, {{"heartbeat.every", o.heartbeat.every},
                    {"heartbeat.dead_after", o.heartbeat.dead_after},
                    {"close_codes.unauthorized", std::uint64_t(o.close_codes.unauthorized)},
                    {"close_codes.forbidden", std::uint64_t(o.close_codes.forbidden)}});
        return o;
    }
    void deliver_events(const driver::TurnGuard& guard) {
        // A hook may cause further notifications. They wait for the next turn.
        for (std::size_t left = context_.pending_events.size(); left != 0; --left) {
            detail::PendingEvent event = std::move(context_.pending_events.front());
            context_.pending_events.pop_front();
            std::visit([this](auto& what) { this->deliver(what); }, event);
            if (guard.gone()) return;
        }
    }
    void deliver(const RoomRejection& what) {
        detail::notify<typename Hooks::Rejected>(observer_, *this, what);
    }
    void deliver(const RoomDivergence& what) {
        detail::notify<typename Hooks::Divergence>(observer_, *this, what);
    }
    void deliver(const RoomFailure& what) {
        detail::notify<typename Hooks::Failed>(observer_, *this, what);
    }
    void deliver(const RoomEvent& what) {
        detail::notify<typename Hooks::Event>(observer_, *this, what);
    }
    void deliver(const RoomEvent::Stateless& what) {
        detail::notify<typename Hooks::Stateless>(observer_, *this, what);
    }
    void deliver(const std::error_code& what) {
        detail::notify<typename Hooks::Stopped>(observer_, *this, std::error_code{what});
    }

    template <class V>
    void deliver(detail::PendingAnswer<V>& what) {
        what.done(std::move(what.value));
    }

    [[no_unique_address]] Observer observer_;
    driver::LifetimeFlag lifetime_;
    detail::TurnContext context_;

    // The modules, the lowest first. A module refers to lower ones only.
    detail::ClientTable table_{};  // the connections and the clients
    detail::PersistenceScheduler<Persistence> storage_;
    detail::RoomDelivery<Document> delivery_;
    detail::RoomReplication<Persistence, Document> peers_;
    detail::RoomModule<Persistence, Document> room_;
    detail::ClientModule<Persistence, Authorizer, Document> clients_;
};

template <class P, class A>
RoomManager(P&&, A) -> RoomManager<std::remove_cvref_t<P>, A>;
template <class P, class A>
RoomManager(P&&, A, RoomOptions) -> RoomManager<std::remove_cvref_t<P>, A>;
template <class P, class A, class O>
    requires(!std::convertible_to<O, RoomOptions>)
RoomManager(P&&, A, O) -> RoomManager<std::remove_cvref_t<P>, A, O>;
template <class P, class A, class O>
RoomManager(P&&, A, RoomOptions, O) -> RoomManager<std::remove_cvref_t<P>, A, O>;
template <class P, class A, class O, class D>
RoomManager(P&&, A, RoomOptions, O, D) -> RoomManager<std::remove_cvref_t<P>, A, O, D>;

}}  // namespace belay
