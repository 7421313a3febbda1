// SPDX-License-Identifier: MIT
/// \file belay/session/detail/planted_fault.hpp
/// NoFault: the protocol as it must be; the tests replace it to see that each omission is found.
#pragma once

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The rules of the session protocol that can be left out, and none is.
///
/// Sender and receiver take this as a template parameter; belay's own tests give another with
/// the same members, set one to true, and must then find the loss or repetition that the rule
/// prevents. Costs nothing.
struct NoFault {
    static constexpr bool no_fence = false;                ///< serve every connection
    static constexpr bool resume_unsettled = false;        ///< WELCOME before begun work is durable
    static constexpr bool ack_before_commit = false;       ///< ACK what is only applied
    static constexpr bool adopt_at_hello = false;          ///< not at START
    static constexpr bool adopt_with_old_attach = false;   ///< the record keeps the old attach
    static constexpr bool accept_unknown_journal = false;  ///< at any number
    static constexpr bool no_duplicate_check = false;      ///< apply whatever comes
    static constexpr bool no_check = false;                ///< compare no checks
    static constexpr bool resume_from_memory = false;      ///< not from the receiver's number
    static constexpr bool resend_from_acked = false;       ///< nor that
    static constexpr bool pin_at_welcome = false;          ///< not at the first ACK
    static constexpr bool never_pin = false;               ///< follow any store
};

}}}  // namespace belay::detail
