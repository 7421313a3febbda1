// SPDX-License-Identifier: MIT
// Goal: the two indices of a WorkQueue behave like plain sets. Method: random changes, compared
// with maps.
#include <belay/work/detail/work_table.hpp>

#include <map>
#include <set>
#include <vector>

#include "support/catch.hpp"
#include "support/seeds.hpp"

using namespace belay;
using namespace belay::detail;

namespace {

struct Known {
    WorkItem::State state = WorkItem::State::ready;
    Instant when{};
    std::uint32_t slot = 0;
};

/// The id of the first item that can be leased, and of the next that is due; 0 if there is none.
std::pair<std::uint64_t, std::uint64_t> firsts(const std::map<std::uint64_t, Known>& model) {
    std::uint64_t ready = 0, due = 0;
    for (const auto& [id, known] : model) {
        if (known.state == WorkItem::State::ready) {
            if (ready == 0) ready = id;
        } else if (known.state != WorkItem::State::dead &&
                   (due == 0 || known.when < model.at(due).when)) {
            due = id;
        }
    }
    return {ready, due};
}

}  // namespace

TEST_CASE("WorkSlots finds by id, and keeps both orders", "[work][work_queue][property]") {
    belay_test::for_each_seed(
        [](Seed seed) {
            Random bits{seed};
            WorkSlots slots;
            std::map<std::uint64_t, Known> model;
            // Ids that follow each other, or that cluster in the index.
            const std::uint64_t stride = bits() % 2 == 0 ? 1 : std::uint64_t{1} << 40;
            const auto some = [&] {
                auto i = model.begin();
                std::advance(i, static_cast<std::ptrdiff_t>(bits() % model.size()));
                return i;
            };
            for (int step = 0; step < 400; ++step) {
                const std::uint64_t draw = bits() % 8;
                if (draw < 3 || model.empty()) {
                    const std::uint64_t id = (1 + bits() % 100) * stride;
                    if (model.contains(id)) continue;
                    slots.reserve();
                    const std::uint32_t i = slots.add({.id = id, .position = id + 5});
                    model[id] = {WorkItem::State::ready, {}, i};
                    REQUIRE(slots[i].position == id + 5);
                    REQUIRE(slots[i].token == 0);
                } else if (draw < 4) {
                    const auto i = some();
                    slots.remove(i->second.slot);
                    REQUIRE(slots.find(i->first) == WorkSlots::none);
                    model.erase(i);
                } else {
                    Known& known = some()->second;
                    known.state = static_cast<WorkItem::State>(bits() % 4);
                    known.when = Instant{Duration{static_cast<std::int64_t>(bits() % 20)}};
                    if (known.state == WorkItem::State::ready) {
                        slots.make_ready(known.slot);
                    } else if (known.state == WorkItem::State::dead) {
                        slots.make_dead(known.slot);
                    } else {
                        slots.make_wait(known.slot, known.state, known.when);
                    }
                }
                const auto [ready, due] = firsts(model);
                std::size_t counts[4]{};
                for (const auto& [id, known] : model) {
                    ++counts[static_cast<std::size_t>(known.state)];
                    REQUIRE(slots.find(id) == known.slot);
                    REQUIRE(slots[known.slot].state == known.state);
                }
                REQUIRE(slots.size() == model.size());
                REQUIRE(slots.ready() == counts[0]);
                REQUIRE(slots.delayed() == counts[1]);
                REQUIRE(slots.leased() == counts[2]);
                REQUIRE(slots.dead() == counts[3]);
                REQUIRE((slots.first_ready() == WorkSlots::none) == (ready == 0));
                if (ready != 0) REQUIRE(slots[slots.first_ready()].id == ready);
                REQUIRE((slots.next_due() == WorkSlots::none) == (due == 0));
                if (due != 0) REQUIRE(slots[slots.next_due()].id == due);
            }
            for (const bool dead : {false, true}) {
                std::vector<std::uint64_t> expected, found;
                for (const auto& [id, known] : model) {
                    if ((known.state == WorkItem::State::dead) == dead) expected.push_back(id);
                }
                for (const std::uint32_t i : slots.in_order(dead)) found.push_back(slots[i].id);
                REQUIRE(found == expected);
            }
        },
        200);
}

