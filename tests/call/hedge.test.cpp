// SPDX-License-Identifier: MIT
// Goal: Hedge starts further calls at exactly the right time, the first success counts, and a
// losing call leaves nothing running. Method: virtual time; a model for random latencies and
// outcomes.
#include <belay/call/hedge.hpp>

#include <algorithm>
#include <functional>
#include <new>
#include <optional>
#include <stdexcept>
#include <vector>

#include <belay/call/layers.hpp>
#include <belay/call/limiters.hpp>
#include <belay/call/pipeline.hpp>
#include <belay/call/pipeline_task.hpp>
#include <belay/call/retry_outcome.hpp>
#include <belay/policy/rules.hpp>

#include "support/call/async_sleeper.hpp"
#include "support/catch.hpp"
#include "support/shorthand.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::AsyncSleeper;
using belay_test::at;

namespace {

struct Call {
    Duration takes;
    bool works;
};

// Calls with these durations, in the order in which they begin; counts the calls that finish.
struct Peer {
    AsyncSleeper& sleeper;
    std::vector<Call> calls;
    std::vector<Instant> begun{};
    std::vector<bool> retries{};
    int finished = 0;

    Task<std::optional<int>> operator()(Attempt attempt) {
        const std::size_t number = begun.size();
        begun.push_back(sleeper.now());
        retries.push_back(attempt.is_retry());
        const Call call = calls[number];
        co_await sleeper.async_sleep_until(after(sleeper.now(), call.takes));
        ++finished;
        co_return call.works ? std::optional{static_cast<int>(number)} : std::nullopt;
    }
};

template <class P>
Result<int> await(const P& pipeline, Peer& peer) {
    auto task = pipeline(peer.sleeper, [&peer](Attempt attempt) { return peer(attempt); });
    task.start();
    peer.sleeper.run();
    REQUIRE(task.done());
    return task.take();
}

}  // namespace

TEST_CASE("Hedge makes one call if that is fast enough", "[call][hedge][unit]") {
    AsyncSleeper sleeper;
    Peer peer{sleeper, {{40ms, true}}};
    CHECK(await(Pipeline{Hedge{50ms, 2}}, peer).value() == 0);
    CHECK(peer.begun == std::vector<Instant>{at(0s)});
    CHECK(sleeper.now() == at(40ms));
    CHECK(sleeper.waiting() == 0);
}

TEST_CASE("Hedge makes further calls if the first is slow, and the first success counts",
          "[call][hedge][unit]") {
    AsyncSleeper sleeper;
    Peer peer{sleeper, {{1s, true}, {1s, true}, {30ms, true}}};
    CHECK(await(Pipeline{Hedge{50ms, 2}}, peer).value() == 2);
    CHECK(peer.begun == std::vector<Instant>{at(0s), at(50ms), at(100ms)});
    CHECK(peer.retries == std::vector<bool>{false, true, true});
    CHECK(sleeper.now() == at(130ms));
    // The other calls were destroyed while they waited.
    CHECK(peer.finished == 1);
    CHECK(sleeper.waiting() == 0);
}

TEST_CASE("Hedge starts the next call at once after a failure", "[call][hedge][unit]") {
    AsyncSleeper sleeper;
    Peer peer{sleeper, {{10ms, false}, {1s, true}, {5ms, false}}};
    CHECK(await(Pipeline{Hedge{50ms, 2}}, peer).value() == 1);
    CHECK(peer.begun == std::vector<Instant>{at(0s), at(10ms), at(60ms)});
    CHECK(sleeper.now() == at(1010ms));
}

TEST_CASE("Hedge fails when all calls have failed, with the last failure", "[call][hedge][unit]") {
    AsyncSleeper sleeper;
    Peer peer{sleeper, {{10ms, false}, {0ms, false}, {20ms, false}}};
    CHECK(await(Pipeline{Hedge{50ms, 2}}, peer).error() == CallErrc::call_failed);
    CHECK(peer.finished == 3);
    CHECK(sleeper.now() == at(30ms));
}

TEST_CASE("Hedge with no delay starts all calls at once", "[call][hedge][unit]") {
    AsyncSleeper sleeper;
    Peer peer{sleeper, {{3s, true}, {2s, true}, {1s, false}, {4s, true}}};
    CHECK(await(Pipeline{Hedge{0ms, 3}}, peer).value() == 1);
    CHECK(peer.begun == std::vector<Instant>(4, at(0s)));
}

