// SPDX-License-Identifier: MIT
// Goal: reconcile_scenes decides each case of a session as the table specifies. Method: all states
// that both sides may have, by name; and every combination of a few stamps and contents against
// properties.
#include <belay/sync/detail/scene_reconciliation.hpp>

#include <vector>

#include "support/catch.hpp"

using namespace belay;
using detail::reconcile_scenes;
using detail::Relation;
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
    // A remote that has lost the scene gets it again.
    CHECK(reconcile_scenes({.base = scene(1, 'a'), .local = scene(1, 'a')}).move == Move::push);
}

TEST_CASE("reconcile_scenes: a remote scene equal to the sent one is no change, with any stamp",
          "[sync][scene_reconciliation][unit]") {
    for (const int stamped : {1, 5, 9}) {
        CHECK(reconcile_scenes(
                  {.base = scene(5, 'a'), .local = scene(5, 'a'), .remote = scene(stamped, 'a')}) ==
              decision(Move::none, false, true));
        // An edit that was made since is pushed, without a conflict.
        CHECK(reconcile_scenes({.base = scene(5, 'a'),
                                .local = scene(6, 'b'),
                                .remote = scene(stamped, 'a'),
                                .edited = true}) == decision(Move::push, false, true));
        // The same holds for a scene that was sent and never confirmed.
        CHECK(reconcile_scenes({.base = scene(4, 'z'),
                                .local = scene(6, 'b'),
                                .remote = scene(stamped, 'a'),
                                .sent = true,
                                .edited = true}) == decision(Move::push, false, true));
    }
}

TEST_CASE("reconcile_scenes: a changed remote scene is applied, without a base only a newer one",
          "[sync][scene_reconciliation][unit]") {
    const SceneMark base = scene(5, 'a');
    CHECK(reconcile_scenes({.base = base, .local = base, .remote = scene(6, 'r')}) ==
          decision(Move::apply, false, true));
    // Other content is a change, with any stamp.
    CHECK(reconcile_scenes({.base = base, .local = base, .remote = scene(5, 'r')}) ==
          decision(Move::apply, false, true));
    CHECK(reconcile_scenes({.base = base, .local = base, .remote = scene(4, 'r')}) ==
          decision(Move::apply, false, true));
    // An exception is a scene that is known to be older. With 'r' as the base, 'a' would look like
    // an edit from then on.
    CHECK(reconcile_scenes({.base = base,
                            .local = base,
                            .remote = scene(4, 'r'),
                            .base_to_remote = Relation::mine_newer}) ==
          decision(Move::push, false, false));
    // Another exception is the change of a client that had not seen the scene pushed from here.
    CHECK(reconcile_scenes({.base = base,
                            .local = base,
                            .remote = scene(4, 'r'),
                            .base_to_remote = Relation::both}) == decision(Move::push, true, true));
    // The remote may have rejected what was pushed: the report has its content.
    CHECK(reconcile_scenes({.base = base,
                            .local = base,
                            .remote = scene(4, 'r'),
                            .base_to_remote = Relation::both,
                            .stays = true}) == decision(Move::apply, true, true));
    // Without a base, only the stamps are known.
    CHECK(reconcile_scenes({.local = scene(5, 'a'), .remote = scene(6, 'r')}) ==
          decision(Move::apply, false, true));
    CHECK(reconcile_scenes({.local = scene(5, 'a'), .remote = scene(5, 'r')}) ==
          decision(Move::none, false, false));
    CHECK(reconcile_scenes({.local = scene(5, 'a'), .remote = scene(4, 'r')}) ==
          decision(Move::push, false, true));
}

