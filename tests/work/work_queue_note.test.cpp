// SPDX-License-Identifier: MIT
// Goal: a note in a work queue survives restarts, crashes, copied items, deleted files, and
// salvage. Method: journals on a simulated disk, cut at every operation of the disk; a policy's
// history in a program that crashes again and again.
#include <belay/policy/remembered.hpp>
#include <belay/work/work_queue.hpp>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/work/work_salvage.hpp>

#include "support/journal/journal_model.hpp"
#include "support/work/start_times.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

using SimWork = WorkQueue<SimJournal>;

/// Small files and little slack, so that items and keys are copied, and files deleted, all the
/// time. Nothing if the disk has halted.
std::optional<SimWork> open_to_note(sim::Disk& disk, std::uint64_t seed, const char* path = "w",
                                    Moment now = start) {
    auto journal = SimJournal::open(disk, path, small_journal(seed));
    if (!journal) return std::nullopt;
    auto work = SimWork::open(
        std::move(*journal),
        {.keys = 8, .items_max = 40, .record_bytes_max = 1024, .slack_bytes = 1500}, now);
    if (!work) return std::nullopt;
    return std::move(*work);
}

/// One item is pushed, and one ends, which is never the first.
bool pass_one_through(SimWork& work, std::uint64_t n) {
    const std::string body = "item " + std::to_string(n) + std::string(100, '.');
    if (!work.push(as_bytes(body), start, {.key = std::to_string(n)})) return false;
    const auto lease = work.lease(start);
    return lease && !work.ack(*lease);
}
/// The first item, which is leased while the program runs: it is copied forward.
bool push_old(SimWork& work) {
    return work.push(as_bytes("old"), start) && work.lease(start) && !work.commit();
}

/// The notes of a program, and the number of the durable ones.
struct Kept {
    std::vector<std::string> notes{""};
    std::size_t durable = 0;  // the first note that may be there
};

/// Works, and keeps notes of all lengths, until the disk halts.
void work_and_keep(sim::Disk& disk, Kept& kept) {
    auto work = open_to_note(disk, 1);
    if (!work || !push_old(*work)) return;
    for (std::uint64_t n = 0; n < 60; ++n) {
        if (!pass_one_through(*work, n)) return;
        const std::string note = "note " + std::to_string(n) + std::string(n * 53 % 400, 'x');
        if (n % 3 == 0) {
            // Recorded before the call: a disk that halts in the middle may have the note, or not.
            kept.notes.push_back(note);
            if (work->keep(as_bytes(note))) return;
            if (as_text(work->kept()) != note) FAIL("another note");
        }
        if (n % 5 == 4) {
            if (work->commit()) return;
            kept.durable = kept.notes.size() - 1;
        }
    }
}

/// Whether the note after a crash is a possible one.
bool is_right(sim::Disk& disk, const Kept& kept) {
    const auto work = open_to_note(disk, 2);
    if (!work) return false;
    const std::string note{as_text(work->kept())};
    for (std::size_t i = kept.durable; i < kept.notes.size(); ++i) {
        if (kept.notes[i] == note) return true;
    }
    return false;
}

}  // namespace

TEST_CASE("WorkQueue::keep keeps the latest note over restarts", "[work][work_queue][unit]") {
    sim::Disk disk;
    {
        auto work = open_to_note(disk, 1);
        REQUIRE(work);
        CHECK(work->kept().empty());
        CHECK_FALSE(work->keep(as_bytes("first")));
        CHECK_FALSE(work->keep(as_bytes("second")));
        CHECK(as_text(work->kept()) == "second");
        CHECK(work->unflushed());
        CHECK(work->keep(Bytes(journal_format::note_bytes_max + 1)) == QueueErrc::too_large);
        CHECK(as_text(work->kept()) == "second");
        CHECK_FALSE(work->flush());
        CHECK_FALSE(work->unflushed());
    }
    auto work = open_to_note(disk, 2);
    REQUIRE(work);
    CHECK(as_text(work->kept()) == "second");
    // The note is no item, and is not counted.
    CHECK(work->empty());
    CHECK(work->bytes() == 0);
    CHECK_FALSE(work->keep({}));
    work.reset();
    CHECK(open_to_note(disk, 3)->kept().empty());
}

