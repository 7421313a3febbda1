// SPDX-License-Identifier: MIT
// Goal: wrong options stop the program in a release build, too. Method: as
// spec/release_options.test.cpp.
#undef BELAY_ASSERTIONS
#if !defined(NDEBUG)
#    define NDEBUG
#endif
#include <belay/json/sync_server.hpp>

#include "support/aborts.hpp"
#include "support/catch.hpp"

static_assert(BELAY_ASSERTIONS == 0);

using namespace belay;

TEST_CASE("Release builds check the options of a JsonSyncServer", "[json][options][unit]") {
    const auto exchange = [](const Bytes& question, Duration) { return Result<Bytes>{question}; };
    const std::string text = belay_test::aborts_with([&] {
        part::JsonSyncServer<std::string, decltype(exchange)>{
            exchange, {.session = "s", .within = Duration{}}};
    });
    CHECK_THAT(text, Catch::Matchers::Contains("JsonSyncServer: within must be above 0ns"));
}
