// SPDX-License-Identifier: MIT
/// \file belay/backoff/backoff.hpp
/// Backoff: waits that grow from attempt to attempt, capped and jittered. make_backoff makes one
/// from parameters that are known only at run time.
#pragma once

#include <concepts>     // std::convertible_to, std::same_as
#include <cstdint>      // std::uint32_t, std::uint64_t
#include <type_traits>  // std::conditional_t, std::is_arithmetic_v, std::is_trivially_copyable_v

#include <belay/backoff/caps.hpp>
#include <belay/backoff/growths.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/core/detail/arguments.hpp>
#include <belay/core/result.hpp>
#include <belay/policy/rule.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {
template <class Jitter>
using UsualGrowth = std::conditional_t<GrowsByItself<Jitter>, Constant, Exponential<>>;
/// The growth for the third argument of a Backoff, which is a base in any unit of time, or a
/// growth.
template <class Jitter, class Third>
using GrowthOf =
    std::conditional_t<std::convertible_to<Third, AnyUnit>, UsualGrowth<Jitter>, Third>;

// These replace a growth if the arguments are wrong.
struct NoBase {};
struct CapAfterBase {};
struct FactorAfterBase {};

// Not constexpr: the compiler's message for a constant Backoff with such a cap contains this name.
inline void the_cap_of_a_backoff_must_not_be_below_its_base() noexcept {}
}  // namespace detail

/// Computes the waits between attempts, which grow, are capped, and are spread by a jitter.
///
/// Without a growth as the third argument, the nominal wait starts at the base and doubles. A
/// Backoff that is used alone has its own generator. The generator seeds itself at the first draw,
/// unless a Seed is given:
///
///     Backoff backoff{FullJitter{}, Cap{30s}, 1s};
///     auto wait = backoff.next();
///
///     Backoff slower{EqualJitter{}, Floor{200ms, Cap{1min}}, Exponential{1s, 1.5}};
///
/// As a rule of a Policy, it draws from the turn's bits and advises wait_at_least. It starts again
/// from the base after an attempt has succeeded. A server's `retry_after` lengthens a wait, even
/// above the cap, and never shortens one. After a wait that it lengthened, growth starts again (as
/// in gRPC). The wait of a limiter in a layer also lengthens one, and growth goes on. A
/// `retry_after` that is not > 0ns is ignored. A planned failure waits like the first one and
/// counts nothing.
///
/// Invalid parts do not compile in a constant expression. Elsewhere they violate a precondition;
/// make_backoff returns an error instead.
///
/// Models:        RuleLike, OpenWaitLike, std::copyable; trivially copyable if its parts are.
/// Thread safety: distinct objects safe; a shared one not.
template <class Jitter, class Limit, class Growth = detail::UsualGrowth<Jitter>>
class Backoff {
    // Not constraints, because the compiler's message for a failed one would hide the sentence.
    static_assert(JitterLike<Jitter> || !CapLike<Jitter>,
                  "Backoff: pass the jitter first, then the cap, then the base: "
                  "Backoff{FullJitter{}, Cap{30s}, 1s}");
    static_assert(explain::jitter_like<Jitter>() && explain::cap_like<Limit>() &&
                  explain::growth_like<Growth>());
    static_assert(!detail::GrowsByItself<Jitter> || std::same_as<Growth, Constant>,
                  "Backoff: this jitter grows by itself; give it a base and no growth");
    static_assert(
        !detail::GrowsByItself<Jitter> || !detail::CapsBeforeJitter<Limit>,
        "Backoff: this jitter grows by itself; bound it with Cap, because no other cap applies");

public:
    static constexpr std::string_view name = "Backoff";

    /// Makes a backoff with a growth or a base as `third`.
    ///
    /// For a base, the growth is the usual one of the jitter, which is doubling for most jitters.
    /// Pre: check(jitter, cap, growth) finds nothing.
    template <class Third>
        requires std::same_as<detail::GrowthOf<Jitter, Third>, Growth>
    constexpr Backoff(Jitter jitter, Limit cap, Third third) noexcept
        : Backoff{jitter, cap, Growth{third}, Random{}} {}
    /// Makes a backoff with a fixed sequence of waits.
    template <class Third>
        requires std::same_as<detail::GrowthOf<Jitter, Third>, Growth>
    constexpr Backoff(Jitter jitter, Limit cap, Third third, Seed seed) noexcept
        : Backoff{jitter, cap, Growth{third}, Random{seed}} {}

