// SPDX-License-Identifier: MIT
// Goal: the supervisor carries out the decisions of its core, in the order of the contract, also if
// user code throws, stops it or destroys it. Method: scripted transports.
#include <belay/link/supervisor.hpp>

#include <concepts>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/breaker/circuit_breaker.hpp>
#include <belay/drive/manual_loop.hpp>
#include <belay/policy/rules.hpp>
#include <belay/policy/shared.hpp>

#include "support/aborts.hpp"
#include "support/catch.hpp"
#include "support/link/fake_transport.hpp"
#include "support/shorthand.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::at;
using belay_test::FakeTransport;
using belay_test::TransportState;

namespace {

/// Records the events that it sees; `hook` runs in every on_state.
struct HookedNotes {
    std::vector<std::string> observed;
    std::function<void(LinkState)> hook;
    std::function<void(const std::string&)> message_hook;

    void on_state(const Transition& t) {
        observed.emplace_back(to_string(t.to.state));
        if (hook) hook(t.to.state);
    }
    void on_message(std::string m, Lane) {
        observed.push_back("message " + m);
        if (message_hook) message_hook(m);
    }
    void on_writable(Lane) { observed.emplace_back("writable"); }
    void on_unsent(std::string m, Lane) { observed.push_back("unsent " + m); }
};

auto policy() { return Policy{Backoff{NoJitter{}, Cap{8s}, 1s}}; }

template <bool Full = true>
struct Rig {
    TransportState transport;
    HookedNotes notes;
    Supervisor<FakeTransport<Full>, decltype(policy()), std::reference_wrapper<HookedNotes>> link{
        FakeTransport<Full>{transport}, policy(), {}, std::ref(notes)};

    /// Advances until nothing is due any more at `now`.
    void run(Duration now) {
        for (int i = 0; i < 100 && link.deadline() <= at(now); ++i) link.advance(at(now));
        REQUIRE(link.deadline() > at(now));
    }
    void connect() {
        link.start();
        run(0s);
        transport.link.opened();
        run(0s);
        REQUIRE(link.status().state == LinkState::connected);
    }
    using Observed = std::vector<std::string>;
};

struct AnsweringObserver {
    std::vector<SendResult>* results;
    void on_message(auto& link, const std::string&) { results->push_back(link.send("answer")); }
};

}  // namespace

TEST_CASE("Supervisor connects, loses, waits and connects again", "[link][supervisor][unit]") {
    Rig<> rig;
    CHECK(rig.link.deadline() == never);
    rig.connect();
    CHECK(rig.notes.observed == Rig<>::Observed{"connecting", "connected"});
    rig.transport.link.closed(Failure{.cause = Cause::lost});
    rig.run(1s);
    CHECK(rig.link.status().state == LinkState::cooldown);
    CHECK(rig.link.status().retry_at == at(2s));
    CHECK(rig.transport.live == 0);
    rig.run(2s);
    CHECK(rig.transport.dials == 2);
    CHECK(rig.transport.most_live == 1);
}

TEST_CASE("Supervisor with MaxElapsed ends when its first attempt is never admitted",
          "[link][supervisor][regression]") {
    CircuitBreaker breaker{ConsecutiveFailures{5}, OpenFor{10s}};
    breaker.set_mode(BreakerMode::forced_open);
    TransportState transport;
    HookedNotes notes;
    Supervisor link{FakeTransport<>{transport}, Policy{policy(), Shared{breaker}, MaxElapsed{30s}},
                    SupervisorOptions{}, std::ref(notes)};
    link.start();
    Instant now = at(0s);
    for (int i = 0; i < 1000 && link.deadline() != never; ++i) {
        now = detail::larger(now, link.deadline());
        link.advance(now);
    }
    // The supervisor tries again after 1 s to 2 s.
    CHECK(now <= at(30s));
    CHECK(now > at(28s));
    CHECK(transport.dials == 0);
    CHECK(link.status().decided_by == "MaxElapsed");
    CHECK(notes.observed.front() == "suspended");
    CHECK(notes.observed.back() == "failed");
}

