// SPDX-License-Identifier: MIT
// Goal: check::local_side and check::remote_side accept correct sides, and detect each mistake of
// others. Method: all sides of the tests of bridges, all kinds of servers, and broken ones, each
// detected by the name of its rule.
#include <belay/sync/bridge_check.hpp>

#include <memory>

#include "support/catch.hpp"
#include "support/sync/server_kinds.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

using check::LocalRule;
using check::RemoteRule;

std::string content_number(std::uint64_t i) { return "content " + std::to_string(i); }

template <class Side>
std::optional<LocalRule> fault_of_local() {
    return check::local_side([] { return std::make_unique<Side>(); }, content_number);
}
template <class Side>
struct RemoteRig {
    sim::World world{Seed{1}};
    Side remote{};
    void run_once() { world.run_for(1ms); }
};
template <class Side>
std::optional<RemoteRule> fault_of_remote() {
    return check::remote_side([] { return std::make_unique<RemoteRig<Side>>(); }, content_number,
                              100);
}

/// A local side that has the same scenes when it is opened again, as a file would have.
struct ReopenedBoard : DeletingBoard {
    static inline std::unique_ptr<DeletingBoard> file{};
    ~ReopenedBoard() { file = std::make_unique<DeletingBoard>(static_cast<DeletingBoard&>(*this)); }
};

// ---- broken local sides --------------------------------------------------------------------------

struct BoardWithAScene : DeletingBoard {
    BoardWithAScene() { scenes["check"] = {"x", ms(1)}; }
};
struct BoardThatRefuses : DeletingBoard {
    BoardThatRefuses() { refuses = std::make_error_code(std::errc::io_error); }
};
struct BoardThatKeepsTheLater : DeletingBoard {
    std::error_code apply(std::string_view session, const Drawing& scene, Origin origin) {
        if (scenes.contains(session) && scene.stamp < scenes.find(session)->second.stamp) return {};
        return DeletingBoard::apply(session, scene, origin);
    }
};
struct BoardThatLosesStamps : DeletingBoard {
    std::error_code apply(std::string_view session, const Drawing& scene, Origin origin) {
        return DeletingBoard::apply(session, {scene.content, {}}, origin);
    }
};
struct BoardThatListsNothing : DeletingBoard {
    std::vector<std::string> sessions() { return {}; }
};
struct BoardWithABase : DeletingBoard {
    BoardWithABase() { bases["check"] = {ms(1), 1}; }
};
struct BoardThatKeepsTheFirstBase : DeletingBoard {
    std::error_code store_base(std::string_view session, const part::SceneBase& base) {
        bases.emplace(std::string{session}, base);
        return {};
    }
};
struct BoardThatTakesNoneForRemote : DeletingBoard {
    std::error_code store_base(std::string_view session, part::SceneBase base) {
        base.made_by = base.made_by == Origin::local ? Origin::local : Origin::remote;
        return DeletingBoard::store_base(session, base);
    }
};
struct BoardThatTakesDeletionsForItsOwn : DeletingBoard {
    std::error_code store_base(std::string_view session, part::SceneBase base) {
        if (base.made_by) base.made_by = base.removed ? Origin::local : Origin::remote;
        return DeletingBoard::store_base(session, base);
    }
};
struct BoardThatKeepsAKnownMaker : DeletingBoard {
    std::error_code store_base(std::string_view session, part::SceneBase base) {
        const auto at = bases.find(session);
        if (!base.made_by && at != bases.end()) base.made_by = at->second.made_by;
        return DeletingBoard::store_base(session, base);
    }
};
struct BoardThatStampsByBases : DeletingBoard {
    std::error_code store_base(std::string_view session, const part::SceneBase& base) {
        scenes[std::string{session}].stamp = base.stamp;
        return DeletingBoard::store_base(session, base);
    }
};
struct BoardThatForgetsBases : DeletingBoard {
    std::error_code apply(std::string_view session, const Drawing& scene, Origin origin) {
        bases.clear();
        return DeletingBoard::apply(session, scene, origin);
    }
};
struct BoardThatKeepsScenes : DeletingBoard {
    std::error_code remove_scene(std::string_view, Origin) { return {}; }
};

