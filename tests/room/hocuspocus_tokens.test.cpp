// SPDX-License-Identifier: MIT
// Goal: a client uses at most its share of authorizer checks, and leaves its rooms when its
// connection closes. Method: connections in simulated worlds whose checks hang.
#include <belay/room/protocols.hpp>

#include <algorithm>

#include "support/catch.hpp"
#include "support/room/hocuspocus_client.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// A server whose checks of fresh tokens hang, and a client of so many documents.
struct TokenFlood {
    explicit TokenFlood(int documents, RoomOptions options = {}) : w{Seed{1}, options} {
        eve.dial();
        for (int i = 0; i < documents; ++i) eve.token(name(i), "eve");
        w.run(5s);
        REQUIRE(w.rooms().clients() == static_cast<std::size_t>(documents));
        w.rights.hangs = true;
        w.rights.checks = 0;
    }
    static std::string name(int i) { return "doc" + std::to_string(i); }
    /// The number of hanging checks whose answer is still wanted.
    [[nodiscard]] long wanted() const {
        return std::count_if(w.rights.hung.begin(), w.rights.hung.end(),
                             [](const auto& one) { return one.wanted(); });
    }

    RoomWorld w;
    HocuspocusClient eve{w, "eve"};
};

}  // namespace

TEST_CASE("hocuspocus: at most eight fresh tokens of a client are checked at once",
          "[room][hocuspocus][sim]") {
    TokenFlood f{20};
    for (int i = 0; i < 200; ++i) f.eve.token(TokenFlood::name(i % 20), "fresh");
    f.w.run(9s);
    CHECK(f.w.rights.checks == 8);
    CHECK(f.wanted() == 8);
    // These checks are answered, and the next eight tokens are read.
    const auto answers = [&] {
        auto hung = std::exchange(f.w.rights.hung, {});
        for (auto& one : hung) one(Grant{"eve", Access::edit, forever});
    };
    answers();
    f.w.run(500ms);
    CHECK(f.w.rights.checks == 16);
    f.w.rights.hangs = false;
    answers();
    f.w.run(10s);
    CHECK(f.w.rights.checks >= 20);
    CHECK(f.w.rooms().clients() == 20);
    CHECK(f.eve.closed_with == 0);
}

TEST_CASE("hocuspocus: a frame with a token has at most 8 KiB", "[room][hocuspocus][sim]") {
    RoomWorld w;
    HocuspocusClient eve{w, "eve"};
    const bool fits = GENERATE(true, false);
    eve.dial();
    eve.token("doc", std::string(fits ? 8'100 : 8'192, 'x'));
    w.run(1s);
    CHECK(w.rooms().clients() == (fits ? 1 : 0));
    CHECK(w.rooms().counters().reasons.of(RoomErrc::frame_too_large) == (fits ? 0 : 1));
}

TEST_CASE("hocuspocus: tokens sent before a document was open share the same limit of checks",
          "[room][hocuspocus][sim]") {
    TokenFlood f{1, {.read_rate_max = 240 << 10}};
    // Seven documents each hold a fresh token until they are admitted. Then the rate is used up.
    for (int i = 1; i < 8; ++i) {
        f.eve.token(TokenFlood::name(i), "eve");
        f.eve.token(TokenFlood::name(i), "fresh");
    }
    const int pings = GENERATE(180, 200, 250, 450);
    CAPTURE(pings);
    for (int i = 0; i < pings; ++i) f.eve.send("09");
    for (int i = 8; i < 16; ++i) f.eve.token(TokenFlood::name(i), "eve");
    f.w.run(10ms);
    const auto answers = [&] {
        for (auto& one : std::exchange(f.w.rights.hung, {}))
            one(Grant{"eve", Access::edit, forever});
    };
    answers();
    for (int i = 0; i < 50; ++i) {
        f.w.run(100ms);
        REQUIRE(f.wanted() <= 8);
    }
    CHECK(f.wanted() == 8);
    f.w.rights.hangs = false;
    answers();
    f.w.run(10s);
    CHECK(f.w.rooms().clients() == 16);
    CHECK(f.eve.closed_with == 0);
}

