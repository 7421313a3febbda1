// SPDX-License-Identifier: MIT
/// \file tests/support/room/mutated_frame.hpp
/// mutated_frame: a frame with random changes.
#pragma once

#include <cstddef>  // std::byte, std::ptrdiff_t, std::size_t

#include <belay/core/bytes.hpp>
#include <belay/core/random.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Changes a frame at random: cuts, extends, overwrites or joins it with another one.
[[nodiscard]] inline Bytes mutated_frame(Bytes frame, BytesView other, Random& bits) {
    const auto below = [&](std::size_t n) {
        return static_cast<std::size_t>(uniform_upto(bits, n == 0 ? 0 : n - 1));
    };
    const auto any_byte = [&] { return static_cast<std::byte>(bits()); };
    const auto extend = [&](std::size_t n) {
        for (; n != 0; --n) frame.push_back(any_byte());
    };
    for (std::size_t left = 1 + below(3); left != 0; --left) {
        const auto place = frame.begin() + static_cast<std::ptrdiff_t>(below(frame.size()));
        switch (below(9)) {
            case 0:
                frame.erase(place, frame.end());
                break;
            case 1:
                extend(below(40));
                break;
            case 2:
                if (!frame.empty()) *place = any_byte();
                break;
            case 3:  // types, counts and lengths
                if (!frame.empty()) *place = static_cast<std::byte>(below(16));
                break;
            case 4:
                if (!frame.empty()) *place ^= std::byte{1} << below(8);
                break;
            case 5:  // the beginning of a large number
                frame.insert(place, 1 + below(9), std::byte{0xff});
                break;
            case 6:
                frame.insert(place, any_byte());
                break;
            case 7:
                frame.erase(place, frame.end());
                frame.insert(frame.end(),
                             other.begin() + static_cast<std::ptrdiff_t>(below(other.size())),
                             other.end());
                break;
            default:
                if (!frame.empty()) frame.erase(place);
        }
    }
    // Longer than any frame before it.
    if (below(100) == 0) extend(100'000);
    return frame;
}

}}}  // namespace belay::detail
