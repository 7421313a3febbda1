// SPDX-License-Identifier: MIT
// Goal: both sides converge after any failure and any order of answers; a failure is reported, and
// does not stop other sessions. Method: both sides and the time are scripted.
#include <belay/sync/bridge.hpp>

#include <algorithm>

#include <belay/policy/rules.hpp>

#include "support/aborts.hpp"
#include "support/catch.hpp"
#include "support/seeds.hpp"
#include "support/sync/bridge_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

using Recorded = std::vector<std::string>;
using Shown = Connectivity::Kind;
using Behaviour = Server::Behaviour;

BridgeOptions hourly() { return {.pull = {.interval = 1h}}; }

struct Merging {
    Board* board;
    int conflicts = 0;
    void on_conflict(auto& bridge, const BridgeConflict<std::string>& c) {
        ++conflicts;
        board->scenes[std::string{c.session}] = {c.local.content + "+" + c.remote.content, ms(20)};
        bridge.changed(c.session);
    }
};

/// A rig whose sides are equal, with session "s" that has content "0".
void begin(auto& rig) {
    rig.board.scenes["s"] = rig.server.scenes["s"] = {"0", ms(1)};
    rig.start();
    rig.bridge->changed("s");
    rig.run_for(6s);
    REQUIRE(rig.kind() == Shown::connected);
    REQUIRE(rig.server.pushes.empty());
    rig.reported.clear();
    rig.server.fetches.clear();
}

}  // namespace

// ---- echoes --------------------------------------------------------------------------------------

TEST_CASE("Bridge: a pulled change is not pushed back", "[sync][bridge][unit]") {
    // The bridge recognizes the change by its origin, or by its content if the local side reports
    // it as its own.
    for (const bool confused : {false, true}) {
        BridgeRig rig;
        rig.board.scenes["s"] = {"here", ms(1)};
        rig.server.scenes["s"] = {"there", ms(2)};
        rig.board.on_apply = [&](std::string_view session, Origin origin) {
            rig.bridge->changed(session, confused ? Origin::local : origin);
        };
        rig.start();
        rig.run_for(10min);
        CHECK(rig.board.applied == Recorded{"s=there remote"});
        CHECK(rig.server.pushes.empty());
    }
}

TEST_CASE("Bridge: a remote that sets its own stamps causes neither changes nor pushes",
          "[sync][bridge][unit]") {
    for (const std::int64_t skew : {-1'000'000, 0, 1'000'000}) {
        BridgeRig rig;
        rig.server.restamp = [&] { return ms(skew + rig.world.now().time_since_epoch() / 1ms); };
        rig.board.scenes["s"] = {"", ms(0)};
        rig.start();
        for (int i = 1; i <= 5; ++i) {
            rig.edit("s", std::to_string(i), rig.world.now().time_since_epoch() / 1ms + 1);
            rig.run_for(45s);
        }
        CHECK(rig.server.scenes["s"].content == "5");
        CHECK(rig.board.applied.empty());
        const std::size_t pushes = rig.server.pushes.size();
        CHECK(pushes <= 6);
        rig.run_for(1h);
        CHECK(rig.server.pushes.size() == pushes);
        CHECK(rig.board.applied.empty());
        CHECK(rig.count("conflict") == 0);
        // A change of another writer is recognized by its later stamp.
        rig.server.scenes["s"] = {"theirs", rig.server.restamp()};
        if (rig.server.scenes["s"].stamp < rig.board.scenes["s"].stamp) continue;
        rig.run_for(30s);
        CHECK(rig.board.scenes["s"].content == "theirs");
    }
}

TEST_CASE("Bridge: a push whose answer was lost is not treated as another writer's change",
          "[sync][bridge][unit]") {
    BridgeRig rig{hourly()};
    begin(rig);
    rig.server.on_push = [&] {
        rig.server.behaviour = Behaviour::forgets;
    };  // done, and not confirmed
    rig.edit("s", "1", 2);
    rig.run_for(3min);
    REQUIRE(rig.server.scenes["s"].content == "1");
    REQUIRE(rig.count("pushed") == 0);
    rig.edit("s", "2", 3);
    rig.server.on_push = {};
    rig.server.behaviour = Behaviour::works;
    rig.run_for(70s);
    CHECK(rig.server.scenes["s"].content == "2");
    CHECK(rig.board.applied.empty());
    CHECK(rig.count("conflict") == 0);
    CHECK(rig.count("pushed") == 1);
}

