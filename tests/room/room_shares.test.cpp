// SPDX-License-Identifier: MIT
// Goal: one user with many connections takes only its share of clients, rooms and large answers.
// Method: users with several connections in a simulated world.
#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include <belay/room/detail/admission_limits.hpp>
#include <belay/room/room_manager.hpp>

#include "support/catch.hpp"
#include "support/room/hocuspocus_client.hpp"
#include "support/room/room_editors.hpp"
#include "support/room/room_world.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// The connections of one user, each to one room.
struct User : RoomEditors {
    User(RoomWorld& rooms, std::string user) : w{rooms}, name{std::move(user)} {}
    RoomEditor& join(const std::string& board, const std::string& ip = {}) {
        RoomEditor& one =
            add(w, name + std::to_string(all.size()), {.room_id = board, .token = name, .ip = ip});
        one.dial();
        return one;
    }

    RoomWorld& w;
    std::string name;
};

}  // namespace

TEST_CASE("RoomManager: a user opens at most half of clients_per_user_max rooms",
          "[room][room_shares][sim]") {
    RoomWorld w{Seed{1}, {.clients_per_user_max = 40}};
    User eve{w, "eve"};
    User ada{w, "ada"};
    for (int i = 0; i < 22; ++i) eve.join("eve" + std::to_string(i));
    w.run(1s);
    CHECK(eve.online() == 20);
    CHECK(w.rooms().counters().reasons.of(RoomErrc::too_many_of_user) == 2);
    CHECK(eve.closed_with(1013) == 2);
    CHECK(w.reported.back().ends_with(
        " eve: the user has too many rooms, clients or waiting changes"));
    // Others have their own share; a room that another user has opened costs nothing.
    ada.join("ada");
    w.run(1s);
    eve.join("ada");
    w.run(1s);
    CHECK(ada.online() == 1);
    CHECK(eve.online() == 21);
}

TEST_CASE("RoomManager: the idle rooms of a user are evicted for its other rooms, the oldest first",
          "[room][room_shares][sim]") {
    RoomWorld w{Seed{1}, {.clients_per_user_max = 40}};
    User ada{w, "ada"};
    User eve{w, "eve"};
    // The room that is idle for longest belongs to another user.
    ada.join("ada").type("x");
    w.run(1s);
    ada.all.back()->hang_up();
    for (int i = 0; i < 3; ++i) {
        eve.join("eve" + std::to_string(i)).type("x");
        w.run(1s);
    }
    for (int i = 0; i < 17; ++i) eve.join("other" + std::to_string(i));
    w.run(1s);
    // A room with a client stays.
    eve.join("eve3");
    w.run(1s);
    CHECK(eve.closed_with(1013) == 1);
    eve.all[0]->hang_up();
    w.run(1s);
    eve.all[1]->hang_up();
    w.run(10s);
    eve.join("eve4");
    w.run(1s);
    CHECK_FALSE(w.rooms().stats("eve0"));
    CHECK((w.rooms().stats("eve1") && w.rooms().stats("eve2") && w.rooms().stats("ada")));
    CHECK(w.rooms().observer().last_eviction == RoomErrc::too_many_of_user);
    CHECK(w.rooms().counters().evictions.of(RoomErrc::too_many_of_user) == 1);
    eve.join("eve5");
    w.run(1s);
    CHECK_FALSE(w.rooms().stats("eve1"));
    eve.join("eve6");
    w.run(1s);
    CHECK(eve.closed_with(1013) == 2);
    CHECK(eve.online() == 20);
    // The evicted room is as it was.
    eve.all[2]->hang_up();
    w.run(10s);
    RoomEditor& again = eve.join("eve0");
    w.run(1s);
    CHECK(again.synced);
    CHECK(w.rooms().stats("eve0")->bytes > 2);
}

TEST_CASE("RoomManager: a user has at most its share of the clients of a room and of the server",
          "[room][room_shares][sim]") {
    RoomWorld w{Seed{1}, {.clients_per_user_max = 160}};
    User eve{w, "eve"};
    User ada{w, "ada"};
    for (int i = 0; i < 17; ++i) eve.join("board");
    w.run(1s);
    CHECK(eve.online() == 16);
    CHECK(eve.closed_with(1013) == 1);
    CHECK(w.rooms().counters().reasons.of(RoomErrc::too_many_of_user) == 1);
    CHECK(w.reported.back() ==
          "rejected board eve: the user has too many rooms, clients or waiting changes");
    for (int i = 0; i < 144; ++i) eve.join("other" + std::to_string(i / 16));
    w.run(1s);
    CHECK(eve.online() == 160);
    eve.join("one more");
    w.run(1s);
    CHECK(eve.online() == 160);
    CHECK(eve.closed_with(1013) == 2);
    for (int i = 0; i < 3; ++i) ada.join("board");
    w.run(1s);
    CHECK(ada.online() == 3);
    // The place of a client that has left is free again.
    for (const auto& one : eve.all) one->hang_up();
    w.run(5s);
    for (int i = 0; i < 16; ++i) eve.join("board");
    w.run(1s);
    CHECK(eve.online() == 16);
    w.run(5s);
    w.rooms().reauthorize("");
    w.run(5s);
    CHECK(eve.online() == 16);
}

