// SPDX-License-Identifier: MIT
// Goal: misuse of this component does not compile, and the error states the reason. Method: each
// case, from one expect-error to the next, has an error of that text; with BELAY_CONTROL all of
// them compile.
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/breaker/circuit_breaker.hpp>
#include <belay/breaker/open_waits.hpp>
#include <belay/breaker/trips.hpp>
#include <belay/budget/budgets.hpp>
#include <belay/call/call_text.hpp>
#include <belay/call/hedge.hpp>
#include <belay/call/layers.hpp>
#include <belay/call/limiters.hpp>
#include <belay/call/pipeline.hpp>
#include <belay/call/pipeline_task.hpp>
#include <belay/call/retry.hpp>
#include <belay/call/retry_outcome.hpp>
#include <belay/call/retry_task.hpp>
#include <belay/drive/thread_sleeper.hpp>
#include <belay/policy/rules.hpp>

#include "support/archetypes.hpp"
#include "support/call/async_sleeper.hpp"

// expect-error: AnswerTraits: the specialization needs 'static bool failed
namespace answer_traits_misspelt {
struct Reply {};
}  // namespace answer_traits_misspelt
template <>
struct belay::AnswerTraits<answer_traits_misspelt::Reply> {
    using Reply = answer_traits_misspelt::Reply;
#if defined(BELAY_CONTROL)
    static bool failed(const Reply&) { return true; }
#else
    static bool fails(const Reply&) { return true; }
#endif
};
namespace answer_traits_misspelt {
void use(belay_test::MinimalSleeper& sleeper) {
    const belay::Pipeline pipeline{belay::Timeout{belay::Duration{1}}};
    static_cast<void>(pipeline(sleeper, [](belay::Attempt) { return Reply{}; }));
}
}  // namespace answer_traits_misspelt

// expect-error: AnswerTraits: the specialization needs 'static bool failed
namespace answer_traits_misspelt_in_an_optional {
struct Reply {};
}  // namespace answer_traits_misspelt_in_an_optional
template <>
struct belay::AnswerTraits<answer_traits_misspelt_in_an_optional::Reply> {
    using Reply = answer_traits_misspelt_in_an_optional::Reply;
#if defined(BELAY_CONTROL)
    static bool failed(const Reply&) { return true; }
#else
    static int failed(const Reply&) { return 1; }
#endif
};
namespace answer_traits_misspelt_in_an_optional {
void use(belay_test::MinimalSleeper& sleeper) {
    const auto answer = [] { return std::optional<Reply>{}; };
    const auto none = [](const std::optional<Reply>& reply) { return !reply; };
    static_cast<void>(belay::retry(belay::MaxAttempts{3}, sleeper, belay::fails_if(answer, none)));
}
}  // namespace answer_traits_misspelt_in_an_optional

// expect-error: fails_if: this function cannot be called directly
namespace fails_if_in_function {
struct Response {
    int status;
};

// A std::function does not have the predicate: every answer would be a success.
void use(belay_test::MinimalSleeper& sleeper) {
    const std::function<Response()> fetch = [] { return Response{500}; };
    const auto is_bad = [](const Response& r) { return r.status >= 500; };
#if defined(BELAY_CONTROL)
    const auto classified = belay::fails_if(fetch, is_bad);
#else
    const std::function<Response(belay::Attempt)> classified = belay::fails_if(fetch, is_bad);
#endif
    static_cast<void>(belay::retry(belay::MaxAttempts{3}, sleeper, classified));
}
}  // namespace fails_if_in_function

// expect-error: fails_if: the predicate must take the result of fn, or the value in it
namespace fails_if_mutable {
struct Response {
    int status;
};
#if defined(BELAY_CONTROL)
bool is_bad(const Response& r) { return r.status >= 500; }
#else
bool is_bad(Response& r) { return r.status >= 500; }
#endif

void use(belay_test::MinimalSleeper& sleeper) {
    const belay::Pipeline pipeline{belay::Timeout{belay::Duration{1}}};
    static_cast<void>(pipeline(
        sleeper,
        belay::fails_if([](belay::Attempt) { return belay::Result<Response>{Response{500}}; },
                        is_bad)));
}
}  // namespace fails_if_mutable

// expect-error: fails_if: the predicate must take the result of fn, or the value in it
namespace fails_if_other_type {
struct Response {
    int status;
};
// The predicate would never be called, and every answer would be a success.
#if defined(BELAY_CONTROL)
bool is_bad(const Response& r) { return r.status >= 500; }
#else
bool is_bad(int status) { return status >= 500; }
#endif

void use(belay_test::MinimalSleeper& sleeper) {
    static_cast<void>(belay::retry(belay::MaxAttempts{3}, sleeper,
                                   belay::fails_if([] { return Response{500}; }, is_bad)));
}
}  // namespace fails_if_other_type

// expect-error: fails_if: the predicate must return bool, belay::Cause or belay::Failure
namespace fails_if_predicate {
// An integer would convert to bool: all values except 0 would be true.
#if defined(BELAY_CONTROL)
bool is_bad(int status) { return status >= 500; }
#else
int is_bad(int status) { return status; }
#endif

void use(belay_test::MinimalSleeper& sleeper) {
    static_cast<void>(
        belay::retry(belay::MaxAttempts{3}, sleeper, belay::fails_if([] { return 200; }, is_bad)));
}
}  // namespace fails_if_predicate

