// SPDX-License-Identifier: MIT
/// \file belay/sync/detail/scene_reconciliation.hpp
/// reconcile_scenes: decides what to do with a session, from the state of its two sides. It makes
/// all decisions of a bridge.
#pragma once

#include <array>     // std::array
#include <cstddef>   // std::size_t
#include <cstdint>   // std::uint8_t, std::uint64_t
#include <optional>  // std::optional

#include <belay/core/order.hpp>
#include <belay/sync/stamp.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A scene without its content.
struct SceneMark {
    Stamp stamp{};
    std::uint64_t hash = 0;

    friend constexpr bool operator==(const SceneMark&, const SceneMark&) noexcept = default;
};

/// Contents that were sent and never confirmed. The remote may have accepted any of them.
///
/// It holds only the last four. If the remote accepted one that was removed from here, the bridge
/// may report a conflict that is none, if stamps have no origins.
class SentScenes {
public:
    constexpr void add(std::uint64_t hash) noexcept {
        if (!has(hash)) hashes_[count_++ % hashes_.size()] = hash;
    }
    constexpr void clear() noexcept { count_ = 0; }
    [[nodiscard]] constexpr bool any() const noexcept { return count_ != 0; }
    [[nodiscard]] constexpr bool has(std::uint64_t hash) const noexcept {
        for (std::size_t i = 0; i < smaller(count_, hashes_.size()); ++i) {
            if (hashes_[i] == hash) return true;
        }
        return false;
    }

private:
    std::array<std::uint64_t, 4> hashes_{};
    std::size_t count_ = 0;
};

/// The known state of a session.
struct SceneSides {
    /// The scene that both sides had when they were last in step, with the remote's stamp.
    std::optional<SceneMark> base{};
    /// The local scene.
    std::optional<SceneMark> local{};
    /// The remote scene.
    std::optional<SceneMark> remote{};
    /// Whether the remote's content was sent from here, and not confirmed.
    bool sent = false;
    /// Whether the bridge was notified of a local change since the base.
    bool edited = false;
};

/// The decision.
struct SceneDecision {
    enum class Move : std::uint8_t {
        none,   ///< nothing
        apply,  ///< apply the remote scene to the local side
        push    ///< push the local scene to the remote
    };
    Move move = Move::none;
    /// The change that the move discards was never on the other side.
    bool conflict = false;
    /// The remote's scene becomes the new base, once the move is done.
    bool rebase = false;

    friend constexpr bool operator==(const SceneDecision&, const SceneDecision&) noexcept = default;
};

/// The last writer wins.
///
/// Complexity: O(1).
[[nodiscard]] constexpr SceneDecision reconcile_scenes(const SceneSides& sides) noexcept {
    using Move = SceneDecision::Move;
    const auto& [base, local, remote, sent, edited] = sides;
    if (!remote) return {local ? Move::push : Move::none, false, false};
    if (!local) return {Move::apply, false, true};
    if (local->hash == remote->hash) return {Move::none, false, true};
    // The remote scene has not changed there. So the difference is a local edit, whatever stamp a
    // remote with its own clock reports.
    if (sent || (base && base->hash == remote->hash)) return {Move::push, false, true};
    const bool unpushed = base ? local->hash != base->hash : edited;
    // If the remote makes new stamps, the local scene has an older stamp than it had there.
    const Stamp known = base && !unpushed ? larger(base->stamp, local->stamp) : local->stamp;
    if (remote->stamp > known) return {Move::apply, unpushed, true};
    // The stamps are equal, so it is the same scene. As the base it would look like an edit next
    // time.
    if (remote->stamp == known) return {};
    // If the remote lost its state, it has nothing new for us. Nor has a remote that accepted late
    // a scene that the clock of the edit had stamped before.
    const bool own = remote->stamp.origin != Id{} && remote->stamp.origin == local->stamp.origin;
    const bool lost = unpushed && base && remote->stamp > base->stamp && !own;
    // As the base it would turn an unedited scene into an edit if the push fails. Without a base it
    // may be an edit from before a restart.
    return {Move::push, lost, unpushed || !base};
}

}}}  // namespace belay::detail
