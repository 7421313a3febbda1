// SPDX-License-Identifier: MIT
/// \file belay/call/retry_outcome.hpp
/// Which return types calls may have: what counts as a failure, and what the caller gets.
#pragma once

#include <concepts>      // std::same_as, std::constructible_from
#include <system_error>  // std::error_code
#include <type_traits>   // std::remove_cvref_t
#include <utility>       // std::move

#include <belay/call/attempt.hpp>
#include <belay/call/call_errc.hpp>
#include <belay/call/detail/awaitable.hpp>
#include <belay/core/failure.hpp>
#include <belay/core/result.hpp>

namespace belay::inline BELAY_ABI {

namespace detail {

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

// What says "failed" in a way that could only be guessed at, or cannot be carried.
template <class R>
concept Unsupported =
    std::is_reference_v<R> || std::is_pointer_v<R> || std::same_as<R, Cause> ||
    std::same_as<R, Failure> || std::same_as<R, std::error_condition> ||
    std::is_error_code_enum<R>::value || std::is_error_condition_enum<R>::value || Awaitable<R>;

template <class E>
[[nodiscard]] E make_error(const std::error_code& why) {
    if constexpr (std::constructible_from<E, std::error_code>) {
        return E(why);
    } else {
        return E(Failure::from(why));
    }
}

/// The failure that an error describes; a type nobody classifies is `lost`.
template <class E>
[[nodiscard]] Failure failure_of(const E& error) {
    if constexpr (std::convertible_to<const E&, Failure>) {
        return error;
    } else if constexpr (std::convertible_to<const E&, std::error_code>) {
        return Failure::from(error);
    } else if constexpr (requires {
                             { cause_of(error) } -> std::same_as<Cause>;
                         }) {
        return Failure{cause_of(error)};
    } else {
        return Failure{Cause::lost};
    }
}

/// How a return type of the user's callable is read. `type` is what the caller gets; `failed` says
/// whether the call failed, `failure` why; `finish` turns the last outcome into the result,
/// `without` makes one where no call was made.
template <class R>
struct RetryOutcome {
    using type = Result<R>;
    static bool failed(const R&) noexcept { return false; }
    static Failure failure(const R&) noexcept { return {}; }
    static type finish(R&& value, const std::error_code&) { return type{std::move(value)}; }
    static type without(const std::error_code& why) { return type{why}; }
};

template <>
struct RetryOutcome<bool> {
    using type = Result<void>;
    static bool failed(bool worked) noexcept { return !worked; }
    static Failure failure(bool) noexcept { return Failure{Cause::lost}; }
    static type finish(bool worked, const std::error_code& why) {
        return worked ? type{} : type{why};
    }
    static type without(const std::error_code& why) { return type{why}; }
};

template <>
struct RetryOutcome<std::error_code> {
    using type = std::error_code;
    static bool failed(const type& code) noexcept { return static_cast<bool>(code); }
    static Failure failure(const type& code) noexcept { return Failure::from(code); }
    static type finish(type code, const std::error_code&) noexcept { return code; }
    static type without(const std::error_code& why) noexcept { return why; }
};

template <OptionalLike R>
struct RetryOutcome<R> {
    using type = Result<typename R::value_type>;
    static bool failed(const R& value) { return !value.has_value(); }
    static Failure failure(const R&) noexcept { return Failure{Cause::lost}; }
    static type finish(R&& value, const std::error_code& why) {
        return value.has_value() ? type{*std::move(value)} : type{why};
    }
    static type without(const std::error_code& why) { return type{why}; }
};

template <ExpectedLike R>
struct RetryOutcome<R> {
    static_assert(ErrorFromCode<ErrorOf<R>>,
                  "retry: the error type of fn's result must be constructible from "
                  "std::error_code or belay::Failure, to report a stop before the first attempt");
    using type = R;
    static bool failed(const R& result) { return !result.has_value(); }
    static Failure failure(const R& result) { return failure_of(result.error()); }
    static type finish(R&& result, const std::error_code&) { return std::move(result); }
    static type without(const std::error_code& why) {
        // std::expected and its kin take errors wrapped, so that a value cannot be mistaken for
        // one.
        if constexpr (requires { typename R::unexpected_type; }) {
            return R(typename R::unexpected_type(make_error<ErrorOf<R>>(why)));
        } else {
            return R(make_error<ErrorOf<R>>(why));
        }
    }
};

template <>
struct RetryOutcome<VoidOutcome> {
    using type = Result<void>;
    static bool failed(VoidOutcome) noexcept { return false; }
    static Failure failure(VoidOutcome) noexcept { return {}; }
    static type finish(VoidOutcome, const std::error_code&) { return {}; }
    static type without(const std::error_code& why) { return type{why}; }
};

/// The same where a predicate judges: the last result comes back as it was, whatever it says.
template <class R>
struct JudgedOutcome {
    static_assert(!std::is_reference_v<R>, "fails_if: fn must not return a reference");
    using type = Result<R>;
    static type finish(R&& value, const std::error_code&) { return type{std::move(value)}; }
    static type without(const std::error_code& why) { return type{why}; }
};
template <class R>
    requires(ExpectedLike<R> || std::same_as<R, std::error_code>)
struct JudgedOutcome<R> : RetryOutcome<R> {};

template <class R, bool Judged>
struct SelectOutcome {
    using type = RetryOutcome<R>;
};
template <class R>
struct SelectOutcome<R, true> {
    using type = JudgedOutcome<R>;
};
template <class R, bool Judged>
using OutcomeFor = typename SelectOutcome<R, Judged>::type;

}  // namespace detail

}  // namespace belay::inline BELAY_ABI
