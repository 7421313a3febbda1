// SPDX-License-Identifier: MIT
/// \file tests/support/sync/bridge_rig.hpp
/// Both sides of a bridge, scripted: their scenes, their recorded calls, and their failures.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <belay/call/policies.hpp>
#include <belay/sim/world.hpp>
#include <belay/sync/bridge.hpp>

namespace belay_test {

using Drawing = belay::Scene<std::string>;
using Drawings = std::map<std::string, Drawing, std::less<>>;

/// A stamp at this number of milliseconds.
inline belay::Stamp ms(std::int64_t number) {
    return {.wall = belay::WallTime{std::chrono::milliseconds{number}}};
}

/// The local side.
struct Board {
    using content_type = std::string;

    std::vector<std::string> sessions() {
        ++listed;
        if (throws) throw std::runtime_error{"sessions"};
        std::vector<std::string> names = empty;
        for (const auto& [name, scene] : scenes) names.push_back(name);
        return names;
    }
    belay::Result<std::optional<Drawing>> read(std::string_view session) {
        ++reads;
        if (throws) throw std::runtime_error{"read"};
        if (error) return error;
        const auto at = scenes.find(session);
        return at == scenes.end() ? std::nullopt : std::optional{at->second};
    }
    std::error_code apply(std::string_view session, const Drawing& scene, belay::Origin origin) {
        if (throws) throw std::runtime_error{"apply"};
        if (refuses) return refuses;
        applied.push_back(std::string{session} + "=" + scene.content + " " +
                          std::string{to_string(origin)});
        scenes.insert_or_assign(std::string{session}, scene);
        if (on_apply) on_apply(session, origin);
        return {};
    }

    Drawings scenes{};
    /// A session that is known, and has no scene.
    std::vector<std::string> empty{};
    bool throws = false;
    std::error_code error{};
    std::error_code refuses{};
    std::function<void(std::string_view, belay::Origin)> on_apply{};
    std::vector<std::string> applied{};
    int listed = 0;
    int reads = 0;
};

/// A board that stores the last common state of both sides, as a file next to the scenes would.
struct RememberingBoard : Board {
    belay::Result<std::optional<belay::part::SceneBase>> stored_base(std::string_view session) {
        ++base_reads;
        if (base_throws) throw std::runtime_error{"base"};
        if (base_error) return base_error;
        const auto at = bases.find(session);
        return at == bases.end() ? std::nullopt : std::optional{at->second};
    }
    std::error_code store_base(std::string_view session, const belay::part::SceneBase& base) {
        if (base_throws) throw std::runtime_error{"store_base"};
        if (base_error) return base_error;
        ++base_writes;
        bases.insert_or_assign(std::string{session}, base);
        return {};
    }

    std::map<std::string, belay::part::SceneBase, std::less<>> bases{};
    bool base_throws = false;
    std::error_code base_error{};
    int base_reads = 0;
    int base_writes = 0;
};

/// The remote side.
struct Server {
    using content_type = std::string;
    using Got = belay::Result<std::optional<belay::Scene<std::string>>, belay::Failure>;

    /// The behaviour of the server in a call.
    enum class Behaviour {
        works,
        fails,    ///< with `failure`
        hangs,    ///< keeps the request without an answer
        drops,    ///< drops the request
        forgets,  ///< carries out the request, and drops it
        throws
    };

    void fetch(std::string_view session, belay::Completion<Got> done) {
        fetches.push_back(std::string{session});
        if (on_fetch) on_fetch();
        const auto answer = [this, name = std::string{session}](belay::Completion<Got> to) {
            const auto at = scenes.find(name);
            to(at == scenes.end() ? Got{std::optional<Drawing>{}}
                                  : Got{std::optional<Drawing>{at->second}});
        };
        treat(
            session, std::move(done), answer,
            [](belay::Completion<Got> to, const auto& why) { to(Got::failure(why)); },
            kept_fetches);
    }
    void push(std::string_view session, const Drawing& scene,
              belay::Completion<belay::Failure> done) {
        pushes.push_back(std::string{session} + "=" + scene.content);
        if (on_push) on_push();
        const auto answer = [this, name = std::string{session},
                             scene](belay::Completion<belay::Failure> to) {
            const auto had = scenes.find(name);
            const belay::Stamp before = had == scenes.end() ? belay::Stamp{} : had->second.stamp;
            if (compares && scene.saw && *scene.saw != before) {
                ++outrun;
                return to(belay::Failure::from(belay::SyncErrc::scene_changed));
            }
            std::optional<Drawing> taken = scene;
            if (stores) taken = stores(had == scenes.end() ? nullptr : &had->second, scene);
            if (taken && restamp) taken->stamp = restamp();
            if (taken) scenes.insert_or_assign(name, *taken);
            to(belay::Failure{});
        };
        treat(
            session, std::move(done), answer,
            [](belay::Completion<belay::Failure> to, const auto& why) { to(why); }, kept_pushes);
    }

