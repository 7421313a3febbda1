// SPDX-License-Identifier: MIT
/// \file tests/support/call/drawn_stack.hpp
/// DrawnStack: a Pipeline whose layers and their order are drawn at run time, with a peer in
/// virtual time.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/breaker/circuit_breaker.hpp>
#include <belay/budget/budgets.hpp>
#include <belay/call/hedge.hpp>
#include <belay/call/layers.hpp>
#include <belay/call/limiters.hpp>
#include <belay/call/pipeline.hpp>
#include <belay/call/pipeline_task.hpp>
#include <belay/policy/any_policy.hpp>
#include <belay/policy/rules.hpp>
#include <belay/policy/shared.hpp>

#include "support/call/async_sleeper.hpp"

namespace belay_test {

using namespace belay;

/// The objects that the layers share.
struct StackObjects {
    Duration open_for = std::chrono::seconds{30};
    CircuitBreaker<> breaker{ConsecutiveFailures{5}, OpenFor{open_for}};
    RateLimiter limiter{Rate{50, std::chrono::seconds{1}}, Burst{10}, 100};
    Bulkhead bulkhead{{.limit = 4, .queue = 100}};
    TokenBudget budget{TokenBudgetOptions::aws()};
};

using StackPolicy =
    decltype(Policy{Backoff{FullJitter{}, Cap{Duration{1}}, Duration{1}},
                    std::declval<std::optional<AttemptTimeout>>(),
                    std::declval<std::optional<Shared<TokenBudget>>>(), MaxAttempts{1}});

/// A place in which no layer was drawn.
struct NoLayer {
    auto call(const auto& next, auto&, const Attempt& attempt) const { return next(attempt); }
    template <class Next>
    Task<typename Next::Answer> await(Next next, auto&, Attempt attempt) const {
        return next(attempt);
    }
};

/// One of the layers. Blocking stacks have no Hedge.
template <bool hedges>
struct DrawnLayer {
    static constexpr bool limits_time = true;
    using Usual = std::variant<NoLayer, Timeout, Retrying<StackPolicy>, Shared<CircuitBreaker<>>,
                               Queued<RateLimiter>, Queued<Bulkhead>>;
    using WithHedge =
        std::variant<NoLayer, Timeout, Retrying<StackPolicy>, Shared<CircuitBreaker<>>,
                     Queued<RateLimiter>, Queued<Bulkhead>, Hedge<TokenBudget>>;

    std::conditional_t<hedges, WithHedge, Usual> layer{};

    [[nodiscard]] detail::TimeLimit time_limit(Instant now) const {
        return std::visit(
            [now]<class L>(const L& one) {
                if constexpr (requires { one.time_limit(now); }) return one.time_limit(now);
                return detail::TimeLimit{};
            },
            layer);
    }
    template <class Next>
    typename Next::Answer call(const Next& next, auto& context, const Attempt& attempt) const {
        return std::visit(
            [&](const auto& one) { return detail::layer_of(one).call(next, context, attempt); },
            layer);
    }
    template <class Next>
    Task<typename Next::Answer> await(Next next, auto& context, Attempt attempt) const {
        return std::visit(
            [&](const auto& one) { return detail::layer_of(one).await(next, context, attempt); },
            layer);
    }
};

/// The peer of a stack: in its outage it refuses, hangs or fails late, and is well before and after.
struct StackPeer {
    AsyncSleeper& sleeper;
    Duration took{};
    Instant down_from = never;
    Instant up_again = never;
    /// How long it takes to fail in its outage; `forever` if it hangs.
    Duration fails_after{};
    /// The beginning and the deadline of each call.
    std::vector<std::pair<Instant, Instant>> calls{};

