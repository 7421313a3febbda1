// SPDX-License-Identifier: MIT
// Goal: a state that is longer than a frame, and has several authors, arrives in parts.
// Method: clients that were offline for several page loads, and dial as y-websocket and Hocuspocus'
// clients do: again after each close code, except those at which they stop.
#include <belay/room/opaque_document.hpp>
#include <belay/room/room_manager.hpp>

#include "support/catch.hpp"
#include "support/room/room_world.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// Types `text` behind the letter of another author.
Bytes typed_behind(std::uint64_t author, std::uint64_t clock, std::uint64_t other,
                   std::uint64_t other_clock, std::string_view text) {
    Bytes update;
    for (const std::uint64_t n : {std::uint64_t{1}, std::uint64_t{1}, author, clock})
        yjs::append_varuint(update, n);
    update.push_back(std::byte{132});
    yjs::append_varuint(update, other);
    yjs::append_varuint(update, other_clock);
    yjs::append_varbytes(update, as_bytes(text));
    update.push_back(std::byte{0});
    return update;
}

/// A transport that ends each connection, because a message exceeds its limit.
struct LimitedTransport {
    using message_type = Bytes;
    struct Connection {
        SendResult send(const Bytes&) noexcept { return SendResult::sent; }
        void limit_messages(std::size_t, int too_large_code = 0) noexcept {
            codes->push_back(too_large_code);
            Failure why = websocket_failure(too_large_code != 0 ? too_large_code : 4413);
            why.cause = Cause::protocol;
            static_cast<void>(link.closed(why));
        }
        std::vector<int>* codes;
        Link<Bytes> link;
    };
    [[nodiscard]] Connection open(const Link<Bytes>& link) const {
        static_cast<void>(link.opened());
        return {codes, link};
    }
    std::vector<int>* codes;
};

struct AliceEdits {
    void check(const RoomRequest& /*request*/, Completion<Grant> answer) const {
        answer(Grant{"alice", Access::edit, forever});
    }
};

