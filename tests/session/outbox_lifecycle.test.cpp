// SPDX-License-Identifier: MIT
// Goal: an outbox drains, stops and reports as documented, if its journal fails, and if its hooks
// throw.
// Method: a scripted server, time by hand, and faults of a simulated disk.
#include <belay/session/outbox.hpp>

#include <algorithm>
#include <stdexcept>

#include "support/session/outbox_rig.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::at_least_once;
using belay_test::at_most_once;
using belay_test::OutboxJournal;
using belay_test::OutboxMemory;
using belay_test::OutboxRig;

namespace {

using Lines = std::vector<std::string>;

/// A journal on a disk that has space for messages, and not for acknowledgements.
struct LaggingJournal : OutboxJournal {
    explicit LaggingJournal(OutboxJournal journal) : OutboxJournal{std::move(journal)} {}
    [[nodiscard]] std::uint64_t acked_durable() const noexcept {
        return lags ? 0 : OutboxJournal::acked_durable();
    }
    static inline bool lags = false;
};

}  // namespace

TEMPLATE_TEST_CASE("Outbox::drain accepts nothing more, and stops when all messages are done",
                   "[session][outbox_lifecycle][unit]", OutboxMemory, OutboxJournal) {
    OutboxRig<TestType> rig{at_least_once};
    rig.push("a");
    rig.connect();
    rig.box->drain(5s);
    rig.run();
    CHECK(rig.box->push("b") == SessionErrc::takes_no_more);
    CHECK(rig.box->status().link.state == LinkState::connected);
    // The outbox reconnects during the drain.
    rig.cut();
    rig.run(rig.now + 1s);
    rig.server.link.opened();
    rig.run();
    CHECK_FALSE(rig.box->acknowledge());
    rig.run();
    CHECK(rig.box->status().link.state == LinkState::stopped);
    rig.push("b");
    rig.connect();
    CHECK(rig.server.take() == Lines{"a", "a", "b"});
}

TEMPLATE_TEST_CASE(
    "Outbox::drain with at_most_once waits until the transport has written its messages",
    "[session][outbox_lifecycle][unit]", OutboxMemory, OutboxJournal) {
    OutboxRig<TestType> rig{at_most_once};
    rig.server.busy_after = 0;
    rig.connect();
    rig.push("a");
    rig.box->drain(5s);
    rig.run();
    CHECK(rig.server.closes == 0);
    rig.server.busy_after = -1;
    rig.server.link.writable();
    rig.run();
    CHECK(rig.server.take() == Lines{"a"});
    CHECK(rig.server.closes == 1);
    CHECK(rig.box->status().link.state == LinkState::draining);
    CHECK(rig.box->push("b") == SessionErrc::takes_no_more);
    rig.server.link.closed({});
    rig.run();
    CHECK(rig.box->status().link.state == LinkState::stopped);
    rig.push("b");
}

TEST_CASE("Outbox::drain before the first turn sends messages within its time",
          "[session][outbox_lifecycle][regression]") {
    using Rig = OutboxRig<OutboxMemory>;
    Rig rig{at_least_once};
    rig.box = std::make_unique<Rig::Box>(
        belay_test::OutboxTransport{&rig.server}, belay_test::outbox_policy(),
        Rig::Queue{OutboxMemory{1000}, Reject{}, {}, {}}, rig.options, std::ref(rig.notes));
    rig.push("a");
    rig.box->start();
    rig.box->drain(3s);
    rig.run(1000s);
    CHECK(rig.box->status().link.state == LinkState::connecting);
    rig.run(1003s - 1ns);
    CHECK(rig.box->status().link.state == LinkState::connecting);
    rig.run(1003s);
    CHECK(rig.box->status().link.state == LinkState::stopped);
    CHECK(rig.box->depth() == 1);
}

TEMPLATE_TEST_CASE("Outbox::drain ends after its time, and keeps the remaining messages",
                   "[session][outbox_lifecycle][unit]", OutboxMemory, OutboxJournal) {
    for (const OutboxOptions& options : {at_most_once, at_least_once}) {
        OutboxRig<TestType> rig{options};
        rig.push("a");
        rig.box->start();
        rig.run();
        rig.box->drain(3s);
        rig.run(3s - 1ns);
        CHECK(rig.box->status().link.state != LinkState::stopped);
        rig.run(3s);
        CHECK(rig.box->status().link.state == LinkState::stopped);
        CHECK(rig.box->depth() == 1);
        rig.connect();
        CHECK(rig.server.take() == Lines{"a"});
        rig.push("b");
        rig.server.busy_after = 0;
        rig.box->drain(-1s);
        rig.run();
        CHECK(rig.box->status().link.state == LinkState::stopped);
    }
}

