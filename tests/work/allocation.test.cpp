// SPDX-License-Identifier: MIT
// Goal: a work queue allocates nothing within a segment, and holds as much memory as its page
// states. Method: a counting operator new.
#include <belay/posix/journal.hpp>
#include <belay/work/detail/key_window.hpp>
#include <belay/work/work_queue.hpp>

#include <bit>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/counting_new.hpp"
#include "support/held.hpp"
#include "support/temporary_directory.hpp"
#include "support/work/start_times.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::Counting;
using belay_test::Held;
using belay_test::page_size;
using belay_test::when;

namespace {

using WorkInFiles = WorkQueue<posix::Journal>;

std::unique_ptr<WorkInFiles> open_in_files(const std::string& path, const WorkOptions& options,
                                           const JournalOptions& files = {.flush = Flush::none}) {
    auto journal = posix::Journal::open(path, files);
    if (!journal) return nullptr;
    auto opened = WorkInFiles::open(std::move(*journal), options, when);
    return opened ? std::make_unique<WorkInFiles>(std::move(*opened)) : nullptr;
}

/// Counts dead letters, and requests their bodies.
struct DeadWorkCounter {
    void on_dead(const DeadWork&) { ++deaths; }
    int deaths = 0;
};

/// A usual workload: keys, delays, ends in another order, failures, leases that time out.
bool work_a_round(WorkInFiles& work, Moment& now, std::vector<Lease>& leases,
                  std::uint64_t& pushed) {
    bool worked = true;
    Bytes body;
    for (int i = 0; i < 500; ++i) {
        char key[24]{};
        std::snprintf(key, sizeof key, "%llu", static_cast<unsigned long long>(++pushed));
        static const Bytes text(100, std::byte{7});
        worked = worked && work.push(text, now,
                                     {.key = key, .delay = i % 8 == 0 ? Duration{1s} : Duration{}});
    }
    worked = worked && !work.commit();
    for (int again = 0; again < 4; ++again) {
        now = {now.now + 2s, now.wall + 2s};
        leases.clear();
        while (auto lease = work.lease(now)) leases.push_back(*lease);
        for (std::size_t i = leases.size(); i-- != 0;) {
            if (again < 2 && i % 5 == 0) {
                worked = worked && !work.nack(leases[i], now, i % 2 == 0 ? 1s : 0s);
            } else if (again < 3 && i % 7 == 0) {
                worked = worked && !work.extend(leases[i], now, 1s);
            } else {
                worked = worked && !work.ack(leases[i]);
            }
        }
    }
    return worked && !work.commit() && work.empty();
}

}  // namespace

TEST_CASE("WorkQueue pushes, leases and acknowledges without allocating",
          "[work][allocation][unit]") {
    const belay_test::TemporaryDirectory directory;
    const auto work = open_in_files(directory / "w",
                                    {.deliveries_max = 9, .keys = 1000, .slack_bytes = 64 << 10});
    REQUIRE(work);
    Moment now = when;
    std::vector<Lease> leases;
    leases.reserve(1000);
    std::uint64_t pushed = 0;
    bool worked = true;
    for (int round = 0; round < 6; ++round) {
        worked = work_a_round(*work, now, leases, pushed) && worked;
    }
    std::size_t made = 0;
    {
        const Counting counting;
        for (int round = 0; round < 5; ++round) {
            worked = work_a_round(*work, now, leases, pushed) && worked;
        }
        made = counting.made();
    }
    CHECK(worked);
    CHECK(made == 0);
}

TEST_CASE("WorkQueue over a Journal allocates for each new file only", "[work][allocation][unit]") {
    const belay_test::TemporaryDirectory directory;
    const auto work =
        open_in_files(directory / "w", {.keys = 100, .record_bytes_max = 1000},
                      {.flush = Flush::none, .segment_bytes = 64 << 10, .record_bytes_max = 1000});
    REQUIRE(work);
    const Bytes body(400, std::byte{7});
    bool worked = true;
    const auto do_some = [&](int count) {
        for (int i = 0; i < count; ++i) {
            worked = worked && work->push(body, when);
            const auto lease = work->lease(when);
            worked = worked && lease && !work->ack(*lease);
            if (i % 100 == 0) worked = worked && !work->commit();
        }
    };
    do_some(2000);
    std::size_t made = 0;
    constexpr int count = 10'000;
    {
        const Counting counting;
        do_some(count);
        made = counting.made();
    }
    CHECK(worked);
    constexpr std::size_t files = count * 432 / (64 << 10);
    CHECK(made > files);
    CHECK(made <= 50 * files);
}

