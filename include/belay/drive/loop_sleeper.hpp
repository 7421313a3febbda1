// SPDX-License-Identifier: MIT
/// \file belay/drive/loop_sleeper.hpp
/// LoopSleeper: lets coroutines wait on a Loop, a posix::Loop or a sim::Host.
#pragma once

#include <concepts>  // std::same_as
#include <optional>  // std::optional
#include <utility>   // std::exchange, std::move

#include <belay/call/async_sleeper_like.hpp>
#include <belay/core/machine_like.hpp>
#include <belay/core/stop_source.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

/// A wait, as a machine that is stored in the coroutine's frame and detaches itself.
template <class Driver, StopTokenLike Stop>
class LoopSleep {
    static constexpr bool wakes = std::same_as<Stop, StopToken>;
    static constexpr bool asks = !wakes && !std::same_as<Stop, NeverStops>;
    static constexpr Duration ask_every = std::chrono::milliseconds{10};

public:
    LoopSleep(Driver& driver, Instant until, const Stop& stop) noexcept
        : driver_{driver}, until_{until}, stop_{stop} {}
    LoopSleep(const LoopSleep&) = delete;
    LoopSleep& operator=(const LoopSleep&) = delete;

    // ---- for the coroutine ---------------------------------------------------------------------

    [[nodiscard]] bool await_ready() const noexcept { return over(driver_.now()); }
    // A template, so that programs without coroutines do not include <coroutine>.
    template <class Coroutine>
    void await_suspend(Coroutine sleeper) {
        sleeper_ = sleeper.address();
        resume_ = [](void* address) { Coroutine::from_address(address).resume(); };
        if constexpr (asks) ask_at_ = after(driver_.now(), ask_every);
        driver_.attach(*this);
    }
    void await_resume() const noexcept {}

    // ---- for the driver ------------------------------------------------------------------------

    void attach(Waker waker) noexcept {
        waker_ = std::move(waker);
        if constexpr (wakes) waiter_.emplace(stop_, &wake, this);
    }
    [[nodiscard]] Instant deadline() const noexcept {
        if (sleeper_ == nullptr) return never;
        if (stop_.stop_requested()) return always;
        return asks && ask_at_ < until_ ? ask_at_ : until_;
    }
    void advance(Instant now) {
        if (sleeper_ == nullptr) return;
        // The coroutine may destroy this wait, and everything else.
        if (over(now)) return resume_(std::exchange(sleeper_, nullptr));
        if constexpr (asks) ask_at_ = after(now, ask_every);
    }

private:
    [[nodiscard]] bool over(Instant now) const noexcept {
        return now >= until_ || stop_.stop_requested();
    }
    static void wake(void* self) noexcept { static_cast<LoopSleep*>(self)->waker_.handle().wake(); }

    Driver& driver_;
    const Instant until_;
    const Stop stop_;
    void* sleeper_ = nullptr;
    void (*resume_)(void*) = nullptr;
    Instant ask_at_ = never;
    Waker waker_;
    // Declared after the Waker, which it uses, so that it is destroyed first.
    std::optional<part::StopWaiter> waiter_;
};

}  // namespace detail

/// Lets coroutines wait on a driver of machines: a Loop, a posix::Loop, a sim::Host.
///
/// A StopToken ends a wait at once, from any thread. Any other token is polled every 10 ms. The
/// random bits come from the driver, so in a simulation they are those of the world. Each copy has
/// bits of its own. A coroutine is resumed inside the driver's run. An exception of the coroutine
/// leaves that run, if the coroutine's type passes it on.
///
/// The driver must outlive the waits. You may destroy a wait at any time, on the driver's thread.
///
/// Models:        AsyncSleeperLike.
/// Thread safety: the driver's thread.   Allocates: an entry in the driver for each wait.
template <class Driver>
class LoopSleeper {
    static_assert(explain::driver_like<Driver>());

public:
    explicit LoopSleeper(Driver& driver) : driver_{&driver} {
        SeedTaker taker;
        driver.attach(taker);
        bits_ = Random{taker.waker.seed()};
    }
    /// A copy gets a seed of its own from the driver, because equal bits would give equal jitter.
    LoopSleeper(const LoopSleeper& other) : LoopSleeper{*other.driver_} {}
    LoopSleeper(LoopSleeper&&) noexcept = default;
    LoopSleeper& operator=(const LoopSleeper& other) {
        if (this != &other) *this = LoopSleeper{other};
        return *this;
    }
    LoopSleeper& operator=(LoopSleeper&&) noexcept = default;
    ~LoopSleeper() = default;

    [[nodiscard]] Instant now() const noexcept { return driver_->now(); }
    [[nodiscard]] Random& bits() noexcept { return bits_; }

    /// Returns an awaitable that resumes at `until`, or when a stop is requested.
    /// Complexity: O(log n).
    template <StopTokenLike Stop = NeverStops>
    [[nodiscard]] detail::LoopSleep<Driver, Stop> async_sleep_until(
        Instant until, const Stop& stop = {}) noexcept {
        return {*driver_, until, stop};
    }

private:
    // A driver gives seeds only to machines.
    struct SeedTaker {
        Waker waker;
        void attach(Waker w) noexcept { waker = std::move(w); }
        [[nodiscard]] Instant deadline() const noexcept { return never; }
        void advance(Instant) noexcept {}
    };

    Driver* driver_;
    Random bits_;
};

}}  // namespace belay
