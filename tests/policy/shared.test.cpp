// SPDX-License-Identifier: MIT
// Goal: many policies use one object. Each of them has at most one permit, and copies never double
// it. Method: examples.
#include <belay/policy/shared.hpp>

#include <algorithm>
#include <type_traits>
#include <utility>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/breaker/circuit_breaker.hpp>
#include <belay/budget/budgets.hpp>
#include <belay/core/clocks.hpp>
#include <belay/policy/policy.hpp>
#include <belay/policy/rules.hpp>

#include "support/aborts.hpp"
#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

namespace {

constinit CircuitBreaker<SteadyClock> static_breaker{ConsecutiveFailures{5}, OpenFor{300s}};
constinit Policy static_policy{Backoff{FullJitter{}, Cap{10s}, 100ms}, Shared{static_breaker}};

// A clock that must never be read.
struct ForbiddenClock {
    bool* asked;
    [[nodiscard]] Instant now() const noexcept { return *asked = true, Instant{}; }
};

// The minimum for ShareableLike: a counter of permits.
struct MinimalShareable {
    class Permit {
    public:
        Permit() noexcept = default;
        explicit Permit(int& counter) noexcept : out_{&counter} { ++counter; }
        Permit(Permit&& other) noexcept : out_{std::exchange(other.out_, nullptr)} {}
        Permit& operator=(Permit&& other) noexcept {
            neutral();
            out_ = std::exchange(other.out_, nullptr);
            return *this;
        }
        ~Permit() { neutral(); }
        Advice advice() const noexcept { return out_ != nullptr ? Advice::go() : Advice::stop(); }
        Advice failure(Turn&) noexcept { return neutral(), Advice::go(); }
        void success(Turn&) noexcept { neutral(); }
        void neutral() noexcept {
            if (out_ != nullptr) --*out_;
            out_ = nullptr;
        }

    private:
        int* out_ = nullptr;
    };
    explicit MinimalShareable(int limit) noexcept : most{limit} {}
    MinimalShareable(const MinimalShareable&) = delete;
    MinimalShareable& operator=(const MinimalShareable&) = delete;
    Advice admit(Instant) const noexcept { return out < most ? Advice::go() : Advice::stop(); }
    Permit acquire(Turn&) noexcept { return out < most ? Permit{out} : Permit{}; }

    int out = 0;
    int most;
};

// The same as a budget: first attempts are free, and retries take the remaining permits.
struct MinimalBudget : MinimalShareable {
    using MinimalShareable::MinimalShareable;
    Advice admit(Instant) const noexcept { return Advice::go(); }
    Permit acquire(Turn&) noexcept { return Permit{free}; }
    Permit reserve(Cause cause, Turn&) noexcept {
        why = cause;
        ++asked;
        return out < most ? Permit{out} : Permit{};
    }

    int free = 0;
    int asked = 0;
    Cause why = Cause::none;
};

struct BudgetByTime : MinimalBudget {
    using MinimalBudget::MinimalBudget;
    [[nodiscard]] bool gains_by_time() const noexcept { return true; }
};

// Makes attempts in turn, like retry and Supervisor.
struct Driver {
    Random bits{Seed{1}};
    Turn turn{Instant{1000s}, bits};

    Advice::Verb fail(auto& policy, Failure failure = Failure{Cause::lost}) {
        return policy.failed(failure, turn).verb;
    }
    Advice::Verb begin(auto& policy) { return policy.begin(turn).verb; }
};

}  // namespace

static_assert(RuleLike<Shared<MinimalShareable>> && RuleLike<Shared<CircuitBreaker<>>>);
static_assert(std::same_as<decltype(Policy{Shared{static_breaker}}),
                           Policy<Shared<CircuitBreaker<SteadyClock>>>>);
static_assert(std::is_nothrow_copy_constructible_v<Shared<MinimalShareable>> &&
              std::is_nothrow_move_assignable_v<Shared<MinimalShareable>>);
static_assert(!detail::HasLost<Shared<MinimalShareable>> &&
              !detail::HasReset<Shared<MinimalShareable>>);
