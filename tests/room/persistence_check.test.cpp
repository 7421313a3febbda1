// SPDX-License-Identifier: MIT
// Goal: check::persistence accepts correct persistences, and reports each planted mistake.
// Method: all persistences of the library; MemoryRooms with one mistake each.
#include <belay/room/persistence_check.hpp>

#include <belay/room/on_thread.hpp>

#include "support/catch.hpp"
#include "support/room/broken_rooms.hpp"
#include "support/room/disk_rooms.hpp"

using namespace belay;
using namespace belay_test;

namespace {

[[nodiscard]] std::string verdict_on(const std::optional<check::PersistenceFault>& fault) {
    if (!fault) return "right";
    return std::string{to_string(fault->rule)} + ", history " + std::to_string(fault->history) +
           ", step " + std::to_string(fault->step);
}

/// A simulated disk with rooms, which loses power at each reopening.
struct RoomsHost {
    sim::Disk disk{};
    std::uint64_t openings = 0;
    Random bits{Seed{7}};

    [[nodiscard]] JournalRoomsOnDisk make() {
        disk.restore({});
        return open();
    }
    [[nodiscard]] JournalRoomsOnDisk reopen() {
        if (openings % 2 == 0) disk.crash(bits);
        return open();
    }
    [[nodiscard]] JournalRoomsOnDisk open() {
        auto rooms = open_rooms(disk, {.log_bytes_max = 4000}, ++openings);
        INFO(rooms.error().message());
        REQUIRE(rooms);
        return std::move(*rooms);
    }
};

}  // namespace

TEST_CASE("check::persistence finds no fault in MemoryRooms", "[room][persistence_check][unit]") {
    CHECK(verdict_on(check::persistence([] { return MemoryRooms{}; })) == "right");
    CHECK(verdict_on(check::persistence([] { return OnThread{MemoryRooms{}}; },
                                        {.histories = 50})) == "right");
}

TEST_CASE("check::persistence finds no fault in JournalRooms over losses of power",
          "[room][persistence_check][fault]") {
    RoomsHost host;
    CHECK(verdict_on(check::persistence([&] { return host.make(); },
                                        [&] { return host.reopen(); })) == "right");
    const auto on_thread =
        check::persistence([&] { return OnThread{host.make()}; },
                           [&] { return OnThread{host.reopen()}; }, {.histories = 50});
    CHECK(verdict_on(on_thread) == "right");
}

TEST_CASE("check::persistence reports the rule that each planted mistake breaks",
          "[room][persistence_check][unit]") {
    for (int i = 0; i < static_cast<int>(Mistake::count); ++i) {
        const auto mistake = static_cast<Mistake>(i);
        BrokenRooms::Medium medium;
        const auto fault = check::persistence(
            [&] {
                return BrokenRooms{mistake, medium, true};
            },
            [&] {
                return BrokenRooms{mistake, medium, false};
            },
            [] {}, [&](bool away) { medium.displace(away); },
            {.histories = 30, .answer_timeout = std::chrono::milliseconds{1}});
        INFO("mistake " << i);
        REQUIRE(fault);
        CHECK(std::string{to_string(fault->rule)} == to_string(rule_of(mistake)));
    }
    for (const Mistake none : {Mistake::none, Mistake::rejects_late}) {
        BrokenRooms::Medium medium;
        CHECK(verdict_on(check::persistence(
                  [&] {
                      return BrokenRooms{none, medium, true};
                  },
                  [&] {
                      return BrokenRooms{none, medium, false};
                  },
                  [] {}, [&](bool away) { medium.displace(away); })) == "right");
    }
}

TEST_CASE("check::persistence calls the function that delivers answers",
          "[room][persistence_check][unit]") {
    BrokenRooms::Medium medium;
    int pumped = 0;
    const auto pump = [&] {
        ++pumped;
        medium.answer_later();
    };
    const auto fault = check::persistence(
        [&] {
            return BrokenRooms{Mistake::answers_late, medium, true};
        },
        [&] {
            return BrokenRooms{Mistake::answers_late, medium, false};
        },
        pump, {.histories = 5});
    CHECK(verdict_on(fault) == "right");
    CHECK(pumped > 0);
}
