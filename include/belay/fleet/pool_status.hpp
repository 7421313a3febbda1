// SPDX-License-Identifier: MIT
/// \file belay/fleet/pool_status.hpp
/// PoolOptions, PoolStatus: the options of a Pool, and the state of its connections.
#pragma once

#include <cstddef>  // std::size_t

#include <belay/link/supervisor_options.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The options of a Pool.
struct PoolOptions {
    /// The number of connections that the pool keeps at first, > 0; see Pool::resize().
    std::size_t size = 4;
    /// The options of each connection's supervisor.
    SupervisorOptions supervisor{};
};

/// The state of the connections of a Pool.
///
/// Thread safety: a plain value.
struct PoolStatus {
    std::size_t size = 0;       ///< connections that the pool keeps, or wants
    std::size_t connected = 0;  ///< connections that are connected
    std::size_t leased = 0;     ///< connected and leased
    std::size_t suspect = 0;    ///< connected, not leased, and perhaps dead
    std::size_t idle = 0;       ///< connected and ready to be leased
    std::size_t awaited = 0;    ///< calls of acquire() that found none, since on_idle was due last
    bool scouting = false;      ///< one connection dials again, and the others wait for it

    friend constexpr bool operator==(const PoolStatus&, const PoolStatus&) noexcept = default;
};

}}  // namespace belay
