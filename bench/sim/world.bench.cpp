// SPDX-License-Identifier: MIT
// How many events a world runs in a second: timers alone, messages between supervised hosts, an
// hour of outages.
#include <memory>
#include <queue>
#include <vector>

#include <benchmark/benchmark.h>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/link/heartbeat.hpp>
#include <belay/link/supervisor.hpp>
#include <belay/policy/rules.hpp>
#include <belay/sim/world.hpp>

namespace {

using namespace belay;
using namespace std::chrono_literals;

auto policy() { return Policy{Backoff{FullJitter{}, Cap{30s}, 1s}}; }

/// Says what it hears.
struct Echo {
    void on_message(auto& link, Bytes m, Lane) { static_cast<void>(link.send(m)); }
};
/// Begins the conversation, and goes on with it.
struct Sending : Echo {
    void on_state(auto& link, const Transition& t) {
        if (t.to.state != LinkState::connected) return;
        for (int i = 0; i < 4; ++i) static_cast<void>(link.send(Bytes(64)));
    }
};
struct Quiet {
    void on_message(Bytes) {}
};

template <class Observer>
struct Server {
    struct Peer {
        Peer(sim::Host& h, sim::Accepted a)
            : link{std::move(a), Policy{AttemptTimeout{30s}}, {}, {}} {
            h.attach(link);
            link.start();
        }
        Supervisor<sim::Accepted, Policy<AttemptTimeout>, Observer> link;
    };
    explicit Server(sim::Host& h) {
        h.listen(9000,
                 [this, &h](sim::Accepted a) { peer = std::make_unique<Peer>(h, std::move(a)); });
    }
    std::unique_ptr<Peer> peer;
};
template <class Observer>
struct Client {
    using Transport = Heartbeat<sim::Tcp>;
    explicit Client(sim::Host& h)
        : link{Transport{sim::Tcp{h, "server", 9000}, {.every = 10s, .dead_after = 25s}},
               policy(),
               {},
               {}} {
        h.attach(link);
        link.start();
    }
    Supervisor<Transport, decltype(policy()), Observer> link;
};

/// Each message is sent, carried, read in a turn, and answered.
void messages(benchmark::State& state) {
    sim::World world{Seed{7}};
    world.host("server", [](sim::Host& h) { return std::make_unique<Server<Echo>>(h); });
    world.host("client", [](sim::Host& h) { return std::make_unique<Client<Sending>>(h); });
    world.run_for(1s);
    const std::uint64_t before = world.events();
    for (auto _ : state) world.run_for(1s);
    state.SetItemsProcessed(static_cast<std::int64_t>(world.events() - before));
}

/// A function of a host that sets itself again.
struct Again {
    void operator()() const {
        const auto latency = static_cast<std::int64_t>(uniform_upto(bits, 4'000'000));
        host.after(Duration{1'000'000 + latency}, *this);
    }
    sim::Host& host;
    Random& bits;
};
void timers(benchmark::State& state) {
    Random bits{Seed{7}};
    sim::World world{Seed{7}};
    sim::Host& host = world.host("host");
    for (int i = 0; i < 4; ++i) host.post(Again{host, bits});
    world.run_for(1s);
    const std::uint64_t before = world.events();
    for (auto _ : state) world.run_for(1s);
    state.SetItemsProcessed(static_cast<std::int64_t>(world.events() - before));
}

/// What it costs to start a world: many worlds of 300 events, and as many events of one world.
void short_worlds(benchmark::State& state) {
    std::uint64_t events = 0;
    for (auto _ : state) {
        Random bits{Seed{7}};
        sim::World world{Seed{7}};
        sim::Host& host = world.host("host");
        for (int i = 0; i < 4; ++i) host.post(Again{host, bits});
        world.run_for(223ms);
        events += world.events();
    }
    state.SetItemsProcessed(static_cast<std::int64_t>(events));
    state.counters["events"] =
        static_cast<double>(events) / static_cast<double>(state.iterations());
}

/// The least that a simulator can do: a priority queue of times, and a call for each.
void bare_queue(benchmark::State& state) {
    struct Later {
        bool operator()(const std::pair<std::int64_t, std::uint64_t>& a,
                        const std::pair<std::int64_t, std::uint64_t>& b) const {
            return a > b;
        }
    };
    std::priority_queue<std::pair<std::int64_t, std::uint64_t>,
                        std::vector<std::pair<std::int64_t, std::uint64_t>>, Later>
        queue;
    Random bits{Seed{7}};
    std::uint64_t order = 0;
    std::int64_t events = 0;
    for (int i = 0; i < 4; ++i) queue.push({0, order++});
    for (auto _ : state) {
        const std::int64_t end = queue.top().first + 1'000'000'000;
        while (queue.top().first < end) {
            const auto now = queue.top().first;
            queue.pop();
            const auto latency = static_cast<std::int64_t>(uniform_upto(bits, 4'000'000));
            queue.push({now + 1'000'000 + latency, order++});
            ++events;
        }
    }
    state.SetItemsProcessed(events);
}

/// A client and a server with a heartbeat of 10 s; every few minutes something falls.
void hour_of_outages(benchmark::State& state) {
    std::uint64_t events = 0;
    for (auto _ : state) {
        sim::World world{Seed{7}};
        sim::Host& server =
            world.host("server", [](sim::Host& h) { return std::make_unique<Server<Quiet>>(h); });
        sim::Host& client =
            world.host("client", [](sim::Host& h) { return std::make_unique<Client<Quiet>>(h); });
        for (int i = 0; i < 12; ++i) {
            const Duration at = 5min * i + 1min;
            world.at(at, [&] { world.network().partition(client, server); });
            world.at(at + 1min, [&] { world.network().heal(client, server); });
            world.at(at + 2min, [&] { world.kill(server); });
            world.at(at + 2min + 10s, [&] { world.restart(server); });
            world.at(at + 3min, [&] { world.restart(client); });
        }
        world.run_for(1h);
        events += world.events();
    }
    state.SetItemsProcessed(static_cast<std::int64_t>(events));
    state.counters["hours/s"] =
        benchmark::Counter(static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}

}  // namespace

BENCHMARK(messages)->Name("sim/world/events/belay");
BENCHMARK(bare_queue)->Name("sim/world/events/bare_queue");
BENCHMARK(timers)->Name("sim/world/timers/belay");
BENCHMARK(bare_queue)->Name("sim/world/timers/bare_queue");
BENCHMARK(short_worlds)->Name("sim/world/of_300_events/belay");
BENCHMARK(timers)->Name("sim/world/of_300_events/one_long_world");
BENCHMARK(hour_of_outages)->Name("sim/world/hour_of_outages/belay");
