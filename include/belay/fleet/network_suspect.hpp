// SPDX-License-Identifier: MIT
/// \file belay/fleet/network_suspect.hpp
/// NetworkSuspect: the notification of a Fleet that all of its services failed at once.
#pragma once

#include <cstddef>  // std::size_t

#include <belay/core/failure.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The details of a failure of all live services of a Fleet at once.
///
/// The suspect is then the local network, not the services.
///
/// Thread safety: a plain value.
struct NetworkSuspect {
    /// When the first service failed.
    Instant since = never;
    /// When the next service dials, as a scout. All others wait for its result.
    Instant retry_at = never;
    /// The number of failures since the last such notification. The first time, that is one of each
    /// service that was live; later, services try one by one.
    std::size_t services = 0;
    /// How many waits for a scout there have been, this one included, since a peer last gave
    /// evidence that the network works.
    std::size_t times = 0;
    /// The failure of the service that failed first.
    Failure failure{};
};

}}  // namespace belay
