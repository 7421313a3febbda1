// SPDX-License-Identifier: MIT
// Goal: an observer is notified of every change after it was made, in order, and never under the
// lock. A slow observer can detect how many events it missed. Method: recording observers and
// threads.
#include <belay/breaker/circuit_breaker.hpp>

#include <atomic>
#include <cerrno>
#include <functional>
#include <optional>
#include <system_error>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include <belay/breaker/trips.hpp>
#include <belay/core/clocks.hpp>
#include <belay/core/tee.hpp>

#include "support/aborts.hpp"
#include "support/breaker/breaker_archetypes.hpp"
#include "support/catch.hpp"
#include "support/core/observed_in_every_form.hpp"

using namespace belay;
using namespace std::chrono_literals;
using enum detail::BreakerChange;

namespace {

struct Listener {
    std::vector<BreakerEvent>* received;
    void on_breaker(const BreakerEvent& event) noexcept { received->push_back(event); }
};
struct SomeBreaker {};
struct Throws {
    void on_breaker(const BreakerEvent&);
};
struct WithoutHooks : NoObserver {};
struct BreakerAllWrong : NoObserver {
    void on_breaker(BreakerEvent&) noexcept;
    void on_breaker(auto&, auto&, auto&) noexcept;
};
using OfBreaker = detail::BreakerHooks<SomeBreaker>::Event;

struct BreakerRecorder {
    belay_test::Recorded& reported;
    void on_breaker(const BreakerEvent& event) noexcept {
        reported.push_back(std::to_string(static_cast<int>(event.change)));
    }
};
struct BreakerRecorderWithMachine {
    belay_test::Recorded& reported;
    void on_breaker(auto& breaker, const BreakerEvent& event) noexcept {
        if (breaker.mode() == event.mode) BreakerRecorder{reported}.on_breaker(event);
    }
};

std::vector<detail::BreakerChange> changes(const std::vector<BreakerEvent>& received) {
    std::vector<detail::BreakerChange> found;
    for (const BreakerEvent& event : received) found.push_back(event.change);
    return found;
}

}  // namespace

static_assert(std::is_trivially_copyable_v<BreakerEvent> && sizeof(BreakerEvent) == 32);
static_assert(std::is_empty_v<detail::BreakerEvents<SomeBreaker, NoObserver>>,
              "no observer adds no size");
static_assert(sizeof(CircuitBreaker<SteadyClock, ConsecutiveFailures, OpenFor, WithoutHooks>) ==
                  sizeof(CircuitBreaker<>),
              "an observer without hooks adds no size");
static_assert(!OfBreaker::right<BreakerAllWrong> && !OfBreaker::never_throws<Throws>());

TEST_CASE("CircuitBreaker calls its hook, in every form of observer",
          "[breaker][breaker_event][unit]") {
    const auto run = [](auto observer) {
        ManualClock clock;
        CircuitBreaker breaker{
            ConsecutiveFailures{1}, OpenFor{60s}, clock.view(), {}, std::move(observer)};
        breaker.acquire().failure();
        breaker.set_mode(BreakerMode::disabled);
    };
    const belay_test::Recorded all{std::to_string(static_cast<int>(opened)),
                                   std::to_string(static_cast<int>(mode_set))};
    belay_test::observed_in_every_form<BreakerRecorder>(run, all);
    belay_test::observed_in_every_form<BreakerRecorderWithMachine>(run, all);
    run(WithoutHooks{});
    WithoutHooks silent;
    run(std::ref(silent));
}

TEST_CASE("BreakerEvents notifies of events in order, each once",
          "[breaker][breaker_event][unit]") {
    std::vector<BreakerEvent> received;
    SomeBreaker breaker;
    detail::BreakerEvents<SomeBreaker, Listener> events{breaker, Listener{&received}};
    belay::detail::SpinMutex mutex;
    events.notify(mutex);
    CHECK(received.empty());
    events.push({opened});
    events.push({half_opened});
    events.notify(mutex);
    events.notify(mutex);
    CHECK(changes(received) == std::vector{opened, half_opened});
    CHECK(received[0].number == 1);
    CHECK(received[1].number == 2);
}

