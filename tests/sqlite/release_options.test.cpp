// SPDX-License-Identifier: MIT
// Goal: wrong options stop the program in a release build, too. Method: as
// spec/release_options.test.cpp.
#undef BELAY_ASSERTIONS
#if !defined(NDEBUG)
#    define NDEBUG
#endif
#include "../../examples/whiteboard/boards_on_thread.hpp"

#include "support/aborts.hpp"
#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

static_assert(BELAY_ASSERTIONS == 0);

using namespace belay;

TEST_CASE("Release builds check the options of Boards::OnThread", "[sqlite][options][unit]") {
    const belay_test::TemporaryDirectory directory;
    const std::string text = belay_test::aborts_with([&] {
        whiteboard::Boards::OnThread{std::move(*whiteboard::Boards::open(directory / "rights")),
                                     {.calls_max = 0}};
    });
    CHECK_THAT(text, Catch::Matchers::Contains("calls_max must be > 0"));
}
