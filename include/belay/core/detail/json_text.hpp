// SPDX-License-Identifier: MIT
/// \file belay/core/detail/json_text.hpp
/// JsonText: decides whether a text is JSON, as JSON.parse of a browser does, and passes its parts
/// to a sink.
#pragma once

#include <cstddef>      // std::size_t
#include <string_view>  // std::string_view
#include <type_traits>  // std::is_empty_v

#include <belay/core/assert.hpp>
#include <belay/core/detail/hex.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Accepts every JSON, and keeps nothing of it.
struct NoJsonSink {
    [[nodiscard]] bool open(bool) const noexcept { return true; }
    void close() const noexcept {}
    [[nodiscard]] bool name(std::string_view) const noexcept { return true; }
    [[nodiscard]] bool text(std::string_view) const noexcept { return true; }
    [[nodiscard]] bool number(std::string_view) const noexcept { return true; }
    [[nodiscard]] bool word() const noexcept { return true; }
};

/// Reads JSON, and passes each part to a sink, which may reject it by false. The parts are the
/// beginning of an object (true) or an array, its end, and names, strings, numbers and words. The
/// sink gets names, strings and numbers as they are written, without quotation marks. The recursion
/// is bounded.
///
/// Source: ECMA-404.
template <class Sink = NoJsonSink>
class JsonText {
public:
    enum class Verdict : unsigned char { json, other, too_deep };

    /// Returns whether a text is JSON.
    /// Pre: the text is UTF-8; nesting_max frames of a small function fit on the stack.
    /// Complexity: O(size).
    [[nodiscard]] static Verdict of(std::string_view text, std::size_t nesting_max,
                                    Sink&& sink = Sink{}) noexcept(std::is_empty_v<Sink>) {
        JsonText reader{text, sink};
        if (reader.value(nesting_max)) {
            reader.space();
            if (reader.at_ == text.size()) return Verdict::json;
        }
        return reader.deep_ ? Verdict::too_deep : Verdict::other;
    }

private:
    JsonText(std::string_view text, Sink& sink) noexcept : text_{text}, sink_{sink} {}

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

    bool value(std::size_t nesting_max) {
        space();
        const std::size_t begin = at_;
        switch (peek()) {
            case '{':
                return members(nesting_max, '}', true);
            case '[':
                return members(nesting_max, ']', false);
            case '"':
                return string() && sink_.text(text_.substr(begin + 1, at_ - begin - 2));
            case 't':
                return word("true");
            case 'f':
                return word("false");
            case 'n':
                return word("null");
            default:
                return number() && sink_.number(text_.substr(begin, at_ - begin));
        }
    }
    bool word(std::string_view text) { return take(text) && sink_.word(); }

    bool members(std::size_t nesting_max, char close, bool named) {
        if (nesting_max == 0) {
            deep_ = true;
            return false;
        }
        ++at_;
        if (!sink_.open(named)) return false;
        space();
        bool is_end = take(close);
        while (!is_end) {
            if (named && !name()) return false;
            if (!value(nesting_max - 1)) return false;
            space();
            is_end = take(close);
            if (!is_end && !take(',')) return false;
        }
        sink_.close();
        return true;
    }
    bool name() {
        space();
        const std::size_t begin = at_;
        if (!string() || !sink_.name(text_.substr(begin + 1, at_ - begin - 2))) return false;
        space();
        return take(':');
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
    Sink& sink_;
    std::size_t at_ = 0;
    bool deep_ = false;
};

}}}  // namespace belay::detail
