// SPDX-License-Identifier: MIT
/// \file belay/policy/stability_load.hpp
/// check::StabilityLoad: the callers and the server that check::stability plays.
#pragma once

#include <cstdint>      // std::uint32_t
#include <string_view>  // std::string_view

#include <belay/core/failure.hpp>
#include <belay/core/instant.hpp>
#include <belay/core/random.hpp>

namespace belay { inline namespace BELAY_ABI { namespace check {

/// The callers, the server and its troubles that check::stability plays, and the limits of its
/// rules.
///
/// The phases follow each other: steady, outage, recovery, errors, slow answers, brown-out. Their
/// lengths are whole seconds.
///
/// Thread safety: a plain value.
struct StabilityLoad {
    /// The server, while nothing is wrong and in each of its troubles.
    struct Server {
        /// The calls that it can serve in a second, one after the other.
        std::uint32_t capacity_per_second = 1500;
        /// The longest wait in its queue. It rejects a call at once (Cause::overloaded) that would
        /// wait longer. With `forever` the queue has no bound.
        Duration queue_wait_max = std::chrono::milliseconds{500};
        /// The time that an answer takes in addition to the wait in the queue.
        Duration latency = std::chrono::milliseconds{20};
        /// The failure of calls in the outage. After Cause::timed_out, a call hangs until its
        /// timeout; after any other cause it fails when `latency` has passed.
        Cause outage_cause = Cause::refused;
        /// The share of answers, in thousandths, that are failures (Cause::lost) in the phase with
        /// errors.
        std::uint32_t errors_per_thousand = 100;
        /// The latency in the phase with slow answers.
        Duration slow_latency = std::chrono::milliseconds{400};
        /// The share of the capacity, in thousandths, that is left in the brown-out.
        std::uint32_t brown_out_per_thousand = 100;
    };
    /// The length of each phase.
    struct Phases {
        Duration steady = std::chrono::seconds{30};
        Duration outage = std::chrono::seconds{60};
        Duration recovery = std::chrono::seconds{90};
        Duration errors = std::chrono::seconds{20};
        Duration slow = std::chrono::seconds{20};
        Duration brown_out = std::chrono::seconds{30};
    };

    /// The calls that all callers together start in a second.
    std::uint32_t calls_per_second = 1000;
    /// The number of processes among which the calls alternate.
    std::uint32_t processes = 10;
    /// The time after which a caller gives up an attempt, unless its policy requests a shorter one.
    Duration timeout = std::chrono::seconds{1};
    Server server{};
    Phases phases{};
    Seed seed{1};
    /// The limit of the rules for peaks, in thousandths of the offered load.
    std::uint32_t peak_per_thousand_max = 1300;
    /// The limit of the rule for the brown-out, in thousandths of the goodput of one attempt per
    /// call. Set it to 0 for a policy with a breaker, which rejects calls during a brown-out.
    std::uint32_t brown_out_per_thousand_min = 900;

    /// Returns the sentence on what is wrong with this load; it is empty if nothing is.
    /// Complexity: O(1).
    [[nodiscard]] constexpr std::string_view check() const noexcept {
        if (calls_per_second < 1 || calls_per_second > 1'000'000) {
            return "StabilityLoad: calls_per_second must be in [1, 1000000]";
        }
        if (processes < 1) return "StabilityLoad: processes must be > 0";
        if (timeout.count() <= 0) return "StabilityLoad: the timeout must be > 0ns";
        if (server.capacity_per_second < 1 || server.capacity_per_second > 100'000'000) {
            return "StabilityLoad: capacity_per_second must be in [1, 100000000]";
        }
        if (server.queue_wait_max.count() < 0 || server.latency.count() <= 0 ||
            server.slow_latency.count() <= 0) {
            return "StabilityLoad: the latencies must be > 0ns, and queue_wait_max >= 0ns";
        }
        if (server.latency > longest || server.slow_latency > longest || timeout > longest) {
            return "StabilityLoad: the latencies and the timeout must be at most 1 h";
        }
        if (server.errors_per_thousand > 1000 || server.brown_out_per_thousand < 1 ||
            server.brown_out_per_thousand > 1000) {
            return "StabilityLoad: errors_per_thousand must be in [0, 1000], and "
                   "brown_out_per_thousand in [1, 1000]";
        }
        for (const Duration phase : {phases.steady, phases.outage, phases.recovery, phases.errors,
                                     phases.slow, phases.brown_out}) {
            if (phase < std::chrono::seconds{0} || phase > longest ||
                phase % std::chrono::seconds{1} != Duration{}) {
                return "StabilityLoad: a phase must be a whole number of seconds, at most 1 h";
            }
        }
        if (phases.recovery < std::chrono::seconds{5}) {
            return "StabilityLoad: the recovery must be at least 5 s";
        }
        return {};
    }

private:
    static constexpr Duration longest = std::chrono::hours{1};
};

}}}  // namespace belay::check
