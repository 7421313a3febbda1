// SPDX-License-Identifier: MIT
// Goal: wrong options stop the program in a release build, too. Method: as
// spec/release_options.test.cpp.
#undef BELAY_ASSERTIONS
#if !defined(NDEBUG)
#    define NDEBUG
#endif
#include <belay/curl/http.hpp>
#include <belay/mcp/remote.hpp>
#include <belay/posix.hpp>

#include "support/aborts.hpp"
#include "support/catch.hpp"

static_assert(BELAY_ASSERTIONS == 0);

using namespace belay;

TEST_CASE("Release builds check the options of a Remote", "[mcp][options][unit]") {
    const auto made_with = [](auto change) {
        return belay_test::aborts_with([&] {
            mcp::Options options;
            change(options);
            posix::Loop<> loop;
            mcp::Remote{curl::Http{loop}, "http://127.0.0.1/", std::move(options)};
        });
    };
    CHECK_THAT(made_with([](mcp::Options& o) { o.push_tool.clear(); }),
               Catch::Matchers::Contains("mcp::Remote: tools and arguments must have names"));
    CHECK_THAT(made_with([](mcp::Options& o) { o.timeout = Duration{}; }),
               Catch::Matchers::Contains("mcp::Remote: timeout and answer_bytes_max"));
    CHECK_THAT(made_with([](mcp::Options& o) { o.answer_bytes_max = 0; }),
               Catch::Matchers::Contains("mcp::Remote: timeout and answer_bytes_max"));
    CHECK_THAT(belay_test::aborts_with([] {
                   posix::Loop<> loop;
                   curl::Http{loop, {}, {.connection_age = Duration{}}};
               }),
               Catch::Matchers::Contains("curl::Http: connection_age must be > 0ns"));
}
