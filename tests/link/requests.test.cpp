// SPDX-License-Identifier: MIT
// Goal: each accepted question is completed once, with its own answer or the reason that there is
// none, and the limits hold. Method: a scripted transport, and time by hand.
#include <belay/link/requests.hpp>

#include <stdexcept>

#include "support/aborts.hpp"
#include "support/link/requests_rig.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::Observed;
using belay_test::RequestsRig;
using belay_test::TextIds;
using belay_test::TextInOrder;

namespace {

constexpr auto send_again = RequestsOptions::send_again;

/// Throws at a question, or an answer, with "bad" in it.
struct ThrowingIds : TextIds {
    static void put_id(std::string& text, std::uint64_t id) {
        expect_good(text);
        TextIds::put_id(text, id);
    }
    [[nodiscard]] static std::optional<std::uint64_t> id_of(const std::string& text) {
        expect_good(text);
        return TextIds::id_of(text);
    }
    static void expect_good(const std::string& text) {
        if (text.find("bad") != std::string::npos) throw std::runtime_error{"codec"};
    }
};

struct ThrowingInOrder : part::InOrder {
    [[nodiscard]] static bool is_answer(const std::string& text) {
        ThrowingIds::expect_good(text);
        return true;
    }
};

}  // namespace

TEST_CASE("Requests gives answers in order to questions in order", "[link][requests][unit]") {
    RequestsRig<part::InOrder> rig;
    rig.connect();
    rig.ask("a");
    rig.ask("b");
    CHECK(rig.sent() == Observed{"a", "b"});
    rig.answer("1");
    rig.answer("2");
    CHECK(rig.notes.take() == Observed{"a = 1", "b = 2"});
    const RequestsStatus status = rig.box->status();
    CHECK(status.asked == 2);
    CHECK(status.answered == 2);
    CHECK(status.unmatched == 0);
    CHECK(status.in_flight == 0);
}

TEST_CASE("Requests ends a connection whose answers in order are more than the questions",
          "[link][requests][unit]") {
    RequestsRig<part::InOrder> rig;
    rig.connect();
    rig.ask("a");
    rig.answer("1");
    // Both arrive in one turn, and must not be given to the question that is asked between them.
    static_cast<void>(rig.transport.link.received("2"));
    static_cast<void>(rig.transport.link.received("3"));
    rig.notes.hook = [&](const std::string& what) {
        if (what == "unmatched 2") rig.ask("b", 100s);
    };
    rig.run();
    CHECK(rig.notes.take() == Observed{"a = 1", "unmatched 2", "unmatched 3", "cooldown"});
    CHECK(rig.box->status().link.failure.error() == std::errc::protocol_error);
    CHECK(rig.box->status().unmatched == 2);
    rig.connect();
    rig.answer("4");
    CHECK(rig.notes.take() == Observed{"b = 4"});
}

TEST_CASE("Requests ends a connection if its codec throws at a message that may be an answer",
          "[link][requests][unit]") {
    RequestsRig<ThrowingInOrder> rig;
    rig.connect();
    rig.ask("a", 100s);
    rig.ask("b", 100s);
    static_cast<void>(rig.transport.link.received("bad"));
    static_cast<void>(rig.transport.link.received("for b"));
    CHECK_THROWS_AS(rig.run(), std::runtime_error);
    rig.run();
    const Observed seen = rig.notes.take();
    REQUIRE(seen.size() == 4);
    CHECK(seen[0] == "unmatched for b");
    CHECK(seen[1] == "cooldown");
    CHECK(seen[2].rfind("a = lost", 0) == 0);
    CHECK(seen[3].rfind("b = lost", 0) == 0);
}

TEST_CASE("Requests gives answers by id to their questions in any order",
          "[link][requests][unit]") {
    RequestsRig<TextIds> rig;
    rig.connect();
    const std::string a = std::to_string(rig.ask("a"));
    const std::string b = std::to_string(rig.ask("b"));
    CHECK(rig.sent() == Observed{a + ":a", b + ":b"});
    rig.answer(b + ":2");
    rig.answer("news");
    rig.answer(b + ":2 again");
    rig.answer("77:unknown");
    rig.answer("18446744073709551615:unknown");
    rig.answer("0:unknown");
    rig.answer(a + ":1");
    CHECK(rig.notes.take() == Observed{"b = " + b + ":2", "message news",
                                       "unmatched " + b + ":2 again", "unmatched 77:unknown",
                                       "unmatched 18446744073709551615:unknown",
                                       "unmatched 0:unknown", "a = " + a + ":1"});
    CHECK(rig.box->status().unmatched == 4);
}

