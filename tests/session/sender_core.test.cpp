// SPDX-License-Identifier: MIT
// Goal: a sender acts as section 5.1 of the protocol specifies. Method: a journal on a simulated
// disk; the test plays the receiver, frame by frame.
#include <belay/session/detail/sender_core.hpp>

#include <optional>

#include <belay/journal/journal.hpp>
#include <belay/sim/disk.hpp>

#include "support/catch.hpp"
#include "support/session/raw_peer.hpp"

using namespace belay;
using namespace belay::detail;
using namespace belay::session_format;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

using Disk = sim::Disk;
using DiskJournal = Journal<Disk>;
using SendingCore = SenderCore<DiskJournal>;
using Phase = SendingCore::Phase;

constexpr Id pinned_store_id{std::byte{0x5A}};

struct CoreRig {
    Disk disk;
    std::optional<DiskJournal> journal;
    std::optional<SendingCore> core;
    Bytes reply;
    std::uint64_t attach = 0;

    CoreRig() { reopen(); }
    /// Ends the process, and starts it again.
    void reopen() {
        core.reset();
        journal.reset();
        disk.kill();
        auto opened = DiskJournal::open(disk, "data/journal",
                                        {.segment_bytes = 4096,
                                         .record_bytes_max = 1024,
                                         .after_failure = JournalOptions::AfterFailure::stops,
                                         .seed = Seed{disk.operations()}});
        REQUIRE(opened.has_value());
        journal.emplace(std::move(*opened));
        core.emplace(*journal, SenderOptions{.id = id(1)});
    }
    void append(int n) {
        for (int i = 0; i < n; ++i) {
            const std::string text = "op " + std::to_string(journal->last() + 1);
            REQUIRE(journal->append(as_bytes(text)).has_value());
        }
        REQUIRE_FALSE(journal->commit());
    }
    /// Begins a new connection. Returns: its HELLO.
    Hello hello() {
        core->close();
        Bytes out;
        REQUIRE_FALSE(core->hello(out));
        const auto read = read_hello(only_frame(out));
        REQUIRE(read.has_value());
        attach = read->attach;
        return *read;
    }
    /// The WELCOME of a receiver that knows this journal up to `applied`.
    Welcome known(std::uint64_t applied) {
        const auto check = journal->check(std::min(applied, journal->last()));
        REQUIRE(check.has_value());
        return {.attach = attach,
                .payload_bytes_max = 1000,
                .known = true,
                .store = pinned_store_id,
                .byte_limit = 1U << 20U,
                .applied = applied,
                .check = *check,
                .number_limit = 1000};
    }
    Welcome fresh() {
        return {.attach = attach, .payload_bytes_max = 1000, .store = pinned_store_id};
    }
    /// Passes a message to the sender. Its answer is in `reply`.
    std::error_code take(const Bytes& message) {
        reply.clear();
        return core->take(message, reply);
    }
    Observed replied() { return describe(reply); }
    Observed filled(std::size_t bytes_wanted = 1U << 20U) {
        Bytes out;
        const std::error_code e = core->fill(out, bytes_wanted);
        Observed observed = describe(out);
        if (e) observed.push_back(e.message());
        return observed;
    }
    /// Connects, and resumes at `applied`.
    void flow(std::uint64_t applied) {
        hello();
        REQUIRE_FALSE(take(bytes_of(known(applied))));
        REQUIRE(core->phase() == Phase::flowing);
    }
    /// Connects for the first time, to a receiver that adopts the journal.
    void adopted(int operations = 0) {
        append(operations);
        hello();
        REQUIRE_FALSE(take(bytes_of(fresh())));
        REQUIRE_FALSE(take(ack(0)));
        REQUIRE(core->phase() == Phase::flowing);
    }
};

std::uint64_t numbered(std::uint64_t run, std::uint64_t count) { return (run << 32U) + count; }

}  // namespace

// ---- greeting -----------------------------------------------------------------------------------

