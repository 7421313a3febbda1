// SPDX-License-Identifier: MIT
/// \file belay/sync/detail/scene_judge.hpp
/// judge_scenes: what becomes of a session whose two sides are known; the whole of a bridge's
/// decisions.
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

/// Contents that were sent and never confirmed: the remote may have taken any of them.
///
/// The last few only: of one that is forgotten, and was taken nevertheless, a conflict may be told
/// that is none, if stamps have no origins.
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

/// What is known of a session.
struct SceneSides {
    /// What both sides had when they were last in step, with the remote's stamp.
    std::optional<SceneMark> base{};
    /// What is here.
    std::optional<SceneMark> local{};
    /// What is there.
    std::optional<SceneMark> remote{};
    /// Whether the remote's content was sent from here, and not confirmed.
    bool sent = false;
    /// Whether there was a local change since the base, as far as the bridge was told.
    bool edited = false;
};

/// What is to be done.
struct SceneVerdict {
    enum class Move : std::uint8_t {
        none,   ///< nothing
        apply,  ///< the remote scene goes here
        push    ///< the local scene goes there
    };
    Move move = Move::none;
    /// The change that the move ends was never on the other side.
    bool conflict = false;
    /// The remote's scene is the new base, once the move is done.
    bool rebase = false;

    friend constexpr bool operator==(const SceneVerdict&, const SceneVerdict&) noexcept = default;
};

/// The last writer wins.
///
/// Complexity: O(1).
[[nodiscard]] constexpr SceneVerdict judge_scenes(const SceneSides& sides) noexcept {
    using Move = SceneVerdict::Move;
    const auto& [base, local, remote, sent, edited] = sides;
    if (!remote) return {local ? Move::push : Move::none, false, false};
    if (!local) return {Move::apply, false, true};
    if (local->hash == remote->hash) return {Move::none, false, true};
    // Nobody there has changed it: what differs is what was edited here, whatever a remote that
    // stamps by its own clock says.
    if (sent || (base && base->hash == remote->hash)) return {Move::push, false, true};
    const bool unpushed = base ? local->hash != base->hash : edited;
    // Of a remote that stamps anew, the local scene has an older stamp than it had there.
    const Stamp known = base && !unpushed ? larger(base->stamp, local->stamp) : local->stamp;
    if (remote->stamp > known) return {Move::apply, unpushed, true};
    // The same, says its stamp; as the base it would look like an edit next time.
    if (remote->stamp == known) return {};
    // A remote that lost its memory has nothing that is new to us; nor has one that took, late,
    // what the clock of the edit had stamped before.
    const bool own = remote->stamp.origin != Id{} && remote->stamp.origin == local->stamp.origin;
    const bool lost = unpushed && base && remote->stamp > base->stamp && !own;
    // As the base it would make an edit of what nobody has edited, if the push fails. Without a
    // base it may be one, of before a restart.
    return {Move::push, lost, unpushed || !base};
}

}}}  // namespace belay::detail
