// SPDX-License-Identifier: MIT
/// \file belay/backoff/caps.hpp
/// CapLike and the caps, which limit waits: Cap is the usual one. PreJitterCap limits them before
/// the jitter, NoCap does not, and Floor also sets a least wait.
#pragma once

#include <concepts>     // std::copyable, std::integral, std::same_as
#include <type_traits>  // std::bool_constant

#include <belay/core/detail/arguments.hpp>
#include <belay/core/detail/member_names.hpp>
#include <belay/core/instant.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {
BELAY_DETAIL_REQUIRED(Limit, (const R& r, Duration wait), Duration, r.limit(wait));
BELAY_DETAIL_OPTIONAL(Least, least, (const R& r), Duration, r.least());
BELAY_DETAIL_FLAG(BeforeJitter, before_jitter);
template <class C>
concept CapsBeforeJitter = requires { requires C::before_jitter; };
}  // namespace detail

/// Limits how long a wait may become.
///
/// - `limit(Duration) const -> Duration`: returns the nominal wait after the limit. No wait,
///   including jitter, is longer than `limit(forever)`.
/// - optional `static constexpr bool before_jitter = true`: the cap is not hard; the jitter may
///   exceed it.
/// - optional `least() const -> Duration`: returns the floor; no wait is shorter.
///
/// All of them are noexcept. Semantics the compiler cannot check: for every d >= 0ns,
/// 0ns <= limit(d) <= d, and limit(d) never falls while d rises.
template <class C>
concept CapLike =
    std::copyable<C> && detail::HasLimit<C> && detail::LimitGivesResult<C> &&
    detail::LimitIsNoexcept<C> && detail::LeastIsSound<C> && detail::BeforeJitterIsFlag<C>;

namespace explain {

/// Names every requirement of CapLike that C lacks.
template <class C>
consteval bool cap_like() {
    static_assert(std::copyable<C>, "CapLike: C must be copyable");
    static_assert(detail::HasLimit<C>,
                  "CapLike: C needs 'Duration limit(Duration) const', see "
                  "docs/reference/backoff.md");
    if constexpr (detail::HasLimit<C>) {
        static_assert(detail::LimitGivesResult<C>, "CapLike: C::limit must return belay::Duration");
        static_assert(detail::LimitIsNoexcept<C>, "CapLike: C::limit must be noexcept");
    }
    static_assert(detail::LeastIsSound<C>,
                  "CapLike: C::least must be 'Duration least() const noexcept'");
    static_assert(detail::BeforeJitterIsFlag<C>,
                  "CapLike: C::before_jitter must be 'static constexpr bool before_jitter = true'");
    return CapLike<C>;
}

}  // namespace explain

/// A hard limit on waits, below which the jitter chooses. No wait is above it, and no waits pile up
/// on it.
///
/// Models:        CapLike, std::copyable.
/// Thread safety: a plain value.
class Cap {
public:
    /// Sets the longest wait.
    ///
    /// Pre: most > 0ns, and at most 292 years, in any unit; not below the first wait. The Backoff
    ///      checks it.
    constexpr explicit Cap(detail::AnyUnit most) noexcept : most_{most} {}
    /// Does not compile, because a number has no unit.
    template <std::integral Number>
    constexpr explicit Cap(Number) noexcept : most_{} {
        static_assert(!std::integral<Number>, "Cap: write the unit of the limit: Cap{30s}");
    }

    /// Returns the smaller of `wait` and the cap.   Errors: none.   Complexity: O(1).
    [[nodiscard]] constexpr Duration limit(Duration wait) const noexcept {
        return wait < most_ ? wait : most_;
    }

    friend constexpr bool operator==(Cap, Cap) noexcept = default;

private:
    Duration most_;
};

/// A limit on the wait before the jitter, which the jitter may exceed.
///
/// With +-20 % and 120 s, the late waits lie in [96 s, 144 s].
/// Use it for peers that are documented in this way (gRPC). If you mean "at most", use Cap.
///
/// Models:        CapLike, std::copyable.
/// Thread safety: a plain value.
class PreJitterCap : private Cap {
public:
    static constexpr bool before_jitter = true;

    /// Sets the longest nominal wait.
    ///
    /// Pre: most > 0ns, and at most 292 years, in any unit; not below the first wait. The Backoff
    ///      checks it.
    constexpr explicit PreJitterCap(detail::AnyUnit most) noexcept : Cap{most} {}

    using Cap::limit;

    friend constexpr bool operator==(PreJitterCap, PreJitterCap) noexcept = default;
};

/// A cap without a limit; a wait that does not fit is `forever`.
///
/// Use it for growths that end by themselves (Constant, Delays), or under a rule that stops in
/// time.
///
/// Models:        CapLike, std::regular.
/// Thread safety: a plain value.
struct NoCap {
    /// Returns `wait` unchanged.   Errors: none.   Complexity: O(1).
    [[nodiscard]] constexpr Duration limit(Duration wait) const noexcept { return wait; }

    friend constexpr bool operator==(NoCap, NoCap) noexcept = default;
};

/// A lower limit on waits, in addition to a cap: `Floor{100ms, Cap{30s}}`.
///
/// The jitter chooses above it. No wait is raised after the draw, so that no waits pile up on the
/// floor.
///
/// The floor must be far enough below the first wait and the cap that the jitter can choose.
/// Otherwise all clients would wait equally long. Without jitter, the floor may be equal to the
/// first wait.
///
/// Models:        CapLike.
/// Thread safety: a plain value.
template <class Limit>
class Floor {
    static_assert(explain::cap_like<Limit>());
    static_assert(!detail::HasLeast<Limit>,
                  "Floor: the cap already has a floor; remove one of the two");

public:
    static constexpr bool before_jitter = detail::CapsBeforeJitter<Limit>;

    /// Sets the floor and the cap.
    ///
    /// Pre: least >= 0ns, in any unit, and as above; the Backoff checks it.
    constexpr Floor(detail::AnyUnit least, Limit cap) noexcept : least_{least}, cap_{cap} {}

    /// Returns the result of the cap.   Errors: none.   Complexity: that of the cap.
    [[nodiscard]] constexpr Duration limit(Duration wait) const noexcept {
        return cap_.limit(wait);
    }
    /// Returns the floor.
    [[nodiscard]] constexpr Duration least() const noexcept { return least_; }

private:
    Duration least_;
    [[no_unique_address]] Limit cap_;
};

}}  // namespace belay
