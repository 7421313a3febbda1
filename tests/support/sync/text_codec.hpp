// SPDX-License-Identifier: MIT
/// \file tests/support/sync/text_codec.hpp
/// TextCodec, ChangedCodec: texts as bytes.
#pragma once

#include <optional>
#include <stdexcept>
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

/// The codec of another program, which rejects the texts that begin with `rejected`.
struct ChangedCodec {
    std::string rejected{};
    bool throws = false;

    bool encode(const std::string& text, belay::Bytes& into) const {
        return into = belay::to_bytes(text), !rejects(text);
    }
    std::optional<std::string> decode(belay::BytesView bytes) const {
        std::string text{belay::as_text(bytes)};
        if (!rejects(text)) return text;
        if (throws) throw std::invalid_argument{"an old form"};
        return std::nullopt;
    }
    [[nodiscard]] bool rejects(const std::string& text) const {
        return !rejected.empty() && text.starts_with(rejected);
    }
};

}  // namespace belay_test
