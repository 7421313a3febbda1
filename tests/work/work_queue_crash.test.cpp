// SPDX-License-Identifier: MIT
// Goal: a crash loses no durable item, restores none whose end was durable, and duplicates none.
// Method: workloads on a simulated disk, cut at every operation of the disk, and again during
// recovery.
#include <belay/queue/storages.hpp>

#include <belay/sim/crash_points.hpp>
#include <belay/work/work_queue.hpp>

#include <algorithm>
#include <cstdio>
#include <memory>

#include "support/work/work_model.hpp"

using namespace belay;
using namespace belay_test;

namespace {

/// Runs a script until the power fails.
void run_script(WorkModel<>& model, std::uint64_t seed, std::size_t calls) {
    for (const auto& [call, draw] : make_work_script(seed, calls)) {
        if (!model.call(call, draw)) break;
    }
    INFO("seed " << seed << ": " << model.message());
    REQUIRE(model.message().empty());
}
/// The same, until it fails at operation `halt` (0: never). Returns the number of operations.
std::uint64_t run_script(sim::Disk& disk, WorkModel<>& model, std::uint64_t seed, std::size_t calls,
                         std::uint64_t halt) {
    disk.halt_at(halt);
    run_script(model, seed, calls);
    return disk.operations();
}

/// The state after a crash must be the same when it is opened again, and the queue must continue to
/// work.
template <class Model>
bool goes_on(Model& model, std::uint64_t seed) {
    model.drop_process();
    if (!model.recover()) return false;
    for (const auto& [call, draw] : make_work_script(seed + 7, 40)) {
        if (!model.call(call, draw)) return false;
    }
    return model.call(WorkCall::commit, 0);
}

}  // namespace

TEST_CASE("WorkQueue survives a loss of power at every operation of a workload",
          "[work][work_queue][fault]") {
    std::uint64_t states = 0;
    for (std::uint64_t script = 1; script <= 12; ++script) {
        std::string message;
        const auto report = sim::crash_points(
            [&](sim::Disk& disk) {
                auto model = std::make_unique<WorkModel<>>(disk, script);
                run_script(*model, script, 200);
                return model;
            },
            [&](sim::Disk&, const std::unique_ptr<WorkModel<>>& model) {
                model->drop_process();
                const bool good = model->recover() && goes_on(*model, script);
                if (!good && message.empty()) message = model->message();
                return good;
            },
            {.drawn_max = 3, .enumerated_max = 1, .seed = Seed{script * 1000}});
        INFO("script " << script << ", " << report.failure << ": " << message);
        REQUIRE(report);
        states += report.states;
    }
    std::printf("WorkQueue, a loss of power at every operation: %llu states\n",
                static_cast<unsigned long long>(states));
    CHECK(states > 1000);
}

TEST_CASE("WorkQueue survives the death of its process at every operation of a workload",
          "[work][work_queue][fault]") {
    for (std::uint64_t script = 200; script < 212; ++script) {
        sim::Disk whole;
        WorkModel<> dry{whole, script};
        const std::uint64_t operations = run_script(whole, dry, script, 200, 0);
        for (std::uint64_t halt = 1; halt <= operations; ++halt) {
            sim::Disk disk;
            WorkModel<> model{disk, script};
            run_script(disk, model, script, 200, halt);
            disk.kill();
            model.drop_process();
            const bool good = model.recover() && goes_on(model, script);
            INFO("script " << script << ", operation " << halt << ": " << model.message());
            REQUIRE(good);
        }
    }
}

namespace {

/// Runs workloads in which one call of the disk fails: each of the `count(disk)` in turn.
template <class Count, class Fail>
void fail_each_call(Count&& count, Fail&& fail) {
    for (std::uint64_t script = 200; script < 212; ++script) {
        sim::Disk whole;
        WorkModel<> dry{whole, script};
        static_cast<void>(run_script(whole, dry, script, 200, 0));
        for (std::uint64_t number = 1; number <= count(whole); ++number) {
            sim::Disk disk;
            WorkModel<> model{disk, script};
            fail(disk, number);
            model.disk_fails = true;
            static_cast<void>(run_script(disk, model, script, 200, 0));
            model.drop_process();
            model.disk_fails = false;
            CHECK(disk.open_files() == 0);
            Random bits{Seed{number}};
            number % 2 == 0 ? disk.kill() : disk.crash(bits);
            const bool good = model.recover() && goes_on(model, script);
            INFO("script " << script << ", call " << number << ": " << model.message());
            REQUIRE(good);
        }
    }
}

}  // namespace

