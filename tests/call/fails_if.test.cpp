// SPDX-License-Identifier: MIT
// Goal: predicates and exception types decide what a failure is; there is a value after a success
// only, and the last one can be asked for; and whatever throws, the policy is told.
#include <belay/call/fails_if.hpp>

#include <memory>
#include <optional>
#include <stdexcept>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/no_jitter.hpp>
#include <belay/call/retry.hpp>
#include <belay/policy/max_attempts.hpp>
#include <belay/policy/stop_on.hpp>

#include "support/archetypes.hpp"
#include "support/call/retry_rules.hpp"
#include "support/call/ways.hpp"
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

// What a rule sees.
struct CountsFailures {
    struct Seen {
        int begun = 0, failed = 0, succeeded = 0, abandoned = 0;
        std::vector<Failure> failures{};
        friend bool operator==(const Seen&, const Seen&) = default;
    };
    Seen* seen;
    void begin(Turn&) noexcept { ++seen->begun; }
    Advice failed(const Failure& failure, Turn&) noexcept {
        ++seen->failed;
        seen->failures.push_back(failure);
        return Advice::go();
    }
    void succeeded(Turn&) noexcept { ++seen->succeeded; }
    void abandoned(Turn&) noexcept { ++seen->abandoned; }
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
    CountsFailures::Seen seen{};
    auto policy(std::uint64_t most = 3) { return Policy{MaxAttempts{most}, CountsFailures{&seen}}; }
};

}  // namespace

TEST_CASE("fails_if retries what its predicate calls a failure", "[call][fails_if][unit]") {
    Rig rig;
    int calls = 0;
    const auto fetch = [&] { return Response{++calls < 3 ? 503 : 200}; };
    const auto result = retry(rig.policy(), rig.sleeper,
                              fails_if(fetch, [](const Response& r) { return r.status >= 500; }));
    CHECK(result.value().status == 200);
    CHECK(rig.seen.begun == 3);
    CHECK(rig.seen.failures == std::vector<Failure>(2, Failure{Cause::lost}));
    CHECK(rig.seen.succeeded == 1);
}

TEMPLATE_TEST_CASE("After the last failure there is no value, and the last one can be asked for",
                   "[call][fails_if][unit]", BELAY_TEST_WAYS) {
    AsyncSleeper sleeper;
    int calls = 0;
    const auto judged = [](auto judge) { return [judge](auto fn) { return fails_if(fn, judge); }; };
    const auto fetch = [&] { return Response{++calls + 500}; };
    const auto result = TestType::run(steady(1s, 3), sleeper, fetch,
                                      judged([](const Response& r) { return r.status >= 500; }));
    CHECK_FALSE(result.has_value());
    CHECK_FALSE(result);
    CHECK(result.error() == CallErrc::gave_up);
    CHECK(result.last()->status == 503);
    CHECK(calls == 3);

    // A predicate that knows the error has it told, not only that there are no more attempts.
    const auto knows = [](const Response&) { return Failure::from(timed_out); };
    CHECK(TestType::run(steady(1s, 3), sleeper, fetch, judged(knows)).error() == timed_out);

    // What can only be moved comes out.
    const auto make = [&] { return std::make_unique<int>(++calls); };
    const auto at_least = [](int least) {
        return [least](const std::unique_ptr<int>& p) { return *p < least; };
    };
    calls = 0;
    auto made = TestType::run(steady(1s, 3), sleeper, make, judged(at_least(9)));
    CHECK_FALSE(made);
    const std::unique_ptr<int> last = std::move(*made.last());
    CHECK(*last == 3);
    made = TestType::run(steady(1s, 3), sleeper, make, judged(at_least(5)));
    CHECK(*std::move(made).value() == 5);
}

