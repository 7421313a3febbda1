// SPDX-License-Identifier: MIT
/// \file belay/core/failure.hpp
/// Cause and Failure: what went wrong, as one small value; text is made on demand.
#pragma once

#include <cerrno>        // ETIMEDOUT and others
#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint8_t
#include <string>        // std::string, std::to_string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code, std::error_category, std::error_condition
#include <type_traits>   // std::true_type

#include <belay/core/assert.hpp>
#include <belay/core/instant.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The kinds of failures, in order of rising severity.
///
/// If two failures happen in one turn, the more severe one counts. A Cause is also an error
/// condition, so `code == Cause::timed_out` works for any error code. Your error category takes
/// part if its `default_error_condition` returns a Cause.
enum class Cause : std::uint8_t {
    none = 0,          ///< no failure
    planned = 1,       ///< announced by the peer: a rotation, a restart
    lost = 2,          ///< broke off, or has no better classification; try again
    refused = 3,       ///< nothing listens there, or the peer does not accept us now
    timed_out = 4,     ///< no answer in time
    overloaded = 5,    ///< the peer is overloaded: "try again later"
    protocol = 6,      ///< the peer or this side violated the protocol
    corrupt = 7,       ///< data did not match its checksum
    permanent = 8,     ///< does not succeed, however often you try
    forbidden = 9,     ///< our credentials are valid, but do not permit this
    unauthorized = 10  ///< our credentials are not, or no longer, accepted
};

namespace detail {
/// Returns the name of an enumerator from the names of all, in their order; "unknown" for other
/// values.
template <class Enum, std::size_t count>
[[nodiscard]] constexpr std::string_view name_of(Enum value,
                                                 const std::string_view (&names)[count]) noexcept {
    const auto i = static_cast<std::size_t>(value);
    return i < count ? names[i] : std::string_view{"unknown"};
}
}  // namespace detail

/// Returns the name of a cause, as in the enumeration.   Complexity: O(1).
[[nodiscard]] constexpr std::string_view to_string(Cause cause) noexcept {
    constexpr std::string_view names[] = {"none",      "planned",    "lost",        "refused",
                                          "timed_out", "overloaded", "protocol",    "corrupt",
                                          "permanent", "forbidden",  "unauthorized"};
    return detail::name_of(cause, names);
}

namespace detail {

/// Which side decided a failure; see Failure::Origin.
enum class FailureOrigin : std::uint8_t {
    unset = 0,     ///< not stated; counts as the peer's failure
    answered = 1,  ///< the peer, or a machine on the way to it, answered
    silent = 2,    ///< the peer sent nothing in time
    local = 3,     ///< this side: it lacked a resource, rejected the call, or ended it
    cut_short = 4  ///< the peer sent nothing in the part of its time that this side left
};

class OriginCategory final : public std::error_category {
public:
    constexpr OriginCategory() noexcept = default;
    const char* name() const noexcept override { return "belay.origin"; }
    std::string message(int value) const override {
        constexpr const char* texts[] = {"not stated", "the peer answered", "the peer was silent",
                                         "this side", "the call was cut short"};
        return value >= 0 && value < 5 ? texts[value] : "unknown";
    }
};

class CauseCategory final : public std::error_category {
public:
    constexpr CauseCategory() noexcept = default;
    const char* name() const noexcept override { return "belay.cause"; }
    std::string message(int value) const override {
        return std::string{to_string(static_cast<Cause>(value))};
    }
};

/// One line of a component's error table: a message for people, the kind of failure, and advice as
/// a sentence without its full stop, or null.
struct ErrorText {
    constexpr ErrorText(const char* message, Cause kind,
                        FailureOrigin from = FailureOrigin::unset) noexcept
        : text{message}, cause{kind}, origin{from} {}
    constexpr ErrorText(const char* message, Cause kind, const char* todo) noexcept
        : text{message}, cause{kind}, advice{todo} {}

