// SPDX-License-Identifier: MIT
// Goal: poll() runs the due machines, never waits, and returns when to call it again. Method: a
// clock that the test moves, machines that count their turns, threads that post and wake.
#include <belay/drive/manual_loop.hpp>

#include <optional>
#include <stdexcept>
#include <thread>
#include <vector>

#include <belay/core/clocks.hpp>

#include "support/catch.hpp"
#include "support/drive/ticker.hpp"
#include "support/shorthand.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::at;
using belay_test::Ticker;

namespace {

static_assert(DriverLike<ManualLoop<>> && DriverLike<ManualLoop<ManualClock::View>>);

}  // namespace

TEST_CASE("poll() runs the due machines and returns when to call it again",
          "[drive][manual_loop][unit]") {
    ManualClock clock{at(1h)};
    ManualLoop loop{clock.view()};
    CHECK(loop.poll() == never);
    Ticker a, b;
    b.every = 3s;
    loop.attach(a);
    loop.attach(b);
    CHECK(a.turns == 0);
    CHECK(loop.poll() == at(1h + 1s));
    CHECK(a.turns == 1);
    CHECK(b.turns == 1);
    CHECK(loop.poll() == at(1h + 1s));
    CHECK(a.turns == 1);
    clock.advance(1h);
    CHECK(loop.poll() == at(2h + 1s));
    CHECK(a.turns == 2);
    CHECK(b.turns == 2);
    a.due = never;
    a.waker.touch();
    CHECK(loop.poll() == at(2h + 3s));
    bool called = false;
    loop.after(1s, [&] { called = true; });
    CHECK(loop.poll() == at(2h + 1s));
    clock.advance(1s);
    loop.poll();
    CHECK(called);
    CHECK(loop.now() == at(2h + 1s));
}

TEST_CASE("poll() returns a past time when a machine is already due",
          "[drive][manual_loop][unit]") {
    ManualClock clock{at(1h)};
    ManualLoop loop{clock.view()};
    Ticker busy;
    busy.every = 0s;
    loop.attach(busy);
    // A machine that is always due runs once in each poll, and does not delay a frame.
    CHECK(loop.poll() <= clock.now());
    CHECK(loop.poll() <= clock.now());
    CHECK(busy.turns == 2);

    ManualLoop posts{clock.view()};
    int ran = 0;
    posts.post([&] {
        ++ran;
        posts.post([&] { ++ran; });
    });
    CHECK(posts.poll() == always);
    CHECK(ran == 1);
    CHECK(posts.poll() == never);
    CHECK(ran == 2);
}

TEST_CASE("Wakes and posts of other threads are handled at the next poll",
          "[drive][manual_loop][unit]") {
    ManualLoop loop;
    Ticker idle;
    idle.every = forever;
    loop.attach(idle);
    CHECK(loop.poll() == never);
    std::thread::id home;
    std::thread other{[&, wake = idle.waker.handle()] {
        wake.wake();
        loop.post([&] {
            home = std::this_thread::get_id();
            idle.due = always;
        });
    }};
    other.join();
    CHECK(loop.poll() == never);
    CHECK(home == std::this_thread::get_id());
    CHECK(idle.turns == 2);
}

TEST_CASE("A poll continues after a machine's exception, and machines may outlive the loop",
          "[drive][manual_loop][fault]") {
    ManualClock clock{at(1h)};
    std::optional<ManualLoop<ManualClock::View>> loop{std::in_place, clock.view()};
    Ticker bad, good;
    bad.throws = true;
    loop->attach(bad);
    loop->attach(good);
    CHECK_THROWS_AS(loop->poll(), std::runtime_error);
    CHECK(loop->poll() == at(1h + 1s));
    CHECK(good.turns == 1);
    loop.reset();
    good.waker.touch();
    good.waker.handle().wake();
    CHECK(good.waker.now() == always);
}
