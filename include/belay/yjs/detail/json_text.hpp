// SPDX-License-Identifier: MIT
/// \file belay/yjs/detail/json_text.hpp
/// JsonText: decides whether a text is JSON, as JSON.parse of a browser does.
#pragma once

#include <cstddef>      // std::size_t
#include <string_view>  // std::string_view

#include <belay/core/assert.hpp>
#include <belay/core/detail/hex.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Reads JSON, and keeps nothing of it. The recursion is bounded.
///
/// Source: ECMA-404.
class JsonText {
public:
    enum class Verdict : unsigned char { json, other, too_deep };

    /// Returns whether a text is JSON.
    /// Pre: the text is UTF-8; nesting_max frames of a small function fit on the stack.
    /// Complexity: O(size).
    [[nodiscard]] static Verdict of(std::string_view text, std::size_t nesting_max) noexcept {
        JsonText reader{text};
        if (reader.value(nesting_max)) {
            reader.space();
            if (reader.at_ == text.size()) return Verdict::json;
        }
        return reader.deep_ ? Verdict::too_deep : Verdict::other;
    }

private:
    explicit JsonText(std::string_view text) noexcept : text_{text} {}

    [[nodiscard]] char peek() const noexcept { return at_ < text_.size() ? text_[at_] : '\0'; }
    bool take(char c) noexcept {
        if (at_ >= text_.size() || text_[at_] != c) return false;
        ++at_;
        return true;
    }
    bool take(std::string_view word) noexcept {
        if (text_.substr(at_, word.size()) != word) return false;
        at_ += word.size();
        return true;
    }
    void space() noexcept {
        while (peek() == ' ' || peek() == '\t' || peek() == '\n' || peek() == '\r') ++at_;
    }
    bool digits() noexcept {
        const std::size_t before = at_;
        while (peek() >= '0' && peek() <= '9') ++at_;
        return at_ != before;
    }

    bool value(std::size_t nesting_max) noexcept {
        space();
        switch (peek()) {
            case '{':
                return members(nesting_max, '}', true);
            case '[':
                return members(nesting_max, ']', false);
            case '"':
                return string();
            case 't':
                return take("true");
            case 'f':
                return take("false");
            case 'n':
                return take("null");
            default:
                return number();
        }
    }

    bool members(std::size_t nesting_max, char close, bool named) noexcept {
        if (nesting_max == 0) {
            deep_ = true;
            return false;
        }
        ++at_;
        space();
        if (take(close)) return true;
        for (;;) {
            if (named) {
                space();
                if (!string()) return false;
                space();
                if (!take(':')) return false;
            }
            if (!value(nesting_max - 1)) return false;
            space();
            if (take(close)) return true;
            if (!take(',')) return false;
        }
    }

    bool string() noexcept {
        if (!take('"')) return false;
        while (at_ < text_.size()) {
            const auto c = static_cast<unsigned char>(text_[at_++]);
            if (c == '"') return true;
            if (c < 0x20) return false;
            if (c == '\\' && !escape()) return false;
        }
        return false;
    }

    bool escape() noexcept {
        const char c = peek();
        ++at_;
        if (c != 'u') return c != '\0' && std::string_view{"\"\\/bfnrt"}.find(c) != text_.npos;
        for (int i = 0; i < 4; ++i, ++at_)
            if (hex_value(peek()) < 0) return false;
        return true;
    }

    bool number() noexcept {
        take('-');
        if (!take('0') && !digits()) return false;
        if (take('.') && !digits()) return false;
        if (peek() == 'e' || peek() == 'E') {
            ++at_;
            if (peek() == '+' || peek() == '-') ++at_;
            if (!digits()) return false;
        }
        return true;
    }

    std::string_view text_;
    std::size_t at_ = 0;
    bool deep_ = false;
};

}}}  // namespace belay::detail