TEMPLATE_TEST_CASE("Outbox sends nothing while a gate is closed, or while it is stopped",
                   "[session][outbox_lifecycle][unit]", OutboxMemory, OutboxJournal) {
    OutboxRig<TestType> rig{at_most_once};
    rig.connect();
    rig.box->shut(Gate::network);
    rig.run();
    rig.push("a");
    rig.run();
    CHECK(rig.server.take().empty());
    rig.box->open(Gate::network);
    rig.run();
    rig.run(rig.now + 10s);
    rig.server.link.opened();
    rig.run();
    CHECK(rig.server.take() == Lines{"a"});
    CHECK(rig.box->handle().stop() == driver::Post::taken);
    rig.run();
    CHECK(rig.box->status().link.state == LinkState::stopped);
    rig.push("b");
    rig.run();
    CHECK(rig.server.take().empty());
}

TEMPLATE_TEST_CASE("Outbox may be acknowledged in on_sent, and in on_message",
                   "[session][outbox_lifecycle][unit]", OutboxMemory, OutboxJournal) {
    OutboxRig<TestType> rig{at_least_once};
    rig.notes.hook = [&](const std::string& what) {
        if (what.starts_with("sent 1")) CHECK_FALSE(rig.box->acknowledge(1));
        if (what.starts_with("message")) CHECK_FALSE(rig.box->acknowledge());
    };
    rig.push("a");
    rig.push("b");
    rig.connect();
    CHECK(rig.box->depth() == 1);
    rig.answer("ok");
    CHECK(rig.box->depth() == 0);
    CHECK(rig.server.take() == Lines{"a", "b"});
}

TEMPLATE_TEST_CASE("Outbox may be destroyed in each hook", "[session][outbox_lifecycle][unit]",
                   OutboxMemory, OutboxJournal) {
    for (const OutboxOptions& options : {at_most_once, at_least_once}) {
        for (const char* where :
             {"connecting", "connected", "sent", "unsent", "message", "stopped"}) {
            CAPTURE(where);
            OutboxRig<TestType> rig{options};
            rig.server.refuses = "bad";
            rig.notes.hook = [&](const std::string& what) {
                if (what.starts_with(where)) rig.box.reset();
            };
            const auto if_there = [&](auto f) {
                if (rig.box) f();
                rig.run();
            };
            rig.push("good");
            rig.push("bad");
            if_there([&] { rig.box->start(); });
            if_there([&] { rig.server.link.opened(); });
            if_there([&] { static_cast<void>(rig.server.link.received(Bytes(1))); });
            if_there([&] { rig.box->stop(); });
            CHECK(rig.box == nullptr);
        }
    }
}

TEMPLATE_TEST_CASE(
    "Outbox defers on_state while a hook runs, and continues after a hook that throws",
    "[session][outbox_lifecycle][unit]", OutboxMemory, OutboxJournal) {
    for (const OutboxOptions& options : {at_most_once, at_least_once}) {
        OutboxRig<TestType> rig{options};
        int depth = 0;
        rig.notes.hook = [&](const std::string& what) {
            CHECK(depth == 0);
            ++depth;
            if (what == "sent 1 a") rig.box->stop();
            --depth;
            if (what == "sent 2 b") throw std::runtime_error{"a hook"};
        };
        rig.push("a");
        rig.push("b");
        rig.push("c");
        rig.connect_once();
        CHECK(rig.box->status().link.state == LinkState::stopped);
        CHECK(rig.notes.take() == Lines{"connecting", "connected", "sent 1 a", "stopped"});
        if (options.promise == OutboxOptions::at_least_once) CHECK_FALSE(rig.box->acknowledge(1));
        CHECK_THROWS_AS(rig.connect_once(), std::runtime_error);
        rig.run();
        CHECK(rig.notes.take() == Lines{"connecting", "connected", "sent 2 b", "sent 3 c"});
        CHECK(rig.server.take() == Lines{"a", "b", "c"});
        // The message whose hook threw is still there.
        rig.notes.hook = {};
        rig.cut();
        rig.connect();
        CHECK(rig.server.take() ==
              (options.promise == OutboxOptions::at_least_once ? Lines{"b", "c"} : Lines{}));
    }
}

