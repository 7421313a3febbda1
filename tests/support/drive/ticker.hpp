// SPDX-License-Identifier: MIT
/// \file tests/support/drive/ticker.hpp
/// Ticker: a machine that counts its turns, for tests of drivers.
#pragma once

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <utility>

#include <belay/core/machine_like.hpp>

namespace belay_test {

/// It requests a turn at once, and then one in each `every`.
struct Ticker {
    void attach(belay::Waker w) { waker = std::move(w); }
    [[nodiscard]] belay::Instant deadline() const noexcept { return due; }
    void advance(belay::Instant now) {
        if (now < due) return;
        ++turns;
        due = every == belay::forever ? belay::never : belay::after(now, every);
        if (throws) throw std::runtime_error{"machine"};
    }
    belay::Instant due = belay::always;
    belay::Duration every = std::chrono::seconds{1};
    bool throws = false;
    int turns = 0;
    belay::Waker waker{};
};

/// Wakes `ticker` from a thread, without a pause: while `run_once` runs its turn, while `end` ends
/// its driver, and after that.
template <class Run, class End>
void wake_beyond_the_end(const Ticker& ticker, Run run_once, End end) {
    std::atomic<bool> over{false};
    std::atomic<int> wakes{0};
    std::thread other{[&, wake = ticker.waker.handle()] {
        while (!over) {
            wake.wake();
            ++wakes;
        }
    }};
    while (wakes < 1000 || ticker.turns == 0) run_once();
    end();
    const int before = wakes;
    while (wakes < before + 1000) std::this_thread::yield();
    over = true;
    other.join();
}

}  // namespace belay_test
