// SPDX-License-Identifier: MIT
#include <cstdio>

#include <belay/belay.hpp>
#include <belay/drive.hpp>
using namespace belay;
using namespace std::chrono_literals;

// excerpt: begin
// One breaker and one budget for all callers.
CircuitBreaker breaker{FailureRate{TimeWindow{30s}, {.percent = 50, .min_calls = 20}}, OpenFor{30s}};
TokenBudget budget{TokenBudgetOptions::grpc(10, 100)};

// A connection: never gives up.
const Policy connection{Backoff{FullJitter{}, Cap{30s}, 1s}, ResetWhenStable{10s}};
// A request.
const Policy request{Backoff{FullJitter{}, Cap{5s}, 100ms}, StopOn{Cause::permanent, Cause::forbidden, Cause::unauthorized}, Shared{budget},
                     MaxAttempts{4}};
// A request among many, to a server that may be overloaded.
const Policy one_of_many{Backoff{FullJitter{}, Cap{10s}, 100ms}, Shared{breaker, FailFast{}}, Shared{budget}, MaxAttempts{4},
                         MaxElapsed{30s}};
// excerpt: end

int main() {
    int calls = 0;
    const Result<int> answer = retry(one_of_many, any_value([&] { return ++calls; }));
    std::printf("%d after %d call\n", *answer, calls);
}
