// SPDX-License-Identifier: MIT
// The client has up to 8 numbers on the way. When it is connected again, it sends new numbers
// before those that were lost, and the server takes numbers in any order.
#include <set>

#include "bugs.hpp"
#include "counter.hpp"

namespace bugs {
namespace {

class AnyOrder {
public:
    AnyOrder(Observed& observed, std::set<std::uint64_t>& taken)
        : observed_{observed}, taken_{taken} {}
    bool take(std::uint64_t number) {
        if (!taken_.insert(number).second) return true;
        observed_.history.effect("client", number);
        observed_.world.require("order", order_per_key(observed_.history));
        return true;
    }

private:
    Observed& observed_;
    std::set<std::uint64_t>& taken_;
};

}  // namespace

bool reorder_after_retry(sim::World& world, bool mended) {
    auto& taken = world.make<std::set<std::uint64_t>>();  // on a disk of which nothing is lost
    ClientOptions options;
    options.window = 8;
    options.resends_at_once = mended;
    return run_counter(world, options, [&taken](sim::Host&, Observed& observed) {
        return AnyOrder{observed, taken};
    });
}

}  // namespace bugs