// expect-error: fails_if: the predicate must take the result of fn, or the value in it
namespace fails_if_takes_away {
// The predicate would move the value out of the caller's result.
#if defined(BELAY_CONTROL)
bool is_bad(const std::unique_ptr<int>& p) { return *p < 3; }
#else
bool is_bad(std::unique_ptr<int> p) { return *p < 3; }
#endif

void use(belay_test::AsyncSleeper& sleeper) {
    const auto make = []() -> belay::Task<std::unique_ptr<int>> { co_return nullptr; };
    auto task = belay::retry(belay::MaxAttempts{3}, sleeper, belay::fails_if(make, is_bad));
    task.start();
}
}  // namespace fails_if_takes_away

// expect-error: fails_if: fn already has a predicate of another fails_if
namespace fails_if_twice {
bool is_odd(int n) { return n % 2 != 0; }
bool is_low(int n) { return n < 3; }

// The inner predicate would never be called.
void use(belay_test::MinimalSleeper& sleeper) {
    const auto fn = [] { return 1; };
#if defined(BELAY_CONTROL)
    const auto classified = [](int n) { return is_odd(n) || is_low(n); };
    static_cast<void>(
        belay::retry(belay::MaxAttempts{3}, sleeper, belay::fails_if(fn, classified)));
#else
    static_cast<void>(belay::retry(belay::MaxAttempts{3}, sleeper,
                                   belay::fails_if(belay::fails_if(fn, is_odd), is_low)));
#endif
}
}  // namespace fails_if_twice

// expect-error: within: this function cannot be called directly
namespace fails_on_in_lambda {
// retry cannot see the function inside the lambda: any exception would be a failure.
void use(belay_test::MinimalSleeper& sleeper) {
    const belay::Pipeline pipeline{belay::Timeout{belay::Duration{1}}};
    auto classified =
        belay::within(belay::Attempt{},
                      belay::fails_on<int>([](belay::Attempt) { return belay::Result<int>{5}; }));
#if defined(BELAY_CONTROL)
    static_cast<void>(pipeline(sleeper, classified));
#else
    static_cast<void>(pipeline(sleeper, [&](belay::Attempt a) { return classified(a); }));
#endif
}
}  // namespace fails_on_in_lambda

// expect-error: Fallback: the result of fn must convert to the result of the call
namespace fallback_converts {
// The 5 would convert to a vector of five zeros.
void use(belay_test::MinimalSleeper& sleeper) {
#if defined(BELAY_CONTROL)
    const belay::Pipeline pipeline{belay::Fallback{[] { return std::vector<int>{5}; }}};
#else
    const belay::Pipeline pipeline{belay::Fallback{[] { return 5; }}};
#endif
    static_cast<void>(pipeline(sleeper, [] { return std::vector<int>{}; }));
}
}  // namespace fallback_converts

// expect-error: Fallback: the filter must be causes
namespace fallback_predicate {
#if defined(BELAY_CONTROL)
constexpr auto chooses = [](const belay::Failure& why) { return why.code == 404; };
#else
constexpr auto chooses = [](int status) { return status == 404; };
#endif

const belay::Fallback fallback{[] { return 0; }, chooses};
}  // namespace fallback_predicate

// expect-error: Fallback: the result of fn must convert to the result of the call
namespace fallback_text_as_bool {
// Any text would convert to true.
void use(belay_test::MinimalSleeper& sleeper) {
#if defined(BELAY_CONTROL)
    const belay::Pipeline pipeline{belay::Fallback{[] { return false; }}};
#else
    const belay::Pipeline pipeline{belay::Fallback{[] { return "no"; }}};
#endif
    static_cast<void>(pipeline(sleeper, [] { return false; }));
}
}  // namespace fallback_text_as_bool

// expect-error: Fallback: fn must return a value, because it replaces a call
namespace fallback_without_answer {
using namespace belay;

#if defined(BELAY_CONTROL)
const Pipeline pipeline{Fallback{[] { return 0; }}};
#else
const Pipeline pipeline{Fallback{[] {}}};
#endif
auto run(belay_test::MinimalSleeper& sleeper) {
    return pipeline(sleeper, []() -> belay::Result<int> { return 1; });
}
}  // namespace fallback_without_answer

// expect-error: Hedge: blocking calls cannot be hedged without threads
namespace hedge_blocking {
using namespace belay;

void use(belay_test::MinimalSleeper& sleeper) {
#if defined(BELAY_CONTROL)
    const Pipeline pipeline{Timeout{std::chrono::seconds{1}}};
#else
    const Pipeline pipeline{Hedge{std::chrono::milliseconds{50}, 1}};
#endif
    static_cast<void>(pipeline(sleeper, [](belay::Attempt) -> belay::Result<int> { return 1; }));
}
}  // namespace hedge_blocking

// expect-error: Hedge: the third argument must be a budget of retries
namespace hedge_without_budget {
belay::TokenBudget budget;
belay::Bulkhead bulkhead{{.limit = 1}};

#if defined(BELAY_CONTROL)
belay::Hedge hedge{belay::Duration{1}, 1, belay::Shared{budget}};
#else
belay::Hedge hedge{belay::Duration{1}, 1, belay::Shared{bulkhead}};
#endif
}  // namespace hedge_without_budget

// expect-error: share as Shared{object}
namespace pipeline_breaker_layer {
void use() {
    belay::CircuitBreaker<> breaker{belay::ConsecutiveFailures{5},
                                    belay::OpenFor{std::chrono::seconds{1}}};
#if defined(BELAY_CONTROL)
    [[maybe_unused]] const belay::Pipeline pipeline{belay::Shared{breaker}};
#else
    [[maybe_unused]] const belay::Pipeline pipeline{breaker};
#endif
}
}  // namespace pipeline_breaker_layer