TEST_CASE("Supervisor queues the events that a transport reports inside open",
          "[link][supervisor][unit]") {
    Rig<> rig;
    rig.transport.on_open = [](Link<std::string> link) {
        std::string m = "hello";
        CHECK(link.opened() == belay::driver::Post::taken);
        CHECK(link.received(std::move(m)) == belay::driver::Post::taken);
        CHECK(link.closed() == belay::driver::Post::taken);
    };
    rig.link.start();
    rig.run(0s);
    CHECK(rig.notes.observed ==
          Rig<>::Observed{"connecting", "connected", "message hello", "cooldown"});
}

TEST_CASE("Supervisor survives a million synchronous failures without growing the stack",
          "[link][supervisor][property]") {
    TransportState transport;
    transport.on_open = [](Link<std::string> link) { link.closed(); };
    transport.log.reserve(2'100'000);
    Supervisor link{FakeTransport<>{transport}, Policy{Backoff{NoJitter{}, Cap{1ns}, 1ns}}};
    link.start();
    for (Instant now{}; transport.dials < 1'000'000; now += 1ns) link.advance(now);
    CHECK(transport.most_live == 1);
}

TEST_CASE("Supervisor ignores events of an earlier epoch", "[link][supervisor][unit]") {
    Rig<> rig;
    rig.connect();
    const Link<std::string> old = rig.transport.link;
    old.closed();
    rig.run(0s);
    rig.run(1s);
    rig.transport.link.opened();
    rig.run(1s);
    rig.notes.observed.clear();
    std::string m = "stale";
    CHECK(old.received(std::move(m)) == belay::driver::Post::gone);
    CHECK(m == "stale");
    CHECK(old.closed() == belay::driver::Post::gone);
    CHECK_FALSE(old.alive());
    rig.run(1s);
    CHECK(rig.notes.observed.empty());
}

TEST_CASE("Supervisor::stop outside a turn has called all hooks when it returns",
          "[link][supervisor][unit]") {
    Rig<> rig;
    rig.connect();
    rig.link.stop();
    CHECK(rig.notes.observed.back() == "stopped");
    CHECK(rig.link.status().state == LinkState::stopped);
    CHECK(rig.link.send("x") == SendResult::down);
    // The graceful close is under way, bounded by the linger.
    CHECK(rig.transport.log.back() == "close");
    CHECK(rig.link.deadline() == at(2s));
    SECTION("and the peer's close ends the linger") {
        CHECK(rig.transport.link.closed() == belay::driver::Post::taken);
        rig.run(1s);
    }
    SECTION("and its limit ends it") { rig.run(2s); }
    CHECK(rig.transport.live == 0);
    CHECK(rig.notes.observed.back() == "stopped");
}

TEST_CASE("Supervisor::stop inside a hook acts at once, and is reported after the hook",
          "[link][supervisor][unit]") {
    Rig<> rig;
    rig.notes.message_hook = [&](const std::string&) {
        rig.link.stop();
        CHECK(rig.link.status().state == LinkState::stopped);
        CHECK(rig.link.send("x") == SendResult::down);
        CHECK(rig.notes.observed.back() != "stopped");
        rig.link.stop();
    };
    rig.connect();
    std::string a = "a", b = "b";
    static_cast<void>(rig.transport.link.received(std::move(a)));
    static_cast<void>(rig.transport.link.received(std::move(b)));
    rig.run(1s);
    CHECK(rig.notes.observed == Rig<>::Observed{"connecting", "connected", "message a", "stopped"});
}

TEST_CASE("Supervisor::start after stop in one hook makes one new attempt",
          "[link][supervisor][unit]") {
    Rig<> rig;
    rig.notes.message_hook = [&](const std::string&) {
        rig.link.stop();
        rig.link.start();
    };
    rig.connect();
    std::string a = "a";
    static_cast<void>(rig.transport.link.received(std::move(a)));
    rig.run(1s);
    CHECK(rig.notes.observed ==
          Rig<>::Observed{"connecting", "connected", "message a", "stopped", "connecting"});
    CHECK(rig.transport.dials == 2);
    CHECK(rig.transport.live == 1);
}

