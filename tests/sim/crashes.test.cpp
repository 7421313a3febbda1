// SPDX-License-Identifier: MIT
// Goal: a program that crashes, hangs, ends or fails an assertion in a simulated world is a finding
// with a seed and a small scenario, and never ends the test. Method: bodies that do so.
#if defined(__unix__) || defined(__APPLE__)
#    include <belay/sim/explore.hpp>

#    include <signal.h>
#    include <sys/mman.h>
#    include <unistd.h>

#    include <atomic>
#    include <chrono>
#    include <cstdlib>
#    include <string>

#    include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

namespace {

sim::ExploreOptions crash_options(std::uint64_t seeds = 300) {
    return {.seeds = seeds,
            .scenario = {.kills = 3, .within = 4s},
            .print = false,
            .environment = false};
}

/// Runs a world of two hosts, and calls `end` at the first restart of "server" within a fault.
template <class End>
auto ends_at_restart(End end) {
    return [end](sim::World& w) {
        w.host("server", [end](sim::Host& h) {
            h.after(1ms, [&h, end] {
                if (h.starts() > 1) end();
            });
        });
        w.host("client", [](sim::Host& h) { h.after(2s, [] {}); });
        w.run_for(5s);
        return true;
    };
}

/// Numbers that this process shares with its children.
struct SharedNumbers {
    SharedNumbers()
        : memory{mmap(nullptr, sizeof(std::atomic<int>), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0)},
          calls{*new(memory) std::atomic<int>{0}} {}
    ~SharedNumbers() { munmap(memory, sizeof(std::atomic<int>)); }
    void* memory;
    std::atomic<int>& calls;
};

/// Uses up the stack. The compiler does not know that `ends` is always 0.
[[gnu::noinline]] int recurse(const volatile int& ends) {
    volatile int here[256] = {};
    return ends != 0 ? here[0] : recurse(ends) + here[0];
}

}  // namespace

TEST_CASE("explore finds the seed of a crash, and shrinks its scenario", "[sim][explore][sim]") {
    const auto rarely = [](sim::World& w) {
        const bool crashes = w.choose("one in", 40) == 7;
        return ends_at_restart([crashes] {
            if (crashes) std::abort();
        })(w);
    };
    const sim::Report report = sim::explore(crash_options(2000), rarely);
    INFO(report.text());
    REQUIRE(report.failing);
    const sim::Failing& f = *report.failing;
    CHECK(f.property.find("the process ended by signal 6") == 0);
    CHECK(f.seed.value > 3);
    CHECK(f.drawn.size() > 1);
    CHECK(f.smallest.size() == 1);
    CHECK(f.diagram.find("server starts, 2. time") != f.diagram.npos);
    CHECK(f.hash != 0);
    CHECK(report.seeds_run == f.seed.value);
    CHECK(report.events > 0);
    CHECK(report.text().find("BELAY_SIM_SEED=" + std::to_string(f.seed.value)) != f.property.npos);
    // Several processes find the same.
    auto options = crash_options(2000);
    options.jobs = 3;
    const sim::Report same = sim::explore(options, rarely);
    REQUIRE(same.failing);
    CHECK(same.failing->seed.value == f.seed.value);
    CHECK(same.failing->smallest == f.smallest);
    CHECK(same.failing->diagram == f.diagram);
}

TEST_CASE("explore finds every kind of end of a process", "[sim][explore][sim]") {
    const auto property_of = [](auto end) {
        const sim::Report report = sim::explore(crash_options(50), ends_at_restart(end));
        INFO(report.text());
        REQUIRE(report.failing);
        CHECK(report.failing->smallest.size() == 1);
        return report.failing->property;
    };
    CHECK(property_of([] { raise(SIGSEGV); }).find("the process ended by signal 11") == 0);
    CHECK(property_of([] { raise(SIGTERM); }).find("the process ended by signal 15") == 0);
    CHECK(property_of([] { _exit(0); }) == "the process ended with code 0");
    CHECK(property_of([] { _exit(3); }) == "the process ended with code 3");
    CHECK(property_of([] {
              const volatile int ends = 0;
              static_cast<void>(recurse(ends));
          }).find("the process ended by signal") == 0);
}

TEST_CASE("explore finds a world that hangs, and the search for a smaller scenario ends",
          "[sim][explore][sim]") {
    auto options = crash_options(50);
    options.processor_time_max = 300ms;
    const sim::Report report = sim::explore(options, ends_at_restart([] {
                                                for (const volatile bool on = true; on;) {
                                                }
                                            }));
    INFO(report.text());
    REQUIRE(report.failing);
    const sim::Failing& f = *report.failing;
    CHECK(f.property == "the limit of processor time");
    CHECK(f.details.find("more than 300ms of processor time") != f.details.npos);
    CHECK(f.smallest.size() == 1);
    CHECK(f.diagram.find("server starts, 2. time") != f.diagram.npos);
}

TEST_CASE("explore ended by its budget ends a body that waits for something outside of its world",
          "[sim][explore][sim]") {
    auto options = crash_options(50);
    options.budget = 2s;
    options.processor_time_max = 100ms;
    const sim::Report report = sim::explore(options, ends_at_restart([] { pause(); }));
    INFO(report.text());
    CHECK_FALSE(report);
    CHECK(report.out_of_budget);
    CHECK(report.problem.find("had not ended 100ms after the budget was over") !=
          report.problem.npos);
}