TEST_CASE("RoomManager: a small clients_per_user_max is all of each share of a user",
          "[room][room_shares][sim]") {
    RoomWorld w{Seed{1}, {.clients_per_user_max = 5}};
    User eve{w, "eve"};
    SECTION("of one room") {
        for (int i = 0; i < 6; ++i) eve.join("board");
        w.run(1s);
        CHECK(eve.online() == 5);
        CHECK(eve.closed_with(1013) == 1);
    }
    SECTION("of rooms") {
        for (int i = 0; i < 6; ++i) eve.join("board" + std::to_string(i));
        w.run(1s);
        CHECK(eve.online() == 5);
        CHECK(eve.closed_with(1013) == 1);
    }
    SECTION("of one connection") {
        HocuspocusClient page{w, "page"};
        page.dial();
        for (int i = 0; i < 6; ++i) page.token("board" + std::to_string(i), "eve");
        w.run(1s);
        CHECK(page.closed_with == 0);
        CHECK(w.rooms().counters().reasons.of(RoomErrc::too_many_documents) == 1);
    }
    CHECK(w.rooms().clients() == 5);
}

TEST_CASE("RoomManager: clients that wait for their room count for their user",
          "[room][room_shares][sim]") {
    RoomWorld w{Seed{1}, {.answer_within = 5s, .clients_per_user_max = 2}};
    w.disk.hang_loads = 1;
    User eve{w, "eve"};
    for (int i = 0; i < 4; ++i) eve.join("board");
    w.run(1s);
    CHECK(eve.closed_with(1013) == 2);
    // They fail with the load, and their places are free.
    w.run(10s);
    CHECK(eve.closed_with(1013) == 4);
    for (int i = 0; i < 2; ++i) eve.join("board");
    w.run(1s);
    CHECK(eve.online() == 2);
}

TEST_CASE("RoomManager: users without a name have the share of their address",
          "[room][room_shares][sim]") {
    RoomWorld w{Seed{1}, {.clients_per_user_max = 40}};
    w.rights.grants["nobody"] = Grant{"", Access::edit, forever};
    User nobody{w, "nobody"};
    const auto join = [&](const std::string& board, const std::string& ip) -> RoomEditor& {
        RoomEditor& one = nobody.join(board, ip);
        w.run(1s);
        return one;
    };
    SECTION("of clients") {
        for (int i = 0; i < 16; ++i) CHECK(join("board", "192.0.2.1").online());
        CHECK(join("board", "192.0.2.1").closed_with == 1013);
        CHECK(join("board", "192.0.2.2").online());
        CHECK(w.reported.back() ==
              "rejected board : the user has too many rooms, clients or waiting changes");
    }
    SECTION("of rooms") {
        for (int i = 0; i < 20; ++i) CHECK(join("board" + std::to_string(i), "192.0.2.1").online());
        CHECK(join("more", "192.0.2.1").closed_with == 1013);
        CHECK(join("more", "192.0.2.2").online());
    }
    SECTION("an IPv6 network of 64 bits is one address") {
        for (int i = 0; i < 16; ++i)
            CHECK(join("board", "2001:db8:0:1::" + std::to_string(i)).online());
        CHECK(join("board", "2001:db8:0:1:8:0:0:1").closed_with == 1013);
        CHECK(join("board", "2001:db8:0:2::1").online());
    }
    SECTION("a name that is an address is a name") {
        w.rights.grants["192.0.2.1"] = Grant{"192.0.2.1", Access::edit, forever};
        User named{w, "192.0.2.1"};
        for (int i = 0; i < 16; ++i) CHECK(join("board", "192.0.2.1").online());
        named.join("board");
        w.run(1s);
        CHECK(named.online() == 1);
    }
    SECTION("a client without a name and an address is not counted") {
        for (int i = 0; i < 5; ++i) CHECK(join("board" + std::to_string(i), "").online());
    }
}

