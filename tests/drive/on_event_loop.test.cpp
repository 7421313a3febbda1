// SPDX-License-Identifier: MIT
// Goal: machines run in an existing event loop. Method: the loop of docs/how-to/event-loops.md, over poll(2) and
// as on the page; then a loop whose time and calls the test controls.
#include <belay/drive/on_event_loop.hpp>

#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <belay/drive/loop.hpp>
#include <belay/posix/loop.hpp>
#include <belay/sim.hpp>

#include "support/catch.hpp"
#include "support/drive/ticker.hpp"
#include "support/shorthand.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::at;
using belay_test::Ticker;
using belay_test::wake_beyond_the_end;

namespace page {

// The loop of docs/how-to/event-loops.md.
class PollLoop {
public:
    PollLoop() { REQUIRE(::pipe(wakeup_pipe_) == 0); }
    ~PollLoop() {
        for (const int fd : wakeup_pipe_) ::close(fd);
    }
    void call(std::function<void()> f) {
        const std::lock_guard lock{mutex_};
        calls_.push_back(std::move(f));
        if (calls_.size() == 1) rung_ = ::write(wakeup_pipe_[1], "", 1) == 1;
    }
    void call_at(belay::Instant when, std::function<void()> f) {
        when_ = when;
        timer_ = std::move(f);
    }
    belay::Instant now() const noexcept { return std::chrono::steady_clock::now(); }

    void run_once() {
        const auto wait = belay::elapsed(now(), when_).count() / 1'000'000 + 1;
        pollfd readable{wakeup_pipe_[0], POLLIN, 0};
        ::poll(&readable, 1, static_cast<int>(wait < 60'000 ? wait : 60'000));
        std::vector<std::function<void()>> calls;
        {
            const std::lock_guard lock{mutex_};
            char c = 0;
            if (!calls_.empty() && rung_) rung_ = ::read(wakeup_pipe_[0], &c, 1) != 1;
            calls.swap(calls_);
        }
        for (auto& f : calls) f();
        if (when_ <= now()) {
            when_ = belay::never;
            std::exchange(timer_, nullptr)();  // the function may request another
        }
    }

private:
    int wakeup_pipe_[2];
    std::mutex mutex_;
    std::vector<std::function<void()>> calls_;
    bool rung_ = false;
    belay::Instant when_ = belay::never;
    std::function<void()> timer_;
};

}  // namespace page

namespace {

static_assert(DriverLike<Loop<>> && DriverLike<posix::Loop<>> && DriverLike<sim::Host>);
static_assert(EventLoopLike<page::PollLoop> && DriverLike<OnEventLoop<page::PollLoop>>);
static_assert(!DriverLike<page::PollLoop> && !EventLoopLike<Loop<>>);
static_assert(explain::driver_like<Loop<>>() && explain::event_loop_like<page::PollLoop>());

/// A loop in which only the test calls functions.
struct ScriptedLoop {
    void call(std::function<void()> f) { calls.push_back(std::move(f)); }
    void call_at(Instant t, std::function<void()> f) {
        ++timers;
        when = t;
        timer = std::move(f);
    }
    [[nodiscard]] Instant now() const noexcept { return time; }
    void run() {
        for (int i = 0; i < 100 && !calls.empty(); ++i) {
            auto ready = std::exchange(calls, {});
            for (auto& f : ready) f();
        }
    }
    void pass(Instant t) {
        time = t;
        if (when <= time) std::exchange(timer, nullptr)();
        run();
    }
    Instant time = at(0s);
    int timers = 0;
    Instant when = never;
    std::function<void()> timer;
    std::vector<std::function<void()>> calls;
};

}  // namespace

TEST_CASE("OnEventLoop over poll(2) runs machines, timers, and posts from another thread",
          "[drive][on_event_loop][unit]") {
    page::PollLoop loop;
    OnEventLoop driver{loop};
    Ticker ticker;
    ticker.every = 1ms;
    driver.attach(ticker);
    bool timed = false;
    driver.after(3ms, [&] { timed = true; });
    std::thread::id home;
    std::thread other{[&] { driver.post([&] { home = std::this_thread::get_id(); }); }};
    while (ticker.turns < 5 || !timed || home == std::thread::id{}) loop.run_once();
    other.join();
    CHECK(home == std::this_thread::get_id());
}

TEST_CASE("The poll loop of the page lets a called function request its next call",
          "[drive][on_event_loop][regression]") {
    page::PollLoop loop;
    std::string reported;
    int left = 3;
    std::function<void()> again = [&, word = std::string(40, 'x')] {
        if (--left > 0) loop.call_at(loop.now(), again);
        reported += word;  // the function still exists, although the loop has another timer now
    };
    loop.call_at(loop.now(), again);
    while (left > 0) loop.run_once();
    CHECK(reported == std::string(120, 'x'));
}

