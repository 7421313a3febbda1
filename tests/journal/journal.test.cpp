// SPDX-License-Identifier: MIT
// Goal: a Journal meets LogLike and LeasableLike. Method: a simulated disk.
#include <belay/journal/journal.hpp>
#include <belay/sim/crash_points.hpp>

#include <memory>

#include "support/journal/journal_model.hpp"
#include "support/queue/storage_conformance.hpp"
#include "support/seeds.hpp"
#include "support/sim/power_lost_at_end.hpp"

using namespace belay;
using namespace belay_test;

static_assert(explain::log_like<SimJournal>());
static_assert(explain::leasable_like<SimJournal>());
static_assert(std::is_nothrow_move_constructible_v<SimJournal> &&
              std::is_nothrow_move_assignable_v<SimJournal>);

namespace {

SimJournal open(sim::Disk& disk, const JournalOptions& options = small_journal(1)) {
    auto journal = SimJournal::open(disk, "q", options);
    INFO((journal ? "" : journal.error().message()));
    REQUIRE(journal);
    return std::move(journal).value();
}

void fill(SimJournal& journal, std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) {
        REQUIRE(journal.append(body_of(journal.last() + 1, journal.salt())));
    }
}

/// Moves a journal out of the block that opened it.
std::unique_ptr<SimJournal> into_memory(SimJournal&& journal) {
    return std::make_unique<SimJournal>(std::move(journal));
}

/// The last operation before the last segment, according to the files.
std::uint64_t last_in_sealed_segments(const sim::Disk& disk) {
    std::uint64_t first = 0;
    for (const auto& [path, bytes] : disk.image()) {
        if (journal_format::segment_index(path.substr(2)) == 0) continue;
        first = std::max(first, journal_format::decode_segment_header(bytes)->first);
    }
    return first - 1;
}

/// Counts, next to the journal, the bytes that calls have put into its files.
class DiskUse {
public:
    explicit DiskUse(const JournalOptions& options) : segment_bytes_{options.segment_bytes} {
        using namespace journal_format;
        const std::size_t marks = options.segment_bytes / record_bytes(0) / operations_per_mark + 1;
        own_bytes_ = segment_header_bytes + reserve_bytes + record_bytes(options.record_bytes_max) +
                     record_bytes(seal_payload_bytes(0, marks));
    }

    void appended(std::size_t body_bytes) {
        after_.push_back(
            {after_.back().operations + journal_format::record_bytes(body_bytes), others_});
    }
    /// At most one acknowledgement was written.
    void acknowledged() { others_ += journal_format::record_bytes(0); }
    /// At most two acknowledgements and an opening were written. The opening is in a seal, too. The
    /// operations after `last` are lost.
    void opened(std::uint64_t last) {
        others_ += 2 * journal_format::record_bytes(0) + journal_format::record_bytes(4) +
                   journal_format::seal_payload_bytes(1, 0);
        REQUIRE(last < after_.size());
        after_.resize(static_cast<std::size_t>(last) + 1);
    }

    /// The bytes of the records of the waiting operations.
    [[nodiscard]] std::uint64_t live(const SimJournal& j) const {
        return after_[j.last()].operations - after_[j.base() - 1].operations;
    }

    /// The largest size of the files, if there are `files` of them.
    ///
    /// Two of them may be almost without waiting operations: the file with the first waiting
    /// operation, and the file that is written to. Each file between them was full when the next
    /// one was made, and each operation in it waits. The function adds all other bytes: what each
    /// file needs for itself (its header, its seal, the reserve, and an end that is too short for
    /// the next operation), and the records of acknowledgements and openings since the first
    /// waiting operation. They are few if segments are large.
    [[nodiscard]] std::uint64_t most(const SimJournal& j, std::uint64_t files) const {
        const std::uint64_t first = std::min(j.base(), j.last());
        return live(j) + 2 * segment_bytes_ + (files < 2 ? 0 : files - 2) * own_bytes_ +
               (others_ - after_[first].others);
    }

private:
    /// The bytes that were put in, up to and including an operation.
    struct Sums {
        std::uint64_t operations = 0;
        std::uint64_t others = 0;
    };

    std::uint64_t segment_bytes_;
    std::uint64_t own_bytes_ = 0;
    std::uint64_t others_ = 0;
    std::vector<Sums> after_{{}};  // the index is the number of the operation
};

}  // namespace

TEST_CASE("check::storage finds no fault in Journal", "[journal][journal][property]") {
    // The journal outlives the function that makes its disk, so this vector owns the disks.
    std::vector<std::unique_ptr<sim::Disk>> disks;
    check_storage_conformance(
        [&] {
            disks.push_back(std::make_unique<sim::Disk>());
            return open(*disks.back());
        },
        [](std::uint64_t i) { return body_of(i, 0); }, [&] { return open(*disks.back()); });
}