TEST_CASE("SenderCore::hello carries its identity and the range of its operations",
          "[session][sender_core][unit]") {
    CoreRig r;
    Hello h = r.hello();
    CHECK(h.attach == numbered(1, 1));
    CHECK(h.sender == id(1));
    CHECK(h.journal == r.journal->journal_id());
    CHECK(h.pinned_store == no_id);
    CHECK(h.base == 1);
    CHECK(h.last == 0);
    CHECK(h.check == belay::journal_format::first_check(h.journal));
    CHECK(r.hello().attach == numbered(1, 2));  // each connection has another attach number
    r.adopted(3);
    r.filled();
    CHECK_FALSE(r.take(ack(2)));
    REQUIRE(r.journal->append(as_bytes("not durable")).has_value());
    h = r.hello();
    CHECK(h.pinned_store == pinned_store_id);
    CHECK(h.base == 3);
    CHECK(h.last == 3);
    CHECK(h.check == *r.journal->check(2));
    r.reopen();
    CHECK(r.hello().attach == numbered(2, 1));  // a later run is newer than all of an earlier one
}

TEST_CASE("SenderCore::hello carries the token", "[session][sender_core][unit]") {
    CoreRig r;
    Bytes token(3, std::byte{'t'});
    SendingCore core{*r.journal, {.id = id(1), .payload_bytes_max = 99, .token = token}};
    Bytes out;
    REQUIRE_FALSE(core.hello(out));
    const auto read = read_hello(only_frame(out));
    REQUIRE(read.has_value());
    CHECK(text_of(read->token) == "ttt");
    CHECK(read->payload_bytes_max == 99);
}

// ---- 5.1, steps 1 to 5: WELCOME -----------------------------------------------------------------

TEST_CASE("SenderCore completes its adoption by a receiver that does not know its journal",
          "[session][sender_core][unit]") {
    CoreRig r;
    r.append(2);
    r.hello();
    CHECK_FALSE(r.take(bytes_of(r.fresh())));
    CHECK(r.replied() == Observed{"start " + std::to_string(r.attach)});
    CHECK(r.core->phase() == Phase::adopting);
    // There is no credit yet, and no pin: if START is lost, the receiver rightly does not know the
    // journal.
    CHECK(r.filled().empty());
    CHECK(r.journal->store_pin() == no_id);
    CHECK_FALSE(r.take(ack(0)));
    CHECK(r.core->phase() == Phase::flowing);
    CHECK(r.journal->store_pin() == pinned_store_id);
    CHECK(r.filled() == Observed{"data 1 op 1", "data 2 op 2"});
    // The pin is durable before the first DATA.
    r.disk.crash(Random{Seed{3}});
    r.reopen();
    CHECK(r.journal->store_pin() == pinned_store_id);
}

TEST_CASE("SenderCore rejects an adoption whose ACK has applied operations",
          "[session][sender_core][unit]") {
    CoreRig r;
    r.append(2);
    r.hello();
    CHECK_FALSE(r.take(bytes_of(r.fresh())));
    CHECK(r.take(ack(1)) == SessionErrc::protocol);
    CHECK(r.replied() == Observed{"error protocol 5"});
    CHECK(r.journal->store_pin() == no_id);
}

TEST_CASE("SenderCore resumes from the receiver's number", "[session][sender_core][unit]") {
    CoreRig r;
    r.adopted(5);
    CHECK(r.filled().size() == 5);
    CHECK_FALSE(r.take(ack(1)));
    r.hello();
    CHECK_FALSE(r.take(bytes_of(r.known(3))));
    CHECK(r.replied() == Observed{"start " + std::to_string(r.attach)});
    CHECK(r.core->acked() == 3);  // the answer to a resume is an acknowledgement
    CHECK(r.filled() == Observed{"data 4 op 4", "data 5 op 5"});
    // The sender also goes back to numbers that it has sent before.
    r.flow(3);
    CHECK(r.filled() == Observed{"data 4 op 4", "data 5 op 5"});
}

TEST_CASE("SenderCore pins the store of a known journal before DATA",
          "[session][sender_core][unit]") {
    // The first ACK was lost: the receiver knows the journal, and the journal has no store.
    CoreRig r;
    r.append(1);
    r.flow(0);
    CHECK(r.journal->store_pin() == pinned_store_id);
    CHECK(r.filled() == Observed{"data 1 op 1"});
}

