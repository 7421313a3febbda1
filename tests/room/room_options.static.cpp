// SPDX-License-Identifier: MIT
// Goal: the numbers that the pages name are those of the options. Method: static asserts.
#include <belay/room/room_options.hpp>

using namespace belay;
using namespace std::chrono_literals;

static_assert(RoomOptions{}.save_after == 5s);
static_assert(RoomOptions{}.unload_after == 30min);
static_assert(RoomOptions{}.close_codes.unauthorized == 4001);
static_assert(RoomOptions{}.close_codes.forbidden == 4003);
static_assert(yjs_close_codes().unauthorized == 4401 && yjs_close_codes().forbidden == 4403);
// Yjs's client renews its awareness every 15 s, and dials again after 30 s of silence.
static_assert(RoomOptions{}.heartbeat.every > 15s && RoomOptions{}.heartbeat.every < 30s);

// Options whose fields contradict each other are found at compile time, too.
constexpr RoomOptions with_heartbeat(HeartbeatOptions heartbeat) {
    RoomOptions options;
    options.heartbeat = heartbeat;
    return options;
}
static_assert(RoomOptions{}.check().empty());
static_assert(RoomOptions{.close_codes = yjs_close_codes()}.check().empty());
static_assert(RoomOptions{.loads_max = 0}.check() == "RoomOptions: loads_max must be > 0");
static_assert(RoomOptions{.stop_within = 0s}.check() == "RoomOptions: stop_within must be > 0ns");
static_assert(with_heartbeat({.every = 30s, .dead_after = 10s}).check().starts_with("Heartbeat"));
