// SPDX-License-Identifier: MIT
// Goal: every rule gets every event, their advice is combined by rank, and nesting changes nothing.
// Method: recording rules.
#include <belay/policy/policy.hpp>

#include <algorithm>
#include <array>
#include <string>
#include <type_traits>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/breaker/breaker.hpp>
#include <belay/policy/rules.hpp>

#include "support/archetypes.hpp"
#include "support/catch.hpp"
#include "support/shorthand.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::at;

namespace {

// Records the calls of its hooks, and returns the advice that the test sets.
struct AdviceRecorder {
    static constexpr std::string_view name = "AdviceRecorder";
    std::vector<std::string>* observed;
    std::string id;
    Advice answer{};
    Advice at_begin{};

    void note(const char* what) const { observed->push_back(id + what); }
    Advice admit(Instant) const noexcept { return note(".admit"), answer; }
    Advice begin(Turn&) noexcept { return note(".begin"), at_begin; }
    Advice failed(const Failure&, Turn&) noexcept { return note(".failed"), answer; }
    Advice lost(const Failure&, Turn&) noexcept { return note(".lost"), answer; }
    void succeeded(Turn&) noexcept { note(".succeeded"); }
    void abandoned(Turn&) noexcept { note(".abandoned"); }
    void reset() noexcept { note(".reset"); }
};

struct FixedAdvice {
    Advice answer;
    constexpr Advice failed(const Failure&, Turn&) const noexcept { return answer; }
    constexpr Advice lost(const Failure&, Turn&) const noexcept { return answer; }
    constexpr Advice admit(Instant) const noexcept { return answer; }
};

template <class P>
Advice folded(P policy) {
    Random bits{Seed{1}};
    Turn turn{Instant{}, bits};
    return policy.failed(Failure{Cause::lost}, turn);
}

}  // namespace

// A policy has the hook `wanted` if one of its rules has it, at any depth.
struct WantedCounter : FixedAdvice {
    int* wants;
    void wanted(Turn&) noexcept { ++*wants; }
};
static_assert(!detail::HasWanted<Policy<>> && !detail::HasWanted<Policy<MaxAttempts, FixedAdvice>>);
static_assert(!detail::HasWanted<Policy<Policy<MaxAttempts>>>);
static_assert(detail::HasWanted<Policy<MaxAttempts, WantedCounter>>);
static_assert(detail::HasWanted<Policy<MaxAttempts, Policy<Policy<WantedCounter>>>>);

// Types: a Policy is a rule, nests by CTAD, adds no size of its own, and moves like its rules.
static_assert(RuleLike<Policy<>> && RuleLike<Policy<MaxAttempts, FixedAdvice>>);
static_assert(std::is_empty_v<Policy<>>);
static_assert(std::same_as<decltype(Policy{MaxAttempts{1}, StopOn{Cause::permanent}}),
                           Policy<MaxAttempts, StopOn>>);
static_assert(std::same_as<decltype(Policy{Policy{MaxAttempts{1}}, Policy{AttemptTimeout{1s}}}),
                           Policy<Policy<MaxAttempts>, Policy<AttemptTimeout>>>);
static_assert(std::is_trivially_copyable_v<Policy<Backoff<FullJitter, Cap>, MaxAttempts>>);
static_assert(sizeof(Policy<Backoff<FullJitter, Cap>, MaxAttempts>) == 32 + 16);
// The hooks are noexcept for all constructors of a rule. The noexcept of constructors is that of
// the rules.
struct CopyThrows {
    CopyThrows() = default;
    CopyThrows(const CopyThrows&) noexcept(false) {}
    CopyThrows& operator=(const CopyThrows&) = default;
    Advice admit(Instant) const noexcept { return Advice::go(); }
};
static_assert(std::is_nothrow_constructible_v<Policy<MaxAttempts>, MaxAttempts>);
static_assert(!std::is_nothrow_constructible_v<Policy<CopyThrows>, CopyThrows>);
static_assert(noexcept(std::declval<Policy<CopyThrows>&>().admit(never)));
static_assert(noexcept(std::declval<Policy<MaxAttempts>&>().failed(Failure{},
                                                                   std::declval<Turn&>())));
