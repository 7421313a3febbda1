// SPDX-License-Identifier: MIT
/// \file belay/call/retry_outcome.hpp
/// The return types that calls may have: what counts as a failure, and what the caller gets.
#pragma once

#include <concepts>      // std::same_as, std::constructible_from
#include <cstddef>       // std::size_t
#include <optional>      // std::optional
#include <system_error>  // std::error_code
#include <type_traits>   // std::type_identity
#include <utility>       // std::move, std::index_sequence

#include <belay/call/answer_traits.hpp>
#include <belay/call/call_errc.hpp>
#include <belay/call/detail/answer_kinds.hpp>
#include <belay/call/outcome.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

template <class E>
[[nodiscard]] E make_error(const std::error_code& why, [[maybe_unused]] Duration wait = {}) {
    if constexpr (std::constructible_from<E, std::error_code>) {
        return E(why);
    } else {
        return E(Failure::from(why, wait));
    }
}

/// Returns the error of a failure if the call left none: the error of a predicate, else `why`.
template <class E>
[[nodiscard]] E error_of(const std::optional<Failure>& failure, const std::error_code& why) {
    if constexpr (std::constructible_from<E, std::error_code>) {
        const std::error_code error = failure ? failure->error() : std::error_code{};
        if (error) return E(error);
        return E(why ? why : make_error_code(CallErrc::call_failed));
    } else {
        return E(failure ? *failure
                         : Failure::from(why ? why : make_error_code(CallErrc::call_failed)));
    }
}

/// Writes what is left of a wait into an error that is a Failure, so that no caller waits twice.
template <class E>
void set_wait([[maybe_unused]] E& error, [[maybe_unused]] Duration wait) noexcept {
    if constexpr (std::same_as<E, Failure>) error.retry_after = wait;
}

/// Returns the failure of a result without a value. An Outcome has the wait that is left.
template <class R>
[[nodiscard]] Failure failure_without_value(const R& result) {
    Failure failure = failure_of(result.error());
    if constexpr (is_outcome<R>) {
        failure.cause = result.cause();
        failure.retry_after = result.retry_after();
    }
    return failure;
}

/// Returns the same failure with another wait.
template <class R>
[[nodiscard]] R outcome_with_wait(R&& outcome, Duration wait) {
    const Cause cause = outcome.cause();
    auto error = outcome.error();
    detail::set_wait(error, wait);
    if (outcome.last() == nullptr) return R{std::move(error), cause, wait};
    return R::failure(std::move(*outcome.last()), std::move(error), cause, wait);
}

// How a return type of the user's callable is interpreted. `type` is what the caller gets.
// `classify` returns why the call failed, if it did. `finish` turns the last value into the result,
// and `failure` is the verdict on that value. `without` makes a result if no call was made; another
// one may be made after `wait`.

/// A value that is always a success.
template <class R>
struct PlainOutcome {
    using type = Result<R>;
    static std::optional<Failure> classify(const R&) noexcept { return std::nullopt; }
    static type finish(R&& value, const std::optional<Failure>& failure,
                       const std::error_code& why) {
        return failure ? type::failure(error_of<std::error_code>(failure, why))
                       : type{std::move(value)};
    }
    static type without(const std::error_code& why, Duration = {}) { return type::failure(why); }
};

struct NothingOutcome {
    using type = Result<void>;
    static std::optional<Failure> classify(VoidOutcome) noexcept { return std::nullopt; }
    static type finish(VoidOutcome, const std::optional<Failure>& failure,
                       const std::error_code& why) {
        return failure ? type{error_of<std::error_code>(failure, why)} : type{};
    }
    static type without(const std::error_code& why, Duration = {}) { return type{why}; }
};

struct BoolOutcome {
    using type = Result<void>;
    static std::optional<Failure> classify(bool worked) noexcept {
        return detail::verdict(!worked);
    }
    static type finish(bool, const std::optional<Failure>& failure, const std::error_code& why) {
        return failure ? type{error_of<std::error_code>(failure, why)} : type{};
    }
    static type without(const std::error_code& why, Duration = {}) { return type{why}; }
};

