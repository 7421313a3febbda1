// SPDX-License-Identifier: MIT
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <belay/core/fmt_format.hpp>
#include <belay/belay.hpp>
#include <belay/breaker/breaker_text.hpp>
#include <belay/call/call_text.hpp>
#include <belay/drive.hpp>
using namespace belay;
using namespace std::chrono_literals;

// excerpt: begin
struct LoggedCalls {
    void on_retry(const RetryPlanned& event) { spdlog::info("{}", event); }
    void on_give_up(const RetryEnded& event) { spdlog::warn("{}", event); }
};
// excerpt: end
struct LoggedBreaker {
    void on_breaker(const BreakerEvent& event) noexcept { spdlog::warn("breaker {}, because of {}", event.change, event.cause); }
};

int main() {
    spdlog::set_default_logger(spdlog::stdout_logger_mt("app"));
    spdlog::set_pattern("%l %v");
    // excerpt: begin
    CircuitBreaker breaker{ConsecutiveFailures{2}, OpenFor{30s}, LoggedBreaker{}};
    const Policy policy{Backoff{NoJitter{}, Cap{1ms}, 1ms}, Shared{breaker, FailFast{}}, MaxAttempts{4}};
    static_cast<void>(retry(
        policy, [] { return false; }, NeverStops{}, LoggedCalls{}));
    // excerpt: end
}
