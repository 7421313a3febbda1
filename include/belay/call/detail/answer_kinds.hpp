// SPDX-License-Identifier: MIT
/// \file belay/call/detail/answer_kinds.hpp
/// The kinds of types that calls return: those that tell a failure by themselves, those that must
/// be judged, and the others, which are values.
#pragma once

#include <concepts>      // std::same_as, std::constructible_from
#include <system_error>  // std::error_code
#include <type_traits>   // std::is_constructible_v

#include <belay/call/answer_traits.hpp>
#include <belay/call/attempt.hpp>
#include <belay/call/detail/awaitable.hpp>
#include <belay/core/failure.hpp>

namespace belay::inline BELAY_ABI::detail {

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

// As Boost's error codes: true means an error.
template <class R>
concept CodeLike = !std::same_as<R, std::error_condition> && requires(const R& r) {
    r.value();
    r.category();
    static_cast<bool>(r);
};

// As the statuses of absl and gRPC.
template <class R>
concept HasOk = requires { requires std::is_member_function_pointer_v<decltype(&R::ok)>; } ||
                requires(R& r) { r.ok(); };
template <class R>
concept SaysOk = requires(const R& r) {
    { r.ok() } -> std::same_as<bool>;
};

// As the results of cpp-httplib: true means a value.
template <class R>
concept SaysByError = std::is_class_v<R> && requires(const R& r) {
    static_cast<bool>(r);
    r.error();
};

template <class R>
concept JudgesItself = std::same_as<R, bool> || std::same_as<R, VoidOutcome> || OptionalLike<R> ||
                       ExpectedLike<R> || CodeLike<R> || SaysOk<R> || SaysByError<R>;

template <class R>
concept SmartPointer = requires(const R& r) {
    r.get();
    r == nullptr;
};
template <class R>
concept TestsAsBool = std::is_constructible_v<bool, const R&> ||
                      std::is_constructible_v<bool, R&> || std::is_constructible_v<bool, R>;
// A field that says it, or a function of a usual name.
template <class R>
concept SaysSomehow = requires(R& r) { r.has_value(); } || requires(R& r) { r.has_error(); } ||
                      requires(R& r) { r.is_ok(); } || requires(R& r) {
                          { r.ok } -> std::same_as<bool&>;
                      };
template <class R>
concept MayBeFailure =
    (std::is_class_v<R> || std::is_union_v<R>)&&((TestsAsBool<R> && !SmartPointer<R>) || HasOk<R> ||
                                                 SaysSomehow<R> || std::derived_from<R, Failure> ||
                                                 std::convertible_to<const R&, std::error_code>);

// What says "failed" in a way that could only be guessed at, or cannot be carried.
template <class R>
concept Unsupported =
    std::is_reference_v<R> || Awaitable<R> ||
    (!HasAnswerTraits<R> &&
     (std::is_pointer_v<R> || std::is_enum_v<R> || std::same_as<R, Failure> ||
      std::same_as<R, std::error_condition> || (!JudgesItself<R> && MayBeFailure<R>)));

}  // namespace belay::inline BELAY_ABI::detail