static_assert(!detail::HasReview<Shared<MinimalShareable>>, "its permits are for attempts");
static_assert(detail::HasReview<Shared<MinimalBudget>> && detail::HasReset<Shared<MinimalBudget>>);
static_assert(!detail::HasLost<Shared<MinimalBudget>>, "getting back what was lost is no retry");
// An option that would be ignored is rejected.
static_assert(std::constructible_from<Shared<MinimalBudget>, MinimalBudget&, AskAgain>);

TEST_CASE("Shared copies refer to one object and never double a permit", "[policy][shared][unit]") {
    MinimalShareable object{2};
    Random bits{Seed{1}};
    Turn turn{Instant{}, bits};
    {
        Shared a{object};
        CHECK(a.begin(turn).verb == Advice::Verb::go);
        Shared b{a};
        CHECK(object.out == 1);
        CHECK(b.begin(turn).verb == Advice::Verb::go);
        CHECK(object.out == 2);
        Shared c{object};
        CHECK(c.admit(turn.now).verb == Advice::Verb::stop);
        CHECK(c.begin(turn).verb == Advice::Verb::stop);
        // Assignment releases the permit of the target. A move transfers the permit.
        a = c;
        CHECK(object.out == 1);
        c = std::move(b);
        CHECK(object.out == 1);
        auto& same = c;
        c = same;
        CHECK(object.out == 1);
    }
    CHECK(object.out == 0);
}

TEST_CASE("Shared notifies its object when a caller wants an attempt", "[policy][shared][unit]") {
    struct Listening : MinimalShareable {
        using MinimalShareable::MinimalShareable;
        void wanted(Turn& turn) noexcept { last = turn.now, ++wants; }
        Instant last{};
        int wants = 0;
    } object{1};
    Random bits{Seed{1}};
    Turn turn{Instant{3s}, bits};
    Policy first{Shared{object}};
    Policy second{MaxAttempts{1}, Policy{Shared{object}}};
    first.wanted(turn);
    CHECK(object.wants == 1);
    CHECK(object.last == turn.now);
    second.wanted(turn);
    CHECK(object.wants == 2);
    second.abandoned(turn);
    CHECK(object.out == 0);
}

TEST_CASE("Shared returns the permit at each verdict", "[policy][shared][unit]") {
    MinimalShareable object{1};
    Random bits{Seed{1}};
    Turn turn{Instant{}, bits};
    Shared rule{object};
    for (int verdict = 0; verdict < 4; ++verdict) {
        CHECK(rule.begin(turn).verb == Advice::Verb::go);
        CHECK(object.out == 1);
        if (verdict == 0) static_cast<void>(rule.failed(Failure{Cause::lost}, turn));
        if (verdict == 1) static_cast<void>(rule.failed(Failure{Cause::planned}, turn));
        if (verdict == 2) rule.succeeded(turn);
        if (verdict == 3) rule.abandoned(turn);
        CHECK(object.out == 0);
    }
}

TEST_CASE("Shared returns its permit when a later rule rejects", "[policy][shared][unit]") {
    MinimalShareable plenty{5};
    MinimalShareable none{0};
    Policy policy{Shared{plenty}, Shared{none}};
    Random bits{Seed{1}};
    Turn turn{Instant{}, bits};
    CHECK(policy.begin(turn).verb == Advice::Verb::stop);
    CHECK(plenty.out == 0);
}

TEST_CASE("Shared breakers use the turn's time, never their own clock", "[policy][shared][unit]") {
    bool asked = false;
    CircuitBreaker breaker{ConsecutiveFailures{1}, OpenFor{10s}, ForbiddenClock{&asked}};
    Policy policy{Shared{breaker}};
    Random bits{Seed{1}};
    Turn turn{Instant{} + 100h, bits};
    CHECK(policy.begin(turn).verb == Advice::Verb::go);
    CHECK(policy.failed(Failure{Cause::lost}, turn) ==
          Advice{Advice::Verb::suspend, turn.now + 10s, "CircuitBreaker"});
    turn.now += 10s;
    CHECK(policy.admit(turn.now).verb == Advice::Verb::go);
    CHECK(policy.begin(turn).verb == Advice::Verb::go);
    policy.abandoned(turn);
    CHECK(policy.begin(turn).verb == Advice::Verb::go);
    policy.succeeded(turn);
    CHECK_FALSE(asked);
}

