// SPDX-License-Identifier: MIT
// Goal: a bridge whose local side stores bases overwrites no unseen scene after a restart, and
// reports nothing that did not happen. Method: both sides and the time are scripted; the bridge is
// destroyed and made anew over the same board.
#include <belay/sync/bridge.hpp>

#include "support/catch.hpp"
#include "support/sync/bridge_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

using Told = std::vector<std::string>;

/// A rig whose sides are equal, with content "0" from an earlier run of the program, which has
/// ended.
void end_in_step(auto& rig) {
    rig.board.scenes["s"] = {"0", ms(10)};
    rig.start();
    rig.bridge->changed("s");
    rig.run_for(31s);
    REQUIRE(rig.server.scenes["s"].content == "0");
    rig.bridge->stop();
    rig.run_for(1s);
    REQUIRE(rig.bridge->ended());
    rig.restart();
    rig.reported.clear();
    rig.server.pushes.clear();
}

}  // namespace

TEST_CASE("Bridge: a scene changed before a restart is not overwritten by a later one",
          "[sync][bridge][memory][unit]") {
    for (const bool changed : {false, true}) {
        RememberingRig rig;
        end_in_step(rig);
        rig.board.scenes["s"] = {"mine", ms(20)};
        rig.server.scenes["s"] = {"theirs", ms(30)};
        rig.start();
        if (changed) rig.bridge->changed("s");
        rig.run_for(10min);
        CHECK(rig.board.applied.empty());
        CHECK(rig.board.scenes["s"].content == "mine");
        CHECK(rig.server.scenes["s"].content == "theirs");
        CHECK(rig.reported == Told{"connected", "open conflict s here mine there theirs"});
        // Another remote scene is another conflict.
        rig.server.scenes["s"] = {"theirs, too", ms(31)};
        rig.run_for(1min);
        CHECK(rig.count("open conflict") == 2);
        // The program has both contents, and merges them.
        rig.edit("s", "mine and theirs", 32);
        rig.run_for(1min);
        CHECK(rig.server.scenes["s"].content == "mine and theirs");
        CHECK(rig.count("conflict") == 0);
        CHECK(rig.count("open conflict") == 2);
        // From then on the last writer wins.
        rig.board.scenes["s"] = {"a", ms(40)};
        rig.server.scenes["s"] = {"b", ms(41)};
        rig.bridge->changed("s");
        rig.run_for(1min);
        CHECK(rig.count("conflict s here a there b kept remote") == 1);
    }
}

TEST_CASE(
    "Bridge: a scene changed before a restart stays, for any version that the later author saw",
    "[sync][bridge][memory][unit]") {
    const auto by = [](unsigned who, std::int64_t at) {
        return Stamp{.wall = ms(at).wall, .origin = {static_cast<std::byte>(who)}};
    };
    const std::optional<Stamp> saws[] = {std::nullopt, Stamp{}, by(1, 10), by(2, 25)};
    const auto play = [&](auto& rig, const std::optional<Stamp>& saw) {
        rig.board.scenes["s"] = {"0", by(1, 10)};
        rig.start();
        rig.run_for(61s);
        REQUIRE(rig.server.scenes["s"].content == "0");
        rig.restart();
        rig.reported.clear();
        rig.board.scenes["s"] = {"mine", by(1, 20)};
        rig.server.scenes["s"] = {"theirs", by(2, 30), false, saw};
        rig.start();
        rig.run_for(10min);
        CHECK(rig.server.scenes["s"].content == "theirs");
    };
    for (const auto& saw : saws) {
        RememberingRig rig;
        play(rig, saw);
        CHECK(rig.board.scenes["s"].content == "mine");
        CHECK(rig.reported == Told{"connected", "open conflict s here mine there theirs"});
        // Without a base, nothing distinguishes an edit from a scene that the others have changed.
        BridgeRig forgetful;
        play(forgetful, saw);
        CHECK(forgetful.board.scenes["s"].content == "theirs");
        CHECK(forgetful.reported == Told{"connected", "error s base none"});
    }
}

