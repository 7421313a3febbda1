// SPDX-License-Identifier: MIT
// Goal: after a reconnect, a restart or a change of the server, all clients show each other within
// a second, no client receives another state of its own, and clocks stay small.
// Method: clients that apply awareness as y-protocols does, in simulated worlds.
#include <belay/room/room_manager.hpp>

#include <memory>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/room/room_world.hpp"
#include "support/room/server_cluster.hpp"
#include "support/seeds.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

using Kind = part::RoomMessage::Kind;

[[nodiscard]] std::string cursor(std::size_t i) { return "{\"cursor\":" + std::to_string(i) + "}"; }

/// Clients that show a cursor, of which those with odd numbers keep a raised clock to themselves.
struct Cursors {
    Cursors(sim::World& world, std::size_t count, std::string_view servers = "server") {
        for (std::size_t i = 1; i <= count; ++i) {
            all.push_back(std::make_unique<RoomEditor>(world, "c" + std::to_string(i), i));
            all.back()->relays_clock = i % 2 == 0;
            all.back()->dials = servers;
        }
    }
    /// Whether each client shows exactly the others that are online.
    [[nodiscard]] bool agree() const {
        for (std::size_t i = 0; i < all.size(); ++i) {
            if (!all[i]->online()) continue;
            for (std::size_t j = 0; j < all.size(); ++j) {
                if (i == j) continue;
                const auto found = all[i]->present.find(j + 1);
                const bool there = found != all[i]->present.end();
                if (there != all[j]->online()) return false;
                if (there && found->second != states.at(j)) return false;
            }
        }
        return true;
    }
    void show(std::size_t i) {
        states[i] = cursor(++shows);
        all[i]->show(states[i]);
    }
    void dial() {
        for (const auto& one : all) one->dial();
    }
    void show() {
        for (std::size_t i = 0; i < all.size(); ++i) show(i);
    }
    [[nodiscard]] std::size_t shifted() const {
        std::size_t sum = 0;
        for (const auto& one : all) sum += one->shifted;
        return sum;
    }

    std::vector<std::unique_ptr<RoomEditor>> all{};
    std::map<std::size_t, std::string> states{};
    std::size_t shows = 0;
};

}  // namespace

TEST_CASE("Presence returns within a second of a reconnect or a restart of the server",
          "[room][room_presence][sim]") {
    RoomWorld w;
    Cursors c{w.world, 4};
    c.dial();
    w.run(1s);
    c.show();
    w.run(1s);
    REQUIRE(c.agree());
    SECTION("one client reconnects, again and again") {
        for (int round = 0; round < 5; ++round) {
            for (const auto& one : c.all) {
                one->hang_up();
                w.run(round % 2 == 0 ? 1s : 1ms);
                one->dial();
                w.run(1s);
                REQUIRE(c.agree());
            }
        }
    }
    SECTION("all clients reconnect at once, and to a server that has not noticed") {
        for (int round = 0; round < 5; ++round) {
            c.dial();
            w.run(1s);
            REQUIRE(c.agree());
        }
    }
    SECTION("the server restarts, also soon after it has started") {
        for (int round = 0; round < 6; ++round) {
            w.world.restart(w.server);
            c.dial();
            w.run(1s);
            REQUIRE(c.agree());
        }
    }
    SECTION("a client moves its cursor as it connects") {
        for (std::size_t i = 0; i < c.all.size(); ++i) {
            c.all[i]->dial();
            for (int n = 0; n < 20; ++n) {
                w.run(1ms);
                c.show(i);
            }
            w.run(1s);
            REQUIRE(c.agree());
        }
    }
    CHECK(c.shifted() == 0);
    for (const auto& one : c.all) CHECK(one->clock_max < 500);
}