TEST_CASE("Shared does not begin when another caller took the probe", "[policy][shared][unit]") {
    ManualClock clock;
    CircuitBreaker breaker{ConsecutiveFailures{1}, OpenFor{10s}, clock.view()};
    breaker.acquire().failure();
    clock.advance(10s);
    Policy first{MaxAttempts{3}, Shared{breaker}};
    Policy second = first;
    Random bits{Seed{1}};
    Turn turn{clock.now(), bits};
    // Both are admitted, because admit() takes no permit. One of them begins.
    CHECK(first.admit(turn.now).verb == Advice::Verb::go);
    CHECK(second.admit(turn.now).verb == Advice::Verb::go);
    CHECK(first.begin(turn).verb == Advice::Verb::go);
    const Advice waits = second.begin(turn);
    CHECK(waits.verb == Advice::Verb::suspend);
    CHECK(waits.by == "CircuitBreaker");
    CHECK(waits.until >= turn.now + belay::detail::breaker_recheck);
    CHECK(waits.until <= turn.now + belay::detail::breaker_recheck + 10s);
    first.succeeded(turn);
    CHECK(second.begin(turn).verb == Advice::Verb::go);
}

TEST_CASE("Shared spreads the callers that begin to wait while a breaker is open",
          "[policy][shared][regression]") {
    ManualClock clock;
    CircuitBreaker breaker{ConsecutiveFailures{1}, OpenFor{30s}, clock.view()};
    Random bits{Seed{1}};
    Turn turn{clock.now(), bits};
    Shared opens{breaker};
    opens.wanted(turn);
    CHECK(opens.begin(turn).verb == Advice::Verb::go);
    // The caller that opened the breaker makes the probe.
    const Instant closes = turn.now + 30s;
    CHECK(opens.failed(Failure{Cause::lost}, turn).until == closes);
    turn.now += 29s;
    int of_quarter[4] = {};
    for (int i = 0; i < 1000; ++i) {
        Shared waits{breaker};
        waits.wanted(turn);
        const Instant until = waits.admit(turn.now).until;
        REQUIRE(until >= closes);
        REQUIRE(until <= closes + 30s);
        ++of_quarter[(until - closes) / 7501ms];
        CHECK(waits.begin(turn).until == until);
    }
    for (const int callers : of_quarter) CHECK(callers > 200);
    // These rules draw no random number, so that the later draws in a simulated world do not
    // change.
    Random same = bits;
    Shared fails_fast{breaker, FailFast{}};
    fails_fast.wanted(turn);
    CHECK(fails_fast.admit(turn.now).until == closes);
    Shared layer{breaker};
    layer.do_not_spread();
    layer.wanted(turn);
    CHECK(layer.admit(turn.now).until == closes);
    CHECK(bits() == same());
    // A copy spreads its waits. An assignment does not change whether a rule spreads them.
    Shared copy{layer};
    const Shared source{breaker};
    layer = source;
    layer.wanted(turn);
    CHECK(layer.admit(turn.now).until == closes);
    CHECK(bits() == same());
    copy.wanted(turn);
    CHECK(copy.admit(turn.now).until > closes);
    // The draw of a rule that was used is not passed on to a layer.
    Shared from_used{copy};
    from_used.do_not_spread();
    layer = copy;
    for (auto* exact : {&from_used, &layer}) {
        exact->wanted(turn);
        CHECK(exact->admit(turn.now).until == closes);
    }
}

