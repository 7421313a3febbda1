// SPDX-License-Identifier: MIT
// Goal: an AnyPolicy decides and draws like the policy in it, alone and among other rules, and
// makes one allocation at most. Method: two forms of the same policy get the same random events; a
// counting operator new; rules that are large, aligned, or throw when they are copied.
#include <belay/policy/any_policy.hpp>

#include <array>
#include <memory>
#include <optional>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/breaker/breaker.hpp>
#include <belay/budget/budgets.hpp>
#include <belay/call/policies.hpp>
#include <belay/call/retry.hpp>
#include <belay/link/supervisor_core.hpp>
#include <belay/policy/remembered.hpp>
#include <belay/policy/rules.hpp>
#include <belay/policy/shared.hpp>

#include "support/archetypes.hpp"
#include "support/catch.hpp"
#include "support/counting_new.hpp"
#include "support/policy/policy_twins.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::Counting;
using belay_test::twins_agree;
using policies::AnyPolicy;

namespace {

/// A rule that rejects some attempts, and counts the permits that it holds.
struct RejectsSome {
    static constexpr std::string_view name = "RejectsSome";
    int* held;
    int every = 3;
    int begun = 0;

    [[nodiscard]] Advice begin(Turn& turn) noexcept {
        if (++begun % every == 0) return Advice::suspend(after(turn.now, 2s));
        ++*held;
        return Advice::go();
    }
    [[nodiscard]] Advice failed(const Failure&, Turn&) noexcept {
        --*held;
        return Advice::go();
    }
    void succeeded(Turn&) noexcept { --*held; }
    void abandoned(Turn&) noexcept { *held -= 100; }
};

/// A rule of a given size that does nothing.
template <std::size_t Bytes>
struct SizedRule {
    static constexpr std::string_view name = "SizedRule";
    std::array<std::byte, Bytes> bytes{};

    [[nodiscard]] Advice failed(const Failure&, Turn&) noexcept { return Advice::go(); }
};

/// A rule with a stricter alignment than an allocation has by default. GCC passes it by reference,
/// because it has a member that is not trivial.
struct alignas(64) AlignedRule {
    static constexpr std::string_view name = "AlignedRule";
    std::shared_ptr<int> content{};

    [[nodiscard]] Advice failed(const Failure&, Turn&) noexcept {
        const auto address = reinterpret_cast<std::uintptr_t>(this);
        return address % 64 == 0 ? Advice::go() : Advice::stop();
    }
};

/// A rule that holds a reference, and throws when it is copied on request.
template <bool NothrowMove>
class ThrowsWhenCopied {
public:
    static constexpr std::string_view name = "ThrowsWhenCopied";

    ThrowsWhenCopied(std::shared_ptr<int> held, const bool& throws)
        : held_{std::move(held)}, throws_{&throws} {}
    ThrowsWhenCopied(const ThrowsWhenCopied& other) : held_{other.held_}, throws_{other.throws_} {
        if (*throws_) throw 7;
    }
    ThrowsWhenCopied(ThrowsWhenCopied&& other) noexcept(NothrowMove) = default;
    ThrowsWhenCopied& operator=(const ThrowsWhenCopied&) = default;
    ThrowsWhenCopied& operator=(ThrowsWhenCopied&&) noexcept(NothrowMove) = default;

    [[nodiscard]] Advice failed(const Failure&, Turn& turn) noexcept {
        return Advice::wait_at_least(after(turn.now, Duration{*held_}));
    }

private:
    std::shared_ptr<int> held_;
    const bool* throws_;
};

/// A rule that can only be copied, so that a move leaves a reference in its source.
struct CopiesOnMove {
    static constexpr std::string_view name = "CopiesOnMove";
    std::shared_ptr<int> held;

    explicit CopiesOnMove(std::shared_ptr<int> holds) : held{std::move(holds)} {}
    CopiesOnMove(const CopiesOnMove&) noexcept = default;
    CopiesOnMove& operator=(const CopiesOnMove&) noexcept = default;

