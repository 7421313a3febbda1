// SPDX-License-Identifier: MIT
// Goal: policies in uncommon combinations serve all calls again a stated time after each kind of
// fault, and end each call in time. Method: calls at a rate, in virtual time, to a server that
// refuses, hangs, requests waits, is slow, or throws for 20 s.
#include <belay/call/pipeline.hpp>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/breaker/circuit_breaker.hpp>
#include <belay/budget/adaptive_limit.hpp>
#include <belay/budget/adaptive_throttle.hpp>
#include <belay/budget/budgets.hpp>
#include <belay/call/chaos.hpp>
#include <belay/call/hedge.hpp>
#include <belay/call/layers.hpp>
#include <belay/call/limiters.hpp>
#include <belay/call/pipeline_task.hpp>
#include <belay/call/retry_task.hpp>
#include <belay/http/http_message.hpp>
#include <belay/policy/any_policy.hpp>
#include <belay/policy/registry.hpp>
#include <belay/policy/rules.hpp>
#include <belay/policy/shared.hpp>

#include "support/call/async_sleeper.hpp"
#include "support/catch.hpp"
#include "support/seeds.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::AsyncSleeper;

namespace {

enum class JointTrouble { refuses, hangs, requests_waits, is_slow, throws };
struct ServerThrew {};
using JointPage = Outcome<HttpResponse>;

struct JointClock {
    const AsyncSleeper* sleeper;
    [[nodiscard]] Instant now() const noexcept { return sleeper->now(); }
};

/// A server that fails from 10 s to 30 s, and calls to it at a rate.
struct Joint {
    explicit Joint(JointTrouble kind) : trouble{kind} {}

    static constexpr Duration bad_from = 10s, bad_until = 30s, end = 75s, gap = 200ms;

    [[nodiscard]] Duration now() const { return sleeper.now() - Instant{}; }
    [[nodiscard]] bool is_bad() const { return now() >= bad_from && now() < bad_until; }

    Task<HttpResponse> answer() {
        ++asked;
        if (is_bad() && trouble == JointTrouble::hangs) co_await sleeper.async_sleep_until(never);
        if (is_bad() && trouble == JointTrouble::throws) throw ServerThrew{};
        if (is_bad() && trouble == JointTrouble::is_slow) co_await pause(3s);
        const bool fails = is_bad() && trouble != JointTrouble::is_slow;
        co_await pause(20ms);
        HttpResponse response{.status = fails ? 503 : 200};
        if (fails && trouble == JointTrouble::requests_waits) {
            response.headers.add({"Retry-After", "4"});
        }
        co_return response;
    }
    AsyncSleeper::Wait pause(Duration time) {
        return sleeper.async_sleep_until(after(sleeper.now(), time));
    }

    struct Made {
        Duration began;
        Duration took = forever;
        bool worked = false;
    };
    template <class Call>
    Task<int> run(Call& call, std::size_t at) {
        bool worked = false;
        try {
            auto task = call();
            const JointPage page = co_await std::move(task);
            worked = page.has_value();
        } catch (const ServerThrew&) {
        }
        made[at].worked = worked;
        made[at].took = now() - made[at].began;
        co_return 0;
    }
    /// Makes all calls by `call`, a function that returns a Task of a JointPage.
    template <class Call>
    void play(Call call, const auto& between) {
        std::vector<Task<int>> open;
        made.reserve(static_cast<std::size_t>(end / gap));
        for (Duration at{}; at < end; at += gap) {
            sleeper.run_until(after(Instant{}, at));
            between();
            std::erase_if(open, [](const Task<int>& task) { return task.done(); });
            made.push_back({at});
            open.push_back(run(call, made.size() - 1));
            open.back().start();
        }
        sleeper.run_until(after(Instant{}, end + 1min));
        CHECK(sleeper.waiting() == 0);
    }
    template <class Call>
    void play(Call call) {
        play(std::move(call), [] {});
    }

    /// Checks that all calls succeed that begin `back_after` or later after the end of the fault.
    void expect(Duration back_after, Duration longest_call) const {
        CAPTURE(static_cast<int>(trouble), asked);
        Duration back{}, longest{};
        for (const Made& one : made) {
            if (!one.worked) back = one.began + gap - bad_until;
            if (one.took > longest) longest = one.took;
        }
        CHECK(back <= back_after);
        CHECK(longest <= longest_call);
    }

