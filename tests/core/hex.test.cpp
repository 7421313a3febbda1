// SPDX-License-Identifier: MIT
// Goal: hexadecimal digits stand for exactly one sequence of bytes. Method: all bytes, and texts
// that hex_of does not return.
#include <belay/core/detail/hex.hpp>

#include "support/catch.hpp"

using namespace belay;

TEST_CASE("hex_of and bytes_of_hex are inverse for every byte", "[core][hex][unit]") {
    Bytes all;
    for (int i = 0; i < 256; ++i) all.push_back(static_cast<std::byte>(i));
    const std::string text = belay::detail::hex_of(all);
    CHECK(text.size() == 512);
    CHECK(text.substr(0, 6) == "000102");
    CHECK(text.substr(506) == "fdfeff");
    CHECK(belay::detail::bytes_of_hex(text) == all);
    CHECK(belay::detail::bytes_of_hex("") == Bytes{});
}

TEST_CASE("bytes_of_hex rejects upper case, other characters and half a byte",
          "[core][hex][unit]") {
    for (const char* text : {"4A", "4g", "g4", "4", "414", " 4", "0x"})
        CHECK_FALSE(belay::detail::bytes_of_hex(text));
}

TEST_CASE("hex_value has the digits of both cases only", "[core][hex][unit]") {
    int digits = 0;
    for (int c = -128; c < 128; ++c) digits += belay::detail::hex_value(static_cast<char>(c)) >= 0;
    CHECK(digits == 22);
    CHECK(belay::detail::hex_value('9') == 9);
    CHECK(belay::detail::hex_value('f') == 15);
    CHECK(belay::detail::hex_value('A') == 10);
}
