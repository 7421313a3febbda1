// SPDX-License-Identifier: MIT
// Goal: a lack of memory, at any allocation, leaves no session of a bridge without its next call.
// Method: memory runs out at each allocation of each turn in turn, for a bridge alone and for one in
// a fleet. counting_new.hpp is in allocation.test.cpp, which is in the same executable.
#include <belay/sync/bridge.hpp>

#include <new>
#include <optional>
#include <string>
#include <utility>

#include <belay/fleet/fleet.hpp>

#include "support/catch.hpp"
#include "support/failing_new.hpp"
#include "support/sync/bridge_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// A remote that has memory of its own, and answers after each turn.
struct SpareRemote {
    using content_type = std::string;
    using Got = Result<std::optional<Scene<std::string>>, Failure>;

    void fetch(std::string_view, Completion<Got> done) { fetched = std::move(done); }
    void push(std::string_view, const Drawing& newer, Completion<Failure> done) {
        const SpareMemory spare;
        sent = newer;
        pushed = std::move(done);
    }
    void answer() {
        const SpareMemory spare;
        const Failure why = Failure::from(std::make_error_code(std::errc::connection_refused));
        if (auto done = std::exchange(fetched, std::nullopt)) {
            (*done)(refuses ? Got::failure(why) : Got{scene});
        }
        if (auto done = std::exchange(pushed, std::nullopt)) {
            if (!refuses) scene = sent;
            (*done)(refuses ? why : Failure{});
        }
    }
    bool refuses = false;
    std::optional<Drawing> scene{};
    Drawing sent{};
    std::optional<Completion<Got>> fetched{};
    std::optional<Completion<Failure>> pushed{};
};
/// Each hook is an event, which needs memory.
struct AllBridgeHooks {
    void on_state(const Connectivity&) {}
    void on_pushed(std::string_view, const Stamp&) {}
    void on_conflict(const BridgeConflict<std::string>&) {}
    void on_error(const BridgeError&) {}
    void on_attempt(const Attempt&) {}
    void on_success(const Attempt&) {}
    void on_retry(const RetryPlanned&) {}
    void on_give_up(const RetryEnded&) {}
};
using BridgeAlone = Bridge<std::reference_wrapper<Board>, std::reference_wrapper<SpareRemote>,
                           decltype(policies::bridge()), AllBridgeHooks>;

struct ShortOfMemory {
    std::size_t turn = 0;   // the turn in which memory runs out
    std::size_t given = 0;  // the allocations that succeed
    bool refuses = false;   // whether the remote rejects the first calls
    bool pulls = true;
    bool well = false;  // whether the last edit reached the remote
    std::size_t failed = 0;
};

/// Runs 200 turns. During these, the remote begins to work, and the local side is edited.
void run_short_of_memory(BridgeAlone& bridge, Board& board, SpareRemote& remote,
                         ShortOfMemory& of) {
    Instant now = after(Instant{}, 1s);
    bridge.changed("s");
    for (std::size_t turn = 0; turn < 200; ++turn) {
        if (turn == 40) remote.refuses = false;
        if (turn == 80) {
            board.scenes.insert_or_assign("s", Drawing{"new", ms(1'000'000)});
            bridge.changed("s");
        }
        const Instant due = bridge.deadline();
        if (due != never && now < due) now = due;
        std::optional<FailingNew> failing;
        if (turn == of.turn) failing.emplace(of.given);
        try {
            bridge.advance(now);
            remote.answer();
        } catch (const std::bad_alloc&) {
            REQUIRE(turn == of.turn);
        }
        if (failing) of.failed = failing->failed();
    }
    of.well = remote.scene && remote.scene->content == "new" &&
              bridge.connectivity().kind == Connectivity::Kind::connected;
}

void try_short_of_memory(ShortOfMemory& of) {
    Board board;
    board.scenes["s"] = Drawing{"old", ms(1)};
    SpareRemote remote{.refuses = of.refuses};
    const BridgeOptions options{.pull = {.enabled = of.pulls}};
    BridgeAlone bridge{std::ref(board), std::ref(remote), policies::bridge(), options,
                       AllBridgeHooks{}};
    bridge.attach(Waker{});
    bridge.start();
    run_short_of_memory(bridge, board, remote, of);
}

}  // namespace

TEST_CASE("A bridge pushes each edit although memory has run out once, at any allocation",
          "[sync][bridge_allocation][fault]") {
    const bool refuses = GENERATE(false, true);
    const bool pulls = GENERATE(false, true);
    std::size_t failed = 0;
    for (std::size_t turn = 0; turn < 110; ++turn) {
        for (std::size_t given = 0; given < 40; ++given) {
            INFO("refuses " << refuses << ", pulls " << pulls << ", turn " << turn << ", given "
                            << given);
            ShortOfMemory of{turn, given, refuses, pulls};
            try_short_of_memory(of);
            CHECK(of.well);
            failed += of.failed;
            if (of.failed == 0) break;
        }
    }
    CHECK(failed > 5);
}
