// SPDX-License-Identifier: MIT
/// \file tests/support/link/link_transitions.hpp
/// The table of legal transitions of docs/reference/links.md, for the tests that explore.
#pragma once

#include <belay/link/status.hpp>

namespace belay_test {

/// Whether a supervisor may change from `from` to `to`; the table of docs/reference/links.md, row by row.
constexpr bool is_legal(belay::LinkState from, belay::LinkState to) noexcept {
    //                     to: stopped offline blocked cooldown suspended connecting connected
    //                     failed draining
    constexpr bool legal[9][9]{
        /* stopped */ {false, true, false, true, true, true, false, true, false},
        /* offline */ {true, false, false, true, true, false, false, true, false},
        /* blocked */ {true, true, false, true, true, true, false, true, false},
        /* cooldown */ {true, true, false, true, true, true, false, true, false},
        /* suspended */ {true, true, false, true, true, true, false, true, false},
        /* connecting */ {true, true, true, true, true, false, true, true, false},
        /* connected */ {true, true, true, true, true, true, false, true, true},
        /* failed */ {true, true, false, true, true, true, false, true, false},
        /* draining */ {true, false, false, false, false, false, false, false, false},
    };
    return legal[static_cast<int>(from)][static_cast<int>(to)];
}

}  // namespace belay_test