TEST_CASE("WorkQueue allocates for the body of a dead letter only if it is used",
          "[work][allocation][unit]") {
    const belay_test::TemporaryDirectory directory;
    constexpr int deaths = 50;
    const Bytes body(100, std::byte{7});
    const auto allocations_of_deaths = [&](auto& work) {
        bool worked = true;
        // The first round allocates.
        std::size_t made = 0;
        for (int round = 0; round < 2; ++round) {
            for (int i = 0; i < deaths; ++i) worked = worked && work.push(body, when);
            worked = worked && !work.commit();
            const Counting counting;
            for (int i = 0; i < deaths; ++i) {
                const auto lease = work.lease(when);
                worked = worked && lease && !work.nack(*lease, when);
            }
            worked = worked && !work.purge_dead() && !work.commit();
            made = counting.made();
        }
        REQUIRE(worked);
        return made;
    };
    const auto silent = open_in_files(directory / "w", {.deliveries_max = 1});
    REQUIRE(silent);
    CHECK(allocations_of_deaths(*silent) == 0);

    auto journal = posix::Journal::open(directory / "heard", {.flush = Flush::none});
    REQUIRE(journal);
    auto received = WorkQueue<posix::Journal, KeepDead, DeadWorkCounter>::open(
        std::move(*journal), {.deliveries_max = 1}, when);
    REQUIRE(received);
    CHECK(allocations_of_deaths(*received) == deaths);
    CHECK(received->observer().deaths == 2 * deaths);
}

TEST_CASE("WorkQueue holds as much memory as its page states, and no more in later rounds",
          "[work][allocation][unit]") {
    const belay_test::TemporaryDirectory directory;
    const Bytes body(16, std::byte{7});
    constexpr std::int64_t many = 200'000;
    constexpr std::int64_t leased = 50'000;
    // The segments are small, so that there are many files.
    const JournalOptions files_of_1_mib{
        .flush = Flush::none, .segment_bytes = 1 << 20, .record_bytes_max = 1000};
    Held observed;
    std::int64_t with_leases = 0;
    std::int64_t reopened = 0;
    std::vector<Lease> leases;
    leases.reserve(static_cast<std::size_t>(leased));
    {
        const Counting counting;
        auto work = open_in_files(directory / "w", {.keys = 1000, .record_bytes_max = 1000},
                                  files_of_1_mib);
        // Includes the buffer to read files.
        observed.worked = work && work->push(body, when) && !work->commit() &&
                          !work->ack(work->lease(when).value_or(Lease{}));
        observed.fixed = counting.held();
        for (int round = 0; observed.worked && round < 3; ++round) {
            for (std::int64_t i = 0; i < many; ++i) {
                observed.worked = observed.worked && work->push(body, when);
            }
            if (round == 0) observed.filled = counting.held() - observed.fixed;
            while (!work->empty() && observed.worked) {
                leases.clear();
                for (std::int64_t i = 0; i < leased; ++i) {
                    const auto lease = work->lease(when);
                    observed.worked = observed.worked && lease;
                    if (lease) leases.push_back(*lease);
                }
                if (with_leases == 0)
                    with_leases = counting.held() - observed.fixed - observed.filled;
                // Every second item ends first.
                for (std::size_t from : {1U, 0U}) {
                    for (std::size_t i = from; i < leases.size(); i += 2) {
                        observed.worked = observed.worked && !work->ack(leases[i]);
                    }
                }
                observed.worked = observed.worked && !work->commit();
            }
            if (round == 0) observed.first_peak = counting.peak();
            observed.last_peak = counting.peak();
        }
        observed.drained = counting.held() - observed.fixed;
        work.reset();
        work = open_in_files(directory / "w", {.keys = 1000, .record_bytes_max = 1000},
                             files_of_1_mib);
        observed.worked = observed.worked && work && work->empty();
        reopened = counting.held() - observed.fixed;
    }
    REQUIRE(observed.worked);
    INFO("fixed " << observed.fixed << ", filled " << observed.filled << ", with leases "
                  << with_leases << ", drained " << observed.drained << ", reopened " << reopened
                  << ", peaks " << observed.first_peak << ' ' << observed.last_peak);
    const auto rounded_up = [](std::int64_t n) {
        return static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(n)));
    };
    // 4.25 bytes for each entry, and the memory of the journal.
    CHECK(observed.filled > 4 * many);
    CHECK(observed.filled <= rounded_up(many) * 17 / 4 + many);
    CHECK(with_leases > 60 * leased);
    CHECK(with_leases <= 64 * rounded_up(leased) + 4 * page_size);
    // Only an opening frees memory, and nothing is added.
    CHECK(observed.drained <= observed.filled + with_leases);
    CHECK(observed.last_peak <= observed.first_peak + page_size);
    CHECK(reopened <= 8 * page_size);
}

TEST_CASE("KeyWindow holds 32 bytes for each key", "[work][allocation][unit]") {
    constexpr std::size_t capacity = 100'000;
    std::int64_t held = 0;
    std::int64_t peak = 0;
    {
        const Counting counting;
        belay::detail::KeyWindow window{capacity};
        held = counting.held();
        Random bits{Seed{1}};
        for (std::size_t i = 0; i < 3 * capacity; ++i) {
            window.add({bits(), static_cast<std::uint32_t>(bits()), 0, i + 1});
        }
        peak = counting.peak();
    }
    CHECK(held >= std::int64_t{32} * std::int64_t{capacity});
    CHECK(held <= std::int64_t{32} * std::int64_t{capacity} + 2 * page_size);
    CHECK(peak == held);
}
