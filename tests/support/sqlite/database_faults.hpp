// SPDX-License-Identifier: MIT
/// \file tests/support/sqlite/database_faults.hpp
/// The behaviour of a database `Db` with damaged files and failing writes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#include "support/sqlite/database_suite.hpp"

namespace belay_test {

/// Whether damage is detected in a queue with these bytes in its file. The values before it must be
/// those that were pushed: `body(1)`, `body(2)` and so on.
template <class Db>
bool notices(const std::string& bytes, std::string (*body)(std::uint64_t)) {
    const TemporaryDirectory dir;
    std::ofstream{dir / "q", std::ios::binary} << bytes;
    auto storage = Db::Storage::open(dir / "q", Db::fast);
    if (!storage) return true;
    for (std::uint64_t n = 1; storage->size() > 0; ++n) {
        const auto first = storage->front();
        if (!first) return true;
        REQUIRE(belay::as_text(*first) == body(n));
        if (storage->ack()) return true;
    }
    return false;
}

/// The same for a file that is cut short, from two bytes to fewer than `most`. SQLite itself writes
/// a single byte into an empty file on some systems.
template <class Db>
void check_cut_short(const std::string& whole, std::size_t most,
                     std::string (*body)(std::uint64_t)) {
    for (std::size_t length = 2; length < most; length += 1500) {
        INFO("cut to " << length);
        CHECK(notices<Db>(whole.substr(0, length), body));
    }
}

/// Lets a call of the system fail at each place in turn, until none is reached. `run(place,
/// directory, broken)` counts storages that failed for good, and returns whether a call failed.
/// Returns the number of storages that failed for good.
template <class Db, class Run>
int at_each_place(Run run) {
    const typename Db::System system;
    int broken = 0;
    bool failed_somewhere = true;
    for (int place = 0; failed_somewhere; ++place) {
        REQUIRE(place < 100);
        INFO("place " << place);
        const TemporaryDirectory dir;
        failed_somewhere = run(place, dir, broken);
    }
    return broken;
}

/// A write or flush fails, at each place in turn: no value is lost, and none is confirmed without
/// being stored. `check(storage, error)` sees each call that failed. Returns the number of storages
/// that failed.
template <class Db, class Check>
int check_failing_changes(Check check) {
    return at_each_place<Db>([&](int place, const TemporaryDirectory& dir, int& broken) {
        std::uint64_t pushed = 0;
        std::uint64_t removed = 0;
        bool unknown = false;
        bool failed_somewhere = false;
        {
            auto storage = opened<Db>(dir / "q", Db::full);
            Db::System::countdown = place;
            for (int i = 0; i < 6 && !unknown; ++i) {
                const bool is_push = i % 3 != 2;
                const std::error_code error =
                    is_push ? push(storage, text_for(pushed + 1)) : storage.ack();
                if (!error) ++(is_push ? pushed : removed);
                REQUIRE(storage.size() == pushed - removed);
                if (!error) continue;
                failed_somewhere = true;
                check(storage, error);
                unknown = static_cast<bool>(storage.failed());
                if (!unknown) {
                    if (storage.size() > 0) REQUIRE(first_of(storage) == text_for(removed + 1));
                    continue;
                }
                // A storage that has failed returns no value, because each drain would execute it
                // again.
                REQUIRE(storage.failed() == error);
                REQUIRE(storage.front().error() == error);
                REQUIRE(push(storage, "more") == error);
                REQUIRE(storage.commit() == error);
                REQUIRE_FALSE(storage.try_pop());
                if (storage.size() > 0) REQUIRE(storage.ack() == error);
            }
            Db::System::countdown = -1;
        }
        if (unknown) ++broken;
        auto storage = opened<Db>(dir / "q");
        // The failed call may have taken effect only if the storage reported that this is unknown.
        std::uint64_t n = removed + 1;
        if (storage.size() > 0 && first_of(storage) == text_for(removed + 2)) {
            REQUIRE(unknown);
            ++n;
        }
        for (; storage.size() > 0; ++n) REQUIRE(belay::as_text(*storage.try_pop()) == text_for(n));
        REQUIRE(n - 1 >= pushed);
        REQUIRE(n - 1 <= pushed + (unknown ? 1 : 0));
        return failed_somewhere;
    });
}

/// The same while values are popped, and the process is killed after it. Each value was returned,
/// or is still there. Returns the number of storages that failed.
template <class Db>
int check_failing_pops() {
    return at_each_place<Db>([](int place, const TemporaryDirectory& dir, int& broken) {
        const TemporaryDirectory left;
        fill<Db>(dir / "q", 4);
        std::set<std::string> seen;
        bool failed_somewhere = false;
        {
            auto storage = opened<Db>(dir / "q", Db::full);
            Db::System::countdown = place;
            for (int i = 0; i < 4; ++i) {
                if (const auto value = storage.try_pop()) seen.emplace(belay::as_text(*value));
            }
            failed_somewhere = Db::System::countdown <= 0;
            Db::System::countdown = -1;
            if (storage.failed()) ++broken;
            // The process is killed here: closing the storage would repair the file.
            for (const char* const name : {"q", "q-wal"}) {
                std::error_code none;
                std::filesystem::copy_file(dir / name, left / name, none);
            }
        }
        auto storage = opened<Db>(left / "q");
        while (const auto value = storage.try_pop()) seen.emplace(belay::as_text(*value));
        REQUIRE(seen.size() == 4);
        return failed_somewhere;
    });
}

}  // namespace belay_test