template class belay::Policy<belay_test::MinimalRule, belay_test::MinimalRule>;

TEST_CASE("Policy requires of a rule only the promises of RuleLike", "[policy][policy][unit]") {
    Policy policy{belay_test::MinimalRule{1}};
    Random bits;
    Turn turn{Instant{}, bits};
    CHECK(policy.admit(turn.now).verb == Advice::Verb::go);
    CHECK(policy.begin(turn).verb == Advice::Verb::go);
    CHECK(policy.failed(Failure{}, turn).verb == Advice::Verb::stop);
    CHECK(policy.lost(Failure{}, turn).verb == Advice::Verb::go);
    policy.succeeded(turn);
    policy.abandoned(turn);
    policy.reset();
    CHECK(policy.stable_window() == 10s);
    CHECK(policy.attempt_limit() == 30s);
}

TEST_CASE("Policy passes every event to every rule, in the written order",
          "[policy][policy][property]") {
    CHECK(rc::check("for any advice of the others", [] {
        std::vector<std::string> observed;
        const auto answer = [] {
            return Advice{static_cast<Advice::Verb>(*rc::gen::inRange(0, 5)), {}, {}};
        };
        const auto go = Advice::go();
        Policy policy{AdviceRecorder{&observed, "a", answer(), go},
                      Policy{AdviceRecorder{&observed, "b", answer(), go},
                             AdviceRecorder{&observed, "c", answer(), go}},
                      AdviceRecorder{&observed, "d", answer(), go}};
        Random bits{Seed{1}};
        Turn turn{Instant{}, bits};
        const auto all_observed = [&](const std::string& what) {
            const std::vector<std::string> expected{"a" + what, "b" + what, "c" + what, "d" + what};
            RC_ASSERT(observed == expected);
            observed.clear();
        };
        static_cast<void>(policy.admit(turn.now)), all_observed(".admit");
        policy.begin(turn), all_observed(".begin");
        static_cast<void>(policy.failed(Failure{}, turn)), all_observed(".failed");
        static_cast<void>(policy.lost(Failure{}, turn)), all_observed(".lost");
        policy.succeeded(turn), all_observed(".succeeded");
        policy.abandoned(turn), all_observed(".abandoned");
        policy.reset(), all_observed(".reset");
    }));
}

TEST_CASE("Policy notifies each rule with that hook once that an attempt is wanted",
          "[policy][policy][unit]") {
    int first = 0;
    int second = 0;
    Policy policy{WantedCounter{{}, &first}, MaxAttempts{1},
                  Policy{MaxAttempts{1}, WantedCounter{{}, &second}}};
    Random bits{Seed{1}};
    Turn turn{Instant{}, bits};
    policy.wanted(turn);
    CHECK(first == 1);
    CHECK(second == 1);
    static_cast<void>(policy.admit(turn.now));
    static_cast<void>(policy.begin(turn));
    static_cast<void>(policy.failed(Failure{Cause::lost}, turn));
    policy.abandoned(turn);
    policy.reset();
    CHECK(first == 1);
    CHECK(second == 1);
}

TEST_CASE("Policy::begin abandons in reverse the rules that had begun before a rejection",
          "[policy][policy][unit]") {
    std::vector<std::string> observed;
    const Advice go = Advice::go();
    Policy policy{
        AdviceRecorder{&observed, "a", go, go},
        Policy{AdviceRecorder{&observed, "b", go, go}, AdviceRecorder{&observed, "c", go, go}},
        AdviceRecorder{&observed, "d", go, Advice::suspend(at(7s))},
        AdviceRecorder{&observed, "e", go, go}};
    Random bits;
    Turn turn{Instant{}, bits};
    CHECK(policy.begin(turn) == Advice{Advice::Verb::suspend, at(7s), "AdviceRecorder"});
    CHECK(observed == std::vector<std::string>{"a.begin", "b.begin", "c.begin", "d.begin",
                                               "c.abandoned", "b.abandoned", "a.abandoned"});
}

