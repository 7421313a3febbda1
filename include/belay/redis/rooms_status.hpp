// SPDX-License-Identifier: MIT
/// \file belay/redis/rooms_status.hpp
/// redis::RoomsStatus: the connection of a redis::Rooms, and what was lost.
#pragma once

#include <chrono>        // std::chrono::steady_clock
#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint64_t
#include <optional>      // std::optional
#include <system_error>  // std::error_code

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI { namespace redis {

/// The connection of a redis::Rooms, and what was lost since it was constructed.
///
/// Thread safety: a plain value.
struct RoomsStatus {
    /// When the connection of the calls was made. Empty before the first call, and after a failure
    /// until the next call has connected.
    std::optional<std::chrono::steady_clock::time_point> connected_since{};
    /// The reason of the last outage; it stays when the outage has ended.
    std::error_code last_outage{};
    std::uint64_t connections = 0;  ///< connections of the calls that were made
    std::uint64_t outages = 0;      ///< failures after which calls failed for a while
    std::uint64_t gaps = 0;         ///< answers to subscriptions that reported lost entries

    /// Messages that Redis did not publish, or that an outage dropped. Redis may have published
    /// some that it received before the outage.
    std::uint64_t messages_lost = 0;

    std::size_t subscriptions = 0;  ///< rooms whose changes this server receives
    std::size_t rooms_to_save = 0;  ///< rooms above RoomsOptions::uncovered_bytes_max
    std::size_t rooms_known = 0;    ///< rooms whose histories are remembered
};

}}}  // namespace belay::redis
