// SPDX-License-Identifier: MIT
// Goal: a program with a former name of rooms compiles, and is notified as with the present one.
// Method: observers with the former hook, the present one, and both; near misses of the former one.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

#include <concepts>
#include <string>
#include <type_traits>

#include <belay/core/tee.hpp>
#include <belay/room/persistence_rule.hpp>
#include <belay/room/room_observer.hpp>

#include "support/catch.hpp"

using namespace belay;

static_assert(std::is_same_v<RoomRefusal, RoomRejection>);
using check::PersistenceRule;
static_assert(PersistenceRule::refuses_bad_ids == PersistenceRule::rejects_bad_ids);
static_assert(PersistenceRule::refusal_changes_nothing ==
              PersistenceRule::rejection_changes_nothing);
static_assert(PersistenceRule::save_refuses_what_is_older ==
              PersistenceRule::save_rejects_what_is_older);
static_assert(PersistenceRule::failed_flush_names_what_it_refuses ==
              PersistenceRule::failed_flush_names_what_it_rejects);

namespace {

struct FormerRoomHook {
    std::string* board;
    void on_refused(const RoomRefusal& refused) { *board = refused.room_id; }
};
struct FormerRoomHookWithRooms {
    std::string* board;
    void on_refused(auto&, const RoomRefusal& refused) { *board = refused.room_id; }
};
struct BothRoomHooks {
    int* calls;
    void on_rejected(const RoomRejection&) { ++*calls; }
    void on_refused(const RoomRejection&) { *calls += 100; }
};
struct FormerRoomHookWrong : NoObserver {
    void on_refused(int) {}
};

struct Rooms {};
using Hooks = detail::RoomHooks<Rooms>;
static_assert(Hooks::Rejected::right<FormerRoomHook> && Hooks::Rejected::right<BothRoomHooks>);
static_assert(Hooks::Rejected::callable_on<FormerRoomHook>);
static_assert(Hooks::Rejected::callable_on<FormerRoomHookWithRooms>);
static_assert(!Hooks::Rejected::right<FormerRoomHookWrong>);

void reject_board(auto observer) {
    Rooms rooms;
    detail::notify<Hooks::Rejected>(observer, rooms, RoomRejection{"plan", {}, {}, {}});
}

}  // namespace

TEST_CASE("A RoomManager notifies an observer with the former hook on_refused",
          "[room][former_names][unit]") {
    std::string board;
    reject_board(FormerRoomHook{&board});
    CHECK(board == "plan");
    board.clear();
    reject_board(FormerRoomHookWithRooms{&board});
    CHECK(board == "plan");
}

TEST_CASE("A RoomManager notifies an observer with both hooks by on_rejected only",
          "[room][former_names][unit]") {
    int calls = 0;
    reject_board(BothRoomHooks{&calls});
    CHECK(calls == 1);
    std::string board;
    reject_board(Tee{FormerRoomHook{&board}, BothRoomHooks{&calls}});
    CHECK(board == "plan");
    CHECK(calls == 2);
}
