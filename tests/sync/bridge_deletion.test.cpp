// SPDX-License-Identifier: MIT
// Goal: a scene that is deleted on one side is deleted on the other, once, and a change is never
// lost to a deletion. Method: both sides and the time are scripted; two clients in one world.
#include <belay/sync/bridge.hpp>

#include <algorithm>
#include <memory>
#include <utility>

#include "support/catch.hpp"
#include "support/seeds.hpp"
#include "support/sync/bridge_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

using Deeds = std::vector<std::string>;

/// A rig whose sides are equal, with session "s", which has content "0".
void begin_with_one(DeletingRig& rig) {
    rig.board.scenes["s"] = rig.server.scenes["s"] = {"0", ms(10)};
    rig.start();
    rig.run_for(31s);
    REQUIRE(rig.board.bases["s"].stamp == ms(10));
    rig.reported.clear();
    rig.server.fetches.clear();
}
Drawing tombstone_at(std::int64_t time) {
    Drawing removed{"", ms(time)};
    removed.removed = true;
    return removed;
}

}  // namespace

TEST_CASE("Bridge: a scene deleted here is deleted there, once", "[sync][bridge][deletion][unit]") {
    DeletingRig rig;
    begin_with_one(rig);
    rig.board.scenes.clear();
    rig.bridge->changed("s");
    rig.run_for(1s);
    CHECK(rig.server.scenes["s"].removed);
    CHECK(rig.server.scenes["s"].stamp > ms(10));
    CHECK(rig.board.bases["s"].removed);
    CHECK(rig.reported == Deeds{"pushed s"});
    rig.run_for(10min);
    CHECK(rig.server.pushes.size() == 1);
    CHECK(rig.board.applied.empty());
    CHECK(rig.reported == Deeds{"pushed s"});
}

TEST_CASE("Bridge: a scene deleted there is deleted here, and not pushed back",
          "[sync][bridge][deletion][unit]") {
    DeletingRig rig;
    begin_with_one(rig);
    rig.server.scenes["s"] = tombstone_at(11);
    rig.run_for(10min);
    CHECK(rig.board.applied == Deeds{"s removed"});
    CHECK(rig.board.scenes.empty());
    CHECK(rig.server.pushes.empty());
    CHECK(rig.reported.empty());
    // The scene may be created again, on either side.
    rig.edit("s", "again", 20);
    rig.run_for(1min);
    CHECK(rig.server.scenes["s"].content == "again");
    CHECK_FALSE(rig.server.scenes["s"].removed);
    CHECK_FALSE(rig.board.bases["s"].removed);
    CHECK(rig.count("conflict") == 0);
}

TEST_CASE("Bridge: a scene that the server had lost when it was deleted here is not kept there",
          "[sync][bridge][deletion][unit][regression]") {
    const bool restarts = GENERATE(false, true);
    const bool is_other = GENERATE(false, true);
    const bool has_origin = GENERATE(false, true);
    CAPTURE(restarts, is_other, has_origin);
    Drawing lost{"0", ms(10)};
    if (has_origin) lost.stamp.origin = {std::byte{1}};
    DeletingRig rig;
    rig.board.empty = {"s"};
    rig.board.scenes["s"] = rig.server.scenes["s"] = lost;
    rig.start();
    rig.run_for(31s);
    REQUIRE(rig.board.bases["s"].stamp == lost.stamp);
    rig.server.scenes.clear();
    rig.board.scenes.clear();
    rig.bridge->changed("s");
    rig.run_for(31s);
    CHECK(rig.board.bases["s"].removed);
    if (restarts) {
        rig.restart();
        rig.start();
        rig.run_for(31s);
    }
    // A client returns the lost scene to the server, or another scene.
    rig.server.scenes["s"] = is_other ? Drawing{"1", ms(20)} : lost;
    rig.run_for(1min);
    const bool is_there = !rig.server.scenes["s"].removed;
    CHECK(is_there == rig.board.scenes.contains("s"));
    // After a restart, only a stamp with its origin shows that the scene is the deleted one.
    CHECK(is_there == (is_other || (restarts && !has_origin)));
    CHECK(rig.count("conflict") == 0);
}

TEST_CASE("Bridge: a push that arrives after its scene was deleted here is deleted there",
          "[sync][bridge][deletion][unit][regression]") {
    const bool is_lost = GENERATE(false, true);
    DeletingRig rig;
    rig.board.empty = {"s"};
    begin_with_one(rig);
    rig.server.on_push = [&] { rig.server.behaviour = Server::Behaviour::drops; };
    rig.edit("s", "late", 20);
    rig.run_for(2s);
    REQUIRE_FALSE(rig.server.pushes.empty());
    rig.board.scenes.clear();
    rig.bridge->changed("s");
    if (is_lost) {
        rig.server.scenes.clear();
        rig.server.behaviour = Server::Behaviour::works;
        rig.server.on_push = {};
        rig.run_for(61s);
    }
    rig.server.scenes["s"] = Drawing{"late", ms(20)};
    rig.server.behaviour = Server::Behaviour::works;
    rig.server.on_push = {};
    rig.run_for(61s);
    CHECK(rig.server.scenes["s"].removed);
    CHECK_FALSE(rig.board.scenes.contains("s"));
    CHECK(rig.count("conflict") == 0);
}

