// SPDX-License-Identifier: MIT
/// \file belay/link/detail/socket_failure.hpp
/// socket_failure: the failure of a connection over the network that an error of its socket ends.
#pragma once

#include <system_error>  // std::error_code

#include <belay/core/failure.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Returns the failure for an error of a socket. `instead` is the cause of an error that is
/// permanent or forbidden elsewhere.
///
/// For a socket of a network, the next attempt may succeed after such an error. The system reports
/// a firewall or a route that rejects packets by EACCES, EPERM or EINVAL, and a family of addresses
/// that it does not have at present by EAFNOSUPPORT.
[[nodiscard]] inline Failure socket_failure(const std::error_code& error, Cause instead) noexcept {
    Failure failure = Failure::from(error);
    const bool is_of_system =
        error.category() == std::generic_category() || error.category() == std::system_category();
    const bool ends_link = failure.cause == Cause::permanent || failure.cause == Cause::forbidden;
    if (is_of_system && ends_link) failure.cause = instead;
    return failure;
}

}}}  // namespace belay::detail
