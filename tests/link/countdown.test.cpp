// SPDX-License-Identifier: MIT
// Goal: Countdown reports the time until the next attempt, at most once per step, and does not
// wake its driver while it is idle. Method: transitions and time set by hand.
#include <belay/link/countdown.hpp>

#include <vector>

#include <belay/core/tee.hpp>
#include <belay/drive/loop.hpp>

#include "support/aborts.hpp"
#include "support/link/link_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;
using belay_test::FakeTransport;
using belay_test::TransportState;

namespace {

struct Shown {
    std::vector<Duration> left;
    std::vector<Instant> at;
    Instant now = belay_test::at(0s);
};
struct ShownWaits {
    Shown* shown;
    void operator()(Duration left) {
        shown->left.push_back(left);
        shown->at.push_back(shown->now);
    }
};

/// A countdown whose waits are set by hand, and which is advanced only at its deadline.
struct Watch {
    Shown shown;
    Countdown<ShownWaits> countdown{1s, ShownWaits{&shown}};

    Watch() { countdown.attach(Waker{}); }
    void wait(Duration now, Duration until, LinkState state = LinkState::cooldown) {
        run(now);
        Transition t;
        t.to.state = state;
        t.to.since = at(now);
        t.to.retry_at = at(until);
        countdown.on_state(t);
    }
    void becomes(Duration now, LinkState state) {
        run(now);
        Transition t;
        t.to.state = state;
        t.to.since = at(now);
        countdown.on_state(t);
    }
    void run(Duration until) {
        while (countdown.deadline() <= at(until)) {
            if (shown.now < countdown.deadline()) shown.now = countdown.deadline();
            countdown.advance(shown.now);
        }
        shown.now = at(until);
    }
};

}  // namespace

TEST_CASE("Countdown shows the rest of a wait in whole steps, and its end",
          "[link][countdown][unit]") {
    Watch w;
    CHECK(w.countdown.deadline() == never);
    w.wait(0s, 5300ms, GENERATE(LinkState::cooldown, LinkState::suspended));
    w.becomes(5300ms, LinkState::connecting);
    CHECK(w.shown.left == std::vector<Duration>{5300ms, 4s, 3s, 2s, 1s, 0s});
    CHECK(w.countdown.deadline() == never);
    w.becomes(5400ms, LinkState::connected);
    CHECK(w.shown.left.size() == 6);
}

TEST_CASE("Countdown follows a wait that gets shorter, or longer", "[link][countdown][unit]") {
    Watch w;
    w.wait(0s, 100s);
    w.wait(1500ms, 3s);
    w.run(3s);
    CHECK(w.shown.left == std::vector<Duration>{100s, 99s, 1s});
    w.wait(3s, 5s);
    w.becomes(4500ms, LinkState::offline);
    CHECK(w.shown.left == std::vector<Duration>{100s, 99s, 1s, 2s, 1s, 0s});
}

TEST_CASE("Countdown shows at most one value per step, however fast the waits follow",
          "[link][countdown][unit]") {
    Watch w;
    for (int i = 0; i < 500; ++i) {
        w.wait(20ms * i, 20ms * i + 10ms);
        w.becomes(20ms * i + 10ms, LinkState::connecting);
    }
    Instant last = always;
    std::size_t shown = 0;
    for (std::size_t i = 0; i < w.shown.left.size(); ++i) {
        if (w.shown.left[i] == 0s) continue;
        ++shown;
        CHECK((last == always || elapsed(last, w.shown.at[i]) >= 1s));
        last = w.shown.at[i];
    }
    CHECK(shown == 10);
}

TEST_CASE("Countdown with a late driver shows the time left at that moment",
          "[link][countdown][unit]") {
    Watch w;
    w.wait(0s, 10s);
    w.countdown.advance(at(0s));
    w.countdown.advance(at(7500ms));
    CHECK(w.shown.left == std::vector<Duration>{10s, 2500ms});
    CHECK(w.countdown.deadline() == at(9s));
    w.countdown.advance(at(1h));
    CHECK(w.countdown.deadline() == never);
    CHECK(w.shown.left.size() == 2);
}

TEST_CASE("Countdown shows the waits of a supervisor on the same loop", "[link][countdown][unit]") {
    TransportState transport;
    Notes notes;
    Shown shown;
    Loop loop;
    Countdown countdown{1h, ShownWaits{&shown}};
    loop.attach(countdown);
    Supervisor link{
        FakeTransport<>{transport}, doubling(), {}, Tee{std::ref(countdown), std::ref(notes)}};
    loop.attach(link);
    link.start();
    loop.run_until([&] { return transport.dials == 1; });
    transport.link.closed();
    CHECK(loop.run_until([&] { return !shown.left.empty(); }, 10s));
    CHECK(shown.left.front() > 0s);
    CHECK(shown.left.front() <= 1s);
    link.stop();
    CHECK(shown.left.back() == 0s);
}

TEST_CASE("Countdown aborts on a step of 0, and when it is not attached",
          "[link][countdown][unit]") {
    Shown shown;
    CHECK(aborts_with([&] {
              Countdown{0s, ShownWaits{&shown}};
          }).find("Countdown: every must be") != std::string::npos);
    CHECK(aborts_with([&] {
              Countdown single{1s, ShownWaits{&shown}};
              single.on_state(Transition{});
          }).find("Countdown: attach it") != std::string::npos);
}