// A rule that cannot reject, and takes a permit when an attempt begins.
struct Certain {
    static constexpr bool listens = true;
    std::vector<std::string>* observed;
    std::string id;

    void note(const char* what) const { observed->push_back(id + what); }
    void begin(Turn&) noexcept { note(".begin"); }
    void abandoned(Turn&) noexcept { note(".abandoned"); }
};
// A rule that takes a permit for a plan, and has no begin.
struct Planner {
    std::vector<std::string>* observed;

    Advice review(const Advice&, Turn&) noexcept { return Advice::go(); }
    void abandoned(Turn&) noexcept { observed->push_back("planner.abandoned"); }
};

TEST_CASE("Policy::begin begins the rules that cannot reject when no other rule has rejected",
          "[policy][policy][unit]") {
    std::vector<std::string> observed;
    const Advice go = Advice::go();
    Random bits;
    Turn turn{Instant{}, bits};
    Policy rejects{Certain{&observed, "a"}, Planner{&observed},
                   Policy{Certain{&observed, "b"}, AdviceRecorder{&observed, "c", go, go}},
                   AdviceRecorder{&observed, "d", go, Advice::suspend(at(7s))},
                   Certain{&observed, "e"}};
    CHECK(rejects.begin(turn).verb == Advice::Verb::suspend);
    CHECK(observed == std::vector<std::string>{"c.begin", "d.begin", "c.abandoned"});

    observed.clear();
    Policy goes{Certain{&observed, "a"},
                Policy{Certain{&observed, "b"}, AdviceRecorder{&observed, "c", go, go}},
                AdviceRecorder{&observed, "d", go, go}, Certain{&observed, "e"}};
    CHECK(goes.begin(turn) == go);
    CHECK(observed ==
          std::vector<std::string>{"c.begin", "d.begin", "a.begin", "b.begin", "e.begin"});
}

TEST_CASE("Policy::begin undoes a rejection inside a nested policy", "[policy][policy][unit]") {
    std::vector<std::string> observed;
    const Advice go = Advice::go();
    Policy policy{AdviceRecorder{&observed, "a", go, go},
                  Policy{AdviceRecorder{&observed, "b", go, go},
                         AdviceRecorder{&observed, "c", go, Advice::stop()}}};
    Random bits;
    Turn turn{Instant{}, bits};
    CHECK(policy.begin(turn).verb == Advice::Verb::stop);
    CHECK(observed ==
          std::vector<std::string>{"a.begin", "b.begin", "c.begin", "b.abandoned", "a.abandoned"});
}

TEST_CASE("Policy suspends until the latest of all waits, including those of a lower rank",
          "[policy][policy][property]") {
    CHECK(rc::check("in any order and nesting", [] {
        std::array<Advice, 4> advice;
        for (auto& a : advice) {
            a = {static_cast<Advice::Verb>(*rc::gen::inRange(0, 5)),
                 at(Duration{*rc::gen::inRange(0, 9)}),
                 {}};
        }
        const auto [a, b, c, d] = advice;
        const Advice flat =
            folded(Policy{FixedAdvice{a}, FixedAdvice{b}, FixedAdvice{c}, FixedAdvice{d}});

        const Advice::Verb top = std::max({a.verb, b.verb, c.verb, d.verb});
        Instant latest_of_top = always;
        Instant latest = always;
        for (const auto& x : advice) {
            if (x.verb == top) latest_of_top = std::max(latest_of_top, x.until);
            if (x.verb != Advice::Verb::go) latest = std::max(latest, x.until);
        }
        RC_ASSERT(flat.verb == top);
        if (top != Advice::Verb::go && top != Advice::Verb::stop) {
            RC_ASSERT(flat.until == (top == Advice::Verb::suspend ? latest : latest_of_top));
        }

        RC_ASSERT(folded(Policy{Policy{FixedAdvice{a}, FixedAdvice{b}},
                                Policy{FixedAdvice{c}, FixedAdvice{d}}}) == flat);
        RC_ASSERT(folded(Policy{FixedAdvice{a},
                                Policy{FixedAdvice{b}, Policy{FixedAdvice{c}, FixedAdvice{d}}}}) ==
                  flat);
        const Advice reversed =
            folded(Policy{FixedAdvice{d}, FixedAdvice{c}, FixedAdvice{b}, FixedAdvice{a}});
        RC_ASSERT(reversed.verb == flat.verb);
        RC_ASSERT(reversed.until == flat.until);
        RC_ASSERT(Policy(FixedAdvice{a}, FixedAdvice{b}, FixedAdvice{c}, FixedAdvice{d})
                      .admit(Instant{}) == flat);
    }));
}

