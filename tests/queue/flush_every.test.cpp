// SPDX-License-Identifier: MIT
// Goal: FlushEvery flushes once per interval while there are unflushed operations, and at no
// other time. Method: a model of a log in virtual time, advanced at the deadlines and at more; a
// real log in a simulated world.
#include <belay/queue/flush_every.hpp>

#include <algorithm>
#include <atomic>
#include <belay/journal/journal.hpp>
#include <belay/queue/queue.hpp>
#include <belay/sim/crash_points.hpp>
#include <belay/sim/world.hpp>
#include <belay/work/work_queue.hpp>
#include <map>
#include <optional>
#include <thread>
#include <vector>

#include "support/aborts.hpp"
#include "support/catch.hpp"
#include "support/seeds.hpp"
#include "support/shorthand.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::at;

namespace {

/// Counts the appends and the flushes.
struct Log {
    std::uint64_t appended = 0;
    std::uint64_t durable = 0;
    int flushes = 0;
    std::error_code fails_with;

    std::error_code flush() noexcept {
        ++flushes;
        if (fails_with) return fails_with;
        durable = appended;
        return {};
    }
    bool unflushed() const noexcept { return durable != appended; }
};

/// Appends, and advances the machine in the same turn.
void append(Log& log, FlushEvery<Log>& flusher, Instant now) {
    ++log.appended;
    flusher.appended();
    flusher.advance(now);
}

}  // namespace

TEST_CASE("FlushEvery rejects an interval after which it would never flush",
          "[queue][flush_every][regression]") {
    for (const Duration interval : {0ns, forever}) {
        const std::string text = belay_test::aborts_with([interval] {
            Log log;
            FlushEvery flusher{log, interval};
        });
        CHECK(text.find("interval must be > 0ns, and not forever") != std::string::npos);
    }
}

TEST_CASE("FlushEvery is idle while nothing was appended", "[queue][flush_every][unit]") {
    Log log;
    FlushEvery flusher{log, 100ms};
    CHECK(flusher.deadline() == never);
    flusher.advance(at(1h));
    CHECK(flusher.deadline() == never);
    CHECK(log.flushes == 0);
}

TEST_CASE("FlushEvery flushes an interval after the first append, once for all",
          "[queue][flush_every][unit]") {
    Log log;
    FlushEvery flusher{log, 100ms};
    flusher.attach(Waker{});
    flusher.advance(at(0ms));
    ++log.appended;
    flusher.appended();
    CHECK(flusher.deadline() == always);
    flusher.advance(at(10ms));
    CHECK(flusher.deadline() == at(110ms));
    for (int i = 0; i < 5; ++i) append(log, flusher, at(20ms + i * 10ms));
    CHECK(flusher.deadline() == at(110ms));
    flusher.advance(at(109ms));
    CHECK(log.flushes == 0);
    flusher.advance(at(110ms));
    CHECK(log.flushes == 1);
    CHECK(log.durable == 6);
    CHECK(flusher.deadline() == never);
    append(log, flusher, at(500ms));
    CHECK(flusher.deadline() == at(600ms));
}

TEST_CASE("FlushEvery flushes operations that were appended before it was attached",
          "[queue][flush_every][unit]") {
    Log log;
    log.appended = 3;
    FlushEvery flusher{log, 1s};
    flusher.attach(Waker{});
    CHECK(flusher.deadline() == always);
    flusher.advance(at(0s));
    CHECK(flusher.deadline() == at(1s));
    flusher.advance(at(1s));
    CHECK(log.durable == 3);
}

TEST_CASE("FlushEvery does nothing for operations that another caller has flushed",
          "[queue][flush_every][unit]") {
    Log log;
    FlushEvery flusher{log, 100ms};
    append(log, flusher, at(0ms));
    CHECK_FALSE(log.flush());
    flusher.advance(at(100ms));
    CHECK(flusher.deadline() == never);
    // FlushEvery was not notified of that flush. A flush of nothing costs nothing.
    CHECK(log.flushes == 2);
    ++log.appended;
    flusher.appended();
    CHECK_FALSE(log.flush());
    flusher.advance(at(200ms));
    CHECK(flusher.deadline() == never);
    CHECK(log.flushes == 3);
}

