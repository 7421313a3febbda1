// SPDX-License-Identifier: MIT
// A retry, with each header by name.
#include <belay/backoff/backoff.hpp>
#include <belay/call/retry.hpp>
#include <belay/drive/thread_sleeper.hpp>
#include <belay/policy/rules.hpp>
#include <string>
using namespace belay;
using namespace std::chrono_literals;
std::optional<std::string> fetch();
int main() {
    ThreadSleeper sleeper;
    const Policy policy{Backoff{FullJitter{}, Cap{5s}, 100ms}, MaxAttempts{5}};
    const auto page = retry(policy, sleeper, [] { return fetch(); });
    return page ? 0 : 1;
}