// Records a failure, then reviews the plan.
struct Reviewer {
    static constexpr std::string_view name = "Reviewer";
    std::vector<std::string>* observed;
    std::string id;
    Advice at_review{};
    std::vector<Advice>* plans = nullptr;

    void note(const char* what) const { observed->push_back(id + what); }
    Advice failed(const Failure&, Turn&) noexcept { return note(".failed"), Advice::go(); }
    Advice review(const Advice& planned, Turn&) noexcept {
        note(".review");
        if (plans != nullptr) plans->push_back(planned);
        return at_review;
    }
    void abandoned(Turn&) noexcept { note(".abandoned"); }
};

TEST_CASE("Policy passes the combined plan to each review after the hooks of all rules were called",
          "[policy][policy][unit]") {
    std::vector<std::string> observed;
    std::vector<Advice> plans;
    Policy policy{Reviewer{&observed, "a", Advice::wait_at_least(at(9s)), &plans},
                  Policy{Reviewer{&observed, "b", {}, &plans}},
                  AdviceRecorder{&observed, "c", Advice::wait_at_least(at(5s))}};
    Random bits{Seed{1}};
    Turn turn{Instant{}, bits};

    const Advice after_failure = policy.failed(Failure{Cause::lost}, turn);

    CHECK(after_failure.until == at(9s));
    CHECK(after_failure.by == "Reviewer");
    CHECK(observed ==
          std::vector<std::string>{"a.failed", "b.failed", "c.failed", "a.review", "b.review"});
    REQUIRE(plans.size() == 2);
    CHECK(plans[0].until == at(5s));
    CHECK(plans[0].by == "AdviceRecorder");
    CHECK(plans[1].until == at(9s));

    observed.clear();
    (void)policy.lost(Failure{Cause::lost}, turn);
    CHECK(observed == std::vector<std::string>{"c.lost", "a.review", "b.review"});
}

TEST_CASE("Policy calls no review for a plan that is already stopped", "[policy][policy][unit]") {
    std::vector<std::string> observed;
    Policy policy{Reviewer{&observed, "a"}, StopOn{Cause::permanent}};
    Random bits{Seed{1}};
    Turn turn{Instant{}, bits};

    CHECK(policy.failed(Failure{Cause::permanent}, turn).verb == Advice::Verb::stop);
    CHECK(observed == std::vector<std::string>{"a.failed"});
}

TEST_CASE("Policy abandons, in reverse, the rules that reviewed a plan that a later rule stops",
          "[policy][policy][unit]") {
    std::vector<std::string> observed;
    Policy policy{Reviewer{&observed, "a"},
                  Policy{Reviewer{&observed, "b"}, AdviceRecorder{&observed, "quiet"},
                         Reviewer{&observed, "c"}},
                  Policy{Reviewer{&observed, "d"}, Reviewer{&observed, "stops", Advice::stop()},
                         Reviewer{&observed, "e"}},
                  Reviewer{&observed, "f"}};
    Random bits{Seed{1}};
    Turn turn{Instant{}, bits};

    const Advice advice = policy.lost(Failure{Cause::lost}, turn);

    CHECK(advice.verb == Advice::Verb::stop);
    CHECK(advice.by == "Reviewer");
    CHECK(observed == std::vector<std::string>{"quiet.lost", "a.review", "b.review", "c.review",
                                               "d.review", "stops.review", "d.abandoned",
                                               "c.abandoned", "b.abandoned", "a.abandoned"});
}

