// SPDX-License-Identifier: MIT
// Goal: the numbers that the pages name are those of the options. Method: static asserts.
#include <belay/room/room_options.hpp>

using namespace belay;
using namespace std::chrono_literals;

static_assert(RoomOptions{}.save_after == 5s && RoomOptions{}.save_within == 30s);
static_assert(RoomOptions{}.unload_after == 30min && RoomOptions{}.sweep_every == 5min);
static_assert(RoomOptions{}.close_codes.unauthorized == 4001);
static_assert(RoomOptions{}.close_codes.forbidden == 4003);
static_assert(yjs_close_codes().unauthorized == 4401 && yjs_close_codes().forbidden == 4403);
// Yjs's client renews its awareness every 15 s, and dials again after 30 s of silence.
static_assert(RoomOptions{}.heartbeat.every > 15s && RoomOptions{}.heartbeat.every < 30s);
