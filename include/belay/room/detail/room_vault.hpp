// SPDX-License-Identifier: MIT
/// \file belay/room/detail/room_vault.hpp
/// RoomVault: what a manager asks of its storage, and until when it waits for the answers.
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
#include <belay/room/fanout_like.hpp>
#include <belay/room/room_stats.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A history that ends or begins by command: its answer waits for the flush. Without one: somebody
/// waits who wants to know whether it has.
struct RoomTurn {
    std::string board;
    std::optional<Completion<PersistenceError>> done;
};

/// Loads, appends, flushes and saves. Of flushes one is under way at a time, for all rooms: what
/// is appended meanwhile waits for the next. Of saves there are few, so that no crowd of them
/// stands in a flush's way.
///
/// `Owner` has `durable(RoomBase&)`: the first `flushing` of its pending changes are;
/// `not_durable(RoomBase&, PersistenceError)`: none of them is; `failed(board, PersistenceError)`;
/// `lagging(std::string_view board)`; `turned(RoomTurn&, PersistenceError)`: it is stored, or not;
/// `all_stored()`, what should have been stored before included; `snapshot_of(RoomBase&)`.
///
/// Thread safety: the manager's home thread.
template <class Owner, PersistenceLike Persistence>
class RoomVault {
public:
    RoomVault(Owner& owner, Persistence persistence, const RoomOptions& options,
              RoomCounters& counters)
        : owner_{&owner},
          options_{&options},
          counters_{&counters},
          persistence_{std::move(persistence)} {}

    void attach(const Waker& waker) { flush_.attach(waker); }
    [[nodiscard]] Instant deadline() const noexcept {
        if (may_save() && !to_save_.empty()) return always;
        if (flush_.waits()) return smaller(flush_.deadline(), flush_ends_);
        return appended_.empty() && turns_.empty() ? never : always;
    }
    [[nodiscard]] Persistence& persistence() noexcept { return persistence_; }

    // ---- loads ---------------------------------------------------------------------------------

    void begin_load(RoomBase& room, Instant now) {
        ++counters_->loads;
        room.load_ends = after(now, options_->answer_within);
        persistence_.load(room.id, room.load.ask());
    }
    /// Whether the load is over: `error` says how, `found` what there is.
    bool take_load(RoomBase& room, Instant now, PersistenceError& error,
                   std::optional<StoredRoom>& found) {
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
        } else if (room.load_ends <= now) {
            room.load.drop();
            error = {RoomErrc::no_answer, {}, "the load took longer than allowed"};
        } else {
            return false;
        }
        room.load_ends = never;
        if (error) failed(room.id, error);
        return true;
    }

    // ---- changes -------------------------------------------------------------------------------

    /// Begins to make a change durable. A history that it begins is `first`, if that is one; what
    /// is `known` the document has already, so that it has a length that was taken once.
    /// Errors: the storage's; not_durable of too many; update_too_large of one that would not fit
    /// alone.
    [[nodiscard]] std::error_code append(RoomBase& room, BytesView update, std::uint64_t author,
                                         Random& bits, const Id& first = no_id,
                                         bool known = false) {
        const std::size_t most = options_->unflushed_bytes_max;
        if (!known && update.size() > most) return RoomErrc::update_too_large;
        if (!known && update.size() > most - smaller(most, room.pending_bytes))
            return RoomErrc::not_durable;
        const bool begins = room.epoch == no_id || (room.others && room.others->begins);
        Id epoch = room.epoch;
        if (epoch == no_id) epoch = first != no_id ? first : make_id(bits);
        if (begins) {
            const auto begun = begin(room, epoch, room.epoch != no_id);
            if (!begun) return refused(room, begun.error());
        }
        const auto position = persistence_.append(room.id, update);
        if (!position) return refused(room, position.error());
        // Not before: a flush that fails takes the reset with it, and tells those who wait for it.
        room.epoch = epoch;
        if (begins && room.others) {
            room.others->begins = false;
            room.others->unproven = true;
        }
        room.pending.push_back({{update.begin(), update.end()}, *position, author, {}, {}, known});
        room.pending_bytes += update.size();
        if (!std::exchange(room.listed, true)) appended_.push_back(&room);
        return {};
    }

    /// Takes the answer to a flush, and begins the next one, until there is something to wait for.
    void flush(Instant now) {
        while (true) {
            if (flush_.waits() && !take_flush(now)) return;
            if (appended_.empty() && turns_.empty()) return;
            flushing_.swap(appended_);
            turning_.swap(turns_);
            for (RoomBase* const room : flushing_) {
                room->listed = false;
                room->flushing = room->pending.size();
            }
            flush_ends_ = after(now, options_->answer_within);
            persistence_.flush(flush_.ask());
            if (!flush_.answered()) return;
        }
    }

    // ---- histories -----------------------------------------------------------------------------

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
    /// After one of these: the next flush is for it.
    void await(RoomTurn turn) { turns_.push_back(std::move(turn)); }
    [[nodiscard]] std::vector<RoomTurn> forget_turns() {
        std::vector<RoomTurn> all = std::exchange(turning_, {});
        for (RoomTurn& turn : std::exchange(turns_, {})) all.push_back(std::move(turn));
        return all;
    }

    // ---- saves ---------------------------------------------------------------------------------

    /// A save of the room as it is when its turn comes.
    void ask_save(RoomBase& room) { to_save_.push_back(&room); }
    /// Whether all saves that are asked for begin at once.
    void hurry(bool hurries) noexcept { hurries_ = hurries; }
    /// Begins those whose turn it is.
    void begin_saves(Instant now) {
        while (may_save() && !to_save_.empty()) {
            RoomBase& room = *to_save_.front();
            to_save_.pop_front();
            ++saving_;
            ++counters_->saves;
            room.save_ends = after(now, options_->answer_within);
            persistence_.save(room.id, owner_->snapshot_of(room), room.position, room.save.ask());
            room.waker.touch();
        }
    }
    /// Whether the save is over, and how.
    bool take_save(RoomBase& room, Instant now, PersistenceError& error) {
        if (!room.save.waits()) return false;
        if (room.save.answered()) {
            std::optional<PersistenceError> answer = room.save.take();
            error = answer ? std::move(*answer)
                           : PersistenceError{
                                 RoomErrc::no_answer, {}, "the persistence dropped the save"};
            // What is stored has more: all is well.
            if (error.code == RoomErrc::stale_snapshot) error = {};
        } else if (room.save_ends <= now) {
            room.save.drop();
            error = {RoomErrc::no_answer, {}, "the save took longer than allowed"};
        } else {
            return false;
        }
        room.save_ends = never;
        --saving_;
        if (error) failed(room.id, error);
        if (!error) ask_who_lags();
        return true;
    }

    /// A room is let go.
    void forget(RoomBase& room) {
        std::erase(appended_, &room);
        std::erase(flushing_, &room);
        std::erase(to_save_, &room);
        if (room.save.waits()) --saving_;
    }

