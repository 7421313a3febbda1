// SPDX-License-Identifier: MIT
// How much memory and disk a journal takes for what waits, and a window of keys for each. A program
// of its own, since it replaces operator new to count. One iteration tells all, and its time
// nothing: bench/report.py shows the counters, bytes_each and segments.
#include <algorithm>
#include <deque>
#include <filesystem>
#include <string>
#include <unordered_set>

#include <benchmark/benchmark.h>

#include <belay/work/detail/key_window.hpp>

#include "queue/compared_queues.hpp"
#include "support/counting_new.hpp"

using namespace belay;

namespace {

using belay_bench::Payloads;
using belay_bench::Scratch;
using belay_test::Counting;

constexpr std::uint64_t many = 1'000'000;

double each(std::int64_t bytes, std::uint64_t of) {
    return static_cast<double>(bytes) / static_cast<double>(of);
}

JournalOptions small_files(std::size_t segment_bytes) {
    return {.flush = Flush::none, .segment_bytes = segment_bytes, .record_bytes_max = 4096};
}

/// The bytes of all files, with what is reserved in them.
std::uint64_t disk_bytes(const std::string& directory) {
    std::uint64_t sum = 0;
    for (const auto& file : std::filesystem::directory_iterator{directory}) sum += file.file_size();
    return sum;
}

/// In memory, for operations that wait: of all that the journal holds.
void journal_index(benchmark::State& state) {
    for (auto _ : state) {
        const Scratch scratch;
        const Counting counting;
        auto journal = posix::Journal::open(scratch / "journal", {.flush = Flush::none});
        if (!journal) return state.SkipWithError("no journal");
        const std::int64_t empty = counting.held();
        const Bytes payload(16);
        for (std::uint64_t i = 0; i < many; ++i) static_cast<void>(journal->append(payload));
        state.counters["bytes_each"] = each(counting.held() - empty, many);
        if (journal->size() != many) state.SkipWithError("some values are missing");
    }
}
BENCHMARK(journal_index)->Name("journal/journal/index_in_memory/belay")->Iterations(1);

/// On the disk, beyond the payload: headers, checksums, padding, seals, and what files leave empty.
void journal_framing(benchmark::State& state) {
    constexpr std::uint64_t operations = 250'000;
    for (auto _ : state) {
        const Scratch scratch;
        // Small, since the last one is counted whole.
        auto journal = posix::Journal::open(scratch / "journal", small_files(512 << 10));
        if (!journal) return state.SkipWithError("no journal");
        Payloads payloads{1};
        std::uint64_t payload_bytes = 0;
        for (std::uint64_t i = 0; i < operations; ++i) {
            // Of eight lengths, so that every padding comes as often.
            const BytesView payload = payloads.next().first(belay_bench::payload_bytes - i % 8);
            payload_bytes += payload.size();
            static_cast<void>(journal->append(payload));
        }
        if (journal->commit() || journal->size() != operations) {
            return state.SkipWithError("some values are missing");
        }
        const std::uint64_t used = disk_bytes(scratch / "journal");
        state.counters["bytes_each"] =
            each(static_cast<std::int64_t>(used - payload_bytes), operations);
    }
}
BENCHMARK(journal_framing)->Name("journal/journal/framing_on_disk/belay")->Iterations(1);

/// On the disk, beyond the records of what waits, at most: some always wait, while ten times as
/// many are appended and acknowledged in order.
void journal_beyond_live(benchmark::State& state) {
    constexpr std::size_t segment_bytes = std::size_t{1} << 20;
    constexpr std::uint64_t waiting = 20'000;
    constexpr std::uint64_t batch = 100;
    constexpr std::uint64_t record = journal_format::record_bytes(belay_bench::payload_bytes);
    for (auto _ : state) {
        const Scratch scratch;
        auto journal = posix::Journal::open(scratch / "journal", small_files(segment_bytes));
        if (!journal) return state.SkipWithError("no journal");
        Payloads payloads{1};
        std::uint64_t most = 0;
        while (journal->last() < 10 * waiting) {
            for (std::uint64_t i = 0; i < batch; ++i) {
                static_cast<void>(journal->append(payloads.next()));
            }
            if (journal->size() > waiting) {
                static_cast<void>(journal->ack(journal->last() - waiting));
            }
            if (journal->commit()) return state.SkipWithError("the journal failed");
            most = std::max(most, disk_bytes(scratch / "journal") - journal->size() * record);
        }
        state.counters["segments"] = static_cast<double>(most) / double{segment_bytes};
    }
}
BENCHMARK(journal_beyond_live)->Name("journal/journal/disk_beyond_live/belay")->Iterations(1);

/// In memory, for each key that is remembered.
void key_window(benchmark::State& state) {
    for (auto _ : state) {
        const Counting counting;
        belay::detail::KeyWindow window{many};
        const detail::KeyHash hash{Id{std::byte{1}}};
        for (std::uint64_t i = 0; i < many; ++i) {
            const std::string key = "6ba7b810-9dad-11d1-80b4-" + std::to_string(i);
            belay::detail::KeyFingerprint print = belay::detail::print_of(key, hash);
            print.item = i + 1;
            window.add(print);
        }
        state.counters["bytes_each"] = each(counting.held(), many);
    }
}
BENCHMARK(key_window)->Name("work/key_window/in_memory/belay")->Iterations(1);

/// The standard library's set of the same keys, and their order.
void set_of_strings(benchmark::State& state) {
    for (auto _ : state) {
        const Counting counting;
        std::unordered_set<std::string> set;
        std::deque<std::unordered_set<std::string>::iterator> order;
        for (std::uint64_t i = 0; i < many; ++i) {
            order.push_back(set.insert("6ba7b810-9dad-11d1-80b4-" + std::to_string(i)).first);
        }
        state.counters["bytes_each"] = each(counting.held(), many);
    }
}
BENCHMARK(set_of_strings)->Name("work/key_window/in_memory/unordered_set")->Iterations(1);

}  // namespace
