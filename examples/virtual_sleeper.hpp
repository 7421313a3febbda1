// SPDX-License-Identifier: MIT
// A Sleeper whose time is virtual: the examples wait for minutes in no time.
#pragma once

#include <belay/belay.hpp>

class VirtualSleeper {
public:
    [[nodiscard]] belay::Instant now() const noexcept { return clock_.now(); }
    [[nodiscard]] belay::Random& bits() noexcept { return bits_; }
    void sleep_until(belay::Instant until, const auto& /*stop*/) noexcept { clock_.set(until); }

    /// A clock that shows the same time, for a CircuitBreaker.
    [[nodiscard]] belay::ManualClock::View clock() const noexcept { return clock_.view(); }

private:
    belay::ManualClock clock_;
    belay::Random bits_{belay::Seed{7}};
};
