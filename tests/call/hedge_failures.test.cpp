// SPDX-License-Identifier: MIT
// Goal: Hedge handles failures, rejections and budgets so that it adds no load to a peer that asked
// for less, or whose answer is final. Method: virtual time, scripted calls.
#include <algorithm>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/breaker/circuit_breaker.hpp>
#include <belay/budget/budgets.hpp>
#include <belay/call/chaos.hpp>
#include <belay/call/hedge.hpp>
#include <belay/call/layers.hpp>
#include <belay/call/limiters.hpp>
#include <belay/call/pipeline.hpp>
#include <belay/call/pipeline_task.hpp>
#include <belay/call/retry_outcome.hpp>
#include <belay/core/stop_source.hpp>
#include <belay/policy/policy.hpp>
#include <belay/policy/rules.hpp>

#include "support/call/async_sleeper.hpp"
#include "support/call/holds_call.hpp"
#include "support/catch.hpp"
#include "support/shorthand.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::AsyncSleeper;
using belay_test::at;
using belay_test::HoldsCall;

namespace {

struct TimedReply {
    Duration takes;
    Failure failure{};  // none: the call succeeds
};
constexpr TimedReply works(Duration takes) { return {takes}; }
constexpr TimedReply fails(Duration takes, Cause cause, Duration retry_after = {}) {
    return {takes, Failure{.cause = cause, .retry_after = retry_after}};
}

struct Server {
    AsyncSleeper& sleeper;
    std::vector<TimedReply> replies;
    std::vector<Instant> begun{};
    std::vector<std::uint64_t> numbers{};

    Task<TimedReply> operator()(Attempt attempt) {
        const TimedReply reply = replies.at(begun.size());
        begun.push_back(sleeper.now());
        numbers.push_back(attempt.number);
        co_await sleeper.async_sleep_until(after(sleeper.now(), reply.takes));
        co_return reply;
    }
};

struct HedgeClock {
    const AsyncSleeper* sleeper;
    [[nodiscard]] Instant now() const noexcept { return sleeper->now(); }
};

struct HedgeRecorder {
    std::vector<Attempt> hedges{};
    std::vector<std::string_view> rejections{};
    void on_hedge(const Attempt& attempt) { hedges.push_back(attempt); }
    void on_rejection(const CallRejected& rejected) { rejections.push_back(rejected.advice.by); }
};

// A budget that records the calls of its functions, and may reject.
struct Ledger {
    class [[nodiscard]] Permit {
    public:
        Permit() noexcept = default;
        explicit Permit(Ledger& ledger) noexcept : ledger_{&ledger} {}
        Permit(Permit&& other) noexcept : ledger_{std::exchange(other.ledger_, nullptr)} {}
        Permit& operator=(Permit&& other) noexcept {
            neutral();
            ledger_ = std::exchange(other.ledger_, nullptr);
            return *this;
        }
        ~Permit() { neutral(); }
        [[nodiscard]] Advice advice() const noexcept {
            return ledger_ != nullptr ? Advice::go() : Advice::stop();
        }
        Advice failure(Turn&) noexcept { return end('f'), Advice::go(); }
        void success(Turn&) noexcept { end('s'); }
        void neutral() noexcept { end('n'); }

    private:
        void end(char how) noexcept {
            if (auto* const ledger = std::exchange(ledger_, nullptr)) ledger->output += how;
        }
        Ledger* ledger_ = nullptr;
    };
    std::string output{};
    bool is_open = true;

    void wanted(Turn&) noexcept { output += 'w'; }
    [[nodiscard]] Advice admit(Instant now) const noexcept {
        return is_open ? Advice::go() : Advice::suspend(after(now, 1s));
    }
    Permit acquire(Turn&) noexcept { return output += 'a', Permit{*this}; }
    Permit reserve(Cause, Turn&) noexcept { return output += 'r', Permit{*this}; }
};

template <class P, class Stop = NeverStops>
auto ask(const P& pipeline, Server& server, HedgeRecorder& observer, Stop stop = {}) {
    return pipeline(server.sleeper,
                    fails_if([&server](Attempt attempt) { return server(attempt); },
                             [](const TimedReply& reply) { return reply.failure; }),
                    stop, observer);
}
template <class P>
Outcome<TimedReply> hedged(const P& pipeline, Server& server) {
    HedgeRecorder observer;
    auto task = ask(pipeline, server, observer);
    task.start();
    server.sleeper.run();
    REQUIRE(task.done());
    return task.take();
}
using Times = std::vector<Instant>;

}  // namespace

