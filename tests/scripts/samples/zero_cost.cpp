// SPDX-License-Identifier: MIT
// Compiled by zero_cost.py: with -DZERO_COST_OBSERVER=0 nobody observes, with 1 one without hooks
// does, with 2 one that does nothing in its hooks, with 3 one that counts.
#include <belay/backoff/backoff.hpp>
#include <belay/call/retry.hpp>
#include <belay/policy/rules.hpp>

using namespace belay;
using namespace std::chrono_literals;

bool ask(std::uint64_t attempt);

struct Sleeper {
    [[nodiscard]] Instant now() const noexcept;
    Random& bits() noexcept;
    void sleep_until(Instant until, const NeverStops&) noexcept;
    void sleep_until(Instant until, const auto& stop) noexcept;
};

#if ZERO_COST_OBSERVER <= 1
struct Watcher : NoObserver {};
#elif ZERO_COST_OBSERVER == 2
struct Watcher {
    void on_attempt(const Attempt&) noexcept {}
    void on_retry(const RetryPlanned&) noexcept {}
    void on_rejection(const CallRejected&) noexcept {}
    void on_success(const Attempt&) noexcept {}
    void on_give_up(const RetryEnded&) noexcept {}
};
#else
using Watcher = RetryCounters;
#endif

bool run(Sleeper& sleeper, Watcher& watcher) {
    const Policy policy{Backoff{FullJitter{}, Cap{30s}, 1s}, MaxAttempts{10}};
    const auto fn = [](Attempt attempt) { return ask(attempt.number); };
#if ZERO_COST_OBSERVER == 0
    static_cast<void>(watcher);
    return retry(policy, sleeper, fn).has_value();
#else
    return retry(policy, sleeper, fn, NeverStops{}, watcher).has_value();
#endif
}
