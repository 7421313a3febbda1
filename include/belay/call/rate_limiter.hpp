// SPDX-License-Identifier: MIT
/// \file belay/call/rate_limiter.hpp
/// RateLimiter: limits the calls per time, for many callers and threads.
#pragma once

#include <atomic>       // std::atomic
#include <concepts>     // std::integral
#include <cstdint>      // std::uint32_t, std::uint64_t
#include <string_view>  // std::string_view

#include <belay/budget/detail/budget_permit.hpp>
#include <belay/call/detail/wait_queue.hpp>
#include <belay/call/permit_counters.hpp>
#include <belay/core/detail/spin_mutex.hpp>
#include <belay/core/order.hpp>
#include <belay/policy/rule.hpp>

namespace belay { inline namespace BELAY_ABI {

/// A number of calls per length of time, on average.   Thread safety: a plain value.
struct Rate {
    /// Pre: calls >= 1, per > 0ns.
    constexpr Rate(std::uint64_t calls, Duration per) noexcept : calls_{calls}, per_{per} {
        BELAY_PRECONDITION(calls >= 1, "Rate: calls must be >= 1");
        BELAY_PRECONDITION(per.count() > 0, "Rate: per must be > 0ns");
    }

    /// Returns the time between two calls, rounded up so that the rate is never exceeded.
    [[nodiscard]] constexpr Duration interval() const noexcept {
        const auto ticks = static_cast<std::uint64_t>(per_.count());
        const std::uint64_t rounded = ticks / calls_ + (ticks % calls_ != 0 ? 1 : 0);
        return Duration{static_cast<std::int64_t>(rounded)};
    }

private:
    std::uint64_t calls_;
    Duration per_;
};

/// The number of calls that may come at once after a pause.   Thread safety: a plain value.
struct Burst {
    /// Pre: calls >= 1.
    constexpr explicit Burst(std::uint64_t calls) noexcept : calls_{calls} {
        BELAY_PRECONDITION(calls >= 1, "Burst: calls must be >= 1");
    }
    [[nodiscard]] constexpr std::uint64_t calls() const noexcept { return calls_; }

private:
    std::uint64_t calls_;
};

/// Lets calls through at a rate, with bursts, and gives a refused caller the time to ask again.
///
///     RateLimiter limiter{Rate{100, 1s}, Burst{20}};
///     if (auto permit = limiter.acquire(clock.now())) send();
///     if (auto permit = limiter.acquire(clock.now(), rows)) send(rows);   // all of them, or none
///
/// In any time t it grants at most burst + t / interval permits. A permit that was taken is spent,
/// independent of its verdict, because giving it back could let too many calls through. If a policy
/// or pipeline has several Shared objects, put the limiter last. A turn that is older than the
/// latest grant counts as if it had the time of that grant, and earns nothing. This happens if a
/// thread read its clock long before the call.
///
/// As `Shared{limiter}` it refuses at once. As `Queued{limiter}` in a Pipeline, up to `queue`
/// callers wait in the order in which they arrived, and no caller overtakes another. While a caller
/// waits, all callers that do not wait are refused. A RateLimiter cannot be copied or moved, and
/// must outlive its permits and the callers that wait.
///
/// Models:        ShareableLike.
/// Thread safety: any thread; lock-free while no caller waits.
/// Blocks:        a caller that enters the queue, or leaves it, for a few instructions of another
///                caller, and for those that the sleeper needs to wake a caller.
/// Complexity:    O(1).   Allocates: never.
/// Source:        GCRA, the generic cell rate algorithm (ITU-T I.371, "virtual scheduling").
class RateLimiter {
    struct NoStake {};

public:
    static constexpr std::string_view name = "RateLimiter";

    /// The right to make one call, or as many as were requested.
    using Permit = detail::BudgetPermit<RateLimiter, NoStake>;

    /// Makes a limiter in whose queue `queue` callers may wait; see Queued.
    ///
    /// Pre: the whole burst is earned within 146 years; a burst of 1 always is.
    constexpr RateLimiter(Rate rate, Burst burst, std::uint32_t queue = 0) noexcept
        : interval_{rate.interval()},
          burst_{bounded(burst.calls(), rate.interval())},
          tolerance_{part::saturating_multiply(interval_, burst_ - 1)},
          queue_{queue} {
        BELAY_PRECONDITION(burst_ == burst.calls(),
                           "RateLimiter: the rate must refill the whole burst within 146 years");
    }
    /// Does not compile, because a rate and a burst are two numbers.
    template <std::integral Calls>
    constexpr RateLimiter(Calls, Duration) noexcept : RateLimiter{Rate{1, Duration{1}}, Burst{1}} {
        static_assert(!std::integral<Calls>,
                      "RateLimiter: write the rate and the burst: RateLimiter{Rate{10, 1s}, "
                      "Burst{10}}; see docs/call.md");
    }
    RateLimiter(const RateLimiter&) = delete;
    RateLimiter& operator=(const RateLimiter&) = delete;