    [[nodiscard]] Advice failed(const Failure&, Turn&) noexcept { return Advice::go(); }
};

/// A rule that owns an object.
struct OwnsObject {
    static constexpr std::string_view name = "OwnsObject";
    std::shared_ptr<void> object;

    [[nodiscard]] Advice failed(const Failure&, Turn&) noexcept { return Advice::go(); }
};

// The pages specify this size.
static_assert(sizeof(void*) != 8 || sizeof(AnyPolicy) == 160);
// An AnyPolicy that contains another one therefore always allocates.
static_assert(sizeof(AnyPolicy) > AnyPolicy::in_place_bytes_max);

// Returns the allocations after each step: a construction, a copy, moves, hooks.
template <class P>
std::array<std::size_t, 4> allocations_of(const P& rule) {
    std::array<std::size_t, 4> made{};
    Random bits{Seed{1}};
    Turn turn{Instant{}, bits};
    const Counting counting;
    AnyPolicy policy{rule};
    made[0] = counting.made();
    AnyPolicy copy{policy};
    made[1] = counting.made();
    AnyPolicy moved{std::move(policy)};
    policy = std::move(copy);
    made[2] = counting.made();
    for (int i = 0; i < 5; ++i) {
        moved.wanted(turn);
        static_cast<void>(moved.begin(turn));
        static_cast<void>(moved.failed(Failure{Cause::lost}, turn));
    }
    moved.reset();
    made[3] = counting.made();
    return made;
}

const auto twin_backoff = [] { return Backoff{FullJitter{}, Cap{30s}, 100ms}; };
const auto twin_cooldown = [] { return CooldownOn{Cause::overloaded, 5s, 15s}; };
const auto twin_breaker = [] { return Breaker{ConsecutiveFailures{3}, OpenFor{40s}}; };

}  // namespace

TEST_CASE("AnyPolicy gives the advice of the policy in it", "[policy][any_policy][property]") {
    CHECK(rc::check("same events, same advice, same draws", [] {
        TokenBudget budgets[2];
        int held[2] = {0, 0};
        const auto make = [&](int i) {
            return Policy{twin_backoff(),
                          twin_cooldown(),
                          twin_breaker(),
                          RejectsSome{&held[i]},
                          SpreadHint::plus_percent(50),
                          Shared{budgets[i], AskAgain{5s}},
                          MaxElapsed{10min},
                          ResetWhenStable{20s},
                          AttemptTimeout{9s},
                          MaxAttempts{20}};
        };
        twins_agree(make(0), AnyPolicy{make(1)});
        RC_ASSERT(budgets[0].tokens_milli() == budgets[1].tokens_milli());
        RC_ASSERT(held[0] == held[1]);
    }));
}

TEST_CASE("AnyPolicy in a Policy counts as if its rules were written in its place",
          "[policy][any_policy][property]") {
    CHECK(rc::check(
        "a suspension keeps a longer wait of a lower rank, and a limit reviews the whole plan", [] {
            TokenBudget budgets[2];
            int held[2] = {0, 0};
            const Policy flat{twin_backoff(),  RejectsSome{&held[0]},
                              twin_cooldown(), SpreadHint::plus_percent(50),
                              twin_breaker(),  Shared{budgets[0]},
                              MaxElapsed{50s}, RejectsSome{&held[0], 4}};
            const Policy nested{
                twin_backoff(),
                AnyPolicy{RejectsSome{&held[1]}},
                AnyPolicy{Policy{twin_cooldown(), SpreadHint::plus_percent(50)}},
                AnyPolicy{Policy{twin_breaker(), Policy{AnyPolicy{Shared{budgets[1]}}}}},
                AnyPolicy{MaxElapsed{50s}},
                RejectsSome{&held[1], 4}};
            twins_agree(flat, nested);
            RC_ASSERT(budgets[0].tokens_milli() == budgets[1].tokens_milli());
            RC_ASSERT(held[0] == held[1]);
        }));
}

