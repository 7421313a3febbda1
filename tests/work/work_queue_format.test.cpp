// SPDX-License-Identifier: MIT
// Goal: the bytes of a WorkQueue's entries never change by accident, and no bytes cause an error in
// memory. Method: golden bytes, round trips, random bytes and damaged histories.
#include <belay/work/work_queue.hpp>

#include <string>

#include "support/catch.hpp"
#include "support/hex.hpp"
#include "support/journal/memory_log.hpp"
#include "support/seeds.hpp"

using namespace belay;
using namespace belay::detail;
using namespace std::chrono_literals;
using namespace std::string_view_literals;

namespace {

/// The mark of the logs in these tests.
constexpr std::uint32_t mark = 0xC4C3C2C1;

std::string hex_of(const WorkEntry& entry) {
    Bytes bytes;
    encode(entry, mark, bytes);
    return belay_test::to_hex(bytes);
}

WorkEntry example(WorkKind kind) {
    WorkEntry e;
    e.kind = kind;
    e.written = 0x060504030201;
    return e;
}

/// Reads bytes as entry 1000.
WorkError decode_hex(std::string_view hex, WorkEntry& entry) {
    static Bytes bytes;
    bytes = belay_test::from_hex(hex);
    return WorkDecoder{bytes, 1000, mark}.decode(entry);
}

std::string why_not(std::string_view hex) {
    WorkEntry entry;
    const WorkError error = decode_hex(hex, entry);
    return std::string{error.what};
}

}  // namespace

TEST_CASE("WorkEntry has its golden bytes", "[work][work_queue][golden]") {
    WorkEntry item = example(WorkKind::item);
    item.tail = as_bytes("ab");
    CHECK(hex_of(item) == "01000102030405066162");
    item.has_key = true;
    item.print = {0x1817161514131211, 0x24232221, 0};
    item.delay = Duration{0x38};
    item.expires = 0x48;
    CHECK(hex_of(item) ==
          "0107010203040506"  // kind, flags, wall clock
          "111213141516171821222324"
          "38000000000000004800000000000000"
          "6162");

    WorkEntry moved = example(WorkKind::moved);
    moved.id = 0x58;
    moved.pushed = 0x68;
    moved.tail = as_bytes("ab");
    CHECK(hex_of(moved) == "0200010203040506c1c2c3c4580000000000000068000000000000006162");
    moved.has_key = true;
    moved.print = item.print;
    CHECK(hex_of(moved) ==
          "0201010203040506c1c2c3c458000000000000006800000000000000"
          "1112131415161718212223246162");
    moved.has_key = false;
    moved.deliveries = 7;
    moved.cause = 2;
    moved.delay = 1ns;
    CHECK(hex_of(moved) ==
          "020a010203040506c1c2c3c4580000000000000068000000000000000100000000000000"
          "07000000020000006162");

    WorkEntry note = example(WorkKind::note);
    note.id = 0x58;
    CHECK(hex_of(note) ==
          "0408010203040506c1c2c3c4580000000000000000000000"
          "00000000");

    WorkEntry done = example(WorkKind::done);
    done.below = 5;
    const Bytes ids = belay_test::from_hex("0900000000000000");
    done.tail = ids;
    CHECK(hex_of(done) == "0300010203040506c1c2c3c405000000000000000900000000000000");

    WorkEntry keys = example(WorkKind::keys);
    keys.part = 1;
    keys.parts = 2;
    std::byte print[24];
    store_print({0x1817161514131211, 0x24232221, 0x34333231, 0x58}, print);
    keys.tail = print;
    CHECK(hex_of(keys) ==
          "05000102030405060100000002000000"
          "111213141516171821222324313233345800000000000000");

    WorkEntry freed = example(WorkKind::freed);
    freed.tail = ids;
    CHECK(hex_of(freed) == "0600010203040506c1c2c3c40900000000000000");
}

TEST_CASE("WorkEntry of a plain item is 8 bytes and its body", "[work][work_queue][unit]") {
    WorkEntry item = example(WorkKind::item);
    item.tail = as_bytes("0123456789012345");
    Bytes bytes;
    encode(item, mark, bytes);
    CHECK(bytes.size() == 8 + 16);
    CHECK(WorkPositions::framed(bytes.size()) == 32 + 16);
}

