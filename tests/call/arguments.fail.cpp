// SPDX-License-Identifier: MIT
// Goal: a call with arguments that are missing, in another order, or of another type does not
// compile, and the error states the arguments. Method: each case, from one expect-error to the
// next, has an error of that text; with BELAY_CONTROL all of them compile.
#include <chrono>
#include <memory>
#include <stdexcept>

#include <belay/backoff/backoff.hpp>
#include <belay/breaker/circuit_breaker.hpp>
#include <belay/budget/budgets.hpp>
#include <belay/call/hedge.hpp>
#include <belay/call/layers.hpp>
#include <belay/call/limiters.hpp>
#include <belay/call/pipeline.hpp>
#include <belay/call/retry.hpp>
#include <belay/call/retry_outcome.hpp>
#include <belay/drive/thread_sleeper.hpp>
#include <belay/policy/rules.hpp>

#include "support/archetypes.hpp"

namespace {
using namespace belay;
using namespace std::chrono_literals;
using belay_test::MinimalSleeper;

const auto fn = [] { return true; };
const Policy policy{Backoff{FullJitter{}, Cap{10s}, 100ms}, MaxAttempts{3}};
}  // namespace

// expect-error: retry: pass a policy or a rule first: retry.MaxAttempts.3., fn.
namespace retry_a_number_of_times {
void use() {
#if defined(BELAY_CONTROL)
    static_cast<void>(retry(MaxAttempts{3}, fn));
#else
    static_cast<void>(retry(3, fn));
#endif
}
}  // namespace retry_a_number_of_times

// expect-error: retry: pass a policy or a rule first: retry.MaxAttempts.3., fn.
namespace retry_a_number_of_times_with_a_sleeper {
void use(MinimalSleeper& sleeper) {
#if defined(BELAY_CONTROL)
    static_cast<void>(retry(MaxAttempts{3}, sleeper, fn));
#else
    static_cast<void>(retry(3U, sleeper, fn));
#endif
}
}  // namespace retry_a_number_of_times_with_a_sleeper

// expect-error: retry: pass a policy or a rule first: retry.MaxAttempts.3., fn.
namespace retry_a_number_of_times_with_a_wait {
void use() {
#if defined(BELAY_CONTROL)
    static_cast<void>(retry(policy, fn));
#else
    static_cast<void>(retry(3L, 100ms, fn));
#endif
}
}  // namespace retry_a_number_of_times_with_a_wait

// expect-error: retry: pass a policy or a rule first: retry.MaxAttempts.3., fn.
namespace retry_without_a_policy {
void use() {
#if defined(BELAY_CONTROL)
    static_cast<void>(retry(policy, fn));
#else
    static_cast<void>(retry(fn));
#endif
}
}  // namespace retry_without_a_policy

// expect-error: retry: pass a policy or a rule first: retry.MaxAttempts.3., fn.
namespace retry_with_a_pointer_to_a_policy {
const auto shared = std::make_shared<MaxAttempts>(3);
void use() {
#if defined(BELAY_CONTROL)
    static_cast<void>(retry(*shared, fn));
#else
    static_cast<void>(retry(shared, fn));
#endif
}
}  // namespace retry_with_a_pointer_to_a_policy

// expect-error: retry: pass a policy or a rule first: retry.MaxAttempts.3., fn.
namespace retry_with_a_layer {
void use() {
#if defined(BELAY_CONTROL)
    static_cast<void>(retry(policy, fn));
#else
    static_cast<void>(retry(Timeout{1s}, fn));
#endif
}
}  // namespace retry_with_a_layer

// expect-error: RuleLike: failed must be 'Advice failed
namespace retry_with_a_misspelt_rule {
struct Rule {
#if defined(BELAY_CONTROL)
    Advice failed(const Failure&, Turn&) noexcept { return {}; }
#else
    Advice failed(const Failure&) noexcept { return {}; }
#endif
};
void use(MinimalSleeper& sleeper) { static_cast<void>(retry(Rule{}, sleeper, fn)); }
}  // namespace retry_with_a_misspelt_rule

// expect-error: retry: pass a function after the policy and the sleeper
namespace retry_without_a_function {
void use() {
#if defined(BELAY_CONTROL)
    static_cast<void>(retry(policy, fn));
#else
    static_cast<void>(retry(policy));
#endif
}
}  // namespace retry_without_a_function

// expect-error: retry: pass a function after the policy and the sleeper
namespace retry_without_a_function_after_a_sleeper {
void use(MinimalSleeper& sleeper) {
#if defined(BELAY_CONTROL)
    static_cast<void>(retry(policy, sleeper, fn));
#else
    static_cast<void>(retry(policy, sleeper));
#endif
}
}  // namespace retry_without_a_function_after_a_sleeper

// expect-error: Hedge: pass the delay, then the number of further calls, and a budget as Shared
namespace hedge_with_the_number_first {
#if defined(BELAY_CONTROL)
Hedge hedge{50ms, 2};
#else
Hedge hedge{2, 50ms};
#endif
}  // namespace hedge_with_the_number_first

