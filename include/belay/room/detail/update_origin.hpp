// SPDX-License-Identifier: MIT
/// \file belay/room/detail/update_origin.hpp
/// UpdateOrigin: the author of an update of a room, and the time of its arrival.
#pragma once

#include <cstdint>  // std::uint64_t

#include <belay/core/instant.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The origin of an update of a room.
///
/// Thread safety: a plain value.
struct UpdateOrigin {
    std::uint64_t author = 0;  ///< a client's id; 0: the server, or another one
    Instant since = never;     ///< when it arrived; never: at another server
};

}}}  // namespace belay::detail