TEST_CASE("hocuspocus: one token of a document is checked at a time, and the last token counts",
          "[room][hocuspocus][sim]") {
    TokenFlood f{1};
    f.eve.token("doc0", "old");
    f.w.run(1s);
    for (int i = 0; i < 50; ++i) f.eve.token("doc0", "between");
    f.eve.token("doc0", "new");
    f.w.run(2s);
    CHECK(f.w.rights.checks == 1);
    REQUIRE(f.w.rights.hung.size() == 1);
    f.w.rights.hangs = false;
    f.w.rights.grants["new"] = Grant{"eve", Access::view, forever};
    static_cast<void>(f.eve.received());
    SECTION("the result of the older check is superseded") {
        f.w.rights.hung.front()(Grant{});
        f.w.run(1s);
        CHECK(f.w.rights.checks == 2);
        CHECK(f.w.rooms().clients() == 1);
        REQUIRE(f.eve.received().size() == 1);  // the grant of the newer token
    }
    SECTION("a grant of the older token counts meanwhile") {
        f.w.rights.hung.front()(Grant{"eve", Access::edit, forever});
        f.w.run(1s);
        CHECK(f.w.rights.checks == 2);
        CHECK(f.eve.received().size() == 2);
    }
    SECTION("more tokens do not delay an answer") {
        f.w.rights.hangs = true;
        f.w.rights.hung.front()(Grant{});
        f.w.run(5s);
        CHECK(f.w.rooms().clients() == 1);
        f.w.run(3s);  // 10 s since the first
        CHECK(f.w.rooms().clients() == 0);
    }
}

TEST_CASE("hocuspocus: closing a document before its check ends does not allow more checks",
          "[room][hocuspocus][sim]") {
    TokenFlood f{1};
    for (int i = 0; i < 100; ++i) {
        f.eve.token("other", "eve");
        f.eve.send("other", "07");
    }
    f.w.run(9s);
    CHECK(f.w.rights.checks == 8);
    f.w.run(10s);  // 10 s each, eight at a time
    CHECK(f.w.rights.checks == 16);
    f.w.rights.hung.clear();
    f.w.rights.hangs = false;
    f.w.run(30s);
    f.eve.send("0a");
    f.eve.token("other", "eve");
    f.w.run(10s);
    CHECK(f.w.rooms().clients() == 2);
    CHECK(f.eve.closed_with == 0);
}