    /// Requests a permit for `calls` calls at `now`, for all of them or none.
    ///
    /// Errors: a refused permit, with retry_at(). For more calls than the burst, no pause is long
    ///         enough: retry_at() is `never`, and the advice is to stop.
    [[nodiscard]] Permit acquire(Instant now, std::uint64_t calls = 1) noexcept {
        if (calls > burst_) {
            counters_.refuse();
            return Permit{};
        }
        if (waiting() == 0 && take(now, calls)) return granted();
        counters_.refuse();
        return Permit{retry_at(now, calls)};
    }
    /// Requests a permit for one call at the turn's time.
    [[nodiscard]] Permit acquire(Turn& turn) noexcept { return acquire(turn.now); }

    /// Returns whether a call at `now` would be let through, and takes nothing.
    [[nodiscard]] Advice admit(Instant now) const noexcept {
        const bool free = waiting() == 0 && elapsed(now, due()) <= tolerance_;
        return free ? Advice::go() : Advice::suspend(retry_at(now, 1));
    }

    /// Returns the number of callers in the queue.
    [[nodiscard]] std::uint32_t waiting() const noexcept {
        return waiting_.load(std::memory_order_relaxed);
    }
    /// Returns the counts, which are exact when no caller asks; numbers may lag behind each other.
    ///
    /// An admitted caller counts once, however many calls it requested.   Errors: none.
    [[nodiscard]] PermitCounters counters() const noexcept { return counters_.read(); }

private:
    friend Permit;
    template <class Object>
    friend class Queued;

    using Answer = detail::WaitAnswer;
    using WaitState = Answer::WaitState;

    // A caller's place in the queue, which its destructor leaves. The first caller asks again when
    // it is time. Each of the others is woken when it becomes the first.
    class Place {
    public:
        Place(RateLimiter& limiter, std::uint64_t calls) noexcept
            : limiter_{limiter}, calls_{calls} {}
        Place(const Place&) = delete;
        Place& operator=(const Place&) = delete;
        ~Place() {
            if (has_lined_up_) limiter_.leave(*this);
        }

        // Requests a permit, first without waiting.
        [[nodiscard]] Answer ask(Instant now, Permit& permit) noexcept {
            return has_lined_up_ ? limiter_.ask_again(*this, now, permit)
                                 : limiter_.line_up(*this, now, permit);
        }
        [[nodiscard]] detail::LocalStop& wake() noexcept { return ticket_.wake; }

    private:
        friend RateLimiter;
        RateLimiter& limiter_;
        const std::uint64_t calls_;
        detail::WaitTicket ticket_;
        bool has_lined_up_ = false;
    };

    // A burst that reaches beyond the end of time would not be a limit.
    [[nodiscard]] static constexpr std::uint64_t bounded(std::uint64_t burst,
                                                         Duration interval) noexcept {
        constexpr Duration earned_max = forever / 2;
        const auto most = static_cast<std::uint64_t>(earned_max / interval);
        return burst <= 1 || burst <= most ? burst : detail::larger(most, std::uint64_t{1});
    }
    [[nodiscard]] Instant due() const noexcept {
        return Instant{Duration{due_.load(std::memory_order_relaxed)}};
    }
    // Returns how far in the future `due` may be for this number of calls at once.
    // Pre: they fit the burst.
    [[nodiscard]] Duration slack(std::uint64_t calls) const noexcept {
        return calls == 0 ? tolerance_
                          : tolerance_ - part::saturating_multiply(interval_, calls - 1);
    }
    [[nodiscard]] bool take(Instant now, std::uint64_t calls) noexcept {
        if (calls == 0) return true;
        const Duration most = slack(calls);
        const Duration cost = part::saturating_multiply(interval_, calls);
        Duration::rep seen = due_.load(std::memory_order_relaxed);
        for (;;) {
            const Instant due{Duration{seen}};
            if (elapsed(now, due) > most) return false;
            const Instant next = after(due > now ? due : now, cost);
            // Only this word is shared, and nothing else is published, so relaxed order is enough.
            // Each grant moves it by an interval or more. If two grants race, one sees the other's
            // value.
            if (due_.compare_exchange_weak(seen, next.time_since_epoch().count(),
                                           std::memory_order_relaxed)) {
                return true;
            }
        }
    }
    [[nodiscard]] Permit granted() noexcept {
        counters_.admit();
        return Permit{*this, NoStake{}};
    }
    // Returns when this number of calls, after those of the queue, would be let through; later than
    // now.
    [[nodiscard]] Instant retry_at(Instant now, std::uint64_t calls) const noexcept {
        const std::uint64_t ahead = ahead_.load(std::memory_order_relaxed);
        const Instant at = turn_of(ahead, calls);
        // It may be the turn of the first caller, which is not awake yet.
        return at > now ? at : after(now, interval_);
    }
    // NOLINTNEXTLINE(bugprone-easily-swappable-parameters): in the order of the line
    [[nodiscard]] Instant turn_of(std::uint64_t ahead, std::uint64_t calls) const noexcept {
        // Not before(): the last due time is as far away as an instant can be, and still comes.
        const Instant full = after(due(), part::saturating_multiply(interval_, ahead));
        const Duration early = slack(calls);
        const bool fits = full.time_since_epoch() >= Duration::min() + early;
        return fits ? Instant{full.time_since_epoch() - early} : always;
    }

