// SPDX-License-Identifier: MIT
/// \file belay/backoff/jitters.hpp
/// JitterLike and the jitters, which spread retries in time: FullJitter is the usual one. NoJitter,
/// EqualJitter and ProportionalJitter choose from another range. DecorrelatedJitter and
/// SmoothJitter grow by themselves. policies::AnyJitter is chosen at run time.
#pragma once

#include <concepts>     // std::copyable, std::same_as
#include <cstdint>      // std::int32_t, std::uint32_t, std::uint64_t, std::uint8_t
#include <type_traits>  // std::bool_constant

#include <belay/backoff/growths.hpp>
#include <belay/core/detail/member_names.hpp>
#include <belay/core/instant.hpp>
#include <belay/core/random.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace part {

/// All waits from `least` to `most`, both included.   0ns <= least <= most.
struct WaitRange {
    /// The shortest wait. >= 0ns.
    Duration least;
    /// The longest wait. >= least.
    Duration most;

    friend constexpr bool operator==(WaitRange, WaitRange) noexcept = default;
};

/// Returns a wait drawn uniformly from the range.
///
/// Pre:        0ns <= least <= most.
/// Errors:     none.   Allocates: never.
/// Complexity: O(1); draws 64 bits, and again with probability <= (most - least) / 2^64.
[[nodiscard]] constexpr Duration uniform_wait(WaitRange range, Random& bits) noexcept {
    BELAY_PRECONDITION(range.least.count() >= 0 && range.least <= range.most,
                       "uniform_wait: the range must be 0ns <= least <= most");
    const auto count = static_cast<std::uint64_t>((range.most - range.least).count()) + 1;
    return range.least + Duration{static_cast<Duration::rep>(detail::uniform_below(bits, count))};
}

/// One wait before the jitter is applied.   0ns <= wait <= most.
struct NominalWait {
    /// The wait that the growth returned, at most the cap.
    Duration wait;
    /// The longest wait that a hard cap allows; `forever` without one.
    Duration most;
    /// The number of waits before this one; 0 for the first.
    std::uint64_t failures;
};

}  // namespace part

namespace detail {

BELAY_DETAIL_REQUIRED(Range, (const R& r, const part::NominalWait& nominal), part::WaitRange,
                      r.range(nominal));
BELAY_DETAIL_OPTIONAL(Delay, delay, (R & r, part::WaitRange range, std::uint64_t n, Random& bits),
                      Duration, r.delay(range, n, bits));
BELAY_DETAIL_FLAG(Grows, grows);
/// Whether the waits grow by the state of the jitter, and not by a growth of the backoff.
template <class J>
concept GrowsByItself = requires { requires J::grows; };
}  // namespace detail

/// Spreads retries in time.
///
/// - `range(const part::NominalWait&) const -> part::WaitRange`: returns the range of waits from
///   which to choose.
/// - optional `delay(WaitRange, std::uint64_t failures, Random&) -> Duration`: chooses the wait,
///   and may change the jitter's state. Without it, every wait of the range is equally likely.
/// - optional `reset()`: forgets the state.
/// - optional `check() const -> BackoffErrc`: returns what is wrong with the parameters, or
///   BackoffErrc{} if nothing is.
/// - optional `static constexpr bool grows = true`: the jitter itself makes the waits longer. Such
///   a jitter has a base instead of a growth, and only a hard cap limits it.
///
/// All of them are noexcept. Semantics the compiler cannot check:
/// - 0ns <= range.least <= range.most <= nominal.most.
/// - The range depends on its argument only, and not on earlier draws.
/// - The result of delay is in the range that it receives, which a floor may have made smaller.
template <class J>
concept JitterLike = std::copyable<J> && detail::HasRange<J> && detail::RangeGivesResult<J> &&
                     detail::RangeIsNoexcept<J> && detail::DelayIsSound<J> &&
                     detail::ResetIsSound<J> && detail::CheckIsSound<J> && detail::GrowsIsFlag<J>;

