// SPDX-License-Identifier: MIT
// Goal: every error has a text and a cause. Method: all values, and the ones beyond.
#include <belay/queue/queue_errc.hpp>

#include "support/catch.hpp"

using namespace belay;

TEST_CASE("QueueErrc has a text and a cause for every value", "[queue][queue_errc][unit]") {
    for (int i = 1; i <= static_cast<int>(QueueErrc::must_reopen); ++i) {
        const std::error_code code = static_cast<QueueErrc>(i);
        CHECK(code.message() != "unknown error");
        CHECK(cause_of(code) != Cause::none);
        CHECK(std::string{code.category().name()} == "belay.queue");
    }
    const std::error_code beyond{static_cast<int>(QueueErrc::must_reopen) + 1,
                                 belay::detail::queue_category()};
    CHECK(beyond.message() == "unknown error");
}

TEST_CASE("QueueErrc maps to the causes that policies use", "[queue][queue_errc][unit]") {
    CHECK(make_error_code(QueueErrc::corrupt) == Cause::corrupt);
    CHECK(make_error_code(QueueErrc::queue_full) == Cause::overloaded);
    CHECK(make_error_code(QueueErrc::wait_ended) == Cause::timed_out);
    CHECK(make_error_code(QueueErrc::too_large) == Cause::permanent);
}
