// SPDX-License-Identifier: MIT
// Goal: each error of a path has a text with advice, and the cause by which policies decide.
// Method: all values. The paths themselves are in unix.test.cpp.
#include <belay/posix/endpoint.hpp>

#include <string_view>

#include "support/catch.hpp"

using namespace belay;

TEST_CASE("UnixErrc has a cause and a message for every value", "[posix][unix_path][unit]") {
    using enum posix::UnixErrc;
    CHECK(cause_of(path_too_long) == Cause::permanent);
    CHECK(cause_of(path_invalid) == Cause::permanent);
    CHECK(cause_of(not_a_stream_socket) == Cause::refused);
    for (const std::error_code error : {path_too_long, path_invalid, not_a_stream_socket}) {
        CHECK(error.message().find(": ") != std::string::npos);  // what happened, and what to do
        CHECK(std::string_view{error.category().name()} == "belay.unix");
    }
}