TEST_CASE("Shared opens one breaker for all policies that use it", "[policy][shared][unit]") {
    ManualClock clock;
    CircuitBreaker breaker{ConsecutiveFailures{4}, OpenFor{10s}, clock.view()};
    const Policy calls{Backoff{NoJitter{}, Cap{10s}, 100ms}, Shared{breaker}, MaxAttempts{5}};
    Policy a = calls;
    Policy b = calls;
    Random bits{Seed{1}};
    Turn turn{clock.now(), bits};
    for (int i = 0; i < 2; ++i) {
        CHECK(a.begin(turn).verb == Advice::Verb::go);
        CHECK(b.begin(turn).verb == Advice::Verb::go);
        static_cast<void>(a.failed(Failure{Cause::lost}, turn));
        static_cast<void>(b.failed(Failure{Cause::lost}, turn));
    }
    // The caller that opened the breaker waits for one open wait, and the other one for a random
    // part more.
    CHECK(b.admit(turn.now) == Advice{Advice::Verb::suspend, turn.now + 10s, "CircuitBreaker"});
    CHECK(calls.admit(turn.now) == b.admit(turn.now));
    CHECK(a.admit(turn.now).verb == Advice::Verb::suspend);
    CHECK(a.admit(turn.now).until > turn.now + 10s);
    CHECK(a.admit(turn.now).until <= turn.now + 20s);
    CHECK(static_policy.admit(turn.now).verb == Advice::Verb::go);
}

TEST_CASE("Shared budgets reserve a token when a retry is planned, and hold it during the wait",
          "[policy][shared][unit]") {
    MinimalBudget budget{1};
    Driver d;
    Policy policy{Backoff{NoJitter{}, Cap{10s}, 1s}, Shared{budget}};
    CHECK(d.begin(policy) == Advice::Verb::go);
    CHECK(budget.out == 0);
    CHECK(budget.free == 1);
    CHECK(d.fail(policy, Failure{Cause::timed_out}) == Advice::Verb::wait_at_least);
    CHECK(budget.out == 1);
    CHECK(budget.free == 0);
    CHECK(budget.why == Cause::timed_out);
    d.turn.now += 1s;
    CHECK(d.begin(policy) == Advice::Verb::go);
    CHECK(budget.asked == 1);
    CHECK(budget.out == 1);
    // The verdict ends the reservation. The next retry needs its own.
    CHECK(d.fail(policy) == Advice::Verb::wait_at_least);
    CHECK(budget.asked == 2);
    CHECK(d.begin(policy) == Advice::Verb::go);
    policy.succeeded(d.turn);
    CHECK(budget.out == 0);
    // After a success, the next attempt is a first attempt again.
    CHECK(d.begin(policy) == Advice::Verb::go);
    CHECK(budget.free == 1);
    CHECK(budget.asked == 2);
}

TEST_CASE("Shared budgets that are empty stop a retry, or try again with AskAgain",
          "[policy][shared][unit]") {
    MinimalBudget budget{0};
    Driver d;
    Policy gives_up{Backoff{NoJitter{}, Cap{10s}, 10s}, Shared{budget}};
    CHECK(d.begin(gives_up) == Advice::Verb::go);
    CHECK(gives_up.failed(Failure{Cause::lost}, d.turn) ==
          Advice{Advice::Verb::stop, never, "Shared"});

    BudgetByTime budget_by_time{0};
    Policy waits{Backoff{NoJitter{}, Cap{10s}, 10s}, Shared{budget_by_time, AskAgain{3s}}};
    CHECK(d.begin(waits) == Advice::Verb::go);
    // The longer wait counts.
    CHECK(waits.failed(Failure{Cause::lost}, d.turn) ==
          Advice{Advice::Verb::suspend, d.turn.now + 10s, "Shared"});
    d.turn.now += 10s;
    CHECK(waits.begin(d.turn) == Advice{Advice::Verb::suspend, d.turn.now + 3s, "Shared"});
    for (int i = 0; i < 100; ++i) {
        d.turn.now += 3s;
        REQUIRE(waits.begin(d.turn).verb == Advice::Verb::suspend);
    }
    budget_by_time.most = 1;
    CHECK(waits.begin(d.turn) == Advice::go());
    CHECK(budget_by_time.out == 1);
    CHECK(budget_by_time.why == Cause::lost);
    waits.succeeded(d.turn);
    CHECK(budget_by_time.out == 0);
}