TEST_CASE("Bridge: a scene that the remote lost is no edit, also if restoring it fails at first",
          "[sync][bridge][unit]") {
    BridgeRig rig{{.pull = {.interval = 10s}}};
    rig.board.scenes["s"] = {"1", ms(1)};  // pulled from another client before a restart
    rig.server.behaviour = Behaviour::works;
    rig.server.on_push = [&] { rig.server.behaviour = Behaviour::fails; };
    rig.start();
    rig.run_for(1min);
    REQUIRE_FALSE(rig.server.pushes.empty());
    REQUIRE(rig.server.scenes.empty());
    rig.server.scenes["s"] = {"2", ms(2)};  // pushed by that client
    rig.server.behaviour = Behaviour::works;
    rig.run_for(70s);
    CHECK(rig.board.scenes == rig.server.scenes);
    CHECK(rig.board.applied == Recorded{"s=2 remote"});
    CHECK(rig.count("conflict") == 0);
    // The same holds with a base: the remote returns an older scene than it had.
    rig.server.scenes["s"] = {"1", ms(1)};
    const std::size_t before = rig.server.pushes.size();
    rig.run_for(1min);
    REQUIRE(rig.server.pushes.size() > before);
    rig.server.scenes["s"] = {"3", ms(3)};
    rig.server.behaviour = Behaviour::works;
    rig.run_for(70s);
    CHECK(rig.board.applied == Recorded{"s=2 remote", "s=3 remote"});
    CHECK(rig.count("conflict") == 0);
}

TEST_CASE("Bridge: an edit whose push failed stays an edit, so its loss is reported",
          "[sync][bridge][unit]") {
    BridgeRig rig{{.pull = {.interval = 10s}}};
    rig.server.on_push = [&] { rig.server.behaviour = Behaviour::fails; };
    rig.start();
    rig.edit("s", "1", 1);
    rig.run_for(1min);
    REQUIRE_FALSE(rig.server.pushes.empty());
    rig.server.scenes["s"] = {"2", ms(2)};
    rig.server.behaviour = Behaviour::works;
    rig.run_for(70s);
    CHECK(rig.board.applied == Recorded{"s=2 remote"});
    CHECK(rig.count("conflict s here 1 there 2 kept remote") == 1);
}

TEST_CASE("Bridge: an older scene by the same clock is no conflict", "[sync][bridge][unit]") {
    const auto by = [](std::int64_t time, unsigned origin) {
        Stamp stamp = ms(time);
        stamp.origin = {std::byte(origin)};
        return stamp;
    };
    for (const unsigned there : {1U, 2U}) {
        BridgeRig rig{hourly()};
        rig.board.scenes["s"] = {"1", by(1, 1)};
        rig.start();
        rig.bridge->changed("s");
        rig.run_for(1s);
        REQUIRE(rig.count("pushed") == 1);
        // An earlier push has arrived late, or that of another writer.
        rig.server.scenes["s"] = {"2", by(2, there)};
        rig.board.scenes["s"] = {"3", by(3, 1)};
        rig.bridge->changed("s");
        rig.run_for(1s);
        CHECK(rig.server.scenes == rig.board.scenes);
        CHECK(rig.count("conflict") == (there == 1 ? 0U : 1U));
    }
}

// ---- races ---------------------------------------------------------------------------------------

TEST_CASE("Bridge: an edit that is newer than the running pull stays, and is pushed",
          "[sync][bridge][unit]") {
    BridgeRig rig{{.pull = {.interval = 30s}, .push = {.debounce = 5s}}};
    begin(rig);
    rig.server.behaviour = Behaviour::hangs;
    REQUIRE(rig.world.run_until([&] { return rig.server.kept_fetches.size() == 1; }, 31s));
    rig.edit("s", "mine", 10);
    rig.run_for(1s);
    rig.server.behaviour = Behaviour::works;
    rig.server.kept_fetches[0](std::optional<Drawing>{Drawing{"theirs", ms(9)}});
    rig.run_for(6s);
    CHECK(rig.board.applied.empty());
    CHECK(rig.server.scenes["s"].content == "mine");
    CHECK(rig.count("conflict s here mine there theirs kept local") == 1);
}

