// SPDX-License-Identifier: MIT
/// \file belay/policy/floor.hpp
/// Floor: no wait is shorter; goes with any cap.
#pragma once

#include <belay/policy/cap_like.hpp>

namespace belay::inline BELAY_ABI {

/// A floor beside a cap, `Floor{100ms, Cap{30s}}`: the jitter chooses above it. Nothing is raised
/// after the draw, so that no waits pile up on the floor.
///
/// It must not be above the first wait before jitter: there would be nothing left to choose from,
/// and all clients would wait alike.
///
/// Models:        CapLike.
/// Thread safety: a plain value.
template <class Limit>
class Floor {
    static_assert(explain_cap_like<Limit>());

public:
    static constexpr bool before_jitter = detail::CapsBeforeJitter<Limit>;

    /// Pre: 0ns <= least <= the cap and the first wait, which the Backoff checks.
    constexpr Floor(Duration least, Limit cap) noexcept : least_{least}, cap_{cap} {}

    /// What the cap says.   Errors: none.   Complexity: that of the cap.
    [[nodiscard]] constexpr Duration limit(Duration wait) const noexcept {
        return cap_.limit(wait);
    }
    /// The floor.
    [[nodiscard]] constexpr Duration least() const noexcept { return least_; }

private:
    Duration least_;
    [[no_unique_address]] Limit cap_;
};

}  // namespace belay::inline BELAY_ABI
