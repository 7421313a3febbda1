// SPDX-License-Identifier: MIT
// Goal: in each component that keeps items, one bad item does not hold the others for ever, and
// docs/one-bad-item.md states what happens. Method: plant one record that cannot be read, one item
// that is never processed, one failure of the disk, and one item above the limit, in each of them.
#include <belay/journal.hpp>

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <belay/queue.hpp>
#include <belay/sim/disk.hpp>
#include <belay/sync/replica.hpp>
#include <belay/work.hpp>

#include "support/catch.hpp"
#include "support/page.hpp"
#include "support/room/disk_rooms.hpp"
#include "support/session/outbox_rig.hpp"
#include "support/sync/sync_rig.hpp"
#include "support/sync/text_codec.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

// Each returns the text of its cell in the page, after it has checked that.
using Cell = std::string (*)();

const JournalOptions small_options{.segment_bytes = 4096, .record_bytes_max = 512, .seed = Seed{1}};

std::error_code an_io_error() { return std::make_error_code(std::errc::io_error); }

DiskJournal open_journal(sim::Disk& disk) {
    auto journal = DiskJournal::open(disk, "j", small_options);
    REQUIRE(journal);
    return std::move(*journal);
}
/// Overwrites the place of a text in the files of a directory.
void damage(sim::Disk& disk, std::string_view text) {
    for (const auto& [path, bytes] : disk.image()) {
        const auto at = as_text(bytes).find(text);
        if (at == std::string_view::npos) continue;
        auto file = disk.open(path, OpenMode::write);
        REQUIRE(file);
        REQUIRE_FALSE(file->write(at, as_bytes("?")));
        return;
    }
    FAIL("the text is in no file");
}
/// Calls `store`, which returns whether it succeeded, with one failing operation of the disk.
void passes(sim::Disk& disk, const std::function<bool()>& store) {
    disk.fail_at(disk.operations() + 1, an_io_error());
    CHECK_FALSE(store());
    CHECK(store());
}

// ---- a journal -----------------------------------------------------------------------------------

std::string journal_unreadable() {
    sim::Disk disk;
    DiskJournal journal = open_journal(disk);
    for (const char* const text : {"first", "second", "third"}) {
        REQUIRE(journal.append(as_bytes(text)));
    }
    REQUIRE_FALSE(journal.commit());
    damage(disk, "second");
    CHECK(as_text(*journal.read(1)) == "first");
    CHECK(journal.read(2).error() == QueueErrc::corrupt);
    CHECK(as_text(*journal.read(3)) == "third");
    CHECK_FALSE(journal.ack(2));
    CHECK(as_text(*journal.front()) == "third");
    return "`read` and `front` return `corrupt` for it. `ack` gives it up, and the others can be "
           "read.";
}
std::string journal_unprocessable() {
    sim::Disk disk;
    DiskJournal journal = open_journal(disk);
    REQUIRE((journal.append(as_bytes("bad")) && journal.append(as_bytes("good"))));
    journal.nack();
    CHECK(as_text(*journal.front()) == "bad");
    CHECK_FALSE(journal.ack());
    CHECK(as_text(*journal.front()) == "good");
    return "It stays the first until your program calls `ack`.";
}
std::string journal_disk() {
    sim::Disk disk;
    DiskJournal journal = open_journal(disk);
    REQUIRE(journal.append(as_bytes("a")));
    passes(disk, [&] { return !journal.commit(); });
    CHECK(journal.durable() == 1);
    return "One call returns the error. The next one reopens the file, and nothing is lost.";
}
std::string journal_too_large() {
    sim::Disk disk;
    DiskJournal journal = open_journal(disk);
    CHECK(journal.append(Bytes(513)).error() == QueueErrc::too_large);
    CHECK(journal.append(as_bytes("good")));
    return "`append` returns `too_large`, and takes nothing.";
}

// ---- a queue with a codec ------------------------------------------------------------------------