TEST_CASE("AnyPolicy releases a reservation when a later rule stops the plan",
          "[policy][any_policy][unit]") {
    TokenBudget budget{
        {.capacity_milli = 10'000, .retry_cost_milli = 5'000, .timeout_cost_milli = 5'000}};
    Policy policy{AnyPolicy{Policy{Backoff{NoJitter{}, Cap{10s}, 10s}, Shared{budget}}},
                  MaxElapsed{5s}};
    Random bits{Seed{1}};
    Turn turn{Instant{}, bits};
    policy.wanted(turn);
    REQUIRE(policy.begin(turn).verb == Advice::Verb::go);
    CHECK(policy.failed(Failure{Cause::lost}, turn).verb == Advice::Verb::stop);
    CHECK(budget.tokens_milli() == 10'000);
}

TEST_CASE("AnyPolicy is remembered as the policy in it", "[policy][any_policy][property]") {
    CHECK(rc::check("the history that a restart restores", [] {
        TokenBudget budgets[2];
        int held[2] = {0, 0};
        const auto make = [&](int i) {
            return Policy{twin_backoff(),        twin_breaker(),
                          RejectsSome{&held[i]}, SpreadHint::plus_percent(50),
                          Shared{budgets[i]},    MaxElapsed{10min}};
        };
        const auto events = belay_test::twin_events();
        PolicyHistory histories[2];
        Instant flat_until{};
        Instant any_until{};
        for (int round = 0; round < 2; ++round) {
            Random flat_bits{Seed{7}};
            Random any_bits{Seed{7}};
            Remembered flat{histories[0], make(0), Turn{Instant{} + 1h, flat_bits}};
            Remembered any{histories[1], AnyPolicy{make(1)}, Turn{Instant{} + 1h, any_bits}};
            flat_until = flat.admit(Instant{} + 1h).until;
            any_until = any.admit(Instant{} + 1h).until;
            RC_ASSERT(flat_until == any_until);
            RC_ASSERT(flat_bits() == any_bits());
            belay_test::twins_agree(flat, any, events);
        }
        RC_ASSERT(budgets[0].tokens_milli() == budgets[1].tokens_milli());
    }));
}

TEST_CASE("AnyPolicy allocates once for each object of a large policy, and never in a hook",
          "[policy][any_policy][allocation][unit]") {
    using Allocations = std::array<std::size_t, 4>;
    constexpr std::size_t most = AnyPolicy::in_place_bytes_max;
    CHECK(allocations_of(Policy{Backoff{FullJitter{}, Cap{30s}, 100ms}, MaxAttempts{9}}) ==
          Allocations{});
    CHECK(allocations_of(SizedRule<most>{}) == Allocations{});
    CHECK(allocations_of(SizedRule<most + 1>{}) == Allocations{1, 2, 2, 2});
    CHECK(allocations_of(AlignedRule{}) == Allocations{1, 2, 2, 2});
    bool throws = false;
    const auto held = std::make_shared<int>(5);
    CHECK(allocations_of(ThrowsWhenCopied<true>{held, throws}) == Allocations{});
    CHECK(allocations_of(ThrowsWhenCopied<false>{held, throws}) == Allocations{1, 2, 2, 2});
    CHECK(held.use_count() == 1);
    // One for the outer object, and those of the inner one.
    const AnyPolicy small{MaxAttempts{9}};
    const AnyPolicy large{SizedRule<most + 1>{}};
    CHECK(allocations_of(Policy{small, MaxAttempts{9}}) == Allocations{1, 2, 2, 2});
    CHECK(allocations_of(Policy{large, MaxAttempts{9}})[1] >= 4);
}

TEST_CASE("AnyPolicy holds every ready-made policy without an allocation",
          "[policy][any_policy][allocation][unit]") {
    TokenBudget budget{TokenBudgetOptions::grpc(10, 10)};
    const Counting counting;
    const AnyPolicy all[] = {AnyPolicy{policies::grpc_connection()},
                             AnyPolicy{policies::aws_standard(budget)},
                             AnyPolicy{policies::bridge()},
                             AnyPolicy{policies::bridge(budget)},
                             AnyPolicy{policies::sync()},
                             AnyPolicy{policies::sync(budget)},
                             AnyPolicy{policies::reconnection()},
                             AnyPolicy{policies::connection()}};
    CHECK(counting.made() == 0);
    CHECK(all[0].admit(Instant{}).verb == Advice::Verb::go);
}

TEST_CASE("AnyPolicy keeps the alignment of a rule in every copy", "[policy][any_policy][unit]") {
    Random bits{Seed{1}};
    Turn turn{Instant{}, bits};
    std::vector<AnyPolicy> all;
    for (int i = 0; i < 9; ++i) all.push_back(AnyPolicy{AlignedRule{}});  // moves the earlier ones
    const std::vector<AnyPolicy> copies = all;
    for (AnyPolicy copy : copies) {
        CHECK(copy.failed(Failure{Cause::lost}, turn).verb == Advice::Verb::go);
    }
}

TEST_CASE("AnyPolicy keeps its policy when the copy of another one throws",
          "[policy][any_policy][unit]") {
    const auto verify = []<bool NothrowMove>(std::bool_constant<NothrowMove>) {
        Random bits{Seed{1}};
        Turn turn{Instant{}, bits};
        bool throws = false;
        const auto held = std::make_shared<int>(5);
        {
            const AnyPolicy source{ThrowsWhenCopied<NothrowMove>{held, throws}};
            AnyPolicy target{AttemptTimeout{3s}};
            throws = true;
            CHECK_THROWS_AS(target = source, int);
            CHECK(target.attempt_limit() == 3s);
            CHECK_THROWS_AS(AnyPolicy{source}, int);
            CHECK(held.use_count() == 2);
            throws = false;
            target = source;
            CHECK(held.use_count() == 3);
            CHECK(target.failed(Failure{Cause::lost}, turn).until == after(turn.now, 5ns));
            AnyPolicy moved{std::move(target)};
            target = AnyPolicy{MaxAttempts{1}};
            target = std::move(moved);
            CHECK(target.failed(Failure{Cause::lost}, turn).until == after(turn.now, 5ns));
            CHECK(held.use_count() == 3);
        }
        CHECK(held.use_count() == 1);
    };
    verify(std::bool_constant<true>{});
    verify(std::bool_constant<false>{});
    static_assert(std::is_nothrow_move_constructible_v<AnyPolicy>);
    static_assert(std::is_nothrow_move_assignable_v<AnyPolicy>);
}

TEST_CASE("A moved-from AnyPolicy holds no rule", "[policy][any_policy][unit]") {
    const auto held = std::make_shared<int>(5);
    AnyPolicy policy{CopiesOnMove{held}};
    const AnyPolicy moved{std::move(policy)};
    CHECK(held.use_count() == 2);
}

TEST_CASE("An AnyPolicy that was moved from may be assigned to", "[policy][any_policy][unit]") {
    Random bits{Seed{1}};
    Turn turn{Instant{}, bits};
    AnyPolicy policy{MaxAttempts{2}};
    static_cast<void>(policy.failed(Failure{Cause::lost}, turn));
    std::optional<AnyPolicy> moved{std::move(policy)};
    CHECK(moved->failed(Failure{Cause::lost}, turn).verb == Advice::Verb::stop);
    policy = *moved;
    moved.reset();
    CHECK(policy.admit(turn.now).verb == Advice::Verb::stop);
    AnyPolicy& self = policy;
    policy = self;
    CHECK(policy.admit(turn.now).verb == Advice::Verb::stop);
}

TEST_CASE("An AnyPolicy may be assigned from one that a rule of its own owns",
          "[policy][any_policy][unit]") {
    const auto verify = [](auto rule) {
        Random bits{Seed{1}};
        Turn turn{Instant{}, bits};
        auto owned = std::make_shared<AnyPolicy>(Policy{std::move(rule), MaxAttempts{1}});
        AnyPolicy& source = *owned;
        AnyPolicy target{OwnsObject{std::move(owned)}};
        target = std::move(source);  // destroys the source
        CHECK(target.failed(Failure{Cause::lost}, turn).verb == Advice::Verb::stop);
    };
    verify(AttemptTimeout{3s});
    verify(SizedRule<AnyPolicy::in_place_bytes_max>{});
}

TEST_CASE("A rule that an assignment destroys sees the new policy of its AnyPolicy",
          "[policy][any_policy][unit]") {
    Duration seen{};
    AnyPolicy policy{MaxAttempts{1}};
    const auto see = [&](void*) { seen = policy.attempt_limit(); };
    policy = AnyPolicy{OwnsObject{std::shared_ptr<void>{nullptr, see}}};
    CHECK(seen == Duration{});
    policy = AnyPolicy{AttemptTimeout{3s}};
    CHECK(seen == 3s);
}

TEST_CASE("A copy of an AnyPolicy has its own state", "[policy][any_policy][unit]") {
    Random bits{Seed{1}};
    Turn turn{Instant{}, bits};
    const AnyPolicy fresh{MaxAttempts{2}};
    AnyPolicy used = fresh;
    static_cast<void>(used.failed(Failure{Cause::lost}, turn));
    static_cast<void>(used.failed(Failure{Cause::lost}, turn));
    CHECK(used.admit(turn.now).verb == Advice::Verb::stop);
    CHECK(fresh.admit(turn.now).verb == Advice::Verb::go);
    used = fresh;
    CHECK(used.admit(turn.now).verb == Advice::Verb::go);
    used = AnyPolicy{AttemptTimeout{3s}};
    CHECK(used.attempt_limit() == 3s);
    CHECK(used.stable_window(7s) == 7s);
    CHECK(fresh.attempt_limit(4s) == 4s);
}

TEST_CASE("retry runs an AnyPolicy as the policy in it, with one allocation if it is large",
          "[policy][any_policy][allocation][unit]") {
    const auto make = [] {
        return Policy{twin_backoff(), AttemptTimeout{2s}, MaxElapsed{1min}, MaxAttempts{6}};
    };
    const auto run = [](const auto& policy, std::size_t& made) {
        Random bits{Seed{3}};
        belay_test::MinimalSleeper sleeper{bits};
        std::vector<Instant> calls;
        calls.reserve(10);
        const Counting counting;
        CHECK(!retry(policy, sleeper, [&](const Attempt& attempt) {
            calls.push_back(sleeper.now());
            return attempt.deadline != after(sleeper.now(), 2s);  // always false
        }));
        made = counting.made();
        return calls;
    };
    std::size_t made[3] = {};
    const AnyPolicy any{make()};
    const AnyPolicy large{Policy{make(), SizedRule<AnyPolicy::in_place_bytes_max>{}}};
    const std::vector<Instant> calls = run(any, made[1]);
    CHECK(calls == run(make(), made[0]));
    CHECK(calls == run(large, made[2]));
    CHECK(calls.size() == 6);
    CHECK(made[0] == 0);
    CHECK(made[1] == 0);
    CHECK(made[2] == 1);
}

TEST_CASE("A supervised connection waits by an AnyPolicy as by the policy in it",
          "[policy][any_policy][unit]") {
    const auto make = [] {
        return Policy{twin_backoff(), twin_breaker(), ResetWhenStable{10s}, MaxAttempts{9}};
    };
    const auto deadlines = [](auto policy) {
        timeline::SupervisorCore core{std::move(policy)};
        Random bits{Seed{3}};
        Turn turn{Instant{}, bits};
        core.step({.input = timeline::Input::start}, turn);
        std::vector<Instant> all;
        for (int i = 0; i < 40; ++i) {
            if (core.status().state == LinkState::connecting) {
                turn.now = after(turn.now, 100ms);
                if (i % 7 == 0) {
                    core.step({.input = timeline::Input::opened, .proof = true}, turn);
                    turn.now = after(turn.now, 20s);
                }
                core.step({.input = timeline::Input::closed, .failure = {.cause = Cause::lost}},
                          turn);
            } else {
                turn.now = core.deadline();
                core.step({.input = timeline::Input::tick}, turn);
            }
            all.push_back(core.deadline());
        }
        return all;
    };
    const std::vector<Instant> any = deadlines(AnyPolicy{make()});
    CHECK(any == deadlines(make()));
    CHECK(any.front() != never);
}