template <OptionalLike R>
struct OptionalOutcome {
    using type = Result<typename R::value_type>;
    static std::optional<Failure> classify(const R& value) {
        return detail::verdict(!value.has_value());
    }
    static type finish(R&& value, const std::optional<Failure>& failure,
                       const std::error_code& why) {
        return value.has_value() && !failure
                   ? type{*std::move(value)}
                   : type::failure(error_of<std::error_code>(failure, why));
    }
    static type without(const std::error_code& why, Duration = {}) { return type::failure(why); }
};

/// Returns codes as std::error_code, because the test of a Result of Boost codes would mean the
/// opposite.
template <class R>
struct CodeOutcome {
    using type = std::error_code;
    static std::optional<Failure> classify(const R& code) {
        if (!static_cast<bool>(code)) return std::nullopt;
        return failure_of(type{code});
    }
    // If a predicate classifies a failure as a success, the code is not an error. In addition, a
    // category of Boost's kind may define that a number other than 0 is no error, or that 0 is one.
    static type finish(const R& code, const std::optional<Failure>& failure,
                       const std::error_code& why) {
        const type error = static_cast<bool>(code) ? type{code} : type{};
        return failure && !error ? error_of<type>(failure, why) : error;
    }
    static type without(const std::error_code& why, Duration = {}) noexcept { return why; }
};

template <ExpectedLike R>
struct ExpectedOutcome {
    static_assert(
        ErrorFromCode<ErrorOf<R>>,
        "retry: the error type of fn's result must be constructible from std::error_code or "
        "belay::Failure. For another type specialize belay::AnswerTraits; see "
        "docs/reference/retry.md");
    using type = R;
    static std::optional<Failure> classify(const R& result) {
        if (result.has_value()) return std::nullopt;
        return detail::failure_without_value(result);
    }
    static type finish(R&& result, const std::optional<Failure>& failure,
                       const std::error_code& why) {
        if (!failure) return std::move(result);
        if constexpr (is_outcome<R>) {
            if (!result.has_value())
                return outcome_with_wait(std::move(result), failure->retry_after);
            return R::failure(*std::move(result), error_of<ErrorOf<R>>(failure, why),
                              failure->cause, failure->retry_after);
        } else {
            if (result.has_value()) return failed(error_of<ErrorOf<R>>(failure, why));
            if constexpr (std::same_as<ErrorOf<R>, Failure>) {
                const Duration wait = failure->retry_after;
                // A user's class may have more members than the value and the error.
                if (result.error().retry_after == wait) return std::move(result);
                if constexpr (std::same_as<decltype(result.error()), Failure&>) {
                    result.error().retry_after = wait;
                    return std::move(result);
                } else {
                    Failure error = result.error();
                    error.retry_after = wait;
                    return failed(std::move(error));
                }
            } else {
                return std::move(result);
            }
        }
    }
    static type without(const std::error_code& why, Duration wait = {}) {
        if constexpr (is_outcome<R>) {
            return R{make_error<ErrorOf<R>>(why, wait), Cause::none, wait};
        } else {
            return failed(make_error<ErrorOf<R>>(why, wait));
        }
    }

private:
    static type failed(ErrorOf<R>&& error) {
        // std::expected and similar types take errors wrapped, so that a value cannot be mistaken
        // for one.
        if constexpr (requires { typename R::unexpected_type; }) {
            return R(typename R::unexpected_type(std::move(error)));
        } else if constexpr (requires { R::failure(std::move(error)); }) {
            return R::failure(std::move(error));
        } else {
            return R(std::move(error));
        }
    }
};

/// Returns the failure that a value reports, also by the values in it; none if it reports none.
template <class R, Held held = Held::alone>
[[nodiscard]] std::optional<Failure> classify_value(const R& value);

// The failure of a value that reports one itself.
template <class R>
[[nodiscard]] std::optional<Failure> classify_itself(const R& value) {
    if constexpr (HasAnswerTraits<R>) {
        if constexpr (detail::explain_answer_traits<R>()) {
            return detail::verdict(AnswerTraits<R>::failed(value));
        } else {
            return std::nullopt;
        }
    } else if constexpr (std::same_as<R, bool>) {
        return detail::verdict(!value);
    } else if constexpr (CodeLike<R>) {
        return static_cast<bool>(value) ? std::optional{failure_of(value)} : std::nullopt;
    } else if constexpr (OkReturnsBool<R>) {
        return static_cast<bool>(value.ok()) ? std::nullopt : std::optional{failure_of(value)};
    } else {
        if (static_cast<bool>(value)) return std::nullopt;
        return failure_of(value.error());
    }
}

