// SPDX-License-Identifier: MIT
/// \file outage/run_state.hpp
/// RunState: what a run remembers about itself, so that an interrupted one can be resumed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "schedule.hpp"

namespace outage {

/// `run.txt`. How far the lines have come is not in it: journal and ledger know that.
struct RunState {
    std::string file;
    std::uint32_t checksum = 0;
    std::uint64_t seed = 0;
    Counts done;
    bool finished = false;

    /// The state that the last run left in this directory; none if there was no run.
    /// Throws: Rejection if it is damaged.
    [[nodiscard]] static std::optional<RunState> load(const std::string& directory);
    /// Throws: Rejection.
    void save(const std::string& directory) const;
};

}  // namespace outage