TEST_CASE("Bridge: an edit that is older than the pulled scene is lost, and reported",
          "[sync][bridge][unit]") {
    BridgeRig rig{{.push = {.debounce = 5s}}};
    begin(rig);
    rig.server.behaviour = Behaviour::hangs;
    REQUIRE(rig.world.run_until([&] { return rig.server.kept_fetches.size() == 1; }, 31s));
    rig.edit("s", "mine", 10);
    rig.run_for(1s);
    rig.server.behaviour = Behaviour::works;
    rig.server.scenes["s"] = {"theirs", ms(11)};
    rig.server.kept_fetches[0](std::optional<Drawing>{Drawing{"theirs", ms(11)}});
    rig.run_for(10min);
    CHECK(rig.board.scenes["s"].content == "theirs");
    CHECK(rig.server.pushes.empty());  // the push of the local edit is dropped
    CHECK(rig.reported == Recorded{"conflict s here mine there theirs kept remote"});
}

TEST_CASE("Bridge: an observer may merge a conflict", "[sync][bridge][unit]") {
    sim::World world{Seed{1}};
    sim::Host& host = world.host("here");
    Board board;
    Server server;
    board.scenes["s"] = server.scenes["s"] = {"0", ms(1)};
    Bridge bridge{std::ref(board), std::ref(server), policies::bridge(), BridgeOptions{},
                  Merging{&board}};
    host.attach(bridge);
    bridge.start();
    world.run_for(30s);
    board.scenes["s"] = {"mine", ms(10)};
    server.scenes["s"] = {"theirs", ms(11)};
    bridge.changed("s");
    world.run_for(10s);
    CHECK(server.scenes["s"].content == "mine+theirs");
    CHECK(board.scenes["s"].content == "mine+theirs");
    CHECK(bridge.observer().conflicts == 1);
}

TEST_CASE("Bridge: edits made during a push are pushed after it", "[sync][bridge][unit]") {
    BridgeRig rig{hourly()};
    begin(rig);
    rig.server.on_push = [&] { rig.server.behaviour = Behaviour::hangs; };
    rig.edit("s", "1", 2);
    REQUIRE(rig.world.run_until([&] { return rig.server.kept_pushes.size() == 1; }, 1s));
    rig.edit("s", "2", 3);
    rig.edit("s", "3", 4);
    rig.run_for(3s);
    CHECK(rig.server.pushes == Recorded{"s=1"});
    rig.server.on_push = {};
    rig.server.behaviour = Behaviour::works;
    rig.server.scenes["s"] = {"1", ms(2)};
    rig.server.kept_pushes[0](Failure{});
    rig.run_for(1s);
    CHECK(rig.server.pushes == Recorded{"s=1", "s=3"});
    CHECK(rig.reported == Recorded{"pushed s", "pushed s"});
}

// ---- pushes --------------------------------------------------------------------------------------

TEST_CASE("Bridge: changes are collected, and continuous changes do not postpone the push",
          "[sync][bridge][unit]") {
    BridgeRig rig{hourly()};
    begin(rig);
    for (int i = 0; i < 100; ++i) {
        rig.edit("s", std::to_string(i), 10 + i);
        rig.run_for(100ms);
    }
    rig.run_for(1s);
    CHECK(rig.server.scenes["s"].content == "99");
    CHECK(rig.server.pushes.size() >= 15);
    CHECK(rig.server.pushes.size() <= 21);
}

TEST_CASE("Bridge: only the newest edit of an outage is pushed, once", "[sync][bridge][unit]") {
    BridgeRig rig{hourly()};
    begin(rig);
    rig.server.behaviour = Behaviour::fails;
    for (int i = 0; i < 100; ++i) {
        rig.edit("s", std::to_string(i), 10 + i);
        rig.edit("t", std::to_string(i), 10 + i);
        rig.run_for(17s);
    }
    CHECK(rig.server.pushes.empty());
    rig.server.behaviour = Behaviour::works;
    rig.run_for(61s);
    std::sort(rig.server.pushes.begin(), rig.server.pushes.end());
    CHECK(rig.server.pushes == Recorded{"s=99", "t=99"});
}

