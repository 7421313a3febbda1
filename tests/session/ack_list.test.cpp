// SPDX-License-Identifier: MIT
// Goal: AckList acknowledges each owner that still exists, and none that was removed, also after
// exceptions. Method: a script that adds, removes and pays owners.
#include <belay/session/detail/receiver_peers.hpp>

#include <stdexcept>
#include <vector>

#include "support/catch.hpp"

using namespace belay;

namespace {

struct AckOwner {
    struct {
        [[nodiscard]] static bool closing() noexcept { return false; }
    } link{};
    bool ack_due = false;
    bool ack_listed = false;
};

}  // namespace

TEST_CASE("AckList::forget removes an owner, also after pay() threw",
          "[session][receiver][fault]") {
    belay::detail::AckList<AckOwner> acks;
    AckOwner a;
    AckOwner b;
    acks.add(a);
    acks.add(b);
    CHECK_THROWS(acks.pay([](AckOwner&) -> bool { throw std::runtime_error{"no memory"}; }));
    acks.forget(a);
    std::vector<const AckOwner*> reported;
    acks.pay([&](AckOwner& owner) {
        reported.push_back(&owner);
        return true;
    });
    CHECK((reported == std::vector<const AckOwner*>{&b}));
    CHECK_FALSE(b.ack_due);
}
