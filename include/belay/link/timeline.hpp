// SPDX-License-Identifier: MIT
/// \file belay/link/timeline.hpp
/// timeline::Input, Step, Actions: the events and decisions of a supervisor, for proofs.
#pragma once

#include <belay/link/status.hpp>

namespace belay { inline namespace BELAY_ABI { namespace timeline {

/// The kinds of event that can happen to a supervisor.
enum class Input : std::uint8_t {
    start,
    stop,
    gates,          ///< Step::gates is the new set of shut gates; gates new to it take effect after
                    ///< Step::within
    credentials,    ///< there are new credentials
    reconnect_now,  ///< the user does not want to wait; see Step::force
    drain,          ///< nothing more is sent; sent messages may leave within Step::within
    queued,         ///< the attempt waits in a queue of this side, and does not dial yet
    begun,          ///< it dials now, and its limit begins anew
    opened,         ///< the live connection is open and validated; see Step::proof
    alive,          ///< the peer has sent a message, or answered a ping, on the open connection
    closed,         ///< the live connection ended, or could not be opened; see Step::failure
    tick            ///< the deadline has come; at any other time it has no effect
};

/// One event for a timeline::SupervisorCore.
struct Step {
    Input input = Input::tick;
    Failure failure{};
    std::uint32_t gates = 0;
    Duration within{};
    bool force = false;
    bool closed_locally = false;  ///< for `closed`: this end gave up an open connection
    bool withdrawn = false;       ///< for `closed`: this side decided it, and it is no failure
    /// For `closed`: another endpoint may accept what this one did not, so that a final cause does
    /// not end the link. It does if the connection was stable.
    bool has_alternative = false;
    bool proof = false;  ///< for `opened`: a message of the peer has passed a check
    /// For `closed`: the transport had taken a whole message, and this end did not find the loss.
    bool wrote = false;
    /// For `closed`: the transport sends no pings, and this end did not find the loss.
    bool unprobed = false;
};

/// The actions that the supervisor must carry out after a step.
///
/// It carries them out in this order: tear down or drain, dial, notify the observer.
struct Actions {
    bool teardown = false;  ///< end the live connection; its epoch is void
    bool graceful = false;  ///< with a graceful close, which is no failure
    bool drain = false;     ///< close the live connection gracefully; it stays alive meanwhile
    bool dial = false;      ///< open the next connection
    bool excused = false;   ///< the attempt has failed, and the policy does not count it
    bool notify = false;    ///< notify the observer of `change`
    Transition change{};
};

}}}  // namespace belay::timeline
