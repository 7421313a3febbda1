// SPDX-License-Identifier: MIT
/// \file outage/timeline.hpp
/// Timeline: what happened in a run, for the picture and for the times in the verdict.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <belay/core/instant.hpp>

namespace outage {

/// The faults of the FaultInjector.
enum class Fault : std::uint8_t { kill_server, freeze_server, kill_client };

/// "server killed", "server frozen", "client killed".
[[nodiscard]] std::string_view to_string(Fault fault);

/// One thing after the other, as it happened.
class Timeline {
public:
    struct State {
        belay::Instant at;
        /// The state of the link: connected, connecting, cooldown and so on; "down" while there is
        /// no client.
        std::string name;
    };
    struct Queue {
        belay::Instant at;
        std::uint64_t waiting;
        std::uint64_t acknowledged;
    };
    struct TimedFault {
        Fault fault;
        belay::Instant at;
        belay::Instant undone = belay::never;     ///< the process runs again
        belay::Instant recovered = belay::never;  ///< the client is connected again
    };
    /// The client was not connected; the time before the first connection is none.
    struct Outage {
        belay::Instant from;
        belay::Instant to = belay::never;
    };

    explicit Timeline(belay::Instant begin) : begin_{begin} {}

    void state(belay::Instant at, std::string_view name);
    void queue(belay::Instant at, std::uint64_t waiting, std::uint64_t acknowledged);
    void record_fault(Fault fault, belay::Instant at) { timed_faults_.push_back({fault, at}); }
    /// The process that was hit runs again.
    void undone(belay::Instant at) {
        if (!timed_faults_.empty()) timed_faults_.back().undone = at;
    }
    void end(belay::Instant at) { end_ = at; }

    [[nodiscard]] belay::Instant begin() const noexcept { return begin_; }
    [[nodiscard]] belay::Instant end() const noexcept { return end_; }
    [[nodiscard]] const std::vector<State>& states() const noexcept { return states_; }
    [[nodiscard]] const std::vector<Queue>& queue() const noexcept { return queue_; }
    [[nodiscard]] const std::vector<TimedFault>& timed_faults() const noexcept {
        return timed_faults_;
    }
    [[nodiscard]] const std::vector<Outage>& outages() const noexcept { return outages_; }

    /// The one that is going on counts up to `now`.
    [[nodiscard]] belay::Duration longest_outage(belay::Instant now) const;
    /// The share `p` of the recoveries took no longer: from the process that runs again to the
    /// connection.   Pre: 0 < p <= 1.   Returns: 0ns if there were none.
    [[nodiscard]] belay::Duration recovery(double p) const;

private:
    belay::Instant begin_;
    belay::Instant end_ = belay::never;
    bool was_connected_ = false;
    std::vector<State> states_;
    std::vector<Queue> queue_;
    std::vector<TimedFault> timed_faults_;
    std::vector<Outage> outages_;
};

/// "0.04 s", "12.30 s".
[[nodiscard]] std::string in_seconds(belay::Duration d);
/// "1 outage", "2 outages".
[[nodiscard]] std::string counted(std::uint64_t n, std::string_view what);

}  // namespace outage
