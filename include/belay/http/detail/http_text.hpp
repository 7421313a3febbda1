// SPDX-License-Identifier: MIT
/// \file belay/http/detail/http_text.hpp
/// Text that is written into HTTP requests, or read from responses.
#pragma once

#include <charconv>     // std::from_chars
#include <cstdint>      // std::int64_t
#include <optional>     // std::optional
#include <string>       // std::string
#include <string_view>  // std::string_view

#include <belay/core/instant.hpp>
#include <belay/core/order.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Beast throws at 64 KiB, inside a handler, and servers accept less.
inline constexpr std::size_t header_bytes_max = std::size_t{32} << 10;

/// Returns whether a text can be the value of a header: no line end, and not too long.
[[nodiscard]] constexpr bool is_header_value(std::string_view text) noexcept {
    if (text.size() > header_bytes_max) return false;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if ((byte < 0x20 && c != '\t') || byte == 0x7F) return false;
    }
    return true;
}
/// Returns whether a text can be part of a request's first line, or the name of a header.
[[nodiscard]] constexpr bool is_one_word(std::string_view text) noexcept {
    return !text.empty() && is_header_value(text) && text.find_first_of(" \t") == text.npos;
}
[[nodiscard]] constexpr bool is_header_name(std::string_view text) noexcept {
    return is_one_word(text) && text.find_first_of(":(),/;<=>?@[\\]{}\"") == text.npos;
}

/// Returns a text without these characters at its ends.
[[nodiscard]] constexpr std::string_view trimmed(std::string_view text,
                                                 std::string_view around = " \t") noexcept {
    const std::size_t first = text.find_first_not_of(around);
    if (first == text.npos) return {};
    return text.substr(first, text.find_last_not_of(around) - first + 1);
}
/// Returns a letter of ASCII as a small one, in every locale.
[[nodiscard]] constexpr char lowered(char c) noexcept {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}
/// Returns whether two names of headers, schemes or hosts are equal. ASCII only, in every locale.
[[nodiscard]] constexpr bool is_same_name(std::string_view a, std::string_view b) noexcept {
    if (a.size() != b.size()) return false;
    for (std::size_t i = 0; i < a.size(); ++i) {
        if (lowered(a[i]) != lowered(b[i])) return false;
    }
    return true;
}

/// Returns whether a character of a URL means the same if it is encoded (RFC 3986, section 2.3).
[[nodiscard]] constexpr bool is_unreserved(char c) noexcept {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}
/// Encodes a text for a query (RFC 3986, section 2).
[[nodiscard]] inline std::string percent_encoded(std::string_view text) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    std::string out;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (detail::is_unreserved(c)) {
            out += c;
        } else {
            (out += '%') += digits[byte >> 4U];
            out += digits[byte & 15U];
        }
    }
    return out;
}

/// Finds the parts of an event stream that are neither comments nor empty lines.
///
/// Thread safety: a plain value.
class EventLines {
public:
    /// Returns whether the next piece of the stream has such a part.   Complexity: O(bytes).
    [[nodiscard]] constexpr bool has_field(std::string_view piece) noexcept {
        bool found = false;
        for (const char c : piece) {
            if (c == '\n' || c == '\r') {
                in_ = Line::none;
            } else if (in_ == Line::none) {
                in_ = c == ':' ? Line::comment : Line::field;
            }
            found = found || in_ == Line::field;
        }
        return found;
    }

private:
    enum class Line : std::uint8_t { none, comment, field } in_ = Line::none;
};

/// Returns a number that has only digits; the greatest `unsigned` if it is larger.
[[nodiscard]] inline std::optional<unsigned> number_in(std::string_view digits) noexcept {
    unsigned value = 0;
    const char* const end = digits.data() + digits.size();
    const auto [at, error] = std::from_chars(digits.data(), end, value);
    if (error == std::errc::invalid_argument || at != end) return std::nullopt;
    return error == std::errc{} ? value : ~0U;
}

/// A date in UTC, as HTTP writes it.
struct HttpDate {
    int year = 0;
    bool year_is_short = false;  ///< only the last two digits of the year are known
    std::chrono::month month{};
    std::chrono::day day{};
    std::chrono::seconds time{};  ///< since midnight

