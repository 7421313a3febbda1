// SPDX-License-Identifier: MIT
// Goal: whole lifetimes of rooms, proven at compile time. Method: events at chosen times, and ticks
// at the core's deadlines.
#include <belay/room/room_core.hpp>

#include <array>
#include <cstdint>
#include <iterator>
#include <type_traits>

using namespace belay;
using namespace std::chrono_literals;

namespace room_life {

using Event = timeline::RoomCore::Event;
using Evictable = timeline::RoomCore::Evictable;
using State = timeline::RoomCore::State;
using Todo = timeline::RoomCore::Actions;

constexpr RoomOptions room_defaults{};

struct Scenario {
    timeline::RoomCore core{Instant{}, room_defaults, Instant{}};
    Random bits{Seed{7}};
    Instant now{};
    int saves = 0;
    bool evicted = false;
    Instant at{};  // of the last save or end

    constexpr Todo step(Event event) {
        Turn turn{now, bits};
        const Todo todo = core.step(event, turn);
        if (todo.save || todo.evict) at = now;
        saves += todo.save ? 1 : 0;
        evicted = evicted || todo.evict;
        return todo;
    }
    constexpr Scenario& run(Duration d) {
        const Instant end = after(now, d);
        while (!evicted && core.deadline() <= end) {
            now = detail::larger(now, core.deadline());
            step(Event::tick);
        }
        now = end;
        return *this;
    }
    constexpr Scenario& change() {
        step(Event::appended);
        step(Event::applied);
        return *this;
    }
};

// ---- the table ---------------------------------------------------------------------------------

constexpr State room_states[] = {State::loading,        State::clean,  State::due,
                                 State::due_optional,   State::saving, State::saving_changed,
                                 State::saving_optional};
constexpr Event room_events[] = {Event::loaded,
                                 Event::load_failed,
                                 Event::joined,
                                 Event::left,
                                 Event::used,
                                 Event::appended,
                                 Event::applied,
                                 Event::lost,
                                 Event::dropped,
                                 Event::saved,
                                 Event::save_failed,
                                 Event::save_requested,
                                 Event::stop,
                                 Event::tick,
                                 Event::uncovered,
                                 Event::save_rejected,
                                 Event::loaded_uncovered,
                                 Event::saved_elsewhere};

/// A room in this state, with a client.
constexpr Scenario room_in(State state) {
    Scenario scenario;
    scenario.step(Event::joined);
    if (state == State::loading) return scenario;
    scenario.step(Event::loaded);
    if (state == State::due_optional) scenario.step(Event::loaded_uncovered);
    if (state == State::due || state == State::saving || state == State::saving_changed)
        scenario.change();
    if (state >= State::saving) scenario.step(Event::save_requested);
    if (state == State::saving_changed) scenario.change();
    return scenario;
}
constexpr bool all_states_of_a_room_are_reached() {
    for (const State state : room_states)
        if (room_in(state).core.state() != state) return false;
    return true;
}
static_assert(all_states_of_a_room_are_reached());

struct RoomRow {
    State from;
    Event event;
    State to;
    Todo todo{};
};
/// The difference from "no change, no action".
constexpr RoomRow room_rows[] = {
    {State::loading, Event::loaded, State::clean},
    {State::loading, Event::load_failed, State::over, {.close_clients = true, .evict = true}},
    {State::loading, Event::stop, State::over, {.evict = true}},

    {State::clean, Event::lost, State::loading, {.load = true}},
    {State::clean, Event::applied, State::due},
    {State::clean, Event::uncovered, State::due},
    {State::clean, Event::loaded_uncovered, State::due_optional},
    {State::clean, Event::save_requested, State::saving_optional, {.save = true}},
    {State::clean, Event::stop, State::over, {.evict = true}},

    {State::due, Event::lost, State::loading, {.load = true}},
    {State::due, Event::save_requested, State::saving, {.save = true}},
    {State::due, Event::stop, State::saving, {.save = true}},

    {State::due_optional, Event::lost, State::loading, {.load = true}},
    {State::due_optional, Event::applied, State::due},
    {State::due_optional, Event::uncovered, State::due},
    {State::due_optional, Event::saved_elsewhere, State::clean},
    {State::due_optional, Event::save_requested, State::saving_optional, {.save = true}},
    {State::due_optional, Event::stop, State::over, {.evict = true}},

    {State::saving, Event::lost, State::loading, {.load = true}},
    {State::saving, Event::applied, State::saving_changed},
    {State::saving, Event::uncovered, State::saving_changed},
    {State::saving, Event::loaded_uncovered, State::saving_changed},
    {State::saving, Event::saved, State::clean},
    {State::saving, Event::save_failed, State::due},
    {State::saving, Event::save_rejected, State::due},

    {State::saving_changed, Event::lost, State::loading, {.load = true}},
    {State::saving_changed, Event::saved, State::due},
    {State::saving_changed, Event::save_failed, State::due},
    {State::saving_changed, Event::save_rejected, State::due},

    {State::saving_optional, Event::lost, State::loading, {.load = true}},
    {State::saving_optional, Event::applied, State::saving_changed},
    {State::saving_optional, Event::uncovered, State::saving_changed},
    {State::saving_optional, Event::loaded_uncovered, State::saving_changed},
    {State::saving_optional, Event::saved, State::clean},
    {State::saving_optional, Event::save_failed, State::clean},
    {State::saving_optional, Event::save_rejected, State::clean},
    {State::saving_optional, Event::stop, State::over, {.evict = true}},
};
constexpr bool may_follow(State state, Event event) {
    if (event == Event::loaded || event == Event::load_failed) return state == State::loading;
    if (event == Event::applied) return state != State::loading;
    const bool ends_save =
        event == Event::saved || event == Event::save_failed || event == Event::save_rejected;
    return !ends_save || state >= State::saving;
}
constexpr bool is_the_table_of_a_room() {
    std::size_t rows = 0;
    for (const State from : room_states) {
        for (const Event event : room_events) {
            RoomRow expected{from, event, from, {}};
            for (const RoomRow& row : room_rows) {
                if (row.from != from || row.event != event) continue;
                expected = row;
                ++rows;
            }
            if (!may_follow(from, event)) continue;
            Scenario scenario = room_in(from);
            // These events concern a change that was appended.
            if (event == Event::applied || event == Event::lost || event == Event::dropped)
                scenario.step(Event::appended);
            const Todo todo = scenario.step(event);
            if (scenario.core.state() != expected.to || todo != expected.todo) return false;
        }
    }
    return rows == std::size(room_rows);
}
static_assert(is_the_table_of_a_room());

// row: due | tick, when the save is due | saving | save
// row: due_optional | tick, when the save is due | saving_optional | save
constexpr bool a_save_begins_when_it_is_due(State from, State to) {
    Scenario scenario = room_in(from);
    scenario.now = scenario.core.deadline();
    return scenario.now >= Instant{5s} && scenario.now <= Instant{30s} &&
           scenario.step(Event::tick) == Todo{.save = true} && scenario.core.state() == to;
}
static_assert(a_save_begins_when_it_is_due(State::due, State::saving));
static_assert(a_save_begins_when_it_is_due(State::due_optional, State::saving_optional));

// row: saving | saved, while it stops | over | evict
// row: saving | save_rejected, while it stops | over | evict
// row: saving_changed | saved, while it stops | saving | save
// row: saving_changed | save_rejected, while it stops | over | evict
constexpr bool a_stop_goes_on_after_the_save(State from, Event event, State to, Todo todo) {
    Scenario scenario = room_in(from);
    const bool waits = scenario.step(Event::stop) == Todo{} && scenario.core.state() == from;
    return waits && scenario.step(event) == todo && scenario.core.state() == to;
}
static_assert(a_stop_goes_on_after_the_save(State::saving, Event::saved, State::over,
                                            {.evict = true}));
static_assert(a_stop_goes_on_after_the_save(State::saving, Event::save_rejected, State::over,
                                            {.evict = true}));
static_assert(a_stop_goes_on_after_the_save(State::saving_changed, Event::saved, State::saving,
                                            {.save = true}));
static_assert(a_stop_goes_on_after_the_save(State::saving_changed, Event::save_rejected,
                                            State::over, {.evict = true}));

// row: clean | lost, while it stops | over | evict
// row: due | lost, while it stops | saving | save
// row: due_optional | lost, while it stops | over | evict
// row: saving | lost, while it stops | saving
// row: saving_changed | lost, while it stops | saving_changed
// row: saving_optional | lost, while it stops | over | evict
constexpr bool a_stop_goes_on_after_a_loss(State from, State to, Todo todo) {
    Scenario scenario = room_in(from);
    scenario.step(Event::appended);
    const bool waits = scenario.step(Event::stop) == Todo{} && scenario.core.state() == from;
    return waits && scenario.step(Event::lost) == todo && scenario.core.state() == to;
}
static_assert(a_stop_goes_on_after_a_loss(State::clean, State::over, {.evict = true}));
static_assert(a_stop_goes_on_after_a_loss(State::due, State::saving, {.save = true}));
static_assert(a_stop_goes_on_after_a_loss(State::due_optional, State::over, {.evict = true}));
static_assert(a_stop_goes_on_after_a_loss(State::saving, State::saving, {}));
static_assert(a_stop_goes_on_after_a_loss(State::saving_changed, State::saving_changed, {}));
static_assert(a_stop_goes_on_after_a_loss(State::saving_optional, State::over, {.evict = true}));

// row: clean | save_requested, after a failure | due_optional
// row: due | save_requested, after a failure | due
constexpr bool a_request_does_not_advance_the_retry(State from, State to) {
    Scenario scenario = room_in(from == State::due ? State::saving : State::saving_optional);
    scenario.step(Event::save_failed);
    const bool failed = scenario.core.state() == from;
    return failed && scenario.step(Event::save_requested) == Todo{} && scenario.core.state() == to;
}
static_assert(a_request_does_not_advance_the_retry(State::clean, State::due_optional));
static_assert(a_request_does_not_advance_the_retry(State::due, State::due));

// row: clean | tick, when idle for unload_after | over | evict
// row: due | tick, when idle for unload_after | saving | save
// row: due_optional | tick, when idle for unload_after | saving_optional | save
constexpr bool an_idle_room_is_saved_and_evicted(State from, State to, Todo todo) {
    RoomOptions options;
    options.save_after = 100h;
    Scenario scenario{.core = {Instant{}, options, Instant{}}};
    scenario.step(Event::loaded);
    if (from == State::due) scenario.change();
    if (from == State::due_optional) scenario.step(Event::loaded_uncovered);
    scenario.now = scenario.core.deadline();
    return scenario.now < Instant{1h} && scenario.step(Event::tick) == todo &&
           scenario.core.state() == to;
}
static_assert(an_idle_room_is_saved_and_evicted(State::clean, State::over, {.evict = true}));
static_assert(an_idle_room_is_saved_and_evicted(State::due, State::saving, {.save = true}));
static_assert(an_idle_room_is_saved_and_evicted(State::due_optional, State::saving_optional,
                                                {.save = true}));

// row: saving | saved, when idle | over | evict
// row: saving_changed | saved, when idle | saving | save
// row: saving_optional | saved, when idle | over | evict
// row: saving_optional | save_failed, when idle | over | evict
// row: saving_optional | save_rejected, when idle | over | evict
constexpr bool an_idle_room_goes_on_after_the_save(State from, Event event, State to, Todo todo) {
    Scenario scenario = room_in(from);
    scenario.step(Event::left);
    scenario.run(1h);
    const bool waits = scenario.core.state() == from;
    return waits && scenario.step(event) == todo && scenario.core.state() == to;
}
static_assert(an_idle_room_goes_on_after_the_save(State::saving, Event::saved, State::over,
                                                  {.evict = true}));
static_assert(an_idle_room_goes_on_after_the_save(State::saving_changed, Event::saved,
                                                  State::saving, {.save = true}));
static_assert(an_idle_room_goes_on_after_the_save(State::saving_optional, Event::saved, State::over,
                                                  {.evict = true}));
static_assert(an_idle_room_goes_on_after_the_save(State::saving_optional, Event::save_failed,
                                                  State::over, {.evict = true}));
static_assert(an_idle_room_goes_on_after_the_save(State::saving_optional, Event::save_rejected,
                                                  State::over, {.evict = true}));

constexpr bool a_loaded_room_has_the_state_that_it_had(State state) {
    Scenario scenario = room_in(state);
    scenario.step(Event::appended);
    scenario.step(Event::lost);
    return scenario.step(Event::loaded) == Todo{} && scenario.core.state() == state;
}
static_assert(a_loaded_room_has_the_state_that_it_had(State::due));
static_assert(a_loaded_room_has_the_state_that_it_had(State::saving_changed));

// ---- whole lifetimes ---------------------------------------------------------------------------

constexpr bool saves_5_s_after_the_last_change() {
    Scenario scenario;
    scenario.step(Event::loaded);
    scenario.run(1s).change().run(3s).change().run(5s);
    return scenario.saves == 1 && scenario.at == Instant{9s};
}
static_assert(saves_5_s_after_the_last_change());

constexpr bool does_not_evict_a_held_room() {
    Scenario scenario;
    scenario.step(Event::loaded);
    scenario.change().core.hold(true);
    scenario.run(10s).step(Event::saved);
    scenario.run(2h);
    const bool waits = !scenario.evicted && scenario.saves == 1 && scenario.core.held_back() &&
                       scenario.core.deadline() == never;
    scenario.core.hold(false);
    scenario.step(Event::tick);
    return waits && scenario.evicted;
}
static_assert(does_not_evict_a_held_room());

constexpr bool a_client_keeps_a_held_room() {
    Scenario scenario;
    scenario.step(Event::loaded);
    scenario.core.hold(true);
    scenario.run(2h).step(Event::joined);
    const bool is_held = scenario.core.held_back();
    scenario.core.hold(false);
    return !is_held && !scenario.run(2h).evicted;
}
static_assert(a_client_keeps_a_held_room());

constexpr bool stop_waits_for_a_held_room() {
    Scenario scenario;
    scenario.step(Event::loaded);
    scenario.change().core.hold(true);
    scenario.step(Event::stop);
    scenario.run(1h);
    const bool waits = !scenario.evicted && scenario.saves == 0 && scenario.core.held_back() &&
                       scenario.core.deadline() == never;
    scenario.core.hold(false);
    const bool saves = scenario.step(Event::tick).save;
    return waits && saves && scenario.step(Event::saved).evict;
}
static_assert(stop_waits_for_a_held_room());

constexpr bool saves_30_s_after_the_first_change() {
    Scenario scenario;
    scenario.step(Event::loaded);
    for (int i = 0; i < 40; ++i) scenario.change().run(1s);
    return scenario.saves == 1 && scenario.at == Instant{30s};
}
static_assert(saves_30_s_after_the_first_change());

constexpr bool one_save_at_a_time() {
    Scenario scenario;
    scenario.step(Event::loaded);
    scenario.change().run(10s).change().run(1h);
    const bool one = scenario.saves == 1 && !scenario.evicted;
    scenario.step(Event::saved);
    return one && scenario.saves == 2;
}
static_assert(one_save_at_a_time());

constexpr bool never_let_go_before_it_is_saved() {
    Scenario scenario;
    scenario.step(Event::loaded);
    scenario.change();
    int failed = 0;
    while (scenario.now < Instant{40min}) {
        scenario.run(30s);
        if (!scenario.core.saving()) continue;
        ++failed;
        scenario.step(Event::save_failed);
    }
    const bool kept = !scenario.evicted && failed > 30 && failed < 100;
    scenario.run(1min);
    scenario.step(Event::saved);
    return kept && scenario.evicted;
}
static_assert(never_let_go_before_it_is_saved());

constexpr Instant let_go_after(Duration last_activity) {
    Scenario scenario;
    scenario.step(Event::loaded);
    scenario.step(Event::joined);
    scenario.run(last_activity);
    scenario.step(Event::left);
    scenario.run(2h);
    return scenario.evicted ? scenario.at : never;
}
static_assert(let_go_after(1min) == Instant{35min});
static_assert(let_go_after(5min) == Instant{35min});
static_assert(let_go_after(5min + 1ns) == Instant{40min});

constexpr bool a_client_keeps_it() {
    Scenario scenario;
    scenario.step(Event::loaded);
    scenario.step(Event::joined);
    scenario.run(24h);
    return !scenario.evicted && scenario.core.deadline() == never;
}
static_assert(a_client_keeps_it());

constexpr bool a_join_during_the_last_save_keeps_it() {
    Scenario scenario;
    scenario.step(Event::loaded);
    scenario.change().run(10s);  // the save takes an hour
    scenario.run(1h);
    scenario.step(Event::joined);
    scenario.step(Event::saved);
    scenario.run(1h);
    return !scenario.evicted;
}
static_assert(a_join_during_the_last_save_keeps_it());

constexpr bool what_fails_to_load_is_not_saved() {
    Scenario scenario;
    scenario.step(Event::joined);
    const Todo todo = scenario.step(Event::load_failed);
    return todo == Todo{.close_clients = true, .evict = true} && scenario.saves == 0;
}
static_assert(what_fails_to_load_is_not_saved());

constexpr bool what_is_lost_is_loaded_again() {
    Scenario scenario;
    scenario.step(Event::loaded);
    scenario.step(Event::appended);
    const bool again = scenario.step(Event::lost) == Todo{.load = true};
    scenario.run(1h);
    return again && scenario.core.loading() && scenario.saves == 0;
}
static_assert(what_is_lost_is_loaded_again());

constexpr bool what_is_dropped_changes_nothing() {
    Scenario scenario;
    scenario.step(Event::loaded);
    scenario.step(Event::appended);
    scenario.step(Event::appended);
    const bool stays = scenario.step(Event::dropped) == Todo{} && scenario.core.live();
    return stays && scenario.core.unflushed() == 0 && !scenario.core.dirty();
}
static_assert(what_is_dropped_changes_nothing());

constexpr bool stop_saves_what_is_there_when_the_rest_is_dropped() {
    Scenario scenario;
    scenario.step(Event::loaded);
    scenario.change();
    scenario.step(Event::appended);
    const bool waits = scenario.step(Event::stop) == Todo{};
    const bool saves = scenario.step(Event::dropped) == Todo{.save = true};
    return waits && saves && scenario.step(Event::saved) == Todo{.evict = true};
}
static_assert(stop_saves_what_is_there_when_the_rest_is_dropped());

constexpr bool stop_saves_what_is_loaded_again_during_a_save() {
    Scenario scenario;
    scenario.step(Event::loaded);
    scenario.step(Event::appended);
    scenario.step(Event::appended);
    const bool saves = scenario.step(Event::save_requested) == Todo{.save = true};
    scenario.step(Event::applied);
    const bool again = scenario.step(Event::lost) == Todo{.load = true};
    const bool waits = scenario.step(Event::stop) == Todo{};
    scenario.step(Event::loaded);
    const bool rest = scenario.step(Event::saved) == Todo{.save = true};
    return saves && again && waits && rest && scenario.step(Event::saved) == Todo{.evict = true};
}
static_assert(stop_saves_what_is_loaded_again_during_a_save());

constexpr bool stop_saves_first() {
    Scenario scenario;
    scenario.step(Event::loaded);
    scenario.step(Event::appended);
    const bool waits = scenario.step(Event::stop) == Todo{};
    const bool saves = scenario.step(Event::applied) == Todo{.save = true};
    return waits && saves && scenario.step(Event::saved) == Todo{.evict = true};
}
static_assert(stop_saves_first());

constexpr bool stop_saves_what_is_there_when_the_rest_is_lost() {
    Scenario scenario;
    scenario.step(Event::loaded);
    scenario.change();
    scenario.step(Event::appended);
    const bool waits = scenario.step(Event::stop) == Todo{};
    const bool saves = scenario.step(Event::lost) == Todo{.save = true};
    return waits && saves && scenario.step(Event::saved) == Todo{.evict = true};
}
static_assert(stop_saves_what_is_there_when_the_rest_is_lost());

constexpr bool stop_tries_a_failed_save_again() {
    Scenario scenario;
    scenario.step(Event::loaded);
    scenario.change();
    scenario.step(Event::stop);
    const bool waits = scenario.step(Event::save_failed) == Todo{};
    scenario.run(1s);
    const bool again = scenario.saves == 2 && scenario.core.saving();
    return waits && again && scenario.step(Event::saved) == Todo{.evict = true};
}
static_assert(stop_tries_a_failed_save_again());

constexpr bool a_change_does_not_delay_the_retry_of_a_failed_save() {
    Scenario scenario;
    scenario.step(Event::loaded);
    scenario.change().run(5s);
    scenario.step(Event::appended);
    const bool waits = scenario.step(Event::stop) == Todo{} &&
                       scenario.step(Event::save_failed) == Todo{} && scenario.saves == 1;
    return waits && scenario.run(3s).step(Event::applied) == Todo{.save = true};
}
static_assert(a_change_does_not_delay_the_retry_of_a_failed_save());

constexpr bool stop_does_not_wait_for_the_retry_of_an_earlier_save() {
    Scenario scenario;
    scenario.step(Event::loaded);
    scenario.change().run(5s).step(Event::save_failed);
    return scenario.step(Event::stop) == Todo{.save = true};
}
static_assert(stop_does_not_wait_for_the_retry_of_an_earlier_save());

constexpr bool stop_waits_without_ticks_for_a_flush() {
    Scenario scenario;
    scenario.step(Event::loaded);
    scenario.change().step(Event::appended);
    scenario.step(Event::stop);
    return scenario.core.deadline() == never;
}
static_assert(stop_waits_without_ticks_for_a_flush());

constexpr bool stop_gives_up_after_a_rejected_save() {
    Scenario scenario;
    scenario.step(Event::loaded);
    scenario.change();
    scenario.step(Event::stop);
    return scenario.step(Event::save_rejected) == Todo{.evict = true};
}
static_assert(stop_gives_up_after_a_rejected_save());

constexpr bool a_rejected_save_is_tried_again_while_the_room_runs() {
    Scenario scenario;
    scenario.step(Event::loaded);
    scenario.change().run(5s).step(Event::save_rejected);
    return scenario.run(1s).saves == 2;
}
static_assert(a_rejected_save_is_tried_again_while_the_room_runs());

constexpr bool stop_during_a_load_ends_it() {
    Scenario scenario;
    return scenario.step(Event::stop) == Todo{.evict = true};
}
static_assert(stop_during_a_load_ends_it());

constexpr bool a_long_log_is_saved_between_5_and_30_s_after_the_load() {
    Instant first{};
    bool spread = false;
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        Scenario scenario{.bits = Random{Seed{seed}}};
        scenario.step(Event::loaded);
        scenario.step(Event::loaded_uncovered);
        scenario.run(1h);
        if (scenario.saves != 1 || scenario.at < Instant{5s} || scenario.at > Instant{30s})
            return false;
        if (seed == 1) first = scenario.at;
        spread = spread || scenario.at != first;
    }
    return spread;
}
static_assert(a_long_log_is_saved_between_5_and_30_s_after_the_load());

