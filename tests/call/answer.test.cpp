// SPDX-License-Identifier: MIT
// Goal: an Answer says what a call returned or threw, whether that is a failure, or why there was
// no call; and turns into what the caller gets.
#include <belay/call/answer.hpp>

#include <optional>
#include <stdexcept>

#include <belay/call/fails_if.hpp>

#include "support/catch.hpp"
#include "support/shorthand.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::timed_out;

namespace {

template <class F>
auto answer_of(F fn) {
    return detail::Callee<F, detail::CallResult<F>>::make(fn, Attempt{});
}
template <class F, class A>
auto unwrap(const F&, A answer) {
    return detail::Callee<F, detail::CallResult<F>>::unwrap(std::move(answer));
}

}  // namespace

TEST_CASE("An Answer knows whether the call worked, and why not", "[call][answer][unit]") {
    CHECK(answer_of([] { return 5; }).worked());
    CHECK(answer_of([] {}).worked());
    CHECK(answer_of([] { return true; }).worked());
    const auto failed = answer_of([] { return timed_out; });
    CHECK_FALSE(failed.worked());
    CHECK(*failed.failure == Failure::from(timed_out));
    CHECK(*failed.returned == timed_out);
    CHECK_FALSE(failed.refused);
    CHECK(answer_of([] { return false; }).failure->cause == Cause::lost);
}

TEST_CASE("An Answer keeps exceptions that are failures", "[call][answer][unit]") {
    const auto throws = []() -> int { throw std::system_error{timed_out}; };
    const auto answer = answer_of(throws);
    CHECK(answer.failure->cause == Cause::timed_out);
    CHECK_FALSE(answer.returned);
    CHECK_THROWS_AS(unwrap(throws, answer), std::system_error);
    const auto other = []() -> int { throw 5; };
    CHECK(answer_of(other).failure->cause == Cause::lost);
    CHECK_THROWS_AS(answer_of(fails_on<std::logic_error>(other)), int);
}

TEST_CASE("An Answer can be made by a layer", "[call][answer][unit]") {
    const auto call = [] { return std::optional<int>{}; };
    using A = Answer<std::optional<int>>;
    CHECK(unwrap(call, A::success(7)).value() == 7);
    CHECK(A::success(7).worked());
    const A refused = A::refuse(CallErrc::call_refused, 3s);
    CHECK(refused.refused);
    CHECK(refused.failure->cause == Cause::overloaded);
    CHECK(refused.failure->retry_after == 3s);
    CHECK(unwrap(call, refused).error() == CallErrc::call_refused);
    const A none = A::none(timed_out, Failure::from(timed_out));
    CHECK_FALSE(none.refused);
    CHECK_FALSE(none.worked());
    CHECK(unwrap(call, none).error() == timed_out);
    A empty;
    empty.returned.emplace();
    empty.failure = Failure{Cause::lost};
    CHECK(unwrap(call, empty).error() == CallErrc::call_failed);
}
