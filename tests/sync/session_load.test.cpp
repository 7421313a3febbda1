// SPDX-License-Identifier: MIT
// Goal: a million operations that were taken while the peer was down are delivered once each, in
// order, although both sides are killed while they drain. Method: a world in virtual time.
#include <belay/sync/receiver.hpp>
#include <belay/sync/session.hpp>

#include <memory>
#include <optional>

#include <belay/policy/attempt_timeout.hpp>
#include <belay/policy/backoff.hpp>
#include <belay/queue/journal.hpp>
#include <belay/sim.hpp>

#include "support/catch.hpp"
#include "support/seeds.hpp"

using namespace belay;
using namespace std::chrono_literals;

namespace {

constexpr std::uint16_t port = 1;

Bytes body_of(std::uint64_t number) {
    Bytes body(16);
    store_le<std::uint64_t>(body.data(), number);
    store_le<std::uint64_t>(body.data() + 8, number * 0x9E3779B97F4A7C15U);
    return body;
}

/// What the server has durably: a number is enough to tell whether each came once, in order.
struct Shelf {
    std::map<Id, Progress> progress;
    std::uint64_t delivered = 0;
    bool wrong = false;
};

/// What a server's process knows; what it had not committed is gone when it is killed.
class Ledger {
public:
    explicit Ledger(Shelf& shelf) : shelf_{&shelf}, now_{shelf} {}

    [[nodiscard]] const Id& store_id() const noexcept { return store_; }
    [[nodiscard]] std::optional<Progress> progress(const Id& sender) const {
        const auto i = now_.progress.find(sender);
        return i == now_.progress.end() ? std::nullopt : std::optional{i->second};
    }
    std::error_code adopt(const Id& sender, const Progress& p) {
        now_.progress[sender] = p;
        return commit();
    }
    std::error_code apply(const Id& sender, const Progress& p, BytesView operation) {
        now_.progress[sender] = p;
        const Bytes expected = body_of(++now_.delivered);
        if (p.applied != now_.delivered ||
            !std::equal(operation.begin(), operation.end(), expected.begin(), expected.end())) {
            now_.wrong = true;
        }
        return {};
    }
    std::error_code commit() {
        *shelf_ = now_;
        return {};
    }

private:
    Id store_{std::byte{9}};
    Shelf* shelf_;
    Shelf now_;
};

struct Server {
    Server(sim::Host& host, Shelf& shelf) : receiver{Ledger{shelf}} {
        host.attach(receiver);
        host.listen(port,
                    [this](sim::Accepted connection) { receiver.accept(std::move(connection)); });
    }
    Receiver<sim::Accepted, Ledger> receiver;
};

auto patience() { return Policy{Backoff{FullJitter{}, Cap{2s}, 100ms}, AttemptTimeout{3s}}; }

struct Client {
    using Link = Session<sim::Tcp, decltype(patience()), Queue<Journal<sim::Disk>>>;

    Client(sim::Host& h, std::uint64_t all)
        : host{h},
          operations{all},
          session{sim::Tcp{h, "server", port}, patience(),
                  Queue{Journal<sim::Disk>::open(h.disk(), "outbox",
                                                 {.segment_bytes = std::size_t{1} << 20,
                                                  .record_bytes_max = 4096,
                                                  .seed = Seed{h.starts()}})
                            .value(),
                        {.limit = 2'000'000}},
                  SessionOptions{.sender = {.sender = Id{std::byte{1}}}}} {
        h.attach(session);
        session.start();
        fill();
    }
    void fill() {
        std::uint64_t n = session.queue().storage().last();
        for (int i = 0; i < 5000 && n < operations; ++i) {
            REQUIRE(session.send(body_of(++n)));
        }
        if (n < operations) host.after(1ms, [this] { fill(); });
    }

    sim::Host& host;
    std::uint64_t operations;
    Link session;
};

}  // namespace

TEST_CASE("Session drains a million operations through kills of both sides, each once, in order",
          "[sync][session_load][sim]") {
    // A million in Release, a tenth under sanitizers.
    const std::uint64_t operations =
        belay_test::from_environment("BELAY_SEEDS", 2000) >= 2000 ? 1'000'000 : 100'000;
    sim::World world{Seed{3}};
    Shelf shelf;
    auto& server =
        world.host("server", [&](sim::Host& h) { return std::make_unique<Server>(h, shelf); });
    auto& client =
        world.host("client", [&](sim::Host& h) { return std::make_unique<Client>(h, operations); });
    world.network().partition(client, server);
    world.run_for(10s);
    CHECK(shelf.delivered == 0);
    CHECK(client.disk().used_bytes() > operations * 40);

    world.network().heal_all();
    int kills = 0;
    for (int i = 0; i < 10000 && shelf.delivered < operations; ++i) {
        world.run_for(operations * 50ns);  // as often, however many there are
        if (shelf.delivered < operations && i % 8 == 7) {
            world.restart(++kills % 2 == 0 ? client : server);
        }
    }
    CHECK(shelf.delivered == operations);
    CHECK_FALSE(shelf.wrong);
    CHECK(kills >= 4);
    // What was delivered is given up: two files are left.
    world.run_for(10s);
    CHECK(client.disk().used_bytes() <= std::uint64_t{3} << 20);
}