TEST_CASE("RoomManager: a client that becomes another user takes that user's share",
          "[room][room_shares][sim]") {
    RoomWorld w{Seed{1}, {.clients_per_user_max = 2}};
    User eve{w, "eve"};
    User ada{w, "ada"};
    for (int i = 0; i < 2; ++i) eve.join("board");
    ada.join("board");
    w.run(1s);
    w.rights.grants["ada"] = Grant{"eve", Access::edit, forever};
    w.rooms().reauthorize("board");
    w.run(1s);
    CHECK(ada.closed_with(1013) == 1);
    CHECK(w.reported.back() ==
          "rejected board eve: the user has too many rooms, clients or waiting changes");
    CHECK(eve.online() == 2);
    // The share of the first user is free again.
    eve.all.back()->hang_up();
    w.run(5s);
    ada.join("board");
    w.run(1s);
    CHECK(ada.online() == 1);
    CHECK(w.rooms().clients() == 2);
}

TEST_CASE("RoomManager: a document above the user's share does not end the connection's others",
          "[room][room_shares][sim]") {
    // 16 clients in a room.
    RoomWorld w{Seed{1}, {.clients_per_user_max = 40}};
    User eve{w, "eve"};
    for (int i = 0; i < 16; ++i) eve.join("board");
    w.run(1s);
    CHECK(eve.online() == 16);
    HocuspocusClient second{w, "two"};
    CHECK(enter_as_eve(w, second, "other") == 1);
    second.token("board", "eve");
    w.run(1s);
    Bytes denied;
    yjs::append_varbytes(denied, as_bytes("board"));
    for (const int b : {2, 1}) denied.push_back(std::byte{static_cast<unsigned char>(b)});
    yjs::append_varbytes(denied,
                         as_bytes("the user has too many rooms, clients or waiting changes"));
    CHECK(second.received() == Frames{to_hex(denied)});
    CHECK(second.closed_with == 0);
    CHECK(w.rooms().clients() == 17);
    CHECK(w.rooms().counters().reasons.of(RoomErrc::too_many_of_user) == 1);
}

TEST_CASE(
    "RoomManager: a connection whose only document a limit rejects is closed, and tries again",
    "[room][room_shares][sim]") {
    RoomWorld w{Seed{1}, {.clients_per_user_max = 1}};
    HocuspocusClient first{w, "one"};
    CHECK(enter_as_eve(w, first, "board") == 1);
    HocuspocusClient second{w, "two"};
    // A client does not ask again for a document that was denied.
    CHECK(enter_as_eve(w, second, "board") == 0);
    CHECK(second.closed_with == 1013);
    CHECK(w.rooms().counters().reasons.of(RoomErrc::too_many_of_user) == 1);
    first.hang_up();
    w.run(1s);
    CHECK(enter_as_eve(w, second, "board") == 1);
    CHECK(second.closed_with == 0);
    CHECK(w.rooms().clients() == 1);
}

