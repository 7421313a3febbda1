// SPDX-License-Identifier: MIT
/// \file belay/breaker/open_for.hpp
/// OpenFor: every open wait of a breaker lasts as long.
#pragma once

#include <belay/breaker/open_wait_like.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Every open wait lasts as long. Where many clients watch one peer, a Backoff spreads their
/// probes.
///
/// Models:        OpenWaitLike.
/// Thread safety: a plain value.
class OpenFor {
public:
    /// Pre: wait > 0ns.
    constexpr explicit OpenFor(Duration wait) noexcept : wait_{wait} {
        BELAY_PRECONDITION(wait.count() > 0, "OpenFor: the wait must be > 0ns");
    }
    [[nodiscard]] constexpr Duration next(Random&) const noexcept { return wait_; }
    /// See link/bounds.hpp.
    [[nodiscard]] constexpr Duration longest_wait(std::uint64_t) const noexcept { return wait_; }

private:
    Duration wait_;
};

}}  // namespace belay
