// SPDX-License-Identifier: MIT
/// \file belay/adapter/detail/libc_sim_real.hpp
/// libc_real: the functions of the C library behind those of the same name in a test program.
#pragma once

#include <dlfcn.h>  // dlsym

#include <algorithm>  // std::copy_n
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
    static R (*const next)(A...) = reinterpret_cast<R (*)(A...)>(dlsym(RTLD_NEXT, Name.text));
    return next(arguments...);
}

}}}  // namespace belay::detail
