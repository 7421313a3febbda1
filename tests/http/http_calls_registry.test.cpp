// SPDX-License-Identifier: MIT
// Goal: operators replace policies and clients by name while calls are under way or wait. Each call
// continues as it began, and soon after the faults end, all calls succeed. Method: random calls and
// changes in virtual time, compared with a plain model of each call.
#include <belay/http/http_calls.hpp>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <belay/backoff/caps.hpp>
#include <belay/backoff/growths.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/call/retry_task.hpp>
#include <belay/policy/registry.hpp>

#include "support/catch.hpp"
#include "support/http/scripted_http.hpp"
#include "support/seeds.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::AsyncSleeper;
using belay_test::ended;
using belay_test::ScriptedHttp;
using belay_test::status;
using policies::AnyPolicy;
using policies::Registry;

namespace {

using NamedCalls = HttpCalls<ScriptedHttp, AsyncSleeper>;

/// The objects that an operator has set under a name.
struct NamedRules {
    AnyPolicy policy;
    Duration wait{};
    int attempts = 0;
};

/// One call, and its attempts.
struct NamedCall {
    std::shared_ptr<const NamedRules> rules;
    int attempts = 0;
    Instant ended_at = always;  // the end of the last attempt
    Duration asked_wait{};      // the rest of the requested wait at that time
    std::string wrong{};
    std::optional<Task<Outcome<HttpResponse>>> task{};
};

Task<Outcome<HttpResponse>> attempt_of(NamedCall& call, std::shared_ptr<NamedCalls> calls,
                                       AsyncSleeper& sleeper, std::string url) {
    if (++call.attempts > call.rules->attempts) call.wrong = "more attempts than its policy allows";
    if (call.attempts > 1) {
        const Duration waited = elapsed(call.ended_at, sleeper.now());
        const Duration wait = std::max(call.rules->wait, call.asked_wait);
        if (waited != wait) call.wrong = "another wait than that of its policy";
    }
    auto task = calls->get(std::move(url));
    Outcome<HttpResponse> outcome = co_await std::move(task);
    call.ended_at = sleeper.now();
    // With hedging, another request than the last one may have requested the wait.
    call.asked_wait = outcome.retry_after();
    co_return outcome;
}

class NamedRig {
public:
    explicit NamedRig(std::uint64_t seed) : bits_{Seed{seed}} {
        sleeper_.random = Random{Seed{seed + 1}};
        http_.answer = [this](const ScriptedHttp::Seen&) { return answer(); };
        for (const char* const name : names) {
            set_rules(name);
            set_calls(name);
        }
    }
    void disturb() {
        const std::string name = names[bits_() % 2];
        switch (bits_() % 12) {
            case 0:
                return set_rules(name);
            case 1:
                return set_calls(name);
            case 2:
                static_cast<void>(clients_.remove(name));
                return;
            case 3:
                static_cast<void>(clients_.evict_idle(sleeper_.now()));
                return;
            case 4:
                if (!all_.empty()) all_[bits_() % all_.size()]->task.reset();
                return;
            default:
                return begin(name);
        }
    }
    void pass(Duration time) { sleeper_.run_until(after(sleeper_.now(), time)); }
    void heal() { is_well_ = true; }
    [[nodiscard]] std::uint64_t some(std::uint64_t n) { return bits_() % n; }

    /// Returns an error text for the calls that have ended; empty if there is none.
    [[nodiscard]] std::string judge() {
        for (const auto& call : all_) {
            if (!call->wrong.empty()) return call->wrong;
            if (!call->task || !call->task->done()) continue;
            const bool succeeded = static_cast<bool>(call->task->take());
            call->task.reset();
            if (!succeeded && call->attempts != call->rules->attempts) {
                return "fewer attempts than its policy allows";
            }
        }
        return {};
    }
    [[nodiscard]] std::size_t under_way() const {
        std::size_t count = 0;
        for (const auto& call : all_) {
            if (call->task) ++count;
        }
        return count;
    }
    /// Returns whether a new call under each name succeeds within this time.
    [[nodiscard]] bool is_well_within(Duration time) {
        for (const char* const name : names) {
            begin(name);
            pass(time);
            auto& task = all_.back()->task;
            if (!task->done() || !task->take()) return false;
            task.reset();
        }
        return true;
    }

private:
    static constexpr const char* names[] = {"east", "west"};