TEST_CASE("FlushEvery::error returns the failure, and it retries an interval later",
          "[queue][flush_every][fault]") {
    Log log;
    log.fails_with = std::make_error_code(std::errc::no_space_on_device);
    FlushEvery flusher{log, 100ms};
    append(log, flusher, at(0ms));
    flusher.advance(at(100ms));
    CHECK(flusher.error() == std::errc::no_space_on_device);
    CHECK(flusher.deadline() == at(200ms));
    flusher.advance(at(150ms));
    CHECK(log.flushes == 1);
    log.fails_with = {};
    flusher.advance(at(200ms));
    CHECK_FALSE(flusher.error());
    CHECK(log.durable == 1);
    CHECK(flusher.deadline() == never);
}

TEST_CASE("FlushEvery wakes its driver for the first append, not for each",
          "[queue][flush_every][unit]") {
    static int wakes;
    wakes = 0;
    constexpr belay::driver::WakeOps ops{
        .wake = [](belay::driver::WakeNode&) noexcept { ++wakes; },
        .touch = [](belay::driver::WakeNode&) noexcept {},
        .now = [](belay::driver::WakeNode&) noexcept { return Instant{}; },
        .detach = [](belay::driver::WakeNode&) noexcept {},
        .destroy = [](belay::driver::WakeNode*) noexcept {}};
    static const belay::driver::WakeOps kept = ops;
    belay::driver::WakeNode node{kept};
    Log log;
    {
        FlushEvery flusher{log, 100ms};
        flusher.attach(Waker{belay::driver::WakeHandle::adopt(&node), Seed{1}});
        flusher.advance(at(0ms));
        const int before = wakes;
        for (int i = 0; i < 1000; ++i) {
            ++log.appended;
            flusher.appended();
        }
        CHECK(wakes == before + 1);
        flusher.advance(at(1ms));
        flusher.advance(at(101ms));
        CHECK(log.durable == 1000);
        CHECK(wakes == before + 1);
        ++log.appended;
        flusher.appended();
        CHECK(wakes == before + 2);
    }
}

TEST_CASE("FlushEvery leaves nothing unflushed for longer than an interval and a turn",
          "[queue][flush_every][property]") {
    CHECK(rc::check("in any history of appends and turns", [](std::uint64_t seed) {
        Random bits{Seed{seed}};
        Log log;
        FlushEvery flusher{log, 50ms};
        flusher.attach(Waker{});
        std::vector<Instant> appended_at;
        constexpr auto turn_max = 10ms;
        Instant now = at(0ms);
        for (int i = 0; i < 500; ++i) {
            // The driver is late by at most turn_max, and sometimes advances without a reason.
            Instant next = now + std::chrono::milliseconds{1 + bits() % 30};
            if (flusher.deadline() < next) {
                next = std::max(now, flusher.deadline()) + std::chrono::milliseconds{bits() % 11};
            }
            now = next;
            const bool appends = bits() % 3 != 0;
            flusher.advance(now);
            for (std::size_t k = log.durable; k < appended_at.size(); ++k) {
                RC_ASSERT(now - appended_at[k] < 50ms + 2 * turn_max);
            }
            if (appends) {
                ++log.appended;
                appended_at.push_back(now);
                flusher.appended();
            }
            RC_ASSERT((flusher.deadline() == never) == !log.unflushed());
        }
        RC_ASSERT(log.flushes <= 500);
    }));
}

TEST_CASE("FlushEvery has the same history when it is advanced more often",
          "[queue][flush_every][property]") {
    CHECK(rc::check("flushes at the same times", [](std::uint64_t seed) {
        const auto history = [seed](std::uint64_t extra) {
            Random bits{Seed{seed}};
            Random others{Seed{extra}};
            Log log;
            FlushEvery flusher{log, 50ms};
            std::vector<Instant> flushed_at;
            for (Duration t{}; t < 1s; t += 1ms) {
                const Instant now = at(t);
                const auto turn = [&] {
                    const int before = log.flushes;
                    flusher.advance(now);
                    if (log.flushes != before) flushed_at.push_back(now);
                };
                if (flusher.deadline() <= now) turn();
                if (extra != 0 && others() % 4 == 0) turn();
                if (bits() % 40 == 0) {
                    ++log.appended;
                    flusher.appended();
                    turn();
                }
            }
            return flushed_at;
        };
        const std::vector<Instant> plain = history(0);
        RC_ASSERT(history(1) == plain);
        RC_ASSERT(history(2) == plain);
    }));
}

