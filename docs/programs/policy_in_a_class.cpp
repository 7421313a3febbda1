// SPDX-License-Identifier: MIT
#include <cstdio>

#include <belay/belay.hpp>
#include <belay/drive.hpp>
using namespace belay;
using namespace std::chrono_literals;

// excerpt: begin
auto patience(CircuitBreaker<>& breaker) {
    return Policy{
        Backoff{FullJitter{}, Cap{30s}, 10ms},
        Shared{breaker, FailFast{}},
        MaxAttempts{10},
    };
}
// excerpt: end

// excerpt: begin
class Client {
public:
    Result<void> send() {
        return retry(policy_, [this] { return ++calls_ == 3; });
    }
    int calls() const { return calls_; }

private:
    // The policy refers to it. A breaker cannot be copied or moved, and so a Client cannot either.
    CircuitBreaker<> breaker_{ConsecutiveFailures{5}, OpenFor{300s}};
    decltype(patience(breaker_)) policy_ = patience(breaker_);
    int calls_ = 0;
};
// excerpt: end

int main() {
    Client client;
    const Result<void> done = client.send();
    std::printf("%s: %d calls\n", done ? "success" : "failure", client.calls());
}
