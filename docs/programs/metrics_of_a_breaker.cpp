// SPDX-License-Identifier: MIT
#include <cstdio>
#include <string>

#include <belay/belay.hpp>
#include <belay/breaker/breaker_metrics.hpp>
#include <belay/drive.hpp>
#include <belay/metrics.hpp>
using namespace belay;
using namespace std::chrono_literals;

int main() {
    // excerpt: begin
    CircuitBreaker breaker{ConsecutiveFailures{3}, OpenFor{30s}};
    const Policy policy{Backoff{FullJitter{}, Cap{1ms}, 1ms}, Shared{breaker, FailFast{}}, MaxAttempts{5}};
    static_cast<void>(retry(policy, [] { return false; }));

    metrics::Page page;  // a new one for each scrape
    page.add("payments", breaker);
    std::string text;
    to_prometheus(text, page);
    // excerpt: end
    for (std::size_t begin = 0, end; begin < text.size(); begin = end + 1) {
        end = text.find('\n', begin);
        const std::string line = text.substr(begin, end - begin);
        if (line[0] != '#' && !line.ends_with(" 0")) std::puts(line.c_str());  // to be short: without zeros
    }
}