TEST_CASE("WorkQueue::keep: the note stays while items are copied and files deleted",
          "[work][work_queue][fault]") {
    sim::Disk disk;
    {
        auto work = open_to_note(disk, 1);
        REQUIRE(work);
        REQUIRE(push_old(*work));
        REQUIRE_FALSE(work->keep(as_bytes("kept once")));
        REQUIRE_FALSE(work->commit());
        const std::string file = journal_format::segment_name(1);
        const auto has_file = [&] {
            const std::vector<std::string> files = *disk.list("w");
            return std::find(files.begin(), files.end(), file) != files.end();
        };
        REQUIRE(has_file());
        for (std::uint64_t n = 0; n < 200; ++n) {
            REQUIRE(pass_one_through(*work, n));
            REQUIRE_FALSE(work->commit());
        }
        // The file with the note, and the entry with the old item.
        REQUIRE_FALSE(has_file());
        REQUIRE(work->log().base() > 100);
        CHECK(as_text(work->kept()) == "kept once");
        Random bits{Seed{3}};
        disk.crash(bits);
    }
    auto work = open_to_note(disk, 2);
    REQUIRE(work);
    CHECK(as_text(work->kept()) == "kept once");
    CHECK(as_text(work->peek()->body) == "old");
}

TEST_CASE("WorkQueue::keep: a crash anywhere leaves the durable note, or a later one",
          "[work][work_queue][fault]") {
    const bool power_fails = GENERATE(true, false);
    sim::Disk whole;
    Kept all;
    work_and_keep(whole, all);
    REQUIRE(all.durable == 20);
    std::uint64_t later = 0;
    for (std::uint64_t halt = 1; halt <= whole.operations(); ++halt) {
        sim::Disk disk;
        disk.halt_at(halt);
        Kept kept;
        work_and_keep(disk, kept);
        Random bits{Seed{halt}};
        if (power_fails) {
            disk.crash(bits);
        } else {
            disk.kill();
        }
        INFO("operation " << halt);
        REQUIRE(is_right(disk, kept));
        later += kept.notes.size() - 1 - kept.durable;
    }
    // Otherwise the program was never cut between a note and its sync.
    CHECK(later > 20);
}

TEST_CASE("tool::inspect_work_queue shows the note, and tool::salvage_work_queue keeps it",
          "[work][work_salvage][unit]") {
    sim::Disk disk;
    {
        auto work = open_to_note(disk, 1);
        REQUIRE(work);
        REQUIRE(work->push(as_bytes("item"), start));
        REQUIRE_FALSE(work->keep(as_bytes("breaker open")));
    }
    const auto observed = tool::inspect_work_queue(disk, "w", start, [](const WorkItem&) {});
    REQUIRE(observed);
    CHECK(as_text(observed->journal.note) == "breaker open");
    REQUIRE(tool::salvage_work_queue(disk, "w", "new", start, small_journal(2)));
    const auto work = open_to_note(disk, 3, "new");
    REQUIRE(work);
    CHECK(as_text(work->kept()) == "breaker open");
    CHECK(work->size() == 1);
}

// ---- a policy's history -------------------------------------------------------------------------

namespace {

/// The number of attempts of a program that is killed every two seconds to reach its server, which
/// is never there. Its work is in the queue that has the history.
int attempts_in_ten_minutes(bool remembers) {
    sim::Disk disk;
    Random bits{Seed{1}};
    int attempts = 0;
    for (std::uint64_t incarnation = 1; incarnation <= 300; ++incarnation) {
        // The steady clock begins again, and the wall clock continues.
        const Moment now{Instant{1h}, start.wall + 2s * static_cast<std::int64_t>(incarnation)};
        auto work = open_to_note(disk, incarnation, "w", now);
        REQUIRE(work);
        REQUIRE(pass_one_through(*work, incarnation));
        PolicyHistory history;
        if (remembers) REQUIRE(history.restore(work->kept(), now.now, now.wall));
        Turn turn{now.now, bits};
        Remembered policy{history, Policy{Backoff{NoJitter{}, Cap{60s}, 1s}}, turn};
        policy.reset();  // as at the beginning of each run
        const Advice advice = policy.admit(turn.now);
        REQUIRE(advice.verb != Advice::Verb::stop);
        if (advice.verb == Advice::Verb::go || advice.until < now.now + 2s) {
            if (advice.verb != Advice::Verb::go) turn.now = advice.until;
            REQUIRE(policy.begin(turn).verb == Advice::Verb::go);
            ++attempts;
            std::array<std::byte, PolicyHistory::bytes_max> room;
            const WallTime wall = now.wall + elapsed(now.now, turn.now);
            REQUIRE_FALSE(work->keep(history.save(room, turn.now, wall)));
        }
        REQUIRE_FALSE(work->commit());
        disk.crash(bits);
    }
    return attempts;
}

}  // namespace

TEST_CASE(
    "A program that keeps its policy's history in its WorkQueue waits longer over its restarts",
    "[work][work_queue][unit]") {
    const int patient = attempts_in_ten_minutes(true);
    CHECK(patient > 8);
    CHECK(patient < 20);
    CHECK(attempts_in_ten_minutes(false) == 300);
}
