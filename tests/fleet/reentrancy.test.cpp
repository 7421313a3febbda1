// SPDX-License-Identifier: MIT
// Goal: services may be added and removed, and pools grow and shrink, in all user code that they
// run. Method: every command, in every place, at its first calls. AddressSanitizer detects wrong
// accesses.
#include <belay/fleet/fleet.hpp>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <belay/fleet/pool.hpp>

#include "support/catch.hpp"
#include "support/link/fake_transport.hpp"
#include "support/link/scripted_link.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// Has the hooks of the script's service.
struct ScriptedWatch {
    void on_service(std::string_view name, const Transition&) {
        if (name == "own") script->at("on_service");
    }
    ScriptedLink* script;
};

/// A fleet whose service `own` is the script's.
template <bool Full>
struct ScriptedFleet {
    using F = Fleet<ScriptedWatch>;
    using Own = F::Service<decltype(scripted_transport<Full>(std::declval<ScriptedLink&>())),
                           ScriptedRule, ScriptedApp>;

    ScriptedFleet() : fleet{std::make_unique<F>(ScriptedWatch{&script})} {
        script.loop.attach(*fleet);
        fleet->add("other", FakeTransport<>{transport}, ScriptedRule{&quiet});
        ServiceOptions options{};
        options.supervisor.messages_max = 1;
        own = &fleet->add("own", scripted_transport<Full>(script), ScriptedRule{&script},
                          std::move(options), ScriptedApp{&script});
    }
    void remove_own() {
        own = nullptr;
        script.expect(fleet->remove("own"), "own is not there");
        script.expect(!fleet->contains("own"), "own is still there");
    }

    ScriptedLink quiet;
    ScriptedLink script;
    TransportState transport;
    std::unique_ptr<F> fleet;
    Own* own = nullptr;
    int added = 0;
};

template <class F>
struct FleetCommand {
    const char* name;
    std::function<void(F&)> give;
};
template <class F>
std::vector<FleetCommand<F>> fleet_commands() {
    return {
        {"remove", [](F& f) { f.remove_own(); }},
        {"remove another", [](F& f) { f.fleet->remove("other"); }},
        {"stop, remove", [](F& f) { f.own->stop(), f.remove_own(); }},
        {"add",
         [](F& f) {
             f.fleet->add(std::to_string(++f.added), FakeTransport<>{f.transport},
                          ScriptedRule{&f.quiet});
             f.fleet->start();
         }},
        {"reconnect", [](F& f) { static_cast<void>(f.fleet->reconnect_now("own", true)); }},
        {"reconnect all", [](F& f) { f.fleet->reconnect_all(true); }},
        {"unhealthy", [](F& f) { f.fleet->report_unhealthy("own"); }},
        {"status", [](F& f) { static_cast<void>(f.fleet->status()); }},
        {"stop", [](F& f) { f.own->stop(); }},
        {"drain", [](F& f) { f.own->drain(1s); }},
        {"end",
         [](F& f) {
             f.own = nullptr;
             f.fleet.reset();
         }},
    };
}

template <bool Full>
std::string fleet_lifecycle(const std::function<void(const std::string&)>& look,
                            const FleetCommand<ScriptedFleet<Full>>* command = nullptr,
                            const std::string& place = {}, int nth = 0) {
    ScriptedFleet<Full> f;
    f.script.reach = [&](const std::string& reached) {
        if (look) look(reached);
        const bool is_hook = reached.starts_with("on_");
        f.script.expect(!is_hook || f.own != nullptr || reached == place, "told after its end");
        if (command == nullptr || f.own == nullptr || reached != place || --nth != 0) return;
        command->give(f);
    };
    play(f.script, [&] { return f.own; });
    if (f.own != nullptr) prove_alive(f.script, *f.own);
    f.script.run(10s);
    if (f.own == nullptr) f.script.expect(f.script.live == 0, "a connection outlives its service");
    f.fleet.reset();
    f.script.expect(f.script.live == 0 && f.transport.live == 0, "a connection outlives the fleet");
    return f.script.wrong;
}

template <bool Full>
void all_fleet_commands_in_all_places() {
    const auto reached = places([](auto look) { CHECK(fleet_lifecycle<Full>(look) == ""); });
    CHECK(reached.size() == (Full ? 21 : 20));
    for (const auto& [place, times] : reached) {
        const bool is_hook = place.starts_with("on_");
        for (const auto& command : fleet_commands<ScriptedFleet<Full>>()) {
            if (command.name == std::string{"end"} && !is_hook) continue;
            for (int nth = 1; nth <= times && nth <= 6; ++nth) {
                INFO(command.name << " in " << place << ", call " << nth);
                CHECK(fleet_lifecycle<Full>({}, &command, place, nth) == "");
            }
        }
    }
}

