// SPDX-License-Identifier: MIT
/// \file belay/policy/no_jitter.hpp
/// NoJitter: exact waits, for tests and for clients that are alone.
#pragma once

#include <type_traits>  // std::is_empty_v

#include <belay/policy/jitter_like.hpp>

namespace belay::inline BELAY_ABI {

/// The delay is the ceiling. A fleet that waits so returns in step: prefer any other jitter.
///
/// Models:        JitterLike, std::regular.
/// Thread safety: distinct objects safe; a shared one safe (no state).
struct NoJitter {
    /// The ceiling itself; draws nothing.
    ///
    /// Pre: ceiling >= 0ns.   Errors: none.   Complexity: O(1).
    template <BitSource Bits>
    [[nodiscard]] constexpr Duration delay(Duration ceiling, Bits&) const noexcept {
        BELAY_PRECONDITION(ceiling.count() >= 0, "NoJitter::delay: ceiling must be >= 0ns");
        return ceiling;
    }

    friend constexpr bool operator==(NoJitter, NoJitter) noexcept = default;
};

static_assert(JitterLike<NoJitter>);
static_assert(std::is_empty_v<NoJitter>, "a Backoff must not pay for its jitter");

}  // namespace belay::inline BELAY_ABI
