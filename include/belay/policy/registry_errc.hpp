// SPDX-License-Identifier: MIT
/// \file belay/policy/registry_errc.hpp
/// policies::RegistryErrc: why a registry has no object for a key.
#pragma once

#include <system_error>  // std::error_code

#include <belay/core/failure.hpp>

namespace belay { inline namespace BELAY_ABI { namespace policies {

/// The errors of a Registry; category "belay.policy". Values are appended, never renumbered.
enum class RegistryErrc {
    full = 1,         ///< it has `entries_max` objects, and none of them is idle
    key_too_long = 2  ///< the key has more than `key_bytes_max` bytes
};

}}}  // namespace belay::policies

namespace belay { inline namespace BELAY_ABI { namespace detail {
inline constexpr ErrorText registry_error_texts[] = {
    {"the registry is full, and none of its objects is idle", Cause::overloaded},
    {"the key is longer than the registry's limit", Cause::permanent},
};

/// Returns the category "belay.policy".
[[nodiscard]] inline const std::error_category& registry_category() noexcept {
    static const TableCategory category{"belay.policy", registry_error_texts};
    return category;
}
}}}  // namespace belay::detail

namespace belay { inline namespace BELAY_ABI { namespace policies {

/// Makes a std::error_code from a RegistryErrc, as the conversion requires.
[[nodiscard]] inline std::error_code make_error_code(RegistryErrc errc) noexcept {
    return {static_cast<int>(errc), detail::registry_category()};
}

}}}  // namespace belay::policies

template <>
struct std::is_error_code_enum<belay::policies::RegistryErrc> : std::true_type {};
