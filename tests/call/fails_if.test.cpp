// SPDX-License-Identifier: MIT
// Goal: predicates and exception types decide which results are failures. A value exists after a
// success only, and the last one is available. The policy gets a verdict after any exception.
// Method: retry and Pipeline, blocking and in coroutines.
#include <belay/call/retry_outcome.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/call/retry.hpp>
#include <belay/policy/rules.hpp>

#include "support/archetypes.hpp"
#include "support/call/retry_forms.hpp"
#include "support/call/retry_rules.hpp"
#include "support/catch.hpp"
#include "support/shorthand.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::AsyncSleeper;
using belay_test::MinimalSleeper;
using belay_test::steady;
using belay_test::timed_out;

namespace {

struct Response {
    int status;
    Duration retry_after{};
};

// A rule that records the calls of its hooks.
struct CountsFailures {
    struct Observed {
        int begun = 0, failed = 0, succeeded = 0, abandoned = 0;
        std::vector<Failure> failures{};
        friend bool operator==(const Observed&, const Observed&) = default;
    };
    Observed* observed;
    void begin(Turn&) noexcept { ++observed->begun; }
    Advice failed(const Failure& failure, Turn&) noexcept {
        ++observed->failed;
        observed->failures.push_back(failure);
        return Advice::go();
    }
    void succeeded(Turn&) noexcept { ++observed->succeeded; }
    void abandoned(Turn&) noexcept { ++observed->abandoned; }
};

// In the form of std::expected with an enum as its error.
enum class UsersError { none, no_entry };
template <class T>
struct UsersExpected {
    using value_type = T;
    using error_type = UsersError;
    std::optional<T> value{};
    UsersError why{};
    [[nodiscard]] bool has_value() const noexcept { return value.has_value(); }
    [[nodiscard]] explicit operator bool() const noexcept { return has_value(); }
    [[nodiscard]] const T& operator*() const noexcept { return *value; }
    [[nodiscard]] const UsersError& error() const noexcept { return why; }
};

struct NetworkError : std::runtime_error {
    using std::runtime_error::runtime_error;
};
struct Refused : NetworkError {
    using NetworkError::NetworkError;
};

struct Rig {
    Random bits{Seed{1}};
    MinimalSleeper sleeper{bits};
    CountsFailures::Observed observed{};
    auto policy(std::uint64_t most = 3) {
        return Policy{MaxAttempts{most}, CountsFailures{&observed}};
    }
};

// An error that is constructed from a Failure, and that may mean that there is no error.
struct LookupError {
    Cause cause = Cause::none;
    LookupError() = default;
    explicit LookupError(const Failure& failure) : cause{failure.cause} {}
    explicit operator bool() const noexcept { return cause != Cause::none; }
    friend Cause cause_of(const LookupError& status) noexcept { return status.cause; }
};
// A result that may have neither a value nor an error.
struct Lookup {
    using value_type = int;
    using error_type = LookupError;
    std::optional<int> found{};
    bool has_value() const noexcept { return found.has_value(); }
    explicit operator bool() const noexcept { return has_value(); }
    int& operator*() noexcept { return *found; }
    const int& operator*() const noexcept { return *found; }
    LookupError error() const noexcept { return {}; }
};

}  // namespace

template <>
struct belay::AnswerTraits<UsersExpected<long>> {
    static Cause failed(const UsersExpected<long>& answer) {
        return answer.has_value() ? Cause::none : Cause::timed_out;
    }
};

TEST_CASE("A result without a value that counts as a success has an error",
          "[call][fails_if][regression]") {
    BELAY_TEST_EACH_RETRY_FORM;
    AsyncSleeper sleeper;
    const auto result = form.run(
        steady(1s, 3), sleeper, [] { return Lookup{}; },
        [](auto fn) { return fails_if(fn, [](const Lookup&) { return false; }); });
    CHECK(!result.has_value());
    CHECK(result.error());
}

