// SPDX-License-Identifier: MIT
/// \file tests/support/sync/text_codec.hpp
/// TextCodec: texts as bytes.
#pragma once

#include <optional>
#include <string>

#include <belay/core/bytes.hpp>

namespace belay_test {

/// Does not encode "unencodable", and does not decode "undecodable".
struct TextCodec {
    bool encode(const std::string& text, belay::Bytes& into) const {
        const belay::BytesView bytes = belay::as_bytes(text);
        into.insert(into.end(), bytes.begin(), bytes.end());
        return text != "unencodable";
    }
    std::optional<std::string> decode(belay::BytesView bytes) const {
        std::string text{belay::as_text(bytes)};
        if (text == "undecodable") return std::nullopt;
        return text;
    }
};

}  // namespace belay_test
