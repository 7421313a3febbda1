// SPDX-License-Identifier: MIT
// Goal: an exploration finds, shrinks and reports planted bugs, and passes only with evidence.
// Method: a client with an acknowledged counter, whose bugs need one fault or two.
#include <belay/sim/explore.hpp>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <stdexcept>

#ifdef __linux__
#    include <fcntl.h>
#    include <unistd.h>
#endif

#include "support/catch.hpp"
#include "support/sim/sim_peers.hpp"
#include "support/worlds/explored.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// The bug of a Meter.
enum class MeterBug { none, skips_on_restart, stuck_after_refusal, loses_on_cut };

/// A client that adds 1 to a counter on the server, until it has acknowledged 20.
struct Meter {
    Meter(sim::World& w, MeterBug b) : world{w}, bug{b} {
        world.host("server", [this](sim::Host& h) {
            auto s = std::make_unique<Server>(h, connections,
                                              PeerOptions{{.every = 200ms, .dead_after = 600ms}});
            s->echo = true;
            return s;
        });
        world.host("client", [this](sim::Host& h) { return std::make_unique<Sender>(*this, h); });
    }
    struct Sender {
        Sender(Meter& m, sim::Host& h) : meter{m}, host{h} {
            // The bug: after a restart, it skips a number.
            const bool skips = meter.bug == MeterBug::skips_on_restart && meter.acknowledged != 0;
            next = meter.acknowledged + (skips ? 2 : 1);
            notes.hook = [this](const std::string& what) { on(what); };
            client.emplace(h, notes,
                           PeerOptions{{.every = 200ms, .dead_after = 600ms}, 1024, 50ms, 200ms});
            tick();
        }
        void on(const std::string& what) {
            const bool refused = what.find("refused") != std::string::npos;
            if (refused && meter.bug == MeterBug::stuck_after_refusal) stuck = true;
            if (!what.starts_with("message ")) return;
            const std::uint64_t n = std::stoull(what.substr(8));
            if (n == next) {
                meter.acknowledged += n == meter.acknowledged + 1 ? 1U : 0U;
                ++next;
                waits = false;
            }
        }
        void tick() {
            const Duration since = host.now().time_since_epoch() - sent_at;
            // The bug: it stops sending.
            const bool again = waits && since > 1s && meter.bug != MeterBug::loses_on_cut;
            if (next <= 20 && !stuck && (!waits || again)) {
                if (client->link.send(to_bytes(std::to_string(next))) == SendResult::sent) {
                    waits = true;
                    sent_at = host.now().time_since_epoch();
                }
            }
            host.after(200ms, [this] { tick(); });
        }
        Meter& meter;
        sim::Host& host;
        Notes notes;
        std::optional<Client> client;
        std::uint64_t next = 1;
        Duration sent_at{};
        bool waits = false;
        bool stuck = false;
    };

    sim::World& world;
    const MeterBug bug;
    Server::ConnectionLog connections;
    std::uint64_t acknowledged = 0;
};

auto meter_body(MeterBug bug) {
    return [bug](sim::World& w) {
        Meter& m = w.make<Meter>(w, bug);
        w.run_for(10s);
        w.heal();
        return w.eventually("all counted", 30s, [&] { return m.acknowledged == 20; });
    };
}

sim::ExploreOptions quiet(std::uint64_t seeds = 300) {
    return {.seeds = seeds, .scenario = {.within = 5s}, .print = false, .environment = false};
}

/// The same, and variables of the environment have precedence.
sim::ExploreOptions listening(std::uint64_t seeds) {
    sim::ExploreOptions options = quiet(seeds);
    options.environment = true;
    return options;
}

/// Sets a variable of the environment during its lifetime.
struct Environment {
    Environment(const char* n, const char* value) : name{n} { setenv(n, value, 1); }
    ~Environment() { unsetenv(name); }
    const char* name;
};

bool has_one_event(sim::World& world) {
    world.host("a", [](sim::Host& h) { h.after(1s, [] {}); });
    world.run_for(2s);
    return true;
}
bool has_no_event(sim::World&) { return true; }

}  // namespace