TEST_CASE("Journal numbers operations from 1, and returns their bytes",
          "[journal][journal][unit]") {
    sim::Disk disk;
    SimJournal j = open(disk);
    CHECK(j.base() == 1);
    CHECK(j.last() == 0);
    CHECK(j.durable() == 0);
    CHECK(j.run() == 1);
    CHECK(*j.append(as_bytes("one")) == 1);
    CHECK(*j.append({}) == 2);
    CHECK(j.last() == 2);
    CHECK(j.durable() == 0);
    CHECK(as_text(*j.read(1)) == "one");
    CHECK(j.read(2)->empty());
    CHECK_FALSE(j.commit());
    CHECK(j.durable() == 2);
    CHECK(as_text(*j.read(1)) == "one");
    CHECK(j.read(0).error() == QueueErrc::unknown_number);
    CHECK(j.read(3).error() == QueueErrc::unknown_number);
}

TEST_CASE("Journal::check is first_check folded with next_check", "[journal][journal][unit]") {
    sim::Disk disk;
    SimJournal j = open(disk);
    fill(j, 500);
    std::uint64_t check = belay::journal_format::first_check(j.journal_id());
    CHECK(*j.check(0) == check);
    for (std::uint64_t n = 1; n <= 500; ++n) {
        check = belay::journal_format::next_check(check, body_of(n, j.salt()), j.salt());
        REQUIRE(*j.check(n) == check);
        REQUIRE(j.salt_of(n) == j.salt());
    }
    CHECK_FALSE(j.ack(333));
    CHECK(j.check(333));
    CHECK(j.check(332).error() == QueueErrc::unknown_number);
    CHECK(j.check(501).error() == QueueErrc::unknown_number);
    // Over all remaining segments, in any order.
    const std::uint64_t at_end = *j.check(500);
    CHECK(at_end == check);
    CHECK(*j.check(400) ==
          belay::journal_format::next_check(*j.check(399), body_of(400, j.salt()), j.salt()));
}

TEST_CASE("Journal::read finds any operation, in any order", "[journal][journal][property]") {
    sim::Disk disk;
    SimJournal j = open(disk);
    fill(j, 400);
    REQUIRE_FALSE(j.commit());
    fill(j, 10);  // some are not written yet
    CHECK(rc::check("read(n) returns the bytes that append(n) received", [&](std::uint16_t draw) {
        const std::uint64_t n = 1 + draw % 410;
        const auto body = j.read(n);
        RC_ASSERT(body.has_value());
        const Bytes expected = body_of(n, j.salt());
        RC_ASSERT(std::equal(body->begin(), body->end(), expected.begin(), expected.end()));
    }));
}

TEST_CASE("Journal::ack is cumulative, idempotent, and never goes back",
          "[journal][journal][unit]") {
    sim::Disk disk;
    SimJournal j = open(disk);
    fill(j, 10);
    CHECK_FALSE(j.ack(0));
    CHECK(j.base() == 1);
    CHECK_FALSE(j.ack(4));
    CHECK_FALSE(j.ack(4));
    CHECK_FALSE(j.ack(2));
    CHECK(j.base() == 5);
    CHECK(j.size() == 6);
    CHECK(j.read(4).error() == QueueErrc::unknown_number);
    CHECK(j.ack(11) == QueueErrc::unknown_number);
    CHECK(j.base() == 5);
    CHECK_FALSE(j.ack(10));
    CHECK(j.size() == 0);
    CHECK(j.front().error() == QueueErrc::queue_empty);
}

TEST_CASE("Journal::open continues the numbers although everything is acknowledged",
          "[journal][journal][unit]") {
    sim::Disk disk;
    std::uint64_t check = 0;
    Id id{};
    {
        SimJournal j = open(disk);
        fill(j, 300);
        REQUIRE_FALSE(j.ack(300));
        check = *j.check(300);
        id = j.journal_id();
    }
    SimJournal j = open(disk);
    CHECK(j.journal_id() == id);
    CHECK(j.run() == 2);
    CHECK(j.last() == 300);
    CHECK(j.base() == 301);
    CHECK(j.durable() == 300);
    CHECK(*j.check(300) == check);
    CHECK(*j.append(as_bytes("next")) == 301);
    CHECK(j.report().operations == 0);
    CHECK_FALSE(j.report().created);
}

TEST_CASE("Journal::salt_of follows the run that appended", "[journal][journal][unit]") {
    sim::Disk disk;
    std::vector<std::uint32_t> salts;
    for (std::uint64_t run = 1; run <= 5; ++run) {
        SimJournal j = open(disk);
        CHECK(j.run() == run);
        // The third run appends nothing.
        if (run != 3) fill(j, 2);
        salts.push_back(j.salt());
        CHECK(std::count(salts.begin(), salts.end(), j.salt()) == 1);
    }
    SimJournal j = open(disk);
    CHECK(j.salt_of(1) == salts[0]);
    CHECK(j.salt_of(2) == salts[0]);
    CHECK(j.salt_of(4) == salts[1]);
    CHECK(j.salt_of(5) == salts[3]);
    CHECK(j.salt_of(8) == salts[4]);
    CHECK_FALSE(j.ack(5));
    CHECK(j.salt_of(6) == salts[3]);
    CHECK(j.salt_of(7) == salts[4]);
}

