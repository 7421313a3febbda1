// SPDX-License-Identifier: MIT
/// \file belay/call/fails_if.hpp
/// fails_if, fails_on: which results and which exceptions of a call are failures.
#pragma once

#include <concepts>     // std::same_as
#include <optional>     // std::optional
#include <type_traits>  // std::decay_t
#include <utility>      // std::forward, std::move

#include <belay/call/attempt.hpp>
#include <belay/core/failure.hpp>

namespace belay::inline BELAY_ABI {

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

template <class F, class Judge>
struct FailsIf : CallAdapter<F> {
    Judge judge;

    constexpr FailsIf(F f, Judge j) : CallAdapter<F>{std::move(f)}, judge{std::move(j)} {}

    decltype(auto) operator()(const Attempt& attempt)
        requires Attemptable<F>
    {
        return detail::call(this->fn, attempt);
    }

    template <class Result>
        requires std::invocable<Judge&, const Result&>
    std::optional<Failure> judge_result(const Result& result) {
        using Said = std::remove_cvref_t<decltype(judge(result))>;
        static_assert(VerdictLike<Said>,
                      "fails_if: the predicate must return bool, belay::Cause or belay::Failure");
        return detail::verdict(judge(result));
    }
};

}  // namespace detail

/// `fn`, whose results are judged by `predicate` instead of by their type: `true`, a Cause or a
/// Failure is a failure; `false`, Cause::none and a Failure of none are successes.
///
///     retry(policy, fails_if(fetch, [](const Response& r) { return r.status >= 500; }));
///
/// The last result comes back as it was, also when it is a failure: in a Result of it, unless it is
/// a std::error_code or expected-like. Any type may be judged that is no reference.
///
/// The predicate may throw: then the attempt is abandoned, and the exception leaves the caller.
/// Complexity: O(1).
template <class F, class Predicate>
[[nodiscard]] constexpr auto fails_if(F&& fn, Predicate predicate) {
    return detail::FailsIf<std::decay_t<F>, Predicate>{std::forward<F>(fn), std::move(predicate)};
}

#if defined(__cpp_exceptions)

namespace detail {

struct AnyOfType {
    template <class E>
    constexpr bool operator()(const E&) const noexcept {
        return true;
    }
};

template <class E, class F, class Judge>
struct FailsOn : CallAdapter<F> {
    Judge judge;

    constexpr FailsOn(F f, Judge j) : CallAdapter<F>{std::move(f)}, judge{std::move(j)} {}

    decltype(auto) operator()(const Attempt& attempt)
        requires Attemptable<F>
    {
        return detail::call(this->fn, attempt);
    }

    // Pre: an exception is being handled.
    std::optional<Failure> judge_exception() {
        try {
            throw;
        } catch (const E& error) {
            using Said = std::remove_cvref_t<decltype(judge(error))>;
            static_assert(VerdictLike<Said>,
                          "fails_on: the predicate must return bool, belay::Cause or "
                          "belay::Failure");
            return detail::verdict(judge(error));
        } catch (...) {
            if constexpr (requires { this->fn.judge_exception(); }) {
                return this->fn.judge_exception();
            } else {
                return std::nullopt;
            }
        }
    }
};

}  // namespace detail

/// `fn`, of whose exceptions only those of type E are failures, and of these only the ones that
/// `predicate` says are; any other leaves the caller at once, and the attempt is abandoned.
///
///     retry(policy, fails_on<NetworkError>(fetch));
///
/// Several are nested: `fails_on<A>(fails_on<B>(fn))`; the outermost type that fits decides.
/// The predicate is as that of fails_if. Not there without exceptions.   Complexity: O(1).
template <class E, class F, class Predicate = detail::AnyOfType>
[[nodiscard]] constexpr auto fails_on(F&& fn, Predicate predicate = {}) {
    return detail::FailsOn<E, std::decay_t<F>, Predicate>{std::forward<F>(fn),
                                                          std::move(predicate)};
}

#endif

}  // namespace belay::inline BELAY_ABI