TEST_CASE("Hedge keeps exceptions that are failures, and propagates others",
          "[call][hedge][unit]") {
    AsyncSleeper sleeper;
    int calls = 0;
    const auto throws = [&]() -> Task<Result<int>> {
        if (++calls == 1) throw std::runtime_error{"first"};
        co_return 5;
    };
    const Pipeline pipeline{Hedge{50ms, 1}};
    auto task = pipeline(sleeper, throws);
    task.start();
    CHECK(task.take().value() == 5);
    const auto classified = [&](int) -> bool { throw std::logic_error{"judge"}; };
    auto leaves = pipeline(sleeper, fails_if(throws, classified));
    leaves.start();
    CHECK_THROWS_WITH(leaves.take(), "judge");
}

TEST_CASE("Destroying a Hedge, or a stop, starts no further calls", "[call][hedge][unit]") {
    AsyncSleeper sleeper;
    Bulkhead bulkhead{{.limit = 9}};
    const Pipeline pipeline{Hedge{50ms, 7}, Shared{bulkhead}};
    Peer peer{sleeper, std::vector<Call>(8, Call{1s, true})};
    const auto ask = [&peer](Attempt attempt) { return peer(attempt); };
    {
        auto task = pipeline(sleeper, ask);
        task.start();
        sleeper.run_until(at(120ms));
        CHECK(bulkhead.running() == 3);
    }
    CHECK(bulkhead.running() == 0);
    CHECK(sleeper.waiting() == 0);

    const StopSource source;
    auto task = pipeline(sleeper, ask, source.token());
    task.start();
    source.request_stop();
    sleeper.run();
    CHECK(task.take().value() == 3);
    CHECK(peer.begun.size() == 4);
}

TEST_CASE("A call that ends while another starts does not wake a running Hedge",
          "[call][hedge][unit]") {
    AsyncSleeper sleeper;
    belay_test::Event event;
    int calls = 0;
    const auto ask = [&]() -> Task<std::optional<int>> {
        const int call = ++calls;
        if (call == 1) co_await event;
        if (call == 2) event.set();
        co_return call == 1 ? std::optional{call} : std::nullopt;
    };
    const Pipeline pipeline{Hedge{50ms, 3}};
    auto task = pipeline(sleeper, ask);
    task.start();
    sleeper.run();
    REQUIRE(task.done());
    CHECK(task.take().value() == 1);
    CHECK(calls == 2);
    CHECK(sleeper.now() == at(50ms));
}

TEST_CASE("Hedge works inside of Retrying and Timeout", "[call][hedge][unit]") {
    AsyncSleeper sleeper;
    Peer peer{sleeper,
              {{10ms, false}, {10ms, false}, {10s, true}, {10s, true}, {5ms, true}, {1s, true}}};
    const Pipeline pipeline{Retrying{MaxAttempts{3}}, Timeout{1s}, Hedge{50ms, 1}};
    CHECK(await(pipeline, peer).value() == 4);
    CHECK(sleeper.now() == at(20ms + 1s + 5ms));
}

TEST_CASE("Hedge behaves like a model, for any latencies and outcomes", "[call][hedge][property]") {
    CHECK(rc::check("the same begins, winner and time", [] {
        const auto further = *rc::gen::inRange<std::size_t>(1, Hedge<>::further_max + 1);
        const Duration delay{*rc::gen::inRange<std::int64_t>(0, 20)};
        std::vector<Call> calls;
        for (std::size_t i = 0; i <= further; ++i) {
            // All times differ, so the model needs no order of simultaneous events.
            const auto takes = *rc::gen::inRange<std::int64_t>(0, 60);
            calls.push_back({Duration{1000 * takes + static_cast<std::int64_t>(i) + 1},
                             *rc::gen::arbitrary<bool>()});
        }
        const Duration gap = delay * 1000;
        // The model moves from event to event.
        std::vector<Duration> begun{Duration{}};
        std::vector<bool> open{true};
        Duration now{};
        Duration due = gap;
        std::optional<int> winner;
        for (;;) {
            std::size_t next = calls.size();
            for (std::size_t i = 0; i < begun.size(); ++i) {
                if (open[i] && (next == calls.size() ||
                                begun[i] + calls[i].takes < begun[next] + calls[next].takes)) {
                    next = i;
                }
            }
            const bool more = begun.size() <= further;
            if (next == calls.size() && !more) break;
            const bool timer =
                more && (next == calls.size() || due < begun[next] + calls[next].takes);
            now = timer ? due : begun[next] + calls[next].takes;
            if (!timer) {
                open[next] = false;
                if (calls[next].works) {
                    winner = static_cast<int>(next);
                    break;
                }
            }
            if (more) {
                begun.push_back(now);
                open.push_back(true);
                due = now + gap;
            }
        }
        AsyncSleeper sleeper;
        Peer peer{sleeper, calls};
        const Result<int> result = await(Pipeline{Hedge{gap, further}}, peer);
        RC_ASSERT(result.has_value() == winner.has_value());
        if (winner) RC_ASSERT(result.value() == *winner);
        RC_ASSERT(sleeper.now() == at(now));
        RC_ASSERT(peer.begun.size() == begun.size());
        for (std::size_t i = 0; i < begun.size(); ++i) RC_ASSERT(peer.begun[i] == at(begun[i]));
        RC_ASSERT(sleeper.waiting() == 0);
    }));
}

