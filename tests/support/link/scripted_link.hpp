// SPDX-License-Identifier: MIT
/// \file tests/support/link/scripted_link.hpp
/// ScriptedLink: a link with user code of the test in every place. Each place has a name.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include <belay/core/clocks.hpp>
#include <belay/drive/manual_loop.hpp>
#include <belay/link/heartbeat.hpp>
#include <belay/link/supervisor.hpp>
#include <belay/link/validated.hpp>
#include <belay/link/with_token.hpp>

#include "support/failing_new.hpp"
#include "support/link/link_transitions.hpp"

namespace belay_test {

/// Calls `reach(place)` wherever user code runs, simulates the peer, and controls the time.
struct ScriptedLink {
    using Lines = std::vector<std::string>;

    std::function<void(const std::string& place)> reach{};
    std::vector<belay::Link<std::string>> links{};  ///< the links of all dials
    int live = 0;                                   ///< connections that exist
    belay::SendResult answer = belay::SendResult::sent;
    belay::LinkState reported = belay::LinkState::stopped;
    std::string wrong{};  ///< the first rule that was violated
    belay::ManualClock clock{belay::Instant{std::chrono::hours{1}}};
    belay::ManualLoop<belay::ManualClock::View> loop{clock.view()};

    std::function<belay::Instant()> poll = [this] { return loop.poll(); };