// ---- broken remote sides -------------------------------------------------------------------------

struct SilentServer : DeletingServer {
    SilentServer() { behaviour = Behaviour::hangs; }
};
struct DroppingServer : DeletingServer {
    DroppingServer() { behaviour = Behaviour::drops; }
};
struct ServerWithAScene : DeletingServer {
    ServerWithAScene() { scenes["two"] = {"x", ms(1)}; }
};
struct ServerThatFailsForUnknown : DeletingServer {
    void fetch(std::string_view session, Completion<Got> done) {
        if (!scenes.contains(session)) return done(Got::failure(Failure{Cause::permanent}));
        DeletingServer::fetch(session, std::move(done));
    }
};
struct ServerThatRefuses : DeletingServer {
    void push(std::string_view, const Drawing&, Completion<Failure> done) {
        done(Failure{Cause::forbidden});
    }
};
struct ServerThatKeepsTheFirst : DeletingServer {
    ServerThatKeepsTheFirst() {
        stores = [](const Drawing* had, const Drawing& scene) {
            return had != nullptr ? *had : scene;
        };
    }
};
struct ServerThatStampsFetches : DeletingServer {
    void fetch(std::string_view session, Completion<Got> done) {
        for (auto& [name, scene] : scenes) scene.stamp = ms(++time);
        DeletingServer::fetch(session, std::move(done));
    }
    std::int64_t time = 0;
};
struct ServerOfOneScene : DeletingServer {
    void fetch(std::string_view, Completion<Got> done) {
        DeletingServer::fetch("one", std::move(done));
    }
    void push(std::string_view, const Drawing& scene, Completion<Failure> done) {
        DeletingServer::push("one", scene, std::move(done));
    }
};
struct ServerThatAppends : DeletingServer {
    ServerThatAppends() {
        stores = [](const Drawing* had, const Drawing& scene) {
            Drawing taken = scene;
            if (had != nullptr && had->content == scene.content) taken.content += "!";
            return std::optional{taken};
        };
    }
};
struct ServerWithoutTombstones : DeletingServer {
    void remove_scene(std::string_view session, const part::SceneRemoval&,
                      Completion<Failure> done) {
        scenes.erase(std::string{session});
        done(Failure{});
    }
};
struct ServerThatNeverRevives : DeletingServer {
    ServerThatNeverRevives() {
        stores = [](const Drawing* had, const Drawing& scene) {
            Drawing taken = scene;
            taken.removed = scene.removed || (had != nullptr && had->removed);
            return std::optional{taken};
        };
    }
};
struct ServerThatStopsAfterGivenUpCalls : DeletingServer {
    void fetch(std::string_view session, Completion<Got> done) {
        if (++calls >= 16) given_up = true;
        if (given_up && calls > 16) return kept.push_back(std::move(done));
        DeletingServer::fetch(session, std::move(done));
    }
    int calls = 0;
    bool given_up = false;
    std::vector<Completion<Got>> kept{};
};

}  // namespace

TEST_CASE("check::local_side accepts the local sides of the tests", "[sync][bridge_check]") {
    CHECK_FALSE(fault_of_local<Board>());
    CHECK_FALSE(fault_of_local<RememberingBoard>());
    CHECK_FALSE(fault_of_local<DeletingBoard>());
    const auto make = []() -> std::unique_ptr<DeletingBoard> {
        return std::make_unique<DeletingBoard>();
    };
    // A side that has lost everything when it is opened again.
    CHECK(check::local_side(make, content_number, make) == LocalRule::reopening_keeps_everything);
    const auto reopen = [] {
        auto board = std::make_unique<ReopenedBoard>();
        static_cast<DeletingBoard&>(*board) = *ReopenedBoard::file;
        return board;
    };
    CHECK_FALSE(check::local_side([] { return std::make_unique<ReopenedBoard>(); }, content_number,
                                  reopen));
}

