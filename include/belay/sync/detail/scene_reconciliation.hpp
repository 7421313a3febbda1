// SPDX-License-Identifier: MIT
/// \file belay/sync/detail/scene_reconciliation.hpp
/// reconcile_scenes: decides what to do with a session, from the relation of its two sides. It
/// makes all decisions of a bridge. SceneMemory: what a bridge remembers of a session between
/// rounds.
#pragma once

#include <array>     // std::array
#include <cstddef>   // std::size_t
#include <cstdint>   // std::uint8_t, std::uint64_t
#include <optional>  // std::optional
#include <utility>   // std::exchange

#include <belay/core/order.hpp>
#include <belay/sync/detail/version.hpp>
#include <belay/sync/scene.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A scene without its content.
using SceneMark = part::SceneBase;

/// Returns the mark of a deleted scene. Its hash takes part in the comparisons of contents.
[[nodiscard]] constexpr SceneMark tombstone(const Stamp& stamp) noexcept {
    return {stamp, removed_contents, true};
}

/// The last four hashes that were added.
class RecentHashes {
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
    /// Calls `f` with each number that it decides by, for sim::exhaust.
    template <class F>
    constexpr void each_field(F&& f) const {
        // The oldest one is replaced next, at any place.
        for (std::size_t i = 0; i < hashes_.size(); ++i) {
            f(i < count_ ? hashes_[(count_ - 1 - i) % hashes_.size()] : 0);
        }
    }

private:
    std::array<std::uint64_t, 4> hashes_{};
    std::size_t count_ = 0;
};

/// The state of a session that a bridge keeps between rounds.
///
/// The base is the scene that both sides last had, with the stamp that the remote gave it.
class SceneMemory {
public:
    static constexpr std::uint8_t undone_before_wait = 3;