TEST_CASE("Hedge makes no call before the end of a peer's retry_after",
          "[call][hedge][regression]") {
    AsyncSleeper sleeper;
    Server server{sleeper, {fails(10ms, Cause::overloaded, 5s), works(100ms), works(1s)}};
    const Pipeline pipeline{Hedge{50ms, 2}};
    CHECK(hedged(pipeline, server).has_value());
    // The further calls follow at the delay, as in gRFC A6.
    CHECK(server.begun == Times{at(0s), at(5010ms), at(5060ms)});
}

TEST_CASE("Hedge uses the longest wait of several peers, also after failures without one",
          "[call][hedge][regression]") {
    AsyncSleeper sleeper;
    Server server{sleeper,
                  {fails(60ms, Cause::overloaded, 3s), fails(30ms, Cause::overloaded, 1s),
                   fails(30ms, Cause::lost), works(1ms)}};
    CHECK(hedged(Pipeline{Hedge{50ms, 3}}, server).has_value());
    // The second failed after 80 ms with a shorter wait. The third failed at once, and starts the
    // fourth.
    CHECK(server.begun == Times{at(0s), at(50ms), at(3060ms), at(3090ms)});
}

TEST_CASE("Hedge ends with a failure that no further call can correct",
          "[call][hedge][regression]") {
    for (const Cause cause : {Cause::permanent, Cause::forbidden, Cause::unauthorized}) {
        AsyncSleeper sleeper;
        Server server{sleeper, {works(1s), fails(10ms, cause), works(0s), works(0s)}};
        const auto outcome = hedged(Pipeline{Hedge{50ms, 3}}, server);
        CHECK_FALSE(outcome.has_value());
        CHECK(outcome.last()->failure.cause == cause);
        // The call that was under way is destroyed.
        CHECK(server.begun == Times{at(0s), at(50ms)});
        CHECK(sleeper.now() == at(60ms));
        CHECK(sleeper.waiting() == 0);
    }
    for (const Cause cause : {Cause::lost, Cause::refused, Cause::timed_out, Cause::overloaded,
                              Cause::protocol, Cause::corrupt}) {
        AsyncSleeper sleeper;
        Server server{sleeper, {fails(10ms, cause), works(1ms)}};
        CHECK(hedged(Pipeline{Hedge{50ms, 3}}, server).has_value());
        CHECK(server.begun == Times{at(0s), at(10ms)});
    }
}

TEST_CASE("Hedge waits for no call that would start after the deadline",
          "[call][hedge][regression]") {
    AsyncSleeper sleeper;
    Server server{sleeper, {fails(10ms, Cause::overloaded, 3s), works(0s)}};
    const auto outcome = hedged(Pipeline{Timeout{2s}, Hedge{300ms, 1}}, server);
    CHECK(outcome.last()->failure.retry_after == 3s);
    CHECK(server.begun == Times{at(0s)});
    CHECK(sleeper.now() == at(10ms));
    // A retry around the Hedge sees the wait, and waits for its end.
    AsyncSleeper other;
    Server again{other, {fails(10ms, Cause::overloaded, 3s), works(0s)}};
    const Policy policy{Backoff{NoJitter{}, Cap{1s}, 100ms}, MaxAttempts{2}};
    CHECK(hedged(Pipeline{Retrying{policy}, Timeout{2s}, Hedge{300ms, 1}}, again).has_value());
    CHECK(again.begun == Times{at(0s), at(3010ms)});
}

