// SPDX-License-Identifier: MIT
// The server saves 500 ms after the last message. After a loss the client sends its number every
// 300 ms until it is saved, so the server never saves. Mended, a change waits for 1 s at most.
#include <algorithm>

#include "bugs.hpp"
#include "counter.hpp"

namespace bugs {
namespace {

class Debounced {
public:
    Debounced(sim::Host& host, std::uint64_t& saved, Duration wait_max)
        : host_{host}, saved_{saved}, wait_max_{wait_max} {}
    bool take(std::uint64_t number) {
        if (number <= saved_) return true;
        if (!save_.waits()) changed_at_ = host_.now();
        save_.cancel();
        const Instant latest = after(changed_at_, wait_max_);
        save_ = host_.at(std::min(after(host_.now(), 500ms), latest),
                         [this, number] { saved_ = number; });
        return false;  // the client sends it again, and gets the acknowledgement then
    }

private:
    sim::Host& host_;
    std::uint64_t& saved_;
    Duration wait_max_;
    Instant changed_at_{};
    Timer save_;
};

}  // namespace

bool debounce_that_never_saves(sim::World& world, bool mended) {
    auto& saved = world.make<std::uint64_t>(0U);
    ClientOptions options;
    options.timeout = 700ms;
    options.timeout_after_loss = 300ms;
    const Duration wait_max = mended ? Duration{1s} : forever;
    return run_counter(world, options, [&saved, wait_max](sim::Host& host, Observed&) {
        return Debounced{host, saved, wait_max};
    });
}

}  // namespace bugs