TEST_CASE("AskAgain makes an attempt without a reservation after one to two waits",
          "[policy][shared][regression]") {
    MinimalBudget budget{0};
    Driver d;
    Duration shortest = forever;
    Duration longest{};
    for (int i = 0; i < 200; ++i) {
        Shared rule{budget, AskAgain{3s}};
        REQUIRE(d.begin(rule) == Advice::Verb::go);
        REQUIRE(d.fail(rule) == Advice::Verb::go);
        const Instant rejected_at = d.turn.now;
        const Advice plan = rule.review(Advice::go(), d.turn);
        REQUIRE(plan.verb == Advice::Verb::suspend);
        const Duration wait = plan.until - rejected_at;
        REQUIRE(wait >= 3s);
        REQUIRE(wait <= 6s);
        shortest = std::min(shortest, wait);
        longest = std::max(longest, wait);
        // An earlier begin, because a gate opened, waits for the same instant.
        d.turn.now += 1s;
        REQUIRE(rule.begin(d.turn) == plan);
        d.turn.now = plan.until - 1ns;
        REQUIRE(rule.begin(d.turn) == plan);
        d.turn.now = plan.until;
        const int free = budget.free;
        REQUIRE(rule.begin(d.turn) == Advice::go());
        REQUIRE(budget.free == free + 1);
        REQUIRE(budget.out == 0);
        // The next attempt waits again, from its own failure.
        REQUIRE(d.fail(rule) == Advice::Verb::go);
        REQUIRE(rule.review(Advice::go(), d.turn).until >= d.turn.now + 3s);
    }
    CHECK(shortest < 3100ms);
    CHECK(longest > 5900ms);
}

TEST_CASE("AskAgain keeps an attempt without a reservation that a later rule rejects",
          "[policy][shared][regression]") {
    MinimalBudget budget{0};
    MinimalShareable busy{1};
    Driver d;
    Policy policy{Backoff{NoJitter{}, Cap{1s}, 1s}, Shared{budget, AskAgain{10s}}, Shared{busy}};
    REQUIRE(d.begin(policy) == Advice::Verb::go);
    const Advice plan = policy.failed(Failure{Cause::lost}, d.turn);
    REQUIRE(plan.until >= d.turn.now + 10s);
    d.turn.now = plan.until;
    const auto wait_rejected = [&] {
        auto taken = busy.acquire(d.turn);
        CHECK(d.begin(policy) == Advice::Verb::stop);
        CHECK(budget.free == 0);
        CHECK(budget.out == 0);
    };
    wait_rejected();
    d.turn.now += 1s;
    wait_rejected();
    // An attempt with a reservation is kept, too.
    budget.most = 1;
    wait_rejected();
    budget.most = 0;
    d.turn.now += 1s;
    REQUIRE(d.begin(policy) == Advice::Verb::go);
    CHECK(budget.free == 1);
    // After an attempt was made and abandoned, the next one waits again.
    d.turn.now += 1s;
    policy.abandoned(d.turn);
    const Advice next = policy.begin(d.turn);
    CHECK(next.verb == Advice::Verb::suspend);
    CHECK(next.until >= d.turn.now + 10s);
    // A new wait is kept also if the plan is abandoned.
    policy.abandoned(d.turn);
    CHECK(policy.begin(d.turn) == next);
    d.turn.now = next.until + 1s;
    policy.abandoned(d.turn);
    CHECK(d.begin(policy) == Advice::Verb::go);
}