    const JointTrouble trouble;
    AsyncSleeper sleeper{};
    std::vector<Made> made{};
    std::uint64_t asked = 0;
};

constexpr JointTrouble joint_troubles[] = {JointTrouble::refuses, JointTrouble::hangs,
                                           JointTrouble::requests_waits, JointTrouble::is_slow,
                                           JointTrouble::throws};

const Backoff joint_backoff{FullJitter{}, Cap{2s}, 100ms};

}  // namespace

TEST_CASE("Objects that a Registry evicts while calls wait for them still end their calls",
          "[call][joints][sim]") {
    struct Host {
        explicit Host(const AsyncSleeper& sleeper)
            : breaker{ConsecutiveFailures{5}, OpenFor{3s}, JointClock{&sleeper}} {}
        TokenBudget budget{TokenBudgetOptions::grpc(10, 100)};
        CircuitBreaker<JointClock> breaker;
        Bulkhead bulkhead{{.limit = 4, .queue = 20}};
    };
    for (const JointTrouble trouble : joint_troubles) {
        Joint joint{trouble};
        policies::Registry<Host> hosts{{.entries_max = 1, .idle_after = 0s}};
        int number = 0;
        const auto call = [&]() -> Task<JointPage> {
            const auto make = [&] { return std::make_shared<Host>(joint.sleeper); };
            // Each key is used for a second, and evicted as soon as it is idle.
            const auto found = hosts.get(std::to_string(++number / 5), joint.sleeper.now(), make);
            const auto host = found ? *found : make();
            const Pipeline pipeline{Timeout{8s},
                                    Retrying{Policy{joint_backoff, Shared{host->breaker},
                                                    Shared{host->budget}, MaxAttempts{4}}},
                                    Queued{host->bulkhead}, Hedge{200ms, 2, Shared{host->budget}},
                                    Timeout{1s}};
            auto task = pipeline(joint.sleeper, [&joint] { return joint.answer(); });
            JointPage page = co_await std::move(task);
            CHECK(host->bulkhead.running() <= 4);
            co_return page;
        };
        joint.play(call);
        joint.expect(4s, 8s);
        CHECK(hosts.counters().evicted > 10);
    }
}

TEST_CASE("Calls succeed again after a fault while an operator replaces their policy all the time",
          "[call][joints][sim]") {
    for (const JointTrouble trouble : joint_troubles) {
        Joint joint{trouble};
        CircuitBreaker breaker{ConsecutiveFailures{5}, OpenFor{3s}, JointClock{&joint.sleeper}};
        RatioBudget budget{};
        policies::Registry<> registry;
        int turn = 0;
        const auto replace = [&] {
            std::optional<MaxElapsed> limit;
            if (++turn % 2 == 0) limit.emplace(2s);
            CHECK_FALSE(registry.set(
                "peer",
                turn % 3 == 0   ? policies::AnyPolicy{Policy{joint_backoff, limit, MaxAttempts{5}}}
                : turn % 3 == 1 ? policies::AnyPolicy{Policy{joint_backoff, Shared{budget}, limit,
                                                             Shared{breaker, FailFast{}}}}
                                : policies::AnyPolicy{Policy{
                                      joint_backoff, Shared{breaker}, limit, MaxAttempts{3},
                                      policies::AnyPolicy{Policy{SpreadHint::plus_percent(20),
                                                                 Shared{budget, AskAgain{1s}}}}}}));
            budget.set_options({.retries_per_thousand = 100U + 100U * unsigned(turn % 3)});
            if (turn % 10 == 0) breaker.set_rules(ConsecutiveFailures{3}, OpenFor{2s});
        };
        replace();
        joint.play(
            [&]() -> Task<JointPage> {
                const auto policy = registry.find("peer");
                const Pipeline pipeline{Timeout{10s}, Retrying{*policy}, Timeout{500ms}};
                auto task = pipeline(joint.sleeper, [&joint] { return joint.answer(); });
                JointPage page = co_await std::move(task);
                co_return page;
            },
            replace);
        joint.expect(5s, 10s);
    }
}

