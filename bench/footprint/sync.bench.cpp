// SPDX-License-Identifier: MIT
// What an element and a remembered id take in memory: one iteration tells all, and its time nothing.
#include <string>

#include <benchmark/benchmark.h>

#include <belay/sync/memory_store.hpp>

#include "support/counting_new.hpp"

using namespace belay;

namespace {

/// Of elements with ids of 15 characters at most, and values that allocate nothing.
void memory_store_elements(benchmark::State& state) {
    const auto elements = static_cast<std::uint64_t>(state.range(0));
    for (auto _ : state) {
        const belay_test::Counting counting;
        MemoryStore<std::uint64_t> store{MemoryStoreOptions{.ids_remembered = 0}};
        for (std::uint64_t i = 0; i < elements; ++i) {
            const std::string id = std::to_string(i);
            if (store.add({"s", id}, i, {})) return state.SkipWithError("not added");
        }
        state.counters["bytes_each"] =
            static_cast<double>(counting.held()) / static_cast<double>(elements);
    }
}
BENCHMARK(memory_store_elements)
    ->Name("sync/memory_store/in_memory/belay")
    ->ArgName("elements")
    ->Arg(100'000)
    ->Arg(1'000'000)
    ->Iterations(1);

void remembered_ids(benchmark::State& state) {
    constexpr std::uint64_t elements = 100'000;
    for (auto _ : state) {
        const belay_test::Counting counting;
        detail::AppliedIds ids{elements};
        Random bits{Seed{1}};
        for (std::uint64_t i = 0; i < 2 * elements; ++i) {
            Id id{};
            store_le<std::uint64_t>(id.data(), bits());
            ids.prepare();
            ids.insert(id, {i, part::Decision::applied});
        }
        state.counters["bytes_each"] =
            static_cast<double>(counting.held()) / static_cast<double>(elements);
    }
}
BENCHMARK(remembered_ids)->Name("sync/applied_ids/in_memory/belay")->Iterations(1);

}  // namespace
