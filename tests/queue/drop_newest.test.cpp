// SPDX-License-Identifier: MIT
// Goal: DropNewest keeps its values, accepts every push, and reports each loss. Method:
// examples, and a model.
#include <belay/queue/overflows.hpp>

#include <belay/journal/journal.hpp>
#include <belay/queue/queue.hpp>
#include <belay/queue/storages.hpp>
#include <belay/sim/disk.hpp>
#include <memory>
#include <string>
#include <vector>

#include "support/catch.hpp"

using namespace belay;

static_assert(Queue<Deque<int>, DropNewest>::drops);

TEST_CASE("DropNewest keeps the oldest values, and the observer gets every other one",
          "[queue][drop_newest][property]") {
    CHECK(rc::check("what was pushed = what is left + what was dropped",
                    [](const std::vector<bool>& pops) {
                        struct Lost {
                            std::vector<int> values;
                            void on_dropped(int value) { values.push_back(value); }
                        };
                        Queue queue{Deque<int>{}, DropNewest{}, {.limit = 3}, Lost{}};
                        std::vector<int> kept, lost;
                        std::size_t taken = 0;
                        for (std::size_t i = 0; i < pops.size(); ++i) {
                            if (pops[i]) {
                                const auto value = queue.pop();
                                RC_ASSERT(value.has_value() == (taken < kept.size()));
                                if (value) RC_ASSERT(*value == kept[taken++]);
                                continue;
                            }
                            const int value = static_cast<int>(i);
                            RC_ASSERT(!queue.push(int{value}));
                            (kept.size() - taken < 3 ? kept : lost).push_back(value);
                            RC_ASSERT(queue.observer().values == lost);
                            RC_ASSERT(queue.size() == kept.size() - taken);
                        }
                    }));
}

TEST_CASE("DropNewest passes the pushed value itself to the observer, for every form of push",
          "[queue][drop_newest][unit]") {
    struct Keeper {
        std::vector<std::unique_ptr<int>> values;
        void on_dropped(std::unique_ptr<int>&& value) { values.push_back(std::move(value)); }
    };
    Queue owners{Deque<std::unique_ptr<int>>{}, DropNewest{}, {.limit = 1}, Keeper{}};
    CHECK_FALSE(owners.push(std::make_unique<int>(1)));
    auto second = std::make_unique<int>(2);
    int* const address = second.get();
    CHECK_FALSE(owners.push(std::move(second)));
    REQUIRE(owners.observer().values.size() == 1);
    CHECK(owners.observer().values[0].get() == address);

    // A value that may not be moved is copied for a hook that takes it.
    struct Texts {
        std::vector<std::string> values;
        void on_dropped(std::string&& value) { values.push_back(std::move(value)); }
    };
    Queue texts{Deque<std::string>{}, DropNewest{}, {.limit = 1}, Texts{}};
    std::string text = "a text that is too long to be kept within the object itself";
    const std::string copy = text;
    CHECK_FALSE(texts.push(copy));
    CHECK_FALSE(texts.push(copy));
    CHECK_FALSE(texts.push(text));
    CHECK(texts.observer().values == std::vector{copy, copy});
    CHECK(text == copy);
}

TEST_CASE("DropNewest does not drop the value that is being executed",
          "[queue][drop_newest][unit]") {
    Queue queue{Deque<int>{}, DropNewest{}, {.limit = 1}, QueueCounters{}};
    CHECK_FALSE(queue.push(1));
    CHECK(queue.drain([&](int) { CHECK_FALSE(queue.push(2)); }).drained == 1);
    CHECK(queue.empty());
    CHECK(queue.observer().dropped == 1);
}

TEST_CASE("DropNewest does not hide a storage's own rejection, or a suspended queue",
          "[queue][drop_newest][fault]") {
    sim::Disk disk;
    auto journal = Journal<sim::Disk>::open(disk, "q", {.record_bytes_max = 8});
    REQUIRE(journal);
    struct Views {
        std::string observed;
        void on_dropped(BytesView bytes) { observed += as_text(bytes); }
    };
    Queue queue{std::move(journal).value(), DropNewest{}, {.limit = 1}, Views{}};
    CHECK(queue.push(as_bytes("far too long")) == QueueErrc::too_large);
    CHECK_FALSE(queue.push(as_bytes("first")));
    CHECK_FALSE(queue.push(as_bytes("second")));
    CHECK(queue.observer().observed == "second");
    queue.suspend();
    CHECK(queue.push(as_bytes("third")) == QueueErrc::queue_suspended);
    CHECK(queue.observer().observed == "second");
    CHECK(queue.size() == 1);
}

TEST_CASE("DropNewest passes a dropped value in its stored form",
          "[queue][drop_newest][regression]") {
    struct Lost {
        std::vector<std::string>* texts;
        void on_dropped(const Bytes& body) { texts->emplace_back(as_text(body)); }
    };
    std::vector<std::string> texts;
    sim::Disk disk;
    auto journal = Journal<sim::Disk>::open(
        disk, "q", {.segment_bytes = 4096, .record_bytes_max = 512, .seed = Seed{1}});
    REQUIRE(journal);
    Queue queue{std::move(*journal), DropNewest{}, {.limit = 1}, Lost{&texts}};
    CHECK_FALSE(queue.push(as_bytes("kept")));
    CHECK_FALSE(queue.push(as_bytes("dropped")));
    CHECK(texts == std::vector<std::string>{"dropped"});
}
