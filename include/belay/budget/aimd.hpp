// SPDX-License-Identifier: MIT
/// \file belay/budget/aimd.hpp
/// Aimd: a concurrency limit that grows by one and shrinks by a share.
#pragma once

#include <cstdint>      // std::uint32_t, std::uint64_t
#include <string_view>  // std::string_view

#include <belay/core/detail/expect_options.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The options of an Aimd.   Thread safety: a plain value.
struct AimdOptions {
    /// The limit at the start, and the bounds within which it may change.
    std::uint32_t initial = 20;
    std::uint32_t least = 1;
    std::uint32_t most = 1000;
    /// The share of the limit that is left, in thousandths, when attempts fail.
    std::uint32_t shrink_to_per_thousand = 900;

    /// Returns the sentence on what is wrong with these options; it is empty if nothing is. It also
    /// serves a static_assert.   Complexity: O(1).
    [[nodiscard]] constexpr std::string_view check() const noexcept {
        if (least < 1 || least > initial || initial > most) {
            return "AimdOptions: 1 <= least <= initial <= most must hold";
        }
        if (shrink_to_per_thousand < 1 || shrink_to_per_thousand > 999) {
            return "AimdOptions: a decrease must leave 1 to 999 thousandths";
        }
        return {};
    }
};

/// A concurrency limit with additive increase and multiplicative decrease.
///
/// It grows by one after as many successes as the limit, and shrinks by a share after a failure. It
/// is an algorithm of AdaptiveLimit.
///
/// Thread safety: a plain value.
/// Source:        D. Chiu, R. Jain, "Analysis of the Increase and Decrease Algorithms for
///                Congestion Avoidance in Computer Networks" (1989); TCP's congestion avoidance.
class Aimd {
public:
    constexpr Aimd() noexcept : Aimd{AimdOptions{}} {}
    /// Pre: options.check() is empty: 1 <= least <= initial <= most; shrink_to_per_thousand in [1,
    ///      999].
    constexpr explicit Aimd(AimdOptions options) noexcept
        : limit_milli_{std::uint64_t{options.initial} * 1000}, options_{options} {
        detail::expect_options(options.check(),
                               {{"least", options.least},
                                {"initial", options.initial},
                                {"most", options.most},
                                {"shrink_to_per_thousand", options.shrink_to_per_thousand}});
    }

    [[nodiscard]] constexpr std::uint32_t limit() const noexcept {
        return static_cast<std::uint32_t>(limit_milli_ / 1000);
    }
    /// Records an attempt that succeeded while `in_flight` were under way, including itself.
    constexpr void succeeded(Duration, std::uint32_t in_flight) noexcept {
        if (std::uint64_t{in_flight} * 2 < limit()) return;
        const std::uint64_t step = 1'000'000 / limit_milli_;
        const std::uint64_t most = std::uint64_t{options_.most} * 1000;
        limit_milli_ += step >= 1 ? step : 1;
        if (limit_milli_ > most) limit_milli_ = most;
    }
    constexpr void failed() noexcept {
        const std::uint64_t least = std::uint64_t{options_.least} * 1000;
        limit_milli_ = limit_milli_ * options_.shrink_to_per_thousand / 1000;
        if (limit_milli_ < least) limit_milli_ = least;
    }

private:
    std::uint64_t limit_milli_;
    AimdOptions options_;
};

}}  // namespace belay
