// SPDX-License-Identifier: MIT
/// \file belay/room/detail/persistence_scheduler.hpp
/// PersistenceScheduler: schedules loads, flushes and saves of a manager, with deadlines.
#pragma once

#include <algorithm>    // std::find
#include <cstddef>      // std::size_t
#include <deque>        // std::deque
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::exchange, std::move
#include <vector>       // std::vector

#include <belay/core/order.hpp>
#include <belay/room/detail/room_state.hpp>
#include <belay/room/detail/turn_context.hpp>
#include <belay/room/fanout_like.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// An erase or a reset whose answer waits for a flush. Without `done`: a client waits for its end.
struct PendingAdmin {
    std::string board;
    std::optional<Completion<PersistenceError>> done;
};

/// Loads, appends, flushes and saves. One flush is under way at a time, for all rooms: later
/// changes wait for the next one. At most RoomOptions::saves_max saves run at a time, so that they
/// do not delay a flush.
///
/// `Parts` names the parts of the manager. This part calls
/// - `Edits`: `durable` and `not_durable`, for the pending changes of a room,
/// - `Rooms`: `lagging`, for a room that the storage wants to be saved,
/// - `Admin`: `admin_stored` and `all_stored`, for erases and resets.
///
/// Thread safety: the manager's home thread.
template <class Parts>
class PersistenceScheduler {
    using Persistence = typename Parts::Persistence;
    using Room = RoomState<typename Parts::Document>;
    using Edits = typename Parts::Edits;
    using Rooms = typename Parts::Rooms;
    using Admin = typename Parts::Admin;

public:
    PersistenceScheduler(TurnContext& context, Persistence persistence, Edits& edits, Rooms& rooms,
                         Admin& admin)
        : context_{&context},
          persistence_{std::move(persistence)},
          edits_{edits},
          rooms_{rooms},
          admin_calls_{admin} {}
    PersistenceScheduler(const PersistenceScheduler&) = delete;
    PersistenceScheduler& operator=(const PersistenceScheduler&) = delete;

    void attach(const Waker& waker) { flush_.attach(waker); }
    [[nodiscard]] Instant deadline() const noexcept {
        if (may_save() && !to_save_.empty()) return always;
        if (flush_.waits()) return smaller(flush_.deadline(), flush_ends_);
        return appended_.empty() && admin_.empty() ? never : always;
    }
    [[nodiscard]] Persistence& persistence() noexcept { return persistence_; }

    // ---- loads ----------------------------------------------------------------------------------

    void begin_load(RoomBase& room) {
        ++context_->counters.loads;
        room.load_ends = after(context_->now, context_->options.answer_within);
        persistence_.load(room.id, room.load.ask());
    }
    /// Whether the load is over. Sets `error`, or `found` to the stored room.
    bool take_load(RoomBase& room, PersistenceError& error, std::optional<StoredRoom>& found) {
        if (!room.load.waits()) return false;
        if (room.load.answered()) {
            std::optional<Result<std::optional<StoredRoom>, PersistenceError>> answer =
                room.load.take();
            if (!answer) {
                error = {RoomErrc::no_answer, {}, "the persistence dropped the load"};
            } else if (!answer->has_value()) {
                error = answer->error();
            } else {
                found = std::move(**answer);
            }
        } else if (room.load_ends <= context_->now) {
            room.load.drop();
            error = {RoomErrc::no_answer, {}, "the load took longer than allowed"};
        } else {
            return false;
        }
        room.load_ends = never;
        if (error) failed(room.id, error);
        return true;
    }

    // ---- changes --------------------------------------------------------------------------------

