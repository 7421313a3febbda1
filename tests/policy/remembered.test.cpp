// SPDX-License-Identifier: MIT
// Goal: a program that crashes again and again waits like one that does not crash. Method: the same
// policies, with and without restarts, in virtual time; recording rules.
#include <belay/policy/remembered.hpp>

#include <optional>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/breaker/breaker.hpp>
#include <belay/breaker/circuit_breaker.hpp>
#include <belay/breaker/open_waits.hpp>
#include <belay/breaker/trips.hpp>
#include <belay/budget/budgets.hpp>
#include <belay/call/retry.hpp>
#include <belay/core/clocks.hpp>
#include <belay/link/supervisor_core.hpp>
#include <belay/policy/any_policy.hpp>
#include <belay/policy/rules.hpp>
#include <belay/policy/shared.hpp>

#include "support/catch.hpp"
#include "support/policy/policy_twins.hpp"
#include "support/shorthand.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::lost;

namespace {

/// A machine whose steady clock begins again at every start, and whose wall clock continues.
struct Computer {
    Instant now{1h};
    WallTime wall{450'000h};
    Bytes disk;
    Random bits{Seed{5}};

    Turn turn() { return {now, bits}; }
    void pass(Duration d) {
        now += d;
        wall += d;
    }
    void save(const PolicyHistory& history) {
        std::array<std::byte, PolicyHistory::bytes_max> room;
        const BytesView bytes = history.save(room, now, wall);
        disk.assign(bytes.begin(), bytes.end());
    }
    void start(PolicyHistory& history, Duration gone) {
        now = Instant{1s} + gone;
        wall += gone;
        REQUIRE(history.restore(disk, now, wall));
    }
};

auto doubling() { return Policy{Backoff{NoJitter{}, Cap{30s}, 1s}}; }

/// Records the calls of its hooks.
struct RecordingRule {
    struct Entry {
        char what;
        Instant at;
        Cause cause;
        friend bool operator==(const Entry&, const Entry&) = default;
    };
    std::vector<Entry>* received;

