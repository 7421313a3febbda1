// SPDX-License-Identifier: MIT
// Goal: a scenario is data: it plays the same faults as hand-written calls, prints as C++, and no
// drawn fault depends on another. Method: worlds of a client and an echoing server.
#include <belay/sim/scenario.hpp>

#include <algorithm>
#include <map>
#include <set>

#include <belay/sim/world.hpp>

#include "support/aborts.hpp"
#include "support/catch.hpp"
#include "support/sim/sim_peers.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// A client that sends a numbered message each 100 ms to an echoing server.
struct ScenarioWorld {
    explicit ScenarioWorld(std::uint64_t seed = 7, sim::WorldOptions options = {})
        : world{Seed{seed}, std::move(options)} {
        server = &world.host("server", [this](sim::Host& h) {
            auto s = std::make_unique<Server>(h, connections,
                                              PeerOptions{{.every = 1s, .dead_after = 3s}});
            s->echo = true;
            return s;
        });
        client = &world.host("client", [this](sim::Host& h) {
            auto c =
                std::make_unique<Client>(h, notes, PeerOptions{{.every = 1s, .dead_after = 3s}});
            talk(h, c->link);
            return c;
        });
    }
    void talk(sim::Host& h, auto& link) {
        static_cast<void>(link.send(to_bytes(sent % 2 == 0 ? "even" : "odd")));
        ++sent;
        h.after(100ms, [this, &h, &link] { talk(h, link); });
    }
    std::uint64_t run(const sim::Scenario& scenario, Duration d = 60s) {
        world.play(scenario);
        world.run_for(d);
        return world.trace_hash();
    }
    /// Whether the client has received an answer in the last second.
    bool works() const { return notes.last("message even") >= world.now().time_since_epoch() - 1s; }

    Server::ConnectionLog connections;
    Notes notes;
    std::uint64_t sent = 0;
    sim::World world;
    sim::Host* server = nullptr;
    sim::Host* client = nullptr;
};

const sim::Scenario& bad_day() {
    static const auto scenario = sim::Scenario{}
                                     .at(5s, sim::partition("client", "server"))
                                     .at(9s, sim::kill("client"))
                                     .at(10s, sim::restart("client"))
                                     .during(20s, 40s, sim::latency("server", "client", 50ms, 2s))
                                     .heal_at(60s);
    return scenario;
}

}  // namespace

TEST_CASE("World::play plays a handwritten scenario", "[sim][scenario][unit]") {
    ScenarioWorld w;
    w.world.play(bad_day());
    w.world.run_for(4s);
    CHECK(w.works());
    w.world.run_for(2s);  // 6 s
    CHECK(w.world.network().partitioned(*w.client, *w.server));
    w.world.run_for(3500ms);  // 9.5 s
    CHECK_FALSE(w.client->alive());
    w.world.run_for(1s);  // 10.5 s
    CHECK(w.client->alive());
    CHECK(w.client->starts() == 2);
    w.world.run_for(49s);  // 59.5 s
    CHECK(w.world.network().partitioned(*w.client, *w.server));
    CHECK_FALSE(w.works());
    w.world.run_for(10s);
    CHECK_FALSE(w.world.network().partitioned(*w.client, *w.server));
    CHECK(w.works());
    CHECK(w.world.faults_begun() == 4);
    CHECK(w.world.scenario() == bad_day());
}

TEST_CASE("World::play ends a fault at its time", "[sim][scenario][unit]") {
    ScenarioWorld w;
    w.world.play(sim::Scenario{}
                     .during(1s, 2s, sim::partition("client", "server"))
                     .during(3s, 4s, sim::kill("server"))
                     .during(5s, 6s, sim::pause("server"))
                     .during(7s, 8s, sim::refuse_disk("server"))
                     .during(9s, 10s, sim::fill_disk("server")));
    const auto write = [&] {
        auto file = w.server->disk().open("f", OpenMode::replace);
        return file && !file->write(0, as_bytes("hello"));
    };
    w.world.run_for(1500ms);
    CHECK(w.world.network().partitioned(*w.server, *w.client));
    w.world.run_for(1s);
    CHECK_FALSE(w.world.network().partitioned(*w.server, *w.client));
    w.world.run_for(1s);
    CHECK_FALSE(w.server->alive());
    w.world.run_for(1s);
    CHECK(w.server->alive());
    w.world.run_for(1s);
    CHECK(w.server->paused());
    w.world.run_for(1s);
    CHECK_FALSE(w.server->paused());
    CHECK(write());
    w.world.run_for(1s);
    CHECK_FALSE(write());
    w.world.run_for(1s);
    CHECK(write());
    w.world.run_for(1s);
    CHECK(w.server->disk().open("g", OpenMode::replace));
    auto file = w.server->disk().open("g", OpenMode::replace);
    REQUIRE(file);
    CHECK(file->write(0, as_bytes("hello")) == std::errc::no_space_on_device);
    w.world.run_for(1s);
    CHECK_FALSE(file->write(0, as_bytes("hello")));
}

