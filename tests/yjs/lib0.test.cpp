// SPDX-License-Identifier: MIT
// Goal: numbers, texts and values are read as lib0 writes them, and never beyond the end. Method:
// golden bytes, all short inputs, and texts that browsers reject.
#include <belay/yjs/lib0.hpp>

#include <string>

#include "support/catch.hpp"
#include "support/hex.hpp"

using namespace belay;
using belay_test::from_hex;
using belay_test::to_hex;

namespace {

std::string number_in(const char* hex) {
    const Bytes bytes = from_hex(hex);
    yjs::Lib0Reader in{bytes};
    const std::uint64_t n = in.varuint();
    if (in.failed()) {
        CHECK(n == 0);
        CHECK(in.at_end());
        return in.what();
    }
    return std::to_string(n) + " +" + std::to_string(in.left());
}

bool skips_any(const std::string& hex, std::size_t nesting_max = yjs::nesting_ceiling) {
    const Bytes bytes = from_hex(hex);
    yjs::Lib0Reader in{bytes};
    in.skip_any(nesting_max);
    return !in.failed() && in.at_end();
}

bool reads_text(const std::string& text) {
    Bytes bytes;
    yjs::append_varbytes(bytes, as_bytes(text));
    yjs::Lib0Reader in{bytes};
    return in.varstring() == text && !in.failed();
}

}  // namespace

TEST_CASE("Lib0Reader reads numbers up to 2^53 - 1", "[room][lib0][golden]") {
    CHECK(number_in("00") == "0 +0");
    CHECK(number_in("7f05") == "127 +1");
    CHECK(number_in("8001") == "128 +0");
    CHECK(number_in("ac02") == "300 +0");
    CHECK(number_in("8000") == "0 +0");
    CHECK(number_in("ffffffffffffff0f") == "9007199254740991 +0");
    CHECK(number_in("ffffffffffffff10") == "a number is larger than 2^53 - 1");
    CHECK(number_in("808080808080808000") == "a number is larger than 2^53 - 1");
    CHECK(number_in("") == "the bytes end too early");
    CHECK(number_in("ffff") == "the bytes end too early");
    for (const std::uint64_t n : {std::uint64_t{0}, std::uint64_t{127}, std::uint64_t{128},
                                  std::uint64_t{1} << 32, yjs::varuint_max}) {
        Bytes bytes;
        yjs::append_varuint(bytes, n);
        yjs::Lib0Reader in{bytes};
        CHECK(in.varuint() == n);
        CHECK(in.at_end());
        CHECK(!in.failed());
    }
}

TEST_CASE("Lib0Reader reads texts as strictly as browsers do", "[room][lib0][unit]") {
    for (const char* const text :
         {"", "plain", "\x7F", "\xC2\x80", "\xDF\xBF", "\xE0\xA0\x80", "\xED\x9F\xBF",
          "\xEE\x80\x80", "\xEF\xBF\xBF", "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF",
          "long enough for a word \xC3\xA4 and more than that"}) {
        CHECK(reads_text(text));
    }
    for (const char* const text :
         {"\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xC3", "\xC3(", "\xE0\x9F\xBF", "\xE4\xB8",
          "\xED\xA0\x80", "\xED\xBF\xBF", "\xF0\x8F\xBF\xBF", "\xF0\x9F\x98", "\xF4\x90\x80\x80",
          "\xF5\x80\x80\x80", "\xFF", "eight by\xFFtes and more"}) {
        INFO(to_hex(as_bytes(text)));
        CHECK(!reads_text(text));
    }
}

TEST_CASE("Lib0Reader skips values of every kind", "[room][lib0][golden]") {
    for (const char* const value :
         {"7f", "7e", "79", "78", "7d00", "7dbfffffff0f", "7c3f800000", "7b3ff0000000000000",
          "7a0000000000000001", "770161", "7601016178", "7502787e", "740200ff", "7500", "7600"}) {
        INFO(value);
        CHECK(skips_any(value));
        const std::string cut = std::string{value}.substr(0, std::string{value}.size() - 2);
        CHECK(!skips_any(cut));
    }
    CHECK(!skips_any("73"));
    CHECK(!skips_any("80"));
    CHECK(!skips_any("7501ff"));
    CHECK(
        !skips_any("7601"
                   "01ff"
                   "78"));
    CHECK(!skips_any("75ffffffffffffff0f"));
}

TEST_CASE("Lib0Reader limits the depth of nested values", "[room][lib0][unit]") {
    const auto nested = [](std::size_t levels) {
        std::string hex;
        for (std::size_t i = 0; i < levels; ++i) hex += "7501";
        return hex + "78";
    };
    CHECK(skips_any(nested(3), 3));
    CHECK(!skips_any(nested(4), 3));
    CHECK(skips_any(nested(yjs::nesting_ceiling)));
    CHECK(!skips_any(nested(yjs::nesting_ceiling + 1)));
    CHECK(!skips_any(nested(200'000)));
    const Bytes deep = from_hex(nested(5));
    yjs::Lib0Reader in{deep};
    in.skip_any(2);
    CHECK(in.error() == YjsErrc::update_too_large);
}

TEST_CASE("Lib0Reader keeps its first error, and reads nothing after it", "[room][lib0][unit]") {
    const Bytes bytes = from_hex("05616263");
    yjs::Lib0Reader in{bytes};
    CHECK(in.varbytes().empty());
    CHECK(in.failed());
    CHECK(in.offset() == 0);
    CHECK(std::string{in.what()} == "a length goes beyond the end");
    CHECK(in.byte() == 0);
    CHECK(in.varuint() == 0);
    CHECK(in.varstring().empty());
    in.skip_any();
    CHECK(in.rest().empty());
    CHECK(std::string{in.what()} == "a length goes beyond the end");
    CHECK(in.offset() == 0);
}

TEST_CASE("A text counts as many units as in UTF-16, for any length", "[room][lib0][unit]") {
    const std::string_view characters[] = {"a", "\xC3\xA4", "\xE2\x82\xAC", "\xF0\x9F\x98\x80"};
    // Texts of one kind of character, so that each of its bytes is at each position, and texts of
    // all kinds.
    for (std::size_t kind = 0; kind <= 4; ++kind) {
        std::string text;
        std::size_t units = 0;
        for (std::size_t n = 0; n < 1200; ++n) {
            const std::size_t one = kind < 4 ? kind : (n * n + n / 7) % 4;
            text += characters[one];
            units += one == 3 ? 2 : 1;
            REQUIRE(detail::utf16_units(text) == units);
        }
    }
    CHECK(detail::utf16_units("") == 0);
}

TEST_CASE("A text is cut after any number of UTF-16 units", "[room][lib0][unit]") {
    const std::string_view characters[] = {"a", "\xC3\xA4", "\xE2\x82\xAC", "\xF0\x9F\x98\x80"};
    for (std::size_t kind = 0; kind <= 4; ++kind) {
        std::string text;
        std::vector<detail::Utf16Cut> expected;
        for (std::size_t n = 0; n < 300; ++n) {
            const std::size_t one = kind < 4 ? kind : (n * n + n / 7) % 4;
            expected.push_back({text.size(), false});
            text += characters[one];
            if (one == 3) expected.push_back({text.size(), true});
        }
        expected.push_back({text.size(), false});
        for (std::size_t units = 0; units < expected.size(); ++units) {
            const detail::Utf16Cut cut = detail::cut_utf16(text, units);
            REQUIRE(cut.bytes == expected[units].bytes);
            REQUIRE(cut.cuts_pair == expected[units].cuts_pair);
        }
    }
}