    struct Reply {
        Instant at;
        std::error_code error;
    };
    /// Every call ends by its deadline, and after 5 s at the latest.
    Reply begin(const Attempt& attempt) {
        const Instant now = sleeper.now();
        calls.emplace_back(now, attempt.deadline);
        const bool is_down = now >= down_from && now < up_again;
        const Instant answers = after(now, is_down ? fails_after : took);
        const Instant limit = std::min(attempt.deadline, after(now, std::chrono::seconds{5}));
        const auto answer = is_down ? std::errc::connection_refused : std::errc{};
        if (answers < limit) return {answers, std::make_error_code(answer)};
        return {limit, std::make_error_code(std::errc::timed_out)};
    }
    Result<int> ask(const Attempt& attempt) {
        const Reply reply = begin(attempt);
        sleeper.time = std::max(sleeper.time, reply.at);
        if (reply.error) return reply.error;
        return 1;
    }
    Task<Result<int>> await(Attempt attempt) {
        const Reply reply = begin(attempt);
        if (reply.at > sleeper.now()) co_await sleeper.async_sleep_until(reply.at);
        if (reply.error) co_return reply.error;
        co_return 1;
    }
};

/// The layers of a stack, drawn from a seed.
template <bool hedges>
struct DrawnStack {
    using Layer = DrawnLayer<hedges>;
    std::array<Layer, 6> layers{};
    std::string text{};
    bool repeats_unpaid = false;  // a Retrying without a budget
    bool has_breaker = false;

    DrawnStack(Random& random, StackObjects& objects) {
        const auto some = [&random](std::uint64_t most) { return uniform_upto(random, most); };
        const auto ms = [&some](std::uint64_t least, std::uint64_t most) {
            return std::chrono::milliseconds{least + some(most - least)};
        };
        const Duration outer = ms(200, 5000);
        const Duration inner = ms(100, 2000);
        std::vector<std::pair<std::string, Layer>> drawn;
        const auto add = [&drawn](std::string name, auto layer) {
            drawn.emplace_back(std::move(name), Layer{std::move(layer)});
        };
        const auto in_ms = [](Duration d) {
            return std::to_string(d / std::chrono::milliseconds{1});
        };
        if (some(3) != 0) add("Timeout{" + in_ms(outer) + "}", Timeout{outer});
        if (some(3) != 0) {
            std::optional<AttemptTimeout> limit;
            if (some(2) == 0) limit.emplace(inner);
            std::optional<Shared<TokenBudget>> budget;
            if (some(1) == 0) budget.emplace(objects.budget);
            repeats_unpaid = !budget;
            const Duration base = ms(1, 500);
            add("Retrying{" + in_ms(base) + (limit ? ", AttemptTimeout " + in_ms(inner) : "") +
                    (budget ? ", budget" : "") + "}",
                Retrying{StackPolicy{Backoff{FullJitter{}, Cap{std::chrono::seconds{10}}, base},
                                     limit, budget, MaxAttempts{1 + some(3)}}});
        }
        if (some(5) != 0) add("breaker", Shared{objects.breaker}), has_breaker = true;
        if (some(2) == 0) add("Queued{limiter}", Queued{objects.limiter});
        if (some(2) == 0) add("Queued{bulkhead}", Queued{objects.bulkhead});
        if (some(3) == 0) add("Timeout{" + in_ms(inner) + "}", Timeout{inner});
        if constexpr (hedges) {
            if (drawn.size() < layers.size() && some(1) == 0) {
                add("Hedge", Hedge{ms(5, 500), 1 + some(1), Shared{objects.budget}});
            }
        }
        for (std::size_t i = drawn.size(); i > 1; --i) std::swap(drawn[i - 1], drawn[some(i - 1)]);
        for (std::size_t i = 0; i < drawn.size(); ++i) {
            text += (i == 0 ? "" : ", ") + drawn[i].first;
            layers[i] = std::move(drawn[i].second);
        }
    }
    /// The shortest limit of a call.
    [[nodiscard]] Duration limit() const {
        Duration shortest = forever;
        for (const Layer& one : layers) shortest = std::min(shortest, one.time_limit({}).limit);
        return shortest;
    }
    [[nodiscard]] auto pipeline() const {
        return Pipeline{layers[0], layers[1], layers[2], layers[3], layers[4], layers[5]};
    }
};

}  // namespace belay_test