TEST_CASE("World::play begins and ends the faults of disks", "[sim][scenario][fault]") {
    ScenarioWorld w;
    sim::Disk& disk = w.server->disk();
    disk.put("f", Bytes(5000, std::byte{0}));
    const auto bad_disk = sim::Scenario{}
                              .during(1s, 2s, sim::ignore_syncs("server"))
                              .at(3s, sim::flip_bit("server", 3))
                              .at(4s, sim::misdirect_write("server", 2))
                              .during(5s, 6s, sim::fill_disk("server", 2));
    CHECK(sim::to_cpp(bad_disk) ==
          "sim::Scenario{}\n"
          "    .during(1s, 2s, sim::ignore_syncs(\"server\"))\n"
          "    .at(3s, sim::flip_bit(\"server\", 3))\n"
          "    .at(4s, sim::misdirect_write(\"server\", 2))\n"
          "    .during(5s, 6s, sim::fill_disk(\"server\", 2))");
    w.world.play(bad_disk);
    w.world.run_for(1500ms);
    auto file = disk.open("f", OpenMode::write);
    REQUIRE(file);
    w.world.run_for(2s);
    CHECK(disk.contents("f")[0] == std::byte{8});
    w.world.run_for(1s);
    CHECK_FALSE(file->write(0, as_bytes("a")));
    CHECK_FALSE(file->write(0, as_bytes("b")));
    CHECK(disk.contents("f")[0] == std::byte{'a'});
    CHECK(disk.contents("f")[4096] == std::byte{'b'});
    w.world.run_for(1s);
    CHECK_FALSE(file->write(5000, as_bytes("c")));
    CHECK(file->write(5001, as_bytes("d")) == std::errc::no_space_on_device);
    w.world.run_for(1s);
    CHECK_FALSE(file->write(5001, as_bytes("d")));
}

TEST_CASE("Scenario's overlapping faults end with the later one", "[sim][scenario][unit]") {
    ScenarioWorld w;
    w.world.play(sim::Scenario{}
                     .during(1s, 5s, sim::partition("client", "server"))
                     .during(2s, 8s, sim::partition("server", "client"))
                     .during(10s, 14s, sim::kill("server"))
                     .during(11s, 12s, sim::kill("server"))
                     .during(20s, 24s, sim::pause("server"))
                     .during(22s, 26s, sim::pause("server")));
    const auto at = [&](Duration t) { w.world.run_for(Instant{t} - w.world.now()); };
    at(6s);
    CHECK(w.world.network().partitioned(*w.client, *w.server));
    at(9s);
    CHECK_FALSE(w.world.network().partitioned(*w.client, *w.server));
    at(13s);
    CHECK_FALSE(w.server->alive());
    at(15s);
    CHECK(w.server->alive());
    CHECK(w.server->starts() == 2);
    at(25s);
    CHECK(w.server->paused());
    at(27s);
    CHECK_FALSE(w.server->paused());
}

TEST_CASE("Scenario's latency holds in one direction of one link", "[sim][scenario][unit]") {
    ScenarioWorld w;
    w.world.network().latency(1ms, 1ms);
    w.world.play(sim::Scenario{}.during(1s, 2s, sim::latency("server", "client", 500ms, 500ms)));
    const auto round_trip = [&] {
        const auto before = w.notes.count("message even") + w.notes.count("message odd");
        w.world.run_for(100ms);
        return w.notes.count("message even") + w.notes.count("message odd") - before;
    };
    w.world.run_for(900ms);
    CHECK(round_trip() == 1);
    w.world.run_for(10ms);
    CHECK(round_trip() == 0);  // the answers are under way
    w.world.run_for(2s);
    CHECK(round_trip() == 1);  // and do not overtake each other
    CHECK(w.connections.size() == 1);
}

TEST_CASE("Scenario::when begins at the n-th message of a kind", "[sim][scenario][unit]") {
    const auto begins = [](const sim::MessageKey& key, bool named) {
        ScenarioWorld w;
        if (named) {
            w.world.name_messages([](const Bytes& m) { return std::string{as_text(m)}; });
        }
        w.world.play(sim::Scenario{}.when(key, sim::kill("server"), 1s));
        const bool dead = w.world.run_until([&] { return !w.server->alive(); }, 30s);
        const std::uint64_t sent = w.sent;
        CHECK(w.world.run_until([&] { return w.server->alive(); }, 1s) == true);
        return dead ? sent : 0;
    };
    // The first message is not sent, because the client is not connected yet.
    CHECK(begins({"client", "server", "odd", 3}, true) == 6);
    CHECK(begins({"client", "server", "even", 3}, true) == 7);
    CHECK(begins({"client", "server", "", 3}, true) == 4);
    CHECK(begins({"client", "server", "", 3}, false) == 4);
    // Messages of another kind, in another direction, or without a function for their kinds do not
    // count.
    CHECK(begins({"client", "server", "prime", 1}, true) == 0);
    CHECK(begins({"client", "server", "even", 1}, false) == 0);
}

TEST_CASE("Scenario::when cuts the connection of its message", "[sim][scenario][unit]") {
    ScenarioWorld w;
    w.world.play(sim::Scenario{}.when({"server", "client", "", 5},
                                      sim::drop_connections("client", "server")));
    w.world.run_for(10s);
    CHECK(w.connections.size() == 2);
    CHECK(w.world.faults_begun() == 1);
    CHECK(w.works());
}

TEST_CASE("draw makes one-way partitions on demand, and does not change the other faults",
          "[sim][scenario][unit]") {
    int drawn = 0;
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        const sim::Scenario without = sim::draw({}, Seed{seed}, {"a", "b"});
        sim::Scenario rest;
        const sim::Scenario with = sim::draw({.one_way_partitions = 3}, Seed{seed}, {"a", "b"});
        for (const auto& step : with.steps()) {
            if (step.fault.kind == sim::Fault::Kind::partition_one_way) {
                ++drawn;
            } else {
                rest.add(step);
            }
        }
        CHECK(rest == without);
    }
    CHECK(drawn > 5);
}