TEST_CASE("fails_if retries results that its predicate reports as failures",
          "[call][fails_if][unit]") {
    BELAY_TEST_EACH_RETRY_FORM;
    Rig rig;
    AsyncSleeper sleeper;
    int calls = 0;
    const auto fetch = [&] { return Response{++calls < 3 ? 503 : 200}; };
    const auto result = form.run(rig.policy(), sleeper, fetch, [](auto fn) {
        return fails_if(fn, [](const Response& r) { return r.status >= 500; });
    });
    CHECK(result.value().status == 200);
    CHECK(rig.observed.begun == 3);
    CHECK(rig.observed.failures == std::vector<Failure>(2, Failure{Cause::lost}));
    CHECK(rig.observed.succeeded == 1);
}

TEST_CASE("After the last failure there is no value, and the last one is available",
          "[call][fails_if][unit]") {
    BELAY_TEST_EACH_RETRY_FORM;
    AsyncSleeper sleeper;
    int calls = 0;
    const auto classified = [](auto classify) {
        return [classify](auto fn) { return fails_if(fn, classify); };
    };
    const auto fetch = [&] { return Response{++calls + 500}; };
    const auto result = form.run(steady(1s, 3), sleeper, fetch,
                                 classified([](const Response& r) { return r.status >= 500; }));
    CHECK_FALSE(result.has_value());
    CHECK_FALSE(result);
    CHECK(result.error() == CallErrc::gave_up);
    CHECK(result.last()->status == 503);
    CHECK(calls == 3);

    // If the predicate returns an error, the result has that error, and not gave_up.
    const auto knows = [](const Response&) { return Failure::from(timed_out); };
    CHECK(form.run(steady(1s, 3), sleeper, fetch, classified(knows)).error() == timed_out);

    // A value that can only be moved is returned.
    const auto make = [&] { return std::make_unique<int>(++calls); };
    const auto at_least = [](int least) {
        return [least](const std::unique_ptr<int>& p) { return *p < least; };
    };
    calls = 0;
    auto made = form.run(steady(1s, 3), sleeper, make, classified(at_least(9)));
    CHECK_FALSE(made);
    const std::unique_ptr<int> last = std::move(*made.last());
    CHECK(*last == 3);
    made = form.run(steady(1s, 3), sleeper, make, classified(at_least(5)));
    CHECK(*std::move(made).value() == 5);
}

TEST_CASE("Without a call there is no last value", "[call][fails_if][unit]") {
    Rig rig;
    const StopSource source;
    source.request_stop();
    int calls = 0;
    const auto bad = [](const Response&) { return true; };
    const auto result = retry(rig.policy(), rig.sleeper,
                              fails_if([&] { return Response{++calls}; }, bad), source.token());
    CHECK(result.error() == CallErrc::stopped);
    CHECK(result.last() == nullptr);
    CHECK(calls == 0);
}

TEST_CASE("A predicate of the value tests the value in a Result or an optional",
          "[call][fails_if][unit]") {
    BELAY_TEST_EACH_RETRY_FORM;
    AsyncSleeper sleeper;
    const auto classified = [](auto fn) {
        return fails_if(fn, [](const Response& r) { return r.status >= 500; });
    };
    int calls = 0;
    const auto result = [&](int works_at) {
        return [&calls, works_at]() -> Result<Response> {
            if (++calls == 1) return timed_out;
            return Response{calls == works_at ? 200 : 503};
        };
    };
    CHECK(form.run(steady(1s, 3), sleeper, result(3), classified).value().status == 200);
    CHECK(calls == 3);
    calls = 0;
    const auto failed = form.run(steady(1s, 3), sleeper, result(9), classified);
    CHECK_FALSE(failed);
    CHECK(failed.error() == CallErrc::gave_up);
    CHECK(failed.last()->status == 503);
    // Without a value, the predicate is not called, and the error stays.
    calls = 0;
    const auto without = form.run(steady(1s, 1), sleeper, result(9), classified);
    CHECK(without.error() == timed_out);
    CHECK(without.last() == nullptr);

    const auto maybe = [&](int works_at) {
        return [&calls, works_at]() -> std::optional<Response> {
            if (++calls == 1) return std::nullopt;
            return Response{calls == works_at ? 200 : 503};
        };
    };
    calls = 0;
    CHECK(form.run(steady(1s, 3), sleeper, maybe(3), classified).value().status == 200);
    calls = 0;
    const auto unwell = form.run(steady(1s, 3), sleeper, maybe(9), classified);
    CHECK(unwell.last()->status == 503);
    calls = 0;
    const auto nothing = form.run(steady(1s, 1), sleeper, maybe(9), classified);
    CHECK(nothing.error() == CallErrc::gave_up);
    CHECK(nothing.last() == nullptr);
}

