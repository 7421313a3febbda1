// SPDX-License-Identifier: MIT
// Goal: coroutines wait on every driver exactly until the instant or the stop, and can be destroyed
// in a wait. Method: Loop and posix::Loop with a manual clock; a simulated host; another thread.
#include <belay/drive/loop_sleeper.hpp>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/call/retry_task.hpp>
#include <belay/core/clocks.hpp>
#include <belay/drive/loop.hpp>
#include <belay/policy/rules.hpp>
#include <belay/posix/loop.hpp>
#include <belay/sim/world.hpp>

#include "support/catch.hpp"
#include "support/queue/poll_once.hpp"
#include "support/shorthand.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::poll_once;
using belay_test::timed_out;

namespace {

template <class Sleeper, class Stop = NeverStops>
Task<Instant> sleep_until(Sleeper& sleeper, Instant until, Stop stop = {}) {
    co_await sleeper.async_sleep_until(until, stop);
    co_return sleeper.now();
}

}  // namespace

static_assert(AsyncSleeperLike<LoopSleeper<Loop<>>>);
static_assert(AsyncSleeperLike<LoopSleeper<posix::Loop<>>>);
static_assert(AsyncSleeperLike<LoopSleeper<sim::Host>>);

TEST_CASE("Copies of a LoopSleeper draw different bits, and the same ones for the same seed",
          "[drive][loop_sleeper][regression]") {
    const auto draws = [](Seed seed) {
        sim::World world{seed};
        std::vector<std::uint64_t> drawn;
        world.host("host", [&drawn](sim::Host& host) {
            LoopSleeper first{host};
            LoopSleeper copy{first};
            LoopSleeper assigned{host};
            assigned = first;
            for (LoopSleeper<sim::Host>* s : {&first, &copy, &assigned}) {
                drawn.push_back(s->bits()());
            }
            return std::make_unique<int>(0);
        });
        return drawn;
    };
    const std::vector<std::uint64_t> drawn = draws(Seed{1});
    REQUIRE(drawn.size() == 3);
    CHECK(drawn[0] != drawn[1]);
    CHECK(drawn[0] != drawn[2]);
    CHECK(drawn[1] != drawn[2]);
    CHECK(drawn == draws(Seed{1}));
}

TEMPLATE_TEST_CASE("LoopSleeper resumes when it is time, and not before",
                   "[drive][loop_sleeper][unit]", Loop<ManualClock::View>,
                   posix::Loop<ManualClock::View>) {
    ManualClock clock{Instant{} + 1000s};
    TestType loop{clock.view()};
    LoopSleeper<TestType> sleeper{loop};
    auto first = sleep_until(sleeper, Instant{} + 1002s);
    auto second = sleep_until(sleeper, Instant{} + 1001s);
    auto past = sleep_until(sleeper, Instant{} + 999s);
    first.start();
    second.start();
    past.start();
    CHECK(past.done());
    poll_once(loop);
    CHECK_FALSE(second.done());
    clock.advance(1s);
    poll_once(loop);
    CHECK(second.done());
    CHECK_FALSE(first.done());
    clock.advance(1s);
    poll_once(loop);
    REQUIRE(first.done());
    CHECK(first.take() == Instant{} + 1002s);
}

TEMPLATE_TEST_CASE("A wait that is destroyed ends, and the driver removes it",
                   "[drive][loop_sleeper][unit]", Loop<ManualClock::View>,
                   posix::Loop<ManualClock::View>) {
    ManualClock clock{Instant{} + 1000s};
    TestType loop{clock.view()};
    LoopSleeper<TestType> sleeper{loop};
    const StopSource source;
    {
        auto plain = sleep_until(sleeper, Instant{} + 1001s);
        auto stoppable = sleep_until(sleeper, Instant{} + 1001s, source.token());
        plain.start();
        stoppable.start();
        poll_once(loop);
    }
    source.request_stop();
    clock.advance(1h);
    poll_once(loop);

    // One coroutine destroys another that is due in the same round, and the loop does not use it.
    std::unique_ptr<Task<Instant>> victim;
    const auto kill = [&]() -> Task<int> {
        co_await sleeper.async_sleep_until(after(sleeper.now(), 1s));
        victim.reset();
        co_return 1;
    };
    auto killer = kill();
    victim = std::make_unique<Task<Instant>>(sleep_until(sleeper, after(sleeper.now(), 1s)));
    killer.start();
    victim->start();
    clock.advance(1s);
    poll_once(loop);
    CHECK(killer.done());
    CHECK(victim == nullptr);
}

