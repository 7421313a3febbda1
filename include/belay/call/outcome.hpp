// SPDX-License-Identifier: MIT
/// \file belay/call/outcome.hpp
/// Outcome: a value that is a success, or the last value that was not, and the reason.
/// AnswerTraits: how a type of yours reports failures.
#pragma once

#include <concepts>     // std::same_as, std::convertible_to, std::copy_constructible
#include <optional>     // std::optional
#include <string>       // std::string
#include <type_traits>  // std::remove_cvref_t
#include <utility>      // std::forward, std::move

#include <belay/core/assert.hpp>
#include <belay/core/failure.hpp>
#include <belay/core/result.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

template <class A>
concept HasMemberAwait = requires(A&& a) { static_cast<A&&>(a).operator co_await(); };
template <class A>
concept HasFreeAwait = requires(A&& a) { operator co_await(static_cast<A&&>(a)); };
template <class A>
concept Awaitable = HasMemberAwait<A> || HasFreeAwait<A> || requires(A& a) { a.await_ready(); };

/// Returns the awaiter that co_await uses, except in promises with an await_transform.
template <Awaitable A>
decltype(auto) awaiter_of(A&& a) {
    if constexpr (HasMemberAwait<A>) {
        return std::forward<A>(a).operator co_await();
    } else if constexpr (HasFreeAwait<A>) {
        return operator co_await(std::forward<A>(a));
    } else {
        return std::forward<A>(a);
    }
}

/// The result type of co_await on an A.
template <Awaitable A>
using AwaitResult = decltype(detail::awaiter_of(std::declval<A>()).await_resume());

}  // namespace detail

/// Defines which values of a type are failures, for types that calls return.
///
/// Use it for types of other libraries that are neither bool, optional-like, expected-like nor an
/// error code, and have no ok().
///
///     template <>
///     struct belay::AnswerTraits<CURLcode> {
///         static bool failed(const CURLcode& code) { return code != CURLE_OK; }
///     };
///
/// `failed` may also return a Cause or a Failure; Cause::none and a Failure of none are successes.
/// A specialisation has priority over what belay infers from the type, and fails_if has priority
/// over the specialisation. You may also specialise it for a template. Callers get an Outcome<R>.
///
/// If a predicate of fails_if reports a failure by `true` or a Cause, `failed` is called, too, for
/// the wait that the result requests. If it throws, the exception leaves the caller.
///
/// Declare it before the first call with an R.   Thread safety: any thread may call `failed`.
template <class R>
struct AnswerTraits {
    /// Marks an R without a specialisation; a specialisation does not have it.
    using Unspecialized = void;
};

namespace detail {

template <class V>
concept VerdictLike = std::same_as<V, bool> || std::same_as<V, Cause> || std::same_as<V, Failure>;

/// Returns the failure that a user's predicate reported, or none.
template <VerdictLike V>
[[nodiscard]] std::optional<Failure> verdict(const V& returned) noexcept {
    if constexpr (std::same_as<V, bool>) {
        return returned ? std::optional{Failure{Cause::lost}} : std::nullopt;
    } else if constexpr (std::same_as<V, Cause>) {
        return returned != Cause::none ? std::optional{Failure{returned}} : std::nullopt;
    } else {
        return returned.cause != Cause::none ? std::optional{returned} : std::nullopt;
    }
}

// A specialisation exists, in any form.
template <class R>
concept HasAnswerTraits = !requires { typename AnswerTraits<R>::Unspecialized; };
template <class R>
concept TraitsAreSound = !HasAnswerTraits<R> || requires(const R& returned) {
    { AnswerTraits<R>::failed(returned) } -> VerdictLike;
};
template <class R>
consteval bool explain_answer_traits() {
    static_assert(TraitsAreSound<R>,
                  "AnswerTraits: the specialization needs 'static bool failed(const R&)', "
                  "which may return belay::Cause or belay::Failure instead");
    return TraitsAreSound<R>;
}

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
    /// The same with all parts given.
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
    /// Returns the value.   Pre: it worked.
    [[nodiscard]] const T& value() const& noexcept { return checked(), *last_; }
    /// The same for an rvalue.
    [[nodiscard]] T&& value() && noexcept { return checked(), std::move(*last_); }
    [[nodiscard]] T& operator*() & noexcept { return value(); }
    [[nodiscard]] const T& operator*() const& noexcept { return value(); }
    [[nodiscard]] T&& operator*() && noexcept { return std::move(*this).value(); }
    [[nodiscard]] T* operator->() noexcept { return checked(), last_.operator->(); }
    [[nodiscard]] const T* operator->() const noexcept { return checked(), last_.operator->(); }

    /// Returns the value, or `other` after a failure.
    template <class U>
    [[nodiscard]] T value_or(U&& other) const& {
        return has_value() ? *last_ : static_cast<T>(std::forward<U>(other));
    }
    /// The same for an rvalue.
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
    /// Returns the last result, a failed one too; null if there is none.
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