TEST_CASE("Bridge: an edit that was undone causes no call", "[sync][bridge][unit]") {
    BridgeRig rig{hourly()};
    begin(rig);
    rig.edit("s", "1", 2);
    rig.edit("s", "0", 1);
    rig.run_for(1min);
    CHECK(rig.server.fetches.empty());
    CHECK(rig.server.pushes.empty());
}

TEST_CASE("Bridge: an edit made before a restart is found, and pushed", "[sync][bridge][unit]") {
    BridgeRig rig;
    rig.board.scenes = {{"edited", {"new", ms(5)}}, {"fresh", {"first", ms(5)}}};
    rig.server.scenes = {{"edited", {"old", ms(4)}}};
    rig.start();
    rig.run_for(30s);  // without a call of changed()
    CHECK(rig.server.scenes == rig.board.scenes);
    // The same holds for a remote that was restarted, and has lost its scenes.
    rig.server.scenes.clear();
    rig.run_for(30s);
    CHECK(rig.server.scenes == rig.board.scenes);
    CHECK(rig.count("conflict") == 0);
}

TEST_CASE("Bridge: changed() before start() counts", "[sync][bridge][unit]") {
    BridgeRig rig{hourly()};
    rig.edit("s", "1", 1);
    rig.run_for(1h);
    CHECK(rig.server.fetches.empty());
    rig.start();
    rig.run_for(1s);
    CHECK(rig.server.pushes == Recorded{"s=1"});
}

// ---- pulls ---------------------------------------------------------------------------------------

TEST_CASE("Bridge: pulls of a remote that hangs do not accumulate", "[sync][bridge][unit]") {
    BridgeRig rig{{.pull = {.interval = 1s}, .answer_within = 1h, .calls_max = 3}};
    for (const char* name : {"a", "b", "c", "d", "e"}) rig.board.empty.push_back(name);
    rig.server.behaviour = Behaviour::hangs;
    rig.start();
    rig.run_for(10min);
    CHECK(rig.server.fetches == Recorded{"a", "b", "c"});
    rig.server.behaviour = Behaviour::works;
    for (auto& kept : rig.server.kept_fetches) kept(std::optional<Drawing>{});
    rig.run_for(1s);
    // The missed pulls are made up for by one pull.
    CHECK(rig.server.fetches.size() <= 3 + 2 + 5);
    CHECK(rig.server.fetches.size() >= 3 + 2);
}

TEST_CASE("Bridge: the first pull is at a random moment of the first interval",
          "[sync][bridge][property]") {
    Instant earliest = never;
    Instant latest = always;
    for_each_seed(
        [&](Seed seed) {
            BridgeRig rig{{}, policies::bridge(), seed};
            rig.board.empty = {"s"};
            rig.start();
            REQUIRE(rig.world.run_until([&] { return !rig.server.fetches.empty(); }, 30s));
            earliest = std::min(earliest, rig.world.now());
            latest = std::max(latest, rig.world.now());
        },
        100);
    if (from_environment("BELAY_SEEDS", 2000) < 50) return;
    CHECK(elapsed(Instant{}, earliest) < 5s);
    CHECK(elapsed(Instant{}, latest) > 25s);
}

TEST_CASE(
    "Bridge: a session that was deleted locally is forgotten, and an empty one gets its scene",
    "[sync][bridge][unit]") {
    BridgeRig rig;
    rig.board.scenes["gone"] = {"x", ms(1)};
    rig.server.scenes = rig.board.scenes;
    rig.server.scenes["empty"] = {"y", ms(1)};
    rig.board.empty = {"empty"};
    rig.start();
    rig.run_for(30s);
    CHECK(rig.board.scenes["empty"].content == "y");
    rig.board.empty.clear();
    rig.board.scenes.erase("gone");
    rig.bridge->changed("gone");
    rig.server.fetches.clear();
    rig.server.pushes.clear();
    rig.run_for(5min);
    CHECK(std::count(rig.server.fetches.begin(), rig.server.fetches.end(), "gone") == 0);
    CHECK(rig.server.pushes.empty());
}

// ---- outages -------------------------------------------------------------------------------------