TEST_CASE("Where there was no call there is no last value", "[call][fails_if][unit]") {
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

TEMPLATE_TEST_CASE("A predicate of the value judges the value in a Result or an optional",
                   "[call][fails_if][unit]", BELAY_TEST_WAYS) {
    AsyncSleeper sleeper;
    const auto judged = [](auto fn) {
        return fails_if(fn, [](const Response& r) { return r.status >= 500; });
    };
    int calls = 0;
    const auto result = [&](int works_at) {
        return [&calls, works_at]() -> Result<Response> {
            if (++calls == 1) return timed_out;
            return Response{calls == works_at ? 200 : 503};
        };
    };
    CHECK(TestType::run(steady(1s, 3), sleeper, result(3), judged).value().status == 200);
    CHECK(calls == 3);
    calls = 0;
    const auto failed = TestType::run(steady(1s, 3), sleeper, result(9), judged);
    CHECK_FALSE(failed);
    CHECK(failed.error() == CallErrc::gave_up);
    CHECK(failed.last()->status == 503);
    // Where there is no value the predicate is not asked, and the error stays.
    calls = 0;
    const auto without = TestType::run(steady(1s, 1), sleeper, result(9), judged);
    CHECK(without.error() == timed_out);
    CHECK(without.last() == nullptr);

    const auto maybe = [&](int works_at) {
        return [&calls, works_at]() -> std::optional<Response> {
            if (++calls == 1) return std::nullopt;
            return Response{calls == works_at ? 200 : 503};
        };
    };
    calls = 0;
    CHECK(TestType::run(steady(1s, 3), sleeper, maybe(3), judged).value().status == 200);
    calls = 0;
    const auto unwell = TestType::run(steady(1s, 3), sleeper, maybe(9), judged);
    CHECK(unwell.last()->status == 503);
    calls = 0;
    const auto nothing = TestType::run(steady(1s, 1), sleeper, maybe(9), judged);
    CHECK(nothing.error() == CallErrc::gave_up);
    CHECK(nothing.last() == nullptr);
}

TEST_CASE("fails_if judges what the type would judge otherwise, and types that retry refuses",
          "[call][fails_if][unit]") {
    Rig rig;
    const auto never_bad = [](const auto&) { return false; };
    const auto always_bad = [](const auto&) { return true; };
    const auto run = [&](auto fn, auto judge) {
        return retry(rig.policy(), rig.sleeper, fails_if(fn, judge));
    };
    CHECK(run([] { return false; }, never_bad).value() == false);
    CHECK(run([] { return std::optional<int>{}; }, never_bad).value() == std::nullopt);
    CHECK(run([] { return timed_out; }, never_bad) == timed_out);
    CHECK(run([] { return Result<int>{timed_out}; }, never_bad).error() == timed_out);
    CHECK(run([] { return std::make_unique<int>(3); }, never_bad).value() != nullptr);
    CHECK(run([] { return std::errc::io_error; }, never_bad).value() == std::errc::io_error);
    CHECK(rig.seen.failed == 0);
    int target = 5;
    const auto is_null = [](const int* p) { return p == nullptr; };
    CHECK(run([&] { return &target; }, is_null).value() == &target);
    const auto null = run([]() -> int* { return nullptr; }, is_null);
    CHECK(*null.last() == nullptr);
    CHECK(rig.seen.failed == 3);
    // A success of the type that the predicate calls a failure.
    CHECK(run([] { return std::error_code{}; }, always_bad) == CallErrc::gave_up);
    CHECK(run([] { return Result<void>{}; }, always_bad).error() == CallErrc::gave_up);
    const auto five = run([] { return Result<int>{5}; }, always_bad);
    CHECK(five.error() == CallErrc::gave_up);
    CHECK(*five.last() == 5);
    const auto was_true = run([] { return true; }, always_bad);
    CHECK(*was_true.last() == true);
}

TEST_CASE("A predicate may say the cause, and a server's wish", "[call][fails_if][unit]") {
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

TEST_CASE("A predicate that throws abandons the attempt, and its exception leaves",
          "[call][fails_if][unit]") {
    Rig rig;
    const auto judge = [](const Response&) -> bool { throw std::logic_error{"judge"}; };
    CHECK_THROWS_WITH(
        retry(rig.policy(), rig.sleeper, fails_if([] { return Response{200}; }, judge)), "judge");
    CHECK(rig.seen == CountsFailures::Seen{.begun = 1, .abandoned = 1});
}

TEST_CASE("fails_on retries exceptions of its type, and lets others go", "[call][fails_if][unit]") {
    Rig rig;
    int calls = 0;
    const auto fails = [&]() -> int {
        if (++calls == 1) throw Refused{"derived"};
        if (calls == 2) throw NetworkError{"itself"};
        throw std::runtime_error{"base"};
    };
    CHECK_THROWS_WITH(retry(rig.policy(9), rig.sleeper, fails_on<NetworkError>(fails)), "base");
    CHECK(calls == 3);
    CHECK(rig.seen.failed == 2);
    CHECK(rig.seen.abandoned == 1);
    // The last one of its type leaves when the policy gives up.
    const auto each = []() -> int { throw Refused{"last"}; };
    CHECK_THROWS_AS(retry(rig.policy(2), rig.sleeper, fails_on<NetworkError>(each)), Refused);
}

TEST_CASE("fails_on classifies by a predicate, and nests", "[call][fails_if][unit]") {
    Rig rig;
    const auto throws = [](auto error) { return [error]() -> int { throw error; }; };
    const auto by_text = [](const std::exception& e) {
        return std::string_view{e.what()} == "busy" ? Cause::overloaded : Cause::none;
    };
    const auto failures = [&](auto fn) {
        rig.seen = {};
        CHECK_THROWS(retry(rig.policy(2), rig.sleeper, fn));
        return rig.seen.failures;
    };
    CHECK(failures(fails_on<std::exception>(throws(NetworkError{"busy"}), by_text)) ==
          std::vector<Failure>(2, Failure{Cause::overloaded}));
    CHECK(failures(fails_on<std::exception>(throws(NetworkError{"else"}), by_text)).empty());
    // The outermost type that fits decides; what fits none leaves.
    const auto both = [&](auto error) {
        return fails_on<Refused>(
            fails_on<NetworkError>(throws(error), [](const auto&) { return Cause::timed_out; }),
            [](const auto&) { return Cause::refused; });
    };
    CHECK(failures(both(Refused{"r"})) == std::vector<Failure>(2, Failure{Cause::refused}));
    CHECK(failures(both(NetworkError{"n"})) == std::vector<Failure>(2, Failure{Cause::timed_out}));
    CHECK(failures(both(5)).empty());
    const auto judge_throws = [](const Refused&) -> bool { throw std::logic_error{"judge"}; };
    CHECK_THROWS_WITH(
        retry(rig.policy(), rig.sleeper, fails_on<Refused>(throws(Refused{"r"}), judge_throws)),
        "judge");
}

TEST_CASE("fails_if and fails_on judge one callable together, in any order",
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
    // And through `within`.
    CHECK(retry(rig.policy(9), rig.sleeper,
                within(Attempt{},
                       fails_if([](Attempt a) { return static_cast<int>(a.number); }, bad)))
              .value() == 3);
}