// The first failure of the values in a value.
template <class R, Held held>
[[nodiscard]] std::optional<Failure> classify_inside(const R& value) {
    std::optional<Failure> failure;
    if constexpr (PointsInside<R>) {
        if (value == nullptr) return failure;
        return detail::classify_value<std::remove_cv_t<typename R::element_type>, Held::as_data>(
            *value);
    } else if constexpr (ContainerLike<R>) {
        for (auto at = value.begin(); at != value.end() && !failure; ++at) {
            failure = detail::classify_value<ElementOf<R>, Held::as_data>(*at);
        }
    } else if constexpr (TupleLike<R>) {
        using std::get;
        [&]<std::size_t... I>(std::index_sequence<I...>) {
            static_cast<void>(
                ((failure =
                      detail::classify_value<std::remove_cvref_t<std::tuple_element_t<I, R>>, held>(
                          get<I>(value)))
                     .has_value() ||
                 ...));
        }(std::make_index_sequence<std::tuple_size<R>::value>{});
    } else {
        if (value.valueless_by_exception()) return detail::verdict(true);
        // Found by its argument.
        visit([&]<class E>(
                  const E& held_value) { failure = detail::classify_value<E, held>(held_value); },
              value);
    }
    return failure;
}

template <class R, Held held>
std::optional<Failure> classify_value(const R& value) {
    if constexpr (detail::answer_kind<R, held>() != AnswerKind::classified) {
        return std::nullopt;
    } else if constexpr (!HasAnswerTraits<R> && (OptionalLike<R> || ExpectedLike<R>)) {
        if (!value.has_value()) {
            if constexpr (OptionalLike<R>) return detail::verdict(held == Held::alone);
            if constexpr (ExpectedLike<R>) return detail::failure_without_value(value);
        }
        // A value that cannot be reached never reports a failure; see wrapped_kind.
        if constexpr (is_outcome<R> || !Unwrappable<R>) {
            return std::nullopt;
        } else {
            return detail::classify_value<std::remove_cvref_t<typename R::value_type>,
                                          Held::as_data>(*value);
        }
    } else if constexpr (HasAnswerTraits<R> || std::same_as<R, bool> || CodeLike<R> ||
                         OkReturnsBool<R> || HasErrorForm<R>) {
        return detail::classify_itself(value);
    } else {
        return detail::classify_inside<R, held>(value);
    }
}

/// A value that is classified, and returned as it was.
template <class R>
struct ClassifiedOutcome {
    static_assert(!std::is_reference_v<R>, "fails_if: fn must not return a reference");
    using type = belay::Outcome<R>;
    static std::optional<Failure> classify(const R& value) {
        return detail::classify_value<R>(value);
    }
    static type finish(R&& value, const std::optional<Failure>& failure,
                       const std::error_code& why) {
        return failure ? type::failure(std::move(value), error_of<std::error_code>(failure, why),
                                       failure->cause, failure->retry_after)
                       : type::success(std::move(value));
    }
    static type without(const std::error_code& why, Duration wait = {}) {
        return type{why, Cause::none, wait};
    }
};

// A function, because Clang 14 crashes at a lambda in decltype if this header is precompiled.
template <class R>
consteval auto error_type_of() {
    if constexpr (ExpectedLike<R>) {
        static_assert(ErrorFromCode<ErrorOf<R>>,
                      "fails_if: the error type of fn's result must be constructible from "
                      "std::error_code or belay::Failure. For another type, the predicate must "
                      "take the whole result; see docs/reference/retry.md");
        return std::type_identity<ErrorOf<R>>{};
    } else {
        return std::type_identity<std::error_code>{};
    }
}