TEST_CASE("WorkDecoder returns the entry that was encoded", "[work][work_queue][property]") {
    belay_test::for_each_seed(
        [](Seed seed) {
            Random bits{seed};
            WorkEntry e;
            e.kind = static_cast<WorkKind>(1 + bits() % 6);
            e.written = bits() >> 16;
            e.pushed = e.written;
            const bool is_item = e.kind == WorkKind::item, is_moved = e.kind == WorkKind::moved;
            const bool is_note = e.kind == WorkKind::note;
            if (is_moved || is_note) {
                e.id = 1 + bits() % 999;
                e.deliveries = static_cast<std::uint32_t>(bits() % 3);
                e.cause = static_cast<std::uint32_t>(bits() % 5);
            }
            if (is_moved) e.pushed = bits();
            if ((is_item || is_moved) && bits() % 2 == 0) e.expires = bits();
            if ((is_item || is_moved || is_note) && bits() % 2 == 0) {
                e.delay = Duration{static_cast<std::int64_t>(bits() >> 1)};
            }
            if ((is_item || is_moved) && bits() % 2 == 0) {
                e.has_key = true;
                e.print = {bits(), static_cast<std::uint32_t>(bits()), 0};
            }
            if (e.kind == WorkKind::done) e.below = bits() % 1001;
            if (e.kind == WorkKind::keys) {
                e.parts = 1 + static_cast<std::uint32_t>(bits() % 9);
                e.part = static_cast<std::uint32_t>(bits() % e.parts);
            }
            Bytes tail(is_note ? 0 : 24 * (bits() % 4));
            for (std::byte& b : tail) b = static_cast<std::byte>(bits());
            e.tail = tail;

            Bytes bytes;
            encode(e, mark, bytes);
            WorkEntry read;
            const WorkError error = WorkDecoder{bytes, 1000, mark}.decode(read);
            INFO(error.message());
            REQUIRE_FALSE(error);
            Bytes again;
            encode(read, mark, again);
            REQUIRE(again == bytes);
            REQUIRE(read.id == e.id);
            REQUIRE(read.pushed == e.pushed);
            REQUIRE(read.expires == e.expires);
            REQUIRE(read.delay == e.delay);
            REQUIRE(read.print.same_key(e.print));
            // After part::Cut anywhere, it is rejected, or its tail is shorter.
            const std::size_t cut = bits() % bytes.size();
            const WorkError of_cut =
                WorkDecoder{BytesView{bytes}.first(cut), 1000, mark}.decode(read);
            REQUIRE((of_cut || read.tail.size() < e.tail.size()));
        },
        2000);
}

TEST_CASE("WorkDecoder returns the reason if bytes are no entry", "[work][work_queue][unit]") {
    CHECK(why_not("01000000000000") == "the entry is shorter than its header"sv);
    CHECK(why_not("0000000000000000") == "the record is not an entry of a work queue"sv);
    CHECK(why_not("0700000000000000") == "the kind of the entry is unknown"sv);
    CHECK(why_not("0600000000000000c1c2c3c400000000") == "a list of ids is cut off"sv);
    CHECK(why_not("0108000000000000") == "a flag of the entry is unknown"sv);
    CHECK(why_not("0301000000000000") == "a flag of the entry is unknown"sv);
    CHECK(why_not("0101000000000000ffff") == "the entry is shorter than its fields"sv);
    CHECK(why_not("0408000000000000c1c2c3c40000000000000000"
                  "0000000000000000") == "the entry refers to an item that did not exist yet"sv);
    CHECK(why_not("0408000000000000c1c2c3c4e803000000000000"
                  "0000000000000000") == "the entry refers to an item that did not exist yet"sv);
    CHECK(why_not("0408000000000000c1c2c3c4e703000000000000"
                  "0000000005000000") == "the cause of death is unknown"sv);
    CHECK(why_not("0408000000000000c1c2c3c4e703000000000000"
                  "000000000400000000") == "the entry is longer than its fields"sv);
    CHECK(why_not("0300000000000000c1c2c3c4e80300000000000000") == "a list of ids is cut off"sv);
    CHECK(why_not("0300000000000000c1c2c3c4e903000000000000") ==
          "the entry refers to later entries"sv);
    CHECK(why_not("0500000000000000000000000100000000") == "a list of keys is cut off"sv);
    CHECK(why_not("05000000000000000100000001000000") ==
          "the number of the part is not below the number of parts"sv);
    CHECK(why_not("0408000000000000c1c2c3c4e7030000000000000000000004000000") == ""sv);
    CHECK(
        why_not("0300000000000000c1c2c3c50500000000000000") ==
        "the queue was salvaged as a journal, which changes its numbers; use tool::salvage_work_queue"sv);
    WorkEntry entry;
    CHECK(decode_hex("06", entry) == make_error_code(QueueErrc::corrupt));
    CHECK(decode_hex("0700000000000000", entry) == make_error_code(QueueErrc::other_version));
    CHECK_FALSE(decode_hex("0102000000000000ffffffffffffffff", entry));
    CHECK(entry.delay == forever);
}