TEST_CASE("fails_if replaces the type's own test, and accepts types that retry rejects",
          "[call][fails_if][unit]") {
    Rig rig;
    const auto never_bad = [](const auto&) { return false; };
    const auto always_bad = [](const auto&) { return true; };
    const auto run = [&](auto fn, auto classify) {
        return retry(rig.policy(), rig.sleeper, fails_if(fn, classify));
    };
    CHECK(run([] { return false; }, never_bad).value() == false);
    CHECK(run([] { return std::optional<int>{}; }, never_bad).value() == std::nullopt);
    CHECK(run([] { return timed_out; }, never_bad) == timed_out);
    CHECK(run([] { return Result<int>{timed_out}; }, never_bad).error() == timed_out);
    CHECK(run([] { return std::make_unique<int>(3); }, never_bad).value() != nullptr);
    CHECK(run([] { return std::errc::io_error; }, never_bad).value() == std::errc::io_error);
    CHECK(rig.observed.failed == 0);
    int target = 5;
    const auto is_null = [](const int* p) { return p == nullptr; };
    CHECK(run([&] { return &target; }, is_null).value() == &target);
    const auto null = run([]() -> int* { return nullptr; }, is_null);
    CHECK(*null.last() == nullptr);
    CHECK(rig.observed.failed == 3);
    // A success of the type that the predicate classifies as a failure.
    CHECK(run([] { return std::error_code{}; }, always_bad) == CallErrc::gave_up);
    CHECK(run([] { return Result<void>{}; }, always_bad).error() == CallErrc::gave_up);
    const auto five = run([] { return Result<int>{5}; }, always_bad);
    CHECK(five.error() == CallErrc::gave_up);
    CHECK(*five.last() == 5);
    const auto was_true = run([] { return true; }, always_bad);
    CHECK(*was_true.last() == true);
}

TEST_CASE("fails_if accepts a result whose error is an enum, with and without AnswerTraits",
          "[call][fails_if][regression]") {
    const auto ends = [](auto example) {
        using Answer = decltype(example);
        Random bits{Seed{1}};
        MinimalSleeper sleeper{bits};
        int calls = 0;
        const auto answer =
            retry(MaxAttempts{2}, sleeper,
                  fails_if(
                      [&] {
                          return ++calls < 2 ? Answer{std::nullopt, UsersError::no_entry}
                                             : Answer{7, UsersError::none};
                      },
                      [](const Answer& a) {
                          return Failure{a.has_value() ? Cause::none : Cause::refused};
                      }));
        static_assert(std::same_as<decltype(answer), const Outcome<Answer>>);
        REQUIRE(answer.has_value());
        CHECK(answer->value == 7);
        CHECK(calls == 2);
        const auto rejected = retry(MaxAttempts{2}, sleeper,
                                    fails_if(
                                        [] {
                                            return Answer{std::nullopt, UsersError::no_entry};
                                        },
                                        [](const Answer&) { return Cause::refused; }));
        CHECK(rejected.cause() == Cause::refused);
        CHECK(rejected.last()->error() == UsersError::no_entry);
    };
    ends(UsersExpected<int>{});
    ends(UsersExpected<long>{});
}

TEST_CASE("A predicate may return the cause, and a server's retry_after",
          "[call][fails_if][unit]") {
    Rig rig;
    const auto classify = [](const Response& r) -> Failure {
        if (r.status == 429) return {.cause = Cause::overloaded, .retry_after = r.retry_after};
        return {};
    };
    int calls = 0;
    const auto fetch = [&] { return ++calls == 1 ? Response{429, 7s} : Response{200}; };
    const Policy waits{Backoff{NoJitter{}, Cap{30s}, 1s}, MaxAttempts{3}};
    CHECK(retry(waits, rig.sleeper, fails_if(fetch, classify)).value().status == 200);
    CHECK(rig.sleeper.now() == Instant{} + 7s);

    const auto cause = [](const Response& r) {
        return r.status == 403 ? Cause::forbidden : Cause::none;
    };
    calls = 0;
    const auto denied = [&] { return ++calls, Response{403}; };
    const auto result = retry(StopOn{Cause::forbidden}, rig.sleeper, fails_if(denied, cause));
    CHECK(result.last()->status == 403);
    CHECK(calls == 1);
}

