// SPDX-License-Identifier: MIT
// Goal: a work queue's journal is distinguished from others, and shown item by item, also when
// it is damaged or open. Method: one queue with items in every state; every bit of its file
// flipped.
#include <belay/work/work_inspect.hpp>

#include <belay/journal/journal_salvage.hpp>
#include <belay/work/work_queue.hpp>
#include <belay/work/work_salvage.hpp>

#include <functional>

#include "support/journal/journal_model.hpp"
#include "support/work/start_times.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

using SimWork = WorkQueue<SimJournal>;

SimWork open_at_start(sim::Disk& disk, const char* path, std::uint64_t seed) {
    auto journal = SimJournal::open(disk, path, small_journal(seed));
    REQUIRE(journal);
    auto work =
        SimWork::open(std::move(*journal), {.deliveries_max = 1, .record_bytes_max = 1024}, start);
    REQUIRE(work);
    return std::move(*work);
}

/// Items 1 to 6: the 2nd has ended, the 3rd is dead, the 4th is delayed, and the others wait.
void fill_for_inspection(sim::Disk& disk) {
    SimWork work = open_at_start(disk, "w", 1);
    for (int i = 1; i <= 6; ++i) {
        REQUIRE(
            work.push(as_bytes("item " + std::to_string(i)), start, {.delay = i == 4 ? 10s : 0s}));
    }
    std::vector<Lease> leases;
    for (int i = 1; i <= 3; ++i) leases.push_back(*work.lease(start));
    REQUIRE_FALSE(work.ack(leases[1]));
    REQUIRE_FALSE(work.nack(leases[2], start));
    REQUIRE_FALSE(work.commit());
}

struct Observed {
    tool::WorkReport found;
    std::string items;  // id, body, state, cause
};

std::optional<Observed> look(sim::Disk& disk, const char* path) {
    std::string items;
    auto found = tool::inspect_work_queue(disk, path, start, [&items](const WorkItem& item) {
        items += std::to_string(item.id) + ' ' + std::string{as_text(item.body)} + ' ' +
                 std::to_string(static_cast<int>(item.state)) + ' ' +
                 std::to_string(static_cast<int>(item.cause)) + '\n';
    });
    if (!found) return std::nullopt;
    return Observed{std::move(*found), std::move(items)};
}

const std::string first_file = "w/" + journal_format::segment_name(1);
const std::string all_items =
    "1 item 1 0 0\n4 item 4 1 0\n5 item 5 0 0\n6 item 6 0 0\n3 item 3 3 1\n";

}  // namespace

TEST_CASE("tool::inspect_work_queue shows the existing items, and changes no file",
          "[work][work_inspect][unit]") {
    sim::Disk disk;
    fill_for_inspection(disk);
    const sim::Disk::Image before = disk.image();
    const auto observed = look(disk, "w");
    REQUIRE(observed);
    CHECK(disk.image() == before);
    CHECK(observed->items == all_items);
    CHECK(observed->found.living == 4);
    CHECK(observed->found.delayed == 1);
    CHECK(observed->found.dead == 1);
    CHECK(observed->found.unreadable == 0);
    CHECK(observed->found.journal.is_whole());

    // The queue is open: an item that is leased there has not ended here.
    SimWork work = open_at_start(disk, "w", 2);
    REQUIRE(work.lease(start));
    REQUIRE(look(disk, "w"));
    CHECK(look(disk, "w")->items == all_items);
}

TEST_CASE("tool::inspect_work_queue shows a damaged entry as an item without a body",
          "[work][work_inspect][fault]") {
    sim::Disk disk;
    fill_for_inspection(disk);
    Bytes bytes = disk.contents(first_file);
    const std::string_view text = as_text(bytes);
    bytes[text.find("item 5")] ^= std::byte{1};
    disk.put(first_file, bytes);
    const auto observed = look(disk, "w");
    REQUIRE(observed);
    CHECK(observed->items == "1 item 1 0 0\n4 item 4 1 0\n6 item 6 0 0\n3 item 3 3 1\n5  3 3\n");
    CHECK(observed->found.living == 3);
    CHECK(observed->found.dead == 1);
    CHECK(observed->found.unreadable == 1);
    CHECK_FALSE(observed->found.journal.is_whole());
}

