// SPDX-License-Identifier: MIT
// Goal: tokens, permissions and audit work together: a rejected client receives a close code
// after the upgrade and sees no data, and each admitted client is recorded. Method: the real
// components together in a simulated world.
#include <belay/openssl/jwt_authorizer.hpp>
#include <belay/room/audited.hpp>
#include "../../examples/whiteboard/boards_on_thread.hpp"

#include <sys/resource.h>

#include <csignal>
#include <deque>

#include "support/catch.hpp"
#include "support/eventually.hpp"
#include "support/openssl/jwt_maker.hpp"
#include "support/room/room_world.hpp"
#include "support/sqlite/sql_program.hpp"
#include "support/temporary_directory.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

struct ClockOfTokens {
    [[nodiscard]] static WallTime now() noexcept { return WallTime{1'000'000s}; }
};
struct AuditOfBoards {
    whiteboard::Boards* boards;
    void record(AuditRow row, Completion<std::error_code> answer) {
        boards->record(std::move(row), std::move(answer));
    }
};
struct RightsOfBoards {
    whiteboard::Boards* boards;
    std::optional<Access> operator()(const jwt::Claims& who, const RoomRequest& request) const {
        const auto found = boards->access({.room_id = request.room_id, .user = who.subject});
        REQUIRE(found);
        return *found;
    }
};

whiteboard::Boards opened_boards(const std::string& path) {
    auto boards = whiteboard::Boards::open(path, {.flushes_each = false});
    REQUIRE(boards);
    return std::move(*boards);
}

/// A server as in the specification; clients are identified by their hosts.
struct BoardsWorld {
    using Authorizer = Audited<jwt::Authorizer<RightsOfBoards, NoObserver, ClockOfTokens>,
                               AuditOfBoards, ClockOfTokens>;
    using Rooms = RoomManager<ScriptedRooms, Authorizer>;

    BoardsWorld() : boards{opened_boards(directory / "boards")} {
        REQUIRE_FALSE(boards.set_owner({.room_id = "plan", .user = "ada"}));
        REQUIRE_FALSE(boards.permit({.room_id = "plan", .user = "eve"}, Access::view));
        REQUIRE_FALSE(boards.add_user("sam"));
        server = &world.host("server", [this](sim::Host& h) {
            auto verifier = jwt::Verifier::make({}, {{JwtMaker::secret()}});
            REQUIRE(verifier);
            auto rooms = std::make_unique<Rooms>(
                ScriptedRooms{disk, h},
                Authorizer{{std::move(*verifier), RightsOfBoards{&boards}, NoObserver{}, {}},
                           AuditOfBoards{&boards},
                           ClockOfTokens{}});
            h.attach(*rooms);
            rooms->start();
            h.listen(1, [this, r = rooms.get()](sim::Accepted a) {
                const std::string& token = tokens[std::string{a.peer()}];
                const UpgradeRequest upgrade{"/ws/canvas/" + board + "?token=" + token, "10.0.0.1",
                                             "agent", ""};
                r->accept(Coded<sim::Accepted>{std::move(a)}, YjsProtocol{},
                          room_request(upgrade, "/ws/canvas/"));
            });
            return rooms;
        });
    }
    /// Connects with a token.   Returns: the close code; 0 if it was admitted.
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
    whiteboard::Boards boards;
    RoomScript disk{};
    std::map<std::string, std::string> tokens;
    std::string board = "plan";
    sim::World world{Seed{1}};
    sim::Host* server = nullptr;
};

}  // namespace

TEST_CASE("Token and permission are validated before a client is admitted to a room",
          "[openssl][jwt_rooms][spec]") {
    BoardsWorld w;
    RoomEditor guest{w.world, "guest", 1};
    CHECK(w.come(guest, "") == 4001);
    CHECK(w.come(guest, "no.token.atall") == 4001);
    CHECK(w.come(guest, BoardsWorld::token_of("sam")) == 4003);
    // A user or a board that is not in the tables is (None, None) in the specification.
    CHECK(w.come(guest, BoardsWorld::token_of("eva")) == 4001);
    w.board = "plans";
    CHECK(w.come(guest, BoardsWorld::token_of("ada")) == 4001);
    CHECK(guest.frames == 0);
    CHECK(w.server->process<BoardsWorld::Rooms>()->rooms() == 0);
}