TEST_CASE("Calls succeed after chaos, between any two layers, has failed or delayed every call",
          "[call][joints][sim]") {
    const std::size_t place = GENERATE(range(std::size_t{0}, std::size_t{6}));
    const bool delays = GENERATE(true, false);
    Joint joint{JointTrouble::refuses};
    // The server has no fault: the faults are those of one layer.
    chaos::Options options{};
    (delays ? options.delays_per_thousand : options.failures_per_thousand) = 1000;
    options.delay = 1h;
    std::vector<std::unique_ptr<chaos::Faults>> faults;
    for (int i = 0; i < 6; ++i) faults.push_back(std::make_unique<chaos::Faults>(options));
    CircuitBreaker breaker{ConsecutiveFailures{5}, OpenFor{3s}, JointClock{&joint.sleeper},
                           HalfOpenOptions{.probe_timeout = 5s}};
    Bulkhead bulkhead{{.limit = 4, .queue = 20}};
    RateLimiter limiter{Rate{50, 1s}, Burst{10}, 20};
    TokenBudget budget{};
    const Pipeline pipeline{Timeout{6s},
                            chaos::Layer{*faults[0]},
                            Retrying{Policy{joint_backoff, Shared{budget}, MaxAttempts{3}}},
                            chaos::Layer{*faults[1]},
                            Shared{breaker},
                            chaos::Layer{*faults[2]},
                            Queued{bulkhead},
                            chaos::Layer{*faults[3]},
                            Hedge{100ms, 1},
                            chaos::Layer{*faults[4]},
                            Queued{limiter},
                            chaos::Layer{*faults[5]},
                            Timeout{1s}};
    joint.play(
        [&]() -> Task<JointPage> {
            auto task = pipeline(joint.sleeper, [&]() -> Task<HttpResponse> {
                co_await joint.pause(20ms);
                co_return HttpResponse{.status = 200};
            });
            JointPage page = co_await std::move(task);
            co_return page;
        },
        [&] { joint.is_bad() ? faults[place]->switch_on() : faults[place]->switch_off(); });
    CAPTURE(place, delays);
    joint.expect(4s, 6s);
    CHECK(bulkhead.running() == 0);
    CHECK(limiter.waiting() == 0);
}

TEST_CASE("An adaptive limit, a throttle and a Hedge with a budget recover together",
          "[call][joints][sim]") {
    for (const JointTrouble trouble : joint_troubles) {
        Joint joint{trouble};
        AdaptiveLimit<Gradient> limit{Gradient{}};
        AdaptiveThrottle throttle{{.window = 10s}};
        RatioBudget budget{};
        const Pipeline pipeline{Retrying{Policy{joint_backoff, Shared{throttle, FailFast{}},
                                                Shared{budget}, MaxAttempts{3}}},
                                Shared{limit}, Hedge{100ms, 1, Shared{budget}}, Timeout{1s}};
        joint.play([&]() -> Task<JointPage> {
            auto task = pipeline(joint.sleeper, [&joint] { return joint.answer(); });
            JointPage page = co_await std::move(task);
            co_return page;
        });
        // The throttle forgets the fault after its window, and adapts within another one.
        joint.expect(20s, 15s);
        CHECK(limit.in_flight() == 0);
    }
}

TEST_CASE("Nested retries with one breaker end together, and none repeats a wait of the other",
          "[call][joints][sim]") {
    for (const JointTrouble trouble : joint_troubles) {
        Joint joint{trouble};
        CircuitBreaker breaker{ConsecutiveFailures{5}, OpenFor{3s}, JointClock{&joint.sleeper}};
        TokenBudget budget{};
        const Policy inner{joint_backoff, Shared{breaker, FailFast{}}, Shared{budget},
                           MaxAttempts{2}};
        const Policy outer{joint_backoff, Shared{budget}, MaxAttempts{3}, MaxElapsed{9s}};
        joint.play([&]() -> Task<JointPage> {
            auto task = retry(outer, joint.sleeper, [&]() -> Task<JointPage> {
                const Pipeline pipeline{Retrying{inner}, Timeout{1s}};
                auto inside = pipeline(joint.sleeper, [&joint] { return joint.answer(); });
                JointPage page = co_await std::move(inside);
                co_return page;
            });
            JointPage page = co_await std::move(task);
            co_return page;
        });
        joint.expect(4s, 12s);
    }
}

