// SPDX-License-Identifier: MIT
/// \file belay/call/rate_limiter.hpp
/// RateLimiter: limits the calls per time, for many callers and threads.
#pragma once

#include <atomic>       // std::atomic
#include <concepts>     // std::integral
#include <cstdint>      // std::uint32_t, std::uint64_t
#include <string_view>  // std::string_view

#include <belay/budget/detail/budget_permit.hpp>
#include <belay/budget/detail/rate_state.hpp>
#include <belay/call/detail/concurrent_rate.hpp>
#include <belay/call/detail/wait_queue.hpp>
#include <belay/call/permit_counters.hpp>
#include <belay/core/detail/arguments.hpp>
#include <belay/core/detail/spin_mutex.hpp>
#include <belay/core/order.hpp>
#include <belay/policy/rule.hpp>

namespace belay { inline namespace BELAY_ABI {

/// A number of calls per length of time, on average.   Thread safety: a plain value.
struct Rate {
    /// Pre: calls >= 1, per > 0ns.
    constexpr Rate(detail::AnyCount<std::uint64_t> calls, detail::AnyUnit per) noexcept
        : calls_{calls}, per_{per} {
        BELAY_OPTION(calls_ >= 1, "Rate: calls must be >= 1");
        BELAY_OPTION(per_.count() > 0, "Rate: per must be > 0ns");
    }

    /// Does not compile, because a rate has a time.
    template <std::integral Calls>
    constexpr explicit Rate(Calls) noexcept : Rate{1, Duration{1}} {
        static_assert(!std::integral<Calls>, "Rate: write the time, too: Rate{100, 1s}");
    }

    [[nodiscard]] constexpr std::uint64_t calls() const noexcept { return calls_; }
    [[nodiscard]] constexpr Duration per() const noexcept { return per_; }
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
    constexpr explicit Burst(detail::AnyCount<std::uint64_t> calls) noexcept : calls_{calls} {
        BELAY_OPTION(calls_ >= 1, "Burst: calls must be >= 1");
    }
    [[nodiscard]] constexpr std::uint64_t calls() const noexcept { return calls_; }

private:
    std::uint64_t calls_;
};

/// Lets calls through at a rate, with bursts, and gives a rejected caller the time to ask again.
///
///     RateLimiter limiter{Rate{100, 1s}, Burst{20}};
///     if (auto permit = limiter.acquire(clock.now())) send();
///     if (auto permit = limiter.acquire(clock.now(), rows)) send(rows);   // all of them, or none
///
/// In any time t it grants at most burst + t / interval permits. With fixed windows, it grants as
/// many permits as the rate in each window, as soon as they are requested. The first window begins
/// with the first call, and each other one at the end of the one before it:
///
///     RateLimiter limiter{RateLimiter::FixedWindow{Rate{100, 1min}}};
///
/// Two bursts on both sides of the end of a window are then 200 calls at almost the same time. Use
/// fixed windows only for a peer that counts in this way.
///
/// A permit that was taken is spent,
/// independent of its verdict, because giving it back could let too many calls through. If a policy
/// or pipeline has several Shared objects, put the limiter last. A turn that is older than the
/// latest grant counts as if it had the time of that grant, and earns nothing. This happens if a
/// thread read its clock long before the call.
///
/// As the layer `Shared{limiter}` it rejects at once. As `Queued{limiter}` in a Pipeline, up to
/// `queue` callers wait in the order in which they arrived, and no caller overtakes another. While
/// a caller waits, all callers that do not wait are rejected. A RateLimiter cannot be copied or
/// moved, and must outlive its permits and the callers that wait.
///
/// Its numbers may be changed while callers wait. Callers in its queue see the change at once.
///
/// Models:        ShareableLike.
/// Thread safety: any thread; lock-free while no caller waits and no number changes. Fixed windows
///                always need a lock.
/// Blocks:        a call that needs the lock, for a few instructions of another caller, and for
///                those that the sleeper needs to wake a caller.
/// Complexity:    O(1).   Allocates: never.
/// Source:        GCRA, the generic cell rate algorithm (ITU-T I.371, "virtual scheduling"). The
///                changes and `drain` are those of resilience4j's RateLimiter.
class RateLimiter {
    struct NoPermitData {};

public:
    static constexpr std::string_view name = "RateLimiter";

    /// The right to make one call, or as many as were requested.
    using Permit = detail::BudgetPermit<RateLimiter, NoPermitData>;

    /// As many calls as the rate in each window of its length.   Thread safety: a plain value.
    struct FixedWindow {
        Rate rate;
    };

