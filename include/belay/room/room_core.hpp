// SPDX-License-Identifier: MIT
/// \file belay/room/room_core.hpp
/// RoomCore: decides when a room is loaded, saved and evicted; has no documents or clients.
#pragma once

#include <cstddef>  // std::size_t
#include <cstdint>  // std::uint8_t

#include <belay/core/instant.hpp>
#include <belay/core/order.hpp>
#include <belay/core/random.hpp>
#include <belay/room/room_options.hpp>

namespace belay { inline namespace BELAY_ABI { namespace timeline {

/// Decides when one room is loaded, saved and evicted, as a value without documents or clients.
///
/// `step(event, turn)` returns what must be done, and the owner does it.
///
/// | state           | event                             | next            | actions              |
/// |-----------------|-----------------------------------|-----------------|----------------------|
/// | loading         | loaded                            | clean           |                      |
/// | loading         | load_failed                       | over            | close_clients, evict |
/// | any             | lost                              | loading         | load                 |
/// | clean           | applied, uncovered                | due             |                      |
/// | clean           | loaded_uncovered                  | due_optional    |                      |
/// | clean           | save_requested                    | saving_optional | save                 |
/// | clean           | save_requested, after a failure   | due_optional    |                      |
/// | due             | save_requested                    | saving          | save                 |
/// | due             | save_requested, after a failure   | due             |                      |
/// | due             | tick, when the save is due        | saving          | save                 |
/// | due_optional    | applied, uncovered                | due             |                      |
/// | due_optional    | saved_elsewhere                   | clean           |                      |
/// | due_optional    | save_requested                    | saving_optional | save                 |
/// | due_optional    | tick, when the save is due        | saving_optional | save                 |
/// | saving          | applied, uncovered                | saving_changed  |                      |
/// | saving          | loaded_uncovered                  | saving_changed  |                      |
/// | saving          | saved                             | clean           |                      |
/// | saving          | save_failed, save_rejected        | due             |                      |
/// | saving_changed  | saved, save_failed, save_rejected | due             |                      |
/// | saving_optional | applied, uncovered                | saving_changed  |                      |
/// | saving_optional | loaded_uncovered                  | saving_changed  |                      |
/// | saving_optional | saved, save_failed, save_rejected | clean           |                      |
/// | loading         | stop                              | over            | evict                |
/// | clean           | stop                              | over            | evict                |
/// | due             | stop                              | saving          | save                 |
/// | due_optional    | stop                              | over            | evict                |
/// | saving_optional | stop                              | over            | evict                |
/// | saving          | saved, while it stops             | over            | evict                |
/// | saving          | save_rejected, while it stops     | over            | evict                |
/// | saving_changed  | saved, while it stops             | saving          | save                 |
/// | saving_changed  | save_rejected, while it stops     | over            | evict                |
/// | clean           | lost, while it stops              | over            | evict                |
/// | due             | lost, while it stops              | saving          | save                 |
/// | due_optional    | lost, while it stops              | over            | evict                |
/// | saving          | lost, while it stops              | saving          |                      |
/// | saving_changed  | lost, while it stops              | saving_changed  |                      |
/// | saving_optional | lost, while it stops              | over            | evict                |
/// | clean           | tick, when idle for unload_after  | over            | evict                |
/// | due             | tick, when idle for unload_after  | saving          | save                 |
/// | due_optional    | tick, when idle for unload_after  | saving_optional | save                 |
/// | saving          | saved, when idle                  | over            | evict                |
/// | saving_changed  | saved, when idle                  | saving          | save                 |
/// | saving_optional | saved, when idle                  | over            | evict                |
/// | saving_optional | save_failed, when idle            | over            | evict                |
/// | saving_optional | save_rejected, when idle          | over            | evict                |
///
/// `any` stands for all states but loading and over. The table is that of a room with a
/// client and without pending changes. Unless a row states otherwise, it is not held, it does not
/// stop, and its last save has not failed. Other pairs of a state and an event keep the state, and
/// return no action. A room that is loaded again has the state after it that it had before. Each
/// event also does what a tick at its time would do then.
///
/// `when idle` stands for a room without a client, at a sweep unload_after or more after its last
/// activity. `lost` ends the pending changes for which a stop has waited.
///
/// - A change is `appended`, and pending. Then it is `applied`: it is durable, and in the document.
///   Or it is `lost`, with all other pending changes, and the room is loaded again. Or it is
///   `dropped`, if the room need not be loaded again.
/// - A save is due RoomOptions::save_after after the last change, and at most `save_within` after
///   the first change that no save covers. A save that failed is tried again, after growing delays.
/// - A room without clients is evicted at the first sweep that is unload_after or more after the
///   last activity, when it is clean. A client that joins before keeps it.
/// - A save that goes on failing keeps the room. `evictable` reports whether the owner can evict it
///   for another one, also unsaved, because the storage has its changes.
/// - An optional save neither keeps the room, nor delays a stop. If it fails, it is not tried again
///   before the next load, or before the storage requests it again.
/// - A room that is held (`hold`) is not evicted. The storage may lack changes that only this room
///   has.
/// - A stop waits for pending changes, and for the save that is under way, unless it is optional. A
///   save that failed is tried again after at most `retry_min`, until it succeeds or is
///   `save_rejected`. The owner must limit that time.
///
/// Usable in constant expressions, so that a static_assert can prove a timeline.
/// Thread safety: a plain value.
class RoomCore {
public:
    /// The wait after a failure, such as a failed save, doubles from `retry_min` to `retry_max`. Up
    /// to half of it is subtracted at random. A storage that restarts is back within a second. One
    /// that is down for long is not called more often than once a minute for each room.
    static constexpr Duration retry_min = std::chrono::seconds{1};
    static constexpr Duration retry_max = std::chrono::minutes{1};  ///< see retry_min
    /// Returns the wait after the last of so many failures.   Pre: failures is from 1 to 32.
    [[nodiscard]] static constexpr Duration retry_wait(unsigned failures, Random& bits) noexcept {
        const std::uint64_t factor = std::uint64_t{1} << (failures - 1);
        const Duration nominal =
            detail::smaller(part::saturating_multiply(retry_min, factor), retry_max);
        const auto half = static_cast<std::uint64_t>(nominal.count() / 2);
        return nominal - Duration{static_cast<std::int64_t>(uniform_upto(bits, half))};
    }

