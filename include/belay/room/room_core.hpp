// SPDX-License-Identifier: MIT
/// \file belay/room/room_core.hpp
/// RoomCore: when a room is loaded, saved and let go; a value without documents or clients.
#pragma once

#include <cstddef>  // std::size_t
#include <cstdint>  // std::uint8_t

#include <belay/core/order.hpp>
#include <belay/core/turn.hpp>
#include <belay/room/room_options.hpp>

namespace belay { inline namespace BELAY_ABI { namespace timeline {

/// Decides about one room: `step(event, turn)` answers what is to be done, and the owner does it.
///
/// - It begins `loading`. What fails to load is refused, and never saved.
/// - A change is `appended`, and then either `entered` (it is durable, and in the document) or
///   `lost`, with all others that were not durable: the room is loaded again; or `dropped`, where
///   it need not be.
/// - A save is due RoomOptions::save_after the last change, and at most save_within after the first
///   that no save covers. One is under way at a time; one that failed is tried again.
/// - Without clients it is let go at the first sweep unload_after the last activity; never while
///   anything is not durable or not saved. A client that comes meanwhile keeps it.
///
/// Usable in constant expressions, so that timelines can be proven.
/// Thread safety: a plain value.
class RoomCore {
public:
    enum class Event : std::uint8_t {
        loaded,       ///< the load that was asked for is there
        load_failed,  ///< it is not
        joined,       ///< a client came
        left,         ///< a client went
        touched,      ///< somebody asked for the room without becoming a client
        appended,     ///< a change waits to become durable
        entered,      ///< the oldest of these is durable, and in the document
        lost,         ///< those that wait will not become durable
        dropped,      ///< likewise, and the document stands all the same
        saved,        ///< the save that was asked for is done
        save_failed,  ///< it is not
        hurried,      ///< the storage wants a save now
        stop,         ///< save, and let go
        tick          ///< time has passed
    };
    /// What is to be done.
    struct Actions {
        bool load = false;    ///< ask the storage for the room
        bool save = false;    ///< give it a snapshot of the document as it is now
        bool refuse = false;  ///< who waits, or is a client, is told to try again later
        bool unload = false;  ///< let the room go; nothing follows

        friend constexpr bool operator==(const Actions&, const Actions&) noexcept = default;
    };

    /// `started` is where the sweeps of all rooms begin.
    constexpr RoomCore(Instant started, const RoomOptions& options, Instant now) noexcept
        : options_{&options}, started_{started}, last_activity_{now} {}

    [[nodiscard]] constexpr Actions step(Event event, Turn& turn) noexcept {
        BELAY_PRECONDITION(phase_ != Phase::over, "RoomCore::step: it must not be over");
        switch (event) {
            case Event::loaded:
                return on_loaded(turn.now);
            case Event::load_failed:
                phase_ = Phase::over;
                return {.refuse = true, .unload = true};
            case Event::joined:
                ++clients_;
                last_activity_ = turn.now;
                break;
            case Event::left:
                BELAY_PRECONDITION(clients_ != 0, "RoomCore::step: a client must have joined");
                --clients_;
                last_activity_ = turn.now;
                break;
            case Event::touched:
                last_activity_ = turn.now;
                break;
            case Event::appended:
                ++unflushed_;
                last_activity_ = turn.now;
                break;
            case Event::entered:
                on_entered(turn.now);
                break;
            case Event::lost:
                return on_lost();
            case Event::dropped:
                unflushed_ = 0;
                break;
            case Event::saved:
                saving_ = false;
                failures_ = 0;
                break;
            case Event::save_failed:
                on_save_failed(turn);
                break;
            case Event::hurried:
                if (phase_ != Phase::live || saving_) break;
                if (!dirty_) dirty_since_ = turn.now;
                dirty_ = true;
                if (failures_ == 0) save_at_ = turn.now;
                break;
            case Event::stop:
                stopping_ = true;
                break;
            case Event::tick:
                break;
        }
        return decide(turn.now);
    }

    /// When it wants a tick.
    [[nodiscard]] constexpr Instant deadline() const noexcept {
        if (phase_ != Phase::live) return never;
        const Instant save = dirty_ && !saving_ ? save_at_ : never;
        return smaller(save, unload_at());
    }

