// SPDX-License-Identifier: MIT
/// \file belay/link/heartbeat_options.hpp
/// HeartbeatOptions: how a silent peer is asked for a sign of life, and when it is given up.
#pragma once

#include <belay/core/instant.hpp>

namespace belay { inline namespace BELAY_ABI {

/// How a Heartbeat, a Session or a Receiver watches its peer.   Pre: 0ns < every < dead_after.
struct HeartbeatOptions {
    /// A ping goes out after this much silence, and again after as much more.
    Duration every = std::chrono::seconds{10};
    /// The connection is given up when nothing was heard for this long, counted from the last sign
    /// of life, so that a loss is noticed within `dead_after` and one wake of the driver. A driver
    /// that comes late by more than `every` (a frozen process, a paused container) asks once more,
    /// and waits for the answer as long as a ping in time would have: `every`, or what lies between
    /// it and `dead_after`. Where `dead_after` is over by then, as after a sleep, 5 s at most.
    Duration dead_after = std::chrono::seconds{25};
};

}}  // namespace belay
