// SPDX-License-Identifier: MIT
// Goal: a ring allocates nothing after it was made, a journal and a work queue nothing within a
// segment; in memory each holds what its page says. Method: a counting operator new.
#include <belay/queue/blocking_ring.hpp>
#include <belay/queue/deque.hpp>
#include <belay/queue/encoded.hpp>
#include <belay/queue/mpmc_ring.hpp>
#include <belay/queue/mpsc_ring.hpp>
#include <belay/queue/queue.hpp>
#include <belay/queue/ring.hpp>
#include <belay/queue/spsc_ring.hpp>
#include <belay/work/detail/key_window.hpp>
#include <belay/work/work_queue.hpp>

#include <bit>
#include <memory>

#include <belay/posix/journal.hpp>

#include "support/catch.hpp"
#include "support/counting_new.hpp"
#include "support/temporary_directory.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::Counting;

TEST_CASE("Ring and a Queue over it push and pop without allocating", "[queue][allocation][unit]") {
    Queue<Ring<int, 64>> fixed;
    Ring<int> ring{100};
    int sum = 0;
    std::size_t made = 0;
    {
        const Counting counting;
        for (int i = 0; i < 1000; ++i) {
            static_cast<void>(fixed.push(i));
            static_cast<void>(ring.try_push(i));
            if (i % 2 == 1) sum += fixed.pop().value_or(0) + ring.try_pop().value_or(0);
        }
        made = counting.made();
    }
    CHECK(sum != 0);
    CHECK(made == 0);
}

TEST_CASE("Journal appends, syncs and acknowledges within a segment without allocating",
          "[queue][allocation][unit]") {
    const belay_test::TemporaryDirectory directory;
    auto journal = posix::Journal::open(directory.path() + "/journal", {.flush = Flush::none});
    REQUIRE(journal);
    const Bytes body(256, std::byte{7});
    bool worked = journal->append(body).has_value();
    std::size_t made = 0;
    {
        const Counting counting;
        for (int i = 0; i < 1000; ++i) {
            const Result<std::uint64_t> number = journal->append(body);
            worked = worked && number && (i % 10 != 0 || !journal->commit()) &&
                     !journal->ack(*number - 1);
        }
        made = counting.made();
    }
    CHECK(worked);
    CHECK(made == 0);
}

namespace {

/// How often a thousand pushes and pops allocate, with up to 50 values waiting.
template <class Storage>
std::size_t allocations_of(Storage& storage) {
    for (int i = 0; i < 50; ++i) static_cast<void>(storage.try_push(int{i}));
    const Counting counting;
    for (int i = 0; i < 1000; ++i) {
        static_cast<void>(storage.try_pop());
        static_cast<void>(storage.try_push(int{i}));
    }
    return counting.made();
}

}  // namespace

TEST_CASE("Rings between threads push and pop without allocating", "[queue][allocation][unit]") {
    SpscRing<int> spsc{64};
    MpscRing<int> mpsc{64};
    MpmcRing<int> mpmc{64};
    BlockingRing<SpscRing<int>> blocking{64};
    CHECK(allocations_of(spsc) == 0);
    CHECK(allocations_of(mpsc) == 0);
    CHECK(allocations_of(mpmc) == 0);
    CHECK(allocations_of(blocking) == 0);
}

TEST_CASE("Deque at a level allocates at most the block that it keeps",
          "[queue][allocation][unit]") {
    Deque<int> deque;
    CHECK(allocations_of(deque) <= 1);
    CHECK(allocations_of(deque) == 0);
}

namespace {

struct Sample {
    std::uint64_t at = 0;
    std::uint64_t value = 0;
};

struct SampleCodec {
    bool encode(const Sample& sample, Bytes& into) {
        into.resize(16);
        store_le(into.data(), sample.at);
        store_le(into.data() + 8, sample.value);
        return true;
    }
    std::optional<Sample> decode(BytesView bytes) {
        if (bytes.size() != 16) return std::nullopt;
        return Sample{load_le<std::uint64_t>(bytes.data()),
                      load_le<std::uint64_t>(bytes.data() + 8)};
    }
};

}  // namespace

TEST_CASE("Encoded over a Journal pushes and drains without allocating",
          "[queue][allocation][unit]") {
    const belay_test::TemporaryDirectory directory;
    auto journal = posix::Journal::open(directory.path() + "/journal", {.flush = Flush::none});
    REQUIRE(journal);
    Queue queue{Encoded{std::move(*journal), SampleCodec{}}, {.limit = 1000}};
    std::uint64_t sum = 0;
    const auto round = [&] {
        bool worked = true;
        for (std::uint64_t i = 0; i < 500; ++i) worked = worked && !queue.push(Sample{i, i});
        worked = worked && !queue.storage().commit();
        return worked && queue.drain([&](const Sample& s) { sum += s.value; }).drained == 500;
    };
    bool worked = round();
    std::size_t made = 0;
    {
        const Counting counting;
        worked = round() && worked;
        made = counting.made();
    }
    CHECK(worked);
    CHECK(sum == 2 * 499 * 500 / 2);
    CHECK(made == 0);
}