constexpr bool an_unused_room_can_be_evicted_before_it_is_saved() {
    Scenario scenario;
    const auto is = [&](Evictable e) { return scenario.core.evictable() == e; };
    if (!is(Evictable::no)) return false;  // while it loads
    scenario.step(Event::loaded);
    if (!is(Evictable::saved)) return false;
    scenario.step(Event::appended);
    if (!is(Evictable::no)) return false;
    scenario.step(Event::applied);
    if (!is(Evictable::unsaved)) return false;
    scenario.run(5s);
    // only the owner has the state of the queued save
    if (!is(Evictable::unsaved)) return false;
    scenario.step(Event::save_failed);
    if (!is(Evictable::saves_fail)) return false;
    scenario.step(Event::joined);
    if (!is(Evictable::no)) return false;
    scenario.step(Event::left);
    scenario.core.hold(true);
    if (!is(Evictable::no)) return false;
    scenario.core.hold(false);
    scenario.run(10s);
    if (!is(Evictable::saves_fail)) return false;  // the save is tried again
    scenario.step(Event::saved);
    return is(Evictable::saved);
}
static_assert(an_unused_room_can_be_evicted_before_it_is_saved());

constexpr bool a_long_log_that_cannot_be_saved_does_not_keep_the_room() {
    Scenario scenario;
    scenario.step(Event::loaded);
    scenario.step(Event::loaded_uncovered);
    if (scenario.core.evictable() != Evictable::saved) return false;
    scenario.run(30s);
    scenario.step(Event::save_failed);
    if (scenario.core.dirty()) return false;
    scenario.run(1h);
    return scenario.saves == 1 && scenario.evicted;
}
static_assert(a_long_log_that_cannot_be_saved_does_not_keep_the_room());

