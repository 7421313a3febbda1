// SPDX-License-Identifier: MIT
// Goal: header fields are found in any case and keep their order; a response's failure is that
// of its connection, otherwise that of its status, with the wait of its Retry-After. Method:
// examples.
#include <belay/http/http_message.hpp>

#include <string>

#include <belay/call/retry.hpp>
#include <belay/policy/max_attempts.hpp>
#include <belay/policy/policy.hpp>
#include <belay/policy/stop_on.hpp>

#include "support/archetypes.hpp"
#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

TEST_CASE("HttpHeaders::find reads names in any case", "[link][http_message][unit]") {
    const HttpHeaders headers{{"Mcp-Session-Id", "a"}, {"MCP-SESSION-ID", "b"}, {"[", "c"}};
    REQUIRE(headers.find("mcp-session-id") != nullptr);
    CHECK(*headers.find("mcp-session-id") == "a");
    CHECK(headers.find("mcp-session-i") == nullptr);
    CHECK(headers.find("") == nullptr);
    // '[' and '{' differ by the bit by which letters change their case.
    CHECK(headers.find("{") == nullptr);
    CHECK(*headers.find("[") == "c");
}

TEST_CASE("HttpHeaders::set leaves one field of its name", "[link][http_message][unit]") {
    HttpHeaders headers{{"Accept", "a"}, {"Host", "h"}, {"ACCEPT", "b"}};
    headers.set({"accept", "c"});
    CHECK(headers == HttpHeaders{{"Host", "h"}, {"accept", "c"}});
    headers.add({"Accept", "d"});
    CHECK(headers.size() == 3);
    CHECK(*headers.find("Accept") == "c");
    CHECK(HttpHeaders{}.empty());
}

TEST_CASE("http_failure of a response: its connection's failure, otherwise its status's",
          "[link][http_message][unit]") {
    CHECK(http_failure(HttpResponse{.status = 204}) == Failure{});
    CHECK(http_failure(HttpResponse{.status = 503}).cause == Cause::overloaded);
    CHECK(http_failure(HttpResponse{.status = 302}).cause == Cause::permanent);
    // Half of a 200 is no success.
    const HttpResponse half{.status = 200, .failure = Failure::from(HttpErrc::lost)};
    CHECK_FALSE(half.complete());
    CHECK(http_failure(half).error() == HttpErrc::lost);
    CHECK(http_failure(HttpResponse{}).cause == Cause::lost);
}

TEST_CASE("http_failure of a response has the wait of its Retry-After",
          "[link][http_message][unit]") {
    const auto wait = [](HttpHeaders headers) {
        return http_failure(HttpResponse{.status = 503, .headers = std::move(headers)}).retry_after;
    };
    CHECK(wait({{"retry-after", "7"}}) == 7s);
    CHECK(wait({{"Retry-After", "Sun, 06 Nov 1994 08:49:37 GMT"},
                {"date", "Sun, 06 Nov 1994 08:49:07 GMT"}}) == 30s);
    CHECK(wait({{"Retry-After", "Sun, 06 Nov 1994 08:49:37 GMT"}}) == 0s);
    CHECK(wait({{"Retry-After", "soon"}}) == 0s);
    CHECK(wait({{"Retry-After", "99999999999"}}) == 24h);
    CHECK(wait({}) == 0s);
}

TEST_CASE("retry repeats a request whose HttpResponse is a failure", "[http][http_message][unit]") {
    Random bits{Seed{1}};
    belay_test::MinimalSleeper sleeper{bits};
    int calls = 0;
    const auto busy = [&] { return HttpResponse{.status = ++calls < 3 ? 503 : 200}; };
    const auto page = retry(MaxAttempts{5}, sleeper, busy);
    CHECK(page->status == 200);
    CHECK(calls == 3);

    // Also inside a Result; the last response is not lost, and its cause stops a rule.
    calls = 0;
    const auto gone = [&]() -> Result<HttpResponse> {
        return ++calls, HttpResponse{.status = 404};
    };
    const auto none = retry(Policy{StopOn{Cause::permanent}, MaxAttempts{5}}, sleeper, gone);
    CHECK(calls == 1);
    CHECK_FALSE(none);
    CHECK(none.last()->status == 404);
    CHECK(none.error() == std::error_code{404, http_category()});
}

TEST_CASE("HttpRequest::on_chunk accepts a function of its form, or none",
          "[link][http_message][unit]") {
    std::string received;
    HttpRequest request{.on_chunk = [&](const HttpResponse& head, std::string_view piece) noexcept {
        received += std::to_string(head.status);
        received += piece;
    }};
    REQUIRE(request.on_chunk);
    HttpRequest moved = std::move(request);
    moved.on_chunk(HttpResponse{.status = 200}, "ab");
    CHECK(received == "200ab");
    CHECK_FALSE(HttpRequest{}.on_chunk);
    // What it says of itself.
    CHECK(HttpRequest{}.method == "GET");
    CHECK(HttpRequest{}.deadline == 30s);
    CHECK_FALSE(HttpRequest{}.redirects);
}
