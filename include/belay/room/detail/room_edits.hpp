// SPDX-License-Identifier: MIT
/// \file belay/room/detail/room_edits.hpp
/// RoomEdits: the path of an edit: checked, stored, sent to the clients and applied.
#pragma once

#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint64_t
#include <list>          // std::list
#include <optional>      // std::optional
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <utility>       // std::exchange, std::move

#include <belay/room/detail/persistence_scheduler.hpp>
#include <belay/room/detail/room_replication.hpp>
#include <belay/room/detail/room_state.hpp>
#include <belay/room/detail/turn_context.hpp>
#include <belay/room/room_errc.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The edits of rooms. An edit is checked and appended to the storage (`update`). When the storage
/// has flushed it (`take`), it is sent to the clients and applied, or its author is closed.
///
/// This part calls
/// - `scheduler`: `append` and `unqueue`, to store an edit,
/// - `rooms`: `empty_document`, `end_history`, `process` and `step`,
/// - `delivery`: `acknowledge` and `send_update`, to send edits,
/// - `replication`: `on_durable`, `on_lost`, `on_reloaded`, `run` and `subscribe`, for the edits of
///   other servers,
/// - `imports`: `answer_known`, `answer_or_hold`, `fail_change` and `hold`, for the edits of an
///   import.
///
/// Thread safety: home thread only.
template <class Persistence, class Document>
class RoomEdits {
    using Replication = RoomReplication<Persistence, Document>;
    using Room = RoomState<Document>;
    using Event = timeline::RoomCore::Event;

public:
    RoomEdits(TurnContext& context, RoomModule<Persistence, Document>& parts) noexcept
        : context_{context}, parts_{parts} {}
    RoomEdits(const RoomEdits&) = delete;
    RoomEdits& operator=(const RoomEdits&) = delete;

    /// Processes an update of a client, which its account holds. `author` 0 is the server, whose
    /// account is null.
    [[nodiscard]] LimitedError update(Room& room, BytesView bytes, std::uint64_t author,
                                      const Ref<RoomAccount>& account = {}) {
        if (!room.core.live()) return RoomErrc::not_loaded;
        auto adds = room.document.check(bytes);
        if (!adds.has_value()) return static_cast<std::error_code>(adds.error());
        if (!*adds) {
            ++context_.counters.unchanged;
            return {};
        }
        if (const LimitedError e = parts_.scheduler.append(
                room, {.update = bytes, .author = author, .account = account}))
            return e;
        parts_.rooms.step(room, Event::appended);
        return {};
    }

    // ---- for the manager ------------------------------------------------------------------------

    /// Sends and applies what a flush has made durable, and drops what it has not.
    void take(const EndedFlush& flush) {
        for (RoomBase* const room : flush.of.rooms)
            parts_.rooms.process(*room, [&] { take(static_cast<Room&>(*room), flush); });
        // The changes of those that were flushed are dropped already.
        for (RoomBase* const room : flush.later)
            if (room->pending.size() != 0)
                parts_.rooms.process(*room, [&] { take(static_cast<Room&>(*room), flush); });
    }

    // ---- changes of other servers ---------------------------------------------------------------

