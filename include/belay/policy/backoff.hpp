// SPDX-License-Identifier: MIT
/// \file belay/policy/backoff.hpp
/// Backoff: waits that double from attempt to attempt, capped and jittered.
#pragma once

#include <cstdint>      // std::uint64_t
#include <type_traits>  // std::is_trivially_copyable_v

#include <belay/policy/cap.hpp>
#include <belay/policy/cap_like.hpp>
#include <belay/policy/full_jitter.hpp>
#include <belay/policy/jitter_like.hpp>
#include <belay/policy/rule.hpp>

namespace belay::inline BELAY_ABI {

/// Exponential backoff: the n-th wait is drawn by the jitter under `min(base * 2^n, cap)`.
///
/// Alone it has its own generator, which seeds itself at the first draw unless a Seed was given:
///
///     Backoff backoff{FullJitter{}, Cap{30s}, 1s};
///     auto wait = backoff.next();
///
/// As a rule of a Policy it draws from the turn's bits, advises wait_at_least, and starts again
/// from the base when an attempt succeeded. A server's `retry_after` lengthens a wait, above the
/// cap if need be, and never shortens one. A planned failure waits like the first one and counts
/// nothing.
///
/// Models:        RuleLike, std::copyable; trivially copyable if Jitter and Cap are.
/// Thread safety: distinct objects safe; a shared one not.
template <class Jitter, class Limit>
class Backoff {
    // Not constraints: the compilers' words for a failed one would hide the sentence.
    static_assert(explain_jitter_like<Jitter>() && explain_cap_like<Limit>());

public:
    static constexpr std::string_view name = "Backoff";

    /// Pre: base > 0ns (no wait at all is no Backoff).
    constexpr Backoff(Jitter jitter, Limit cap, Duration base) noexcept
        : base_{base}, cap_{cap}, jitter_{jitter} {
        BELAY_PRECONDITION(base.count() > 0, "Backoff: the base must be > 0ns");
    }
    /// The same with a fixed sequence of delays.   Pre: base > 0ns.
    constexpr Backoff(Jitter jitter, Limit cap, Duration base, Seed seed) noexcept
        : Backoff{jitter, cap, base} {
        bits_.seed(seed);
    }

    /// The next wait, by the backoff's own generator.
    ///
    /// Errors: none.   Complexity: O(1), one draw.   Allocates: never.
    [[nodiscard]] constexpr Duration next() noexcept { return next(bits_); }

    /// The next wait, by the caller's generator.   Errors: none.   Complexity: O(1), one draw.
    [[nodiscard]] constexpr Duration next(Random& bits) noexcept {
        const std::uint64_t attempts = attempts_;
        attempts_ = attempts + (attempts != ~std::uint64_t{0} ? 1U : 0U);
        return draw(attempts, bits);
    }

    /// The longest possible wait after `attempts` failed ones, for every number of attempts.
    ///
    /// Errors: none; saturates.   Complexity: O(1).
    [[nodiscard]] constexpr Duration ceiling(std::uint64_t attempts) const noexcept {
        const Duration nominal = doubled(attempts);
        if constexpr (requires { jitter_.peak(nominal); }) {
            return cap_.limit(jitter_.peak(nominal));
        } else {
            return cap_.limit(nominal);
        }
    }

    /// How many waits have been drawn since the last reset.
    [[nodiscard]] constexpr std::uint64_t attempts() const noexcept { return attempts_; }

    /// Starts from the base again; the generator goes on.
    constexpr void reset() noexcept {
        attempts_ = 0;
        if constexpr (requires { jitter_.reset(); }) jitter_.reset();
    }

    // ---- as a rule -----------------------------------------------------------------------------

    [[nodiscard]] constexpr Advice failed(const Failure& failure, Turn& turn) noexcept {
        const Duration drawn =
            failure.cause == Cause::planned ? draw(0, turn.bits) : next(turn.bits);
        const Duration wait = failure.retry_after > drawn ? failure.retry_after : drawn;
        return Advice::wait_at_least(after(turn.now, wait));
    }
    [[nodiscard]] constexpr Advice lost(const Failure& failure, Turn& turn) noexcept {
        return failed(failure, turn);
    }
    constexpr void succeeded(Turn&) noexcept { reset(); }

private:
    [[nodiscard]] constexpr Duration draw(std::uint64_t attempts, Random& bits) noexcept {
        const Duration most = ceiling(attempts);
        const Duration wait = jitter_.delay(most, bits);
        BELAY_PRECONDITION(wait.count() >= 0 && wait <= most,
                           "JitterLike::delay: must be in [0ns, ceiling]");
        return wait;
    }

    // base * 2^n, or `forever` where that does not fit.
    [[nodiscard]] constexpr Duration doubled(std::uint64_t n) const noexcept {
        if (n >= 63 || base_.count() > forever.count() >> n) return forever;
        return Duration{base_.count() << n};
    }

    Duration base_;
    std::uint64_t attempts_ = 0;
    Random bits_{};
    [[no_unique_address]] Limit cap_;
    [[no_unique_address]] Jitter jitter_;
};

template <class Jitter, class Limit>
Backoff(Jitter, Limit, Duration) -> Backoff<Jitter, Limit>;
template <class Jitter, class Limit>
Backoff(Jitter, Limit, Duration, Seed) -> Backoff<Jitter, Limit>;

static_assert(RuleLike<Backoff<FullJitter, Cap>> && sizeof(Backoff<FullJitter, Cap>) == 32);
static_assert(std::is_trivially_copyable_v<Backoff<FullJitter, Cap>>);

}  // namespace belay::inline BELAY_ABI
