// SPDX-License-Identifier: MIT
// Goal: an outbox and a receiver lose and repeat nothing when memory runs out in a turn or in a
// push. Method: each allocation of a history fails once, over a queue in memory. counting_new.hpp
// is in session_load.test.cpp, which is in the same executable.
#include <belay/session/outbox.hpp>

#include <new>

#include "support/failing_new.hpp"
#include "support/session/outbox_rig.hpp"
#include "support/session/receiver_rig.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::OutboxMemory;
using belay_test::OutboxRig;

namespace {

/// Runs `f()` with memory for `good` allocations.   Returns: whether it ran to its end.
template <class F>
bool had_memory(F&& f, std::size_t good, std::size_t& failed) {
    const belay_test::FailingNew failing{good};
    try {
        f();
    } catch (const std::bad_alloc&) {
        failed += failing.failed();
        return false;
    }
    failed += failing.failed();
    return true;
}

}  // namespace

TEST_CASE("Outbox keeps its promise when memory runs out", "[session][outbox_allocation][fault]") {
    for (const OutboxOptions& options : {belay_test::at_most_once, belay_test::at_least_once}) {
        std::size_t failures = 0;
        for (std::size_t good = 0; good < 40; ++good) {
            CAPTURE(good);
            OutboxRig<OutboxMemory> rig{options};
            std::vector<std::string> accepted;
            for (int i = 0; i < 100; ++i) {
                const std::string text = "message " + std::to_string(i);
                const bool pushed = had_memory(
                    [&] {
                        if (rig.box->push(text)) throw std::bad_alloc{};
                    },
                    i == 50 ? good : 1000, failures);
                if (pushed) accepted.push_back(text);
            }
            CHECK(rig.box->depth() == accepted.size());
            rig.box->start();
            rig.run();
            rig.server.link.opened();
            for (int turns = 0; turns < 100 && rig.box->deadline() <= belay_test::at(0s); ++turns) {
                static_cast<void>(
                    had_memory([&] { rig.box->advance(belay_test::at(0s)); }, good, failures));
                // The next turn sends the messages that the failed one did not send.
                rig.run();
            }
            CHECK(rig.server.received == accepted);
        }
        CHECK(failures > 0);
    }
}

TEST_CASE("append_frame appends a whole frame or nothing when memory runs out",
          "[session][outbox_allocation][regression]") {
    const std::string text(100, 'x');
    for (const std::size_t free : {std::size_t{0}, session_format::frame_header_bytes + 1}) {
        Bytes message(8);
        message.reserve(message.size() + free);
        std::size_t failures = 0;
        const session_format::Frame frame{.type = session_format::FrameType::data,
                                          .payload = as_bytes(text)};
        CHECK_FALSE(had_memory([&] { session_format::append_frame(message, frame); }, 0, failures));
        CHECK(message == Bytes(8));
        session_format::append_frame(message, frame);
        CHECK(message.size() == 8 + session_format::frame_header_bytes + text.size());
    }
}

TEST_CASE("Receiver reports each commit when memory runs out in a turn",
          "[session][outbox_allocation][regression]") {
    std::size_t failures = 0;
    for (std::size_t good = 0; good < 12; ++good) {
        CAPTURE(good);
        belay_test::ReceiverRig<> r;
        auto a = r.attached(belay_test::hello_of(1, 1));
        a->say(belay_test::data(1, "x"));
        static_cast<void>(
            had_memory([&] { r.receiver.advance(belay_test::at(0s)); }, good, failures));
        r.run();
        // The operation of this connection waits for the commit, as the next one does.
        auto b = r.attached(belay_test::pinned_hello_of(1, 2));
        r.exchange(b, belay_test::data(1, "x"));
        r.notes.take();
        CHECK(r.ledger.committed.at(belay_test::id(1)).applied == 1);
        CHECK(r.exchange(b, belay_test::data(2, "y")) == belay_test::Observed{"ack 2"});
        CHECK(r.notes.take() == belay_test::Observed{"committed 1 at 2"});
    }
    CHECK(failures > 0);
}

TEST_CASE("Receiver forgets idle senders after memory ran out in a commit of several",
          "[session][outbox_allocation][regression]") {
    std::size_t failures = 0;
    for (std::size_t good = 0; good < 12; ++good) {
        CAPTURE(good);
        belay_test::ReceiverRig<> r{{.commit_within = 10ms, .senders_max = 3}};
        const auto hello_from = [](unsigned sender) {
            session_format::Hello h = belay_test::hello_of(sender, 1);
            h.sender = belay_test::id(sender);
            return h;
        };
        for (unsigned sender = 1; sender <= 3; ++sender) r.attached(hello_from(sender));
        const belay_test::RawLinks first = r.lines;
        for (const auto& line : first) CHECK(r.exchange(line, belay_test::data(1, "x")).empty());
        static_cast<void>(
            had_memory([&] { r.receiver.advance(belay_test::at(10ms)); }, good, failures));
        r.run(10ms);
        for (const auto& line : first) line->link.closed();
        r.run();
        r.notes.take();
        auto fourth = r.attached(hello_from(9));
        CHECK(r.exchange(fourth, belay_test::data(1, "x")).empty());
        r.run(20ms);
        CHECK(fourth->sent_frames() == belay_test::Observed{"ack 1"});
        CHECK(r.notes.take() == belay_test::Observed{"committed 9 at 1"});
    }
    CHECK(failures > 0);
}