std::string encoded_unreadable() {
    sim::Disk disk;
    {
        Encoded queue{open_journal(disk), ChangedCodec{}};
        REQUIRE((!queue.try_push("old a") && !queue.try_push("new b") && !queue.commit()));
    }
    Encoded queue{open_journal(disk), ChangedCodec{"old", true}};
    CHECK(queue.front().error() == QueueErrc::bad_encoding);
    CHECK_FALSE(queue.ack());
    CHECK(queue.front().value() == "new b");
    return "`front` returns `bad_encoding` until `ack` gives it up. With a storage of dead "
           "letters, it "
           "goes there at once.";
}
std::string encoded_unprocessable() {
    sim::Disk disk;
    Encoded queue{open_journal(disk), ChangedCodec{}};
    REQUIRE((!queue.try_push("bad") && !queue.try_push("good")));
    CHECK(queue.front().value() == "bad");
    queue.nack();
    CHECK(queue.front().value() == "bad");
    CHECK_FALSE(queue.ack());
    CHECK(queue.front().value() == "good");
    return "It stays the first until your program calls `ack`.";
}
std::string encoded_disk() {
    sim::Disk disk;
    Encoded queue{open_journal(disk), ChangedCodec{}};
    REQUIRE_FALSE(queue.try_push("a"));
    passes(disk, [&] { return !queue.commit(); });
    return "As the journal.";
}
std::string encoded_too_large() {
    sim::Disk disk;
    Encoded queue{open_journal(disk), ChangedCodec{}};
    CHECK(queue.try_push(std::string(600, 'x')) == QueueErrc::too_large);
    CHECK_FALSE(queue.try_push("good"));
    return "`push` returns `too_large`, and takes nothing.";
}

// ---- a work queue --------------------------------------------------------------------------------

using DiskWork = WorkQueue<DiskJournal>;

DiskWork open_work(sim::Disk& disk) {
    auto work = DiskWork::open(open_journal(disk), {.deliveries_max = 3, .record_bytes_max = 512},
                               Moment{});
    REQUIRE(work);
    return std::move(*work);
}
std::string work_unreadable() {
    sim::Disk disk;
    DiskWork work = open_work(disk);
    Moment now{};
    REQUIRE((work.push("the bad one", now) && work.push("good", now) && !work.commit()));
    damage(disk, "the bad one");
    std::vector<std::string> leased;
    for (int second = 0; second < 120; ++second) {
        now = {now.now + 1s, now.wall + 1s};
        while (const auto lease = work.lease(now)) {
            leased.emplace_back(as_text(lease->body));
            CHECK_FALSE(work.ack(*lease));
        }
    }
    CHECK(leased == std::vector<std::string>{"good"});
    CHECK(work.dead() == 1);
    return "It becomes a dead letter (`unreadable`), and the others are leased.";
}
std::string work_unprocessable() {
    sim::Disk disk;
    DiskWork work = open_work(disk);
    const Moment now{};
    REQUIRE((work.push("bad", now) && work.push("good", now)));
    int leases = 0;
    while (const auto lease = work.lease(now)) {
        REQUIRE(++leases < 10);
        const bool is_bad = as_text(lease->body) == "bad";
        const std::error_code error = is_bad ? work.nack(*lease, now) : work.ack(*lease);
        CHECK_FALSE(error);
    }
    CHECK(leases == 4);
    CHECK(work.dead() == 1);
    return "After `deliveries_max` leases it becomes a dead letter. The others are leased "
           "meanwhile.";
}
std::string work_disk() {
    sim::Disk disk;
    DiskWork work = open_work(disk);
    REQUIRE(work.push("a", Moment{}));
    passes(disk, [&] { return !work.commit(); });
    CHECK(work.lease(Moment{}));
    return "As the journal.";
}
std::string work_too_large() {
    sim::Disk disk;
    DiskWork work = open_work(disk);
    CHECK(work.push(Bytes(512), Moment{}).error() == QueueErrc::too_large);
    CHECK(work.push("good", Moment{}));
    return "`push` returns `too_large`, and takes nothing.";
}

// ---- an outbox -----------------------------------------------------------------------------------