TEST_CASE("OnEventLoop requests one call, and a timer for the first deadline",
          "[drive][on_event_loop][unit]") {
    ScriptedLoop loop;
    OnEventLoop driver{loop};
    Ticker a, b;
    b.every = 3s;
    driver.attach(a);
    driver.attach(b);
    CHECK(loop.calls.size() == 1);
    loop.run();
    CHECK(a.turns == 1);
    CHECK(loop.when == at(1s));
    loop.pass(at(1s));
    CHECK(a.turns == 2);
    CHECK(b.turns == 1);
    a.due = at(10s);
    a.waker.touch();
    a.waker.handle().wake();
    CHECK(loop.calls.size() == 1);
    loop.run();
    CHECK(loop.when == at(2s));  // too early now, and unchanged
    CHECK(a.waker.now() == at(1s));
    CHECK(a.waker.seed().value != b.waker.seed().value);
    bool called = false;
    Timer timer = driver.at(at(2s), [&] { called = true; });
    loop.run();
    CHECK(loop.when == at(2s));
    timer.cancel();
    loop.pass(at(2s));
    CHECK_FALSE(called);
    CHECK(loop.when == at(3s));
}

TEST_CASE("OnEventLoop moves the loop's timer for an earlier deadline, and for none",
          "[drive][on_event_loop][unit]") {
    ScriptedLoop loop;
    OnEventLoop driver{loop};
    Ticker ticker;
    ticker.every = 10s;
    driver.attach(ticker);
    loop.run();
    const auto moves = [&](Instant due) {
        ticker.due = due;
        ticker.waker.touch();
        loop.run();
    };
    REQUIRE(loop.timers == 1);
    // The deadline of a heartbeat moves like this with every message.
    for (int i = 1; i <= 100; ++i) moves(at(10s + i * 1ms));
    CHECK(loop.timers == 1);
    loop.pass(at(10s));
    CHECK(ticker.turns == 1);
    CHECK(loop.when == at(10s + 100ms));
    moves(at(10s + 50ms));
    CHECK(loop.when == at(10s + 50ms));
    loop.pass(at(10s + 49ms));
    CHECK(ticker.turns == 1);
    loop.pass(at(10s + 50ms));
    CHECK(ticker.turns == 2);
    // No call is made without work.
    moves(never);
    CHECK(loop.when == never);
    const int timers = loop.timers;
    moves(never);
    CHECK(loop.timers == timers);
    moves(at(30s));
    CHECK(loop.when == at(30s));
}

TEST_CASE("OnEventLoop requests the timer again when the loop calls too early",
          "[drive][on_event_loop][fault]") {
    ScriptedLoop loop;
    OnEventLoop driver{loop};
    Ticker ticker;
    driver.attach(ticker);
    loop.run();
    loop.time = at(999ms);
    std::exchange(loop.timer, nullptr)();  // such as a loop that counts whole milliseconds
    CHECK(ticker.turns == 1);
    REQUIRE(loop.timer);
    loop.pass(at(1s));
    CHECK(ticker.turns == 2);
}

TEST_CASE("OnEventLoop continues after an exception of a machine",
          "[drive][on_event_loop][fault]") {
    ScriptedLoop loop;
    OnEventLoop driver{loop};
    Ticker bad, good;
    bad.throws = true;
    driver.attach(bad);
    driver.attach(good);
    CHECK_THROWS_AS(loop.run(), std::runtime_error);
    loop.run();
    CHECK(good.turns == 1);
    CHECK(loop.when == at(1s));
}

TEST_CASE("OnEventLoop may be destroyed before its calls arrive, and before its machines",
          "[drive][on_event_loop][fault]") {
    ScriptedLoop loop;
    Ticker ticker;
    std::optional<OnEventLoop<ScriptedLoop>> driver{std::in_place, loop};
    driver->attach(ticker);
    loop.run();
    ticker.waker.touch();
    driver.reset();
    loop.run();
    loop.pass(at(5s));
    ticker.waker.touch();
    ticker.waker.handle().wake();
    CHECK(loop.calls.empty());
    CHECK(ticker.turns == 1);
    CHECK(ticker.waker.now() == always);
}

TEST_CASE("OnEventLoop may be destroyed in a machine's turn", "[drive][on_event_loop][fault]") {
    struct Last {
        void attach(Waker w) { waker = std::move(w); }
        [[nodiscard]] Instant deadline() const noexcept { return always; }
        void advance(Instant) { driver->reset(); }
        std::optional<OnEventLoop<ScriptedLoop>>* driver;
        Waker waker{};
    };
    ScriptedLoop loop;
    std::optional<OnEventLoop<ScriptedLoop>> driver{std::in_place, loop};
    Last last{&driver};
    driver->attach(last);
    loop.run();
    CHECK_FALSE(driver.has_value());
    CHECK(loop.calls.empty());
}

TEST_CASE("OnEventLoop may be destroyed in a timer's call", "[drive][on_event_loop][fault]") {
    ScriptedLoop loop;
    std::optional<OnEventLoop<ScriptedLoop>> driver{std::in_place, loop};
    int calls = 0;
    driver->at(at(1s), [&] {
        ++calls;
        driver.reset();
    });
    driver->at(at(1s), [&] { ++calls; });
    loop.run();
    loop.pass(at(5s));
    CHECK_FALSE(driver.has_value());
    CHECK(calls == 1);
}

TEST_CASE("OnEventLoop's machines are woken from threads that outlive it",
          "[drive][on_event_loop][fault]") {
    page::PollLoop loop;
    std::optional<OnEventLoop<page::PollLoop>> driver{std::in_place, loop};
    Ticker ticker;
    ticker.every = 1h;
    driver->attach(ticker);
    wake_beyond_the_end(
        ticker, [&] { loop.run_once(); }, [&] { driver.reset(); });
    CHECK(ticker.turns == 1);
}