TEST_CASE("explore passes a program without a bug", "[sim][explore][sim]") {
    const sim::Report report = sim::explore(quiet(200), meter_body(MeterBug::none));
    INFO(report.text());
    CHECK(report);
    CHECK(report.seeds_run == 200);
    CHECK(report.faults > 200);
    CHECK(report.worlds > 200);  // some ran twice
    CHECK(report.worlds < 240);
}

TEST_CASE("explore finds a planted bug, and the pasted scenario fails alone",
          "[sim][explore][sim]") {
    for (const MeterBug bug :
         {MeterBug::skips_on_restart, MeterBug::stuck_after_refusal, MeterBug::loses_on_cut}) {
        const sim::Report report = sim::explore(quiet(), meter_body(bug));
        INFO(report.text());
        REQUIRE_FALSE(report);
        REQUIRE(report.failing);
        const sim::Failing& f = *report.failing;
        CHECK(f.property == "eventually \"all counted\"");
        CHECK(f.smallest.size() <= 2);
        CHECK(!f.smallest.empty());
        CHECK(f.drawn.size() >= f.smallest.size());
        CHECK(f.shrink_worlds <= 60);
        auto options = quiet();
        options.shrink_worlds_max = 0;
        options.seed = f.seed;
        options.play = f.smallest;
        const sim::Report again = sim::explore(options, meter_body(bug));
        REQUIRE(again.failing);
        CHECK(again.failing->property == f.property);
        CHECK(again.failing->hash == f.hash);
        CHECK(again.seeds_run == 1);
        CHECK(sim::explore(options, meter_body(MeterBug::none)));
    }
}

TEST_CASE("Report::text has seed, hash, the scenario as C++ and a diagram",
          "[sim][explore][unit]") {
    const sim::Report report = sim::explore(quiet(), meter_body(MeterBug::stuck_after_refusal));
    REQUIRE(report.failing);
    const std::string text = report.text();
    INFO(text);
    const auto has = [&](const std::string& part) { return text.find(part) != std::string::npos; };
    CHECK(has("seed " + std::to_string(report.failing->seed.value)));
    CHECK(has("BELAY_SIM_SEED=" + std::to_string(report.failing->seed.value)));
    CHECK(has("hash "));
    CHECK(has("{.seed = Seed{"));
    CHECK(has(".play = sim::Scenario{}"));
    CHECK(has("server        client"));
    CHECK(has("|<------------*             client dials port 9000"));
    CHECK(report.summary().find('\n') == std::string::npos);
}

TEST_CASE("explore gives the same report for any number of jobs", "[sim][explore][sim]") {
    auto options = quiet(60);
    const sim::Report one = sim::explore(options, meter_body(MeterBug::loses_on_cut));
    options.jobs = 3;
    const sim::Report three = sim::explore(options, meter_body(MeterBug::loses_on_cut));
    REQUIRE(one.failing);
    REQUIRE(three.failing);
    CHECK(one.failing->seed.value == three.failing->seed.value);
    CHECK(one.failing->hash == three.failing->hash);
    CHECK(one.failing->smallest == three.failing->smallest);
    CHECK(sim::explore(options, meter_body(MeterBug::none)).seeds_run == 60);
}

namespace {

std::uint64_t failed_of_framework = 0;

}  // namespace

TEST_CASE("explore reports a seed in which an assertion of the test framework failed",
          "[sim][explore][unit]") {
    failed_of_framework = 0;
    const auto body = [](sim::World& w) {
        const sim::Host& host = w.host("a", [](sim::Host& h) { h.after(1s, [] {}); });
        w.run_for(2s);
        if (host.starts() == 1) return true;
        ++failed_of_framework;  // like CHECK, which continues
        return true;
    };
    auto options = quiet(100);
    options.scenario = {.kills = 1, .within = 1s};
    CHECK(sim::explore(options, body));
    options.failed_assertions = [] { return failed_of_framework; };
    const sim::Report report = sim::explore(options, body);
    REQUIRE(report.failing);
    CHECK(report.failing->property == "an assertion of the test framework failed");
    CHECK(report.failing->smallest.size() == 1);
#if defined(__unix__) || defined(__APPLE__)
    options.jobs = 2;
    CHECK(sim::explore(options, body).failing->smallest == report.failing->smallest);
#endif
}

