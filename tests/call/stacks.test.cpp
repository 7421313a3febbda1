// SPDX-License-Identifier: MIT
// Goal: any order of layers recovers from an outage of the peer, charges the peer only for the time
// that it had, and does the same in blocking and in coroutine form. Method: drawn stacks of layers
// in virtual time.
#include "support/call/drawn_stack.hpp"

#include <tuple>

#include "support/catch.hpp"
#include "support/page.hpp"
#include "support/seeds.hpp"
#include "support/shorthand.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::AsyncSleeper;
using belay_test::at;
using belay_test::DrawnStack;
using belay_test::StackObjects;
using belay_test::StackPeer;

namespace {

constexpr Instant down_from = at(5s);
constexpr Instant up_again = at(15s);
constexpr Instant end_of_play = at(85s);
constexpr std::int64_t callers_max = 31;

/// The record of the calls of a pipeline.
struct History {
    // The beginning, the end and the error of each call of the pipeline.
    std::vector<std::tuple<Instant, Instant, std::error_code>> calls{};
    std::vector<std::pair<Instant, Instant>> asked{};
    std::uint64_t opened = 0;
    std::uint64_t failures = 0;
    std::uint64_t tokens_milli = 0;
    bool operator==(const History&) const = default;
};

enum class Form { blocking, awaiting };

/// A drawn stack, its peer and its callers.
template <bool hedges>
struct Play {
    Random random;
    AsyncSleeper sleeper{};
    // Longer than any limit of a call, or shorter than most.
    StackObjects objects{some(1) == 0 ? Duration{30s} : ms(20, 5000)};
    DrawnStack<hedges> stack{random, objects};
    StackPeer peer{sleeper};
    Duration gap{};
    History history{};