TEST_CASE("Supervisor::stop cancels a start that was not carried out yet",
          "[link][supervisor][unit]") {
    Rig<> rig;
    rig.link.start();
    rig.link.stop();
    rig.run(1s);
    CHECK(rig.notes.observed.empty());
    CHECK(rig.transport.dials == 0);
}

TEST_CASE("Supervisor keeps a gate shut through stop and start", "[link][supervisor][unit]") {
    Rig<> rig;
    rig.link.shut(Gate::network);
    rig.link.stop();
    rig.link.start();
    rig.run(1s);
    CHECK(rig.notes.observed == Rig<>::Observed{"offline"});
    CHECK(rig.transport.dials == 0);
}

TEST_CASE("Supervisor may be destroyed in every hook", "[link][supervisor][fault]") {
    struct DestroyingObserver {
        std::unique_ptr<Supervisor<FakeTransport<>, decltype(policy()), DestroyingObserver*>>*
            supervisor = nullptr;
    };
    for (const std::string at_what :
         {"connecting", "connected", "message", "cooldown", "stopped"}) {
        TransportState transport;
        HookedNotes notes;
        using S =
            Supervisor<FakeTransport<>, decltype(policy()), std::reference_wrapper<HookedNotes>>;
        auto link = std::make_unique<S>(FakeTransport<>{transport}, policy(), SupervisorOptions{},
                                        std::ref(notes));
        notes.hook = [&](LinkState s) {
            if (to_string(s) == at_what) link.reset();
        };
        notes.message_hook = [&](const std::string&) {
            if (at_what == "message") link.reset();
        };
        const auto step = [&](auto&& f) {
            if (link) f();
            if (link) link->advance(at(0s));
        };
        step([&] { link->start(); });
        step([&] { transport.link.opened(); });
        step([&] {
            std::string m = "m";
            static_cast<void>(transport.link.received(std::move(m)));
        });
        if (at_what == "stopped") step([&] { link->stop(); });
        step([&] { transport.link.closed(); });
        INFO(at_what);
        CHECK(link == nullptr);
        CHECK(transport.live == 0);
        CHECK(transport.link.closed() == belay::driver::Post::gone);
    }
}

TEST_CASE("Supervisor is consistent after a hook has thrown", "[link][supervisor][fault]") {
    Rig<> rig;
    bool thrown = false;
    rig.notes.hook = [&](LinkState s) {
        if (s == LinkState::connected && !thrown) {
            thrown = true;
            throw std::runtime_error{"hook"};
        }
    };
    rig.link.start();
    rig.run(0s);
    std::string m = "early";
    static_cast<void>(rig.transport.link.received(std::move(m)));
    rig.transport.link.opened();
    CHECK_THROWS_AS(rig.link.advance(at(0s)), std::runtime_error);
    CHECK(rig.link.deadline() == always);
    rig.run(0s);
    CHECK(rig.notes.observed == Rig<>::Observed{"connecting", "connected", "message early"});
}

TEST_CASE("Supervisor counts an open that throws as a failed attempt",
          "[link][supervisor][fault]") {
    Rig<> rig;
    rig.transport.on_open = [&](Link<std::string>) {
        if (rig.transport.dials == 1) {
            --rig.transport.live;  // its destructor will not run
            throw std::runtime_error{"open"};
        }
    };
    rig.link.start();
    CHECK_THROWS_AS(rig.link.advance(at(0s)), std::runtime_error);
    rig.run(0s);
    CHECK(rig.notes.observed == Rig<>::Observed{"connecting", "cooldown"});
    CHECK(rig.link.status().failure.error() == LinkErrc::open_threw);
    rig.run(1s);
    CHECK(rig.transport.dials == 2);
}

TEST_CASE("Supervisor reports the worst of two failures of one turn, once",
          "[link][supervisor][unit]") {
    Rig<> rig;
    rig.connect();
    rig.transport.link.closed(Failure{.cause = Cause::lost});
    rig.transport.link.child(0, 1).closed(Failure{.cause = Cause::unauthorized});
    rig.run(0s);
    CHECK(rig.link.status().state == LinkState::blocked_auth);
    CHECK(rig.link.status().attempt == 1);
    rig.link.credentials();
    rig.run(0s);
    CHECK(rig.link.status().state == LinkState::connecting);
}