OutboxOptions outbox_options() {
    OutboxOptions options;
    options.promise = OutboxOptions::at_least_once;
    return options;
}
std::string outbox_unreadable() {
    OutboxRig<OutboxJournal> rig{outbox_options()};
    rig.push("good");
    rig.push("the bad one");
    for (int i = 0; i < 40; ++i) rig.push(std::string(400, 'x'));  // so that it is in no last file
    rig.run();
    rig.box.reset();
    damage(rig.disk, "the bad one");
    rig.open();
    rig.connect_once();
    CHECK(rig.server.take() == std::vector<std::string>{"good"});
    CHECK(rig.box->status().error == QueueErrc::corrupt);
    return "The messages before it are sent. Then `status().error` is `corrupt`, until the journal "
           "is "
           "salvaged.";
}
std::string outbox_unprocessable() {
    OutboxRig<OutboxJournal> rig{outbox_options()};
    rig.push("bad");
    rig.push("good");
    for (int i = 0; i < 30; ++i) {
        rig.connect_once();
        rig.run(rig.now + 60s);
        rig.cut();
        rig.run(rig.now + 10s);
    }
    CHECK(rig.box->status().undeliverable == 1);
    CHECK_FALSE(rig.box->acknowledge(1));
    rig.server.take();
    rig.connect_once();
    CHECK(rig.server.take() == std::vector<std::string>{"good"});
    return "After `deliveries_max` deliveries, `on_undeliverable` and the status report it. It "
           "holds the "
           "others until the hook acknowledges it.";
}
std::string outbox_disk() {
    OutboxRig<OutboxJournal> rig{outbox_options()};
    rig.push("a");
    passes(rig.disk, [&] { return !rig.box->commit(); });
    return "As the journal. The connection may end, and is made again.";
}
std::string outbox_too_large() {
    OutboxRig<OutboxJournal> rig{outbox_options()};
    CHECK(rig.box->push(std::string(513, 'x')) == QueueErrc::too_large);
    rig.push("good");
    rig.server.refuses = "too long for the framing";
    rig.push(rig.server.refuses);
    rig.push("good, too");
    rig.connect();
    CHECK(rig.server.take() == std::vector<std::string>{"good", "good, too"});
    return "`push` returns `too_large`. A message that only the framing rejects goes to "
           "`on_unsent`, and the "
           "others are sent.";
}

// ---- a replica -----------------------------------------------------------------------------------

struct OneDevice {
    using Type = Replica<ChangedCodec, DiskJournal, std::reference_wrapper<Memory>>;
    void start(ChangedCodec codec) {
        replica.reset();
        replica.emplace(open_journal(disk), std::ref(copy), std::move(codec),
                        ReplicaOptions{.session = "s", .seed = Seed{++starts}});
        REQUIRE_FALSE(replica->load());
    }
    sim::Disk disk{};
    Memory copy{};
    Memory store{};
    SyncProcessor<std::reference_wrapper<Memory>, LastWriteWins> server{std::ref(store),
                                                                        LastWriteWins{}};
    std::uint64_t starts = 0;
    std::optional<Type> replica{};
};

