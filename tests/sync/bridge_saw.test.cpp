// SPDX-License-Identifier: MIT
// Goal: no scene is overwritten unseen if the scenes have the stamps that their authors saw.
// Method: both sides and the time are scripted; a client that is faster changes the server inside
// of a push.
#include <belay/sync/bridge.hpp>

#include <utility>

#include "support/catch.hpp"
#include "support/sync/bridge_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// A stamp with an origin, as those of a HybridClock.
Stamp by(unsigned who, std::int64_t at) {
    return {.wall = ms(at).wall, .origin = {static_cast<std::byte>(who)}};
}
/// A rig whose sides are equal, with content "0" of another client.
void begin_in_step(auto& rig) {
    rig.board.empty = {"s"};
    rig.server.scenes["s"] = {"0", by(2, 10)};
    rig.start();
    rig.run_for(31s);
    REQUIRE(rig.board.scenes["s"].content == "0");
    rig.reported.clear();
}
void edit(auto& rig, const std::string& content, std::int64_t at) {
    rig.board.scenes.insert_or_assign("s", Drawing{content, by(1, at)});
    rig.bridge->changed("s");
}

}  // namespace

TEST_CASE("Bridge: a push names the scene that it replaces", "[sync][bridge][saw][unit]") {
    RememberingRig rig;
    std::vector<std::optional<Stamp>> saw;
    rig.server.stores = [&](const Drawing*, const Drawing& pushed) {
        saw.push_back(pushed.saw);
        return std::optional{pushed};
    };
    rig.board.scenes["s"] = {"0", by(1, 10)};
    rig.start();
    rig.run_for(31s);
    edit(rig, "1", 20);
    rig.run_for(31s);
    CHECK(saw == std::vector{std::optional{Stamp{}}, std::optional{by(1, 10)}});
    // An applied scene does not count as an edit of its author on this side.
    rig.server.scenes["s"] = {"2", by(2, 30)};
    rig.server.scenes["s"].saw = by(1, 20);
    rig.run_for(31s);
    CHECK(rig.board.scenes["s"].content == "2");
    CHECK_FALSE(rig.board.scenes["s"].saw);
    CHECK(rig.count("conflict") == 0);
}

TEST_CASE("Bridge: a server that compares refuses a push over an unseen scene, which is then seen",
          "[sync][bridge][saw][unit]") {
    for (const std::int64_t theirs : {15, 25}) {
        RememberingRig rig;
        rig.server.compares = true;
        begin_in_step(rig);
        // This happens between the fetch and the push of the round.
        rig.server.on_push = [&] {
            rig.server.on_push = {};
            rig.server.scenes["s"] = {"theirs", by(2, theirs)};
        };
        edit(rig, "mine", 20);
        rig.run_for(1s);
        CHECK(rig.server.outrun == 1);
        const bool later = theirs > 20;
        CHECK(rig.count("error") == 0);
        CHECK(rig.count(later ? "conflict s here mine there theirs kept remote"
                              : "conflict s here mine there theirs kept local") == 1);
        CHECK(rig.server.scenes["s"].content == (later ? "theirs" : "mine"));
        CHECK(rig.board.scenes["s"].content == (later ? "theirs" : "mine"));
        CHECK(rig.kind() == Connectivity::Kind::connected);
    }
}