    /// Whether a room is loaded, and whether its document has changes that no snapshot covers.
    enum class State : std::uint8_t {
        loading,          ///< requested from the storage, at first or again
        clean,            ///< live; no save is due or under way
        due,              ///< live; a save is due at a time
        due_optional,     ///< live; a save is due at a time, and no change needs it
        saving,           ///< live; a save is under way
        saving_changed,   ///< live; a save is under way, and does not cover later changes
        saving_optional,  ///< live; a save is under way, and no change needs it
        over              ///< evicted, and nothing follows
    };
    /// The events of a room.
    enum class Event : std::uint8_t {
        loaded,          ///< the requested load has succeeded
        load_failed,     ///< it has failed
        joined,          ///< a client has joined
        left,            ///< a client has left
        used,            ///< the room was used, but no client joined
        appended,        ///< a change waits to become durable
        applied,         ///< the oldest of these changes is durable, and in the document
        lost,            ///< the changes that wait will not become durable
        dropped,         ///< likewise, but the document is valid all the same
        saved,           ///< the requested save has succeeded
        save_failed,     ///< it has failed
        save_requested,  ///< the storage requests a save now
        stop,            ///< the room must be saved and evicted
        tick,            ///< time has passed
        uncovered,       ///< the last save may not have covered a change that is durable
        save_rejected,   ///< the requested save has failed, and would fail again if it was repeated
        /// The load brought many changes that no snapshot covers. Other servers may save them, too.
        loaded_uncovered,
        saved_elsewhere  ///< another server has saved such changes
    };
    /// Whether a room can be evicted for another one. Lower ones are better to evict.
    enum class Evictable : std::uint8_t {
        saved,       ///< no change waits for a save; an optional save may
        saves_fail,  ///< its last save has failed
        unsaved,     ///< its next save has not ended
        no           ///< it is in use, or the storage may lack changes that it has
    };
    /// The actions that the owner must take.
    struct Actions {
        bool load = false;           ///< request the room from the storage
        bool save = false;           ///< give it a snapshot of the document as it is now
        bool close_clients = false;  ///< also those that wait; all of them try again later
        bool evict = false;          ///< evict the room; nothing follows