TEST_CASE("explore fails without a seed or an event", "[sim][explore][unit]") {
    const auto runs = [](sim::World& w) {
        w.host("a", [](sim::Host& h) { h.after(1s, [] {}); });
        w.run_for(2s);
        return true;
    };
    CHECK(sim::explore(quiet(5), runs));
    CHECK_FALSE(sim::explore(quiet(0), runs));
    CHECK(sim::explore(quiet(0), runs).problem.find("no seed") == 0);
    auto no_budget = quiet(5);
    no_budget.budget = 0s;
    CHECK_FALSE(sim::explore(no_budget, runs));
    const sim::Report idle = sim::explore(quiet(5), [](sim::World&) { return true; });
    CHECK_FALSE(idle);
    CHECK(idle.failing->property == "the body returned true without an event");
    const sim::Report refuses = sim::explore(quiet(5), [&](sim::World& w) { return !runs(w); });
    CHECK(refuses.failing->property == "the body returned false");
    CHECK(refuses.failing->details.find("call World::require") == 0);
    const sim::Report false_at_end = sim::explore(quiet(5), [&](sim::World& w) {
        w.require("empty", !runs(w));
        return true;
    });
    CHECK(false_at_end.failing->details.find("it is false (at ") == 0);
}

TEST_CASE("explore fails if faults were drawn and none began", "[sim][explore][unit]") {
    const auto body = [](bool runs) {
        return [runs](sim::World& w) {
            Meter& m = w.make<Meter>(w, MeterBug::none);
            // A dial that a fault left without an answer ends after 30 s, of which 5 s have passed.
            if (runs) w.run_for(10s);
            w.heal();
            return w.eventually(30s, [&] { return m.acknowledged == 20; });
        };
    };
    CHECK(sim::explore(quiet(20), body(true)));
    const sim::Report never_began = sim::explore(quiet(20), body(false));
    CHECK_FALSE(never_began);
    CHECK(never_began.problem.find("none began") != std::string::npos);
    // The regression test of a failure, whose scenario would begin later.
    auto pasted = quiet(20);
    pasted.seed = Seed{1};
    CHECK(sim::explore(pasted, body(false)));
    pasted.play = sim::Scenario{}.at(20s, sim::kill("server"));
    CHECK(sim::explore(pasted, body(false)).problem.find("none began") != std::string::npos);
    pasted.play = sim::Scenario{}.at(1s, sim::kill("server"));
    CHECK(sim::explore(pasted, body(true)));
    pasted.play = sim::Scenario{};
    CHECK(sim::explore(pasted, body(false)));
    auto without = quiet(20);
    without.scenario = sim::ScenarioOptions{.kills = 0,
                                            .pauses = 0,
                                            .partitions = 0,
                                            .latencies = 0,
                                            .refusals = 0,
                                            .drops = 0,
                                            .half_opens = 0,
                                            .cuts = 0};
    CHECK(sim::explore(without, body(false)));
}