TEST_CASE("Supervisor rejects messages above its limit, and resumes reading when it has capacity",
          "[link][supervisor][unit]") {
    TransportState transport;
    HookedNotes notes;
    Supervisor link{FakeTransport<>{transport}, policy(), {.messages_max = 2}, std::ref(notes)};
    link.start();
    link.advance(at(0s));
    transport.link.opened();
    link.advance(at(0s));
    std::string m = "1";
    CHECK(transport.link.received(std::move(m)) == belay::driver::Post::taken);
    m = "2";
    CHECK(transport.link.received(std::move(m)) == belay::driver::Post::taken);
    m = "3";
    CHECK(transport.link.received(std::move(m)) == belay::driver::Post::full);
    CHECK(transport.link.received(std::move(m)) == belay::driver::Post::full);
    CHECK(m == "3");
    link.advance(at(0s));
    link.advance(at(0s));
    CHECK(transport.resumes == 1);
    CHECK(transport.link.received(std::move(m)) == belay::driver::Post::taken);
}

TEST_CASE("Supervisor returns posted messages that could not be sent by on_unsent",
          "[link][supervisor][unit]") {
    Rig<> rig;
    const auto handle = rig.link.handle();
    CHECK(handle.post("lost") == belay::driver::Post::taken);
    rig.run(0s);
    CHECK(rig.notes.observed == Rig<>::Observed{"unsent lost"});
    handle.start();
    rig.run(0s);
    rig.transport.link.opened();
    rig.run(0s);
    CHECK(handle.status().state == LinkState::connected);
    CHECK(handle.post("kept") == belay::driver::Post::taken);
    rig.run(0s);
    CHECK(rig.transport.sent == std::vector<std::string>{"kept"});
}

TEST_CASE("Supervisor::report_unhealthy is a failure like any other", "[link][supervisor][unit]") {
    Rig<> rig;
    rig.connect();
    rig.link.report_unhealthy();
    rig.run(0s);
    CHECK(rig.link.status().failure.error() == LinkErrc::reported_unhealthy);
    CHECK(rig.link.status().state == LinkState::cooldown);
}

TEST_CASE("Supervisor::report_unhealthy writes the bytes that were sent, until the next attempt",
          "[link][supervisor][regression]") {
    Rig<> rig;
    rig.connect();
    rig.link.report_unhealthy();
    SECTION("the peer closes, too") {
        rig.run(0s);
        CHECK(rig.link.status().state == LinkState::cooldown);
        CHECK(rig.transport.log.back() == "close");
        CHECK(rig.transport.live == 1);
        rig.transport.link.closed();
        rig.run(0s);
        CHECK(rig.transport.live == 0);
    }
    SECTION("the next attempt ends it") {
        rig.run(0s);
        rig.run(1s);
        CHECK(rig.transport.log == std::vector<std::string>{"open", "close", "destroy", "open"});
        CHECK(rig.transport.most_live == 1);
    }
    SECTION("a second report, and a stop, do not interrupt the close") {
        rig.link.report_unhealthy();
        SECTION("in a turn") { rig.run(0s); }
        SECTION("by stop") {
            rig.link.stop();
            rig.run(0s);
        }
        CHECK(rig.transport.log.back() == "close");
        CHECK(rig.transport.live == 1);
    }
    SECTION("a connection that has ended already is not closed again") {
        rig.transport.link.closed();
        rig.run(0s);
        CHECK(rig.transport.log == std::vector<std::string>{"open", "destroy"});
    }
}

TEST_CASE("Supervisor sends nothing more on a connection that was reported unhealthy",
          "[link][supervisor][regression]") {
    Rig<> rig;
    rig.connect();
    CHECK(rig.link.send("before") == SendResult::sent);
    rig.link.report_unhealthy();
    CHECK(rig.link.send("after") == SendResult::down);
    CHECK(rig.link.handle().post("posted") == belay::driver::Post::taken);
    rig.notes.observed.clear();
    rig.run(0s);
    CHECK(rig.transport.sent == std::vector<std::string>{"before"});
    CHECK(rig.notes.observed.back() == "unsent posted");
    // The next connection is not affected, also if the report was repeated while it opened.
    rig.run(1s);
    rig.link.report_unhealthy();
    rig.run(1s);
    rig.run(10s);
    rig.transport.link.opened();
    rig.run(10s);
    CHECK(rig.link.send("again") == SendResult::sent);
}