TEST_CASE("SenderCore counts that its journal replaces another", "[session][sender_core][unit]") {
    CoreRig r;
    r.hello();
    Welcome g = r.fresh();
    g.replaces = true;
    g.replaced_journal = id(77);
    g.replaced_applied = 12;
    CHECK(r.core->replacements() == 0);
    CHECK_FALSE(r.take(bytes_of(g)));
    CHECK(r.core->replacements() == 1);
    CHECK(r.core->details().replaced_journal == id(77));
    CHECK(r.core->details().replaced_applied == 12);
    CHECK(r.core->blocked() == Blocked::none);
}

// ---- 8: blocking errors -------------------------------------------------------------------------

TEST_CASE("SenderCore blocks for a receiver that lost its state", "[session][sender_core][unit]") {
    CoreRig r;
    r.adopted(4);
    r.filled();
    CHECK_FALSE(r.take(ack(2)));
    r.hello();
    SECTION("another store, to which the journal is unknown") {
        Welcome g = r.fresh();
        g.store = id(99);
        CHECK(r.take(bytes_of(g)) == SessionErrc::store_changed);
        CHECK(r.core->details().receiver_store == id(99));
    }
    SECTION("another store, which claims to know the journal") {
        Welcome g = r.known(2);
        g.store = id(99);
        CHECK(r.take(bytes_of(g)) == SessionErrc::store_changed);
        CHECK(r.core->details().receiver_store == id(99));
    }
    SECTION("the same store, which lost the journal") {
        CHECK(r.take(bytes_of(r.fresh())) == SessionErrc::store_changed);
        CHECK(r.core->details().receiver_store == pinned_store_id);
    }
    SECTION("ERROR store_changed") {
        CHECK(r.take(error(SessionErrc::store_changed, 0, id(98))) == SessionErrc::store_changed);
        CHECK(r.core->details().receiver_store == id(98));
    }
    SECTION("ERROR unknown_journal") {
        CHECK(r.take(error(SessionErrc::unknown_journal, 0, id(98))) ==
              SessionErrc::unknown_journal);
        CHECK(r.core->details().receiver_store == id(98));
    }
    CHECK(r.core->blocked() == Blocked::receiver_lost_state);
    CHECK(r.replied().empty());
    CHECK(r.filled().empty());
    CHECK_FALSE(r.core->wants_to_send());
    const BlockedDetails& details = r.core->details();
    CHECK(details.acked == 2);
    CHECK(details.last == 4);
    CHECK(details.pinned_store == pinned_store_id);
    CHECK(r.journal->store_pin() == pinned_store_id);
    CHECK(r.core->acked() == 2);
}

TEST_CASE("SenderCore blocks when a side was rolled back, or has another history",
          "[session][sender_core][unit]") {
    CoreRig r;
    r.adopted(4);
    r.filled();
    CHECK_FALSE(r.take(ack(2)));
    r.hello();
    SECTION("the receiver") {
        // The check of this number cannot be computed any more, so the number alone must be enough.
        Welcome g = r.known(2);
        g.applied = 1;
        CHECK(r.take(bytes_of(g)) == SessionErrc::receiver_rolled_back);
        CHECK(r.core->blocked() == Blocked::receiver_rolled_back);
        CHECK(r.core->details().applied == 1);
    }
    SECTION("the sender") {
        CHECK(r.take(bytes_of(r.known(5))) == SessionErrc::sender_rolled_back);
        CHECK(r.core->blocked() == Blocked::sender_rolled_back);
        CHECK(r.core->details().applied == 5);
    }
    SECTION("the sender, also with as many operations that are not durable") {
        REQUIRE(r.journal->append(as_bytes("x")).has_value());
        CHECK(r.take(bytes_of(r.known(5))) == SessionErrc::sender_rolled_back);
    }
    SECTION("neither: the numbers mean other operations") {
        Welcome g = r.known(3);
        g.check ^= 1;
        CHECK(r.take(bytes_of(g)) == SessionErrc::diverged);
        CHECK(r.core->blocked() == Blocked::diverged);
        CHECK(r.core->details().applied == 3);
    }
    CHECK(r.replied().empty());
    CHECK(r.core->acked() == 2);
    CHECK(r.core->details().acked == 2);
    CHECK(r.core->details().last == 4);
    CHECK(r.filled().empty());
}

