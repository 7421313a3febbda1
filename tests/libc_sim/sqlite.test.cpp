// SPDX-License-Identifier: MIT
// Goal: SQLite, unmodified, loses only unsynced data in a world. Method: a program commits rows
// while the power fails again and again, in three of SQLite's modes.
#include <belay/libc_sim/program.hpp>

#include <memory>
#include <string>
#include <utility>

#include <sqlite3.h>
#include <unistd.h>

#include <belay/sim/world.hpp>

#include "support/catch.hpp"

namespace libc_sim_test {

namespace {

using belay::sim::Host;
using belay::sim::Program;
using belay::sim::World;
using namespace std::chrono_literals;

/// The records about the program outside of the world. They survive every loss of power.
struct Seen {
    int confirmed = 0;  // the last row whose COMMIT has returned
    int lost = 0;       // starts at which a confirmed row was missing
    int damaged = 0;    // starts at which the database was not intact
    int starts = 0;
    std::string error;  // of the first damage
};

/// Returns the first value of a query; -1, if there is none.
int query(sqlite3* db, const std::string& sql) {
    int value = -1;
    const auto first = [](void* to, int, char** columns, char**) {
        *static_cast<int*>(to) = columns[0] == nullptr ? 0 : std::stoi(columns[0]);
        return 0;
    };
    sqlite3_exec(db, sql.c_str(), first, &value, nullptr);
    return value;
}
bool is_intact(sqlite3* db) {
    bool intact = false;
    const auto read = [](void* to, int, char** columns, char**) {
        *static_cast<bool*>(to) = std::string{columns[0]} == "ok";
        return 0;
    };
    return sqlite3_exec(db, "PRAGMA integrity_check", read, &intact, nullptr) == SQLITE_OK &&
           intact;
}

/// The settings of the program.
struct Mode {
    std::string synchronous;
    std::chrono::milliseconds pause = 1ms;  // between two rows
};

/// Adds rows for ever.
void store_rows(Seen& seen, const Mode& mode) {
    ++seen.starts;
    sqlite3* db = nullptr;
    REQUIRE(sqlite3_open("/app.db", &db) == SQLITE_OK);
    sqlite3_exec(db, ("PRAGMA synchronous=" + mode.synchronous).c_str(), nullptr, nullptr, nullptr);
    const char* const table = "CREATE TABLE IF NOT EXISTS t(n INTEGER PRIMARY KEY, text TEXT)";
    const bool opened = sqlite3_exec(db, table, nullptr, nullptr, nullptr) == SQLITE_OK;
    if (!opened || !is_intact(db)) {
        if (seen.damaged++ == 0) seen.error = sqlite3_errmsg(db);
        return;
    }
    // A row whose COMMIT had not returned may be there, too.
    const int last = query(db, "SELECT max(n) FROM t");
    if (last < seen.confirmed) ++seen.lost;
    CHECK(query(db, "SELECT count(*) FROM t") == last);
    seen.confirmed = last;
    for (;;) {
        const std::string row = std::to_string(seen.confirmed + 1);
        const std::string sql = "BEGIN; INSERT INTO t VALUES(" + row + ", hex(zeroblob(" +
                                std::to_string(20 * (seen.confirmed % 30)) + "))); COMMIT";
        if (sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) {
            if (seen.damaged++ == 0) seen.error = sqlite3_errmsg(db);
            return;
        }
        ++seen.confirmed;
        usleep(static_cast<useconds_t>(mode.pause / 1us));
    }
}

struct Outcome {
    Seen seen;
    std::uint64_t hash;
    belay::sim::Disk::Image disk;
};

Outcome run(std::uint64_t seed, const Mode& mode, belay::Duration time, int losses) {
    // The generator of SQLite is a static variable, and must start again.
    sqlite3_randomness(0, nullptr);
    World world{belay::Seed{seed}};
    Seen& seen = world.make<Seen>();
    Host& host = world.host("app", [&](Host& h) {
        return std::make_unique<Program>(h, [&] { store_rows(seen, mode); });
    });
    for (int i = 0; i < losses; ++i) {
        const auto ms = static_cast<std::int64_t>(
            belay::uniform_upto(world.bits(), static_cast<std::uint64_t>(time / 1ms)));
        world.at(std::chrono::milliseconds{ms}, [&] { world.restart(host); });
    }
    world.run_for(time);
    world.restart(host);
    world.run_for(1s);
    return {seen, world.trace_hash(), host.disk().image()};
}

/// Adds the results of many worlds.
Seen run_all(const std::string& synchronous) {
    Seen sum;
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        const Seen seen = run(seed, {synchronous}, 2s, 10).seen;
        sum.confirmed += seen.confirmed;
        sum.lost += seen.lost;
        sum.damaged += seen.damaged;
        sum.starts += seen.starts;
        if (!seen.error.empty()) sum.error = std::to_string(seed) + ": " + seen.error;
    }
    UNSCOPED_INFO(synchronous << ": " << sum.starts << " starts, " << sum.confirmed << " rows, "
                              << sum.lost << " lost, " << sum.damaged << " damaged; seed "
                              << sum.error);
    CHECK(sum.starts > 200);
    return sum;
}

}  // namespace

TEST_CASE("SQLite loses no confirmed row of a world with synchronous=EXTRA",
          "[libc_sim][libc_sim][sim]") {
    const Seen seen = run_all("EXTRA");
    CHECK(seen.confirmed > 500);
    CHECK(seen.lost == 0);
    CHECK(seen.damaged == 0);
}

TEST_CASE("SQLite with synchronous=FULL may lose the last row, and is never damaged",
          "[libc_sim][libc_sim][sim]") {
    // The directory is not synced after the journal was removed, so the journal may return.
    const Seen seen = run_all("FULL");
    CHECK(seen.lost > 0);
    CHECK(seen.damaged == 0);
}

TEST_CASE("SQLite with synchronous=OFF is damaged by a loss of power",
          "[libc_sim][libc_sim][sim]") {
    CHECK(run_all("OFF").damaged > 0);
}

TEST_CASE("An hour of SQLite repeats", "[libc_sim][libc_sim][sim]") {
    const Outcome first = run(7, {"EXTRA", 900ms}, 1h, 50);
    CHECK(first.seen.lost == 0);
    CHECK(first.seen.damaged == 0);
    for (int i = 0; i < 2; ++i) {
        const Outcome again = run(7, {"EXTRA", 900ms}, 1h, 50);
        CHECK(again.hash == first.hash);
        CHECK(again.disk == first.disk);
    }
}

}  // namespace libc_sim_test