TEST_CASE("Requests reuses the space of a question and never its id", "[link][requests][unit]") {
    RequestsRig<TextIds> rig;
    rig.connect();
    const std::string old = std::to_string(rig.ask("old"));
    rig.answer(old + ":");
    const std::string young = std::to_string(rig.ask("young"));
    CHECK(old != young);
    rig.notes.take();
    rig.answer(old + ":late");
    CHECK(rig.notes.take() == Observed{"unmatched " + old + ":late"});
}

TEST_CASE("Requests gives its questions ids below 2^53, however many there are",
          "[link][requests][regression]") {
    using Table = detail::QuestionTable<std::string>;
    constexpr std::uint64_t last = (std::uint64_t{1} << 33) - 1;
    STATIC_REQUIRE(Table::number_after(0) == 1);
    STATIC_REQUIRE(Table::number_after(last - 1) == last);
    STATIC_REQUIRE(Table::number_after(last) == 1);
    STATIC_REQUIRE(last << Table::index_bits < std::uint64_t{1} << 53);
}

TEST_CASE("Requests keeps the slot of a question whose deadline passed", "[link][requests][unit]") {
    RequestsRig<TextInOrder> rig;
    rig.connect();
    rig.ask("a", 1s);
    rig.ask("b", 5s);
    rig.run(rig.now + 1s);
    CHECK(rig.notes.take() == Observed{"a = timed_out: the peer did not answer in time"});
    CHECK(rig.box->status().in_flight == 2);
    rig.answer("push 1");
    rig.answer("for a");
    rig.answer("for b");
    CHECK(rig.notes.take() == Observed{"message push 1", "unmatched for a", "b = for b"});
    CHECK(rig.box->status().in_flight == 0);
}

TEST_CASE("Requests in order gives the next answer to a question that the server skipped",
          "[link][requests][unit]") {
    const unsigned timeouts_max = GENERATE(0U, 1U, 3U);
    RequestsRig<part::InOrder> rig{{.timeouts_max = timeouts_max}};
    rig.connect();
    rig.ask("a", 1s);
    rig.ask("b", 5s);
    rig.answer("for b");
    CHECK(rig.notes.take() == Observed{"a = for b"});
    // Each later question gets a wrong answer, too, until a deadline passes.
    rig.ask("c", 5s);
    rig.answer("for c");
    CHECK(rig.notes.take() == Observed{"b = for c"});
    rig.run(rig.now + 5s);
    Observed end{"c = timed_out: the peer did not answer in time"};
    if (timeouts_max == 1) end.push_back("cooldown");
    CHECK(rig.notes.take() == end);
}

TEST_CASE("Requests in order gives an answer that came twice to the next question in flight",
          "[link][requests][unit]") {
    RequestsRig<part::InOrder> rig;
    rig.connect();
    rig.ask("a");
    rig.ask("b");
    rig.answer("for a");
    rig.answer("for a");
    CHECK(rig.notes.take() == Observed{"a = for a", "b = for a"});
    rig.answer("for b");
    CHECK(rig.notes.take() == Observed{"unmatched for b", "cooldown"});
    CHECK(rig.box->status().link.failure.error() == std::errc::protocol_error);
}

TEST_CASE("Requests with timeouts_max 1 ends the connection at the first deadline that passes",
          "[link][requests][unit]") {
    RequestsRig<part::InOrder> rig{{.timeouts_max = 1}};
    rig.connect();
    rig.ask("a", 1s);
    rig.run(rig.now + 500ms);
    rig.ask("b", 5s);
    rig.run(rig.now + 500ms);
    CHECK(rig.notes.take() == Observed{"a = timed_out: the peer did not answer in time", "cooldown",
                                       "b = lost: the peer did not answer in time"});
    // No later question gets the answer that then arrives.
    rig.answer("for b");
    CHECK(rig.notes.take().empty());
    CHECK(rig.box->status().answered == 0);
}

TEST_CASE("Requests ignores an answer by id after the deadline", "[link][requests][unit]") {
    RequestsRig<TextIds> rig;
    rig.connect();
    const std::string a = std::to_string(rig.ask("a", 1s));
    rig.run(rig.now + 1s);
    CHECK(rig.box->status().in_flight == 0);
    rig.notes.take();
    rig.answer(a + ":late");
    CHECK(rig.notes.take() == Observed{"unmatched " + a + ":late"});
}

