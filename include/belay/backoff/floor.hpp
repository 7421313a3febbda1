// SPDX-License-Identifier: MIT
/// \file belay/backoff/floor.hpp
/// Floor: no wait is shorter. It wraps any cap.
#pragma once

#include <belay/backoff/cap_like.hpp>
#include <belay/core/detail/any_unit.hpp>

namespace belay { inline namespace BELAY_ABI {

/// A lower limit on waits, in addition to a cap: `Floor{100ms, Cap{30s}}`.
///
/// The jitter chooses above it. No wait is raised after the draw, so that no waits pile up on the
/// floor.
///
/// The floor must be far enough below the first wait and the cap that the jitter can choose.
/// Otherwise all clients would wait equally long. Without jitter, the floor may be equal to the
/// first wait.
///
/// Models:        CapLike.
/// Thread safety: a plain value.
template <class Limit>
class Floor {
    static_assert(explain::cap_like<Limit>());
    static_assert(!detail::HasLeast<Limit>,
                  "Floor: the cap already has a floor; remove one of the two");

public:
    static constexpr bool before_jitter = detail::CapsBeforeJitter<Limit>;

    /// Sets the floor and the cap.
    ///
    /// Pre: least >= 0ns, in any unit, and as above; the Backoff checks it.
    constexpr Floor(detail::AnyUnit least, Limit cap) noexcept : least_{least}, cap_{cap} {}

    /// Returns the result of the cap.   Errors: none.   Complexity: that of the cap.
    [[nodiscard]] constexpr Duration limit(Duration wait) const noexcept {
        return cap_.limit(wait);
    }
    /// Returns the floor.
    [[nodiscard]] constexpr Duration least() const noexcept { return least_; }

private:
    Duration least_;
    [[no_unique_address]] Limit cap_;
};

}}  // namespace belay