TEST_CASE("SenderCore accepts a receiver that was restored to its last acknowledgement",
          "[session][sender_core][unit]") {
    CoreRig r;
    r.adopted(4);
    r.filled();
    CHECK_FALSE(r.take(ack(2)));
    r.flow(2);
    CHECK(r.filled() == Observed{"data 3 op 3", "data 4 op 4"});
}

TEST_CASE("SenderCore blocks when it is fenced, and reports the other attach number",
          "[session][sender_core][unit]") {
    CoreRig r;
    r.adopted(1);
    r.hello();
    CHECK(r.take(error(SessionErrc::fenced, numbered(9, 4))) == SessionErrc::fenced);
    CHECK(r.core->blocked() == Blocked::fenced);
    CHECK(r.core->details().attach == numbered(9, 4));
}

TEST_CASE("SenderCore blocks at an operation that the receiver does not accept",
          "[session][sender_core][unit]") {
    CoreRig r;
    r.adopted(1);
    REQUIRE(r.journal->append(Bytes(1001)).has_value());
    REQUIRE(r.journal->append(as_bytes("behind it")).has_value());
    REQUIRE_FALSE(r.journal->commit());
    const std::string large = make_error_code(SessionErrc::too_large).message();
    SECTION("by the limit in WELCOME") {
        CHECK(r.filled() == Observed{"data 1 op 1"});
        CHECK(r.filled() == Observed{large});
    }
    SECTION("by an ERROR") {
        CHECK(r.take(error(SessionErrc::too_large, 1000)) == SessionErrc::too_large);
    }
    CHECK(r.core->blocked() == Blocked::too_large);
    CHECK_FALSE(r.core->wants_to_send());
    CHECK(r.filled().empty());
}

TEST_CASE("SenderCore reports a defect after two gaps without progress",
          "[session][sender_core][unit]") {
    CoreRig r;
    r.adopted(3);
    CHECK(r.take(error(SessionErrc::gap, 1)) == SessionErrc::gap);
    CHECK(r.core->blocked() == Blocked::none);
    r.flow(0);
    SECTION("with progress between them: as the first") {
        r.filled();
        CHECK_FALSE(r.take(ack(1)));
        CHECK(r.take(error(SessionErrc::gap, 2)) == SessionErrc::gap);
        CHECK(r.core->blocked() == Blocked::none);
    }
    SECTION("without progress") {
        CHECK(r.take(error(SessionErrc::gap, 1)) == SessionErrc::diverged);
        CHECK(r.core->blocked() == Blocked::diverged);
    }
}

TEST_CASE("SenderCore blocks again only if the cause is still there after a reconnect",
          "[session][sender_core][unit]") {
    CoreRig r;
    r.adopted(3);
    r.hello();
    CHECK(r.take(error(SessionErrc::fenced, numbered(9, 1))) == SessionErrc::fenced);
    r.flow(1);
    CHECK(r.core->blocked() == Blocked::none);
    CHECK(r.filled() == Observed{"data 2 op 2", "data 3 op 3"});
    r.hello();
    CHECK(r.take(error(SessionErrc::fenced, numbered(9, 2))) == SessionErrc::fenced);
    CHECK(r.core->blocked() == Blocked::fenced);
}

