// SPDX-License-Identifier: MIT
/// \file belay/call/answer_traits.hpp
/// AnswerTraits: defines which values of a type are failures, if the type does not show it.
#pragma once

#include <concepts>     // std::same_as
#include <optional>     // std::optional
#include <type_traits>  // std::remove_cvref_t

#include <belay/core/failure.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Defines which values of a type are failures, for types that calls return.
///
/// Use it for types of other libraries that are neither bool, optional-like, expected-like nor an
/// error code, and have no ok().
///
///     template <>
///     struct belay::AnswerTraits<CURLcode> {
///         static bool failed(const CURLcode& code) { return code != CURLE_OK; }
///     };
///
/// `failed` may also return a Cause or a Failure; Cause::none and a Failure of none are successes.
/// A specialisation has priority over what belay infers from the type, and fails_if has priority
/// over the specialisation. You may also specialise it for a template. Callers get an Outcome<R>.
///
/// If a predicate of fails_if reports a failure by `true` or a Cause, `failed` is called, too, for
/// the wait that the result requests. If it throws, the exception leaves the caller.
///
/// Declare it before the first call with an R.   Thread safety: any thread may call `failed`.
template <class R>
struct AnswerTraits {
    /// Marks an R without a specialisation; a specialisation does not have it.
    using Unspecialized = void;
};

namespace detail {

template <class V>
concept VerdictLike = std::same_as<V, bool> || std::same_as<V, Cause> || std::same_as<V, Failure>;

/// Returns the failure that a user's predicate reported, or none.
template <VerdictLike V>
[[nodiscard]] std::optional<Failure> verdict(const V& returned) noexcept {
    if constexpr (std::same_as<V, bool>) {
        return returned ? std::optional{Failure{Cause::lost}} : std::nullopt;
    } else if constexpr (std::same_as<V, Cause>) {
        return returned != Cause::none ? std::optional{Failure{returned}} : std::nullopt;
    } else {
        return returned.cause != Cause::none ? std::optional{returned} : std::nullopt;
    }
}

// A specialisation exists, in any form.
template <class R>
concept HasAnswerTraits = !requires { typename AnswerTraits<R>::Unspecialized; };
template <class R>
concept TraitsAreSound = !HasAnswerTraits<R> || requires(const R& returned) {
    { AnswerTraits<R>::failed(returned) } -> VerdictLike;
};
template <class R>
consteval bool explain_answer_traits() {
    static_assert(TraitsAreSound<R>,
                  "AnswerTraits: the specialization needs 'static bool failed(const R&)', "
                  "which may return belay::Cause or belay::Failure instead");
    return TraitsAreSound<R>;
}

}  // namespace detail

}}  // namespace belay
