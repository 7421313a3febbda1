// SPDX-License-Identifier: MIT
// Goal: times, errors and failures have a text that is exact and cannot be mistaken for another
// line. Method: values at the ends of each type, and every day that an instant can have.
#include <belay/core/text.hpp>

#include <string>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

TEST_CASE("to_string of a Duration is exact, in the largest unit up to a second",
          "[core][text][unit]") {
    CHECK(to_string(Duration{0}) == "0s");
    CHECK(to_string(Duration{7}) == "7ns");
    CHECK(to_string(Duration{999}) == "999ns");
    CHECK(to_string(Duration{1500}) == "1.5us");
    CHECK(to_string(Duration{250ms}) == "250ms");
    CHECK(to_string(Duration{1s + 1ns}) == "1.000000001s");
    CHECK(to_string(Duration{90min}) == "5400s");
    CHECK(to_string(Duration{-1500ms}) == "-1.5s");
    CHECK(to_string(forever) == "forever");
    CHECK(to_string(Duration::max() - 1ns) == "9223372036.854775806s");
    CHECK(to_string(Duration::min()) == "-9223372036.854775808s");
}

TEST_CASE("to_string of an Instant prints `never` and `always` by name", "[core][text][unit]") {
    CHECK(to_string(never) == "never");
    CHECK(to_string(always) == "always");
    CHECK(to_string(Instant{}) == "0s");
    CHECK(to_string(Instant{5132250ms}) == "5132.25s");
}

TEST_CASE("to_string of a WallTime is RFC 3339 in UTC", "[core][text][unit]") {
    CHECK(to_string(WallTime{}) == "1970-01-01T00:00:00Z");
    CHECK(to_string(WallTime{1'700'000'000s + 250ms}) == "2023-11-14T22:13:20.25Z");
    CHECK(to_string(WallTime{-1ns}) == "1969-12-31T23:59:59.999999999Z");
    CHECK(to_string(WallTime{951'782'400s}) == "2000-02-29T00:00:00Z");
    CHECK(to_string(WallTime::max()) == "2262-04-11T23:47:16.854775807Z");
    CHECK(to_string(WallTime::min()) == "1677-09-21T00:12:43.145224192Z");
}

TEST_CASE("to_string of a WallTime is right on every day of all years that it can have",
          "[core][text][property]") {
    std::int64_t year = 1678;
    unsigned month = 1;
    unsigned day = 1;
    std::int64_t number = -106'650;  // 1678-01-01
    bool right = true;
    for (; year < 2262; ++number) {
        const std::string date = to_string(WallTime{std::chrono::hours{24 * number}});
        const auto two = [](unsigned n) { return std::to_string(100 + n).substr(1); };
        right = right &&
                date == std::to_string(year) + "-" + two(month) + "-" + two(day) + "T00:00:00Z";
        const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        const unsigned days = month == 2 ? (leap ? 29 : 28)
                              : month == 4 || month == 6 || month == 9 || month == 11 ? 30
                                                                                      : 31;
        if (day < days) {
            ++day;
        } else {
            day = 1;
            month = month % 12 + 1;
            if (month == 1) ++year;
        }
    }
    CHECK(right);
}

TEST_CASE("to_string of an error has its text, its category and its value", "[core][text][unit]") {
    CHECK(to_string(std::error_code{}) == "no error");
    const std::error_code refused = make_error_code(std::errc::connection_refused);
    CHECK(to_string(refused) ==
          refused.message() + " (generic:" + std::to_string(refused.value()) + ")");
    CHECK(to_string(Failure{}) == "none");
    CHECK(to_string(Failure{.cause = Cause::overloaded, .retry_after = 1500ms}) ==
          "overloaded, retry after 1.5s");
    CHECK(to_string(Failure::from(refused)) == "refused: " + refused.message());
}

TEST_CASE("Fields quotes a value that could be taken for another pair or line",
          "[core][text][unit]") {
    const auto of = [](std::string_view value) { return detail::Fields{}.add("k", value).take(); };
    CHECK(of("plain/1.journal") == "k=plain/1.journal");
    CHECK(of("") == "k=\"\"");
    CHECK(of("a b") == "k=\"a b\"");
    CHECK(of("a=b") == "k=\"a=b\"");
    CHECK(of("x\nstate=connected") == "k=\"x\\nstate=connected\"");
    CHECK(of("say \"hi\" \\") == "k=\"say \\\"hi\\\" \\\\\"");
    CHECK(of(std::string_view{"\x1B[2J\0\x7F", 6}) == "k=\"?[2J??\"");
    CHECK(detail::Fields{}.add("a", true).add("b", std::uint64_t{3}).take() == "a=true b=3");
}