TEST_CASE("Bridge: while the remote is unreachable one call at a time probes it, then all continue",
          "[sync][bridge][unit]") {
    BridgeRig rig{{.pull = {.interval = 10s}, .outage_wait = {FullJitter{}, Cap{8s}, 1s}},
                  Policy{MaxAttempts{1}}};
    for (int i = 0; i < 50; ++i) rig.board.empty.push_back("s" + std::to_string(i));
    rig.start();
    rig.run_for(10s);
    REQUIRE(rig.kind() == Shown::connected);
    rig.server.behaviour = Behaviour::fails;
    REQUIRE(rig.world.run_until([&] { return rig.kind() != Shown::connected; }, 20s));
    rig.server.fetches.clear();
    const Instant since = rig.world.now();
    Instant last = since;
    for (std::size_t n = 1; n <= 100; ++n) {
        REQUIRE(rig.world.run_until([&] { return rig.server.fetches.size() >= n; }, 9s));
        REQUIRE(rig.server.fetches.size() == n);
        CHECK(elapsed(last, rig.world.now()) <= 8s);
        last = rig.world.now();
    }
    CHECK(elapsed(since, last) > 200s);  // 4 s each, except for the first ones
    CHECK(rig.kind() == Shown::reconnecting);
    CHECK(rig.bridge->connectivity().attempt == 100);
    CHECK(rig.bridge->connectivity().since <= since);
    rig.server.behaviour = Behaviour::works;
    REQUIRE(rig.world.run_until([&] { return rig.kind() == Shown::connected; }, 9s));
    rig.run_for(0s);
    CHECK(rig.server.fetches.size() == 100 + 50);
}

TEST_CASE("Bridge waits for a server's retry_after, and shows it as an outage",
          "[sync][bridge][unit]") {
    // The call has ended by then, or its policy waits.
    for (const std::uint32_t attempts : {1U, 5U}) {
        BridgeRig rig{hourly(),
                      Policy{Backoff{FullJitter{}, Cap{10s}, 100ms}, MaxAttempts{attempts}}};
        begin(rig);
        rig.server.behaviour = Behaviour::fails;
        rig.server.failure = {.cause = Cause::overloaded, .retry_after = 5min};
        rig.edit("s", "1", 2);
        REQUIRE(rig.world.run_until([&] { return rig.kind() != Shown::connected; }, 1s));
        CHECK(rig.bridge->connectivity().reason.cause == Cause::overloaded);
        rig.run_for(299s);
        CHECK(rig.server.fetches.size() == 1);
        rig.run_for(1s);
        CHECK(rig.server.fetches.size() == 2);
    }
}

TEST_CASE("Bridge: the first attempt that hangs is shown within answer_within",
          "[sync][bridge][unit]") {
    BridgeRig rig{hourly(), policies::bridge()};
    begin(rig);
    rig.server.behaviour = Behaviour::hangs;
    rig.edit("s", "1", 2);
    REQUIRE(rig.world.run_until([&] { return rig.server.fetches.size() == 1; }, 1s));
    rig.run_for(10s);
    CHECK(rig.kind() == Shown::disconnected);
    CHECK(rig.bridge->connectivity().attempt == 0);
    CHECK(rig.world.run_until([&] { return rig.kind() == Shown::reconnecting; }, 12s));
    CHECK(rig.bridge->connectivity().attempt == 1);
    // A retry of the same call that is answered shows that the remote is back.
    rig.server.behaviour = Behaviour::works;
    REQUIRE(rig.world.run_until([&] { return rig.kind() == Shown::connected; }, 12s));
    CHECK(rig.bridge->connectivity().reason.cause == Cause::none);
    rig.run_for(1s);
    CHECK(rig.server.scenes["s"].content == "1");
}

TEST_CASE("Bridge: a retry_after of a day counts as retry_after_max", "[sync][bridge][unit]") {
    // An outage of the remote, and the refusal of one session.
    for (const Cause cause : {Cause::overloaded, Cause::forbidden}) {
        BridgeOptions options = hourly();
        options.retry_after_max = 20min;
        BridgeRig rig{options, Policy{MaxAttempts{1}}};
        begin(rig);
        rig.server.behaviour = Behaviour::fails;
        rig.server.failure = {.cause = cause, .retry_after = 24h};
        rig.edit("s", "1", 2);
        rig.run_for(1s);
        REQUIRE(rig.server.fetches.size() == 1);
        rig.server.behaviour = Behaviour::works;
        rig.run_for(19min);
        CHECK(rig.server.fetches.size() == 1);
        rig.run_for(1min);
        // Another one follows the push: the remote may have given the scene another stamp.
        CHECK(rig.server.fetches.size() == 3);
        CHECK(rig.kind() == Shown::connected);
    }
}

