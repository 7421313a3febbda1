// SPDX-License-Identifier: MIT
// Goal: level quiet logs one line per outage, one on recovery, and errors; level retry logs each
// attempt, wait, cause and rule. Method: scripted connections.
#include <belay/link/link_log.hpp>

#include <belay/policy/rules.hpp>

#include "support/link/link_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;
using belay_test::FakeTransport;
using belay_test::TransportState;

namespace {

auto log_policy() {
    return Policy{Backoff{NoJitter{}, Cap{8s}, 1s}, CooldownOn{Cause::overloaded, 5s, 5s},
                  MaxAttempts{4}};
}

struct Logged {
    TransportState transport;
    Observed lines;
    struct Sink {
        Observed* lines;
        void operator()(std::string_view line) { lines->emplace_back(line); }
    };
    Supervisor<FakeTransport<>, decltype(log_policy()), LinkLog<Sink>> link;

    explicit Logged(LogLevel level)
        : link{FakeTransport<>{transport}, log_policy(), {}, LinkLog{Sink{&lines}, level, "api"}} {
        link.start();
        run(0s);
    }
    void run(Duration now) {
        for (int i = 0; i < 100 && link.deadline() <= at(now); ++i) link.advance(at(now));
    }
    void open(Duration now) {
        transport.link.opened();
        transport.link.pong();
        run(now);
    }
    void close(Duration now, Cause cause) {
        transport.link.closed({.cause = cause});
        run(now);
    }
};

}  // namespace

TEST_CASE("LinkLog, quiet: one line per outage, one on recovery", "[link][log][unit]") {
    Logged l{LogLevel::quiet};
    l.open(0s);
    CHECK(l.lines == Observed{"api: connected"});
    l.lines.clear();
    l.run(20s);
    l.close(20s, Cause::lost);
    l.run(21s);
    l.close(21s, Cause::refused);
    l.run(23s);
    CHECK(l.lines == Observed{"api: lost (lost)"});
    l.open(23500ms);
    CHECK(l.lines == Observed{"api: lost (lost)", "api: connected again after 3.5 s"});
    l.lines.clear();
    l.run(50s);
    l.close(50s, Cause::timed_out);
    CHECK(l.lines == Observed{"api: lost (timed_out)"});
}

TEST_CASE("LinkLog, quiet: a first connection that fails is one line", "[link][log][unit]") {
    Logged l{LogLevel::quiet};
    l.close(0s, Cause::refused);
    l.run(1s);
    l.close(1s, Cause::refused);
    l.run(3s);
    l.open(3s);
    CHECK(l.lines == Observed{"api: cannot connect (refused)", "api: connected again after 3.0 s"});
}

TEST_CASE("LinkLog, quiet: errors that end the retries are logged, and so are later ones",
          "[link][log][regression]") {
    Logged l{LogLevel::quiet};
    l.open(0s);
    l.run(20s);
    l.lines.clear();
    SECTION("new credentials are needed") {
        l.close(20s, Cause::unauthorized);
        CHECK(l.lines == Observed{"api: needs new credentials (unauthorized)"});
        l.link.credentials();
        l.run(30s);
        l.open(30s);
        CHECK(l.lines.back() == "api: connected again after 10.0 s");
    }
    SECTION("retries ended") {
        l.close(20s, Cause::forbidden);
        CHECK(l.lines == Observed{"api: gave up after attempt 0 (forbidden)"});
        static_cast<void>(l.link.reconnect_now());
        l.run(21s);
        l.open(21s);
        CHECK(l.lines.back() == "api: connected again after 1.0 s");
    }
    CHECK(l.lines.size() == 2);
}

TEST_CASE("LinkLog, quiet: planned closes, gates and commands are not logged",
          "[link][log][unit]") {
    Logged l{LogLevel::quiet};
    l.open(0s);
    l.run(20s);
    l.lines.clear();
    l.close(20s, Cause::planned);
    l.run(21s);
    l.open(21s);
    l.link.shut(Gate::network);
    l.run(22s);
    l.link.open(Gate::network);
    l.run(23s);
    l.run(25s);
    l.open(25s);
    CHECK(l.lines.empty());
    l.link.stop();
    CHECK(l.lines.empty());
}

TEST_CASE("LinkLog, retry: each attempt with number, wait, cause and rule", "[link][log][unit]") {
    Logged l{LogLevel::retry};
    l.close(0s, Cause::refused);
    l.run(1s);
    l.close(1s, Cause::overloaded);
    l.run(6s);
    l.open(6s);
    l.run(20s);
    l.link.shut(Gate::hidden);
    l.run(20s);
    CHECK(l.lines == Observed{"api: attempt 1", "api: cannot connect (refused)",
                              "api: attempt 2 in 1.0 s (refused, Backoff)", "api: attempt 2",
                              "api: attempt 3 in 5.0 s (overloaded, CooldownOn)", "api: attempt 3",
                              "api: connected again after 6.0 s", "api: offline: a gate is shut"});
    l.lines.clear();
    l.link.stop();
    l.link.start();
    l.run(21s);
    l.link.open(Gate::hidden);
    l.run(21s);
    REQUIRE(l.lines.size() == 2);
    CHECK(l.lines[0] == "api: offline: a gate is shut");
    CHECK(l.lines[1].find("api: attempt 1 in ") == 0);
    CHECK(l.lines[1].find(" ms (none, gate)") != std::string::npos);
}

TEST_CASE("LinkLog, retry: the end of the retries names the rule", "[link][log][unit]") {
    Logged l{LogLevel::retry};
    for (const Duration now : {0s, 1s, 3s, 7s}) {
        l.run(now);
        l.close(now, Cause::refused);
    }
    CHECK(l.lines.back() == "api: gave up after attempt 4 (refused, MaxAttempts)");
}

TEST_CASE("LinkLog has a name and a level by default", "[link][log][unit]") {
    Observed lines;
    LinkLog log{[&](std::string_view line) { lines.emplace_back(line); }};
    log.on_state({LinkState::connecting, {.state = LinkState::connected, .since = at(1s)}});
    log.on_state({LinkState::connected, {.state = LinkState::connecting}});
    CHECK(lines == Observed{"link: connected"});
}
