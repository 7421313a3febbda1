// SPDX-License-Identifier: MIT
/// \file belay/fleet/pool_status.hpp
/// PoolOptions and PoolStatus: what a Pool is tuned by, and where its connections stand.
#pragma once

#include <cstddef>  // std::size_t

#include <belay/link/supervisor_options.hpp>

namespace belay { inline namespace BELAY_ABI {

/// What a Pool is tuned by.
struct PoolOptions {
    /// Connections that it keeps; see Pool::resize().
    std::size_t size = 4;
    /// Of each of them.
    SupervisorOptions supervisor{};
};

/// Where the connections of a Pool stand.
///
/// Thread safety: a plain value.
struct PoolStatus {
    std::size_t size = 0;       ///< connections that it keeps, or wants
    std::size_t connected = 0;  ///< of these: connected
    std::size_t leased = 0;     ///< of the connected: lent
    std::size_t suspect = 0;    ///< of the connected: not lent, and perhaps dead
    std::size_t idle = 0;       ///< of the connected: to be lent
    bool scouting = false;      ///< one redials, and the others wait for it
};

}}  // namespace belay
