// SPDX-License-Identifier: MIT
// What an operation of 256 bytes costs that must survive: beside the disk's own limit, SQLite,
// LevelDB, RocksDB and LMDB.
#include <optional>

#include <benchmark/benchmark.h>

#include "queue/peers.hpp"

namespace {

using namespace belay_bench;

/// One operation per iteration, from each thread, into a store that all share.
template <class Store, Mode mode>
void put(benchmark::State& state) {
    static std::optional<Scratch> scratch;
    static std::optional<Store> store;
    if (state.thread_index() == 0) {
        scratch.emplace();
        store.emplace(*scratch, mode);
    }
    const belay::Bytes payload = random_payload(static_cast<std::uint64_t>(state.thread_index()));
    for (auto _ : state) {
        if (!store->put(payload)) {
            state.SkipWithError("the store failed");
            break;
        }
    }
    state.SetItemsProcessed(state.iterations());
    if (state.thread_index() == 0) {
        store.reset();
        scratch.reset();
    }
}

/// A hundred operations per iteration, in one commit.
template <class Store>
void put_hundred(benchmark::State& state) {
    const Scratch scratch;
    Store store{scratch, Mode::durable};
    const belay::Bytes payload = random_payload(1);
    for (auto _ : state) {
        if (!store.put_batch(payload, 100)) {
            state.SkipWithError("the store failed");
            break;
        }
    }
    state.SetItemsProcessed(100 * state.iterations());
}

/// One operation per iteration is read and given up.
template <class Store>
void pop(benchmark::State& state) {
    const Scratch scratch;
    Store store{scratch, Mode::durable};
    const belay::Bytes payload = random_payload(1);
    std::size_t left = 0;
    for (auto _ : state) {
        if (left == 0) {
            state.PauseTiming();
            left = 2000;
            if (!store.put_batch(payload, left)) state.SkipWithError("the store failed");
            state.ResumeTiming();
        }
        if (!store.pop()) {
            state.SkipWithError("the store failed");
            break;
        }
        --left;
    }
    state.SetItemsProcessed(state.iterations());
}

/// Everything that a store can do; Raw does not pop, and is for one thread.
template <class Store>
void add(const std::string& name) {
    const auto add = [&](const char* operation, void (*function)(benchmark::State&)) {
        const std::string full = std::string{"queue/journal/"} + operation + "/" + name;
        return benchmark::RegisterBenchmark(full.c_str(), function)->UseRealTime();
    };
    add("append_one_by_one", put<Store, Mode::durable>);
    add("append_by_hundreds", put_hundred<Store>);
    add("append_buffered", put<Store, Mode::buffered>);
    if constexpr (!std::same_as<Store, Raw>) {
        add("pop", pop<Store>);
        auto* const group = add("group_commit", put<Store, Mode::durable>);
        for (const int threads : {1, 2, 4, 16, 64}) group->Threads(threads);
    }
}

const bool added = [] {
    add<Raw>("raw");
    add<Ours>("belay");
#if __has_include(<sqlite3.h>)
    add<Sqlite>("sqlite");
#endif
#if __has_include(<leveldb/db.h>)
    add<LevelDb>("leveldb");
#endif
#if __has_include(<rocksdb/db.h>)
    add<RocksDb>("rocksdb");
#endif
#if __has_include(<lmdb.h>)
    add<Lmdb>("lmdb");
#endif
    return true;
}();

}  // namespace
