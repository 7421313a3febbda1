// SPDX-License-Identifier: MIT
// Goal: options that cannot work are rejected before any connection, each with its reason.
// Method: such options.
#include <belay/redis/rooms_options.hpp>

#include <string>

#include <belay/redis/rooms.hpp>

#include "support/aborts.hpp"
#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

namespace {

/// Whether the defaults are valid after a change.
template <class Change>
bool rooms_possible_after(Change change) {
    redis::RoomsOptions options;
    change(options);
    return options.check().empty();
}

}  // namespace

TEST_CASE("redis::RoomsOptions: options that cannot work are rejected",
          "[redis][rooms_options][unit]") {
    using Options = redis::RoomsOptions;
    CHECK(rooms_possible_after([](auto&) {}));
    for (const char* const prefix : {"", "{", "a}b"})
        CHECK_FALSE(rooms_possible_after([&](auto& o) { o.prefix = prefix; }));
    CHECK_FALSE(rooms_possible_after([](auto& o) { o.host = ""; }));
    CHECK(rooms_possible_after([](auto& o) {
        o.host = "";
        o.socket = "/run/redis";
    }));
    for (auto time :
         {&Options::connect_timeout, &Options::command_timeout, &Options::retry_after}) {
        CHECK_FALSE(rooms_possible_after([&](auto& o) { o.*time = 0ms; }));
        CHECK_FALSE(rooms_possible_after([&](auto& o) { o.*time = 25h; }));
        CHECK(rooms_possible_after([&](auto& o) { o.*time = 1ms; }));
    }
    CHECK_FALSE(rooms_possible_after([](auto& o) { o.end_is_known = 0s; }));
    CHECK_FALSE(rooms_possible_after([](auto& o) { ++o.reply_bytes_max; }));
    for (auto limit :
         {&Options::unflushed_bytes_max, &Options::uncovered_bytes_max, &Options::reply_bytes_max,
          &Options::batch_entries_max, &Options::batch_bytes_max})
        CHECK_FALSE(rooms_possible_after([&](auto& o) { o.*limit = 0; }));
}

TEST_CASE("redis::Rooms aborts with the message about the wrong option and with the values",
          "[redis][rooms_options][unit]") {
    const std::string output =
        belay_test::aborts_with([] { const redis::Rooms rooms{{.retry_after = 0ms}}; });
    CHECK(output.find("retry_after and end_is_known must be > 0") != output.npos);
    CHECK(output.find("retry_after is 0ns") != output.npos);
}