TEMPLATE_TEST_CASE("Outbox reports changes in their order also after a hook that throws",
                   "[session][outbox_lifecycle][unit]", OutboxMemory, OutboxJournal) {
    OutboxRig<TestType> rig{at_least_once};
    rig.notes.hook = [&](const std::string& what) {
        if (what != "sent 1 a") return;
        rig.box->stop();
        rig.box->start();
        throw std::runtime_error{"a hook"};
    };
    rig.push("a");
    CHECK_THROWS_AS(rig.connect_once(), std::runtime_error);
    rig.run();
    CHECK(rig.notes.take() ==
          Lines{"connecting", "connected", "sent 1 a", "stopped", "connecting"});
}

TEMPLATE_TEST_CASE("Outbox continues after any hook that throws",
                   "[session][outbox_lifecycle][unit]", OutboxMemory, OutboxJournal) {
    for (const OutboxOptions& options : {at_most_once, at_least_once}) {
        for (const char* where : {"connecting", "connected", "sent", "unsent", "message"}) {
            CAPTURE(where);
            OutboxRig<TestType> rig{options};
            rig.server.refuses = "bad";
            int left = 1;
            rig.notes.hook = [&](const std::string& what) {
                if (what.starts_with(where) && left-- > 0) throw std::runtime_error{"a hook"};
            };
            const auto run = [&] {
                try {
                    rig.run();
                } catch (const std::runtime_error&) {
                    rig.run();
                }
            };
            for (const char* text : {"a", "bad", "b"}) rig.push(text);
            rig.box->start();
            run();
            rig.server.link.opened();
            run();
            static_cast<void>(rig.server.link.received(Bytes(1)));
            run();
            CHECK(left <= 0);
            CHECK(rig.server.take() == Lines{"a", "b"});
            CHECK(rig.box->status().unsent == 1);
            if (options.promise == OutboxOptions::at_least_once) {
                CHECK_FALSE(rig.box->acknowledge(3));
            }
            CHECK(rig.box->depth() == 0);
        }
    }
}

TEST_CASE("Outbox sends a message that a hook has pushed after the next flush",
          "[session][outbox_lifecycle][unit]") {
    for (const OutboxOptions& options : {at_most_once, at_least_once}) {
        OutboxRig<OutboxJournal> rig{options};
        rig.notes.hook = [&](const std::string& what) {
            if (what == "sent 1 a") rig.push("b");
            if (what == "sent 2 b") CHECK(rig.box->queue().storage().durable() == 2);
        };
        rig.push("a");
        rig.connect();
        CHECK(rig.server.take() == Lines{"a", "b"});
    }
}

// ---- the journal fails -------------------------------------------------------------------------

TEST_CASE("Outbox accepts nothing more after its journal has failed, and reports it",
          "[session][outbox_lifecycle][unit]") {
    for (const OutboxOptions& options : {at_most_once, at_least_once}) {
        OutboxRig<OutboxJournal> rig{options};
        rig.connect();
        rig.push("a");
        rig.disk.refuse(true);
        rig.run();
        CHECK(rig.server.take().empty());
        CHECK(rig.box->status().link.state == LinkState::failed);
        CHECK(rig.box->status().link.failure.error() == belay_test::eio);
        CHECK(rig.box->status().error == belay_test::eio);
        CHECK(rig.box->push("b") == belay_test::eio);
        CHECK(rig.box->commit() == belay_test::eio);
        // The next attempt finds the same failure.
        rig.box->reconnect_now();
        rig.run(rig.now + 10s);
        rig.server.link.opened();
        rig.run();
        CHECK(rig.box->status().link.state == LinkState::failed);
        CHECK(rig.server.take().empty());
        // The next process finds the durable messages, and perhaps the last message.
        rig.disk.refuse(false);
        rig.crash();
        CHECK(rig.box->depth() <= 1);
    }
}

TEST_CASE("Outbox goes on after a failure of its disk that passes",
          "[session][outbox_lifecycle][unit]") {
    OutboxRig<OutboxJournal> rig{at_least_once};
    rig.connect();
    rig.push("a");
    rig.disk.fail_at(rig.disk.operations() + 2, belay_test::eio);
    rig.run();
    CHECK_FALSE(rig.box->status().error);
    rig.run(rig.now + 10s);
    if (rig.box->status().link.state != LinkState::connected) {
        rig.server.link.opened();
        rig.run();
    }
    rig.push("b");
    rig.run();
    CHECK(rig.server.take() == std::vector<std::string>{"a", "b"});
}