TEST_CASE("draw makes bandwidths and early closes on demand, and does not change the other faults",
          "[sim][scenario][unit]") {
    int bandwidths = 0, early_closes = 0;
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        const sim::Scenario without = sim::draw({}, Seed{seed}, {"a", "b"});
        sim::Scenario rest;
        const sim::Scenario with =
            sim::draw({.bandwidths = 3, .early_closes = 3}, Seed{seed}, {"a", "b"});
        for (const auto& step : with.steps()) {
            if (step.fault.kind == sim::Fault::Kind::bandwidth) {
                CHECK(step.fault.number >= 1'000);
                CHECK(step.fault.number <= 1'000'000);
                ++bandwidths;
            } else if (step.fault.kind == sim::Fault::Kind::accept_then_close) {
                ++early_closes;
            } else {
                rest.add(step);
            }
        }
        CHECK(rest == without);
    }
    CHECK(bandwidths > 5);
    CHECK(early_closes > 5);
}

TEST_CASE("Scenario: the later of two bandwidths of a link counts", "[sim][scenario][unit]") {
    ScenarioWorld w;
    w.world.network().latency(1ms, 1ms);
    // Segments that wait at the end of a limit continue within 0.1 s.
    w.world.play(sim::Scenario{}
                     .during(1s, 5s, sim::bandwidth("client", "server", 10'000'000))
                     .during(2s, 4s, sim::bandwidth("client", "server", 1))
                     .during(3s, 6s, sim::refuse("server")));
    w.world.run_for(1900ms);
    CHECK(w.works());
    w.world.run_for(2s);
    CHECK_FALSE(w.works());
    w.world.run_for(5s);
    CHECK(w.works());
}

TEST_CASE("Scenario: the later of two slow readers of a host counts",
          "[sim][scenario][regression]") {
    ScenarioWorld w;
    w.world.network().latency(1ms, 1ms);
    w.world.play(sim::Scenario{}
                     .during(2s, 5s, sim::slow_reader("server", 1))
                     .during(1s, 3s, sim::slow_reader("server", 1'000'000)));
    w.world.run_for(2900ms);
    CHECK(w.notes.last("message even") > 2600ms);
    w.world.run_for(2s);  // until 4.9 s
    CHECK(w.notes.last("message even") < 3100ms);
    w.world.run_for(5s);
    CHECK(w.works());
}

TEST_CASE("A slow reader that ends does not end another one of its host",
          "[sim][scenario][regression]") {
    ScenarioWorld w;
    w.world.network().latency(1ms, 1ms);
    w.world.play(sim::Scenario{}
                     .during(1s, 20s, sim::slow_reader("server", 1'000'000))
                     .during(2s, 4s, sim::slow_reader("server", 1)));
    w.world.run_for(3900ms);
    const auto before = w.notes.last("message even");
    CHECK(before < 2100ms);
    w.world.run_for(300ms);  // until 4.2 s
    CHECK(w.notes.last("message even") > 4s);
}

TEST_CASE("World::heal ends a bandwidth of a scenario, and early closes", "[sim][scenario][unit]") {
    ScenarioWorld w;
    w.world.play(sim::Scenario{}
                     .at(1s, sim::bandwidth("client", "server", 1))
                     .at(1s, sim::accept_then_close("server"))
                     .heal_at(30s));
    w.world.run_for(29s);
    CHECK_FALSE(w.works());
    w.world.run_for(10s);
    CHECK(w.works());
}

TEST_CASE("Scenario: partitions of both directions and of one overlap", "[sim][scenario][unit]") {
    ScenarioWorld w;
    w.world.play(sim::Scenario{}
                     .during(1s, 3s, sim::partition("client", "server"))
                     .during(2s, 6s, sim::partition_one_way("server", "client"))
                     .during(4s, 5s, sim::partition("server", "client")));
    const auto stopped = [&] {
        return std::pair{w.world.network().partitioned(*w.client, *w.server),
                         w.world.network().partitioned(*w.server, *w.client)};
    };
    w.world.run_for(2500ms);
    CHECK(stopped() == std::pair{true, true});
    w.world.run_for(1s);
    CHECK(stopped() == std::pair{false, true});
    w.world.run_for(1s);
    CHECK(stopped() == std::pair{true, true});
    w.world.run_for(1s);
    CHECK(stopped() == std::pair{false, true});
    w.world.run_for(1s);
    CHECK(stopped() == std::pair{false, false});
}

TEST_CASE("Scenario: a kill in a partition is as silent as a power failure",
          "[sim][scenario][unit]") {
    const auto is_connected = [](const sim::Scenario& scenario) {
        ScenarioWorld w;
        w.world.play(scenario);
        w.world.run_for(6500ms);
        return w.client->process<Client>()->link.status().state == LinkState::connected;
    };
    const auto cut_off = sim::partition("client", "server");
    CHECK(is_connected(sim::Scenario{}.at(5s, cut_off).at(5s, sim::kill("server"))));
    // Without a partition, a kill is that of a process, whose kernel resets its connections.
    CHECK_FALSE(is_connected(sim::Scenario{}.at(5s, sim::kill("server"))));
}

