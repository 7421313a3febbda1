// SPDX-License-Identifier: MIT
// Goal: the timeline of a watched peer. Pulse pings a silent peer, and reports it lost in time.
// After a driver was asleep, Pulse pings once more before that.
#include <belay/link/heartbeat_options.hpp>

#include "support/shorthand.hpp"

namespace {

using namespace belay;
using namespace std::chrono_literals;
using detail::Pulse;
using Due = Pulse::Due;

using belay_test::at;
constexpr Pulse received_at(Duration since, HeartbeatOptions options = {}) {
    Pulse pulse{options};
    pulse.sign_of_life(at(since));
    return pulse;
}

// At rest nothing is due.
static_assert(Pulse{HeartbeatOptions{}}.deadline() == never);
static_assert(Pulse{HeartbeatOptions{}}.check(at(1000h)) == Due::nothing);

// Silence: a ping at 10 and 20 s, and lost at 25 s.
consteval bool silence() {
    Pulse p = received_at(0s);
    if (p.deadline() != at(10s) || p.check(at(9s)) != Due::nothing) return false;
    if (p.check(at(10s)) != Due::ping || p.deadline() != at(20s)) return false;
    if (p.check(at(20s)) != Due::ping || p.deadline() != at(25s)) return false;
    return p.check(at(25s)) == Due::lost && p.lost(at(25s));
}
static_assert(silence());

// A turn that is late by less than `every` decides like a turn in time, because the ping was sent.
consteval bool a_late_turn() {
    Pulse p = received_at(0s);
    return p.check(at(10s)) == Due::ping && p.check(at(29s)) == Due::lost;
}
static_assert(a_late_turn());

// The driver sleeps from 12 s on for eight hours: one ping, and lost 5 s after that.
consteval bool a_sleep() {
    Pulse p = received_at(0s);
    if (p.check(at(10s)) != Due::ping) return false;
    const Duration woken = 8h;
    if (p.check(at(woken)) != Due::ping || p.lost(at(woken))) return false;
    if (p.deadline() != at(woken + 5s)) return false;
    Pulse silent = p;
    p.sign_of_life(at(woken + 50ms));
    return silent.check(at(woken + 5s)) == Due::lost && p.check(at(woken + 5s)) == Due::nothing;
}
static_assert(a_sleep());

// The driver wakes just before the limit: the answer has its full time.
consteval bool a_sleep_until_just_before_the_end() {
    Pulse p = received_at(0s);
    if (p.check(at(24999ms)) != Due::ping) return false;
    return p.check(at(25s)) == Due::nothing && p.deadline() == at(34999ms) &&
           p.check(at(34999ms)) == Due::lost;
}
static_assert(a_sleep_until_just_before_the_end());

// A peer is lost only after a ping.
consteval bool never_asked() {
    Pulse p = received_at(0s, {.every = 10s, .dead_after = 15s});
    return p.check(at(15s)) == Due::ping && p.deadline() == at(20s) &&
           p.check(at(20s)) == Due::lost;
}
static_assert(never_asked());

// A probe: the peer is lost if that answer does not arrive. The earlier limit counts.
consteval bool probed() {
    Pulse p = received_at(0s);
    if (!p.probe(at(3s), 5s) || p.deadline() != at(8s)) return false;
    if (!p.probe(at(4s), 1h) || p.check(at(7s)) != Due::nothing) return false;
    Pulse answered = p;
    answered.sign_of_life(at(7s));
    return p.check(at(8s)) == Due::lost && answered.deadline() == at(17s) &&
           !Pulse{HeartbeatOptions{}}.probe(at(1s), 5s);
}
static_assert(probed());

// The same holds for a peer without a limit. At rest there is no peer to ping.
consteval bool probed_for_ever() {
    Pulse p = received_at(0s, {.every = 10s, .dead_after = forever});
    if (p.rests() || !p.probe(at(3s), 5s) || p.deadline() != at(8s)) return false;
    if (p.check(at(8s)) != Due::lost) return false;
    Pulse silent = received_at(1s, {.every = forever - 1ns, .dead_after = forever});
    if (silent.deadline() != never || silent.rests() || !silent.probe(at(3s), 5s)) return false;
    if (silent.check(at(8s)) != Due::lost) return false;
    silent.rest();
    return silent.rests() && !silent.probe(at(9s), 5s);
}
static_assert(probed_for_ever());

// Too many pings: half as many while the time for an answer fits in `dead_after`. After that,
// `dead_after` grows, too.
consteval bool penalised() {
    Pulse p{HeartbeatOptions{}};
    if (p.penalize() || p.options().every != 20s || p.options().dead_after != 25s) return false;
    if (!p.penalize() || p.options().every != 40s || p.options().dead_after != 45s) return false;
    for (int i = 0; i < 100; ++i) static_cast<void>(p.penalize());
    return p.options().every == 1h && p.options().dead_after == 1h + 5s && !p.penalize();
}
static_assert(penalised());
// An interval above one hour does not grow.
consteval bool rare() {
    Pulse p{HeartbeatOptions{.every = 2h, .dead_after = 5h}};
    return !p.penalize() && p.options().every == 2h && p.options().dead_after == 5h;
}
static_assert(rare());

// A driver that is always late reports a silent peer lost, too.
consteval bool always_late(Duration turn, HeartbeatOptions options) {
    Pulse p = received_at(0s, options);
    for (int i = 1; i <= 10; ++i) {
        if (p.check(at(i * turn)) == Due::lost) return i * turn <= options.dead_after + 2 * turn;
    }
    return false;
}
static_assert(always_late(21s, {}) && always_late(60s, {}));
static_assert(always_late(2100ms, {.every = 1s, .dead_after = 3s}));

}  // namespace
