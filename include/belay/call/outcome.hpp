// SPDX-License-Identifier: MIT
/// \file belay/call/outcome.hpp
/// Outcome: a value that was judged a success, or the last one that was not, and why.
#pragma once

#include <concepts>  // std::convertible_to, std::copy_constructible
#include <optional>  // std::optional
#include <utility>   // std::move, std::forward

#include <belay/core/assert.hpp>
#include <belay/core/result.hpp>

namespace belay::inline BELAY_ABI {

/// A `T` that is a success, or an `E` that says why there is none, and then the last T that came,
/// if one did: what calls give whose values are judged, by fails_if, AnswerTraits or the type.
///
///     const auto page = retry(policy, fails_if(fetch, is_server_error));
///     if (page) return page->body;
///     if (page.last()) log(page.last()->status, page.error());
///
/// Members are named as in Result, and it becomes one where one is asked for, without last().
///
/// Thread safety: distinct objects safe.   Allocates: never by itself.
template <class T, class E = std::error_code>
class [[nodiscard]] Outcome {
public:
    using value_type = T;
    using error_type = E;

    /// A success.
    static Outcome success(T value, E no_error = {}) {
        return Outcome{std::optional<T>{std::move(value)}, std::move(no_error), true};
    }
    /// A failure whose last value is `last`.
    static Outcome failure(T last, E error) {
        return Outcome{std::optional<T>{std::move(last)}, std::move(error), false};
    }
    /// A failure without any value: nobody was called.
    explicit Outcome(E error) : error_{std::move(error)} {}

    /// Whether it worked.
    [[nodiscard]] bool has_value() const noexcept { return worked_; }
    [[nodiscard]] explicit operator bool() const noexcept { return worked_; }

    /// Pre: has_value().
    [[nodiscard]] T& value() & noexcept { return checked(), *last_; }
    [[nodiscard]] const T& value() const& noexcept { return checked(), *last_; }
    [[nodiscard]] T&& value() && noexcept { return checked(), std::move(*last_); }
    [[nodiscard]] T& operator*() & noexcept { return value(); }
    [[nodiscard]] const T& operator*() const& noexcept { return value(); }
    [[nodiscard]] T&& operator*() && noexcept { return std::move(*this).value(); }
    [[nodiscard]] T* operator->() noexcept { return checked(), last_.operator->(); }
    [[nodiscard]] const T* operator->() const noexcept { return checked(), last_.operator->(); }

    template <class U>
    [[nodiscard]] T value_or(U&& other) const& {
        return worked_ ? *last_ : static_cast<T>(std::forward<U>(other));
    }
    template <class U>
    [[nodiscard]] T value_or(U&& other) && {
        return worked_ ? std::move(*last_) : static_cast<T>(std::forward<U>(other));
    }

    /// Why it failed; no error if it worked.
    [[nodiscard]] const E& error() const noexcept { return error_; }

    /// What the last call returned, also if it is a failure; null if there was none.
    [[nodiscard]] T* last() & noexcept { return last_ ? last_.operator->() : nullptr; }
    [[nodiscard]] const T* last() const& noexcept { return last_ ? last_.operator->() : nullptr; }
    /// It would dangle.
    const T* last() const&& = delete;

    /// The same without the last value of a failure. Not where an error could be taken for a value.
    operator Result<T, E>() &&
        requires(!std::convertible_to<E, T>) {
            return worked_ ? Result<T, E>{std::move(*last_)}
                           : Result<T, E>::failure(std::move(error_));
        } operator Result<T, E>() const&
            requires(!std::convertible_to<E, T> && std::copy_constructible<T>)
    {
        return worked_ ? Result<T, E>{*last_} : Result<T, E>::failure(error_);
    }

private:
    Outcome(std::optional<T> last, E error, bool worked)
        : last_{std::move(last)}, error_{std::move(error)}, worked_{worked} {}

    void checked() const noexcept {
        BELAY_PRECONDITION(has_value(), "Outcome::value: there must be a success, see last()");
    }

    std::optional<T> last_;
    [[no_unique_address]] E error_;
    bool worked_ = false;
};

}  // namespace belay::inline BELAY_ABI
