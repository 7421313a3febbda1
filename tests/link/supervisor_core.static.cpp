// SPDX-License-Identifier: MIT
// Goal: whole timelines of outages proven at compile time; a wrong wait does not compile.
#include <belay/link/supervisor_core.hpp>

#include <array>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/breaker/breaker.hpp>
#include <belay/policy/rules.hpp>

#include "support/shorthand.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay::timeline::Input;
using belay_test::at;

namespace {

/// One supervisor core in virtual time: events at chosen times, and a tick at each deadline.
template <class P>
struct Timeline {
    timeline::SupervisorCore<P> core;
    Random bits{Seed{1}};
    Instant now{};
    std::array<Instant, 32> dials{};
    std::size_t dial_count = 0;

    constexpr explicit Timeline(P policy) : core{policy} {}

    constexpr timeline::Actions step(const timeline::Step& s) {
        Turn turn{now, bits};
        const timeline::Actions a = core.step(s, turn);
        if (a.dial) dials[dial_count++] = now;
        return a;
    }
    /// Lets time pass; every dial that starts on the way fails after `dial_takes`.
    constexpr void run_until(Instant end, Duration dial_takes) {
        while (true) {
            if (core.status().state == LinkState::connecting) {
                const Instant fails = after(dials[dial_count - 1], dial_takes);
                if (fails > end) break;
                now = fails;
                step({.input = Input::closed, .failure = {.cause = Cause::refused}});
            } else {
                if (core.deadline() > end) break;
                now = core.deadline();
                step({.input = Input::tick});
            }
        }
        now = end;
    }
};

// ---- docs/how-to/prove-a-connection.md has these lines: keep both in step --------------------------------------------

consteval bool gives_up_after_two() {
    timeline::SupervisorCore core{Policy{Backoff{NoJitter{}, Cap{8s}, 1s}, MaxAttempts{2}}};
    Random bits{Seed{1}};
    Turn turn{Instant{}, bits};
    if (!core.step({.input = timeline::Input::start}, turn).dial) return false;
    core.step({.input = timeline::Input::closed, .failure = {.cause = Cause::lost}}, turn);
    turn.now = core.deadline();  // a second later
    if (!core.step({.input = timeline::Input::tick}, turn).dial) return false;
    core.step({.input = timeline::Input::closed, .failure = {.cause = Cause::lost}}, turn);
    return core.status().state == LinkState::failed;
}
static_assert(gives_up_after_two());

// ---- Reconnection: 1 s doubling to 60 s, gives up after ten attempts ----------------------------

constexpr auto policy_of_ten = Policy{Backoff{NoJitter{}, Cap{60s}, 1s}, MaxAttempts{10}};

consteval bool doubles_up_to_the_cap_and_gives_up() {
    Timeline t{policy_of_ten};
    t.step({.input = Input::start});
    t.run_until(at(600s), 20ms);
    // Waits 1, 2, 4, 8, 16, 32, 60, 60, 60 s, each counted from the failure.
    constexpr std::array<std::int64_t, 10> ms{0,     1020,  3040,   7060,   15080,
                                              31100, 63120, 123140, 183160, 243180};
    if (t.dial_count != ms.size()) return false;
    for (std::size_t i = 0; i < ms.size(); ++i) {
        if (t.dials[i] != at(std::chrono::milliseconds{ms[i]})) return false;
    }
    return t.core.status().state == LinkState::failed && t.core.deadline() == never;
}
static_assert(doubles_up_to_the_cap_and_gives_up());

// ---- The same with a breaker: five failures, then 300 s of silence, one probe at a time ---------

consteval bool breaker_outlasts_the_backoff() {
    Timeline t{Policy{Backoff{NoJitter{}, Cap{60s}, 1s},
                      Breaker{ConsecutiveFailures{5}, OpenFor{300s}}, MaxAttempts{10}}};
    t.step({.input = Input::start});
    t.run_until(at(100s), 0ms);
    if (t.dial_count != 5 || t.core.status().state != LinkState::suspended) return false;
    t.run_until(at(2000s), 0ms);
    constexpr std::array<std::int64_t, 10> s{0, 1, 3, 7, 15, 315, 615, 915, 1215, 1515};
    for (std::size_t i = 0; i < s.size(); ++i) {
        if (t.dials[i] != at(std::chrono::seconds{s[i]})) return false;
    }
    return t.dial_count == 10 && t.core.status().state == LinkState::failed;
}
static_assert(breaker_outlasts_the_backoff());

// ---- 1013 waits 5 to 15 s and counts; a connection that is stable for 10 s resets the count -----

constexpr auto resilience_plan =
    Policy{Backoff{FullJitter{}, Cap{30s}, 1s}, CooldownOn{Cause::overloaded, 5s, 15s},
           ResetWhenStable{10s}};

consteval bool try_again_later_waits_and_counts() {
    Timeline t{resilience_plan};
    t.step({.input = Input::start});
    t.step({.input = Input::opened});
    for (int i = 1; i <= 4; ++i) {
        t.step({.input = Input::closed, .failure = {.cause = Cause::overloaded}});
        const LinkStatus& s = t.core.status();
        if (s.state != LinkState::cooldown || s.attempt != static_cast<std::uint32_t>(i))
            return false;
        const Duration wait = elapsed(t.now, s.retry_at);
        if (wait < 5s || wait > 15s) return false;
        t.now = s.retry_at;
        t.step({.input = Input::tick});
    }
    return t.core.status().state == LinkState::connecting;
}
static_assert(try_again_later_waits_and_counts());

consteval bool stability_is_measured_at_the_close(Duration lived, std::uint32_t attempt_after) {
    Timeline t{Policy{Backoff{NoJitter{}, Cap{30s}, 1s}, ResetWhenStable{10s}}};
    t.step({.input = Input::start});
    t.run_until(at(3500ms), 0ms);  // attempts at 0, 1 and 3 s have failed
    t.now = at(7s);
    t.step({.input = Input::tick});
    t.step({.input = Input::opened, .proof = true});
    t.now += lived;  // no tick in between: the driver was late
    t.step({.input = Input::closed, .failure = {.cause = Cause::lost}});
    return t.core.status().attempt == attempt_after;
}
static_assert(stability_is_measured_at_the_close(9999ms, 4));
static_assert(stability_is_measured_at_the_close(10s, 0));

// ---- Gates: closed at once, opened again after a wait, never counted ----------------------------

consteval bool a_gate_never_shortens_a_wait() {
    Timeline t{Policy{Backoff{NoJitter{}, Cap{60s}, 20s}}};
    t.step({.input = Input::start});
    t.step({.input = Input::closed, .failure = {.cause = Cause::lost}});
    for (int i = 0; i < 5; ++i) {
        t.now += 100ms;
        t.step({.input = Input::gates, .gates = 1});
        if (t.core.status().state != LinkState::offline || t.core.deadline() != never) return false;
        t.step({.input = Input::gates, .gates = 0});
        if (t.core.status().state != LinkState::cooldown) return false;
        if (t.core.status().retry_at != at(20s) || t.core.status().attempt != 1) return false;
    }
    return t.dial_count == 1;
}
static_assert(a_gate_never_shortens_a_wait());

consteval bool a_gate_is_nobodys_failure() {
    Timeline t{Policy{Backoff{NoJitter{}, Cap{60s}, 1s}, MaxAttempts{2}}};
    t.step({.input = Input::start});
    for (int i = 0; i < 8; ++i) {
        const timeline::Actions a = t.step({.input = Input::gates, .gates = 2});
        if (!a.teardown) return false;
        t.step({.input = Input::gates, .gates = 0});
        const Duration wait = elapsed(t.now, t.core.status().retry_at);
        if (wait > 1s || t.core.status().attempt != 0) return false;
        t.now = t.core.deadline();
        t.step({.input = Input::tick});
        if (t.core.status().state != LinkState::connecting) return false;
    }
    return true;
}
static_assert(a_gate_is_nobodys_failure());

// ---- A grace: a gate that opens in time leaves the connection open ------------------------------

consteval bool a_flip_within_the_grace_is_nothing() {
    Timeline t{Policy{Backoff{NoJitter{}, Cap{60s}, 1s}}};
    t.step({.input = Input::start});
    t.step({.input = Input::opened});
    t.run_until(at(100s), 0ms);
    for (int i = 0; i < 5; ++i) {
        if (t.step({.input = Input::gates, .gates = 2, .within = 5s}).notify) return false;
        if (t.core.deadline() != after(t.now, 5s) || t.core.gates() != 2) return false;
        t.now = after(t.now, 4s);
        t.step({.input = Input::tick});
        if (t.step({.input = Input::gates, .gates = 0}).notify) return false;
        if (t.core.deadline() != never || t.core.gates() != 0) return false;
    }
    t.step({.input = Input::gates, .gates = 2, .within = 5s});
    t.now = t.core.deadline();
    const timeline::Actions a = t.step({.input = Input::tick});
    return a.teardown && a.graceful && t.core.status().state == LinkState::offline;
}
static_assert(a_flip_within_the_grace_is_nothing());

consteval bool a_grace_does_not_hold_a_retry_back() {
    Timeline t{Policy{Backoff{NoJitter{}, Cap{60s}, 2s}}};
    t.step({.input = Input::start});
    t.step({.input = Input::gates, .gates = 1, .within = 10s});
    t.run_until(at(9s), 0ms);  // attempts at 0, 2 and 6 s
    if (t.dial_count != 3) return false;
    t.run_until(at(60s), 0ms);
    return t.dial_count == 3 && t.core.status().state == LinkState::offline &&
           t.core.status().since == at(10s);
}
static_assert(a_grace_does_not_hold_a_retry_back());

// A stopped link keeps its gates, and the remaining grace of each.
consteval bool a_grace_runs_on_while_nobody_looks() {
    Timeline t{Policy{Backoff{NoJitter{}, Cap{60s}, 2s}}};
    t.step({.input = Input::gates, .gates = 1, .within = 10s});
    if (t.core.deadline() != never) return false;
    t.now = at(10s);
    t.step({.input = Input::start});
    return t.core.status().state == LinkState::offline && t.dial_count == 0;
}
static_assert(a_grace_runs_on_while_nobody_looks());

// Five graces run at once: the fifth may be longer than requested, and none is shorter.
consteval bool many_graces() {
    detail::Gates gates;
    for (std::uint32_t i = 0; i < 6; ++i) {
        gates.set(gates.all() | 1U << i, std::chrono::seconds{10 + i}, at(0s));
    }
    for (std::uint32_t i = 0; i < 6; ++i) {
        const Instant ends = gates.grace_ends(1U << i);
        if (ends < at(std::chrono::seconds{10 + i}) || ends > at(15s)) return false;
    }
    if (gates.any_shut(at(9s)) || !gates.any_shut(at(10s)) || gates.any_shut()) return false;
    gates.set(gates.all() & ~1U, 0s, at(9s));
    return gates.deadline() == at(11s) && gates.all() == 0b111110;
}
static_assert(many_graces());

// ---- The end: the sent messages are written, and nothing follows --------------------------------

consteval bool a_drain_ends_stopped(Failure why, Cause reported) {
    Timeline t{Policy{Backoff{NoJitter{}, Cap{60s}, 1s}}};
    t.step({.input = Input::start});
    t.step({.input = Input::opened});
    const timeline::Actions a = t.step({.input = Input::drain, .within = 5s});
    if (!a.drain || a.teardown || t.core.deadline() != at(5s)) return false;
    t.now = at(1s);
    if (why.cause == Cause::none) {
        t.now = t.core.deadline();
        if (!t.step({.input = Input::tick}).teardown) return false;
    } else if (!t.step({.input = Input::closed, .failure = why}).teardown) {
        return false;
    }
    return t.core.status().state == LinkState::stopped && t.core.deadline() == never &&
           t.core.status().failure.cause == reported;
}
static_assert(a_drain_ends_stopped({.cause = Cause::planned}, Cause::none));
static_assert(a_drain_ends_stopped({.cause = Cause::overloaded, .retry_after = 1h},
                                   Cause::overloaded));
static_assert(a_drain_ends_stopped({}, Cause::timed_out));

// ---- New credentials: this side ends a connection of the old ones, if the options ask for it ----

consteval bool recycled(bool recycle) {
    timeline::SupervisorCore core{Policy{Backoff{NoJitter{}, Cap{60s}, 1s}},
                                  timeline::SupervisorCoreOptions{.recycle = recycle}};
    Random bits{Seed{1}};
    Turn turn{at(0s), bits};
    core.step({.input = Input::start}, turn);
    core.step({.input = Input::opened, .proof = true}, turn);
    turn.now = at(60s);
    core.step({}, turn);
    core.step({.input = Input::credentials}, turn);
    if (!recycle) return core.deadline() == never;
    if (core.deadline() > turn.now) return false;
    const timeline::Actions a = core.step({}, turn);
    const LinkStatus& s = core.status();
    return a.teardown && a.graceful && s.state == LinkState::cooldown && s.attempt == 0 &&
           s.retry_at <= at(61s) && s.withdrawn && s.failure == Failure{};
}
static_assert(recycled(true) && recycled(false));

// ---- A limit on the time: counted from the first want, and not while a gate is shut -------------

/// Rejects all attempts until `until`.
struct OthersOpenedIt {
    Instant until;
    constexpr Advice admit(Instant now) const noexcept {
        return now < until ? Advice::suspend(smaller(until, now + 1s)) : Advice::go();
    }
    static constexpr Instant smaller(Instant a, Instant b) noexcept { return a < b ? a : b; }
};

consteval bool a_first_attempt_is_waited_for_no_longer_than_the_limit() {
    Timeline t{Policy{OthersOpenedIt{never}, MaxElapsed{30s}}};
    t.step({.input = Input::start});
    if (t.core.status().state != LinkState::suspended) return false;
    t.run_until(at(10s), 0ms);
    t.step({.input = Input::gates, .gates = 1});
    t.now += 24h;
    t.step({.input = Input::gates, .gates = 0});
    t.run_until(at(24h + 30s - 1ns), 0ms);
    if (t.core.status().state != LinkState::suspended) return false;
    t.run_until(at(24h + 30s), 0ms);
    return t.core.status().state == LinkState::failed && t.dial_count == 0;
}
static_assert(a_first_attempt_is_waited_for_no_longer_than_the_limit());

consteval bool what_it_waited_for_counts_with_what_it_tried() {
    Timeline t{Policy{Backoff{NoJitter{}, Cap{4s}, 4s}, OthersOpenedIt{at(8s)}, MaxElapsed{14s}}};
    t.step({.input = Input::start});
    t.run_until(at(1h), 0ms);
    // After 8 and 12 s; the next would be at 16.
    return t.dial_count == 2 && t.dials[0] == at(8s) && t.dials[1] == at(12s) &&
           t.core.status().state == LinkState::failed && t.core.status().since == at(12s);
}
static_assert(what_it_waited_for_counts_with_what_it_tried());

// ---- Credentials --------------------------------------------------------------------------------

consteval bool refused_credentials_block_until_new_ones() {
    Timeline t{resilience_plan};
    t.step({.input = Input::start});
    t.step({.input = Input::closed, .failure = {.cause = Cause::unauthorized}});
    if (t.core.status().state != LinkState::blocked_auth || t.core.deadline() != never)
        return false;
    t.now += 24h;
    t.step({.input = Input::tick});
    if (t.dial_count != 1) return false;
    t.step({.input = Input::gates, .gates = 1});
    if (t.core.status().state != LinkState::blocked_auth) return false;
    t.step({.input = Input::credentials});
    if (t.core.status().state != LinkState::offline || t.dial_count != 1) return false;
    t.step({.input = Input::gates, .gates = 0});
    t.now = t.core.deadline();
    t.step({.input = Input::tick});
    return t.dial_count == 2;
}
static_assert(refused_credentials_block_until_new_ones());

consteval bool credentials_for_an_attempt_in_flight_are_not_forgotten() {
    Timeline t{resilience_plan};
    t.step({.input = Input::start});
    t.step({.input = Input::credentials});
    t.step({.input = Input::closed, .failure = {.cause = Cause::unauthorized}});
    if (t.core.status().state != LinkState::cooldown) return false;
    t.now = t.core.deadline();
    t.step({.input = Input::tick});
    t.step({.input = Input::closed, .failure = {.cause = Cause::unauthorized}});
    return t.dial_count == 2 && t.core.status().state == LinkState::blocked_auth;
}
static_assert(credentials_for_an_attempt_in_flight_are_not_forgotten());

consteval bool a_rule_that_stops_does_not_reject_credentials_that_were_not_tried() {
    Timeline t{Policy{Backoff{NoJitter{}, Cap{60s}, 1s},
                      StopOn{Cause::permanent, Cause::forbidden, Cause::unauthorized}}};
    t.step({.input = Input::start});
    t.step({.input = Input::credentials});
    t.step({.input = Input::closed, .failure = {.cause = Cause::unauthorized}});
    if (t.core.status().state != LinkState::cooldown || t.core.deadline() != t.now) return false;
    t.step({.input = Input::tick});
    t.step({.input = Input::closed, .failure = {.cause = Cause::unauthorized}});
    return t.dial_count == 2 && t.core.status().state == LinkState::blocked_auth;
}
static_assert(a_rule_that_stops_does_not_reject_credentials_that_were_not_tried());

// ---- reconnect_now ------------------------------------------------------------------------------

consteval bool manual_retries_are_limited_and_obey_the_server() {
    Timeline t{Policy{Backoff{NoJitter{}, Cap{60s}, 30s}, CooldownOn{Cause::overloaded, 5s, 15s}}};
    t.step({.input = Input::start});
    t.step({.input = Input::closed, .failure = {.cause = Cause::lost}});
    t.now = at(100ms);
    t.step({.input = Input::reconnect_now});
    if (t.dial_count != 2) return false;  // over the backoff's 30 s
    t.step({.input = Input::closed, .failure = {.cause = Cause::lost}});
    t.now = at(200ms);
    t.step({.input = Input::reconnect_now});
    if (t.dial_count != 2 || t.core.status().retry_at != at(1100ms)) return false;  // one a second
    t.now = at(1100ms);
    t.step({.input = Input::tick});
    if (t.dial_count != 3) return false;
    t.now = at(10s);
    t.step({.input = Input::closed, .failure = {.cause = Cause::overloaded, .retry_after = 40s}});
    if (t.core.manual_attempt_at(t.now, false) != at(50s)) return false;  // the server's wish
    t.step({.input = Input::reconnect_now});
    if (t.dial_count != 3) return false;
    t.step({.input = Input::reconnect_now, .force = true});
    return t.dial_count == 4;
}
static_assert(manual_retries_are_limited_and_obey_the_server());

consteval bool a_live_connection_is_redialled_once_a_second_and_no_promise_is_made() {
    Timeline t{Policy{Backoff{NoJitter{}, Cap{60s}, 30s}}};
    t.step({.input = Input::start});
    t.step({.input = Input::opened});
    t.now = at(10s);
    if (t.core.manual_attempt_at(t.now, false) != t.now) return false;
    t.step({.input = Input::reconnect_now});
    t.step({.input = Input::opened});
    t.now = at(10500ms);
    // It is too early, and the call is not deferred: no attempt follows by itself.
    if (t.core.manual_attempt_at(t.now, false) != never) return false;
    t.step({.input = Input::reconnect_now});
    t.run_until(at(100s), 0ms);
    if (t.dial_count != 2 || t.core.status().state != LinkState::connected) return false;
    return t.core.manual_attempt_at(t.now, false) == t.now;
}
static_assert(a_live_connection_is_redialled_once_a_second_and_no_promise_is_made());

// ---- A planned close of a stable connection costs nothing ---------------------------------------

consteval bool a_planned_rotation_keeps_attempt_zero() {
    Timeline t{Policy{Backoff{NoJitter{}, Cap{60s}, 30s}, MaxAttempts{1}}};
    t.step({.input = Input::start});
    for (int i = 0; i < 5; ++i) {
        t.step({.input = Input::opened, .proof = true});
        t.now += 10s;
        t.step({.input = Input::closed, .failure = {.cause = Cause::planned}});
        const LinkStatus& s = t.core.status();
        if (s.state != LinkState::cooldown || s.attempt != 0) return false;
        if (elapsed(t.now, s.retry_at) > 1s) return false;
        t.now = s.retry_at;
        t.step({.input = Input::tick});
    }
    return true;
}
static_assert(a_planned_rotation_keeps_attempt_zero());

// Otherwise a server that closes each new connection decides how often this side dials.
consteval bool planned_closes_of_unstable_connections_count(Duration lived, bool proof) {
    Timeline t{Policy{Backoff{NoJitter{}, Cap{60s}, 1s}, MaxAttempts{3}}};
    t.step({.input = Input::start});
    for (std::uint32_t i = 1; i <= 3; ++i) {
        t.step({.input = Input::opened, .proof = proof});
        t.now += lived;
        t.step({.input = Input::closed, .failure = {.cause = Cause::planned}});
        const LinkStatus& s = t.core.status();
        if (s.attempt != i || s.failure.cause != Cause::lost || s.withdrawn) return false;
        if (s.state != (i < 3 ? LinkState::cooldown : LinkState::failed)) return false;
        t.now = t.core.deadline();
        t.step({.input = Input::tick});
    }
    return true;
}
static_assert(planned_closes_of_unstable_connections_count(9999ms, true));
static_assert(planned_closes_of_unstable_connections_count(1h, false));

// ---- A success needs evidence that the peer is alive --------------------------------------------

/// Returns the state after `losses` connections, each of which lives for `lived`.
template <class P>
consteval LinkStatus after_losses(P policy, int losses, Duration lived, timeline::Step end) {
    Timeline t{policy};
    t.step({.input = Input::start});
    for (int i = 0; i < losses && t.core.status().state == LinkState::connecting; ++i) {
        t.step({.input = Input::opened});
        if (t.core.deadline() <= after(t.now, lived)) {
            t.now = t.core.deadline();
            t.step({.input = Input::tick});
        }
        t.now += lived;
        t.step(end);
        if (t.core.status().state == LinkState::failed) break;
        t.dial_count = 0;
        t.now = t.core.deadline();
        t.step({.input = Input::tick});
    }
    return t.core.status();
}
constexpr Policy ten_attempts{Backoff{NoJitter{}, Cap{60s}, 1s}, MaxAttempts{10},
                              ResetWhenStable{10s}};
constexpr timeline::Step lost{.input = Input::closed, .failure = {.cause = Cause::lost}};
constexpr timeline::Step lost_after_writes{
    .input = Input::closed, .failure = {.cause = Cause::lost}, .wrote = true};

// A frozen peer, whose connection a heartbeat closes after 25 s: each connection is a failed
// attempt.
static_assert(after_losses(ten_attempts, 11, 25s, lost).state == LinkState::failed);
static_assert(after_losses(ten_attempts, 11, 25s, lost).attempt == 10);
// A peer that only receives: the losses are no failed attempts, and the count stays.
static_assert(after_losses(ten_attempts, 20, 87h, lost_after_writes).state ==
              LinkState::connecting);
static_assert(after_losses(ten_attempts, 20, 87h, lost_after_writes).attempt == 1);
// Within the window, written bytes are no evidence.
static_assert(after_losses(ten_attempts, 11, 9999ms, lost_after_writes).state == LinkState::failed);
// The same, also on a quiet link, if no pings could have shown that the peer is alive.
constexpr timeline::Step lost_unprobed{
    .input = Input::closed, .failure = {.cause = Cause::lost}, .unprobed = true};
static_assert(after_losses(ten_attempts, 20, 10s, lost_unprobed).attempt == 1);
static_assert(after_losses(ten_attempts, 11, 9999ms, lost_unprobed).state == LinkState::failed);

/// Returns how many outages a link survives, in each of which it is lost and a dial is refused.
consteval int outages_survived(Duration lived, timeline::Step end) {
    Timeline t{ten_attempts};
    t.step({.input = Input::start});
    int outages = 0;
    for (; outages < 15; ++outages) {
        t.step({.input = Input::opened});
        t.now += lived;
        t.step(end);
        for (const bool refused : {true, false}) {
            if (t.core.status().state == LinkState::failed) return outages;
            t.dial_count = 0;
            t.now = t.core.deadline();
            t.step({.input = Input::tick});
            if (refused) t.step({.input = Input::closed, .failure = {.cause = Cause::refused}});
        }
    }
    return outages;
}
// The end of an old connection is a success in hindsight: refused dials do not add up for ever.
static_assert(outages_survived(10s, lost_unprobed) == 15);
// Pings had no answer, but the transport took a message.
static_assert(outages_survived(10s, lost_after_writes) == 9);
static_assert(outages_survived(9999ms, lost_unprobed) < 9);
static_assert(outages_survived(9999ms, lost_after_writes) < 9);
static_assert(outages_survived(1h, lost) < 9);
// With this option, the age of the connection is enough.
constexpr Policy by_age{Backoff{NoJitter{}, Cap{60s}, 1s}, MaxAttempts{10},
                        ResetWhenStable::by_age(10s)};
static_assert(after_losses(by_age, 20, 25s, lost).state == LinkState::connecting);
static_assert(after_losses(by_age, 11, 9999ms, lost).state == LinkState::failed);

consteval bool evidence_counts_from_the_opening(bool before, Duration at_age, bool settled) {
    Timeline t{ten_attempts};
    t.step({.input = Input::start});
    if (before) t.step({.input = Input::alive});
    t.step({.input = Input::opened});
    if (t.core.deadline() != never) return false;
    t.now += at_age;
    if (!before) t.step({.input = Input::alive});
    if (settled != (t.core.status().attempt == 0)) return false;
    return settled || before || t.core.deadline() == after(t.core.status().since, 10s);
}
static_assert(evidence_counts_from_the_opening(false, 9999ms, false));
static_assert(evidence_counts_from_the_opening(false, 10s, true));
static_assert(evidence_counts_from_the_opening(false, 1h, true));
static_assert(evidence_counts_from_the_opening(true, 1h, false));

// ---- The attempt's limit ------------------------------------------------------------------------

consteval bool a_silent_peer_is_given_up() {
    Timeline t{Policy{Backoff{NoJitter{}, Cap{60s}, 1s}, AttemptTimeout{4s}}};
    t.step({.input = Input::start});
    if (t.core.deadline() != at(4s)) return false;
    t.now = at(4s);
    const timeline::Actions a = t.step({.input = Input::tick});
    return a.teardown && t.core.status().failure.cause == Cause::timed_out &&
           t.core.status().retry_at == at(5s);
}
static_assert(a_silent_peer_is_given_up());

/// The driver calls at the limit, or when the process is woken after it.
consteval bool a_frozen_process_blames_no_peer(Duration late) {
    Timeline t{Policy{Backoff{NoJitter{}, Cap{60s}, 1s}, AttemptTimeout{4s}, MaxAttempts{1}}};
    t.step({.input = Input::start});
    t.now = after(t.core.deadline(), late);
    const timeline::Actions a = t.step({.input = Input::tick});
    const LinkStatus& s = t.core.status();
    return a.teardown && a.excused && s.state == LinkState::cooldown && s.withdrawn &&
           s.attempt == 0 && s.failure.origin == Failure::Origin::local;
}
static_assert(!a_frozen_process_blames_no_peer(0s));
static_assert(!a_frozen_process_blames_no_peer(10s));
static_assert(a_frozen_process_blames_no_peer(11s));

/// Two connections of an attempt wait in a queue of this side, and then dial.
consteval bool the_limit_begins_when_the_last_queue_ends() {
    Timeline t{Policy{Backoff{NoJitter{}, Cap{60s}, 1s}, AttemptTimeout{4s}, MaxAttempts{1}}};
    t.step({.input = Input::begun});
    t.step({.input = Input::start});
    t.step({.input = Input::queued, .withdrawn = true});
    t.step({.input = Input::queued, .withdrawn = true});
    t.now = at(3s);
    t.step({.input = Input::begun});
    if (t.core.deadline() != at(4s)) return false;
    t.step({.input = Input::begun});
    if (t.core.deadline() != at(7s)) return false;
    t.now = at(5s);
    t.step({.input = Input::begun});  // one too many changes nothing
    if (t.core.deadline() != at(7s)) return false;
    t.now = at(7s);
    t.step({.input = Input::tick});
    return t.core.status().state == LinkState::failed && !t.core.status().withdrawn;
}
static_assert(the_limit_begins_when_the_last_queue_ends());

consteval bool a_limit_that_ends_in_the_queue_counts_for_no_policy(int rounds) {
    Timeline t{Policy{Backoff{NoJitter{}, Cap{60s}, 1s}, AttemptTimeout{4s}, MaxAttempts{1}}};
    t.step({.input = Input::start});
    for (int i = 0; i < rounds; ++i) {
        t.step({.input = Input::queued, .withdrawn = true});
        t.now = t.core.deadline();
        const timeline::Actions a = t.step({.input = Input::tick});
        const LinkStatus& s = t.core.status();
        if (!a.teardown || !a.excused || !s.withdrawn || s.failure.cause != Cause::timed_out) {
            return false;
        }
        if (s.failure.origin != Failure::Origin::local) return false;
        if (s.state != LinkState::cooldown || s.attempt != 0) return false;
        t.now = t.core.deadline();
        if (!t.step({.input = Input::tick}).dial) return false;
    }
    // An attempt that does not wait there has failed at its limit.
    t.now = t.core.deadline();
    t.step({.input = Input::tick});
    return t.core.status().state == LinkState::failed;
}
static_assert(a_limit_that_ends_in_the_queue_counts_for_no_policy(3));

// ---- A wait that ended during a sleep is spread again: many clients wake at the same instant -----

constexpr auto naps = Policy{Backoff{NoJitter{}, Cap{60s}, 4s}, MaxAttempts{10}};

consteval bool a_sleeper_does_not_dial_at_the_instant_of_waking() {
    Timeline t{naps};
    t.step({.input = belay::timeline::Input::start});
    t.step({.input = belay::timeline::Input::closed});
    if (t.core.deadline() != at(4s)) return false;
    auto late = t;
    late.now = at(14s);
    late.step({.input = belay::timeline::Input::tick});
    if (late.dial_count != 2) return false;  // late, not asleep
    t.now = at(8h);
    const auto woken = t.step({.input = belay::timeline::Input::tick});
    if (t.dial_count != 1 || !woken.notify) return false;
    const Instant again = t.core.deadline();
    if (again <= t.now || again > after(t.now, 4s)) return false;
    t.now = again;
    t.step({.input = belay::timeline::Input::tick});
    return t.dial_count == 2;
}
static_assert(a_sleeper_does_not_dial_at_the_instant_of_waking());

consteval bool a_driver_that_is_always_late_dials(Duration turn) {
    Timeline t{naps};
    t.step({.input = belay::timeline::Input::start});
    for (int i = 1; i <= 6; ++i) {
        if (t.core.status().state == LinkState::connecting) {
            t.step({.input = belay::timeline::Input::closed});
        }
        t.now = at(i * turn);
        t.step({.input = belay::timeline::Input::tick});
    }
    return t.dial_count >= 3;
}
static_assert(a_driver_that_is_always_late_dials(25s));
static_assert(a_driver_that_is_always_late_dials(60s));
static_assert(a_driver_that_is_always_late_dials(10h));

}  // namespace