TEST_CASE("FlushEvery runs in a driver", "[queue][flush_every][sim]") {
    sim::World world{Seed{1}};
    sim::Host& host = world.host("writer");
    Log log;
    FlushEvery flusher{log, 100ms};
    host.attach(flusher);
    for (int i = 0; i < 100; ++i) {
        world.at(1s + i * 10ms, [&] {
            ++log.appended;
            flusher.appended();
        });
    }
    world.run_for(999ms);
    CHECK(log.flushes == 0);
    world.run_for(1s + 200ms);
    CHECK(log.durable == 100);
    CHECK(log.flushes >= 9);
    CHECK(log.flushes <= 11);
    const int flushes = log.flushes;
    world.run_for(1h);
    CHECK(log.flushes == flushes);
}

TEST_CASE("FlushEvery over a Journal with Flush::none bounds the operations lost in a power loss",
          "[queue][flush_every][sim][fault]") {
    static constexpr auto interval = 50ms;
    belay_test::for_each_seed(
        [](Seed seed) {
            struct Life {
                std::vector<Instant> appended_at;
                Duration now{};
            };
            const auto live = [seed](sim::Disk& disk) {
                Random bits{seed};
                Life life;
                Duration& now = life.now;
                auto journal = Journal<sim::Disk>::open(disk, "q",
                                                        {.flush = Flush::none,
                                                         .segment_bytes = 8192,
                                                         .record_bytes_max = 512,
                                                         .seed = seed});
                if (!journal) return life;
                Queue queue{std::move(journal).value()};
                FlushEvery flusher{queue, interval};
                flusher.attach(Waker{});
                const Bytes body(200);
                const Duration end = std::chrono::milliseconds{bits() % 500};
                for (; now < end && !flusher.error(); now += 1ms) {
                    if (flusher.deadline() <= at(now)) flusher.advance(at(now));
                    if (bits() % 3 == 0) {
                        life.appended_at.push_back(at(now));
                        if (queue.push(body)) break;
                        flusher.appended();
                    }
                    // The driver advances every millisecond.
                    if (flusher.deadline() <= at(now)) flusher.advance(at(now));
                    if (bits() % 20 == 0 && queue.storage().commit()) break;
                }
                // From here on the disk rejects all operations, so closing the journal writes
                // nothing.
                disk.halt_at(disk.operations() + 1);
                return life;
            };
            const auto recover = [seed](sim::Disk& disk, const Life& life) {
                const auto& [appended_at, now] = life;
                // The files are small, because the power may have failed before there were any.
                const auto journal = Journal<sim::Disk>::open(
                    disk, "q", {.segment_bytes = 8192, .record_bytes_max = 512, .seed = seed});
                if (!journal || journal->last() > appended_at.size()) return false;
                for (std::size_t lost = journal->last(); lost < appended_at.size(); ++lost) {
                    if (at(now) - appended_at[lost] > interval + 1ms) return false;
                }
                return true;
            };
            const auto report = sim::crash_points(
                live, recover, {.drawn_max = 1, .enumerated_max = 1, .seed = seed});
            INFO(report.failure);
            REQUIRE(report);
        },
        20);
}

