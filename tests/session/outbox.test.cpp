// SPDX-License-Identifier: MIT
// Goal: an outbox keeps its promise, its limits and its order, and allows all calls in hooks.
// Method: a scripted server, and time by hand, over memory and over a journal on a simulated disk.
#include <belay/session/outbox.hpp>

#include <stdexcept>

#include <belay/link/bundle.hpp>
#include <belay/queue/overflows.hpp>

#include "support/aborts.hpp"
#include "support/session/outbox_rig.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::at_least_once;
using belay_test::at_most_once;
using belay_test::OutboxJournal;
using belay_test::OutboxMemory;
using belay_test::OutboxRig;

namespace {

using Texts = std::vector<std::string>;

/// A journal that does not release the message `from` the first two times.
template <std::uint64_t From>
struct AckFailsTwice : OutboxJournal {
    explicit AckFailsTwice(OutboxJournal journal) : OutboxJournal{std::move(journal)} {}
    std::error_code ack(std::uint64_t up_to) noexcept {
        if (up_to >= From && failures != 0) {
            --failures;
            return std::make_error_code(std::errc::no_space_on_device);
        }
        return OutboxJournal::ack(up_to);
    }
    std::error_code ack() noexcept { return ack(base()); }
    int failures = 2;
};

/// A check that passes at "ok", and delivers all other messages after the opening.
struct PassesAtOk {
    Verdict begin(const auto&) { return Verdict::pending(); }
    Verdict judge(const Bytes& message, const auto&) {
        return as_text(message) == "ok" ? Verdict::passed() : Verdict::deferred();
    }
};

/// The reports of an outbox over `transport`, and the messages that it has sent. `script` plays the
/// servers.
template <class Storage, class Transport>
Texts reports_of(Transport transport, OutboxRig<Storage>& rig, std::function<void()> script) {
    using Box = Outbox<Transport, decltype(belay_test::outbox_policy()), Queue<Storage>,
                       std::reference_wrapper<belay_test::OutboxNotes>>;
    rig.box.reset();
    Box box{std::move(transport), belay_test::outbox_policy(),
            Queue<Storage>{rig.storage(Flush::group)}, at_least_once, std::ref(rig.notes)};
    const auto run = [&box] {
        for (int i = 0; i < 100 && box.deadline() <= belay_test::at(0s); ++i) {
            box.advance(belay_test::at(0s));
        }
    };
    REQUIRE_FALSE(box.push("a"));
    box.start();
    run();
    rig.notes.take();
    script();
    run();
    return rig.notes.take();
}

}  // namespace

TEMPLATE_TEST_CASE("Outbox sends in order what was accepted while the connection was down",
                   "[session][outbox][unit]", OutboxMemory, OutboxJournal) {
    for (const OutboxOptions& options : {at_most_once, at_least_once}) {
        OutboxRig<TestType> rig{options};
        rig.push("a");
        rig.push("b");
        CHECK(rig.server.take().empty());
        rig.connect();
        rig.push("c");
        rig.run();
        CHECK(rig.server.take() == Texts{"a", "b", "c"});
        CHECK(rig.box->status().sent == 3);
    }
}

TEMPLATE_TEST_CASE("Outbox delivers a message that arrives before its transport is open",
                   "[session][outbox][regression]", OutboxMemory, OutboxJournal) {
    OutboxRig<TestType> rig{at_least_once};
    belay_test::OutboxServer first, second;
    const auto say = [](belay_test::OutboxServer& server, std::string_view text) {
        CHECK(server.link.received(to_bytes(as_bytes(text))) == driver::Post::taken);
    };
    const Texts got =
        reports_of(Validated{belay_test::OutboxTransport{&first}, PassesAtOk{}}, rig, [&] {
            first.link.opened();
            say(first, "news");
            say(first, "ok");
        });
    CHECK(got == Texts{"connected", "message news", "sent 1 a"});
    OutboxRig<TestType> other{at_least_once};
    const Texts of_bundle = reports_of(
        Bundle{belay_test::OutboxTransport{&first}, belay_test::OutboxTransport{&second}}, other,
        [&] {
            second.link.opened();
            say(second, "hello");
            first.link.opened();
        });
    CHECK(of_bundle == Texts{"connected", "message hello", "sent 1 a"});
}