        friend constexpr bool operator==(const Actions&, const Actions&) noexcept = default;
    };

    /// Makes a room that is loading. The sweeps of all rooms are counted from `started`.
    constexpr RoomCore(Instant started, const RoomOptions& options, Instant now) noexcept
        : options_{&options}, started_{started}, last_activity_{now} {}

    /// Processes an event, and returns what must be done.
    [[nodiscard]] constexpr Actions step(Event event, Turn& turn) noexcept {
        BELAY_PRECONDITION(phase_ != Phase::over, "RoomCore::step: the room must not be over");
        switch (event) {
            case Event::loaded:
                return on_loaded(turn.now);
            case Event::load_failed:
                phase_ = Phase::over;
                return {.close_clients = true, .evict = true};
            case Event::joined:
                ++clients_;
                last_activity_ = turn.now;
                break;
            case Event::left:
                BELAY_PRECONDITION(clients_ != 0, "RoomCore::step: a client must have joined");
                --clients_;
                last_activity_ = turn.now;
                break;
            case Event::used:
                last_activity_ = turn.now;
                break;
            case Event::appended:
                ++unflushed_;
                last_activity_ = turn.now;
                break;
            case Event::applied:
                on_applied(turn.now);
                break;
            case Event::lost:
                return on_lost(turn.now);
            case Event::dropped:
                unflushed_ = 0;
                break;
            case Event::saved:
                save_.state = save_.waits() ? State::due : State::clean;
                save_.failures = 0;
                break;
            case Event::save_rejected:
                save_.gave_up = stopping_;
                on_save_failed(turn);
                break;
            case Event::save_failed:
                on_save_failed(turn);
                break;
            case Event::save_requested:
                if (phase_ != Phase::live || saving()) break;
                if (save_.state == State::clean) need_optional(turn.now);
                if (save_.failures == 0) save_.at = turn.now;
                break;
            case Event::stop:
                stopping_ = true;
                save_.failures = 0;  // the next save does not wait
                break;
            case Event::tick:
                break;
            case Event::uncovered:
                if (phase_ != Phase::live) break;
                if (!save_.waits() || save_.optional()) on_changed(turn.now);
                break;
            case Event::loaded_uncovered:
                if (phase_ == Phase::live && !save_.waits()) on_loaded_uncovered(turn);
                break;
            case Event::saved_elsewhere:
                if (save_.state == State::due_optional) save_.state = State::clean;
                break;
        }
        return decide(turn.now);
    }

    /// Holds the room, or releases it. It takes effect at the next step.
    constexpr void hold(bool held) noexcept { held_ = held; }

    /// Returns when the next tick is due.
    [[nodiscard]] constexpr Instant deadline() const noexcept {
        if (phase_ != Phase::live) return never;
        // A room that is stopped waits for its owner, except for the retry of a save.
        if (stopping_) return retries_to_stop() ? save_.at : never;
        const Instant save = save_.waits() && !saving() ? save_.at : never;
        return detail::smaller(save, evict_at());
    }

    /// Returns `loading` or `over`; while the room is live, the state of its saves.
    [[nodiscard]] constexpr State state() const noexcept {
        if (phase_ == Phase::live) return save_.state;
        return phase_ == Phase::loading ? State::loading : State::over;
    }
    /// Returns whether the document is in memory, and neither loading nor over.
    [[nodiscard]] constexpr bool live() const noexcept { return phase_ == Phase::live; }
    /// Returns whether its load was requested, and not answered yet.
    [[nodiscard]] constexpr bool loading() const noexcept { return phase_ == Phase::loading; }
    /// Returns whether something in the document is not in a stored snapshot.
    [[nodiscard]] constexpr bool dirty() const noexcept { return save_.state != State::clean; }
    /// Returns whether the room would be evicted if it were not held.
    [[nodiscard]] constexpr bool held_back() const noexcept {
        return held_ && phase_ == Phase::live && (eviction_due_ || stopping_);
    }
    /// Returns whether the room can be evicted at once for another one. It has no clients then, and
    /// the storage has all of its changes, at least as updates. The owner must not evict it while
    /// the storage is saving it; one that has not begun can be dropped.
    [[nodiscard]] constexpr Evictable evictable() const noexcept {
        if (phase_ != Phase::live || clients_ != 0 || unflushed_ != 0 || held_)
            return Evictable::no;
        if (!dirty() || save_.optional()) return Evictable::saved;
        return save_.failures != 0 ? Evictable::saves_fail : Evictable::unsaved;
    }
    /// Returns whether a save is under way, also an optional one.
    [[nodiscard]] constexpr bool saving() const noexcept { return save_.state >= State::saving; }
    /// Returns how many clients have joined and not left.
    [[nodiscard]] constexpr std::size_t clients() const noexcept { return clients_; }
    /// Returns how many changes wait to become durable.
    [[nodiscard]] constexpr std::size_t unflushed() const noexcept { return unflushed_; }
    /// Returns when a client last joined, left, changed or used something; at first, its creation.
    [[nodiscard]] constexpr Instant last_activity() const noexcept { return last_activity_; }

