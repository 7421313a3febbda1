// SPDX-License-Identifier: MIT
// Goal: PartCrcs returns the checksum of any part of the bytes. Method: random parts, and parts
// at the step boundaries, compared with crc32c.
#include <belay/journal/detail/record_search.hpp>

#include "support/catch.hpp"
#include "support/seeds.hpp"

using namespace belay;

TEST_CASE("PartCrcs::of is the CRC32C of the part", "[journal][part_crcs][property]") {
    belay_test::for_each_seed(
        [](Seed seed) {
            Random bits{seed};
            Bytes bytes(bits() % 40'000);
            for (std::byte& byte : bytes) byte = static_cast<std::byte>(bits());
            detail::MemoryBytes all{bytes};
            detail::PartCrcs crcs{all};
            for (int i = 0; i < 50; ++i) {
                std::size_t from = bits() % (bytes.size() + 1);
                std::size_t length = bits() % (bytes.size() - from + 1);
                if (i % 3 == 0) from = from / 512 * 512;
                if (i % 5 == 0) length = length / 512 * 512;
                REQUIRE(crcs.of({from, length}) ==
                        part::crc32c(BytesView{bytes}.subspan(from, length)));
            }
            REQUIRE(crcs.of({0, bytes.size()}) == part::crc32c(bytes));
            REQUIRE(crcs.of({bytes.size(), 0}) == 0);
        },
        200);
}