TEST_CASE("tool::inspect_work_queue shows an item that was copied forward once, under its id",
          "[work][work_inspect][unit]") {
    // Many files. Operations of the first ones are acknowledged, and there are copies of others.
    sim::Disk disk;
    auto journal = SimJournal::open(disk, "w", small_journal(1));
    REQUIRE(journal);
    auto work =
        SimWork::open(std::move(*journal), {.record_bytes_max = 1024, .slack_bytes = 0}, start);
    REQUIRE(work);
    const auto old = work->push(as_bytes("old"), start);
    REQUIRE(old);
    const auto held = work->lease(start);
    REQUIRE(held);
    for (int i = 0; i < 200; ++i) {
        REQUIRE(work->push(as_bytes("young"), start));
        const auto lease = work->lease(start);
        REQUIRE(lease);
        REQUIRE_FALSE(work->ack(*lease));
        REQUIRE_FALSE(work->commit());
    }
    REQUIRE(work->log().base() > *old);
    CHECK(*tool::is_work_queue(disk, "w"));
    const auto observed = look(disk, "w");
    REQUIRE(observed);
    CHECK(observed->items == std::to_string(*old) + " old 0 0\n");
    CHECK(observed->found.living == 1);
    CHECK(observed->found.journal.acked + 1 >= work->log().base());
}

TEST_CASE("tool::inspect_work_queue reports the reason if it cannot inspect",
          "[work][work_inspect][unit]") {
    sim::Disk disk;
    const auto nothing = [](const WorkItem&) {};
    const auto none = tool::inspect_work_queue(disk, "nowhere", start, nothing);
    REQUIRE_FALSE(none);
    CHECK(none.error().where == "nowhere");
    CHECK_FALSE(tool::is_work_queue(disk, "nowhere"));
    {
        auto other = SimJournal::open(disk, "other", small_journal(1));
        REQUIRE(other);
        REQUIRE(other->append(as_bytes("no entry of a work queue")));
        REQUIRE_FALSE(other->commit());
    }
    CHECK_FALSE(*tool::is_work_queue(disk, "other"));
    const auto foreign = tool::inspect_work_queue(disk, "other", start, nothing);
    REQUIRE_FALSE(foreign);
    CHECK(foreign.error().where == "other");
    CHECK(foreign.error().what.find("entry 1: ") == 0);
}

TEST_CASE("tool::inspect_work_queue and tool::salvage_work_queue need no header of a file",
          "[work][work_inspect][fault]") {
    // The id is only in the header: the entries' own mark identifies their queue.
    sim::Disk disk;
    fill_for_inspection(disk);
    Bytes bytes = disk.contents(first_file);
    bytes[0] ^= std::byte{1};
    disk.put(first_file, bytes);
    REQUIRE(tool::inspect_journal(disk, "w", [](std::uint64_t, BytesView) {})->journal == no_id);
    CHECK(*tool::is_work_queue(disk, "w"));
    const auto observed = look(disk, "w");
    REQUIRE(observed);
    CHECK(observed->items == all_items);
    const auto done = tool::salvage_work_queue(disk, "w", "new", start, small_journal(2));
    REQUIRE(done);
    CHECK(done->copied == 5);
    const SimWork work = open_at_start(disk, "new", 3);
    CHECK(work.size() == 4);
    CHECK(work.dead() == 1);
}

TEST_CASE("tool::is_work_queue distinguishes a work queue's journal from others",
          "[work][work_inspect][unit]") {
    sim::Disk disk;
    CHECK_FALSE(tool::is_work_queue(disk, "w"));
    fill_for_inspection(disk);
    CHECK(*tool::is_work_queue(disk, "w"));

    // Its copy by tool::salvage_journal is no work queue: the marks are those of another journal.
    REQUIRE(tool::salvage_journal(disk, "w", "copy", small_journal(2)));
    CHECK_FALSE(*tool::is_work_queue(disk, "copy"));
    const auto refused = tool::inspect_work_queue(disk, "copy", start, [](const WorkItem&) {});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == QueueErrc::foreign_file);

    // A copy of plain items by tool::salvage_journal is unchanged.
    {
        SimWork work = open_at_start(disk, "plain", 3);
        for (const char* const body : {"one", "two"}) REQUIRE(work.push(as_bytes(body), start));
        REQUIRE_FALSE(work.commit());
    }
    CHECK_FALSE(*tool::is_work_queue(disk, "plain"));
    REQUIRE(tool::salvage_journal(disk, "plain", "plain copy", small_journal(4)));
    CHECK(look(disk, "plain copy")->items == "1 one 0 0\n2 two 0 0\n");
    const SimWork work = open_at_start(disk, "plain copy", 5);
    CHECK(work.size() == 2);

    // The journal of another program, with an operation like an entry, except for the mark.
    detail::WorkEntry done;
    done.kind = detail::WorkKind::done;
    Bytes entry;
    const auto make_other = [&](const char* path, bool has_text) {
        auto other = SimJournal::open(disk, path, small_journal(6));
        REQUIRE(other);
        detail::encode(done, ~detail::log_mark(other->journal_id()), entry);
        if (has_text) REQUIRE(other->append(as_bytes("an operation")));
        REQUIRE(other->append(entry));
        REQUIRE_FALSE(other->commit());
    };
    make_other("other", false);
    CHECK_FALSE(*tool::is_work_queue(disk, "other"));
    // Without the id, a single operation that looks like an entry is not enough.
    make_other("lost", true);
    const std::string lost = "lost/" + journal_format::segment_name(1);
    Bytes bytes = disk.contents(lost);
    bytes[0] ^= std::byte{1};
    disk.put(lost, bytes);
    CHECK_FALSE(*tool::is_work_queue(disk, "lost"));
}

