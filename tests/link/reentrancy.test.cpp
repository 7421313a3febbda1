// SPDX-License-Identifier: MIT
// Goal: all user code that a supervisor runs may give any command, and hooks may destroy the
// supervisor. The states stay one valid path, and the link keeps working. Method: every command, in
// every place, at its first calls. AddressSanitizer detects wrong accesses to memory.
#include <belay/link/supervisor.hpp>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <belay/breaker/circuit_breaker.hpp>
#include <belay/breaker/open_waits.hpp>
#include <belay/breaker/trips.hpp>
#include <belay/policy/shared.hpp>

#include "support/catch.hpp"
#include "support/link/link_rig.hpp"
#include "support/link/scripted_link.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

template <bool Full>
using StagedLink = Supervisor<decltype(scripted_transport<Full>(std::declval<ScriptedLink&>())),
                              ScriptedRule, ScriptedApp>;

template <class L>
struct ScriptedCommand {
    const char* name;
    std::function<void(std::unique_ptr<L>&)> give;
};

template <class L>
std::vector<ScriptedCommand<L>> staged_commands() {
    return {
        {"start", [](auto& link) { link->start(); }},
        {"stop", [](auto& link) { link->stop(); }},
        {"stop, start", [](auto& link) { link->stop(), link->start(); }},
        {"shut", [](auto& link) { link->shut(Gate::paused); }},
        {"shut with grace", [](auto& link) { link->shut(Gate::paused, 1s); }},
        {"open", [](auto& link) { link->open(Gate::paused); }},
        {"drain", [](auto& link) { link->drain(1s); }},
        {"reconnect", [](auto& link) { static_cast<void>(link->reconnect_now()); }},
        {"force", [](auto& link) { static_cast<void>(link->reconnect_now(true)); }},
        {"unhealthy", [](auto& link) { link->report_unhealthy(); }},
        {"credentials", [](auto& link) { link->credentials(2); }},
        {"probe", [](auto& link) { link->probe_now(1s); }},
        {"send", [](auto& link) { static_cast<void>(link->send("inside")); }},
        {"post", [](auto& link) { static_cast<void>(link->handle().post("inside")); }},
        {"stop by handle", [](auto& link) { link->handle().stop(); }},
        {"status", [](auto& link) { static_cast<void>(link->handle().status()); }},
        {"end", [](auto& link) { link.reset(); }},
    };
}

/// Runs one link, in which `command` is given at the nth call of `place`.
template <bool Full>
std::string staged_lifecycle(const std::function<void(const std::string&)>& look,
                             const ScriptedCommand<StagedLink<Full>>* command = nullptr,
                             const std::string& place = {}, int nth = 0) {
    ScriptedLink script;
    auto link = std::make_unique<StagedLink<Full>>(
        scripted_transport<Full>(script), ScriptedRule{&script},
        SupervisorOptions{.messages_max = 1}, ScriptedApp{&script});
    script.loop.attach(*link);
    script.reach = [&](const std::string& reached) {
        if (look) look(reached);
        if (command == nullptr || link == nullptr || reached != place || --nth != 0) return;
        command->give(link);
    };
    play(script, [&] { return link.get(); });
    if (link != nullptr) prove_alive(script, *link);
    link.reset();
    script.expect(script.live == 0, "a connection outlives its link");
    return script.wrong;
}

template <bool Full>
void all_commands_in_all_places() {
    const auto reached = places([](auto look) { CHECK(staged_lifecycle<Full>(look) == ""); });
    CHECK(reached.size() == (Full ? 20 : 19));
    for (const auto& [place, times] : reached) {
        const bool is_hook = place.starts_with("on_");
        for (const auto& command : staged_commands<StagedLink<Full>>()) {
            if (command.name == std::string{"end"} && !is_hook) continue;
            for (int nth = 1; nth <= times && nth <= 6; ++nth) {
                INFO(command.name << " in " << place << ", call " << nth);
                CHECK(staged_lifecycle<Full>({}, &command, place, nth) == "");
            }
        }
    }
}

}  // namespace

