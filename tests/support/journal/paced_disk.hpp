// SPDX-License-Identifier: MIT
/// \file tests/support/journal/paced_disk.hpp
/// PacedDisk: a WatchedDisk whose journals wait for groups, in virtual time that the test controls.
#pragma once

#include <atomic>
#include <functional>

#include <belay/core/instant.hpp>

#include "support/journal/watched_disk.hpp"

namespace belay_test {

/// Time advances only by `pass`.   Thread safety: pass, now and yield: any thread.
struct PacedDisk : WatchedDisk {
    void yield() noexcept {
        ++yields;
        yields.notify_all();
        if (on_yield) on_yield();
    }
    [[nodiscard]] belay::Instant now() const noexcept {
        return belay::Instant{belay::Duration{time_}};
    }
    void pass(belay::Duration time) noexcept { time_ += time.count(); }

    std::function<void()> on_yield;
    std::atomic<int> yields{0};

private:
    std::atomic<belay::Duration::rep> time_{0};
};

}  // namespace belay_test
