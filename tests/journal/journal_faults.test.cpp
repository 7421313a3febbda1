// SPDX-License-Identifier: MIT
// Goal: a failing call never makes the journal confirm an operation that is not durable. Method:
// each operation failed in turn.
#include <belay/journal/journal.hpp>
#include <belay/sim/disk.hpp>

#include "support/journal/journal_model.hpp"

using namespace belay;
using namespace belay_test;

namespace {

struct Done {
    std::uint64_t taken = 0;
    std::uint64_t durable = 0;
    std::uint64_t failures = 0;
    bool poisoned = false;
    Bytes note;                  // the last one that was durable
    bool false_success = false;  // success after the journal had failed
};

/// Appends, syncs and acknowledges, and continues after each failure, like a user who tries again.
Done use(sim::Disk& disk, std::uint64_t seed, std::uint32_t& salt, bool stops = false,
         JournalOptions::AfterFailure after = JournalOptions::AfterFailure::stops) {
    Done done;
    JournalOptions options = small_journal(seed);
    options.after_failure = after;
    auto journal = SimJournal::open(disk, "q", options);
    if (!journal) {
        ++done.failures;
        return done;
    }
    salt = journal->salt();
    for (int round = 0; round < 20; ++round) {
        for (int i = 0; i < 4; ++i) {
            const std::uint64_t next = journal->last() + 1;
            const auto number = journal->append(body_of(next, salt));
            done.false_success = done.false_success || (number && done.poisoned);
            if (number) done.taken = *number;
            done.failures += number ? 0U : 1U;
        }
        const Bytes note(static_cast<std::size_t>(round) * 20, static_cast<std::byte>(round));
        const std::error_code kept = journal->keep(note);
        done.false_success = done.false_success || (!kept && done.poisoned) ||
                             (!kept && as_text(journal->kept()) != as_text(note));
        done.failures += kept ? 1U : 0U;
        const bool flushes = round % 2 == 0;
        const std::error_code synced = flushes ? journal->flush() : journal->commit();
        done.false_success = done.false_success || (!synced && journal->unflushed());
        if (!synced) done.note.assign(journal->kept().begin(), journal->kept().end());
        done.false_success =
            done.false_success || (!synced && done.poisoned && done.taken > done.durable);
        if (!synced) done.durable = journal->last();
        if (journal->durable() > done.taken) done.false_success = true;
        done.failures += synced ? 1U : 0U;
        if (round % 3 == 2) {
            static_cast<void>(journal->ack(std::min(journal->base() + 8, journal->durable())));
        }
        done.poisoned = done.poisoned ||
                        (after == JournalOptions::AfterFailure::stops && bool{journal->failed()});
        if (stops && done.failures != 0) break;
    }
    return done;
}

bool all_there(sim::Disk& disk, const Done& done, std::uint32_t salt) {
    auto journal = SimJournal::open(disk, "q", small_journal(7));
    if (!journal) return false;
    if (journal->last() < done.durable) return false;
    // A later note, which is longer, may be there.
    if (journal->kept().size() < done.note.size()) return false;
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

TEST_CASE("Journal survives a failure of every single operation", "[journal][journal][fault]") {
    const std::errc what =
        GENERATE(std::errc::io_error, std::errc::no_space_on_device, std::errc::permission_denied);
    const bool takes_effect = GENERATE(false, true);
    sim::Disk whole;
    std::uint32_t salt = 0;
    REQUIRE(use(whole, 1, salt).failures == 0);
    const std::uint64_t operations = whole.operations();
    std::uint64_t poisoned = 0;
    for (std::uint64_t number = 1; number <= operations; ++number) {
        for (std::uint64_t torn = 0; torn < 4; ++torn) {
            sim::Disk disk;
            const std::error_code error = std::make_error_code(what);
            takes_effect ? disk.fail_after(number, error) : disk.fail_at(number, error);
            const Done done = use(disk, 1, salt, torn % 2 == 1);
            INFO("operation " << number << (takes_effect ? " takes effect, " : ", ")
                              << error.message() << ", power " << torn);
            REQUIRE_FALSE(done.false_success);
            poisoned += done.poisoned ? 1U : 0U;
            CHECK(disk.open_files() == 0);
            Random bits{Seed{number * 10 + torn}};
            torn < 2 ? disk.kill() : disk.crash(bits);
            REQUIRE(all_there(disk, done, salt));
        }
    }
    CHECK(poisoned > 0);
}

TEST_CASE("Journal that reopens its files goes on after a failure of every single operation",
          "[journal][journal][fault]") {
    const std::errc what = GENERATE(std::errc::io_error, std::errc::no_space_on_device);
    const bool takes_effect = GENERATE(false, true);
    // The next attempt fails, too, at one of its operations.
    const std::uint64_t second = GENERATE(0U, 1U, 2U, 3U);
    sim::Disk whole;
    std::uint32_t salt = 0;
    REQUIRE(use(whole, 1, salt).failures == 0);
    const std::uint64_t operations = whole.operations();
    for (std::uint64_t number = 12; number <= operations; ++number) {
        sim::Disk disk;
        const std::error_code error = std::make_error_code(what);
        takes_effect ? disk.fail_after(number, error) : disk.fail_at(number, error);
        if (second != 0) disk.fail_at(number + second, error);
        const Done done = use(disk, 1, salt, false, JournalOptions::AfterFailure::reopens);
        INFO("operation " << number << (takes_effect ? " takes effect, " : ", ") << error.message()
                          << ", and again after " << second);
        REQUIRE_FALSE(done.false_success);
        CHECK(done.failures <= 3);
        CHECK(done.taken >= 74);
        CHECK(done.durable + 8 >= done.taken);  // the last calls may be the failing ones
        CHECK(disk.open_files() == 0);
        Random bits{Seed{number}};
        disk.crash(bits);
        REQUIRE(all_there(disk, done, salt));
    }
}

TEST_CASE("Journal that reopens its files confirms nothing that a failed flush has lost",
          "[journal][journal][fault]") {
    // In Flush::none, the system drops what was written before the flush.
    sim::Disk disk;
    JournalOptions options = small_journal(1);
    options.flush = Flush::none;
    auto journal = SimJournal::open(disk, "q", options);
    REQUIRE(journal);
    REQUIRE(journal->append(as_bytes("one")));
    REQUIRE_FALSE(journal->flush());
    REQUIRE(journal->append(as_bytes("two")));
    REQUIRE_FALSE(journal->commit());
    disk.fail_at(disk.operations() + 1, std::make_error_code(std::errc::io_error));
    REQUIRE(journal->flush() == std::errc::io_error);
    const bool drops = GENERATE(false, true);
    const std::string path = "q/" + journal_format::segment_name(1);
    if (drops) {
        auto file = disk.open(path, OpenMode::write);
        REQUIRE(file);
        const auto size = file->size();
        REQUIRE(size);
        Bytes all(*size);
        REQUIRE(file->read(0, all));
        const auto at = as_text(all).find("two");
        REQUIRE(at != std::string_view::npos);
        REQUIRE_FALSE(file->write(at, Bytes(3)));
    }
    CHECK(bool{journal->flush()} == drops);
    CHECK(bool{journal->failed()} == drops);
    if (drops) return;
    Random bits{Seed{1}};
    disk.crash(bits);
    auto again = SimJournal::open(disk, "q", small_journal(2));
    REQUIRE(again);
    CHECK(again->last() == 2);
}

TEST_CASE("Journal survives a failure of every single read", "[journal][journal][fault]") {
    sim::Disk whole;
    std::uint32_t salt = 0;
    REQUIRE(use(whole, 1, salt).failures == 0);
    const std::uint64_t reads = whole.reads();
    for (std::uint64_t number = 1; number <= reads; ++number) {
        sim::Disk disk;
        disk.fail_read_at(number, std::make_error_code(std::errc::io_error));
        const Done done = use(disk, 1, salt);
        INFO("read " << number);
        REQUIRE_FALSE(done.false_success);
        CHECK_FALSE(done.poisoned);
        Random bits{Seed{number}};
        disk.crash(bits);
        REQUIRE(all_there(disk, done, salt));
        // Nor while it is opened again.
        disk.fail_read_at(disk.reads() + number, std::make_error_code(std::errc::io_error));
        static_cast<void>(SimJournal::open(disk, "q", small_journal(3)));
        disk.crash(bits);
        REQUIRE(all_there(disk, done, salt));
    }
}

TEST_CASE("Journal survives a lack of descriptors at every single open",
          "[journal][journal][fault]") {
    const std::error_code error = std::make_error_code(std::errc::too_many_files_open);
    sim::Disk whole;
    std::uint32_t salt = 0;
    REQUIRE(use(whole, 1, salt).failures == 0);
    for (std::uint64_t number = 1; number <= whole.opens(); ++number) {
        sim::Disk disk;
        disk.fail_open_at(number, error);
        const Done done = use(disk, 1, salt);
        INFO("open " << number);
        REQUIRE_FALSE(done.false_success);
        CHECK_FALSE(done.poisoned);
        CHECK(disk.open_files() == 0);
        Random bits{Seed{number}};
        disk.crash(bits);
        REQUIRE(all_there(disk, done, salt));
        // Nor while it is opened again.
        disk.fail_open_at(disk.opens() + number, error);
        static_cast<void>(SimJournal::open(disk, "q", small_journal(3)));
        CHECK(disk.open_files() == 0);
        disk.crash(bits);
        REQUIRE(all_there(disk, done, salt));
    }
}

TEST_CASE("Journal whose flush failed accepts nothing more if it stops after a failure",
          "[journal][journal][fault]") {
    sim::Disk disk;
    JournalOptions options = small_journal(1);
    options.after_failure = JournalOptions::AfterFailure::stops;
    auto journal = SimJournal::open(disk, "q", options);
    REQUIRE(journal);
    REQUIRE(journal->append(as_bytes("one")));
    REQUIRE_FALSE(journal->commit());
    REQUIRE(journal->append(as_bytes("two")));
    disk.fail_at(disk.operations() + 2, std::make_error_code(std::errc::io_error));
    CHECK(journal->commit() == std::errc::io_error);
    CHECK(journal->failed() == std::errc::io_error);
    // The disk would work again. The journal does not try.
    CHECK(journal->commit() == std::errc::io_error);
    CHECK(journal->append(as_bytes("three")).error() == std::errc::io_error);
    CHECK(journal->pin_store(Id{std::byte{1}}) == std::errc::io_error);
    CHECK(journal->keep(as_bytes("note")) == std::errc::io_error);
    CHECK(journal->flush() == std::errc::io_error);
    CHECK(journal->unflushed());
    CHECK(journal->ack(1) == std::errc::io_error);
    CHECK(journal->durable() == 1);
    CHECK(as_text(*journal->read(1)) == "one");
    // A value that cannot be acknowledged would be executed again by each drain.
    CHECK(journal->front().error() == std::errc::io_error);
    CHECK_FALSE(journal->try_pop());
}

TEST_CASE("Journal on a full disk rejects operations that do not fit, and keeps the rest",
          "[journal][journal][fault]") {
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
    CHECK_FALSE(journal->commit());
    CHECK(journal->durable() == taken);
    // A note leaves the same space for acknowledgements as an operation.
    CHECK(journal->keep(Bytes(journal_format::note_bytes_max)) == std::errc::no_space_on_device);
    CHECK(journal->kept().empty());
    // Reading and acknowledging continue, and free space.
    CHECK(journal->read(1));
    CHECK_FALSE(journal->ack(taken));
    CHECK_FALSE(journal->commit());
    CHECK(*journal->append(as_bytes("again")) == taken + 1);
    CHECK_FALSE(journal->commit());
}

TEST_CASE("Journal on a full disk frees space with each acknowledgement, also over openings",
          "[journal][journal][regression]") {
    // There are more operations than the reserve has space for acknowledgements.
    constexpr std::size_t segment_bytes = std::size_t{16} << 10;
    for (const Flush mode : {Flush::each, Flush::group, Flush::none}) {
        for (const std::uint64_t opened_again : {0U, 1U, 3U}) {
            INFO("mode " << static_cast<int>(mode) << ", opened again " << opened_again);
            const JournalOptions options{.flush = mode,
                                         .segment_bytes = segment_bytes,
                                         .record_bytes_max = 256,
                                         .seed = Seed{1}};
            sim::Disk disk;
            disk.limit_bytes(2 * segment_bytes);
            auto journal = SimJournal::open(disk, "q", options);
            REQUIRE(journal);
            while (journal->append(Bytes(20))) continue;
            REQUIRE_FALSE(journal->commit());
            const std::uint64_t last = journal->last();
            REQUIRE(last > 500);
            for (std::uint64_t n = 1; n <= last; ++n) {
                // These openings are at the time at which acknowledgements find no space.
                if (n >= last / 4 && n < last / 4 + opened_again) {
                    const std::uint64_t durable = journal->acked_durable();
                    { const SimJournal closed = std::move(*journal); }
                    journal = SimJournal::open(disk, "q", options);
                    REQUIRE(journal);
                    REQUIRE(journal->base() > durable);
                }
                const std::error_code error = journal->ack(n);
                if (error) REQUIRE(error == std::errc::no_space_on_device);
                REQUIRE(journal->base() == n + 1);
                REQUIRE_FALSE(journal->commit());
            }
            CHECK(journal->acked_durable() == last);
            CHECK(journal->append(as_bytes("again")));
            CHECK_FALSE(journal->commit());
            { const SimJournal closed = std::move(*journal); }
            journal = SimJournal::open(disk, "q", options);
            REQUIRE(journal);
            CHECK(journal->size() == 1);
            CHECK(as_text(*journal->read(last + 1)) == "again");
        }
    }
}

TEST_CASE("Journal::open on a full disk needs no space", "[journal][journal][fault]") {
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
}

TEST_CASE("Journal on a full disk opens any number of times, and acknowledgements then free space",
          "[journal][journal][regression]") {
    const bool killed = GENERATE(true, false);
    sim::Disk disk;
    std::uint64_t last = 0;
    {
        auto journal = SimJournal::open(disk, "q", small_journal(1));
        REQUIRE(journal);
        disk.limit_bytes(5 * 4096);
        for (;;) {
            const auto number = journal->append(body_of(journal->last() + 1, 0));
            if (!number) break;
            last = *number;
        }
        REQUIRE_FALSE(journal->commit());
    }
    std::uint32_t run = 1;
    for (int i = 0; i < 500; ++i) {
        auto journal = SimJournal::open(disk, "q", small_journal(1));
        REQUIRE(journal);
        REQUIRE(journal->run() == ++run);
        REQUIRE(journal->last() == last);
        REQUIRE(journal->report().truncated_bytes == 0);
        if (killed) disk.kill();
    }
    auto journal = SimJournal::open(disk, "q", small_journal(1));
    REQUIRE(journal);
    for (std::uint64_t n = 1; n <= last; ++n) {
        REQUIRE(as_text(*journal->read(n)) == as_text(body_of(n, 0)));
        REQUIRE_FALSE(journal->ack(n));
    }
    REQUIRE(journal->append(as_bytes("more")));
    CHECK_FALSE(journal->commit());
}

TEST_CASE("Journal::try_pop loses no operation at any failure, and repeats at most one",
          "[journal][journal][regression]") {
    constexpr std::uint64_t count = 60;
    JournalOptions options = small_journal(1);
    options.after_failure =
        GENERATE(JournalOptions::AfterFailure::stops, JournalOptions::AfterFailure::reopens);
    const bool stops = options.after_failure == JournalOptions::AfterFailure::stops;
    int repeated = 0;
    int failures = 0;
    for (std::uint64_t failing = 1; failing < 40; ++failing) {
        sim::Disk disk;
        std::uint64_t popped = 0;
        {
            auto journal = SimJournal::open(disk, "q", options);
            REQUIRE(journal);
            for (std::uint64_t n = 1; n <= count; ++n) REQUIRE(journal->append(body_of(n, 0)));
            REQUIRE_FALSE(journal->commit());
            disk.fail_at(disk.operations() + failing, std::make_error_code(std::errc::io_error));
            while (const auto body = journal->try_pop()) REQUIRE(*body == body_of(++popped, 0));
            failures += journal->failed() ? 1 : 0;
            disk.kill();
        }
        auto journal = SimJournal::open(disk, "q", small_journal(1));
        REQUIRE(journal);
        INFO("operation " << failing << " fails; " << popped << " were taken");
        REQUIRE(journal->last() == count);
        // Values whose removal only the memory of the process had are returned again, as after a
        // kill.
        REQUIRE(journal->base() - 1 <= popped);
        repeated += journal->base() - 1 < popped ? 1 : 0;
    }
    CHECK((failures > 0) == stops);
    CHECK(repeated > 0);
}

TEST_CASE("Journal that is opened after a failed flush does not rely on the page cache",
          "[journal][journal][regression]") {
    JournalOptions options = small_journal(1);
    options.after_failure = JournalOptions::AfterFailure::stops;
    std::uint64_t states = 0;
    for (std::uint64_t failing = 1; failing < 60; ++failing) {
        for (std::uint64_t torn = 0; torn < 8; ++torn) {
            sim::Disk disk;
            {
                auto journal = SimJournal::open(disk, "q", options);
                REQUIRE(journal);
                disk.fail_at(disk.operations() + failing,
                             std::make_error_code(std::errc::io_error));
                for (std::uint64_t n = 1; n <= 40 && !journal->failed(); ++n) {
                    static_cast<void>(journal->append(body_of(n, 0)));
                    if (n % 3 == 0) static_cast<void>(journal->commit());
                }
                if (!journal->failed()) continue;
                disk.kill();
            }
            // The machine continues to run, and its next flush succeeds.
            std::uint64_t last = 0;
            {
                auto journal = SimJournal::open(disk, "q", small_journal(2));
                REQUIRE(journal);
                REQUIRE(journal->append(as_bytes("of the second run")));
                REQUIRE_FALSE(journal->commit());
                last = journal->last();
                disk.kill();
            }
            Random bits{Seed{failing * 100 + torn}};
            disk.crash(bits);
            INFO("operation " << failing << " fails, torn " << torn);
            auto journal = SimJournal::open(disk, "q", small_journal(3));
            REQUIRE(journal);
            REQUIRE(journal->last() == last);
            for (std::uint64_t n = 1; n < last; ++n) {
                const auto body = journal->read(n);
                const Bytes expected = body_of(n, 0);
                REQUIRE(body);
                REQUIRE(std::equal(body->begin(), body->end(), expected.begin(), expected.end()));
            }
            ++states;
        }
    }
    CHECK(states > 100);
}
