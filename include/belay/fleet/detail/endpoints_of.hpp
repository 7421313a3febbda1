// SPDX-License-Identifier: MIT
/// \file belay/fleet/detail/endpoints_of.hpp
/// endpoints_of: between how many endpoints a transport chooses.
#pragma once

#include <cstddef>  // std::size_t

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Returns between how many endpoints a transport chooses.
template <class Transport>
[[nodiscard]] std::size_t endpoints_of(Transport& transport) noexcept {
    if constexpr (requires { transport.endpoints().size(); }) {
        return transport.endpoints().size();
    } else if constexpr (requires { transport.inner(); }) {
        return endpoints_of(transport.inner());
    } else {
        return 1;
    }
}

}}}  // namespace belay::detail
