// SPDX-License-Identifier: MIT
// Goal: whoever is owed an acknowledgement is told, and nobody who is gone, whatever fails on the
// way.
#include <belay/session/detail/receiver_peers.hpp>

#include <stdexcept>
#include <vector>

#include "support/catch.hpp"

using namespace belay;

namespace {

struct Owed {
    struct {
        [[nodiscard]] static bool closing() noexcept { return false; }
    } link{};
    bool ack_due = false;
    bool ack_listed = false;
};

}  // namespace

TEST_CASE("AckList forgets who is gone, also after it was interrupted",
          "[session][receiver][fault]") {
    belay::detail::AckList<Owed> acks;
    Owed a;
    Owed b;
    acks.owe(a);
    acks.owe(b);
    CHECK_THROWS(acks.pay([](Owed&) -> bool { throw std::runtime_error{"no memory"}; }));
    acks.forget(a);
    std::vector<const Owed*> told;
    acks.pay([&](Owed& owed) {
        told.push_back(&owed);
        return true;
    });
    CHECK((told == std::vector<const Owed*>{&b}));
    CHECK_FALSE(b.ack_due);
}
