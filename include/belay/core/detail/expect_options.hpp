// SPDX-License-Identifier: MIT
/// \file belay/core/detail/expect_options.hpp
/// expect_options: ends the program at wrong options, and prints their values.
#pragma once

#include <cstddef>           // std::size_t
#include <cstdint>           // std::int64_t
#include <cstdio>            // std::fprintf
#include <cstdlib>           // std::abort
#include <initializer_list>  // std::initializer_list
#include <string_view>       // std::string_view

#include <belay/core/instant.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// One field of an options struct, as it is printed.
struct OptionField {
    constexpr OptionField(const char* n, Duration d) noexcept
        : name{n}, value{d.count()}, unit{"ns"} {}
    constexpr OptionField(const char* n, std::uint64_t v) noexcept
        : name{n}, value{static_cast<std::int64_t>(v)} {}

    const char* name;
    std::int64_t value;
    const char* unit = "";
};

/// Whether a sentence names a field, or one of the two parts of a name such as `heartbeat.every`.
[[nodiscard]] inline bool names_option(std::string_view sentence, std::string_view name) noexcept {
    const std::size_t dot = name.find('.');
    if (sentence.find(name.substr(0, dot)) != std::string_view::npos) return true;
    return dot != std::string_view::npos &&
           sentence.find(name.substr(dot + 1)) != std::string_view::npos;
}

// This function is not constexpr, so that wrong options in a constant expression do not compile.
[[noreturn]] inline void options_failed(std::string_view wrong,
                                        std::initializer_list<OptionField> fields) noexcept {
    std::fprintf(stderr, "belay: precondition violated: %.*s", static_cast<int>(wrong.size()),
                 wrong.data());
    bool names_any = false;
    for (const OptionField& field : fields)
        names_any = names_any || names_option(wrong, field.name);
    const char* separator = " (";
    for (const OptionField& field : fields) {
        // The other options are right.
        if (names_any && !names_option(wrong, field.name)) continue;
        if (*field.unit == '\0') {
            std::fprintf(stderr, "%s%s is %llu", separator, field.name,
                         static_cast<unsigned long long>(field.value));
        } else {
            std::fprintf(stderr, "%s%s is %lld%s", separator, field.name,
                         static_cast<long long>(field.value), field.unit);
        }
        separator = ", ";
    }
    std::fprintf(stderr, *separator == ',' ? ")\n" : "\n");
    std::abort();
}

/// Ends the program if `wrong`, the result of an options struct's check(), is not empty. Like
/// BELAY_OPTION, it is on in every build.
constexpr void expect_options(std::string_view wrong,
                              std::initializer_list<OptionField> fields) noexcept {
    if (!wrong.empty()) options_failed(wrong, fields);
}

}}}  // namespace belay::detail