// expect-error: Pipeline: a budget cannot be a layer, because it pays for retries
namespace pipeline_budget_layer {
using namespace belay;

TokenBudget budget{TokenBudgetOptions::aws()};
#if defined(BELAY_CONTROL)
const Pipeline pipeline{Retrying{Policy{MaxAttempts{3}, Shared{budget}}}};
#else
const Pipeline pipeline{Retrying{MaxAttempts{3}}, Shared{budget}};
#endif
auto run(belay_test::MinimalSleeper& sleeper) {
    return pipeline(sleeper, [] { return true; });
}
}  // namespace pipeline_budget_layer

// expect-error: Pipeline: a Fallback inside a Retrying or Hedge hides the failures from it
namespace pipeline_fallback_inside {
using namespace belay;

constexpr auto answer = [] { return 1; };
#if defined(BELAY_CONTROL)
Pipeline pipeline{Fallback{answer}, Retrying{MaxAttempts{3}}};
#else
Pipeline pipeline{Retrying{MaxAttempts{3}}, Fallback{answer}};
#endif
}  // namespace pipeline_fallback_inside

// expect-error: Pipeline: a Fallback inside a breaker, an adaptive limit or a throttle hides
namespace pipeline_fallback_inside_breaker {
using namespace belay;

constexpr auto answer = [] { return 1; };
CircuitBreaker breaker{ConsecutiveFailures{3}, OpenFor{Duration{1}}};
Bulkhead bulkhead{{.limit = 1}};
#if defined(BELAY_CONTROL)
Pipeline pipeline{Shared{bulkhead}, Fallback{answer}, Shared{breaker}};
#else
Pipeline pipeline{Shared{bulkhead}, Shared{breaker}, Fallback{answer}};
#endif
}  // namespace pipeline_fallback_inside_breaker

// expect-error: Pipeline: the observer's on_hedge must be 'on_hedge
namespace pipeline_hedge_hook {
// An observer with a right hook and one of another form, which would never be called.
struct Observer {
    void on_rejection(const belay::CallRejected&) {}
#if defined(BELAY_CONTROL)
    void on_hedge(const belay::Attempt&) {}
#else
    void on_hedge(int) {}
#endif
};

void call(belay_test::MinimalSleeper& sleeper, Observer& observer) {
    const belay::Pipeline pipeline{belay::Timeout{belay::Duration{1}}};
    static_cast<void>(pipeline(
        sleeper, [](belay::Attempt) { return true; }, belay::NeverStops{}, observer));
}
}  // namespace pipeline_hedge_hook

// expect-error: Pipeline: a layer of a blocking call needs 'auto call
namespace pipeline_layer_form {
struct Layer {
#if defined(BELAY_CONTROL)
    auto call(const auto& next, auto&, const belay::Attempt& attempt) const {
        return next(attempt);
    }
#else
    auto call(const auto& next) const { return next(belay::Attempt{}); }
#endif
};

void use(belay_test::MinimalSleeper& sleeper) {
    const belay::Pipeline pipeline{Layer{}};
    static_cast<void>(pipeline(sleeper, [] { return true; }));
}
}  // namespace pipeline_layer_form

// expect-error: Pipeline: the observer has no hook
namespace pipeline_observer {
struct Sleeper {
    belay::Random random{belay::Seed{1}};
    belay::Instant now() const noexcept { return {}; }
    belay::Random& bits() noexcept { return random; }
    void sleep_until(belay::Instant, const auto&) noexcept {}
};
struct Observer {
#if defined(BELAY_CONTROL)
    void on_rejection(const belay::CallRejected&) {}
#else
    void on_refused(const belay::CallRejected&) {}
#endif
};

void call(Sleeper& sleeper, Observer& observer) {
    const belay::Pipeline pipeline{belay::Timeout{belay::Duration{1}}};
    static_cast<void>(pipeline(
        sleeper, [](belay::Attempt) { return true; }, belay::NeverStops{}, observer));
}
}  // namespace pipeline_observer

// expect-error: Pipeline: the observer's on_rejection must be 'on_rejection
namespace pipeline_observer_hook {
struct Sleeper {
    belay::Random random{belay::Seed{1}};
    belay::Instant now() const noexcept { return {}; }
    belay::Random& bits() noexcept { return random; }
    void sleep_until(belay::Instant, const auto&) noexcept {}
};
class Observer : public belay::NoObserver {
#if defined(BELAY_CONTROL)
public:
#endif
    void on_rejection(const belay::CallRejected&) {}
};

void call(Sleeper& sleeper, Observer& observer) {
    const belay::Pipeline pipeline{belay::Timeout{belay::Duration{1}}};
    static_cast<void>(pipeline(
        sleeper, [](belay::Attempt) { return true; }, belay::NeverStops{}, observer));
}
}  // namespace pipeline_observer_hook

// expect-error: Pipeline: a policy or a rule is not a layer; write Retrying{policy}
namespace pipeline_policy_layer {
void use(belay_test::MinimalSleeper& sleeper) {
    const belay::Policy policy{belay::MaxAttempts{3}};
#if defined(BELAY_CONTROL)
    const belay::Pipeline pipeline{belay::Retrying{policy}};
#else
    const belay::Pipeline pipeline{policy};
#endif
    static_cast<void>(pipeline(sleeper, [] { return true; }));
}
}  // namespace pipeline_policy_layer

// expect-error: Pipeline: a Hedge inside a Hedge multiplies their calls
namespace pipeline_two_hedges {
using namespace belay;
using namespace std::chrono_literals;

#if defined(BELAY_CONTROL)
Pipeline pipeline{Hedge{50ms, 1}, Timeout{1s}};
#else
Pipeline pipeline{Hedge{50ms, 1}, Timeout{1s}, Hedge{10ms, 1}};
#endif
}  // namespace pipeline_two_hedges

