// SPDX-License-Identifier: MIT
// Goal: crash_points plays each loss of power, and each of its outcomes up to its limit. Method:
// programs whose outcomes are known; a journal that promises too much; counts of states.
#include <belay/sim/crash_points.hpp>

#include <set>
#include <string>
#include <utility>

#include <belay/journal/journal.hpp>

#include "support/aborts.hpp"
#include "support/catch.hpp"

using namespace belay;

namespace {

/// Writes a file so that it is replaced atomically, or omits one of the two syncs.
enum class LeftOut { nothing, file, directory };
bool save(sim::Disk& disk, LeftOut left_out) {
    auto file = disk.open("d/new", OpenMode::replace);
    if (!file || file->write(0, as_bytes("saved"))) return false;
    if (left_out != LeftOut::file && file->sync()) return false;
    if (disk.rename("d/new", "d/file")) return false;
    return left_out == LeftOut::directory || !disk.sync_directory("d");
}
sim::CrashPointsReport saves(LeftOut left_out) {
    return sim::crash_points([=](sim::Disk& disk) { return save(disk, left_out); },
                             [](sim::Disk& disk, bool confirmed) {
                                 const std::string text{as_text(disk.contents("d/file"))};
                                 return text == "saved" || (text.empty() && !confirmed);
                             });
}

/// Whether a journal lost an operation that it had confirmed, at any loss of power. Its files are
/// small, because each state reserves one.
sim::CrashPointsReport appends(Flush flush) {
    const JournalOptions options{
        .flush = flush, .segment_bytes = 4096, .record_bytes_max = 64, .seed = Seed{1}};
    return sim::crash_points(
        [=](sim::Disk& disk) {
            auto journal = Journal<sim::Disk>::open(disk, "q", options);
            std::uint64_t confirmed = 0;
            while (journal && confirmed < 4) {
                if (!journal->append(as_bytes("operation")) || journal->commit()) break;
                ++confirmed;
            }
            return confirmed;
        },
        [=](sim::Disk& disk, std::uint64_t confirmed) {
            auto journal = Journal<sim::Disk>::open(disk, "q", options);
            return journal && journal->last() >= confirmed;
        });
}

}  // namespace

TEST_CASE("crash_points finds a missing sync, and accepts a program with all syncs",
          "[sim][crash_points][unit]") {
    const auto right = saves(LeftOut::nothing);
    INFO(right.failure);
    CHECK(right);
    CHECK(right.complete);
    CHECK(right.operations == 5);
    for (const LeftOut left_out : {LeftOut::file, LeftOut::directory}) {
        const auto wrong = saves(left_out);
        CHECK_FALSE(wrong);
        CHECK(wrong.failure.find("operation 0 of 4, outcome ") == 0);
    }
}

TEST_CASE("crash_points checks every outcome of a crash once", "[sim][crash_points][unit]") {
    std::multiset<std::string> outcomes;
    const auto report = sim::crash_points(
        [](sim::Disk& disk) {
            auto file = disk.open("f", OpenMode::replace);
            return file && !disk.sync_directory(".") && !file->write(0, Bytes(512, std::byte{'x'}));
        },
        [&](sim::Disk& disk, bool ended) {
            if (ended) outcomes.insert(std::string{as_text(disk.contents("f"))});
            return true;
        });
    CHECK(report.complete);
    const std::string half(256, 'x'), zeros(256, '\0');
    // The size is not durable, or it is, and the sector is lost, kept, torn at either end, or
    // noise.
    CHECK(outcomes.count(half + half) == 1);
    CHECK(outcomes.count(half + zeros) == 1);
    CHECK(outcomes.count(zeros + half) == 1);
    CHECK(outcomes.count(zeros + zeros) == 1);
    CHECK(outcomes.count("") == 1);
    for (const std::string& outcome : outcomes) CHECK(outcomes.count(outcome) == 1);
    // Outcomes that are drawn are torn at other places.
    CHECK(outcomes.size() > 6);
}

TEST_CASE("crash_points enumerates each size since the last sync", "[sim][crash_points][unit]") {
    std::set<std::size_t> sizes;
    const auto report = sim::crash_points(
        [](sim::Disk& disk) {
            disk.put("f", Bytes(100));
            auto file = disk.open("f", OpenMode::write);
            return !file->resize(0) && !file->write(0, Bytes(50)) && !file->write(50, Bytes(50));
        },
        [&](sim::Disk& disk, bool ended) {
            if (ended) sizes.insert(disk.contents("f").size());
            return true;
        },
        {.drawn_max = 1});
    CHECK(report.complete);
    CHECK(sizes == std::set<std::size_t>{0, 50, 100});
}