    const char* text;
    Cause cause;
    FailureOrigin origin = FailureOrigin::unset;
    const char* advice = nullptr;
};

/// Returns the category of FailureOrigin as an error condition.
[[nodiscard]] inline const std::error_category& origin_category() noexcept {
    static const OriginCategory category;
    return category;
}

/// Returns the category of Cause as an error condition.
[[nodiscard]] inline const std::error_category& cause_category() noexcept {
    static const CauseCategory category;
    return category;
}

}  // namespace detail

/// Makes the error condition of a Cause, so that `code == Cause::timed_out` works.
[[nodiscard]] inline std::error_condition make_error_condition(Cause cause) noexcept {
    return {static_cast<int>(cause), detail::cause_category()};
}

namespace detail {

/// Makes the error condition of a FailureOrigin, so that `code == Failure::Origin::local` works.
[[nodiscard]] inline std::error_condition make_error_condition(FailureOrigin origin) noexcept {
    return {static_cast<int>(origin), origin_category()};
}

/// An error category made from a table. Entry i describes the error value i + 1.
class TableCategory : public std::error_category {
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
    bool equivalent(int value, const std::error_condition& condition) const noexcept override {
        if (condition.category() != origin_category()) {
            return std::error_category::equivalent(value, condition);
        }
        return known(value) && static_cast<int>(table_[value - 1].origin) == condition.value();
    }
    /// Returns the table's advice for a code of this category; else null.
    [[nodiscard]] const char* advice(const std::error_code& code) const noexcept {
        return code.category() == *this && known(code.value()) ? table_[code.value() - 1].advice
                                                               : nullptr;
    }

private:
    bool known(int value) const noexcept {
        return value >= 1 && static_cast<std::size_t>(value) <= count_;
    }

    const char* name_;
    const ErrorText* table_;
    std::size_t count_;
};

/// The meaning of a value of `errno`.
struct ErrnoMeaning {
    Cause cause = Cause::lost;
    FailureOrigin origin = FailureOrigin::unset;
};

/// Returns the meaning of a value of `errno`; for links, requests and calls alike.
///
/// The system of this side decides on an address, a port, a permission or a lack before it sends
/// anything. ENETUNREACH is this side's, too: nearly always, this system has no route or no address
/// of that family. EHOSTUNREACH is not, because it is also the error for a host that is down.
[[nodiscard]] inline ErrnoMeaning meaning_of_errno(int value) noexcept {
    using enum FailureOrigin;
    switch (value) {
        case ECONNREFUSED:
            return {Cause::refused, answered};
        case EHOSTUNREACH:
            return {Cause::refused};
        case ENETUNREACH:
        case ENETDOWN:
        case EADDRNOTAVAIL:
        case EADDRINUSE:
            return {Cause::refused, local};
        case ETIMEDOUT:
            return {Cause::timed_out};
        case EAGAIN:
            return {Cause::overloaded};
        case ENOBUFS:
        case ENOMEM:
        case EMFILE:
        case ENFILE:
            return {Cause::overloaded, local};
        case EPROTO:
        case EBADMSG:
        case EPROTOTYPE:
            return {Cause::protocol};
        case EACCES:
        case EPERM:
            return {Cause::forbidden, local};
        case EINVAL:
        case EAFNOSUPPORT:
        case EPROTONOSUPPORT:
        case ENOSYS:
            return {Cause::permanent, local};
        case ECANCELED:
            return {Cause::lost, local};
        default:
            return {};
    }
}

/// Returns whether the values of a condition are those of `errno`. It compares by name, too: until
/// Boost 1.76, Boost's generic category, to which other Boost codes map, is another object.
[[nodiscard]] inline bool is_errno(const std::error_condition& condition) noexcept {
    return condition.category() == std::generic_category() ||
           std::string_view{condition.category().name()} == std::generic_category().name();
}

}  // namespace detail

