// SPDX-License-Identifier: MIT
// Goal: a program that crashes soon after each start does not overload its server, and one that
// works until its power is cut is not taken for such a program. Method: a client that keeps its
// policy's history in its journal, and one that does not, both killed every two seconds; and one
// that is connected, and killed each hour.
#include <belay/policy/remembered.hpp>
#include <belay/session/receiver.hpp>
#include <belay/session/session.hpp>

#include <memory>
#include <optional>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/journal/journal.hpp>
#include <belay/policy/rules.hpp>
#include <belay/sim.hpp>

#include "support/catch.hpp"
#include "support/session/sim_ledger.hpp"

using namespace belay;
using namespace std::chrono_literals;

// If it were longer, a journal could not store it.
static_assert(PolicyHistory::bytes_max <= journal_format::note_bytes_max);

namespace {

auto rules() { return Policy{Backoff{NoJitter{}, Cap{60s}, 1s}, AttemptTimeout{5s}}; }
auto limited() { return Policy{Backoff{NoJitter{}, Cap{60s}, 1s}, MaxAttempts{10}}; }

/// A program whose journal holds the operations and the policy's state.
template <auto make>
struct RememberingClient {
    struct Keeper {
        RememberingClient* client;
        int* attempts;
        void on_state(auto& link, const Transition& change) {
            if (change.to.state == LinkState::connecting) ++*attempts;
            client->keep(link.queue().storage());
            // When the connection is stable, no hook reports it.
            if (change.to.state != LinkState::connected) return;
            client->host.after(11s, [this, &link] { client->keep(link.queue().storage()); });
        }
    };
    using Rules = Remembered<decltype(make())>;
    using Link = Session<sim::Tcp, Rules, Queue<Journal<sim::Disk>>, Keeper>;

    RememberingClient(sim::Host& h, int& attempts, bool remembers) : host{h} {
        auto journal =
            Journal<sim::Disk>::open(
                h.disk(), "outbox",
                {.segment_bytes = 8192, .record_bytes_max = 256, .seed = Seed{h.starts()}})
                .value();
        Random bits{Seed{h.starts()}};
        Turn turn{h.now(), bits};
        if (remembers) REQUIRE(history.restore(journal.kept(), h.now(), wall()));
        session.emplace(sim::Tcp{h, "server", 1}, Rules{history, make(), turn},
                        Queue{std::move(journal)}, SessionOptions{.id = Id{std::byte{1}}},
                        Keeper{this, &attempts});
        h.attach(*session);
        session->start();
    }
    void keep(Journal<sim::Disk>& journal) {
        std::array<std::byte, PolicyHistory::bytes_max> room;
        CHECK_FALSE(journal.keep(history.save(room, host.now(), wall())));
        CHECK_FALSE(journal.commit());
    }
    /// The wall clock runs on while the program is down, as that of a host does.
    [[nodiscard]] WallTime wall() const { return WallTime{host.now().time_since_epoch()}; }

    sim::Host& host;
    PolicyHistory history;
    std::optional<Link> session;
};

struct PlainServer {
    PlainServer(sim::Host& h, Random bits) : receiver{belay_test::SimLedger{h.disk(), bits}} {
        h.attach(receiver);
        h.listen(1, [this](sim::Accepted connection) { receiver.accept(std::move(connection)); });
    }
    Receiver<sim::Accepted, belay_test::SimLedger> receiver;
};

int attempts_in_ten_minutes(bool remembers) {
    sim::World world{Seed{1}};
    int attempts = 0;
    auto& server = world.host("server", [](sim::Host&) { return std::make_unique<int>(0); });
    auto& client = world.host("client", [&](sim::Host& h) {
        return std::make_unique<RememberingClient<rules>>(h, attempts, remembers);
    });
    world.network().partition(client, server);
    for (Duration at = 2s; at < 10min; at += 2s) {
        world.at(at, [&] { world.restart(client); });
    }
    world.run_for(10min);
    return attempts;
}

}  // namespace

TEST_CASE("Session that crashes every two seconds backs off over its restarts",
          "[session][session_crash_loop][unit]") {
    // The waits are 1, 2, 4, ... 60 s, with an attempt after each, in any run of the program.
    const int patient = attempts_in_ten_minutes(true);
    CHECK(patient > 8);
    CHECK(patient < 20);
    CHECK(attempts_in_ten_minutes(false) == 300);
}

TEST_CASE("Session connects after each start, although its program never ends in an orderly way",
          "[session][session_crash_loop][regression]") {
    sim::World world{Seed{1}};
    int attempts = 0;
    world.host("server",
               [](sim::Host& h) { return std::make_unique<PlainServer>(h, Random{Seed{2}}); });
    auto& client = world.host("client", [&](sim::Host& h) {
        return std::make_unique<RememberingClient<limited>>(h, attempts, true);
    });
    for (int run = 1; run <= 15; ++run) {
        world.run_for(1h);
        CAPTURE(run);
        REQUIRE(client.process<RememberingClient<limited>>()->session->status().link.state ==
                LinkState::connected);
        CHECK(attempts == run);
        world.restart(client);
    }
}
