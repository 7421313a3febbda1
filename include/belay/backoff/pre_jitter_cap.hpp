// SPDX-License-Identifier: MIT
/// \file belay/backoff/pre_jitter_cap.hpp
/// PreJitterCap: the nominal wait is bounded, and the jitter may go beyond.
#pragma once

#include <belay/backoff/cap_like.hpp>
#include <belay/backoff/detail/any_unit.hpp>

namespace belay { inline namespace BELAY_ABI {

/// A cap on the wait before the jitter: with +-20 % and 120 s the late waits lie in [96 s, 144 s].
///
/// For peers that are documented so (gRPC); where "at most" is meant, use Cap.
///
/// Models:        CapLike, std::copyable.
/// Thread safety: a plain value.
class PreJitterCap {
public:
    static constexpr bool before_jitter = true;

    /// Pre: most > 0ns, and at most 292 years, in any unit; not below the first wait. The Backoff
    /// checks it.
    constexpr explicit PreJitterCap(detail::AnyUnit most) noexcept : most_{most} {}

    /// The smaller of `wait` and the cap.   Errors: none.   Complexity: O(1).
    [[nodiscard]] constexpr Duration limit(Duration wait) const noexcept {
        return wait < most_ ? wait : most_;
    }

    friend constexpr bool operator==(PreJitterCap, PreJitterCap) noexcept = default;

private:
    Duration most_;
};

}}  // namespace belay