    void begin(Turn& turn) noexcept { received->push_back({'b', turn.now, Cause::none}); }
    Advice failed(const Failure& failure, Turn& turn) noexcept {
        received->push_back({'f', turn.now, failure.cause});
        return Advice::go();
    }
    Advice lost(const Failure& failure, Turn& turn) noexcept {
        received->push_back({'l', turn.now, failure.cause});
        return Advice::go();
    }
    void succeeded(Turn& turn) noexcept { received->push_back({'s', turn.now, Cause::none}); }
};

}  // namespace

TEST_CASE("Remembered makes the waits of a crash loop grow", "[policy][remembered][unit]") {
    Computer computer;
    std::vector<Duration> waits;
    for (int incarnation = 0; incarnation < 8; ++incarnation) {
        PolicyHistory history;
        if (incarnation != 0) computer.start(history, 10ms);
        Turn turn = computer.turn();
        Remembered policy{history, doubling(), turn};
        policy.reset();  // as at the beginning of each run
        const Advice advice = policy.admit(turn.now);
        waits.push_back(advice.verb == Advice::Verb::go ? Duration{}
                                                        : elapsed(turn.now, advice.until));
        computer.pass(waits.back());
        turn.now = computer.now;
        REQUIRE(policy.admit(turn.now).allows(turn.now));
        REQUIRE(policy.begin(turn).verb == Advice::Verb::go);
        computer.save(history);  // the program crashes here, in the middle of its attempt
    }
    // Each wait begins at the crash, and a start takes 10 ms.
    std::vector<Duration> expected{0s, 1s, 2s, 4s, 8s, 16s, 30s, 30s};
    for (Duration& wait : expected) wait -= wait == 0s ? 0ms : 10ms;
    CHECK(waits == expected);
}

TEST_CASE("Remembered waits for the rest of the wait", "[policy][remembered][unit]") {
    Computer computer;
    PolicyHistory history;
    Remembered policy{history, doubling()};
    Turn turn = computer.turn();
    for (int i = 0; i < 4; ++i) {
        static_cast<void>(policy.begin(turn));
        static_cast<void>(policy.failed(lost, turn));
    }
    computer.pass(1s);
    computer.save(history);

    const auto left_after = [&](Duration gone, Duration jump) {
        Computer later = computer;
        PolicyHistory restored;
        later.wall += jump;
        later.start(restored, gone);
        const Remembered resumed{restored, doubling(), later.turn()};
        const Advice advice = resumed.admit(later.now);
        return advice.verb == Advice::Verb::go ? Duration{} : elapsed(later.now, advice.until);
    };
    CHECK(left_after(0s, 0s) == 7s);
    CHECK(left_after(3s, 0s) == 4s);
    CHECK(left_after(100s, 0s) == 0s);
    CHECK(left_after(3s, -1h) == 7s);  // a wall clock that went back shortens no wait
    CHECK(left_after(3s, 1h) == 0s);
}

TEST_CASE("Remembered counts attempts over restarts, and ends", "[policy][remembered][unit]") {
    Computer computer;
    int attempts = 0;
    std::optional<Advice::Verb> verb;
    for (int incarnation = 0; incarnation < 10 && verb != Advice::Verb::stop; ++incarnation) {
        PolicyHistory history;
        if (incarnation != 0) computer.start(history, 1h);
        Turn turn = computer.turn();
        Remembered policy{history, Policy{MaxAttempts{5}, Backoff{NoJitter{}, Cap{30s}, 1s}}, turn};
        for (int i = 0; i < 2 && verb != Advice::Verb::stop; ++i) {
            REQUIRE(policy.begin(turn).verb == Advice::Verb::go);
            ++attempts;
            verb = policy.failed(lost, turn).verb;
            computer.save(history);
        }
    }
    CHECK(attempts == 5);
    // The policy stopped. A start after that begins again.
    PolicyHistory history;
    computer.start(history, 1h);
    CHECK(history.events().empty());
}

TEST_CASE("Remembered keeps a breaker open", "[policy][remembered][unit]") {
    Computer computer;
    const Policy rules{Breaker{ConsecutiveFailures{3}, OpenFor{60s}}};
    PolicyHistory history;
    Remembered policy{history, rules};
    Turn turn = computer.turn();
    for (int i = 0; i < 3; ++i) {
        REQUIRE(policy.begin(turn).verb == Advice::Verb::go);
        static_cast<void>(policy.failed(lost, turn));
    }
    computer.save(history);

    PolicyHistory restored;
    computer.start(restored, 20s);
    const Remembered resumed{restored, rules, computer.turn()};
    const Advice advice = resumed.admit(computer.now);
    CHECK(advice.verb == Advice::Verb::suspend);
    CHECK(advice.until == computer.now + 40s);
    CHECK(resumed.admit(computer.now + 40s).allows(computer.now + 40s));
}

TEST_CASE("Remembered restores windows of time", "[policy][remembered][unit]") {
    Computer computer;
    PolicyHistory history;
    Remembered policy{history, Policy{RestartIntensity<3>{60s}}};
    for (int i = 0; i < 3; ++i) {
        Turn turn = computer.turn();
        REQUIRE(policy.begin(turn).verb == Advice::Verb::go);
        CHECK(policy.failed(lost, turn).verb == Advice::Verb::go);
        computer.save(history);
        computer.pass(10s);
    }
    const auto fourth = [&](Duration gone) {
        Computer later = computer;
        PolicyHistory restored;
        later.start(restored, gone);
        Turn turn = later.turn();
        Remembered resumed{restored, Policy{RestartIntensity<3>{60s}}, turn};
        static_cast<void>(resumed.begin(turn));
        return resumed.failed(lost, turn).verb;
    };
    CHECK(fourth(29s) == Advice::Verb::stop);  // 59 s after the first
    CHECK(fourth(31s) == Advice::Verb::go);
}

TEST_CASE("Remembered replays old failures over the time in which they happened",
          "[policy][remembered][regression]") {
    // One failure in ten minutes, far more than the history can hold as events of their own.
    const auto verdict = [](auto rules, auto first_event, Duration every) {
        Computer computer;
        PolicyHistory history;
        Remembered policy{history, rules};
        Turn turn = computer.turn();
        first_event(policy, turn);
        for (int i = 0; i < 60; ++i) {
            computer.pass(every);
            turn.now = computer.now;
            REQUIRE(policy.begin(turn).verb == Advice::Verb::go);
            REQUIRE(policy.failed(lost, turn).verb != Advice::Verb::stop);
        }
        computer.save(history);
        PolicyHistory restored;
        computer.start(restored, every);
        Turn now = computer.turn();
        Remembered resumed{restored, rules, now};
        REQUIRE(resumed.begin(now).verb == Advice::Verb::go);
        static_cast<void>(resumed.failed(lost, now));
        // A policy that had stopped in its replay forgets everything.
        return restored.events().size() == PolicyHistory::events_max;
    };
    const auto nothing = [](auto&, Turn&) {};
    CHECK(verdict(Policy{RestartIntensity<5>{60s}}, nothing, 10min));
    CHECK(verdict(Policy{RestartIntensity<31>{300min}}, nothing, 10min));
    CHECK(verdict(
        Policy{RestartIntensity<5>{60s}, MaxElapsed{24h}},
        [](auto& policy, Turn& turn) { policy.wanted(turn); }, 10min));
    CHECK(verdict(
        Policy{RestartIntensity<5>{60s}},
        [](auto& policy, Turn& turn) { static_cast<void>(policy.lost(lost, turn)); }, 10min));
}

TEST_CASE("Remembered repeats the whole history to a user's rule", "[policy][remembered][unit]") {
    Computer computer;
    std::vector<RecordingRule::Entry> first;
    PolicyHistory history;
    Remembered policy{history, Policy{RecordingRule{&first}}};
    Turn turn = computer.turn();
    const auto pass = [&] {
        computer.pass(7s);
        turn.now = computer.now;
    };
    pass();
    policy.begin(turn);
    static_cast<void>(policy.failed({.cause = Cause::refused}, turn));
    pass();
    policy.begin(turn);
    policy.abandoned(turn);  // an abandoned attempt has no verdict, and is not replayed
    policy.begin(turn);
    policy.succeeded(turn);
    pass();
    static_cast<void>(policy.lost({.cause = Cause::timed_out}, turn));
    computer.save(history);
    const Instant saved_at = computer.now;

    std::vector<RecordingRule::Entry> second;
    PolicyHistory restored;
    computer.start(restored, 2s);
    const Remembered resumed{restored, Policy{RecordingRule{&second}}, computer.turn()};
    const Duration shift = (saved_at + 2s) - computer.now;
    std::vector<RecordingRule::Entry> expected;
    for (const RecordingRule::Entry& received : first) expected.push_back(received);
    expected.erase(expected.begin() + 2);  // the begin that was abandoned
    for (RecordingRule::Entry& received : expected) received.at -= shift;
    // A verdict is replayed together with its begin, at the same time.
    CHECK(second == expected);
}

TEST_CASE("Remembered applies rules that have become stricter", "[policy][remembered][unit]") {
    Computer computer;
    PolicyHistory history;
    Remembered policy{history, Policy{MaxAttempts{100}}};
    Turn turn = computer.turn();
    for (int i = 0; i < 50; ++i) {
        static_cast<void>(policy.begin(turn));
        static_cast<void>(policy.failed(lost, turn));
    }
    computer.save(history);
    PolicyHistory restored;
    computer.start(restored, 1s);
    turn.now = computer.now;
    Remembered resumed{restored, Policy{MaxAttempts{3}}, turn};
    // The stricter rule would have stopped, and the program was started again: three attempts.
    for (int i = 0; i < 3; ++i) {
        CHECK(resumed.begin(turn).verb == Advice::Verb::go);
        CHECK((resumed.failed(lost, turn).verb == Advice::Verb::stop) == (i == 2));
    }
}

TEST_CASE("Remembered requests only what its policy requests", "[policy][remembered][unit]") {
    PolicyHistory history;
    const Policy silent{Remembered{history, MaxAttempts{3}}, ResetWhenStable{3s}};
    CHECK(silent.stable_window() == 3s);
    CHECK(silent.attempt_limit() == 30s);
    CHECK(silent.attempt_limit(forever) == forever);
    CHECK(Policy{Remembered{history, MaxAttempts{3}}, AttemptTimeout{1min}}.attempt_limit() ==
          1min);
    const Remembered alone{history, MaxAttempts{3}};
    CHECK(alone.stable_window() == 10s);
    CHECK(alone.attempt_limit() == 30s);
    const Policy wishes{Remembered{history, Policy{AttemptTimeout{5s}, ResetWhenStable{1min}}},
                        AttemptTimeout{9s}};
    CHECK(wishes.attempt_limit() == 5s);
    CHECK(wishes.stable_window() == 1min);
}

TEST_CASE("Remembered starts again after reset()", "[policy][remembered][unit]") {
    Computer computer;
    PolicyHistory history;
    Remembered policy{history, doubling()};
    Turn turn = computer.turn();
    static_cast<void>(policy.begin(turn));
    static_cast<void>(policy.failed(lost, turn));
    policy.reset();
    CHECK(history.events().empty());
    CHECK(policy.admit(turn.now).verb == Advice::Verb::go);
    static_cast<void>(policy.begin(turn));
    CHECK(policy.failed(lost, turn) ==
          Advice{Advice::Verb::wait_at_least, turn.now + 1s, "Backoff"});
}

TEST_CASE("Remembered tries again after a long absence", "[policy][remembered][regression]") {
    // MaxElapsed counts no time while no attempt is wanted.
    for (const bool crashed : {false, true}) {
        Computer computer;
        const Policy rules{Backoff{NoJitter{}, Cap{30s}, 1s}, MaxElapsed{1h}};
        PolicyHistory history;
        Remembered policy{history, rules};
        Turn turn = computer.turn();
        static_cast<void>(policy.begin(turn));
        if (!crashed) static_cast<void>(policy.failed(lost, turn));
        computer.save(history);
        for (int incarnation = 0; incarnation < 3; ++incarnation) {
            PolicyHistory restored;
            computer.start(restored, 24h);
            Turn now = computer.turn();
            Remembered resumed{restored, rules, now};
            CHECK(resumed.admit(now.now).allows(now.now));
            REQUIRE(resumed.begin(now).verb == Advice::Verb::go);
            CHECK(resumed.failed(lost, now).verb == Advice::Verb::wait_at_least);
        }
    }
}

TEST_CASE("Remembered does not count the time of a shut gate, or the time without a program",
          "[policy][remembered][regression]") {
    for (const auto gate : {0h, 24h}) {
        for (const auto gone : {0h, 24h}) {
            Computer computer;
            const Policy rules{Backoff{NoJitter{}, Cap{30s}, 1s}, MaxAttempts{5}, MaxElapsed{1h}};
            std::vector<Advice::Verb> verdicts;
            PolicyHistory history;
            std::optional<Remembered<Policy<Backoff<NoJitter, Cap>, MaxAttempts, MaxElapsed>>>
                policy{std::in_place, history, rules};
            for (int incarnation = 0; incarnation < 5; ++incarnation) {
                Turn turn = computer.turn();
                policy->wanted(turn);
                REQUIRE(policy->begin(turn).verb == Advice::Verb::go);
                verdicts.push_back(policy->failed(lost, turn).verb);
                computer.pass(1min);
                turn.now = computer.now;
                // The gate is shut in the middle of the wait.
                policy->abandoned(turn);
                computer.pass(gate);
                computer.save(history);
                computer.start(history, gone);
                policy.emplace(history, rules, computer.turn());
            }
            CAPTURE(gate.count(), gone.count());
            // Every failure is remembered, and none of them was too late.
            CHECK(verdicts == std::vector{Advice::Verb::wait_at_least, Advice::Verb::wait_at_least,
                                          Advice::Verb::wait_at_least, Advice::Verb::wait_at_least,
                                          Advice::Verb::stop});
        }
    }
}

namespace {
// Records the time in which attempts were wanted, and the number of failures.
struct Tries {
    MaxElapsed* clock;
    std::uint64_t* failures;

