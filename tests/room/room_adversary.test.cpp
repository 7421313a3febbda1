// SPDX-License-Identifier: MIT
// Goal: hostile clients close no honest one, and delay its joins and edits by a bounded factor.
// Method: the same world with and without hostile clients; BELAY_HOSTILE is their number.
#include <belay/room/room_manager.hpp>

#include <cstdlib>

#include "support/catch.hpp"
#include "support/room/room_world.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

std::size_t hostile_clients() {
    const char* const text = std::getenv("BELAY_HOSTILE");
    return text == nullptr ? 200 : static_cast<std::size_t>(std::atoi(text));
}

/// A client that misuses what the server gives it.
class Hostile {
public:
    enum class Kind : std::uint8_t { reads_nothing, reads_little, asks, types, sends_garbage };
    static constexpr std::size_t kinds = 5;

    Hostile(RoomWorld& w, std::size_t i)
        : kind_{static_cast<Kind>(i % kinds)}, editor_{w, "hostile" + std::to_string(i), 1000 + i} {
        // Those that type have rooms of their own: the right to edit a room is the right to fill it.
        if (kind_ == Kind::types)
            w.requests["hostile" + std::to_string(i)] = {.board = "own" + std::to_string(i),
                                                         .token = "hostile"};
        editor_.answers_queries = false;
    }
    /// 10 times a second.
    void act(int step) {
        if (!editor_.online() && step % 5 == 0) editor_.dial();
        switch (kind_) {
            case Kind::reads_nothing:
                editor_.stall(step > 5);
                return;
            case Kind::reads_little:
                editor_.stall(step % 50 != 0);
                return editor_.show("{}");
            case Kind::asks:
                for (int i = 0; i < 20; ++i)
                    editor_.say({part::RoomMessage::Kind::state_vector, Bytes{std::byte{0}}});
                return;
            case Kind::types:
                if (step % 10 == 0) editor_.type(std::string(100'000, 'h'));
                for (int i = 0; i < 10; ++i) editor_.type("h");
                return;
            default:
                return editor_.raw(Bytes{std::byte{0}, std::byte{77}});
        }
    }

private:
    Kind kind_;
    RoomEditor editor_;
};

struct Times {
    Duration join{};  ///< the longest
    Duration edit{};  ///< the longest, to the last honest client
    std::size_t closed = 0;
};

/// 10 honest clients of one room, which join one after another and type in turn.
Times times_with(std::size_t hostile) {
    RoomWorld w;
    w.disk.flush_takes = 2ms;
    w.world.network().window_bytes(64'000);
    std::vector<std::unique_ptr<Hostile>> others;
    for (std::size_t i = 0; i < hostile; ++i) others.push_back(std::make_unique<Hostile>(w, i));
    int step = 0;
    const auto act = [&] {
        for (const auto& one : others) one->act(step);
        ++step;
    };
    const auto wait = [&](auto done) {
        const Instant begin = w.world.now();
        for (int ms = 0; ms < 300 && !done(); ++ms) {
            if (ms % 100 == 0) act();
            w.run(1ms);
        }
        return elapsed(begin, w.world.now());
    };
    for (int i = 0; i < 20; ++i) wait([n = 0]() mutable { return ++n > 100; });
    Times times;
    std::vector<std::unique_ptr<RoomEditor>> honest;
    for (std::size_t i = 0; i < 10; ++i) {
        honest.push_back(std::make_unique<RoomEditor>(w, "honest" + std::to_string(i), 1 + i));
        honest.back()->dial();
        times.join = std::max(times.join, wait([&] { return honest.back()->synced; }));
    }
    for (std::size_t i = 0; i < 30; ++i) {
        const Bytes update = honest[i % 10]->type("edit " + std::to_string(i));
        times.edit = std::max(times.edit, wait([&] {
                                  return std::all_of(honest.begin(), honest.end(),
                                                     [&](auto& one) { return one->has(update); });
                              }));
    }
    times.closed = static_cast<std::size_t>(std::count_if(
        honest.begin(), honest.end(), [](const auto& one) { return !one->online(); }));
    return times;
}

}  // namespace

TEST_CASE("RoomManager: hostile clients close no honest one, and delay it by a bounded factor",
          "[room][room_adversary][sim]") {
    const Times alone = times_with(0);
    const Times among = times_with(hostile_clients());
    INFO("joins: " << alone.join / 1ms << " ms alone, " << among.join / 1ms << " ms among");
    INFO("edits: " << alone.edit / 1ms << " ms alone, " << among.edit / 1ms << " ms among");
    CHECK(alone.closed == 0);
    CHECK(among.closed == 0);
    CHECK(among.join <= 2 * alone.join);
    // One turn more: a flush of 2 ms that has begun.
    CHECK(among.edit <= 3 * alone.edit + 2ms);
}