// expect-error: Pipeline: a Retrying inside a Retrying multiplies their attempts
namespace pipeline_two_retries {
using namespace belay;

#if defined(BELAY_CONTROL)
Pipeline pipeline{Retrying{MaxAttempts{3}}, Timeout{std::chrono::seconds{1}}};
#else
Pipeline pipeline{Retrying{MaxAttempts{3}}, Timeout{std::chrono::seconds{1}},
                  Retrying{MaxAttempts{3}}};
#endif
}  // namespace pipeline_two_retries

// expect-error: retry: the error type of fn's result must be constructible from
namespace retry_error_type {
enum class Error { none, broken };
#if defined(BELAY_CONTROL)
using Outcome = belay::Result<int>;
#else
using Outcome = belay::Result<int, Error>;
#endif

void use(belay_test::MinimalSleeper& sleeper) {
    static_cast<void>(belay::retry(belay::MaxAttempts{3}, sleeper, [] { return Outcome{1}; }));
}
}  // namespace retry_error_type

// expect-error: fails_if: the error type of fn's result must be constructible from
namespace fails_if_error_type {
enum class Error { none, broken };
#if defined(BELAY_CONTROL)
using Outcome = belay::Result<int>;
#else
using Outcome = belay::Result<int, Error>;
#endif

void use(belay_test::MinimalSleeper& sleeper) {
    static_cast<void>(
        belay::retry(belay::MaxAttempts{3}, sleeper,
                     belay::fails_if([] { return Outcome{1}; }, [](int n) { return n < 0; })));
}
}  // namespace fails_if_error_type

// expect-error: retry: the observer has no hook
namespace retry_observer {
struct Observer {
#if defined(BELAY_CONTROL)
    void on_retry(const belay::RetryPlanned&) {}
#else
    void on_rety(const belay::RetryPlanned&) {}
#endif
};

void use(belay_test::MinimalSleeper& sleeper, Observer& observer) {
    static_cast<void>(belay::retry(
        belay::MaxAttempts{3}, sleeper, [] { return true; }, belay::NeverStops{}, observer));
}
}  // namespace retry_observer

// expect-error: retry: the observer's on_give_up must be 'on_give_up
namespace retry_observer_hook {
// An observer with a right hook and one of another form, which would never be called.
struct Observer {
    void on_retry(const belay::RetryPlanned&) {}
#if defined(BELAY_CONTROL)
    void on_give_up(const auto&) {}
#else
    void on_give_up(auto&, int) {}
    void on_give_up(belay::RetryEnded&) {}
#endif
};

void use(belay_test::MinimalSleeper& sleeper, Observer& observer) {
    static_cast<void>(belay::retry(
        belay::MaxAttempts{3}, sleeper, [] { return true; }, belay::NeverStops{}, observer));
}
}  // namespace retry_observer_hook

// expect-error: retry: pass a policy or a rule first: retry.MaxAttempts.3., fn.
namespace retry_policy_last {
void use(belay_test::MinimalSleeper& sleeper) {
    const auto fn = [] { return true; };
#if defined(BELAY_CONTROL)
    static_cast<void>(belay::retry(belay::MaxAttempts{3}, sleeper, fn));
#else
    static_cast<void>(belay::retry(fn, belay::MaxAttempts{3}, sleeper));
#endif
}
}  // namespace retry_policy_last

// expect-error: use fails_if or specialize belay::AnswerTraits
namespace retry_return_bool_like {
// The meaning of true is not known: success, or an error.
struct Reply {
    explicit operator bool() const { return false; }
#if defined(BELAY_CONTROL)
    std::error_code error() const { return {}; }
#endif
};

void use(belay_test::AsyncSleeper& sleeper) {
    auto task = belay::retry(belay::MaxAttempts{3}, sleeper,
                             []() -> belay::Task<Reply> { co_return Reply{}; });
    task.start();
}
}  // namespace retry_return_bool_like

// expect-error: use fails_if or specialize belay::AnswerTraits
namespace retry_return_enum {
// In libcurl, 0 is success. For another enum it could be any number.
enum Code { ok, couldnt_connect };
}  // namespace retry_return_enum
#if defined(BELAY_CONTROL)
template <>
struct belay::AnswerTraits<retry_return_enum::Code> {
    static bool failed(const retry_return_enum::Code& code) {
        return code != retry_return_enum::ok;
    }
};
#endif
namespace retry_return_enum {
void use(belay_test::MinimalSleeper& sleeper) {
    static_cast<void>(belay::retry(belay::MaxAttempts{3}, sleeper, [] { return couldnt_connect; }));
}
}  // namespace retry_return_enum

// expect-error: use fails_if or specialize belay::AnswerTraits
namespace retry_return_static_ok {
// ok() returns a status that is a success. It does not test one.
struct Status {
    static Status ok() { return {}; }
    bool operator==(const Status&) const = default;
};
}  // namespace retry_return_static_ok
#if defined(BELAY_CONTROL)
template <>
struct belay::AnswerTraits<retry_return_static_ok::Status> {
    using Status = retry_return_static_ok::Status;
    static bool failed(const Status& status) { return !(status == Status::ok()); }
};
#endif
namespace retry_return_static_ok {
void use(belay_test::MinimalSleeper& sleeper) {
    static_cast<void>(belay::retry(belay::MaxAttempts{3}, sleeper, [] { return Status{}; }));
}
}  // namespace retry_return_static_ok