    void wanted(Turn& turn) noexcept { clock->wanted(turn); }
    void begin(Turn& turn) noexcept { clock->begin(turn); }
    Advice failed(const Failure&, Turn&) noexcept { return ++*failures, Advice::go(); }
    void succeeded(Turn& turn) noexcept { *failures = 0, clock->succeeded(turn); }
    void abandoned(Turn& turn) noexcept { clock->abandoned(turn); }
};
}  // namespace

TEST_CASE("Remembered counts the time of attempts over shut gates and restarts",
          "[policy][remembered][property]") {
    CHECK(rc::check("the same time and failures as in a program that never ended", [] {
        Computer computer;
        MaxElapsed lived{forever}, reported{forever};
        std::uint64_t failures = 0, reported_failures = 0;
        // A policy without restarts, with a clock that continues.
        Policy incarnation{Tries{&lived, &failures}};
        PolicyHistory history;
        std::optional<Remembered<Tries>> policy{std::in_place, history,
                                                Tries{&reported, &reported_failures}};
        const auto both = [&](auto step) {
            Turn turn = computer.turn();
            step(*policy, turn);
            turn.now = Instant{computer.wall.time_since_epoch()};
            step(incarnation, turn);
            computer.pass(Duration{*rc::gen::inRange<std::int64_t>(0, 1'000'000)});
        };
        const int steps = *rc::gen::inRange(1, 100);
        for (int i = 0; i < steps; ++i) {
            const int what = *rc::gen::inRange(0, 10);
            both([](auto& rules, Turn& turn) { rules.wanted(turn); });
            if (what != 0) {
                both([](auto& rules, Turn& turn) { static_cast<void>(rules.begin(turn)); });
            }
            if (what == 1 && i % 8 == 0) {
                both([](auto& rules, Turn& turn) { rules.succeeded(turn); });
                continue;
            }
            if (what > 1) {
                both([](auto& rules, Turn& turn) { static_cast<void>(rules.failed(lost, turn)); });
            }
            if (what > 7) continue;
            both([](auto& rules, Turn& turn) { rules.abandoned(turn); });
            if (what > 4) continue;
            computer.save(history);
            computer.start(history, Duration{*rc::gen::inRange<std::int64_t>(0, 1'000'000)});
            reported = MaxElapsed{forever};
            reported_failures = 0;
            policy.emplace(history, Tries{&reported, &reported_failures}, computer.turn());
            RC_ASSERT(reported.spent(computer.now) ==
                      lived.spent(Instant{computer.wall.time_since_epoch()}));
            RC_ASSERT(reported_failures == failures);
        }
    }));
}

TEST_CASE("Remembered waits no longer for a first attempt because the program is restarted",
          "[policy][remembered][regression]") {
    // The program runs for ten seconds each time, with a breaker that an operator holds open.
    CircuitBreaker breaker{ConsecutiveFailures{5}, OpenFor{1s}};
    breaker.set_mode(BreakerMode::forced_open);
    const Policy rules{Shared{breaker}, MaxElapsed{30s}};
    Computer computer;
    std::vector<LinkState> ends;
    for (int incarnation = 0; incarnation < 5; ++incarnation) {
        PolicyHistory history;
        if (incarnation != 0) computer.start(history, 0s);
        timeline::SupervisorCore core{Remembered{history, rules, computer.turn()}};
        Turn turn = computer.turn();
        core.step({.input = timeline::Input::start}, turn);
        for (int second = 0; second < 10; ++second) {
            computer.pass(1s);
            turn.now = computer.now;
            core.step({.input = timeline::Input::tick}, turn);
        }
        computer.save(history);
        ends.push_back(core.status().state);
    }
    // A policy that has stopped does not delay the next start of the program.
    CHECK(ends == std::vector{LinkState::suspended, LinkState::suspended, LinkState::failed,
                              LinkState::suspended, LinkState::suspended});
}

TEST_CASE("Remembered keeps the time of the first attempt after any number of failures",
          "[policy][remembered][regression]") {
    const auto stops_after = [](auto first_event) {
        Computer computer;
        const Policy rules{Backoff{NoJitter{}, Cap{1min}, 1min}, MaxElapsed{1h}};
        PolicyHistory history;
        Remembered policy{history, rules};
        Turn turn = computer.turn();
        first_event(policy, turn);
        for (int failures = 1; failures < 100; ++failures) {
            turn.now = computer.now;
            static_cast<void>(policy.begin(turn));
            if (policy.failed(lost, turn).verb == Advice::Verb::stop) return failures;
            computer.pass(1min);
            computer.save(history);
            PolicyHistory restored;
            computer.start(restored, 0s);
            history = restored;
            policy = Remembered{history, rules, computer.turn()};
            turn.now = computer.now;
            policy.wanted(turn);
        }
        return 0;
    };
    // One at the beginning, and one after each of sixty minutes.
    CHECK(stops_after([](auto& policy, Turn& turn) { policy.wanted(turn); }) == 61);
    CHECK(stops_after(
              [](auto& policy, Turn& turn) { static_cast<void>(policy.lost(lost, turn)); }) == 61);
}

TEST_CASE("Remembered has no hook wanted() if its policy has none", "[policy][remembered][unit]") {
    static_assert(!detail::HasWanted<Remembered<MaxAttempts>>);
    static_assert(detail::HasWanted<Remembered<Policy<MaxAttempts, MaxElapsed>>>);
    Computer computer;
    PolicyHistory history;
    Remembered policy{history, MaxElapsed{1s}};
    Turn turn = computer.turn();
    policy.wanted(turn);
    policy.wanted(turn);
    REQUIRE(history.events().size() == 1);
    CHECK(history.events()[0].what == detail::Outcome::wanted);
    policy.abandoned(turn);
    policy.abandoned(turn);
    REQUIRE(history.events().size() == 2);
    CHECK(history.events()[1].what == detail::Outcome::abandoned);
}

TEST_CASE("Remembered ends a crash loop by its rules, and the next start makes an attempt again",
          "[policy][remembered][regression]") {
    Computer computer;
    const Policy rules{Backoff{NoJitter{}, Cap{30s}, 1s}, MaxAttempts{4}};
    std::vector<char> incarnations;
    for (int incarnation = 0; incarnation < 10; ++incarnation) {
        PolicyHistory history;
        if (incarnation != 0) computer.start(history, 1h);
        Turn turn = computer.turn();
        timeline::SupervisorCore core{Remembered{history, rules, turn}};
        const bool dialed = core.step({timeline::Input::start}, turn).dial;
        incarnations.push_back(dialed ? 'd' : core.status().state == LinkState::failed ? 'f' : 'w');
        computer.save(history);  // the program ends here, in the middle of an attempt if it dialled
    }
    CHECK(incarnations == std::vector<char>{'d', 'd', 'd', 'd', 'f', 'd', 'd', 'd', 'd', 'f'});
}

TEST_CASE("Remembered does not change objects that are shared with others",
          "[policy][remembered][regression]") {
    Computer computer;
    ManualClock clock;
    TokenBudget budget;
    CircuitBreaker breaker{ConsecutiveFailures{5}, OpenFor{20s}, ManualClock::View{clock}};
    const auto rules = [&] {
        return Policy{Shared{budget}, Shared{breaker}, MaxAttempts{60},
                      Backoff{NoJitter{}, Cap{30s}, 1s}};
    };
    PolicyHistory history;
    for (int i = 0; i < 40; ++i) {
        history.note(computer.now, belay::detail::Outcome::failed, lost, computer.now);
    }
    history.began();
    computer.save(history);
    const auto full = budget.tokens_milli();

    PolicyHistory restored;
    computer.start(restored, 1h);
    Turn turn = computer.turn();
    Remembered resumed{restored, rules(), turn};
    CHECK(budget.tokens_milli() == full);
    CHECK(breaker.state() == BreakerState::closed);
    // The breaker's rejections do not affect the other rules: 41 of 60.
    int more = 0;
    for (Advice::Verb verb = Advice::Verb::go; verb != Advice::Verb::stop && more < 100; ++more) {
        turn.now += 1h;
        REQUIRE(resumed.begin(turn).verb == Advice::Verb::go);
        verb = resumed.failed(lost, turn).verb;
    }
    CHECK(more == 19);
}

TEST_CASE("Remembered ends a wait although the program restarts all the time",
          "[policy][remembered][regression]") {
    Computer computer;
    PolicyHistory history;
    Remembered policy{history, Policy{Backoff{NoJitter{}, Cap{60s}, 60s}}};
    Turn turn = computer.turn();
    static_cast<void>(policy.begin(turn));
    computer.save(history);  // once, and never again: the program is killed every ten seconds
    int incarnations = 0;
    for (bool waits = true; waits && incarnations < 20; ++incarnations) {
        PolicyHistory restored;
        computer.start(restored, 10s);
        const Remembered resumed{restored, Policy{Backoff{NoJitter{}, Cap{60s}, 60s}},
                                 computer.turn()};
        waits = !resumed.admit(computer.now).allows(computer.now);
    }
    CHECK(incarnations == 6);
}

TEST_CASE("Remembered makes a supervisor wait with its first attempt after a restart",
          "[policy][remembered][unit]") {
    Computer computer;
    PolicyHistory history;
    {
        timeline::SupervisorCore core{Remembered{history, doubling()}};
        Turn turn = computer.turn();
        CHECK(core.step({timeline::Input::start}, turn).dial);
        for (int i = 0; i < 3; ++i) {
            static_cast<void>(core.step({timeline::Input::closed, lost}, turn));
            computer.now = core.deadline();
            turn.now = computer.now;
            CHECK(core.step({timeline::Input::tick}, turn).dial);
        }
        static_cast<void>(core.step({timeline::Input::closed, lost}, turn));
        computer.save(history);
    }
    PolicyHistory restored;
    computer.start(restored, 1s);
    Turn turn = computer.turn();
    timeline::SupervisorCore core{Remembered{restored, doubling(), turn}};
    CHECK_FALSE(core.step({timeline::Input::start}, turn).dial);
    CHECK(core.status().state == LinkState::cooldown);
    CHECK(core.status().decided_by == "Remembered");
    CHECK(core.deadline() == computer.now + 7s);
    // reconnect_now with force ends the wait.
    timeline::SupervisorCore impatient = core;
    CHECK(impatient.step({.input = timeline::Input::reconnect_now, .force = true}, turn).dial);
    // A stop and a start by command begin again.
    static_cast<void>(core.step({timeline::Input::stop}, turn));
    CHECK(core.step({timeline::Input::start}, turn).dial);
}

namespace {
/// Gives the same advice after each failure.
struct AfterEach {
    Advice::Verb verb;
    Duration wait;

