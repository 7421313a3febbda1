// SPDX-License-Identifier: MIT
/// \file belay/call/outcome.hpp
/// Outcome: a value that is a success, or the last value that was not, and the reason.
#pragma once

#include <concepts>  // std::same_as, std::convertible_to, std::copy_constructible
#include <optional>  // std::optional
#include <string>    // std::string
#include <utility>   // std::move, std::forward

#include <belay/core/assert.hpp>
#include <belay/core/failure.hpp>
#include <belay/core/result.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

/// Returns the failure that an error describes; an error that is not classified is `lost`.
template <class E>
[[nodiscard]] Failure failure_of(const E& error) {
    Failure failure{Cause::lost};
    if constexpr (std::convertible_to<const E&, Failure>) {
        failure = error;
    } else if constexpr (std::convertible_to<const E&, std::error_code>) {
        failure = Failure::from(error);
    } else if constexpr (requires {
                             { cause_of(error) } -> std::same_as<Cause>;
                         }) {
        failure.cause = cause_of(error);
    }
    if (failure.cause == Cause::none) failure.cause = Cause::lost;
    return failure;
}

}  // namespace detail

/// A `T` that is a success, or an `E` that explains why there is none, with the last T if one came.
///
/// Calls return it if fails_if, AnswerTraits or the type classifies their values.
///
///     const auto page = retry(policy, fails_if(fetch, is_server_error));
///     if (page) return page->body;
///     if (page.last()) log(page.last()->status, page.error());
///     if (page.cause() == Cause::overloaded) ask_again_later();
///
/// Its members are named as in Result. It converts to a Result, without last().
///
/// Thread safety: distinct objects safe.   Allocates: never by itself.
template <class T, class E = std::error_code>
class [[nodiscard]] Outcome {
public:
    using value_type = T;
    using error_type = E;

    /// Makes a success.
    static Outcome success(T value, E no_error = {}) {
        Outcome outcome{std::move(no_error), Cause::lost, Duration{}};
        outcome.last_.emplace(std::move(value));
        outcome.cause_ = Cause::none;
        return outcome;
    }
    /// Makes a failure whose last value is `last`. Its cause is that of the error, unless you give
    /// another. `wait` is the time after which to call again, if one was requested. If you do not
    /// give it, it is that of an error that is a Failure.
    static Outcome failure(T last, E error, Cause cause = Cause::none) {
        const Duration wait = detail::failure_of(error).retry_after;
        return failure(std::move(last), std::move(error), cause, wait);
    }
    static Outcome failure(T last, E error, Cause cause, Duration wait) {
        Outcome outcome{std::move(error), cause, wait};
        outcome.last_.emplace(std::move(last));
        return outcome;
    }
    /// Makes a failure without any value: there was no call, or the call gave none.
    explicit Outcome(E error, Cause cause = Cause::none)
        : Outcome{std::move(error), cause, Duration{}} {
        retry_after_ = detail::failure_of(error_).retry_after;
    }
    explicit Outcome(E error, Cause cause, Duration wait)
        : error_{std::move(error)},
          cause_{cause != Cause::none ? cause : detail::failure_of(error_).cause},
          retry_after_{wait} {}

    /// Returns whether the call worked.
    [[nodiscard]] bool has_value() const noexcept { return cause_ == Cause::none; }
    [[nodiscard]] explicit operator bool() const noexcept { return has_value(); }

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
        return has_value() ? *last_ : static_cast<T>(std::forward<U>(other));
    }
    template <class U>
    [[nodiscard]] T value_or(U&& other) && {
        return has_value() ? std::move(*last_) : static_cast<T>(std::forward<U>(other));
    }

    /// Returns why it failed; no error if it worked.
    [[nodiscard]] const E& error() const noexcept { return error_; }
    /// Returns the kind of failure, from a predicate or from the error; none if it worked.
    [[nodiscard]] Cause cause() const noexcept { return cause_; }
    /// Returns a text for people: the cause, and the text of the error, "refused: Connection
    /// refused". Without an error of its own, a failure has the reason why the attempts ended.
    /// Throws: std::bad_alloc.
    [[nodiscard]] std::string message() const {
        Failure failure = detail::failure_of(error_);
        failure.cause = cause_;
        return failure.message();
    }
    /// Returns the time after which to call again, from the end of the call on.
    ///
    /// It is the longest wait that is known. The peer requested it, or a limit of this program,
    /// such as an open breaker, has rejected the call or rejects the next one. It does not include
    /// the time for which the call has waited. It is 0ns if no wait was requested, or the call
    /// worked.
    [[nodiscard]] Duration retry_after() const noexcept { return retry_after_; }

    /// Returns what the last call returned, also if it is a failure; null if there was none.
    [[nodiscard]] T* last() & noexcept { return last_ ? last_.operator->() : nullptr; }
    [[nodiscard]] const T* last() const& noexcept { return last_ ? last_.operator->() : nullptr; }
    /// Deleted, because the pointer would dangle.
    const T* last() const&& = delete;

    /// Converts to a Result, without the last value of a failure. Does not exist if an error could
    /// be taken for a value.
    operator Result<T, E>() &&
        requires(!std::convertible_to<E, T>) {
            return has_value() ? Result<T, E>{std::move(*last_)}
                               : Result<T, E>::failure(std::move(error_));
        } operator Result<T, E>() const&
            requires(!std::convertible_to<E, T> && std::copy_constructible<T>)
    {
        return has_value() ? Result<T, E>{*last_} : Result<T, E>::failure(error_);
    }

private:
    void checked() const noexcept {
        BELAY_PRECONDITION(has_value(), "Outcome::value: the call must have succeeded; see last()");
    }

    std::optional<T> last_;
    [[no_unique_address]] E error_;
    Cause cause_;
    Duration retry_after_;
};

}}  // namespace belay
