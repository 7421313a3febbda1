// SPDX-License-Identifier: MIT
/// \file belay/core/result.hpp
/// Result: a value or the error that stood in its way; the small part of std::expected that belay
/// needs.
#pragma once

#include <concepts>      // std::convertible_to, std::constructible_from
#include <optional>      // std::optional
#include <system_error>  // std::error_code
#include <type_traits>   // std::is_nothrow_move_constructible_v
#include <utility>       // std::move, std::forward

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI {

/// A `T`, or an `E` that says why there is none. Members are named as in std::expected (C++23).
///
/// Never empty, and never throws: asking for what is not there is a broken precondition.
///
/// Thread safety: distinct objects safe.
template <class T, class E = std::error_code>
class [[nodiscard]] Result {
public:
    using value_type = T;
    using error_type = E;

    Result(T value) noexcept(std::is_nothrow_move_constructible_v<T>) : value_{std::move(value)} {}

    /// Pre: `error` is an error; a successful code is not one.
    template <class F>
        requires std::convertible_to<F, E> && (!std::convertible_to<F, T>)
    Result(F&& error) : error_{std::forward<F>(error)} {
        if constexpr (std::constructible_from<bool, const E&>) {
            BELAY_PRECONDITION(static_cast<bool>(error_), "Result::Result: the error must be one");
        }
    }

    /// A failure, also where `T` could be made from the error.   Pre: as above.
    [[nodiscard]] static Result failure(E error) { return Result{std::nullopt, std::move(error)}; }

    [[nodiscard]] bool has_value() const noexcept { return value_.has_value(); }
    [[nodiscard]] explicit operator bool() const noexcept { return has_value(); }

    /// Pre: has_value().
    [[nodiscard]] T& value() & noexcept { return checked(), *value_; }
    [[nodiscard]] const T& value() const& noexcept { return checked(), *value_; }
    [[nodiscard]] T&& value() && noexcept { return checked(), std::move(*value_); }
    [[nodiscard]] T& operator*() & noexcept { return value(); }
    [[nodiscard]] const T& operator*() const& noexcept { return value(); }
    [[nodiscard]] T&& operator*() && noexcept { return std::move(*this).value(); }
    [[nodiscard]] T* operator->() noexcept { return checked(), value_.operator->(); }
    [[nodiscard]] const T* operator->() const noexcept { return checked(), value_.operator->(); }

    template <class U>
    [[nodiscard]] T value_or(U&& other) const& {
        return has_value() ? *value_ : static_cast<T>(std::forward<U>(other));
    }
    template <class U>
    [[nodiscard]] T value_or(U&& other) && {
        return has_value() ? std::move(*value_) : static_cast<T>(std::forward<U>(other));
    }

    /// The error; a default E (no error) if there is a value.
    [[nodiscard]] const E& error() const noexcept { return error_; }

private:
    Result(std::nullopt_t, E&& error) : error_{std::move(error)} {
        if constexpr (std::constructible_from<bool, const E&>) {
            BELAY_PRECONDITION(static_cast<bool>(error_), "Result::failure: the error must be one");
        }
    }
    void checked() const noexcept {
        BELAY_PRECONDITION(has_value(), "Result::value: there must be a value, see error()");
    }

    std::optional<T> value_;
    [[no_unique_address]] E error_{};
};

/// Success, or the error.
template <class E>
class [[nodiscard]] Result<void, E> {
public:
    using value_type = void;
    using error_type = E;

    Result() noexcept = default;

    /// A successful code makes a successful result.
    template <class F>
        requires std::convertible_to<F, E>
    Result(F&& error) : error_{std::forward<F>(error)} {}

    [[nodiscard]] bool has_value() const noexcept { return !static_cast<bool>(error_); }
    [[nodiscard]] explicit operator bool() const noexcept { return has_value(); }

    /// Pre: has_value().
    void value() const noexcept {
        BELAY_PRECONDITION(has_value(), "Result::value: there must be no error, see error()");
    }
    [[nodiscard]] const E& error() const noexcept { return error_; }

private:
    E error_{};
};

}}  // namespace belay