    [[nodiscard]] constexpr bool live() const noexcept { return phase_ == Phase::live; }
    [[nodiscard]] constexpr bool loading() const noexcept { return phase_ == Phase::loading; }
    /// Whether something in the document is not in a snapshot that is stored.
    [[nodiscard]] constexpr bool dirty() const noexcept { return dirty_ || saving_; }
    [[nodiscard]] constexpr bool saving() const noexcept { return saving_; }
    [[nodiscard]] constexpr std::size_t clients() const noexcept { return clients_; }
    [[nodiscard]] constexpr std::size_t unflushed() const noexcept { return unflushed_; }
    [[nodiscard]] constexpr Instant last_activity() const noexcept { return last_activity_; }

private:
    enum class Phase : std::uint8_t { loading, live, over };
    template <class T>
    [[nodiscard]] static constexpr T smaller(T a, T b) noexcept {
        return detail::smaller(a, b);
    }

    constexpr Actions on_loaded(Instant now) noexcept {
        BELAY_PRECONDITION(phase_ == Phase::loading, "RoomCore::step: it must be loading");
        phase_ = Phase::live;
        last_activity_ = detail::larger(last_activity_, now);
        return decide(now);
    }
    constexpr void on_entered(Instant now) noexcept {
        BELAY_PRECONDITION(unflushed_ != 0, "RoomCore::step: a change must have been appended");
        --unflushed_;
        if (!dirty_) dirty_since_ = now;
        dirty_ = true;
        const Instant due =
            smaller(after(now, options_->save_after), after(dirty_since_, options_->save_within));
        // What failed waits its time, however busy the room is.
        save_at_ = failures_ != 0 ? detail::larger(save_at_, now) : due;
    }
    constexpr Actions on_lost() noexcept {
        unflushed_ = 0;
        if (stopping_) return decide_to_stop();
        if (phase_ != Phase::live) return {};
        phase_ = Phase::loading;
        return {.load = true};
    }
    constexpr void on_save_failed(Turn& turn) noexcept {
        saving_ = false;
        if (!dirty_) dirty_since_ = turn.now;
        dirty_ = true;
        if (stopping_) gave_up_ = true;
        if (failures_ < 32) ++failures_;
        const Duration nominal =
            smaller(part::saturating_multiply(options_->save_retry_min,
                                              std::uint64_t{1} << (failures_ - 1)),
                    options_->save_retry_max);
        const auto half = static_cast<std::uint64_t>(nominal.count() / 2);
        const auto drawn = static_cast<std::int64_t>(uniform_upto(turn.bits, half));
        save_at_ = after(turn.now, nominal - Duration{drawn});
    }
    /// The first sweep at which it may go.
    [[nodiscard]] constexpr Instant unload_at() const noexcept {
        if (clients_ != 0 || unflushed_ != 0 || saving_ || leaving_) return never;
        const Instant idle = after(last_activity_, options_->unload_after);
        if (idle == never) return never;
        const auto since = static_cast<std::uint64_t>(elapsed(started_, idle).count());
        const auto every = static_cast<std::uint64_t>(options_->sweep_every.count());
        const std::uint64_t sweeps = since / every + (since % every != 0 ? 1 : 0);
        return after(started_, part::saturating_multiply(options_->sweep_every, sweeps));
    }
    constexpr Actions decide(Instant now) noexcept {
        if (stopping_) return decide_to_stop();
        if (phase_ != Phase::live) return {};
        if (clients_ != 0 || unflushed_ != 0) leaving_ = false;
        if (unload_at() <= now) leaving_ = true;
        if (leaving_ && last_activity_ > before(now, options_->unload_after)) leaving_ = false;
        if (saving_) return {};
        if (dirty_) {
            // A room that is to go does not wait for its debounce, but for a save that failed.
            if (save_at_ > now && !(leaving_ && failures_ == 0)) return {};
            return begin_save();
        }
        if (!leaving_) return {};
        phase_ = Phase::over;
        return {.unload = true};
    }
    constexpr Actions decide_to_stop() noexcept {
        if (phase_ == Phase::loading) dirty_ = false;  // nothing of it is here
        if (saving_ || unflushed_ != 0) return {};
        if (dirty_ && !gave_up_) return begin_save();
        phase_ = Phase::over;
        return {.unload = true};
    }
    constexpr Actions begin_save() noexcept {
        saving_ = true;
        dirty_ = false;
        return {.save = true};
    }

    const RoomOptions* options_;
    Instant started_;
    Instant last_activity_;
    Instant save_at_ = never;
    Instant dirty_since_ = never;
    std::size_t clients_ = 0;
    std::size_t unflushed_ = 0;
    unsigned failures_ = 0;
    Phase phase_ = Phase::loading;
    bool dirty_ = false;
    bool saving_ = false;
    bool leaving_ = false;
    bool stopping_ = false;
    bool gave_up_ = false;
};

}}}  // namespace belay::timeline
