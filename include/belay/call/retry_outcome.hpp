// SPDX-License-Identifier: MIT
/// \file belay/call/retry_outcome.hpp
/// The return types that calls may have: what counts as a failure, and what the caller gets.
/// fails_if, fails_on, any_value: define which results and exceptions of a call are failures.
#pragma once

#include <concepts>          // std::same_as, std::constructible_from, std::invocable
#include <cstddef>           // std::size_t
#include <cstdint>           // std::uint8_t
#include <exception>         // std::exception_ptr
#include <initializer_list>  // std::initializer_list
#include <optional>          // std::optional
#include <string>            // std::string
#include <system_error>      // std::error_code
#include <type_traits>       // std::decay_t, std::is_base_of_v, std::is_constructible_v
#include <utility>           // std::tuple_size, std::index_sequence, std::move, std::forward

#include <belay/call/attempt.hpp>
#include <belay/call/outcome.hpp>
#include <belay/core/assert.hpp>
#include <belay/core/failure.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

// A public member of R: a function that is not overloaded, or can be called without arguments, or a
// field, also one to which no pointer exists. Not an enumerator, and not a type.
#define BELAY_DETAIL_NAMED(name)                                  \
    (                                                             \
        requires { &R::name; } || requires(R& r) { r.name(); } || \
        requires(R& r) { requires std::is_lvalue_reference_v<decltype((r.name))>; })

// Names that stand for a failure or a success, for members of all types. docs/reference/retry.md
// lists them, too, and tests/scripts/answer_table.py compares the lists.
template <class R>
concept NamesAFailure =
    BELAY_DETAIL_NAMED(ec) || BELAY_DETAIL_NAMED(err) || BELAY_DETAIL_NAMED(errc) ||
    BELAY_DETAIL_NAMED(error) || BELAY_DETAIL_NAMED(error_code) || BELAY_DETAIL_NAMED(errorCode) ||
    BELAY_DETAIL_NAMED(error_message) || BELAY_DETAIL_NAMED(errorMessage) ||
    BELAY_DETAIL_NAMED(has_error) || BELAY_DETAIL_NAMED(hasError) || BELAY_DETAIL_NAMED(is_error) ||
    BELAY_DETAIL_NAMED(isError) || BELAY_DETAIL_NAMED(is_err) || BELAY_DETAIL_NAMED(isErr) ||
    BELAY_DETAIL_NAMED(fail) || BELAY_DETAIL_NAMED(failed) || BELAY_DETAIL_NAMED(failure) ||
    BELAY_DETAIL_NAMED(has_failed) || BELAY_DETAIL_NAMED(hasFailed) ||
    BELAY_DETAIL_NAMED(is_failure) || BELAY_DETAIL_NAMED(isFailure) || BELAY_DETAIL_NAMED(ok) ||
    BELAY_DETAIL_NAMED(is_ok) || BELAY_DETAIL_NAMED(isOk) || BELAY_DETAIL_NAMED(isOK) ||
    BELAY_DETAIL_NAMED(success) || BELAY_DETAIL_NAMED(succeeded) ||
    BELAY_DETAIL_NAMED(successful) || BELAY_DETAIL_NAMED(is_success) ||
    BELAY_DETAIL_NAMED(isSuccess) || BELAY_DETAIL_NAMED(has_value) ||
    BELAY_DETAIL_NAMED(hasValue) || BELAY_DETAIL_NAMED(status_code) ||
    BELAY_DETAIL_NAMED(statusCode) || BELAY_DETAIL_NAMED(http_status) ||
    BELAY_DETAIL_NAMED(result_int) || BELAY_DETAIL_NAMED(return_code) ||
    BELAY_DETAIL_NAMED(returnCode) || BELAY_DETAIL_NAMED(exit_code) || BELAY_DETAIL_NAMED(exitCode);

#undef BELAY_DETAIL_NAMED

template <class M>
concept MayBeCode =
    std::is_integral_v<std::remove_cvref_t<M>> || std::is_enum_v<std::remove_cvref_t<M>> ||
    requires(const M& code) { code.category().message(code.value()); };

#define BELAY_DETAIL_NUMBERED(name)                                   \
    (                                                                 \
        requires(R& r) { requires MayBeCode<decltype((r.name))>; } || \
        requires(R& r) { requires MayBeCode<decltype(r.name())>; })

