// SPDX-License-Identifier: MIT
// Goal: a program with a former name of this version compiles, and does the same as with the
// present one. Method: each former name next to the present one; observers with the former hook,
// the present one, and both.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

#include <functional>
#include <optional>
#include <string_view>
#include <type_traits>

#include <belay/breaker/breaker.hpp>
#include <belay/breaker/circuit_breaker.hpp>
#include <belay/budget/adaptive_throttle.hpp>
#include <belay/call/pipeline.hpp>
#include <belay/call/retry.hpp>
#include <belay/core/tee.hpp>
#include <belay/policy/shared.hpp>

#include "support/archetypes.hpp"
#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::MinimalSleeper;

static_assert(CallErrc::call_refused == CallErrc::call_rejected);
static_assert(std::is_same_v<CallRefused, CallRejected>);

namespace {

struct Former {
    int calls = 0;
    Duration wait{};
    void on_refusal(const CallRefused& refused) {
        ++calls;
        wait = refused.wait;
    }
};
struct FormerConst {
    int* calls;
    void on_refusal(const CallRefused&) const { ++*calls; }
};
struct FormerFinal final {
    int calls = 0;
    void on_refusal(const CallRefused&) { ++calls; }
};
struct Both {
    int calls = 0, former_calls = 0;
    void on_rejection(const CallRejected&) { ++calls; }
    void on_refusal(const CallRefused&) { ++former_calls; }
};
struct Present {
    int calls = 0;
    void on_rejection(const CallRejected&) { ++calls; }
};

// The former hook in a form that belay never calls.
struct FormerWrong : NoObserver {
    void on_refusal(int) {}
};
struct FormerWrongFinal final {
    void on_refusal(int) {}
};
// The present hook in a form that belay never calls. The former hook next to it would hide the
// mistake.
struct PresentWrong {
    void on_rejection(int) {}
    void on_refusal(const CallRefused&) {}
};
struct Layer {
    auto call(const auto& next, auto& context, const Attempt& attempt) const {
        context.refused(attempt, Advice::suspend(Instant{5s}));
        return next(attempt);
    }
};
using Hook = detail::RetryRunHooks::Rejection;
static_assert(Hook::right<Former> && Hook::right<FormerFinal> && Hook::right<Both>);
static_assert(Hook::right<NoObserver>);
static_assert(!Hook::right<FormerWrong> && !Hook::right<FormerWrongFinal>);
static_assert(!Hook::right<PresentWrong>);

template <class Observer>
void rejected_once(Observer&& observer) {
    Random bits{Seed{1}};
    MinimalSleeper sleeper{bits};
    CircuitBreaker breaker{ConsecutiveFailures{1}, OpenFor{20s}};
    Turn turn{sleeper.now(), bits};
    static_cast<void>(breaker.acquire(turn).failure(turn));
    const Pipeline pipeline{Shared{breaker}};
    const auto result = pipeline(
        sleeper, [] { return true; }, NeverStops{}, observer);
    CHECK(result.error() == CallErrc::call_refused);
}

}  // namespace

TEST_CASE("An observer with the former hook on_refusal is notified of each rejection",
          "[call][former_names][unit]") {
    Former former;
    rejected_once(former);
    CHECK(former.calls == 1);
    CHECK(former.wait == 20s);
    rejected_once(std::ref(former));
    CHECK(former.calls == 2);
    int calls = 0;
    rejected_once(FormerConst{&calls});
    CHECK(calls == 1);
    FormerFinal last;
    rejected_once(last);
    CHECK(last.calls == 1);
}

TEST_CASE("An observer with both hooks is notified by on_rejection only",
          "[call][former_names][unit]") {
    Both both;
    rejected_once(both);
    CHECK(both.calls == 1);
    CHECK(both.former_calls == 0);
}

TEST_CASE("A Tee notifies observers of the former and of the present hook",
          "[call][former_names][unit]") {
    Former former;
    Present present;
    rejected_once(Tee{std::ref(former), std::ref(present)});
    CHECK(former.calls == 1);
    CHECK(present.calls == 1);
}

TEST_CASE("retry notifies an observer with the former hook", "[call][former_names][unit]") {
    Random bits{Seed{1}};
    MinimalSleeper sleeper{bits};
    CircuitBreaker breaker{ConsecutiveFailures{1}, OpenFor{20s}};
    Turn turn{sleeper.now(), bits};
    static_cast<void>(breaker.acquire(turn).failure(turn));
    Former former;
    CHECK(retry(
        Policy{Shared{breaker}}, sleeper, [] { return true; }, NeverStops{}, former));
    CHECK(former.calls == 1);
}

TEST_CASE("Answer::refuse and refused_per_thousand do what their present names do",
          "[call][former_names][unit]") {
    using A = part::Answer<std::optional<int>>;
    const A former = A::refuse(CallErrc::call_refused, 3s);
    CHECK(former.rejected);
    CHECK(former.why == CallErrc::call_rejected);
    CHECK(former.failure->retry_after == 3s);

    AdaptiveThrottle throttle{{.attempts_per_thousand = 1000}};
    Random bits{Seed{1}};
    Turn turn{Instant{1s}, bits};
    for (int i = 0; i < 100; ++i) {
        static_cast<void>(throttle.acquire(turn).failure(turn));
    }
    CHECK(throttle.refused_per_thousand(turn.now) > 0);
    CHECK(throttle.refused_per_thousand(turn.now) == throttle.rejected_per_thousand(turn.now));
}

TEST_CASE("A layer may report a rejection by the former CallContext::refused",
          "[call][former_names][unit]") {
    Random bits{Seed{1}};
    MinimalSleeper sleeper{bits};
    Present present;
    const Pipeline pipeline{Layer{}};
    CHECK(pipeline(
        sleeper, [] { return true; }, NeverStops{}, present));
    CHECK(present.calls == 1);
}