    /// Returns the first thing that is wrong with these parts, or BackoffErrc{} if nothing is.
    ///
    /// The order is bad_base, bad_factor, bad_delays, bad_jitter, bad_cap, bad_floor. A part of
    /// your own may return another value.
    ///
    /// Complexity: O(1).
    [[nodiscard]] static constexpr BackoffErrc check(const Jitter& jitter, const Limit& cap,
                                                     const Growth& growth) noexcept {
        if constexpr (detail::HasCheck<Growth>) {
            if (const BackoffErrc wrong = growth.check(); wrong != BackoffErrc{}) return wrong;
        }
        if constexpr (detail::HasCheck<Jitter>) {
            if (const BackoffErrc wrong = jitter.check(); wrong != BackoffErrc{}) return wrong;
        }
        // A first wait above the cap is a mistake: the arguments are swapped, or a unit is wrong.
        const Duration nominal = growth(0);
        const Duration most = cap.limit(forever);
        if (most.count() <= 0 || most < nominal) return BackoffErrc::bad_cap;
        // The cap and the floor must also leave a choosing jitter more than one wait. Otherwise all
        // clients would wait equally long.
        const part::WaitRange free =
            jitter.range(part::NominalWait{.wait = nominal, .most = forever, .failures = 0});
        const part::WaitRange first = ranged(jitter, cap, growth, 0);
        if (chooses(free) && !chooses(first)) return BackoffErrc::bad_cap;
        if constexpr (detail::HasLeast<Limit>) {
            const Duration floor = cap.least();
            if (floor.count() < 0 || floor > cap.limit(nominal)) return BackoffErrc::bad_floor;
            const part::WaitRange late = ranged(jitter, cap, growth, settled);
            if ((chooses(first) && floor >= first.most) || (chooses(late) && floor >= late.most)) {
                return BackoffErrc::bad_floor;
            }
        }
        return BackoffErrc{};
    }

    /// Returns the next wait, drawn from the backoff's own generator.
    ///
    /// Errors: none.   Complexity: O(1), one draw.   Allocates: never.
    [[nodiscard]] constexpr Duration next() noexcept { return next(bits_); }

    /// Returns the next wait, drawn from the caller's generator.
    /// Errors: none.   Complexity: O(1), one draw.
    [[nodiscard]] constexpr Duration next(Random& bits) noexcept {
        const std::uint32_t failures = failures_;
        const Duration wait = draw(jitter_, failures, bits);
        if (failures != ~std::uint32_t{0}) failures_ = failures + 1;
        return wait;
    }

    /// Returns the shortest possible wait after `failures` others, for every number of them.
    ///
    /// Errors: none; saturates.   Complexity: O(1).
    [[nodiscard]] constexpr Duration min_delay(std::uint64_t failures) const noexcept {
        return range(failures).least;
    }
    /// Returns the longest possible wait after `failures` others.
    ///
    /// The result is valid if no server requests a longer wait.
    ///
    /// Errors: none; saturates.   Complexity: O(1).
    [[nodiscard]] constexpr Duration max_delay(std::uint64_t failures) const noexcept {
        return range(failures).most;
    }
    /// Returns the longest possible sum of the first `waits` waits.
    ///
    /// The result is valid if no server requests longer waits. It is exact for growths that stop
    /// growing within 256 waits, for example at the cap. All later waits count as long as the last.
    /// For a SmoothJitter it is only a bound: its longest waits cannot follow one another, because
    /// each ends where the next begins.
    /// Errors: none; saturates.   Complexity: O(min(waits, 256)).
    [[nodiscard]] constexpr Duration max_total(std::uint64_t waits) const noexcept {
        const std::uint64_t exact = waits < settled ? waits : settled;
        Duration total{};
        for (std::uint64_t i = 0; i < exact && total != forever; ++i) {
            total = part::saturating_add(total, max_delay(i));
        }
        if (waits == exact) return total;
        return part::saturating_add(total,
                                    part::saturating_multiply(max_delay(waits - 1), waits - exact));
    }

    /// Returns how many waits have been drawn since the last reset. It may stop at 2^32 - 1.
    [[nodiscard]] constexpr std::uint64_t attempts() const noexcept { return failures_; }

    /// Starts from the base again; the generator continues its sequence.
    constexpr void reset() noexcept {
        failures_ = 0;
        if constexpr (requires { jitter_.reset(); }) jitter_.reset();
    }
    /// Makes its own generator seed itself again; see Random::reseed_after_fork. As a rule of a
    /// Policy, it draws from the generator of the sleeper or driver instead.
    constexpr void reseed_after_fork() noexcept { bits_.reseed_after_fork(); }