TEST_CASE("Bridge: a deletion made before a restart, or during an outage, is pushed",
          "[sync][bridge][deletion][unit]") {
    for (const bool restarts : {false, true}) {
        DeletingRig rig;
        begin_with_one(rig);
        rig.server.behaviour = Server::Behaviour::fails;
        rig.board.scenes.clear();
        if (!restarts) rig.bridge->changed("s");
        rig.run_for(1min);
        if (restarts) {
            rig.restart();
            rig.start();
        }
        rig.server.behaviour = Server::Behaviour::works;
        rig.run_for(2min);
        CHECK(rig.server.scenes["s"].removed);
        CHECK(rig.board.applied.empty());
    }
}

TEST_CASE("Bridge: a change is kept instead of a deletion on the other side",
          "[sync][bridge][deletion][unit]") {
    // This holds for all stamps, and over a restart.
    for (const bool restarts : {false, true}) {
        for (const std::int64_t time : {5, 20}) {
            DeletingRig here;
            begin_with_one(here);
            if (restarts) here.restart();
            here.board.scenes["s"] = {"changed here", ms(15)};
            here.server.scenes["s"] = tombstone_at(time);
            if (restarts) here.start();
            here.bridge->changed("s");
            here.run_for(1min);
            CHECK(here.server.scenes["s"].content == "changed here");
            CHECK(here.board.applied.empty());
            CHECK(here.count("conflict") + here.count("open conflict") == 0);

            DeletingRig there;
            begin_with_one(there);
            if (restarts) there.restart();
            there.board.scenes.clear();
            there.server.scenes["s"] = {"changed there", ms(time)};
            if (restarts) there.start();
            there.bridge->changed("s");
            there.run_for(1min);
            CHECK(there.board.scenes["s"].content == "changed there");
            CHECK_FALSE(there.server.scenes["s"].removed);
            CHECK(there.count("conflict") + there.count("open conflict") == 0);
        }
    }
}

TEST_CASE("Bridge: a deletion names the scene that it deletes", "[sync][bridge][deletion][saw]") {
    for (const bool stamped : {true, false}) {
        DeletingRig rig;
        if (!stamped) rig.server.restamp = [] { return Stamp{}; };
        begin_with_one(rig);
        if (!stamped) rig.server.scenes["s"].stamp = {};
        rig.board.scenes.clear();
        rig.bridge->changed("s");
        rig.run_for(1s);
        REQUIRE(rig.server.scenes["s"].removed);
        // A remote without stamps cannot compare them.
        CHECK(rig.server.scenes["s"].saw == (stamped ? std::optional{ms(10)} : std::nullopt));
    }
}

TEST_CASE("Bridge: a server that compares refuses to delete a change that the author did not see",
          "[sync][bridge][deletion][saw]") {
    for (const std::int64_t theirs : {5, 20}) {
        DeletingRig rig;
        rig.server.compares = true;
        begin_with_one(rig);
        // This happens between the fetch and the deletion of the round.
        rig.server.on_push = [&] {
            rig.server.on_push = {};
            rig.server.scenes["s"] = {"theirs", ms(theirs)};
        };
        rig.board.scenes.clear();
        rig.bridge->changed("s");
        rig.run_for(1s);
        CHECK(rig.server.outrun == 1);
        CHECK(rig.board.scenes["s"].content == "theirs");
        CHECK(rig.server.scenes["s"].content == "theirs");
        CHECK_FALSE(rig.server.scenes["s"].removed);
        CHECK(rig.reported.empty());
    }
}

TEST_CASE("Bridge: a change is kept instead of a deletion that had not seen it",
          "[sync][bridge][deletion][saw]") {
    const auto by = [](unsigned who, std::int64_t at) {
        return Stamp{.wall = ms(at).wall, .origin = {static_cast<std::byte>(who)}};
    };
    for (const std::int64_t deleted : {15, 30}) {
        for (const bool seen : {false, true}) {
            DeletingRig rig;
            rig.server.scenes["s"] = {"0", by(2, 10)};
            rig.board.empty = {"s"};
            rig.start();
            rig.run_for(31s);
            rig.board.scenes.insert_or_assign("s", Drawing{"mine", by(1, 20)});
            rig.bridge->changed("s");
            rig.run_for(1s);
            REQUIRE(rig.server.scenes["s"].content == "mine");
            // The server stores `saw`, and does not compare it.
            rig.server.scenes["s"] =
                Drawing{"", by(3, deleted), true, seen ? by(1, 20) : by(2, 10)};
            rig.run_for(31s);
            CHECK(rig.board.scenes.contains("s") == !seen);
            CHECK(rig.server.scenes["s"].removed == seen);
            CHECK(rig.count("conflict") == 0);
        }
    }
}