TEST_CASE("Supervisor sends nothing on a connection that was reported unhealthy while it opened",
          "[link][supervisor][regression]") {
    Rig<> rig;
    std::vector<SendResult> results;
    rig.notes.hook = [&](LinkState state) {
        if (state == LinkState::connected) results.push_back(rig.link.send("hello"));
    };
    rig.link.start();
    rig.run(0s);
    rig.transport.link.opened();
    rig.link.report_unhealthy();
    rig.run(0s);
    CHECK(rig.link.status().state == LinkState::cooldown);
    rig.run(10s);
    rig.transport.link.opened();
    rig.run(10s);
    CHECK(results == std::vector{SendResult::down, SendResult::sent});
    CHECK(rig.transport.sent == std::vector<std::string>{"hello"});
}

TEST_CASE("Supervisor sends again if a decorator holds back the end that was reported",
          "[link][supervisor][regression]") {
    TransportState transport;
    Supervisor link{belay_test::Tolerant{FakeTransport<>{transport}}, policy()};
    link.start();
    link.advance(at(0s));
    transport.link.opened();
    link.advance(at(0s));
    link.report_unhealthy();
    CHECK(link.send("now") == SendResult::down);
    link.advance(at(0s));
    REQUIRE(link.status().state == LinkState::connected);
    CHECK(link.send("later") == SendResult::sent);
}

TEST_CASE("Supervisor sends nothing after a report if a decorator holds back another end",
          "[link][supervisor][regression]") {
    TransportState transport;
    std::vector<SendResult> results;
    Supervisor link{belay_test::Tolerant{FakeTransport<>{transport}, 1}, policy(),
                    AnsweringObserver{&results}};
    link.start();
    link.advance(at(0s));
    transport.link.opened();
    link.advance(at(0s));
    transport.link.closed();
    REQUIRE(transport.link.received("question") == belay::driver::Post::taken);
    link.report_unhealthy();
    link.advance(at(0s));
    CHECK(results == std::vector{SendResult::down});
    CHECK(link.status().state == LinkState::cooldown);
}

TEST_CASE("Supervisor ignores repeated events of a transport", "[link][supervisor][fault]") {
    Rig<> rig;
    rig.link.start();
    rig.run(0s);
    for (int i = 0; i < 100000; ++i) rig.transport.link.opened();
    rig.link.advance(at(0s));
    rig.link.advance(at(0s));
    CHECK(rig.link.deadline() > at(0s));
}

TEST_CASE("Handles and links outlive their supervisor", "[link][supervisor][fault]") {
    decltype(Rig<>::link)::Handle handle;
    Link<std::string> link;
    {
        Rig<> rig;
        rig.connect();
        handle = rig.link.handle();
        link = rig.transport.link;
    }
    CHECK(handle.start() == belay::driver::Post::gone);
    CHECK(handle.post("x") == belay::driver::Post::gone);
    CHECK(link.opened() == belay::driver::Post::gone);
}

TEST_CASE("Supervisor::report_unhealthy without a connection does not affect a later one",
          "[link][supervisor][regression]") {
    Rig<> rig;
    rig.connect();
    rig.transport.link.closed();
    rig.run(0s);
    REQUIRE(rig.link.status().state == LinkState::cooldown);
    static_cast<void>(rig.link.reconnect_now());
    rig.link.report_unhealthy();
    rig.run(0s);
    CHECK(rig.link.status().state == LinkState::connecting);
    CHECK(rig.transport.live == 1);
}

TEST_CASE("Supervisor is not connected by an open that reported opened and then threw",
          "[link][supervisor][regression]") {
    Rig<> rig;
    rig.transport.on_open = [&](Link<std::string> link) {
        link.opened();
        --rig.transport.live;
        throw std::runtime_error{"open"};
    };
    rig.notes.hook = [&](LinkState s) {
        if (s == LinkState::connected) rig.link.stop();
    };
    rig.link.start();
    CHECK_THROWS_AS(rig.link.advance(at(0s)), std::runtime_error);
    rig.run(0s);
    CHECK(rig.notes.observed == Rig<>::Observed{"connecting", "cooldown"});
}

