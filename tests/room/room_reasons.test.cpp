// SPDX-License-Identifier: MIT
// Goal: each rejection, throttle and close of a client, each eviction and each failure of the
// storage is one event with a reason, and one count of that reason. Method: a simulated world
// provokes each reason; a switch without default does not compile when there is another one.
#include <belay/room/room_metrics.hpp>

#include <algorithm>
#include <deque>
#include <numeric>

#include "support/catch.hpp"
#include "support/room/hocuspocus_client.hpp"
#include "support/room/room_world.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

using Reasons = RoomCounters::Reasons;

[[nodiscard]] std::uint64_t sum_of(const Reasons& reasons) {
    std::uint64_t all = 0;
    for (std::size_t i = 0; i < Reasons::count; ++i) all += reasons.at(i);
    return all;
}
[[nodiscard]] std::uint64_t begins_with(const std::vector<std::string>& lines,
                                        std::string_view word) {
    return static_cast<std::uint64_t>(
        std::count_if(lines.begin(), lines.end(),
                      [&](const std::string& line) { return line.starts_with(word); }));
}

/// Checks that each count has its reason and its event, after any events in the world.
void check_events(RoomWorld& w) {
    const RoomCounters& c = w.rooms().counters();
    CHECK(sum_of(c.reasons) == c.rejected + c.closed);
    CHECK(sum_of(c.failures) == c.storage_failures);
    CHECK(sum_of(c.denials) == c.denied);
    CHECK(begins_with(w.reported, "rejected ") == c.rejected);
    CHECK(begins_with(w.reported, "failed ") == c.storage_failures);
    CHECK(begins_with(w.events, "throttled ") == c.throttled);
}

/// A transport that ends a connection after its opening.
struct EndedByTransport {
    using message_type = Bytes;
    struct Connection {
        SendResult send(const Bytes&) noexcept { return SendResult::sent; }
    };
    Connection open(const Link<Bytes>& link) {
        static_cast<void>(link.opened());
        static_cast<void>(link.closed(why));
        return {};
    }
    Failure why;
};

/// A world, and the reason that is provoked in it.
struct Provoked {
    explicit Provoked(std::error_code error, RoomOptions options = {},
                      YjsDocumentOptions document = {})
        : why{error}, w{Seed{1}, options, document} {
        w.run(1s);
    }
    /// Checks that clients were closed or rejected for the reason. A client that had joined has
    /// left its room with it.
    void check_clients(std::uint64_t count = 1, bool had_joined = true) {
        INFO(why.message());
        CHECK(w.rooms().counters().reasons.of(why) == count);
        CHECK(w.rooms().counters().reasons.of({}) == 0);
        if (had_joined) CHECK(w.rooms().observer().last_reason == why);
        check_events(w);
    }
    /// Checks that a call of the storage has failed for the reason.
    void check_failures() {
        INFO(why.message());
        CHECK(w.rooms().counters().failures.of(why) == 1);
        REQUIRE_FALSE(w.rooms().observer().failures.empty());
        CHECK(w.rooms().observer().failures.back().code == why);
        check_events(w);
    }
    const std::error_code why;
    RoomWorld w;
    RoomEditor alice{w, "alice", 1};
};

void send(std::error_code why, const Bytes& frame, RoomOptions options = {}) {
    Provoked p{why, options};
    p.w.dial(p.alice);
    p.alice.raw(frame);
    p.w.run(1s);
    p.check_clients();
}
void send(std::error_code why, part::RoomMessage::Kind kind, const Bytes& payload,
          RoomOptions options = {}) {
    send(why, YjsProtocol{}.write({kind, payload}), options);
}
/// A snapshot that the storage rejects.
void fail_save(std::error_code why) {
    Provoked p{why};
    p.w.disk.save_error = why;
    p.w.dial(p.alice);
    p.alice.type("x");
    p.w.disk.fail_saves = 1;
    p.w.run(10s);
    p.check_failures();
}

