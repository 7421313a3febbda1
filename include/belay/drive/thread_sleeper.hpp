// SPDX-License-Identifier: MIT
/// \file belay/drive/thread_sleeper.hpp
/// ThreadSleeper: really sleeps; and `retry` with it.
#pragma once

#include <condition_variable>  // std::condition_variable
#include <mutex>               // std::mutex
#include <utility>             // std::forward

#include <belay/call/retry.hpp>
#include <belay/core/steady_clock.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Blocks the calling thread by the machine's steady clock.
///
/// A StopToken wakes it at once; any other token is asked every 10 ms.
///
/// Models:        SleeperLike.
/// Thread safety: one thread at a time.
class ThreadSleeper {
public:
    /// How often a token is asked that cannot wake anybody.
    static constexpr Duration poll_interval = std::chrono::milliseconds{10};

    /// Random bits from the system's entropy.
    ThreadSleeper() noexcept = default;
    /// A fixed sequence of random bits.
    explicit ThreadSleeper(Seed seed) noexcept : bits_{seed} {}

    [[nodiscard]] Instant now() const noexcept { return SteadyClock{}.now(); }
    [[nodiscard]] Random& bits() noexcept { return bits_; }

    /// Returns when it is `until`, or a stop was requested.   Blocks: until then.
    void sleep_until(Instant until, const StopToken& stop) noexcept {
        Wakeable wakeable;
        const part::StopWaiter waiter{stop, &Wakeable::wake, &wakeable};
        for (Instant t = now(); t < until && !stop.stop_requested(); t = now()) {
            wakeable.wait(earlier(until, after(t, longest_wait)));
        }
    }
    /// The same with a token that has to be asked.
    template <StopTokenLike Stop>
    void sleep_until(Instant until, const Stop& stop) noexcept {
        Wakeable nobody_wakes;
        for (Instant t = now(); t < until && !stop.stop_requested(); t = now()) {
            nobody_wakes.wait(earlier(until, after(t, poll_interval)));
        }
    }
    /// The same with a token that is never asked to stop.
    void sleep_until(Instant until, const NeverStops&) noexcept { sleep_until(until, StopToken{}); }

private:
    // Some standard libraries convert waits to the wall clock: years would overflow there.
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

    Random bits_;
};

/// `retry` that sleeps on the calling thread, with random bits from the system's entropy.
///
/// The same contract as the overload that takes a sleeper.
template <RuleLike P, class F, StopTokenLike Stop = NeverStops, class Observer = const NoObserver>
    requires detail::BlockingCall<std::remove_reference_t<F>>
auto retry(const P& policy, F&& fn, const Stop& stop = {}, Observer&& observer = {}) {
    ThreadSleeper sleeper;
    return retry(policy, sleeper, std::forward<F>(fn), stop, std::forward<Observer>(observer));
}

}}  // namespace belay
