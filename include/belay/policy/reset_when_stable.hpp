// SPDX-License-Identifier: MIT
/// \file belay/policy/reset_when_stable.hpp
/// ResetWhenStable: how long a connection must live before it counts as a success.
#pragma once

#include <belay/core/detail/arguments.hpp>
#include <belay/policy/rule.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Requests how long a connection must live to count as a success (the stable window).
///
/// A connection that ends earlier has failed. So a server that accepts and drops connections does
/// not reset the backoff each time. The peer must also have given evidence since the connection
/// opened: a message, an answered ping, or a passed check. So a peer that accepts and is frozen
/// does not count as a success either.
///
/// If the transport sends no pings, and the peer ends a connection that is older than the window,
/// the connection was a success in hindsight. Use `ResetWhenStable::by_age(window)` to count it as
/// soon as it is that old. Then age alone decides.
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
    constexpr explicit ResetWhenStable(detail::AnyUnit window) noexcept : coded_{window} {
        BELAY_OPTION(coded_.count() >= 0, "ResetWhenStable: the window must be >= 0ns");
    }

    /// Makes a rule by which age alone decides, for a peer that never sends anything. A frozen peer
    /// then counts as a success after `window`.   Pre: window >= 0ns.
    [[nodiscard]] static constexpr ResetWhenStable by_age(detail::AnyUnit window) noexcept {
        ResetWhenStable rule{window};
        rule.coded_ = Duration{~rule.coded_.count()};
        return rule;
    }

    [[nodiscard]] constexpr Duration stable_window() const noexcept {
        return stable_by_age() ? Duration{~coded_.count()} : coded_;
    }
    [[nodiscard]] constexpr bool stable_by_age() const noexcept { return coded_.count() < 0; }

    /// Returns 0ns, because this rule adds no wait; see link/bounds.hpp.
    [[nodiscard]] constexpr Duration longest_wait(std::uint64_t) const noexcept {
        return Duration::zero();
    }

    friend constexpr bool operator==(ResetWhenStable, ResetWhenStable) noexcept = default;

private:
    Duration coded_;  // the window, or its complement if age alone decides: a flag costs 8 bytes
};

}}  // namespace belay
