// SPDX-License-Identifier: MIT
// Goal: check::driver detects each mistake of a driver, and accepts belay's own drivers. Method:
// a small driver with one planted mistake each.
#include <belay/drive/driver_check.hpp>

#include <functional>
#include <memory>
#include <string>

#include <belay/core/clocks.hpp>
#include <belay/drive/loop.hpp>
#include <belay/drive/manual_loop.hpp>
#include <belay/drive/on_event_loop.hpp>
#include <belay/posix/loop.hpp>
#include <belay/sim.hpp>

#include "support/catch.hpp"
#include "support/drive/broken_driver.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::DriverMistake;

namespace {

template <class T>
std::string verdict_on() {
    const auto broken = check::driver([] { return std::make_unique<T>(); });
    return broken ? to_string(*broken) : "right";
}

template <class L>
struct LoopRig {
    L driver;
    void run_once() {
        static_cast<void>(driver.run_until([] { return false; }, 1ms));
    }
};
struct PolledRig {
    ManualClock clock{Instant{1h}};
    ManualLoop<ManualClock::View> driver{clock.view()};
    void run_once() {
        driver.poll();
        clock.advance(1ms);
    }
};
struct HostRig {
    static constexpr bool is_simulated = true;
    sim::World world{Seed{1}};
    sim::Host& driver = world.host("host", [](sim::Host&) {});
    void run_once() { world.run_for(1ms); }
};
/// An event loop whose work is done only by run_once().
struct NestedRig {
    struct Events {
        void call(std::function<void()> f) {
            const std::lock_guard lock{mutex};
            calls.push_back(std::move(f));
        }
        void call_at(Instant t, std::function<void()> f) {
            when = t;
            timer = std::move(f);
        }
        [[nodiscard]] Instant now() const noexcept { return time; }
        std::mutex mutex;
        std::vector<std::function<void()>> calls;
        Instant time{1h};
        Instant when = never;
        std::function<void()> timer;
    } events;
    OnEventLoop<Events> driver{events};
    void run_once() {
        events.time = after(events.time, 1ms);
        std::vector<std::function<void()>> calls;
        {
            const std::lock_guard lock{events.mutex};
            calls.swap(events.calls);
        }
        for (auto& f : calls) f();
        if (events.when > events.time) return;
        events.when = never;
        std::exchange(events.timer, nullptr)();
    }
};
template <DriverMistake mistake>
struct BrokenRig {
    belay_test::BrokenDriver<mistake> driver;
    void run_once() { driver.poll(); }
};

template <DriverMistake mistake>
std::string found() {
    return verdict_on<BrokenRig<mistake>>();
}

}  // namespace

TEST_CASE("check::driver finds no fault in belay's drivers", "[drive][driver_check][unit]") {
    CHECK(verdict_on<LoopRig<Loop<>>>() == "right");
    CHECK(verdict_on<LoopRig<posix::Loop<>>>() == "right");
    CHECK(verdict_on<PolledRig>() == "right");
    CHECK(verdict_on<NestedRig>() == "right");
    CHECK(verdict_on<HostRig>() == "right");
    CHECK(found<DriverMistake::none>() == "right");
}

TEST_CASE("check::driver reports the rule that each planted mistake violates",
          "[drive][driver_check][unit]") {
    using M = DriverMistake;
    using R = check::DriverRule;
    CHECK(found<M::attaches_twice>() == to_string(R::gives_one_waker));
    CHECK(found<M::knows_no_time>() == to_string(R::gives_one_waker));
    CHECK(found<M::one_seed_for_all>() == to_string(R::gives_each_its_own_seed));
    CHECK(found<M::time_goes_back>() == to_string(R::time_never_decreases));
    CHECK(found<M::reports_the_future>() == to_string(R::time_never_decreases));
    CHECK(found<M::forgets_the_first>() == to_string(R::runs_what_is_due));
    CHECK(found<M::reads_deadline_once>() == to_string(R::reads_the_deadline_after_each_turn));
    CHECK(found<M::ignores_touch>() == to_string(R::notices_touch));
    CHECK(found<M::ignores_wake>() == to_string(R::notices_wake));
    CHECK(found<M::clears_wakes_after_reading>() == to_string(R::notices_wake_after_a_reading));
    CHECK(found<M::never_rests>() == to_string(R::lets_machines_rest));
    CHECK(found<M::runs_the_busy_first>() == to_string(R::starves_no_machine));
    CHECK(found<M::posts_at_once>() == to_string(R::posts_run_once_on_the_home_thread));
    CHECK(found<M::loses_posts>() == to_string(R::posts_run_once_on_the_home_thread));
    CHECK(found<M::runs_posts_twice>() == to_string(R::posts_run_once_on_the_home_thread));
    CHECK(found<M::runs_posts_on_a_thread>() == to_string(R::posts_run_once_on_the_home_thread));
    CHECK(found<M::calls_machines_that_left>() == to_string(R::forgets_destroyed_wakers));
    CHECK(found<M::calls_machines_that_left_in_turn>() == to_string(R::forgets_destroyed_wakers));
    CHECK(found<M::keeps_moved_machines>() != "right");
}
