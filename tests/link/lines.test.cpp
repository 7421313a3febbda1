// SPDX-License-Identifier: MIT
// Goal: each line is a message, whichever end it has and however it comes; no line costs more than
// the limit.
#include <belay/link/lines.hpp>

#include "support/link/framing_suite.hpp"
#include "support/seeds.hpp"

using namespace belay;
using namespace belay_test;

namespace {

std::string line_of_text(Random& bits) {
    std::string line(uniform_upto(bits, 80), ' ');
    for (char& c : line) {
        c = static_cast<char>(uniform_upto(bits, 255));
        if (c == '\n' || c == '\r') c = '.';
    }
    return line;
}

Findings lines_in(std::string_view stream, std::size_t bytes_max = 5) {
    Random bits{Seed{1}};
    return find_in(Lines{.bytes_max = bytes_max}, stream, bits, 1);
}

}  // namespace

TEST_CASE("Lines finds the same messages however the stream is cut", "[link][lines][property]") {
    for_each_seed(
        [](Seed seed) {
            check_framing(Lines{.bytes_max = 80}, line_of_text, seed);
            check_framing(Lines{.bytes_max = 80, .carriage_return = true}, line_of_text, seed);
        },
        100);
}

TEST_CASE("Lines understands both ends, and empty lines", "[link][lines][unit]") {
    CHECK(lines_in("a\nb\r\n\n\r\nc") == Findings{"\"a\"", "\"b\"", "\"\"", "\"\""});
    CHECK(lines_in("a\rb\r\n") == Findings{"\"a\rb\""});
}

TEST_CASE("A line of the limit passes, a longer one fails before its end", "[link][lines][unit]") {
    CHECK(lines_in("12345\n") == Findings{"\"12345\""});
    CHECK(lines_in("12345\r\n") == Findings{"\"12345\""});
    CHECK(lines_in("123456") == Findings{"failed"});
    CHECK(lines_in("12345\rx") == Findings{"failed"});
}

TEST_CASE("Lines refuses to send what is no line", "[link][lines][unit]") {
    Bytes out;
    for (const char* const text : {"a\nb", "\n", "a\r", "123456"}) {
        CAPTURE(text);
        CHECK_FALSE(Lines{.bytes_max = 5}.put(as_bytes(text), out));
    }
    CHECK(out.empty());
    REQUIRE(Lines{}.put(as_bytes("a\rb"), out));
    REQUIRE(Lines{.carriage_return = true}.put(as_bytes(""), out));
    CHECK(as_text(out) == "a\rb\n\r\n");
}
