// SPDX-License-Identifier: MIT
// Goal: a burst closes no client that reads; a client that lags receives what it has missed within
// its budget. Method: a server and its clients in a simulated world, with bursts of the author.
#include <belay/room/room_manager.hpp>

#include "support/catch.hpp"
#include "support/room/room_world.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// Readers, each at a host of its own.
struct Readers {
    Readers(RoomWorld& w, std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) {
            all.push_back(std::make_unique<RoomEditor>(w, "reader" + std::to_string(i), 100 + i));
            all.back()->dial();
        }
        w.run(1s);
    }
    std::vector<std::unique_ptr<RoomEditor>> all{};

    [[nodiscard]] std::size_t closed() const {
        return static_cast<std::size_t>(std::count_if(
            all.begin(), all.end(), [](const auto& one) { return one->closed_with != 0; }));
    }
    [[nodiscard]] std::size_t equal(const Bytes& document) const {
        return static_cast<std::size_t>(std::count_if(
            all.begin(), all.end(), [&](const auto& one) { return one->document() == document; }));
    }
};

}  // namespace

TEST_CASE("LagDifference computes a part once for all clients that lag from one state",
          "[room][room_bursts][unit]") {
    YjsDocument document;
    REQUIRE_FALSE(document.apply(typed(1, 0, std::string(1'000, 'x'))));
    const int room = 0;
    detail::LagDifference difference;
    Bytes had{std::byte{0}};
    YjsDocument reader;
    std::size_t parts = 0;
    for (bool more = true; more; ++parts) {
        const auto first = difference.next(&room, document, had, 600);
        CHECK(difference.work() == document.bytes());
        const auto second = difference.next(&room, document, had, 600);
        REQUIRE((first && *first && second && *second));
        CHECK(difference.work() == (*second)->update.size() / 8);
        CHECK((*second)->update == (*first)->update);
        CHECK((*second)->vector == (*first)->vector);
        REQUIRE_FALSE(reader.apply((*first)->update));
        more = (*first)->vector.has_value();
        if (more) had = *(*first)->vector;
    }
    CHECK(parts == 2);
    CHECK(reader.state_vector() == document.state_vector());
    difference.forget(&room);
    REQUIRE(difference.next(&room, document, had, 600));
    CHECK(difference.work() == document.bytes());
}

TEST_CASE("LagDifference finds out once that there is no part for clients in one state",
          "[room][room_bursts][unit][regression]") {
    YjsDocument document;
    REQUIRE_FALSE(document.apply(typed(1, 1, std::string(1'000, 'x'))));  // after a gap
    const int room = 0;
    detail::LagDifference difference;
    const Bytes had{std::byte{0}};
    for (const std::size_t work : {document.bytes(), std::size_t{0}}) {
        const auto none = difference.next(&room, document, had, 600);
        REQUIRE(none);
        CHECK_FALSE(*none);
        CHECK(difference.work() == work);
    }
}

TEST_CASE("RoomManager: 30 updates of 100 kB in one turn close none of 20 readers",
          "[room][room_bursts][sim]") {
    RoomWorld w;
    w.disk.flush_takes = 100ms;
    RoomEditor author{w, "author", 1};
    w.dial(author);
    const Readers readers{w, 20};
    for (int i = 0; i < 30; ++i) author.type(std::string(100'000, static_cast<char>('a' + i % 26)));
    w.run(10s);
    CHECK(author.closed_with == 0);
    CHECK(readers.closed() == 0);
    CHECK(state_of(w.rooms()).size() > 3'000'000);
    CHECK(readers.equal(state_of(w.rooms())) == 20);
    CHECK(w.rooms().counters().rejected == 0);
}

TEST_CASE("RoomManager: a client that lags holds at most client_bytes_max and one frame",
          "[room][room_bursts][sim]") {
    RoomWorld w{Seed{1}, {.client_bytes_max = 100'000}};
    RoomEditor author{w, "author", 1};
    RoomEditor slow{w, "slow", 2};
    w.dial(author, slow);
    w.world.network().window_bytes(100'000);
    slow.stall(true);
    for (int i = 0; i < 30; ++i) {
        author.type(std::string(50'000, 'x'));
        w.run(20ms);
    }
    // Edits arrive while it receives the difference.
    const auto before = [&] { return w.taken["slow"].bytes; };
    for (int i = 0; i < 200; ++i) {
        const std::size_t stalled = before();
        slow.stall(false);
        w.run(5ms);
        slow.stall(true);
        author.type("more");
        w.run(1s);
        // The client's mailbox and its connection accept this much at a time.
        REQUIRE(before() - stalled <= 200'000);
        REQUIRE(slow.closed_with == 0);
    }
    slow.stall(false);
    w.run(5s);
    CHECK(slow.closed_with == 0);
    CHECK(slow.document() == state_of(w.rooms()));
    CHECK(w.rooms().counters().resyncs > 0);
    // No whole update waits: each frame is a piece.
    CHECK(w.taken["slow"].longest <= 60'000);
}

TEST_CASE("RoomManager: a client that lags receives deletions, and content after a gap, in the end",
          "[room][room_bursts][sim]") {
    RoomWorld w{Seed{1}, {.client_bytes_max = 4096}};
    RoomEditor author{w, "author", 1};
    RoomEditor slow{w, "slow", 2};
    w.dial(author, slow);
    w.world.network().window_bytes(2000);
    slow.stall(true);
    author.type(std::string(20'000, 'x'));
    w.run(1s);
    // Every other letter is deleted: the ranges alone are longer than the budget.
    Bytes deletions{std::byte{0}};
    yjs::append_varuint(deletions, 1);
    yjs::append_varuint(deletions, 1);
    yjs::append_varuint(deletions, 5000);
    for (std::uint64_t i = 0; i < 5000; ++i) {
        yjs::append_varuint(deletions, 2 * i);
        yjs::append_varuint(deletions, 1);
    }
    author.say({part::RoomMessage::Kind::update, deletions});
    // The first updates of this author never arrive.
    for (std::uint64_t i = 0; i < 10; ++i)
        author.say(
            {part::RoomMessage::Kind::update, typed(77, 5 + 1000 * i, std::string(1000, 'g'))});
    w.run(1s);
    slow.stall(false);
    w.run(20s);
    CHECK(slow.closed_with == 0);
    CHECK(slow.document() == state_of(w.rooms()));
    CHECK(w.rooms().stats("board")->gaps == 1);
}

TEST_CASE("RoomManager: hocuspocus clients that lag receive what they have missed, and their own",
          "[room][room_bursts][sim]") {
    RoomWorld w{Seed{1}, {.client_bytes_max = 100'000}};
    RoomEditor author{w, "author", 1};
    RoomEditor slow = RoomEditor::addressed(w, "slow", 2);
    w.dial(author, slow);
    w.world.network().window_bytes(50'000);
    slow.stall(true);
    for (int i = 0; i < 20; ++i) author.type(std::string(50'000, 'x'));
    slow.type("mine");
    w.run(1s);
    slow.stall(false);
    w.run(20s);
    CHECK(slow.closed_with == 0);
    CHECK(slow.document() == state_of(w.rooms()));
    CHECK(author.document() == state_of(w.rooms()));
    CHECK(slow.unsynced == 0);
}

TEST_CASE("RoomManager: an update that is longer than what may wait is sent in pieces",
          "[room][room_bursts][sim]") {
    RoomWorld w{Seed{1}, {.client_bytes_max = 100'000}};
    RoomEditor author{w, "author", 1};
    RoomEditor bob{w, "bob", 2};
    RoomEditor carol = RoomEditor::addressed(w, "carol", 3);
    RoomEditor slow{w, "slow", 4};
    w.world.network().window_bytes(4 << 20);
    w.dial(author, bob);
    w.dial(carol);
    w.dial(slow);
    slow.stall(true);
    w.run(100ms);
    const std::size_t before = w.taken["slow"].bytes;
    w.cuts = 0;
    author.type(std::string(2'000'000, 'x'));
    w.run(3s);
    // The update is cut once for bob and slow, although carol, who is between them, has another
    // protocol.
    CHECK(w.cuts == 1);
    for (const char* const host : {"bob", "carol", "slow"}) CHECK(w.taken[host].longest <= 7000);
    CHECK(w.taken["slow"].bytes - before <= 100'000);
    CHECK((bob.document() == state_of(w.rooms())));
    CHECK((carol.document() == state_of(w.rooms())));
    // Further updates do not wait for it.
    author.type(std::string(2'000'000, 'y'));
    w.run(3s);
    CHECK(w.rooms().counters().resyncs == 0);
    slow.stall(false);
    w.run(10s);
    CHECK((slow.document() == state_of(w.rooms())));
    CHECK(w.rooms().counters().resyncs == 1);
    CHECK(w.rooms().counters().rejected == 0);
}

// ---- slow readers ------------------------------------------------------------------------------

namespace {

/// A room with an edit of 1,000 bytes each second, and a reader that reads for a moment each 28 s.
struct SlowReader {
    explicit SlowReader(Duration each) : reads{each} {
        w.world.network().window_bytes(1100);
        w.dial(author, slow);
    }
    void run(int rounds) {
        for (int i = 0; i < rounds && slow.closed_with == 0 && slow.online(); ++i) {
            slow.stall(true);
            for (int second = 0; second < 28; ++second) {
                author.type(std::string(1000, 'x'));
                slow.show("{}");
                w.run(1s);
            }
            slow.stall(false);
            w.run(reads);
        }
    }
    Duration reads;
    RoomWorld w{Seed{1}, {.client_bytes_max = 1000}};
    RoomEditor author{w, "author", 1};
    RoomEditor slow{w, "slow", 2};
};

}  // namespace

TEST_CASE(
    "RoomManager: a client that accepts less than 512 bytes per second is closed, although it "
    "never stops",
    "[room][room_bursts][sim]") {
    SlowReader room{2ms};
    room.run(10);
    CHECK_FALSE(room.slow.online());
    CHECK(room.author.closed_with == 0);
    REQUIRE_FALSE(room.w.reported.empty());
    CHECK(room.w.reported.back() == "rejected board slow: the client is too slow");
    CHECK(room.w.rooms().observer().last_limit.empty());
}

TEST_CASE("RoomManager: a client that accepts more than that stays, however far it lags",
          "[room][room_bursts][sim]") {
    SlowReader room{200ms};
    room.run(20);
    CHECK(room.slow.online());
    CHECK(room.w.rooms().counters().resyncs > 0);
    room.w.run(10s);
    const bool equal = room.slow.document() == room.author.document();
    CHECK(equal);
}
