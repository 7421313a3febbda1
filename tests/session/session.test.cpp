// SPDX-License-Identifier: MIT
// Goal: every accepted operation takes effect once and in order, under all faults. Method:
// exploration, and worlds that run again.
#include <belay/session/session.hpp>

#include <belay/sim/stream.hpp>

#include "support/catch.hpp"
#include "support/session/memory_ledger.hpp"
#include "support/session/session_world.hpp"
#include "support/worlds/explored.hpp"

using namespace belay;
using namespace belay_test;

namespace {

/// BELAY_SEEDS worlds, but no more than `most`.
sim::Report explored_sessions(const SessionWorldOptions& options, std::uint64_t most) {
    const std::uint64_t seeds = std::min(from_environment("BELAY_SEEDS", 2000), most);
    return explored_as_wanted({.seeds = seeds, .scenario = options.faults},
                              session_body<>(options));
}
/// In how many worlds a mark was reached.
std::uint64_t reached(const sim::Report& report, std::string_view mark) {
    const auto found = report.marks.find(mark);
    return found == report.marks.end() ? 0 : found->second;
}

struct SlowServer {
    SlowServer(sim::Host& host, MemoryLedger& ledger) : receiver{LedgerView{ledger}} {
        host.attach(receiver);
        sim::listen_stream(host, 1, [this](sim::AcceptedStream<> accepted) {
            receiver.accept(std::move(accepted));
        });
    }
    Receiver<sim::AcceptedStream<>, LedgerView> receiver;
};

/// What a session over a slow link reports.
struct SlowReports {
    int lost = 0, stalled = 0;
    std::uint64_t acknowledged = 0;
    Instant lost_at = never;
};

/// Sends one operation of 900,000 bytes.
struct SlowClient {
    struct Reporter {
        SlowReports* reports;
        void on_state(const Transition& change) {
            if (change.from != LinkState::connected) return;
            ++reports->lost;
            reports->lost_at = detail::smaller(reports->lost_at, change.to.since);
        }
        void on_stalled() { ++reports->stalled; }
        void on_acknowledged(std::uint64_t up_to) { reports->acknowledged = up_to; }
    };
    using Waits = Policy<Backoff<FullJitter, Cap, Exponential<>>>;

    SlowClient(sim::Host& host, Journal<sim::Disk> journal, SlowReports& reports)
        : session{sim::Stream<>{host, "server", 1}, Waits{Backoff{FullJitter{}, Cap{8s}, 1s}},
                  Queue{std::move(journal)}, SessionOptions{.id = Id{std::byte{1}}},
                  Reporter{&reports}} {
        host.attach(session);
        session.start();
        CHECK(session.send(Bytes(900'000)).has_value());
    }
    Session<sim::Stream<>, Waits, Queue<Journal<sim::Disk>>, Reporter> session;
};

}  // namespace

TEST_CASE("Session delivers an operation whose transfer takes longer than dead_after",
          "[session][session][sim][regression]") {
    MemoryLedger ledger;
    SlowReports reports;
    sim::World world{Seed{1}};
    sim::Host& server = world.host(
        "server", [&](sim::Host& host) { return std::make_unique<SlowServer>(host, ledger); });
    sim::Host& client = world.host("client", [&](sim::Host& host) {
        auto journal = Journal<sim::Disk>::open(host.disk(), "o", {.seed = Seed{9}});
        return std::make_unique<SlowClient>(host, std::move(journal.value()), reports);
    });
    world.network().bandwidth(client, server, 10'000);  // 90 s
    SECTION("the receiver reads at once") {
        world.run_for(2min);
        CHECK(reports.acknowledged == 1);
        CHECK(reports.lost == 0);
        CHECK(ledger.effects.size() == 1);
        CHECK(reports.stalled == 1);  // 60 s without an acknowledgement
    }
    SECTION("the receiver stops reading") {
        world.run_for(30s);
        world.pause(server);
        const Instant paused = world.now();
        world.run_for(10min);
        CHECK(reports.acknowledged == 0);
        CHECK(elapsed(paused, reports.lost_at) <= 25s);
        CHECK(reports.stalled <= 1);
    }
}

TEST_CASE("Session delivers everything when nothing fails", "[session][session][sim]") {
    sim::World world{Seed{1}};
    SessionWorld<>& w = world.make<SessionWorld<>>(world, SessionWorldOptions{.cut_one_in = 0});
    CHECK(w.run());
    CHECK(w.connected.size() == 1);
    CHECK_FALSE(world.marks().contains("connected again"));
}

TEST_CASE("Session delivers each operation exactly once, in order, under all faults",
          "[session][session][sim][property]") {
    SessionWorldOptions options;
    options.latency_max = 60ms;
    options.receiver.commit_within = 20ms;
    const sim::Report report = explored_sessions(options, no_limit);
    CHECK(report);
    // The worlds must have been worth passing.
    CHECK(reached(report, "connected again") >= report.seeds_run / 2);
    CHECK(reached(report, "killed with operations in flight") >= report.seeds_run / 2);
}

TEST_CASE("Session drains within the time limit, and delivers all accepted operations",
          "[session][session][sim][property]") {
    SessionWorldOptions options;
    options.drains = 8;
    options.latency_max = 60ms;
    const sim::Report report = explored_sessions(options, 500);
    CHECK(report);
    CHECK(reached(report, "drained") >= report.seeds_run / 2);
    CHECK(reached(report, "drained late") >= report.seeds_run / 8);
}

TEST_CASE("Session and Receiver have the same history however often they are advanced",
          "[session][session][sim][property]") {
    const auto hash = [](Seed seed, std::uint32_t extra_turns_one_in) {
        const SessionWorldOptions options;
        sim::World world{seed, {.extra_turns_one_in = extra_turns_one_in, .draw = options.faults}};
        REQUIRE(session_body<>(options)(world));
        return world.trace_hash();
    };
    for_each_seed(
        [&](Seed seed) {
            // Two equal runs are compared above: ExploreOptions::recheck_percent.
            REQUIRE(hash(seed, 0) == hash(seed, 2));
        },
        150);
}
