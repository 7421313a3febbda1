// SPDX-License-Identifier: MIT
/// \file belay/fleet/network_suspect.hpp
/// NetworkSuspect: what a Fleet tells when all of its services failed at once.
#pragma once

#include <cstddef>  // std::size_t

#include <belay/core/failure.hpp>

namespace belay { inline namespace BELAY_ABI {

/// All live services of a Fleet failed within a moment: not they, but the network here is suspect.
///
/// Thread safety: a plain value.
struct NetworkSuspect {
    /// When the first of them failed.
    Instant since = never;
    /// Until when all services wait, before they try again.
    Instant retry_at = never;
    /// How many failed together: all at the first time; later they try one by one.
    std::size_t services = 0;
    /// How often in a row, this time included, since anything was last heard.
    std::size_t times = 0;
    /// What the first of them saw.
    Failure failure{};
};

}}  // namespace belay