TEST_CASE("explore reports that the work of its worlds ended before their faults began",
          "[sim][explore][unit]") {
    struct Writer {  // writes for a time
        Writer(sim::Host& h, Duration lasts) : host{h}, until{belay::after(h.now(), lasts)} {
            host.after(1ms, [] {});
            write();
        }
        void write() {
            static_cast<void>(host.disk().open("file", OpenMode::replace));
            if (host.now() < until) host.after(10ms, [this] { write(); });
        }
        sim::Host& host;
        Instant until;
    };
    const auto body = [](Duration lasts) {
        return [lasts](sim::World& w) {
            w.host("writer", [lasts](sim::Host& h) { return std::make_unique<Writer>(h, lasts); });
            w.host("other");
            w.run_for(2s);
            w.heal();
            w.run_for(1s);
            return true;
        };
    };
    auto options = quiet(50);
    options.scenario = {.kills = 0, .pauses = 0, .cuts = 0, .within = 2s};
    const sim::Report idle = sim::explore(options, body(0ms));
    CHECK(idle);
    CHECK(idle.worlds_idle > 25);
    CHECK(idle.warning().find("In " + std::to_string(idle.worlds_idle) + " of 50 worlds") == 0);
    CHECK(idle.text().find(idle.warning()) != std::string::npos);
    const sim::Report busy = sim::explore(options, body(3s));
    CHECK(busy.worlds_idle == 0);
    CHECK(busy.warning().empty());
    // Without a message, connecting and answering pings is all the work.
    const auto connects = [](sim::World& w) {
        Server::ConnectionLog& connections = w.make<Server::ConnectionLog>();
        Notes& notes = w.make<Notes>();
        w.host("server",
               [&connections](sim::Host& h) { return std::make_unique<Server>(h, connections); });
        w.host("client", [&notes](sim::Host& h) { return std::make_unique<Client>(h, notes); });
        w.run_for(2s);
        w.heal();
        w.run_for(1s);
        return true;
    };
    const sim::Report connecting = sim::explore(options, connects);
    CHECK(connecting.faults > 50);
    CHECK(connecting.worlds_idle == 0);
    // A fault that begins at a message finds a program with work.
    options.scenario = {.kills = 0,
                        .pauses = 0,
                        .partitions = 0,
                        .latencies = 0,
                        .refusals = 0,
                        .drops = 0,
                        .half_opens = 0,
                        .cuts = 1,
                        .number_max = 1};
    CHECK(sim::explore(options, meter_body(MeterBug::none)).worlds_idle == 0);
}

TEST_CASE("explore ended by its budget passes only with enough seeds", "[sim][explore][unit]") {
    struct Spending {  // a body that spends the budget at its third seed
        bool operator()(sim::World& w) {
            if (unreached) w.reachable("never");
            w.host("a", [](sim::Host& h) { h.after(1s, [] {}); });
            w.run_for(2s);
            if (++calls == 3) {
                const auto end = std::chrono::steady_clock::now() + budget;
                while (std::chrono::steady_clock::now() < end) {
                }
            }
            return true;
        }
        std::chrono::milliseconds budget;
        bool unreached = false;
        int calls = 0;
    };
    auto options = quiet(100'000'000);
    options.recheck_percent = 0;
    options.seeds_min = 3;
    // A busy machine may need a larger budget for three seeds.
    const auto explored = [&](bool unreached) {
        for (std::chrono::milliseconds budget = 200ms;; budget *= 2) {
            options.budget = budget;
            sim::Report report = sim::explore(options, Spending{budget, unreached});
            REQUIRE(report.out_of_budget);
            if (report.seeds_run >= 3) return report;
        }
    };
    CHECK(explored(false));
    // The budget does not excuse a mark that is not reached.
    CHECK(explored(true).problem == "no world reached \"never\"");
    options.seeds_min = {};
    options.seeds = ~std::uint64_t{0};
    CHECK(explored(false).problem == "too few seeds ran: at least 1844674407370955162 must");
    options.seeds = 100'000'000;
    const sim::Report few = explored(false);
    CHECK_FALSE(few);
    CHECK(few.problem.find("10000000") != std::string::npos);
}

TEST_CASE("explore reports a body that throws", "[sim][explore][unit]") {
    const auto throwing = [](sim::World& w) -> bool {
        w.host("a", [](sim::Host& h) {
            h.after(1s, [] { throw std::runtime_error{"out of cheese"}; });
        });
        w.run_for(2s);
        return true;
    };
    const sim::Report report = sim::explore(quiet(5), throwing);
    REQUIRE(report.failing);
    CHECK(report.failing->property == "the body threw: out of cheese");
    CHECK(report.failing->seed.value == 1);
    CHECK(report.failing->smallest.empty());
    CHECK(report.failing->diagram.find("a runs a function") != std::string::npos);
    const sim::Report other = sim::explore(quiet(5), [](sim::World&) -> bool { throw 7; });
    CHECK(other.failing->property == "the body threw");
}