TEST_CASE("SenderCore reacts to every ERROR as section 4.3 of the protocol requires",
          "[session][sender_core][unit]") {
    struct Row {
        SessionErrc code;
        std::uint64_t detail;
        Cause cause;
        Blocked blocked;
        Duration retry_after;
    };
    const Row rows[] = {
        {SessionErrc::protocol, 4, Cause::protocol, Blocked::none, 0s},
        {SessionErrc::version, numbered(1, 1), Cause::permanent, Blocked::none, 0s},
        {SessionErrc::unauthorized, 0, Cause::unauthorized, Blocked::none, 0s},
        {SessionErrc::forbidden, 0, Cause::unauthorized, Blocked::none, 0s},
        {SessionErrc::fenced, 9, Cause::permanent, Blocked::fenced, 0s},
        {SessionErrc::store_changed, 0, Cause::permanent, Blocked::receiver_lost_state, 0s},
        {SessionErrc::unknown_journal, 0, Cause::permanent, Blocked::receiver_lost_state, 0s},
        {SessionErrc::gap, 1, Cause::protocol, Blocked::none, 0s},
        {SessionErrc::too_large, 9, Cause::permanent, Blocked::too_large, 0s},
        {SessionErrc::overloaded, 1500, Cause::overloaded, Blocked::none, 1500ms},
        {SessionErrc::draining, 3000, Cause::overloaded, Blocked::none, 3s},
        {SessionErrc::overloaded, ~std::uint64_t{0}, Cause::overloaded, Blocked::none, 1h},
        {SessionErrc::superseded, 9, Cause::lost, Blocked::none, 0s},
        {SessionErrc::storage, 0, Cause::lost, Blocked::none, 0s},
        {SessionErrc::far_ahead, 9, Cause::refused, Blocked::none, 0s},
    };
    const bool greeting = GENERATE(true, false);
    for (const Row& row : rows) {
        CoreRig r;
        r.hello();
        if (!greeting) r.flow(0);
        CHECK(r.take(error(row.code, row.detail)) == row.code);
        CHECK(cause_of(make_error_code(row.code)) == row.cause);
        CHECK(r.core->blocked() == row.blocked);
        CHECK(r.core->take_retry_after() == row.retry_after);
        CHECK(r.core->take_retry_after() == 0s);
        CHECK(r.replied().empty());
    }
    for (const unsigned code : {0U, 14U, 99U}) {
        CoreRig r;
        r.hello();
        CHECK(r.take(error(static_cast<SessionErrc>(code))) == SessionErrc::protocol);
    }
}

// ---- 5.1, step 6, and 7 -------------------------------------------------------------------------

TEST_CASE("SenderCore sends only durable operations", "[session][sender_core][unit]") {
    CoreRig r;
    r.adopted(1);
    REQUIRE(r.journal->append(as_bytes("op 2")).has_value());
    CHECK(r.filled() == Observed{"data 1 op 1"});
    CHECK_FALSE(r.core->wants_to_send());
    REQUIRE_FALSE(r.journal->commit());
    CHECK(r.core->wants_to_send());
    CHECK(r.filled() == Observed{"data 2 op 2"});
}

TEST_CASE("SenderCore sends DATA with the salt of the run that took it",
          "[session][sender_core][unit]") {
    CoreRig r;
    r.append(1);
    const std::uint32_t first = r.journal->salt();
    r.reopen();
    r.adopted(1);
    Bytes out;
    REQUIRE_FALSE(r.core->fill(out, 1000));
    FrameReader reader{out, 1000};
    CHECK((*reader.next())->aux == first);
    CHECK((*reader.next())->aux == r.journal->salt());
    CHECK(first != r.journal->salt());
}

TEST_CASE("SenderCore fills at most as many bytes as requested, or one frame",
          "[session][sender_core][unit]") {
    CoreRig r;
    r.adopted(5);
    CHECK(r.filled(1) == Observed{"data 1 op 1"});
    CHECK(r.filled(56) == Observed{"data 2 op 2", "data 3 op 3"});
    CHECK(r.filled() == Observed{"data 4 op 4", "data 5 op 5"});
    CHECK(r.filled().empty());
}

