// SPDX-License-Identifier: MIT
/// \file belay/budget/detail/rate_state.hpp
/// RateState: the decisions of a rate limit, by GCRA or in fixed windows, as one value.
#pragma once

#include <cstdint>  // std::int64_t, std::uint64_t

#include <belay/core/assert.hpp>
#include <belay/core/instant.hpp>
#include <belay/core/order.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The numbers of a rate limit: `burst` calls at once, and one more after each `length`.
/// In windows: `burst` calls in each window of `length`.
struct RateNumbers {
    Duration length;
    std::uint64_t burst;
    bool in_windows = false;
};

/// Grants permits by RateNumbers, which may change.
///
/// Thread safety: a plain value.
/// Source:        GCRA, the generic cell rate algorithm (ITU-T I.371, "virtual scheduling").
class RateState {
public:
    struct Counts {
        // By interval: when the next call would be due if all came evenly. It goes back only if the
        // numbers change, so each grant is paid for once. With a window: when the window began.
        Instant due = always;
        std::uint64_t used = 0;  // in the window
    };

    constexpr explicit RateState(const RateNumbers& numbers) noexcept
        : RateState{numbers, Counts{}} {}
    /// Continues from what another object with these numbers has counted.
    constexpr RateState(const RateNumbers& numbers, Counts counts) noexcept
        : length_{numbers.length},
          burst_{numbers.burst},
          due_{counts.due},
          used_{counts.used},
          in_windows_{numbers.in_windows} {}

    /// The earliest due time after a grant. ConcurrentRate uses the two instants before it.
    static constexpr Instant due_min{Duration::min() + Duration{2}};

    [[nodiscard]] constexpr std::uint64_t burst() const noexcept { return burst_; }
    [[nodiscard]] constexpr Counts counts() const noexcept { return {due_, used_}; }
    /// Takes this number of permits, or none of them.   Pre: calls <= burst.
    [[nodiscard]] constexpr bool take(Instant now, std::uint64_t calls) noexcept {
        if (calls == 0) return true;
        if (in_windows_) {
            begin_window(now);
            if (calls > burst_ - used_) return false;
            used_ += calls;
            return true;
        }
        const Instant turn = turn_by_interval(0, calls);
        // `never` may stand for a later time, which does not come.
        if (turn > now || turn == never) return false;
        due_ = due_with(due_, length_, now, calls);
        return true;
    }
    // NOLINTBEGIN(bugprone-easily-swappable-parameters): in the order of the line
    /// Returns the due time after these calls, by interval.
    [[nodiscard]] static constexpr Instant due_with(Instant due, Duration length, Instant now,
                                                    std::uint64_t calls) noexcept {
        const Instant next = after_time(larger(due, now), part::saturating_multiply(length, calls));
        return larger(next, due_min);
    }
    /// Returns the earliest time for this number of calls at a due time, by interval.
    /// Pre: calls <= burst.
    [[nodiscard]] static constexpr Instant turn_at(Instant due, Duration length,
                                                   std::uint64_t burst,
                                                   std::uint64_t calls) noexcept {
        // It may stand for a later time, which does not come.
        if (due == never) return never;
        const Duration early =
            part::saturating_multiply(length, burst - larger(calls, std::uint64_t{1}));
        const bool fits = due.time_since_epoch() > Duration::min() + early;
        return fits ? Instant{due.time_since_epoch() - early} : always;
    }
    // NOLINTEND(bugprone-easily-swappable-parameters)
    /// Returns the earliest time for this number of calls, after `ahead` other ones. It may have
    /// passed.   Pre: calls <= burst.
    // NOLINTNEXTLINE(bugprone-easily-swappable-parameters): in the order of the line
    [[nodiscard]] constexpr Instant turn_of(Instant now, std::uint64_t ahead,
                                            std::uint64_t calls) const noexcept {
        return in_windows_ ? turn_in_window(now, ahead, calls) : turn_by_interval(ahead, calls);
    }
    /// Returns the time at which to ask again, after `ahead` other calls; later than `now`.
    // NOLINTNEXTLINE(bugprone-easily-swappable-parameters): in the order of the line
    [[nodiscard]] constexpr Instant retry_at(Instant now, std::uint64_t ahead,
                                             std::uint64_t calls) const noexcept {
        const Instant at = turn_of(now, ahead, calls);
        // It may be the turn of the first caller, which is not awake yet.
        return at > now ? at : after_time(now, length_);
    }

