// SPDX-License-Identifier: MIT
/// \file outage/schedule.hpp
/// The schedule of the FaultInjector: which fault at which line.
#pragma once

#include <cstdint>
#include <vector>

#include "timeline.hpp"

namespace outage {

/// How often each fault is wanted, or was done.
struct Counts {
    unsigned kills = 0;
    unsigned freezes = 0;
    unsigned client_kills = 0;

    [[nodiscard]] unsigned& of(Fault fault) noexcept {
        return fault == Fault::kill_server     ? kills
               : fault == Fault::freeze_server ? freezes
                                               : client_kills;
    }
    friend bool operator==(const Counts&, const Counts&) noexcept = default;
};

/// A fault that is due when so many lines are delivered.
struct Plan {
    Fault fault;
    std::uint64_t at_line;
};

/// Spreads the faults in a random order over the lines from `from` to nearly `total`. It uses no
/// clock, so all of them happen, at any speed of the lines.
///
/// Returns: by rising line, each below `total`.   Pre: from < total.
[[nodiscard]] std::vector<Plan> make_schedule(std::uint64_t seed, const Counts& counts,
                                              std::uint64_t from, std::uint64_t total);

}  // namespace outage
