// SPDX-License-Identifier: MIT
// Goal: the calls of check::stability run a policy exactly as retry does.
// Method: the same policy, draws and failures in both; the times of all attempts must be equal.
#include <belay/policy/stability_check.hpp>

#include <memory>
#include <system_error>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/breaker/breaker.hpp>
#include <belay/breaker/circuit_breaker.hpp>
#include <belay/budget/adaptive_throttle.hpp>
#include <belay/budget/budgets.hpp>
#include <belay/call/retry.hpp>
#include <belay/policy/rules.hpp>
#include <belay/policy/shared.hpp>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t compared_attempts_max = 50;

// The causes of the attempts of one call; `none` is a success.
[[nodiscard]] Cause cause_of_attempt(std::uint64_t script, std::size_t attempt) {
    const std::uint64_t draw = belay::detail::mix64(script * 64 + attempt) % 20;
    if (draw == 0 || attempt + 1 >= compared_attempts_max) return Cause::none;
    return draw < 8 ? Cause::lost : draw < 14 ? Cause::timed_out : Cause::overloaded;
}
[[nodiscard]] std::error_code error_of(Cause cause) {
    switch (cause) {
        case Cause::none:
            return {};
        case Cause::timed_out:
            return std::make_error_code(std::errc::timed_out);
        case Cause::overloaded:
            return std::make_error_code(std::errc::resource_unavailable_try_again);
        default:
            return std::make_error_code(std::errc::connection_reset);
    }
}

struct CallerSleeper {
    Random random{Seed{1}};
    Instant time{};
    [[nodiscard]] Instant now() const noexcept { return time; }
    Random& bits() noexcept { return random; }
    template <class Stop>
    void sleep_until(Instant until, const Stop&) noexcept {
        if (until > time) time = until;
    }
};

template <class P>
[[nodiscard]] std::vector<Instant> attempts_of_retry(const P& policy, std::uint64_t script,
                                                     Instant from, Instant& end) {
    std::vector<Instant> attempts;
    CallerSleeper sleeper{Random{Seed{script}}, from};
    static_cast<void>(retry(policy, sleeper, [&] {
        attempts.push_back(sleeper.time);
        sleeper.time = after(sleeper.time, 20ms);
        return error_of(cause_of_attempt(script, attempts.size() - 1));
    }));
    end = sleeper.time;
    return attempts;
}
template <class P>
[[nodiscard]] std::vector<Instant> attempts_of_model(const P& policy, std::uint64_t script,
                                                     Instant from, Instant& end) {
    using belay::detail::StabilityStep;
    std::vector<Instant> attempts;
    Random random{Seed{script}};
    Turn turn{from, random};
    belay::detail::StabilityCaller<P> caller{policy, from};
    for (;;) {
        StabilityStep step = caller.next(turn);
        if (step == StabilityStep::wait) {
            turn.now = caller.until();
            continue;
        }
        if (step == StabilityStep::finished) break;
        attempts.push_back(turn.now);
        turn.now = after(turn.now, 20ms);
        const Cause cause = cause_of(error_of(cause_of_attempt(script, attempts.size() - 1)));
        if (caller.ended(cause, turn) == StabilityStep::finished) break;
    }
    end = turn.now;
    return attempts;
}

// A hundred calls in turn, so that shared objects change.
template <class Make>
void check_equal_to_retry(Make make) {
    const auto retried = make();
    const auto modelled = make();
    Instant retry_now{}, model_now{};
    std::size_t attempts = 0;
    for (std::uint64_t script = 1; script <= 100; ++script) {
        CAPTURE(script);
        const auto expected =
            attempts_of_retry(retried->policy(), script, after(retry_now, 10ms), retry_now);
        const auto actual =
            attempts_of_model(modelled->policy(), script, after(model_now, 10ms), model_now);
        REQUIRE(actual == expected);
        REQUIRE(model_now == retry_now);
        attempts += expected.size();
    }
    CHECK(attempts > 50);
}

template <class... Rules>
struct CallerRig {
    [[nodiscard]] auto policy() const { return whole; }
    Policy<Rules...> whole;
};
template <class... Rules>
[[nodiscard]] auto rig_of(Rules... rules) {
    return [=] {
        return std::make_unique<CallerRig<Rules...>>(
            CallerRig<Rules...>{Policy<Rules...>{rules...}});
    };
}

template <class Object>
[[nodiscard]] auto usual_rules(Object& object) {
    return Policy{Backoff{FullJitter{}, Cap{10s}, 100ms}, Shared{object}, MaxElapsed{20s}};
}

}  // namespace

TEST_CASE("StabilityCaller makes its attempts at the same times as retry",
          "[policy][stability_caller][property]") {
    const Backoff backoff{FullJitter{}, Cap{10s}, 100ms};
    check_equal_to_retry(rig_of(backoff, MaxAttempts{4}));
    check_equal_to_retry(rig_of(backoff, MaxElapsed{3s}));
    check_equal_to_retry(rig_of(StopOn{Cause::overloaded}, MaxAttempts{7}));
    check_equal_to_retry(rig_of(backoff, CooldownOn{Cause::overloaded, 5s, 15s}, MaxElapsed{60s}));
    check_equal_to_retry(rig_of(backoff, Breaker{ConsecutiveFailures{2}, OpenFor{7s}}));
}

TEST_CASE("StabilityCaller uses shared objects in the same way as retry",
          "[policy][stability_caller][property]") {
    struct Breakers {
        CircuitBreaker<> object{ConsecutiveFailures{3}, OpenFor{5s}};
        [[nodiscard]] auto policy() { return usual_rules(object); }
    };
    check_equal_to_retry([] { return std::make_unique<Breakers>(); });
    struct Budgets {
        TokenBudget object{{.capacity_milli = 30'000}};
        [[nodiscard]] auto policy() { return usual_rules(object); }
    };
    check_equal_to_retry([] { return std::make_unique<Budgets>(); });
    struct Throttles {
        AdaptiveThrottle object{};
        [[nodiscard]] auto policy() { return usual_rules(object); }
    };
    check_equal_to_retry([] { return std::make_unique<Throttles>(); });
}