    /// Returns this date with a whole year: the one that is less than 50 years before `reference`,
    /// or at most 50 after it.
    [[nodiscard]] constexpr HttpDate with_year_near(int reference) const noexcept {
        HttpDate whole = *this;
        if (!year_is_short) return whole;
        whole.year_is_short = false;
        whole.year += reference - reference % 100;
        if (whole.year > reference + 50) {
            whole.year -= 100;
        } else if (whole.year + 50 <= reference) {
            whole.year += 100;
        }
        return whole;
    }
    /// Returns the seconds since 1970, or nullopt if there is no such day.   Pre: a whole year.
    [[nodiscard]] constexpr std::optional<std::chrono::seconds> since_1970() const noexcept {
        const std::chrono::year_month_day date{std::chrono::year{year}, month, day};
        if (!date.ok()) return std::nullopt;
        return std::chrono::sys_days{date}.time_since_epoch() + time;
    }
};

/// Reads a date by a pattern. The letters d, o, y, h, m and s stand for digits of the day, month,
/// year, hour, minute and second. An n is a letter of the month, and a w any letter. An underscore
/// stands for a digit of the day or a space, and any other character for itself.
[[nodiscard]] constexpr std::optional<HttpDate> http_date(std::string_view text,
                                                          std::string_view pattern) noexcept {
    constexpr std::string_view months = "JanFebMarAprMayJunJulAugSepOctNovDec", keys = "dyhmso";
    if (text.size() != pattern.size()) return std::nullopt;
    unsigned numbers[keys.size()] = {};
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (pattern[i] == 'n' || pattern[i] == 'w' || (pattern[i] == '_' && text[i] == ' '))
            continue;
        const std::size_t key = pattern[i] == '_' ? 0 : keys.find(pattern[i]);
        if (key == keys.npos ? text[i] != pattern[i] : text[i] < '0' || text[i] > '9') {
            return std::nullopt;
        }
        if (key != keys.npos) {
            numbers[key] = numbers[key] * 10 + static_cast<unsigned>(text[i] - '0');
        }
    }
    const auto [day, year, hour, minute, second, number] = numbers;
    const std::size_t name = pattern.find('n');
    const std::size_t month =
        name != pattern.npos ? months.find(text.substr(name, 3)) : number * 3 - 3;
    // The second 60 is a leap second.
    if (month >= months.size() || month % 3 != 0 || hour > 23 || minute > 59 || second > 60) {
        return std::nullopt;
    }
    return HttpDate{.year = static_cast<int>(year),
                    .year_is_short = pattern.find("yyyy") == pattern.npos,
                    .month = std::chrono::month{static_cast<unsigned>(month / 3 + 1)},
                    .day = std::chrono::day{day},
                    .time = std::chrono::hours{hour} + std::chrono::minutes{minute} +
                            std::chrono::seconds{second}};
}
/// Reads a date in one of the three formats that a recipient must accept (RFC 9110, section 5.6.7).
/// The name of the weekday does not matter.
[[nodiscard]] constexpr std::optional<HttpDate> http_date(std::string_view text) noexcept {
    const std::size_t weekday = text.find(' ');
    if (weekday == text.npos || weekday < 3) return std::nullopt;
    const std::string_view rest = text.substr(weekday + 1);
    // Sun Nov  6 08:49:37 1994, the format of asctime()
    if (text[weekday - 1] != ',') return detail::http_date(rest, "nnn _d hh:mm:ss yyyy");
    // Sun, 06 Nov 1994 08:49:37 GMT
    if (const auto date = detail::http_date(rest, "dd nnn yyyy hh:mm:ss GMT")) return date;
    // Sunday, 06-Nov-94 08:49:37 GMT, the format of RFC 850
    return detail::http_date(rest, "dd-nnn-yy hh:mm:ss GMT");
}
/// Reads the offset of a zone from UTC: "Z", "+01:30", "-0800", or " UTC".
[[nodiscard]] constexpr std::optional<std::chrono::minutes> zone_offset(
    std::string_view zone) noexcept {
    if (zone == "Z" || zone == "z" || zone == " UTC") return std::chrono::minutes{};
    if (zone.starts_with(' ')) zone.remove_prefix(1);
    const bool has_colon = zone.size() == 6 && zone[3] == ':';
    if (zone.size() != 5 && !has_colon) return std::nullopt;
    int digits[] = {zone[1], zone[2], zone[zone.size() - 2], zone[zone.size() - 1]};
    for (int& digit : digits) {
        digit -= '0';
        if (digit < 0 || digit > 9) return std::nullopt;
    }
    const std::chrono::minutes east{(digits[0] * 10 + digits[1]) * 60 + digits[2] * 10 + digits[3]};
    if (zone[0] == '+') return east;
    return zone[0] == '-' ? std::optional{-east} : std::nullopt;
}
/// Reads a date of RFC 3339, with or without a part of a second.
[[nodiscard]] constexpr std::optional<HttpDate> rfc3339_date(std::string_view text) noexcept {
    constexpr std::size_t head = 19;
    if (text.size() <= head) return std::nullopt;
    auto date = detail::http_date(text.substr(0, head), "yyyy-oo-ddThh:mm:ss");
    if (!date) date = detail::http_date(text.substr(0, head), "yyyy-oo-dd hh:mm:ss");
    std::string_view zone = text.substr(head);
    if (zone.starts_with('.')) {
        zone.remove_prefix(smaller(zone.find_first_not_of("0123456789", 1), zone.size()));
    }
    const auto offset = detail::zone_offset(zone);
    if (!date || !offset) return std::nullopt;
    date->time -= *offset;
    return date;
}
/// Reads a date in one of the three formats, or in another one that servers send. Others have no
/// weekday, no zone, another name of UTC, or the form of RFC 3339.
[[nodiscard]] constexpr std::optional<HttpDate> other_date(std::string_view text) noexcept {
    if (const auto date = detail::http_date(text)) return date;
    for (const std::string_view pattern :
         {"www, dd nnn yyyy hh:mm:ss UTC", "www, dd nnn yyyy hh:mm:ss +0000",
          "www, dd nnn yyyy hh:mm:ss -0000", "www, dd nnn yyyy hh:mm:ss",
          "dd nnn yyyy hh:mm:ss GMT"}) {
        if (const auto date = detail::http_date(text, pattern)) return date;
    }
    return detail::rfc3339_date(text);
}

