// SPDX-License-Identifier: MIT
// What an operation of 256 bytes costs that must survive: beside the disk's own limit, SQLite,
// LevelDB, RocksDB and LMDB.
#include <optional>

#include <benchmark/benchmark.h>

#include "queue/compared_queues.hpp"

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
    Payloads payloads{static_cast<std::uint64_t>(state.thread_index())};
    for (auto _ : state) {
        if (!store->put(payloads.next())) {
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
    Payloads payloads{1};
    for (auto _ : state) {
        if (!store.put_batch(payloads, 100)) {
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
    Payloads payloads{1};
    std::size_t left = 0;
    for (auto _ : state) {
        if (left == 0) {
            state.PauseTiming();
            left = 2000;
            if (!store.put_batch(payloads, left)) state.SkipWithError("the store failed");
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

/// Calls `body` with each store and its name: one operation of all stores is measured before the
/// next operation, so that the disk is in the same mood for all of them.
template <class Body>
void for_each_store(Body body) {
    body.template operator()<Raw>("raw");
    body.template operator()<Ours>("belay");
#if __has_include(<sqlite3.h>)
    body.template operator()<Sqlite>("sqlite");
#endif
#if __has_include(<leveldb/db.h>)
    body.template operator()<LevelDb>("leveldb");
#endif
#if __has_include(<rocksdb/db.h>)
    body.template operator()<RocksDb>("rocksdb");
#endif
#if __has_include(<lmdb.h>)
    body.template operator()<Lmdb>("lmdb");
#endif
}

const bool added = [] {
    const auto add = [](const char* operation, const char* store,
                        void (*function)(benchmark::State&)) {
        const std::string full = std::string{"journal/journal/"} + operation + "/" + store;
        return benchmark::RegisterBenchmark(full.c_str(), function)->UseRealTime();
    };
    for_each_store([&]<class Store>(const char* name) {
        add("append_one_by_one", name, put<Store, Mode::durable>);
    });
    for_each_store([&]<class Store>(const char* name) {
        add("append_by_hundreds", name, put_hundred<Store>);
    });
    for_each_store([&]<class Store>(const char* name) {
        add("append_buffered", name, put<Store, Mode::buffered>);
    });
    // Raw does not pop, and is for one thread.
    for_each_store([&]<class Store>(const char* name) {
        if constexpr (!std::same_as<Store, Raw>) add("pop", name, pop<Store>);
    });
    for (const int threads : {1, 2, 4, 16, 64}) {
        for_each_store([&]<class Store>(const char* name) {
            if constexpr (!std::same_as<Store, Raw>) {
                add("group_commit", name, put<Store, Mode::durable>)->Threads(threads);
            }
        });
    }
    return true;
}();

}  // namespace