TEST_CASE("Hedge does not wait for a peer that requests more than its limit",
          "[call][hedge][regression]") {
    const auto check = [](const auto& hedge, Duration asked, bool waits) {
        AsyncSleeper sleeper;
        Server server{sleeper, {fails(10ms, Cause::overloaded, asked), works(0s)}};
        const auto outcome = hedged(Pipeline{hedge}, server);
        CHECK(outcome.has_value() == waits);
        CHECK(outcome.retry_after() == (waits ? 0s : asked));
        CHECK(sleeper.now() == (waits ? at(10ms + asked) : at(10ms)));
    };
    check(Hedge{50ms, 1}, 30s, true);
    check(Hedge{50ms, 1}, 30s + Duration{1}, false);
    check(Hedge{50ms, 1}, 24h * 365, false);
    const auto is_good = [](const TimedReply&) { return true; };
    check(Hedge{50ms, 1}.retry_after_max(2s), 2s, true);
    check(Hedge{50ms, 1}.retry_after_max(2s).until(is_good), 3s, false);
    check(Hedge{50ms, 1}.until(is_good).retry_after_max(24h), 23h, true);
    check(Hedge{50ms, 1}.retry_after_max(0s), Duration{1}, false);
    // Calls that are under way continue, and may succeed.
    AsyncSleeper sleeper;
    Server server{sleeper, {fails(60ms, Cause::overloaded, 1h), works(100ms), works(0s)}};
    CHECK(hedged(Pipeline{Hedge{50ms, 2}}, server).has_value());
    CHECK(server.begun == Times{at(0s), at(50ms)});
}

TEST_CASE("A stop ends the wait of a Hedge for a peer's retry_after", "[call][hedge][regression]") {
    AsyncSleeper sleeper;
    Server server{sleeper, {fails(10ms, Cause::overloaded, 20s), works(0s)}};
    HedgeRecorder observer;
    const StopSource source;
    const Pipeline pipeline{Hedge{50ms, 1}};
    auto task = ask(pipeline, server, observer, source.token());
    task.start();
    sleeper.run_until(at(1s));
    REQUIRE_FALSE(task.done());
    source.request_stop();
    sleeper.run();
    REQUIRE(task.done());
    const auto outcome = task.take();
    CHECK(outcome.last()->failure.cause == Cause::overloaded);
    CHECK(sleeper.now() == at(1s));
}

TEST_CASE("Hedge makes no further calls when the first was rejected", "[call][hedge][unit]") {
    AsyncSleeper sleeper;
    Bulkhead bulkhead{{.limit = 1}};
    Server server{sleeper, {works(120ms), works(0s), works(0s)}};
    const Pipeline pipeline{Hedge{50ms, 2}, Shared{bulkhead}};
    // Further calls are rejected while the first is under way, each at its time. The first one
    // counts.
    CHECK(hedged(pipeline, server).has_value());
    CHECK(server.begun == Times{at(0s)});
    CHECK(sleeper.now() == at(120ms));
    const Bulkhead::Permit taken = bulkhead.acquire(at(0s));
    CHECK(hedged(pipeline, server).error() == CallErrc::call_rejected);
    CHECK(sleeper.now() == at(120ms));
}