constexpr bool a_change_after_a_long_log_is_saved_again_if_its_save_fails(bool during_the_save) {
    Scenario scenario;
    scenario.step(Event::loaded);
    if (!during_the_save) scenario.change();
    scenario.step(Event::loaded_uncovered);
    scenario.run(30s);
    if (during_the_save) scenario.change();
    scenario.step(Event::save_failed);
    if (scenario.core.evictable() != Evictable::saves_fail) return false;
    scenario.run(1min);
    return scenario.saves == 2;
}
static_assert(a_change_after_a_long_log_is_saved_again_if_its_save_fails(false));
static_assert(a_change_after_a_long_log_is_saved_again_if_its_save_fails(true));

constexpr bool a_load_during_a_save_does_not_hide_what_it_covers() {
    Scenario scenario;
    scenario.step(Event::loaded);
    scenario.change().run(5s);
    scenario.step(Event::appended);
    scenario.step(Event::lost);
    scenario.step(Event::loaded);
    scenario.step(Event::loaded_uncovered);
    scenario.step(Event::save_failed);
    return scenario.core.evictable() == Evictable::saves_fail;
}
static_assert(a_load_during_a_save_does_not_hide_what_it_covers());

constexpr bool a_long_log_that_another_server_has_saved_is_not_saved_again() {
    Scenario scenario;
    scenario.step(Event::loaded);
    scenario.step(Event::loaded_uncovered);
    scenario.run(4s);
    scenario.step(Event::saved_elsewhere);
    if (scenario.core.dirty()) return false;
    scenario.run(1h);
    return scenario.saves == 0 && scenario.evicted;
}
static_assert(a_long_log_that_another_server_has_saved_is_not_saved_again());

