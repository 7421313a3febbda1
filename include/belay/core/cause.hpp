// SPDX-License-Identifier: MIT
/// \file belay/core/cause.hpp
/// Cause: the one classification of failures, by which policies decide.
#pragma once

#include <cerrno>        // ETIMEDOUT and others
#include <cstdint>       // std::uint8_t
#include <string>        // std::string (std::error_category::message)
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code, std::error_category, std::error_condition
#include <type_traits>   // std::true_type

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Why something failed, by rising severity: of two failures in one turn the more severe counts.
///
/// A Cause is also an error condition, so `code == Cause::timed_out` asks whether any error code is
/// of that kind. Users' categories join by returning a Cause from `default_error_condition`.
enum class Cause : std::uint8_t {
    none = 0,          ///< no failure
    planned = 1,       ///< announced: a rotation, a restart that was asked for; costs no attempt
    lost = 2,          ///< broke off, or anything without a better name; try again
    refused = 3,       ///< nobody listens, or the peer does not want us now
    timed_out = 4,     ///< no answer in time
    overloaded = 5,    ///< "try again later"
    protocol = 6,      ///< the peer broke the rules of the protocol, or we did
    corrupt = 7,       ///< data did not match its checksum
    permanent = 8,     ///< will not work, however often it is tried
    forbidden = 9,     ///< we are known, and may not
    unauthorized = 10  ///< our credentials are not, or no longer, accepted
};

/// The name of a cause, as in the enumeration.   Complexity: O(1).
[[nodiscard]] constexpr std::string_view to_string(Cause cause) noexcept {
    constexpr std::string_view names[] = {"none",      "planned",    "lost",        "refused",
                                          "timed_out", "overloaded", "protocol",    "corrupt",
                                          "permanent", "forbidden",  "unauthorized"};
    const auto i = static_cast<std::size_t>(cause);
    return i < sizeof names / sizeof names[0] ? names[i] : std::string_view{"unknown"};
}

namespace detail {

class CauseCategory final : public std::error_category {
public:
    constexpr CauseCategory() noexcept = default;
    const char* name() const noexcept override { return "belay.cause"; }
    std::string message(int value) const override {
        return std::string{to_string(static_cast<Cause>(value))};
    }
};

/// One line of a folder's error table: what to tell people, and what kind of failure it is.
struct ErrorText {
    const char* text;
    Cause cause;
};

/// The category of Cause as an error condition.
[[nodiscard]] inline const std::error_category& cause_category() noexcept {
    static const CauseCategory category;
    return category;
}

}  // namespace detail

/// So that `code == Cause::timed_out` compares.
[[nodiscard]] inline std::error_condition make_error_condition(Cause cause) noexcept {
    return {static_cast<int>(cause), detail::cause_category()};
}

namespace detail {

/// An error category made of a table; entry i describes the error value i + 1.
class TableCategory final : public std::error_category {
public:
    template <std::size_t N>
    constexpr TableCategory(const char* name, const ErrorText (&table)[N]) noexcept
        : name_{name}, table_{table}, count_{N} {}

    const char* name() const noexcept override { return name_; }
    std::string message(int value) const override {
        return known(value) ? table_[value - 1].text : "unknown error";
    }
    std::error_condition default_error_condition(int value) const noexcept override {
        return known(value) ? make_error_condition(table_[value - 1].cause)
                            : std::error_condition{value, *this};
    }

private:
    bool known(int value) const noexcept {
        return value >= 1 && static_cast<std::size_t>(value) <= count_;
    }

    const char* name_;
    const ErrorText* table_;
    std::size_t count_;
};

[[nodiscard]] inline Cause cause_of_errno(int value) noexcept {
    switch (value) {
        case ECONNREFUSED:
        case EHOSTUNREACH:
        case ENETUNREACH:
        case EADDRNOTAVAIL:
            return Cause::refused;
        case ETIMEDOUT:
            return Cause::timed_out;
        case EAGAIN:
        case ENOBUFS:
        case EMFILE:
        case ENFILE:
            return Cause::overloaded;
        case EPROTO:
        case EBADMSG:
        case EPROTOTYPE:
            return Cause::protocol;
        case EACCES:
        case EPERM:
            return Cause::forbidden;
        case EINVAL:
        case EAFNOSUPPORT:
        case EPROTONOSUPPORT:
        case ENOSYS:
            return Cause::permanent;
        default:
            return Cause::lost;
    }
}

}  // namespace detail

/// The cause of an error code: `none` for no error, `lost` for what no category classifies.
///
/// Users' own error types get an overload of this name in their namespace.
/// Complexity: O(1).   Throws: nothing.
[[nodiscard]] inline Cause cause_of(const std::error_code& code) noexcept {
    if (!code) return Cause::none;
    const std::error_condition condition = code.default_error_condition();
    if (condition.category() == detail::cause_category())
        return static_cast<Cause>(condition.value());
    // By name: Boost's, which others of its codes map to, is another object until Boost 1.76.
    if (condition.category() == std::generic_category() ||
        std::string_view{condition.category().name()} == std::generic_category().name()) {
        return detail::cause_of_errno(condition.value());
    }
    return Cause::lost;
}

}}  // namespace belay

template <>
struct std::is_error_condition_enum<belay::Cause> : std::true_type {};
