// SPDX-License-Identifier: MIT
/// \file belay/backoff/decorrelated_jitter.hpp
/// DecorrelatedJitter: each wait is drawn between the base and three times the previous wait.
#pragma once

#include <cstdint>  // std::uint64_t

#include <belay/backoff/exponential.hpp>
#include <belay/backoff/jitter_like.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Draws each wait uniformly from [base, 3 * previous wait]. The first one is from
/// [base, 3 * base].
///
/// The jitter itself makes the waits grow, so `Backoff{DecorrelatedJitter{}, Cap{30s}, 1s}` takes a
/// base, and no growth. Late waits are drawn uniformly under the cap. (The original cuts off a draw
/// above the cap, so a third of the clients wait exactly equally long.)
///
/// Models:        JitterLike, std::regular.
/// Thread safety: distinct objects safe; a shared one not.
/// Source:        M. Brooker, "Exponential Backoff And Jitter" (2015), variant "Decorrelated
///                Jitter".
class DecorrelatedJitter {
public:
    static constexpr bool grows = true;

    /// Errors: none; saturates.   Complexity: O(log failures).
    [[nodiscard]] constexpr part::WaitRange range(const part::NominalWait& nominal) const noexcept {
        const std::uint64_t more = nominal.failures != ~std::uint64_t{0} ? 1 : 0;
        const Duration reach = Exponential{nominal.wait, 3}(nominal.failures + more);
        return {nominal.wait, reach < nominal.most ? reach : nominal.most};
    }

    /// Errors: none; saturates.   Complexity: O(1), one draw.
    [[nodiscard]] constexpr Duration delay(part::WaitRange range, std::uint64_t failures,
                                           Random& bits) noexcept {
        const Duration reach = part::saturating_multiply(failures == 0 ? range.least : before_, 3);
        if (reach < range.most) range.most = reach < range.least ? range.least : reach;
        before_ = part::uniform_wait(range, bits);
        return before_;
    }
    constexpr void reset() noexcept { before_ = Duration::zero(); }

    friend constexpr bool operator==(const DecorrelatedJitter&,
                                     const DecorrelatedJitter&) noexcept = default;

private:
    Duration before_{};
};

}}  // namespace belay
