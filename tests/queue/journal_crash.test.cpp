// SPDX-License-Identifier: MIT
// Goal: no crash loses what was durable. Method: workloads on a simulated disk, cut at every
// operation.
#include <belay/queue/journal.hpp>

#include "support/journal_model.hpp"

using namespace belay;
using namespace belay_test;

namespace {

/// Runs a script until the power fails at operation `halt` (0: never). Returns the operations made.
std::uint64_t run_script(sim::Disk& disk, JournalModel& model, std::uint64_t seed,
                         std::size_t calls, std::uint64_t halt) {
    disk.halt_at(halt);
    for (const auto& [call, draw] : make_script(seed, calls)) {
        if (!model.call(call, draw)) break;
    }
    return disk.operations();
}

/// What is opened after a crash must be the same when it is opened again, and go on working.
bool goes_on(JournalModel& model) {
    const std::uint64_t base = model.journal().base();
    const std::uint64_t last = model.journal().last();
    model.drop_process();
    if (!model.recover()) return false;
    if (model.journal().base() != base || model.journal().last() != last) return false;
    if (model.journal().report().truncated_bytes != 0) return false;
    for (int i = 0; i < 3; ++i) {
        if (!model.call(JournalModel::Call::append, 0)) return false;
    }
    if (!model.call(JournalModel::Call::sync, 0)) return false;
    model.drop_process();
    return model.recover() && model.journal().last() == last + 3;
}

}  // namespace

TEST_CASE("Journal survives a loss of power at every operation of a workload",
          "[queue][journal][fault]") {
    std::uint64_t states = 0;
    for (std::uint64_t script = 1; script <= 12; ++script) {
        sim::Disk whole;
        JournalModel dry{whole, script};
        const std::uint64_t operations = run_script(whole, dry, script, 60, 0);
        for (std::uint64_t halt = 1; halt <= operations; ++halt) {
            for (std::uint64_t torn = 0; torn < 5; ++torn) {
                sim::Disk disk;
                JournalModel model{disk, script};
                run_script(disk, model, script, 60, halt);
                Random bits{Seed{script * 1000 + torn}};
                disk.crash(bits);
                model.drop_process();
                const bool good = model.recover() && goes_on(model);
                INFO("script " << script << ", operation " << halt << ", torn " << torn << ": "
                               << model.message());
                REQUIRE(good);
                ++states;
            }
        }
    }
    CHECK(states > 3500);
}

TEST_CASE("Journal survives a loss of power while it recovers from one",
          "[queue][journal][fault]") {
    for (std::uint64_t script = 100; script < 106; ++script) {
        sim::Disk whole;
        JournalModel dry{whole, script};
        const std::uint64_t operations = run_script(whole, dry, script, 40, 0);
        for (std::uint64_t halt = 1; halt <= operations; halt += 3) {
            // An opening takes fewer than 16 operations.
            for (std::uint64_t second = 1; second < 16; ++second) {
                sim::Disk disk;
                JournalModel model{disk, script};
                run_script(disk, model, script, 40, halt);
                Random bits{Seed{halt * 100 + second}};
                disk.crash(bits);
                model.drop_process();
                disk.halt_at(disk.operations() + second);
                const bool whole_opening = model.open();
                if (whole_opening) model.drop_process();
                disk.crash(bits);
                const bool good = model.recover() && goes_on(model);
                INFO("script " << script << ", operation " << halt << ", then " << second << ": "
                               << model.message());
                REQUIRE(good);
            }
        }
    }
}

TEST_CASE("Journal survives the death of its process at every operation of a workload",
          "[queue][journal][fault]") {
    for (std::uint64_t script = 200; script < 220; ++script) {
        sim::Disk whole;
        JournalModel dry{whole, script};
        const std::uint64_t operations = run_script(whole, dry, script, 60, 0);
        for (std::uint64_t halt = 1; halt <= operations; ++halt) {
            sim::Disk disk;
            JournalModel model{disk, script};
            run_script(disk, model, script, 60, halt);
            disk.kill();
            model.drop_process();
            const bool good = model.recover() && goes_on(model);
            INFO("script " << script << ", operation " << halt << ": " << model.message());
            REQUIRE(good);
        }
    }
}

TEST_CASE("Journal survives a loss of power while it deletes segments", "[queue][journal][fault]") {
    // One acknowledgement that empties several segments; each deletion is cut, with the names that
    // are not durable kept or lost in every combination.
    const auto fill = [](JournalModel& model) {
        for (int i = 0; i < 120; ++i) REQUIRE(model.call(JournalModel::Call::append, 0));
        REQUIRE(model.call(JournalModel::Call::sync, 0));
    };
    for (std::uint64_t step = 1; step < 16; ++step) {
        for (std::uint64_t torn = 0; torn < 40; ++torn) {
            sim::Disk disk;
            JournalModel model{disk, 1};
            fill(model);
            const std::uint64_t all = model.journal().size();
            disk.halt_at(disk.operations() + step);
            static_cast<void>(model.call(JournalModel::Call::ack, all));
            Random bits{Seed{torn}};
            disk.crash(bits);
            model.drop_process();
            const bool good = model.recover() && goes_on(model);
            INFO("step " << step << ", torn " << torn << ": " << model.message());
            REQUIRE(good);
        }
    }
}