constexpr bool a_change_is_saved_although_another_server_has_saved_the_long_log(bool before) {
    Scenario scenario;
    scenario.step(Event::loaded);
    if (before) scenario.change();
    scenario.step(Event::loaded_uncovered);
    if (!before) scenario.change();
    scenario.step(Event::saved_elsewhere);
    scenario.run(30s);
    return scenario.saves == 1;
}
static_assert(a_change_is_saved_although_another_server_has_saved_the_long_log(false));
static_assert(a_change_is_saved_although_another_server_has_saved_the_long_log(true));

constexpr bool a_save_under_way_ends_as_usual_if_another_server_has_saved_the_room() {
    Scenario scenario;
    scenario.step(Event::loaded);
    scenario.step(Event::loaded_uncovered);
    scenario.run(30s);
    if (scenario.step(Event::saved_elsewhere) != Todo{} || !scenario.core.saving()) return false;
    scenario.step(Event::saved);
    return scenario.saves == 1 && !scenario.core.dirty();
}
static_assert(a_save_under_way_ends_as_usual_if_another_server_has_saved_the_room());

constexpr bool a_stop_does_not_save_a_long_log() {
    Scenario scenario;
    scenario.step(Event::loaded);
    scenario.step(Event::loaded_uncovered);
    return scenario.step(Event::stop) == Todo{.evict = true};
}
static_assert(a_stop_does_not_save_a_long_log());