TEMPLATE_TEST_CASE("Requests gives an answer that arrived in time although the driver is late",
                   "[link][requests][unit]", part::InOrder, TextIds) {
    RequestsRig<TestType> rig;
    rig.connect();
    const std::string a = std::to_string(rig.ask("a", 1s));
    static_cast<void>(rig.transport.link.received(a + ":1"));
    rig.run(rig.now + 10s);
    CHECK(rig.notes.take() == Observed{"a = " + a + ":1"});
}

TEST_CASE("Requests gives all answers that arrived in time although the driver is late",
          "[link][requests][regression]") {
    const bool is_drained = GENERATE(false, true);
    const bool one_at_a_time = GENERATE(false, true);
    RequestsRig<part::InOrder> rig;
    rig.connect();
    for (int i = 0; i < 200; ++i) rig.ask("q", is_drained ? 100s : 1s);
    if (is_drained) rig.box->drain(1s);
    rig.now += 3s;
    // The second transport reads one message before each turn.
    for (int i = 0; i < 200; ++i) {
        static_cast<void>(rig.transport.link.received("a"));
        if (one_at_a_time) rig.box->advance(belay_test::at(rig.now));
    }
    rig.run();
    CHECK(rig.box->status().answered == 200);
    CHECK(rig.box->status().timed_out == 0);
    CHECK(rig.box->status().link.state == (is_drained ? LinkState::stopped : LinkState::connected));
}

TEST_CASE("Requests fails a late question although other messages arrive all the time",
          "[link][requests][unit]") {
    const std::size_t messages_max = GENERATE(1U, 20U);
    RequestsRig<TextInOrder> rig{{.link = {.messages_max = messages_max}}};
    rig.connect();
    rig.ask("a", 1s);
    std::size_t turns = 0;
    for (; rig.box->status().timed_out == 0 && turns < 100; ++turns) {
        static_cast<void>(rig.transport.link.received("push"));
        rig.box->advance(belay_test::at(rig.now + 1s));
    }
    CHECK(turns == messages_max + 1);
}

TEMPLATE_TEST_CASE("Requests fails unanswered questions when the connection ends",
                   "[link][requests][unit]", part::InOrder, TextIds) {
    RequestsRig<TestType> rig;
    rig.connect();
    rig.ask("a", 100s);
    rig.ask("b", 1s);
    rig.run(rig.now + 1s);
    rig.notes.take();
    rig.cut();
    const Observed seen = rig.notes.take();
    REQUIRE(seen.size() == 2);
    CHECK(seen[0] == "cooldown");
    CHECK(seen[1].rfind("a = lost", 0) == 0);
    CHECK(rig.box->status().lost == 1);
    CHECK(rig.box->status().in_flight == 0);
    // The next connection begins without the slots of the last one.
    rig.connect();
    rig.sent();
    const std::string c = std::to_string(rig.ask("c"));
    rig.answer(c + ":3");
    CHECK(rig.notes.take() == Observed{"c = " + c + ":3"});
}

TEST_CASE("Requests sends idempotent questions again, in order, before the others",
          "[link][requests][unit]") {
    RequestsRig<part::InOrder> rig{{.in_flight_max = 4}};
    rig.connect();
    rig.ask("a", 100s, send_again);
    rig.ask("x", 100s);
    rig.ask("b", 100s, send_again);
    rig.ask("late", 3s, send_again);
    rig.ask("waits", 100s);
    CHECK(rig.sent() == Observed{"a", "x", "b", "late"});
    rig.cut();
    Observed seen = rig.notes.take();
    REQUIRE(seen.size() == 2);
    CHECK(seen[1].rfind("x = lost", 0) == 0);
    rig.connect();  // 10 s later
    CHECK(rig.sent() == Observed{"a", "b", "waits"});
    rig.answer("1");
    rig.answer("2");
    rig.answer("3");
    CHECK(rig.notes.take() == Observed{"a = 1", "b = 2", "waits = 3"});
    CHECK(rig.box->status().sent_again == 2);
    CHECK(rig.box->status().timed_out == 1);
}

