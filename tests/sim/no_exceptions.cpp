// SPDX-License-Identifier: MIT
// Goal: a world has the same history on each CPU and with each compiler and standard library, and
// needs neither exceptions nor RTTI. Method: the trace hashes of four worlds are pinned. Every
// build runs this program, and the scripts for other CPUs do, too.
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include <belay/sim.hpp>

#include "support/session/session_world.hpp"
#include "support/sim/sim_peers.hpp"

using namespace belay;
using namespace std::chrono_literals;

namespace {

/// An intended change of a draw, a time or a message changes these numbers. This program prints the
/// new ones, which must be written here.
bool is_pinned(const char* name, const sim::World& world, std::uint64_t hash) {
    if (world.trace_hash() == hash) return true;
    std::printf("sim: the world of %s has the hash 0x%016llX after %llu events\n", name,
                static_cast<unsigned long long>(world.trace_hash()),
                static_cast<unsigned long long>(world.events()));
    return false;
}

sim::WorldOptions all_faults(sim::Order order) {
    sim::WorldOptions options{.order = order};
    options.draw = sim::ScenarioOptions{.kills = 3,
                                        .one_way_partitions = 3,
                                        .exponential_latencies = 3,
                                        .bandwidths = 3,
                                        .slow_readers = 3,
                                        .black_holes = 3,
                                        .unknown_names = 3,
                                        .early_closes = 3,
                                        .wall_clocks = 3};
    return options;
}

/// A process that sends a number to an echoing server each 100 ms.
struct Talker {
    Talker(sim::Host& h, belay_test::Notes& notes, const belay_test::PeerOptions& peers)
        : host{h}, client{h, notes, peers} {
        talk();
    }
    void talk() {
        static_cast<void>(client.link.send(to_bytes(std::to_string(++sent))));
        host.after(100ms, [this] { talk(); });
    }
    sim::Host& host;
    belay_test::Client client;
    int sent = 0;
};

/// Two clients and a server, which exchange messages under every fault.
bool talks(const char* name, sim::Order order, std::uint64_t hash) {
    belay_test::Server::ConnectionLog connections;
    belay_test::Notes notes;
    const belay_test::PeerOptions peers{{.every = 1s, .dead_after = 3s}};
    sim::World world{Seed{11}, all_faults(order)};
    // Many events of one instant.
    world.network().latency(2ms, 2ms);
    sim::Host& server = world.host("server", [&](sim::Host& h) {
        auto process = std::make_unique<belay_test::Server>(h, connections, peers);
        process->echo = true;
        return process;
    });
    for (const char* const client : {"alice", "bob"}) {
        sim::Host& host = world.host(
            client, [&](sim::Host& h) { return std::make_unique<Talker>(h, notes, peers); });
        world.network().exponential_latency(server, host, 1ms, 4ms);
    }
    world.run_for(20s);
    world.heal();
    world.run_for(5s);
    return is_pinned(name, world, hash) && !notes.messages().empty() && world.faults_begun() > 5;
}

/// The same over streams of bytes.
bool streams(std::uint64_t hash) {
    using Guest = Supervisor<sim::AcceptedStream<>, MaxAttempts, belay_test::NotesObserver>;
    using Dialler = Supervisor<sim::Stream<>, MaxAttempts, belay_test::NotesObserver>;
    belay_test::Notes there, here;
    there.echo = true;
    sim::World world{Seed{12}};
    std::vector<std::unique_ptr<Guest>> guests;
    sim::Host& server = world.host("server", [&](sim::Host& h) {
        sim::listen_stream(h, 9000, [&](sim::AcceptedStream<> connection) {
            guests.push_back(std::make_unique<Guest>(std::move(connection), MaxAttempts{1},
                                                     SupervisorOptions{},
                                                     belay_test::NotesObserver{&there}));
            h.attach(*guests.back());
            guests.back()->start();
        });
    });
    Dialler link{sim::Stream<>{world.host("client"), "server", 9000}, MaxAttempts{3},
                 SupervisorOptions{}, belay_test::NotesObserver{&here}};
    sim::Host& client = *world.find("client");
    client.attach(link);
    link.start();
    world.network().bandwidth(client, server, 100'000, 2'000);
    for (int i = 0; i < 50; ++i) {
        world.after(i * 20ms, [&link, i] {
            static_cast<void>(link.send(Bytes(static_cast<std::size_t>(i) * 100)));
        });
    }
    world.run_for(20s);
    return is_pinned("streams", world, hash) && here.messages().size() > 40;
}

/// A session whose processes crash, with journals on disks that lose unsynced data.
bool session(std::uint64_t hash) {
    const belay_test::SessionWorldOptions options;
    sim::World world{Seed{13}, {.draw = options.faults}};
    const bool passed = belay_test::session_body<>(options)(world);
    return is_pinned("sessions", world, hash) && passed;
}

}  // namespace

int main() {
    bool right = talks("links", sim::Order::fifo, 0x27F043228CE978E3U);
    right = talks("shuffled links", sim::Order::shuffled, 0x31ED62A8D466D067U) && right;
    right = streams(0xDA8098D423E1E4FDU) && right;
    right = session(0xE1C6AEA0A041ABF8U) && right;
    if (!right) std::printf("a world differs, or did not end as it must\n");
    return right ? 0 : 1;
}