    Advice failed(const Failure&, Turn& turn) noexcept { return {verb, after(turn.now, wait), {}}; }
};
}  // namespace

TEST_CASE("A suspension lasts until the latest of all waits, also of a rule in Remembered",
          "[policy][remembered][regression]") {
    using enum Advice::Verb;
    Computer computer;
    Turn turn = computer.turn();
    PolicyHistory history;
    const Policy waits{AfterEach{wait_exactly, 5s}, AfterEach{wait_at_least, 60s}};
    const auto wait = [&](auto policy) {
        static_cast<void>(policy.begin(turn));
        return elapsed(turn.now, policy.failed(lost, turn).until);
    };
    const AfterEach suspends{suspend, 10s};
    CHECK(wait(Policy{waits, suspends}) == 60s);
    CHECK(wait(Policy{Remembered{history, waits}, suspends}) == 60s);
    CHECK(wait(Policy{std::optional{Remembered{history, waits}}, suspends}) == 60s);
    CHECK(wait(Policy{policies::AnyPolicy{Remembered{history, waits}}, suspends}) == 60s);
}

TEST_CASE("Rules in Remembered count as if they were written in its place",
          "[policy][remembered][property]") {
    CHECK(rc::check("among other rules, and in other groups of rules", [] {
        PolicyHistory histories[2];
        const auto backoff = Backoff{FullJitter{}, Cap{30s}, 100ms};
        const auto breaker = Breaker{ConsecutiveFailures{3}, OpenFor{40s}};
        const auto hint = SpreadHint::plus_percent(50);
        const AttemptTimeout timeout{9s};
        const auto verify = [&](auto nest) {
            TokenBudget budgets[2];
            belay_test::twins_agree(Policy{backoff, breaker, hint, Shared{budgets[0]},
                                           MaxElapsed{50s}, MaxAttempts{20}, timeout},
                                    nest(budgets[1]));
            RC_ASSERT(budgets[0].tokens_milli() == budgets[1].tokens_milli());
        };
        verify([&](TokenBudget& budget) {
            return Policy{backoff, Remembered{histories[0], Policy{breaker, hint, Shared{budget}}},
                          MaxElapsed{50s}, Remembered{histories[1], MaxAttempts{20}}, timeout};
        });
        verify([&](TokenBudget& budget) {
            return Policy{std::optional{Remembered{histories[0], Policy{backoff, breaker}}}, hint,
                          policies::AnyPolicy{
                              Remembered{histories[1], Policy{Shared{budget}, MaxElapsed{50s}}}},
                          MaxAttempts{20}, timeout};
        });
    }));
}

TEST_CASE("Remembered stores the wait of the whole policy around it",
          "[policy][remembered][unit]") {
    Computer computer;
    Turn turn = computer.turn();
    PolicyHistory history;
    Policy policy{AfterEach{Advice::Verb::wait_exactly, 20s}, Remembered{history, doubling()},
                  MaxAttempts{2}};
    static_cast<void>(policy.begin(turn));
    CHECK(policy.failed(lost, turn).until == after(turn.now, 20s));
    CHECK(history.until() == after(turn.now, 20s));
    static_cast<void>(policy.begin(turn));
    REQUIRE(history.events().size() == 1);
    // A run that a rule around it stops is not continued, either.
    CHECK(policy.failed(lost, turn).verb == Advice::Verb::stop);
    CHECK(history.events().empty());
}

namespace {
/// Plays attempts and restarts to the policy that `make` builds; returns the plan after each.
template <class Make>
std::vector<Advice> plans_over_restarts(const std::vector<belay_test::TwinEvent>& events,
                                        Make make) {
    Computer outer_disk;
    Computer inner_disk;
    PolicyHistory histories[2];
    std::vector<Advice> plans;
    std::optional<decltype(make(histories[0], histories[1], outer_disk.turn(), true))> policy;
    const auto start = [&] {
        Turn turn = outer_disk.turn();
        policy.emplace(make(histories[0], histories[1], turn, policy.has_value()));
        policy->reset();  // as at the beginning of each run
        plans.push_back(policy->admit(turn.now));
    };
    start();
    for (const belay_test::TwinEvent& event : events) {
        outer_disk.pass(std::chrono::milliseconds{event.wait_ms});
        inner_disk.pass(std::chrono::milliseconds{event.wait_ms});
        Turn turn = outer_disk.turn();
        plans.push_back(policy->admit(turn.now));
        const bool crashes = event.what == 0;
        if (event.what == 1) policy->reset();
        if (event.what > 1 && policy->begin(turn).verb == Advice::Verb::go) {
            const Failure failure{.cause = static_cast<Cause>(event.cause),
                                  .retry_after = std::chrono::milliseconds{event.hint_ms}};
            if (event.what == 2) policy->succeeded(turn);
            if (event.what == 3 || event.what == 4) {
                plans.push_back(policy->failed(failure, turn));
            }
        }
        if (!crashes && event.what != 5) continue;  // 5: in the middle of an attempt
        outer_disk.save(histories[0]);
        inner_disk.save(histories[1]);
        outer_disk.start(histories[0], std::chrono::milliseconds{event.hint_ms});
        inner_disk.start(histories[1], std::chrono::milliseconds{event.hint_ms});
        start();
    }
    return plans;
}
}  // namespace

TEST_CASE("Rules in a Remembered inside another one count as if written in its place",
          "[policy][remembered][property]") {
    CHECK(rc::check("over restarts, in the middle of an attempt or not", [] {
        const std::vector<belay_test::TwinEvent> events = belay_test::twin_events();
        const auto backoff = Backoff{NoJitter{}, Cap{30s}, 1s};
        const Policy inner{Breaker{ConsecutiveFailures{3}, OpenFor{40s}}, MaxAttempts{5}};
        const auto flat = plans_over_restarts(
            events, [&](PolicyHistory& history, PolicyHistory&, Turn turn, bool) {
                return Remembered{history, Policy{backoff, inner}, turn};
            });
        const auto both = plans_over_restarts(
            events, [&](PolicyHistory& outer, PolicyHistory& history, Turn turn, bool) {
                return Remembered{outer, Policy{backoff, Remembered{history, inner, turn}}, turn};
            });
        const auto afresh = plans_over_restarts(
            events, [&](PolicyHistory& outer, PolicyHistory& history, Turn turn, bool) {
                return Remembered{outer, Policy{backoff, Remembered{history, inner}}, turn};
            });
        const auto erased = plans_over_restarts(
            events, [&](PolicyHistory& outer, PolicyHistory& history, Turn turn, bool) {
                return Remembered{
                    outer, Policy{backoff, policies::AnyPolicy{Remembered{history, inner, turn}}},
                    turn};
            });
        RC_ASSERT(both == flat);
        RC_ASSERT(afresh == flat);
        RC_ASSERT(erased == flat);
    }));
}
