// SPDX-License-Identifier: MIT
/// \file belay/policy/reconnection_report.hpp
/// check::ReconnectionLoad and check::ReconnectionReport: what check::reconnection plays and finds.
#pragma once

#include <cstdint>      // std::uint32_t, std::uint64_t
#include <optional>     // std::optional
#include <string_view>  // std::string_view
#include <vector>       // std::vector

#include <belay/core/failure.hpp>
#include <belay/core/instant.hpp>
#include <belay/core/random.hpp>
#include <belay/policy/stability_rule.hpp>

namespace belay { inline namespace BELAY_ABI { namespace check {

/// The clients and the outage that check::reconnection plays.
///
/// Thread safety: a plain value.
struct ReconnectionLoad {
    /// The number of clients, each with one connection.
    std::uint32_t clients = 10'000;
    /// The number of processes among which the clients are divided.
    std::uint32_t processes = 1;
    /// The time from the loss of all connections until the server accepts dials again, in whole
    /// seconds. It must be longer than the longest wait of the policy.
    Duration outage = std::chrono::minutes{10};
    /// The time after the return that is played, in whole seconds.
    Duration recovery = std::chrono::minutes{10};
    /// The time after which a dial succeeds, or fails during the outage.
    Duration latency = std::chrono::milliseconds{20};
    /// The failure of a dial during the outage.
    Cause outage_cause = Cause::refused;
    Seed seed{1};

    /// Returns the sentence on what is wrong with this load; it is empty if nothing is.
    /// Complexity: O(1).
    [[nodiscard]] constexpr std::string_view check() const noexcept {
        if (clients < 1 || clients > 1'000'000) {
            return "ReconnectionLoad: clients must be in [1, 1000000]";
        }
        if (processes < 1) return "ReconnectionLoad: processes must be > 0";
        if (latency.count() <= 0 || latency > std::chrono::hours{1}) {
            return "ReconnectionLoad: the latency must be > 0ns, and at most 1 h";
        }
        for (const Duration phase : {outage, recovery}) {
            if (phase < std::chrono::seconds{1} || phase > std::chrono::hours{24} ||
                phase % std::chrono::seconds{1} != Duration{}) {
                return "ReconnectionLoad: the outage and the recovery must be whole seconds, at "
                       "most 24 h";
            }
        }
        return {};
    }
};

/// The results of check::reconnection.
///
/// Thread safety: a plain value.
struct ReconnectionReport {
    /// The load that was played.
    ReconnectionLoad load{};
    /// The longest wait for a dial that the policy advised: its cap, or its open wait.
    Duration longest_wait{};
    /// The dials in the worst second of the outage, and in the worst one of the whole run after the
    /// longest wait has passed since the loss.
    std::uint64_t first_peak = 0;
    std::uint64_t later_peak = 0;
    /// The limit of the rule for `later_peak`: the clients divided by half of the longest wait in
    /// seconds. Five standard deviations are added, because draws differ.
    std::uint64_t later_peak_max = 0;
    /// The dials in the worst second after the return.
    std::uint64_t return_peak = 0;
    /// The time from the return until 99 % of the clients are connected; `forever` if they are not.
    Duration back_after{};
    /// The clients whose policy stopped.
    std::uint64_t gave_up = 0;
    /// The dials of all clients together.
    std::uint64_t dials = 0;
    /// Whether the run ended early, because the clients dialled 100 times each in one second. The
    /// figures are those of the time until then.
    bool ended_early = false;
    /// The dials in each second since the loss, for plots.
    std::vector<std::uint32_t> dials_by_second{};

    /// Returns the first rule that the policy breaks, or nothing if it keeps all.
    /// Errors: none.   Complexity: O(1).
    [[nodiscard]] constexpr std::optional<StabilityRule> broken() const noexcept {
        if (later_peak > later_peak_max) return StabilityRule::dials_stay_spread;
        if (back_after == forever ||
            back_after > part::saturating_add(longest_wait, load.latency)) {
            return StabilityRule::clients_return;
        }
        return std::nullopt;
    }
};

}}}  // namespace belay::check
