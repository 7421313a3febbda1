// SPDX-License-Identifier: MIT
// The same session in virtual time: an hour of outages in milliseconds, the same for every seed.
#include <cstdio>
#include <memory>

#include <belay/belay.hpp>
#include <belay/journal.hpp>
#include <belay/sim.hpp>

#include "ledger_in_memory.hpp"

using namespace belay;  // in examples only
using namespace std::chrono_literals;

namespace {

constexpr std::uint16_t port = 1;

/// The process on the server: it is killed and started again, and its shelf stays.
struct Server {
    Server(sim::Host& host, LedgerStorage& storage) : receiver{LedgerInMemory{storage}} {
        host.attach(receiver);
        host.listen(port, [this](sim::Accepted connection) {
            receiver.accept(Heartbeat{std::move(connection), {.every = 1s, .dead_after = 5s}});
        });
    }
    Receiver<Heartbeat<sim::Accepted>, LedgerInMemory> receiver;
};

auto patience() { return Policy{Backoff{FullJitter{}, Cap{5s}, 100ms}, AttemptTimeout{3s}}; }

/// The process on the client: an operation each second, for an hour.
struct Client {
    using Link = Session<Heartbeat<sim::Tcp>, decltype(patience()), Queue<Journal<sim::Disk>>>;

    Client(sim::Host& h, Journal<sim::Disk> journal)
        : host{h},
          session{Heartbeat{sim::Tcp{h, "server", port}, {.every = 1s, .dead_after = 4s}},
                  patience(), Queue{std::move(journal), {.limit = 10000}},
                  SessionOptions{.id = Id{std::byte{1}}}} {
        h.attach(session);
        session.start();
        work();
    }
    /// The journal knows how far we were, also after a kill.
    void work() {
        const std::uint64_t n = session.queue().storage().last() + 1;
        if (n > 3600) return;
        static_cast<void>(session.send(as_bytes("operation " + std::to_string(n))));
        host.after(1s, [this] { work(); });
    }

    sim::Host& host;
    Link session;
};

}  // namespace

int main(int count, char** words) {
    const std::uint64_t seed = count > 1 ? std::strtoull(words[1], nullptr, 10) : 1;
    sim::World world{Seed{seed}};
    LedgerStorage storage;
    auto& server =
        world.host("server", [&](sim::Host& h) { return std::make_unique<Server>(h, storage); });
    // Small files, and ids that follow from the seed, as everything must.
    auto& client = world.host("client", [&](sim::Host& h) {
        const JournalOptions options{.segment_bytes = std::size_t{64} << 10U,
                                     .record_bytes_max = 4096,
                                     .seed = Seed{seed * 1000 + h.starts()}};
        return std::make_unique<Client>(
            h, Journal<sim::Disk>::open(h.disk(), "outbox", options).value());
    });
    // Every minute something else.
    for (int minute = 1; minute < 60; ++minute) {
        world.at(minute * 60s, [&, minute] {
            switch (minute % 4) {
                case 0:
                    return world.restart(server);
                case 1:
                    return world.restart(client);
                case 2:
                    return world.network().partition(client, server);
                default:
                    return world.pause(server);
            }
        });
        world.at(minute * 60s + 20s, [&] {
            world.network().heal_all();
            world.resume(server);
        });
    }
    world.run_for(1h + 1min);

    bool in_order = storage.delivered.size() == 3600;
    for (std::size_t i = 0; in_order && i < 3600; ++i) {
        in_order = storage.delivered[i] == "operation " + std::to_string(i + 1);
    }
    std::printf("seed %llu: %zu of 3600 delivered, %s, in %llu events, trace %016llx\n",
                static_cast<unsigned long long>(seed), storage.delivered.size(),
                in_order ? "each once and in order" : "WRONG",
                static_cast<unsigned long long>(world.events()),
                static_cast<unsigned long long>(world.trace_hash()));
    return in_order ? 0 : 1;
}