TEST_CASE(
    "reconcile_scenes: the loss of a pulled scene is not reported, and no deletion removes it",
    "[sync][scene_reconciliation][unit]") {
    for (const auto& made_by :
         {std::optional<Origin>{}, std::optional{Origin::local}, std::optional{Origin::remote}}) {
        SceneMark base = scene(5, 'a');
        base.made_by = made_by;
        const bool is_pulled = made_by == Origin::remote;
        SceneSides sides{.base = base, .local = scene(5, 'a'), .remote = scene(6, 'r')};
        for (const bool stays : {false, true}) {
            sides.base_to_remote = Relation::both;
            sides.stays = stays;
            CHECK(reconcile_scenes(sides) == decision(Move::apply, !is_pulled, true));
        }
        // If the push replaces the change of another client, this side reports that change.
        sides.stays = false;
        sides.remote = scene(4, 'r');
        CHECK(reconcile_scenes(sides) == decision(Move::push, true, !is_pulled));
        // If the deletion became the base, the scene would look like an edit from here.
        for (const int time : {4, 6}) {
            sides.remote = scene(time, 'r');
            sides.remote->removed = true;
            CHECK(reconcile_scenes(sides) == decision(Move::push, false, !is_pulled));
        }
    }
}

TEST_CASE("reconcile_scenes: a change on both sides is a conflict, and the later one is kept",
          "[sync][scene_reconciliation][unit]") {
    SceneSides sides{.base = scene(5, 'a'), .local = scene(10, 'l'), .edited = true};
    sides.remote = scene(11, 'r');
    CHECK(reconcile_scenes(sides) == decision(Move::apply, true, true));
    sides.remote = scene(9, 'r');
    CHECK(reconcile_scenes(sides) == decision(Move::push, true, true));
    // A scene with a stamp before the base's is a change, too, unless it is known to be older.
    sides.remote = scene(4, 'r');
    CHECK(reconcile_scenes(sides) == decision(Move::push, true, true));
    sides.base_to_remote = Relation::mine_newer;
    CHECK(reconcile_scenes(sides) == decision(Move::push, false, true));
    sides.base_to_remote = Relation::theirs_newer;
    // If the stamps are equal, all clients keep the scene with the greater hash.
    sides.remote = scene(10, 'r');
    CHECK(reconcile_scenes(sides) == decision(Move::apply, true, true));
    sides.remote = scene(10, 'b');
    CHECK(reconcile_scenes(sides) == decision(Move::push, true, true));
    // An edit that was not reported to the bridge counts, too.
    sides.edited = false;
    sides.remote = scene(11, 'r');
    CHECK(reconcile_scenes(sides) == decision(Move::apply, true, true));
    // Without a base, only reported edits are known.
    sides.base.reset();
    CHECK_FALSE(reconcile_scenes(sides).conflict);
    sides.edited = true;
    CHECK(reconcile_scenes(sides).conflict);
}

TEST_CASE(
    "reconcile_scenes: a scene with the stamp of the base was not seen by who names that stamp",
    "[sync][scene_reconciliation][unit][regression]") {
    // Copies of one device have given one stamp twice, or the remote cuts stamps.
    const auto of = [](std::byte origin, SceneMark mark) {
        mark.stamp.origin = Id{origin};
        return mark;
    };
    const SceneMark base = of(std::byte{1}, scene(5, 'a'));
    const SceneMark same_stamp = of(std::byte{1}, scene(5, 'b'));
    const std::byte author = GENERATE(std::byte{1}, std::byte{2});
    const SceneMark next = of(author, scene(6, 'c'));
    CHECK(reconcile_scenes({.base = base,
                            .local = next,
                            .remote = same_stamp,
                            .edited = true,
                            .local_saw = base.stamp}) == decision(Move::push, true, true));
    CHECK(reconcile_scenes({.base = base,
                            .local = same_stamp,
                            .remote = next,
                            .edited = true,
                            .remote_saw = base.stamp}) == decision(Move::apply, true, true));
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
    // A scene that its author stamped later is a change.
    sides.remote = by(1, scene(11, 'r'));
    CHECK(reconcile_scenes(sides) == decision(Move::apply, true, true));
}

TEST_CASE("reconcile_scenes: a remote that sets its own stamps is compared with its last stamp",
          "[sync][scene_reconciliation][unit]") {
    // The local scene has stamp 20, which is 95 by the remote's clock.
    const SceneMark base = scene(95, 'a');
    CHECK(reconcile_scenes({.base = base, .local = scene(20, 'a'), .remote = scene(96, 'r')}) ==
          decision(Move::apply, false, true));
    CHECK(
        reconcile_scenes({.base = base, .local = scene(20, 'a'), .remote = scene(95, 'r')}).move ==
        Move::apply);
}

