// SPDX-License-Identifier: MIT
// Goal: header fields are found in any case and keep their order. The failure of a response is that
// of its connection, otherwise that of its status, with the wait of its Retry-After. Method:
// examples.
#include <belay/http/http_message.hpp>

#include <string>

#include <belay/call/retry.hpp>
#include <belay/policy/policy.hpp>
#include <belay/policy/rules.hpp>

#include "support/archetypes.hpp"
#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

TEST_CASE("HttpHeaders::find finds names in any case", "[link][http_message][unit]") {
    const HttpHeaders headers{{"Mcp-Session-Id", "a"}, {"MCP-SESSION-ID", "b"}, {"[", "c"}};
    REQUIRE(headers.find("mcp-session-id") != nullptr);
    CHECK(*headers.find("mcp-session-id") == "a");
    CHECK(headers.find("mcp-session-i") == nullptr);
    CHECK(headers.find("") == nullptr);
    // '[' and '{' differ in the bit by which letters change their case.
    CHECK(headers.find("{") == nullptr);
    CHECK(*headers.find("[") == "c");
}

TEST_CASE("HttpHeaders::set replaces all fields of its name by one", "[link][http_message][unit]") {
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
    // A part of a 200 is no success.
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
    CHECK(wait({{"Retry-After", "Sun, 06 Nov 1994 08:49:37 GMT"}}) == 5s);
    CHECK(wait({{"Retry-After", "99999999999"}}) == 24h);
    CHECK(wait({}) == 0s);
}

TEST_CASE("http_failure rounds a Retry-After up, and reads the first element of a list",
          "[link][http_message][regression]") {
    const auto wait = [](std::string value) {
        return http_failure(HttpResponse{.status = 503, .headers = {{"Retry-After", value}}})
            .retry_after;
    };
    for (const char* const three : {"2.5", "2.001", "3", "3, 3", "3,60", " 3 ", "\"3\"", "+3", "3s",
                                    "3 seconds", "3;q=1", "3.0", "2500ms", "03"}) {
        INFO(three);
        CHECK(wait(three) == 3s);
    }
    for (const char* const now : {"0", "0.0", "0s"}) CHECK(wait(now) == 0s);
    for (const char* const one : {"0.4", "0.0001", "1ms", "999 ms", "PT0.1S"}) {
        INFO(one);
        CHECK(wait(one) == 1s);
    }
    for (const char* const minute_and_half :
         {"90", "1.5m", "1.5 minutes", "1m30s", "1m 30s", "1 min 30 sec", "PT1M30S", "0h1m30.0s"}) {
        INFO(minute_and_half);
        CHECK(wait(minute_and_half) == 90s);
    }
    CHECK(wait("1h") == 1h);
    for (const char* const long_ones : {"25h", "99999999999h", "9999999999999999999999"}) {
        CHECK(wait(long_ones) == 24h);
    }
}

TEST_CASE("http_failure waits for some time if a Retry-After cannot be read",
          "[link][http_message][regression]") {
    const auto wait = [](std::string value, Duration trusted_max = 30s) {
        const HttpHeaders headers{{"Retry-After", std::move(value)}};
        return http_failure(HttpResponse{.status = 503, .headers = headers}, trusted_max)
            .retry_after;
    };
    for (const char* const unreadable : {"",
                                         " ",
                                         "-3",
                                         "-1",
                                         "-0.5",
                                         "- 3",
                                         "null",
                                         "NaN",
                                         "undefined",
                                         "Infinity",
                                         "soon",
                                         "a while",
                                         "1 fortnight",
                                         ".5",
                                         "1e3",
                                         "0x10",
                                         "30 40",
                                         "1m30",
                                         "00:00:30",
                                         "PT",
                                         ";",
                                         ",",
                                         "Sun, 31 Feb 1995 00:00:00 GMT"}) {
        INFO(unreadable);
        CHECK(wait(unreadable) == 5s);
        CHECK(wait(unreadable, 2s) == 2s);
    }
}