struct Parts {
    explicit Parts(bool addressed, RoomOptions options = {.frame_bytes_max = 10'000})
        : w{Seed{1}, options},
          alice{addressed ? RoomEditor::addressed(w, "alice", 1) : RoomEditor{w, "alice", 1}} {
        w.dial(alice, bob);
    }
    /// Alice types offline, on several page loads: each piece is behind one of the next author, or
    /// of the one before.
    void type_offline(std::initializer_list<std::uint64_t> authors, std::size_t bytes_of_each) {
        alice.hang_up();
        const std::vector<std::uint64_t> all{authors};
        constexpr std::size_t pieces = 10;
        const std::string text(bytes_of_each / pieces, 'x');
        for (std::size_t i = 0; i < pieces; ++i) {
            for (std::size_t a = 0; a < all.size(); ++a) {
                const std::uint64_t clock = i * text.size();
                const std::uint64_t other = all[a == 0 ? all.size() - 1 : a - 1];
                const std::uint64_t others = a == 0 ? clock : clock + text.size();
                alice.take(others == 0 ? typed(all[a], clock, text)
                                       : typed_behind(all[a], clock, other, others - 1, text));
            }
        }
    }
    /// Dials after each close, as a client of y-websocket 3.1 does until 4400.
    void dial_until_joined(Duration within = 20s) {
        const Instant end = after(w.world.now(), within);
        codes.clear();
        while (w.world.now() < end && !(alice.online() && alice.synced)) {
            if (!alice.online()) {
                if (alice.closed_with >= 4400) return;
                alice.dial();
            }
            w.run(100ms);
            if (alice.closed_with != 0) codes.push_back(alice.closed_with);
        }
        w.run(1s);
        if (alice.closed_with != 0) codes.push_back(alice.closed_with);
    }
    [[nodiscard]] std::uint64_t of(RoomErrc why) { return w.rooms().counters().reasons.of(why); }

    RoomWorld w;
    RoomEditor alice;
    RoomEditor bob{w, "bob", 2};
    std::vector<int> codes{};
};

}  // namespace

TEST_CASE("RoomManager: a state of several authors that is longer than a frame arrives in parts",
          "[room][room_state_parts][sim]") {
    const bool addressed = GENERATE(false, true);
    Parts p{addressed};
    // Each of them depends on the others. The server knows a part of the first one.
    p.alice.load_page(70);
    p.alice.type("shared");
    p.w.run(1s);
    p.type_offline({100, 50, 75}, 6'000);
    p.alice.take(deletion_of(70, 1, 2));
    p.alice.take(deletion_of(50, 100, 10));
    p.alice.closed_with = 0;
    p.dial_until_joined();
    CHECK(p.codes == std::vector<int>{1013});
    CHECK(p.of(RoomErrc::state_too_large) == 1);
    CHECK(p.of(RoomErrc::frame_too_large) == 0);
    CHECK(p.of(RoomErrc::retried_too_soon) == 0);
    CHECK(p.alice.online());
    CHECK(p.alice.synced);
    CHECK((p.alice.unsynced == 0) == addressed);
    CHECK(state_of(p.w.rooms()) == p.alice.document());
    CHECK(p.bob.document() == p.alice.document());
    CHECK(p.bob.document().size() > 18'000);
    // An edit is possible, and another dial is like any other.
    p.alice.load_page(80);
    p.alice.type("goes on");
    p.w.run(1s);
    CHECK(p.bob.document() == p.alice.document());
    p.w.dial(p.alice);
    CHECK(p.alice.online());
    CHECK(p.of(RoomErrc::frame_too_large) == 0);
}

TEST_CASE("RoomManager: a state that is too large and has one author is rejected as such",
          "[room][room_state_parts][sim]") {
    Parts p{GENERATE(false, true)};
    p.type_offline({1}, 20'000);
    p.dial_until_joined();
    CHECK(p.codes.size() >= 2);
    CHECK(p.codes.front() == 1013);
    CHECK(p.codes.back() == 4413);
    CHECK(p.of(RoomErrc::state_too_large) == 1);
    CHECK(p.of(RoomErrc::frame_too_large) == 1);
    // Two tries in two minutes, for a client that stops at no code.
    const Instant end = after(p.w.world.now(), 10min);
    while (p.w.world.now() < end) {
        p.alice.dial();
        p.w.run(500ms);
    }
    CHECK(p.of(RoomErrc::state_too_large) >= 5);
    CHECK(p.of(RoomErrc::state_too_large) <= 6);
    CHECK(p.of(RoomErrc::frame_too_large) >= 5);
    CHECK(p.of(RoomErrc::frame_too_large) <= 6);
    CHECK(p.of(RoomErrc::retried_too_soon) >= 1'000);
    CHECK(p.bob.online());
}

TEST_CASE(
    "RoomManager: a state with a part that is too large is rejected, and its other parts stay",
    "[room][room_state_parts][sim]") {
    Parts p{GENERATE(false, true)};
    p.type_offline({3}, 2'000);
    p.type_offline({5}, 20'000);
    p.type_offline({7}, 2'000);
    p.dial_until_joined();
    CHECK(p.codes.front() == 1013);
    CHECK(p.codes.back() == 4413);
    CHECK(p.of(RoomErrc::frame_too_large) == 1);
    CHECK(p.bob.document().size() > 2'000);
    CHECK(p.bob.document().size() < 5'000);
}

TEST_CASE("RoomManager: two connections of a user whose state is too large both send it in parts",
          "[room][room_state_parts][sim]") {
    Parts p{GENERATE(false, true)};
    p.w.requests["tab"] = {.room_id = "board", .token = "alice", .ip = "alice"};
    RoomEditor tab{p.w, "tab", 9};
    p.type_offline({3, 5}, 6'000);
    tab.take(p.alice.document());
    p.alice.dial();
    tab.dial();
    p.w.run(1s);
    CHECK(p.alice.closed_with == 1013);
    CHECK(tab.closed_with == 1013);
    CHECK(p.of(RoomErrc::state_too_large) == 2);
    // The second one sends what is known, or is not durable yet.
    p.w.disk.flush_takes = 3s;
    p.alice.dial();
    tab.dial();
    p.w.run(20s);
    CHECK(p.alice.online());
    CHECK(tab.online());
    CHECK(p.bob.document() == p.alice.document());
    CHECK(p.of(RoomErrc::frame_too_large) == 0);
    CHECK(p.of(RoomErrc::retried_too_soon) == 0);
}

TEST_CASE("RoomManager: a Hocuspocus client has saved its state when all parts are durable",
          "[room][room_state_parts][sim]") {
    Parts p{true};
    p.type_offline({3, 5}, 6'000);
    const std::string last(6'000, 'x');
    p.alice.take(typed(7, 0, last));
    p.alice.dial();
    p.w.run(1s);
    CHECK(p.alice.closed_with == 1013);
    p.alice.unsynced = p.alice.questions = 0;
    p.alice.dial();
    while (p.alice.unsynced == 0) p.w.run(1ms);
    RoomEditor late{p.w, "late", 20};
    const bool knows_last = GENERATE(false, true);
    if (knows_last) {
        // It answers later, when another client has sent the last part, and the document is merged.
        p.alice.stall(true);
        p.w.run(1s);
        p.bob.load_page(7);
        p.bob.type(last);
        p.w.run(1s);
        p.w.dial(late);
        p.alice.stall(false);
    }
    p.w.disk.flush_takes = 500ms;
    const std::uint64_t unchanged = p.w.rooms().counters().unchanged;
    bool was_unsynced = false;
    for (int i = 0; i < 400 && p.alice.unsynced != 0; ++i) {
        p.w.run(10ms);
        was_unsynced = was_unsynced || (p.alice.synced && p.alice.questions == 3);
    }
    CHECK(p.alice.questions == 3);
    CHECK(was_unsynced);
    CHECK(p.alice.unsynced == 0);
    CHECK(p.w.rooms().counters().unchanged == unchanged + (knows_last ? 1 : 0));
    CHECK(state_of(p.w.rooms()) == p.alice.document());
}

TEST_CASE("RoomManager: a state that is too large is rejected at once if its user has no name",
          "[room][room_state_parts][sim]") {
    Parts p{false};
    p.w.rights.grants["alice"] = Grant{"", Access::edit, forever};
    p.type_offline({3, 5}, 6'000);
    p.dial_until_joined();
    CHECK(p.codes.back() == 4413);
    CHECK(p.of(RoomErrc::state_too_large) == 0);
    CHECK(p.of(RoomErrc::frame_too_large) == 1);
}

TEST_CASE("RoomManager: a viewer whose frame is too large joins again, and adds nothing",
          "[room][room_state_parts][sim]") {
    const bool addressed = GENERATE(false, true);
    Parts p{addressed};
    p.w.rights.grants["alice"] = Grant{"alice", Access::view, forever};
    p.type_offline({3, 5}, 6'000);
    p.w.dial(p.alice);
    // The state of a viewer is requested only if it speaks hocuspocus.
    if (!addressed) p.alice.raw(Bytes(20'000));
    p.w.run(1s);
    CHECK(p.alice.closed_with == 1013);
    p.alice.questions = 0;
    p.w.dial(p.alice);
    CHECK(p.alice.online());
    CHECK(p.alice.questions == (addressed ? 2 : 0));
    CHECK(p.alice.unsynced != 0);
    CHECK(p.bob.document().size() < 100);
}

TEST_CASE("RoomManager: the transport closes a connection with 1013 before a state comes in parts",
          "[room][room_state_parts][sim]") {
    RoomWorld w;
    w.run(1s);
    const auto of = [&](RoomErrc why) { return w.rooms().counters().reasons.of(why); };
    std::vector<int> codes;
    const auto accept = [&](std::string token) {
        w.rooms().accept(LimitedTransport{&codes}, YjsProtocol{},
                         RoomRequest{.room_id = "board", .token = std::move(token)});
        w.run(1s);
    };
    for (int i = 0; i < 3; ++i) accept("alice");
    // The last one is closed with 1013 in any case.
    CHECK(codes == std::vector<int>{1013, 0, 1013});
    CHECK(of(RoomErrc::state_too_large) == 1);
    CHECK(of(RoomErrc::frame_too_large) == 1);
    CHECK(of(RoomErrc::retried_too_soon) == 1);
    w.rights.grants[""] = Grant{"", Access::edit, forever};
    accept("");
    CHECK(codes.back() == 0);
    CHECK(of(RoomErrc::frame_too_large) == 2);
}

TEST_CASE("RoomManager: a state that is too large is rejected at once if its document has no parts",
          "[room][room_state_parts][sim]") {
    sim::World world{Seed{1}};
    sim::Host& server = world.host("server");
    RoomManager rooms{MemoryRooms{}, AliceEdits{}, RoomOptions{}, NoObserver{}, OpaqueDocument{}};
    server.attach(rooms);
    rooms.start();
    std::vector<int> codes;
    for (int i = 0; i < 2; ++i) {
        rooms.accept(LimitedTransport{&codes}, YjsProtocol{},
                     RoomRequest{.room_id = "board", .token = "alice"});
        world.run_for(1s);
    }
    CHECK(codes == std::vector<int>{0, 0});
    CHECK(rooms.counters().reasons.of(RoomErrc::frame_too_large) == 1);
    CHECK(rooms.counters().reasons.of(RoomErrc::retried_too_soon) == 1);
}

TEST_CASE("RejectionMemory: a rejection after parts were requested lasts for two minutes",
          "[room][room_state_parts][unit]") {
    using detail::Remembered;
    detail::RejectionMemory memory;
    const Instant begin = sim::World{Seed{1}}.now();
    const auto at = [&](Duration d) {
        return memory.find("alice", "ip", "board", after(begin, d));
    };
    const auto note = [&](Duration d, Remembered what) {
        memory.note("alice", "ip", "board", after(begin, d), what);
    };
    note(0s, Remembered::in_parts);
    note(30s, Remembered::in_parts);
    CHECK(at(59s) == Remembered::in_parts);
    memory.note("bob", "ip", "board", after(begin, 40s));
    note(59s, Remembered::rejected);
    note(60s, Remembered::in_parts);
    CHECK(at(178s) == Remembered::rejected);
    CHECK(memory.size() == 1);
    CHECK(at(179s) == Remembered::nothing);
    CHECK(memory.size() == 0);
}