// Names that stand for one only if the member is an integer, an enum or an error code, because
// they are also names of texts.
template <class R>
concept NumbersAFailure = BELAY_DETAIL_NUMBERED(code) || BELAY_DETAIL_NUMBERED(rc) ||
                          BELAY_DETAIL_NUMBERED(result) || BELAY_DETAIL_NUMBERED(status);

#undef BELAY_DETAIL_NUMBERED

template <class R>
concept OptionalLike = !std::same_as<R, bool> && requires(const R& r) {
    typename R::value_type;
    { r.has_value() } -> std::same_as<bool>;
    *r;
} && !requires(const R& r) { r.error(); };

template <class R>
concept ExpectedLike = requires(R& r, const R& asked) {
    typename R::value_type;
    { asked.has_value() } -> std::same_as<bool>;
    asked.error();
};

template <class R>
using ErrorOf = std::remove_cvref_t<decltype(std::declval<const R&>().error())>;

template <class E>
concept ErrorFromCode =
    std::constructible_from<E, std::error_code> || std::constructible_from<E, Failure>;

// The form of Boost's error codes: true means an error. Other types also have value() and
// category(), with other meanings.
template <class R>
concept HasCode = requires(const R& r) { r.category().message(r.value()); };
template <class R>
concept CodeLike = !std::same_as<R, std::error_condition> && HasCode<R> &&
                   requires(const R& r) { static_cast<bool>(r); };

// The form of the status types of absl and gRPC.
template <class R>
concept HasOk = requires { requires std::is_member_function_pointer_v<decltype(&R::ok)>; } ||
                requires(R& r) { r.ok(); };
template <class R>
concept OkReturnsBool = requires(const R& r) {
    { r.ok() } -> std::same_as<bool>;
};

// The form of the results of cpp-httplib: true means a value.
template <class R>
concept HasErrorForm = std::is_class_v<R> && requires(const R& r) {
    static_cast<bool>(r);
    r.error();
};

template <class R>
concept SmartPointer = requires(const R& r) {
    r.get();
    r == nullptr;
};
template <class R>
concept TestsAsBool =
    std::is_constructible_v<bool, const R&> || std::is_constructible_v<bool, R&> ||
    std::is_constructible_v<bool, R> || requires(const R& r) {
        { !r } -> std::convertible_to<bool>;
    };
// A value of any type, such as a JSON value: its conversion to bool is one of many.
template <class R>
concept AnyTypedValue =
    std::convertible_to<const R&, bool> && std::convertible_to<const R&, double> &&
    std::is_constructible_v<std::string, const R&>;
// A type that reports a failure in a form that belay could only guess.
template <class R>
concept MayBeFailure = (std::is_class_v<R> || std::is_union_v<R>)&&(
    HasOk<R> || HasCode<R> || std::convertible_to<const R&, std::error_code>);

// The form of std::future: the call has only begun.
template <class R>
concept Future = requires(R& r) {
    r.valid();
    r.wait();
    r.get();
};

// A result that is classified already.
template <class R>
inline constexpr bool is_outcome = false;
template <class T, class E>
inline constexpr bool is_outcome<belay::Outcome<T, E>> = true;

// Has a value that can be classified by itself, and moved out.
template <class R>
concept Unwrappable =
    (OptionalLike<R> || ExpectedLike<R>)&&!std::is_void_v<typename R::value_type> &&
    requires(R&& r, const R& asked) {
        *asked;
        { *std::move(r) } -> std::convertible_to<typename R::value_type>;
    };

// The forms of types that contain others. Arrays behind a pointer have no length, and a type that
// is not complete cannot be looked into.
template <class R>
concept PointsInside = SmartPointer<R> && requires(const R& r) {
    typename R::element_type;
    sizeof(typename R::element_type);
    *r;
};
template <class R>
concept ContainerLike = requires(const R& r) {
    r.begin() != r.end();
    *r.begin();
} && !std::same_as<std::remove_cvref_t<decltype(*std::declval<const R&>().begin())>, R>;
template <class R>
using ElementOf = std::remove_cvref_t<decltype(*std::declval<const R&>().begin())>;
template <class R>
concept TupleLike = requires { std::tuple_size<R>::value; };
// It is detected by its form, because its header is slow to parse.
template <class R>
inline constexpr bool is_variant = false;
template <template <class...> class Variant, class... E>
    requires requires(const Variant<E...>& v) { v.valueless_by_exception(); }
