// SPDX-License-Identifier: MIT
/// \file belay/link/detail/core_fault.hpp
/// NoCoreFault: a supervisor's decisions as they must be; the tests replace it to see that each
/// omission is found.
#pragma once

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The rules of a SupervisorCore that can be left out, and none is; as NoFault of the session.
/// Costs nothing.
struct NoCoreFault {
    static constexpr bool stop_keeps_dial = false;       ///< a stop in `connecting`
    static constexpr bool gate_keeps_dial = false;       ///< a gate that shuts in `connecting`
    static constexpr bool redial_beside = false;         ///< reconnect_now() beside what lives
    static constexpr bool succeeds_at_open = false;      ///< accept-then-drop is no failure
    static constexpr bool stable_by_tick_only = false;   ///< a late tick makes a loss a failure
    static constexpr bool retries_unauthorized = false;  ///< for ever
    static constexpr bool no_attempt_limit = false;      ///< connecting, until the peer says so
    static constexpr bool gate_forgets_wait = false;     ///< what a server asked for
    static constexpr bool manual_passes_floor = false;   ///< reconnect_now() without force, too
    static constexpr bool manual_without_gap = false;    ///< as often as it is called
    static constexpr bool keeps_permit = false;          ///< an attempt that nobody failed
    static constexpr bool opens_into_dial = false;       ///< an opened gate, without a wait
    static constexpr bool drains_for_ever = false;       ///< a peer that never lets go
    static constexpr bool drain_prolongs = false;        ///< a second one, with more time
    static constexpr bool keeps_credentials = false;     ///< a connection, with `recycle`
};

}}}  // namespace belay::detail
