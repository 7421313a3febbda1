// SPDX-License-Identifier: MIT
/// \file belay/call/rate_limiter.hpp
/// RateLimiter: at most so many calls per time, for many callers and threads.
#pragma once

#include <atomic>       // std::atomic
#include <cstdint>      // std::uint64_t
#include <string_view>  // std::string_view

#include <belay/budget/detail/budget_permit.hpp>
#include <belay/policy/rule.hpp>

namespace belay::inline BELAY_ABI {

/// So many calls in so long, on average.   Thread safety: a plain value.
struct Rate {
    /// Pre: calls >= 1, per > 0ns.
    constexpr Rate(std::uint64_t calls, Duration per) noexcept : calls_{calls}, per_{per} {
        BELAY_PRECONDITION(calls >= 1, "Rate: calls must be >= 1");
        BELAY_PRECONDITION(per.count() > 0, "Rate: per must be > 0ns");
    }

    /// The time between two calls, rounded up: the rate is never exceeded.
    [[nodiscard]] constexpr Duration interval() const noexcept {
        const auto ticks = static_cast<std::uint64_t>(per_.count());
        const std::uint64_t rounded = ticks / calls_ + (ticks % calls_ != 0 ? 1 : 0);
        return Duration{static_cast<std::int64_t>(rounded)};
    }

private:
    std::uint64_t calls_;
    Duration per_;
};

/// So many calls may come at once after a pause.   Thread safety: a plain value.
struct Burst {
    /// Pre: calls >= 1.
    constexpr explicit Burst(std::uint64_t calls) noexcept : calls_{calls} {
        BELAY_PRECONDITION(calls >= 1, "Burst: calls must be >= 1");
    }
    [[nodiscard]] constexpr std::uint64_t calls() const noexcept { return calls_; }

private:
    std::uint64_t calls_;
};

/// Lets calls through at a rate, with bursts; a refused caller learns when to ask again.
///
///     RateLimiter limiter{Rate{100, 1s}, Burst{20}};
///     if (auto permit = limiter.acquire(clock.now())) send();
///
/// In any time t it grants at most burst + t / interval permits. A permit that was taken is spent,
/// whatever comes of it: given back it could let too many through. In a policy or pipeline that has
/// several Shared objects, put it last. A turn that is older than the latest grant (its thread read
/// the clock long ago) counts as that one: it earns nothing.
///
/// Models:        ShareableLike.
/// Thread safety: any thread; lock-free.   Complexity: O(1).   Allocates: never.
/// Source:        GCRA, the generic cell rate algorithm (ITU-T I.371, "virtual scheduling").
class RateLimiter {
    struct NoStake {};

public:
    static constexpr std::string_view name = "RateLimiter";

    /// The right to make one call.
    using Permit = detail::BudgetPermit<RateLimiter, NoStake>;

    constexpr RateLimiter(Rate rate, Burst burst) noexcept
        : interval_{rate.interval()},
          tolerance_{saturating_multiply(rate.interval(), burst.calls() - 1)} {}
    RateLimiter(const RateLimiter&) = delete;
    RateLimiter& operator=(const RateLimiter&) = delete;

    /// Asks to make a call at `now`.   Errors: a refused permit, with retry_at().
    [[nodiscard]] Permit acquire(Instant now) noexcept {
        Duration::rep seen = due_.load(std::memory_order_relaxed);
        for (;;) {
            const Instant due{Duration{seen}};
            if (elapsed(now, due) > tolerance_) return Permit{retry_at(due)};
            const Instant next = after(due > now ? due : now, interval_);
            // The word is all there is: nothing else is published, so relaxed order is enough. Each
            // grant moves it by an interval or more; of two that race one sees the other's.
            if (due_.compare_exchange_weak(seen, next.time_since_epoch().count(),
                                           std::memory_order_relaxed)) {
                return Permit{*this, NoStake{}};
            }
        }
    }
    /// The same at the turn's time.
    [[nodiscard]] Permit acquire(Turn& turn) noexcept { return acquire(turn.now); }

    /// Would a call at `now` be let through? Takes nothing.
    [[nodiscard]] Advice admit(Instant now) const noexcept {
        const Instant due{Duration{due_.load(std::memory_order_relaxed)}};
        return elapsed(now, due) <= tolerance_ ? Advice::go() : Advice::suspend(retry_at(due));
    }

private:
    friend Permit;

    // Of one who is refused: due is further away than the tolerance. Not before(): the last due is
    // as far away as an instant can be, and still comes.
    [[nodiscard]] Instant retry_at(Instant due) const noexcept {
        return Instant{due.time_since_epoch() - tolerance_};
    }

    void on_success(NoStake, Instant) noexcept {}
    void on_failure(NoStake, Instant) noexcept {}
    void on_neutral(NoStake) noexcept {}

    const Duration interval_;
    const Duration tolerance_;
    // When the next call would be due if all came evenly. It never goes back, whatever a caller
    // takes for now: each grant is paid for once.
    std::atomic<Duration::rep> due_{always.time_since_epoch().count()};
};

}  // namespace belay::inline BELAY_ABI
