// SPDX-License-Identifier: MIT
#include <atomic>
#include <cstdio>
#include <string>
#include <thread>

#include <belay/belay.hpp>
#include <belay/drive.hpp>
using namespace belay;
using namespace std::chrono_literals;

std::atomic<int> calls{0};
bool call(Attempt) { return ++calls > 8; }  // yours ends at attempt.deadline; this server fails at first

// excerpt: begin
// One of each for all threads that call this server. In a program, use 20 calls, and 30 s.
CircuitBreaker breaker{FailureRate{TimeWindow{30s}, {.percent = 50, .min_calls = 5}}, OpenFor{50ms}};
TokenBudget budget{TokenBudgetOptions::grpc(10, 100)};

void work(std::atomic<int>& answers) {  // runs on two threads
    ThreadSleeper sleeper;
    RetryEnded end;
    const Policy policy{Backoff{FullJitter{}, Cap{1s}, 10ms}, Shared{budget}, MaxAttempts{3}};
    Pipeline pipeline{Timeout{2s}, Retrying{policy, std::ref(end)}, Shared{breaker}};
    for (int i = 0; i < 10;) {
        if (pipeline(sleeper, call)) {
            ++i, ++answers;
        } else {
            std::fprintf(stderr, "%s: %s\n", std::string{end.rule()}.c_str(), end.message().c_str());
            std::this_thread::sleep_for(10ms);
        }
    }
}
// excerpt: end

int main() {
    std::atomic<int> answers{0};
    std::thread first{work, std::ref(answers)}, second{work, std::ref(answers)};
    first.join();
    second.join();
    const bool is_closed = breaker.state() == BreakerState::closed;
    std::printf("%d answers, the breaker opened %d time, and is %s\n", answers.load(), static_cast<int>(breaker.counters().opened),
                is_closed ? "closed" : "not closed");
}
