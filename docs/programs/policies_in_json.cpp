// SPDX-License-Identifier: MIT
#include <cstdio>

#include <belay/json/policy.hpp>
#include <belay/belay.hpp>
#include <belay/drive.hpp>
using namespace belay;

TokenBudget budget{TokenBudgetOptions::grpc(10, 100)};  // one for all calls of a server

int main() {
    // excerpt: begin
    const char* text = R"({
        "payments": {"backoff": {"base": "10ms", "cap": "10s"}, "stop_on": ["permanent"], "max_attempts": 5},
        "search":   {"backoff": {"base": "10ms", "cap": 10}, "max_attempts": 2}
    })";
    const auto read = policies::read_policies(text);
    if (!read) return std::printf("%s\n", read.error().message().c_str()), 0;
    int calls = 0;
    const Policy payments{read->at("payments"), Shared{budget}};
    // excerpt: end
    const auto done = retry(payments, [&](const Attempt&) { return ++calls == 3; });
    std::printf("%s after %d calls\n", done ? "success" : "failure", calls);
}
