// SPDX-License-Identifier: MIT
// How long it takes to open a journal that has much in it.
#include <optional>

#include <benchmark/benchmark.h>

#include "queue/peers.hpp"

using namespace belay;

namespace {

using belay_bench::Payloads;
using belay_bench::Scratch;

/// A journal of a million operations of 256 bytes, made once for all that open it.
class Large {
public:
    static constexpr std::uint64_t operations = 1'000'000;

    static std::string path() {
        static const Large large;
        return large.scratch_ / "journal";
    }

private:
    Large() {
        auto journal = posix::Journal::open(scratch_ / "journal", {.flush = Flush::none});
        Payloads payloads{1};
        for (std::uint64_t i = 0; i < operations; ++i) {
            static_cast<void>(journal->append(payloads.next()));
        }
        // So that no opening waits for the disk to write all this.
        static_cast<void>(journal->flush());
    }

    Scratch scratch_;
};

/// Opening it, its files in the system's memory. The flush of the opening is a part of it.
void open_journal(benchmark::State& state, Verify verify) {
    const std::string path = Large::path();
    belay_bench::time_openings(state, Large::operations, [&]() -> std::optional<posix::Journal> {
        auto journal = posix::Journal::open(path, {.verify = verify});
        if (!journal || journal->size() != Large::operations) return std::nullopt;
        return std::move(*journal);
    });
}
BENCHMARK_CAPTURE(open_journal, tail, Verify::tail)
    ->Name("journal/journal/open_tail/belay")
    ->UseRealTime();
BENCHMARK_CAPTURE(open_journal, everything, Verify::everything)
    ->Name("journal/journal/open_everything/belay")
    ->UseRealTime();

}  // namespace
