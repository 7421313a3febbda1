// SPDX-License-Identifier: MIT
// Goal: ids are drawn as documented. Method: a fixed seed, and a source that starts with zeros.
#include <belay/journal/id.hpp>

#include "support/catch.hpp"

using namespace belay;

TEST_CASE("make_id reads its bytes from the source, little endian", "[journal][id][golden]") {
    struct Ascending {
        std::uint64_t next = 0x0706050403020100U;
        std::uint64_t operator()() noexcept { return std::exchange(next, 0x0F0E0D0C0B0A0908U); }
    } bits;
    const Id id = make_id(bits);
    for (std::size_t i = 0; i < id.size(); ++i) CHECK(id[i] == static_cast<std::byte>(i));
}

TEST_CASE("make_id never returns no_id", "[journal][id][unit]") {
    struct ZerosFirst {
        int draws = 0;
        std::uint64_t operator()() noexcept { return ++draws <= 4 ? 0 : 7; }
    } bits;
    CHECK(make_id(bits) != no_id);
    CHECK(bits.draws == 6);
}