TEST_CASE(
    "Bridge: a remote that never answers counts as a failure, and its completion is cancelled",
    "[sync][bridge][unit]") {
    BridgeRig rig{hourly(), Policy{MaxAttempts{2}}};
    begin(rig);
    rig.server.behaviour = Behaviour::hangs;
    rig.edit("s", "1", 2);
    rig.run_for(10s);
    REQUIRE(rig.server.kept_fetches.size() == 1);
    CHECK(rig.server.kept_fetches[0].wanted());
    rig.run_for(1s);
    CHECK_FALSE(rig.server.kept_fetches[0].wanted());
    CHECK(rig.kind() == Shown::disconnected);  // during the second attempt
    CHECK(rig.bridge->connectivity().reason.cause == Cause::timed_out);
    rig.run_for(10s);
    CHECK(rig.kind() == Shown::reconnecting);
    CHECK(rig.bridge->connectivity().reason.cause == Cause::timed_out);
    // Late answers change nothing.
    const std::size_t lines = rig.reported.size();
    rig.server.kept_fetches[0](std::optional<Drawing>{Drawing{"late", ms(99)}});
    rig.run_for(0s);
    CHECK(rig.reported.size() == lines);
    CHECK(rig.board.applied.empty());
}

TEST_CASE("Bridge: an AttemptTimeout of the policy applies if it is shorter",
          "[sync][bridge][unit]") {
    BridgeRig rig{hourly(), Policy{MaxAttempts{1}, AttemptTimeout{2s}}};
    begin(rig);
    rig.server.behaviour = Behaviour::hangs;
    rig.edit("s", "1", 2);
    rig.run_for(2400ms);
    CHECK(rig.kind() == Shown::connected);
    rig.run_for(200ms);
    CHECK(rig.kind() == Shown::disconnected);
}