// expect-error: retry: fn must not return an integer or an enum, .* use fails_if or specialize
namespace retry_return_tuple {
// In the form of asio's as_tuple: each failure would be a success.
std::tuple<std::error_code, int> receive() {
    return {std::make_error_code(std::errc::io_error), 0};
}

void use(belay_test::MinimalSleeper& sleeper) {
#if defined(BELAY_CONTROL)
    const auto failed = [](const auto& answer) { return static_cast<bool>(std::get<0>(answer)); };
    static_cast<void>(
        belay::retry(belay::MaxAttempts{3}, sleeper, belay::fails_if(receive, failed)));
#else
    static_cast<void>(belay::retry(belay::MaxAttempts{3}, sleeper, receive));
#endif
}
}  // namespace retry_return_tuple

// expect-error: retry: fn must return bool, optional, error_code, an expected-like type
namespace retry_return_type {
// The meaning of a null pointer is not known, and retry does not guess.
#if defined(BELAY_CONTROL)
bool connect() { return true; }
#else
int* connect() { return nullptr; }
#endif

void use(belay_test::MinimalSleeper& sleeper) {
    static_cast<void>(belay::retry(belay::MaxAttempts{3}, sleeper, connect));
}
}  // namespace retry_return_type

// expect-error: AsyncSleeperLike
namespace retry_sleeper {
// A blocking sleeper would block the whole loop.
#if defined(BELAY_CONTROL)
using Sleeper = belay_test::AsyncSleeper;
#else
using Sleeper = belay_test::MinimalSleeper;
#endif

void use(Sleeper& sleeper) {
    auto task = belay::retry(belay::MaxAttempts{3}, sleeper, [] { return std::suspend_never{}; });
    task.start();
}
}  // namespace retry_sleeper

// expect-error: retry: pass the sleeper before the function
namespace retry_sleeper_last {
void use(belay_test::MinimalSleeper& sleeper) {
    const auto fn = [] { return true; };
#if defined(BELAY_CONTROL)
    static_cast<void>(belay::retry(belay::MaxAttempts{3}, sleeper, fn));
#else
    static_cast<void>(belay::retry(belay::MaxAttempts{3}, fn, sleeper));
#endif
}
}  // namespace retry_sleeper_last

// expect-error: retry: this sleeper waits in coroutines only
namespace retry_sleeper_of_coroutines {
struct Sleeper {
    belay::Random random{belay::Seed{1}};
    belay::Instant now() const noexcept { return {}; }
    belay::Random& bits() noexcept { return random; }
    std::suspend_never async_sleep_until(belay::Instant, const auto&) noexcept { return {}; }
#if defined(BELAY_CONTROL)
    void sleep_until(belay::Instant, const auto&) noexcept {}
#endif
};

void use(Sleeper& sleeper) {
    static_cast<void>(belay::retry(belay::MaxAttempts{3}, sleeper, [] { return true; }));
}
}  // namespace retry_sleeper_of_coroutines

// expect-error: retry: the sleeper must be a variable
namespace retry_sleeper_temporary {
struct Sleeper {
    belay::Random random{belay::Seed{1}};
    belay::Instant now() const noexcept { return {}; }
    belay::Random& bits() noexcept { return random; }
    void sleep_until(belay::Instant, const auto&) noexcept {}
};

void use() {
    const auto fn = [] { return true; };
#if defined(BELAY_CONTROL)
    Sleeper sleeper;
    static_cast<void>(belay::retry(belay::MaxAttempts{3}, sleeper, fn));
#else
    static_cast<void>(belay::retry(belay::MaxAttempts{3}, Sleeper{}, fn));
#endif
}
}  // namespace retry_sleeper_temporary

// expect-error: SleeperLike: S::sleep_until must be noexcept
namespace retry_sleeper_throws {
struct Sleeper {
    belay::Random random{belay::Seed{1}};
    belay::Instant now() const noexcept { return {}; }
    belay::Random& bits() noexcept { return random; }
#if defined(BELAY_CONTROL)
    void sleep_until(belay::Instant, const auto&) noexcept {}
#else
    void sleep_until(belay::Instant, const auto&) {}
#endif
};

void use(Sleeper& sleeper) {
    static_cast<void>(belay::retry(belay::MaxAttempts{3}, sleeper, [] { return true; }));
}
}  // namespace retry_sleeper_throws

// expect-error: StopTokenLike: stop_requested must be 'bool stop_requested.. const noexcept'
namespace retry_stop_token_throws {
struct Token {
#if defined(BELAY_CONTROL)
    bool stop_requested() const noexcept { return false; }
#else
    bool stop_requested() const { return false; }
#endif
};

void use(belay_test::MinimalSleeper& sleeper) {
    static_cast<void>(belay::retry(
        belay::MaxAttempts{3}, sleeper, [] { return true; }, Token{}));
}
}  // namespace retry_stop_token_throws

// expect-error: StopTokenLike: stop_requested must be 'bool stop_requested.. const noexcept'
namespace pipeline_stop_token_throws {
struct Token {
#if defined(BELAY_CONTROL)
    bool stop_requested() const noexcept { return false; }
#else
    bool stop_requested() const { return false; }
#endif
};

void use(belay_test::MinimalSleeper& sleeper) {
    const belay::Pipeline pipeline{belay::Retrying{belay::MaxAttempts{3}}};
    static_cast<void>(pipeline(
        sleeper, [] { return true; }, Token{}));
}
}  // namespace pipeline_stop_token_throws

// expect-error: Retrying: write the rules into one policy
namespace retrying_of_two_rules {
#if defined(BELAY_CONTROL)
belay::Retrying layer{belay::Policy{belay::MaxAttempts{3}, belay::MaxAttempts{4}}};
#else
belay::Retrying layer{belay::MaxAttempts{3}, belay::MaxAttempts{4}};
#endif
}  // namespace retrying_of_two_rules

