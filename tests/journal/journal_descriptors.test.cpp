// SPDX-License-Identifier: MIT
// Goal: a journal in a process that can open no file for a while, because it has no descriptors,
// permission or memory, rejects operations. It does not fail, and loses no confirmed operation.
// Method: each call that opens a file fails, once or several times. Then the journal continues, is
// closed, or the power fails.
#include <algorithm>
#include <system_error>

#include <belay/journal/journal.hpp>
#include <belay/sim/disk.hpp>

#include "support/catch.hpp"
#include "support/journal/journal_model.hpp"

using namespace belay;
using namespace belay_test;

namespace {

/// A sim::Disk that opens neither files nor directories during several consecutive calls.
struct LeanDisk : sim::Disk {
    [[nodiscard]] Result<File> open(const std::string& path, OpenMode mode) noexcept {
        if (refuses()) return error;
        return sim::Disk::open(path, mode);
    }
    [[nodiscard]] std::error_code sync_directory(const std::string& path) noexcept {
        return refuses() ? error : sim::Disk::sync_directory(path);
    }
    bool refuses() noexcept {
        ++calls;
        return calls >= first && calls < end;
    }

    std::error_code error{};
    std::uint64_t calls = 0;
    std::uint64_t first = 0;  ///< the first call that fails
    std::uint64_t end = 0;
};
using LeanJournal = Journal<LeanDisk>;

enum class Then { goes_on, is_closed, loses_power };

/// Appends 40 operations in several files.   Returns: the last one that a commit has confirmed.
std::uint64_t append_some(LeanJournal& journal, const std::error_code& error) {
    for (int tries = 0; tries < 100 && journal.last() < 40; ++tries) {
        const auto number = journal.append(body_of(journal.last() + 1, 0));
        CHECK((number || number.error() == error));
        static_cast<void>(journal.commit());
        CHECK_FALSE(journal.failed());
    }
    return journal.durable();
}

}  // namespace

TEST_CASE("Journal that cannot open a new file or its directory for a while continues",
          "[journal][journal_descriptors][fault]") {
    const std::error_code error = std::make_error_code(
        GENERATE(std::errc::too_many_files_open, std::errc::too_many_files_open_in_system,
                 std::errc::permission_denied, std::errc::not_enough_memory));
    const Then then = GENERATE(Then::goes_on, Then::is_closed, Then::loses_power);
    const std::uint64_t lasts = GENERATE(1U, 2U, 5U, 1000U);
    for (std::uint64_t first = 1; first < 40; ++first) {
        LeanDisk disk;
        disk.error = error;
        auto opened = LeanJournal::open(disk, "q", small_journal(1));
        REQUIRE(opened);
        disk.first = disk.calls + first;
        disk.end = disk.first + lasts;
        std::uint64_t confirmed = append_some(*opened, error);
        if (then == Then::goes_on) {
            disk.end = 0;
            confirmed = append_some(*opened, error);
            CHECK(confirmed == 40);
        }
        if (then == Then::loses_power) disk.crash(Random{Seed{first}});
        { const LeanJournal ends = std::move(*opened); }
        disk.end = 0;
        auto again = LeanJournal::open(disk, "q", small_journal(2));
        INFO(error.message() << " from call " << first << " on, for " << lasts);
        REQUIRE(again);
        CHECK(again->last() >= confirmed);
        for (std::uint64_t n = 1; n <= again->last(); ++n) {
            const auto body = again->read(n);
            REQUIRE(body);
            const Bytes expected = body_of(n, 0);
            CHECK(std::equal(body->begin(), body->end(), expected.begin(), expected.end()));
        }
    }
}

TEST_CASE("Journal fails if the sync of its directory ends with an I/O error",
          "[journal][journal_descriptors][fault]") {
    struct Unsynced : sim::Disk {
        [[nodiscard]] std::error_code sync_directory(const std::string& path) noexcept {
            return fails ? std::make_error_code(std::errc::io_error)
                         : sim::Disk::sync_directory(path);
        }
        bool fails = false;
    } disk;
    JournalOptions options = small_journal(1);
    options.after_failure =
        GENERATE(JournalOptions::AfterFailure::stops, JournalOptions::AfterFailure::reopens);
    const bool stops = options.after_failure == JournalOptions::AfterFailure::stops;
    auto journal = Journal<Unsynced>::open(disk, "q", options);
    REQUIRE(journal);
    disk.fails = true;
    while (journal->append(body_of(journal->last() + 1, 0))) REQUIRE(journal->last() < 40);
    // The content of the medium is unknown, also if a later sync succeeds.
    disk.fails = false;
    CHECK(bool{journal->failed()} == stops);
    CHECK(bool{journal->append(body_of(journal->last() + 1, 0))} != stops);
    CHECK(bool{journal->commit()} == stops);
}
