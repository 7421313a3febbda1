// SPDX-License-Identifier: MIT
/// \file tests/support/room/disk_rooms.hpp
/// JournalRooms on a simulated disk, with a log of small files.
#pragma once

#include <optional>
#include <string>

#include <belay/journal/journal.hpp>
#include <belay/room/journal_rooms.hpp>
#include <belay/sim/disk.hpp>

#include "support/catch.hpp"
#include "support/room/persistence_calls.hpp"

namespace belay_test {

using DiskJournal = belay::Journal<belay::sim::Disk>;
using JournalRoomsOnDisk = belay::JournalRooms<DiskJournal, belay::sim::Disk>;

[[nodiscard]] inline belay::JournalOptions small_log(std::uint64_t seed) {
    belay::JournalOptions options;
    options.segment_bytes = 4096;
    options.record_bytes_max = 300;
    options.seed = belay::Seed{seed};
    options.verify = belay::Verify::skip_damage;
    return options;
}

/// Rooms in "log" and "rooms" of a disk.
[[nodiscard]] inline belay::Result<JournalRoomsOnDisk, belay::PersistenceError> open_rooms(
    belay::sim::Disk& disk, belay::JournalRoomsOptions options = {}, std::uint64_t seed = 1) {
    auto journal = DiskJournal::open(disk, "log", small_log(seed));
    if (!journal) {
        return belay::PersistenceError{journal.error().code, journal.error().where, "the journal"};
    }
    return JournalRoomsOnDisk::open(disk, "rooms", std::move(*journal), options);
}
[[nodiscard]] inline belay::PersistenceError opening_error(belay::sim::Disk& disk,
                                                           belay::JournalRoomsOptions options = {},
                                                           std::uint64_t seed = 1) {
    return open_rooms(disk, options, seed).error();
}

class DiskRooms {
public:
    explicit DiskRooms(belay::sim::Disk& disk, belay::JournalRoomsOptions options = {},
                       std::uint64_t seed = 1)
        : disk_{disk}, options_{options}, seed_{seed} {
        reopen();
    }

    void reopen(belay::JournalRoomsOptions options) {
        options_ = options;
        reopen();
    }
    void reopen() {
        rooms_.reset();
        auto rooms = open_rooms(disk_, options_, ++seed_);
        INFO(rooms.error().message());
        REQUIRE(rooms);
        rooms_.emplace(std::move(*rooms));
    }
    [[nodiscard]] JournalRoomsOnDisk& operator*() { return *rooms_; }
    [[nodiscard]] JournalRoomsOnDisk* operator->() { return &*rooms_; }
    /// Loads a room, which must exist.
    [[nodiscard]] belay::StoredRoom room(std::string_view id) {
        auto found = loaded(*rooms_, id);
        INFO(found.error().message());
        REQUIRE((found && *found));
        return **found;
    }
    [[nodiscard]] static std::string file(std::string_view id) {
        return "rooms/" + belay::detail::hex_of(belay::as_bytes(id)) + ".room";
    }

private:
    belay::sim::Disk& disk_;
    belay::JournalRoomsOptions options_;
    std::uint64_t seed_;
    std::optional<JournalRoomsOnDisk> rooms_;
};

}  // namespace belay_test
