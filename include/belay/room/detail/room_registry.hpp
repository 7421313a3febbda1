// SPDX-License-Identifier: MIT
/// \file belay/room/detail/room_registry.hpp
/// RoomRegistry: the rooms of a RoomManager: finds, loads, saves and evicts them.
#pragma once

#include <algorithm>     // std::any_of
#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint32_t
#include <functional>    // std::less
#include <map>           // std::map
#include <optional>      // std::optional
#include <set>           // std::set
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <tuple>         // std::get, std::tuple
#include <utility>       // std::as_const, std::exchange, std::move
#include <vector>        // std::vector

#include <belay/core/assert.hpp>
#include <belay/core/machine_group.hpp>
#include <belay/room/detail/room_replication.hpp>
#include <belay/room/detail/turn_context.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The rooms of a manager, by their ids: from the load to the eviction. Their cores (RoomCore)
/// decide; this part does what they return.
///
/// This part calls
/// - `delivery`: `acknowledge`, `forget`, `queue_awareness` and `send_lifts`, to send,
/// - `scheduler`: `begin_load`, `begin_loads`, `begin_requested_save`, `begin_save`,
///   `end_requested_save`, `forget`, `queue_save`, `repeat_requests`, `take_load`,
///   `take_next_save`, `take_requests`, `take_save` and `takes_request`, to load and save,
/// - `edits`: `merge` and `receive`, for the edits of other servers,
/// - `replication`: `on_created`, `on_evicted`, `on_held_back`, `on_loaded`, `on_saved`,
///   `publish_left`, `publish_state` and `take_parts`, for other servers,
/// - `admin`: `awaits` and `wait_for_history_change`, for erases and resets,
/// - `imports`: `answer_known`, `fail_all`, `on_compared` and `on_loaded`, for the imports of a
///   room.
///
/// Thread safety: home thread only.
template <class Persistence, class Document>
class RoomRegistry {
    using Replication = RoomReplication<Persistence, Document>;
    using Event = timeline::RoomCore::Event;
    using Evictable = timeline::RoomCore::Evictable;
    using Machine = RoomMachine<RoomRegistry, Document>;

public:
    using Room = RoomState<Document>;

    RoomRegistry(TurnContext& context, RoomModule<Persistence, Document>& parts,
                 const Document& empty)
        : context_{context}, parts_{parts}, empty_{empty} {}
    RoomRegistry(const RoomRegistry&) = delete;
    RoomRegistry& operator=(const RoomRegistry&) = delete;

    // ---- for the manager ------------------------------------------------------------------------

    void attach(Waker waker) { machines_.attach(std::move(waker)); }
    [[nodiscard]] Instant deadline() const noexcept {
        return lists_.evicted.empty() ? machines_.deadline() : always;
    }
    /// Runs the turns of the rooms.   Returns: those that were loaded, also again.
    [[nodiscard]] std::vector<Room*> turn() {
        static_cast<void>(machines_.advance(context_.now));
        return std::exchange(lists_.loaded, {});
    }
    /// Begins the loads and saves that are queued, and those that the storage requests.
    void begin_loads_and_saves() {
        // It copies the empty document, which may throw. The next turn tries it again.
        if (!context_.errors.attempt([&] { save_requested(); })) parts_.scheduler.repeat_requests();
        parts_.scheduler.begin_loads();
        while (RoomBase* const room = parts_.scheduler.take_next_save())
            process(*room, [&] {
                parts_.scheduler.begin_save(*room, static_cast<Room&>(*room).document.snapshot());
            });
    }
    /// Destroys the rooms that were evicted in this turn.
    void destroy_evicted() {
        if (lists_.evicted.empty()) return;
        parts_.delivery.forget();
        lists_.evicted.clear();
    }
    /// Saves and evicts all rooms. With `unsaved`, evicts them at once, for that reason.
    void stop_all(const std::error_code& unsaved = {}) {
        // A room that is evicted leaves the map.
        for (auto next = rooms_.begin(); next != rooms_.end();)
            stop((next++)->second->room, unsaved);
    }
    /// Returns null if there are too many rooms, or if the manager does not run. A new room counts
    /// for the user of `client`, in whose turn it is loaded.
    Room* find_or_make(std::string_view room_id, std::error_code& error, const RoomClient& client) {
        return find_or_make(room_id, error,
                            Opener{client.rights.account, client.rights.account->of_user()});
    }
    /// Finds or makes a room for a call of the server. The room counts for no user.
    /// Returns: null if there are too many rooms, or if the manager does not run.
    Room* find_or_make(std::string_view room_id, std::error_code& error) {
        return find_or_make(room_id, error, Opener{{}, context_.accounts.server()});
    }
    [[nodiscard]] Room* find(std::string_view room_id) const {
        const auto found = rooms_.find(room_id);
        return found != rooms_.end() ? &found->second->room : nullptr;
    }
    [[nodiscard]] std::size_t size() const noexcept { return rooms_.size(); }