TEST_CASE("A predicate that throws abandons the attempt, and its exception is propagated",
          "[call][fails_if][unit]") {
    BELAY_TEST_EACH_RETRY_FORM;
    Rig rig;
    AsyncSleeper sleeper;
    const auto fetch = [] { return Response{200}; };
    const auto classified = [](auto fn) {
        return fails_if(fn, [](const Response&) -> bool { throw std::logic_error{"judge"}; });
    };
    CHECK_THROWS_WITH(form.run(rig.policy(), sleeper, fetch, classified), "judge");
    CHECK(rig.observed == CountsFailures::Observed{.begun = 1, .abandoned = 1});
}

TEST_CASE("The Cause that a predicate returns is the Outcome's, and outer layers see it",
          "[call][fails_if][regression]") {
    BELAY_TEST_EACH_RETRY_FORM;
    AsyncSleeper sleeper;
    const auto fetch = [] { return Response{503}; };
    const auto busy = [](const Response& r) {
        return r.status == 503 ? Cause::overloaded : Cause::none;
    };
    const auto classified = [&](auto fn) { return fails_if(fn, busy); };
    const auto result = form.run(steady(1s, 3), sleeper, fetch, classified);
    CHECK(result.error() == CallErrc::gave_up);
    CHECK(result.cause() == Cause::overloaded);
    const auto fine = [] { return Response{200}; };
    CHECK(form.run(steady(1s, 3), sleeper, fine, classified).cause() == Cause::none);

    int calls = 0;
    const auto inner = [&] {
        ++calls;
        return retry(MaxAttempts{2}, sleeper, fails_if(fetch, busy));
    };
    const Policy stops{steady(1s, 3), StopOn{Cause::overloaded}};
    const auto nested = form.run(stops, sleeper, inner, belay_test::as_it_is);
    CHECK(calls == 1);
    CHECK(nested.cause() == Cause::overloaded);
    CHECK(nested.last()->status == 503);
}

TEST_CASE("An Outcome that passes fails_if again keeps its last value",
          "[call][fails_if][regression]") {
    Rig rig;
    const auto is_bad = [](const Response& r) { return r.status >= 500; };
    const auto inner = [&](int status) {
        return [&rig, is_bad, status] {
            return retry(MaxAttempts{2}, rig.sleeper,
                         fails_if([status] { return Response{status}; }, is_bad));
        };
    };
    const auto never_bad = [](const Response&) { return false; };
    const auto failed = retry(rig.policy(), rig.sleeper, fails_if(inner(503), never_bad));
    CHECK_FALSE(failed);
    CHECK(failed.error() == CallErrc::gave_up);
    CHECK(rig.observed.failed == 3);
    REQUIRE(failed.last() != nullptr);
    CHECK(failed.last()->status == 503);
    const auto always_bad = [](const Response&) { return Cause::refused; };
    const auto refused = retry(rig.policy(), rig.sleeper, fails_if(inner(200), always_bad));
    CHECK_FALSE(refused);
    CHECK(refused.cause() == Cause::refused);
    CHECK(refused.last()->status == 200);
}

TEST_CASE("A failure without an error code gets one in its Outcome",
          "[call][fails_if][regression]") {
    struct Maybe {
        using value_type = int;
        std::optional<int> number{};
        std::error_code code{};
        explicit Maybe(std::error_code c) : code{c} {}
        [[nodiscard]] bool has_value() const { return number.has_value(); }
        const int& operator*() const& { return *number; }
        [[nodiscard]] std::error_code error() const { return code; }
    };
    Rig rig;
    const auto never_bad = [](int) { return false; };
    const auto fetch = [] { return Maybe{std::error_code{}}; };
    auto outcome = retry(rig.policy(), rig.sleeper, fails_if(fetch, never_bad));
    CHECK(rig.observed.failures == std::vector<Failure>(3, rig.observed.failures.front()));
    CHECK(rig.observed.failures.front().cause == Cause::lost);
    CHECK_FALSE(outcome);
    CHECK(outcome.error() == CallErrc::gave_up);
    const Result<int> result = std::move(outcome);
    CHECK(result.error() == CallErrc::gave_up);
}