TEST_CASE("explore reports the work that keeps a world from becoming idle",
          "[sim][explore][unit]") {
    struct Spins {
        static void spin(sim::Host& h, Duration every) {
            h.after(every, [&h, every] { spin(h, every); });
        }
    };
    const auto body = [](Duration every) {
        return [every](sim::World& w) {
            w.host("idle");
            w.host("busy", [every](sim::Host& h) { Spins::spin(h, every); });
            return w.run_until_idle(forever);
        };
    };
    auto options = quiet(3);
    options.events_max = 10'000;
    const sim::Report events = sim::explore(options, body(0ns));
    REQUIRE(events.failing);
    CHECK(events.failing->property == "the limit of events");
    CHECK(events.failing->details.find("1000 are functions of busy") != std::string::npos);
    options.events_max = 1'000'000;
    options.time_max = 1h;
    const sim::Report time = sim::explore(options, body(1min));
    REQUIRE(time.failing);
    CHECK(time.failing->property == "the limit of time");
    CHECK(time.failing->details.find("functions of busy") != std::string::npos);
    // The near miss: just within both limits.
    const auto ends = [](sim::World& w) {
        w.host("a", [](sim::Host& h) { h.after(1h - 1ns, [] {}); });
        return w.run_until_idle(forever);
    };
    options.scenario.spared = {"a"};
    CHECK(sim::explore(options, ends));
}

TEST_CASE("Report::text has the limit that the pasted program needs to fail",
          "[sim][explore][regression]") {
    const auto body = [](sim::World& w) {
        w.host("a", [](sim::Host& h) {
            for (int i = 1; i <= 100; ++i) h.after(i * 1min, [] {});
        });
        return w.run_until_idle(forever);
    };
    auto options = quiet(3);
    options.scenario.spared = {"a"};
    options.events_max = 50;
    const std::string events = sim::explore(options, body).text();
    INFO(events);
    CHECK(events.find(".play = sim::Scenario{}, .events_max = 50}, body));") != events.npos);
    CHECK_FALSE(sim::explore({.seed = Seed{1},
                              .play = sim::Scenario{},
                              .events_max = 50,
                              .print = false,
                              .environment = false},
                             body));
    options = quiet(3);
    options.scenario.spared = {"a"};
    options.time_max = 1h;
    const std::string time = sim::explore(options, body).text();
    INFO(time);
    CHECK(time.find(".play = sim::Scenario{}, .time_max = 60min}, body));") != time.npos);
    // Other failures do not need it.
    const std::string other = sim::explore(options, [](sim::World&) { return false; }).text();
    CHECK(other.find("_max") == other.npos);
}

TEST_CASE("World::diagram has one line for each event, with names of any bytes",
          "[sim][explore][regression]") {
    sim::World world{Seed{1}, {.record_lines = 10}};
    world.host("a\n\tb\r\x7F", [](sim::Host& h) { h.after(1s, [] {}); });
    world.host("c");
    world.run_for(2s);
    CHECK(world.diagram() ==
          "                    a??b??        c             \n"
          "           0.000 s  *             |             a??b?? starts, 1. time\n"
          "           0.000 s  |             *             c starts, 1. time\n"
          "           1.000 s  *             |             a??b?? runs a function\n");
}

TEST_CASE("explore finds bodies whose runs differ, and where", "[sim][explore][unit]") {
    const auto counting = [calls = 0](sim::World& w) mutable {
        ++calls;
        w.host("a", [calls](sim::Host& h) {
            h.after(1s, [] {});
            h.after(Duration{calls}, [] {});
        });
        w.run_for(2s);
        return true;
    };
    const sim::Report report = sim::explore(quiet(5), counting);
    REQUIRE(report.failing);
    CHECK(report.failing->property.find("another history") != std::string::npos);
    CHECK(report.failing->details.find("part at event 2") != std::string::npos);
    CHECK(report.failing->details.find("real clock") != std::string::npos);
    auto unchecked = quiet(5);
    unchecked.recheck_percent = 0;
    CHECK(sim::explore(unchecked, counting));
}

