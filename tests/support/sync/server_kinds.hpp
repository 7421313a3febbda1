// SPDX-License-Identifier: MIT
/// \file tests/support/sync/server_kinds.hpp
/// The kinds of servers of a bridge: how each changes the stamp and content of a push.
#pragma once

#include <iterator>
#include <utility>

#include "support/sync/bridge_rig.hpp"

namespace belay_test {

enum class ServerKind {
    exact,            ///< keeps stamps as they are
    without_origins,  ///< keeps time and counter
    microseconds,     ///< cuts stamps to microseconds
    milliseconds,
    seconds,
    own_clock,           ///< makes new stamps, by a clock that is right
    clock_ahead,         ///< by a clock that is an hour ahead
    clock_behind,        ///< by a clock that is an hour behind
    clock_in_seconds,    ///< by a clock that counts seconds, and is half an hour behind
    clock_goes_back,     ///< by a clock that goes back by a minute, again and again
    named_clock_behind,  ///< by a clock that is an hour behind, with an origin of its own
    without_stamps,      ///< returns none
    keeps_the_later,     ///< ignores a scene that is not later than its own, and confirms it
    rewrites,            ///< stores another form of the content
};
inline constexpr std::pair<ServerKind, const char*> server_kinds[] = {
    {ServerKind::exact, "exact"},
    {ServerKind::without_origins, "without origins"},
    {ServerKind::microseconds, "microseconds"},
    {ServerKind::milliseconds, "milliseconds"},
    {ServerKind::seconds, "seconds"},
    {ServerKind::own_clock, "own clock"},
    {ServerKind::clock_ahead, "clock ahead"},
    {ServerKind::clock_behind, "clock behind"},
    {ServerKind::clock_in_seconds, "clock in seconds"},
    {ServerKind::clock_goes_back, "clock that goes back"},
    {ServerKind::named_clock_behind, "named clock behind"},
    {ServerKind::without_stamps, "without stamps"},
    {ServerKind::keeps_the_later, "keeps the later"},
    {ServerKind::rewrites, "rewrites"},
};
static_assert(std::size(server_kinds) == 14);

/// Makes a server of this kind.   Pre: the world outlives the server.
inline void become(Server& server, ServerKind kind, const belay::sim::World& world) {
    using belay::Duration;
    using belay::Stamp;
    using belay::WallTime;
    using namespace std::chrono_literals;
    const auto cut = [](Stamp stamp, Duration to) {
        const Duration time = stamp.wall.time_since_epoch();
        return Stamp{.wall = WallTime{time - time % to}};
    };
    const auto clock = [&server, &world](auto shown) {
        server.restamp = [&world, shown] {
            const Duration time = shown(belay::elapsed(belay::Instant{}, world.now()) + 24h);
            return Stamp{.wall = WallTime{time}};
        };
    };
    server.restamp = {};
    server.stores = {};
    switch (kind) {
        case ServerKind::exact:
            return;
        case ServerKind::without_origins:
            server.stores = [](const Drawing*, Drawing pushed) {
                pushed.stamp.origin = {};
                return std::optional{pushed};
            };
            return;
        case ServerKind::microseconds:
        case ServerKind::milliseconds:
        case ServerKind::seconds:
            server.stores = [cut, to = kind == ServerKind::microseconds ? Duration{1us}
                                       : kind == ServerKind::milliseconds
                                           ? Duration{1ms}
                                           : Duration{1s}](const Drawing*, Drawing pushed) {
                pushed.stamp = cut(pushed.stamp, to);
                return std::optional{pushed};
            };
            return;
        case ServerKind::own_clock:
            return clock([](Duration now) { return now; });
        case ServerKind::clock_ahead:
            return clock([](Duration now) { return now + 1h; });
        case ServerKind::clock_behind:
            return clock([](Duration now) { return now - 1h; });
        case ServerKind::clock_in_seconds:
            return clock([](Duration now) { return now - now % 1s - 30min; });
        case ServerKind::clock_goes_back:
            return clock([](Duration now) { return now - now / 5min * 1min; });
        case ServerKind::named_clock_behind:
            server.restamp = [&world] {
                const Duration time = belay::elapsed(belay::Instant{}, world.now()) + 23h;
                return Stamp{.wall = WallTime{time}, .counter = 0, .origin = {std::byte{99}}};
            };
            return;
        case ServerKind::without_stamps:
            server.restamp = [] { return Stamp{}; };
            return;
        case ServerKind::keeps_the_later:
            server.stores = [](const Drawing* had, Drawing pushed) -> std::optional<Drawing> {
                if (had != nullptr && !(had->stamp < pushed.stamp)) return std::nullopt;
                return pushed;
            };
            return;
        case ServerKind::rewrites:
            server.stores = [](const Drawing*, Drawing pushed) {
                if (!pushed.content.ends_with('\n')) pushed.content += '\n';
                return std::optional{pushed};
            };
            return;
    }
}

}  // namespace belay_test
