// SPDX-License-Identifier: MIT
// Static variables that several files of a program share.
#pragma once

#include <stdexcept>

namespace statics {

inline int inline_variable = 0;

inline int inline_function() {
    static int count = 0;
    return ++count;
}

template <class T>
struct Template {
    static int next() { return ++count; }
    static inline T count = 0;
};

struct Raised : std::runtime_error {
    Raised() : std::runtime_error{"raised in the program"} {}
};

}  // namespace statics
