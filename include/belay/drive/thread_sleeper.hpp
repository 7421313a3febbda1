// SPDX-License-Identifier: MIT
/// \file belay/drive/thread_sleeper.hpp
/// ThreadSleeper, retry: waits that block the calling thread.
#pragma once

#include <atomic>              // std::atomic
#include <condition_variable>  // std::condition_variable
#include <cstdint>             // std::uint64_t
#include <mutex>               // std::mutex
#include <utility>             // std::forward

#include <belay/call/retry.hpp>
#include <belay/core/clocks.hpp>

namespace belay { inline namespace BELAY_ABI {

/// A sleeper that blocks the calling thread, by the computer's steady clock.
///
/// A StopToken wakes it at once. Any other token is polled every 10 ms.
///
/// Models:        SleeperLike.
/// Thread safety: any thread. Each thread draws from a generator of its own.
class ThreadSleeper {
public:
    /// The interval at which a token that cannot wake the sleeper is polled.
    static constexpr Duration poll_interval = std::chrono::milliseconds{10};

    /// Takes its random bits from the system's entropy.
    ThreadSleeper() noexcept = default;
    /// Draws a fixed sequence of random bits from a seed. Threads that share the sleeper draw parts
    /// of it.
    explicit ThreadSleeper(Seed seed) noexcept : seed_{seed.value}, is_seeded_{true} {}
    ThreadSleeper(const ThreadSleeper& other) noexcept
        : seed_{other.seed_.load(std::memory_order_relaxed)}, is_seeded_{other.is_seeded_} {}
    ThreadSleeper& operator=(const ThreadSleeper& other) noexcept {
        seed_ = other.seed_.load(std::memory_order_relaxed);
        is_seeded_ = other.is_seeded_;
        return *this;
    }
    ~ThreadSleeper() = default;

    [[nodiscard]] Instant now() const noexcept { return SteadyClock{}.now(); }
    /// Returns a generator that is for the calling thread until its next call.
    [[nodiscard]] Random& bits() noexcept {
        static thread_local Random own;
        if (!is_seeded_) return own;
        static thread_local Random seeded;
        seeded.seed(Seed{seed_.fetch_add(step, std::memory_order_relaxed)});
        return seeded;
    }

    /// Sleeps until `until`, or until a stop is requested.   Blocks: until then.
    void sleep_until(Instant until, const StopToken& stop) noexcept {
        Wakeable wakeable;
        const part::StopWaiter waiter{stop, &Wakeable::wake, &wakeable};
        for (Instant t = now(); t < until && !stop.stop_requested(); t = now()) {
            wakeable.wait(earlier(until, after(t, longest_wait)));
        }
    }
    /// Sleeps with a token that must be polled.
    template <StopTokenLike Stop>
    void sleep_until(Instant until, const Stop& stop) noexcept {
        Wakeable nobody_wakes;
        for (Instant t = now(); t < until && !stop.stop_requested(); t = now()) {
            nobody_wakes.wait(earlier(until, after(t, poll_interval)));
        }
    }
    /// Sleeps with a token that never requests a stop.
    void sleep_until(Instant until, const NeverStops&) noexcept { sleep_until(until, StopToken{}); }

private:
    // Some standard libraries convert waits to the wall clock, where a wait of years would
    // overflow.
    static constexpr Duration longest_wait = std::chrono::hours{24};

    [[nodiscard]] static constexpr Instant earlier(Instant a, Instant b) noexcept {
        return a < b ? a : b;
    }

    struct Wakeable {
        std::mutex mutex;
        std::condition_variable changed;
        bool woken = false;

        static void wake(void* self) noexcept {
            auto& w = *static_cast<Wakeable*>(self);
            const std::lock_guard lock{w.mutex};
            w.woken = true;
            w.changed.notify_one();
        }
        void wait(Instant until) noexcept {
            std::unique_lock lock{mutex};
            changed.wait_until(lock, until, [this] { return woken; });
        }
    };

    /// Makes the seeds of other sleepers unlikely to follow.
    static constexpr std::uint64_t step = 0xD1B54A32D192ED03U;

    std::atomic<std::uint64_t> seed_{0};  // of the next generator
    bool is_seeded_ = false;
};

/// Retries a call with sleeps on the calling thread, and with random bits from the system's
/// entropy.
///
/// The contract is that of the overload that takes a sleeper.
template <RuleLike P, class F, StopTokenLike Stop = NeverStops, class Observer = const NoObserver>
    requires detail::BlockingCall<std::remove_reference_t<F>>
auto retry(const P& policy, F&& fn, const Stop& stop = {}, Observer&& observer = {}) {
    ThreadSleeper sleeper;
    return retry(policy, sleeper, std::forward<F>(fn), stop, std::forward<Observer>(observer));
}

}}  // namespace belay
