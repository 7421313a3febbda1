// SPDX-License-Identifier: MIT
// Goal: both loops keep the contract of a driver, for any machines, posts and other threads.
// Method: a manual clock; the same cases for Loop and posix::Loop, which share their core.
#include <belay/drive/loop.hpp>

#include <atomic>
#include <functional>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <belay/core/clocks.hpp>
#include <belay/posix/loop.hpp>

#include "support/catch.hpp"
#include "support/queue/poll_once.hpp"
#include "support/shorthand.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::at;
using belay_test::poll_once;

namespace {

/// A machine that runs an action of the test; without one, its deadline passes once.
struct ScriptedMachine {
    explicit ScriptedMachine(Instant d = never) : due{d} {}
    void attach(Waker w) { waker = std::move(w); }
    Instant deadline() const noexcept {
        ++reads;
        return due.load();
    }
    void advance(Instant now) {
        ++turns;
        last = now;
        if (now >= due.load()) due = never;
        if (action) action();
    }

    std::atomic<Instant> due;
    Waker waker;
    std::function<void()> action;
    int turns = 0;
    mutable int reads = 0;
    Instant last = always;
};

struct Clocked {
    ManualClock clock{at(1000s)};
};

}  // namespace

#define BOTH_LOOPS Loop<ManualClock::View>, posix::Loop<ManualClock::View>

TEMPLATE_TEST_CASE("Loop advances machines that are due, the earliest first", "[drive][loop][unit]",
                   BOTH_LOOPS) {
    Clocked c;
    TestType loop{c.clock.view()};
    std::vector<int> order;
    ScriptedMachine late{at(1003s)}, early{at(1001s)}, middle{at(1002s)}, idle;
    late.action = [&] { order.push_back(3); };
    early.action = [&] { order.push_back(1); };
    middle.action = [&] { order.push_back(2); };
    for (ScriptedMachine* p : {&late, &early, &middle, &idle}) loop.attach(*p);
    poll_once(loop);
    CHECK(order.empty());
    c.clock.set(at(1001s));
    poll_once(loop);
    CHECK(order == std::vector{1});
    c.clock.set(at(1010s));
    poll_once(loop);
    CHECK(order == std::vector{1, 2, 3});
    CHECK(late.last == at(1010s));
    CHECK(idle.turns == 0);
}

TEMPLATE_TEST_CASE("Loop reads a deadline after attach, turn, touch and wake, and at no other time",
                   "[drive][loop][unit]", BOTH_LOOPS) {
    Clocked c;
    TestType loop{c.clock.view()};
    ScriptedMachine p;
    loop.attach(p);
    poll_once(loop);
    CHECK(p.reads == 1);
    poll_once(loop);
    CHECK(p.reads == 1);
    p.due = at(1000s);
    poll_once(loop);
    CHECK(p.turns == 0);  // no call has reported that the deadline moved
    p.waker.touch();
    p.waker.touch();
    poll_once(loop);
    CHECK(p.turns == 1);
    CHECK(p.reads == 3);
    p.due = at(1000s);
    p.waker.handle().wake();
    p.waker.handle().wake();
    poll_once(loop);
    CHECK(p.turns == 2);
    CHECK(p.reads == 5);
}

TEMPLATE_TEST_CASE("Loop runs a machine that is always due once a round, and starves no other",
                   "[drive][loop][unit]", BOTH_LOOPS) {
    Clocked c;
    TestType loop{c.clock.view()};
    ScriptedMachine greedy{always}, other{at(1000s)};
    greedy.action = [&] { greedy.due = always; };
    bool posted = false;
    loop.attach(greedy);
    loop.attach(other);
    loop.post([&] { posted = true; });
    poll_once(loop);
    CHECK(greedy.turns == 1);
    CHECK(other.turns == 1);
    CHECK(posted);
    poll_once(loop);
    CHECK(greedy.turns == 2);
}

TEMPLATE_TEST_CASE("Loop runs a machine that another one has touched before the next wait",
                   "[drive][loop][unit]", BOTH_LOOPS) {
    Clocked c;
    TestType loop{c.clock.view()};
    ScriptedMachine first{at(1000s)}, second;
    loop.attach(first);
    loop.attach(second);
    first.action = [&] {
        second.due = always;
        second.waker.touch();
    };
    CHECK(loop.run_until([&] { return second.turns == 1; }));
}