TEST_CASE("Requests accepts the answer by id on the connection on which it sent again",
          "[link][requests][unit]") {
    RequestsRig<TextIds> rig;
    rig.connect();
    const auto a = rig.ask("a", 100s, send_again);
    const std::string answer = std::to_string(a) + ":1";
    rig.cut();
    rig.box->start();
    rig.run(rig.now + 10s);
    rig.notes.take();
    static_cast<void>(rig.transport.link.received(std::string{answer}));  // before it is open
    rig.transport.link.opened();
    rig.run();
    CHECK(rig.notes.take() == Observed{"connected", "unmatched " + answer});
    rig.answer(answer);
    CHECK(rig.notes.take() == Observed{"a = " + answer});
}

TEST_CASE("Requests sends a question at most sends_max times", "[link][requests][unit]") {
    RequestsRig<part::InOrder> rig{{.sends_max = 2, .on_loss = send_again}};
    rig.connect();
    REQUIRE(rig.box->ask("poison", 100s,
                         [&](const auto& a) { rig.notes.add(belay_test::text_of(a)); }));
    rig.cut();
    CHECK(rig.notes.take() == Observed{"cooldown"});
    rig.connect();
    CHECK(rig.sent() == Observed{"poison", "poison"});
    CHECK(rig.box->status().sent_again == 1);
    rig.cut();
    const Observed seen = rig.notes.take();
    REQUIRE(seen.size() == 2);
    CHECK(seen[1].rfind("lost", 0) == 0);
}

TEST_CASE("Requests lets a question wait for a connection within its deadline",
          "[link][requests][unit]") {
    RequestsRig<part::InOrder> rig;
    CHECK(rig.refused("early", 2s) == std::errc::not_connected);
    rig.box->start();
    rig.ask("a", 1s);
    rig.ask("b", 20s);
    rig.run();
    CHECK(rig.sent().empty());
    CHECK(rig.box->status().waiting == 2);
    rig.run(1s);
    CHECK(rig.notes.take() ==
          Observed{"connecting", "a = timed_out: the question was not sent in time"});
    rig.transport.link.opened();
    rig.run();
    CHECK(rig.sent() == Observed{"b"});
    rig.answer("2");
    CHECK(rig.notes.take() == Observed{"connected", "b = 2"});
}

TEST_CASE("Requests rejects a question that cannot be sent at once if no question may wait",
          "[link][requests][unit]") {
    RequestsRig<part::InOrder> rig{{.in_flight_max = 2, .waiting_max = 0}};
    rig.box->start();
    CHECK(rig.refused("a", 1s) == std::errc::not_connected);
    rig.connect();
    CHECK(rig.refused("a", 0s) == std::errc::timed_out);
    rig.ask("a");
    rig.ask("b");
    CHECK(rig.refused("c", 1s) == LinkErrc::requests_full);
    rig.answer("1");
    rig.transport.answer = SendResult::busy;
    CHECK(rig.refused("c", 1s) == LinkErrc::requests_full);
    rig.transport.answer = SendResult::rejected;
    rig.transport.link.writable();
    rig.run();
    CHECK(rig.refused("c", 1s) == LinkErrc::message_rejected);
    CHECK(rig.box->status().asked == 2);
}

TEST_CASE("Requests bounds the questions that wait, and sends them when there is capacity",
          "[link][requests][unit]") {
    RequestsRig<TextInOrder> rig{{.in_flight_max = 1, .waiting_max = 2}};
    rig.connect();
    rig.ask("a");
    rig.ask("b");
    const auto c = rig.ask("c");
    CHECK(rig.refused("d", 1s) == LinkErrc::requests_full);
    CHECK(rig.box->cancel(c));
    CHECK_FALSE(rig.box->cancel(c));
    CHECK(rig.refused("d", 1s) == LinkErrc::requests_full);  // until `done` was called
    rig.run();
    CHECK(rig.notes.take() == Observed{"c = lost: Operation canceled"});
    rig.ask("d");
    rig.answer("1");
    CHECK(rig.sent() == Observed{"a", "b"});
    rig.answer("2");
    CHECK(rig.sent() == Observed{"d"});
    CHECK(rig.notes.take() == Observed{"a = 1", "b = 2"});
}

TEST_CASE("Requests waits for capacity after busy", "[link][requests][unit]") {
    RequestsRig<part::InOrder> rig;
    rig.connect();
    rig.transport.answer = SendResult::busy;
    rig.ask("a");
    rig.run();
    rig.transport.answer = SendResult::sent;
    rig.run(rig.now + 1ms);
    CHECK(rig.sent().empty());
    rig.transport.link.writable();
    rig.run();
    CHECK(rig.sent() == Observed{"a"});
}