    /// Makes a limiter in whose queue `queue` callers may wait; see Queued.
    ///
    /// Pre: the whole burst is earned within 146 years; a burst of 1 always is. queue >= 0. A queue
    /// above 2^32 - 1 means that.
    constexpr RateLimiter(Rate rate, Burst burst,
                          detail::AnyCount<std::uint32_t> queue = 0) noexcept
        : rate_{numbers_of(rate, burst)}, queue_{queue} {
        BELAY_OPTION(!queue.is_negative(), "RateLimiter: the queue must be >= 0");
    }
    /// Makes a limiter that counts in fixed windows.   Pre: queue >= 0.
    constexpr explicit RateLimiter(FixedWindow window,
                                   detail::AnyCount<std::uint32_t> queue = 0) noexcept
        : rate_{numbers_of(window)}, queue_{queue} {
        BELAY_OPTION(!queue.is_negative(), "RateLimiter: the queue must be >= 0");
    }
    /// Does not compile, because a rate and a burst are two numbers.
    template <class First, class... Second>
        requires(sizeof...(Second) <= 1 && (std::integral<First> || std::same_as<First, Rate>) &&
                 ((std::integral<Second> || std::convertible_to<Second, Duration>)&&...))
    constexpr explicit RateLimiter(First, Second...) noexcept
        : RateLimiter{Rate{1, Duration{1}}, Burst{1}} {
        static_assert(!sizeof(First),
                      "RateLimiter: write the rate and the burst: RateLimiter{Rate{10, 1s}, "
                      "Burst{10}}; see docs/reference/retry.md");
    }
    RateLimiter(const RateLimiter&) = delete;
    RateLimiter& operator=(const RateLimiter&) = delete;

    /// Requests a permit for `calls` calls at `now`, for all of them or none.
    ///
    /// Errors: a rejected permit, with retry_at(). For more calls than the burst, no pause is long
    ///         enough: retry_at() is `never`, and the advice is to stop.
    [[nodiscard]] Permit acquire(Instant now, std::uint64_t calls = 1) noexcept {
        if (waiting() == 0) {
            Instant turn;
            const Taken taken = rate_.take(now, calls, turn);
            if (taken == Taken::granted) return granted();
            if (taken == Taken::rejected) {
                counters_.reject();
                return Permit{turn};
            }
        }
        return acquire_locked(now, calls);
    }
    /// Requests a permit for one call at the turn's time.
    [[nodiscard]] Permit acquire(Turn& turn) noexcept { return acquire(turn.now); }

    /// Counts an attempt that a Shared rule's check of this limiter rejected.
    void rejected() noexcept { counters_.reject(); }

    /// Returns whether a call at `now` would be let through, and takes nothing.
    [[nodiscard]] Advice admit(Instant now) const noexcept {
        detail::RateState seen{detail::RateNumbers{}};
        if (waiting() == 0 && rate_.read(seen)) return advice(seen, now, 0);
        const detail::SpinLock lock{mutex_};
        return advice(rate_.read_locked(), now, ahead_);
    }