TEST_CASE("Numbers that change during a fault and its recovery block no call",
          "[call][joints][sim]") {
    for (const JointTrouble trouble : joint_troubles) {
        Joint joint{trouble};
        CircuitBreaker breaker{ConsecutiveFailures{5}, OpenFor{3s}, JointClock{&joint.sleeper}};
        Bulkhead bulkhead{{.limit = 4, .queue = 50}};
        RateLimiter limiter{Rate{50, 1s}, Burst{10}, 50};
        TokenBudget budget{};
        const Pipeline pipeline{
            Timeout{8s},     Retrying{Policy{joint_backoff, Shared{budget}, MaxAttempts{3}}},
            Shared{breaker}, Queued{bulkhead},
            Queued{limiter}, Timeout{1s}};
        unsigned turn = 0;
        const auto change = [&] {
            if (joint.now() > Joint::bad_until + 3s) return;  // the last numbers stay
            ++turn;
            breaker.set_rules(ConsecutiveFailures{1 + turn % 4}, OpenFor{1s + 1s * (turn % 3)},
                              {.successes = static_cast<std::uint8_t>(1 + turn % 2)});
            bulkhead.set_limit(1 + turn % 8);
            limiter.set_rate(joint.sleeper.now(), Rate{20 + turn % 50, 1s}, Burst{1 + turn % 9});
            budget.set_options(turn % 2 == 0 ? TokenBudgetOptions::aws()
                                             : TokenBudgetOptions::grpc(10, 100));
        };
        joint.play(
            [&]() -> Task<JointPage> {
                auto task = pipeline(joint.sleeper, [&joint] { return joint.answer(); });
                JointPage page = co_await std::move(task);
                co_return page;
            },
            change);
        joint.expect(6s, 8s);
        CHECK(bulkhead.running() == 0);
    }
}

namespace {

/// The numbers of one random case of a breaker and a Hedge.
struct SharedBreakerDraw {
    explicit SharedBreakerDraw(Seed seed) : bits{seed} {}

    [[nodiscard]] std::uint64_t up_to(std::uint64_t most) { return uniform_upto(bits, most); }

    Random bits;
    JointTrouble trouble = joint_troubles[up_to(4)];
    std::uint32_t failures = static_cast<std::uint32_t>(1 + up_to(5));
    Duration open_for = 500ms + 1ms * static_cast<std::int64_t>(up_to(3500));
    HalfOpenOptions half_open{.probes = static_cast<std::uint8_t>(1 + up_to(2)),
                              .successes = static_cast<std::uint8_t>(1 + up_to(2))};
    Duration hedge_after = 1ms * static_cast<std::int64_t>(up_to(300));
    std::size_t further = 1 + up_to(2);
    Duration timeout = 300ms + 1ms * static_cast<std::int64_t>(up_to(1000));
};

/// Plays calls through a pipeline with one breaker.
template <class Breaker, class Layers>
void play_with_breaker(Joint& joint, const SharedBreakerDraw& draw, const Breaker& breaker,
                       const Layers& pipeline) {
    joint.play([&]() -> Task<JointPage> {
        auto task = pipeline(joint.sleeper, [&joint] { return joint.answer(); });
        JointPage page = co_await std::move(task);
        co_return page;
    });
    CHECK(breaker.state() == BreakerState::closed);
    // The breaker may have opened just before the end of the fault, and then needs its probes.
    joint.expect(draw.open_for + 4s, 9s);
}

}  // namespace

TEST_CASE("A breaker around a Hedge, or around each of its calls, closes after a fault",
          "[call][joints][sim][property]") {
    belay_test::for_each_seed(
        [](Seed seed) {
            SharedBreakerDraw draw{seed};
            const bool is_inside = seed.value % 2 == 0;
            CAPTURE(is_inside, draw.failures, draw.open_for.count(), draw.half_open.probes,
                    draw.half_open.successes, draw.hedge_after.count(), draw.further);
            Joint joint{draw.trouble};
            CircuitBreaker breaker{ConsecutiveFailures{draw.failures}, OpenFor{draw.open_for},
                                   JointClock{&joint.sleeper}, draw.half_open};
            const Hedge hedge{draw.hedge_after, draw.further};
            if (is_inside) {
                const Retrying retrying{Policy{joint_backoff, MaxAttempts{4}}};
                play_with_breaker(
                    joint, draw, breaker,
                    Pipeline{Timeout{8s}, retrying, hedge, Shared{breaker}, Timeout{draw.timeout}});
            } else {
                const Retrying retrying{
                    Policy{joint_backoff, Shared{breaker, FailFast{}}, MaxAttempts{4}}};
                play_with_breaker(joint, draw, breaker,
                                  Pipeline{Timeout{8s}, retrying, hedge, Timeout{draw.timeout}});
            }
        },
        200);
}
