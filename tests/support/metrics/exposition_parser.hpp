// SPDX-License-Identifier: MIT
// Parses the text formats of Prometheus 0.0.4 and of OpenMetrics 1.0, and detects violations of
// their grammar and of their rules of families. It shares no code with the writer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include <belay/metrics/page.hpp>

namespace belay_test {

/// The samples of a text by name and labels, as they are written, or the first violation.
struct Exposition {
    std::map<std::string, std::string> samples{};
    std::string fault{};
};

class ExpositionParser {
public:
    explicit ExpositionParser(belay::metrics::Format format)
        : open_{format == belay::metrics::Format::open_metrics} {}

    [[nodiscard]] Exposition parse(std::string_view text) {
        if (!is_utf8(text)) return fail("not UTF-8");
        if (text.empty()) return open_ ? fail("no EOF") : out_;
        if (text.back() != '\n') return fail("the last line does not end");
        while (!text.empty() && out_.fault.empty()) {
            const std::size_t end = text.find('\n');
            line(text.substr(0, end));
            if (!out_.fault.empty()) out_.fault += ": " + std::string{text.substr(0, end)};
            text.remove_prefix(end + 1);
        }
        if (out_.fault.empty()) end_series();
        if (out_.fault.empty() && open_ && !is_over_) fault("no EOF");
        return out_;
    }

private:
    Exposition fail(const char* why) {
        fault(why);
        return out_;
    }
    bool fault(const char* why) {
        if (out_.fault.empty()) out_.fault = why;
        return false;
    }

    void line(std::string_view text) {
        if (is_over_) {
            fault("text after EOF");
        } else if (open_ && text == "# EOF") {
            is_over_ = true;
        } else if (text.rfind("# HELP ", 0) == 0) {
            help(text.substr(7));
        } else if (text.rfind("# TYPE ", 0) == 0) {
            type(text.substr(7));
        } else if (text.empty() || text.front() == '#') {
            if (open_) fault("neither a sample nor metadata");
        } else {
            sample(text);
        }
    }

    static bool is_name(std::string_view text, bool has_colon) {
        if (text.empty() || (text[0] >= '0' && text[0] <= '9')) return false;
        for (const char c : text) {
            const bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
                            (c >= '0' && c <= '9') || (has_colon && c == ':');
            if (!ok) return false;
        }
        return true;
    }
    /// Begins a family, or continues it before its first sample.
    bool metadata(std::string_view name, bool is_type) {
        if (!is_name(name, true)) return fault("no name of a family");
        if (family_ != name) {
            end_series();
            if (!families_.insert(std::string{name}).second) return fault("a family twice");
            family_ = name;
            type_.clear();
            has_samples_ = has_help_ = false;
        }
        if (has_samples_) return fault("metadata after samples");
        if (is_type ? !type_.empty() : has_help_) return fault("metadata twice");
        return true;
    }
    void help(std::string_view rest) {
        const std::size_t space = rest.find(' ');
        if (space == rest.npos || !metadata(rest.substr(0, space), false)) {
            fault("HELP without text");
            return;
        }
        has_help_ = true;
        for (std::size_t i = space + 1; i < rest.size(); ++i) {
            if (rest[i] == '"' && open_) fault("a quotation mark in HELP");
            if (rest[i] != '\\') continue;
            const char next = ++i < rest.size() ? rest[i] : '\0';
            if (next != '\\' && next != 'n' && !(open_ && next == '"')) fault("escape in HELP");
        }
    }
    void type(std::string_view rest) {
        const std::size_t space = rest.find(' ');
        if (space == rest.npos || !metadata(rest.substr(0, space), true)) {
            fault("TYPE without type");
            return;
        }
        type_ = rest.substr(space + 1);
        if (type_ != "counter" && type_ != "gauge" && type_ != "histogram") fault("unknown type");
        if (open_ && type_ == "counter" && ends(family_, "_total")) fault("_total in TYPE");
    }
    static bool ends(std::string_view text, std::string_view end) {
        return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
    }