TEST_CASE("RoomManager: the large answers of one user wait for each other, and for no other user",
          "[room][room_shares][sim]") {
    RoomWorld w{Seed{1}, {.answers_bytes_max = 5 << 20}};
    w.world.network().window_bytes(20'000);
    w.rooms().import_room("big", {.updates = {typed(1, 0, std::string(2 << 20, 'x'))}},
                          Completion<PersistenceError>{[](auto) noexcept {}});
    w.run(5s);
    User eve{w, "eve"};
    for (int i = 0; i < 4; ++i) eve.join("big");
    w.run(20ms);
    for (const auto& one : eve.all) one->stall(true);
    w.run(5s);
    User ada{w, "ada"};
    RoomEditor& mine = ada.join("big");
    w.run(20s);
    CHECK(mine.synced);
    // One after another, all of the user's clients receive theirs.
    for (const auto& one : eve.all) {
        CHECK_FALSE(one->synced);
        one->stall(false);
    }
    w.run(2min);
    for (const auto& one : eve.all) CHECK(one->synced);
    CHECK(eve.online() == 4);
}

TEST_CASE("RoomManager: the unflushed changes of one user leave space for those of other users",
          "[room][room_shares][sim]") {
    RoomWorld w{Seed{1}, {.unflushed_bytes_max = 8000}};
    // The user's clients dial again at once, and send again.
    const bool named = GENERATE(true, false);
    w.rights.grants["nobody"] = Grant{"", Access::edit, forever};
    User eve{w, named ? "eve" : "nobody"};
    User ada{w, "ada"};
    ada.first_author = 500;
    for (int i = 0; i < 3; ++i) eve.join("board", named ? "" : "192.0.2.1");
    RoomEditor& mine = ada.join("board");
    w.run(1s);
    w.disk.flush_takes = 20s;
    mine.type("the first flush");
    for (int i = 0; i < 36; ++i) {
        RoomEditor& one = *eve.all[static_cast<std::size_t>(i % 3)];
        if (!one.online()) one.dial();
        w.run(20ms);
        one.type(std::string(400, 'x'));
        w.run(20ms);
    }
    std::vector<Bytes> typed_meanwhile;
    for (int i = 0; i < 10; ++i) {
        typed_meanwhile.push_back(mine.type(std::string(100, 'a')));
        w.run(20ms);
    }
    CHECK(mine.online());
    CHECK(eve.closed_with(1013) != 0);
    CHECK(w.rooms().counters().reasons.of(RoomErrc::too_many_of_user) != 0);
    CHECK(w.rooms().counters().reasons.of(RoomErrc::not_durable) == 0);
    w.disk.flush_takes = 0s;
    w.run(40s);
    RoomEditor& later = ada.join("board");
    w.run(1s);
    for (const Bytes& update : typed_meanwhile) CHECK(later.has(update));
    // Nothing of the share is held after the flush.
    for (int i = 0; i < 10; ++i) {
        if (!eve.all[0]->online()) eve.all[0]->dial();
        w.run(20ms);
        eve.all[0]->type(std::string(5000, 'x'));
        w.run(1s);
        CHECK(eve.all[0]->online());
    }
}

TEST_CASE(
    "RoomManager: an update that fits is stored although others in its room write all the time",
    "[room][room_shares][regression][sim]") {
    RoomWorld w{Seed{1}, {.unflushed_bytes_max = 8000}};
    User eve{w, "eve"};
    User ada{w, "ada"};
    ada.first_author = 500;
    RoomEditor& large = eve.join("board");
    RoomEditor& busy = ada.join("board");
    w.run(1s);
    w.disk.flush_takes = 50ms;
    busy.type("a");
    w.run(20ms);
    const Bytes update = large.type(std::string(6500, 'x'));
    for (int i = 0; i < 20; ++i) {
        w.run(20ms);
        busy.type("a");
    }
    CHECK(large.online());
    CHECK(busy.online());
    RoomEditor& later = ada.join("board");
    w.run(1s);
    CHECK(later.has(update));
}

TEST_CASE("RoomManager: unflushed_bytes_max also limits the changes of one user over all rooms",
          "[room][room_shares][sim]") {
    RoomWorld w{Seed{1}, {.unflushed_bytes_max = 8000}};
    User eve{w, "eve"};
    for (int i = 0; i < 10; ++i) eve.join("board" + std::to_string(i));
    User ada{w, "ada"};
    ada.first_author = 500;
    RoomEditor& mine = ada.join("board9");
    w.run(1s);
    w.disk.flush_takes = 20s;
    for (const auto& one : eve.all) one->type(std::string(3500, 'x'));
    mine.type(std::string(1000, 'a'));
    w.run(1s);
    CHECK(eve.online() == 2);
    CHECK(w.rooms().counters().reasons.of(RoomErrc::too_many_of_user) == 8);
    CHECK(mine.online());
    w.run(40s);
    for (const auto& one : eve.all) {
        one->dial();
        w.run(21s);
        CHECK(one->online());
    }
}

TEST_CASE("RoomManager: one update of unflushed_bytes_max is stored if nothing else waits",
          "[room][room_shares][sim]") {
    RoomWorld w{Seed{1}, {.unflushed_bytes_max = 8000}};
    User eve{w, "eve"};
    RoomEditor& mine = eve.join("board");
    w.run(1s);
    w.disk.flush_takes = 1s;
    for (int i = 0; i < 3; ++i) {
        mine.type(std::string(7900, 'x'));
        w.run(2s);
        CHECK(mine.online());
    }
    mine.type(std::string(7900, 'x'));
    mine.type("y");
    w.run(2s);
    CHECK(mine.closed_with == 1013);
}

namespace {

/// Changes that wait in a room, with the rule of PersistenceScheduler.
struct WaitingChanges {
    static constexpr std::size_t most = 1000;
    /// Returns whether a change may wait.
    bool add(const std::string& user, std::size_t bytes) {
        auto account = accounts.of(user, "", 0)->in("board");
        if (!detail::may_take({most, held}, account->held.unflushed_bytes, bytes)) return false;
        changes.emplace_back(std::move(account), &detail::Holdings::unflushed_bytes, bytes);
        held += bytes;
        return true;
    }
    Instant now{};
    detail::Accounts accounts{now};
    std::vector<detail::Holding> changes{};
    std::size_t held = 0;
};

}  // namespace

TEST_CASE("may_take: a user who holds some leaves a quarter to users who hold nothing",
          "[room][room_shares][unit]") {
    WaitingChanges w;
    SECTION("one greedy user among 100") {
        while (w.add("eve", 1)) continue;
        CHECK(w.held == 750);
        // A quarter is left, of which each other user has changes.
        for (int i = 1; i < 100; ++i) CHECK(w.add("user" + std::to_string(i), 2));
        CHECK_FALSE(w.add("eve", 1));
        CHECK(w.add("user1", 1));
        CHECK(w.add("new", 51));
        CHECK_FALSE(w.add("user1", 1));
        CHECK_FALSE(w.add("last", 1));
    }
    SECTION("two greedy users in turn leave a seventh") {
        for (bool added = true; added;) {
            added = w.add("eve", 1);
            added = w.add("ada", 1) || added;
        }
        CHECK(w.held == 857);
        CHECK(w.add("bob", 143));
    }
    SECTION("a user who holds nothing takes all that is left") {
        CHECK(w.add("eve", 1000));
        CHECK_FALSE(w.add("ada", 1));
        w.changes.clear();
        w.held = 0;
        CHECK(w.add("ada", 10));
        CHECK(w.add("eve", 990));
    }
}

namespace {

/// Checks of one user, or of one room, that hang.
struct HangingRechecks {
    explicit HangingRechecks(bool of_room) : w{Seed{1}, {.waiting_max = 80}} {
        for (int i = 0; i < 100; ++i) {
            const std::string number = std::to_string(i);
            const std::string user = of_room ? "user" + number : "eve";
            // Eve's clients are in the room of others, too.
            const std::string own = i % 2 == 0 ? "eve" + number : "board0";
            hanging.add(w, "eve" + number, {.room_id = of_room ? "hangs" : own, .token = user});
        }
        others.first_author = 1000;
        for (int i = 0; i < 50; ++i) {
            const std::string user = "ada" + std::to_string(i / 2);
            others.add(w, user + "-" + std::to_string(i % 2),
                       {.room_id = "board" + std::to_string(i / 10), .token = user});
        }
        hanging.dial();
        w.run(1s);
        others.dial();
        w.run(1s);
        w.rights.checks = 0;
        w.rights.takes = 10ms;
    }
    // The clients end before their world.
    ~HangingRechecks() {
        hanging.all.clear();
        others.all.clear();
    }
    HangingRechecks(const HangingRechecks&) = delete;
    HangingRechecks& operator=(const HangingRechecks&) = delete;

    RoomWorld w;
    RoomEditors hanging{};
    RoomEditors others{};
};

}  // namespace

TEST_CASE("RoomManager: rechecks of one user or of one room that hang delay no other client",
          "[room][room_shares][sim]") {
    const bool of_room = GENERATE(true, false);
    HangingRechecks h{of_room};
    RoomWorld& w = h.w;
    REQUIRE(h.hanging.online() == 100);
    REQUIRE(h.others.online() == 50);
    if (of_room)
        w.rights.hangs_for = "hangs";
    else
        w.rights.hangs_for_token = "eve";
    for (int i = 0; i < 25; ++i) w.rights.grants["ada" + std::to_string(i)] = Grant{.user = "ada"};
    CHECK(w.rooms().reauthorize("") == 150);
    // Each of the others loses its right after at most the checks of the others, two at a time.
    w.run(400ms);
    CHECK(h.others.closed_with(4003) == 50);
    CHECK(h.hanging.online() == 100);
    // One user or room leaves a quarter of the checks to others.
    const std::size_t hung = 6;
    CHECK(w.rights.hung.size() == hung);
    // This many clients at a time are closed.
    w.run(10s);
    CHECK(h.hanging.closed_with(1013) == static_cast<long>(hung));
    CHECK(w.rights.hung.size() == 2 * hung);
    // The authorizer answers again: all are checked.
    w.rights.hangs_for.clear();
    w.rights.hangs_for_token.clear();
    w.run(12s);
    CHECK(h.hanging.online() == 100 - static_cast<long>(2 * hung));
    CHECK(w.rights.checks == 150);
}

TEST_CASE("RoomManager: a revoked client is checked although another waiting client has left",
          "[room][room_shares][regression][sim]") {
    const bool leaves = GENERATE(false, true);
    CAPTURE(leaves);
    RoomWorld w{Seed{1}, {.waiting_max = 20}};
    RoomEditors all;
    const auto join = [&](const std::string& user, const std::string& room) -> RoomEditor& {
        RoomEditor& one = all.add(w, user, {.room_id = room, .token = user});
        one.dial();
        w.run(500ms);
        return one;
    };
    join("ada", "board");
    RoomEditor& bob = join("bob", "board");
    RoomEditor& eve = join("eve", "board");
    join("cat", "other");
    join("dan", "third");
    REQUIRE(all.online() == 5);
    w.rights.takes = 1s;
    w.rights.grants["eve"] = Grant{.user = "eve"};
    CHECK(w.rooms().reauthorize("board") == 3);
    w.run(300ms);
    CHECK(w.rooms().reauthorize("other") == 1);
    CHECK(w.rooms().reauthorize("third") == 1);
    // The check of ada has ended, those of cat and dan are under way, and bob is next in the room.
    w.run(800ms);
    if (leaves) bob.hang_up();
    w.run(20s);
    CHECK_FALSE(eve.online());
    all.all.clear();
}

TEST_CASE("RoomManager: hanging rechecks of all users and rooms delay a client by check_within",
          "[room][room_shares][sim]") {
    RoomWorld w{Seed{1}, {.check_within = 3s, .waiting_max = 40}};
    RoomEditors all;
    for (int i = 0; i < 12; ++i) {
        const std::string name = "user" + std::to_string(i);
        all.add(w, name, {.room_id = name, .token = name});
    }
    all.dial();
    w.run(1s);
    w.rights.hangs = true;
    CHECK(w.rooms().reauthorize("") == 12);
    w.run(1s);
    CHECK(w.rights.hung.size() == 4);
    // Two rounds of four hang; the third one is answered.
    w.run(3s);
    CHECK(w.rights.hung.size() == 8);
    w.rights.hangs = false;
    w.run(3s);
    CHECK(all.closed_with(1013) == 8);
    CHECK(all.online() == 4);
    CHECK(w.rights.checks == 12 + 12);
}

namespace {

/// Users with their accounts, of a FairQueue or a RecheckQueue.
struct Users {
    detail::Ref<detail::Account> of(const std::string& user) { return accounts.of(user, "", 0); }
    Instant now{};
    detail::Accounts accounts{now};
};

/// Answers one check after the other until none waits.   Returns: the order of the checks.
std::vector<std::uint64_t> check_all(detail::RecheckQueue& queue) {
    std::vector<std::uint64_t> checked;
    for (std::size_t answered = 0;; ++answered) {
        while (const auto next = queue.take_next()) checked.push_back(*next);
        if (answered == checked.size()) return checked;
        queue.remove(checked[answered]);
    }
}

}  // namespace

TEST_CASE(
    "FairQueue: a user without work under way goes before a greedy one, also if its work hangs",
    "[room][room_shares][unit]") {
    for (const std::size_t places : {1U, 2U, 3U, 4U, 8U, 100U}) {
        Users users;
        detail::FairQueue<int> queue{places};
        std::vector<std::uint64_t> hangs;
        for (int i = 0; i < 500; ++i) queue.push(0, users.of("eve"));
        while (queue.has_next()) {
            hangs.push_back(queue.next_number());
            queue.take_next();
        }
        // At most three quarters, and at least one.
        const std::size_t most = std::max<std::size_t>(1, places == 2 ? 1 : places * 3 / 4);
        REQUIRE(hangs.size() == most);
        for (int user = 1; user < 100; ++user) {
            queue.push(user, users.of(std::to_string(user)));
            queue.push(-user, users.of(std::to_string(user)));
        }
        if (places == 1) {
            // Its turn is before those of the others, once.
            CHECK_FALSE(queue.has_next());
            queue.remove(hangs.back());
            const std::uint64_t number = queue.next_number();
            REQUIRE(queue.take_next() == 0);
            queue.remove(number);
            hangs.clear();
        }
        // Each of the others waits for one work of each user before it, and for none of eve.
        for (int user = 1; user < 100; ++user) {
            REQUIRE(queue.has_next());
            const std::uint64_t number = queue.next_number();
            REQUIRE(queue.take_next() == user);
            queue.remove(number);
        }
        for (const std::uint64_t one : hangs) queue.remove(one);
        std::size_t left = 0;
        for (; queue.has_next(); ++left) {
            const std::uint64_t number = queue.next_number();
            static_cast<void>(queue.take_next());
            queue.remove(number);
        }
        CHECK(left == 500 - most - (places == 1 ? 1 : 0) + 99);
        CHECK(queue.empty());
    }
}

TEST_CASE("FairQueue: greedy users leave a quarter of the places to users without work under way",
          "[room][room_shares][regression][unit]") {
    Users users;
    detail::FairQueue<int> queue{64};
    std::vector<std::size_t> hangs;
    for (const std::string user : {"eve", "mallory", "oscar", "trudy"}) {
        for (int i = 0; i < 100; ++i) queue.push(0, users.of(user));
        std::size_t& begun = hangs.emplace_back();
        for (; queue.has_next(); ++begun) queue.take_next();
    }
    CHECK(hangs == std::vector<std::size_t>{48, 1, 1, 1});
    for (int user = 1; user <= 13; ++user) {
        const auto account = users.of("user" + std::to_string(user));
        CHECK(queue.may_begin(account));
        queue.push(user, account);
        REQUIRE(queue.has_next());
        CHECK(queue.take_next() == user);
    }
    CHECK_FALSE(queue.may_begin(users.of("last")));
}

TEST_CASE("RecheckQueue: users take turns, clients of one leave in any order, and none waits twice",
          "[room][room_shares][unit]") {
    Users users;
    detail::RecheckQueue queue{1};
    const auto push = [&](detail::RecheckQueue& to, std::uint64_t client, const std::string& user,
                          const std::string& room) { to.push(client, users.of(user)->in(room)); };
    for (const std::uint64_t i : {1U, 2U, 3U, 4U}) push(queue, i, "eve", "room");
    push(queue, 5, "ada", "room");
    push(queue, 6, "bob", "other");
    push(queue, 7, "bob", "other");
    queue.remove(2);
    queue.remove(6);
    CHECK(check_all(queue) == std::vector<std::uint64_t>{1, 5, 7, 3, 4});
    CHECK_FALSE(queue.has_next());
    // Clients of a room that has its share wait for it, and leave in any order, too.
    detail::RecheckQueue parked{2};
    for (const std::uint64_t i : {1U, 2U, 3U, 4U})
        push(parked, i, "user" + std::to_string(i), "room");
    push(parked, 5, "user4", "other");
    CHECK(parked.take_next() == 1U);
    CHECK(parked.take_next() == 5U);
    CHECK(parked.take_next() == std::nullopt);
    parked.remove(2);
    parked.remove(5);
    CHECK(parked.take_next() == std::nullopt);
    CHECK_FALSE(parked.has_next());
    parked.remove(1);
    CHECK(parked.has_next());
    CHECK(check_all(parked) == std::vector<std::uint64_t>{3, 4});
    CHECK_FALSE(parked.has_next());
}

TEST_CASE("RecheckQueue: a client is checked although those of its room before it leave",
          "[room][room_shares][regression][unit]") {
    Users users;
    detail::RecheckQueue queue{2};  // at most one check of each room
    const auto push = [&](std::uint64_t client, const std::string& room) {
        queue.push(client, users.of("user" + std::to_string(client))->in(room));
    };
    for (const std::uint64_t client : {1U, 2U, 3U}) push(client, "room");
    CHECK(queue.take_next() == 1U);
    CHECK(queue.take_next() == std::nullopt);
    push(4, "other");
    CHECK(queue.take_next() == 4U);
    push(5, "third");
    queue.remove(1);  // now client 2 waits after client 5
    CHECK(queue.take_next() == 5U);
    CHECK(queue.take_next() == std::nullopt);
    queue.remove(2);
    queue.remove(4);
    queue.remove(5);
    CHECK(queue.has_next());
    CHECK(queue.take_next() == 3U);
}

TEST_CASE("RecheckQueue: each client is checked once, for many users and rooms",
          "[room][room_shares][unit]") {
    constexpr std::uint64_t count = 1000;
    Users users;
    detail::RecheckQueue queue{10};
    SECTION("of one user, ten in each room") {
        for (std::uint64_t i = 1; i <= count; ++i)
            queue.push(i, users.of("eve")->in(std::to_string(i / 10)));
    }
    SECTION("of one user and one room") {
        for (std::uint64_t i = 1; i <= count; ++i) queue.push(i, users.of("eve")->in("room"));
    }
    SECTION("of one room, each of another user") {
        for (std::uint64_t i = 1; i <= count; ++i)
            queue.push(i, users.of(std::to_string(i))->in("room"));
    }
    SECTION("of two users in two rooms") {
        for (std::uint64_t i = 1; i <= count; ++i)
            queue.push(i, users.of(i % 2 == 0 ? "eve" : "ada")->in(i % 4 < 2 ? "one" : "other"));
    }
    std::vector<std::uint64_t> checked = check_all(queue);
    std::sort(checked.begin(), checked.end());
    REQUIRE(checked.size() == count);
    CHECK(std::adjacent_find(checked.begin(), checked.end()) == checked.end());
    // Nothing refers to the accounts any more.
    CHECK(users.accounts.size() == 0);
}

TEST_CASE("Account counts what a user holds in each room and in all, and is erased with the last",
          "[room][room_shares][unit]") {
    Users users;
    using Holdings = detail::Holdings;
    const RoomOptions options{.clients_per_user_max = 200};
    {
        const auto board = users.of("eve")->in("board");
        detail::Holding one{board, &Holdings::clients, 1};
        detail::Holding two{board, &Holdings::clients, 19};
        const detail::Holding other{users.of("eve")->in("other"), &Holdings::clients, 180};
        const detail::Holding server{{}, &Holdings::clients, 9};
        CHECK(users.accounts.size() == 1);
        CHECK(board->held.clients == 20);
        CHECK(board->user.held.clients == 200);
        CHECK(board->user.held.rooms == 0);
        CHECK(one.account() == board.get());
        CHECK(server.account() == nullptr);
        CHECK(detail::exceeded_limit(*board, &Holdings::clients, 1, options) ==
              "clients_per_user_max");
        detail::Holding moved{std::move(two)};
        CHECK(board->held.clients == 20);
        moved.release();
        moved.release();
        CHECK(board->held.clients == 1);
        one = detail::Holding{board, &Holdings::clients, 20};
        CHECK(board->held.clients == 20);
        CHECK(detail::exceeded_limit(*board, &Holdings::clients, 1, options) ==
              "clients_per_user_max");
        one = detail::Holding{board, &Holdings::clients, 19};
        CHECK(detail::exceeded_limit(*board, &Holdings::clients, 1, options).empty());
        CHECK(detail::exceeded_limit(*board, &Holdings::clients, 2, options) ==
              "clients_per_user_max");
        // The first one of a user always fits.
        CHECK(detail::exceeded_limit(*users.of("ada")->in("board"), &Holdings::clients, 99, options)
                  .empty());
    }
    CHECK(users.accounts.size() == 0);
}

TEST_CASE("Accounts: a user is its name, or the network of its address, or its connection",
          "[room][room_shares][unit]") {
    Users users;
    const auto key = [&](const std::string& user, std::string_view ip, std::uint64_t connection) {
        return std::string{users.accounts.of(user, ip, connection)->key};
    };
    const auto of = [&](std::string_view ip) { return key("", ip, 1); };
    CHECK(key("eve", "192.0.2.1", 1) == key("eve", "192.0.2.2", 2));
    CHECK(key("eve", "", 1) != key("ada", "", 1));
    CHECK(key("192.0.2.1", "", 1) != of("192.0.2.1"));
    CHECK(key("", "", 1) != key("", "", 2));
    CHECK(key("", "", 1) == key("", "", 1));
    CHECK(of("192.0.2.1") != of("192.0.2.2"));
    CHECK(of("host") == of("host"));
    // RFC 4291, section 2.2: the forms of an IPv6 address.
    CHECK(of("2001:db8:0:1::1") == of("2001:DB8:0000:0001:9:8:7:6"));
    CHECK(of("2001:db8:0:1::") == of("2001:db8:0:1:1::"));
    CHECK(of("2001:db8::1") == of("2001:db8:0:0:1:2:3:4"));
    CHECK(of("2001:db8::1:2:3:4:5") == of("2001:db8:0:1::"));
    CHECK(of("2001:db8:0:1::1") != of("2001:db8:0:2::1"));
    CHECK(of("::1") == of("::2"));
    CHECK(of("::") == of("0:0:0:0:1::"));
    CHECK(of("fe80::1%eth0") == of("fe80::2%eth1"));
    CHECK(of("64:ff9b:1:2::192.0.2.1") == of("64:ff9b:1:2::192.0.2.2"));
    // An IPv4 address in its IPv6 form is that address.
    CHECK(of("::ffff:192.0.2.1") == of("192.0.2.1"));
    CHECK(of("::FFFF:192.0.2.2") == of("192.0.2.2"));
    // Another text with colons is used as it is, or as a network. It never causes an exception.
    for (const char* const text : {":", ":::", "1:2:3:4:5:6:7:8:9", "::1::2", "x:y", "[::1]"})
        CHECK(of(text) == of(text));
}
