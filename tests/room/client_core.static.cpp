// SPDX-License-Identifier: MIT
// Goal: every state of a client and every event, and the timers over whole lifetimes, proven at
// compile time. Method: a table with a row for each pair, and events at chosen times.
#include <iterator>

#include <belay/room/detail/client_core.hpp>

using namespace belay;
using namespace std::chrono_literals;

namespace client_life {

using Core = ::belay::detail::ClientCore;
using State = Core::State;
using Event = Core::Event;
using Leave = Core::Leave;
using Todo = Core::Actions;

constexpr RoomOptions client_defaults{};
constexpr Instant at(Duration d) { return Instant{d}; }
constexpr State client_states[] = {State::checking, State::loading, State::opening, State::joined,
                                   State::closed};
constexpr Event client_events[] = {Event::check_requested, Event::token,      Event::granted,
                                   Event::denied,          Event::unanswered, Event::room_loading,
                                   Event::room_live,       Event::opened,     Event::withdraw,
                                   Event::ended,           Event::tick};

/// A client in this state, without a check under way.
constexpr Core client_in(State state, bool renews = false) {
    Core core{client_defaults, renews};
    const auto step = [&](Event event) {
        static_cast<void>(core.step(event, Instant{}, Duration{1h}));
    };
    if (state == State::closed) step(Event::ended);
    if (state == State::checking || core.ending()) return core;
    step(Event::check_requested);
    step(Event::granted);
    step(Event::room_loading);
    if (state != State::loading) step(Event::room_live);
    if (state == State::joined) step(Event::opened);
    return core;
}
/// A client in this state, with a check under way. The one that is closed was withdrawn.
constexpr Core checked_in(State state, bool renews) {
    Core core = client_in(state == State::closed ? State::joined : state, renews);
    static_cast<void>(core.step(Event::check_requested, Instant{}));
    if (state == State::closed) static_cast<void>(core.step(Event::withdraw, Instant{}));
    return core;
}
constexpr bool states_are_reached() {
    for (const State state : client_states) {
        if (client_in(state, false).state() != state) return false;
        if (client_in(state, true).state() != state) return false;
    }
    return true;
}
static_assert(states_are_reached());

struct Row {
    State from;
    Event event;
    State to;
    Todo todo{};
};
/// The difference from "no change, no action".
constexpr Row client_rows[] = {
    {State::checking, Event::check_requested, State::checking, {.check = true}},
    {State::checking, Event::token, State::checking, {.check = true}},
    {State::checking, Event::granted, State::checking, {.find_room = true}},
    {State::checking, Event::denied, State::checking, {.deny = true}},
    {State::checking, Event::unanswered, State::checking, {.fail = RoomErrc::no_answer}},
    {State::checking, Event::room_loading, State::loading},
    {State::checking, Event::room_live, State::opening, {.open = true}},
    {State::checking, Event::withdraw, State::closed, {.leave = Leave::before_joining}},
    {State::checking, Event::ended, State::closed, {.leave = Leave::before_joining}},

    {State::loading, Event::check_requested, State::loading, {.check = true}},
    {State::loading, Event::token, State::loading, {.check = true}},
    {State::loading, Event::denied, State::loading, {.deny = true}},
    {State::loading, Event::unanswered, State::loading, {.fail = RoomErrc::no_answer}},
    {State::loading, Event::room_live, State::opening, {.open = true}},
    {State::loading, Event::withdraw, State::closed, {.leave = Leave::before_joining}},
    {State::loading, Event::ended, State::closed, {.leave = Leave::before_joining}},

    {State::opening, Event::check_requested, State::opening, {.check = true}},
    {State::opening, Event::token, State::opening, {.check = true}},
    {State::opening, Event::denied, State::opening, {.deny = true}},
    {State::opening, Event::unanswered, State::opening, {.fail = RoomErrc::no_answer}},
    {State::opening, Event::opened, State::joined, {.join = true}},
    {State::opening, Event::withdraw, State::closed, {.leave = Leave::before_joining}},
    {State::opening, Event::ended, State::closed, {.leave = Leave::before_joining}},

    {State::joined, Event::check_requested, State::joined, {.check = true}},
    {State::joined, Event::token, State::joined, {.check = true}},
    {State::joined, Event::granted, State::joined, {.refresh = true}},
    {State::joined, Event::denied, State::joined, {.deny = true}},
    {State::joined, Event::unanswered, State::joined, {.fail = RoomErrc::no_answer}},
    {State::joined, Event::withdraw, State::closed, {.leave = Leave::joined}},
    {State::joined, Event::ended, State::closed, {.leave = Leave::joined}},
};

// The differences of a row while a check is under way. The check lets requests wait.
// row: any | ended, during a check | closed | leave, drop_check
// row: closed | ended, during a check | closed | drop_check
constexpr Row during_a_check(Row row) {
    if (row.event == Event::check_requested || row.event == Event::token) row.todo = {};
    if (row.event == Event::ended) row.todo.drop_check = true;
    return row;
}
constexpr bool is_the_table(bool renews, bool checks) {
    std::size_t rows = 0;
    for (const State from : client_states) {
        for (const Event event : client_events) {
            Row expected{from, event, from, {}};
            for (const Row& row : client_rows) {
                if (row.from != from || row.event != event) continue;
                expected = row;
                ++rows;
            }
            if (checks) expected = during_a_check(expected);
            Core core = checks ? checked_in(from, renews) : client_in(from, renews);
            if (core.checks() != checks) return false;
            const Todo todo = core.step(event, Instant{}, Duration{1h});
            if (core.state() != expected.to || todo != expected.todo) return false;
        }
    }
    return rows == std::size(client_rows);
}
static_assert(is_the_table(false, false));
static_assert(is_the_table(true, false));
static_assert(is_the_table(false, true));
static_assert(is_the_table(true, true));

// ---- timers ------------------------------------------------------------------------------------

constexpr Duration within = client_defaults.check_within;

// row: checking | tick, check_within after the check began | checking | fail (no_answer)
// row: loading | tick, check_within after the check began | loading | fail (no_answer)
// row: joined | tick, check_within after the check began | joined | fail (no_answer)
constexpr bool a_check_ends_after_check_within() {
    for (const State state : {State::checking, State::loading, State::joined}) {
        Core core = client_in(state, false);
        static_cast<void>(core.step(Event::check_requested, at(1s)));
        if (core.deadline() != at(1s + within)) return false;
        if (core.step(Event::tick, at(within)) != Todo{}) return false;
        if (core.step(Event::tick, at(1s + within)) != Todo{.fail = RoomErrc::no_answer})
            return false;
        if (core.state() != state) return false;
    }
    return true;
}
static_assert(a_check_ends_after_check_within());

// row: opening | tick, check_within after the check began | opening | fail (no_answer)
constexpr bool a_check_keeps_its_deadline_during_an_upgrade() {
    Core core = client_in(State::loading, false);
    static_cast<void>(core.step(Event::check_requested, at(1s)));
    static_cast<void>(core.step(Event::room_live, at(2s)));
    return core.deadline() == at(1s + within) &&
           core.step(Event::tick, at(1s + within)) == Todo{.fail = RoomErrc::no_answer} &&
           core.state() == State::opening && core.deadline() == at(1h);
}
static_assert(a_check_keeps_its_deadline_during_an_upgrade());

constexpr bool a_check_keeps_its_deadline_when_the_client_joins() {
    Core core = client_in(State::opening, false);
    static_cast<void>(core.step(Event::check_requested, at(1s)));
    static_cast<void>(core.step(Event::opened, at(2s)));
    const bool keeps = core.deadline() == at(1s + within);
    return keeps && client_in(State::joined, false).deadline() == at(1h);
}
static_assert(a_check_keeps_its_deadline_when_the_client_joins());

// row: loading | tick, when the grant ends | loading | fail (unauthorized)
// row: opening | tick, when the grant ends | opening | fail (unauthorized)
constexpr bool a_grant_ends_before_the_client_joins() {
    for (const State state : {State::loading, State::opening}) {
        Core core{client_defaults, false};
        static_cast<void>(core.step(Event::check_requested, at(0s)));
        static_cast<void>(core.step(Event::granted, at(0s), within / 2));
        static_cast<void>(core.step(Event::room_loading, at(0s)));
        if (state == State::opening) static_cast<void>(core.step(Event::room_live, at(0s)));
        if (core.state() != state || core.deadline() != at(within / 2)) return false;
        const Todo todo = core.step(Event::tick, at(within / 2));
        if (todo != Todo{.fail = RoomErrc::unauthorized} || core.state() != state) return false;
    }
    return true;
}
static_assert(a_grant_ends_before_the_client_joins());

// row: joined | tick, when the grant ends | joined | fail (unauthorized)
constexpr bool a_grant_ends() {
    Core core = client_in(State::joined, false);
    return core.deadline() == at(1h) && core.step(Event::tick, at(1h - 1ns)) == Todo{} &&
           core.step(Event::tick, at(1h)) == Todo{.fail = RoomErrc::unauthorized};
}
static_assert(a_grant_ends());

constexpr bool a_client_that_renews_is_asked_once_for_a_token() {
    Core core = client_in(State::joined, true);
    const bool asks = core.deadline() == at(1h - within) &&
                      core.step(Event::tick, at(1h - within)) == Todo{.request_token = true};
    return asks && core.step(Event::tick, at(1h - within)) == Todo{} && core.deadline() == at(1h);
}
static_assert(a_client_that_renews_is_asked_once_for_a_token());

constexpr bool a_request_during_a_check_neither_delays_nor_voids_its_answer(Event answer,
                                                                            Todo todo) {
    Core core = client_in(State::joined, false);
    static_cast<void>(core.step(Event::check_requested, at(1s)));
    if (core.step(Event::check_requested, at(2s)) != Todo{}) return false;
    if (core.deadline() != at(1s + within)) return false;
    const bool first = core.step(answer, at(3s), 1h) == todo && !core.checks();
    // The first answer requested a second check. The answer to that one requests no third.
    static_cast<void>(core.step(Event::check_requested, at(4s)));
    return first && core.step(Event::granted, at(5s), 1h) == Todo{.refresh = true};
}
static_assert(a_request_during_a_check_neither_delays_nor_voids_its_answer(Event::granted,
                                                                           {.refresh = true,
                                                                            .recheck = true}));
static_assert(a_request_during_a_check_neither_delays_nor_voids_its_answer(Event::denied,
                                                                           {.deny = true}));

constexpr bool a_request_during_the_first_check_requests_another(State state) {
    Core core = client_in(state, false);
    static_cast<void>(core.step(Event::check_requested, at(1s)));
    static_cast<void>(core.step(Event::check_requested, at(2s)));
    const Todo todo = core.step(Event::granted, at(3s), 1h);
    return todo == Todo{.find_room = state == State::checking, .recheck = true};
}
static_assert(a_request_during_the_first_check_requests_another(State::checking));
static_assert(a_request_during_the_first_check_requests_another(State::loading));
static_assert(a_request_during_the_first_check_requests_another(State::opening));

// ---- tokens ------------------------------------------------------------------------------------

constexpr bool a_token_during_a_check_is_checked_after_it(Event first, Todo todo) {
    Core core = client_in(State::joined, true);
    static_cast<void>(core.step(Event::check_requested, at(1s)));
    if (core.step(Event::token, at(2s)) != Todo{}) return false;
    if (core.step(first, at(3s), 1h) != todo) return false;
    // The second check gets its own time only if the first one was granted.
    const Duration from = first == Event::granted ? Duration{3s} : Duration{1s};
    return core.deadline() == at(from + within) &&
           core.step(Event::denied, at(4s)) == Todo{.deny = true};
}
static_assert(a_token_during_a_check_is_checked_after_it(Event::granted,
                                                         {.refresh = true, .check = true}));
static_assert(a_token_during_a_check_is_checked_after_it(Event::denied, {.check = true}));
static_assert(a_token_during_a_check_is_checked_after_it(Event::unanswered, {.check = true}));

constexpr bool the_check_of_a_newer_token_serves_a_request(Event first) {
    Core core = client_in(State::joined, true);
    static_cast<void>(core.step(Event::check_requested, at(1s)));
    static_cast<void>(core.step(Event::token, at(2s)));
    static_cast<void>(core.step(Event::check_requested, at(2s)));
    const Todo todo = core.step(first, at(3s), 1h);
    return todo.check && !todo.recheck &&
           core.step(Event::granted, at(4s), 1h) == Todo{.refresh = true};
}
static_assert(the_check_of_a_newer_token_serves_a_request(Event::granted));
static_assert(the_check_of_a_newer_token_serves_a_request(Event::denied));

// row: closed | tick, check_within after the check began | closed | drop_check
constexpr bool a_withdrawn_client_waits_for_its_check() {
    Core core = client_in(State::joined, true);
    static_cast<void>(core.step(Event::check_requested, at(1s)));
    static_cast<void>(core.step(Event::withdraw, at(2s)));
    Core answered = core;
    const bool counts = core.takes_check() && core.deadline() == at(1s + within);
    const bool ends = core.step(Event::tick, at(1s + within)) == Todo{.drop_check = true} &&
                      !core.takes_check() && core.deadline() == never;
    return counts && ends && answered.step(Event::granted, at(3s), 1h) == Todo{} &&
           !answered.takes_check();
}
static_assert(a_withdrawn_client_waits_for_its_check());

constexpr bool a_held_token_takes_a_check() {
    Core core = client_in(State::joined, true);
    core.hold_token();
    const bool held = core.takes_check();
    core.release_token();
    return held && !core.takes_check();
}
static_assert(a_held_token_takes_a_check());

constexpr bool a_denial_is_sent_once_after_each_grant() {
    Core core = client_in(State::joined, false);
    const bool once = core.take_denial() && !core.take_denial();
    static_cast<void>(core.step(Event::check_requested, at(1s)));
    static_cast<void>(core.step(Event::granted, at(2s), 1h));
    return once && core.take_denial();
}
static_assert(a_denial_is_sent_once_after_each_grant());

// ---- requests that wait ------------------------------------------------------------------------

constexpr bool a_draining_client_stays_joined() {
    Core core = client_in(State::joined, true);
    const bool before_it = core.draining();
    core.drain();
    return !before_it && core.draining() && core.joined() &&
           !client_in(State::joined, true).draining();
}
static_assert(a_draining_client_stays_joined());

}  // namespace client_life
