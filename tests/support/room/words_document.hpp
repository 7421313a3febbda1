// SPDX-License-Identifier: MIT
/// \file tests/support/room/words_document.hpp
/// WordsDocument: a document of a user's own.
#pragma once

#include <algorithm>
#include <iterator>
#include <set>
#include <span>
#include <sstream>
#include <string>
#include <system_error>
#include <vector>

#include <belay/core/bytes.hpp>
#include <belay/core/result.hpp>

namespace belay_test {

/// A set of words. An update, a state vector and a difference are words with spaces between them.
class WordsDocument {
public:
    [[nodiscard]] belay::Result<bool> check(belay::BytesView update) const {
        const Words added = words_of(update);
        return !std::includes(words_.begin(), words_.end(), added.begin(), added.end());
    }
    [[nodiscard]] std::error_code apply(belay::BytesView update) {
        words_.merge(words_of(update));
        snapshot_ = {joined(words_)};
        return {};
    }
    [[nodiscard]] std::span<const belay::Bytes> snapshot() const noexcept { return snapshot_; }
    [[nodiscard]] std::size_t bytes() const noexcept {
        return snapshot_.empty() ? 0 : snapshot_[0].size();
    }
    [[nodiscard]] belay::Bytes state_vector() const { return joined(words_); }
    [[nodiscard]] belay::Result<belay::Bytes> diff(belay::BytesView theirs) const {
        const Words known = words_of(theirs);
        Words lacks;
        std::set_difference(words_.begin(), words_.end(), known.begin(), known.end(),
                            std::inserter(lacks, lacks.end()));
        return joined(lacks);
    }

private:
    using Words = std::set<std::string>;

    [[nodiscard]] static Words words_of(belay::BytesView update) {
        std::istringstream text{std::string{belay::as_text(update)}};
        return {std::istream_iterator<std::string>{text}, {}};
    }
    [[nodiscard]] static belay::Bytes joined(const Words& words) {
        std::string text;
        for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
        return belay::to_bytes(belay::as_bytes(text));
    }

    Words words_{};
    std::vector<belay::Bytes> snapshot_{};
};

}  // namespace belay_test