TEST_CASE("Outbox goes on after a failure of its disk that passes while it waits to dial",
          "[session][outbox_lifecycle][regression]") {
    for (const OutboxOptions& options : {at_most_once, at_least_once}) {
        OutboxRig<OutboxJournal> rig{options};
        rig.connect();
        rig.cut();
        REQUIRE(rig.box->status().link.state == LinkState::cooldown);
        rig.push("a");
        rig.disk.refuse(true);
        rig.run();
        CHECK(rig.box->status().error == belay_test::eio);
        CHECK(rig.box->push("b") == belay_test::eio);
        rig.disk.refuse(false);
        rig.run(rig.now + 10s);
        rig.server.link.opened();
        rig.run();
        CHECK(rig.box->status().link.state == LinkState::connected);
        CHECK_FALSE(rig.box->status().error);
        rig.push("b");
        rig.run();
        CHECK(rig.server.take() == Lines{"a", "b"});
    }
}

TEST_CASE(
    "Outbox sends nothing while its journal is not at its path, and continues when it is back",
    "[session][outbox_lifecycle][unit]") {
    for (const OutboxOptions& options : {at_most_once, at_least_once}) {
        OutboxRig<OutboxJournal> rig{options};
        rig.connect();
        std::string path;
        const auto names = rig.disk.list("data/outbox").value();
        for (const std::string& name : names) {
            if (name.ends_with(".journal")) path = "data/outbox/" + name;
        }
        REQUIRE_FALSE(path.empty());
        REQUIRE_FALSE(rig.disk.rename(path, "away"));
        const auto pushed = rig.box->push("a");
        rig.run();
        CHECK(rig.server.take().empty());
        CHECK(rig.box->status().link.state == LinkState::cooldown);
        CHECK(rig.box->status().link.failure.error() == QueueErrc::displaced);
        // Each attempt reads the path again, and the waits grow.
        for (const Duration wait : {1s, 2s}) {
            rig.run(rig.now + wait);
            rig.server.link.opened();
            rig.run();
            CHECK(rig.box->status().link.failure.error() == QueueErrc::displaced);
            CHECK(rig.box->status().link.state == LinkState::cooldown);
        }
        CHECK_FALSE(rig.box->status().error);
        REQUIRE_FALSE(rig.disk.rename("away", path));
        rig.run(rig.now + 4s);
        rig.server.link.opened();
        rig.run();
        if (pushed) rig.push("a");
        rig.run();
        CHECK(rig.server.take() == Lines{"a"});
    }
}

TEST_CASE("Outbox with at_most_once sends nothing before the disk has space for its removal",
          "[session][outbox_lifecycle][unit]") {
    OutboxRig<OutboxJournal> rig{at_most_once};
    for (const char* text : {"a", "b", "c"}) rig.push(text);
    rig.run();
    rig.disk.fail_at(rig.disk.operations() + 1,
                     std::make_error_code(std::errc::no_space_on_device));
    rig.connect_once();
    CHECK(rig.server.take().empty());
    CHECK(rig.box->status().link.state == LinkState::cooldown);
    CHECK(rig.box->depth() == 3);
    CHECK_FALSE(rig.box->status().error);
    rig.connect();
    CHECK(rig.server.take() == Lines{"a", "b", "c"});
    CHECK(rig.box->depth() == 0);
}

TEST_CASE("Outbox with at_most_once sends nothing while its removal waits for space",
          "[session][outbox_lifecycle][unit]") {
    OutboxRig<LaggingJournal> rig{at_most_once};
    rig.push("a");
    LaggingJournal::lags = true;
    rig.connect_once();
    CHECK(rig.server.take().empty());
    CHECK(rig.box->status().link.state == LinkState::cooldown);
    CHECK(rig.box->status().link.failure.error() == std::errc::no_space_on_device);
    LaggingJournal::lags = false;
    rig.connect();
    CHECK(rig.server.take() == Lines{"a"});
}

TEST_CASE("Outbox sends nothing after a failed flush, also if the connection's end is handled late",
          "[session][outbox_lifecycle][unit]") {
    OutboxRig<OutboxJournal> rig{at_most_once};
    rig.connect();
    rig.push("a");
    for (int i = 0; i < 200; ++i) static_cast<void>(rig.server.link.received(Bytes(1)));
    rig.disk.fail_at(rig.disk.operations() + 1,
                     std::make_error_code(std::errc::no_space_on_device));
    rig.run();
    CHECK(rig.server.take().empty());
    CHECK(rig.box->status().link.state == LinkState::cooldown);
    rig.connect();
    CHECK(rig.server.take() == Lines{"a"});
}