    // ---- for the parts --------------------------------------------------------------------------

    [[nodiscard]] const Document& empty_document() const noexcept { return empty_; }
    /// Processes an event of a room, and carries out what its core decides.
    void step(RoomBase& base, Event event) {
        if (base.evicted) return;
        base.core.hold(base.replication && base.replication->loss.is_possible());
        Turn turn{context_.now, context_.bits};
        const timeline::RoomCore::Actions todo = base.core.step(event, turn);
        auto& room = static_cast<Room&>(base);
        if (todo.load) room.reload.schedule(context_.now);
        if (todo.save) {
            if (std::exchange(room.notifications.change_waits, false))
                context_.report(RoomEvent::Kind::changed, room);
            parts_.scheduler.queue_save(room);
        }
        // Only a room that ends closes its clients.
        if (todo.evict) {
            std::error_code why;  // none if it was idle
            if (!context_.runs())
                why = RoomErrc::manager_stopped;
            else if (todo.close_clients)
                why = RoomErrc::not_loaded;
            auto joined = evict(room, why);
            if (todo.close_clients)
                each_of(room, std::move(joined), [&](const RoomClient& client) {
                    context_.ended_clients.push_back({client.id, RoomErrc::not_loaded});
                });
        }
        if (!room.evicted) keep_held(room), note_idle(room);
        room.waker.touch();
    }
    /// Takes a client out of its room.
    void leave(RoomClient& client, bool was_joined) {
        RoomBase& room = *std::exchange(client.room, nullptr);
        if (std::erase(room.clients, &client) != 0)
            context_.report(RoomEvent::Kind::left, room, &client);
        std::erase(room.after_load.clients, &client);
        if (room.evicted) return;
        room.awareness.close(client.id, context_.now);
        if (was_joined) parts_.replication.publish_left(room, client);
        parts_.delivery.queue_awareness(room);
        step(room, Event::left);
    }
    /// Ends a history: closes the clients that have seen it, later in the turn, and drops changes
    /// that are not stored.   Complexity: O(clients of the room).
    void end_history(Room& room, const std::error_code& why) {
        std::vector<EndedClient> ended;
        each_of(room, evict(room, why), [&](const RoomClient& client) {
            // Only clients that have seen the old history get the code for a reset.
            const bool has_seen = why == RoomErrc::room_erased || client.core.joined();
            ended.push_back({client.id, has_seen ? why : RoomErrc::not_loaded, {}, false});
        });
        // Before the other reasons of this turn: a client that may try again later would bring back
        // what has ended.
        std::vector<EndedClient>& all = context_.ended_clients;
        all.insert(all.begin(), ended.begin(), ended.end());
    }
    // ---- for the machine group ------------------------------------------------------------------

    /// A room's turn.
    void run(Room& room) {
        process(room, [&] { run_room(room); });
    }

    /// Runs `f`, which changes a room. If it throws, the room and its clients are ended: they
    /// connect again, and the room is loaded as it is stored.
    template <class F>
    void process(RoomBase& base, F&& f) {
        const auto change = [&] {
            f();
            // A save that has begun, for example, keeps the room.
            if (!base.evicted) note_idle(static_cast<Room&>(base));
        };
        context_.errors.contain(change, [&] {
            if (!base.evicted) end_history(static_cast<Room&>(base), RoomErrc::not_loaded);
        });
    }

private:
    /// Lists of rooms.
    /// - Those that were loaded in this turn, whose clients do not know it yet.
    /// - Those that are destroyed at the end of the turn.
    /// - Those that would be destroyed if they were not held, the longest first.
    /// - Those that can be evicted: first the saved ones, then those whose saves fail, and then
    ///   those whose save has not begun, the longest idle first.
    struct Lists {
        std::multimap<std::string, driver::GroupedMachine<Machine>, std::less<>> evicted{};
        std::vector<Room*> loaded{};
        std::vector<Room*> held{};
        std::set<Account::IdleRoom> idle{};
    };

