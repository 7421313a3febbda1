// SPDX-License-Identifier: MIT
// Goal: connections whose policies share objects, and are replaced while they wait, are all open
// again within a stated time after an outage. Method: many cores in virtual time, an operator who
// changes numbers and policies all the time, and servers that ask for long waits.
#include <belay/link/supervisor_core.hpp>

#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/breaker/circuit_breaker.hpp>
#include <belay/budget/budgets.hpp>
#include <belay/policy/any_policy.hpp>
#include <belay/policy/registry.hpp>
#include <belay/policy/remembered.hpp>
#include <belay/policy/rules.hpp>
#include <belay/policy/shared.hpp>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay::timeline::Input;

namespace {

/// One client: a core, and the policy with which it was started.
struct JointDialler {
    explicit JointDialler(const policies::AnyPolicy& policy,
                          const timeline::SupervisorCoreOptions& o)
        : core{policy, o} {}
    timeline::SupervisorCore<policies::AnyPolicy> core;
    bool is_up = false;
};

struct JointCrowd {
    static constexpr Duration lost_at = 20s, back_at = 80s, end = 260s;

    void add(const policies::AnyPolicy& policy, const timeline::SupervisorCoreOptions& options) {
        clients.push_back(std::make_unique<JointDialler>(policy, options));
        step(*clients.back(), {.input = Input::start});
    }
    void step(JointDialler& one, const timeline::Step& what) {
        Turn turn{now, bits};
        one.core.step(what, turn);
        if (one.core.status().state != LinkState::connecting) return;
        ++dials;
        if (is_away()) {
            one.core.step({.input = Input::closed, .failure = failure}, turn);
        } else {
            one.core.step({.input = Input::opened, .proof = true}, turn);
            one.is_up = true;
        }
    }
    [[nodiscard]] bool is_away() const { return now >= Instant{lost_at} && now < Instant{back_at}; }
    /// Lets one second pass.
    void pass() {
        const Instant until = after(now, 1s);
        for (;;) {
            const auto next =
                std::min_element(clients.begin(), clients.end(), [](const auto& a, const auto& b) {
                    return a->core.deadline() < b->core.deadline();
                });
            if (next == clients.end() || (*next)->core.deadline() > until) break;
            now = std::max(now, (*next)->core.deadline());
            step(**next, {});
        }
        now = until;
        if (now != Instant{lost_at}) return;
        for (const auto& one : clients) {
            one->is_up = false;
            step(*one, {.input = Input::closed, .failure = {.cause = Cause::lost}});
        }
    }

    Failure failure{.cause = Cause::refused};
    Instant now{};
    Random bits{Seed{5}};
    std::vector<std::unique_ptr<JointDialler>> clients{};
    std::uint64_t dials = 0;
};

}  // namespace

TEST_CASE("Connections whose shared numbers and policies change while they wait are all back soon",
          "[link][supervisor_joints][sim]") {
    const Duration requested = GENERATE(Duration{}, Duration{3s}, forever);
    CAPTURE(requested.count());
    JointCrowd crowd;
    CircuitBreaker breaker{ConsecutiveFailures{5}, OpenFor{5s}};
    RatioBudget ratio{};
    TokenBudget tokens{};
    std::vector<std::unique_ptr<PolicyHistory>> histories;
    policies::Registry<> registry;
    unsigned turn = 0;
    const auto replace = [&] {
        ++turn;
        const Backoff backoff{FullJitter{}, Cap{10s}, 1s};
        std::optional<CooldownOn> cooldown;
        if (turn % 2 == 0) cooldown.emplace(Cause::overloaded, 2s, 4s);
        histories.push_back(std::make_unique<PolicyHistory>());
        CHECK_FALSE(registry.set(
            "link", turn % 3 == 0 ? policies::AnyPolicy{Policy{backoff, Shared{breaker}, cooldown}}
                    : turn % 3 == 1
                        ? policies::AnyPolicy{Policy{backoff, cooldown, Shared{ratio, AskAgain{3s}},
                                                     policies::AnyPolicy{Shared{breaker}}}}
                        : policies::AnyPolicy{Remembered{
                              *histories.back(),
                              Policy{backoff, SpreadHint::plus_percent(20), cooldown,
                                     Shared{tokens, AskAgain{3s}}, ResetWhenStable{5s}}}}));
        breaker.set_rules(ConsecutiveFailures{2 + turn % 4}, OpenFor{3s + 1s * (turn % 3)});
        ratio.set_options({.retries_per_thousand = 100 + 100 * (turn % 3)});
    };
    crowd.failure = {.cause = Cause::overloaded, .retry_after = requested};
    std::size_t up_after_return = 0;
    for (Duration second{}; second < JointCrowd::end; second += 1s) {
        if (second <= JointCrowd::back_at) replace();
        if (crowd.clients.size() < 60) {
            crowd.add(*registry.find("link"), {.retry_after_max = 30s});
        }
        crowd.pass();
        if (second == JointCrowd::back_at + 60s) {
            for (const auto& one : crowd.clients) up_after_return += one->is_up ? 1U : 0U;
        }
    }
    // One requested wait of at most 30 s, one open wait and its spread, and one wait of Backoff.
    CHECK(up_after_return == crowd.clients.size());
    for (const auto& one : crowd.clients) {
        CHECK(one->core.status().state == LinkState::connected);
    }
    CHECK(crowd.dials < 60 * 60);
}