TEST_CASE("WorkSlots: the lower id is due first if the times are equal",
          "[work][work_queue][unit]") {
    WorkSlots slots;
    for (const std::uint64_t id : {7u, 3u, 5u}) {
        slots.reserve();
        slots.make_wait(slots.add({.id = id, .position = id}), WorkItem::State::delayed, Instant{});
    }
    for (const std::uint64_t id : {3u, 5u, 7u}) {
        REQUIRE(slots[slots.next_due()].id == id);
        slots.remove(slots.next_due());
    }
    CHECK(slots.next_due() == WorkSlots::none);
    CHECK(slots.find(3) == WorkSlots::none);
    CHECK(slots.size() == 0);
}

TEST_CASE("WorkPositions tracks which entries are held and ready, and their size",
          "[work][work_queue][property]") {
    belay_test::for_each_seed(
        [](Seed seed) {
            Random bits{seed};
            const std::uint64_t first = 1 + bits() % 300;
            WorkPositions positions{first};
            std::map<std::uint64_t, std::size_t> bytes;  // of all entries that are not dropped
            std::set<std::uint64_t> held, ready;
            std::uint64_t base = first, end = first;
            const std::uint64_t most = 1 + bits() % 400;
            for (int step = 0; step < 1500; ++step) {
                const std::uint64_t draw = bits() % 8;
                if (draw < 4 && held.size() < most) {
                    const bool is_held = bits() % 3 != 0;
                    const bool is_ready = is_held && bits() % 3 != 0;
                    const std::size_t size = 24 + bits() % 100;
                    positions.reserve();
                    positions.add(size, is_held, is_ready);
                    bytes[end] = size;
                    if (is_held) held.insert(end);
                    if (is_ready) ready.insert(end);
                    ++end;
                } else if (draw < 7 && !held.empty()) {
                    // Mostly near the front, like real work.
                    auto i = held.begin();
                    std::advance(i, static_cast<std::ptrdiff_t>(
                                        bits() % (bits() % 4 == 0 ? held.size() : 1)));
                    const std::uint64_t position = *i;
                    if (bits() % 4 != 0) {
                        positions.release(position);
                        held.erase(position);
                        ready.erase(position);
                    } else if (ready.contains(position)) {
                        positions.clear_ready(position);
                        ready.erase(position);
                    } else {
                        positions.set_ready(position);
                        ready.insert(position);
                    }
                } else {
                    const std::uint64_t to = held.empty() ? end : *held.begin();
                    base += bits() % (to - base + 1);
                    positions.drop_before(base);
                    bytes.erase(bytes.begin(), bytes.lower_bound(base));
                }
                const std::uint64_t first_held = held.empty() ? end : *held.begin();
                std::uint64_t held_bytes = 0, kept_bytes = 0, idle_bytes = 0;
                for (const auto& [position, size] : bytes) {
                    if (held.contains(position)) held_bytes += size;
                    (position < first_held ? idle_bytes : kept_bytes) += size;
                }
                REQUIRE(positions.end() == end);
                REQUIRE(positions.first_held() == first_held);
                REQUIRE(positions.ready() == ready.size());
                REQUIRE(positions.first_ready() == (ready.empty() ? end : *ready.begin()));
                REQUIRE(positions.held_bytes() == held_bytes);
                REQUIRE(positions.kept_bytes() == kept_bytes);
                REQUIRE(positions.idle_bytes() == idle_bytes);
                const std::uint64_t from = bits() % (end + 10);
                const auto next = ready.lower_bound(from);
                REQUIRE(positions.next_ready(from) == (next == ready.end() ? end : *next));
                const std::uint64_t any = bits() % (end + 10);
                REQUIRE(positions.holds(any) == held.contains(any));
                REQUIRE(positions.is_ready(any) == ready.contains(any));
            }
        },
        60);
}