namespace {

// A sleeper that has no memory for another wait while `fails` is true.
struct FailingSleeper : AsyncSleeper {
    bool fails = false;
    template <class Stop = NeverStops>
    Wait async_sleep_until(Instant until, const Stop& stop = {}) {
        if (fails) throw std::bad_alloc{};
        return AsyncSleeper::async_sleep_until(until, stop);
    }
};

// The state that two calls of a Hedge share. The event resumes its waiter inside of set().
struct SharedByCalls {
    FailingSleeper& sleeper;
    const bool without_memory;
    belay_test::Event event{};
    int after_set = 0;
    bool ended_inside = false;
    std::function<bool()> has_ended{};

    // The first call waits for the second one, which continues after it has resumed the first.
    Task<std::optional<int>> operator()(Attempt attempt) {
        std::vector<int> own(100, static_cast<int>(attempt.number));
        if (attempt.number == 1) {
            co_await event;
            co_return own.back();
        }
        co_await sleeper.async_sleep_until(after(sleeper.now(), 10ms));
        sleeper.fails = without_memory;
        event.set();
        sleeper.fails = false;
        ended_inside = has_ended();
        if (ended_inside) co_return std::nullopt;
        after_set += own.back();
        co_await sleeper.async_sleep_until(after(sleeper.now(), 1s));
        after_set += 100;
        co_return own.back();
    }
};

}  // namespace

TEST_CASE("A hedged call may resume another call of its Hedge from inside its own code",
          "[call][hedge][regression]") {
    FailingSleeper sleeper;
    SharedByCalls shared{sleeper, GENERATE(false, true)};
    const bool throws = GENERATE(false, true);
    const auto choose = [throws](const std::optional<int>&) -> bool {
        if (throws) throw std::runtime_error{"of the predicate"};
        return true;
    };
    auto task = Pipeline{Hedge{50ms, 2}.until(choose)}(
        sleeper, [&shared](Attempt attempt) { return shared(attempt); });
    shared.has_ended = [&task] { return task.done(); };
    task.start();
    sleeper.run();
    REQUIRE(task.done());
    CHECK_FALSE(shared.ended_inside);
    // The second call is destroyed in its next wait, and not before that wait.
    CHECK(shared.after_set == 2);
    CHECK(sleeper.now() == at(60ms));
    CHECK(sleeper.waiting() == 0);
    if (throws) {
        CHECK_THROWS_AS(task.take(), std::runtime_error);
    } else {
        CHECK(task.take().value() == 1);
    }
}

TEST_CASE("A Hedge without memory to destroy a second call safely does not begin it",
          "[call][hedge][regression]") {
    FailingSleeper sleeper;
    int calls = 0;
    auto task = Pipeline{Hedge{50ms, 2}}(sleeper, [&](Attempt) -> Task<std::optional<int>> {
        ++calls;
        sleeper.fails = false;
        co_await sleeper.async_sleep_until(after(sleeper.now(), 1s));
        co_return 1;
    });
    task.start();
    sleeper.fails = true;
    sleeper.run();
    REQUIRE(task.done());
    CHECK_THROWS_AS(task.take(), std::bad_alloc);
    CHECK(calls == 1);
    CHECK(sleeper.waiting() == 0);
    CHECK(sleeper.now() == at(50ms));
}
