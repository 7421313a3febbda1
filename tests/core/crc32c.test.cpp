// SPDX-License-Identifier: MIT
// Goal: every implementation of this machine returns the published checksums, and those of the
// definition bit by bit, at every length, alignment, seed and split. Other machines:
// scripts/aarch64 and scripts/byte_order.
#include <belay/core/crc32c.hpp>

#include <array>

#include <belay/core/random.hpp>

#include "support/catch.hpp"
#include "support/core/crc_paths.hpp"

using namespace belay;
using namespace belay_test;

namespace {

Bytes filled(std::size_t n, int first, int step) {
    Bytes b(n);
    for (std::size_t i = 0; i < n; ++i)
        b[i] = static_cast<std::byte>(first + static_cast<int>(i) * step);
    return b;
}

Bytes noise(std::size_t n, std::uint64_t seed) {
    Random bits{Seed{seed}};
    Bytes b(n);
    for (std::byte& byte : b) byte = static_cast<std::byte>(bits() & 0xFFU);
    return b;
}

/// An allocation that ends where the bytes end: a sanitizer detects a read after it.
Bytes copy_at(std::size_t offset, BytesView bytes) {
    Bytes b(offset + bytes.size());
    for (std::size_t i = 0; i < bytes.size(); ++i) b[offset + i] = bytes[i];
    return b;
}

/// The checksum of digits by the tables, before the program starts.
constexpr std::uint32_t digits_when_compiled() {
    constexpr std::array digits{std::byte{'1'}, std::byte{'2'}, std::byte{'3'},
                                std::byte{'4'}, std::byte{'5'}, std::byte{'6'},
                                std::byte{'7'}, std::byte{'8'}, std::byte{'9'}};
    return ~detail::crc32c_portable(~0U, digits.data(), digits.size());
}
static_assert(digits_when_compiled() == 0xE3069283U);

/// The number of bytes in the longest block of three chains, if there are chains.
constexpr std::size_t block = 24 * 64;
#if defined(__x86_64__)
static_assert(block == 24 * detail::crc_chain_words);
static_assert(detail::crc_chains_from >= 24, "a chain has a word at least");
#endif

}  // namespace

TEST_CASE("crc32c gives the values of RFC 3720, appendix B.4", "[core][crc32c][golden]") {
    const Bytes scsi_read{
        std::byte{0x01}, std::byte{0xc0}, std::byte{0},    std::byte{0}, std::byte{0},
        std::byte{0},    std::byte{0},    std::byte{0},    std::byte{0}, std::byte{0},
        std::byte{0},    std::byte{0},    std::byte{0},    std::byte{0}, std::byte{0},
        std::byte{0},    std::byte{0x14}, std::byte{0},    std::byte{0}, std::byte{0},
        std::byte{0},    std::byte{0},    std::byte{4},    std::byte{0}, std::byte{0},
        std::byte{0},    std::byte{0},    std::byte{0x14}, std::byte{0}, std::byte{0},
        std::byte{0},    std::byte{0x18}, std::byte{0x28}, std::byte{0}, std::byte{0},
        std::byte{0},    std::byte{0},    std::byte{0},    std::byte{0}, std::byte{0},
        std::byte{2},    std::byte{0},    std::byte{0},    std::byte{0}, std::byte{0},
        std::byte{0},    std::byte{0},    std::byte{0}};
    for (const CrcPath& path : crc_paths()) {
        CAPTURE(path.name);
        CHECK(path.of(filled(32, 0, 0), 0) == 0x8A9136AAU);
        CHECK(path.of(filled(32, 255, 0), 0) == 0x62A8AB43U);
        CHECK(path.of(filled(32, 0, 1), 0) == 0x46DD794EU);
        CHECK(path.of(filled(32, 31, -1), 0) == 0x113FDB5CU);
        CHECK(path.of(scsi_read, 0) == 0xD9963A56U);
        CHECK(path.of(as_bytes("123456789"), 0) == 0xE3069283U);
        CHECK(path.of({}, 0) == 0U);
        CHECK(path.of({}, 0x12345678U) == 0x12345678U);
    }
}

