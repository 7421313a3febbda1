// SPDX-License-Identifier: MIT
/// \file belay/room/detail/room_replication.hpp
/// RoomReplication: exchanges changes and awareness with other servers that have the same rooms.
#pragma once

#include <cstddef>       // std::ptrdiff_t, std::size_t
#include <cstdint>       // std::uint64_t
#include <optional>      // std::optional
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <utility>       // std::exchange, std::move
#include <vector>        // std::vector

#include <belay/core/completion.hpp>
#include <belay/room/detail/persistence_scheduler.hpp>
#include <belay/room/detail/turn_context.hpp>
#include <belay/room/document_like.hpp>
#include <belay/room/fanout_like.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Returns the updates of `document` that `other` lacks.
template <DocumentLike D, DocumentLike Other>
[[nodiscard]] std::vector<Bytes> lacking(D& document, Other& other) {
    std::vector<Bytes> updates;
    const auto add = [&](const Bytes& update) {
        const auto adds = other.check(update);
        if (!adds.has_value() || *adds) updates.push_back(update);
    };
    const Bytes theirs = other.state_vector();
    const auto diff = document.diff(theirs);
    if (diff.has_value()) {
        add(*diff);
        return updates;
    }
    for (const Bytes& part : document.snapshot()) add(part);
    return updates;
}

/// Returns the epoch of the history that the storage has confirmed; no_id without one.
[[nodiscard]] inline Id known_epoch(const RoomBase& room) noexcept {
    return room.replication->begin == HistoryBegin::known ? room.history.epoch : no_id;
}
/// Adopts the epoch that a shared storage has reported: of two servers that begin a room at once,
/// it accepts one.   Returns: false if the room has another history.
[[nodiscard]] inline bool take_epoch(RoomBase& room, const Id& epoch) noexcept {
    if (!room.replication || epoch == no_id) return true;
    const Id known = known_epoch(room);
    if (known != no_id && epoch != known) return false;
    room.history.epoch = epoch;
    room.replication->begin = HistoryBegin::known;
    return true;
}

/// The changes that a room has received from other servers, in the order of their processing.
struct ReceivedChanges {
    bool saved = false;  ///< another server has saved all that was loaded here
    bool ended = false;  ///< the history of the room is over
    bool go_on = false;  ///< subscribe again when the entries are processed
    std::vector<part::FanoutBatch::Entry> entries{};
};
/// How the document and the stored room differ after a loss.
struct LoadDifference {
    std::vector<Bytes> theirs{};  ///< what the document lacks
    std::vector<Bytes> ours{};    ///< what the storage lacks
    bool uncovered = false;       ///< the storage has changes that no snapshot covers
};

/// Replicates rooms between servers. Each room subscribes to the changes after the last one that it
/// read. It processes one answer in a turn, and then subscribes again. After a failure it continues
/// with its document, subscribes later, and stores again what the storage has lost.
///
/// It returns what was received: RoomEdits applies it.
///
/// Thread safety: the manager's home thread.
template <PersistenceLike Persistence, DocumentLike Document>
class RoomReplication {
    using Scheduler = PersistenceScheduler<Persistence>;

public:
    using Room = RoomState<Document>;
    using Kind = PeerMessage::Kind;
    static constexpr bool is_single_server = !FanoutLike<Persistence>;

    RoomReplication(TurnContext& context, Scheduler& scheduler) noexcept
        : context_{context}, scheduler_{scheduler} {}
    RoomReplication(const RoomReplication&) = delete;
    RoomReplication& operator=(const RoomReplication&) = delete;

    void attach() { context_.last_change.server = make_id(context_.bits); }

    // ---- of a room ------------------------------------------------------------------------------

