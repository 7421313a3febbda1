// SPDX-License-Identifier: MIT
/// \file tests/support/is_constant.hpp
/// is_constant: whether the result of a lambda without captures is a constant expression. It is not
/// if the lambda violates a precondition, which can so be tested without a file of its own.
#pragma once

#include <type_traits>  // std::bool_constant

namespace belay_test {

template <class F>
concept Constant = requires { typename std::bool_constant<(static_cast<void>(F{}()), true)>; };

/// `is_constant([] { return Rate{1, 0ns}; })`
template <class F>
[[nodiscard]] consteval bool is_constant(F) {
    return Constant<F>;
}

}  // namespace belay_test
