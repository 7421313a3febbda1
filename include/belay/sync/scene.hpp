// SPDX-License-Identifier: MIT
/// \file belay/sync/scene.hpp
/// Scene: the content of a session, and the stamp of its last change; Origin: the side of that
/// change.
#pragma once

#include <cstdint>      // std::uint8_t, std::uint64_t
#include <optional>     // std::optional
#include <string_view>  // std::string_view

#include <belay/sync/stamp.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The whole content of a session, and the stamp of its last change.
///
/// The newer of two scenes of a session is the one with the later stamp. Equal stamps mean the same
/// scene. If only a time is known, the stamp is `Stamp{.wall = time}`.
///
/// Thread safety: a plain value.
template <class Content>
struct Scene {
    /// The content: a text, bytes or a document. belay only hashes it.
    Content content;
    /// The stamp of the last change; see HybridClock.
    Stamp stamp{};
    /// Whether the scene was deleted. A remote returns a deleted scene (a tombstone) with any
    /// content; see RemoteLike.
    bool removed = false;
    /// The stamp of the scene that the author of this one saw and replaces; Stamp{} if there was no
    /// scene, and none if it is not known. A Bridge sets it when it pushes. A side may return
    /// scenes without it.
    std::optional<Stamp> saw{};
    /// Whether the author of this scene had not seen the scene `saw`. A Bridge sets it when it
    /// pushes a scene again over a change that was made without it. The bridge of that change then
    /// reports the loss. A side may return scenes without it.
    bool unaware = false;

    /// Compares content, stamp and removed. The other two fields are how the scene was made.
    friend constexpr bool operator==(const Scene& a, const Scene& b) {
        return a.content == b.content && a.stamp == b.stamp && a.removed == b.removed;
    }
};

/// The side of a bridge on which a change was made.
enum class Origin : std::uint8_t {
    local,  ///< made by the local side: it must be pushed
    remote  ///< made by the remote side: it was pulled, and is not pushed back
};

namespace part {

/// The scene that both sides of a bridge last had, without its content. A LocalLike stores it for
/// the next run of the program.
///
/// Thread safety: a plain value.
struct SceneBase {
    /// The stamp of the scene at the remote.
    Stamp stamp{};
    /// The hash of the content.
    std::uint64_t hash = 0;
    /// Whether the scene was deleted on both sides.
    bool removed = false;
    /// The side that made the content; none if it is not known. A bridge reports the loss of a
    /// scene only to a program that made it, or may have made it.
    std::optional<Origin> made_by{};

    friend constexpr bool operator==(const SceneBase&, const SceneBase&) noexcept = default;
};

/// The deletion of a scene, which the remote side of a bridge carries out.
///
/// Thread safety: a plain value.
struct SceneRemoval {
    /// The stamp of the tombstone.
    Stamp stamp{};
    /// The stamp of the scene that the author of the deletion saw; see Scene::saw.
    std::optional<Stamp> saw{};

    friend constexpr bool operator==(const SceneRemoval&, const SceneRemoval&) noexcept = default;
};

}  // namespace part

/// Returns the name of an origin, as in the enumeration.   Complexity: O(1).
[[nodiscard]] constexpr std::string_view to_string(Origin origin) noexcept {
    return origin == Origin::local ? "local" : origin == Origin::remote ? "remote" : "unknown";
}

}}  // namespace belay