constexpr bool a_stop_does_not_wait_for_the_save_of_a_long_log() {
    Scenario scenario;
    scenario.step(Event::loaded);
    scenario.step(Event::loaded_uncovered);
    scenario.run(30s);
    return scenario.saves == 1 && scenario.step(Event::stop) == Todo{.evict = true} &&
           !scenario.core.dirty();
}
static_assert(a_stop_does_not_wait_for_the_save_of_a_long_log());

constexpr bool a_stop_waits_for_the_save_of_a_long_log_if_the_room_was_changed() {
    Scenario scenario;
    scenario.step(Event::loaded);
    scenario.step(Event::loaded_uncovered);
    scenario.run(30s).change();
    const bool waits = scenario.step(Event::stop) == Todo{};
    return waits && scenario.step(Event::saved) == Todo{.save = true};
}
static_assert(a_stop_waits_for_the_save_of_a_long_log_if_the_room_was_changed());

constexpr bool a_room_with_a_requested_save_is_saved_though_nothing_has_changed() {
    Scenario scenario;
    scenario.step(Event::loaded);
    return scenario.step(Event::save_requested) == Todo{.save = true};
}
static_assert(a_room_with_a_requested_save_is_saved_though_nothing_has_changed());

constexpr bool a_requested_save_without_changes_does_not_keep_the_room_if_it_fails() {
    Scenario scenario;
    scenario.step(Event::loaded);
    scenario.step(Event::save_requested);
    if (scenario.core.evictable() != Evictable::saved) return false;
    scenario.step(Event::save_failed);
    if (scenario.core.dirty()) return false;
    scenario.run(1h);
    return scenario.saves == 1 && scenario.evicted;
}
static_assert(a_requested_save_without_changes_does_not_keep_the_room_if_it_fails());

