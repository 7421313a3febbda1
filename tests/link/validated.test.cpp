// SPDX-License-Identifier: MIT
// Goal: connected means that the peer has passed the check; the user sees no message before, and
// none is lost afterwards. Method: scripted checks.
#include <belay/link/validated.hpp>

#include <stdexcept>

#include <belay/link/bundle.hpp>
#include <belay/link/heartbeat.hpp>

#include "support/link/link_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;
using belay_test::FakeTransport;
using belay_test::TransportState;

namespace {

/// Asks "who?"; "me" passes, "no" is refused as unauthorized, "odd" with the default, all else
/// waits.
struct Asks {
    std::vector<std::string>* checked = nullptr;
    std::function<void()>* inside = nullptr;

    Verdict begin(const auto& say) {
        return say("who?") == SendResult::sent ? Verdict::pending() : Verdict::rejected();
    }
    Verdict judge(const std::string& m, const auto& say) {
        if (checked != nullptr) checked->push_back(m);
        if (inside != nullptr && *inside) (*inside)();
        if (m == "me") return Verdict::passed();
        if (m == "no") return Verdict::rejected({.cause = Cause::unauthorized});
        if (m == "odd") return Verdict::rejected();
        static_cast<void>(say("again?"));
        return Verdict::pending();
    }
};

/// Asks "who?" on lane 0; only "me" on that lane passes.
struct AsksOnLane0 {
    Verdict begin(const auto& say) { return static_cast<void>(say("who?", 0)), Verdict::pending(); }
    Verdict judge(const std::string& message, const auto& say) {
        if (say.lane() != 0) return Verdict::deferred();
        return message == "me" ? Verdict::passed() : Verdict::rejected();
    }
};

struct ThrowingCheck {
    bool in_begin;
    Verdict begin(const auto&) {
        if (in_begin) throw std::runtime_error{"begin"};
        return Verdict::pending();
    }
    Verdict judge(const std::string&, const auto&) { throw std::runtime_error{"judge"}; }
};

struct Checked {
    TransportState transport;
    std::vector<std::string> checked;
    std::function<void()> inside;
    LinkRig<Validated<FakeTransport<>, Asks>> rig{
        Validated{FakeTransport<>{transport}, Asks{&checked, &inside}}};

    Checked() {
        rig.start();
        transport.link.opened();
        rig.run(0s);
    }
};

}  // namespace

TEST_CASE("Validated connects when the check has passed", "[link][validated][unit]") {
    Checked c;
    CHECK(c.rig.state() == LinkState::connecting);
    CHECK(c.transport.sent == Observed{"who?"});
    CHECK(c.rig.link.send("early") == SendResult::down);
    receive(c.transport.link, "what?");
    c.rig.run(0s);
    CHECK(c.transport.sent == Observed{"who?", "again?"});
    receive(c.transport.link, "me");
    c.rig.run(0s);
    CHECK(c.rig.state() == LinkState::connected);
    CHECK(c.checked == Observed{"what?", "me"});
    CHECK(c.rig.notes.observed == Observed{"connecting", "connected"});
}

TEST_CASE("Validated passes on that an attempt waits in a queue, and that it dials",
          "[link][validated][regression]") {
    TransportState a, b;
    std::vector<std::string> checked;
    std::function<void()> inside;
    LinkRig rig{Validated{Bundle{FakeTransport<>{a}, FakeTransport<>{b}}, Asks{&checked, &inside}}};
    rig.start();
    a.link.queued();
    b.link.queued();
    rig.run(20s);
    a.link.begun();
    rig.run(29s);
    const bool dials = GENERATE(false, true);
    if (dials) b.link.begun();
    rig.run(30s);
    CHECK((rig.state() == LinkState::connecting) == dials);
    CHECK(rig.link.status().attempt == (dials ? 1U : 0U));
    rig.run(60s);
    CHECK(rig.link.status().failure.cause == Cause::timed_out);
    CHECK(rig.link.status().withdrawn == !dials);
}

