// SPDX-License-Identifier: MIT
// Goal: reconcile_scenes decides each case of a session as the table specifies. Method: all states
// that both sides may have, by name; and every combination of a few stamps and contents against
// properties.
#include <belay/sync/detail/scene_reconciliation.hpp>

#include <vector>

#include "support/catch.hpp"

using namespace belay;
using detail::reconcile_scenes;
using detail::SceneDecision;
using detail::SceneMark;
using detail::SceneSides;
using Move = SceneDecision::Move;

namespace {

/// Content as a letter.
constexpr SceneMark scene(int time, char content) {
    return {{.counter = static_cast<std::uint32_t>(time)}, static_cast<std::uint64_t>(content)};
}
constexpr SceneDecision decision(Move move, bool conflict, bool rebase) {
    return {move, conflict, rebase};
}

}  // namespace

TEST_CASE("reconcile_scenes: a side without a scene gets the other's",
          "[sync][scene_reconciliation][unit]") {
    CHECK(reconcile_scenes({}) == decision(Move::none, false, false));
    CHECK(reconcile_scenes({.local = scene(1, 'a')}) == decision(Move::push, false, false));
    CHECK(reconcile_scenes({.remote = scene(1, 'a')}) == decision(Move::apply, false, true));
    // A remote that has lost it gets it again.
    CHECK(reconcile_scenes({.base = scene(1, 'a'), .local = scene(1, 'a')}).move == Move::push);
}

TEST_CASE("reconcile_scenes: the echo of one's own scene is no change, whatever its stamp",
          "[sync][scene_reconciliation][unit]") {
    for (const int stamped : {1, 5, 9}) {
        CHECK(reconcile_scenes(
                  {.base = scene(5, 'a'), .local = scene(5, 'a'), .remote = scene(stamped, 'a')}) ==
              decision(Move::none, false, true));
        // An edit that was made since is pushed, and overtaken by nobody.
        CHECK(reconcile_scenes({.base = scene(5, 'a'),
                                .local = scene(6, 'b'),
                                .remote = scene(stamped, 'a'),
                                .edited = true}) == decision(Move::push, false, true));
        // Also of what was sent, and never confirmed.
        CHECK(reconcile_scenes({.base = scene(4, 'z'),
                                .local = scene(6, 'b'),
                                .remote = scene(stamped, 'a'),
                                .sent = true,
                                .edited = true}) == decision(Move::push, false, true));
    }
}

TEST_CASE("reconcile_scenes: a newer remote scene is applied, an equal or older one is not",
          "[sync][scene_reconciliation][unit]") {
    const SceneMark base = scene(5, 'a');
    CHECK(reconcile_scenes({.base = base, .local = base, .remote = scene(6, 'r')}) ==
          decision(Move::apply, false, true));
    CHECK(reconcile_scenes({.base = base, .local = base, .remote = scene(5, 'r')}) ==
          decision(Move::none, false, false));
    // With 'r' as the base, 'a' would look like an edit from then on.
    CHECK(reconcile_scenes({.base = base, .local = base, .remote = scene(4, 'r')}) ==
          decision(Move::push, false, false));
    // After a restart nothing is known but the stamps.
    CHECK(reconcile_scenes({.local = scene(5, 'a'), .remote = scene(6, 'r')}) ==
          decision(Move::apply, false, true));
    CHECK(reconcile_scenes({.local = scene(5, 'a'), .remote = scene(5, 'r')}) ==
          decision(Move::none, false, false));
    CHECK(reconcile_scenes({.local = scene(5, 'a'), .remote = scene(4, 'r')}) ==
          decision(Move::push, false, true));
}

