// SPDX-License-Identifier: MIT
// An edit of a Replica, with a flush each, next to an append and a commit of a journal with the same
// bytes; the same without flushes; a first sync of 100,000 elements next to process_batch of as
// many; and a sync that has nothing to do.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include <belay/posix/journal.hpp>
#include <belay/sync.hpp>
#include <belay/sync/replica.hpp>

namespace {

using namespace belay;
using Edit = Operation<std::string>;

struct BenchText {
    bool encode(const std::string& text, Bytes& into) const {
        const BytesView bytes = as_bytes(text);
        into.insert(into.end(), bytes.begin(), bytes.end());
        return true;
    }
    std::optional<std::string> decode(BytesView bytes) const { return std::string{as_text(bytes)}; }
};

/// A directory that is removed at the end.
struct Scratch {
    std::string path =
        (std::filesystem::current_path() / ("belay-replica-bench-" + std::to_string(entropy())))
            .string();
    Scratch() { std::filesystem::create_directory(path); }
    ~Scratch() { std::filesystem::remove_all(path); }
};
posix::Journal journal_in(const Scratch& scratch, Flush flush) {
    auto journal = posix::Journal::open(scratch.path + "/journal", {.flush = flush});
    if (!journal) std::abort();
    return std::move(*journal);
}

/// Adds of new elements and updates of others, as an application makes them.
template <Flush flush>
void edits(benchmark::State& state) {
    const Scratch scratch;
    MemoryStore<std::string> copy;
    Replica replica{journal_in(scratch, flush),
                    std::ref(copy),
                    BenchText{},
                    {.edits_max = 100'000'000, .adds_base = false}};
    if (replica.load()) std::abort();
    std::uint64_t next = 0;
    for (auto _ : state) {
        ++next;
        std::string name = "element-" + std::to_string(next % 10'000);
        if (!replica.edit(UpdateElement{std::move(name), std::string(32, 'y')})) std::abort();
    }
    state.SetItemsProcessed(state.iterations());
}
template <Flush flush>
void appends(benchmark::State& state) {
    const Scratch scratch;
    auto journal = journal_in(scratch, flush);
    // As long as the record of the same edit.
    const Bytes record(6 + 16 + 28 + 2 + 28 + 4 + 12 + 4 + 32);
    for (auto _ : state) {
        if (!journal.append(record) || journal.commit()) std::abort();
    }
    state.SetItemsProcessed(state.iterations());
}

/// An edit and an append in turn, in random order, so that both meet the same disk. The time is that
/// of the edits; `ratio` is that of the medians.
void edits_and_appends(benchmark::State& state) {
    using Time = std::chrono::duration<double>;
    const Scratch scratch;
    const Scratch other;
    MemoryStore<std::string> copy;
    Replica replica{journal_in(scratch, Flush::group),
                    std::ref(copy),
                    BenchText{},
                    {.edits_max = 100'000'000, .adds_base = false}};
    if (replica.load()) std::abort();
    auto journal = journal_in(other, Flush::group);
    const Bytes record(6 + 16 + 28 + 2 + 28 + 4 + 12 + 4 + 32);
    Random bits;
    std::uint64_t next = 0;
    std::vector<double> times[2];
    for (auto _ : state) {
        std::string name = "element-" + std::to_string(++next % 10'000);
        const std::uint64_t first = bits() % 2;
        for (const std::uint64_t which : {first, 1 - first}) {
            const auto begin = std::chrono::steady_clock::now();
            const bool ok =
                which == 0 ? replica.edit(UpdateElement{name, std::string(32, 'y')}).has_value()
                           : journal.append(record).has_value() && !journal.commit();
            if (!ok) std::abort();
            times[which].push_back(Time{std::chrono::steady_clock::now() - begin}.count());
        }
        state.SetIterationTime(times[0].back());
    }
    for (auto& each : times) {
        const auto middle = each.begin() + static_cast<std::ptrdiff_t>(each.size() / 2);
        std::nth_element(each.begin(), middle, each.end());
    }
    state.counters["ratio"] = times[1][times[1].size() / 2] / times[0][times[0].size() / 2];
    state.SetItemsProcessed(state.iterations());
}

constexpr std::size_t elements = 100'000;
std::vector<Edit> all_adds() {
    std::vector<Edit> adds;
    Random bits{Seed{1}};
    HybridClock<> clock{Id{std::byte{1}}};
    for (std::size_t i = 0; i < elements; ++i) {
        adds.push_back(
            {make_id(bits), clock.stamp(),
             AddElement<std::string>{"element-" + std::to_string(i), std::string(32, 'x')},
             Stamp{}});
    }
    return adds;
}
void process_batches(benchmark::State& state) {
    const std::vector<Edit> adds = all_adds();
    for (auto _ : state) {
        MemoryStore<std::string> store;
        SyncProcessor processor{std::ref(store), LastWriteWins{}};
        for (std::size_t i = 0; i < elements; i += 1'000) {
            const std::span<const Edit> batch{adds.data() + i, 1'000};
            if (!processor.process_batch("s", batch).success) std::abort();
        }
    }
    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(elements));
}
void first_syncs(benchmark::State& state) {
    const std::vector<Edit> adds = all_adds();
    MemoryStore<std::string> store;
    SyncProcessor processor{std::ref(store), LastWriteWins{}};
    if (!processor.process_batch("replica", adds).success) std::abort();
    const Scratch scratch;
    auto journal = journal_in(scratch, Flush::none);
    for (auto _ : state) {
        MemoryStore<std::string> copy;
        Replica replica{std::ref(journal), std::ref(copy), BenchText{}};
        if (replica.load() || replica.sync(processor).received != elements) std::abort();
    }
    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(elements));
}
void empty_syncs(benchmark::State& state) {
    const std::vector<Edit> adds = all_adds();
    MemoryStore<std::string> store;
    SyncProcessor processor{std::ref(store), LastWriteWins{}};
    if (!processor.process_batch("replica", adds).success) std::abort();
    const Scratch scratch;
    MemoryStore<std::string> copy;
    Replica replica{journal_in(scratch, Flush::none), std::ref(copy), BenchText{}};
    if (replica.load() || replica.sync(processor).error) std::abort();
    for (auto _ : state) {
        if (replica.sync(processor).error) std::abort();
    }
    state.SetItemsProcessed(state.iterations());
}

BENCHMARK(edits<Flush::group>)->Name("sync/replica/edit/belay")->UseRealTime();
BENCHMARK(appends<Flush::group>)->Name("sync/replica/edit/journal")->UseRealTime();
BENCHMARK(edits_and_appends)->Name("sync/replica/edit_in_turn/belay")->UseManualTime();
BENCHMARK(edits<Flush::none>)->Name("sync/replica/edit_unflushed/belay");
BENCHMARK(appends<Flush::none>)->Name("sync/replica/edit_unflushed/journal");
BENCHMARK(first_syncs)->Name("sync/replica/first_sync/belay");
BENCHMARK(process_batches)->Name("sync/replica/first_sync/process_batch");
BENCHMARK(empty_syncs)->Name("sync/replica/empty_sync/belay");

}  // namespace