    /// Begins to make a change durable. `first` is the id of a history that it begins, if set. A
    /// `known` change is in the document already, so its length was accepted before.
    /// Errors: the storage's; not_durable of too many; update_too_large of one that would not fit
    /// alone.
    [[nodiscard]] std::error_code append(RoomBase& room, BytesView update, std::uint64_t author,
                                         const Id& first = no_id, bool known = false) {
        const std::size_t most = context_->options.unflushed_bytes_max;
        if (!known && update.size() > most) return RoomErrc::update_too_large;
        if (!known && update.size() > most - smaller(most, room.pending_bytes))
            return RoomErrc::not_durable;
        const bool begins =
            room.epoch == no_id || (room.replication && room.replication->must_begin);
        Id epoch = room.epoch;
        if (epoch == no_id) epoch = first != no_id ? first : make_id(context_->bits);
        if (begins) {
            const auto begun = begin(room, epoch, room.epoch != no_id);
            if (!begun) return refused(room, begun.error());
        }
        const auto position = persistence_.append(room.id, update);
        if (!position) return refused(room, position.error());
        // Not earlier: a failed flush also drops the reset, and reports that to its caller.
        room.epoch = epoch;
        if (begins && room.replication) {
            room.replication->must_begin = false;
            room.replication->begin_unconfirmed = true;
        }
        room.pending.push_back({{update.begin(), update.end()}, *position, author, {}, {}, known});
        room.pending_bytes += update.size();
        if (!std::exchange(room.awaits_flush, true)) appended_.push_back(&room);
        return {};
    }

    /// Takes the answer to a flush, and begins the next one, until there is something to wait for.
    void flush() {
        while (true) {
            if (flush_.waits() && !take_flush()) return;
            if (appended_.empty() && admin_.empty()) return;
            flushing_.swap(appended_);
            admin_flushing_.swap(admin_);
            for (RoomBase* const room : flushing_) {
                room->awaits_flush = false;
                room->flushing = room->pending.size();
            }
            flush_ends_ = after(context_->now, context_->options.answer_within);
            persistence_.flush(flush_.ask());
            if (!flush_.answered()) return;
        }
    }

    // ---- histories ------------------------------------------------------------------------------

    /// Errors: the storage's; nothing has changed then.
    [[nodiscard]] std::error_code erase(const std::string& board) {
        const std::error_code error = persistence_.erase(board);
        if (error) failed(board, {error, {}, {}});
        return error;
    }
    [[nodiscard]] std::error_code reset(const std::string& board, const Id& epoch) {
        const auto position = persistence_.reset(board, epoch);
        if (!position) failed(board, {position.error(), {}, {}});
        return position.error();
    }
    /// Registers an erase or a reset for the next flush.
    void await(PendingAdmin pending) { admin_.push_back(std::move(pending)); }
    [[nodiscard]] std::vector<PendingAdmin> forget_admin() {
        std::vector<PendingAdmin> all = std::exchange(admin_flushing_, {});
        for (PendingAdmin& pending : std::exchange(admin_, {})) all.push_back(std::move(pending));
        return all;
    }

    // ---- saves ----------------------------------------------------------------------------------

    /// Queues a save, of the room as it is when the save begins.
    void queue_save(RoomBase& room) { to_save_.push_back(&room); }
    /// Sets whether all queued saves begin at once.
    void save_all_now(bool all) noexcept { saves_all_now_ = all; }
    /// Begins queued saves, up to saves_max.
    void begin_saves() {
        while (may_save() && !to_save_.empty()) {
            RoomBase& room = *to_save_.front();
            to_save_.pop_front();
            ++saving_;
            ++context_->counters.saves;
            room.save_ends = after(context_->now, context_->options.answer_within);
            persistence_.save(room.id, static_cast<Room&>(room).document.snapshot(), room.position,
                              room.save.ask());
            room.waker.touch();
        }
    }
    /// Whether the save is over. Sets `error`.
    bool take_save(RoomBase& room, PersistenceError& error) {
        if (!room.save.waits()) return false;
        if (room.save.answered()) {
            std::optional<PersistenceError> answer = room.save.take();
            error = answer ? std::move(*answer)
                           : PersistenceError{
                                 RoomErrc::no_answer, {}, "the persistence dropped the save"};
            // The stored snapshot has more: the save has succeeded.
            if (error.code == RoomErrc::stale_snapshot) error = {};
        } else if (room.save_ends <= context_->now) {
            room.save.drop();
            error = {RoomErrc::no_answer, {}, "the save took longer than allowed"};
        } else {
            return false;
        }
        room.save_ends = never;
        --saving_;
        if (error) failed(room.id, error);
        if (!error) check_lagging();
        return true;
    }

