// SPDX-License-Identifier: MIT
/// \file belay/openssl/detail/jwt_json.hpp
/// JwtObject: reads the JSON object of a token, as strictly as RFC 8259 allows.
#pragma once

#include <cstddef>      // std::size_t
#include <cstdint>      // std::int64_t
#include <optional>     // std::optional
#include <set>          // std::set
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::move, std::pair
#include <vector>       // std::vector

#include <belay/core/bytes.hpp>
#include <belay/core/detail/hex.hpp>
#include <belay/http/detail/http_text.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A number of JSON: 0.`digits` * 10^`point`.
struct JwtNumber {
    bool negative = false;
    std::string digits{};  ///< without leading zeros; empty for 0
    std::int64_t point = 0;

    /// Reads the number with which `text` begins, and removes it from there.
    /// Returns: nothing if there is none, or if a double does not have its range.
    [[nodiscard]] static std::optional<JwtNumber> read(std::string_view& text) {
        JwtNumber out;
        out.negative = take(text, '-');
        const std::string_view whole = take_digits(text);
        if (whole.empty() || (whole.front() == '0' && whole.size() > 1)) return std::nullopt;
        out.digits = whole;
        out.point = static_cast<std::int64_t>(whole.size());
        if (take(text, '.')) {
            const std::string_view rest = take_digits(text);
            if (rest.empty()) return std::nullopt;
            out.digits += rest;
        }
        if (take(text, 'e') || take(text, 'E')) {
            const bool down = take(text, '-');
            if (!down) take(text, '+');
            const std::string_view exponent = take_digits(text);
            if (exponent.empty()) return std::nullopt;
            std::int64_t value = 0;
            // A token is too short for a number whose other digits would make up for more.
            for (const char c : exponent)
                value = value < 1'000'000 ? value * 10 + (c - '0') : value;
            out.point += down ? -value : value;
        }
        const auto zeros = out.digits.find_first_not_of('0');
        out.point -= static_cast<std::int64_t>(zeros == std::string::npos ? 0 : zeros);
        out.digits.erase(0, zeros);
        if (!out.digits.empty() && out.point > 309) return std::nullopt;
        // From 0.179...e309 on, other parsers round to infinity.
        if (out.point == 309 && out.digits >= "17976931348623158079") return std::nullopt;
        return out;
    }
    /// Returns `count` digits after the first `from` ones of the number that has 0 before the point
    /// and all digits after it, as a number. Missing digits are zeros.   Pre: count <= 18.
    // NOLINTNEXTLINE(bugprone-easily-swappable-parameters): in the order of std::string::substr
    [[nodiscard]] std::int64_t digits_from(std::int64_t from, std::int64_t count) const noexcept {
        std::int64_t value = 0;
        for (std::int64_t i = from; i < from + count; ++i) {
            const bool has = i >= 0 && i < static_cast<std::int64_t>(digits.size());
            value = value * 10 + (has ? digits[static_cast<std::size_t>(i)] - '0' : 0);
        }
        return value;
    }

private:
    static bool take(std::string_view& text, char c) noexcept {
        if (text.empty() || text.front() != c) return false;
        text.remove_prefix(1);
        return true;
    }
    static std::string_view take_digits(std::string_view& text) noexcept {
        std::size_t n = 0;
        while (n < text.size() && text[n] >= '0' && text[n] <= '9') ++n;
        const std::string_view digits = text.substr(0, n);
        text.remove_prefix(n);
        return digits;
    }
};

/// A value of JSON.
struct JwtValue {
    enum class Kind : std::uint8_t { text, number, array, object, word };
    Kind kind = Kind::word;
    std::string text{};             ///< a string, decoded, or a number as it is written
    std::vector<JwtValue> items{};  ///< of an array; those of an array in it are not kept

    [[nodiscard]] bool is_text() const noexcept { return kind == Kind::text; }
    [[nodiscard]] bool is_number() const noexcept { return kind == Kind::number; }
};

/// The members of a JSON object. Values deeper than the items of an array are checked and not
/// stored.
///
/// It rejects everything that RFC 8259 does not allow. It also rejects these inputs, about which
/// parsers disagree:
/// - a text that is not UTF-8, and half of a surrogate pair;
/// - a number beyond the range of a double;
/// - a name that an object has twice.
///
/// A token has few members and needs no parser of a library, whose headers would take a quarter of
/// a gigabyte to compile.
class JwtObject {
public:
    /// Complexity: O(n log n); does not recurse, so that no text overflows the stack.
    [[nodiscard]] static std::optional<JwtObject> parse(std::string_view json) {
        Reader reader{json};
        if (!is_utf8(as_bytes(json)) || !reader.read()) return std::nullopt;
        JwtObject object;
        object.members_ = std::move(reader.members);
        return object;
    }
    /// Returns the value of a member; nullptr if there is none.
    [[nodiscard]] const JwtValue* find(std::string_view name) const noexcept {
        for (const auto& [one, value] : members_) {
            if (one == name) return &value;
        }
        return nullptr;
    }

private:
    using Members = std::vector<std::pair<std::string, JwtValue>>;

    class Reader {
    public:
        explicit Reader(std::string_view json) noexcept : rest_{json} {}

        /// Whether the text is one object.
        [[nodiscard]] bool read() {
            skip_space();
            if (rest_.empty() || rest_.front() != '{') return false;
            do {
                bool is_first = false;
                if (!read_value(is_first)) return false;
                if (!read_to_next_value(is_first)) return false;
            } while (!open_.empty());
            skip_space();
            return rest_.empty();
        }

