// SPDX-License-Identifier: MIT
// Goal: each return type is read as documented, and others are rejected. Method: all types.
#include <belay/call/retry_outcome.hpp>

#include <memory>
#include <optional>
#include <string>

#include "support/catch.hpp"
#include "support/shorthand.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::timed_out;

namespace {

template <class R>
using Returns = typename detail::RetryOutcome<R>::type;

// An error type of the user, classified by an overload of cause_of in its namespace.
struct Error {
    int code = 0;
    explicit Error(std::error_code c) : code{c.value()} {}
    friend Cause cause_of(const Error& e) noexcept {
        return e.code == 503 ? Cause::overloaded : Cause::protocol;
    }
};

// In the form of std::expected: errors are wrapped, and a value may be constructed from any type.
template <class T, class E>
struct Expected {
    using value_type = T;
    using error_type = E;
    struct unexpected_type {
        E wrapped;
        explicit unexpected_type(E e) : wrapped{e} {}
    };
    std::optional<T> value_;
    std::optional<E> error_;
    template <class U>
        requires std::constructible_from<T, U>
    explicit Expected(U&& u) : value_{std::forward<U>(u)} {}
    explicit Expected(unexpected_type u) : error_{u.wrapped} {}
    bool has_value() const noexcept { return value_.has_value(); }
    const E& error() const noexcept { return *error_; }
};
struct TakesAnything {
    template <class T>
    explicit TakesAnything(T) {}
};

struct Awaitable {
    bool await_ready();
};

}  // namespace

static_assert(std::same_as<Returns<bool>, Result<void>>);
static_assert(std::same_as<Returns<std::optional<int>>, Result<int>>);
static_assert(std::same_as<Returns<std::error_code>, std::error_code>);
static_assert(std::same_as<Returns<Result<int>>, Result<int>>);
static_assert(std::same_as<Returns<Result<void>>, Result<void>>);
static_assert(std::same_as<Returns<Expected<int, Error>>, Expected<int, Error>>);
static_assert(std::same_as<Returns<int>, Result<int>>);
static_assert(std::same_as<Returns<std::string>, Result<std::string>>);
static_assert(std::same_as<Returns<std::unique_ptr<int>>, Result<std::unique_ptr<int>>>);
static_assert(std::same_as<Returns<detail::VoidOutcome>, Result<void>>);

static_assert(detail::Unsupported<int&> && detail::Unsupported<int*> && detail::Unsupported<Cause>);
static_assert(detail::Unsupported<Failure> && detail::Unsupported<std::errc>);
static_assert(detail::Unsupported<std::error_condition> && detail::Unsupported<Awaitable>);
static_assert(detail::Unsupported<int> && !detail::Unsupported<std::string>);

TEST_CASE("RetryOutcome distinguishes failures from successes", "[call][retry_outcome][unit]") {
    CHECK(detail::RetryOutcome<bool>::classify(false));
    CHECK_FALSE(detail::RetryOutcome<bool>::classify(true));
    CHECK(detail::RetryOutcome<std::optional<int>>::classify(std::nullopt));
    CHECK_FALSE(detail::RetryOutcome<std::optional<int>>::classify(0));
    CHECK(detail::RetryOutcome<std::error_code>::classify(timed_out));
    CHECK_FALSE(detail::RetryOutcome<std::error_code>::classify({}));
    CHECK(detail::RetryOutcome<Result<int>>::classify(Result<int>{timed_out}));
    CHECK_FALSE(detail::RetryOutcome<Result<int>>::classify(Result<int>{0}));
    CHECK_FALSE(detail::RetryOutcome<int>::classify(0));
}

TEST_CASE("RetryOutcome finds the cause of a failure", "[call][retry_outcome][unit]") {
    CHECK(detail::RetryOutcome<bool>::classify(false)->cause == Cause::lost);
    CHECK(detail::RetryOutcome<std::error_code>::classify(timed_out) == Failure::from(timed_out));
    CHECK(detail::RetryOutcome<Result<int>>::classify(timed_out)->cause == Cause::timed_out);
    CHECK(detail::failure_of(Error{std::error_code{503, std::generic_category()}}).cause ==
          Cause::overloaded);
    CHECK(detail::failure_of(std::string{"?"}).cause == Cause::lost);
    // A result may carry a whole Failure, with the wait that the server requested.
    CHECK(detail::failure_of(Failure{.cause = Cause::refused, .retry_after = 7s}).retry_after ==
          7s);
}

TEST_CASE("RetryOutcome uses the wait of an Outcome, which is by default that of its error",
          "[call][retry_outcome][unit]") {
    const auto wait_of = [](Duration outcome, Duration error) {
        return detail::failure_without_value(
                   Outcome<int, Failure>::failure(
                       5, Failure{.cause = Cause::overloaded, .retry_after = error}, Cause::none,
                       outcome))
            .retry_after;
    };
    CHECK(wait_of(0s, 60s) == 0s);
    CHECK(wait_of(20s, 0s) == 20s);
    CHECK(wait_of(20s, 60s) == 20s);
    using Whole = Outcome<int, Failure>;
    const Failure busy{.cause = Cause::overloaded, .retry_after = 60s};
    CHECK(detail::failure_without_value(Whole{busy}).retry_after == 60s);
    CHECK(detail::failure_without_value(Whole::failure(5, busy)).retry_after == 60s);
    CHECK(detail::failure_without_value(Whole::failure(5, busy, Cause::lost)).retry_after == 60s);
}

TEST_CASE("RetryOutcome makes a result when no attempt was made", "[call][retry_outcome][unit]") {
    const std::error_code stopped = CallErrc::stopped;
    CHECK(detail::RetryOutcome<bool>::without(CallErrc::stopped).error() == stopped);
    CHECK(detail::RetryOutcome<int>::without(CallErrc::stopped).error() == stopped);
    CHECK(detail::RetryOutcome<std::optional<int>>::without(CallErrc::stopped).error() == stopped);
    CHECK(detail::RetryOutcome<std::error_code>::without(CallErrc::stopped) == stopped);
    CHECK(detail::RetryOutcome<Result<int>>::without(CallErrc::stopped).error() == stopped);
    using WithFailure = Expected<int, Failure>;
    CHECK(detail::RetryOutcome<WithFailure>::without(CallErrc::stopped).error() ==
          Failure::from(stopped));
    // The error stays an error if the value's type could be constructed from it.
    using Greedy = Expected<TakesAnything, Error>;
    CHECK_FALSE(detail::RetryOutcome<Greedy>::without(CallErrc::stopped).has_value());
}