    void on_created(RoomBase& room) const {
        if constexpr (!is_single_server) {
            room.replication = std::make_unique<ReplicationState>();
            room.replication->subscription.attach(room.waker);
        }
    }
    /// Called after the first load. `announces`: other servers need not save the many changes that
    /// no snapshot covers, because this one does.
    void on_loaded(RoomBase& room, bool announces) {
        if constexpr (!is_single_server) {
            room.notifications.save_waits = announces;
            RoomProgress& progress = room.replication->progress;
            progress.loaded = progress.read = room.history.position;
            forget_own(room);
            publish({Kind::query, context_.last_change.server}, room);
            subscribe(room);
        }
    }
    /// A room's turn.   Returns: what it has received, if something has arrived.
    [[nodiscard]] std::optional<ReceivedChanges> run(Room& room) {
        if constexpr (!is_single_server) {
            ReplicationState& state = *room.replication;
            if (room.notifications.awareness.due <= context_.now) publish_awareness(room);
            if (take_due(state.again_at, context_.now))
                state.loss.needs_load ? load_again(room) : subscribe(room);
            if (state.subscription.answered()) return take(room);
        }
        return std::nullopt;
    }
    void subscribe(RoomBase& room) {
        if constexpr (!is_single_server) {
            ReplicationState& state = *room.replication;
            fanout().subscribe(room.id, known_epoch(room), state.progress.read,
                               state.subscription.ask());
            state.threw = fanout().take_exception_text();
            room.waker.touch();
        }
    }
    /// Processes the load that a gap requested; the room was in use meanwhile.
    /// Returns: nothing if the load has failed; it is tried again.
    [[nodiscard]] std::optional<LoadDifference> on_reloaded(Room& room,
                                                            const PersistenceError& error,
                                                            std::optional<StoredRoom>& stored,
                                                            const Document& empty) {
        if constexpr (!is_single_server) {
            Document theirs{empty};
            const std::error_code wrong = error ? error.code : take_parts(room.id, theirs, stored);
            if (!wrong) {
                room.replication->loss.needs_load = false;
                return compare(room, theirs, stored);
            }
            if (!error) report_failure(room, {wrong, {}, "the data that another server stored"});
            // The fan-out may assume that the room was loaded, and report no gap again.
            if (!error || wrong == RoomErrc::no_answer) room.replication->loss.needs_load = true;
            retry_later(room, wrong);
        }
        return std::nullopt;
    }

    /// Fills an empty document with what is stored of a room. `room_id` is for reports.
    [[nodiscard]] std::error_code take_parts(const std::string& room_id, Document& document,
                                             const std::optional<StoredRoom>& found) {
        if (!found) return {};
        const auto apply = [&](const Bytes& update) {
            return static_cast<std::error_code>(document.apply(update));
        };
        for (const Bytes& update : found->snapshot) {
            if (const std::error_code error = apply(update)) return error;
        }
        for (const Bytes& update : found->updates) {
            const std::error_code error = apply(update);
            if (!error) continue;
            // Another writer must not be able to end the room.
            if (is_single_server || !is_malformed_update(error)) return error;
            context_.report_failure(room_id, {error, {}, "a change from another server"});
        }
        return {};
    }

    // ---- own changes ----------------------------------------------------------------------------

    /// A change of this server is durable; `position` is that of its flush. If other servers
    /// append, too, the document may lack changes before it: then no save covers it.
    void on_durable(RoomBase& room, const PendingUpdate& change, std::uint64_t position) {
        if constexpr (is_single_server) {
            room.history.position = larger(room.history.position, position);
        } else {
            ReplicationState& state = *room.replication;
            state.own.last = change.sequence;
            if (!change.in_document) return;
            state.loss.unstored = room.pending.restores();
            // Another history waits until all of them are stored.
            if (state.loss.unstored) return;
            const bool waited = state.restore == Restore::waiting;
            state.note(RestoreEvent::stored);
            if (!waited) return;
            state.loss.needs_load = true;
            state.recovers_at = state.again_at = always;
            room.waker.touch();
        }
    }
    /// Pending changes were lost, or their result is unknown. Stored ones arrive like those of
    /// other servers. With `known`, the storage may lack changes of the document, too.
    void on_lost(RoomBase& room, bool known) {
        if constexpr (!is_single_server) {
            ReplicationState& state = *room.replication;
            state.note(RestoreEvent::lost);
            forget_own(room);
            // Only the storage knows whether the history was begun, and whether it still has the
            // changes that were durable in it. A change that began it again would not restore them.
            const bool unconfirmed = state.begin == HistoryBegin::unconfirmed;
            if (unconfirmed) state.begin = HistoryBegin::missing;
            if (!known && !unconfirmed) return;
            forbid_covering_saves(room);
            // Each try loads the whole room, and the storage may reject its changes for hours. A
            // load that waits for its time already is not postponed by more lost changes.
            if (state.waits_to_load()) return;
            state.loss.needs_load = true;
            // stop() has no time for long waits, and ends by itself.
            if (!context_.runs()) state.failed = {};
            retry_in(room, state.failed.next(context_.now, context_.bits));
        }
    }

