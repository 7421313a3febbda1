// SPDX-License-Identifier: MIT
/// \file belay/link/timeline.hpp
/// timeline: what can happen to a supervisor, and what it must do then; proofs are written in it.
#pragma once

#include <belay/link/status.hpp>

namespace belay { inline namespace BELAY_ABI { namespace timeline {

/// What can happen to a supervisor.
enum class Input : std::uint8_t {
    start,
    stop,
    gates,          ///< Step::gates is the new set of shut gates, those that are new to it after
                    ///< Step::within
    credentials,    ///< there are new ones
    reconnect_now,  ///< the user does not want to wait; see Step::force
    drain,          ///< no more is sent; within Step::within what was sent shall leave
    opened,         ///< the live connection is open and validated
    closed,         ///< the live connection ended, or could not be opened; see Step::failure
    tick            ///< the deadline has come; harmless at any other time
};

/// One event for the core.
struct Step {
    Input input = Input::tick;
    Failure failure{};
    std::uint32_t gates = 0;
    Duration within{};
    bool force = false;
    bool goodbye = false;  ///< of `closed`: given up at this end, while the connection is open
};

/// What the shell must do, in this order: tear down, or drain, dial, tell the observer.
struct Actions {
    bool teardown = false;  ///< end the live connection; its epoch is void
    bool graceful = false;  ///< with a goodbye: nobody's failure
    bool drain = false;     ///< let the live connection say goodbye; it stays alive meanwhile
    bool dial = false;      ///< open the next one
    bool notify = false;    ///< tell the observer `change`
    Transition change{};
};

}}}  // namespace belay::timeline
