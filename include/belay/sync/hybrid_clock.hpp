// SPDX-License-Identifier: MIT
/// \file belay/sync/hybrid_clock.hpp
/// HybridClock: makes stamps that follow the wall clock and never go back.
#pragma once

#include <algorithm>  // std::max, std::min
#include <array>      // std::array
#include <cstddef>    // std::byte
#include <utility>    // std::move

#include <belay/core/bytes.hpp>
#include <belay/core/clocks.hpp>
#include <belay/core/result.hpp>
#include <belay/sync/stamp.hpp>
#include <belay/sync/sync_errc.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Options of a HybridClock.
struct HybridClockOptions {
    /// How far stamps of other clients may draw this clock ahead of its wall clock.
    Duration skew_max = std::chrono::minutes{1};
    /// The time that a note covers. This much time passes between two notes that must be stored.
    /// The first stamp after any number of restarts may be this far ahead of the wall clock.
    Duration note_covers = std::chrono::seconds{1};
};

/// A hybrid logical clock, whose stamps follow the wall clock and never go back.
///
/// Each stamp is above all stamps that the clock has returned and seen before, and as near to the
/// wall clock as that allows. This also holds after a restart, if the note of the clock was stored
/// in time:
///
///     const Stamp stamp = clock.stamp();                              // and after saw()
///     if (clock.note_is_due()) error = journal.keep(clock.note());    // before what has the stamp
///     if (error) clock.forget_note();                                 // it was not stored
///
/// - If the wall clock goes back or stands still, the counter increases.
/// - If the wall clock jumped ahead and was corrected, stamps stay in the future until that time.
///   They never go back. `ahead()` returns how far ahead they are. Beyond SyncOptions::skew_max,
///   processors keep operations without `saw`.
/// - Stamps of other clients draw this clock ahead of its wall clock by at most `skew_max`. Only
///   the clock that makes a stamp limits it: receivers accept or reject a stamp as it is. The clock
///   goes above a stamp further ahead only when the wall clock comes near to it.
///
/// Thread safety: one thread at a time.
/// Source:        S. Kulkarni, M. Demirbas, D. Madappa, B. Avva, M. Leone, "Logical Physical Clocks
///                and Consistent Snapshots in Globally Distributed Databases" (2014), HLC.
template <WallClockLike WallClock = SystemClock>
class HybridClock {
public:
    /// The bytes that preserve the clock over a restart; see note().
    using Note = std::array<std::byte, 13>;

    /// Constructs a clock whose stamps have this origin.
    ///
    /// Pre: `origin` is not no_id, and no other clock uses it; durations >= 0ns.
    explicit HybridClock(const Id& origin, WallClock clock = {}, HybridClockOptions options = {})
        : clock_{std::move(clock)}, options_{options} {
        BELAY_OPTION(origin != no_id, "HybridClock: the origin must not be no_id");
        BELAY_OPTION(options.skew_max >= Duration{} && options.note_covers >= Duration{},
                     "HybridClock: durations must be >= 0ns");
        last_.origin = origin;
    }

    /// Continues above everything that the clock which made this note had returned and seen.
    ///
    /// An empty note changes nothing.
    /// Errors: store_corrupt if the bytes are not a note of a HybridClock; nothing has changed
    ///         then.
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

    /// Returns a stamp above all earlier ones.   Complexity: O(1).
    /// Errors: none. At the end of time no stamp is above the last one, and it returns that again.
    ///         For edits use stamp_above(), which then has an error.
    [[nodiscard]] Stamp stamp() noexcept {
        const WallTime now = clock_.now();
        const Stamp next = now > last_.wall ? at(now) : detail::next_stamp(last_);
        const Stamp drawn = drawn_by_others(now);
        last_ = detail::compare_moments(next, drawn) < 0 ? drawn : next;
        return last_;
    }

    /// Returns a stamp for an edit of the version `seen`: above `seen`, however far that is ahead.
    ///
    /// Use it for each edit of an element that exists, with the stamp of the newest version that
    /// the author knows, own edits included. The clock itself stays where it is, so the edits of
    /// other elements keep the time of its wall clock. The stamps of edits of two elements may be
    /// equal then. Errors: end_of_time if no stamp is above `seen`.   Complexity: O(1).
    [[nodiscard]] Result<Stamp> stamp_above(const Stamp& seen) noexcept {
        const Stamp next = stamp();
        if (seen < next) return next;
        const Stamp lifted = detail::stamp_above(seen, origin());
        if (!(seen < lifted)) return SyncErrc::end_of_time;
        return lifted;
    }

    /// Records a stamp of another client. From now on the stamps of this clock are above it, as far
    /// as `skew_max` allows.   Complexity: O(1).
    void saw(const Stamp& stamp) noexcept {
        if (detail::compare_moments(seen_, stamp) < 0) seen_ = stamp;
    }

    /// Returns whether the last note() does not cover all stamps that were returned or seen.
    ///
    /// If so, store another note before you store data that has these stamps, or is based on them.
    [[nodiscard]] bool note_is_due() const noexcept {
        if (last_.wall >= covered_) return true;
        return seen_.wall >= covered_ && drawn_by_others(clock_.now()).wall >= covered_;
    }

    /// Returns the bytes for restore(), which also cover the stamps of the next `note_covers`.
    ///
    /// Until then, no note is due: call forget_note() if this one could not be stored.
    [[nodiscard]] Note note() noexcept {
        const WallTime now = clock_.now();
        const Stamp drawn = drawn_by_others(now);
        const Stamp& latest = detail::compare_moments(last_, drawn) < 0 ? drawn : last_;
        // The note is above all stamps before `covered_`. A clock that is ahead of the wall clock
        // only counts, so that restarts do not move it further ahead.
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

    /// The last note() was not stored, so the next one is due at once.
    void forget_note() noexcept { covered_ = WallTime::min(); }

    /// Returns how far the last stamp is ahead of the wall clock; 0ns if it is not ahead.
    [[nodiscard]] Duration ahead() const noexcept {
        const WallTime now = clock_.now();
        return last_.wall > now ? detail::elapsed_wall(now, last_.wall) : Duration{};
    }

    /// Returns the origin of all its stamps, as it was given to the constructor.
    [[nodiscard]] const Id& origin() const noexcept { return last_.origin; }

private:
    static constexpr std::byte tag{0xC1};

    [[nodiscard]] Stamp at(WallTime wall, std::uint32_t counter = 0) const noexcept {
        return {wall, counter, last_.origin};
    }
    /// Returns the least stamp that is above all stamps seen, within skew_max.
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
