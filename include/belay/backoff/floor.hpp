// SPDX-License-Identifier: MIT
/// \file belay/backoff/floor.hpp
/// Floor: no wait is shorter; goes with any cap.
#pragma once

#include <belay/backoff/cap_like.hpp>
#include <belay/backoff/detail/any_unit.hpp>

namespace belay { inline namespace BELAY_ABI {

/// A floor beside a cap, `Floor{100ms, Cap{30s}}`: the jitter chooses above it. Nothing is raised
/// after the draw, so that no waits pile up on the floor.
///
/// It must be so far below the first wait and the cap that the jitter has something to choose from:
/// otherwise all clients would wait alike. Without jitter it may be the first wait itself.
///
/// Models:        CapLike.
/// Thread safety: a plain value.
template <class Limit>
class Floor {
    static_assert(explain::cap_like<Limit>());
    static_assert(!detail::HasLeast<Limit>,
                  "Floor: the cap has a floor already; there can be only one");

public:
    static constexpr bool before_jitter = detail::CapsBeforeJitter<Limit>;

    /// Pre: least >= 0ns, in any unit, and as above; the Backoff checks it.
    constexpr Floor(detail::AnyUnit least, Limit cap) noexcept : least_{least}, cap_{cap} {}

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

}}  // namespace belay