constexpr bool requested_saves_without_changes_are_repeated_less_and_less_often() {
    Scenario scenario;
    scenario.step(Event::loaded);
    scenario.step(Event::joined);
    for (int times = 0; times < 60; ++times) {
        scenario.step(Event::save_requested);
        if (scenario.core.saving()) scenario.step(Event::save_failed);
        scenario.run(10s);
        if (scenario.core.saving()) scenario.step(Event::save_failed);
    }
    return scenario.saves > 10 && scenario.saves < 30;
}
static_assert(requested_saves_without_changes_are_repeated_less_and_less_often());

constexpr bool a_change_after_a_requested_save_that_failed_is_saved(bool during_the_save) {
    Scenario scenario;
    scenario.step(Event::loaded);
    scenario.step(Event::save_requested);
    if (during_the_save) scenario.change();
    scenario.step(Event::save_failed);
    if (!during_the_save) scenario.change();
    scenario.run(1min);
    scenario.step(Event::save_failed);
    scenario.run(1min);
    return scenario.saves == 3 && scenario.core.dirty();
}
static_assert(a_change_after_a_requested_save_that_failed_is_saved(false));
static_assert(a_change_after_a_requested_save_that_failed_is_saved(true));

constexpr bool a_change_long_after_a_requested_save_that_failed_waits_for_the_next_one() {
    Scenario scenario;
    scenario.step(Event::loaded);
    scenario.step(Event::joined);
    scenario.step(Event::save_requested);
    scenario.step(Event::save_failed);
    scenario.run(1h).change();
    return scenario.saves == 1 && scenario.run(1h).saves == 2 && scenario.at == Instant{1h + 5s};
}
static_assert(a_change_long_after_a_requested_save_that_failed_waits_for_the_next_one());