std::string replica_unreadable() {
    OneDevice device;
    device.start({});
    REQUIRE((device.replica->edit(AddElement{"a", std::string{"old"}}) &&
             device.replica->edit(AddElement{"b", std::string{"new"}})));
    device.start({"old", true});
    CHECK(device.replica->sync(device.server).synced == 1);
    REQUIRE(device.replica->kept().size() == 1);
    CHECK(device.replica->kept()[0].error == SyncErrc::unreadable);
    CHECK_FALSE(device.replica->drop(device.replica->kept()[0].operation.id));
    return "It is in `kept()` (`unreadable`), for a program that reads it, or for `drop`. Only "
           "later "
           "edits of its element wait.";
}
std::string replica_unprocessable() {
    OneDevice device;
    device.start({});
    const auto id = device.replica->edit(AddElement{"a", std::string{"x"}});
    REQUIRE((id && device.replica->edit(AddElement{"b", std::string{"y"}})));
    // Another operation has the id already.
    Op other = add("c", "z", stamp(1));
    other.id = *id;
    REQUIRE(device.server.process_batch("s", {&other, 1}).success);
    CHECK(device.replica->sync(device.server).synced == 1);
    REQUIRE(device.replica->kept().size() == 1);
    CHECK_FALSE(device.replica->drop(*id));
    return "It is in `kept()` with its error, and is decided by `drop` or `send_again`. Only later "
           "edits "
           "of its element wait.";
}
std::string replica_disk() {
    OneDevice device;
    device.start({});
    device.disk.fail_at(device.disk.operations() + 3, an_io_error());
    bool failed = false;
    for (const char* const id : {"a", "b", "c"}) {
        failed = !device.replica->edit(AddElement{id, std::string{"x"}}) || failed;
    }
    CHECK(failed);
    CHECK(device.replica->edit(AddElement{"d", std::string{"x"}}));
    CHECK_FALSE(device.replica->sync(device.server).error);
    return "`edit` returns the error once. The next `edit` or `sync` makes everything durable.";
}
std::string replica_too_large() {
    OneDevice device;
    device.start({});
    CHECK(device.replica->edit(AddElement{"a", std::string(600, 'x')}).error() ==
          QueueErrc::too_large);
    CHECK(device.replica->edit(AddElement{"b", std::string{"x"}}));
    return "`edit` returns `too_large`, and takes nothing.";
}

// ---- rooms ---------------------------------------------------------------------------------------

std::string rooms_unreadable() {
    sim::Disk disk;
    {
        DiskRooms rooms{disk};
        for (const char* const id : {"a", "b"}) {
            REQUIRE((rooms->reset(id, Id{std::byte{1}}) && rooms->append(id, as_bytes("text")) &&
                     !flushed(*rooms)));
            REQUIRE(!saved(*rooms, id, {to_bytes(std::string{"snapshot of "} + id)},
                           rooms.room(id).position));
        }
        damage(disk, "snapshot of a");
        CHECK(loaded(*rooms, "a").error().code == RoomErrc::snapshot_damaged);
        CHECK(loaded(*rooms, "b"));
    }
    CHECK_FALSE(opening_error(disk));
    damage(disk, "text");
    CHECK(opening_error(disk).code == QueueErrc::corrupt);
    return "A damaged snapshot closes its room with 1013, and is reported. A damaged log keeps the "
           "server from starting.";
}
std::string rooms_disk() {
    sim::Disk disk;
    DiskRooms rooms{disk};
    REQUIRE((rooms->reset("a", Id{std::byte{1}}) && !flushed(*rooms)));
    passes(disk, [&] { return rooms->append("a", as_bytes("1")) && !flushed(*rooms); });
    return "Edits of that moment are rejected with 1013, and arrive again. The log goes on.";
}

struct Row {
    const char* component;
    Cell unreadable;
    Cell unprocessable;
    Cell disk;
    Cell too_large;
};
std::string none() { return "-"; }
constexpr Row rows[] = {
    {"`Journal`", journal_unreadable, journal_unprocessable, journal_disk, journal_too_large},
    {"`Encoded` over a `Journal`", encoded_unreadable, encoded_unprocessable, encoded_disk,
     encoded_too_large},
    {"`WorkQueue`", work_unreadable, work_unprocessable, work_disk, work_too_large},
    {"`Outbox` over a `Journal`", outbox_unreadable, outbox_unprocessable, outbox_disk,
     outbox_too_large},
    {"`Replica`", replica_unreadable, replica_unprocessable, replica_disk, replica_too_large},
    {"`JournalRooms`", rooms_unreadable, none, rooms_disk, none},
};

}  // namespace

TEST_CASE("docs/one-bad-item.md states what one bad item does in each component",
          "[e2e][one_bad_item]") {
    const std::string page = page_text("one-bad-item.md");
    std::size_t rows_there = 0;
    for (const Row& row : rows) {
        std::string line = std::string{"| "} + row.component;
        for (const Cell cell : {row.unreadable, row.unprocessable, row.disk, row.too_large}) {
            INFO(row.component);
            line += " | " + cell();
        }
        line += " |\n";
        INFO(line);
        CHECK(page.find(line) != std::string::npos);
        ++rows_there;
    }
    CHECK(rows_there == std::size(rows));
}