TEST_CASE("FlushEvery over a WorkQueue bounds the operations lost and repeated in a power loss",
          "[queue][flush_every][work_queue][sim][fault]") {
    using Log = Journal<sim::Disk>;
    using LoggedWork = WorkQueue<Log>;
    static constexpr auto interval = 50ms;
    belay_test::for_each_seed(
        [](Seed seed) {
            struct Life {
                std::map<std::uint64_t, Instant> pushed_at;
                std::map<std::uint64_t, Instant> ended_at;
                Duration now{};
            };
            const auto open = [seed](sim::Disk& disk, Duration now) {
                auto log = Log::open(disk, "w",
                                     {.flush = Flush::none,
                                      .segment_bytes = 8192,
                                      .record_bytes_max = 512,
                                      .seed = seed});
                if (!log) return std::optional<LoggedWork>{};
                auto work = LoggedWork::open(
                    std::move(*log), {.lease = 30ms, .record_bytes_max = 512, .slack_bytes = 2000},
                    {at(now), WallTime{now}});
                return work ? std::optional{std::move(*work)} : std::nullopt;
            };
            const auto live = [&](sim::Disk& disk) {
                Random bits{seed};
                Life life;
                auto& [pushed_at, ended_at, now] = life;
                auto opened = open(disk, now);
                if (!opened) return life;
                LoggedWork& work = *opened;
                FlushEvery flusher{work, interval};
                flusher.attach(Waker{});
                std::vector<Lease> leases;
                const Duration end = std::chrono::milliseconds{bits() % 500};
                for (; now < end && !flusher.error(); now += 1ms) {
                    const Moment moment{at(now), WallTime{now}};
                    if (flusher.deadline() <= at(now)) flusher.advance(at(now));
                    const std::uint64_t draw = bits() % 100;
                    // For some time all items end in order. The log alone counts such ends.
                    const bool quiet = now % 240ms >= 80ms;
                    if (draw < 30 && !quiet) {
                        const auto id = work.push(Bytes(bits() % 300), moment);
                        if (!id) break;
                        pushed_at[*id] = at(now);
                    } else if (draw < 55) {
                        if (const auto lease = work.lease(moment)) leases.push_back(*lease);
                    } else if (draw < 80 && !leases.empty()) {
                        const std::size_t which = quiet ? 0 : bits() % 2 * (leases.size() - 1);
                        const Lease lease = leases[which];
                        leases.erase(leases.begin() + static_cast<std::ptrdiff_t>(which));
                        const std::error_code error = !quiet && draw % 4 == 0
                                                          ? work.nack(lease, moment, 5ms)
                                                          : work.ack(lease);
                        // An end whose call failed may be durable or not.
                        const bool failed = error && error != QueueErrc::lease_ended;
                        if (failed || work.read(lease.id).error() == QueueErrc::unknown_number) {
                            ended_at.try_emplace(lease.id, at(now));
                        }
                        if (failed) break;
                    } else if (draw == 99) {
                        if (work.commit()) break;
                    }
                    flusher.appended();
                    // The driver advances every millisecond.
                    if (flusher.deadline() <= at(now)) flusher.advance(at(now));
                    REQUIRE((flusher.deadline() != never || !work.unflushed()));
                }
                disk.halt_at(disk.operations() + 1);
                return life;
            };
            const auto recover = [&](sim::Disk& disk, const Life& life) {
                const auto& [pushed_at, ended_at, now] = life;
                auto work = open(disk, now);
                if (!work) return false;
                for (const auto& [id, pushed] : pushed_at) {
                    const bool there = work->read(id).error() != QueueErrc::unknown_number;
                    const auto ended = ended_at.find(id);
                    const bool is_right = ended == ended_at.end()
                                              ? there || at(now) - pushed <= interval + 1ms
                                              : !there || at(now) - ended->second <= interval + 1ms;
                    if (!is_right) return false;
                }
                return true;
            };
            const auto report = sim::crash_points(
                live, recover, {.drawn_max = 1, .enumerated_max = 1, .seed = seed});
            INFO(report.failure);
            REQUIRE(report);
        },
        20);
}

TEST_CASE("FlushEvery misses no append of other threads", "[queue][flush_every][fault]") {
    struct SharedLog {
        std::atomic<std::uint64_t> appended{0};
        std::atomic<std::uint64_t> durable{0};
        std::error_code flush() noexcept {
            durable = appended.load();
            return {};
        }
        bool unflushed() const noexcept { return durable != appended; }
    };
    for (int round = 0; round < 50; ++round) {
        SharedLog log;
        FlushEvery flusher{log, 2ns};
        flusher.attach(Waker{});
        std::atomic<int> at_work{2};
        const auto work = [&] {
            for (int i = 0; i < 500; ++i) {
                log.appended.fetch_add(1);
                flusher.appended();
            }
            --at_work;
        };
        std::thread first{work};
        std::thread second{work};
        Duration now{};
        while (at_work != 0) {
            if (flusher.deadline() <= at(now)) flusher.advance(at(now));
            ++now;
        }
        first.join();
        second.join();
        for (int turns = 0; flusher.deadline() != never; ++turns, ++now) {
            REQUIRE(turns < 10);
            if (flusher.deadline() <= at(now)) flusher.advance(at(now));
        }
        CHECK(log.durable == 1000);
    }
}
