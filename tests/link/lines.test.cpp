// SPDX-License-Identifier: MIT
// Goal: each line is a message, with either line end and however the stream is cut; no line
// costs more than the limit. Method: streams cut everywhere.
#include <belay/link/framings.hpp>

#include <belay/link/heartbeat.hpp>

#include "support/aborts.hpp"
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

TEST_CASE("Lines accepts both line ends, and empty lines", "[link][lines][unit]") {
    CHECK(lines_in("a\nb\r\n\n\r\nc") == Findings{"\"a\"", "\"b\"", "\"\"", "\"\""});
    CHECK(lines_in("a\rb\r\n") == Findings{"\"a\rb\""});
}

TEST_CASE("A line at the limit passes, and a longer one fails before its end",
          "[link][lines][unit]") {
    CHECK(lines_in("12345\n") == Findings{"\"12345\""});
    CHECK(lines_in("12345\r\n") == Findings{"\"12345\""});
    CHECK(lines_in("123456") == Findings{"failed"});
    CHECK(lines_in("12345\rx") == Findings{"failed"});
}

TEST_CASE("Lines rejects a message that contains a line end or exceeds the limit",
          "[link][lines][unit]") {
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

TEST_CASE("CutHints::seen counts only bytes that the framing has examined", "[link][lines][unit]") {
    // A framing in which two lines are one message; it counts their ends as they arrive.
    struct TwoLineFraming {
        [[nodiscard]] part::Cut cut(BytesView bytes, const part::CutHints& hints) noexcept {
            for (std::size_t i = hints.seen; i < bytes.size(); ++i) {
                if (bytes[i] != std::byte{'\n'} || ++ends != 2) continue;
                ends = 0;
                return part::Cut::message(i + 1, bytes.first(i));
            }
            return part::Cut::more(bytes.size() + 2 - ends);
        }
        [[nodiscard]] bool put(BytesView, Bytes&) const { return false; }
        std::size_t ends = 0;
    };
    Random bits{Seed{1}};
    CHECK(find_in(TwoLineFraming{}, "a\nb\nc", bits, 0) == Findings{"\"a\nb\""});
    CHECK(find_in(TwoLineFraming{}, "a\nb\nc", bits, 1) == Findings{"\"a\nb\""});
}

TEST_CASE("Lines::WithPing frames as Lines, and pings with a line", "[link][lines][unit]") {
    const Lines::WithPing lines{"PING", {.bytes_max = 80, .carriage_return = true}};
    static_assert(FramingLike<Lines::WithPing>);
    Bytes out;
    lines.put_ping(out);
    CHECK(as_text(out) == "PING\r\n");
    Random bits{Seed{1}};
    const Findings found{"\"a\"", "\"PING\"", "\"b\""};
    CHECK(find_in(lines, "a\n" + std::string{as_text(out)} + "b\n", bits, 1) == found);
    CHECK(aborts_with([] {
              static_cast<void>(Lines::WithPing{"PI\nNG"});
          }).find("the ping must be one line") != std::string::npos);
}
