// SPDX-License-Identifier: MIT
/// \file tests/support/sync/bridge_fleet.hpp
/// BridgeFleet: a fleet of bridges and of plain services, whose servers fail in the ways of a
/// network.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <belay/fleet/fleet.hpp>
#include <belay/sync/bridge_service.hpp>

#include "support/catch.hpp"
#include "support/sync/bridge_rig.hpp"

namespace belay_test {

using namespace std::chrono_literals;

/// A server at the other end of a network, with its own state. A call takes `latency` in each
/// direction.
struct FarServer {
    using content_type = std::string;
    using Got = belay::Result<std::optional<belay::Scene<std::string>>, belay::Failure>;
    enum class Reach { up, black_hole, refuses, frozen, overloaded, unauthorized };

    void fetch(std::string_view session, belay::Completion<Got> done) {
        ++calls;
        if (on_call) on_call();
        request(
            [this, name = std::string{session}]() -> Got {
                const auto at = scenes.find(name);
                return at == scenes.end() ? Got{std::optional<Drawing>{}}
                                          : Got{std::optional<Drawing>{at->second}};
            },
            [](const belay::Failure& why) { return Got::failure(why); }, std::string{session},
            std::move(done));
    }
    void push(std::string_view session, const Drawing& scene,
              belay::Completion<belay::Failure> done) {
        ++calls;
        if (on_call) on_call();
        request(
            [this, name = std::string{session}, scene] {
                Drawing& now = scenes[name];
                if (now.stamp < scene.stamp || now.content.empty()) now = scene;
                return belay::Failure{};
            },
            [](const belay::Failure& why) { return why; }, std::string{session}, std::move(done));
    }
    void become(Reach now) {
        reach = now;
        if (now != Reach::up) return;
        for (auto& one : std::exchange(waiting, {})) one();
    }
    [[nodiscard]] Reach reach_of(const std::string& session) const {
        return session == slow_session ? Reach::frozen : reach;
    }

    belay::sim::Host* host = nullptr;
    belay::Duration latency = 5ms;
    Reach reach = Reach::up;
    Drawings scenes{};
    std::string slow_session{};
    std::function<void()> on_call{};
    int calls = 0;
    int under_way = 0;
    int most_under_way = 0;
    std::deque<std::function<void()>> waiting{};

private:
    template <class V, class Do, class Fail>
    void request(Do act, Fail fail, const std::string& session, belay::Completion<V> completion) {
        most_under_way = std::max(most_under_way, ++under_way);
        // The state is shared, because std::function must be copied.
        auto done = std::make_shared<belay::Completion<V>>(std::move(completion));
        host->after(latency,
                    [this, act, fail, done, session] { serve<V>(act, fail, session, done); });
    }
    template <class V, class Do, class Fail>
    void serve(Do act, Fail fail, const std::string& session,
               const std::shared_ptr<belay::Completion<V>>& done) {
        switch (reach_of(session)) {
            case Reach::up:
                return reply(act(), done);
            case Reach::black_hole:
                return lose(done);
            case Reach::refuses:
                return reply(
                    fail(belay::Failure::from(std::make_error_code(std::errc::connection_refused))),
                    done);
            case Reach::frozen:
                return waiting.push_back(
                    [this, act, fail, done, session] { serve<V>(act, fail, session, done); });
            case Reach::overloaded:
                return reply(fail({.cause = belay::Cause::overloaded}), done);
            case Reach::unauthorized:
                return reply(fail({.cause = belay::Cause::unauthorized}), done);
        }
    }
    template <class V>
    void reply(V value, const std::shared_ptr<belay::Completion<V>>& done) {
        host->after(latency, [this, value, done]() mutable {
            if (reach == Reach::black_hole) return lose(done);
            --under_way;
            (*done)(std::move(value));
        });
    }
    /// A server that never answers.
    template <class V>
    void lose(const std::shared_ptr<belay::Completion<V>>& done) {
        lost.push_back(done);
    }
    std::vector<std::shared_ptr<void>> lost{};
};

/// A service whose connection opens at once, unless its peer is down.
struct Plain {
    using message_type = std::string;
    struct State {
        std::vector<belay::Link<std::string>> links{};
        bool up = true;
        bool hangs = false;
    };
    struct Connection {
        [[nodiscard]] static belay::SendResult send(const std::string&) noexcept {
            return belay::SendResult::sent;
        }
    };
    [[nodiscard]] Connection open(const belay::Link<std::string>& link) const {
        state->links.push_back(link);
        if (state->hangs) return {};
        if (state->up) {
            link.opened();
        } else {
            link.closed({.cause = belay::Cause::lost});
        }
        return {};
    }
    void lose() const {
        state->up = false;
        if (!state->links.empty()) state->links.back().closed({.cause = belay::Cause::lost});
    }
    State* state;
};

/// The events of a fleet: "a connected".
struct BridgeFleetNotes {
    std::vector<std::string>* all;
    std::function<void(std::string_view)> then = {};
    int suspicions = 0;
    void on_service(std::string_view name, const belay::Transition& t) {
        all->push_back(std::string{name} + " " + std::string{to_string(t.to.state)});
        if (then) then(name);
    }
    void on_network_suspect(const belay::NetworkSuspect&) { ++suspicions; }
};

/// A recorder that runs a function in each hook.
struct BridgeHookNotes : BridgeRecorder {
    std::function<void(const std::string&)>* in;
    void reached(const char* hook) const {
        if (*in) (*in)(hook);
    }
    void on_state(const belay::Connectivity& view) {
        BridgeRecorder::on_state(view), reached("on_state");
    }
    void on_pushed(std::string_view session, const belay::Stamp& stamp) {
        BridgeRecorder::on_pushed(session, stamp), reached("on_pushed");
    }
    void on_error(const belay::BridgeError& error) {
        BridgeRecorder::on_error(error), reached("on_error");
    }
};

/// A fleet in a world of its own, with bridges "a", "b" … and plain services "p0", "p1" …
struct BridgeFleet {
    using Policy = decltype(belay::policies::bridge());
    using S = belay::Bridge<std::reference_wrapper<Board>, std::reference_wrapper<FarServer>,
                            Policy, BridgeHookNotes>::Service;
    using F = belay::Fleet<BridgeFleetNotes>;

