// SPDX-License-Identifier: MIT
/// \file belay/call/detail/answer_kinds.hpp
/// The kinds of types that calls return: types that report a failure themselves, types that need
/// AnswerTraits, and all others, which are values.
#pragma once

#include <concepts>          // std::same_as, std::constructible_from
#include <cstddef>           // std::size_t
#include <cstdint>           // std::uint8_t
#include <exception>         // std::exception_ptr
#include <initializer_list>  // std::initializer_list
#include <string>            // std::string
#include <system_error>      // std::error_code
#include <type_traits>       // std::is_constructible_v
#include <utility>           // std::tuple_size, std::index_sequence

#include <belay/call/answer_traits.hpp>
#include <belay/call/attempt.hpp>
#include <belay/call/detail/awaitable.hpp>
#include <belay/call/detail/usual_names.hpp>
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
inline constexpr AnswerKind scalar_kind =
    std::is_pointer_v<R>                         ? AnswerKind::unsupported
    : std::is_integral_v<R> || std::is_enum_v<R> ? AnswerKind::number
                                                 : AnswerKind::plain;
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

template <class R, Held held, int depth, template <class...> class Of, class... E>
consteval AnswerKind alternatives_kind(const Of<E...>*) {
    return last_of({detail::answer_kind<std::remove_cvref_t<E>, held, depth + 1>()...});
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
        using Element = std::remove_cv_t<typename R::element_type>;
        return detail::answer_kind<Element, Held::as_data, depth + 1>();
    } else if constexpr (ContainerLike<R>) {
        return detail::answer_kind<ElementOf<R>, Held::as_data, depth + 1>();
    } else if constexpr (TupleLike<R>) {
        return []<std::size_t... I>(std::index_sequence<I...>) {
            return last_of({detail::answer_kind<std::remove_cvref_t<std::tuple_element_t<I, R>>,
                                                held, depth + 1>()...});
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
        return std::same_as<R, bool> ? AnswerKind::classified : scalar_kind<R>;
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

}}}  // namespace belay::detail