TEST_CASE("Bridge: an open conflict is decided for the remote by its content",
          "[sync][bridge][memory][unit]") {
    RememberingRig rig;
    end_in_step(rig);
    rig.board.scenes["s"] = {"mine", ms(20)};
    rig.server.scenes["s"] = {"theirs", ms(30)};
    rig.start();
    rig.run_for(1min);
    rig.edit("s", "theirs", 31);
    rig.run_for(1min);
    CHECK(rig.server.pushes.empty());
    CHECK(rig.count("open conflict") == 1);
    CHECK(rig.board.bases["s"].stamp == ms(30));
}

TEST_CASE("Bridge: a change before a restart is pushed if the remote has not changed",
          "[sync][bridge][memory][unit]") {
    RememberingRig rig;
    end_in_step(rig);
    // The clock was set back, so the stamp is earlier than that of the base.
    rig.board.scenes["s"] = {"mine", ms(5)};
    rig.start();
    rig.run_for(31s);
    CHECK(rig.server.scenes["s"].content == "mine");
    CHECK(rig.reported == Told{"connected", "pushed s"});
}

TEST_CASE("Bridge: a change before a restart that is later than the remote's is pushed, reported",
          "[sync][bridge][memory][unit]") {
    RememberingRig rig;
    end_in_step(rig);
    rig.board.scenes["s"] = {"mine", ms(30)};
    rig.server.scenes["s"] = {"theirs", ms(20)};
    rig.start();
    rig.run_for(31s);
    CHECK(rig.server.scenes["s"].content == "mine");
    CHECK(rig.count("conflict s here mine there theirs kept local") == 1);
}

TEST_CASE("Bridge: a pull over an unedited scene is not reported, with an older or a newer stamp",
          "[sync][bridge][memory][unit]") {
    for (const bool changed : {false, true}) {
        for (const std::int64_t stamp : {5, 10, 15}) {
            RememberingRig rig;
            end_in_step(rig);
            rig.server.scenes["s"] = {"theirs", ms(stamp)};
            rig.start();
            if (changed) rig.bridge->changed("s");
            rig.run_for(1min);
            CHECK(rig.board.scenes["s"].content == "theirs");
            CHECK(rig.server.pushes.empty());
            CHECK(rig.reported == Told{"connected"});
        }
    }
}

TEST_CASE("Bridge: a remote scene with an older stamp than the base's is a change",
          "[sync][bridge][memory][unit]") {
    BridgeRig rig;
    rig.board.scenes["s"] = rig.server.scenes["s"] = {"0", ms(10)};
    rig.start();
    rig.run_for(31s);
    rig.server.scenes["s"] = {"theirs", ms(5)};
    rig.run_for(31s);
    CHECK(rig.board.applied == Told{"s=theirs remote"});
    CHECK(rig.server.pushes.empty());
    // With an edit here, it is a conflict.
    rig.server.scenes["s"] = {"theirs, too", ms(4)};
    rig.edit("s", "mine", 20);
    rig.run_for(31s);
    CHECK(rig.count("conflict s here mine there theirs, too kept local") == 1);
    CHECK(rig.server.scenes["s"].content == "mine");
}

TEST_CASE("Bridge: without a base it reports once that it compares stamps",
          "[sync][bridge][memory][unit]") {
    const auto play = [](auto& rig) {
        for (const char* name : {"a", "b", "c"}) {
            rig.board.scenes[name] = {"here", ms(1)};
            rig.server.scenes[name] = {"there", ms(2)};
        }
        rig.start();
        rig.run_for(5min);
        CHECK(rig.count("error") == 1);
        CHECK(rig.count("error b base none") + rig.count("error a base none") +
                  rig.count("error c base none") ==
              1);
    };
    BridgeRig forgetful;
    play(forgetful);
    CHECK(forgetful.board.applied.size() == 3);
    // In the first run of a side that stores bases, both scenes are known to be changes.
    RememberingRig first;
    play(first);
    CHECK(first.board.applied.empty());
    CHECK(first.count("open conflict") == 3);
}

