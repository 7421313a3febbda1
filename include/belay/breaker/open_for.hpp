// SPDX-License-Identifier: MIT
/// \file belay/breaker/open_for.hpp
/// OpenFor: all open waits of a breaker have the same length.
#pragma once

#include <belay/breaker/open_wait_like.hpp>
#include <belay/core/detail/any_unit.hpp>

namespace belay { inline namespace BELAY_ABI {

/// An open wait that always has the same length.
///
/// If many clients watch one peer, use a Backoff instead, which spreads their probes.
///
/// Models:        OpenWaitLike.
/// Thread safety: a plain value.
class OpenFor {
public:
    /// Pre: wait > 0ns.
    constexpr explicit OpenFor(detail::AnyUnit wait) noexcept : wait_{wait} {
        BELAY_OPTION(wait_.count() > 0, "OpenFor: the wait must be > 0ns");
    }
    [[nodiscard]] constexpr Duration next(Random&) const noexcept { return wait_; }
    /// Returns the wait; see link/bounds.hpp.
    [[nodiscard]] constexpr Duration longest_wait(std::uint64_t) const noexcept { return wait_; }

private:
    Duration wait_;
};

}}  // namespace belay
