// SPDX-License-Identifier: MIT
// Goal: the documents of one connection are independent, and share the limits of one client.
// Method: connections with several documents in simulated worlds, where one document is
// rejected, hangs, ends or is slow; mutated frames.
#include <belay/room/protocols.hpp>

#include <algorithm>

#include "support/catch.hpp"
#include "support/room/hocuspocus_client.hpp"
#include "support/seeds.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

constexpr const char* let_in = "02020a726561642d7772697465";
constexpr const char* let_look = "020208726561646f6e6c79";
constexpr const char* durable = "0801";

std::string named(std::string_view name, std::string_view body) {
    Bytes frame;
    yjs::append_varbytes(frame, as_bytes(name));
    return to_hex(frame) + std::string{body};
}
std::string text_frame(std::string_view head, std::string_view text) {
    Bytes frame = from_hex(head);
    yjs::append_varbytes(frame, as_bytes(text));
    return to_hex(frame);
}
const std::string forbidden_text = make_error_code(RoomErrc::forbidden).message();
const std::string unauthorized_text = make_error_code(RoomErrc::unauthorized).message();

}  // namespace

TEST_CASE("hocuspocus: a rejected document does not affect the client's other documents",
          "[room][hocuspocus][sim]") {
    RoomWorld w;
    w.rights.grants["ada@secret"] = Grant{.user = "ada"};
    w.rights.grants["bad"] = Grant{};
    HocuspocusClient ada{w, "ada"};
    ada.dial();
    ada.token("one", "ada");
    ada.token("secret", "ada");
    ada.token("two", "bad");
    ada.token("three", "ada");
    ada.token(std::string(101, 'x'), "ada");  // not a valid room id
    ada.token("", "ada");
    ada.token("a\nb", "ada");
    w.run(1s);
    const Frames received = ada.received();
    CHECK(count_of(received, named("one", let_in)) == 1);
    CHECK(count_of(received, named("three", let_in)) == 1);
    const std::string no = text_frame("0201", forbidden_text);
    CHECK(count_of(received, named("secret", no)) == 1);
    CHECK(count_of(received, named("two", text_frame("0201", unauthorized_text))) == 1);
    // The answer for an invalid room id is the same as for a room without access.
    CHECK(count_of(received, named(std::string(101, 'x'), no)) == 1);
    CHECK(count_of(received, named("", no)) == 1);
    CHECK(count_of(received, named("a\nb", no)) == 1);
    CHECK(received.size() == 7);
    // The reports do not contain an invalid id either, because it may contain line breaks.
    const std::string none = "rejected  : " + make_error_code(RoomErrc::bad_room_id).message();
    CHECK(std::count(w.reported.begin(), w.reported.end(), none) == 3);
    CHECK(w.rooms().clients() == 2);
    CHECK(w.rooms().rooms() == 2);
    ada.send("one", update_frame(7, 0, "still"));
    w.run(1s);
    CHECK(ada.received() == Frames{named("one", durable)});
    // A rejected client may send another token.
    w.rights.grants.erase("ada@secret");
    ada.token("secret", "ada");
    w.run(1s);
    CHECK(ada.received() == Frames{named("secret", let_in)});
    CHECK(ada.closed_with == 0);
}

TEST_CASE("hocuspocus: a token is valid for its document only", "[room][hocuspocus][sim]") {
    RoomWorld w;
    w.rights.grants["key"] = Grant{.user = "ada"};
    w.rights.grants["key@one"] = Grant{"ada", Access::edit, forever};
    HocuspocusClient ada{w, "ada"};
    ada.dial();
    ada.token("one", "key");
    ada.token("two", "key");
    w.run(1s);
    const Frames received = ada.received();
    CHECK(received.size() == 2);
    CHECK(count_of(received, named("one", let_in)) == 1);
    CHECK(count_of(received, named("two", text_frame("0201", forbidden_text))) == 1);
    CHECK(w.rights.checks == 2);
}

TEST_CASE("hocuspocus: a check or a load that hangs delays its document only",
          "[room][hocuspocus][sim]") {
    RoomWorld w;
    HocuspocusClient ada{w, "ada"};
    ada.enter({"one"});
    w.rights.hangs_for = "two";
    w.disk.hang_loads = 1;
    ada.token("two", "ada");
    ada.send("two", ask_state);
    ada.token("three", "ada");
    ada.send("three", ask_state);
    w.run(100ms);
    static_cast<void>(ada.received());
    for (int i = 0; i < 9; ++i) {
        ada.send("one", update_frame(7, static_cast<std::uint64_t>(i), "x"));
        w.run(1s);
        CHECK(ada.received() == Frames{named("one", durable)});
    }
    w.run(30s);
    const Frames received = ada.received();
    CHECK(count_of(received,
                   named("two",
                         text_frame("0201", make_error_code(RoomErrc::no_answer).message()))) == 1);
    CHECK(ada.closed_with == 0);
}

