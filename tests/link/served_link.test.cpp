// SPDX-License-Identifier: MIT
// Goal: one accepted connection has its messages in order, one end, a limited time to close, and
// no event afterwards. Method: scripted transports.
#include <belay/link/served_link.hpp>

#include <functional>
#include <thread>

#include <belay/core/machine_group.hpp>
#include <belay/link/bundle.hpp>
#include <belay/link/heartbeat.hpp>
#include <belay/link/validated.hpp>

#include "support/link/link_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;
using belay_test::FakeTransport;
using belay_test::TransportState;

namespace {

struct Served {
    TransportState transport;
    Observed observed;
    ServedLink<FakeTransport<>> link{FakeTransport<>{transport}, 2, Waker{}, 1};
    void run(Duration now) {
        for (int i = 0; i < 50 && link.deadline() <= at(now); ++i) {
            link.advance(at(now), 3,
                         [&](std::string m, Lane) { observed.push_back(std::move(m)); });
        }
        REQUIRE(link.deadline() > at(now));
    }
};

/// A check that the message `Number` passes.
template <int Number, std::size_t Limit>
struct PassesAt {
    static constexpr std::size_t message_bytes_max = Limit;
    Verdict begin(const auto&) { return Verdict::pending(); }
    Verdict judge(const std::string& message, const auto&) {
        return message == std::to_string(Number) ? Verdict::passed() : Verdict::pending();
    }
};

/// A served link with a heartbeat each second, which closes after three seconds of silence.
struct BeatingLink {
    void run(Duration now) {
        for (int i = 0; i < 50 && link.deadline() <= at(now); ++i)
            link.advance(at(now), 8, [](std::string, Lane) {});
        REQUIRE(link.deadline() > at(now));
    }

    TransportState transport{};
    ServedLink<Heartbeat<FakeTransport<>>> link{
        Heartbeat{FakeTransport<>{transport}, {.every = 1s, .dead_after = 3s}}, 10, Waker{}, 1};
};

/// Runs the code of the test when a message is checked.
struct ActsInCheck {
    std::function<void()>* act;
    Verdict begin(const auto&) { return Verdict::pending(); }
    Verdict judge(const std::string&, const auto&) {
        (*act)();
        return Verdict::passed();
    }
};

}  // namespace

TEST_CASE("ServedLink delivers messages, and resumes reading when it has capacity",
          "[link][served_link][unit]") {
    Served s;
    CHECK(s.link.deadline() == never);
    CHECK(receive(s.transport.link, "1") == belay::driver::Post::taken);
    CHECK(receive(s.transport.link, "2") == belay::driver::Post::taken);
    CHECK(receive(s.transport.link, "3") == belay::driver::Post::full);
    s.run(0s);
    CHECK(s.observed == Observed{"1", "2"});
    CHECK(s.transport.resumes == 1);
    CHECK(s.link.send("x") == SendResult::sent);
    s.transport.link.writable();
    s.run(0s);
    CHECK(s.link.take_writable());
    CHECK_FALSE(s.link.take_writable());
}

TEST_CASE("ServedLink may be aborted in every call of its transport",
          "[link][served_link][fault]") {
    TransportState transport;
    bool existed = false;
    std::function<void()> ends = [] {};
    using Tested = Validated<FakeTransport<>, ActsInCheck>;
    ServedLink<Tested> link{Tested{FakeTransport<>{transport}, ActsInCheck{&ends}}, 1, Waker{}, 1};
    const auto abort = [&] {
        link.abort();
        CHECK(link.ended());
        existed = transport.live == 1;
    };
    int messages = 0;
    const auto run = [&] {
        for (int i = 0; i < 10 && link.deadline() <= at(0s); ++i) {
            link.advance(at(0s), 9, [&](const std::string&, Lane) {
                ++messages;
                static_cast<void>(link.send("y"));
            });
        }
    };
    transport.link.opened();
    run();
    SECTION("its check") {
        ends = abort;
        receive(transport.link, "yes");
        run();
        CHECK_FALSE(link.opened());
    }
    SECTION("its send") {
        transport.on_send = abort;
        CHECK(link.send("x") == SendResult::sent);
        CHECK(transport.live == 0);
    }
    SECTION("its send, in a turn") {
        receive(transport.link, "yes");
        run();
        transport.on_send = abort;
        receive(transport.link, "x");
        run();
        CHECK(messages == 1);
    }
    SECTION("its close") {
        transport.on_close = abort;
        link.close({.cause = Cause::planned}, 1s);
    }
    SECTION("its resume_reading") {
        receive(transport.link, "yes");
        run();
        transport.on_resume = abort;
        receive(transport.link, "1");
        receive(transport.link, "2");
        run();
        CHECK(messages == 1);
    }
    CHECK(existed);
    CHECK(link.ended());
    CHECK(transport.live == 0);
    CHECK(link.send("x") == SendResult::down);
    CHECK(link.deadline() == never);
}

