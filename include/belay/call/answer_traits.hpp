// SPDX-License-Identifier: MIT
/// \file belay/call/answer_traits.hpp
/// AnswerTraits: which values of a type are failures, where the type does not tell by itself.
#pragma once

#include <concepts>     // std::same_as
#include <optional>     // std::optional
#include <type_traits>  // std::remove_cvref_t

#include <belay/core/failure.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Says of each R that a call returns whether it is a failure: for types of other libraries that
/// are neither bool, optional-like, expected-like nor an error code, and have no ok().
///
///     template <>
///     struct belay::AnswerTraits<CURLcode> {
///         static bool failed(const CURLcode& code) { return code != CURLE_OK; }
///     };
///
/// `failed` may also return a Cause or a Failure; Cause::none and a Failure of none are successes.
/// It goes before what belay knows of the type by itself; fails_if goes before it. It may be
/// specialised for a template, too. Callers get an Outcome<R>.
///
/// Must be declared before the first call with an R.   Thread safety: `failed` is called by any.
template <class R>
struct AnswerTraits {
    /// Nobody has taught R; a specialisation does not say so.
    using Untaught = void;
};

namespace detail {

template <class V>
concept VerdictLike = std::same_as<V, bool> || std::same_as<V, Cause> || std::same_as<V, Failure>;

/// What a user's predicate says: the failure, or none.
template <VerdictLike V>
[[nodiscard]] std::optional<Failure> verdict(const V& said) noexcept {
    if constexpr (std::same_as<V, bool>) {
        return said ? std::optional{Failure{Cause::lost}} : std::nullopt;
    } else if constexpr (std::same_as<V, Cause>) {
        return said != Cause::none ? std::optional{Failure{said}} : std::nullopt;
    } else {
        return said.cause != Cause::none ? std::optional{said} : std::nullopt;
    }
}

// A specialisation exists, in whatever form.
template <class R>
concept HasAnswerTraits = !requires { typename AnswerTraits<R>::Untaught; };
template <class R>
concept TraitsAreSound = !HasAnswerTraits<R> || requires(const R& returned) {
    { AnswerTraits<R>::failed(returned) } -> VerdictLike;
};

}  // namespace detail

}}  // namespace belay
