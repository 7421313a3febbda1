// SPDX-License-Identifier: MIT
// For the pages on retries and their limits: a user's calls, and the time.
#pragma once

#include <string>

#include <belay/call_coroutines.hpp>

#include "usual.hpp"

namespace frames::call {

struct Config {
    Duration base, cap;
};
extern const Config config;

struct Response {
    int status;
    std::string body;
};
Result<Response> fetch();
using Scene = std::string;
Result<Scene> fetch_scene();
Result<Scene> fetch_before(Instant deadline);
Task<Result<Scene>> async_fetch_scene();
extern const Scene cached;

bool ask();
bool is_server_error(const Failure& failure) noexcept;
inline CircuitBreaker breaker{ConsecutiveFailures{5}, OpenFor{30s}};
inline RateLimiter limiter{Rate{10, 1s}, Burst{10}};
inline Bulkhead bulkhead{BulkheadOptions{.limit = 4}};
inline TokenBudget budget{TokenBudgetOptions::aws()};

extern Random bits;
Instant now();
std::chrono::system_clock::time_point wall();
inline Turn turn{now(), bits};

}  // namespace frames::call