TEST_CASE("World::heal ends every fault", "[sim][scenario][unit]") {
    ScenarioWorld w;
    w.world.network().cut_one_in(3);
    w.world.play(sim::Scenario{}
                     .at(1s, sim::partition("client", "server"))
                     .at(1s, sim::latency("client", "server", 5s, 5s))
                     .at(1s, sim::refuse("server"))
                     .at(1s, sim::refuse_disk("server"))
                     .at(1s, sim::fill_disk("client"))
                     .at(1s, sim::fail_disk("client", 1))
                     .at(1s, sim::fail_read("client", 1))
                     .at(1s, sim::fail_disk_after("client", 2))
                     .at(1s, sim::exhaust_descriptors("server"))
                     .at(1s, sim::pause("client"))
                     .at(2s, sim::kill("server"))
                     .at(9s, sim::kill("client"))
                     .when({"client", "server", "", 40}, sim::kill("client")));
    w.world.run_for(5s);
    CHECK(w.world.faults_begun() == 11);
    w.world.heal();
    CHECK(w.server->alive());
    CHECK_FALSE(w.client->paused());
    for (sim::Host* h : {w.client, w.server}) {
        auto file = h->disk().open("f", OpenMode::replace);
        REQUIRE(file);
        CHECK_FALSE(file->write(0, as_bytes("hello")));
    }
    w.world.run_for(20s);
    CHECK(w.works());
    CHECK(w.client->starts() == 1);  // faults that had not begun never begin
    CHECK(w.world.faults_begun() == 11);
    const std::size_t connections = w.connections.size();
    w.world.run_for(60s);
    CHECK(w.connections.size() == connections);
}

TEST_CASE("Faults of a disk do not replace each other, and a kill does not end them",
          "[sim][scenario][regression]") {
    ScenarioWorld w;
    sim::Disk& disk = w.server->disk();
    const auto sync = [&] { return disk.sync_directory(""); };
    w.world.play(sim::Scenario{}
                     .at(1s, sim::fail_disk("server", 6))
                     .at(1s, sim::fail_disk("server", 3))
                     .during(1s, 3s, sim::kill("server"))
                     .during(1s, 10s, sim::fill_disk("server", 4))
                     .at(1s, sim::fail_read("server", 5)));
    w.world.run_for(4s);
    const std::uint64_t operations = disk.operations(), reads = disk.reads();
    CHECK_FALSE(sync());
    CHECK_FALSE(sync());
    CHECK(sync() == std::errc::io_error);
    auto file = disk.open("f", OpenMode::replace);
    REQUIRE(file);
    CHECK(file->write(0, Bytes(1)) == std::errc::no_space_on_device);
    CHECK(sync() == std::errc::io_error);
    CHECK(disk.operations() == operations + 6);
    while (disk.reads() < reads + 4) CHECK(file->size());
    CHECK(file->size().error() == std::errc::io_error);
    w.world.run_for(7s);
    CHECK_FALSE(file->write(0, Bytes(1)));
}

TEST_CASE("World::heal does not restore lost data", "[sim][scenario][unit]") {
    ScenarioWorld w;
    auto file = w.server->disk().open("f", OpenMode::replace);
    REQUIRE(file);
    REQUIRE_FALSE(file->write(0, Bytes(4096)));
    w.world.play(sim::Scenario{}.at(1s, sim::kill("server")));
    w.world.run_for(2s);
    const Bytes left = w.server->disk().contents("f");
    w.world.heal();
    CHECK(w.server->disk().contents("f") == left);
}

TEST_CASE("World::heal starts a host whose own code has killed it", "[sim][scenario][unit]") {
    sim::World world{Seed{1}};
    int starts = 0;
    sim::Host& host = world.host("a", [&](sim::Host& h) {
        if (++starts == 1) h.after(1s, [&] { world.kill(h); });
    });
    world.run_for(2s);
    CHECK_FALSE(host.alive());
    world.heal();
    CHECK(host.alive());
    CHECK(starts == 2);
}

TEST_CASE("World::play and hand-written calls make the same history", "[sim][scenario][unit]") {
    // The lines of the scenario itself are excluded, because they are part of the hash.
    ScenarioWorld by_hand;
    by_hand.world.at(5s,
                     [&] { by_hand.world.network().partition(*by_hand.client, *by_hand.server); });
    by_hand.world.at(9s, [&] { by_hand.world.kill(*by_hand.client); });
    by_hand.world.at(10s, [&] { by_hand.world.restart(*by_hand.client); });
    by_hand.world.at(11s, [&] { by_hand.world.network().heal(*by_hand.client, *by_hand.server); });
    by_hand.world.run_for(60s);
    ScenarioWorld as_data;
    as_data.run(sim::Scenario{}
                    .during(5s, 11s, sim::partition("client", "server"))
                    .during(9s, 10s, sim::kill("client")));
    CHECK(by_hand.notes.observed == as_data.notes.observed);
    CHECK(by_hand.notes.when == as_data.notes.when);
}

TEST_CASE("World's history depends on the scenario and the seed only", "[sim][scenario][unit]") {
    CHECK(ScenarioWorld{7}.run(bad_day()) == ScenarioWorld{7}.run(bad_day()));
    CHECK(ScenarioWorld{7}.run(bad_day()) != ScenarioWorld{8}.run(bad_day()));
    CHECK(ScenarioWorld{7}.run(bad_day()) != ScenarioWorld{7}.run({}));
}

