// SPDX-License-Identifier: MIT
// Goal: many policies use one object, each with at most one permit, which copies never double.
#include <belay/policy/shared.hpp>

#include <type_traits>

#include <belay/core/manual_clock.hpp>
#include <belay/policy/backoff.hpp>
#include <belay/policy/circuit_breaker.hpp>
#include <belay/policy/max_attempts.hpp>
#include <belay/policy/no_jitter.hpp>
#include <belay/policy/policy.hpp>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

namespace {

constinit CircuitBreaker<SteadyClock> static_breaker{ConsecutiveFailures{5}, OpenFor{300s}};
constinit Policy static_policy{Backoff{FullJitter{}, Cap{10s}, 100ms}, Shared{static_breaker}};

// A clock that must never be asked.
struct ForbiddenClock {
    bool* asked;
    [[nodiscard]] Instant now() const noexcept { return *asked = true, Instant{}; }
};

// The least that ShareableLike asks for: a counter of permits.
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

struct WithoutPermit {
    Advice admit(Instant) const noexcept;
};
struct AdmitChanges : MinimalShareable {
    Advice admit(Instant) noexcept;
};

}  // namespace

static_assert(ShareableLike<CircuitBreaker<SteadyClock>> && ShareableLike<MinimalShareable>);
static_assert(explain_shareable_like<MinimalShareable>());
static_assert(!ShareableLike<int> && !ShareableLike<WithoutPermit>);
static_assert(!ShareableLike<AdmitChanges>);
static_assert(RuleLike<Shared<MinimalShareable>> && RuleLike<Shared<CircuitBreaker<>>>);
static_assert(std::same_as<decltype(Policy{Shared{static_breaker}}),
                           Policy<Shared<CircuitBreaker<SteadyClock>>>>);
static_assert(std::is_nothrow_copy_constructible_v<Shared<MinimalShareable>> &&
              std::is_nothrow_move_assignable_v<Shared<MinimalShareable>>);
static_assert(!detail::HasLost<Shared<MinimalShareable>> &&
              !detail::HasReset<Shared<MinimalShareable>>);

TEST_CASE("Shared copies refer to one object and never double a permit", "[policy][shared][unit]") {
    MinimalShareable object{2};
    Random bits{Seed{1}};
    Turn turn{Instant{}, bits};
    {
        Shared a{object};
        CHECK(a.begin(turn).verb == Verb::go);
        Shared b{a};
        CHECK(object.out == 1);
        CHECK(b.begin(turn).verb == Verb::go);
        CHECK(object.out == 2);
        Shared c{object};
        CHECK(c.admit(turn.now).verb == Verb::stop);
        CHECK(c.begin(turn).verb == Verb::stop);
        // Assignment gives back what the target held; moving moves the permit.
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

TEST_CASE("Shared returns the permit at each verdict", "[policy][shared][unit]") {
    MinimalShareable object{1};
    Random bits{Seed{1}};
    Turn turn{Instant{}, bits};
    Shared rule{object};
    for (int verdict = 0; verdict < 4; ++verdict) {
        CHECK(rule.begin(turn).verb == Verb::go);
        CHECK(object.out == 1);
        if (verdict == 0) static_cast<void>(rule.failed(Failure{Cause::lost}, turn));
        if (verdict == 1) static_cast<void>(rule.failed(Failure{Cause::planned}, turn));
        if (verdict == 2) rule.succeeded(turn);
        if (verdict == 3) rule.abandoned(turn);
        CHECK(object.out == 0);
    }
}

TEST_CASE("Shared gives its permit back when a later rule refuses", "[policy][shared][unit]") {
    MinimalShareable plenty{5};
    MinimalShareable none{0};
    Policy policy{Shared{plenty}, Shared{none}};
    Random bits{Seed{1}};
    Turn turn{Instant{}, bits};
    CHECK(policy.begin(turn).verb == Verb::stop);
    CHECK(plenty.out == 0);
}

TEST_CASE("Shared breakers use the turn's time, never their own clock", "[policy][shared][unit]") {
    bool asked = false;
    CircuitBreaker breaker{ConsecutiveFailures{1}, OpenFor{10s}, ForbiddenClock{&asked}};
    Policy policy{Shared{breaker}};
    Random bits{Seed{1}};
    Turn turn{Instant{} + 100h, bits};
    CHECK(policy.begin(turn).verb == Verb::go);
    CHECK(policy.failed(Failure{Cause::lost}, turn) ==
          Advice{Verb::suspend, turn.now + 10s, "CircuitBreaker"});
    turn.now += 10s;
    CHECK(policy.admit(turn.now).verb == Verb::go);
    CHECK(policy.begin(turn).verb == Verb::go);
    policy.abandoned(turn);
    CHECK(policy.begin(turn).verb == Verb::go);
    policy.succeeded(turn);
    CHECK_FALSE(asked);
}

TEST_CASE("Shared refuses to begin when another caller took the probe", "[policy][shared][unit]") {
    ManualClock clock;
    CircuitBreaker breaker{ConsecutiveFailures{1}, OpenFor{10s}, clock.view()};
    breaker.acquire().failure();
    clock.advance(10s);
    Policy first{MaxAttempts{3}, Shared{breaker}};
    Policy second = first;
    Random bits{Seed{1}};
    Turn turn{clock.now(), bits};
    // Both are admitted: asking takes nothing. One begins.
    CHECK(first.admit(turn.now).verb == Verb::go);
    CHECK(second.admit(turn.now).verb == Verb::go);
    CHECK(first.begin(turn).verb == Verb::go);
    CHECK(second.begin(turn) ==
          Advice{Verb::suspend, turn.now + breaker_recheck, "CircuitBreaker"});
    first.succeeded(turn);
    CHECK(second.begin(turn).verb == Verb::go);
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
        CHECK(a.begin(turn).verb == Verb::go);
        CHECK(b.begin(turn).verb == Verb::go);
        static_cast<void>(a.failed(Failure{Cause::lost}, turn));
        static_cast<void>(b.failed(Failure{Cause::lost}, turn));
    }
    CHECK(a.admit(turn.now) == Advice{Verb::suspend, turn.now + 10s, "CircuitBreaker"});
    CHECK(b.admit(turn.now) == a.admit(turn.now));
    CHECK(calls.admit(turn.now) == a.admit(turn.now));
    CHECK(static_policy.admit(turn.now).verb == Verb::go);
}
