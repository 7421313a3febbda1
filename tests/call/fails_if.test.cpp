// SPDX-License-Identifier: MIT
// Goal: predicates and exception types decide what a failure is; the last outcome comes back as it
// was; and whatever throws, the policy is told.
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
#include "support/catch.hpp"
#include "support/shorthand.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::MinimalSleeper;
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

TEST_CASE("fails_if gives back the last result as it was", "[call][fails_if][unit]") {
    Rig rig;
    int calls = 0;
    const auto bad = [](const Response&) { return true; };
    const auto result =
        retry(rig.policy(), rig.sleeper, fails_if([&] { return Response{++calls}; }, bad));
    CHECK(result.value().status == 3);

    // Only where there was no call there is an error.
    const StopSource source;
    source.request_stop();
    CHECK(retry(rig.policy(), rig.sleeper, fails_if([&] { return Response{++calls}; }, bad),
                source.token())
              .error() == CallErrc::stopped);
    CHECK(calls == 3);
}

TEST_CASE("fails_if judges what the type would judge otherwise, and types that retry refuses",
          "[call][fails_if][unit]") {
    Rig rig;
    const auto never_bad = [](const auto&) { return false; };
    const auto run = [&](auto fn, auto judge) {
        return retry(rig.policy(), rig.sleeper, fails_if(fn, judge));
    };
    CHECK(run([] { return false; }, never_bad).value() == false);
    CHECK(run([] { return std::optional<int>{}; }, never_bad).value() == std::nullopt);
    CHECK(run([] { return timed_out; }, never_bad) == timed_out);
    CHECK(run([] { return Result<int>{timed_out}; }, never_bad).error() == timed_out);
    CHECK(run([] { return std::make_unique<int>(3); }, never_bad).value() != nullptr);
    CHECK(rig.seen.failed == 0);
    int target = 5;
    const auto is_null = [](const int* p) { return p == nullptr; };
    CHECK(run([&] { return &target; }, is_null).value() == &target);
    CHECK(run([]() -> int* { return nullptr; }, is_null).value() == nullptr);
    CHECK(rig.seen.failed == 3);
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
    CHECK(retry(StopOn{Cause::forbidden}, rig.sleeper, fails_if(denied, cause)).value().status ==
          403);
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
