// SPDX-License-Identifier: MIT
// Goal: a flipped bit loses only the record that it hits, and no other item and no other key.
// Method: each bit of the first 200 items flipped in turn; then all keys are pushed once more.
#include <belay/work/work_queue.hpp>

#include <optional>
#include <string>

#include <belay/journal/journal.hpp>

#include "support/journal/each_bit.hpp"
#include "support/work/start_times.hpp"

using namespace belay;
using namespace belay_test;

namespace {

using BitWork = WorkQueue<Journal<sim::Disk>>;

constexpr std::uint64_t items_of_bits = 300;

BitWork open_bit_work(sim::Disk& disk, std::uint64_t seed) {
    auto journal = Journal<sim::Disk>::open(
        disk, "w", {.segment_bytes = 16 << 10, .record_bytes_max = 1024, .seed = Seed{seed}});
    REQUIRE(journal);
    auto work = BitWork::open(std::move(*journal), {.keys = 1000, .record_bytes_max = 1024}, when);
    REQUIRE(work);
    return std::move(*work);
}
std::string text_of(std::uint64_t id) { return "item " + std::to_string(id); }

/// Items with keys, of three runs, with notes between them, in more than one file.
sim::Disk::Image make_keyed_items() {
    sim::Disk disk;
    std::optional<BitWork> work{open_bit_work(disk, 1)};
    for (std::uint64_t id = 1; id <= items_of_bits; ++id) {
        const std::string text = text_of(id);
        REQUIRE(work->push(as_bytes(text), when, {.key = text}));
        if (id % 40 == 0) REQUIRE_FALSE(work->commit());
        if (id % 70 == 0) REQUIRE_FALSE(work->keep(as_bytes(text)));
        if (id % 90 != 0) continue;
        work.reset();
        work.emplace(open_bit_work(disk, id));
    }
    REQUIRE_FALSE(work->commit());
    work.reset();
    return disk.image();
}

}  // namespace

TEST_CASE("WorkQueue: a flipped bit causes at most one dead letter, and one forgotten key",
          "[work][work_queue_each_bit][regression]") {
    const sim::Disk::Image image = make_keyed_items();
    for_each_bit(image, "w", 200, [](sim::Disk& disk, std::uint64_t hit) {
        BitWork work = open_bit_work(disk, 1000);
        std::uint64_t shown = 0;
        std::string wrong;
        REQUIRE_FALSE(work.for_each([&](const WorkItem& item) {
            ++shown;
            if (item.id == hit || as_text(item.body) != text_of(item.id)) wrong = text_of(item.id);
        }));
        REQUIRE(wrong == "");
        REQUIRE(shown == items_of_bits - (hit != 0 ? 1 : 0));
        REQUIRE(work.dead() == (hit != 0 ? 1 : 0));
        REQUIRE_FALSE(work.for_each_dead([&](const WorkItem& item) {
            if (item.id != hit) wrong = text_of(item.id);
        }));
        for (std::uint64_t id = 1; id <= items_of_bits; ++id) {
            const std::string text = text_of(id);
            const auto again = work.push(as_bytes(text), when, {.key = text});
            const bool is_known = !again && again.error() == QueueErrc::duplicate;
            if (is_known == (id == hit)) wrong = text;
        }
        REQUIRE(wrong == "");
    });
}