TEST_CASE("Supervisor returns the policy's permits when it is destroyed",
          "[link][supervisor][regression]") {
    struct Permit {
        int* held;
        void begin(Turn&) noexcept { ++*held; }
        Advice failed(const Failure&, Turn&) noexcept { return --*held, Advice::stop(); }
        void succeeded(Turn&) noexcept { --*held; }
        void abandoned(Turn&) noexcept { --*held; }
    };
    int held = 0;
    TransportState transport;
    {
        Supervisor link{FakeTransport<>{transport}, Permit{&held}};
        link.start();
        link.advance(at(0s));
        CHECK(held == 1);
    }
    CHECK(held == 0);
}

TEST_CASE("Supervisor::stop does not linger for a connection that has ended already",
          "[link][supervisor][regression]") {
    Rig<> rig;
    rig.connect();
    rig.transport.link.closed();
    rig.link.stop();
    rig.run(0s);
    CHECK(rig.transport.live == 0);
    CHECK(rig.link.deadline() == never);
    CHECK(rig.notes.observed == Rig<>::Observed{"connecting", "connected", "stopped"});
}

TEST_CASE("Supervisor with a late driver accepts events that arrived before the deadline",
          "[link][supervisor][unit]") {
    Rig<> rig;
    rig.link.start();
    rig.run(0s);
    rig.transport.link.opened();
    rig.run(1h);  // the attempt's limit was 30 s
    CHECK(rig.link.status().state == LinkState::connected);
}

TEST_CASE("Supervisor::stop in open destroys the connection that it returned",
          "[link][supervisor][fault]") {
    Rig<> rig;
    rig.transport.on_open = [&](Link<std::string>) { rig.link.stop(); };
    rig.link.start();
    rig.run(0s);
    CHECK(rig.notes.observed == Rig<>::Observed{"connecting", "stopped"});
    CHECK(rig.transport.live == 0);
}

TEST_CASE("Supervisor::stop in close is reported last, and no dial follows it",
          "[link][supervisor][fault]") {
    Rig<> rig;
    rig.connect();
    rig.notes.observed.clear();
    rig.transport.on_close = [&] { rig.link.stop(); };
    SECTION("of a connection that is replaced") {
        CHECK(rig.link.reconnect_now().granted);
        rig.run(0s);
        CHECK(rig.notes.observed == Rig<>::Observed{"connecting", "stopped"});
    }
    SECTION("of one that a gate closes") {
        rig.link.shut(Gate::paused);
        rig.run(0s);
        CHECK(rig.notes.observed == Rig<>::Observed{"offline", "stopped"});
    }
    SECTION("of one that is drained") {
        rig.link.drain(1s);
        rig.run(0s);
        CHECK(rig.notes.observed == Rig<>::Observed{"draining", "stopped"});
    }
    CHECK(rig.link.handle().status() == rig.link.status());
    CHECK(rig.link.status().state == LinkState::stopped);
    CHECK(rig.transport.dials == 1);
    rig.run(10s);
    CHECK(rig.transport.live == 0);
}

TEST_CASE("Supervisor::stop in send closes gracefully, if the connection can",
          "[link][supervisor][fault]") {
    Rig<> rig;
    rig.connect();
    rig.notes.observed.clear();
    rig.transport.on_send = [&] { rig.link.stop(); };
    CHECK(rig.link.send("x") == SendResult::sent);
    CHECK(rig.transport.log == Rig<>::Observed{"open", "close"});
    CHECK(rig.link.status().state == LinkState::stopped);
    rig.run(0s);
    CHECK(rig.notes.observed == Rig<>::Observed{"stopped"});
    CHECK(rig.transport.live == 1);
    rig.run(10s);
    CHECK(rig.transport.live == 0);
}