inline constexpr bool is_variant<Variant<E...>> = true;

/// How belay finds out whether a value of a type is a failure. A type that contains others has the
/// last of their kinds.
enum class AnswerKind : std::uint8_t {
    plain,        // no value is one
    classified,   // belay sees which values are
    inside,       // it contains values that are, and it is not an optional or a result
    number,       // an integer or an enum
    named,        // a member has a usual name (usual_names.hpp)
    unsupported,  // it tests as bool, or has another form that could be one
};

// Inside an optional, a result, a container or a pointer, some values are data: numbers, pointers,
// optionals, and types that test as bool. The type around them reports the failure.
enum class Held : bool { alone, as_data };

template <class R, Held held, int depth>
consteval AnswerKind answer_kind();

[[nodiscard]] consteval AnswerKind last_of(std::initializer_list<AnswerKind> kinds) {
    AnswerKind last = AnswerKind::plain;
    for (const AnswerKind kind : kinds) last = kind > last ? kind : last;
    return last;
}

template <class R>
concept ErrorEnum = std::same_as<R, Cause> || std::is_error_code_enum<R>::value ||
                    std::is_error_condition_enum<R>::value;

// The kind of the value in an optional or a result.
template <class R, int depth>
consteval AnswerKind wrapped_kind() {
    using Value = std::remove_cvref_t<typename R::value_type>;
    constexpr AnswerKind inside = detail::answer_kind<Value, Held::as_data, depth + 1>();
    return inside == AnswerKind::classified && !Unwrappable<R> ? AnswerKind::unsupported : inside;
}

// The kind of a type that contains values of these types. Whether one of many failures is that of
// the call, only the user knows.
template <Held held, int depth, class... E>
consteval AnswerKind kind_around() {
    const AnswerKind last =
        last_of({detail::answer_kind<std::remove_cvref_t<E>, held, depth + 1>()...});
    return last == AnswerKind::classified ? AnswerKind::inside : last;
}
template <class R, Held held, int depth, template <class...> class Of, class... E>
consteval AnswerKind alternatives_kind(const Of<E...>*) {
    return detail::kind_around<held, depth, E...>();
}

// The kind of a class that is neither a result nor a code.
template <class R, Held held, int depth>
consteval AnswerKind class_kind() {
    constexpr bool tests = TestsAsBool<R> && !SmartPointer<R> && !AnyTypedValue<R>;
    if constexpr (MayBeFailure<R> || (tests && held == Held::alone)) {
        return AnswerKind::unsupported;
    } else if constexpr (NamesAFailure<R> || NumbersAFailure<R>) {
        return AnswerKind::named;
    } else if constexpr (PointsInside<R>) {
        return detail::kind_around<Held::as_data, depth, typename R::element_type>();
    } else if constexpr (ContainerLike<R>) {
        return detail::kind_around<Held::as_data, depth, ElementOf<R>>();
    } else if constexpr (TupleLike<R>) {
        return []<std::size_t... I>(std::index_sequence<I...>) {
            return detail::kind_around<held, depth, std::tuple_element_t<I, R>...>();
        }(std::make_index_sequence<std::tuple_size<R>::value>{});
    } else if constexpr (is_variant<R>) {
        return detail::alternatives_kind<R, held, depth>(static_cast<const R*>(nullptr));
    } else {
        return AnswerKind::plain;
    }
}

/// Returns the kind of an R. Pre: R has no reference and no const.
template <class R, Held held = Held::alone, int depth = 0>
consteval AnswerKind answer_kind() {
    constexpr int depth_max = 16;  // of types that contain each other
    if constexpr (depth > depth_max || std::is_void_v<R> || std::same_as<R, VoidOutcome>) {
        return AnswerKind::plain;
    } else if constexpr (HasAnswerTraits<R> || is_outcome<R>) {
        return AnswerKind::classified;
    } else if constexpr (ErrorEnum<R>) {
        return AnswerKind::number;
    } else if constexpr (std::is_scalar_v<R>) {
        if (held == Held::as_data) return AnswerKind::plain;
        if (std::same_as<R, bool>) return AnswerKind::classified;
        if (std::is_pointer_v<R>) return AnswerKind::unsupported;
        return std::is_integral_v<R> || std::is_enum_v<R> ? AnswerKind::number : AnswerKind::plain;
    } else if constexpr (std::derived_from<R, Failure> || std::same_as<R, std::exception_ptr> ||
                         std::same_as<R, std::error_condition>) {
        return AnswerKind::unsupported;
    } else if constexpr (ExpectedLike<R>) {
        return last_of({AnswerKind::classified, wrapped_kind<R, depth>()});
    } else if constexpr (OptionalLike<R>) {
        return last_of({held == Held::as_data ? AnswerKind::plain : AnswerKind::classified,
                        wrapped_kind<R, depth>()});
    } else if constexpr (CodeLike<R> || OkReturnsBool<R> || HasErrorForm<R>) {
        return AnswerKind::classified;
    } else {
        return detail::class_kind<R, held, depth>();
    }
}