TEST_CASE("Validated delivers messages that follow the answer, after connected",
          "[link][validated][unit]") {
    Checked c;
    for (const char* m : {"hm", "me", "one", "two"}) receive(c.transport.link, m);
    c.rig.run(0s);
    CHECK(c.checked == Observed{"hm", "me"});
    CHECK(c.rig.notes.observed ==
          Observed{"connecting", "connected", "message one on 0", "message two on 0"});
}

TEST_CASE("Validated rejects with the cause that decides the reaction", "[link][validated][unit]") {
    Checked c;
    SECTION("unauthorized blocks") {
        receive(c.transport.link, "no");
        c.rig.run(0s);
        CHECK(c.rig.state() == LinkState::blocked_auth);
    }
    SECTION("the default cause retries") {
        receive(c.transport.link, "odd");
        c.rig.run(0s);
        CHECK(c.rig.state() == LinkState::cooldown);
        CHECK(c.rig.link.status().failure.error() == LinkErrc::not_validated);
    }
    // The last message that the check sent is still written.
    CHECK(c.transport.log.back() == "close");
    CHECK(c.transport.live == 1);
    c.transport.link.closed();
    c.rig.run(0s);
    CHECK(c.transport.live == 0);
}

TEST_CASE("Validated may reject in begin", "[link][validated][unit]") {
    TransportState transport;
    transport.answer = SendResult::busy;
    LinkRig rig{Validated{FakeTransport<>{transport}, Asks{}}};
    rig.start();
    transport.link.opened();
    rig.run(0s);
    CHECK(rig.state() == LinkState::cooldown);
}

TEST_CASE(
    "Validated does not end an attempt whose peer never answers before the attempt's time limit",
    "[link][validated][unit]") {
    Checked c;
    c.rig.run(29999ms);
    CHECK(c.rig.state() == LinkState::connecting);
    c.rig.run(30s);
    CHECK(c.rig.state() == LinkState::cooldown);
    CHECK(c.rig.link.status().failure.error() == LinkErrc::attempt_timed_out);
    CHECK(c.rig.link.status().attempt == 1);
}

TEST_CASE("Validated copies its check for each connection", "[link][validated][unit]") {
    Checked c;
    receive(c.transport.link, "me");
    c.rig.run(0s);
    c.transport.link.closed();
    c.rig.run(0s);
    c.rig.run(1s);
    c.transport.link.opened();
    c.rig.run(1s);
    CHECK(c.rig.state() == LinkState::connecting);
    CHECK(c.transport.sent == Observed{"who?", "who?"});
}

TEST_CASE("Validated checks once when a transport opens twice", "[link][validated][regression]") {
    Checked c;
    c.transport.link.opened();
    c.rig.run(0s);
    CHECK(c.transport.sent == Observed{"who?"});
    CHECK(c.rig.state() == LinkState::connecting);
}

TEST_CASE("Validated over a bundle waits for every lane, also when the peer sends first",
          "[link][validated][regression]") {
    TransportState a, b;
    LinkRig rig{Validated{Bundle{FakeTransport<>{a}, FakeTransport<>{b}}, Asks{}}};
    rig.start();
    a.link.opened();
    receive(a.link, "me");
    receive(a.link, "first");
    rig.run(0s);
    CHECK(rig.state() == LinkState::connecting);
    b.link.opened();
    rig.run(0s);
    CHECK(rig.notes.observed == Observed{"connecting", "connected", "message first on 0"});
}