TEST_CASE("World::check gives the reason why a scenario cannot be played",
          "[sim][scenario][unit]") {
    ScenarioWorld w;
    const auto reason = [&](const sim::Scenario& s) { return w.world.check(s); };
    CHECK(reason({}).empty());
    CHECK(reason(bad_day()).empty());
    CHECK(reason(sim::Scenario{}.at(5s, sim::kill("nobody"))) ==
          ".at(5s, sim::kill(\"nobody\")): no host is called nobody");
    CHECK(reason(sim::Scenario{}.at(5s, sim::partition("client", "nobody"))).find("nobody") !=
          std::string::npos);
    CHECK(reason(sim::Scenario{}.at(5s, sim::partition("client", "client"))).find("different") !=
          std::string::npos);
    CHECK(reason(sim::Scenario{}.when({"nobody", "client", "", 1}, sim::kill("client")))
              .find("nobody") != std::string::npos);
    CHECK(reason(sim::Scenario{}.at(7s, sim::kill("client")).heal_at(7s)).find("heal_at") !=
          std::string::npos);
    w.world.run_for(6s);
    CHECK(reason(sim::Scenario{}.at(6s, sim::kill("client"))).empty());
    CHECK(reason(sim::Scenario{}.at(5s, sim::kill("client"))).find("over") != std::string::npos);
    CHECK(reason(sim::Scenario{}.heal_at(5s)).find("over") != std::string::npos);
}

TEST_CASE("World::play aborts on a scenario that it cannot play", "[sim][scenario][unit]") {
    CHECK(aborts_with([] {
              ScenarioWorld w;
              w.world.play(sim::Scenario{}.at(5s, sim::kill("nobody")));
          }).find("World::play") != std::string::npos);
}

TEST_CASE("to_cpp prints a scenario in the form of its source", "[sim][scenario][golden]") {
    auto scenario = bad_day();
    scenario.when({"a\"b", "c\n1", "k", 3}, sim::half_open("x", "y"))
        .when({"a", "b", "", 1}, sim::pause("x"), 1500us)
        .at(0s, sim::fail_disk("client", 7))
        .at(0s, sim::fail_read("client", 8))
        .at(0s, sim::fail_disk_after("client", 9))
        .at(0s, sim::exhaust_descriptors("client"))
        .during(1ns, 61s, sim::refuse("server"));
    CHECK(to_cpp(scenario) == R"(sim::Scenario{}
    .at(5s, sim::partition("client", "server"))
    .at(9s, sim::kill("client"))
    .at(10s, sim::restart("client"))
    .during(20s, 40s, sim::latency("server", "client", 50ms, 2s))
    .when({"a\"b", "c\0121", "k", 3}, sim::half_open("x", "y"))
    .when({"a", "b", "", 1}, sim::pause("x"), 1500us)
    .at(0s, sim::fail_disk("client", 7))
    .at(0s, sim::fail_read("client", 8))
    .at(0s, sim::fail_disk_after("client", 9))
    .at(0s, sim::exhaust_descriptors("client"))
    .during(1ns, 61s, sim::refuse("server"))
    .heal_at(1min))");
}

TEST_CASE("to_cpp prints names of any bytes so that they compile to themselves",
          "[sim][scenario][regression]") {
    // A literal would end at its first zero, and an empty kind means any message.
    const std::string zero{"\0", 1};
    const std::string zero_in{"a\0\"2", 4};
    const auto scenario = sim::Scenario{}
                              .at(1s, sim::kill(zero_in))
                              .at(1s, sim::partition("a", zero))
                              .when({"a", zero_in, zero, 2}, sim::drop_connections("a", zero_in));
    CHECK(to_cpp(scenario) == R"(sim::Scenario{}
    .at(1s, sim::kill({"a\000\"2", 4}))
    .at(1s, sim::partition("a", {"\000", 1}))
    .when({"a", {"a\000\"2", 4}, {"\000", 1}, 2}, sim::drop_connections("a", {"a\000\"2", 4})))");
    const auto pasted = sim::Scenario{}
                            .at(1s, sim::kill({"a\000\"2", 4}))
                            .at(1s, sim::partition("a", {"\000", 1}))
                            .when({"a", {"a\000\"2", 4}, {"\000", 1}, 2},
                                  sim::drop_connections("a", {"a\000\"2", 4}));
    CHECK(pasted == scenario);
}

TEST_CASE("draw gives the same scenario for the same seed", "[sim][scenario][golden]") {
    const std::vector<std::string> hosts{"server", "client"};
    const auto text = [&](std::uint64_t seed) { return to_cpp(sim::draw({}, Seed{seed}, hosts)); };
    CHECK(text(1) == text(1));
    CHECK(text(1) != text(2));
    CHECK(text(149) == R"(sim::Scenario{}
    .during(16166ms, 20528ms, sim::kill("server"))
    .during(7479ms, 7486ms, sim::kill("server"))
    .during(1250ms, 1296ms, sim::kill("client"))
    .during(6065ms, 6122ms, sim::pause("client"))
    .during(19790ms, 19801ms, sim::partition("server", "client"))
    .when({"client", "server", "", 3}, sim::drop_connections("client", "server")))");
}