namespace explain {

/// Names every requirement of JitterLike that J lacks.
template <class J>
consteval bool jitter_like() {
    static_assert(std::copyable<J>, "JitterLike: J must be copyable");
    static_assert(detail::HasRange<J>,
                  "JitterLike: J needs 'part::WaitRange range(const part::NominalWait&) const', "
                  "see docs/reference/backoff.md");
    if constexpr (detail::HasRange<J>) {
        static_assert(detail::RangeGivesResult<J>,
                      "JitterLike: J::range must return belay::part::WaitRange");
        static_assert(detail::RangeIsNoexcept<J>, "JitterLike: J::range must be noexcept");
    }
    static_assert(detail::DelayIsSound<J>,
                  "JitterLike: J::delay must be "
                  "'Duration delay(part::WaitRange, std::uint64_t, Random&) noexcept'");
    static_assert(detail::ResetIsSound<J>, "JitterLike: J::reset must be 'void reset() noexcept'");
    static_assert(detail::CheckIsSound<J>,
                  "JitterLike: J::check must be 'BackoffErrc check() const noexcept'");
    static_assert(detail::GrowsIsFlag<J>,
                  "JitterLike: J::grows must be 'static constexpr bool grows = true'");
    return JitterLike<J>;
}

}  // namespace explain

/// Draws each wait uniformly from [0, nominal]; 0ns is a legal result ("retry at once").
///
/// It is the default choice, because among all jitters it makes the fewest calls in a crowd. If a
/// minimum wait matters, add a Floor, or use EqualJitter or ProportionalJitter.
///
/// Models:        JitterLike, std::regular.
/// Thread safety: distinct objects safe; a shared one safe (no state).
/// Source:        M. Brooker, "Exponential Backoff And Jitter" (2015), variant "Full Jitter".
struct FullJitter {
    /// Errors: none.   Complexity: O(1).
    [[nodiscard]] constexpr part::WaitRange range(const part::NominalWait& nominal) const noexcept {
        return {Duration::zero(), nominal.wait};
    }

    friend constexpr bool operator==(FullJitter, FullJitter) noexcept = default;
};

/// Waits exactly the nominal wait. A fleet of such clients returns in step, so prefer any other
/// jitter.
///
/// Models:        JitterLike, std::regular.
/// Thread safety: distinct objects safe; a shared one safe (no state).
struct NoJitter {
    /// Errors: none.   Complexity: O(1).
    [[nodiscard]] constexpr part::WaitRange range(const part::NominalWait& nominal) const noexcept {
        return {nominal.wait, nominal.wait};
    }
    /// Returns the wait without a draw.   Errors: none.   Complexity: O(1).
    [[nodiscard]] constexpr Duration delay(part::WaitRange range, std::uint64_t,
                                           Random&) const noexcept {
        return range.most;
    }

    friend constexpr bool operator==(NoJitter, NoJitter) noexcept = default;
};

/// Draws each wait uniformly from [nominal / 2, nominal].
///
/// Models:        JitterLike, std::regular.
/// Thread safety: distinct objects safe; a shared one safe (no state).
/// Source:        M. Brooker, "Exponential Backoff And Jitter" (2015), variant "Equal Jitter".
struct EqualJitter {
    /// Errors: none.   Complexity: O(1).
    [[nodiscard]] constexpr part::WaitRange range(const part::NominalWait& nominal) const noexcept {
        return {nominal.wait - nominal.wait / 2, nominal.wait};
    }

    friend constexpr bool operator==(EqualJitter, EqualJitter) noexcept = default;
};

