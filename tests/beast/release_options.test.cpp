// SPDX-License-Identifier: MIT
// Goal: wrong options stop the program in a release build, too. Method: as
// spec/release_options.test.cpp.
#undef BELAY_ASSERTIONS
#if !defined(NDEBUG)
#    define NDEBUG
#endif
#include <belay/beast/websocket.hpp>

#include "support/aborts.hpp"
#include "support/catch.hpp"

static_assert(BELAY_ASSERTIONS == 0);

using namespace belay;

TEST_CASE("Release builds check the options of a WebSocket", "[beast][options][unit]") {
    const std::string text = belay_test::aborts_with([] {
        boost::asio::io_context context;
        beast::WebSocket<> socket{
            context, {"127.0.0.1", 80}, {.messages = {.too_large_code = 1006}}};
    });
    CHECK_THAT(text, Catch::Matchers::Contains("WebSocketOptions: too_large_code must be"));
}
