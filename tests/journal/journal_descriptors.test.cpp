// SPDX-License-Identifier: MIT
// Goal: a journal in a process without free descriptors refuses operations, and neither fails nor
// loses what it has confirmed. Method: each call that needs a descriptor has none, once or several
// times; then the journal goes on, is closed, or the power fails.
#include <algorithm>
#include <system_error>

#include <belay/journal/journal.hpp>
#include <belay/sim/disk.hpp>

#include "support/catch.hpp"
#include "support/journal/journal_model.hpp"

using namespace belay;
using namespace belay_test;

namespace {

const std::error_code emfile = std::make_error_code(std::errc::too_many_files_open);

/// A sim::Disk that has no descriptor for some calls in a row.
struct LeanDisk : sim::Disk {
    [[nodiscard]] Result<File> open(const std::string& path, OpenMode mode) noexcept {
        if (refuses()) return emfile;
        return sim::Disk::open(path, mode);
    }
    [[nodiscard]] std::error_code sync_directory(const std::string& path) noexcept {
        return refuses() ? emfile : sim::Disk::sync_directory(path);
    }
    bool refuses() noexcept {
        ++calls;
        return calls >= first && calls < end;
    }

    std::uint64_t calls = 0;
    std::uint64_t first = 0;  ///< the first call without a descriptor
    std::uint64_t end = 0;
};
using LeanJournal = Journal<LeanDisk>;

enum class Then { goes_on, is_closed, loses_power };

/// Appends 40 operations in several files.   Returns: the last one that a commit has confirmed.
std::uint64_t append_some(LeanJournal& journal) {
    for (int tries = 0; tries < 100 && journal.last() < 40; ++tries) {
        const auto number = journal.append(body_of(journal.last() + 1, 0));
        CHECK((number || number.error() == emfile));
        static_cast<void>(journal.commit());
        CHECK_FALSE(journal.failed());
    }
    return journal.durable();
}

}  // namespace

TEST_CASE("Journal without a descriptor for a new file or its directory continues",
          "[journal][journal_descriptors][fault]") {
    const Then then = GENERATE(Then::goes_on, Then::is_closed, Then::loses_power);
    const std::uint64_t lasts = GENERATE(1U, 2U, 5U, 1000U);
    for (std::uint64_t first = 1; first < 40; ++first) {
        LeanDisk disk;
        auto opened = LeanJournal::open(disk, "q", small_journal(1));
        REQUIRE(opened);
        disk.first = disk.calls + first;
        disk.end = disk.first + lasts;
        std::uint64_t confirmed = append_some(*opened);
        if (then == Then::goes_on) {
            disk.end = 0;
            confirmed = append_some(*opened);
            CHECK(confirmed == 40);
        }
        if (then == Then::loses_power) disk.crash(Random{Seed{first}});
        { const LeanJournal ends = std::move(*opened); }
        disk.end = 0;
        auto again = LeanJournal::open(disk, "q", small_journal(2));
        INFO("without a descriptor from call " << first << " on, for " << lasts);
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