    /// Changes the numbers. The calls that were left stay, up to a whole new burst.
    constexpr void change(const RateNumbers& next, Instant now) noexcept {
        if (!in_windows_ && !next.in_windows) return change_interval(next, now);
        const std::uint64_t left = left_at(now);
        const bool same_windows = in_windows_ && next.in_windows && next.length == length_;
        set(next);
        const std::uint64_t used = burst_ - smaller(left, burst_);
        used_ = in_windows_ ? used : 0;
        if (same_windows) return;
        due_ = in_windows_ ? now : after_time(now, part::saturating_multiply(length_, used));
    }
    /// Takes all permits that are left. Returns how many.
    constexpr std::uint64_t drain(Instant now) noexcept {
        const std::uint64_t left = left_at(now);
        if (in_windows_) {
            begin_window(now);
            used_ = burst_;
        } else {
            due_ = larger(due_, after_time(now, capacity()));
        }
        return left;
    }
    /// Returns how many permits are left at `now`.
    [[nodiscard]] constexpr std::uint64_t left_at(Instant now) const noexcept {
        if (in_windows_) {
            return elapsed(due_, now) < length_ ? burst_ - used_ : burst_;
        }
        const Duration most = capacity();
        const Duration debt = elapsed(now, due_);
        if (debt <= Duration{}) return burst_;
        return debt >= most ? 0 : static_cast<std::uint64_t>((most - debt) / length_);
    }

private:
    // A window that is over counts no more. The windows follow each other without gaps. There is
    // none yet while nothing is used at `always`.
    constexpr void begin_window(Instant now) noexcept {
        const Duration since = elapsed(due_, now);
        if (since < length_ && (due_ != always || used_ != 0)) return;
        due_ = used_ == 0 ? now : before(now, since % length_);
        used_ = 0;
    }
    [[nodiscard]] constexpr Instant turn_in_window(Instant now, std::uint64_t ahead,
                                                   std::uint64_t calls) const noexcept {
        RateState current = *this;
        current.begin_window(now);
        const std::uint64_t left = burst_ - current.used_;
        if (ahead <= left && calls <= left - ahead) return now;
        // The calls of one caller fit into one window, so none can be let through before that of
        // the last of all calls.
        const std::uint64_t later = ahead - smaller(ahead, left) + calls;
        const std::uint64_t windows = (later - 1) / burst_ + 1;
        return after_time(current.due_, part::saturating_multiply(length_, windows));
    }
    // NOLINTNEXTLINE(bugprone-easily-swappable-parameters): in the order of the line
    [[nodiscard]] constexpr Instant turn_by_interval(std::uint64_t ahead,
                                                     std::uint64_t calls) const noexcept {
        return turn_at(after_time(due_, part::saturating_multiply(length_, ahead)), length_, burst_,
                       calls);
    }

    [[nodiscard]] constexpr Duration capacity() const noexcept {
        return part::saturating_multiply(length_, burst_);
    }
    // A turn may be older than the latest grant: then that grant is the time.
    [[nodiscard]] constexpr Instant latest(Instant now) const noexcept {
        return larger(now, before(due_, capacity()));
    }
    constexpr void set(const RateNumbers& next) noexcept {
        length_ = next.length;
        burst_ = next.burst;
        in_windows_ = next.in_windows;
    }
    constexpr void change_interval(const RateNumbers& next, Instant now) noexcept {
        const Instant then = latest(now);
        const Duration debt = elapsed(then, due_);
        const Duration left = debt > Duration{} ? capacity() - debt : capacity();
        // In parts of a permit, so that setting the same numbers again changes nothing.
        const Duration whole =
            part::saturating_multiply(next.length, static_cast<std::uint64_t>(left / length_));
        const Duration part = left % length_;
        Duration rest = part;
        if (next.length != length_) {
            // A little less than 1, so that the result fits after rounding.
            constexpr double whole_part = 1 - 1e-12;
            rest = Duration{static_cast<std::int64_t>(
                static_cast<double>(part.count()) / static_cast<double>(length_.count()) *
                static_cast<double>(next.length.count()) * whole_part)};
        }
        set(next);
        const Duration kept = smaller(whole > forever - rest ? forever : whole + rest, capacity());
        due_ = after_time(then, capacity() - kept);
    }

    Duration length_;
    std::uint64_t burst_;
    Instant due_;
    std::uint64_t used_;
    bool in_windows_;
};

}}}  // namespace belay::detail