TEST_CASE("Requests ends a connection whose server answers no question in time",
          "[link][requests][unit]") {
    RequestsRig<part::InOrder> rig{{.timeouts_max = 2}};
    rig.connect();
    for (int round = 0; round < 3; ++round) {  // a message in between restarts the count
        rig.ask("a", 1s);
        rig.run(rig.now + 1s);
        rig.answer("late");
    }
    CHECK(rig.box->status().link.state == LinkState::connected);
    rig.ask("b", 1s);
    rig.ask("c", 1s);
    rig.run(rig.now + 1s);
    const RequestsStatus status = rig.box->status();
    CHECK(status.link.state == LinkState::cooldown);
    CHECK(status.link.failure.error() == LinkErrc::unanswered);
    CHECK(status.timed_out == 5);
    CHECK(status.lost == 0);
}

TEST_CASE("Requests does not count questions that were not sent against a server",
          "[link][requests][unit]") {
    RequestsRig<part::InOrder> rig{{.in_flight_max = 1, .timeouts_max = 2}};
    rig.connect();
    rig.ask("a", 100s);
    for (int i = 0; i < 5; ++i) rig.ask("b", 1s);
    rig.run(rig.now + 1s);
    CHECK(rig.box->status().timed_out == 5);
    CHECK(rig.box->status().link.state == LinkState::connected);
}

TEST_CASE("Requests ends a frozen connection on which no further question can be sent",
          "[link][requests][regression]") {
    // With fewer slots than timeouts_max, or a transport that stays busy, the next questions wait.
    const bool is_busy = GENERATE(true, false);
    RequestsRig<part::InOrder> rig{{.in_flight_max = is_busy ? 256U : 1U}};
    rig.connect();
    rig.ask("a", 1s);
    if (is_busy) rig.transport.answer = SendResult::busy;
    for (int i = 0; i < 2; ++i) {
        rig.run(rig.now + 1s);
        CHECK(rig.box->status().link.state == LinkState::connected);
        rig.ask("b", 1s);
    }
    rig.run(rig.now + 1s);
    CHECK(rig.box->status().link.failure.error() == LinkErrc::unanswered);
    CHECK(rig.sent() == Observed{"a"});
}

TEMPLATE_TEST_CASE("Requests keeps a slow server although a queue of questions times out together",
                   "[link][requests][regression]", part::InOrder, TextIds) {
    RequestsRig<TestType> rig{{.in_flight_max = 1}};
    rig.connect();
    // The questions of the queue fail together with the first one, or their callers then cancel
    // them.
    const bool cancels = GENERATE(true, false);
    std::vector<std::uint64_t> queue{rig.ask("a", 1s)};
    for (int i = 0; i < 5; ++i) queue.push_back(rig.ask("waits", cancels ? 1400ms : 1s));
    rig.notes.hook = [&](const std::string& what) {
        if (!cancels || !what.starts_with("a = ")) return;
        for (const auto question : queue) static_cast<void>(rig.box->cancel(question));
    };
    rig.run(rig.now + 1s);
    CHECK(rig.sent().size() == 1);
    // Only questions that are accepted during the silence count.
    for (const auto expected : {LinkState::connected, LinkState::cooldown}) {
        CHECK(rig.box->status().link.state == LinkState::connected);
        rig.ask("next", 1s);
        rig.run(rig.now + 500ms);
        rig.run(rig.now + 500ms);
        CHECK(rig.box->status().link.state == expected);
    }
}

TEST_CASE("Requests counts no question whose deadline passes when it could be sent",
          "[link][requests][regression]") {
    RequestsRig<TextIds> rig{{.in_flight_max = 1}};
    rig.connect();
    rig.ask("a", 1s);
    rig.run(rig.now + 1s);
    rig.ask("b", 1s);
    rig.ask("c", 1s);
    rig.ask("d", 1s);
    rig.run(rig.now + 1s);
    CHECK(rig.box->status().link.state == LinkState::connected);
    CHECK(rig.box->status().timed_out == 4);
}

TEST_CASE(
    "Requests ends a connection if unanswered questions take all slots, although messages arrive",
    "[link][requests][regression]") {
    RequestsRig<TextInOrder> rig{{.in_flight_max = 1, .timeouts_max = 2}};
    rig.connect();
    rig.ask("a", 1s);
    rig.run(rig.now + 1s);
    rig.ask("b", 1s);
    rig.answer("push");
    CHECK(rig.box->status().link.state == LinkState::connected);
    rig.run(rig.now + 1s);
    CHECK(rig.box->status().link.failure.error() == LinkErrc::unanswered);
}