TEST_CASE("crc32c is the same by every path at every length up to 2000 and every alignment",
          "[core][crc32c][property]") {
    const auto paths = crc_paths();
    for (std::size_t offset = 0; offset <= 8; ++offset) {
        const Bytes data = noise(2000, 100 + offset);
        const auto seed = static_cast<std::uint32_t>(offset * 0x9E3779B9U);
        std::uint32_t expected = seed;
        for (std::size_t n = 0; n <= data.size(); ++n) {
            if (n != 0) expected = crc_by_bits(expected, data[n - 1]);
            const Bytes exact = copy_at(offset, BytesView{data}.first(n));
            for (const CrcPath& path : paths) {
                if (path.of(BytesView{exact}.subspan(offset), seed) == expected) continue;
                FAIL(path.name << " differs at length " << n << ", offset " << offset);
            }
        }
    }
}

TEST_CASE("crc32c is the same by every path around whole blocks", "[core][crc32c][boundary]") {
    const Bytes data = noise(9 * block, 7);
    const auto paths = crc_paths();
    std::uint32_t expected = 0;
    for (std::size_t n = 1; n <= data.size(); ++n) {
        expected = crc_by_bits(expected, data[n - 1]);
        // The lengths include a remainder that begins another block of chains.
        if (n % block > 200 && n % block < block - 30) continue;
        for (const CrcPath& path : paths) {
            if (path.of(BytesView{data}.first(n), 0) == expected) continue;
            FAIL(path.name << " differs at length " << n);
        }
    }
}

TEST_CASE("crc32c counts a single bit in every word of every chain", "[core][crc32c][boundary]") {
    // If all other bytes are zero, no word can be left out or moved without a change.
    const auto paths = crc_paths();
    for (std::size_t n = 144; n <= block + 168; n += 168) {
        Bytes data(n);
        for (std::size_t at = 0; at < n; at += 8) {
            data[at] = std::byte{0x80};
            // With ~0 as the start, zeros do not change the checksum: the bytes before the bit are
            // left out.
            const std::uint32_t expected = crc_by_bits(BytesView{data}.subspan(at), ~0U);
            for (const CrcPath& path : paths) {
                if (path.of(data, ~0U) == expected) continue;
                FAIL(path.name << " differs at length " << n << ", bit in byte " << at);
            }
            data[at] = std::byte{0};
        }
    }
}

TEST_CASE("crc32c is the same by every path for a mebibyte", "[core][crc32c][property]") {
    const Bytes data = noise((std::size_t{1} << 20) + 13, 3);
    const std::uint32_t expected = crc_by_bits(data);
    for (const CrcPath& path : crc_paths()) {
        CAPTURE(path.name);
        CHECK(path.of(data, 0) == expected);
    }
}

TEST_CASE("crc32c continues from an earlier checksum", "[core][crc32c][property]") {
    const auto paths = crc_paths();
    CHECK(rc::check("crc32c(a then b) == crc32c(b, crc32c(a))",
                    [&](std::uint64_t content, std::uint32_t seed) {
                        const auto n = *rc::gen::inRange<std::size_t>(0, 5000);
                        const auto cut = *rc::gen::inRange<std::size_t>(0, n + 1);
                        const Bytes data = noise(n, content);
                        const BytesView all{data};
                        const std::uint32_t expected = crc_by_bits(all, seed);
                        for (const CrcPath& one : paths) {
                            const std::uint32_t first = one.of(all.first(cut), seed);
                            for (const CrcPath& other : paths) {
                                RC_ASSERT(other.of(all.subspan(cut), first) == expected);
                            }
                        }
                    }));
}

TEST_CASE("crc32c changes with every bit", "[core][crc32c][property]") {
    CHECK(rc::check("the checksum differs for another bit", [](std::uint64_t content) {
        const auto n = *rc::gen::inRange<std::size_t>(1, 4000);
        const auto at = *rc::gen::inRange<std::size_t>(0, n);
        const auto bit = *rc::gen::inRange<unsigned>(0, 8);
        Bytes data = noise(n, content);
        const std::uint32_t before = part::crc32c(data);
        data[at] ^= std::byte{1} << bit;
        RC_ASSERT(part::crc32c(data) != before);
    }));
}
