// SPDX-License-Identifier: MIT
// Goal: an EventRing behaves like std::deque, keeps its memory, destroys its values, and is
// unchanged after bad_alloc. Method: a deque as the model.
#include <belay/core/detail/memory.hpp>

#include <deque>
#include <memory>

#include "support/aborts.hpp"
#include "support/catch.hpp"

using namespace belay;

TEST_CASE("EventRing agrees with std::deque", "[core][event_ring][property]") {
    CHECK(rc::check([](const std::vector<std::uint8_t>& script) {
        belay::detail::EventRing<std::unique_ptr<int>> ring;
        belay::detail::EventRing<std::unique_ptr<int>> other;
        std::deque<int> model;
        int next = 0;
        for (const std::uint8_t op : script) {
            if (op % 16 == 0) {
                ring.clear();
                model.clear();
            } else if (op % 16 == 1) {
                ring.swap(other);
                ring.swap(other);
            } else if (op % 16 < 10) {
                ring.push(std::make_unique<int>(next));
                model.push_back(next++);
            } else if (!model.empty()) {
                RC_ASSERT(*ring.pop() == model.front());
                model.pop_front();
            }
            RC_ASSERT(ring.size() == model.size());
            RC_ASSERT(ring.empty() == model.empty());
            for (std::size_t i = 0; i < model.size(); ++i) RC_ASSERT(*ring[i] == model[i]);
        }
    }));
}

TEST_CASE("EventRing keeps the order when it grows while its values wrap around",
          "[core][event_ring][unit]") {
    belay::detail::EventRing<int> ring;
    for (int i = 0; i < 12; ++i) ring.push(int{i});
    for (int i = 0; i < 10; ++i) CHECK(ring.pop() == i);
    for (int i = 12; i < 60; ++i) ring.push(int{i});
    for (int i = 10; i < 60; ++i) REQUIRE(ring.pop() == i);
    CHECK(ring.empty());
}

TEST_CASE("EventRing destroys the values that it still holds", "[core][event_ring][unit]") {
    const auto counted = std::make_shared<int>(1);
    {
        belay::detail::EventRing<std::shared_ptr<int>> ring;
        for (int i = 0; i < 40; ++i) ring.push(std::shared_ptr<int>{counted});
        static_cast<void>(ring.pop());
        CHECK(counted.use_count() == 40);
    }
    CHECK(counted.use_count() == 1);
}

TEST_CASE("EventRing::pop of an empty ring violates an invariant", "[core][event_ring][unit]") {
    CHECK(belay_test::aborts_with([] {
              static_cast<void>(belay::detail::EventRing<int>{}.pop());
          }).find("EventRing::pop: the ring must not be empty") != std::string::npos);
}
