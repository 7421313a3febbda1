// SPDX-License-Identifier: MIT
/// \file belay/backoff/smooth_jitter.hpp
/// SmoothJitter: waits whose medians double. No length is much more likely than its neighbours.
#pragma once

#include <cstdint>  // std::int32_t, std::uint64_t

#include <belay/backoff/exponential.hpp>
#include <belay/backoff/jitter_like.hpp>

namespace belay { inline namespace BELAY_ABI {

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

}}  // namespace belay