TEST_CASE("reconcile_scenes: a change on both sides is a conflict, and the later one is kept",
          "[sync][scene_reconciliation][unit]") {
    SceneSides sides{.base = scene(5, 'a'), .local = scene(10, 'l'), .edited = true};
    sides.remote = scene(11, 'r');
    CHECK(reconcile_scenes(sides) == decision(Move::apply, true, true));
    sides.remote = scene(9, 'r');
    CHECK(reconcile_scenes(sides) == decision(Move::push, true, true));
    // Older than what it had: it has lost its memory, and nothing is new.
    sides.remote = scene(4, 'r');
    CHECK(reconcile_scenes(sides) == decision(Move::push, false, true));
    sides.remote = scene(10, 'r');
    CHECK(reconcile_scenes(sides) == decision(Move::none, false, false));
    // An edit that the bridge was not told of counts, too.
    sides.edited = false;
    sides.remote = scene(11, 'r');
    CHECK(reconcile_scenes(sides) == decision(Move::apply, true, true));
    // Without a base only what was told can be known.
    sides.base.reset();
    CHECK_FALSE(reconcile_scenes(sides).conflict);
    sides.edited = true;
    CHECK(reconcile_scenes(sides).conflict);
}

TEST_CASE("reconcile_scenes: an earlier scene by the clock of the edit is no conflict",
          "[sync][scene_reconciliation][unit]") {
    const auto by = [](unsigned origin, SceneMark mark) {
        mark.stamp.origin = {std::byte(origin)};
        return mark;
    };
    SceneSides sides{.base = by(1, scene(5, 'a')), .local = by(1, scene(10, 'l')), .edited = true};
    sides.remote = by(1, scene(9, 'r'));
    CHECK(reconcile_scenes(sides) == decision(Move::push, false, true));
    sides.remote = by(2, scene(9, 'r'));
    CHECK(reconcile_scenes(sides) == decision(Move::push, true, true));
    // What it stamped later is none of what is here.
    sides.remote = by(1, scene(11, 'r'));
    CHECK(reconcile_scenes(sides) == decision(Move::apply, true, true));
}

TEST_CASE("reconcile_scenes: a remote that sets its own stamps is compared with its last stamp",
          "[sync][scene_reconciliation][unit]") {
    // Ours at 20, which is 95 by its clock.
    const SceneMark base = scene(95, 'a');
    CHECK(reconcile_scenes({.base = base, .local = scene(20, 'a'), .remote = scene(96, 'r')}) ==
          decision(Move::apply, false, true));
    CHECK(
        reconcile_scenes({.base = base, .local = scene(20, 'a'), .remote = scene(95, 'r')}).move ==
        Move::none);
}

TEST_CASE("reconcile_scenes: two bridges at one remote converge",
          "[sync][scene_reconciliation][property]") {
    // All that two clients and a remote may have of three stamps and contents: each in turn does
    // what reconcile_scenes decides. A content has one stamp, as by clocks with origins.
    const std::vector<SceneMark> all{scene(1, 'a'), scene(2, 'b'), scene(3, 'c')};
    struct Client {
        std::optional<SceneMark> base;
        SceneMark local;
    };
    int histories = 0;
    for (const SceneMark& one : all)
        for (const SceneMark& other : all)
            for (const SceneMark& there : all)
                for (const int known : {0, 1, 2, 3, 4, 5, 6, 7, 8}) {
                    Client clients[2] = {{{}, one}, {{}, other}};
                    if (known % 3 != 0) clients[0].base = all[static_cast<std::size_t>(known % 3)];
                    if (known / 3 != 0) clients[1].base = all[static_cast<std::size_t>(known / 3)];
                    SceneMark remote = there;
                    int moves = 0;
                    for (int round = 0; round < 8; ++round) {
                        for (Client& c : clients) {
                            const SceneDecision decision = reconcile_scenes(
                                {.base = c.base, .local = c.local, .remote = remote});
                            if (decision.rebase) c.base = remote;
                            if (decision.move == Move::apply) c.local = remote;
                            if (decision.move == Move::push) c.base = remote = c.local;
                            if (decision.move != Move::none) ++moves;
                        }
                    }
                    CHECK(moves <= 4);
                    CHECK(clients[0].local == remote);
                    CHECK(clients[1].local == remote);
                    ++histories;
                }
    CHECK(histories == 243);
}
