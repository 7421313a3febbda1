// SPDX-License-Identifier: MIT
// The loop of the retry by hand.
#include <chrono>
#include <optional>
#include <random>
#include <string>
#include <thread>
using namespace std::chrono_literals;
std::optional<std::string> fetch();
int main() {
    std::mt19937_64 bits{std::random_device{}()};
    std::chrono::nanoseconds ceiling = 100ms;
    for (int attempt = 1; attempt <= 5; ++attempt) {
        if (fetch()) return 0;
        std::uniform_int_distribution<long> wait{0, ceiling.count()};
        std::this_thread::sleep_for(std::chrono::nanoseconds{wait(bits)});
        ceiling = std::min<std::chrono::nanoseconds>(2 * ceiling, 5s);
    }
    return 1;
}
