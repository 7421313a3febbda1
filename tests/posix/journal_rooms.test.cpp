// SPDX-License-Identifier: MIT
// Goal: rooms on real files are kept over a restart, and a full file system loses no stored room.
// Method: a temporary directory; the check of persistences.
#include <belay/posix/journal_rooms.hpp>

#include <belay/room/persistence_check.hpp>

#include "support/catch.hpp"
#include "support/displacer.hpp"
#include "support/room/persistence_calls.hpp"
#include "support/temporary_directory.hpp"

using namespace belay;

TEST_CASE("check::persistence finds no fault in posix::JournalRooms",
          "[posix][journal_rooms][fault]") {
    const belay_test::TemporaryDirectory directory;
    int made = 0;
    const auto open = [&] {
        const std::string path = directory.path() + '/' + std::to_string(made);
        auto log =
            posix::Journal::open(path + "-log", {.segment_bytes = 65536, .record_bytes_max = 1000});
        REQUIRE(log);
        auto rooms = posix::JournalRooms::open(path, std::move(*log), {.log_bytes_max = 4000});
        INFO(rooms.error().message());
        REQUIRE(rooms);
        return std::move(*rooms);
    };
    const auto make = [&] {
        ++made;
        return open();
    };
    const auto fault = check::persistence(make, open, {.histories = 2, .steps = 100});
    CHECK(!fault);
    for (const auto meanwhile : {belay_test::Meanwhile::nothing, belay_test::Meanwhile::copy}) {
        const auto path = [&] { return directory.path() + '/' + std::to_string(made); };
        const belay_test::Displacer log{[&] { return path() + "-log"; }, meanwhile};
        const belay_test::Displacer snapshots{path, meanwhile};
        const auto displace = [&](bool away) {
            log(away);
            snapshots(away);
        };
        const auto displaced = check::persistence(make, open, [] {}, displace, {.histories = 0});
        INFO((displaced ? to_string(displaced->rule) : ""));
        CHECK(!displaced);
    }
}

TEST_CASE("posix::JournalRooms::open reports the file that it cannot open",
          "[posix][journal_rooms][fault]") {
    const belay_test::TemporaryDirectory directory;
    auto log = posix::Journal::open(directory.path() + "/log");
    REQUIRE(log);
    const auto rooms =
        posix::JournalRooms::open(directory.path() + "/missing/rooms", std::move(*log));
    CHECK(rooms.error().code == std::errc::no_such_file_or_directory);
    CHECK(rooms.error().message().find("missing/rooms") != std::string::npos);
    CHECK(rooms.error().message().find("create the parent directory first") != std::string::npos);
}