TEST_CASE("Supervisor::stop in send ends the connection when its call has returned",
          "[link][supervisor][fault]") {
    Rig<false> rig;
    rig.connect();
    rig.notes.observed.clear();
    bool existed = false;
    rig.transport.on_send = [&] {
        rig.link.stop();
        existed = rig.transport.live == 1;
    };
    SECTION("outside of a turn") {
        static_cast<void>(rig.link.send("x"));
        CHECK(existed);
        // The connection ends at once, because the next turn might be far away.
        CHECK(rig.transport.live == 0);
        // A hook might destroy a part whose function still runs.
        CHECK(rig.notes.observed.empty());
        rig.run(0s);
        CHECK(rig.notes.observed == std::vector<std::string>{"stopped"});
    }
    SECTION("in a hook") {
        rig.notes.message_hook = [&](const std::string&) {
            static_cast<void>(rig.link.send("x"));
            rig.notes.observed.emplace_back("sent");
        };
        CHECK(rig.transport.link.received("m") == belay::driver::Post::taken);
        rig.run(0s);
        CHECK(existed);
        CHECK(rig.notes.observed == std::vector<std::string>{"message m", "sent", "stopped"});
    }
    SECTION("in a message posted by another thread") {
        CHECK(rig.link.handle().post("x") == belay::driver::Post::taken);
        rig.run(0s);
        CHECK(existed);
        CHECK(rig.notes.observed == std::vector<std::string>{"stopped"});
    }
    CHECK(rig.transport.live == 0);
    CHECK(rig.transport.sent == std::vector<std::string>{"x"});
    CHECK(rig.link.deadline() == never);
}

TEST_CASE("Supervisor::stop in resume_reading is reported in the next turn, which is due at once",
          "[link][supervisor][fault]") {
    TransportState transport;
    HookedNotes notes;
    Supervisor link{FakeTransport<>{transport}, policy(), SupervisorOptions{.messages_max = 1},
                    std::ref(notes)};
    link.start();
    link.advance(at(0s));
    transport.link.opened();
    link.advance(at(0s));
    CHECK(transport.link.received("a") == belay::driver::Post::taken);
    CHECK(transport.link.received("b") == belay::driver::Post::full);
    transport.on_resume = [&] { link.stop(); };
    notes.observed.clear();
    for (int i = 0; i < 10 && link.deadline() <= at(0s); ++i) link.advance(at(0s));
    CHECK(notes.observed == std::vector<std::string>{"message a", "stopped"});
    CHECK(transport.resumes == 1);
    CHECK(transport.live == 0);
    CHECK(link.deadline() == never);
}

TEST_CASE("Supervisor reports a stop() in a close although the hook before it throws",
          "[link][supervisor][fault]") {
    Rig<> rig;
    rig.connect();
    rig.notes.observed.clear();
    rig.transport.on_close = [&] { rig.link.stop(); };
    rig.notes.hook = [](LinkState state) {
        if (state != LinkState::stopped) throw 1;
    };
    CHECK(rig.link.reconnect_now().granted);
    CHECK_THROWS_AS(rig.link.advance(at(0s)), int);
    // Commands before the next turn do not change the stop, and a start() counts after it.
    rig.link.stop();
    rig.link.start();
    rig.notes.hook = {};
    rig.transport.on_close = {};
    rig.run(0s);
    CHECK(rig.notes.observed == Rig<>::Observed{"connecting", "stopped", "connecting"});
    CHECK(rig.transport.dials == 2);
    CHECK(rig.transport.live == 1);
}

TEST_CASE("Supervisor aborts on a budget of 0 events, and on advance() in a hook",
          "[link][supervisor][unit]") {
    using belay_test::aborts_with;
    CHECK(aborts_with([] {
              TransportState transport;
              Supervisor link{FakeTransport<>{transport}, policy(), {.events_per_turn_max = 0}};
          }).find("events_per_turn_max must be > 0") != std::string::npos);
    // Zero does not mean "no limit": every message would be rejected for ever.
    CHECK(aborts_with([] {
              TransportState transport;
              Supervisor link{FakeTransport<>{transport}, policy(), {.messages_max = 0}};
          }).find("messages_max and") != std::string::npos);
    CHECK(aborts_with([] {
              TransportState transport;
              Supervisor link{FakeTransport<>{transport}, policy(), {.linger_max = -1ns}};
          }).find("linger_max must be >= 0ns") != std::string::npos);
    CHECK(aborts_with([] {
              TransportState transport;
              Supervisor link{
                  FakeTransport<>{transport}, policy(), {.core = {.spread_within = -1ns}}};
          }).find("SupervisorCoreOptions: durations must be >= 0ns") != std::string::npos);
    CHECK(aborts_with([] {
              Rig<> rig;
              rig.notes.hook = [&](LinkState) { rig.link.advance(at(0s)); };
              rig.link.start();
              rig.link.advance(at(0s));
          }).find("a hook must not call it") != std::string::npos);
}

