// SPDX-License-Identifier: MIT
// Goal: every accepted operation takes effect once and in order, under all faults. Method:
// exploration, and worlds that run again.
#include <belay/session/session.hpp>

#include <belay/sim/stream.hpp>

#include "support/catch.hpp"
#include "support/session/memory_ledger.hpp"
#include "support/session/session_world.hpp"
#include "support/worlds/explored.hpp"
#include "support/worlds/ledger_server.hpp"

using namespace belay;
using namespace belay_test;

namespace {

/// Runs BELAY_SEEDS worlds, but no more than `most`.
sim::Report explored_sessions(const SessionWorldOptions& options, std::uint64_t most) {
    const std::uint64_t seeds = std::min(from_environment("BELAY_SEEDS", 2000), most);
    return explored_as_wanted({.seeds = seeds, .scenario = options.faults},
                              session_body<>(options));
}
/// Returns the number of worlds in which a mark was reached.
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

/// The events of a session over a slow link.
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

// ---- other heartbeat times at both ends, and operations that take long --------------------------

/// The random choices of one world.
struct OtherTimes {
    static constexpr std::size_t window_bytes = 2048;
    static constexpr std::uint64_t operations = 8;

    explicit OtherTimes(sim::World& world)
        : client{draw(world, "client")},
          server{draw(world, "server")},
          stalled_after{std::chrono::milliseconds{500 + world.choose("stalled after", 8000)}} {
        // A piece of a message arrives within a quarter of the shorter dead_after.
        const Duration piece = detail::smaller(client.dead_after, server.dead_after) / 4;
        rate = (window_bytes + 40) * 1'000'000'000 / static_cast<std::uint64_t>(piece.count());
        rate *= 1 + world.choose("rate", 4);
        if (world.chance("a commit waits", 40)) {
            receiver.commit_within = std::chrono::milliseconds{world.choose("commit within", 3000)};
        }
        if (world.chance("a small window", 40)) receiver.limits.number_window = 1;
        receiver.heartbeat = server;
        if (world.chance("apply takes long", 40)) {
            apply_takes = std::chrono::milliseconds{world.choose("apply takes", 12'000)};
        }
    }
    static HeartbeatOptions draw(sim::World& world, const std::string& side) {
        // Uniform in the exponent: 0.2 s to 6.4 s.
        const auto dead_ms = (200 + world.choose("dead_after of " + side, 200))
                             << world.choose("its exponent, " + side, 5);
        const auto every_ms = 50 + world.choose("every of " + side, dead_ms - 149);
        return {.every = std::chrono::milliseconds{every_ms},
                .dead_after = std::chrono::milliseconds{dead_ms}};
    }

    HeartbeatOptions client, server;
    Duration stalled_after;
    ReceiverOptions receiver{.commit_within = 5ms, .greeting_max = 2s};
    Duration apply_takes{};
    std::uint64_t rate = 0;
};

/// The observations of the test, which outlive the processes.
struct TimesWorld {
    explicit TimesWorld(sim::World& w) : world{w}, times{w}, history{w.clock()} {}

    sim::World& world;
    OtherTimes times;
    sim::History history;
    std::string wrong{};
    std::uint64_t acknowledged = 0;
};

/// A ledger whose apply() blocks its process for a while.
class BlockingLedger : public SimLedger {
public:
    BlockingLedger(sim::Host& host, TimesWorld& run)
        : SimLedger{host.disk(), run.world.bits()}, host_{&host}, run_{&run} {}

    std::error_code apply(const Id& sender, const Progress& p, BytesView operation) {
        if (const Duration takes = run_->times.apply_takes;
            takes != Duration{} && host_->chance("a long apply", 50)) {
            run_->world.after(0ns, [world = &run_->world, host = host_, takes] {
                if (host->paused()) return;
                world->pause(*host);
                world->after(takes, [world, host] { world->resume(*host); });
            });
        }
        return SimLedger::apply(sender, p, operation);
    }

private:
    sim::Host* host_;
    TimesWorld* run_;
};

struct TimesServer {
    TimesServer(sim::Host& host, TimesWorld& run)
        : receiver{BlockingLedger{host, run}, run.times.receiver} {
        host.attach(receiver);
        sim::listen_stream(host, 1, [this](sim::AcceptedStream<> accepted) {
            receiver.accept(std::move(accepted));
        });
    }
    Receiver<sim::AcceptedStream<>, BlockingLedger> receiver;
};

auto times_policy() {
    return Policy{Backoff{FullJitter{}, Cap{1s}, 100ms}, ResetWhenStable{1s}, AttemptTimeout{3s}};
}

/// Sends operations 1 to 8. Some of them travel for longer than both sides wait for a sign of life.
class TimesClient {
    struct Watch {
        TimesClient* client;
        void on_state(const Transition& change) { client->on_state(change); }
        void on_accepted(std::uint64_t up_to) { client->on_accepted(up_to); }
        void on_acknowledged(std::uint64_t up_to) { client->on_acknowledged(up_to); }
        void on_stalled() { client->on_stalled(); }
        void on_blocked(Blocked why, const BlockedDetails&) {
            client->run_.wrong = "the session is blocked: " + std::string{to_string(why)};
        }
    };
    using Sender =
        Session<sim::Stream<>, decltype(times_policy()), Queue<Journal<sim::Disk>>, Watch>;

public:
    TimesClient(sim::Host& host, TimesWorld& run, Journal<sim::Disk> journal)
        : host_{host},
          run_{run},
          session_{sim::Stream<>{host, "server", 1},
                   times_policy(),
                   Queue{std::move(journal)},
                   {.id = Id{std::byte{1}},
                    .greeting_max = 2s,
                    .stalled_after = run.times.stalled_after,
                    .heartbeat = run.times.client},
                   Watch{this}} {
        waits_ = session_.status().accepted > session_.status().acknowledged;
        host.attach(session_);
        session_.start();
        work();
        check_stall();
    }

private:
    void work() {
        host_.after(std::chrono::milliseconds{host_.choose("pause", 4000)}, [this] { work(); });
        const std::uint64_t next = session_.status().taken + 1;
        if (next > OtherTimes::operations) return;
        std::string operation = std::to_string(next) + " ";
        if (host_.chance("a long operation", 40)) {
            const Duration most =
                detail::larger(run_.times.client.dead_after, run_.times.server.dead_after);
            const auto quarters = static_cast<double>(host_.choose("how long", 12));
            operation.resize(
                static_cast<std::size_t>(static_cast<double>(run_.times.rate) * quarters / 4 *
                                         std::chrono::duration<double>(most).count()) %
                    250'000 +
                8);
            run_.world.reach("a long operation");
        }
        run_.history.invoke("operation", next);
        if (!session_.send(as_bytes(operation))) run_.wrong = "an operation was rejected";
    }
    [[nodiscard]] Duration connected_for() const {
        const bool connected = session_.status().link.state == LinkState::connected;
        return before_ + (connected ? elapsed(since_, host_.now()) : Duration{});
    }
    void progress() {
        before_ = {};
        since_ = host_.now();
        ends_ = 0;
    }
    /// Whether three attempts may have ended after an answer, for longer than stalled_after.
    [[nodiscard]] bool is_fruitless() const {
        return ends_ >= 3 && elapsed(ends_since_, host_.now()) >= run_.times.stalled_after;
    }
    void check_stall() {
        host_.after(50ms, [this] { check_stall(); });
        const bool late = waits_ && !stalled_ &&
                          session_.status().link.state == LinkState::connected &&
                          connected_for() > run_.times.stalled_after + 10ms;
        late_checks_ = late ? late_checks_ + 1 : 0;
        if (late_checks_ >= 3) run_.wrong = "on_stalled did not come";
    }
    void on_state(const Transition& change) {
        if (change.to.state == LinkState::cooldown && ends_++ == 0) ends_since_ = host_.now();
        if (change.to.state == LinkState::connected) {
            since_ = host_.now();
        } else if (change.from == LinkState::connected) {
            before_ += elapsed(since_, host_.now());
            const auto healed = run_.world.healed_at();
            // Each effect of a fault is noticed within this time.
            if (healed && run_.times.apply_takes == Duration{} &&
                elapsed(*healed, host_.now()) > 20s) {
                run_.wrong =
                    "a live connection was given up: " + change.to.failure.error().message();
            }
        }
    }
    void on_accepted(std::uint64_t up_to) {
        if (!std::exchange(waits_, up_to > run_.acknowledged)) progress();
    }
    void on_acknowledged(std::uint64_t up_to) {
        while (run_.acknowledged < up_to) run_.history.succeed("operation", ++run_.acknowledged);
        waits_ = session_.status().accepted > up_to;
        stalled_ = false;
        progress();
    }
    void on_stalled() {
        run_.world.reach("stalled");
        const bool is_due = connected_for() >= run_.times.stalled_after || is_fruitless();
        if (!waits_ || stalled_ || !is_due) {
            run_.wrong = "on_stalled came too early";
        }
        stalled_ = true;
    }

    sim::Host& host_;
    TimesWorld& run_;
    bool waits_ = false;
    bool stalled_ = false;
    int late_checks_ = 0;
    int ends_ = 0;
    Instant ends_since_ = always;
    Duration before_{};
    Instant since_ = always;
    Sender session_;
};

bool session_with_other_times(sim::World& world) {
    TimesWorld& run = world.make<TimesWorld>(world);
    sim::Host& server = world.host(
        "server", [&run](sim::Host& h) { return std::make_unique<TimesServer>(h, run); });
    sim::Host& client = world.host("client", [&run](sim::Host& h) {
        auto journal =
            Journal<sim::Disk>::open(h.disk(), "data/o", {.seed = Seed{run.world.bits()()}});
        REQUIRE(journal);
        return std::make_unique<TimesClient>(h, run, std::move(*journal));
    });
    world.network().latency(1ms, 20ms);
    world.network().window_bytes(OtherTimes::window_bytes);
    world.network().bandwidth(client, server, run.times.rate);
    world.network().bandwidth(server, client, run.times.rate);
    for (const char* const mark : {"a long operation", "stalled"}) world.reachable(mark);
    world.always("the rules of the session", [&run] { return run.wrong; });
    world.run_for(20s);
    world.heal();
    if (!world.eventually("every operation is acknowledged", 400s,
                          [&run] { return run.acknowledged == OtherTimes::operations; })) {
        return false;
    }
    read_effects(server, "operation", run.history);
    return world.require("exactly once, and in order", exactly_once_in_order(run.history));
}

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

TEST_CASE("Session and Receiver with other heartbeat times deliver long operations once",
          "[session][session][sim][property]") {
    // There are fewer seeds, because a world takes 16 ms.
    const std::uint64_t seeds = (from_environment("BELAY_SEEDS", 200) + 3) / 4;
    const sim::ScenarioOptions faults{.one_way_partitions = 1, .within = 18s};
    CHECK(explored_as_wanted("session_with_other_times", {.seeds = seeds, .scenario = faults},
                             session_with_other_times));
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
    // At least half of the worlds must have reached these states.
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