TEST_CASE("A std::ref of a fails_if works like the fails_if itself",
          "[call][fails_if][regression]") {
    BELAY_TEST_EACH_RETRY_FORM;
    AsyncSleeper sleeper;
    int calls = 0;
    const auto fetch = [&] { return Response{++calls < 3 ? 503 : 200}; };
    std::shared_ptr<void> kept;
    const auto by_reference = [&kept](auto wrap) {
        return [&kept, wrap](auto fn) {
            auto made = std::make_shared<decltype(wrap(fn))>(wrap(fn));
            kept = made;
            return std::ref(*made);
        };
    };
    const auto is_bad = [](const Response& r) { return r.status >= 500; };
    const auto classified = [&](auto fn) { return fails_if(fn, is_bad); };
    CHECK(form.run(steady(1s, 3), sleeper, fetch, by_reference(classified)).value().status == 200);
    CHECK(calls == 3);
    // A std::ref inside another wrapper works, too.
    calls = 0;
    const auto inner = by_reference(classified);
    const auto around = [&](auto fn) { return within(Attempt{}, inner(fn)); };
    CHECK(form.run(steady(1s, 3), sleeper, fetch, around).value().status == 200);
    CHECK(calls == 3);
    const auto throws = [&]() -> Result<int> { throw ++calls; };
    const auto others = by_reference([](auto fn) { return fails_on<NetworkError>(fn); });
    CHECK_THROWS_AS(form.run(steady(1s, 3), sleeper, throws, others), int);
    CHECK(calls == 4);
}

TEST_CASE("A const fails_if works as any other", "[call][fails_if][regression]") {
    Rig rig;
    const auto is_bad = [](const Response& r) { return r.status >= 500; };
    const auto classified = fails_if([] { return Response{503}; }, is_bad);
    CHECK_FALSE(retry(rig.policy(), rig.sleeper, classified));
    CHECK(rig.observed.failed == 3);
    CHECK_FALSE(Pipeline{Retrying{rig.policy()}}(rig.sleeper, classified));
    CHECK(rig.observed.failed == 6);
    CHECK_FALSE(retry(rig.policy(), rig.sleeper, std::cref(classified)));
    CHECK(rig.observed.failed == 9);
    const auto through = within(Attempt{}, classified);
    CHECK_FALSE(retry(rig.policy(), rig.sleeper, through));
    CHECK(rig.observed.failed == 12);
    const auto other = fails_on<NetworkError>([]() -> Result<int> { throw 5; });
    CHECK_THROWS_AS(retry(rig.policy(), rig.sleeper, other), int);
    CHECK(rig.observed.failed == 12);
}

TEST_CASE("A predicate may be a pointer to a member", "[call][fails_if][unit]") {
    struct Page {
        int status = 0;
        bool stale = false;
        [[nodiscard]] bool is_bad() const { return status >= 500; }
    };
    struct Busy : std::runtime_error {
        using std::runtime_error::runtime_error;
        [[nodiscard]] Cause cause() const { return Cause::overloaded; }
    };
    Rig rig;
    CHECK_FALSE(
        retry(rig.policy(), rig.sleeper, fails_if([] { return Page{503}; }, &Page::is_bad)));
    CHECK(rig.observed.failed == 3);
    CHECK(retry(rig.policy(), rig.sleeper, fails_if([] { return Page{200}; }, &Page::is_bad)));
    CHECK_FALSE(retry(rig.policy(), rig.sleeper,
                      fails_if(
                          [] {
                              return Page{200, true};
                          },
                          &Page::stale)));
    CHECK(rig.observed.failed == 6);
    // The predicate gets the value in an optional or a result, and is not called without one.
    const auto empty = [] { return std::optional<Page>{}; };
    CHECK_FALSE(retry(rig.policy(), rig.sleeper, fails_if(empty, &Page::is_bad)));
    CHECK(rig.observed.failed == 9);
    const auto full = [] { return Result<Page>{Page{503}}; };
    CHECK_FALSE(retry(rig.policy(), rig.sleeper, fails_if(full, &Page::is_bad)));
    CHECK(rig.observed.failed == 12);
    CHECK_THROWS_AS(
        retry(rig.policy(), rig.sleeper,
              fails_on<Busy>([]() -> Result<int> { throw Busy{"busy"}; }, &Busy::cause)),
        Busy);
    CHECK(rig.observed.failures.back() == Failure{Cause::overloaded});
}

