// SPDX-License-Identifier: MIT
/// \file tests/support/text_for.hpp
/// text_for: the contents of the operations in many tests.
#pragma once

#include <cstdint>
#include <string>

namespace belay_test {

/// The body of operation `number`; the lengths differ.
inline std::string text_for(std::uint64_t number) {
    return std::to_string(number) + std::string(number * 7919 % 300, 'x');
}

}  // namespace belay_test