TEST_CASE("WorkQueue survives a failure of every single read", "[work][work_queue][fault]") {
    fail_each_call([](sim::Disk& disk) { return disk.reads(); },
                   [](sim::Disk& disk, std::uint64_t number) {
                       disk.fail_read_at(number, std::make_error_code(std::errc::io_error));
                   });
}

TEST_CASE("WorkQueue survives a failure of every single operation, also if it takes effect",
          "[work][work_queue][fault]") {
    const bool takes_effect = GENERATE(false, true);
    fail_each_call([](sim::Disk& disk) { return disk.operations(); },
                   [takes_effect](sim::Disk& disk, std::uint64_t number) {
                       const auto error = std::make_error_code(std::errc::io_error);
                       takes_effect ? disk.fail_after(number, error) : disk.fail_at(number, error);
                   });
}

TEST_CASE("WorkQueue survives a lack of descriptors at every single open",
          "[work][work_queue][fault]") {
    fail_each_call([](sim::Disk& disk) { return disk.opens(); },
                   [](sim::Disk& disk, std::uint64_t number) {
                       disk.fail_open_at(number,
                                         std::make_error_code(std::errc::too_many_files_open));
                   });
}

TEST_CASE("WorkQueue survives a loss of power while it recovers from an earlier one",
          "[work][work_queue][fault]") {
    for (std::uint64_t script = 100; script < 104; ++script) {
        sim::Disk whole;
        WorkModel<> dry{whole, script};
        const std::uint64_t operations = run_script(whole, dry, script, 120, 0);
        for (std::uint64_t halt = 1; halt <= operations; halt += 5) {
            for (std::uint64_t second = 1; second < 16; second += 2) {
                sim::Disk disk;
                WorkModel<> model{disk, script};
                run_script(disk, model, script, 120, halt);
                Random bits{Seed{halt * 100 + second}};
                disk.crash(bits);
                model.drop_process();
                disk.halt_at(disk.operations() + second);
                if (model.open()) model.drop_process();
                disk.crash(bits);
                const bool good = model.recover() && goes_on(model, script);
                INFO("script " << script << ", operation " << halt << ", then " << second << ": "
                               << model.message());
                REQUIRE(good);
            }
        }
    }
}

TEST_CASE("WorkQueue survives crashes over a log that deletes at once and appends later",
          "[work][work_queue][fault]") {
    // Windows of keys in several parts.
    WorkOptions options = small_work();
    options.keys = 40;
    options.record_bytes_max = 256;
    options.slack_bytes = 300;
    for (std::uint64_t script = 300; script < 330; ++script) {
        MemoryMedium whole;
        WorkModel<MemoryMedium> dry{whole, script, options};
        const auto calls = make_work_script(script, 200);
        for (const auto& [call, draw] : calls) REQUIRE(dry.call(call, draw));
        for (std::uint64_t fails = 1; fails <= whole.calls; fails += 3) {
            MemoryMedium medium;
            medium.fails_from = fails;
            WorkModel<MemoryMedium> model{medium, script, options};
            for (const auto& [call, draw] : calls) {
                if (!model.call(call, draw)) break;
            }
            const bool as_expected = model.message().empty();
            model.drop_process();
            medium.crash();
            const bool good = as_expected && model.recover() && goes_on(model, script);
            INFO("script " << script << ", call " << fails << ": " << model.message());
            REQUIRE(good);
        }
    }
}

