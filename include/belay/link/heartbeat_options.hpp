// SPDX-License-Identifier: MIT
/// \file belay/link/heartbeat_options.hpp
/// HeartbeatOptions: when a silent peer is pinged, and when its connection is given up.
#pragma once

#include <string_view>  // std::string_view

#include <belay/core/instant.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The times by which a Heartbeat, a Session or a Receiver watches its peer.
///
/// Pre: 0ns < every < dead_after.
struct HeartbeatOptions {
    /// The time of silence after which a ping is sent, and after which the next one follows.
    Duration every = std::chrono::seconds{10};
    /// The time without a sign of life after which the connection is given up. A loss is therefore
    /// noticed within `dead_after` and one wake of the driver.
    ///
    /// A driver that is late by more than `every` (a frozen process, a paused container) sends one
    /// more ping first. It waits for the answer as long as a punctual ping would have: for `every`,
    /// or for `dead_after - every` if that is shorter. If `dead_after` is over by then, as after a
    /// sleep, it waits at most 5 s.
    Duration dead_after = std::chrono::seconds{25};

    /// Returns the sentence on what is wrong with these options; it is empty if nothing is. It also
    /// serves a static_assert.   Complexity: O(1).
    [[nodiscard]] constexpr std::string_view check() const noexcept {
        return Duration::zero() < every && every < dead_after
                   ? std::string_view{}
                   : "HeartbeatOptions: 0ns < every < dead_after must hold";
    }
};

}}  // namespace belay