TEMPLATE_TEST_CASE("Requests sends nothing more on a connection that it gives up",
                   "[link][requests][regression]", part::InOrder, TextIds) {
    const bool by_command = GENERATE(true, false);
    RequestsRig<TestType> rig{{.timeouts_max = 1}};
    rig.connect();
    rig.ask("a", 1s);
    rig.sent();
    // A caller repeats its question as soon as it has failed.
    rig.notes.hook = [&](const std::string& what) {
        if (what.starts_with("a = ")) rig.ask("again", 60s);
    };
    if (by_command) {
        rig.box->report_unhealthy();
        rig.ask("b", 60s);
    }
    rig.run(rig.now + 1s);
    CHECK(rig.sent().empty());
    CHECK(rig.box->status().link.state == LinkState::cooldown);
    rig.run(rig.now + 10s);
    rig.transport.link.opened();
    rig.run();
    CHECK(rig.sent().size() == (by_command ? 2 : 1));
    CHECK(rig.box->status().lost == (by_command ? 1 : 0));
}

TEST_CASE("Requests continues if a decorator holds back the end of a connection that it gives up",
          "[link][requests][regression]") {
    belay_test::TransportState transport;
    Requests box{belay_test::Tolerant{belay_test::FakeTransport<>{transport}},
                 belay_test::doubling(), TextIds{}, RequestsOptions{.timeouts_max = 2}};
    Duration now{};
    const auto turn = [&] { box.advance(belay_test::at(now)); };
    turn();
    box.start();
    turn();
    transport.link.opened();
    turn();
    // A caller repeats its question as soon as it has failed.
    int failed = 0;
    std::function<void()> repeat = [&] {
        static_cast<void>(box.ask("a", 1s, [&](const auto&) {
            if (++failed < 6) repeat();
        }));
    };
    repeat();
    turn();
    for (int i = 1; i <= 6; ++i) {
        CHECK(transport.sent.size() == static_cast<std::size_t>(i));
        now += 1s;
        turn();
        CHECK(failed == i);
        // The end is reported after two timeouts, and again after the next two.
        const bool is_given_up = i % 2 == 0;
        CHECK((box.send("push") == SendResult::down) == is_given_up);
        if (!is_given_up) transport.sent.pop_back();
        turn();
        REQUIRE(box.status().link.state == LinkState::connected);
    }
}

TEST_CASE("Requests ends a frozen connection although a long question was cancelled unsent",
          "[link][requests][regression]") {
    RequestsRig<part::InOrder> rig{{.in_flight_max = 1}};
    rig.connect();
    rig.ask("a", 1s);
    rig.run(rig.now + 1s);
    const auto unsent = rig.ask("b", 1h);
    rig.run();
    static_cast<void>(rig.box->cancel(unsent));
    rig.run();
    for (int i = 0; i < 2; ++i) {
        CHECK(rig.box->status().link.state == LinkState::connected);
        rig.ask("c", 1s);
        rig.run(rig.now + 1s);
    }
    CHECK(rig.box->status().link.failure.error() == LinkErrc::unanswered);
}

TEMPLATE_TEST_CASE("Requests ends a frozen connection although its callers give up early",
                   "[link][requests][regression]", part::InOrder, TextIds) {
    const std::size_t in_flight_max = GENERATE(1U, 256U);
    RequestsRig<TestType> rig{{.in_flight_max = in_flight_max}};
    rig.connect();
    // A Timeout of 1 s around questions of 10 s does this. A message restarts the count.
    int i = 0;
    for (; i < 60 && rig.box->status().link.state == LinkState::connected; ++i) {
        const auto question = rig.ask("a", 10s);
        if (i == 15) rig.answer(std::to_string(question) + ":late");
        rig.run(rig.now + 1s);
        static_cast<void>(rig.box->cancel(question));
        rig.run();
    }
    CHECK(i > 40);
    CHECK(rig.box->status().link.failure.error() == LinkErrc::unanswered);
    CHECK(rig.box->status().timed_out == 0);
}

TEST_CASE("Requests accepts no question on a connection that it gives up if none may wait",
          "[link][requests][regression]") {
    RequestsRig<part::InOrder> rig{{.waiting_max = 0}};
    rig.connect();
    rig.box->report_unhealthy();
    CHECK(rig.refused("a", 1s) == std::errc::not_connected);
    CHECK(rig.refused("b", 1s) == std::errc::not_connected);
}

