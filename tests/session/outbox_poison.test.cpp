// SPDX-License-Identifier: MIT
// Goal: a message at which the server closes each connection is reported, and can be ended. An
// outage, also behind a proxy, makes no good message suspect. Method: simulated worlds.
#include <belay/session.hpp>

#include <algorithm>
#include <list>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <belay/belay.hpp>
#include <belay/journal.hpp>
#include <belay/queue.hpp>
#include <belay/sim.hpp>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

namespace {

/// The state of a server, and its faults.
struct PoisonWorld {
    std::set<std::string> got{};
    std::vector<std::string> seen{};
    /// The time after which the server closes each connection, as a proxy without a server does.
    Duration closes_after = never_closes;
    static constexpr Duration never_closes = Duration::max();
    Duration answers_after{};  // the time until the server closes a connection with "poison"
};

struct PoisonServer {
    PoisonServer(sim::Host& h, PoisonWorld& w) : host{h}, world{w} {
        host.listen(9000, [this](sim::Accepted connection) {
            std::erase_if(guests,
                          [](const Guest& g) { return g.status().state == LinkState::failed; });
            Guest& guest = guests.emplace_back(std::move(connection), MaxAttempts{1}, Store{this});
            host.attach(guest);
            guest.start();
            if (world.closes_after != PoisonWorld::never_closes) {
                stop_after(world.closes_after, guest.handle());
            }
        });
    }
    struct Store {
        void on_message(auto& link, const Bytes& message) {
            const std::string text{as_text(message)};
            server->world.seen.push_back(text);
            if (hangs || server->world.closes_after != PoisonWorld::never_closes) return;
            if (text == "poison") {
                hangs = true;
                server->stop_after(server->world.answers_after, link.handle());
                return;
            }
            server->world.got.insert(text);
            static_cast<void>(link.send(message));
        }
        PoisonServer* server;
        bool hangs = false;
    };
    void stop_after(Duration time, auto handle) {
        host.after(time, [handle]() mutable { handle.stop(); });
    }
    using Guest = Supervisor<sim::Accepted, MaxAttempts, Store>;
    sim::Host& host;
    PoisonWorld& world;
    std::list<Guest> guests{};
};

auto poison_policy() {
    return Policy{Backoff{FullJitter{}, Cap{5s}, 100ms}, AttemptTimeout{3s}, ResetWhenStable{10s}};
}

struct PoisonClient {
    PoisonClient(sim::Host& host, bool moves)
        : outbox{sim::Tcp{host, "server", 9000}, poison_policy(),
                 Queue{std::move(*Journal<sim::Disk>::open(host.disk(), "o"))},
                 OutboxOptions{.promise = OutboxOptions::at_least_once}, std::ref(*this)},
          moves_letters{moves} {
        host.attach(outbox);
        outbox.start();
    }
    void on_message(auto& box, const Bytes&) { static_cast<void>(box.acknowledge()); }
    void on_undeliverable(auto& box, std::uint64_t number, const Bytes& message) {
        reported.emplace_back(number, as_text(message));
        CHECK(box.status().undeliverable == number);
        if (!moves_letters) return;
        letters.push_back(message);
        CHECK_FALSE(box.acknowledge(number));
    }
    Outbox<sim::Tcp, decltype(poison_policy()), Queue<Journal<sim::Disk>>,
           std::reference_wrapper<PoisonClient>>
        outbox;
    bool moves_letters;
    std::vector<std::pair<std::uint64_t, std::string>> reported{};
    std::vector<Bytes> letters{};
};

struct PoisonRig {
    explicit PoisonRig(bool moves, std::uint64_t seed = 3) : world{Seed{seed}} {
        world.host("server",
                   [&](sim::Host& h) { return std::make_unique<PoisonServer>(h, state); });
        client = &world.host(
            "client", [moves](sim::Host& h) { return std::make_unique<PoisonClient>(h, moves); });
    }
    void push_at(Duration time, std::vector<const char*> texts) {
        world.at(time, [this, texts = std::move(texts)] {
            for (const char* const text : texts) REQUIRE_FALSE(process().outbox.push(text));
        });
    }
    [[nodiscard]] PoisonClient& process() { return *client->process<PoisonClient>(); }
    [[nodiscard]] std::ptrdiff_t times(const char* text) const {
        return std::count(state.seen.begin(), state.seen.end(), text);
    }

    PoisonWorld state{};
    sim::World world;
    sim::Host* client = nullptr;
};

}  // namespace

TEST_CASE("Outbox reports a message at which the server closes each connection, and drops nothing",
          "[session][outbox_poison][sim]") {
    const std::uint64_t seed = GENERATE(range(1U, 6U));
    PoisonRig rig{false, seed};
    rig.state.answers_after = GENERATE(0ms, 700ms);
    rig.push_at(1s, {"1", "2", "poison", "4", "5"});
    rig.world.run_for(20min);
    CHECK(rig.state.got == std::set<std::string>{"1", "2"});
    using Reported = std::vector<std::pair<std::uint64_t, std::string>>;
    CHECK(rig.process().reported == Reported{{3, "poison"}});
    CHECK(rig.process().outbox.status().undeliverable == 3);
    CHECK(rig.process().outbox.depth() == 3);
    // It is still sent, alone: a later server may take it.
    CHECK(rig.times("poison") > 20);
    CHECK(rig.times("4") <= 2);
}

TEST_CASE("Outbox continues after a message that on_undeliverable acknowledges",
          "[session][outbox_poison][sim]") {
    const std::uint64_t seed = GENERATE(range(1U, 6U));
    PoisonRig rig{true, seed};
    rig.push_at(1s, {"1", "2", "poison", "4", "poison", "6"});
    rig.world.run_for(20min);
    CHECK(rig.state.got == std::set<std::string>{"1", "2", "4", "6"});
    REQUIRE(rig.process().letters.size() == 2);
    CHECK(as_text(rig.process().letters[0]) == "poison");
    CHECK(rig.process().outbox.status().undeliverable == 0);
    CHECK(rig.process().outbox.depth() == 0);
    CHECK(rig.times("poison") >= 20);
    CHECK(rig.times("poison") <= 28);  // also those behind another one
}

TEST_CASE("Outbox blames no message for an outage behind a proxy that accepts and closes",
          "[session][outbox_poison][sim]") {
    PoisonRig rig{true, GENERATE(1U, 2U, 3U)};
    rig.state.closes_after = GENERATE(0ms, 5ms, 900ms, 5s, 14s);
    rig.push_at(1s, {"1", "2", "3"});
    rig.world.at(3h, [&] { rig.state.closes_after = PoisonWorld::never_closes; });
    rig.world.run_for(3h + 5min);
    CHECK(rig.process().reported.empty());
    CHECK(rig.state.got == std::set<std::string>{"1", "2", "3"});
    CHECK(rig.process().outbox.depth() == 0);
}

TEST_CASE("Outbox sends several messages at a time again after one that was alone was acknowledged",
          "[session][outbox_poison][sim]") {
    PoisonRig rig{true};
    rig.state.closes_after = 0ms;
    rig.push_at(1s, {"1"});
    rig.world.at(1min, [&] { rig.state.closes_after = PoisonWorld::never_closes; });
    rig.push_at(5min, {"2", "3", "4", "5"});
    rig.world.run_for(5min + 1s);
    CHECK(rig.state.got.size() == 5);
}