    struct One {
        Board board{};
        FarServer server{};
        std::vector<std::string> lines{};
        std::function<void(const std::string&)> in{};
        S* bridge = nullptr;
    };

    explicit BridgeFleet(int bridges, int services = 0, belay::FleetOptions options = {},
                         const belay::BridgeOptions& each = {}, belay::Seed seed = belay::Seed{3})
        : world{seed}, host{world.host("here")} {
        fleet = std::make_unique<F>(options, BridgeFleetNotes{&changes});
        host.attach(*fleet);
        for (int i = 0; i < bridges; ++i) add(std::string(1, static_cast<char>('a' + i)), each);
        for (int i = 0; i < services; ++i) {
            plain.emplace_back();
            fleet->add("p" + std::to_string(i), Plain{&plain.back()},
                       belay::Policy{belay::Backoff{belay::FullJitter{}, belay::Cap{5s}, 500ms},
                                     belay::ResetWhenStable::by_age(10s)});
        }
    }
    ~BridgeFleet() { fleet.reset(); }
    BridgeFleet(const BridgeFleet&) = delete;
    BridgeFleet& operator=(const BridgeFleet&) = delete;

    One& add(const std::string& name, const belay::BridgeOptions& each) {
        One& one = all.emplace_back();
        one.server.host = &host;
        one.board.scenes["s"] = Drawing{"old", ms(1)};
        again(one, name, each);
        return one;
    }
    void again(One& one, const std::string& name, const belay::BridgeOptions& each) {
        one.bridge =
            &fleet->add(name, std::ref(one.board), std::ref(one.server), belay::policies::bridge(),
                        each, BridgeHookNotes{{&one.lines}, &one.in});
    }
    void start() { fleet->start(); }
    void run_for(belay::Duration d) { world.run_for(d); }
    One& at(int i) { return all[static_cast<std::size_t>(i)]; }
    S& bridge(int i) { return *at(i).bridge; }
    [[nodiscard]] belay::LinkState state(int i) { return bridge(i).status().state; }
    void edit(int i, const std::string& content, const std::string& session = "s") {
        const auto now = belay::elapsed(belay::Instant{}, world.now());
        at(i).board.scenes.insert_or_assign(session,
                                            Drawing{content, {.wall = belay::WallTime{now + 1ms}}});
        bridge(i).changed(session);
    }
    [[nodiscard]] std::string there(int i, const std::string& session = "s") {
        return at(i).server.scenes[session].content;
    }
    void become(FarServer::Reach reach) {
        for (One& one : all) one.server.become(reach);
    }
    [[nodiscard]] std::size_t count(int i, std::string_view beginning) {
        std::size_t n = 0;
        for (const std::string& line : at(i).lines) n += line.starts_with(beginning) ? 1U : 0U;
        return n;
    }

    belay::sim::World world;
    belay::sim::Host& host;
    std::deque<One> all{};
    std::deque<Plain::State> plain{};
    std::vector<std::string> changes{};
    std::unique_ptr<F> fleet{};
};

}  // namespace belay_test
