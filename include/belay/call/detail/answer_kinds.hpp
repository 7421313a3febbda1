// SPDX-License-Identifier: MIT
/// \file belay/call/detail/answer_kinds.hpp
/// The kinds of types that calls return: types that report a failure themselves, types that need
/// AnswerTraits, and all others, which are values.
#pragma once

#include <concepts>      // std::same_as, std::constructible_from
#include <cstddef>       // std::size_t
#include <exception>     // std::exception_ptr
#include <system_error>  // std::error_code
#include <type_traits>   // std::is_constructible_v
#include <utility>       // std::tuple_size, std::index_sequence

#include <belay/call/answer_traits.hpp>
#include <belay/call/attempt.hpp>
#include <belay/call/detail/awaitable.hpp>
#include <belay/call/outcome.hpp>
#include <belay/core/failure.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

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
concept SaysOk = requires(const R& r) {
    { r.ok() } -> std::same_as<bool>;
};

// The form of the results of cpp-httplib: true means a value.
template <class R>
concept SaysByError = std::is_class_v<R> && requires(const R& r) {
    static_cast<bool>(r);
    r.error();
};

template <class R>
concept SelfClassifying =
    std::same_as<R, bool> || std::same_as<R, VoidOutcome> || OptionalLike<R> || ExpectedLike<R> ||
    CodeLike<R> || SaysOk<R> || SaysByError<R>;

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
// A type with a field or a function of a common name that reports success or failure.
template <class R>
concept SaysSomehow = requires(R& r) { r.has_value(); } || requires(R& r) { r.has_error(); } ||
                      requires(R& r) { r.is_ok(); } || requires(R& r) {
                          { r.ok } -> std::same_as<bool&>;
                      };
template <class R>
concept MayBeFailure = (std::is_class_v<R> || std::is_union_v<R>)&&(
    (TestsAsBool<R> && !SmartPointer<R>) || HasOk<R> || SaysSomehow<R> || HasCode<R> ||
    std::derived_from<R, Failure> || std::convertible_to<const R&, std::error_code>);

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

template <class E>
consteval bool says_failed();

// The alternatives of a variant. It is detected by its form, because its header is slow to parse.
template <class R>
inline constexpr bool alternatives_say_failed = false;
template <template <class...> class Variant, class... E>
    requires requires(const Variant<E...>& v) { v.valueless_by_exception(); }
inline constexpr bool alternatives_say_failed<Variant<E...>> = (detail::says_failed<E>() || ...);

/// Returns whether an R contains something that reports a failure without reporting it itself: a
/// tuple, a pair, an array, a variant, or an optional or result of such types.
template <class R>
consteval bool holds_failed() {
    if constexpr (HasAnswerTraits<R> || is_outcome<R>) {
        return false;
    } else if constexpr (requires { std::tuple_size<R>::value; }) {
        return []<std::size_t... I>(std::index_sequence<I...>) {
            return (detail::says_failed<std::tuple_element_t<I, R>>() || ...);
        }(std::make_index_sequence<std::tuple_size<R>::value>{});
    } else if constexpr (OptionalLike<R> || ExpectedLike<R>) {
        return detail::says_failed<typename R::value_type>();
    } else {
        return alternatives_say_failed<R>;
    }
}

/// Returns whether an E reports a failure by its type, or contains something that does. Excludes
/// bool, optional and pointers, which are data when they are part of another type.
template <class E>
consteval bool says_failed() {
    if constexpr (std::is_void_v<E>) {
        return false;
    } else if constexpr (!std::same_as<E, std::remove_cvref_t<E>>) {
        return detail::says_failed<std::remove_cvref_t<E>>();
    } else {
        return HasAnswerTraits<E> || HasCode<E> || SaysOk<E> || SaysByError<E> || ExpectedLike<E> ||
               std::same_as<E, Cause> || std::is_error_code_enum<E>::value ||
               std::is_error_condition_enum<E>::value || std::derived_from<E, Failure> ||
               std::same_as<E, std::exception_ptr> ||
               std::convertible_to<const E&, std::error_code> || detail::holds_failed<E>();
    }
}

// A type that may report a failure in a form that belay could only guess, or a type that belay
// cannot store.
template <class R>
concept Unsupported = std::is_reference_v<R> || Awaitable<R> ||
                      (!HasAnswerTraits<R> &&
                       (std::is_pointer_v<R> || std::is_enum_v<R> || std::same_as<R, Failure> ||
                        std::same_as<R, std::error_condition> ||
                        (!SelfClassifying<R> && MayBeFailure<R>) || detail::holds_failed<R>()));

}}}  // namespace belay::detail
