// SPDX-License-Identifier: MIT
/// \file belay/sync/bridge_options.hpp
/// BridgeOptions, BridgePushOptions, BridgePullOptions: how often a bridge calls its remote, and
/// how long it waits.
#pragma once

#include <cstddef>      // std::size_t
#include <string_view>  // std::string_view

#include <belay/backoff/backoff.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Options for pushing local changes.
struct BridgePushOptions {
    /// The time from the first change that is not pushed yet to its push; >= 0ns. The push includes
    /// later changes, and they do not postpone it.
    Duration debounce = std::chrono::milliseconds{500};
    /// Whether local changes are pushed at all.
    bool enabled = true;
};

/// Options for pulling remote changes.
struct BridgePullOptions {
    /// The time from one pull of all sessions to the next; > 0ns. The first pull is at a random
    /// moment of the first interval.
    Duration interval = std::chrono::seconds{30};
    /// Whether remote changes are pulled at all.
    bool enabled = true;
};

/// Options for the calls of a bridge to its remote.
struct BridgeOptions {
    BridgePullOptions pull{};
    BridgePushOptions push{};
    /// The wait after a call that the policy has given up. The whole bridge waits if its remote is
    /// away; one session waits if the failure concerns only that session.
    Backoff<FullJitter, Cap> outage_wait{FullJitter{}, Cap{std::chrono::seconds{60}},
                                         std::chrono::seconds{1}};
    /// The longest time that one attempt may take, unless an AttemptTimeout of the policy is
    /// shorter; > 0ns. It is also the longest wait between two attempts of a call that does not
    /// count as an outage.
    Duration answer_within = std::chrono::seconds{10};
    /// The longest wait that a remote may ask for by a failure's `retry_after`; >= 0ns. A longer
    /// wait counts as this, so one answer of a proxy cannot stop the bridge for a day.
    Duration retry_after_max = std::chrono::minutes{5};
    /// The most calls that are under way at once; > 0.
    std::size_t calls_max = 8;

    /// Returns the sentence on what is wrong with these options; it is empty if nothing is. It also
    /// serves a static_assert.   Complexity: O(1).
    [[nodiscard]] constexpr std::string_view check() const noexcept {
        if (!pull.enabled && !push.enabled) {
            return "BridgeOptions: push or pull must be enabled";
        }
        if (pull.interval.count() <= 0) return "BridgeOptions: pull.interval must be > 0ns";
        if (push.debounce.count() < 0) return "BridgeOptions: push.debounce must be >= 0ns";
        if (answer_within.count() <= 0) return "BridgeOptions: answer_within must be > 0ns";
        if (retry_after_max.count() < 0) return "BridgeOptions: retry_after_max must be >= 0ns";
        if (calls_max < 1) return "BridgeOptions: calls_max must be > 0";
        return {};
    }
};

}}  // namespace belay