TEST_CASE("Validated over a bundle passes the lane, so that other lanes neither pass nor fail it",
          "[link][validated][regression]") {
    TransportState a, b;
    LinkRig rig{Validated{Bundle{FakeTransport<>{a}, FakeTransport<>{b}}, AsksOnLane0{}}};
    rig.start();
    a.link.opened();
    b.link.opened();
    SECTION("its messages are delivered after the opening") {
        receive(b.link, "news");
        receive(b.link, "me");
        rig.run(0s);
        CHECK(rig.state() == LinkState::connecting);
        receive(a.link, "me");
        rig.run(0s);
        CHECK(rig.notes.observed ==
              Observed{"connecting", "connected", "message news on 1", "message me on 1"});
    }
    SECTION("the check still fails") {
        receive(b.link, "me");
        receive(a.link, "no");
        rig.run(0s);
        CHECK(rig.state() == LinkState::cooldown);
        CHECK(rig.notes.observed == Observed{"connecting", "cooldown"});
    }
}

TEST_CASE("A check that throws fails the attempt at once, and the link continues",
          "[link][validated][regression]") {
    const bool in_begin = GENERATE(true, false);
    TransportState transport;
    LinkRig rig{Validated{FakeTransport<>{transport}, ThrowingCheck{in_begin}}};
    rig.start();
    for (unsigned attempt = 1; attempt <= 3; ++attempt) {
        const Instant now = rig.link.now();
        transport.link.opened();
        if (!in_begin) REQUIRE(receive(transport.link, "me") == driver::Post::taken);
        CHECK_THROWS_AS(
            [&] {
                for (int i = 0; i < 3; ++i) rig.link.advance(now);
            }(),
            std::runtime_error);
        rig.run(elapsed(Instant{}, now));
        CHECK(transport.live == 0);
        CHECK(rig.state() == LinkState::cooldown);
        CHECK(rig.link.status().attempt == attempt);
        CHECK(rig.link.status().failure.error() == LinkErrc::check_threw);
        rig.run(elapsed(Instant{}, rig.link.status().retry_at));
        CHECK(transport.dials == static_cast<int>(attempt) + 1);
    }
}

TEST_CASE("A check may stop its supervisor", "[link][validated][fault]") {
    Checked c;
    c.inside = [&] {
        c.rig.link.stop();
        CHECK(c.rig.link.status().state == LinkState::stopped);
        CHECK(c.transport.live == 1);  // a function of the connection still runs
    };
    SECTION("and pass") { receive(c.transport.link, "me"); }
    SECTION("and reject") { receive(c.transport.link, "no"); }
    SECTION("and wait") { receive(c.transport.link, "hm"); }
    receive(c.transport.link, "late");
    c.rig.run(1s);
    CHECK(c.rig.notes.observed == Observed{"connecting", "stopped"});
    CHECK(c.transport.live == 0);
}

TEST_CASE("A check may stop and start its supervisor", "[link][validated][fault]") {
    Checked c;
    c.inside = [&] {
        c.rig.link.stop();
        c.rig.link.start();
    };
    receive(c.transport.link, "me");
    c.rig.run(1s);
    CHECK(c.rig.notes.observed == Observed{"connecting", "stopped", "connecting"});
    CHECK(c.transport.dials == 2);
    CHECK(c.transport.most_live == 1);
}

TEST_CASE("Heartbeat starts at the answer outside of Validated, and at the opening inside",
          "[link][validated][unit]") {
    TransportState transport;
    SECTION("Heartbeat outside starts at the answer") {
        LinkRig rig{Heartbeat{Validated{FakeTransport<>{transport}, Asks{}}, {.every = 1s}}};
        rig.start();
        transport.link.opened();
        rig.run(5s);
        CHECK(transport.pings == 0);
        receive(transport.link, "me");
        rig.run(5s);
        CHECK(transport.pings == 1);
        rig.run(6s);
        CHECK(transport.pings == 2);
    }
    SECTION("Heartbeat inside starts at the opening") {
        LinkRig rig{Validated{Heartbeat{FakeTransport<>{transport}, {.every = 1s}}, Asks{}}};
        rig.start();
        transport.link.opened();
        rig.run(0s);
        CHECK(transport.pings == 1);
        rig.run(1s);
        CHECK(transport.pings == 2);
        CHECK(rig.state() == LinkState::connecting);
    }
}
