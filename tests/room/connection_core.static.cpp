// SPDX-License-Identifier: MIT
// Goal: every state of a connection and every event, and its timers, proven at compile time.
// Method: a table with a row for each pair, and events at chosen times.
#include <iterator>
#include <utility>

#include <belay/room/detail/connection_core.hpp>

using namespace belay;
using namespace std::chrono_literals;

namespace connection_life {

using Core = ::belay::detail::ConnectionCore;
using State = Core::State;
using Event = Core::Event;
using Todo = Core::Actions;

constexpr RoomOptions connection_defaults{};
constexpr Duration check_within = connection_defaults.check_within;
constexpr Instant at(Duration d) { return Instant{d}; }
constexpr State connection_states[] = {State::accepted, State::opening, State::open, State::closing,
                                       State::closed};
constexpr Event connection_events[] = {Event::open, Event::opened, Event::joined,
                                       Event::left, Event::close,  Event::ended};

/// A connection in this state. One that was opened has one client that has joined.
constexpr Core connection_in(State state) {
    Core core{connection_defaults};
    const auto step = [&](Event event) { static_cast<void>(core.step(event, Instant{})); };
    if (state == State::closing) step(Event::close);
    if (state == State::accepted || state == State::closing) return core;
    step(Event::open);
    if (state == State::opening) {
        step(Event::joined);
        return core;
    }
    step(Event::opened);
    step(Event::joined);
    if (state == State::closed) step(Event::ended);
    return core;
}

struct Row {
    State from;
    Event event;
    State to;
    Todo todo{};
};
/// The difference from "no change, no action".
constexpr Row rows[] = {
    {State::accepted, Event::open, State::opening, {.open = true}},
    {State::accepted, Event::close, State::closing, {.release = true, .open = true}},
    {State::accepted, Event::ended, State::closed, {.release = true}},
    {State::opening, Event::opened, State::open, {.listen = true}},
    {State::opening, Event::close, State::closing, {.release = true}},
    {State::opening, Event::ended, State::closed, {.release = true}},
    {State::open, Event::close, State::closed, {.release = true, .close = true}},
    {State::open, Event::ended, State::closed, {.release = true}},
    {State::closing, Event::opened, State::closed, {.close = true}},
    {State::closing, Event::ended, State::closed},
};

constexpr bool is_the_connection_table() {
    std::size_t found = 0;
    for (const State from : connection_states) {
        if (connection_in(from).state() != from) return false;
        for (const Event event : connection_events) {
            Row expected{from, event, from, {}};
            for (const Row& row : rows) {
                if (row.from != from || row.event != event) continue;
                expected = row;
                ++found;
            }
            Core core = connection_in(from);
            const bool first = event == Event::joined && !core.has_ever_joined();
            Todo todo = core.step(event, Instant{});
            if (first && !std::exchange(todo.raise_limit, false)) return false;
            if (core.state() != expected.to || todo != expected.todo) return false;
        }
    }
    return found == std::size(rows);
}
static_assert(is_the_connection_table());

// ---- timers ------------------------------------------------------------------------------------

// row: opening | tick, check_within after it began | closed | release, abort
constexpr bool an_opening_ends_after_check_within() {
    Core core{connection_defaults};
    static_cast<void>(core.step(Event::open, at(1s)));
    const bool waits = core.awaits_upgrade() && core.deadline(true) == at(1s + check_within) &&
                       core.tick(at(check_within), true) == Todo{};
    return waits &&
           core.tick(at(1s + check_within), true) == Todo{.release = true, .abort = true} &&
           core.state() == State::closed && core.deadline(true) == never && !core.awaits_upgrade();
}
static_assert(an_opening_ends_after_check_within());

// row: closing | tick, check_within after it began | closed | abort
constexpr bool a_close_code_waits_for_check_within(State from) {
    Core core = connection_in(from);
    static_cast<void>(core.step(Event::close, at(5s)));
    const bool waits = core.awaits_upgrade() && core.deadline(false) == at(5s + check_within);
    Core sent = core;
    static_cast<void>(sent.step(Event::opened, at(6s)));
    return waits && core.tick(at(5s + check_within), false) == Todo{.abort = true} &&
           core.deadline(false) == never && sent.deadline(false) == never && !sent.awaits_upgrade();
}
static_assert(a_close_code_waits_for_check_within(State::accepted));
static_assert(a_close_code_waits_for_check_within(State::opening));

// row: open | tick, check_within without a client | open | fail (unauthorized)
constexpr bool a_connection_without_a_client_ends_after_check_within() {
    Core core{connection_defaults};
    static_cast<void>(core.step(Event::open, at(0s)));
    static_cast<void>(core.step(Event::opened, at(1s)));
    const Instant ends = at(1s + check_within);
    const bool early = core.is_late(before(ends, 1ns)) || core.deadline(true) != never;
    return !early && core.deadline(false) == ends && core.is_late(ends) &&
           core.tick(before(ends, 1ns), false) == Todo{} && core.tick(ends, true) == Todo{} &&
           core.tick(ends, false) == Todo{.fail = RoomErrc::unauthorized};
}
static_assert(a_connection_without_a_client_ends_after_check_within());

constexpr bool the_time_for_a_token_begins_again_when_the_last_client_has_left() {
    Core core = connection_in(State::open);
    static_cast<void>(core.step(Event::joined, at(1s)));
    static_cast<void>(core.step(Event::left, at(2s)));
    const bool one_is_left = core.deadline(false) == never;
    static_cast<void>(core.step(Event::left, at(3s)));
    return one_is_left && core.deadline(false) == at(3s + check_within);
}
static_assert(the_time_for_a_token_begins_again_when_the_last_client_has_left());

constexpr bool a_closed_connection_waits_for_no_client() {
    Core core = connection_in(State::open);
    static_cast<void>(core.step(Event::close, at(1s)));
    static_cast<void>(core.step(Event::left, at(1s)));
    return core.state() == State::closed && core.deadline(false) == never &&
           core.tick(at(1h), false) == Todo{};
}
static_assert(a_closed_connection_waits_for_no_client());

// ---- limits ------------------------------------------------------------------------------------

// row: opening | joined, for the first time | opening | raise_limit
// row: open | joined, for the first time | open | raise_limit
constexpr bool the_first_join_raises_the_limit(State state) {
    Core core{connection_defaults};
    static_cast<void>(core.step(Event::open, at(0s)));
    if (state == State::open) static_cast<void>(core.step(Event::opened, at(0s)));
    const bool at_first = core.has_ever_joined();
    const bool raises = core.step(Event::joined, at(0s)) == Todo{.raise_limit = true};
    return !at_first && raises && core.has_ever_joined() && core.state() == state &&
           core.step(Event::joined, at(0s)) == Todo{};
}
static_assert(the_first_join_raises_the_limit(State::opening));
static_assert(the_first_join_raises_the_limit(State::open));

constexpr bool the_bytes_before_the_first_token_are_limited() {
    const std::size_t most = Core::token_bytes_max;
    Core core{connection_defaults};
    const bool fits = core.count_until_token(most - 1) && core.count_until_token(1);
    Core late = core;
    core.note_token();
    return fits && !late.count_until_token(1) && core.count_until_token(most) &&
           core.count_until_token(most);
}
static_assert(the_bytes_before_the_first_token_are_limited());

}  // namespace connection_life
