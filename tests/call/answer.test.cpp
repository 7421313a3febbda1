// SPDX-License-Identifier: MIT
// Goal: an Answer has the value or exception of a call, whether it is a failure, and the reason if
// there was no call. It converts to the caller's result. Method: layers that change answers.
#include <belay/call/answer.hpp>

#include <optional>
#include <stdexcept>

#include <belay/call/pipeline.hpp>
#include <belay/call/retry_outcome.hpp>

#include "support/call/async_sleeper.hpp"
#include "support/catch.hpp"
#include "support/shorthand.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::AsyncSleeper;
using belay_test::timed_out;

namespace {

template <class F>
auto answer_of(F fn) {
    return detail::Callee<F, detail::CallResult<F>>::make(fn, Attempt{}, AsyncSleeper{});
}
template <class F, class A>
auto unwrap(const F&, A answer) {
    return detail::Callee<F, detail::CallResult<F>>::unwrap(std::move(answer));
}

// A layer that replaces the verdict on the call.
struct Overrules {
    std::optional<Failure> failure{};
    bool leaves_why = true;
    auto call(const auto& next, auto&, const Attempt& attempt) const {
        auto answer = next(attempt);
        answer.failure = failure;
        if (!leaves_why) answer.why = {};
        return answer;
    }
};

}  // namespace

TEST_CASE("Answer states whether the call worked, and its failure", "[call][answer][unit]") {
    CHECK(answer_of([]() -> Result<int> { return 5; }).worked());
    CHECK(answer_of([] {}).worked());
    CHECK(answer_of([] { return true; }).worked());
    const auto failed = answer_of([] { return timed_out; });
    CHECK_FALSE(failed.worked());
    CHECK(*failed.failure == Failure::from(timed_out));
    CHECK(*failed.returned == timed_out);
    CHECK_FALSE(failed.rejected);
    CHECK(answer_of([] { return false; }).failure->cause == Cause::lost);
}

TEST_CASE("Answer keeps exceptions that are failures", "[call][answer][unit]") {
    const auto throws = []() -> Result<int> { throw std::system_error{timed_out}; };
    const auto answer = answer_of(throws);
    CHECK(answer.failure->cause == Cause::timed_out);
    CHECK_FALSE(answer.returned);
    CHECK_THROWS_AS(unwrap(throws, answer), std::system_error);
    const auto other = []() -> Result<int> { throw 5; };
    CHECK(answer_of(other).failure->cause == Cause::lost);
    CHECK_THROWS_AS(answer_of(fails_on<std::logic_error>(other)), int);
}

TEST_CASE("An Answer can be made by a layer", "[call][answer][unit]") {
    const auto call = [] { return std::optional<int>{}; };
    using A = part::Answer<std::optional<int>>;
    CHECK(unwrap(call, A::success(7)).value() == 7);
    CHECK(A::success(7).worked());
    CHECK(A::reject(timed_out, 3s).failure->origin == Failure::Origin::local);
    const A rejected = A::reject(CallErrc::call_rejected, 3s);
    CHECK(rejected.rejected);
    CHECK(rejected.failure->cause == Cause::overloaded);
    CHECK(rejected.failure->retry_after == 3s);
    CHECK(unwrap(call, rejected).error() == CallErrc::call_rejected);
    const A none = A::none(timed_out, Failure::from(timed_out));
    CHECK_FALSE(none.rejected);
    CHECK_FALSE(none.worked());
    CHECK(unwrap(call, none).error() == timed_out);
    A empty;
    empty.returned.emplace();
    empty.failure = Failure{Cause::lost};
    CHECK(unwrap(call, empty).error() == CallErrc::call_failed);
}

TEST_CASE("A failure set by a layer is a failure for the caller", "[call][answer][regression]") {
    AsyncSleeper sleeper;
    const Pipeline late{Overrules{Failure::from(timed_out)}};
    CHECK(late(sleeper, []() -> Result<int> { return 5; }).error() == timed_out);
    CHECK(late(sleeper, [] {}).error() == timed_out);
    CHECK(late(sleeper, [] { return true; }).error() == timed_out);
    CHECK(late(sleeper, [] { return std::optional{5}; }).error() == timed_out);
    CHECK(late(sleeper, [] { return Result<int>{5}; }).error() == timed_out);
    CHECK(late(sleeper, [] { return Result<void>{}; }).error() == timed_out);
    CHECK(late(sleeper, [] { return std::error_code{}; }) == timed_out);
    const auto five = late(sleeper, fails_if([] { return 5; }, [](int) { return false; }));
    CHECK(five.error() == timed_out);
    CHECK(*five.last() == 5);
    const auto classified = late(sleeper, [] { return Outcome<int>::success(5); });
    CHECK(classified.error() == timed_out);
    CHECK(*classified.last() == 5);
    // If a layer sets only a cause, the library sets the error.
    for (const bool leaves_why : {true, false}) {
        const Pipeline lost{Overrules{Failure{Cause::lost}, leaves_why}};
        CHECK(lost(sleeper, []() -> Result<int> { return 5; }).error() == CallErrc::call_failed);
        CHECK(lost(sleeper, [] {}).error() == CallErrc::call_failed);
        CHECK(lost(sleeper, [] { return true; }).error() == CallErrc::call_failed);
        CHECK(lost(sleeper, [] { return std::optional{5}; }).error() == CallErrc::call_failed);
    }
}

TEST_CASE("A success set by a layer is a success, if there is a value for it",
          "[call][answer][regression]") {
    AsyncSleeper sleeper;
    const Pipeline fine{Overrules{}};
    CHECK(fine(sleeper, [] { return false; }));
    CHECK(fine(sleeper, fails_if([] { return 5; }, [](int) { return true; })).value() == 5);
    CHECK(fine(sleeper, [] { return std::optional<int>{}; }).error() == CallErrc::call_failed);
    CHECK(fine(sleeper, [] { return Result<int>{timed_out}; }).error() == timed_out);
    CHECK(fine(sleeper, [] { return timed_out; }) == timed_out);
}