TEST_CASE("Bridge: a scene that the remote has lost is not a deleted one",
          "[sync][bridge][deletion][unit]") {
    DeletingRig rig;
    begin_with_one(rig);
    rig.server.scenes.clear();
    rig.run_for(1min);
    CHECK(rig.server.scenes["s"].content == "0");
    CHECK(rig.board.applied.empty());
}

TEST_CASE("Bridge: a deletion that the local side refuses is reported and tried again",
          "[sync][bridge][deletion][unit]") {
    DeletingRig rig;
    begin_with_one(rig);
    rig.board.refuses = std::make_error_code(std::errc::device_or_resource_busy);
    rig.server.scenes["s"] = tombstone_at(11);
    rig.run_for(2min);
    CHECK(rig.count("error s apply") > 1);
    CHECK_FALSE(rig.board.bases["s"].removed);
    rig.board.refuses = {};
    rig.run_for(2min);
    CHECK(rig.board.scenes.empty());
}

TEST_CASE("Bridge: without remove_scene a scene that is missing here is not deleted there",
          "[sync][bridge][deletion][unit]") {
    RememberingRig rig;
    rig.board.scenes["s"] = rig.server.scenes["s"] = {"0", ms(10)};
    rig.start();
    rig.run_for(31s);
    rig.board.scenes.clear();
    rig.board.empty = {"s"};
    rig.bridge->changed("s");
    rig.run_for(1min);
    CHECK(rig.board.scenes.size() + rig.server.pushes.size() <= 1);
    CHECK(rig.server.scenes["s"].content == "0");
    // For that remote, a tombstone is an error of its session.
    rig.server.scenes["s"] = tombstone_at(11);
    rig.run_for(1min);
    CHECK(rig.count("error s fetch") >= 1);
    CHECK(rig.server.pushes.empty());
}

