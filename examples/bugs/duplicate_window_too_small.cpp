// SPDX-License-Identifier: MIT
// The client has up to 8 numbers on the way, and the server finds duplicates among the last 4 only.
#include <algorithm>
#include <deque>

#include "bugs.hpp"
#include "counter.hpp"

namespace bugs {
namespace {

class Window {
public:
    Window(Observed& observed, std::deque<std::uint64_t>& recent, std::size_t window)
        : observed_{observed}, recent_{recent}, window_{window} {}
    bool take(std::uint64_t number) {
        if (std::find(recent_.begin(), recent_.end(), number) != recent_.end()) return true;
        observed_.history.effect("client", number);
        recent_.push_back(number);
        if (recent_.size() > window_) recent_.pop_front();
        return true;
    }

private:
    Observed& observed_;
    std::deque<std::uint64_t>& recent_;
    std::size_t window_;
};

}  // namespace

bool duplicate_window_too_small(sim::World& world, bool mended) {
    auto& recent =
        world.make<std::deque<std::uint64_t>>();  // the server's disk, of which nothing is lost
    const std::size_t window = mended ? 16 : 4;
    return run_counter(world, {.window = 8}, [&recent, window](sim::Host&, Observed& observed) {
        return Window{observed, recent, window};
    });
}

}  // namespace bugs
