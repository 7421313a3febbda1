// SPDX-License-Identifier: MIT
// Goal: judge_scenes decides each case of a session as the table specifies. Method: all states
// that both sides may have, by name; and every combination of a few stamps and contents against
// properties.
#include <belay/sync/detail/scene_judge.hpp>

#include <vector>

#include "support/catch.hpp"

using namespace belay;
using detail::judge_scenes;
using detail::SceneMark;
using detail::SceneSides;
using detail::SceneVerdict;
using Move = SceneVerdict::Move;

namespace {

/// Content as a letter.
constexpr SceneMark scene(int time, char content) {
    return {{.counter = static_cast<std::uint32_t>(time)}, static_cast<std::uint64_t>(content)};
}
constexpr SceneVerdict verdict(Move move, bool conflict, bool rebase) {
    return {move, conflict, rebase};
}

}  // namespace

TEST_CASE("judge_scenes: a side without a scene gets the other's", "[sync][scene_judge][unit]") {
    CHECK(judge_scenes({}) == verdict(Move::none, false, false));
    CHECK(judge_scenes({.local = scene(1, 'a')}) == verdict(Move::push, false, false));
    CHECK(judge_scenes({.remote = scene(1, 'a')}) == verdict(Move::apply, false, true));
    // A remote that has lost it gets it again.
    CHECK(judge_scenes({.base = scene(1, 'a'), .local = scene(1, 'a')}).move == Move::push);
}

TEST_CASE("judge_scenes: the echo of one's own scene is no change, whatever its stamp",
          "[sync][scene_judge][unit]") {
    for (const int stamped : {1, 5, 9}) {
        CHECK(judge_scenes(
                  {.base = scene(5, 'a'), .local = scene(5, 'a'), .remote = scene(stamped, 'a')}) ==
              verdict(Move::none, false, true));
        // An edit that was made since is pushed, and overtaken by nobody.
        CHECK(judge_scenes({.base = scene(5, 'a'),
                            .local = scene(6, 'b'),
                            .remote = scene(stamped, 'a'),
                            .edited = true}) == verdict(Move::push, false, true));
        // Also of what was sent, and never confirmed.
        CHECK(judge_scenes({.base = scene(4, 'z'),
                            .local = scene(6, 'b'),
                            .remote = scene(stamped, 'a'),
                            .sent = true,
                            .edited = true}) == verdict(Move::push, false, true));
    }
}

TEST_CASE("judge_scenes: a newer remote scene is applied, an equal or older one is not",
          "[sync][scene_judge][unit]") {
    const SceneMark base = scene(5, 'a');
    CHECK(judge_scenes({.base = base, .local = base, .remote = scene(6, 'r')}) ==
          verdict(Move::apply, false, true));
    CHECK(judge_scenes({.base = base, .local = base, .remote = scene(5, 'r')}) ==
          verdict(Move::none, false, false));
    // With 'r' as the base, 'a' would look like an edit from then on.
    CHECK(judge_scenes({.base = base, .local = base, .remote = scene(4, 'r')}) ==
          verdict(Move::push, false, false));
    // After a restart nothing is known but the stamps.
    CHECK(judge_scenes({.local = scene(5, 'a'), .remote = scene(6, 'r')}) ==
          verdict(Move::apply, false, true));
    CHECK(judge_scenes({.local = scene(5, 'a'), .remote = scene(5, 'r')}) ==
          verdict(Move::none, false, false));
    CHECK(judge_scenes({.local = scene(5, 'a'), .remote = scene(4, 'r')}) ==
          verdict(Move::push, false, true));
}

TEST_CASE("judge_scenes: a change on both sides is a conflict, and the later one is kept",
          "[sync][scene_judge][unit]") {
    SceneSides sides{.base = scene(5, 'a'), .local = scene(10, 'l'), .edited = true};
    sides.remote = scene(11, 'r');
    CHECK(judge_scenes(sides) == verdict(Move::apply, true, true));
    sides.remote = scene(9, 'r');
    CHECK(judge_scenes(sides) == verdict(Move::push, true, true));
    // Older than what it had: it has lost its memory, and nothing is new.
    sides.remote = scene(4, 'r');
    CHECK(judge_scenes(sides) == verdict(Move::push, false, true));
    sides.remote = scene(10, 'r');
    CHECK(judge_scenes(sides) == verdict(Move::none, false, false));
    // An edit that the bridge was not told of counts, too.
    sides.edited = false;
    sides.remote = scene(11, 'r');
    CHECK(judge_scenes(sides) == verdict(Move::apply, true, true));
    // Without a base only what was told can be known.
    sides.base.reset();
    CHECK_FALSE(judge_scenes(sides).conflict);
    sides.edited = true;
    CHECK(judge_scenes(sides).conflict);
}

TEST_CASE("judge_scenes: an earlier scene by the clock of the edit is no conflict",
          "[sync][scene_judge][unit]") {
    const auto by = [](unsigned origin, SceneMark mark) {
        mark.stamp.origin = {std::byte(origin)};
        return mark;
    };
    SceneSides sides{.base = by(1, scene(5, 'a')), .local = by(1, scene(10, 'l')), .edited = true};
    sides.remote = by(1, scene(9, 'r'));
    CHECK(judge_scenes(sides) == verdict(Move::push, false, true));
    sides.remote = by(2, scene(9, 'r'));
    CHECK(judge_scenes(sides) == verdict(Move::push, true, true));
    // What it stamped later is none of what is here.
    sides.remote = by(1, scene(11, 'r'));
    CHECK(judge_scenes(sides) == verdict(Move::apply, true, true));
}

TEST_CASE("judge_scenes: a remote that sets its own stamps is compared with its last stamp",
          "[sync][scene_judge][unit]") {
    // Ours at 20, which is 95 by its clock.
    const SceneMark base = scene(95, 'a');
    CHECK(judge_scenes({.base = base, .local = scene(20, 'a'), .remote = scene(96, 'r')}) ==
          verdict(Move::apply, false, true));
    CHECK(judge_scenes({.base = base, .local = scene(20, 'a'), .remote = scene(95, 'r')}).move ==
          Move::none);
}

TEST_CASE("judge_scenes: two bridges at one remote converge", "[sync][scene_judge][property]") {
    // All that two clients and a remote may have of three stamps and contents: each in turn does
    // what its judge says. A content has one stamp, as by clocks with origins.
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
                            const SceneVerdict decision =
                                judge_scenes({.base = c.base, .local = c.local, .remote = remote});
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