TEST_CASE("A stop from another thread ends a wait on a loop at once",
          "[drive][loop_sleeper][unit]") {
    Loop<> loop;
    LoopSleeper sleeper{loop};
    const StopSource source;
    auto task = sleep_until(sleeper, never, source.token());
    task.start();
    std::thread stopper{[token = source] { token.request_stop(); }};
    CHECK(loop.run_until([&] { return task.done(); }, 5min));
    stopper.join();

    auto late = sleep_until(sleeper, never, source.token());
    late.start();
    CHECK(late.done());
}

TEST_CASE("A token that cannot wake is polled", "[drive][loop_sleeper][unit]") {
    struct Flag {
        const bool* set;
        bool stop_requested() const noexcept { return *set; }
    };
    sim::World world{Seed{1}};
    sim::Host& host = world.host("host");
    LoopSleeper sleeper{host};
    bool stop = false;
    auto task = sleep_until(sleeper, Instant{} + 1h, Flag{&stop});
    task.start();
    world.at(123ms, [&] { stop = true; });
    world.run_for(1s);
    REQUIRE(task.done());
    CHECK(task.take() == Instant{} + 130ms);
    stop = false;
    auto patient = sleep_until(sleeper, Instant{} + 5s, Flag{&stop});
    patient.start();
    world.run_for(1h);
    CHECK(patient.take() == Instant{} + 5s);
}

TEST_CASE("retry waits on a simulated host, with the world's time and randomness",
          "[drive][loop_sleeper][sim]") {
    const auto history = [](Seed seed) {
        sim::World world{seed, {.extra_turns_one_in = 2}};
        sim::Host& host = world.host("client");
        LoopSleeper sleeper{host};
        std::vector<Instant> calls;
        const auto ask = [&]() -> Task<std::error_code> {
            calls.push_back(sleeper.now());
            co_await sleeper.async_sleep_until(after(sleeper.now(), 100ms));
            co_return timed_out;
        };
        auto task =
            retry(Policy{Backoff{FullJitter{}, Cap{30s}, 1s}, MaxAttempts{6}}, sleeper, ask);
        task.start();
        world.run_for(1h);
        REQUIRE(task.done());
        CHECK(task.take() == timed_out);
        CHECK(calls.size() == 6);
        return calls;
    };
    CHECK(history(Seed{1}) == history(Seed{1}));
    CHECK(history(Seed{1}) != history(Seed{2}));
}

TEST_CASE("A killed process destroys its coroutines in every kind of wait",
          "[drive][loop_sleeper][sim]") {
    int calls = 0;
    int finished = 0;
    struct Process {
        Process(sim::Host& host, int& calls_, int& finished_)
            : sleeper{host}, calls{calls_}, finished{finished_}, task{main()} {
            task.start();
        }
        Task<int> main() {
            const Result<void> result = co_await retry(Backoff{FullJitter{}, Cap{30s}, 1s}, sleeper,
                                                       [this] { return ask(); });
            ++finished;
            co_return result ? 1 : 0;
        }
        Task<bool> ask() {
            ++calls;
            co_await sleeper.async_sleep_until(after(sleeper.now(), 50ms));
            co_return false;
        }
        LoopSleeper<sim::Host> sleeper;
        int& calls;
        int& finished;
        Task<int> task;
    };
    sim::World world{Seed{3}};
    sim::Host& host = world.host(
        "client", [&](sim::Host& h) { return std::make_unique<Process>(h, calls, finished); });
    world.run_for(10min);
    CHECK(calls > 20);
    for (int i = 0; i < 20; ++i) {
        world.restart(host);
        world.run_for(Duration{i * 7ms});
    }
    world.kill(host);
    const int before = calls;
    world.run_for(1h);
    CHECK(calls == before);
    CHECK(finished == 0);
}

TEST_CASE("An exception of a started task is stored, and the loop continues",
          "[drive][loop_sleeper][unit]") {
    ManualClock clock;
    Loop loop{clock.view()};
    LoopSleeper sleeper{loop};
    const auto fails = [&]() -> Task<int> {
        co_await sleeper.async_sleep_until(after(sleeper.now(), 1s));
        throw std::runtime_error{"kept"};
    };
    auto task = fails();
    task.start();
    clock.advance(1s);
    poll_once(loop);
    REQUIRE(task.done());
    CHECK_THROWS_WITH(task.take(), "kept");
}
