// SPDX-License-Identifier: MIT
// Goal: both implementations give the published checksums, and each other's, at every length,
// alignment and split.
#include <belay/core/crc32c.hpp>

#include <vector>

#include "support/catch.hpp"

using namespace belay;

namespace {

std::uint32_t portable(BytesView b, std::uint32_t seed = 0) {
    return ~detail::crc32c_portable(~seed, b.data(), b.size());
}

/// The definition, bit by bit.
std::uint32_t by_bits(BytesView b) {
    std::uint32_t c = ~0U;
    for (const std::byte byte : b) {
        c ^= std::to_integer<std::uint32_t>(byte);
        for (int i = 0; i < 8; ++i) c = (c >> 1) ^ ((c & 1U) != 0 ? 0x82F63B78U : 0U);
    }
    return ~c;
}

Bytes filled(std::size_t n, int first, int step) {
    Bytes b(n);
    for (std::size_t i = 0; i < n; ++i)
        b[i] = static_cast<std::byte>(first + static_cast<int>(i) * step);
    return b;
}

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
    for (const auto of :
         {+[](BytesView b) { return crc32c(b); }, +[](BytesView b) { return portable(b); }}) {
        CHECK(of(filled(32, 0, 0)) == 0x8A9136AAU);
        CHECK(of(filled(32, 255, 0)) == 0x62A8AB43U);
        CHECK(of(filled(32, 0, 1)) == 0x46DD794EU);
        CHECK(of(filled(32, 31, -1)) == 0x113FDB5CU);
        CHECK(of(scsi_read) == 0xD9963A56U);
        CHECK(of(as_bytes("123456789")) == 0xE3069283U);
        CHECK(of({}) == 0U);
    }
}

TEST_CASE("crc32c is the same by hardware, by tables and by bits, at every length and alignment",
          "[core][crc32c][property]") {
    const Bytes data = filled(300, 7, 37);
    for (std::size_t offset = 0; offset < 16; ++offset) {
        for (std::size_t n = 0; n < 80; ++n) {
            const BytesView b{data.data() + offset, n};
            REQUIRE(crc32c(b) == by_bits(b));
            REQUIRE(portable(b) == by_bits(b));
#if defined(__x86_64__)
            if (__builtin_cpu_supports("sse4.2") != 0) {
                REQUIRE(~detail::crc32c_sse42(~0U, b.data(), b.size()) == by_bits(b));
            }
#endif
        }
    }
}

TEST_CASE("crc32c continues from what came before", "[core][crc32c][property]") {
    CHECK(rc::check(
        "crc32c(a then b) == crc32c(b, crc32c(a))", [](const std::vector<std::uint8_t>& raw) {
            const BytesView all{reinterpret_cast<const std::byte*>(raw.data()), raw.size()};
            const auto cut = *rc::gen::inRange<std::size_t>(0, raw.size() + 1);
            RC_ASSERT(crc32c(all.subspan(cut), crc32c(all.first(cut))) == crc32c(all));
            RC_ASSERT(portable(all.subspan(cut), portable(all.first(cut))) == crc32c(all));
        }));
}
