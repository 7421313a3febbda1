// SPDX-License-Identifier: MIT
// Goal: the parts of a request are checked and encoded, and a server's Retry-After is parsed.
// Method: the texts of RFC 9110, 3986 and 3629, and invalid texts close to them.
#include <belay/beast/websocket_options.hpp>

#include <belay/core/detail/utf8.hpp>
#include <belay/http/detail/http_text.hpp>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

TEST_CASE("A request contains no line end of its options", "[beast][websocket_options][unit]") {
    using namespace detail;
    CHECK(is_header_value("Bearer a.b-c=\t~"));
    for (const std::string_view bad :
         std::initializer_list<std::string_view>{"a\r", "a\nb", {"a\0b", 3}, "\x7f"}) {
        CHECK_FALSE(is_header_value(bad));
        CHECK_FALSE(is_header_name(bad));
        CHECK_FALSE(is_one_word(bad));
    }
    CHECK(is_header_value(std::string(header_bytes_max, 'a')));
    CHECK_FALSE(is_header_value(std::string(header_bytes_max + 1, 'a')));
    CHECK(is_header_name("X-Client"));
    for (const char* const bad : {"", "X Client", "X:", "X(", "X\t"}) {
        CHECK_FALSE(is_header_name(bad));
    }
    CHECK_FALSE(is_one_word("/a b"));
    CHECK(percent_encoded("aZ09-._~") == "aZ09-._~");
    CHECK(percent_encoded("a&b=c d/\xff%\r\n") == "a%26b%3Dc%20d%2F%FF%25%0D%0A");
}

TEST_CASE("A Retry-After is a number of seconds, or a date relative to that of the answer",
          "[beast][websocket_options][unit]") {
    const auto wait = [](std::string_view value, std::string_view date = {}) {
        return detail::RetryAfter{value, date}.wait();
    };
    constexpr std::string_view now = "Sun, 06 Nov 1994 08:49:37 GMT";
    CHECK(wait("120") == 120s);
    CHECK(wait("0") == 0s);
    CHECK(wait("4000000000") == 24h);
    CHECK(wait("99999999999") == 24h);
    CHECK(wait(std::string(400, '9')) == 24h);
    CHECK(wait("Sun, 06 Nov 1994 08:50:37 GMT", now) == 60s);
    CHECK(wait("Mon, 07 Nov 1994 00:00:00 GMT", now) == 15h + 10min + 23s);
    CHECK(wait(now, now) == 0s);
    // A date without the date of the response, or one that cannot be parsed.
    for (const std::string_view bad :
         {"soon", "", "-3", "Sun, 06 Nov 1994 08:49:36 GMT", "Sun, 31 Feb 1995 00:00:00 GMT",
          "Sun, 06 Nov 1994 08:49:37 CET"}) {
        CHECK(wait(bad, now) == 5s);
    }
    CHECK(wait("Sun, 06 Nov 1994 08:50:37 GMT") == 5s);
}

TEST_CASE("Only UTF-8 is accepted as text", "[beast][websocket_options][unit]") {
    for (const char* const good : {"", "abc", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80",
                                   "\xed\x9f\xbf", "\xf4\x8f\xbf\xbf"}) {
        CHECK(detail::is_utf8(good));
    }
    for (const char* const bad :
         {"\x80", "\xc3", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
          "\xf8\x88\x80\x80\x80", "\xe2\x82", "a\xff"}) {
        CHECK_FALSE(detail::is_utf8(bad));
    }
}