    /// Calls `f` with the name and the value of each number that it decides by, for sim::exhaust.
    /// Times are what is left.
    template <class F>
    constexpr void each_field(Instant now, F&& f) const {
        f("phase", phase_);
        f("clients", clients_);
        f("unflushed", unflushed_);
        f("stopping", stopping_);
        f("held", held_);
        f("save.failures", save_.failures);
        f("saving", saving());
        f("save.gave_up", save_.gave_up);
        f("save.optional", save_.optional());
        f("save.at", part::time_left(now, save_.at));
        // Times in the past decide nothing, except that of the change that begins save_within.
        // It also gives the state of the save: the value for a room where nothing waits for a save
        // differs from all times, also from `never`.
        f("save.dirty_since", save_.waits()
                                  ? part::time_left(now, after(save_.dirty_since, save_within()))
                                  : Duration{-2});
        // After each step, eviction_due_ and the end of the idle time follow from this sweep.
        f("sweep_after_idle", part::time_left(now, sweep_after_idle()));
        f("started", elapsed(started_, now) % sweep_every());
    }

private:
    enum class Phase : std::uint8_t { loading, live, over };
    /// When the next save is due, and whether it is needed. A room that is loaded again keeps its
    /// state, which is one of the live ones.
    struct SaveState {
        Instant at = never;
        Instant dirty_since = never;
        unsigned failures = 0;  ///< since the last save that succeeded
        State state = State::clean;
        bool gave_up = false;  ///< a save was rejected while the room was being stopped