TEST_CASE(
    "tool::is_work_queue and tool::inspect_work_queue lose at most one entry to a flipped bit",
    "[work][work_inspect][fault]") {
    sim::Disk disk;
    fill_for_inspection(disk);
    const Bytes whole = disk.contents(first_file);
    std::uint64_t fewer = 0;
    for (std::size_t at = 0; at < 700; ++at) {
        Bytes bytes = whole;
        bytes[at] ^= std::byte{static_cast<unsigned char>(1U << (at % 8))};
        disk.put(first_file, bytes);
        INFO("byte " << at);
        REQUIRE(*tool::is_work_queue(disk, "w"));
        const auto observed = look(disk, "w");
        REQUIRE(observed);
        const std::uint64_t all =
            observed->found.living + observed->found.dead + observed->found.unreadable;
        // A lost end restores an item. A lost entry may have been an end.
        REQUIRE(all >= 5);
        REQUIRE(all <= 7);
        fewer += observed->found.unreadable;
    }
    CHECK(fewer > 100);
}

namespace {
/// A disk that calls a function when a directory is listed for the third time. An inspection lists
/// it, and opening the journal inside of it does, too.
struct Busy : sim::Disk {
    std::function<void()> meanwhile;
    int lists = 0;

    auto list(const std::string& path) {
        if (++lists == 3) meanwhile();
        return sim::Disk::list(path);
    }
};
}  // namespace

TEST_CASE("tool::inspect_work_queue reports no damage for files that are deleted while it reads",
          "[work][work_inspect][regression]") {
    Busy disk;
    disk.meanwhile = [] {};
    auto journal = Journal<Busy>::open(disk, "w", small_journal(1));
    REQUIRE(journal);
    auto work =
        WorkQueue<Journal<Busy>>::open(std::move(*journal), {.record_bytes_max = 1024}, start);
    REQUIRE(work);
    for (int i = 1; i <= 300; ++i) REQUIRE(work->push(as_bytes("item"), start));
    REQUIRE_FALSE(work->commit());
    disk.lists = 0;
    disk.meanwhile = [&] {
        for (int i = 1; i <= 200; ++i) REQUIRE_FALSE(work->ack(*work->lease(start)));
        REQUIRE_FALSE(work->commit());
    };
    std::uint64_t first = 0;
    const auto observed =
        tool::inspect_work_queue(disk, "w", start, [&first](const WorkItem& item) {
            if (first == 0) first = item.id;
        });
    REQUIRE(observed);
    CHECK(disk.lists == 4);
    CHECK(work->log().base() == 201);
    CHECK(first == 201);
    CHECK(observed->living == 100);
    CHECK(observed->unreadable == 0);
    CHECK(observed->journal.acked == 200);
}

TEST_CASE("Entries after a lost header begin with the first readable one",
          "[work][work_inspect][regression]") {
    // A journal whose first files are deleted, and whose only one has no information about them.
    constexpr std::uint64_t far = 1'000'000'000;
    Bytes item;
    detail::WorkEntry entry;
    entry.tail = as_bytes("item");
    detail::encode(entry, 0, item);
    detail::EntriesLeft left{no_id, 0};
    for (const std::uint64_t number : {far, far + 1, far + 3}) left.add(number, item);
    left.give_up(0);
    CHECK(left.base() == far);
    CHECK(left.last() == far + 3);
    detail::WorkItems<detail::EntriesLeft> items{std::move(left), WorkOptions{}, start};
    REQUIRE_FALSE(detail::WorkReplay<detail::EntriesLeft>{items}.run());
    CHECK(items.living() == 3);
    CHECK(items.slots().dead() == 1);  // one, because the entry between is missing

    // With a header the range is known: missing entries at the front are lost, and counted.
    detail::EntriesLeft known{Id{std::byte{1}}, 2};
    known.add(5, item);
    known.give_up(3);
    CHECK(known.base() == 4);
}