TEST_CASE("http_failure measures a date without a Date by the clock of the client",
          "[link][http_message][regression]") {
    const auto wait = [](std::string value, Duration trusted_max = 30s) {
        const std::chrono::sys_days day{std::chrono::year{1994} / 11 / 6};
        const HttpHeaders headers{{"Retry-After", std::move(value)}};
        const HttpResponse busy{
            .status = 503, .headers = headers, .received = day + 8h + 49min + 30s};
        return http_failure(busy, trusted_max).retry_after;
    };
    for (const char* const date :
         {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT",
          "Sun Nov  6 08:49:37 1994", "Sun, 06 Nov 1994 08:49:37 UTC",
          "Sun, 06 Nov 1994 08:49:37 +0000", "Sun, 06 Nov 1994 08:49:37", "1994-11-06T08:49:37Z",
          "1994-11-06T08:49:37+00:00", "06 Nov 1994 08:49:37 GMT", "1994-11-06T08:49:37.125Z",
          "1994-11-06T08:49:37.123456789+00:00", "1994-11-06 08:49:37Z",
          "1994-11-06T10:19:37+01:30", "1994-11-05T21:49:37-1100"}) {
        INFO(date);
        CHECK(wait(date) == 7s);
        // One of the clocks may be wrong.
        CHECK(wait(date, 6s) == 5s);
    }
    CHECK(wait("Sun, 06 Nov 1994 08:49:29 GMT") == 5s);
    CHECK(wait("Sun, 06 Nov 1994 08:49:30 GMT") == 0s);
    CHECK(wait("Sun, 06 Nov 1994 08:50:00 GMT") == 30s);
    CHECK(wait("Sun, 06 Nov 1994 08:50:01 GMT") == 5s);
}

TEST_CASE("http_failure reads a Retry-After in seconds since 1970",
          "[link][http_message][regression]") {
    const HttpHeaders headers{{"Retry-After", "1700000007"},
                              {"Date", "Tue, 14 Nov 2023 22:13:20 GMT"}};
    CHECK(http_failure(HttpResponse{.status = 503, .headers = headers}).retry_after == 7s);
    const HttpHeaders in_milliseconds{{"Retry-After", "1700000007000"},
                                      {"Date", "Tue, 14 Nov 2023 22:13:20 GMT"}};
    CHECK(http_failure(HttpResponse{.status = 503, .headers = in_milliseconds}).retry_after == 7s);
    for (const char* const undated : {"1700000007", "1700000007000"}) {
        const HttpHeaders headers_alone{{"Retry-After", undated}};
        CHECK(http_failure(HttpResponse{.status = 503, .headers = headers_alone}).retry_after ==
              5s);
    }
}