    /// Changes the rate and the burst from `now` on.
    ///
    /// The permits that are left stay, up to a whole new burst. So a larger burst is earned at the
    /// new rate. Callers in the queue see the new rate at once. If one of them requested more calls
    /// than the new burst, its wait ends with std::errc::invalid_argument when it is the first.
    /// Pre: as the constructor.   Errors: none.   Source: resilience4j's `changeLimitForPeriod`.
    void set_rate(Instant now, Rate rate, Burst burst) noexcept {
        change(now, numbers_of(rate, burst));
    }
    /// Changes the rate in fixed windows. The current window stays if its length stays.
    void set_rate(Instant now, FixedWindow window) noexcept { change(now, numbers_of(window)); }
    /// Takes all permits that are left at `now`, and returns how many they were.
    ///
    /// With fixed windows, no call is let through before the next one. Use it when the peer reports
    /// that its own limit is reached.
    /// Errors: none.   Source: resilience4j's `drainPermissions`.
    std::uint64_t drain(Instant now) noexcept {
        const detail::SpinLock lock{mutex_};
        return rate_.drain_locked(now);
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
    using Taken = detail::ConcurrentRate::Taken;
    using WaitState = Answer::WaitState;

    // A caller that waits in the queue, which its destructor leaves. The first caller asks again
    // when it is time. Each of the others is woken when it becomes the first.
    class Waiter {
    public:
        Waiter(RateLimiter& limiter, std::uint64_t calls) noexcept
            : limiter_{limiter}, calls_{calls} {}
        Waiter(const Waiter&) = delete;
        Waiter& operator=(const Waiter&) = delete;
        ~Waiter() {
            if (has_queued_) limiter_.leave(*this);
        }

        // Requests a permit, first without waiting.
        [[nodiscard]] Answer ask(Instant now, Permit& permit) noexcept {
            return has_queued_ ? limiter_.ask_again(*this, now, permit)
                               : limiter_.enqueue(*this, now, permit);
        }
        [[nodiscard]] detail::LocalStop& wake() noexcept { return ticket_.wake; }

    private:
        friend RateLimiter;
        RateLimiter& limiter_;
        const std::uint64_t calls_;
        detail::WaitTicket ticket_;
        bool has_queued_ = false;
    };

    [[nodiscard]] static constexpr detail::RateNumbers numbers_of(Rate rate, Burst burst) noexcept {
        // A burst that reaches beyond the end of time would not be a limit.
        constexpr Duration earned_max = forever / 2;
        const Duration interval = rate.interval();
        const auto most = static_cast<std::uint64_t>(earned_max / interval);
        BELAY_OPTION(burst.calls() <= 1 || burst.calls() <= most,
                     "RateLimiter: the rate must refill the whole burst within 146 years");
        return {interval, detail::smaller(burst.calls(), detail::larger(most, std::uint64_t{1}))};
    }
    [[nodiscard]] static constexpr detail::RateNumbers numbers_of(FixedWindow window) noexcept {
        return {window.rate.per(), window.rate.calls(), true};
    }
    void change(Instant now, const detail::RateNumbers& numbers) noexcept {
        const detail::SpinLock lock{mutex_};
        rate_.change_locked(numbers, now);
        waiters_.wake_first();
    }
    [[nodiscard]] Permit granted() noexcept {
        counters_.admit();
        return Permit{*this, NoPermitData{}};
    }
    [[nodiscard]] Permit acquire_locked(Instant now, std::uint64_t calls) noexcept {
        const detail::SpinLock lock{mutex_};
        if (waiting() == 0 && rate_.take_locked(now, calls)) return granted();
        counters_.reject();
        const detail::RateState seen = rate_.read_locked();
        return calls > seen.burst() ? Permit{} : Permit{seen.retry_at(now, ahead_, calls)};
    }
    [[nodiscard]] Advice advice(const detail::RateState& seen, Instant now,
                                std::uint64_t ahead) const noexcept {
        const bool free = waiting() == 0 && seen.turn_of(now, 0, 1) <= now;
        return free ? Advice::go() : Advice::suspend(seen.retry_at(now, ahead, 1));
    }

    [[nodiscard]] Answer enqueue(Waiter& waiter, Instant now, Permit& permit) noexcept {
        Instant turn;
        if (waiting() == 0 && rate_.take(now, waiter.calls_, turn) == Taken::granted) {
            permit = granted();
            return {WaitState::granted};
        }
        const detail::SpinLock lock{mutex_};
        const std::uint32_t before_it = waiting();
        if (before_it == 0 && rate_.take_locked(now, waiter.calls_)) {
            permit = granted();
            return {WaitState::granted};
        }
        const detail::RateState seen = rate_.read_locked();
        if (waiter.calls_ > seen.burst()) {
            counters_.reject();
            return {WaitState::hopeless};
        }
        if (before_it >= queue_) {
            counters_.reject();
            const Instant again = seen.retry_at(now, ahead_, waiter.calls_);
            return {WaitState::rejected, again, again};
        }
        // The turn may have come already: the first caller is not awake yet, and will let the
        // others continue.
        turn = seen.turn_of(now, ahead_, waiter.calls_);
        waiters_.join(waiter.ticket_);
        waiter.has_queued_ = true;
        waiter.ticket_.is_called = before_it == 0;
        waiting_.store(before_it + 1, std::memory_order_relaxed);
        ahead_ += waiter.calls_;
        counters_.wait();
        if (before_it == 0) return {WaitState::first, turn, turn};
        return {WaitState::waits, never, turn};
    }
    [[nodiscard]] Answer ask_again(Waiter& waiter, Instant now, Permit& permit) noexcept {
        const detail::SpinLock lock{mutex_};
        if (!waiter.ticket_.is_called) return {WaitState::waits};
        if (!rate_.take_locked(now, waiter.calls_)) {
            const detail::RateState seen = rate_.read_locked();
            if (waiter.calls_ > seen.burst()) return {WaitState::hopeless};
            const Instant turn = seen.turn_of(now, 0, waiter.calls_);
            return {WaitState::first, turn, turn};
        }
        end(waiter);
        permit = granted();
        return {WaitState::granted};
    }
    void leave(Waiter& waiter) noexcept {
        const detail::SpinLock lock{mutex_};
        if (!waiter.ticket_.is_queued) return;
        counters_.leave();
        end(waiter);
    }
    void end(Waiter& waiter) noexcept {
        waiters_.leave(waiter.ticket_);
        waiting_.fetch_sub(1, std::memory_order_relaxed);
        ahead_ -= waiter.calls_;
        waiters_.call_first();
    }

    void on_success(NoPermitData, Instant) noexcept {}
    void on_failure(NoPermitData, Instant) noexcept {}
    void on_rejected(NoPermitData, Instant) noexcept {}
    void on_neutral(NoPermitData) noexcept {}

    [[no_unique_address]] detail::ConcurrentRate rate_;  // the two after it use its padding
    mutable detail::SpinMutex mutex_;
    const std::uint32_t queue_;
    // Both change under the lock: the number of callers in the queue, and of the calls that they
    // request. The sum of calls could overflow only with more callers than can exist, or with fixed
    // windows of about 2^63 calls. It would then only give a wrong time.
    std::uint64_t ahead_ = 0;
    detail::AtomicPermitCounters counters_;
    detail::WaitQueue waiters_;
    std::atomic<std::uint32_t> waiting_{0};
    detail::AnswerTime answer_time_;
};

}}  // namespace belay