/// The value in an R, classified by a predicate or by itself.
template <Unwrappable R>
struct UnwrappedOutcome {
    using Error = typename decltype(detail::error_type_of<R>())::type;
    using type = belay::Outcome<typename R::value_type, Error>;
    static std::optional<Failure> classify(const R& result) {
        return detail::classify_value<R>(result);
    }
    static type finish(R&& result, const std::optional<Failure>& failure,
                       const std::error_code& why) {
        if (!result.has_value()) return valueless(std::move(result), failure, why);
        return failure ? type::failure(*std::move(result), error_of<Error>(failure, why),
                                       failure->cause, failure->retry_after)
                       : type::success(*std::move(result), make_error<Error>({}));
    }
    static type without(const std::error_code& why, Duration wait = {}) {
        return type{make_error<Error>(why, wait), Cause::none, wait};
    }

private:
    static type valueless(R&& result, const std::optional<Failure>& failure,
                          const std::error_code& why) {
        if constexpr (!ExpectedLike<R>) {
            const Failure reason = failure.value_or(Failure{});
            return type{error_of<Error>(failure, why), reason.cause, reason.retry_after};
        } else {
            // If a predicate found no failure, the result still has no value.
            const Failure reason = failure ? *failure : detail::failure_without_value(result);
            const Cause cause = reason.cause;
            const Duration wait = reason.retry_after;
            Error error = result.error();
            if constexpr (std::constructible_from<bool, const Error&>) {
                // A Result would have to have an error.
                if (!static_cast<bool>(error)) error = error_of<Error>(std::nullopt, why);
            }
            detail::set_wait(error, wait);
            if constexpr (is_outcome<R>) {
                // It was classified before, and keeps the value by which it was classified.
                if (result.last()) {
                    return type::failure(std::move(*result.last()), std::move(error), cause, wait);
                }
            }
            return type{std::move(error), cause, wait};
        }
    }
};

// An optional or a result whose value may itself be a failure.
template <class R>
concept HoldsClassified =
    !is_outcome<R> && Unwrappable<R> && detail::wrapped_kind<R, 0>() == AnswerKind::classified;

template <class R>
consteval auto outcome_of_type() {
    if constexpr (HasAnswerTraits<R>) {
        static_cast<void>(detail::explain_answer_traits<R>());
        return std::type_identity<ClassifiedOutcome<R>>{};
    } else if constexpr (std::same_as<R, bool>) {
        return std::type_identity<BoolOutcome>{};
    } else if constexpr (std::same_as<R, VoidOutcome>) {
        return std::type_identity<NothingOutcome>{};
    } else if constexpr (HoldsClassified<R>) {
        return std::type_identity<UnwrappedOutcome<R>>{};
    } else if constexpr (ExpectedLike<R>) {
        return std::type_identity<ExpectedOutcome<R>>{};
    } else if constexpr (OptionalLike<R>) {
        return std::type_identity<OptionalOutcome<R>>{};
    } else if constexpr (CodeLike<R> && std::convertible_to<const R&, std::error_code>) {
        return std::type_identity<CodeOutcome<R>>{};
    } else if constexpr (detail::answer_kind<R>() == AnswerKind::classified) {
        return std::type_identity<ClassifiedOutcome<R>>{};
    } else {
        return std::type_identity<PlainOutcome<R>>{};
    }
}
/// How an R is interpreted if no predicate classifies it.
template <class R>
using RetryOutcome = typename decltype(detail::outcome_of_type<R>())::type;

// Whether an R has errors that cannot report why belay made no attempt, such as an enum.
template <class R>
inline constexpr bool has_foreign_error = false;
template <ExpectedLike R>
inline constexpr bool has_foreign_error<R> = !ErrorFromCode<ErrorOf<R>>;

// An R that a predicate classifies: the value in it, or all of it.
template <class R, bool by_value>
consteval auto outcome_of_predicate() {
    if constexpr (!by_value && has_foreign_error<R>) {
        return std::type_identity<ClassifiedOutcome<R>>{};
    } else if constexpr (by_value || (ExpectedLike<R> && Unwrappable<R>)) {
        return std::type_identity<UnwrappedOutcome<R>>{};
    } else if constexpr (ExpectedLike<R>) {
        return std::type_identity<ExpectedOutcome<R>>{};
    } else if constexpr (CodeLike<R> && std::convertible_to<const R&, std::error_code>) {
        return std::type_identity<CodeOutcome<R>>{};
    } else {
        return std::type_identity<ClassifiedOutcome<R>>{};
    }
}
template <class R, bool by_value>
using PredicateOutcome = typename decltype(detail::outcome_of_predicate<R, by_value>())::type;

}}}  // namespace belay::detail