        Members members{};

    private:
        /// An object or an array that has not ended.
        struct Scope {
            bool is_object;
            std::set<std::string> names{};
        };

        /// Reads a value, or the beginning of an object or an array; sets `opened` then.
        [[nodiscard]] bool read_value(bool& opened) {
            skip_space();
            const char c = rest_.empty() ? '\0' : rest_.front();
            JwtValue value;
            opened = c == '{' || c == '[';
            if (opened) {
                value.kind = c == '{' ? JwtValue::Kind::object : JwtValue::Kind::array;
                rest_.remove_prefix(1);
            } else if (c == '"') {
                value.kind = JwtValue::Kind::text;
                if (!read_text(value.text)) return false;
            } else if (c == '-' || (c >= '0' && c <= '9')) {
                value.kind = JwtValue::Kind::number;
                const std::string_view all = rest_;
                if (!JwtNumber::read(rest_)) return false;
                value.text = all.substr(0, all.size() - rest_.size());
            } else if (!take("true") && !take("false") && !take("null")) {
                return false;
            }
            store(std::move(value));
            if (opened) open_.push_back({.is_object = c == '{'});
            return true;
        }
        void store(JwtValue value) {
            if (open_.size() == 1) members.back().second = std::move(value);
            if (open_.size() == 2 && !open_.back().is_object)
                members.back().second.items.push_back(std::move(value));
        }
        /// Reads the ends of objects and arrays, a comma and a name. `is_first` is true if an
        /// object or an array has just begun.
        [[nodiscard]] bool read_to_next_value(bool is_first) {
            while (!open_.empty()) {
                skip_space();
                if (!take(open_.back().is_object ? "}" : "]")) {
                    return (is_first || take(",")) && (!open_.back().is_object || read_name());
                }
                open_.pop_back();
                is_first = false;
            }
            return true;
        }
        [[nodiscard]] bool read_name() {
            skip_space();
            std::string name;
            if (rest_.empty() || rest_.front() != '"' || !read_text(name)) return false;
            if (open_.size() == 1) members.emplace_back(name, JwtValue{});
            if (!open_.back().names.insert(std::move(name)).second) return false;
            skip_space();
            return take(":");
        }
        /// Reads a string, from its first quotation mark to the last one.
        [[nodiscard]] bool read_text(std::string& out) {
            rest_.remove_prefix(1);
            while (!rest_.empty() && static_cast<unsigned char>(rest_.front()) >= 0x20) {
                const char c = rest_.front();
                rest_.remove_prefix(1);
                if (c == '"') return true;
                if (c != '\\') {
                    out += c;
                } else if (!read_escape(out)) {
                    return false;
                }
            }
            return false;
        }
        [[nodiscard]] bool read_escape(std::string& out) {
            constexpr std::string_view letters = "\"\\/bfnrt";
            constexpr std::string_view meant = "\"\\/\b\f\n\r\t";
            const char c = rest_.empty() ? '\0' : rest_.front();
            if (const auto i = letters.find(c); i != std::string_view::npos) {
                rest_.remove_prefix(1);
                out += meant[i];
                return true;
            }
            unsigned code = 0;
            if (!read_unit(code)) return false;
            const bool is_high = code >= 0xD800 && code <= 0xDBFF;
            if (code >= 0xDC00 && code <= 0xDFFF) return false;
            if (is_high) {
                unsigned low = 0;
                if (!read_low_unit(low)) return false;
                code = 0x10000 + ((code - 0xD800) << 10U) + (low - 0xDC00);
            }
            append_utf8(out, code);
            return true;
        }
        [[nodiscard]] bool read_low_unit(unsigned& unit) {
            return take("\\") && read_unit(unit) && unit >= 0xDC00 && unit <= 0xDFFF;
        }
        /// Reads `u` and four hexadecimal digits.
        [[nodiscard]] bool read_unit(unsigned& unit) {
            if (!take("u") || rest_.size() < 4) return false;
            for (const char c : rest_.substr(0, 4)) {
                if (hex_value(c) < 0) return false;
                unit = unit << 4U | static_cast<unsigned>(hex_value(c));
            }
            rest_.remove_prefix(4);
            return true;
        }
        static void append_utf8(std::string& out, unsigned code) {
            const auto add = [&](unsigned byte) { out += static_cast<char>(byte); };
            if (code < 0x80) return add(code);
            if (code < 0x800) {
                add(0xC0U | code >> 6U);
            } else if (code < 0x10000) {
                add(0xE0U | code >> 12U), add(0x80U | (code >> 6U & 0x3FU));
            } else {
                add(0xF0U | code >> 18U), add(0x80U | (code >> 12U & 0x3FU));
                add(0x80U | (code >> 6U & 0x3FU));
            }
            add(0x80U | (code & 0x3FU));
        }
        void skip_space() noexcept {
            const auto n = rest_.find_first_not_of(" \t\n\r");
            rest_.remove_prefix(n == std::string_view::npos ? rest_.size() : n);
        }
        [[nodiscard]] bool take(std::string_view word) noexcept {
            if (!rest_.starts_with(word)) return false;
            rest_.remove_prefix(word.size());
            return true;
        }

        std::string_view rest_;
        std::vector<Scope> open_{};
    };

    Members members_{};
};

}}}  // namespace belay::detail