    // ---- saves and evictions --------------------------------------------------------------------

    /// A save has succeeded, or was rejected because the stored snapshot is newer. The second may
    /// also mean that the storage has lost what the snapshot covers.
    void on_saved(RoomBase& room, bool rejected) {
        if constexpr (!is_single_server) {
            // A snapshot that covers nothing is rejected without being compared.
            if (rejected && room.history.position == 0) return;
            room.replication->loss.uncertain = rejected;
            const RoomHistory& covers = room.replication->progress.saving;
            if (rejected || covers.position == 0) return;
            if (std::exchange(room.notifications.save_waits, false))
                publish({.kind = Kind::saved,
                         .server = context_.last_change.server,
                         .epoch = covers.epoch,
                         .position = covers.position},
                        room);
        }
    }
    /// The storage may lack changes that the room has. The room has no clients, a client waits for
    /// a status, or the server stops: compares the two, unless changes are being stored again.
    /// A load that waits for its time is brought forward only if the server stops.
    void on_held_back(RoomBase& room) {
        if constexpr (!is_single_server) {
            ReplicationState& state = *room.replication;
            if (room.pending.restores() || room.calls.loads()) return;
            if (context_.runs() && state.waits_to_load()) return;
            state.loss.needs_load = true;
            state.again_at = always;
            room.waker.touch();
        }
    }

    // ---- awareness ------------------------------------------------------------------------------