private:
    [[nodiscard]] bool may_save() const noexcept {
        return hurries_ || saving_ < options_->saves_max;
    }
    /// Returns: false if there is no answer yet.
    bool take_flush(Instant now) {
        PersistenceError error;
        if (flush_.answered()) {
            std::optional<PersistenceError> answer = flush_.take();
            error = answer ? std::move(*answer)
                           : PersistenceError{
                                 RoomErrc::no_answer, {}, "the persistence dropped the flush"};
        } else if (flush_ends_ <= now) {
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
            why ? refuse(*room, why) : owner_->durable(*room);
        }
        for (RoomTurn& turn : std::exchange(turning_, {}))
            owner_->turned(turn, of_room(error, turn.board));
        if (!error) owner_->all_stored();
        ask_who_lags();
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
    /// What was appended since stands on what was refused.
    void refuse(RoomBase& room, const PersistenceError& why) {
        if (std::exchange(room.listed, false)) std::erase(appended_, &room);
        // That somebody has ended it is no failure.
        if (why.code != RoomErrc::history_reset) failed(room.id, why);
        owner_->not_durable(room, why);
    }
    /// What was appended since the flush began stands on what was lost.
    void lose(const PersistenceError& error) {
        std::vector<RoomBase*> rooms = std::exchange(flushing_, {});
        for (RoomBase* const room : std::exchange(appended_, {})) {
            room->listed = false;
            if (std::find(rooms.begin(), rooms.end(), room) == rooms.end()) rooms.push_back(room);
        }
        for (RoomBase* const room : rooms) owner_->not_durable(*room, error);
        for (RoomTurn& turn : forget_turns()) owner_->turned(turn, error);
    }
    void ask_who_lags() {
        if constexpr (TellsLagging<Persistence>) {
            if (const std::optional<std::string> board = persistence_.lagging())
                owner_->lagging(*board);
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
        ++counters_->storage_failures;
        owner_->failed(board, error);
    }

    Owner* owner_;
    const RoomOptions* options_;
    RoomCounters* counters_;
    Persistence persistence_;
    driver::Question<PersistenceError> flush_;
    Instant flush_ends_ = never;
    std::vector<RoomBase*> appended_;  // wait for a flush
    std::vector<RoomBase*> flushing_;  // wait for the one that is under way
    std::deque<RoomBase*> to_save_;    // wait for their turn
    std::size_t saving_ = 0;           // saves that are under way
    bool hurries_ = false;
    std::vector<RoomTurn> turns_;  // histories, likewise
    std::vector<RoomTurn> turning_;
};

}}}  // namespace belay::detail
