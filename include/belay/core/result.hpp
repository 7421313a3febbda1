// SPDX-License-Identifier: MIT
/// \file belay/core/result.hpp
/// Result: a value, or the error that explains why there is none.
///
/// It is the small part of std::expected that belay needs.
#pragma once

#include <concepts>      // std::convertible_to, std::constructible_from, std::same_as
#include <optional>      // std::optional
#include <string>        // std::string
#include <system_error>  // std::error_code
#include <type_traits>   // std::is_nothrow_move_constructible_v
#include <utility>       // std::move, std::forward

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

/// A Result, or a std::expected, recognised by its shape.
template <class T>
concept IsResult = requires(T& result) {
    typename T::value_type;
    typename T::error_type;
    result.error();
    result.value();
};

template <class T>
concept OptionalValue = requires {
    typename T::value_type;
    requires std::same_as<T, std::optional<typename T::value_type>>;
};

/// Ends the program with a precondition's sentence and the text of the error, if it has one.
template <class E>
[[noreturn]] void no_value(std::string what, const E& error, const char* condition) noexcept {
    if constexpr (requires {
                      { error.message() } -> std::convertible_to<std::string>;
                  }) {
        what += "; error(): " + error.message();
    } else {
        what += "; see error()";
    }
    assertion_failed("precondition", what.c_str(), condition, __FILE__, __LINE__);
}

}  // namespace detail

/// A value, or an error that explains why there is none.
///
/// Its members are named as in std::expected (C++23). A Result is never empty, and never throws:
/// access to what is not there violates a precondition.
///
/// Thread safety: distinct objects safe.
template <class T, class E = std::error_code>
class [[nodiscard]] Result {
public:
    using value_type = T;
    using error_type = E;

    Result(T value) noexcept(std::is_nothrow_move_constructible_v<T>)
        : value_{std::in_place, std::move(value)} {}

    /// Makes a result whose value is an empty optional: there is no error, and nothing there.
    template <class None>
        requires std::same_as<None, std::nullopt_t> && detail::OptionalValue<T> &&
                 (!std::convertible_to<None, E>)
    Result(None none) noexcept : value_{std::in_place, none} {}

    /// Pre: `error` is an error; a code for success is not.
    template <class F>
        requires std::convertible_to<F, E> && (!std::convertible_to<F, T>)
    Result(F&& error) : error_{std::forward<F>(error)} {
        if constexpr (std::constructible_from<bool, const E&>) {
            BELAY_PRECONDITION(static_cast<bool>(error_),
                               "Result::Result: the error must not be 0");
        }
    }

    /// Makes a failure, also if `T` could be made from the error.   Pre: as above.
    [[nodiscard]] static Result failure(E error) { return Result{std::nullopt, std::move(error)}; }

    /// Returns whether it holds a value.
    [[nodiscard]] bool has_value() const noexcept { return value_.has_value(); }
    [[nodiscard]] explicit operator bool() const noexcept { return has_value(); }

    /// Pre: has_value().
    [[nodiscard]] T& value() & noexcept { return checked(), *value_; }
    /// Returns the value.   Pre: has_value().
    [[nodiscard]] const T& value() const& noexcept { return checked(), *value_; }
    /// The same for an rvalue.
    [[nodiscard]] T&& value() && noexcept { return checked(), std::move(*value_); }
    [[nodiscard]] T& operator*() & noexcept { return value(); }
    [[nodiscard]] const T& operator*() const& noexcept { return value(); }
    [[nodiscard]] T&& operator*() && noexcept { return std::move(*this).value(); }
    [[nodiscard]] T* operator->() noexcept { return checked(), value_.operator->(); }
    [[nodiscard]] const T* operator->() const noexcept { return checked(), value_.operator->(); }

    /// Returns the value, or `other` if it holds an error.
    template <class U>
    [[nodiscard]] T value_or(U&& other) const& {
        return has_value() ? *value_ : static_cast<T>(std::forward<U>(other));
    }
    /// The same for an rvalue.
    template <class U>
    [[nodiscard]] T value_or(U&& other) && {
        return has_value() ? std::move(*value_) : static_cast<T>(std::forward<U>(other));
    }

    /// Returns the error; a default E (no error) if there is a value.
    [[nodiscard]] const E& error() const noexcept { return error_; }

private:
    Result(std::nullopt_t, E&& error) : error_{std::move(error)} {
        if constexpr (std::constructible_from<bool, const E&>) {
            BELAY_PRECONDITION(static_cast<bool>(error_),
                               "Result::failure: the error must not be 0");
        }
    }
    void checked() const noexcept {
        if constexpr (BELAY_ASSERTIONS != 0) {
            if (has_value()) return;
            detail::no_value("Result::value: the result must have a value", error_, "has_value()");
        }
    }

    std::optional<T> value_;
    [[no_unique_address]] E error_{};
};

/// Success, or an error.
template <class E>
class [[nodiscard]] Result<void, E> {
public:
    using value_type = void;
    using error_type = E;

    Result() noexcept = default;

    /// Makes a successful result from a code for success, else a failure.
    template <class F>
        requires std::convertible_to<F, E>
    Result(F&& error) : error_{std::forward<F>(error)} {}

    /// Returns whether it holds a value.
    [[nodiscard]] bool has_value() const noexcept { return !static_cast<bool>(error_); }
    [[nodiscard]] explicit operator bool() const noexcept { return has_value(); }

    /// Pre: has_value().
    void value() const noexcept {
        if constexpr (BELAY_ASSERTIONS != 0) {
            if (has_value()) return;
            detail::no_value("Result::value: the result must not have an error", error_,
                             "has_value()");
        }
    }
    /// Returns the error.   Pre: there is no value.
    [[nodiscard]] const E& error() const noexcept { return error_; }

private:
    E error_{};
};

}}  // namespace belay
