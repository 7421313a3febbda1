// SPDX-License-Identifier: MIT
/// \file belay/policy/retry_outcome.hpp
/// Which return types `retry` understands: what counts as a failure, and what the caller gets.
#pragma once

#include <concepts>      // std::same_as, std::constructible_from
#include <system_error>  // std::error_code
#include <type_traits>   // std::remove_cvref_t
#include <utility>       // std::move

#include <belay/core/failure.hpp>
#include <belay/core/result.hpp>
#include <belay/policy/policy_errc.hpp>

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

// What says "failed" in a way that retry could only guess at, or cannot carry.
template <class R>
concept Unsupported = std::is_reference_v<R> || std::is_pointer_v<R> || std::same_as<R, Cause> ||
                      std::same_as<R, Failure> || std::same_as<R, std::error_condition> ||
                      std::is_error_code_enum<R>::value || std::is_error_condition_enum<R>::value ||
                      requires(R& r) { r.await_ready(); } ||
                      requires(R&& r) { static_cast<R&&>(r).operator co_await(); };

template <class E>
[[nodiscard]] E make_error(PolicyErrc errc) {
    if constexpr (std::constructible_from<E, std::error_code>) {
        return E(make_error_code(errc));
    } else {
        return E(Failure::from(make_error_code(errc)));
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

/// How a return type of the user's callable is read. `type` is what retry returns; `failed` says
/// whether to try again, `failure` why; `finish` turns the last outcome into the result, `without`
/// makes one where no attempt was made.
template <class R>
struct RetryOutcome {
    static_assert(!Unsupported<R>,
                  "retry: fn must return bool, optional, error_code, an expected-like type, a "
                  "plain value or void; see docs/policy.md");
    using type = Result<R>;
    static bool failed(const R&) noexcept { return false; }
    static Failure failure(const R&) noexcept { return {}; }
    static type finish(R&& value, PolicyErrc) { return type{std::move(value)}; }
    static type without(PolicyErrc errc) { return type{make_error_code(errc)}; }
};

template <>
struct RetryOutcome<bool> {
    using type = Result<void>;
    static bool failed(bool worked) noexcept { return !worked; }
    static Failure failure(bool) noexcept { return Failure{Cause::lost}; }
    static type finish(bool worked, PolicyErrc errc) {
        return worked ? type{} : type{make_error_code(errc)};
    }
    static type without(PolicyErrc errc) { return type{make_error_code(errc)}; }
};

template <>
struct RetryOutcome<std::error_code> {
    using type = std::error_code;
    static bool failed(const type& code) noexcept { return static_cast<bool>(code); }
    static Failure failure(const type& code) noexcept { return Failure::from(code); }
    static type finish(type code, PolicyErrc) noexcept { return code; }
    static type without(PolicyErrc errc) noexcept { return make_error_code(errc); }
};

template <OptionalLike R>
struct RetryOutcome<R> {
    using type = Result<typename R::value_type>;
    static bool failed(const R& value) { return !value.has_value(); }
    static Failure failure(const R&) noexcept { return Failure{Cause::lost}; }
    static type finish(R&& value, PolicyErrc errc) {
        return value.has_value() ? type{*std::move(value)} : type{make_error_code(errc)};
    }
    static type without(PolicyErrc errc) { return type{make_error_code(errc)}; }
};

template <ExpectedLike R>
struct RetryOutcome<R> {
    static_assert(ErrorFromCode<ErrorOf<R>>,
                  "retry: the error type of fn's result must be constructible from "
                  "std::error_code or belay::Failure, to report a stop before the first attempt");
    using type = R;
    static bool failed(const R& result) { return !result.has_value(); }
    static Failure failure(const R& result) { return failure_of(result.error()); }
    static type finish(R&& result, PolicyErrc) { return std::move(result); }
    static type without(PolicyErrc errc) {
        // std::expected and its kin take errors wrapped, so that a value cannot be mistaken for
        // one.
        if constexpr (requires { typename R::unexpected_type; }) {
            return R(typename R::unexpected_type(make_error<ErrorOf<R>>(errc)));
        } else {
            return R(make_error<ErrorOf<R>>(errc));
        }
    }
};

struct VoidOutcome {};
template <>
struct RetryOutcome<VoidOutcome> {
    using type = Result<void>;
    static bool failed(VoidOutcome) noexcept { return false; }
    static Failure failure(VoidOutcome) noexcept { return {}; }
    static type finish(VoidOutcome, PolicyErrc) { return {}; }
    static type without(PolicyErrc errc) { return type{make_error_code(errc)}; }
};

}  // namespace detail

}  // namespace belay::inline BELAY_ABI