TEST_CASE("Presence agrees after any reconnects and restarts, for slow and fast clients",
          "[room][room_presence][sim]") {
    const std::uint64_t seeds = histories(12);
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        INFO(seed);
        RoomWorld w{Seed{seed}};
        Cursors c{w.world, 5};
        c.dial();
        w.run(1s);
        c.show();
        w.run(1s);
        Random bits{Seed{seed}};
        const auto below = [&](std::uint64_t count) { return uniform_upto(bits, count - 1); };
        for (int i = 0; i < 200; ++i) {
            const std::size_t who = below(5);
            switch (below(12)) {
                case 0:
                case 1:
                    c.all[who]->dial();
                    break;
                case 2:
                    w.world.restart(w.server);
                    w.run(10ms);
                    c.dial();
                    w.run(200ms);
                    break;
                case 3:
                    for (const auto& one : c.all)
                        if (!one->online()) one->dial();
                    w.run(1s);
                    REQUIRE(c.agree());
                    break;
                case 4:
                    w.run(1s);
                    break;
                default:
                    if (c.all[who]->online()) c.show(who);
            }
            w.run(Duration{std::chrono::milliseconds{below(30)}});
        }
        CHECK(c.shifted() == 0);
    }
}

TEST_CASE("A client that changes servers shows all others within a second, and they show it",
          "[room][room_presence][fanout]") {
    Cluster c;
    Cursors all{c.world, 6};
    for (std::size_t i = 0; i < 6; ++i) all.all[i]->dials = "server" + std::to_string(1 + i % 2);
    all.dial();
    c.world.run_for(1s);
    all.show();
    c.world.run_for(1s);
    REQUIRE(all.agree());
    for (int round = 0; round < 12; ++round) {
        RoomEditor& one = *all.all[static_cast<std::size_t>(round) % 6];
        one.hang_up();
        if (round % 2 == 0) c.world.run_for(500ms);
        one.dials = "server" + std::to_string(1 + round % 3);
        one.dial();
        c.world.run_for(1s);
        REQUIRE(all.agree());
    }
    CHECK(all.shifted() == 0);
}

TEST_CASE("A client that may not be seen shows the others within a second of its return",
          "[room][room_presence][sim]") {
    RoomWorld w{Seed{1}, {.viewers_awareness = false}};
    w.rights.grants["viewer"] = Grant{"viewer", Access::view, forever};
    RoomEditor ann{w, "ann", 1};
    RoomEditor viewer{w, "viewer", 2};
    w.dial(ann, viewer);
    ann.show("1");
    viewer.show("2");
    w.run(1s);
    w.dial(viewer);
    CHECK(viewer.present[1] == "1");
    CHECK_FALSE(ann.present.contains(2));
}

TEST_CASE("A state that a client repeats of another one of its user does not restore it",
          "[room][room_presence][sim]") {
    RoomWorld w;
    for (const char* who : {"ann", "bob"}) w.rights.grants[who] = Grant{"", Access::edit, forever};
    RoomEditor ann{w, "ann", 1};
    RoomEditor bob{w, "bob", 2};
    w.dial(ann, bob);
    ann.show("1");
    bob.show("2");
    w.run(1s);
    ann.hang_up();
    w.run(10ms);
    bob.say({Kind::awareness, awareness_of(1, 3, "1")});
    w.run(1s);
    CHECK_FALSE(bob.present.contains(1));
}

TEST_CASE("An awareness state that is too large leaves the former one and the document",
          "[room][room_presence][sim]") {
    for (const bool addressed : {false, true}) {
        RoomWorld w{Seed{1}, {.awareness_bytes_max = 100}};
        RoomEditor ann = addressed ? RoomEditor::addressed(w, "ann", 1) : RoomEditor{w, "ann", 1};
        RoomEditor bob{w, "bob", 2};
        w.dial(ann, bob);
        ann.show("\"small\"");
        w.run(1s);
        for (int i = 0; i < 30; ++i) {
            ann.show('"' + std::string(1'000, 'x') + '"');
            w.run(3s);
            REQUIRE(ann.online());
            // Bob's client would drop a state that is not renewed.
            REQUIRE(bob.present[1] == "\"small\"");
        }
        ann.type("text");
        w.run(1s);
        CHECK(bob.updates == 1);
        ann.show("\"again\"");
        w.run(1s);
        CHECK(bob.present[1] == "\"again\"");
        CHECK(ann.denials.size() == (addressed ? 0 : 1));
        CHECK(ann.refusals == 0);
        const RoomCounters counters = w.rooms().counters();
        CHECK(counters.denied == 30);
        CHECK(counters.denials.of(RoomErrc::frame_too_large) == 30);
        CHECK(counters.rejected == 1);
        CHECK(w.rooms().observer().last_limit == "awareness_bytes_max");
    }
}