TEST_CASE("stamps round up, and may have any time", "[work][work_queue][unit]") {
    CHECK(stamp_of(WallTime{}) == 0);
    CHECK(stamp_of(WallTime{1ns}) == 1);
    CHECK(stamp_of(WallTime{1ms}) == 1);
    CHECK(stamp_of(WallTime{-1s}) == 0);
    CHECK(stamp_of(WallTime::min()) == 0);
    CHECK(stamp_of(WallTime::max()) == 9223372036855);
    CHECK(time_of(0) == WallTime{});
    CHECK(time_of(1500) == WallTime{1500ms});
    CHECK(time_of(~std::uint64_t{0}) == WallTime::max());
    CHECK(elapsed_between(WallTime{2s}, WallTime{5s}) == 3s);
    CHECK(elapsed_between(WallTime{5s}, WallTime{2s}) == 0s);
    CHECK(elapsed_between(WallTime::min(), WallTime::max()) == forever);
}

TEST_CASE("WorkQueue opens, or rejects, any history, and works on those that it opens",
          "[work][work_queue][fault]") {
    std::uint64_t opened_count = 0;
    belay_test::for_each_seed(
        [&](Seed seed) {
            Random bits{seed};
            belay_test::MemoryMedium medium;
            medium.base = 1 + bits() % 200;
            medium.last = medium.base - 1;
            const std::uint64_t count = bits() % 60;
            for (std::uint64_t i = 0; i < count; ++i) {
                const std::uint64_t number = ++medium.last;
                WorkEntry e;
                e.kind = static_cast<WorkKind>(1 + bits() % 6);
                e.written = bits() % 100;
                e.id = 1 + bits() % number;
                e.pushed = bits() % 100;
                e.deliveries = static_cast<std::uint32_t>(bits() % 4);
                e.cause = static_cast<std::uint32_t>(bits() % 5);
                if (bits() % 3 == 0) e.delay = Duration{static_cast<std::int64_t>(bits() >> 30)};
                const bool is_moved = e.kind == WorkKind::moved;
                e.has_key = (e.kind == WorkKind::item || is_moved) && bits() % 2 == 0;
                e.print.low = bits() % 16;
                e.below = bits() % (number + 1);
                e.parts = 1 + static_cast<std::uint32_t>(bits() % 3);
                e.part = static_cast<std::uint32_t>(bits() % e.parts);
                Bytes tail(e.kind == WorkKind::note ? 0 : 24 * (bits() % 4));
                for (std::byte& b : tail)
                    b = static_cast<std::byte>(bits() % 4 == 0 ? bits() % 60 : 0);
                e.tail = tail;
                Bytes& bytes = medium.entries[number];
                encode(e, log_mark(Id{std::byte{1}}), bytes);
                // At times, arbitrary bytes.
                if (bits() % 400 == 0)
                    bytes[bits() % bytes.size()] = static_cast<std::byte>(bits());
            }
            using Work = WorkQueue<belay_test::MemoryLog>;
            const Moment now{Instant{1s}, WallTime{1s}};
            auto opened =
                Work::open(belay_test::MemoryLog{medium}, {.keys = 5, .slack_bytes = 200}, now);
            if (!opened) {
                REQUIRE(opened.error().number != 0);
                return;
            }
            ++opened_count;
            std::size_t shown = 0;
            REQUIRE_FALSE(opened->for_each([&](const WorkItem&) { ++shown; }));
            REQUIRE(shown == opened->size());
            for (int i = 0; i < 200; ++i) {
                const auto lease = opened->lease(now);
                if (!lease) break;
                static_cast<void>(opened->push(lease->body, now));
                if (bits() % 2 == 0) {
                    REQUIRE_FALSE(opened->ack(*lease));
                } else {
                    REQUIRE_FALSE(opened->nack(*lease, now));
                }
            }
            REQUIRE_FALSE(opened->purge());
            REQUIRE_FALSE(opened->purge_dead());
            REQUIRE(opened->bytes() == 0);
            REQUIRE(opened->size() + opened->dead() == 0);
        },
        2000);
    CHECK((opened_count > 100 || belay_test::from_environment("BELAY_SEEDS", 2000) < 500));
}