constexpr bool a_stop_does_not_wait_for_a_requested_save_without_changes() {
    Scenario scenario;
    scenario.step(Event::loaded);
    scenario.step(Event::save_requested);
    return scenario.step(Event::stop) == Todo{.evict = true};
}
static_assert(a_stop_does_not_wait_for_a_requested_save_without_changes());

constexpr bool an_uncovered_change_is_saved_after_the_save_that_is_under_way() {
    Scenario scenario;
    scenario.step(Event::loaded);
    scenario.step(Event::save_requested);
    const bool waits = scenario.step(Event::uncovered) == Todo{} && scenario.core.dirty();
    scenario.step(Event::saved);
    return waits && scenario.core.dirty() && scenario.core.deadline() != never;
}
static_assert(an_uncovered_change_is_saved_after_the_save_that_is_under_way());

/// The numbers on which a core's decisions depend.
constexpr std::array<std::int64_t, 16> fields_of(const Scenario& scenario) {
    std::array<std::int64_t, 16> all{};
    std::size_t count = 0;
    scenario.core.each_field(scenario.now, [&](const char*, auto field) {
        if constexpr (std::is_same_v<decltype(field), Duration>)
            all.at(count++) = field.count();
        else
            all.at(count++) = static_cast<std::int64_t>(field);
    });
    return all;
}

constexpr bool a_room_that_need_not_be_saved_is_another_state_than_one_without_save_within() {
    RoomOptions options;
    options.save_after = forever;
    Scenario scenario{.core = {Instant{}, options, Instant{}}};
    scenario.step(Event::loaded);
    scenario.change().step(Event::save_requested);
    const auto saving = fields_of(scenario);
    scenario.change();
    return scenario.core.saving() && saving != fields_of(scenario);
}
static_assert(a_room_that_need_not_be_saved_is_another_state_than_one_without_save_within());

}  // namespace room_life
