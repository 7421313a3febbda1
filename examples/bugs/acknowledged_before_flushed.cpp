// SPDX-License-Identifier: MIT
// The server acknowledges a number that it has written, and flushes only after every fourth.
#include "bugs.hpp"
#include "counter.hpp"

namespace bugs {

bool acknowledged_before_flushed(sim::World& world, bool mended) {
    return run_number_store(world, [mended](NumberFile& file, std::uint64_t number) {
        const bool flushes = mended || number % 4 == 0;
        return !flushes || !file.sync();
    });
}

}  // namespace bugs