TEST_CASE("Hedge returns the rest of the longest wait that any call requested",
          "[call][hedge][regression]") {
    // The second call ends last, and requests no wait.
    AsyncSleeper sleeper;
    Server server{sleeper, {fails(60ms, Cause::overloaded, 60s), fails(30ms, Cause::lost)}};
    const auto outcome = hedged(Pipeline{Hedge{50ms, 1}}, server);
    CHECK(outcome.last()->failure.cause == Cause::lost);
    CHECK(sleeper.now() == at(80ms));
    CHECK(outcome.retry_after() == 59'980ms);
    // A failure that no further call can correct keeps the wait, too.
    AsyncSleeper other;
    Server final{other, {fails(60ms, Cause::overloaded, 60s), fails(30ms, Cause::forbidden)}};
    CHECK(hedged(Pipeline{Hedge{50ms, 1}}, final).retry_after() == 59'980ms);
}

TEST_CASE("Hedge does not return a wait that is over", "[call][hedge][regression]") {
    AsyncSleeper sleeper;
    Bulkhead bulkhead{{.limit = 1}};
    Server server{sleeper, {fails(10ms, Cause::overloaded, 5s)}};
    HedgeRecorder observer;
    const Pipeline pipeline{Hedge{1s, 1}, Shared{bulkhead}};
    auto task = ask(pipeline, server, observer);
    task.start();
    sleeper.run_until(at(1s));
    const Bulkhead::Permit taken = bulkhead.acquire(at(1s));
    sleeper.run();
    // The second call was rejected, so the result is that of the first one.
    REQUIRE(sleeper.now() == at(5010ms));
    const auto outcome = task.take();
    CHECK(outcome.last()->failure.retry_after == 5s);
    CHECK(outcome.retry_after() == 5ms);  // that of the bulkhead
}

TEST_CASE("Hedge returns the wait of a limit that rejected a call", "[call][hedge][regression]") {
    // The first failure opens the breaker, which rejects the second call.
    AsyncSleeper sleeper;
    CircuitBreaker breaker{ConsecutiveFailures{1}, OpenFor{30s}, HedgeClock{&sleeper}};
    Server server{sleeper, {fails(60ms, Cause::lost), fails(30ms, Cause::lost)}};
    CHECK(hedged(Pipeline{Hedge{100ms, 1}, Shared{breaker}}, server).retry_after() == 30s);
    CHECK(server.begun == Times{at(0s)});
    // A budget with FailFast advises to stop until an instant.
    Ledger closed{.is_open = false};
    const auto outcome = hedged(Pipeline{Hedge{50ms, 1, Shared{closed, FailFast{}}}}, server);
    CHECK(outcome.error() == CallErrc::call_rejected);
    CHECK(outcome.retry_after() == 1s);
}

TEST_CASE("Hedge reports its calls, numbered over all attempts of a Retrying",
          "[call][hedge][regression]") {
    AsyncSleeper sleeper;
    Server server{sleeper,
                  {fails(10ms, Cause::lost), fails(10ms, Cause::lost), fails(60ms, Cause::lost),
                   works(30ms)}};
    HedgeRecorder observer;
    const Pipeline pipeline{Retrying{MaxAttempts{2}}, Hedge{50ms, 1}};
    auto task = ask(pipeline, server, observer);
    task.start();
    sleeper.run();
    CHECK(task.take().has_value());
    CHECK(server.numbers == std::vector<std::uint64_t>{1, 2, 3, 4});
    REQUIRE(observer.hedges.size() == 2);
    CHECK(observer.hedges[0].number == 2);
    CHECK_FALSE(observer.hedges[0].repeats);
    CHECK(observer.hedges[1].number == 4);
    CHECK(observer.hedges[1].repeats);
    CHECK(observer.hedges[1].is_retry());
}

TEST_CASE("A budget pays for further calls, and ends them when it is empty",
          "[call][hedge][unit]") {
    // Two tokens; a retry takes one, which is returned if the call succeeds.
    TokenBudget budget{{.capacity_milli = 2'000,
                        .retry_cost_milli = 1'000,
                        .timeout_cost_milli = 1'000,
                        .success_gain_milli = 0}};
    const Pipeline pipeline{Hedge{50ms, 3, Shared{budget}}};
    AsyncSleeper sleeper;
    Server server{sleeper, std::vector<TimedReply>(9, fails(1s, Cause::lost))};
    HedgeRecorder observer;
    auto task = ask(pipeline, server, observer);
    task.start();
    sleeper.run_until(at(500ms));
    // The budget has no token for the third further call.
    CHECK(server.begun == Times{at(0s), at(50ms), at(100ms)});
    CHECK(observer.rejections == std::vector<std::string_view>{"TokenBudget"});
    CHECK(budget.tokens_milli() == 0);
    sleeper.run();
    CHECK_FALSE(task.take().has_value());
    CHECK(sleeper.now() == at(1100ms));
    // All calls failed, and the tokens are spent: from now on each Hedge makes one call.
    CHECK(budget.tokens_milli() == 0);
    server.begun.clear();
    CHECK_FALSE(hedged(pipeline, server).has_value());
    CHECK(server.begun.size() == 1);
}

TEST_CASE("A budget is refunded when a hedged call succeeds, and not when it is abandoned",
          "[call][hedge][unit]") {
    TokenBudget budget{{.capacity_milli = 2'000,
                        .retry_cost_milli = 1'000,
                        .timeout_cost_milli = 1'000,
                        .success_gain_milli = 0}};
    AsyncSleeper sleeper;
    Server wins{sleeper, {works(60ms), works(1s)}};
    CHECK(hedged(Pipeline{Hedge{50ms, 1, Shared{budget}}}, wins).has_value());
    CHECK(budget.tokens_milli() == 2'000);
    // A peer that hangs: the further call was made, and has no verdict.
    Server hangs{sleeper, {works(1h), works(1h)}};
    CHECK_FALSE(hedged(Pipeline{Timeout{1s}, Hedge{50ms, 1, Shared{budget}}}, hangs).has_value());
    CHECK(budget.tokens_milli() == 1'000);
    // A further call that an inner layer rejected was not made.
    Bulkhead bulkhead{{.limit = 1}};
    Server alone{sleeper, {works(60ms), works(0s)}};
    CHECK(hedged(Pipeline{Hedge{50ms, 1, Shared{budget}}, Shared{bulkhead}}, alone).has_value());
    CHECK(budget.tokens_milli() == 1'000);
    CHECK(sleeper.waiting() == 0);
}

TEST_CASE("RatioBudget counts the further calls of a Hedge, whichever call was faster",
          "[call][hedge][unit]") {
    // Every call is slow, so each starts a second one. The first always succeeds first.
    const auto further_calls = [](const auto& make_pipeline) {
        RatioBudget budget{{.window = 100s, .retries_per_thousand = 100, .at_least = 1}};
        AsyncSleeper sleeper;
        std::size_t calls = 0;
        const auto pipeline = make_pipeline(budget);
        for (int i = 0; i < 200; ++i) {
            Server server{sleeper, {works(60ms), works(60ms)}};
            CHECK(hedged(pipeline, server).has_value());
            calls += server.begun.size();
        }
        return calls - 200;
    };
    CHECK(further_calls([](RatioBudget& budget) {
              return Pipeline{Hedge{50ms, 1, Shared{budget}}};
          }) == 20);
    // Inside a Retrying with the same budget, each first call counts once.
    CHECK(further_calls([](RatioBudget& budget) {
              return Pipeline{Retrying{Policy{Shared{budget}, MaxAttempts{2}}}, Timeout{1s},
                              Hedge{50ms, 1, Shared{budget}}};
          }) == 20);
}

namespace {

/// The options of a budget that one permit empties, and that gains no tokens.
constexpr TokenBudgetOptions one_token{.capacity_milli = 1'000,
                                       .retry_cost_milli = 1'000,
                                       .timeout_cost_milli = 1'000,
                                       .success_gain_milli = 0};

}  // namespace

TEST_CASE("Hedge tries an empty budget again after one to two waits of its AskAgain",
          "[call][hedge][unit]") {
    TokenBudget budget{one_token};
    Random bits{Seed{1}};
    Turn turn{at(0s), bits};
    auto taken = budget.reserve(Cause::lost, turn);
    AsyncSleeper sleeper;
    Server server{sleeper, {works(10s), works(1s)}};
    HedgeRecorder observer;
    const Pipeline pipeline{Hedge{50ms, 1, Shared{budget, AskAgain{2s}}}};
    auto task = ask(pipeline, server, observer);
    task.start();
    sleeper.run_until(at(1s));
    CHECK(server.begun.size() == 1);
    taken.neutral();
    sleeper.run();
    CHECK(task.take().has_value());
    REQUIRE(server.begun.size() == 2);
    CHECK(server.begun[1] >= at(2050ms));
    CHECK(server.begun[1] <= at(4050ms));
}

TEST_CASE("Hedge makes its calls without tokens if the budget of its AskAgain stays empty",
          "[call][hedge][regression]") {
    TokenBudget budget{one_token};
    Random bits{Seed{1}};
    Turn turn{at(0s), bits};
    const auto taken = budget.reserve(Cause::lost, turn);
    AsyncSleeper sleeper;
    HedgeRecorder observer;
    const Pipeline pipeline{Hedge{50ms, 2, Shared{budget, AskAgain{2s}}}};
    // Each further call waits for its own time, also if a call fails during the wait.
    const auto [first, second] =
        GENERATE(std::pair{works(1h), works(1h)}, std::pair{fails(1ms, Cause::lost), works(1h)},
                 std::pair{fails(1s, Cause::lost), fails(1s, Cause::lost)});
    Server server{sleeper, {first, second, works(1s)}};
    auto task = ask(pipeline, server, observer);
    task.start();
    sleeper.run_until(at(12s));
    REQUIRE(task.done());
    CHECK(task.take().has_value());
    REQUIRE(server.begun.size() == 3);
    CHECK(server.begun[1] >= at(2s));
    CHECK(server.begun[1] <= at(4050ms));
    CHECK(server.begun[2] - server.begun[1] >= 2s);
    CHECK(server.begun[2] - server.begun[1] <= 5s);
    CHECK(budget.tokens_milli() == 0);
}

TEST_CASE("Hedge uses its budget like any rule", "[call][hedge][regression]") {
    AsyncSleeper sleeper;
    Server server{sleeper, {works(60ms), works(60ms)}};
    Ledger ledger;
    const Pipeline pipeline{Hedge{50ms, 1, Shared{ledger}}};
    CHECK(hedged(pipeline, server));
    // One `wanted`, one permit, and a retry for the further call. Both calls share the first
    // success.
    CHECK(ledger.output == "warss");

    // A call that may not begin takes no permit.
    ledger.output.clear();
    ledger.is_open = false;
    Server unasked{sleeper, {}};
    CHECK(hedged(pipeline, unasked).error() == CallErrc::call_rejected);
    CHECK(ledger.output == "w");
}

#if defined(__cpp_exceptions)
TEST_CASE("A further call that its observer prevents is not made, and takes no token",
          "[call][hedge][regression]") {
    struct Throws {
        void on_hedge(const Attempt&) { throw std::runtime_error{"no"}; }
    };
    AsyncSleeper sleeper;
    Ledger ledger;
    Server server{sleeper, {works(1h)}};
    const Pipeline pipeline{Hedge{50ms, 1, Shared{ledger}}};
    Throws observer;
    auto task = pipeline(sleeper, any_value([&](Attempt attempt) { return server(attempt); }),
                         NeverStops{}, observer);
    task.start();
    sleeper.run();
    REQUIRE(task.done());
    CHECK_THROWS_AS(task.take(), std::runtime_error);
    CHECK(server.begun.size() == 1);
    CHECK(ledger.output == "warnn");
}
#endif

TEST_CASE("A hedged call that an inner layer holds until a Timeout takes no token",
          "[call][hedge][regression]") {
    AsyncSleeper sleeper;
    Server server{sleeper, {works(1h)}};
    HedgeRecorder observer;
    Ledger ledger;
    // One call is made and hangs, and the other one is held. Both have a permit of the ledger.
    const auto run = [&](const auto& pipeline) {
        auto task = ask(pipeline, server, observer);
        task.start();
        sleeper.run_until(at(999ms));
        CHECK(ledger.output == "war");
        sleeper.run_until(at(2s));
        REQUIRE(task.done());
        return task.take().error();
    };
    SECTION("the Timeout is inside") {
        const Pipeline pipeline{Hedge{50ms, 1, Shared{ledger}}, Timeout{1s}, HoldsCall<2>{}};
        CHECK(run(pipeline) == std::errc::timed_out);
        CHECK(observer.rejections == std::vector<std::string_view>{"Timeout"});
        CHECK(ledger.output == "warfn");
    }
    SECTION("the Timeout is outside") {
        const Pipeline pipeline{Timeout{1s}, Hedge{50ms, 1, Shared{ledger}}, HoldsCall<2>{}};
        CHECK(run(pipeline) == std::errc::timed_out);
        CHECK(observer.rejections.empty());
        CHECK(ledger.output == "warnn");
    }
    CHECK(server.begun.size() == 1);
}

TEST_CASE("Hedge makes no further call while the last one waits in a queue of this program",
          "[call][hedge][regression]") {
    AsyncSleeper sleeper;
    Server server{sleeper, {works(1s), works(1s), works(1s), works(1s), works(1s), works(1s)}};
    HedgeRecorder observer;
    Bulkhead bulkhead{{.limit = 2, .queue = 10}};
    std::vector<Task<Outcome<TimedReply>>> tasks;
    // The first two calls have both places until 1 s.
    const auto ask_for = [&](const auto& pipeline) {
        tasks.push_back(ask(pipeline, server, observer));
        tasks.back().start();
    };
    const Pipeline plain{Queued{bulkhead}};
    const Duration delay = GENERATE(0ms, 30ms, 400ms);
    const Pipeline hedged{Hedge{delay, 3}, Queued{bulkhead}};
    ask_for(plain);
    ask_for(plain);
    ask_for(hedged);
    sleeper.run_until(at(999ms));
    CHECK(bulkhead.counters().waited == 1);
    sleeper.run();
    REQUIRE(server.begun.size() >= 4);
    CHECK(server.begun[2] == at(1s));
    CHECK(server.begun[3] >= at(1s) + delay);
}

TEST_CASE("The delay of a hedge counts from the first call of a Retrying inside, and from a delay",
          "[call][hedge][regression]") {
    AsyncSleeper sleeper;
    HedgeRecorder observer;
    Server server{sleeper, std::vector<TimedReply>(20, fails(40ms, Cause::lost))};
    const Pipeline pipeline{Hedge{50ms, 1}, Retrying{Policy{MaxAttempts{5}}}};
    auto task = ask(pipeline, server, observer);
    task.start();
    sleeper.run_until(at(60ms));
    CHECK(server.begun == Times{at(0ms), at(40ms), at(50ms)});
    sleeper.run();
    Server steady{sleeper, {works(1h), works(1ms)}};
    const Instant start = sleeper.now();
    chaos::Faults faults{{.delays_per_thousand = 1000, .delay = 40ms}, Seed{1}};
    faults.switch_on();
    const Pipeline delayed{Hedge{50ms, 1}, chaos::Layer{faults}};
    auto slow = ask(delayed, steady, observer);
    slow.start();
    sleeper.run();
    CHECK(slow.done());
    CHECK(steady.begun == Times{start + 40ms, start + 90ms});
}

TEST_CASE("A call that an inner layer held at first counts from then on for a percentile",
          "[call][hedge][regression]") {
    AsyncSleeper sleeper;
    Hedge<>::Percentile p50{50, 1h};
    HedgeRecorder observer;
    RateLimiter limiter{Rate{1, 1s}, Burst{1}, 100};
    Server server{sleeper, std::vector<TimedReply>(30, works(10ms))};
    const Pipeline pipeline{Hedge{p50, 1}, Queued{limiter}};
    std::vector<Task<Outcome<TimedReply>>> tasks;
    for (int i = 0; i < 30; ++i) {
        tasks.push_back(ask(pipeline, server, observer));
        tasks.back().start();
    }
    sleeper.run();
    CHECK(p50.delay() == 10ms);
}

TEST_CASE("Hedge behaves like a model, for any failures and waits", "[call][hedge][property]") {
    CHECK(rc::check("the same begins, end and time", [] {
        const auto further = *rc::gen::inRange<std::size_t>(1, Hedge<>::further_max + 1);
        const Duration gap{*rc::gen::inRange<std::int64_t>(0, 20) * 1000};
        std::vector<TimedReply> replies;
        for (std::size_t i = 0; i <= further; ++i) {
            // Each duration has a bit of its own, so no two events are simultaneous.
            const Duration takes{*rc::gen::inRange<std::int64_t>(0, 60) * 1000 + (1 << i)};
            const Cause cause = *rc::gen::element(Cause::none, Cause::lost, Cause::overloaded,
                                                  Cause::overloaded, Cause::permanent);
            const bool asks = cause == Cause::overloaded;
            const Duration wait{asks ? *rc::gen::inRange<std::int64_t>(1, 90) * 1000 : 0};
            replies.push_back(fails(takes, cause, wait));
        }
        Times begun{at(0s)};
        std::vector<std::size_t> open{0};
        Instant now = at(0s);
        Instant due = at(gap);
        Instant asked = always;
        bool won = false;
        const auto end = [&](std::size_t call) { return begun[call] + replies[call].takes; };
        while (!open.empty() || begun.size() <= further) {
            const auto next =
                std::min_element(open.begin(), open.end(),
                                 [&](std::size_t a, std::size_t b) { return end(a) < end(b); });
            if (begun.size() <= further && (open.empty() || due < end(*next))) {
                now = due;
                due = std::max(now + gap, asked);
                open.push_back(begun.size());
                begun.push_back(now);
                continue;
            }
            const Failure failure = replies[*next].failure;
            now = end(*next);
            open.erase(next);
            won = failure.cause == Cause::none;
            if (won || failure.cause == Cause::permanent) break;
            if (failure.retry_after > 0s) asked = std::max(asked, now + failure.retry_after);
            due = std::max(now, asked);
        }
        AsyncSleeper sleeper;
        Server server{sleeper, replies};
        RC_ASSERT(hedged(Pipeline{Hedge{gap, further}}, server).has_value() == won);
        RC_ASSERT(server.begun == begun);
        RC_ASSERT(sleeper.now() == now);
        RC_ASSERT(sleeper.waiting() == 0U);
    }));
}