    [[nodiscard]] constexpr const std::optional<SceneMark>& base() const noexcept { return base_; }
    /// Returns whether the base is from an earlier run of the program, and no round of this run has
    /// found both sides equal.
    [[nodiscard]] constexpr bool recovered() const noexcept { return recovered_; }
    /// Returns whether the remote has again the scene that the last push replaced. It has rejected
    /// the push, or another client has undone it.
    [[nodiscard]] constexpr bool has_replaced(const SceneMark& remote) const noexcept {
        return replaced_ && remote == *replaced_;
    }
    /// Returns the relation of the base, as mine, and a remote scene with other content: by the
    /// version that its author saw, and by stamps. `saw` and `unaware` are those of the scene.
    ///
    /// - mine_newer: the remote has again a scene that is older than the base.
    /// - theirs_newer: its author saw the base, or may have seen it.
    /// - both: its author had not seen the base, which was made or pushed here; or the remote has
    ///   rejected or undone the base.
    ///
    /// Each test of tests/sync that a rule names fails without that rule.
    [[nodiscard]] constexpr Relation compare(const SceneMark& remote,
                                             const std::optional<Stamp>& saw = {},
                                             bool unaware = false) const noexcept {
        if (!base_ || remote.hash == base_->hash) return Relation::theirs_newer;
        const Id& origin = base_->stamp.origin;
        const bool stamped = remote.stamp != Stamp{};
        const bool earlier = stamped && remote.stamp < base_->stamp;
        // One clock never goes back (bridge_in_world). A remote that keeps the later scene has
        // rejected an earlier one (bridge_memory).
        const bool of_one_clock = origin != Id{} && remote.stamp.origin == origin;
        if (earlier && (of_one_clock || has_replaced(remote))) return Relation::mine_newer;
        // A scene that was here before has come back (bridge_deletion). The base has a stamp of the
        // remote only after the remote has returned it (scene_reconciliation).
        const Stamp& known = replaced_ ? replaced_->stamp : base_->stamp;
        if (stamped && remote.stamp < known && before_.has(remote.hash)) {
            return Relation::mine_newer;
        }
        // Without stamps, the remote may have rejected the push (bridge_memory).
        if (has_replaced(remote) && base_->made_by != Origin::remote) return Relation::both;
        // Only those who made or pushed a scene get a report of its loss (bridge_saw).
        const bool made_here = base_->made_by == Origin::local;  // also in an earlier run
        if (!pushed_ && !made_here) return Relation::theirs_newer;
        // A bridge pushed another scene again over this one (bridge_saw).
        if (unaware && saw == base_->stamp && *saw != Stamp{}) return Relation::both;
        // A remote that had no scene may have lost one that the author knew (bridge_saw).
        const bool saw_none = saw && *saw == Stamp{} && remote.stamp.origin != origin;
        if (saw && (saw->origin != Id{} || saw_none)) {
            // Each version has a stamp above that of the one which its author saw. So an author
            // who saw an earlier one had not seen the base, nor had the authors before.
            return *saw < base_->stamp ? Relation::both : Relation::theirs_newer;
        }
        // By its clock, the other client had not seen the change that was pushed from here
        // (bridge_saw). A clock alone does not show that for a base of an earlier run, in which
        // both sides were equal (scene_reconciliation).
        const bool by_clock = pushed_ && earlier && remote.stamp.origin != Id{};
        return by_clock ? Relation::both : Relation::theirs_newer;
    }
    /// The local side stored this base in an earlier run.
    constexpr void recover(const SceneMark& base) noexcept {
        base_ = base;
        recovered_ = stored_ = true;
    }
    /// Returns whether the local side must store the base.
    [[nodiscard]] constexpr bool unstored() const noexcept { return base_ && !stored_; }
    constexpr void set_stored() noexcept { stored_ = true; }
    /// A push begins. The remote has `over`, if it has a scene.
    constexpr void sending_over(const std::optional<SceneMark>& over) noexcept { replaced_ = over; }
    /// The remote has confirmed a push.
    constexpr void pushed(const SceneMark& mark) noexcept {
        rebase(mark, Origin::local);
        recovered_ = false;
        pushed_ = true;
        sent.clear();
    }
    /// Both sides have this scene.
    constexpr void in_step(const SceneMark& mark) noexcept {
        in_step_without_scene(mark);
        sent.clear();
    }
    /// The remote scene was applied to the local side.
    constexpr void pulled(const SceneMark& mark) noexcept {
        rebase(mark, Origin::remote);
        in_step(mark);
    }
    /// Neither side has a scene, and this is its tombstone. A content that was sent may arrive yet.
    constexpr void in_step_without_scene(const SceneMark& mark) noexcept {
        // An earlier run may have pulled the scene and not stored it as the base, but a lost edit
        // must be reported. Without a base, nothing is known, except of an unconfirmed push.
        const bool is_made_here = base_ || sent.has(mark.hash);
        rebase(mark, is_made_here ? std::optional{Origin::local} : std::nullopt);
        replaced_.reset();
        recovered_ = false;
    }
    /// The remote scene is the base of what will be pushed. It is known to the local side, or was
    /// reported.
    constexpr void rebase(const SceneMark& mark) noexcept {
        rebase(mark, sent.has(mark.hash) ? Origin::local : Origin::remote);
    }
    /// The content was replaced by one of the remote.
    constexpr void replaced_here(std::uint64_t hash) noexcept { before_.add(hash); }
    /// The remote has undone the base.
    /// Returns: how often, if the session must wait before it pushes the base again; else 0.
    [[nodiscard]] constexpr unsigned count_undone() noexcept {
        if (std::exchange(waited_, false)) return 0;
        if (undone_ != undone_most) ++undone_;
        waited_ = undone_ >= undone_before_wait;
        return waited_ ? undone_ : 0;
    }

    /// Calls `f` with each number that it decides by, for sim::exhaust.
    template <class F>
    constexpr void each_field(F&& f) const {
        for (const std::optional<SceneMark>& mark : {base_, replaced_}) {
            f(mark ? mark->stamp.wall.time_since_epoch().count() : -1);
            f(mark ? mark->stamp.counter : 0);
            f(mark ? static_cast<int>(mark->stamp.origin[0]) : 0);
            f(mark ? mark->hash : 0);
            f(mark && mark->removed);
        }
        f(base_ && base_->made_by ? 1 + static_cast<int>(*base_->made_by) : 0);
        before_.each_field(f);
        sent.each_field(f);
        f(open.has_value());
        f(open ? open->local : 0);
        f(open ? open->remote : 0);
        f(undone_);
        f(waited_);
        f(pushed_);
        f(recovered_);
        f(stored_);
    }

    /// The scenes of a conflict that is left to the local side. It is reported once.
    struct Open {
        std::uint64_t local = 0;
        std::uint64_t remote = 0;