/// Returns the kind of what a call returns. A reference and an awaitable cannot be stored.
template <class R>
consteval AnswerKind kind_of_result() {
    if constexpr (std::is_reference_v<R> || Awaitable<R>) {
        return AnswerKind::unsupported;
    } else {
        return detail::answer_kind<R>();
    }
}
template <class R>
concept Unsupported = detail::kind_of_result<R>() > AnswerKind::classified;

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
    const std::error_code none = why ? why : make_error_code(CallErrc::call_failed);
    if constexpr (std::constructible_from<E, std::error_code>) {
        const std::error_code error = failure ? failure->error() : std::error_code{};
        return E(error ? error : none);
    } else {
        return E(failure ? *failure : Failure::from(none));
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

/// A value that only reports whether the call worked: bool, or void.
template <class R>
struct NothingOutcome {
    using type = Result<void>;
    static std::optional<Failure> classify([[maybe_unused]] R worked) noexcept {
        if constexpr (std::same_as<R, bool>) return detail::verdict(!worked);
        return std::nullopt;
    }
    static type finish(R, const std::optional<Failure>& failure, const std::error_code& why) {
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

/// Returns the failure that a value reports, also by the value in it; none if it reports none.
template <class R, Held held = Held::alone>
[[nodiscard]] std::optional<Failure> classify_value(const R& value) {
    if constexpr (detail::answer_kind<R, held>() != AnswerKind::classified) {
        return std::nullopt;
    } else if constexpr (HasAnswerTraits<R>) {
        if constexpr (detail::explain_answer_traits<R>()) {
            return detail::verdict(AnswerTraits<R>::failed(value));
        }
        return std::nullopt;
    } else if constexpr (OptionalLike<R> || ExpectedLike<R>) {
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
    } else if constexpr (std::same_as<R, bool> || std::same_as<R, VoidOutcome>) {
        return std::type_identity<NothingOutcome<R>>{};
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

// A pointer to a member is applied to the object itself, because a pointer to an object may be
// null.
template <class Predicate, class Value>
concept AsksMember = requires(Predicate& predicate, const Value& value) { value.*predicate; } ||
                     requires(Predicate& predicate, const Value& value) { (value.*predicate)(); };
template <class Predicate, class Value>
concept Asks = AsksMember<Predicate, Value> ||
               (!std::is_member_pointer_v<Predicate> && std::invocable<Predicate&, const Value&>);
// The predicate takes the value in an R.
template <class Predicate, class R>
concept AsksValue =
    Unwrappable<R> && Asks<Predicate, std::remove_cvref_t<decltype(*std::declval<const R&>())>>;
template <class Predicate, class Value>
    requires Asks<Predicate, Value>
decltype(auto) ask(Predicate& predicate, const Value& value) {
    if constexpr (std::is_member_object_pointer_v<Predicate>) {
        return value.*predicate;
    } else if constexpr (std::is_member_function_pointer_v<Predicate>) {
        return (value.*predicate)();
    } else {
        return predicate(value);
    }
}

template <class F, class Predicate>
struct FailsIf : CallAdapter<F> {
    static constexpr bool classifies = true;
    static constexpr bool accepts_any = false;

    Predicate predicate;

    constexpr FailsIf(F f, Predicate p) : CallAdapter<F>{std::move(f)}, predicate{std::move(p)} {}

    /// Whether the predicate takes the value in a Result, and not the whole Result.
    template <class Result>
    static constexpr bool classifies_value =
        !Asks<Predicate, Result> && AsksValue<Predicate, Result>;

    // Not constrained: if a predicate did not fit, the type would be used instead, silently.
    template <class Result>
    std::optional<Failure> classify_result(const Result& result) {
        return classify_by(predicate, result);
    }
    template <class Result>
    std::optional<Failure> classify_result(const Result& result) const {
        static_assert(
            Asks<const Predicate, Result> == Asks<Predicate, Result> &&
                AsksValue<const Predicate, Result> == AsksValue<Predicate, Result>,
            "fails_if: the predicate must be callable as const, because fails_if is const here");
        return classify_by(predicate, result);
    }

private:
    template <class J, class Result>
    static std::optional<Failure> classify_by(J& predicate, const Result& result) {
        static_assert(!std::same_as<Result, VoidOutcome>,
                      "fails_if: fn must return a value, because the predicate takes it");
        static_assert(!ClassifiesResult<F, Result>,
                      "fails_if: fn already has a predicate of another fails_if; use one");
        if constexpr (Asks<J, Result>) {
            return to_failure(detail::ask(predicate, result), result);
        } else if constexpr (AsksValue<J, Result>) {
            if (!result.has_value()) return RetryOutcome<Result>::classify(result);
            return to_failure(detail::ask(predicate, *result), result);
        } else {
            static_assert(!sizeof(Result),
                          "fails_if: the predicate must take the result of fn, or the value in it, "
                          "by const reference");
        }
    }

    template <class Returned, class Result>
    static std::optional<Failure> to_failure(const Returned& returned,
                                             [[maybe_unused]] const Result& result) {
        static_assert(VerdictLike<Returned>,
                      "fails_if: the predicate must return bool, belay::Cause or belay::Failure");
        std::optional<Failure> failure = detail::verdict(returned);
        // A bool or a Cause has no wait, so the one that the result requests stays.
        if constexpr (!std::same_as<Returned, Failure>) {
            if (failure) failure->retry_after = requested_wait(result);
        }
        return failure;
    }
    template <class Result>
    static Duration requested_wait(const Result& result) {
        std::optional<Failure> own;
        if constexpr (ExpectedLike<Result>) {
            // Also of a type whose error cannot be made by retry.
            if (!result.has_value()) own = detail::failure_without_value(result);
        }
        // The predicate is enough for a type whose specialization could not be used.
        if constexpr (TraitsAreSound<Result>) {
            if (!own) own = detail::classify_value<Result>(result);
        }
        return own ? own->retry_after : Duration{};
    }
};

}  // namespace detail

/// Wraps `fn` so that `predicate`, and not the type of a result, decides whether it is a failure.
///
/// `true`, a Cause or a Failure is a failure; `false`, Cause::none and a Failure of none are
/// successes. A Failure has the requested wait. With the others, the wait is the one that the
/// result requests by itself, such as the Retry-After of an HttpResponse.
///
///     retry(policy, fails_if(fetch, [](const Response& r) { return r.status >= 500; }));
///
/// For a type that has a value or none (optional, Result), the predicate may take the value. If
/// there is none, the predicate is not called, and the call has failed. A generic lambda receives
/// the whole object. Any type except a reference is allowed. `predicate` may be a pointer to a
/// member.
///
/// You may pass the result of fails_if on by std::ref. It cannot be called, so that no lambda or
/// std::function hides the predicate.
///
/// The caller gets an Outcome, which has a value only after a success. Its last() is the last value
/// as it was, also after a failure. A std::error_code is returned as one.
///
/// If the predicate throws, the attempt is abandoned, and the exception leaves the caller.
/// Complexity: O(1).
template <class F, class Predicate>
[[nodiscard]] constexpr auto fails_if(F&& fn, Predicate predicate) {
    return detail::FailsIf<std::decay_t<F>, Predicate>{std::forward<F>(fn), std::move(predicate)};
}

namespace detail {

template <class F>
struct FailsIfLate : CallAdapter<F> {
    static constexpr bool classifies = true;
    static constexpr bool fails_late = true;
};

}  // namespace detail

/// Wraps `fn` so that a call that returns after the deadline of its Attempt has failed with
/// std::errc::timed_out.
///
/// Use it for a blocking call that cannot heed a deadline, inside a Timeout or with an
/// AttemptTimeout in the policy. It does not interrupt the call.
///
///     retry(policy, fails_if(fetch, Attempt::late));
///
/// A call that fails in time, or throws, fails as without it. For a predicate, write
/// fails_if(fails_if(fetch, predicate), Attempt::late).   Complexity: O(1).
template <class F>
[[nodiscard]] constexpr auto fails_if(F&& fn, Attempt::Late) {
    return detail::FailsIfLate<std::decay_t<F>>{{std::forward<F>(fn)}};
}

namespace detail {

template <class F>
struct AnyValue : CallAdapter<F> {
    static constexpr bool classifies = true;
    static constexpr bool accepts_any = true;
};

}  // namespace detail

/// Wraps `fn` so that every value it returns is a success. Only an exception is a failure.
///
/// Use it for a result whose type could report a failure, and never does. Examples are a count, an
/// enum without errors, and a record with a field `status`. The caller gets a Result of the value.
///
///     const Result<int> sum = retry(policy, any_value(count_documents));
///
/// It cannot be called, so that no lambda or std::function hides it.   Complexity: O(1).
template <class F>
[[nodiscard]] constexpr auto any_value(F&& fn) {
    return detail::AnyValue<std::decay_t<F>>{{std::forward<F>(fn)}};
}

/// Does not compile, because a predicate is missing.
template <class F>
F fails_if(F&& fn) {
    static_assert(!sizeof(std::decay_t<F>),
                  "fails_if: pass a predicate, too: fails_if(fn, [](const auto& result) { return "
                  "result.status >= 500; })");
    return fn;
}

#if defined(__cpp_exceptions)

namespace detail {

struct AnyOfType {
    template <class E>
    constexpr bool operator()(const E&) const noexcept {
        return true;
    }
};

template <class E, class F, class Predicate>
struct FailsOn : CallAdapter<F> {
    static_assert(!CallAdapter<F>::template hidden_behind<E>,
                  "fails_on: an inner fails_on takes these exceptions first; write the more "
                  "derived type outside");

    static constexpr bool classifies = true;
    template <class Outer>
    static constexpr bool hidden_behind = std::same_as<Outer, E> || std::is_base_of_v<Outer, E> ||
                                          CallAdapter<F>::template hidden_behind<Outer>;

    Predicate predicate;

    constexpr FailsOn(F f, Predicate p) : CallAdapter<F>{std::move(f)}, predicate{std::move(p)} {}

    // Pre: an exception is being handled.
    std::optional<Failure> classify_exception() { return classify_by(predicate, this->fn); }
    std::optional<Failure> classify_exception() const { return classify_by(predicate, this->fn); }

private:
    template <class J, class Inner>
    static std::optional<Failure> classify_by(J& predicate, Inner& inner) {
        static_assert(Asks<J, E>,
                      "fails_on: the predicate must take the exception, by const "
                      "reference");
        try {
            throw;
        } catch (const E& error) {
            using Returned = std::remove_cvref_t<decltype(detail::ask(predicate, error))>;
            static_assert(VerdictLike<Returned>,
                          "fails_on: the predicate must return bool, belay::Cause or "
                          "belay::Failure");
            return detail::verdict<Returned>(detail::ask(predicate, error));
        } catch (...) {
            if constexpr (ClassifiesExceptions<Inner>) {
                return detail::unwrap(inner).classify_exception();
            } else {
                return std::nullopt;
            }
        }
    }
};

}  // namespace detail

/// Wraps `fn` so that only exceptions of type E that `predicate` accepts are failures.
///
/// Any other exception leaves the caller at once, and the attempt is abandoned.
///
///     retry(policy, fails_on<NetworkError>(fetch));
///
/// To list several types, nest them: `fails_on<A>(fails_on<B>(fn))`. The outermost type that fits
/// decides. If a B is an A, the inner one would never be used, so it does not compile.
/// The predicate has the form of that of fails_if. fails_on does not exist without exceptions.
/// Complexity: O(1).
template <class E, class F, class Predicate = detail::AnyOfType>
[[nodiscard]] constexpr auto fails_on(F&& fn, Predicate predicate = {}) {
    return detail::FailsOn<E, std::decay_t<F>, Predicate>{std::forward<F>(fn),
                                                          std::move(predicate)};
}
/// Does not compile, because the type of the exceptions is missing.
template <class... Given, class F>
    requires(sizeof...(Given) == 0)
F fails_on(F&& fn) {
    static_assert(!sizeof(std::decay_t<F>),
                  "fails_on: write the type of the exceptions: fails_on<std::runtime_error>(fn)");
    return fn;
}

#endif

}}  // namespace belay
