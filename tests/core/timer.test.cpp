// SPDX-License-Identifier: MIT
// Goal: functions are called at their times, in order, once or never. Method: a random history
// compared with a plain list; then each promise alone, by hand and on the drivers.
#include <belay/core/timer.hpp>

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <vector>

#include "support/catch.hpp"
#include "support/seeds.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay::detail::Ref;
using belay::detail::TimerQueue;

static_assert(MachineLike<TimerQueue>);
static_assert(std::is_nothrow_move_constructible_v<Timer>);

TEST_CASE("Timers behave like a sorted list", "[core][timer][property]") {
    belay_test::for_each_seed(
        [](Seed seed) {
            struct Plain {
                Instant due;
                int id;
            };
            Random bits{seed};
            const auto draw = [&](std::uint64_t last) { return uniform_upto(bits, last); };
            auto queue = Ref<TimerQueue>::make();
            std::vector<int> real, wanted;
            std::vector<Timer> timers;
            std::vector<Plain> plain;
            Instant now{};
            for (int i = 0; i < 300; ++i) {
                const Instant soon = now + Duration{static_cast<std::int64_t>(draw(9))};
                const Instant due = draw(4) == 0 ? never : soon;
                if (draw(2) != 0) {
                    timers.push_back(
                        TimerQueue::set(queue, due, [&real, i] { real.push_back(i); }));
                    plain.push_back({due, i});
                } else if (!timers.empty()) {
                    const auto n = static_cast<std::size_t>(draw(timers.size() - 1));
                    const bool waited = timers[n].waits();
                    REQUIRE(timers[n].cancel() == waited);
                    REQUIRE_FALSE(timers[n].waits());
                    timers.erase(timers.begin() + static_cast<std::ptrdiff_t>(n));
                    const bool there = n < plain.size() && plain[n].id >= 0;
                    REQUIRE(there == waited);
                    plain.erase(plain.begin() + static_cast<std::ptrdiff_t>(n));
                }
                if (draw(3) == 0) {
                    now += Duration{static_cast<std::int64_t>(draw(4))};
                    queue->advance(now);
                    std::vector<Plain*> ready;
                    for (Plain& p : plain) {
                        if (p.id >= 0 && p.due <= now) ready.push_back(&p);
                    }
                    std::stable_sort(
                        ready.begin(), ready.end(),
                        [](const Plain* a, const Plain* b) { return a->due < b->due; });
                    for (Plain* const p : ready) wanted.push_back(std::exchange(p->id, -1));
                    REQUIRE(real == wanted);
                }
            }
        },
        300);
}

TEST_CASE("A timer's function may set and cancel timers, including its own",
          "[core][timer][unit]") {
    auto queue = Ref<TimerQueue>::make();
    int calls = 0;
    Timer self, other;
    const auto tick = [&] {
        ++calls;
        CHECK_FALSE(self.waits());
        CHECK_FALSE(self.cancel());
        CHECK(other.cancel());
        self = TimerQueue::set(queue, always, [&calls] { calls += 10; });
    };
    self = TimerQueue::set(queue, Instant{}, tick);
    other = TimerQueue::set(queue, Instant{}, [&] { calls = 1000; });
    queue->advance(Instant{});
    CHECK(calls == 1);  // a timer that a call sets waits for the next turn
    queue->advance(Instant{});
    CHECK(calls == 11);
    CHECK(queue->deadline() == never);
}

TEST_CASE("A timer ends after its call, also when its slot is used again", "[core][timer][unit]") {
    auto queue = Ref<TimerQueue>::make();
    Timer first = TimerQueue::set(queue, Instant{}, [] {});
    const Timer copy = first;
    queue->advance(Instant{});
    bool called = false;
    const Timer second = TimerQueue::set(queue, Instant{}, [&] { called = true; });
    CHECK_FALSE(first.cancel());
    CHECK_FALSE(copy.waits());
    CHECK(second.waits());
    queue->advance(Instant{});
    CHECK(called);
}

