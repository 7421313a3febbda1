// SPDX-License-Identifier: MIT
/// \file belay/backoff/growth_like.hpp
/// GrowthLike: how waits grow from attempt to attempt.
#pragma once

#include <concepts>  // std::copyable, std::same_as
#include <cstdint>   // std::uint64_t

#include <belay/backoff/jitter_like.hpp>
#include <belay/core/instant.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {
template <class G>
concept HasGrowth = requires(const G& growth, std::uint64_t failures) { growth(failures); };
template <class G>
concept GrowthIsDuration = requires(const G& growth, std::uint64_t failures) {
    { growth(failures) } -> std::same_as<Duration>;
};
template <class G>
concept GrowthIsNoexcept = requires(const G& growth, std::uint64_t failures) {
    { growth(failures) } noexcept;
};
}  // namespace detail

/// Computes the nominal wait, before cap and jitter, from the number of waits before it.
///
/// - `growth(std::uint64_t failures) const -> Duration`: returns the nominal wait; 0 for the first
///   one.
/// - optional `check() const -> BackoffErrc`: returns what is wrong with the parameters, or
///   BackoffErrc{} if nothing is.
///
/// All of them are noexcept. A lambda without captures is a growth, if it is noexcept and returns a
/// Duration. Semantics the compiler cannot check: the result is >= 0ns for every argument, and
/// `forever` instead of an overflow. It does not fall after the 256th wait (`Backoff::max_total`
/// depends on that).
template <class G>
concept GrowthLike = std::copyable<G> && detail::HasGrowth<G> && detail::GrowthIsDuration<G> &&
                     detail::GrowthIsNoexcept<G> && detail::ChecksSoundly<G>;

namespace explain {

/// Names every requirement of GrowthLike that G lacks.
template <class G>
consteval bool growth_like() {
    static_assert(std::copyable<G>,
                  "GrowthLike: G must be copyable; use a struct instead of a lambda with captures");
    static_assert(
        detail::HasGrowth<G>,
        "GrowthLike: G needs 'Duration operator()(std::uint64_t) const', see docs/backoff.md");
    if constexpr (detail::HasGrowth<G>) {
        static_assert(detail::GrowthIsDuration<G>, "GrowthLike: G must return belay::Duration");
        static_assert(detail::GrowthIsNoexcept<G>, "GrowthLike: G must be noexcept");
    }
    static_assert(detail::ChecksSoundly<G>,
                  "GrowthLike: G::check must be 'BackoffErrc check() const noexcept'");
    return GrowthLike<G>;
}

}  // namespace explain

}}  // namespace belay