TEST_CASE("check::local_side detects each mistake", "[sync][bridge_check]") {
    CHECK(fault_of_local<BoardWithAScene>() == LocalRule::starts_empty);
    CHECK(fault_of_local<BoardThatRefuses>() == LocalRule::accepts_scenes);
    CHECK(fault_of_local<BoardThatKeepsTheLater>() == LocalRule::reads_what_was_applied);
    CHECK(fault_of_local<BoardThatLosesStamps>() == LocalRule::reads_what_was_applied);
    CHECK(fault_of_local<BoardThatListsNothing>() == LocalRule::lists_what_it_has);
    CHECK(fault_of_local<BoardWithABase>() == LocalRule::has_no_base_at_first);
    CHECK(fault_of_local<BoardThatKeepsTheFirstBase>() == LocalRule::keeps_the_last_base);
    CHECK(fault_of_local<BoardThatTakesNoneForRemote>() == LocalRule::keeps_the_last_base);
    CHECK(fault_of_local<BoardThatTakesDeletionsForItsOwn>() == LocalRule::keeps_the_last_base);
    CHECK(fault_of_local<BoardThatKeepsAKnownMaker>() == LocalRule::keeps_the_last_base);
    CHECK(fault_of_local<BoardThatStampsByBases>() == LocalRule::base_changes_no_scene);
    CHECK(fault_of_local<BoardThatForgetsBases>() == LocalRule::scene_changes_no_base);
    CHECK(fault_of_local<BoardThatKeepsScenes>() == LocalRule::removes_scenes);
}

TEST_CASE("check::remote_side accepts every kind of server that stores contents as they are",
          "[sync][bridge_check]") {
    CHECK_FALSE(fault_of_remote<Server>());
    CHECK_FALSE(fault_of_remote<DeletingServer>());
    for (const auto& [kind, name] : server_kinds) {
        INFO(name);
        const auto fault = check::remote_side(
            [of = kind] {
                auto rig = std::make_unique<RemoteRig<Server>>();
                become(rig->remote, of, rig->world);
                return rig;
            },
            content_number);
        if (kind == ServerKind::rewrites) {
            CHECK(fault == RemoteRule::returns_what_was_pushed);
        } else {
            CHECK_FALSE(fault);
        }
    }
}

TEST_CASE("check::remote_side detects each mistake", "[sync][bridge_check]") {
    CHECK(fault_of_remote<SilentServer>() == RemoteRule::answers_each_call);
    CHECK(fault_of_remote<DroppingServer>() == RemoteRule::answers_each_call);
    CHECK(fault_of_remote<ServerWithAScene>() == RemoteRule::starts_empty);
    CHECK(fault_of_remote<ServerThatFailsForUnknown>() == RemoteRule::starts_empty);
    CHECK(fault_of_remote<ServerThatRefuses>() == RemoteRule::accepts_scenes);
    CHECK(fault_of_remote<ServerThatKeepsTheFirst>() == RemoteRule::returns_what_was_pushed);
    CHECK(fault_of_remote<ServerThatStampsFetches>() == RemoteRule::stamps_only_changes);
    CHECK(fault_of_remote<ServerOfOneScene>() == RemoteRule::keeps_sessions_apart);
    CHECK(fault_of_remote<ServerThatAppends>() == RemoteRule::repeats_harmlessly);
    CHECK(fault_of_remote<ServerWithoutTombstones>() == RemoteRule::keeps_tombstones);
    CHECK(fault_of_remote<ServerThatNeverRevives>() == RemoteRule::a_push_ends_a_deletion);
    CHECK(fault_of_remote<ServerThatStopsAfterGivenUpCalls>());
}

TEST_CASE("the rules of both sides of a bridge are sentences", "[sync][bridge_check]") {
    for (int i = 0; i < 10; ++i) {
        CHECK(std::string_view{to_string(static_cast<LocalRule>(i))}.size() > 20);
        CHECK(std::string_view{to_string(static_cast<RemoteRule>(i))}.size() > 20);
    }
    CHECK(std::string_view{to_string(static_cast<LocalRule>(10))} == "unknown");
    CHECK(std::string_view{to_string(static_cast<RemoteRule>(10))} == "unknown");
}