/// Has all hooks of a pool.
struct ScriptedPoolApp {
    void on_state(std::size_t, const Transition&) { script->at("on_state"); }
    void on_message(std::size_t, const std::string&) { script->at("on_message"); }
    void on_writable(std::size_t, Lane) { script->at("on_writable"); }
    void on_idle() { script->at("on_idle"); }
    void on_leases(const PoolStatus&) { script->at("on_leases"); }
    ScriptedLink* script;
};
using ScriptedPool = Pool<decltype(scripted_transport<true>(std::declval<ScriptedLink&>())),
                          ScriptedRule, ScriptedPoolApp>;

struct PoolCommand {
    const char* name;
    std::function<void(std::unique_ptr<ScriptedPool>&)> give;
};
std::vector<PoolCommand> pool_commands() {
    return {
        {"start", [](auto& pool) { pool->start(); }},
        {"stop", [](auto& pool) { pool->stop(); }},
        {"stop, start", [](auto& pool) { pool->stop(), pool->start(); }},
        {"shrink", [](auto& pool) { pool->resize(0); }},
        {"shrink, grow", [](auto& pool) { pool->resize(0), pool->resize(2); }},
        {"grow", [](auto& pool) { pool->resize(20); }},
        {"reconnect", [](auto& pool) { pool->reconnect_now(); }},
        {"credentials", [](auto& pool) { pool->credentials(2); }},
        {"borrow", [](auto& pool) { static_cast<void>(pool->acquire().send("inside")); }},
        {"status", [](auto& pool) { static_cast<void>(pool->status()); }},
        {"end", [](auto& pool) { pool.reset(); }},
    };
}

std::string pool_lifecycle(const std::function<void(const std::string&)>& look,
                           const PoolCommand* command = nullptr, const std::string& place = {},
                           int nth = 0) {
    ScriptedLink script;
    auto pool =
        std::make_unique<ScriptedPool>(scripted_transport<true>(script), ScriptedRule{&script},
                                       PoolOptions{.size = 3}, ScriptedPoolApp{&script});
    script.loop.attach(*pool);
    script.reach = [&](const std::string& reached) {
        if (look) look(reached);
        if (command == nullptr || pool == nullptr || reached != place || --nth != 0) return;
        command->give(pool);
    };
    const auto step = [&](auto&& f) {
        if (pool != nullptr) f(*pool);
        script.run({});
    };
    const auto all_up = [&] {
        for (int i = 0; i < 10; ++i) {
            script.open();
            script.run(500ms);
        }
    };
    step([](auto& p) { static_cast<void>(p.acquire()); });
    step([](auto& p) { p.start(); });
    all_up();
    script.peers([](const auto& peer) { static_cast<void>(peer.received("hello")); });
    std::vector<ScriptedPool::Lease> leases;
    for (int i = 0; i < 2; ++i) {
        step([&](auto& p) { leases.push_back(p.acquire()); });
        step([&](auto&) { static_cast<void>(leases.back().send("lent")); });
    }
    script.peers([](const auto& peer) { peer.writable(); });
    step([](auto& p) { p.credentials(1); });
    step([&](auto&) { leases.front().report_unhealthy(); });
    leases.clear();
    all_up();
    script.peers([](const auto& peer) { peer.closed({.cause = Cause::lost}); });
    script.run(2s);
    script.peers([](const auto& peer) { peer.closed({.cause = Cause::refused}); });
    all_up();
    step([](auto& p) { p.resize(1); });
    step([](auto& p) { p.resize(2); });
    all_up();
    step([](auto& p) { p.stop(); });
    script.run(10s);
    script.reach = {};
    if (pool != nullptr) {
        pool->stop();
        script.run({});
        pool->resize(3);
        pool->start();
        all_up();
        script.expect(pool->status().connected == 3, "not all connect any more");
        pool->stop();
        script.run(10s);
        script.expect(script.live == 0, "a connection outlives stop()");
    }
    pool.reset();
    script.expect(script.live == 0, "a connection outlives its pool");
    return script.wrong;
}

}  // namespace

TEST_CASE("Fleet accepts every command in all user code of its services",
          "[fleet][reentrancy][fault]") {
    SECTION("with connections that close gracefully") { all_fleet_commands_in_all_places<true>(); }
    SECTION("with connections that do not") { all_fleet_commands_in_all_places<false>(); }
}

TEST_CASE("Pool accepts every command in all user code of its connections",
          "[fleet][reentrancy][fault]") {
    const auto reached = places([](auto look) { CHECK(pool_lifecycle(look) == ""); });
    CHECK(reached.size() == 17);
    for (const auto& [place, times] : reached) {
        const bool is_hook = place.starts_with("on_");
        for (const PoolCommand& command : pool_commands()) {
            if (command.name == std::string{"end"} && !is_hook) continue;
            for (int nth = 1; nth <= times && nth <= 6; ++nth) {
                INFO(command.name << " in " << place << ", call " << nth);
                CHECK(pool_lifecycle({}, &command, place, nth) == "");
            }
        }
    }
}