TEMPLATE_TEST_CASE("Loop::attach gives every machine its own seed", "[drive][loop][unit]",
                   BOTH_LOOPS) {
    Clocked c;
    std::set<std::uint64_t> seeds;
    for (int i = 0; i < 2; ++i) {
        TestType loop{c.clock.view()};
        ScriptedMachine a, b;
        loop.attach(a);
        loop.attach(b);
        CHECK(a.waker.now() == at(1000s));
        seeds.insert(a.waker.seed().value);
        seeds.insert(b.waker.seed().value);
    }
    CHECK(seeds.size() == 4);
}

TEMPLATE_TEST_CASE("Loop::attach accepts a machine that drops its Waker at once, or throws",
                   "[drive][loop][fault]", BOTH_LOOPS) {
    struct DropsItsWaker : ScriptedMachine {
        using ScriptedMachine::ScriptedMachine;
        void attach(Waker w) {
            const Waker dropped = std::move(w);
            if (throws) throw std::runtime_error{"no"};
        }
        bool throws = false;
    };
    Clocked c;
    TestType loop{c.clock.view()};
    DropsItsWaker fickle{always};
    loop.attach(fickle);
    fickle.throws = true;
    CHECK_THROWS_AS(loop.attach(fickle), std::runtime_error);
    ScriptedMachine steady{always};
    loop.attach(steady);
    poll_once(loop);
    CHECK(fickle.turns == 0);
    CHECK(steady.turns == 1);
}

TEMPLATE_TEST_CASE("Loop and machines may be destroyed in any order", "[drive][loop][fault]",
                   BOTH_LOOPS) {
    Clocked c;
    SECTION("the machine first") {
        TestType loop{c.clock.view()};
        auto p = std::make_unique<ScriptedMachine>(at(1000s));
        loop.attach(*p);
        const belay::driver::WakeHandle handle = p->waker.handle();
        p->waker.touch();
        handle.wake();
        p.reset();
        handle.wake();
        poll_once(loop);
    }
    SECTION("the loop first") {
        ScriptedMachine p{at(1000s)};
        belay::driver::WakeHandle handle;
        {
            TestType loop{c.clock.view()};
            loop.attach(p);
            p.waker.touch();
            p.waker.handle().wake();
            handle = p.waker.handle();
        }
        handle.wake();
        p.waker.touch();
        CHECK(p.waker.now() == always);
        CHECK(p.turns == 0);
    }
    SECTION("in its own turn") {
        TestType loop{c.clock.view()};
        auto p = std::make_unique<ScriptedMachine>(at(1000s));
        loop.attach(*p);
        bool ran = false;
        p->action = [&, keep = std::make_shared<int>(0)] {
            ran = true;
            const auto local = keep;
            p->waker.touch();
            // The action is destroyed with the machine: the code after it uses no part of it.
            auto dying = std::move(p->action);
            p.reset();
        };
        poll_once(loop);
        CHECK(ran);
        poll_once(loop);
    }
    SECTION("in the turn of another that is due, too") {
        TestType loop{c.clock.view()};
        ScriptedMachine killer{at(999s)};
        auto victim = std::make_unique<ScriptedMachine>(at(1000s));
        loop.attach(killer);
        loop.attach(*victim);
        killer.action = [&] {
            victim->waker.touch();
            victim.reset();
        };
        poll_once(loop);
        poll_once(loop);
        CHECK(killer.turns == 1);
    }
}

TEMPLATE_TEST_CASE("Loop drops a machine that is attached to another loop", "[drive][loop][unit]",
                   BOTH_LOOPS) {
    Clocked c;
    TestType one{c.clock.view()}, two{c.clock.view()};
    ScriptedMachine p{at(1000s)};
    one.attach(p);
    two.attach(p);
    poll_once(one);
    CHECK(p.turns == 0);
    poll_once(two);
    CHECK(p.turns == 1);
}

TEMPLATE_TEST_CASE("Loop attaches machines in a turn, and runs them in a later round",
                   "[drive][loop][unit]", BOTH_LOOPS) {
    Clocked c;
    TestType loop{c.clock.view()};
    ScriptedMachine parent{at(1000s)};
    std::vector<std::unique_ptr<ScriptedMachine>> children;
    loop.attach(parent);
    parent.action = [&] {
        for (int i = 0; i < 100; ++i) {
            children.push_back(std::make_unique<ScriptedMachine>(at(1000s)));
            loop.attach(*children.back());
        }
    };
    CHECK(loop.run_until([&] { return children.size() == 100 && children.back()->turns == 1; }));
    for (const auto& child : children) CHECK(child->turns == 1);
}