/// Draws each wait uniformly from [nominal - below %, nominal + above %].
///
/// Under a hard cap, the whole interval moves down until its upper end is the cap. With +0..10 %
/// and 60 s, the late waits lie in [54.5 s, 60 s], uniformly, and none is above the cap.
///
/// Models:        JitterLike, std::regular except for default construction.
/// Thread safety: distinct objects safe; a shared one safe (it never changes).
class ProportionalJitter {
public:
    /// Makes a jitter in both directions: `plus_minus_percent(20)` waits 80..120 % of the nominal
    /// wait.
    ///
    /// Pre: percent <= 100, which the Backoff checks.
    [[nodiscard]] static constexpr ProportionalJitter plus_minus_percent(
        std::uint32_t percent) noexcept {
        return ProportionalJitter{{.below = percent, .above = percent}};
    }
    /// Makes a jitter upwards only: `plus_percent(10)` waits 100..110 % of the nominal wait.
    ///
    /// Pre: percent <= 100, which the Backoff checks.
    [[nodiscard]] static constexpr ProportionalJitter plus_percent(std::uint32_t percent) noexcept {
        return ProportionalJitter{{.below = 0, .above = percent}};
    }

    /// Errors: none; saturates.   Complexity: O(1).
    [[nodiscard]] constexpr part::WaitRange range(const part::NominalWait& nominal) const noexcept {
        const Duration peak = peak_of(nominal.wait);
        const Duration most = peak < nominal.most ? peak : nominal.most;
        return {floor_of(most), most};
    }

    [[nodiscard]] constexpr BackoffErrc check() const noexcept {
        return percents_.below <= 100 && percents_.above <= 100 ? BackoffErrc{}
                                                                : BackoffErrc::bad_jitter;
    }

    friend constexpr bool operator==(ProportionalJitter, ProportionalJitter) noexcept = default;

private:
    struct Percents {
        std::uint32_t below;
        std::uint32_t above;

        friend constexpr bool operator==(Percents, Percents) noexcept = default;
    };

    explicit constexpr ProportionalJitter(Percents percents) noexcept : percents_{percents} {}

    // Computed in parts that cannot overflow, or that saturate.
    [[nodiscard]] constexpr Duration peak_of(Duration nominal) const noexcept {
        const std::uint64_t share = std::uint64_t{100} + percents_.above;
        const auto rest = static_cast<std::uint64_t>((nominal % 100).count()) * share / 100;
        return part::saturating_add(part::saturating_multiply(nominal / 100, share),
                                    Duration{static_cast<Duration::rep>(rest)});
    }

    // Returns most * (100 - below) / (100 + above), computed in parts that cannot overflow. It is
    // rounded up, so that floor_of(peak_of(d)) is d itself where nothing is subtracted.
    [[nodiscard]] constexpr Duration floor_of(Duration most) const noexcept {
        const auto top = static_cast<std::uint64_t>(most.count());
        const std::uint64_t share = 100U - percents_.below;
        const std::uint64_t whole = 100U + percents_.above;
        const std::uint64_t least = top / whole * share + (top % whole * share + whole - 1) / whole;
        return Duration{static_cast<Duration::rep>(least)};
    }

    Percents percents_;
};

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

