// SPDX-License-Identifier: MIT
/// \file belay/sync/bridge_options.hpp
/// BridgeOptions, BridgePushOptions, BridgePullOptions: how often a bridge speaks to its remote,
/// and how long it waits.
#pragma once

#include <cstddef>  // std::size_t

#include <belay/backoff/backoff.hpp>

namespace belay { inline namespace BELAY_ABI {

/// When local changes are pushed.
struct BridgePushOptions {
    /// So long after the first change that is not pushed yet; later ones go along, and do not
    /// postpone it. >= 0ns.
    Duration debounce = std::chrono::milliseconds{500};
    /// Whether at all.
    bool enabled = true;
};

/// When remote changes are pulled.
struct BridgePullOptions {
    /// The time from one pull of all sessions to the next; the first comes at a random moment of
    /// the first interval. > 0ns.
    Duration interval = std::chrono::seconds{30};
    /// Whether at all.
    bool enabled = true;
};

/// How a bridge speaks to its remote.
struct BridgeOptions {
    BridgePullOptions pull{};
    BridgePushOptions push{};
    /// The wait after a call that the policy has given up: of the whole bridge while its remote is
    /// away, of one session if the failure is that session's.
    Backoff<FullJitter, Cap> outage_wait{FullJitter{}, Cap{std::chrono::seconds{60}},
                                         std::chrono::seconds{1}};
    /// The longest that one attempt may take, unless an AttemptTimeout of the policy is shorter,
    /// and the longest wait between two attempts of a call that is not an outage; > 0ns.
    Duration answer_within = std::chrono::seconds{10};
    /// Calls that are under way at once; > 0.
    std::size_t calls_max = 8;
};

}}  // namespace belay