void provoke(YjsErrc why) {
    using Kind = part::RoomMessage::Kind;
    switch (why) {
        case YjsErrc::malformed_update:
            return send(why, Kind::update, Bytes{std::byte{0xFF}});
        case YjsErrc::unknown_content: {
            Bytes update = typed(1, 0, "x");
            // The kind of content follows the numbers of clients and structs, the author, and its
            // clock: text is 4, and 31 is none.
            REQUIRE(update[4] == std::byte{4});
            update[4] = std::byte{31};
            return send(why, Kind::update, update);
        }
        case YjsErrc::version_2_update:
            // The result of Y.encodeStateAsUpdateV2 for a new document.
            return send(why, Kind::update, from_hex("000002000000000000000000000000"));
        case YjsErrc::malformed_state_vector:
            return send(why, Kind::state_vector, Bytes{std::byte{0xFF}});
        case YjsErrc::update_too_large: {
            Provoked p{why, {}, {.limits = {.bytes_max = 100}}};
            p.w.dial(p.alice);
            p.alice.type(std::string(200, 'x'));
            p.w.run(1s);
            return p.check_clients();
        }
        case YjsErrc::document_full: {
            Provoked p{why, {}, {.bytes_max = 100}};
            p.w.dial(p.alice);
            p.alice.type(std::string(200, 'x'));
            p.w.run(1s);
            // The client stays, and has a message.
            return p.check_clients(1, false);
        }
    }
    FAIL("no case provokes this reason");
}

