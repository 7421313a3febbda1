// SPDX-License-Identifier: MIT
/// \file tests/support/budget/granted.hpp
/// granted: whether a permit was granted, without keeping it.
#pragma once

namespace belay_test {

/// The conversion of a permit to bool rejects temporaries, which tests often have.
template <class Permit>
[[nodiscard]] constexpr bool granted(const Permit& permit) noexcept {
    return static_cast<bool>(permit);
}

}  // namespace belay_test
