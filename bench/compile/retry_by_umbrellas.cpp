// SPDX-License-Identifier: MIT
// A retry, with belay.hpp and drive.hpp.
#include <belay/belay.hpp>
#include <belay/drive.hpp>
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