TEST_CASE("Bridge: a session that crashes the remote does not stop the others",
          "[sync][bridge][unit]") {
    BridgeRig rig{{.answer_within = 1s}};
    rig.server.moods["poison"] = Behaviour::hangs;
    for (const char* name : {"a", "b", "c"}) rig.server.scenes[name] = {"0", ms(1)};
    rig.board.empty = {"a", "b", "c"};
    rig.start();
    rig.edit("poison", "x", 1);
    rig.run_for(1min);
    rig.server.scenes["b"] = {"pulled, too", ms(1'000)};  // during a time without other edits
    rig.run_for(2min);
    CHECK(rig.board.scenes["b"].content == "pulled, too");
    for (int i = 2; i < 30; ++i) {
        rig.run_for(1min);
        rig.edit("a", std::to_string(i), i);
        rig.server.scenes["b"] = {std::to_string(i), ms(1'000 + i)};
    }
    rig.run_for(5min);
    CHECK(rig.server.scenes["a"].content == "29");
    CHECK(rig.board.scenes["b"].content == "29");
    // The reports name the session for which the remote never answers, and no other.
    CHECK(rig.count("error poison fetch timed_out") >= 3);
    CHECK(rig.count("error") == rig.count("error poison"));
    rig.server.moods.clear();
    rig.run_for(5min);
    CHECK(rig.server.scenes["poison"].content == "x");
}

TEST_CASE("Bridge: a session with its own error waits longer and longer; the others do not",
          "[sync][bridge][unit]") {
    BridgeRig rig{hourly()};
    begin(rig);
    rig.server.moods["bad"] = Behaviour::fails;
    rig.server.failure = {Cause::permanent};
    rig.edit("bad", "x", 1);
    rig.run_for(1h);
    const std::size_t errors = rig.count("error bad fetch permanent");
    CHECK(errors > 60);
    CHECK(errors < 300);
    CHECK(rig.kind() == Shown::connected);
    rig.edit("s", "1", 2);
    rig.run_for(1s);
    CHECK(rig.server.scenes["s"].content == "1");
    rig.server.moods.clear();
    rig.run_for(61s);
    CHECK(rig.server.scenes["bad"].content == "x");
}

TEST_CASE("Bridge: an error inside the call itself is no answer of the remote",
          "[sync][bridge][regression]") {
    BridgeRig rig{hourly()};
    rig.server.behaviour = Behaviour::fails;
    rig.server.failure = {Cause::permanent};
    rig.start();
    // The remote cannot write this scene as JSON, and reports that inside of the call.
    rig.edit("bad", "x", 1);
    rig.run_for(1h);
    CHECK(rig.count("error bad fetch permanent") > 0);
    CHECK(rig.kind() == Shown::disconnected);
    // Other sessions are still tried, and one that succeeds is enough.
    rig.server.moods["s"] = Behaviour::works;
    rig.edit("s", "1", 2);
    rig.run_for(1s);
    CHECK(rig.server.scenes["s"].content == "1");
    CHECK(rig.kind() == Shown::connected);
    rig.run_for(1h);
    CHECK(rig.kind() == Shown::connected);
}

TEST_CASE("Bridge: a session that failed and was deleted locally is not fetched any more",
          "[sync][bridge][unit]") {
    BridgeRig rig;
    begin(rig);
    rig.board.empty = {"gone"};
    rig.server.moods["gone"] = Behaviour::fails;
    rig.server.failure = {Cause::permanent};
    rig.run_for(5min);
    REQUIRE(rig.count("error gone fetch permanent") >= 2);
    rig.board.empty.clear();
    rig.run_for(2min);
    rig.reported.clear();
    rig.run_for(1h);
    CHECK(rig.reported.empty());
}

// ---- bad sides -----------------------------------------------------------------------------------

TEST_CASE("Bridge: a local side that throws or fails is reported, and retried",
          "[sync][bridge][unit]") {
    BridgeRig rig;
    begin(rig);
    rig.board.throws = true;
    rig.server.scenes["s"] = {"theirs", ms(5)};
    rig.edit("s", "mine", 4);
    rig.run_for(5min);
    CHECK(rig.count("error  list lost") >= 9);
    CHECK(rig.count("error s read lost") >= 3);
    rig.board.throws = false;
    rig.board.error = make_error_code(std::errc::io_error);
    rig.reported.clear();
    rig.run_for(5min);
    CHECK(rig.count("error s read") >= 3);
    rig.board.error = {};
    rig.board.refuses = make_error_code(std::errc::io_error);
    rig.reported.clear();
    rig.run_for(5min);
    CHECK(rig.count("error s apply") >= 3);
    CHECK(rig.count("conflict") == 0);
    rig.board.refuses = {};
    rig.reported.clear();
    rig.run_for(61s);
    CHECK(rig.reported == Recorded{"conflict s here mine there theirs kept remote"});
    CHECK(rig.board.scenes["s"].content == "theirs");
}

TEST_CASE("Bridge: a local side that fails between two attempts of a push loses no edit",
          "[sync][bridge][unit]") {
    for (const bool pulls : {true, false}) {
        BridgeRig rig{{.pull = {.interval = 1h, .enabled = pulls}}};
        rig.server.on_push = [&] {
            rig.server.behaviour = Behaviour::fails;
            rig.board.error = make_error_code(std::errc::io_error);
        };
        rig.start();
        rig.edit("s", "1", 1);
        rig.run_for(10s);
        REQUIRE(rig.server.pushes == Recorded{"s=1"});
        REQUIRE(rig.count("error s read") > 0);
        rig.server.on_push = {};
        rig.server.behaviour = Behaviour::works;
        rig.board.error = {};
        rig.run_for(5min);
        CHECK(rig.server.scenes == rig.board.scenes);
    }
}

TEST_CASE("Bridge: a lost edit is reported also if the scene was rejected at first",
          "[sync][bridge][unit]") {
    BridgeRig rig{hourly()};
    rig.board.refuses = make_error_code(std::errc::io_error);
    rig.server.scenes["s"] = {"theirs", ms(5)};
    rig.start();
    rig.edit("s", "mine", 4);  // without a base
    rig.run_for(10s);
    REQUIRE(rig.count("error s apply") >= 1);
    rig.board.refuses = {};
    rig.run_for(61s);
    CHECK(rig.count("conflict s here mine there theirs kept remote") == 1);
    CHECK(rig.server.pushes.empty());
}

TEST_CASE(
    "Bridge: a scene that the local side rejected is retried with growing delays, without an edit",
    "[sync][bridge][unit]") {
    BridgeRig rig{hourly()};
    begin(rig);
    rig.board.refuses = make_error_code(std::errc::io_error);
    rig.server.scenes["s"] = {"theirs", ms(5)};
    REQUIRE(rig.world.run_until([&] { return rig.count("error s apply") == 1; }, 1h));
    rig.run_for(30min);
    const std::size_t errors = rig.count("error s apply");
    CHECK(errors > 30);
    CHECK(errors < 150);
    rig.board.refuses = {};
    rig.run_for(61s);
    CHECK(rig.board.scenes["s"].content == "theirs");
}

TEST_CASE("Bridge: a server that has lost a scene gets it, also if it could not be read at first",
          "[sync][bridge][unit]") {
    BridgeRig rig{hourly()};
    begin(rig);
    rig.server.scenes.clear();
    rig.server.on_fetch = [&] { rig.board.error = make_error_code(std::errc::io_error); };
    REQUIRE(rig.world.run_until([&] { return rig.count("error s read") == 1; }, 1h));
    rig.server.on_fetch = {};
    rig.board.error = {};
    rig.run_for(61s);
    CHECK(rig.server.scenes["s"].content == "0");
}

TEST_CASE("Bridge: an edit is not lost if it cannot be read for the second attempt to push it",
          "[sync][bridge][unit]") {
    for (const bool pulls : {true, false}) {
        BridgeRig rig{{.pull = {.interval = 1h, .enabled = pulls}}};
        rig.board.scenes["s"] = rig.server.scenes["s"] = {"0", ms(1)};
        rig.start();
        rig.edit("s", "1", 2);
        rig.run_for(1s);
        REQUIRE(rig.server.scenes["s"].content == "1");
        rig.server.on_push = [&] {
            rig.server.behaviour = Behaviour::fails;
            rig.board.error = make_error_code(std::errc::io_error);
        };
        rig.edit("s", "2", 3);
        REQUIRE(rig.world.run_until([&] { return rig.count("error s read") == 1; }, 10s));
        rig.server.on_push = {};
        rig.server.behaviour = Behaviour::works;
        rig.board.error = {};
        rig.run_for(2h);
        CHECK(rig.server.scenes["s"].content == "2");
    }
}

TEST_CASE("Bridge: a remote that throws, or drops completions, counts as unreachable",
          "[sync][bridge][unit]") {
    for (const Behaviour behaviour : {Behaviour::throws, Behaviour::drops}) {
        BridgeRig rig{hourly()};
        begin(rig);
        rig.server.behaviour = behaviour;
        rig.edit("s", "1", 2);
        rig.run_for(10min);
        CHECK(rig.kind() == Shown::reconnecting);
        CHECK(rig.bridge->connectivity().reason.cause == Cause::lost);
        rig.server.behaviour = Behaviour::works;
        rig.run_for(61s);
        CHECK(rig.server.scenes["s"].content == "1");
    }
}

TEST_CASE("Bridge: a fetch that fails without a cause counts as failed", "[sync][bridge][unit]") {
    BridgeRig rig{hourly()};
    begin(rig);
    rig.server.behaviour = Behaviour::fails;
    rig.server.failure = {};
    rig.edit("s", "1", 2);
    rig.run_for(1min);
    CHECK(rig.kind() != Shown::connected);
}

TEST_CASE("Bridge: sessions may have any name, scenes any content and stamp",
          "[sync][bridge][unit]") {
    BridgeRig rig;
    const std::string huge(10'000, 'n');
    const std::string bytes{"\0\xFF\n", 3};
    rig.board.scenes = {{"", {"", {}}}, {huge, {"h", ms(1)}}};
    rig.server.scenes[bytes] = {std::string(1'000'000, 'x'), {.wall = WallTime::max()}};
    rig.board.empty = {bytes};
    rig.start();
    rig.run_for(30s);
    CHECK(rig.server.scenes == rig.board.scenes);
    CHECK(rig.board.scenes.size() == 3);
    rig.edit("", "1", 1);
    rig.edit(huge, "2", 2);
    rig.run_for(1s);
    CHECK(rig.server.scenes[""].content == "1");
    CHECK(rig.server.scenes[huge].content == "2");
}