TEST_CASE("explore keeps the property of a failure whose second run had another history",
          "[sim][explore][regression]") {
    const auto body = [calls = 0](sim::World& w) mutable {
        ++calls;
        w.host("a", [calls](sim::Host& h) { h.after(Duration{calls}, [] {}); });
        w.run_for(1s);
        return w.require("it holds", false);
    };
    const sim::Report report = sim::explore(quiet(5), body);
    REQUIRE(report.failing);
    CHECK(report.failing->property == "require \"it holds\"");
    CHECK(report.failing->another_history.find("Uninitialised memory") == 0);
    CHECK(report.text().find("\nThe second run had another history. Uninitialised memory") !=
          std::string::npos);
}

TEST_CASE("explore shrinks an exception whose text has other numbers in each scenario",
          "[sim][explore][regression]") {
    const auto body = [](sim::World& w) {
        w.host("a");
        w.host("b");
        w.run_for(5s);
        const auto events = std::to_string(w.events());
        if (w.faults_begun() != 0) throw std::runtime_error{"0x7f" + events + ": " + events + "ms"};
        return true;
    };
    const sim::Report report = sim::explore(quiet(), body);
    REQUIRE(report.failing);
    CHECK(report.failing->property == "the body threw: #: #");
    CHECK(report.failing->details.find("0x7f") == 0);
    CHECK(report.failing->drawn.size() > 1);
    CHECK(report.failing->smallest.size() == 1);
}

TEST_CASE("explore begins with another seed on demand", "[sim][explore][unit]") {
    const auto body = [](sim::World& w) {
        w.host("a", [](sim::Host& h) { h.after(1s, [] {}); });
        w.run_for(2s);
        w.require(
            "no seed 1002",
            w.bits()() != Random{Seed{sim::detail::mix(1002, sim::detail::hash_of("world"))}}());
        return true;
    };
    auto options = quiet(10);
    options.first_seed = Seed{1000};
    for (const std::uint32_t jobs : {1U, 3U}) {
        options.jobs = jobs;
        const sim::Report report = sim::explore(options, body);
        REQUIRE(report.failing);
        CHECK(report.failing->seed.value == 1002);
    }
    options.first_seed = Seed{1003};
    const sim::Report passed = sim::explore(options, body);
    CHECK(passed.summary() == "10 of 10 seeds ran from 1003, 39 events, 12 faults");
    // It may be the last numbers, and not more.
    options.first_seed = Seed{~std::uint64_t{0} - 10};
    CHECK(sim::explore(options, body).seeds_run == 10);
    options.first_seed = Seed{~std::uint64_t{0} - 8};
    CHECK(sim::explore(options, body).problem.find("first_seed") != std::string::npos);
    auto listen = listening(10);
    const Environment e{"BELAY_SIM_FIRST_SEED", "1003"};
    CHECK(sim::explore(listen, body).first_seed == 1003);
    const Environment random{"BELAY_SIM_FIRST_SEED", "random"};
    const sim::Report one = sim::explore(listen, has_one_event);
    const sim::Report two = sim::explore(listen, has_one_event);
    CHECK(one);
    CHECK(one.first_seed != two.first_seed);
    const Environment wrong{"BELAY_SIM_FIRST_SEED", "dice"};
    CHECK(sim::explore(listen, body).problem == "BELAY_SIM_FIRST_SEED=dice is not a number");
}

