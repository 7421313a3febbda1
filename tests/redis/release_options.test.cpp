// SPDX-License-Identifier: MIT
// Goal: wrong options stop the program in a release build, too. Method: as
// spec/release_options.test.cpp.
#undef BELAY_ASSERTIONS
#if !defined(NDEBUG)
#    define NDEBUG
#endif
#include <belay/redis/rooms.hpp>
#include <belay/redis/stream.hpp>

#include "support/aborts.hpp"
#include "support/catch.hpp"

static_assert(BELAY_ASSERTIONS == 0);

using namespace belay;

TEST_CASE("Release builds check the options of Redis", "[redis][options][unit]") {
    const std::string text = belay_test::aborts_with(
        [] { const redis::Rooms rooms{{.retry_after = std::chrono::milliseconds{0}}}; });
    CHECK_THAT(text, Catch::Matchers::Contains("RoomsOptions"));
    CHECK_FALSE(redis::Stream::open({.port = 0}));
}