TEST_CASE("hocuspocus: a message that arrives during a reload of its room is applied after it",
          "[room][hocuspocus][sim]") {
    RoomWorld w;
    RoomEditor ada{w, "ada", 1};
    RoomEditor bob = RoomEditor::addressed(w, "bob", 2);
    w.dial(ada, bob);
    w.disk.fail_flushes = 1;
    w.disk.load_takes = 2s;
    ada.type("lost");
    w.run(1s);
    CHECK(ada.closed_with == 1013);
    CHECK(bob.online());
    const Bytes update = bob.type("meanwhile");
    w.run(500ms);
    CHECK(bob.unsynced == 1);
    w.run(1s);
    CHECK(bob.unsynced == 0);
    w.dial(ada);
    CHECK(ada.has(update));
    CHECK(ada.document() == bob.document());
}

TEST_CASE("hocuspocus: a client may send tokens for ten thousand documents",
          "[room][hocuspocus][sim]") {
    // Also one that may have as many clients.
    RoomWorld w{Seed{1},
                {.clients_per_user_max = GENERATE(RoomOptions{}.clients_per_user_max, no_limit),
                 .read_rate_max = std::size_t{1} << 32}};
    HocuspocusClient eve{w, "eve"};
    RoomEditor bob{w, "bob", 2};
    bob.dial();
    eve.dial();
    long granted = 0;
    long refused = 0;
    for (int i = 0; i < 10'000; ++i) {
        eve.token("doc" + std::to_string(i), "eve");
        if (i % 50 == 49) w.run(50ms);
        for (const std::string& frame : eve.received()) {
            granted += frame.ends_with(let_in) ? 1 : 0;
            refused += frame.find("0201") != std::string::npos ? 1 : 0;
        }
    }
    w.run(10s);
    for (const std::string& frame : eve.received()) refused += frame.size() > 40 ? 1 : 0;
    CHECK(granted == 100);
    CHECK(refused == 9'900);
    CHECK(w.rooms().observer().last_limit.empty());  // no option raises it
    CHECK(w.rooms().rooms() == 101);
    CHECK(eve.closed_with == 0);
    CHECK(bob.online());
    // After one document is closed, another one can be opened.
    eve.send("doc5", "07");
    eve.token("last", "eve");
    w.run(1s);
    CHECK(eve.received() == Frames{named("last", let_in)});
}

TEST_CASE("hocuspocus: a client that reads no answers is closed", "[room][hocuspocus][sim]") {
    // The client does not read rejections in one case, and grants in the other.
    const bool closes = GENERATE(false, true);
    RoomWorld w{Seed{1}, {.read_rate_max = std::size_t{1} << 32}};
    w.world.network().window_bytes(2000);
    HocuspocusClient eve{w, "eve"};
    eve.enter({"doc"});
    eve.stall(true);
    for (int i = 0; i < 2000; ++i) {
        eve.token("doc" + std::to_string(i), "eve");
        if (i % 10 == 0) w.run(10ms);
        if (closes && i >= 20) eve.send("doc" + std::to_string(i - 20), "07");
    }
    w.run(1s);
    eve.stall(false);
    w.run(5s);
    CHECK_FALSE(eve.open());
    CHECK(w.rooms().clients() == 0);
}

TEST_CASE(
    "hocuspocus: document names may have slashes, and one client may open a document several times",
    "[room][hocuspocus][sim]") {
    using std::string_view;
    RoomWorld w;
    HocuspocusClient ada{w, "ada"};
    ada.dial();
    ada.token("a/b/../c", "ada");
    const string_view first{"doc\0first", 9};
    const string_view second{"doc\0second", 10};
    ada.token(first, "ada");
    ada.token(second, "ada");
    w.run(1s);
    CHECK(ada.received() ==
          Frames{named("a/b/../c", let_in), named(first, let_in), named(second, let_in)});
    CHECK(w.rooms().get_state("a/b/../c").has_value());
    CHECK(w.rooms().stats("doc")->clients == 2);
    const std::string update = update_frame(7, 0, "hi");
    ada.send(first, update);
    w.run(1s);
    Frames received = ada.received();
    CHECK(received.size() == 2);
    CHECK(count_of(received, named(first, durable)) == 1);
    CHECK(count_of(received, named(second, update)) == 1);
    // Each document has its own awareness ids.
    ada.send(first, "0106010700027b7d");
    ada.send(second, "0106010800027b7d");
    w.run(1s);
    static_cast<void>(ada.received());
    ada.send(first, "07");
    w.run(1s);
    CHECK(ada.received() == Frames{named(second, "0108010709046e756c6c")});
    CHECK(w.rooms().stats("doc")->clients == 1);
}

TEST_CASE("hocuspocus: a document that was closed can be opened again at once",
          "[room][hocuspocus][sim]") {
    RoomWorld w;
    w.disk.flush_takes = 500ms;
    HocuspocusClient ada{w, "ada"};
    ada.enter({"doc"});
    ada.send("doc", update_frame(7, 0, "hi"));
    ada.send("doc", "07");
    ada.token("doc", "ada");
    ada.send("doc", ask_state);
    w.run(5s);
    const Frames received = ada.received();
    // The client would take the status of an earlier change for that of a later one.
    CHECK(count_of(received, named("doc", durable)) == 0);
    CHECK(received.front() == named("doc", let_in));
    CHECK(w.rooms().clients() == 1);
    ada.send("doc", "07");
    w.run(9s);
    CHECK(ada.closed_with == 0);
    w.run(2s);
    CHECK(ada.closed_with == 4001);  // it had no document any more
}

// ---- rights ------------------------------------------------------------------------------------

TEST_CASE("hocuspocus: a viewer receives the scope readonly and a rejection for each change",
          "[room][hocuspocus][sim]") {
    RoomWorld w;
    w.rights.grants["vera"] = Grant{"vera", Access::view, forever};
    RoomEditor ada{w, "ada", 1};
    RoomEditor vera = RoomEditor::addressed(w, "vera", 2);
    ada.dial();
    ada.type("of an editor");
    w.dial(vera);
    CHECK(vera.scope == "readonly");
    CHECK(vera.synced);
    CHECK(vera.unsynced == 0);
    CHECK(vera.document() == ada.document());
    const Bytes refused = vera.type("of a viewer");
    w.run(1s);
    CHECK(vera.unsynced == 1);
    CHECK(vera.refusals == 1);
    CHECK_FALSE(ada.has(refused));
    CHECK(w.rooms().counters().denied == 1);
    CHECK(vera.online());
    // Changes that a viewer made offline are rejected too, and the viewer's count of unsynced
    // changes shows it.
    w.dial(vera);
    CHECK(vera.unsynced == 1);
    CHECK_FALSE(ada.has(refused));
    // After the viewer may edit, all of its changes are applied.
    w.rights.grants["vera"].access = Access::edit;
    w.rooms().reauthorize("board");
    w.run(1s);
    CHECK(vera.scope == "read-write");
    CHECK(vera.unsynced == 0);
    CHECK(ada.has(refused));
    w.rights.grants["vera"].access = Access::comment;
    w.rooms().reauthorize("board");
    w.run(1s);
    CHECK(vera.scope == "readonly");
}

TEST_CASE(
    "hocuspocus: the server requests a fresh token before a grant expires, and the token renews it",
    "[room][hocuspocus][sim]") {
    RoomWorld w;
    w.rights.grants["ada"] = Grant{"ada", Access::edit, 60s};
    w.rights.grants["fresh"] = Grant{"ada", Access::view, 60s};
    HocuspocusClient ada{w, "ada"};
    HocuspocusClient bob{w, "bob"};
    for (HocuspocusClient* client : {&ada, &bob}) {
        client->dial();
        client->token("doc", "ada");
        client->token("other", "else");
    }
    w.run(45s);
    static_cast<void>(ada.received());
    static_cast<void>(bob.received());
    const auto live = [&] {
        ada.send("0a");
        bob.send("0a");
    };
    live();
    w.run(10s);
    CHECK(count_of(ada.received(), named("doc", "0200")) == 1);
    CHECK(count_of(bob.received(), named("doc", "0200")) == 1);
    ada.token("doc", "fresh");
    w.run(10s);
    live();
    CHECK(count_of(ada.received(), named("doc", let_look)) == 1);
    const Frames ends = bob.received();
    CHECK(count_of(ends, named("doc", text_frame("0201", unauthorized_text))) == 1);
    CHECK(count_of(ends, named("doc", text_frame("07", unauthorized_text))) == 1);
    CHECK(w.rooms().stats("doc")->clients == 1);
    CHECK(w.rooms().stats("other")->clients == 2);
    CHECK(bob.closed_with == 0);
    // An invalid token ends the access that an earlier token gave.
    w.rights.grants["stolen"] = Grant{};
    ada.token("doc", "stolen");
    w.run(1s);
    CHECK(count_of(ada.received(), named("doc", text_frame("0201", unauthorized_text))) == 1);
    CHECK_FALSE(w.rooms().stats("doc")->clients == 1);
    CHECK(w.rooms().stats("other")->clients == 2);
}

TEST_CASE("hocuspocus: a revoked grant closes its document", "[room][hocuspocus][sim]") {
    RoomWorld w;
    HocuspocusClient ada{w, "ada"};
    ada.enter({"doc", "other"});
    w.rights.grants["ada@doc"] = Grant{.user = "ada"};
    CHECK(w.rooms().reauthorize("doc") == 1);
    w.run(1s);
    CHECK(ada.received() == Frames{named("doc", text_frame("0201", forbidden_text)),
                                   named("doc", text_frame("07", forbidden_text))});
    ada.send("doc", update_frame(7, 0, "hi"));
    w.run(1s);
    CHECK(ada.received().empty());
    CHECK(w.rooms().counters().updates == 0);
    CHECK(ada.closed_with == 0);
}

TEST_CASE("hocuspocus: erasing a document does not affect the client's other documents",
          "[room][hocuspocus][sim]") {
    RoomWorld w;
    HocuspocusClient ada{w, "ada"};
    ada.enter({"doc", "other"});
    ada.send("doc", update_frame(7, 0, "hi"));
    w.run(1s);
    static_cast<void>(ada.received());
    int answered = 0;
    const auto done = [&] {
        return Completion<PersistenceError>{[&](std::optional<PersistenceError> error) noexcept {
            if (error && !*error) ++answered;
        }};
    };
    w.disk.flush_takes = 2s;
    w.rooms().erase("doc", done());
    w.run(1s);
    const Frames received = ada.received();
    REQUIRE(received.size() == 2);
    CHECK(received.front().starts_with(named("doc", "0201")));
    CHECK(received.back().starts_with(named("doc", "07")));
    // A document that is opened again before the erase is done waits for it, and is empty
    // afterwards.
    ada.token("doc", "ada");
    w.run(500ms);
    CHECK(count_of(ada.received(), named("doc", let_in)) == 0);
    w.run(2s);
    CHECK(answered == 1);
    CHECK(count_of(ada.received(), named("doc", let_in)) == 1);
    CHECK(w.rooms().get_state("doc")->empty());
    w.rooms().reset("doc", done());
    w.run(3s);
    CHECK(answered == 2);
    ada.send("other", update_frame(7, 0, "still"));
    w.run(3s);
    CHECK(count_of(ada.received(), named("other", durable)) == 1);
    CHECK(ada.closed_with == 0);
}

// ---- one connection ----------------------------------------------------------------------------

TEST_CASE("hocuspocus: a client leaves all its documents when it disconnects, and at the stop",
          "[room][hocuspocus][sim]") {
    RoomWorld w;
    HocuspocusClient ada{w, "ada"};
    HocuspocusClient bob{w, "bob"};
    HocuspocusClient silent{w, "mute"};
    ada.dial();
    w.run(10ms);
    const RoomClientId id = w.last_client;
    bob.dial();
    silent.dial();
    for (HocuspocusClient* client : {&ada, &bob}) {
        client->token("one", "ada");
        client->token("two", "ada");
    }
    w.run(1s);
    CHECK(w.rooms().clients() == 4);
    static_cast<void>(ada.received());
    static_cast<void>(bob.received());
    // The id of one client excludes all clients of its connection.
    CHECK(w.rooms().broadcast("one", from_hex("03"), id));
    w.run(1s);
    CHECK(ada.received().empty());
    CHECK(bob.received() == Frames{named("one", "03")});
    CHECK(w.rooms().remove_client(id));
    CHECK_FALSE(w.rooms().remove_client(id));
    w.run(1s);
    CHECK(ada.closed_with == 1000);
    CHECK(w.rooms().clients() == 2);
    // Each document of a connection has a client.
    CHECK(w.rooms().counters().reasons.of(RoomErrc::client_removed) == 2);
    // A connection without a document counts as one client.
    HocuspocusClient eve{w, "eve"};
    eve.dial();
    w.run(10ms);
    CHECK(w.rooms().remove_client(w.last_client));
    CHECK(w.rooms().counters().reasons.of(RoomErrc::client_removed) == 3);
    // So does a connection whose only document is closed, and waits for the end of its check.
    w.rights.hangs = true;
    HocuspocusClient fay{w, "fay"};
    fay.dial();
    fay.token("one", "fay");
    fay.send("one", "07");
    w.run(10ms);
    CHECK(w.rooms().clients() == 3);
    CHECK(w.rooms().remove_client(w.last_client));
    CHECK(w.rooms().counters().reasons.of(RoomErrc::client_removed) == 4);
    w.rooms().stop();
    // Two documents, and a connection without a document.
    CHECK(w.rooms().counters().reasons.of(RoomErrc::manager_stopped) == 3);
    w.run(3s);
    CHECK(bob.closed_with == 1001);
    CHECK(silent.closed_with == 1001);
    CHECK(w.reported.back() == "stopped: ");
    HocuspocusClient late{w, "late"};
    w.dial(late);
    CHECK(late.closed_with == 1001);
}

TEST_CASE("hocuspocus: either side may ping the other", "[room][hocuspocus][sim]") {
    RoomWorld w;
    HocuspocusClient four{w, "four"};
    HocuspocusClient three{w, "three"};
    four.dial();
    four.token("doc", "four");
    three.dial();
    three.token("doc", "three", false);
    w.run(1s);
    static_cast<void>(four.received());
    static_cast<void>(three.received());
    four.send("09");
    w.run(1s);
    CHECK(four.received() == Frames{"0a"});
    w.run(22s);
    CHECK(four.received() == Frames{"09"});
    // An older provider does not know this frame.
    CHECK(three.received() == Frames{named("doc", "03")});
    four.send("0a");
    w.run(25s);
    CHECK(four.open());
    CHECK_FALSE(three.open());
    CHECK(w.rooms().clients() == 1);
}

TEST_CASE("hocuspocus: all documents of a connection share one budget", "[room][hocuspocus][sim]") {
    RoomWorld w{Seed{1}, {.client_bytes_max = 3000}};
    w.world.network().window_bytes(500);
    RoomEditor ada{w, "ada", 1};
    RoomEditor bob{w, "bob", 2};
    w.requests["ada"] = {.room_id = "one", .token = "ada"};
    w.requests["bob"] = {.room_id = "two", .token = "bob"};
    HocuspocusClient slow{w, "slow"};
    slow.dial();
    slow.token("one", "slow");
    slow.token("two", "slow");
    w.dial(ada, bob);
    slow.stall(true);
    // The updates of each document alone are below the budget.
    for (int i = 0; i < 20; ++i) {
        ada.type(std::string(100, 'a'));
        bob.type(std::string(100, 'b'));
        w.run(100ms);
    }
    CHECK(w.rooms().counters().resyncs == 0);
    slow.stall(false);
    w.run(5s);
    CHECK(w.rooms().counters().resyncs >= 1);
    YjsDocument one;
    YjsDocument two;
    for (const std::string& hex : slow.received()) {
        const Bytes frame = from_hex(hex);
        const auto address = HocuspocusProtocol{}.address(frame);
        REQUIRE(address);
        const auto read = HocuspocusProtocol{}.read(BytesView{frame}.subspan(address->size()));
        if (!read || read->kind != part::RoomMessage::Kind::update) continue;
        static_cast<void>(
            (HocuspocusProtocol{}.room_id(*address) == "one" ? one : two).apply(read->payload));
    }
    CHECK(one.snapshot().front() == ada.document());
    CHECK(two.snapshot().front() == bob.document());
    // A client that accepts nothing is closed, with all its documents.
    slow.stall(true);
    for (int i = 0; i < 60; ++i) {
        ada.type(std::string(100, 'a'));
        bob.type(std::string(100, 'b'));
        w.run(1s);
    }
    CHECK(w.rooms().clients() == 2);
}

TEST_CASE("hocuspocus: bytes that wait in the connection count towards its budget",
          "[room][hocuspocus][sim]") {
    RoomWorld w{Seed{1}, {.client_bytes_max = 3000}};
    RoomEditor ada{w, "ada", 1};
    w.requests["ada"] = {.room_id = "one", .token = "ada"};
    HocuspocusClient slow{w, "slow"};
    slow.dial();
    slow.token("one", "slow");
    w.dial(ada);
    slow.stall(true);
    const auto types = [&](int times) {
        for (int i = 0; i < times; ++i) {
            ada.type(std::string(100, 'a'));
            w.run(100ms);
        }
    };
    types(10);  // some of these wait in the client's mailbox
    const std::size_t before = w.taken["slow"].bytes;
    types(40);
    CHECK(w.taken["slow"].bytes - before <= 1500);
}

TEST_CASE("hocuspocus: a connection counts towards waiting_max before its first token",
          "[room][hocuspocus][sim]") {
    RoomWorld w{Seed{1}, {.waiting_max = 3}};
    std::vector<std::unique_ptr<HocuspocusClient>> clients;
    for (int i = 0; i < 8; ++i) {
        clients.push_back(std::make_unique<HocuspocusClient>(w, "host" + std::to_string(i)));
        clients.back()->dial();
    }
    w.run(1s);
    CHECK(std::count_if(clients.begin(), clients.end(),
                        [](const auto& client) { return client->closed_with == 1013; }) == 5);
    w.run(12s);
    for (const auto& client : clients) CHECK_FALSE(client->open());
    // Their places are free for others.
    clients.front()->dial();
    clients.front()->token("doc", "me");
    w.run(1s);
    CHECK(clients.front()->received() == Frames{named("doc", let_in)});
}

TEST_CASE("hocuspocus: connections that never open leave no state", "[room][hocuspocus][sim]") {
    RoomWorld w{Seed{1}, {.waiting_max = 2}};
    for (int i = 0; i < 10; ++i) {
        w.rooms().accept(AbortedUpgrade{.gone = i < 5}, HocuspocusProtocol{}, {});
        w.run(1min);
    }
    CHECK(w.rooms().counters().upgrades_aborted == 5);
    CHECK(w.rooms().counters().reasons.of(RoomErrc::client_silent) == 5);
    CHECK(w.reported.size() == 5);
    HocuspocusClient ada{w, "ada"};
    ada.dial();
    ada.token("doc", "ada");
    w.run(1s);
    CHECK(ada.received() == Frames{named("doc", let_in)});
    w.rooms().stop();
    w.run(5s);
    CHECK(ada.closed_with == 1001);
    CHECK(w.reported.back() == "stopped: ");
}

TEST_CASE(
    "hocuspocus: one client uses at most eight places of waiting_max, with any number of tokens",
    "[room][hocuspocus][sim]") {
    RoomWorld w{Seed{1}, {.waiting_max = 40}};
    w.rights.takes = 1s;
    HocuspocusClient greedy{w, "greedy"};
    greedy.dial();
    for (int i = 0; i < 50; ++i) greedy.token("doc" + std::to_string(i), "greedy");
    w.run(900ms);
    CHECK(w.rights.checks == 8);
    std::vector<std::unique_ptr<HocuspocusClient>> clients;
    for (int i = 0; i < 11; ++i) {
        clients.push_back(std::make_unique<HocuspocusClient>(w, "host" + std::to_string(i)));
        clients.back()->dial();
        clients.back()->token("doc", "me");
    }
    w.run(20s);
    for (const auto& client : clients) CHECK(client->received().front() == named("doc", let_in));
    CHECK(greedy.received().size() >= 50);
    CHECK(w.rooms().clients() == 61);
    CHECK(w.reported.empty());
    // If a document has no place, its connection is closed, so that the client dials again. A
    // client does not ask again for one document.
    w.rights.takes = 9s;
    for (int i = 0; i < 6; ++i) {
        for (int d = 0; d < 8; ++d)
            clients.at(static_cast<std::size_t>(i))->token("x" + std::to_string(d), "me");
    }
    w.run(2s);
    CHECK(std::count_if(clients.begin(), clients.end(),
                        [](const auto& client) { return client->closed_with == 1013; }) >= 1);
    w.run(20s);
    CHECK(w.rooms().clients() > 61);
}

TEST_CASE(
    "hocuspocus: clients_max limits clients, and waiting_max the clients that are being checked",
    "[room][hocuspocus][sim]") {
    RoomWorld w{Seed{1}, {.clients_max = 6, .waiting_max = 2}};
    w.rights.takes = 1s;
    std::vector<std::unique_ptr<HocuspocusClient>> clients;
    int hosts = 0;
    const auto come = [&](int count) {
        for (int i = 0; i < count; ++i) {
            clients.push_back(
                std::make_unique<HocuspocusClient>(w, "host" + std::to_string(++hosts)));
            clients.back()->dial();
            clients.back()->token("doc", "me");
        }
        w.run(2s);
    };
    for (int i = 0; i < 3; ++i) come(2);
    for (const auto& client : clients) CHECK(client->received().front() == named("doc", let_in));
    CHECK(w.rooms().clients() == 6);
    CHECK(w.reported.empty());
    come(1);
    CHECK(clients.back()->closed_with == 1013);
    // A client that has left has freed its place among those that wait for a token, too.
    clients.front()->hang_up();
    clients.pop_back();
    w.run(1s);
    come(1);
    CHECK(clients.back()->received().front() == named("doc", let_in));
}

TEST_CASE("hocuspocus: a mutated frame closes at most its sender", "[room][hocuspocus][sim]") {
    for_each_seed(
        [](Seed seed) {
            RoomWorld w{seed};
            RoomEditor alice = RoomEditor::addressed(w, "alice", 1);
            RoomEditor bob{w, "bob", 2};
            HocuspocusClient mallory{w, "mallory"};
            w.dial(alice, bob);
            Random& bits = w.world.bits();
            const std::string seeds[] = {named("board", update_frame(3, 0, "hello")),
                                         named("board", "000003010105"),
                                         named("board", "0106010701027b7d"),
                                         named("board", "03"),
                                         named("board", "07"),
                                         named("board", "0200036d616c0131"),
                                         named("other", "0200036d616c0131"),
                                         "09",
                                         "0a",
                                         named("board", "0001020000")};
            for (int i = 0; i < 100; ++i) {
                if (!mallory.open() || mallory.closed_with != 0) {
                    mallory.dial();
                    mallory.token("board", "mallory");
                    w.run(100ms);
                }
                Bytes frame = from_hex(seeds[uniform_upto(bits, std::size(seeds) - 1)]);
                for (std::uint64_t n = uniform_upto(bits, 3); n != 0 && !frame.empty(); --n) {
                    const std::size_t at = uniform_upto(bits, frame.size() - 1);
                    const auto b = static_cast<std::byte>(bits() & 255U);
                    switch (uniform_upto(bits, 3)) {
                        case 0:
                            frame[at] = b;
                            break;
                        case 1:
                            frame.resize(at);
                            break;
                        case 2:
                            frame.insert(frame.begin() + static_cast<std::ptrdiff_t>(at), b);
                            break;
                        default:
                            frame[at] ^= std::byte{128};
                            break;
                    }
                }
                if (!frame.empty()) mallory.send(frame);
                w.run(5ms);
            }
            alice.type("still here");
            w.run(3s);
            CHECK(alice.online());
            CHECK(bob.online());
            CHECK(alice.unsynced == 0);
            CHECK(alice.document() == bob.document());
            CHECK(bob.has(typed(1, 0, "still here")));
        },
        100);
}

TEST_CASE("hocuspocus: a grant may expire while its room is still loading",
          "[room][hocuspocus][sim]") {
    RoomWorld w;
    w.rights.grants["ada"] = Grant{"ada", Access::edit, 4s};
    w.disk.load_takes = 3s;
    HocuspocusClient ada{w, "ada"};
    ada.dial();
    ada.token("one", "ada");
    w.run(3500ms);
    const Frames received = ada.received();
    CHECK(count_of(received, named("one", let_in)) == 1);
    CHECK(count_of(received, named("one", "0200")) == 1);
}

TEST_CASE("hocuspocus: a stream of fresh tokens does not delay the check that reauthorize requests",
          "[room][hocuspocus][sim]") {
    RoomWorld w;
    w.rights.takes = 100ms;
    HocuspocusClient eve{w, "eve"};
    eve.enter({"doc"});
    CHECK(w.rooms().clients() == 1);
    w.rights.grants["eve@doc"] = Grant{.user = "eve"};
    CHECK(w.rooms().reauthorize("doc") == 1);
    for (int i = 0; i < 600; ++i) {
        if (eve.open()) eve.token("doc", "eve");
        w.run(50ms);
    }
    CHECK(w.rooms().clients() == 0);
}

TEST_CASE("hocuspocus: a stream of fresh tokens does not prevent the rechecks of other clients",
          "[room][hocuspocus][sim][regression]") {
    RoomWorld w{Seed{1}, {.waiting_max = 10}};
    w.rights.takes = 100ms;
    HocuspocusClient eve{w, "eve"};
    eve.enter({"doc"});
    RoomEditor bob{w, "bob", 2};
    bob.dial();
    w.run(1s);
    REQUIRE(w.rooms().clients() == 2);
    w.rights.grants["bob"] = Grant{.user = "bob"};
    CHECK(w.rooms().reauthorize("doc") == 1);
    for (int i = 0; i < 100; ++i) {
        w.run(50ms);
        eve.token("doc", "eve");
        if (i == 4) CHECK(w.rooms().reauthorize("board") == 1);
    }
    CHECK(eve.open());
    CHECK_FALSE(bob.online());
}

TEST_CASE("hocuspocus: a fresh token counts while its room is reloaded",
          "[room][hocuspocus][sim]") {
    RoomWorld w;
    w.rights.grants["ada"] = Grant{"ada", Access::edit, 20s};
    RoomEditor bob{w, "bob", 2};
    HocuspocusClient ada{w, "ada"};
    ada.dial();
    ada.token("board", "ada");
    bob.dial();
    w.run(9s);
    static_cast<void>(ada.received());
    w.disk.fail_flushes = 1;
    w.disk.load_takes = 25s;
    bob.type("lost");
    w.run(3s);
    CHECK(count_of(ada.received(), named("board", "0200")) == 1);
    ada.token("board", "ada");
    w.run(10s);
    CHECK(w.rooms().clients() == 1);
    CHECK(ada.received() == Frames{named("board", let_in)});
}

TEST_CASE("hocuspocus: a slow load does not time out the client's connection",
          "[room][hocuspocus][sim]") {
    RoomWorld w;
    w.disk.load_takes = 15s;
    HocuspocusClient ada{w, "ada"};
    ada.dial();
    ada.token("one", "ada");
    w.run(12s);
    ada.token("two", "ada");
    w.run(20s);
    const Frames received = ada.received();
    CHECK(count_of(received, named("one", let_in)) == 1);
    CHECK(count_of(received, named("two", let_in)) == 1);
}

TEST_CASE("hocuspocus: a running check does not delay messages that wait to be sent",
          "[room][hocuspocus][sim]") {
    // The same holds for a client that has sent so much that it is read later.
    const bool checked = GENERATE(true, false);
    RoomWorld w{Seed{1}, {.read_rate_max = checked ? std::size_t{2} << 20 : 20 << 10}};
    w.world.network().window_bytes(500);
    RoomEditor ada{w, "ada", 1};
    HocuspocusClient slow{w, "slow"};
    slow.dial();
    slow.token("board", "slow");
    w.dial(ada);
    slow.stall(true);
    for (int i = 0; i < 20; ++i) {
        ada.type(std::string(100, 'a'));
        w.run(100ms);
    }
    if (checked) w.rights.hangs_for = "hang";
    for (int i = 0; i < 8; ++i) slow.token(std::string("hang\0", 5) + char('a' + i), "x");
    w.run(100ms);
    static_cast<void>(slow.received());
    slow.stall(false);
    w.run(2s);
    YjsDocument one;
    for (const std::string& hex : slow.received()) {
        const Bytes frame = from_hex(hex);
        const auto address = HocuspocusProtocol{}.address(frame);
        REQUIRE(address);
        const auto read = HocuspocusProtocol{}.read(BytesView{frame}.subspan(address->size()));
        if (!read || read->kind != part::RoomMessage::Kind::update) continue;
        static_cast<void>(one.apply(read->payload));
    }
    CHECK((one.snapshot().front() == ada.document()));
}

TEST_CASE(
    "hocuspocus: the server requests the state of a viewer that becomes an editor, also during a "
    "reload",
    "[room][hocuspocus][sim]") {
    RoomWorld w;
    w.rights.grants["vera"] = Grant{"vera", Access::view, forever};
    RoomEditor ada{w, "ada", 1};
    RoomEditor vera = RoomEditor::addressed(w, "vera", 2);
    w.dial(ada, vera);
    const Bytes mine = vera.type("of a viewer");
    w.run(1s);
    CHECK(vera.unsynced == 1);
    w.disk.fail_flushes = 1;
    w.disk.load_takes = 2s;
    ada.type("lost");
    w.run(1s);
    w.rights.grants["vera"].access = Access::edit;
    w.rooms().reauthorize("board");
    w.run(5s);
    CHECK(vera.scope == "read-write");
    CHECK(vera.unsynced == 0);
    w.dial(ada);
    CHECK(ada.has(mine));
}

TEST_CASE("hocuspocus: a viewer's state that holds only known changes is acknowledged as durable",
          "[room][hocuspocus][sim]") {
    RoomWorld w;
    w.rights.grants["vera"] = Grant{"vera", Access::view, forever};
    RoomEditor ada{w, "ada", 1};
    ada.dial();
    HocuspocusClient vera{w, "vera"};
    vera.dial();
    vera.token("board", "vera");
    vera.send("board", ask_state);
    w.run(1s);
    const Bytes e = ada.type("seen by another tab");
    w.run(1s);
    static_cast<void>(vera.received());
    vera.send("board", to_hex(HocuspocusProtocol{}.write({part::RoomMessage::Kind::state, e})));
    w.run(1s);
    CHECK(vera.received() == Frames{named("board", durable)});
}

TEST_CASE("hocuspocus: a message held until admission costs as much as a later one",
          "[room][hocuspocus][sim]") {
    RoomWorld w;
    HocuspocusClient eve{w, "eve"};
    eve.dial();
    eve.token("one", "eve");
    w.rooms().import_room("big", {.updates = {typed(1, 0, std::string(1 << 20, 'x'))}},
                          Completion<PersistenceError>{[](auto) noexcept {}});
    w.run(5s);
    static_cast<void>(eve.received());
    w.rights.takes = 5s;
    eve.token("big", "eve");
    for (int i = 0; i < 300; ++i) {
        eve.send("big", "00000401ac0201");  // a state vector of content that the room does not have
        if (i % 8 == 0) w.run(5ms);
    }
    w.run(2s);
    CHECK(w.rooms().counters().divergences == 0);
    w.run(2950ms);
    CHECK(count_of(eve.received(), named("big", let_in)) == 1);
    CHECK(w.rooms().counters().divergences > 50);
    CHECK(w.rooms().counters().divergences < 250);
    w.run(60s);
    CHECK(w.rooms().counters().divergences == 300);
}

TEST_CASE("hocuspocus: expensive messages are read one by one", "[room][hocuspocus][sim]") {
    // The price does not depend on the size of the pieces that are sent.
    const std::size_t client_bytes_max = GENERATE(std::size_t{256} << 10, std::size_t{64} << 20);
    RoomWorld w{Seed{1}, {.read_rate_max = 10 << 10, .client_bytes_max = client_bytes_max}};
    HocuspocusClient eve{w, "eve"};
    eve.dial();
    std::vector<std::string> names;
    for (std::uint64_t i = 0; i < 16; ++i) {
        names.push_back("big" + std::to_string(i));
        w.rooms().import_room(names.back(), {.updates = {typed(i, 0, std::string(1 << 20, 'x'))}},
                              Completion<PersistenceError>{[](auto) noexcept {}});
    }
    w.run(5s);
    for (const std::string& name : names) {
        eve.token(name, "eve");
        w.run(5s);
    }
    // The rate for what it has sent until now is free again.
    const auto wait = [&](int seconds) {
        for (int i = 0; i < seconds; i += 15) {
            eve.send("0a");
            w.run(15s);
        }
    };
    wait(60);
    REQUIRE(w.rooms().clients() == 16);
    // Each state vector costs 68 KiB. It delays the next one by at most half of heartbeat.every.
    for (const std::string& name : names) eve.send(name, "00000401ac0201");
    wait(45);
    CHECK(w.rooms().counters().divergences >= 6);
    CHECK(w.rooms().counters().divergences <= 8);
    wait(180);
    CHECK(w.rooms().counters().divergences == 16);
    CHECK(eve.closed_with == 0);
}

TEST_CASE("hocuspocus: a client that is not read and receives slowly is not closed",
          "[room][hocuspocus][sim]") {
    RoomWorld w{Seed{1}, {.check_within = 200s, .client_bytes_max = 64 << 10}};
    w.world.network().window_bytes(20'000);
    w.rooms().import_room("big", {.updates = {typed(1, 0, std::string(8 << 20, 'x'))}},
                          Completion<PersistenceError>{[](auto) noexcept {}});
    w.run(5s);
    HocuspocusClient slow{w, "slow"};
    slow.enter({"big"});
    slow.stall(true);
    slow.send("big", ask_state);
    w.run(100ms);
    w.rights.hangs_for = "hang";
    // The connection is read again after these checks.
    for (int i = 0; i < 8; ++i) slow.token(std::string("hang\0", 5) + char('a' + i), "x");
    for (int i = 0; i < 40; ++i) {
        slow.stall(false);
        w.run(1ms);
        slow.stall(true);
        if (i % 8 == 0) slow.send("0a");
        w.run(4s);
    }
    CHECK(slow.closed_with == 0);
    CHECK(w.rooms().clients() == 9);
    CHECK(w.taken["slow"].bytes > 1'000'000);
    CHECK(w.taken["slow"].bytes < 8'000'000);
}
