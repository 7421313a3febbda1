// SPDX-License-Identifier: MIT
// Goal: whole lives of rooms proven at compile time. Method: events at chosen times, ticks when the
// core wants one.
#include <belay/room/room_core.hpp>

using namespace belay;
using namespace std::chrono_literals;
using Event = timeline::RoomCore::Event;
using Todo = timeline::RoomCore::Actions;

namespace {

constexpr RoomOptions room_defaults{};

struct Life {
    timeline::RoomCore core{Instant{}, room_defaults, Instant{}};
    Random bits{Seed{7}};
    Instant now{};
    int saves = 0;
    bool unloaded = false;
    Instant at{};  // of the last save or end

    constexpr Todo step(Event event) {
        Turn turn{now, bits};
        const Todo todo = core.step(event, turn);
        if (todo.save || todo.unload) at = now;
        saves += todo.save ? 1 : 0;
        unloaded = unloaded || todo.unload;
        return todo;
    }
    constexpr Life& run(Duration d) {
        const Instant end = after(now, d);
        while (!unloaded && core.deadline() <= end) {
            now = detail::larger(now, core.deadline());
            step(Event::tick);
        }
        now = end;
        return *this;
    }
    constexpr Life& change() {
        step(Event::appended);
        step(Event::entered);
        return *this;
    }
};

constexpr bool saves_5_s_after_the_last_change() {
    Life life;
    life.step(Event::loaded);
    life.run(1s).change().run(3s).change().run(5s);
    return life.saves == 1 && life.at == Instant{9s};
}
static_assert(saves_5_s_after_the_last_change());

constexpr bool saves_30_s_after_the_first_change() {
    Life life;
    life.step(Event::loaded);
    for (int i = 0; i < 40; ++i) life.change().run(1s);
    return life.saves == 1 && life.at == Instant{30s};
}
static_assert(saves_30_s_after_the_first_change());

constexpr bool one_save_at_a_time() {
    Life life;
    life.step(Event::loaded);
    life.change().run(10s).change().run(1h);
    const bool one = life.saves == 1 && !life.unloaded;
    life.step(Event::saved);
    return one && life.saves == 2;
}
static_assert(one_save_at_a_time());

constexpr bool never_let_go_before_it_is_saved() {
    Life life;
    life.step(Event::loaded);
    life.change();
    int failed = 0;
    while (life.now < Instant{40min}) {
        life.run(30s);
        if (!life.core.saving()) continue;
        ++failed;
        life.step(Event::save_failed);
    }
    const bool kept = !life.unloaded && failed > 30 && failed < 100;
    life.run(1min);
    life.step(Event::saved);
    return kept && life.unloaded;
}
static_assert(never_let_go_before_it_is_saved());

constexpr Instant let_go_after(Duration last_activity) {
    Life life;
    life.step(Event::loaded);
    life.step(Event::joined);
    life.run(last_activity);
    life.step(Event::left);
    life.run(2h);
    return life.unloaded ? life.at : never;
}
static_assert(let_go_after(1min) == Instant{35min});
static_assert(let_go_after(5min) == Instant{35min});
static_assert(let_go_after(5min + 1ns) == Instant{40min});

constexpr bool a_client_keeps_it() {
    Life life;
    life.step(Event::loaded);
    life.step(Event::joined);
    life.run(24h);
    return !life.unloaded && life.core.deadline() == never;
}
static_assert(a_client_keeps_it());

constexpr bool a_join_during_the_last_save_keeps_it() {
    Life life;
    life.step(Event::loaded);
    life.change().run(10s);  // the save takes an hour
    life.run(1h);
    life.step(Event::joined);
    life.step(Event::saved);
    life.run(1h);
    return !life.unloaded;
}
static_assert(a_join_during_the_last_save_keeps_it());

constexpr bool what_fails_to_load_is_not_saved() {
    Life life;
    life.step(Event::joined);
    const Todo todo = life.step(Event::load_failed);
    return todo == Todo{.refuse = true, .unload = true} && life.saves == 0;
}
static_assert(what_fails_to_load_is_not_saved());

constexpr bool what_is_lost_is_loaded_again() {
    Life life;
    life.step(Event::loaded);
    life.step(Event::appended);
    const bool again = life.step(Event::lost) == Todo{.load = true};
    life.run(1h);
    return again && life.core.loading() && life.saves == 0;
}
static_assert(what_is_lost_is_loaded_again());

constexpr bool what_is_dropped_changes_nothing() {
    Life life;
    life.step(Event::loaded);
    life.step(Event::appended);
    life.step(Event::appended);
    const bool stays = life.step(Event::dropped) == Todo{} && life.core.live();
    return stays && life.core.unflushed() == 0 && !life.core.dirty();
}
static_assert(what_is_dropped_changes_nothing());

constexpr bool stop_saves_what_is_there_when_the_rest_is_dropped() {
    Life life;
    life.step(Event::loaded);
    life.change();
    life.step(Event::appended);
    const bool waits = life.step(Event::stop) == Todo{};
    const bool saves = life.step(Event::dropped) == Todo{.save = true};
    return waits && saves && life.step(Event::saved) == Todo{.unload = true};
}
static_assert(stop_saves_what_is_there_when_the_rest_is_dropped());

constexpr bool stop_saves_first() {
    Life life;
    life.step(Event::loaded);
    life.step(Event::appended);
    const bool waits = life.step(Event::stop) == Todo{};
    const bool saves = life.step(Event::entered) == Todo{.save = true};
    return waits && saves && life.step(Event::saved) == Todo{.unload = true};
}
static_assert(stop_saves_first());

constexpr bool stop_saves_what_is_there_when_the_rest_is_lost() {
    Life life;
    life.step(Event::loaded);
    life.change();
    life.step(Event::appended);
    const bool waits = life.step(Event::stop) == Todo{};
    const bool saves = life.step(Event::lost) == Todo{.save = true};
    return waits && saves && life.step(Event::saved) == Todo{.unload = true};
}
static_assert(stop_saves_what_is_there_when_the_rest_is_lost());

constexpr bool stop_gives_up_after_a_failed_save() {
    Life life;
    life.step(Event::loaded);
    life.change();
    life.step(Event::stop);
    return life.step(Event::save_failed) == Todo{.unload = true};
}
static_assert(stop_gives_up_after_a_failed_save());

constexpr bool stop_during_a_load_ends_it() {
    Life life;
    return life.step(Event::stop) == Todo{.unload = true};
}
static_assert(stop_during_a_load_ends_it());

constexpr bool a_hurried_room_is_saved_though_nothing_has_changed() {
    Life life;
    life.step(Event::loaded);
    return life.step(Event::hurried) == Todo{.save = true};
}
static_assert(a_hurried_room_is_saved_though_nothing_has_changed());

}  // namespace
