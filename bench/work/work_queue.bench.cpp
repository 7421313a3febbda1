// SPDX-License-Identifier: MIT
// What leases and acknowledgement item by item cost beside the journal alone, what an opening
// costs, which reads every entry, and what a window of idempotency keys costs beside the standard
// library's set.
//
// BELAY_BENCH_DIR names the directory to use; else the system's temporary one.
#include <belay/work/work_queue.hpp>

#include <deque>
#include <optional>
#include <string>
#include <unordered_set>

#include <benchmark/benchmark.h>

#include "queue/compared_queues.hpp"

using namespace belay;

namespace {

using belay_bench::payload_bytes;
using belay_bench::Scratch;

constexpr std::size_t batch = 100;

Bytes random_payload() {
    Random bits{Seed{1}};
    Bytes bytes(payload_bytes);
    for (std::byte& b : bytes) b = static_cast<std::byte>(bits());
    return bytes;
}

/// The journal alone: append, read, acknowledge; a commit for each batch.
void journal_alone(benchmark::State& state) {
    const Scratch scratch;
    auto journal = posix::Journal::open(scratch / "journal", {.flush = Flush::none});
    const Bytes payload = random_payload();
    for (auto _ : state) {
        for (std::size_t i = 0; i < batch; ++i) static_cast<void>(journal->append(payload));
        static_cast<void>(journal->commit());
        for (std::size_t i = 0; i < batch; ++i) {
            benchmark::DoNotOptimize(journal->front());
            static_cast<void>(journal->ack());
        }
    }
    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(batch));
}
BENCHMARK(journal_alone)->Name("work/work_queue/push_lease_ack/journal")->UseRealTime();