TEST_CASE(
    "BreakerEvents drops the oldest events when they are not read, and their numbers have gaps",
    "[breaker][breaker_event][unit]") {
    std::vector<BreakerEvent> received;
    SomeBreaker breaker;
    detail::BreakerEvents<SomeBreaker, Listener> events{breaker, Listener{&received}};
    belay::detail::SpinMutex mutex;
    for (int i = 0; i < 20; ++i) events.push({opened});
    events.notify(mutex);
    REQUIRE(received.size() == 8);
    for (std::uint64_t i = 0; i < 8; ++i) CHECK(received[i].number == 13 + i);
    events.push({reopened});
    events.notify(mutex);
    CHECK(received.back().number == 21);
    for (int i = 0; i < 8; ++i) events.push({opened});
    events.notify(mutex);
    CHECK(received.size() == 17);
}

TEST_CASE("CircuitBreaker reports a whole outage with its instants",
          "[breaker][breaker_event][unit]") {
    ManualClock clock;
    std::vector<BreakerEvent> received;
    CircuitBreaker breaker{ConsecutiveFailures{2},
                           OpenFor{60s},
                           clock.view(),
                           {.probe_timeout = 10s},
                           Listener{&received}};
    breaker.acquire().failure();
    breaker.acquire().failure();
    clock.advance(60s);
    auto lost = breaker.acquire();
    clock.advance(10s);
    breaker.acquire().failure();
    clock.advance(60s);
    breaker.acquire().success();
    breaker.set_mode(BreakerMode::metrics_only);
    breaker.acquire().failure();
    breaker.acquire().failure();
    breaker.set_mode(BreakerMode::forced_open);
    CHECK(changes(received) == std::vector{opened, half_opened, probe_lost, reopened, half_opened,
                                           closed, mode_set, would_open, mode_set});
    REQUIRE(received.size() == 9);
    CHECK(received[0].at == Instant{});
    CHECK(received[0].open_until == Instant{} + 60s);
    CHECK(received[0].state == BreakerState::open);
    CHECK(received[1].at == Instant{} + 60s);
    CHECK(received[1].state == BreakerState::half_open);
    CHECK(received[3].open_until == Instant{} + 130s);
    CHECK(received[5].state == BreakerState::closed);
    CHECK(received[6].mode == BreakerMode::metrics_only);
    CHECK(received[8].state == BreakerState::open);
    for (std::uint64_t i = 0; i < 9; ++i) CHECK(received[i].number == i + 1);
}

TEST_CASE("CircuitBreaker reports the last failure that opened it",
          "[breaker][breaker_event][unit]") {
    ManualClock clock;
    std::vector<BreakerEvent> received;
    const auto refused = Failure::from(std::make_error_code(std::errc::connection_refused));
    const auto reset = Failure::from(std::make_error_code(std::errc::connection_reset));
    SECTION("by failures in a row") {
        CircuitBreaker breaker{
            ConsecutiveFailures{2}, OpenFor{60s}, clock.view(), {}, Listener{&received}};
        breaker.acquire().failure(reset);
        breaker.acquire().failure(refused);
        clock.advance(60s);
        breaker.acquire().failure(reset);
        clock.advance(60s);
        breaker.acquire().failure();
        clock.advance(60s);
        breaker.acquire().failure(Failure{Cause::permanent});
        breaker.set_mode(BreakerMode::metrics_only);
        breaker.acquire().failure(reset);
        breaker.acquire().failure(refused);
        REQUIRE(changes(received) == std::vector{opened, half_opened, reopened, half_opened,
                                                 reopened, half_opened, closed, mode_set,
                                                 would_open});
        CHECK(received[0].cause == Cause::refused);
        CHECK(received[0].code == ECONNREFUSED);
        CHECK(received[2].cause == Cause::lost);
        CHECK(received[2].code == ECONNRESET);
        // A failure without a cause has none in its event, and neither has a change without a
        // failure.
        for (const std::size_t i : {1U, 3U, 4U, 5U, 6U, 7U}) {
            CHECK(received[i].cause == Cause::none);
            CHECK(received[i].code == 0);
        }
        CHECK(received[8].code == ECONNREFUSED);
    }
    SECTION("by a success that completes the minimum of calls") {
        CircuitBreaker breaker{FailureRate{CountWindow<4>{}, {.percent = 50, .min_calls = 3}},
                               OpenFor{60s},
                               clock.view(),
                               {},
                               Listener{&received}};
        breaker.acquire().failure(refused);
        breaker.acquire().failure(reset);
        breaker.acquire().success();
        REQUIRE(changes(received) == std::vector{opened});
        CHECK(received[0].code == ECONNRESET);
    }
}

