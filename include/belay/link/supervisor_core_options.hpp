// SPDX-License-Identifier: MIT
/// \file belay/link/supervisor_core_options.hpp
/// timeline::SupervisorCoreOptions: the options of a timeline::SupervisorCore.
#pragma once

#include <belay/core/assert.hpp>
#include <belay/core/instant.hpp>

namespace belay { inline namespace BELAY_ABI { namespace timeline {

/// The options of a timeline::SupervisorCore.
struct SupervisorCoreOptions {
    /// The maximum delay before the first attempt, drawn uniformly; 0 attempts at once.
    Duration start_within{0};
    /// The maximum delay before the next attempt after a gate opens or a planned close, drawn
    /// uniformly.
    Duration spread_within = std::chrono::seconds{1};
    /// The minimum time between two attempts that reconnect_now() is granted.
    Duration manual_gap = std::chrono::seconds{1};
    /// How late the driver may be at the end of a wait. If it is later, as after a suspend, the
    /// next attempt does not start at the instant of waking. It starts after another random wait,
    /// which is at most as long as the first wait and at most 30 s.
    Duration overslept_after = std::chrono::seconds{10};
    /// The longest wait that a server may request (`retry_after`). A longer one counts as this, so
    /// that a mistake of a server does not keep its clients away for ever. The rules of the policy
    /// receive the limited wait, so a larger limit in a rule, such as OpenAsAsked, has no effect. A
    /// SpreadHint adds to it. The rest of a wait in a restored PolicyHistory is not limited again.
    Duration retry_after_max = std::chrono::hours{1};
    /// Whether new credentials also end a connection that was made with the old ones. It is closed
    /// gracefully, and the next attempt waits uniformly up to `spread_within`. An
    /// attempt in flight is finished first, and then its connection is closed.
    bool recycle = false;
};

}}}  // namespace belay::timeline

namespace belay { inline namespace BELAY_ABI { namespace detail {
/// Returns the options; options that no supervisor can satisfy end the program at construction.
[[nodiscard]] constexpr const timeline::SupervisorCoreOptions& checked(
    const timeline::SupervisorCoreOptions& options) {
    BELAY_OPTION(options.start_within.count() >= 0 && options.spread_within.count() >= 0 &&
                     options.manual_gap.count() >= 0 && options.overslept_after.count() >= 0 &&
                     options.retry_after_max.count() >= 0,
                 "SupervisorCoreOptions: durations must be >= 0ns");
    return options;
}
}}}  // namespace belay::detail