void provoke(RoomErrc why) {
    const std::error_code error = why;
    switch (why) {
        case RoomErrc::malformed_update:
        case RoomErrc::document_full:
            return;  // YjsErrc has them for a YjsDocument; they are counted together
        case RoomErrc::update_too_large: {
            Provoked p{error, {.unflushed_bytes_max = 100}};
            p.w.dial(p.alice);
            p.alice.type(std::string(200, 'x'));
            p.w.run(1s);
            return p.check_clients();
        }
        case RoomErrc::bad_room_id: {
            Provoked p{error};
            p.w.requests["alice"] = {.room_id = "", .token = "alice"};
            p.w.dial(p.alice);
            return p.check_clients(1, false);
        }
        case RoomErrc::unknown_room:
        case RoomErrc::bad_position:
        case RoomErrc::snapshot_missing:
        case RoomErrc::snapshot_misplaced:
        case RoomErrc::record_damaged:
        case RoomErrc::log_misplaced:
        case RoomErrc::storage_busy:
            return fail_save(error);
        case RoomErrc::stale_snapshot: {
            // Not a failure: another server has saved more.
            Provoked p{error};
            p.w.disk.save_error = error;
            p.w.disk.fail_saves = 1;
            p.w.dial(p.alice);
            p.alice.type("x");
            p.w.run(10s);
            CHECK(p.w.disk.fail_saves == 0);
            CHECK(p.w.rooms().counters().storage_failures == 0);
            return check_events(p.w);
        }
        case RoomErrc::snapshot_damaged: {
            Provoked p{error};
            p.w.disk.fail_loads = 1;
            p.w.dial(p.alice);
            return p.check_failures();
        }
        case RoomErrc::unauthorized:
        case RoomErrc::forbidden: {
            Provoked p{error};
            const bool known = why == RoomErrc::forbidden;
            p.w.rights.grants["alice"] = Grant{known ? "alice" : "", Access::none, forever};
            p.w.dial(p.alice);
            return p.check_clients(1, false);
        }
        case RoomErrc::history_reset: {
            Provoked p{error};
            p.w.requests["alice"] = {.room_id = "board", .token = "alice", .epoch = "another"};
            p.w.dial(p.alice);
            return p.check_clients(1, false);
        }
        case RoomErrc::unknown_message:
            return send(error, Bytes{std::byte{0}, std::byte{9}});
        case RoomErrc::malformed_frame:
            return send(error, Bytes{std::byte{0xFF}});
        case RoomErrc::frame_too_large:
            return send(error, Bytes(2'000), {.frame_bytes_max = 1'000});
        case RoomErrc::room_full: {
            Provoked p{error, {.clients_per_room_max = 1}};
            RoomEditor bob{p.w, "bob", 2};
            p.w.dial(bob, p.alice);
            return p.check_clients(1, false);
        }
        case RoomErrc::too_many:
        case RoomErrc::too_many_of_user: {
            RoomOptions options;
            (why == RoomErrc::too_many ? options.rooms_max : options.clients_per_user_max) = 1;
            Provoked p{error, options};
            p.w.requests["bob"] = {.room_id = "other", .token = "alice"};
            RoomEditor bob{p.w, "bob", 2};
            p.w.dial(bob);
            p.w.dial(p.alice);
            return p.check_clients(1, false);
        }
        case RoomErrc::too_many_clients: {
            // One more is closed with a code, and the next one is dropped.
            Provoked p{error, {.clients_max = 1, .waiting_max = 1}};
            RoomEditor bob{p.w, "bob", 2};
            RoomEditor eve{p.w, "eve", 3};
            p.w.dial(bob);
            p.w.dial(p.alice, eve);
            return p.check_clients(2, false);
        }
        case RoomErrc::too_many_waiting: {
            Provoked p{error, {.waiting_max = 1}};
            RoomEditor bob{p.w, "bob", 2};
            p.w.rights.takes = 500ms;
            p.w.dial(bob, p.alice);
            return p.check_clients(1, false);
        }
        case RoomErrc::too_many_documents: {
            Provoked p{error, {.clients_per_user_max = 1}};
            HocuspocusClient bob{p.w, "bob"};
            bob.enter({"one", "two"});
            return p.check_clients(1, false);
        }
        case RoomErrc::too_slow: {
            Provoked p{error, {.client_bytes_max = 1'000}};
            RoomEditor bob{p.w, "bob", 2};
            p.w.dial(p.alice, bob);
            // It shows signs of life, and reads for 2 ms of 28 s.
            for (int i = 0; i < 10 && p.alice.online(); ++i) {
                p.alice.stall(true);
                for (int second = 0; second < 28; ++second) {
                    bob.type(std::string(1'000, 'x'));
                    p.alice.show("{}");
                    p.w.run(1s);
                }
                p.alice.stall(false);
                p.w.run(2ms);
            }
            return p.check_clients();
        }
        case RoomErrc::not_durable: {
            Provoked p{error};
            p.w.dial(p.alice);
            p.w.disk.fail_flushes = 1;
            p.alice.type("x");
            p.w.run(1s);
            CHECK(p.w.rooms().counters().failures.of(std::make_error_code(std::errc::io_error)) ==
                  1);
            return p.check_clients();
        }
        case RoomErrc::not_loaded: {
            Provoked p{error};
            p.w.disk.fail_loads = 1;
            p.w.dial(p.alice);
            CHECK(p.w.rooms().counters().evictions.of(error) == 1);
            return p.check_clients(1, false);
        }
        case RoomErrc::no_answer: {
            Provoked p{error};
            p.w.rights.hangs = true;
            p.w.dial(p.alice);
            p.w.run(1min);
            return p.check_clients(1, false);
        }
        case RoomErrc::manager_stopped: {
            Provoked p{error};
            p.w.dial(p.alice);
            p.w.rooms().stop();
            p.w.run(1s);
            CHECK(p.w.rooms().counters().evictions.of(error) == 1);
            return p.check_clients();
        }
        case RoomErrc::room_erased: {
            Provoked p{error};
            p.w.dial(p.alice);
            p.w.rooms().erase("board", Completion<PersistenceError>{[](auto&&) noexcept {}});
            p.w.run(1s);
            CHECK(p.w.rooms().counters().evictions.of(error) == 1);
            return p.check_clients();
        }
        case RoomErrc::persistence_threw: {
#if defined(__cpp_exceptions)
            Provoked p{error};
            p.w.dial(p.alice);
            p.w.disk.before = [&](std::string_view call) {
                if (call == "rooms_to_save" && p.w.rooms().counters().failures.of(error) == 0)
                    throw CallableThrew{};
            };
            p.alice.type("x");
            p.w.run(10s);
            p.w.disk.before = nullptr;
            return p.check_failures();
#else
            return;
#endif
        }
        case RoomErrc::client_removed: {
            Provoked p{error};
            p.w.dial(p.alice);
            REQUIRE(p.w.rooms().remove_client(p.w.last_client));
            p.w.run(1s);
            CHECK(p.alice.closed_with == 1000);
            return p.check_clients();
        }
        case RoomErrc::client_silent: {
            Provoked p{error};
            p.w.dial(p.alice);
            p.alice.stall(true);
            p.w.run(2min);
            return p.check_clients();
        }
    }
    FAIL("no case provokes this reason");
}

}  // namespace

TEST_CASE("Each reason of RoomErrc is counted once where it occurs, and is the reason of one event",
          "[room][room_reasons][sim]") {
    for (int i = 1; i <= static_cast<int>(detail::RoomReasons::count); ++i) {
        if (i >= 2 && i <= 4) continue;  // YjsErrc has these numbers
        provoke(static_cast<RoomErrc>(i));
    }
}

TEST_CASE("Each reason of YjsErrc is counted once, and is the reason of one event",
          "[room][room_reasons][sim]") {
    for (int i = 1; i <= static_cast<int>(YjsErrc::document_full); ++i)
        provoke(static_cast<YjsErrc>(i));
}

TEST_CASE("RoomRejection::limit names the option that rejects a client, and is empty for no option",
          "[room][room_reasons][sim]") {
    struct Case {
        std::string_view limit;
        RoomOptions options;
        std::function<void(RoomWorld&, RoomEditor& alice)> reach;
    };
    const auto join_after = [](std::uint64_t others, bool in_own_rooms) {
        return [=](RoomWorld& w, RoomEditor& alice) {
            std::deque<RoomEditor> before;
            for (std::uint64_t i = 0; i < others; ++i) {
                const std::string host = "bob" + std::to_string(i);
                w.requests[host] = {.room_id = in_own_rooms ? host : "board", .token = "alice"};
                w.dial(before.emplace_back(w, host, 2 + i));
            }
            w.dial(alice);
        };
    };
    const auto two = join_after(1, false);
    const auto two_rooms = join_after(1, true);
    const auto check_slowly = [](RoomWorld& w, RoomEditor& alice) {
        RoomEditor bob{w, "bob", 2};
        w.rights.takes = 500ms;
        w.dial(bob, alice);
    };
    const auto never_check = [](RoomWorld& w, RoomEditor& alice) {
        w.rights.hangs = true;
        w.dial(alice);
        w.run(1min);
    };
    const auto drop_check = [](RoomWorld& w, RoomEditor& alice) {
        w.rights.drops = true;
        w.dial(alice);
    };
    const auto never_upgrade = [](auto protocol) {
        return [protocol](RoomWorld& w, RoomEditor&) {
            w.rooms().accept(AbortedUpgrade{.gone = false}, protocol,
                             RoomRequest{.room_id = "board", .token = "alice"});
            w.run(1min);
        };
    };
    const auto type_while_the_disk_hangs = [](RoomWorld& w, RoomEditor& alice) {
        w.dial(alice);
        w.disk.flush_takes = 10s;
        alice.type(std::string(60, 'x'));
        w.run(10ms);
        alice.type(std::string(60, 'x'));
    };
    const auto two_documents = [](RoomWorld& w, RoomEditor&) {
        HocuspocusClient bob{w, "bob"};
        bob.enter({"one", "two"});
    };
    const auto no_token = [](RoomWorld& w, RoomEditor&) {
        HocuspocusClient bob{w, "bob"};
        bob.dial();
        w.run(1min);
    };
    const auto long_token = [](RoomWorld& w, RoomEditor&) {
        HocuspocusClient bob{w, "bob"};
        bob.dial();
        bob.token("one", std::string(8'192, 'x'));
        w.run(1s);
    };
    const auto show_much = [](RoomWorld& w, RoomEditor& alice) {
        w.dial(alice);
        alice.show("\"" + std::string(2'000, 'x') + "\"");
    };
    const auto garbage = [](RoomWorld& w, RoomEditor& alice) {
        w.dial(alice);
        alice.raw(Bytes{std::byte{0xFF}});
    };
    const auto long_frame = [](RoomWorld& w, RoomEditor& alice) {
        w.dial(alice);
        alice.raw(Bytes(2'000));
    };
    const Case cases[] = {
        {"", {}, garbage},
        {"clients_max", {.clients_max = 1, .waiting_max = 1}, two},
        {"waiting_max", {.waiting_max = 1}, check_slowly},
        {"check_within", {}, never_check},
        {"", {}, drop_check},
        {"check_within", {}, never_upgrade(YjsProtocol{})},
        {"check_within", {}, never_upgrade(HocuspocusProtocol{})},
        {"clients_per_room_max", {.clients_per_room_max = 1}, two},
        {"clients_per_user_max", {.clients_per_user_max = 1}, two_rooms},
        {"clients_per_user_max", {.clients_per_user_max = 40}, join_after(16, false)},
        {"rooms_max", {.rooms_max = 1}, two_rooms},
        {"clients_per_user_max", {.clients_per_user_max = 40}, join_after(20, true)},
        {"clients_per_user_max", {.clients_per_user_max = 1}, two_documents},
        {"check_within", {}, no_token},
        {"", {}, long_token},
        {"frame_bytes_max", {.frame_bytes_max = 1'000}, long_frame},
        {"awareness_bytes_max", {.awareness_bytes_max = 1'000}, show_much},
        {"unflushed_bytes_max", {.unflushed_bytes_max = 50}, type_while_the_disk_hangs},
        {"unflushed_bytes_max", {.unflushed_bytes_max = 180}, type_while_the_disk_hangs},
    };
    for (const Case& one : cases) {
        INFO(one.limit);
        RoomWorld w{Seed{1}, one.options};
        RoomEditor alice{w, "alice", 1};
        w.run(1s);
        one.reach(w, alice);
        w.run(1s);
        REQUIRE(w.rooms().counters().rejected == 1);
        CHECK(w.rooms().observer().last_limit == one.limit);
        check_events(w);
    }
    CHECK(RoomRejection{{}, {}, {}, RoomErrc::too_many_of_user, "clients_per_user_max"}.message() ==
          "the user has too many rooms, clients or waiting changes "
          "(RoomOptions::clients_per_user_max)");
    CHECK(RoomRejection{{}, {}, {}, RoomErrc::forbidden}.message() ==
          "the client has no right to this room");
}

TEST_CASE("The failures of a storage of the system have their own reasons, others are `other`",
          "[room][room_reasons][unit]") {
    Reasons reasons;
    reasons.add(std::make_error_code(std::errc::no_space_on_device));
    reasons.add({ENOSPC, std::system_category()});
    reasons.add(std::make_error_code(std::errc::io_error));
    reasons.add(std::make_error_code(std::errc::permission_denied));
    reasons.add({1'000, detail::room_category()});
    CHECK(reasons.of(std::make_error_code(std::errc::no_space_on_device)) == 2);
    CHECK(reasons.of(std::make_error_code(std::errc::io_error)) == 1);
    CHECK(reasons.of({}) == 2);
    CHECK(Reasons::count == 40);
    CHECK(Reasons::word(0) == "other");
    CHECK(Reasons::word(Reasons::count) == "other");
    CHECK(Reasons::word(2) == "unknown_content");
    CHECK(Reasons::word(36) == "too_many_documents");
    CHECK(Reasons::word(Reasons::count - 2) == "no_space_on_device");
    CHECK(Reasons::word(Reasons::count - 1) == "io_error");
    std::set<std::string_view> words;
    for (std::size_t i = 0; i < Reasons::count; ++i) words.insert(Reasons::word(i));
    CHECK(words.size() == Reasons::count);
}

TEST_CASE(
    "A client whose transport reports a broken protocol is counted, unless the peer closed it",
    "[room][room_reasons][sim]") {
    RoomWorld w;
    w.run(1s);
    const auto accept = [&](Failure why) {
        w.rooms().accept(EndedByTransport{why}, YjsProtocol{},
                         RoomRequest{.room_id = "board", .token = "alice"});
        w.run(1s);
    };
    accept(failure_of(LinkErrc::closed_by_peer));
    accept(websocket_failure(1002));
    CHECK(w.rooms().counters().rejected == 0);
    accept(Failure::from(std::make_error_code(std::errc::protocol_error)));
    CHECK(w.rooms().counters().reasons.of(RoomErrc::malformed_frame) == 1);
    CHECK(w.rooms().observer().last_reason == RoomErrc::malformed_frame);
    check_events(w);
}

TEST_CASE("A connection is reported as throttled although none of its documents has joined",
          "[room][room_reasons][sim]") {
    RoomWorld w{Seed{1}, {.read_rate_max = 50'000}};
    w.rights.hangs = true;
    HocuspocusClient alice{w, "alice"};
    alice.dial();
    for (int i = 0; i < 6; ++i) alice.token("board" + std::to_string(i), "alice");
    w.run(1s);
    CHECK(w.rooms().counters().throttled == 1);
    check_events(w);
}

TEST_CASE("The rejection of a connection with several documents has its user, and no room",
          "[room][room_reasons][sim]") {
    RoomWorld w;  // each upgrade requests "board"
    HocuspocusClient alice{w, "alice"};
    alice.enter({"one", "two"});
    alice.send("ff");
    w.run(1s);
    REQUIRE(w.reported.size() == 1);
    CHECK(w.reported.back().starts_with("rejected  alice: "));
    CHECK(w.rooms().counters().rejected == 1);
    // One that is not known yet.
    HocuspocusClient eve{w, "eve"};
    eve.dial();
    w.run(1s);
    eve.send("ff");
    w.run(1s);
    REQUIRE(w.reported.size() == 2);
    CHECK(w.reported.back().starts_with("rejected  : "));
    check_events(w);
}

TEST_CASE("Each client of a silent connection is reported as left for that reason, and counted",
          "[room][room_reasons][sim]") {
    RoomWorld w;
    HocuspocusClient alice{w, "alice"};
    alice.enter({"one", "two"});
    alice.stall(true);
    w.run(2min);
    CHECK(w.rooms().counters().joined == 2);
    CHECK(w.rooms().counters().reasons.of(RoomErrc::client_silent) == 2);
    CHECK(w.rooms().observer().last_reason == RoomErrc::client_silent);
    CHECK(begins_with(w.events, "left ") == 2);
    check_events(w);
}

TEST_CASE(
    "An upgrade that its transport never answers counts as a rejected client, and not as aborted",
    "[room][room_reasons][sim]") {
    RoomWorld w;
    w.run(1s);
    w.rooms().accept(AbortedUpgrade{.gone = false}, YjsProtocol{},
                     RoomRequest{.room_id = "board", .token = "alice"});
    w.rooms().accept(AbortedUpgrade{.gone = false}, HocuspocusProtocol{}, RoomRequest{});
    w.run(1min);
    CHECK(w.rooms().clients() == 0);
    CHECK(w.rooms().counters().upgrades_aborted == 0);
    CHECK(w.rooms().counters().rejected == 2);
    CHECK(w.rooms().counters().reasons.of(RoomErrc::client_silent) == 2);
    check_events(w);
}

TEST_CASE("Stored data that is no document is a failure of the storage, with a reason",
          "[room][room_reasons][sim]") {
    RoomWorld w;
    Random bits{Seed{1}};
    REQUIRE(!w.disk.durable.reset("board", make_id(bits)));
    REQUIRE(!w.disk.durable.append("board", as_bytes("garbage")));
    w.disk.durable.flush(Completion<part::FlushedRooms>{[](auto&&) noexcept {}});
    RoomEditor alice{w, "alice", 1};
    w.dial(alice);
    CHECK(w.rooms().counters().failures.of(RoomErrc::malformed_update) == 1);
    CHECK(w.rooms().counters().storage_failures == 1);
    check_events(w);
}
