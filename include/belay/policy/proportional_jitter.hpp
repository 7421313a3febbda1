// SPDX-License-Identifier: MIT
/// \file belay/policy/proportional_jitter.hpp
/// ProportionalJitter: waits within some percent of the nominal one.
#pragma once

#include <cstdint>  // std::uint32_t

#include <belay/policy/jitter_like.hpp>

namespace belay::inline BELAY_ABI {

/// Picks a delay uniformly from [nominal - below %, nominal + above %].
///
/// Under a cap the whole interval moves down until its upper end is the cap: with +0..10 % and a
/// cap of 60 s the late waits lie in [54.5 s, 60 s], evenly, and none is above the cap.
///
/// Models:        JitterLike, std::regular.
/// Thread safety: distinct objects safe; a shared one safe (never changes); the bit source is not.
class ProportionalJitter {
public:
    /// Both ways: `plus_minus_percent(20)` waits 80..120 % of the nominal wait.
    /// Pre: percent <= 100.
    [[nodiscard]] static constexpr ProportionalJitter plus_minus_percent(
        std::uint32_t percent) noexcept {
        return ProportionalJitter{percent, percent};
    }
    /// Upwards only: `plus_percent(10)` waits 100..110 % of the nominal wait.
    /// Pre: percent <= 100.
    [[nodiscard]] static constexpr ProportionalJitter plus_percent(std::uint32_t percent) noexcept {
        return ProportionalJitter{0, percent};
    }

    /// The upper end of the interval around `nominal`; saturates.
    ///
    /// Pre: nominal >= 0ns.   Errors: none.   Complexity: O(1).
    [[nodiscard]] constexpr Duration peak(Duration nominal) const noexcept {
        BELAY_PRECONDITION(nominal.count() >= 0, "ProportionalJitter::peak: nominal must be >= 0");
        const Duration whole = saturating_multiply(nominal / 100, 100U + above_percent_);
        return saturating_add(whole, nominal % 100 * (100U + above_percent_) / 100);
    }

    /// A delay in the interval whose upper end is `ceiling`.
    ///
    /// Pre:        ceiling >= 0ns.
    /// Errors:     none.   Throws: nothing.   Allocates: never.
    /// Complexity: O(1); draws 64 bits, and again with probability <= ceiling / 2^64.
    template <BitSource Bits>
    [[nodiscard]] constexpr Duration delay(Duration ceiling, Bits& bits) const noexcept {
        BELAY_PRECONDITION(ceiling.count() >= 0, "ProportionalJitter::delay: ceiling must be >= 0");
        const Duration least = floor_of(ceiling);
        const auto last = static_cast<std::uint64_t>((ceiling - least).count());
        return least + Duration{static_cast<Duration::rep>(uniform_upto(bits, last))};
    }

    friend constexpr bool operator==(ProportionalJitter, ProportionalJitter) noexcept = default;

private:
    constexpr ProportionalJitter(std::uint32_t below, std::uint32_t above) noexcept
        : below_percent_{below}, above_percent_{above} {
        BELAY_PRECONDITION(below <= 100 && above <= 100,
                           "ProportionalJitter: percent must be <= 100");
    }

    // ceiling * (100 - below) / (100 + above), in parts that cannot overflow; rounded up, so that
    // floor_of(peak(d)) is d itself where nothing is taken off.
    [[nodiscard]] constexpr Duration floor_of(Duration ceiling) const noexcept {
        const auto top = static_cast<std::uint64_t>(ceiling.count());
        const std::uint64_t share = 100U - below_percent_;
        const std::uint64_t whole = 100U + above_percent_;
        const std::uint64_t least = top / whole * share + (top % whole * share + whole - 1) / whole;
        return Duration{static_cast<Duration::rep>(least)};
    }

    std::uint32_t below_percent_;
    std::uint32_t above_percent_;
};

static_assert(JitterLike<ProportionalJitter> && sizeof(ProportionalJitter) == 8);

}  // namespace belay::inline BELAY_ABI
