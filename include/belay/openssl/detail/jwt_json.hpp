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
#include <belay/core/detail/json_text.hpp>
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
/// - more than 128 objects and arrays within one another;
/// - a name that an object has twice.
///
/// A token has few members and needs no parser of a library, whose headers would take a quarter of
/// a gigabyte to compile.
class JwtObject {
public:
    /// The most objects and arrays within one another.
    static constexpr std::size_t nesting_max = 128;

    /// Complexity: O(n log n).
    [[nodiscard]] static std::optional<JwtObject> parse(std::string_view json) {
        JwtObject object;
        const bool is_json = is_utf8(as_bytes(json)) &&
                             JsonText<Reader>::of(json, nesting_max, Reader{object.members_}) ==
                                 JsonText<Reader>::Verdict::json;
        if (!is_json) return std::nullopt;
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

    /// Takes the parts of the text; see JsonText.
    class Reader {
    public:
        explicit Reader(Members& members) noexcept : members_{members} {}

        [[nodiscard]] bool open(bool is_object) {
            if (open_.empty() && !is_object) return false;
            store({is_object ? JwtValue::Kind::object : JwtValue::Kind::array});
            open_.push_back({.is_object = is_object});
            return true;
        }
        void close() noexcept { open_.pop_back(); }
        [[nodiscard]] bool name(std::string_view written) {
            std::string name;
            if (!decode(written, name)) return false;
            if (open_.size() == 1) members_.emplace_back(name, JwtValue{});
            return open_.back().names.insert(std::move(name)).second;
        }
        [[nodiscard]] bool text(std::string_view written) {
            JwtValue value{JwtValue::Kind::text};
            return decode(written, value.text) && store(std::move(value));
        }
        [[nodiscard]] bool number(std::string_view written) {
            std::string_view rest = written;
            return JwtNumber::read(rest) && rest.empty() &&
                   store({JwtValue::Kind::number, std::string{written}});
        }
        [[nodiscard]] bool word() { return store({}); }

    private:
        /// An object or an array that has not ended.
        struct Scope {
            bool is_object;
            std::set<std::string> names{};
        };

        /// Returns false for a value that is not in an object.
        bool store(JwtValue value) {
            if (open_.size() == 1) members_.back().second = std::move(value);
            if (open_.size() == 2 && !open_.back().is_object)
                members_.back().second.items.push_back(std::move(value));
            return !open_.empty();
        }
        /// Decodes the escapes of a string.   Returns: false for half of a surrogate pair.
        [[nodiscard]] bool decode(std::string_view written, std::string& out) {
            rest_ = written;
            while (!rest_.empty()) {
                const char c = rest_.front();
                rest_.remove_prefix(1);
                if (c != '\\') {
                    out += c;
                } else if (!read_escape(out)) {
                    return false;
                }
            }
            return true;
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
        [[nodiscard]] bool take(std::string_view word) noexcept {
            if (!rest_.starts_with(word)) return false;
            rest_.remove_prefix(word.size());
            return true;
        }

        Members& members_;
        std::string_view rest_{};  // of a string that is being decoded
        std::vector<Scope> open_{};
    };

    Members members_{};
};

}}}  // namespace belay::detail