    /// The awareness of a client has changed: publishes it soon.
    void publish_state(RoomBase& room, RoomClient& client) const noexcept {
        if constexpr (!is_single_server) {
            room.notifications.awareness.mark(client.backlog.awareness.round);
            room.notifications.awareness.request(context_.now);
            room.waker.touch();
        }
    }
    /// A client has left: publishes that soon.
    void publish_left(RoomBase& room, const RoomClient& client) const {
        if constexpr (!is_single_server) {
            room.notifications.awareness.left.push_back(client.id);
            room.notifications.awareness.request(context_.now);
            room.waker.touch();
        }
    }
    /// A room is evicted while `joined` are in it: publishes at once that they have left, and ends
    /// the subscription.
    void on_evicted(RoomBase& room, const std::vector<RoomClient*>& joined) {
        if constexpr (!is_single_server) {
            UnpublishedAwareness& unpublished = room.notifications.awareness;
            static_cast<void>(unpublished.end_round());
            publish_lefts(room, unpublished.left.size());
            for (const RoomClient* const client : joined) publish_left_now(room, client->id);
            if (room.notifications.loaded) end_subscription(room);
        }
    }

private:
    /// Ends the subscription of a room that is evicted. After an answer, the fan-out keeps messages
    /// for the next subscription. The next load of the room must not receive them, because the
    /// message that a client has left since may be lost.
    void end_subscription(RoomBase& room) {
        ReplicationState& state = *room.replication;
        // A subscription that waits ends with the room.
        if (state.subscription.waits() && !state.subscription.answered()) return;
        Completion<Result<part::FanoutBatch, PersistenceError>> unwanted = state.subscription.ask();
        state.subscription.drop();
        fanout().subscribe(room.id, known_epoch(room), state.progress.read, std::move(unwanted));
        std::string threw = fanout().take_exception_text();
        if (!threw.empty())
            report_failure(room, {RoomErrc::persistence_threw, {}, std::move(threw)});
    }
    [[nodiscard]] auto& fanout() noexcept { return scheduler_.persistence(); }
    void publish(const PeerMessage& message, RoomBase& room) {
        fanout().publish(room.id, encode(message));
    }
    /// Publishes awareness that has changed. A connection takes over an id before the older one
    /// leaves, so the states come first: a `left` must not remove an id that has another owner.
    void publish_awareness(RoomBase& room) {
        UnpublishedAwareness& unpublished = room.notifications.awareness;
        unpublished.begin(context_.now);
        publish_states(room);
        bool round_is_over = true;
        bool more = false;
        for (const RoomClient* const client : room.clients) {
            const std::uint32_t round = client->backlog.awareness.round;
            if (unpublished.is_in_round(round)) round_is_over = false;
            if (round != 0) more = true;
        }
        if (round_is_over) publish_lefts(room, unpublished.end_round());
        if (more || !unpublished.left.empty()) unpublished.request(context_.now);
    }
    /// Publishes the next states of the round.
    void publish_states(RoomBase& room) {
        std::vector<RoomClient*> clients;
        std::vector<std::uint64_t> ids;
        for (RoomClient* const client : room.clients) {
            if (!room.notifications.awareness.is_in_round(client->backlog.awareness.round))
                continue;
            clients.push_back(client);
            ids.push_back(client->id);
        }
        const std::vector<Bytes> states =
            room.awareness.states_of(ids, UnpublishedAwareness::bytes_max);
        for (std::size_t i = 0; i < states.size(); ++i) {
            clients[i]->backlog.awareness.round = 0;
            if (states[i].empty()) continue;
            const std::string& user = clients[i]->rights.grant.user;
            publish({Kind::state, context_.last_change.server, ids[i], user, states[i]}, room);
        }
    }
    /// Publishes that the first `count` clients of those that have left have done so.
    void publish_lefts(RoomBase& room, std::size_t count) {
        std::vector<std::uint64_t>& left = room.notifications.awareness.left;
        for (std::size_t i = 0; i < count; ++i) publish_left_now(room, left[i]);
        left.erase(left.begin(), left.begin() + static_cast<std::ptrdiff_t>(count));
    }
    void publish_left_now(RoomBase& room, std::uint64_t client) {
        publish({Kind::left, context_.last_change.server, client}, room);
    }
    /// An entry of a change that this server made before must be compared with the document.
    void forget_own(RoomBase& room) noexcept {
        room.replication->own.forget(context_.last_change.sequence);
    }
    /// Retries later. The delay grows for errors that do not end by themselves.
    void retry_later(RoomBase& room, const std::error_code& why) {
        const Cause cause = cause_of(why);
        const bool stays =
            cause == Cause::protocol || cause == Cause::corrupt || cause == Cause::permanent;
        retry_in(room, stays ? room.replication->failed.next(context_.now, context_.bits)
                             : timeline::RoomCore::retry_wait(1, context_.bits));
    }
    void retry_in(RoomBase& room, Duration wait) {
        room.replication->again_at = after(context_.now, wait);
        room.waker.touch();
    }
    void report_failure(RoomBase& room, const PersistenceError& error) {
        context_.report_failure(room.id, error);
    }
    /// Loads the room again, at most once in RoomCore::retry_min.
    void load_again(Room& room) {
        ReplicationState& state = *room.replication;
        if (room.calls.loads()) return;
        if (context_.now < state.recovers_at) {
            state.loss.needs_load = true;
            state.again_at = state.recovers_at;
            return;
        }
        state.subscription.drop();
        state.recovers_at = after(context_.now, timeline::RoomCore::retry_min);
        scheduler_.begin_load(room);
    }

    /// The storage may have lost changes of the document. A snapshot with these would hide the
    /// loss: servers that have read further would never receive them, and replace the snapshot.
    static void forbid_covering_saves(RoomBase& room) noexcept {
        room.replication->loss.unstored = true;
        room.history.position = 0;
    }

    // ---- changes of other servers ---------------------------------------------------------------