TEST_CASE("Bridge: without a base, equal scenes and missing ones need no comparison",
          "[sync][bridge][memory][unit]") {
    BridgeRig rig;
    rig.board.scenes = {{"both", {"x", ms(1)}}, {"here", {"x", ms(1)}}};
    rig.board.empty = {"there"};
    rig.server.scenes = {{"both", {"x", ms(2)}}, {"there", {"x", ms(1)}}};
    rig.start();
    rig.run_for(1min);
    CHECK(rig.reported == Told{"connected", "pushed here"});
}

TEST_CASE("Bridge: the base is read once, and written when it changes",
          "[sync][bridge][memory][unit]") {
    RememberingRig rig;
    end_in_step(rig);
    rig.board.base_reads = rig.board.base_writes = 0;
    rig.start();
    rig.run_for(1h);
    CHECK(rig.board.base_reads == 1);
    CHECK(rig.board.base_writes == 0);
    rig.edit("s", "1", 20);
    rig.run_for(10min);
    CHECK(rig.board.base_writes == 1);
    CHECK(rig.board.bases["s"].stamp == ms(20));
    rig.server.scenes["s"] = {"2", ms(21)};
    rig.run_for(10min);
    CHECK(rig.board.base_writes == 2);
    CHECK(rig.board.base_reads == 1);
}

TEST_CASE(
    "Bridge: a base that cannot be read stops its session, one that cannot be stored does not",
    "[sync][bridge][memory][unit]") {
    for (const bool throws : {false, true}) {
        RememberingRig rig;
        end_in_step(rig);
        rig.board.scenes["s"] = {"mine", ms(20)};
        rig.server.scenes["s"] = {"theirs", ms(30)};
        rig.board.base_throws = throws;
        if (!throws) rig.board.base_error = std::make_error_code(std::errc::io_error);
        rig.start();
        rig.run_for(5min);
        CHECK(rig.count("error s base lost") > 1);
        CHECK(rig.board.applied.empty());
        CHECK(rig.server.pushes.empty());
        rig.board.base_throws = false;
        rig.board.base_error = {};
        rig.run_for(2min);
        CHECK(rig.count("open conflict") == 1);
        rig.board.base_throws = throws;
        if (!throws) rig.board.base_error = std::make_error_code(std::errc::io_error);
        rig.edit("s", "both", 31);
        rig.run_for(31s);
        CHECK(rig.server.scenes["s"].content == "both");
        CHECK(rig.board.bases["s"].stamp == ms(10));
        rig.board.base_throws = false;
        rig.board.base_error = {};
        rig.run_for(31s);
        CHECK(rig.board.bases["s"].stamp == ms(31));
    }
}

TEST_CASE("Bridge: a base that was not stored before a crash causes no conflict",
          "[sync][bridge][memory][unit]") {
    RememberingRig rig;
    end_in_step(rig);
    rig.start();
    const auto before = rig.board.bases;
    rig.edit("s", "1", 20);
    rig.run_for(10s);
    REQUIRE(rig.server.scenes["s"].content == "1");
    rig.board.bases = before;
    rig.restart();
    rig.reported.clear();
    rig.start();
    rig.run_for(1min);
    CHECK(rig.reported == Told{"connected"});
    CHECK(rig.board.bases["s"].stamp == ms(20));
}