TEST_CASE("http_failure reads a Retry-After in each of the three formats of a date",
          "[link][http_message][unit]") {
    const auto wait = [](std::string after, std::string date) {
        const HttpHeaders headers{{"Retry-After", std::move(after)}, {"Date", std::move(date)}};
        return http_failure(HttpResponse{.status = 503, .headers = headers}).retry_after;
    };
    const std::string now = "Sun, 06 Nov 1994 08:49:30 GMT";
    for (const char* const after : {"Sun, 06 Nov 1994 08:49:37 GMT",
                                    "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"}) {
        INFO(after);
        CHECK(wait(after, now) == 7s);
        CHECK(wait(after, "Sunday, 06-Nov-94 08:49:30 GMT") == 7s);
        CHECK(wait(after, "Sun Nov  6 08:49:30 1994") == 7s);
        CHECK(wait(after, "Sun Nov  6 08:49:37 1994") == 0s);
        CHECK(wait(after, "Sun Nov  6 08:49:38 1994") == 5s);  // in the past
        CHECK(wait(after, "Sat, 05 Nov 1994 08:49:37 GMT") == 24h);
        CHECK(wait(after, "Sat, 06 Nov 1993 08:49:37 GMT") == 24h);
        for (std::size_t n = 1; n < std::string_view{after}.size(); ++n) {  // cut short
            const Duration wait_of_part = wait(std::string{after, n}, now);
            CHECK((wait_of_part == 5s || wait_of_part == 7s));  // 7 s without the zone
            CHECK(wait(now, std::string{after, n}) == 5s);
        }
    }
    CHECK(wait("Wed Nov 16 08:49:37 1994", "Wed, 16 Nov 1994 08:49:36 GMT") == 1s);
    // A year of two digits is at most 50 years after the other date (RFC 9110, section 5.6.7).
    CHECK(wait("Thursday, 01-Jan-70 00:00:01 GMT", "Wed, 31 Dec 2069 23:59:59 GMT") == 2s);
    CHECK(wait("Saturday, 01-Jan-00 00:00:01 GMT", "Friday, 31-Dec-99 23:59:59 GMT") == 2s);
    CHECK(wait("Friday, 01-Jan-77 00:00:00 GMT", "Thu, 31 Dec 2026 00:00:00 GMT") == 5s);
    CHECK(wait("Friday, 01-Jan-76 00:00:00 GMT", "Thu, 31 Dec 2026 00:00:00 GMT") == 24h);
    CHECK(wait("Tuesday, 29-Feb-00 00:00:00 GMT", "Mon, 28 Feb 2000 23:59:00 GMT") == 1min);
    CHECK(wait("Sat, 31 Dec 2016 23:59:60 GMT", "Sat, 31 Dec 2016 23:59:59 GMT") == 1s);
    for (const char* const none :
         {"Sun, 06 Nov 1994 24:00:00 GMT", "Sun, 06 Nov 1994 08:60:37 GMT",
          "Sun, 06 Nov 1994 08:49:61 GMT", "Sun, 31 Apr 1995 08:49:37 GMT",
          "Sun, 06 ovD 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 CET",
          "Sun, 06-Nov-1994 08:49:37 GMT", "Sunday, 06 Nov 94 08:49:37 GMT",
          "Tuesday, 29-Feb-95 08:49:37 GMT", "Sun, 00 Nov 1994 08:49:37 GMT",
          "Sun, 06 Nov 1994 08 49 37 GMT", "Sun Nov    08:49:37 1994", "Sun Nov  6 08:49:37 94",
          ", 06 Nov 1994 08:49:37 GMT", "Sun,\t06 Nov 1994 08:49:37 GMT"}) {
        INFO(none);
        CHECK(wait(none, "Sat, 05 Nov 1994 08:49:36 GMT") == 5s);
    }
}

TEST_CASE("http_failure reads any text as a Retry-After, and waits for at most a day",
          "[link][http_message][property]") {
    Random bits{Seed{7}};
    const std::string forms[] = {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT",
                                 "Sun Nov  6 08:49:37 1994", "120"};
    const auto text = [&] {
        std::string out = forms[bits() % 4];
        for (auto changes = bits() % 4; changes != 0; --changes) {
            const std::size_t at = bits() % (out.size() + 1);
            if (bits() % 4 == 0) {
                out.insert(at, 1, static_cast<char>(bits() % 256));
            } else if (at < out.size()) {
                out[at] = "0123456789 ,:-\xFF"[bits() % 15];
            }
        }
        return out;
    };
    int waits = 0;
    for (int i = 0; i < 20'000; ++i) {
        const HttpHeaders headers{{"Retry-After", text()}, {"Date", text()}};
        const Duration wait =
            http_failure(HttpResponse{.status = 503, .headers = headers}).retry_after;
        if (wait < 0s || wait > 24h) FAIL(headers.begin()->value);
        waits += wait > 0s;
    }
    CHECK(waits > 1'000);
}

TEST_CASE("retry repeats a request whose HttpResponse is a failure", "[http][http_message][unit]") {
    Random bits{Seed{1}};
    belay_test::MinimalSleeper sleeper{bits};
    int calls = 0;
    const auto busy = [&] { return HttpResponse{.status = ++calls < 3 ? 503 : 200}; };
    const auto page = retry(MaxAttempts{5}, sleeper, busy);
    CHECK(page->status == 200);
    CHECK(calls == 3);

    // The same inside a Result. The last response is not lost, and its cause stops a rule.
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

TEST_CASE("HttpRequest::on_chunk accepts a function of its type, or none",
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
    // The defaults of a request.
    CHECK(HttpRequest{}.method == "GET");
    CHECK(HttpRequest{}.deadline == 30s);
    CHECK_FALSE(HttpRequest{}.redirects);
}
