// SPDX-License-Identifier: MIT
/// \file belay/core/text.hpp
/// to_string for times, error codes and failures: texts for logs.
#pragma once

#include <cstddef>       // std::size_t
#include <cstdint>       // std::int64_t, std::uint64_t
#include <string>        // std::string, std::to_string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <type_traits>   // std::is_same_v, std::is_unsigned_v

#include <belay/core/failure.hpp>
#include <belay/core/instant.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

/// Returns `value / unit` as a decimal number; `unit` is a power of ten.
[[nodiscard]] inline std::string decimal_text(std::uint64_t value, std::uint64_t unit) {
    std::string text = std::to_string(value / unit);
    if (value % unit == 0) return text;
    std::string fraction = std::to_string(unit + value % unit).substr(1);
    while (fraction.back() == '0') fraction.pop_back();
    return text += '.' + fraction;
}
/// Returns a number of nanoseconds in the largest unit up to a second.
[[nodiscard]] inline std::string nanoseconds_text(std::uint64_t ticks) {
    if (ticks >= 1'000'000'000 || ticks == 0) return decimal_text(ticks, 1'000'000'000) + "s";
    if (ticks >= 1'000'000) return decimal_text(ticks, 1'000'000) + "ms";
    if (ticks >= 1'000) return decimal_text(ticks, 1'000) + "us";
    return std::to_string(ticks) + "ns";
}
[[nodiscard]] inline std::string signed_text(std::int64_t ticks) {
    if (ticks >= 0) return nanoseconds_text(static_cast<std::uint64_t>(ticks));
    // The negative of the least number does not fit its type.
    return '-' + nanoseconds_text(~static_cast<std::uint64_t>(ticks) + 1);
}

[[nodiscard]] inline std::string two_digits(std::int64_t value) {
    return std::to_string(100 + value).substr(1);
}

}  // namespace detail

/// Returns a duration, "1.5s", "250ms", "2us" or "7ns", and "forever" for `forever`.
///
/// The unit is the largest one up to a second that leaves at least 1. The text is exact.
///
/// Throws: std::bad_alloc.
[[nodiscard]] inline std::string to_string(Duration duration) {
    if (duration == forever) return "forever";
    return detail::signed_text(duration.count());
}

/// Returns an instant as the time since the clock began, "5132.25s", and "never" or "always".
///
/// The clock begins at an unknown time, so compare the text with that of other instants.
///
/// Throws: std::bad_alloc.
[[nodiscard]] inline std::string to_string(Instant instant) {
    if (instant == never) return "never";
    if (instant == always) return "always";
    return detail::signed_text(instant.time_since_epoch().count());
}

/// Returns a moment in UTC, "2026-11-23T03:05:00.25Z" (RFC 3339).   Throws: std::bad_alloc.
[[nodiscard]] inline std::string to_string(WallTime time) {
    constexpr std::int64_t second = 1'000'000'000;
    constexpr std::int64_t day = 86'400 * second;
    const std::int64_t ticks = time.time_since_epoch().count();
    const std::int64_t of_day = ((ticks % day) + day) % day;
    const std::int64_t days = ticks / day - (ticks % day < 0 ? 1 : 0);
    const std::chrono::year_month_day date{std::chrono::sys_days{std::chrono::days{days}}};
    const std::int64_t seconds = of_day / second;
    std::string text = std::to_string(static_cast<int>(date.year())) + "-" +
                       detail::two_digits(static_cast<unsigned>(date.month())) + "-" +
                       detail::two_digits(static_cast<unsigned>(date.day())) + "T" +
                       detail::two_digits(seconds / 3600) + ":" +
                       detail::two_digits(seconds / 60 % 60) + ":" +
                       detail::two_digits(seconds % 60);
    if (of_day % second != 0) {
        text += detail::decimal_text(static_cast<std::uint64_t>(of_day % second), second).substr(1);
    }
    return text + "Z";
}

/// Returns an error code, "Connection refused (system:111)", and "no error" for none.
///
/// Throws: std::bad_alloc; what the category throws.
[[nodiscard]] inline std::string to_string(const std::error_code& error) {
    if (!error) return "no error";
    return error.message() + " (" + error.category().name() + ":" + std::to_string(error.value()) +
           ")";
}

/// Returns a failure, "overloaded: Service Unavailable, retry after 1s".
///
/// Throws: std::bad_alloc; what the category throws.
[[nodiscard]] inline std::string to_string(const Failure& failure) {
    std::string text = failure.message();
    if (failure.retry_after.count() > 0) text += ", retry after " + to_string(failure.retry_after);
    return text;
}

namespace detail {

/// Whether T has a to_string that formatters may use: true for the types that a header named
/// *_text.hpp, or this one, gives a text. Formatters of other libraries take exactly these.
template <class T>
inline constexpr bool has_text = false;

/// Whether T is one of the listed types: those of one header, in its line about `has_text`.
template <class T, class... Listed>
concept IsOneOf = (std::is_same_v<T, Listed> || ...);

template <IsOneOf<Cause, Failure> T>
inline constexpr bool has_text<T> = true;

/// Returns the text of a value of such a type.
template <class T>
    requires has_text<T>
[[nodiscard]] std::string text_of(const T& value) {
    return std::string{to_string(value)};
}

/// One number of a struct: its name in logs and metrics, and a sentence for people.
template <class Numbers, class Number = std::uint64_t>
struct Row {
    const char* name;
    Number Numbers::*member;
    const char* help;
};

/// Writes `key=value` pairs with a space between them, as tools for logs read them (logfmt).
///
/// A value with a space, a quotation mark or a control character is quoted and escaped. Therefore a
/// text from outside cannot begin a line, or a pair, of its own.
class Fields {
public:
    Fields& add(std::string_view key, std::string_view value) {
        if (!text_.empty()) text_ += ' ';
        text_.append(key).append("=");
        if (!needs_quotes(value)) {
            text_.append(value);
            return *this;
        }
        text_ += '"';
        for (const char c : value) {
            if (c == '\n') {
                text_ += "\\n";
            } else if (is_control(c)) {
                text_ += '?';
            } else {
                if (c == '"' || c == '\\') text_ += '\\';
                text_ += c;
            }
        }
        text_ += '"';
        return *this;
    }
    Fields& add(std::string_view key, const char* value) {
        return add(key, std::string_view{value});
    }
    Fields& add(std::string_view key, bool value) { return add(key, value ? "true" : "false"); }
    template <class Number>
        requires std::is_unsigned_v<Number>
    Fields& add(std::string_view key, Number value) {
        return add(key, std::to_string(value));
    }
    /// Adds the numbers that a table lists.
    template <class Numbers, class Number, std::size_t count>
    Fields& add(const Numbers& numbers, const Row<Numbers, Number> (&rows)[count]) {
        for (const Row<Numbers, Number>& row : rows) add(row.name, numbers.*row.member);
        return *this;
    }
    /// Adds an instant, unless it is `never`.
    Fields& add_if_ever(std::string_view key, Instant time) {
        return time == never ? *this : add(key, belay::to_string(time));
    }
    [[nodiscard]] std::string take() { return static_cast<std::string&&>(text_); }

private:
    [[nodiscard]] static bool is_control(char c) noexcept {
        return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
    }
    [[nodiscard]] static bool needs_quotes(std::string_view value) noexcept {
        for (const char c : value) {
            if (c == ' ' || c == '"' || c == '=' || c == '\\' || is_control(c)) return true;
        }
        return value.empty();
    }

    std::string text_;
};

}  // namespace detail

}}  // namespace belay