    /// A room's turn: applies the changes that have arrived from other servers.
    void receive(Room& room) {
        std::optional<ReceivedChanges> changes = parts_.replication.run(room);
        if (!changes) return;
        if (changes->saved) parts_.rooms.step(room, Event::saved_elsewhere);
        if (room.evicted) return;
        if (changes->ended)
            return parts_.rooms.end_history(room, make_error_code(RoomErrc::history_reset));
        for (const part::FanoutBatch::Entry& entry : changes->entries) take(room, entry);
        if (changes->go_on) parts_.replication.subscribe(room);
    }
    /// A room was loaded again after a loss, and was in use meanwhile: merges the document and the
    /// stored room.
    void merge(Room& room, const PersistenceError& error, std::optional<StoredRoom>& stored) {
        std::optional<LoadDifference> difference =
            parts_.replication.on_reloaded(room, error, stored, parts_.rooms.empty_document());
        if (!difference) return;
        ReplicationState& state = *room.replication;
        for (const Bytes& update : difference->theirs) enter(room, update);
        room.history.position = state.covers_entries() ? state.progress.read : 0;
        if (difference->uncovered) parts_.rooms.step(room, Event::uncovered);
        for (const Bytes& update : difference->ours) {
            if (parts_.scheduler.append(room, {.update = update, .known = true})) {
                parts_.replication.on_lost(room, true);
                break;
            }
            parts_.rooms.step(room, Event::appended);
        }
        if (state.restore != Restore::waiting) parts_.replication.subscribe(room);
    }

private:
    /// The pending changes of a room that were in a flush are durable, or all of them are lost,
    /// because later ones depend on the rejected one.
    void take(Room& room, const EndedFlush& flush) {
        if (!flush.has_succeeded()) {
            if (const PersistenceError why = flush.error_of(room.id)) {
                parts_.scheduler.unqueue(room);
                // An ended history is not a failure.
                if (!flush.has_failed() && why.code != RoomErrc::history_reset)
                    context_.report_failure(room.id, why);
                return not_durable(room, why);
            }
        }
        const RoomHistory flushed = flush.history_of(room.id);
        // The storage has lost the room's history, or that one was ended: the next load decides.
        if (!take_epoch(room, flushed.epoch)) parts_.replication.on_lost(room, true);
        while (room.pending.flushing() != 0) first_is_durable(room, flushed.position);
    }
    /// None of the pending changes of a room is durable.
    void not_durable(Room& room, const PersistenceError& why) {
        if (room.evicted) return;
        context_.counters.lost_updates += room.pending.size();
        if (why.code == RoomErrc::history_reset) {
            return parts_.rooms.end_history(room, why.code);
        }
        // In a shared room, stored changes arrive by themselves. The storage may be unreachable, so
        // clients read the document as it is.
        if constexpr (Replication::is_single_server) {
            room.after_load.vector_before = room.document.state_vector();
            for (RoomClient* const client : room.clients) pause_reading(*client);
        }
        bool known = false;
        bool edited = false;
        std::list<PendingUpdate> lost = room.pending.take_all();
        for (PendingUpdate& change : lost) parts_.imports.fail_change(change, why);
        parts_.imports.answer_known(room, why);
        for (const PendingUpdate& change : lost) {
            known = known || change.in_document;
            edited = edited || !change.in_document;
            context_.end_author(change.author, RoomErrc::not_durable);
        }
        // Changes of the document are tried again, and the room is held until they are stored.
        if (context_.run.phase == RunState::Phase::stopping && edited)
            context_.run.stop_error = make_error_code(RoomErrc::not_durable);
        parts_.replication.on_lost(room, known);
        parts_.rooms.step(room, Replication::is_single_server ? Event::lost : Event::dropped);
    }
    /// The first pending change of a room is durable.
    void first_is_durable(Room& room, std::uint64_t position) {
        PendingUpdate change = room.pending.take_first();
        parts_.replication.on_durable(room, change, position);
        apply_durable(room, change);
    }
    /// Applies a change that is durable, and acknowledges it to its author.
    void apply_durable(Room& room, PendingUpdate& change) {
        const bool is_import = parts_.imports.hold(room, change);
        context_.counters.durable.add(elapsed(change.since, context_.now));
        if (!change.in_document)
            broadcast_and_apply(room, change.update, {change.author, change.since});
        if (is_import) parts_.imports.answer_or_hold(room);
        parts_.delivery.acknowledge(change);
        parts_.rooms.step(room, Event::applied);
    }

    /// Sends an update to all clients except its author, and applies it to the document.
    void broadcast_and_apply(Room& room, BytesView update, const UpdateOrigin& origin) {
        parts_.delivery.send_update(room, update, origin);
        const std::error_code error{room.document.apply(update)};
        BELAY_INVARIANT(!error,
                        "RoomManager: the document must apply a change that it has checked");
        room.notifications.change_waits = true;
        ++context_.counters.updates;
    }
    /// Processes a stored change, of this server or another one.
    void take(Room& room, const part::FanoutBatch::Entry& entry) {
        ReplicationState& state = *room.replication;
        if (entry.position <= state.progress.read) return;
        state.progress.read = entry.position;
        const bool ours = entry.change.server == context_.last_change.server;
        if (ours && room.pending.begins_with(entry.change.sequence)) {
            // The entry has arrived before the answer of the flush.
            first_is_durable(room, entry.position);
        } else if (!ours || !state.own.has(entry.change.sequence)) {
            enter(room, entry.update);
        }
        if (!state.covers_entries()) return;
        room.history.position = entry.position;
        // A save that began before the entry arrived has not covered the change. A change whose
        // flush was not answered is this server's, too: no other one saves for it.
        if (ours) parts_.rooms.step(room, Event::uncovered);
    }
    /// Applies a stored change, also if it exceeds a limit here: the server that stored it has
    /// decided. A malformed one is skipped. One that this server cannot read stays stored: no
    /// snapshot of this server covers it.
    void enter(Room& room, BytesView update) {
        const auto adds = room.document.check(update);
        if (adds.has_value() && !*adds) return;
        if (!adds.has_value()) {
            const auto exceeded = static_cast<std::error_code>(adds.error());
            Document trial{parts_.rooms.empty_document()};
            const auto error = static_cast<std::error_code>(trial.apply(update));
            if (error && !is_malformed_update(error)) room.replication->frozen = true;
            // When another server compacted its document is no failure.
            if (error || !is_document_full(exceeded))
                context_.report_failure(
                    room.id, {error ? error : exceeded, {}, "a change from another server"});
            if (error) return;
        }
        broadcast_and_apply(room, update, {});
    }

    TurnContext& context_;
    RoomModule<Persistence, Document>& parts_;
};

}}}  // namespace belay::detail
