// SPDX-License-Identifier: MIT
// Goal: a session acts at the right instants, and reports in the right order: timelines in
// constant expressions.
#include <belay/session/detail/session_core.hpp>

#include <chrono>

namespace {

using namespace belay;
using namespace belay::detail;
using namespace std::chrono_literals;

using Due = SessionCore::Due;
using Notice = SessionCore::Notice;

constexpr Instant t0{100s};
constexpr SessionTimes times{
    .greeting_max = 10s, .stalled_after = 60s, .heartbeat = {.every = 10s, .dead_after = 25s}};

/// A session, the facts that its parts would have, and the notices of one turn.
struct Scenario {
    SessionFacts facts{};
    SessionCore core{times, facts};

    /// Resumes at the receiver.
    constexpr void connect(Instant now) {
        facts.link = LinkState::connected;
        facts.blocked = Blocked::none;
        core.greeting(now);
        core.resumed(now);
    }
    constexpr void lose(Instant now = t0) {
        facts.link = LinkState::cooldown;
        core.disconnected(facts.link, now);
    }
    /// Whether a turn gives exactly these notices, in this order.
    template <class... N>
    constexpr bool reports(Instant now, N... wanted) {
        Notice last = Notice::none;
        const bool right = ((last = core.take_notice(last, now, facts), last == wanted) && ...);
        return right && core.take_notice(last, now, facts) == Notice::none;
    }
    constexpr bool sleeps_until(Instant at) const { return core.deadline(facts) == at; }
};

// ---- greeting -----------------------------------------------------------------------------------

consteval bool an_unanswered_hello_ends() {
    Scenario scenario;
    scenario.facts.link = LinkState::connecting;
    scenario.core.disconnected(LinkState::connecting, t0);
    scenario.core.greeting(t0);
    bool ok = scenario.sleeps_until(t0 + 10s) &&
              scenario.core.check_timers(t0 + 10s - 1ns) == Due::nothing;
    ok = ok && scenario.core.check_timers(t0 + 10s) == Due::silent;
    return ok && scenario.sleeps_until(never);  // reported once
}
static_assert(an_unanswered_hello_ends());

consteval bool a_driver_that_is_late_gives_a_greeting_its_time_once_more() {
    Scenario scenario;
    scenario.core.greeting(t0);
    // The disk took 12 s, and HELLO left after that.
    bool ok =
        scenario.core.check_timers(t0 + 12s) == Due::nothing && scenario.sleeps_until(t0 + 22s);
    // WELCOME is read late, too, and START leaves after the next flush.
    scenario.core.welcomed(t0 + 24s);
    ok = ok && scenario.core.check_timers(t0 + 24s) == Due::nothing;
    ok = ok && scenario.core.check_timers(t0 + 36s) == Due::nothing;
    return ok && scenario.core.check_timers(t0 + 48s) == Due::silent;
}
static_assert(a_driver_that_is_late_gives_a_greeting_its_time_once_more());

consteval bool a_welcome_in_time_does_not_prolong_a_greeting() {
    Scenario scenario;
    scenario.core.greeting(t0);
    scenario.core.welcomed(t0 + 9s);
    return scenario.core.check_timers(t0 + 10s) == Due::silent;
}
static_assert(a_welcome_in_time_does_not_prolong_a_greeting());

consteval bool a_lost_connection_ends_its_greeting() {
    Scenario scenario;
    scenario.core.greeting(t0);
    scenario.lose();
    return scenario.sleeps_until(never) && scenario.core.check_timers(t0 + 1h) == Due::nothing;
}
static_assert(a_lost_connection_ends_its_greeting());

// ---- ping, and loss of the connection -----------------------------------------------------------

consteval bool a_silent_receiver_is_asked_and_then_given_up() {
    Scenario scenario;
    scenario.connect(t0);
    bool ok = scenario.sleeps_until(t0 + 10s) && scenario.core.check_timers(t0 + 10s) == Due::ping;
    ok = ok && scenario.core.check_timers(t0 + 20s) == Due::ping;
    return ok && scenario.sleeps_until(t0 + 25s) &&
           scenario.core.check_timers(t0 + 25s) == Due::lost;
}
static_assert(a_silent_receiver_is_asked_and_then_given_up());

consteval bool a_sign_of_life_is_counted_once() {
    Scenario scenario;
    scenario.connect(t0);
    bool ok = scenario.core.check_timers(t0 + 10s) == Due::ping;
    scenario.core.sign_of_life(t0 + 11s, 1);
    ok = ok && scenario.sleeps_until(t0 + 21s) && scenario.core.check_timers(t0 + 21s) == Due::ping;
    // The same sign of life does not count again. The connection is lost dead_after after that
    // sign.
    scenario.core.sign_of_life(t0 + 11s, 1);
    ok = ok && scenario.core.check_timers(t0 + 31s) == Due::ping;
    return ok && scenario.core.check_timers(t0 + 36s) == Due::lost;
}
static_assert(a_sign_of_life_is_counted_once());

consteval bool an_answer_at_the_instant_of_the_last_sign_counts() {
    Scenario scenario;
    scenario.connect(t0);
    scenario.core.sign_of_life(t0 + 3s, 1);
    bool ok = scenario.core.probe(t0 + 3s, 2s) && scenario.sleeps_until(t0 + 5s);
    scenario.core.sign_of_life(t0 + 3s, 1);
    ok = ok && scenario.sleeps_until(t0 + 5s);
    scenario.core.sign_of_life(t0 + 3s, 2);
    return ok && scenario.sleeps_until(t0 + 13s);
}
static_assert(an_answer_at_the_instant_of_the_last_sign_counts());

consteval bool nobody_is_watched_between_connections() {
    Scenario scenario;
    scenario.connect(t0);
    scenario.lose();
    scenario.core.sign_of_life(t0 + 1s, 1);  // a sign of life of the earlier connection
    return scenario.sleeps_until(never) && scenario.core.check_timers(t0 + 1h) == Due::nothing;
}
static_assert(nobody_is_watched_between_connections());

// ---- stall --------------------------------------------------------------------------------------

consteval bool waiting_work_without_progress_is_a_stall() {
    Scenario scenario;
    scenario.connect(t0);
    scenario.facts.durable = 3;
    bool ok = scenario.reports(t0 + 50s, Notice::accepted);  // operations wait since then
    std::uint64_t signs = 0;
    for (Instant t = t0 + 60s; t < t0 + 110s; t += 10s) scenario.core.sign_of_life(t, ++signs);
    scenario.core.sign_of_life(t0 + 105s, ++signs);
    ok = ok && scenario.sleeps_until(t0 + 110s) && scenario.reports(t0 + 110s - 1ns);
    ok = ok && scenario.reports(t0 + 110s, Notice::stalled);
    return ok && scenario.reports(t0 + 500s);  // reported once
}
static_assert(waiting_work_without_progress_is_a_stall());

consteval bool progress_puts_a_stall_off_and_another_one_may_come() {
    Scenario scenario;
    scenario.connect(t0);
    scenario.facts.durable = 3;
    bool ok = scenario.reports(t0, Notice::accepted) && scenario.reports(t0 + 60s, Notice::stalled);
    scenario.facts.acked = 1;
    ok =
        ok && scenario.reports(t0 + 70s, Notice::acknowledged) && scenario.reports(t0 + 130s - 1ns);
    return ok && scenario.reports(t0 + 130s, Notice::stalled);
}
static_assert(progress_puts_a_stall_off_and_another_one_may_come());

consteval bool an_outage_is_no_stall() {
    Scenario scenario;
    scenario.connect(t0);
    scenario.facts.durable = 3;
    bool ok = scenario.reports(t0, Notice::accepted);
    scenario.lose();
    ok = ok && scenario.reports(t0 + 1h) && scenario.sleeps_until(never);
    scenario.connect(t0 + 2h);
    return ok && scenario.reports(t0 + 2h + 59s) &&
           scenario.reports(t0 + 2h + 60s, Notice::stalled);
}
static_assert(an_outage_is_no_stall());

// Connections of 25 s with outages of an hour between: stalled after 60 s of connection.
consteval bool short_connections_add_up_to_a_stall() {
    Scenario scenario;
    scenario.connect(t0);
    scenario.facts.durable = 1;
    bool ok = scenario.reports(t0, Notice::accepted);
    scenario.lose(t0 + 25s);
    scenario.connect(t0 + 1h);
    ok = ok && scenario.reports(t0 + 1h);
    scenario.lose(t0 + 1h + 25s);
    scenario.core.disconnected(LinkState::connecting, t0 + 2h);
    scenario.connect(t0 + 3h);
    ok = ok && scenario.reports(t0 + 3h + 9s);
    return ok && scenario.reports(t0 + 3h + 10s, Notice::stalled);
}
static_assert(short_connections_add_up_to_a_stall());

// The time before the first connection does not count either.
consteval bool an_operation_of_before_the_start_waits_from_the_connection_on() {
    Scenario scenario;
    scenario.facts.durable = 1;
    bool ok = scenario.reports(t0, Notice::accepted);
    scenario.core.disconnected(LinkState::connecting, t0 + 1h);
    scenario.connect(t0 + 1h + 1s);
    ok = ok && scenario.reports(t0 + 1h + 60s);
    return ok && scenario.reports(t0 + 1h + 61s, Notice::stalled);
}
static_assert(an_operation_of_before_the_start_waits_from_the_connection_on());

// An operation that was accepted during an outage waits since the connection opened.
consteval bool an_operation_of_an_outage_waits_from_the_connection_on() {
    Scenario scenario;
    scenario.connect(t0);
    scenario.lose(t0 + 50s);
    scenario.facts.durable = 1;
    bool ok = scenario.reports(t0 + 30min, Notice::accepted);
    scenario.connect(t0 + 1h);
    ok = ok && scenario.reports(t0 + 1h + 59s);
    return ok && scenario.reports(t0 + 1h + 60s, Notice::stalled);
}
static_assert(an_operation_of_an_outage_waits_from_the_connection_on());

/// Answers the HELLO of a connection, which ends then.
constexpr void answer_and_lose(Scenario& scenario, Instant now) {
    scenario.facts.link = LinkState::connecting;
    scenario.core.disconnected(LinkState::connecting, now);
    scenario.core.greeting(now);
    scenario.core.answered();
    scenario.lose(now);
}

consteval bool three_connections_without_progress_are_a_stall() {
    Scenario scenario;
    scenario.facts.durable = 1;
    bool ok = scenario.reports(t0, Notice::accepted);
    answer_and_lose(scenario, t0);
    answer_and_lose(scenario, t0 + 1s);
    ok = ok && scenario.reports(t0 + 1h) && scenario.sleeps_until(never);
    answer_and_lose(scenario, t0 + 1h);
    ok = ok && scenario.reports(t0 + 1h, Notice::stalled);
    answer_and_lose(scenario, t0 + 2h);
    return ok && scenario.reports(t0 + 3h);  // reported once
}
static_assert(three_connections_without_progress_are_a_stall());

consteval bool connections_that_end_fast_are_a_stall_after_the_time() {
    Scenario scenario;
    scenario.facts.durable = 1;
    bool ok = scenario.reports(t0, Notice::accepted);
    for (int i = 0; i < 3; ++i) answer_and_lose(scenario, t0 + i * 1s);
    ok = ok && scenario.sleeps_until(t0 + 60s) && scenario.reports(t0 + 59s);
    scenario.facts.link = LinkState::suspended;
    ok = ok && scenario.sleeps_until(never) && scenario.reports(t0 + 2min);
    scenario.facts.link = LinkState::cooldown;
    return ok && scenario.reports(t0 + 2min, Notice::stalled);
}
static_assert(connections_that_end_fast_are_a_stall_after_the_time());

consteval bool connections_without_an_answer_or_without_work_are_no_stall() {
    Scenario scenario;
    for (int i = 0; i < 5; ++i) answer_and_lose(scenario, t0 + i * 1s);
    scenario.facts.durable = 1;
    bool ok = scenario.reports(t0 + 10s, Notice::accepted);
    for (int i = 0; i < 5; ++i) {
        scenario.core.greeting(t0 + 20s);
        scenario.lose(t0 + 30s);
    }
    answer_and_lose(scenario, t0 + 40s);
    answer_and_lose(scenario, t0 + 50s);
    scenario.facts.durable = 2;
    scenario.facts.acked = 1;
    ok = ok && scenario.reports(t0 + 55s, Notice::accepted, Notice::acknowledged);
    answer_and_lose(scenario, t0 + 60s);
    return ok && scenario.reports(t0 + 1h) && scenario.sleeps_until(never);
}
static_assert(connections_without_an_answer_or_without_work_are_no_stall());

// ---- notices of the observer --------------------------------------------------------------------

consteval bool a_turn_tells_in_order_and_each_once() {
    Scenario scenario;
    scenario.connect(t0);
    scenario.facts = {.link = LinkState::connected,
                      .durable = 9,
                      .acked = 4,
                      .replacements = 1,
                      .blocked = Blocked::too_large};
    bool ok = scenario.sleeps_until(always);
    ok = ok && scenario.reports(t0, Notice::accepted, Notice::acknowledged,
                                Notice::journal_replaced, Notice::blocked);
    return ok && scenario.reports(t0);
}
static_assert(a_turn_tells_in_order_and_each_once());

consteval bool what_a_hook_causes_is_told_in_the_next_turn() {
    Scenario scenario;
    scenario.facts.durable = 1;
    scenario.facts.acked = 1;
    bool ok = scenario.core.take_notice(Notice::none, t0, scenario.facts) == Notice::accepted;
    ok = ok &&
         scenario.core.take_notice(Notice::accepted, t0, scenario.facts) == Notice::acknowledged;
    scenario.facts.durable = 2;  // a hook has sent an operation, and made it durable
    ok = ok && scenario.core.take_notice(Notice::acknowledged, t0, scenario.facts) == Notice::none;
    return ok && scenario.sleeps_until(always) && scenario.reports(t0, Notice::accepted);
}
static_assert(what_a_hook_causes_is_told_in_the_next_turn());

consteval bool a_block_that_is_found_again_is_told_again() {
    Scenario scenario;
    scenario.connect(t0);
    scenario.facts.blocked = Blocked::fenced;
    bool ok = scenario.reports(t0, Notice::blocked) && scenario.reports(t0 + 1s);
    scenario.core.greeting(t0 + 2s);
    return ok && scenario.reports(t0 + 3s, Notice::blocked);
}
static_assert(a_block_that_is_found_again_is_told_again());

}  // namespace