TEST_CASE("Supervisor accepts every command in all user code that it runs",
          "[link][reentrancy][fault]") {
    SECTION("with connections that close gracefully") { all_commands_in_all_places<true>(); }
    SECTION("with connections that do not") { all_commands_in_all_places<false>(); }
}

TEST_CASE("Supervisor::stop in an observer of a breaker takes effect before the next decision",
          "[link][reentrancy][fault]") {
    struct BreakerAction {
        std::function<void()>* act;
        void on_breaker(const BreakerEvent&) noexcept { (*act)(); }
    };
    std::function<void()> act = [] {};
    CircuitBreaker<SteadyClock, ConsecutiveFailures, OpenFor, BreakerAction> breaker{
        ConsecutiveFailures{1}, OpenFor{300s}, SteadyClock{}, HalfOpenOptions{},
        BreakerAction{&act}};
    TransportState transport;
    Notes notes;
    Supervisor link{FakeTransport<>{transport}, Policy{Shared{breaker}}, {}, std::ref(notes)};
    act = [&] { link.stop(); };
    link.start();
    link.advance(at(0s));
    transport.link.closed({.cause = Cause::refused});
    for (int i = 0; i < 10 && link.deadline() <= at(0s); ++i) link.advance(at(0s));
    CHECK(notes.observed == Observed{"connecting", "suspended", "stopped"});
    CHECK(link.status().state == LinkState::stopped);
    CHECK(link.handle().status() == link.status());
    CHECK(transport.live == 0);
    CHECK(link.deadline() == never);
}

TEST_CASE("Supervisor::stop before a dial lets the graceful close of the last connection continue",
          "[link][reentrancy][fault]") {
    ScriptedLink script;
    TransportState transport;
    Notes notes;
    Supervisor link{FakeTransport<>{transport}, ScriptedRule{&script}, {}, std::ref(notes)};
    const auto run = [&](Duration until) {
        for (int i = 0; i < 10 && link.deadline() <= at(until); ++i) link.advance(at(until));
    };
    link.start();
    run(0s);
    transport.link.opened();
    run(0s);
    SECTION("in a rule") {
        script.reach = [&](const std::string& place) {
            if (place == "rule begins") link.stop();
        };
    }
    SECTION("in the close") {
        transport.on_close = [&] { link.stop(); };
    }
    CHECK(link.reconnect_now().granted);
    run(0s);
    CHECK(notes.observed == Observed{"connecting", "connected", "connecting", "stopped"});
    CHECK(transport.dials == 1);
    CHECK(transport.live == 1);
    run(10s);
    CHECK(transport.live == 0);
}

TEST_CASE("Supervisor::stop in a send outside of a turn is reported when the send has returned",
          "[link][reentrancy][fault]") {
    ScriptedLink script;
    TransportState transport;
    struct Ends {
        std::function<void()>* act;
        void on_state(const Transition& t) {
            if (t.to.state == LinkState::stopped) (*act)();
        }
    };
    std::function<void()> end = [] {};
    using S = Supervisor<FakeTransport<>, decltype(doubling()), Ends>;
    auto link = std::make_unique<S>(FakeTransport<>{transport}, doubling(), SupervisorOptions{},
                                    Ends{&end});
    script.loop.attach(*link);
    link->start();
    script.run(0s);
    transport.link.opened();
    script.run(0s);
    transport.on_send = [&] { link->stop(); };
    // A hook may throw.
    end = [&] { link.reset(); };
    CHECK(link->send("x") == SendResult::sent);
    CHECK(link != nullptr);
    script.run(0s);
    CHECK(link == nullptr);
    CHECK(transport.live == 0);
}

TEST_CASE("Supervisor::stop whose hook throws still ends the graceful close in time",
          "[link][reentrancy][fault]") {
    ScriptedLink script;
    TransportState transport;
    struct Throws {
        void on_state(const Transition& t) {
            if (t.to.state == LinkState::stopped) throw 1;
        }
    };
    Supervisor link{FakeTransport<>{transport}, doubling(), {}, Throws{}};
    script.loop.attach(link);
    link.start();
    script.run(0s);
    transport.link.opened();
    script.run(1min);
    CHECK_THROWS_AS(link.stop(), int);
    CHECK(transport.live == 1);
    script.run(10s);
    CHECK(transport.live == 0);
}