    explicit Play(Seed seed) : random{seed} {
        peer.took = ms(1, 300);
        const std::uint64_t way = some(2);
        peer.fails_after = way == 0   ? Duration{}
                           : way == 1 ? forever
                                      : stack.limit() / 100 * static_cast<int>(some(99));
        // Short gaps find more, and take more time.
        const std::uint64_t length = some(9);
        gap = length == 0 ? ms(1, 50) : length < 6 ? ms(50, 1000) : ms(1000, 10'000);
    }
    std::uint64_t some(std::uint64_t most) { return uniform_upto(random, most); }
    Duration ms(std::uint64_t least, std::uint64_t most) {
        return std::chrono::milliseconds{least + some(most - least)};
    }
    void note(Instant begun, const Result<int>& result) {
        history.calls.emplace_back(begun, sleeper.now(),
                                   result ? std::error_code{} : result.error());
    }
    // A peer that is well answers within almost the shortest limit.
    void answers_in_time() {
        const Duration limit = std::min<Duration>(stack.limit(), 5s);
        const Duration most = limit - limit / 16 - 1ms;
        peer.took =
            some(1) == 0 ? most / 100 * static_cast<int>(some(100)) : std::min(peer.took, most);
    }
    [[nodiscard]] bool goes_on() const { return sleeper.now() < end_of_play; }
    void call_blocking()
        requires(!hedges)
    {
        const auto pipeline = stack.pipeline();
        while (goes_on()) {
            const Instant begun = sleeper.now();
            note(begun, pipeline(sleeper, [this](const Attempt& a) { return peer.ask(a); }));
            sleeper.time = after(sleeper.time, gap);
        }
        finish();
    }
    Task<bool> call_awaiting() {
        const auto pipeline = stack.pipeline();
        while (goes_on()) {
            const Instant begun = sleeper.now();
            auto call = pipeline(sleeper, [this](Attempt a) { return peer.await(a); });
            note(begun, co_await std::move(call));
            co_await sleeper.async_sleep_until(after(sleeper.now(), gap));
        }
        co_return true;
    }
    void call_awaiting(std::size_t callers) {
        gap = std::max<Duration>(gap, callers * 10ms);
        std::vector<Task<bool>> tasks;
        for (std::size_t i = 0; i < callers; ++i) tasks.push_back(call_awaiting());
        for (auto& task : tasks) task.start();
        sleeper.run();
        for (auto& task : tasks) REQUIRE(task.done());
        finish();
    }
    void finish() {
        history.asked = peer.calls;
        history.opened = objects.breaker.counters().opened;
        history.failures = objects.breaker.counters().failures;
        history.tokens_milli = objects.budget.tokens_milli();
    }
    [[nodiscard]] std::string text() const {
        const auto in_ms = [](Duration d) { return std::to_string(d / 1ms) + " ms"; };
        return stack.text + "; answers take " + in_ms(peer.took) + ", gap " + in_ms(gap) +
               ", open for " + in_ms(objects.open_for) + ", fails after " + in_ms(peer.fails_after);
    }
    /// The longest time from the end of the outage to the first success: the rest of a call that
    /// began in the outage, an open wait, a call whose probe was cut short, a gap before that and
    /// one after it, and an answer.
    [[nodiscard]] Duration slowest_return() const {
        Duration longest{};
        for (const auto& [begun, ended, error] : history.calls) {
            if (begun < up_again) longest = std::max(longest, elapsed(begun, ended));
        }
        const bool may_be_cut = stack.limit() != forever && peer.took > stack.limit() / 2;
        const Duration cut = may_be_cut ? stack.limit() + gap : Duration{};
        return longest + objects.open_for + gap + cut + peer.took;
    }
    [[nodiscard]] Instant first_success_after(Instant from) const {
        Instant first = never;
        for (const auto& [begun, ended, error] : history.calls) {
            if (!error && ended > from) first = std::min(first, ended);
        }
        return first;
    }
};

template <bool hedges>
void check_outage(Play<hedges>& play) {
    INFO(play.text());
    REQUIRE(play.first_success_after(up_again) <= up_again + play.slowest_return());
    const auto asked_in_outage = std::ranges::count_if(play.history.asked, [](const auto& call) {
        return call.first >= down_from && call.first < up_again;
    });
    // The calls of the outage open the breaker.
    const auto failed = std::ranges::count_if(play.history.calls, [](const auto& call) {
        const auto& [begun, ended, error] = call;
        return begun >= down_from && ended < up_again && error && error != CallErrc::call_rejected;
    });
    if (play.stack.has_breaker && asked_in_outage >= 50 && failed >= 50) {
        REQUIRE(play.history.opened >= 1);
    }
    if (play.stack.repeats_unpaid) return;
    // Each retry in the outage costs 5 of the budget's 500 tokens, and none comes back. A call that
    // began before it may still earn one.
    const auto calls = std::ranges::count_if(play.history.calls, [&](const auto& call) {
        return std::get<0>(call) < up_again && std::get<1>(call) >= down_from;
    });
    REQUIRE(asked_in_outage <= calls + 100 + callers_max / 5);
}

template <bool hedges>
void check_healthy(Play<hedges>& play) {
    INFO(play.text());
    REQUIRE(play.first_success_after(always) <= at(5s));
    REQUIRE(play.history.failures == 0);
    REQUIRE(play.history.opened == 0);
}

}  // namespace

TEST_CASE("A stack of layers has the same history in blocking and in coroutine form",
          "[call][stacks][property]") {
    belay_test::for_each_seed([](Seed seed) {
        Play<false> blocking{seed};
        Play<false> awaiting{seed};
        for (auto* const play : {&blocking, &awaiting}) {
            play->peer.down_from = down_from;
            play->peer.up_again = up_again;
            play->gap = std::max<Duration>(play->gap, 10ms);
        }
        blocking.call_blocking();
        awaiting.call_awaiting(1);
        CAPTURE(blocking.stack.text);
        CHECK(blocking.history.asked.size() == awaiting.history.asked.size());
        CHECK(blocking.history.failures == awaiting.history.failures);
        CHECK(blocking.history.opened == awaiting.history.opened);
        CHECK(blocking.history.tokens_milli == awaiting.history.tokens_milli);
        REQUIRE(blocking.history == awaiting.history);
    });
}

TEST_CASE("Calls of any stack of layers succeed soon after an outage, within the budget",
          "[call][stacks][property]") {
    belay_test::for_each_seed([](Seed seed) {
        Play<false> blocking{seed};
        blocking.peer.down_from = down_from;
        blocking.peer.up_again = up_again;
        blocking.answers_in_time();
        blocking.call_blocking();
        check_outage(blocking);
        Play<true> awaiting{seed};
        awaiting.peer.down_from = down_from;
        awaiting.peer.up_again = up_again;
        awaiting.answers_in_time();
        awaiting.call_awaiting(1 + awaiting.some(callers_max - 1));
        check_outage(awaiting);
    });
}

TEST_CASE("A peer that answers within the limits never opens a breaker",
          "[call][stacks][property]") {
    belay_test::for_each_seed([](Seed seed) {
        Play<false> blocking{seed};
        blocking.answers_in_time();
        blocking.call_blocking();
        check_healthy(blocking);
        Play<true> awaiting{seed};
        awaiting.answers_in_time();
        awaiting.call_awaiting(1 + awaiting.some(callers_max - 1));
        check_healthy(awaiting);
    });
}

namespace {

/// The requests of an order of layers in an outage of 10 s, and the time from its end to the first
/// success.
struct OrderResult {
    std::size_t requests = 0;
    Duration back_after = forever;
};

/// Runs twenty callers, which call again 100 ms after each answer. The peer takes 20 ms.
template <class Make>
OrderResult run_order(const Make& make, Duration fails_after) {
    AsyncSleeper sleeper;
    StackObjects objects;
    const auto pipeline = make(objects);
    StackPeer peer{sleeper, 20ms, down_from, up_again, fails_after};
    OrderResult result;
    const auto calls_again = [&]() -> Task<bool> {
        while (sleeper.now() < at(60s)) {
            auto call = pipeline(sleeper, [&peer](Attempt a) { return peer.await(a); });
            const Result<int> answer = co_await std::move(call);
            if (answer && sleeper.now() > up_again) {
                result.back_after = std::min(result.back_after, elapsed(up_again, sleeper.now()));
            }
            co_await sleeper.async_sleep_until(after(sleeper.now(), 100ms));
        }
        co_return true;
    };
    std::vector<Task<bool>> tasks;
    for (int i = 0; i < 20; ++i) tasks.push_back(calls_again());
    for (auto& task : tasks) task.start();
    sleeper.run();
    result.requests =
        static_cast<std::size_t>(std::ranges::count_if(peer.calls, [](const auto& call) {
            return call.first >= down_from && call.first < up_again;
        }));
    return result;
}

/// Returns the row of docs/reference/pipelines.md for an order of layers.
template <class Make>
std::string row_of(const std::string& order, const Make& make) {
    const OrderResult refused = run_order(make, Duration{});
    const OrderResult hung = run_order(make, forever);
    const auto in_s = [](Duration d) {
        const auto tenths = (d + 50ms) / 100ms;
        return d == forever
                   ? std::string{"never"}
                   : std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " s";
    };
    return "| `" + order + "` | " + std::to_string(refused.requests) + " | " +
           in_s(refused.back_after) + " | " + std::to_string(hung.requests) + " | " +
           in_s(hung.back_after) + " |";
}

}  // namespace

TEST_CASE("The table of orders in docs/reference/pipelines.md states what the orders do",
          "[call][stacks][page]") {
    const Policy policy{Backoff{FullJitter{}, Cap{1s}, 100ms}, AttemptTimeout{1s}, MaxAttempts{3}};
    const std::string page = belay_test::page_text("reference/pipelines.md");
    const auto check = [&](const std::string& order, const auto& make) {
        const std::string row = row_of(order, make);
        CAPTURE(row);
        CHECK(page.find("\n" + row) != std::string::npos);
    };
    check("Timeout, Retrying, breaker, Queued", [&](StackObjects& o) {
        return Pipeline{Timeout{3s}, Retrying{policy}, Shared{o.breaker}, Queued{o.bulkhead}};
    });
    check("Timeout, Retrying, Queued, breaker", [&](StackObjects& o) {
        return Pipeline{Timeout{3s}, Retrying{policy}, Queued{o.bulkhead}, Shared{o.breaker}};
    });
    check("Timeout, Queued, Retrying, breaker", [&](StackObjects& o) {
        return Pipeline{Timeout{3s}, Queued{o.bulkhead}, Retrying{policy}, Shared{o.breaker}};
    });
    check("Timeout, breaker, Retrying", [&](StackObjects& o) {
        return Pipeline{Timeout{3s}, Shared{o.breaker}, Retrying{policy}};
    });
    check("breaker, Timeout, Retrying", [&](StackObjects& o) {
        return Pipeline{Shared{o.breaker}, Timeout{3s}, Retrying{policy}};
    });
    check("Retrying, breaker, Timeout", [&](StackObjects& o) {
        return Pipeline{Retrying{policy}, Shared{o.breaker}, Timeout{1s}};
    });
    check("Retrying, Timeout, breaker", [&](StackObjects& o) {
        return Pipeline{Retrying{policy}, Timeout{1s}, Shared{o.breaker}};
    });
    check("Timeout, Retrying with the breaker in its policy", [&](StackObjects& o) {
        return Pipeline{Timeout{3s}, Retrying{Policy{Shared{o.breaker}, policy}}};
    });
    check("Timeout, Retrying with the breaker and FailFast", [&](StackObjects& o) {
        return Pipeline{Timeout{3s}, Retrying{Policy{Shared{o.breaker, FailFast{}}, policy}}};
    });
    check("Timeout, Retrying, Queued, without a breaker", [&](StackObjects& o) {
        return Pipeline{Timeout{3s}, Retrying{policy}, Queued{o.bulkhead}};
    });
}