TEST_CASE("Bridge: a server that refuses each push is not called again without a wait",
          "[sync][bridge][saw][fault]") {
    RememberingRig rig;
    rig.server.compares = true;
    begin_in_step(rig);
    std::int64_t at = 100;
    rig.server.on_push = [&] { rig.server.scenes["s"] = {std::to_string(at), by(2, at++)}; };
    edit(rig, "mine", 100'000);
    rig.run_for(1s);
    CHECK(rig.server.outrun >= 6);
    CHECK(rig.server.outrun < 10);
    CHECK(rig.count("error s push permanent") >= 1);
    rig.run_for(1min);
    CHECK(rig.server.outrun < 60);
    // When the others stop, the edit is pushed.
    rig.server.on_push = {};
    rig.run_for(2min);
    CHECK(rig.server.scenes["s"].content == "mine");
}

TEST_CASE("Bridge: an edit that a later one overwrote unseen is reported to its author",
          "[sync][bridge][saw][unit]") {
    struct Case {
        std::optional<Stamp> saw;
        std::size_t reports;
    };
    const Case cases[] = {
        {by(2, 10), 1},     // the scene before the edit
        {Stamp{}, 1},       // no scene: made without the edit, or the server had lost it
        {by(1, 20), 0},     // the edit
        {by(2, 25), 0},     // a scene that may come after the edit
        {std::nullopt, 0},  // a server that does not keep it
        {ms(15), 0},        // one that gives its own stamps
    };
    for (const auto& [saw, reports] : cases) {
        RememberingRig rig;
        begin_in_step(rig);
        edit(rig, "mine", 20);
        rig.run_for(1s);
        REQUIRE(rig.server.scenes["s"].content == "mine");
        rig.server.scenes["s"] = {"theirs", by(2, 30)};
        rig.server.scenes["s"].saw = saw;
        rig.run_for(31s);
        CHECK(rig.board.scenes["s"].content == "theirs");
        CHECK(rig.count("conflict s here mine there theirs kept remote") == reports);
    }
}

TEST_CASE("Bridge: an edit whose push was not confirmed is reported if it is overwritten unseen",
          "[sync][bridge][saw][unit][regression]") {
    RememberingRig rig;
    rig.server.compares = true;  // so the push that is sent again is refused
    begin_in_step(rig);
    rig.server.on_push = [&] {
        const bool is_first = rig.server.pushes.size() == 1;
        rig.server.behaviour = is_first ? Server::Behaviour::forgets : Server::Behaviour::works;
    };
    edit(rig, "mine", 20);
    rig.run_for(31s);
    REQUIRE(rig.server.outrun == 1);
    REQUIRE(rig.count("pushed") == 0);
    REQUIRE(rig.server.scenes["s"].content == "mine");
    rig.server.scenes["s"] = {"theirs", by(2, 30)};
    rig.server.scenes["s"].saw = by(2, 10);
    rig.run_for(31s);
    CHECK(rig.board.scenes["s"].content == "theirs");
    CHECK(rig.count("conflict s here mine there theirs kept remote") == 1);
}

TEST_CASE("Bridge: a new scene that another client's new scene overwrote is reported",
          "[sync][bridge][saw][unit][regression]") {
    const bool is_later = GENERATE(false, true);
    RememberingRig rig;
    rig.board.scenes["s"] = {"mine", by(1, 20)};
    rig.start();
    rig.run_for(31s);
    REQUIRE(rig.server.scenes["s"].content == "mine");
    // The other client had found no scene before it pushed its own.
    rig.server.scenes["s"] = {"theirs", by(2, is_later ? 30 : 10)};
    rig.server.scenes["s"].saw = Stamp{};
    rig.run_for(31s);
    CHECK(rig.board.scenes["s"].content == (is_later ? "theirs" : "mine"));
    CHECK(rig.server.scenes["s"].content == (is_later ? "theirs" : "mine"));
    CHECK(rig.count("conflict s here mine there theirs kept") == 1);
}

TEST_CASE("Bridge: an edit that its overwriter saw is not reported after a later edit was undone",
          "[sync][bridge][saw][unit][regression]") {
    const bool saw = GENERATE(false, true);
    RememberingRig rig;
    begin_in_step(rig);
    edit(rig, "mine", 20);
    rig.run_for(61s);
    REQUIRE(rig.server.scenes["s"].content == "mine");
    // The push of a later edit does not reach the server, and the edit is undone.
    rig.server.on_push = [&] { rig.server.behaviour = Server::Behaviour::drops; };
    edit(rig, "later", 30);
    rig.run_for(2s);
    REQUIRE(rig.server.pushes.size() >= 2);
    edit(rig, "mine", 40);
    rig.server.behaviour = Server::Behaviour::works;
    rig.server.on_push = {};
    rig.server.scenes["s"] = {"theirs", by(2, 50)};
    rig.server.scenes["s"].saw = saw ? by(1, 20) : by(2, 10);
    rig.run_for(61s);
    CHECK(rig.board.scenes["s"].content == "theirs");
    CHECK(rig.server.scenes["s"].content == "theirs");
    CHECK(rig.count("conflict") == (saw ? 0 : 1));
}

TEST_CASE("Bridge: an edit that was overwritten unseen is reported if the server's clock is ahead",
          "[sync][bridge][saw][unit][regression]") {
    struct Case {
        Stamp first, second;  // of the edits at the server, which gives its own stamps
        Stamp saw;
        std::size_t reports;
    };
    const Case cases[] = {
        {by(9, 1001), by(9, 1002), by(9, 1001), 1},  // the scene before the edit
        {by(9, 1001), by(9, 1002), by(2, 900), 1},   // an earlier one
        {by(9, 1001), by(9, 1002), by(9, 1002), 0},  // the edit
        // Either of them, because the clock counts seconds.
        {by(9, 1000), by(9, 1000), by(9, 1000), 0},
        {by(9, 1000), by(9, 1000), by(2, 900), 1},
    };
    for (const Case& one : cases) {
        RememberingRig rig;
        begin_in_step(rig);
        rig.server.restamp = [at = one.first, &one]() mutable {
            return std::exchange(at, one.second);
        };
        edit(rig, "before", 20);
        rig.run_for(31s);
        edit(rig, "mine", 30);
        rig.run_for(1s);
        REQUIRE(rig.server.scenes["s"].stamp == one.second);
        rig.server.scenes["s"] = {"theirs", by(2, 1003)};
        rig.server.scenes["s"].saw = one.saw;
        rig.run_for(31s);
        CHECK(rig.board.scenes["s"].content == "theirs");
        CHECK(rig.count("conflict s here mine there theirs kept remote") == one.reports);
    }
}

TEST_CASE("Bridge: only the author, or a program that replaces it, reports a scene after a loss",
          "[sync][bridge][saw][unit][regression]") {
    // The server keeps stamps, or it stamps all scenes by one clock, so that all have its origin.
    const unsigned origin = GENERATE(0U, 2U, 9U);
    const bool restarts = GENERATE(false, true);
    const bool is_author = GENERATE(false, true);
    const int losses = GENERATE(1, 2);
    // The other author had not seen the scene. It replaces the scene of before the loss, which the
    // server has, or it replaces none.
    const Stamp next = GENERATE(by(2, 300), by(3, 300), by(3, 25));
    const bool saw_none = GENERATE(false, true);
    CAPTURE(origin, restarts, is_author, losses, next.origin[0], next.wall == ms(25).wall,
            saw_none);
    RememberingRig rig;
    begin_in_step(rig);
    if (origin != 0) {
        rig.server.restamp = [at = 30, origin]() mutable { return by(origin, at++); };
    }
    if (is_author) {
        edit(rig, "made", 20);
    } else {
        rig.server.scenes["s"] = {"made", by(2, 20)};
    }
    rig.run_for(61s);
    REQUIRE(rig.board.scenes["s"].content == "made");
    if (restarts) {
        rig.restart();
        rig.start();
        rig.run_for(31s);
    }
    Stamp before = by(0, 10);
    for (int i = 0; i < losses; ++i) {
        before.origin = rig.server.scenes["s"].stamp.origin;
        rig.server.scenes["s"] = {"before", before};
        rig.run_for(61s);
        REQUIRE(rig.server.scenes["s"].content == "made");  // pushed again
    }
    const bool is_replaced = next < rig.server.scenes["s"].stamp;
    rig.server.scenes["s"] = {"next", next};
    rig.server.scenes["s"].saw = saw_none ? Stamp{} : before;
    rig.run_for(31s);
    CHECK(rig.board.scenes["s"].content == rig.server.scenes["s"].content);
    CHECK(rig.board.scenes["s"].content == (is_replaced ? "made" : "next"));
    // An author who found no scene may be the author of the base, because of the origin.
    const bool may_be_own = saw_none && origin == 2 && next.origin == by(2, 0).origin;
    const bool is_lost = is_author && !may_be_own;
    CHECK(rig.count("conflict") == (is_lost || is_replaced ? 1 : 0));
    CHECK(rig.count("open conflict") == 0);
}

TEST_CASE("Bridge: an author gets the report of an unaware scene also after a restart",
          "[sync][bridge][saw][unit][regression]") {
    // Another program has pushed the scene again, so this one saw no loss.
    const bool is_later = GENERATE(false, true);
    const bool saw_none = GENERATE(false, true);
    const bool is_first = GENERATE(false, true);  // the program's first scene
    const bool is_confirmed = GENERATE(false, true);
    const bool crashes = GENERATE(false, true);  // before the next round
    CAPTURE(is_later, saw_none, is_first, is_confirmed, crashes);
    RememberingRig rig;
    if (is_first) {
        rig.start();
    } else {
        begin_in_step(rig);
    }
    rig.server.on_push = [&] {
        if (!is_confirmed) rig.server.behaviour = Server::Behaviour::forgets;
    };
    edit(rig, "made", 20);
    rig.run_for(2s);
    rig.server.on_push = {};
    rig.server.behaviour = Server::Behaviour::works;
    if (!crashes) rig.run_for(61s);
    REQUIRE(rig.server.scenes["s"].content == "made");
    rig.restart();
    rig.start();
    rig.run_for(31s);
    rig.reported.clear();
    // Without a base, it is not known whether an earlier run has made the scene.
    const bool is_known = !is_first || is_confirmed || !crashes;
    CHECK(rig.board.bases["s"].made_by == (is_known ? std::optional{Origin::local} : std::nullopt));
    rig.server.scenes["s"] = {"next", by(3, is_later ? 30 : 15)};
    rig.server.scenes["s"].saw = saw_none ? Stamp{} : by(2, 10);
    rig.run_for(61s);
    const bool is_kept = !is_later && is_known;
    CHECK(rig.board.scenes["s"].content == (is_kept ? "made" : "next"));
    CHECK(rig.server.scenes["s"].content == (is_kept ? "made" : "next"));
    CHECK(rig.count(is_kept ? "conflict s here made there next kept local"
                            : "conflict s here made there next kept remote") == (is_known ? 1 : 0));
}

TEST_CASE("Bridge: a program that restores a pulled scene reports an unaware one that it replaces",
          "[sync][bridge][saw][unit][regression]") {
    const bool is_later = GENERATE(false, true);
    const bool saw_none = GENERATE(false, true);
    const bool is_dropped = GENERATE(false, true);  // the first push over the unaware one
    // The stamp of the unaware one may look like the cut stamp of the pulled one.
    const bool looks_cut = GENERATE(false, true);
    CAPTURE(is_later, saw_none, is_dropped, looks_cut);
    RememberingRig rig;
    begin_in_step(rig);
    Stamp made = by(2, 20);
    made.counter = looks_cut ? 1 : 0;
    rig.server.scenes["s"] = {"made", made};
    rig.run_for(31s);
    rig.server.scenes["s"] = {"before", by(2, 10)};
    rig.run_for(61s);
    REQUIRE(rig.server.scenes["s"].content == "made");
    REQUIRE(rig.count("conflict") + rig.count("open conflict") == 0);
    CHECK_FALSE(rig.server.scenes["s"].unaware);  // its author may have seen the scene before it
    const std::size_t fetched = rig.server.fetches.size();
    const std::size_t pushed = rig.server.pushes.size();
    rig.server.on_push = [&] {
        // The retries of this round are lost, too.
        const bool is_lost = is_dropped && rig.server.fetches.size() == fetched + 1;
        rig.server.behaviour = is_lost ? Server::Behaviour::drops : Server::Behaviour::works;
    };
    rig.server.on_fetch = [&] { rig.server.behaviour = Server::Behaviour::works; };
    const int earlier = looks_cut ? 20 : 15;
    rig.server.scenes["s"] = {"next", by(3, is_later ? 30 : earlier)};
    rig.server.scenes["s"].saw = saw_none ? Stamp{} : by(2, 10);
    rig.run_for(3min);
    CHECK(rig.board.scenes["s"].content == (is_later ? "next" : "made"));
    CHECK(rig.server.scenes["s"].content == (is_later ? "next" : "made"));
    CHECK((rig.server.pushes.size() > pushed + 1) == (is_dropped && !is_later));
    CHECK(rig.server.scenes["s"].unaware == !is_later);
    // The conflict is reported once, also if the push is sent again.
    CHECK(rig.count("conflict s here made there next kept local") == (is_later ? 0 : 1));
    CHECK(rig.count("conflict") + rig.count("open conflict") == (is_later ? 0 : 1));
    // The scene is no edit of this program, also if it restarts.
    CHECK(rig.board.bases["s"].made_by == Origin::remote);
}

TEST_CASE("Bridge: an edit that a scene which was pushed again replaces is reported to its author",
          "[sync][bridge][saw][unit]") {
    const bool is_unaware = GENERATE(false, true);
    const bool is_author = GENERATE(false, true);
    const bool restarts = GENERATE(false, true);
    const bool is_confirmed = GENERATE(false, true);  // the push of the edit
    const bool edits_again = GENERATE(false, true);
    const bool is_earlier = GENERATE(false, true);  // by the clock of a server that stamps anew
    CAPTURE(is_unaware, is_author, restarts, is_confirmed, edits_again, is_earlier);
    RememberingRig rig;
    rig.server.compares = true;  // so the push that is sent again is refused
    begin_in_step(rig);
    if (is_author) {
        rig.server.on_push = [&] {
            if (!is_confirmed) rig.server.behaviour = Server::Behaviour::forgets;
        };
        edit(rig, "mine", 20);
        rig.run_for(2s);
        rig.server.on_push = {};
        rig.server.behaviour = Server::Behaviour::works;
    } else {
        rig.server.scenes["s"] = {"mine", by(1, 20)};
        rig.run_for(61s);
    }
    REQUIRE(rig.server.scenes["s"].content == "mine");
    REQUIRE(rig.board.scenes["s"].content == "mine");
    rig.server.scenes["s"] = {"made", by(2, is_earlier ? 15 : 30), false, by(1, 20), is_unaware};
    if (edits_again) rig.board.scenes.insert_or_assign("s", Drawing{"more", by(1, 25)});
    if (restarts) {
        rig.restart();
        rig.start();
    }
    if (edits_again) rig.bridge->changed("s");
    rig.run_for(61s);
    const std::size_t reports = rig.count("conflict") + rig.count("open conflict");
    if (edits_again) {
        // The author's later edit is in the report, or at the server.
        CHECK((reports == 1 || rig.server.scenes["s"].content == "more"));
        return;
    }
    CHECK(reports == (is_unaware && is_author ? 1 : 0));
    if (is_unaware && is_author && !is_confirmed) {
        // As for any two changes, the stamps decide. After a restart, both stay.
        CHECK((rig.server.scenes["s"].content == "made") == !is_earlier);
        CHECK((rig.board.scenes["s"].content == "made") == (!is_earlier && !restarts));
        return;
    }
    CHECK(rig.server.scenes["s"].content == "made");
    CHECK(rig.board.scenes["s"].content == "made");
    CHECK_FALSE(rig.board.scenes["s"].unaware);
    CHECK(rig.board.bases["s"].made_by == Origin::remote);
    // The next edit is an edit of the restored scene.
    edit(rig, "next", 40);
    rig.run_for(2s);
    CHECK(rig.server.scenes["s"].content == "next");
    CHECK_FALSE(rig.server.scenes["s"].unaware);
}

TEST_CASE("Bridge: a local side that loses who made a scene gets the report of an author",
          "[sync][bridge][saw][unit]") {
    RememberingRig rig;
    begin_in_step(rig);
    rig.server.scenes["s"] = {"made", by(2, 20)};
    rig.run_for(31s);
    CHECK(rig.board.bases["s"].made_by == Origin::remote);
    rig.board.bases["s"].made_by.reset();  // a file of an earlier version has no such member
    rig.restart();
    rig.start();
    rig.server.scenes["s"] = {"before", by(2, 10)};
    rig.run_for(61s);
    REQUIRE(rig.server.scenes["s"].content == "made");
    rig.server.scenes["s"] = {"next", by(3, 30)};
    rig.server.scenes["s"].saw = by(2, 10);
    rig.run_for(31s);
    CHECK(rig.count("conflict s here made there next kept remote") == 1);
    CHECK(rig.board.bases["s"].made_by == Origin::remote);
    edit(rig, "mine", 40);
    rig.run_for(61s);
    CHECK(rig.board.bases["s"].made_by == Origin::local);
}

TEST_CASE("Bridge: an author who saw the edit is not overruled, though the stamp is earlier",
          "[sync][bridge][saw][unit]") {
    for (const bool saw : {true, false}) {
        RememberingRig rig;
        begin_in_step(rig);
        edit(rig, "mine", 20);
        rig.run_for(1s);
        rig.server.scenes["s"] = {"theirs", by(2, 15)};
        rig.server.scenes["s"].saw = saw ? by(1, 20) : by(2, 10);
        rig.run_for(31s);
        CHECK(rig.board.scenes["s"].content == (saw ? "theirs" : "mine"));
        CHECK(rig.server.scenes["s"].content == (saw ? "theirs" : "mine"));
        CHECK(rig.count("conflict") == (saw ? 0 : 1));
    }
}

TEST_CASE("Bridge: two scenes that never met are a conflict, if the local side stores bases",
          "[sync][bridge][saw][unit]") {
    // Later than the remote scene: it is pushed, and reported.
    RememberingRig later;
    later.board.scenes["s"] = {"mine", by(1, 20)};
    later.server.scenes["s"] = {"theirs", by(2, 10)};
    later.start();
    later.run_for(31s);
    CHECK(later.server.scenes["s"].content == "mine");
    CHECK(later.count("conflict s here mine there theirs kept local") == 1);
    // Earlier, and of an earlier run: neither is overwritten.
    RememberingRig earlier;
    earlier.board.scenes["s"] = {"mine", by(1, 10)};
    earlier.server.scenes["s"] = {"theirs", by(2, 20)};
    earlier.start();
    earlier.run_for(5min);
    CHECK(earlier.board.scenes["s"].content == "mine");
    CHECK(earlier.server.scenes["s"].content == "theirs");
    CHECK(earlier.count("open conflict s here mine there theirs") == 1);
    earlier.edit("s", "both", 30);
    earlier.run_for(31s);
    CHECK(earlier.server.scenes["s"].content == "both");
    // A scene without a stamp was never edited; an earlier one of the same clock is its own.
    for (const Stamp& mine : {Stamp{}, by(2, 10)}) {
        RememberingRig rig;
        rig.board.scenes["s"] = {"mine", mine};
        rig.server.scenes["s"] = {"theirs", by(2, 20)};
        rig.start();
        rig.run_for(31s);
        CHECK(rig.board.scenes["s"].content == "theirs");
        CHECK(rig.count("conflict") + rig.count("open conflict") == 0);
    }
}

TEST_CASE("Bridge: a local edit whose author saw the other side is no conflict",
          "[sync][bridge][saw][unit]") {
    RememberingRig rig;
    begin_in_step(rig);
    rig.server.scenes["s"] = {"theirs", by(2, 30)};
    Drawing merged{"mine and theirs", by(1, 20)};
    merged.saw = by(2, 30);
    rig.board.scenes.insert_or_assign("s", merged);
    rig.bridge->changed("s");
    rig.run_for(1s);
    CHECK(rig.server.scenes["s"].content == "mine and theirs");
    CHECK(rig.count("conflict") == 0);
}
