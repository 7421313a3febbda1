// SPDX-License-Identifier: MIT
/// \file tests/support/link/link_states.hpp
/// The table of legal transitions of docs/link.md, for the tests that explore.
#pragma once

#include <belay/link/status.hpp>

namespace belay_test {

/// Whether a supervisor may go from `from` to `to`; the table of docs/link.md, row by row.
constexpr bool is_legal(belay::LinkState from, belay::LinkState to) noexcept {
    //                     to: stopped offline blocked cooldown suspended connecting connected
    //                     failed
    constexpr bool legal[8][8]{
        /* stopped */ {false, true, false, true, true, true, false, true},
        /* offline */ {true, false, false, true, true, false, false, true},
        /* blocked */ {true, true, false, true, true, true, false, true},
        /* cooldown */ {true, true, false, true, true, true, false, true},
        /* suspended */ {true, true, false, true, true, true, false, true},
        /* connecting */ {true, true, true, true, true, false, true, true},
        /* connected */ {true, true, true, true, true, true, false, true},
        /* failed */ {true, true, false, true, true, true, false, true},
    };
    return legal[static_cast<int>(from)][static_cast<int>(to)];
}

}  // namespace belay_test