TEST_CASE("Policy reports the deciding rule", "[policy][policy][unit]") {
    Random bits{Seed{1}};
    Turn turn{Instant{}, bits};
    Policy policy{Backoff{NoJitter{}, Cap{30s}, 1s}, StopOn{Cause::permanent}, MaxAttempts{3},
                  FixedAdvice{Advice::go()}};
    CHECK(policy.failed(Failure{Cause::lost}, turn).by == "Backoff");
    CHECK(policy.failed(Failure{Cause::permanent}, turn).by == "StopOn");
    CHECK(policy.failed(Failure{Cause::lost}, turn).by == "MaxAttempts");
    CHECK(folded(Policy{FixedAdvice{Advice::stop()}}).by.empty());
    CHECK(folded(Policy{FixedAdvice{{Advice::Verb::stop, never, "its own"}}}).by == "its own");
}

TEST_CASE("Policy uses the longest stable window and the shortest attempt limit",
          "[policy][policy][unit]") {
    STATIC_REQUIRE(Policy<>{}.stable_window() == 10s);
    STATIC_REQUIRE(Policy<>{}.attempt_limit() == 30s);
    STATIC_REQUIRE(Policy{ResetWhenStable{3s}, ResetWhenStable{5s}}.stable_window() == 5s);
    STATIC_REQUIRE(Policy{ResetWhenStable{0s}}.stable_window() == 0s);
    STATIC_REQUIRE(Policy{AttemptTimeout{3s}, AttemptTimeout{5s}}.attempt_limit() == 3s);
    STATIC_REQUIRE(Policy{AttemptTimeout{forever}}.attempt_limit() == forever);
    // A nested policy without a limit of its own does not count with its default.
    STATIC_REQUIRE(Policy{ResetWhenStable{3s}, Policy{MaxAttempts{1}}}.stable_window() == 3s);
    STATIC_REQUIRE(Policy{AttemptTimeout{60s}, Policy{MaxAttempts{1}}}.attempt_limit() == 60s);
    STATIC_REQUIRE(Policy{Policy{AttemptTimeout{60s}}}.attempt_limit() == 60s);
    // Without a limit, the caller's default counts.
    STATIC_REQUIRE(Policy{MaxAttempts{1}}.attempt_limit(forever) == forever);
    STATIC_REQUIRE(Policy{AttemptTimeout{60s}}.attempt_limit(1s) == 60s);
}

namespace {

// An outage of a connection, tested by the compiler.
struct Timeline {
    Random bits{Seed{7}};
    Instant now{};
    Policy<Backoff<NoJitter, Cap>, CooldownOn, Breaker<>, MaxAttempts> policy{
        Backoff{NoJitter{}, Cap{30s}, 1s}, CooldownOn{Cause::overloaded, 5s, 15s},
        Breaker{ConsecutiveFailures{5}, OpenFor{300s}}, MaxAttempts{9}};

