// SPDX-License-Identifier: MIT
// The ledger of docs/tutorials/exactly-once.md on disks that lose unsynced data. Both sides are killed again and
// again, and no operation is lost, and none takes effect twice.
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#define main page_main
#include BELAY_SESSION_PAGE
#undef main

#include <belay/session/ledger_check.hpp>
#include <belay/sim.hpp>

namespace {

auto patience() {
    return Policy{Backoff{FullJitter{}, Cap{400ms}, 20ms}, ResetWhenStable{500ms},
                  AttemptTimeout{800ms}};
}

/// The number that operation `number` of a sender adds. All numbers differ, and no two of their
/// sums are equal by chance.
std::int64_t change(std::size_t sender, std::uint64_t number) {
    Random bits{Seed{(sender << 32) + number}};
    return static_cast<std::int64_t>(bits() >> 16);
}

struct Server {
    using Ledger = Stock<sim::Disk>;
    Server(sim::Host& host, Ledger ledger)
        : receiver{std::move(ledger), ReceiverOptions{.commit_within = 5ms}} {
        host.attach(receiver);
        host.listen(1, [this](sim::Accepted connection) {
            receiver.accept(
                Heartbeat{std::move(connection), {.every = 100ms, .dead_after = 400ms}});
        });
    }
    Receiver<Heartbeat<sim::Accepted>, Ledger> receiver;
};

struct Sender {
    using Link = Session<Heartbeat<sim::Tcp>, decltype(patience()), Queue<Journal<sim::Disk>>>;
    Sender(sim::Host& h, Journal<sim::Disk> journal, std::size_t i, std::uint64_t n)
        : host{h},
          index{i},
          operations{n},
          session{Heartbeat{sim::Tcp{h, "server", 1}, {.every = 100ms, .dead_after = 300ms}},
                  patience(), Queue{std::move(journal)},
                  SessionOptions{.id = Id{std::byte(1 + i)}, .greeting_max = 700ms}} {
        h.attach(session);
        session.start();
        work();
    }
    void work() {
        for (int i = 0; i < 40; ++i) {
            const std::uint64_t number = session.queue().storage().last() + 1;
            if (number > operations ||
                !session.send(as_bytes(std::to_string(change(index, number)))))
                break;
        }
        host.after(200ms, [this] { work(); });
    }
    bool done() { return session.queue().storage().last() == operations && session.depth() == 0; }

    sim::Host& host;
    std::size_t index;
    std::uint64_t operations;
    Link session;
};

auto open(sim::Host& host, const std::string& directory) {
    return Journal<sim::Disk>::open(host.disk(), directory,
                                    {.segment_bytes = 8192, .record_bytes_max = 512});
}

int fail(std::uint64_t seed, const char* why) {
    return std::printf("seed %d: %s\n", static_cast<int>(seed), why), 1;
}

int run(std::uint64_t seed) {
    // The second sender is silent for the time in which the first one sends more than the ledger may hold.
    const std::vector<std::uint64_t> operations = {3'000, 3};
    bool damaged = false;
    sim::World world{Seed{seed}};
    sim::Host& server = world.host("server", [&](sim::Host& host) -> std::unique_ptr<Server> {
        auto journal = open(host, "stock");
        if (!journal) return damaged = true, nullptr;
        auto ledger = Stock<sim::Disk>::load(std::move(*journal));
        if (!ledger) return damaged = true, nullptr;
        return std::make_unique<Server>(host, std::move(*ledger));
    });
    std::vector<sim::Host*> senders;
    for (std::size_t i = 0; i < operations.size(); ++i) {
        senders.push_back(&world.host(
            "sender" + std::to_string(i), [&, i](sim::Host& host) -> std::unique_ptr<Sender> {
                auto journal = open(host, "outbox");
                if (!journal) return damaged = true, nullptr;
                return std::make_unique<Sender>(host, std::move(*journal), i, operations[i]);
            }));
    }
    for (int i = 0; i < 20; ++i) {
        sim::Host* const host = i % 2 == 0 ? &server : senders[uniform_upto(world.bits(), 1)];
        world.at(Duration{static_cast<std::int64_t>(uniform_upto(world.bits(), 20'000'000'000))},
                 [&world, host] { world.restart(*host); });
    }
    world.run_for(20s);
    const auto all_done = [&] {
        for (sim::Host* const host : senders) {
            Sender* const sender = host->process<Sender>();
            if (sender == nullptr || !sender->done()) return false;
        }
        return true;
    };
    if (!world.run_until(all_done, 10min)) return fail(seed, "an operation was never acknowledged");
    std::int64_t sum = 0;
    for (std::size_t i = 0; i < operations.size(); ++i) {
        for (std::uint64_t number = 1; number <= operations[i]; ++number) sum += change(i, number);
    }
    if (server.process<Server>()->receiver.ledger().count() != sum)
        return fail(seed, "the stock is wrong");
    world.restart(server);
    world.run_for(1s);
    if (damaged) return fail(seed, "a journal did not open");
    if (server.process<Server>()->receiver.ledger().count() != sum)
        return fail(seed, "the stock is wrong after a restart");
    const auto held = server.disk().list("stock");
    return held && held->size() <= 20 ? 0 : fail(seed, "old entries were not released");
}

/// The same ledger under check::ledger, on a disk whose power fails at every second reopening.
int check_ledger() {
    sim::Disk disk;
    Random bits{Seed{1}};
    std::uint64_t openings = 0;
    const auto stock = [&] {
        const JournalOptions options{
            .segment_bytes = 8192, .record_bytes_max = 512, .seed = Seed{++openings}};
        return Stock<sim::Disk>::load(Journal<sim::Disk>::open(disk, "stock", options).value())
            .value();
    };
    const auto fault = check::ledger(
        [&] { return disk.restore({}), stock(); },
        [&] {
            if (openings % 2 == 0) disk.crash(bits);
            return stock();
        },
        [](const Stock<sim::Disk>& ledger) { return ledger.count(); },
        {.histories = 20, .operation = [](Random&) { return Bytes{std::byte{'1'}}; }});
    if (fault) std::puts(to_string(fault->rule));
    return fault ? 1 : 0;
}

}  // namespace

int main() {
    if (check_ledger() != 0) return 1;
    const char* const seeds = std::getenv("BELAY_SEEDS");
    const std::uint64_t count =
        1 + std::strtoull(seeds != nullptr ? seeds : "100", nullptr, 10) / 10;
    for (std::uint64_t seed = 1; seed <= count; ++seed) {
        if (run(seed) != 0) return 1;
    }
    return 0;
}
