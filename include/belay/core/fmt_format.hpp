// SPDX-License-Identifier: MIT
/// \file belay/core/fmt_format.hpp
/// Formatters of the library fmt for statuses, events and errors; needs fmt 9 or later.
///
///     #include <belay/core/fmt_format.hpp>
///     #include <belay/link/link_text.hpp>
///     fmt::print("{}\n", status);                  // a LinkStatus
///     fmt::print("{:>12}\n", LinkState::cooldown);
///
/// Each type of the headers `*_text.hpp` that you include can be formatted, with the options of a
/// text. Times are types of std::chrono: pass `to_string(time)`.
#pragma once

#include <fmt/format.h>

#include <belay/core/text.hpp>

// GCC 12 at -O3 warns of the fill character in fmt 9 where it inlines `parse`. The pragma reaches
// only what is inlined into a function below.
#if defined(__GNUC__) && !defined(__clang__)
#    pragma GCC diagnostic push
#    pragma GCC diagnostic ignored "-Wstringop-overflow"
#endif
template <class T>
    requires belay::detail::has_text<T>
struct fmt::formatter<T, char> : fmt::formatter<fmt::string_view> {
    template <class Context>
    [[gnu::flatten]] constexpr auto parse(Context& context) {
        return fmt::formatter<fmt::string_view>::parse(context);
    }
    template <class Context>
    auto format(const T& value, Context& context) const {
        const std::string text = belay::detail::text_of(value);
        return fmt::formatter<fmt::string_view>::format({text.data(), text.size()}, context);
    }
};
#if defined(__GNUC__) && !defined(__clang__)
#    pragma GCC diagnostic pop
#endif