    void sample(std::string_view text) {
        const std::size_t brace = text.find_first_of("{ ");
        const std::string_view name = text.substr(0, brace);
        if (brace == text.npos || !is_name(name, true)) {
            fault("no name of a sample");
            return;
        }
        std::string_view rest = text.substr(brace);
        std::optional<std::string> le;
        std::string others;  // the labels without le
        if (rest[0] == '{' && !labels(rest, le, others)) return;
        if (rest.empty() || rest[0] != ' ' || !is_number(rest.substr(1))) {
            fault("no value");
            return;
        }
        has_samples_ = true;
        const std::string_view value = rest.substr(1);
        if (!belongs(name, le, others, value)) return;
        const auto series = std::string{text.substr(0, text.size() - rest.size())};
        if (!out_.samples.emplace(series, std::string{value}).second) fault("a series twice");
    }
    /// Reads {a="b",c="d"}.
    bool labels(std::string_view& rest, std::optional<std::string>& le, std::string& others) {
        std::set<std::string> keys;
        rest.remove_prefix(1);
        while (!rest.empty() && rest[0] != '}') {
            const std::size_t equals = rest.find('=');
            if (equals == rest.npos || !is_name(rest.substr(0, equals), false)) {
                return fault("no key");
            }
            const std::string key{rest.substr(0, equals)};
            if (key.rfind("__", 0) == 0) return fault("a reserved key");
            if (!keys.insert(key).second) return fault("a key twice");
            rest.remove_prefix(equals + 1);
            const std::size_t end = quoted(rest);
            if (end == 0) return fault("no value of a label");
            const std::string value{rest.substr(1, end - 2)};
            if (key == "le") {
                le = value;
            } else {
                others += key + '=' + value + ',';
            }
            rest.remove_prefix(end);
            if (!rest.empty() && rest[0] == ',') {
                rest.remove_prefix(1);
                if (rest.empty() || rest[0] == '}') return fault("a comma too many");
            } else if (rest.empty() || rest[0] != '}') {
                return fault("labels without an end");
            }
        }
        if (rest.empty()) return fault("labels without an end");
        rest.remove_prefix(1);
        return true;
    }
    /// The length of a quoted text; 0 if there is none.
    static std::size_t quoted(std::string_view text) {
        if (text.empty() || text[0] != '"') return 0;
        for (std::size_t i = 1; i < text.size(); ++i) {
            if (text[i] == '"') return i + 1;
            if (text[i] != '\\') continue;
            ++i;
            if (i == text.size() || (text[i] != '\\' && text[i] != '"' && text[i] != 'n')) return 0;
        }
        return 0;
    }
    /// A decimal number without a sign, as belay writes them. The formats allow more.
    static bool is_number(std::string_view text) {
        if (text == "+Inf") return true;
        std::size_t digits = 0;
        std::size_t points = 0;
        for (const char c : text) {
            if (c == '.') {
                if (digits == 0) return false;
                ++points;
            } else if (c < '0' || c > '9') {
                return false;
            } else {
                ++digits;
            }
        }
        return digits != 0 && points <= 1 && text.back() != '.';
    }

    bool belongs(std::string_view name, const std::optional<std::string>& le,
                 const std::string& others, std::string_view value) {
        if (type_.empty()) return fault("a sample without TYPE");
        if (value == "+Inf") return fault("an infinite value");
        const std::string family{family_};
        if (type_ != "histogram") {
            if (le) return fault("le outside of a histogram");
            const bool open_counter = open_ && type_ == "counter";
            if (name != family + (open_counter ? "_total" : "")) return fault("another family");
            if (type_ == "counter" && !ends(name, "_total")) return fault("without _total");
            return true;
        }
        if (name == family + "_bucket") return bucket(le, others, value);
        if (le) return fault("le outside of a bucket");
        if (name == family + "_sum") return true;
        if (name != family + "_count") return fault("another family");
        if (others != series_ || last_count_ != std::stoull(std::string{value})) {
            return fault("another count than that of the bucket +Inf");
        }
        return true;
    }
    bool bucket(const std::optional<std::string>& le, const std::string& others,
                std::string_view value) {
        if (!le || !is_number(*le)) return fault("a bucket without a bound");
        if (open_ && *le != "+Inf" && le->find('.') == le->npos) return fault("no canonical bound");
        if (others != series_ || last_bound_.empty() || last_bound_ == "+Inf") {
            if (!end_series()) return false;
            series_ = others;
        } else {
            const bool rises = *le == "+Inf" || std::stod(*le) > std::stod(last_bound_);
            if (!rises) return fault("bounds that do not rise");
        }
        const auto count = std::stoull(std::string{value});
        if (!last_bound_.empty() && count < last_count_) return fault("counts that fall");
        last_bound_ = *le;
        last_count_ = count;
        return true;
    }
    bool end_series() {
        if (!last_bound_.empty() && last_bound_ != "+Inf") return fault("no bucket +Inf");
        last_bound_.clear();
        series_.clear();
        last_count_ = 0;
        return true;
    }

    /// Decodes to numbers, and encodes again.
    static bool is_utf8(std::string_view text) {
        for (std::size_t i = 0; i < text.size();) {
            const auto lead = static_cast<unsigned char>(text[i]);
            const std::size_t length = lead < 0x80             ? 1
                                       : (lead & 0xE0) == 0xC0 ? 2
                                       : (lead & 0xF0) == 0xE0 ? 3
                                       : (lead & 0xF8) == 0xF0 ? 4
                                                               : 0;
            if (length == 0 || i + length > text.size()) return false;
            std::uint32_t point = length == 1 ? lead : lead & (0x7FU >> length);
            for (std::size_t n = 1; n < length; ++n) {
                const auto byte = static_cast<unsigned char>(text[i + n]);
                if ((byte & 0xC0) != 0x80) return false;
                point = (point << 6) | (byte & 0x3FU);
            }
            const std::size_t needs = point < 0x80      ? 1
                                      : point < 0x800   ? 2
                                      : point < 0x10000 ? 3
                                                        : 4;
            if (needs != length || point > 0x10FFFF || (point >= 0xD800 && point < 0xE000)) {
                return false;
            }
            i += length;
        }
        return true;
    }

    bool open_;
    Exposition out_;
    std::set<std::string> families_;
    std::string_view family_;
    std::string type_;
    bool has_help_ = false;
    bool has_samples_ = false;
    bool is_over_ = false;
    std::string series_;
    std::string last_bound_;
    unsigned long long last_count_ = 0;
};

/// The samples of a text, or its first fault.
[[nodiscard]] inline Exposition parse_exposition(
    std::string_view text, belay::metrics::Format format = belay::metrics::Format::prometheus) {
    return ExpositionParser{format}.parse(text);
}

}  // namespace belay_test