    /// The storage lacks changes of the document, or has another history than it has reported. If
    /// the room's own was ended on purpose, the flush that begins it again reports that.
    void on_gap(Room& room) {
        // A gap may end by itself, for example if the storage is restored from a copy.
        room.replication->loss.gap = true;
        forbid_covering_saves(room);
        load_again(room);
    }
    [[nodiscard]] ReceivedChanges take(Room& room) {
        ReplicationState& state = *room.replication;
        std::optional<Result<part::FanoutBatch, PersistenceError>> answer =
            state.subscription.take();
        const bool received = answer && answer->has_value();
        if (!received) {
            const std::string& threw = state.threw;
            const PersistenceError error =
                answer ? answer->error()
                       : PersistenceError{RoomErrc::no_answer,
                                          {},
                                          threw.empty() ? "the fan-out dropped the subscription"
                                                        : "the persistence threw: " + threw};
            state.loss.uncertain = true;
            report_failure(room, error);
            retry_later(room, error.code);
            return {};
        }
        part::FanoutBatch& batch = **answer;
        ReceivedChanges changes{.saved = receive_messages(room, batch.messages)};
        if (batch.state == part::FanoutBatch::State::over) {
            changes.ended = true;
        } else if (batch.state == part::FanoutBatch::State::gap || state.loss.gap) {
            on_gap(room);
        } else if ((is_restoring(state.restore) || state.loss.needs_load) && batch.epoch != no_id &&
                   batch.epoch != room.history.epoch) {
            // The room is loaded after its changes are restored.
            state.note(RestoreEvent::reported_other);
        } else if (!take_epoch(room, batch.epoch)) {
            on_gap(room);
        } else {
            if (batch.epoch != no_id) state.note(RestoreEvent::confirmed);
            if (!batch.entries.empty()) state.loss.uncertain = false;
            changes.entries = std::move(batch.entries);
            changes.go_on = true;
        }
        return changes;
    }
    /// Compares the document and the stored room after a loss. If the storage has another history,
    /// this one may have been ended on purpose. Then nothing is mixed before the storage has
    /// accepted the restored changes.
    [[nodiscard]] LoadDifference compare(Room& room, Document& theirs,
                                         const std::optional<StoredRoom>& stored) {
        ReplicationState& state = *room.replication;
        LoadDifference difference;
        difference.ours = lacking(room.document, theirs);
        const bool lost = !difference.ours.empty();
        const bool adopts_stored = state.restore == Restore::adopting;
        state.note(RestoreEvent::loaded);
        const bool other =
            stored && room.history.epoch != no_id && stored->epoch != room.history.epoch;
        const bool waits = other && !adopts_stored && lost;
        const bool takes = stored && !waits;
        // Some of them may be this server's, without an answer to their flush.
        difference.uncovered = takes && !stored->updates.empty();
        state.frozen = state.loss.gap = state.loss.uncertain = false;
        state.loss.unstored = lost;
        state.progress.loaded = state.progress.read = takes ? stored->position : 0;
        if (takes) {
            room.history.epoch = stored->epoch;
            state.begin = HistoryBegin::known;
            difference.theirs = lacking(theirs, room.document);
        } else if (room.history.epoch != no_id) {
            state.begin = HistoryBegin::missing;
            if (lost) state.note(waits ? RestoreEvent::loaded_other : RestoreEvent::loaded_nothing);
        }
        return difference;
    }

    // ---- messages -------------------------------------------------------------------------------

    /// Returns: whether another server has saved all that was loaded here.
    [[nodiscard]] bool receive_messages(Room& room, const std::vector<Bytes>& messages) {
        std::error_code wrong;
        bool queried = false;
        bool saved = false;
        for (const Bytes& bytes : messages) {
            const Result<PeerMessage> message = decode_peer_message(bytes);
            if (!message) wrong = message.error();
            if (!message || message->server == context_.last_change.server) continue;
            if (message->kind == Kind::query) queried = true;
            // A snapshot of another history, or an earlier one, lacks what was loaded here.
            if (message->kind == Kind::saved && message->epoch == room.history.epoch &&
                message->position >= room.replication->progress.loaded)
                saved = true;
            if (message->kind == Kind::left)
                room.awareness.close(message->local_id(), context_.now);
            if (message->kind != Kind::state) continue;
            const std::error_code error = room.awareness.receive(
                {message->local_id(), message->user}, message->awareness, context_.now);
            if (!error) continue;
            wrong = error;
            if (error == RoomErrc::frame_too_large) continue;
            room.awareness.close(message->local_id(), context_.now);
        }
        if (wrong) report_failure(room, {wrong, {}, "a message from another server"});
        if (queried) {
            for (RoomClient* const client : room.clients) publish_state(room, *client);
        }
        if (saved) room.notifications.save_waits = false;
        return saved;
    }

    TurnContext& context_;
    Scheduler& scheduler_;
};

}}}  // namespace belay::detail