/// The delay that a Retry-After requests: seconds, or a date. A date is measured from the
/// response's own `Date`, so the local clock does not matter. Without a `Date`, it is measured from
/// `received`, and counts only between 0ns and `trusted_max`, because that clock may be wrong.
///
/// The delay is at most one day. It is `unreadable_wait`, but at most `trusted_max`, if the value
/// is empty, negative or of another form, or if its date has passed: the server has asked for some
/// wait.
struct RetryAfter {
    static constexpr Duration unreadable_wait = std::chrono::seconds{5};

    std::string_view value;
    std::string_view date{};
    /// The wall clock when the response arrived, if it is known.
    std::optional<WallTime> received{};
    Duration trusted_max = std::chrono::seconds{30};

    [[nodiscard]] constexpr Duration wait() const noexcept {
        using std::chrono::seconds;
        constexpr seconds most = std::chrono::hours{24};
        const std::string_view text = trimmed(value, around);
        std::optional<seconds> wait;
        if (const auto count = seconds_in(text.substr(0, text.find_first_of(",;")))) {
            // Some servers send the time in seconds since 1970, or in milliseconds.
            wait = is_since_1970(*count)          ? until(*count)
                   : is_since_1970(*count / 1000) ? until(*count / 1000)
                                                  : count;
        } else if (const auto then = other_date(text)) {
            wait = until(*then);
        }
        if (!wait || wait->count() < 0) return smaller(unreadable_wait, trusted_max);
        return *wait < most ? *wait : most;
    }

private:
    /// Some servers quote the value.
    static constexpr std::string_view around = " \t\"";