TEST_CASE("Requests leaves a silent server alone if timeouts_max is 0", "[link][requests][unit]") {
    RequestsRig<part::InOrder> rig{{.timeouts_max = 0}};
    rig.connect();
    for (int i = 0; i < 20; ++i) rig.ask("a", 1s);
    rig.run(rig.now + 1s);
    CHECK(rig.box->status().link.state == LinkState::connected);
    CHECK(rig.box->status().timed_out == 20);
    CHECK(rig.box->status().in_flight == 20);
}

TEMPLATE_TEST_CASE("Requests cancels a question that was sent, and keeps its place",
                   "[link][requests][unit]", part::InOrder, TextIds) {
    RequestsRig<TestType> rig;
    rig.connect();
    const auto a = rig.ask("a");
    const std::string b = std::to_string(rig.ask("b"));
    CHECK(rig.box->cancel(a));
    CHECK(rig.notes.take().empty());
    rig.run();
    rig.answer(std::to_string(a) + ":1");
    rig.answer(b + ":2");
    CHECK(rig.notes.take() == Observed{"a = lost: Operation canceled",
                                       "unmatched " + std::to_string(a) + ":1", "b = " + b + ":2"});
    CHECK(rig.box->status().cancelled == 1);
}

TEMPLATE_TEST_CASE("Requests completes all questions at stop()", "[link][requests][unit]",
                   part::InOrder, TextIds) {
    RequestsRig<TestType> rig{{.in_flight_max = 2}};
    rig.connect();
    rig.ask("a", 100s, send_again);
    rig.ask("b", 100s);
    rig.ask("c", 100s);
    rig.box->stop();
    rig.run();
    CHECK(rig.notes.take() == Observed{"stopped", "b = lost: Operation canceled",
                                       "a = lost: Operation canceled",
                                       "c = lost: Operation canceled"});
    CHECK(rig.refused("d", 1s) == std::errc::not_connected);
    CHECK(rig.box->status().cancelled == 3);
}

TEST_CASE("Requests fails the waiting questions when the link has failed",
          "[link][requests][unit]") {
    RequestsRig<part::InOrder> rig;
    rig.box->start();
    rig.run();
    rig.ask("a", 100s);
    rig.transport.link.closed({.cause = Cause::permanent});
    rig.run();
    CHECK(rig.notes.take() == Observed{"connecting", "failed", "a = permanent"});
    CHECK(rig.refused("b", 1s) == std::errc::not_connected);
    static_cast<void>(rig.box->reconnect_now());
    rig.ask("b");
}

TEST_CASE("Requests drains: it accepts nothing, waits for the answers, and stops",
          "[link][requests][unit]") {
    RequestsRig<part::InOrder> rig;
    rig.connect();
    rig.ask("a", 3s);
    rig.box->drain(10s);
    CHECK(rig.refused("b", 1s) == std::errc::operation_canceled);
    rig.run();
    CHECK(rig.notes.take().empty());
    rig.answer("1");
    CHECK(rig.notes.take() == Observed{"a = 1", "stopped"});
    rig.connect();
    rig.ask("c", 100s);
    rig.box->drain(10s);
    rig.run(rig.now + 10s);
    CHECK(rig.notes.take() == Observed{"stopped", "c = lost: Operation canceled"});
}

TEST_CASE("Requests::drain before the first turn stops in that turn, because nothing waits",
          "[link][requests][regression]") {
    using Rig = RequestsRig<part::InOrder>;
    Rig rig;
    rig.box = std::make_unique<Rig::Machine>(belay_test::FakeTransport<>{rig.transport},
                                             belay_test::doubling(), part::InOrder{},
                                             RequestsOptions{}, std::ref(rig.notes));
    rig.box->start();
    rig.box->drain(10s);
    rig.run(1000s);
    CHECK(rig.notes.take() == Observed{"connecting", "stopped"});
}

