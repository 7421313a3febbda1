// SPDX-License-Identifier: MIT
// Goal: tokens, permissions and audit work together: a rejected client receives a close code
// after the upgrade and sees no data, and each admitted client is recorded. Method: the real
// components together in a simulated world.
#include <belay/adapter/jwt_authorizer.hpp>
#include <belay/adapter/sqlite_boards.hpp>
#include <belay/room/audited.hpp>

#include "support/adapter/jwt_maker.hpp"
#include "support/catch.hpp"
#include "support/room/room_world.hpp"
#include "support/temporary_directory.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

struct ClockOfTokens {
    [[nodiscard]] static WallTime now() noexcept { return WallTime{1'000'000s}; }
};
struct AuditOfBoards {
    sqlite::Boards* boards;
    void record(AuditRow row, Completion<std::error_code> answer) {
        boards->record(std::move(row), std::move(answer));
    }
};
struct RightsOfBoards {
    sqlite::Boards* boards;
    Access operator()(const jwt::Claims& who, const RoomRequest& request) const {
        const auto found = boards->access({.board = request.board, .user = who.subject});
        return found && *found ? **found : Access::none;
    }
};

sqlite::Boards opened_boards(const std::string& path) {
    auto boards = sqlite::Boards::open(path, {.flushes_each = false});
    REQUIRE(boards);
    return std::move(*boards);
}

/// A server as the plan has it; clients are known by their hosts.
struct BoardsWorld {
    using Authorizer = Audited<jwt::Authorizer<RightsOfBoards, NoObserver, ClockOfTokens>,
                               AuditOfBoards, ClockOfTokens>;
    using Rooms = RoomManager<MemoryRooms, Authorizer>;

    BoardsWorld() : boards{opened_boards(directory / "boards")} {
        REQUIRE_FALSE(boards.set_owner({.board = "plan", .user = "ada"}));
        REQUIRE_FALSE(boards.permit({.board = "plan", .user = "eve"}, Access::view));
        REQUIRE_FALSE(boards.add_user("sam"));
        server = &world.host("server", [this](sim::Host& h) {
            auto verifier = jwt::Verifier::make({}, {{JwtMaker::secret()}});
            REQUIRE(verifier);
            auto rooms = std::make_unique<Rooms>(
                MemoryRooms{},
                Authorizer{{std::move(*verifier), RightsOfBoards{&boards}, NoObserver{}, {}},
                           AuditOfBoards{&boards},
                           ClockOfTokens{}});
            h.attach(*rooms);
            rooms->start();
            h.listen(1, [this, r = rooms.get()](sim::Accepted a) {
                const std::string& token = tokens[std::string{a.peer()}];
                const UpgradeRequest upgrade{"/ws/canvas/plan?token=" + token, "10.0.0.1", "agent",
                                             ""};
                r->accept(Coded<sim::Accepted>{std::move(a)}, YjsProtocol{},
                          room_request(upgrade, "/ws/canvas/"));
            });
            return rooms;
        });
    }
    /// Comes with a token.   Returns: the code it was closed with; 0: it is in.
    int come(RoomEditor& editor, const std::string& token) {
        tokens[std::string{editor.host().name()}] = token;
        editor.dial();
        world.run_for(1s);
        return editor.closed_with;
    }
    static std::string token_of(const std::string& user) {
        return JwtMaker::hs256(R"({"sub":")" + user + R"(","exp":1000060})");
    }

    TemporaryDirectory directory;
    sqlite::Boards boards;
    std::map<std::string, std::string> tokens;
    sim::World world{Seed{1}};
    sim::Host* server = nullptr;
};

}  // namespace

TEST_CASE("Token and permission are validated before a client is admitted to a room",
          "[adapter][jwt_rooms][spec]") {
    BoardsWorld w;
    RoomEditor guest{w.world, "guest", 1};
    CHECK(w.come(guest, "") == 4001);
    CHECK(w.come(guest, "no.token.atall") == 4001);
    CHECK(w.come(guest, BoardsWorld::token_of("sam")) == 4003);
    CHECK(guest.frames == 0);
    CHECK(w.server->process<BoardsWorld::Rooms>()->rooms() == 0);
}

TEST_CASE("The room handler validates the token", "[adapter][jwt_rooms][spec]") {
    BoardsWorld w;
    RoomEditor guest{w.world, "guest", 1};
    CHECK(w.come(guest, BoardsWorld::token_of("ada")) == 0);
    CHECK(guest.synced);
    for (const std::string& wrong :
         {JwtMaker::hs256(R"({"sub":"ada","exp":999000})"), BoardsWorld::token_of("ada") + "x",
          JwtMaker::hs256(R"({"sub":"ada","exp":1000060})", R"({"alg":"none"})"),
          JwtMaker::hs256(R"({"sub":"ada","exp":1000060})", R"({"alg":"HS256"})",
                          "another secret that is as long as it")}) {
        CHECK(w.come(guest, wrong) == 4001);
    }
}

TEST_CASE("The room handler checks the permissions for the room", "[adapter][jwt_rooms][spec]") {
    BoardsWorld w;
    RoomEditor ada{w.world, "ada", 1};
    RoomEditor eve{w.world, "eve", 2};
    RoomEditor sam{w.world, "sam", 3};
    CHECK(w.come(ada, BoardsWorld::token_of("ada")) == 0);
    CHECK(w.come(eve, BoardsWorld::token_of("eve")) == 0);
    CHECK(w.come(sam, BoardsWorld::token_of("sam")) == 4003);
    ada.type("yes");
    eve.type("no");
    w.world.run_for(1s);
    CHECK(eve.has(typed(1, 0, "yes")));
    CHECK(ada.updates == 0);
    REQUIRE_FALSE(w.boards.set_public("plan", Access::edit));
    CHECK(w.come(sam, BoardsWorld::token_of("sam")) == 0);
}

TEST_CASE("The room handler records each access in audit_logs", "[adapter][jwt_rooms][spec]") {
    BoardsWorld w;
    RoomEditor ada{w.world, "ada", 1};
    RoomEditor eve{w.world, "eve", 2};
    RoomEditor sam{w.world, "sam", 3};
    CHECK(w.come(ada, BoardsWorld::token_of("ada")) == 0);
    CHECK(w.come(eve, BoardsWorld::token_of("eve")) == 0);
    CHECK(w.come(sam, BoardsWorld::token_of("sam")) == 4003);
    auto rows = w.boards.audited(0, 10);
    REQUIRE((rows && rows->size() == 3));
    // Who was refused is written down as that.
    CHECK(rows->back().user == "sam");
    CHECK(rows->back().action == "refused");
    rows->pop_back();
    CHECK((*rows)[0].user == "ada");
    CHECK((*rows)[0].level == Access::edit);
    CHECK((*rows)[1].user == "eve");
    CHECK((*rows)[1].level == Access::view);
    for (const auto& row : *rows) {
        CHECK(row.board == "plan");
        CHECK(row.action == "access");
        CHECK(row.ip == "10.0.0.1");
        CHECK(row.user_agent == "agent");
        CHECK(row.time == ClockOfTokens::now());
    }
}