        /// Returns whether the local scene decides the conflict with this remote one: it was edited
        /// after the report, with both scenes in view. A report of a change without one decides
        /// nothing.
        [[nodiscard]] constexpr bool is_decided(const SceneMark& here,
                                                const SceneMark& there) const noexcept {
            return remote == there.hash && (local != here.hash || here.stamp > there.stamp);
        }

        friend constexpr bool operator==(const Open&, const Open&) noexcept = default;
    };
    std::optional<Open> open{};
    /// Contents that were sent and never confirmed. If the remote accepted one that is no longer
    /// here, the bridge may report a conflict that is none.
    RecentHashes sent{};

private:
    constexpr void rebase(SceneMark mark, std::optional<Origin> made_by) noexcept {
        mark.made_by = base_ && base_->hash == mark.hash ? base_->made_by : made_by;
        if (base_ && base_->hash != mark.hash) {
            before_.add(base_->hash);
            undone_ = 0;
            waited_ = false;
            pushed_ = false;
        }
        stored_ = stored_ && base_ == mark;
        base_ = mark;
    }
    static constexpr std::uint8_t undone_most = 20;

    std::optional<SceneMark> base_{};
    /// The remote scene that the last push replaces, until the remote has returned the base.
    std::optional<SceneMark> replaced_{};
    /// Contents that were here before the base.
    RecentHashes before_{};
    std::uint8_t undone_ = 0;
    bool waited_ = false;
    bool pushed_ = false;  // from here, in this run
    bool recovered_ = false;
    bool stored_ = false;
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
    /// Whether the base is from an earlier run; see SceneMemory.
    bool recovered = false;
    /// Whether both sides have never had the same scene.
    bool is_new = false;
    /// See SceneMemory::compare.
    Relation base_to_remote = Relation::theirs_newer;
    /// Whether the remote scene is kept also if its stamp is earlier than the base's. A bridge has
    /// pushed it again over the base, or the remote has rejected the base.
    bool stays = false;
    /// The stamp that the author of the local scene saw, if the local side reports it.
    std::optional<Stamp> local_saw{};
    /// The stamp that the author of the remote scene saw, if the remote reports it.
    std::optional<Stamp> remote_saw{};

    /// Returns whether the author of one scene saw the other.
    [[nodiscard]] static constexpr bool has_seen(const std::optional<Stamp>& saw,
                                                 const SceneMark& other) noexcept {
        return saw && *saw != Stamp{} && *saw == other.stamp;
    }
};

/// The decision.
struct SceneDecision {
    enum class Move : std::uint8_t {
        none,   ///< nothing
        apply,  ///< apply the remote scene to the local side
        push,   ///< push the local scene to the remote
        leave   ///< neither: the local side must edit the scene
    };
    Move move = Move::none;
    /// The change that the move discards was never on the other side.
    bool conflict = false;
    /// The remote's scene becomes the new base, once the move is done.
    bool rebase = false;

    friend constexpr bool operator==(const SceneDecision&, const SceneDecision&) noexcept = default;
};

/// Returns whether the stamps of both scenes are of one clock.
[[nodiscard]] constexpr bool of_one_clock(const SceneMark& a, const SceneMark& b) noexcept {
    return a.stamp.origin != Id{} && a.stamp.origin == b.stamp.origin;
}

/// Decides if both sides have changed since the base. The last writer wins.
[[nodiscard]] constexpr SceneDecision reconcile_changes(const SceneSides& sides) noexcept {
    using Move = SceneDecision::Move;
    const SceneMark& local = *sides.local;
    const SceneMark& remote = *sides.remote;
    // Copies of one device give one stamp twice, and a remote that cuts stamps does. An author who
    // names the stamp of the base saw the base.
    const bool as_base = remote.stamp == sides.base->stamp;
    if (!as_base && SceneSides::has_seen(sides.local_saw, remote)) return {Move::push, false, true};
    if (local.stamp != sides.base->stamp && SceneSides::has_seen(sides.remote_saw, local)) {
        return {Move::apply, false, true};
    }
    // Equal stamps are those of a remote that cuts them, or returns none. The hash gives the same
    // result to all clients.
    const bool equal = remote.stamp == local.stamp;
    const bool later = equal ? remote.hash > local.hash : remote.stamp > local.stamp;
    if (later) {
        // An earlier run pulled the local scene, and could not store it as the base.
        const bool is_pulled = sides.recovered && !equal && of_one_clock(remote, local);
        if (is_pulled) return {Move::apply, false, true};
        if (sides.recovered) return {Move::leave, true, false};
        return {Move::apply, true, true};
    }
    // A remote may accept late a scene that the clock of the edit had stamped before.
    return {Move::push, equal || as_base || !of_one_clock(remote, local), true};
}

