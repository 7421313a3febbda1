// SPDX-License-Identifier: MIT
// Goal: one user with many connections takes only its share of rooms and of large answers.
// Method: users with several connections in a simulated world.
#include <belay/room/room_manager.hpp>

#include "support/catch.hpp"
#include "support/room/room_world.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// The connections of one user, each to one room.
struct User {
    User(RoomWorld& rooms, std::string user) : w{rooms}, name{std::move(user)} {}
    RoomEditor& join(const std::string& board) {
        const std::string host = name + std::to_string(all.size());
        w.requests[host] = {.board = board, .token = name};
        all.push_back(std::make_unique<RoomEditor>(w, host, 100 + all.size()));
        all.back()->dial();
        return *all.back();
    }
    [[nodiscard]] long online() const {
        return std::count_if(all.begin(), all.end(), [](const auto& one) { return one->online(); });
    }

    RoomWorld& w;
    std::string name;
    std::vector<std::unique_ptr<RoomEditor>> all{};
};

}  // namespace

TEST_CASE("RoomManager: a user opens at most rooms_per_user_max rooms over all its connections",
          "[room][room_shares][sim]") {
    RoomWorld w{Seed{1}, {.unload_after = 1min, .sweep_every = 1min, .rooms_per_user_max = 3}};
    User eve{w, "eve"};
    User ada{w, "ada"};
    for (int i = 0; i < 5; ++i) eve.join("eve" + std::to_string(i));
    w.run(1s);
    CHECK(eve.online() == 3);
    CHECK(w.rooms().counters().reasons.of(RoomErrc::too_many_of_user) == 2);
    CHECK(std::count_if(eve.all.begin(), eve.all.end(),
                        [](const auto& one) { return one->closed_with == 1013; }) == 2);
    // Others have their own share; a room that somebody else has opened costs nothing.
    ada.join("ada");
    w.run(1s);
    eve.join("ada");
    w.run(1s);
    CHECK(ada.online() == 1);
    CHECK(eve.online() == 4);
    // The rooms are evicted, and the share is free again.
    for (const auto& one : eve.all) one->hang_up();
    w.run(5min);
    CHECK(w.rooms().rooms() == 1);
    for (int i = 5; i < 8; ++i) eve.join("eve" + std::to_string(i));
    w.run(1s);
    CHECK(eve.online() == 3);
}

TEST_CASE("RoomManager: users without a name have no share of their own",
          "[room][room_shares][sim]") {
    RoomWorld w{Seed{1}, {.rooms_per_user_max = 2}};
    w.rights.grants["all"] = Grant{"", Access::edit, forever};
    User all{w, "all"};
    for (int i = 0; i < 5; ++i) all.join("board" + std::to_string(i));
    w.run(1s);
    CHECK(all.online() == 5);
}

TEST_CASE("RoomManager: the large answers of one user wait for each other, and for no other user",
          "[room][room_shares][sim]") {
    RoomWorld w{Seed{1}, {.answers_bytes_max = 5 << 20, .answer_bytes_per_user_max = 3 << 20}};
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

TEST_CASE("UserShares counts what a user holds, and keeps nothing of users that hold nothing",
          "[room][room_shares][unit]") {
    detail::UserShares shares;
    {
        const detail::UserShares::Held one{shares, "eve", 5};
        detail::UserShares::Held two{shares, "eve", 7};
        const detail::UserShares::Held nobody{shares, "", 9};
        CHECK(shares.of("eve") == 12);
        CHECK(shares.of("") == 0);
        CHECK(shares.users() == 1);
        const detail::UserShares::Held moved{std::move(two)};
        CHECK(shares.of("eve") == 12);
    }
    CHECK(shares.of("eve") == 0);
    CHECK(shares.users() == 0);
}