TEST_CASE("AskAgain tries again also if the budget stops an attempt without a reservation",
          "[policy][shared][regression]") {
    struct ClosedBudget : MinimalBudget {
        using MinimalBudget::MinimalBudget;
        Permit acquire(Turn& turn) noexcept {
            return is_closed ? Permit{} : MinimalBudget::acquire(turn);
        }
        bool is_closed = true;
    };
    ClosedBudget budget{0};
    Driver d;
    Shared gives_up{budget};
    CHECK(gives_up.begin(d.turn) == Advice::stop());
    Shared rule{budget, AskAgain{3s}};
    CHECK(rule.begin(d.turn) == Advice::suspend(d.turn.now + 3s));
    budget.is_closed = false;
    REQUIRE(d.begin(rule) == Advice::Verb::go);
    REQUIRE(d.fail(rule) == Advice::Verb::go);
    d.turn.now = rule.review(Advice::go(), d.turn).until;
    budget.is_closed = true;
    CHECK(rule.begin(d.turn) == Advice::suspend(d.turn.now + 3s));
    // The rule has waited already, so it waits no longer than the budget requests.
    budget.is_closed = false;
    CHECK(rule.begin(d.turn) == Advice::go());
}

namespace {

// A budget with one part at a time that advises to stop, or to wait.
enum class StoppingPart { admit, acquire, reserve, verdict, nothing };
struct StoppingBudget : MinimalBudget {
    struct Permit : MinimalShareable::Permit {
        Permit() noexcept = default;
        Permit(MinimalShareable::Permit&& granted, Advice next, bool is_rejected) noexcept
            : MinimalShareable::Permit{std::move(granted)},
              next_{next},
              is_rejected_{is_rejected} {}
        Advice advice() const noexcept {
            return is_rejected_ ? next_ : MinimalShareable::Permit::advice();
        }
        Advice failure(Turn&) noexcept { return neutral(), next_; }

    private:
        Advice next_ = Advice::stop();
        bool is_rejected_ = true;
    };
    StoppingBudget(StoppingPart which, Advice no) noexcept
        : MinimalBudget{9}, part{which}, is{no} {}
    Advice admit(Instant) const noexcept { return advice_of(StoppingPart::admit); }
    Permit acquire(Turn&) noexcept { return permit(StoppingPart::acquire); }
    Permit reserve(Cause, Turn&) noexcept { return permit(StoppingPart::reserve); }
    Permit permit(StoppingPart which) noexcept {
        if (part == which) return Permit{{}, is, true};
        return Permit{MinimalShareable::Permit{out}, advice_of(StoppingPart::verdict), false};
    }
    Advice advice_of(StoppingPart which) const noexcept {
        return part == which ? is : Advice::go();
    }

    StoppingPart part;
    Advice is;
};
constexpr StoppingPart stopping_parts[] = {StoppingPart::admit, StoppingPart::acquire,
                                           StoppingPart::reserve, StoppingPart::verdict,
                                           StoppingPart::nothing};

// Returns the advice of a rule at each step of a caller that is rejected, and whose attempt fails.
template <class Rule>
std::vector<Advice> steps_of(Rule rule, StoppingBudget& budget, Driver& d) {
    const StoppingPart part = std::exchange(budget.part, StoppingPart::nothing);
    std::vector<Advice> steps{rule.begin(d.turn)};
    budget.part = part;
    steps.push_back(rule.failed(Failure{Cause::planned}, d.turn));
    steps.push_back(rule.admit(d.turn.now));
    steps.push_back(rule.begin(d.turn));
    steps.push_back(rule.failed(Failure{Cause::lost}, d.turn));
    steps.push_back(rule.review(Advice::go(), d.turn));
    steps.push_back(rule.begin(d.turn));
    return steps;
}

}  // namespace

TEST_CASE("AskAgain suspends when any part of its object advises to stop",
          "[policy][shared][regression]") {
    for (const StoppingPart part : stopping_parts) {
        StoppingBudget budget{part, Advice::stop()};
        Driver d;
        int waits = 0;
        for (const Advice& advice : steps_of(Shared{budget, AskAgain{3s}}, budget, d)) {
            CHECK(advice.verb != Advice::Verb::stop);
            if (advice.verb != Advice::Verb::suspend) continue;
            ++waits;
            CHECK(advice.until >= d.turn.now + 3s);
        }
        CHECK((waits > 0) == (part != StoppingPart::nothing));
    }
    TokenBudget tokens;
    RatioBudget ratio;
    CHECK(Shared{tokens, AskAgain{3s}}.admit(Instant{}) == Advice::go());
    CHECK(Shared{ratio, AskAgain{3s}}.admit(Instant{}) == Advice::go());
}