// expect-error: retry: pass a stop token before the observer
namespace retry_observer_without_stop {
void use(belay_test::MinimalSleeper& sleeper) {
    belay::RetryCounters counters;
    const auto call = [] { return true; };
#if defined(BELAY_CONTROL)
    static_cast<void>(
        belay::retry(belay::MaxAttempts{3}, sleeper, call, belay::NeverStops{}, counters));
#else
    static_cast<void>(belay::retry(belay::MaxAttempts{3}, sleeper, call, counters));
#endif
}
}  // namespace retry_observer_without_stop

// expect-error: retry: pass a stop token before the observer
namespace retry_without_sleeper_observer_without_stop {
void use() {
    belay::RetryCounters counters;
    const auto call = [] { return true; };
#if defined(BELAY_CONTROL)
    static_cast<void>(belay::retry(belay::MaxAttempts{3}, call, belay::NeverStops{}, counters));
#else
    static_cast<void>(belay::retry(belay::MaxAttempts{3}, call, counters));
#endif
}
}  // namespace retry_without_sleeper_observer_without_stop

// expect-error: Pipeline: pass a stop token before the observer
namespace pipeline_observer_without_stop {
struct Observer {
    void on_rejection(const belay::CallRejected&) {}
};
void use(belay_test::MinimalSleeper& sleeper) {
    const belay::Pipeline pipeline{belay::Timeout{belay::Duration{1}}};
    Observer observer;
    const auto call = [](belay::Attempt) { return true; };
#if defined(BELAY_CONTROL)
    static_cast<void>(pipeline(sleeper, call, belay::NeverStops{}, observer));
#else
    static_cast<void>(pipeline(sleeper, call, observer));
#endif
}
}  // namespace pipeline_observer_without_stop

// expect-error: fails_on: an inner fails_on takes these exceptions first
namespace fails_on_base_outside {
bool heals(const std::runtime_error&) { return false; }
const auto call = [] { return true; };
#if defined(BELAY_CONTROL)
auto classified = belay::fails_on<std::runtime_error>(belay::fails_on<std::exception>(call), heals);
#else
auto classified = belay::fails_on<std::exception>(belay::fails_on<std::runtime_error>(call, heals));
#endif
}  // namespace fails_on_base_outside

// expect-error: fails_on: an inner fails_on takes these exceptions first
namespace fails_on_twice {
// The same holds with other wrappers between them.
const auto is_bad = [](int n) { return n < 0; };
const auto inner = belay::fails_if(belay::fails_on<std::runtime_error>([] { return 1; }), is_bad);
#if defined(BELAY_CONTROL)
auto classified = belay::fails_on<std::logic_error>(inner);
#else
auto classified = belay::fails_on<std::runtime_error>(inner);
#endif
}  // namespace fails_on_twice

// expect-error: retry: fn must not return a future
namespace retry_return_future {
// Each call would be a success, before it has run.
void use(belay_test::MinimalSleeper& sleeper) {
    const auto begin = [] { return std::async(std::launch::async, [] { return false; }); };
#if defined(BELAY_CONTROL)
    const auto call = [&] { return begin().get(); };
#else
    const auto& call = begin;
#endif
    static_cast<void>(belay::retry(belay::MaxAttempts{3}, sleeper, call));
}
}  // namespace retry_return_future

// expect-error: RetryLog: the sink must be callable with a std::string_view
namespace retry_log_into_a_string {
#if defined(BELAY_CONTROL)
constexpr auto sink = [](std::string_view) {};
#else
constexpr auto sink = [](const std::string&) {};
#endif

belay::RetryLog log{sink};
}  // namespace retry_log_into_a_string

// expect-error: Timeout, AttemptTimeout: a blocking call cannot be interrupted, so fn must take
namespace retry_attempt_timeout {
// The call would succeed, however late it returns.
void use(belay_test::MinimalSleeper& sleeper) {
    const belay::Policy policy{belay::AttemptTimeout{belay::Duration{1}}, belay::MaxAttempts{3}};
#if defined(BELAY_CONTROL)
    static_cast<void>(belay::retry(policy, sleeper, [](belay::Attempt) { return true; }));
    static_cast<void>(belay::retry(policy, sleeper, belay::fails_if([] {}, belay::Attempt::late)));
#else
    static_cast<void>(belay::retry(policy, sleeper, [] { return true; }));
#endif
}
}  // namespace retry_attempt_timeout

// expect-error: Timeout, AttemptTimeout: .* or write fails_if.fn, Attempt::late.
namespace pipeline_timeout_blind {
// The call would succeed, however late it returns.
void use(belay_test::MinimalSleeper& sleeper) {
    const belay::Pipeline pipeline{belay::Timeout{belay::Duration{1}}};
#if defined(BELAY_CONTROL)
    static_cast<void>(pipeline(sleeper, belay::fails_if([] {}, belay::Attempt::late)));
#else
    static_cast<void>(pipeline(sleeper, [] {}));
#endif
}
}  // namespace pipeline_timeout_blind

// expect-error: Timeout, AttemptTimeout: .* Or use the coroutine form
namespace pipeline_retrying_blind {
void use(belay_test::MinimalSleeper& sleeper) {
    const belay::Pipeline pipeline{belay::Retrying{belay::AttemptTimeout{belay::Duration{1}}}};
#if defined(BELAY_CONTROL)
    static_cast<void>(pipeline(sleeper, [](belay::Attempt) {}));
#else
    static_cast<void>(pipeline(sleeper, [] {}));
#endif
}
}  // namespace pipeline_retrying_blind

