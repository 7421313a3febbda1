// SPDX-License-Identifier: MIT
/// \file belay/link/supervisor_options.hpp
/// SupervisorOptions, Reconnect: the options of a Supervisor, and the result of reconnect_now().
#pragma once

#include <belay/link/supervisor_core.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The options of a Supervisor.
struct SupervisorOptions {
    /// The number of messages that may wait for the supervisor. More are rejected until it has
    /// handled some. > 0.
    std::size_t messages_max = 1024;
    /// The number of events handled in one turn, so that a busy connection does not starve the
    /// others. > 0.
    unsigned events_per_turn_max = 64;
    /// The maximum duration of a graceful close.
    Duration linger_max = std::chrono::seconds{2};
    /// See timeline::SupervisorCoreOptions.
    timeline::SupervisorCoreOptions core{};
};

namespace detail {
/// Returns the options; options that no supervisor can satisfy end the program at construction.
[[nodiscard]] constexpr const SupervisorOptions& checked(const SupervisorOptions& options) {
    BELAY_OPTION(options.messages_max > 0 && options.events_per_turn_max > 0,
                 "SupervisorOptions: messages_max and events_per_turn_max must be > 0");
    BELAY_OPTION(options.linger_max.count() >= 0, "SupervisorOptions: linger_max must be >= 0ns");
    return options;
}
}  // namespace detail

/// The result of reconnect_now().
struct Reconnect {
    /// Whether the attempt starts in the next turn.
    bool granted = false;
    /// If not granted, when the attempt starts instead. It is `never` if the call leads to no
    /// attempt:
    /// - something else must happen first, such as a gate that opens, or start(); or
    /// - a live connection was opened anew by such a call less than
    ///   SupervisorCoreOptions::manual_gap ago.
    Instant until = never;
};

}}  // namespace belay
