// SPDX-License-Identifier: MIT
/// \file belay/link/supervisor_core_options.hpp
/// timeline::SupervisorCoreOptions: what a timeline::SupervisorCore is tuned by.
#pragma once

#include <belay/core/assert.hpp>
#include <belay/core/instant.hpp>

namespace belay { inline namespace BELAY_ABI { namespace timeline {

/// What a timeline::SupervisorCore is tuned by.
struct SupervisorCoreOptions {
    /// The first attempt waits uniformly up to this; 0 attempts at once.
    Duration start_within{0};
    /// After a gate opens or a planned close, the next attempt waits uniformly up to this.
    Duration settle_within = std::chrono::seconds{1};
    /// reconnect_now() is granted once per this.
    Duration manual_gap = std::chrono::seconds{1};
    /// A wait whose end was slept through by more than this is not followed by an attempt at the
    /// instant of waking, but by one within as much time as the wait had, 30 s at most, by chance.
    Duration overslept_after = std::chrono::seconds{10};
    /// New credentials also end a connection that was made with the old ones: as planned, with a
    /// goodbye, and the next attempt waits uniformly up to `settle_within`. An attempt in flight is
    /// let through first, and its connection ended.
    bool recycle = false;
};

}}}  // namespace belay::timeline

namespace belay { inline namespace BELAY_ABI { namespace detail {
/// Options that no supervisor could keep end the program when it is made.
[[nodiscard]] constexpr const timeline::SupervisorCoreOptions& checked(
    const timeline::SupervisorCoreOptions& options) {
    BELAY_PRECONDITION(options.start_within.count() >= 0 && options.settle_within.count() >= 0 &&
                           options.manual_gap.count() >= 0 && options.overslept_after.count() >= 0,
                       "SupervisorCoreOptions: durations must be >= 0ns");
    return options;
}
}}}  // namespace belay::detail