TEST_CASE("Outbox releases a refused message that the journal did not release at first",
          "[session][outbox][regression]") {
    OutboxRig<AckFailsTwice<1>> rig{at_least_once};
    rig.server.refuses = "bad";
    rig.connect();
    rig.push("bad");
    rig.box->drain(forever);
    rig.run();
    for (int i = 0; i < 2; ++i) {
        REQUIRE(rig.box->depth() == 1);
        rig.run(rig.now + 1s);
    }
    CHECK(rig.box->depth() == 0);
    CHECK(rig.notes.take() == Texts{"unsent 1 bad", "stopped"});
}

TEST_CASE("Outbox releases a refused message that an acknowledgement did not release",
          "[session][outbox][regression]") {
    OutboxRig<AckFailsTwice<2>> rig{at_least_once};
    rig.server.refuses = "bad";
    rig.connect();
    rig.push("good");
    rig.push("bad");
    rig.box->drain(forever);
    rig.run();
    rig.notes.take();
    REQUIRE(rig.box->depth() == 2);
    CHECK_FALSE(rig.box->acknowledge(1));
    CHECK(rig.box->depth() == 1);
    rig.run();
    for (int s = 0; s < 3; ++s) rig.run(rig.now + 1s);
    CHECK(rig.box->depth() == 0);
    CHECK(rig.notes.take() == Texts{"stopped"});
}

TEMPLATE_TEST_CASE("Outbox with at_most_once never sends again what a cut has lost",
                   "[session][outbox][unit]", OutboxMemory, OutboxJournal) {
    OutboxRig<TestType> rig{at_most_once};
    rig.push("a");
    rig.connect();
    CHECK(rig.box->depth() == 0);
    rig.cut();
    rig.push("b");
    rig.connect();
    CHECK(rig.server.take() == Texts{"a", "b"});
    CHECK(rig.box->acknowledge() == SessionErrc::not_sent);
    CHECK(rig.box->acknowledge(1) == SessionErrc::not_sent);
}

TEMPLATE_TEST_CASE("Outbox with at_least_once sends again what was not acknowledged",
                   "[session][outbox][unit]", OutboxMemory, OutboxJournal) {
    OutboxRig<TestType> rig{at_least_once};
    for (const char* text : {"a", "b", "c"}) rig.push(text);
    rig.connect();
    CHECK_FALSE(rig.box->acknowledge());
    rig.cut();
    // A late acknowledgement of the earlier connection.
    CHECK_FALSE(rig.box->acknowledge(2));
    CHECK_FALSE(rig.box->acknowledge(1));
    CHECK(rig.box->acknowledge(4) == SessionErrc::not_sent);
    CHECK(rig.box->acknowledge() == SessionErrc::not_sent);
    CHECK(rig.box->depth() == 1);
    rig.push("d");
    rig.server.take();
    rig.connect();
    CHECK(rig.server.take() == Texts{"c", "d"});
    const OutboxStatus status = rig.box->status();
    CHECK(status.sent == 5);
    CHECK(status.sent_again == 1);
    CHECK(status.acknowledged == 2);
    CHECK(status.in_flight == 2);
    CHECK(status.waiting == 0);
    CHECK_FALSE(rig.box->acknowledge(4));
    CHECK(rig.box->depth() == 0);
    CHECK(rig.box->queue().empty());
}

TEST_CASE("Outbox gives a message the same number each time that it is sent",
          "[session][outbox][unit]") {
    OutboxRig<OutboxMemory> rig{at_least_once};
    rig.push("a");
    rig.push("b");
    rig.box->start();
    rig.run();
    rig.server.link.opened();
    rig.run();
    CHECK(rig.notes.take() == Texts{"connecting", "connected", "sent 1 a", "sent 2 b"});
    CHECK_FALSE(rig.box->acknowledge());
    rig.cut();
    rig.notes.take();
    rig.run(1s);
    rig.server.link.opened();
    rig.run();
    CHECK(rig.notes.take() == Texts{"connecting", "connected", "sent 2 b"});
}