    /// A room is opened by a user, by a call of the server, or for a save that the storage
    /// requests.
    struct Opener {
        Ref<RoomAccount> user{};  ///< for which a new room counts; null: for none
        Ref<Account> turns{};     ///< in whose turns it is loaded; null: for a save
    };
    Room* find_or_make(std::string_view room_id, std::error_code& error, const Opener& by) {
        if (Room* const room = find(room_id)) {
            if (room->calls.load_waits()) parts_.scheduler.begin_load(*room, by.turns);
            // The user's edits may cause later loads of a room that the server opened.
            Ref<Account>& later = room->calls.loads_for;
            if (!later || (by.user && later.get() == context_.accounts.server().get()))
                later = by.turns;
            return room;
        }
        if (!is_room_id(room_id))
            error = RoomErrc::bad_room_id;
        else if (!context_.runs())
            error = RoomErrc::manager_stopped;
        else if (by.user &&
                 !exceeded_limit(*by.user, &Holdings::rooms, 1, context_.options).empty() &&
                 !evict_idle(by.user->user.idle_rooms, RoomErrc::too_many_of_user))
            error = RoomErrc::too_many_of_user;
        else if (rooms_.size() >= context_.options.rooms_max &&
                 !evict_idle(lists_.idle, RoomErrc::too_many) && !evict_held())
            error = RoomErrc::too_many;
        if (error) return nullptr;
        auto made =
            machines_.template make<Machine>(*this, std::string{room_id}, empty_,
                                             context_.run.started, context_.options, context_.now);
        Room& room = made->room;
        room.opened = Holding{by.user, &Holdings::rooms, 1};
        room.calls.loads_for = by.turns;
        parts_.replication.on_created(room);
        rooms_.emplace(room.id, std::move(made));
        if (!parts_.admin.wait_for_history_change(room.id))
            parts_.scheduler.begin_load(room, by.turns);
        return &room;
    }
    void save_requested() {
        for (const std::string& id : parts_.scheduler.take_requests()) {
            if (!parts_.scheduler.takes_request()) return;
            if (parts_.admin.awaits(id) || !save_requested(id)) continue;
            parts_.scheduler.begin_requested_save(id);
            // A save that has failed waits for its retry, which the request does not hasten.
            const Room* const room = find(id);
            if (room == nullptr || (room->core.live() && !room->core.saving()))
                parts_.scheduler.end_requested_save(id);
        }
    }
    /// Saves a room at once, because the storage needs the space of its changes.
    /// Returns: false if the room cannot be in memory, or has no history.
    [[nodiscard]] bool save_requested(const std::string& room_id) {
        std::error_code error;
        // Not in the turns of calls: loads of calls that hang would keep the storage full.
        Room* const room = can_add_room() ? find_or_make(room_id, error, Opener{}) : find(room_id);
        if (room == nullptr) return false;
        if (!room->core.live())
            room->after_load.save = true;
        else if (room->history.epoch == no_id)
            return false;
        else
            step(*room, Event::save_requested);
        return true;
    }
    void run_room(Room& room) {
        if (room.evicted) return;
        BELAY_INVARIANT(room.core.clients() == room.clients.size() + room.after_load.clients.size(),
                        "RoomRegistry::run: the core must count the clients of the room");
        BELAY_INVARIANT(room.core.unflushed() == room.pending.size(),
                        "RoomRegistry::run: the core must count the pending changes of the room");
        PersistenceError error;
        std::optional<StoredRoom> found;
        if (take_due(room.reload.at, context_.now) &&
            !parts_.admin.wait_for_history_change(room.id))
            parts_.scheduler.begin_load(room);
        if (parts_.scheduler.take_load(room, error, found)) on_load(room, error, found);
        if (!room.evicted && parts_.scheduler.take_save(room, error)) {
            // The stored snapshot has more: the save has succeeded.
            const bool stale = error.code == RoomErrc::stale_snapshot;
            if (stale) error = {};
            if (!error) parts_.replication.on_saved(room, stale);
            if (!error) context_.report(RoomEvent::Kind::saved, room);
            on_save(room, error);
        }
        if (!room.evicted) parts_.edits.receive(room);
        if (room.evicted) return;
        if (room.replication && room.replication->loss.take_held_statuses()) acknowledge(room);
        room.awareness.expire(context_.now);
        using Lift = RoomAwareness::Lift;
        const auto returned = [&] {
            return std::any_of(
                room.clients.begin(), room.clients.end(),
                [](const RoomClient* client) { return client->backlog.awareness.returned; });
        };
        if (const Lift lifted = room.awareness.lift(context_.now, returned); lifted != Lift::none) {
            if (lifted == Lift::all) parts_.delivery.send_lifts(room);
            for (RoomClient* const client : room.clients)
                parts_.replication.publish_state(room, *client);
        }
        parts_.delivery.queue_awareness(room);
        step(room, Event::tick);
    }
    /// A shared storage has all changes of a room: answers those who wait for that.
    void acknowledge(Room& room) {
        parts_.imports.answer_known(room, {});
        for (RoomClient* const client : room.clients) {
            const std::uint32_t held = std::exchange(client->backlog.statuses_held, 0);
            if (held != 0) parts_.delivery.acknowledge(*client, held);
        }
    }
    /// Fills the document of a room from what is stored.   Returns: whether it is a document.
    [[nodiscard]] bool take_stored(Room& room, std::optional<StoredRoom>& found) {
        parts_.delivery.forget(room);
        room.document = Document{empty_};
        room.history.epoch = no_id;
        room.history.position = 0;
        if (!found) return true;
        room.history.epoch = found->epoch;
        room.history.position = found->position;
        return !parts_.replication.take_parts(room.id, room.document, found);
    }
    /// Returns the event of a load with changes that no snapshot covers, if it must cause a save.
    /// In a shared storage, they are mostly of a server that saves them, and each server that opens
    /// the room would save it once more. If many of them are left, their server has probably ended.
    [[nodiscard]] static std::optional<Event> uncovered_of(
        const std::optional<StoredRoom>& found) noexcept {
        if (!found || found->updates.empty()) return std::nullopt;
        if (Replication::is_single_server) return Event::uncovered;
        std::size_t uncovered = 0;
        std::size_t most = 64 << 10;
        for (const Bytes& update : found->updates) uncovered += update.size() + 64;  // its entry
        for (const Bytes& part : found->snapshot) most += part.size();
        return uncovered > most ? std::optional{Event::loaded_uncovered} : std::nullopt;
    }
    void on_load(Room& room, PersistenceError& error, std::optional<StoredRoom>& found) {
        if (room.core.live()) {
            parts_.edits.merge(room, error, found);
            return parts_.imports.on_compared(room, error);
        }
        const std::optional<Event> uncovered = uncovered_of(found);
        if (!error && !take_stored(room, found)) {
            error = {RoomErrc::malformed_update, {}, "the stored data is not a document"};
            context_.report_failure(room.id, error);
        }
        if (error) {
            parts_.imports.fail_all(room, error);
            return step(room, Event::load_failed);
        }
        if (!std::exchange(room.notifications.loaded, true))
            context_.report(RoomEvent::Kind::loaded, room);
        step(room, Event::loaded);
        if (room.evicted) return;
        if (uncovered) step(room, *uncovered);
        // A history that was erased meanwhile has nothing to save.
        if (std::exchange(room.after_load.save, false) && room.history.epoch != no_id)
            step(room, Event::save_requested);
        // A save that has failed waits for its retry.
        if (!room.evicted && !room.core.saving()) parts_.scheduler.end_requested_save(room.id);
        parts_.replication.on_loaded(room, uncovered == Event::loaded_uncovered);
        lists_.loaded.push_back(&room);
        parts_.imports.on_loaded(room);
    }
    /// A save has ended, with or without an error.
    void on_save(Room& room, const PersistenceError& error) {
        room.calls.save_error = error.code;
        if (!error) return step(room, Event::saved);
        if (may_pass(error)) return step(room, Event::save_failed);
        step(room, Event::save_rejected);
        // The storage has the changes of a room that is not dirty, so the stop has not failed.
        if (context_.run.phase == RunState::Phase::stopping && room.core.dirty())
            context_.run.stop_error = error.code;
    }
    /// Whether the storage may accept later what it has rejected with this error: it is busy, was
    /// not reached, or has no space.
    [[nodiscard]] static bool may_pass(const std::error_code& error) noexcept {
        return cause_of(error) < Cause::protocol;
    }
    /// Keeps a room that may be the last copy, instead of evicting it.
    void keep_held(Room& room) {
        const bool is = room.core.held_back();
        if (!room.replication || is == std::exchange(room.replication->loss.keeps_room, is)) return;
        if (!is) return static_cast<void>(std::erase(lists_.held, &room));
        lists_.held.push_back(&room);
        parts_.replication.on_held_back(room);
    }
    void note_idle(Room& room) {
        const Evictable evictable = room.calls.save ? Evictable::no : room.core.evictable();
        const Instant since = room.core.last_activity();
        if (since == room.idle_since && evictable == room.evictable) return;
        forget_idle(room);
        room.idle_since = since;
        room.evictable = evictable;
        if (evictable == Evictable::no) return;
        lists_.idle.emplace(evictable, since, room.id);
        if (const RoomAccount* const user = room.opened.account())
            user->user.idle_rooms.emplace(evictable, since, room.id);
    }
    void forget_idle(const Room& room) {
        if (room.evictable == Evictable::no) return;
        lists_.idle.erase({room.evictable, room.idle_since, room.id});
        if (const RoomAccount* const user = room.opened.account())
            user->user.idle_rooms.erase({room.evictable, room.idle_since, room.id});
    }
    /// Whether a room can be added for a save. A room that may be the last copy is not evicted for
    /// it, nor one whose own save is queued.
    [[nodiscard]] bool can_add_room() const {
        if (rooms_.size() < context_.options.rooms_max) return true;
        return !lists_.idle.empty() && !find(std::get<2>(*lists_.idle.begin()))->core.saving();
    }
    /// Evicts the first of these idle rooms for another one. A room that is not saved is loaded
    /// again with its changes.   Returns: whether there was one.
    bool evict_idle(const std::set<Account::IdleRoom>& idle, RoomErrc why) {
        if (idle.empty()) return false;
        evict(*find(std::get<2>(*idle.begin())), why);
        return true;
    }
    /// Evicts the room that has been held back for longest, so that rooms that cannot be stored do
    /// not fill the server.   Returns: whether there was one.
    bool evict_held() {
        if (lists_.held.empty()) return false;
        give_up(*lists_.held.front());
        evict(*lists_.held.front(), RoomErrc::not_durable);
        return true;
    }
    void give_up(const Room& room) {
        context_.report_failure(room.id, {RoomErrc::not_durable,
                                          {},
                                          "the room was evicted, and the storage may lack changes "
                                          "that clients have seen"});
    }
    /// Calls `f` with each client of a room that is not closing: those that have joined, which are
    /// passed, and then those that have not.
    template <class F>
    void each_of(RoomBase& room, std::vector<RoomClient*> joined, F&& f) {
        const std::vector<RoomClient*> others = std::exchange(room.after_load.clients, {});
        for (const auto* const clients : {&std::as_const(joined), &others}) {
            for (RoomClient* const client : *clients)
                if (client->room == &room && !client->core.ending()) f(*client);
        }
    }
    /// Evicts a room: it is destroyed at the end of the turn. Its output is dropped. Clients and
    /// imports receive the reason, or not_loaded if the room was idle, or is not_durable.
    /// Returns: the clients that had joined.
    std::vector<RoomClient*> evict(Room& room, const std::error_code& reason) {
        const std::error_code why =
            reason && reason != RoomErrc::not_durable ? reason : RoomErrc::not_loaded;
        room.evicted = true;
        parts_.imports.fail_all(room, {why, {}, {}});
        std::vector<RoomClient*> joined = room.clients;
        while (!room.clients.empty()) {
            RoomClient& client = *room.clients.back();
            room.clients.pop_back();
            client.end_reason = why;
            context_.report(RoomEvent::Kind::left, room, &client);
        }
        context_.counters.evictions.add(reason);
        // The storage has the changes, except those of a history that has ended. With not_durable,
        // it may lack some.
        const bool ended = reason == RoomErrc::room_erased || reason == RoomErrc::history_reset;
        // Also if it has ended: a server with the next history may have their awareness.
        parts_.replication.on_evicted(room, joined);
        if (!ended && room.core.dirty() && std::exchange(room.notifications.change_waits, false))
            context_.report(RoomEvent::Kind::changed, room);
        if (room.notifications.loaded)
            context_.report(RoomEvent::Kind::unloaded, room, nullptr, reason);
        std::erase(lists_.held, &room);
        forget_idle(room);
        room.opened.release();
        parts_.scheduler.forget(room);
        parts_.delivery.forget(room);
        lists_.evicted.insert(rooms_.extract(rooms_.find(room.id)));
        return joined;
    }

    void stop(Room& room, const std::error_code& unsaved) {
        if (!unsaved) {
            step(room, Event::stop);
            if (!room.evicted && room.core.held_back()) parts_.replication.on_held_back(room);
            return;
        }
        std::error_code& error = context_.run.stop_error;
        if (room.core.held_back()) {
            error = RoomErrc::not_durable;
            give_up(room);
        } else if (room.calls.save_error && error != RoomErrc::not_durable) {
            error = room.calls.save_error;
        }
        evict(room, unsaved);
    }

    TurnContext& context_;
    RoomModule<Persistence, Document>& parts_;
    const Document empty_;  // of each new room
    driver::MachineGroup machines_;
    std::map<std::string, driver::GroupedMachine<Machine>, std::less<>> rooms_;
    Lists lists_;
};

}}}  // namespace belay::detail
