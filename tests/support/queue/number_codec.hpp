// SPDX-License-Identifier: MIT
/// \file tests/support/queue/number_codec.hpp
/// NumberCodec: numbers as bytes, for queues of bytes.
#pragma once

#include <cstdint>
#include <optional>

#include <belay/core/bytes.hpp>

namespace belay_test {

/// Zero cannot be encoded.
struct NumberCodec {
    bool encode(const std::uint32_t& number, belay::Bytes& into) {
        into.resize(4);
        belay::store_le(into.data(), number);
        return number != 0;
    }
    std::optional<std::uint32_t> decode(belay::BytesView bytes) {
        if (bytes.size() != 4) return std::nullopt;
        return belay::load_le<std::uint32_t>(bytes.data());
    }
};

}  // namespace belay_test