TEMPLATE_TEST_CASE("Outbox waits for capacity after busy, and loses nothing meanwhile",
                   "[session][outbox][unit]", OutboxMemory, OutboxJournal) {
    for (const OutboxOptions& options : {at_most_once, at_least_once}) {
        OutboxRig<TestType> rig{options};
        rig.connect();
        rig.server.busy_after = 1;
        for (const char* text : {"a", "b", "c"}) rig.push(text);
        rig.run();
        CHECK(rig.server.take() == Texts{"a"});
        CHECK(rig.box->status().waiting == 2);
        rig.server.busy_after = -1;
        rig.server.link.writable();
        rig.run();
        CHECK(rig.server.take() == Texts{"b", "c"});
        // The transport is busy and then cut. The next connection begins with this message.
        rig.server.busy_after = 0;
        rig.push("d");
        rig.run();
        if (options.promise == OutboxOptions::at_least_once) {
            CHECK_FALSE(rig.box->acknowledge(3));
        }
        rig.cut();
        rig.server.busy_after = -1;
        rig.connect();
        CHECK(rig.server.take() == Texts{"d"});
    }
}

TEMPLATE_TEST_CASE("Outbox returns a message that the transport can never carry",
                   "[session][outbox][unit]", OutboxMemory, OutboxJournal) {
    for (const OutboxOptions& options : {at_most_once, at_least_once}) {
        OutboxRig<TestType> rig{options};
        rig.server.refuses = "b";
        rig.connect();
        for (const char* text : {"a", "b", "c"}) rig.push(text);
        rig.run();
        CHECK(rig.server.take() == Texts{"a", "c"});
        CHECK(rig.notes.take() == Texts{"sent 1 a", "unsent 2 b", "sent 3 c"});
        CHECK(rig.box->status().unsent == 1);
        if (options.promise == OutboxOptions::at_least_once) {
            // The rejected message needs no acknowledgement of its own.
            CHECK_FALSE(rig.box->acknowledge());
            CHECK(rig.box->depth() == 1);
            CHECK_FALSE(rig.box->acknowledge());
        }
        CHECK(rig.box->depth() == 0);
    }
}

TEMPLATE_TEST_CASE("Outbox with at_least_once releases a refused message that is the first",
                   "[session][outbox][unit]", OutboxMemory, OutboxJournal) {
    OutboxRig<TestType> rig{at_least_once};
    rig.server.refuses = "a";
    rig.push("a");
    rig.connect();
    CHECK(rig.box->depth() == 0);
    rig.push("b");
    rig.run();
    CHECK(rig.server.take() == Texts{"b"});
    CHECK_FALSE(rig.box->acknowledge());
    CHECK(rig.box->depth() == 0);
}

TEMPLATE_TEST_CASE("Outbox sends at most in_flight_max messages before an acknowledgement",
                   "[session][outbox][unit]", OutboxMemory, OutboxJournal) {
    OutboxOptions options = at_least_once;
    options.in_flight_max = 2;
    OutboxRig<TestType> rig{options};
    for (const char* text : {"a", "b", "c", "d"}) rig.push(text);
    rig.connect();
    CHECK(rig.server.take() == Texts{"a", "b"});
    CHECK(rig.box->status().waiting == 2);
    CHECK_FALSE(rig.box->acknowledge());
    rig.run();
    CHECK(rig.server.take() == Texts{"c"});
}

TEMPLATE_TEST_CASE("Outbox refuses what its options and its queue do not allow",
                   "[session][outbox][unit]", OutboxMemory, OutboxJournal) {
    OutboxOptions options = at_least_once;
    options.message_bytes_max = 3;
    OutboxRig<TestType> rig{options, 2};
    CHECK(rig.box->push("long") == QueueErrc::too_large);
    rig.push("a");
    rig.push("b");
    CHECK(rig.box->push("c") == QueueErrc::queue_full);
    CHECK(rig.box->queue().observer().rejected == 1);
    CHECK(rig.box->depth() == 2);
}

TEST_CASE("Outbox refuses a message above the journal's record_bytes_max",
          "[session][outbox][unit]") {
    OutboxRig<OutboxJournal> rig{at_least_once};
    CHECK(rig.box->push(std::string(600, 'x')) == QueueErrc::too_large);
    CHECK(rig.box->depth() == 0);
}