void push_lease_ack(benchmark::State& state, bool with_keys, bool in_order) {
    const Scratch scratch;
    auto journal = posix::Journal::open(scratch / "journal", {.flush = Flush::none});
    Moment now{Instant{}, WallTime{std::chrono::seconds{1'700'000'000}}};
    auto work = WorkQueue<posix::Journal>::open(
        std::move(*journal), {.keys = with_keys ? std::size_t{100'000} : 0}, now);
    const Bytes payload = random_payload();
    std::vector<Lease> leases(batch);
    std::uint64_t n = 0;
    char key[37] = "6ba7b810-9dad-11d1-80b4-000000000000";
    for (auto _ : state) {
        for (std::size_t i = 0; i < batch; ++i) {
            PushOptions with;
            if (with_keys) {
                // In the place of twelve digits: writing these costs more than what is measured.
                store_le<std::uint64_t>(reinterpret_cast<std::byte*>(key), ++n);
                with.key = {key, 36};
            }
            static_cast<void>(work->push(payload, now, with));
        }
        static_cast<void>(work->commit());
        for (Lease& lease : leases) lease = *work->lease(now);
        for (std::size_t i = 0; i < batch; ++i) {
            static_cast<void>(work->ack(leases[in_order ? i : i * 37 % batch]));
        }
    }
    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(batch));
}
BENCHMARK_CAPTURE(push_lease_ack, in_order, false, true)
    ->Name("work/work_queue/push_lease_ack/belay")
    ->UseRealTime();
BENCHMARK_CAPTURE(push_lease_ack, out_of_order, false, false)
    ->Name("work/work_queue/push_lease_ack_out_of_order/belay")
    ->UseRealTime();
BENCHMARK_CAPTURE(push_lease_ack, keys, true, true)
    ->Name("work/work_queue/push_lease_ack_with_keys/belay")
    ->UseRealTime();

/// A work queue of a million items of 256 bytes, made once for all runs.
class Large {
public:
    static constexpr std::uint64_t items = 1'000'000;
    static constexpr Moment now{Instant{}, WallTime{std::chrono::seconds{1'700'000'000}}};

    static std::string path() {
        static const Large large;
        return large.scratch_ / "journal";
    }

private:
    Large() {
        auto journal = posix::Journal::open(scratch_ / "journal", {.flush = Flush::none});
        auto work = WorkQueue<posix::Journal>::open(std::move(*journal), {}, now);
        belay_bench::Payloads payloads{1};
        for (std::uint64_t i = 0; i < items; ++i) {
            static_cast<void>(work->push(payloads.next(), now));
        }
        // So that no opening waits for the disk to write all this.
        static_cast<void>(work->flush());
    }

    Scratch scratch_;
};

/// Opening it and its journal, beside "journal/journal/open_tail", its files in the system's memory.
void open_work_queue(benchmark::State& state) {
    const std::string path = Large::path();
    using Work = WorkQueue<posix::Journal>;
    belay_bench::time_openings(state, Large::items, [&]() -> std::optional<Work> {
        auto journal = posix::Journal::open(path);
        if (!journal) return std::nullopt;
        auto work = Work::open(std::move(*journal), {}, Large::now);
        if (!work || work->size() != Large::items) return std::nullopt;
        return std::move(*work);
    });
}
BENCHMARK(open_work_queue)->Name("work/work_queue/open/belay")->UseRealTime();

/// So few that they are in the first cache, as a key is that has just come in; a constant, so that
/// none is chosen by a division.
constexpr std::size_t names_count = 64;

std::string key_of(std::uint64_t n) {
    char text[37];
    std::snprintf(text, sizeof text, "6ba7b810-9dad-11d1-80b4-%012llx",
                  static_cast<unsigned long long>(n));
    return text;
}

/// A key more, and the oldest less: keys of 36 characters.
void key_window(benchmark::State& state) {
    const auto keys = static_cast<std::size_t>(state.range(0));
    belay::detail::KeyWindow window{keys};
    const detail::KeyHash hash{Id{std::byte{1}}};
    std::vector<std::string> names;
    for (std::uint64_t i = 0; i < names_count; ++i) names.push_back(key_of(i));
    std::uint64_t n = 0;
    const auto add = [&] {
        std::string& name = names[n % names_count];
        store_le<std::uint64_t>(reinterpret_cast<std::byte*>(name.data()), ++n);
        belay::detail::KeyFingerprint print = belay::detail::print_of(name, hash);
        print.item = n;
        if (window.find(print) == belay::detail::KeyWindow::Answer::unknown) window.add(print);
    };
    while (n < keys) add();
    for (auto _ : state) add();
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(key_window)->Name("work/key_window/add/belay")->Arg(10'000)->Arg(1'000'000);

void set_of_strings(benchmark::State& state) {
    const auto keys = static_cast<std::size_t>(state.range(0));
    std::unordered_set<std::string> set;
    set.reserve(keys);
    std::deque<std::unordered_set<std::string>::iterator> order;
    std::vector<std::string> names;
    for (std::uint64_t i = 0; i < names_count; ++i) names.push_back(key_of(i));
    std::uint64_t n = 0;
    const auto add = [&] {
        std::string& name = names[n % names_count];
        store_le<std::uint64_t>(reinterpret_cast<std::byte*>(name.data()), ++n);
        const auto [i, is_new] = set.insert(name);
        if (is_new) order.push_back(i);
        if (order.size() > keys) {
            set.erase(order.front());
            order.pop_front();
        }
    };
    while (n < keys) add();
    for (auto _ : state) add();
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(set_of_strings)->Name("work/key_window/add/unordered_set")->Arg(10'000)->Arg(1'000'000);

/// Without the hash: what the table costs.
void prints_only(benchmark::State& state) {
    const auto keys = static_cast<std::size_t>(state.range(0));
    belay::detail::KeyWindow window{keys};
    std::uint64_t n = 0;
    const auto add = [&] {
        const std::uint64_t hash = detail::mix64(++n);
        const belay::detail::KeyFingerprint print{hash, static_cast<std::uint32_t>(hash), 0, n};
        if (window.find(print) == belay::detail::KeyWindow::Answer::unknown) window.add(print);
    };
    while (n < keys) add();
    for (auto _ : state) add();
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(prints_only)->Name("work/key_window/add_print/belay")->Arg(10'000)->Arg(1'000'000);

}  // namespace
