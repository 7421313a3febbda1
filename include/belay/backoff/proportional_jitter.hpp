// SPDX-License-Identifier: MIT
/// \file belay/backoff/proportional_jitter.hpp
/// ProportionalJitter: waits within a percentage of the nominal wait.
#pragma once

#include <cstdint>  // std::uint32_t, std::uint64_t

#include <belay/backoff/jitter_like.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Draws each wait uniformly from [nominal - below %, nominal + above %].
///
/// Under a hard cap, the whole interval moves down until its upper end is the cap. With +0..10 %
/// and 60 s, the late waits lie in [54.5 s, 60 s], uniformly, and none is above the cap.
///
/// Models:        JitterLike, std::regular except for default construction.
/// Thread safety: distinct objects safe; a shared one safe (it never changes).
class ProportionalJitter {
public:
    /// Makes a jitter in both directions: `plus_minus_percent(20)` waits 80..120 % of the nominal
    /// wait.
    ///
    /// Pre: percent <= 100, which the Backoff checks.
    [[nodiscard]] static constexpr ProportionalJitter plus_minus_percent(
        std::uint32_t percent) noexcept {
        return ProportionalJitter{{.below = percent, .above = percent}};
    }
    /// Makes a jitter upwards only: `plus_percent(10)` waits 100..110 % of the nominal wait.
    ///
    /// Pre: percent <= 100, which the Backoff checks.
    [[nodiscard]] static constexpr ProportionalJitter plus_percent(std::uint32_t percent) noexcept {
        return ProportionalJitter{{.below = 0, .above = percent}};
    }

    /// Errors: none; saturates.   Complexity: O(1).
    [[nodiscard]] constexpr part::WaitRange range(const part::NominalWait& nominal) const noexcept {
        const Duration peak = peak_of(nominal.wait);
        const Duration most = peak < nominal.most ? peak : nominal.most;
        return {floor_of(most), most};
    }

    [[nodiscard]] constexpr BackoffErrc check() const noexcept {
        return percents_.below <= 100 && percents_.above <= 100 ? BackoffErrc{}
                                                                : BackoffErrc::bad_jitter;
    }

    friend constexpr bool operator==(ProportionalJitter, ProportionalJitter) noexcept = default;

private:
    struct Percents {
        std::uint32_t below;
        std::uint32_t above;

        friend constexpr bool operator==(Percents, Percents) noexcept = default;
    };

    explicit constexpr ProportionalJitter(Percents percents) noexcept : percents_{percents} {}

    // Computed in parts that cannot overflow, or that saturate.
    [[nodiscard]] constexpr Duration peak_of(Duration nominal) const noexcept {
        const std::uint64_t share = std::uint64_t{100} + percents_.above;
        const auto rest = static_cast<std::uint64_t>((nominal % 100).count()) * share / 100;
        return part::saturating_add(part::saturating_multiply(nominal / 100, share),
                                    Duration{static_cast<Duration::rep>(rest)});
    }

    // Returns most * (100 - below) / (100 + above), computed in parts that cannot overflow. It is
    // rounded up, so that floor_of(peak_of(d)) is d itself where nothing is subtracted.
    [[nodiscard]] constexpr Duration floor_of(Duration most) const noexcept {
        const auto top = static_cast<std::uint64_t>(most.count());
        const std::uint64_t share = 100U - percents_.below;
        const std::uint64_t whole = 100U + percents_.above;
        const std::uint64_t least = top / whole * share + (top % whole * share + whole - 1) / whole;
        return Duration{static_cast<Duration::rep>(least)};
    }

    Percents percents_;
};

}}  // namespace belay