TEMPLATE_TEST_CASE("Loop::run ends with a machine's exception, and continues when called again",
                   "[drive][loop][fault]", BOTH_LOOPS) {
    Clocked c;
    TestType loop{c.clock.view()};
    ScriptedMachine thrower{at(999s)}, other{at(1000s)};
    loop.attach(thrower);
    loop.attach(other);
    thrower.action = [] { throw std::runtime_error{"user"}; };
    CHECK_THROWS_WITH(loop.run(), "user");
    CHECK(other.turns == 0);
    CHECK(loop.run_until([&] { return other.turns == 1; }));
    CHECK(thrower.turns == 1);
    thrower.due = always;
    thrower.waker.touch();
    CHECK_THROWS_WITH(loop.run(), "user");
    CHECK(thrower.turns == 2);
}

TEMPLATE_TEST_CASE("Loop may be destroyed while an interrupted round is still to be finished",
                   "[drive][loop][fault]", BOTH_LOOPS) {
    Clocked c;
    ScriptedMachine thrower{at(999s)}, a{at(1000s)};
    auto b = std::make_unique<ScriptedMachine>(at(1000s));
    {
        TestType loop{c.clock.view()};
        for (ScriptedMachine* p : {&thrower, &a, b.get()}) loop.attach(*p);
        thrower.action = [] { throw std::runtime_error{"user"}; };
        CHECK_THROWS(loop.run());
        b.reset();
    }
    a.waker.touch();
    CHECK(a.turns == 0);
}

TEMPLATE_TEST_CASE("Loop::post runs functions in order, between turns", "[drive][loop][unit]",
                   BOTH_LOOPS) {
    Clocked c;
    TestType loop{c.clock.view()};
    std::vector<int> order;
    for (int i = 0; i < 3; ++i) {
        loop.post([&order, i, owned = std::make_unique<int>(i)] { order.push_back(i + *owned); });
    }
    loop.post([&] { loop.post([&] { order.push_back(9); }); });
    poll_once(loop);
    CHECK(order == std::vector{0, 2, 4});
    poll_once(loop);
    CHECK(order == std::vector{0, 2, 4, 9});
}

TEMPLATE_TEST_CASE("Loop::post limits the waiting functions, and those that run in one round",
                   "[drive][loop][unit]", BOTH_LOOPS) {
    Clocked c;
    TestType loop{c.clock.view()};
    std::size_t ran = 0;
    for (std::size_t i = 0; i < TestType::posted_max; ++i) {
        REQUIRE(loop.post([&] { ++ran; }) == belay::driver::Post::taken);
    }
    const auto token = std::make_shared<int>(0);
    CHECK(loop.post([&ran, token] { ++ran; }) == belay::driver::Post::full);
    CHECK(token.use_count() == 1);
    ScriptedMachine p{at(1000s)};
    loop.attach(p);
    poll_once(loop);
    CHECK(ran == TestType::posted_per_round_max);
    CHECK(p.turns == 1);
    // Functions that the loop has collected and not run still count.
    for (std::size_t i = 0; i < TestType::posted_per_round_max; ++i) {
        REQUIRE(loop.post([&] { ++ran; }) == belay::driver::Post::taken);
    }
    CHECK(loop.post([&] { ++ran; }) == belay::driver::Post::full);
    const std::size_t all = TestType::posted_max + TestType::posted_per_round_max;
    CHECK(loop.run_until([&] { return ran == all; }));
}

TEMPLATE_TEST_CASE("Loop::post destroys each function, whether it ran, threw or never ran",
                   "[drive][loop][fault]", BOTH_LOOPS) {
    Clocked c;
    const auto token = std::make_shared<int>(0);
    {
        TestType loop{c.clock.view()};
        loop.post([token] {});
        loop.post([token] { throw std::runtime_error{"posted"}; });
        loop.post([token] {});
        CHECK_THROWS_WITH(loop.run(), "posted");
        CHECK(token.use_count() == 2);
        poll_once(loop);
        CHECK(token.use_count() == 1);
        loop.post([token] {});
    }
    CHECK(token.use_count() == 1);
}