    /// Returns the milliseconds of a unit of time, that of no name included; 0 for no unit.
    [[nodiscard]] static constexpr std::int64_t unit_of(std::string_view name) noexcept {
        constexpr auto is = [](std::string_view n, auto... names) {
            return (is_same_name(n, names) || ...);
        };
        if (is(name, "ms")) return 1;
        if (is(name, "", "s", "sec", "secs", "second", "seconds")) return 1'000;
        if (is(name, "m", "min", "mins", "minute", "minutes")) return 60'000;
        return is(name, "h", "hr", "hrs", "hour", "hours") ? 3'600'000 : 0;
    }
    /// Returns a length of time, rounded up to seconds: "120", "2.5", "30 seconds", "500ms",
    /// "1m30s", "PT1M30S".
    [[nodiscard]] static constexpr std::optional<std::chrono::seconds> seconds_in(
        std::string_view text) noexcept {
        constexpr std::int64_t most = 5'000'000'000'000'000;
        std::int64_t total = 0;  // milliseconds
        if (text.starts_with("PT")) text.remove_prefix(2);
        if (text.starts_with('+')) text.remove_prefix(1);
        do {
            std::int64_t whole = 0, thousandths = 0, rest = 0;
            std::size_t at = 0;
            const auto digit = [&] {
                const bool is_digit = at < text.size() && text[at] >= '0' && text[at] <= '9';
                return is_digit ? text[at++] - '0' : -1;
            };
            for (int d = digit(); d >= 0; d = digit()) whole = smaller(whole * 10 + d, most);
            if (at == 0) return std::nullopt;
            if (text.substr(at).starts_with('.')) {
                ++at;
                int scale = 1000;
                for (int d = digit(); d >= 0; d = digit()) {
                    scale /= 10;
                    thousandths += d * scale;
                    if (scale == 0 && d != 0) rest = 1;
                }
                thousandths += rest;
            }
            text = trimmed(text.substr(at), around);
            const std::size_t end = smaller(text.find_first_of("0123456789+-.: "), text.size());
            const std::int64_t unit = unit_of(text.substr(0, end));
            text = trimmed(text.substr(end), around);
            // Only a single number needs no unit.
            if (unit == 0 || (end == 0 && (total != 0 || !text.empty()))) return std::nullopt;
            total += smaller(whole, most / unit) * unit + (thousandths * unit + 999) / 1000;
            total = smaller(total, most);
        } while (!text.empty());
        return std::chrono::seconds{(total + 999) / 1000};
    }
    [[nodiscard]] static constexpr bool is_since_1970(std::chrono::seconds count) noexcept {
        return count.count() >= 1'000'000'000 && count.count() < 4'000'000'000;
    }
    /// Returns the time until an instant since 1970; nullopt if no clock that is trusted has it.
    [[nodiscard]] constexpr std::optional<std::chrono::seconds> until(
        std::chrono::seconds then) const noexcept {
        if (const auto now = http_date(date)) {
            const auto from = now->with_year_near(2000).since_1970();
            if (from) return then - *from;
        }
        if (!received) return std::nullopt;
        const auto from = std::chrono::floor<std::chrono::seconds>(received->time_since_epoch());
        const std::chrono::seconds wait = then - from;
        if (wait.count() < 0 || wait > trusted_max) return std::nullopt;
        return wait;
    }
    // The century of a year of two digits is that in which it is nearest to the year of the other
    // date.
    [[nodiscard]] constexpr std::optional<std::chrono::seconds> until(
        const HttpDate& then) const noexcept {
        constexpr int some_year = 2000;  // only the difference counts
        if (const std::optional<HttpDate> now = http_date(date)) {
            const HttpDate begin = now->with_year_near(then.year_is_short ? some_year : then.year);
            const auto from = begin.since_1970(), to = then.with_year_near(begin.year).since_1970();
            if (!from || !to) return std::nullopt;
            return *to - *from;
        }
        const auto to = then.with_year_near(year_now()).since_1970();
        return to ? until(*to) : std::nullopt;
    }
    [[nodiscard]] constexpr int year_now() const noexcept {
        if (!received) return 2000;
        const std::chrono::year_month_day today{std::chrono::floor<std::chrono::days>(*received)};
        return static_cast<int>(today.year());
    }
};

}}}  // namespace belay::detail