TEST_CASE("reconcile_scenes: a base of an earlier run keeps an edit of that run",
          "[sync][scene_reconciliation][unit]") {
    SceneSides sides{.base = scene(5, 'a'), .local = scene(6, 'l'), .recovered = true};
    sides.remote = scene(7, 'r');
    CHECK(reconcile_scenes(sides) == decision(Move::leave, true, false));
    sides.remote = scene(5, 'r');
    CHECK(reconcile_scenes(sides) == decision(Move::push, true, true));
    sides.remote = scene(5, 'a');
    CHECK(reconcile_scenes(sides) == decision(Move::push, false, true));
    sides.remote = scene(7, 'l');
    CHECK(reconcile_scenes(sides) == decision(Move::none, false, true));
    // The local side changed nothing.
    sides.local = scene(5, 'a');
    sides.remote = scene(4, 'r');
    CHECK(reconcile_scenes(sides) == decision(Move::apply, false, true));
}

TEST_CASE("reconcile_scenes: without a base, a remote without stamps is no evidence of its age",
          "[sync][scene_reconciliation][unit]") {
    CHECK(reconcile_scenes({.local = scene(5, 'a'), .remote = SceneMark{{}, 'r'}}) ==
          decision(Move::push, true, true));
}

TEST_CASE("SceneMemory: a remote that undoes a push is distinguished from another client",
          "[sync][scene_reconciliation][unit]") {
    detail::SceneMemory memory;
    memory.in_step(scene(1, 'a'));
    memory.sending_over(scene(1, 'a'));
    memory.pushed(SceneMark{{.wall = WallTime{Duration{1}}}, 'b'});
    CHECK(memory.compare(scene(1, 'a')) == Relation::mine_newer);
    CHECK(memory.compare(scene(2, 'a')) == Relation::theirs_newer);  // an undo by another client
    CHECK(memory.compare(scene(1, 'c')) == Relation::theirs_newer);
    // Once the remote has returned the push, its stamps can be compared.
    memory.in_step(scene(4, 'b'));
    CHECK(memory.compare(scene(1, 'a')) == Relation::mine_newer);
    CHECK(memory.compare(scene(3, 'a')) == Relation::mine_newer);
    CHECK(memory.compare(scene(4, 'a')) == Relation::theirs_newer);
    CHECK(memory.compare(scene(3, 'c')) == Relation::theirs_newer);
    CHECK(memory.compare(SceneMark{{}, 'a'}) == Relation::theirs_newer);
    // Without stamps, it may be either of them.
    memory = {};
    memory.in_step(SceneMark{{}, 'a'});
    memory.sending_over(SceneMark{{}, 'a'});
    memory.pushed(scene(9, 'b'));
    CHECK(memory.compare(SceneMark{{}, 'a'}) == Relation::both);
}

TEST_CASE("SceneMemory: after a restart, only a saw shows that an author had not seen the base",
          "[sync][scene_reconciliation][regression]") {
    const auto by = [](std::int64_t time, int origin) {
        Stamp stamp{.wall = WallTime{Duration{time}}};
        stamp.origin[0] = static_cast<std::byte>(origin);
        return stamp;
    };
    const SceneMark other{by(3, 2), 'c'};
    SceneMark base{by(5, 1), 'b'};
    base.made_by = Origin::local;
    detail::SceneMemory memory;
    memory.recover(base);
    CHECK(memory.compare(other) == Relation::theirs_newer);  // by a clock that is behind
    CHECK(memory.compare(other, by(2, 1)) == Relation::both);
    CHECK(memory.compare(other, base.stamp) == Relation::theirs_newer);
    // In the run of the push, the clock is evidence.
    memory = {};
    memory.pushed(base);
    CHECK(memory.compare(other) == Relation::both);
}
TEST_CASE("reconcile_scenes: two bridges at one remote converge",
          "[sync][scene_reconciliation][property]") {
    // Tries each state of two clients and a remote with three stamps and contents. Each client in
    // turn does what reconcile_scenes decides. A content has one stamp, as by clocks with origins.
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
