// SPDX-License-Identifier: MIT
/// \file tests/support/sim/power_lost_at_end.hpp
/// power_lost_at_end: the outcomes of a loss of power after the last operation of a program.
#pragma once

#include <utility>

#include <belay/sim/crash_points.hpp>

namespace belay_test {

/// Like crash_points, for the loss of power after the last operation of `body` only. Therefore
/// `body` may plan faults of the disk by number, and may require that its calls succeed.
template <class Body, class Recover>
[[nodiscard]] belay::sim::CrashPointsReport power_lost_at_end(
    Body body, Recover recover, belay::sim::CrashPointsOptions options = {}) {
    {
        belay::sim::Disk disk;
        // As in crash_points, the power fails while this object exists.
        [[maybe_unused]] const auto confirmed = body(disk);
        options.first_operation = disk.operations() + 1;
    }
    return belay::sim::crash_points(std::move(body), std::move(recover), options);
}

}  // namespace belay_test