    // ---- as a rule -----------------------------------------------------------------------------

    [[nodiscard]] constexpr Advice failed(const Failure& failure, Turn& turn) noexcept {
        const bool planned = failure.cause == Cause::planned;
        Duration wait = planned ? first(turn.bits) : next(turn.bits);
        if (failure.retry_after > wait) {
            wait = failure.retry_after;
            // A limit on this side does not mean that a failing peer works again.
            if (!planned && failure.origin != Failure::Origin::local) reset();
        }
        return Advice::wait_at_least(after(turn.now, wait));
    }
    [[nodiscard]] constexpr Advice lost(const Failure& failure, Turn& turn) noexcept {
        return failed(failure, turn);
    }
    constexpr void succeeded(Turn&) noexcept { reset(); }
    /// Returns max_delay(failures); see link/bounds.hpp.
    [[nodiscard]] constexpr Duration longest_wait(std::uint64_t failures) const noexcept {
        return max_delay(failures);
    }

private:
    constexpr Backoff(Jitter jitter, Limit cap, Growth growth, Random bits) noexcept
        : growth_{growth}, bits_{bits}, cap_{cap}, jitter_{jitter} {
        const BackoffErrc wrong = check(jitter, cap, growth);
        BELAY_OPTION(wrong != BackoffErrc::bad_base,
                     "Backoff: the base must be > 0ns, and at most 292 years");
        BELAY_OPTION(wrong != BackoffErrc::bad_factor,
                     "Backoff: the factor must be finite and >= 1");
        BELAY_OPTION(wrong != BackoffErrc::bad_delays,
                     "Backoff: the delays must be in [0ns, 292 years], and the last one > 0ns");
        BELAY_OPTION(wrong != BackoffErrc::bad_jitter,
                     "Backoff: the percentages of the jitter must be <= 100");
        if (std::is_constant_evaluated() && wrong == BackoffErrc::bad_cap) {
            detail::the_cap_of_a_backoff_must_not_be_below_its_base();
        }
        BELAY_OPTION(wrong != BackoffErrc::bad_cap,
                     "Backoff: the cap must be > 0ns, <= 292 years and >= the first wait");
        BELAY_OPTION(wrong != BackoffErrc::bad_floor,
                     "Backoff: the floor must be >= 0ns, and leave the jitter a range");
        BELAY_OPTION(wrong == BackoffErrc{}, "Backoff: check() must report no error");
    }

    // After this number of waits, a growth no longer falls; see GrowthLike.
    static constexpr std::uint64_t settled = 256;

    [[nodiscard]] static constexpr bool chooses(part::WaitRange range) noexcept {
        return range.least < range.most;
    }
    /// Returns the range after `failures` others, without the floor.
    [[nodiscard]] static constexpr part::WaitRange ranged(const Jitter& jitter, const Limit& cap,
                                                          const Growth& growth,
                                                          std::uint64_t failures) noexcept {
        const Duration grown = growth(failures);
        BELAY_PRECONDITION(grown.count() >= 0, "GrowthLike: the nominal wait must be >= 0ns");
        Duration most = forever;
        if constexpr (!detail::CapsBeforeJitter<Limit>) most = cap.limit(forever);
        const part::WaitRange range = jitter.range(
            part::NominalWait{.wait = cap.limit(grown), .most = most, .failures = failures});
        BELAY_PRECONDITION(
            range.least.count() >= 0 && range.least <= range.most && range.most <= most,
            "JitterLike::range: the range must be in [0ns, nominal.most]");
        return range;
    }
    /// Returns the range from which the jitter chooses after `failures` others, above the floor.
    [[nodiscard]] constexpr part::WaitRange range(std::uint64_t failures) const noexcept {
        part::WaitRange range = ranged(jitter_, cap_, growth_, failures);
        if constexpr (detail::HasLeast<Limit>) {
            const Duration floor = cap_.least();
            if (range.least < floor) range.least = floor;
            if (range.most < floor) range.most = floor;
        }
        return range;
    }

    [[nodiscard]] constexpr Duration draw(Jitter& jitter, std::uint64_t failures,
                                          Random& bits) const noexcept {
        const part::WaitRange chosen = range(failures);
        if constexpr (detail::HasDelay<Jitter>) {
            const Duration wait = jitter.delay(chosen, failures, bits);
            BELAY_PRECONDITION(chosen.least <= wait && wait <= chosen.most,
                               "JitterLike::delay: the delay must be in the range");
            return wait;
        } else {
            return part::uniform_wait(chosen, bits);
        }
    }