TEST_CASE("A timer's exception ends the turn; the other timers are called later",
          "[core][timer][fault]") {
    auto queue = Ref<TimerQueue>::make();
    int calls = 0;
    static_cast<void>(TimerQueue::set(queue, always, [] { throw std::runtime_error{"timer"}; }));
    static_cast<void>(TimerQueue::set(queue, always, [&] { ++calls; }));
    CHECK_THROWS(queue->advance(Instant{}));
    queue->advance(Instant{});
    CHECK(calls == 1);
}

TEST_CASE("Timer handles outlive the queue, which destroys its waiting functions",
          "[core][timer][unit]") {
    auto lifetime = std::make_shared<int>(0);
    Timer timer;
    {
        auto queue = Ref<TimerQueue>::make();
        timer = TimerQueue::set(queue, Instant{1s}, [lifetime] {});
        CHECK(lifetime.use_count() == 2);
        queue->close();
    }
    CHECK(lifetime.use_count() == 1);
    CHECK_FALSE(timer.cancel());
    CHECK_FALSE(Timer{}.waits());
}

TEST_CASE("A function that sets itself for a past time starves no other",
          "[core][timer][unit][fault]") {
    auto queue = Ref<TimerQueue>::make();
    const auto at = [](int i) { return Instant{} + std::chrono::seconds{i}; };
    int again = 0;
    int other = 0;
    struct Again {
        void operator()() const {
            if (++*calls < 100) static_cast<void>(TimerQueue::set(*queue, due, *this));
        }
        Ref<TimerQueue>* queue;
        Instant due;
        int* calls;
    };
    static_cast<void>(TimerQueue::set(queue, at(1), Again{&queue, at(1), &again}));
    static_cast<void>(TimerQueue::set(queue, at(5), [&] { ++other; }));
    queue->advance(at(10));
    queue->advance(at(10));
    CHECK(again == 2);
    CHECK(other == 1);
    for (int i = 0; i < 100; ++i) queue->advance(at(10));
    CHECK(again == 100);
    CHECK(queue->deadline() == never);
}

TEST_CASE("A timer has ended during the call of its function", "[core][timer][unit][fault]") {
    auto queue = Ref<TimerQueue>::make();
    auto lifetime = std::make_shared<int>(0);
    Timer self;
    bool fails = false;
    const auto tick = [&, lifetime] {
        CHECK_FALSE(self.waits());
        CHECK_FALSE(self.cancel());
        self = TimerQueue::set(queue, never, [lifetime] { ++*lifetime; });  // in a slot of its own
        queue->close();
        CHECK(lifetime.use_count() >= 2);
        if (fails) throw std::runtime_error{"timer"};
    };
    for (const bool throws : {false, true, false}) {
        fails = throws;
        self = TimerQueue::set(queue, never, tick);
        const TimerQueue::Entry entry{self};
        REQUIRE(entry.waits());
        if (throws) {
            CHECK_THROWS(queue->call(entry));
        } else {
            queue->call(entry);
        }
        CHECK_FALSE(entry.waits());
        CHECK(lifetime.use_count() == 2);  // the references of `lifetime` and `tick`
    }
    CHECK(*lifetime == 0);
}

TEST_CASE("A function whose copy sets a timer, or throws, does not affect the others",
          "[core][timer][unit][fault]") {
    struct Setting {
        Setting(const Ref<TimerQueue>& of, int& counted) : queue{of}, calls{counted} {}
        Setting(const Setting& other) : queue{other.queue}, calls{other.calls}, fails{other.fails} {
            static_cast<void>(TimerQueue::set(queue, always, [&n = calls] { n += 10; }));
            if (fails) throw std::runtime_error{"copy"};
        }
        void operator()() const { ++calls; }
        const Ref<TimerQueue>& queue;
        int& calls;
        bool fails = false;
    };
    auto queue = Ref<TimerQueue>::make();
    int calls = 0;
    Setting setting{queue, calls};
    const Timer timer = TimerQueue::set(queue, always, setting);
    CHECK(timer.waits());
    setting.fails = true;
    CHECK_THROWS(static_cast<void>(TimerQueue::set(queue, always, setting)));
    CHECK(timer.waits());
    queue->advance(Instant{});
    CHECK(calls == 21);
    CHECK(queue->deadline() == never);
}
