// SPDX-License-Identifier: MIT
// Goal: options that cannot work are detected at compile time, each by its own field.
#include <belay/http/http_calls_options.hpp>

using namespace belay;
using namespace std::chrono_literals;

namespace {

constexpr HttpCallsOptions by_default{};
static_assert(by_default.check().empty());
static_assert(by_default.attempts_max == 4 &&
              by_default.budget == TokenBudgetOptions::grpc(10, 100));
static_assert(by_default.unanswered_after == forever);
static_assert(by_default.hedge_after == forever && !by_default.single_flight);
static_assert(by_default.deadline_header.empty());

template <class Change>
consteval bool is_wrong(Change change) {
    HttpCallsOptions options;
    change(options);
    return !options.check().empty();
}
static_assert(is_wrong([](auto& o) { o.attempts_max = 0; }));
static_assert(is_wrong([](auto& o) { o.first_wait = 0s; }));
static_assert(is_wrong([](auto& o) { o.wait_max = o.first_wait; }));
static_assert(is_wrong([](auto& o) { o.attempt_timeout = 0s; }));
static_assert(is_wrong([](auto& o) { o.token_timeout = 0s; }));
static_assert(is_wrong([](auto& o) { o.retry_after_max = -1s; }));
static_assert(!is_wrong([](auto& o) { o.retry_after_max = 0s; }));
static_assert(is_wrong([](auto& o) { o.breaker.percent = 101; }));
static_assert(!is_wrong([](auto& o) { o.breaker.percent = 0; }));
static_assert(is_wrong([](auto& o) { o.breaker.min_calls = 0; }));
static_assert(is_wrong([](auto& o) { o.breaker_window = 0s; }));
static_assert(is_wrong([](auto& o) { o.breaker_open = 0s; }));
static_assert(is_wrong([](auto& o) { o.hosts_max = 0; }));
static_assert(is_wrong([](auto& o) { o.hedge_after = -1s; }));
static_assert(is_wrong([](auto& o) { o.unanswered_after = 0s; }));
static_assert(is_wrong([](auto& o) { o.budget.capacity_milli = 0; }));

}  // namespace