TEST_CASE("hocuspocus: a client that is not being read leaves when its connection closes",
          "[room][hocuspocus][sim]") {
    TokenFlood f{1, {.check_within = 1min}};
    RoomEditor bob{f.w, "bob", 2};
    f.w.requests["bob"] = {.room_id = "doc0", .token = "bob"};
    f.w.rights.hangs = false;
    bob.dial();
    f.w.run(1s);
    f.w.rights.hangs = true;
    f.eve.send("doc0", "0106010700027b7d");
    f.w.run(1s);
    CHECK(bob.present.contains(7));
    const bool by_checks = GENERATE(true, false);
    CAPTURE(by_checks);
    if (by_checks) {
        for (int i = 0; i < 8; ++i) f.eve.token("more" + std::to_string(i), "eve");
    } else {
        f.eve.token("more", "eve");
        Bytes long_one{std::byte{0}, std::byte{2}};
        yjs::append_varbytes(long_one, typed(9, 0, std::string(32'000, 'x')));
        for (int i = 0; i < 36; ++i) f.eve.send("more", to_hex(long_one));
    }
    f.w.run(1s);
    // A change that was sent before the connection closed is applied.
    Bytes last{std::byte{0}, std::byte{2}};
    yjs::append_varbytes(last, typed(9, 0, "last words"));
    f.eve.send("doc0", to_hex(last));
    f.w.run(100ms);
    f.eve.hang_up();
    f.w.run(3s);
    CHECK_FALSE(bob.present.contains(7));
    CHECK(bob.has(typed(9, 0, "last words")));
    CHECK(f.w.rooms().clients() == 1);
    CHECK(f.wanted() == 0);
}

TEST_CASE("hocuspocus: state vectors that wait for answers count towards a budget",
          "[room][hocuspocus][sim]") {
    RoomWorld w{Seed{1}, {.client_bytes_max = 200'000}};
    StoredRoom large;
    for (std::uint64_t i = 0; i < 100; ++i)
        large.updates.push_back(typed(1000 + i, 0, std::string(100'000, 'x')));
    w.rooms().import_room("doc0", std::move(large),
                          Completion<PersistenceError>{[](auto) noexcept {}});
    w.world.network().window_bytes(10'000);
    HocuspocusClient eve{w, "eve"};
    eve.dial();
    for (int i = 0; i < 40; ++i) eve.token(TokenFlood::name(i), "eve");
    w.run(10s);
    REQUIRE(w.rooms().clients() == 40);
    // The first answer takes long, and the others wait for it.
    Bytes vector;
    yjs::append_varuint(vector, 10'000);
    for (std::uint64_t id = 10'000; id < 20'000; ++id) {
        yjs::append_varuint(vector, id);
        yjs::append_varuint(vector, 1);
    }
    const auto ask = [&](int i, const Bytes& what) {
        Bytes body{std::byte{0}, std::byte{0}};
        yjs::append_varbytes(body, what);
        eve.send(TokenFlood::name(i), to_hex(body));
    };
    ask(0, Bytes(1));
    for (int i = 1; i < 40; ++i) ask(i, vector);
    w.run(8s);
    const std::size_t gone = 40 - eve.unsent();
    CHECK(gone >= 5);
    // Eight wait to be read.
    CHECK(gone <= 1 + 200'000 / vector.size() + 4 + 8);
    // The others are answered after the first one.
    w.world.network().window_bytes(1'000'000);
    for (int i = 0; i < 3; ++i) {
        w.run(10s);
        eve.send("0a");
    }
    CHECK(eve.unsent() == 0);
    CHECK(w.rooms().clients() == 40);
}

TEST_CASE(
    "hocuspocus: messages for a document before admission hold at most the budget and one frame",
    "[room][hocuspocus][sim]") {
    const std::size_t frame = GENERATE(std::size_t{1000}, std::size_t{70'000});
    CAPTURE(frame);
    TokenFlood f{1, {.client_bytes_max = 50'000}};
    f.w.world.network().window_bytes(1000);
    f.eve.token("more", "eve");
    f.w.run(100ms);
    Bytes update{std::byte{0}, std::byte{2}};
    yjs::append_varbytes(update, typed(9, 0, std::string(frame, 'x')));
    for (int i = 0; i < 200; ++i) f.eve.send("more", to_hex(update));
    f.w.run(5s);
    const std::size_t gone = 200 - f.eve.unsent();
    const std::size_t held = frame < 50'000 ? 50'000 / frame : 1;
    // At most one token is beyond the budget, eight wait to be read, and a part of the next one is
    // in the network.
    CHECK(gone >= held);
    CHECK(gone <= held + 10);
}

TEST_CASE("hocuspocus: messages after a fresh token are checked against the new grant",
          "[room][hocuspocus][sim]") {
    RoomWorld w;
    w.rights.grants["weak"] = Grant{"eve", Access::view, forever};
    w.rights.grants["stolen"] = Grant{};
    HocuspocusClient eve{w, "eve"};
    eve.enter({"doc", "other"});
    const auto output = [&] {
        Bytes body{std::byte{0}, std::byte{2}};
        yjs::append_varbytes(body, typed(9, 0, "hi"));
        eve.send("doc", to_hex(body));
    };
    SECTION("the new grant only allows viewing") {
        eve.token("doc", "weak");
        output();
        w.run(1s);
        CHECK(w.rooms().counters().denied == 1);
    }
    SECTION("the new grant allows no access") {
        eve.token("doc", "stolen");
        output();
        w.run(1s);
        CHECK(w.rooms().clients() == 1);
    }
    CHECK(w.rooms().counters().updates == 0);
    CHECK(eve.closed_with == 0);
}

TEST_CASE("hocuspocus: a fresh token of another user replaces the user in the room",
          "[room][hocuspocus][sim]") {
    RoomWorld w;
    RoomEditor ann{w, "ann", 1};
    w.requests["ann"] = {.room_id = "doc", .token = "ann"};
    HocuspocusClient eve{w, "eve"};
    eve.enter({"doc"});
    ann.dial();
    eve.send("doc", "0106010700027b7d");
    w.run(1s);
    w.events.clear();
    SECTION("a user without access is reported neither as joined nor as left") {
        w.rights.grants["bob"] = GENERATE(Grant{}, Grant{.user = "bob"});
        eve.token("doc", "bob");
        w.run(1s);
        CHECK(w.events == std::vector<std::string>{"left doc eve 1"});
        CHECK_FALSE(ann.present.contains(7));
    }
    SECTION("a user with access joins and takes over the awareness ids") {
        eve.token("doc", "bob");
        w.run(1s);
        CHECK(w.events == std::vector<std::string>{"left doc eve 1", "joined doc bob 2"});
        CHECK(w.rooms().stats("doc")->clients == 2);
        CHECK(ann.present.contains(7));
        // The awareness ids belong to the new user, and are removed when that user leaves.
        eve.hang_up();
        w.run(1s);
        CHECK(w.events.back() == "left doc bob 1");
        CHECK_FALSE(ann.present.contains(7));
        w.rights.grants["eve"] = Grant{"bob", Access::edit, forever};
        eve.enter({"doc"});
        eve.send("doc", "0106010702027b7d");
        w.run(1s);
        CHECK(ann.present.contains(7));
    }
    SECTION("another user cannot take the awareness ids") {
        eve.token("doc", "bob");
        w.run(1s);
        HocuspocusClient mal{w, "mal"};
        w.rights.grants["mal"] = Grant{"eve", Access::edit, forever};
        mal.enter({"doc"});
        mal.send("doc", "0106010705027b7d");
        w.run(1s);
        CHECK(mal.closed_with == 0);
        mal.hang_up();
        w.run(1s);
        CHECK(ann.present.contains(7));
    }
}