TEST_CASE("Outbox flushes again when a full disk has space, also if it is not connected",
          "[session][outbox_lifecycle][unit]") {
    enum class Case { not_started, gate_shut, no_attempt_opens };
    const auto run = [](const OutboxOptions& options, Case which) {
        OutboxRig<OutboxJournal> rig{options};
        const auto durable = [&rig] { return rig.box->queue().storage().durable(); };
        const auto fill_disk = [&rig] {
            rig.disk.fail_at(rig.disk.operations() + 1,
                             std::make_error_code(std::errc::no_space_on_device));
        };
        if (which == Case::gate_shut) {
            rig.connect();
            rig.box->shut(Gate::network);
        }
        if (which == Case::no_attempt_opens) rig.box->start();
        rig.run();
        const std::uint64_t before = durable();
        fill_disk();
        rig.push("a");
        rig.run();
        REQUIRE(durable() == before);
        // Still full after a second, and not any more after two.
        fill_disk();
        rig.run(rig.now + 1s);
        CHECK(durable() == before);
        CHECK_FALSE(rig.box->status().error);
        rig.run(rig.now + 1s);
        CHECK(durable() == before + 1);
        rig.crash();
        CHECK(rig.box->depth() == 1);
        rig.connect();
        CHECK(rig.server.take() == Lines{"a"});
    };
    for (const OutboxOptions& options : {at_most_once, at_least_once}) {
        run(options, Case::not_started);
        run(options, Case::gate_shut);
        run(options, Case::no_attempt_opens);
    }
}

TEST_CASE("Outbox does not cancel a dial of three seconds while its disk is full",
          "[session][outbox_lifecycle][regression]") {
    for (const OutboxOptions& options : {at_most_once, at_least_once}) {
        OutboxRig<OutboxJournal> rig{options};
        const auto fill_disk = [&rig] {
            rig.disk.fail_at(rig.disk.operations() + 1,
                             std::make_error_code(std::errc::no_space_on_device));
        };
        rig.box->start();
        rig.run();
        REQUIRE(rig.box->status().link.state == LinkState::connecting);
        rig.push("a");
        Duration dialled{};
        int dials = rig.server.dials;
        // The disk is full for ten seconds. A server answers three seconds after a dial.
        while (rig.now < 30s && rig.box->status().link.state != LinkState::connected) {
            if (rig.now < 10s) fill_disk();
            rig.run(rig.now + 1s);
            // The flush of each second does not end the first dial.
            if (rig.now < 3s) {
                CHECK(rig.server.dials == 1);
                CHECK(rig.box->status().link.state == LinkState::connecting);
            }
            if (rig.server.dials != dials) {
                dials = rig.server.dials;
                dialled = rig.now;
            } else if (rig.box->status().link.state == LinkState::connecting &&
                       rig.now - dialled >= 3s) {
                if (rig.now < 10s) fill_disk();
                rig.server.link.opened();
                rig.run();
            }
        }
        CHECK(rig.box->status().link.state == LinkState::connected);
        CHECK(rig.server.take() == Lines{"a"});
        // The first dial opens after 3 s and is rejected, and so are the next ones while the disk
        // is full.
        CHECK(rig.server.dials <= 4);
        CHECK(rig.now <= 20s);
    }
}

TEST_CASE("Outbox sends what is before a damaged message, and reports the damage",
          "[session][outbox_lifecycle][unit]") {
    for (const OutboxOptions& options : {at_most_once, at_least_once}) {
        OutboxRig<OutboxJournal> rig{options};
        for (int i = 0; i < 40; ++i) rig.push(std::string(400, 'x'));
        rig.run();
        rig.box.reset();
        // The damage is in the third message of the first file, which opening does not read.
        auto names = rig.disk.list("data/outbox").value();
        std::erase_if(names, [](const std::string& name) { return !name.ends_with(".journal"); });
        std::sort(names.begin(), names.end());
        REQUIRE(names.size() > 2);
        const std::string path = "data/outbox/" + names.front();
        Bytes bytes = rig.disk.contents(path);
        bytes[1200] ^= std::byte{1};
        rig.disk.put(path, bytes);
        rig.open();
        rig.connect_once();
        CHECK(rig.server.take().size() == 2);
        CHECK(rig.box->status().link.state == LinkState::failed);
        CHECK(rig.box->status().error == QueueErrc::corrupt);
        CHECK(rig.box->push("a") == QueueErrc::corrupt);
        CHECK(rig.box->depth() == (options.promise == OutboxOptions::at_least_once ? 40 : 38));
    }
}

TEST_CASE("Outbox in Flush::each finds a failure of its journal in the next turn",
          "[session][outbox_lifecycle][unit]") {
    OutboxRig<OutboxJournal> rig{at_least_once};
    rig.box.reset();
    rig.open(Flush::each);
    rig.connect();
    rig.disk.refuse(true);
    CHECK(rig.box->push("a") == belay_test::eio);
    rig.run();
    CHECK(rig.box->status().link.state == LinkState::failed);
    CHECK(rig.box->push("b") == belay_test::eio);
}