TEST_CASE("fails_on retries exceptions of its type, and propagates others",
          "[call][fails_if][unit]") {
    BELAY_TEST_EACH_RETRY_FORM;
    Rig rig;
    AsyncSleeper sleeper;
    const auto classified = [](auto fn) { return fails_on<NetworkError>(fn); };
    int calls = 0;
    const auto fails = [&]() -> Result<int> {
        if (++calls == 1) throw Refused{"derived"};
        if (calls == 2) throw NetworkError{"itself"};
        throw std::runtime_error{"base"};
    };
    CHECK_THROWS_WITH(form.run(rig.policy(9), sleeper, fails, classified), "base");
    CHECK(calls == 3);
    CHECK(rig.observed.failed == 2);
    CHECK(rig.observed.abandoned == 1);
    // The last exception of its type is propagated when the policy gives up.
    const auto each = []() -> Result<int> { throw Refused{"last"}; };
    CHECK_THROWS_AS(form.run(rig.policy(2), sleeper, each, classified), Refused);
}

TEST_CASE("fails_on classifies by a predicate, and nests", "[call][fails_if][unit]") {
    Rig rig;
    const auto throws = [](auto error) { return [error]() -> Result<int> { throw error; }; };
    const auto by_text = [](const std::exception& e) {
        return std::string_view{e.what()} == "busy" ? Cause::overloaded : Cause::none;
    };
    const auto failures = [&](auto fn) {
        rig.observed = {};
        CHECK_THROWS(retry(rig.policy(2), rig.sleeper, fn));
        return rig.observed.failures;
    };
    CHECK(failures(fails_on<std::exception>(throws(NetworkError{"busy"}), by_text)) ==
          std::vector<Failure>(2, Failure{Cause::overloaded}));
    CHECK(failures(fails_on<std::exception>(throws(NetworkError{"else"}), by_text)).empty());
    // The outermost type that matches decides. An exception that matches no type is propagated.
    const auto both = [&](auto error) {
        return fails_on<Refused>(
            fails_on<NetworkError>(throws(error), [](const auto&) { return Cause::timed_out; }),
            [](const auto&) { return Cause::refused; });
    };
    CHECK(failures(both(Refused{"r"})) == std::vector<Failure>(2, Failure{Cause::refused}));
    CHECK(failures(both(NetworkError{"n"})) == std::vector<Failure>(2, Failure{Cause::timed_out}));
    CHECK(failures(both(5)).empty());
    const auto classify_throws = [](const Refused&) -> bool { throw std::logic_error{"judge"}; };
    CHECK_THROWS_WITH(
        retry(rig.policy(), rig.sleeper, fails_on<Refused>(throws(Refused{"r"}), classify_throws)),
        "judge");
}

TEST_CASE("fails_if and fails_on combine around one callable, in any order",
          "[call][fails_if][unit]") {
    Rig rig;
    const auto bad = [](int n) { return n < 3; };
    for (const bool results_first : {true, false}) {
        int calls = 0;
        const auto fn = [&](Attempt attempt) {
            if (++calls == 1) throw NetworkError{"once"};
            return static_cast<int>(attempt.number);
        };
        const auto value =
            results_first
                ? retry(rig.policy(9), rig.sleeper, fails_on<NetworkError>(fails_if(fn, bad)))
                : retry(rig.policy(9), rig.sleeper, fails_if(fails_on<NetworkError>(fn), bad));
        CHECK(value.value() == 3);
        CHECK(calls == 3);
    }
    // The same holds through `within`.
    CHECK(retry(rig.policy(9), rig.sleeper,
                within(Attempt{},
                       fails_if([](Attempt a) { return static_cast<int>(a.number); }, bad)))
              .value() == 3);
}