// expect-error: Hedge: pass the delay, then the number of further calls, and a budget as Shared
namespace hedge_of_numbers {
#if defined(BELAY_CONTROL)
Hedge hedge{50ms, 2};
#else
Hedge hedge{50, 2};
#endif
}  // namespace hedge_of_numbers

// expect-error: Hedge: pass the delay, then the number of further calls, and a budget as Shared
namespace hedge_without_a_number {
#if defined(BELAY_CONTROL)
Hedge hedge{50ms, 1};
#else
Hedge hedge{50ms};
#endif
}  // namespace hedge_without_a_number

// expect-error: Hedge: pass the delay, then the number of further calls, and a budget as Shared
namespace hedge_with_a_bare_budget {
TokenBudget budget;
#if defined(BELAY_CONTROL)
Hedge hedge{50ms, 1, Shared{budget}};
#else
Hedge hedge{50ms, 1, budget};
#endif
}  // namespace hedge_with_a_bare_budget

// expect-error: Pipeline: pass at least one layer
namespace pipeline_without_layers {
#if defined(BELAY_CONTROL)
Pipeline pipeline{Retrying{policy}};
#else
Pipeline pipeline{};
#endif
}  // namespace pipeline_without_layers

// expect-error: Pipeline: pass a sleeper before the function: pipeline.sleeper, fn.
namespace pipeline_with_the_function_first {
void use(MinimalSleeper& sleeper) {
#if defined(BELAY_CONTROL)
    static_cast<void>(Pipeline{Retrying{policy}}(sleeper, fn));
#else
    static_cast<void>(Pipeline{Retrying{policy}}(fn, sleeper));
#endif
}
}  // namespace pipeline_with_the_function_first

// expect-error: Pipeline: the sleeper must be a variable
namespace pipeline_with_a_temporary_sleeper {
void use() {
#if defined(BELAY_CONTROL)
    ThreadSleeper sleeper;
    static_cast<void>(Pipeline{Retrying{policy}}(sleeper, fn));
#else
    static_cast<void>(Pipeline{Retrying{policy}}(ThreadSleeper{}, fn));
#endif
}
}  // namespace pipeline_with_a_temporary_sleeper

// expect-error: RateLimiter: write the rate and the burst
namespace limiter_without_a_burst {
#if defined(BELAY_CONTROL)
RateLimiter limiter{Rate{10, 1s}, Burst{10}};
#else
RateLimiter limiter{Rate{10, 1s}};
#endif
}  // namespace limiter_without_a_burst

// expect-error: RateLimiter: write the rate and the burst
namespace limiter_with_a_bare_burst {
#if defined(BELAY_CONTROL)
RateLimiter limiter{Rate{10, 1s}, Burst{10}};
#else
RateLimiter limiter{Rate{10, 1s}, 10};
#endif
}  // namespace limiter_with_a_bare_burst

// expect-error: RateLimiter: write the rate and the burst
namespace limiter_of_a_number {
#if defined(BELAY_CONTROL)
RateLimiter limiter{Rate{10, 1s}, Burst{10}};
#else
RateLimiter limiter{10};
#endif
}  // namespace limiter_of_a_number

// expect-error: Bulkhead: write the limit with its name: Bulkhead...limit = 8..
namespace bulkhead_of_two_numbers {
#if defined(BELAY_CONTROL)
Bulkhead bulkhead{{.limit = 8, .queue = 100}};
#else
Bulkhead bulkhead{8, 100};
#endif
}  // namespace bulkhead_of_two_numbers

// expect-error: Queued: the bulkhead or limiter must be a variable that outlives it
namespace queued_temporary {
#if defined(BELAY_CONTROL)
Bulkhead bulkhead{{.limit = 8, .queue = 100}};
Queued layer{bulkhead};
#else
Queued layer{Bulkhead{{.limit = 8, .queue = 100}}};
#endif
}  // namespace queued_temporary

// expect-error: Queued: a call takes one permit of a Bulkhead
namespace queued_permits_of_a_bulkhead {
Bulkhead bulkhead{{.limit = 8, .queue = 100}};
#if defined(BELAY_CONTROL)
Queued layer{bulkhead};
#else
Queued layer{bulkhead, 3};
#endif
}  // namespace queued_permits_of_a_bulkhead

// expect-error: fails_if: pass a predicate, too
namespace fails_if_without_a_predicate {
void use() {
#if defined(BELAY_CONTROL)
    static_cast<void>(retry(policy, fails_if(fn, [](bool worked) { return !worked; })));
#else
    static_cast<void>(retry(policy, fails_if(fn)));
#endif
}
}  // namespace fails_if_without_a_predicate

// expect-error: fails_on: write the type of the exceptions: fails_on<std::runtime_error>.fn.
namespace fails_on_without_a_type {
void use() {
#if defined(BELAY_CONTROL)
    static_cast<void>(retry(policy, fails_on<std::runtime_error>(fn)));
#else
    static_cast<void>(retry(policy, fails_on(fn)));
#endif
}
}  // namespace fails_on_without_a_type

// expect-error: Timeout: for an instant write Timeout::until.instant.
namespace timeout_of_an_instant {
#if defined(BELAY_CONTROL)
const auto layer = Timeout::until(never);
#else
const Timeout layer{never};
#endif
}  // namespace timeout_of_an_instant