    constexpr Advice fail(Cause cause) {
        Turn turn{now, bits};
        if (policy.admit(now).verb != Advice::Verb::go) return Advice::go();
        if (policy.begin(turn).verb != Advice::Verb::go) return Advice::go();
        const Advice advice = policy.failed(Failure{cause}, turn);
        if (advice.verb != Advice::Verb::stop) now = advice.until;
        return advice;
    }
    constexpr bool waits(Cause cause, Duration wait,
                         Advice::Verb verb = Advice::Verb::wait_at_least) {
        const Instant before = now;
        const Advice advice = fail(cause);
        return advice.verb == verb && advice.until == before + wait;
    }
};

constexpr bool outage_ends_in_stop() {
    Timeline t;
    bool ok =
        t.waits(Cause::refused, 1s) && t.waits(Cause::refused, 2s) && t.waits(Cause::timed_out, 4s);
    // "Try again later" has its own wait of 5 to 15 s, and counts.
    const Instant before = t.now;
    const Advice cooldown = t.fail(Cause::overloaded);
    ok = ok && cooldown.verb == Advice::Verb::wait_exactly && cooldown.by == "CooldownOn";
    ok = ok && cooldown.until - before >= 5s && cooldown.until - before <= 15s;
    // The fifth failure in a row opens the breaker; each failed probe opens it again.
    ok = ok && t.waits(Cause::refused, 300s, Advice::Verb::suspend);
    ok = ok && t.waits(Cause::refused, 300s, Advice::Verb::suspend);
    ok = ok && t.waits(Cause::refused, 300s, Advice::Verb::suspend);
    ok = ok && t.waits(Cause::refused, 300s, Advice::Verb::suspend);
    return ok && t.fail(Cause::refused).verb == Advice::Verb::stop;
}

constexpr bool success_starts_afresh() {
    Timeline t;
    bool ok = true;
    for (int i = 0; i < 7; ++i) ok = ok && t.fail(Cause::lost).verb != Advice::Verb::stop;
    Turn turn{t.now, t.bits};
    ok = ok && t.policy.begin(turn).verb == Advice::Verb::go;
    t.policy.succeeded(turn);
    const Advice lost = t.policy.lost(Failure{Cause::lost}, turn);
    ok = ok && lost.verb == Advice::Verb::wait_at_least && lost.until == t.now + 1s;
    return ok && t.waits(Cause::lost, 2s) && t.waits(Cause::lost, 4s) && t.waits(Cause::lost, 8s);
}

constexpr bool planned_counts_nothing() {
    Timeline t;
    bool ok = true;
    for (int i = 0; i < 20; ++i) ok = ok && t.waits(Cause::planned, 1s);
    return ok && t.waits(Cause::lost, 1s);
}

}  // namespace

TEST_CASE("Policy runs whole outages in constant expressions", "[policy][policy][unit]") {
    STATIC_REQUIRE(outage_ends_in_stop());
    STATIC_REQUIRE(success_starts_afresh());
    STATIC_REQUIRE(planned_counts_nothing());
}

namespace {

/// Counts the calls of its hooks, and may reject an attempt.
struct Listener {
    int* received;
    bool rejects = false;

    Advice begin(Turn&) noexcept { return rejects ? Advice::suspend(never) : Advice::go(); }
    Advice failed(const Failure&, Turn&) noexcept { return ++*received, Advice::go(); }
    Advice lost(const Failure&, Turn&) noexcept { return ++*received, Advice::go(); }
    void succeeded(Turn&) noexcept { ++*received; }
};
struct SharedListener : Listener {
    static constexpr bool is_shared = true;
};

}  // namespace

TEST_CASE("Policy::replay calls all its own rules, and no shared one", "[policy][policy][unit]") {
    int own = 0, nested = 0, rejecting = 0, shared = 0;
    Policy policy{Listener{&own}, Listener{&rejecting, true}, SharedListener{{&shared}},
                  Policy{Listener{&nested}}};
    Random bits{Seed{1}};
    Turn turn{Instant{1s}, bits};
    for (const belay::detail::Outcome what :
         {belay::detail::Outcome::failed, belay::detail::Outcome::succeeded,
          belay::detail::Outcome::lost}) {
        policy.replay(what, Failure{.cause = Cause::lost}, turn);
    }
    CHECK(own == 3);
    CHECK(nested == 3);
    CHECK(rejecting == 1);  // for the loss: it does not begin the other attempts
    CHECK(shared == 0);
}
