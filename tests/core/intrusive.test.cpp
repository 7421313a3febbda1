// SPDX-License-Identifier: MIT
// Goal: the last reference deletes, once. Copies, moves and conversions to raw pointers keep the
// count.
#include <belay/core/detail/memory.hpp>

#include <thread>
#include <vector>

#include "support/catch.hpp"

using namespace belay;

namespace {

struct Thing : belay::detail::Counted {
    Thing(int& d, int v) : deaths{d}, value{v} {}
    ~Thing() { ++deaths; }
    int& deaths;
    int value;
};

static_assert(sizeof(belay::detail::Ref<Thing>) == sizeof(void*));
static_assert(std::is_nothrow_copy_constructible_v<belay::detail::Ref<Thing>> &&
              std::is_nothrow_move_constructible_v<belay::detail::Ref<Thing>>);

}  // namespace

TEST_CASE("Ref deletes with the last reference, once", "[core][intrusive][unit]") {
    int deaths = 0;
    {
        belay::detail::Ref<Thing> a = belay::detail::Ref<Thing>::make(deaths, 5);
        CHECK(a->value == 5);
        belay::detail::Ref<Thing> b = a;
        a.reset();
        CHECK_FALSE(a);
        CHECK(deaths == 0);
        belay::detail::Ref<Thing> c = std::move(b);
        CHECK_FALSE(b);
        b = c;
        c = belay::detail::Ref<Thing>{};
        CHECK(b.get() != nullptr);
        belay::detail::Ref<Thing>& self = b;
        b = self;
        CHECK((*b).value == 5);
        CHECK(deaths == 0);
    }
    CHECK(deaths == 1);
}

TEST_CASE("Ref keeps its count through a raw pointer", "[core][intrusive][unit]") {
    int deaths = 0;
    Thing* const raw = belay::detail::Ref<Thing>::make(deaths, 1).release();
    CHECK(deaths == 0);
    {
        const belay::detail::Ref<Thing> extra = belay::detail::Ref<Thing>::share(raw);
        CHECK(extra->value == 1);
    }
    CHECK(deaths == 0);
    { const belay::detail::Ref<Thing> back = belay::detail::Ref<Thing>::adopt(raw); }
    CHECK(deaths == 1);
    belay::detail::Ref<Thing> empty;
    empty.reset();
    CHECK_FALSE(empty);
}

TEST_CASE("Ref counts from many threads", "[core][intrusive][fault]") {
    int deaths = 0;
    {
        const belay::detail::Ref<Thing> shared = belay::detail::Ref<Thing>::make(deaths, 3);
        std::vector<std::thread> threads;
        for (int t = 0; t < 4; ++t) {
            threads.emplace_back([shared] {
                for (int i = 0; i < 10000; ++i) {
                    belay::detail::Ref<Thing> copy = shared;
                    const belay::detail::Ref<Thing> other = std::move(copy);
                    if (other->value != 3) std::abort();
                }
            });
        }
        for (std::thread& t : threads) t.join();
        CHECK(deaths == 0);
    }
    CHECK(deaths == 1);
}

TEST_CASE("IntrusiveList keeps the order of arrival when elements leave",
          "[core][intrusive][unit]") {
    struct Element {
        Element* previous = nullptr;
        Element* next = nullptr;
    };
    Element a;
    Element b;
    Element c;
    belay::detail::IntrusiveList<Element> list;
    CHECK(list.front() == nullptr);
    list.push(a);
    list.push(b);
    list.push(c);
    list.remove(b);
    CHECK(list.front() == &a);
    CHECK(a.next == &c);
    CHECK(c.previous == &a);
    list.remove(a);
    CHECK(list.front() == &c);
    CHECK(c.previous == nullptr);
    list.push(a);
    CHECK(c.next == &a);
    list.remove(a);
    list.remove(c);
    CHECK(list.front() == nullptr);
    list.push(b);
    CHECK(list.front() == &b);
    CHECK(b.next == nullptr);
}
