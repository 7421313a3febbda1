// SPDX-License-Identifier: MIT
// Holds every way to a CRC32C that this machine has against the definition, and each other.
//     crc_paths NAME     exits with 1 if any differs, or if the best is not the one of this name
// Without a framework: it is built for machines that are emulated.
#include "support/core/crc_paths.hpp"

#include <cstdio>
#include <cstring>

#include <belay/core/random.hpp>

namespace {

using namespace belay;

bool equal(const belay_test::CrcPath& path) {
    Random bits{Seed{11}};
    Bytes data(2000 + 8);
    for (std::byte& byte : data) byte = static_cast<std::byte>(bits() & 0xFFU);
    for (std::size_t offset = 0; offset <= 8; ++offset) {
        const BytesView all = BytesView{data}.subspan(offset, 2000);
        const auto seed = static_cast<std::uint32_t>(bits());
        std::uint32_t expected = seed;
        for (std::size_t n = 0; n <= all.size(); ++n) {
            if (n != 0) expected = belay_test::crc_by_bits(expected, all[n - 1]);
            const std::size_t cut = n / 3;
            const std::uint32_t first = path.of(all.first(cut), seed);
            if (path.of(all.first(n), seed) != expected ||
                path.of(all.first(n).subspan(cut), first) != expected) {
                std::printf("%s differs at length %zu, offset %zu\n", path.name, n, offset);
                return false;
            }
        }
    }
    return path.of(as_bytes("123456789"), 0) == 0xE3069283U;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) return 2;
    const auto paths = belay_test::crc_paths();
    bool good = std::strcmp(paths.back().name, argv[1]) == 0;
    if (!good) std::printf("the best here is \"%s\", not \"%s\"\n", paths.back().name, argv[1]);
    for (const belay_test::CrcPath& path : paths) good = equal(path) && good;
    return good ? 0 : 1;
}
