// SPDX-License-Identifier: MIT
// Goal: Queued waits for a place behind a bulkhead, within the queue, the deadline and the stop.
#include <belay/call/queued.hpp>

#include <optional>
#include <vector>

#include <belay/call/pipeline.hpp>
#include <belay/call/timeout.hpp>

#include "support/call/async_sleeper.hpp"
#include "support/catch.hpp"
#include "support/shorthand.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::AsyncSleeper;
using belay_test::at;
using belay_test::takes;

namespace {

// Frees a permit in the third sleep.
struct Freeing {
    std::optional<Bulkhead::Permit>* permit;
    int sleeps = 0;
    Random random{Seed{1}};
    Instant time{};
    [[nodiscard]] Instant now() const noexcept { return time; }
    Random& bits() noexcept { return random; }
    void sleep_until(Instant until, const auto&) noexcept {
        time = until;
        if (++sleeps == 3) permit->reset();
    }
};

}  // namespace

TEST_CASE("Queued lets as many run as the limit, and the others wait", "[call][queued][unit]") {
    AsyncSleeper sleeper;
    Bulkhead bulkhead{{.limit = 2, .queue = 3, .ask_every = 1ms}};
    const Pipeline pipeline{Queued{bulkhead}};
    std::vector<Task<Result<int>>> tasks;
    std::vector<Instant> begun;
    for (int i = 0; i < 6; ++i) {
        tasks.push_back(pipeline(sleeper, [&, i] {
            begun.push_back(sleeper.now());
            return takes(sleeper, 10ms, i);
        }));
        tasks.back().start();
    }
    CHECK(bulkhead.running() == 2);
    CHECK(bulkhead.waiting() == 3);
    REQUIRE(tasks[5].done());
    CHECK(tasks[5].take().error() == CallErrc::call_refused);
    sleeper.run();
    int sum = 0;
    for (std::size_t i = 0; i < 5; ++i) sum += tasks[i].take().value();
    CHECK(sum == 0 + 1 + 2 + 3 + 4);
    CHECK(begun.size() == 5);
    CHECK(begun[3] <= at(11ms));
    CHECK(begun[4] <= at(22ms));
    CHECK(bulkhead.running() == 0);
    CHECK(bulkhead.waiting() == 0);
}

TEST_CASE("Queued waits in blocking calls too", "[call][queued][unit]") {
    Bulkhead bulkhead{{.limit = 1, .queue = 1, .ask_every = 5ms}};
    std::optional other{bulkhead.acquire(at(0s))};
    Freeing sleeper{&other};
    const Pipeline pipeline{Queued{bulkhead}};
    CHECK(pipeline(sleeper, [&] {
              CHECK(bulkhead.waiting() == 0);
              return 7;
          }).value() == 7);
    CHECK(sleeper.time == at(15ms));
    CHECK(bulkhead.running() == 0);
}

TEST_CASE("A stop, a deadline and destruction end the wait in the queue", "[call][queued][unit]") {
    AsyncSleeper sleeper;
    Bulkhead bulkhead{{.limit = 1, .queue = 3, .ask_every = 1ms}};
    const auto held = bulkhead.acquire(at(0s));
    const StopSource source;
    const Pipeline patient{Queued{bulkhead}};
    const Pipeline hasty{Timeout{10ms}, Queued{bulkhead}};
    const auto ask = [&] { return takes(sleeper, 1ms, 1); };
    auto stopped = patient(sleeper, ask, source.token());
    auto late = hasty(sleeper, ask);
    std::optional destroyed{patient(sleeper, ask)};
    stopped.start();
    late.start();
    destroyed->start();
    CHECK(bulkhead.waiting() == 3);
    destroyed.reset();
    CHECK(bulkhead.waiting() == 2);
    sleeper.run_until(at(5ms));
    source.request_stop();
    sleeper.run_until(at(5ms));
    CHECK(stopped.take().error() == CallErrc::stopped);
    sleeper.run_until(at(1s));
    CHECK(late.take().error() == std::errc::timed_out);
    CHECK(bulkhead.waiting() == 0);
    CHECK(bulkhead.running() == 1);
    // Blocking: nobody frees the permit, so the deadline ends it.
    CHECK(hasty(sleeper, [] { return 1; }).error() == std::errc::timed_out);
    CHECK(bulkhead.waiting() == 0);
}