TEST_CASE("draw rejects invalid options for every seed", "[sim][scenario][regression]") {
    const std::vector<std::string> hosts{"a", "b"};
    sim::ScenarioOptions good{.exponential_latencies = 3,
                              .bandwidths = 3,
                              .wall_clocks = 3,
                              .latency_max = 24h,
                              .bandwidth_max = 10'000'000'000,
                              .clock_wrong_max = 30 * 365 * 24h,
                              .clock_drift_max = 999'999};
    for (std::uint64_t seed = 1; seed <= 500; ++seed) {
        CHECK_FALSE(sim::draw(good, Seed{seed}, hosts).heals());
    }
    const auto refuses = [&](auto&& spoil) {
        sim::ScenarioOptions bad = good;
        spoil(bad);
        return aborts_with([&] {
                   static_cast<void>(sim::draw(bad, Seed{1}, {}));
               }).find("ScenarioOptions: ") != std::string::npos;
    };
    using Options = sim::ScenarioOptions;
    CHECK_FALSE(refuses([](Options&) {}));
    CHECK(refuses([](Options& o) { o.clock_drift_max = 1'000'000; }));
    CHECK(refuses([](Options& o) { o.clock_drift_max = -1; }));
    CHECK(refuses([](Options& o) {
        o.clock_drift_max = 100'001;
        o.drifting_clocks = 1;
    }));
    CHECK(refuses([](Options& o) { o.clock_wrong_max = 30 * 365 * 24h + 1ns; }));
    CHECK(refuses([](Options& o) { o.clock_wrong_max = -1ns; }));
    CHECK(refuses([](Options& o) { o.latency_max = 24h + 1ns; }));
    CHECK(refuses([](Options& o) { o.latency_max = -1ns; }));
    CHECK(refuses([](Options& o) { o.bandwidth_max = 10'000'000'001; }));
    CHECK(refuses([](Options& o) { o.number_max = 0; }));
    CHECK(refuses([](Options& o) { o.within = -1ns; }));
    CHECK(refuses([](Options& o) { o.lasts_max = -1ns; }));
    // Without exponential latencies, a message may travel longer.
    CHECK_FALSE(refuses([](Options& o) {
        o.latency_max = 48h;
        o.exponential_latencies = 0;
    }));
}

TEST_CASE("draw switches each class on in about half of the seeds, log-uniformly",
          "[sim][scenario][property]") {
    const std::vector<std::string> hosts{"a", "b", "c"};
    std::size_t with_kills = 0, one = 0, many = 0, empty = 0;
    for (std::uint64_t seed = 1; seed <= 1000; ++seed) {
        const sim::Scenario s = sim::draw({.kills = 8}, Seed{seed}, hosts);
        const auto kills = std::count_if(s.steps().begin(), s.steps().end(), [](const auto& step) {
            return step.fault.kind == sim::Fault::Kind::kill;
        });
        CHECK(kills <= 8);
        with_kills += kills != 0 ? 1U : 0U;
        one += kills == 1 ? 1U : 0U;
        many += kills >= 4 ? 1U : 0U;
        empty += s.empty() ? 1U : 0U;
        for (const auto& step : s.steps()) {
            CHECK(step.from <= 20s);
            if (step.lasts != forever) CHECK(step.lasts <= 5s);
            if (step.message) CHECK(step.message->number <= 64);
        }
    }
    CHECK(with_kills > 400);
    CHECK(with_kills < 600);
    CHECK(one > with_kills / 6);
    CHECK(many > with_kills / 3);
    CHECK(empty < 30);
    CHECK(empty > 0);
}

TEST_CASE("draw without swarm has each class in every scenario, with its largest number",
          "[sim][scenario][unit]") {
    const sim::ScenarioOptions options{.swarm = false, .kills = 8, .refusals = 0};
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        std::map<sim::Fault::Kind, int> counts;
        const sim::Scenario drawn = sim::draw(options, Seed{seed}, {"a", "b", "c"});
        for (const auto& step : drawn.steps()) ++counts[step.fault.kind];
        CHECK(counts[sim::Fault::Kind::kill] == 8);
        CHECK(counts[sim::Fault::Kind::pause] == 2);
        CHECK(counts[sim::Fault::Kind::refuse] == 0);
        CHECK(counts[sim::Fault::Kind::drop_connections] == 7);  // 2 drops, and 5 cuts
        // A fault is the same as with swarm testing, if that draws it.
        const sim::Scenario swarm =
            sim::draw({.kills = 8, .refusals = 0}, Seed{seed}, {"a", "b", "c"});
        for (const auto& step : swarm.steps())
            CHECK(std::count(drawn.steps().begin(), drawn.steps().end(), step) == 1);
    }
}

TEST_CASE(
    "draw makes silent faults, errors and losses of power on demand, and does not change the "
    "others",
    "[sim][scenario][unit]") {
    const std::vector<std::string> hosts{"a", "b", "c"};
    const sim::ScenarioOptions more{.full_disks = 2,
                                    .read_errors = 2,
                                    .ignored_syncs = 2,
                                    .bit_flips = 2,
                                    .misdirected_writes = 2,
                                    .power_losses = 2};
    std::map<sim::Fault::Kind, int> counts;
    std::size_t two = 0, three = 0;
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
        const auto usual = sim::draw({}, Seed{seed}, hosts).steps();
        const auto all = sim::draw(more, Seed{seed}, hosts).steps();
        REQUIRE(all.size() >= usual.size());
        CHECK(std::equal(usual.begin(), usual.end(), all.begin()));
        std::map<Duration, std::set<std::string>> kills;
        for (std::size_t i = usual.size(); i < all.size(); ++i) {
            ++counts[all[i].fault.kind];
            if (all[i].fault.kind == sim::Fault::Kind::kill) {
                kills[all[i].from].insert(all[i].fault.host);
            }
        }
        for (const auto& [at, names] : kills) {
            two += names.size() == 2 ? 1U : 0U;
            three += names.size() == 3 ? 1U : 0U;
        }
        CHECK(two + three >= kills.size());
    }
    using Kind = sim::Fault::Kind;
    for (const Kind kind : {Kind::fill_disk, Kind::fail_read, Kind::ignore_syncs, Kind::flip_bit,
                            Kind::misdirect_write}) {
        CHECK(counts[kind] > 50);
    }
    CHECK(two > 20);
    CHECK(three > 20);
    // All of them can be played.
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        sim::ScenarioOptions played = more;
        played.cuts = 0;  // no message is sent
        sim::World world{Seed{seed}, {.draw = played}};
        for (const std::string& host : hosts) world.host(host);
        world.run_for(30s);
        CHECK_FALSE(world.violation());
        CHECK(world.faults_begun() == world.drawn_scenario().size());
    }
}

TEST_CASE("Scenario::start_clocks starts the wall clocks of all hosts", "[sim][scenario][unit]") {
    constexpr WallTime y2038{std::chrono::seconds{std::int64_t{1} << 31}};
    const auto scenario = sim::Scenario{}.start_clocks(2147483641s, 49h).at(0s, sim::pause("a"));
    CHECK(to_cpp(scenario) == R"(sim::Scenario{}
    .start_clocks(2147483641s, 2940min)
    .at(0s, sim::pause("a")))");
    sim::World world{Seed{1}, {.play = scenario}};
    sim::Host& host = world.host("a");
    world.run_for(7s);
    CHECK(host.wall_clock().now() == y2038);
    CHECK(host.clock().now() == Instant{} + 7s);
    host.set_wall_clock(-1s);
    CHECK(host.wall_clock().now() == y2038 - 1s);
    CHECK(world.scenario() == scenario);
    CHECK(world.check(sim::Scenario{}.start_clocks(1s, 1s)).find("started") != std::string::npos);
    for (const Duration wrong : {Duration{-1}, Duration{141 * 365 * 24h}}) {
        sim::Scenario clocks;
        const auto refuses = [&](auto&& f) {
            return aborts_with(f).find("start_clocks") != std::string::npos;
        };
        CHECK(refuses([&] { clocks.start_clocks(wrong, 0s); }));
        CHECK(refuses([&] { clocks.start_clocks(0s, wrong); }));
    }
}

TEST_CASE("draw starts clocks that wrap within the time of the faults", "[sim][scenario][unit]") {
    std::set<std::int64_t> walls, uptimes;
    std::size_t with = 0;
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
        const sim::Scenario s =
            sim::draw({.clocks_that_wrap = true, .within = 5s}, Seed{seed}, {"a", "b"});
        CHECK(s.steps() == sim::draw({.within = 5s}, Seed{seed}, {"a", "b"}).steps());
        if (!s.clocks()) continue;
        ++with;
        walls.insert(s.clocks()->wall / 1000s);
        uptimes.insert(s.clocks()->uptime / 1000s);
    }
    CHECK(with > 70);
    CHECK(with < 130);
    CHECK(walls.size() == 3);
    CHECK(uptimes.size() == 2);
}

