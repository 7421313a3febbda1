// SPDX-License-Identifier: MIT
/// \file tests/support/yjs/yjs_mutations.hpp
/// Updates as a hostile peer sends them: flipped, cut, doubled, with wrong counts, deeply nested.
#pragma once

#include <algorithm>

#include <belay/core/random.hpp>
#include <belay/yjs/lib0.hpp>

namespace belay_test {

/// An update with one to four changes at random places.
inline belay::Bytes mutated(belay::Bytes bytes, belay::BytesView other, belay::Random& bits) {
    const auto place = [&] {
        return static_cast<std::ptrdiff_t>(belay::uniform_upto(bits, bytes.size()));
    };
    for (std::uint64_t n = 1 + belay::uniform_upto(bits, 3); n > 0 && !bytes.empty(); --n) {
        const auto at = std::min(place(), static_cast<std::ptrdiff_t>(bytes.size()) - 1);
        std::byte& target = bytes[static_cast<std::size_t>(at)];
        switch (belay::uniform_upto(bits, 9)) {
            case 0:
            case 1:
                target ^= static_cast<std::byte>(1U << belay::uniform_upto(bits, 7));
                break;
            case 2:
                target = static_cast<std::byte>(belay::uniform_upto(bits, 255));
                break;
            case 3:  // small numbers: kinds, counts, lengths
                target = static_cast<std::byte>(belay::uniform_upto(bits, 12));
                break;
            case 4:
                bytes.resize(static_cast<std::size_t>(at));
                break;
            case 5:
                bytes.erase(bytes.begin() + at);
                break;
            case 6: {  // a count up to 2^53
                belay::Bytes number;
                belay::yjs::append_varuint(number,
                                           belay::uniform_upto(bits, belay::yjs::varuint_max) >>
                                               belay::uniform_upto(bits, 52));
                bytes.insert(bytes.begin() + at, number.begin(), number.end());
                break;
            }
            case 7: {  // a part of another update
                const auto from = belay::uniform_upto(bits, other.size());
                const auto some = other.subspan(from).first(
                    std::min<std::size_t>(other.size() - from, belay::uniform_upto(bits, 20)));
                bytes.insert(bytes.begin() + at, some.begin(), some.end());
                break;
            }
            case 8: {  // repeated
                const belay::Bytes copy{bytes.begin() + at, bytes.end()};
                bytes.insert(bytes.begin() + at, copy.begin(), copy.end());
                break;
            }
            default: {  // nested arrays, or objects
                belay::Bytes deep;
                for (std::uint64_t i = belay::uniform_upto(bits, 2000); i > 0; --i) {
                    deep.push_back(std::byte{117});
                    deep.push_back(std::byte{1});
                }
                bytes.insert(bytes.begin() + at, deep.begin(), deep.end());
            }
        }
    }
    return bytes;
}

}  // namespace belay_test