TEST_CASE("WorkQueue deletes no log entry whose copy is not durable", "[work][work_queue][fault]") {
    using Work = WorkQueue<MemoryLog>;
    const Moment now{Instant{1s}, WallTime{1s}};
    MemoryMedium medium;
    const WorkOptions options{.slack_bytes = 200 << 10};
    std::optional<Work> work{std::move(*Work::open(MemoryLog{medium}, options, now))};
    // There are large items at the front, of which one call copies only some, and many ended ones
    // after them.
    const Bytes large(40 << 10);
    for (int i = 0; i < 24; ++i) REQUIRE(work->push(large, now));
    REQUIRE_FALSE(work->commit());
    std::vector<Lease> leases;
    for (int i = 0; i < 24; ++i) leases.push_back(*work->lease(now));
    REQUIRE_FALSE(work->commit());
    const std::uint64_t last = medium.last;
    for (std::size_t i = 6; i < 24 && medium.last == last; ++i) {
        REQUIRE_FALSE(work->ack(leases[i]));
        CHECK_FALSE(work->lease(now));
    }
    REQUIRE(medium.last == last + 4);
    REQUIRE(medium.durable == last);
    REQUIRE(medium.entries.at(medium.last)[0] == std::byte{2});
    work.reset();
    medium.crash();
    work.emplace(std::move(*Work::open(MemoryLog{medium}, options, now)));
    // The ends were not durable, so all items are there again.
    CHECK(work->size() == 24);
}

TEST_CASE("WorkQueue deletes no key whose copy is not durable", "[work][work_queue][fault]") {
    using Work = WorkQueue<MemoryLog>;
    const Moment now{Instant{1s}, WallTime{1s}};
    MemoryMedium medium;
    const WorkOptions options{.keys = 100, .slack_bytes = 1 << 10};
    std::optional<Work> work{std::move(*Work::open(MemoryLog{medium}, options, now))};
    const auto do_one = [&](int i) {
        REQUIRE(work->push(as_bytes("a long body"), now, {.key = std::to_string(i)}));
        REQUIRE_FALSE(work->ack(*work->lease(now)));
    };
    for (int i = 0; i < 20; ++i) do_one(i);
    REQUIRE_FALSE(work->commit());
    medium.sync_has_no_space = true;
    for (int i = 20; i < 60; ++i) do_one(i);
    bool copied = false;
    for (const auto& [number, bytes] : medium.entries) copied |= bytes[0] == std::byte{5};
    REQUIRE(copied);
    work.reset();
    medium.crash();
    medium.sync_has_no_space = false;
    work.emplace(std::move(*Work::open(MemoryLog{medium}, options, now)));
    for (int i = 0; i < 20; ++i) {
        const auto again = work->push(as_bytes("a long body"), now, {.key = std::to_string(i)});
        CHECK(again.error() == QueueErrc::duplicate);
    }
}

TEST_CASE("WorkQueue frees no key by a copy of the keys while a crash may return its item",
          "[work][work_queue][regression]") {
    using Work = WorkQueue<MemoryLog>;
    const Moment now{Instant{1s}, WallTime{1s}};
    const Moment later{Instant{1h}, WallTime{1h}};
    MemoryMedium medium;
    medium.acks_are_late = true;
    const WorkOptions options{
        .expired = WorkOptions::Expired::drop, .keys = 100, .slack_bytes = 1 << 10};
    std::optional<Work> work{std::move(*Work::open(MemoryLog{medium}, options, now))};
    const Bytes body(2 << 10);
    REQUIRE(work->push(body, now, {.key = "dropped", .expires_after = 1s}));
    REQUIRE(work->push(as_bytes("another"), now, {.key = "another"}));
    REQUIRE_FALSE(work->commit());
    // The first call drops the item, and the second one copies the keys and makes them durable.
    for (int i = 0; i < 2; ++i) static_cast<void>(work->lease(later));
    const bool copied =
        std::any_of(medium.entries.begin(), medium.entries.end(), [&](const auto& entry) {
            return entry.first <= medium.durable && entry.second[0] == std::byte{5};
        });
    REQUIRE(copied);
    work.reset();
    medium.crash();
    work.emplace(std::move(*Work::open(MemoryLog{medium}, options, now)));
    const bool is_back = work->size() == 2;
    CHECK(work->push(body, now, {.key = "dropped"}).has_value() == !is_back);
}
