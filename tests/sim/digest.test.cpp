// SPDX-License-Identifier: MIT
// Goal: a digest depends on each number and on their order, and on nothing else. Method: pairs that
// differ.
#include <belay/sim/digest.hpp>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

namespace {

template <class... T>
std::uint64_t digest_of(const T&... values) {
    sim::Digest d;
    (d(values), ...);
    return d.value();
}

}  // namespace

TEST_CASE("Digest depends on each value and on their order", "[sim][digest][unit]") {
    CHECK(digest_of(1, 2) == digest_of(1, 2));
    CHECK(digest_of(1, 2) != digest_of(2, 1));
    CHECK(digest_of(1) != digest_of(1, 0));
    CHECK(digest_of(false) != digest_of(true));
    CHECK(digest_of(1s) != digest_of(2s));
    CHECK(digest_of(std::string_view{"ab"}) != digest_of(std::string_view{"ba"}));
    CHECK(digest_of(std::string_view{"a"}, std::string_view{"b"}) !=
          digest_of(std::string_view{"ab"}, std::string_view{""}));
}

TEST_CASE("Digest adds the rest of a time", "[sim][digest][unit]") {
    const auto left = [](Instant now, Instant t) {
        sim::Digest d;
        d(now, t);
        return d.value();
    };
    CHECK(left(Instant{5s}, Instant{7s}) == left(Instant{1s}, Instant{3s}));
    CHECK(left(Instant{5s}, Instant{4s}) == left(Instant{5s}, Instant{1s}));
    CHECK(left(Instant{5s}, Instant{5s}) == left(Instant{5s}, always));
    CHECK(left(Instant{5s}, never) != left(Instant{5s}, Instant{5s}));
    CHECK(left(Instant{5s}, never) != left(Instant{5s}, after(Instant{5s}, 1ns)));
}