TEST_CASE("FailFast stops when any part of its object advises to wait",
          "[policy][shared][regression]") {
    for (const StoppingPart part : stopping_parts) {
        Driver d;
        StoppingBudget budget{part, Advice::suspend(d.turn.now + 1h)};
        int stops = 0;
        for (const Advice& advice : steps_of(Shared{budget, FailFast{}}, budget, d)) {
            CHECK(advice.verb != Advice::Verb::suspend);
            if (advice.verb == Advice::Verb::stop) ++stops;
        }
        CHECK((stops > 0) == (part != StoppingPart::nothing));
    }
}

TEST_CASE("AskAgain prefers a reservation to an attempt without one", "[policy][shared][unit]") {
    MinimalBudget budget{0};
    Driver d;
    Shared rule{budget, AskAgain{3s}};
    REQUIRE(d.begin(rule) == Advice::Verb::go);
    REQUIRE(d.fail(rule) == Advice::Verb::go);
    const Advice plan = rule.review(Advice::go(), d.turn);
    budget.most = 1;
    d.turn.now = plan.until;
    CHECK(rule.begin(d.turn) == Advice::go());
    CHECK(budget.out == 1);
    // A run that starts again forgets the rejection.
    budget.most = 0;
    d.turn.now += 1s;
    rule.abandoned(d.turn);
    REQUIRE(rule.begin(d.turn).verb == Advice::Verb::suspend);
    rule.reset();
    d.turn.now += 1h;
    CHECK(rule.begin(d.turn) == Advice::go());
    REQUIRE(d.fail(rule) == Advice::Verb::go);
    CHECK(rule.review(Advice::go(), d.turn).verb == Advice::Verb::suspend);
}

TEST_CASE("Shared budgets get an abandoned token back, and reserve again before a new attempt",
          "[policy][shared][unit]") {
    MinimalBudget budget{1};
    Driver d;
    Shared rule{budget};
    CHECK(d.begin(rule) == Advice::Verb::go);
    CHECK(d.fail(rule) == Advice::Verb::go);
    CHECK(rule.review(Advice::go(), d.turn) == Advice::go());
    CHECK(budget.out == 1);
    rule.abandoned(d.turn);
    rule.abandoned(d.turn);
    CHECK(budget.out == 0);
    // A gate opened: the attempt is still a retry.
    CHECK(d.begin(rule) == Advice::Verb::go);
    CHECK(budget.out == 1);
    rule.abandoned(d.turn);
    budget.most = 0;
    CHECK(d.begin(rule) == Advice::Verb::stop);
    // After a start by command it is a first attempt.
    rule.reset();
    CHECK(d.begin(rule) == Advice::Verb::go);
    CHECK(budget.free == 1);
}

TEST_CASE("Shared budgets reserve no token after a planned end, or after a stop",
          "[policy][shared][unit]") {
    MinimalBudget budget{5};
    Driver d;
    Policy policy{Shared{budget}, MaxAttempts{2}};
    CHECK(d.begin(policy) == Advice::Verb::go);
    CHECK(d.fail(policy, Failure{Cause::planned}) == Advice::Verb::go);
    CHECK(budget.asked == 0);
    CHECK(d.begin(policy) == Advice::Verb::go);
    CHECK(budget.free == 1);
    // A failure without a cause counts as a failure.
    CHECK(d.fail(policy, Failure{Cause::none}) == Advice::Verb::go);
    CHECK(budget.out == 1);
    CHECK(budget.why == Cause::lost);
    CHECK(d.begin(policy) == Advice::Verb::go);
    CHECK(d.fail(policy) == Advice::Verb::stop);
    CHECK(budget.asked == 1);
    CHECK(budget.out == 0);
    // The first attempt after a loss is free.
    policy.reset();
    CHECK(policy.lost(Failure{Cause::lost}, d.turn).verb == Advice::Verb::go);
    CHECK(budget.asked == 1);
}