TEST_CASE("Journal::pin_store is durable when it returns", "[journal][journal][unit]") {
    sim::Disk disk;
    Id store{};
    store[3] = std::byte{7};
    Random bits{Seed{1}};
    {
        SimJournal j = open(disk);
        CHECK(j.store_pin() == no_id);
        CHECK_FALSE(j.pin_store(store));
        CHECK(j.store_pin() == store);
        disk.crash(bits);
    }
    {
        SimJournal j = open(disk);
        CHECK(j.store_pin() == store);
        // The pin outlives the segment in which it was written.
        fill(j, 300);
        CHECK_FALSE(j.ack(300));
    }
    CHECK(open(disk).store_pin() == store);
}

TEST_CASE("A journal that was deleted and made again has another id", "[journal][journal][unit]") {
    sim::Disk disk;
    JournalOptions options = small_journal(1);
    options.seed.reset();
    const Id first = open(disk, options).journal_id();
    disk.restore({});
    SimJournal j = open(disk, options);
    CHECK(j.journal_id() != first);
    CHECK(j.report().created);
}

TEST_CASE("Journal keeps no more files than its operations need", "[journal][journal][unit]") {
    sim::Disk disk;
    SimJournal j = open(disk);
    for (int round = 0; round < 50; ++round) {
        fill(j, 40);
        CHECK_FALSE(j.commit());
        CHECK_FALSE(j.ack(j.last()));
        // The last segment, and the lock.
        CHECK(disk.list("q")->size() == 2);
        CHECK(disk.used_bytes() == 4096);
    }
}

TEST_CASE("Journal uses the disk space of waiting operations and two segments, after every call",
          "[journal][journal][property]") {
    constexpr std::size_t segment = 16 * 1024;
    constexpr std::size_t body_bytes_max = 200;
    std::uint64_t files_max = 0;
    for_each_seed(
        [&](Seed seed) {
            sim::Disk disk;
            Random bits{seed};
            JournalOptions options{
                .segment_bytes = segment, .record_bytes_max = body_bytes_max, .seed = seed};
            options.flush = std::array{Flush::group, Flush::none, Flush::each}[bits() % 3];
            DiskUse use{options};
            std::optional<SimJournal> j{open(disk, options)};
            const auto check = [&] {
                const std::uint64_t used = disk.used_bytes();
                const std::uint64_t files = disk.list("q")->size() - 1;  // without the lock
                files_max = std::max(files_max, files);
                REQUIRE(used == files * segment);
                REQUIRE(used <= use.most(*j, files));
                REQUIRE(j->bytes() >= use.live(*j));
                REQUIRE(j->bytes() + files * journal_format::segment_header_bytes <= used);
            };
            for (int step = 0; step < 200; ++step) {
                const std::uint64_t draw = bits() % 16;
                if (draw < 10) {
                    for (std::uint64_t left = 1 + bits() % 120; left != 0; --left) {
                        const std::size_t length = bits() % (body_bytes_max + 1);
                        REQUIRE(j->append(Bytes(length)));
                        use.appended(length);
                        check();
                    }
                } else if (draw < 12) {
                    REQUIRE_FALSE(j->commit());
                    use.acknowledged();
                } else if (draw < 14) {
                    const std::uint64_t up_to = j->base() - 1 + bits() % (j->size() + 1);
                    // Each call deletes sixteen files.
                    for (int i = 0; i < 8; ++i) REQUIRE_FALSE(j->ack(up_to));
                    use.acknowledged();
                } else {
                    if (draw == 15) disk.kill();
                    j.reset();
                    j.emplace(open(disk, options));
                    use.opened(j->last());
                }
                check();
            }
            for (int i = 0; i < 8; ++i) REQUIRE_FALSE(j->ack(j->last()));
            CHECK(disk.used_bytes() == segment);
        },
        60);
    CHECK(files_max >= 4);
}

TEST_CASE("Journal::append rejects an operation that is too large, and writes nothing",
          "[journal][journal][unit]") {
    sim::Disk disk;
    SimJournal j = open(disk);
    const Bytes largest(1024, std::byte{1});
    const Bytes larger(1025, std::byte{1});
    CHECK(j.append(larger).error() == QueueErrc::too_large);
    CHECK(j.last() == 0);
    for (int i = 0; i < 10; ++i) CHECK(j.append(largest));
    CHECK(j.read(10)->size() == 1024);
}

TEST_CASE("Journal reads operations that are longer than its current limit",
          "[journal][journal][unit]") {
    sim::Disk disk;
    {
        SimJournal j = open(disk);
        CHECK(j.append(Bytes(1024, std::byte{1})));
    }
    SimJournal j = open(disk, {.segment_bytes = 4096, .record_bytes_max = 10, .seed = Seed{1}});
    CHECK(j.read(1)->size() == 1024);
    CHECK(j.append(Bytes(11)).error() == QueueErrc::too_large);
}

