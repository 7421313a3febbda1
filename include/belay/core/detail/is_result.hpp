// SPDX-License-Identifier: MIT
/// \file belay/core/detail/is_result.hpp
/// IsResult: detects a Result that is passed where its value is due.
#pragma once

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A Result, or a std::expected, recognised by its shape.
template <class T>
concept IsResult = requires(T& result) {
    typename T::value_type;
    typename T::error_type;
    result.error();
    result.value();
};

}}}  // namespace belay::detail
