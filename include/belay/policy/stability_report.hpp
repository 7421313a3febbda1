// SPDX-License-Identifier: MIT
/// \file belay/policy/stability_report.hpp
/// check::StabilityReport: the results of check::stability.
#pragma once

#include <cstdint>   // std::uint32_t, std::uint64_t
#include <optional>  // std::optional
#include <vector>    // std::vector

#include <belay/core/instant.hpp>
#include <belay/policy/stability_load.hpp>
#include <belay/policy/stability_rule.hpp>

namespace belay { inline namespace BELAY_ABI { namespace check {

/// The results of check::stability.
///
/// Peaks are in thousandths of the offered load. 1000 is the number of calls per second if each
/// call succeeds at once.
///
/// Thread safety: a plain value.
struct StabilityReport {
    /// The load that was played.
    StabilityLoad load{};
    /// The calls of the worst second of the outage.
    std::uint64_t outage_peak_per_thousand = 0;
    /// The calls of the worst second of the recovery.
    std::uint64_t return_peak_per_thousand = 0;
    /// The calls of the worst second with errors, slow answers or a brown-out.
    std::uint64_t trouble_peak_per_thousand = 0;
    /// The time from the return of the server until goodput is back and stays, known to the second.
    /// It is `forever` if goodput is not back at the end of the recovery. Goodput is back when the
    /// calls that succeed in five seconds are at least 90 % of the offered ones.
    Duration back_after{};
    /// The calls that succeeded in the brown-out.
    std::uint64_t brown_out_good = 0;
    /// The calls that would have succeeded in the brown-out with one attempt per call.
    std::uint64_t brown_out_good_once = 0;
    /// The calls that were offered, those that succeeded, and the attempts that were sent.
    std::uint64_t offered = 0;
    std::uint64_t good = 0;
    std::uint64_t sent = 0;
    /// The longest time from the start of a call until its end, or until the end of the run.
    Duration longest_call{};
    /// The longest wait for an attempt that the policy advised.
    Duration longest_wait{};
    /// Whether the run ended early, because in one second the callers sent 100 times the offered
    /// load, or 1000 times as many waits ended. The figures are those of the time until then.
    bool ended_early = false;
    /// The attempts that were sent in each second, and the calls that succeeded, for plots.
    std::vector<std::uint32_t> sent_by_second{};
    std::vector<std::uint32_t> good_by_second{};

    /// Returns the first rule that the policy breaks, or nothing if it keeps all.
    /// Errors: none.   Complexity: O(1).
    [[nodiscard]] constexpr std::optional<StabilityRule> broken() const noexcept {
        if (outage_peak_per_thousand > load.peak_per_thousand_max) {
            return StabilityRule::calls_stay_bounded_in_the_outage;
        }
        if (return_peak_per_thousand > load.peak_per_thousand_max) {
            return StabilityRule::calls_stay_bounded_at_the_return;
        }
        if (trouble_peak_per_thousand > load.peak_per_thousand_max) {
            return StabilityRule::calls_stay_bounded_in_trouble;
        }
        // The time until goodput is back is known to the second.
        if (back_after == forever ||
            back_after > part::saturating_add(longest_wait, std::chrono::seconds{1})) {
            return StabilityRule::goodput_returns;
        }
        if (brown_out_good * 1000 < brown_out_good_once * load.brown_out_per_thousand_min) {
            return StabilityRule::brown_out_keeps_goodput;
        }
        return std::nullopt;
    }
};

}}}  // namespace belay::check