    /// Draws a first wait without a change of state.
    [[nodiscard]] constexpr Duration first(Random& bits) const noexcept {
        Jitter fresh = jitter_;
        if constexpr (requires { fresh.reset(); }) fresh.reset();
        return draw(fresh, 0, bits);
    }

    [[no_unique_address]] Growth growth_;
    // In the padding that an Exponential with a factor leaves. A wider one would cost 8 bytes.
    std::uint32_t failures_ = 0;
    Random bits_;
    [[no_unique_address]] Limit cap_;
    [[no_unique_address]] Jitter jitter_;
};

template <class Jitter, class Limit, class Third>
Backoff(Jitter, Limit, Third) -> Backoff<Jitter, Limit, detail::GrowthOf<Jitter, Third>>;
template <class Jitter, class Limit, class Third>
Backoff(Jitter, Limit, Third, Seed) -> Backoff<Jitter, Limit, detail::GrowthOf<Jitter, Third>>;

// The forms that Backoff does not have, so that a mistake results in a sentence.
template <class Jitter, class Limit>
class Backoff<Jitter, Limit, detail::NoBase> {
    static_assert(!sizeof(Jitter),
                  "Backoff: after the jitter pass a cap, and then a base or a growth: "
                  "Backoff{FullJitter{}, Cap{30s}, 1s}. Without a limit write NoCap{}");

public:
    template <class... Given>
    constexpr Backoff(Given&&...) noexcept {}
};
template <class Jitter, class Limit>
class Backoff<Jitter, Limit, detail::CapAfterBase> {
    static_assert(!sizeof(Jitter),
                  "Backoff: pass the cap before the base: Backoff{FullJitter{}, Cap{30s}, 1s}");

public:
    template <class Base>
    constexpr Backoff(Jitter, Base, Limit) noexcept {}
};
template <class Jitter, class Limit>
class Backoff<Jitter, Limit, detail::FactorAfterBase> {
    static_assert(!sizeof(Jitter),
                  "Backoff: write the factor into the growth: Backoff{FullJitter{}, Cap{30s}, "
                  "Exponential{1s, 1.5}}");

public:
    template <class... Given>
    constexpr Backoff(Given&&...) noexcept {}
};
template <class Only>
Backoff(Only) -> Backoff<Only, detail::NoBase, detail::NoBase>;
template <class Jitter, class Limit>
Backoff(Jitter, Limit) -> Backoff<Jitter, Limit, detail::NoBase>;
template <class Jitter, class Limit, class Base, class Factor>
    requires std::is_arithmetic_v<Factor>
Backoff(Jitter, Limit, Base, Factor) -> Backoff<Jitter, Limit, detail::FactorAfterBase>;
template <class Jitter, class Rep, class Period, class Limit>
Backoff(Jitter, std::chrono::duration<Rep, Period>, Limit)
    -> Backoff<Jitter, Limit, detail::CapAfterBase>;

/// Makes the Backoff of these parts, or returns what is wrong with them.
///
/// The parts may hold any values, and lengths of time in any unit (hours, years, seconds as a
/// double).
///
///     auto backoff = make_backoff(FullJitter{}, Cap{config.cap}, Exponential{config.base, 1.5});
///     if (!backoff) return backoff.error();   // "the base of a backoff must be > 0ns, ..."
///
/// `third` is a base or a growth, as for Backoff. Without a seed, the backoff seeds itself.
///
/// Errors:     BackoffErrc::bad_base, bad_factor, bad_delays, bad_jitter, bad_cap, bad_floor, or
///             what check() of a part of your own returns.
/// Complexity: O(1).   Allocates: never.
template <class Jitter, class Limit, class Third, std::same_as<Seed>... Fixed>
    requires(sizeof...(Fixed) <= 1)
[[nodiscard]] auto make_backoff(Jitter jitter, Limit cap, Third third, Fixed... seed)
    -> Result<Backoff<Jitter, Limit, detail::GrowthOf<Jitter, Third>>> {
    using Growth = detail::GrowthOf<Jitter, Third>;
    using Made = Backoff<Jitter, Limit, Growth>;
    const Growth growth{third};
    if (const BackoffErrc wrong = Made::check(jitter, cap, growth); wrong != BackoffErrc{}) {
        return wrong;
    }
    return Made{jitter, cap, growth, seed...};
}

}}  // namespace belay