    /// Removes an evicted room from all queues.
    void forget(RoomBase& room) {
        std::erase(appended_, &room);
        std::erase(flushing_, &room);
        std::erase(to_save_, &room);
        if (room.save.waits()) --saving_;
    }

private:
    [[nodiscard]] bool may_save() const noexcept {
        return saves_all_now_ || saving_ < context_->options.saves_max;
    }
    /// Returns: false if there is no answer yet.
    bool take_flush() {
        PersistenceError error;
        if (flush_.answered()) {
            std::optional<PersistenceError> answer = flush_.take();
            error = answer ? std::move(*answer)
                           : PersistenceError{
                                 RoomErrc::no_answer, {}, "the persistence dropped the flush"};
        } else if (flush_ends_ <= context_->now) {
            flush_.drop();
            error = {RoomErrc::no_answer, {}, "the flush took longer than allowed"};
        } else {
            return false;
        }
        flush_ends_ = never;
        if (error && error.rooms.empty()) {
            failed({}, error);
            lose(error);
            return true;
        }
        for (RoomBase* const room : std::exchange(flushing_, {})) {
            const PersistenceError why = of_room(error, room->id);
            why ? refuse(*room, why) : edits_.durable(*room);
        }
        for (PendingAdmin& pending : std::exchange(admin_flushing_, {}))
            admin_calls_.admin_stored(pending, of_room(error, pending.board));
        if (!error) admin_calls_.all_stored();
        check_lagging();
        return true;
    }
    [[nodiscard]] static PersistenceError of_room(const PersistenceError& error,
                                                  std::string_view id) {
        for (const auto& [room, code] : error.rooms) {
            if (room != id) continue;
            if (code == error.code) return {code, error.path, error.what, error.cure};
            return {code, {}, {}};
        }
        return {};
    }
    /// Drops all pending changes, because later ones depend on the refused one.
    void refuse(RoomBase& room, const PersistenceError& why) {
        if (std::exchange(room.awaits_flush, false)) std::erase(appended_, &room);
        // An ended history is not a failure.
        if (why.code != RoomErrc::history_reset) failed(room.id, why);
        edits_.not_durable(room, why);
    }
    /// Drops also changes that were appended since the flush began: they depend on lost ones.
    void lose(const PersistenceError& error) {
        std::vector<RoomBase*> rooms = std::exchange(flushing_, {});
        for (RoomBase* const room : std::exchange(appended_, {})) {
            room->awaits_flush = false;
            if (std::find(rooms.begin(), rooms.end(), room) == rooms.end()) rooms.push_back(room);
        }
        for (RoomBase* const room : rooms) edits_.not_durable(*room, error);
        for (PendingAdmin& pending : forget_admin()) admin_calls_.admin_stored(pending, error);
    }
    void check_lagging() {
        if constexpr (TellsLagging<Persistence>) {
            if (const std::optional<std::string> board = persistence_.lagging())
                rooms_.lagging(*board);
        }
    }
    [[nodiscard]] Result<std::uint64_t> begin(const RoomBase& room, const Id& epoch, bool again) {
        if constexpr (FanoutLike<Persistence>) {
            return persistence_.begin(room.id, epoch, again);
        } else {
            return persistence_.reset(room.id, epoch);
        }
    }
    [[nodiscard]] std::error_code refused(const RoomBase& room, const std::error_code& error) {
        failed(room.id, {error, {}, {}});
        return RoomErrc::not_durable;
    }
    void failed(const std::string& board, const PersistenceError& error) {
        ++context_->counters.storage_failures;
        context_->report_failure(board, error);
    }

    TurnContext* context_;
    Persistence persistence_;
    Edits& edits_;
    Rooms& rooms_;
    Admin& admin_calls_;
    driver::Question<PersistenceError> flush_;
    Instant flush_ends_ = never;
    std::vector<RoomBase*> appended_;  // wait for a flush
    std::vector<RoomBase*> flushing_;  // wait for the flush that is under way
    std::deque<RoomBase*> to_save_;    // wait for saves_max
    std::size_t saving_ = 0;           // saves that are under way
    bool saves_all_now_ = false;
    std::vector<PendingAdmin> admin_;  // erases and resets that wait for a flush
    std::vector<PendingAdmin> admin_flushing_;
};

}}}  // namespace belay::detail