TEST_CASE("ServedLink bounds messages and output through decorators, where the connection can",
          "[link][served_link][unit]") {
    TransportState a, b, plain;
    const HeartbeatOptions beats{.every = 1s, .dead_after = 3s};
    using Parts = Bundle<Heartbeat<FakeTransport<>>, FakeTransport<>>;
    ServedLink<Parts> link{Parts{Heartbeat{FakeTransport<>{a}, beats}, FakeTransport<>{b}}, 2,
                           Waker{}, 1};
    link.limit_messages(100);
    CHECK(a.limit == 100);
    CHECK(b.limit == 100);
    link.limit_output(50);
    CHECK(a.output_limit == 50);
    CHECK(b.output_limit == 50);

    ServedLink<FakeTransport<false>> unbounded{FakeTransport<false>{plain}, 2, Waker{}, 1};
    unbounded.limit_messages(100);
    unbounded.limit_output(100);
    CHECK(plain.limit == 0);
    CHECK(plain.output_limit == 0);

    link.abort();
    link.limit_messages(200);
    link.limit_output(200);
    CHECK(a.limit == 100);
    CHECK(a.output_limit == 50);
}

TEST_CASE("Validated uses the smaller of its own limit of messages and that of the part around it",
          "[link][served_link][regression]") {
    TransportState transport;
    using Inner = Validated<FakeTransport<>, PassesAt<1, 64>>;
    using Outer = Validated<Inner, PassesAt<2, 8000>>;
    ServedLink<Outer> link{Outer{Inner{FakeTransport<>{transport}, {}}, {}}, 2, Waker{}, 1};
    const auto run = [&] {
        for (int i = 0; i < 10 && link.deadline() <= at(0s); ++i) {
            link.advance(at(0s), 9, [](const std::string&, Lane) {});
        }
    };
    CHECK(transport.limit == 64);
    link.limit_messages(10'000);
    CHECK(transport.limit == 64);
    link.limit_messages(50);
    CHECK(transport.limit == 50);
    link.limit_messages(10'000);
    transport.link.opened();
    receive(transport.link, "1");
    run();
    CHECK(transport.limit == 8000);
    receive(transport.link, "2");
    run();
    CHECK(transport.limit == 10'000);
    link.limit_messages(~std::size_t{0});
    CHECK(transport.limit == ~std::size_t{0});
}

TEST_CASE("ServedLink::has_hung_up reports an end before its messages are processed",
          "[link][served_link][unit]") {
    Served s;
    CHECK_FALSE(s.link.has_hung_up());
    receive(s.transport.link, "unread");
    CHECK_FALSE(s.link.has_hung_up());
    std::thread{[&] { s.transport.link.closed(); }}.join();
    CHECK(s.link.has_hung_up());
    CHECK_FALSE(s.link.ended());
    s.run(0s);
    CHECK(s.observed == Observed{"unread"});
    CHECK(s.link.has_hung_up());
}

TEST_CASE("ServedLink ends with its connection", "[link][served_link][unit]") {
    Served s;
    receive(s.transport.link, "last");
    s.transport.link.closed({.cause = Cause::timed_out});
    receive(s.transport.link, "after");
    s.run(0s);
    CHECK(s.observed == Observed{"last"});
    CHECK(s.link.ended());
    CHECK(s.link.failure().cause == Cause::timed_out);
    CHECK(s.transport.live == 0);
    CHECK(s.link.send("x") == SendResult::down);
    CHECK(receive(s.transport.link, "x") == belay::driver::Post::gone);
    CHECK(s.link.deadline() == never);
}

TEST_CASE("ServedLink::close gives the peer limited time", "[link][served_link][unit]") {
    Served s;
    s.run(1s);
    s.link.advance(at(1s), 3, [](std::string, Lane) {});
    s.link.close({.cause = Cause::protocol}, 2s);
    CHECK(s.link.closing());
    CHECK(s.transport.log.back() == "close");
    CHECK(s.link.send("x") == SendResult::down);
    receive(s.transport.link, "ignored");
    s.run(2s);
    CHECK_FALSE(s.link.ended());
    SECTION("the peer's close ends it") {
        s.transport.link.closed();
        s.run(2s);
    }
    SECTION("its limit ends it") { s.run(3s); }
    CHECK(s.link.ended());
    CHECK(s.observed.empty());
}

TEST_CASE("ServedLink::close counts a negative time as 0", "[link][served_link][regression]") {
    Served s;
    s.transport.link.opened();
    s.run(1s);
    s.link.close({.cause = Cause::planned}, GENERATE(as<Duration>{}, -1ns, Duration::min()));
    s.run(1s);
    CHECK(s.link.ended());
    CHECK(s.transport.live == 0);
}

TEST_CASE("ServedLink is idle while it closes the connection of a peer with rejected messages",
          "[link][served_link][regression]") {
    Served s;
    s.run(1s);
    s.link.advance(at(1s), 3, [](std::string, Lane) {});
    receive(s.transport.link, "1");
    receive(s.transport.link, "2");
    CHECK(receive(s.transport.link, "3") == belay::driver::Post::full);
    s.link.close({.cause = Cause::protocol}, 2s);
    CHECK(receive(s.transport.link, "4") == belay::driver::Post::gone);
    s.run(2s);  // and it does not repeat turns
    CHECK(s.link.deadline() == at(3s));
    CHECK(s.transport.resumes == 0);
    CHECK(s.observed.empty());
    s.transport.link.closed();
    s.run(2s);
    CHECK(s.link.ended());
}

TEST_CASE_METHOD(BeatingLink, "ServedLink runs no timers of decorators while it closes",
                 "[link][served_link][unit]") {
    transport.link.opened();
    run(0s);
    CHECK(transport.pings == 1);
    link.close({}, 10s);
    run(5s);
    CHECK(transport.pings == 1);
    CHECK_FALSE(link.ended());
    run(10s);
    CHECK(link.ended());
}

TEST_CASE("ServedLink may be closed or aborted while it delivers a message",
          "[link][served_link][fault]") {
    Served s;
    receive(s.transport.link, "1");
    receive(s.transport.link, "2");
    const bool abort = GENERATE(true, false);
    s.link.advance(at(0s), 3, [&](std::string m, Lane) {
        s.observed.push_back(m);
        if (abort) {
            s.link.abort();
        } else {
            s.link.close({}, 0s);
        }
    });
    s.run(0s);
    CHECK(s.observed == Observed{"1"});
    CHECK(s.transport.live == 0);
}

TEST_CASE("ServedLink in a machine group wakes its own entry, also when it is ended from outside",
          "[link][served_link][unit]") {
    struct Child {
        explicit Child(TransportState& transport)
            : link{FakeTransport<>{transport}, 2, Waker{}, 1} {}
        void attach(Waker w) { link.attach(std::move(w)); }
        [[nodiscard]] Instant deadline() const noexcept { return link.deadline(); }
        void advance(Instant now) {
            ++turns;
            link.advance(now, 3, [](std::string, Lane) {});
        }
        ServedLink<FakeTransport<>> link;
        int turns = 0;
    };
    TransportState transports[2];
    belay::driver::MachineGroup group;
    group.attach(Waker{});
    auto a = group.make<Child>(transports[0]);
    auto b = group.make<Child>(transports[1]);
    const auto run = [&](Duration now) {
        while (group.deadline() <= at(now)) REQUIRE(group.advance(at(now)));
    };
    run(0s);
    CHECK(a->turns + b->turns == 0);
    receive(transports[0].link, "1");
    run(0s);
    CHECK(a->turns == 1);
    CHECK(b->turns == 0);
    a->link.close({.cause = Cause::planned}, 2s);
    run(0s);
    CHECK(group.deadline() == at(2s));
    b->link.abort();
    CHECK(group.deadline() == always);
    run(2s);
    CHECK(a->link.ended());
}

TEST_CASE_METHOD(BeatingLink, "ServedLink runs the timers of its decorators",
                 "[link][served_link][unit]") {
    transport.link.opened();
    run(0s);
    CHECK(transport.pings == 1);
    run(1s);
    CHECK(transport.pings == 2);
    run(3s);
    CHECK(link.ended());
    CHECK(link.failure().error() == LinkErrc::heartbeat_lost);
}