TEST_CASE("Journal::open rejects impossible options", "[journal][journal][unit]") {
    sim::Disk disk;
    const JournalOptions impossible[] = {
        {.segment_bytes = 4095, .record_bytes_max = 1},
        {.segment_bytes = (std::size_t{1} << 30) + 1},
        {.segment_bytes = 4096, .record_bytes_max = 3000},
        {.segment_bytes = 4096, .record_bytes_max = no_limit},
    };
    for (const JournalOptions& options : impossible) {
        const auto journal = SimJournal::open(disk, "q", options);
        REQUIRE_FALSE(journal);
        CHECK(journal.error().code == QueueErrc::bad_options);
        CHECK(journal.error().what == options.check());
        CHECK(journal.error().message().find("segment_bytes") != std::string::npos);
    }
    CHECK(disk.list("q")->empty());
}

TEST_CASE("Journal::open with create = false makes no journal", "[journal][journal][unit]") {
    sim::Disk disk;
    const auto none = SimJournal::open(disk, "q", {.create = false});
    REQUIRE_FALSE(none);
    CHECK(none.error().code == std::errc::no_such_file_or_directory);
    open(disk);
    CHECK(SimJournal::open(disk, "q", {.create = false}));
}

TEST_CASE("Journal::open fails while the journal is open elsewhere", "[journal][journal][unit]") {
    sim::Disk disk;
    {
        SimJournal first = open(disk);
        const auto second = SimJournal::open(disk, "q");
        REQUIRE_FALSE(second);
        CHECK(second.error().code == QueueErrc::already_locked);
        CHECK(second.error().where == "q/lock");
        fill(first, 1);
    }
    CHECK(open(disk).last() == 1);
    SimJournal third = open(disk);
    disk.kill();
    CHECK(open(disk).last() == 1);
}

TEST_CASE("Journal keeps its operations and numbers when it is moved", "[journal][journal][unit]") {
    sim::Disk disk;
    sim::Disk other;
    SimJournal a = open(disk);
    fill(a, 3);
    SimJournal b{std::move(a)};
    CHECK(b.last() == 3);
    SimJournal c = open(other);
    c = std::move(b);
    CHECK(c.last() == 3);
    // The journal that was assigned to is closed.
    CHECK(SimJournal::open(other, "q"));
    CHECK_FALSE(SimJournal::open(disk, "q"));
}

TEST_CASE("Journal writes unsynced operations in its destructor", "[journal][journal][unit]") {
    for (const Flush flush : {Flush::group, Flush::none}) {
        sim::Disk disk;
        JournalOptions options = small_journal(1);
        options.flush = flush;
        {
            SimJournal j = open(disk, options);
            fill(j, 20);
            CHECK_FALSE(j.ack(5));
        }
        Random bits{Seed{1}};
        disk.crash(bits);
        SimJournal j = open(disk, options);
        CHECK(j.last() == 20);
        CHECK(j.base() == 6);
        CHECK(j.report().truncated_bytes == 0);
        CHECK(j.report().operations == 15);
    }
}

TEST_CASE("Flush::none: operations that commit confirmed survive the process",
          "[journal][journal][fault]") {
    sim::Disk disk;
    JournalOptions options = small_journal(1);
    options.flush = Flush::none;
    {
        SimJournal j = open(disk, options);
        fill(j, 100);
        const std::uint64_t before = disk.operations();
        REQUIRE_FALSE(j.commit());
        CHECK(disk.operations() == before + 1);  // one write, and no flush
        CHECK(j.durable() == 100);
        fill(j, 5);
        disk.kill();
    }
    SimJournal j = open(disk, options);
    CHECK(j.last() == 100);
}

TEST_CASE("Flush::none: a loss of power loses at most the last operations",
          "[journal][journal][fault]") {
    struct Written {
        std::unique_ptr<SimJournal> journal;
        std::uint64_t sealed = 0;  // a segment is flushed before the next one is used
        std::uint64_t last = 0;
    };
    std::uint64_t lost_some = 0, kept_some = 0;
    for (std::uint64_t seed = 1; seed <= 2; ++seed) {
        JournalOptions options = small_journal(seed);
        options.flush = Flush::none;
        const auto report = sim::crash_points(
            [&](sim::Disk& disk) {
                Written written;
                auto opened = SimJournal::open(disk, "q", options);
                if (!opened) return written;
                SimJournal& j = *(written.journal = into_memory(std::move(*opened)));
                while (written.last < 90) {
                    if (!j.append(body_of(++written.last, j.salt()))) break;
                    if (written.last % 3 != 0) continue;
                    if (j.commit()) break;
                    written.sealed = last_in_sealed_segments(disk);
                }
                return written;
            },
            [&](sim::Disk& disk, const Written& written) {
                SimJournal j = open(disk, options);
                if (j.base() != 1 || j.last() < written.sealed || j.last() > written.last) {
                    return false;
                }
                lost_some += j.last() < written.last ? 1U : 0U;
                kept_some += j.last() > written.sealed ? 1U : 0U;
                for (std::uint64_t n = 1; n <= j.last(); ++n) {
                    const auto body = j.read(n);
                    if (!body || to_bytes(*body) != body_of(n, written.journal->salt())) {
                        return false;
                    }
                }
                return true;
            },
            {.drawn_max = 4, .enumerated_max = 2, .seed = Seed{seed * 1000}});
        INFO("seed " << seed << ", " << report.failure);
        REQUIRE(report);
    }
    // Some losses of power lost operations of the end, and some kept some of them.
    CHECK(lost_some > 100);
    CHECK(kept_some > 50);
}