TEST_CASE("Outbox options that contradict its promise abort with a sentence",
          "[session][outbox][unit]") {
    CHECK(at_least_once.check().empty());
    CHECK(OutboxOptions{}.check() ==
          "OutboxOptions: promise must be at_most_once or at_least_once");
    OutboxOptions options = at_least_once;
    options.in_flight_max = 0;
    CHECK(options.check() == "OutboxOptions: in_flight_max must be > 0");
    options = at_most_once;
    options.message_bytes_max = 0;
    CHECK(options.check() == "OutboxOptions: message_bytes_max must be > 0");
    const std::string printed =
        belay_test::aborts_with([&] { static_cast<void>(detail::checked(options)); });
    CHECK(printed.find("message_bytes_max must be > 0") != std::string::npos);
}

TEMPLATE_TEST_CASE("Outbox drops the oldest messages of an outage if its queue does",
                   "[session][outbox][unit]", OutboxMemory, OutboxJournal) {
    for (const OutboxOptions& options : {at_most_once, at_least_once}) {
        OutboxRig<TestType, DropOldest> rig{options, 2};
        for (const char* text : {"a", "b", "c", "d"}) rig.push(text);
        rig.run();
        CHECK(rig.box->queue().observer().dropped == 2);
        rig.connect();
        CHECK(rig.server.take() == Texts{"c", "d"});
    }
}

TEST_CASE("Outbox does not let its queue drop what was sent and is not acknowledged",
          "[session][outbox][unit]") {
    OutboxRig<OutboxJournal, DropOldest> rig{at_least_once, 2};
    rig.push("a");
    rig.push("b");
    rig.connect();
    CHECK(rig.box->push("c") == QueueErrc::queue_full);
    CHECK(rig.box->queue().observer().rejected == 1);
    CHECK_FALSE(rig.box->acknowledge());
    rig.push("c");
    rig.run();
    CHECK(rig.server.take() == Texts{"a", "b", "c"});
    // After a cut, the queue may drop these messages, and reports that.
    rig.cut();
    rig.push("d");
    CHECK(rig.box->queue().observer().dropped == 1);
    rig.connect();
    CHECK(rig.server.take() == Texts{"c", "d"});
    CHECK_FALSE(rig.box->acknowledge(4));
    CHECK(rig.box->depth() == 0);
}

TEST_CASE("Outbox lets its queue drop the newest message also while others are in flight",
          "[session][outbox][unit]") {
    OutboxRig<OutboxJournal, DropNewest> rig{at_least_once, 2};
    rig.push("a");
    rig.push("b");
    rig.connect();
    rig.push("c");
    CHECK(rig.box->queue().observer().dropped == 1);
    CHECK_FALSE(rig.box->acknowledge(2));
    rig.push("d");
    rig.run();
    CHECK(rig.server.take() == Texts{"a", "b", "d"});
}

// ---- a journal ---------------------------------------------------------------------------------

TEST_CASE("Outbox with at_least_once sends again after a crash what was not acknowledged",
          "[session][outbox][unit]") {
    OutboxRig<OutboxJournal> rig{at_least_once};
    for (const char* text : {"a", "b", "c"}) rig.push(text);
    rig.connect();
    CHECK_FALSE(rig.box->acknowledge());
    CHECK_FALSE(rig.box->commit());
    rig.crash();
    CHECK(rig.box->depth() == 2);
    rig.connect();
    CHECK(rig.server.take() == Texts{"b", "c"});
}

TEST_CASE("Outbox with at_most_once removes a message durably before it sends it",
          "[session][outbox][unit]") {
    OutboxRig<OutboxJournal> rig{at_most_once};
    rig.push("a");
    rig.push("b");
    rig.connect();
    CHECK(rig.server.take() == Texts{"a", "b"});
    rig.crash();
    CHECK(rig.box->depth() == 0);
    rig.connect();
    CHECK(rig.server.take().empty());
}

TEST_CASE("Outbox flushes once per turn, and sends nothing before the flush",
          "[session][outbox][unit]") {
    for (const OutboxOptions& options : {at_most_once, at_least_once}) {
        OutboxRig<OutboxJournal> rig{options};
        rig.connect();
        const std::uint64_t before = rig.disk.operations();
        for (const char* text : {"a", "b", "c"}) rig.push(text);
        CHECK(rig.server.take().empty());
        rig.run();
        CHECK(rig.server.take().size() == 3);
        // One write and one sync.
        CHECK(rig.disk.operations() == before + 2);
    }
}