/// Returns the cause of an error code.
///
/// It returns `none` for no error, and `lost` if no category classifies the code. For your own
/// error types, add an overload of this name in their namespace.
/// Complexity: O(1).   Throws: nothing.
[[nodiscard]] inline Cause cause_of(const std::error_code& code) noexcept {
    if (!code) return Cause::none;
    const std::error_condition condition = code.default_error_condition();
    if (condition.category() == detail::cause_category())
        return static_cast<Cause>(condition.value());
    if (detail::is_errno(condition)) return detail::meaning_of_errno(condition.value()).cause;
    return Cause::lost;
}

namespace detail {

/// Returns the origin of an error code.
///
/// - `local`, `answered`: as `meaning_of_errno` states, or the category of the code
/// - `unset`: the category does not state the origin of the code
/// Complexity: O(1).   Throws: nothing.
[[nodiscard]] inline FailureOrigin origin_of(const std::error_code& code) noexcept {
    if (!code) return FailureOrigin::unset;
    const std::error_condition condition = code.default_error_condition();
    if (is_errno(condition)) return meaning_of_errno(condition.value()).origin;
    for (const auto origin :
         {FailureOrigin::local, FailureOrigin::answered, FailureOrigin::silent}) {
        if (code.category().equivalent(code.value(), make_error_condition(origin))) return origin;
    }
    return FailureOrigin::unset;
}

}  // namespace detail

}}  // namespace belay

template <>
struct std::is_error_condition_enum<belay::Cause> : std::true_type {};

template <>
struct std::is_error_condition_enum<belay::detail::FailureOrigin> : std::true_type {};

namespace belay { inline namespace BELAY_ABI {

/// The reason why an attempt failed, a connection ended, or a call did not work.
///
/// Thread safety: a plain value.
struct Failure {
    /// Which side decided a failure: `answered`, `silent`, `cut_short`, `local`, or `unset`.
    ///
    /// A `local` failure never counts against the peer, and an `unset` one counts as the peer's. A
    /// call that a Pipeline has `cut_short` counts, too, but not if it was a breaker's probe. An
    /// Origin is also an error condition, like a Cause. Your error category takes part if its
    /// `equivalent` returns true for one of these values.
    using Origin = detail::FailureOrigin;

    /// The classification that rules use for their decisions.
    Cause cause = Cause::none;
    /// Which side decided the failure.
    Origin origin = Origin::unset;
    /// The value of the error code that occurred; 0 if there was none.
    std::int32_t code = 0;
    /// The category of `code`; null if there was none. Error categories are never destroyed.
    const std::error_category* category = nullptr;
    /// The wait that the other side requested ("Retry-After"); 0ns if it requested none.
    Duration retry_after{};

    /// Returns the failure that an error code describes.   Complexity: O(1).
    [[nodiscard]] static Failure from(const std::error_code& error,
                                      Duration retry_after = {}) noexcept {
        return {cause_of(error), detail::origin_of(error), error.value(), &error.category(),
                retry_after};
    }

    /// Returns the error code that occurred, or an empty one.
    [[nodiscard]] std::error_code error() const noexcept {
        return category != nullptr ? std::error_code{code, *category} : std::error_code{};
    }

    /// Returns a text for people, "timed_out: Connection timed out".
    /// Allocates: the text.
    /// Throws: std::bad_alloc.
    [[nodiscard]] std::string message() const {
        std::string text{to_string(cause)};
        if (category != nullptr && code != 0) text += ": " + category->message(code);
        return text;
    }

    friend constexpr bool operator==(const Failure&, const Failure&) noexcept = default;
};

namespace detail {

/// Returns the failure that counts when both happen in one turn: the more severe, else the first.
[[nodiscard]] constexpr const Failure& more_severe(const Failure& first,
                                                   const Failure& second) noexcept {
    return second.cause > first.cause ? second : first;
}

/// Returns "250 ms", or "1.5 s" if `d` is a second or more.   Pre: d >= 0ns.
/// Throws: std::bad_alloc.
[[nodiscard]] inline std::string duration_text(Duration d) {
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(d).count();
    if (ms < 1000) return std::to_string(ms) + " ms";
    return std::to_string(ms / 1000) + "." + std::to_string(ms % 1000 / 100) + " s";
}

}  // namespace detail

}}  // namespace belay
