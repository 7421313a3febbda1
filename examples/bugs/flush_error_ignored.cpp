// SPDX-License-Identifier: MIT
// The server ignores an error of its flush. The kernel has dropped what was to be flushed, so no
// later flush makes it durable.
#include "bugs.hpp"
#include "counter.hpp"

namespace bugs {

bool flush_error_ignored(sim::World& world, bool mended) {
    return run_number_store(world, [mended](NumberFile& file, std::uint64_t) {
        // Mended, the number is written again when the client sends it again.
        return !file.sync() || !mended;
    });
}

}  // namespace bugs