TEST_CASE("explore reports the seed of an assertion that failed without throwing",
          "[sim][explore][sim]") {
    const auto body = [](sim::World& w) {
        const bool fails = w.choose("one in", 20) == 7;
        return ends_at_restart([fails] {
            // They count in the process of the seed only.
            for (int i = 0; fails && i < 20; ++i) CHECK(i < 0);
            CHECK(true);
        })(w);
    };
    for (const std::uint32_t jobs : {1U, 2U}) {
        auto options = crash_options(200);
        options.jobs = jobs;
        const sim::Report report = sim::explore(options, body);
        INFO(report.text());
        REQUIRE(report.failing);
        CHECK(report.failing->property == "an assertion of the test framework failed");
        CHECK(report.failing->smallest.size() == 1);
        auto earlier = options;
        earlier.seeds = report.failing->seed.value - 1;
        CHECK(sim::explore(earlier, body));
    }
}

TEST_CASE("explore counts assertions in a section, and after one", "[sim][explore][sim]") {
    const auto fails = [](sim::World& w) {
        w.host("a", [](sim::Host& h) { h.after(1s, [] {}); });
        w.run_for(2s);
        if (getpid() != getpgid(0)) CHECK(true);
        return true;
    };
    SECTION("one") { CHECK(sim::explore(crash_options(5), fails)); }
    SECTION("two") { CHECK(sim::explore(crash_options(5), fails)); }
    CHECK(sim::explore(crash_options(5), fails).seeds_run == 5);
}

TEST_CASE("explore rejects a body that has a section", "[sim][explore][sim]") {
    const sim::Report report = sim::explore(crash_options(5), [](sim::World& w) {
        w.host("a", [](sim::Host& h) { h.after(1s, [] {}); });
        w.run_for(2s);
        SECTION("in the process of a batch") { CHECK(true); }
        return true;
    });
    INFO(report.text());
    REQUIRE(report.failing);
    CHECK(report.failing->property == "the body has a SECTION of Catch2");
    CHECK(report.failing->details == "put the SECTION around sim::explore");
    CHECK(report.failing->smallest.size() == 0);
}

TEST_CASE("explore names state that survives a world", "[sim][explore][sim]") {
    static int worlds_of_process;
    worlds_of_process = 0;
    const auto body = [](sim::World& w) {
        w.host("a", [](sim::Host& h) { h.after(1s, [] {}); });
        w.run_for(2s);
        return w.require("few worlds", ++worlds_of_process < 30);
    };
    const sim::Report report = sim::explore(crash_options(100), body);
    INFO(report.text());
    CHECK_FALSE(report);
    CHECK_FALSE(report.failing);
    CHECK(report.problem.find("require \"few worlds\"") != report.problem.npos);
    CHECK(report.problem.find("passes alone, in a process of its own: state survives a world") !=
          report.problem.npos);
    CHECK(worlds_of_process == 0);  // it is that of this process
}

TEST_CASE("explore reports a process that is killed from outside", "[sim][explore][sim]") {
    const sim::Report each_time =
        sim::explore(crash_options(50), ends_at_restart([] { kill(getpid(), SIGKILL); }));
    REQUIRE(each_time.failing);
    CHECK(each_time.failing->property.find("the process ended by signal 9") == 0);
    CHECK(each_time.failing->details.find("from outside") == 0);
    const SharedNumbers shared;
    const sim::Report once = sim::explore(crash_options(50), [&](sim::World& w) {
        w.host("a", [](sim::Host& h) { h.after(1s, [] {}); });
        w.run_for(2s);
        if (++shared.calls == 20) kill(getpid(), SIGKILL);
        return true;
    });
    CHECK_FALSE(once);
    CHECK_FALSE(once.failing);
    CHECK(once.problem.find("signal 9") != once.problem.npos);
    CHECK(once.problem.find("It passes alone") != once.problem.npos);
}

TEST_CASE("explore shrinks a failure whose smaller scenarios crash", "[sim][explore][sim]") {
    const sim::Report report = sim::explore(crash_options(50), [](sim::World& w) {
        const sim::Host& host = w.host("server", [](sim::Host& h) { h.after(1s, [] {}); });
        w.host("client", [](sim::Host& h) { h.after(2s, [] {}); });
        w.run_for(5s);
        if (w.faults_begun() == 0) std::abort();
        return w.require("no restart", host.starts() == 1);
    });
    INFO(report.text());
    REQUIRE(report.failing);
    CHECK(report.failing->property == "require \"no restart\"");
    CHECK(report.failing->smallest.size() == 1);
}

TEST_CASE("explore runs one seed in this process, and many in others", "[sim][explore][unit]") {
    int worlds = 0;
    const auto body = [&worlds](sim::World& w) {
        ++worlds;
        w.host("a", [](sim::Host& h) { h.after(1s, [] {}); });
        w.run_for(2s);
        return true;
    };
    auto options = crash_options(20);
    CHECK(sim::explore(options, body));
    CHECK(worlds == 0);
    options.seed = Seed{7};
    CHECK(sim::explore(options, body));
    CHECK(worlds == 2);
}

TEST_CASE("explore runs more seeds than a batch has, and each once", "[sim][explore][sim]") {
    const SharedNumbers shared;
    auto options = crash_options(1234);
    options.recheck_percent = 0;
    for (const std::uint32_t jobs : {1U, 3U}) {
        options.jobs = jobs;
        shared.calls = 0;
        const sim::Report report = sim::explore(options, [&](sim::World& w) {
            ++shared.calls;
            w.host("a", [](sim::Host& h) { h.after(1s, [] {}); });
            w.run_for(2s);
            w.sometimes("even", w.choose("parity", 2) == 0);
            return true;
        });
        CHECK(report);
        CHECK(report.seeds_run == 1234);
        CHECK(report.worlds == 1234);
        CHECK(report.marks.at("even") > 500);
        CHECK(report.marks.at("even") < 734);
        CHECK(shared.calls == 1234);
    }
}

#endif