namespace detail {

/// The curve 2^t * tanh(2 * sqrt(t)) on whose points a SmoothJitter retries, in units of 2^-30.
///
/// Row n holds its values at t = n + i/16, divided by 2^n. In row 0, where the root is steep, i
/// counts sixteenths of sqrt(t). In the last row, tanh is 1 within 0.02 %.
inline constexpr std::uint32_t smooth_curve[7][16] = {
    {0x00000000, 0x07FAEC6D, 0x0FD8717D, 0x1780290A, 0x1EE289F0, 0x25FAED71, 0x2CCFB3CB, 0x3371048E,
     0x39F6E091, 0x407F2B4C, 0x472C1ADA, 0x4E2342A0, 0x558D41A4, 0x5D9606A1, 0x666D95BF,
     0x70493F87},
    {0x3DB2A0BC, 0x40B411A8, 0x43D0AC4A, 0x470A94C2, 0x4A63DEBC, 0x4DDE94E8, 0x517CBEDD, 0x554065E0,
     0x592B98C8, 0x5D406F53, 0x61810CEF, 0x65EFA33E, 0x6A8E744A, 0x6F5FD48E, 0x74662CDA,
     0x79A3FC17},
    {0x3F8DEC83, 0x426839F1, 0x45624C0A, 0x487D96E3, 0x4BBB9DC9, 0x4F1DF415, 0x52A63E05, 0x56563197,
     0x5A2F976E, 0x5E344BBA, 0x62663F28, 0x66C777DF, 0x6B5A127D, 0x70204323, 0x751C568D,
     0x7A50B334},
    {0x3FDFED3A, 0x42B634E4, 0x45AC8E0B, 0x48C46579, 0x4BFF380A, 0x4F5E935C, 0x52E41692, 0x5691731D,
     0x5A686D8F, 0x5E6ADE70, 0x629AB326, 0x66F9EEE3, 0x6B8AAB9A, 0x704F1B04, 0x754987AD,
     0x7A7C5612},
    {0x3FF502E1, 0x42CA994B, 0x45C04AF9, 0x48D78408, 0x4C11C0B1, 0x4F708E00, 0x52F58A93, 0x56A26760,
     0x5A78E884, 0x5E7AE620, 0x62AA4D3A, 0x670920A9, 0x6B997A0E, 0x705D8AD7, 0x75579D48,
     0x7A8A159D},
    {0x3FFBB994, 0x42D128C4, 0x45C6B4F6, 0x48DDCA30, 0x4C17E493, 0x4F769117, 0x52FB6E44, 0x56A82CFD,
     0x5A7E9150, 0x5E80734D, 0x62AFBFEA, 0x670E79F1, 0x6B9EBAF4, 0x7062B454, 0x755CB04B,
     0x7A8F1308},
    {0x40000000, 0x42D561B4, 0x45CAE0F2, 0x48E1E9BA, 0x4C1BF829, 0x4F7A9930, 0x52FF6B55, 0x56AC1F75,
     0x5A82799A, 0x5E8451D0, 0x62B39509, 0x6712460B, 0x6BA27E65, 0x70666F76, 0x75606374,
     0x7A92BE8B},
};

/// The distance of the curve from the straight line between points i and i + 1 of row 0.
///
/// At a share x of the way it is smooth_bend[i] * x * (1 - x), in units of 2^-30. Each value is a
/// quarter of minus the sum of the second differences at the two points.
inline constexpr std::int32_t smooth_bend[16] = {
    481751,  1363256,  2017547,  2348291,  2320035,  1950895,  1292950,  409986,
    -640227, -1816387, -3097566, -4482894, -5989382, -7649587, -9510069, -11631082,
};

/// Returns the height of row `n` of the curve at `point` (of 2^32, for t - n or its root in
/// [0, 1)).
///
/// It is within 0.12 % of the formula. The first wait is proportional to its height in row 0.
/// Therefore that row has arcs between the points of the table. Straight lines put up to 6 % too
/// many waits on one side of a point. The other rows are linear, because each of their waits
/// depends on two random points.
[[nodiscard]] constexpr std::uint64_t smooth_height(std::uint64_t n, std::uint32_t point) noexcept {
    const std::uint64_t row = n < 6 ? n : 6;
    const std::uint32_t i = point >> 28;
    const std::uint64_t here = smooth_curve[row][i];
    const std::uint64_t next = i != 15 ? smooth_curve[row][i + 1]
                                       : std::uint64_t{2} * smooth_curve[n < 6 ? row + 1 : 6][0];
    const std::uint64_t share = point & 0xFFFFFFFU;
    const std::uint64_t linear = here + ((next - here) * share >> 28);
    if (n != 0) return linear;
    const auto arc = static_cast<std::int64_t>(share * (0x10000000U - share) >> 28);
    return linear + static_cast<std::uint64_t>(smooth_bend[i] * arc >> 28);
}

/// Returns the longest wait after n others in units of base * 5/7 * 2^(n-1) * 2^-30.
[[nodiscard]] constexpr std::uint64_t smooth_reach(std::uint64_t n) noexcept {
    const std::uint64_t end = std::uint64_t{2} * smooth_curve[n < 5 ? n + 1 : 6][0];
    return 2 * end - (n != 0 ? smooth_curve[n < 7 ? n - 1 : 6][0] : 0);
}

}  // namespace detail