    void set_rules(const std::string& name) {
        const Duration wait = 1s + std::chrono::milliseconds{++version_};
        const int attempts = 1 + static_cast<int>(bits_() % 4);
        REQUIRE(!rules_.set(
            name, NamedRules{AnyPolicy{Policy{Backoff{NoJitter{}, NoCap{}, Constant{wait}},
                                              MaxAttempts{static_cast<std::uint32_t>(attempts)}}},
                             wait, attempts}));
    }
    [[nodiscard]] std::shared_ptr<NamedCalls> make_calls() {
        HttpCallsOptions options;
        options.attempts_max = 1 + static_cast<std::uint32_t>(bits_() % 3);
        options.attempt_timeout = 2s;
        options.breaker.min_calls = 4;
        options.hosts_max = 1 + bits_() % 2;
        options.hedge_after = bits_() % 2 == 0 ? 300ms : forever;
        options.single_flight = bits_() % 2 == 0;
        return std::make_shared<NamedCalls>(http_, sleeper_, options);
    }
    void set_calls(const std::string& name) {
        REQUIRE(!clients_.set(name, make_calls(), sleeper_.now()));
    }
    void begin(const std::string& name) {
        const auto calls = clients_.get(name, sleeper_.now(), [this] { return make_calls(); });
        REQUIRE(calls);
        NamedCall& call = *all_.emplace_back(new NamedCall{.rules = rules_.find(name)});
        const std::string url = "http://h" + std::to_string(bits_() % 3) + "/";
        call.task.emplace(retry(call.rules->policy, sleeper_, [this, &call, calls = *calls, url] {
            return attempt_of(call, calls, sleeper_, url);
        }));
        call.task->start();
    }
    [[nodiscard]] ScriptedHttp::Step answer() {
        if (is_well_) return {status(200), 10ms};
        const Duration time = std::chrono::milliseconds{bits_() % 600};
        switch (bits_() % 6) {
            case 0:
                return {status(200), time};
            case 1:
                return {ended(HttpErrc::lost), time};
            case 2:
                return {status(200), forever};
            case 3:
                return {status(503, {{"Retry-After", "2"}}), time};
            default:
                return {status(503), time};
        }
    }

    Random bits_;
    AsyncSleeper sleeper_;
    ScriptedHttp http_{sleeper_};
    bool is_well_ = false;
    int version_ = 0;
    Registry<const NamedRules> rules_{};
    Registry<NamedCalls> clients_{{.idle_after = 1s}};
    std::vector<std::unique_ptr<NamedCall>> all_{};
};

}  // namespace

TEST_CASE(
    "Calls keep the policy and the HttpCalls with which they began when a Registry has new ones",
    "[http][http_calls][property]") {
    const std::uint64_t seeds = belay_test::from_environment("BELAY_SEEDS", 60);
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        INFO("seed " << seed);
        NamedRig rig{seed};
        for (int i = 0; i < 60; ++i) {
            rig.disturb();
            rig.pass(std::chrono::milliseconds{rig.some(400)});
            REQUIRE(rig.judge().empty());
        }
        rig.heal();
        // Time for the calls under way to end: a request that has the rest of its deadline of 30 s,
        // three waits of 2 s, and a breaker of 5 s.
        rig.pass(50s);
        REQUIRE(rig.judge().empty());
        REQUIRE(rig.under_way() == 0);
        REQUIRE(rig.is_well_within(1s));
    }
}

TEST_CASE("A retry around HttpCalls waits as long as the server requested",
          "[http][http_calls][regression]") {
    AsyncSleeper sleeper;
    ScriptedHttp http{sleeper};
    // The wait is longer than HttpCalls itself waits.
    http.script = {{status(503, {{"Retry-After", "60"}})}, {status(200)}};
    NamedCalls calls{http, sleeper};
    const Policy policy{Backoff{NoJitter{}, NoCap{}, Constant{1s}}, MaxAttempts{2}};
    auto task = retry(policy, sleeper, [&] { return calls.get("http://a/"); });
    task.start();
    sleeper.run();
    REQUIRE(task.done());
    CHECK(task.take());
    // The pace of the host adds up to an eighth, by a draw.
    REQUIRE(http.waits().size() == 1);
    CHECK(http.waits()[0] >= 60s);
    CHECK(http.waits()[0] <= 67500ms);
}