TEST_CASE("crash_points distinguishes disks by a directory without files",
          "[sim][crash_points][unit]") {
    std::set<bool> outcomes;
    const auto report =
        sim::crash_points([](sim::Disk& disk) { return !disk.create_directory("d"); },
                          [&](sim::Disk& disk, bool ended) {
                              if (ended) outcomes.insert(disk.has_directory("d"));
                              return true;
                          });
    CHECK(report.complete);
    CHECK(report.states == 4);
    CHECK(outcomes == std::set<bool>{false, true});
}

TEST_CASE("crash_points draws outcome n of each operation from its seed + n",
          "[sim][crash_points][unit]") {
    const auto write = [](sim::Disk& disk) {
        auto file = disk.open("f", OpenMode::replace);
        return file && !file->write(0, Bytes(2000, std::byte{'x'}));
    };
    std::set<Bytes> outcomes;
    const auto report = sim::crash_points(write,
                                          [&](sim::Disk& disk, bool) {
                                              outcomes.insert(disk.contents("f"));
                                              return true;
                                          },
                                          {.seed = Seed{7000}});
    CHECK(report);
    for (std::uint64_t n = 0; n < 4; ++n) {
        sim::Disk disk;
        CHECK(write(disk));
        Random bits{Seed{7000 + n}};
        disk.crash(bits);
        CHECK(outcomes.count(disk.contents("f")) == 1);
    }
}

TEST_CASE("crash_points plays no loss of power before its first operation",
          "[sim][crash_points][unit]") {
    int interrupted = 0;
    const auto save_from = [&](std::uint64_t first) {
        interrupted = 0;
        return sim::crash_points(
            [](sim::Disk& disk) {
                const bool is_prepared = save(disk, LeftOut::nothing);
                return std::pair{is_prepared, save(disk, LeftOut::nothing)};
            },
            [&](sim::Disk& disk, std::pair<bool, bool> saved) {
                interrupted += saved.first ? 0 : 1;
                const std::string text{as_text(disk.contents("d/file"))};
                return text == "saved" || (text.empty() && !saved.first);
            },
            {.first_operation = first});
    };
    const auto all = save_from(1);
    CHECK(all);
    CHECK(all.operations == 10);
    CHECK(interrupted > 0);
    const auto later = save_from(6);
    CHECK(later);
    CHECK(later.states < all.states);
    CHECK(interrupted == 0);
    const auto last = save_from(11);
    CHECK(last.states == 1);
}

TEST_CASE("crash_points rejects a first operation that does not exist",
          "[sim][crash_points][unit]") {
    const auto message = [](std::uint64_t first) {
        return belay_test::aborts_with([first] {
            static_cast<void>(sim::crash_points(
                [](sim::Disk& disk) { return save(disk, LeftOut::nothing); },
                [](sim::Disk&, bool) { return true; }, {.first_operation = first}));
        });
    };
    CHECK(message(0).find("first_operation must be >= 1") != std::string::npos);
    CHECK(message(7).find("first_operation must not be behind the last operation") !=
          std::string::npos);
}

TEST_CASE("crash_points reports that it played only a part", "[sim][crash_points][unit]") {
    std::set<std::string> outcomes;
    const auto report = sim::crash_points(
        [](sim::Disk& disk) {
            auto file = disk.open("f", OpenMode::replace);
            return file && !file->write(0, Bytes(10 * 512, std::byte{'x'}));
        },
        [&](sim::Disk& disk, bool) {
            outcomes.emplace(as_text(disk.contents("f")));
            return true;
        },
        {.enumerated_max = 40});
    CHECK(report);
    CHECK_FALSE(report.complete);
    CHECK(report.operations == 2);
    CHECK(report.states <= 3 * 72);
    CHECK(outcomes.size() > 10);
}

TEST_CASE("crash_points finds that a journal without a flush loses what it has confirmed",
          "[sim][crash_points][fault]") {
    const auto each = appends(Flush::each);
    INFO(each.failure);
    CHECK(each);
    CHECK(each.states > 100);
    CHECK_FALSE(appends(Flush::none));
}

TEST_CASE("crash_points rejects a limit of no states", "[sim][crash_points][unit]") {
    CHECK(belay_test::aborts_with([] {
              static_cast<void>(sim::crash_points([](sim::Disk&) { return 0; },
                                                  [](sim::Disk&, int) { return true; },
                                                  {.enumerated_max = 0}));
          }).find("enumerated_max must be >= 1") != std::string::npos);
}