TEST_CASE("SenderCore stays within the credit in numbers", "[session][sender_core][unit]") {
    CoreRig r;
    r.append(5);
    r.hello();
    CHECK_FALSE(r.take(bytes_of(r.fresh())));
    CHECK_FALSE(r.take(ack(0, 2)));
    CHECK(r.filled() == Observed{"data 1 op 1", "data 2 op 2"});
    CHECK_FALSE(r.core->wants_to_send());
    CHECK_FALSE(r.take(ack(1, 3)));
    CHECK(r.filled() == Observed{"data 3 op 3"});
    CHECK_FALSE(r.take(ack(2, 1)));  // it never shrinks
    CHECK_FALSE(r.take(ack(2, 4)));
    CHECK(r.filled() == Observed{"data 4 op 4"});
}

TEST_CASE("SenderCore stays within the credit in bytes", "[session][sender_core][unit]") {
    CoreRig r;
    r.append(5);  // of 4 bytes each
    r.hello();
    CHECK_FALSE(r.take(bytes_of(r.fresh())));
    CHECK_FALSE(r.take(ack(0, 100, 7)));
    CHECK(r.filled() == Observed{"data 1 op 1"});
    CHECK_FALSE(r.core->wants_to_send());  // otherwise its owner would spin
    CHECK(r.filled().empty());
    CHECK_FALSE(r.take(ack(0, 100, 8)));
    CHECK(r.core->wants_to_send());
    CHECK(r.filled() == Observed{"data 2 op 2"});
    CHECK_FALSE(r.take(ack(0, 100, 3)));
    CHECK(r.filled().empty());
    // The count of bytes begins again on each connection.
    r.hello();
    Welcome g = r.known(0);
    g.byte_limit = 4;
    CHECK_FALSE(r.take(bytes_of(g)));
    CHECK(r.filled() == Observed{"data 1 op 1"});
}

TEST_CASE("SenderCore releases acknowledged operations, and no others",
          "[session][sender_core][unit]") {
    CoreRig r;
    r.adopted(5);
    CHECK(r.filled(84).size() == 3);
    CHECK_FALSE(r.take(ack(2)));
    CHECK(r.core->acked() == 2);
    CHECK(r.journal->base() == 3);
    CHECK_FALSE(r.take(ack(1)));  // late
    CHECK_FALSE(r.take(ack(2)));  // again
    CHECK(r.core->acked() == 2);
    CHECK(r.take(ack(4)) == SessionErrc::protocol);  // never sent on this connection
    CHECK(r.replied() == Observed{"error protocol 5"});
    CHECK(r.core->acked() == 2);
    // A number that the receiver resumes at counts as sent.
    r.flow(4);
    CHECK_FALSE(r.take(ack(4)));
    CHECK(r.take(ack(5)) == SessionErrc::protocol);
}

TEST_CASE("SenderCore answers PING at any time, and ignores PONG", "[session][sender_core][unit]") {
    CoreRig r;
    r.hello();
    CHECK_FALSE(r.take(ping(3)));
    CHECK(r.replied() == Observed{"pong 3"});
    CHECK_FALSE(r.take(bytes_of(r.known(0)) + ping(4)));
    CHECK(r.replied() == Observed{"start " + std::to_string(r.attach), "pong 4"});
    CHECK_FALSE(r.take(bytes_of(Frame{.type = FrameType::pong, .number = 3})));
    CHECK(r.replied().empty());
}

TEST_CASE("SenderCore answers the PINGs of a message with one PONG",
          "[session][sender_core][fault]") {
    CoreRig r;
    r.flow(0);
    Bytes pings;
    for (std::uint64_t i = 1; i <= 340; ++i) pings = pings + ping(i);
    CHECK_FALSE(r.take(pings));
    CHECK(r.replied() == Observed{"pong 340"});
    CHECK_FALSE(r.take(ack(0)));
    CHECK(r.replied().empty());
}

