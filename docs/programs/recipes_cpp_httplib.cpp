// SPDX-License-Identifier: MIT
#include <cstdio>
#include <cstdlib>
#include <string>

#include <httplib.h>

#include <belay/belay.hpp>
#include <belay/drive.hpp>
#include <belay/http.hpp>
using namespace belay;
using namespace std::chrono_literals;

// excerpt: begin
Failure classify(const httplib::Result& r) {
    if (!r) return {.cause = r.error() == httplib::Error::Connection ? Cause::refused : Cause::lost};
    HttpHeaders headers;  // a Retry-After may be seconds, or a date
    for (const char* const name : {"Retry-After", "Date"}) {
        if (r->has_header(name)) headers.add({name, r->get_header_value(name)});
    }
    return http_failure(HttpResponse{.status = r->status, .headers = headers});
}
// excerpt: end

int main(int count, char** words) {
    if (count != 2) return std::puts("usage: PORT"), 2;
    httplib::Client client{"127.0.0.1", std::atoi(words[1])};
    client.set_read_timeout(10s);
    TokenBudget budget{TokenBudgetOptions::grpc(10, 100)};  // one for all calls of this server
    const Policy policy{Backoff{FullJitter{}, Cap{5s}, 100ms}, StopOn{Cause::permanent, Cause::unauthorized}, Shared{budget},
                        MaxAttempts{4}, MaxElapsed{30s}};
    int attempts = 0;
    const auto ask = [&] { return ++attempts, client.Get("/busy-twice"); };
    const auto page = retry(policy, fails_if(ask, classify));
    std::printf("%s after %d attempts\n", page ? (*page)->body.c_str() : page.message().c_str(), attempts);
    return page ? 0 : 1;
}