// expect-error: retry: fn must not return an integer or an enum, .* or any_value
namespace retry_return_int {
void use(belay_test::MinimalSleeper& sleeper) {
    const auto fn = [] { return -1; };
#if defined(BELAY_CONTROL)
    static_cast<void>(belay::retry(belay::MaxAttempts{3}, sleeper,
                                   belay::fails_if(fn, [](int code) { return code != 0; })));
#else
    static_cast<void>(belay::retry(belay::MaxAttempts{3}, sleeper, fn));
#endif
}
}  // namespace retry_return_int

// expect-error: retry: fn must not return an integer or an enum, .* or any_value
namespace retry_return_long {
void use(belay_test::MinimalSleeper& sleeper) {
    const auto fn = [] { return 503L; };
#if defined(BELAY_CONTROL)
    static_cast<void>(belay::retry(belay::MaxAttempts{3}, sleeper, belay::any_value(fn)));
#else
    static_cast<void>(belay::retry(belay::MaxAttempts{3}, sleeper, fn));
#endif
}
}  // namespace retry_return_long

// expect-error: retry: fn must not return an integer or an enum, .* or any_value
namespace retry_return_pair_of_enum {
enum class Status { ok, lost };
void use(belay_test::MinimalSleeper& sleeper) {
    const auto fn = [] { return std::pair{Status::lost, std::string{}}; };
#if defined(BELAY_CONTROL)
    static_cast<void>(belay::retry(belay::MaxAttempts{3}, sleeper, belay::any_value(fn)));
#else
    static_cast<void>(belay::retry(belay::MaxAttempts{3}, sleeper, fn));
#endif
}
}  // namespace retry_return_pair_of_enum

// expect-error: retry: fn must not return an integer or an enum, .* or any_value
namespace retry_return_variant_of_int {
void use(belay_test::MinimalSleeper& sleeper) {
    const auto fn = [] { return std::variant<std::string, int>{}; };
#if defined(BELAY_CONTROL)
    static_cast<void>(belay::retry(belay::MaxAttempts{3}, sleeper, belay::any_value(fn)));
#else
    static_cast<void>(belay::retry(belay::MaxAttempts{3}, sleeper, fn));
#endif
}
}  // namespace retry_return_variant_of_int

// expect-error: retry: fn must not return a container, .* fails_if\(fn, predicate\), or any_value
namespace retry_return_vector_of_results {
void use(belay_test::MinimalSleeper& sleeper) {
    const auto fn = [] { return std::vector<belay::Result<int>>{}; };
#if defined(BELAY_CONTROL)
    static_cast<void>(belay::retry(belay::MaxAttempts{3}, sleeper, belay::any_value(fn)));
#else
    static_cast<void>(belay::retry(belay::MaxAttempts{3}, sleeper, fn));
#endif
}
}  // namespace retry_return_vector_of_results

// expect-error: retry: the result of fn has a member such as error, .* or any_value
namespace retry_return_field_ec {
struct Reply {
    std::string text{};
    std::error_code ec{};
};
void use(belay_test::MinimalSleeper& sleeper) {
    const auto fn = [] { return Reply{}; };
#if defined(BELAY_CONTROL)
    static_cast<void>(belay::retry(belay::MaxAttempts{3}, sleeper, belay::any_value(fn)));
#else
    static_cast<void>(belay::retry(belay::MaxAttempts{3}, sleeper, fn));
#endif
}
}  // namespace retry_return_field_ec

// expect-error: retry: the result of fn has a member such as error, .* or any_value
namespace retry_return_function_is_ok {
struct Reply {
    [[nodiscard]] bool isOk() const { return false; }
};
void use(belay_test::MinimalSleeper& sleeper) {
    const auto fn = [] { return Reply{}; };
#if defined(BELAY_CONTROL)
    static_cast<void>(
        belay::retry(belay::MaxAttempts{3}, sleeper,
                     belay::fails_if(fn, [](const Reply& reply) { return !reply.isOk(); })));
#else
    static_cast<void>(belay::retry(belay::MaxAttempts{3}, sleeper, fn));
#endif
}
}  // namespace retry_return_function_is_ok

// expect-error: retry: the result of fn has a member such as error, .* or any_value
namespace retry_return_status_code {
// In the form of cpr's.
struct Error {
    int code = 0;
};
struct Response {
    long status_code = 503;
    std::string text{};
    Error error{};
};
void use(belay_test::MinimalSleeper& sleeper) {
    const auto fn = [] { return Response{}; };
#if defined(BELAY_CONTROL)
    static_cast<void>(
        belay::retry(belay::MaxAttempts{3}, sleeper,
                     belay::fails_if(fn, [](const Response& r) { return r.status_code >= 500; })));
#else
    static_cast<void>(belay::retry(belay::MaxAttempts{3}, sleeper, fn));
#endif
}
}  // namespace retry_return_status_code

// expect-error: retry: the result of fn has a member such as error, .* or any_value
namespace retry_return_beast {
// In the form of Beast's.
enum class Status { ok = 200, service_unavailable = 503 };
struct Header {
    [[nodiscard]] Status result() const { return Status::service_unavailable; }
};
struct Response : Header {
    std::string text{};
    [[nodiscard]] const std::string& body() const { return text; }
};
void use(belay_test::MinimalSleeper& sleeper) {
    const auto fn = [] { return Response{}; };
#if defined(BELAY_CONTROL)
    static_cast<void>(belay::retry(belay::MaxAttempts{3}, sleeper, belay::any_value(fn)));
#else
    static_cast<void>(belay::retry(belay::MaxAttempts{3}, sleeper, fn));
#endif
}
}  // namespace retry_return_beast