TEMPLATE_TEST_CASE("Loop::stop before run makes it return at once, and only once",
                   "[drive][loop][unit]", BOTH_LOOPS) {
    Clocked c;
    TestType loop{c.clock.view()};
    loop.stop();
    loop.run();
    bool ran = false;
    loop.post([&] {
        ran = true;
        loop.stop();
    });
    loop.run();
    CHECK(ran);
    loop.stop();
    CHECK_FALSE(loop.run_until([] { return false; }));
}

TEMPLATE_TEST_CASE("Loop::run_until returns false at its time limit", "[drive][loop][unit]", Loop<>,
                   posix::Loop<>) {
    TestType loop;
    CHECK_FALSE(loop.run_until([] { return false; }, 0s));
    const Instant before = loop.now();
    CHECK_FALSE(loop.run_until([] { return false; }, 2ms));
    CHECK(loop.now() - before >= 2ms);
    CHECK(loop.run_until([] { return true; }, 0s));
}

TEMPLATE_TEST_CASE("Loop waits for the earliest deadline in real time", "[drive][loop][unit]",
                   Loop<>, posix::Loop<>) {
    TestType loop;
    const Instant before = loop.now();
    ScriptedMachine p{before + 3ms}, far{before + 24h};
    loop.attach(p);
    loop.attach(far);
    CHECK(loop.run_until([&] { return p.turns == 1; }));
    CHECK(p.last >= before + 3ms);
    CHECK(far.turns == 0);
}

TEMPLATE_TEST_CASE("Loop accepts posts, wakes and stops from other threads", "[drive][loop][fault]",
                   Loop<>, posix::Loop<>) {
    constexpr int threads = 4;
    constexpr int rounds = 500;
    TestType loop;
    // These are plain ints: only the loop's thread may access them, which the thread sanitizer
    // checks.
    int posts = 0;
    int last = 0;
    struct Counter : ScriptedMachine {
        void advance(Instant) {
            due = never;
            handled += wanted.exchange(0);
        }
        std::atomic<int> wanted{0};
        int handled = 0;
    } counter;
    loop.attach(counter);
    const belay::driver::WakeHandle wake = counter.waker.handle();
    std::vector<std::thread> pool;
    for (int t = 0; t < threads; ++t) {
        pool.emplace_back([&, wake] {
            for (int i = 0; i < rounds; ++i) {
                loop.post([&] { ++posts; });
                counter.wanted.fetch_add(1);
                counter.due = always;
                wake.wake();
            }
            loop.post([&] {
                if (++last == threads) loop.stop();
            });
        });
    }
    loop.run();
    for (std::thread& t : pool) t.join();
    CHECK(loop.run_until([&] { return counter.handled == threads * rounds; }));
    CHECK(posts == threads * rounds);
}

TEMPLATE_TEST_CASE("Loop may be destroyed while other threads still wake its machines",
                   "[drive][loop][fault]", Loop<>, posix::Loop<>) {
    for (int i = 0; i < 20; ++i) {
        std::atomic<bool> over{false};
        auto loop = std::make_unique<TestType>();
        auto p = std::make_unique<ScriptedMachine>();
        loop->attach(*p);
        std::vector<std::thread> pool;
        for (int t = 0; t < 3; ++t) {
            pool.emplace_back([&over, wake = p->waker.handle()] {
                while (!over) wake.wake();
            });
        }
        poll_once(*loop);
        if (i % 2 == 0) {
            loop.reset();
            p.reset();
        } else {
            p.reset();
            loop.reset();
        }
        over = true;
        for (std::thread& t : pool) t.join();
    }
}

TEST_CASE("Loop runs thousands of machines at their own times", "[drive][loop][unit]") {
    ManualClock clock{at(0s)};
    Loop loop{clock.view()};
    std::vector<std::unique_ptr<ScriptedMachine>> all;
    for (int i = 0; i < 5000; ++i) {
        all.push_back(std::make_unique<ScriptedMachine>(at(Duration{(i * 7919) % 5000})));
        loop.attach(*all.back());
    }
    for (int now = 0; now < 5000; now += 100) {
        clock.set(at(Duration{now}));
        poll_once(loop);
        int turns = 0;
        for (const auto& p : all) turns += p->turns;
        REQUIRE(turns == now + 1);
    }
}