// ---- work queues --------------------------------------------------------------------------------

namespace {

using Work = WorkQueue<posix::Journal>;

constexpr Moment when{Instant{1s}, WallTime{1'700'000'000s}};

std::unique_ptr<Work> open_work(const std::string& path, const WorkOptions& options,
                                const JournalOptions& files = {.flush = Flush::none}) {
    auto journal = posix::Journal::open(path, files);
    if (!journal) return nullptr;
    auto opened = Work::open(std::move(*journal), options, when);
    return opened ? std::make_unique<Work>(std::move(*opened)) : nullptr;
}

/// Counts deaths, and wants the bodies.
struct Coroner {
    void on_dead(const DeadWork&) { ++deaths; }
    int deaths = 0;
};

/// What is done all day: keys, delays, ends in another order, failures, loans that time out.
bool work_a_round(Work& work, Moment& now, std::vector<Lease>& leases, std::uint64_t& pushed) {
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

TEST_CASE("WorkQueue pushes, lends and acknowledges without allocating",
          "[queue][allocation][unit]") {
    const belay_test::TemporaryDirectory directory;
    const auto work =
        open_work(directory / "w", {.deliveries_max = 9, .keys = 1000, .slack_bytes = 64 << 10});
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

TEST_CASE("WorkQueue over a Journal allocates for each new file only",
          "[queue][allocation][unit]") {
    const belay_test::TemporaryDirectory directory;
    const auto work =
        open_work(directory / "w", {.keys = 100, .record_bytes_max = 1000},
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

TEST_CASE("WorkQueue allocates for a body that dies only if somebody wants it",
          "[queue][allocation][unit]") {
    const belay_test::TemporaryDirectory directory;
    constexpr int deaths = 50;
    const Bytes body(100, std::byte{7});
    const auto allocations_of_deaths = [&](auto& work) {
        bool worked = true;
        // The first round makes room.
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
    const auto silent = open_work(directory / "w", {.deliveries_max = 1});
    REQUIRE(silent);
    CHECK(allocations_of_deaths(*silent) == 0);

    auto journal = posix::Journal::open(directory / "heard", {.flush = Flush::none});
    REQUIRE(journal);
    auto heard = WorkQueue<posix::Journal, KeepDead, Coroner>::open(std::move(*journal),
                                                                    {.deliveries_max = 1}, when);
    REQUIRE(heard);
    CHECK(allocations_of_deaths(*heard) == deaths);
    CHECK(heard->observer().deaths == 2 * deaths);
}

// ---- how much is held ---------------------------------------------------------------------------

namespace {

constexpr std::int64_t many = 200'000;
constexpr std::int64_t page = 4096;  // how far an allocation may be rounded up
/// So that there are many files.
const JournalOptions files_of_1_mib{
    .flush = Flush::none, .segment_bytes = 1 << 20, .record_bytes_max = 1000};

struct Held {
    bool worked = true;
    std::int64_t fixed = 0;   // before anything is appended
    std::int64_t filled = 0;  // the most beyond that, of all rounds
    std::int64_t drained = 0;
    std::int64_t first_peak = 0;
    std::int64_t last_peak = 0;
};

}  // namespace

TEST_CASE("Journal holds half a byte for each operation, and none for what is acknowledged",
          "[queue][allocation][unit]") {
    const belay_test::TemporaryDirectory directory;
    const Bytes body(16, std::byte{7});
    Held seen;
    {
        const Counting counting;
        auto journal = posix::Journal::open(directory / "q", files_of_1_mib);
        // With the buffer to read files.
        seen.worked = journal && journal->append(body) && !journal->commit() && journal->read(1) &&
                      !journal->ack(1);
        seen.fixed = counting.held();
        for (int round = 0; seen.worked && round < 4; ++round) {
            for (std::int64_t i = 0; i < many; ++i) {
                seen.worked = seen.worked && journal->append(body);
            }
            for (std::uint64_t n = journal->base(); n <= journal->last(); ++n) {
                seen.worked = seen.worked && journal->read(n);
            }
            seen.filled = std::max(seen.filled, counting.held() - seen.fixed);
            seen.worked = seen.worked && !journal->commit() && !journal->ack(journal->last());
            seen.drained = std::max(seen.drained, counting.held() - seen.fixed);
            if (round == 0) seen.first_peak = counting.peak();
            seen.last_peak = counting.peak();
        }
    }
    REQUIRE(seen.worked);
    INFO("fixed " << seen.fixed << ", filled " << seen.filled << ", drained " << seen.drained
                  << ", peaks " << seen.first_peak << ' ' << seen.last_peak);
    CHECK(seen.fixed > 0);
    CHECK(seen.filled > 0);
    CHECK(seen.filled < many / 2);
    CHECK(seen.drained <= 4 * page);
    // There may be a file more.
    CHECK(seen.last_peak <= seen.first_peak + many / 10);
}

TEST_CASE("WorkQueue holds what its page says, and no more from round to round",
          "[queue][allocation][unit]") {
    const belay_test::TemporaryDirectory directory;
    const Bytes body(16, std::byte{7});
    constexpr std::int64_t lent = 50'000;
    Held seen;
    std::int64_t with_loans = 0;
    std::int64_t reopened = 0;
    std::vector<Lease> leases;
    leases.reserve(static_cast<std::size_t>(lent));
    {
        const Counting counting;
        auto work =
            open_work(directory / "w", {.keys = 1000, .record_bytes_max = 1000}, files_of_1_mib);
        // With the buffer to read files.
        seen.worked = work && work->push(body, when) && !work->commit() &&
                      !work->ack(work->lease(when).value_or(Lease{}));
        seen.fixed = counting.held();
        for (int round = 0; seen.worked && round < 3; ++round) {
            for (std::int64_t i = 0; i < many; ++i) {
                seen.worked = seen.worked && work->push(body, when);
            }
            if (round == 0) seen.filled = counting.held() - seen.fixed;
            while (!work->empty() && seen.worked) {
                leases.clear();
                for (std::int64_t i = 0; i < lent; ++i) {
                    const auto lease = work->lease(when);
                    seen.worked = seen.worked && lease;
                    if (lease) leases.push_back(*lease);
                }
                if (with_loans == 0) with_loans = counting.held() - seen.fixed - seen.filled;
                // Every second one first.
                for (std::size_t from : {1U, 0U}) {
                    for (std::size_t i = from; i < leases.size(); i += 2) {
                        seen.worked = seen.worked && !work->ack(leases[i]);
                    }
                }
                seen.worked = seen.worked && !work->commit();
            }
            if (round == 0) seen.first_peak = counting.peak();
            seen.last_peak = counting.peak();
        }
        seen.drained = counting.held() - seen.fixed;
        work.reset();
        work = open_work(directory / "w", {.keys = 1000, .record_bytes_max = 1000}, files_of_1_mib);
        seen.worked = seen.worked && work && work->empty();
        reopened = counting.held() - seen.fixed;
    }
    REQUIRE(seen.worked);
    INFO("fixed " << seen.fixed << ", filled " << seen.filled << ", with loans " << with_loans
                  << ", drained " << seen.drained << ", reopened " << reopened << ", peaks "
                  << seen.first_peak << ' ' << seen.last_peak);
    const auto rounded_up = [](std::int64_t n) {
        return static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(n)));
    };
    // 4.25 bytes for each entry, and what the journal holds.
    CHECK(seen.filled > 4 * many);
    CHECK(seen.filled <= rounded_up(many) * 17 / 4 + many);
    CHECK(with_loans > 60 * lent);
    CHECK(with_loans <= 64 * rounded_up(lent) + 4 * page);
    // Nothing is given back but by an opening, and nothing is added.
    CHECK(seen.drained <= seen.filled + with_loans);
    CHECK(seen.last_peak <= seen.first_peak + page);
    CHECK(reopened <= 8 * page);
}

TEST_CASE("Queue over Deque holds its values, a block or two, and gives them back",
          "[queue][allocation][unit]") {
    Held seen;
    {
        const Counting counting;
        Queue queue{Deque<std::uint64_t>{}, {.limit = many}};
        for (int round = 0; round < 4; ++round) {
            for (std::int64_t i = 0; i < many; ++i) {
                seen.worked = seen.worked && !queue.push(static_cast<std::uint64_t>(i));
            }
            seen.filled = std::max(seen.filled, counting.held());
            for (std::int64_t i = 0; i < many; ++i) {
                seen.worked = seen.worked && queue.pop() == static_cast<std::uint64_t>(i);
            }
            seen.drained = std::max(seen.drained, counting.held());
            if (round == 0) seen.first_peak = counting.peak();
            seen.last_peak = counting.peak();
        }
    }
    INFO("filled " << seen.filled << ", drained " << seen.drained << ", peaks " << seen.first_peak
                   << ' ' << seen.last_peak);
    CHECK(seen.worked);
    CHECK(seen.filled >= 8 * many);
    CHECK(seen.filled <= 8 * many + many / 4);
    CHECK(seen.drained <= page);
    CHECK(seen.last_peak <= seen.first_peak + page);
}

TEST_CASE("KeyWindow holds 24 bytes for each key", "[queue][allocation][unit]") {
    constexpr std::size_t capacity = 100'000;
    std::int64_t held = 0;
    std::int64_t peak = 0;
    {
        const Counting counting;
        belay::detail::KeyWindow window{capacity};
        held = counting.held();
        Random bits{Seed{1}};
        for (std::size_t i = 0; i < 3 * capacity; ++i) {
            window.add({bits(), static_cast<std::uint32_t>(bits()), 0});
        }
        peak = counting.peak();
    }
    CHECK(held >= std::int64_t{24} * std::int64_t{capacity});
    CHECK(held <= std::int64_t{24} * std::int64_t{capacity} + 2 * page);
    CHECK(peak == held);
}