        /// Whether the document has something that no save covers, also not one under way.
        [[nodiscard]] constexpr bool waits() const noexcept {
            return state == State::due || state == State::due_optional ||
                   state == State::saving_changed;
        }
        /// Whether no change needs the save that is due or under way.
        [[nodiscard]] constexpr bool optional() const noexcept {
            return state == State::due_optional || state == State::saving_optional;
        }
    };
    constexpr Actions on_loaded(Instant now) noexcept {
        BELAY_PRECONDITION(phase_ == Phase::loading, "RoomCore::step: the room must be loading");
        phase_ = Phase::live;
        last_activity_ = detail::larger(last_activity_, now);
        return decide(now);
    }
    constexpr void on_applied(Instant now) noexcept {
        BELAY_PRECONDITION(unflushed_ != 0, "RoomCore::step: a change must have been appended");
        --unflushed_;
        on_changed(now);
    }
    constexpr void on_changed(Instant now) noexcept {
        const bool retries = save_.failures != 0 && (save_.waits() || save_.at > now);
        if (!save_.waits()) save_.dirty_since = now;
        save_.state = saving() ? State::saving_changed : State::due;
        const Instant due = detail::smaller(after(now, options_->save_after),
                                            after(save_.dirty_since, save_within()));
        // A save that failed waits for its retry, regardless of how busy the room is. The retry of
        // an optional one may be over, and nothing was saved then.
        save_.at = retries ? detail::larger(save_.at, now) : due;
    }
    /// A draw spreads the saves of servers that load a room at one instant, as after a failover.
    constexpr void on_loaded_uncovered(Turn& turn) noexcept {
        const Duration spread = save_within() - options_->save_after;
        const auto most = static_cast<std::uint64_t>(spread.count());
        const auto drawn = static_cast<std::int64_t>(uniform_upto(turn.bits, most));
        need_optional(turn.now);
        save_.at = after(turn.now, options_->save_after + Duration{drawn});
    }
    constexpr void need_optional(Instant now) noexcept {
        // The save under way may cover changes.
        save_.state = saving() ? State::saving_changed : State::due_optional;
        save_.dirty_since = now;
    }
    constexpr Actions on_lost(Instant now) noexcept {
        unflushed_ = 0;
        if (stopping_) return decide_to_stop(now);
        if (phase_ != Phase::live) return {};
        phase_ = Phase::loading;
        return {.load = true};
    }
    constexpr void on_save_failed(Turn& turn) noexcept {
        if (!save_.waits()) save_.dirty_since = turn.now;
        save_.state = save_.state == State::saving_optional ? State::clean : State::due;
        if (save_.failures < 32) ++save_.failures;
        // Growing delays would use up the time of a stop.
        save_.at = after(turn.now, retry_wait(stopping_ ? 1 : save_.failures, turn.bits));
    }
    /// The wait for a pause of an author. A room that is edited all day is saved in each such time.
    [[nodiscard]] constexpr Duration save_within() const noexcept {
        return part::saturating_multiply(options_->save_after, 6);
    }
    /// The time between two sweeps. Rooms that became idle one after the other are evicted
    /// together, and none stays for much longer than it must.
    [[nodiscard]] constexpr Duration sweep_every() const noexcept {
        return detail::larger(options_->unload_after / 6, Duration{1});
    }
    /// Returns the first sweep at which the room may be evicted.
    [[nodiscard]] constexpr Instant evict_at() const noexcept {
        if (clients_ != 0 || unflushed_ != 0 || saving() || eviction_due_) return never;
        return sweep_after_idle();
    }
    [[nodiscard]] constexpr Instant sweep_after_idle() const noexcept {
        const Instant idle = after(last_activity_, options_->unload_after);
        if (idle == never) return never;
        const auto since = static_cast<std::uint64_t>(elapsed(started_, idle).count());
        const auto every = static_cast<std::uint64_t>(sweep_every().count());
        const std::uint64_t sweeps = since / every + (since % every != 0 ? 1 : 0);
        return after(started_, part::saturating_multiply(sweep_every(), sweeps));
    }
    constexpr Actions decide(Instant now) noexcept {
        if (stopping_) return decide_to_stop(now);
        if (phase_ != Phase::live) return {};
        if (clients_ != 0 || unflushed_ != 0) eviction_due_ = false;
        if (evict_at() <= now) eviction_due_ = true;
        if (eviction_due_ && last_activity_ > before(now, options_->unload_after))
            eviction_due_ = false;
        if (saving()) return {};
        if (save_.waits()) {
            // A room that is being evicted does not wait for save_after, but does wait to retry a
            // failed save.
            if (save_.at > now && !(eviction_due_ && save_.failures == 0)) return {};
            return begin_save();
        }
        if (!eviction_due_ || held_) return {};
        phase_ = Phase::over;
        return {.evict = true};
    }
    constexpr Actions decide_to_stop(Instant now) noexcept {
        if ((saving() && !save_.optional()) || unflushed_ != 0 || held_back()) return {};
        // The storage has all changes, so a stop does not wait for a save that none needs.
        if (save_.optional()) save_.state = State::clean;
        // While it loads, there is no document to save.
        if (save_.waits() && !save_.gave_up && phase_ == Phase::live)
            return retries_to_stop() && save_.at > now ? Actions{} : begin_save();
        phase_ = Phase::over;
        return {.evict = true};
    }
    /// Whether a save that failed while the room was being stopped waits for its retry.
    [[nodiscard]] constexpr bool retries_to_stop() const noexcept {
        return stopping_ && save_.waits() && save_.failures != 0 && !saving() && unflushed_ == 0 &&
               !held_ && !save_.gave_up;
    }
    constexpr Actions begin_save() noexcept {
        save_.state = save_.optional() ? State::saving_optional : State::saving;
        return {.save = true};
    }

    const RoomOptions* options_;
    Instant started_;
    Instant last_activity_;
    SaveState save_{};
    std::size_t clients_ = 0;
    std::size_t unflushed_ = 0;
    Phase phase_ = Phase::loading;
    bool eviction_due_ = false;
    bool stopping_ = false;
    bool held_ = false;
};

}}}  // namespace belay::timeline
