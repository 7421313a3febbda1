// SPDX-License-Identifier: MIT
/// \file tests/support/link/stage.hpp
/// Stage: a link all of whose user code is the test's, and each place where it runs has a name.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include <belay/core/manual_clock.hpp>
#include <belay/drive/manual_loop.hpp>
#include <belay/link/heartbeat.hpp>
#include <belay/link/supervisor.hpp>
#include <belay/link/validated.hpp>
#include <belay/link/with_token.hpp>

#include "support/failing_new.hpp"
#include "support/link/link_states.hpp"

namespace belay_test {

/// Calls `reach(place)` wherever user code runs; plays the peer; and holds time.
struct Stage {
    using Lines = std::vector<std::string>;

    std::function<void(const std::string& place)> reach{};
    std::vector<belay::Link<std::string>> links{};  ///< of all dials
    int live = 0;                                   ///< connections that exist
    belay::SendResult answer = belay::SendResult::sent;
    belay::LinkState told = belay::LinkState::stopped;
    std::string wrong{};  ///< the first rule that was broken
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
    /// Runs what is due until then.
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
    /// What the peer of each connection that lives says.
    template <class F>
    void peers(F f) {
        const auto all = links;
        for (const belay::Link<std::string>& link : all) {
            if (link.alive()) f(link);
        }
        run({});
    }
    /// All that are dialled open, and pass their checks.
    void open() {
        run({});
        peers([](const auto& link) { link.opened(); });
        peers([](const auto& link) { static_cast<void>(link.received("yes")); });
    }
};

/// Without close(); `Full` adds it.
template <bool Full>
class StageConnection;

template <>
class StageConnection<false> {
public:
    StageConnection(Stage& stage, const belay::Link<std::string>& link) : stage_{stage} {
        const SpareMemory spare;
        stage.links.push_back(link);
        ++stage.live;
        stage.at("open");
    }
    StageConnection(const StageConnection&) = delete;
    StageConnection& operator=(const StageConnection&) = delete;
    ~StageConnection() { --stage_.live; }
    belay::SendResult send(const std::string&) noexcept {
        const SpareMemory spare;
        Stage& stage = stage_;
        const int before = stage.live;
        stage.at("send");
        stage.expect(stage.live >= before || before > 1, "destroyed in its send");
        return stage.answer;
    }
    void ping() noexcept { stage_.at("ping"); }
    void resume_reading() noexcept { stage_.at("resume_reading"); }

protected:
    Stage& stage_;
};
template <>
class StageConnection<true> : public StageConnection<false> {
public:
    using StageConnection<false>::StageConnection;
    void close(const belay::Failure&) noexcept { stage_.at("close"); }
};

template <bool Full>
struct StageTransport {
    using message_type = std::string;
    StageConnection<Full> open(const belay::Link<std::string>& link, const int&) {
        return {*stage, link};
    }
    Stage* stage;
};

struct StageTokens {
    using token_type = int;
    void operator()(belay::Completion<int> done) {
        stage->at("token");
        done(1);
    }
    void credentials(int) { stage->at("credentials"); }
    Stage* stage;
};

struct StageCheck {
    belay::Verdict begin(const auto& say) {
        stage->at("check begins");
        static_cast<void>(say("who?"));
        return belay::Verdict::pending();
    }
    belay::Verdict judge(const std::string& answer, const auto&) {
        stage->at("check judges");
        return answer == "yes" ? belay::Verdict::passed() : belay::Verdict::pending();
    }
    Stage* stage;
};

struct StageRule {
    static constexpr std::string_view name = "stage";
    void begin(belay::Turn&) noexcept { stage->at("rule begins"); }
    belay::Advice failed(const belay::Failure&, belay::Turn& turn) noexcept {
        stage->at("rule: failed");
        return belay::Advice::wait_at_least(belay::after(turn.now, std::chrono::seconds{1}));
    }
    belay::Advice lost(const belay::Failure&, belay::Turn& turn) noexcept {
        stage->at("rule: lost");
        return belay::Advice::wait_at_least(belay::after(turn.now, std::chrono::seconds{1}));
    }
    void succeeded(belay::Turn&) noexcept { stage->at("rule: succeeded"); }
    void abandoned(belay::Turn&) noexcept { stage->at("rule: abandoned"); }
    void reset() noexcept { stage->at("rule: reset"); }
    Stage* stage;
};

/// Hears all of one link.
struct StageApp {
    void on_state(const belay::Transition& t) {
        const SpareMemory spare;
        Stage& s = *stage;
        s.expect(t.from == s.told, "the path of states has a gap");
        s.expect(is_legal(t.from, t.to.state), "a transition that is not in the table");
        s.told = t.to.state;
        s.at("on_state");
    }
    void on_message(const std::string&, belay::Lane) { stage->at("on_message"); }
    void on_writable(belay::Lane) { stage->at("on_writable"); }
    void on_unsent(const std::string&, belay::Lane) { stage->at("on_unsent"); }
    void on_round_trip(belay::Duration, belay::Lane) { stage->at("on_round_trip"); }
    Stage* stage;
};

template <bool Full>
auto stage_transport(Stage& stage) {
    return belay::Heartbeat{
        belay::Validated{belay::WithToken{StageTransport<Full>{&stage}, StageTokens{&stage}},
                         StageCheck{&stage}},
        {.every = std::chrono::seconds{10}, .dead_after = std::chrono::seconds{25}}};
}

/// A life that reaches every place; `link()` is null once the link is gone.
template <class F>
void play(Stage& stage, F&& link) {
    using namespace belay;
    using namespace std::chrono_literals;
    const auto step = [&](auto&& f) {
        if (auto* const l = link()) f(*l);
        stage.run({});
        if (auto* const l = link()) {
            stage.expect(stage.told == l->status().state, "was not told of the last state");
        }
    };
    step([](auto& l) { l.start(); });
    stage.open();
    stage.peers([](const auto& peer) { static_cast<void>(peer.received("hello")); });
    step([](auto& l) { static_cast<void>(l.send("sent")); });
    step([](auto& l) { static_cast<void>(l.handle().post("posted")); });
    stage.answer = SendResult::busy;
    step([](auto& l) { static_cast<void>(l.send("too much")); });
    stage.peers([](const auto& peer) { peer.writable(); });
    stage.answer = SendResult::down;
    step([](auto& l) { static_cast<void>(l.handle().post("unsent")); });
    stage.answer = SendResult::sent;
    step([](auto& l) { l.probe_now(5s); });
    stage.peers([](const auto& peer) { peer.pong(); });
    stage.peers([](const auto& peer) {
        static_cast<void>(peer.received("1"));
        static_cast<void>(peer.received("2"));
    });
    step([](auto& l) { l.credentials(1); });
    step([](auto& l) { static_cast<void>(l.reconnect_now(true)); });
    stage.open();
    stage.run(9s);
    stage.peers([](const auto& peer) { peer.pong(); });
    stage.run(9s);  // stable
    stage.peers([](const auto& peer) { peer.closed({.cause = Cause::lost}); });
    stage.run(2s);
    stage.peers([](const auto& peer) { peer.closed({.cause = Cause::refused}); });
    stage.run(2s);
    stage.open();
    step([](auto& l) { l.shut(Gate::paused); });
    step([](auto& l) { l.open(Gate::paused); });
    stage.run(2s);
    stage.open();
    step([](auto& l) { l.drain(1s); });
    stage.run(2s);
    step([](auto& l) { l.start(); });
    stage.open();
    step([](auto& l) { l.report_unhealthy(); });
    stage.run(2s);
    stage.open();
    step([](auto& l) { l.stop(); });
    stage.run(10s);
}

/// Whether a link that has seen anything still does all that it is there for.
template <class L>
void prove_alive(Stage& stage, L& link) {
    using namespace belay;
    stage.reach = {};
    stage.answer = SendResult::sent;
    link.open(Gate::paused);
    stage.run({});
    link.stop();
    stage.run({});
    stage.expect(link.status().state == LinkState::stopped, "does not stop");
    link.start();
    for (int i = 0; i < 10 && link.status().state != LinkState::connected; ++i) {
        stage.open();
        stage.run(std::chrono::seconds{1});
    }
    stage.expect(link.status().state == LinkState::connected, "does not connect any more");
    stage.expect(stage.told == LinkState::connected, "does not say that it has connected");
    stage.expect(link.send("x") == SendResult::sent, "does not send any more");
    link.stop();
    stage.expect(stage.told == LinkState::stopped, "does not say at once that it has stopped");
    stage.run(std::chrono::seconds{10});
}

/// How often a life reaches each place.
template <class F>
std::map<std::string, int> places(F&& live) {
    std::map<std::string, int> count;
    live([&](const std::string& place) { ++count[place]; });
    return count;
}

}  // namespace belay_test