/// Draws waits whose medians double, and that spread a crowd's retries without humps or gaps.
///
/// It is Polly's "decorrelated jitter V2". A curve doubles from stretch to stretch, and retry n
/// happens at a random point of its n-th stretch. The medians of the waits are near 0.9, 1.1, 2, 4,
/// 8, ... times the base.
///
/// The jitter itself makes the waits grow, so `Backoff{SmoothJitter{}, Cap{30s}, 1s}` takes a base,
/// and no growth. If a wait could be longer than the cap, its whole distribution shrinks until its
/// end is the cap. So no waits pile up on the cap. The waits are computed in integers, so they are
/// the same on every machine. They are defined for every number of attempts (the original was NaN
/// after 1024).
///
/// Models:        JitterLike, std::regular.
/// Thread safety: distinct objects safe; a shared one not.
/// Source:        G. Polevoy, Polly issue 530 (2019): F(t) = 2^t * tanh(2 * sqrt(t)), and
///                wait_n = (F(n + u_n) - F(n - 1 + u_(n-1))) * base / 1.4.
class SmoothJitter {
public:
    static constexpr bool grows = true;

    /// Starts at 0ns, because two retries may coincide.
    /// Errors: none; saturates.
    /// Complexity: O(1).
    [[nodiscard]] constexpr part::WaitRange range(const part::NominalWait& nominal) const noexcept {
        // base * 2^n * (5/7 * reach / 2), rounded up so that no draw is above it.
        const Duration doubled = Exponential{nominal.wait}(nominal.failures);
        const std::uint64_t share = detail::smooth_reach(nominal.failures) * 5 / 7 + 1;
        const detail::Product p =
            detail::multiply(static_cast<std::uint64_t>(doubled.count()), share);
        const bool fits = p.high < std::uint64_t{1} << 30;
        const auto end = static_cast<Duration::rep>(p.high << 33 | p.low >> 31);
        const Duration peak = fits ? Duration{end} : forever;
        return {Duration::zero(), peak < nominal.most ? peak : nominal.most};
    }

    /// Errors: none.   Complexity: O(1), draws 64 bits.
    [[nodiscard]] constexpr Duration delay(part::WaitRange range, std::uint64_t failures,
                                           Random& bits) noexcept {
        const std::uint64_t drawn = bits();
        auto point = static_cast<std::uint32_t>(drawn >> 32);
        // The larger of two numbers from [0, 1) is distributed as the square root of one.
        const auto other = static_cast<std::uint32_t>(drawn);
        if (failures == 0 && other > point) point = other;
        const std::uint64_t height = detail::smooth_height(failures, point);
        const std::uint64_t reach = detail::smooth_reach(failures);
        const std::uint64_t before = failures != 0 ? before_ : 0;
        std::uint64_t step = 2 * height > before ? 2 * height - before : 0;
        if (step > reach) step = reach;
        before_ = static_cast<std::uint32_t>(height);

        const auto span = static_cast<std::uint64_t>((range.most - range.least).count());
        const detail::Product p = detail::multiply(span, (step << 31) / reach);
        return range.least + Duration{static_cast<Duration::rep>(p.high << 33 | p.low >> 31)};
    }
    constexpr void reset() noexcept { before_ = 0; }

    friend constexpr bool operator==(const SmoothJitter&, const SmoothJitter&) noexcept = default;

private:
    std::uint32_t before_ = 0;
};

namespace policies {

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

}  // namespace policies

}}  // namespace belay