TEST_CASE("The room handler validates the token", "[openssl][jwt_rooms][spec]") {
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

TEST_CASE("The room handler checks the permissions for the room", "[openssl][jwt_rooms][spec]") {
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

TEST_CASE("A room whose board is not in an older file of rights stays stored, and admits no client",
          "[openssl][jwt_rooms][fault]") {
    BoardsWorld w;
    const std::string older = w.directory / "older";
    CHECK(SqlProgram{w.directory / "boards"}.run("VACUUM INTO '" + older + "'") == "[]");
    REQUIRE_FALSE(w.boards.set_owner({.room_id = "later", .user = "ada"}));
    w.board = "later";
    const std::string token = BoardsWorld::token_of("ada");
    RoomEditor author{w.world, "author", 1};
    REQUIRE(w.come(author, token) == 0);
    author.type("kept");
    w.world.run_for(1s);
    w.world.kill(*w.server);
    w.boards = opened_boards(older);
    w.world.restart(*w.server);
    RoomEditor reader{w.world, "reader", 2};
    CHECK(w.come(reader, token) == 4001);
    CHECK(reader.frames == 0);
    CHECK(w.server->process<BoardsWorld::Rooms>()->rooms() == 0);
    // The boards of the older file can be opened.
    w.board = "plan";
    CHECK(w.come(reader, token) == 0);
    reader.hang_up();
    w.board = "later";
    REQUIRE_FALSE(w.boards.set_owner({.room_id = "later", .user = "ada"}));
    CHECK(w.come(reader, token) == 0);
    CHECK(reader.has(typed(1, 0, "kept")));
}

TEST_CASE("A full file of rights admits no new client, and admits again when it has space",
          "[openssl][jwt_rooms][fault]") {
    CHECK(in_child([] {
        std::signal(SIGXFSZ, SIG_IGN);
        BoardsWorld w;
        RoomEditor ada{w.world, "ada", 1};
        RoomEditor reader{w.world, "reader", 2};
        RoomEditor eve{w.world, "eve", 3};
        const bool both_in = w.come(ada, BoardsWorld::token_of("ada")) == 0 &&
                             w.come(reader, BoardsWorld::token_of("eve")) == 0;
        rlimit limit{256 << 10, RLIM_INFINITY};
        if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return false;
        int code = 0;
        for (int i = 0; i < 200 && code == 0; ++i) code = w.come(eve, BoardsWorld::token_of("eve"));
        const bool refused = code == 1013 && w.come(eve, BoardsWorld::token_of("eve")) == 1013;
        const Bytes edit = ada.type("meanwhile");
        w.world.run_for(1s);
        const bool served = reader.has(edit) && ada.online();
        limit.rlim_cur = RLIM_INFINITY;
        if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return false;
        const bool again = w.come(eve, BoardsWorld::token_of("eve")) == 0 && eve.has(edit);
        if (!again || !refused) std::printf("closed with %d, then %d\n", code, eve.closed_with);
        return both_in && refused && served && again;
    }));
}

TEST_CASE("The room handler records each access in audit_logs", "[openssl][jwt_rooms][spec]") {
    BoardsWorld w;
    RoomEditor ada{w.world, "ada", 1};
    RoomEditor eve{w.world, "eve", 2};
    RoomEditor sam{w.world, "sam", 3};
    CHECK(w.come(ada, BoardsWorld::token_of("ada")) == 0);
    CHECK(w.come(eve, BoardsWorld::token_of("eve")) == 0);
    CHECK(w.come(sam, BoardsWorld::token_of("sam")) == 4003);
    auto rows = w.boards.audited(0, 10);
    REQUIRE((rows && rows->size() == 3));
    // A rejected client is recorded with the action `refused`.
    CHECK(rows->back().user == "sam");
    CHECK(rows->back().action == "rejected");
    rows->pop_back();
    CHECK((*rows)[0].user == "ada");
    CHECK((*rows)[0].level == Access::edit);
    CHECK((*rows)[1].user == "eve");
    CHECK((*rows)[1].level == Access::view);
    for (const auto& row : *rows) {
        CHECK(row.room_id == "plan");
        CHECK(row.action == "access");
        CHECK(row.ip == "10.0.0.1");
        CHECK(row.user_agent == "agent");
        CHECK(row.time == ClockOfTokens::now());
    }
}

namespace {

/// Passes the answers of another thread to a simulated world, which has one thread.
template <class V>
class PassedOn {
public:
    Completion<V> ask(Completion<V> answer) {
        pending_.push_back(std::make_unique<Pending>(std::move(answer)));
        return pending_.back()->question.ask();
    }
    void pass() {
        for (std::size_t i = 0; i < pending_.size();) {
            if (!pending_[i]->question.answered()) {
                ++i;
                continue;
            }
            const std::unique_ptr<Pending> one = std::move(pending_[i]);
            pending_.erase(pending_.begin() + static_cast<std::ptrdiff_t>(i));
            std::optional<V> answer = one->question.take();
            if (answer) one->answer(std::move(*answer));
        }
    }

private:
    struct Pending {
        explicit Pending(Completion<V> a) : answer{std::move(a)} {}
        driver::Question<V> question{};
        Completion<V> answer;
    };
    std::deque<std::unique_ptr<Pending>> pending_{};
};

/// A server whose rights are in a database that an application uses, too.
struct SharedBoardsWorld {
    struct Rights {
        SharedBoardsWorld* w;
        void operator()(const jwt::Claims& who, const RoomRequest& request,
                        Completion<std::optional<Access>> answer) const {
            w->boards->access({.room_id = request.room_id, .user = who.subject},
                              w->checks.ask(std::move(answer)));
        }
    };
    struct Audit {
        SharedBoardsWorld* w;
        void record(AuditRow row, Completion<std::error_code> answer) {
            w->boards->record(std::move(row), w->rows.ask(std::move(answer)));
        }
    };
    using Tokens = jwt::Authorizer<Rights, NoObserver, ClockOfTokens>;
    using Rooms = RoomManager<MemoryRooms, Audited<Tokens, Audit, ClockOfTokens>>;

    SharedBoardsWorld() {
        {
            whiteboard::Boards first = opened_boards(directory / "boards");
            REQUIRE_FALSE(first.set_owner({.room_id = "plan", .user = "ada"}));
            for (const char* user : {"bob", "eve"})
                REQUIRE_FALSE(first.permit({.room_id = "plan", .user = user}, Access::edit));
        }
        auto opened = whiteboard::Boards::open(directory / "boards",
                                               {.flushes_each = false, .lock_within = 1h});
        REQUIRE(opened);
        boards.emplace(std::move(*opened));
        application.emplace(directory / "boards");
        server = &world.host("server", [this](sim::Host& h) {
            auto verifier = jwt::Verifier::make({}, {{JwtMaker::secret()}});
            REQUIRE(verifier);
            auto rooms = std::make_unique<Rooms>(
                MemoryRooms{},
                Audited<Tokens, Audit, ClockOfTokens>{
                    Tokens{std::move(*verifier), Rights{this}, NoObserver{}, {}}, Audit{this}, {}},
                RoomOptions{.check_within = 10s});
            h.attach(*rooms);
            rooms->start();
            h.listen(1, [r = rooms.get()](sim::Accepted a) {
                const std::string user{a.peer()};
                r->accept(Coded<sim::Accepted>{std::move(a)}, YjsProtocol{},
                          {.room_id = "plan",
                           .token = JwtMaker::hs256(R"({"sub":")" + user + R"(","exp":1000060})")});
            });
            return rooms;
        });
    }
    /// Runs both kinds of time, with a limit.
    template <class F>
    void until(F holds) {
        REQUIRE(belay_test::eventually([&] {
            if (holds()) return true;
            world.run_for(20ms);
            checks.pass();
            rows.pass();
            return false;
        }));
    }
    /// Dials until it is admitted, like a client of Yjs.
    void join(RoomEditor& editor) {
        editor.dial();
        until([&] {
            if (editor.closed_with == 1013) editor.dial();
            return editor.synced;
        });
    }

    TemporaryDirectory directory;
    PassedOn<std::optional<Access>> checks;
    PassedOn<std::error_code> rows;
    std::optional<whiteboard::Boards::OnThread> boards;
    std::optional<SqlProgram> application;
    sim::World world{Seed{1}};
    sim::Host* server = nullptr;
};

}  // namespace

TEST_CASE("A lock of the application delays a join by check_within, and no turn",
          "[openssl][jwt_rooms]") {
    SharedBoardsWorld w;
    RoomEditor ada{w.world, "ada", 1};
    RoomEditor bob{w.world, "bob", 2};
    RoomEditor eve{w.world, "eve", 3};
    w.join(ada);
    w.join(bob);
    CHECK(w.application->run("BEGIN EXCLUSIVE") == "[]");
    eve.dial();
    const Instant began = w.world.now();
    w.until([&] { return eve.closed_with != 0; });
    CHECK(eve.closed_with == 1013);
    CHECK(elapsed(began, w.world.now()) <= 11s);
    // The server continues meanwhile. A turn that waited for the lock would never end here.
    ada.type("meanwhile");
    w.until([&] { return bob.has(typed(1, 0, "meanwhile")); });
    CHECK(w.application->run("COMMIT") == "[]");
    w.join(eve);
    // The application revokes the right, which takes effect at the next check.
    CHECK(w.application->run("DELETE FROM users WHERE id='eve'") == "[]");
    CHECK(w.server->process<SharedBoardsWorld::Rooms>()->reauthorize("") == 3);
    w.until([&] { return eve.closed_with != 0; });
    CHECK(eve.closed_with == 4001);
    CHECK(ada.closed_with == 0);
}
