// SPDX-License-Identifier: MIT
/// \file belay/session/detail/log_failure.hpp
/// log_failure: the failure of a connection whose log has returned an error.
#pragma once

#include <system_error>  // std::error_code

#include <belay/core/failure.hpp>
#include <belay/queue/queue_errc.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Returns whether an error of a log may pass: the log has not failed, and can be written and read
/// later. Examples are a lack of space, of descriptors or of permissions.
///
/// `has_failed`: the log takes nothing more.   Complexity: O(1).
[[nodiscard]] inline bool may_pass(const std::error_code& error, bool has_failed) noexcept {
    if (has_failed) return false;
    return error == QueueErrc::displaced || error.category() != queue_category();
}

/// Returns the failure of a connection that an error of a log ends.   Complexity: O(1).
///
/// An error of the system has the cause `overloaded`. By itself, EACCES would mean that the peer
/// has refused the connection for good, and ENOSPC that the network has lost it.
[[nodiscard]] inline Failure log_failure(const std::error_code& error, bool passes) noexcept {
    Failure why = Failure::from(error);
    if (!passes) {
        why.cause = Cause::permanent;
    } else if (error.category() != queue_category()) {
        why.cause = Cause::overloaded;
    }
    return why;
}

}}}  // namespace belay::detail