TEMPLATE_TEST_CASE("Requests may be destroyed in every hook and every done",
                   "[link][requests][unit]", part::InOrder, TextIds) {
    const char* const moments[] = {"connecting", "connected", "a = ",    "b = ",     "message",
                                   "unmatched",  "cooldown",  "stopped", "c = lost", "d = "};
    int reached = 0;
    for (const std::string moment : moments) {
        RequestsRig<TestType> rig;
        rig.notes.hook = [&](const std::string& what) {
            if (what.rfind(moment, 0) != 0 || !rig.box) return;
            ++reached;
            rig.box.reset();
        };
        rig.box->start();
        rig.run();
        rig.transport.link.opened();
        rig.run();
        std::uint64_t a = 0;
        if (rig.box) a = rig.ask("a", 100s);
        if (rig.box) rig.ask("b", 1s);
        if (rig.box) rig.answer(std::to_string(a) + ":1");
        if (rig.box) rig.answer("news");
        rig.run(rig.now + 1s);
        if (rig.box) rig.answer("9:unknown");
        if (rig.box) rig.ask("c", 100s);
        if (rig.box) rig.cut();
        if (rig.box) rig.ask("d", 100s);
        if (rig.box) rig.box->stop();
        rig.run();
    }
    CHECK(reached >= 9);
}

TEMPLATE_TEST_CASE("Requests continues after a done that throws", "[link][requests][unit]",
                   part::InOrder, TextIds) {
    RequestsRig<TestType> rig;
    rig.connect();
    const auto throws = [](const auto&) { throw std::runtime_error{"done"}; };
    const auto a = rig.box->ask("a", 1s, throws);
    REQUIRE(a);
    REQUIRE(rig.box->ask("b", 1s, throws));
    rig.ask("c", 1s);
    CHECK_THROWS_AS(rig.answer(std::to_string(*a) + ":1"), std::runtime_error);
    CHECK_THROWS_AS(rig.run(rig.now + 1s), std::runtime_error);
    rig.run();
    CHECK(rig.notes.take() == Observed{"c = timed_out: the peer did not answer in time"});
}

TEST_CASE("Requests reports states in their order, also after a done that stops it and throws",
          "[link][requests][regression]") {
    RequestsRig<part::InOrder> rig;
    rig.connect();
    rig.ask("a", 1s);
    rig.notes.hook = [&](const std::string& what) {
        if (!what.starts_with("a = ")) return;
        rig.box->stop();
        throw std::runtime_error{"done"};
    };
    CHECK_THROWS_AS(rig.run(rig.now + 1s), std::runtime_error);
    rig.box->start();
    rig.run();
    CHECK(rig.notes.take() ==
          Observed{"a = timed_out: the peer did not answer in time", "stopped", "connecting"});
}

TEST_CASE("Requests continues after a codec that throws", "[link][requests][unit]") {
    RequestsRig<ThrowingIds> rig;
    rig.connect();
    CHECK_THROWS_AS(rig.refused("bad", 1s), std::runtime_error);
    CHECK(rig.box->status().asked == 0);
    const std::string a = std::to_string(rig.ask("a"));
    CHECK(rig.sent() == Observed{a + ":a"});
    CHECK_THROWS_AS(rig.answer(a + ":bad"), std::runtime_error);
    rig.run();
    CHECK(rig.notes.take().empty());
    rig.answer(a + ":1");
    CHECK(rig.notes.take() == Observed{"a = " + a + ":1"});
}

TEST_CASE("Requests lets a done ask, cancel and stop", "[link][requests][unit]") {
    RequestsRig<TextInOrder> rig;
    rig.connect();
    rig.notes.hook = [&](const std::string& what) {
        if (what == "a = 1") rig.ask("b", 1s);
        if (what.rfind("b = ", 0) == 0) {
            rig.box->stop();
            CHECK(rig.box->status().link.state == LinkState::stopped);
            rig.notes.observed.push_back("b returns");
        }
    };
    rig.ask("a");
    rig.answer("1");
    CHECK(rig.sent() == Observed{"a", "b"});
    rig.run(rig.now + 1s);
    CHECK(rig.notes.take() == Observed{"a = 1", "b = timed_out: the peer did not answer in time",
                                       "b returns", "stopped"});
}

TEST_CASE("Requests ends a turn although a completion asks and cancels without end",
          "[link][requests][unit]") {
    RequestsRig<part::InOrder> rig{{.waiting_max = 3}};
    rig.connect();
    std::function<void()> go = [&] {
        const auto asked = rig.box->ask("a", 1s, [&](const auto&) { go(); });
        if (asked) rig.box->cancel(*asked);
    };
    go();
    for (int i = 0; i < 10; ++i) rig.box->advance(belay_test::at(rig.now));
    CHECK(rig.box->deadline() == always);
    rig.box.reset();
}
