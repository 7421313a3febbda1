// SPDX-License-Identifier: MIT
/// \file belay/link/supervisor_options.hpp
/// SupervisorOptions and Reconnect: what goes into a Supervisor, and what reconnect_now() answers.
#pragma once

#include <belay/link/supervisor_core.hpp>

namespace belay { inline namespace BELAY_ABI {

/// What a Supervisor is tuned by.
struct SupervisorOptions {
    /// Messages that may wait for the supervisor; more are refused until it has caught up. > 0.
    std::size_t messages_max = 1024;
    /// Events handled in one turn, so that one busy connection cannot starve its neighbours.
    /// > 0.
    unsigned events_per_turn_max = 64;
    /// How long a connection that is closed gracefully may take for it.
    Duration linger_max = std::chrono::seconds{2};
    /// See timeline::SupervisorCoreOptions.
    timeline::SupervisorCoreOptions core{};
};

namespace detail {
/// Options that no supervisor could keep end the program when it is made.
[[nodiscard]] constexpr const SupervisorOptions& checked(const SupervisorOptions& options) {
    BELAY_PRECONDITION(options.messages_max > 0 && options.events_per_turn_max > 0,
                       "SupervisorOptions: messages_max and events_per_turn_max must be > 0");
    BELAY_PRECONDITION(options.linger_max.count() >= 0,
                       "SupervisorOptions: linger_max must be >= 0ns");
    return options;
}
}  // namespace detail

/// What became of reconnect_now().
struct Reconnect {
    /// The attempt starts in the next turn.
    bool granted = false;
    /// Otherwise, when it starts instead; `never` if nothing comes of the call: something else must
    /// happen first (a gate, start), or the second has not passed since a live connection was made
    /// anew by such a call.
    Instant until = never;
};

}}  // namespace belay