    [[nodiscard]] Answer line_up(Place& place, Instant now, Permit& permit) noexcept {
        if (place.calls_ > burst_) {
            counters_.refuse();
            return {WaitState::hopeless};
        }
        if (waiting() == 0 && take(now, place.calls_)) {
            permit = granted();
            return {WaitState::granted};
        }
        const detail::SpinLock lock{mutex_};
        const std::uint32_t before_it = waiting();
        if (before_it == 0 && take(now, place.calls_)) {
            permit = granted();
            return {WaitState::granted};
        }
        if (before_it >= queue_) {
            counters_.refuse();
            const Instant again = retry_at(now, place.calls_);
            return {WaitState::refused, again, again};
        }
        // The turn may have come already: the first caller is not awake yet, and will let the
        // others continue.
        const Instant turn = turn_of(ahead_.load(std::memory_order_relaxed), place.calls_);
        waiters_.join(place.ticket_);
        place.has_lined_up_ = true;
        place.ticket_.is_called = before_it == 0;
        waiting_.store(before_it + 1, std::memory_order_relaxed);
        ahead_.fetch_add(place.calls_, std::memory_order_relaxed);
        counters_.wait();
        if (before_it == 0) return {WaitState::first, turn, turn};
        return {WaitState::waits, never, turn};
    }
    [[nodiscard]] Answer ask_again(Place& place, Instant now, Permit& permit) noexcept {
        const detail::SpinLock lock{mutex_};
        if (!place.ticket_.is_called) return {WaitState::waits};
        if (!take(now, place.calls_)) {
            const Instant turn = turn_of(0, place.calls_);
            return {WaitState::first, turn, turn};
        }
        end(place);
        permit = granted();
        return {WaitState::granted};
    }
    void leave(Place& place) noexcept {
        const detail::SpinLock lock{mutex_};
        if (!place.ticket_.is_queued) return;
        counters_.leave();
        end(place);
    }
    void end(Place& place) noexcept {
        waiters_.leave(place.ticket_);
        waiting_.fetch_sub(1, std::memory_order_relaxed);
        ahead_.fetch_sub(place.calls_, std::memory_order_relaxed);
        waiters_.call_first();
    }

    void on_success(NoStake, Instant) noexcept {}
    void on_failure(NoStake, Instant) noexcept {}
    void on_rejected(NoStake, Instant) noexcept {}
    void on_neutral(NoStake) noexcept {}

    const Duration interval_;
    const std::uint64_t burst_;
    const Duration tolerance_;
    const std::uint32_t queue_;
    // Both change under the lock: the number of callers in the queue, and of the calls that they
    // request. The sum of calls could overflow only with more callers than can exist, and it would
    // then only give a wrong time.
    std::atomic<std::uint32_t> waiting_{0};
    std::atomic<std::uint64_t> ahead_{0};
    // When the next call would be due if all came evenly. It never goes back, even if a caller
    // brings an old time, so each grant is paid for once.
    std::atomic<Duration::rep> due_{always.time_since_epoch().count()};
    detail::AtomicPermitCounters counters_;
    detail::SpinMutex mutex_;
    detail::WaitQueue waiters_;  // under mutex_
};

}}  // namespace belay
