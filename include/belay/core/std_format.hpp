// SPDX-License-Identifier: MIT
/// \file belay/core/std_format.hpp
/// Formatters of std::format for statuses, events and errors.
///
///     #include <belay/core/std_format.hpp>
///     #include <belay/link/link_text.hpp>
///     std::string line = std::format("{}", status);          // a LinkStatus
///
/// Each type of the headers `*_text.hpp` that you include can be formatted, with the options of a
/// text. Times are types of std::chrono: pass `to_string(time)`.
///
/// It needs a standard library that defines __cpp_lib_format: libstdc++ 13, or libc++ 17. With an
/// older one this header declares nothing, because that library has no std::formatter.
#pragma once

#include <version>  // __cpp_lib_format

#ifdef __cpp_lib_format

#    include <format>  // std::formatter
#    include <string>  // std::string

#    include <belay/core/text.hpp>

template <class T>
    requires belay::detail::has_text<T>
struct std::formatter<T, char> : std::formatter<std::string_view, char> {
    template <class Context>
    auto format(const T& value, Context& context) const {
        const std::string text = belay::detail::text_of(value);
        return std::formatter<std::string_view, char>::format(text, context);
    }
};

#endif
