// SPDX-License-Identifier: MIT
/// \file tests/support/archetypes.hpp
/// One minimal model per concept, with the required members and nothing more. Every template is
/// compiled with them, which proves that it uses only what the concept promises.
#pragma once

#include <belay/backoff/jitters.hpp>
#include <belay/core/clocks.hpp>
#include <belay/core/random.hpp>
#include <belay/policy/rule.hpp>

namespace belay_test {

/// A minimal ClockLike.
struct MinimalClock {
    MinimalClock() = delete;
    explicit MinimalClock(belay::Instant t) noexcept : time{t} {}
    [[nodiscard]] belay::Instant now() const noexcept { return time; }
    belay::Instant time;
};

/// A minimal JitterLike.
struct MinimalJitter {
    MinimalJitter() = delete;
    explicit MinimalJitter(int) noexcept {}
    [[nodiscard]] belay::part::WaitRange range(
        const belay::part::NominalWait& nominal) const noexcept {
        return {nominal.wait, nominal.wait};
    }
};

/// A minimal GrowthLike.
struct MinimalGrowth {
    MinimalGrowth() = delete;
    explicit MinimalGrowth(int) noexcept {}
    belay::Duration operator()(std::uint64_t) const noexcept { return belay::Duration{1}; }
};

/// A minimal CapLike.
struct MinimalCap {
    MinimalCap() = delete;
    explicit MinimalCap(int) noexcept {}
    [[nodiscard]] belay::Duration limit(belay::Duration wait) const noexcept { return wait; }
};

/// A minimal RuleLike.
struct MinimalRule {
    MinimalRule() = delete;
    explicit MinimalRule(int) noexcept {}
    belay::Advice failed(const belay::Failure&, belay::Turn&) noexcept {
        return belay::Advice::stop();
    }
};

/// A minimal SleeperLike, which never returns early and takes no time.
struct MinimalSleeper {
    MinimalSleeper() = delete;
    explicit MinimalSleeper(belay::Random& random) noexcept : bits_{random} {}
    MinimalSleeper(const MinimalSleeper&) = delete;
    MinimalSleeper& operator=(const MinimalSleeper&) = delete;

    [[nodiscard]] belay::Instant now() const noexcept { return now_; }
    belay::Random& bits() noexcept { return bits_; }
    template <class Stop>
    void sleep_until(belay::Instant until, const Stop&) noexcept {
        if (until > now_) now_ = until;
    }

private:
    belay::Random& bits_;
    belay::Instant now_{};
};

}  // namespace belay_test
