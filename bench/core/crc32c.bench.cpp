// SPDX-License-Identifier: MIT
// What a checksum costs, for records of a journal (256 bytes) and for longer buffers: beside the
// single chain of crc32 instructions that one would write by hand, and beside ISA-L, hand-written
// assembly that takes the widest vectors of the CPU.
#include <belay/core/crc32c.hpp>

#include <benchmark/benchmark.h>

#if __has_include(<isa-l/crc.h>)
#    include <isa-l/crc.h>
#endif

using namespace belay;

namespace {

// Each checksum goes on from the one before, as a journal's do: no call overlaps the next.
template <class Checksum>
void checksum(benchmark::State& state, Checksum of) {
    Bytes bytes(static_cast<std::size_t>(state.range(0)));
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * i >> 3);
    std::uint32_t crc = 0;
    for (auto _ : state) {
        crc = of(BytesView{bytes}, crc);
        benchmark::DoNotOptimize(crc);
        benchmark::ClobberMemory();
    }
    state.SetBytesProcessed(state.iterations() * state.range(0));
}

void sizes(benchmark::internal::Benchmark* each) {
    each->ArgName("bytes")->Arg(64)->Arg(256)->Arg(4096)->Arg(65536);
}

void belay_checksum(benchmark::State& state) {
    checksum(state, [](BytesView b, std::uint32_t crc) { return part::crc32c(b, crc); });
}
BENCHMARK(belay_checksum)->Name("core/crc32c/checksum/belay")->Apply(sizes);

void belay_by_tables(benchmark::State& state) {
    checksum(state, [](BytesView b, std::uint32_t crc) {
        return ~detail::crc32c_portable(~crc, b.data(), b.size());
    });
}
BENCHMARK(belay_by_tables)->Name("core/crc32c/by_tables/belay")->Apply(sizes);

#if defined(__x86_64__)
void one_chain(benchmark::State& state) {
    if (__builtin_cpu_supports("sse4.2") == 0) {
        state.SkipWithError("this CPU has no SSE4.2");
        return;
    }
    checksum(state, [](BytesView b, std::uint32_t crc) {
        return ~detail::crc32c_sse42(~crc, b.data(), b.size());
    });
}
BENCHMARK(one_chain)->Name("core/crc32c/checksum/one_chain")->Apply(sizes);
#endif

#if __has_include(<isa-l/crc.h>)
// It takes an inverted state, and does not write through its pointer.
template <unsigned (*crc32_of)(unsigned char*, int, unsigned)>
std::uint32_t by_isal(BytesView b, std::uint32_t crc) {
    auto* const from = const_cast<std::byte*>(b.data());
    return ~crc32_of(reinterpret_cast<unsigned char*>(from), static_cast<int>(b.size()), ~crc);
}

void isal_checksum(benchmark::State& state) { checksum(state, by_isal<crc32_iscsi>); }
BENCHMARK(isal_checksum)->Name("core/crc32c/checksum/isal")->Apply(sizes);

void isal_by_tables(benchmark::State& state) { checksum(state, by_isal<crc32_iscsi_base>); }
BENCHMARK(isal_by_tables)->Name("core/crc32c/by_tables/isal")->Apply(sizes);
#endif

}  // namespace