TEST_CASE("Bridge: a pulled scene whose base was not stored before a crash is no edit",
          "[sync][bridge][memory][unit][regression]") {
    struct Case {
        unsigned author;
        std::size_t open;
    };
    // The first case is a later scene of its author, the second one of an author who may not have
    // seen it.
    for (const auto& [author, open] : {Case{2, 0}, Case{3, 1}}) {
        RememberingRig rig;
        end_in_step(rig);
        rig.start();
        rig.run_for(31s);  // the base is read
        const auto by = [](unsigned who, std::int64_t at) {
            return Stamp{.wall = ms(at).wall, .origin = {static_cast<std::byte>(who)}};
        };
        rig.server.scenes["s"] = {"theirs", by(2, 20)};
        rig.board.base_error = std::make_error_code(std::errc::no_space_on_device);
        rig.run_for(31s);
        REQUIRE(rig.board.scenes["s"].content == "theirs");
        CHECK(rig.count("error s base") > 0);
        rig.board.base_error = {};
        rig.server.scenes["s"] = {"theirs, later", by(author, 30)};
        rig.restart();
        rig.reported.clear();
        rig.start();
        rig.run_for(1min);
        CHECK(rig.count("open conflict") == open);
        CHECK((rig.board.scenes["s"].content == "theirs, later") == (open == 0));
    }
}

// ---- remotes that undo ---------------------------------------------------------------------------

TEST_CASE("Bridge: a push that the remote undoes three times is reported, and waits",
          "[sync][bridge][memory][unit]") {
    BridgeRig rig{{.pull = {.interval = 10s}}};
    rig.board.scenes["s"] = rig.server.scenes["s"] = {"0", ms(10)};
    rig.start();
    rig.run_for(11s);
    rig.server.stores = [](const Drawing*, const Drawing&) { return std::optional<Drawing>{}; };
    rig.edit("s", "1", 20);
    REQUIRE(rig.world.run_until([&] { return rig.count("error s undone permanent") == 1; }, 60s));
    CHECK(rig.server.pushes == Told{"s=1", "s=1", "s=1"});
    CHECK(rig.board.scenes["s"].content == "1");
    CHECK(rig.board.applied.empty());
    // The delays between pushes grow.
    rig.run_for(1h);
    CHECK(rig.server.pushes.size() > 8);
    CHECK(rig.server.pushes.size() < 25);
    CHECK(rig.count("error s undone permanent") + 3 >= rig.server.pushes.size());
    CHECK(rig.board.applied.empty());
    // Once the remote keeps what it confirms, nothing is left to do.
    rig.server.stores = {};
    rig.run_for(10min);
    CHECK(rig.server.scenes["s"].content == "1");
    const std::size_t pushes = rig.server.pushes.size();
    rig.run_for(1h);
    CHECK(rig.server.pushes.size() == pushes);
    CHECK(rig.count("conflict") == 0);
}

TEST_CASE("Bridge: a remote without stamps that undoes a push overwrites it, and reports",
          "[sync][bridge][memory][unit]") {
    BridgeRig rig{{.pull = {.interval = 10s}}};
    rig.server.restamp = [] { return Stamp{}; };
    rig.board.scenes["s"] = {"0", ms(10)};
    rig.server.scenes["s"] = {"0", {}};
    rig.start();
    rig.run_for(11s);
    rig.server.stores = [](const Drawing* had, const Drawing&) { return *had; };
    rig.edit("s", "1", 20);
    rig.run_for(60s);
    CHECK(rig.count("conflict s here 1 there 0 kept remote") == 1);
    CHECK(rig.board.scenes["s"].content == "0");
}

TEST_CASE("Bridge: an open conflict is not decided by a report without an edit",
          "[sync][bridge][memory][regression]") {
    RememberingRig rig;
    end_in_step(rig);
    rig.board.scenes["s"] = {"mine", ms(20)};
    rig.server.scenes["s"] = {"theirs", ms(30)};
    rig.start();
    rig.run_for(1min);
    REQUIRE(rig.count("open conflict") == 1);
    rig.bridge->changed("s");  // for example, because the program stored its scenes
    rig.run_for(2min);
    CHECK(rig.server.scenes["s"].content == "theirs");
    CHECK(rig.board.scenes["s"].content == "mine");
    CHECK(rig.count("open conflict") == 1);
    // A later stamp decides for the local scene, also with the same content.
    rig.edit("s", "mine", 40);
    rig.run_for(1min);
    CHECK(rig.server.scenes["s"].content == "mine");
}
