// SPDX-License-Identifier: MIT
/// \file belay/policy/reset_when_stable.hpp
/// ResetWhenStable: how long a connection must live before it counts as a success.
#pragma once

#include <belay/policy/rule.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Requests how long a connection must live to count as a success (the stable window).
///
/// A connection that ends earlier has failed. So a server that accepts and drops connections does
/// not reset the backoff each time.
///
/// It affects connections only: `retry` counts a call that returned as a success at once.
///
/// Models:        RuleLike.
/// Thread safety: a plain value.
class ResetWhenStable {
public:
    static constexpr std::string_view name = "ResetWhenStable";

    /// Sets the window; with 0ns a connection is stable as soon as it is validated.
    /// Pre: window >= 0ns.
    constexpr explicit ResetWhenStable(Duration window) noexcept : window_{window} {
        BELAY_PRECONDITION(window.count() >= 0, "ResetWhenStable: the window must be >= 0ns");
    }

    [[nodiscard]] constexpr Duration stable_window() const noexcept { return window_; }

    /// Returns 0ns, because this rule adds no wait; see link/bounds.hpp.
    [[nodiscard]] constexpr Duration longest_wait(std::uint64_t) const noexcept {
        return Duration::zero();
    }

    friend constexpr bool operator==(ResetWhenStable, ResetWhenStable) noexcept = default;

private:
    Duration window_;
};

}}  // namespace belay