TEST_CASE("CircuitBreaker reports that it opened, also when its open wait is 0",
          "[breaker][breaker_event][unit]") {
    ManualClock clock;
    std::vector<BreakerEvent> received;
    CircuitBreaker breaker{ConsecutiveFailures{1},
                           belay_test::MinimalOpenWait{0ns},
                           clock.view(),
                           {},
                           Listener{&received}};
    breaker.acquire().failure();
    CHECK(breaker.state() == BreakerState::half_open);
    breaker.acquire().failure();
    REQUIRE(changes(received) == std::vector{opened, half_opened, reopened});
    CHECK(received[0].state == BreakerState::open);
    CHECK(received[0].open_until == received[0].at);
    CHECK(received[1].state == BreakerState::half_open);
    CHECK(received[2].state == BreakerState::open);
}

namespace {

// An observer that destroys the object that notifies it.
struct BreakerOwner;
struct DestroyingHook {
    BreakerOwner* owner;
    void on_breaker(const BreakerEvent&) noexcept;
};
struct BreakerOwner {
    std::optional<CircuitBreaker<ManualClock::View, ConsecutiveFailures, OpenFor, DestroyingHook>>
        breaker;
};
void DestroyingHook::on_breaker(const BreakerEvent&) noexcept { owner->breaker.reset(); }

}  // namespace

TEST_CASE("CircuitBreaker aborts in a checked build when its observer destroys it",
          "[breaker][breaker_event][unit]") {
    CHECK_THAT(belay_test::aborts_with([] {
                   const ManualClock clock;
                   BreakerOwner owner;
                   owner.breaker.emplace(ConsecutiveFailures{1}, OpenFor{60s}, clock.view(),
                                         HalfOpenOptions{}, DestroyingHook{&owner});
                   owner.breaker->set_mode(BreakerMode::forced_open);
               }),
               Catch::Matchers::Contains("the breaker must outlive its observer's calls"));
}

namespace {

// Pitfall 27: an observer that calls the breaker, and even changes it, during its notification.
struct ReentrantState;
struct ReentrantHook {
    ReentrantState* state;
    void on_breaker(const BreakerEvent& event) noexcept;
};
struct ReentrantState {
    std::vector<detail::BreakerChange> received;
    std::vector<BreakerState> observed;
    int depth = 0;
    int deepest = 0;
    CircuitBreaker<ManualClock::View, ConsecutiveFailures, OpenFor, ReentrantHook>* breaker =
        nullptr;
};
void ReentrantHook::on_breaker(const BreakerEvent& event) noexcept {
    state->deepest = ++state->depth > state->deepest ? state->depth : state->deepest;
    state->received.push_back(event.change);
    state->observed.push_back(state->breaker->state());
    if (event.change == opened) {
        // Rejected: the breaker is open already.
        if (const auto permit = state->breaker->acquire()) state->received.clear();
        state->breaker->set_mode(BreakerMode::automatic);
    } else if (event.change == mode_set && state->received.size() < 4) {
        state->breaker->acquire().failure();
    }
    --state->depth;
}

}  // namespace

TEST_CASE(
    "CircuitBreaker's observer may call the breaker, and is notified of the results afterwards",
    "[breaker][breaker_event][unit]") {
    ManualClock clock;
    ReentrantState state;
    CircuitBreaker breaker{
        ConsecutiveFailures{1}, OpenFor{60s}, clock.view(), {}, ReentrantHook{&state}};
    state.breaker = &breaker;
    breaker.acquire().failure();
    CHECK(state.received == std::vector{opened, mode_set, opened, mode_set});
    CHECK(state.observed == std::vector{BreakerState::open, BreakerState::closed,
                                        BreakerState::open, BreakerState::closed});
    CHECK(state.deepest == 1);
}