TEST_CASE("draw does not move the other faults", "[sim][scenario][property]") {
    const std::vector<std::string> two{"a", "b"};
    const std::vector<std::string> three{"a", "b", "c"};
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
        const auto all = sim::draw({}, Seed{seed}, three).steps();
        // Without a class, the faults of the others stay.
        const auto no_kills = sim::draw({.kills = 0}, Seed{seed}, three).steps();
        for (const auto& step : no_kills) {
            CHECK(std::find(all.begin(), all.end(), step) != all.end());
        }
        // Another host moves only its own faults.
        const auto fewer = sim::draw({}, Seed{seed}, two).steps();
        for (const auto& step : all) {
            if (step.fault.host == "c" || step.fault.peer == "c") continue;
            CHECK(std::find(fewer.begin(), fewer.end(), step) != fewer.end());
        }
        const auto spared = sim::draw({.spared = {"b"}}, Seed{seed}, three).steps();
        for (const auto& step : spared) {
            CHECK(step.fault.host != "b");
            CHECK(step.fault.peer != "b");
        }
    }
    CHECK(sim::draw({}, Seed{1}, {}).empty());
}

TEST_CASE("World::choose does not depend on the choices of other tags", "[sim][scenario][unit]") {
    sim::World one{Seed{7}}, two{Seed{7}}, other{Seed{8}};
    std::vector<std::uint64_t> a, b, c;
    for (int i = 0; i < 100; ++i) {
        a.push_back(one.choose("size", 1000));
        static_cast<void>(two.choose("colour", 3));
        b.push_back(two.choose("size", 1000));
        c.push_back(other.choose("size", 1000));
    }
    CHECK(a == b);
    CHECK(a != c);
    CHECK(std::set<std::uint64_t>(a.begin(), a.end()).size() > 50);
    int hits = 0;
    for (int i = 0; i < 1000; ++i) hits += one.chance("rare", 10) ? 1 : 0;
    CHECK(hits > 50);
    CHECK(hits < 150);
    CHECK_FALSE(one.chance("never", 0));
    CHECK(one.chance("always", 100));
    CHECK(aborts_with([] {
              sim::World world{Seed{7}};
              static_cast<void>(world.choose("nothing", 0));
          }).find("choose") != std::string::npos);
}