TEST_CASE("Bridge: two clients agree on scenes that are created and deleted",
          "[sync][bridge][deletion][sim]") {
    using Machine =
        Bridge<std::reference_wrapper<DeletingBoard>, std::reference_wrapper<DeletingServer>,
               decltype(policies::bridge()), BridgeRecorder>;
    for_each_seed(
        [](Seed seed) {
            sim::World world{seed};
            sim::Host& host = world.host("here");
            DeletingServer server;
            DeletingBoard boards[2];
            std::vector<std::string> told;
            std::unique_ptr<Machine> bridges[2];
            const auto restart = [&](std::size_t i) {
                bridges[i] = nullptr;
                bridges[i] = std::make_unique<Machine>(
                    std::ref(boards[i]), std::ref(server), policies::bridge(),
                    BridgeOptions{.pull = {.interval = 5s}}, BridgeRecorder{&told});
                host.attach(*bridges[i]);
                bridges[i]->start();
            };
            const auto draw = [&](std::uint64_t below) {
                return static_cast<std::size_t>(uniform_upto(world.bits(), below - 1));
            };
            for (std::size_t i = 0; i < 2; ++i) boards[i].empty = {"a", "b"};
            for (std::size_t i = 0; i < 2; ++i) restart(i);
            for (int n = 1; n <= 60; ++n) {
                const std::size_t who = draw(2);
                const std::string name = draw(2) == 0 ? "a" : "b";
                Drawings& scenes = boards[who].scenes;
                if (draw(3) == 0) {
                    scenes.erase(name);
                } else {
                    scenes[name] = {std::to_string(n), ms(1000 * n)};
                }
                bridges[who]->changed(name);
                world.run_for(std::chrono::milliseconds{draw(8000)});
                server.behaviour =
                    draw(5) == 0 ? Server::Behaviour::fails : Server::Behaviour::works;
                if (draw(8) == 0) restart(draw(2));
            }
            server.behaviour = Server::Behaviour::works;
            world.run_for(5min);
            // A change that was made before a restart may be an open conflict.
            for (std::size_t i = 0; i < 2; ++i) {
                for (auto& [name, scene] : boards[i].scenes) {
                    const std::string open = "open conflict " + name + " here " + scene.content;
                    const auto begins = [&](const std::string& line) {
                        return line.starts_with(open);
                    };
                    if (scene.content == server.scenes[name].content) continue;
                    REQUIRE(std::any_of(told.begin(), told.end(), begins));
                    scene = {"decided", ms(100'000 + static_cast<std::int64_t>(i))};
                    bridges[i]->changed(name);
                    world.run_for(1min);
                }
            }
            const std::size_t pushes = server.pushes.size();
            world.run_for(5min);
            REQUIRE(server.pushes.size() == pushes);
            for (const auto& [name, scene] : server.scenes) {
                for (DeletingBoard& board : boards) {
                    REQUIRE(board.scenes.contains(name) == !scene.removed);
                    if (!scene.removed) REQUIRE(board.scenes[name].content == scene.content);
                }
            }
        },
        200);
}

TEST_CASE("Bridge: a change is kept instead of a deletion that its clock puts later",
          "[sync][bridge][deletion][regression]") {
    DeletingRig rig;
    begin_with_one(rig);
    rig.board.scenes["s"] = {"1", {ms(20).wall, 0, Id{std::byte{9}}}};
    rig.bridge->changed("s");
    rig.run_for(31s);
    rig.board.scenes.clear();
    rig.board.empty = {"s"};  // a session that is listed without a scene
    rig.bridge->changed("s");
    rig.run_for(1s);
    REQUIRE(rig.server.scenes["s"].removed);
    // The deletion is by a client whose clock is behind, and is of the version before.
    const Drawing change{"2", {ms(20).wall, 1, Id{std::byte{1}}}};
    REQUIRE(change.stamp < rig.server.scenes["s"].stamp);
    rig.server.scenes["s"] = change;
    rig.run_for(2min);
    CHECK(rig.board.scenes["s"].content == "2");
    CHECK(rig.server.scenes["s"].content == "2");
    CHECK_FALSE(rig.server.scenes["s"].removed);
    CHECK(rig.count("conflict") == 0);
}

TEST_CASE("Bridge: a scene that is there again after its deletion was pushed is no conflict",
          "[sync][bridge][deletion][regression]") {
    for (const std::int64_t stamp : {9, 10, 11}) {
        DeletingRig rig;
        begin_with_one(rig);
        const Drawing before = rig.server.scenes["s"];
        rig.board.scenes.clear();
        rig.board.empty = {"s"};
        rig.bridge->changed("s");
        rig.run_for(1s);
        REQUIRE(rig.server.scenes["s"].removed);
        rig.server.scenes["s"] = before;  // it was restored, or has rejected the deletion
        rig.server.scenes["s"].stamp = ms(stamp);
        rig.run_for(2min);
        CHECK(rig.count("conflict") == 0);
        CHECK(rig.board.scenes.contains("s") == !rig.server.scenes["s"].removed);
    }
}

TEST_CASE("Bridge: a scene is kept instead of a deletion that had not seen it, after a loss",
          "[sync][bridge][deletion][regression]") {
    const bool is_author = GENERATE(false, true);
    const bool is_lost = GENERATE(false, true);  // the first push over the deletion
    const std::int64_t deleted_at = GENERATE(15, 30);
    CAPTURE(is_author, is_lost, deleted_at);
    const auto by = [](unsigned who, std::int64_t at) {
        return Stamp{.wall = ms(at).wall, .origin = {static_cast<std::byte>(who)}};
    };
    DeletingRig rig;
    rig.board.empty = {"s"};
    rig.server.scenes["s"] = {"before", by(2, 10)};
    rig.start();
    rig.run_for(31s);
    if (is_author) {
        rig.board.scenes.insert_or_assign("s", Drawing{"made", by(1, 20)});
        rig.bridge->changed("s");
        rig.run_for(61s);
        rig.restart();
        rig.start();
        rig.run_for(31s);
    } else {
        rig.server.scenes["s"] = {"made", by(2, 20)};
        rig.run_for(31s);
        rig.server.scenes["s"] = {"before", by(2, 10)};
        rig.run_for(61s);
    }
    REQUIRE(rig.server.scenes["s"].content == "made");
    rig.server.on_push = [&, first = is_lost]() mutable {
        rig.server.behaviour =
            std::exchange(first, false) ? Server::Behaviour::drops : Server::Behaviour::works;
    };
    rig.server.on_fetch = [&] { rig.server.behaviour = Server::Behaviour::works; };
    rig.server.scenes["s"] = {"", by(3, deleted_at), true, by(2, 10)};
    rig.run_for(3min);
    CHECK(rig.board.scenes["s"].content == "made");
    CHECK(rig.server.scenes["s"].content == "made");
    CHECK_FALSE(rig.server.scenes["s"].removed);
    CHECK(rig.count("conflict") + rig.count("open conflict") == 0);
    CHECK(rig.board.bases["s"].made_by == (is_author ? Origin::local : Origin::remote));
}
