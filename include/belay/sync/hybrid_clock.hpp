// SPDX-License-Identifier: MIT
/// \file belay/sync/hybrid_clock.hpp
/// HybridClock: stamps that follow the wall clock, and never go back.
#pragma once

#include <algorithm>  // std::max, std::min
#include <array>      // std::array
#include <cstddef>    // std::byte
#include <utility>    // std::move

#include <belay/core/bytes.hpp>
#include <belay/core/clock_like.hpp>
#include <belay/core/result.hpp>
#include <belay/core/steady_clock.hpp>
#include <belay/sync/stamp.hpp>
#include <belay/sync/sync_errc.hpp>

namespace belay { inline namespace BELAY_ABI {

/// How a HybridClock behaves.
struct HybridClockOptions {
    /// How far the stamps of others may draw ours ahead of our wall clock; receivers refuse those
    /// that are too far ahead of theirs, see SyncOptions::skew_max.
    Duration skew_max = std::chrono::minutes{1};
    /// How much a note covers: so much time passes between two that have to be kept, and so much
    /// ahead of the wall clock the first stamp after restarts may be, however many.
    Duration note_covers = std::chrono::seconds{1};
};

/// A hybrid logical clock: each stamp is above all that it gave, and all that it saw, before; and
/// as near to the wall clock as that allows.
///
/// After a restart it goes on above all it gave and saw before, if its note was kept in time:
///
///     const Stamp stamp = clock.stamp();                              // and after saw()
///     if (clock.note_is_due()) error = journal.keep(clock.note());    // before what has the stamp
///
/// - A wall clock that goes back, or stands still, makes the counter count.
/// - A wall clock that jumped ahead, and was set right, leaves stamps in the future until it is
///   then, since they never go back: `ahead()` says how far. Receivers refuse them beyond their
///   skew_max.
/// - What others stamped draws this clock ahead by at most `skew_max`: only who stamps limits a
///   stamp, receivers take or refuse it as it is. What is further ahead is not taken over before
///   the wall clock comes near.
///
/// Thread safety: one thread at a time.
/// Source:        S. Kulkarni, M. Demirbas, D. Madappa, B. Avva, M. Leone, "Logical Physical Clocks
///                and Consistent Snapshots in Globally Distributed Databases" (2014), HLC.
template <WallClockLike WallClock = SystemClock>
class HybridClock {
public:
    /// The bytes that outlive a restart; see note().
    using Note = std::array<std::byte, 13>;

    /// Pre: `origin` is not no_id, and of nobody else; durations >= 0ns.
    explicit HybridClock(const Id& origin, WallClock clock = {}, HybridClockOptions options = {})
        : clock_{std::move(clock)}, options_{options} {
        BELAY_PRECONDITION(origin != no_id, "HybridClock: the origin must not be no_id");
        BELAY_PRECONDITION(options.skew_max >= Duration{} && options.note_covers >= Duration{},
                           "HybridClock: durations must be >= 0ns");
        last_.origin = origin;
    }

    /// Goes on above everything that the clock gave, and saw, that made this note; no bytes change
    /// nothing.
    ///
    /// Errors: store_corrupt: this is no note of a HybridClock; nothing has changed.
    [[nodiscard]] std::error_code restore(BytesView note) noexcept {
        if (note.empty()) return {};
        if (note.size() != Note{}.size() || note[0] != tag) return SyncErrc::store_corrupt;
        Stamp saved = last_;
        const auto ticks = static_cast<std::int64_t>(load_le<std::uint64_t>(note.data() + 1));
        saved.wall = WallTime{Duration{ticks}};
        saved.counter = load_le<std::uint32_t>(note.data() + 9);
        if (last_ < saved) last_ = saved;
        return {};
    }

    /// A stamp above all before.   Errors: none.   Complexity: O(1).
    [[nodiscard]] Stamp stamp() noexcept {
        const WallTime now = clock_.now();
        const Stamp next = now > last_.wall ? at(now) : detail::next_stamp(last_);
        const Stamp drawn = drawn_by_others(now);
        last_ = detail::compare_moments(next, drawn) < 0 ? drawn : next;
        return last_;
    }

    /// Takes notice of a stamp of somebody else's: ours are above it from now on, as far as
    /// `skew_max` allows.   Complexity: O(1).
    void saw(const Stamp& stamp) noexcept {
        if (detail::compare_moments(seen_, stamp) < 0) seen_ = stamp;
    }

    /// Whether stamps were given, or seen, that the last note() does not cover: keep another before
    /// what has them, or is made upon them.
    [[nodiscard]] bool note_is_due() const noexcept {
        if (last_.wall >= covered_) return true;
        return seen_.wall >= covered_ && drawn_by_others(clock_.now()).wall >= covered_;
    }

    /// What restore() needs; covers the stamps of the next `note_covers`, too.
    [[nodiscard]] Note note() noexcept {
        const WallTime now = clock_.now();
        const Stamp drawn = drawn_by_others(now);
        const Stamp& latest = detail::compare_moments(last_, drawn) < 0 ? drawn : last_;
        // Above all stamps before `covered_`. Ahead of the wall clock it only counts: what is
        // covered does not get further ahead with each restart.
        covered_ = detail::later(latest.wall, std::min(options_.note_covers, Duration{1}));
        covered_ = std::max(covered_, detail::later(now, options_.note_covers));
        Note bytes{};
        bytes[0] = tag;
        const bool covers_more = covered_ > latest.wall;
        const auto ticks = covered_.time_since_epoch().count();
        store_le<std::uint64_t>(bytes.data() + 1, static_cast<std::uint64_t>(ticks));
        store_le<std::uint32_t>(bytes.data() + 9, covers_more ? 0 : latest.counter);
        return bytes;
    }

    /// How far the last stamp is ahead of the wall clock; 0ns if it is not.
    [[nodiscard]] Duration ahead() const noexcept {
        const WallTime now = clock_.now();
        return last_.wall > now ? elapsed(Instant{now.time_since_epoch()},
                                          Instant{last_.wall.time_since_epoch()})
                                : Duration{};
    }

    [[nodiscard]] const Id& origin() const noexcept { return last_.origin; }

private:
    static constexpr std::byte tag{0xC1};

    [[nodiscard]] Stamp at(WallTime wall, std::uint32_t counter = 0) const noexcept {
        return {wall, counter, last_.origin};
    }
    /// The least stamp that what was seen leaves us, within skew_max.
    [[nodiscard]] Stamp drawn_by_others(WallTime now) const noexcept {
        const WallTime furthest = detail::later(now, options_.skew_max);
        if (seen_.wall > furthest) return at(furthest);
        return detail::next_stamp(at(seen_.wall, seen_.counter));
    }

    [[no_unique_address]] WallClock clock_;
    HybridClockOptions options_;
    Stamp last_{WallTime::min(), 0, no_id};
    Stamp seen_{WallTime::min(), 0, no_id};
    WallTime covered_ = WallTime::min();
};

}}  // namespace belay