TEST_CASE("CircuitBreaker notifies in order, from one thread at a time, under concurrent calls",
          "[breaker][breaker_event][unit]") {
    struct Watch {
        std::atomic<int> inside{0};
        bool overlapped = false;
        bool out_of_order = false;
        std::uint64_t last = 0;
    };
    struct Hook {
        Watch* watch;
        void on_breaker(const BreakerEvent& event) noexcept {
            if (watch->inside.fetch_add(1, std::memory_order_relaxed) != 0) {
                watch->overlapped = true;
            }
            if (event.number <= watch->last) watch->out_of_order = true;
            watch->last = event.number;
            watch->inside.fetch_sub(1, std::memory_order_relaxed);
        }
    };
    ManualClock clock;
    Watch watch;
    CircuitBreaker breaker{ConsecutiveFailures{1}, OpenFor{1ms}, clock.view(), {}, Hook{&watch}};
    const auto work = [&](std::uint64_t seed) {
        Random bits{Seed{seed}};
        for (int i = 0; i < 5'000; ++i) {
            auto permit = breaker.acquire();
            if (!permit) clock.advance(1ms);
            uniform_upto(bits, 1) == 0 ? permit.failure() : permit.success();
        }
    };
    std::vector<std::thread> threads;
    for (std::uint64_t t = 1; t <= 3; ++t) threads.emplace_back(work, t);
    for (auto& t : threads) t.join();
    CHECK_FALSE(watch.overlapped);
    CHECK_FALSE(watch.out_of_order);
    const BreakerCounters counters = breaker.counters();
    CHECK(watch.last >= counters.opened + counters.reopened + counters.closed);
    CHECK(counters.opened > 0);
}

namespace {

struct OpeningsSeen {
    int* opened;
    void on_breaker(const BreakerEvent& event) noexcept {
        *opened += event.change == BreakerEvent::Change::opened ? 1 : 0;
    }
};
// A template in a final class cannot be found by its name.
struct FinalOpeningsSeen final {
    int* opened;
    void on_breaker(auto& /*breaker*/, const BreakerEvent&) noexcept { ++*opened; }
};

}  // namespace

TEST_CASE("CircuitBreaker takes an observer without a clock and options",
          "[breaker][breaker_event][unit]") {
    ManualClock clock;
    int opened = 0;
    OpeningsSeen observer{&opened};
    const ConsecutiveFailures trip{1};
    const OpenFor wait{60s};
    const auto notifies = [&](auto& breaker) {
        opened = 0;
        breaker.acquire().failure();
        return opened == 1;
    };
    CircuitBreaker first{trip, wait, observer};
    CHECK(notifies(first));
    CircuitBreaker second{trip, wait, HalfOpenOptions{.successes = 2}, observer};
    CHECK(notifies(second));
    CircuitBreaker third{trip, wait, {.successes = 2}, OpeningsSeen{&opened}};
    CHECK(notifies(third));
    CircuitBreaker fourth{trip, wait, {}, observer};
    CHECK(notifies(fourth));
    CircuitBreaker fifth{trip, wait, clock.view(), std::ref(observer)};
    CHECK(notifies(fifth));
    CircuitBreaker sixth{trip, wait, std::ref(observer)};
    CHECK(notifies(sixth));
    CircuitBreaker seventh{trip, wait, FinalOpeningsSeen{&opened}};
    CHECK(notifies(seventh));
    CircuitBreaker eighth{trip, wait, {.successes = 2}, Tee{observer, std::ref(observer)}};
    eighth.acquire().failure();
    CHECK(std::exchange(opened, 0) == 3);
    CircuitBreaker ninth{trip, wait, clock.view(), Tee{observer}};
    CHECK(notifies(ninth));
    const CircuitBreaker<SteadyClock> none{trip, wait, NoObserver{}};
    CHECK(none.state() == BreakerState::closed);
}