    void at(const char* place) {
        const SpareMemory spare;
        if (reach) reach(place);
    }
    void expect(bool holds, const std::string& what) {
        if (!holds && wrong.empty()) wrong = what;
    }
    /// Runs each turn that is due within `d`.
    void run(belay::Duration d) {
        const belay::Instant until = belay::after(clock.now(), d);
        for (int polls = 0;;) {
            const belay::Instant next = poll();
            if (++polls > 10'000) return expect(false, "never at rest");
            if (next > until) break;
            if (next > clock.now()) clock.set(next);
        }
        clock.set(until);
    }
    /// Calls `f` with the link of each open connection, in the place of its peer.
    template <class F>
    void peers(F f) {
        const auto all = links;
        for (const belay::Link<std::string>& link : all) {
            if (link.alive()) f(link);
        }
        run({});
    }
    /// Opens all dialled connections, which pass their checks.
    void open() {
        run({});
        peers([](const auto& link) { link.opened(); });
        peers([](const auto& link) { static_cast<void>(link.received("yes")); });
    }
};

/// A connection without close(); `Full` adds it.
template <bool Full>
class ScriptedConnection;

template <>
class ScriptedConnection<false> {
public:
    ScriptedConnection(ScriptedLink& script, const belay::Link<std::string>& link)
        : script_{script} {
        const SpareMemory spare;
        script.links.push_back(link);
        ++script.live;
        script.at("open");
    }
    ScriptedConnection(const ScriptedConnection&) = delete;
    ScriptedConnection& operator=(const ScriptedConnection&) = delete;
    ~ScriptedConnection() { --script_.live; }
    belay::SendResult send(const std::string&) noexcept {
        const SpareMemory spare;
        ScriptedLink& script = script_;
        const int before = script.live;
        script.at("send");
        script.expect(script.live >= before || before > 1, "destroyed in its send");
        return script.answer;
    }
    void ping() noexcept { script_.at("ping"); }
    void resume_reading() noexcept { script_.at("resume_reading"); }

protected:
    ScriptedLink& script_;
};
template <>
class ScriptedConnection<true> : public ScriptedConnection<false> {
public:
    using ScriptedConnection<false>::ScriptedConnection;
    void close(const belay::Failure&) noexcept { script_.at("close"); }
};

template <bool Full>
struct ScriptedTransport {
    using message_type = std::string;
    ScriptedConnection<Full> open(const belay::Link<std::string>& link, const int&) {
        return {*script, link};
    }
    ScriptedLink* script;
};

struct ScriptedTokens {
    using token_type = int;
    void operator()(belay::Completion<int> done) {
        script->at("token");
        done(1);
    }
    void credentials(int) { script->at("credentials"); }
    ScriptedLink* script;
};

struct ScriptedCheck {
    belay::Verdict begin(const auto& say) {
        script->at("check begins");
        static_cast<void>(say("who?"));
        return belay::Verdict::pending();
    }
    belay::Verdict judge(const std::string& answer, const auto&) {
        script->at("check judges");
        return answer == "yes" ? belay::Verdict::passed() : belay::Verdict::pending();
    }
    ScriptedLink* script;
};

struct ScriptedRule {
    static constexpr std::string_view name = "script";
    void begin(belay::Turn&) noexcept { script->at("rule begins"); }
    belay::Advice failed(const belay::Failure&, belay::Turn& turn) noexcept {
        script->at("rule: failed");
        return belay::Advice::wait_at_least(belay::after(turn.now, std::chrono::seconds{1}));
    }
    belay::Advice lost(const belay::Failure&, belay::Turn& turn) noexcept {
        script->at("rule: lost");
        return belay::Advice::wait_at_least(belay::after(turn.now, std::chrono::seconds{1}));
    }
    void succeeded(belay::Turn&) noexcept { script->at("rule: succeeded"); }
    void abandoned(belay::Turn&) noexcept { script->at("rule: abandoned"); }
    void reset() noexcept { script->at("rule: reset"); }
    ScriptedLink* script;
};

/// Records all events of one link.
struct ScriptedApp {
    void on_state(const belay::Transition& t) {
        const SpareMemory spare;
        ScriptedLink& s = *script;
        s.expect(t.from == s.reported, "the path of states has a gap");
        s.expect(is_legal(t.from, t.to.state), "a transition that is not in the table");
        s.reported = t.to.state;
        s.at("on_state");
    }
    void on_message(const std::string&, belay::Lane) { script->at("on_message"); }
    void on_writable(belay::Lane) { script->at("on_writable"); }
    void on_unsent(const std::string&, belay::Lane) { script->at("on_unsent"); }
    void on_round_trip(belay::Duration, belay::Lane) { script->at("on_round_trip"); }
    ScriptedLink* script;
};

template <bool Full>
auto scripted_transport(ScriptedLink& script) {
    return belay::Heartbeat{
        belay::Validated{
            belay::WithToken{ScriptedTransport<Full>{&script}, ScriptedTokens{&script}},
            ScriptedCheck{&script}},
        {.every = std::chrono::seconds{10}, .dead_after = std::chrono::seconds{25}}};
}

/// A scenario that reaches every place; `link()` is null once the link is destroyed.
template <class F>
void play(ScriptedLink& script, F&& link) {
    using namespace belay;
    using namespace std::chrono_literals;
    const auto step = [&](auto&& f) {
        if (auto* const l = link()) f(*l);
        script.run({});
        if (auto* const l = link()) {
            script.expect(script.reported == l->status().state, "was not told of the last state");
        }
    };
    step([](auto& l) { l.start(); });
    script.open();
    script.peers([](const auto& peer) { static_cast<void>(peer.received("hello")); });
    step([](auto& l) { static_cast<void>(l.send("sent")); });
    step([](auto& l) { static_cast<void>(l.handle().post("posted")); });
    script.answer = SendResult::busy;
    step([](auto& l) { static_cast<void>(l.send("too much")); });
    script.peers([](const auto& peer) { peer.writable(); });
    script.answer = SendResult::down;
    step([](auto& l) { static_cast<void>(l.handle().post("unsent")); });
    script.answer = SendResult::sent;
    step([](auto& l) { l.probe_now(5s); });
    script.peers([](const auto& peer) { peer.pong(); });
    script.peers([](const auto& peer) {
        static_cast<void>(peer.received("1"));
        static_cast<void>(peer.received("2"));
    });
    step([](auto& l) { l.credentials(1); });
    step([](auto& l) { static_cast<void>(l.reconnect_now(true)); });
    script.open();
    script.run(9s);
    script.peers([](const auto& peer) { peer.pong(); });
    script.run(9s);  // stable
    script.peers([](const auto& peer) { peer.closed({.cause = Cause::lost}); });
    script.run(2s);
    script.peers([](const auto& peer) { peer.closed({.cause = Cause::refused}); });
    script.run(2s);
    script.open();
    step([](auto& l) { l.shut(Gate::paused); });
    step([](auto& l) { l.open(Gate::paused); });
    script.run(2s);
    script.open();
    step([](auto& l) { l.drain(1s); });
    script.run(2s);
    step([](auto& l) { l.start(); });
    script.open();
    step([](auto& l) { l.report_unhealthy(); });
    script.run(2s);
    script.open();
    step([](auto& l) { l.stop(); });
    script.run(10s);
}

/// Checks that a link still works after any history.
template <class L>
void prove_alive(ScriptedLink& script, L& link) {
    using namespace belay;
    script.reach = {};
    script.answer = SendResult::sent;
    link.open(Gate::paused);
    script.run({});
    link.stop();
    script.run({});
    script.expect(link.status().state == LinkState::stopped, "does not stop");
    link.start();
    for (int i = 0; i < 10 && link.status().state != LinkState::connected; ++i) {
        script.open();
        script.run(std::chrono::seconds{1});
    }
    script.expect(link.status().state == LinkState::connected, "does not connect any more");
    script.expect(script.reported == LinkState::connected, "does not say that it has connected");
    script.expect(link.send("x") == SendResult::sent, "does not send any more");
    link.stop();
    script.expect(script.reported == LinkState::stopped,
                  "does not say at once that it has stopped");
    script.run(std::chrono::seconds{10});
}

/// Returns how often one scenario reaches each place.
template <class F>
std::map<std::string, int> places(F&& live) {
    std::map<std::string, int> count;
    live([&](const std::string& place) { ++count[place]; });
    return count;
}

}  // namespace belay_test