TEST_CASE("SenderCore rejects frames that its state does not allow",
          "[session][sender_core][fault]") {
    CoreRig r;
    r.adopted(1);
    const auto refused = [&](const Bytes& message, unsigned type) {
        return r.take(message) == SessionErrc::protocol &&
               r.replied() == Observed{"error protocol " + std::to_string(type)};
    };
    SECTION("while greeting") {
        r.hello();
        CHECK(refused(ack(0), 5));
        CHECK(refused(data(1, "x"), 4));
        CHECK(refused(bytes_of(Frame{.type = FrameType::hello}), 1));
        Welcome g = r.known(0);
        g.attach += 1;  // of another connection
        CHECK(refused(bytes_of(g), 2));
        CHECK(refused(patched(bytes_of(r.known(0)), 32, 2), 2));  // a version that was not offered
        CHECK(refused(
            bytes_of(Frame{.type = FrameType::ping, .payload = Bytes(greeting_bytes_max + 1)}),
            11));
    }
    SECTION("while flowing") {
        CHECK(refused(bytes_of(r.known(0)), 2));
        CHECK(refused(start(r.attach), 3));
        CHECK(refused(data(1, "x"), 4));
        CHECK(refused(bytes_of(Frame{.type = FrameType::reject, .number = 1}), 6));
        CHECK(refused(bytes_of(Frame{.type = FrameType::drain}), 8));
        CHECK(refused(bytes_of(Frame{.type = FrameType::close}), 9));
        CHECK(refused(patched(ack(0), 11, 1), 5));                   // lane
        CHECK(refused(ack(0, std::uint64_t{1} << 63U), 5));          // limit
        CHECK(refused(bytes_of(Frame{.type = FrameType::ack}), 5));  // core an ACK
        CHECK(refused(Bytes(30, std::byte{'G'}), 'G'));
        CHECK(refused(Bytes(5), 0));
    }
    SECTION("when closed") {
        r.core->close();
        CHECK(refused(ack(0), 5));
        CHECK(refused(ping(1), 11));
    }
    CHECK(r.core->blocked() == Blocked::none);
    // The frames before the bad frame count.
    r.flow(0);
    r.filled();
    CHECK(r.take(ack(1) + start(1)) == SessionErrc::protocol);
    CHECK(r.core->acked() == 1);
}

// ---- a journal that fails -----------------------------------------------------------------------

TEST_CASE("SenderCore sends no HELLO with a journal that has failed",
          "[session][sender_core][fault]") {
    CoreRig r;
    r.adopted(2);
    REQUIRE(r.journal->append(as_bytes("op 3")).has_value());
    for (std::uint64_t i = 1; !r.journal->failed() && i < 10; ++i) {
        r.disk.fail_at(r.disk.operations() + 1, eio);
        static_cast<void>(r.journal->commit());
    }
    REQUIRE(r.journal->failed());
    r.core->journal_failed();
    CHECK(r.core->blocked() == Blocked::journal_failed);
    CHECK(r.filled().empty());
    r.core->close();
    Bytes out;
    CHECK(r.core->hello(out) == r.journal->failed());
    CHECK(out.empty());
    CHECK(r.core->blocked() == Blocked::journal_failed);
}

TEST_CASE("SenderCore reports a pin that cannot be made durable", "[session][sender_core][fault]") {
    CoreRig r;
    r.append(1);
    r.hello();
    CHECK_FALSE(r.take(bytes_of(r.fresh())));
    r.disk.fail_at(r.disk.operations() + 1, std::make_error_code(std::errc::io_error));
    CHECK(r.take(ack(0)) == std::errc::io_error);
    CHECK(r.filled().empty());
}

TEST_CASE("SenderCore continues when a file of acknowledged operations cannot be deleted",
          "[session][sender_core][regression]") {
    // The number of the disk operation that fails. The last two operations of an acknowledgement
    // remove a file, and those before them make the reason durable.
    const std::uint64_t which = GENERATE(1U, 2U, 3U, 4U);
    CoreRig r;
    r.adopted(0);
    for (int i = 0; i < 20; ++i) REQUIRE(r.journal->append(Bytes(900)).has_value());
    REQUIRE_FALSE(r.journal->commit());
    CHECK(r.filled().size() == 20);
    const std::uint64_t before = r.disk.operations();
    r.disk.fail_at(before + which, std::make_error_code(std::errc::io_error));
    const std::error_code e = r.take(ack(5));
    CHECK(r.disk.operations() >= before + which);
    CHECK(e == r.journal->failed());
    CHECK(static_cast<bool>(e) == (which <= 2));
    CHECK(r.core->acked() == 5);
}
