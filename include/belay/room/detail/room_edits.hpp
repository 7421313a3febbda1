// SPDX-License-Identifier: MIT
/// \file belay/room/detail/room_edits.hpp
/// RoomEdits: the path of an edit: checked, stored, sent to the clients and applied.
#pragma once

#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint64_t
#include <list>          // std::list
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <utility>       // std::exchange, std::move

#include <belay/room/detail/room_state.hpp>
#include <belay/room/detail/turn_context.hpp>
#include <belay/room/room_errc.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The edits of rooms. An edit is checked and appended to the storage (`update`). When the storage
/// has flushed it (`take`), it is sent to the clients and applied, or its author is closed.
///
/// `Parts` names the parts of the manager. This part calls
/// - `Scheduler`: `append` and `unqueue`, to store an edit,
/// - `Rooms`: `step`, `process` and `end_history`,
/// - `Delivery`: `acknowledge` and `send_update`, to send edits,
/// - `Replication`: `on_durable` and `on_lost`, for the edits of other servers,
/// - `Imports`: `answer_known`, `answer_or_hold`, `fail_change` and `hold`, for the edits of an
///   import.
///
/// Thread safety: home thread only.
template <class Parts>
class RoomEdits {
    using Document = typename Parts::Document;
    using Delivery = typename Parts::Delivery;
    using Scheduler = typename Parts::Scheduler;
    using Replication = typename Parts::Replication;
    using Imports = typename Parts::Imports;
    using Rooms = typename Parts::Rooms;
    using Room = RoomState<Document>;
    using Event = timeline::RoomCore::Event;
    using Phase = RunState::Phase;

public:
    /// The parts that this one calls.
    struct Dependencies {
        Rooms& rooms;
        Delivery& delivery;
        Scheduler& scheduler;
        Replication& replication;
        Imports& imports;
    };

    RoomEdits(TurnContext& context, const Dependencies& parts) noexcept
        : context_{context},
          rooms_{parts.rooms},
          delivery_{parts.delivery},
          scheduler_{parts.scheduler},
          replication_{parts.replication},
          imports_{parts.imports} {}
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
        if (const LimitedError e =
                scheduler_.append(room, {.update = bytes, .author = author, .account = account}))
            return e;
        rooms_.step(room, Event::appended);
        return {};
    }

    // ---- for the manager ------------------------------------------------------------------------

    /// Sends and applies what a flush has made durable, and drops what it has not.
    void take(const EndedFlush& flush) {
        for (RoomBase* const room : flush.rooms)
            rooms_.process(*room, [&] { take(static_cast<Room&>(*room), flush); });
        // The changes of those that were flushed are dropped already.
        for (RoomBase* const room : flush.later)
            if (room->pending.size() != 0)
                rooms_.process(*room, [&] { take(static_cast<Room&>(*room), flush); });
    }

    // ---- for replication ------------------------------------------------------------------------

    /// The first pending change of a room is durable.
    void first_is_durable(Room& room, std::uint64_t position) {
        PendingUpdate change = room.pending.take_first();
        replication_.on_durable(room, change, position);
        apply_durable(room, change);
    }
    /// Sends an update to all clients except its author, and applies it to the document.
    void broadcast_and_apply(Room& room, BytesView update, const UpdateOrigin& origin) {
        delivery_.send_update(room, update, origin);
        const std::error_code error{room.document.apply(update)};
        BELAY_INVARIANT(!error,
                        "RoomManager: the document must apply a change that it has checked");
        room.notifications.change_waits = true;
        ++context_.counters.updates;
    }

private:
    /// The pending changes of a room that were in a flush are durable, or all of them are lost,
    /// because later ones depend on the rejected one.
    void take(Room& room, const EndedFlush& flush) {
        if (const PersistenceError why = flush.error_of(room.id)) {
            scheduler_.unqueue(room);
            // An ended history is not a failure.
            if (!flush.has_failed() && why.code != RoomErrc::history_reset)
                context_.report_failure(room.id, why);
            return not_durable(room, why);
        }
        const RoomHistory flushed = flush.history_of(room.id);
        if (!take_epoch(room, flushed.epoch))
            return rooms_.end_history(room, make_error_code(RoomErrc::history_reset));
        while (room.pending.flushing() != 0) first_is_durable(room, flushed.position);
    }
    /// None of the pending changes of a room is durable.
    void not_durable(Room& room, const PersistenceError& why) {
        if (room.evicted) return;
        context_.counters.lost_updates += room.pending.size();
        if (why.code == RoomErrc::history_reset) {
            return rooms_.end_history(room, why.code);
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
        for (PendingUpdate& change : lost) imports_.fail_change(change, why);
        imports_.answer_known(room, why);
        for (const PendingUpdate& change : lost) {
            known = known || change.in_document;
            edited = edited || !change.in_document;
            context_.ended_clients.push_back({change.author, RoomErrc::not_durable});
        }
        // Changes of the document are tried again, and the room is held until they are stored.
        if (context_.run.phase == Phase::stopping && edited)
            context_.run.stop_error = make_error_code(RoomErrc::not_durable);
        replication_.on_lost(room, known);
        rooms_.step(room, Replication::is_single_server ? Event::lost : Event::dropped);
    }
    /// Applies a change that is durable, and acknowledges it to its author.
    void apply_durable(Room& room, PendingUpdate& change) {
        const bool is_import = imports_.hold(room, change);
        context_.counters.durable.add(elapsed(change.since, context_.now));
        if (!change.in_document)
            broadcast_and_apply(room, change.update, {change.author, change.since});
        if (is_import) imports_.answer_or_hold(room);
        delivery_.acknowledge(change);
        rooms_.step(room, Event::applied);
    }

    TurnContext& context_;
    Rooms& rooms_;
    Delivery& delivery_;
    Scheduler& scheduler_;
    Replication& replication_;
    Imports& imports_;
};

}}}  // namespace belay::detail