// expect-error: retry: the result of fn has a member such as error, .* or any_value
namespace retry_return_vector_of_named {
struct Row {
    bool success = false;
};
void use(belay_test::MinimalSleeper& sleeper) {
    const auto fn = [] { return std::vector<Row>{}; };
#if defined(BELAY_CONTROL)
    static_cast<void>(belay::retry(belay::MaxAttempts{3}, sleeper, belay::any_value(fn)));
#else
    static_cast<void>(belay::retry(belay::MaxAttempts{3}, sleeper, fn));
#endif
}
}  // namespace retry_return_vector_of_named

// expect-error: RateLimiter: write the rate and the burst: RateLimiter.Rate.10, 1s., Burst.10..
namespace rate_limiter_of_numbers {
#if defined(BELAY_CONTROL)
belay::RateLimiter limiter{belay::Rate{10, std::chrono::seconds{1}}, belay::Burst{10}};
#else
belay::RateLimiter limiter{10, std::chrono::seconds{1}};
#endif
}  // namespace rate_limiter_of_numbers

// expect-error: RateLimiter: write the rate and the burst: RateLimiter.Rate.10, 1s., Burst.10..
namespace rate_limiter_of_two_numbers {
#if defined(BELAY_CONTROL)
belay::RateLimiter limiter{belay::Rate{10, std::chrono::seconds{1}}, belay::Burst{10}};
#else
belay::RateLimiter limiter{100, 20};
#endif
}  // namespace rate_limiter_of_two_numbers

// expect-error: Rate: write the time, too: Rate.100, 1s.
namespace rate_without_time {
#if defined(BELAY_CONTROL)
belay::Rate rate{100, std::chrono::seconds{1}};
#else
belay::Rate rate{100};
#endif
}  // namespace rate_without_time

// expect-error: retry: write the rules into one policy
namespace retry_rules_without_policy {
void use() {
    const auto fn = [] { return true; };
    constexpr belay::Backoff backoff{belay::FullJitter{}, belay::Cap{belay::Duration{9}},
                                     belay::Duration{1}};
#if defined(BELAY_CONTROL)
    static_cast<void>(belay::retry(belay::Policy{belay::MaxAttempts{3}, backoff}, fn));
#else
    static_cast<void>(belay::retry(belay::MaxAttempts{3}, backoff, fn));
#endif
}
}  // namespace retry_rules_without_policy

// expect-error: Pipeline: pass a sleeper before the function: pipeline.sleeper, fn.
namespace pipeline_without_sleeper {
void use([[maybe_unused]] belay_test::MinimalSleeper& sleeper) {
    const belay::Pipeline pipeline{belay::Retrying{belay::MaxAttempts{3}}};
    const auto fn = [] { return true; };
#if defined(BELAY_CONTROL)
    static_cast<void>(pipeline(sleeper, fn));
#else
    static_cast<void>(pipeline(fn));
#endif
}
}  // namespace pipeline_without_sleeper

// expect-error: retry: after the policy, pass a function without arguments, or of an Attempt
namespace retry_of_a_function_with_another_argument {
void use(belay_test::MinimalSleeper& sleeper) {
#ifdef BELAY_CONTROL
    static_cast<void>(belay::retry(belay::MaxAttempts{2}, sleeper, [] { return true; }));
#else
    static_cast<void>(sleeper);
    static_cast<void>(belay::retry(belay::MaxAttempts{2}, [](int) { return true; }));
#endif
}
}  // namespace retry_of_a_function_with_another_argument

// expect-error: retry: after the policy, pass a function without arguments, or of an Attempt
namespace retry_with_a_sleeper_without_bits {
struct OwnSleeper {
    belay::Instant now() const noexcept { return belay::always; }
    void sleep_until(belay::Instant, const auto&) noexcept {}
#ifdef BELAY_CONTROL
    belay::Random& bits() noexcept { return bits_; }
    belay::Random bits_{belay::Seed{1}};
#endif
};
void use(OwnSleeper& sleeper) {
    static_cast<void>(belay::retry(belay::MaxAttempts{2}, sleeper, [] { return true; }));
}
}  // namespace retry_with_a_sleeper_without_bits

// expect-error: retry: in a coroutine, pass a sleeper before the function
namespace retry_awaiting_without_sleeper {
void use([[maybe_unused]] belay_test::AsyncSleeper& sleeper) {
    const auto fn = []() -> belay::Task<bool> { co_return true; };
#if defined(BELAY_CONTROL)
    static_cast<void>(belay::retry(belay::MaxAttempts{3}, sleeper, fn));
#else
    static_cast<void>(belay::retry(belay::MaxAttempts{3}, fn));
#endif
}
}  // namespace retry_awaiting_without_sleeper

// expect-error: RuleLike: R needs at least one hook; a layer such as Queued or Timeout goes into
namespace queued_as_rule {
belay::Bulkhead bulkhead{belay::BulkheadOptions{.limit = 8, .queue = 3}};
#if defined(BELAY_CONTROL)
belay::Pipeline pipeline{belay::Retrying{belay::MaxAttempts{3}}, belay::Queued{bulkhead}};
#else
belay::Policy policy{belay::MaxAttempts{3}, belay::Queued{bulkhead}};
#endif
}  // namespace queued_as_rule

// expect-error: Bulkhead: write the limit with its name: Bulkhead...limit = 8..
namespace bulkhead_of_a_number {
#if defined(BELAY_CONTROL)
belay::Bulkhead bulkhead{{.limit = 8}};
#else
belay::Bulkhead bulkhead{8};
#endif
}  // namespace bulkhead_of_a_number
