// SPDX-License-Identifier: MIT
/// \file tests/support/budget/granted.hpp
/// granted: whether a permit was granted, without keeping it.
#pragma once

namespace belay_test {

/// Permits refuse to be asked while they are temporaries, which is what tests often have.
template <class Permit>
[[nodiscard]] constexpr bool granted(const Permit& permit) noexcept {
    return static_cast<bool>(permit);
}

}  // namespace belay_test