#ifdef __linux__
TEST_CASE("explore shows its progress on a terminal, and nowhere else", "[sim][explore][unit]") {
    // Each world moves what was shown before it into a file, because a terminal holds only 4 KiB.
    // The worlds run in child processes, which share the file.
    const auto run = [](int to, int from) {
        std::FILE* const file = std::tmpfile();
        REQUIRE(file != nullptr);
        const auto move_shown = [from, file] {
            std::string text(10'000, ' ');
            const ssize_t n = read(from, text.data(), text.size());
            return n <= 0 || write(fileno(file), text.data(), static_cast<std::size_t>(n)) == n;
        };
        std::fflush(stderr);
        const int before = dup(2);
        dup2(to, 2);
        const auto every = std::exchange(sim::detail::progress_every, Duration{1ms});
        auto options = quiet(2'000);
        options.print = true;
        options.scenario.within = 10s;
        const bool passed{sim::explore(options, [&](sim::World& w) {
            if (!move_shown()) return false;
            w.host("a", [](sim::Host& h) { h.after(10s, [] {}); });
            w.host("b");
            w.reach("soon");
            w.sometimes("far", w.choose("far", 1'000) == 0);
            for (int i = 0; i < 2'000; ++i) w.after(Duration{i}, [] {});
            w.run_for(20s);
            return true;
        })};
        sim::detail::progress_every = every;
        std::fflush(stderr);
        dup2(before, 2);
        close(before);
        CHECK(passed);
        CHECK(move_shown());
        std::rewind(file);
        std::string shown(1 << 20, ' ');
        shown.resize(std::fread(shown.data(), 1, shown.size(), file));
        std::fclose(file);
        return shown;
    };
    const int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
    REQUIRE(terminal >= 0);
    REQUIRE(grantpt(terminal) == 0);
    REQUIRE(unlockpt(terminal) == 0);
    const int other_end = open(ptsname(terminal), O_RDWR | O_NOCTTY | O_NONBLOCK);
    REQUIRE(other_end >= 0);
    const std::string shown = run(other_end, terminal);
    INFO(shown);
    CHECK(shown.find(" of 2000 seeds, ") != std::string::npos);
    CHECK(shown.find(" s left, not reached: far\x1b[K") != std::string::npos);
    CHECK(shown.find("soon") == std::string::npos);
    int ends[2];
    REQUIRE(pipe2(ends, O_NONBLOCK) == 0);
    CHECK(run(ends[1], ends[0]).empty());
    for (const int fd : {terminal, other_end, ends[0], ends[1]}) close(fd);
}
#endif

TEST_CASE("explore takes a function as its body", "[sim][explore][unit]") {
    CHECK(sim::explore(quiet(5), has_one_event));
    CHECK_FALSE(sim::explore(quiet(5), has_no_event));
}

TEST_CASE("explore fails if no world reaches a mark", "[sim][explore][unit]") {
    const auto body = [](sim::World& w) {
        w.reachable("an even choice");
        w.host("a", [](sim::Host& h) { h.after(1s, [] {}); });
        w.run_for(2s);
        if (w.choose("parity", 2) == 0) w.reach("an even choice");
        w.sometimes("large", w.choose("size", 100) >= 50);
        return true;
    };
    const sim::Report report = sim::explore(quiet(20), body);
    CHECK(report);
    CHECK(report.marks.at("an even choice") > 2);
    CHECK(report.marks.at("an even choice") < 18);
    const auto missed = [&](sim::World& w) {
        w.sometimes("never", false);
        return body(w);
    };
    CHECK(sim::explore(quiet(20), missed).problem == "no world reached \"never\"");
    const auto declared = [&](sim::World& w) {
        w.reachable("never declared twice");
        return body(w);
    };
    CHECK_FALSE(sim::explore(quiet(20), declared));
    auto one = quiet();
    one.seed = Seed{7};
    CHECK(sim::explore(one, declared));  // one seed need not reach every mark
}

TEST_CASE("explore reports a scenario for hosts that do not exist", "[sim][explore][unit]") {
    auto options = quiet(5);
    options.play = sim::Scenario{}.at(1s, sim::kill("nobody"));
    const sim::Report report = sim::explore(options, meter_body(MeterBug::none));
    REQUIRE(report.failing);
    CHECK(report.failing->property == "the scenario");
    CHECK(report.failing->details.find("no host is called nobody") != std::string::npos);
}

TEST_CASE("explore does not change the scenario of the body", "[sim][explore][unit]") {
    const auto body = [](sim::World& w) {
        Meter& m = w.make<Meter>(w, MeterBug::loses_on_cut);
        w.play(sim::Scenario{}.when({"client", "server", "", 3},
                                    sim::drop_connections("client", "server")));
        w.run_for(10s);
        w.heal();
        return w.eventually("all counted", 30s, [&] { return m.acknowledged == 20; });
    };
    const sim::Report report = sim::explore(quiet(40), body);
    REQUIRE(report.failing);
    CHECK(report.failing->drawn.empty());  // no fault was drawn
    CHECK(report.failing->smallest.empty());
}

TEST_CASE("explore reads its numbers from the environment", "[sim][explore][unit]") {
    const auto body = meter_body(MeterBug::none);
    // The presets set BELAY_SEEDS.
    const char* const set = std::getenv("BELAY_SEEDS");
    const std::string before = set != nullptr ? set : "";
    unsetenv("BELAY_SEEDS");
    const auto run = [&] { return sim::explore(listening(5), body); };
    {
        const Environment e{"BELAY_SEEDS", "7"};
        CHECK(run().seeds_run == 7);
    }
    {
        const Environment e{"BELAY_SEEDS", "0"};
        CHECK_FALSE(run());
    }
    {
        const Environment e{"BELAY_SIM_SEED", "99"};
        CHECK(run().seeds_run == 1);
        CHECK(sim::explore(listening(5), meter_body(MeterBug::none)).seeds_wanted == 1);
    }
    {
        const Environment e{"BELAY_SIM_BUDGET", "0"};
        CHECK_FALSE(run());
    }
    {
        const Environment e{"BELAY_SIM_JOBS", "2"};
        CHECK(run().seeds_run == 5);
    }
    {
        const Environment e{"BELAY_SEEDS", "many"};
        CHECK(run().problem == "BELAY_SEEDS=many is not a number");
        CHECK(run().seeds_run == 0);
    }
    for (const char* const number : {" -5", "-5", "+5", "5x", "0x5", " 5"}) {
        const Environment e{"BELAY_SEEDS", number};
        CHECK(run().problem == "BELAY_SEEDS=" + std::string{number} + " is not a number");
    }
    {
        const Environment e{"BELAY_SEEDS", "18446744073709551617"};
        CHECK(run().problem == "BELAY_SEEDS=18446744073709551617 is too large");
    }
    for (const char* const jobs : {"4294967296", "1025"}) {
        const Environment e{"BELAY_SIM_JOBS", jobs};
        CHECK(run().problem == "BELAY_SIM_JOBS=" + std::string{jobs} + " is too large");
    }
    {
        const Environment e{"BELAY_SIM_BUDGET", "9223372037"};  // as nanoseconds, it would wrap
        CHECK(run().problem == "BELAY_SIM_BUDGET=9223372037 is too large");
    }
    {
        auto options = listening(300);
        options.diagram_lines = 1;
        const auto buggy = meter_body(MeterBug::stuck_after_refusal);
        const auto diagram = [&] { return sim::explore(options, buggy).failing->diagram; };
        const auto lines = [](const std::string& text) {
            return std::count(text.begin(), text.end(), '\n');
        };
        const std::string one = diagram();
        const Environment e{"BELAY_SIM_TRACE", "1"};
        const std::string all = diagram();
        INFO(one << all);
        CHECK(one.find("earlier lines") != std::string::npos);
        CHECK(all.find("earlier lines") == std::string::npos);
        CHECK(lines(all) > lines(one) + 10);
        // Both end with the same line.
        const std::size_t last = one.rfind('\n', one.size() - 2);
        REQUIRE(last != std::string::npos);
        CHECK(all.ends_with(one.substr(last)));
        // A test that ignores the other variables follows the advice of its report, too.
        CHECK(explored_as_wanted(options, buggy).failing->diagram == all);
    }
    CHECK(run().seeds_run == 5);
    {
        const Environment e{"BELAY_SEEDS", "7"};
        CHECK(sim::explore(quiet(5), body).seeds_run == 5);
    }
    if (!before.empty()) setenv("BELAY_SEEDS", before.c_str(), 1);
}
