// SPDX-License-Identifier: MIT
/// \file tests/support/call/async_sleeper.hpp
/// AsyncSleeper: virtual time for coroutines. Event: an awaitable that the test completes.
#pragma once

#include <coroutine>
#include <utility>
#include <vector>

#include <belay/call/async_sleeper_like.hpp>
#include <belay/call/task.hpp>
#include <belay/core/result.hpp>
#include <belay/core/stop_source.hpp>

namespace belay_test {

/// Models AsyncSleeperLike and, for blocking calls in the same test, SleeperLike. Time passes only
/// in `run` (or in blocking sleeps); waits may be destroyed at any time.
class AsyncSleeper {
public:
    class Wait {
    public:
        template <class Stop>
        Wait(AsyncSleeper& sleeper, belay::Instant until, const Stop& stop) noexcept
            : sleeper_{sleeper}, until_{until} {
            if constexpr (std::is_same_v<Stop, belay::StopToken>) stop_ = stop;
        }
        Wait(const Wait&) = delete;
        Wait& operator=(const Wait&) = delete;
        ~Wait() { std::erase(sleeper_.waits_, this); }

        bool await_ready() const noexcept { return over(); }
        void await_suspend(std::coroutine_handle<> handle) {
            handle_ = handle;
            sleeper_.waits_.push_back(this);
            sleeper_.sleeps.push_back(belay::elapsed(sleeper_.time, until_));
        }
        void await_resume() const noexcept {}

    private:
        friend AsyncSleeper;
        bool over() const noexcept { return sleeper_.time >= until_ || stop_.stop_requested(); }

        AsyncSleeper& sleeper_;
        belay::Instant until_;
        belay::StopToken stop_;
        std::coroutine_handle<> handle_;
    };

    [[nodiscard]] belay::Instant now() const noexcept { return time; }
    belay::Random& bits() noexcept { return random; }
    template <class Stop = belay::NeverStops>
    Wait async_sleep_until(belay::Instant until, const Stop& stop = {}) noexcept {
        return {*this, until, stop};
    }
    template <class Stop>
    void sleep_until(belay::Instant until, const Stop&) noexcept {
        sleeps.push_back(belay::elapsed(time, until));
        if (until > time) time = until;
    }

    /// Lets time pass up to `end`, and resumes each wait at its time.
    void run_until(belay::Instant end) {
        while (step(end)) {
        }
        if (end > time && end != belay::never) time = end;
    }
    /// Lets time pass until no wait is left.
    void run() { run_until(belay::never); }
    /// The number of waits.
    [[nodiscard]] std::size_t waiting() const noexcept { return waits_.size(); }

    belay::Instant time{};
    belay::Random random{belay::Seed{1}};
    std::vector<belay::Duration> sleeps{};

private:
    // The earliest wait first, and of equal ones the first to begin.
    bool step(belay::Instant end) {
        Wait* next = nullptr;
        for (Wait* const w : waits_) {
            if (w->over()) {
                next = w;
                break;
            }
            if (w->until_ <= end && (next == nullptr || w->until_ < next->until_)) next = w;
        }
        if (next == nullptr) return false;
        if (!next->over()) time = next->until_;
        std::erase(waits_, next);
        next->handle_.resume();
        return true;
    }

    std::vector<Wait*> waits_{};
};

/// A call that takes this long.
inline belay::Task<belay::Result<int>> takes(AsyncSleeper& sleeper, belay::Duration time,
                                             int value) {
    co_await sleeper.async_sleep_until(belay::after(sleeper.now(), time));
    co_return value;
}
/// The final result of a pipeline of coroutines.
template <class P, class F>
auto await(const P& pipeline, AsyncSleeper& sleeper, F fn) {
    auto task = pipeline(sleeper, fn);
    task.start();
    sleeper.run();
    return task.take();
}

/// An awaitable that the test completes. It records whether it was destroyed in the wait.
class Event {
public:
    class Wait {
    public:
        explicit Wait(Event& event) noexcept : event_{event} {}
        Wait(const Wait&) = delete;
        Wait& operator=(const Wait&) = delete;
        ~Wait() {
            if (event_.wait_ == this) event_.wait_ = nullptr, ++event_.cancelled;
        }
        bool await_ready() const noexcept { return false; }
        void await_suspend(std::coroutine_handle<> handle) noexcept {
            handle_ = handle;
            event_.wait_ = this;
        }
        void await_resume() const noexcept {}

    private:
        friend Event;
        Event& event_;
        std::coroutine_handle<> handle_;
    };

    Wait operator co_await() noexcept { return Wait{*this}; }
    [[nodiscard]] bool awaited() const noexcept { return wait_ != nullptr; }
    void set() { std::exchange(wait_, nullptr)->handle_.resume(); }

    int cancelled = 0;

private:
    Wait* wait_ = nullptr;
};

}  // namespace belay_test
