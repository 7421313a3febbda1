// SPDX-License-Identifier: MIT
// Goal: no failing call makes the journal claim what is not so. Method: each operation failed in
// turn.
#include <belay/queue/journal.hpp>
#include <belay/sim/disk.hpp>

#include "support/journal_model.hpp"

using namespace belay;
using namespace belay_test;

namespace {

struct Done {
    std::uint64_t taken = 0;
    std::uint64_t durable = 0;
    std::uint64_t failures = 0;
    bool poisoned = false;
    bool lied = false;  // success after the journal had failed
};

/// Appends, syncs and acknowledges, going on after each failure as a patient user would.
Done use(sim::Disk& disk, std::uint64_t seed, std::uint32_t& salt) {
    Done done;
    auto journal = SimJournal::open(disk, "q", small_journal(seed));
    if (!journal) {
        ++done.failures;
        return done;
    }
    salt = journal->salt();
    for (int round = 0; round < 20; ++round) {
        for (int i = 0; i < 4; ++i) {
            const std::uint64_t next = journal->last() + 1;
            const auto number = journal->append(body_of(next, salt));
            done.lied = done.lied || (number && done.poisoned);
            if (number) done.taken = *number;
            done.failures += number ? 0U : 1U;
        }
        const std::error_code synced = journal->sync();
        done.lied = done.lied || (!synced && done.poisoned && done.taken > done.durable);
        if (!synced) done.durable = journal->last();
        if (journal->durable() > done.taken) done.lied = true;
        done.failures += synced ? 1U : 0U;
        if (round % 3 == 2) {
            static_cast<void>(journal->ack(std::min(journal->base() + 8, journal->durable())));
        }
        done.poisoned = done.poisoned || static_cast<bool>(journal->failed());
    }
    return done;
}

bool all_there(sim::Disk& disk, std::uint64_t durable, std::uint32_t salt) {
    auto journal = SimJournal::open(disk, "q", small_journal(7));
    if (!journal) return false;
    if (journal->last() < durable) return false;
    for (std::uint64_t n = journal->base(); n <= journal->last(); ++n) {
        const auto body = journal->read(n);
        const Bytes expected = body_of(n, salt);
        if (!body || !std::equal(body->begin(), body->end(), expected.begin(), expected.end())) {
            return false;
        }
    }
    return true;
}

}  // namespace

TEST_CASE("Journal survives a failure of every single operation", "[queue][journal][fault]") {
    const std::errc what =
        GENERATE(std::errc::io_error, std::errc::no_space_on_device, std::errc::permission_denied);
    sim::Disk whole;
    std::uint32_t salt = 0;
    REQUIRE(use(whole, 1, salt).failures == 0);
    const std::uint64_t operations = whole.operations();
    std::uint64_t poisoned = 0;
    for (std::uint64_t number = 1; number <= operations; ++number) {
        for (std::uint64_t torn = 0; torn < 4; ++torn) {
            sim::Disk disk;
            disk.fail_at(number, std::make_error_code(what));
            const Done done = use(disk, 1, salt);
            INFO("operation " << number << ", " << std::make_error_code(what).message());
            REQUIRE_FALSE(done.lied);
            poisoned += done.poisoned ? 1U : 0U;
            Random bits{Seed{number * 10 + torn}};
            disk.crash(bits);
            REQUIRE(all_there(disk, done.durable, salt));
        }
    }
    CHECK(poisoned > 0);
}

TEST_CASE("Journal that could not flush takes nothing more, and says why",
          "[queue][journal][fault]") {
    sim::Disk disk;
    auto journal = SimJournal::open(disk, "q", small_journal(1));
    REQUIRE(journal);
    REQUIRE(journal->append(as_bytes("one")));
    REQUIRE_FALSE(journal->sync());
    REQUIRE(journal->append(as_bytes("two")));
    disk.fail_at(disk.operations() + 2, std::make_error_code(std::errc::io_error));
    CHECK(journal->sync() == std::errc::io_error);
    CHECK(journal->failed() == std::errc::io_error);
    // The disk would work again; the journal does not try.
    CHECK(journal->sync() == std::errc::io_error);
    CHECK(journal->append(as_bytes("three")).error() == std::errc::io_error);
    CHECK(journal->pin_store(Id{std::byte{1}}) == std::errc::io_error);
    CHECK(journal->ack(1) == std::errc::io_error);
    CHECK(journal->durable() == 1);
    CHECK(as_text(*journal->read(1)) == "one");
}

TEST_CASE("Journal on a full disk refuses what does not fit, and keeps the rest",
          "[queue][journal][fault]") {
    sim::Disk disk;
    disk.limit_bytes(2 * 4096);
    auto journal = SimJournal::open(disk, "q", small_journal(1));
    REQUIRE(journal);
    std::uint64_t taken = 0;
    std::error_code error;
    while (!error) {
        const auto number = journal->append(body_of(taken + 1, journal->salt()));
        error = number.error();
        if (number) taken = *number;
    }
    CHECK(error == std::errc::no_space_on_device);
    CHECK_FALSE(journal->failed());
    CHECK_FALSE(journal->sync());
    CHECK(journal->durable() == taken);
    // Reading and acknowledging go on, and make room.
    CHECK(journal->read(1));
    CHECK_FALSE(journal->ack(taken));
    CHECK_FALSE(journal->sync());
    CHECK(*journal->append(as_bytes("again")) == taken + 1);
    CHECK_FALSE(journal->sync());
}

TEST_CASE("Journal::open on a full disk needs no space", "[queue][journal][fault]") {
    sim::Disk disk;
    {
        auto journal = SimJournal::open(disk, "q", small_journal(1));
        REQUIRE(journal);
        while (disk.used_bytes() < 3 * 4096) {
            REQUIRE(journal->append(body_of(journal->last() + 1, journal->salt())));
        }
    }
    disk.limit_bytes(disk.used_bytes());
    for (int run = 0; run < 10; ++run) CHECK(SimJournal::open(disk, "q", small_journal(1)));
    // Only when the last segment has no room for one more opening does it say so.
    std::optional<JournalError> error;
    for (int run = 0; run < 200 && !error; ++run) {
        auto journal = SimJournal::open(disk, "q", small_journal(1));
        if (!journal) error = journal.error();
    }
    REQUIRE(error);
    CHECK(error->code == std::errc::no_space_on_device);
    CHECK(error->message().find("free some space") != std::string::npos);
    disk.limit_bytes(disk.used_bytes() + 4096);
    CHECK(SimJournal::open(disk, "q", small_journal(1)));
}