TEST_CASE("Shared budgets hold no token after copies and destructors", "[policy][shared][unit]") {
    MinimalBudget budget{2};
    Driver d;
    {
        Policy waiting{Shared{budget}};
        CHECK(d.begin(waiting) == Advice::Verb::go);
        CHECK(d.fail(waiting) == Advice::Verb::go);
        CHECK(budget.out == 1);
        // During a run: the copy holds no token, and reserves its own for its retry.
        Policy copy{waiting};
        CHECK(budget.out == 1);
        CHECK(d.begin(copy) == Advice::Verb::go);
        CHECK(budget.out == 2);
        Policy moved{std::move(waiting)};
        CHECK(budget.out == 2);
        CHECK(d.begin(moved) == Advice::Verb::go);
        CHECK(budget.out == 2);
        copy = moved;
        CHECK(budget.out == 1);
    }
    CHECK(budget.out == 0);
    CHECK(budget.free == 0);
}

TEST_CASE("Shared budgets keep a plan whose attempt another rule rejects",
          "[policy][shared][unit]") {
    ManualClock clock;
    MinimalBudget budget{1};
    CircuitBreaker breaker{ConsecutiveFailures{1}, OpenFor{1s}, clock.view()};
    Driver d;
    Policy after_breaker{Shared{breaker}, Shared{budget}};
    Policy before_breaker{Shared{budget}, Shared{breaker}};
    for (int order = 0; order < 2; ++order) {
        const auto run = [&](auto& policy) {
            d.turn.now += 1h;
            CHECK(d.begin(policy) == Advice::Verb::go);
            CHECK(d.fail(policy) == Advice::Verb::suspend);
            d.turn.now += 1s;
            auto probe = breaker.acquire(d.turn);
            CHECK(d.begin(policy) == Advice::Verb::suspend);
            probe.success(d.turn);
            CHECK(d.begin(policy) == Advice::Verb::go);
            CHECK(budget.out == 1);
            policy.succeeded(d.turn);
            CHECK(budget.out == 0);
        };
        order == 0 ? run(after_breaker) : run(before_breaker);
    }
}

TEST_CASE("Shared budgets lose no token on any path", "[policy][shared][property]") {
    CHECK(rc::check("held exactly while a retry is planned or under way", [] {
        MinimalBudget budget{*rc::gen::inRange(0, 3)};
        Driver d;
        Shared rule{budget};
        // The state of a driver: 0 no attempt, 1 an attempt is under way, 2 one is planned.
        int state = 0;
        bool retry = false;
        for (const int event : *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 7))) {
            if (event <= 1 && state != 1) {
                const bool granted = d.begin(rule) == Advice::Verb::go;
                RC_ASSERT(granted == (!retry || budget.most > 0));
                state = granted ? 1 : state;
            } else if (event == 2 && state == 1) {
                RC_ASSERT(d.fail(rule) == Advice::Verb::go);
                retry = true;
                state = rule.review(Advice::go(), d.turn).verb == Advice::Verb::go ? 2 : 0;
            } else if (event == 3 && state == 1) {
                rule.succeeded(d.turn);
                retry = false;
                state = 0;
            } else if (event == 4) {
                rule.abandoned(d.turn);
                state = 0;
            } else if (event == 5 && state == 0) {
                rule.reset();
                retry = false;
            } else if (event == 6) {
                Shared copy{rule};
                RC_ASSERT(d.begin(copy) == Advice::Verb::go || budget.most <= (state != 0));
            }
            RC_ASSERT(budget.out == (retry && state != 0 ? 1 : 0));
            RC_ASSERT(budget.free == (!retry && state == 1 ? 1 : 0));
        }
    }));
}

TEST_CASE("AskAgain aborts on invalid arguments", "[policy][shared][unit]") {
    CHECK(belay_test::aborts_with([] {
              static_cast<void>(AskAgain{0s});
          }).find("the wait must be > 0ns") != std::string::npos);
    CHECK(belay_test::aborts_with([] {
              static_cast<void>(AskAgain{-1s});
          }).find("the wait must be > 0ns") != std::string::npos);
}