TEST_CASE("Journal::commit makes one write and one flush, and none when there is nothing",
          "[journal][journal][unit]") {
    sim::Disk disk;
    SimJournal j = open(disk);
    fill(j, 5);
    const std::uint64_t before = disk.operations();
    CHECK_FALSE(j.commit());
    CHECK(disk.operations() == before + 2);
    CHECK_FALSE(j.commit());
    CHECK(disk.operations() == before + 2);
}

TEST_CASE("Journal of a hundred thousand operations opens, reads and drains",
          "[journal][journal][unit]") {
    sim::Disk disk;
    const JournalOptions options{.segment_bytes = 1 << 20, .record_bytes_max = 64, .seed = Seed{1}};
    {
        SimJournal j = open(disk, options);
        for (std::uint64_t i = 1; i <= 100'000; ++i) {
            REQUIRE(j.append(as_bytes(std::to_string(i))));
        }
    }
    SimJournal j = open(disk, options);
    REQUIRE(j.size() == 100'000);
    for (std::uint64_t i = 1; i <= 100'000; ++i) {
        REQUIRE(as_text(*j.front()) == std::to_string(i));
        REQUIRE_FALSE(j.ack());
    }
    CHECK(disk.used_bytes() == 1 << 20);
}

TEST_CASE("Journal::check folds over acknowledged operations of an earlier run",
          "[journal][journal][regression]") {
    sim::Disk disk;
    std::uint64_t expected = 0;
    {
        auto j = Journal<sim::Disk>::open(disk, "data/journal", {.seed = Seed{1}});
        REQUIRE(j);
        for (int i = 0; i < 5; ++i) REQUIRE(j->append(as_bytes("first run")));
        REQUIRE_FALSE(j->commit());
    }
    auto j = Journal<sim::Disk>::open(disk, "data/journal", {.seed = Seed{2}});
    REQUIRE(j);
    for (int i = 0; i < 5; ++i) REQUIRE(j->append(as_bytes("second run")));
    expected = *j->check(7);
    REQUIRE_FALSE(j->ack(7));
    REQUIRE(j->check(7));
    CHECK(*j->check(7) == expected);
}

// ---- a kept note --------------------------------------------------------------------------------

TEST_CASE("Journal::keep keeps the latest note over restarts", "[journal][journal][unit]") {
    sim::Disk disk;
    {
        SimJournal j = open(disk);
        CHECK(j.kept().empty());
        CHECK_FALSE(j.keep(as_bytes("first")));
        CHECK_FALSE(j.keep(as_bytes("second, and longer")));
        CHECK(as_text(j.kept()) == "second, and longer");
        CHECK_FALSE(j.keep(as_bytes("third")));
    }
    {
        SimJournal j = open(disk);
        CHECK(as_text(j.kept()) == "third");
        // The new note is a part of the present one.
        CHECK_FALSE(j.keep(j.kept().subspan(2)));
        CHECK(as_text(j.kept()) == "ird");
        CHECK_FALSE(j.keep(j.kept()));
        CHECK(as_text(j.kept()) == "ird");
    }
    {
        SimJournal j = open(disk);
        CHECK(as_text(j.kept()) == "ird");
        CHECK_FALSE(j.keep({}));
        CHECK(j.kept().empty());
    }
    CHECK(open(disk).kept().empty());
}

TEST_CASE("Journal::keep accepts 512 bytes and no more", "[journal][journal][unit]") {
    sim::Disk disk;
    const Bytes longest(512, std::byte{7});
    {
        SimJournal j = open(disk);
        CHECK_FALSE(j.keep(longest));
        CHECK(j.keep(Bytes(513)) == QueueErrc::too_large);
        CHECK(as_text(j.kept()) == as_text(longest));
    }
    CHECK(as_text(open(disk).kept()) == as_text(longest));
}

TEST_CASE("Journal::keep is durable with the next commit, and not before",
          "[journal][journal][fault]") {
    struct Noted {
        std::unique_ptr<SimJournal> journal;
        bool durable = false;
    };
    const auto report = sim::crash_points(
        [](sim::Disk& disk) {
            Noted noted;
            auto opened = SimJournal::open(disk, "q", small_journal(1));
            if (!opened) return noted;
            SimJournal& j = *(noted.journal = into_memory(std::move(*opened)));
            noted.durable = !j.keep(as_bytes("durable")) && !j.commit();
            if (noted.durable) CHECK_FALSE(j.keep(as_bytes("later")));
            return noted;
        },
        [](sim::Disk& disk, const Noted& noted) {
            const SimJournal j = open(disk);
            return as_text(j.kept()) == "durable" || (!noted.durable && j.kept().empty());
        });
    INFO(report.failure);
    CHECK(report);
    CHECK(report.complete);
}

TEST_CASE("Journal carries the note into each new segment", "[journal][journal][unit]") {
    sim::Disk disk;
    const bool kept = GENERATE(true, false);
    {
        SimJournal j = open(disk);
        if (kept) REQUIRE_FALSE(j.keep(as_bytes("carried")));
        for (int round = 0; round < 5; ++round) {
            fill(j, 60);
            REQUIRE_FALSE(j.ack(j.last()));
            CHECK(disk.list("q")->size() == 2);  // the segment with the note was deleted
        }
        // The power fails before another flush.
        fill(j, 10);
        Random bits{Seed{3}};
        disk.crash(bits);
    }
    SimJournal j = open(disk);
    CHECK(as_text(j.kept()) == (kept ? "carried" : ""));
    fill(j, 60);
    CHECK(as_text(j.kept()) == (kept ? "carried" : ""));
}

TEST_CASE("Journal deletes old files if it only stores notes", "[journal][journal][unit]") {
    sim::Disk disk;
    {
        SimJournal j = open(disk);
        fill(j, 3);
        REQUIRE_FALSE(j.ack(3));
        for (int i = 0; i < 1000; ++i) {
            REQUIRE_FALSE(j.keep(as_bytes("the state after attempt " + std::to_string(i))));
            REQUIRE(disk.used_bytes() <= 2 * 4096);
        }
        // Waiting operations keep their files, and only those.
        fill(j, 1);
        for (int i = 0; i < 100; ++i) REQUIRE_FALSE(j.keep(Bytes(512)));
        REQUIRE_FALSE(j.keep(as_bytes("last")));
        REQUIRE_FALSE(j.ack(4));
        REQUIRE_FALSE(j.commit());
        CHECK(disk.used_bytes() <= 4096);
    }
    CHECK(as_text(open(disk).kept()) == "last");
}

// ---- flushing -----------------------------------------------------------------------------------

TEST_CASE("Journal::flush makes operations durable that Flush::none left in memory",
          "[journal][journal][fault]") {
    JournalOptions options = small_journal(1);
    options.flush = Flush::none;
    const auto report = power_lost_at_end(
        [&](sim::Disk& disk) {
            SimJournal j = open(disk, options);
            REQUIRE_FALSE(j.unflushed());
            fill(j, 5);
            REQUIRE(j.unflushed());
            REQUIRE_FALSE(j.commit());
            REQUIRE(j.unflushed());
            REQUIRE(j.durable() == 5);
            REQUIRE_FALSE(j.ack(2));
            REQUIRE_FALSE(j.flush());
            REQUIRE_FALSE(j.unflushed());
            fill(j, 5);
            return j;
        },
        [&](sim::Disk& disk, const SimJournal&) {
            const SimJournal j = open(disk, options);
            return j.last() >= 5 && j.base() == 3;
        });
    INFO(report.failure);
    CHECK(report);
    CHECK(report.complete);
}

TEST_CASE("Journal::flush makes one write and one flush, and none when nothing is new",
          "[journal][journal][unit]") {
    sim::Disk disk;
    JournalOptions options = small_journal(1);
    options.flush = GENERATE(Flush::group, Flush::none);
    SimJournal j = open(disk, options);
    const auto operations_of = [&](auto&& call) {
        const std::uint64_t before = disk.operations();
        REQUIRE_FALSE(call());
        return disk.operations() - before;
    };
    CHECK(operations_of([&] { return j.flush(); }) == 0);
    fill(j, 5);
    CHECK(operations_of([&] { return j.flush(); }) == 2);
    CHECK(operations_of([&] { return j.flush(); }) == 0);
    fill(j, 1);
    const std::uint64_t synced = operations_of([&] { return j.commit(); });
    CHECK(synced == (options.flush == Flush::group ? 2 : 1));
    CHECK(j.unflushed() == (options.flush == Flush::none));
    CHECK(operations_of([&] { return j.flush(); }) == (options.flush == Flush::group ? 0 : 1));
    REQUIRE_FALSE(j.keep(as_bytes("note")));
    CHECK(j.unflushed());
    CHECK(operations_of([&] { return j.flush(); }) == 2);
    CHECK_FALSE(j.unflushed());
}

// ---- sizes and limits ---------------------------------------------------------------------------

TEST_CASE("Journal::bytes counts the records that are left", "[journal][journal][property]") {
    using journal_format::record_bytes;
    sim::Disk disk;
    {
        SimJournal j = open(disk);
        CHECK(j.bytes() == 0);
        std::uint64_t sum = 0;
        for (const std::size_t length : {0U, 1U, 8U, 9U, 100U}) {
            REQUIRE(j.append(Bytes(length)));
            sum += record_bytes(length);
            CHECK(j.bytes() == sum);
        }
        REQUIRE_FALSE(j.keep(as_bytes("note")));
        CHECK(j.bytes() == sum + record_bytes(4));
        REQUIRE_FALSE(j.commit());
        CHECK(j.bytes() == sum + record_bytes(4));
    }
    // The bytes of the records in the files.
    const auto in_files = [&] {
        std::uint64_t sum = 0;
        for (const auto& [path, bytes] : disk.image()) {
            if (journal_format::segment_index(path.substr(2)) == 0) continue;
            std::size_t at = journal_format::segment_header_bytes;
            while (at + journal_format::record_header_bytes <= bytes.size()) {
                const auto h = journal_format::decode_record_header(bytes.data() + at);
                if (h.kind == journal_format::Kind::none) break;
                at += record_bytes(h.length);
                sum += record_bytes(h.length);
            }
        }
        return sum;
    };
    for (int round = 0; round < 20; ++round) {
        JournalOptions options = small_journal(1);
        options.verify = round % 2 == 0 ? Verify::tail : Verify::everything;
        SimJournal j = open(disk, options);
        CHECK(j.bytes() == in_files());
        fill(j, static_cast<std::uint64_t>(round) * 5);
        REQUIRE_FALSE(j.ack(j.base() + j.size() / 2));
        REQUIRE_FALSE(j.commit());
        CHECK(j.bytes() == in_files());
    }
}

TEST_CASE("Journal rejects operations when it has no more numbers", "[journal][journal][unit]") {
    // A journal whose numbers are almost used up, made by the test.
    using namespace journal_format;
    sim::Disk disk;
    SegmentHeader header;
    header.journal[0] = std::byte{1};
    header.index = 1;
    header.first = number_max - 2;
    header.acked = header.first - 1;
    header.run = header.salt = header.nonce = 1;
    const SegmentHeaderBytes bytes = encode(header);
    disk.put("q/" + segment_name(1), to_bytes(bytes));
    for (int run = 0; run < 3; ++run) {
        SimJournal j = open(disk);
        for (std::uint64_t i = 0; run == 0 && i < 3; ++i) {
            CHECK(*j.append(as_bytes("one of the last")) == number_max - 2 + i);
        }
        CHECK(j.append({}).error() == QueueErrc::queue_full);
        CHECK(j.last() == number_max);
        CHECK(j.size() == (run == 0 ? 3 : run == 1 ? 2 : 0));
        CHECK(j.check(number_max));
        CHECK(j.check(number_max + 1).error() == QueueErrc::unknown_number);
        CHECK(j.read(number_max + 1).error() == QueueErrc::unknown_number);
        CHECK(j.ack(number_max + 1) == QueueErrc::unknown_number);
        if (run < 2) CHECK(as_text(*j.read(number_max)) == "one of the last");
        // Notes still start new segments.
        for (int i = 0; i < 20; ++i) REQUIRE_FALSE(j.keep(Bytes(500)));
        REQUIRE_FALSE(j.ack(run == 0 ? number_max - 2 : number_max));
    }
    CHECK(open(disk).base() == number_max + 1);
}

TEST_CASE("Journal::open fails when there are no more runs", "[journal][journal][unit]") {
    using namespace journal_format;
    sim::Disk disk;
    SegmentHeader header;
    header.index = header.first = 1;
    header.run = 0xFFFFFFFE;
    const SegmentHeaderBytes bytes = encode(header);
    disk.put("q/" + segment_name(1), to_bytes(bytes));
    {
        SimJournal j = open(disk);
        CHECK(j.run() == 0xFFFFFFFF);
        fill(j, 100);
    }
    const auto journal = SimJournal::open(disk, "q", small_journal(1));
    REQUIRE_FALSE(journal);
    CHECK(journal.error().code == QueueErrc::queue_full);
    CHECK(journal.error().message().find("another directory") != std::string::npos);
}

TEST_CASE("Journal::open rejects a segment that is larger than possible",
          "[journal][journal][unit]") {
    using namespace journal_format;
    sim::Disk disk;
    SegmentHeader header;
    header.index = header.first = header.run = 1;
    for (const std::uint32_t bytes : {std::uint32_t{segment_bytes_max} + 1, 0xFFFFFFFFU}) {
        header.segment_bytes = bytes;
        const SegmentHeaderBytes encoded = encode(header);
        disk.put("q/" + segment_name(1), to_bytes(encoded));
        const auto journal = SimJournal::open(disk, "q", small_journal(1));
        REQUIRE_FALSE(journal);
        CHECK(journal.error().code == QueueErrc::corrupt);
        CHECK(journal.error().what == "the file is larger than a segment can be");
    }
}

TEST_CASE(
    "Journal reserves space for the seal of a segment with any number of acknowledgements and pins",
    "[journal][journal][unit]") {
    // Operations, then acknowledgements and pins in their reserve, then an opening.
    for (std::uint64_t acks = 0; acks < 20; ++acks) {
        for (int pins = 0; pins < 26; ++pins) {
            sim::Disk disk;
            {
                SimJournal j = open(disk);
                for (int i = 0; i < 22; ++i) REQUIRE(j.append(Bytes(100)));
                for (std::uint64_t n = 1; n <= acks; ++n) {
                    REQUIRE_FALSE(j.ack(n));
                    REQUIRE_FALSE(j.commit());
                }
                for (int i = 0; i < pins; ++i) {
                    REQUIRE_FALSE(j.pin_store(Id{static_cast<std::byte>(i + 1)}));
                }
                disk.kill();
            }
            SimJournal j = open(disk);
            fill(j, 40);
            bool within = true;
            for (const auto& [path, bytes] : disk.image()) within = within && bytes.size() <= 4096;
            INFO(acks << " acknowledgements, " << pins << " pins");
            REQUIRE(within);
        }
    }
}

TEST_CASE("Journal accepts the longest operations that fit into its segments",
          "[journal][journal][unit]") {
    sim::Disk disk;
    const JournalOptions options{.segment_bytes = 4096, .record_bytes_max = 2328, .seed = Seed{1}};
    const Bytes longest(2328, std::byte{9});
    {
        SimJournal j = open(disk, options);
        REQUIRE_FALSE(j.keep(Bytes(512)));
        for (int i = 0; i < 10; ++i) REQUIRE(j.append(longest));
        REQUIRE_FALSE(j.commit());
        CHECK(disk.used_bytes() <= 11 * 4096);
    }
    SimJournal j = open(disk, options);
    CHECK(j.size() == 10);
    CHECK(as_text(*j.read(10)) == as_text(longest));
    for (const auto& [path, bytes] : disk.image()) CHECK(bytes.size() <= 4096);
}

TEST_CASE("Journal continues in segments of another size", "[journal][journal][unit]") {
    // The seal of the large segment, with its many marks, does not fit into a small one.
    sim::Disk disk;
    {
        SimJournal j = open(
            disk, {.segment_bytes = std::size_t{1} << 20, .record_bytes_max = 16, .seed = Seed{1}});
        for (int i = 0; i < 40'000; ++i) REQUIRE(j.append({}));
    }
    SimJournal j = open(disk, {.segment_bytes = 4096, .record_bytes_max = 16, .seed = Seed{1}});
    for (int i = 0; i < 10'000; ++i) REQUIRE(j.append({}));
    REQUIRE_FALSE(j.commit());
    CHECK(j.size() == 50'000);
    for (const auto& [path, bytes] : disk.image()) {
        CHECK(bytes.size() <= (path == "q/" + journal_format::segment_name(1) ? 1U << 20 : 4096U));
    }
    REQUIRE_FALSE(j.ack(45'000));
    CHECK(j.read(45'001));
}

TEST_CASE("Journal::open with smaller segments loses nothing in a crash and on a full disk",
          "[journal][journal][fault]") {
    const auto opened = [](sim::Disk& disk, std::size_t segment_bytes) {
        return SimJournal::open(
            disk, "q", {.segment_bytes = segment_bytes, .record_bytes_max = 512, .seed = Seed{1}});
    };
    const auto work = [&](sim::Disk& disk) {
        std::uint64_t durable = 0;
        if (auto journal = opened(disk, 16'384)) {
            for (int i = 0; i < 12; ++i) static_cast<void>(journal->append(Bytes(500)));
            if (!journal->commit()) durable = journal->durable();
        }
        static_cast<void>(opened(disk, 4096));
        return durable;
    };
    SECTION("a crash") {
        const auto report = sim::crash_points(work, [&](sim::Disk& disk, std::uint64_t durable) {
            auto journal = opened(disk, 4096);
            if (!journal || journal->last() < durable) return false;
            for (std::uint64_t n = 1; n <= journal->last(); ++n) {
                if (!journal->read(n)) return false;
            }
            return !journal->append(Bytes(500)).error() && !journal->commit();
        });
        INFO(report.failure);
        CHECK(report);
    }
    SECTION("a full disk") {
        sim::Disk disk;
        disk.limit_bytes(16'384);
        REQUIRE(work(disk) == 12);
        auto journal = opened(disk, 4096);
        REQUIRE(journal);
        CHECK(journal->size() == 12);
        CHECK(journal->append(Bytes(500)));
        CHECK_FALSE(journal->commit());
    }
}

TEST_CASE("Journal::open reads only the headers and seals of sealed segments",
          "[journal][journal][unit]") {
    sim::Disk disk;
    JournalOptions options{.segment_bytes = 65536, .record_bytes_max = 64, .seed = Seed{1}};
    {
        SimJournal j = open(disk, options);
        for (std::uint64_t i = 0; i < 20'000; ++i) REQUIRE(j.append(Bytes(32)));
    }
    // All bodies except those of the last segment are erased: opening does not read them.
    sim::Disk::Image image = disk.image();
    std::size_t segments = 0;
    for (auto& [path, bytes] : image) {
        if (journal_format::segment_index(path.substr(2)) != 0) ++segments;
    }
    REQUIRE(segments > 15);
    std::size_t observed = 0;
    for (auto& [path, bytes] : image) {
        const std::uint64_t index = journal_format::segment_index(path.substr(2));
        if (index == 0 || ++observed == segments) continue;
        const Bytes next = disk.contents("q/" + journal_format::segment_name(index + 1));
        const auto seal = journal_format::decode_segment_header(next)->previous_seal;
        std::fill(bytes.begin() + journal_format::segment_header_bytes, bytes.begin() + seal,
                  std::byte{0});
    }
    disk.restore(image);
    {
        SimJournal j = open(disk, options);
        CHECK(j.size() == 20'000);
        CHECK(j.check(20'000));
        CHECK(j.read(20'000));
        CHECK(j.read(1).error() == QueueErrc::corrupt);
        CHECK(j.front().error() == QueueErrc::corrupt);
    }
    options.verify = Verify::everything;
    const auto journal = SimJournal::open(disk, "q", options);
    REQUIRE_FALSE(journal);
    CHECK(journal.error().code == QueueErrc::corrupt);
}
