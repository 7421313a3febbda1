// SPDX-License-Identifier: MIT
/// \file belay/backoff/any_jitter.hpp
/// policies::AnyJitter: a jitter that is chosen at run time.
#pragma once

#include <cstdint>  // std::uint8_t, std::uint64_t

#include <belay/backoff/equal_jitter.hpp>
#include <belay/backoff/full_jitter.hpp>
#include <belay/backoff/no_jitter.hpp>
#include <belay/backoff/proportional_jitter.hpp>

namespace belay { inline namespace BELAY_ABI { namespace policies {

/// One of the jitters that need a growth, chosen at run time:
///
///     policies::AnyJitter jitter = FullJitter{};
///     if (config.jitter == "equal") jitter = EqualJitter{};
///     Policy policy{Backoff{jitter, Cap{30s}, 1s}, MaxAttempts{10}};
///
/// It makes the same waits, with the same draws, as the jitter that it was made of. A
/// DecorrelatedJitter or a SmoothJitter grows by itself, so its Backoff is another type. Put the
/// whole policy into an AnyPolicy, or one of two into a std::optional.
///
/// Models:        JitterLike, std::regular except for default construction.
/// Thread safety: distinct objects safe; a shared one safe (it never changes).
class AnyJitter {
public:
    constexpr AnyJitter(NoJitter) noexcept : kind_{Kind::none} {}
    constexpr AnyJitter(FullJitter) noexcept : kind_{Kind::full} {}
    constexpr AnyJitter(EqualJitter) noexcept : kind_{Kind::equal} {}
    constexpr AnyJitter(ProportionalJitter jitter) noexcept
        : kind_{Kind::proportional}, proportional_{jitter} {}

    /// Errors: none.   Complexity: O(1).
    [[nodiscard]] constexpr part::WaitRange range(const part::NominalWait& nominal) const noexcept {
        switch (kind_) {
            case Kind::none:
                break;
            case Kind::full:
                return FullJitter{}.range(nominal);
            case Kind::equal:
                return EqualJitter{}.range(nominal);
            case Kind::proportional:
                return proportional_.range(nominal);
        }
        return NoJitter{}.range(nominal);
    }
    /// Chooses the wait; a NoJitter draws nothing.   Errors: none.   Complexity: O(1).
    [[nodiscard]] constexpr Duration delay(part::WaitRange range, std::uint64_t,
                                           Random& bits) const noexcept {
        return kind_ == Kind::none ? range.most : part::uniform_wait(range, bits);
    }
    /// Returns bad_jitter for a percentage that no jitter may have, as ProportionalJitter does.
    [[nodiscard]] constexpr BackoffErrc check() const noexcept { return proportional_.check(); }

    friend constexpr bool operator==(const AnyJitter&, const AnyJitter&) noexcept = default;

private:
    enum class Kind : std::uint8_t { none, full, equal, proportional };

    Kind kind_;
    ProportionalJitter proportional_ = ProportionalJitter::plus_percent(0);
};

}}}  // namespace belay::policies