TEST_CASE("Host::buggify fires in a part of the worlds until heal", "[sim][scenario][unit]") {
    int worlds = 0, fired_in = 0, fired = 0;
    for (std::uint64_t seed = 1; seed <= 400; ++seed, ++worlds) {
        sim::World world{Seed{seed}};
        sim::Host& h = world.host("a");
        int here = 0;
        for (int i = 0; i < 40; ++i) here += h.buggify() ? 1 : 0;
        fired_in += here != 0 ? 1 : 0;
        fired += here;
        world.heal();
        for (int i = 0; i < 40; ++i) CHECK_FALSE(h.buggify());
    }
    CHECK(fired_in > 60);
    CHECK(fired_in < 140);
    CHECK(fired > 7 * fired_in);
    CHECK(fired < 13 * fired_in);
}

TEST_CASE("World::play begins and ends the faults of links and readers", "[sim][scenario][unit]") {
    const auto faults = sim::Scenario{}
                            .during(1s, 4s, sim::exponential_latency("client", "server", 3s, 3s))
                            .during(10s, 14s, sim::black_hole("server"))
                            .during(11s, 13s, sim::partition("client", "server"))
                            .during(11s, 15s, sim::black_hole("server"))
                            .during(20s, 24s, sim::slow_reader("server", 1))
                            .during(30s, 34s, sim::unknown_name("server"))
                            .at(31s, sim::drop_connections("client", "server"))
                            .during(40s, 44s, sim::bandwidth("client", "server", 1, 100));
    CHECK(to_cpp(faults) == R"(sim::Scenario{}
    .during(1s, 4s, sim::exponential_latency("client", "server", 3s, 3s))
    .during(10s, 14s, sim::black_hole("server"))
    .during(11s, 13s, sim::partition("client", "server"))
    .during(11s, 15s, sim::black_hole("server"))
    .during(20s, 24s, sim::slow_reader("server", 1))
    .during(30s, 34s, sim::unknown_name("server"))
    .at(31s, sim::drop_connections("client", "server"))
    .during(40s, 44s, sim::bandwidth("client", "server", 1, 100)))");
    ScenarioWorld w{7, {.record_lines = 100'000}};
    w.world.play(faults);
    const auto at = [&](Duration t) { w.world.run_for(Instant{t} - w.world.now()); };
    const auto works_only_before_and_after = [&](Duration from, Duration to) {
        at(from - 100ms);
        CHECK(w.works());
        at(to - 500ms);
        CHECK_FALSE(w.works());
        at(to + 4s);
        CHECK(w.works());
    };
    works_only_before_and_after(1s, 4s);
    works_only_before_and_after(10s, 15s);
    works_only_before_and_after(20s, 24s);
    works_only_before_and_after(30s, 34s);
    works_only_before_and_after(40s, 44s);
    CHECK(w.world.text().find("partition of server and all others") != std::string::npos);
    CHECK(w.world.text().find("fault sim::unknown_name(\"server\")") != std::string::npos);
}

TEST_CASE("World::heal ends the faults of links and readers", "[sim][scenario][unit]") {
    ScenarioWorld w;
    w.world.play(sim::Scenario{}
                     .at(1s, sim::exponential_latency("client", "server", 5s, 5s))
                     .at(1s, sim::black_hole("server"))
                     .at(1s, sim::slow_reader("server", 1))
                     .at(1s, sim::unknown_name("server"))
                     .heal_at(30s));
    w.world.run_for(29s);
    CHECK_FALSE(w.works());
    w.world.run_for(10s);
    CHECK(w.works());
}

TEST_CASE("draw makes faults of links and readers on demand, and does not change the others",
          "[sim][scenario][unit]") {
    using Kind = sim::Fault::Kind;
    std::map<Kind, int> counts;
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        const sim::Scenario without = sim::draw({}, Seed{seed}, {"a", "b"});
        sim::Scenario rest;
        const sim::ScenarioOptions options{.exponential_latencies = 3,
                                           .slow_readers = 3,
                                           .black_holes = 3,
                                           .unknown_names = 3,
                                           .hanging_names = 3,
                                           .interrupts = 3,
                                           .short_reads = 3};
        const sim::Scenario with = sim::draw(options, Seed{seed}, {"a", "b"});
        for (const auto& step : with.steps()) {
            const sim::Fault& f = step.fault;
            if (f.kind == Kind::exponential_latency) CHECK((f.min <= f.max && f.max <= 2s));
            if (f.kind == Kind::slow_reader) CHECK((f.number >= 1'000 && f.number <= 1'000'000));
            if (f.kind < Kind::exponential_latency) {
                rest.add(step);
            } else {
                ++counts[f.kind];
            }
        }
        CHECK(rest == without);
    }
    for (const Kind kind :
         {Kind::exponential_latency, Kind::black_hole, Kind::unknown_name, Kind::slow_reader,
          Kind::hanging_name, Kind::interrupt, Kind::shorten_reads}) {
        CHECK(counts[kind] > 5);
    }
}
