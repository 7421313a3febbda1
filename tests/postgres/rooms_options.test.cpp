// SPDX-License-Identifier: MIT
// Goal: options that cannot work are rejected with a sentence. Method: one wrong value each.
#include <belay/postgres/rooms_options.hpp>

#include "support/catch.hpp"

using namespace belay;

TEST_CASE("postgres::RoomsOptions rejects values that cannot work", "[postgres][options][unit]") {
    const auto wrong = [](auto change) {
        postgres::RoomsOptions options;
        change(options);
        return !options.check().empty();
    };
    CHECK_FALSE(wrong([](auto&) {}));
    CHECK(wrong([](auto& o) { o.prefix = ""; }));
    CHECK(wrong([](auto& o) { o.prefix = "a-b"; }));
    CHECK(wrong([](auto& o) { o.prefix = "1a"; }));
    CHECK(wrong([](auto& o) { o.prefix = std::string(41, 'a'); }));
    CHECK(wrong([](auto& o) { o.connection = std::string(1, '\0'); }));
    CHECK(wrong([](auto& o) { o.command_timeout = {}; }));
    CHECK(wrong([](auto& o) { o.retry_after = std::chrono::hours{2}; }));
    CHECK(wrong([](auto& o) { o.poll_every = {}; }));
    CHECK(wrong([](auto& o) { o.unflushed_bytes_max = 0; }));
}