TEST_CASE("Supervisor prints a line at its end if it got commands, and was never attached",
          "[link][supervisor][unit]") {
    using S = Supervisor<FakeTransport<>, decltype(policy()), NoObserver>;
    const auto printed = [](auto use) {
        return belay_test::prints_to_stderr([&] {
            TransportState transport;
            ManualLoop loop;
            S link{FakeTransport<>{transport}, policy()};
            use(link, loop);
        });
    };
    const auto found = [](const std::string& text) {
        return text.find("belay: misuse: ~Supervisor: ") == 0 &&
               text.find("call 'loop.attach(supervisor)'") != std::string::npos;
    };
    CHECK(found(printed([](S& link, auto&) { link.start(); })));
    CHECK(found(printed([](S& link, auto&) { static_cast<void>(link.handle().post("message")); })));
    // The first of these is no mistake, or looks like a supervisor that was not needed.
    CHECK(printed([](S&, auto&) {}) == "");
    CHECK(printed([](S& link, auto&) { static_cast<void>(link.send("message")); }) == "");
    CHECK(printed([](S& link, auto& loop) {
              link.start();
              loop.attach(link);
          }) == "");
    CHECK(printed([](S& link, auto& loop) { loop.attach(link); }) == "");
    CHECK(printed([](S& link, auto&) {
              link.start();
              link.stop();
          }) == "");
    // This program drives the supervisor itself.
    CHECK(printed([](S& link, auto&) {
              link.start();
              link.advance(at(0s));
              link.shut(Gate::hidden);
          }) == "");
}

TEST_CASE("Supervisor aborts when it is destroyed inside a transport",
          "[link][supervisor][fault]") {
    CHECK(belay_test::aborts_with([] {
              TransportState transport;
              using S = Supervisor<FakeTransport<>, decltype(policy()), NoObserver>;
              auto link = std::make_unique<S>(FakeTransport<>{transport}, policy());
              transport.on_open = [&](Link<std::string>) { link.reset(); };
              link->start();
              link->advance(at(0s));
          }).find("a transport, a check or a rule must not destroy it") != std::string::npos);
}

TEST_CASE("Supervisor takes an observer without options, and texts where bytes are sent",
          "[link][supervisor][unit]") {
    struct Bytewise {
        using message_type = Bytes;
        struct Connection {
            SendResult send(const Bytes& bytes) noexcept {
                *sent = bytes;
                return SendResult::sent;
            }
            Bytes* sent;
        };
        Connection open(const Link<Bytes>& link) {
            link.opened();
            return {sent};
        }
        Bytes* sent;
    };
    struct Counter {
        int states = 0;
        void on_state(const Transition&) { ++states; }
    };
    Bytes sent;
    Counter counter;
    Supervisor copied{Bytewise{&sent}, MaxAttempts{1}, Counter{}};
    Supervisor link{Bytewise{&sent}, MaxAttempts{1}, std::ref(counter)};
    STATIC_REQUIRE(std::same_as<decltype(copied), Supervisor<Bytewise, MaxAttempts, Counter>>);
    link.start();
    for (int i = 0; i < 3; ++i) link.advance(at(0s));
    REQUIRE(counter.states == 2);
    CHECK(link.send("a literal") == SendResult::sent);
    CHECK(as_text(sent) == "a literal");
    CHECK(link.send(std::string{"a string"}) == SendResult::sent);
    CHECK(as_text(sent) == "a string");
    CHECK(link.send({std::byte{1}, std::byte{2}}) == SendResult::sent);
    CHECK(sent.size() == 2);
}
