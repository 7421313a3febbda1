// SPDX-License-Identifier: MIT
// Goal: every state of a restore of lost changes and every event, proven at compile time.
// Method: a table with a row for each pair that changes something.
#include <belay/room/detail/room_state.hpp>

using namespace belay;

namespace restore_states {

using State = ::belay::detail::Restore;
using Event = ::belay::detail::RestoreEvent;

constexpr State all_states[] = {State::none, State::storing, State::waiting, State::adopting};
constexpr Event all_events[] = {
    Event::loaded,    Event::loaded_nothing, Event::loaded_other, Event::reported_other,
    Event::confirmed, Event::stored,         Event::lost};

struct RestoreRow {
    State from;
    Event event;
    State to;
};
constexpr RestoreRow restore_rows[] = {
    {State::storing, Event::reported_other, State::waiting},
    {State::storing, Event::confirmed, State::none},
    {State::storing, Event::stored, State::none},
    {State::storing, Event::lost, State::none},
    {State::waiting, Event::stored, State::adopting},
    {State::waiting, Event::lost, State::none},
};

constexpr bool is_the_restore_table() {
    for (const State from : all_states) {
        for (const Event event : all_events) {
            State to = from;
            if (event == Event::loaded) to = State::none;
            if (event == Event::loaded_nothing) to = State::storing;
            if (event == Event::loaded_other) to = State::waiting;
            for (const RestoreRow& row : restore_rows) {
                if (row.from == from && row.event == event) to = row.to;
            }
            if (::belay::detail::after_event(from, event) != to) return false;
        }
    }
    return true;
}
static_assert(is_the_restore_table());

}  // namespace restore_states
