// SPDX-License-Identifier: MIT
// Goal: an event is small, and reports whether it is bounded and which control repeats another.
#include <belay/link/status.hpp>

using namespace belay;

namespace {

constexpr belay::part::Event<int> pong{
    .kind = belay::part::EventKind::pong, .depth = 1, .lane = 2, .epoch = 3};
constexpr bool differs(belay::part::Event<int> other) { return !pong.same_control(other); }

static_assert(sizeof(belay::part::Event<int>) <= 48,
              "events are moved three times: keep them small");
static_assert(!pong.is_message() && pong.same_control(pong));
static_assert(
    differs({.kind = belay::part::EventKind::writable, .depth = 1, .lane = 2, .epoch = 3}));
static_assert(differs({.kind = belay::part::EventKind::pong, .depth = 0, .lane = 2, .epoch = 3}));
static_assert(differs({.kind = belay::part::EventKind::pong, .depth = 1, .lane = 0, .epoch = 3}));
static_assert(differs({.kind = belay::part::EventKind::pong, .depth = 1, .lane = 2, .epoch = 4}));
static_assert(
    differs({.kind = belay::part::EventKind::pong, .depth = 1, .lane = 2, .epoch = 3, .code = 1}));

constexpr belay::part::Event<int> message{.kind = belay::part::EventKind::received, .message = 5};
static_assert(message.is_message() && !message.same_control(message), "no message repeats another");
constexpr belay::part::Event<int> user_command{.kind = belay::part::EventKind::command};
static_assert(!user_command.same_control(user_command), "every command counts");

}  // namespace
