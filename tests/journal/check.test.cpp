// SPDX-License-Identifier: MIT
// Goal: the check is computed as the session protocol specifies. Method: its golden values.
#include <belay/journal/journal_format.hpp>

#include "support/catch.hpp"

using namespace belay;

namespace {
Id counting_id() {
    Id id{};
    for (std::size_t i = 0; i < id.size(); ++i) id[i] = static_cast<std::byte>(i);
    return id;
}
}  // namespace

TEST_CASE("next_check returns the protocol's golden values", "[journal][check][golden]") {
    const std::uint64_t zero = belay::journal_format::first_check(counting_id());
    CHECK(zero == 0x0706050403020100U);
    const std::uint64_t one =
        belay::journal_format::next_check(zero, as_bytes("hello"), 0x01020304);
    CHECK(one == 0xb9a33c0ec347a9e9U);
    using namespace std::string_view_literals;
    CHECK(belay::journal_format::next_check(one, as_bytes("\x02\0k1hello"sv), 0x01020304) ==
          0x3b70498769a22122U);
}

TEST_CASE("next_check depends on each of its arguments", "[journal][check][property]") {
    CHECK(rc::check(
        "the check differs for another before, body or salt",
        [](std::uint64_t before, const std::string& body, std::uint32_t salt) {
            const std::uint64_t check =
                belay::journal_format::next_check(before, as_bytes(body), salt);
            RC_ASSERT(check != belay::journal_format::next_check(before + 1, as_bytes(body), salt));
            RC_ASSERT(check !=
                      belay::journal_format::next_check(before, as_bytes(body + "x"), salt));
            RC_ASSERT(check != belay::journal_format::next_check(before, as_bytes(body), salt + 1));
            RC_ASSERT(check == belay::journal_format::next_check(
                                   before, part::crc32c(as_bytes(body)),
                                   static_cast<std::uint32_t>(body.size()), salt));
        }));
}
