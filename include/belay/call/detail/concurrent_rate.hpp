// SPDX-License-Identifier: MIT
/// \file belay/call/detail/concurrent_rate.hpp
/// ConcurrentRate: a RateState for many threads, which takes permits without a lock.
#pragma once

#include <atomic>   // std::atomic
#include <cstdint>  // std::uint8_t, std::uint64_t

#include <belay/budget/detail/rate_state.hpp>
#include <belay/core/assert.hpp>
#include <belay/core/instant.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Grants permits by RateNumbers, which may change.
///
/// Permits by interval are taken without a lock. The owner's lock is needed for permits of windows,
/// and while the numbers change.
///
/// Thread safety: any thread. Call the functions named `_locked` under the lock of the owner.
class ConcurrentRate {
public:
    enum class Taken : std::uint8_t { granted, rejected, hopeless, needs_lock };

    constexpr explicit ConcurrentRate(const RateNumbers& numbers) noexcept
        : length_{numbers.length.count()}, burst_{numbers.burst}, in_windows_{numbers.in_windows} {}

    /// Takes this number of permits, or none. If they are rejected, `turn` is their earliest time.
    [[nodiscard]] Taken take(Instant now, std::uint64_t calls, Instant& turn) noexcept {
        Duration::rep due = due_.load(std::memory_order_acquire);
        for (;;) {
            const RateNumbers numbers = read_numbers();
            if (due == held || numbers.in_windows) return Taken::needs_lock;
            const bool fits = calls <= numbers.burst;
            const Instant seen{Duration{due}};
            const Instant at =
                fits ? RateState::turn_at(seen, numbers.length, numbers.burst, calls) : never;
            if ((at > now || at == never) && calls != 0) {
                if (!is_still(due)) continue;
                turn = at;
                return fits ? Taken::rejected : Taken::hopeless;
            }
            const Instant next =
                calls == 0 ? seen : RateState::due_with(seen, numbers.length, now, calls);
            // A change of the numbers changes `due`, too, so they still belong together. Each grant
            // moves it by an interval or more. If two grants race, one sees the other's value.
            if (due_.compare_exchange_weak(due, next.time_since_epoch().count(),
                                           std::memory_order_acquire, std::memory_order_acquire)) {
                return Taken::granted;
            }
        }
    }
    /// Reads the state. Returns false if the lock is needed for it.
    [[nodiscard]] bool read(RateState& seen) const noexcept {
        Duration::rep due = due_.load(std::memory_order_acquire);
        for (;;) {
            const RateNumbers numbers = read_numbers();
            if (due == held || numbers.in_windows) return false;
            seen = RateState{numbers, {Instant{Duration{due}}}};
            if (is_still(due)) return true;
        }
    }

    /// Takes this number of permits, or none of them.
    [[nodiscard]] bool take_locked(Instant now, std::uint64_t calls) noexcept {
        if (!in_windows_.load(std::memory_order_relaxed)) {
            Instant turn;
            return take(now, calls, turn) == Taken::granted;
        }
        RateState state = read_locked();
        const bool is_granted = calls <= state.burst() && state.take(now, calls);
        publish(state);
        return is_granted;
    }
    [[nodiscard]] RateState read_locked() const noexcept {
        return {read_numbers(), {Instant{Duration{due_.load(std::memory_order_relaxed)}}, used_}};
    }
    /// As RateState::change.
    void change_locked(const RateNumbers& next, Instant now) noexcept {
        const RateNumbers last = read_numbers();
        const bool is_same = next.length == last.length && next.burst == last.burst &&
                             next.in_windows == last.in_windows;
        RateState state = hold();
        const Instant before_it = state.counts().due;
        state.change(next, now);
        length_.store(next.length.count(), std::memory_order_release);
        burst_.store(next.burst, std::memory_order_release);
        in_windows_.store(next.in_windows, std::memory_order_release);
        // A caller that read the former numbers must not find its due time again. A due time that
        // has passed may as well be earlier.
        const Instant due = state.counts().due;
        if (!is_same && due == before_it) {
            constexpr Duration least{1};
            state = RateState{
                next, {due > now ? after(due, least) : before(due, least), state.counts().used}};
        }
        publish(state);
    }
    /// As RateState::drain.
    std::uint64_t drain_locked(Instant now) noexcept {
        RateState state = hold();
        const std::uint64_t left = state.drain(now);
        publish(state);
        return left;
    }

private:
    // The due time while the numbers change. No grant makes it: see RateState::due_min.
    static constexpr Duration::rep held = always.time_since_epoch().count() + 1;

    [[nodiscard]] RateNumbers read_numbers() const noexcept {
        return {Duration{length_.load(std::memory_order_acquire)},
                burst_.load(std::memory_order_acquire),
                in_windows_.load(std::memory_order_acquire)};
    }
    // Returns whether the numbers that were read are those of this due time. If not, reads it.
    [[nodiscard]] bool is_still(Duration::rep& due) const noexcept {
        const Duration::rep last = due;
        due = due_.load(std::memory_order_acquire);
        return due == last;
    }
    [[nodiscard]] RateState hold() noexcept {
        const Duration::rep due = due_.exchange(held, std::memory_order_acq_rel);
        return {read_numbers(), {Instant{Duration{due}}, used_}};
    }
    void publish(const RateState& state) noexcept {
        const RateState::Counts counts = state.counts();
        used_ = counts.used;
        const Duration::rep due = counts.due.time_since_epoch().count();
        due_.store(due == held ? due + 1 : due, std::memory_order_release);
    }

    std::atomic<Duration::rep> length_;
    std::atomic<std::uint64_t> burst_;
    std::atomic<Duration::rep> due_{always.time_since_epoch().count()};
    std::uint64_t used_ = 0;  // under the lock
    std::atomic<bool> in_windows_;
};

}}}  // namespace belay::detail
