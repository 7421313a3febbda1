// SPDX-License-Identifier: MIT
/// \file tests/support/sim/left_out.hpp
/// Explores a model with one field of its core's digest left out.
#pragma once

#include <belay/sim/exhaust.hpp>

namespace belay_test {

/// Gives the fields of a core to a digest, except one.
struct LeftOut {
    int field = -1;

    template <class Core>
    void digest(const Core& core, belay::Instant now, belay::sim::Digest& d) const {
        int i = 0;
        core.each_field(now, [&](auto value) {
            if (i++ != field) d(value);
        });
    }
    template <class Core>
    static int fields(const Core& core) {
        int count = 0;
        core.each_field(belay::Instant{}, [&](auto) { ++count; });
        return count;
    }
};

/// Returns the fields of `model.core` whose absence is not detected. `model.left_out` is a LeftOut.
template <class Model>
std::string undetected(Model model, std::uint32_t depth) {
    const belay::sim::ExhaustOptions options{
        .depth = depth, .recheck_percent = 100, .recheck_max = 30, .print = false};
    std::string out;
    for (int i = 0; i < LeftOut::fields(model.core); ++i) {
        model.left_out.field = i;
        if (belay::sim::exhaust(options, model)) out += std::to_string(i) + ' ';
    }
    return out;
}

}  // namespace belay_test