    Drawings scenes{};
    Behaviour behaviour = Behaviour::works;
    /// The behaviour in one session, if it has its own.
    std::map<std::string, Behaviour, std::less<>> moods{};
    belay::Failure failure{belay::Cause::lost};
    std::function<belay::Stamp()> restamp{};
    /// Returns the scene to store for a push; none: the stored scene stays.
    std::function<std::optional<Drawing>(const Drawing* had, const Drawing& pushed)> stores{};
    /// Rejects a push that replaces another scene than the stored one.
    bool compares = false;
    int outrun = 0;
    /// Called before a push is handled.
    std::function<void()> on_push{};
    std::function<void()> on_fetch{};
    /// Answers arrive after this time; at once without a host.
    belay::sim::Host* network = nullptr;
    std::function<belay::Duration()> latency{};
    std::vector<std::string> fetches{};
    std::vector<std::string> pushes{};
    std::vector<belay::Completion<Got>> kept_fetches{};
    std::vector<belay::Completion<belay::Failure>> kept_pushes{};

private:
    template <class V, class Answer, class Fail>
    void treat(std::string_view session, belay::Completion<V> done, Answer answer, Fail fail,
               std::vector<belay::Completion<V>>& kept) {
        const auto own = moods.find(session);
        const Behaviour now = own != moods.end() ? own->second : behaviour;
        if (now == Behaviour::throws) throw std::runtime_error{"server"};
        if (now == Behaviour::hangs) return kept.push_back(std::move(done));
        auto does = [now, answer, fail, why = failure](belay::Completion<V> to) mutable {
            if (now == Behaviour::works) answer(std::move(to));
            if (now == Behaviour::fails) fail(std::move(to), why);
            if (now == Behaviour::forgets) {
                answer(belay::Completion<V>{[](const std::optional<V>&) noexcept {}});
            }
        };
        if (network == nullptr) return does(std::move(done));
        network->after(latency ? latency() : belay::Duration{},
                       [does, to = std::move(done)]() mutable { does(std::move(to)); });
    }
};

/// A board whose scenes can be deleted. It lists a session as long as it has a base of it.
struct DeletingBoard : RememberingBoard {
    std::vector<std::string> sessions() {
        std::vector<std::string> names = RememberingBoard::sessions();
        for (const auto& [name, base] : bases) {
            if (!scenes.contains(name) && !base.removed) names.push_back(name);
        }
        return names;
    }
    std::error_code remove_scene(std::string_view session, belay::Origin) {
        if (refuses) return refuses;
        applied.push_back(std::string{session} + " removed");
        if (const auto at = scenes.find(session); at != scenes.end()) scenes.erase(at);
        return {};
    }
};

/// A server that stores tombstones.
struct DeletingServer : Server {
    void remove_scene(std::string_view session, const belay::part::SceneRemoval& removal,
                      belay::Completion<belay::Failure> done) {
        Drawing tombstone{"", removal.stamp, true, removal.saw};
        push(session, tombstone, std::move(done));
    }
};

/// Records the calls of its hooks.
struct BridgeRecorder {
    std::vector<std::string>* lines;

    void on_state(const belay::Connectivity& view) {
        using Kind = belay::Connectivity::Kind;
        lines->push_back(view.kind == Kind::connected ? "connected"
                         : view.kind == Kind::disconnected
                             ? "disconnected " + std::string{to_string(view.reason.cause)}
                             : "reconnecting " + std::to_string(view.attempt));
    }
    void on_pushed(std::string_view session, const belay::Stamp&) {
        lines->push_back("pushed " + std::string{session});
    }
    void on_conflict(const belay::BridgeConflict<std::string>& c) {
        if (c.open) {
            return lines->push_back("open conflict " + std::string{c.session} + " here " +
                                    c.local.content + " there " + c.remote.content);
        }
        lines->push_back("conflict " + std::string{c.session} + " here " + c.local.content +
                         " there " + c.remote.content + " kept " + std::string{to_string(c.kept)});
    }
    void on_error(const belay::BridgeError& error) {
        lines->push_back("error " + std::string{error.session} + " " +
                         std::string{to_string(error.step)} + " " +
                         std::string{to_string(error.failure.cause)});
    }
};

/// A bridge between the two sides, in a world of its own.
template <class Policy = decltype(belay::policies::bridge()), class TheBoard = Board,
          class TheServer = Server>
struct BridgeRig {
    using Machine = belay::Bridge<std::reference_wrapper<TheBoard>,
                                  std::reference_wrapper<TheServer>, Policy, BridgeRecorder>;

    explicit BridgeRig(const belay::BridgeOptions& options = {},
                       Policy policy = belay::policies::bridge(), belay::Seed seed = belay::Seed{7})
        : world{seed}, host{world.host("here")} {
        restart(options, policy);
    }

    ~BridgeRig() {
        // The bridge may still have a request to this server.
        bridge.reset();
    }
    BridgeRig(const BridgeRig&) = delete;
    BridgeRig& operator=(const BridgeRig&) = delete;

    void start() { bridge->start(); }
    /// The program ends, and another one begins, with the same board.
    void restart(const belay::BridgeOptions& options = {},
                 Policy policy = belay::policies::bridge()) {
        bridge.reset();
        bridge.emplace(std::ref(board), std::ref(server), policy, options,
                       BridgeRecorder{&reported});
        host.attach(*bridge);
    }
    /// A local edit.
    void edit(const std::string& session, const std::string& content, std::int64_t at) {
        board.scenes.insert_or_assign(session, Drawing{content, ms(at)});
        bridge->changed(session);
    }
    void run_for(belay::Duration d) { world.run_for(d); }
    [[nodiscard]] belay::Connectivity::Kind kind() const { return bridge->connectivity().kind; }
    /// The number of recorded lines with this beginning.
    [[nodiscard]] std::size_t count(std::string_view beginning) const {
        std::size_t n = 0;
        for (const std::string& line : reported)
            if (line.starts_with(beginning)) ++n;
        return n;
    }

    belay::sim::World world;
    belay::sim::Host& host;
    TheBoard board{};
    TheServer server{};
    std::vector<std::string> reported{};
    std::optional<Machine> bridge{};
};
using RememberingRig = BridgeRig<decltype(belay::policies::bridge()), RememberingBoard>;
using DeletingRig = BridgeRig<decltype(belay::policies::bridge()), DeletingBoard, DeletingServer>;

}  // namespace belay_test
