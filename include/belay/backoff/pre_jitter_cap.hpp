// SPDX-License-Identifier: MIT
/// \file belay/backoff/pre_jitter_cap.hpp
/// PreJitterCap: limits the nominal wait; the jitter may exceed it.
#pragma once

#include <belay/backoff/cap_like.hpp>
#include <belay/core/detail/any_unit.hpp>

namespace belay { inline namespace BELAY_ABI {

/// A limit on the wait before the jitter, which the jitter may exceed.
///
/// With +-20 % and 120 s, the late waits lie in [96 s, 144 s].
/// Use it for peers that are documented in this way (gRPC). If you mean "at most", use Cap.
///
/// Models:        CapLike, std::copyable.
/// Thread safety: a plain value.
class PreJitterCap {
public:
    static constexpr bool before_jitter = true;

    /// Sets the longest nominal wait.
    ///
    /// Pre: most > 0ns, and at most 292 years, in any unit; not below the first wait. The Backoff
    ///      checks it.
    constexpr explicit PreJitterCap(detail::AnyUnit most) noexcept : most_{most} {}

    /// Returns the smaller of `wait` and the cap.   Errors: none.   Complexity: O(1).
    [[nodiscard]] constexpr Duration limit(Duration wait) const noexcept {
        return wait < most_ ? wait : most_;
    }

    friend constexpr bool operator==(PreJitterCap, PreJitterCap) noexcept = default;

private:
    Duration most_;
};

}}  // namespace belay
