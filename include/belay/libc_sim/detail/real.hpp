// SPDX-License-Identifier: MIT
/// \file belay/libc_sim/detail/real.hpp
/// libc_real: the functions of the C library behind those of the same name in a test program.
#pragma once

#include <dlfcn.h>  // dlsym

#include <algorithm>  // std::copy_n
#include <atomic>     // std::atomic
#include <cstddef>    // std::size_t

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The name of a function, as a template argument.
template <std::size_t Size>
struct LibcName {
    constexpr LibcName(const char (&literal)[Size]) noexcept { std::copy_n(literal, Size, text); }
    char text[Size]{};
};

/// Calls the next definition of a function, which is that of the C library.
template <LibcName Name, class R, class... A>
R libc_real(A... arguments) {
    // Without a guard, which may call a function of locks that is replaced.
    using Function = R (*)(A...);
    static constinit std::atomic<Function> next{nullptr};
    Function function = next.load(std::memory_order_relaxed);
    if (function == nullptr) {
        function = reinterpret_cast<Function>(dlsym(RTLD_NEXT, Name.text));
        BELAY_OPTION(function != nullptr,
                     "sim::Program: the C library does not have this function");
        next.store(function, std::memory_order_relaxed);
    }
    return function(arguments...);
}

}}}  // namespace belay::detail