/// Decides if no base is known. Only the stamps can be compared. Equal stamps mean the same scene.
[[nodiscard]] constexpr SceneDecision reconcile_without_base(const SceneSides& sides) noexcept {
    using Move = SceneDecision::Move;
    const SceneMark& local = *sides.local;
    const SceneMark& remote = *sides.remote;
    if (remote.stamp == local.stamp) return {};
    if (SceneSides::has_seen(sides.local_saw, remote)) return {Move::push, false, true};
    if (SceneSides::has_seen(sides.remote_saw, local)) return {Move::apply, false, true};
    // Each side has made a scene of its own. One without a stamp is no edit.
    const bool both = sides.is_new && local.stamp != Stamp{} && !of_one_clock(remote, local);
    if (remote.stamp > local.stamp) {
        if (both && !sides.edited) return {Move::leave, true, false};
        return {Move::apply, sides.edited, true};
    }
    // A remote that returns no stamps gives no evidence that its scene is the earlier one.
    return {Move::push, both || remote.stamp == Stamp{}, true};
}

/// Decides if only the remote scene has changed since the base.
[[nodiscard]] constexpr SceneDecision reconcile_remote_change(const SceneSides& sides) noexcept {
    using Move = SceneDecision::Move;
    const SceneMark& remote = *sides.remote;
    // As the base, the older scene would turn an unedited scene into an edit.
    if (sides.base_to_remote == Relation::mine_newer) return {Move::push, false, false};
    // The loss of a scene that was pulled, and pushed again because the remote had lost it, is
    // reported to its author. It stays the base, or it would look like an edit from here.
    const bool is_pulled = sides.base->made_by == Origin::remote;
    // A change is kept instead of a deletion, because a deletion loses nothing by that.
    const bool revives = sides.local->removed && !remote.removed;
    const bool is_loss = sides.base_to_remote == Relation::both;
    const bool earlier = remote.stamp != Stamp{} && remote.stamp < sides.base->stamp;
    if (is_loss && !revives && !sides.stays && (earlier || remote.removed)) {
        // The push overwrites the change, and no other bridge may notice that. So it is a conflict
        // of this side, also if the base was pulled.
        return {Move::push, !remote.removed, !is_pulled};
    }
    return {Move::apply, is_loss && !revives && !is_pulled, true};
}

/// Decides what to do with a session.
///
/// A version is its content. Stamps decide only which of two changes is kept. So a remote's grain
/// of stamps, or its clock, cannot make two clients undo each other's changes for ever.
///
/// Complexity: O(1).
[[nodiscard]] constexpr SceneDecision reconcile_scenes(const SceneSides& sides) noexcept {
    using Move = SceneDecision::Move;
    const std::optional<SceneMark>& local = sides.local;
    const std::optional<SceneMark>& remote = sides.remote;
    if (!remote) return {local && !local->removed ? Move::push : Move::none, false, false};
    if (!local) return {remote->removed ? Move::none : Move::apply, false, true};
    const std::optional<SceneMark>& base = sides.sent ? remote : sides.base;
    const auto version = [](const SceneMark& mark) { return Version{{}, mark.hash}; };
    switch (relation(base ? std::optional{version(*base)} : std::nullopt, version(*local),
                     version(*remote))) {
        case Relation::same:
            return {Move::none, false, true};
        case Relation::mine_newer:
            return {Move::push, false, true};
        case Relation::theirs_newer:
            return reconcile_remote_change(sides);
        case Relation::both:
            break;
    }
    if (!base) return reconcile_without_base(sides);
    if (sides.base_to_remote == Relation::mine_newer) return {Move::push, false, true};
    if (local->removed) return {Move::apply, false, true};
    if (remote->removed) return {Move::push, false, true};
    return reconcile_changes(sides);
}

}}}  // namespace belay::detail
