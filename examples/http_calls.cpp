// SPDX-License-Identifier: MIT
// HTTP in one line, in a coroutine: a server is busy twice, and the request is repeated until it is
// not. Its first argument is the port of the server.
#include <cstdio>
#include <string>

#include <belay/curl/http.hpp>
#include <belay/drive.hpp>
#include <belay/http/http_calls.hpp>
#include <belay/posix.hpp>

using namespace belay;
using namespace std::chrono_literals;

using Calls = HttpCalls<curl::Http, LoopSleeper<posix::Loop<>>>;

Task<bool> place_order(Calls& calls, std::string url) {
    // With the key, the server detects that both are the same order, so the POST may be repeated.
    HttpRequest order{.url = url,
                      .method = "POST",
                      .headers = {{"Idempotency-Key", "order-7"}},
                      .body = "apples"};
    const auto placed = co_await calls.send(order);
    std::printf("%s\n", placed ? placed->body.c_str() : placed.error().message().c_str());
    co_return placed.has_value();
}

int main(int argc, char** argv) {
    if (argc < 2) return 2;
    posix::Loop loop;
    curl::Http http{loop};
    LoopSleeper sleeper{loop};
    Calls calls{http, sleeper, {.attempts_max = 5, .deadline_header = "X-Timeout-Ms"}};
    Task<bool> placed = place_order(calls, std::string{"http://127.0.0.1:"} + argv[1] + "/orders");
    placed.start();
    loop.run_until([&] { return placed.done(); });
    std::printf("%llu requests\n", static_cast<unsigned long long>(calls.counters().requests));
    return placed.take() ? 0 : 1;
}
