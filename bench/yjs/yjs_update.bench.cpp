// SPDX-License-Identifier: MIT
// How fast updates are merged, and to what size, beside Yjs itself and ywasm under node: they are started
// here, warm up, and tell their own time. Where node is missing, their rows are, too.
#include <belay/yjs/yjs_document.hpp>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include <benchmark/benchmark.h>

using namespace belay;

namespace {

/// Letters, one an update, of so many clients in turn.
std::vector<Bytes> typed(std::size_t letters, std::size_t clients) {
    std::vector<Bytes> updates;
    for (std::size_t i = 0; i < letters; ++i) {
        const std::uint64_t client = 1'000'000 + i % clients, clock = i / clients;
        Bytes u;
        for (const std::uint64_t n : {std::uint64_t{1}, std::uint64_t{1}, client, clock}) {
            yjs::append_varuint(u, n);
        }
        if (clock == 0) {
            for (const int b : {4, 1, 1, 116}) u.push_back(static_cast<std::byte>(b));
        } else {
            u.push_back(std::byte{0x84});
            yjs::append_varuint(u, client);
            yjs::append_varuint(u, clock - 1);
        }
        for (const int b : {1, 97, 0}) u.push_back(static_cast<std::byte>(b));
        updates.push_back(std::move(u));
    }
    return updates;
}

struct Measured {
    double seconds = 0;
    double document_bytes = 0;
};

const char* const yjs_script = BELAY_NODE_SCRIPTS "/yjs/bench.mjs";
const char* const ywasm_script = BELAY_ROOM_PEERS "/ywasm.mjs";

/// What a script needs for it, or nothing.
Measured by_node(const char* script, const std::vector<Bytes>& updates, const char* task = "") {
    const std::string path = std::filesystem::temp_directory_path() / "belay-yjs-bench";
    {
        std::ofstream file{path};
        for (const Bytes& update : updates) {
            for (const std::byte b : update) {
                char hex[3];
                std::snprintf(hex, sizeof hex, "%02x", static_cast<unsigned>(b));
                file << hex;
            }
            file << '\n';
        }
    }
    // Both folders may have a space in their names.
    const std::string command = std::string{"node '"} + script + "' '" + path + "'" + task;
    Measured measured;
    if (std::FILE* const pipe = ::popen(command.c_str(), "r")) {
        const int read = std::fscanf(pipe, "%lf %lf", &measured.seconds, &measured.document_bytes);
        if (::pclose(pipe) != 0 || read != 2) measured = {};
    }
    std::filesystem::remove(path);
    return measured;
}

/// Whether there is node, and the package that the script in its folder needs.
bool has_node(const char* script, const char* package) {
    const auto folder = std::filesystem::path{script}.parent_path();
    return std::filesystem::exists(folder / "node_modules" / package) &&
           std::system("node --version >/dev/null 2>&1") == 0;
}

void merge(benchmark::State& state, std::size_t clients) {
    const auto letters = static_cast<std::size_t>(state.range(0));
    const std::vector<Bytes> updates = typed(letters, clients);
    for (auto _ : state) {
        const auto merged = yjs::merge_updates(updates);
        if (!merged) return state.SkipWithError("not merged");
        benchmark::DoNotOptimize(merged->update.data());
    }
    state.SetItemsProcessed(state.iterations() * state.range(0));
}

void merge_by_node(benchmark::State& state, const char* script, std::size_t clients) {
    const std::vector<Bytes> updates = typed(static_cast<std::size_t>(state.range(0)), clients);
    for (auto _ : state) {
        const Measured measured = by_node(script, updates);
        if (measured.seconds <= 0) return state.SkipWithError("node failed");
        state.SetIterationTime(measured.seconds);
    }
    state.SetItemsProcessed(state.iterations() * state.range(0));
}

/// The whole way of a document: each edit checked and applied, and at last the snapshot.
void compacted_size(benchmark::State& state) {
    const std::vector<Bytes> updates = typed(10'000, 1);
    for (auto _ : state) {
        YjsDocument document;
        for (const Bytes& update : updates) {
            if (document.apply(update)) return state.SkipWithError("rejected");
        }
        state.counters["bytes_each"] = static_cast<double>(document.snapshot()[0].size()) / 10'000;
    }
}

void compacted_size_by_yjs(benchmark::State& state) {
    for (auto _ : state) {
        const Measured measured = by_node(yjs_script, typed(10'000, 1), " size");
        if (measured.document_bytes <= 0) return state.SkipWithError("node failed");
        state.counters["bytes_each"] = measured.document_bytes / 10'000;
    }
}

/// One letter into a document of so many that do not join, as editors of one line do.
void edit(benchmark::State& state) {
    const auto letters = static_cast<std::size_t>(state.range(0));
    YjsDocument document;
    for (const Bytes& update : typed(letters, letters / 2)) {
        if (document.apply(update)) return state.SkipWithError("rejected");
    }
    const Bytes state_vector = document.state_vector();
    const std::vector<Bytes> edits = typed(1'000, 1);
    std::size_t i = 0;
    for (auto _ : state) {
        const Bytes& update = edits[i++ % edits.size()];
        if (!document.check(update) || document.apply(update)) {
            return state.SkipWithError("rejected");
        }
    }
    benchmark::DoNotOptimize(state_vector.data());
    state.SetItemsProcessed(state.iterations());
}

/// What is made of a merged document of so many structs.
template <class F>
void of_document(benchmark::State& state, F f) {
    const auto merged = yjs::merge_updates(typed(static_cast<std::size_t>(state.range(0)), 100));
    if (!merged) return state.SkipWithError("not merged");
    for (auto _ : state) {
        const auto made = f(merged->update);
        if (!made) return state.SkipWithError("not made");
        benchmark::DoNotOptimize(made.value());
    }
    state.SetItemsProcessed(state.iterations() * state.range(0));
}

void sizes(benchmark::internal::Benchmark* b) {
    b->ArgName("structs")->Arg(1'000)->Arg(10'000)->Arg(100'000);
}

const bool registered = [] {
    const bool has_yjs = has_node(yjs_script, "yjs");
    const bool has_ywasm = has_node(ywasm_script, "ywasm");
    const auto add = [](const char* name, auto f) { return benchmark::RegisterBenchmark(name, f); };
    for (const auto& [what, clients] : {std::pair<std::string, std::size_t>{"typing", 1},
                                        std::pair<std::string, std::size_t>{"editors", 100}}) {
        const std::string name = "yjs/update/merge_" + what;
        const auto n = clients;
        // As node tells its own time.
        sizes(add((name + "/belay").c_str(), [n](benchmark::State& s) {
                  merge(s, n);
              })->UseRealTime());
        const auto beside = [&](const char* peer, const char* script) {
            add((name + peer).c_str(),
                [n, script](benchmark::State& s) { merge_by_node(s, script, n); })
                ->ArgName("structs")
                ->Arg(n == 1 ? 10'000 : 1'000)
                ->Iterations(1)
                ->UseManualTime();
        };
        if (has_yjs) beside("/yjs", yjs_script);
        // It has no merge: what it makes of the same, applied and encoded.
        if (has_ywasm) beside("/ywasm", ywasm_script);
    }
    const auto each = [&](const char* name, auto f) {
        sizes(add(name, [f](benchmark::State& s) { of_document(s, f); }));
    };
    each("yjs/update/validate/belay", [](const Bytes& u) { return yjs::validate(u); });
    each("yjs/update/state_vector/belay", [](const Bytes& u) { return yjs::state_vector(u); });
    each("yjs/update/diff/belay", [](const Bytes& u) { return yjs::diff_update(u, Bytes(1)); });
    each("yjs/update/coalesce/belay", [](const Bytes& u) { return yjs::coalesce(u); });
    each("yjs/update/scrub/belay", [](const Bytes& u) { return yjs::scrub(u); });
    each("yjs/update/split/belay", [](const Bytes& u) { return yjs::split_update(u, 65'536); });
    sizes(add("yjs/update/edit/belay", edit));
    add("yjs/update/typed_10000/belay", compacted_size)->Iterations(1);
    if (has_yjs) add("yjs/update/typed_10000/yjs", compacted_size_by_yjs)->Iterations(1);
    return true;
}();

}  // namespace
