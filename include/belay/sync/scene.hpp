// SPDX-License-Identifier: MIT
/// \file belay/sync/scene.hpp
/// Scene: what a session looks like, and since when; Origin: on which side that was made.
#pragma once

#include <cstdint>      // std::uint8_t
#include <string_view>  // std::string_view

#include <belay/sync/stamp.hpp>

namespace belay { inline namespace BELAY_ABI {

/// What a session looks like as a whole, and when it was changed last.
///
/// Of two scenes of a session the one with the later stamp is the newer; equal stamps say that it
/// is the same. Where only a time is known, it is `Stamp{.wall = time}`.
///
/// Thread safety: a plain value.
template <class Content>
struct Scene {
    /// Opaque to belay but for its hash: text, bytes, a document.
    Content content;
    /// Of the last change, see HybridClock.
    Stamp stamp{};

    friend bool operator==(const Scene&, const Scene&) = default;
};

/// On which side of a bridge a change was made.
enum class Origin : std::uint8_t {
    local,  ///< here: it is to be pushed
    remote  ///< there: it was pulled, and is not pushed back
};

/// The name of an origin, as in the enumeration.   Complexity: O(1).
[[nodiscard]] constexpr std::string_view to_string(Origin origin) noexcept {
    return origin == Origin::local ? "local" : origin == Origin::remote ? "remote" : "unknown";
}

}}  // namespace belay
