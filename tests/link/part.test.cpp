// SPDX-License-Identifier: MIT
// Goal: a part receives the events that are not its parent's, and a slot constructs in place a
// type that cannot move. Method: small parts.
#include <belay/link/part.hpp>

#include "support/aborts.hpp"
#include "support/catch.hpp"

using namespace belay;
using belay_test::aborts_with;

namespace {

struct ConvertsFromAnything {
    template <class T>
    explicit ConvertsFromAnything(T&&) {
        ++wrong;
    }
    explicit ConvertsFromAnything(int&, int) {}
    int wrong = 0;
};

}  // namespace

TEST_CASE("part::rise does not pass a part's own events to the part inside", "[link][part][unit]") {
    struct Inner {
        int observed = -1;
        bool sift(belay::part::Event<int>& e, Turn&) {
            observed = e.depth;
            return false;
        }
    } inner;
    Random bits{Seed{1}};
    Turn turn{Instant{}, bits};
    belay::part::Event<int> own{.depth = 0}, below{.depth = 2};
    CHECK(part::rise<int>(inner, own, turn));
    CHECK(inner.observed == -1);
    CHECK_FALSE(part::rise<int>(inner, below, turn));
    CHECK(inner.observed == 1);
    CHECK(below.depth == 2);
}

TEST_CASE("Slot constructs in place a type that can be neither copied nor moved",
          "[link][part][unit]") {
    struct Pinned {
        explicit Pinned(int* d) : deaths{d}, self{this} {}
        Pinned(const Pinned&) = delete;
        Pinned& operator=(const Pinned&) = delete;
        ~Pinned() { ++*deaths; }
        int* deaths;
        Pinned* self;
    };
    int deaths = 0;
    {
        belay::part::Slot<Pinned> slot;
        CHECK(slot.get() == nullptr);
        Pinned& p = slot.emplace_from([&] { return Pinned{&deaths}; });
        CHECK(p.self == slot.get());
        CHECK(aborts_with([&] {
                  slot.emplace_from([&] { return Pinned{&deaths}; });
              }).find("Slot::emplace_from: the slot must be empty") != std::string::npos);
        slot.reset();
        slot.reset();
        CHECK(deaths == 1);
        slot.emplace_from([&] { return Pinned{&deaths}; });
    }
    CHECK(deaths == 2);
}

TEST_CASE("Slot does not call a constructor that accepts any argument", "[link][part][unit]") {
    belay::part::Slot<ConvertsFromAnything> slot;
    int i = 0;
    CHECK(slot.emplace_from([&] { return ConvertsFromAnything{i, 1}; }).wrong == 0);
}
